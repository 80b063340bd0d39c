"""The distance model: bounds that physics sets, smoothness, speed of many pairs, and pairs that were measured."""

import csv
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccp_assess import geo
from ccp_assess.regions import read_regions
from ccp_assess.selection import distance, waypoints
from ccp_assess.selection.distance import estimate_rtt, estimate_rtts

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared"
LATITUDES, LONGITUDES = st.floats(-90, 90), st.floats(-180, 180)


@given(LATITUDES, LONGITUDES, LATITUDES, LONGITUDES, st.sampled_from(["data_centres", "access"]))
@settings(max_examples=200, deadline=None)
def test_every_pair_of_points_has_a_band_above_light_around_its_estimate(lat1, lon1, lat2, lon2, ends):
    one = estimate_rtt(lat1, lon1, lat2, lon2, ends=ends)
    low_ms, high_ms = one.rtt_band90_ms
    assert one.great_circle_km == pytest.approx(geo.great_circle_km(lat1, lon1, lat2, lon2), rel=1e-6, abs=1e-6)
    assert np.isfinite([low_ms, one.rtt_ms, high_ms]).all()
    assert one.great_circle_km / 100.0 - 1e-9 <= low_ms <= one.rtt_ms <= high_ms
    assert one.rtt_ms > 1.0
    assert one.basis == "modelled"


@given(LATITUDES, LONGITUDES, LATITUDES, LONGITUDES)
@settings(max_examples=50, deadline=None)
def test_there_and_back_are_the_same(lat1, lon1, lat2, lon2):
    there, back = estimate_rtt(lat1, lon1, lat2, lon2), estimate_rtt(lat2, lon2, lat1, lon1)
    assert there.rtt_ms == pytest.approx(back.rtt_ms, rel=1e-9)
    assert there.rtt_band90_ms == pytest.approx(back.rtt_band90_ms, rel=1e-9)


def test_one_place_is_a_few_milliseconds_away_from_itself():
    for region in read_regions().values():
        one = estimate_rtt(region.latitude, region.longitude, region.latitude, region.longitude)
        assert 1.0 < one.rtt_ms < 8.0
        assert one.rtt_band90_ms[1] < 40.0


def test_an_access_network_adds_time_and_doubt():
    plain = estimate_rtt(48.14, 11.58, 50.11, 8.68)
    home = estimate_rtt(48.14, 11.58, 50.11, 8.68, ends="access")
    assert home.rtt_ms > plain.rtt_ms + 3.0
    assert home.rtt_band90_ms[1] - home.rtt_band90_ms[0] > plain.rtt_band90_ms[1] - plain.rtt_band90_ms[0]


@pytest.mark.parametrize(
    ("start", "end", "by_way_of", "at_most_ms"),
    [
        ("Lagos", "Sao Paulo", "London", 30.0),  # Africa by way of Europe
        ("Sao Paulo", "Frankfurt", "Ashburn", 30.0),  # South America by way of the United States
        ("Frankfurt", "Tokyo", "Singapore", 25.0),  # through the Red Sea
        ("Tel Aviv", "Mumbai", "Milan", 30.0),  # not through Arabia
        ("Bangkok", "Tokyo", "Singapore", 25.0),
    ],
)
def test_ways_go_by_the_landing_places_that_cables_have(start, end, by_way_of, at_most_ms):
    network = distance.read_model().network
    a, b, via = (network.names.index(name) for name in (start, end, by_way_of))
    detour_ms = network.cost_ms[a, via] + network.cost_ms[via, b] - network.cost_ms[a, b]
    assert -1e-9 <= detour_ms < at_most_ms


def test_ways_between_hubs_are_a_metric():
    cost = distance.read_model().network.cost_ms
    assert np.isfinite(cost).all()
    assert (np.diag(cost) == 0.0).all()
    assert np.allclose(cost, cost.T)
    for via in range(0, len(cost), 10):
        assert (cost <= cost[:, via, None] + cost[None, via, :] + 1e-9).all()


