"""The softphone's own statistics per second, with the traps of its versions taken out.

The rows are differences of counters, taken each second and logged some thirty at a time. What they hide: the first row
of a call on a connection that was kept open carries everything since that was opened; the round trip, known for what
is sent only, is copied into the rows of what is received; and ``jitterBufferMillis`` is RTP jitter in most versions,
in streams 2.28.2 with connect-rtc-js 1.3.2 a sum that grows for ever.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ccp_assess.units import NS_PER_S
from ccp_assess.witnesses.agent_log import LoggedCall
from ccp_assess.witnesses.records import Direction, Event, Seconds, StreamFigures
from ccp_assess.witnesses.softphone_json import CallReport, StatisticsRow, second_ns

AUDIO_LEVEL_FULL_SCALE = 32_768
"""Of the audio levels in these statistics: getStats' 0 to 1 times this."""

_CARRIED_PACKETS = 500
"""In one second: no softphone sends audio packets of 2 ms."""

_CALL_GAP_NS = 10 * NS_PER_S
"""Without a row this long, rows that no call is known of belong to another call [ns]."""

_MARGIN_NS = 2 * NS_PER_S
"""Rows this much before or after a call's known limits are still its own [ns]."""

_SUM_GROWTH_MS = 1_000.0
"""RTP jitter does not rise by so much, second by second, over a call [ms]."""

_NO_JITTER_MS = 10_000.0
"""No jitter is that large: a sum, even where too few rows show its growth [ms]."""

_FEWEST_ROWS = 5
"""That a judgement on the meaning of a column needs (count)."""

