"""Durations as people write them on a command line."""

from __future__ import annotations

import re

import typer

from ccp_assess.errors import quoted

_UNITS_S = {"ms": 0.001, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_PART = rf"(\d+(?:\.\d+)?)\s*({'|'.join(_UNITS_S)})"
_LONGEST_S = 10 * 366 * 86_400.0
"""Nobody measures for longer, and the system's timers count no further than a few times that."""


def seconds(text: str, option: str | None = None) -> float:
    """Read a duration such as ``90s``, ``5m``, ``8h`` or ``1h30m``; a bare number is seconds.

    Parameters
    ----------
    text
        As given.
    option
        Which it was given to, for the message.

    Returns
    -------
    duration_s
        Above zero [s].

    Raises
    ------
    typer.BadParameter
        If it is none: also where a number without its unit stands among others, since ``1h30`` may mean minutes.

    Examples
    --------
    >>> seconds("1h30m"), seconds("45")
    (5400.0, 45.0)
    """
    written = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", written):
        written += "s"
    parts = re.findall(_PART, written) if re.fullmatch(rf"({_PART}\s*)+", written) else []
    total = sum(float(number) * _UNITS_S[unit] for number, unit in parts)
    if not 0 < total <= _LONGEST_S:
        raise typer.BadParameter(
            f"{quoted(text)} is no duration; write it as in 90s, 5m, 8h or 1h30m", param_hint=option
        )
    return total
