"""Intervals of loss: what they promise is counted against simulated truth."""

import math
import random

import pytest

from ccp_assess.probe.intervals import (
    FEW_BURSTS,
    burst_inflation,
    fisher_greater,
    loss_interval,
    proportion_interval,
    rate_limit_chance,
)


@pytest.mark.parametrize(
    ("lost", "sent", "low_pct", "high_pct", "method"),
    [
        # Clopper and Pearson by the beta quantiles of any statistics package; Wilson by its formula
        (0, 500, 0.0, 0.735061, "clopper_pearson"),
        (1, 500, 0.005063, 1.109248, "clopper_pearson"),
        (30, 3000, 0.701370, 1.423957, "wilson"),
        (500, 500, 99.264939, 100.0, "clopper_pearson"),
    ],
)
def test_intervals_agree_with_published_formulas(lost, sent, low_pct, high_pct, method):
    low, high, whose = proportion_interval(lost, sent)
    assert (100 * low, 100 * high) == (pytest.approx(low_pct, abs=1e-5), pytest.approx(high_pct, abs=1e-5))
    assert whose == method


def exact_coverage(rate, sent):
    """The chance that the interval holds the truth, by summing the binomial distribution."""
    covered = 0.0
    for lost in range(int(sent * rate + 10 * math.sqrt(sent * rate) + 12)):
        low, high, _ = proportion_interval(lost, sent)
        if low <= rate <= high:
            covered += math.exp(
                math.lgamma(sent + 1)
                - math.lgamma(lost + 1)
                - math.lgamma(sent - lost + 1)
                + lost * math.log(rate)
                + (sent - lost) * math.log1p(-rate)
            )
    return covered


def test_independent_loss_is_covered_as_promised_over_the_whole_grid():
    grid = [exact_coverage(rate, sent) for sent in (500, 1500, 3000) for rate in (0.001, 0.003, 0.01, 0.03, 0.1)]
    assert sum(grid) / len(grid) >= 0.95
    assert min(grid) >= 0.93


def train_with_bursts(draw, sent, rate, burst):
    stays, losing, flags = 1 - 1 / burst, draw.random() < rate, []
    for _ in range(sent):
        losing = draw.random() < (stays if losing else (1 - stays) * rate / (1 - rate))
        flags.append(losing)
    return flags


@pytest.mark.parametrize("burst", [3, 10])
def test_bursts_are_covered_as_stated_where_enough_of_them_were_seen(burst):
    draw = random.Random(11)
    covered = judged = 0
    for rate in (0.01, 0.03, 0.1):
        for _ in range(150):
            found = loss_interval(train_with_bursts(draw, 3000, rate, burst))
            if found.bursts >= FEW_BURSTS:
                judged += 1
                covered += found.low_pct <= 100 * rate <= found.high_pct
    assert judged >= 250
    assert covered / judged >= 0.92  # stated: about 95 %; some 400 trains


def test_independent_loss_is_not_taken_for_bursts():
    draw = random.Random(5)
    widened = sum("bursts" in loss_interval([draw.random() < 0.02 for _ in range(1000)]).method for _ in range(200))
    assert widened <= 20


def test_bursts_widen_by_twice_their_length_less_one():
    assert burst_inflation([10] * 20, 5000) == pytest.approx(19.0)
    assert burst_inflation([1] * 50, 5000) == 1.0
    assert burst_inflation([], 100) == 1.0
    assert burst_inflation([100], 100) == 1.0


def test_bursts_and_counts_are_reported():
    found = loss_interval([True, True, False, True] + [False] * 96)
    assert (found.lost, found.sent, found.bursts, found.longest_burst, found.mean_burst) == (3, 100, 2, 2, 1.5)
    assert found.few_bursts
    nothing = loss_interval([])
    assert (nothing.loss_pct, nothing.low_pct, nothing.method) == (None, None, None)


def test_fisher_agrees_with_its_definition():
    assert fisher_greater(8, 10, 1, 10) == pytest.approx((math.comb(10, 8) * 10 + 10) / math.comb(20, 9))
    assert fisher_greater(0, 500, 0, 50) == 1.0
    assert fisher_greater(5, 500, 0, 0) == 1.0


def test_bursty_and_random_loss_is_hardly_ever_called_a_limit():
    draw = random.Random(3)
    called = 0
    for rate in (0.02, 0.05, 0.1):
        for burst in (1.0001, 3, 10):
            for _ in range(80):
                line = train_with_bursts(draw, 500, rate, burst)
                other = train_with_bursts(draw, 50, rate, burst)
                called += rate_limit_chance(line, line[::10]) < 0.001
                called += rate_limit_chance(line, other) < 0.001
    assert called <= 7  # of 1440: half a percent


@pytest.mark.parametrize("passes_of_ten", [2, 5, 8])
def test_a_limit_that_spares_the_slow_train_is_called_one(passes_of_ten):
    train = [number % 10 >= passes_of_ten for number in range(1000)]
    assert rate_limit_chance(train, [False] * 100) < 0.001
    assert rate_limit_chance(train, []) is None
