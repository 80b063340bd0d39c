"""The change request for the firewall team: each line with its purpose, the symptom without it, and its re-test."""

from __future__ import annotations

import io
from typing import Any

from ccp_assess.allowlist.formats.base import Fitted, Format
from ccp_assess.allowlist.formats.tables import markdown_cell
from ccp_assess.allowlist.rules import Allowlist, Rule

HEAD = ("Line", "Source", "Destination", "Port", "Purpose", "If missing, the agent sees", "Re-test")


def retest_command(number: int) -> str:
    """Return the command that tests one line again.

    Parameters
    ----------
    number
        Number of the line, from 1.

    Returns
    -------
    command
        To be run on a workstation of the site.
    """
    return f"ccp-assess allowlist verify REQUEST.json --line {number}"


def _rows(built: Allowlist) -> list[tuple[str, ...]]:
    return [_row(number, rule) for number, rule in enumerate(built.rules, 1)]


def _row(number: int, rule: Rule) -> tuple[str, ...]:
    near = " ".join(rule.from_subnets) or "any workstation"
    ends = (near, rule.target) if rule.direction == "outbound" else (f"{rule.target} port 3478", near)
    return (
        str(number),
        ends[0],
        ends[1],
        f"{rule.port}/{rule.transport} {rule.direction}",
        rule.purpose,
        rule.symptom,
        retest_command(number),
    )


def _intro(built: Allowlist) -> list[str]:
    opened = built.addresses_opened
    return [
        f"Regions: {', '.join(built.regions)}. Option: {built.option}. Published ranges of {built.ranges_date}.",
        f"{len(built.rules)} lines; addresses opened: {opened['v4']} IPv4, {opened['v6']} IPv6.",
        (
            "REQUEST.json is this request as data (ccp-assess allowlist build … --format json --out REQUEST.json); "
            "`ccp-assess allowlist verify REQUEST.json` turns every line green or red."
        ),
    ]


def _markdown(fitted: Fitted) -> str:
    built = fitted.allowlist
    cells = [[markdown_cell(cell) for cell in row] for row in _rows(built)]
    return "\n".join(
        [
            "# Change request: Amazon Connect softphone",
            "",
            *_intro(built),
            "",
            "| " + " | ".join(HEAD) + " |",
            "|" + "---|" * len(HEAD),
            *("| " + " | ".join(row) + " |" for row in cells),
            "",
            "## Sources",
            "",
            *(f"- {markdown_cell(source)}" for source in _sources(built)),
            "",
            "## Notes",
            "",
            *(f"- {markdown_cell(note)}" for note in built.notes),
            "",
        ]
    )


def _sources(built: Allowlist) -> list[str]:
    return list(dict.fromkeys(f"{rule.source} (read {rule.retrieved})" for rule in built.rules))


def _docx(fitted: Fitted) -> bytes:
    import docx  # noqa: PLC0415  # only this format needs it
    from docx.enum.section import WD_ORIENT  # noqa: PLC0415

    built = fitted.allowlist
    document: Any = docx.Document()
    section = document.sections[0]
    section.orientation = WD_ORIENT.LANDSCAPE
    section.page_width, section.page_height = section.page_height, section.page_width
    document.add_heading("Change request: Amazon Connect softphone", level=1)
    for sentence in _intro(built):
        document.add_paragraph(_clean(sentence))
    rows = _rows(built)
    table = document.add_table(rows=1, cols=len(HEAD))
    table.style = "Table Grid"
    for cell, title in zip(table.rows[0].cells, HEAD, strict=True):
        cell.text = title
    for row in rows:
        # Writing cells one by one through table.cell() is quadratic; the row's own list is not.
        for cell, text in zip(table.add_row().cells, row, strict=True):
            cell.text = _clean(text)
    document.add_heading("Sources", level=2)
    for source in _sources(built):
        document.add_paragraph(_clean(source), style="List Bullet")
    document.add_heading("Notes", level=2)
    for note in built.notes:
        document.add_paragraph(_clean(note), style="List Bullet")
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def _clean(text: str) -> str:
    """Drop what XML cannot hold."""
    return "".join(c if c.isprintable() else " " for c in text)


_ALL: dict[str, Any] = {
    "partial_wildcards": True,
    "udp_names": True,
    "udp_wildcards": True,
    "urls": True,
    "whole": True,
}

REQUEST = Format(name="change-request", title="Change request, Markdown", suffix=".md", write=_markdown, **_ALL)
REQUEST_DOCX = Format(name="change-request-docx", title="Change request, Word", suffix=".docx", write=_docx, **_ALL)
