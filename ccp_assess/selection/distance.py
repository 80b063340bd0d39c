"""Round-trip time from geography alone: a prior with its band, until a measurement replaces it.

The model: the cheapest way through the network of `ccp_assess.selection.waypoints`, a share for leaving the
metropolitan area, and a smooth correction that is learned from measured Region pairs and fades with the distance from
them. Never below the time of light in fibre over the great circle. The numbers stand in ``reference/distance_*.csv``,
made by ``tools/fit_distance.py``; ``docs/validation.md`` shows predicted against measured.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ccp_assess import geo
from ccp_assess.selection.waypoints import (
    CONTINENTS,
    KM_PER_RTT_MS,
    LINK_KINDS,
    NEAREST_HUBS,
    Network,
    build_network,
    nearest_hubs,
    read_waypoints,
    unit_vectors,
)
from ccp_assess.units import Basis

Floats = NDArray[np.float64]

Ends = Literal["data_centres", "access"]
"""``data_centres``: both points are in the backbone; ``access``: one is an office or a home on the public Internet."""

CHUNK = 50_000
"""Pairs that are computed at once: bounds the memory."""

PASSING_MS = 20.0
"""Price of entering the network past a nearer hub, as over a border or a strait beside it."""

LEAST_ACCESS_MS = 1.0
"""No access line is faster than this round trip to anything outside its building."""

PASSING_KM = 30.0
"""Hubs count as equally near when one is no further than twice the other and this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DistanceEstimate:
    """What geography says of one pair of points.

    Parameters
    ----------
    great_circle_km
        Distance over the surface of the Earth [km].
    rtt_ms
        Expected median round-trip time [ms].
    rtt_band90_ms
        Band that holds the median round-trip time of nine pairs in ten [ms].
    basis
        Always ``modelled``.
    """

    great_circle_km: float
    rtt_ms: float
    rtt_band90_ms: tuple[float, float]
    basis: Basis = "modelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class DistanceEstimates:
    """What geography says of many pairs; all arrays have one shape.

    Parameters
    ----------
    great_circle_km
        Distances over the surface of the Earth [km].
    rtt_ms
        Expected median round-trip times [ms].
    rtt_low_ms, rtt_high_ms
        Bands that hold the median round-trip time of nine pairs in ten [ms].
    """

    great_circle_km: Floats
    rtt_ms: Floats
    rtt_low_ms: Floats
    rtt_high_ms: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Coefficients:
    """The fitted numbers.

    Parameters
    ----------
    stretch
        Cable length per great-circle length, by kind of link [unitless].
    hub_ms
        Round trip that each hub on the way adds [ms].
    metro_ms
        Round trip within one place [ms].
    leave_ms
        What leaving the metropolitan area adds, both ends together [ms].
    leave_km
        Distance within which that share grows to two thirds [km].
    direct_stretch
        Stretch of the direct way between points near one hub, on top of the entry stretch [unitless].
    anchor_km
        Distance over which the learned correction fades [km].
    anchor_latitudes, anchor_longitudes
        Where the measured Regions are [decimal degrees].
    weights
        Of the correction, for every two anchors [log ratio].
    spread_ms, spread_known, spread_new
        Parts of the error: fixed, of pairs beside measured ones, of pairs far from them.
    low, high
        Fifth and 95th percentile of the scaled error.
    access_spread_ms, access_spread
        Parts of the error where one end is an office or a home.
    access_near_ms
        What one access network adds within one place [ms].
    access_km
        Distance within which that turns by two thirds into the value of the two continents [km].
    access_ms
        What one access network adds in the median, detours between networks included, for every two continents [ms].
    access_low
        Fifth percentile of the logarithm of measured over estimated without access, for every two continents.
    access_high
        95th percentile of the scaled error with access, for every two continents.
    """

    stretch: dict[str, float]
    hub_ms: float
    metro_ms: float
    leave_ms: float
    leave_km: float
    direct_stretch: float
    anchor_km: float
    anchor_latitudes: Floats
    anchor_longitudes: Floats
    weights: Floats
    spread_ms: float
    spread_known: float
    spread_new: float
    low: float
    high: float
    access_spread_ms: float
    access_spread: float
    access_near_ms: float
    access_km: float
    access_ms: Floats
    access_low: Floats
    access_high: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class DistanceModel:
    """The network with its costs, and the fitted numbers."""

    network: Network
    coefficients: Coefficients


