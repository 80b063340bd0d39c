"""Changes told as differences, findings with figures, and what a line has to carry."""

from __future__ import annotations

import pytest
from clients_for_ranking import ASHBURN, FRANKFURT, LONDON, MIXED, TOKYO, caller, device, leg, prepared, site, target

from ccp_assess.errors import ModelInputError
from ccp_assess.selection.findings import CODES, ranking_findings
from ccp_assess.selection.legs import SiteMeasurement
from ccp_assess.selection.options import Constraints
from ccp_assess.selection.outcomes import MEAN
from ccp_assess.selection.ranking import rank_prepared
from ccp_assess.selection.sizing import size_sites
from ccp_assess.selection.whatif import (
    add_site,
    close_site,
    direct_connect,
    fewer_circular_transfers,
    local_breakout,
    move_agents,
    split_tunnel,
)

LONDON_ONLY = Constraints(allowed_regions=("eu-west-2",))


def _ranking(*tables, constraints=LONDON_ONLY, **more):
    return rank_prepared(prepared(*tables, **more), constraints=constraints)


def test_a_new_site_changes_the_mean_by_its_share_of_the_calls():
    change = add_site(_ranking([site("A", LONDON, 30)], [caller()]), site("B", TOKYO, 10, "JP"))
    assert change.ms_difference == pytest.approx(0.25 * (leg(TOKYO, LONDON) - leg(LONDON, LONDON)), abs=0.01)
    assert change.ms_band[0] < change.ms_difference < change.ms_band[1]
    assert change.mos_difference < 0


def test_closing_a_site_is_the_opposite_of_adding_it():
    small, large = [site("A", LONDON, 30)], [site("A", LONDON, 30), site("B", TOKYO, 10, "JP")]
    added = add_site(_ranking(small, [caller()]), large[1])
    closed = close_site(_ranking(large, [caller()]), "B")
    assert closed.ms_difference == pytest.approx(-added.ms_difference)
    assert closed.mos_difference == pytest.approx(-added.mos_difference)


def test_moving_agents_moves_only_their_share():
    tables = [site("A", LONDON, 30), site("B", TOKYO, 10, "JP")], [caller()]
    change = move_agents(_ranking(*tables), "B", "A", 4)
    assert change.ms_difference == pytest.approx(-0.1 * (leg(TOKYO, LONDON) - leg(LONDON, LONDON)), abs=0.01)
    with pytest.raises(ModelInputError, match="which has 10"):
        move_agents(_ranking(*tables), "B", "A", 11)


def test_local_breakout_takes_the_detour_away():
    tables = [site("HUB", TOKYO, 0, "JP"), site("A", LONDON, 10, via_site_id="HUB")], [caller()]
    change = local_breakout(_ranking(*tables), "A")
    assert change.ms_difference == pytest.approx(leg(LONDON, LONDON) - 2 * leg(LONDON, TOKYO), abs=0.01)
    assert change.ms_band[1] < 0
    with pytest.raises(ModelInputError, match="leaves locally already"):
        local_breakout(_ranking(*tables), "HUB")


def test_a_split_tunnel_takes_concentrator_and_detour_away():
    tables = [site("HUB", FRANKFURT, 10, "DE"), site("A", LONDON, 10, access="vpn", via_site_id="HUB")], [caller()]
    change = split_tunnel(_ranking(*tables), "A")
    before = 2 * leg(LONDON, FRANKFURT) + 5.0 + 5.0
    after = leg(LONDON, LONDON) + 5.0
    assert change.ms_difference == pytest.approx(0.5 * (after - before), abs=0.01)
    with pytest.raises(ModelInputError, match="concerns a vpn"):
        split_tunnel(_ranking(*tables), "HUB")


def test_direct_connect_changes_only_the_part_from_the_edge_router():
    change = direct_connect(_ranking([site("A", TOKYO, 10, "JP")], [caller()]), "A")
    way = leg(TOKYO, LONDON)
    assert change.ms_difference == pytest.approx(0.92 * way + 2.0 - (way + 1.0), abs=0.01)
    assert "only from the edge router" in change.note


@pytest.mark.parametrize("access", ["home", "vpn", "vdi"])
def test_direct_connect_is_said_to_be_useless_where_no_edge_router_is_passed(access):
    change = direct_connect(_ranking([site("A", TOKYO, 10, "JP", access=access)], [caller()]), "A")
    assert change.ms_difference == 0.0
    assert change.note.startswith("useless here")


def test_direct_connect_at_a_hub_is_said_to_miss_a_delay_that_lies_before_it():
    tables = [site("HUB", LONDON, 0), site("A", TOKYO, 10, "JP", via_site_id="HUB")], [caller()]
    assert "does not help" in direct_connect(_ranking(*tables), "A").note


def test_measurements_of_todays_path_say_nothing_of_another_path():
    measured = [SiteMeasurement(site_id="A", region_code="eu-west-2", rtt_ms=(80.0,) * 10)]
    tables = [site("HUB", FRANKFURT, 10, "DE"), site("A", LONDON, 10, via_site_id="HUB")], [caller()]
    ranking = _ranking(*tables, measurements=measured)
    change = local_breakout(ranking, "A")
    assert "modelled before and after" in change.note
    assert change.ms_difference == pytest.approx(0.5 * (leg(LONDON, LONDON) - 2 * leg(LONDON, FRANKFURT)), abs=0.01)


