"""Where the delay of a way lies: first hop, edge, provider, AWS.

Each hop's smallest round trip is taken, since what is above it is waiting and slow answering. A router may answer more
slowly than it forwards, so a hop can look slower than those behind it: an isotonic fit (pool adjacent violators) makes
the delays rise along the way. A part between two devices that are both known has one number; where the device at its
border is silent it has bounds.

References
----------
Barlow, Bartholomew, Bremner and Brunk (1972), "Statistical Inference under Order Restrictions".
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ccp_assess.paths import Hop, Path
from ccp_assess.ranges import IpRanges
from ccp_assess.units import rounded

AMAZON_SYSTEMS = frozenset({16_509, 14_618, 8_987, 7_224, 38_895})
"""AS numbers of Amazon and AWS (RIPE, ARIN and APNIC registries)."""

PART_NAMES = ("first_hop", "edge", "provider", "aws")
Place = Literal["site", "outside", "aws"]

# Addresses of a site's own network: RFC 1918, carrier-grade NAT (RFC 6598), link-local, unique local (RFC 4193).
_OF_SITES = tuple(
    ipaddress.ip_network(text)
    for text in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "169.254.0.0/16",
        "fc00::/7",
        "fe80::/10",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a way.

    Parameters
    ----------
    name
        ``first_hop``: to the gateway; ``edge``: from there to the first public device, the access line; ``provider``:
        from there to the first device of AWS; ``aws``: from there to the relay.
    ms
        Share of the round trip; ``None`` where a border is silent, or there is no such device [ms].
    low_ms, high_ms
        Bounds [ms].
    """

    name: str
    ms: float | None
    low_ms: float | None
    high_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DelaySplit:
    """The parts of a way, in order, and their sum."""

    parts: tuple[Part, ...]
    total_ms: float | None

    def to_document(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {
            "total_ms": rounded(self.total_ms, 3),
            **{
                part.name: {
                    "ms": rounded(part.ms, 3),
                    "low_ms": rounded(part.low_ms, 3),
                    "high_ms": rounded(part.high_ms, 3),
                }
                for part in self.parts
            },
        }


def isotonic(values: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Return the rising sequence nearest to the values in weighted least squares (pool adjacent violators).

    Parameters
    ----------
    values
        Any numbers.
    weights
        Above 0.

    Returns
    -------
    fitted
        Never falling.

    Examples
    --------
    >>> isotonic([1.0, 5.0, 3.0, 6.0], [1.0, 1.0, 1.0, 1.0])
    [1.0, 4.0, 4.0, 6.0]
    """
    pools: list[tuple[float, float, int]] = []
    for value, weight in zip(values, weights, strict=True):
        mean, total, count = value, weight, 1
        while pools and pools[-1][0] > mean:
            before, heavy, many = pools.pop()
            mean, total, count = (before * heavy + mean * total) / (heavy + total), heavy + total, many + count
        pools.append((mean, total, count))
    return [mean for mean, _, count in pools for _ in range(count)]


def split_delay(path: Path, ranges: IpRanges, *, asn_of: Callable[[str], int | None] | None = None) -> DelaySplit:
    """Split the round trip to a relay into the parts of its way.

    Parameters
    ----------
    path
        A way whose destination answered; others have no parts.
    ranges
        Published prefixes of AWS.
    asn_of
        Address → AS number, where a table was given.

    Returns
    -------
    split
        All four parts, with ``None`` for what cannot be known.
    """
    known = [hop for hop in path.hops if hop.address is not None and hop.rtt_min_ms is not None]
    if not path.destination_answered or path.hop_count is None or not known or known[-1].ttl != path.hop_count:
        return DelaySplit(parts=tuple(_unknown(name) for name in PART_NAMES), total_ms=None)
    raw = [hop.rtt_min_ms or 0.0 for hop in known]
    # No hop is farther than the destination: what exceeds it is slow answering.
    capped = [min(value, raw[-1]) for value in raw]
    fitted = isotonic(capped, [float(hop.received or 1) for hop in known])
    fitted[-1] = raw[-1]
    delays = {hop.ttl: delay for hop, delay in zip(known, fitted, strict=True)}
    places = _places(known, ranges, asn_of)
    total = delays[path.hop_count]
    gateway = _border(delays, first=1, wanted=1)
    outside = next((ttl for ttl, place in places.items() if place != "site"), path.hop_count)
    amazon = next(ttl for ttl, place in places.items() if place == "aws")
    borders = [(0.0, 0.0), gateway, _border(delays, first=1, wanted=outside), _border(delays, first=1, wanted=amazon)]
    borders.append((total, total))
    if outside == path.hop_count or places[outside] == "aws":
        # No public device before AWS: where the site ends is not known.
        borders[2] = (_last_below(delays, outside), borders[2][1])
    if amazon == path.hop_count:
        # No device of AWS before the relay itself: where AWS begins is not known.
        borders[3] = (_last_below(delays, amazon), total)
    parts = tuple(_part(name, begin, end) for name, begin, end in zip(PART_NAMES, borders, borders[1:], strict=False))
    return DelaySplit(parts=parts, total_ms=total)


def _places(known: Sequence[Hop], ranges: IpRanges, asn_of: Callable[[str], int | None] | None) -> dict[int, Place]:
    """Say where each answering hop stands; private addresses are the site's only before the first public one."""
    places: dict[int, Place] = {}
    place: Place = "site"
    for hop in known:
        address = hop.address or ""
        last = hop is known[-1]
        if last or place == "aws" or _is_amazon(address, hop, ranges, asn_of):
            place = "aws"
        elif place == "site" and hop.ttl > 1 and not _is_private(address):
            place = "outside"
        places[hop.ttl] = place
    return places


def _is_private(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return any(parsed.version == network.version and parsed in network for network in _OF_SITES)


def _is_amazon(address: str, hop: Hop, ranges: IpRanges, asn_of: Callable[[str], int | None] | None) -> bool:
    number = hop.asn if hop.asn is not None else asn_of(address) if asn_of else None
    return number in AMAZON_SYSTEMS or ranges.service_of(address) is not None


def _border(delays: dict[int, float], *, first: int, wanted: int) -> tuple[float, float]:
    """Return the bounds of the delay at a border: one number if the hop before it and itself are known."""
    high = min((ms for ttl, ms in delays.items() if ttl >= wanted), default=0.0)
    if wanted in delays and (wanted <= first or wanted - 1 in delays):
        return delays[wanted], delays[wanted]
    low = max((ms for ttl, ms in delays.items() if ttl < wanted), default=0.0)
    return low, max(high, low)


def _last_below(delays: dict[int, float], ttl: int) -> float:
    return max((ms for at, ms in delays.items() if at < ttl), default=0.0)


def _part(name: str, begin: tuple[float, float], end: tuple[float, float]) -> Part:
    low, high = max(end[0] - begin[1], 0.0), max(end[1] - begin[0], 0.0)
    exact = begin[0] == begin[1] and end[0] == end[1]
    return Part(name=name, ms=high if exact else None, low_ms=low, high_ms=high)


def _unknown(name: str) -> Part:
    return Part(name=name, ms=None, low_ms=None, high_ms=None)
