"""The packaged gazetteer: cities and countries by name, offline.

Cities are those of GeoNames with 15,000 people or more; see ``reference/README.md``.
"""

from __future__ import annotations

import csv
import difflib
import lzma
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from ccp_assess.errors import PlaceError, ReferenceFactError, quoted
from ccp_assess.geo.distances import EARTH_RADIUS_KM, great_circle_km
from ccp_assess.geo.names import folded_name, spellings

DOMINANCE = 10.0
"""A name without a country means the city that has this many times the people of every namesake."""

DOMINANCE_OF_TWINS = 2.0
"""Of namesakes that country and state do not tell apart, the one with this many times the people of each other."""

SAME_TOWN_KM = 30.0
"""Namesakes this near to each other are parts of one town."""

MAX_CANDIDATES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A city.

    Parameters
    ----------
    name
        As GeoNames has it.
    country
        ISO 3166 alpha-2 code.
    latitude, longitude
        Its middle [decimal degrees].
    population
        People, to three digits (count).
    state
        Code of the state, province or constituent country where people write it (US, CA, AU, GB), else ``None``.
    """

    name: str
    country: str
    latitude: float
    longitude: float
    population: int
    state: str | None = None

    @property
    def label(self) -> str:
        """Name that `find_place` understands: ``Lisbon, PT`` or ``Springfield, MO, US``."""
        return ", ".join(part for part in (self.name, self.state, self.country) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Country:
    """A country.

    Parameters
    ----------
    code
        ISO 3166 alpha-2.
    name
        In English.
    continent
        AF, AN, AS, EU, NA, OC or SA.
    latitude, longitude
        The town nearest to the middle of its people [decimal degrees].
    population
        People (count).
    dial_prefixes
        International prefixes without the plus sign, such as ``("351",)``.
    code3
        ISO 3166 alpha-3.
    """

    code: str
    name: str
    continent: str
    latitude: float
    longitude: float
    population: int
    dial_prefixes: tuple[str, ...]
    code3: str


def find_place(text: str) -> Place:
    """Find a city by its name.

    Parameters
    ----------
    text
        ``City``, ``City, CC``, ``City, Country``, ``City, State`` or ``City, State, Country``. Case and accents do not
        matter, and names in other languages are known for larger cities.

    Returns
    -------
    place
        The one city that is meant. Of several, one with ten times the people of every other is meant.

    Raises
    ------
    PlaceError
        If the name is unknown or several cities could be meant; ``candidates`` holds names that are understood.

    Examples
    --------
    >>> find_place("münchen, de").name, find_place("Bombay").label, find_place("Portland, Oregon").state
    ('Munich', 'Mumbai, IN', 'OR')
    """
    name, *qualifiers = [part for part in (piece.strip() for piece in text.split(",")) if part] or [""]
    namesakes = _namesakes(name)
    if not namesakes and not qualifiers and " " in name:  # `Lisbon PT` without the comma
        city, _, last = name.rpartition(" ")
        if len(last) == 2 and last.upper() in read_countries():
            name, qualifiers, namesakes = city, [last], _namesakes(city)
    if not namesakes:
        raise _unknown(text, name)
    matching = _matching(namesakes, qualifiers)
    if not matching:
        shown = tuple(place.label for place in namesakes[:MAX_CANDIDATES])
        raise PlaceError(f"{quoted(text)} is not known there; known are {'; '.join(shown)}", shown)
    return _only(matching, text)


def _only(places: list[Place], text: str) -> Place:
    first = places[0]
    others = [place for place in places[1:] if not _same_town(first, place)]
    twins = all(place.label == first.label for place in others)
    dominance = DOMINANCE_OF_TWINS if twins else DOMINANCE
    if all(first.population >= dominance * place.population for place in others):
        return first
    if twins:
        where = " and ".join(f"{place.latitude:g}, {place.longitude:g}" for place in [first, *others][:3])
        raise PlaceError(f"{quoted(text)} is the name of places at {where}; give latitude and longitude instead")
    shown = tuple(dict.fromkeys(place.label for place in [first, *others]))[:MAX_CANDIDATES]
    raise PlaceError(f"{quoted(text)} can mean several places; write one of {'; '.join(shown)}", shown)


def _same_town(first: Place, other: Place) -> bool:
    apart_km = great_circle_km(first.latitude, first.longitude, other.latitude, other.longitude)
    return first.country == other.country and apart_km <= SAME_TOWN_KM


def _namesakes(name: str) -> list[Place]:
    """Return all places of a name, the most populous first; the first spelling that is known decides."""
    by_name = _gazetteer().by_name
    for spelling in spellings(folded_name(name)):
        if spelling in by_name:
            places = (_gazetteer().place(index) for index in by_name[spelling])
            return sorted(places, key=lambda place: (-place.population, place.label))
    return []


def _matching(places: list[Place], qualifiers: list[str]) -> list[Place]:
    """Keep the places that every qualifier allows; a code that is both country and state means the country."""
    for qualifier in qualifiers:
        country = _country_code(qualifier)
        states = _states_by_name().get(folded_name(qualifier), frozenset())
        of_country = [place for place in places if place.country == country]
        places = of_country or [place for place in places if (place.country, place.state) in states]
    return places


def _unknown(text: str, name: str) -> PlaceError:
    folded = folded_name(name)
    if not folded:
        return PlaceError("the place is empty; write it as in `Lisbon, PT`")
    lengths = range(len(folded) - 2, len(folded) + 3)
    keys = [key for length in lengths for key in _names_alike().get((folded[0], length), ())]  # few: difflib is slow
    near = difflib.get_close_matches(folded, keys, n=3, cutoff=0.75)
    shown = tuple(dict.fromkeys(_namesakes(key)[0].label for key in near))
    hint = f"did you mean {' or '.join(shown)}" if shown else "write the nearest larger city as in `Lisbon, PT`"
    return PlaceError(f"{quoted(text)} is not in the gazetteer; {hint}, or give latitude and longitude", shown)


def find_country(text: str) -> Country:
    """Find a country by its code or name.

    Parameters
    ----------
    text
        ISO 3166 alpha-2 or alpha-3 code, the English name, or an international dial prefix such as ``+351``.

    Returns
    -------
    country
        The country.

    Raises
    ------
    ReferenceFactError
        If there is no such country; the text names similar ones.

    Examples
    --------
    >>> find_country("pt").name, find_country("Germany").dial_prefixes, find_country("+351").code
    ('Portugal', ('49',), 'PT')
    """
    if text.strip().startswith("+"):
        return _only_country(countries_of_number(text), text)
    code = _country_code(text)
    if code is None:
        near = difflib.get_close_matches(folded_name(text), _country_codes_by_name(), n=3, cutoff=0.6)
        meant = dict.fromkeys(_country_codes_by_name()[key] for key in near)
        names = ", ".join(f"{code} ({read_countries()[code].name})" for code in meant)
        hint = f"; similar are {names}" if names else "; write its ISO 3166 code, such as PT"
        raise ReferenceFactError(f"there is no country {quoted(text)}{hint}")
    return read_countries()[code]


def countries_of_number(number: str) -> tuple[Country, ...]:
    """Find the countries that a telephone number may belong to, by the longest dial prefix that fits.

    Parameters
    ----------
    number
        International number or prefix, such as ``+351 21 123 4567`` or ``0044``.

    Returns
    -------
    countries
        The most populous first; several share a prefix such as +1, +7 or +44. Empty if no prefix fits.

    Examples
    --------
    >>> [country.code for country in countries_of_number("+1 809 555 0100")]
    ['DO']
    """
    digits = "".join(c for c in number if c.isascii() and c.isdigit())
    digits = digits if number.strip().startswith("+") else digits.removeprefix("00")
    fitting = [
        (len(prefix), country)
        for country in read_countries().values()
        for prefix in country.dial_prefixes
        if digits.startswith(prefix)
    ]
    longest = max((length for length, _ in fitting), default=0)
    found = [country for length, country in fitting if length == longest]
    return tuple(sorted(found, key=lambda country: (-country.population, country.code)))


def _only_country(countries: tuple[Country, ...], text: str) -> Country:
    if not countries:
        raise ReferenceFactError(f"no country has the dial prefix {quoted(text)}; write its ISO 3166 code, such as PT")
    first, *others = countries
    if all(first.population >= DOMINANCE * country.population for country in others):
        return first
    names = ", ".join(country.code for country in countries[:MAX_CANDIDATES])
    raise ReferenceFactError(f"several countries have the dial prefix {quoted(text)}; write one of {names}")


def _country_code(text: str) -> str | None:
    return _country_codes_by_name().get(folded_name(text))


@cache
def read_countries() -> dict[str, Country]:
    """Read all countries of the reference table.

    Returns
    -------
    countries
        By ISO 3166 alpha-2 code.
    """
    return {row["country"]: _country_from_row(row) for row in _reference_rows("countries.csv")}


def _country_from_row(row: dict[str, str]) -> Country:
    return Country(
        code=row["country"],
        name=row["name"],
        continent=row["continent"],
        latitude=float(row["latitude"]),
        longitude=float(row["longitude"]),
        population=int(row["population"]),
        dial_prefixes=tuple(row["dial_prefixes"].split()),
        code3=row["country3"],
    )


@cache
def _country_codes_by_name() -> dict[str, str]:
    codes: dict[str, str] = {}
    rows = _reference_rows("countries.csv")
    for row in rows:
        for name in (row["name"], *filter(None, row["other_names"].split("|"))):
            codes.setdefault(folded_name(name), row["country"])
    for row in rows:  # codes last: they win over names
        codes[row["country3"].lower()] = row["country"]
        codes[row["country"].lower()] = row["country"]
    return codes


@cache
def _states_by_name() -> dict[str, frozenset[tuple[str, str]]]:
    states: dict[str, set[tuple[str, str]]] = {}
    for row in _reference_rows("states.csv"):
        for name in (row["state"], row["name"]):
            states.setdefault(folded_name(name), set()).add((row["country"], row["state"]))
    return {name: frozenset(found) for name, found in states.items()}


def _reference_rows(file: str) -> list[dict[str, str]]:
    text = resources.files("ccp_assess.reference").joinpath(file).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


class _Gazetteer:
    """All places as the file's lines; a `Place` is made only of those that are asked for."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self.by_name: dict[str, list[int]] = {}
        for index, line in enumerate(lines):
            cells = line.split("\t")
            self.by_name.setdefault(folded_name(cells[1]), []).append(index)
            if cells[6]:
                for other in cells[6].split("|"):
                    self.by_name.setdefault(other, []).append(index)

    @property
    def size(self) -> int:
        return len(self._lines)

    def place(self, index: int) -> Place:
        country, name, state, latitude, longitude, population, _ = self._lines[index].split("\t")
        return Place(
            name=name,
            country=country,
            latitude=float(latitude),
            longitude=float(longitude),
            population=int(population),
            state=state or None,
        )

    def countries(self) -> Iterable[str]:
        return (line[:2] for line in self._lines)

    def coordinates(self) -> Iterable[tuple[float, float]]:
        for line in self._lines:
            _, _, _, latitude, longitude, _, _ = line.split("\t")
            yield float(latitude), float(longitude)


