"""What every command writes: JSON without NaN, files whole or not at all, hostile text made printable."""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
from pathlib import Path
from typing import Any


def printable(text: str) -> str:
    r"""Replace control characters, so that a name from the wire cannot steer the terminal.

    Parameters
    ----------
    text
        Any text.

    Returns
    -------
    text
        The same with every non-printable character written as its escape.

    Examples
    --------
    >>> printable("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def jsonable(value: Any) -> Any:
    """Make a value fit for JSON: NaN and infinities become ``None``, numpy scalars plain, tuples lists.

    Parameters
    ----------
    value
        A value made of dicts, sequences, numbers, strings and ``None``.

    Returns
    -------
    value
        The same, ready for ``json.dumps(..., allow_nan=False)``.
    """
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, str | bytes):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def json_text(document: Any) -> str:
    """Write a document as JSON text, indented.

    Parameters
    ----------
    document
        A value made of dicts, sequences, numbers, strings and ``None``.

    Returns
    -------
    text
        JSON in ASCII, without NaN or Infinity.
    """
    return json.dumps(jsonable(document), indent=1, allow_nan=False)


def print_json(document: Any) -> None:
    """Print one JSON document on standard output, and nothing else.

    Parameters
    ----------
    document
        A value made of dicts, sequences, numbers, strings and ``None``.
    """
    sys.stdout.write(json_text(document) + "\n")


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all: beside it first, then rename.

    Parameters
    ----------
    path
        Where it shall stand; missing folders are made.
    content
        Text (written as UTF-8) or bytes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode("utf-8") if isinstance(content, str) else content
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
