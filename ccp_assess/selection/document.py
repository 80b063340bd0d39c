"""A ranking as the JSON document of ``ccp-assess regions rank``, and in words."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from ccp_assess.regions import region_by_code
from ccp_assess.selection.certainty import (
    Doubt,
    TippingPoint,
    doubt,
    literal_answers,
    pareto,
    tipping_points,
    value_of_measuring,
)
from ccp_assess.selection.findings import ranking_findings
from ccp_assess.selection.journeys import handling_parts
from ccp_assess.selection.legs import read_leg_constants
from ccp_assess.selection.options import unknown_services
from ccp_assess.selection.outcomes import MEAN, MOS, OVER_150, OVER_300, OVER_LIMIT
from ccp_assess.selection.ranking import Outcome, Ranking
from ccp_assess.selection.sizing import size_sites
from ccp_assess.selection.uncounted import uncounted_journeys


def ranking_document(ranking: Ranking) -> dict[str, Any]:
    """Write a ranking as a document.

    Parameters
    ----------
    ranking
        Any ranking.

    Returns
    -------
    document
        The contract's ``options`` and ``recommendation``, and what stands behind them.
    """
    document = _document(ranking)
    return document if _has_audio(ranking) else cast("dict[str, Any]", _without_quality(document))


def _document(ranking: Ranking) -> dict[str, Any]:
    doubts, tips = doubt(ranking), tipping_points(ranking)
    return {
        "options": [_option(ranking, outcome) for outcome in ranking.outcomes],
        "recommendation": _recommendation(ranking, doubts, tips),
        "handling": [
            {"what": part.what, "one_way_ms": part.one_way_ms, "basis": part.basis, "source": part.source}
            for part in handling_parts(ranking.prepared.use_case.handling)
        ],
        "certainty": _certainty(ranking, doubts),
        "value_of_measuring": [
            {
                "what": value.what,
                "subject": value.subject,
                "doubt_explained_pct": value.doubt_explained_pct,
                "wrong_now_pct": value.wrong_now_pct,
                "wrong_after_pct": value.wrong_after_pct,
            }
            for value in value_of_measuring(ranking)
        ],
        "literal_answers": [
            {
                "question": answer.question,
                "regions": list(answer.regions),
                "distance_km": answer.distance_km,
                "agrees": answer.agrees,
                "reason": answer.reason,
            }
            for answer in literal_answers(ranking)
        ],
        "pareto": [
            {
                "regions": list(point.regions),
                "agent_leg_ms": point.agent_leg_ms,
                "caller_leg_ms": point.caller_leg_ms,
                "efficient": point.efficient,
            }
            for point in pareto(ranking)
        ],
        "findings": [
            {
                "code": finding.code,
                "severity": finding.severity,
                "text": finding.text,
                "evidence": finding.evidence,
            }
            for finding in ranking_findings(ranking)
        ],
        "sizing": [
            {
                "site_id": row.site_id,
                "agents": row.agents,
                "documented_mbps": row.documented_mbps,
                "measured_mbps": row.measured_mbps,
                "measured_basis": row.measured_basis,
                "uplink_mbps": row.uplink_mbps,
                "used_pct": row.used_pct,
                "nat_ports": row.nat_ports,
                "verdict": row.verdict,
                "media_leaves": row.media_leaves,
            }
            for row in size_sites(ranking.prepared.sites)
        ],
        "rule": {
            "text": "expected share of calls over the limit, then expected mean MOS (both averaged over the "
            "distributions of all legs: `expected` of each option); among equals fewer instances, then fewer hops",
            "limit_ms": ranking.prepared.limits_ms[2],
            "close_share_pct": 100.0 * ranking.rule.close_share,
            "close_mos": ranking.rule.close_mos,
            "weights": {
                "agents": ranking.weights.agents,
                "callers": ranking.weights.callers,
                "transfers": ranking.weights.transfers,
                "hops": ranking.weights.hops,
            },
            "use_case": ranking.prepared.use_case.name,
            "scale": ranking.prepared.use_case.curve,
            "codec": ranking.prepared.use_case.codec,
        },
    }


def _option(ranking: Ranking, outcome: Outcome) -> dict[str, Any]:
    total = outcome.statistics.total
    found = outcome.percentiles
    simulated = _is_simulated(ranking, outcome)
    drawn = ranking.draws_of(outcome) if simulated else None
    probability = ranking.probabilities.get(outcome.regions) if outcome.rank is not None else None
    expected = ranking.expected_of(outcome)
    reasons = list(outcome.option.excluded_by)
    reasons += [f"instances: nobody would be served best by {code}" for code in outcome.empty_instances]
    return {
        "regions": list(outcome.regions),
        "kind": outcome.option.kind,
        "rank": outcome.rank,
        "excluded_by": reasons,
        "mouth_to_ear_ms": {"mean": total[MEAN], "p50": found.p50_ms, "p95": found.p95_ms, "band": _band(drawn, MEAN)},
        "mos_cqe": {"mean": total[MOS], "p05": found.mos_p05, "band": _band(drawn, MOS)},
        "share_over_150_ms_pct": 100.0 * total[OVER_150],
        "share_over_300_ms_pct": 100.0 * total[OVER_300],
        "share_over_400_ms_pct": 100.0 * total[OVER_LIMIT],
        "share_over_400_ms_band_pct": _band(drawn, OVER_LIMIT, 100.0),
        "expected": {
            "mouth_to_ear_ms": expected[MEAN],
            "mos_cqe": expected[MOS],
            "share_over_400_ms_pct": 100.0 * expected[OVER_LIMIT],
        },
        "probability_best_pct": probability,
        "hop_count": outcome.hop_count,
        "hops_known_pct": outcome.hops_known_pct,
        "worst_site": _worst_site(ranking, outcome),
        "worst_caller_origin": _worst_origin(ranking, outcome),
        "by_site": _by_site(ranking, outcome) if simulated or not _is_wide(ranking) else [],
        "by_caller_origin": _by_origin(ranking, outcome),
        "by_transfer": _by_transfer(ranking, outcome),
        "by_reroute": _by_reroute(ranking, outcome),
        "journeys": _journeys(ranking, outcome),
        "instances": _instances(ranking, outcome),
        "failover": _failover(outcome),
    }


def _band(drawn: Any, column: int, scale: float = 1.0) -> list[float] | None:
    """5 and 95 % of a statistic over the simulated worlds; ``None`` where the option was not simulated."""
    if drawn is None:
        return None
    low, high = np.quantile(drawn[:, column], (0.05, 0.95), method="inverted_cdf")
    return [scale * float(low), scale * float(high)]


def _is_simulated(ranking: Ranking, outcome: Outcome) -> bool:
    """Whether bands are told: not for combinations that cannot win, nor for excluded options of very large clients."""
    if outcome.option.kind == "instances":
        return outcome in ranking.simulated
    return outcome.rank is not None or not ranking.prepared.is_large


def _is_wide(ranking: Ranking) -> bool:
    """Whether there are so many sites that combinations which were not simulated leave out their rows."""
    return len(ranking.prepared.sites) > _MOST_DETAILED and len(ranking.outcomes) > 2 * len(ranking.prepared.regions)


_MOST_DETAILED = 500
"""Sites up to which every option tells how each leg is made up; beyond it only the contract's fields are told."""


