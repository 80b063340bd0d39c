"""The E-model against published and re-evaluated values, against traps found elsewhere, and in its shape."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccp_assess.errors import ModelInputError, ReferenceFactError
from ccp_assess.quality.codecs import Codec, codec_by_name, read_codecs
from ccp_assess.quality.emodel import (
    Transmission,
    mos_from_r,
    narrowband_r,
    pure_delay_impairment,
    rate,
    talker_echo_impairment,
)

# one-way ms: Idd, R by pure delay, R with echo (T = Ta, Tr = 2 Ta, TELR 65): evaluated apart from this code
DELAY_TABLE = (
    (150, 0.16, 93.0, 89.5),
    (200, 3.04, 90.2, 85.8),
    (250, 8.92, 84.3, 79.2),
    (300, 14.76, 78.4, 72.7),
    (400, 24.07, 69.1, 62.2),
    (500, 30.64, 62.6, 54.8),
    (800, 40.83, 52.4, 42.8),
)


def _codec(ie: float, bpl: float, scale: str = "narrowband") -> Codec:
    return Codec(
        name="test",
        scale=scale,
        ie=ie,
        bpl=bpl,
        bpl_bursty=None,
        packetization_ms=20,
        lookahead_ms=0,
        note="",
        source="",
        retrieved="",
    )


def test_all_defaults_give_the_published_rating():
    rating = rate(0.0)
    assert round(rating.r_factor, 4) == 93.2062
    assert round(rating.mos_cqe, 3) == 4.409
    assert rating.scale == "narrowband"


@pytest.mark.parametrize(("delay_ms", "idd", "r_pure", "r_echo"), DELAY_TABLE)
def test_delay_table(delay_ms, idd, r_pure, r_echo):
    pure, echo = rate(delay_ms), rate(delay_ms, echo_telr_db=65.0)
    assert round(pure.idd, 2) == idd
    assert round(pure.r_factor, 1) == r_pure
    assert round(echo.r_factor, 1) == r_echo


@pytest.mark.parametrize(
    ("loss_pct", "bpl", "r_factor"),
    [(1, 4.3, 75.3), (1, 25.1, 89.6), (1, 10, 84.6), (3, 4.3, 54.2), (3, 25.1, 83.1), (3, 10, 71.3)],
)
def test_loss_table(loss_pct, bpl, r_factor):
    assert round(rate(0.0, loss_pct, codec=_codec(0.0, bpl)).r_factor, 1) == r_factor


@pytest.mark.parametrize(("r_factor", "mos"), [(90, 4.34), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58)])
def test_bands_of_g109(r_factor, mos):
    assert mos_from_r(float(r_factor)) == pytest.approx(mos, abs=0.0065)  # the Recommendation rounds 4.024 up


def test_the_exponent_is_six_times_the_sensitivity_and_not_six_minus_it():
    assert pure_delay_impairment(150.0) == pytest.approx(0.16, abs=0.005)  # 6 - sT gives 0.33


def test_quality_never_rises_between_150_and_1500_ms():
    ratings = narrowband_r(np.arange(100.0, 1500.0), codec="none")
    assert (np.diff(ratings) <= 1e-12).all()  # a missing bracket elsewhere makes it rise from 151 ms on


@pytest.mark.parametrize(("delay_ms", "line"), [(500, 45.7), (800, 5.5)])
def test_the_straight_line_approximation_is_not_used_beyond_350_ms(delay_ms, line):
    approximation = 93.2 - 0.024 * delay_ms - 0.11 * (delay_ms - 177.3)
    assert round(approximation, 1) == line
    assert rate(delay_ms, echo_telr_db=65.0).r_factor > approximation + 5


def test_one_way_delay_goes_in_and_no_round_trip():
    assert rate(150.0).idd < 0.2 < rate(300.0).idd


def test_the_classes_of_lower_sensitivity_hear_less_delay():
    normal, low, very_low = (
        rate(300.0, transmission=Transmission(s_t=s, m_t=m)).idd for s, m in ((1.0, 100.0), (0.55, 120.0), (0.4, 150.0))
    )
    assert normal > low > very_low >= 0


def test_an_echo_below_one_millisecond_is_sidetone():
    assert talker_echo_impairment(0.99) == 0.0
    assert talker_echo_impairment(5.0, 30.0) > 0.0


def test_a_weaker_echo_hurts_less():
    assert rate(200.0, echo_telr_db=75.0).r_factor > rate(200.0, echo_telr_db=55.0).r_factor


def test_loud_and_faint_sidetone_use_their_own_branches():
    ordinary = talker_echo_impairment(100.0)
    assert talker_echo_impairment(100.0, transmission=Transmission(stmr=5.0)) != pytest.approx(ordinary)
    assert talker_echo_impairment(100.0, transmission=Transmission(stmr=25.0)) > ordinary


def test_a_tandem_adds_impairments_and_loses_packets_on_its_first_leg():
    opus, tandem = read_codecs()["opus"], codec_by_name("opus+g711")
    assert tandem.ie == opus.ie + read_codecs()["g711"].ie
    assert tandem.bpl == opus.bpl
    assert codec_by_name("g711+opus").bpl == 25.1


def test_codecs_of_two_scales_never_make_a_tandem():
    with pytest.raises(ReferenceFactError, match="different scales"):
        codec_by_name("opus_wb_cbr_15k+g711")


def test_an_unknown_codec_lists_the_known_ones():
    with pytest.raises(ReferenceFactError, match=r"known codecs.*opus"):
        rate(100.0, codec="ilbc")


def test_a_wideband_codec_is_refused_for_a_call_that_ends_in_the_telephone_network():
    with pytest.raises(ModelInputError, match="narrowband"):
        narrowband_r(100.0, codec="opus_wb_cbr_15k")


@pytest.mark.parametrize(
    ("name", "scale", "top"), [("opus_wb_cbr_15k", "wideband", 129.0), ("opus_swb_vbr_40k", "fullband", 148.0)]
)
def test_other_scales_say_so_and_have_their_own_top(name, scale, top):
    rating = rate(0.0, codec=name)
    assert rating.scale == scale
    assert rating.r_factor == pytest.approx(top - read_codecs()[name].ie)
    assert rating.mos_cqe == pytest.approx(mos_from_r(rating.r_factor / (top / 100.0)), abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"delay_ms": -1.0}, "delay"),
        ({"delay_ms": math.nan}, "finite"),
        ({"delay_ms": 1.0, "loss_pct": 101.0}, "at most 100"),
        ({"delay_ms": 1.0, "loss_pct": -0.1}, "packet loss"),
        ({"delay_ms": 1.0, "burst_ratio": 0.0}, "above 0"),
        ({"delay_ms": 1.0, "echo_telr_db": math.inf}, "finite"),
    ],
)
def test_numbers_outside_the_model_are_refused_with_a_sentence(arguments, said):
    with pytest.raises(ModelInputError, match=said):
        rate(**arguments)


def test_every_codec_row_has_a_source_and_a_date():
    assert all(row.source and row.retrieved and row.bpl > 0 for row in read_codecs().values())


def test_opus_rows_carry_the_published_triples():
    published = {
        "opus_nb_vbr_6k": (23.0, 24.6, 15.4),
        "opus_nb_vbr_9k": (11.7, 18.9, 12.4),
        "opus_nb_cbr_10k": (6.2, 15.3, 10.5),
        "opus_nb_cbr_11k": (2.0, 16.0, 10.7),
        "opus_wb_vbr_11k": (28.4, 23.9, 20.1),
        "opus_wb_vbr_13k": (20.0, 19.5, 16.9),
        "opus_wb_cbr_15k": (18.1, 18.7, 16.1),
        "opus_swb_vbr_16k": (30.2, 11.8, 10.1),
        "opus_swb_vbr_25k": (20.2, 11.3, 9.2),
        "opus_swb_vbr_31k": (16.8, 10.4, 8.8),
        "opus_swb_vbr_40k": (10.7, 9.8, 8.0),
        "opus_swb_cbr_40k": (15.9, 11.4, 9.4),
    }
    rows = read_codecs()
    assert {name: (rows[name].ie, rows[name].bpl, rows[name].bpl_bursty) for name in published} == published


delays = st.floats(0, 3000)
losses = st.floats(0, 100)
codecs = st.sampled_from(["none", "g711", "opus", "opus+g711", "opus_wb_cbr_15k", "opus_swb_vbr_40k"])


@given(delays, losses, st.floats(0, 500), st.floats(0, 20), codecs)
def test_more_delay_or_loss_never_scores_better(delay, loss, more_delay, more_loss, codec):
    base = rate(delay, loss, codec=codec)
    worse = rate(delay + more_delay, min(loss + more_loss, 100.0), codec=codec)
    assert worse.r_factor <= base.r_factor + 1e-9
    assert worse.mos_cqe <= base.mos_cqe + 1e-9


@given(delays, losses, st.floats(1, 8), st.floats(0, 8), codecs)
def test_burstier_loss_never_scores_better(delay, loss, burst, more, codec):
    assert rate(delay, loss, burst + more, codec).r_factor <= rate(delay, loss, burst, codec).r_factor + 1e-9


@given(st.floats(-200, 300), st.floats(0, 50))
def test_the_mean_opinion_score_is_monotone_and_bounded(r_factor, more):
    low, high = mos_from_r(r_factor), mos_from_r(r_factor + more)
    assert 1.0 <= low <= high <= 4.5


@given(st.lists(delays, min_size=1, max_size=20), losses)
def test_arrays_and_single_calls_agree(many, loss):
    together = narrowband_r(np.array(many), loss, codec="opus+g711")
    one_by_one = [rate(delay, loss, codec="opus+g711").r_factor for delay in many]
    assert together.tolist() == pytest.approx(one_by_one, abs=1e-9)


def test_an_unknown_delay_stays_unknown():
    assert np.isnan(narrowband_r(np.array([math.nan]))).all()
