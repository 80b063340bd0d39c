"""What the instance is for decides which legs and which scale count."""

from __future__ import annotations

import json

import pytest
from clients_for_ranking import FRANKFURT, LONDON, MIXED, TOKYO, caller, leg, site, straight, target

from ccp_assess.errors import ReferenceFactError
from ccp_assess.quality.emodel import rate
from ccp_assess.selection.journeys import MosCurve
from ccp_assess.selection.options import Weights
from ccp_assess.selection.outcomes import MEAN, MOS
from ccp_assess.selection.prepared import prepare
from ccp_assess.selection.ranking import rank_prepared


def _london(use_case, *tables, **more):
    ranking = rank_prepared(prepare(*tables, draws=60, distances=straight, use_case=use_case, **more))
    return ranking, next(o for o in ranking.outcomes if o.regions == ("eu-west-2",))


def test_video_comes_by_the_internet_and_is_rated_on_the_fullband_scale():
    ranking, option = _london("video", [site()], [caller("de", FRANKFURT, country="DE")])
    # office + softphone without gateway + customer's home line
    expected = leg(LONDON, LONDON) + 1 + 86.5 + leg(FRANKFURT, LONDON) + 5
    assert option.statistics.total[MEAN] == pytest.approx(expected, abs=0.01)
    assert option.statistics.total[MOS] == pytest.approx(rate(expected, codec="opus_swb_vbr_40k").mos_cqe, abs=1e-4)
    assert ranking.to_document()["rule"]["scale"] == "fullband"
    assert "fullband" in ranking.sentences[0]


def test_telephone_only_agents_have_the_telephone_network_on_both_sides():
    _, option = _london("telephone_only", [site("A", TOKYO, country="JP")], [caller()])
    expected = leg(TOKYO, LONDON) + 3 + 5 + 80 + leg(LONDON, LONDON) + 3 + 5
    assert option.statistics.total[MEAN] == pytest.approx(expected, abs=0.01)
    assert option.statistics.total[MOS] == pytest.approx(rate(expected).mos_cqe, abs=1e-4)


def test_media_less_says_what_it_takes_for_granted():
    ranking, _ = _london("media_less", [site()], [caller()])
    assert any("media-less" in caveat for caveat in ranking.to_document()["recommendation"]["caveats"])


def test_chat_has_a_delay_but_no_opinion_score():
    ranking, option = _london("chat", [site()], [caller("de", FRANKFURT, country="DE")], [target()])
    assert option.statistics.total[MEAN] == pytest.approx(
        leg(LONDON, LONDON) + 1 + leg(FRANKFURT, LONDON) + 5, abs=0.01
    )
    document = json.loads(json.dumps(ranking.to_document(), allow_nan=False))
    assert document["options"][0]["mos_cqe"] == {"mean": None, "p05": None, "band": None}
    assert document["options"][0]["by_site"][0]["mos_cqe"] is None
    assert document["options"][0]["by_transfer"] == []
    assert not any("MOS" in sentence for sentence in ranking.sentences)


def test_an_unknown_use_case_lists_the_known_ones():
    with pytest.raises(ReferenceFactError, match=r"known use cases are voice, video"):
        prepare([site()], [caller()], distances=straight, use_case="fax")


@pytest.mark.parametrize("use_case", ["voice", "video", "telephone_only", "media_less", "chat"])
def test_every_use_case_ranks_pairwise_and_on_the_grid_alike(use_case, monkeypatch):
    ready = prepare(*MIXED, draws=100, distances=straight, use_case=use_case)
    shares, weights = ready.shares(), Weights()
    place = ready.place(["eu-west-2"], shares, weights)
    direct = ready.simulate(place, shares, weights)
    monkeypatch.setattr("ccp_assess.selection.prepared.DIRECT_CELLS", 0)
    grid = ready.simulate(place, shares, weights)
    assert abs(direct[:, MEAN] - grid[:, MEAN]).max() < 0.01
    assert abs(direct[:, MOS] - grid[:, MOS]).max() < 0.005


def test_the_fullband_curve_follows_the_formula():
    curve = MosCurve("fullband")
    for delay in (0.0, 120.0, 333.3, 900.0):
        assert curve.mos(delay, 10.7) == pytest.approx(rate(delay, codec="opus_swb_vbr_40k").mos_cqe, abs=1e-5)
