"""The ways that traffic takes between cities: landing places, straits and the links between them.

Distance alone misleads: Africa is reached by way of Europe, South America by way of Miami, Asia from Europe through
the Red Sea. ``reference/waypoints.csv`` holds the cities where networks meet (hubs) and bends of submarine routes
(sea), ``reference/links.csv`` what joins them. The cost of a link is its length times the stretch of its kind; the cost
between two hubs is that of the cheapest way.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from ccp_assess import geo

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

LINK_KINDS = ("land_dense", "land_north_america", "land_south_asia", "land_sparse", "sea")
"""Kinds of links; each has its own stretch."""

KM_PER_RTT_MS = 100.0
"""Kilometres of fibre per millisecond of round trip: 200 km/ms there and back."""

CONTINENTS = ("AF", "AS", "EU", "NA", "OC", "SA")
"""Codes of the continents that have hubs, as in ``reference/countries.csv``."""

NEAREST_HUBS = 4
"""A point may enter the network at any of so many nearest hubs."""

CANDIDATES = 16
"""So many hubs nearest to the middle of a one-degree cell hold the nearest hubs of every point of the cell."""

MANY_POINTS = 30_000
"""From so many points on the cells are worth their making; the hubs found are the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waypoints:
    """The network without its costs.

    Parameters
    ----------
    names
        Of all waypoints.
    latitudes, longitudes
        Of all waypoints [decimal degrees].
    is_hub
        Which of them are cities where traffic can enter.
    continents
        Continent of each hub, index into ``CONTINENTS``; -1 for bends at sea.
    starts, ends
        Indices of the waypoints that each link joins.
    kinds
        Kind of each link, index into ``LINK_KINDS``.
    lengths_km
        Great-circle length of each link [km].
    """

    names: tuple[str, ...]
    latitudes: Floats
    longitudes: Floats
    is_hub: NDArray[np.bool_]
    continents: Indices
    starts: Indices
    ends: Indices
    kinds: Indices
    lengths_km: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The hubs with the cost of the cheapest way between every two of them.

    Parameters
    ----------
    names
        Of the hubs.
    latitudes, longitudes
        Of the hubs [decimal degrees].
    cost_ms
        Round trip between every two hubs [ms].
    entry_stretch
        Stretch of the way from a point to each hub [unitless].
    continents
        Continent of each hub, index into ``CONTINENTS``.
    """

    names: tuple[str, ...]
    latitudes: Floats
    longitudes: Floats
    cost_ms: Floats
    entry_stretch: Floats
    continents: Indices


@cache
def read_waypoints() -> Waypoints:
    """Read waypoints and links from the reference tables.

    Returns
    -------
    waypoints
        The network without its costs.
    """
    points, links = _rows("waypoints.csv"), _rows("links.csv")
    index = {row["waypoint"]: number for number, row in enumerate(points)}
    latitudes = np.array([float(row["latitude"]) for row in points])
    longitudes = np.array([float(row["longitude"]) for row in points])
    starts = np.array([index[row["waypoint_a"]] for row in links])
    ends = np.array([index[row["waypoint_b"]] for row in links])
    return Waypoints(
        names=tuple(index),
        latitudes=latitudes,
        longitudes=longitudes,
        is_hub=np.array([row["kind"] == "hub" for row in points]),
        continents=np.array([CONTINENTS.index(row["continent"]) if row["continent"] else -1 for row in points]),
        starts=starts,
        ends=ends,
        kinds=np.array([LINK_KINDS.index(row["kind"]) for row in links]),
        lengths_km=geo.great_circles_km(latitudes[starts], longitudes[starts], latitudes[ends], longitudes[ends]),
    )


def build_network(waypoints: Waypoints, stretch: Mapping[str, float], hub_ms: float) -> Network:
    """Find the cheapest way between every two hubs.

    Parameters
    ----------
    waypoints
        The network without its costs.
    stretch
        Length of cable per great-circle length, for every kind of link [unitless].
    hub_ms
        Round trip that each hub on the way adds [ms].

    Returns
    -------
    network
        The hubs and their costs.
    """
    factors = np.array([stretch[kind] for kind in LINK_KINDS])
    cost = _cheapest(_link_costs(waypoints, factors, hub_ms), len(waypoints.names))
    hubs = np.nonzero(waypoints.is_hub)[0]
    return Network(
        names=tuple(waypoints.names[hub] for hub in hubs),
        latitudes=waypoints.latitudes[hubs],
        longitudes=waypoints.longitudes[hubs],
        cost_ms=cost[np.ix_(hubs, hubs)],
        entry_stretch=_entry_stretch(waypoints, factors)[hubs],
        continents=waypoints.continents[hubs],
    )


def _link_costs(waypoints: Waypoints, factors: Floats, hub_ms: float) -> tuple[Indices, Indices, Floats]:
    lengths_ms = waypoints.lengths_km * factors[waypoints.kinds] / KM_PER_RTT_MS
    # half of a hub's share at each of its links: a way through a hub pays it once
    hubs = 0.5 * (waypoints.is_hub[waypoints.starts].astype(float) + waypoints.is_hub[waypoints.ends])
    return waypoints.starts, waypoints.ends, lengths_ms + hub_ms * hubs


def _cheapest(links: tuple[Indices, Indices, Floats], size: int) -> Floats:
    """Floyd and Warshall's algorithm, one matrix operation per waypoint."""
    starts, ends, costs = links
    cost = np.full((size, size), np.inf)
    np.fill_diagonal(cost, 0.0)
    np.minimum.at(cost, (starts, ends), costs)
    cost = np.minimum(cost, cost.T)
    for via in range(size):
        np.minimum(cost, cost[:, via, None] + cost[None, via, :], out=cost)
    return np.asarray(cost, dtype=np.float64)