@cache
def _gazetteer() -> _Gazetteer:
    packed = resources.files("ccp_assess.reference").joinpath("places.tsv.xz").read_bytes()
    return _Gazetteer(lzma.decompress(packed).decode("utf-8").splitlines()[1:])


@cache
def _names_alike() -> dict[tuple[str, int], list[str]]:
    """Group all names by their first letter and length."""
    groups: dict[tuple[str, int], list[str]] = {}
    for name in _gazetteer().by_name:
        groups.setdefault((name[0], len(name)), []).append(name)
    return groups


@cache
def _place_vectors() -> NDArray[np.float64]:
    degrees = np.radians(np.array(list(_gazetteer().coordinates())))
    return _unit_vectors(degrees[:, 0], degrees[:, 1])


@cache
def _towns_of(country: str) -> NDArray[np.float64]:
    of_country = np.array([code == country for code in _gazetteer().countries()])
    return np.asarray(_place_vectors()[of_country], dtype=np.float64)


def _unit_vectors(phi: NDArray[np.float64], lam: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack((np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)), axis=-1)


def km_to_country(latitude: float, longitude: float, country: str) -> float:
    """Return how far a point is from the nearest town of a country.

    Parameters
    ----------
    latitude, longitude
        The point [decimal degrees].
    country
        ISO 3166 alpha-2 code.

    Returns
    -------
    distance_km
        To a town of the gazetteer, or to the middle of a country without one [km].
    """
    towns = _towns_of(country)
    if not towns.size:
        middle = read_countries()[country]
        return great_circle_km(latitude, longitude, middle.latitude, middle.longitude)
    point = _unit_vectors(np.radians(np.array(latitude)), np.radians(np.array(longitude)))
    nearest = float((towns @ point).max())
    return EARTH_RADIUS_KM * float(np.arccos(np.clip(nearest, -1.0, 1.0)))


def nearest_place(latitude: float, longitude: float) -> tuple[Place, float]:
    """Return the city of the gazetteer that is nearest to a point.

    Parameters
    ----------
    latitude, longitude
        The point [decimal degrees].

    Returns
    -------
    place
        The nearest city.
    distance_km
        How far it is [km].

    Examples
    --------
    >>> nearest_place(38.7, -9.15)[0].country
    'PT'
    """
    point = _unit_vectors(np.radians(np.array(latitude)), np.radians(np.array(longitude)))
    cosines = _place_vectors() @ point
    index = int(np.argmax(cosines))
    distance_km = EARTH_RADIUS_KM * float(np.arccos(np.clip(cosines[index], -1.0, 1.0)))
    return _gazetteer().place(index), distance_km
