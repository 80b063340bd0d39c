"""From an assessment to what the page shows: rows and sentences, no layout and no new numbers."""

from __future__ import annotations

import csv
import hashlib
import platform
import re
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from ccp_assess import __version__
from ccp_assess.regions import read_regions
from ccp_assess.report.actions import action_for
from ccp_assess.report.budgets import option_of, site_budgets, weakest_basis
from ccp_assess.report.figures.calls import CallSeries, call_series
from ccp_assess.report.figures.map import chosen_regions
from ccp_assess.report.figures.options import eligible
from ccp_assess.report.words import band, clean, known, ms, number, pct

VALID_DAYS = 90
"""How long a report is offered as current [days]: AWS announces new address ranges 30 days ahead, and routes move."""

SEVERITY_ORDER = {"critical": 0, "warning": 1, "info": 2}
SEVERITY_WORDS = {"critical": "Critical", "warning": "Warning", "info": "Note"}
WORST_CALLS = 3
MOST_PATHS = 4
MOST_CALL_ROWS = 200


_WHOSE_LIMIT = re.compile(r"\.?\s*\((?:critical|warning|info) from [^()]*(?:\([^()]*\)[^()]*)*\)\.?$")
"""Whose limit a finding rests on: said in the chapter, left out on the first page."""


def front_findings(findings: Iterable[dict[str, Any]], count: int = 3) -> list[dict[str, Any]]:
    """Return the findings for the first page: the gravest, not three times the same.

    Parameters
    ----------
    findings
        Rows of :func:`finding_rows`.
    count
        How many.

    Returns
    -------
    findings
        Gravest first; the same thing to do comes twice only if there are not enough others.
    """
    rows = list(findings)
    seen: set[str] = set()
    fresh = []
    for row in rows:
        todo = row["action"] or row["code"]
        if todo not in seen:
            seen.add(todo)
            fresh.append(row)
    rest = [row for row in rows if row not in fresh]
    chosen = sorted((fresh + rest)[:count], key=lambda row: SEVERITY_ORDER.get(row["severity"], 3))
    return [{**row, "text": _WHOSE_LIMIT.sub(".", str(row["text"]))} for row in chosen]


# What keeps agents from taking calls at all comes before what makes calls bad, and both before what is merely wrong.
_FIRST_CODES = (
    "CALL_FAILED", "LOCAL_", "UDP_", "TURN_REFUSED", "TCP_REFUSED", "TCP_FILTERED", "DNS_", "FIREWALL_RULE_MISSING",
    "TRANSPORT_BLOCKED", "CALL_DROPPED", "ONE_WAY_AUDIO", "OUTAGE", "LOSS", "QUALITY_LOW", "MEDIA_RTT", "RELAY_RTT",
)  # fmt: skip


def _importance(finding: dict[str, Any], agents: dict[str, int]) -> tuple[int, int, int]:
    """Sort key: severity, kind, then how many agents work where it was seen."""
    code = str(finding["code"])
    kind = next((index for index, start in enumerate(_FIRST_CODES) if code.startswith(start)), len(_FIRST_CODES))
    return (SEVERITY_ORDER.get(finding["severity"], 3), kind, -agents.get(str(finding.get("site_id")), 0))


def finding_rows(assessment: Any) -> list[dict[str, Any]]:
    """Return all findings, gravest first, each with what to do and how to test again.

    The same finding at several places is one row.

    Parameters
    ----------
    assessment
        The assessment.

    Returns
    -------
    rows
        ``number, code, call_ids, severity, word, text, where, evidence, action, owner, retest``.
    """
    agents = {site.site_id: site.agents for site in assessment.client.sites}
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for finding in sorted(assessment.findings, key=lambda finding: _importance(finding, agents)):
        groups.setdefault((finding["code"], finding["severity"], finding["text"]), []).append(finding)
    rows = []
    for index, ((code, severity, text), members) in enumerate(groups.items(), start=1):
        first = members[0]
        action = action_for(first, chosen_regions(assessment.ranking))
        only_a_note = severity == "info" and not action.todo
        rows.append(
            {
                "number": f"F{index}",
                "code": code,
                "call_ids": {member.get("call_id") for member in members},
                "severity": severity,
                "word": SEVERITY_WORDS.get(severity, clean(severity, 20)),
                "text": text,
                "where": "; ".join(dict.fromkeys(place for member in members if (place := _place(member)))),
                "evidence": evidence_words(first.get("evidence") or {}) if len(members) == 1 else [],
                "action": action.todo or ("Nothing; it says how far the numbers reach." if only_a_note else ""),
                "owner": "" if only_a_note else action.owner,
                "retest": "" if only_a_note else action.retest,
            }
        )
    return rows


def _place(finding: dict[str, Any]) -> str:
    return " · ".join(clean(finding[key], 80) for key in ("site_id", "file") if finding.get(key))


