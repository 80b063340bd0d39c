"""Read the ``agent-log.txt`` that the softphone (CCP) lets an agent download, whole or cut, in bounded memory.

The file is a JSON array of entries. Their texts are written for people and hold JSON here and there; browsers, chat
tools and ticket systems cut the array at both ends. Entries come one by one from :func:`read_entries`; everything else
is built on them, so that further facts can be drawn from the same single pass.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TextIO

from ccp_assess.errors import ParseError
from ccp_assess.units import NS_PER_S

Outcome = Literal["ok", "softphone_error", "dropped", "no_audio"]
CallClass = Literal["answer", "conference", "transfer"]

BLOCK_CHARACTERS = 1 << 20
"""Read at a time."""

ENTRY_CHARACTERS = 16 << 20
"""An entry longer than this is not waited for."""

MOST_KEPT = 10_000
"""Contacts, reports and errors kept of one log, each: far more than an agent's month of calls."""

_DEEP_CHARACTERS = 4_096
"""Passed over where objects are nested deeper than any log does."""

ERRORS_OF_A_CALL = frozenset(
    {
        "ice_collection_timeout",
        "signalling_handshake_failure",
        "signalling_connection_failure",
        "user_busy_error",
        "webrtc_error",
        "realtime_communication_error",
        "call_not_found_error",
    }
)
"""Softphone errors that a call met, even where no entry names the call."""

ERRORS = ERRORS_OF_A_CALL | {"microphone_not_shared", "unsupported_browser", "vdi_strategy_not_supported"}
"""Names of softphone errors; the others of them may also appear when the page loads, without a call."""

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

_SILENT_AFTER_MS = 5_000
"""A call that talked longer than this without one packet in a direction had no audio [ms]."""

_NEAR_NS = 10 * NS_PER_S
"""An error this near to a call belongs to it [ns]."""

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_CONTACT = re.compile(
    rf"(?:contact::(?:\w+::)?|toast for\s+|contact\s?id\W{{1,4}}|softphone\W{{1,3}})({_UUID})", re.IGNORECASE
)
_STATE = re.compile(rf"contact::(\w+)(?:::{_UUID})?", re.IGNORECASE)
_ERROR = re.compile(r"softphone(?: |_)error(?: occurred)?\W+(?:type\W+)?([a-z][a-z_]{3,60})", re.IGNORECASE)
_API = re.compile(r"<-- '(conferenceConnections|createAdditionalConnection|transferContact)' succeeded")
_START = re.compile(r"\{\s*\"(?:component|level|text|time|tabId|exception|objects|line|agentResourceId|loggerId)\"")
_START_CHARACTERS = 64
"""At the end of a block that may be the first part of a beginning."""