def _by_site(ranking: Ranking, outcome: Outcome) -> list[dict[str, Any]]:
    prepared, placement, table = ranking.prepared, outcome.placement, ranking.prepared.agent_table
    points = np.array(prepared.point_of_site)
    columns = np.array(placement.columns)[placement.near[points]]
    codes = [region.region_code for region in prepared.regions]
    legs = prepared.near_leg_ms[points, columns].tolist()
    hops = table.hops[points, columns].tolist()
    bases = table.basis[points, columns].tolist()
    rows = [
        {
            "site_id": site.site_id,
            "region_code": codes[column],
            "agent_leg_ms": leg,
            "hop_count": None if hop != hop else int(hop),  # noqa: PLR0124 - NaN is unknown
            "basis": basis,
        }
        for site, column, leg, hop, basis in zip(prepared.sites, columns, legs, hops, bases, strict=True)
    ]
    if len(rows) <= _MOST_DETAILED:
        extra_ms = table.extra_ms
        for row, point, column in zip(rows, points, columns, strict=True):
            row.update(_site_detail(ranking, outcome, int(point), int(column), float(extra_ms[point, column])))
    return rows


def _site_detail(ranking: Ranking, outcome: Outcome, point: int, column: int, extra: float) -> dict[str, Any]:
    table, network = ranking.prepared.agent_table, ranking.prepared.agent_table.network
    given, about = outcome.statistics.by_near[point], ranking.prepared.points[point]
    return {
        "band_ms": [network.low[point, column] + extra, network.high[point, column] + extra],
        "network_ms": network.median[point, column],
        "access_ms": extra,
        "access_parts": []
        if table.basis[point, column] == "measured"
        else [{"name": e.name, "one_way_ms": e.one_way_ms} for e in table.extras[point]],
        "distance_km": table.distance_km[point, column],
        "loss_pct": about.loss_pct,
        "mouth_to_ear_ms": _known(given[MEAN]),
        "mos_cqe": _known(given[MOS]),
        "share_over_400_ms_pct": _known(100.0 * given[OVER_LIMIT]),
        "measured_by": _measured_by(about.measured.get(ranking.prepared.regions[column].region_code)),
    }


