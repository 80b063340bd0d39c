"""One-way delay of each part of the way, with its band and its basis.

A leg is measured where a probe or a capture reached that Region from that site (half the round trip: the stated
method), else modelled from the great circle by the distance model, plus what the access costs. Every leg is
a distribution: a median and a 90 % band, log-normal on either side, so that a delay is never negative.
"""

from __future__ import annotations

import csv
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Literal, Protocol, cast

import numpy as np
import numpy.typing as npt

from ccp_assess.errors import ModelInputError
from ccp_assess.regions import Region
from ccp_assess.selection.distance import DistanceEstimates, Ends
from ccp_assess.sites import Access, CallerOrigin, Reroute, Site, TransferTarget
from ccp_assess.units import Basis

FloatArray = npt.NDArray[np.float64]

Z90 = 1.6448536269514722
"""Standard normal quantile of 95 %: a 90 % band reaches this far to either side."""

Via = Literal["stun", "udp", "tcp", "icmp"]
_VIA_ORDER: tuple[Via, ...] = ("stun", "udp", "tcp", "icmp")  # the media path first


@dataclass(frozen=True, slots=True, kw_only=True)
class LegConstant:
    """A planning value that no client measured.

    Parameters
    ----------
    name
        As in ``reference/legs.csv``; its last word is its unit.
    value, low, high
        Median and 90 % band [unit].
    unit
        Unit of the three.
    basis
        How it is known.
    meaning, source, retrieved
        What it stands for, where it was read, and when.
    """

    name: str
    value: float
    low: float
    high: float
    unit: str
    basis: Basis
    meaning: str
    source: str
    retrieved: str


