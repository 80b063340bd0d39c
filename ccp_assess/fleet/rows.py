"""From what one process found to rows of the fleet's tables; the same input gives the same bytes."""

from __future__ import annotations

import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from ccp_assess.fleet.schema import KEY, NO_DAY, ROW_INSTANT, TABLES, arrow_schema
from ccp_assess.units import NS_PER_S

if TYPE_CHECKING:
    from ccp_assess.assess.captures import CaptureAssessment

ROW_GROUP_ROWS = 131_072
_US_PER_DAY = 86_400_000_000
_UNITS_PER_MS = 100.0
_LARGEST = 2**31 - 1

Parts = dict[tuple[str, str], bytes]
"""Table and day → a Parquet file."""


def instant_us(text: str | None) -> int | None:
    """Read an instant of the contract's documents.

    Parameters
    ----------
    text
        RFC 3339; ``None`` stays ``None``.

    Returns
    -------
    time_us
        Since 1970, UTC; ``None`` where no calendar holds it [µs].
    """
    if text is None or text.startswith("@"):
        return None
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return int(datetime.fromisoformat(whole + "+00:00").timestamp()) * 1_000_000 + int((fraction + "000000")[:6])


def tables_of_captures(assessment: CaptureAssessment, client: str, site_id: str, *, root: str = "") -> dict[str, Any]:
    """Make the tables of a unit of captures.

    Parameters
    ----------
    assessment
        Of the unit.
    client, site_id
        Whose it is.
    root
        Folder that paths in sentences begin with here and nowhere else; it is left out.

    Returns
    -------
    tables
        Table → arrow table with the declared schema, sorted.
    """
    rows: dict[str, list[dict[str, Any]]] = {name: assessment.rows(name) for name in ("calls", "streams", "endpoints")}
    started = {row["call_id"]: row["start_time"] for row in rows["calls"]}
    rows["captures"] = assessment.to_document(with_transactions=False)["captures"]
    begin = min((row["first_time"] for row in rows["captures"] if row["first_time"]), default=None)
    rows["findings"] = [
        {
            "time": started.get(row["call_id"], begin),
            "call_id": row["call_id"],
            "code": row["code"],
            "severity": row["severity"],
            "text": row["text"],
            "evidence": json.dumps(row["evidence"], sort_keys=True, default=str),
        }
        for row in assessment.rows("findings")
    ]
    if root:
        for name in ("captures", "findings"):
            rows[name] = [
                {key: value.replace(root, "") if isinstance(value, str) else value for key, value in row.items()}
                for row in rows[name]
            ]
    tables = {name: table_of_rows(name, part, client, site_id) for name, part in rows.items()}
    tables["seconds"] = _seconds(assessment, client, site_id)
    return tables


