"""What if: one change to the client, told as a difference with its interval.

Both variants are simulated with the same deviates for every leg that they share, so the difference holds only
what the change changes. Where a change moves a site's path (another access, no hub), a measurement of today's path
says nothing of the new one: both variants are then modelled for that site, and the note says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ccp_assess.errors import ModelInputError
from ccp_assess.selection.legs import SiteMeasurement
from ccp_assess.selection.options import Weights
from ccp_assess.selection.outcomes import MEAN, MOS, OVER_LIMIT
from ccp_assess.selection.ranking import Outcome, Ranking, rank_prepared
from ccp_assess.sites import Site, TransferTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """The difference that one change makes; negative milliseconds are an improvement.

    Parameters
    ----------
    what
        The change in words.
    regions
        The option that is looked at: the one recommended before the change.
    ms_difference, ms_band
        Change of the mean mouth-to-ear delay at the medians, and its 90 % band [ms].
    mos_difference, mos_band
        The same for the mean MOS [MOS-CQE].
    over_limit_difference_pct
        Change of the share of calls over the limit [percentage points].
    winner_after
        Which option would be recommended after the change.
    note
        What a reader must know.
    """

    what: str
    regions: tuple[str, ...]
    ms_difference: float
    ms_band: tuple[float, float]
    mos_difference: float
    mos_band: tuple[float, float]
    over_limit_difference_pct: float
    winner_after: tuple[str, ...]
    note: str = ""

    @property
    def sentence(self) -> str:
        """Say it in one sentence."""
        moved = (
            f"; {' + '.join(self.winner_after)} would then be the better place"
            if self.winner_after != self.regions
            else ""
        )
        note = f" ({self.note})" if self.note else ""
        return (
            f"{self.what}: {self.ms_difference:+z.0f} ms from mouth to ear (90 % band {self.ms_band[0]:+z.0f} to "
            f"{self.ms_band[1]:+z.0f} ms) and {self.mos_difference:+z.2f} MOS{moved}{note}."
        )


def add_site(ranking: Ranking, site: Site) -> WhatIf:
    """Add a site.

    Parameters
    ----------
    ranking
        Before the change.
    site
        The new site.

    Returns
    -------
    difference
        With the site minus without it.
    """
    if any(site.site_id == other.site_id for other in ranking.prepared.sites):
        raise ModelInputError(f"a site {site.site_id!r} exists already; give the new one another site_id")
    return _changed(ranking, f"Adding {site.name} with {site.agents} agents", lambda sites: (*sites, site))


def close_site(ranking: Ranking, site_id: str) -> WhatIf:
    """Close a site; the other sites take its calls in proportion to their agents.

    Parameters
    ----------
    ranking
        Before the change.
    site_id
        The site to close.

    Returns
    -------
    difference
        Without the site minus with it.
    """
    site = _site(ranking, site_id)
    return _changed(
        ranking,
        f"Closing {site.name}",
        lambda sites: tuple(replace(s, agents=0) if s.site_id == site_id else s for s in sites),
    )


def move_agents(ranking: Ranking, from_site_id: str, to_site_id: str, agents: int) -> WhatIf:
    """Move agents from one site to another.

    Parameters
    ----------
    ranking
        Before the change.
    from_site_id, to_site_id
        Where from and where to.
    agents
        How many (count).

    Returns
    -------
    difference
        After the move minus before.
    """
    source, goal = _site(ranking, from_site_id), _site(ranking, to_site_id)
    if not 0 <= agents <= source.agents:
        raise ModelInputError(f"{agents} agents cannot leave {from_site_id!r}, which has {source.agents}")
    change = {from_site_id: -agents, to_site_id: agents}
    return _changed(
        ranking,
        f"Moving {agents} agents from {source.name} to {goal.name}",
        lambda sites: tuple(replace(s, agents=s.agents + change.get(s.site_id, 0)) for s in sites),
    )


def direct_connect(ranking: Ranking, site_id: str) -> WhatIf:
    """Give a site (or the hub that its traffic leaves through) a Direct Connect.

    Only the part from the edge router to AWS changes; the site's own network, a hub's detour, a home line or a
    virtual desktop stay as they are.

    Parameters
    ----------
    ranking
        Before the change.
    site_id
        The site.

    Returns
    -------
    difference
        With Direct Connect minus without; the note says where it is useless.
    """
    site = _site(ranking, site_id)
    edge = _site(ranking, site.via_site_id) if site.via_site_id else site
    note = direct_connect_note(ranking, site_id)
    if not _passes_an_edge(site):
        return replace(_changed(ranking, f"Direct Connect at {site.name}", tuple), note=note)
    return _changed(
        ranking,
        f"Direct Connect at {edge.name}",
        lambda sites: tuple(replace(s, access="direct_connect") if s.site_id == edge.site_id else s for s in sites),
        paths=tuple(s.site_id for s in ranking.prepared.sites if edge.site_id in {s.site_id, s.via_site_id}),
        note=note,
    )


def _passes_an_edge(site: Site) -> bool:
    return site.via_site_id is not None or site.access not in {"home", "vpn", "vdi"}


def direct_connect_note(ranking: Ranking, site_id: str) -> str:
    """Say what a Direct Connect would change for a site, and where it is useless.

    Parameters
    ----------
    ranking
        With a recommendation.
    site_id
        The site.

    Returns
    -------
    note
        Part of a sentence.
    """
    site = _site(ranking, site_id)
    if not _passes_an_edge(site):
        where = {"home": "a home line", "vpn": "a VPN", "vdi": "a virtual desktop"}[site.access]
        return f"useless here: agents reach AWS by {where} that does not pass an edge router of the client"
    edge = _site(ranking, site.via_site_id) if site.via_site_id else site
    before, after = _legs_to_edge(ranking, site, edge)
    note = "only from the edge router to AWS"
    if before > after:
        note += f"; most of the delay ({before:.0f} of {before + after:.0f} ms) lies before it, where it does not help"
    return note


def split_tunnel(ranking: Ranking, site_id: str) -> WhatIf:
    """Let the softphone's traffic of a VPN site leave locally.

    Parameters
    ----------
    ranking
        Before the change.
    site_id
        A site with access ``vpn``.

    Returns
    -------
    difference
        With the split tunnel minus without.
    """
    site = _site(ranking, site_id)
    if site.access != "vpn":
        raise ModelInputError(f"site {site_id!r} has access {site.access!r}; a split tunnel concerns a vpn")
    return _changed(
        ranking,
        f"Split tunnel for {site.name}",
        lambda sites: tuple(replace(s, access="home", via_site_id=None) if s.site_id == site_id else s for s in sites),
        paths=(site_id,),
    )


def local_breakout(ranking: Ranking, site_id: str) -> WhatIf:
    """Let a spoke's traffic leave at the site instead of through its hub.

    Parameters
    ----------
    ranking
        Before the change.
    site_id
        A site with a hub.

    Returns
    -------
    difference
        With local breakout minus through the hub.
    """
    site = _site(ranking, site_id)
    if site.via_site_id is None:
        raise ModelInputError(f"site {site_id!r} has no via_site_id: it leaves locally already")
    return _changed(
        ranking,
        f"Local breakout at {site.name} instead of through {site.via_site_id}",
        lambda sites: tuple(replace(s, via_site_id=None) if s.site_id == site_id else s for s in sites),
        paths=(site_id,),
    )


def fewer_circular_transfers(ranking: Ranking, by_pct: float) -> WhatIf:
    """Turn part of the circular transfers into internal ones.

    Parameters
    ----------
    ranking
        Before the change.
    by_pct
        Which part of them, 0 to 100 [%].

    Returns
    -------
    difference
        After the change minus before.
    """
    if not 0.0 <= by_pct <= 100.0:
        raise ModelInputError(f"{by_pct} % of the circular transfers are asked for; give 0 to 100")
    keep = 1.0 - by_pct / 100.0

    def fewer(targets: Sequence[TransferTarget]) -> tuple[TransferTarget, ...]:
        return tuple(replace(t, share_of_calls_pct=t.share_of_calls_pct * keep) if t.circular else t for t in targets)

    return _changed(ranking, f"{by_pct:.0f} % fewer circular transfers", tuple, transfers=fewer)


def _site(ranking: Ranking, site_id: str) -> Site:
    known = {site.site_id: site for site in ranking.prepared.sites}
    if site_id not in known:
        raise ModelInputError(f"site {site_id!r} does not exist; known sites are {', '.join(sorted(known))}")
    return known[site_id]


def _legs_to_edge(ranking: Ranking, site: Site, edge: Site) -> tuple[float, float]:
    """One way from the agents to the edge router, and from there to the recommended Region [ms]."""
    prepared, best = ranking.prepared, ranking.best
    column = best.placement.columns[0] if best is not None else 0
    row = prepared.point_of_site[[s.site_id for s in prepared.sites].index(site.site_id)]
    region = prepared.regions[column]
    found = prepared.distances(
        np.array([edge.latitude]),
        np.array([edge.longitude]),
        np.array([region.latitude]),
        np.array([region.longitude]),
        ends="access",
    )
    after = float(found.rtt_ms[0]) / 2.0
    whole = float(prepared.near_leg_ms[row, column])
    return max(whole - after, 0.0), min(after, whole)


def _changed(
    ranking: Ranking,
    what: str,
    sites: Callable[[Sequence[Site]], tuple[Site, ...]],
    *,
    transfers: Callable[[Sequence[TransferTarget]], tuple[TransferTarget, ...]] = tuple,
    paths: tuple[str, ...] = (),
    note: str = "",
) -> WhatIf:
    """Rank before and after a change, without the measurements of paths that it moves, and subtract."""
    if ranking.best is None:
        raise ModelInputError("no Region meets the constraints, so there is nothing to compare a change with")
    prepared = ranking.prepared
    kept = tuple(m for m in prepared.measurements if m.site_id not in paths)
    if len(kept) < len(prepared.measurements):
        note = "; ".join(
            filter(None, (note, "modelled before and after: today's measurements say nothing of another path"))
        )
    before = (
        ranking
        if len(kept) == len(prepared.measurements)
        else _again(ranking, prepared.sites, prepared.transfers, kept)
    )
    after = _again(ranking, sites(prepared.sites), transfers(prepared.transfers), kept)
    one, other = _same(before, ranking.best), _same(after, ranking.best)
    drawn = after.draws_of(other) - before.draws_of(one)
    total = other.statistics.total - one.statistics.total
    return WhatIf(
        what=what,
        regions=ranking.best.regions,
        ms_difference=float(total[MEAN]),
        ms_band=_band(drawn[:, MEAN]),
        mos_difference=float(total[MOS]),
        mos_band=_band(drawn[:, MOS]),
        over_limit_difference_pct=100.0 * float(total[OVER_LIMIT]),
        winner_after=after.best.regions if after.best is not None else (),
        note=note,
    )


def _again(
    ranking: Ranking,
    sites: tuple[Site, ...],
    transfers: tuple[TransferTarget, ...],
    measurements: tuple[SiteMeasurement, ...],
) -> Ranking:
    prepared = ranking.prepared
    best = ranking.best
    return rank_prepared(
        prepared.variant(sites, transfers, measurements),
        constraints=ranking.constraints,
        weights=ranking.weights or Weights(),
        instances=len(best.regions) if best is not None and best.option.kind == "instances" else 1,
        offers=ranking.offers,
    )


def _same(ranking: Ranking, option: Outcome) -> Outcome:
    return next(o for o in ranking.outcomes if o.regions == option.regions and o.option.kind == option.option.kind)


def _band(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> tuple[float, float]:
    low, high = np.quantile(values, (0.05, 0.95), method="inverted_cdf")
    return float(low), float(high)
