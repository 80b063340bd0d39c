"""Tables that people write: CSV in the dialects that spreadsheets save, read into rows that know their line.

Understood are UTF-8 with or without a byte order mark (and UTF-16 with one), the separators comma, semicolon and tab,
decimal commas, quoted cells with line breaks, and lines that begin with ``#``, which are skipped. Extra columns are
kept. Whatever cannot be read ends with one sentence that names the file, the line and the column.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from ccp_assess.errors import TableError, quoted, shortened

SEPARATORS = (",", ";", "\t")
_NAMES_LISTED = 20
_PLAIN_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:[ \u00a0\u202f'\u2019]\d{3})+(?:[.,]\d+)?")
_GROUP_MARKS = re.compile(r"[ \u00a0\u202f'\u2019]")
_TRUE_WORDS = frozenset({"true", "yes", "y", "1", "x", "wahr", "ja", "vrai", "oui"})
_FALSE_WORDS = frozenset({"false", "no", "n", "0", "falsch", "nein", "faux", "non"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a table.

    Parameters
    ----------
    file
        The table's name in messages: a file name, or a workbook and its sheet.
    line
        The line of the file where the row begins, counted from 1.
    cells
        Text by column name, without outer blanks; every column of the header is there, empty cells as ``""``.
    """

    file: str
    line: int
    cells: dict[str, str]

    def wrong(self, column: str | None, problem: str) -> TableError:
        """Make the error that names this row.

        Parameters
        ----------
        column
            The column concerned, if there is one.
        problem
            What is wrong and what to do, one sentence.

        Returns
        -------
        error
            Ready to be raised.
        """
        return TableError(problem, file=self.file, row=self.line, column=column)


def read_rows(source: Path | str, *, name: str | None = None, required: Sequence[str] = ()) -> list[Row]:
    r"""Read a table with a header line.

    Parameters
    ----------
    source
        A file (``Path``), or the text of a table (``str``).
    name
        What messages call the table; the file's own name if not given.
    required
        Columns that the header must have.

    Returns
    -------
    rows
        In the order of the file; blank lines and lines that begin with ``#`` are left out. Column names are in lower
        case with ``_`` for blanks.

    Raises
    ------
    TableError
        If the table cannot be read or a required column is missing.

    Examples
    --------
    >>> rows = read_rows("Site ID;agents\nlis;12\n", name="sites.csv")
    >>> rows[0].line, rows[0].cells
    (2, {'site_id': 'lis', 'agents': '12'})
    """
    file = name or (source.name if isinstance(source, Path) else "table")
    text = _read_text(source, file) if isinstance(source, Path) else source.removeprefix("\ufeff")
    records = _records(text, file)
    header_line, header = next(records, (0, []))
    if not header:
        raise TableError(_empty_problem(required), file=file)
    columns = _column_names(header, file=file, line=header_line)
    missing = [column for column in required if column not in columns]
    if missing:
        raise TableError(_missing_problem(missing, columns), file=file, row=header_line, column=missing[0])
    return [_row(columns, cells, file=file, line=line) for line, cells in records]


def _empty_problem(required: Sequence[str]) -> str:
    names = f" ({', '.join(required)})" if required else ""
    return f"the table is empty; its first line must name the columns{names}"


def _missing_problem(missing: Sequence[str], columns: Sequence[str]) -> str:
    noun = "column" if len(missing) == 1 else "columns"
    return f"the {noun} {', '.join(missing)} must be added; the header has {listed(columns)}"


def listed(names: Sequence[str]) -> str:
    """List the columns of somebody's header for a message: not all of very many, nor all of very long names.

    Parameters
    ----------
    names
        Of the columns.

    Returns
    -------
    text
        Such as ``site_id, place``.
    """
    more = ["..."] if len(names) > _NAMES_LISTED else []
    return ", ".join([*map(shortened, names[:_NAMES_LISTED]), *more])


def _read_text(path: Path, file: str) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise TableError("the file does not exist; check its name and folder", file=file) from None
    except OSError as error:
        reason = error.strerror or "it cannot be read"
        raise TableError(f"the file cannot be opened ({reason})", file=file) from None
    return text_from_bytes(data, file=file)


def text_from_bytes(data: bytes, *, file: str) -> str:
    """Decode the bytes of a table.

    Parameters
    ----------
    data
        Content of a file.
    file
        What messages call it.

    Returns
    -------
    text
        Without byte order mark.

    Raises
    ------
    TableError
        If it is a workbook, binary, or text in another encoding.
    """
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise TableError("this is a workbook, not CSV; save the sheet as `CSV UTF-8`", file=file)
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TableError(
            f"byte 0x{data[error.start]:02x} at offset {error.start} is not UTF-8; save the table as `CSV UTF-8`",
            file=file,
            row=line,
        ) from None
    if "\x00" in text:
        line = text.count("\n", 0, text.index("\x00")) + 1
        raise TableError("the file holds binary data, not a table of text", file=file, row=line)
    return text


