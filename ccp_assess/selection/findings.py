"""What the ranking says beyond the Region: transfers, rerouted audio, detours and lines, each with its figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ccp_assess.findings import Finding
from ccp_assess.selection.legs import read_leg_constants
from ccp_assess.selection.options import Weights
from ccp_assess.selection.outcomes import MEAN, MOS, OVER_LIMIT
from ccp_assess.selection.ranking import Outcome, Ranking
from ccp_assess.selection.sizing import size_sites
from ccp_assess.selection.whatif import direct_connect_note, local_breakout, split_tunnel

CODES = (
    "ANCHORED_TRANSFERS",
    "CIRCULAR_TRANSFERS",
    "REROUTED_AUDIO",
    "HUB_DETOUR",
    "VPN_DETOUR",
    "DIRECT_CONNECT_USELESS",
    "SITE_OVER_LIMIT",
    "CALLERS_OVER_LIMIT",
    "UPLINK_TOO_SMALL",
    "UPLINK_TIGHT",
)


def ranking_findings(ranking: Ranking, *, calls_per_month: float | None = None) -> tuple[Finding, ...]:
    """Tell what the recommended option means for transfers, devices, paths and lines.

    Parameters
    ----------
    ranking
        Any ranking with a recommendation.
    calls_per_month
        How many calls the client has; without it figures are per 1,000 calls (count).

    Returns
    -------
    findings
        Gravest first; empty where there is no recommendation.
    """
    best = ranking.best
    if best is None:
        return ()
    if ranking.prepared.use_case.codec is None:  # without audio only the lines remain
        return tuple(_lines(ranking))
    found = [
        *_transfers(ranking, best, calls_per_month),
        *_reroutes(ranking, best),
        *_paths(ranking),
        *_over_limit(ranking, best),
        *_lines(ranking),
    ]
    order = {"critical": 0, "warning": 1, "info": 2}
    return tuple(sorted(found, key=lambda finding: (order[finding.severity], CODES.index(finding.code))))


def _transfers(ranking: Ranking, best: Outcome, calls_per_month: float | None) -> Iterator[Finding]:
    prepared, shares = ranking.prepared, ranking.shares
    calls = calls_per_month or 1000.0
    scope = "a month" if calls_per_month else "per 1,000 calls"
    minutes = read_leg_constants()["minutes_after_transfer_min"]
    circular = np.array([target.circular for target in prepared.transfers], dtype=bool)
    external = shares.transfers[~circular].sum() if circular.size else 0.0
    region = " + ".join(best.regions)
    if external > 0:
        count = calls * float(external)
        yield Finding(
            code="ANCHORED_TRANSFERS",
            severity="info",
            text=(
                f"{100 * external:.1f} % of calls are transferred to the outside and stay anchored to {region}: "
                f"{count:.0f} calls and about {count * minutes.value:.0f} minutes {scope} for which usage is "
                "charged on "
                "after the agent has left. They are not recorded from then on, and their contact records and "
                "recordings "
                "come only after the end."
            ),
            evidence={
                "share_of_calls_pct": 100.0 * float(external),
                "anchored_calls": count,
                "anchored_minutes": count * minutes.value,
                "anchored_minutes_band": [count * minutes.low, count * minutes.high],
                "unrecorded_calls": count,
                "late_contact_records": count,
                "minutes_after_transfer_min": minutes.value,
                "basis": minutes.basis,
            },
        )
    back = shares.transfers[circular].sum() if circular.size else 0.0
    if back > 0:
        without = replace(shares, transfers=np.where(circular, 0.0, shares.transfers))
        change = prepared.statistics(best.placement, without, Weights()).total - best.statistics.total
        used = circular & (shares.transfers > 0)
        given = best.statistics.given_target[used]
        plain = best.statistics.parts[[name for name, _ in best.statistics.names].index("agents")]
        slower = float(np.average(given[:, MEAN], weights=shares.transfers[used]) - plain[MEAN])
        yield Finding(
            code="CIRCULAR_TRANSFERS",
            severity="warning",
            text=(
                f"{100 * back:.1f} % of calls leave the Region and come back: they take {slower:.0f} ms longer than a "
                "direct call, since the telephone network is passed twice more. As internal transfers (queues, quick "
                f"connects) they would change the mean over all calls by {change[MEAN]:+.1f} ms and "
                f"{change[MOS]:+.3f} MOS."
            ),
            evidence={
                "share_of_calls_pct": 100.0 * float(back),
                "longer_ms": slower,
                "ms_difference": float(change[MEAN]),
                "mos_difference": float(change[MOS]),
                "targets": [t.target_id for t in prepared.transfers if t.circular and t.share_of_calls_pct > 0],
            },
        )


def _reroutes(ranking: Ranking, best: Outcome) -> Iterator[Finding]:
    prepared = ranking.prepared
    for index, reroute in enumerate(prepared.reroutes):
        near = len(prepared.points) + index
        given = best.statistics.by_near[near]
        if np.isnan(given[MEAN]):
            continue
        yield Finding(
            code="REROUTED_AUDIO",
            severity="warning" if given[OVER_LIMIT] > 0 else "info",
            text=(
                f"Audio of {reroute.share_of_agents_pct:.0f} % of the agents of {reroute.site_id} goes by an outbound "
                f"call to {reroute.place or 'a device'}: {given[MEAN]:.0f} ms from mouth to ear "
                f"(MOS {given[MOS]:.2f}). An agent whose device is not answered goes to missed contact and stays "
                "there until the state is changed."
            ),
            evidence={
                "site_id": reroute.site_id,
                "share_of_agents_pct": reroute.share_of_agents_pct,
                "mouth_to_ear_ms": float(given[MEAN]),
                "mos_cqe": float(given[MOS]),
                "missed_contact_risk": "each unanswered device",
            },
        )


def _paths(ranking: Ranking) -> Iterator[Finding]:
    sites = ranking.prepared.sites
    if len(sites) > 50:  # one ranking each: only where that takes a moment
        return
    for site in sites:
        if site.agents <= 0:
            continue
        if site.access == "vpn":
            change, code = split_tunnel(ranking, site.site_id), "VPN_DETOUR"
        elif site.via_site_id is not None:
            change, code = local_breakout(ranking, site.site_id), "HUB_DETOUR"
        else:
            change, code = None, ""
        if change is not None and change.ms_difference < 0:
            yield Finding(
                code=code,
                severity="warning",
                text=change.sentence,
                evidence={
                    "site_id": site.site_id,
                    "ms_difference": change.ms_difference,
                    "ms_band": list(change.ms_band),
                    "mos_difference": change.mos_difference,
                },
            )
        if site.access == "direct_connect" or site.via_site_id is not None:
            note = direct_connect_note(ranking, site.site_id)
            if "does not help" in note:
                yield Finding(
                    code="DIRECT_CONNECT_USELESS",
                    severity="info",
                    text=f"Direct Connect for {site.name}: {note}.",
                    evidence={"site_id": site.site_id},
                )


def _over_limit(ranking: Ranking, best: Outcome) -> Iterator[Finding]:
    prepared, limit = ranking.prepared, ranking.prepared.limits_ms[2]
    for site, point in zip(prepared.sites, prepared.point_of_site, strict=True):
        given = best.statistics.by_near[point]
        if site.agents > 0 and given[OVER_LIMIT] >= 0.5:
            yield Finding(
                code="SITE_OVER_LIMIT",
                severity="critical",
                text=(
                    f"At {site.name} {100 * given[OVER_LIMIT]:.0f} % of calls would exceed {limit:.0f} ms from "
                    "mouth to "
                    f"ear (mean {given[MEAN]:.0f} ms, MOS {given[MOS]:.2f}), the limit of ITU-T G.114."
                ),
                evidence={
                    "site_id": site.site_id,
                    "share_over_limit_pct": 100.0 * float(given[OVER_LIMIT]),
                    "mouth_to_ear_ms": float(given[MEAN]),
                },
            )
    for index in () if prepared.callers_assumed else prepared.row_order["callers"]:
        origin, given = prepared.callers[index], best.statistics.by_origin[index]
        if given[OVER_LIMIT] >= 0.5:
            yield Finding(
                code="CALLERS_OVER_LIMIT",
                severity="warning",
                text=(
                    f"Callers from {origin.place or origin.country or origin.origin_id} would hear more than "
                    f"{limit:.0f} ms of delay in {100 * given[OVER_LIMIT]:.0f} % of calls "
                    f"(mean {given[MEAN]:.0f} ms, MOS {given[MOS]:.2f})."
                ),
                evidence={
                    "origin_id": origin.origin_id,
                    "share_over_limit_pct": 100.0 * float(given[OVER_LIMIT]),
                    "mouth_to_ear_ms": float(given[MEAN]),
                },
            )


def _lines(ranking: Ranking) -> Iterator[Finding]:
    for sizing in size_sites(ranking.prepared.sites):
        if sizing.verdict not in {"too_small", "tight"}:
            continue
        yield Finding(
            code="UPLINK_TOO_SMALL" if sizing.verdict == "too_small" else "UPLINK_TIGHT",
            severity="critical" if sizing.verdict == "too_small" else "warning",
            text=(
                f"The line of {sizing.site_id} ({sizing.uplink_mbps:.0f} Mbit/s) would carry "
                f"{sizing.documented_mbps:.1f} Mbit/s of softphone traffic for {sizing.agents} agents by AWS's "
                f"figure ({sizing.used_pct:.0f} % of it)."
            ),
            evidence={
                "site_id": sizing.site_id,
                "documented_mbps": sizing.documented_mbps,
                "uplink_mbps": sizing.uplink_mbps,
                "used_pct": sizing.used_pct,
            },
        )
