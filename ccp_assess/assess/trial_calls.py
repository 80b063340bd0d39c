"""Calls of a trial as captures show them: failed set-ups and dropped calls are found there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ccp_assess.trial import TrialCall

_OUTCOMES = (
    ("CALL_FAILED", "softphone_error"),
    ("CALL_DROPPED", "dropped"),
    ("NO_MEDIA", "no_audio"),
    ("ONE_WAY_AUDIO", "no_audio"),
)
"""Beginnings of the codes of findings, and the outcome each means; the first that fits decides."""


def calls_from_captures(captures: Sequence[Path]) -> tuple[TrialCall, ...]:
    """Read the calls of captures as calls of a trial.

    Parameters
    ----------
    captures
        Captures, each of its own workstation or time.

    Returns
    -------
    calls
        All of class ``answer``: encrypted traffic does not show a conference or a transfer.
    """
    from ccp_assess.assess.captures import assess_captures  # noqa: PLC0415  # compiled code: only when it is asked for

    rows = [row for path in captures for row in assess_captures([path]).to_document()["calls"]]
    return tuple(trial_call(row) for row in rows)


def trial_call(row: dict[str, Any]) -> TrialCall:
    """Judge one call of a capture.

    Parameters
    ----------
    row
        A call of ``capture read``.

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
    return TrialCall(time=str(row["start_time"] or ""), call_class="answer", outcome=outcome)
