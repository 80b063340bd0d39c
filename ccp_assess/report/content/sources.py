"""Where the numbers come from: input files, reference facts, versions, and how long the report holds."""

from __future__ import annotations

import csv
import platform
from datetime import date, timedelta
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from ccp_assess import __version__
from ccp_assess.csvtext import read_rows
from ccp_assess.files import sha256_of_file

VALID_DAYS = 90
"""How long a report is offered as current [days]: AWS announces new address ranges 30 days ahead, and routes move."""


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
        {"path": path.relative_to(folder).as_posix(), "bytes": path.stat().st_size, "sha256": sha256_of_file(path)}
        for path in files[:500]
    ]


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


def open_facts() -> list[dict[str, str]]:
    """Return what no run against the service's own relays has settled yet.

    Returns
    -------
    rows
        ``text`` and ``consequence`` of each open fact of ``open_facts.csv``.
    """
    table = resources.files("ccp_assess.reference") / "open_facts.csv"
    rows = read_rows(table.read_text(encoding="utf-8"), name="open_facts.csv", required=("text", "settled"))
    return [{name: row.cells[name] for name in ("text", "consequence")} for row in rows if not row.cells["settled"]]


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
