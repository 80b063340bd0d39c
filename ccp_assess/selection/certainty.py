"""How sure the answer is, what would change it, and what is worth measuring."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import erf, sqrt

import numpy as np
import numpy.typing as npt

from ccp_assess.selection.outcomes import MEAN, MOS, OVER_LIMIT
from ccp_assess.selection.prepared import Placement
from ccp_assess.selection.ranking import Outcome, Ranking, option_sizes

FloatArray = npt.NDArray[np.float64]

_GRID = np.linspace(0.0, 1.0, 401)
_EXACT = 1e-5
"""Tipping points are found to a thousandth of a percent, so that a tenth is printed right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TippingPoint:
    """A share at which another option wins, all others keeping their proportions.

    Parameters
    ----------
    kind
        ``call_share``, ``agents`` or ``transfers``.
    subject
        The origin, site or target.
    now_pct, then_pct
        The share now, and the share at which the winner changes [%].
    winner_becomes
        Region codes of the option that wins beyond it.
    """

    kind: str
    subject: str
    now_pct: float
    then_pct: float
    winner_becomes: tuple[str, ...]

    @property
    def text(self) -> str:
        """Say it in words."""
        more = self.then_pct > self.now_pct
        what = {
            "call_share": f"of callers are in {self.subject}",
            "agents": f"of agents work at {self.subject}",
            "transfers": f"of calls are transferred to {self.subject}",
        }[self.kind]
        return (
            f"{' + '.join(self.winner_becomes)} wins once {'more' if more else 'fewer'} than {self.then_pct:.1f} % "
            f"{what} (now {self.now_pct:.1f} %)"
        )


def tipping_points(ranking: Ranking, most: int = 12) -> tuple[TippingPoint, ...]:
    """Find the shares at which the winner changes, by root search.

    Parameters
    ----------
    ranking
        With at least two options.
    most
        How many origins, sites and targets are tried, largest first.

    Returns
    -------
    points
        Nearest first.
    """
    options = [o for o in ranking.eligible if o.option.kind != "instances"]
    if ranking.best is None or ranking.best.option.kind == "instances":
        options = list(ranking.eligible[:40])
    if len(options) < 2:
        return ()
    found: list[TippingPoint] = []
    for kind, subject, now, at in _lines(ranking, options, most):
        found.extend(_changes(ranking, options, kind=kind, subject=subject, now=now, at=at))
    return tuple(sorted(found, key=lambda point: (abs(point.then_pct - point.now_pct), point.subject)))


Line = Callable[[FloatArray], tuple[FloatArray, FloatArray]]
"""Shares of one thing in, share over the limit and mean MOS out, options by shares."""


def _lines(ranking: Ranking, options: list[Outcome], most: int) -> Iterator[tuple[str, str, float, Line]]:
    prepared, shares = ranking.prepared, ranking.shares
    totals = np.array([option.expected.total for option in options])
    if not prepared.callers_assumed and len(prepared.callers) > 1:
        given = np.array([option.expected.given_origin for option in options])
        for index in np.argsort(-shares.origins, kind="stable")[:most]:
            now = float(shares.origins[index])
            if 0.0 < now < 1.0:
                origin = prepared.callers[index]
                name = origin.place or origin.country or origin.origin_id
                yield "call_share", name, now, _mixture(totals, given[:, index], now)
    single = all(len(option.placement.columns) == 1 for option in options)
    if single and len(prepared.sites) > 1:
        given = np.array([option.expected.given_near for option in options])
        counts = np.array([site.agents for site in prepared.sites], dtype=float)
        for index in np.argsort(-counts, kind="stable")[:most]:
            now = float(counts[index] / counts.sum())
            if 0.0 < now < 1.0 and len(prepared.sites) > 1:
                mix = prepared.near_of_site(int(index))
                yield "agents", prepared.sites[index].name, now, _mixture(totals, mix @ given, now)
    if single and prepared.transfers:
        given = np.array([option.expected.given_target for option in options])
        scale = ranking.weights.transfer_scale
        for index in np.argsort(-shares.transfers, kind="stable")[:most]:
            now = float(shares.transfers[index])
            if now > 0.0:
                whole = scale[0] + scale[1] * float(shares.transfers.sum())
                target = prepared.transfers[index]
                yield (
                    "transfers",
                    target.place or target.target_id,
                    now,
                    _addition(totals, given[:, index], now, whole, scale[1]),
                )


