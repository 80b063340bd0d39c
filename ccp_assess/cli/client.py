"""``ccp-assess new``: lay out an empty client folder."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import typer

from ccp_assess.cli.output import printable


def new(
    client_dir: Path = typer.Argument(..., help="The client folder to be made.", metavar="CLIENT_DIR"),
) -> None:
    """Lay out an empty client folder with commented examples and a questionnaire; nothing is overwritten."""
    from ccp_assess.client import new_client

    written = new_client(client_dir, today=datetime.now(UTC).date())
    shown = printable(str(client_dir))
    if not written:
        typer.echo(f"{shown} is a client folder already; nothing was missing.")
        return
    for path in written:
        typer.echo(f"wrote {printable(str(path))}")
    typer.echo(
        f"Fill in sites.csv, or have the client fill in questionnaire.xlsx; then run `ccp-assess assess {shown}`."
    )
