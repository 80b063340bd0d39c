"""Files of many rounds: one probe document a line (JSON Lines), appended so that a crash costs one line at most."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccp_assess.errors import ParseError
from ccp_assess.probe.document_schema import wrong_in

LONGEST_LINE_BYTES = 16_000_000
"""A round of all Regions takes some 100 kB; what is far beyond is no round [bytes]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """The rounds of a file.

    Parameters
    ----------
    documents
        Probe documents in the order of the file.
    notes
        What was left out, one sentence each.
    """

    documents: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]


def append_round(path: Path, document: dict[str, Any]) -> None:
    """Append one round and see it written to the disk.

    Parameters
    ----------
    path
        The file; it is made.
    document
        A probe document.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(document, allow_nan=False, separators=(",", ":")).encode("utf-8") + b"\n"
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o600)
    try:
        if _is_cut(handle):
            line = b"\n" + line  # an earlier run was killed while it wrote: its half line stays a line of its own
        written = 0
        while written < len(line):
            written += os.write(handle, line[written:])
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_cut(handle: int) -> bool:
    size = os.lseek(handle, 0, os.SEEK_END)
    if size == 0:
        return False
    os.lseek(handle, size - 1, os.SEEK_SET)
    return os.read(handle, 1) != b"\n"


def read_rounds(path: Path) -> Rounds:
    """Read the rounds of a file; lines that are none are told and left out.

    Parameters
    ----------
    path
        JSON Lines of probe documents; one document alone, or a list of them, is read too.

    Returns
    -------
    rounds
        In the order of the file.

    Raises
    ------
    ParseError
        If the file cannot be read or holds no round at all.
    """
    documents: list[dict[str, Any]] = []
    notes: list[str] = []
    why = "no JSON"
    try:
        with path.open("rb") as file:
            for number, found in _values(file.read(), notes):
                told = None
                for row in found if isinstance(found, list) else [found]:
                    wrong = _wrong(row)
                    if wrong is None:
                        documents.append(row)
                    told = told or wrong
                if told:
                    notes.append(f"{path.name}, line {number}: {told}; it was left out.")
                    why = told
    except OSError as error:
        raise ParseError(f"{path}: cannot be read ({error.strerror or 'input error'}); check the path") from None
    if not documents:
        raise ParseError(f"{path}: holds no round of `ccp-assess probe` or `monitor` ({why}); give one of their files")
    return Rounds(documents=tuple(documents), notes=tuple(notes))


def is_round(row: Any) -> bool:
    """Tell whether a value is a probe document with a time, in which every number, text and row is one.

    Parameters
    ----------
    row
        A value from JSON.

    Returns
    -------
    is_round
        Whether it can be taken as one.
    """
    return _wrong(row) is None


def _wrong(row: Any) -> str | None:
    told = wrong_in(row)
    if told is None and not isinstance(row.get("time"), str):
        told = "this is no probe document: it has no time"
    return told


def _values(data: bytes, notes: list[str]) -> Iterator[tuple[int, Any]]:
    try:
        yield 1, json.loads(data)
    except (ValueError, RecursionError):
        pass
    else:
        return
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line[:LONGEST_LINE_BYTES])  # a longer line is cut, and so no JSON
        except (ValueError, RecursionError):
            notes.append(f"Line {number} is cut or no JSON; it was left out and the others were read.")
