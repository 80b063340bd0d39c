"""Cisco ASA and IOS: object groups and access lists; ASA writes netmasks, IOS wildcard masks."""

from __future__ import annotations

import re

from ccp_assess.allowlist.inputs.model import (
    ANY_V4,
    ANY_V6,
    EVERY_PORT,
    Addresses,
    ClientRule,
    ClientRules,
    Skipped,
    common,
    merged,
    of_masked,
    of_prefixes,
    of_range,
    read_port,
)
from ccp_assess.errors import ParseError
from ccp_assess.prefixes import parse_address, parse_prefix, union

_DEEPEST = 12
_TRANSPORTS = frozenset({"tcp", "udp", "any"})
_STANDARD_LISTS = frozenset({*range(1, 100), *range(1300, 2000)})
"""Numbers of IOS's standard access lists."""


class _Objects:
    """Named objects and groups: addresses, names, services; groups may hold groups."""

    def __init__(self) -> None:
        self.addresses: dict[str, list[Addresses]] = {}
        self.hosts: dict[str, list[str]] = {}
        self.members: dict[str, list[str]] = {}
        self.services: dict[str, list[tuple[str, int, int]]] = {}
        self.protocols: dict[str, list[str]] = {}
        self.names: dict[str, str] = {}

    def resolve(self, name: str, depth: int = 0) -> tuple[Addresses | None, tuple[str, ...]]:
        """Return the addresses and the names behind an object or group."""
        known = name in self.addresses or name in self.hosts or name in self.members
        if not known or depth > _DEEPEST:
            raise ParseError(f"the object {name[:60]} is not in the file")
        inner = [self.resolve(member, depth + 1) for member in self.members.get(name, ())]
        sets = [*self.addresses.get(name, ()), *(found for found, _ in inner if found is not None)]
        hosts = (*self.hosts.get(name, ()), *(host for _, held in inner for host in held))
        return merged(sets) if sets else None, hosts

    def ports(self, name: str, depth: int = 0) -> list[tuple[str, int, int]]:
        """Return transport and ports behind a service object or group."""
        if depth > _DEEPEST or (name not in self.services and name not in self.members):
            raise ParseError(f"the service {name[:60]} is not in the file")
        inner = [row for member in self.members.get(name, ()) for row in self.ports(member, depth + 1)]
        return [*self.services.get(name, ()), *inner]


def read_cisco(text: str) -> ClientRules:
    """Read a configuration, or its access lists and objects alone.

    Parameters
    ----------
    text
        The file.

    Returns
    -------
    rules
        Of every access list; within one the first match decides.
    """
    skipped = Skipped()
    objects = _Objects()
    pending: list[tuple[int, str, list[str], str]] = []
    bound: set[str] = set()
    block: tuple[str, str] = ("", "")
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("!"):
            continue
        bound.update(_bound(words))
        if words[0] == "name" and len(words) > 2 and not line[0].isspace():
            objects.names[words[2]] = words[1]
        elif words[0] in {"object-group", "object"} and not line[0].isspace() and len(words) > 2:
            block = (words[1], words[2])
            objects.members.setdefault(words[2], [])
            if words[1].startswith("service") and len(words) > 3:
                block = (f"service {words[3]}", words[2])
        elif words[0] in {"ip", "ipv6"} and words[1:2] == ["access-list"]:
            block = (f"acl {words[0]}", words[-1])
        elif words[0] == "access-list" and len(words) > 3:
            block = ("", "")
            rest = words[2:]
            numbered = words[1].isdecimal() and rest[0] in {"permit", "deny"}  # ASA writes "extended", IOS nothing
            if numbered and int(words[1]) in _STANDARD_LISTS:
                continue  # these know the near side only
            if rest[0] in {"extended", "line"}:
                rest = rest[1:] if rest[0] == "extended" else rest[2:]
                rest = rest[1:] if rest and rest[0] == "extended" else rest
            pending.append((number, words[1], rest, "ip" if numbered else ""))
        elif block[0].startswith("acl") and line[0].isspace():
            rest = words[1:] if words[0].isdecimal() else words
            rest = rest[2:] if rest[:1] == ["sequence"] else rest
            pending.append((number, block[1], rest, block[0].partition(" ")[2]))
        elif block[0] and line[0].isspace():
            try:
                _member(objects, block, words)
            except (ParseError, IndexError) as error:
                skipped.add(str(error), number)
        else:
            block = ("", "")
    rules: list[ClientRule] = []
    unbound: dict[str, int] = {}
    for number, name, words, family in pending:
        if not words:  # the number of a line, and nothing after it
            skipped.add("cut short", number)
            continue
        if words[:1] in (["remark"], ["standard"]) or "inactive" in words or "established" in words:
            continue
        if bound and name not in bound:
            unbound.setdefault(name, number)
            continue
        if words[0] == "permit" and "time-range" in words:
            skipped.add("only at the times of a time-range", number)
            continue
        try:
            read = _entry(objects, number, name, words, ios=bool(family))
            # An access list of IOS knows one family: "any" in it means any of that family.
            every = {"ip": ANY_V4, "ipv6": ANY_V6}.get(family)
            rules += [row if row.hosts else row._replace(destination=common(row.destination, every)) for row in read]
        except (ParseError, IndexError) as error:
            skipped.add(str(error) or "cut short", number)
    for name, number in unbound.items():
        skipped.add(f"the access list {name[:60]} is bound to no interface", number)
    return ClientRules(format="Cisco access lists", rules=tuple(rules), notes=skipped.notes())


