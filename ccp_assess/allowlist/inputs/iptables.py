"""`iptables-save` and `ip6tables-save`: chains are followed, so that a jump counts as what it leads to."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace

from ccp_assess.allowlist.inputs.model import (
    ANY_V4,
    ANY_V6,
    EVERY_PORT,
    Addresses,
    ClientRule,
    ClientRules,
    Skipped,
    common,
    complement,
    dotted_mask_length,
    of_prefixes,
    of_range,
    read_ports,
)
from ccp_assess.errors import ParseError
from ccp_assess.prefixes import parse_prefix

_DEEPEST = 12
_PROTOCOLS = {"tcp": "tcp", "udp": "udp", "all": "any", "0": "any", "6": "tcp", "17": "udp"}
_HARMLESS = {"conntrack", "state", "comment", "tcp", "udp", "multiport", "iprange", "set"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    number: int
    text: str
    target: str
    transport: str
    ports: tuple[tuple[int, int], ...]
    source: Addresses | None
    destination: Addresses | None
    established: bool


def read_iptables(text: str) -> ClientRules:
    """Read the output of ``iptables-save`` or ``ip6tables-save``; ``ipset save`` lines may stand with it.

    Parameters
    ----------
    text
        The file.

    Returns
    -------
    rules
        Of the chains FORWARD, OUTPUT and INPUT of the table ``filter``.
    """
    skipped = Skipped()
    sets: dict[str, list[str]] = {}
    sections: list[tuple[int, list[str]]] = [(0, [])]
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.strip()
        if bare.startswith("*"):
            sections.append((number, []))
        if bare.startswith("add ") and len(bare.split()) >= 3:
            sets.setdefault(bare.split()[1], []).append(bare.split()[2].split(",")[0])
        sections[-1][1].append(bare)
    rules: list[ClientRule] = []
    for count, (first, lines) in enumerate(sections):
        if not lines or (first and lines[0] != "*filter"):
            continue
        rules += _section(max(first, 1), lines, sets, skipped, f" ({count})" if len(sections) > 2 else "")
    return ClientRules(format="iptables-save", rules=tuple(rules), notes=skipped.notes())


def _section(first: int, lines: list[str], sets: dict[str, list[str]], skipped: Skipped, mark: str) -> list[ClientRule]:
    chains: dict[str, list[_Line]] = {}
    policies: dict[str, str] = {}
    for number, bare in enumerate(lines, first):
        if bare.startswith(":"):
            words = bare[1:].split()
            policies[words[0]] = words[1] if len(words) > 1 else "-"
        elif bare.startswith(("-A ", "-I ")):
            try:
                chain, read = _line(number, bare, sets)
                chains.setdefault(chain, []).append(read)
            except (ParseError, ValueError, IndexError) as error:
                skipped.add(str(error), number)
    # iptables and ip6tables print alike; only their addresses (and the ICMP they know) tell them apart.
    held = [side for rows in chains.values() for line in rows for side in (line.source, line.destination) if side]
    six = any(side[1] and not side[0] for side in held)
    six = six or any("icmp6" in bare or "icmpv6" in bare or "ip6tables" in bare for bare in lines)
    family = ANY_V6 if six else ANY_V4
    rules: list[ClientRule] = []
    for chain, direction in (("FORWARD", "both"), ("OUTPUT", "outbound"), ("INPUT", "inbound")):
        rules += _follow(chain, direction, chain + mark, chains, None, 0)
        if policies.get(chain) == "ACCEPT" and (chains.get(chain) or chain == "FORWARD"):
            told = f":{chain} ACCEPT"
            rules.append(ClientRule(0, told, True, direction, "any", *EVERY_PORT, None, None, (), chain + mark))
    return [rule._replace(destination=common(rule.destination, family)) for rule in rules]


def _line(number: int, text: str, sets: dict[str, list[str]]) -> tuple[str, _Line]:
    words = shlex.split(text) if '"' in text else text.split()
    chain, at = words[1], 2
    target, transport = "", "any"
    ports: tuple[tuple[int, int], ...] = (EVERY_PORT,)
    source: Addresses | None = None
    destination: Addresses | None = None
    established = negated = False
    while at < len(words):
        word = words[at]
        value = words[at + 1] if at + 1 < len(words) else ""
        at += 2
        if word == "!":
            negated, at = True, at - 1
            continue
        if word in {"-s", "--source"}:
            source = _flip(of_prefixes([parse_prefix(_cidr(part), strict=False) for part in value.split(",")]), negated)
        elif word in {"-d", "--destination"}:
            found = of_prefixes([parse_prefix(_cidr(part), strict=False) for part in value.split(",")])
            destination = _flip(found, negated)
        elif word in {"--dst-range", "--src-range"}:
            low, _, high = value.partition("-")
            found = _flip(of_range(low, high), negated)
            source, destination = (found, destination) if word == "--src-range" else (source, found)
        elif word == "--match-set":
            side, at = (words[at] if at < len(words) else ""), at + 1
            if value not in sets:
                raise ParseError(f"the ipset {value[:40]} is not in the file")
            found = _flip(of_prefixes([parse_prefix(part, strict=False) for part in sets[value]]), negated)
            source, destination = (found, destination) if side.startswith("src") else (source, found)
        elif word in {"-p", "--protocol"}:
            transport = {"tcp": "tcp", "udp": "udp", "all": "any", "0": "any", "6": "tcp", "17": "udp"}.get(
                value, "other"
            )
        elif word in {"--dport", "--destination-port", "--dports", "--destination-ports"}:
            ports = tuple(read_ports(part, ":") for part in value.split(","))
            if negated:
                raise ParseError("a negated port")
        elif word in {"--ctstate", "--state"}:
            states = set(value.split(","))
            established = "NEW" not in states
        elif word in {"-j", "--jump", "-g", "--goto"}:
            target = value
        elif word == "-m" and value not in _HARMLESS:
            raise ParseError(f"the match {value[:40]} narrows the rule in a way that is not understood")
        elif word in {"--sport", "--source-port", "--sports", "-i", "-o", "--comment", "--reject-with", "-m"}:
            pass  # does not change whom the workstations may reach
        elif word.startswith("-"):
            if value.startswith("-"):
                at -= 1
        else:
            at -= 1
        negated = False
    return chain, _Line(
        number=number,
        text=text,
        target=target,
        transport=transport,
        ports=ports,
        source=source,
        destination=destination,
        established=established,
    )


def _cidr(text: str) -> str:
    address, slash, mask = text.partition("/")
    if slash and "." in mask:
        return f"{address}/{dotted_mask_length(mask)}"
    return text


def _flip(found: Addresses, negated: bool) -> Addresses:  # noqa: FBT001
    return complement(found) if negated else found


def _follow(
    chain: str, direction: str, group: str, chains: dict[str, list[_Line]], outer: _Line | None, depth: int
) -> list[ClientRule]:
    """Return the rules of a chain as a flat list; a jump is replaced by what it leads to."""
    rules: list[ClientRule] = []
    if depth > _DEEPEST:
        return rules
    for inner in chains.get(chain, ()):
        line = _narrowed(inner, outer)
        if line is None or line.established or line.transport == "other":
            continue  # answers to what was allowed already, or another protocol
        if line.target in {"ACCEPT", "DROP", "REJECT"}:
            rules += [
                ClientRule(
                    inner.number,
                    inner.text,
                    line.target == "ACCEPT",
                    direction,
                    line.transport,
                    low,
                    high,
                    line.source,
                    line.destination,
                    (),
                    group,
                )
                for low, high in line.ports
            ]
        elif line.target in chains:
            rules += _follow(line.target, direction, group, chains, line, depth + 1)
    return rules


def _narrowed(line: _Line, outer: _Line | None) -> _Line | None:
    if outer is None:
        return line
    transport = outer.transport if line.transport == "any" else line.transport
    if outer.transport not in {"any", transport}:
        return None
    ports = tuple(
        (max(low, other_low), min(high, other_high))
        for low, high in line.ports
        for other_low, other_high in outer.ports
        if max(low, other_low) <= min(high, other_high)
    )
    return replace(
        line,
        transport=transport,
        ports=ports,
        source=common(line.source, outer.source),
        destination=common(line.destination, outer.destination),
        established=line.established or outer.established,
    )
