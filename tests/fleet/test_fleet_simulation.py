"""The simulation of runs against what is known of such schedules without simulating them."""

import math
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks.fleet_forecast import draw_units
from benchmarks.fleet_simulation import GIVE_UP, STEAL_S, Rates, parts_of, simulate

GB = 10**9
PLAIN = Rates(s_per_byte=1e-8)
SIZES = st.lists(st.integers(1, 10 * GB), min_size=1, max_size=40)


@given(SIZES)
def test_one_worker_takes_the_sum(units: list[int]) -> None:
    rates = Rates(s_per_byte=1e-8, task_s=0.5, plan_s=3.0, plan_s_per_unit=0.01)
    expected = 3.0 + 0.51 * len(units) + sum(units) * 1e-8
    assert simulate(units, [1.0], rates).wall_s == pytest.approx(expected)


@pytest.mark.parametrize(("units", "workers", "rounds"), [(12, 4, 3), (13, 4, 4), (3, 8, 1)])
def test_equal_units_take_as_many_rounds_as_there_must_be(units: int, workers: int, rounds: int) -> None:
    assert simulate([GB] * units, [1.0] * workers, PLAIN).wall_s == pytest.approx(rounds * 10.0)


@given(SIZES, st.integers(1, 9))
def test_no_schedule_is_better_than_the_bounds_or_worse_than_graham_says(units: list[int], workers: int) -> None:
    """Who takes the next unit when free is done by (sum - longest) / m + longest (R. L. Graham, 1966)."""
    outcome = simulate(units, [1.0] * workers, PLAIN)
    work, longest = sum(units) * 1e-8, max(units) * 1e-8
    pairs = sorted(units, reverse=True)[workers - 1 : workers + 1]
    two_on_one = sum(pairs) * 1e-8 if len(pairs) == 2 else 0.0  # the m-th and the next cannot all be apart
    best = max(work / workers, longest, two_on_one)
    assert best <= outcome.wall_s * (1 + 1e-9)
    assert outcome.wall_s <= (work - longest) / workers + longest + 1e-6
    assert outcome.busy_s == pytest.approx(work)


def test_a_known_schedule_comes_out() -> None:
    """Graham's worst case for two machines: 3, 3, 2, 2, 2 takes 7 where 6 is best."""
    assert simulate([3 * GB, 3 * GB, 2 * GB, 2 * GB, 2 * GB], [1.0, 1.0], PLAIN).wall_s == pytest.approx(70.0)


@given(st.integers(1, 10 * GB), st.integers(10**6, GB))
def test_parts_of_a_unit_add_up_to_it(size: int, part_bytes: int) -> None:
    parts = parts_of(size, part_bytes)
    assert sum(parts) == pytest.approx(size)
    assert all(0 < part <= part_bytes for part in parts)
    assert len(parts) == math.ceil(size / part_bytes)


def test_parts_of_one_unit_follow_each_other_and_cannot_be_shared() -> None:
    outcome = simulate([10 * GB], [1.0] * 8, Rates(s_per_byte=1e-8, task_s=1.0), part_bytes=GB)
    assert outcome.wall_s == pytest.approx(110.0)
    assert outcome.bottleneck == "the longest unit"


def test_a_killed_worker_costs_the_part_that_it_read_and_no_more() -> None:
    rates = Rates(s_per_byte=1e-8, restart_s=5.0)
    whole = simulate([10 * GB], [1.0], rates, kills=[(95.0, 0)])
    assert (whole.wall_s, whole.lost_s, whole.deaths) == (pytest.approx(200.0), pytest.approx(95.0), 1)
    parts = simulate([10 * GB], [1.0], rates, part_bytes=GB, kills=[(95.0, 0)])
    assert (parts.wall_s, parts.lost_s, parts.deaths) == (pytest.approx(110.0), pytest.approx(5.0), 1)