_REPORT_MARK = '"callStartTime"'
_OTHER_CHANNELS = frozenset({"chat", "task", "email"})
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One entry of an agent log.

    Parameters
    ----------
    time_ns
        When it was written, since 1970 [ns]; ``None`` if the entry has no readable time.
    level, component
        As written; empty if absent.
    text
        The message.
    objects
        What was attached, as parsed.
    """

    time_ns: int | None
    level: str
    component: str
    text: str
    objects: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedCall:
    """One call as the softphone wrote it down.

    Parameters
    ----------
    contact_id
        In lower case; ``None`` where no entry names it.
    start_ns, end_ns
        First and last sign of it, since 1970 [ns]; ``None`` if unknown.
    call_class
        ``conference`` or ``transfer`` where the softphone joined or added a third party, else ``answer``.
    outcome
        ``ok``, ``softphone_error``, ``dropped`` or ``no_audio``.
    errors
        Names of the errors it met.
    """

    contact_id: str | None
    start_ns: int | None
    end_ns: int | None
    call_class: CallClass
    outcome: Outcome
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentLog:
    """What one agent log tells about calls.

    Parameters
    ----------
    entries
        Entries read (count).
    skipped
        Pieces that were no entry, or had no time or no text (count).
    cut
        Whether the file begins or ends within the array.
    calls
        In the order of time.
    errors
        Instant since 1970 [ns] and name of each softphone error, those without a call, too.
    beyond_limits
        Contacts, reports and errors that were too many to keep (count).
    """

    entries: int
    skipped: int
    cut: bool
    beyond_limits: int
    calls: tuple[LoggedCall, ...]
    errors: tuple[tuple[int, str], ...]


@dataclass(slots=True)
class ReadState:
    """What reading met so far.

    Parameters
    ----------
    skipped
        Pieces that were no entry (count).
    cut
        Whether the array has no beginning or no end.
    """

    skipped: int = 0
    cut: bool = False


def looks_like_agent_log(head: str) -> bool:
    """Tell an agent log from a table by its beginning.

    Parameters
    ----------
    head
        The first characters of the file.

    Returns
    -------
    is_log
        Whether it begins as a JSON array, or holds entries of a cut one.

    Examples
    --------
    >>> looks_like_agent_log('[{"component": "ccp"'), looks_like_agent_log("time,class,outcome")
    (True, False)
    """
    return head.lstrip("\ufeff \t\r\n").startswith(("[", "{")) or _START.search(head) is not None


def read_agent_log(path: str | Path) -> AgentLog:
    """Read the calls of an agent log.

    Parameters
    ----------
    path
        ``agent-log.txt``, whole or cut; UTF-8 or UTF-16.

    Returns
    -------
    log
        Calls with their outcomes.

    Raises
    ------
    ParseError
        If the file cannot be read or holds no entry of an agent log.
    """
    state = ReadState()
    try:
        with Path(path).open("rb") as raw:
            start = raw.read(4)
        encoding = "utf-16" if start[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
        with Path(path).open(encoding=encoding, errors="replace") as stream:
            log = parse_agent_log(read_entries(stream, state), state)
    except OSError as error:
        raise ParseError(f"{path}: cannot be read ({error.strerror})") from error
    if not log.entries and (log.skipped or log.cut):
        raise ParseError(
            f"{path}: no entry of an agent log in it; download it in the CCP by Settings, Download logs, and give the "
            "file as it is"
        )
    return log


def read_entries(stream: TextIO, state: ReadState) -> Iterator[LogEntry]:
    """Yield the entries of a log one by one, keeping one block of it in memory.

    Parameters
    ----------
    stream
        The text.
    state
        Counts of what was skipped go here.

    Yields
    ------
    entry
        In the order of the file, which is not always that of time.
    """
    for value in _values(stream, state):
        # A log that was logged as a whole is an array within the array.
        for row in value if isinstance(value, list) else (value,):
            entry = _entry(row)
            if entry is None:
                state.skipped += 1
            else:
                yield entry


def _values(stream: TextIO, state: ReadState) -> Iterator[Any]:
    buffer, at, ended = stream.read(BLOCK_CHARACTERS), 0, False
    at = _after_blanks(buffer, 0)
    if buffer[at : at + 1] == "[":
        at += 1
    elif buffer.strip():
        state.cut = True
    closed = lost = False
    while True:
        at = _after_blanks(buffer, at)
        if at < len(buffer):
            closed = buffer[at] == "]"
            if closed:
                at += 1
                continue
            step = 0
            if buffer[at] in "{[":
                try:
                    value, at = _DECODER.raw_decode(buffer, at)
                except RecursionError:
                    step = _DEEP_CHARACTERS
                except ValueError:
                    step = 1 if ended or len(buffer) - at >= ENTRY_CHARACTERS else -1
                else:
                    yield value
                    continue
            if step >= 0:  # no entry here: go on where the next one begins
                state.skipped += not lost
                found = _START.search(buffer, at + step)
                lost = found is None
                at = found.start() if found else max(at + step, len(buffer) - _START_CHARACTERS)
                if found:
                    continue
        if ended:
            break
        # A longer rest asks for a longer block: an entry of many blocks is not parsed anew for each of them.
        more = stream.read(max(BLOCK_CHARACTERS, len(buffer) - at))
        ended = not more
        buffer, at = buffer[at:] + more, 0
    state.cut = state.cut or not closed


_BLANKS = re.compile(r"[\s,\ufeff]*")


def _after_blanks(buffer: str, at: int) -> int:
    found = _BLANKS.match(buffer, at)
    return found.end() if found else at


def _entry(row: Any) -> LogEntry | None:
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        return None
    time_ns = instant_ns(row.get("time"))
    if time_ns is None:
        return None
    objects = row.get("objects")
    return LogEntry(
        time_ns=time_ns,
        level=str(row.get("level") or ""),
        component=str(row.get("component") or ""),
        text=row["text"].strip(),
        objects=tuple(objects) if isinstance(objects, list) else () if objects is None else (objects,),
    )


def instant_ns(value: Any) -> int | None:
    """Read an instant of a log.

    Parameters
    ----------
    value
        Such as ``2026-01-01T00:00:02.000Z``, or milliseconds since 1970.

    Returns
    -------
    time_ns
        Since 1970 [ns]; ``None`` if it is none.

    Examples
    --------
    >>> instant_ns("1970-01-01T00:00:01.5Z"), instant_ns(1500), instant_ns("soon")
    (1500000000, 1500000000, None)
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return int(value * 1_000_000) if 0 <= value < 1e14 else None
    if not isinstance(value, str):
        return None
    try:
        instant = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    since = (instant if instant.tzinfo else instant.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * NS_PER_S + since.microseconds * 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Report:
    """What a call's report says about its outcome; the report itself may be megabytes long."""

    contact_id: str | None
    start_ns: int
    end_ns: int
    errors: tuple[str, ...]
    lost: bool
    silent: bool


@dataclass(slots=True)
class _Kept:
    """What is kept of a log while it is read: bounded, however long the log is."""

    contacts: dict[str, _Signs] = field(default_factory=dict)
    reports: list[_Report] = field(default_factory=list)
    errors: list[tuple[str | None, int, str]] = field(default_factory=list)
    joins: list[tuple[str | None, int, str]] = field(default_factory=list)
    beyond_limits: int = 0

    def room(self, kept: Any) -> bool:
        full = len(kept) >= MOST_KEPT
        self.beyond_limits += full
        return not full


@dataclass(slots=True)
class _Signs:
    """What points to one call."""

    start_ns: int
    end_ns: int
    contact_id: str | None = None
    states: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)
    reported: bool = False
    lost: bool = False
    silent: bool = False
    conference: bool = False
    third_party: bool = False
    other_channel: bool = False

    def widen(self, start_ns: int, end_ns: int) -> None:
        self.start_ns, self.end_ns = min(self.start_ns, start_ns), max(self.end_ns, end_ns)

    def distance_ns(self, time_ns: int) -> int:
        return max(self.start_ns - time_ns, time_ns - self.end_ns, 0)

    def to_call(self) -> LoggedCall | None:
        if not (self.reported or self.errors) and (
            self.other_channel or not self.states & {"connected", "accepted", "error"}
        ):
            return None  # missed, rejected, or no call at all
        outcome: Outcome = "ok"
        if self.errors or ("error" in self.states and not self.reported):
            outcome = "softphone_error"
        elif self.lost:
            outcome = "dropped"
        elif self.silent:
            outcome = "no_audio"
        return LoggedCall(
            contact_id=self.contact_id,
            start_ns=self.start_ns,
            end_ns=self.end_ns,
            call_class="conference" if self.conference else "transfer" if self.third_party else "answer",
            outcome=outcome,
            errors=tuple(dict.fromkeys(self.errors)),
        )


