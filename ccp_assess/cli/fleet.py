"""``ccp-assess fleet``: many sites, many captures, one dataset."""

from __future__ import annotations

from pathlib import Path

import typer

from ccp_assess.cli.fleet_collect import collect, key, sign

app = typer.Typer(no_args_is_help=True, help="Assess captures of many sites into one dataset.")


@app.callback()
def _fleet() -> None:
    """Assess captures of many sites into one dataset."""


@app.command()
def run(
    source: str = typer.Argument(..., help="Folder or bucket with client folders or folders of sites."),
    out: str = typer.Option(..., "--out", help="Folder or bucket of the dataset; run again to go on."),
    scheduler: str | None = typer.Option(None, "--scheduler", help="Address of a Dask scheduler, tls://host:8786."),
    workers: int | None = typer.Option(None, "--workers", min=1, max=256, help="Processes on this machine."),
    tls_ca: str | None = typer.Option(None, "--tls-ca", help="Certificate of the authority (PEM)."),
    tls_cert: str | None = typer.Option(None, "--tls-cert", help="Own certificate (PEM)."),
    tls_key: str | None = typer.Option(None, "--tls-key", help="Key of the own certificate (PEM)."),
    insecure: bool = typer.Option(False, "--insecure", help="Speak in the clear to a scheduler on another machine."),
    part_bytes: int | None = typer.Option(
        None, "--part-bytes", min=1_000, help="Longer recordings are read in parts of so many bytes; 2 GB by default."
    ),
    hash_inputs: bool = typer.Option(
        False, "--hash-inputs", help="Record the SHA-256 of every file; one that was only touched is not read again."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Read all captures and probes of SOURCE; what is done already is kept, what changed is done again."""
    from ccp_assess.cli.output import print_json, printable
    from ccp_assess.cli.progress import progress_bar
    from ccp_assess.fleet.cluster import Engine
    from ccp_assess.fleet.run import run_fleet
    from ccp_assess.fleet.units import PART_BYTES

    engine = Engine(
        scheduler=scheduler,
        workers=workers,
        ca=tls_ca,
        certificate=tls_cert,
        key=tls_key,
        insecure=insecure,
        part_bytes=part_bytes or PART_BYTES,
        hash_inputs=hash_inputs,
    )
    with progress_bar() as report:
        result = run_fleet(
            source, out, engine, progress=report, say=lambda text: typer.echo(f"ccp-assess: {text}", err=True)
        )
    if as_json:
        print_json(result.to_document())
        return
    told = result.manifest
    counts = ", ".join(f"{count} {name}" for name, count in told["rows"].items())
    if not told["files"] and not told["set_aside"]:
        typer.echo(
            printable(
                f"Nothing to read was found in {source}: a client's folder holds captures/SITE/…, probes/SITE/… and "
                "sites.csv (`ccp-assess new CLIENT_DIR` lays one out), a folder of sites holds SITE/….pcap."
            )
        )
        return
    typer.echo(
        f"{told['files']} files, {told['bytes']} bytes in {told['units']} units{f': {counts}' if counts else ''}"
    )
    typer.echo(f"{result.done} units were done now, {result.kept} were done before.")
    for row in told["set_aside"]:
        typer.echo(printable(f"set aside: {row['path']}: {row['reason']}"))
    for row in told["limits"]:
        typer.echo(printable(f"not all of it: {row['path']}: {row['reason']}"))
    for row in result.failed:
        typer.echo(printable(f"not done: {row['paths'][0]}: {row['reason']}"))


@app.command()
def check(
    out: str = typer.Argument(..., help="Folder or bucket of the dataset."),
    source: str | None = typer.Option(None, "--source", help="What it was made of; is it still that?"),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Hold every part of a dataset against its hash and the sums against the manifest."""
    from ccp_assess.cli.output import print_json, printable
    from ccp_assess.fleet.dataset import Dataset
    from ccp_assess.fleet.inputs import check_source
    from ccp_assess.fleet.merging import check_merged
    from ccp_assess.fleet.needs import FleetError
    from ccp_assess.fleet.refusals import told_as_unread
    from ccp_assess.fleet.sources import open_place

    dataset = Dataset(open_place(out))
    with told_as_unread(out):
        if dataset.layout() is None:
            raise FleetError(f"{out}: there is no dataset; make one with `ccp-assess fleet run SOURCE --out {out}`")
        problems = dataset.check() + check_merged(dataset)
    good = ["All parts are there, whole, and add up."]
    if source is not None:
        changes = check_source(open_place(source), dataset)
        problems += changes.problems
        good.append(
            f"All {changes.same} files of the source are those that were read: {changes.hashed} by their checksum, "
            f"{changes.same - changes.hashed} by size and stamp."
        )
    if as_json:
        print_json({"problems": problems})
    else:
        for problem in problems or good:
            typer.echo(printable(problem))
    if problems:
        raise typer.Exit(1)


_WORKER = (
    "dask worker tls://SCHEDULER:8786 --nworkers -1 --nthreads 1 "
    "--worker-port 8800:8899 --nanny-port 8900:8999 --dashboard-address 127.0.0.1:0"
)
"""One process for each processor, on ports that a firewall can be told, with a dashboard for its own machine alone."""


@app.command()
def certificates(
    out: Path = typer.Option(..., "--out", help="Folder that shall hold them."),
    days: int = typer.Option(30, "--days", min=1, max=825, help="How long they are valid."),
) -> None:
    """Make an authority of a cluster's own, and certificates for its scheduler, its workers and for `fleet run`."""
    from datetime import UTC, datetime

    from ccp_assess.fleet.certificates import write_certificates

    write_certificates(out, now=datetime.now(UTC), days=days)
    typer.echo(
        f"Valid for {days} days. Who holds a .key can run programs on every worker. The commands of the cluster:\n"
        + "\n".join(
            f"  {command} --tls-ca{file} {out}/ca.pem --tls-cert {out}/{name}.pem --tls-key {out}/{name}.key"
            for command, file, name in (
                ("dask scheduler --protocol tls --dashboard-address 127.0.0.1:8787", "-file", "scheduler"),
                (_WORKER, "-file", "worker"),
                ("ccp-assess fleet run SOURCE --out DEST --scheduler tls://SCHEDULER:8786", "", "client"),
            )
        )
    )


@app.command()
def report(
    dest: str = typer.Argument(..., help="Folder or bucket of the dataset."),
    out: Path = typer.Option(..., "--out", help="The page, such as many-sites.html."),
    since: str | None = typer.Option(None, "--since", help="Compare before and after, 2026-11-23T12:00:00Z."),
    title: str | None = typer.Option(None, "--title", help="Whose sites they are; by default the clients in it."),
    masked: bool = typer.Option(False, "--masked", help="Mask whatever names the client or its places."),
) -> None:
    """Write one page to hand over: worst sites, hours, providers, Regions, findings, and what is unknown."""
    import atexit
    import gc
    from datetime import UTC, datetime

    from ccp_assess.cli.progress import progress_bar
    from ccp_assess.fleet.answers import as_utc, dataset_title, read_answers
    from ccp_assess.fleet.masked import mask_answers
    from ccp_assess.report.many_sites import write_many_sites

    atexit.unregister(gc.freeze)  # the database's binding wants to be taken apart at the end, and says so loudly
    try:
        instant = None if since is None else as_utc(datetime.fromisoformat(since))
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            f"{since!r} is no instant; write 2026-11-23T12:00:00Z", param_hint="--since"
        ) from error
    with progress_bar() as progress:
        answers = read_answers(dest, since=instant, progress=progress)
    if masked:
        answers, mask = mask_answers(answers)
        title = mask.text(title) if title else None
    path = write_many_sites(
        out,
        answers.rows,
        manifest=answers.manifest,
        made_at=datetime.now(UTC),
        title=title or dataset_title(answers),
        since=answers.since,
        masked=masked,
    )
    typer.echo(f"wrote {path}")


app.command()(key)
app.command()(sign)
app.command()(collect)
