"""A table of numbers as a heat map: the darker, the more; every number is written into its cell."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ccp_assess.report.style import FONT_SIZE, INK, PAPER, PART_COLOURS, QUIET, RULE, axes_for, label, tint
from ccp_assess.report.words import known

MOST_ROWS = 40
MOST_COLUMNS = 26
_DARK_SHARE = 0.58


def draw_heat_map(
    table: Any, ax: Axes | None = None, *, title: str = "", framed: Collection[tuple[str, str]] = ()
) -> tuple[Figure, Axes]:
    """Draw numbers by row and column.

    Parameters
    ----------
    table
        A data frame, or a mapping of row name to a mapping of column name to number; unknown numbers are dashes.
    ax
        Axes to draw on; a new picture without.
    title
        What the numbers are, with their unit.
    framed
        Row and column of the cells that get a frame, such as the best of each row.

    Returns
    -------
    figure, axes
        The picture, with the first 40 rows and 26 columns.
    """
    rows, columns, cells = _cells(table)
    figure, ax = axes_for(ax, 7.2, 0.75 + 0.3 * max(len(rows), 1))
    values = [value for value in cells.values() if value is not None and known(value)]
    low, high = min(values, default=0.0), max(values, default=1.0)
    words = "{:.0f}" if all(float(value).is_integer() for value in values) else "{:.1f}"  # counts are whole
    for y, row in enumerate(rows):
        for x, column in enumerate(columns):
            value = cells.get((row, column))
            if value is None or not known(value):
                _draw_unknown(ax, x, y)
                continue
            share = (value - low) / (high - low) if high > low else 0.0
            _draw_cell(ax, x, y, share, f"{value:.0f}" if abs(value) >= 10 else words.format(value))
            if (row, column) in framed:
                ax.add_patch(Rectangle((x + 0.04, y + 0.06), 0.92, 0.88, fill=False, edgecolor=INK, linewidth=1.6))
    ax.set_xlim(0, max(len(columns), 1))
    ax.set_ylim(max(len(rows), 1), 0)
    ax.set_yticks([y + 0.5 for y in range(len(rows))], [label(row, 26) for row in rows])
    ax.set_xticks([x + 0.5 for x in range(len(columns))], [label(column, 16) for column in columns])
    ax.tick_params(length=0, labelsize=FONT_SIZE, labelcolor=INK, labeltop=True, labelbottom=False)
    if len(columns) > 6:
        for tick in ax.get_xticklabels():
            tick.set_rotation(35)
            tick.set_horizontalalignment("left")
    for side in ax.spines.values():
        side.set_visible(False)
    ax.set_xlabel(title, fontsize=FONT_SIZE, color=INK)
    return figure, ax


def _draw_unknown(ax: Axes, x: int, y: int) -> None:
    ax.add_patch(Rectangle((x, y), 1, 1, facecolor=PAPER, edgecolor=RULE, linewidth=0.6))
    ax.text(x + 0.5, y + 0.5, "-", ha="center", va="center", fontsize=FONT_SIZE, color=QUIET)


def _draw_cell(ax: Axes, x: int, y: int, share: float, words: str) -> None:
    face = tint(PART_COLOURS["agent"], 0.08 + 0.92 * share)
    ax.add_patch(Rectangle((x, y), 1, 1, facecolor=face, edgecolor=PAPER, linewidth=1.0))
    colour = PAPER if share > _DARK_SHARE else INK
    ax.text(x + 0.5, y + 0.5, words, ha="center", va="center", fontsize=FONT_SIZE, color=colour)


def _cells(table: Any) -> tuple[Sequence[str], Sequence[str], dict[tuple[str, str], float | None]]:
    by_row: Mapping[Any, Mapping[Any, Any]] = table.to_dict("index") if hasattr(table, "to_dict") else table
    rows = [str(row) for row in by_row][:MOST_ROWS]
    columns = list(dict.fromkeys(str(column) for cells in by_row.values() for column in cells))[:MOST_COLUMNS]
    cells = {
        (str(row), str(column)): None if value is None else float(value)
        for row, numbers in by_row.items()
        for column, value in numbers.items()
    }
    return rows, columns, cells
