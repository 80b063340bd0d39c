"""A client's own rules, whatever firewall they come from: one record per line that decides about traffic."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from ccp_assess.errors import ParseError
from ccp_assess.prefixes import Prefix, Spans, intersect, parse_address, parse_prefix, subtract, union

Addresses = tuple[Spans, Spans]
"""A set of IPv4 and one of IPv6 addresses."""

EVERY_PORT = (0, 65535)

ANY_V4: Addresses = (((0, 2**32 - 1),), ())
ANY_V6: Addresses = ((), ((0, 2**128 - 1),))

SERVICE_PORTS = {
    "https": 443,
    "http": 80,
    "www": 80,
    "domain": 53,
    "dns": 53,
    "ssh": 22,
    "ftp": 21,
    "smtp": 25,
    "telnet": 23,
    "ntp": 123,
    "snmp": 161,
    "stun": 3478,
    "sip": 5060,
    "ldap": 389,
    "ldaps": 636,
    "pop3": 110,
    "imap4": 143,
    "isakmp": 500,
    "tftp": 69,
    "syslog": 514,
}
"""Names of ports as firewalls print them (IANA registry)."""


class ClientRule(NamedTuple):
    """One line of a client's rules.

    ``source`` and ``destination`` are ``None`` for any address; ``hosts`` are names that the rule is for instead of
    addresses. ``group`` names the list that the line belongs to: within a list the first match decides.
    """

    line: int
    text: str
    allow: bool
    direction: str
    transport: str
    low: int
    high: int
    source: Addresses | None
    destination: Addresses | None
    hosts: tuple[str, ...]
    group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRules:
    """All rules of one file.

    Parameters
    ----------
    format
        What the file was taken for.
    rules
        In the order in which they decide.
    dedicated
        Whether the file lists nothing but this service (a plain list, a table of ours).
    notes
        Sentences on what was not understood.
    """

    format: str
    rules: tuple[ClientRule, ...]
    dedicated: bool = False
    notes: tuple[str, ...] = ()


class Skipped:
    """Counts what a reader could not take in, so that one sentence per reason reaches the user."""

    def __init__(self) -> None:
        self._seen: dict[str, list[int]] = {}

    def add(self, reason: str, line: int) -> None:
        """Note one line."""
        self._seen.setdefault(reason, []).append(line)

    def notes(self) -> tuple[str, ...]:
        """Return a sentence per reason, each on one line: names in a file may hold line breaks."""
        return tuple(
            f"{len(lines)} line{'s' if len(lines) > 1 else ''} not taken in ({' '.join(reason.split())}), "
            f"the first is line {lines[0]}"
            for reason, lines in self._seen.items()
        )


def of_prefixes(prefixes: Iterable[Prefix]) -> Addresses:
    """Return the set of addresses that blocks hold."""
    blocks = list(prefixes)
    if len(blocks) == 1:  # the common case, a hundred thousand times
        block = blocks[0]
        span = ((block.first, block.last),)
        return (span, ()) if block.version == 4 else ((), span)
    return (
        union((p.first, p.last) for p in blocks if p.version == 4),
        union((p.first, p.last) for p in blocks if p.version == 6),
    )


def of_range(low: str, high: str) -> Addresses:
    """Return the addresses from one to another, both included."""
    (version, first), (other, last) = parse_address(low), parse_address(high)
    if version != other or last < first:
        raise ParseError(f"{low}-{high} is no range of addresses")
    return (((first, last),), ()) if version == 4 else ((), ((first, last),))


def merged(sets: Iterable[Addresses | None]) -> Addresses | None:
    """Return the union of sets; ``None`` (any) takes everything in."""
    listed = list(sets)
    known = [one for one in listed if one is not None]
    if len(known) < len(listed):
        return None
    return union(s for one in known for s in one[0]), union(s for one in known for s in one[1])


def common(one: Addresses | None, other: Addresses | None) -> Addresses | None:
    """Return the intersection of sets; ``None`` stands for any."""
    if one is None:
        return other
    if other is None:
        return one
    if other is ANY_V4:  # one family of a firewall, asked for with every line
        return one if not one[1] else (one[0], ())
    if other is ANY_V6:
        return one if not one[0] else ((), one[1])
    return intersect(one[0], other[0]), intersect(one[1], other[1])


def complement(one: Addresses) -> Addresses:
    """Return every address that is not in a set."""
    return subtract(ANY_V4[0], one[0]), subtract(ANY_V6[1], one[1])


def all_but(ports: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Return every port that is in none of the ranges.

    Examples
    --------
    >>> all_but([(443, 443)])
    ((0, 442), (444, 65535))
    """
    return subtract((EVERY_PORT,), union(ports))


def without(rule: ClientRule, out: ClientRule) -> list[ClientRule]:
    """Return a rule for all its traffic but that of another, in pieces: what a ``return`` sends back passes it by."""
    if rule.transport == "any" and out.transport != "any":
        return [part for one in ("tcp", "udp") for part in without(rule._replace(transport=one), out)]
    low, high = max(rule.low, out.low), min(rule.high, out.high)
    if out.transport not in {"any", rule.transport} or low > high:
        return [rule]
    parts = [rule._replace(low=rule.low, high=low - 1)] if rule.low < low else []
    parts += [rule._replace(low=high + 1, high=rule.high)] if high < rule.high else []
    both = rule._replace(low=low, high=high)
    if out.destination is not None:
        parts.append(both._replace(destination=common(both.destination, complement(out.destination))))
        both = both._replace(destination=common(both.destination, out.destination))
    if out.source is not None:
        parts.append(both._replace(source=common(both.source, complement(out.source))))
    return [part for part in parts if ((), ()) not in (part.source, part.destination)]


@lru_cache(maxsize=4096)
def read_port(text: str) -> int:
    """Read a port by number or by its usual name."""
    word = text.strip().lower()
    if re.fullmatch(r"[0-9]{1,5}", word) and int(word) <= 65535:
        return int(word)
    if word in SERVICE_PORTS:
        return SERVICE_PORTS[word]
    raise ParseError(f"{text[:40]!r} is no port")


def read_ports(text: str, separator: str = "-") -> tuple[int, int]:
    """Read a port or a range of ports; an empty text stands for every port."""
    low, _, high = text.strip().partition(separator)
    if not low and not high:
        return EVERY_PORT
    first, last = read_port(low), read_port(high or low)
    if last < first:
        raise ParseError(f"{text[:40]!r} is no range of ports")
    return first, last


@lru_cache(maxsize=256)
def dotted_mask_length(mask: str) -> int:
    """Read a netmask such as 255.255.224.0 as a length.

    Examples
    --------
    >>> dotted_mask_length("255.255.224.0")
    19
    """
    _, value = parse_address(mask)
    length = value.bit_count()
    if value != ((1 << 32) - 1) ^ ((1 << (32 - length)) - 1):
        raise ParseError(f"{mask!r} is no netmask")
    return length


def of_masked(address: str, mask: str) -> Addresses:
    """Return the addresses of a block given with a dotted netmask."""
    return of_prefixes([parse_prefix(f"{address}/{dotted_mask_length(mask)}", strict=False)])
