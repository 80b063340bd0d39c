"""Firewall rules with the same purpose together, and the audits of the client's own."""

from __future__ import annotations

from typing import Any

from ccp_assess.report.content.findings import value_words
from ccp_assess.report.words import clean


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
    words = f"{clean(target, 160)} {ports}".strip() if target else value_words(item)
    reason = item.get("text") or item.get("why") or item.get("reason")
    return f"{words}: {clean(reason, 300)}" if reason and target else words
