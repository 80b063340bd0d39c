"""Great-circle distances: geopy for one pair, the haversine on the same sphere for many."""

from __future__ import annotations

import numpy as np
from geopy.distance import EARTH_RADIUS, great_circle
from numpy.typing import ArrayLike, NDArray

EARTH_RADIUS_KM = float(EARTH_RADIUS)
"""Mean radius of the Earth as geopy has it, (2 a + b) / 3 of WGS 84 [km]."""


def great_circle_km(latitude1: float, longitude1: float, latitude2: float, longitude2: float) -> float:
    """Return the distance between two points over the surface of the Earth, taken as a sphere.

    Parameters
    ----------
    latitude1, longitude1
        The one point [decimal degrees].
    latitude2, longitude2
        The other [decimal degrees].

    Returns
    -------
    distance_km
        Along the great circle [km].

    Examples
    --------
    >>> round(great_circle_km(51.51, -0.12, 38.72, -9.14))  # London to Lisbon
    1586
    """
    return float(great_circle((latitude1, longitude1), (latitude2, longitude2)).km)


def great_circles_km(
    latitudes1: ArrayLike, longitudes1: ArrayLike, latitudes2: ArrayLike, longitudes2: ArrayLike
) -> NDArray[np.float64]:
    """Return the distances between many points; shapes follow numpy's broadcasting.

    Parameters
    ----------
    latitudes1, longitudes1
        The ones [decimal degrees].
    latitudes2, longitudes2
        The others [decimal degrees].

    Returns
    -------
    distances_km
        Along great circles, equal to `great_circle_km` [km].

    References
    ----------
    .. [1] R. W. Sinnott, "Virtues of the Haversine", Sky and Telescope 68 (1984) 159.
    """
    phi1, phi2 = np.radians(np.asarray(latitudes1, float)), np.radians(np.asarray(latitudes2, float))
    half_dphi = (phi2 - phi1) / 2.0
    half_dlambda = np.radians(np.asarray(longitudes2, float) - np.asarray(longitudes1, float)) / 2.0
    haversine = np.sin(half_dphi) ** 2 + np.cos(phi1) * np.cos(phi2) * np.sin(half_dlambda) ** 2
    haversine = np.clip(haversine, 0.0, 1.0)
    # atan2 keeps its digits near the antipode, where asin loses them
    angle = 2.0 * np.arctan2(np.sqrt(haversine), np.sqrt(1.0 - haversine))
    return np.asarray(EARTH_RADIUS_KM * angle, dtype=np.float64)
