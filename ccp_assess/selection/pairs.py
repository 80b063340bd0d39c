"""A table of pairs of points, and the round trip that geography expects of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ccp_assess import csvtext, geo
from ccp_assess.csvtext import Row
from ccp_assess.errors import ReferenceFactError
from ccp_assess.selection.distance import DistanceEstimate, Ends, estimate_rtts

REQUIRED = ("from_lat", "from_lon", "to_lat", "to_lon")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two points.

    Parameters
    ----------
    from_lat, from_lon
        The one [decimal degrees].
    to_lat, to_lon
        The other [decimal degrees].
    """

    from_lat: float
    from_lon: float
    to_lat: float
    to_lon: float


def read_pairs(source: Path | str, *, name: str | None = None) -> list[Pair]:
    """Read a table of pairs.

    Parameters
    ----------
    source
        A CSV file, or its text, with ``from_lat, from_lon, to_lat, to_lon`` and perhaps ``from_country, to_country``.
    name
        What messages call the table.

    Returns
    -------
    pairs
        In the order of the table.

    Raises
    ------
    TableError
        If a cell is wrong; coordinates that look swapped count as wrong.
    """
    return [_pair(row) for row in csvtext.read_rows(source, name=name, required=REQUIRED)]


def _pair(row: Row) -> Pair:
    from_lat, from_lon = _point(row, "from")
    to_lat, to_lon = _point(row, "to")
    return Pair(from_lat=from_lat, from_lon=from_lon, to_lat=to_lat, to_lon=to_lon)


def _point(row: Row, end: str) -> tuple[float, float]:
    latitude = csvtext.number(row, f"{end}_lat")
    longitude = csvtext.number(row, f"{end}_lon")
    problem = geo.coordinate_problem(latitude, longitude, _country(row, f"{end}_country"))
    if problem:
        column = f"{end}_lon" if problem.startswith("the longitude") else f"{end}_lat"
        raise row.wrong(column, problem)
    return latitude, longitude


def _country(row: Row, column: str) -> str | None:
    text = csvtext.optional_text(row, column)
    if text is None:
        return None
    try:
        return geo.find_country(text).code
    except ReferenceFactError as error:
        raise row.wrong(column, str(error)) from None


def estimate_pairs(pairs: Sequence[Pair], *, ends: Ends = "data_centres") -> list[DistanceEstimate]:
    """Estimate the round trip of every pair.

    Parameters
    ----------
    pairs
        Points.
    ends
        Whether both points are data centres, or one of them an office or a home.

    Returns
    -------
    estimates
        In the same order.
    """
    columns = np.array([(p.from_lat, p.from_lon, p.to_lat, p.to_lon) for p in pairs], dtype=float).reshape(-1, 4)
    many = estimate_rtts(columns[:, 0], columns[:, 1], columns[:, 2], columns[:, 3], ends=ends)
    rows = zip(many.great_circle_km, many.rtt_ms, many.rtt_low_ms, many.rtt_high_ms, strict=True)
    return [
        DistanceEstimate(great_circle_km=float(km), rtt_ms=float(rtt), rtt_band90_ms=(float(low), float(high)))
        for km, rtt, low, high in rows
    ]
