"""A finding: one sentence for the client, with the numbers behind it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ccp_assess.units import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One sentence for the client with the numbers behind it.

    Parameters
    ----------
    code
        From a closed list, upper case with underscores.
    severity
        How much it matters.
    text
        What was found, and what to do.
    evidence
        The numbers behind it, named with their units.
    """

    code: str
    severity: Severity
    text: str
    evidence: dict[str, Any] = field(default_factory=dict)
