"""Many small parts into few files, and counts beside them, so that questions about all sites open and count little.

``merged/TABLE/client=…/KEY.parquet`` holds the rows of many parts again, and ``merged/site_counts/…``,
``merged/hour_counts/…`` what their one-second series adds up to. KEY is a hash of what went in; nothing in it was not
in the parts. ``index.json`` names these files and the records of which all of it was made: who opens the dataset holds
that against the records that are there, so that an index that is old can cost time, never a wrong answer.
"""

from __future__ import annotations

import io
import json
import time
from asyncio import CancelledError
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from ccp_assess.errors import CcpAssessError, first_line
from ccp_assess.fleet.counting import COLUMNS, count_values
from ccp_assess.fleet.dataset import FORMAT, Dataset, json_bytes
from ccp_assess.fleet.needs import FleetError, need
from ccp_assess.fleet.rows import ROW_GROUP_ROWS, parquet_bytes, parquet_writer, sha256_of
from ccp_assess.fleet.schema import TABLES, arrow_schema
from ccp_assess.fleet.sources import open_place
from ccp_assess.shapes import has_shape, parse_json

BATCH_BYTES = 64 << 20
"""Parts of a month are merged up to this size, else those of a day; a larger part stays by itself."""

INDEX = "index.json"
INDEX_FORMAT = f"{FORMAT}.2"
"""Of what is merged and counted; another one is made anew of the parts."""

FOLDER = "merged"
_INDEX: dict[str, Any] = {
    "format": str,
    "units": str,
    "entries": [
        {
            "key": str,
            "table": str,
            "read": {str: [str]},
            "files": [{"path": str, "bytes": int, "sha256": str}],
        }
    ],
}
_PATIENCE_S = 120.0


