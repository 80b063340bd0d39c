"""Probe documents to rows: one per round and Region."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from ccp_assess.fleet.rows import instant_us


def _nearest_rank(values: list[float], share: float) -> float | None:
    """Nearest-rank percentile."""
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)] if values else None


def _numbers(values: Any) -> list[float]:
    rows = values if isinstance(values, list) else []
    return [float(v) for v in rows if isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v)]


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: Any) -> float | None:
    return next(iter(_numbers([value])), None)


def _whole(value: Any) -> int | None:
    number = _number(value)
    return None if number is None or abs(number) > 2**53 else int(number)


def probe_rows(document: dict[str, Any], source: str) -> list[dict[str, Any]]:
    """Make the rows of one round.

    Parameters
    ----------
    document
        A probe document; values of the wrong type are taken as unknown.
    source
        File that held it.

    Returns
    -------
    rows
        One per Region.
    """
    return [_row(document, _dict(region), source) for region in document["regions"]]


def _row(document: dict[str, Any], region: dict[str, Any], source: str) -> dict[str, Any]:
    relay, train, path = _dict(region.get("relay")), _dict(region.get("train")), _dict(region.get("path"))
    trips = _numbers(region.get("rtt_ms")) or _numbers(relay.get("binding_rtt_ms"))
    hops: Iterable[Any] = path["hops"] if isinstance(path.get("hops"), list) else ()
    asns = (_whole(_dict(hop).get("asn")) for hop in hops)
    found = region.get("diagnosis")
    codes = [_text(_dict(one).get("code")) for one in found] if isinstance(found, list) else []
    return {
        "time": utc_text(document.get("time")),
        "region_code": _text(region.get("region_code")),
        "via": _text(region.get("via")),
        # Some tools tell sums only: their mean stands for the median (as everywhere else), with no single trips.
        "rtt_p50_ms": _nearest_rank(trips, 0.5) if trips else _number(region.get("rtt_p50_ms")),
        "rtt_p95_ms": _nearest_rank(trips, 0.95) if trips else _number(region.get("rtt_p95_ms")),
        "rtt_n": len(trips),
        "loss_pct": _number(train.get("loss_pct")),
        "jitter_ms": _number(train.get("jitter_ms")),
        "relay_host": _text(relay.get("host")),
        "allocate": _text(relay.get("allocate")),
        "hop_count": _whole(path.get("hop_count")),
        "provider_asn": next((asn for asn in asns if asn), None),
        "codes": ", ".join(sorted(code for code in codes if code)),
        "vantage": _text(_dict(document.get("host")).get("vantage")),
        "source": source,
    }


def utc_text(value: Any) -> str | None:
    """Write an instant with any offset as UTC; ``None`` where it is none.

    Parameters
    ----------
    value
        From a document.

    Returns
    -------
    text
        RFC 3339 with ``Z``.

    Examples
    --------
    >>> utc_text("2026-11-23T10:00:00+02:00")
    '2026-11-23T08:00:00.000000Z'
    """
    from datetime import UTC, datetime  # noqa: PLC0415 - beside its one use

    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value)
        text = time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        instant_us(text)
    except (ValueError, OverflowError):
        return None
    return text