def _bound(words: list[str]) -> list[str]:
    """Return the access list that a line binds to an interface: only such lists filter what passes through."""
    if words[:1] == ["access-group"]:
        return words[1:2]
    if words[:2] == ["ip", "access-group"] or words[:2] == ["ipv6", "traffic-filter"]:
        return words[2:3]
    return []


def _member(objects: _Objects, block: tuple[str, str], words: list[str]) -> None:
    """Take in one line below an object or group."""
    kind, name = block
    words = words[1:] if words[0].isdecimal() else words
    head = words[0]
    if head in {"description", "nat"}:
        return
    if head == "protocol-object":
        objects.protocols.setdefault(name, []).append({"6": "tcp", "17": "udp", "ip": "any"}.get(words[1], words[1]))
        return
    if head == "group-object":
        objects.members[name].append(words[1])
    elif kind.startswith("service"):
        fixed = kind.partition(" ")[2]
        words = words[1:] if head in {"service-object", "port-object", "service"} else words
        if words[0] == "object":
            objects.members[name].append(words[1])
            return
        transports = [fixed] if fixed else [words.pop(0)]
        transports = ["tcp", "udp"] if transports[0] in {"tcp-udp", "ip"} else transports
        words = words[1:] if words[:1] in (["destination"], ["source"]) else words
        found, _ = _ports(words, 0)
        objects.services.setdefault(name, []).extend(
            (transport, *row) for transport in transports if transport in _TRANSPORTS for row in found
        )
    elif head == "fqdn":
        objects.hosts.setdefault(name, []).append(words[-1].lower())
    else:
        words = words[1:] if head in {"network-object", "subnet"} else words
        if words[0] == "object":
            objects.members[name].append(words[1])
            return
        objects.addresses.setdefault(name, []).append(_members_addresses(_numbers(objects, words)))


def _numbers(objects: _Objects, words: list[str]) -> list[str]:
    """Put addresses where the names stand that ASA's command `name` gave them."""
    return [objects.names.get(word, word) for word in words] if objects.names else words


def _members_addresses(words: list[str]) -> Addresses:
    if words[0] == "host":
        return of_prefixes([parse_prefix(words[1])])
    if words[0] == "range":
        return of_range(words[1], words[2])
    if words[0] == "any":
        return (ANY_V4[0], ANY_V6[1])
    if "/" in words[0] or ":" in words[0]:
        return of_prefixes([parse_prefix(words[0], strict=False)])
    if len(words) > 1 and re.fullmatch(r"[0-9.]+", words[1]):
        if words[1].startswith("/"):
            return of_prefixes([parse_prefix(words[0] + words[1], strict=False)])
        return of_masked(words[0], words[1])
    if len(words) > 1 and words[1].startswith("/"):
        return of_prefixes([parse_prefix(words[0] + words[1], strict=False)])
    return of_range(words[0], words[1]) if len(words) > 1 else of_prefixes([parse_prefix(words[0])])


