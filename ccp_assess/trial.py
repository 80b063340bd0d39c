"""The trial of more than 200 calls that AWS's networking page asks for: from outcomes to a verdict with its confidence.

A fixed sample is judged by exact one-sided bounds. Looking again and again at a growing log would inflate the error of
such bounds, so a log that is still growing is judged by a sequential test: a confidence sequence, valid at every look.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from ccp_assess.csvtext import Row, read_rows
from ccp_assess.errors import TableError

Verdict = Literal["pass", "fail", "undecided"]
Outcome = Literal["ok", "softphone_error", "dropped", "no_audio"]

LIMIT_PCT = 2.0
"""Above this error rate AWS's page suspects the proxy's name resolution [%]."""

MIN_CALLS = 200
"""A pass needs more than this many calls (AWS's page)."""

CONFIDENCE = 0.95

CLASSES = ("answer", "conference", "transfer")
"""What the page asks to test."""

UNKNOWN_CLASS = "unknown"
"""A call that counts in the rate but shows none of the classes as tested."""

OUTCOMES = ("ok", "softphone_error", "dropped", "no_audio")

ADVICE = (
    "More than 2 % of the calls fail: look at the proxy's name resolution first, then consider Option 2 (allow address "
    "blocks)."
)


def beta_cdf(x: float, a: float, b: float) -> float:
    """Evaluate the regularised incomplete beta function.

    Parameters
    ----------
    x
        From 0 to 1 [unitless].
    a, b
        Positive shape parameters [unitless].

    Returns
    -------
    probability
        I_x(a, b) [unitless].

    References
    ----------
    .. [1] W. J. Lentz, Generating Bessel functions in Mie scattering calculations using continued fractions,
       Applied Optics 15 (1976): the evaluation of continued fractions.
    .. [2] NIST Digital Library of Mathematical Functions, 8.17.22: the continued fraction.

    Examples
    --------
    >>> round(beta_cdf(0.5, 2, 3), 4)
    0.6875
    """
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast below this point only
        return 1.0 - beta_cdf(1 - x, b, a)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    tiny = 1e-300
    c, d = 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d if abs(d) > tiny else tiny)
    value = d
    for m in range(1, 100_000):
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 + step * d
            d = 1 / (d if abs(d) > tiny else tiny)
            c = 1 + step / c
            c = c if abs(c) > tiny else tiny
            value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return math.exp(log_front) * value / a


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Bisect a function that rises from below to above 0; about 1e-16 wide in the end."""
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if function(middle) < 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def exact_lower_pct(calls: int, failures: int, alpha: float) -> float:
    """Return the exact lower bound of a failure rate that is wrong with probability alpha at most.

    Parameters
    ----------
    calls, failures
        What was seen (counts).
    alpha
        One-sided error [unitless].

    Returns
    -------
    bound
        Clopper-Pearson bound [%].

    References
    ----------
    .. [1] C. J. Clopper, E. S. Pearson, The use of confidence or fiducial limits illustrated in the case of the
       binomial, Biometrika 26 (1934).

    Examples
    --------
    >>> round(exact_lower_pct(10, 1, 0.025), 4)
    0.2529
    """
    if failures == 0:
        return 0.0
    return 100 * _root(lambda p: beta_cdf(p, failures, calls - failures + 1) - alpha, 0.0, 1.0)


def exact_upper_pct(calls: int, failures: int, alpha: float) -> float:
    """Return the exact upper bound of a failure rate that is wrong with probability alpha at most.

    Parameters
    ----------
    calls, failures
        What was seen (counts).
    alpha
        One-sided error [unitless].

    Returns
    -------
    bound
        Clopper-Pearson bound [%].

    Examples
    --------
    >>> round(exact_upper_pct(200, 0, 0.05), 2)
    1.49
    """
    if failures == calls:
        return 100.0
    return 100 * _root(lambda p: beta_cdf(p, failures + 1, calls - failures) - (1 - alpha), 0.0, 1.0)


def exact_interval_pct(calls: int, failures: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the exact two-sided (Clopper-Pearson) interval of a failure rate.

    Parameters
    ----------
    calls, failures
        What was seen (counts).
    confidence
        Such as 0.95 [unitless].

    Returns
    -------
    interval
        Lower and upper bound [%].

    Examples
    --------
    >>> [round(bound, 2) for bound in exact_interval_pct(20, 4)]
    [5.73, 43.66]
    """
    half = (1 - confidence) / 2
    return exact_lower_pct(calls, failures, half), exact_upper_pct(calls, failures, half)


