"""The test calls of an engagement: a list to tick off, each tied to its part of the capture and counted in the trial.

A plan is a CSV in the client folder that anyone can open. Ticking a call writes when it was made and how it went, so
the same file is a log of trial calls; joining it to a capture finds the call that was on the wire at that time.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ccp_assess.csvtext import read_rows
from ccp_assess.errors import TableError
from ccp_assess.files import write_whole
from ccp_assess.trial import OUTCOMES

COLUMNS = ("number", "kind", "class", "what_to_do", "time", "minutes", "outcome", "call_id", "capture", "note")

KINDS: dict[str, tuple[str, float, str]] = {
    "inbound": (
        "answer",
        2,
        "Call the instance's number from a telephone, accept in the softphone, talk for 2 minutes.",
    ),
    "outbound": ("answer", 2, "Dial a telephone from the softphone, let it be answered, talk for 2 minutes."),
    "transfer": ("transfer", 3, "Take an inbound call, transfer it to an external number, hang up; talk on there."),
    "conference": ("conference", 3, "Take an inbound call, add a third party, talk all three for a minute, leave."),
    "hold": ("answer", 3, "Take an inbound call, put it on hold for a minute, come back, talk on, mute and unmute."),
    "long": (
        "answer",
        30,
        "Take an inbound call and keep it for 30 minutes: timers of firewalls and NAT show only then.",
    ),
}
"""Kinds of test calls: class in the trial, minutes, what to do."""

_SLACK = timedelta(seconds=90)
"""A clock on the wall and one in a capture differ, and ticking takes a moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCall:
    """One call of a plan.

    Parameters
    ----------
    number
        From 1.
    kind
        One of :data:`KINDS`.
    call_class
        In the trial.
    what_to_do
        In words.
    minutes
        How long it shall last [min].
    time
        When it began (ISO, with its offset from UTC); ``None`` if it was not made yet.
    outcome
        One of the trial's; ``None`` if it was not made yet.
    call_id
        Of the call in the capture that was on the wire at that time.
    capture
        File that holds it.
    note
        Whatever the tester wrote.
    """

    number: int
    kind: str
    call_class: str
    what_to_do: str
    minutes: float
    time: str | None = None
    outcome: str | None = None
    call_id: str | None = None
    capture: str | None = None
    note: str | None = None

    @property
    def is_done(self) -> bool:
        """Whether it was made."""
        return self.outcome is not None

    def to_document(self) -> dict[str, Any]:
        """Return it as a row of the file.

        Returns
        -------
        document
            With the names of the columns.
        """
        return {
            "number": self.number,
            "kind": self.kind,
            "class": self.call_class,
            "what_to_do": self.what_to_do,
            "time": self.time,
            "minutes": self.minutes,
            "outcome": self.outcome,
            "call_id": self.call_id,
            "capture": self.capture,
            "note": self.note,
        }


def new_plan(kinds: Sequence[str] = tuple(KINDS), *, rounds: int = 1) -> tuple[PlannedCall, ...]:
    """List the calls to be made.

    Parameters
    ----------
    kinds
        In the order in which they are made.
    rounds
        How often the whole list is gone through.

    Returns
    -------
    plan
        None of them made yet.

    Raises
    ------
    TableError
        If a kind is unknown.
    """
    unknown = next((kind for kind in kinds if kind not in KINDS), None)
    if unknown is not None:
        raise TableError(f"kind {unknown[:40]!r} is none of {', '.join(KINDS)}")
    return tuple(
        PlannedCall(
            number=number, kind=kind, call_class=KINDS[kind][0], minutes=KINDS[kind][1], what_to_do=KINDS[kind][2]
        )
        for number, kind in enumerate([*kinds] * rounds, start=1)
    )


