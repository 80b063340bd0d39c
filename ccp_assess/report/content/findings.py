"""Findings as the report lists them: gravest first, with what to do, who, and how to test again."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

from ccp_assess.client.actions import agreed_for
from ccp_assess.report.actions import action_for
from ccp_assess.report.figures.map import chosen_regions
from ccp_assess.report.words import clean, known

SEVERITY_ORDER = {"critical": 0, "warning": 1, "info": 2}
DUE_DAYS = {"critical": 14, "warning": 30}
"""Days that are proposed for mending, an assumption of ours: what stops calls before the next fortnight's review, the
rest within the 30 days that AWS itself gives for new address ranges [days]."""
SEVERITY_WORDS = {"critical": "Critical", "warning": "Warning", "info": "Note"}

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
        ``number, code, call_ids, severity, word, text, where, evidence, action, owner, due, due_agreed, retest``;
        ``due`` is an ISO date, agreed in ``actions.csv`` or proposed by severity, ``None`` for mere notes.
    """
    agents = {site.site_id: site.agents for site in assessment.client.sites}
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for finding in sorted(assessment.findings, key=lambda finding: _importance(finding, agents)):
        groups.setdefault((finding["code"], finding["severity"], finding["text"]), []).append(finding)
    rows = []
    for index, ((code, severity, text), members) in enumerate(groups.items(), start=1):
        first = members[0]
        action = action_for(first, chosen_regions(assessment.ranking))
        agreed = agreed_for(assessment.client.actions, str(code), first.get("site_id"))
        due_agreed = agreed is not None and agreed.due is not None
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
                "owner": (agreed.owner if agreed else None) or ("" if only_a_note else action.owner),
                "due": agreed.due.isoformat()
                if agreed and agreed.due
                else proposed_due(assessment.assessed_at, severity),
                "due_agreed": due_agreed,
                "retest": "" if only_a_note else action.retest,
            }
        )
    return rows


def proposed_due(assessed_at: str, severity: str) -> str | None:
    """Return the day that is proposed for mending a finding, until another is agreed.

    Parameters
    ----------
    assessed_at
        When the assessment was made (RFC 3339).
    severity
        Of the finding.

    Returns
    -------
    day
        ISO date; ``None`` for notes and where the instant cannot be read.

    Examples
    --------
    >>> proposed_due("2026-11-23T03:00:00Z", "critical")
    '2026-12-07'
    """
    days = DUE_DAYS.get(severity)
    try:
        return None if days is None else (date.fromisoformat(assessed_at[:10]) + timedelta(days=days)).isoformat()
    except ValueError:
        return None


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
        pairs.append((clean(title, 60), value_words(value)))
    return pairs


def value_words(value: Any) -> str:
    """Write one value of a finding's evidence.

    Parameters
    ----------
    value
        A number, a truth, a text, or a list or mapping of them.

    Returns
    -------
    words
        Short and harmless text.
    """
    if not known(value):
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return clean(", ".join(f"{key}: {value_words(item)}" for key, item in value.items()), 160)
    if isinstance(value, list | tuple):
        return clean(", ".join(value_words(item) for item in value), 160)
    return clean(value, 160)
