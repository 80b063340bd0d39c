"""From the one-second series to how often each value stands in it: exact, and many times shorter."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ccp_assess.fleet.schema import MEASURES, arrow_schema

_SUMS = ("packets", "lost", "late")

COLUMNS = ("client", "site_id", "day", "time", "direction", "region_code", *_SUMS, *MEASURES.values())
"""What of the series is needed."""


def count_values(parts: Iterable[Any]) -> dict[str, Any]:
    """Count equal values of received audio.

    Parameters
    ----------
    parts
        Tables of the one-second series with at least `COLUMNS`, all of one client, each of one site and day.

    Returns
    -------
    counts
        Tables ``site_counts`` (part after part) and ``hour_counts``, the same for the same parts.
    """
    by_site: list[Any] = []
    by_hour: dict[str, list[Any]] = {measure: [] for measure in MEASURES}
    for part in parts:
        for measure in MEASURES:
            counted = _count(part, measure)
            if counted.num_rows:
                fixed = {"measure": measure, **{name: part[name][0] for name in ("client", "site_id", "day")}}
                by_site.append(_summed(counted, "site_counts", fixed))
                by_hour[measure].append(_summed(counted, "hour_counts", fixed))
    hours = [
        _summed(_together(some, "hour_counts"), "hour_counts", {"measure": measure, "client": some[0]["client"][0]})
        for measure, some in by_hour.items()
        if some
    ]
    return {"site_counts": _together(by_site, "site_counts"), "hour_counts": _together(hours, "hour_counts")}


def _count(part: Any, measure: str) -> Any:
    """Count one measure of a part by Region and hour."""
    import pyarrow as pa  # noqa: PLC0415 - a fifth of a second that only this work need pay
    import pyarrow.compute as pc  # noqa: PLC0415 - the same

    wanted = pc.not_equal(part["direction"], "out")
    if measure != "jitter":
        wanted = pc.and_(wanted, pc.is_valid(part[MEASURES[measure]]))
    rows = part.filter(wanted)
    columns = {
        "region_code": rows["region_code"],
        "hour_utc": pc.hour(rows["time"]),
        "value_10us": rows[MEASURES[measure]],
        "seconds": pa.repeat(pa.scalar(1, pa.int64()), len(rows)),
        **{name: rows[name] if measure == "jitter" else pa.nulls(len(rows), pa.int64()) for name in _SUMS},
    }
    return _added_up(pa.table(columns), ["region_code", "hour_utc", "value_10us"])


def _added_up(table: Any, keys: list[str]) -> Any:
    """Add up what is equal in the keys, in their order; what is unknown throughout stays so."""
    sums = ("seconds", *_SUMS)
    grouped = table.group_by(keys, use_threads=False).aggregate([(name, "sum") for name in sums])
    return grouped.rename_columns({f"{name}_sum": name for name in sums}).sort_by([(key, "ascending") for key in keys])


def _summed(counts: Any, name: str, fixed: dict[str, Any]) -> Any:
    """Make one of the tables of counts: added up by its columns, but for those that are the same throughout."""
    import pyarrow as pa  # noqa: PLC0415 - see above

    schema = arrow_schema(name)
    keys = [column for column in schema.names if column not in ("seconds", *_SUMS, *fixed)]
    summed = _added_up(counts, keys)
    columns = {column: summed[column] for column in summed.column_names}
    columns |= {column: pa.repeat(value, summed.num_rows) for column, value in fixed.items()}
    return pa.table([columns[column] for column in schema.names], names=schema.names).cast(schema)


def _together(tables: list[Any], name: str) -> Any:
    import pyarrow as pa  # noqa: PLC0415 - see above

    return pa.concat_tables(tables) if tables else arrow_schema(name).empty_table()
