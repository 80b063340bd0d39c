"""`ccp-assess probe`: what measuring tools found, in one form."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Measure the way to the Regions, or read what other tools measured.")


@app.callback()
def _group() -> None:
    """Hold the commands of this group."""


@app.command("import")
def import_files(
    files: Annotated[list[Path], typer.Argument(help="Output of mtr, traceroute, tracert, pathping, ping, …")],
    site: Annotated[str | None, typer.Option("--site", "--site-id", help="The site it was taken from.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list, one document per file.")] = False,
) -> None:
    """Read other tools' output into the records of our own probes."""
    from ccp_assess.cli.output import print_json, printable
    from ccp_assess.probe.imports import probe_document_json, read_probe_file

    documents = [read_probe_file(path, site) for path in files]
    if as_json:
        print_json([probe_document_json(document) for document in documents])
        return
    for document in documents:
        for row in document.regions:
            rtt = "no answer" if row.rtt_p50_ms is None else f"{row.rtt_p50_ms:.1f} ms"
            hops = "" if row.path is None else f", {row.path.hop_count or 'unknown number of'} hops"
            where = row.region_code or "no known Region"
            typer.echo(
                printable(f"{document.source}: {document.tool} to {row.destination or '?'} ({where}): {rtt}{hops}")
            )
