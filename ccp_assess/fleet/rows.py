"""From what one process found to rows of the fleet's tables; the same input gives the same bytes."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from ccp_assess.assess.capturerows import all_seconds, round_trips_by_second, table_columns
from ccp_assess.fleet.schema import KEY, NO_DAY, ROW_INSTANT, TABLES, arrow_schema
from ccp_assess.memory import collector_at_rest

if TYPE_CHECKING:
    from ccp_assess.assess.captures import CaptureAssessment

ROW_GROUP_ROWS = 131_072
_US_PER_DAY = 86_400_000_000
_NO_DAY = (date.fromisoformat(NO_DAY) - date(1970, 1, 1)).days
_UNITS_PER_MS = 100.0
_LARGEST = 2**31 - 1

_WITH_PATHS = (("findings", "text"), ("findings", "evidence"), ("captures", "path"), ("captures", "ended_early"))

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


@collector_at_rest()
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
    columns = {name: table_columns(assessment, name) for name in ("calls", "streams", "endpoints")}
    captures = assessment.scan.captures
    begin_ns = min((capture.first_ns for capture in captures if capture.first_ns is not None), default=None)
    started = dict(zip(columns["calls"]["call_id"], columns["calls"]["start_time"], strict=True))
    findings = assessment.rows("findings")
    columns["findings"] = {
        "time": [started.get(row["call_id"], begin_ns) for row in findings],
        **{name: [row[name] for row in findings] for name in ("call_id", "code", "severity", "text")},
        "evidence": [json.dumps(row["evidence"], sort_keys=True, default=str) for row in findings],
    }
    columns["captures"] = {
        "first_time": [capture.first_ns for capture in captures],
        "last_time": [capture.last_ns for capture in captures],
        **{
            name: [getattr(capture, name) for capture in captures]
            for name in ("path", "format", "packets", "bytes", "snaplen_cut", "ended_early")
        },
    }
    for name, key in _WITH_PATHS if root else ():
        columns[name][key] = [value and value.replace(root, "") for value in columns[name][key]]
    tables = {}
    for name, own in columns.items():
        for column, kind in TABLES[name].items():
            if kind == "instant":
                own[column] = [None if time_ns is None else time_ns // 1_000 for time_ns in own[column]]
        rows = len(next(iter(own.values())))
        tables[name] = _table(name, own, [client] * rows, [site_id] * rows)
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
    columns: dict[str, list[Any]] = {}
    for name, kind in TABLES[table].items():
        if name not in KEY:
            values = [row.get(name) for row in rows]
            columns[name] = [instant_us(value) for value in values] if kind == "instant" else values
    return _table(table, columns, [client] * len(rows), [row.get("site_id", site_id) for row in rows])


def _table(table: str, columns: dict[str, list[Any]], clients: list[str], sites: list[str]) -> Any:
    """Make one table of columns; instants in microseconds."""
    import pyarrow as pa  # noqa: PLC0415 - a fifth of a second that only this work need pay

    schema = arrow_schema(table)
    instant = ROW_INSTANT[table]
    days = [_NO_DAY if time_us is None else time_us // _US_PER_DAY for time_us in columns[instant]] if instant else []
    whole = columns | {"client": clients, "site_id": sites, "day": days or [_NO_DAY] * len(clients)}
    return pa.Table.from_arrays([_array(whole[field.name], field.type) for field in schema], schema=schema)


def _array(values: list[Any], kind: Any) -> Any:
    """Make a column; halves of characters, which JSON and names of files may hold and no table does, are escaped."""
    import pyarrow as pa  # noqa: PLC0415 - see above

    try:
        return pa.array(values, type=kind)
    except UnicodeEncodeError:
        escaped = [value and value.encode("utf-8", "backslashreplace").decode("utf-8") for value in values]
        return pa.array(escaped, type=kind)


def _seconds(assessment: CaptureAssessment, client: str, site_id: str) -> Any:
    import pyarrow as pa  # noqa: PLC0415 - see above

    schema = arrow_schema("seconds", encoded=True)
    rows, which = all_seconds(assessment)
    if not len(rows):
        return schema.empty_table()
    streams = assessment.streams
    ids = assessment.call_ids
    regions = {entry.call.call_id: entry.region_code for entry in assessment.calls}
    call_ids = [ids.get(number) for number in range(len(streams))]
    relay, media = round_trips_by_second(assessment, rows["time_ns"], which)

    def words(values: Iterable[str | None]) -> Any:
        of_stream = pa.array(list(values), pa.string()).dictionary_encode()
        return of_stream.take(pa.array(which))

    time_us = rows["time_ns"] // 1_000
    columns = {
        "client": words([client] * len(streams)),
        "site_id": words([site_id] * len(streams)),
        "day": pa.array((time_us // _US_PER_DAY).astype(np.int32)).cast(pa.date32()),
        "time": pa.array(time_us).cast(pa.timestamp("us")),
        "call_id": words(call_ids),
        "ssrc": words(f"0x{stream.ssrc:08x}" for stream in streams),
        "direction": words(stream.direction for stream in streams),
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
        days = sorted(pc.unique(table["day"]).to_pylist())
        for day in days:
            rows = table if len(days) == 1 else table.filter(pc.equal(table["day"], day))
            parts[name, day.isoformat()] = parquet_bytes(rows)
    return parts


def parquet_writer(sink: Any, schema: Any) -> Any:
    """Open a Parquet file for writing: fixed settings and no clock, so that the same rows are the same bytes.

    The file tells the types of Parquet alone, so that texts are texts whichever way they stood in memory.
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
        store_schema=False,
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
