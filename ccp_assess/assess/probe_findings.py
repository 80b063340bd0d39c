"""What our own probes found wrong at a site, as findings of the assessment: each thing once, with its Regions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ccp_assess.findings import counted
from ccp_assess.paths import ProbeDocument

LONGEST_TEXT = 600
SEVERITIES = frozenset({"info", "warning", "critical"})


def probe_findings(documents: Iterable[ProbeDocument]) -> list[tuple[ProbeDocument, dict[str, Any]]]:
    """Collect the diagnoses of probe documents.

    Parameters
    ----------
    documents
        As read from a client folder: what stands in them is text from elsewhere.

    Returns
    -------
    findings
        Pairs of the document and a finding (``code, severity, text, evidence``, and ``action`` where the document says
        what to change). What a document says of several Regions is one finding that names them.
    """
    found = []
    for document in documents:
        by_code: dict[str, list[tuple[str | None, dict[str, Any]]]] = {}
        for region in document.regions:
            for row in _rows(region.details.get("diagnosis")):
                by_code.setdefault(row["code"], []).append((region.region_code, row))
        found += [(document, _finding(code, said)) for code, said in by_code.items()]
    return found


def _rows(stated: Any) -> list[dict[str, Any]]:
    rows = stated if isinstance(stated, list) else []
    return [
        row
        for row in rows[:100]
        if isinstance(row, dict)
        and isinstance(row.get("code"), str)
        and isinstance(row.get("text"), str)
        and row.get("severity") in SEVERITIES
    ]


def _finding(code: str, said: list[tuple[str | None, dict[str, Any]]]) -> dict[str, Any]:
    first = said[0][1]
    regions = [region for region in dict.fromkeys(region for region, _ in said) if region is not None]
    others = [region for region, row in said if row["text"] != first["text"] and region is not None]
    text = first["text"][:LONGEST_TEXT]
    if others:
        text += f" The like holds for {counted(len(set(others)), 'other Region')} ({', '.join(dict.fromkeys(others))})."
    evidence = first.get("evidence")
    finding: dict[str, Any] = {
        "code": code[:60],
        "severity": min((row["severity"] for _, row in said), key=("critical", "warning", "info").index),
        "text": text,
        "evidence": {**(evidence if isinstance(evidence, dict) else {}), "regions": regions},
    }
    if isinstance(first.get("change"), str) and first["change"].strip(" -."):
        finding["action"] = first["change"][:LONGEST_TEXT]
    return finding