@dataclass(frozen=True)
class Batch:
    """Parts of one table and client that are merged into one file.

    Parameters
    ----------
    table
        Which.
    client
        As it stands in the paths.
    parts
        Path, size [bytes] and SHA-256 of each, by day and path.
    """

    table: str
    client: str
    parts: tuple[tuple[str, int, str], ...]

    @cached_property
    def key(self) -> str:
        """Name: a hash of what it is made of."""
        text = json.dumps([INDEX_FORMAT, self.table, [(path, digest) for path, _, digest in self.parts]])
        return sha256_of(text.encode("utf-8"))[:24]

    @property
    def bytes(self) -> int:
        """All its parts [bytes]."""
        return sum(size for _, size, _ in self.parts)

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing to do: one part, and nothing to count."""
        return len(self.parts) == 1 and self.table != "seconds"

    def path(self, table: str) -> str:
        """Name what is made of it."""
        return f"{FOLDER}/{table}/{self.client}/{self.key}.parquet"

    def as_parts(self) -> dict[str, Any]:
        """Return an entry of the index that names the parts themselves."""
        paths = [path for path, _, _ in self.parts]
        return {"key": self.key, "table": self.table, "read": {self.table: paths}, "files": []}

    def to_document(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def batches(records: Iterable[dict[str, Any]]) -> list[Batch]:
    """Divide all parts of a dataset into batches, the same for the same parts.

    Parameters
    ----------
    records
        Of all units.

    Returns
    -------
    batches
        Each part is in exactly one; by table, client and day.
    """
    months: dict[tuple[str, str, str], list[tuple[str, str, int, str]]] = defaultdict(list)
    for record in records:
        for part in record["parts"]:
            table, client, _, day, _ = part["path"].split("/")
            months[table, client, day[: len("day=2026-01")]].append((day, part["path"], part["bytes"], part["sha256"]))
    found = []
    for (table, client, _), members in sorted(months.items()):
        by_day = sum(size for _, _, size, _ in members) > BATCH_BYTES
        group: list[tuple[str, int, str]] = []
        group_day, group_bytes = "", 0
        for day, path, size, digest in sorted(members):
            if group and ((by_day and day != group_day) or group_bytes + size > BATCH_BYTES):
                found.append(Batch(table, client, tuple(group)))
                group, group_bytes = [], 0
            group.append((path, size, digest))
            group_day, group_bytes = day, group_bytes + size
        found.append(Batch(table, client, tuple(group)))
    return found


def merge_batch(document: dict[str, Any], dest_url: str) -> dict[str, Any]:
    """Merge the parts of a batch, and count the values of the one-second series.

    Parameters
    ----------
    document
        ``Batch.to_document``.
    dest_url
        Where the dataset lies.

    Returns
    -------
    entry
        For the index: ``key``, ``table``, ``read`` (table → files that hold its rows), ``files`` (what was written).

    Raises
    ------
    FleetError
        If a part is not what its record says.
    """
    batch = Batch(document["table"], document["client"], tuple(tuple(part) for part in document["parts"]))
    dataset = Dataset(open_place(dest_url))
    is_counted, is_merged = batch.table == "seconds", len(batch.parts) > 1
    tables = _tables(batch, dataset, None if is_merged else COLUMNS)
    sink = io.BytesIO()
    if is_merged:
        tables = _written(tables, arrow_schema(batch.table, encoded=True), sink)
    counts = count_values(tables) if is_counted else {}
    for _ in tables:
        pass
    made = {name: parquet_bytes(table) for name, table in counts.items()}
    if is_merged:
        made[batch.table] = sink.getvalue()
    entry = batch.as_parts()
    for table, data in made.items():
        path = batch.path(table)
        dataset.put(path, data)
        entry["read"][table] = [path]
        entry["files"].append({"path": path, "bytes": len(data), "sha256": sha256_of(data)})
    return entry


def _tables(batch: Batch, dataset: Dataset, columns: tuple[str, ...] | None = None) -> Iterator[Any]:
    import pyarrow as pa  # noqa: PLC0415 - a fifth of a second that only this work need pay
    import pyarrow.parquet as pq  # noqa: PLC0415 - the same

    digests = {path: digest for path, _, digest in batch.parts}
    texts = [name for name, kind in TABLES[batch.table].items() if kind == "text"]
    for path, data in dataset.get_many(list(digests)):
        if data is None or sha256_of(data) != digests[path]:
            raise FleetError(f"{path} is not what was written; remove it and its record in units/, and run again")
        yield pq.ParquetFile(pa.BufferReader(data), read_dictionary=texts).read(columns, use_threads=False)


def _written(tables: Iterable[Any], schema: Any, sink: io.BytesIO) -> Iterator[Any]:
    """Pass tables on, and write their rows after each other in row groups of a good size."""
    with parquet_writer(sink, schema) as writer:
        waiting: list[Any] = []
        for table in tables:
            waiting.append(table)
            if sum(table.num_rows for table in waiting) >= ROW_GROUP_ROWS:
                writer.write_table(_joined(waiting), row_group_size=ROW_GROUP_ROWS)
                waiting = []
            yield table
        if waiting:
            writer.write_table(_joined(waiting), row_group_size=ROW_GROUP_ROWS)


def _joined(tables: list[Any]) -> Any:
    import pyarrow as pa  # noqa: PLC0415 - see above

    return pa.concat_tables(tables).unify_dictionaries()


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """What is merged, and of which records.

    Parameters
    ----------
    units
        Fingerprint of the records (`Dataset.fingerprint`); ``None`` where there is no index.
    entries
        As `merge_batch` gave them, by key.
    """

    units: str | None
    entries: dict[str, dict[str, Any]]


def read_index(dataset: Dataset) -> Index:
    """Read the index of a dataset.

    Parameters
    ----------
    dataset
        Where.

    Returns
    -------
    index
        Empty where there is none, or none that can be read.
    """
    try:
        found = parse_json(dataset.get(INDEX) or b"{}")
    except ValueError:
        found = {}
    if not has_shape(found, _INDEX) or found["format"] != INDEX_FORMAT:
        return Index(units=None, entries={})
    entries = {entry["key"]: entry for entry in found["entries"] if entry["table"] in entry["read"]}
    return Index(units=found["units"], entries=entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Merging:
    """What is to be merged.

    Parameters
    ----------
    kept
        Entries of batches that are as they were.
    pending
        The others, the largest first.
    """

    kept: list[dict[str, Any]]
    pending: list[Batch]


def plan_merging(dataset: Dataset, records: Iterable[dict[str, Any]]) -> Merging:
    """Hold what is merged against the records.

    Parameters
    ----------
    dataset
        Where.
    records
        Of all units.

    Returns
    -------
    merging
        What is to do.
    """
    index = read_index(dataset)
    listed = {path: file.size for path, file in dataset.listed(FOLDER).items()}
    kept, pending = [], []
    for batch in batches(records):
        files = index.entries.get(batch.key, batch.as_parts())["files"]
        if batch.is_plain:
            kept.append(batch.as_parts())
        elif files and all(listed.get(file["path"]) == file["bytes"] for file in files):
            kept.append(index.entries[batch.key])
        else:
            pending.append(batch)
    pending.sort(key=lambda batch: (-batch.bytes, batch.key))
    return Merging(kept=kept, pending=pending)


def merge_all(
    dataset: Dataset, records: Iterable[dict[str, Any]], client: Any = None, check: Callable[[], None] | None = None
) -> list[dict[str, Any]]:
    """Merge what is not merged yet, and write the index.

    Parameters
    ----------
    dataset
        Where.
    records
        Of all units.
    client
        Of Dask, to let its workers do it; ``None`` to do it here.
    check
        Called now and then; it raises where the work must end.

    Returns
    -------
    failed
        What could not be merged: ``paths`` of its parts and ``reason``. It is read part by part until the next run.
    """
    kept = list(records)
    merging = plan_merging(dataset, kept)
    entries, failed = list(merging.kept), []
    merged = _here(dataset, merging.pending) if client is None else _on_workers(client, dataset, merging.pending)
    for batch, result in merged:
        if check is not None:
            check()
        if isinstance(result, BaseException):
            failed.append({"paths": [path for path, _, _ in batch.parts], "reason": first_line(result)})
            entries.append(batch.as_parts())
        elif result is not None:
            entries.append(result)
    write_index(dataset, kept, entries)
    return failed


_Merged = Iterator[tuple[Batch, dict[str, Any] | BaseException | None]]


def _here(dataset: Dataset, pending: list[Batch]) -> _Merged:
    for batch in pending:
        try:
            yield batch, merge_batch(batch.to_document(), dataset.place.url)
        except (CcpAssessError, OSError) as error:
            yield batch, error


def _on_workers(client: Any, dataset: Dataset, pending: list[Batch]) -> _Merged:
    """Hand all out and give what comes back; ``None`` while nothing does, and after a while do it here."""
    distributed = need("distributed")
    heard = time.monotonic()
    running = {
        client.submit(merge_batch, batch.to_document(), dataset.place.url, key=f"merge-{batch.key}", pure=False): batch
        for batch in pending
    }
    while running:
        with suppress(TimeoutError, CancelledError, distributed.comm.CommClosedError), client.as_current():
            distributed.wait(list(running), timeout=0.5, return_when="FIRST_COMPLETED")
        done = [future for future in running if future.done()]
        if done:
            heard = time.monotonic()
        elif time.monotonic() - heard > _PATIENCE_S:  # workers that are hung or cut off
            yield from _here(dataset, list(running.values()))
            return
        else:
            yield next(iter(running.values())), None
        for future in done:
            batch = running.pop(future)
            error = CancelledError() if future.cancelled() else future.exception()
            yield batch, error if error is not None else future.result()


def write_index(dataset: Dataset, records: Iterable[dict[str, Any]], entries: Iterable[dict[str, Any]]) -> None:
    """Write which files hold the rows of all units, and remove merged files that it does not name.

    Parameters
    ----------
    dataset
        Where.
    records
        Of all units, the same that were merged.
    entries
        Of all batches; of one that could not be merged, `Batch.as_parts`.
    """
    units = dataset.write_records(records)
    ordered = sorted(entries, key=lambda entry: (entry["table"], entry["key"]))
    dataset.put(INDEX, json_bytes({"format": INDEX_FORMAT, "units": units, "entries": ordered}))
    named = {file["path"] for entry in ordered for file in entry["files"]}
    for path in dataset.names(FOLDER):
        if path not in named:
            dataset.remove(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Files that hold the tables of a dataset.

    Parameters
    ----------
    by_table
        Table → paths; of `COUNTS` too, as far as values were counted.
    uncounted
        Those of the one-second series whose values were not.
    sizes
        Path of each of them → length, as far as it is known without asking [bytes].
    """

    by_table: dict[str, list[str]]
    uncounted: list[str]
    sizes: dict[str, int | None]


