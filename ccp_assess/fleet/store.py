"""Questions to the dataset: DuckDB over its Parquet files, for reading alone."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Self

from ccp_assess.fleet.dataset import FORMAT, Dataset
from ccp_assess.fleet.merging import Files, files_to_read
from ccp_assess.fleet.needs import FleetError, need
from ccp_assess.fleet.refusals import told_as_unread, why
from ccp_assess.fleet.schema import COUNTS, TABLES
from ccp_assess.fleet.sources import open_place
from ccp_assess.fleet.views import BEFORE_AFTER, COUNTED_COLUMNS, IN_STEPS, SECONDS_MS, VIEWS, counted

MEMORY_LIMIT_MB = 1_500
BATCH_ROWS = 20_000
"""Rows of an answer that are handed on at a time."""

_LISTEN_S = 0.2
_TYPES = {
    "text": "varchar",
    "integer": "bigint",
    "small": "integer",
    "number": "double",
    "flag": "boolean",
    "instant": "timestamp",
    "day": "date",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Rows of an answer.

    Parameters
    ----------
    columns
        Names.
    rows
        Values.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def to_rows(self) -> list[dict[str, Any]]:
        """Return the rows by column."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """An answer as it comes.

    Parameters
    ----------
    columns
        Names.
    schema
        Of pyarrow.
    batches
        Rows, as record batches of pyarrow.
    """

    columns: tuple[str, ...]
    schema: Any
    batches: Iterator[Any]


def rows_of(batch: Any) -> Iterator[tuple[Any, ...]]:
    """Give the rows of a batch as plain values; whole numbers of any length are integers.

    Parameters
    ----------
    batch
        Of a `Stream`.

    Yields
    ------
    row
        Values in the order of the columns.

    Raises
    ------
    FleetError
        If an instant is none of our calendar.
    """
    columns = []
    for column in batch.columns:
        try:
            values = column.to_pylist()
        except (OverflowError, ValueError):
            raise FleetError(
                "the answer holds a day or an instant before the year 1 or after 9999; ask for it ::varchar"
            ) from None
        is_whole = str(column.type).startswith("decimal") and column.type.scale == 0  # sums are so long
        columns.append([None if value is None else int(value) for value in values] if is_whole else values)
    yield from zip(*columns, strict=True)


class Store:
    """An open dataset; use it as a context.

    Parameters
    ----------
    url
        Its folder or bucket.
    threads
        To count with; ``None`` for one per processor.

    Raises
    ------
    FleetError
        If there is no dataset.
    """

    def __init__(self, url: str, *, threads: int | None = None) -> None:
        self._duckdb = need("duckdb")
        self._url, self._shelf = url, None
        place = open_place(url)
        dataset = Dataset(place)
        with told_as_unread(url):
            _check_layout(dataset)
            files = files_to_read(dataset)
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="ccp-assess-store")
        self._spill = tempfile.TemporaryDirectory(prefix="ccp-assess-store-")
        self._connection = self._duckdb.connect(config={"autoinstall_known_extensions": "false"})
        for setting, value in {
            "memory_limit": f"{MEMORY_LIMIT_MB}MB",
            "temp_directory": self._spill.name,
            "preserve_insertion_order": False,
            "python_enable_replacements": False,  # tables of the program that asks are no tables of the store
            "TimeZone": "UTC",
            **({} if threads is None else {"threads": threads}),
        }.items():
            self._connection.execute(f"set {setting} = {value!r}")
        if place.local is None:
            from ccp_assess.fleet.shelf import SCHEME, Shelf  # noqa: PLC0415 - for stores in buckets alone

            self._shelf = Shelf(place, files.sizes)
            self._connection.register_filesystem(self._shelf)
            base = f"{SCHEME}:/"
        else:
            base = str(place.local.resolve())
        try:
            self._make_views(base, files)
        except (self._duckdb.Error, UnicodeDecodeError) as error:
            self.close()
            raise FleetError(
                f"{url}: the dataset cannot be read ({self._why(error)}); start its run again, which makes anew what "
                f"is missing, and see what `ccp-assess fleet check {url}` finds"
            ) from error
        self._close_up(base)

    def _make_views(self, base: str, files: Files) -> None:
        for table, columns in (TABLES | COUNTS).items():
            selects = [_from_files(base, files.by_table.get(table, []), columns)]
            if table in COUNTS and files.uncounted:
                selects.append(_count_now(columns, _from_files(base, files.uncounted, TABLES["seconds"])))
            self._connection.execute(f"create view {table} as {' union all '.join(selects)}")
        for name, (_, sql) in VIEWS.items():
            self._connection.execute(f"create view {name} as {sql}")
        self._connection.execute(SECONDS_MS)
        self._connection.execute(BEFORE_AFTER)

    def _close_up(self, base: str) -> None:
        """Leave nothing to reach but the dataset, and nothing to change."""
        self._connection.execute("set allowed_directories = [$base]", {"base": f"{base}/"})
        self._connection.execute("set enable_external_access = false")
        self._connection.execute("set lock_configuration = true")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database and of what it laid down while it worked."""
        self._threads.shutdown(cancel_futures=True)
        self._connection.close()
        self._spill.cleanup()

    def ask(self, sql: str) -> Answer:
        """Answer one question.

        Parameters
        ----------
        sql
            One ``select``.

        Returns
        -------
        answer
            All its rows.

        Raises
        ------
        FleetError
            If it is something else, or cannot be answered.
        """
        with self.stream(sql) as answer:
            rows = [row for batch in answer.batches for row in rows_of(batch)]
        return Answer(columns=answer.columns, rows=tuple(rows))

    @contextmanager
    def stream(self, sql: str) -> Iterator[Stream]:
        """Answer one question piece by piece, so that the answer may be larger than the memory.

        Parameters
        ----------
        sql
            One ``select``.

        Yields
        ------
        answer
            Its columns, and its rows as they come.

        Raises
        ------
        FleetError
            If it is something else, or cannot be answered; also while rows are taken.
        """
        with self._told():
            statements = self._connection.extract_statements(sql)
            if [str(statement.type).rpartition(".")[2] for statement in statements] != ["SELECT"]:
                raise FleetError("one select is understood at a time; a store is only read")
            # What writes may stand beside a select at its top only, and this is not its top.
            alone = statements[0].query.rstrip().rstrip(";")
            inside = self._connection.sql(f"select * from (\n{alone}\n) as answer")  # noqa: S608 - see above
            reader = self._patiently(lambda: inside.to_arrow_reader(BATCH_ROWS))

        def batches() -> Iterator[Any]:
            with self._told():
                while (batch := self._patiently(lambda: next(reader, None))) is not None:
                    yield batch

        yield Stream(columns=tuple(reader.schema.names), schema=reader.schema, batches=batches())

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (self._duckdb.Error, UnicodeDecodeError) as error:
            raise FleetError(f"the question cannot be answered: {self._why(error)}") from error

    def _why(self, error: Exception) -> str:
        """Say what the database says, or the bucket behind it."""
        refused = None if self._shelf is None else self._shelf.failure
        if self._shelf is None or refused is None:
            return _sentence(error)
        self._shelf.failure = None
        return "a file of the store is gone" if isinstance(refused, FileNotFoundError) else why(refused, self._url)

    def _patiently(self, work: Callable[[], Any]) -> Any:
        """Let the database work in a thread, so that Ctrl-C ends it at once."""
        future = self._threads.submit(work)
        try:
            while True:
                with suppress(TimeoutError):
                    return future.result(timeout=_LISTEN_S)
        except KeyboardInterrupt:
            self._connection.interrupt()
            raise


