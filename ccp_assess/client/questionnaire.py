"""The questionnaire that a client fills in: one sheet for each table, with choices, limits and help in the cells."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from ccp_assess.client.workbook import CLIENT_SHEET, SETTINGS
from ccp_assess.regions import read_regions
from ccp_assess.services import service_names
from ccp_assess.tables import COLUMNS, LAYOUTS, TableLayout

ROWS_PREPARED = 300
"""Rows below the header that carry choices and help (count)."""

LONGEST_PROMPT = 255
LONGEST_TITLE = 32
"""Limits of the file format on help in cells (characters)."""

_HEADER_ROW = 3
_FIRST_ROW = _HEADER_ROW + 1
_GUIDE = (
    "Questionnaire for the choice of an AWS Region for Amazon Connect",
    "Fill in the sheet `sites`; the others as far as you know. Leave empty what you do not know: nothing is guessed.",
    "Dark column heads are needed. A place is a city with its country (Lisbon, PT); or give latitude and longitude.",
    "Rows whose first cell begins with # are examples and are not read. Columns of your own may be added.",
    "Save as .xlsx and send the file back, or put it into the client folder as questionnaire.xlsx.",
)
_SETTING_HELP = {
    "name": "Name of your organisation.",
    "date": "Day on which this was true, as 2026-11-23.",
    "allowed_regions": "AWS Regions that may be used, separated by commas; empty: all.",
    "excluded_regions": "AWS Regions that may not be used, separated by commas.",
    "residency": "Where data may lie: ISO country codes or EU, separated by commas; empty: anywhere.",
    "services": "Services that the Region must offer, separated by commas; the known ones are listed below.",
    "resiliency_pair": "Whether a second Region shall stand by (Global Resiliency): true or false.",
    "govcloud": "Whether you have an AWS GovCloud account: true or false.",
    "weight_agents": "How much the agents' delay matters, 0 or more; empty: 1.",
    "weight_callers": "How much the callers' delay matters, 0 or more; empty: 1.",
    "weight_transfers": "How much the delay of transfers matters, 0 or more; empty: 1.",
    "weight_hops": "How much the number of hops matters, 0 or more; empty: 0.",
    "use_case": "What it is for: voice, video, telephone_only, media_less or chat; empty: voice.",
}
_RANGES = {"latitude": (-90, 90), "longitude": (-180, 180)}
_WIDTHS = {"name": 28, "place": 24, "subnets": 36, "site_id": 14, "origin_id": 16, "target_id": 16}


def questionnaire_bytes() -> bytes:
    """Make the questionnaire.

    Returns
    -------
    data
        A workbook (xlsx), the same bytes' meaning every time.
    """
    import openpyxl  # noqa: PLC0415 - a quarter of a second that reading a folder of CSV need not pay

    workbook = openpyxl.Workbook()
    workbook.remove(workbook.worksheets[0])  # the empty one that every new workbook has
    _write_guide(workbook.create_sheet("Read me"))
    _write_settings(workbook.create_sheet(CLIENT_SHEET))
    for layout in LAYOUTS.values():
        _write_table(workbook.create_sheet(layout.name), layout)
    workbook.active = workbook.index(workbook["sites"])
    data = BytesIO()
    workbook.save(data)
    return data.getvalue()


def _write_guide(sheet: Any) -> None:
    from openpyxl.styles import Alignment, Font  # noqa: PLC0415 - as above

    sheet.column_dimensions["A"].width = 110
    for number, line in enumerate(_GUIDE, start=1):
        cell = sheet.cell(number, 1, line)
        cell.alignment = Alignment(wrap_text=True, vertical="top")
        cell.font = Font(bold=number == 1, size=14 if number == 1 else 11)
    for number, layout in enumerate(LAYOUTS.values(), start=len(_GUIDE) + 2):
        sheet.cell(number, 1, f"{layout.name}: {layout.what}").alignment = Alignment(wrap_text=True)


def _write_settings(sheet: Any) -> None:
    from openpyxl.styles import Alignment  # noqa: PLC0415 - as above

    for letter, width in (("A", 20), ("B", 44), ("C", 90)):
        sheet.column_dimensions[letter].width = width
    for column, text in enumerate(("key", "value", "help"), start=1):
        _style_header(sheet.cell(1, column, text), is_needed=False)
    for row, key in enumerate(SETTINGS, start=2):
        sheet.cell(row, 1, key)
        sheet.cell(row, 2).number_format = "@" if key in ("name", "date") else "General"
        help_cell = sheet.cell(row, 3, _SETTING_HELP[key])
        help_cell.alignment = Alignment(wrap_text=True, vertical="top")
        _add_validation(sheet, f"B{row}", title=key, prompt=_SETTING_HELP[key], **_setting_limits(key))
    lists = (("Regions", read_regions()), ("services", service_names()))
    for row, (what, names) in enumerate(lists, start=len(SETTINGS) + 3):
        sheet.cell(row, 3, f"Known {what}: {', '.join(names)}").alignment = Alignment(wrap_text=True)
    sheet.freeze_panes = "B2"


def _setting_limits(key: str) -> dict[str, Any]:
    if key in ("resiliency_pair", "govcloud"):
        return {"type": "list", "formula1": '"true,false"'}
    if key.startswith("weight_"):
        return {"type": "decimal", "operator": "greaterThanOrEqual", "formula1": "0"}
    return {}


def _write_table(sheet: Any, layout: TableLayout) -> None:
    from openpyxl.styles import Alignment, Font  # noqa: PLC0415 - as above
    from openpyxl.utils import get_column_letter  # noqa: PLC0415 - as above

    sheet.cell(1, 1, layout.what).font = Font(bold=True)
    for number, name in enumerate(layout.columns, start=1):
        letter = get_column_letter(number)
        sheet.column_dimensions[letter].width = _WIDTHS.get(name, 15)
        meaning = sheet.cell(2, number, COLUMNS[name].meaning)
        meaning.font = Font(italic=True, size=9, color="00595959")
        meaning.alignment = Alignment(wrap_text=True, vertical="top")
        _style_header(sheet.cell(_HEADER_ROW, number, name), is_needed=_is_needed(name, layout))
        cells = f"{letter}{_FIRST_ROW}:{letter}{_FIRST_ROW + ROWS_PREPARED - 1}"
        prompt = _prompt(name, layout)
        _add_validation(sheet, cells, title=COLUMNS[name].label, prompt=prompt, **_limits(name, layout))
        if COLUMNS[name].kind == "text":
            for row in range(_FIRST_ROW, _FIRST_ROW + ROWS_PREPARED):
                sheet.cell(row, number).number_format = "@"  # 007 is a name, and 3-4 is no date
    sheet.row_dimensions[2].height = 60
    _write_examples(sheet, layout)
    sheet.freeze_panes = sheet.cell(_FIRST_ROW, 2)


def _write_examples(sheet: Any, layout: TableLayout) -> None:
    from openpyxl.styles import Font  # noqa: PLC0415 - as above

    for row, example in enumerate(layout.examples, start=_FIRST_ROW):
        for number, text in enumerate((f"# {example[0]}", *example[1:]), start=1):
            is_number = COLUMNS[layout.columns[number - 1]].kind in ("integer", "number")
            value: str | float | None = float(text) if is_number and text else text or None
            sheet.cell(row, number, value).font = Font(italic=True, color="00808080")


def _style_header(cell: Any, *, is_needed: bool) -> None:
    from openpyxl.styles import Font, PatternFill  # noqa: PLC0415 - as above

    cell.font = Font(bold=True, color="00FFFFFF" if is_needed else "00000000")
    colour = "001F4E79" if is_needed else "00DDEBF7"
    cell.fill = PatternFill("solid", fgColor=colour, bgColor=colour)


def _is_needed(name: str, layout: TableLayout) -> bool:
    return name in layout.required or name == layout.location[0][0]


def _prompt(name: str, layout: TableLayout) -> str:
    default = layout.defaults.get(name)
    unit = f" Unit: {COLUMNS[name].unit}." if COLUMNS[name].unit else ""
    ending = f" Empty means: {default}." if default else ""
    return f"{COLUMNS[name].meaning}{unit}{ending}"


def _limits(name: str, layout: TableLayout) -> dict[str, Any]:
    words = layout.choices.get(name)
    if words:
        return {"type": "list", "formula1": f'"{",".join(words)}"'}
    last_row = _FIRST_ROW + ROWS_PREPARED - 1
    if name == "via_site_id" or (name == "site_id" and layout.name != "sites"):
        return {"type": "list", "formula1": f"sites!$A${_FIRST_ROW}:$A${last_row}"}
    if name == layout.id_column:
        return {"type": "custom", "formula1": f"COUNTIF($A${_FIRST_ROW}:$A${last_row},A{_FIRST_ROW})=1"}
    if COLUMNS[name].kind == "integer":
        return {"type": "whole", "operator": "greaterThanOrEqual", "formula1": "0"}
    if name in _RANGES or name.endswith("_pct"):
        low, high = _RANGES.get(name, (0, 100))
        return {"type": "decimal", "operator": "between", "formula1": str(low), "formula2": str(high)}
    if COLUMNS[name].kind == "number":
        return {"type": "decimal", "operator": "greaterThan", "formula1": "0"}
    return {}


def _add_validation(sheet: Any, cells: str, *, title: str, prompt: str, **limits: Any) -> None:
    """Attach help to cells, and limits where there are any."""
    from openpyxl.worksheet.datavalidation import DataValidation  # noqa: PLC0415 - as above

    rule = DataValidation(allow_blank=True, **limits)
    rule.promptTitle, rule.prompt = title[:LONGEST_TITLE], prompt[:LONGEST_PROMPT]
    rule.showInputMessage = True
    if limits:
        rule.errorTitle, rule.error = title[:LONGEST_TITLE], _error_text(limits)[:LONGEST_PROMPT]
        rule.showErrorMessage = True
    rule.add(cells)
    sheet.add_data_validation(rule)


def _error_text(limits: dict[str, Any]) -> str:
    kind = limits["type"]
    if kind == "list" and str(limits["formula1"]).startswith('"'):
        words = str(limits["formula1"]).strip('"').split(",")
        return f"Choose one of: {', '.join(words)}."
    if kind == "list":
        return "Choose one of the sites of the sheet `sites`."
    if kind == "custom":
        return "Each name may stand here once only."
    if "formula2" in limits:
        return f"Give a number between {limits['formula1']} and {limits['formula2']}."
    return "Give a number without a sign." if kind == "whole" else "Give a number that is not negative."