def wilson_interval_pct(calls: int, failures: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Return Wilson's score interval of a failure rate.

    Parameters
    ----------
    calls, failures
        What was seen (counts).
    z
        Quantile of the normal distribution; 1.96 for 95 % [unitless].

    Returns
    -------
    interval
        Lower and upper bound [%].

    References
    ----------
    .. [1] E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927).

    Examples
    --------
    >>> [round(bound, 2) for bound in wilson_interval_pct(20, 4)]
    [8.07, 41.6]
    """
    rate, square = failures / calls, z * z
    middle = (rate + square / (2 * calls)) / (1 + square / calls)
    half = z / (1 + square / calls) * math.sqrt(rate * (1 - rate) / calls + square / (4 * calls * calls))
    return 100 * max(0.0, middle - half), 100 * min(1.0, middle + half)


def sequential_interval_pct(calls: int, failures: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return an interval that holds at every look at a growing log at once (a confidence sequence).

    The likelihood mixed over all rates (Jeffreys' prior, Beta(½, ½)) is set against each single rate; by Ville's
    inequality the true rate is ever ruled out with probability 1 - confidence at most, however often one looks.

    Parameters
    ----------
    calls, failures
        What was seen so far (counts).
    confidence
        Such as 0.95 [unitless].

    Returns
    -------
    interval
        Lower and upper bound [%]; wider than the exact interval of a fixed sample.

    References
    ----------
    .. [1] H. Robbins, Statistical methods related to the law of the iterated logarithm, Ann. Math. Stat. 41 (1970):
       the method of mixtures.
    .. [2] J. Ville, Étude critique de la notion de collectif (1939): the inequality.
    """
    good = calls - failures
    # log of B(k + 1/2, n - k + 1/2) / B(1/2, 1/2): the mixed likelihood of this very sequence
    mixed = math.lgamma(failures + 0.5) + math.lgamma(good + 0.5) - math.lgamma(calls + 1) - math.log(math.pi)
    bar = math.log(1 / (1 - confidence))

    def excess(p: float) -> float:
        single = (failures * math.log(p) if failures else 0.0) + (good * math.log1p(-p) if good else 0.0)
        return mixed - single - bar

    seen = failures / calls
    low = 0.0 if failures == 0 else _root(lambda p: -excess(p), 1e-300, seen)
    high = 1.0 if good == 0 else _root(excess, max(seen, 1e-300), math.nextafter(1.0, 0.0))
    return 100 * low, 100 * high


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialResult:
    """The verdict on a trial.

    Parameters
    ----------
    calls, failures
        What was seen (counts).
    failure_rate_pct
        Failures per call [%].
    ci95_pct
        Exact two-sided interval [%].
    wilson95_pct
        Wilson's interval [%].
    sequential95_pct
        Interval that holds at every look [%].
    verdict
        ``pass``, ``fail`` or ``undecided``.
    calls_needed
        Further calls until a pass, if none of them fails; ``None`` where a pass or fail stands.
    method
        Which rule gave the verdict.
    reasons
        Sentences: why, what is untested, what to do.
    by_class
        Calls and failures per class of call; empty if only sums are known.
    by_outcome
        Calls per outcome; empty if only sums are known.
    """

    calls: int
    failures: int
    failure_rate_pct: float
    ci95_pct: tuple[float, float]
    wilson95_pct: tuple[float, float]
    sequential95_pct: tuple[float, float]
    verdict: Verdict
    calls_needed: int | None
    method: str
    reasons: tuple[str, ...]
    by_class: dict[str, dict[str, int]] = field(default_factory=dict)
    by_outcome: dict[str, int] = field(default_factory=dict)

    def to_document(self) -> dict[str, Any]:
        """Return the JSON of the contract."""
        return {
            "failure_rate_pct": self.failure_rate_pct,
            "ci95_pct": list(self.ci95_pct),
            "verdict": self.verdict,
            "calls_needed": self.calls_needed,
            "calls": self.calls,
            "failures": self.failures,
            "wilson95_pct": list(self.wilson95_pct),
            "sequential95_pct": list(self.sequential95_pct),
            "method": self.method,
            "reasons": list(self.reasons),
            "by_class": self.by_class,
            "by_outcome": self.by_outcome,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialCall:
    """One call of a trial.

    Parameters
    ----------
    time
        As in the log.
    call_class
        ``answer``, ``conference`` or ``transfer``; ``unknown`` where nothing tells it.
    outcome
        ``ok``, ``softphone_error``, ``dropped`` or ``no_audio``.
    """

    time: str
    call_class: str
    outcome: str


FIXED = "fixed sample: exact one-sided 95 % bounds (Clopper-Pearson)"
SEQUENTIAL = "sequential: confidence sequence by the method of mixtures (Robbins 1970), 95 % at every look"


def judge(
    calls: int,
    failures: int,
    *,
    sequential: bool = False,
    by_class: dict[str, dict[str, int]] | None = None,
    by_outcome: dict[str, int] | None = None,
) -> TrialResult:
    """Judge a trial: may the error rate be called below 2 %, or must it be called above.

    Parameters
    ----------
    calls, failures
        What was seen (counts).
    sequential
        The log is looked at while it grows: bounds that hold at every look.
    by_class
        ``{"answer": {"calls": 1, "failures": 0}, …}``; given, a pass needs a tested call of each class.
    by_outcome
        Calls per outcome.

    Returns
    -------
    result
        Verdict, intervals, and how many calls are still needed.

    Raises
    ------
    TableError
        If the counts contradict each other.

    Examples
    --------
    >>> judge(201, 0).verdict, judge(200, 0).verdict, judge(200, 0).calls_needed
    ('pass', 'undecided', 1)
    """
    if calls < 1 or not 0 <= failures <= calls:
        raise TableError(f"{failures} failures in {calls} calls: at least one call and no more failures than calls")
    low, high = _bounds(calls, failures, sequential=sequential)
    untested = [name for name in CLASSES if by_class is not None and not by_class.get(name, {}).get("calls")]
    reasons = []
    verdict: Verdict = "undecided"
    if low > LIMIT_PCT:
        verdict = "fail"
        reasons += [f"The failure rate is above {LIMIT_PCT:g} %: its lower bound is {low:.2f} %.", ADVICE]
    elif high < LIMIT_PCT and calls > MIN_CALLS and not untested:
        verdict = "pass"
        reasons.append(f"The failure rate is below {LIMIT_PCT:g} %: its upper bound is {high:.2f} %.")
        if by_class is None:
            reasons.append(
                "Counts alone do not show whether answer, conference and transfer were all tested: use --log."
            )
    else:
        if high >= LIMIT_PCT:
            reasons.append(f"The upper bound of the failure rate is {high:.2f} %, not below {LIMIT_PCT:g} %.")
        if calls <= MIN_CALLS:
            reasons.append(f"AWS asks for more than {MIN_CALLS} calls; {calls} were made.")
        if untested:
            reasons.append(f"Untested: {', '.join(untested)}. Each needs at least one call.")
            unknown = (by_class or {}).get(UNKNOWN_CLASS, {}).get("calls", 0)
            if unknown:
                reasons.append(
                    f"Calls of unknown class: {unknown}. Captures do not show the class; name it with --class, or log "
                    "the calls in a CSV."
                )
        if 100 * failures / calls > LIMIT_PCT:
            reasons.append(ADVICE)
    return TrialResult(
        calls=calls,
        failures=failures,
        failure_rate_pct=100 * failures / calls,
        ci95_pct=exact_interval_pct(calls, failures),
        wilson95_pct=wilson_interval_pct(calls, failures),
        sequential95_pct=sequential_interval_pct(calls, failures),
        verdict=verdict,
        calls_needed=max(calls_for_pass(failures, sequential=sequential) - calls, len(untested))
        if verdict == "undecided"
        else None,
        method=SEQUENTIAL if sequential else FIXED,
        reasons=tuple(reasons),
        by_class=by_class or {},
        by_outcome=by_outcome or {},
    )


def _bounds(calls: int, failures: int, *, sequential: bool) -> tuple[float, float]:
    if sequential:
        return sequential_interval_pct(calls, failures)
    return exact_lower_pct(calls, failures, 1 - CONFIDENCE), exact_upper_pct(calls, failures, 1 - CONFIDENCE)


def calls_for_pass(failures: int, *, sequential: bool = False) -> int:
    """Return the smallest trial that passes with this many failures.

    Parameters
    ----------
    failures
        Failed calls (count).
    sequential
        By the sequential bound.

    Returns
    -------
    calls
        In all, more than 200 (count).

    Examples
    --------
    >>> calls_for_pass(0), calls_for_pass(1), calls_for_pass(4)
    (201, 236, 456)
    """

    def passes(calls: int) -> bool:  # the bound falls with every call that does not fail
        if sequential:
            return sequential_interval_pct(calls, failures)[1] < LIMIT_PCT
        # upper bound < 2 %  ⇔  P(X ≤ failures | 2 %) < 5 %: one evaluation instead of a root
        return 1.0 - beta_cdf(LIMIT_PCT / 100, failures + 1, calls - failures) < 1 - CONFIDENCE

    low = high = max(MIN_CALLS + 1, failures + 1)
    while not passes(high):
        low, high = high, high * 2
    return _first(passes, low, high)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialPlan:
    """How many calls tell a true failure rate from 2 %.

    Parameters
    ----------
    true_rate_pct
        The rate that is believed [%].
    power_pct
        Chance that the trial decides, if that is the true rate [%].
    calls
        Calls needed (count).
    most_failures
        With this many failures or fewer it passes; for rates above 2 % with this many or more it fails (count).
    expects
        ``pass`` or ``fail``.
    """

    true_rate_pct: float
    power_pct: float
    calls: int
    most_failures: int
    expects: Verdict

    def to_document(self) -> dict[str, Any]:
        """Return the plan as JSON."""
        return {
            "true_rate_pct": self.true_rate_pct,
            "power_pct": self.power_pct,
            "calls": self.calls,
            "failures_limit": self.most_failures,
            "expects": self.expects,
            "method": FIXED,
        }


MOST_FAILURES_PLANNED = 1000
"""A plan that allows for more failed calls than this is no plan any more (about 50,000 calls)."""


def plan(true_rate_pct: float, power_pct: float = 80.0) -> TrialPlan:
    """Plan a trial: how many calls until a true rate is told from 2 % with the wanted chance.

    Parameters
    ----------
    true_rate_pct
        The rate that is believed [%].
    power_pct
        Wanted chance that the trial decides [%].

    Returns
    -------
    plan
        The smallest trial with that chance.

    Raises
    ------
    TableError
        If the rate is 2 % itself or so near that no reasonable trial decides.

    Examples
    --------
    >>> plan(0.5).calls
    386
    """
    if not 0 <= true_rate_pct <= 100 or not 0 < power_pct < 100:
        raise TableError("the true rate must be from 0 to 100 % and the power between 0 and 100 %")
    rate, wanted = true_rate_pct / 100, power_pct / 100
    passes = true_rate_pct < LIMIT_PCT
    for failures in range(0 if passes else 1, MOST_FAILURES_PLANNED):
        # For each number of failures only one trial is worth a look: the smallest that passes with it (or the
        # largest that fails with it); there the chance is highest.
        calls = calls_for_pass(failures) if passes else _largest_failing(failures)
        if _chance(calls, failures, rate, passes=passes) < wanted:
            continue
        if not passes:
            calls = _first(partial(_decides, failures, rate, wanted), failures, calls)
        return TrialPlan(
            true_rate_pct=true_rate_pct,
            power_pct=power_pct,
            calls=calls,
            most_failures=failures,
            expects="pass" if passes else "fail",
        )
    raise TableError(f"{true_rate_pct:g} % is too near to {LIMIT_PCT:g} %: no trial of tolerable length decides it")


def _decides(failures: int, rate: float, wanted: float, calls: int) -> bool:
    return _chance(calls, failures, rate, passes=False) >= wanted


def _first(holds: Callable[[int], bool], low: int, high: int) -> int:
    """Return the smallest number for which something holds that holds for every larger one, too; high holds."""
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return high


def _largest_failing(failures: int) -> int:
    """Return the largest trial whose lower bound is above 2 % with this many failures."""
    alpha, p = 1 - CONFIDENCE, LIMIT_PCT / 100
    # lower bound > 2 %  ⇔  P(X ≥ failures | 2 %) < 5 %
    above = _first(lambda n: beta_cdf(p, failures, n - failures + 1) >= alpha, failures, math.ceil(failures / p) + 100)
    return max(above - 1, failures)


def _chance(calls: int, failures: int, rate: float, *, passes: bool) -> float:
    """Chance that a trial has at most (``passes``) or at least this many failures."""
    if passes:
        return 1.0 - beta_cdf(rate, failures + 1, calls - failures)
    return beta_cdf(rate, failures, calls - failures + 1)


def count_calls(calls: Iterable[TrialCall], *, sequential: bool = False) -> TrialResult:
    """Judge the calls of a log.

    Parameters
    ----------
    calls
        One entry per call.
    sequential
        The log is looked at while it grows.

    Returns
    -------
    result
        With counts per class and outcome.

    Raises
    ------
    TableError
        If there is no call.
    """
    listed = _once(calls)
    if not listed:
        raise TableError("no call to judge; a CSV needs one row per call with time, class and outcome")
    by_class = {
        name: {
            "calls": sum(call.call_class == name for call in listed),
            "failures": sum(call.call_class == name and call.outcome != "ok" for call in listed),
        }
        for name in (*CLASSES, UNKNOWN_CLASS)
        if name in CLASSES or any(call.call_class == name for call in listed)
    }
    by_outcome = {name: sum(call.outcome == name for call in listed) for name in OUTCOMES}
    failures = len(listed) - by_outcome["ok"]
    result = judge(len(listed), failures, sequential=sequential, by_class=by_class, by_outcome=by_outcome)
    timed = [call for call in listed if call.time]
    alike = len(timed) - len(set(timed))
    if not alike:
        return result
    told = f"{alike} calls are like another one in time, class and outcome: if they are the same, remove them."
    return replace(result, reasons=(*result.reasons, told))


def _once(calls: Iterable[TrialCall]) -> list[TrialCall]:
    """Take a call that two agent logs or captures hold once: no two begin in the same fraction of a second."""
    seen: set[TrialCall] = set()
    kept = []
    for call in calls:
        if "." not in call.time or call not in seen:
            kept.append(call)
        seen.add(call)
    return kept


def read_log(path: str | Path) -> tuple[TrialCall, ...]:
    """Read a log of trial calls.

    Parameters
    ----------
    path
        CSV with ``time, class, outcome``, as :func:`ccp_assess.csvtext.read_rows` understands it. A plan of test calls
        is such a log: its calls that were not made yet are left out.

    Returns
    -------
    calls
        In the order of the file.

    Raises
    ------
    TableError
        Naming file, row and column.
    """
    rows = read_rows(Path(path), name=str(path), required=("class", "outcome"))
    is_plan = bool(rows) and "kind" in rows[0].cells  # of test calls: those that were not made yet do not count
    return tuple(_logged(row) for row in rows if not is_plan or row.cells.get("outcome", "").strip())


def _logged(row: Row) -> TrialCall:
    def cell(column: str, allowed: Sequence[str]) -> str:
        value = row.cells.get(column, "").strip().lower().replace(" ", "_").replace("-", "_")
        if value not in allowed:
            raise row.wrong(column, f"{value[:40]!r} is none of {', '.join(allowed)}")
        return value

    return TrialCall(
        time=row.cells.get("time", "").strip(), call_class=cell("class", CLASSES), outcome=cell("outcome", OUTCOMES)
    )