def test_what_a_worker_held_when_it_died_once_too_often_is_given_up_and_the_rest_goes_on() -> None:
    """Dask counts a death against all that its worker had, what it did and what it was to do next."""
    kills = [(moment, 0) for moment in (5.0, 15.0, 25.0, 35.0, 45.0)]
    outcome = simulate([2 * GB, GB, GB // 2, GB // 4], [1.0], PLAIN, kills=kills)
    assert (outcome.deaths, outcome.given_up) == (GIVE_UP, 2)
    assert {attempt.unit for attempt in outcome.attempts if attempt.is_done} == {2, 3}


def test_another_worker_takes_over_what_a_dead_one_had() -> None:
    outcome = simulate([4 * GB], [1.0, 1.0], Rates(s_per_byte=1e-8, restart_s=1000.0), kills=[(30.0, 0)])
    assert outcome.wall_s == pytest.approx(70.0)


def test_random_deaths_cost_what_they_must_on_average() -> None:
    """Units begun anew after every death: (exp(r x) - 1) / r is the mean time of one of length x at rate r."""
    rate_per_s, length_s = 20 / 3600, 100.0
    units = [int(length_s * 1e8)] * 400
    outcomes = [simulate(units, [1.0], PLAIN, deaths_per_hour=20, seed=seed) for seed in range(20)]
    done = [len(units) - outcome.given_up for outcome in outcomes]
    mean = sum(outcome.wall_s for outcome in outcomes) / sum(done)
    assert mean == pytest.approx(math.expm1(rate_per_s * length_s) / rate_per_s, rel=0.03)


def test_the_store_and_the_one_who_hands_out_are_bounds_too() -> None:
    store = simulate([GB] * 100, [1.0] * 10, Rates(s_per_byte=1e-8, store_bytes_per_s=2.5e8))
    assert store.bottleneck == "the store"
    assert store.wall_s == pytest.approx(400.0, rel=0.06)
    hand_out = simulate([10**6] * 1000, [1.0] * 50, Rates(s_per_byte=1e-8, hand_out_s=0.1))
    assert hand_out.bottleneck == "handing out"
    assert hand_out.wall_s == pytest.approx(100.0, rel=0.01)


def test_a_slow_machine_holds_up_the_end_only() -> None:
    even = simulate([GB] * 100, [1.0] * 9 + [0.25], PLAIN)
    assert 100 * 10.0 / 9.25 <= even.wall_s <= 100 * 10.0 / 9.25 + 40.0


def test_sizes_that_are_drawn_add_up_and_are_the_same_for_a_seed() -> None:
    units = draw_units(100 * GB, 5e8, spread=1.0, seed=3)
    assert len(units) == 200
    assert sum(units) == pytest.approx(100 * GB, rel=1e-6)
    assert units == draw_units(100 * GB, 5e8, spread=1.0, seed=3)


def test_the_tables_of_a_unit_are_made_with_its_last_part_and_its_state_goes_from_part_to_part() -> None:
    rates = Rates(s_per_byte=1e-8, finish_s_per_byte=0.5e-8, carry_s_per_byte=0.1e-8, task_s=1.0)
    outcome = simulate([3 * GB], [1.0], rates, part_bytes=GB)
    took = [attempt.end_s - attempt.begin_s for attempt in outcome.attempts]
    assert took == pytest.approx([1 + 10 + 1, 1 + 10 + 1 + 2, 1 + 10 + 2 + 15])


def test_workers_in_each_others_way_work_slower_while_they_are() -> None:
    rates = Rates(s_per_byte=1e-8, slowdown=(1.0, 0.75))
    assert simulate([GB, GB], [1.0, 1.0], rates).wall_s == pytest.approx(10 / 0.75)
    assert simulate([3 * GB, GB], [1.0, 1.0], rates).wall_s == pytest.approx(10 / 0.75 + 20)


@given(st.floats(0.01, 5.0))
def test_a_worker_that_is_stopped_half_the_time_takes_twice_as_long(period_s: float) -> None:
    changes = [(period_s * n, 0, float(n % 2)) for n in range(int(60 / period_s) + 2)]
    wall_s = simulate([2 * GB], [1.0], PLAIN, changes=changes).wall_s
    assert 40.0 - period_s <= wall_s <= 40.0 + period_s + 1e-6


def test_who_has_nothing_takes_what_another_one_holds() -> None:
    """Four are out: 10 s and 3 s, and behind them 3 s and 0.1 s; the third waits behind the first until one looks."""
    sizes = [10 * GB // 10, 3 * GB // 10, 3 * GB // 10 - 1, GB // 100]
    for seed in range(10):
        outcome = simulate(sizes, [1.0, 1.0], PLAIN, seed=seed)
        assert outcome.wall_s == pytest.approx(10.0)
        third = next(attempt for attempt in outcome.attempts if attempt.unit == 2)
        assert 3.1 <= third.begin_s <= 3.1 + 2 * STEAL_S


def test_merging_comes_last_and_is_shared() -> None:
    rates = Rates(s_per_byte=1e-8, merge_s_per_unit=(1.0, 0.5, 0.5), merge_s_per_byte=(1e-9, 0.0, 0.0), end_s=0.25)
    outcome = simulate([GB, GB], [1.0, 1.0], rates)
    assert outcome.wall_s == pytest.approx(10.0 + 4.0 + 0.25)
    assert [attempt.unit for attempt in outcome.attempts][:2] == [0, 1]
    assert {attempt.unit for attempt in outcome.attempts[2:]} == {-1}


def test_a_worker_that_comes_back_begins_cold() -> None:
    rates = Rates(s_per_byte=1e-8, restart_s=5.0, cold_s=2.0)
    assert simulate([GB], [1.0], rates, kills=[(4.0, 0)]).wall_s == pytest.approx(4 + 5 + 2 + 10)


def test_tasks_that_differ_by_chance_take_as_long_on_average() -> None:
    walls = [simulate([GB] * 50, [1.0], PLAIN, spread=0.1, seed=seed).wall_s for seed in range(40)]
    assert sum(walls) / len(walls) == pytest.approx(500.0 * math.exp(0.005), rel=0.01)


def test_nothing_stands_before_the_next_part_of_a_recording_that_decides_the_end() -> None:
    """Ten parts in a row on one worker, eight units on the other one meanwhile."""
    outcome = simulate([10 * GB, *[GB] * 8], [1.0, 1.0], PLAIN, part_bytes=GB)
    assert outcome.wall_s == pytest.approx(100.0)
    assert {attempt.worker for attempt in outcome.attempts if attempt.unit == 0} == {0}