_COVERED = 0.8
"""Share of the talk that the series must cover to be preferred to the report's sums."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSeries:
    """What the series tell of one call.

    Parameters
    ----------
    contact_id
        As its rows name it.
    first_ns, last_ns
        Its first and last row, since 1970 [ns]; ``None`` without rows.
    figures
        By direction.
    rtt_ms
        Round trips, one a second [ms].
    """

    contact_id: str | None = None
    first_ns: int | None
    last_ns: int | None
    figures: dict[Direction, StreamFigures]
    rtt_ms: tuple[float, ...]


class SoftphoneSeries:
    """Gathers rows of statistics and sorts them to calls."""

    def __init__(self) -> None:
        self._seconds = Seconds()
        self._contacts: dict[str, int] = {}
        self.unreadable = 0

    def add(self, rows: Iterable[StatisticsRow]) -> None:
        """Take rows.

        Parameters
        ----------
        rows
            In any order; the same row may come several times.
        """
        for row in rows:
            if row.time_ns is None:
                self.unreadable += 1
                continue
            contact = -1
            if row.contact_id is not None and (row.contact_id in self._contacts or len(self._contacts) < 100_000):
                contact = self._contacts.setdefault(row.contact_id, len(self._contacts))
            self._seconds.add(
                time_ns=row.time_ns,
                direction=row.direction,
                packets=row.packets,
                lost=row.lost,
                jitter_ms=row.jitter_ms,
                rtt_ms=row.rtt_ms,
                audio_level=row.audio_level,
                call=contact,
            )

    def finish(self, calls: Sequence[LoggedCall]) -> tuple[Seconds, list[CallSeries], list[Event]]:
        """Sort the rows to calls, and say what cannot be believed.

        Parameters
        ----------
        calls
            Calls known otherwise, in the order of time.

        Returns
        -------
        seconds, series, events
            Rows in the order of time; what they tell of each call, then of each further call that only rows show.
        """
        self._add_telemetry(calls)
        seconds = self._seconds.in_time()
        numbers, named = self._numbers(seconds, calls)
        columns = seconds.columns()
        columns["call"][:] = numbers
        events: list[Event] = []
        order = np.argsort(numbers, kind="stable")
        count = max(len(calls), int(numbers.max(initial=-1)) + 1)
        limits = np.searchsorted(numbers[order], np.arange(count + 1))
        series = [
            replace(
                _call_series(
                    columns, order[limits[at] : limits[at + 1]], calls[at] if at < len(calls) else None, events
                ),
                contact_id=named.get(at),
            )
            for at in range(count)
        ]
        return seconds, series, events

    def _add_telemetry(self, calls: Sequence[LoggedCall]) -> None:
        """Take the series of the telemetry reports of calls that no other rows show."""
        known = np.sort(np.asarray(self._seconds.columns()["time"]))
        for report in (report for call in calls for report in call.reports if report.per_second):
            low, high = np.searchsorted(known, [report.start_ns, report.end_ns])
            if low == high:
                self._add_report(report)

    def _add_report(self, report: CallReport) -> None:
        for direction, columns in report.per_second.items():
            for at in range(max((len(column) for column in columns.values()), default=0)):
                row = {name: column[at] for name, column in columns.items() if at < len(column)}
                self._seconds.add(
                    time_ns=second_ns(report, at),
                    direction=direction,
                    packets=row.get("packets"),
                    lost=row.get("lost"),
                    jitter_ms=row.get("jitter_ms"),
                    rtt_ms=row.get("rtt_ms"),
                    audio_level=row.get("audio_level"),
                )

    def _numbers(self, seconds: Seconds, calls: Sequence[LoggedCall]) -> tuple[NDArray[np.int64], dict[int, str]]:
        """Say which call each row belongs to; rows that no call is known of make calls of their own."""
        by_contact = {
            self._contacts[call.contact_id]: at
            for at, call in reversed(list(enumerate(calls)))
            if call.contact_id in self._contacts
        }
        starts = [call.start_ns or 0 for call in calls]
        columns = seconds.columns()
        numbers = np.empty(len(seconds), np.int64)
        further: dict[int, int] = {}
        number, last_ns = len(calls) - 1, None
        for at, (time_ns, contact) in enumerate(zip(columns["time"].tolist(), columns["call"].tolist(), strict=True)):
            known = by_contact.get(contact, -1) if contact >= 0 else _enclosing(calls, starts, time_ns)
            if known < 0 and contact >= 0:
                if contact not in further:
                    number += 1
                    further[contact] = number
                known = further[contact]
            elif known < 0:
                if last_ns is None or time_ns - last_ns > _CALL_GAP_NS:
                    number += 1
                    unnamed = number
                known, last_ns = unnamed, time_ns
            numbers[at] = known
        names = list(self._contacts)
        return numbers, {number: names[contact] for contact, number in further.items()}


def _enclosing(calls: Sequence[LoggedCall], starts: Sequence[int], time_ns: int) -> int:
    """Return the call that an instant lies in, the latest one where several do; -1 if none."""
    at = bisect_right(starts, time_ns + _MARGIN_NS) - 1
    for number in range(at, max(at - 4, -1), -1):  # calls overlap rarely, and never many
        if time_ns <= (calls[number].end_ns or 0) + _MARGIN_NS:
            return number
    return -1


def _call_series(
    columns: dict[str, NDArray[Any]], rows: NDArray[np.int64], call: LoggedCall | None, events: list[Event]
) -> CallSeries:
    out = columns["out"][rows] == 1
    ways: dict[Direction, NDArray[np.int64]] = {"in": rows[~out], "out": rows[out]}
    rtt = columns["rtt"]
    if np.isfinite(rtt[ways["out"]]).any():
        rtt[ways["in"]] = np.nan  # a copy of what is known for the other direction
    _judge_jitter(columns, ways, events)
    figures: dict[Direction, StreamFigures] = {}
    for direction, way in ways.items():
        _drop_carried(columns, way, direction, events)
        figures[direction] = _figures(columns, way, direction, call)
    samples = rtt[rows]
    return CallSeries(
        first_ns=int(columns["time"][rows[0]]) if len(rows) else None,
        last_ns=int(columns["time"][rows[-1]]) if len(rows) else None,
        figures=figures,
        rtt_ms=tuple(samples[np.isfinite(samples)].tolist()),
    )


def _judge_jitter(
    columns: dict[str, NDArray[Any]], ways: dict[Direction, NDArray[np.int64]], events: list[Event]
) -> None:
    """Take out what is no jitter: a sum that grows, or a copy of the other direction's."""
    jitter, times = columns["jitter"], columns["time"]
    summed = False
    for way in ways.values():
        values = jitter[way]
        known = values[np.isfinite(values)]
        steps = np.diff(known)
        grows = (
            len(known) >= _FEWEST_ROWS
            and bool((steps >= 0).all())
            and (steps > 0).mean() > 0.5
            and known[-1] - known[0] > _SUM_GROWTH_MS
        )
        if grows or bool((known > _NO_JITTER_MS).any()):
            if not summed:
                text = (
                    "jitterBufferMillis is a sum that grows with the call (streams 2.28.2 with connect-rtc-js 1.3.2), "
                    "no jitter; it was left out"
                )
                events.append(Event(time_ns=int(times[way[0]]), code="JITTER_BUFFER_CUMULATIVE", text=text))
            summed = True
            jitter[way] = np.nan
    inward = dict(zip(times[ways["in"]].tolist(), jitter[ways["in"]].tolist(), strict=True))
    pairs = [
        (inward[at], value)
        for at, value in zip(times[ways["out"]].tolist(), jitter[ways["out"]].tolist(), strict=True)
        if at in inward and np.isfinite(inward[at]) and np.isfinite(value)
    ]
    if len(pairs) >= _FEWEST_ROWS and all(a == b for a, b in pairs) and len({a for a, _ in pairs}) > 1:
        text = "the jitter of both directions is the same in every second: a copy; it was kept for what is received"
        events.append(Event(time_ns=int(times[ways["out"][0]]), code="JITTER_COPIED", text=text))
        jitter[ways["out"]] = np.nan


