"""``ccp-assess monitor`` and ``ccp-assess compare``: rounds over a shift, and two paths against each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ccp_assess.probe.handover import HandOver
    from ccp_assess.probe.rounds import RoundOptions


def monitor(
    region: Annotated[list[str] | None, typer.Option("--region", help="Only this Region; may be repeated.")] = None,
    site: Annotated[str | None, typer.Option("--site", "--site-id", help="The site this computer stands at.")] = None,
    every: Annotated[str, typer.Option("--every", help="Time from round to round.")] = "5m",
    whole: Annotated[str, typer.Option("--for", help="How long in all.")] = "8h",
    full: Annotated[bool, typer.Option("--full", help="Rounds with proofs, trains, NAT and packet sizes.")] = False,
    endpoints: Annotated[Path | None, typer.Option(help="Table that stands in for the Regions (CSV).")] = None,
    proxy: Annotated[str | None, typer.Option(help="HOST:PORT instead of the proxy in force, or 'direct'.")] = None,
    pac: Annotated[str | None, typer.Option(help="URL or file of a proxy script (PAC).")] = None,
    bench: Annotated[
        bool, typer.Option("--bench", help="What --endpoints holds is a test bench, and no service.")
    ] = False,
    out: Annotated[Path, typer.Option(help="JSON Lines that the rounds are appended to.")] = Path("monitor.jsonl"),
    key: Annotated[Path | None, typer.Option(help="Key of the engagement, with which --drop is signed.")] = None,
    drop: Annotated[
        str | None, typer.Option(help="Folder, or https:// address that ends in /, to which each round is handed over.")
    ] = None,
    drop_every: Annotated[
        str | None, typer.Option("--drop-every", help="Hand over so often, such as 30m, not after every round.")
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Measure nothing; show what --out holds by hour.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the hours as JSON.")] = False,
) -> None:
    """Repeat the measuring over a shift; what is finished is kept whatever happens."""
    from ccp_assess.cli.durations import seconds
    from ccp_assess.cli.output import print_json, printable
    from ccp_assess.errors import ProbeError
    from ccp_assess.probe.monitoring import by_hour
    from ccp_assess.probe.monitoring import monitor as run
    from ccp_assess.probe.round_files import read_rounds
    from ccp_assess.probe.rounds import RoundOptions, probe_round

    if (drop is None) != (key is None):
        raise typer.BadParameter("--drop needs --key FILE, and --key is for --drop: only what is signed is taken")
    if drop_every is not None and drop is None:
        raise typer.BadParameter("--drop-every is for --drop")
    if show and drop is not None:
        raise typer.BadParameter("--show measures nothing; leave --drop out")
    handover = None
    if not show:
        options = RoundOptions(
            regions=tuple(region or ()),
            site_id=site,
            full=full,
            endpoints=endpoints,
            proxy=proxy,
            pac=pac,
            vantage="bench" if bench else None,
        )
        every_s, whole_s, drop_every_s = seconds(every), seconds(whole), seconds(drop_every) if drop_every else 0.0
        if whole_s < every_s:
            raise typer.BadParameter(f"--for {whole} is shorter than one round's --every {every}")
        handover = None if drop is None else _handover(out, key, drop, proxy)
        with _courier(handover, drop_every_s) as round_is_done:

            def tell(document: dict[str, Any], number: int, planned: int) -> None:
                _tell_round(document, number, planned)
                round_is_done()

            run(lambda: probe_round(options), out, every_s=every_s, for_s=whole_s, tell=tell)
    rounds = read_rounds(out)
    rows = by_hour(rounds.documents)
    if as_json:
        print_json(rows)
    else:
        for line in _hours(rows):
            typer.echo(printable(line))
        for note in rounds.notes:
            typer.echo(printable(note), err=True)
    if handover is not None and (waiting := handover.waiting()):
        raise ProbeError(
            f"{waiting} {'round waits' if waiting == 1 else 'rounds wait'} in {out} to be handed over: by the next "
            f"`monitor --drop` with this --out, or by `ccp-assess fleet sign {out} --key {key} --drop …`"
        )


def _handover(out: Path, key: Path | None, drop: str, proxy: str | None) -> HandOver:
    from ccp_assess.errors import ProbeError
    from ccp_assess.files import read_made_key
    from ccp_assess.probe.handover import HandOver

    return HandOver(out, read_made_key(key or "", ProbeError), drop, proxy=proxy)


@contextmanager
def _courier(handover: HandOver | None, every_s: float) -> Iterator[Callable[[], None]]:
    """Hand over beside the measuring, if that is wanted; give what is to be called after each round."""
    from ccp_assess.cli.output import printable
    from ccp_assess.probe.handover import Courier

    if handover is None:
        yield lambda: None
        return
    with Courier(handover, lambda text: typer.echo(printable(text), err=True), every_s=every_s) as courier:
        yield courier.round_is_done


def _tell_round(document: dict[str, Any], number: int, planned: int) -> None:
    """Say on a terminal what a round found; stay quiet in a pipe."""
    import sys

    from ccp_assess.cli.output import printable
    from ccp_assess.probe.monitoring import round_trip_ms

    if not sys.stderr.isatty():
        return
    times = [(rtt, region.get("region_code")) for region in document["regions"] if (rtt := round_trip_ms(region))]
    best = min(times, default=None, key=lambda row: row[0])
    said = f"{best[1]} {best[0]:.1f} ms is nearest" if best else "nothing answered"
    grave = {
        one["code"] for region in document["regions"] for one in region["diagnosis"] if one["severity"] == "critical"
    }
    more = f"; {', '.join(sorted(grave))}" if grave else ""
    typer.echo(printable(f"{document['time'][:16]} round {number} of {planned}: {said}{more}"), err=True)


def _hours(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Write the hours as a table: a row for each Region, a column for each hour of this computer's clock."""
    hours = sorted({row["hour"] for row in rows})
    codes = list(dict.fromkeys(row["region_code"] for row in rows))
    cells = {(row["region_code"], row["hour"]): row for row in rows}
    lines = ["Round trip by hour of the day [ms], median of the rounds; ! where rounds had no answer"]
    lines.append("  ".join([f"{'Region':16}", *(f"{hour:02d}h".rjust(7) for hour in hours)]))
    for code in codes:
        words = []
        for hour in hours:
            row = cells.get((code, hour))
            value = "-" if row is None or row["rtt_p50_ms"] is None else f"{row['rtt_p50_ms']:.1f}"
            words.append((value + ("!" if row and row["unanswered"] else " ")).rjust(7))
        lines.append("  ".join([f"{code or '(no Region)':16}", *words]))
    return lines


