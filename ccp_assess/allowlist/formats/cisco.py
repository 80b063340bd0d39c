"""Cisco ASA (object groups, FQDN objects, netmasks) and IOS (object groups, one access list per IP version)."""

from __future__ import annotations

from ccp_assess.allowlist.formats.base import Entry, Fitted, Format, address_of, lines, netmask, object_names
from ccp_assess.prefixes import Prefix

GROUP = "CCP"


def _asa_member(block: Prefix) -> str:
    if block.version == 6:
        return f"network-object {block.text}"
    if block.length == 32:
        return f"network-object host {address_of(block)}"
    return f"network-object {address_of(block)} {netmask(block)}"


def _group(name: str, description: str, members: list[str]) -> list[str]:
    return [f"object-group network {name}", f" description {description[:180]}", *(f" {member}" for member in members)]


def _operator(entry: Entry) -> str:
    low, high = entry.ports
    return f"eq {low}" if low == high else f"range {low} {high}"


def _asa(fitted: Fitted) -> str:
    near = "any"
    out = fitted.heading("!")
    if fitted.subnets:
        near = f"object-group {GROUP}-WORKSTATIONS"
        out += _group(f"{GROUP}-WORKSTATIONS", "Workstations", [_asa_member(subnet) for subnet in fitted.subnets])
    rules: list[str] = []
    for direction in ("outbound", "inbound"):
        for (transport, port), entries in fitted.groups(fitted.blocks(direction)).items():
            name = f"{GROUP}-{direction.upper()}-{transport.upper()}-{port}"
            out += _group(name, entries[0].comment, [_asa_member(entry.block) for entry in entries if entry.block])
            rules.append(f"access-list {GROUP}-{direction.upper()} remark {entries[0].comment[:90]}")
            if direction == "outbound":
                rules.append(
                    f"access-list {GROUP}-OUTBOUND extended permit {transport} {near} object-group {name} "
                    f"{_operator(entries[0])}"
                )
            else:
                rules.append(
                    f"access-list {GROUP}-INBOUND extended permit udp object-group {name} eq 3478 {near} "
                    f"{_operator(entries[0])}"
                )
    for (transport, port), entries in fitted.groups(fitted.names).items():
        for name, entry in object_names(entries, GROUP):
            out += [f"object network {name}", f" fqdn {entry.host.lower()}"]
            rules.append(f"access-list {GROUP}-OUTBOUND extended permit {transport} {near} object {name} eq {port}")
    return lines(out, rules, [f"! access-group {GROUP}-OUTBOUND in interface INSIDE   (put in your interface)"])


def _ios_member(block: Prefix) -> str:
    if block.length == 32:
        return f"host {address_of(block)}"
    return f"{address_of(block)} {netmask(block)}"


def _ios(fitted: Fitted) -> str:
    out = fitted.heading("!")
    four: list[str] = []
    six: list[str] = []
    near = "any"
    if fitted.sources(4):
        near = f"object-group {GROUP}-WORKSTATIONS"
        out += _group(f"{GROUP}-WORKSTATIONS", "Workstations", [_ios_member(s) for s in fitted.sources(4)])
    for direction in ("outbound", "inbound"):
        if fitted.serves(4):
            for (transport, port), entries in fitted.groups(fitted.blocks(direction, 4)).items():
                name = f"{GROUP}-{direction.upper()}-{transport.upper()}-{port}"
                out += _group(name, entries[0].comment, [_ios_member(entry.block) for entry in entries if entry.block])
                operator = _operator(entries[0])
                four += [f" remark {entries[0].comment[:90]}"]
                four += (
                    [f" permit {transport} {near} object-group {name} {operator}"]
                    if direction == "outbound"
                    else [f" permit udp object-group {name} eq 3478 {near} {operator}"]
                )
        if fitted.serves(6):
            own = [source.text for source in fitted.sources(6)] or ["any"]
            for entry in fitted.blocks(direction, 6):
                six += [
                    f" permit {entry.transport} {source} {entry.text} {_operator(entry)}"
                    if direction == "outbound"
                    else f" permit udp {entry.text} eq 3478 {source} {_operator(entry)}"
                    for source in own
                ]
    return lines(
        out,
        [f"ip access-list extended {GROUP}", *four] if four else [],
        [f"ipv6 access-list {GROUP}-V6", *six] if six else [],
        ["! ip access-group CCP in / ipv6 traffic-filter CCP-V6 in   (on your inside interface)"],
    )


ASA = Format(name="cisco-asa", title="Cisco ASA", suffix=".txt", write=_asa, wildcards=False, udp_names=True)
IOS = Format(name="cisco-ios", title="Cisco IOS", suffix=".txt", write=_ios, names=False)