@dataclass(frozen=True, slots=True, kw_only=True)
class _Points:
    """Points with what depends on one end only."""

    latitudes: Floats
    longitudes: Floats
    hubs: NDArray[np.int64]
    entry_ms: Floats
    passing_ms: Floats
    entry_stretch: Floats
    nearness: Floats
    continents: NDArray[np.int64]

    def take(self, index: NDArray[np.int64]) -> _Points:
        """Return some of the points, one per entry of the index."""
        return _Points(
            latitudes=self.latitudes[index],
            longitudes=self.longitudes[index],
            hubs=self.hubs[index],
            entry_ms=self.entry_ms[index],
            passing_ms=self.passing_ms[index],
            entry_stretch=self.entry_stretch[index],
            nearness=self.nearness[index],
            continents=self.continents[index],
        )


def estimate_rtt(  # noqa: PLR0917 (two points and their countries read best in order)
    from_lat: float,
    from_lon: float,
    to_lat: float,
    to_lon: float,
    from_country: str | None = None,
    to_country: str | None = None,
    *,
    ends: Ends = "data_centres",
) -> DistanceEstimate:
    """Estimate the round-trip time between two points from geography alone.

    Parameters
    ----------
    from_lat, from_lon
        The one point [decimal degrees].
    to_lat, to_lon
        The other [decimal degrees].
    from_country, to_country
        ISO 3166 alpha-2 codes; accepted for callers that have them, the model needs coordinates only.
    ends
        Whether both points are data centres, or one of them an office or a home.

    Returns
    -------
    estimate
        Distance, expected round trip and its band.

    References
    ----------
    .. [1] I. N. Bozkurt et al., "Dissecting Latency in the Internet's Fiber Infrastructure", 2018, for the stretch of
       land routes. Light in fibre: 200 km/ms.

    Examples
    --------
    >>> london_sydney = estimate_rtt(51.51, -0.12, -33.87, 151.21)
    >>> 200 < london_sydney.rtt_ms < 320
    True
    """
    del from_country, to_country
    many = estimate_rtts(from_lat, from_lon, to_lat, to_lon, ends=ends)
    return DistanceEstimate(
        great_circle_km=float(many.great_circle_km),
        rtt_ms=float(many.rtt_ms),
        rtt_band90_ms=(float(many.rtt_low_ms), float(many.rtt_high_ms)),
    )


def estimate_rtts(
    from_lat: ArrayLike,
    from_lon: ArrayLike,
    to_lat: ArrayLike,
    to_lon: ArrayLike,
    *,
    ends: Ends = "data_centres",
    model: DistanceModel | None = None,
) -> DistanceEstimates:
    """Estimate round-trip times for many pairs; shapes follow numpy's broadcasting.

    Parameters
    ----------
    from_lat, from_lon
        The ones, for sites by Regions of shape ``(n, 1)`` [decimal degrees].
    to_lat, to_lon
        The others, for sites by Regions of shape ``(1, m)`` [decimal degrees].
    ends
        Whether both points are data centres, or one of them an office or a home.
    model
        Another model than the shipped one, for fitting and validation.

    Returns
    -------
    estimates
        Arrays of the common shape.
    """
    used = model or read_model()
    from_grid, to_grid = _grid(from_lat, from_lon), _grid(to_lat, to_lon)
    shape = np.broadcast_shapes(from_grid[0].shape, to_grid[0].shape)
    starts, targets = _end(used, from_grid, shape), _end(used, to_grid, shape)
    results = np.empty((4, math.prod(shape)))
    for begin in range(0, results.shape[1], CHUNK):
        part = slice(begin, begin + CHUNK)
        results[:, part] = _estimate(used, starts(part), targets(part), ends)
    distance_km, rtt_ms, low_ms, high_ms = (row.reshape(shape) for row in results)
    return DistanceEstimates(great_circle_km=distance_km, rtt_ms=rtt_ms, rtt_low_ms=low_ms, rtt_high_ms=high_ms)


