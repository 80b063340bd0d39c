"""Where a row of a client's table is: by its place, its country or its coordinates, and whether that can be."""

from __future__ import annotations

from dataclasses import dataclass

from ccp_assess import geo
from ccp_assess.csvtext import Row, optional_number, optional_text
from ccp_assess.errors import CcpAssessError, shortened

CONTRADICTION_KM = 300.0
"""Coordinates further than this from the place named in the same row are taken for a slip [km]."""

TOWN_NEAR_KM = 100.0
"""A point this near to a town is taken to be in the same country [km]."""

SOUTHERNMOST_WORK = -60.0
"""Nobody answers calls further south than this: the Antarctic Treaty's limit [°]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where something is.

    Parameters
    ----------
    latitude, longitude
        Decimal degrees [°].
    place
        City and country as written, or the country's name, if given.
    country
        ISO 3166 alpha-2 code, if known.
    """

    latitude: float
    longitude: float
    place: str | None
    country: str | None


def locate(row: Row, *, by_country: bool = False) -> Location:
    """Find out where a row is.

    Parameters
    ----------
    row
        A row with some of the columns ``place``, ``country``, ``latitude`` and ``longitude``. Coordinates win over
        the place, the place wins over the country.
    by_country
        Whether a country alone is enough (its middle is taken).

    Returns
    -------
    location
        Where it is.

    Raises
    ------
    TableError
        If it cannot be said, or if the columns contradict each other.
    """
    country = _country(row)
    coordinates = _coordinates(row)
    place = optional_text(row, "place")
    if coordinates:
        return _by_coordinates(row, coordinates, place=place, country=country)
    if place:
        return _by_place(row, place, country=country, by_country=by_country)
    if country and by_country:
        return _middle_of(country)
    raise row.wrong("place", _nowhere(by_country=by_country))


def _nowhere(*, by_country: bool) -> str:
    country = ", country (such as PT)" if by_country else ""
    return f"it is not said where this is; fill in place (such as Lisbon, PT){country} or latitude and longitude"


def _country(row: Row) -> str | None:
    written = optional_text(row, "country")
    if written is None:
        return None
    try:
        return geo.find_country(written).code
    except CcpAssessError as error:
        raise row.wrong("country", str(error)) from None


def _coordinates(row: Row) -> tuple[float, float] | None:
    latitude, longitude = optional_number(row, "latitude"), optional_number(row, "longitude")
    if latitude is None and longitude is None:
        return None
    if latitude is None or longitude is None:
        missing = "latitude" if latitude is None else "longitude"
        raise row.wrong(missing, f"the {missing} is missing; give both coordinates, or a place instead")
    _check_coordinates(row, latitude, longitude)
    return latitude, longitude


def _check_coordinates(row: Row, latitude: float, longitude: float) -> None:
    if latitude == 0 and longitude == 0:
        raise row.wrong("latitude", "0, 0 lies in the sea off Africa; leave both cells empty if they are unknown")
    problem = geo.coordinate_problem(latitude, longitude)
    if problem:
        raise row.wrong("longitude" if "the longitude" in problem else "latitude", problem)
    if latitude < SOUTHERNMOST_WORK and geo.is_on_land(longitude, latitude):
        raise row.wrong(
            "latitude",
            f"{latitude:g}, {longitude:g} lies in Antarctica, while {longitude:g}, {latitude:g} is on land; swap "
            "latitude and longitude",
        )
    if not geo.is_on_land(latitude, longitude):
        raise row.wrong(
            "latitude", f"{latitude:g}, {longitude:g} lies in the sea; correct the coordinates (is a sign missing?)"
        )


def _by_coordinates(row: Row, coordinates: tuple[float, float], *, place: str | None, country: str | None) -> Location:
    latitude, longitude = coordinates
    named = _place_or_none(place, country)
    if named is not None:
        _check_same_place(row, coordinates, named)
    elif country is not None:
        _check_same_country(row, coordinates, country)
    known = country or (named.country if named else _country_at(latitude, longitude))
    return Location(latitude=latitude, longitude=longitude, place=place, country=known)


def _check_same_place(row: Row, coordinates: tuple[float, float], named: geo.Place) -> None:
    latitude, longitude = coordinates
    distance_km = geo.great_circle_km(latitude, longitude, named.latitude, named.longitude)
    if distance_km > CONTRADICTION_KM:
        raise row.wrong(
            "latitude",
            f"{latitude:g}, {longitude:g} lies {distance_km:.0f} km from {named.label}; correct the coordinates "
            f"({named.latitude:g}, {named.longitude:g} would be there) or the place",
        )


def _check_same_country(row: Row, coordinates: tuple[float, float], country: str) -> None:
    """Notice swapped coordinates that are on land both ways, where the country gives them away."""
    latitude, longitude = coordinates
    if abs(longitude) <= 90 and _country_at(latitude, longitude) != country == _country_at(longitude, latitude):
        raise row.wrong(
            "latitude",
            f"{latitude:g}, {longitude:g} is not in {country} while {longitude:g}, {latitude:g} is; swap latitude and "
            "longitude",
        )


def _country_at(latitude: float, longitude: float) -> str | None:
    town, distance_km = geo.nearest_place(latitude, longitude)
    return town.country if distance_km <= TOWN_NEAR_KM else None


def _place_or_none(place: str | None, country: str | None) -> geo.Place | None:
    """Find the place that stands beside coordinates; an unknown name, or one without its country, is a label then."""
    if place is None or (country is None and "," not in place):
        return None
    try:
        return geo.find_place(_with_country(place, country))
    except CcpAssessError:
        return None


def _middle_of(country: str) -> Location:
    middle = geo.find_country(country)
    return Location(latitude=middle.latitude, longitude=middle.longitude, place=middle.name, country=middle.code)


def _by_place(row: Row, place: str, *, country: str | None, by_country: bool) -> Location:
    try:
        found = geo.find_place(_with_country(place, country))
    except CcpAssessError as error:
        if by_country and country is None and _is_country(place):
            return _middle_of(place)
        raise row.wrong("place", str(error)) from None
    if country and found.country != country:
        raise row.wrong(
            "country",
            f"{shortened(place)} is in {found.country}, not in {country}; correct the country or the place",
        )
    return Location(
        latitude=found.latitude,
        longitude=found.longitude,
        place=place,
        country=found.country,
    )


def _is_country(name: str) -> bool:
    try:
        geo.find_country(name)
    except CcpAssessError:
        return False
    return True


def _with_country(place: str, country: str | None) -> str:
    return f"{place}, {country}" if country and "," not in place else place