def parse_agent_log(entries: Iterable[LogEntry], state: ReadState | None = None) -> AgentLog:
    """Draw the calls out of the entries of a log.

    Parameters
    ----------
    entries
        In any order.
    state
        Counts of the reader.

    Returns
    -------
    log
        Calls, each once: reports, softphone errors and states of the same contact are one call. Contacts that were
        missed or rejected are no calls.
    """
    count = 0
    kept = _Kept()
    for entry in entries:
        count += 1
        _note(kept, entry)
    told = [call for signs in _joined(kept) if (call := signs.to_call()) is not None]
    return AgentLog(
        entries=count,
        skipped=state.skipped if state else 0,
        cut=state.cut if state else False,
        calls=tuple(sorted(told, key=lambda call: call.start_ns or 0)),
        errors=tuple(sorted({(at_ns, name) for _, at_ns, name in kept.errors})),
        beyond_limits=kept.beyond_limits,
    )


def _note(kept: _Kept, entry: LogEntry) -> None:
    at_ns = entry.time_ns or 0
    named = _contact_of(entry)
    if named is not None and (named in kept.contacts or kept.room(kept.contacts)):
        _note_contact(kept.contacts.setdefault(named, _Signs(at_ns, at_ns, named)), at_ns, entry)
    error = _error_of(entry)
    if error is not None and kept.room(kept.errors):
        kept.errors.append((named, at_ns, error))
    api = _API.search(entry.text)
    if api is not None and kept.room(kept.joins):
        kept.joins.append((named, at_ns, api[1]))
    for report in _reports_of(entry):
        if kept.room(kept.reports):
            kept.reports.append(_report(report, named, at_ns))


def _note_contact(signs: _Signs, at_ns: int, entry: LogEntry) -> None:
    signs.widen(at_ns, at_ns)
    signs.states.update(word.lower() for word in _STATE.findall(entry.text))
    for row in entry.objects:
        if isinstance(row, dict) and str(row.get("type", "")).lower() in _OTHER_CHANNELS:
            signs.other_channel = True


def _contact_of(entry: LogEntry) -> str | None:
    found = _CONTACT.search(entry.text)
    if found is not None:
        return found[1].lower()
    for row in entry.objects:
        named = row.get("contactId") if isinstance(row, dict) else None
        if isinstance(named, str) and re.fullmatch(_UUID, named, re.IGNORECASE):
            return named.lower()
    if entry.component.lower() == "softphone":  # its entries begin with the contact they are about
        first = re.match(_UUID, entry.text, re.IGNORECASE)
        return first[0].lower() if first else None
    return None