def table_of_rows(table: str, rows: Sequence[dict[str, Any]], client: str, site_id: str) -> Any:
    """Make one table of plain rows.

    Parameters
    ----------
    table
        A key of ``TABLES``.
    rows
        With the names of its columns; instants as text of RFC 3339.
    client, site_id
        Whose they are; a row that names its own site belongs to that.

    Returns
    -------
    table
        With the declared schema, in order of day.
    """
    import pyarrow as pa  # noqa: PLC0415 - a fifth of a second that only this work need pay

    schema = arrow_schema(table)
    columns: dict[str, list[Any]] = {
        "client": [client] * len(rows),
        "site_id": [row.get("site_id", site_id) for row in rows],
    }
    for name, kind in TABLES[table].items():
        if name not in KEY:
            values = [row.get(name) for row in rows]
            columns[name] = [instant_us(value) for value in values] if kind == "instant" else values
    instant = ROW_INSTANT[table]
    columns["day"] = [_day(value) for value in (columns[instant] if instant else [None] * len(rows))]
    arrays = [pa.array(columns[field.name], type=field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _day(time_us: int | None) -> date:
    if time_us is None:
        return date.fromisoformat(NO_DAY)
    return datetime.fromtimestamp(time_us / 1e6, UTC).date()


def _seconds(assessment: CaptureAssessment, client: str, site_id: str) -> Any:
    import pyarrow as pa  # noqa: PLC0415 - see above

    schema = arrow_schema("seconds")
    streams = [(number, stream) for number, stream in enumerate(assessment.streams) if len(stream.seconds)]
    if not streams:
        return schema.empty_table()
    rows = np.concatenate([stream.seconds for _, stream in streams])
    lengths = [len(stream.seconds) for _, stream in streams]
    which = np.repeat(np.arange(len(streams)), lengths)
    ids = assessment.call_ids
    regions = {entry.call.call_id: entry.region_code for entry in assessment.calls}
    call_ids = [ids.get(number) for number, _ in streams]
    relay, media = _trips(assessment, rows["time_ns"], which, call_ids)

    def words(values: Iterable[str | None]) -> Any:
        return pa.DictionaryArray.from_arrays(which.astype(np.int32), pa.array(list(values), pa.string())).cast(
            pa.string()
        )

    time_us = rows["time_ns"] // 1_000
    columns = {
        "client": pa.repeat(pa.scalar(client), len(rows)),
        "site_id": pa.repeat(pa.scalar(site_id), len(rows)),
        "day": pa.array((time_us // _US_PER_DAY).astype(np.int32)).cast(pa.date32()),
        "time": pa.array(time_us).cast(pa.timestamp("us")),
        "call_id": words(call_ids),
        "ssrc": words(f"0x{stream.ssrc:08x}" for _, stream in streams),
        "direction": words(stream.direction for _, stream in streams),
        "region_code": words(regions.get(call_id) if call_id else None for call_id in call_ids),
        "rtt_relay_10us": _tens(relay),
        "rtt_media_10us": _tens(media),
    }
    for name in ("packets", "lost", "late", "bytes"):
        columns[name] = pa.array(np.minimum(rows[name], _LARGEST).astype(np.int32))
    for name in ("jitter", "ipdv", "longest_gap"):
        columns[f"{name}_10us"] = _tens(rows[f"{name}_ms"].astype(np.float64))
    table = pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)
    order = np.lexsort((which, rows["time_ns"]))
    return table.take(pa.array(order))


def _tens(values_ms: Any) -> Any:
    """Write milliseconds as integers of 10 µs; what is unknown stays so."""
    import pyarrow as pa  # noqa: PLC0415 - see above

    unknown = ~np.isfinite(values_ms)
    whole = np.rint(np.where(unknown, 0.0, values_ms) * _UNITS_PER_MS)
    return pa.array(np.clip(whole, -_LARGEST, _LARGEST).astype(np.int32), mask=unknown)


def _trips(assessment: CaptureAssessment, times_ns: Any, which: Any, call_ids: Sequence[str | None]) -> tuple[Any, Any]:
    """Mean round trip of each second of a call, to the relay and to the media server [ms]."""
    found = (np.full(len(times_ns), np.nan), np.full(len(times_ns), np.nan))
    by_call: dict[str, list[int]] = defaultdict(list)
    for number, call_id in enumerate(call_ids):
        if call_id is not None:
            by_call[call_id].append(number)
    starts = np.searchsorted(which, np.arange(len(call_ids) + 1))
    transactions = assessment.transactions
    for entry in assessment.calls:
        for level, numbers in enumerate((entry.call.relay_rows, entry.call.media_rows)):
            mine = transactions[np.asarray(numbers, np.int64)]
            mine = mine[np.isfinite(mine["rtt_ms"])]
            if not len(mine):
                continue
            seconds, inverse = np.unique(mine["time_ns"] // NS_PER_S, return_inverse=True)
            means = np.bincount(inverse, mine["rtt_ms"]) / np.bincount(inverse)
            for stream in by_call[entry.call.call_id]:
                part = slice(starts[stream], starts[stream + 1])
                own = times_ns[part] // NS_PER_S
                at = np.minimum(np.searchsorted(seconds, own), len(seconds) - 1)
                found[level][part] = np.where(seconds[at] == own, means[at], np.nan)
    return found


def parts_by_day(tables: dict[str, Any]) -> Parts:
    """Divide tables by day and write each part as Parquet.

    Parameters
    ----------
    tables
        Table → arrow table.

    Returns
    -------
    parts
        Those with rows.
    """
    import pyarrow.compute as pc  # noqa: PLC0415 - see above

    parts: Parts = {}
    for name, table in sorted(tables.items()):
        for day in sorted(pc.unique(table["day"]).to_pylist()):
            rows = table.filter(pc.equal(table["day"], day))
            parts[name, day.isoformat()] = parquet_bytes(rows)
    return parts


def parquet_writer(sink: Any, schema: Any) -> Any:
    """Open a Parquet file for writing: fixed settings and no clock, so that the same rows are the same bytes.

    Instants are written as differences, which are short where rows are in order of time.

    Parameters
    ----------
    sink
        To write to.
    schema
        Of pyarrow.

    Returns
    -------
    writer
        Of pyarrow; a context.
    """
    import pyarrow as pa  # noqa: PLC0415 - see above
    import pyarrow.parquet as pq  # noqa: PLC0415 - see above

    instants = [field.name for field in schema if pa.types.is_timestamp(field.type)]
    return pq.ParquetWriter(
        sink,
        schema,
        version="2.6",
        compression="zstd",
        compression_level=1,
        use_dictionary=[name for name in schema.names if name not in instants],
        column_encoding=dict.fromkeys(instants, "DELTA_BINARY_PACKED"),
    )


def parquet_bytes(table: Any) -> bytes:
    """Write a table as Parquet.

    Parameters
    ----------
    table
        Of pyarrow.

    Returns
    -------
    data
        A whole file.
    """
    sink = io.BytesIO()
    with parquet_writer(sink, table.schema) as writer:
        writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
    return sink.getvalue()


def sha256_of(data: bytes) -> str:
    """Return the SHA-256 of some bytes as hexadecimal text."""
    return hashlib.sha256(data).hexdigest()