def _mixture(totals: FloatArray, given: FloatArray, now: float) -> Line:
    """Move a share between one thing and all others, which keep their proportions."""
    rest = (totals - now * given) / (1.0 - now)

    def at(x: FloatArray) -> tuple[FloatArray, FloatArray]:
        mixed = given[:, None, :] * x[None, :, None] + rest[:, None, :] * (1.0 - x)[None, :, None]
        return mixed[..., OVER_LIMIT], mixed[..., MOS]

    return at


def _addition(totals: FloatArray, given: FloatArray, now: float, whole: float, importance: float) -> Line:
    """Move the share of calls that one target gets, on top of all others."""
    rest = totals * whole - importance * now * given

    def at(x: FloatArray) -> tuple[FloatArray, FloatArray]:
        weight = whole + importance * (x - now)
        mixed = (rest[:, None, :] + importance * x[None, :, None] * given[:, None, :]) / weight[None, :, None]
        return mixed[..., OVER_LIMIT], mixed[..., MOS]

    return at


def _changes(
    ranking: Ranking, options: list[Outcome], *, kind: str, subject: str, now: float, at: Line
) -> Iterator[TippingPoint]:
    hops = np.array([float("nan") if option.hop_count is None else option.hop_count for option in options])
    sizes = option_sizes(options)

    def winner(x: FloatArray) -> npt.NDArray[np.intp]:
        share, mos = at(x)
        return ranking.rule.winners(share, mos, hops, sizes)

    here = int(winner(np.array([now]))[0])
    grid = np.unique(np.append(_GRID, now))
    winners = winner(grid)
    middle = int(np.searchsorted(grid, now))
    for side in (range(middle + 1, grid.size), range(middle - 1, -1, -1)):
        before = now
        for index in side:
            if winners[index] != here:
                same, other, beyond = before, float(grid[index]), int(winners[index])
                while abs(other - same) > _EXACT:
                    half = (same + other) / 2.0
                    found = int(winner(np.array([half]))[0])
                    if found == here:
                        same = half
                    else:
                        other, beyond = half, found
                yield TippingPoint(
                    kind=kind,
                    subject=subject,
                    now_pct=100.0 * now,
                    then_pct=100.0 * other,
                    winner_becomes=options[beyond].regions,
                )
                break
            before = float(grid[index])


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Why the first option may not be the better one of the first two.

    Parameters
    ----------
    mos_difference, mos_band
        First minus second: median and 90 % band over the simulated worlds [MOS-CQE].
    ms_difference, ms_band
        The same for mean mouth-to-ear delay; negative means the first is faster [ms].
    variance_pct
        Part of the variance of the delay difference by ``measured``, ``modelled`` and ``assumed`` inputs [%].
    too_close
        Whether the two cannot be told apart.
    by_assumption
        Whether modelled and assumed inputs carry most of the variance.
    by_hops
        Whether the two count as equal and the first wins by its fewer hops.
    """

    mos_difference: float
    mos_band: tuple[float, float]
    ms_difference: float
    ms_band: tuple[float, float]
    variance_pct: dict[str, float]
    too_close: bool
    by_assumption: bool
    by_hops: bool


def doubt(ranking: Ranking) -> Doubt | None:
    """Compare the first two options world by world.

    Parameters
    ----------
    ranking
        With at least two options.

    Returns
    -------
    doubt
        ``None`` where there is nothing to compare.
    """
    best, second = ranking.best, ranking.runner_up
    if best is None or second is None:
        return None
    first, other = ranking.draws_of(best, weighted=True), ranking.draws_of(second, weighted=True)
    mos, delay = first[:, MOS] - other[:, MOS], first[:, MEAN] - other[:, MEAN]
    mos_band, ms_band = _band(mos), _band(delay)
    parts = _difference_by_basis(ranking, best, second)
    total = np.sum(list(parts.values()), axis=0)
    variance = float(np.var(total))
    shares = {
        basis: 100.0 * float(np.cov(part, total, bias=True)[0, 1]) / variance if variance > 0 else 0.0
        for basis, part in parts.items()
    }
    both = best.expected.total, second.expected.total
    close = (
        abs(both[0][MOS] - both[1][MOS]) <= ranking.rule.close_mos
        and abs(both[0][OVER_LIMIT] - both[1][OVER_LIMIT]) <= ranking.rule.close_share
    )
    certain = max(ranking.probabilities.get(best.regions, 0.0), 0.0)
    return Doubt(
        mos_difference=float(np.median(mos)),
        mos_band=mos_band,
        ms_difference=float(np.median(delay)),
        ms_band=ms_band,
        variance_pct=shares,
        too_close=close or certain < 60.0,
        by_assumption=shares["modelled"] + shares["assumed"] > 50.0,
        by_hops=close and _fewer_hops(best, second),
    )


def _fewer_hops(best: Outcome, second: Outcome) -> bool:
    if best.hop_count is None or second.hop_count is None:
        return False
    return best.hop_count < second.hop_count and bool(best.expected.total[MOS] < second.expected.total[MOS])


def _band(values: FloatArray) -> tuple[float, float]:
    low, high = np.quantile(values, (0.05, 0.95), method="inverted_cdf")
    return float(low), float(high)


def _difference_by_basis(ranking: Ranking, best: Outcome, second: Outcome) -> dict[str, FloatArray]:
    """Difference of the mean legs between two options, split by what the legs rest on; exact since means add."""
    total = {basis: np.zeros(ranking.prepared.draw_count) for basis in ("measured", "modelled", "assumed")}
    for outcome, sign in ((best, 1.0), (second, -1.0)):
        for basis, part in _mean_by_basis(ranking, outcome.placement).items():
            total[basis] += sign * part
    return total


def _mean_by_basis(ranking: Ranking, placement: Placement) -> dict[str, FloatArray]:
    prepared, shares = ranking.prepared, ranking.shares
    on_near, on_far = ranking.weights.leg_scales
    total = {basis: np.zeros(prepared.draw_count) for basis in ("measured", "modelled", "assumed")}
    for instance, column in enumerate(placement.columns):
        origins = np.where(placement.origins == instance, shares.origins, 0.0)
        near = np.where(placement.near == instance, shares.near, 0.0)
        if near.sum() <= 0 or origins.sum() <= 0:
            continue
        near = near / near.sum() * origins.sum()
        count = len(prepared.points)
        for which, weight, scale in (
            ("agent", near[:count], on_near),
            ("reroute", near[count:], on_near),
            ("caller", origins, on_far),
        ):
            rows = np.flatnonzero(weight > 0)
            if rows.size:
                for basis, part in prepared.leg_draws(which, column).mean_by_basis(rows, weight[rows]).items():
                    total[basis] += scale * part
    return total


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuringValue:
    """What one further measurement would tell.

    Parameters
    ----------
    what
        In words.
    subject
        The site or origin.
    doubt_explained_pct
        Part of the variance between the first two options that this leg carries [%].
    wrong_now_pct, wrong_after_pct
        Chance that the worse of the two is chosen, now and expected after measuring [%].
    """

    what: str
    subject: str
    doubt_explained_pct: float
    wrong_now_pct: float
    wrong_after_pct: float


def value_of_measuring(ranking: Ranking, most: int = 20) -> tuple[MeasuringValue, ...]:
    """Tell which one measurement would most reduce the doubt between the first two options.

    The expected value of partial information by linear regression on the simulated worlds: the difference of
    the two options is nearly linear in each leg, so the explained variance tells what knowing that leg leaves.

    Parameters
    ----------
    ranking
        With at least two options.
    most
        How many sites and origins are tried, largest first.

    Returns
    -------
    values
        Most useful first; legs that are measured already are left out.

    References
    ----------
    .. [1] Strong, Oakley, Brennan: Estimating multiparameter partial expected value of perfect information
           from a probabilistic sensitivity analysis sample, Medical Decision Making 34 (2014).
    """
    best, second = ranking.best, ranking.runner_up
    if best is None or second is None or ranking.prepared.draw_count < 50:
        return ()
    difference = ranking.draws_of(best, weighted=True)[:, MOS] - ranking.draws_of(second, weighted=True)[:, MOS]
    if float(np.std(difference)) <= 1e-12:
        return ()
    found = []
    for what, subject, predictors in _candidates(ranking, best, second, most):
        explained = _explained(difference, predictors)
        now, after = _wrong(difference, explained)
        found.append(
            MeasuringValue(
                what=what,
                subject=subject,
                doubt_explained_pct=100.0 * explained,
                wrong_now_pct=100.0 * now,
                wrong_after_pct=100.0 * after,
            )
        )
    return tuple(sorted(found, key=lambda value: (-value.doubt_explained_pct, value.subject)))


def _candidates(ranking: Ranking, best: Outcome, second: Outcome, most: int) -> Iterator[tuple[str, str, FloatArray]]:
    prepared, shares = ranking.prepared, ranking.shares
    count = len(prepared.points)

    def pair(which: str, row: int, place: Callable[[Placement], int]) -> tuple[list[str], FloatArray]:
        codes, values = [], []
        for outcome in (best, second):
            column = outcome.placement.columns[place(outcome.placement)]
            table = getattr(prepared, f"{which}_table")
            if table.basis[row, column] != "measured":
                codes.append(prepared.regions[column].region_code)
                rows = np.array([row], dtype=np.intp)
                values.append(prepared.leg_draws(which, column).block(0, prepared.draw_count, rows)[0])
        return codes, np.array(values, dtype=float).T

    for row in np.argsort(-shares.near[:count], kind="stable")[:most]:
        if shares.near[row] > 0:
            codes, values = pair("agent", int(row), partial(_near_instance, int(row)))
            if codes:
                name = prepared.points[row].site.name
                yield f"round trips from {name} to {' and '.join(dict.fromkeys(codes))}", name, values
    if prepared.callers_assumed:
        return
    for row in np.argsort(-shares.origins, kind="stable")[:most]:
        if shares.origins[row] > 0:
            codes, values = pair("caller", int(row), partial(_origin_instance, int(row)))
            origin = prepared.callers[row]
            name = origin.place or origin.country or origin.origin_id
            if codes:
                yield f"test calls from {name} to {' and '.join(dict.fromkeys(codes))}", name, values


def _near_instance(row: int, placement: Placement) -> int:
    return int(placement.near[row])


def _origin_instance(row: int, placement: Placement) -> int:
    return int(placement.origins[row])


def _explained(difference: FloatArray, predictors: FloatArray) -> float:
    centred = difference - difference.mean()
    columns = predictors - predictors.mean(axis=0)
    coefficients = np.linalg.lstsq(columns, centred, rcond=None)[0]
    explained = float(np.var(columns @ coefficients) / np.var(centred))
    return min(max(explained, 0.0), 1.0)


def _wrong(difference: FloatArray, explained: float) -> tuple[float, float]:
    """Chance of the worse choice now, and expected once the explained part is known (normal approximation)."""
    mean, spread = float(np.mean(difference)), float(np.std(difference))
    now = min(_below_zero(mean / spread), 1.0 - _below_zero(mean / spread))
    nodes = (np.arange(200) + 0.5) / 200
    known = mean + spread * sqrt(explained) * np.array([_quantile(float(node)) for node in nodes])
    left = spread * sqrt(max(1.0 - explained, 1e-9))
    after = float(np.mean([_below_zero(abs(value) / left) for value in known]))
    return now, min(after, now)


def _below_zero(ratio: float) -> float:
    return 0.5 * (1.0 - erf(ratio / sqrt(2.0)))


def _quantile(probability: float) -> float:
    from statistics import NormalDist  # noqa: PLC0415 - only needed here

    return NormalDist().inv_cdf(probability)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParetoPoint:
    """An option seen from both sides.

    Parameters
    ----------
    regions
        Its Region codes.
    agent_leg_ms, caller_leg_ms
        Mean legs over agents and over calls [ms].
    efficient
        Whether no other option that may be chosen is better for one side and not worse for the other.
    """

    regions: tuple[str, ...]
    agent_leg_ms: float
    caller_leg_ms: float
    efficient: bool


def pareto(ranking: Ranking) -> tuple[ParetoPoint, ...]:
    """Show agents against callers: mean legs of every option that may be chosen.

    Parameters
    ----------
    ranking
        Any ranking.

    Returns
    -------
    points
        In the order of the ranking.
    """
    legs = [mean_legs(ranking, outcome) for outcome in ranking.eligible]
    return tuple(
        ParetoPoint(
            regions=outcome.regions,
            agent_leg_ms=agent,
            caller_leg_ms=caller,
            efficient=not any(a <= agent and c <= caller and (a < agent or c < caller) for a, c in legs),
        )
        for outcome, (agent, caller) in zip(ranking.eligible, legs, strict=True)
    )


def mean_legs(ranking: Ranking, outcome: Outcome) -> tuple[float, float]:
    """Mean agent leg and mean caller leg of an option.

    Parameters
    ----------
    ranking
        Gives the shares.
    outcome
        One of its options.

    Returns
    -------
    agent_leg_ms, caller_leg_ms
        At the median of every leg [ms].
    """
    prepared, shares, placement = ranking.prepared, ranking.shares, outcome.placement
    columns = np.array(placement.columns)
    near = prepared.near_leg_ms[np.arange(prepared.near_count), columns[placement.near]]
    far = prepared.caller_leg_ms[np.arange(len(prepared.callers)), columns[placement.origins]]
    return float(shares.near @ near), float(shares.origins @ far)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiteralAnswer:
    """What AWS's own words say, taken literally.

    Parameters
    ----------
    question
        ``closest to the agents`` or ``closest to the callers``.
    regions
        The Region that is closest by great circle, weighted by agents or calls.
    distance_km
        That weighted mean distance [km].
    agrees
        Whether it is our answer too.
    reason
        Why ours differs, or that it does not.
    """

    question: str
    regions: tuple[str, ...]
    distance_km: float
    agrees: bool
    reason: str


def literal_answers(ranking: Ranking) -> tuple[LiteralAnswer, ...]:
    """Answer AWS's two rules literally: the Region geographically closest to the agents, and to the callers.

    Parameters
    ----------
    ranking
        Any ranking.

    Returns
    -------
    answers
        Both, beside ours with the reason for each difference; empty where nothing may be chosen.

    References
    ----------
    .. [1] Amazon Connect administrator guide, networking page for the CCP, "Region selection considerations".
    """
    prepared, shares = ranking.prepared, ranking.shares
    options = [outcome for outcome in ranking.eligible if outcome.option.kind != "instances"]
    best = ranking.best
    if not options or best is None:
        return ()
    count = len(prepared.points)
    agents = np.zeros(count)
    for site, point in zip(prepared.sites, prepared.point_of_site, strict=True):
        agents[point] += site.agents
    rules = [("closest to the agents", agents / agents.sum(), prepared.agent_table.distance_km)]
    if not prepared.callers_assumed:
        rules.append(("closest to the callers", shares.origins, prepared.caller_table.distance_km))
    answers = []
    for question, weight, table in rules:
        mean_km = weight @ table
        nearest = min(options, key=lambda option: (mean_km[option.placement.columns[0]], option.rank or 0))
        agrees = nearest.regions == best.regions
        answers.append(
            LiteralAnswer(
                question=question,
                regions=nearest.regions,
                distance_km=float(mean_km[nearest.placement.columns[0]]),
                agrees=agrees,
                reason=_literal_reason(ranking, best, nearest, agrees=agrees),
            )
        )
    return tuple(answers)


def _literal_reason(ranking: Ranking, best: Outcome, nearest: Outcome, *, agrees: bool) -> str:
    if agrees:
        return "the same Region as ours"
    ours, theirs = mean_legs(ranking, best), mean_legs(ranking, nearest)
    a, b = best.statistics.total, nearest.statistics.total
    return (
        f"{' + '.join(nearest.regions)} changes the mean agent leg by {theirs[0] - ours[0]:+z.0f} ms and the mean "
        f"caller leg by {theirs[1] - ours[1]:+z.0f} ms against {' + '.join(best.regions)}; over whole calls that is "
        f"{b[MEAN] - a[MEAN]:+z.0f} ms and {b[MOS] - a[MOS]:+z.2f} MOS"
    )
