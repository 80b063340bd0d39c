"""FortiGate: the `config … edit … set … next end` of a backup or of `show firewall`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from ccp_assess.allowlist.inputs.model import (
    ANY_V4,
    ANY_V6,
    EVERY_PORT,
    Addresses,
    ClientRule,
    ClientRules,
    Skipped,
    all_but,
    common,
    complement,
    merged,
    of_masked,
    of_prefixes,
    of_range,
    read_ports,
)
from ccp_assess.errors import ParseError
from ccp_assess.prefixes import parse_prefix, subtract

_DEEPEST = 12
_PREDEFINED: dict[str, list[tuple[str, int, int]]] = {
    "ALL": [("any", *EVERY_PORT)],
    "ALL_TCP": [("tcp", 1, 65535)],
    "ALL_UDP": [("udp", 1, 65535)],
    "HTTPS": [("tcp", 443, 443)],
    "HTTP": [("tcp", 80, 80)],
    "DNS": [("tcp", 53, 53), ("udp", 53, 53)],
    "SSH": [("tcp", 22, 22)],
    "NTP": [("udp", 123, 123), ("tcp", 123, 123)],
    "PING": [],
    "ALL_ICMP": [],
}

_LONGEST_TEXT_LINES = 2000
_POLICIES = {"firewall policy": "", "firewall policy6": "6"}
"""Tables of policies; before FortiOS 6.4 those for IPv6 stood apart, and named IPv6 addresses without the 6."""

_PROTOCOLS = {"0": "any", "6": "tcp", "17": "udp"}

Entries = dict[str, dict[str, list[str]]]
Domain = dict[str, Entries]
"""The tables of one virtual domain."""


def read_fortigate(text: str) -> ClientRules:
    """Read a configuration, or its firewall part alone.

    Parameters
    ----------
    text
        The file.

    Returns
    -------
    rules
        Of the firewall policies, in their order.
    """
    skipped = Skipped()
    domains: dict[str, Domain] = {}
    lines: dict[tuple[str, str, str], int] = {}
    stack: list[str] = []
    entry: list[str] = []
    for number, words in _statements(text, skipped):
        domain = entry[0] if stack[:1] == ["vdom"] else ""
        if words[0] == "config":
            stack.append(" ".join(words[1:]))
            entry.append("")
        elif words[0] == "end" and stack:
            stack.pop()
            entry.pop()
        elif words[0] == "edit" and stack and len(words) > 1:
            entry[-1] = words[1] if words[1] != "0" else f"0 line {number}"
            domains.setdefault(domain, {}).setdefault(stack[-1], {}).setdefault(entry[-1], {})
            lines.setdefault((domain, stack[-1], entry[-1]), number)
        elif words[0] == "next" and stack:
            entry[-1] = ""
        elif words[0] in {"set", "append"} and stack and entry[-1] and len(words) > 1:
            values = domains.setdefault(domain, {}).setdefault(stack[-1], {}).setdefault(entry[-1], {})
            held = values.setdefault(words[1], [])
            if words[0] == "set":
                held.clear()
            held.extend(words[2:])
    rules: list[ClientRule] = []
    for domain, tables in domains.items():
        for table, tail in _POLICIES.items():
            for name, policy in tables.get(table, {}).items():
                if policy.get("status") == ["disable"]:
                    continue
                number = lines[domain, table, name]
                try:
                    read = _expanded(tables, name, _with_tail(policy, tail), number)
                    rules += [row._replace(group=f"{row.group}{tail} {domain}".strip()) for row in read]
                except (ParseError, IndexError) as error:
                    skipped.add(str(error) or "cut short", number)
    return ClientRules(format="FortiGate configuration", rules=tuple(rules), notes=skipped.notes())


def _statements(text: str, skipped: Skipped) -> Iterator[tuple[int, list[str]]]:
    """Yield the words of each statement with its line; a text in quotes may go on over lines."""
    begun, first = "", 0
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if not begun and (not line.strip() or line.lstrip().startswith("#")):
            continue
        begun, first = (f"{begun}\n{line}", first) if begun else (line, number)
        try:
            words = _words(begun)
        except ValueError:
            if number - first > _LONGEST_TEXT_LINES or number == len(lines):
                skipped.add("quotes that do not close", first)
                begun = ""
            continue
        begun = ""
        if words:
            yield first, words


def _words(text: str) -> list[str]:
    if '"' not in text and "\\" not in text:
        return text.split()
    lexer = shlex.shlex(text, posix=True)
    lexer.quotes, lexer.commenters, lexer.whitespace_split = '"', "", True
    return list(lexer)


def _with_tail(policy: dict[str, list[str]], tail: str) -> dict[str, list[str]]:
    return {f"{key}{tail}" if key in {"srcaddr", "dstaddr"} else key: held for key, held in policy.items()}


def _expanded(tables: dict[str, Entries], name: str, policy: dict[str, list[str]], line: int) -> list[ClientRule]:
    allow = policy.get("action", ["deny"])[0] == "accept"
    if allow and policy.get("schedule", ["always"]) != ["always"]:
        raise ParseError(f"only at the times of the schedule {policy['schedule'][0][:60]}")
    if any(policy.get(key) == ["enable"] for key in ("internet-service", "internet-service6")):
        raise ParseError("for an Internet service, whose addresses are not in the file")
    source, _ = _both_sides(tables, policy, "srcaddr")
    destination, hosts = _both_sides(tables, policy, "dstaddr")
    text = f"policy {policy.get('name', [name])[0][:80]}"
    rows: list[ClientRule] = []
    services = _services(tables, policy.get("service", []))
    if policy.get("service-negate") == ["enable"]:
        services = [
            (transport, *ports)
            for transport in ("tcp", "udp")
            for ports in all_but((low, high) for proto, low, high in services if proto in {transport, "any"})
        ]
    for transport, low, high in services:
        row = ClientRule(line, text, allow, "both", transport, low, high, source, None, tuple(hosts), "policy")
        if hosts:
            rows.append(row)
        if destination is not None or not hosts:
            rows.append(row._replace(destination=destination, hosts=()))
    return rows


def _both_sides(
    tables: dict[str, Entries], policy: dict[str, list[str]], key: str
) -> tuple[Addresses | None, list[str]]:
    """Return the addresses of one side; each IP version has names of its own, and its own ``all``."""
    sets: list[Addresses] = []
    hosts: list[str] = []
    for names, tail, everything in ((policy.get(key, []), "", ANY_V4), (policy.get(f"{key}6", []), "6", ANY_V6)):
        found, named = _side(tables, names, tail)
        negated = policy.get(f"{key}{tail}-negate", policy.get(f"{key}-negate")) == ["enable"]
        if negated and named:
            raise ParseError("all but a name")
        hosts += named
        if names and (found is not None or not named):
            held = everything if found is None else found
            sets.append(common(complement(held), everything) or held if negated else held)
    return (merged(sets) if sets or not hosts else None), hosts


def _side(tables: dict[str, Entries], names: list[str], tail: str) -> tuple[Addresses | None, list[str]]:
    if "all" in names:
        return None, []
    found = [_resolve(tables, name, tail) for name in names]
    sets = [one for inner, _ in found for one in inner]
    hosts = [host for _, inner in found for host in inner]
    return (merged(sets) if sets or not hosts else None), hosts


def _resolve(tables: dict[str, Entries], name: str, tail: str, depth: int = 0) -> tuple[list[Addresses], list[str]]:
    if depth > _DEEPEST:
        raise ParseError(f"the group {name[:60]} holds itself")
    for table in (f"firewall addrgrp{tail}",):
        if name in tables.get(table, {}):
            group = tables[table][name]
            inner = [_resolve(tables, member, tail, depth + 1) for member in group.get("member", [])]
            sets = [one for found, _ in inner for one in found]
            if group.get("exclude") == ["enable"]:
                out = [_resolve(tables, member, tail, depth + 1) for member in group.get("exclude-member", [])]
                sets = [_less(merged(sets), merged([one for found, _ in out for one in found]))]
            return sets, [host for _, hosts in inner for host in hosts]
    for table in (f"firewall address{tail}",):
        if name in tables.get(table, {}):
            return _address(tables[table][name], name)
    raise ParseError(f"the address {name[:60]} is not in the file")


def _less(whole: Addresses | None, out: Addresses | None) -> Addresses:
    whole, out = whole or ((), ()), out or ((), ())
    return subtract(whole[0], out[0]), subtract(whole[1], out[1])


def _address(held: dict[str, list[str]], name: str) -> tuple[list[Addresses], list[str]]:
    for key in ("fqdn", "wildcard-fqdn"):
        if held.get(key):
            return [], [held[key][0].lower()]
    if held.get("start-ip") and held.get("end-ip"):
        return [of_range(held["start-ip"][0], held["end-ip"][0])], []
    if held.get("ip6"):
        return [of_prefixes([parse_prefix(held["ip6"][0], strict=False)])], []
    subnet = held.get("subnet", [])
    if len(subnet) == 2:
        return [of_masked(subnet[0], subnet[1])], []
    if len(subnet) == 1:
        return [of_prefixes([parse_prefix(subnet[0], strict=False)])], []
    raise ParseError(f"the address {name[:60]} has no subnet, range or name")


def _services(tables: dict[str, Entries], names: list[str], depth: int = 0) -> list[tuple[str, int, int]]:
    rows: list[tuple[str, int, int]] = []
    for name in names:
        custom = tables.get("firewall service custom", {}).get(name)
        group = tables.get("firewall service group", {}).get(name)
        if custom is not None:
            for key, transport in (("tcp-portrange", "tcp"), ("udp-portrange", "udp")):
                rows += [(transport, *read_ports(part.partition(":")[0])) for part in custom.get(key, [])]
            if custom.get("protocol") == ["IP"]:
                number = custom.get("protocol-number", ["0"])[0]
                rows += [(_PROTOCOLS[number], *EVERY_PORT)] if number in _PROTOCOLS else []
        elif group is not None and depth < _DEEPEST:
            rows += _services(tables, group.get("member", []), depth + 1)
        elif name in _PREDEFINED:
            rows += _PREDEFINED[name]
        else:
            raise ParseError(f"the service {name[:60]} is not in the file")
    return rows
