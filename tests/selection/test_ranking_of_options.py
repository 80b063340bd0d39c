"""Which option wins, why, and that nothing irrelevant changes the answer."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from clients_for_ranking import (
    ASHBURN,
    FRANKFURT,
    LONDON,
    MIXED,
    TOKYO,
    caller,
    leg,
    prepared,
    site,
    straight,
    target,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ccp_assess.errors import ModelInputError, UnknownRegionError
from ccp_assess.quality.emodel import mos_from_r, rate
from ccp_assess.selection.legs import SiteMeasurement
from ccp_assess.selection.options import Constraints, Weights
from ccp_assess.selection.outcomes import MEAN, MOS
from ccp_assess.selection.ranking import Ranking, rank, rank_prepared
from ccp_assess.selection.rule import Rule

MUMBAI, SYDNEY = (19.08, 72.88), (-33.87, 151.21)


def _by_regions(ranking):
    return {outcome.regions: outcome for outcome in ranking.outcomes}


def _numbers(document):
    """All numbers of each option that must not depend on other options or on the order of rows."""
    keep = ("mouth_to_ear_ms", "mos_cqe", "share_over_150_ms_pct", "share_over_300_ms_pct", "share_over_400_ms_pct")
    return {tuple(option["regions"]): json.dumps({key: option[key] for key in keep}) for option in document["options"]}


# --- the answer does not depend on how the tables are written ---------------------------------------------------


def test_permuted_rows_change_nothing():
    tables = [list(table) for table in MIXED]
    first = rank_prepared(prepared(*tables)).to_document()
    second = rank_prepared(prepared(*[table[::-1] for table in tables])).to_document()
    assert _numbers(first) == _numbers(second)
    assert first["recommendation"] == second["recommendation"]
    assert [o["probability_best_pct"] for o in first["options"]] == [
        o["probability_best_pct"] for o in second["options"]
    ]


def test_scaled_agents_change_nothing():
    sites = [replace(one, agents=7 * one.agents) for one in MIXED[0]]
    first = rank_prepared(prepared(*MIXED)).to_document()
    second = rank_prepared(prepared(sites, *MIXED[1:])).to_document()
    for one, other in zip(first["options"], second["options"], strict=True):
        assert one["regions"] == other["regions"]
        assert one["mouth_to_ear_ms"]["mean"] == pytest.approx(other["mouth_to_ear_ms"]["mean"], rel=1e-12)
        assert one["probability_best_pct"] == other["probability_best_pct"]


def test_a_site_split_into_two_rows_changes_nothing():
    whole = [site("A", LONDON, 60), site("B", ASHBURN, 30, "US")]
    split = [site("A", LONDON, 20), site("B", ASHBURN, 30, "US"), site("A2", LONDON, 40)]
    callers = [caller("gb", LONDON, 50.0), caller("us", ASHBURN, 50.0, "US")]
    halves = [caller("gb", LONDON, 20.0), caller("gb2", LONDON, 30.0), caller("us", ASHBURN, 50.0, "US")]
    first, second = (
        rank_prepared(prepared(whole, callers)).to_document(),
        rank_prepared(prepared(split, halves)).to_document(),
    )
    for one, other in zip(first["options"], second["options"], strict=True):
        assert one["regions"] == other["regions"]
        assert one["probability_best_pct"] == other["probability_best_pct"]
        assert one["mouth_to_ear_ms"]["mean"] == pytest.approx(other["mouth_to_ear_ms"]["mean"], rel=1e-9)
        assert one["mouth_to_ear_ms"]["band"] == pytest.approx(other["mouth_to_ear_ms"]["band"], rel=1e-5)


def test_removing_an_option_never_changes_the_numbers_of_another():
    ready = prepared(*MIXED)
    full = _numbers(rank_prepared(ready).to_document())
    fewer = _numbers(
        rank_prepared(ready, constraints=Constraints(excluded_regions=("eu-west-2", "us-east-1"))).to_document()
    )
    more = _numbers(rank_prepared(ready, instances=2).to_document())
    assert full == fewer
    assert all(more[regions] == numbers for regions, numbers in full.items())


def test_a_further_site_leaves_the_draws_of_the_others_alone():
    one = prepared([site("A", LONDON)], [caller()])
    two = prepared([site("A", LONDON), site("Z", TOKYO, country="JP")], [caller()])
    column = one.columns["us-east-1"]
    row = next(i for i, point in enumerate(two.points) if point.site.site_id == "A")
    assert np.array_equal(
        one.leg_draws("agent", column).block(0, 200)[0], two.leg_draws("agent", column).block(0, 200)[row]
    )


def test_the_same_seed_gives_the_same_document_and_another_seed_another_simulation():
    first, second = rank_prepared(prepared(*MIXED)), rank_prepared(prepared(*MIXED))
    assert first.to_document() == second.to_document()
    other = rank_prepared(prepared(*MIXED, seed=2))
    assert other.probabilities != first.probabilities or other.best.regions == first.best.regions
    assert not np.array_equal(other.draws_of(other.best), first.draws_of(first.best))


@given(st.floats(0.01, 100), st.floats(0.01, 100), st.floats(0.01, 100), st.floats(1.5, 50))
@settings(max_examples=15, deadline=None)
def test_scaling_all_weights_changes_nothing(agents, callers, transfers, factor):
    ready = _MIXED
    one = rank_prepared(ready, weights=Weights(agents=agents, callers=callers, transfers=transfers))
    other = rank_prepared(
        ready, weights=Weights(agents=factor * agents, callers=factor * callers, transfers=factor * transfers)
    )
    assert one.best.regions == other.best.regions
    for a, b in zip(one.outcomes, other.outcomes, strict=True):
        assert a.expected.total == pytest.approx(b.expected.total, rel=1e-9)


_MIXED = prepared(*MIXED, draws=60)


# --- weights, measurements, AWS's own rules ---------------------------------------------------------------------


def test_weights_shift_importance_and_never_the_reported_milliseconds():
    even = _by_regions(rank_prepared(_MIXED))
    shifted = _by_regions(rank_prepared(_MIXED, weights=Weights(agents=5, callers=1)))
    assert all(np.array_equal(even[key].statistics.total, shifted[key].statistics.total) for key in even)


def test_where_the_literal_rules_disagree_both_stand_beside_ours_with_the_reason():
    sites, callers = [site("A", LONDON)], [caller("jp", TOKYO, 100.0, "JP")]
    ranking = rank_prepared(prepared(sites, callers))
    answers = {answer["question"]: answer for answer in ranking.to_document()["literal_answers"]}
    assert answers["closest to the agents"]["regions"] == ["eu-west-2"]
    assert answers["closest to the callers"]["regions"] == ["ap-northeast-1"]
    assert answers["closest to the agents"]["distance_km"] < 10
    different = [answer for answer in answers.values() if not answer["agrees"]]
    assert different
    assert all("mean agent leg" in answer["reason"] for answer in different)
    reasons = " ".join(ranking.to_document()["recommendation"]["reasons"])
    assert "closest to the agents" in reasons
    assert "closest to the callers" in reasons


def test_only_the_agents_matter_if_callers_have_no_weight_and_the_other_way_round():
    sites, callers = [site("A", LONDON)], [caller("jp", TOKYO, 100.0, "JP")]
    ready = prepared(sites, callers)
    assert rank_prepared(ready, weights=Weights(agents=1, callers=0)).best.regions == ("eu-west-2",)
    assert rank_prepared(ready, weights=Weights(agents=0, callers=1)).best.regions == ("ap-northeast-1",)


def test_a_measurement_replaces_the_model_and_says_so():
    measurement = SiteMeasurement(site_id="A", region_code="eu-central-1", rtt_ms=(90.0, 100.0, 110.0), hop_count=7)
    document = rank_prepared(prepared([site()], [caller()], measurements=[measurement])).to_document()
    rows = {tuple(option["regions"]): option["by_site"][0] for option in document["options"]}
    assert rows["eu-central-1",]["agent_leg_ms"] == 50.0
    assert rows["eu-central-1",]["basis"] == "measured"
    assert rows["eu-central-1",]["hop_count"] == 7
    assert rows["eu-west-2",]["basis"] == "modelled"
    assert rows["eu-west-2",]["hop_count"] is None
    assert rows["eu-west-2",]["agent_leg_ms"] == pytest.approx(2.0, abs=0.01)


def test_the_media_path_outranks_other_techniques_and_sums_stand_in_for_samples():
    relay = SiteMeasurement(site_id="A", region_code="eu-west-2", rtt_ms=(20.0,), via="stun")
    trace = SiteMeasurement(site_id="A", region_code="eu-west-2", rtt_ms=(60.0,), via="icmp", hop_count=9)
    sums = SiteMeasurement(
        site_id="A", region_code="us-east-1", rtt_p50_ms=80.0, rtt_min_ms=76.0, rtt_max_ms=120.0, via="icmp"
    )
    rows = {
        tuple(option["regions"]): option["by_site"][0]
        for option in rank_prepared(prepared([site()], [caller()], measurements=[trace, relay, sums])).to_document()[
            "options"
        ]
    }
    assert rows["eu-west-2",]["agent_leg_ms"] == 10.0
    assert rows["eu-west-2",]["hop_count"] == 9
    assert rows["us-east-1",]["agent_leg_ms"] == 40.0
    low, high = rows["us-east-1",]["band_ms"]
    assert low < 38.0
    assert high > 60.0


def test_a_measurement_of_a_site_that_does_not_exist_is_refused_by_name():
    stranger = SiteMeasurement(site_id="X", region_code="eu-west-2", rtt_ms=(9.0,), source="probes/X.json")
    with pytest.raises(ModelInputError, match=r"probes/X\.json.*'X'.*known sites are A"):
        prepared([site()], [caller()], measurements=[stranger])


def test_a_hub_adds_its_detour_and_a_measured_leg_has_it_inside():
    hub_and_spoke = [site("HUB", TOKYO, 0, "JP"), site("A", LONDON, 10, via_site_id="HUB")]
    row = rank_prepared(prepared(hub_and_spoke, [caller()])).to_document()["options"]
    london = next(option for option in row if option["regions"] == ["eu-west-2"])["by_site"][1]
    assert london["agent_leg_ms"] == pytest.approx(2 * leg(LONDON, TOKYO) + 1.0, abs=0.01)


def test_what_was_measured_from_a_hub_holds_for_its_spokes_from_there_on():
    sites = [site("HUB", FRANKFURT, 5, "DE"), site("A", LONDON, 10, via_site_id="HUB")]
    measured = [SiteMeasurement(site_id="HUB", region_code="us-east-1", rtt_ms=(200.0,) * 20)]
    document = rank_prepared(prepared(sites, [caller()], measurements=measured)).to_document()
    row = next(o for o in document["options"] if o["regions"] == ["us-east-1"])["by_site"][1]
    assert row["agent_leg_ms"] == pytest.approx(leg(LONDON, FRANKFURT) + 100.0 + 1.0, abs=0.01)
    assert row["basis"] == "modelled"


def test_a_hub_without_agents_and_an_origin_without_calls_are_heard_by_nobody():
    sites = [site("HUB", FRANKFURT, 0, "DE"), site("A", LONDON, 10, via_site_id="HUB")]
    callers = [caller("gb", LONDON, 100.0), caller("none", TOKYO, 0.0, "JP")]
    document = rank_prepared(prepared(sites, callers, [target(share=0.0)])).to_document()
    text = json.dumps(document, allow_nan=False)
    assert "NaN" not in text
    option = document["options"][0]
    assert option["by_site"][0]["mouth_to_ear_ms"] is None
    assert option["by_caller_origin"][1]["mos_cqe"] is None
    assert option["by_transfer"][0]["mouth_to_ear_ms"] is None


def test_measured_legs_are_certain_and_modelled_ones_are_not():
    codes = ("eu-west-2", "eu-central-1", "us-east-1")
    measured = [
        SiteMeasurement(site_id="A", region_code=code, rtt_ms=(rtt,) * 50)
        for code, rtt in zip(codes, (10.0, 30.0, 80.0), strict=True)
    ]
    without = rank_prepared(prepared([site()], [caller()]))
    with_all = rank_prepared(prepared([site()], [caller()], measurements=measured))
    wide, narrow = (r.to_document()["options"][0]["by_site"][0]["band_ms"] for r in (without, with_all))
    assert (narrow[1] - narrow[0]) / 5.0 < (wide[1] - wide[0]) / 2.0
    assert without.to_document()["certainty"]["decided_by_assumptions"]


# --- the rule ---------------------------------------------------------------------------------------------------


def _winner(share, mos, hops=None, size=None, **bands):
    rule = Rule(close_share=bands.get("close_share", 0.01), close_mos=bands.get("close_mos", 0.05))
    n = len(share)
    return int(
        rule.winners(
            np.array(share)[:, None],
            np.array(mos)[:, None],
            np.array([np.nan] * n if hops is None else hops, dtype=float),
            np.array([1] * n if size is None else size),
        )[0]
    )


def test_the_share_over_the_limit_comes_first_and_the_mean_opinion_score_second():
    assert _winner([0.00, 0.05], [3.5, 4.2]) == 0
    assert _winner([0.000, 0.005], [3.5, 4.2]) == 1


def test_fewer_hops_win_within_the_band_and_only_there():
    assert _winner([0, 0], [4.00, 4.04], hops=[8, 14]) == 0
    assert _winner([0, 0], [4.00, 4.10], hops=[8, 14]) == 1


def test_unknown_hops_decide_nothing():
    assert _winner([0, 0], [4.00, 4.04], hops=[8, np.nan]) == 1


def test_a_second_instance_has_to_be_worth_it():
    assert _winner([0, 0], [4.00, 4.04], size=[1, 2]) == 0
    assert _winner([0, 0], [4.00, 4.20], size=[1, 2]) == 1


def test_a_weight_on_hops_widens_the_band():
    plain, heavy = Rule.for_weights(Weights()), Rule.for_weights(Weights(hops=2))
    assert heavy.close_mos == pytest.approx(3 * plain.close_mos)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(1, 4.5)), min_size=1, max_size=8))
def test_the_order_names_every_option_once_and_begins_with_the_winner(options):
    share, mos = (np.array(column) for column in zip(*options, strict=True))
    n = len(options)
    rule = Rule(close_share=0.01, close_mos=0.05)
    order = rule.order(share, mos, np.full(n, np.nan), np.ones(n, dtype=int))
    assert sorted(order) == list(range(n))
    assert order[0] == _winner(share, mos)


# --- constraints ------------------------------------------------------------------------------------------------


def _excluded(constraints, **more):
    ranking = rank_prepared(_MIXED, constraints=constraints, **more)
    return {outcome.regions: outcome.option.excluded_by for outcome in ranking.outcomes}


def test_regions_without_an_instance_are_out_and_say_why():
    reasons = _excluded(Constraints())
    assert "evidence only" in reasons["ap-south-1",][0]
    assert "replica of ap-northeast-1" in reasons["ap-northeast-3",][0]
    assert "GovCloud" in reasons["us-gov-west-1",][0]
    assert reasons["eu-west-2",] == ()


@pytest.mark.parametrize(
    ("residency", "left"),
    [
        (("EU",), {"eu-central-1"}),
        (("UK",), {"eu-west-2"}),
        (("gb", "DE"), {"eu-west-2", "eu-central-1"}),
        (("BR",), set()),
    ],
)
def test_residency_leaves_the_regions_of_these_countries(residency, left):
    reasons = _excluded(Constraints(residency=residency))
    assert {code for (code,), why in reasons.items() if not why} == left


def test_every_reason_is_told():
    reasons = _excluded(
        Constraints(
            allowed_regions=("eu-central-1",), excluded_regions=("us-east-1",), residency=("DE",), services=("x",)
        ),
        offers=lambda _, code: code == "eu-central-1",
    )
    assert reasons["eu-central-1",] == ()
    assert [reason.split(":")[0] for reason in reasons["us-east-1",]] == [
        "allowed_regions",
        "excluded_regions",
        "residency",
        "services",
    ]


def test_an_unknown_service_gives_a_caveat_and_no_pass():
    ranking = rank_prepared(_MIXED, constraints=Constraints(services=("Cases",)), offers=lambda *_: None)
    assert any("Cases" in caveat for caveat in ranking.to_document()["recommendation"]["caveats"])


def test_govcloud_leaves_govcloud():
    reasons = _excluded(Constraints(govcloud=True))
    assert {code for (code,), why in reasons.items() if not why} == {"us-gov-west-1"}


def test_a_wanted_pair_is_told_with_its_failover_state():
    ranking = rank_prepared(_MIXED, constraints=Constraints(resiliency_pair=True))
    document = ranking.to_document()
    eligible = [option for option in document["options"] if option["rank"] is not None]
    assert {tuple(option["regions"]) for option in eligible} == {
        ("us-east-1", "us-west-2"),
        ("us-west-2", "us-east-1"),
        ("eu-central-1", "eu-west-2"),
        ("eu-west-2", "eu-central-1"),
        ("ap-northeast-1", "ap-northeast-3"),
    }
    for option in eligible:
        alone = next(o for o in document["options"] if o["regions"] == option["regions"][1:])
        assert option["failover"]["mos_cqe"] == pytest.approx(alone["mos_cqe"]["mean"])
        assert option["failover"]["region_code"] == option["regions"][1]


def test_a_pair_needs_both_of_its_regions():
    reasons = _excluded(Constraints(resiliency_pair=True, residency=("EU",)))
    assert any("eu-west-2: residency" in reason for reason in reasons["eu-central-1", "eu-west-2"])


def test_an_unknown_region_in_the_constraints_lists_the_known_ones():
    with pytest.raises(UnknownRegionError, match="eu-central-1"):
        rank_prepared(_MIXED, constraints=Constraints(excluded_regions=("eu-centrl-1",)))


def test_where_nothing_is_left_the_answer_lists_by_what():
    ranking = rank_prepared(_MIXED, constraints=Constraints(residency=("BR",)))
    document = ranking.to_document()
    assert document["recommendation"]["regions"] == []
    assert "No Region meets all constraints" in ranking.sentences[0]
    assert "residency excludes 14" in ranking.sentences[1]
    assert len(document["options"]) == 14
    assert all(option["rank"] is None and option["mouth_to_ear_ms"]["mean"] > 0 for option in document["options"])
    assert ranking.to_frame().shape[0] == 14
    assert "residency" in ranking._repr_html_()


# --- several instances ------------------------------------------------------------------------------------------

TWO_WORLDS = (
    (site("A", LONDON, 50), site("B", TOKYO, 50, "JP")),
    (caller("gb", LONDON, 60.0), caller("jp", TOKYO, 40.0, "JP")),
)


def test_two_worlds_want_two_instances_with_their_own_numbers():
    document = rank_prepared(prepared(*TWO_WORLDS), instances=2).to_document()
    best = document["options"][0]
    assert sorted(best["regions"]) == ["ap-northeast-1", "eu-west-2"]
    assert {row["site_id"]: row["region_code"] for row in best["by_site"]} == {"A": "eu-west-2", "B": "ap-northeast-1"}
    assert {row["origin_id"]: row["region_code"] for row in best["by_caller_origin"]} == {
        "gb": "eu-west-2",
        "jp": "ap-northeast-1",
    }
    instances = {row["region_code"]: row for row in best["instances"]}
    assert instances["eu-west-2"]["numbers_for"] == ["gb"]
    assert instances["ap-northeast-1"]["calls_pct"] == pytest.approx(40.0)
    assert any("external transfer" in caveat for caveat in document["recommendation"]["caveats"])


@pytest.mark.parametrize("instances", [2, 3])
def test_every_combination_is_tried_and_evaluated_as_its_assignment_says(instances):
    ready = prepared(*MIXED)
    ranking = rank_prepared(ready, instances=instances)
    singles = [o.regions[0] for o in rank_prepared(ready).eligible]
    expected = {c for size in range(2, instances + 1) for c in itertools.combinations(sorted(singles), size)}
    found = {tuple(sorted(o.regions)) for o in ranking.outcomes if o.option.kind == "instances"}
    assert found == expected
    for outcome in [o for o in ranking.outcomes if o.option.kind == "instances"][:12]:
        codes = outcome.regions
        legs = ready.near_leg_ms[:, [ready.columns[code] for code in codes]]
        assert np.array_equal(outcome.placement.near, legs.argmin(axis=1))


def test_origins_go_to_the_instance_whose_agents_serve_them_best():
    ready = prepared(*TWO_WORLDS)
    outcome = next(
        o for o in rank_prepared(ready, instances=2).outcomes if set(o.regions) == {"eu-west-2", "us-east-1"}
    )
    regions = {"eu-west-2": LONDON, "us-east-1": ASHBURN}
    for index, origin in enumerate(ready.callers):
        quality = {}
        for instance, code in enumerate(outcome.regions):
            served = [
                (share, ready.near_leg_ms[row, ready.columns[code]])
                for row, share in enumerate(ready.shares().near)
                if outcome.placement.near[row] == instance
            ]
            if served:
                caller_leg = leg((origin.latitude, origin.longitude), regions[code]) + 3 + 5
                whole = sum(share for share, _ in served)
                quality[instance] = sum(
                    share / whole * mos_from_r(rate(float(ms) + 116.5 + caller_leg).r_factor - 2.0)
                    for share, ms in served
                )
        assert outcome.placement.origins[index] == max(quality, key=quality.get)


def test_a_capacity_sends_the_origins_with_least_to_lose_elsewhere():
    sites = [site("A", LONDON, 50), site("B", FRANKFURT, 50, "DE")]
    callers = [caller("gb", LONDON, 40.0), caller("fr", (49.5, 3.0), 35.0, "FR"), caller("de", FRANKFURT, 25.0, "DE")]
    ready = prepared(sites, callers)

    def routes(capacities):
        ranking = rank_prepared(ready, instances=2, capacities_pct=capacities)
        option = next(o for o in ranking.outcomes if set(o.regions) == {"eu-west-2", "eu-central-1"})
        return {
            origin.origin_id: option.regions[where]
            for origin, where in zip(ready.callers, option.placement.origins, strict=True)
        }

    assert routes(None)["gb"] == "eu-west-2"
    limited = routes({"eu-west-2": 45.0, "eu-central-1": 65.0})
    assert limited["gb"] == "eu-west-2"
    assert limited["de"] == "eu-central-1"
    crowded = routes({"eu-central-1": 30.0})
    assert crowded == {"gb": "eu-west-2", "fr": "eu-west-2", "de": "eu-central-1"}


def test_an_instance_that_nobody_would_use_is_no_option():
    ranking = rank_prepared(prepared([site("A", LONDON)], [caller()]), instances=2)
    pairs = [o for o in ranking.to_document()["options"] if o["kind"] == "instances"]
    assert pairs
    assert all(o["rank"] is None and "nobody would be served" in o["excluded_by"][0] for o in pairs)


# --- certainty --------------------------------------------------------------------------------------------------


def test_probabilities_add_up():
    ranking = rank_prepared(_MIXED, instances=2)
    assert sum(ranking.probabilities.values()) == pytest.approx(100.0)


def test_a_tipping_point_is_exact_to_a_tenth_of_a_percent():
    sites = [site("A", FRANKFURT, 50, "DE"), site("B", TOKYO, 50, "JP")]
    callers = [caller("de", FRANKFURT, 70.0, "DE"), caller("jp", TOKYO, 30.0, "JP")]
    ready = prepared(sites, callers)
    ranking = rank_prepared(ready)
    tips = [tip for tip in ranking.to_document()["recommendation"]["tipping_points"] if tip["kind"] == "call_share"]
    assert tips
    for tip in tips:
        origin = next(o for o in callers if (o.place or o.country) == tip["subject"])
        other = next(o for o in callers if o is not origin)
        side = 0.1 if tip["to"] > tip["from"] else -0.1

        def winner(share, origin=origin, other=other):
            moved = {origin.origin_id: share, other.origin_id: 100.0 - share}
            return list(rank_prepared(ready, call_shares=moved).best.regions)

        assert winner(tip["to"] - side) == list(ranking.best.regions)
        assert winner(tip["to"] + side) == tip["winner_becomes"]


def test_tipping_points_of_agents_and_transfers_are_where_a_new_ranking_has_them():
    sites = [site("A", FRANKFURT, 60, "DE"), site("B", ASHBURN, 40, "US")]
    callers = [caller("de", FRANKFURT, 55.0, "DE"), caller("us", ASHBURN, 45.0, "US")]
    ready = prepared(sites, callers, [target("tok", TOKYO, 5.0)])
    ranking = rank_prepared(ready)
    tips = ranking.to_document()["recommendation"]["tipping_points"]
    agents = [tip for tip in tips if tip["kind"] == "agents"]
    assert agents
    for tip in agents:
        side = 0.1 if tip["to"] > tip["from"] else -0.1
        other = "B" if tip["subject"] == "A" else "A"
        before = rank_prepared(ready, agents={tip["subject"]: tip["to"] - side, other: 100 - tip["to"] + side})
        after = rank_prepared(ready, agents={tip["subject"]: tip["to"] + side, other: 100 - tip["to"] - side})
        assert before.best.regions == ranking.best.regions
        assert list(after.best.regions) == tip["winner_becomes"]
    for tip in (tip for tip in tips if tip["kind"] == "transfers"):
        side = 0.1 if tip["to"] > tip["from"] else -0.1
        assert (
            list(rank_prepared(ready, transfer_shares={"tok": tip["to"] + side}).best.regions) == tip["winner_becomes"]
        )
        assert rank_prepared(ready, transfer_shares={"tok": tip["to"] - side}).best.regions == ranking.best.regions


def test_measured_clients_are_not_decided_by_assumptions():
    codes = [region.region_code for region in _MIXED.regions]
    sites = [site("A", (10.0, 20.0), 10, "TD")]
    measured = [
        SiteMeasurement(site_id="A", region_code=code, rtt_ms=(100.0 + 10 * i,) * 30) for i, code in enumerate(codes)
    ]
    ranking = rank_prepared(
        prepared(sites, [caller("td", (10.0, 20.0), country="TD")], measurements=measured, draws=2000)
    )
    shares = ranking.to_document()["certainty"]["variance_pct"]
    assert shares["assumed"] == pytest.approx(0.0, abs=1e-9)
    assert sum(shares.values()) == pytest.approx(100.0, abs=1e-6)


def test_the_most_useful_measurement_is_of_the_leg_that_carries_the_doubt():
    # two Regions whose only unknown difference is the leg of the large site; the small one is measured
    sites = [site("BIG", (45.0, 0.0), 95, "FR"), site("SMALL", LONDON, 5)]
    measured = [
        SiteMeasurement(site_id="SMALL", region_code=code, rtt_ms=(10.0,) * 30)
        for code in ("eu-west-2", "eu-central-1")
    ]
    callers = [caller("gb", LONDON, 50.0), caller("de", FRANKFURT, 50.0, "DE")]
    ranking = rank_prepared(prepared(sites, callers, measurements=measured, draws=2000))
    values = ranking.to_document()["value_of_measuring"]
    assert values[0]["subject"] == "BIG"
    assert all(value["subject"] != "SMALL" for value in values)
    assert all(value["wrong_after_pct"] <= value["wrong_now_pct"] + 1e-9 for value in values)


def test_the_pareto_picture_names_the_undominated():
    points = rank_prepared(_MIXED).to_document()["pareto"]
    for point in points:
        dominated = any(
            other["agent_leg_ms"] < point["agent_leg_ms"] and other["caller_leg_ms"] < point["caller_leg_ms"]
            for other in points
        )
        assert not (point["efficient"] and dominated)
    assert any(point["efficient"] for point in points)


def test_two_equal_regions_are_too_close_to_call():
    middle = (44.74, -98.0)  # as far from Ashburn as from Boardman
    sites = [site("A", middle, country="US")]
    ranking = rank_prepared(
        prepared(sites, [caller("us", middle, country="US")]),
        constraints=Constraints(allowed_regions=("us-east-1", "us-west-2")),
    )
    assert ranking.to_document()["certainty"]["too_close_to_call"]
    assert "too close to call" in ranking.sentences[1]


# --- bad input --------------------------------------------------------------------------------------------------


def test_no_sites_no_agents_no_calls_and_impossible_numbers_are_said_in_one_sentence():
    with pytest.raises(ModelInputError, match="no sites"):
        rank([], distances=straight)
    with pytest.raises(ModelInputError, match="0 agents"):
        rank([site(agents=0)], [caller()], distances=straight)
    with pytest.raises(ModelInputError, match="call shares are 0"):
        rank([site()], [caller(share=0.0)], distances=straight)
    with pytest.raises(ModelInputError, match=r"leaves through 'HUB'.*not in sites\.csv"):
        rank([site(via_site_id="HUB")], [caller()], distances=straight)
    with pytest.raises(ModelInputError, match="weight of hops"):
        rank_prepared(_MIXED, weights=Weights(hops=-1))
    with pytest.raises(ModelInputError, match="all 0"):
        rank_prepared(_MIXED, weights=Weights(agents=0, callers=0, transfers=0))
    with pytest.raises(ModelInputError, match="instances"):
        rank_prepared(_MIXED, instances=0)


def test_without_callers_the_answer_says_what_was_assumed():
    document = rank([site()], distances=straight, draws=50).to_document()
    assert document["options"][0]["by_caller_origin"] == []
    assert any("No callers are given" in caveat for caveat in document["recommendation"]["caveats"])


def test_the_document_holds_every_field_of_the_contract_and_is_json():
    ranking = rank_prepared(_MIXED)
    assert isinstance(ranking, Ranking)
    document = json.loads(json.dumps(ranking.to_document(), allow_nan=False))
    option = document["options"][0]
    assert option["rank"] == 1
    assert {"mean", "p50", "p95", "band"} <= option["mouth_to_ear_ms"].keys()
    assert {"mean", "p05"} <= option["mos_cqe"].keys()
    assert {"site_id", "region_code", "agent_leg_ms", "hop_count", "basis"} <= option["by_site"][0].keys()
    assert {"origin_id", "region_code", "caller_leg_ms", "basis"} <= option["by_caller_origin"][0].keys()
    assert {"target_id", "leg_ms", "circular", "basis"} <= option["by_transfer"][0].keys()
    assert {"regions", "runner_up", "reasons", "tipping_points", "caveats"} <= document["recommendation"].keys()
    assert len(ranking.sentences) == 3
    assert [o["rank"] for o in document["options"][:10]] == list(range(1, 11))


def test_hostile_names_are_escaped_in_html():
    nasty = site("<script>alert(1)</script>", LONDON)
    html = (
        rank_prepared(prepared([nasty], [caller()])).to_frame().to_html()
        + rank_prepared(prepared([nasty], [caller()]))._repr_html_()
    )
    assert "<script>" not in html


@given(
    st.lists(st.tuples(st.floats(-60, 70), st.floats(-180, 180), st.integers(0, 500)), min_size=1, max_size=5),
    st.lists(st.tuples(st.floats(-60, 70), st.floats(-180, 180), st.floats(0.1, 100)), min_size=1, max_size=4),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_client_gives_a_ranking_within_bounds_or_our_error(places, origins):
    sites = [site(f"s{i}", (lat, lon), agents) for i, (lat, lon, agents) in enumerate(places)]
    callers = [caller(f"o{i}", (lat, lon), share) for i, (lat, lon, share) in enumerate(origins)]
    try:
        ranking = rank(sites, callers, draws=20, distances=straight)
    except ModelInputError:
        assert all(agents == 0 for _, _, agents in places)
        return
    for option in ranking.to_document()["options"]:
        assert 1.0 <= option["mos_cqe"]["p05"] <= 4.5
        assert option["mouth_to_ear_ms"]["p50"] <= option["mouth_to_ear_ms"]["p95"]
        assert (
            0
            <= option["share_over_400_ms_pct"]
            <= option["share_over_300_ms_pct"]
            <= option["share_over_150_ms_pct"]
            <= 100.0001
        )
    best, second = ranking.best, ranking.runner_up
    assert best.statistics.total[MOS] >= second.statistics.total[MOS] - 0.06 or best.statistics.total[MEAN] > 0


def test_a_service_nobody_ever_heard_of_is_a_caveat_by_the_shipped_table_too():
    caveats = rank_prepared(_MIXED, constraints=Constraints(services=("crystal ball",))).to_document()[
        "recommendation"
    ]["caveats"]
    assert any("crystal ball" in caveat and "not in the services table" in caveat for caveat in caveats)


def test_a_service_that_is_documented_as_missing_excludes_the_region():
    reasons = _excluded(Constraints(services=("contact lens real-time",)))
    assert any("not offered" in reason for reason in reasons["af-south-1",])
