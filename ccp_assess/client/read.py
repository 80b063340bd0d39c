"""Read a client folder: settings, tables from CSV or from the questionnaire, files of evidence, and what is missing.

For each table the CSV file counts if it has a row, else the sheet of the questionnaire; where both have rows and
differ, a note says so. ``client.toml`` counts before the questionnaire's sheet ``client``, key by key.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from ccp_assess.client.actions import read_actions
from ccp_assess.client.decisions import read_decisions
from ccp_assess.client.evidence import KINDS, Evidence, find_evidence
from ccp_assess.client.locating import check_is_folder, child_of
from ccp_assess.client.records import Client
from ccp_assess.client.rows import (
    callers_from_rows,
    extra_cells,
    reroutes_from_rows,
    sites_from_rows,
    transfers_from_rows,
    unused_columns,
)
from ccp_assess.client.settings import FILE, Settings, read_settings
from ccp_assess.client.unknowns import unknowns_of
from ccp_assess.client.workbook import QUESTIONNAIRE, Workbook, find_workbook, read_workbook
from ccp_assess.csvtext import Row, read_rows, text_from_bytes
from ccp_assess.errors import TableError
from ccp_assess.tables import LAYOUTS, TableLayout

_Record = TypeVar("_Record")


def read_client(folder: str | Path) -> Client:
    """Read and check a client folder.

    Parameters
    ----------
    folder
        Holds ``client.toml`` and ``sites.csv`` (or the questionnaire), and whatever else there is.

    Returns
    -------
    client
        Everything in it, and in ``unknowns`` what is not.

    Raises
    ------
    TableError
        If a table is missing or wrong: one sentence that names file, row and column, and what to do.
    """
    folder = Path(folder)
    check_is_folder(folder)
    workbook_path = find_workbook(folder)
    workbook = read_workbook(workbook_path) if workbook_path else None
    settings = read_settings(
        child_of(folder, FILE) or folder / FILE,
        defaults=workbook.settings if workbook else None,
        defaults_file=f"{workbook.file}, sheet client" if workbook else None,
    )
    notes = [
        f"client.toml and the sheet client of {workbook.file} differ in {key}; client.toml was used."
        for key in settings.overruled
        if workbook
    ]
    notes.extend(workbook.notes if workbook else ())
    tables = {name: read_table_rows(folder, layout, workbook, notes) for name, layout in LAYOUTS.items()}
    _check_sites_given(folder, tables["sites"], workbook)
    for name, rows in tables.items():
        notes.extend(unused_columns(rows, LAYOUTS[name]))
    return _client(folder, settings, tables, notes)


def _client(folder: Path, settings: Settings, tables: dict[str, Sequence[Row]], notes: list[str]) -> Client:
    sites = sites_from_rows(tables["sites"])
    site_ids = [site.site_id for site in sites]
    evidence: dict[str, Evidence] = {kind: find_evidence(folder, kind, site_ids, settings.site_rule) for kind in KINDS}
    notes.extend(note for found in evidence.values() for note in found.notes)
    client = Client(
        name=settings.name or folder.resolve().name,
        date=settings.date,
        folder=folder,
        sites=sites,
        callers=_if_any(tables["callers"], callers_from_rows),
        transfers=_if_any(tables["transfers"], transfers_from_rows),
        reroutes=_if_any(tables["reroutes"], lambda rows: reroutes_from_rows(rows, sites)),
        constraints=settings.constraints,
        weights=settings.weights,
        use_case=settings.use_case,
        captures=evidence["captures"].files,
        probes=evidence["probes"].files,
        logs=evidence["logs"].files,
        rules=evidence["rules"].files,
        decisions=read_decisions(folder),
        actions=read_actions(folder),
        notes=tuple(notes),
        extras={name: extra_cells(rows, LAYOUTS[name]) for name, rows in tables.items() if rows},
    )
    return unknowns_of(client, rows=tables["sites"], named=settings.name is not None)


def _if_any(rows: Sequence[Row], read: Callable[[Sequence[Row]], tuple[_Record, ...]]) -> tuple[_Record, ...]:
    return read(rows) if rows else ()


def read_table_rows(folder: Path, layout: TableLayout, workbook: Workbook | None, notes: list[str]) -> Sequence[Row]:
    """Return the rows that count for a table.

    Parameters
    ----------
    folder
        The client folder.
    layout
        Of the table.
    workbook
        The questionnaire, if there is one.
    notes
        Gets a sentence where a reader might expect otherwise.

    Returns
    -------
    rows
        None where the table is given nowhere.

    Raises
    ------
    TableError
        If the file cannot be read.
    """
    path = child_of(folder, layout.file)
    from_csv = _read_csv(path, layout, notes) if path else []
    from_sheet = workbook.tables.get(layout.name, ()) if workbook else ()
    if from_csv and from_sheet and workbook and _content(from_csv) != _content(from_sheet):
        notes.append(
            f"{layout.file} ({len(from_csv)} rows) and the sheet {layout.name} of {workbook.file} "
            f"({len(from_sheet)} rows) differ; {layout.file} was used."
        )
    return from_csv or from_sheet


def _content(rows: Sequence[Row]) -> list[dict[str, str]]:
    return [{name: cell.casefold() for name, cell in row.cells.items() if cell} for row in rows]


def _read_csv(path: Path, layout: TableLayout, notes: list[str]) -> Sequence[Row]:
    try:
        data = path.read_bytes()
    except PermissionError:
        raise TableError("the file cannot be opened; close it in the spreadsheet program", file=layout.file) from None
    except OSError as error:
        raise TableError(f"the file cannot be opened ({error.strerror})", file=layout.file) from None
    if not data.strip():
        return []  # an empty file says nothing, as a missing one does
    rows = read_rows(_text_of(data, layout, notes), name=layout.file)
    return [row for row in rows if not _is_comment(row)]


def _is_comment(row: Row) -> bool:
    """Tell whether a spreadsheet saved a comment line of ours as a quoted cell."""
    return next((cell for cell in row.cells.values() if cell), "#").startswith("#")


def _text_of(data: bytes, layout: TableLayout, notes: list[str]) -> str:
    """Decode a table; what a Western European Excel saves as plain CSV is read too, and said."""
    try:
        return text_from_bytes(data, file=layout.file)
    except TableError:
        text = _windows_1252(data)
        if text is None:
            raise
    odd = sorted({mark for mark in text if ord(mark) > 127})[:8]
    notes.append(
        f"{layout.file} is not UTF-8 and was read as Windows-1252 ({' '.join(odd)}); if names look wrong, save it as "
        "`CSV UTF-8`."
    )
    return text


def _windows_1252(data: bytes) -> str | None:
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"\xff\xfe", b"\xfe\xff")) or b"\x00" in data:
        return None
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        return None
    return text if all(mark.isprintable() or mark in "\r\n\t\xa0" for mark in text) else None


def _check_sites_given(folder: Path, rows: Sequence[Row], workbook: Workbook | None) -> None:
    if rows:
        return
    layout = LAYOUTS["sites"]
    where = f"the sheet {layout.name} of {workbook.file}" if workbook else QUESTIONNAIRE
    if child_of(folder, layout.file):
        raise TableError(f"the table has no rows yet; add one for each site, here or in {where}", file=layout.file)
    old = next((path.name for path in sorted(folder.iterdir()) if path.suffix.casefold() == ".xls"), None)
    if old:
        raise TableError("this is an old Excel file, which is not read; save it as .xlsx", file=old)
    if workbook:
        raise TableError(
            f"the sheet {layout.name} has no rows yet; add one for each site, or write {layout.file}",
            file=workbook.file,
        )
    raise TableError(
        f"the file does not exist; write it with the columns {', '.join(layout.columns[:6])}, or fill in "
        f"{QUESTIONNAIRE} (`ccp-assess new` lays out both)",
        file=layout.file,
    )
