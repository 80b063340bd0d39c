"""mtr as text: --report, --report-wide and copies of the screen; also Go and Junos programs that imitate it.

The columns are named by the header (``-o`` changes them at will) and counted from the right, since a host may hold
blanks (``name (address)``, ``AS15169  name``). Without a header the order is mtr's default.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from ccp_assess.errors import ParseError
from ccp_assess.paths import RegionProbe
from ccp_assess.probe.imports import command
from ccp_assess.probe.imports.mtr import hop_of_columns, mtr_trace
from ccp_assess.probe.imports.records import destination
from ccp_assess.probe.imports.text import Line, address_or_none

TOOL = "mtr"

HEADER = re.compile(r"^.*\bLoss%.*\bAvg\b.*$")
_DEFAULT = ("Loss%", "Snt", "Last", "Avg", "Best", "Wrst", "StDev")
_ROW = re.compile(r"^\s{0,16}(?P<ttl>[0-9]{1,3})[.:](?:\s?\|--|\s)\s*(?P<rest>\S.*?)\s*$")
_CELL = re.compile(r"-?[0-9]{1,12}(?:[.,][0-9]{1,9})?%?\Z")
_WAITING = re.compile(r"\(waiting for reply\)|\?{3}")
_MORE = re.compile(r"^\s*\|\s+(?:`\|--|\+--)\s*(?P<rest>\S.*)$|^\s{4,}(?P<bare>[0-9a-fA-F.:]{3,45})\s*$")
_START = re.compile(r"^\s*Start:\s*(?P<time>\S.*?)\s*$")


@dataclass(slots=True)
class _Row:
    ttl: int
    host: str
    cells: dict[str, str]
    others: list[str] = field(default_factory=list)


def columns_of(text: str) -> tuple[str, ...]:
    """Read the names of the columns from a header.

    Parameters
    ----------
    text
        The header's line.

    Returns
    -------
    columns
        From ``Loss%`` (or what stands first of the known ones) on.
    """
    words = text.split()
    start = next((index for index, word in enumerate(words) if word == "Loss%" or word in {"Drop", "Rcv", "Snt"}), 0)
    return tuple(words[start:])


def row(text: str, columns: tuple[str, ...] = ()) -> tuple[int, str, dict[str, str]] | None:
    """Recognise the line of a hop.

    Parameters
    ----------
    text
        A line.
    columns
        Names from the header; the default order if there is none.

    Returns
    -------
    ttl, host, cells
        ``None`` if it is no such line.
    """
    match = _ROW.match(text)
    if not match or not 1 <= int(match["ttl"]) <= 255:
        return None
    words = match["rest"].split()
    if _WAITING.fullmatch(match["rest"]):
        return int(match["ttl"]), "???", {}
    names = columns or _DEFAULT
    if len(words) > 1 and re.fullmatch(r"[.?>a-z0-9]{1,80}", words[-1]) and not _CELL.match(words[-1]):
        words, names = words[:-1], tuple(name for name in names if name != "Packets")  # a strip of dots
    numbers = 0
    while numbers < min(len(names), len(words) - 1) and _CELL.match(words[-1 - numbers]):
        numbers += 1
    if numbers < min(4, len(names)):
        return None
    if numbers < len(names):
        return None if columns else (int(match["ttl"]), " ".join(words[: len(words) - numbers]), {})
    cells = dict(zip(names, words[len(words) - numbers :], strict=True))
    return int(match["ttl"]), " ".join(words[: len(words) - numbers]), cells


def looks_like_row(text: str) -> int | None:
    """Say whether a line is a hop of mtr, whatever its columns.

    Parameters
    ----------
    text
        A line.

    Returns
    -------
    ttl
        ``None`` if it is not.
    """
    match = _ROW.match(text)
    if not match or not 1 <= int(match["ttl"]) <= 255:
        return None
    words = match["rest"].split()
    numbers = sum(bool(_CELL.match(word)) for word in words[1:])
    drawn = "|--" in text[:12]
    return int(match["ttl"]) if drawn or numbers >= 4 or _WAITING.fullmatch(match["rest"]) else None


def parse(lines: Sequence[Line]) -> RegionProbe:
    """Read one report.

    Parameters
    ----------
    lines
        Its lines, with what stands before and behind.

    Returns
    -------
    probe
        Path and sums.

    Raises
    ------
    ParseError
        If a hop's line does not have the header's columns.
    """
    columns: tuple[str, ...] = ()
    asked = command.Command()
    started: str | None = None
    rows: list[_Row] = []
    last = max((line.number for line in lines if line.text.strip()), default=0)
    notes: list[str] = []
    for line in lines:
        if not rows:
            asked = command.read(line.text) or asked
            start = _START.match(line.text)
            started = start["time"] if start else started
            columns = _header(line.text) or columns
        if looks_like_row(line.text) is None:
            if rows and (more := _MORE.match(line.text)):
                rows[-1].others.append(more["rest"] or more["bare"])
            continue
        found = row(line.text, columns)
        if found is None:
            if line.number == last and rows:  # the text was cut in the middle of its last line
                notes.append(f"line {line.number} ends too early and is left out")
                continue
            wanted = " ".join(columns or _DEFAULT)
            raise ParseError(f"line {line.number}: this hop does not have the columns {wanted}; copy the whole report")
        rows.append(_Row(ttl=found[0], host=found[1], cells=found[2]))
    hops = [hop_of_columns(r.ttl, r.host, r.cells, others=_others(r)) for r in rows]
    return mtr_trace(
        wanted=destination(asked.destination),
        hops=hops,
        technique=asked.technique,
        time=started,
        whole=not notes,
        notes=notes,
    )


def _header(text: str) -> tuple[str, ...]:
    return columns_of(text) if HEADER.match(text) and "Loss%" in text else ()


def _others(found: _Row) -> tuple[str, ...]:
    addresses = (address_or_none(text.split()[0]) for text in found.others if text.split())
    return tuple(address for address in addresses if address)