def _known(value: Any) -> float | None:
    """Unknown is ``None``: nobody there, so nothing is heard."""
    return None if np.isnan(value) else float(value)


def _measured_by(measurement: Any) -> dict[str, Any] | None:
    if measurement is None:
        return None
    return {
        "via": measurement.via,
        "rtt_p50_ms": measurement.median_ms,
        "samples": len(measurement.rtt_ms) or None,
        "source": measurement.source,
        "vantage": measurement.vantage,
    }


def _by_origin(ranking: Ranking, outcome: Outcome) -> list[dict[str, Any]]:
    prepared, placement = ranking.prepared, outcome.placement
    if prepared.callers_assumed:
        return []
    rows = []
    network = prepared.caller_table.network
    for index in prepared.row_order["callers"]:
        origin = prepared.callers[index]
        column = placement.columns[placement.origins[index]]
        leg = prepared.caller_leg_ms[index, column]
        median = network.median[index, column]
        given = outcome.statistics.by_origin[index]
        rows.append(
            {
                "origin_id": origin.origin_id,
                "region_code": prepared.regions[column].region_code,
                "caller_leg_ms": leg,
                "band_ms": [leg - median + network.low[index, column], leg - median + network.high[index, column]],
                "basis": "modelled",
                "line": origin.line,
                "distance_km": prepared.caller_table.distance_km[index, column],
                "mouth_to_ear_ms": _known(given[MEAN]),
                "mos_cqe": _known(given[MOS]),
                "share_over_400_ms_pct": _known(100.0 * given[OVER_LIMIT]),
            }
        )
    return rows


def _by_transfer(ranking: Ranking, outcome: Outcome) -> list[dict[str, Any]]:
    prepared = ranking.prepared
    column = outcome.placement.columns[0]
    return [
        {
            "target_id": target.target_id,
            "region_code": prepared.regions[column].region_code,
            "leg_ms": prepared.transfer_leg_ms[index, column],
            "circular": target.circular,
            "basis": "modelled",
            "distance_km": prepared.transfer_table.distance_km[index, column],
            "mouth_to_ear_ms": _known(outcome.statistics.given_target[index, MEAN]),
            "mos_cqe": _known(outcome.statistics.given_target[index, MOS]),
        }
        for index, target in ((row, prepared.transfers[row]) for row in prepared.row_order["transfers"])
    ]