def write_plan(plan: Sequence[PlannedCall], path: Path) -> None:
    """Write a plan.

    Parameters
    ----------
    plan
        Its calls.
    path
        A CSV; it appears whole.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    for call in plan:
        writer.writerow({key: "" if value is None else value for key, value in call.to_document().items()})
    write_whole(path, "\ufeff" + text.getvalue())


def read_plan(path: Path) -> tuple[PlannedCall, ...]:
    """Read a plan.

    Parameters
    ----------
    path
        A CSV with the columns of :data:`COLUMNS`; ``;`` as separator is understood.

    Returns
    -------
    plan
        Its calls.

    Raises
    ------
    TableError
        Naming file, row and column.
    """
    calls = []
    for number, row in enumerate(read_rows(path, name=str(path), required=("kind",)), start=1):
        kind = row.cells["kind"].lower()
        if kind not in KINDS:
            raise row.wrong("kind", f"{kind[:40]!r} is none of {', '.join(KINDS)}")
        outcome = row.cells.get("outcome", "").lower() or None
        if outcome is not None and outcome not in OUTCOMES:
            raise row.wrong("outcome", f"{outcome[:40]!r} is none of {', '.join(OUTCOMES)}")
        time = row.cells.get("time", "") or None
        if time is not None and _instant(time) is None:
            raise row.wrong("time", f"{time[:40]!r} is no time; write it as 2026-11-23T09:30:00+00:00")
        calls.append(
            PlannedCall(
                number=number,
                kind=kind,
                call_class=KINDS[kind][0],
                what_to_do=row.cells.get("what_to_do", "") or KINDS[kind][2],
                minutes=KINDS[kind][1],
                time=time,
                outcome=outcome,
                call_id=row.cells.get("call_id", "") or None,
                capture=row.cells.get("capture", "") or None,
                note=row.cells.get("note", "") or None,
            )
        )
    return tuple(calls)


def tick(
    plan: Sequence[PlannedCall], number: int, outcome: str, now: datetime, *, note: str | None = None
) -> tuple[PlannedCall, ...]:
    """Tick off a call.

    Parameters
    ----------
    plan
        The calls.
    number
        Of the call that was made.
    outcome
        ``ok``, ``softphone_error``, ``dropped`` or ``no_audio``.
    now
        When the call began, with its time zone.
    note
        In the tester's words.

    Returns
    -------
    plan
        With that call ticked off.

    Raises
    ------
    TableError
        If there is no such call or outcome.
    """
    if not 1 <= number <= len(plan):
        raise TableError(f"there is no call {number}; the plan has {len(plan)}")
    if outcome not in OUTCOMES:
        raise TableError(f"outcome {outcome[:40]!r} is none of {', '.join(OUTCOMES)}")
    made = replace(
        plan[number - 1], time=now.isoformat(timespec="seconds"), outcome=outcome, note=note or plan[number - 1].note
    )
    return (*plan[: number - 1], made, *plan[number:])


def join_captures(
    plan: Sequence[PlannedCall], captures: Sequence[tuple[str, dict[str, Any]]]
) -> tuple[PlannedCall, ...]:
    """Tie each call that was made to the call that a capture shows at that time.

    Parameters
    ----------
    plan
        The calls.
    captures
        Names of files and their documents of ``capture read``.

    Returns
    -------
    plan
        With call and file where one overlaps the planned time; of several the nearest, and none twice.
    """
    shown = [
        (_instant(row["start_time"]), _instant(row["end_time"]), str(row["call_id"]), name)
        for name, document in captures
        for row in document["calls"]
    ]
    taken: set[str] = set()
    joined = []
    for call in plan:
        began = _instant(call.time) if call.time else None
        if began is None:
            joined.append(call)
            continue
        until = began + timedelta(minutes=call.minutes) + _SLACK
        near = [
            (abs((start - began).total_seconds()), call_id, name)
            for start, end, call_id, name in shown
            if start is not None and end is not None and call_id not in taken
            if start <= until and end >= began - _SLACK
        ]
        if near:
            _, call_id, name = min(near)
            taken.add(call_id)
            joined.append(replace(call, call_id=call_id, capture=name))
        else:
            joined.append(call)
    return tuple(joined)


def _instant(text: str | None) -> datetime | None:
    """Read a time; one without an offset is taken as this workstation's."""
    try:
        return None if text is None else datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):  # the first and the last hours of the calendar have no other time zone
        return None