def _grid(latitudes: ArrayLike, longitudes: ArrayLike) -> tuple[Floats, Floats]:
    lat, lon = np.broadcast_arrays(np.asarray(latitudes, dtype=np.float64), np.asarray(longitudes, dtype=np.float64))
    return lat, lon


def _end(model: DistanceModel, grid: tuple[Floats, Floats], shape: tuple[int, ...]) -> Callable[[slice], _Points]:
    """Return what gives one end of any part of the pairs; points that many pairs share are worked out once."""
    latitudes, longitudes = grid[0].ravel(), grid[1].ravel()
    if latitudes.size == math.prod(shape):
        return lambda part: _points(model, latitudes[part], longitudes[part])
    points = _points(model, latitudes, longitudes)
    positions = np.broadcast_to(np.arange(latitudes.size).reshape(grid[0].shape), shape).ravel()
    return lambda part: points.take(positions[part])


def _points(model: DistanceModel, latitudes: Floats, longitudes: Floats) -> _Points:
    hubs, distances_km = nearest_hubs(model.network, latitudes, longitudes)
    stretch = model.network.entry_stretch[hubs]
    nearest = np.argmin(distances_km, axis=1)
    passing_ms = _passing_ms(distances_km)
    return _Points(
        latitudes=latitudes,
        longitudes=longitudes,
        hubs=hubs,
        entry_ms=stretch * distances_km / KM_PER_RTT_MS + passing_ms,
        passing_ms=passing_ms,
        entry_stretch=stretch[np.arange(latitudes.size), nearest],
        continents=model.network.continents[hubs[np.arange(latitudes.size), nearest]],
        nearness=nearness(model.coefficients, latitudes, longitudes),
    )


def _passing_ms(distances_km: Floats) -> Floats:
    """Return the price of each hub: none for the nearest and those about as near, then more and more."""
    nearest_km = distances_km.min(axis=1, keepdims=True)
    detour = (distances_km - nearest_km) / (nearest_km + PASSING_KM) - 1.0
    return np.asarray(PASSING_MS * np.maximum(detour, 0.0), dtype=np.float64)


def nearness(coefficients: Coefficients, latitudes: Floats, longitudes: Floats) -> Floats:
    """Return how near points are to the measured Regions, 1 at a Region and fading to 0.

    Parameters
    ----------
    coefficients
        The fitted numbers.
    latitudes, longitudes
        The points [decimal degrees].

    Returns
    -------
    nearness
        One row per point, one column per measured Region [unitless].
    """
    cosines = (
        unit_vectors(latitudes, longitudes)
        @ unit_vectors(coefficients.anchor_latitudes, coefficients.anchor_longitudes).T
    )
    distances_km = geo.EARTH_RADIUS_KM * np.arccos(np.clip(cosines, -1.0, 1.0))
    return np.asarray(np.exp(-distances_km / coefficients.anchor_km), dtype=np.float64)


def _estimate(
    model: DistanceModel, starts: _Points, targets: _Points, ends: Ends
) -> tuple[Floats, Floats, Floats, Floats]:
    coefficients = model.coefficients
    distance_km = geo.great_circles_km(starts.latitudes, starts.longitudes, targets.latitudes, targets.longitudes)
    way_ms = _way_ms(model, starts, targets, distance_km)
    plain_ms = way_ms + metro_ms(coefficients, distance_km)
    learned = np.einsum("ij,ij->i", starts.nearness @ coefficients.weights, targets.nearness)
    correction = learned * leaving(coefficients, distance_km)  # nothing was learned of ways within one place
    floor_ms = distance_km / KM_PER_RTT_MS
    rtt_ms = np.maximum(plain_ms * np.exp(correction), floor_ms)
    newness = 1.0 - starts.nearness.max(axis=1, initial=0.0) * targets.nearness.max(axis=1, initial=0.0)
    scale = error_scale_ms(coefficients, rtt_ms, newness)
    low_ms, high_ms = _band(rtt_ms, scale, coefficients.low, coefficients.high)
    if ends == "access":
        continents = (starts.continents, targets.continents)
        added_ms = access_added_ms(coefficients, continents, distance_km)
        rtt_ms, low_ms, high_ms = _with_access(coefficients, continents, added_ms, (rtt_ms, low_ms, high_ms))
    return distance_km, rtt_ms, np.maximum(low_ms, floor_ms), np.maximum(high_ms, rtt_ms)


