"""Controls that ipywidgets lacks: a slider with a name, a timeline, a table to edit, a map, a place for files.

Each is an ordinary widget: set its values from code, observe them, and show it anywhere.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import anywidget
import traitlets

from ccp_assess.errors import CcpAssessError
from ccp_assess.widgets.panel import STATIC

LONGEST_FILE_NAME = 120
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


class Slider(anywidget.AnyWidget):
    """A number between two ends, by mouse, touch or keyboard, with its label where screen readers find it.

    Attributes
    ----------
    value, min, max, step
        The number, and which ones there are.
    description
        The label.
    digits, unit
        How the number is shown.
    disabled
        Whether it can be moved.
    """

    _esm = STATIC / "slider.js"
    value = traitlets.Float(0.0).tag(sync=True)
    min = traitlets.Float(0.0).tag(sync=True)
    max = traitlets.Float(1.0).tag(sync=True)
    step = traitlets.Float(0.1).tag(sync=True)
    description = traitlets.Unicode("").tag(sync=True)
    digits = traitlets.Int(1).tag(sync=True)
    unit = traitlets.Unicode("").tag(sync=True)
    disabled = traitlets.Bool(default_value=False).tag(sync=True)

    @traitlets.validate("value")
    def _within(self, proposal: Any) -> float:
        return float(min(max(proposal["value"], self.min), self.max))


class Timeline(anywidget.AnyWidget):
    """Series over time on one clock; brushing or keys zoom, hovering or keys read the values.

    Attributes
    ----------
    columns
        One mapping for each picture: ``title``, ``moments`` (mappings of ``at`` [s] and ``text``) and ``rows``,
        mappings of ``label``, ``unit``, ``top`` (upper end of the scale), ``empty`` (words where there is nothing)
        and ``series``: mappings of ``name``, ``kind`` (``bars``, ``steps``, ``lines`` or ``points``), ``colour``,
        ``dash``, ``marker`` (``dot``, ``triangle`` or empty) and ``points`` (pairs of second and value).
    length
        End of the clock [s].
    span
        Part of it that is shown [s].
    clock
        What the clock says.
    """

    _esm = STATIC / "timeline.js"
    columns: Any = traitlets.List().tag(sync=True)
    length = traitlets.Float(1.0).tag(sync=True)
    span: Any = traitlets.List([0.0, 1.0]).tag(sync=True)
    clock = traitlets.Unicode("Seconds since the call began").tag(sync=True)


class WorldMap(anywidget.AnyWidget):
    """A map to explore: marks tell what they are, Regions can be chosen.

    Attributes
    ----------
    description
        What the map shows, in words.
    land
        Outline of the countries, as an SVG path in projected degrees.
    marks
        Mappings of ``key``, ``kind`` (``site``, ``caller``, ``transfer``, ``region`` or ``chosen``), ``x``, ``y``,
        ``r``, ``colour``, ``label`` (written beside it) and ``text`` (told on hover and focus).
    legs
        Mappings of ``d`` (SVG path), ``colour``, ``width``, ``dash`` and ``text``.
    view
        Left, top, width and height that show everything.
    selected
        Key of the Region that a person chose.
    """

    _esm = STATIC / "world_map.js"
    description = traitlets.Unicode("").tag(sync=True)
    land = traitlets.Unicode("").tag(sync=True)
    marks: Any = traitlets.List().tag(sync=True)
    legs: Any = traitlets.List().tag(sync=True)
    view: Any = traitlets.List([0.0, 0.0, 360.0, 170.0]).tag(sync=True)
    selected = traitlets.Unicode("").tag(sync=True)


class TableEditor(anywidget.AnyWidget):
    """A table of texts that is edited in place, with what is wrong below the cell.

    Attributes
    ----------
    title
        Of the table, for screen readers.
    columns
        One mapping each: ``name``, ``label``, ``help``, ``required``, ``choices`` (list of words), ``width``.
    rows
        Lists of texts, a text for each column.
    problems
        Mappings of ``row`` and ``column`` (indices) and ``text``.
    """

    _esm = STATIC / "table_editor.js"
    title = traitlets.Unicode("").tag(sync=True)
    columns: Any = traitlets.List().tag(sync=True)
    rows: Any = traitlets.List().tag(sync=True)
    problems: Any = traitlets.List().tag(sync=True)


class ResultTable(anywidget.AnyWidget):
    """A table of results that its headings sort, by mouse or keyboard; what is unknown stays at the end.

    Attributes
    ----------
    title
        Above the table.
    columns
        One mapping each: ``label`` and ``numeric``; none hides the table.
    rows
        Lists of cells, a cell for each column: its words, and the value that it is sorted by (``None`` if unknown).
    sorted
        Column that the rows are sorted by (-1 for as they came), and whether from the most down.
    """

    _esm = STATIC / "result_table.js"
    title = traitlets.Unicode("").tag(sync=True)
    columns: Any = traitlets.List().tag(sync=True)
    rows: Any = traitlets.List().tag(sync=True)
    sorted: Any = traitlets.List([-1, False]).tag(sync=True)


@dataclass(slots=True)
class _Arriving:
    """A file of which pieces have come."""

    key: str
    name: str
    path: Path
    file: IO[bytes]
    bytes_expected: int
    bytes_here: int = 0


class FileDrop(anywidget.AnyWidget):
    """A place to drop files or to choose them; they arrive piece by piece, whatever their size.

    Parameters
    ----------
    received
        Called with the file's name, made harmless, and where its content lies for now; moves or reads it and returns a
        sentence for people. An error of this package is shown below the place.
    description
        What is to be dropped here.
    multiple
        Whether several at once.
    """

    _esm = STATIC / "file_drop.js"
    description = traitlets.Unicode("").tag(sync=True)
    multiple = traitlets.Bool(default_value=True).tag(sync=True)

    def __init__(self, received: Callable[[str, Path], str], description: str, *, multiple: bool = True) -> None:
        super().__init__(description=description, multiple=multiple)
        self._received = received
        self._arriving: _Arriving | None = None
        self.on_msg(self._on_message)

    def _on_message(self, _widget: object, message: dict[str, Any], buffers: list[Any]) -> None:
        try:
            self._take(message, buffers)
        except CcpAssessError as error:
            self._end("problem", str(error), message.get("id"))
        except OSError as error:
            self._end("problem", f"The file cannot be written here ({error.strerror}).", message.get("id"))

    def _take(self, message: dict[str, Any], buffers: list[Any]) -> None:
        kind, key = message.get("type"), str(message.get("id"))
        if kind == "begin":
            self._drop()
            handle, place = tempfile.mkstemp(prefix="ccp-upload-")
            self._arriving = _Arriving(
                key=key,
                name=file_name(str(message.get("name", ""))),
                path=Path(place),
                file=os.fdopen(handle, "wb"),
                bytes_expected=int(message.get("bytes", 0)),
            )
            self.send({"type": "go", "id": key, "offset": 0})
            return
        arriving = self._arriving
        if arriving is None or arriving.key != key:
            return
        if kind == "piece" and int(message.get("offset", -1)) == arriving.bytes_here:
            for piece in buffers:
                arriving.bytes_here += arriving.file.write(piece)
            self.send({"type": "go", "id": key, "offset": arriving.bytes_here})
        elif kind == "stop":
            self._end("done", f"{arriving.name}: stopped, nothing was kept.", key)
        elif kind == "end":
            arriving.file.close()
            if arriving.bytes_here != arriving.bytes_expected:
                self._end("problem", f"{arriving.name} changed while it was sent; choose it again.", key)
            else:
                self._end("done", self._received(arriving.name, arriving.path), key)

    def _end(self, kind: str, text: str, key: object) -> None:
        self._drop()
        self.send({"type": kind, "id": key, "text": text})

    def _drop(self) -> None:
        if self._arriving is not None:
            self._arriving.file.close()
            self._arriving.path.unlink(missing_ok=True)
            self._arriving = None


def file_name(name: str) -> str:
    r"""Make a name from a browser one that every system can keep, within its folder.

    Parameters
    ----------
    name
        As sent; hostile until shown otherwise.

    Returns
    -------
    name
        Without folders, control characters and marks that systems reserve; its ending stays.

    Examples
    --------
    >>> file_name("..\\..\\LIS__call:1.pcapng"), file_name("nul.txt"), file_name("")
    ('LIS__call_1.pcapng', '_nul.txt', 'file')
    """
    last = re.split(r"[/\\]", name)[-1]
    plain = "".join("_" if mark in '<>:"|?*' or not mark.isprintable() else mark for mark in last).strip(". ")
    if _RESERVED.fullmatch(plain):
        plain = f"_{plain}"
    stem, dot, ending = plain.rpartition(".")
    if len(plain) > LONGEST_FILE_NAME:
        plain = f"{stem[: LONGEST_FILE_NAME - len(ending) - 1]}{dot}{ending}"[-LONGEST_FILE_NAME:]
    return plain or "file"
