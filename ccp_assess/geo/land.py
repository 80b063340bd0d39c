"""Land and sea: coarse, made to notice coordinates that were swapped, and the outline of the world for maps."""

from __future__ import annotations

import json
import lzma
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

CELLS_PER_DEGREE = 4
"""The mask has cells of a quarter of a degree, at most 28 km wide."""


def are_on_land(latitudes: ArrayLike, longitudes: ArrayLike) -> NDArray[np.bool_]:
    """Say of many points whether they are on land or near a coast or a town.

    Parameters
    ----------
    latitudes, longitudes
        The points [decimal degrees].

    Returns
    -------
    on_land
        Some points up to 30 km off a coast count as land; small islands with a town of 500 people are land.
    """
    mask = _mask()
    height, width = mask.shape
    rows = np.floor((np.asarray(latitudes, float) + 90.0) * CELLS_PER_DEGREE).astype(np.int64)
    columns = np.floor((np.asarray(longitudes, float) + 180.0) * CELLS_PER_DEGREE).astype(np.int64)
    return np.asarray(mask[np.clip(rows, 0, height - 1), columns % width], dtype=np.bool_)


def is_on_land(latitude: float, longitude: float) -> bool:
    """Say whether a point is on land or near a coast or a town.

    Parameters
    ----------
    latitude, longitude
        The point [decimal degrees].

    Returns
    -------
    on_land
        See `are_on_land`.

    Examples
    --------
    >>> is_on_land(38.72, -9.14), is_on_land(35.0, -40.0)  # Lisbon; the Atlantic
    (True, False)
    """
    return bool(are_on_land(latitude, longitude))


def coordinate_problem(latitude: float, longitude: float) -> str | None:
    """Say what is wrong with coordinates that a person wrote.

    Parameters
    ----------
    latitude, longitude
        As written [decimal degrees].

    Returns
    -------
    problem
        One sentence, or ``None`` if nothing is seen to be wrong.

    Examples
    --------
    >>> coordinate_problem(-0.12, 51.51)
    'the point -0.12, 51.51 is in the sea, while 51.51, -0.12 is on land; swap latitude and longitude'
    """
    if not -90.0 <= latitude <= 90.0:
        swap = "; latitude and longitude may be swapped" if abs(latitude) <= 180 and abs(longitude) <= 90 else ""
        return f"the latitude {latitude:g} is not between -90 and 90{swap}"
    if not -180.0 <= longitude <= 180.0:
        return f"the longitude {longitude:g} is not between -180 and 180"
    can_be_swapped = abs(longitude) <= 90.0 and not is_on_land(latitude, longitude)
    if can_be_swapped and is_on_land(longitude, latitude):
        return (
            f"the point {latitude:g}, {longitude:g} is in the sea, while {longitude:g}, {latitude:g} is on land; "
            "swap latitude and longitude"
        )
    return None


def world_outline() -> dict[str, Any]:
    """Read the outline of all countries.

    Returns
    -------
    outline
        A GeoJSON feature collection; each feature has ``name``, ``country`` (ISO 3166 alpha-2 or ``None``) and
        ``continent``. Natural Earth 1:110m, public domain.
    """
    text = resources.files("ccp_assess.reference").joinpath("world.geojson").read_text(encoding="utf-8")
    outline: dict[str, Any] = json.loads(text)
    return outline


@cache
def _mask() -> NDArray[np.bool_]:
    packed = resources.files("ccp_assess.reference").joinpath("land.mask.xz").read_bytes()
    bits = np.unpackbits(np.frombuffer(lzma.decompress(packed), dtype=np.uint8))
    shape = (180 * CELLS_PER_DEGREE, 360 * CELLS_PER_DEGREE)
    return bits[: shape[0] * shape[1]].reshape(shape).astype(np.bool_)
