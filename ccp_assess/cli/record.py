"""``ccp-assess capture record``: record a test call on this workstation."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ccp_assess.errors import quoted

if TYPE_CHECKING:
    from ccp_assess.capture.record import Recording

_SIZES = {"": 1, "k": 1_000, "kb": 1_000, "m": 1_000_000, "mb": 1_000_000, "g": 10**9, "gb": 10**9}
_LARGEST_RING = 10**15


def record(
    out: Path | None = typer.Option(None, "--out", help="Where the capture shall stand (.pcapng or .pcap)."),
    interface: str | None = typer.Option(
        None, "--interface", "-i", help="Interface; without it, the one that leads to the Region."
    ),
    region: list[str] = typer.Option([], "--region", help="Region of the instance, for filter and route; may repeat."),
    duration: str | None = typer.Option(None, "--duration", help="Stop after so long, such as 90s, 5m or 1h."),
    until_quiet: str | None = typer.Option(
        None, "--until-quiet", help="Stop once media has been there and was silent for so long, such as 10s."
    ),
    host: list[str] = typer.Option([], "--host", help="Record this address too (a proxy, a relay of your own)."),
    port: list[int] = typer.Option([], "--port", help="Further port of relays."),
    expression: str | None = typer.Option(
        None, "--filter", help="Another libpcap filter instead of the softphone's; empty for everything."
    ),
    whole: bool = typer.Option(False, "--whole", help="Keep payloads too; without it, headers only."),
    ring: str | None = typer.Option(None, "--ring", help="Keep at most so much, the oldest goes: such as 500MB."),
    ring_file_time: str | None = typer.Option(None, "--ring-file-time", help="With --ring: a new file after so long."),
    program: str | None = typer.Option(None, "--program", help="Use only this one: dumpcap, tcpdump or scapy."),
    recipe: bool = typer.Option(False, "--recipe", help="Show how to record with what Windows has, and stop."),
    as_json: bool = typer.Option(False, "--json", help="Print only the JSON document, no line meanwhile."),
) -> None:
    """Record the softphone's packets until Ctrl-C, a time, or the end of the call; print what was recorded as JSON."""
    from ccp_assess.capture.recording.programs import RECIPE

    if recipe:
        typer.echo(RECIPE, nl=False)
        return
    if out is None:
        raise typer.BadParameter("name the file to write", param_hint="--out")
    from ccp_assess.capture.record import start_recording
    from ccp_assess.cli.output import print_json
    from ccp_assess.probe.computer import virtual_desktop, where_to_record

    elsewhere = where_to_record(virtual_desktop(os.environ))
    if elsewhere:
        typer.echo(elsewhere, err=True)
    recording = start_recording(
        out,
        interface=interface,
        region_codes=region,
        hosts=host,
        ports=port,
        expression=expression,
        duration_s=_seconds(duration, "--duration"),
        quiet_s=_seconds(until_quiet, "--until-quiet"),
        ring=_ring(ring, ring_file_time),
        keep_payload=whole,
        only=program,
    )
    print_json(_watch(recording, quiet=as_json).to_document())


def _watch(recording: Recording, *, quiet: bool) -> Any:
    """Show how it stands until it ends; Ctrl-C (or SIGTERM) ends it and keeps what was recorded."""
    import signal

    show = sys.stderr.isatty() and not quiet
    if not quiet:
        sys.stderr.write(f"Recording on {recording.interface.name} to {recording.path}; Ctrl-C stops.\n")

    def interrupt(_number: int, _frame: Any) -> None:
        raise KeyboardInterrupt

    # Set, not left as it was: a shell starts jobs in the background with Ctrl-C ignored.
    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        while (result := recording.wait(0.5)) is None:
            if show:
                live = recording.live
                media = "no media yet" if live.media_quiet_s is None else f"media {live.media_packets}"
                sys.stderr.write(
                    f"\r{live.seconds:6.0f} s  {live.packets} packets  in {live.packets_in}/s  out {live.packets_out}/s"
                    f"  {media}   "
                )
                sys.stderr.flush()
    except KeyboardInterrupt:
        for number in before:  # a second Ctrl-C must not lose what was recorded
            signal.signal(number, signal.SIG_IGN)
        result = recording.stop()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if show:
        sys.stderr.write("\n")
    return result


def _seconds(text: str | None, option: str) -> float | None:
    from ccp_assess.cli.durations import seconds

    return None if text is None else seconds(text, option)


def _ring(size: str | None, file_time: str | None) -> Any:
    from ccp_assess.capture.recording.programs import Ring

    if size is None:
        if file_time is not None:
            raise typer.BadParameter("--ring-file-time needs --ring SIZE", param_hint="--ring-file-time")
        return None
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", size.lower())
    if match is None or match.group(2) not in _SIZES:
        raise typer.BadParameter(f"{quoted(size)} is no size; write it as 500MB", param_hint="--ring")
    total = float(match.group(1)) * _SIZES[match.group(2)]
    if not 10_000 <= total <= _LARGEST_RING:
        raise typer.BadParameter("a ring holds at least 10kB and at most 1000000GB", param_hint="--ring")
    seconds = _seconds(file_time, "--ring-file-time")
    return Ring(file_bytes=max(int(total / 10), 1), file_s=None if seconds is None else max(int(seconds), 1))
