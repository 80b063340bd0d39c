"""iptables and ip6tables, for `iptables-restore`: a chain of its own, the rest dropped."""

from __future__ import annotations

from ccp_assess.allowlist.formats.base import Entry, Fitted, Format, blocks_only, lines

CHAIN = "CCP_ALLOW"


def _iptables(fitted: Fitted) -> str:
    return _restore(fitted, 4)


def _ip6tables(fitted: Fitted) -> str:
    return _restore(fitted, 6)


def _restore(fitted: Fitted, version: int) -> str:
    blocks_only(fitted, "iptables")
    drops = not any(rule.kind != "cidr" for rule in fitted.allowlist.rules)
    policy = "DROP" if drops else "ACCEPT"
    other = "ip6tables" if version == 4 else "iptables"
    remark = (
        "# DNS is not in these rules: allow your own resolver beside them."
        if drops
        else "# Names are left out above, so nothing is dropped here: the rules only open."
    )
    return lines(
        fitted.heading("#"),
        [f"# IPv{version} only; the other version is --format {other}. This replaces the whole table filter.", remark],
        ["*filter", ":INPUT ACCEPT [0:0]", f":FORWARD {policy} [0:0]", f":OUTPUT {policy} [0:0]", f":{CHAIN} - [0:0]"],
        [f"-A FORWARD -j {CHAIN}", "-A OUTPUT -o lo -j ACCEPT", *_neighbours(version), f"-A OUTPUT -j {CHAIN}"],
        _allow(fitted, version),
        ["COMMIT"],
    )


def _neighbours(version: int) -> list[str]:
    if version == 4:
        return []
    # Without neighbour discovery (RFC 4861) no IPv6 packet leaves the machine at all.
    return [f"-A OUTPUT -p ipv6-icmp -m icmp6 --icmpv6-type {kind} -j ACCEPT" for kind in (133, 135, 136)]


def _allow(fitted: Fitted, version: int) -> list[str]:
    stateless = fitted.allowlist.choices.stateless is not None
    head = [] if stateless else [f"-A {CHAIN} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"]
    if stateless and version == 4:
        head = [f"-A {CHAIN} -p icmp -m icmp --icmp-type {kind} -j ACCEPT" for kind in (3, 11)]
    if stateless and version == 6:
        head = [f"-A {CHAIN} -p ipv6-icmp -m icmp6 --icmpv6-type {kind} -j ACCEPT" for kind in (1, 2, 3)]
    if not fitted.serves(version):
        return head
    near = [source.text for source in fitted.sources(version)] or [""]
    rules = [
        rule
        for direction in ("outbound", "inbound")
        for entry in fitted.blocks(direction, version)
        for source in near
        for rule in _rules(entry, source, stateless=stateless)
    ]
    return [*head, *rules]


def _rules(entry: Entry, source: str, *, stateless: bool) -> list[str]:
    comment = f'-m comment --comment "{entry.comment[:100]}" -j ACCEPT'
    proto = f"-p {entry.transport} -m {entry.transport}"
    ports = entry.port.replace("-", ":")
    if entry.direction == "inbound":
        to = f"-d {source} " if source else ""
        return [f"-A {CHAIN} -s {entry.text} {to}{proto} --sport 3478 --dport {ports} {comment}"]
    own = f"-s {source} " if source else ""
    rules = [f"-A {CHAIN} {own}-d {entry.text} {proto} --dport {ports} {comment}"]
    if stateless and entry.transport == "tcp":
        to = f"-d {source} " if source else ""
        rules.append(f"-A {CHAIN} -s {entry.text} {to}{proto} --sport {ports} ! --syn -j ACCEPT")
    return rules


IPTABLES = Format(
    name="iptables", title="iptables-restore", suffix=".rules", write=_iptables, names=False, versions=(4,)
)
IP6TABLES = Format(
    name="ip6tables", title="ip6tables-restore", suffix=".rules", write=_ip6tables, names=False, versions=(6,)
)
