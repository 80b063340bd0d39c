"""Exact arithmetic on IP addresses: prefixes, unions, differences and their sizes, without a data frame.

An address is an integer with its version; a set of addresses is a sorted tuple of disjoint spans ``(first, last)``.
Everything is exact, since an allowlist that is right by a rounding error is wrong.
"""

from __future__ import annotations

import ipaddress
import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ccp_assess.errors import ParseError

WIDTH_BITS = {4: 32, 6: 128}
"""Length of an address by IP version [bit]."""

Span = tuple[int, int]
"""First and last address of a run of addresses, both included."""

Spans = tuple[Span, ...]
"""Disjoint, sorted and not touching one another."""

# ASCII digits only: int() alone would accept other scripts, "+1" and "1_0".
_V4 = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:/(\d{1,2}))?", re.ASCII)
_LENGTH = re.compile(r"\d{1,3}", re.ASCII)


class Prefix(NamedTuple):
    """A block of addresses, such as ``15.193.0.0/19``; sorts by version, then address, then length."""

    version: int
    first: int
    length: int

    @property
    def last(self) -> int:
        """Last address of the block."""
        return self.first + (1 << (WIDTH_BITS[self.version] - self.length)) - 1

    @property
    def size(self) -> int:
        """Number of addresses in it."""
        return 1 << (WIDTH_BITS[self.version] - self.length)

    @property
    def text(self) -> str:
        """In CIDR notation."""
        return f"{address_text(self.version, self.first)}/{self.length}"

    def covers(self, other: Prefix) -> bool:
        """Tell whether the other block lies wholly inside this one."""
        return self.version == other.version and self.first <= other.first and other.last <= self.last


def address_text(version: int, value: int) -> str:
    """Write an address the usual way.

    Parameters
    ----------
    version
        4 or 6.
    value
        The address as a number.

    Returns
    -------
    text
        Dotted quad, or the shortest form of RFC 5952.

    Examples
    --------
    >>> address_text(4, 0x0FC10000)
    '15.193.0.0'
    """
    if version == 4:
        return f"{value >> 24}.{value >> 16 & 255}.{value >> 8 & 255}.{value & 255}"
    return str(ipaddress.IPv6Address(value))


def parse_address(text: str) -> tuple[int, int]:
    """Read one IPv4 or IPv6 address.

    Parameters
    ----------
    text
        Such as ``15.193.0.1`` or ``2600:f0f2::1``.

    Returns
    -------
    version
        4 or 6.
    value
        The address as a number.

    Raises
    ------
    ParseError
        If it is no address.
    """
    prefix = parse_prefix(text)
    if "/" in text:
        raise ParseError(f"{text!r} is a block of addresses, one address was expected")
    return prefix.version, prefix.first


def parse_prefix(text: str, *, strict: bool = True) -> Prefix:
    """Read a block of addresses in CIDR notation; a lone address is a block of one.

    Parameters
    ----------
    text
        Such as ``15.193.0.0/19``.
    strict
        Refuse bits beyond the length; otherwise they are cleared, as routers do.

    Returns
    -------
    prefix
        The block.

    Raises
    ------
    ParseError
        If the text is no block of addresses.

    Examples
    --------
    >>> parse_prefix("15.193.0.0/19").size
    8192
    """
    match = _V4.fullmatch(text)
    if match:
        a, b, c, d, bits = match.groups()
        octets = (int(a), int(b), int(c), int(d))
        length = 32 if bits is None else int(bits)
        if max(octets) > 255 or length > 32:
            raise ParseError(f"{text!r} is no IPv4 block: an octet is above 255 or the length above 32")
        return _aligned(4, octets[0] << 24 | octets[1] << 16 | octets[2] << 8 | octets[3], length, text, strict)
    address, slash, tail = text.partition("/")
    if ":" not in address or "%" in address or (slash and not _LENGTH.fullmatch(tail)):
        raise ParseError(f"{text[:80]!r} is neither an address nor a block such as 15.193.0.0/19")
    try:
        value = int(ipaddress.IPv6Address(address))
    except ValueError as error:
        raise ParseError(f"{text[:80]!r} is no IPv6 block: {error}") from error
    length = int(tail) if slash else 128
    if length > 128:
        raise ParseError(f"{text!r} is no IPv6 block: the length is above 128")
    return _aligned(6, value, length, text, strict)


def _aligned(version: int, value: int, length: int, text: str, strict: bool) -> Prefix:  # noqa: FBT001
    beyond = value & ((1 << (WIDTH_BITS[version] - length)) - 1)
    if beyond and strict:
        proper = Prefix(version, value - beyond, length).text
        raise ParseError(f"{text!r} has bits set beyond its length; did you mean {proper}?")
    return Prefix(version, value - beyond, length)


