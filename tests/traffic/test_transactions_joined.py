"""Requests and responses: both levels, Karn, answers against the request's direction."""

import numpy as np
import pytest
from builders import pair, stun_row, stun_rows
from hypothesis import given
from hypothesis import strategies as st

from ccp_assess.traffic import transactions as t
from ccp_assess.wire.stun import Method


def test_a_request_and_its_answer_are_one_transaction_with_its_round_trip():
    rows = t.join_transactions(stun_rows(*pair(1.0, Method.BINDING, 5, 38.25)))
    assert len(rows) == 1
    assert rows["rtt_ms"][0] == pytest.approx(38.25)
    assert (rows["outcome"][0], rows["retransmissions"][0], bool(rows["inside"][0])) == (t.SUCCESS, 0, False)


def test_a_repeated_request_gives_no_round_trip():
    again = stun_row(1.5, 0x0001, 5)
    rows = t.join_transactions(stun_rows(again, *pair(1.0, Method.BINDING, 5, 600.0)))
    assert np.isnan(rows["rtt_ms"][0])
    assert (rows["outcome"][0], rows["retransmissions"][0]) == (t.SUCCESS, 1)


def test_the_challenge_of_an_allocation_is_an_error_with_a_round_trip():
    rows = t.join_transactions(stun_rows(*pair(1.0, Method.ALLOCATE, 5, 40.0, error_code=401)))
    assert (rows["outcome"][0], rows["error_code"][0]) == (t.ERROR, 401)
    assert rows["rtt_ms"][0] == pytest.approx(40.0)


def test_no_answer_is_no_answer_and_not_zero():
    rows = t.join_transactions(stun_rows(*pair(1.0, Method.ALLOCATE, 5, None)))
    assert rows["outcome"][0] == t.NO_ANSWER
    assert np.isnan(rows["rtt_ms"][0])
    assert rows["answer_ns"][0] == -1


def test_both_sides_may_use_the_same_identifier():
    rows = t.join_transactions(
        stun_rows(
            *pair(1.0, Method.BINDING, 5, 30.0, channel=0x4000),
            *pair(1.001, Method.BINDING, 5, 1.0, channel=0x4000, outbound_of_key=False),
        )
    )
    assert sorted(round(float(rtt)) for rtt in rows["rtt_ms"]) == [1, 30]


def test_an_answer_in_channel_data_belongs_to_a_request_in_an_indication():
    request = stun_row(1.0, 0x0001, 5, peer=0)
    answer = stun_row(1.04, 0x0101, 5, channel=0x4000, outbound_of_key=False)
    rows = t.join_transactions(stun_rows(request, answer))
    assert (len(rows), rows["outcome"][0], bool(rows["inside"][0])) == (1, t.SUCCESS, True)


def test_inside_and_outside_are_kept_apart():
    outside = stun_row(1.0, 0x0001, 5)
    answer_inside = stun_row(1.04, 0x0101, 5, channel=0x4000, outbound_of_key=False)
    rows = t.join_transactions(stun_rows(outside, answer_inside))
    assert rows["outcome"].tolist() == [t.NO_ANSWER]


def test_an_answer_without_request_and_indications_are_no_transaction():
    answer = stun_row(1.04, 0x0101, 5, outbound_of_key=False)
    indication = stun_row(1.0, 0x0011, 6)
    assert len(t.join_transactions(stun_rows(answer, indication))) == 0
    assert len(t.join_transactions(stun_rows())) == 0


def test_an_answer_that_came_before_its_request_does_not_answer_it():
    rows = t.join_transactions(stun_rows(stun_row(0.9, 0x0101, 5, outbound_of_key=False), stun_row(1.0, 0x0001, 5)))
    assert rows["outcome"].tolist() == [t.NO_ANSWER]


@given(st.permutations(range(12)))
def test_the_order_of_rows_does_not_matter(order):
    rows = [row for i in range(6) for row in pair(i, Method.BINDING, i % 3, 20.0 + i, flow=i // 3)]
    expected = t.join_transactions(stun_rows(*rows))
    shuffled = t.join_transactions(stun_rows(*(rows[i] for i in order)))
    assert expected.tolist() == shuffled.tolist()  # the bytes between columns are nobody's


@pytest.mark.parametrize(("percent", "value"), [(5, 15.0), (30, 20.0), (40, 20.0), (50, 35.0), (100, 50.0)])
def test_percentiles_are_nearest_rank(percent, value):
    assert t.nearest_rank(np.array([15.0, 20.0, 35.0, 40.0, 50.0]), percent) == value


def test_no_values_have_no_percentile():
    assert t.nearest_rank(np.zeros(0), 50) is None
