"""Land and sea: coarse, made to notice coordinates that were swapped, and the outline of the world for maps."""

from __future__ import annotations

import json
import lzma
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ccp_assess.geo.places import km_to_country

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


NEAR_COUNTRY_KM, FAR_FROM_COUNTRY_KM = 300.0, 1000.0
"""A point this near to a town of a country is in it; one that far away is not, if an exchange would bring it near."""


def coordinate_problem(latitude: float, longitude: float, country: str | None = None) -> str | None:
    """Say what is wrong with coordinates that a person wrote.

    Parameters
    ----------
    latitude, longitude
        As written [decimal degrees].
    country
        ISO 3166 alpha-2 code of the country where the point should be, if known.

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
    return None if country is None else _not_in_country(latitude, longitude, country)


def _not_in_country(latitude: float, longitude: float, country: str) -> str | None:
    """Say that a point is far from its country where a swap or another sign would bring it there."""
    away_km = km_to_country(latitude, longitude, country)
    if away_km < FAR_FROM_COUNTRY_KM:
        return None
    meant = [
        (lat, lon)
        for lat, lon in (
            (longitude, latitude),
            (latitude, -longitude),
            (-latitude, longitude),
            (-latitude, -longitude),
        )
        if abs(lat) <= 90.0 and km_to_country(lat, lon, country) < NEAR_COUNTRY_KM
    ]
    if not meant:
        return None
    lat, lon = meant[0]
    what = "swap latitude and longitude" if (lat, lon) == (longitude, latitude) else "check the signs"
    return (
        f"the point {latitude:g}, {longitude:g} is {away_km:,.0f} km from {country}, while {lat:g}, {lon:g} is "
        f"there; {what}"
    )


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
