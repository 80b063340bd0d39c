"""The tables of many sites: columns, types and units, declared once for who writes and who reads.

Every table begins with ``client``, ``site_id`` and ``day``, the three that the dataset is divided by. Instants are UTC
with microseconds. Times of the one-second series are integers of 10 µs, so that exact quantiles come from counting
values.
"""

from __future__ import annotations

from typing import Any

from ccp_assess.assess.capturerows import SCHEMAS

KEY = {"client": "text", "site_id": "text", "day": "day"}

SECONDS = {
    "time": "instant",
    "call_id": "text",
    "ssrc": "text",
    "direction": "text",
    "region_code": "text",
    "packets": "small",
    "lost": "small",
    "late": "small",
    "bytes": "small",
    "jitter_10us": "small",
    "ipdv_10us": "small",
    "longest_gap_10us": "small",
    "rtt_relay_10us": "small",
    "rtt_media_10us": "small",
}
"""One row per second and stream; the unit of the last five is 10 µs (0.01 ms)."""

TABLES: dict[str, dict[str, str]] = {
    "calls": KEY | SCHEMAS["calls"],
    "streams": KEY | SCHEMAS["streams"],
    "seconds": KEY | SECONDS,
    "endpoints": KEY | SCHEMAS["endpoints"],
    "findings": KEY
    | {"time": "instant", "call_id": "text", "code": "text", "severity": "text", "text": "text", "evidence": "text"},
    "captures": KEY
    | {
        "path": "text", "format": "text", "packets": "integer", "bytes": "integer",
        "first_time": "instant", "last_time": "instant", "snaplen_cut": "integer", "ended_early": "text",
    },
    "probes": KEY
    | {
        "time": "instant", "region_code": "text", "via": "text", "rtt_p50_ms": "number", "rtt_p95_ms": "number",
        "rtt_n": "integer", "loss_pct": "number", "jitter_ms": "number", "relay_host": "text", "allocate": "text",
        "hop_count": "integer", "provider_asn": "integer", "codes": "text", "vantage": "text", "source": "text",
    },
    "sites": KEY
    | {
        "name": "text", "place": "text", "country": "text", "agents": "integer", "access": "text", "provider": "text",
    },
}  # fmt: skip
"""Table → column → kind."""

COUNTS: dict[str, dict[str, str]] = {
    "site_counts": KEY
    | {
        "region_code": "text", "measure": "text", "value_10us": "small",
        "seconds": "integer", "packets": "integer", "lost": "integer", "late": "integer",
    },
    "site_steps": KEY
    | {
        "region_code": "text", "measure": "text", "step": "small",
        "seconds": "integer", "packets": "integer", "lost": "integer", "late": "integer",
    },
    "hour_counts": {
        "client": "text", "day": "day", "hour_utc": "small", "measure": "text", "value_10us": "small",
        "seconds": "integer", "packets": "integer", "lost": "integer", "late": "integer",
    },
}  # fmt: skip
"""How often each value stands in the one-second series of received audio, by site and by hour.

Whatever needs the order of the values alone, such as an exact percentile, needs no more than this, and it is many
times shorter. ``measure`` is a key of `MEASURES`; ``packets``, ``lost`` and ``late`` are sums, beside jitter only, so
that none is counted twice. Rows with the same value may be many: add up ``seconds``.
"""

STEP_10US = 32
"""Values from one step to the next: ``step`` is the value divided by this, rounded towards zero [10 µs]."""

MEASURES = {"jitter": "jitter_10us", "rtt_media": "rtt_media_10us", "rtt_relay": "rtt_relay_10us"}
"""What is counted → its column of the one-second series; of the round trips only those that are known."""

ROW_INSTANT = {
    "calls": "start_time",
    "streams": "first_time",
    "seconds": "time",
    "endpoints": "first_time",
    "findings": "time",
    "captures": "first_time",
    "probes": "time",
    "sites": None,
}
"""The column whose UTC date is the day of a row."""

NO_DAY = "1970-01-01"
"""Day of rows without a time."""


def arrow_schema(table: str, *, encoded: bool = False) -> Any:
    """Return the declared schema of a table.

    Parameters
    ----------
    table
        A key of `TABLES` or `COUNTS`.
    encoded
        Whether texts stand as numbers of words, as they do in Parquet: read in half the time.

    Returns
    -------
    schema
        Of pyarrow.
    """
    import pyarrow as pa  # noqa: PLC0415 - a fifth of a second that only this work need pay

    types = {
        "text": pa.dictionary(pa.int32(), pa.string()) if encoded else pa.string(),
        "integer": pa.int64(),
        "small": pa.int32(),
        "number": pa.float64(),
        "flag": pa.bool_(),
        "instant": pa.timestamp("us"),
        "day": pa.date32(),
    }
    return pa.schema([(name, types[kind]) for name, kind in (TABLES | COUNTS)[table].items()])