def _drop_carried(
    columns: dict[str, NDArray[Any]], way: NDArray[np.int64], direction: Direction, events: list[Event]
) -> None:
    """Take out the counts of a first row that carries what was counted before the call."""
    if len(way) and columns["packets"][way[0]] > _CARRIED_PACKETS:
        carried = int(columns["packets"][way[0]])
        columns["packets"][way[0]] = columns["lost"][way[0]] = -1
        text = f"the first second of the {direction}bound audio holds {carried} packets of before the call; left out"
        events.append(Event(time_ns=int(columns["time"][way[0]]), code="COUNTERS_CARRIED_OVER", text=text))


def _figures(
    columns: dict[str, NDArray[Any]], way: NDArray[np.int64], direction: Direction, call: LoggedCall | None
) -> StreamFigures:
    jitter = columns["jitter"][way]
    jitter = jitter[np.isfinite(jitter)]
    packets, lost = (_sum(columns[name][way]) for name in ("packets", "lost"))
    reports = call.reports if call is not None else ()
    sums = [row for report in reports for row in report.sums if row.direction == direction]
    talk_s = sum(report.talking_ms or 0.0 for report in reports) / 1000
    reused = any(report.facts.get("connection_reused") is True for report in reports)
    if sums and not reused and (packets is None or len(way) < _COVERED * talk_s):
        packets, lost = (_total([getattr(row, name) for row in sums]) for name in ("packets", "lost"))
    return StreamFigures(
        packets=packets,
        lost=lost,
        jitter_ms=float(jitter.mean()) if len(jitter) else None,
        jitter_max_ms=float(jitter.max()) if len(jitter) else None,
    )


def _sum(values: NDArray[Any]) -> int | None:
    known = values[values >= 0]
    return int(known.sum()) if len(known) else None


def _total(values: Sequence[float | None]) -> int | None:
    known = [value for value in values if value is not None]
    return int(sum(known)) if known else None
