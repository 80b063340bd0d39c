"""Thresholds with their sources, from ``reference/limits.csv``: a report can name whose number it uses."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources

from ccp_assess.units import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """Thresholds of one metric.

    Parameters
    ----------
    metric
        Its name, ending in its unit.
    warning, critical
        ``None`` where there is no such step; in ``unit``.
    unit
        Unit of both.
    note
        What is measured.
    source
        Who says so.
    retrieved
        When it was read (ISO date).
    """

    metric: str
    warning: float | None
    critical: float | None
    unit: str
    note: str
    source: str
    retrieved: str

    @property
    def lower_is_worse(self) -> bool:
        """Whether a value under the limit is the bad one."""
        return self.warning is not None and self.critical is not None and self.critical < self.warning

    def severity_of(self, value: float | None) -> Severity | None:
        """Judge a value.

        Parameters
        ----------
        value
            In ``unit``; ``None`` if it is not known.

        Returns
        -------
        severity
            ``None`` where the value is unknown or within the limits.
        """
        if value is None:
            return None
        sign = -1 if self.lower_is_worse else 1
        for severity, limit in (("critical", self.critical), ("warning", self.warning)):
            if limit is not None and sign * value >= sign * limit:
                return severity  # type: ignore[return-value]  # both literals are severities
        return None


@cache
def read_limits() -> dict[str, Limit]:
    """Read all thresholds.

    Returns
    -------
    limits
        By metric.
    """
    text = resources.files("ccp_assess.reference").joinpath("limits.csv").read_text(encoding="utf-8")
    return {
        row["metric"]: Limit(
            metric=row["metric"],
            warning=float(row["warning"]) if row["warning"] else None,
            critical=float(row["critical"]) if row["critical"] else None,
            unit=row["unit"],
            note=row["note"],
            source=row["source"],
            retrieved=row["retrieved"],
        )
        for row in csv.DictReader(text.splitlines())
    }