def union(spans: Iterable[Span]) -> Spans:
    """Merge spans that overlap or touch.

    Parameters
    ----------
    spans
        In any order.

    Returns
    -------
    spans
        Disjoint, sorted and not touching.

    Examples
    --------
    >>> union([(5, 9), (0, 4), (20, 30)])
    ((0, 9), (20, 30))
    """
    merged: list[Span] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1] + 1:
            if last > merged[-1][1]:
                merged[-1] = (merged[-1][0], last)
        else:
            merged.append((first, last))
    return tuple(merged)


def spans_of(prefixes: Iterable[Prefix], version: int) -> Spans:
    """Return the addresses of one version that the blocks hold together.

    Parameters
    ----------
    prefixes
        Blocks, in any order, overlapping or not.
    version
        4 or 6; blocks of the other version are left out.

    Returns
    -------
    spans
        Disjoint and sorted.
    """
    return union((prefix.first, prefix.last) for prefix in prefixes if prefix.version == version)


def subtract(whole: Spans, part: Spans) -> Spans:
    """Return what is in the first set and not in the second.

    Parameters
    ----------
    whole, part
        Disjoint and sorted, as from `union`.

    Returns
    -------
    spans
        The difference.

    Examples
    --------
    >>> subtract(((0, 9),), ((2, 3), (9, 12)))
    ((0, 1), (4, 8))
    """
    left: list[Span] = []
    at = 0
    for first, last in whole:
        start = first
        while at < len(part) and part[at][1] < start:
            at += 1
        look = at
        while look < len(part) and part[look][0] <= last:
            if part[look][0] > start:
                left.append((start, part[look][0] - 1))
            start = max(start, part[look][1] + 1)
            look += 1
        if start <= last:
            left.append((start, last))
    return tuple(left)


def intersect(one: Spans, other: Spans) -> Spans:
    """Return what both sets hold.

    Parameters
    ----------
    one, other
        Disjoint and sorted, as from `union`.

    Returns
    -------
    spans
        The intersection.

    Examples
    --------
    >>> intersect(((0, 9),), ((2, 3), (9, 12)))
    ((2, 3), (9, 9))
    """
    both: list[Span] = []
    i = j = 0
    while i < len(one) and j < len(other):
        first, last = max(one[i][0], other[j][0]), min(one[i][1], other[j][1])
        if first <= last:
            both.append((first, last))
        if one[i][1] < other[j][1]:
            i += 1
        else:
            j += 1
    return tuple(both)


def contains(spans: Spans, first: int, last: int) -> bool:
    """Tell whether a set holds every address from first to last.

    Parameters
    ----------
    spans
        Disjoint, sorted and not touching, as from `union`.
    first, last
        Both included.

    Returns
    -------
    held
        Whether all of them are in the set.
    """
    at = bisect_right(spans, first, key=lambda span: span[0]) - 1
    return at >= 0 and last <= spans[at][1]


def overlaps(spans: Spans, first: int, last: int) -> bool:
    """Tell whether a set holds any address from first to last.

    Parameters
    ----------
    spans
        Disjoint and sorted, as from `union`.
    first, last
        Both included.

    Returns
    -------
    met
        Whether one of them is in the set.
    """
    at = bisect_right(spans, (last, 1 << 130)) - 1  # the last span that begins no later than the run ends
    return at >= 0 and spans[at][1] >= first


def count(spans: Spans) -> int:
    """Count the addresses of a set.

    Parameters
    ----------
    spans
        Disjoint, as from `union`.

    Returns
    -------
    addresses
        How many.
    """
    return sum(last - first + 1 for first, last in spans)


def prefixes_of(spans: Spans, version: int) -> tuple[Prefix, ...]:
    """Write a set of addresses as the fewest blocks.

    Parameters
    ----------
    spans
        Disjoint and sorted, as from `union`.
    version
        4 or 6.

    Returns
    -------
    prefixes
        Sorted; together exactly the set.

    Examples
    --------
    >>> [prefix.text for prefix in prefixes_of(((1, 4),), 4)]
    ['0.0.0.1/32', '0.0.0.2/31', '0.0.0.4/32']
    """
    width = WIDTH_BITS[version]
    blocks: list[Prefix] = []
    for first, last in spans:
        at = first
        while at <= last:
            alignment = width if at == 0 else (at & -at).bit_length() - 1
            bits = min(alignment, (last - at + 1).bit_length() - 1)
            blocks.append(Prefix(version, at, width - bits))
            at += 1 << bits
    return tuple(blocks)


def collapse(prefixes: Sequence[Prefix]) -> tuple[Prefix, ...]:
    """Write blocks as the fewest blocks that hold exactly the same addresses.

    Parameters
    ----------
    prefixes
        In any order, overlapping or not, of both versions.

    Returns
    -------
    prefixes
        IPv4 first, each version sorted by address.
    """
    return prefixes_of(spans_of(prefixes, 4), 4) + prefixes_of(spans_of(prefixes, 6), 6)
