"""JSON as files hold it: one document, one a line, several one after the other; packed, or cut at the end."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path
from typing import Any, TypeAlias

from ccp_assess.errors import ParseError

MOST_BYTES = 256 << 20
"""Of a file that must be read whole; an agent log is read in blocks and may be larger."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|"|[\[\]{},:]|[^\s\[\]{},:"]+', re.DOTALL)
_BETWEEN = re.compile(r"[\s,\ufeff\x1e]*")  # 0x1e begins a record of a JSON text sequence, RFC 7464
_CLOSER = {"[": "]", "{": "}"}
_DECODER = json.JSONDecoder()
_Opened: TypeAlias = "tuple[str, _Opened] | None"
"""What closes the innermost open bracket, and the same of those around it: shared, never copied."""


def read_text(path: Path) -> str:
    """Read a file of text whole, whatever its encoding, packed with gzip or not.

    Parameters
    ----------
    path
        UTF-8 or UTF-16, with or without byte order mark.

    Returns
    -------
    text
        Bytes that are no text are replaced.

    Raises
    ------
    ParseError
        If the file cannot be read, or is too large to be read whole.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            data = _unpacked(path, raw.read(MOST_BYTES + 1)) if packed else raw.read(MOST_BYTES + 1)
    except OSError as error:
        raise ParseError(f"{path}: cannot be read ({error.strerror or error})") from error
    if len(data) > MOST_BYTES:
        raise ParseError(f"{path}: larger than {MOST_BYTES >> 20} MB; give the part that the call lies in")
    encoding = "utf-16" if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
    return data.decode(encoding, errors="replace")


def _unpacked(path: Path, data: bytes) -> bytes:
    """Unpack gzip as far as it goes, and no further than the limit."""
    reader = zlib.decompressobj(wbits=31)
    try:
        return reader.decompress(data, MOST_BYTES + 1)
    except zlib.error as error:
        raise ParseError(f"{path}: the gzip file is damaged ({error}); copy it again") from error


def parse_values(text: str, file: str) -> tuple[list[Any], bool]:
    """Parse the JSON values of a text.

    Parameters
    ----------
    text
        One document or several, one after the other or one a line; the last one may be cut.
    file
        What messages call it.

    Returns
    -------
    values, cut
        The values, the last one as far as it goes; whether it was cut.

    Raises
    ------
    ParseError
        If the text is no JSON; the text says at which line.

    Examples
    --------
    >>> parse_values('{"a": 1}{"b": [2, 3', "x.json")
    ([{'a': 1}, {'b': [2]}], True)
    """
    values: list[Any] = []
    at = _after(text, 0)
    while at < len(text):
        try:
            value, at = _DECODER.raw_decode(text, at)
        except RecursionError:
            raise ParseError(f"{file}: objects are nested deeper than any such file nests them") from None
        except ValueError as error:
            mended = _mended(text, at, error)
            if mended is None:
                raise _not_json(text, file, error) from None
            return [*values, mended], True
        values.append(value)
        at = _after(text, at)
    return values, False


def _after(text: str, at: int) -> int:
    found = _BETWEEN.match(text, at)
    return found.end() if found else at


def _not_json(text: str, file: str, error: ValueError) -> ParseError:
    at = getattr(error, "pos", 0)
    line = text.count("\n", 0, at) + 1
    column = at - (text.rfind("\n", 0, at) + 1) + 1
    what = getattr(error, "msg", str(error))
    return ParseError(f"{file}: no JSON at line {line}, column {column} ({what}); give the file as it was saved")


def _mended(text: str, start: int, error: ValueError) -> Any:
    """Close what a cut left open, behind the last whole element; ``None`` if it is no cut, or nothing is whole."""
    at = getattr(error, "pos", 0)
    cut = str(error).startswith("Unterminated string") or re.fullmatch(r"[\w.+\-\\\"]*\s*", text[at:]) is not None
    if not cut:
        return None
    opened: _Opened = None
    last, still = 0, opened
    for token in _TOKEN.finditer(text, start):
        mark = token[0]
        if mark == '"':
            break  # a string that is not closed
        if mark in _CLOSER:
            opened = (_CLOSER[mark], opened)
            last, still = token.end(), opened  # an empty one is whole, too
        elif mark in "]}":
            if opened is None or opened[0] != mark:
                return None
            opened = opened[1]
            last, still = token.end(), opened
        elif mark == ",":
            last, still = token.start(), opened
    if not last:
        return None
    closers = []
    while still is not None:
        closers.append(still[0])
        still = still[1]
    try:
        return json.loads(text[start:last] + "".join(closers))
    except (ValueError, RecursionError):
        return None
