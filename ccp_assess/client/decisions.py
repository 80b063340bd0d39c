"""The decision log of a workshop: what was decided, when, by whom and why, one row each in ``decisions.csv``."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ccp_assess.client.locating import child_of
from ccp_assess.csvtext import Row, optional_text, read_rows, text
from ccp_assess.errors import TableError
from ccp_assess.files import write_whole

FILE = "decisions.csv"
COLUMNS = ("time", "who", "decision", "why")
LONGEST_TEXT = 1000
_FORMULA_MARKS = ("=", "+", "-", "@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One decision.

    Parameters
    ----------
    time
        When it was taken (RFC 3339, UTC).
    who
        Who took it; empty if nobody was named.
    decision
        What was decided, such as ``Region us-east-1 excluded``.
    why
        The reason given; empty if none was.
    """

    time: str
    who: str
    decision: str
    why: str


def read_decisions(folder: str | Path) -> tuple[Decision, ...]:
    """Read the decision log of a client folder.

    Parameters
    ----------
    folder
        The client folder.

    Returns
    -------
    decisions
        In the order of the file; empty where there is none.

    Raises
    ------
    TableError
        If the file is no such table.
    """
    path = child_of(Path(folder), FILE)
    if path is None or not path.read_bytes().strip():
        return ()
    return tuple(_decision(row) for row in read_rows(path, name=FILE, required=COLUMNS))


def _decision(row: Row) -> Decision:
    time = text(row, "time")
    try:
        datetime.fromisoformat(time)
    except ValueError:
        raise row.wrong("time", f"{time[:40]!r} is no instant; write it as in 2026-11-23T14:20:00Z") from None
    return Decision(
        time=time,
        who=_as_meant(optional_text(row, "who")),
        decision=_as_meant(text(row, "decision")),
        why=_as_meant(optional_text(row, "why")),
    )


def add_decision(
    folder: str | Path, decision: str, *, why: str = "", who: str = "", now: datetime | None = None
) -> tuple[Decision, ...]:
    """Append a decision to the log of a client folder.

    Parameters
    ----------
    folder
        The client folder.
    decision
        What was decided.
    why, who
        The reason and the people, if given.
    now
        When; this moment if ``None``.

    Returns
    -------
    decisions
        The whole log.

    Raises
    ------
    TableError
        If nothing is said, or the log cannot be read or written.
    """
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    added = Decision(
        time=moment.strftime("%Y-%m-%dT%H:%M:%SZ"), who=_line(who), decision=_line(decision), why=_line(why)
    )
    if not added.decision:
        raise TableError("say what was decided", file=FILE, column="decision")
    folder = Path(folder)
    decisions = (*read_decisions(folder), added)
    try:
        write_whole(child_of(folder, FILE) or folder / FILE, _table(decisions))
    except OSError as error:
        raise TableError(f"the file cannot be written ({error.strerror}); close it elsewhere", file=FILE) from None
    return decisions


def _table(decisions: Sequence[Decision]) -> bytes:
    """Return the log as CSV that a spreadsheet opens with its accents and without running a formula."""
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows([_harmless(getattr(row, name)) for name in COLUMNS] for row in decisions)
    return content.getvalue().encode("utf-8-sig")


def _line(words: str) -> str:
    return re.sub(r"\s+", " ", words).strip()[:LONGEST_TEXT]


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA_MARKS) else cell


def _as_meant(cell: str | None) -> str:
    words = cell or ""
    return words[1:] if words.startswith("'") and words[1:].startswith(_FORMULA_MARKS) else words
