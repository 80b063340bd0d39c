"""`ccp-assess probe`: what measuring tools found, in one form."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(help="Measure the way to the Regions, or read what other tools measured.")


@app.callback(invoke_without_command=True)
def measure(
    context: typer.Context,
    region: Annotated[list[str] | None, typer.Option("--region", help="Only this Region; may be repeated.")] = None,
    site: Annotated[str | None, typer.Option("--site", "--site-id", help="The site this computer stands at.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="One round of all Regions (the default).")] = False,
    full: Annotated[bool, typer.Option("--full", help="Also proofs, trains, NAT and packet sizes.")] = False,
    endpoints: Annotated[Path | None, typer.Option(help="Table that stands in for the Regions (CSV).")] = None,
    instance: Annotated[str | None, typer.Option(help="Alias of an instance, whose own names are tested, too.")] = None,
    names_from: Annotated[
        Path | None, typer.Option(help="Log, capture, list or client folder with the names behind wildcards.")
    ] = None,
    proxy: Annotated[str | None, typer.Option(help="HOST:PORT instead of the proxy in force, or 'direct'.")] = None,
    pac: Annotated[str | None, typer.Option(help="URL or file of a proxy script (PAC).")] = None,
    source: Annotated[str | None, typer.Option(help="Local address to send from: one of several ways out.")] = None,
    seconds: Annotated[float, typer.Option(min=1.0, max=3600.0, help="Length of the trains (--full) [s].")] = 10.0,
    calls: Annotated[int, typer.Option(min=1, max=100, help="Trains at once to each Region (--full).")] = 1,
    idle: Annotated[float, typer.Option(min=0.0, max=600.0, help="Longest silence for a NAT (--full) [s].")] = 30.0,
    asn_table: Annotated[Path | None, typer.Option(help="Table of autonomous systems, for the hops' owners.")] = None,
    bench: Annotated[
        bool, typer.Option("--bench", help="What --endpoints holds is a test bench, and no service.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the JSON document to this file.")] = None,
    key: Annotated[
        Path | None, typer.Option(help="Key of the engagement: what --out writes is signed with it.")
    ] = None,
    drop: Annotated[
        str | None, typer.Option(help="Folder, or https:// address, to which the signed JSON is handed over.")
    ] = None,
) -> None:
    """Measure the way from this computer to every Region, and say in plain words what is wrong."""
    if context.invoked_subcommand is not None:
        return
    if quick and full:
        raise typer.BadParameter("give --quick or --full, not both")
    if drop is not None and key is None:
        raise typer.BadParameter("--drop needs --key FILE: only what is signed is taken")
    if key is not None and drop is None and out is None:
        raise typer.BadParameter("--key signs what --out writes or --drop hands over; give one of them")
    from ccp_assess.cli.output import json_text, jsonable, print_json, printable
    from ccp_assess.cli.progress import progress_bar
    from ccp_assess.errors import ProbeError
    from ccp_assess.files import read_made_key, write_whole
    from ccp_assess.probe.rounds import RoundOptions, probe_round
    from ccp_assess.probe.shown import document_lines
    from ccp_assess.probe.signed import signed_file

    secret = read_made_key(key, ProbeError) if key is not None else None

    options = RoundOptions(
        regions=tuple(region or ()),
        site_id=site,
        full=full,
        endpoints=endpoints,
        instance=instance,
        names_from=names_from,
        proxy=proxy,
        pac=pac,
        source=source,
        seconds=seconds,
        calls=calls,
        idle_s=idle,
        asn_table=asn_table,
        vantage="bench" if bench else None,
    )
    with progress_bar() as report:
        document = probe_round(options, report)
    data = (json_text(document) + "\n").encode() if secret is None else signed_file(jsonable(document), secret)
    if out is not None:
        write_whole(out, data)
    if as_json:
        print_json(document)
    else:
        for line in document_lines(document):
            typer.echo(printable(line))
    said = [] if out is None else [f"Written to {out}."]
    if drop is not None:
        said.append(f"Handed over to {_hand_over(data, document, drop, proxy, out)}.")
    for line in said:
        typer.echo(printable(line), err=as_json)


def _hand_over(data: bytes, document: dict[str, Any], where: str, proxy: str | None, out: Path | None) -> str:
    """Hand the signed result over; where that fails it stands in a file, so that nothing has to be measured again."""
    from ccp_assess.errors import ProbeError
    from ccp_assess.files import write_whole
    from ccp_assess.probe.drop import drop, drop_name, file_name

    try:
        return drop(data, where, drop_name(document), proxy=proxy)
    except ProbeError as error:
        if out is None:
            out = Path(file_name(document))
            write_whole(out, data)
        raise ProbeError(f"{error}. The signed result stands in {out}") from error


@app.command("import")
def import_files(
    files: Annotated[list[Path], typer.Argument(help="Output of mtr, traceroute, tracert, pathping, ping, …")],
    site: Annotated[str | None, typer.Option("--site", "--site-id", help="The site it was taken from.")] = None,
    key: Annotated[
        Path | None, typer.Option(exists=True, help="Key of the engagement: read only what is signed with it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list, one document per file.")] = False,
) -> None:
    """Read other tools' output into the records of our own probes."""
    from ccp_assess.cli.output import print_json, printable
    from ccp_assess.errors import ProbeError
    from ccp_assess.files import read_key
    from ccp_assess.probe.imports import probe_document_json, read_probe_file

    secret = read_key(key, ProbeError) if key is not None else None
    documents = [read_probe_file(path, site, key=secret) for path in files]
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


@app.command("page")
def page(
    out: Annotated[Path, typer.Option(help="The HTML file to write.")],
    region: Annotated[list[str] | None, typer.Option("--region", help="Only this Region; may be repeated.")] = None,
    site: Annotated[str | None, typer.Option("--site", "--site-id", help="The site that the page is for.")] = None,
    endpoints: Annotated[Path | None, typer.Option(help="Table that stands in for the Regions (CSV).")] = None,
    instance: Annotated[str | None, typer.Option(help="Alias of an instance, whose own pages are tested, too.")] = None,
    names_from: Annotated[
        Path | None, typer.Option(help="Log, capture, list or client folder with the names behind wildcards.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="Key of the engagement to sign results with; made if the file is not there.")
    ] = None,
) -> None:
    """Write one HTML file that tests every Region from an agent's own browser; `probe import` reads what it saves."""
    from ccp_assess.cli.output import printable
    from ccp_assess.errors import ProbeError
    from ccp_assess.files import read_key
    from ccp_assess.probe.page import write_page
    from ccp_assess.probe.targets import read_service_names

    names = read_service_names(names_from) if names_from is not None else ()
    write_page(
        out,
        regions=tuple(region or ()),
        endpoints=endpoints,
        site_id=site,
        instance=instance,
        names=names,
        key=read_key(key, ProbeError) if key is not None else None,
    )
    typer.echo(printable(f"Written to {out}: open it in the agent's browser, start the test and save the result."))
