"""Outcomes worked out by hand, against plain enumeration, and on the grid that large clients use."""

from __future__ import annotations

import numpy as np
import pytest
from clients_for_ranking import (
    ASHBURN,
    FRANKFURT,
    LONDON,
    MIXED,
    TOKYO,
    brute_force,
    caller,
    device,
    impairment,
    leg,
    prepared,
    site,
    target,
)

from ccp_assess.quality.emodel import mos_from_r, rate
from ccp_assess.selection import draws, outcomes
from ccp_assess.selection.journeys import MosCurve, handling_parts
from ccp_assess.selection.legs import SiteMeasurement
from ccp_assess.selection.options import Weights
from ccp_assess.selection.outcomes import MEAN, MOS, OVER_150, OVER_LIMIT, evaluate, percentiles
from ccp_assess.selection.prepared import Placement
from ccp_assess.selection.ranking import rank_prepared

REGIONS = {"eu-west-2": LONDON, "us-east-1": ASHBURN, "ap-northeast-1": TOKYO}


def _option(ranking, *regions):
    return next(o for o in ranking.outcomes if o.regions == regions)


def test_one_office_and_one_landline_in_the_regions_own_city():
    ranking = rank_prepared(prepared([site()], [caller()]))
    total = _option(ranking, "eu-west-2").statistics.total
    # 1 + 1 office, 116.5 handling, 1 + 3 national + 5 landline
    assert total[MEAN] == pytest.approx(127.5, abs=0.01)
    assert total[MOS] == pytest.approx(mos_from_r(rate(127.5).r_factor - 2.0), abs=1e-4)
    assert total[OVER_150] == 0.0
    assert ranking.best.regions == ("eu-west-2",)


def test_handling_is_told_part_by_part():
    assert sum(part.one_way_ms for part in handling_parts()) == 116.5
    assert all(part.source and part.basis == "assumed" for part in handling_parts())


def test_a_circular_transfer_pays_the_telephone_network_twice():
    plain = rank_prepared(prepared([site()], [caller()], [target(share=100.0)]))
    circular = rank_prepared(prepared([site()], [caller()], [target(share=100.0, circular=True)]))
    way = leg(FRANKFURT, LONDON) + 3 + 5
    straight_on = _option(plain, "eu-west-2").statistics
    there_and_back = _option(circular, "eu-west-2").statistics
    assert straight_on.given_target[0, MEAN] == pytest.approx(way + 80 + 9, abs=0.01)
    assert there_and_back.given_target[0, MEAN] == pytest.approx(127.5 + 2 * way + 60, abs=0.01)


def test_rerouted_audio_takes_the_telephone_leg_to_the_device():
    ranking = rank_prepared(prepared([site()], [caller()], (), [device(place=FRANKFURT)]))
    assert _option(ranking, "eu-west-2").statistics.total[MEAN] == pytest.approx(
        leg(FRANKFURT, LONDON) + 3 + 5 + 80 + 9, abs=0.01
    )


@pytest.mark.parametrize("code", REGIONS)
def test_enumerating_every_journey_gives_the_same_numbers(code):
    option = _option(rank_prepared(prepared(*MIXED)), code)
    expected = brute_force(REGIONS[code])
    total, found = option.statistics.total, option.percentiles
    assert total[MEAN] == pytest.approx(expected["mean"], abs=1e-6)
    assert total[MOS] == pytest.approx(expected["mos"], abs=1e-5)
    assert total[OVER_150 : OVER_LIMIT + 1].tolist() == pytest.approx(expected["over"], abs=1e-9)
    assert (found.p50_ms, found.p95_ms) == pytest.approx((expected["p50"], expected["p95"]), abs=1e-6)
    assert found.mos_p05 == pytest.approx(expected["mos_p05"], abs=1e-5)


