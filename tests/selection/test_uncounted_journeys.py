"""Internal calls and conferences are told, by hand-computed numbers, and change nothing in the ranking."""

from __future__ import annotations

import pytest
from clients_for_ranking import FRANKFURT, LONDON, caller, leg, prepared, site, straight, target

from ccp_assess.quality.emodel import mos_from_r, rate
from ccp_assess.selection.prepared import prepare
from ccp_assess.selection.ranking import rank_prepared


def _journeys(ready, **more):
    document = rank_prepared(ready, **more).to_document()
    option = next(o for o in document["options"] if o["regions"] == ["eu-west-2"])
    return {row["journey"]: row for row in option["journeys"]}, option


def test_an_internal_call_has_two_agent_legs_and_no_gateway():
    rows, _ = _journeys(prepared([site()], [caller()]))
    agent = leg(LONDON, LONDON) + 1
    expected = 2 * agent + 20 + 6.5 + 40 + 20
    assert rows["internal"]["mouth_to_ear_ms"] == pytest.approx(expected, abs=0.01)
    assert rows["internal"]["mos_cqe"] == pytest.approx(mos_from_r(rate(expected).r_factor - 2.0), abs=1e-4)
    assert rows["internal"]["share_pct"] is None
    assert "conference" not in rows


def test_internal_calls_mix_all_agents_with_each_other():
    rows, _ = _journeys(prepared([site("A", LONDON, 30), site("B", FRANKFURT, 10, "DE")], [caller()]))
    mean = 0.75 * (leg(LONDON, LONDON) + 1) + 0.25 * (leg(FRANKFURT, LONDON) + 1)
    assert rows["internal"]["mouth_to_ear_ms"] == pytest.approx(2 * mean + 86.5, abs=0.01)


def test_an_outside_party_of_a_conference_has_its_own_leg():
    rows, _ = _journeys(prepared([site()], [caller()], [target()]))
    expected = leg(LONDON, LONDON) + 1 + 116.5 + leg(FRANKFURT, LONDON) + 3 + 5
    assert rows["conference"]["mouth_to_ear_ms"] == pytest.approx(expected, abs=0.01)


def test_shares_of_the_counted_journeys_still_add_up():
    rows, _ = _journeys(prepared([site()], [caller()], [target(share=10.0)]))
    assert sum(row["share_pct"] for row in rows.values() if row["share_pct"] is not None) == pytest.approx(100.0)


def test_use_cases_without_softphone_and_telephone_have_neither():
    for use_case in ("video", "chat", "telephone_only"):
        rows, _ = _journeys(prepare([site()], [caller()], [target()], draws=50, distances=straight, use_case=use_case))
        assert not {"internal", "conference"} & rows.keys()


def test_what_is_not_compared_is_said():
    caveats = rank_prepared(prepared([site()], [caller()])).to_document()["recommendation"]["caveats"]
    assert any("toll-free" in caveat and "cost" in caveat for caveat in caveats)
