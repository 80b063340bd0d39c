"""``ccp-assess report``: the client report alone, in the length and the formats that are wanted."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Literal

import typer


class ReportLength(StrEnum):
    """How much of the report is wanted."""

    engineer = "engineer"
    executive = "executive"


def report(
    client_dir: Path = typer.Argument(..., help="The client folder (make one with `ccp-assess new`)."),
    out: Path | None = typer.Option(
        None, "--out", help="Where the report is written.  [default: the folder `report` in CLIENT_DIR]"
    ),
    length: ReportLength = typer.Option(
        ReportLength.engineer, "--length", help="`executive`: answer, findings, Regions, budget, unknowns, method."
    ),
    pdf: bool = typer.Option(True, "--pdf/--no-pdf", help="Print a PDF, where a browser is found."),
    docx: bool = typer.Option(False, "--docx", help="Write a Word document too."),
    evidence: bool = typer.Option(False, "--evidence", help="Write the evidence bundle: tables, JSON, manifest."),
    packets: bool = typer.Option(False, "--packets", help="With --evidence: put scrubbed captures into the bundle."),
    original_packets: bool = typer.Option(
        False, "--original-packets", help="With --evidence: put the captures in as they are; see docs/privacy.md."
    ),
    section: list[str] | None = typer.Option(
        None, "--section", help="A chapter that is wanted, such as `findings`; may be given several times."
    ),
    logo: Path | None = typer.Option(None, "--logo", help="A PNG or JPEG for the head of the page."),
    masked: bool = typer.Option(False, "--masked", help="Mask whatever names the client or its places."),
    instances: int = typer.Option(1, "--instances", min=1, max=4, help="How many instances an option may have."),
    as_json: bool = typer.Option(False, "--json", help="Print the paths as one JSON document."),
) -> None:
    """Assess a client folder and write its report."""
    from ccp_assess.assess.client_assessment import assess_client
    from ccp_assess.cli.output import print_json, printable
    from ccp_assess.cli.progress import progress_bar
    from ccp_assess.report.document import write_report
    from ccp_assess.report.evidence import write_evidence
    from ccp_assess.report.word import write_docx

    if masked and (packets or original_packets):
        raise typer.BadParameter("packets cannot be masked; leave out --packets, or --masked")
    folder = out or client_dir / "report"
    with progress_bar() as show:
        assessment = assess_client(client_dir, progress=show, instances=instances, masked=masked)
        if show:
            show("writing the report", 0, 1)
        written = write_report(assessment, folder, length=length.value, sections=section or None, logo=logo, pdf=pdf)
        if docx:
            written["docx"] = str(write_docx(assessment, folder / "report.docx"))
        if evidence:
            kind: Literal["none", "scrubbed", "original"] = "scrubbed" if packets else "none"
            if original_packets:
                kind = "original"
            written["evidence"] = str(write_evidence(assessment, folder / "evidence", packets=kind))
    if as_json:
        print_json(written)
        return
    for name in ("html", "pdf", "docx", "evidence"):
        if written.get(name):
            typer.echo(printable(f"{name}: {written[name]}"))
    if pdf and written["pdf"] is None:
        typer.echo(printable(written["pdf_reason"]), err=True)
