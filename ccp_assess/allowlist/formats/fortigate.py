"""FortiGate CLI: addresses, wildcard FQDNs, services and one policy per port."""

from __future__ import annotations

from ccp_assess.allowlist.formats.base import Entry, Fitted, Format, address_of, lines, netmask, object_names

STEM = "ccp"


def _quoted(text: str) -> str:
    return f'"{text}"'


def _address(name: str, entry: Entry) -> list[str]:
    out = [f"    edit {_quoted(name)}"]
    if entry.block and entry.block.version == 4:
        out.append(f"        set subnet {address_of(entry.block)} {netmask(entry.block)}")
    elif entry.block:
        out.append(f"        set ip6 {entry.block.text}")
    else:
        out += ["        set type fqdn", f"        set fqdn {_quoted(entry.host.lower())}"]
    return [*out, f"        set comment {_quoted(entry.comment[:200])}", "    next"]


def _section(title: str, body: list[str]) -> list[str]:
    return [f"config {title}", *body, "end"] if body else []


def _group(name: str, members: list[str]) -> list[str]:
    out = [f"    edit {_quoted(name)}"]
    out += [
        f"        {'set' if at == 0 else 'append'} member {' '.join(_quoted(m) for m in members[at : at + 40])}"
        for at in range(0, len(members), 40)
    ]
    return [*out, "    next"]


def _fortigate(fitted: Fitted) -> str:
    parts: dict[str, list[str]] = {name: [] for name in ("address", "address6", "addrgrp", "addrgrp6", "policy")}
    near = {version: _workstations(fitted, version, parts) for version in (4, 6)}
    services: list[str] = []
    for transport, port in fitted.groups(fitted.entries):
        services += [f"    edit {_quoted(f'{STEM}-{transport}-{port}')}", f"        set {transport}-portrange {port}"]
        services += ["    next"]
    for direction in ("outbound", "inbound"):
        for version in (4, 6):
            rows = [entry for entry in fitted.blocks(direction, version) if fitted.serves(version)]
            rows += [entry for entry in fitted.names if version == 4 and direction == "outbound"]
            for (transport, port), entries in fitted.groups(rows).items():
                name = f"{STEM}{'6' if version == 6 else ''}-{direction[:3]}-{transport}-{port}"
                objects = object_names(entries, STEM)
                parts["address6" if version == 6 else "address"] += [
                    line for label, entry in objects for line in _address(label, entry)
                ]
                parts["addrgrp6" if version == 6 else "addrgrp"] += _group(name, [label for label, _ in objects])
                parts["policy"] += _policy(name, (near[version], name), (transport, port), direction, version)
    return lines(
        fitted.heading("#"),
        _section("firewall address", parts["address"]),
        _section("firewall address6", parts["address6"]),
        _section("firewall addrgrp", parts["addrgrp"]),
        _section("firewall addrgrp6", parts["addrgrp6"]),
        _section("firewall service custom", services),
        _section("firewall policy", parts["policy"]),
    )


def _workstations(fitted: Fitted, version: int, parts: dict[str, list[str]]) -> str:
    """Write the workstations' subnets and return the name of their group."""
    subnets = fitted.sources(version)
    if not subnets:
        return "all"
    tail = "" if version == 4 else "6"
    labels = [f"{STEM}-workstations{tail}-{number}" for number in range(1, len(subnets) + 1)]
    for label, subnet in zip(labels, subnets, strict=True):
        held = f"subnet {address_of(subnet)} {netmask(subnet)}" if version == 4 else f"ip6 {subnet.text}"
        parts[f"address{tail}"] += [f"    edit {_quoted(label)}", f"        set {held}", "    next"]
    parts[f"addrgrp{tail}"] += _group(f"{STEM}-workstations{tail}", labels)
    return f"{STEM}-workstations{tail}"


def _policy(name: str, ends: tuple[str, str], service: tuple[str, str], direction: str, version: int) -> list[str]:
    source, destination = ends if direction == "outbound" else ends[::-1]
    tail = "" if version == 4 else "6"
    return [
        "    edit 0",
        f"        set name {_quoted(name)}",
        '        set srcintf "any"',
        '        set dstintf "any"',
        f"        set srcaddr{tail} {_quoted(source)}",
        f"        set dstaddr{tail} {_quoted(destination)}",
        '        set schedule "always"',
        f"        set service {_quoted(f'{STEM}-{service[0]}-{service[1]}')}",
        "        set action accept",
        "    next",
    ]


FORTIGATE = Format(
    name="fortigate", title="FortiGate CLI", suffix=".conf", write=_fortigate, udp_names=True, udp_wildcards=True
)