@pytest.mark.parametrize("code", REGIONS)
def test_the_grid_of_large_clients_agrees_with_enumeration(code, monkeypatch):
    monkeypatch.setattr(outcomes, "CELLS", 0)
    option = _option(rank_prepared(prepared(*MIXED)), code)
    expected = brute_force(REGIONS[code])
    total, found = option.statistics.total, option.percentiles
    assert total[MEAN] == pytest.approx(expected["mean"], abs=1e-6)
    assert total[MOS] == pytest.approx(expected["mos"], abs=1e-4)
    assert total[OVER_150 : OVER_LIMIT + 1].tolist() == pytest.approx(expected["over"], abs=1e-9)
    assert (found.p50_ms, found.p95_ms) == pytest.approx((expected["p50"], expected["p95"]), abs=0.11)
    assert found.mos_p05 == pytest.approx(expected["mos_p05"], abs=0.01)


def test_conditional_numbers_add_up_to_the_total():
    ready = prepared(*MIXED)
    option = _option(rank_prepared(ready), "us-east-1")
    shares, statistics = ready.shares(), option.statistics
    assert shares.near @ statistics.given_near == pytest.approx(statistics.total)
    assert shares.origins @ statistics.given_origin == pytest.approx(statistics.total)


def test_the_tabulated_curve_follows_the_formula():
    curve, delays = MosCurve(), np.random.default_rng(1).uniform(0, 1500, 2000)
    exact = np.array([rate(float(delay)).r_factor for delay in delays])
    assert np.abs(curve.r_factor(delays) - exact).max() < 1e-4
    single = curve.mos32(delays.astype(np.float32), np.float32(2.0))
    assert np.abs(single - curve.mos(delays, 2.0)).max() < 2e-3


def test_simulated_pairs_and_the_grid_of_large_clients_agree(monkeypatch):
    ready = prepared(*MIXED, draws=300)
    shares, weights = ready.shares(), Weights()
    place = ready.place(["eu-west-2"], shares, weights)
    direct = ready.simulate(place, shares, weights)
    monkeypatch.setattr("ccp_assess.selection.prepared.DIRECT_CELLS", 0)
    grid = prepared(*MIXED, draws=300).simulate(place, shares, weights)
    assert grid[:, MEAN] == pytest.approx(direct[:, MEAN], abs=0.01)
    assert np.abs(grid[:, MOS] - direct[:, MOS]).max() < 0.005
    assert abs(float(np.mean(grid[:, MOS] - direct[:, MOS]))) < 5e-4
    # a share may differ where one of the few journeys lies within the grid's width of the limit
    assert np.abs(grid[:, OVER_LIMIT].mean() - direct[:, OVER_LIMIT].mean()) < 0.005


def test_many_sites_and_origins_on_the_grid_agree_with_pairs(monkeypatch):
    rng = np.random.default_rng(3)
    sites = [
        site(f"s{i}", (float(rng.uniform(35, 55)), float(rng.uniform(-10, 30))), int(rng.integers(1, 40)), "DE")
        for i in range(120)
    ]
    callers = [caller(f"o{i}", (float(rng.uniform(35, 55)), float(rng.uniform(-10, 30))), 2.5) for i in range(40)]
    ready = prepared(sites, callers, draws=120)
    shares, weights = ready.shares(), Weights()
    place = ready.place(["us-east-1"], shares, weights)
    direct = ready.simulate(place, shares, weights)
    monkeypatch.setattr("ccp_assess.selection.prepared.DIRECT_CELLS", 0)
    grid = ready.simulate(place, shares, weights)
    assert np.abs(grid[:, MEAN] - direct[:, MEAN]).max() < 0.01
    assert np.abs(grid[:, MOS] - direct[:, MOS]).max() < 2e-3
    assert np.abs(grid[:, OVER_150:] - direct[:, OVER_150:]).max() < 0.01