def _band(rtt_ms: Floats, scale_ms: Floats, low: float, high: float) -> tuple[Floats, Floats]:
    """Return the ends of the band: above in milliseconds, below by a ratio, so that it stays above nothing."""
    return rtt_ms * np.exp(low * scale_ms / rtt_ms), rtt_ms + high * scale_ms


def access_added_ms(
    coefficients: Coefficients, continents: tuple[NDArray[np.int64], NDArray[np.int64]], distance_km: Floats
) -> Floats:
    """Return what one access network adds: its line near by, and detours to where networks meet further away.

    Parameters
    ----------
    coefficients
        The fitted numbers.
    continents
        Of the two points, indices into ``CONTINENTS``.
    distance_km
        Distance of the two points [km].

    Returns
    -------
    added_ms
        Part of the round trip [ms].
    """
    degree = -np.expm1(-distance_km / coefficients.access_km)
    far_ms = coefficients.access_ms[continents]
    return np.asarray(coefficients.access_near_ms + (far_ms - coefficients.access_near_ms) * degree, dtype=np.float64)


def _with_access(
    coefficients: Coefficients,
    continents: tuple[NDArray[np.int64], NDArray[np.int64]],
    added_ms: Floats,
    plain: tuple[Floats, Floats, Floats],
) -> tuple[Floats, Floats, Floats]:
    """Add an access network; the band is never narrower than that between data centres."""
    rtt_ms, low_ms, high_ms = plain
    expected_ms = rtt_ms + added_ms
    low = np.maximum(rtt_ms * np.exp(coefficients.access_low[continents]), LEAST_ACCESS_MS)
    high = expected_ms + coefficients.access_high[continents] * access_scale_ms(coefficients, expected_ms)
    return expected_ms, np.minimum(low_ms, low), np.maximum(high_ms + added_ms, high)


def _way_ms(model: DistanceModel, starts: _Points, targets: _Points, distance_km: Floats) -> Floats:
    """Return the cheapest way: through any two of the nearest hubs, or direct where both ends know one hub."""
    stretch = np.maximum(starts.entry_stretch, targets.entry_stretch) * model.coefficients.direct_stretch
    direct_ms = stretch * distance_km / KM_PER_RTT_MS
    best = np.full(distance_km.size, np.inf)
    for i in range(NEAREST_HUBS):
        for j in range(NEAREST_HUBS):
            between_ms = model.network.cost_ms[starts.hubs[:, i], targets.hubs[:, j]]
            np.minimum(best, starts.entry_ms[:, i] + between_ms + targets.entry_ms[:, j], out=best)
            past_ms = direct_ms + starts.passing_ms[:, i] + targets.passing_ms[:, j]
            np.copyto(best, past_ms, where=(between_ms == 0.0) & (past_ms < best))
    return best


def metro_ms(coefficients: Coefficients, distance_km: Floats) -> Floats:
    """Return what the two metropolitan areas add: little within one place, more once the way leaves it.

    Parameters
    ----------
    coefficients
        The fitted numbers.
    distance_km
        Distance of the two points [km].

    Returns
    -------
    added_ms
        Part of the round trip [ms].
    """
    return coefficients.metro_ms + coefficients.leave_ms * leaving(coefficients, distance_km)


