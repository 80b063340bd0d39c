"""Tables for people and programs: terminal, CSV, JSON, Markdown; they can say everything."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from ccp_assess.allowlist.formats.base import Fitted, Format
from ccp_assess.allowlist.rules import Rule

COLUMNS = (
    "target",
    "kind",
    "from",
    "port",
    "transport",
    "direction",
    "purpose",
    "symptom",
    "region_code",
    "source",
    "retrieved",
)


def _cells(rule: Rule) -> list[str]:
    row = rule.to_row() | {"from": " ".join(rule.from_subnets)}
    return [_visible(str(row[column])) for column in COLUMNS]


def _visible(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def _csv(fitted: Fitted) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for rule in fitted.allowlist.rules:
        # A spreadsheet runs a cell that begins like a formula; an apostrophe keeps it text.
        writer.writerow([f"'{cell}" if cell[:1] in "=+-@\t\r" and cell else cell for cell in _cells(rule)])
    return out.getvalue()


def _json(fitted: Fitted) -> str:
    return json.dumps(fitted.allowlist.to_document(), indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def markdown_cell(text: str) -> str:
    r"""Escape text for a cell of a Markdown table.

    Parameters
    ----------
    text
        Any text.

    Returns
    -------
    text
        One line in which nothing is markup.

    Examples
    --------
    >>> print(markdown_cell("a|b\n*c*"))
    a\|b \*c\*
    """
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>|#" else c for c in _visible(text))


def _markdown(fitted: Fitted) -> str:
    built = fitted.allowlist
    head = ("Target", "Port", "Direction", "From", "Purpose", "If missing", "Region", "Source", "Read")
    rows = [
        (
            rule.target,
            f"{rule.port}/{rule.transport}",
            rule.direction,
            " ".join(rule.from_subnets) or "any",
            rule.purpose,
            rule.symptom,
            rule.region_code,
            rule.source,
            rule.retrieved,
        )
        for rule in built.rules
    ]
    return "\n".join(
        [
            f"# Allowlist for {', '.join(built.regions)} (option: {built.option})",
            "",
            "| " + " | ".join(head) + " |",
            "|" + "---|" * len(head),
            *("| " + " | ".join(markdown_cell(cell) for cell in row) + " |" for row in rows),
            "",
            f"Addresses opened: {built.addresses_opened['v4']} IPv4, {built.addresses_opened['v6']} IPv6.",
            "",
            "## Notes",
            "",
            *(f"- {markdown_cell(note)}" for note in built.notes),
            "",
        ]
    )


def _table(fitted: Fitted) -> str:
    built = fitted.allowlist
    head = ("TARGET", "PORT", "DIRECTION", "REGION", "PURPOSE")
    rows = [
        (rule.target, f"{rule.port}/{rule.transport}", rule.direction, rule.region_code, rule.purpose)
        for rule in built.rules
    ]
    shown = [head, *(tuple(_visible(cell) for cell in row) for row in rows)]
    widths = [max(len(row[i]) for row in shown) for i in range(len(head) - 1)]
    body = ["  ".join([*(c.ljust(w) for c, w in zip(row[:-1], widths, strict=True)), row[-1]]) for row in shown]
    subnets = " ".join(built.choices.from_subnets)
    return "\n".join(
        [
            *body,
            "",
            f"Rules: {len(built.rules)}. Addresses opened: {built.addresses_opened['v4']} IPv4, "
            f"{built.addresses_opened['v6']} IPv6." + (f" From: {subnets}." if subnets else ""),
            *(f"- {_visible(note)}" for note in built.notes),
            "",
        ]
    )


_ALL: dict[str, Any] = {
    "partial_wildcards": True,
    "udp_names": True,
    "udp_wildcards": True,
    "urls": True,
    "whole": True,
}

TABLE = Format(name="table", title="Table for the terminal", suffix=".txt", write=_table, **_ALL)
CSV = Format(name="csv", title="CSV", suffix=".csv", write=_csv, **_ALL)
JSON = Format(name="json", title="JSON", suffix=".json", write=_json, **_ALL)
MARKDOWN = Format(name="markdown", title="Markdown", suffix=".md", write=_markdown, **_ALL)