@cache
def read_leg_constants() -> dict[str, LegConstant]:
    """Read all planning values.

    Returns
    -------
    constants
        By name.

    Examples
    --------
    >>> read_leg_constants()["plmn_ms"].value
    95.0
    """
    text = resources.files("ccp_assess.reference").joinpath("legs.csv").read_text(encoding="utf-8")
    return {
        row["parameter"]: LegConstant(
            name=row["parameter"],
            value=float(row["value"]),
            low=float(row["low"]),
            high=float(row["high"]),
            unit=row["unit"],
            basis=cast("Basis", row["basis"]),
            meaning=row["meaning"],
            source=row["source"],
            retrieved=row["retrieved"],
        )
        for row in csv.DictReader(text.splitlines())
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteMeasurement:
    """What was measured from a site towards a Region.

    Parameters
    ----------
    site_id
        Where from.
    region_code
        Where to.
    rtt_ms
        Round-trip times of the probes that were answered; empty if only sums are known [ms].
    rtt_min_ms, rtt_p50_ms, rtt_max_ms
        Sums, where the tool gives no single values [ms].
    hop_count
        Lowest TTL at which the destination answered; ``None`` if it never did.
    via
        What the probes were: ``stun`` (the relay itself), ``udp``, ``tcp`` or ``icmp``.
    loss_pct, late_pct, burst_ratio, jitter_ms, playout_ms
        What a capture or a packet train says of the site's path; ``None`` if it does not.
    source
        The file or document it was read from.
    vantage
        ``workstation``, ``bench``, …; ``None`` if unknown.
    """

    site_id: str
    region_code: str
    rtt_ms: tuple[float, ...] = ()
    rtt_min_ms: float | None = None
    rtt_p50_ms: float | None = None
    rtt_max_ms: float | None = None
    hop_count: int | None = None
    via: Via = "icmp"
    loss_pct: float | None = None
    late_pct: float | None = None
    burst_ratio: float | None = None
    jitter_ms: float | None = None
    playout_ms: float | None = None
    source: str | None = None
    vantage: str | None = None

    @property
    def median_ms(self) -> float | None:
        """Median round trip; ``None`` if nothing answered [ms]."""
        return statistics.median(self.rtt_ms) if self.rtt_ms else self.rtt_p50_ms


class Distances(Protocol):
    """Places to round trips, for arrays that broadcast against each other, as ``distance.estimate_rtts`` does."""

    def __call__(
        self, from_lat: FloatArray, from_lon: FloatArray, to_lat: FloatArray, to_lon: FloatArray, *, ends: Ends
    ) -> DistanceEstimates:
        """Return kilometres, round trips and their 90 % bands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Medians and 90 % bands of many delays, same shape.

    Parameters
    ----------
    median, low, high
        One-way delays [ms].
    """

    median: FloatArray
    low: FloatArray
    high: FloatArray

    def plus(self, other: Spread) -> Spread:
        """Add independent delays: medians add, half-widths add in quadrature."""
        median = self.median + other.median
        below = np.hypot(self.median - self.low, other.median - other.low)
        above = np.hypot(self.high - self.median, other.high - other.median)
        return Spread(median=median, low=np.maximum(median - below, 0.02 * median), high=median + above)

    def times(self, factor: float, low: float, high: float) -> Spread:
        """Multiply by an independent factor with a band of its own."""
        median = self.median * factor
        down = np.hypot(np.log(self.median / self.low), np.log(factor / low))
        up = np.hypot(np.log(self.high / self.median), np.log(high / factor))
        return Spread(median=median, low=median * np.exp(-down), high=median * np.exp(up))


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """A planning value that is the same for every leg of its kind, so its error is shared.

    Parameters
    ----------
    name
        Row of ``reference/legs.csv``.
    times
        How often it is passed (count).
    """

    name: str
    times: float = 1.0

    @property
    def one_way_ms(self) -> float:
        """Its median [ms]."""
        return self.times * read_leg_constants()[self.name].value


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentPoint:
    """Agents who share every leg: same place, access, hub and measurements.

    Parameters
    ----------
    key
        Identity: what the legs are made of, and nothing else.
    site_ids
        Sites that are the same point.
    site
        The first of them.
    hub
        Where its traffic leaves, if not locally.
    measured
        By Region code: the best measurement.
    hub_measured
        The same from its hub, for the second part of the way.
    extras
        Planning values on every modelled leg of this point.
    loss_pct, burst_ratio
        What its path loses, network plus late; ``None`` if nobody measured it [%].
    playout_ms
        Jitter buffer by the capture; ``None`` if nobody measured it [ms].
    """

    key: str
    site_ids: tuple[str, ...]
    site: Site
    hub: Site | None
    measured: Mapping[str, SiteMeasurement]
    hub_measured: Mapping[str, SiteMeasurement]
    extras: tuple[Extra, ...]
    loss_pct: float | None
    burst_ratio: float | None
    playout_ms: float | None

    @property
    def leg_key(self) -> str:
        """Identity of its network path, whatever the access: the same path draws the same deviates."""
        way = f"agent|{_place_key(self.site)}"
        if self.hub is not None:
            way += f"|{_place_key(self.hub)}"
        return f"{way}|{self.key}" if self.measured else way


@dataclass(frozen=True, slots=True, kw_only=True)
class LegTable:
    """Legs of many points to many Regions.

    Parameters
    ----------
    keys
        Identity of each row.
    countries
        Country of each row, for factors that a pair of countries shares.
    network
        The part with a distribution of its own, rows by Regions [ms].
    extras
        Planning values per row, on top of the network part of legs that are not measured.
    basis
        Rows by Regions.
    hops
        Rows by Regions; NaN where unknown (count).
    distance_km
        Great circle, rows by Regions [km].
    """

    keys: tuple[str, ...]
    countries: tuple[str | None, ...]
    network: Spread
    extras: tuple[tuple[Extra, ...], ...]
    basis: npt.NDArray[np.str_]
    hops: FloatArray
    distance_km: FloatArray
    _extra_ms: FloatArray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Sum the planning values once."""
        row = np.array([sum(extra.one_way_ms for extra in extras) for extras in self.extras], dtype=float)
        row = row.reshape(-1, 1) if len(row) else np.zeros((0, 1))
        object.__setattr__(self, "_extra_ms", np.where(self.basis == "measured", 0.0, row))

    @property
    def one_way_ms(self) -> FloatArray:
        """Median one-way delay, rows by Regions [ms]."""
        return self.network.median + self._extra_ms

    @property
    def extra_ms(self) -> FloatArray:
        """The planning values' part of it [ms]."""
        return self._extra_ms


def best_measurements(
    measurements: Iterable[SiteMeasurement], site_ids: Iterable[str]
) -> dict[str, dict[str, SiteMeasurement]]:
    """Keep one measurement per site and Region: that of the technique nearest to the media path, pooled.

    Parameters
    ----------
    measurements
        All of them.
    site_ids
        Known sites; a measurement of another one is refused.

    Returns
    -------
    measured
        By site and Region.

    Raises
    ------
    ModelInputError
        If a measurement names a site that does not exist.
    """
    known = set(site_ids)
    groups: dict[tuple[str, str], list[SiteMeasurement]] = {}
    for measurement in measurements:
        if measurement.site_id not in known:
            listed = ", ".join(sorted(known)) or "none"
            raise ModelInputError(
                f"a measurement ({measurement.source or 'no file named'}) belongs to site {measurement.site_id!r}, "
                f"which is not in sites.csv; known sites are {listed}"
            )
        groups.setdefault((measurement.site_id, measurement.region_code), []).append(measurement)
    result: dict[str, dict[str, SiteMeasurement]] = {}
    for (site_id, region_code), group in groups.items():
        pooled = _pool(group)
        if pooled is not None:
            result.setdefault(site_id, {})[region_code] = pooled
    return result


def _pool(group: list[SiteMeasurement]) -> SiteMeasurement | None:
    """Join measurements of one site and Region; ``None`` where no round trip is known at all."""
    timed = [entry for entry in group if entry.median_ms is not None]
    if not timed:
        return None
    via = min((entry.via for entry in timed), key=_VIA_ORDER.index)
    best = [entry for entry in timed if entry.via == via]
    single = sorted(rtt for entry in best for rtt in entry.rtt_ms)
    sums = sorted(entry.rtt_p50_ms for entry in best if not entry.rtt_ms and entry.rtt_p50_ms is not None)
    hops = [entry.hop_count for entry in group if entry.hop_count is not None]
    minima = [entry.rtt_min_ms for entry in best if entry.rtt_min_ms is not None]
    maxima = [entry.rtt_max_ms for entry in best if entry.rtt_max_ms is not None]
    return SiteMeasurement(
        site_id=group[0].site_id,
        region_code=group[0].region_code,
        rtt_ms=tuple(single),
        rtt_min_ms=min(minima, default=None),
        rtt_p50_ms=statistics.median(sums) if sums else None,
        rtt_max_ms=max(maxima, default=None),
        hop_count=min(hops, default=None),
        via=via,
        loss_pct=_median_known(entry.loss_pct for entry in group),
        late_pct=_median_known(entry.late_pct for entry in group),
        burst_ratio=_median_known(entry.burst_ratio for entry in group),
        jitter_ms=_median_known(entry.jitter_ms for entry in group),
        playout_ms=_median_known(entry.playout_ms for entry in group),
        source="; ".join(dict.fromkeys(entry.source for entry in group if entry.source)) or None,
        vantage="; ".join(dict.fromkeys(entry.vantage for entry in group if entry.vantage)) or None,
    )


def _median_known(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def measured_spread(measurement: SiteMeasurement) -> tuple[float, float, float]:
    """Give the one-way median and its 90 % band of a measured round trip.

    Parameters
    ----------
    measurement
        With at least one round trip.

    Returns
    -------
    median, low, high
        Half the median round trip; the band joins the sampling error of the median (distribution-free, by
        binomial order statistics) and the repeatability of ``reference/legs.csv`` [ms].

    References
    ----------
    .. [1] Le Boudec, Performance Evaluation of Computer and Communication Systems, 2010, section 2.2
           (confidence intervals for the median by order statistics).
    """
    median = measurement.median_ms
    assert median is not None  # noqa: S101 - best_measurements keeps no other
    if measurement.rtt_ms:
        low, high = _median_interval(measurement.rtt_ms)
    else:
        low = measurement.rtt_min_ms if measurement.rtt_min_ms is not None else median
        high = measurement.rtt_max_ms if measurement.rtt_max_ms is not None else median
    other_day = read_leg_constants()["measurement_repeatability_pct"].value / 100.0
    median = max(median, 0.02)
    down = np.hypot(np.log(median / min(max(low, 0.02), median)), np.log1p(other_day))
    up = np.hypot(np.log(max(high, median) / median), np.log1p(other_day))
    return median / 2.0, float(median * np.exp(-down) / 2.0), float(median * np.exp(up) / 2.0)


def _median_interval(samples: Sequence[float]) -> tuple[float, float]:
    """90 % interval of the median by order statistics; the whole range where the sample is too small."""
    ordered = sorted(samples)
    n = len(ordered)
    cut = int(np.floor(n / 2.0 - Z90 * np.sqrt(n) / 2.0))
    cut = max(cut, 0)
    return ordered[cut], ordered[n - 1 - cut]


def agent_points(
    sites: Sequence[Site], measurements: Iterable[SiteMeasurement] = ()
) -> tuple[tuple[AgentPoint, ...], tuple[int, ...]]:
    """Join sites whose legs are the same, so that a row more or less for the same agents changes nothing.

    Parameters
    ----------
    sites
        The client's sites.
    measurements
        What was measured from them.

    Returns
    -------
    points
        Sorted by identity, so that the order of the table does not matter.
    of_site
        For each site the index of its point.

    Raises
    ------
    ModelInputError
        If a measurement or a hub names a site that does not exist.
    """
    by_id = {site.site_id: site for site in sites}
    measured = best_measurements(measurements, by_id)
    found: dict[str, list[Site]] = {}
    keys: list[str] = []
    for site in sites:
        hub = _hub_of(site, by_id)
        key = _site_key(site, hub, measured)
        keys.append(key)
        found.setdefault(key, []).append(site)
    order = sorted(found)
    index = {key: position for position, key in enumerate(order)}
    points = tuple(_agent_point(key, found[key], by_id, measured) for key in order)
    return points, tuple(index[key] for key in keys)


def _hub_of(site: Site, by_id: Mapping[str, Site]) -> Site | None:
    if site.via_site_id is None or site.via_site_id == site.site_id:
        return None
    if site.via_site_id not in by_id:
        raise ModelInputError(
            f"site {site.site_id!r} leaves through {site.via_site_id!r}, which is not in sites.csv; "
            "add that hub as a site (0 agents if nobody works there)"
        )
    return by_id[site.via_site_id]


def _place_key(of: Site) -> str:
    return f"{of.latitude:.4f},{of.longitude:.4f},{of.country or ''}"


def _site_key(site: Site, hub: Site | None, measured: Mapping[str, Mapping[str, SiteMeasurement]]) -> str:
    def values(of: Site) -> str:
        entries = measured.get(of.site_id, {})
        return repr(
            [
                (
                    code,
                    m.rtt_ms or (m.rtt_min_ms, m.rtt_p50_ms, m.rtt_max_ms),
                    m.hop_count,
                    m.via,
                    m.loss_pct,
                    m.late_pct,
                )
                for code, m in sorted(entries.items())
            ]
        )

    own = f"agent|{_place_key(site)}|{site.access}|{values(site) if measured.get(site.site_id) else ''}"
    return f"{own}|{_place_key(hub)}|{hub.access == 'direct_connect'}|{values(hub)}" if hub else own


def _agent_point(
    key: str, sites: list[Site], by_id: Mapping[str, Site], measured: Mapping[str, Mapping[str, SiteMeasurement]]
) -> AgentPoint:
    site = sites[0]
    own = measured.get(site.site_id, {})
    losses = [m for m in own.values() if m.loss_pct is not None]
    loss = _median_known((m.loss_pct or 0.0) + (m.late_pct or 0.0) for m in losses)
    return AgentPoint(
        key=key,
        site_ids=tuple(sorted(s.site_id for s in sites)),
        site=site,
        hub=_hub_of(site, by_id),
        measured=own,
        hub_measured=measured.get(site.via_site_id or "", {}),
        extras=access_extras(site.access, hub_known=site.via_site_id is not None),
        loss_pct=min(loss, 100.0) if loss is not None else None,
        burst_ratio=_median_known(m.burst_ratio for m in losses),
        playout_ms=_median_known(m.playout_ms for m in own.values()),
    )


@cache
def access_extras(access: Access, *, hub_known: bool) -> tuple[Extra, ...]:
    """Name the planning values that an access adds to a modelled leg.

    Parameters
    ----------
    access
        How the agents' traffic reaches the Internet.
    hub_known
        Whether the place of the hub, the concentrator or the desktop host is given.

    Returns
    -------
    extras
        Rows of ``reference/legs.csv``.
    """
    detour = () if hub_known else (Extra(name="unknown_concentrator_ms"),)
    return {
        "office": (Extra(name="access_office_ms"),),
        "direct_connect": (Extra(name="access_direct_connect_ms"),),
        "home": (Extra(name="access_home_ms"),),
        "vpn": (Extra(name="access_home_ms"), Extra(name="access_vpn_ms"), *detour),
        "vdi": (Extra(name="access_office_ms"), Extra(name="access_vdi_ms"), *detour),
    }[access]


def agent_legs(points: Sequence[AgentPoint], regions: Sequence[Region], distances: Distances) -> LegTable:
    """Compute the leg from every agent point to every Region.

    Parameters
    ----------
    points
        From :func:`agent_points`.
    regions
        Where to.
    distances
        The distance model.

    Returns
    -------
    legs
        Points by Regions.
    """
    exits = [point.hub or point.site for point in points]
    km, network = _modelled([(place.latitude, place.longitude) for place in exits], regions, distances, "access")
    constants = read_leg_constants()
    factor = constants["direct_connect_factor"]
    basis = np.full(network.median.shape, "modelled", dtype="<U8")
    hops = np.full(network.median.shape, np.nan)
    median, low, high = (part.copy() for part in (network.median, network.low, network.high))
    columns = {region.region_code: column for column, region in enumerate(regions)}
    spokes = [row for row, point in enumerate(points) if point.hub is not None]
    first_leg = _site_to_hub([points[row] for row in spokes], distances) if spokes else None
    for row, point in enumerate(points):
        if (point.hub or point.site).access == "direct_connect":  # only from the edge router on
            part = Spread(median=median[row], low=low[row], high=high[row])
            part = part.times(factor.value, factor.low, factor.high)
            median[row], low[row], high[row] = part.median, part.low, part.high
    for row in spokes:  # what was measured from the hub holds for the way from there on
        for code, measurement in points[row].hub_measured.items():
            if code in columns:
                cell = (row, columns[code])
                median[cell], low[cell], high[cell] = measured_spread(measurement)
    if first_leg is not None:
        for position, row in enumerate(spokes):
            first = Spread(
                median=first_leg.median[position], low=first_leg.low[position], high=first_leg.high[position]
            )
            part = Spread(median=median[row], low=low[row], high=high[row]).plus(first)
            median[row], low[row], high[row] = part.median, part.low, part.high
    for row, point in enumerate(points):
        for code, measurement in point.measured.items():
            column = columns.get(code)
            if column is None:
                continue
            median[row, column], low[row, column], high[row, column] = measured_spread(measurement)
            basis[row, column] = "measured"
            if measurement.hop_count is not None:
                hops[row, column] = measurement.hop_count
    own_km = km
    if spokes:
        own_km, _ = _modelled([(p.site.latitude, p.site.longitude) for p in points], regions, distances, "access")
    return LegTable(
        keys=tuple(point.leg_key for point in points),
        countries=tuple(place.country for place in exits),
        network=Spread(median=median, low=low, high=high),
        extras=tuple(point.extras for point in points),
        basis=basis,
        hops=hops,
        distance_km=own_km,
    )


def _site_to_hub(points: Sequence[AgentPoint], distances: Distances) -> Spread:
    hubs = [cast("Site", point.hub) for point in points]
    found = distances(
        np.array([point.site.latitude for point in points]),
        np.array([point.site.longitude for point in points]),
        np.array([hub.latitude for hub in hubs]),
        np.array([hub.longitude for hub in hubs]),
        ends="access",
    )
    return _halved(found)


def _modelled(
    places: Sequence[tuple[float, float]], regions: Sequence[Region], distances: Distances, ends: Ends
) -> tuple[FloatArray, Spread]:
    """Model places by Regions: kilometres and half the round trip with its band."""
    if not places:
        empty = np.zeros((0, len(regions)))
        return empty, Spread(median=empty, low=empty, high=empty)
    where = np.array(places, dtype=float)
    found = distances(
        where[:, :1],
        where[:, 1:],
        np.array([[region.latitude for region in regions]]),
        np.array([[region.longitude for region in regions]]),
        ends=ends,
    )
    return found.great_circle_km, _halved(found)


def _halved(found: DistanceEstimates) -> Spread:
    """One-way delays of round trips, never quite 0 since their logarithm is drawn."""
    median = np.maximum(found.rtt_ms / 2.0, 0.01)
    return Spread(
        median=median,
        low=np.clip(found.rtt_low_ms / 2.0, 0.005, median),
        high=np.maximum(found.rtt_high_ms / 2.0, median),
    )


def telephone_legs(
    kind: str,
    places: Sequence[CallerOrigin | TransferTarget | Reroute],
    regions: Sequence[Region],
    distances: Distances,
) -> LegTable:
    """Compute the telephone leg between every Region and every place, without the kind of line.

    Parameters
    ----------
    kind
        What the places are, as part of their identity: ``caller``, ``transfer`` or ``reroute``.
    places
        Caller origins, transfer targets or rerouted devices.
    regions
        Where the instance may be.
    distances
        The distance model.

    Returns
    -------
    legs
        Places by Regions: long distance (with the wider band of carriers' routes) plus the national network.
    """
    km, network = _modelled([(p.latitude, p.longitude) for p in places], regions, distances, "data_centres")
    wider = read_leg_constants()["pstn_band_factor"].value
    network = Spread(
        median=network.median,
        low=network.median * (network.low / network.median) ** wider,
        high=network.median * (network.high / network.median) ** wider,
    )
    return LegTable(
        keys=tuple(f"{kind}|{p.latitude:.4f},{p.longitude:.4f},{p.country or ''}" for p in places),
        countries=tuple(p.country for p in places),
        network=network,
        extras=tuple((Extra(name="pstn_national_ms"),) for _ in places),
        basis=np.full(network.median.shape, "modelled", dtype="<U8"),
        hops=np.full(network.median.shape, np.nan),
        distance_km=km,
    )


def internet_legs(
    kind: str, places: Sequence[CallerOrigin], regions: Sequence[Region], distances: Distances
) -> LegTable:
    """Compute the Internet leg between every Region and every place, for customers in a browser or an app.

    Parameters
    ----------
    kind
        What the places are, as part of their identity.
    places
        Caller origins.
    regions
        Where the instance may be.
    distances
        The distance model.

    Returns
    -------
    legs
        Places by Regions, each with a home's access.
    """
    km, network = _modelled([(p.latitude, p.longitude) for p in places], regions, distances, "access")
    return LegTable(
        keys=tuple(f"{kind}|internet|{p.latitude:.4f},{p.longitude:.4f},{p.country or ''}" for p in places),
        countries=tuple(p.country for p in places),
        network=network,
        extras=tuple((Extra(name="access_home_ms"),) for _ in places),
        basis=np.full(network.median.shape, "modelled", dtype="<U8"),
        hops=np.full(network.median.shape, np.nan),
        distance_km=km,
    )


def line_mix(line: str) -> tuple[tuple[str, float], ...]:
    """Split a kind of line into what is known of its delay.

    Parameters
    ----------
    line
        ``mobile``, ``landline`` or ``mixed``.

    Returns
    -------
    mix
        Rows of ``reference/legs.csv`` with the share of calls that use them, 0 to 1.

    Examples
    --------
    >>> line_mix("mobile")
    (('plmn_ms', 1.0),)
    """
    mobile = {"mobile": 1.0, "landline": 0.0}.get(line, read_leg_constants()["mixed_mobile_share_pct"].value / 100.0)
    parts = (("plmn_ms", mobile), ("landline_ms", 1.0 - mobile))
    return tuple(part for part in parts if part[1] > 0.0)
