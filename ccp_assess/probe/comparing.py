"""Two paths compared by paired rounds: the difference, its interval, and "no evidence" where the interval spans zero.

The unit is the round, not the packet: packets of one round share their fate, and an interval from thousands of packets
would be far too narrow. Rounds are paired by their time, so that the busy hour hits both sides alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np

from ccp_assess.probe.monitoring import round_trip_ms

FEWEST_PAIRS = 6
"""With fewer pairs even a difference of the same sign in all of them happens by chance in over 3 % of cases (2/2ⁿ)."""
RESAMPLES = 4000
LONGEST_GAP_S = 300.0
"""Rounds that lie further apart are no pair [s]."""

Region = Mapping[str, Any]
Metric = Callable[[Region], float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One metric towards one Region over two paths.

    Parameters
    ----------
    region_code
        The Region.
    metric
        ``rtt_ms``, ``loss_pct``, ``jitter_ms`` or ``connect_ms``.
    difference
        Median over the pairs of A minus B (mean for losses), in the metric's unit; ``None`` without a pair.
    ci95
        Bootstrapped interval of it; ``(None, None)`` where there are too few pairs.
    verdict
        ``a`` or ``b``: which path is better (lower); ``no_evidence`` if the interval holds zero or is unknown.
    pairs
        Rounds compared (count).
    note
        Why there is no interval, or what differs in the way of measuring; ``None`` if there is nothing to say.
    """

    region_code: str | None
    metric: str
    difference: float | None
    ci95: tuple[float | None, float | None]
    verdict: Literal["a", "b", "no_evidence"]
    pairs: int
    note: str | None = None

    def to_document(self) -> dict[str, Any]:
        """Return the contract's row."""
        return {
            "region_code": self.region_code,
            "metric": self.metric,
            "difference": self.difference,
            "ci95": list(self.ci95),
            "verdict": self.verdict,
            "pairs": self.pairs,
            "note": self.note,
        }


def _train(name: str) -> Metric:
    return lambda region: (region.get("train") or {}).get(name)


def _connect_ms(region: Region) -> float | None:
    times = [row["connect_ms"] for row in region.get("tcp") or () if isinstance(row.get("connect_ms"), int | float)]
    return min(times, default=None)


_OTHER_MEANS = "Some rounds were timed by STUN on one side and by TCP on the other; these are no pairs."
RATES = frozenset({"loss_pct"})
"""Zero in most rounds: their mean is compared, since the median would hide what only some rounds suffer."""

METRICS: dict[str, Metric] = {
    "rtt_ms": round_trip_ms,
    "loss_pct": _train("loss_pct"),
    "jitter_ms": _train("jitter_ms"),
    "connect_ms": _connect_ms,
}


def compare_rounds(
    a: Sequence[Mapping[str, Any]], b: Sequence[Mapping[str, Any]], *, seed: int = 1
) -> tuple[Comparison, ...]:
    """Compare two paths, Region by Region.

    Parameters
    ----------
    a, b
        Probe documents of the two paths.
    seed
        Of the resampling, so that the same files give the same numbers.

    Returns
    -------
    comparisons
        One for each Region and each metric that both sides measured.
    """
    pairs = pair_rounds(a, b)
    codes = list(dict.fromkeys(code for _, one in pairs for code in one))
    generator = np.random.default_rng(seed)
    found = []
    for code in codes:
        both = [(left[code], right[code]) for left, right in pairs if code in left and code in right]
        for name, metric in METRICS.items():
            alike = [pair for pair in both if name != "rtt_ms" or pair[0].get("via") == pair[1].get("via")]
            values = [(metric(left), metric(right)) for left, right in alike]
            known = [(x, y) for x, y in values if x is not None and y is not None]
            if known or (name == "rtt_ms" and both):
                note = _OTHER_MEANS if len(alike) < len(both) else None
                found.append(_compared(code, name, known, note, generator))
    return tuple(found)


def pair_rounds(
    a: Sequence[Mapping[str, Any]], b: Sequence[Mapping[str, Any]]
) -> list[tuple[dict[Any, Region], dict[Any, Region]]]:
    """Pair the rounds of two paths by time: each with the nearest one of the other path, none twice.

    Parameters
    ----------
    a, b
        Probe documents.

    Returns
    -------
    pairs
        Regions by code of either side.
    """
    left, right = _timed(a), _timed(b)
    gaps = sorted(
        (abs(x - y), i, j)
        for i, (x, _) in enumerate(left)
        for j, (y, _) in enumerate(right)
        if abs(x - y) <= LONGEST_GAP_S
    )
    used: tuple[set[int], set[int]] = (set(), set())
    chosen = []
    for _, i, j in gaps:
        if i not in used[0] and j not in used[1]:
            used[0].add(i)
            used[1].add(j)
            chosen.append((i, j))
    return [(left[i][1], right[j][1]) for i, j in sorted(chosen)]


def _timed(documents: Sequence[Mapping[str, Any]]) -> list[tuple[float, dict[Any, Region]]]:
    rows = []
    for document in documents:
        try:
            moment = datetime.fromisoformat(str(document.get("time"))).timestamp()
        except (ValueError, OverflowError, OSError):
            continue
        rows.append((moment, {region.get("region_code"): region for region in document.get("regions", ())}))
    return sorted(rows, key=lambda row: row[0])


def _compared(
    code: str | None, name: str, known: Sequence[tuple[float, float]], note: str | None, generator: np.random.Generator
) -> Comparison:
    differences = np.array([x - y for x, y in known])
    if not len(differences):
        return Comparison(
            region_code=code, metric=name, difference=None, ci95=(None, None), verdict="no_evidence", pairs=0,
            note=note or "No round of both paths has an answer.",
        )  # fmt: skip
    middle_of = np.mean if name in RATES else np.median
    middle = round(float(middle_of(differences)), 4)
    if len(differences) < FEWEST_PAIRS:
        few = f"{len(differences)} pairs are too few for an interval; {FEWEST_PAIRS} or more are needed."
        return Comparison(
            region_code=code, metric=name, difference=middle, ci95=(None, None), verdict="no_evidence",
            pairs=len(differences), note=f"{note} {few}" if note else few,
        )  # fmt: skip
    low, high = bootstrap(differences, middle_of, generator)
    return Comparison(
        region_code=code,
        metric=name,
        difference=middle,
        ci95=(round(low, 4), round(high, 4)),
        verdict="a" if high < 0 else "b" if low > 0 else "no_evidence",
        pairs=len(differences),
        note=note,
    )


def bootstrap(
    values: np.ndarray,
    middle_of: Callable[..., Any],
    generator: np.random.Generator,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Return an interval of a median or a mean by resampling the values.

    Parameters
    ----------
    values
        One per round, shape ``(n,)``.
    middle_of
        ``numpy.median`` or ``numpy.mean``.
    generator
        Source of chance.
    confidence
        Nominal coverage.

    Returns
    -------
    interval
        Lower and upper end.

    References
    ----------
    Percentile interval of Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    drawn = generator.integers(0, len(values), size=(RESAMPLES, len(values)))
    middles = middle_of(values[drawn], axis=1)
    outside = (1 - confidence) / 2
    low, high = np.quantile(middles, [outside, 1 - outside])
    return float(low), float(high)