def test_half_as_many_circular_transfers_cost_less_than_all_of_them():
    tables = [site()], [caller()], [target("t", FRANKFURT, 20.0, circular=True)]
    half, all_of_them = (fewer_circular_transfers(_ranking(*tables), pct) for pct in (50.0, 100.0))
    assert all_of_them.ms_difference < half.ms_difference < 0
    longer = 2 * (leg(FRANKFURT, LONDON) + 8.0) + 60.0
    assert all_of_them.ms_difference == pytest.approx(-0.2 / 1.2 * longer, abs=0.01)
    with pytest.raises(ModelInputError, match="0 to 100"):
        fewer_circular_transfers(_ranking(*tables), 120.0)


def test_a_change_that_does_nothing_differs_by_nothing_in_every_world():
    change = fewer_circular_transfers(_ranking(*MIXED), 0.0)
    assert change.ms_difference == 0.0
    assert change.ms_band == pytest.approx((0.0, 0.0), abs=1e-4)


def test_a_change_that_moves_the_best_region_says_so():
    callers = [caller("gb", LONDON, 60.0), caller("jp", TOKYO, 40.0, "JP")]
    ranking = _ranking([site("A", LONDON, 10)], callers, constraints=Constraints())
    change = add_site(ranking, site("B", TOKYO, 5000, "JP"))
    assert change.regions == ("eu-west-2",)
    assert change.winner_after != change.regions
    assert "better place" in change.sentence


def test_without_a_recommendation_there_is_nothing_to_compare_with():
    with pytest.raises(ModelInputError, match="nothing to compare"):
        fewer_circular_transfers(_ranking(*MIXED, constraints=Constraints(residency=("BR",))), 10.0)


def test_findings_carry_their_figures():
    tables = [site("A", LONDON, 10), site("V", TOKYO, 10, "JP", access="vpn", via_site_id="A")], [caller()]
    ranking = _ranking(
        *tables,
        [target("x", FRANKFURT, 10.0), target("c", FRANKFURT, 5.0, circular=True)],
        [device("A", FRANKFURT, 50.0)],
    )
    found = {finding.code: finding for finding in ranking_findings(ranking, calls_per_month=2000)}
    assert set(found) <= set(CODES)
    assert found["ANCHORED_TRANSFERS"].evidence["anchored_calls"] == pytest.approx(200.0)
    assert found["ANCHORED_TRANSFERS"].evidence["anchored_minutes"] == pytest.approx(800.0)
    longer = 2 * (leg(FRANKFURT, LONDON) + 8.0) + 60.0
    assert found["CIRCULAR_TRANSFERS"].evidence["longer_ms"] == pytest.approx(longer, abs=0.01)
    assert "missed contact" in found["REROUTED_AUDIO"].text
    assert found["VPN_DETOUR"].evidence["ms_difference"] < 0


def test_sites_and_callers_beyond_the_limit_are_named():
    far = (
        [site("A", LONDON), site("B", (-41.3, 174.8), 5, "NZ")],
        [caller("gb"), caller("nz", (-36.8, 174.7), 0.0, "NZ", "mobile")],
    )
    ranking = rank_prepared(prepared(*far), constraints=LONDON_ONLY, call_shares={"gb": 50.0, "nz": 50.0})
    found = {finding.code: finding for finding in ranking_findings(ranking)}
    assert found["SITE_OVER_LIMIT"].evidence["site_id"] == "B"
    assert ranking.best.statistics.by_near[0, MEAN] > 0


def test_a_line_carries_its_spokes_too():
    sites = [
        site("HUB", LONDON, 50, uplink_mbps=8.0),
        site("A", ASHBURN, 40, "US", via_site_id="HUB", uplink_mbps=100.0),
        site("H", ASHBURN, 5, "US", access="home"),
    ]
    hub, spoke, home = size_sites(sites)
    assert hub.agents == 90
    assert hub.documented_mbps == pytest.approx(9.0)
    assert hub.verdict == "too_small"
    assert spoke.documented_mbps == pytest.approx(4.0)
    assert spoke.verdict == "enough"
    assert home.verdict == "unknown"
    assert "each agent's home" in home.media_leaves
    assert hub.nat_ports == 900


def test_a_measured_rate_replaces_the_assumed_one():
    (row,) = size_sites([site(agents=100)], measured_kbps={"A": 50.0}, calls_at_once=0.5)
    assert row.measured_mbps == pytest.approx(2.5)
    assert row.measured_basis == "measured"
    with pytest.raises(ModelInputError, match="calls at once"):
        size_sites([site()], calls_at_once=-1.0)


def test_a_line_that_is_too_small_is_a_finding():
    ranking = _ranking([site(agents=100, uplink_mbps=5.0)], [caller()])
    found = {finding.code: finding for finding in ranking_findings(ranking)}
    assert found["UPLINK_TOO_SMALL"].severity == "critical"
    assert found["UPLINK_TOO_SMALL"].evidence["used_pct"] == pytest.approx(200.0)