def _by_reroute(ranking: Ranking, outcome: Outcome) -> list[dict[str, Any]]:
    prepared, rows = ranking.prepared, []
    for index in prepared.row_order["reroutes"]:
        reroute = prepared.reroutes[index]
        near = len(prepared.points) + index
        column = outcome.placement.columns[outcome.placement.near[near]]
        rows.append(
            {
                "site_id": reroute.site_id,
                "place": reroute.place,
                "region_code": prepared.regions[column].region_code,
                "leg_ms": prepared.near_leg_ms[near, column],
                "basis": "modelled",
                "mouth_to_ear_ms": _known(outcome.statistics.by_near[near, MEAN]),
                "mos_cqe": _known(outcome.statistics.by_near[near, MOS]),
            }
        )
    return rows


_JOURNEYS = {
    "agents": "inbound and outbound calls with agents",
    "circular": "circular transfers (out to the target and back to an agent)",
    "external": "external transfers (anchored to the Region)",
}


def _journeys(ranking: Ranking, outcome: Outcome) -> list[dict[str, Any]]:
    prepared, statistics = ranking.prepared, outcome.statistics
    whole = sum(component.weight for component in statistics.components)
    return [
        {
            "journey": name,
            "text": _JOURNEYS[name],
            "region_code": prepared.regions[column].region_code,
            "share_pct": 100.0 * component.weight / whole,
            "mouth_to_ear_ms": part[MEAN],
            "mos_cqe": part[MOS],
            "share_over_400_ms_pct": 100.0 * part[OVER_LIMIT],
        }
        for (name, column), component, part in zip(
            statistics.names, statistics.components, statistics.parts, strict=True
        )
    ] + [
        {
            "journey": row.journey,
            "text": f"{row.text}; no share is known, so they do not count in the ranking",
            "region_code": row.region_code,
            "share_pct": None,
            "mouth_to_ear_ms": row.mouth_to_ear_ms,
            "mos_cqe": row.mos_cqe,
            "share_over_400_ms_pct": row.share_over_400_ms_pct,
        }
        for row in uncounted_journeys(ranking, outcome)
    ]


def _instances(ranking: Ranking, outcome: Outcome) -> list[dict[str, Any]]:
    """Share of calls and agents per instance, and which origins' number it publishes."""
    prepared, shares, placement = ranking.prepared, ranking.shares, outcome.placement
    if outcome.option.kind != "instances":
        return []
    return [
        {
            "region_code": prepared.regions[column].region_code,
            "agents_pct": 100.0 * float(shares.near[placement.near == instance].sum()),
            "calls_pct": 100.0 * float(shares.origins[placement.origins == instance].sum()),
            "numbers_for": [
                origin.origin_id
                for origin, where in zip(prepared.callers, placement.origins, strict=True)
                if where == instance
            ],
        }
        for instance, column in enumerate(placement.columns)
    ]


def _failover(outcome: Outcome) -> dict[str, Any] | None:
    if outcome.failover is None:
        return None
    total = outcome.failover.total
    return {
        "region_code": outcome.regions[1],
        "mouth_to_ear_ms": total[MEAN],
        "mos_cqe": total[MOS],
        "share_over_400_ms_pct": 100.0 * total[OVER_LIMIT],
    }


def _worst_site(ranking: Ranking, outcome: Outcome) -> dict[str, Any] | None:
    prepared = ranking.prepared
    given = outcome.statistics.by_near[np.array(prepared.point_of_site)]
    row = _worst(given, [site.site_id for site in prepared.sites])
    return None if row is None else {"site_id": prepared.sites[row].site_id, **_heard(given[row])}


def _worst_origin(ranking: Ranking, outcome: Outcome) -> dict[str, Any] | None:
    prepared, given = ranking.prepared, outcome.statistics.by_origin
    row = None if prepared.callers_assumed else _worst(given, [origin.origin_id for origin in prepared.callers])
    return None if row is None else {"origin_id": prepared.callers[row].origin_id, **_heard(given[row])}


