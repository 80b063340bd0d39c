"""``ccp-assess capture``: what captures hold."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ccp_assess.cli.plan import plan
from ccp_assess.cli.record import record
from ccp_assess.cli.scrub import scrub
from ccp_assess.memory import collector_at_rest

if TYPE_CHECKING:
    from ccp_assess.assess.callquality import CallAssessment
    from ccp_assess.assess.captures import CaptureAssessment

app = typer.Typer(no_args_is_help=True, help="Record, read and scrub captures of the softphone.")


app.command()(plan)
app.command()(record)
app.command()(scrub)


@app.callback()
def _capture() -> None:
    """Record, read and scrub captures of the softphone."""


@app.command()
@collector_at_rest()
def read(
    files: list[str] = typer.Argument(
        ..., help="Captures (pcap, pcapng, also compressed); `-` for standard input. Several are read as one."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
    out: Path | None = typer.Option(None, "--out", help="Write the tables as Parquet into this folder."),
    packets: bool = typer.Option(False, "--packets", help="With --out: write the table of all packets too."),
    host: str | None = typer.Option(None, "--host", help="Address of the workstation, for calls without a relay."),
    workers: int | None = typer.Option(None, "--workers", min=1, max=64, help="Threads to read with."),
) -> None:
    """Find calls in captures and tell how they went."""
    from contextlib import ExitStack

    from ccp_assess.assess.captures import assess_captures
    from ccp_assess.cli.progress import progress_bar

    if packets and out is None:
        raise typer.BadParameter("--packets needs --out DIR", param_hint="--packets")
    with progress_bar() as report, ExitStack() as stack:
        on_packets = None
        if out is not None and packets:
            from ccp_assess.assess.capturetables import PacketTable

            on_packets = stack.enter_context(PacketTable(out)).add
        assessment = assess_captures(
            files, host=_address(host), workers=workers, progress=report, on_packets=on_packets
        )
        if out is not None:
            from ccp_assess.assess.capturetables import write_tables

            write_tables(assessment, out)
        if as_json:
            document = assessment.to_document(with_transactions=False)
            pieces = document_pieces(document, {"transactions": assessment.transaction_lines()})
    if as_json:
        sys.stdout.writelines(pieces)
    else:
        _print_summary(assessment)


def document_pieces(document: dict[str, Any], rows_of: Mapping[str, Iterable[list[str]]]) -> Iterator[str]:
    """Write the document as JSON, one row a line: a long capture has a hundred thousand rows.

    Parameters
    ----------
    document
        Keys with lists of rows.
    rows_of
        For keys whose value is ``None``: their rows as JSON already, some at a time.

    Returns
    -------
    pieces
        JSON in ASCII, without NaN or Infinity. Everything that can go wrong has gone wrong before the first piece, so
        that no half of a document is written.
    """
    import json

    from ccp_assess.cli.output import jsonable

    encode = json.JSONEncoder(allow_nan=False, check_circular=False).encode

    def line(row: Any) -> str:
        try:
            return encode(row)
        except (ValueError, TypeError):  # a number that is none, or one of numpy's
            return encode(jsonable(row))

    ready = {key: rows_of[key] if rows is None else [list(map(line, rows))] for key, rows in document.items()}

    def pieces() -> Iterator[str]:
        yield "{"
        for number, (key, parts) in enumerate(ready.items()):
            yield f"{',' if number else ''}\n {encode(key)}: ["
            empty = True
            for lines in parts:
                if lines:
                    yield ("\n  " if empty else ",\n  ") + ",\n  ".join(lines)
                    empty = False
            yield "]" if empty else "\n ]"
        yield "\n}\n"

    return pieces()


def _address(host: str | None) -> str | None:
    from ipaddress import ip_address

    if host is None:
        return None
    try:
        return str(ip_address(host))
    except ValueError as error:
        raise typer.BadParameter(f"{host!r} is no IPv4 or IPv6 address", param_hint="--host") from error


def _print_summary(assessment: CaptureAssessment) -> None:
    for capture in assessment.scan.captures:
        cut = f", {capture.snaplen_cut} cut by the snaplen" if capture.snaplen_cut else ""
        skipped = sum(entry.count for entry in capture.skipped.values())
        left_out = f", {skipped} skipped" if skipped else ""
        _say(f"{capture.path}: {capture.format}, {capture.packets} packets{cut}{left_out}")
    if not assessment.calls:
        _say("No calls.")
    for entry in assessment.calls:
        _print_call(assessment, entry)
    for finding in assessment.findings:
        _say(f"{finding.severity}: {finding.text}")


def _print_call(assessment: CaptureAssessment, entry: CallAssessment) -> None:
    from ccp_assess.units import rfc3339_from_ns

    call = entry.call
    _say("")
    seconds = (call.end_ns - call.start_ns) / 1e9
    kind = "Failed call" if call.failure else "Call"
    _say(f"{kind} {call.call_id}: {rfc3339_from_ns(call.start_ns)}, {seconds:.1f} s, {_way(entry)}")
    if call.failure is None:
        setup = call.setup
        phases = (("DNS", setup.dns), ("allocate", setup.allocate), ("ICE", setup.ice), ("DTLS", setup.dtls))
        known = [f"{name} {value:.0f} ms" for name, value in (*phases, ("first media", setup.first_media)) if value]
        if known:
            _say(f"  setup: {', '.join(known)}")
        _say(f"  round trip: relay {_trip(entry.relay_rtt)}, media server {_trip(entry.media_rtt)}")
        quality = entry.inbound
        if call.in_streams:
            _say(
                f"  in:  loss {_known(quality.loss_pct, '.2f', ' %')}, late {_known(quality.late_pct, '.2f', ' %')}, "
                f"jitter {_known(quality.jitter_mean_ms, '.2f', ' ms')} (mean), MOS {_known(quality.mos_cqe, '.2f')}"
            )
        if call.out_streams:
            jitter = _known(entry.outbound.jitter_mean_ms, ".2f", " ms")
            _say(f"  out: loss unknown here, jitter of sending {jitter} (mean)")
        for number in call.other_streams:
            stream = assessment.streams[number]
            _say(
                f"  {stream.src} → {stream.dst}: {stream.packets} packets, loss {stream.loss_pct:.2f} %, "
                f"jitter {_known(stream.jitter_mean_ms, '.2f', ' ms')} (mean)"
            )
    for finding in entry.findings:
        _say(f"  {finding.severity}: {finding.text}")


def _way(entry: CallAssessment) -> str:
    relay = entry.call.relay
    if relay is None:
        return "no relay"
    region = entry.region_code or "unknown Region"
    inferred = ", inferred" if relay.is_inferred else ""
    return f"{entry.call.agent} through relay {relay.address}:{relay.port}/{relay.transport} ({region}{inferred})"


def _trip(trips: Any) -> str:
    return "unknown" if trips.p50 is None else f"{trips.p50:.1f} ms (p95 {trips.p95:.1f}, {trips.n} samples)"


def _known(value: float | None, form: str, unit: str = "") -> str:
    return "unknown" if value is None else f"{value:{form}}{unit}"


def _say(text: str) -> None:
    from ccp_assess.cli.output import printable

    typer.echo(printable(text))
