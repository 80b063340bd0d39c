"""The world under the map: projection, outline, shortest ways. Longitudes may run past 180: the world repeats."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from ccp_assess.geo import world_outline
from ccp_assess.report.figures.placing import Box
from ccp_assess.report.style import COAST, LAND

_LAT_LIMIT = 82.0
_FINEST_STEPS = 900  # points closer than this part of the width cannot be told apart


def miller_y(latitude: Any) -> Any:
    """Project latitudes by Miller's cylinder: meridians stay straight, poles are torn apart less than by Mercator's.

    Parameters
    ----------
    latitude
        One or many [decimal degrees].

    Returns
    -------
    y
        In the unit of a degree of longitude.
    """
    phi = np.radians(np.clip(latitude, -_LAT_LIMIT, _LAT_LIMIT))
    projected: np.ndarray[Any, Any] = np.degrees(1.25 * np.log(np.tan(np.pi / 4 + 0.4 * phi)))
    return projected


@cache
def _rings() -> tuple[np.ndarray[Any, Any], ...]:
    """Return the outline's rings, projected."""
    rings: list[np.ndarray[Any, Any]] = []
    for feature in world_outline()["features"]:
        geometry = feature["geometry"]
        polygons = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
        for polygon in polygons:
            ring = np.asarray(polygon[0], dtype=float)[:, :2]
            if ring[:, 1].max() < -60:  # Antarctica has no agents
                continue
            rings.append(np.column_stack([ring[:, 0], miller_y(ring[:, 1])]))
    return tuple(rings)


def _thinned(ring: np.ndarray[Any, Any], step: float) -> np.ndarray[Any, Any]:
    """Leave out points that nobody could tell apart at this scale."""
    kept = [ring[0]]
    for point in ring[1:-1]:
        if abs(point[0] - kept[-1][0]) + abs(point[1] - kept[-1][1]) >= step:
            kept.append(point)
    return np.array(kept) if len(kept) >= 3 else ring


def draw_land(ax: Axes, window: Box) -> None:
    """Draw the outline of the countries that the window shows.

    Parameters
    ----------
    ax
        The axes.
    window
        Left, bottom, right, top in longitude and projected latitude.
    """
    shapes = []
    for ring in _rings():
        for shift in (-360.0, 0.0, 360.0):
            left, right = ring[:, 0].min() + shift, ring[:, 0].max() + shift
            if right < window[0] or left > window[2] or ring[:, 1].max() < window[1] or ring[:, 1].min() > window[3]:
                continue
            shapes.append(_thinned(ring, (window[2] - window[0]) / _FINEST_STEPS) + np.array([shift, 0.0]))
    if shapes:
        outline = Path.make_compound_path(*(Path(shape, closed=True) for shape in shapes))
        ax.add_patch(PathPatch(outline, facecolor=LAND, edgecolor=COAST, linewidth=0.35, zorder=1))


def great_circle(start: tuple[float, float], end: tuple[float, float], points: int = 40) -> np.ndarray[Any, Any]:
    """Return points along the shortest way between two places, longitudes running on without a jump.

    Parameters
    ----------
    start, end
        Latitude and longitude [decimal degrees].
    points
        How many (count).

    Returns
    -------
    line
        Rows of longitude and latitude [decimal degrees].

    Examples
    --------
    >>> great_circle((0.0, 170.0), (0.0, -170.0), 3)[:, 0].round(6).tolist()
    [170.0, 180.0, 190.0]
    """
    (lat1, lon1), (lat2, lon2) = np.radians(start), np.radians(end)
    a = np.array([np.cos(lat1) * np.cos(lon1), np.cos(lat1) * np.sin(lon1), np.sin(lat1)])
    b = np.array([np.cos(lat2) * np.cos(lon2), np.cos(lat2) * np.sin(lon2), np.sin(lat2)])
    angle = float(np.arccos(np.clip(a @ b, -1.0, 1.0)))
    share = np.linspace(0.0, 1.0, points)
    if angle < 1e-9 or angle > math.pi - 1e-6:  # the same place, or one exactly opposite: a straight line will do
        line = np.column_stack([np.linspace(lon1, lon2, points), np.linspace(lat1, lat2, points)])
        straight: np.ndarray[Any, Any] = np.degrees(line)
        return straight
    vectors = (np.outer(np.sin((1 - share) * angle), a) + np.outer(np.sin(share * angle), b)) / math.sin(angle)
    latitudes = np.arcsin(np.clip(vectors[:, 2], -1, 1))
    longitudes = np.unwrap(np.arctan2(vectors[:, 1], vectors[:, 0]))
    curved: np.ndarray[Any, Any] = np.degrees(np.column_stack([longitudes, latitudes]))
    return curved
