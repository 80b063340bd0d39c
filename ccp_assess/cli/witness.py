"""`ccp-assess witness`: what others recorded of the same calls."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ccp_assess.findings import counted

if TYPE_CHECKING:
    from ccp_assess.witnesses.records import Witness

MOST_SHOWN = 20
"""Calls printed for people."""

app = typer.Typer(
    no_args_is_help=True,
    help="Read what others recorded of the same calls: agent logs, contact records, browser dumps, diaries, taps.",
)


@app.command("read")
def read(
    files: list[Path] = typer.Argument(..., help="Files, each known by its content.", metavar="FILE..."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Read agent logs, contact records, webrtc-internals, getStats, Endpoint Test results and diaries."""
    from ccp_assess.cli.output import printable
    from ccp_assess.cli.progress import progress_bar
    from ccp_assess.witnesses.reading import read_witness

    witnesses = []
    with progress_bar() as report_progress:
        for path in files:
            size = path.stat().st_size if path.is_file() else 0

            def tell(done: int, name: str = path.name, size: int = size) -> None:
                if report_progress:
                    report_progress(f"reading {name}", min(done, size), size)

            witnesses.append(read_witness(path, progress=tell if report_progress else None))
    if as_json:
        for piece in _json_pieces(witnesses):
            sys.stdout.write(piece)
        return
    for witness in witnesses:
        for line in witness_lines(witness.to_document(with_seconds=False), len(witness.seconds)):
            typer.echo(printable(line))


def _json_pieces(witnesses: Sequence[Witness]) -> Iterator[str]:
    """Write the documents with their seconds row by row: a long log's rows never stand in memory as JSON."""
    from ccp_assess.cli.output import json_text

    yield "["
    for number, witness in enumerate(witnesses):
        head, mark, tail = json_text(witness.to_document(with_seconds=False)).partition('\n "seconds": []')
        yield ("," if number else "") + "\n" + head + mark.removesuffix("]")
        for at, row in enumerate(witness.seconds.rows()):
            yield ("," if at else "") + "\n  " + json.dumps(row.to_document())
        yield "]" + tail
    yield "\n]\n"


