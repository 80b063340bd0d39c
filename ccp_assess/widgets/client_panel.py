"""The client panel: choose or lay out a client folder, drop files into it, edit its tables with checks at each cell.

Every control is an ordinary widget::

    panel = show_client_panel("../data/clients/acme")
    panel.editor.rows = [["LIS", "Lisbon office", "Lisbon, PT", "", "", "120", "office", "", "", ""]]
    panel.save.click()
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets

from ccp_assess.assess.filing import file_away, kinds_for_people
from ccp_assess.client import Client, read_client
from ccp_assess.client.editing import (
    CellProblem,
    TableText,
    check_table_text,
    read_records,
    read_table_text,
    write_table_text,
)
from ccp_assess.client.new import new_client
from ccp_assess.client.settings import FILE as SETTINGS
from ccp_assess.errors import CcpAssessError, TableError
from ccp_assess.report.style import CRITICAL, QUIET
from ccp_assess.report.words import clean
from ccp_assess.tables import COLUMNS, LAYOUTS, header
from ccp_assess.widgets.controls import FileDrop, TableEditor
from ccp_assess.widgets.panel import LABEL, LINE, WIDE, Panel, button, panel_box, problem_html, row, said_html

BY_NAME = "By its name or content"
_TABLE_WORDS = {"sites": "Sites", "callers": "Callers", "transfers": "Transfers", "reroutes": "Rerouted audio"}
_WIDTHS = {"name": 24, "place": 20, "subnets": 24, "latitude": 9, "longitude": 9, "agents": 7}
_MOST_CLIENTS = 200


class ClientPanel(Panel):
    """A client folder: what it holds, and the means to fill it.

    Parameters
    ----------
    clients
        Where client folders lie; a new one is made there.
    folder
        The one to open; the first found if ``None``.

    Attributes
    ----------
    choice
        List of the client folders.
    name, create
        Text and button: lay out a new one.
    drop, kind, site
        Place for files; lists that say what they are and where they were taken.
    table, editor, save
        List of the tables; the chosen one; button to write it.
    said, problem
        What was done, and what is wrong.
    summary
        What the folder holds and what is unknown.
    """

    def __init__(self, clients: Path, folder: Path | None = None) -> None:
        self._clients = clients
        self._client: Client | None = None
        self._shown: TableText | None = None
        self._is_loading = False
        self.choice = ipywidgets.Dropdown(description="Client folder", style=LABEL, layout=WIDE)
        self.name = ipywidgets.Text(description="New client", placeholder="its name", style=LABEL, layout=WIDE)
        self.create = button("Lay out a folder")
        self.kind = ipywidgets.Dropdown(
            options=[(BY_NAME, ""), *kinds_for_people()], description="What it is", style=LABEL, layout=WIDE
        )
        self.site = ipywidgets.Dropdown(description="Taken at", style=LABEL, layout=WIDE)
        self.drop = FileDrop(
            self._on_file, "Captures, measurements, logs, firewall rules or tables: drop them here, or choose"
        )
        self.table = ipywidgets.Dropdown(
            options=[(words, name) for name, words in _TABLE_WORDS.items()],
            description="Table",
            style=LABEL,
            layout=WIDE,
        )
        self.editor = TableEditor()
        self.save = button("Save the table", is_primary=True)
        self.said, self.problem, self.hints = ipywidgets.HTML(), ipywidgets.HTML(), ipywidgets.HTML()
        self.summary = ipywidgets.HTML()
        self.box = panel_box(
            "client",
            "The client",
            [
                row(self.choice, self.name, self.create),
                self.problem,
                self.said,
                self.summary,
                row(self.kind, self.site),
                self.drop,
                row(self.table, self.save),
                self.hints,
                self.editor,
            ],
        )
        self._list(folder)
        self.choice.observe(self._on_choice, names="value")
        self.create.on_click(self._on_create)
        self.table.observe(self._on_table, names="value")
        self.editor.observe(self._on_rows, names="rows")
        self.save.on_click(self._on_save)
        self._open()

    @property
    def folder(self) -> Path | None:
        """The folder that is open."""
        return None if self.choice.value is None else Path(self.choice.value)

    @property
    def client(self) -> Client | None:
        """The client as read; ``None`` while its tables are wrong."""
        return self._client

    def static_html(self) -> str:
        """Return what is shown as plain HTML, for where widgets do not work.

        Returns
        -------
        html
            Summary and the chosen table.
        """
        name = "" if self.folder is None else f"<p>{escape(str(self.folder))}</p>"
        return f"<div>{name}{self.problem.value}{self.summary.value}{self.hints.value}{self._table_html()}</div>"

    def _plain_text(self) -> str:
        return f"Client folder: {self.folder}"

    def _table_html(self) -> str:
        heads = "".join(f"<th scope='col'>{escape(column['label'])}</th>" for column in self.editor.columns)
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(clean(cell, 80))}</td>" for cell in cells) + "</tr>"
            for cells in self.editor.rows
        )
        return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"

    # --- the folder ------------------------------------------------------------------------------------------

    def _list(self, wanted: Path | None) -> None:
        found = clients_below(self._clients)
        if wanted is not None and wanted not in found:
            found = [wanted, *found]
        chosen = wanted or (found[0] if found else None)
        self.choice.options = [(path.name, str(path)) for path in found]
        self.choice.value = None if chosen is None else str(chosen)

    def _on_choice(self, _change: object) -> None:
        if not self._is_loading:
            self._tell("")
            self._open()

    def _on_create(self, _button: object) -> None:
        name = " ".join(self.name.value.split())
        if not name or set(name) & set('/\\<>:"|?*') or name.startswith("."):
            self._fail('Give the new client a name that a folder can have, without / \\ : * ? " < > |.')
            return
        folder = self._clients / name
        try:
            written = new_client(folder, today=datetime.now(UTC).date())
        except CcpAssessError as error:
            self._fail(str(error))
            return
        self._is_loading = True
        self._list(folder)
        self._is_loading = False
        self._tell(f"Laid out {folder} with {len(written)} files; fill in the sites below.")
        self.table.value = "sites"
        self._open()

    def _open(self) -> None:
        """Show the folder that is chosen."""
        self._load_table()
        self._read()

    def _read(self) -> None:
        """Read the folder as the assessment would, and say what it holds."""
        self._client = None
        if self.folder is None:
            self.summary.value = f"<p style='{LINE}'>There is no client folder yet: lay one out.</p>"
            return
        try:
            self._client = read_client(self.folder)
        except CcpAssessError as error:
            self.summary.value = problem_html(str(error), "Until then nothing can be assessed.")
        else:
            self.summary.value = _summary_html(self._client)
        sites = self._client.sites if self._client else ()
        chosen = self.site.value
        self.site.options = [(BY_NAME, ""), *((f"{site.site_id}  {site.name}", site.site_id) for site in sites)]
        self.site.value = chosen if chosen in {site.site_id for site in sites} else ""

    # --- files -----------------------------------------------------------------------------------------------

    def _on_file(self, name: str, path: Path) -> str:
        if self.folder is None:
            raise TableError("choose or lay out a client folder first", file=name)
        place = file_away(self.folder, path, name, kind=self.kind.value or None, site_id=self.site.value or None)
        if place.kind == "tables":
            self._load_table()
        self._read()
        return f"{name} → {place.path.as_posix()}"

    # --- tables ----------------------------------------------------------------------------------------------

    def _on_table(self, _change: object) -> None:
        if not self._is_loading:
            self._load_table()

    def _load_table(self) -> None:
        self._shown = None
        if self.folder is None:
            self.editor.columns, self.editor.rows, self.editor.problems = [], [], []
            return
        try:
            self._shown = read_table_text(self.folder, self.table.value)
        except CcpAssessError as error:
            self._fail(str(error))
            self._shown = TableText(name=self.table.value, columns=LAYOUTS[self.table.value].columns, rows=())
        else:
            self.problem.value = ""
        self._is_loading = True
        self.editor.title = _TABLE_WORDS[self.table.value]
        self.editor.rows = []
        self.editor.columns = [_column(self._shown.name, name) for name in self._shown.columns]
        self.editor.rows = [list(cells) for cells in self._shown.rows] or [[""] * len(self._shown.columns)]
        self._is_loading = False
        self._check(self._shown.notes)

    def _edited(self) -> TableText | None:
        if self._shown is None:
            return None
        width = len(self._shown.columns)
        rows = tuple(tuple([*map(str, cells), *[""] * width][:width]) for cells in self.editor.rows)
        return replace(self._shown, rows=rows)

    def _on_rows(self, _change: object) -> None:
        if not self._is_loading:
            self._check()

    def _check(self, notes: Sequence[str] = ()) -> tuple[CellProblem, ...]:
        edited = self._edited()
        if edited is None:
            return ()
        problems = check_table_text(edited, self._sites(edited))
        self.editor.problems = [
            {"row": one.row, "column": one.column, "text": one.text} for one in problems if one.row is not None
        ]
        general = [f"{one.text[:1].upper()}{one.text[1:]}" for one in problems if one.row is None]
        self.hints.value = _hints_html(LAYOUTS[edited.name].what, notes, general)
        return problems

    def _sites(self, edited: TableText) -> tuple[Any, ...]:
        """Return the sites as they are saved, for tables that name them."""
        if edited.name != "reroutes" or self.folder is None:
            return ()
        try:
            return read_records(read_table_text(self.folder, "sites"))
        except CcpAssessError:
            return ()

    def _on_save(self, _button: object) -> None:
        edited = self._edited()
        if edited is None or self.folder is None:
            self._fail("Choose or lay out a client folder first.")
            return
        problems = self._check()
        try:
            path = write_table_text(self.folder, edited)
            if not (self.folder / SETTINGS).exists():
                new_client(self.folder)
        except CcpAssessError as error:
            self._fail(str(error))
            return
        left = f" {len(problems)} places still need attention." if problems else ""
        self._tell(f"Saved {path.name} at {datetime.now(UTC):%H:%M:%S} UTC.{left}")
        self._read()

    def _tell(self, sentence: str) -> None:
        self.problem.value, self.said.value = "", said_html(sentence)

    def _fail(self, sentence: str) -> None:
        self.problem.value, self.said.value = problem_html(sentence), ""


def clients_below(root: Path) -> list[Path]:
    """Find client folders: those with settings or with sites, in a folder or one level below it.

    Parameters
    ----------
    root
        Where to look.

    Returns
    -------
    folders
        By name.
    """
    if not root.is_dir():
        return []
    near = [root, *sorted(root.iterdir()), *sorted(root.glob("*/*"))]
    marks = (SETTINGS, LAYOUTS["sites"].file)
    found = [path for path in near if path.is_dir() and any((path / mark).is_file() for mark in marks)]
    return found[:_MOST_CLIENTS]


def show_client_panel(folder: str | Path | None = None, *, clients: str | Path | None = None) -> ClientPanel:
    """Make the client panel.

    Parameters
    ----------
    folder
        The client folder to open; the first that is found if ``None``.
    clients
        Where client folders lie; beside the one to open if ``None``.

    Returns
    -------
    panel
        Named in the last line of a cell, it shows itself.
    """
    opened = None if folder is None else Path(folder)
    place = Path(clients) if clients is not None else (opened.parent if opened is not None else Path())
    return ClientPanel(place, opened)


def _column(table: str, name: str) -> dict[str, Any]:
    layout = LAYOUTS[table]
    known = COLUMNS.get(name) if name in layout.columns else None
    return {
        "name": name,
        "label": header(name) if known else clean(name, 40),
        "help": known.meaning if known else "A column of the client's own; it is kept.",
        "required": name in layout.required,
        "choices": list(layout.choices.get(name, ())),
        "width": _WIDTHS.get(name, 12),
    }


def _summary_html(client: Client) -> str:
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in (*client.unknowns, *client.notes))
    more = (
        f"<details style='color:{QUIET}'><summary>{len(client.unknowns)} unknown, {len(client.notes)} notes</summary>"
        f"<ul style='{LINE}'>{items}</ul></details>"
        if items
        else ""
    )
    counts = (
        f"{len(client.sites)} sites with {client.agents} agents, {len(client.callers)} caller origins, "
        f"{len(client.transfers)} transfer targets, {len(client.captures)} captures, {len(client.probes)} "
        f"measurements, {len(client.logs)} logs, {len(client.rules)} files of firewall rules"
    )
    return (
        f"<div class='ccp-holds' role='status'><p style='{LINE}'><strong dir='auto'>{escape(clean(client.name, 200))}"
        f"</strong>: {counts}.</p>{more}</div>"
    )


def _hints_html(what: str, notes: Sequence[str], problems: Sequence[str]) -> str:
    said = "".join(f"<p style='{LINE};color:{QUIET}'>{escape(sentence)}</p>" for sentence in (what, *notes))
    wrong = "".join(f"<p role='alert' style='{LINE};color:{CRITICAL}'>{escape(text)}</p>" for text in problems)
    return said + wrong
