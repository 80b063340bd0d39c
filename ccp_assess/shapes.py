"""Documents of our own that are read again: a disk, a half copy or an editor may have changed them meanwhile."""

from __future__ import annotations

import json
from typing import Any

_WIDEST = 2**63
_LARGEST = 1e300


def parse_json(data: bytes | str) -> Any:
    """Read JSON; whatever is wrong with it is a ``ValueError``.

    Parameters
    ----------
    data
        From a file.

    Returns
    -------
    value
        What it holds.

    Raises
    ------
    ValueError
        If it is no JSON, also where its brackets are nested so deep that nobody wrote them.
    """
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("its brackets are nested too deep") from None


def has_shape(value: object, shape: Any) -> bool:
    """Tell whether a value is of the shape that its reader relies on.

    Parameters
    ----------
    value
        Of `parse_json`.
    shape
        ``str``, ``bool`` or ``dict``; ``int`` for what 64 bits hold and ``float`` for any finite number; ``None``;
        ``[shape]`` for a list of such; ``{"name": shape}`` for an object whose fields are such (further ones may be
        there, and one that is missing is ``None``), ``{str: shape}`` for one whose values all are; a tuple for one of
        several.

    Returns
    -------
    has
        Whether all of it is.

    Examples
    --------
    >>> has_shape({"path": "a", "sizes": [1]}, {"path": str, "sizes": [int], "note": (str, None)})
    True
    >>> has_shape([float("nan")], [float]), has_shape([True], [int]), has_shape({}, {"path": str})
    (False, False, False)
    """
    if isinstance(shape, tuple):
        return any(has_shape(value, one) for one in shape)
    if isinstance(shape, list):
        return isinstance(value, list) and all(has_shape(one, shape[0]) for one in value)
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return False
        if str in shape:
            return all(has_shape(one, shape[str]) for one in value.values())
        return all(has_shape(value.get(name), one) for name, one in shape.items())
    if shape is None:
        return value is None
    if shape is int:  # JSON's true is no 1
        return isinstance(value, int) and not isinstance(value, bool) and -_WIDEST <= value < _WIDEST
    if shape is float:  # and neither NaN nor a whole number of a thousand digits is a number to reckon with
        return isinstance(value, int | float) and not isinstance(value, bool) and -_LARGEST <= value <= _LARGEST
    return isinstance(value, shape)