def evidence_words(evidence: dict[str, Any], limit: int = 8) -> list[tuple[str, str]]:
    """Return the numbers behind a finding as pairs of name and value; names carry their units.

    Parameters
    ----------
    evidence
        Of a finding.
    limit
        Most pairs to show.

    Returns
    -------
    pairs
        Name with spaces, value in words.

    Examples
    --------
    >>> evidence_words({"loss_pct": 3.1, "rtt_ms": None})
    [('loss [%]', '3.1'), ('rtt [ms]', 'unknown')]
    """
    pairs = []
    for name, value in list(evidence.items())[:limit]:
        words, _, unit = str(name).rpartition("_")
        units = {
            "ms": "ms",
            "pct": "%",
            "s": "s",
            "hz": "Hz",
            "kbps": "kbit/s",
            "km": "km",
            "db": "dB",
            "bytes": "bytes",
        }
        title = f"{words.replace('_', ' ')} [{units[unit]}]" if unit in units and words else str(name).replace("_", " ")
        pairs.append((clean(title, 60), _value_words(value)))
    return pairs


def _value_words(value: Any) -> str:
    if not known(value):
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return clean(", ".join(f"{key}: {_value_words(item)}" for key, item in value.items()), 160)
    if isinstance(value, list | tuple):
        return clean(", ".join(_value_words(item) for item in value), 160)
    return clean(value, 160)


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


def measurement_rows(assessment: Any) -> list[dict[str, Any]]:
    """Return every measured way: from where to where, when, by what, with its round trip and hop count.

    Parameters
    ----------
    assessment
        The assessment.

    Returns
    -------
    rows
        One per probe document and Region, and one per site and Region seen in captures.
    """
    rows = [_probe_row(document, region) for document in assessment.measurements for region in document["regions"]]
    rows += list(_capture_rows(assessment))
    return sorted(rows, key=lambda row: (str(row["site_id"]), str(row["region_code"]), str(row["time"])))


