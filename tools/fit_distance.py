"""Fit the distance model and write its reference tables; print the errors that docs/validation shows.

Run by hand, rarely: ``python tools/fit_distance.py --latency ../shared/latency [--quick]``. Measured medians between
Regions fit the stretches, the correction and the band; RIPE Atlas country pairs fit what access networks add. Every
figure of error is from pairs of Regions that the fit in question never saw.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import gzip
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ccp_assess import geo
from ccp_assess.geo import places
from ccp_assess.selection import distance, waypoints
from ccp_assess.selection.distance import Coefficients, DistanceModel

REFERENCE = Path(__file__).resolve().parents[1] / "ccp_assess" / "reference"
PAIRS_FILE = "aws_region_pairs_distance_rtt.developers.csv"
COUNTRIES_FILE = "ripe_country_rtt_stat_leios.csv.gz"
SOURCE = "own fit (tools/fit_distance.py) to medians between AWS Regions, July 2025"
ACCESS_SOURCE = "own fit (tools/fit_distance.py) to RIPE Atlas country pairs"
RETRIEVED = "2026-11-23"

# The folds know the routes that were drawn with all Regions in view; a little more than nine in ten makes up for it.
BAND_SHARE = 0.95
LEAVE_KM, DIRECT_STRETCH = 150.0, 1.15
ANCHOR_KM, CORRECTION_SD, NOISE_SD, LARGEST_RESIDUAL = 1500.0, 0.15, 0.10, 0.3

# Cities of the measured Regions (AWS names the area; coordinates are those of the waypoint).
CITIES = {
    "ap-east-1": "Hong Kong",
    "ap-east-2": "Taipei",
    "ap-northeast-1": "Tokyo",
    "ap-northeast-2": "Seoul",
    "ap-south-1": "Mumbai",
    "ap-south-2": "Hyderabad",
    "ap-southeast-1": "Singapore",
    "ap-southeast-2": "Sydney",
    "ap-southeast-4": "Melbourne",
    "ap-southeast-5": "Kuala Lumpur",
    "ap-southeast-7": "Bangkok",
    "ca-central-1": "Montreal",
    "eu-central-1": "Frankfurt",
    "eu-central-2": "Zurich",
    "eu-north-1": "Stockholm",
    "eu-south-1": "Milan",
    "eu-west-1": "Dublin",
    "eu-west-2": "London",
    "eu-west-3": "Paris",
    "il-central-1": "Tel Aviv",
    "me-south-1": "Manama",
    "mx-central-1": "Queretaro",
    "us-east-1": "Ashburn",
    "us-east-2": "Columbus",
    "us-west-1": "San Jose",
    "us-west-2": "Boardman",
}

# What is believed before the data, its uncertainty, and the first step of the search.
PRIOR = {
    "land_dense": (1.5, 0.25, 0.1),  # Bozkurt et al. 2018: conduits 1.3, the Internet 2.1 over land
    "land_north_america": (1.5, 0.25, 0.1),
    "land_south_asia": (2.4, 0.6, 0.3),
    "land_sparse": (2.2, 0.4, 0.2),
    "sea": (1.2, 0.1, 0.03),  # slack, bends between waypoints and the way from the landing station
    "hub_ms": (0.3, 0.3, 0.15),
    "leave_ms": (2.5, 2.0, 0.8),
}
ACCESS_KM, FAR_KM, PAIRS_OF_THE_WORLD = 1000.0, 500.0, 40
PRIOR_WEIGHT, FAR_OFF = 0.0007, 0.35


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Measured Regions and the pairs between them."""

    codes: tuple[str, ...]
    latitudes: np.ndarray
    longitudes: np.ndarray
    nodes: np.ndarray
    first: np.ndarray
    second: np.ndarray
    rtt_ms: np.ndarray
    within_ms: np.ndarray
    km: np.ndarray