def leaving(coefficients: Coefficients, distance_km: Floats) -> Floats:
    """Return to which degree a way leaves the metropolitan area: 0 within one place to 1.

    Parameters
    ----------
    coefficients
        The fitted numbers.
    distance_km
        Distance of the two points [km].

    Returns
    -------
    degree
        0 to 1 [unitless].
    """
    return np.asarray(-np.expm1(-distance_km / coefficients.leave_km), dtype=np.float64)


def error_scale_ms(coefficients: Coefficients, rtt_ms: Floats, newness: Floats) -> Floats:
    """Return the scale of the error between data centres.

    Parameters
    ----------
    coefficients
        The fitted numbers.
    rtt_ms
        Estimated round trip [ms].
    newness
        0 beside measured pairs to 1 far from all of them [unitless].

    Returns
    -------
    scale_ms
        Of measured less estimated [ms].
    """
    relative = coefficients.spread_known**2 + (coefficients.spread_new * newness) ** 2
    return np.asarray(np.sqrt(coefficients.spread_ms**2 + relative * rtt_ms**2), dtype=np.float64)


def access_scale_ms(coefficients: Coefficients, rtt_ms: Floats) -> Floats:
    """Return the scale of the error where one end is an office or a home.

    Parameters
    ----------
    coefficients
        The fitted numbers.
    rtt_ms
        Estimated round trip, access included [ms].

    Returns
    -------
    scale_ms
        Of measured less estimated [ms].
    """
    return np.asarray(np.hypot(coefficients.access_spread_ms, coefficients.access_spread * rtt_ms), dtype=np.float64)


@cache
def read_model() -> DistanceModel:
    """Read the shipped model.

    Returns
    -------
    model
        Network and coefficients.
    """
    coefficients = read_coefficients()
    network = build_network(read_waypoints(), coefficients.stretch, coefficients.hub_ms)
    return DistanceModel(network=network, coefficients=coefficients)


def read_coefficients() -> Coefficients:
    """Read the fitted numbers from the reference tables.

    Returns
    -------
    coefficients
        As fitted by ``tools/fit_distance.py``.
    """
    values = {row["name"]: float(row["value"]) for row in _rows("distance_model.csv")}
    anchors = _rows("distance_anchors.csv")
    index = {row["anchor"]: number for number, row in enumerate(anchors)}
    weights = np.zeros((len(anchors), len(anchors)))
    for row in _rows("distance_weights.csv"):
        a, b = index[row["anchor_a"]], index[row["anchor_b"]]
        weights[a, b] = weights[b, a] = float(row["weight"])
    return Coefficients(
        stretch={kind: values[f"stretch_{kind}"] for kind in LINK_KINDS},
        hub_ms=values["hub_ms"],
        metro_ms=values["metro_ms"],
        leave_ms=values["leave_ms"],
        leave_km=values["leave_km"],
        direct_stretch=values["direct_stretch"],
        anchor_km=values["anchor_km"],
        anchor_latitudes=np.array([float(row["latitude"]) for row in anchors]),
        anchor_longitudes=np.array([float(row["longitude"]) for row in anchors]),
        weights=weights,
        spread_ms=values["spread_ms"],
        spread_known=values["spread_known"],
        spread_new=values["spread_new"],
        low=values["low"],
        high=values["high"],
        access_spread_ms=values["access_spread_ms"],
        access_spread=values["access_spread"],
        access_near_ms=values["access_near_ms"],
        access_km=values["access_km"],
        access_ms=_by_continents("access_ms"),
        access_low=_by_continents("access_low"),
        access_high=_by_continents("access_high"),
    )


def _by_continents(column: str) -> Floats:
    table = np.zeros((len(CONTINENTS), len(CONTINENTS)))
    for row in _rows("distance_access.csv"):
        a, b = CONTINENTS.index(row["continent_a"]), CONTINENTS.index(row["continent_b"])
        table[a, b] = table[b, a] = float(row[column])
    return table


def _rows(file: str) -> list[dict[str, str]]:
    text = resources.files("ccp_assess.reference").joinpath(file).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
