"""Reports and statistics of the softphone, wherever they stand: in a log's text, attached to it, or in a document.

The same dictionaries travel bare, in arrays, and as text within text: a log's entry, the body of a web request, a
search index's hit. They are known by their fields, not by what is around them.
"""

from __future__ import annotations

import json
import math
import re
from array import array
from dataclasses import dataclass, field
from typing import Any, Literal

from ccp_assess.units import NS_PER_MS
from ccp_assess.witnesses.agent_log_entries import LogEntry, instant_ns
from ccp_assess.witnesses.records import Direction

DIRECTIONS: dict[str, Direction] = {"audio_input": "in", "audio_output": "out"}
"""By whom the names are given: ``audio_input`` is what comes *into the softphone*, towards the agent.

connect-rtc-js fills it from ``inbound-rtp``; the comments in its session module, and what one would guess, say the
contrary.
"""

SETUP_PHASES = {
    "gumTimeMillis": "get_user_media",
    "initializationTimeMillis": "initialization",
    "iceCollectionTimeMillis": "ice_collection",
    "signallingConnectTimeMillis": "signalling_connect",
    "handshakingTimeMillis": "handshaking",
    "preTalkingTimeMillis": "pre_talking",
    "firstRTPTimeMillis": "first_rtp",
    "ccpMediaReadyLatencyMillis": "media_ready",
    "cleanupTimeMillis": "cleanup",
}
"""Fields of a report, and the phase whose duration each tells [ms]."""

FLAGS = {
    "iceCollectionFailure": "ice_collection_timeout",
    "signallingConnectionFailure": "signalling_connection_failure",
    "handshakingFailure": "signalling_handshake_failure",
    "gumOtherFailure": "microphone_not_shared",
    "gumTimeoutFailure": "microphone_not_shared",
    "createOfferFailure": "webrtc_error",
    "setLocalDescriptionFailure": "webrtc_error",
    "userBusyFailure": "user_busy_error",
    "invalidRemoteSDPFailure": "webrtc_error",
    "noRemoteIceCandidateFailure": "webrtc_error",
    "setRemoteDescriptionFailure": "webrtc_error",
}
"""Flags of a call's report, and the error each stands for."""

_LOST = ("iceConnectionsFailed", "peerConnectionFailed", "iceRestartFailed")
"""Flags of a report that say: the audio path broke for good during the call."""

_FACTS = {
    "iceConnectionsLost": "ice_connections_lost",
    "iceRestartAttempts": "ice_restart_attempts",
    "isPersistentPeerConnection": "persistent_connection",
    "isExistingPersistentPeerConnection": "connection_reused",
    "vdiPlatform": "vdi_platform",
    "rtcJsVersion": "rtc_js_version",
    "streamJsVersion": "streams_version",
}
"""Further fields of a report that a reader of the call wants, and our names for them."""

_SILENT_AFTER_MS = 5_000
"""A call that talked longer than this without one packet in a direction had no audio [ms]."""

_REPORT, _ROW = "callStartTime", "softphoneStreamType"
_NEST = 7
"""Levels that are looked into."""