def test_every_hub_stands_where_the_gazetteer_has_its_town():
    network = distance.read_model().network
    for name, latitude, longitude in zip(network.names, network.latitudes, network.longitudes, strict=True):
        _, apart_km = geo.nearest_place(float(latitude), float(longitude))
        assert apart_km < (60.0 if name == "Boardman" else 25.0), name  # a town of 5,000
        assert geo.is_on_land(float(latitude), float(longitude)), name


def test_every_hub_is_on_the_continent_of_its_country():
    network = distance.read_model().network
    for number in range(0, len(network.names), 5):
        place, _ = geo.nearest_place(float(network.latitudes[number]), float(network.longitudes[number]))
        continent = geo.find_country(place.country).continent
        assert waypoints.CONTINENTS[network.continents[number]] == continent, network.names[number]


def test_links_join_known_waypoints_once():
    points = waypoints.read_waypoints()
    joined = {tuple(sorted(pair)) for pair in zip(points.starts, points.ends, strict=True)}
    assert len(joined) == len(points.starts)
    assert len(set(points.names)) == len(points.names)
    assert set(points.kinds) == set(range(len(waypoints.LINK_KINDS)))


@pytest.mark.parametrize("longitude", [179.999, -179.999, 180.0, -180.0])
def test_the_antimeridian_is_no_border(longitude):
    fiji = estimate_rtt(-17.8, longitude, -33.87, 151.21)
    assert fiji.rtt_ms == pytest.approx(estimate_rtt(-17.8, 180.0, -33.87, 151.21).rtt_ms, rel=1e-3)


def test_a_small_step_changes_little():
    rng = np.random.default_rng(7)
    latitudes, longitudes = rng.uniform(-55, 65, 2000), rng.uniform(-180, 180, 2000)
    here = estimate_rtts(latitudes, longitudes, 50.11, 8.68).rtt_ms
    there = estimate_rtts(latitudes + 0.01, longitudes, 50.11, 8.68).rtt_ms
    assert np.quantile(np.abs(there - here), 0.99) < 1.0
    assert np.abs(there - here).max() < 40.0


def test_many_points_give_the_same_as_few():
    rng = np.random.default_rng(3)
    count = waypoints.MANY_POINTS + 10
    latitudes, longitudes = rng.uniform(-90, 90, count), rng.uniform(-180, 180, count)
    network = distance.read_model().network
    hubs, distances_km = waypoints.nearest_hubs(network, latitudes, longitudes)
    few_hubs, few_km = waypoints.nearest_hubs(network, latitudes[:3000], longitudes[:3000])
    assert (np.sort(hubs[:3000], axis=1) == np.sort(few_hubs, axis=1)).all()
    assert np.allclose(np.sort(distances_km[:3000], axis=1), np.sort(few_km, axis=1))


def test_sites_by_regions_equal_single_pairs_and_do_not_depend_on_their_company():
    sites = [(38.72, -9.14), (14.6, 120.98), (-1.29, 36.82)]
    regions = list(read_regions().values())
    grid = estimate_rtts(
        [[lat] for lat, _ in sites],
        [[lon] for _, lon in sites],
        [[region.latitude for region in regions]],
        [[region.longitude for region in regions]],
        ends="access",
    )
    assert grid.rtt_ms.shape == (3, len(regions))
    for row, (latitude, longitude) in enumerate(sites):
        for column, region in enumerate(regions):
            one = estimate_rtt(latitude, longitude, region.latitude, region.longitude, ends="access")
            assert grid.rtt_ms[row, column] == pytest.approx(one.rtt_ms, rel=1e-12)
            assert grid.rtt_high_ms[row, column] == pytest.approx(one.rtt_band90_ms[1], rel=1e-12)


def test_no_pairs_give_no_estimates():
    assert estimate_rtts([], [], [], []).rtt_ms.shape == (0,)


def test_every_shipped_number_has_its_source():
    for file in (
        "distance_model.csv",
        "distance_access.csv",
        "distance_anchors.csv",
        "distance_weights.csv",
        "waypoints.csv",
        "links.csv",
    ):
        for row in distance._rows(file):
            assert row["source"], (file, row)
            assert row["retrieved"] >= "2026-01-01", (file, row)


