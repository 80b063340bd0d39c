"""Calls of a trial as captures and agent logs show them: failed set-ups and dropped calls are found there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ccp_assess.errors import TableError
from ccp_assess.trial import CLASSES, UNKNOWN_CLASS, TrialCall, read_log
from ccp_assess.units import rfc3339_from_ns
from ccp_assess.witnesses.agent_log import MOST_KEPT, read_agent_log
from ccp_assess.witnesses.agent_log_entries import looks_like_agent_log

_OUTCOMES = (
    ("CALL_FAILED", "softphone_error"),
    ("CALL_DROPPED", "dropped"),
    ("NO_MEDIA", "no_audio"),
    ("ONE_WAY_AUDIO", "no_audio"),
)
"""Beginnings of the codes of findings, and the outcome each means; the first that fits decides."""


def calls_from_log(path: Path) -> tuple[TrialCall, ...]:
    """Read the calls of a log, whichever it is: a CSV of calls, or an agent log of the CCP.

    Parameters
    ----------
    path
        Told apart by its content.

    Returns
    -------
    calls
        In the order of the file (CSV) or of time (agent log).

    Raises
    ------
    TableError
        If it is neither.
    ParseError
        If it looks like an agent log but holds no entry.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(4096)
    except OSError as error:
        raise TableError(f"cannot be read ({error.strerror})", file=str(path)) from error
    wide = head[:2] in {b"\xff\xfe", b"\xfe\xff"}
    if not looks_like_agent_log(head.decode("utf-16" if wide else "utf-8", errors="replace")):
        return read_log(path)
    log = read_agent_log(path)
    if log.beyond_limits:
        raise TableError(f"more than {MOST_KEPT} contacts, reports or errors in one log; split it", file=str(path))
    return tuple(
        TrialCall(
            time="" if call.start_ns is None else rfc3339_from_ns(call.start_ns),
            call_class=call.call_class,
            outcome=call.outcome,
        )
        for call in log.calls
    )


def calls_from_captures(captures: Sequence[Path], call_class: str = UNKNOWN_CLASS) -> tuple[TrialCall, ...]:
    """Read the calls of captures as calls of a trial.

    Parameters
    ----------
    captures
        Captures, each of its own workstation or time.
    call_class
        What was tested there; encrypted traffic does not show whether a call was answered only, conferenced or
        transferred.

    Returns
    -------
    calls
        All of that class.

    Raises
    ------
    TableError
        If the class is none that a trial knows.
    """
    if call_class not in {*CLASSES, UNKNOWN_CLASS}:
        raise TableError(f"class {call_class[:40]!r} is none of {', '.join((*CLASSES, UNKNOWN_CLASS))}")
    from ccp_assess.assess.captures import assess_captures  # noqa: PLC0415  # compiled code: only when it is asked for

    rows = [row for path in captures for row in assess_captures([path]).to_document()["calls"]]
    return tuple(trial_call(row, call_class) for row in rows)


def trial_call(row: dict[str, Any], call_class: str = UNKNOWN_CLASS) -> TrialCall:
    """Judge one call of a capture.

    Parameters
    ----------
    row
        A call of ``capture read``.
    call_class
        What was tested, where it is known.

    Returns
    -------
    call
        With its outcome by its findings.

    Examples
    --------
    >>> trial_call({"start_time": "t", "findings": [{"code": "CALL_DROPPED"}]}).outcome
    'dropped'
    """
    codes = [str(finding["code"]) for finding in row["findings"]]
    outcome = next((word for start, word in _OUTCOMES if any(code.startswith(start) for code in codes)), "ok")
    return TrialCall(time=str(row["start_time"] or ""), call_class=call_class, outcome=outcome)
