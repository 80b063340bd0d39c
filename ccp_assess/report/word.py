"""The report as a Word document, for those who edit it: the same numbers and words, pictures as PNG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ccp_assess.errors import CcpAssessError
from ccp_assess.files import write_whole
from ccp_assess.report import content, figures
from ccp_assess.report.assumptions import assumption_rows
from ccp_assess.report.style import png_bytes
from ccp_assess.report.words import band, clean, day, minute, ms, number, pct

_WIDTH_IN = 6.3


def write_docx(assessment: Any, path: str | Path) -> Path:
    """Write the report as a Word document.

    Parameters
    ----------
    assessment
        A client assessment.
    path
        Where it shall stand, ending in ``.docx``.

    Returns
    -------
    path
        The same.

    Raises
    ------
    CcpAssessError
        If python-docx is not installed; the text says how to get it.
    """
    try:
        import docx  # noqa: PLC0415 - an extra that only this format needs
    except ImportError as error:
        raise CcpAssessError("a Word document needs python-docx; install ccp-assess with the extra [report]") from error
    writer = _Writer(docx.Document())
    for write in (_first, _findings, _regions, _budgets, _sites, _calls, _rules, _unknowns, _assumptions, _repeat):
        write(writer, assessment)
    buffer = BytesIO()
    writer.document.core_properties.title = f"{clean(assessment.client.name, 120)}: Amazon Connect network assessment"
    writer.document.core_properties.author = ""
    writer.document.core_properties.comments = ""
    writer.document.save(buffer)
    write_whole(Path(path), buffer.getvalue())
    return Path(path)


class _Writer:
    """A Word document with the few forms that the report needs."""

    def __init__(self, document: Any) -> None:
        from docx.shared import Cm, Pt  # noqa: PLC0415 - an extra

        self.document = document
        section = document.sections[0]
        section.page_width, section.page_height = Cm(21.0), Cm(29.7)
        section.left_margin = section.right_margin = Cm(2.5)
        document.styles["Normal"].font.name = "Calibri"
        document.styles["Normal"].font.size = Pt(10.5)

    def heading(self, text: str, level: int = 1) -> None:
        self.document.add_heading(clean(text), level)

    def text(self, text: str, *, bold: bool = False) -> None:
        self.document.add_paragraph().add_run(clean(text)).bold = bold

    def bullets(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.document.add_paragraph(clean(text), style="List Bullet")

    def table(self, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        table = self.document.add_table(rows=1, cols=len(head), style="Light Grid Accent 1")
        for cell, text in zip(table.rows[0].cells, head, strict=True):
            cell.text = text
        for row in rows:
            for cell, value in zip(table.add_row().cells, row, strict=True):
                cell.text = clean(value)
        self.document.add_paragraph()

    def picture(self, figure: Figure, description: str) -> None:
        from docx.shared import Inches  # noqa: PLC0415 - an extra

        shape = self.document.add_picture(BytesIO(png_bytes(figure, dpi=200)), width=Inches(_WIDTH_IN))
        shape._inline.docPr.set("descr", clean(description, 400))  # noqa: SLF001 - python-docx has no other way to alt text


def _first(writer: _Writer, assessment: Any) -> None:
    writer.document.add_heading(clean(assessment.client.name, 160), 0)
    until = content.valid_until(assessment.assessed_at)
    writer.text(f"Amazon Connect network assessment · {minute(assessment.assessed_at)} · valid until {day(until)}")
    writer.heading("The answer")
    for index, sentence in enumerate(assessment.sentences):
        writer.text(sentence, bold=index == 0)
    writer.picture(figures.draw_map(assessment)[0], "Map of sites, callers, transfer targets and Regions")
    writer.heading("What to do first", 2)
    for row in content.front_findings(content.finding_rows(assessment)):
        writer.text(f"{row['word']}: {row['text']} {row['action']}")


def _findings(writer: _Writer, assessment: Any) -> None:
    rows = content.finding_rows(assessment)
    writer.heading("Findings")
    if not rows:
        writer.text("No finding. This says only that nothing was found in what was given; see what is unknown.")
        return
    writer.table(
        ("No.", "Severity", "Finding", "What to do", "Owner", "Due", "Test again"),
        [
            (r["number"], r["word"], f"{r['text']} ({r['where']})", r["action"], r["owner"], _due(r), r["retest"])
            for r in rows
        ],
    )


def _due(row: dict[str, Any]) -> str:
    if not row["due"] or not row["owner"]:
        return ""
    return day(row["due"]) if row["due_agreed"] else f"proposed: {day(row['due'])}"


def _regions(writer: _Writer, assessment: Any) -> None:
    writer.heading("Which Region")
    rows = content.option_rows(assessment.ranking)
    recommendation = assessment.ranking.get("recommendation") or {}
    if rows:
        writer.picture(figures.draw_region_comparison(assessment)[0], "Mouth-to-ear delay of the options")
        writer.table(
            ("Region", "Mean", "Band", "95th percentile", "MOS-CQE", "Over 150 / 400 ms", "Probability best"),
            [
                (
                    " + ".join(row["regions"]) + (" (recommended)" if row["chosen"] else ""),
                    ms(row["mouth_to_ear_ms"]["mean"]),
                    band(row["mouth_to_ear_ms"]["band"]),
                    ms(row["mouth_to_ear_ms"]["p95"]),
                    number(row["mos_cqe"]["mean"], 2),
                    f"{pct(row['share_over_150_ms_pct'])} / {pct(row['share_over_400_ms_pct'])}",
                    pct(row["probability_best_pct"]),
                )
                for row in rows[:20]
            ],
        )
    writer.bullets(recommendation.get("reasons") or [])
    writer.heading("What would change the choice", 2)
    writer.bullets(str(tip.get("text") or tip["what"]) for tip in recommendation.get("tipping_points") or [])
    writer.bullets(recommendation.get("caveats") or [])
    excluded = content.excluded_rows(assessment.ranking)
    if excluded:
        writer.heading("Excluded before ranking", 2)
        writer.table(("Regions", "Why"), [(", ".join(r["regions"][:12]), "; ".join(r["reasons"])) for r in excluded])


def _budgets(writer: _Writer, assessment: Any) -> None:
    rows = content.budget_rows(assessment)
    writer.heading("Latency budget per site")
    if not rows:
        writer.text("No option is left to draw a budget for.")
        return
    writer.picture(figures.draw_latency_budget(assessment)[0], "Latency budget per site")
    writer.table(
        ("Site", *(part.label for part in rows[0]["parts"]), "Sum"),
        [
            (r["name"], *(f"{ms(part.one_way_ms, 1)} ({part.basis})" for part in r["parts"]), ms(r["total_ms"]))
            for r in rows
        ],
    )


def _sites(writer: _Writer, assessment: Any) -> None:
    writer.heading("Sites and measurements")
    rows = content.site_rows(assessment, content.measurement_rows(assessment))
    writer.table(
        ("Site", "Access", "Agents", "Region", "Round trip", "Hops", "Basis, date, vantage"),
        [
            (
                r["site"].name or r["site"].site_id,
                r["site"].access,
                number(r["site"].agents),
                clean(r["region_code"]),
                ms(r["rtt_ms"], 1),
                number(r["hop_count"]),
                " ".join(
                    [str(r["basis"] or "unknown"), ", ".join(map(day, r["dates"])), ", ".join(r["vantages"])]
                ).strip(),
            )
            for r in rows
        ],
    )


def _calls(writer: _Writer, assessment: Any) -> None:
    writer.heading("Calls")
    rows = content.call_rows(assessment)
    if not rows:
        writer.text("No call was captured: call quality is unknown.")
        return
    writer.table(
        ("Call", "Start", "Site", "MOS-CQE", "Loss in", "Jitter in", "RTT media p50"),
        [
            (
                clean(r["call_id"], 16),
                minute(r["start_time"]),
                clean(r["site_id"]),
                number(r["in"]["mos_cqe"], 2),
                pct(r["in"]["loss_pct"], 2),
                ms(r["in"]["jitter_ms"], 1),
                ms(r["rtt_media_ms"]["p50"], 1),
            )
            for r in rows[: content.MOST_CALL_ROWS]
        ],
    )
    for series in content.worst_series(rows):
        writer.text(f"{clean(series.call['call_id'], 16)} · {minute(series.call['start_time'])}", bold=True)
        writer.picture(figures.draw_call_timeline(series)[0], "Loss, jitter and round trips of a call over time")


def _rules(writer: _Writer, assessment: Any) -> None:
    writer.heading("Firewall rules")
    rows = content.rule_rows(assessment.allowlist)
    if not rows:
        writer.text("No Region is recommended, so no rules can be listed.")
        return
    writer.table(
        ("Purpose", "Target", "Port", "Direction", "Source"),
        [
            (
                r["purpose"],
                " ".join(r["targets"]),
                f"{r['port']} {r['transport']}",
                r["direction"],
                f"{r['source']}, {day(r['retrieved'])}",
            )
            for r in rows
        ],
    )
    for part in content.audit_parts(assessment):
        writer.heading(f"Audit of {clean(part['file'], 80)}", 2)
        for kind, words in (("missing", "Missing"), ("too_wide", "Too wide"), ("stale", "Stale")):
            writer.bullets(f"{words}: {text}" for text in part[kind])


def _unknowns(writer: _Writer, assessment: Any) -> None:
    writer.heading("What is unknown")
    writer.bullets(assessment.unknowns or ["Nothing that the assessment asks for was missing."])


def _assumptions(writer: _Writer, assessment: Any) -> None:
    writer.heading("Assumptions")
    writer.table(
        ("What", "Value", "Basis", "Why, and where it comes from"),
        [(r["what"], r["value"], r["basis"], r["source"]) for r in assumption_rows(assessment)],
    )


def _repeat(writer: _Writer, assessment: Any) -> None:
    writer.heading("How to repeat this assessment")
    writer.table(("What", "Version"), content.versions())
    files = content.input_files(assessment)
    if files:
        writer.table(("File", "Bytes", "SHA-256"), [(f["path"], number(f["bytes"]), f["sha256"]) for f in files])