def _fit_tool():
    path = Path(__file__).resolve().parents[2] / "tools" / "fit_distance.py"
    spec = importlib.util.spec_from_file_location("fit_distance", path)
    tool = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = tool  # dataclasses look their module up
    spec.loader.exec_module(tool)
    return tool


@pytest.fixture(scope="module")
def tool():
    return _fit_tool()


@pytest.fixture
def pairs(tool):
    path = SHARED / "latency" / tool.PAIRS_FILE
    if not path.exists():
        pytest.skip("../shared is absent")
    return tool.read_pairs(path)


@pytest.mark.shared
def test_the_measured_distances_are_ours(tool, pairs):
    with (SHARED / "latency" / tool.PAIRS_FILE).open(encoding="utf-8", newline="") as file:
        listed = {(row["from"], row["to"]): float(row["great_circle_km"]) for row in csv.DictReader(file)}
    for a, b, km in zip(pairs.first, pairs.second, pairs.km, strict=True):
        assert km == pytest.approx(listed[pairs.codes[a], pairs.codes[b]], abs=60)


@pytest.mark.shared
def test_the_shipped_model_fits_the_pairs_it_was_made_of(pairs):
    estimates = estimate_rtts(
        pairs.latitudes[pairs.first],
        pairs.longitudes[pairs.first],
        pairs.latitudes[pairs.second],
        pairs.longitudes[pairs.second],
    )
    error = np.abs(estimates.rtt_ms / pairs.rtt_ms - 1.0)
    assert np.median(error) < 0.04
    inside = (pairs.rtt_ms >= estimates.rtt_low_ms) & (pairs.rtt_ms <= estimates.rtt_high_ms)
    assert inside.mean() > 0.9


@pytest.mark.shared
def test_regions_that_the_fit_never_saw_are_within_the_bar(tool, pairs):
    left_out = tuple(pairs.codes.index(code) for code in ("ap-northeast-1", "eu-west-1", "me-south-1", "us-west-2"))
    unseen = tool.predict_unseen(pairs, left_out)
    measured = pairs.rtt_ms[unseen.index]
    assert np.median(np.abs(unseen.predicted_ms / measured - 1.0)) < 0.08


@pytest.mark.long
@pytest.mark.shared
def test_every_region_left_out_in_turn_stays_within_the_bars(tool, pairs):
    shipped = distance.read_coefficients()
    errors, inside = [], []
    for one in range(len(pairs.codes)):
        unseen = tool.predict_unseen(pairs, (one,))
        measured = pairs.rtt_ms[unseen.index]
        scale = distance.error_scale_ms(shipped, unseen.predicted_ms, unseen.newness)
        low_ms, high_ms = distance._band(unseen.predicted_ms, scale, shipped.low, shipped.high)
        errors.append(np.abs(unseen.predicted_ms / measured - 1.0))
        inside.append((measured >= low_ms) & (measured <= high_ms))
    assert np.median(np.concatenate(errors)) < 0.08
    assert 0.85 <= np.concatenate(inside).mean() <= 0.97


@pytest.mark.shared
def test_country_pairs_of_access_networks_lie_in_the_access_band(tool):
    path = SHARED / "latency" / tool.COUNTRIES_FILE
    if not path.exists():
        pytest.skip("../shared is absent")
    shipped = distance.read_coefficients()
    countries = tool.read_country_pairs(path, shipped)
    kept = tool.plausible(countries)
    expected, low_ms, high_ms = tool.access_band(shipped, countries)
    assert kept.sum() > 4000
    assert np.median(np.abs(countries.rtt_ms / expected - 1.0)[kept]) < 0.16
    inside = (countries.rtt_ms >= low_ms) & (countries.rtt_ms <= high_ms)
    assert 0.85 <= inside[kept].mean() <= 0.95
    continents = tool.continents_of(countries)
    for one in range(len(waypoints.CONTINENTS)):
        within = inside[kept & (continents[0] == one) & (continents[1] == one)]
        assert within.size < 50 or within.mean() > 0.75, waypoints.CONTINENTS[one]