def _worst(given: Any, names: list[str]) -> int | None:
    """Row with the lowest MOS, then the longest delay, then the first name; ``None`` where nobody is heard."""
    heard = np.flatnonzero(~np.isnan(given[:, MOS]))
    return min(heard.tolist(), key=lambda row: (given[row, MOS], -given[row, MEAN], names[row]), default=None)


def _heard(given: Any) -> dict[str, float]:
    return {"mouth_to_ear_ms": float(given[MEAN]), "mos_cqe": float(given[MOS])}


def _certainty(ranking: Ranking, doubts: Doubt | None) -> dict[str, Any]:
    return {
        "draws": ranking.prepared.draw_count,
        "seed": ranking.prepared.seed,
        "difference_to_runner_up": doubts
        and {
            "mos": doubts.mos_difference,
            "mos_band": list(doubts.mos_band),
            "mouth_to_ear_ms": doubts.ms_difference,
            "mouth_to_ear_band_ms": list(doubts.ms_band),
        },
        "variance_pct": doubts and doubts.variance_pct,
        "too_close_to_call": bool(doubts and doubts.too_close),
        "decided_by_assumptions": bool(doubts and doubts.by_assumption),
        "decided_by_hops": bool(doubts and doubts.by_hops),
    }


# --- words -----------------------------------------------------------------------------------------------------


def region_words(regions: tuple[str, ...]) -> str:
    """Name Regions for people.

    Parameters
    ----------
    regions
        Region codes.

    Returns
    -------
    words
        Name and code of each.

    Examples
    --------
    >>> region_words(("eu-west-2",))
    'Europe (London), eu-west-2'
    """
    return " and ".join(f"{region_by_code(code).name}, {code}" for code in regions)


def _recommendation(ranking: Ranking, doubts: Doubt | None, tips: tuple[TippingPoint, ...]) -> dict[str, Any]:
    best, second = ranking.best, ranking.runner_up
    return {
        "regions": list(best.regions) if best else [],
        "runner_up": list(second.regions) if second else [],
        "sentences": _sentences(ranking, doubts, tips),
        "reasons": _reasons(ranking, doubts),
        "tipping_points": [
            {
                "what": _what(tip),
                "kind": tip.kind,
                "subject": tip.subject,
                "from": tip.now_pct,
                "to": tip.then_pct,
                "winner_becomes": list(tip.winner_becomes),
                "text": tip.text,
            }
            for tip in tips
        ],
        "caveats": _caveats(ranking, doubts),
    }


def _what(tip: TippingPoint) -> str:
    return {
        "call_share": f"share of callers in {tip.subject} [%]",
        "agents": f"share of agents at {tip.subject} [%]",
        "transfers": f"share of calls transferred to {tip.subject} [%]",
    }[tip.kind]


def _has_audio(ranking: Ranking) -> bool:
    return ranking.prepared.use_case.codec is not None


def _quality(ranking: Ranking, mos: float) -> str:
    """Say a MOS in brackets, with its scale unless it is the narrowband one; nothing where there is no audio."""
    if not _has_audio(ranking):
        return ""
    scale = ranking.prepared.use_case.curve
    return f" (MOS {mos:.2f})" if scale == "narrowband" else f" (MOS {mos:.2f}, {scale})"


_QUALITY_KEYS = {"mos_cqe", "mos", "mos_band", "mos_difference"}


def _without_quality(value: Any) -> Any:
    """Make every MOS unknown, where there is no audio to rate."""
    if isinstance(value, dict):
        return {key: _unknown(item) if key in _QUALITY_KEYS else _without_quality(item) for key, item in value.items()}
    return [_without_quality(item) for item in value] if isinstance(value, list) else value


def _unknown(value: Any) -> Any:
    return dict.fromkeys(value) if isinstance(value, dict) else None