def read_pairs(path: Path) -> Pairs:
    measured = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            measured[row["from"], row["to"]] = float(row["rtt_p50_ms_2025-07"])
    codes = tuple(sorted({code for pair in measured for code in pair}))
    points = waypoints.read_waypoints()
    nodes = np.array([points.names.index(CITIES[code]) for code in codes])
    latitudes, longitudes = points.latitudes[nodes], points.longitudes[nodes]
    first, second = np.triu_indices(len(codes), 1)
    both = [
        (measured[codes[a], codes[b]] * measured[codes[b], codes[a]]) ** 0.5 for a, b in zip(first, second, strict=True)
    ]
    return Pairs(
        codes=codes,
        latitudes=latitudes,
        longitudes=longitudes,
        nodes=nodes,
        first=first,
        second=second,
        rtt_ms=np.array(both),
        within_ms=np.array([measured[code, code] for code in codes]),
        km=geo.great_circles_km(latitudes[first], longitudes[first], latitudes[second], longitudes[second]),
    )


def plain_rtt(pairs: Pairs, values: dict[str, float], metro_ms: float) -> np.ndarray:
    """Return the model without its correction for all pairs."""
    points = waypoints.read_waypoints()
    factors = np.array([values[kind] for kind in waypoints.LINK_KINDS])
    cost = waypoints._cheapest(waypoints._link_costs(points, factors, values["hub_ms"]), len(points.names))  # noqa: SLF001
    way = cost[pairs.nodes[pairs.first], pairs.nodes[pairs.second]]
    return way + metro_ms + values["leave_ms"] * -np.expm1(-pairs.km / LEAVE_KM)


def fit_values(pairs: Pairs, used: np.ndarray, metro_ms: float) -> dict[str, float]:
    """Fit stretches and constants by coordinate descent from the prior: robust, and the same on every machine."""

    def loss(values: dict[str, float]) -> float:
        error = np.abs(np.log(plain_rtt(pairs, values, metro_ms)[used] / pairs.rtt_ms[used]))
        doubt = sum(((values[name] - mean) / sd) ** 2 for name, (mean, sd, _) in PRIOR.items())
        return float(0.5 * np.median(error) + np.minimum(error, FAR_OFF).mean() + PRIOR_WEIGHT * doubt)

    values = {name: mean for name, (mean, _, _) in PRIOR.items()}
    steps = {name: step for name, (_, _, step) in PRIOR.items()}
    best = loss(values)
    for _ in range(3):
        for name in values:
            for sign in (1.0, -1.0):
                best, values = walk(loss, best, values, name, sign * steps[name])
        steps = {name: step / 2.0 for name, step in steps.items()}
    return values


def walk(loss, best: float, values: dict[str, float], name: str, step: float) -> tuple[float, dict[str, float]]:  # noqa: ANN001
    while values[name] + step >= 0.0:
        tried = values | {name: values[name] + step}
        cost = loss(tried)
        if cost >= best - 1e-5:
            break
        best, values = cost, tried
    return best, values


