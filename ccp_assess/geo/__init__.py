"""Places on the Earth: distances, names of cities and countries, land and sea, the outline of the world."""

from ccp_assess.geo.distances import EARTH_RADIUS_KM, great_circle_km, great_circles_km
from ccp_assess.geo.land import are_on_land, coordinate_problem, is_on_land, world_outline
from ccp_assess.geo.places import (
    Country,
    Place,
    countries_of_number,
    find_country,
    find_place,
    km_to_country,
    nearest_place,
    read_countries,
)

__all__ = [
    "EARTH_RADIUS_KM",
    "Country",
    "Place",
    "are_on_land",
    "coordinate_problem",
    "countries_of_number",
    "find_country",
    "find_place",
    "great_circle_km",
    "great_circles_km",
    "is_on_land",
    "km_to_country",
    "nearest_place",
    "read_countries",
    "world_outline",
]