def _sentences(ranking: Ranking, doubts: Doubt | None, tips: tuple[TippingPoint, ...]) -> list[str]:
    best, second = ranking.best, ranking.runner_up
    if best is None:
        return _nothing_left(ranking)
    total = best.statistics.total
    limit = ranking.prepared.limits_ms[2]
    if best.option.kind == "pair":
        where = f"the Global Resiliency pair {region_words(best.regions)} (source first)"
    elif len(best.regions) > 1:
        where = f"{len(best.regions)} instances: {region_words(best.regions)}"
    else:
        where = f"the instance in {region_words(best.regions)}"
    if best.option.kind == "pair":
        where = f"the instance in {where}"
    takes = f"a call would take {total[MEAN]:.0f} ms from mouth to ear on average{_quality(ranking, total[MOS])}"
    first = f"Create {where}: {takes}, and {100 * total[OVER_LIMIT]:.1f} % of calls would exceed {limit:.0f} ms."
    if not _has_audio(ranking):
        first = f"Create {where}: a message would take {total[MEAN]:.0f} ms one way on average."
    if second is None or doubts is None:
        return [first, "No other option meets the constraints.", _third(ranking, tips)]
    other = second.statistics.total
    sure = _how_sure(ranking, doubts)
    next_best = f"{region_words(second.regions)} comes second with {other[MEAN]:.0f} ms{_quality(ranking, other[MOS])}"
    return [first, f"{next_best}; {sure}.", _third(ranking, tips)]


def _how_sure(ranking: Ranking, doubts: Doubt) -> str:
    best = ranking.best
    assert best is not None  # noqa: S101 - only called with a best option
    probability = ranking.probabilities.get(best.regions, 0.0)
    unmeasured = doubts.variance_pct["modelled"] + doubts.variance_pct["assumed"]
    rests = ""
    if doubts.by_assumption:
        rests = f"decided by assumptions, since modelled and assumed legs carry {unmeasured:.0f} % of the doubt, and "
    verdict = "too close to call: " if doubts.too_close else ""
    if doubts.by_hops:
        verdict = "the two count as equally good and fewer hops decide: "
    count = f"best in {probability:.0f} % of {ranking.prepared.draw_count} simulated cases"
    leader = more_often_best(ranking)
    if leader is None:
        return f"{rests}{verdict}the first is {count}"
    often = ranking.probabilities[leader.regions]
    return (
        f"{rests}{verdict}the first is {count} and {' + '.join(leader.regions)} in {often:.0f} %, so more often; the "
        f"first is recommended for {_advantage(ranking, best, leader)} over all cases together"
    )


def more_often_best(ranking: Ranking) -> Outcome | None:
    """Name the option that is best in more simulated worlds than the recommended one.

    Parameters
    ----------
    ranking
        Any ranking.

    Returns
    -------
    option
        ``None`` where the recommended one is best most often, as nearly always.
    """
    best, found = ranking.best, ranking.probabilities
    if best is None or not found:
        return None
    leader = max(ranking.simulated, key=lambda outcome: (found[outcome.regions], -(outcome.rank or 0)))
    return leader if found[leader.regions] > found.get(best.regions, 0.0) else None


def _advantage(ranking: Ranking, best: Outcome, other: Outcome) -> str:
    """Say what the rule preferred the first option for."""
    one, two, limit = best.expected.total, other.expected.total, ranking.prepared.limits_ms[2]
    if two[OVER_LIMIT] - one[OVER_LIMIT] > ranking.rule.close_share:
        return f"fewer calls over {limit:.0f} ms ({100 * one[OVER_LIMIT]:.1f} % against {100 * two[OVER_LIMIT]:.1f} %)"
    if len(best.regions) < len(other.regions) and other.option.kind == "instances":
        return "fewer instances at the same quality"
    if best.hop_count is not None and other.hop_count is not None and best.hop_count < other.hop_count:
        return "fewer hops at the same quality"
    if not _has_audio(ranking):
        return f"a shorter delay ({one[MEAN]:.0f} ms against {two[MEAN]:.0f} ms)"
    return f"the higher MOS ({one[MOS]:.3f} against {two[MOS]:.3f})"


