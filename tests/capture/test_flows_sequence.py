"""Flows that are made when they are asked for are the same flows, whichever way one asks."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ccp_assess.capture.collecting import Flows, _flows
from ccp_assess.traffic.flowtable import FLOW

COUNT = 200


def table():
    chance = np.random.default_rng(5)
    rows = np.zeros(COUNT, FLOW)
    rows["a_port"] = chance.integers(1, 65_535, COUNT)
    rows["packets"] = chance.integers(1, 9, (COUNT, 2))
    rows["first_ns"] = np.arange(COUNT)
    return rows


ROWS = table()
WHOLE = _flows(ROWS)


@given(st.lists(st.integers(-COUNT, COUNT - 1), max_size=50), st.slices(COUNT))
def test_any_order_of_asking_gives_the_same_flows(places, some):
    flows = Flows(ROWS)
    assert [flows[place] for place in places] == [WHOLE[place] for place in places]
    assert flows[some] == tuple(WHOLE[some])
    assert list(flows) == WHOLE


def test_a_flow_that_is_not_there_is_told():
    for place in (COUNT, -COUNT - 1):
        try:
            Flows(ROWS)[place]
        except IndexError:
            continue
        raise AssertionError(place)
