"""Results of probing, however obtained: one probe document per vantage and round, as in the JSON contract."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Technique = Literal["udp", "icmp", "tcp"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One TTL step of a path.

    Parameters
    ----------
    ttl
        Time to live of the probes.
    address
        Who answered; ``None`` if nobody did.
    sent, received
        Probes and answers (count); ``None`` where the tool does not say.
    rtts_ms
        One entry per probe in order, ``None`` where no answer came; empty if the tool gives sums only [ms].
    rtt_min_ms, rtt_avg_ms, rtt_max_ms
        Sums per hop; ``None`` if nothing answered [ms].
    asn
        Origin AS number, if known.
    name
        Host name of who answered, if the tool gave one beside the address.
    addresses
        Everyone who answered at this TTL, in order, where it was more than one (several paths at once).
    annotations
        What the tool wrote beside the answers, such as ``!H`` or ``!X``, in order.
    """

    ttl: int
    address: str | None
    sent: int | None = None
    received: int | None = None
    rtts_ms: tuple[float | None, ...] = ()
    rtt_min_ms: float | None = None
    rtt_avg_ms: float | None = None
    rtt_max_ms: float | None = None
    asn: int | None = None
    name: str | None = None
    addresses: tuple[str, ...] = ()
    annotations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """The way to a destination, hop by hop.

    Parameters
    ----------
    technique
        What the probes were made of; ``None`` if the tool does not say.
    hops
        In order of TTL; silent hops included.
    destination_answered
        Whether the destination itself answered.
    hop_count
        Lowest TTL at which the destination answered; ``None`` if it never did.
    """

    technique: Technique | None
    hops: tuple[Hop, ...]
    destination_answered: bool
    hop_count: int | None

    @property
    def hops_seen(self) -> int:
        """Hops that answered (count); not the same as ``hop_count``."""
        return sum(hop.address is not None for hop in self.hops)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionProbe:
    """What one round found towards one Region (or towards a destination of no known Region).

    Parameters
    ----------
    region_code
        ``None`` where the destination belongs to no known Region.
    destination
        Name or address that was probed, as the tool wrote it.
    rtts_ms
        Round-trip times to the destination, ``None`` where no answer came; empty if only sums are known [ms].
    rtt_min_ms, rtt_p50_ms, rtt_p95_ms
        Round-trip time to the destination; ``None`` if nothing answered. Where a tool gives sums only,
        its average stands for the median and the 95th percentile is ``None`` [ms].
    sent, received
        Probes sent to the destination and answers from it (count).
    path
        Hop by hop, if it was traced.
    details
        The remaining parts of the contract's document for this Region (dns, tcp, relay, train, diagnosis).
    """

    region_code: str | None
    destination: str | None
    rtts_ms: tuple[float | None, ...] = ()
    rtt_min_ms: float | None = None
    rtt_p50_ms: float | None = None
    rtt_p95_ms: float | None = None
    sent: int | None = None
    received: int | None = None
    path: Path | None = None
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeDocument:
    """One probe document: what was measured from one vantage at one time.

    Parameters
    ----------
    site_id
        The site it was taken from, if known.
    time
        RFC 3339 instant, if known.
    tool
        ``ccp-assess``, ``mtr``, ``traceroute``, ``tracert``, …
    vantage
        ``workstation`` for a real one, ``bench`` for a test bench; ``None`` if unknown.
    regions
        What was found, one entry per destination.
    source
        The file that it was read from.
    host
        Facts of the measuring computer, as in the contract.
    """

    site_id: str | None
    time: str | None
    tool: str
    vantage: str | None = None
    regions: tuple[RegionProbe, ...]
    source: str | None = None
    host: dict[str, Any] = field(default_factory=dict)


def vantage_from_name(name: str) -> str | None:
    """Tell from a file's name whether it was taken on a test bench.

    Parameters
    ----------
    name
        Name of the file, without folders.

    Returns
    -------
    vantage
        ``bench`` if a part between double underscores says so; ``None`` if the name says nothing.

    Examples
    --------
    >>> vantage_from_name("SITE__bench__eu-west-2__mtr.json")
    'bench'
    """
    return "bench" if "bench" in name.split("__") else None