@app.command("join")
def join(
    files: list[Path] = typer.Argument(
        ..., help="Captures, agent logs, browser dumps and contact records of the same calls.", metavar="FILE..."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Lay the same calls of several witnesses side by side, on one clock, and say whose side loses."""
    from ccp_assess.assess.witness_evidence import join_files
    from ccp_assess.cli.output import print_json, printable
    from ccp_assess.cli.progress import progress_bar

    with progress_bar() as report_progress:
        document = join_files(files, progress=report_progress).to_document()
    if as_json:
        print_json(document)
        return
    for line in joined_lines(document):
        typer.echo(printable(line))


def joined_lines(document: dict[str, Any]) -> list[str]:
    """Tell joined calls in lines for people.

    Parameters
    ----------
    document
        Of ``witness join``.

    Returns
    -------
    lines
        Not yet made printable.
    """
    if document["reference"] is None:
        return ["No call is told of in these files."]
    lines = [f"Times are those of {document['reference']['file']}."]
    for clock in document["clocks"]:
        if clock["offset_ms"] is None:
            lines.append(f"  {clock['file']}: no call in common, its clock was taken as it is")
        else:
            lines.append(
                f"  {clock['file']}: moved by {clock['offset_ms']:+.0f} ms (spread {clock['spread_ms']:.0f} ms, "
                f"{counted(clock['samples'], 'sample')} by {clock['basis'].replace('_', ' ')})"
            )
    for call in document["calls"][:MOST_SHOWN]:
        lines += ["", f"{call['start_time']} {call['contact_id'] or call['call_id'] or ''}".rstrip()]
        lines += [f"  {one['file']:32.32} {_telling_line(one)}" for one in call["witnesses"]]
        lines.append(f"  {call['together']['text']}")
        lines += [f"  contradiction: {one['text']}" for one in call["contradictions"]]
    if len(document["calls"]) > MOST_SHOWN:
        lines.append(f"and {len(document['calls']) - MOST_SHOWN} calls more; --json has them all")
    for one in document["unmatched"]:
        lines.append(
            f"{counted(one['calls'], 'call')} of {one['file']} {'is' if one['calls'] == 1 else 'are'} in no other file"
        )
    return lines


def _telling_line(one: dict[str, Any]) -> str:
    told = [
        f"in {_number(one['in']['loss_pct'], ' %')}",
        f"out {_number(one['out']['loss_pct'], ' %')}",
        f"round trip {_number(one['rtt_ms'], ' ms')}",
    ]
    if one["outcome"]:
        told.append(str(one["outcome"]))
    if one["quality_issues"] is not None:
        told.append(f"issues {', '.join(one['quality_issues']) or 'none'}")
    return ", ".join(told)


@app.command("taps")
def taps(
    workstation: Path = typer.Argument(..., help="What the agent's workstation recorded."),
    recording: Path | None = typer.Argument(None, help="The call recording of the same call."),
    without: Path | None = typer.Option(
        None, "--without", help="A workstation recording without redirect or forward: their latency is the difference."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Measure overall, recording, agent and PSTN latency from taps in two sound files."""
    from ccp_assess.cli.output import print_json, printable
    from ccp_assess.witnesses.taps import read_tap_test

    test = read_tap_test(workstation, recording, without=without)
    if as_json:
        print_json([test.to_witness().to_document()])
        return
    for name, one in test.latencies.items():
        if one is not None:
            spread = "" if one.ci95_ms is None else f", 95 % interval {one.ci95_ms[0]:.0f} to {one.ci95_ms[1]:.0f} ms"
            typer.echo(f"{name:9}  {one.mean_ms:6.0f} ms  ({counted(len(one.taps_ms), 'tap')}{spread})")
    for sentence in (*(finding.text for finding in test.findings), *test.notes):
        typer.echo(printable(f"- {sentence}"))


def witness_lines(document: dict[str, Any], seconds: int) -> list[str]:
    """Tell a witness in lines for people.

    Parameters
    ----------
    document
        Of ``witness read``.
    seconds
        How many rows its series have (count).

    Returns
    -------
    lines
        Not yet made printable.
    """
    calls = document["calls"]
    counts = [counted(len(calls), "call"), counted(seconds, "row of seconds", "rows of seconds")]
    lines = [
        f"{document['file']}: {document['kind']}, {', '.join(counts)}, {counted(len(document['events']), 'event')}"
    ]
    lines += [f"  note: {note}" for note in document["notes"]]
    lines += [f"  {_call_line(call)}" for call in calls[:MOST_SHOWN]]
    if len(calls) > MOST_SHOWN:
        lines.append(f"  and {len(calls) - MOST_SHOWN} calls more; --json has them all")
    skew = document.get("clock_skew_ms") or {}
    if skew.get("n"):
        lines.append(
            f"  clock skew {skew['p50']:+.0f} ms ({skew['min']:+.0f} to {skew['max']:+.0f}, {skew['n']} samples)"
        )
    latency = (document.get("api_latency_ms") or {}).get("all") or {}
    if latency.get("n"):
        lines.append(
            f"  API latency p50 {latency['p50']:.0f} ms, p95 {latency['p95']:.0f} ms, {latency['failed']} failed"
        )
    for name, told in (document.get("latency_ms") or {}).items():
        if told is not None:
            lines.append(f"  {name} latency {told['mean']:.0f} ms over {counted(told['n'], 'tap')}")
    for row in document.get("latencies", ()):
        lines.append(f"  {row['region_code'] or row['name']}: {_number(row['latency_avg_ms'], ' ms')} on average")
    for row in document.get("heat_map", ()):
        symptoms = ", ".join(f"{count} {letter}" for letter, count in row["symptoms"].items())
        lines.append(f"  {row['agent']} at {row['hour']:02d} h: {symptoms}; worst severity {row['worst_severity']}")
    counts_by_code: dict[str, int] = {}
    for event in document["events"]:
        counts_by_code[event["code"]] = counts_by_code.get(event["code"], 0) + 1
    if counts_by_code:
        lines.append("  events: " + ", ".join(f"{count} {code}" for code, count in sorted(counts_by_code.items())))
    return lines


def _call_line(call: dict[str, Any]) -> str:
    ways = [
        f"{way} {_number(call[way]['loss_pct'], ' % lost')}, jitter {_number(call[way]['jitter_ms'], ' ms')}"
        for way in ("in", "out")
    ]
    quality = call.get("quality")
    told = [call["contact_id"] or call.get("connection") or "call", call["start_time"] or "at an unknown time"]
    if call.get("outcome"):
        told.append(call["outcome"])
    if quality:
        told += [f"{side} score {_number(quality[side]['score'], '')}" for side in ("agent", "customer")]
    else:
        told += [*ways, f"round trip {_number(call['rtt_ms']['p50'], ' ms')}"]
    return "; ".join(str(part) for part in told)


def _number(value: float | None, unit: str) -> str:
    return "unknown" if value is None else f"{value:.2f}{unit}"
