"""The choices of a panel, kept in the client folder and set again when the panel is opened next."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ipywidgets
import traitlets

from ccp_assess.errors import TableError
from ccp_assess.files import write_whole
from ccp_assess.shapes import parse_json
from ccp_assess.widgets.panel import button, problem_html, row, said_html

FILE = "panels.json"


class KeptChoices:
    """A button that keeps the values of controls; those kept before are set at once.

    Parameters
    ----------
    folder
        The client folder; ``None`` where there is none, and then nothing is kept.
    panel
        Name of the panel.
    controls
        Its controls by name.

    Attributes
    ----------
    keep
        Button.
    box
        The button, and what was done.
    """

    def __init__(self, folder: Path | None, panel: str, controls: Mapping[str, Any]) -> None:
        self._folder, self._panel, self._controls = folder, panel, controls
        self.keep = button("Keep these choices in the client folder")
        self.said = ipywidgets.HTML()
        self.box = row(self.keep, self.said)
        if folder is None or not folder.is_dir():
            self.box.layout.display = "none"
            return
        self.keep.on_click(self._on_keep)
        self._open(folder)

    def _open(self, folder: Path) -> None:
        try:
            kept = read_choices(folder).get(self._panel)
        except TableError as error:
            self.said.value = problem_html(str(error))
            return
        if not isinstance(kept, dict):
            return
        for name, control in self._controls.items():
            if name not in kept:
                continue
            value = tuple(kept[name]) if isinstance(kept[name], list) else kept[name]
            try:
                control.value = value
            except (traitlets.TraitError, TypeError, ValueError):  # offered no longer: the control stays as it is
                continue
        self.said.value = said_html("Opened as it was kept.")

    def _on_keep(self, _button: object) -> None:
        if self._folder is None:
            return
        try:
            choices = read_choices(self._folder)
            choices[self._panel] = {name: control.value for name, control in self._controls.items()}
            text = json.dumps(choices, ensure_ascii=False, indent=1, sort_keys=True)
            write_whole(self._folder / FILE, text)
        except TableError as error:
            self.said.value = problem_html(str(error))
        except OSError as error:
            self.said.value = problem_html(f"{FILE} cannot be written ({error.strerror}).")
        else:
            self.said.value = said_html(f"Kept in {FILE}.")


def read_choices(folder: Path) -> dict[str, Any]:
    """Read the choices of all panels.

    Parameters
    ----------
    folder
        The client folder.

    Returns
    -------
    choices
        By name of the panel.

    Raises
    ------
    TableError
        If the file holds something else.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    try:
        choices = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        choices = None
    if not isinstance(choices, dict):
        raise TableError("the kept choices cannot be read; delete the file", file=FILE)
    return choices