def _check_layout(dataset: Dataset) -> None:
    url, found = dataset.place.url, dataset.layout()
    if found is None:
        raise FleetError(f"{url}: there is no dataset; make one with `ccp-assess fleet run SOURCE --out {url}`")
    if found > FORMAT:
        raise FleetError(f"{url}: a newer ccp-assess made this dataset (layout {found}); update to read it")
    if found < FORMAT:
        raise FleetError(
            f"{url}: an older ccp-assess made this dataset; run `ccp-assess fleet run SOURCE --out {url}` again, which "
            "makes its tables anew"
        )


def _from_files(base: str, paths: Sequence[str], columns: Mapping[str, str]) -> str:
    """Write a select over files; over none, one without rows."""
    if not paths:
        nulls = ", ".join(f'null::{_TYPES[kind]} as "{name}"' for name, kind in columns.items())
        return f"select {nulls} where false"
    quoted = ", ".join("'" + f"{base}/{path}".replace("'", "''") + "'" for path in paths)
    return f"select * from read_parquet([{quoted}], hive_partitioning = false)"  # noqa: S608 - quoted


def _count_now(columns: Mapping[str, str], series: str) -> str:
    """Write a select of counts over what was not counted yet."""
    keys = [name for name in columns if name not in (*COUNTED_COLUMNS, "step")]
    written = ", ".join("hour(time)::integer as hour_utc" if name == "hour_utc" else name for name in keys)
    listed = ", ".join(IN_STEPS if name == "step" else name for name in columns)
    return f"select {listed} from ({counted(written, f'({series})')})"  # noqa: S608 - names of our own


def _sentence(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):  # what the database says repeats a damaged file's bytes
        return "a file of the store is damaged"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(line for line in lines if not line.startswith(("LINE", "^")))


def describe() -> list[tuple[str, str]]:
    """List what can be asked for: views and tables, each with what it holds."""
    views = [(name, told) for name, (told, _) in VIEWS.items()]
    views.append(("before_after(timestamp '…')", "the same per site before and after an instant, UTC"))
    views.append(("seconds_ms", "the one-second series in milliseconds"))
    return views + [(name, ", ".join(columns)) for name, columns in TABLES.items()]
