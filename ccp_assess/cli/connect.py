"""`ccp-assess connect`: Amazon Connect's own read-only interfaces, only when asked."""

from __future__ import annotations

from pathlib import Path

import typer

app = typer.Typer(
    no_args_is_help=True,
    help="Ask Amazon Connect itself, read only, with the credentials of the usual AWS chain (docs/connect-api.md).",
)

_PROFILE = typer.Option(None, "--profile", help="A profile of the AWS configuration.")


@app.command("instances")
def instances(
    region: list[str] = typer.Option([], "--region", help="Where to look; may be repeated.  [default: AWS chain's]"),
    profile: str | None = _PROFILE,
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """List instances: alias, Region, identifier, address."""
    from ccp_assess.cli.output import print_json, printable
    from ccp_assess.online.connect import list_instances

    found = list_instances(region, profile=profile)
    if as_json:
        print_json([one.to_document() for one in found])
        return
    for one in found:
        typer.echo(printable(f"{one.region_code:16} {one.alias or '-':32} {one.instance_id} {one.status or ''}"))
    if not found:
        typer.echo("No instance there.")


@app.command("contacts")
def contacts(
    instance: str = typer.Option(..., "--instance", help="Identifier or ARN of the instance."),
    out: Path = typer.Option(..., "--out", help="Where the contact records are written (JSON)."),
    start: str = typer.Option(..., "--from", help="Begin, such as 2026-11-20 or 2026-11-20T08:00:00Z."),
    end: str = typer.Option(..., "--to", help="End."),
    region: str | None = typer.Option(None, "--region", help="Region of the instance."),
    most: int = typer.Option(10_000, "--most", min=1, help="Contacts fetched at most, the newest ones."),
    profile: str | None = _PROFILE,
) -> None:
    """Fetch voice contacts with the quality of their audio; `witness read` and `witness join` read them."""
    from datetime import UTC, datetime

    from ccp_assess.cli.output import json_text, printable
    from ccp_assess.cli.progress import progress_bar
    from ccp_assess.files import write_whole
    from ccp_assess.online.connect import fetch_contacts

    limits = []
    for name, text in (("--from", start), ("--to", end)):
        try:
            read = datetime.fromisoformat(text)
        except ValueError:
            raise typer.BadParameter(f"{name} {text!r} is no date; write it as 2026-11-20T08:00:00Z") from None
        limits.append(read if read.tzinfo else read.replace(tzinfo=UTC))
    with progress_bar() as report_progress:
        found = fetch_contacts(
            instance, region, start=limits[0], end=limits[1], most=most, profile=profile, progress=report_progress
        )
    write_whole(out, json_text({"Contacts": found}) + "\n")
    typer.echo(
        printable(f"{len(found)} contacts in {out}; hold them against a capture with `ccp-assess witness join`.")
    )