def _entry_stretch(waypoints: Waypoints, factors: Floats) -> Floats:
    """Return the stretch around each waypoint: that of its best land link; an island has that of sparse land."""
    sparse = factors[LINK_KINDS.index("land_sparse")]
    best = np.full(len(waypoints.names), np.inf)
    on_land = waypoints.kinds != LINK_KINDS.index("sea")
    for side in (waypoints.starts, waypoints.ends):
        np.minimum.at(best, side[on_land], factors[waypoints.kinds[on_land]])
    return np.asarray(np.where(np.isfinite(best), best, sparse), dtype=np.float64)


def nearest_hubs(network: Network, latitudes: Floats, longitudes: Floats) -> tuple[Indices, Floats]:
    """Find where points enter the network.

    Parameters
    ----------
    network
        The hubs.
    latitudes, longitudes
        The points [decimal degrees].

    Returns
    -------
    hubs
        Indices of the nearest hubs, one row per point.
    distances_km
        How far they are, of the same shape [km].
    """
    hub_vectors = unit_vectors(network.latitudes, network.longitudes)
    vectors = unit_vectors(latitudes, longitudes)
    if latitudes.size < MANY_POINTS:
        hubs = _most_alike(vectors @ hub_vectors.T, NEAREST_HUBS)
    else:
        candidates = _cell_candidates(network.names)[_cells(latitudes, longitudes)]
        cosines = np.einsum("nd,ncd->nc", vectors, hub_vectors[candidates])
        hubs = np.take_along_axis(candidates, _most_alike(cosines, NEAREST_HUBS), axis=1)
    distances_km = geo.great_circles_km(
        latitudes[:, None], longitudes[:, None], network.latitudes[hubs], network.longitudes[hubs]
    )
    return hubs, distances_km


def _most_alike(cosines: Floats, count: int) -> Indices:
    return np.argpartition(-cosines, count - 1, axis=-1)[:, :count]


def _cells(latitudes: Floats, longitudes: Floats) -> Indices:
    rows = np.clip(np.floor(latitudes + 90.0), 0, 179).astype(np.int64)
    return rows * 360 + np.floor(longitudes + 180.0).astype(np.int64) % 360


@cache
def _cell_candidates(names: tuple[str, ...]) -> Indices:
    """Return the hubs nearest to the middle of every cell of one degree; hubs are named, so that they can be kept."""
    waypoints = read_waypoints()
    hubs = np.array([waypoints.names.index(name) for name in names])
    row, column = np.divmod(np.arange(180 * 360), 360)
    middles = unit_vectors(row - 89.5, column - 179.5)
    hub_vectors = unit_vectors(waypoints.latitudes[hubs], waypoints.longitudes[hubs])
    return _most_alike(middles @ hub_vectors.T, CANDIDATES)


def unit_vectors(latitudes: Floats, longitudes: Floats) -> Floats:
    """Return points as vectors of length 1 from the middle of the Earth.

    Parameters
    ----------
    latitudes, longitudes
        The points [decimal degrees].

    Returns
    -------
    vectors
        One row per point [unitless].
    """
    phi, lam = np.radians(latitudes), np.radians(longitudes)
    vectors = np.stack((np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)), axis=-1)
    return np.asarray(vectors, dtype=np.float64)


def _rows(file: str) -> list[dict[str, str]]:
    text = resources.files("ccp_assess.reference").joinpath(file).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