def _records(text: str, file: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of every record that is neither blank nor a comment, the header first."""
    lines = _Lines(text)
    separator = _separator(text)
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)
    while True:
        lines.between_records = True
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise TableError(
                f"a quoted cell is not closed or a cell is too long ({error}); check the quotation marks",
                file=file,
                row=lines.record_line,
            ) from None
        stripped = [cell.strip() for cell in cells]
        if any(stripped):
            yield lines.record_line, stripped


class _Lines:
    """Lines for the reader; knows where each record begins, and drops comments that stand between records."""

    def __init__(self, text: str) -> None:
        self._numbered = enumerate(io.StringIO(text, newline=""), start=1)
        self.between_records = True
        self.record_line = 1

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        for number, line in self._numbered:
            if not self.between_records:
                return line
            if not _is_skipped(line, number):
                self.between_records = False
                self.record_line = number
                return line
        raise StopIteration


def _is_skipped(line: str, number: int) -> bool:
    # `sep=;` in the first line is how spreadsheets are told the separator; it is no data
    return line.lstrip().startswith("#") or (number == 1 and _declared_separator(line) is not None)


def _declared_separator(line: str) -> str | None:
    match = re.fullmatch(r"\s*\"?sep=(.)\"?\s*", line, flags=re.IGNORECASE | re.DOTALL)
    return match[1] if match and match[1] in SEPARATORS else None


def _separator(text: str) -> str:
    """Return the separator that the file declares, else the one that occurs most in the header outside quotes."""
    for number, line in enumerate(io.StringIO(text, newline=""), start=1):
        declared = _declared_separator(line) if number == 1 else None
        if declared:
            return declared
        if line.strip() and not _is_skipped(line, number):
            unquoted = re.sub(r'"[^"]*"', "", line)
            return max(SEPARATORS, key=unquoted.count)
    return SEPARATORS[0]


def _column_names(header: Sequence[str], *, file: str, line: int) -> list[str]:
    names: dict[str, None] = {}  # a header may have as many columns as a file has room for
    for number, cell in enumerate(header, start=1):
        name = re.sub(r"[\s-]+", "_", cell.lower()) or f"column_{number}"
        if name in names:
            raise TableError(
                "the header names this column twice; remove one of the two", file=file, row=line, column=name
            )
        names[name] = None
    return list(names)


def _row(columns: Sequence[str], cells: Sequence[str], *, file: str, line: int) -> Row:
    if any(cells[len(columns) :]):
        raise TableError(
            f"the row has {len(cells)} cells under {len(columns)} columns; put a cell that holds the separator "
            f'(such as a decimal comma) between quotation marks, as in "48,14"',
            file=file,
            row=line,
        )
    padded = [*cells, *[""] * (len(columns) - len(cells))]
    return Row(file=file, line=line, cells=dict(zip(columns, padded, strict=False)))


def optional_text(row: Row, column: str) -> str | None:
    """Return the text of a cell.

    Parameters
    ----------
    row
        The row.
    column
        The column; it may be absent from the table.

    Returns
    -------
    text
        ``None`` where the cell is empty or the column absent.
    """
    return row.cells.get(column) or None


def text(row: Row, column: str) -> str:
    """Return the text of a cell that must not be empty.

    Parameters
    ----------
    row
        The row.
    column
        The column.

    Returns
    -------
    text
        Not empty.

    Raises
    ------
    TableError
        If the cell is empty.
    """
    value = optional_text(row, column)
    if value is None:
        raise row.wrong(column, "the cell is empty; fill it in")
    return value


def parse_number(cell: str) -> float | None:
    """Read a number as people write it: decimal point or decimal comma, thousands in groups, a real minus sign.

    Parameters
    ----------
    cell
        Text of a cell.

    Returns
    -------
    value
        ``None`` if the text is no finite number. A lone comma is a decimal comma.

    Examples
    --------
    >>> parse_number("-8,61"), parse_number("1.234,5"), parse_number("1 234.5"), parse_number("north")
    (-8.61, 1234.5, 1234.5, None)
    """
    plain = cell.strip().replace("\u2212", "-")
    if _GROUPED.fullmatch(plain):
        plain = _GROUP_MARKS.sub("", plain)
    if re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+\.\d+", plain):  # 1,234.5
        plain = plain.replace(",", "")
    elif re.fullmatch(r"[+-]?\d{1,3}(\.\d{3})+,\d+", plain):  # 1.234,5
        plain = plain.replace(".", "").replace(",", ".")
    elif plain.count(",") == 1 and "." not in plain:
        plain = plain.replace(",", ".")
    if not (plain.isascii() and _PLAIN_NUMBER.fullmatch(plain)):
        return None
    value = float(plain)
    return value if abs(value) <= 1e300 else None


def optional_number(row: Row, column: str, *, low: float | None = None, high: float | None = None) -> float | None:
    """Return the number in a cell.

    Parameters
    ----------
    row
        The row.
    column
        The column; it may be absent from the table.
    low, high
        Smallest and largest value allowed.

    Returns
    -------
    value
        ``None`` where the cell is empty or the column absent.

    Raises
    ------
    TableError
        If the cell holds no number, or one out of range.
    """
    cell = row.cells.get(column, "")
    if not cell:
        return None
    # a percent sign may stand in a column that is in percent anyway
    bare = cell.removesuffix("%") if column.endswith("_pct") else cell
    value = parse_number(bare)
    if value is None:
        raise row.wrong(column, f"{quoted(cell)} is not a number; write it as in 48.14 or 48,14")
    if low is not None and value < low:
        raise row.wrong(column, f"{quoted(cell)} is too small; the smallest value is {low:g}")
    if high is not None and value > high:
        raise row.wrong(column, f"{quoted(cell)} is too large; the largest value is {high:g}")
    return value


def number(row: Row, column: str, *, low: float | None = None, high: float | None = None) -> float:
    """Return the number in a cell that must not be empty.

    Parameters
    ----------
    row
        The row.
    column
        The column.
    low, high
        Smallest and largest value allowed.

    Returns
    -------
    value
        A finite number.

    Raises
    ------
    TableError
        If the cell is empty, holds no number, or one out of range.

    Examples
    --------
    >>> number(Row(file="sites.csv", line=2, cells={"latitude": "48,14"}), "latitude", low=-90, high=90)
    48.14
    """
    text(row, column)
    return cast("float", optional_number(row, column, low=low, high=high))


def optional_integer(row: Row, column: str, *, low: int | None = None, high: int | None = None) -> int | None:
    """Return the whole number in a cell.

    Parameters
    ----------
    row
        The row.
    column
        The column; it may be absent from the table.
    low, high
        Smallest and largest value allowed.

    Returns
    -------
    value
        ``None`` where the cell is empty or the column absent.

    Raises
    ------
    TableError
        If the cell holds no whole number, or one out of range. ``1,234`` and ``1.234`` are refused, since they are a
        thousand for one reader and one for the other.
    """
    cell = row.cells.get(column, "")
    if re.fullmatch(r"[+-]?\d{1,3}([.,])\d{3}(\1\d{3})*", cell):
        raise row.wrong(column, f"{quoted(cell)} can be read in two ways; write the whole number without separators")
    value = optional_number(row, column, low=low, high=high)
    if value is not None and not value.is_integer():
        raise row.wrong(column, f"{quoted(cell)} is not a whole number")
    return None if value is None else int(value)


def integer(row: Row, column: str, *, low: int | None = None, high: int | None = None) -> int:
    """Return the whole number in a cell that must not be empty.

    Parameters
    ----------
    row
        The row.
    column
        The column.
    low, high
        Smallest and largest value allowed.

    Returns
    -------
    value
        A whole number.

    Raises
    ------
    TableError
        If the cell is empty, holds no whole number, or one out of range.
    """
    text(row, column)
    return cast("int", optional_integer(row, column, low=low, high=high))


def flag(row: Row, column: str, *, default: bool = False) -> bool:
    """Return whether a cell says yes.

    Parameters
    ----------
    row
        The row.
    column
        The column; it may be absent from the table.
    default
        What an empty cell means.

    Returns
    -------
    value
        ``True`` for true, yes, 1 and x, ``False`` for false, no and 0.

    Raises
    ------
    TableError
        If the cell holds another word.
    """
    cell = row.cells.get(column, "")
    if not cell:
        return default
    word = cell.lower()
    if word in _TRUE_WORDS:
        return True
    if word in _FALSE_WORDS:
        return False
    raise row.wrong(column, f"{quoted(cell)} is neither true nor false")


def choice(row: Row, column: str, choices: Sequence[str], *, default: str | None = None) -> str:
    """Return a word that must be one of a list, without regard to case.

    Parameters
    ----------
    row
        The row.
    column
        The column; it may be absent from the table.
    choices
        The words allowed, in lower case.
    default
        What an empty cell means; without it an empty cell is an error.

    Returns
    -------
    word
        One of ``choices``.

    Raises
    ------
    TableError
        If the cell holds another word, or nothing and there is no default.
    """
    cell = row.cells.get(column, "")
    if not cell and default is not None:
        return default
    word = re.sub(r"[\s-]+", "_", cell.lower())
    if word not in choices:
        raise row.wrong(column, f"{quoted(cell) if cell else 'an empty cell'} is not one of {', '.join(choices)}")
    return word
