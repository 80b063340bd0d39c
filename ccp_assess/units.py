"""Conversions, instants and physical constants, each with its source."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

Basis = Literal["measured", "modelled", "assumed"]
"""How a number is known: observed by a witness, computed from a fitted model, or taken as given."""

Severity = Literal["info", "warning", "critical"]
"""How much a finding matters."""

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000


def rounded(value: float | None, digits: int = 4) -> float | None:
    """Round a number that may be unknown.

    Parameters
    ----------
    value
        The number; ``None`` stays unknown.
    digits
        Digits after the point (count).

    Returns
    -------
    value
        Rounded.

    Examples
    --------
    >>> rounded(1.23456), rounded(None)
    (1.2346, None)
    """
    return None if value is None else round(value, digits)


def ms_from_ns(duration_ns: int) -> float:
    """Convert nanoseconds to milliseconds.

    Parameters
    ----------
    duration_ns
        A duration [ns].

    Returns
    -------
    duration_ms
        The same duration [ms].

    Examples
    --------
    >>> ms_from_ns(20_000_000)
    20.0
    """
    return duration_ns / NS_PER_MS


def rfc3339_from_ns(time_ns: int) -> str:
    """Write an instant as RFC 3339 in UTC with nanosecond resolution and no superfluous zeros.

    Parameters
    ----------
    time_ns
        Instant since 1970-01-01T00:00:00Z [ns].

    Returns
    -------
    text
        Such as ``2026-11-22T23:06:38.010600123Z``.

    Examples
    --------
    >>> rfc3339_from_ns(1_500_000_000_250_000_000)
    '2017-07-14T02:40:00.25Z'
    """
    seconds, nanoseconds = divmod(time_ns, NS_PER_S)
    base = _second_text(seconds)
    if base is None:
        return f"@{seconds}.{nanoseconds:09d}Z"
    fraction = f".{nanoseconds:09d}".rstrip("0") if nanoseconds else ""
    return f"{base}{fraction}Z"


@lru_cache(maxsize=4_096)
def _second_text(seconds: int) -> str | None:
    """Write a whole second; ``None`` for a clock beyond year 9999, whose number stays readable instead."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"
    except (OverflowError, OSError, ValueError):
        return None
