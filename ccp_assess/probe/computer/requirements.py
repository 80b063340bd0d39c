"""The computer held against what AWS asks of an agent's workstation."""

from __future__ import annotations

import csv
import io
from importlib import resources
from typing import Any

from ccp_assess.probe.computer.facts import Computer


def held_against_requirements(computer: Computer) -> list[dict[str, Any]]:
    """Hold a computer against the documented requirements.

    Parameters
    ----------
    computer
        What was found.

    Returns
    -------
    rows
        ``name, meaning, minimum, unit, found, met, source``; ``met`` is ``None`` where it cannot be told: which
        versions of a browser are the latest three is not known offline.
    """
    content = resources.files("ccp_assess.reference").joinpath("workstation.csv").read_text(encoding="utf-8")
    rows = []
    for row in csv.DictReader(io.StringIO(content)):
        minimum = float(row["minimum"])
        if row["name"] == "browser_versions":
            found: Any = ", ".join(f"{name} {version}" for name, version in sorted(computer.browsers.items())) or None
            met = None
        else:
            found = getattr(computer, row["name"])
            met = None if found is None else _enough(found, minimum)
        rows.append(
            {
                "name": row["name"],
                "meaning": row["meaning"],
                "minimum": minimum,
                "unit": row["unit"],
                "found": found,
                "met": met,
                "source": row["source"],
            }
        )
    return rows


def _enough(found: float, minimum: float) -> bool:
    """Allow for what the firmware keeps for itself, and for clocks that are printed rounded down."""
    return found >= 0.95 * minimum
