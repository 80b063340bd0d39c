"""`nft list ruleset`: sets, chains with their policy, and the rules that decide about addresses and ports."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

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
    of_prefixes,
    of_range,
    read_ports,
    without,
)
from ccp_assess.errors import ParseError
from ccp_assess.prefixes import parse_prefix

_TOKEN = re.compile(r"\"(?:[^\"\\]|\\.)*\"|[{}]|!=|[^\s{},;]+|[,;\n]")
_HOOKS = {"forward": "both", "output": "outbound", "input": "inbound"}
_DEEPEST = 12


@dataclass(slots=True)
class _Chain:
    family: str = "inet"
    hook: str | None = None
    accepts: bool = True
    rules: list[tuple[int, list[str]]] = field(default_factory=list)


def read_nft(text: str) -> ClientRules:
    """Read the output of ``nft list ruleset``.

    Parameters
    ----------
    text
        The file.

    Returns
    -------
    rules
        Of the chains that hang on the hooks forward, output and input.
    """
    skipped = Skipped()
    sets: dict[str, list[str]] = {}
    chains: dict[str, _Chain] = {}
    _collect(text, sets, chains)
    rules: list[ClientRule] = []
    for name, chain in chains.items():
        if chain.hook in _HOOKS:
            direction = _HOOKS[chain.hook]
            rules += _follow(name, direction, name, chains, sets, skipped, 0)
            if chain.accepts:
                told = f"{name} policy accept"
                rules.append(ClientRule(0, told, True, direction, "any", *EVERY_PORT, None, None, (), name))
    return ClientRules(format="nft list ruleset", rules=tuple(rules), notes=skipped.notes())


def _collect(text: str, sets: dict[str, list[str]], chains: dict[str, _Chain]) -> None:
    """Cut the text into sets and chains; braces nest: table, then set or chain, then elements."""
    text = re.sub(r"(?m)^[ \t]*#.*$", "", text)  # the line stays, so that lines keep their numbers
    stack: list[tuple[str, str]] = []
    statement: list[str] = []
    number = 1
    words = [(found.group(), found.start()) for found in _TOKEN.finditer(text)]
    lines = 0
    position = 0
    for word, start in words:
        lines += text.count("\n", position, start)
        position = start
        number = lines + 1
        kind = stack[-1][0] if stack else ""
        if word == "{":
            opener = statement[0] if statement else ""
            if kind == "chain":  # an anonymous set inside a rule
                stack.append(("anonymous", ""))
                statement.append(word)
                continue
            if opener in {"table", "chain", "set", "map"}:
                family = statement[1] if len(statement) > 2 else "ip"
                stack.append((opener, family if opener == "table" else statement[-1]))
                if opener == "chain":
                    chains.setdefault(statement[-1], _Chain(family=stack[0][1]))
                statement = []
            elif opener == "elements":
                stack.append(("elements", stack[-1][1] if stack else ""))
                statement = []
            else:
                stack.append(("other", ""))
                statement = []
        elif word == "}":
            if kind == "anonymous":
                stack.pop()
                statement.append(word)
                continue
            if kind == "chain":
                _statement(chains[stack[-1][1]], statement, number)
            if kind == "elements":
                sets.setdefault(stack[-1][1], []).extend(statement)
            statement = []
            if stack:
                stack.pop()
        elif word in {"\n", ";"}:
            if kind == "chain":
                _statement(chains[stack[-1][1]], statement, number)
                statement = []
            elif kind in {"set", "map", "table", ""}:
                statement = []
        elif word == ",":
            if kind == "anonymous":
                statement.append(word)
        else:
            statement.append(word)


def _statement(chain: _Chain, words: list[str], number: int) -> None:
    if not words:
        return
    if words[0] == "type" and "hook" in words:
        chain.hook = words[words.index("hook") + 1] if words.index("hook") + 1 < len(words) else None
        return
    if words[0] == "policy":
        chain.accepts = len(words) > 1 and words[1] == "accept"
        return
    chain.rules.append((number, list(words)))


@dataclass(slots=True)
class _Match:
    transport: str = "any"
    ports: tuple[tuple[int, int], ...] = (EVERY_PORT,)
    source: Addresses | None = None
    destination: Addresses | None = None
    verdict: str = ""
    jump: str = ""
    established: bool = False
    family: str = ""


def _follow(
    name: str,
    direction: str,
    group: str,
    chains: dict[str, _Chain],
    sets: dict[str, list[str]],
    skipped: Skipped,
    depth: int,
) -> list[ClientRule]:
    rules: list[ClientRule] = []
    sent_back: list[ClientRule] = []
    if depth > _DEEPEST or name not in chains:
        return rules
    for number, words in chains[name].rules:
        try:
            match = _match(words, sets)
            # A rule about IPv4 says nothing about IPv6, and a table of one family sees no other.
            family = {"ip": ANY_V4, "ip6": ANY_V6}.get(match.family or chains[name].family)
            match.destination = common(match.destination, family)
        except (ParseError, IndexError) as error:
            skipped.add(str(error), number)
            continue
        if match.established or match.transport == "other":
            continue
        if match.jump:
            inner = _follow(match.jump, direction, group, chains, sets, skipped, depth + 1)
            found = [narrowed for rule in inner for narrowed in _narrow(rule, match)]
        else:
            found = [
                ClientRule(
                    number,
                    " ".join(words)[:200],
                    match.verdict == "accept",
                    direction,
                    match.transport,
                    low,
                    high,
                    match.source,
                    match.destination,
                    (),
                    group,
                )
                for low, high in match.ports
                if match.verdict
            ]
        if match.verdict == "return":
            sent_back += found
            continue
        for out in sent_back:
            found = [part for rule in found for part in without(rule, out)]
        rules += found
    return rules


def _narrow(rule: ClientRule, match: _Match) -> list[ClientRule]:
    transport = match.transport if rule.transport == "any" else rule.transport
    if match.transport not in {"any", transport}:
        return []
    return [
        rule._replace(
            transport=transport,
            low=max(low, rule.low),
            high=min(high, rule.high),
            source=common(rule.source, match.source),
            destination=common(rule.destination, match.destination),
        )
        for low, high in match.ports
        if max(low, rule.low) <= min(high, rule.high)
    ]


def _match(words: list[str], sets: dict[str, list[str]]) -> _Match:
    match = _Match()
    at = 0
    while at < len(words):
        word = words[at]
        if word in {"ip", "ip6"} and at + 1 < len(words) and words[at + 1] in {"saddr", "daddr"}:
            values, negated, after = _values(words, at + 2, sets)
            found = merged(_addresses(value) for value in values)
            found = complement(found) if negated and found is not None else found
            match.family = word
            if words[at + 1] == "saddr":
                match.source = common(match.source, found)
            else:
                match.destination = common(match.destination, found)
            at = after
        elif word in {"tcp", "udp", "th"} and at + 1 < len(words) and words[at + 1] in {"dport", "sport"}:
            values, negated, after = _values(words, at + 2, sets)
            if word != "th":
                match.transport = word
            if words[at + 1] == "dport":
                ports = tuple(read_ports(value) for value in values)
                match.ports = all_but(ports) if negated else ports
            at = after
        elif word in {"l4proto", "protocol", "nexthdr"}:
            values, _, at = _values(words, at + 1, sets)
            known = [value for value in values if value in {"tcp", "udp"}]
            match.transport = known[0] if len(values) == 1 and known else ("any" if len(known) == 2 else "other")
        elif word == "ct" and at + 1 < len(words) and words[at + 1] == "state":
            values, _, at = _values(words, at + 2, sets)
            match.established = "new" not in values
        elif word in {"icmp", "icmpv6"}:
            match.transport = "other"
            at += 1
        elif word in {"jump", "goto"}:
            match.jump = words[at + 1]
            at += 2
        elif word in {"hour", "day"} or (word == "time" and words[at - 1 : at] == ["meta"]):
            raise ParseError("only at certain times")
        elif word in {"accept", "drop", "reject", "return"}:
            match.verdict = word
            at += 1
        elif word in {"oifname", "iifname", "oif", "iif"} and any(
            part.strip('"') == "lo" for part in words[at : at + 3]
        ):
            match.transport = "other"  # the machine talking to itself
            at += 1
        else:
            at += 1
    return match


def _values(words: list[str], at: int, sets: dict[str, list[str]]) -> tuple[list[str], bool, int]:
    negated = words[at] == "!="
    at += negated
    if words[at] in {"==", "vmap"}:
        if words[at] == "vmap":
            raise ParseError("a verdict map")
        at += 1
    if words[at] == "{":
        end = words.index("}", at) if "}" in words[at:] else len(words)
        return [word for word in words[at + 1 : end] if word != ","], negated, end + 1
    if words[at].startswith("@"):
        name = words[at][1:]
        if name not in sets:
            raise ParseError(f"the set {name[:40]} is not in the file")
        return sets[name], negated, at + 1
    values = [words[at]]
    while at + 2 < len(words) and words[at + 1] == ",":
        values.append(words[at + 2])
        at += 2
    return values, negated, at + 1


def _addresses(value: str) -> Addresses:
    low, dash, high = value.partition("-")
    return of_range(low, high) if dash else of_prefixes([parse_prefix(value, strict=False)])
