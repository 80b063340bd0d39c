"""Entries of the ``agent-log.txt`` that the softphone (CCP) lets an agent download, one by one, in bounded memory.

The file is a JSON array of entries. Browsers, chat tools and ticket systems cut it at both ends; some people hand over
the entries one a line, or the console's own lines, which is what the oldest softphones kept.
"""

from __future__ import annotations

import gzip
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from ccp_assess.errors import ParseError
from ccp_assess.units import NS_PER_S

BLOCK_CHARACTERS = 1 << 20
"""Read at a time."""

ENTRY_CHARACTERS = 16 << 20
"""An entry longer than this is not waited for."""

_DEEP_CHARACTERS = 4_096
"""Passed over where objects are nested deeper than any log does."""

_START = re.compile(r"\{\s*\"(?:component|level|text|time|tabId|exception|objects|line|agentResourceId|loggerId)\"")
_START_CHARACTERS = 64
"""At the end of a block that may be the first part of a beginning."""

_LINE = re.compile(r"^[^\[\n]{0,200}\[(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z?)\] \[([A-Z]{3,8})\]: ?", re.MULTILINE)
"""Beginning of an entry as the softphone prints it on the browser's console."""

_LATEST_MS = 9_000_000_000_000
"""An instant in the year 2255: what is later does not fit into 64 bits, and no clock of a call says so [ms]."""

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


def open_text(path: str | Path) -> TextIO:
    """Open a log for reading, whatever its encoding, packed with gzip or not.

    Parameters
    ----------
    path
        UTF-8 or UTF-16, with or without byte order mark.

    Returns
    -------
    stream
        Its text; bytes that are no text are replaced.

    Raises
    ------
    ParseError
        If the file cannot be opened.
    """
    try:
        raw = Path(path).open("rb")  # noqa: SIM115 - the caller closes it, through the text
        start = raw.read(4)
        raw.seek(0)
        unpacked: Any = raw
        if start[:2] == b"\x1f\x8b":
            unpacked = gzip.GzipFile(fileobj=raw)
            start = unpacked.read(4)
            unpacked.seek(0)
    except (OSError, EOFError) as error:
        raise ParseError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    encoding = "utf-16" if start[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
    return io.TextIOWrapper(unpacked, encoding=encoding, errors="replace")


def looks_like_agent_log(head: str) -> bool:
    """Tell an agent log from a table by its beginning.

    Parameters
    ----------
    head
        The first characters of the file.

    Returns
    -------
    is_log
        Whether it begins as a JSON array, holds entries of a cut one, or lines of the softphone's console.

    Examples
    --------
    >>> looks_like_agent_log('[{"component": "ccp"'), looks_like_agent_log("time,class,outcome")
    (True, False)
    """
    return head.lstrip("\ufeff \t\r\n").startswith(("[", "{")) or holds_entries(head)


def holds_entries(head: str) -> bool:
    """Tell an agent log from any other text by an entry in it.

    Parameters
    ----------
    head
        The first characters of the file.

    Returns
    -------
    holds
        Whether an entry begins there.

    Examples
    --------
    >>> holds_entries('[{"component": "ccp"'), holds_entries("[2026-01-01T00:00:00.000Z] [LOG]: up")
    (True, True)
    """
    return _START.search(head) is not None or _LINE.search(head) is not None


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
    block = stream.read(BLOCK_CHARACTERS)
    line, start = _LINE.search(block), _START.search(block)
    if line is not None and (start is None or line.start() < start.start()):
        yield from _lines(block, stream, state)
        return
    for value in _values(block, stream, state):
        # A log that was logged as a whole is an array within the array.
        for row in value if isinstance(value, list) else (value,):
            entry = _entry(row)
            if entry is None:
                state.skipped += 1
            else:
                yield entry


def _lines(buffer: str, stream: TextIO, state: ReadState) -> Iterator[LogEntry]:
    """Yield entries as the console prints them; what follows on further lines belongs to the entry before."""
    ended = False
    while True:
        starts = list(_LINE.finditer(buffer))
        state.skipped += bool(starts and buffer[: starts[0].start()].strip())
        whole = len(starts) if ended else len(starts) - 1
        for number in range(max(whole, 0)):
            found = starts[number]
            end = starts[number + 1].start() if number + 1 < len(starts) else len(buffer)
            yield LogEntry(
                time_ns=instant_ns(found[1]), level=found[2], component="", text=buffer[found.end() : end].strip()
            )
        if ended:
            return
        buffer = buffer[starts[-1].start() :] if starts else buffer[-_START_CHARACTERS * 4 :]
        if len(buffer) > ENTRY_CHARACTERS:
            state.skipped += 1
            buffer = ""
        more = stream.read(max(BLOCK_CHARACTERS, len(buffer)))
        ended = not more
        buffer += more


def _values(buffer: str, stream: TextIO, state: ReadState) -> Iterator[Any]:
    at, ended = _after_blanks(buffer, 0), False
    bare = buffer[at : at + 1] == "{"  # a cut array, or one entry a line
    if buffer[at : at + 1] == "[":
        at += 1
    elif buffer.strip():
        state.cut = True
    closed = lost = one_a_line = False
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
                    if bare and at < len(buffer):
                        bare, one_a_line = False, buffer[at] in "\r\n"
                        state.cut = not one_a_line
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
    state.cut = state.cut or not (closed or (one_a_line and not lost))


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
        return round(value * 1_000) * 1_000 if 0 <= value < _LATEST_MS else None
    if not isinstance(value, str):
        return None
    try:
        instant = datetime.fromisoformat(value.strip().replace(": ", ":"))
    except ValueError:
        return None
    since = (instant if instant.tzinfo else instant.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    time_ns = (since.days * 86_400 + since.seconds) * NS_PER_S + since.microseconds * 1_000
    return time_ns if 0 <= time_ns < _LATEST_MS * 1_000_000 else None
