"""The options compared, the key figures of the chosen one, and what was excluded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ccp_assess.regions import read_regions
from ccp_assess.report.budgets import option_of, weakest_basis
from ccp_assess.report.content.measurements import measurement_rows
from ccp_assess.report.figures.options import eligible
from ccp_assess.report.words import band, clean, ms, number, pct


def option_rows(ranking: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the options that no constraint excludes, best first, as the table shows them.

    Parameters
    ----------
    ranking
        The document of ``regions rank``.

    Returns
    -------
    rows
        The contract's fields, with ``chosen``, ``runner_up`` and ``names``.
    """
    recommendation = ranking.get("recommendation") or {}
    return [
        {
            **option,
            "chosen": option["regions"] == recommendation.get("regions"),
            "is_runner_up": option["regions"] == recommendation.get("runner_up"),
            "names": region_names(option["regions"]),
        }
        for option in eligible(ranking)
    ]


def region_names(codes: Iterable[str]) -> str:
    """Return AWS's names of Regions.

    Parameters
    ----------
    codes
        Region codes.

    Returns
    -------
    names
        Joined by a plus; a code that the table does not hold stands for itself.
    """
    regions = read_regions()
    return " + ".join(regions[code].name if code in regions else clean(code, 40) for code in codes)


def key_figures(assessment: Any) -> list[dict[str, Any]]:
    """Return the few numbers that stand under the answer, each with how it is known.

    Parameters
    ----------
    assessment
        The assessment.

    Returns
    -------
    figures
        ``label``, ``value`` and ``basis`` (``None`` for counts); empty without a recommended option.
    """
    option = option_of(assessment.ranking)
    if option is None:
        return []
    rows = [*option["by_site"], *option["by_caller_origin"], *option["by_transfer"]]
    basis = weakest_basis([row["basis"] for row in rows if row.get("basis")])
    delay = option["mouth_to_ear_ms"]
    measured = sum(row.get("basis") == "measured" for row in option["by_site"])
    return [
        {"label": "Mouth to ear, mean (band)", "value": f"{ms(delay['mean'])} ({band(delay['band'])})", "basis": basis},
        {
            "label": "Conversational quality, mean",
            "value": f"MOS-CQE {number(option['mos_cqe']['mean'], 2)}",
            "basis": basis,
        },
        {"label": "Calls over 150 ms one way", "value": pct(option["share_over_150_ms_pct"]), "basis": basis},
        {"label": "Best option in", "value": f"{pct(option['probability_best_pct'])} of draws", "basis": basis},
        {
            "label": "Agent legs measured",
            "value": f"{measured} of {len(option['by_site'])} sites{_on_a_bench(assessment, option)}",
            "basis": None,
        },
    ]


def _on_a_bench(assessment: Any, option: dict[str, Any]) -> str:
    """Say how many of the measured agent legs were measured on a test bench only."""
    measured = {(row["site_id"], row.get("region_code")) for row in option["by_site"] if row.get("basis") == "measured"}
    vantages: dict[tuple[Any, Any], set[Any]] = {}
    for row in measurement_rows(assessment):
        if row["rtt_p50_ms"] is not None:
            vantages.setdefault((row["site_id"], row["region_code"]), set()).add(row["vantage"])
    count = sum(vantages.get(leg) == {"bench"} for leg in measured)
    return f", {count} on a bench" if count else ""


def excluded_rows(ranking: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the excluded options, grouped by their reasons so that a hundred pairs do not fill ten pages.

    Parameters
    ----------
    ranking
        The document of ``regions rank``.

    Returns
    -------
    rows
        ``regions`` (names joined) and ``reasons``.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for option in ranking.get("options", []):
        if option["excluded_by"]:
            groups.setdefault(tuple(str(reason) for reason in option["excluded_by"]), []).append(
                " + ".join(option["regions"])
            )
    return [{"regions": names, "reasons": list(reasons)} for reasons, names in groups.items()]
