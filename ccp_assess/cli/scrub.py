"""``ccp-assess capture scrub``: a capture made fit to leave the client."""

from __future__ import annotations

import os
from pathlib import Path

import typer


def scrub(
    source: str = typer.Argument(..., metavar="IN", help="A capture (pcap, pcapng, also compressed)."),
    target: Path = typer.Argument(..., metavar="OUT", help="Where the scrubbed copy shall stand; .gz, .zst, .lz4 too."),
    key: Path = typer.Option(
        ..., "--key", help="Key of the mapping, made if it is not there. It stays with the client; never send it along."
    ),
    ip_ranges: Path | None = typer.Option(
        None, "--ip-ranges", help="Another ip-ranges.json: addresses within published ranges of AWS stay as they are."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Remove what was said and map who it was; what was measured stays.

    Media and unknown payloads become zero, addresses, names and hardware addresses are mapped with the key. The same
    key maps the same address to the same other one in every file. What stays is told in docs/privacy.md.
    """
    from ccp_assess.capture.scrub import scrub_capture
    from ccp_assess.cli.output import print_json, printable
    from ccp_assess.cli.progress import progress_bar
    from ccp_assess.ranges import read_ranges

    is_new_key = not key.exists()
    if not is_new_key and os.name == "posix" and key.stat().st_mode & 0o077:
        typer.echo(printable(f"Others can read the key {key}; keep it to its owner: chmod 600 {key}"), err=True)
    with progress_bar() as report:
        result = scrub_capture(
            source, target, key=key, ranges=read_ranges(ip_ranges) if ip_ranges else None, progress=report
        )
    if as_json:
        print_json(result.to_document())
        return
    typer.echo(printable(f"{result.path}: {result.packets} packets, scrubbed"))
    if result.ended_early:
        typer.echo(printable(f"The original could be read only in part: {result.ended_early}."))
    if result.already_mapped:
        typer.echo("It had been scrubbed with this key before: names and addresses stayed as they were.")
    if is_new_key:
        typer.echo(printable(f"A new key was made: {result.key}. Keep it at the client; use it for all its captures."))
    typer.echo(f"Addresses in AWS's published ranges of {result.ranges} and AWS's own names stay readable.")
