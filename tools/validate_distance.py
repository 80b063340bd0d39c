"""Hold the distance model against what was measured and write docs/validation-distance.md.

Run after ``tools/fit_distance.py``: ``python tools/validate_distance.py --latency ../shared/latency``. Only errors of
pairs of Regions that a fit never saw are shown, and two checks from outside: another provider's table between its
cities, and RIPE Atlas country pairs for access networks.
"""

from __future__ import annotations

import argparse
import itertools
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

import fit_distance as fitting

from ccp_assess import geo
from ccp_assess.selection import distance
from ccp_assess.selection.distance import Coefficients

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "validation-distance.md"
OTHER_PROVIDER = "ibm_cloud_inter_region_latency.md"
OTHER_CITIES = {
    "Dallas": "Dallas, TX",
    "Toronto": "Toronto, CA",
    "Washington DC": "Ashburn, VA",
    "Frankfurt": "Frankfurt am Main, DE",
    "London": "London, GB",
    "Madrid": "Madrid, ES",
    "Montreal": "Montréal, CA",
    "Chennai": "Chennai, IN",
    "Mumbai": "Mumbai, IN",
    "Osaka": "Osaka, JP",
    "Sydney": "Sydney, AU",
    "Tokyo": "Tokyo, JP",
    "Sao Paulo": "São Paulo, BR",
}
DISTANCE_CLASSES_KM = (0, 1000, 3000, 6000, 10000, 20100)
CONTINENTS = {
    "AF": "Africa",
    "AS": "Asia",
    "EU": "Europe",
    "NA": "North America",
    "OC": "Oceania",
    "SA": "South America",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Measured against predicted."""

    measured_ms: np.ndarray
    predicted_ms: np.ndarray
    low_ms: np.ndarray
    high_ms: np.ndarray
    km: np.ndarray

    def part(self, mask: np.ndarray) -> Compared:
        """Return some of the pairs."""
        return Compared(
            measured_ms=self.measured_ms[mask],
            predicted_ms=self.predicted_ms[mask],
            low_ms=self.low_ms[mask],
            high_ms=self.high_ms[mask],
            km=self.km[mask],
        )

    def cells(self) -> str:
        """Return pairs, median and 90th percentile of the error, bias and share inside the band as a table row."""
        if self.measured_ms.size == 0:
            return "0 | | | | "
        error = np.abs(self.predicted_ms / self.measured_ms - 1.0)
        bias = np.median(self.predicted_ms / self.measured_ms - 1.0)
        inside = (self.measured_ms >= self.low_ms) & (self.measured_ms <= self.high_ms)
        return (
            f"{error.size:,} | {100 * np.median(error):.1f} % | {100 * np.quantile(error, 0.9):.1f} % | "
            f"{100 * bias:+.1f} % | {100 * inside.mean():.0f} %"
        )


def compared(pairs: fitting.Pairs, shipped: Coefficients, parts: list[fitting.Unseen]) -> Compared:
    index = np.concatenate([part.index for part in parts])
    predicted = np.concatenate([part.predicted_ms for part in parts])
    newness = np.concatenate([part.newness for part in parts])
    scale = distance.error_scale_ms(shipped, predicted, newness)
    low, high = distance._band(predicted, scale, shipped.low, shipped.high)  # noqa: SLF001
    floor = pairs.km[index] / 100.0
    return Compared(
        measured_ms=pairs.rtt_ms[index],
        predicted_ms=predicted,
        low_ms=np.maximum(low, floor),
        high_ms=high,
        km=pairs.km[index],
    )


def single_stretch_error(pairs: fitting.Pairs) -> float:
    """Return the median error of one stretch for the whole world, each Region left out in turn."""
    errors = []
    for one in range(len(pairs.codes)):
        gone = (pairs.first == one) | (pairs.second == one)
        stretch = np.median(pairs.rtt_ms[~gone] / pairs.km[~gone])
        errors.append(np.abs(stretch * pairs.km[gone] / pairs.rtt_ms[gone] - 1.0))
    return float(np.median(np.concatenate(errors)))


def read_other_provider(path: Path) -> tuple[list[tuple[str, str]], Compared]:
    """Read the newest table between the other provider's cities; both directions are averaged."""
    text = path.read_text(encoding="utf-8")
    lines = [line for line in text[text.index("| Average latency") :].splitlines() if line.startswith("|")]
    names = [cell.strip() for cell in lines[0].split("|")[2:-1]]
    measured: dict[tuple[str, str], float] = {}
    for line in lines[2 : 2 + len(names)]:
        start, *cells = (cell.strip(" *") for cell in line.split("|")[1:-1])
        measured |= {(start, end): float(cell) for end, cell in zip(names, cells, strict=True) if cell}
    chosen = list(itertools.combinations(names, 2))
    place = {name: geo.find_place(OTHER_CITIES[name]) for name in names}
    one, other = [place[a] for a, _ in chosen], [place[b] for _, b in chosen]
    estimates = distance.estimate_rtts(
        [p.latitude for p in one],
        [p.longitude for p in one],
        [p.latitude for p in other],
        [p.longitude for p in other],
    )
    return chosen, Compared(
        measured_ms=np.array([(measured[a, b] * measured[b, a]) ** 0.5 for a, b in chosen]),
        predicted_ms=estimates.rtt_ms,
        low_ms=estimates.rtt_low_ms,
        high_ms=estimates.rtt_high_ms,
        km=estimates.great_circle_km,
    )


def access_compared(shipped: Coefficients, countries: fitting.CountryPairs) -> Compared:
    expected, low, high = fitting.access_band(shipped, countries)
    return Compared(measured_ms=countries.rtt_ms, predicted_ms=expected, low_ms=low, high_ms=high, km=countries.km)


def access_unseen(
    shipped: Coefficients, countries: fitting.CountryPairs, within: fitting.CountryPairs, parts: int = 5
) -> Compared:
    """Judge every pair by access values fitted without one of its countries."""
    codes = sorted({code for pair in countries.codes for code in pair})
    part_of = {code: number % parts for number, code in enumerate(codes)}
    one = np.array([part_of[a] for a, _ in countries.codes])
    other = np.array([part_of[b] for _, b in countries.codes])
    found = []
    for part in range(parts):
        gone = (one == part) | (other == part)
        fitted = fitting.with_access(shipped, some_pairs(countries, ~gone), within)
        mask = gone & fitting.plausible(countries)
        found.append(access_compared(fitted, some_pairs(countries, mask)))
    return Compared(
        **{name: np.concatenate([getattr(item, name) for item in found]) for name in Compared.__dataclass_fields__}
    )


def some_pairs(countries: fitting.CountryPairs, mask: np.ndarray) -> fitting.CountryPairs:
    return fitting.CountryPairs(
        codes=tuple(pair for pair, kept in zip(countries.codes, mask, strict=True) if kept),
        rtt_ms=countries.rtt_ms[mask],
        lowest_ms=countries.lowest_ms[mask],
        predicted_ms=countries.predicted_ms[mask],
        km=countries.km[mask],
    )


def by_distance(what: Compared) -> list[str]:
    return [
        f"| {low:,} to {high:,} km | {what.part((what.km >= low) & (what.km < high)).cells()} |"
        for low, high in itertools.pairwise(DISTANCE_CLASSES_KM)
    ]


def head(first: str) -> list[str]:
    return [
        f"| {first} | pairs | median error | 90th percentile | bias | inside the band |",
        "|---|--:|--:|--:|--:|--:|",
    ]


def region_part(pairs: fitting.Pairs, shipped: Coefficients, unseen: list[fitting.Unseen]) -> list[str]:
    alone = [part for part in unseen if len(part.fold) == 1]
    together = [part for part in unseen if len(part.fold) > 1]
    lines = head("left out")
    lines.append(f"| one Region at a time | {compared(pairs, shipped, alone).cells()} |")
    lines.append(f"| seven Regions at a time | {compared(pairs, shipped, together).cells()} |")
    lines += ["", "By distance, one Region left out at a time:", "", *head("distance")]
    lines += by_distance(compared(pairs, shipped, alone))
    lines += ["", "By Region left out:", "", *head("Region")]
    lines += [f"| {part.fold[0]} | {compared(pairs, shipped, [part]).cells()} |" for part in alone]
    return lines


def largest_errors(pairs: fitting.Pairs, shipped: Coefficients, unseen: list[fitting.Unseen]) -> list[str]:
    alone = [part for part in unseen if len(part.fold) == 1]
    what = compared(pairs, shipped, alone)
    index = np.concatenate([part.index for part in alone])
    order = np.argsort(-np.abs(np.log(what.predicted_ms / what.measured_ms)))
    lines = ["| pair | measured | predicted | band |", "|---|--:|--:|--:|"]
    shown: set[int] = set()
    for number in order:
        if index[number] not in shown and len(shown) < 12:
            shown.add(int(index[number]))
            a, b = pairs.codes[pairs.first[index[number]]], pairs.codes[pairs.second[index[number]]]
            lines.append(
                f"| {a} to {b} | {what.measured_ms[number]:.0f} ms | {what.predicted_ms[number]:.0f} ms | "
                f"{what.low_ms[number]:.0f} to {what.high_ms[number]:.0f} ms |"
            )
    return lines


def other_part(chosen: list[tuple[str, str]], other: Compared) -> list[str]:
    lines = [*head("city"), f"| all | {other.cells()} |"]
    for name in OTHER_CITIES:
        mask = np.array([name in pair for pair in chosen])
        lines.append(f"| {name} | {other.part(mask).cells()} |")
    return lines


def continents_part(countries: fitting.CountryPairs, access: Compared, kept: np.ndarray) -> list[str]:
    continent = {code: country.continent for code, country in geo.read_countries().items()}
    joined = np.array(["-".join(sorted(continent[code] for code in pair)) for pair in countries.codes])
    lines = head("continents")
    for key in sorted(set(joined)):
        one, other = key.split("-")
        if "AN" not in {one, other}:
            lines.append(
                f"| {CONTINENTS[one]} to {CONTINENTS[other]} | {access.part(kept & (joined == key)).cells()} |"
            )
    return lines


def document(
    *,
    pairs: fitting.Pairs,
    shipped: Coefficients,
    unseen: list[fitting.Unseen],
    countries: fitting.CountryPairs,
    within: fitting.CountryPairs,
    other: tuple[list[tuple[str, str]], Compared],
) -> str:
    kept = fitting.plausible(countries)
    access = access_compared(shipped, countries)
    parts = [
        "# Distance model: predicted against measured",
        "",
        "Made by `tools/validate_distance.py`; do not edit. Error: predicted over measured less 1. Band: the 90 % band",
        "that every estimate states.",
        "",
        "## Between Regions that the fit never saw",
        "",
        f"Measured: medians between {len(pairs.codes)} Regions, July 2025, both directions averaged. Every pair is",
        "predicted by a fit that saw no pair of at least one of its Regions. One stretch for the whole world, judged",
        f"the same way, has a median error of {100 * single_stretch_error(pairs):.1f} %.",
        "",
        *region_part(pairs, shipped, unseen),
        "",
        "Largest errors:",
        "",
        *largest_errors(pairs, shipped, unseen),
        "",
        "What these figures hide: the network of waypoints was drawn by hand from public knowledge of cables and",
        "roads, and it was corrected where pairs of these Regions showed a wrong turn, before Regions were left out.",
        "For Regions elsewhere expect larger errors; the band is therefore set to hold a little more than nine",
        "in ten of the pairs above.",
        "",
        "## Another provider's cities",
        "",
        "Averages between 13 cities of another provider, July and August 2026: a network that the model was never",
        "fitted to. São Paulo, Osaka and Madrid stand for places without a fitted Region.",
        "",
        *other_part(*other),
        "",
        "## Offices and homes",
        "",
        "RIPE Atlas country pairs: mean round trips between probes at home and office connections, so two access",
        "networks each. A country stands for its four largest cities, weighted by people. Pairs whose lowest round",
        f"trip is below light are left out ({kept.sum():,} of {kept.size:,} kept). What one access network adds and",
        f"how far the band reaches depends on the continents: {shipped.access_near_ms:.0f} ms near by,",
        f"{shipped.access_ms.min():.0f} to {shipped.access_ms.max():.0f} ms far away. The first table judges every",
        "pair by values fitted without one of its two countries; the second shows the shipped values on the pairs that",
        "they were fitted to.",
        "",
        *head("distance"),
        *by_distance(access_unseen(shipped, countries, within)),
        "",
        *continents_part(countries, access, kept),
        "",
        "Short distances carry large errors: where two networks meet far away, a neighbouring country can cost as much",
        "as a neighbouring continent. Measure such sites; the band says so.",
        "",
        "## Not used",
        "",
        "The list of 242 WonderProxy cities has no latencies. The outputs of latency tools in their READMEs do not say",
        "where they were taken.",
        "",
    ]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=Path, required=True)
    parser.add_argument("--groups", type=int, default=10, help="folds that leave seven Regions out together")
    arguments = parser.parse_args()
    pairs = fitting.read_pairs(arguments.latency / fitting.PAIRS_FILE)
    shipped = distance.read_coefficients()
    unseen = [fitting.predict_unseen(pairs, left_out) for left_out in fitting.folds(len(pairs.codes), arguments.groups)]
    countries = fitting.read_country_pairs(arguments.latency / fitting.COUNTRIES_FILE, shipped)
    within = fitting.read_country_pairs(arguments.latency / fitting.COUNTRIES_FILE, shipped, within=True)
    other = read_other_provider(arguments.latency / OTHER_PROVIDER)
    DOCUMENT.write_text(
        document(pairs=pairs, shipped=shipped, unseen=unseen, countries=countries, within=within, other=other),
        encoding="utf-8",
    )
    print(f"wrote {DOCUMENT.name}")


if __name__ == "__main__":
    main()
