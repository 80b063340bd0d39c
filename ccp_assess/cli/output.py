"""What every command writes: JSON without NaN, and hostile text made printable."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

from ccp_assess.terminal import printable

__all__ = ["json_text", "jsonable", "print_json", "printable"]


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