def test_every_simulated_world_follows_the_same_definitions():
    ready = prepared([site()], [caller()], draws=50)
    shares = ready.shares()
    column = ready.columns["us-east-1"]
    drawn = ready.simulate(
        Placement(columns=(column,), near=np.zeros(1, int), origins=np.zeros(1, int)), shares, Weights()
    )
    near = ready.near_block(column, np.array([0]), 0, 50, 1.0)[0]
    far = ready.far_draws(column)[:, 0]
    expected = [mos_from_r(rate(float(a + c)).r_factor - 2.0) for a, c in zip(near, far, strict=True)]
    assert drawn[:, MEAN] == pytest.approx(near + far, rel=1e-5)
    assert drawn[:, MOS] == pytest.approx(expected, abs=2e-3)


def test_drawn_legs_keep_the_median_and_the_band_of_their_model():
    ready = prepared([site("A", TOKYO, country="JP")], [caller()], draws=20000)
    column = ready.columns["eu-west-2"]
    network = ready.leg_draws("agent", column).network(0, 20000)[0]
    median = ready.agent_table.network.median[0, column]
    assert np.quantile(network, [0.05, 0.5, 0.95]) == pytest.approx([0.9 * median, median, 1.3 * median], rel=0.02)


def test_legs_of_one_pair_of_countries_share_half_of_their_variance():
    far = (36.0, 139.0)
    ready = prepared(
        [site("A", TOKYO, country="JP"), site("B", far, country="JP"), site("C", FRANKFURT, country="DE")],
        [caller()],
        draws=20000,
    )
    drawn = np.log(ready.leg_draws("agent", ready.columns["us-east-1"]).network(0, 20000))
    order = [point.site.country for point in ready.points]
    same = [row for row, country in enumerate(order) if country == "JP"]
    other = order.index("DE")
    correlation = np.corrcoef(drawn)
    assert correlation[same[0], same[1]] == pytest.approx(0.5, abs=0.05)
    assert abs(correlation[same[0], other]) < 0.05


def test_loss_of_a_site_enters_its_quality_and_not_only_its_delay():
    clean = SiteMeasurement(site_id="A", region_code="eu-west-2", rtt_ms=(4.0,) * 20, loss_pct=0.0)
    lossy = SiteMeasurement(
        site_id="A", region_code="eu-west-2", rtt_ms=(4.0,) * 20, loss_pct=2.0, late_pct=1.0, burst_ratio=2.0
    )
    quality = []
    for measurement in (clean, lossy):
        ready = prepared([site()], [caller()], measurements=[measurement])
        quality.append(_option(rank_prepared(ready), "eu-west-2").statistics.total)
    assert quality[0][MEAN] == quality[1][MEAN]
    expected = mos_from_r(rate(quality[1][MEAN]).r_factor - impairment(3.0, 2.0))
    assert quality[1][MOS] == pytest.approx(expected, abs=1e-4)
    assert quality[1][MOS] < quality[0][MOS]


def test_many_different_losses_are_joined_without_moving_the_mean_impairment():
    values = np.linspace(2.0, 30.0, 50).astype(np.float32)
    weight = np.full(50, 0.02, dtype=np.float32)
    classes = draws.ie_classes(values, weight)
    assert len(classes) == 4
    assert sum(float(ie * share.sum()) for ie, share in classes) == pytest.approx(float(values @ weight), rel=1e-5)
    assert sum(share for _, share in classes) == pytest.approx(weight)


def test_an_empty_half_of_a_component_is_no_component():
    ready = prepared(*MIXED)
    assert ready.components(0, np.zeros(ready.near_count), np.ones(3), np.zeros(3), Weights()) == []


def test_percentiles_of_one_value_are_that_value():
    ready = prepared([site()], [caller()])
    found = ready.components(ready.columns["eu-west-2"], np.ones(1), np.ones(1), np.zeros(0), Weights())
    component = found[0][1]
    assert percentiles([component]).p50_ms == percentiles([component]).p95_ms == pytest.approx(127.5, abs=0.01)
    assert evaluate(component, ready.limits_ms).total[MEAN] == pytest.approx(127.5, abs=0.01)
