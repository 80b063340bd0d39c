"""``ccp-assess fleet key``, ``sign`` and ``collect``: results of agents' computers, signed, dropped and taken in."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from ccp_assess.errors import CcpAssessError
    from ccp_assess.fleet.collect import CollectResult


def key(out: Path = typer.Option(..., "--out", help="The new file; only its owner can read it.")) -> None:
    """Make the key of an engagement, with which agents' results are signed."""
    from ccp_assess.cli.output import printable
    from ccp_assess.errors import ProbeError
    from ccp_assess.files import make_key
    from ccp_assess.probe.signed import key_id

    try:
        made = make_key(out)
    except FileExistsError:
        raise ProbeError(
            f"{out}: something stands there already, and a key is never replaced; choose a new name"
        ) from None
    typer.echo(printable(f"Written to {out}: key {key_id(made)}. Keep it: it cannot be made again."))


def sign(
    files: list[Path] = typer.Argument(..., help="Results of `probe`, of `monitor`, or of the browser page."),
    key: Path = typer.Option(..., "--key", help="Key of the engagement."),
    out: Path | None = typer.Option(None, "--out", help="Folder for the signed files; beside each file if not given."),
    drop: str | None = typer.Option(None, "--drop", help="Hand them over to this folder or https:// address instead."),
    site: str | None = typer.Option(None, "--site", help="The site of results that name none."),
) -> None:
    """Sign results that were made without a key, so that `collect` takes them."""
    from ccp_assess.cli.output import printable
    from ccp_assess.errors import ProbeError
    from ccp_assess.files import read_made_key, write_whole
    from ccp_assess.probe import drop as dropping
    from ccp_assess.probe.signed import signed_files

    if out is not None and drop is not None:
        raise typer.BadParameter("give --out or --drop, not both")
    secret = read_made_key(key, ProbeError)
    for path in files:
        for number, (first, data) in enumerate(signed_files(_documents(path, site), secret), start=1):
            if drop is not None:
                place = dropping.drop(data, drop, dropping.drop_name(first))
            else:
                name = f"{path.stem}.signed{'' if number == 1 else f'-{number}'}.json"
                target = (path.parent if out is None else out) / name
                write_whole(target, data)
                place = str(target)
            typer.echo(printable(f"{path}: signed as {place}"))


def _documents(path: Path, site: str | None) -> Iterator[dict[str, Any]]:
    """Read results and hold them against the schema now, while somebody is there to mend them."""
    import json

    from ccp_assess.cli.output import printable
    from ccp_assess.errors import ParseError
    from ccp_assess.probe.document_schema import parse_documents
    from ccp_assess.probe.round_files import read_rounds
    from ccp_assess.probe.signed import RefusedError, is_signed
    from ccp_assess.shapes import parse_json

    try:
        rounds = read_rounds(path)
    except ParseError:
        try:
            is_done = is_signed(parse_json(path.read_bytes()))
        except (OSError, ValueError):
            is_done = False
        if is_done:
            raise ParseError(f"{path} is signed already; drop it as it is") from None
        raise
    for note in rounds.notes:
        typer.echo(printable(note), err=True)
    for document in rounds.documents:
        named = document if document.get("site_id") or site is None else document | {"site_id": site}
        try:
            parse_documents(json.dumps(named))
        except RefusedError as error:
            raise ParseError(f"{path}: {error}; it would not be taken") from None
        yield named


def collect(
    inbox: str = typer.Argument(..., help="Folder or bucket in which results are dropped."),
    out: str = typer.Option(..., "--out", help="Folder or bucket of the dataset, the same as of `fleet run`."),
    key: list[Path] = typer.Option(..., "--key", help="Key of the engagement; repeat it to take older keys, too."),
    client: str | None = typer.Option(None, "--client", help="Whose results; that of the dataset if not given."),
    sites: Path | None = typer.Option(None, "--sites", help="sites.csv; that of the dataset if not given."),
    since: datetime | None = typer.Option(
        None, "--since", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="When the engagement began, UTC."
    ),
    take: bool = typer.Option(False, "--take", help="Remove files from the inbox once the dataset holds them."),
    every: str | None = typer.Option(None, "--watch", help="Go on: so long from round to round, such as 60 or 5m."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document, with --watch one a line."),
) -> None:
    """Take signed results from INBOX into the dataset, each once; what is bad is set aside with its reason."""
    from ccp_assess.cli.durations import seconds
    from ccp_assess.cli.interrupts import heard_interrupts
    from ccp_assess.cli.output import print_json
    from ccp_assess.cli.progress import progress_bar
    from ccp_assess.fleet.collect import Collector, watch
    from ccp_assess.fleet.collect_state import terms_of

    terms = terms_of(out, key, client=client, sites=sites, since=since)
    if every is not None:
        every_s = seconds(every)
        try:
            with heard_interrupts() as sleep_s:
                make = partial(Collector, inbox, out, terms, take=take)
                watch(make, every_s, _tell_json if as_json else _tell_line, sleep_s)
        except KeyboardInterrupt:
            typer.echo("ccp-assess: stopped; what was collected is kept", err=True)
        return
    with Collector(inbox, out, terms, take=take) as collector, progress_bar() as report:
        result = collector.round(report)
        collector.sum_up()
    if as_json:
        print_json(result.to_document())
    else:
        _show(result)


def _show(result: CollectResult) -> None:
    from ccp_assess.cli.output import printable

    typer.echo(
        printable(
            f"{result.accepted} files accepted for {result.client}: {result.documents} results, {result.rows} rows."
        )
    )
    if result.duplicates:
        typer.echo(f"{result.duplicates} files hold nothing new.")
    for path in result.waiting:
        typer.echo(printable(f"waiting: {path}: it may still be on its way"))
    for row in result.refusals:
        kept = "" if row["kept"] else " (not kept)"
        typer.echo(printable(f"refused{kept}: {row['path']}: {row['text']}"))
    more = sum(result.refused.values()) - len(result.refusals)
    if more:
        typer.echo(f"refused: {more} more files")
    for site, count in sorted(result.unknown_sites.items()):
        typer.echo(printable(f"{site} is no site of sites.csv; its {count} results are kept under this name."))
    if result.taken:
        typer.echo(f"{result.taken} files left the inbox.")


def _tell_line(result: CollectResult | CcpAssessError | OSError) -> None:
    """Say in one calm line what a round did."""
    from ccp_assess.cli.output import printable
    from ccp_assess.errors import first_line

    moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(result, Exception):
        typer.echo(printable(f"{moment} not collected: {first_line(result)}; it is tried again"))
        return
    words = [f"{result.accepted} accepted"]
    words += [f"{result.duplicates} known already"] if result.duplicates else []
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(result.refused.items()))
    words += [f"{sum(result.refused.values())} refused ({reasons})"] if reasons else []
    words += [f"{len(result.waiting)} waiting"] if result.waiting else []
    typer.echo(printable(f"{moment} {', '.join(words)}"))


def _tell_json(result: CollectResult | CcpAssessError | OSError) -> None:
    import json

    from ccp_assess.errors import first_line

    told = {"error": first_line(result)} if isinstance(result, Exception) else result.to_document()
    typer.echo(json.dumps({"time": datetime.now(UTC).isoformat(timespec="seconds"), **told}))
