"""``ccp-assess query``: questions to the dataset of many sites."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from ccp_assess.fleet.store import Stream

_WIDTHS_FROM = 1_000
"""Rows of a table on the terminal that decide how wide its columns are."""


def query(
    sql: str | None = typer.Argument(None, help="One select; without it, what can be asked is listed."),
    store: str = typer.Option(".", "--store", help="Folder or bucket of the dataset."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
    as_csv: bool = typer.Option(False, "--csv", help="Print CSV."),
    out: Path | None = typer.Option(None, "--out", help="Write the answer to this .parquet or .csv file."),
) -> None:
    """Ask the dataset of `fleet run` in SQL; `select * from worst_sites` is a good first question."""
    import atexit
    import gc

    from ccp_assess.fleet.dataset import Dataset
    from ccp_assess.fleet.sources import open_place
    from ccp_assess.fleet.store import Store, describe

    atexit.unregister(gc.freeze)  # the database's binding wants to be taken apart at the end, and says so loudly
    if sql is None:
        for name, told in describe():
            typer.echo(f"{name}: {told}")
        return
    if as_json + as_csv + (out is not None) > 1:
        raise typer.BadParameter("choose one of --json, --csv and --out", param_hint="--csv")
    if out is not None and out.suffix.lower() not in {".parquet", ".csv"}:
        raise typer.BadParameter("its name must end in .parquet or .csv", param_hint="--out")
    with Store(store) as opened, opened.stream(sql) as answer:
        if Dataset(open_place(store)).manifest() is None:
            typer.echo("ccp-assess: the run of this dataset did not end; the answer is of the units done", err=True)
        if out is not None:
            typer.echo(f"{_write(answer, out)} rows in {out}")
        elif as_json:
            _print_json(answer)
        elif as_csv:
            _print_csv(answer)
        else:
            _print_table(answer)


def _rows(answer: Stream) -> Iterator[list[object]]:
    from ccp_assess.fleet.store import rows_of

    return ([_plain(value) for value in row] for batch in answer.batches for row in rows_of(batch))


def _plain(value: object) -> object:
    """Write instants as RFC 3339 and whatever else JSON does not know as text."""
    from datetime import UTC, datetime
    from decimal import Decimal

    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z" if value.tzinfo else value.isoformat() + "Z"
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return str(value)


def _print_json(answer: Stream) -> None:
    """Print a list of objects, one a line, as they come."""
    import json
    import sys

    from ccp_assess.cli.output import jsonable

    mark = "["
    for row in _rows(answer):
        text = json.dumps(jsonable(dict(zip(answer.columns, row, strict=True))), allow_nan=False)
        sys.stdout.write(f"{mark}\n {text}")
        mark = ","
    sys.stdout.write("[]\n" if mark == "[" else "\n]\n")


def _print_csv(answer: Stream) -> None:
    import sys

    _write_csv(sys.stdout, answer.columns, _rows(answer))


def _write_csv(file: Any, names: Iterable[str], rows: Iterable[list[object]]) -> int:
    import csv

    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([_safe(name) for name in names])
    count = 0
    for count, row in enumerate(rows, 1):  # noqa: B007 - told at the end
        writer.writerow(["" if value is None else _safe(value) for value in row])
    return count


def _safe(value: object) -> object:
    """Keep a spreadsheet from taking hostile text for a formula."""
    from ccp_assess.cli.output import printable

    if isinstance(value, bool | int | float):
        return value
    text = printable(str(value))
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _write(answer: Stream, path: Path) -> int:
    """Write the answer to a file that appears whole or not at all; return how many rows it has."""
    import io

    from ccp_assess.files import whole_file

    with whole_file(path) as file:
        if path.suffix.lower() == ".csv":
            text = io.TextIOWrapper(file, encoding="utf-8", newline="")
            count = _write_csv(text, answer.columns, _rows(answer))
            text.detach()
            return count
        import pyarrow.parquet as pq

        count = 0
        with pq.ParquetWriter(file, answer.schema, compression="zstd") as writer:
            for batch in answer.batches:
                writer.write_batch(batch)
                count += batch.num_rows
    return count


def _print_table(answer: Stream) -> None:
    from ccp_assess.cli.output import printable

    rows = _rows(answer)
    cells = (["" if value is None else printable(_shown(value)) for value in row] for row in rows)
    first = [[printable(name) for name in answer.columns], *islice(cells, _WIDTHS_FROM)]
    widths = [max(len(row[number]) for row in first) for number in range(len(answer.columns))]
    for some in (first, cells):
        for line in some:
            typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _shown(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
