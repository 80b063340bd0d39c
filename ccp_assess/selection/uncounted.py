"""Journeys of which nobody knows the share: internal calls and conferences. They are told and do not count.

An internal call goes from softphone to softphone through the media servers of one Region, so it has two agent legs and
no gateway. A conference has no path of its own: the caller hears each agent as in an inbound call, agents hear each
other as in an internal call, and an agent hears an outside party by the softphone's way and the party's leg.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ccp_assess.selection.journeys import SOFTPHONE_HANDLING, handling_ms
from ccp_assess.selection.outcomes import MEAN, MOS, OVER_LIMIT, Component, evaluate
from ccp_assess.selection.ranking import Outcome, Ranking

_INTERNAL = tuple(extra for extra in SOFTPHONE_HANDLING if extra.name != "gateway_ms")
_MOST_POINTS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class UncountedJourney:
    """A kind of journey without a known share of calls.

    Parameters
    ----------
    journey, text
        Its name, and in words.
    region_code
        Where its media is mixed.
    mouth_to_ear_ms
        Mean over all pairs at the median of every leg [ms].
    mos_cqe
        Mean over the same [MOS-CQE].
    share_over_400_ms_pct
        Share of pairs over the limit [%].
    """

    journey: str
    text: str
    region_code: str
    mouth_to_ear_ms: float
    mos_cqe: float
    share_over_400_ms_pct: float


def uncounted_journeys(ranking: Ranking, outcome: Outcome) -> tuple[UncountedJourney, ...]:
    """Tell internal calls and conferences of an option.

    Parameters
    ----------
    ranking
        Gives the client.
    outcome
        One of its options.

    Returns
    -------
    journeys
        Per instance; empty for use cases without softphones and telephones, and for thousands of different sites.
    """
    prepared, placement = ranking.prepared, outcome.placement
    case, count = prepared.use_case, len(prepared.points)
    if case.curve != "narrowband" or case.agents_by_telephone or count > _MOST_POINTS:
        return ()
    found = []
    for instance, column in enumerate(placement.columns):
        rows = np.flatnonzero((ranking.shares.near[:count] > 0) & (placement.near[:count] == instance))
        if not rows.size:
            continue
        weight = ranking.shares.near[rows] / ranking.shares.near[rows].sum()
        legs, ie = prepared.near_leg_ms[rows, column], prepared.near_ie[rows]
        internal = np.array([handling_ms(_INTERNAL, prepared.points[row].playout_ms) for row in rows])
        found.append(
            _journey(
                ranking,
                "internal",
                "internal calls, and agents among themselves in a conference",
                column,
                Component(
                    near_ms=legs + internal, near_weight=weight, near_ie=ie, far_ms=legs, far_weight=weight, weight=1.0
                ),
            )
        )
        shares = ranking.shares.transfers
        targets = np.flatnonzero(shares > 0)
        if targets.size:
            found.append(
                _journey(
                    ranking,
                    "conference",
                    "agents with an outside party in a conference (targets by their shares of transfers)",
                    column,
                    Component(
                        near_ms=legs + prepared.near_fixed_ms[rows],
                        near_weight=weight,
                        near_ie=ie,
                        far_ms=prepared.transfer_leg_ms[targets, column],
                        far_weight=shares[targets] / shares[targets].sum(),
                        weight=1.0,
                    ),
                )
            )
    return tuple(found)


def _journey(ranking: Ranking, name: str, text: str, column: int, component: Component) -> UncountedJourney:
    total = evaluate(component, ranking.prepared.limits_ms).total
    return UncountedJourney(
        journey=name,
        text=text,
        region_code=ranking.prepared.regions[column].region_code,
        mouth_to_ear_ms=float(total[MEAN]),
        mos_cqe=float(total[MOS]),
        share_over_400_ms_pct=100.0 * float(total[OVER_LIMIT]),
    )
