"""From the one-second series to how often each value stands in it: exact, and many times shorter."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ccp_assess.fleet.schema import MEASURES, STEP_10US, arrow_schema

_SUMS = ("packets", "lost", "late")
_Whole = npt.NDArray[np.int64]
_Counts = tuple[_Whole, _Whole]
"""Keys in rising order, and for each of them seconds, packets, lost and late."""

COLUMNS = ("client", "site_id", "day", "time", "direction", "region_code", *_SUMS, *MEASURES.values())
"""What of the series is needed."""

_US_PER_HOUR = 3_600_000_000
_BITS = 33
_LEAST = -(2**31)
_UNKNOWN = 2**31
"""Stands for a value that is not known, after all others."""


def count_values(parts: Iterable[Any]) -> dict[str, Any]:
    """Count equal values of received audio.

    Parameters
    ----------
    parts
        Tables of the one-second series with at least `COLUMNS`, all of one client, each of one site and day.

    Returns
    -------
    counts
        Tables ``site_counts`` and ``site_steps`` (part after part) and ``hour_counts``, the same for the same parts.
    """
    sites: list[tuple[dict[str, Any], Sequence[str | None], str, _Counts]] = []
    hours: dict[tuple[Any, Any, str], list[_Counts]] = defaultdict(list)
    for part in parts:
        if not part.num_rows:
            continue
        owner = {name: part[name][0].as_py() for name in ("client", "site_id", "day")}
        regions, by_measure = _count(part)
        for measure, (keys, sums) in by_measure.items():
            if len(keys):
                above, value = keys >> _BITS, keys & (2**_BITS - 1)
                by_region, by_hour = _key(above // 24, value), _key(above % 24, value)
                sites.append((owner, regions, measure, _added_up(by_region, sums)))
                hours[owner["client"], owner["day"], measure].append(_added_up(by_hour, sums))
    steps = [(*rest, _in_steps(counts)) for *rest, counts in sites]
    return {
        "site_counts": _site_table("site_counts", sites),
        "site_steps": _site_table("site_steps", steps),
        "hour_counts": _hour_table(hours),
    }


def _key(above: _Whole, value: _Whole) -> _Whole:
    return (above << _BITS) | value


def _count(part: Any) -> tuple[Sequence[str | None], dict[str, _Counts]]:
    """Count each measure of a part by Region and hour."""
    import pyarrow.compute as pc  # noqa: PLC0415 - a fifth of a second that only this work need pay

    rows = part.select(COLUMNS).filter(pc.not_equal(part["direction"].cast("string"), "out")).combine_chunks()
    words = rows["region_code"].combine_chunks().dictionary_encode()
    regions = [*words.dictionary.to_pylist(), None]
    region = words.indices.fill_null(len(words.dictionary)).to_numpy().astype(np.int64)
    hour = rows["time"].cast("int64").to_numpy() // _US_PER_HOUR % 24
    sums = np.ones((1 + len(_SUMS), len(rows)), np.int64)
    for number, name in enumerate(_SUMS, 1):
        sums[number] = rows[name].fill_null(0).to_numpy()
    counted = {}
    for measure, column in MEASURES.items():
        value = rows[column].cast("int64").fill_null(_UNKNOWN).to_numpy() - _LEAST
        keys = _key(region * 24 + hour, value)
        if measure == "jitter":
            counted[measure] = _added_up(keys, sums)
        else:
            known = value != _UNKNOWN - _LEAST
            counted[measure] = _added_up(keys[known], sums[:1, known])
    return regions, counted


def _added_up(keys: _Whole, sums: _Whole) -> _Counts:
    if not len(keys):
        return keys, sums
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    first = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    return ordered[first], np.add.reduceat(sums[:, order], first, axis=1)


def _in_steps(counts: _Counts) -> _Counts:
    keys, sums = counts
    value = (keys & (2**_BITS - 1)) + _LEAST
    step = np.where(value == _UNKNOWN, _UNKNOWN, np.trunc(value / STEP_10US).astype(np.int64))
    return _added_up(_key(keys >> _BITS, step - _LEAST), sums)


def _site_table(name: str, counted: Iterable[tuple[Any, ...]]) -> Any:
    import pyarrow as pa  # noqa: PLC0415 - see above

    tables = []
    for owner, regions, measure, (keys, sums) in counted:
        region = pa.array(regions, pa.string()).take(pa.array(keys >> _BITS))
        tables.append(_table(name, keys, sums, {**owner, "measure": measure, "region_code": region}))
    return pa.concat_tables([arrow_schema(name).empty_table(), *tables])


def _hour_table(counted: dict[tuple[Any, Any, str], list[_Counts]]) -> Any:
    import pyarrow as pa  # noqa: PLC0415 - see above

    tables = []
    for (client, day, measure), some in counted.items():
        keys, sums = _added_up(*(np.concatenate(arrays, axis=-1) for arrays in zip(*some, strict=True)))
        fixed = {"client": client, "day": day, "measure": measure, "hour_utc": pa.array(keys >> _BITS)}
        tables.append(_table("hour_counts", keys, sums, fixed))
    return pa.concat_tables([arrow_schema("hour_counts").empty_table(), *tables])


def _table(name: str, keys: _Whole, sums: _Whole, others: dict[str, Any]) -> Any:
    """Make one of the tables of counts; what is no column is the same in every row."""
    import pyarrow as pa  # noqa: PLC0415 - see above

    value = (keys & (2**_BITS - 1)) + _LEAST
    columns = {
        **others,
        "step" if name == "site_steps" else "value_10us": pa.array(value, mask=value == _UNKNOWN),
        "seconds": sums[0],
        **dict(zip(_SUMS, sums[1:] if len(sums) > 1 else [None] * len(_SUMS), strict=True)),
    }
    schema = arrow_schema(name)
    arrays = []
    for field in schema:
        column = columns[field.name]
        is_column = isinstance(column, np.ndarray | pa.Array)
        array = pa.array(column) if isinstance(column, np.ndarray) else column
        arrays.append(array.cast(field.type) if is_column else pa.repeat(pa.scalar(column, field.type), len(keys)))
    return pa.Table.from_arrays(arrays, schema=schema)
