"""The client's tables as texts that a person edits: read, checked cell by cell, and written as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ccp_assess.client.locating import check_is_folder, child_of
from ccp_assess.client.read import read_table_rows
from ccp_assess.client.rows import callers_from_rows, reroutes_from_rows, sites_from_rows, transfers_from_rows
from ccp_assess.client.workbook import find_workbook, read_workbook
from ccp_assess.csvtext import Row
from ccp_assess.errors import TableError
from ccp_assess.files import write_whole
from ccp_assess.sites import Site
from ccp_assess.tables import LAYOUTS


@dataclass(frozen=True, slots=True, kw_only=True)
class TableText:
    """A table as it is written.

    Parameters
    ----------
    name
        ``sites``, ``callers``, ``transfers`` or ``reroutes``.
    columns
        Ours first, then the client's own.
    rows
        A text for each column.
    notes
        How it was read where a reader might expect otherwise.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CellProblem:
    """What is wrong with a table, and where.

    Parameters
    ----------
    row, column
        Indices into the rows and columns; ``None`` where it concerns more than one.
    text
        What is wrong and what to do.
    """

    row: int | None
    column: int | None
    text: str


def read_table_text(folder: str | Path, name: str) -> TableText:
    """Read a table of a client folder, from its CSV file or from the questionnaire.

    Parameters
    ----------
    folder
        The client folder.
    name
        Of the table.

    Returns
    -------
    table
        Without rows where the folder has none.

    Raises
    ------
    TableError
        If the folder or the file cannot be read.
    """
    folder, layout = Path(folder), LAYOUTS[name]
    check_is_folder(folder)
    workbook_path = find_workbook(folder)
    notes: list[str] = []
    rows = read_table_rows(folder, layout, read_workbook(workbook_path) if workbook_path else None, notes)
    if rows and workbook_path and child_of(folder, layout.file) is None:
        notes.append(f"These rows are from {workbook_path.name}; once saved, {layout.file} counts instead.")
    own = [column for column in (rows[0].cells if rows else ()) if column not in layout.columns]
    columns = (*layout.columns, *own)
    return TableText(
        name=name,
        columns=columns,
        rows=tuple(tuple(row.cells.get(column, "") for column in columns) for row in rows),
        notes=tuple(notes),
    )


def check_table_text(table: TableText, sites: Sequence[Site] = ()) -> tuple[CellProblem, ...]:
    """Find all that is wrong with a table as it is written.

    Parameters
    ----------
    table
        The table; rows that are empty do not count.
    sites
        Which sites there are, for tables that name them.

    Returns
    -------
    problems
        By cell where they belong to one; empty where all is well.
    """
    problems = [
        CellProblem(row=index, column=0, text="a name must not begin with #: such a line is a comment")
        for index, cells in enumerate(table.rows)
        if next((cell for cell in cells if cell.strip()), "").strip().startswith("#")
    ]
    try:
        read_records(table, sites)
    except TableError as error:
        problems.extend(_placed(each, table) for each in error.each)
    return tuple(problems)


def read_records(table: TableText, sites: Sequence[Site] = ()) -> tuple[Any, ...]:
    """Read the rows of a table as what they mean.

    Parameters
    ----------
    table
        The table; rows that are empty do not count.
    sites
        Which sites there are, for tables that name them.

    Returns
    -------
    records
        Sites, caller origins, transfer targets or reroutes.

    Raises
    ------
    TableError
        With ``each`` that is wrong.
    """
    readers: Mapping[str, Callable[[Sequence[Row]], tuple[Any, ...]]] = {
        "sites": sites_from_rows,
        "callers": callers_from_rows,
        "transfers": transfers_from_rows,
        "reroutes": partial(reroutes_from_rows, sites=sites),
    }
    rows = _rows(table)
    if rows:
        return readers[table.name](rows)
    if table.name == "sites":
        raise TableError("the table has no rows yet; add one for each site", file=LAYOUTS["sites"].file)
    return ()


def _rows(table: TableText) -> list[Row]:
    return [
        Row(
            file=LAYOUTS[table.name].file,
            line=index,
            cells=dict(zip(table.columns, (cell.strip() for cell in cells), strict=True)),
        )
        for index, cells in enumerate(table.rows, start=1)  # people count the rows they see
        if any(cell.strip() for cell in cells)
    ]


def _placed(error: TableError, table: TableText) -> CellProblem:
    row = None if error.row is None else error.row - 1
    if error.column not in table.columns:
        text = error.problem if row is None else f"Row {row + 1}: {error.problem}"
        return CellProblem(row=None, column=None, text=f"{text[:1].upper()}{text[1:]}.")
    return CellProblem(row=row, column=table.columns.index(error.column), text=error.problem)


def write_table_text(folder: str | Path, table: TableText) -> Path:
    """Write a table as CSV into a client folder; comments of the file that was there are kept.

    Parameters
    ----------
    folder
        The client folder.
    table
        The table; empty rows are left out.

    Returns
    -------
    path
        Of the file.

    Raises
    ------
    TableError
        If the file cannot be written.
    """
    folder, layout = Path(folder), LAYOUTS[table.name]
    path = child_of(folder, layout.file) or folder / layout.file
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\r\n")
    writer.writerow(table.columns)
    try:
        content.writelines(f"{comment}\r\n" for comment in _comments(path))
        writer.writerows([cell.strip() for cell in row] for row in table.rows if any(cell.strip() for cell in row))
        write_whole(path, content.getvalue().encode("utf-8-sig"))  # with its mark, so that Excel keeps the accents
    except OSError as error:
        raise TableError(
            f"the file cannot be written ({error.strerror}); close it in the spreadsheet program", file=layout.file
        ) from None
    return path


def _comments(path: Path) -> list[str]:
    if not path.exists():
        return []
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    return [line for line in text.splitlines() if line.lstrip().startswith("#")]
