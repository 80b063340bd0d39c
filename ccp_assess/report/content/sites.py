"""Sites, callers and transfers with their legs."""

from __future__ import annotations

from typing import Any

from ccp_assess.report.budgets import site_budgets
from ccp_assess.report.figures.map import chosen_regions
from ccp_assess.report.figures.options import eligible


def budget_rows(assessment: Any) -> list[dict[str, Any]]:
    """Return the numbers of the latency budgets, one row per site.

    Parameters
    ----------
    assessment
        The assessment.

    Returns
    -------
    rows
        ``name, agents, region_code, parts, total_ms``.
    """
    return [
        {
            "name": b.name,
            "site_id": b.site_id,
            "agents": b.agents,
            "region_code": b.region_code,
            "parts": b.parts,
            "total_ms": b.total_ms,
        }
        for b in site_budgets(assessment.client, assessment.ranking)
    ]


def site_rows(assessment: Any, measured: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return each site with its leg to the recommended Region and what was measured there.

    Parameters
    ----------
    assessment
        The assessment.
    measured
        Rows of :func:`measurement_rows`.

    Returns
    -------
    rows
        One per site of the client.
    """
    budgets = {budget.site_id: budget for budget in site_budgets(assessment.client, assessment.ranking)}
    legs = {}
    for option in assessment.ranking.get("options", []):
        if option["regions"] == chosen_regions(assessment.ranking):
            legs = {row["site_id"]: row for row in option["by_site"]}
    rows = []
    for site in assessment.client.sites:
        leg, budget = legs.get(site.site_id) or {}, budgets.get(site.site_id)
        code = leg.get("region_code")
        here = [
            row
            for row in measured
            if row["site_id"] == site.site_id and row["region_code"] == code and code is not None
        ]
        one_way = leg.get("agent_leg_ms")
        rows.append(
            {
                "site": site,
                "region_code": code,
                "rtt_ms": None if one_way is None else 2 * one_way,
                "hop_count": leg.get("hop_count"),
                "basis": leg.get("basis"),
                "total_ms": budget.total_ms if budget else None,
                "dates": sorted({str(row["time"])[:10] for row in here if row["time"]}),
                "vantages": sorted({row["vantage"] for row in here if row["vantage"]}),
                "measurements": len(here),
            }
        )
    return rows


def caller_rows(assessment: Any, option: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return the caller legs of an option.

    Parameters
    ----------
    assessment
        The assessment.
    option
        One option of the ranking document, or ``None``.

    Returns
    -------
    rows
        ``origin_id, place, share, line, region_code, leg_ms, basis``.
    """
    legs = {row["origin_id"]: row for row in (option or {}).get("by_caller_origin", [])}
    rows = []
    for origin in assessment.client.callers:
        leg = legs.get(origin.origin_id) or {}
        rows.append(
            {
                "origin_id": origin.origin_id,
                "place": origin.place or origin.country,
                "share": origin.call_share_pct,
                "line": origin.line,
                "region_code": leg.get("region_code"),
                "leg_ms": leg.get("caller_leg_ms"),
                "band_ms": leg.get("band_ms"),
                "basis": leg.get("basis"),
            }
        )
    return rows


def transfer_rows(assessment: Any, option: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return the transfer legs of an option.

    Parameters
    ----------
    assessment
        The assessment.
    option
        One option of the ranking document, or ``None``.

    Returns
    -------
    rows
        ``target_id, share, circular, leg_ms, basis``.
    """
    legs = {row["target_id"]: row for row in (option or {}).get("by_transfer", [])}
    return [
        {
            "target_id": target.target_id,
            "share": target.share_of_calls_pct,
            "circular": target.circular,
            "leg_ms": (legs.get(target.target_id) or {}).get("leg_ms"),
            "basis": (legs.get(target.target_id) or {}).get("basis"),
        }
        for target in assessment.client.transfers
    ]


def leg_matrix(assessment: Any) -> dict[str, Any]:
    """Return the round trip and hop count from every site to every Region that the ranking compared.

    Parameters
    ----------
    assessment
        The assessment.

    Returns
    -------
    matrix
        ``codes`` (best option first) and ``rows`` of ``name`` and ``cells``.
    """
    cells: dict[tuple[str, str], dict[str, Any]] = {}
    codes: dict[str, None] = {}
    for option in eligible(assessment.ranking):
        for row in option["by_site"]:
            code = row.get("region_code") or option["regions"][0]
            codes[code] = None
            leg = row.get("agent_leg_ms")
            cells.setdefault(
                (row["site_id"], code),
                {
                    "code": code,
                    "rtt_ms": None if leg is None else 2 * leg,
                    "hop_count": row.get("hop_count"),
                    "basis": row.get("basis"),
                },
            )
    nothing = {"rtt_ms": None, "hop_count": None, "basis": None}
    rows = [
        {
            "name": site.name or site.site_id,
            "cells": [cells.get((site.site_id, code), {**nothing, "code": code}) for code in codes],
        }
        for site in assessment.client.sites
    ]
    return {"codes": list(codes)[:12], "rows": [{**row, "cells": row["cells"][:12]} for row in rows]}
