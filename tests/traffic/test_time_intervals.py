"""Stretches of time that touch others, against looking at each."""

import numpy as np
import pytest

from ccp_assess.traffic.intervals import Intervals


@pytest.mark.parametrize("seed", range(5))
def test_what_touches_is_what_looking_at_each_finds(seed):
    rng = np.random.default_rng(seed)
    firsts = rng.integers(0, 100, 40).tolist()
    lasts = [first + int(length) for first, length in zip(firsts, rng.integers(0, 30, 40), strict=True)]
    intervals = Intervals(firsts, lasts)
    for first in range(-5, 140, 3):
        for last in (first, first + 2, first + 25):
            expected = [k for k in range(40) if firsts[k] <= last and lasts[k] >= first]
            assert intervals.touching(first, last) == expected
            assert intervals.touch(first, last) is bool(expected)


def test_nothing_touches_no_stretch():
    assert Intervals([], []).touching(0, 10) == []
    assert not Intervals([], []).touch(0, 10)
