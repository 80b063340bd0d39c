"""The 200-call trial: published values, the verdicts of the contract, and an error that looking does not inflate."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccp_assess.errors import TableError
from ccp_assess.trial import (
    CLASSES,
    TrialCall,
    _chance,
    beta_cdf,
    calls_for_pass,
    count_calls,
    exact_interval_pct,
    exact_lower_pct,
    exact_upper_pct,
    judge,
    plan,
    read_log,
    sequential_interval_pct,
    wilson_interval_pct,
)


def binomial_cdf(n: int, k: int, p: float) -> float:
    from math import comb

    return sum(comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1))


# Clopper-Pearson 95 %: the values of exact binomial tests printed in textbooks and by R's binom.test.
@pytest.mark.parametrize(
    ("calls", "failures", "low", "high"),
    [
        (10, 1, 0.2529, 44.5016),
        (20, 4, 5.7334, 43.6614),
        (100, 0, 0.0, 3.6217),
        (100, 10, 4.9005, 17.6223),
        (200, 4, 0.5475, 5.0414),
        (29, 1, 0.0873, 17.7644),
        (1, 1, 2.5, 100.0),
    ],
)
def test_exact_intervals_equal_published_ones(calls: int, failures: int, low: float, high: float) -> None:
    assert exact_interval_pct(calls, failures) == pytest.approx((low, high), abs=2e-4)


# R. G. Newcombe, Two-sided confidence intervals for the single proportion, Statistics in Medicine 17 (1998), table I.
@pytest.mark.parametrize(
    ("calls", "failures", "exact", "wilson"),
    [
        (263, 81, (25.27, 36.76), (25.53, 36.62)),
        (148, 15, (5.78, 16.17), (6.24, 16.05)),
        (20, 0, (0.0, 16.84), (0.0, 16.11)),
        (29, 1, (0.09, 17.76), (0.61, 17.18)),
    ],
)
def test_both_intervals_equal_newcombes_table(
    calls: int, failures: int, exact: tuple[float, float], wilson: tuple[float, float]
) -> None:
    assert exact_interval_pct(calls, failures) == pytest.approx(exact, abs=0.006)
    assert wilson_interval_pct(calls, failures) == pytest.approx(wilson, abs=0.006)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 400), st.data())
def test_bounds_invert_the_binomial_exactly(calls: int, data: st.DataObject) -> None:
    failures = data.draw(st.integers(0, calls))
    if failures < calls:
        upper = exact_upper_pct(calls, failures, 0.05) / 100
        assert binomial_cdf(calls, failures, upper) == pytest.approx(0.05, abs=1e-9)
    if failures > 0:
        lower = exact_lower_pct(calls, failures, 0.05) / 100
        assert 1 - binomial_cdf(calls, failures - 1, lower) == pytest.approx(0.05, abs=1e-9)


def test_the_incomplete_beta_is_that_of_the_binomial_far_out() -> None:
    assert beta_cdf(0.02, 5, 456 - 4) == pytest.approx(1 - binomial_cdf(456, 4, 0.02), abs=1e-12)
    assert beta_cdf(0.5, 3000, 3000) == pytest.approx(0.5, abs=1e-9)
    assert (beta_cdf(0, 2, 3), beta_cdf(1, 2, 3)) == (0, 1)


# The facts: only 0 errors in 200 calls show less than 2 %; 1 error needs 236 calls, 4 need 456.
@pytest.mark.parametrize(
    ("calls", "failures", "verdict", "needed"),
    [
        (200, 0, "undecided", 1),
        (201, 0, "pass", None),
        (235, 1, "undecided", 1),
        (236, 1, "pass", None),
        (200, 1, "undecided", 36),
        (455, 4, "undecided", 1),
        (456, 4, "pass", None),
        (150, 0, "undecided", 51),
        (200, 10, "fail", None),
        (1000, 20, "undecided", None),
    ],
)
def test_the_verdict_is_that_of_exact_one_sided_bounds(
    calls: int, failures: int, verdict: str, needed: int | None
) -> None:
    result = judge(calls, failures)
    assert result.verdict == verdict
    if needed is not None or verdict != "undecided":
        assert result.calls_needed == needed
    assert exact_upper_pct(200, 0, 0.05) == pytest.approx(1.487, abs=0.001)
    assert exact_upper_pct(200, 1, 0.05) == pytest.approx(2.35, abs=0.005)
    assert exact_upper_pct(200, 4, 0.05) == pytest.approx(4.52, abs=0.005)


@given(st.integers(0, 60))
def test_the_calls_still_needed_are_exactly_enough(failures: int) -> None:
    calls = calls_for_pass(failures)
    assert judge(calls, failures).verdict == "pass"
    assert judge(calls - 1, failures).verdict == "undecided"


def test_a_failing_trial_gets_the_advice_of_the_page() -> None:
    assert any("Option 2" in reason for reason in judge(200, 20).reasons)
    assert any("Option 2" in reason for reason in judge(100, 3).reasons)


def calls(**counts: int) -> list[TrialCall]:
    return [TrialCall(time="", call_class=name, outcome="ok") for name, number in counts.items() for _ in range(number)]


def test_a_pass_needs_a_tested_call_of_each_class() -> None:
    result = count_calls(calls(answer=299, conference=1))
    assert result.verdict == "undecided"
    assert result.calls_needed == 1
    assert any("transfer" in reason for reason in result.reasons)
    assert count_calls(calls(answer=298, conference=1, transfer=1)).verdict == "pass"


def test_a_log_is_counted_by_class_and_outcome(tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    file.write_text(
        "\ufefftime;Class;outcome\n2026-01-01T10:00:00Z;answer;ok\n;Transfer;dropped\n;conference;no_audio\n"
        ";answer;softphone error\n",
        encoding="utf-8",
    )
    result = count_calls(read_log(file))
    assert (result.calls, result.failures) == (4, 3)
    assert result.by_class["answer"] == {"calls": 2, "failures": 1}
    assert result.by_outcome == {"ok": 1, "softphone_error": 1, "dropped": 1, "no_audio": 1}
    assert set(result.to_document()) >= {"failure_rate_pct", "ci95_pct", "verdict", "calls_needed"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"time,class\n1,answer\n", "outcome"),
        (b"time,class,outcome\n1,answer,fine\n", "row 2, column outcome"),
        (b"time,class,outcome\n1,hold,ok\n", "row 2, column class"),
        (b"", "class"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"time,class,outcome\n1,answer,ok\n\xff", "UTF-8"),
    ],
)
def test_a_wrong_log_names_row_and_column(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "log.csv"
    file.write_bytes(content)
    with pytest.raises(TableError, match=words):
        read_log(file)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_log_is_read_as_spreadsheets_save_it(tmp_path: Path, encoding: str, separator: str) -> None:
    file = tmp_path / "log.csv"
    rows = ["# our trial", "", "Time,Class,Outcome", "2026-01-02 10:00,Answer,OK", "2026-01-02 10:05,transfer,dropped"]
    file.write_text("\r\n".join(rows).replace(",", separator), encoding=encoding)
    assert [(call.call_class, call.outcome) for call in read_log(file)] == [("answer", "ok"), ("transfer", "dropped")]


def test_a_call_that_two_witnesses_hold_counts_once_and_alike_rows_of_a_table_are_pointed_out() -> None:
    seen = TrialCall(time="2026-01-02T10:00:00.123Z", call_class="answer", outcome="ok")
    assert count_calls([seen, seen]).calls == 1
    typed = TrialCall(time="2026-01-02 10:00", call_class="answer", outcome="ok")
    result = count_calls([typed, typed, seen])
    assert result.calls == 3
    assert "1 calls are like another one" in result.reasons[-1]


def test_a_file_given_twice_counts_once(tmp_path: Path) -> None:
    rows = "".join(f"2026-01-02 10:{n % 60:02d},{CLASSES[n % 3]},ok\n" for n in range(150))
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(f"time,class,outcome\n{rows}", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "ccp_assess", "trial", "--log", "a.csv", "--log", "b.csv"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert done.stdout.startswith("UNDECIDED: 0 of 150 calls failed")
    assert done.stderr == "b.csv holds just what a.csv does; it was left out.\n"


def test_an_empty_log_and_impossible_counts_are_refused() -> None:
    with pytest.raises(TableError, match="no call"):
        count_calls([])
    for n, k in ((0, 0), (-1, 0), (5, 6), (5, -1)):
        with pytest.raises(TableError):
            judge(n, k)


def test_a_plan_reaches_its_power_and_no_smaller_one_does() -> None:
    planned = plan(0.5)
    assert (planned.calls, planned.most_failures, planned.expects) == (386, 3, "pass")
    assert binomial_cdf(386, 3, 0.005) >= 0.8
    assert judge(386, 3).verdict == "pass"
    for smaller in range(201, 386):
        most = max((k for k in range(9) if judge(smaller, k).verdict == "pass"), default=None)
        assert most is None or binomial_cdf(smaller, most, 0.005) < 0.8
    failing = plan(5.0)
    assert failing.expects == "fail"
    assert judge(failing.calls, failing.most_failures).verdict == "fail"
    assert _chance(failing.calls, failing.most_failures, 0.05, passes=False) >= 0.8


@pytest.mark.parametrize("rate", [2.0, 2.001, 1.999, -1.0, 101.0])
def test_a_plan_that_cannot_decide_says_so(rate: float) -> None:
    with pytest.raises(TableError):
        plan(rate)


def test_looking_often_does_not_inflate_the_error_of_the_sequential_test() -> None:
    """At a true rate of exactly 2 % a look after each of 600 calls ends in pass or fail in 5 % of trials at most."""
    dice = random.Random(7)
    wrong = {"sequential": 0, "fixed": 0}
    bounds = {(n, k): sequential_interval_pct(n, k) for n in range(1, 601) for k in range(min(n, 40) + 1) if n % 5 == 0}
    fixed = {n: (calls_limit(n, low=True), calls_limit(n, low=False)) for n in range(5, 601, 5)}
    for _ in range(400):
        failures, out = 0, set()
        for n in range(1, 601):
            failures += dice.random() < 0.02
            if n % 5 or failures > 40:
                continue
            low, high = bounds[n, failures]
            if low > 2 or high < 2:
                out.add("sequential")
            if failures >= fixed[n][0] or failures <= fixed[n][1]:
                out.add("fixed")
        for name in out:
            wrong[name] += 1
    assert wrong["sequential"] <= 0.05 * 400
    assert wrong["fixed"] > 0.10 * 400  # which is why the fixed bounds must not be looked at again and again


def calls_limit(n: int, *, low: bool) -> int:
    if low:
        return next(k for k in range(1, n + 2) if k > n or exact_lower_pct(n, k, 0.05) > 2)
    return max((k for k in range(n) if k < 30 and exact_upper_pct(n, k, 0.05) < 2), default=-1)


def test_the_sequential_verdict_needs_more_calls_than_the_fixed_one() -> None:
    assert calls_for_pass(0, sequential=True) > calls_for_pass(0)
    assert judge(250, 0, sequential=True).verdict == "undecided"
    assert judge(calls_for_pass(0, sequential=True), 0, sequential=True).verdict == "pass"
    assert "Robbins" in judge(10, 0, sequential=True).method