def _probe_row(document: dict[str, Any], region: dict[str, Any]) -> dict[str, Any]:
    path, train, relay = region.get("path") or {}, region.get("train") or {}, region.get("relay") or {}
    hops = path.get("hops") or []
    last = next((hop for hop in hops if hop["ttl"] == path.get("hop_count")), None)
    binding = sorted(rtt for rtt in relay.get("binding_rtt_ms") or [] if rtt is not None)
    p50, method = train.get("rtt_p50_ms"), "STUN train"
    if p50 is None and binding:
        p50, method = binding[(len(binding) - 1) // 2], "STUN"
    if p50 is None and last is not None:
        p50, method = last.get("rtt_avg_ms"), f"{path.get('technique') or 'unknown technique'}, mean of the last hop"
    return {
        "site_id": document.get("site_id"),
        "region_code": region.get("region_code"),
        "time": document.get("time"),
        "rtt_p50_ms": p50,
        "rtt_p95_ms": train.get("rtt_p95_ms"),
        "method": method if p50 is not None else None,
        "hop_count": path.get("hop_count"),
        "hops_seen": path.get("hops_seen"),
        "loss_pct": train.get("loss_pct"),
        "loss_ci95_pct": train.get("loss_ci95_pct"),
        "jitter_ms": train.get("jitter_ms"),
        "vantage": (document.get("host") or {}).get("vantage"),
        "source": document.get("source") or document.get("tool"),
    }


def _capture_rows(assessment: Any) -> Iterator[dict[str, Any]]:
    for entry in assessment.captures:
        for call in entry["document"]["calls"]:
            if call["rtt_media_ms"]["n"] or call["rtt_relay_ms"]["n"]:
                best = call["rtt_media_ms"] if call["rtt_media_ms"]["n"] else call["rtt_relay_ms"]
                yield {
                    "site_id": entry["site_id"],
                    "region_code": call.get("region_code"),
                    "time": call["start_time"],
                    "rtt_p50_ms": best["p50"],
                    "rtt_p95_ms": best["p95"],
                    "method": "STUN in a call, media" if best is call["rtt_media_ms"] else "STUN in a call, relay",
                    "hop_count": None,
                    "hops_seen": None,
                    "loss_pct": call["in"]["loss_pct"],
                    "loss_ci95_pct": None,
                    "jitter_ms": call["in"]["jitter_ms"],
                    "vantage": entry.get("vantage"),
                    "source": entry.get("file"),
                }


def paths_to_draw(assessment: Any) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Choose the paths to draw: to the recommended Regions first, one per site, longest known first.

    Parameters
    ----------
    assessment
        The assessment.

    Returns
    -------
    paths
        Probe document and the entry of its ``regions``.
    """
    chosen = set(chosen_regions(assessment.ranking))
    candidates = [
        (document, region)
        for document in assessment.measurements
        for region in document["regions"]
        if (region.get("path") or {}).get("hops")
    ]
    candidates.sort(
        key=lambda pair: (pair[1].get("region_code") not in chosen, not pair[1]["path"]["destination_answered"])
    )
    seen: set[Any] = set()
    first = [pair for pair in candidates if not (pair[0].get("site_id") in seen or seen.add(pair[0].get("site_id")))]  # type: ignore[func-returns-value]
    return first[:MOST_PATHS]


def diagnosis_rows(assessment: Any) -> list[dict[str, Any]]:
    """Return what probes found at workstations, gravest first.

    Parameters
    ----------
    assessment
        The assessment.

    Returns
    -------
    rows
        ``site_id, region_code, code, severity, word, text, time``.
    """
    rows = [
        {
            **item,
            "site_id": document.get("site_id"),
            "region_code": region.get("region_code"),
            "time": document.get("time"),
            "word": SEVERITY_WORDS.get(item["severity"], item["severity"]),
        }
        for document in assessment.measurements
        for region in document["regions"]
        for item in region.get("diagnosis") or []
    ]
    return sorted(rows, key=lambda row: SEVERITY_ORDER.get(row["severity"], 3))


def call_rows(assessment: Any) -> list[dict[str, Any]]:
    """Return all calls of all captures, worst first: by MOS, then by loss, then by delay.

    Parameters
    ----------
    assessment
        The assessment.

    Returns
    -------
    rows
        The contract's calls with ``site_id``, ``file`` and ``document``.
    """
    rows = [
        {
            **call,
            "site_id": entry["site_id"],
            "file": entry.get("file"),
            "document": entry["document"],
            "seconds": entry.get("seconds"),
        }
        for entry in assessment.captures
        for call in entry["document"]["calls"]
    ]
    return sorted(rows, key=_badness)


def call_notes(call: dict[str, Any], findings: list[dict[str, Any]]) -> list[str]:
    """Return a call's own findings by number and name, gravest first; plain notes are left to the chapter.

    Parameters
    ----------
    call
        One of :func:`call_rows`.
    findings
        Rows of :func:`finding_rows`.

    Returns
    -------
    notes
        Such as ``F3 loss inbound``.
    """
    notes = []
    for own in call["findings"]:
        if own["severity"] == "info":
            continue
        fitting = (row for row in findings if (row["code"], row["text"]) == (own["code"], own["text"]))
        row = next((row for row in fitting if row["call_ids"] & {None, call["call_id"]}), None)
        words = str(own["code"]).replace("_", " ").lower()
        notes.append(clean(f"{row['number']} {words}" if row else words, 80))
    return notes


def _badness(call: dict[str, Any]) -> tuple[Any, ...]:
    grave = min((SEVERITY_ORDER.get(finding["severity"], 3) for finding in call["findings"]), default=3)
    mos, loss, rtt = call["in"]["mos_cqe"], call["in"]["loss_pct"], call["rtt_media_ms"]["p50"]
    return (grave, mos if mos is not None else 9.0, -(loss or 0.0), -(rtt or 0.0), str(call["start_time"]))


def worst_series(rows: list[dict[str, Any]]) -> list[CallSeries]:
    """Return the series of the worst calls that have something to show.

    Parameters
    ----------
    rows
        Of :func:`call_rows`.

    Returns
    -------
    series
        At most three.
    """
    telling = [row for row in rows if _shows_on_a_clock(row)] or rows[:1]
    series = (call_series(row["document"], row, row["seconds"]) for row in telling[: WORST_CALLS * 4])
    return [item for item in series if item.loss or item.media_rtt or item.relay_rtt][:WORST_CALLS]


_ON_A_CLOCK = ("LOSS", "LATE", "JITTER", "OUTAGE", "SEND_STALLS", "RTT_VARIES", "CALL_DROPPED", "ONE_WAY", "HOLD")


def _shows_on_a_clock(call: dict[str, Any]) -> bool:
    """Whether something came and went during the call, so that its timeline tells more than its table."""
    return any(str(finding["code"]).startswith(_ON_A_CLOCK) for finding in call["findings"])


def rule_rows(allowlist: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return the firewall rules, those with the same purpose together.

    Parameters
    ----------
    allowlist
        The document of ``allowlist build``.

    Returns
    -------
    rows
        ``purpose, port, transport, direction, targets, sources, from, region_codes``.
    """
    groups: dict[tuple[Any, ...], dict[str, Any]] = {}
    for rule in (allowlist or {}).get("rules", []):
        key = (
            rule["purpose"],
            rule["port"],
            rule["transport"],
            rule["direction"],
            tuple(rule.get("from") or ()),
            rule["source"],
            rule["retrieved"],
        )
        row = groups.setdefault(key, {**rule, "from": list(rule.get("from") or ()), "targets": [], "region_codes": []})
        row["targets"].append(rule["target"])
        if rule.get("region_code") and rule["region_code"] not in row["region_codes"]:
            row["region_codes"].append(rule["region_code"])
    return list(groups.values())


def common_from(rules: list[dict[str, Any]]) -> list[str] | None:
    """Return the subnets that all rules share, so that the table need not repeat them.

    Parameters
    ----------
    rules
        Rows of :func:`rule_rows`.

    Returns
    -------
    subnets
        ``None`` where rules differ.
    """
    seen = {tuple(rule["from"]) for rule in rules}
    return list(seen.pop()) if len(seen) == 1 else None


def rule_sources(rules: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return the sources of rules without repetitions; a rule refers to its own by number.

    Parameters
    ----------
    rules
        Rows of :func:`rule_rows`; each gets ``source_number``.

    Returns
    -------
    sources
        Source and date, in order of first use.
    """
    sources: dict[tuple[str, str], int] = {}
    for rule in rules:
        rule["source_number"] = sources.setdefault((rule["source"], rule["retrieved"]), len(sources) + 1)
    return list(sources)


def audit_parts(assessment: Any) -> list[dict[str, Any]]:
    """Return the audits of the client's own rule files.

    Parameters
    ----------
    assessment
        The assessment.

    Returns
    -------
    parts
        ``file`` and, for each of ``missing, too_wide, stale, covered``, a list of sentences.
    """
    parts = []
    for entry in getattr(assessment, "audit", ()) or ():
        document = entry.get("document") or entry
        part: dict[str, Any] = {"file": entry.get("file") or "rules"}
        for kind in ("missing", "too_wide", "stale", "covered"):
            part[kind] = [_audit_words(item) for item in document.get(kind) or []]
        parts.append(part)
    return parts


def _audit_words(item: Any) -> str:
    if not isinstance(item, dict):
        return clean(item, 300)
    target = item.get("target") or item.get("rule") or item.get("name")
    if isinstance(target, dict):
        return _audit_words({**item, **target})
    ports = " ".join(str(item[key]) for key in ("transport", "port") if item.get(key))
    words = f"{clean(target, 160)} {ports}".strip() if target else _value_words(item)
    reason = item.get("text") or item.get("why") or item.get("reason")
    return f"{words}: {clean(reason, 300)}" if reason and target else words


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


def input_files(assessment: Any) -> list[dict[str, Any]]:
    """Return the files of the client folder with size and checksum, so that another can repeat the assessment.

    Parameters
    ----------
    assessment
        The assessment.

    Returns
    -------
    rows
        ``path, bytes, sha256``; empty where the folder is not at hand.
    """
    folder = Path(assessment.client.folder)
    if not folder.is_dir():
        return []
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and path.relative_to(folder).parts[0] != "report"  # our own earlier output
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    return [
        {"path": path.relative_to(folder).as_posix(), "bytes": path.stat().st_size, "sha256": _sha256(path)}
        for path in files[:500]
    ]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def reference_rows() -> list[dict[str, Any]]:
    """Return the shipped facts that stand behind the numbers: table, source and date.

    Returns
    -------
    rows
        ``table, source, retrieved`` without repetitions.
    """
    rows: dict[tuple[str, str, str], None] = {}
    for entry in sorted(resources.files("ccp_assess.reference").iterdir(), key=lambda item: item.name):
        if not entry.name.endswith(".csv"):
            continue
        for row in csv.DictReader(entry.read_text(encoding="utf-8").splitlines()):
            if row.get("source"):
                rows[(entry.name.removesuffix(".csv"), str(row["source"]), str(row.get("retrieved") or ""))] = None
    return [{"table": table, "source": source, "retrieved": retrieved} for table, source, retrieved in rows]


def versions() -> list[tuple[str, str]]:
    """Return the versions that made the numbers.

    Returns
    -------
    pairs
        Name and version.
    """
    packages = [("numpy", "numpy"), ("numba", "numba"), ("geopy", "geopy"), ("matplotlib", "matplotlib")]
    found = []
    for name, package in packages:
        try:
            found.append((name, metadata.version(package)))
        except metadata.PackageNotFoundError:
            continue
    return [("ccp-assess", __version__), ("Python", platform.python_version()), *found]


def valid_until(assessed_at: str) -> str | None:
    """Return the last day on which the report is offered as current.

    Parameters
    ----------
    assessed_at
        When the assessment was made (RFC 3339).

    Returns
    -------
    day
        ISO date; ``None`` if the instant cannot be read.

    Examples
    --------
    >>> valid_until("2026-11-23T03:00:00Z")
    '2027-02-21'
    """
    try:
        return (date.fromisoformat(assessed_at[:10]) + timedelta(days=VALID_DAYS)).isoformat()
    except ValueError:
        return None