def _third(ranking: Ranking, tips: tuple[TippingPoint, ...]) -> str:
    if tips:
        return f"What would change it: {tips[0].text}."
    worst = ranking.best and _worst_site(ranking, ranking.best)
    if worst:
        return (
            "No single share of callers, agents or transfers would change it; the site with the lowest quality is "
            f"{worst['site_id']} with {worst['mouth_to_ear_ms']:.0f} ms{_quality(ranking, worst['mos_cqe'])}."
        )
    return "No single share of callers, agents or transfers would change it."


def _nothing_left(ranking: Ranking) -> list[str]:
    causes: dict[str, list[str]] = {}
    for outcome in ranking.outcomes:
        for reason in outcome.option.excluded_by:
            causes.setdefault(reason.split(":")[0], []).append("+".join(outcome.regions))
    listed = "; ".join(f"{cause} excludes {len(set(codes))}" for cause, codes in causes.items())
    return [
        "No Region meets all constraints, so there is no recommendation.",
        f"Of {len(ranking.outcomes)} options: {listed}.",
        "Loosen one of these constraints in client.toml, or ask which of them is really meant.",
    ]


def _reasons(ranking: Ranking, doubts: Doubt | None) -> list[str]:
    best, second = ranking.best, ranking.runner_up
    if best is None:
        return _nothing_left(ranking)[1:2]
    total, limit = best.statistics.total, ranking.prepared.limits_ms[2]
    reasons = [
        (
            f"{100 * total[OVER_LIMIT]:.1f} % of calls over {limit:.0f} ms (G.114), {100 * total[OVER_150]:.1f} % "
            f"over 150 ms; mean MOS {total[MOS]:.2f}, 95 % of calls within {best.percentiles.p95_ms:.0f} ms"
        )
    ]
    if not _has_audio(ranking):
        reasons = [f"mean one-way delay {total[MEAN]:.0f} ms, 95 % of messages within {best.percentiles.p95_ms:.0f} ms"]
    expected = ranking.expected_of(best)
    if _has_audio(ranking):
        reasons.append(
            f"averaged over all that is uncertain (what the rule compares): {100 * expected[OVER_LIMIT]:.1f} % of "
            f"calls over {limit:.0f} ms, MOS {expected[MOS]:.2f}, {expected[MEAN]:.0f} ms"
            + _next_expected(ranking, second)
        )
    if second is not None and doubts is not None and _has_audio(ranking):
        reasons.append(
            f"against {' + '.join(second.regions)}: {doubts.ms_difference:+z.0f} ms mean mouth-to-ear delay "
            f"(90 % band {doubts.ms_band[0]:+z.0f} to {doubts.ms_band[1]:+z.0f} ms) and "
            f"{doubts.mos_difference:+z.2f} MOS ({doubts.mos_band[0]:+z.2f} to {doubts.mos_band[1]:+z.2f})"
        )
    if best.hop_count is not None:
        reasons.append(f"{best.hop_count:.1f} hops on average between agents and the Region")
    reasons.extend(
        f"AWS's rule `{answer.question}`, taken literally, gives {' + '.join(answer.regions)}: {answer.reason}"
        for answer in literal_answers(ranking)
    )
    excluded = sum(1 for outcome in ranking.outcomes if outcome.option.excluded_by)
    if excluded:
        reasons.append(f"{excluded} options were excluded before the comparison; each says by what")
    return reasons


def _next_expected(ranking: Ranking, second: Outcome | None) -> str:
    if second is None:
        return ""
    other = ranking.expected_of(second)
    return (
        f"; {' + '.join(second.regions)}: {100 * other[OVER_LIMIT]:.1f} %, MOS {other[MOS]:.2f}, {other[MEAN]:.0f} ms"
    )