def _entry(objects: _Objects, number: int, name: str, words: list[str], *, ios: bool) -> list[ClientRule]:
    """Read ``permit udp any object-group X eq 3478``."""
    text = " ".join(words)[:200]
    allow = words[0] == "permit"
    if words[0] not in {"permit", "deny"}:
        raise ParseError(f"{words[0][:30]!r} is neither permit nor deny")
    services: list[tuple[str, int, int]] | None = None
    at = 2
    transports = [{"6": "tcp", "17": "udp", "ip": "any", "ipv6": "any"}.get(words[1], words[1])]
    if words[1] in {"object-group", "object"}:
        at = 3
        if words[2] in objects.protocols:
            transports = objects.protocols[words[2]]
        else:
            services = objects.ports(words[2])
    transports = [one for one in transports if one in _TRANSPORTS]
    if services is None and not transports:
        return []  # ICMP and other protocols do not concern the softphone
    words = words[:at] + _numbers(objects, words[at:])
    side = _ios_side if ios else _asa_side
    source, _, at = side(objects, words, at)
    _, at = _ports(words, at, objects)
    destination, hosts, at = side(objects, words, at)
    far, at = _ports(words, at, objects)
    if words[at - 2 : at - 1] == ["object-group"] and services is None and words[at - 1] in objects.services:
        held = objects.ports(words[at - 1])
        services = [row for row in held if row[0] in transports or "any" in transports]
    found = services if services is not None else [(one, *row) for one in transports for row in far]
    return [
        ClientRule(number, text, allow, "both", proto, first, last, source, None if hosts else destination, hosts, name)
        for proto, first, last in found
    ] + (
        [
            ClientRule(number, text, allow, "both", proto, first, last, source, destination, (), name)
            for proto, first, last in found
        ]
        if hosts and destination is not None
        else []
    )


_Side = tuple[Addresses | None, tuple[str, ...], int]


def _side_common(objects: _Objects, words: list[str], at: int) -> _Side | None:
    word = words[at]
    if word == "any":
        return None, (), at + 1
    if word in {"any4", "any6"}:
        return (ANY_V4 if word == "any4" else ANY_V6), (), at + 1
    if word == "host":
        return of_prefixes([parse_prefix(words[at + 1])]), (), at + 2
    if word in {"object", "object-group"}:
        found, hosts = objects.resolve(words[at + 1])
        if found is None and not hosts:
            found = ((), ())
        return found, hosts, at + 2
    if "/" in word or ":" in word:
        return of_prefixes([parse_prefix(word, strict=False)]), (), at + 1
    return None


def _asa_side(objects: _Objects, words: list[str], at: int) -> _Side:
    found = _side_common(objects, words, at)
    return found or (of_masked(words[at], words[at + 1]), (), at + 2)


def _ios_side(objects: _Objects, words: list[str], at: int) -> _Side:
    found = _side_common(objects, words, at)
    return found or (_wildcard(words[at], words[at + 1]), (), at + 2)


def _wildcard(address: str, mask: str) -> Addresses:
    """Read an address with a wildcard mask: set bits do not matter."""
    _, base = parse_address(address)
    _, free = parse_address(mask)
    low_bits = (free + 1).bit_length() - 1 if free & (free + 1) == 0 else None
    if low_bits is not None:
        return of_prefixes([parse_prefix(f"{address}/{32 - low_bits}", strict=False)])
    bits = [bit for bit in range(32) if free >> bit & 1]
    if len(bits) > 12:
        raise ParseError(f"the wildcard mask {mask} has holes")
    values = [base & ~free]
    for bit in bits:
        values += [value | 1 << bit for value in values]
    return union((value, value) for value in values), ()


def _ports(words: list[str], at: int, objects: _Objects | None = None) -> tuple[list[tuple[int, int]], int]:
    """Read what stands about ports, as ranges of them, and where it ends."""
    word = words[at] if at < len(words) else ""
    if word == "eq":
        ports = [read_port(words[at + 1])]
        while at + 1 + len(ports) < len(words) and (more := _is_port(words[at + 1 + len(ports)])) is not None:
            ports.append(more)  # IOS takes several
        return [(port, port) for port in ports], at + 1 + len(ports)
    if word == "range":
        return [(read_port(words[at + 1]), read_port(words[at + 2]))], at + 3
    if word == "gt":
        return [(read_port(words[at + 1]) + 1, 65535)], at + 2
    if word == "lt":
        return [(0, read_port(words[at + 1]) - 1)], at + 2
    if word == "neq":
        port = read_port(words[at + 1])
        return [(low, high) for low, high in ((0, port - 1), (port + 1, 65535)) if low <= high], at + 2
    if word == "object-group" and objects is not None and at + 1 < len(words) and words[at + 1] in objects.services:
        return [(low, high) for _, low, high in objects.ports(words[at + 1])], at + 2
    return [EVERY_PORT], at


def _is_port(word: str) -> int | None:
    try:
        return read_port(word)
    except ParseError:
        return None
