"""Which Region, why, and how sure: options compared by absolute milliseconds and MOS."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ccp_assess.errors import ModelInputError
from ccp_assess.selection.distance import estimate_rtts
from ccp_assess.selection.legs import Distances, SiteMeasurement
from ccp_assess.selection.options import (
    Constraints,
    Option,
    ServiceCatalogue,
    Weights,
    build_options,
    documented_offers,
)
from ccp_assess.selection.outcomes import MOS, OVER_LIMIT, Percentiles, percentiles
from ccp_assess.selection.prepared import Placement, Prepared, Shares, Statistics, prepare
from ccp_assess.selection.rule import Rule
from ccp_assess.sites import CallerOrigin, Reroute, Site, TransferTarget

if TYPE_CHECKING:
    import pandas as pd

FloatArray = npt.NDArray[np.float64]

MOST_SIMULATED = 40
"""Combinations of instances that are simulated at least: the best by expectation."""
MOST_SIMULATED_LARGE = 12
"""The same for clients so large that one simulation takes a noticeable part of a second."""
SIMULATED_CELLS = 250_000_000
"""Pairs by draws by combinations up to which all of them are simulated (a few seconds)."""


@dataclass(frozen=True)
class Outcome:
    """What an option would be like.

    Parameters
    ----------
    option
        Its Regions, and what excludes it.
    rank
        1 is best; ``None`` if excluded.
    placement
        Which instance everybody uses.
    statistics
        Physical numbers at the median of every leg.
    expected
        Averaged over the distributions of all legs, with the client's importance of the legs; what the rule looks at.
    hop_count
        Mean over agents; ``None`` unless it is known for all of them (count).
    hops_known_pct
        Agents of whom it is known [%].
    failover
        For a pair: the state in which the replica carries everything.
    empty_instances
        Regions of the option that nobody would use.
    """

    option: Option
    rank: int | None
    placement: Placement
    statistics: Statistics
    expected: Statistics
    hop_count: float | None
    hops_known_pct: float
    failover: Statistics | None = None
    empty_instances: tuple[str, ...] = ()

    @property
    def regions(self) -> tuple[str, ...]:
        """Its Region codes."""
        return self.option.regions

    @cached_property
    def percentiles(self) -> Percentiles:
        """Percentiles of mouth-to-ear delay and MOS over all calls."""
        return percentiles(self.statistics.components)


@dataclass(frozen=True)
class Ranking:
    """All options of a client, ranked, with the reasons and the certainty.

    Parameters
    ----------
    prepared
        The client with its legs.
    constraints, weights, shares
        What was asked.
    outcomes
        Best first; excluded options last.
    rule
        How close is too close.
    offers
        The services table.
    """

    prepared: Prepared
    constraints: Constraints
    weights: Weights
    shares: Shares
    outcomes: tuple[Outcome, ...]
    rule: Rule
    offers: ServiceCatalogue = documented_offers
    _memo: dict[object, FloatArray] = field(default_factory=dict, repr=False, compare=False)

    # --- who wins --------------------------------------------------------------------------------------------

    @cached_property
    def eligible(self) -> tuple[Outcome, ...]:
        """Options that may be chosen, best first."""
        return tuple(outcome for outcome in self.outcomes if outcome.rank is not None)

    @property
    def best(self) -> Outcome | None:
        """The first option; ``None`` where the constraints leave none."""
        return self.eligible[0] if self.eligible else None

    @property
    def runner_up(self) -> Outcome | None:
        """The second option; ``None`` where there is none."""
        return self.eligible[1] if len(self.eligible) > 1 else None

    def expected_of(self, outcome: Outcome) -> FloatArray:
        """Average an option over the distributions of all legs, in physical delays whatever the weights.

        Parameters
        ----------
        outcome
            One of the ranking's.

        Returns
        -------
        statistics
            Columns of :mod:`ccp_assess.selection.outcomes`.
        """
        if self.weights.is_even:
            return outcome.expected.total
        return self.prepared.statistics(outcome.placement, self.shares, Weights(), expected=True).total

    # --- simulated worlds ------------------------------------------------------------------------------------

    def draws_of(self, outcome: Outcome, *, weighted: bool = False) -> FloatArray:
        """Statistics of an option in every simulated world.

        Parameters
        ----------
        outcome
            One of the ranking's.
        weighted
            With the client's importance of the legs instead of physical delays.

        Returns
        -------
        statistics
            Draws by statistics (columns of :mod:`ccp_assess.selection.outcomes`).
        """
        weights = self.weights if weighted else Weights()
        key = (outcome.regions, outcome.option.kind, weights.leg_scales, weights.transfer_scale)
        if key not in self._memo:
            self._memo[key] = self.prepared.simulate(outcome.placement, self.shares, weights)
        return self._memo[key]

    def simulate_all(self, outcomes: Sequence[Outcome]) -> None:
        """Simulate several options at once, on as many cores as there are.

        Parameters
        ----------
        outcomes
            Options that are looked at next.
        """
        weighted = not self.weights.is_even
        if self.prepared.is_large:
            self.prepared.warm()
            with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
                list(pool.map(lambda outcome: self.draws_of(outcome, weighted=weighted), outcomes))

    @property
    def most_simulated(self) -> int:
        """How many combinations of instances are simulated: all for small clients, few for very large ones (count)."""
        prepared = self.prepared
        if prepared.is_large:
            return MOST_SIMULATED_LARGE
        pairs = prepared.near_count * len(prepared.lines) * (1 + len(prepared.transfers))
        return max(MOST_SIMULATED, SIMULATED_CELLS // max(pairs * prepared.draw_count, 1))

    @cached_property
    def simulated(self) -> tuple[Outcome, ...]:
        """Eligible options that take part in the simulation."""
        singles = [o for o in self.eligible if o.option.kind != "instances"]
        combined = [o for o in self.eligible if o.option.kind == "instances"][: self.most_simulated]
        return tuple(sorted((*singles, *combined), key=lambda outcome: outcome.rank or 0))

    @cached_property
    def probabilities(self) -> dict[tuple[str, ...], float]:
        """Share of simulated worlds in which each simulated option is best by the rule, by its Regions [%]."""
        options = self.simulated
        if not options:
            return {}
        self.simulate_all(options)
        drawn = [self.draws_of(outcome, weighted=True) for outcome in options]
        best = self.rule.winners(
            np.array([statistics[:, OVER_LIMIT] for statistics in drawn]),
            np.array([statistics[:, MOS] for statistics in drawn]),
            np.array([_nan(outcome.hop_count) for outcome in options]),
            option_sizes(options),
        )
        counts = np.bincount(best, minlength=len(options))
        return {
            outcome.regions: 100.0 * float(count) / self.prepared.draw_count
            for outcome, count in zip(options, counts, strict=True)
        }

    # --- faces -----------------------------------------------------------------------------------------------

    @cached_property
    def _document(self) -> dict[str, Any]:
        from ccp_assess.selection.document import ranking_document  # noqa: PLC0415 - the document needs this module

        return ranking_document(self)

    def to_document(self) -> dict[str, Any]:
        """Return the ranking as the JSON document of ``regions rank``.

        Returns
        -------
        document
            ``options`` best first, ``recommendation``, and what stands behind them.
        """
        return self._document

    @property
    def sentences(self) -> tuple[str, ...]:
        """The recommendation in three plain sentences."""
        return tuple(self._document["recommendation"]["sentences"])

    def to_frame(self) -> pd.DataFrame:
        """Return the options as a table.

        Returns
        -------
        frame
            One row per option, best first.
        """
        import pandas as pd  # noqa: PLC0415 - half a second that the command line need not pay

        rows = [
            {
                "regions": " + ".join(option["regions"]),
                "rank": option["rank"],
                "mouth_to_ear_mean_ms": option["mouth_to_ear_ms"]["mean"],
                "mouth_to_ear_p50_ms": option["mouth_to_ear_ms"]["p50"],
                "mouth_to_ear_p95_ms": option["mouth_to_ear_ms"]["p95"],
                "mos_cqe": option["mos_cqe"]["mean"],
                "share_over_150_ms_pct": option["share_over_150_ms_pct"],
                "share_over_300_ms_pct": option["share_over_300_ms_pct"],
                "share_over_400_ms_pct": option["share_over_400_ms_pct"],
                "expected_mos_cqe": option["expected"]["mos_cqe"],
                "expected_over_400_ms_pct": option["expected"]["share_over_400_ms_pct"],
                "probability_best_pct": option["probability_best_pct"],
                "hop_count": option["hop_count"],
                "excluded_by": "; ".join(option["excluded_by"]),
            }
            for option in self._document["options"]
        ]
        frame = pd.DataFrame(rows)
        frame["rank"] = frame["rank"].astype("Int64")
        return frame

    def _repr_html_(self) -> str:
        """Return the answer and the first options as HTML for notebooks."""
        rows = "".join(
            f"<tr><td>{option['rank'] or '-'}</td><td>{escape(' + '.join(option['regions']))}</td>"
            f"<td>{option['mouth_to_ear_ms']['mean']:.0f}</td><td>{_two(option['mos_cqe']['mean'])}</td>"
            f"<td>{option['share_over_400_ms_pct']:.1f}</td><td>{escape('; '.join(option['excluded_by']))}</td></tr>"
            for option in self._document["options"][:12]
        )
        sentences = "".join(f"<p>{escape(sentence)}</p>" for sentence in self.sentences)
        return (
            f"<div>{sentences}<table><thead><tr><th>Rank</th><th>Region</th><th>Mouth to ear [ms]</th><th>MOS-CQE</th>"
            f"<th>Over 400 ms [%]</th><th>Excluded by</th></tr></thead><tbody>{rows}</tbody></table></div>"
        )


def _two(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _nan(value: float | None) -> float:
    return float("nan") if value is None else value


def option_sizes(outcomes: Sequence[Outcome]) -> npt.NDArray[np.intp]:
    """Count the instances of options; a pair is one instance and its replica, like every other pair.

    Parameters
    ----------
    outcomes
        Options.

    Returns
    -------
    sizes
        One per option (count).
    """
    return np.array([len(o.regions) if o.option.kind == "instances" else 1 for o in outcomes], dtype=np.intp)


def rank_prepared(
    prepared: Prepared,
    *,
    constraints: Constraints | None = None,
    weights: Weights | None = None,
    instances: int = 1,
    agents: Mapping[str, float] | None = None,
    call_shares: Mapping[str, float] | None = None,
    transfer_shares: Mapping[str, float] | None = None,
    offers: ServiceCatalogue = documented_offers,
    capacities_pct: Mapping[str, float] | None = None,
) -> Ranking:
    """Rank a prepared client: the part that a slider moves.

    Parameters
    ----------
    prepared
        From :func:`~ccp_assess.selection.prepared.prepare`.
    constraints, weights
        What the client allows and what matters to it.
    instances
        Up to how many instances (count).
    agents, call_shares, transfer_shares
        Numbers to use instead of the client's, by site, origin and target.
    offers
        The services table.
    capacities_pct
        Share of all calls that an instance in a Region can take at most, by Region code [%].

    Returns
    -------
    ranking
        Options best first.

    Raises
    ------
    ModelInputError
        If a weight or a share is impossible.
    """
    constraints = constraints or Constraints()
    weights = (weights or Weights()).checked()
    shares = prepared.shares(agents, call_shares, transfer_shares)
    if weights.agents + weights.callers <= 0 and shares.transfers.sum() <= 0:
        raise ModelInputError(
            "only transfers have a weight, and no calls are transferred; give agents or callers a weight above 0"
        )
    found = _outcomes(prepared, build_options(constraints, instances, offers), shares, weights, capacities_pct)
    open_to_choice = [o for o in found if not o.option.excluded_by and not o.empty_instances]
    order = _order(open_to_choice, Rule.for_weights(weights))
    ranked = [_with_rank(open_to_choice[row], position + 1) for position, row in enumerate(order)]
    closed = [o for o in found if o.option.excluded_by or o.empty_instances]
    return Ranking(
        prepared=prepared,
        constraints=constraints,
        weights=weights,
        shares=shares,
        outcomes=(*ranked, *closed),
        rule=Rule.for_weights(weights),
        offers=offers,
    )


def _order(outcomes: Sequence[Outcome], rule: Rule) -> list[int]:
    if not outcomes:
        return []
    return rule.order(
        np.array([outcome.expected.total[OVER_LIMIT] for outcome in outcomes]),
        np.array([outcome.expected.total[MOS] for outcome in outcomes]),
        np.array([_nan(outcome.hop_count) for outcome in outcomes]),
        option_sizes(outcomes),
    )


def _with_rank(outcome: Outcome, rank: int) -> Outcome:
    return Outcome(
        option=outcome.option,
        rank=rank,
        placement=outcome.placement,
        statistics=outcome.statistics,
        expected=outcome.expected,
        hop_count=outcome.hop_count,
        hops_known_pct=outcome.hops_known_pct,
        failover=outcome.failover,
        empty_instances=outcome.empty_instances,
    )


def _outcomes(
    prepared: Prepared,
    options: Sequence[Option],
    shares: Shares,
    weights: Weights,
    capacities_pct: Mapping[str, float] | None,
) -> list[Outcome]:
    """Evaluate all options, those of large clients on as many cores as there are."""

    def one(option: Option) -> Outcome:
        return _outcome(prepared, option, shares, weights, capacities_pct)

    if not prepared.is_large:
        return [one(option) for option in options]
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        return list(pool.map(one, options))


def _outcome(
    prepared: Prepared, option: Option, shares: Shares, weights: Weights, capacities_pct: Mapping[str, float] | None
) -> Outcome:
    codes = option.regions if option.kind == "instances" else option.regions[:1]
    placement = prepared.place(codes, shares, weights, capacities_pct)
    statistics = prepared.statistics(placement, shares, Weights())
    failover = None
    if option.kind == "pair":
        failover = prepared.statistics(prepared.place(option.regions[1:], shares, weights), shares, Weights())
    hop_count, known = _hops(prepared, placement, shares)
    return Outcome(
        option=option,
        rank=None,
        placement=placement,
        statistics=statistics,
        expected=prepared.statistics(placement, shares, weights, expected=True),
        hop_count=hop_count,
        hops_known_pct=known,
        failover=failover,
        empty_instances=_empty(prepared, placement, shares),
    )


def _empty(prepared: Prepared, placement: Placement, shares: Shares) -> tuple[str, ...]:
    if len(placement.columns) == 1:
        return ()
    return tuple(
        prepared.regions[column].region_code
        for instance, column in enumerate(placement.columns)
        if shares.near[placement.near == instance].sum() <= 0
        or shares.origins[placement.origins == instance].sum() <= 0
    )


def _hops(prepared: Prepared, placement: Placement, shares: Shares) -> tuple[float | None, float]:
    count = len(prepared.points)
    columns = np.array(placement.columns)[placement.near[:count]]
    hops = prepared.agent_table.hops[np.arange(count), columns]
    weight = shares.near[:count]
    used = weight > 0
    known = used & ~np.isnan(hops)
    pct = 100.0 * float(weight[known].sum() / weight.sum()) if weight.sum() > 0 else 0.0
    if not used.any() or known.sum() < used.sum():
        return None, pct
    return float(weight[used] @ hops[used] / weight[used].sum()), pct


def rank(  # noqa: PLR0917 - the client's tables, in the order of its folder
    sites: Sequence[Site],
    callers: Sequence[CallerOrigin] = (),
    transfers: Sequence[TransferTarget] = (),
    reroutes: Sequence[Reroute] = (),
    measurements: Iterable[SiteMeasurement] = (),
    constraints: Constraints | None = None,
    weights: Weights | None = None,
    instances: int = 1,
    *,
    draws: int = 2000,
    seed: int = 1,
    offers: ServiceCatalogue = documented_offers,
    distances: Distances = estimate_rtts,
    use_case: str = "voice",
) -> Ranking:
    """Rank where the instance, or the instances, should be.

    Parameters
    ----------
    sites, callers, transfers, reroutes
        The client's tables.
    measurements
        What was measured from the sites; a measurement replaces the model.
    constraints, weights
        What the client allows and what matters to it.
    instances
        Up to how many instances (count).
    draws, seed
        How many worlds to simulate, and from which seed.
    offers
        The services table.
    distances
        Distance model.
    use_case
        ``voice``, ``video``, ``telephone_only``, ``media_less`` or ``chat``.

    Returns
    -------
    ranking
        Options best first, with ``to_document()``, ``to_frame()`` and ``sentences``.

    Raises
    ------
    ModelInputError
        If the client has no site, no agent or an impossible number; the text says what to mend.
    """
    prepared = prepare(
        sites,
        callers,
        transfers,
        reroutes,
        measurements,
        draws=draws,
        seed=seed,
        distances=distances,
        use_case=use_case,
    )
    return rank_prepared(prepared, constraints=constraints, weights=weights, instances=instances, offers=offers)
