"""Which tool wrote a text: told from the content, line by line, never from the file's name or the words' language.

A file may hold several runs, also of different tools (people paste what they ran one below the other). So each line is
asked which tool's line it could be; a run ends where the tool changes or the TTL starts again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ccp_assess.errors import ParseError
from ccp_assess.paths import RegionProbe
from ccp_assess.probe.imports import (
    command,
    mtr_csv,
    mtr_raw,
    mtr_report,
    pathping,
    ping,
    table_csv,
    tracepath,
    traceroute,
    tracert,
    winmtr,
)
from ccp_assess.probe.imports.text import Line

MAX_RUNS = 2_000
KNOWN = (
    "mtr (--json, --report, --csv, --xml, --raw), traceroute, tracert, pathping, tracepath, WinMTR, ping, "
    "RIPE Atlas JSON, "
    "Endpoint Test Utility JSON, a CSV of hops, or ccp-assess's own JSON"
)

_NUMBERED = re.compile(r"^\s{0,16}[1-9][0-9]{0,2}(?:[\s.:?]|$)")
_PARSERS: dict[str, Callable[[Sequence[Line]], RegionProbe]] = {
    "mtr": mtr_report.parse,
    "winmtr": winmtr.parse,
    "tracepath": tracepath.parse,
    "pathping": pathping.parse,
    "tracert": tracert.parse,
    "traceroute": traceroute.parse,
    "ping": ping.parse,
    "csv": table_csv.parse,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A line that some tool wrote.

    Parameters
    ----------
    kind
        The tool; ``stars`` for a silent hop that traceroute and tracert print alike.
    ttl
        Of the hop; ``None`` for a line that is no hop.
    starts
        Whether a new run starts here at the latest.
    """

    kind: str
    ttl: int | None = None
    starts: bool = False


@dataclass(slots=True)
class _Run:
    """One run of one tool: its lines from the end of the run before to the start of the next one."""

    kind: str
    first: int
    last: int
    ttl: int | None


def event(text: str) -> Event | None:
    """Say which tool wrote a line.

    Parameters
    ----------
    text
        A line.

    Returns
    -------
    event
        ``None`` if no tool's line is recognised.
    """
    if not text.strip():
        return None
    if winmtr.row(text):
        return Event(kind="winmtr")
    if "WinMTR statistics" in text:
        return Event(kind="winmtr", starts=True)
    if (ttl := mtr_report.looks_like_row(text)) is not None:
        return Event(kind="mtr", ttl=ttl)
    if (probe := tracepath.row(text)) is not None:
        return Event(kind="tracepath", ttl=probe[0], starts=tracepath_starts(text))
    if (ttl := pathping.row(text)) is not None:
        return Event(kind="pathping", ttl=ttl)
    if (hop := tracert.row(text)) is not None:
        alike = traceroute.row(text)
        silent = alike is not None and traceroute.stars_only(alike[1])
        return Event(kind="stars" if silent else "tracert", ttl=hop[0])
    kind = ping.kind_of(text)
    if kind == "windows_header":
        return Event(kind="header", starts=True)  # tracert's in some languages looks alike
    if kind:
        return Event(kind="ping", starts=kind == "unix_header")
    if traceroute.HEADER.match(text) and "over a maximum" not in text:
        return Event(kind="header", starts=True)
    if (found := traceroute.row(text)) is not None:
        return Event(kind="stars" if traceroute.stars_only(found[1]) else "traceroute", ttl=found[0])
    if (plain := pathping.listed(text)) is not None:
        return Event(kind="list", ttl=plain[0])
    if (refused := tracert.unreachable(text)) is not None:
        return Event(kind="refused", ttl=refused[0])
    return Event(kind="csv", starts=True) if table_csv.columns_of(text) else None


def tracepath_starts(text: str) -> bool:
    """Say whether a line of tracepath is its first, which names the computer itself.

    Parameters
    ----------
    text
        A line.

    Returns
    -------
    starts
        Whether it is.
    """
    return text.lstrip().startswith("1?:")


