"""The agent log as a witness: calls with their audio, and what else happened on the workstation, in a single pass."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from ccp_assess.errors import ParseError
from ccp_assess.findings import counted
from ccp_assess.units import NS_PER_MS, NS_PER_S
from ccp_assess.witnesses.agent_log import AgentLog, CallSigns, LoggedCall, no_entry
from ccp_assess.witnesses.agent_log_entries import LogEntry, ReadState, open_text, read_entries
from ccp_assess.witnesses.records import (
    TEXT_CHARACTERS,
    Event,
    StreamFigures,
    Witness,
    WitnessCall,
    bounded,
    rounded,
    spread,
)
from ccp_assess.witnesses.softphone_json import found_in_document
from ccp_assess.witnesses.softphone_series import AUDIO_LEVEL_FULL_SCALE, CallSeries, SoftphoneSeries

LONG_POLLS = frozenset({"getAgentSnapshot"})
"""Requests that the server answers when something has changed: their duration is no latency."""

_STALE_NS = 60 * NS_PER_S
"""A request without a reply for so long has been lost [ns]."""

_MOST_SAMPLES = 200_000
"""Requests, snapshots and skews kept, each."""

_REQUEST = re.compile(r"\w*Client:\s*-->\s*(?:Calling operation\s*)?'(\w{1,80})'")
_REPLY = re.compile(r"\w*Client:\s*<--\s*(?:Operation\s*)?'(\w{1,80})'\s*(succeeded|failed)")
_SNAPSHOT = re.compile(r"GET_AGENT_SNAPSHOT\s+succeeded", re.IGNORECASE)
_CONTACT = re.compile(r"Publishing event:\s*contact::(\w{1,40})(?:::([0-9a-fA-F-]{36}))?")
_REGION = re.compile(
    r"\.(?:elb|connect-telecom|transport\.connect|telemetry\.connect|participant\.connect)\."
    r"([a-z]{2}(?:-gov)?-[a-z]{4,10}-\d)\.amazonaws\.com"
)

Progress = Callable[[int], None]
"""Called with the bytes read so far."""


def read_agent_log_witness(path: Path, *, progress: Progress | None = None) -> Witness:
    """Read an agent log whole: calls, series, API latencies, clock skew, states and errors.

    Parameters
    ----------
    path
        ``agent-log.txt``, whole or cut.
    progress
        Called now and then.

    Returns
    -------
    witness
        Of kind ``agent_log``.

    Raises
    ------
    ParseError
        If the file cannot be read or holds no entry of an agent log.
    """
    state, story, calls, series = ReadState(), _Story(), CallSigns(), SoftphoneSeries()
    try:
        with open_text(path) as stream:
            for number, entry in enumerate(read_entries(stream, state)):
                series.add(calls.add(entry))
                story.add(entry)
                if progress is not None and not number % 1000:
                    progress(_position(stream))
    except (OSError, EOFError) as error:
        raise ParseError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    log = calls.finish(state)
    if not log.entries and (log.skipped or log.cut):
        raise no_entry(path)
    return _witness(path.name, log, series, story)


def witness_from_documents(file: str, documents: Sequence[Any]) -> Witness | None:
    """Read softphone reports and statistics that another system keeps as JSON documents.

    Parameters
    ----------
    file
        Name of the file.
    documents
        As parsed.

    Returns
    -------
    witness
        Of kind ``agent_log``; ``None`` if there are none in it.
    """
    calls, series = CallSigns(), SoftphoneSeries()
    count = 0
    for document in documents:
        reports, rows = found_in_document(document)
        calls.add_reports(reports)
        series.add(rows)
        count += len(reports) + len(rows)
    return _witness(file, calls.finish(), series, _Story()) if count else None


def _position(stream: TextIO) -> int:
    raw: Any = getattr(stream, "buffer", None)
    return int(raw.tell()) if raw is not None else 0


def _witness(file: str, log: AgentLog, series: SoftphoneSeries, story: _Story) -> Witness:
    seconds, of_calls, odd = series.finish(log.calls)
    calls = [_call(of_calls[at], log.calls[at] if at < len(log.calls) else None) for at in range(len(of_calls))]
    order = sorted(range(len(calls)), key=lambda at: (calls[at].start_ns or 0, at))
    places = np.empty(len(order) + 1, np.int64)
    places[order] = np.arange(len(order))
    columns = seconds.columns()
    columns["call"][:] = places[columns["call"]]
    errors = [Event(time_ns=at_ns, code="SOFTPHONE_ERROR", text=name) for at_ns, name in log.errors]
    events, beyond = bounded([*story.events, *story.states(), *errors, *odd, *story.slow_requests()])
    notes = []
    if log.cut:
        notes.append("The log was cut at its beginning or its end; what is there was read.")
    if log.skipped:
        notes.append(f"{counted(log.skipped, 'piece')} of the file were no entry, or had no time, and were skipped.")
    if series.unreadable:
        notes.append(f"{counted(series.unreadable, 'row')} of statistics had no readable time and were skipped.")
    over = log.beyond_limits + seconds.beyond + beyond + story.beyond
    if over:
        notes.append(f"{counted(over, 'record')} were beyond the limits of one file and were left out; split the log.")
    return Witness(
        kind="agent_log",
        file=file,
        calls=tuple(calls[at] for at in order),
        seconds=seconds,
        events=events,
        notes=tuple(notes),
        more={
            "entries": log.entries,
            "error_entries": story.error_entries,
            "warning_entries": story.warning_entries,
            "clock_skew_ms": story.skew(log.calls),
            "api_latency_ms": story.api_latency(),
            "region_codes": sorted(story.regions),
            "audio_level_full_scale": AUDIO_LEVEL_FULL_SCALE,
        },
    )


def _call(series: CallSeries, known: LoggedCall | None) -> WitnessCall:
    if known is None:
        return WitnessCall(
            contact_id=series.contact_id,
            start_ns=series.first_ns,
            end_ns=series.last_ns,
            inbound=series.figures.get("in", StreamFigures()),
            outbound=series.figures.get("out", StreamFigures()),
            rtt_ms=series.rtt_ms,
            rtt_source="rtcp",
            more={"outcome": None, "class": None, "errors": [], "setup_ms": {}},
        )
    reports = known.reports
    rtt_ms = series.rtt_ms or tuple(
        row.rtt_ms for report in reports for row in report.sums if row.direction == "out" and row.rtt_ms is not None
    )
    setup: dict[str, float] = {}
    facts: dict[str, Any] = {}
    for report in reports:
        setup |= {phase: value for phase, value in report.setup_ms.items() if phase not in setup}
        facts |= report.facts
    return WitnessCall(
        contact_id=known.contact_id,
        start_ns=min((report.start_ns for report in reports), default=known.start_ns),
        end_ns=max((report.end_ns for report in reports), default=known.end_ns),
        inbound=series.figures.get("in", StreamFigures()),
        outbound=series.figures.get("out", StreamFigures()),
        rtt_ms=rtt_ms,
        rtt_source="rtcp",
        more={
            "outcome": known.outcome,
            "class": known.call_class,
            "errors": list(known.errors),
            "setup_ms": setup,
            "talking_ms": rounded(sum(report.talking_ms or 0.0 for report in reports)) if reports else None,
            **facts,
        },
    )


class _Story:
    """What a log tells besides its calls."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.error_entries = self.warning_entries = self.beyond = 0
        self.regions: set[str] = set()
        self._names: dict[str, int] = {}
        self._api_time, self._api_name, self._api_kind = array("q"), array("l"), array("b")
        self._states: dict[str, int] = {}
        self._state_time, self._state_name = array("q"), array("l")
        self._skew = array("d")

    def add(self, entry: LogEntry) -> None:
        text = entry.text
        at_ns = entry.time_ns or 0
        level = entry.level.upper()
        if level in {"ERROR", "CRITICAL"}:
            self.error_entries += 1
            self._tell(at_ns, "LOG_ERROR", text)
        elif level == "WARN":
            self.warning_entries += 1
        if "Client:" in text:
            self._note_api(at_ns, text)
        contact = _CONTACT.search(text)
        if contact is not None:
            self._tell(at_ns, "CONTACT_STATE", f"{contact[1].lower()} {(contact[2] or '').lower()}".strip())
        if _SNAPSHOT.search(text) is not None:
            self._note_snapshot(at_ns, entry)
        if "amazonaws.com" in text and len(self.regions) < 100:
            self.regions.update(_REGION.findall(text.lower()))

    def _tell(self, at_ns: int, code: str, text: str) -> None:
        if len(self.events) >= 100_000:
            self.beyond += 1
            return
        self.events.append(Event(time_ns=at_ns, code=code, text=" ".join(text[: 2 * TEXT_CHARACTERS].split())))

    def _note_api(self, at_ns: int, text: str) -> None:
        request, reply = _REQUEST.search(text), _REPLY.search(text)
        for found, kind in ((request, 0), (reply, 0 if reply is None else 1 if reply[2] == "succeeded" else 2)):
            if found is None:
                continue
            if len(self._api_time) >= _MOST_SAMPLES or (found[1] not in self._names and len(self._names) >= 1000):
                self.beyond += 1
                continue
            self._api_time.append(at_ns)
            self._api_name.append(self._names.setdefault(found[1], len(self._names)))
            self._api_kind.append(kind)

    def _note_snapshot(self, at_ns: int, entry: LogEntry) -> None:
        snapshot = next(
            (
                row["snapshot"]
                for row in entry.objects
                if isinstance(row, dict) and isinstance(row.get("snapshot"), dict)
            ),
            None,
        )
        if snapshot is None:
            return
        state = snapshot.get("state")
        name = str(state.get("name") or "Unknown")[:80] if isinstance(state, dict) else "Unknown"
        if len(self._state_time) >= _MOST_SAMPLES or (name not in self._states and len(self._states) >= 1000):
            self.beyond += 1
            return
        self._state_time.append(at_ns)
        self._state_name.append(self._states.setdefault(name, len(self._states)))
        skew = snapshot.get("skew")
        if isinstance(skew, (int, float)) and not isinstance(skew, bool) and abs(skew) < 1e13:
            self._skew.append(float(skew))

    def states(self) -> list[Event]:
        """Tell each change of the agent's state once."""
        order = np.argsort(np.asarray(self._state_time), kind="stable").tolist()
        names = list(self._states)
        events: list[Event] = []
        last = -1
        for at in order:
            if self._state_name[at] != last:
                last = self._state_name[at]
                events.append(Event(time_ns=self._state_time[at], code="AGENT_STATE", text=names[last]))
        return events

    def skew(self, calls: Sequence[LoggedCall]) -> dict[str, Any]:
        """Summarise the clock skew: what must be added to the workstation's clock to have the service's [ms]."""
        samples = self._skew or array("d", (r.skew_ms for c in calls for r in c.reports if r.skew_ms is not None))
        ordered = sorted(samples)
        middle = len(ordered) // 2
        return {
            "p50": ordered[middle] if ordered else None,
            "min": ordered[0] if ordered else None,
            "max": ordered[-1] if ordered else None,
            "n": len(ordered),
        }

    def _latencies(self) -> list[tuple[int, str, float, bool]]:
        """Pair requests with replies: start [ns], name, latency [ms], whether it succeeded."""
        order = np.argsort(np.asarray(self._api_time), kind="stable").tolist()
        names = list(self._names)
        waiting: dict[int, list[int]] = {}
        pairs = []
        for at in order:
            name, time_ns = self._api_name[at], self._api_time[at]
            queue = waiting.setdefault(name, [])
            if self._api_kind[at] == 0:
                queue.append(time_ns)
                continue
            while queue and time_ns - queue[0] > _STALE_NS:
                queue.pop(0)
            if queue:
                sent_ns = queue.pop(0)
                pairs.append((sent_ns, names[name], (time_ns - sent_ns) / NS_PER_MS, self._api_kind[at] == 1))
        return pairs

    def api_latency(self) -> dict[str, Any]:
        """Summarise the latency of each operation, and of all that are no long poll."""
        by_name: dict[str, list[tuple[float, bool]]] = {}
        for _, name, latency_ms, succeeded in self._latencies():
            by_name.setdefault(name, []).append((latency_ms, succeeded))
        summary: dict[str, Any] = {
            name: {
                **spread([latency for latency, _ in told]),
                "failed": sum(not succeeded for _, succeeded in told),
                "long_poll": name in LONG_POLLS,
            }
            for name, told in sorted(by_name.items())
        }
        both = [one for name, told in by_name.items() if name not in LONG_POLLS for one in told]
        return {
            "all": {**spread([one[0] for one in both]), "failed": sum(not one[1] for one in both)},
            "operations": summary,
        }

    def slow_requests(self) -> list[Event]:
        """Tell the requests that failed or took longer than the log parsers of the field call slow (500 ms)."""
        events = []
        for sent_ns, name, latency_ms, succeeded in self._latencies():
            if not succeeded:
                events.append(
                    Event(time_ns=sent_ns, code="API_FAILED", text=f"{name} failed after {latency_ms:.0f} ms")
                )
            elif latency_ms > 500 and name not in LONG_POLLS:
                events.append(Event(time_ns=sent_ns, code="API_SLOW", text=f"{name} took {latency_ms:.0f} ms"))
        return events
