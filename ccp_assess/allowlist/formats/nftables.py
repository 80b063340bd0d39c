"""nftables: one table of its own, sets by interval, the rest dropped where every requirement could be written."""

from __future__ import annotations

from collections.abc import Sequence

from ccp_assess.allowlist.formats.base import Entry, Fitted, Format, blocks_only, lines
from ccp_assess.prefixes import Prefix

TABLE_NAME = "ccp_allowlist"
_WORD = {4: "ip", 6: "ip6"}


def _nftables(fitted: Fitted) -> str:
    blocks_only(fitted, "nftables")
    drops = not any(rule.kind != "cidr" for rule in fitted.allowlist.rules)
    policy = "drop" if drops else "accept"
    remark = (
        "# DNS is not in these rules: allow your own resolver beside them."
        if drops
        else "# Names are left out above, so nothing is dropped here: the table only opens."
    )
    allow, sets = _allow(fitted)
    return lines(
        ["#!/usr/sbin/nft -f", *fitted.heading("#"), remark],
        [f"table inet {TABLE_NAME}", f"delete table inet {TABLE_NAME}", f"table inet {TABLE_NAME} {{"],
        sets,
        ["\tchain allow {", *(f"\t\t{line}" for line in allow), "\t}"],
        ["\t# for a firewall in the way; delete the other chain there"],
        [
            "\tchain forward {",
            f"\t\ttype filter hook forward priority filter; policy {policy};",
            "\t\tjump allow",
            "\t}",
        ],
        ["\t# for the workstation itself; delete the other chain there"],
        [
            "\tchain output {",
            f"\t\ttype filter hook output priority filter; policy {policy};",
            '\t\toifname "lo" accept',
            "\t\ticmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert } accept",
            "\t\tjump allow",
            "\t}",
        ],
        ["}"],
    )


def _set(name: str, version: int, blocks: Sequence[Prefix]) -> list[str]:
    listed = ",\n\t\t\t     ".join(block.text for block in blocks)
    return [
        f"\tset {name} {{",
        f"\t\ttype ipv{version}_addr",
        "\t\tflags interval",
        f"\t\telements = {{ {listed} }}",
        "\t}",
    ]


def _allow(fitted: Fitted) -> tuple[list[str], list[str]]:
    stateless = fitted.allowlist.choices.stateless is not None
    allow = [] if stateless else ["ct state established,related accept"]
    if stateless:  # errors such as "packet too big" belong to connections that this firewall does not know
        allow += [
            "icmp type { destination-unreachable, time-exceeded } accept",
            "icmpv6 type { destination-unreachable, packet-too-big, time-exceeded } accept",
        ]
    sets: list[str] = []
    near = {}
    for version in (4, 6):
        if fitted.sources(version):
            sets += _set(f"workstations{version}", version, fitted.sources(version))
            near[version] = f"workstations{version}"
    for direction in ("outbound", "inbound"):
        for version in (4, 6):
            if not fitted.serves(version):
                continue
            for (transport, port), entries in fitted.groups(fitted.blocks(direction, version)).items():
                name = f"{direction}_{transport}_{port.replace('-', '_')}_v{version}"
                sets += _set(name, version, [entry.block for entry in entries if entry.block])
                allow += _rules(entries[0], name, near.get(version), _WORD[version], stateless=stateless)
    return allow, sets


def _rules(entry: Entry, name: str, near: str | None, ip: str, *, stateless: bool) -> list[str]:
    comment = f'comment "{entry.comment[:100]}"'
    own = f"{ip} saddr @{near} " if near else ""
    if entry.direction == "inbound":
        to = f"{ip} daddr @{near} " if near else ""
        return [f"{ip} saddr @{name} {to}udp sport 3478 udp dport {entry.port} accept {comment}"]
    rules = [f"{own}{ip} daddr @{name} {entry.transport} dport {entry.port} accept {comment}"]
    if stateless and entry.transport == "tcp":
        to = f"{ip} daddr @{near} " if near else ""
        # Answers only: every packet of a connection but the first one carries ACK or RST.
        rules.append(f"{ip} saddr @{name} {to}tcp sport {entry.port} tcp flags & (ack | rst) != 0 accept")
    return rules


NFTABLES = Format(name="nftables", title="nftables", suffix=".nft", write=_nftables, names=False)