def compare(
    a: Annotated[str, typer.Argument(help="A file of rounds; or a path: direct, proxy=HOST:PORT, source=ADDRESS.")],
    b: Annotated[str, typer.Argument(help="The other file, or the other path.")],
    region: Annotated[list[str] | None, typer.Option("--region", help="Only this Region; may be repeated.")] = None,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Pairs to measure, when A and B are paths.")] = 12,
    every: Annotated[str, typer.Option("--every", help="Time from pair to pair, when A and B are paths.")] = "20s",
    full: Annotated[bool, typer.Option("--full", help="Rounds with trains, for loss and jitter.")] = False,
    endpoints: Annotated[Path | None, typer.Option(help="Table that stands in for the Regions (CSV).")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the rounds (a.jsonl, b.jsonl), when paths.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
) -> None:
    """Compare two paths by paired rounds: VPN or not, proxy or not, cable or Wi-Fi, one provider or another."""
    from ccp_assess.cli.output import print_json, printable
    from ccp_assess.probe.comparing import compare_rounds
    from ccp_assess.probe.round_files import read_rounds
    from ccp_assess.probe.rounds import RoundOptions

    notes: tuple[str, ...] = ()
    if Path(a).is_file() and Path(b).is_file():
        files = read_rounds(Path(a)), read_rounds(Path(b))
        left, right = (file.documents for file in files)
        notes = (*files[0].notes, *files[1].notes)
    else:
        options = RoundOptions(regions=tuple(region or ()), full=full, endpoints=endpoints)
        left, right = _measured(_on_path(options, a), _on_path(options, b), rounds, every, out)
    found = [row for row in compare_rounds(left, right) if not region or row.region_code in region]
    if as_json:
        print_json([row.to_document() for row in found])
        return
    for row in found:
        typer.echo(printable(_sentence(row.to_document(), a, b)))
    if not found:
        typer.echo("No Region was measured on both paths within the same five minutes.")
    for note in notes:
        typer.echo(printable(note), err=True)


def _on_path(options: RoundOptions, path: str) -> RoundOptions:
    """Read what a path is; a file that is not there is told as such."""
    from ccp_assess.errors import CcpAssessError

    kind, _, value = path.partition("=")
    if path == "direct":
        return replace(options, proxy="direct")
    if kind == "proxy" and value:
        return replace(options, proxy=value)
    if kind == "source" and value:
        return replace(options, source=value)
    raise CcpAssessError(
        f"{path} is neither a file of rounds nor a path; a path is direct, proxy=HOST:PORT or source=ADDRESS (a local "
        "address of the interface to use)"
    )


def _measured(
    a: RoundOptions, b: RoundOptions, pairs: int, every: str, out: Path | None
) -> tuple[tuple[dict[str, Any], ...], tuple[dict[str, Any], ...]]:
    """Measure both paths in turn, A first in one pair and B first in the next, so that drift favours neither."""
    import tempfile

    from ccp_assess.cli.durations import seconds
    from ccp_assess.cli.progress import progress_bar
    from ccp_assess.probe.monitoring import slots
    from ccp_assess.probe.round_files import append_round, read_rounds
    from ccp_assess.probe.rounds import probe_round

    with tempfile.TemporaryDirectory() as scratch, progress_bar() as show:
        folder = out or Path(scratch)
        sides = [(a, folder / "a.jsonl"), (b, folder / "b.jsonl")]
        for number, _ in slots(seconds(every), pairs):
            for options, file in sides if number % 2 == 0 else reversed(sides):
                append_round(file, probe_round(options))
            if show:
                show("measuring both paths", number + 1, pairs)
        return read_rounds(folder / "a.jsonl").documents, read_rounds(folder / "b.jsonl").documents


def _sentence(row: dict[str, Any], a: str, b: str) -> str:
    where, unit = row["region_code"] or "(no Region)", "%" if row["metric"] == "loss_pct" else "ms"
    name = row["metric"].rpartition("_")[0]
    if row["difference"] is None:
        return f"{where} {name}: {row['note']}"
    interval = "" if row["ci95"][0] is None else f" (95 % {row['ci95'][0]:+.1f} to {row['ci95'][1]:+.1f})"
    verdict = {"a": f"{a} is better", "b": f"{b} is better", "no_evidence": "no evidence of a difference"}
    note = f" {row['note']}" if row["note"] else ""
    said = verdict[row["verdict"]]
    return f"{where} {name}: A minus B {row['difference']:+.1f} {unit}{interval} in {row['pairs']} pairs: {said}.{note}"
