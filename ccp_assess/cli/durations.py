"""Durations as people write them on a command line."""

from __future__ import annotations

import re

import typer

_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def seconds(text: str) -> float:
    """Read a duration such as ``90s``, ``5m``, ``8h`` or ``1h30m``; a bare number is seconds.

    Parameters
    ----------
    text
        As given.

    Returns
    -------
    duration_s
        Above zero [s].

    Examples
    --------
    >>> seconds("1h30m"), seconds("45")
    (5400.0, 45.0)
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text.strip().lower())
    whole = "".join(f"{number}{unit}" for number, unit in parts)
    total = sum(float(number) * _UNITS_S[unit or "s"] for number, unit in parts)
    if whole != re.sub(r"\s", "", text.strip().lower()) or total <= 0:
        raise typer.BadParameter(f"{text!r} is no duration; write it as in 90s, 5m, 8h or 1h30m")
    return total
