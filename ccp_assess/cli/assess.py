"""``ccp-assess assess``: the main job."""

from __future__ import annotations

from pathlib import Path

import typer


def assess(
    client_dir: Path = typer.Argument(..., help="The client folder (make one with `ccp-assess new`)."),
    out: Path | None = typer.Option(
        None, "--out", help="Where the report is written.  [default: the folder `report` in CLIENT_DIR]"
    ),
    instances: int = typer.Option(1, "--instances", min=1, max=4, help="How many instances an option may have."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Assess everything that a client folder holds and write the client report."""
    from ccp_assess.assess.client_assessment import assess_client
    from ccp_assess.cli.output import json_text, print_json, printable
    from ccp_assess.cli.progress import progress_bar
    from ccp_assess.files import write_whole
    from ccp_assess.report.document import write_report

    folder = out or client_dir / "report"
    with progress_bar() as report_progress:
        assessment = assess_client(client_dir, progress=report_progress, instances=instances)
        if report_progress:
            report_progress("writing the report", 0, 1)
        written = write_report(assessment, folder)
    document = assessment.to_document() | {
        "report": {kind: None if path is None else str(path) for kind, path in written.items()}
    }
    write_whole(folder / "assessment.json", json_text(document) + "\n")
    if as_json:
        print_json(document)
        return
    for sentence in assessment.sentences:
        typer.echo(printable(sentence))
    typer.echo(f"Report: {written['html']}")