def correction_weights(pairs: Pairs, used: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """Fit the smooth correction: a Gaussian process over pairs, whose kernel fades with both ends' distances."""
    near = np.exp(
        -geo.great_circles_km(pairs.latitudes[:, None], pairs.longitudes[:, None], pairs.latitudes, pairs.longitudes)
        / ANCHOR_KM
    )
    a, b = pairs.first[used], pairs.second[used]
    degree = -np.expm1(-pairs.km[used] / LEAVE_KM)
    kernel = near[np.ix_(a, a)] * near[np.ix_(b, b)] + near[np.ix_(a, b)] * near[np.ix_(b, a)]
    kernel *= degree[:, None] * degree[None, :]
    target = np.clip(residual[used], -LARGEST_RESIDUAL, LARGEST_RESIDUAL)
    alpha = np.linalg.solve(CORRECTION_SD**2 * kernel + NOISE_SD**2 * np.eye(len(a)), target)
    weights = np.zeros((len(pairs.codes),) * 2)
    weights[a, b] = weights[b, a] = CORRECTION_SD**2 * alpha * degree
    return weights


def fit(pairs: Pairs, left_out: tuple[int, ...]) -> Coefficients:
    """Fit everything but the band on the pairs that touch none of the Regions left out."""
    kept = ~np.isin(np.arange(len(pairs.codes)), left_out)
    used = np.nonzero(kept[pairs.first] & kept[pairs.second])[0]
    metro_ms = float(np.median(pairs.within_ms[kept]))
    values = fit_values(pairs, used, metro_ms)
    residual = np.log(pairs.rtt_ms / plain_rtt(pairs, values, metro_ms))
    weights = correction_weights(pairs, used, residual)
    nothing = np.zeros((len(waypoints.CONTINENTS),) * 2)
    return Coefficients(
        stretch={kind: round(values[kind], 4) for kind in waypoints.LINK_KINDS},
        hub_ms=round(values["hub_ms"], 4),
        metro_ms=round(metro_ms, 3),
        leave_ms=round(values["leave_ms"], 4),
        leave_km=LEAVE_KM,
        direct_stretch=DIRECT_STRETCH,
        anchor_km=ANCHOR_KM,
        anchor_latitudes=pairs.latitudes[kept],
        anchor_longitudes=pairs.longitudes[kept],
        weights=np.round(weights[np.ix_(kept, kept)], 6),
        spread_ms=0.0,
        spread_known=1.0,
        spread_new=0.0,
        low=-1.0,
        high=1.0,
        access_spread_ms=0.0,
        access_spread=1.0,
        access_near_ms=0.0,
        access_km=ACCESS_KM,
        access_ms=nothing,
        access_low=nothing,
        access_high=nothing,
    )


def model_of(coefficients: Coefficients) -> DistanceModel:
    network = waypoints.build_network(waypoints.read_waypoints(), coefficients.stretch, coefficients.hub_ms)
    return DistanceModel(network=network, coefficients=coefficients)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """Predictions of pairs that a fit never saw."""

    fold: tuple[str, ...]
    index: np.ndarray
    predicted_ms: np.ndarray
    newness: np.ndarray


def folds(count: int, groups: int) -> Iterator[tuple[int, ...]]:
    yield from ((one,) for one in range(count))
    rng = np.random.default_rng(20250701)
    for _ in range(groups):
        yield tuple(sorted(int(i) for i in rng.choice(count, 7, replace=False)))


def predict_unseen(pairs: Pairs, left_out: tuple[int, ...]) -> Unseen:
    model = model_of(fit(pairs, left_out))
    gone = np.isin(pairs.first, left_out) | np.isin(pairs.second, left_out)
    index = np.nonzero(gone)[0]
    a, b = pairs.first[index], pairs.second[index]
    estimates = distance.estimate_rtts(
        pairs.latitudes[a], pairs.longitudes[a], pairs.latitudes[b], pairs.longitudes[b], model=model
    )
    near_a = distance.nearness(model.coefficients, pairs.latitudes[a], pairs.longitudes[a]).max(axis=1)
    near_b = distance.nearness(model.coefficients, pairs.latitudes[b], pairs.longitudes[b]).max(axis=1)
    return Unseen(
        fold=tuple(pairs.codes[i] for i in left_out),
        index=index,
        predicted_ms=estimates.rtt_ms,
        newness=1.0 - near_a * near_b,
    )


def with_band(coefficients: Coefficients, pairs: Pairs, unseen: list[Unseen]) -> Coefficients:
    """Fit the band to pairs whose Regions were left out."""
    predicted = np.concatenate([part.predicted_ms for part in unseen])
    newness = np.concatenate([part.newness for part in unseen])
    measured = np.concatenate([pairs.rtt_ms[part.index] for part in unseen])

    def scale(point: tuple[float, float, float]) -> np.ndarray:
        fixed_ms, known, new = point
        trial = dataclasses.replace(coefficients, spread_ms=fixed_ms, spread_known=known, spread_new=new)
        return distance.error_scale_ms(trial, predicted, newness)

    grid = itertools.product((0.25, 0.5, 1.0, 1.5, 2.0, 3.0), (0.01, 0.02, 0.03, 0.05), (0.02, 0.04, 0.06, 0.08, 0.12))
    best = min(grid, key=lambda point: unlikeliness(measured, predicted, scale(point)))
    low, high = ends_of_band(measured, predicted, scale(best), BAND_SHARE)
    return dataclasses.replace(
        coefficients, spread_ms=best[0], spread_known=best[1], spread_new=best[2], low=low, high=high
    )


def unlikeliness(measured: np.ndarray, predicted: np.ndarray, scale: np.ndarray) -> float:
    """Return the mean negative logarithm of Laplace's density: errors have heavy tails."""
    return float(np.mean(np.abs(measured - predicted) / scale + np.log(scale)))


def ends_of_band(measured: np.ndarray, predicted: np.ndarray, scale: np.ndarray, share: float) -> tuple[float, float]:
    """Return how many scales the band reaches down and up: the quantiles of the errors as the band uses them."""
    down = np.log(measured / predicted) * predicted / scale
    up = (measured - predicted) / scale
    return (
        round(float(np.quantile(down, (1.0 - share) / 2.0)), 3),
        round(float(np.quantile(up, (1.0 + share) / 2.0)), 3),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CountryPairs:
    """Countries, the mean round trip between their probes, and what the model says of their largest cities."""

    codes: tuple[tuple[str, str], ...]
    rtt_ms: np.ndarray
    lowest_ms: np.ndarray
    predicted_ms: np.ndarray
    km: np.ndarray


def read_country_pairs(path: Path, coefficients: Coefficients, *, within: bool = False) -> CountryPairs:
    """Read RIPE Atlas country pairs; each country stands for its four largest cities, weighted by people.

    ``within`` asks for the pairs of probes within one country instead of those between two.
    """
    largest = largest_cities()
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if row["rtt_avg"]
            and (row["cty1"] == row["cty2"]) == within
            and {row["cty1"], row["cty2"]} <= largest.keys()
        ]
    combinations = [
        (number, one, other)
        for number, row in enumerate(rows)
        for one in largest[row["cty1"]]
        for other in largest[row["cty2"]]
    ]
    number = np.array([c[0] for c in combinations])
    one = np.array([(c[1].latitude, c[1].longitude) for c in combinations])
    other = np.array([(c[2].latitude, c[2].longitude) for c in combinations])
    weight = np.array([float(max(c[1].population, 1)) * max(c[2].population, 1) for c in combinations])
    estimates = distance.estimate_rtts(one[:, 0], one[:, 1], other[:, 0], other[:, 1], model=model_of(coefficients))
    total = np.bincount(number, weight)
    return CountryPairs(
        codes=tuple((row["cty1"], row["cty2"]) for row in rows),
        rtt_ms=np.array([float(row["rtt_avg"]) for row in rows]),
        lowest_ms=np.array([float(row["rtt_min"]) for row in rows]),
        predicted_ms=np.bincount(number, weight * estimates.rtt_ms) / total,
        km=np.bincount(number, weight * estimates.great_circle_km) / total,
    )


def largest_cities() -> dict[str, list[places.Place]]:
    gazetteer = places._gazetteer()  # noqa: SLF001
    by_country: dict[str, list[places.Place]] = {}
    for number in range(gazetteer.size):
        place = gazetteer.place(number)
        by_country.setdefault(place.country, []).append(place)
    return {code: sorted(found, key=lambda place: -place.population)[:4] for code, found in by_country.items()}


def plausible(countries: CountryPairs) -> np.ndarray:
    """Leave out pairs whose lowest round trip is below light: the target stood elsewhere (anycast)."""
    return countries.lowest_ms >= 0.7 * countries.km / waypoints.KM_PER_RTT_MS


def continents_of(countries: CountryPairs) -> tuple[np.ndarray, np.ndarray]:
    known = geo.read_countries()
    index = np.array([[waypoints.CONTINENTS.index(known[code].continent) for code in pair] for pair in countries.codes])
    return index[:, 0], index[:, 1]


def with_access(coefficients: Coefficients, countries: CountryPairs, within: CountryPairs) -> Coefficients:
    """Fit what access networks add: probes stand at both ends, so one end is half of it.

    Near by it is the upper quartile within countries, since many pairs there share one network, which an office and
    a Region do not. Far away every two continents have their own values, drawn towards those of the whole world.
    """
    near_ms = float(np.quantile(within.rtt_ms - within.predicted_ms, 0.75)) / 2.0
    kept = plausible(countries)
    rtt, predicted, km = countries.rtt_ms[kept], countries.predicted_ms[kept], countries.km[kept]
    one, other = (index[kept] for index in continents_of(countries))
    far = km >= FAR_KM
    far_ms = near_ms + ((rtt - predicted) / 2.0 - near_ms) / -np.expm1(-km / ACCESS_KM)
    partly = dataclasses.replace(
        coefficients,
        access_near_ms=round(near_ms, 2),
        access_ms=np.round(by_continents(one, other, lambda part: np.median(far_ms[part & far])), 2),
    )
    expected = predicted + 2.0 * distance.access_added_ms(partly, (one, other), km)
    grid = itertools.product((2.0, 4.0, 8.0, 12.0, 16.0, 24.0), (0.02, 0.04, 0.07, 0.1, 0.15))

    def scale(point: tuple[float, float]) -> np.ndarray:
        return np.hypot(point[0], point[1] * expected)

    best = min(grid, key=lambda point: unlikeliness(rtt, expected, scale(point)))
    fitted = scale(best)

    return dataclasses.replace(
        partly,
        access_spread_ms=best[0],
        access_spread=best[1],
        access_low=np.round(
            by_continents(one, other, lambda part: np.quantile(np.log(rtt / predicted)[part], 0.05)), 3
        ),
        access_high=np.round(
            by_continents(one, other, lambda part: np.quantile(((rtt - expected) / fitted)[part], 0.95)), 3
        ),
    )


def access_band(coefficients: Coefficients, countries: CountryPairs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what the model expects of country pairs with a probe at either end, and the ends of its band."""
    continents = continents_of(countries)
    added_ms = distance.access_added_ms(coefficients, continents, countries.km)
    expected = countries.predicted_ms + 2.0 * added_ms
    scale = distance.access_scale_ms(coefficients, expected)
    low = countries.predicted_ms * np.exp(coefficients.access_low[continents])
    return expected, low, expected + coefficients.access_high[continents] * scale


def by_continents(one: np.ndarray, other: np.ndarray, value: Callable[[np.ndarray], float]) -> np.ndarray:
    """Work a value out for every two continents, as if ``PAIRS_OF_THE_WORLD`` more pairs had that of the world."""
    count = len(waypoints.CONTINENTS)
    world = value(np.ones(one.size, dtype=bool))
    table = np.full((count, count), world)
    for a, b in itertools.combinations_with_replacement(range(count), 2):
        part = ((one == a) & (other == b)) | ((one == b) & (other == a))
        if part.any():
            total = part.sum() + PAIRS_OF_THE_WORLD
            table[a, b] = table[b, a] = (part.sum() * value(part) + PAIRS_OF_THE_WORLD * world) / total
    return table


MEANINGS = {
    "hub_ms": ("ms", "round trip that each hub on the way adds"),
    "metro_ms": ("ms", "round trip within one place"),
    "leave_ms": ("ms", "what leaving the metropolitan area adds"),
    "leave_km": ("km", "distance within which that share grows to two thirds"),
    "direct_stretch": ("1", "stretch of the direct way between points near one hub, on top of the entry stretch"),
    "anchor_km": ("km", "distance over which the learned correction fades"),
    "spread_ms": ("ms", "fixed part of the error"),
    "spread_known": ("1", "relative error beside measured pairs"),
    "spread_new": ("1", "further relative error far from measured pairs"),
    "low": ("1", "lower end of the band, in spreads"),
    "high": ("1", "upper end of the band, in spreads"),
    "access_near_ms": ("ms", "what one access network adds within one place"),
    "access_km": ("km", "distance within which that turns by two thirds into the value of the two continents"),
    "access_spread_ms": ("ms", "fixed part of the error with an access network"),
    "access_spread": ("1", "relative part of the error with an access network"),
}


def write_tables(coefficients: Coefficients, pairs: Pairs) -> None:
    rows = [
        (f"stretch_{kind}", coefficients.stretch[kind], "1", f"cable length per great-circle length, {kind}", SOURCE)
        for kind in waypoints.LINK_KINDS
    ]
    for name, (unit, meaning) in MEANINGS.items():
        source = ACCESS_SOURCE if name.startswith("access") else SOURCE
        rows.append((name, getattr(coefficients, name), unit, meaning, source))
    write_csv("distance_model.csv", ("name", "value", "unit", "meaning", "source", "retrieved"), rows)
    access = [
        (
            waypoints.CONTINENTS[a],
            waypoints.CONTINENTS[b],
            coefficients.access_ms[a, b],
            coefficients.access_low[a, b],
            coefficients.access_high[a, b],
            ACCESS_SOURCE,
        )
        for a, b in itertools.combinations_with_replacement(range(len(waypoints.CONTINENTS)), 2)
    ]
    header = ("continent_a", "continent_b", "access_ms", "access_low", "access_high", "source", "retrieved")
    write_csv("distance_access.csv", header, access)
    anchors = [
        (code, f"{latitude:.2f}", f"{longitude:.2f}", "AWS general reference; city level")
        for code, latitude, longitude in zip(pairs.codes, pairs.latitudes, pairs.longitudes, strict=True)
    ]
    write_csv("distance_anchors.csv", ("anchor", "latitude", "longitude", "source", "retrieved"), anchors)
    weights = [
        (pairs.codes[a], pairs.codes[b], coefficients.weights[a, b], SOURCE)
        for a, b in zip(pairs.first, pairs.second, strict=True)
    ]
    write_csv("distance_weights.csv", ("anchor_a", "anchor_b", "weight", "source", "retrieved"), weights)


def write_csv(name: str, header: tuple[str, ...], rows: list[tuple]) -> None:
    with (REFERENCE / name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows((*row, RETRIEVED) for row in rows)


def print_errors(coefficients: Coefficients, pairs: Pairs, unseen: list[Unseen]) -> None:
    print("stretches", coefficients.stretch, "hub", coefficients.hub_ms, "leave", coefficients.leave_ms)
    for title, alone in (("one Region left out", True), ("seven Regions left out", False)):
        parts = [part for part in unseen if (len(part.fold) == 1) == alone]
        print_group(title, coefficients, pairs, parts)
    for part in unseen:
        if len(part.fold) == 1:
            print_group(f"  without {part.fold[0]}", coefficients, pairs, [part])


def print_group(title: str, coefficients: Coefficients, pairs: Pairs, parts: list[Unseen]) -> None:
    measured = np.concatenate([pairs.rtt_ms[part.index] for part in parts])
    predicted = np.concatenate([part.predicted_ms for part in parts])
    newness = np.concatenate([part.newness for part in parts])
    scale = distance.error_scale_ms(coefficients, predicted, newness)
    low, high = distance._band(predicted, scale, coefficients.low, coefficients.high)  # noqa: SLF001
    inside = (measured >= low) & (measured <= high)
    error = np.abs(predicted / measured - 1.0)
    print(
        f"{title}: {measured.size} pairs, median {100 * np.median(error):.1f} %, mean {100 * error.mean():.1f} %, "
        f"95th percentile {100 * np.quantile(error, 0.95):.1f} %, in band {100 * inside.mean():.1f} %, "
        f"band half-width {100 * np.median((high - low) / 2.0 / predicted):.0f} %"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=Path, required=True)
    parser.add_argument("--groups", type=int, default=10, help="folds that leave seven Regions out together")
    arguments = parser.parse_args()
    pairs = read_pairs(arguments.latency / PAIRS_FILE)
    unseen = [predict_unseen(pairs, left_out) for left_out in folds(len(pairs.codes), arguments.groups)]
    coefficients = with_band(fit(pairs, ()), pairs, unseen)
    countries = read_country_pairs(arguments.latency / COUNTRIES_FILE, coefficients)
    within = read_country_pairs(arguments.latency / COUNTRIES_FILE, coefficients, within=True)
    coefficients = with_access(coefficients, countries, within)
    write_tables(coefficients, pairs)
    print_errors(coefficients, pairs, unseen)


if __name__ == "__main__":
    main()