def _error_of(entry: LogEntry) -> str | None:
    found = _ERROR.search(entry.text)
    if found is not None:
        name = found[1].lower()
        if name in ERRORS or "occurred" in found[0].lower():
            return name
    for row in entry.objects:
        name = str(row.get("errorType", "")).lower() if isinstance(row, dict) else ""
        if name in ERRORS:
            return name
    return None


def _reports_of(entry: LogEntry) -> Iterator[dict[str, Any]]:
    """Find reports of calls: after the words of a text, bare, in an array, or as text within text."""
    if _REPORT_MARK in entry.text or '\\"callStartTime' in entry.text:
        start = re.search(r"[\[{\"]", entry.text)
        while start is not None:
            try:
                value, end = _DECODER.raw_decode(entry.text, start.start())
            except (ValueError, RecursionError):
                break
            yield from _reports_in(value, 0)
            start = re.compile(r"[\[{\"]").search(entry.text, end)
    for row in entry.objects:
        yield from _reports_in(row, 0)


def _reports_in(value: Any, depth: int) -> Iterator[dict[str, Any]]:
    if depth > 4:
        return
    if isinstance(value, str) and _REPORT_MARK in value:
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return
    if isinstance(value, list):
        for row in value:
            yield from _reports_in(row, depth + 1)
    elif isinstance(value, dict):
        if "callStartTime" in value:
            yield value
            return
        for row in value.values():
            if isinstance(row, (dict, list, str)):
                yield from _reports_in(row, depth + 1)


def _report(report: dict[str, Any], named: str | None, at_ns: int) -> _Report:
    told_start, told_end = instant_ns(report.get("callStartTime")), instant_ns(report.get("callEndTime"))
    start_ns = told_start if told_start is not None else at_ns
    talked = report.get("talkingTimeMillis")
    packets: dict[str, float] = {}
    statistics = report.get("softphoneStreamStatistics")
    for row in statistics if isinstance(statistics, list) else ():
        if isinstance(row, dict) and isinstance(row.get("packetsCount"), (int, float)):
            kind = str(row.get("softphoneStreamType"))
            packets[kind] = packets.get(kind, 0) + row["packetsCount"]
    return _Report(
        contact_id=named,
        start_ns=start_ns,
        end_ns=max(told_end if told_end is not None else at_ns, start_ns),
        errors=tuple(name for flag, name in FLAGS.items() if report.get(flag) is True),
        lost=any(report.get(flag) is True for flag in _LOST),
        silent=isinstance(talked, (int, float))
        and talked > _SILENT_AFTER_MS
        and any(total == 0 for total in packets.values()),
    )


def _joined(kept: _Kept) -> list[_Signs]:
    contacts = kept.contacts
    calls = list(contacts.values())
    bare: dict[int, _Signs] = {}
    for report in kept.reports:
        signs = contacts.get(report.contact_id or "") or _overlapping(contacts.values(), report)
        if signs is None:
            signs = bare.get(report.start_ns)
        if signs is None:
            signs = bare[report.start_ns] = _Signs(report.start_ns, report.end_ns)
            calls.append(signs)
        signs.widen(report.start_ns, report.end_ns)
        signs.reported = True
        signs.errors += report.errors
        signs.lost |= report.lost
        signs.silent |= report.silent
    for named, at_ns, error in kept.errors:
        signs = contacts.get(named or "") or _nearest(calls, at_ns, _NEAR_NS)
        if signs is not None:
            signs.errors.append(error)
        elif error in ERRORS_OF_A_CALL:
            calls.append(_Signs(at_ns, at_ns, errors=[error]))
    for named, at_ns, api in kept.joins:
        signs = contacts.get(named or "") or _nearest(calls, at_ns, 0)
        if signs is not None:
            signs.conference |= api == "conferenceConnections"
            signs.third_party |= api != "conferenceConnections"
    return calls


def _overlapping(contacts: Iterable[_Signs], report: _Report) -> _Signs | None:
    """Return the contact that shares the most time with a report, or ``None``."""

    def shared(signs: _Signs) -> int:
        return min(signs.end_ns, report.end_ns) - max(signs.start_ns, report.start_ns)

    best = max((signs for signs in contacts if not signs.other_channel), key=shared, default=None)
    return best if best is not None and shared(best) >= 0 else None


def _nearest(calls: Iterable[_Signs], at_ns: int, within_ns: int) -> _Signs | None:
    best = min(
        (signs for signs in calls if not signs.other_channel), key=lambda signs: signs.distance_ns(at_ns), default=None
    )
    return best if best is not None and best.distance_ns(at_ns) <= within_ns else None
