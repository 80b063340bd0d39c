"""Check Point: mgmt_cli commands for objects, groups and access rules."""

from __future__ import annotations

from ccp_assess.allowlist.formats.base import Entry, Fitted, Format, address_of, lines, object_names

STEM = "ccp"
_SESSION = "-s ccp.sid --format json"


def _object(name: str, entry: Entry) -> str:
    if entry.block is None:
        domain = entry.host.lower().removeprefix("*")
        below = "true" if entry.host.startswith("*.") else "false"
        # Domain objects are named by their domain, with a leading dot.
        return f'mgmt_cli add dns-domain name ".{domain.lstrip(".")}" is-sub-domain {below} {_SESSION}'
    block = entry.block
    four = block.version == 4
    if block.length == (32 if four else 128):
        kind = "ip-address" if four else "ipv6-address"
        return f'mgmt_cli add host name "{name}" {kind} "{address_of(block)}" {_SESSION}'
    subnet, mask = ("subnet4", "mask-length4") if four else ("subnet6", "mask-length6")
    return f'mgmt_cli add network name "{name}" {subnet} "{address_of(block)}" {mask} {block.length} {_SESSION}'


def _member(name: str, entry: Entry) -> str:
    return name if entry.block else f".{entry.host.lower().removeprefix('*').lstrip('.')}"


def _checkpoint(fitted: Fitted) -> str:
    out = ["#!/bin/sh", *fitted.heading("#"), "set -e", "mgmt_cli login > ccp.sid"]
    near = "Any"
    if fitted.subnets:
        near = f"{STEM}-workstations"
        out.append(f'mgmt_cli add group name "{near}" {_SESSION}')
        for number, subnet in enumerate(fitted.subnets, 1):
            name = f"{STEM}-workstations-{number}"
            word = "4" if subnet.version == 4 else "6"
            out.append(
                f'mgmt_cli add network name "{name}" subnet{word} "{address_of(subnet)}" mask-length{word} '
                f'{subnet.length} groups "{near}" {_SESSION}'
            )
    rows = [*fitted.blocks(), *fitted.names]
    for direction, entries in (("outbound", rows), ("inbound", list(fitted.blocks("inbound")))):
        for (transport, port), group in fitted.groups(entries).items():
            out += _rule(direction, (transport, port), group, near)
    return lines(out, [f"mgmt_cli publish {_SESSION}", f"mgmt_cli logout {_SESSION}", "rm -f ccp.sid"])


def _rule(direction: str, service: tuple[str, str], entries: tuple[Entry, ...], near: str) -> list[str]:
    transport, port = service
    name = f"{STEM}-{direction}-{transport}-{port}"
    objects = object_names(entries, STEM)
    out = list(dict.fromkeys(_object(label, entry) for label, entry in objects))
    members = [label for label, entry in objects if entry.block]
    domains = list(dict.fromkeys(_member(label, entry) for label, entry in objects if not entry.block))
    far: list[str] = []
    if members:
        out.append(f'mgmt_cli add group name "{name}" {_SESSION}')
        out += [
            f'mgmt_cli set group name "{name}" '
            + " ".join(f'members.add.{n} "{member}"' for n, member in enumerate(members[at : at + 50], 1))
            + f" {_SESSION}"
            for at in range(0, len(members), 50)
        ]
        far.append(name)
    far += domains  # domain objects cannot be members of a group
    out.append(f'mgmt_cli add service-{transport} name "{STEM}-{transport}-{port}" port "{port}" {_SESSION}')
    ends = {"source": [near], "destination": far} if direction == "outbound" else {"source": far, "destination": [near]}
    sides = " ".join(f'{side}.{n} "{value}"' for side, values in ends.items() for n, value in enumerate(values, 1))
    out.append(
        f'mgmt_cli add access-rule layer "Network" position top name "{name}" {sides} '
        f'service "{STEM}-{transport}-{port}" action "Accept" comments "{entries[0].comment}" {_SESSION}'
    )
    return out


CHECKPOINT = Format(
    name="checkpoint", title="Check Point mgmt_cli", suffix=".sh", write=_checkpoint, udp_names=True, udp_wildcards=True
)
