"""Tables of the fleet panel: sorted in the browser, saved as a file, or as plain HTML."""

from __future__ import annotations

import math
from datetime import date, datetime
from decimal import Decimal
from html import escape
from typing import Any

from ccp_assess.report.content.many_sites import Table
from ccp_assess.report.evidence import csv_text
from ccp_assess.report.style import QUIET, RULE
from ccp_assess.report.words import cell_for_spreadsheet, plain
from ccp_assess.widgets.controls import ResultTable
from ccp_assess.widgets.panel import download_html

MOST_ROWS = 500
"""Rows of a table that are shown; the file to save has them all."""

_MOST_STATIC = 40
_CELL = f"padding:2px 10px 2px 0;border-bottom:1px solid {RULE};text-align:left;vertical-align:top"


def fill(control: ResultTable, table: Table) -> None:
    """Show a table in a control; it is sorted as it came.

    Parameters
    ----------
    control
        Where.
    table
        What.
    """
    rows = [
        [
            [words, _sortable(row.get(column.name))]
            for words, column in zip(table.cells(row), table.columns, strict=True)
        ]
        for row in table.rows[:MOST_ROWS]
    ]
    more = f"; the first {MOST_ROWS} of {len(table.rows)}" if len(table.rows) > MOST_ROWS else ""
    with control.hold_sync():
        control.sorted = [-1, False]
        control.title = f"{table.title} ({table.note}{more})" if table.note else table.title
        control.columns = [{"label": column.label, "numeric": column.numeric} for column in table.columns]
        control.rows = rows


def clear(control: ResultTable) -> None:
    """Show nothing in a control, and leave nothing in it.

    Parameters
    ----------
    control
        Where.
    """
    with control.hold_sync():
        control.sorted = [-1, False]
        control.title, control.columns, control.rows = "", [], []


def _sortable(value: Any) -> Any:
    """Return what the browser sorts by; ``None`` for what is unknown."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bool | int | float | str):
        return value
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


def saved_html(name: str, rows: list[dict[str, Any]]) -> str:
    """Return a link that saves rows as CSV.

    Parameters
    ----------
    name
        Of the file, without its ending.
    rows
        All of them.

    Returns
    -------
    html
        A link.
    """
    flat = [
        {
            cell_for_spreadsheet(key): value.isoformat() + "Z" if isinstance(value, datetime) else value
            for key, value in row.items()
        }
        for row in rows
    ]
    words = f"Save {name}.csv ({plain(len(rows))} row{'' if len(rows) == 1 else 's'})"
    return download_html(f"{name}.csv", csv_text(flat).encode(), words, "text/csv")


def static_table(table: Table) -> str:
    """Return a table as plain HTML.

    Parameters
    ----------
    table
        What.

    Returns
    -------
    html
        With its first rows.
    """
    heads = "".join(f"<th scope='col' style='{_CELL}'>{escape(column.label)}</th>" for column in table.columns)
    body = "".join(
        "<tr>" + "".join(f"<td style='{_CELL}'>{escape(cell)}</td>" for cell in table.cells(row)) + "</tr>"
        for row in table.rows[:_MOST_STATIC]
    )
    more = f"; the first {_MOST_STATIC} of {len(table.rows)}" if len(table.rows) > _MOST_STATIC else ""
    return (
        "<div style='overflow-x:auto'><table style='border-collapse:collapse;font-size:13px'>"
        f"<caption style='text-align:left;color:{QUIET}'>{escape(table.title)} ({escape(table.note)}{more})</caption>"
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )
