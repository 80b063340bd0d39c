"""Questions to the dataset: DuckDB over its Parquet files, for reading alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ccp_assess.fleet.dataset import Dataset
from ccp_assess.fleet.needs import FleetError, need
from ccp_assess.fleet.schema import TABLES
from ccp_assess.fleet.sources import open_place
from ccp_assess.fleet.views import BEFORE_AFTER, SECONDS_MS, VIEWS

MEMORY_LIMIT_MB = 1_500
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
        place = open_place(url)
        dataset = Dataset(place)
        if dataset.get("dataset.json") is None:
            raise FleetError(f"{url}: there is no dataset; make one with `ccp-assess fleet run SOURCE --out {url}`")
        self._connection = self._duckdb.connect(config={"autoinstall_known_extensions": "false"})
        self._connection.execute(f"set memory_limit = '{MEMORY_LIMIT_MB}MB'")
        self._connection.execute("set preserve_insertion_order = false")
        if threads is not None:
            self._connection.execute(f"set threads = {int(threads)}")
        parts: dict[str, list[str]] = {table: [] for table in TABLES}
        for record in dataset.units().values():
            for part in record["parts"]:
                parts[part["path"].partition("/")[0]].append(part["path"])
        local = place.local
        if local is None:
            self._connection.register_filesystem(place.fs)
            protocol = place.fs.protocol if isinstance(place.fs.protocol, str) else place.fs.protocol[0]
            base = f"{protocol}://{place.root}"
        else:
            base = str(Path(local).resolve())
        for table, paths in parts.items():
            self._define(table, [f"{base}/{path}" for path in sorted(paths)])
        for name, (_, sql) in VIEWS.items():
            self._connection.execute(f"create view {name} as {sql}")
        self._connection.execute(SECONDS_MS)
        self._connection.execute(BEFORE_AFTER)
        self._close_up(base)

    def _define(self, table: str, files: list[str]) -> None:
        if files:
            listed = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
            source = f"read_parquet([{listed}], hive_partitioning = false)"
            self._connection.execute(f"create view {table} as select * from {source}")  # noqa: S608 - quoted
        else:
            columns = ", ".join(f'"{name}" {_TYPES[kind]}' for name, kind in TABLES[table].items())
            self._connection.execute(f"create table {table} ({columns})")

    def _close_up(self, base: str) -> None:
        """Leave nothing to reach but the dataset, and nothing to change."""
        self._connection.execute("set allowed_directories = [$base]", {"base": f"{base}/"})
        self._connection.execute("set enable_external_access = false")
        self._connection.execute("set lock_configuration = true")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

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
        try:
            statements = self._connection.extract_statements(sql)
            kinds = {str(statement.type).rpartition(".")[2] for statement in statements}
            if len(statements) != 1 or not kinds <= {"SELECT", "EXPLAIN"}:
                raise FleetError("one select is understood at a time; a store is only read")
            cursor = self._connection.execute(statements[0])
            columns = tuple(entry[0] for entry in cursor.description or ())
            return Answer(columns=columns, rows=tuple(cursor.fetchall()))
        except self._duckdb.Error as error:
            raise FleetError(f"the question cannot be answered: {_sentence(error)}") from error


def _sentence(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(line for line in lines if not line.startswith(("LINE", "^")))


def describe() -> list[tuple[str, str]]:
    """List what can be asked for: views and tables, each with what it holds."""
    views = [(name, told) for name, (told, _) in VIEWS.items()]
    views.append(("before_after(timestamp '…')", "the same per site before and after an instant, UTC"))
    views.append(("seconds_ms", "the one-second series in milliseconds"))
    return views + [(name, ", ".join(columns)) for name, columns in TABLES.items()]