def _caveats(ranking: Ranking, doubts: Doubt | None) -> list[str]:
    prepared, best = ranking.prepared, ranking.best
    caveats = [prepared.use_case.note] if prepared.use_case.note else []
    if prepared.callers_assumed:
        caveats.append(
            "No callers are given: they are taken to be where the agents are, which favours Regions near the agents. "
            "Fill in callers.csv."
        )
    if best is None:
        return caveats
    rows = _by_site(ranking, best)
    modelled = sorted(str(row["site_id"]) for row in rows if row["basis"] != "measured")
    if modelled:
        shown = ", ".join(modelled[:5]) + (f" and {len(modelled) - 5} more" if len(modelled) > 5 else "")
        caveats.append(f"The agent legs of {shown} to {' + '.join(best.regions)} are modelled, not measured.")
    bench = sorted(
        {m.site_id for point in prepared.points for m in point.measured.values() if "bench" in (m.vantage or "")}
    )
    if bench:
        caveats.append(f"Measurements of {', '.join(bench)} come from a test bench, not from the site.")
    lossless = sorted(
        site.site_id
        for site, point in zip(prepared.sites, prepared.point_of_site, strict=True)
        if prepared.points[point].loss_pct is None
    )
    if lossless:
        shown = ", ".join(lossless[:5]) + (f" and {len(lossless) - 5} more" if len(lossless) > 5 else "")
        caveats.append(f"Packet loss at {shown} is unknown and counted as none: a capture would tell.")
    caveats.extend(
        f"Whether {' + '.join(best.regions)} offers {service} is not in the services table: ask AWS."
        for service in unknown_services(ranking.constraints, best.regions, ranking.offers)
    )
    caveats.extend(region_by_code(code).note for code in best.regions if region_by_code(code).note)
    combined = sum(1 for outcome in ranking.eligible if outcome.option.kind == "instances")
    if combined > ranking.most_simulated:
        caveats.append(
            f"Of {combined} combinations of instances the first {ranking.most_simulated} were simulated; "
            "the others have no probability and no band."
        )
    if best.option.kind == "instances":
        caveats.append(
            "Callers of one instance reach agents of another only by an external transfer, "
            "which stays anchored to the first Region."
        )
        caveats.extend(
            f"{row['region_code']} would take {row['calls_pct']:.0f} % of the calls "
            f"with {row['agents_pct']:.0f} % of the agents."
            for row in _instances(ranking, best)
            if row["calls_pct"] > 1.25 * row["agents_pct"]
        )
    if best.failover is not None and best.failover.total[OVER_LIMIT] > best.statistics.total[OVER_LIMIT] + 0.05:
        caveats.append(
            f"While {best.regions[1]} carries everything, {100 * best.failover.total[OVER_LIMIT]:.0f} % of calls "
            f"exceed {prepared.limits_ms[2]:.0f} ms."
        )
    leader = more_often_best(ranking)
    if leader is not None:
        caveats.append(
            f"{' + '.join(leader.regions)} is best in more of the simulated cases than {' + '.join(best.regions)}; "
            f"{' + '.join(best.regions)} is recommended for {_advantage(ranking, best, leader)} on average."
        )
    if prepared.use_case.curve == "narrowband":
        caveats.append(
            "Not in the comparison, since nothing is known of them: how many calls are internal or conferences, "
            "toll-free lines as against other lines, whether the wanted numbers can be had in the Region, and cost."
        )
    if doubts is not None and doubts.by_assumption:
        caveats.append("The choice rests on modelled and assumed legs more than on measurements.")
    mixed = [origin for origin in prepared.callers if origin.line == "mixed"]
    if prepared.use_case.callers_by_telephone and mixed and not prepared.callers_assumed:
        share = read_leg_constants()["mixed_mobile_share_pct"].value
        caveats.append(f"Callers with line `mixed` count as {share:.0f} % mobile (assumed).")
    return caveats
