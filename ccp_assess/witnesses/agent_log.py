"""Calls and their outcomes in the ``agent-log.txt`` that the softphone (CCP) lets an agent download.

The texts of its entries are written for people and hold JSON here and there. :class:`CallSigns` takes the entries one
by one, so that further facts can be drawn from the same single pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from ccp_assess.errors import ParseError
from ccp_assess.units import NS_PER_S
from ccp_assess.witnesses.agent_log_entries import LogEntry, ReadState, open_text, read_entries
from ccp_assess.witnesses.softphone_json import CallReport, StatisticsRow, found_in

Outcome = Literal["ok", "softphone_error", "dropped", "no_audio"]
CallClass = Literal["answer", "conference", "transfer"]

MOST_KEPT = 10_000
"""Contacts, reports and errors kept of one log, each: far more than an agent's month of calls."""

MOST_SAMPLES = 2_000_000
"""Samples of telemetry series kept of one log: 16 MB."""

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

_NEAR_NS = 10 * NS_PER_S
"""An error this near to a call belongs to it [ns]."""

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_CONTACT = re.compile(
    rf"(?:contact::(?:\w+::)?|toast for\s+|contact\s?id\W{{1,4}}|softphone\W{{1,3}})({_UUID})", re.IGNORECASE
)
_STATE = re.compile(rf"contact::(\w+)(?:::{_UUID})?", re.IGNORECASE)
_ERROR = re.compile(r"softphone(?: |_)error(?: occurred)?\W+(?:type\W+)?([a-z][a-z_]{3,60})", re.IGNORECASE)
_API = re.compile(r"<-- (?:Operation )?'(conferenceConnections|createAdditionalConnection|transferContact)' succeeded")
_OTHER_CHANNELS = frozenset({"chat", "task", "email"})


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
    reports
        What the softphone reported at its end; more than one where it connected anew.
    """

    contact_id: str | None
    start_ns: int | None
    end_ns: int | None
    call_class: CallClass
    outcome: Outcome
    errors: tuple[str, ...] = ()
    reports: tuple[CallReport, ...] = ()


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
        with open_text(path) as stream:
            log = parse_agent_log(read_entries(stream, state), state)
    except (OSError, EOFError) as error:
        raise ParseError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if not log.entries and (log.skipped or log.cut):
        raise no_entry(path)
    return log


def no_entry(path: str | Path) -> ParseError:
    """Say that a file holds no entry of an agent log.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    error
        To be raised.
    """
    return ParseError(
        f"{path}: no entry of an agent log in it; download it in the CCP by Settings, Download logs, and give the "
        "file as it is"
    )


@dataclass(slots=True)
class _Kept:
    """What is kept of a log while it is read: bounded, however long the log is."""

    contacts: dict[str, _Signs] = field(default_factory=dict)
    reports: list[CallReport] = field(default_factory=list)
    errors: list[tuple[str | None, int, str]] = field(default_factory=list)
    joins: list[tuple[str | None, int, str]] = field(default_factory=list)
    samples: int = 0
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
    reports: dict[int, CallReport] = field(default_factory=dict)
    conference: bool = False
    third_party: bool = False
    other_channel: bool = False

    def widen(self, start_ns: int, end_ns: int) -> None:
        self.start_ns, self.end_ns = min(self.start_ns, start_ns), max(self.end_ns, end_ns)

    def distance_ns(self, time_ns: int) -> int:
        return max(self.start_ns - time_ns, time_ns - self.end_ns, 0)

    def to_call(self) -> LoggedCall | None:
        reports = tuple(self.reports[start_ns] for start_ns in sorted(self.reports))
        errors = [*(error for report in reports for error in report.errors), *self.errors]
        if not (reports or errors) and (self.other_channel or not self.states & {"connected", "accepted", "error"}):
            return None  # missed, rejected, or no call at all
        outcome: Outcome = "ok"
        if errors or ("error" in self.states and not reports):
            outcome = "softphone_error"
        elif any(report.lost for report in reports):
            outcome = "dropped"
        elif any(report.silent for report in reports):
            outcome = "no_audio"
        return LoggedCall(
            contact_id=self.contact_id,
            start_ns=self.start_ns,
            end_ns=self.end_ns,
            call_class="conference" if self.conference else "transfer" if self.third_party else "answer",
            outcome=outcome,
            errors=tuple(dict.fromkeys(errors)),
            reports=reports,
        )

    def take(self, report: CallReport) -> None:
        """Keep a report; of two of the same call the one that tells more."""
        self.widen(report.start_ns, report.end_ns)
        known = self.reports.get(report.start_ns)
        if known is None or len(report.per_second) > len(known.per_second):
            self.reports[report.start_ns] = report


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
    signs = CallSigns()
    for entry in entries:
        signs.add(entry)
    return signs.finish(state)


class CallSigns:
    """What points to calls, gathered entry by entry."""

    def __init__(self) -> None:
        self._kept = _Kept()
        self._entries = 0

    def add(self, entry: LogEntry) -> Sequence[StatisticsRow]:
        """Take an entry.

        Parameters
        ----------
        entry
            In any order of time.

        Returns
        -------
        rows
            Statistics of the softphone that it holds, for whoever wants the series.
        """
        self._entries += 1
        kept, at_ns = self._kept, entry.time_ns or 0
        named = _contact_of(entry)
        if named is not None and (named in kept.contacts or kept.room(kept.contacts)):
            _note_contact(kept.contacts.setdefault(named, _Signs(at_ns, at_ns, named)), at_ns, entry)
        error = _error_of(entry)
        if error is not None and kept.room(kept.errors):
            kept.errors.append((named, at_ns, error))
        api = _API.search(entry.text)
        if api is not None and kept.room(kept.joins):
            kept.joins.append((named, at_ns, api[1]))
        reports, rows = found_in(entry, named)
        self.add_reports(reports)
        return rows

    def add_reports(self, reports: Iterable[CallReport]) -> None:
        """Take reports of calls.

        Parameters
        ----------
        reports
            Wherever they were found.
        """
        kept = self._kept
        for report in reports:
            if not kept.room(kept.reports):
                continue
            samples = sum(len(column) for columns in report.per_second.values() for column in columns.values())
            kept.samples += samples
            if kept.samples > MOST_SAMPLES:
                kept.beyond_limits += 1
                report = replace(report, per_second={})  # noqa: PLW2901 - the same report, without its series
            kept.reports.append(report)

    def finish(self, state: ReadState | None = None) -> AgentLog:
        """Join what was gathered.

        Parameters
        ----------
        state
            Counts of the reader.

        Returns
        -------
        log
            Calls in the order of time.
        """
        kept = self._kept
        told = [call for signs in _joined(kept) if (call := signs.to_call()) is not None]
        return AgentLog(
            entries=self._entries,
            skipped=state.skipped if state else 0,
            cut=state.cut if state else False,
            calls=tuple(sorted(told, key=lambda call: call.start_ns or 0)),
            errors=tuple(sorted({(at_ns, name) for _, at_ns, name in kept.errors})),
            beyond_limits=kept.beyond_limits,
        )


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


def _joined(kept: _Kept) -> list[_Signs]:
    contacts = kept.contacts
    calls = list(contacts.values())
    bare: dict[int, _Signs] = {}
    for report in kept.reports:
        signs = contacts.get(report.contact_id or "") or _overlapping(contacts.values(), report)
        if signs is None:
            signs = bare.get(report.start_ns)
        if signs is None:
            signs = bare[report.start_ns] = _Signs(report.start_ns, report.end_ns, report.contact_id)
            calls.append(signs)
        signs.take(report)
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


def _overlapping(contacts: Iterable[_Signs], report: CallReport) -> _Signs | None:
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