def parse_text(lines: Sequence[Line]) -> list[RegionProbe]:
    """Read all runs in a text.

    Parameters
    ----------
    lines
        The whole text.

    Returns
    -------
    probes
        One per run, in order.

    Raises
    ------
    ParseError
        If no tool's output is recognised, or a run has a header and nothing else; the text names the line.
    """
    if any(mtr_csv.ROW.match(line.text) for line in lines):
        return mtr_csv.parse(lines)
    if mtr_raw.is_it(lines):
        return [mtr_raw.parse(lines)]
    runs, header = _runs(lines)
    if not runs:
        raise _unknown(lines, header)
    probes = []
    for index, run in enumerate(runs[:MAX_RUNS]):
        start = runs[index - 1].last + 1 if index else 0
        if run.kind == "csv":
            start = run.first
        end = runs[index + 1].first if index + 1 < len(runs) else len(lines)
        probe = _PARSERS[run.kind](lines[start:end])
        probes.append(_with_notes(probe, lines[run.first : min(run.last + 2, len(lines))]))
    return probes


def _with_notes(probe: RegionProbe, lines: Sequence[Line]) -> RegionProbe:
    """Name the lines inside a trace that begin like a hop and could not be read."""
    if probe.path is None:
        return probe
    notes = [
        f"line {line.number} begins like a hop, cannot be read and is left out"
        for line in lines
        if _NUMBERED.match(line.text) and event(line.text) is None and traceroute.continued(line.text) is None
    ]
    known = probe.details.get("notes", [])
    fresh = [note for note in notes if note.split()[1] not in {str(old).split()[1] for old in known}]
    return replace(probe, details={**probe.details, "notes": [*known, *fresh][:100]}) if fresh else probe


def _runs(lines: Sequence[Line]) -> tuple[list[_Run], int | None]:
    """Group lines into runs; also give the line of a header that nothing followed."""
    runs: list[_Run] = []
    fresh = True
    header: int | None = None
    table = False
    for index, line in enumerate(lines):
        if table and line.text.strip():
            runs[-1].last = index
            continue
        table = False
        found = event(line.text)
        if found is None:
            if command.read(line.text):
                fresh = True  # a typed command: whatever follows is another run
            continue
        if found.kind == "header":
            header, fresh = index, True
            continue
        run = runs[-1] if runs else None
        kind = _settled(found.kind, run, found.ttl, fresh=fresh)
        if kind is None:
            continue
        if run is None or fresh or found.starts or kind != run.kind or _starts_again(run, found):
            runs.append(_Run(kind=kind, first=index, last=index, ttl=found.ttl))
            run, fresh = runs[-1], False
        run.last = index
        run.ttl = found.ttl if found.ttl is not None else run.ttl
        table = kind == "csv"
        header = None
    _settle_stars(runs)
    return runs, header


def _settled(kind: str, run: _Run | None, ttl: int | None, *, fresh: bool) -> str | None:
    """Decide lines that two tools print alike by the run that they stand in."""
    if kind == "stars":
        return run.kind if run and not fresh and run.kind in {"tracert", "traceroute", "pathping", "stars"} else "stars"
    if kind == "refused":
        return _refused(run, ttl, fresh=fresh)
    if kind == "list":
        return "pathping" if ttl == 0 or run is None or fresh or run.kind == "pathping" else None
    if run and not fresh and run.kind == "stars" and kind in {"tracert", "traceroute"}:
        run.kind = kind
    return kind


def _refused(run: _Run | None, ttl: int | None, *, fresh: bool) -> str | None:
    """Take a router's refusal for the end of a tracert where it stands right behind the last hop, or is the first."""
    behind = run is not None and not fresh and run.kind in {"tracert", "stars"} and run.ttl is not None
    return "tracert" if ttl == 1 or (behind and run is not None and ttl == (run.ttl or 0) + 1) else None


def _settle_stars(runs: list[_Run]) -> None:
    for run in runs:
        if run.kind == "stars":  # nothing but silence: both tools mean the same by it
            run.kind = "traceroute"


def _starts_again(run: _Run, found: Event) -> bool:
    if run.kind == "ping":
        return False  # every run of ping has a header
    if run.kind == "pathping":
        return found.kind == "list" and found.ttl == 0
    if found.ttl is None or run.ttl is None or run.kind == "tracepath":
        return False
    return found.ttl <= run.ttl


def _unknown(lines: Sequence[Line], header: int | None) -> ParseError:
    if header is not None:
        return ParseError(
            f"line {lines[header].number}: a trace is announced here and no hop follows; copy the whole output"
        )
    first = next((line for line in lines if line.text.strip()), None)
    if first is None:
        return ParseError("line 1: the file is empty; give the output of a measuring tool")
    return ParseError(f"line {first.number}: this is no output that can be read; give that of {KNOWN}")
