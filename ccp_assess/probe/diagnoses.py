"""The closed list of what can be wrong, and one entry of it with its sentences filled in (reference/diagnoses.csv)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, Literal, cast

from ccp_assess.units import Severity

Confidence = Literal["certain", "likely", "cannot_tell"]
Judgement = Literal["open", "impaired", "blocked", "unknown"]

_OUR_WORDS = frozenset({"agent", "names", "pattern"})
LONGEST_VALUE = 120
"""Characters that a name or a message from the network may take in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosisRow:
    """One row of the list.

    Parameters
    ----------
    code
        Upper case with underscores.
    severity
        How much it matters.
    topic
        ``workstation``, ``dns``, ``tcp``, ``tls``, ``proxy``, ``udp``, ``train``, ``path`` or ``nat``.
    text
        What is wrong, one sentence with places to fill in.
    agent_sees
        How it shows to the agent.
    change
        What to change.
    proof, control
        What must have been seen, and what could have spoken against it.
    """

    code: str
    severity: Severity
    topic: str
    text: str
    agent_sees: str
    change: str
    proof: str
    control: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What is wrong, with what speaks for it.

    Parameters
    ----------
    code, severity, topic
        As in the list.
    text, agent_sees, change
        Sentences with their places filled in.
    confidence
        ``certain``: proof and control are both there; ``likely``: something is missing, such as time; ``cannot_tell``.
    evidence
        The numbers behind it, named with their units.
    """

    code: str
    severity: Severity
    topic: str
    text: str
    agent_sees: str
    change: str
    confidence: Confidence
    evidence: dict[str, Any] = field(default_factory=dict)

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "code": self.code,
            "severity": self.severity,
            "text": self.text,
            "agent_sees": self.agent_sees,
            "change": self.change,
            "confidence": self.confidence,
            "evidence": self.evidence,
        }


@cache
def read_diagnoses() -> Mapping[str, DiagnosisRow]:
    """Read the list.

    Returns
    -------
    rows
        By code, in the order of the table.
    """
    content = resources.files("ccp_assess.reference").joinpath("diagnoses.csv").read_text(encoding="utf-8")
    names = tuple(DiagnosisRow.__dataclass_fields__)
    return {
        row["code"]: DiagnosisRow(**{name: cast("Any", row[name]) for name in names})
        for row in csv.DictReader(io.StringIO(content))
    }


def diagnosis(
    code: str,
    confidence: Confidence,
    values: Mapping[str, Any],
    evidence: Mapping[str, Any] | None = None,
    *,
    severity: Severity | None = None,
) -> Diagnosis:
    """Fill in a row of the list.

    Parameters
    ----------
    code
        Of the list.
    confidence
        How sure it is.
    values
        For the places in the sentences; what may come from the network is cut to a bearable length.
    evidence
        The numbers behind it; the values where nothing else is given.
    severity
        Where the numbers decide how much it matters; else that of the list.

    Returns
    -------
    diagnosis
        With whole sentences.
    """
    row = read_diagnoses()[code]
    shown = {name: value if name in _OUR_WORDS else _short(value) for name, value in values.items()}
    prefix = "" if confidence == "certain" else "Likely: " if confidence == "likely" else ""
    text = row.text.format_map(shown)
    return Diagnosis(
        code=code,
        severity=severity or row.severity,
        topic=row.topic,
        text=f"{prefix}{text[0].lower() if prefix and text[1:2].islower() else text[0]}{text[1:]}",
        agent_sees=row.agent_sees.format_map(shown),
        change=row.change.format_map(shown),
        confidence=confidence,
        evidence=dict(values if evidence is None else evidence),
    )


def _short(value: Any) -> Any:
    if not isinstance(value, str) or len(value) <= LONGEST_VALUE:
        return value
    return value[: LONGEST_VALUE - 1] + "…"


SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "info")


def gravest_first(found: Iterable[Diagnosis]) -> tuple[Diagnosis, ...]:
    """Sort diagnoses by severity, then in the order of the list; each sentence once."""
    order = {code: number for number, code in enumerate(read_diagnoses())}
    once = {(one.code, one.text): one for one in found}
    return tuple(sorted(once.values(), key=lambda one: (SEVERITIES.index(one.severity), order[one.code])))