_DECODER = json.JSONDecoder()
_OPENING = re.compile(r"[\[{\"]")
_FLAT = re.compile(r"\{[^{}]*\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticsRow:
    """One row of softphone statistics: a second of one direction, or the sum of a call.

    Parameters
    ----------
    contact_id
        In lower case; ``None`` if not named.
    time_ns
        When it was sampled, since 1970 [ns]; ``None`` if unreadable.
    direction
        ``in`` is towards the agent.
    packets, lost
        Within the second, or the call (count).
    jitter_ms
        What the row calls ``jitterBufferMillis``: RTP jitter, but in some versions a sum that grows [ms].
    rtt_ms
        Round trip by RTCP [ms].
    audio_level
        0 to 32767.
    """

    contact_id: str | None
    time_ns: int | None
    direction: Direction
    packets: float | None
    lost: float | None
    jitter_ms: float | None
    rtt_ms: float | None
    audio_level: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReport:
    """What the softphone reports of a call when it has ended; the report itself may be megabytes long.

    Parameters
    ----------
    contact_id
        In lower case; ``None`` if not named.
    start_ns, end_ns
        Since 1970 [ns].
    errors
        Names of the errors that its flags stand for.
    lost
        Whether the audio path broke for good.
    silent
        Whether it talked without one packet in a direction.
    talking_ms
        How long [ms].
    setup_ms
        Duration of each phase of the set-up [ms].
    sums
        Statistics of the whole call.
    per_second
        Series of the telemetry report, by direction and field; NaN where a second is unknown.
    skew_ms
        Clock skew that the softphone knew of [ms].
    facts
        Further facts, named as we do.
    """

    contact_id: str | None
    start_ns: int
    end_ns: int
    errors: tuple[str, ...] = ()
    lost: bool = False
    silent: bool = False
    talking_ms: float | None = None
    setup_ms: dict[str, float] = field(default_factory=dict)
    sums: tuple[StatisticsRow, ...] = ()
    per_second: dict[Direction, dict[str, array[float]]] = field(default_factory=dict)
    skew_ms: float | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def found_in(entry: LogEntry, named: str | None) -> tuple[list[CallReport], list[StatisticsRow]]:
    """Find what the softphone reported in an entry of a log.

    Parameters
    ----------
    entry
        The entry.
    named
        Contact that the entry is about, if known.

    Returns
    -------
    reports, rows
        Reports of calls, and rows of statistics.
    """
    found = _Found(at_ns=entry.time_ns or 0)
    if _REPORT in entry.text or _ROW in entry.text:
        start = _OPENING.search(entry.text)
        while start is not None:
            try:
                value, end = _DECODER.raw_decode(entry.text, start.start())
            except (ValueError, RecursionError):
                if not found:  # the text was cut: rows are flat, and most of them are whole
                    for flat in _FLAT.finditer(entry.text):
                        found.look_into(flat[0], 0, named)
                break
            found.look_into(value, 0, named)
            start = _OPENING.search(entry.text, end)
    for attached in entry.objects:
        found.look_into(attached, 0, named)
    return found.reports, found.rows


def found_in_document(document: Any) -> tuple[list[CallReport], list[StatisticsRow]]:
    """Find what the softphone reported in a JSON document of any shape.

    Parameters
    ----------
    document
        As parsed.

    Returns
    -------
    reports, rows
        Reports of calls, and rows of statistics.
    """
    found = _Found(at_ns=0)
    found.look_into(document, 0, None)
    return found.reports, found.rows


class _Found:
    """What was found so far, in the order in which it stands."""

    def __init__(self, *, at_ns: int) -> None:
        self.at_ns = at_ns
        self.reports: list[CallReport] = []
        self.rows: list[StatisticsRow] = []

    def __bool__(self) -> bool:
        return bool(self.reports or self.rows)

    def look_into(self, value: Any, depth: int, named: str | None) -> None:
        if depth > _NEST:
            return
        if isinstance(value, str) and (_REPORT in value or _ROW in value):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                return
        if isinstance(value, list):
            for item in value:
                self.look_into(item, depth + 1, named)
        elif isinstance(value, dict):
            contact = value.get("contactId")
            if isinstance(contact, str) and contact:
                named = contact.lower()
            if _REPORT in value:
                self.reports.append(_report(value, named, self.at_ns))
            elif _ROW in value:
                row = statistics_row(value, named)
                if row is not None:
                    self.rows.append(row)
            else:
                for item in value.values():
                    if isinstance(item, (dict, list, str)):
                        self.look_into(item, depth + 1, named)


def statistics_row(row: dict[str, Any], named: str | None) -> StatisticsRow | None:
    """Read a row of statistics.

    Parameters
    ----------
    row
        As the softphone wrote it.
    named
        Contact that it is about, if known.

    Returns
    -------
    row
        ``None`` if it is none of audio. A ratio that it may hold (``packetLossPercentage``) is not believed: it is
        neither a percentage, nor counts it what was lost among what was sent.
    """
    direction = DIRECTIONS.get(str(row.get(_ROW)).lower())
    if direction is None:
        return None
    return StatisticsRow(
        contact_id=named,
        time_ns=instant_ns(row.get("timestamp")),
        direction=direction,
        packets=number(row.get("packetsCount")),
        lost=number(row.get("packetsLost")),
        jitter_ms=number(row.get("jitterBufferMillis")),
        rtt_ms=number(row.get("roundTripTimeMillis")),
        audio_level=number(row.get("audioLevel")),
    )


def number(value: Any) -> float | None:
    """Read a number that may be text.

    Parameters
    ----------
    value
        A number, its text, or anything else.

    Returns
    -------
    number
        Finite and not negative; ``None`` otherwise.

    Examples
    --------
    >>> number("7"), number(0), number(None), number(True), number(-3)
    (7.0, 0.0, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        parsed = float(value)
    except (ValueError, OverflowError):
        return None
    return parsed if 0 <= parsed < 1e18 else None


def _signed(value: Any) -> float | None:
    """Pass on a number that may be negative, unless no reader could reckon with it."""
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e18 else None


def _report(report: dict[str, Any], named: str | None, at_ns: int) -> CallReport:
    start_ns = instant_ns(report.get(_REPORT))
    end_ns = instant_ns(report.get("callEndTime"))
    start_ns = at_ns if start_ns is None else start_ns
    talking_ms = number(report.get("talkingTimeMillis"))
    statistics = report.get("softphoneStreamStatistics")
    sums = tuple(
        row
        for one in (statistics if isinstance(statistics, list) else ())
        if isinstance(one, dict) and (row := statistics_row(one, named)) is not None
    )
    packets: dict[Direction, float] = {}
    for row in sums:
        if row.packets is not None:
            packets[row.direction] = packets.get(row.direction, 0.0) + row.packets
    return CallReport(
        contact_id=named,
        start_ns=start_ns,
        end_ns=max(end_ns if end_ns is not None else at_ns, start_ns),
        errors=tuple(name for flag, name in FLAGS.items() if report.get(flag) is True),
        lost=any(report.get(flag) is True for flag in _LOST),
        silent=talking_ms is not None and talking_ms > _SILENT_AFTER_MS and 0.0 in packets.values(),
        talking_ms=talking_ms,
        setup_ms={
            ours: value for theirs, ours in SETUP_PHASES.items() if (value := number(report.get(theirs))) is not None
        },
        sums=sums,
        per_second=_series(report.get("softphoneStreamPerSecondStatistics")),
        skew_ms=_signed(report.get("skewTimeMillis")),
        facts={
            ours: fact
            for theirs, ours in _FACTS.items()
            if (fact := value if isinstance(value := report.get(theirs), (bool, str)) else _signed(value)) is not None
        },
    )


_SERIES: dict[str, Literal["packets", "lost", "jitter_ms", "rtt_ms", "audio_level"]] = {
    "packetsCount": "packets",
    "packetsLost": "lost",
    "jitterBufferMillis": "jitter_ms",
    "roundTripTimeMillis": "rtt_ms",
    "audioLevel": "audio_level",
}


def _series(value: Any) -> dict[Direction, dict[str, array[float]]]:
    found: dict[Direction, dict[str, array[float]]] = {}
    for name, columns in value.items() if isinstance(value, dict) else ():
        direction = DIRECTIONS.get(str(name).lower())
        if direction is not None and isinstance(columns, dict):
            found[direction] = {
                ours: array("d", (math.nan if (told := number(one)) is None else told for one in columns[theirs]))
                for theirs, ours in _SERIES.items()
                if isinstance(columns.get(theirs), list)
            }
    return found


def second_ns(report: CallReport, at: int) -> int:
    """Return the end of a second of a telemetry report, which counts seconds from the beginning of the talk.

    Parameters
    ----------
    report
        The report.
    at
        Which second, from 0.

    Returns
    -------
    time_ns
        Since 1970 [ns].
    """
    talk_ms = report.talking_ms if report.talking_ms is not None else 0.0
    begin_ns = max(report.end_ns - int(talk_ms * NS_PER_MS), report.start_ns)
    return begin_ns + (at + 1) * 1000 * NS_PER_MS