def files_to_read(dataset: Dataset) -> Files:
    """Find the fewest files that hold each table.

    Parameters
    ----------
    dataset
        Where.

    Returns
    -------
    files
        Those of the index if it is of the records that are there, else parts for whatever it does not cover.
    """
    index = read_index(dataset)
    entries = list(index.entries.values())
    known: dict[str, int] = {}
    if index.units is None or index.units != dataset.fingerprint(INDEX):
        found = batches(dataset.units().values())
        known = {path: size for batch in found for path, size, _ in batch.parts}
        entries = [index.entries.get(batch.key) or batch.as_parts() for batch in found]
    by_table: dict[str, list[str]] = defaultdict(list)
    uncounted: list[str] = []
    for entry in entries:
        for table, paths in entry["read"].items():
            by_table[table] += paths
        if entry["table"] == "seconds" and not entry["files"]:
            uncounted += entry["read"]["seconds"]
    known |= {file["path"]: file["bytes"] for entry in entries for file in entry["files"]}
    return Files(
        by_table={table: sorted(paths) for table, paths in by_table.items()},
        uncounted=sorted(uncounted),
        sizes={path: known.get(path) for paths in by_table.values() for path in paths},
    )


def check_merged(dataset: Dataset) -> list[str]:
    """Hold what is merged against the index, and the index against the records.

    Parameters
    ----------
    dataset
        Where.

    Returns
    -------
    problems
        One sentence each; none if all adds up.
    """
    index = read_index(dataset)
    problems = []
    found = {batch.key for batch in batches(dataset.units(one_by_one=True).values())}
    if index.units is None:
        problems.append(f"There is no {INDEX}: the run did not end; start it again.")
    elif set(index.entries) != found:
        problems.append(f"{INDEX} is not of the units that are there; start the run again.")
    for entry in index.entries.values():
        sums = {file["path"]: file["sha256"] for file in entry["files"]}
        for path, data in dataset.get_many(list(sums)):
            if data is None:
                problems.append(f"{path} is missing; start the run again.")
            elif sha256_of(data) != sums[path]:
                problems.append(f"{path} is not what was written; remove it and start the run again.")
    return problems
