"""The questionnaire as the client sends it back: the sheets of a workbook become the same rows as CSV files."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

from ccp_assess.client.problems import Problems
from ccp_assess.csvtext import Row
from ccp_assess.errors import TableError
from ccp_assess.tables import COLUMNS, LAYOUTS, TableLayout

QUESTIONNAIRE = "questionnaire.xlsx"
CLIENT_SHEET = "client"

WEIGHT_KEYS = ("agents", "callers", "transfers", "hops")
SETTINGS: dict[str, tuple[str, str]] = {
    "name": ("client", "name"),
    "date": ("client", "date"),
    "allowed_regions": ("constraints", "allowed_regions"),
    "excluded_regions": ("constraints", "excluded_regions"),
    "residency": ("constraints", "residency"),
    "services": ("constraints", "services"),
    "resiliency_pair": ("constraints", "resiliency_pair"),
    "govcloud": ("constraints", "govcloud"),
    **{f"weight_{key}": ("weights", key) for key in WEIGHT_KEYS},
    "use_case": ("client", "use_case"),
}
"""Keys of the sheet ``client``, and the section and key of ``client.toml`` that each of them stands for."""

_LISTS = frozenset({"allowed_regions", "excluded_regions", "residency", "services"})
_LARGEST_UNPACKED_BYTES = 200_000_000
_MOST_COLUMNS = 200
_HEADER_WITHIN_ROWS = 40
_MOST_EMPTY_ROWS = 2_000
_WORKBOOK_SUFFIXES = frozenset({".xlsx", ".xlsm"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Workbook:
    """What a questionnaire holds.

    Parameters
    ----------
    file
        Its name.
    tables
        Rows by table; a table without rows is absent.
    settings
        Values by section and key of ``client.toml``.
    notes
        What counts though nobody sees it, one sentence each.
    """

    file: str
    tables: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def find_workbook(folder: Path) -> Path | None:
    """Find the questionnaire of a client folder.

    Parameters
    ----------
    folder
        The client folder.

    Returns
    -------
    path
        ``questionnaire.xlsx``, else the only workbook there is; ``None`` if there is none.

    Raises
    ------
    TableError
        If there are several and none is called ``questionnaire.xlsx``.
    """
    found = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.casefold() in _WORKBOOK_SUFFIXES and not path.name.startswith((".", "~$"))
    )
    named = [path for path in found if path.name.casefold() == QUESTIONNAIRE]
    if named or len(found) < 2:
        return next(iter(named or found), None)
    names = ", ".join(path.name for path in found[:6])
    raise TableError(
        f"there are {len(found)} workbooks ({names}); rename the one that counts to {QUESTIONNAIRE}", file=str(folder)
    )


def read_workbook(path: Path) -> Workbook:
    """Read a questionnaire.

    Parameters
    ----------
    path
        An ``.xlsx`` or ``.xlsm`` file.

    Returns
    -------
    workbook
        Rows as of CSV files: numbers as text, percent formats undone, the stored results of formulas.

    Raises
    ------
    TableError
        If it is no such file, or a cell cannot be used; the text names sheet, row and column.
    """
    data = _read_bytes(path)
    values = _load(data, path.name, data_only=True)
    formulas = _load(data, path.name, data_only=False) if _has_formulas(data) else None
    sheets = {
        sheet.title: _Sheet(
            file=f"{path.name}, sheet {sheet.title}",
            cells=sheet,
            formulas=None if formulas is None else formulas[sheet.title],
        )
        for sheet in values.worksheets
    }
    chosen = _choose_sheets(sheets)
    tables = {name: _rows(sheets[title], LAYOUTS[name]) for name, title in chosen.items()}
    kept = {name: rows for name, rows in tables.items() if rows}
    return Workbook(
        file=path.name,
        tables=kept,
        settings=_settings(sheets),
        notes=tuple(note for name, rows in kept.items() for note in _hidden(sheets[chosen[name]], rows)),
    )


def _hidden(sheet: _Sheet, rows: Sequence[Row]) -> Iterator[str]:
    """Say what counts though a person who opens the workbook does not see it."""
    if sheet.cells.sheet_state != "visible":
        yield f"{sheet.file} is hidden in the workbook; it counts all the same."
    shapes = sheet.cells.row_dimensions  # asking for the shape of a row that has none would make one
    hidden = [row.line for row in rows if row.line in shapes and shapes[row.line].hidden]
    if hidden:
        named = ", ".join(map(str, hidden[:5])) + (f" and {len(hidden) - 5} more" if len(hidden) > 5 else "")
        yield f"{sheet.file}: hidden or filtered rows ({named}) count all the same; remove what should not."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sheet:
    file: str
    cells: Any
    formulas: Any


def _read_bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except PermissionError:
        raise TableError("the workbook cannot be opened; close it in the spreadsheet program", file=path.name) from None
    except OSError as error:
        raise TableError(f"the workbook cannot be opened ({error.strerror})", file=path.name) from None
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        raise TableError(
            "the workbook has a password or is of the old .xls kind; save it as .xlsx without a password",
            file=path.name,
        )
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            unpacked_bytes = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        raise TableError(
            "this is no .xlsx workbook, or it is damaged; save it again as .xlsx", file=path.name
        ) from None
    if unpacked_bytes > _LARGEST_UNPACKED_BYTES:
        raise TableError(
            f"the workbook unpacks to {unpacked_bytes / 1e6:.0f} MB; save the filled-in sheets alone", file=path.name
        )
    return data


def _load(data: bytes, name: str, *, data_only: bool) -> Any:
    import openpyxl  # noqa: PLC0415 - a quarter of a second that folders of CSV need not pay

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a spreadsheet adds beyond cells does not concern us
        try:
            return openpyxl.load_workbook(BytesIO(data), data_only=data_only, keep_links=False)
        except Exception:  # noqa: BLE001 - a broken workbook provokes errors of every kind
            raise TableError("this is no .xlsx workbook, or it is damaged; save it again as .xlsx", file=name) from None


def _has_formulas(data: bytes) -> bool:
    with zipfile.ZipFile(BytesIO(data)) as archive:
        return any(
            b"<f>" in (text := archive.read(entry)) or b"<f " in text
            for entry in archive.infolist()
            if entry.filename.startswith("xl/worksheets/")
        )


def _choose_sheets(sheets: Mapping[str, _Sheet]) -> dict[str, str]:
    """Choose a sheet for each table: by its title, else the only one whose header has all the columns needed."""
    chosen = {title.strip().casefold(): title for title in sheets}
    by_title = {name: chosen[name] for name in LAYOUTS if name in chosen}
    others = [title for title in sheets if title not in by_title.values()]
    for name, layout in LAYOUTS.items():
        fitting = [] if name in by_title else [title for title in others if _fits(sheets[title], layout)]
        if len(fitting) == 1 and fitting[0] not in by_title.values():
            by_title[name] = fitting[0]
    return by_title


def _fits(sheet: _Sheet, layout: TableLayout) -> bool:
    header = _find_header(sheet, layout)
    return header is not None and set(layout.required) <= set(header[1].values()) and len(layout.required) > 1


def _find_header(sheet: _Sheet, layout: TableLayout) -> tuple[int, dict[int, str]] | None:
    """Return the row of the header and its names by column number; a title may stand above it."""
    for cells in _grid(sheet, last_row=_HEADER_WITHIN_ROWS):
        names = {cell.column: _column_name(cell.value, layout) for cell in cells if cell.value is not None}
        known = set(names.values()) & set(layout.columns)
        if layout.id_column in known or len(known) > 1:
            return cells[0].row, {number: name for number, name in names.items() if name}
    return None


def _grid(sheet: _Sheet, *, first_row: int = 1, last_row: int | None = None) -> Iterable[tuple[Any, ...]]:
    cells = sheet.cells
    last = cells.max_row if last_row is None else min(cells.max_row, last_row)
    rows: Iterable[tuple[Any, ...]] = cells.iter_rows(
        min_row=first_row, max_row=last, max_col=min(cells.max_column, _MOST_COLUMNS)
    )
    return rows


def _column_name(value: object, layout: TableLayout) -> str:
    written = re.sub(r"\s*(\[[^\]]*\]|\*)\s*$", "", str(value).strip())
    labels = {COLUMNS[column].label.casefold(): column for column in layout.columns}
    name = re.sub(r"[\s-]+", "_", written.lower())
    return name if name in layout.columns else labels.get(written.casefold(), name)


def _rows(sheet: _Sheet, layout: TableLayout) -> list[Row]:
    found = _find_header(sheet, layout)
    if found is None:
        if any(cell.value is not None for cells in _grid(sheet, last_row=_HEADER_WITHIN_ROWS) for cell in cells):
            raise TableError(
                f"no header row is found; one row must name the columns ({', '.join(layout.columns)})", file=sheet.file
            )
        return []
    header_row, names = found
    _check_header(sheet, header_row, names)
    problems = Problems()
    merged = _merged_cells(sheet, header_row, names, layout, problems)
    rows: list[Row] = []
    empty = 0
    for cells in _grid(sheet, first_row=header_row + 1):
        own = {names[cell.column]: _cell_text(cell, sheet, names, problems) for cell in cells if cell.column in names}
        first = next((text for text in own.values() if text), "")
        empty = 0 if first else empty + 1
        if empty > _MOST_EMPTY_ROWS:
            break
        if first and not first.startswith("#"):
            row = cells[0].row
            shared = {name: merged[row, number] for number, name in names.items() if (row, number) in merged}
            rows.append(Row(file=sheet.file, line=row, cells={**own, **shared}))
    problems.raise_first()
    return rows


def _check_header(sheet: _Sheet, row: int, names: Mapping[int, str]) -> None:
    seen: set[str] = set()
    for name in names.values():
        if name in seen:
            raise TableError(
                "the header names this column twice; remove one of the two", file=sheet.file, row=row, column=name
            )
        seen.add(name)


def _merged_cells(
    sheet: _Sheet, header_row: int, names: Mapping[int, str], layout: TableLayout, problems: Problems
) -> dict[tuple[int, int], str]:
    """Return the text of words that are merged over several rows; a number so merged would count several times."""
    filled: dict[tuple[int, int], str] = {}
    for area in sheet.cells.merged_cells.ranges:
        name = names.get(area.min_col, "")
        if area.max_row <= max(header_row, area.min_row) or area.min_row <= header_row or not name:
            continue
        cell = sheet.cells.cell(area.min_row, area.min_col)
        text = _cell_text(cell, sheet, names, problems)
        column = COLUMNS.get(name)
        if text and (name == layout.id_column or (name in layout.columns and column and column.kind != "text")):
            problems.add(
                TableError(
                    f"the cells {area.coord} are merged; unmerge them and fill in every row",
                    file=sheet.file,
                    row=area.min_row,
                    column=name,
                )
            )
        filled.update({(row, area.min_col): text for row in range(area.min_row, area.max_row + 1) if text})
    return filled


def _cell_text(cell: Any, sheet: _Sheet, names: Mapping[int, str], problems: Problems) -> str:
    column = names.get(cell.column, "")
    value = cell.value
    if value is None:
        if _is_formula(sheet, cell):
            problems.add(
                TableError(
                    "the cell holds a formula without a stored result; save the file in a spreadsheet program, or type "
                    "the value",
                    file=sheet.file,
                    row=cell.row,
                    column=column,
                )
            )
        return ""
    if cell.data_type == "e":
        problems.add(
            TableError(
                f"the cell shows the error {value}; type the value", file=sheet.file, row=cell.row, column=column
            )
        )
        return ""
    # a cell that shows 60 % holds 0.6
    is_percent = column.endswith("_pct") and "%" in str(cell.number_format)
    return _text(value * 100 if is_percent and isinstance(value, int | float) else value)


def _is_formula(sheet: _Sheet, cell: Any) -> bool:
    return sheet.formulas is not None and sheet.formulas.cell(cell.row, cell.column).data_type == "f"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.12g}"
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return str(value).strip()


def _settings(sheets: Mapping[str, _Sheet]) -> dict[str, dict[str, Any]]:
    sheet = next((sheet for title, sheet in sheets.items() if title.strip().casefold() == CLIENT_SHEET), None)
    if sheet is None:
        return {}
    settings: dict[str, dict[str, Any]] = {}
    for cells in _grid(sheet, last_row=_HEADER_WITHIN_ROWS):
        key = str(cells[0].value or "").strip().casefold()
        value = cells[1].value if len(cells) > 1 else None
        if key in SETTINGS and value is not None and str(value).strip():
            section, name = SETTINGS[key]
            settings.setdefault(section, {})[name] = _setting(name, value)
    return settings


def _setting(name: str, value: object) -> object:
    """Return a cell as TOML would have it; what cannot be understood stays as it is and is refused later."""
    if name in _LISTS:
        marks = r"[,;\n]+" if name == "services" else r"[\s,;]+"  # names of services hold blanks
        return [part.strip() for part in re.split(marks, str(value)) if part.strip()]
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, str):
        word = value.strip()
        return {"true": True, "yes": True, "false": False, "no": False}.get(word.casefold(), word)
    return value
