"""``ccp-assess assess``: the main job, and two of its results held against each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from ccp_assess.assess.differences import Differences


class _AssessUnlessNamed(TyperGroup):
    """Take what is no command of the group as the client folder of the main job."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or args[0] not in self.commands:
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        return ("" if name == "run" else name), command, rest


app = typer.Typer(cls=_AssessUnlessNamed, add_help_option=False, help="Assess a client folder, or compare two visits.")


@app.command("run", hidden=True, epilog="`ccp-assess assess diff OLD NEW` compares two visits.")
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
    from ccp_assess.assess.saved import FILE
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
    write_whole(folder / FILE, json_text(document) + "\n")
    if as_json:
        print_json(document)
        return
    for sentence in assessment.sentences:
        typer.echo(printable(sentence))
    typer.echo(f"Report: {written['html']}")


@app.command("diff")
def diff(
    old_dir: Path = typer.Argument(..., help="The earlier visit: its client folder, or the folder of its report."),
    new_dir: Path = typer.Argument(..., help="The later visit."),
    any_vantage: bool = typer.Option(
        False, "--any-vantage", help="Compare tests on a bench with tests at a workstation too."
    ),
    any_hour: bool = typer.Option(False, "--any-hour", help="Compare tests at different hours of the day too."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Say which findings are closed, still open and new, and which cannot be compared."""
    from ccp_assess.assess.differences import compare_assessments
    from ccp_assess.cli.output import print_json

    differences = compare_assessments(
        _document(old_dir), _document(new_dir), any_vantage=any_vantage, any_hour=any_hour
    )
    if as_json:
        print_json(differences.to_document())
        return
    _print(differences)


def _document(folder: Path) -> dict[str, Any]:
    """Assess a client folder now; read what an earlier assessment left in any other folder."""
    from ccp_assess.assess.client_assessment import assess_client
    from ccp_assess.assess.saved import is_client_folder, read_assessment
    from ccp_assess.cli.progress import progress_bar

    if not is_client_folder(folder):
        return read_assessment(folder)
    with progress_bar() as show:
        return assess_client(folder, progress=show).to_document()


def _print(differences: Differences) -> None:
    from ccp_assess.cli.output import printable

    for title, rows in (
        ("Closed", differences.closed),
        ("Open", differences.open),
        ("New", differences.new),
        ("Not comparable", differences.not_comparable),
    ):
        telling = [row for row in rows if row["severity"] != "info"]
        notes = f", and {len(rows) - len(telling)} notes" if len(telling) < len(rows) else ""
        typer.echo(f"{title}: {len(telling)}{notes}")
        for row in telling:
            where = f" [{row['site_id']}]" if row["site_id"] else ""
            why = f" ({row['reason']})" if row.get("reason") else ""
            typer.echo(printable(f"  {row['severity']}{where} {row['code']}: {row['text']}{why}"))
    was, now = differences.recommendation["was"], differences.recommendation["is"]
    if was != now:
        typer.echo(printable(f"Recommended before: {' + '.join(was) or 'none'}; now: {' + '.join(now) or 'none'}."))
