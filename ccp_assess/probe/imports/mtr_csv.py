"""mtr --csv: one line a hop; ``,`` and a header since 0.90, ``;`` and a single time in microseconds before 0.87."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

from ccp_assess.errors import ParseError
from ccp_assess.paths import Hop, RegionProbe
from ccp_assess.probe.imports.mtr import hop_of_columns, mtr_trace
from ccp_assess.probe.imports.records import destination, hop_from_sums
from ccp_assess.probe.imports.text import Line, address_or_none, clean_name, count, milliseconds

TOOL = "mtr"

ROW = re.compile(r"^\s*MTR\.[0-9][\w.+-]*\s*[,;]", re.ASCII)
HEADER = re.compile(r"^\s*Mtr_Version\s*[,;]", re.IGNORECASE)
_DEFAULT = (
    "Mtr_Version",
    "Start_Time",
    "Status",
    "Host",
    "Hop",
    "Ip",
    "Loss%",
    "Snt",
    " ",
    "Last",
    "Avg",
    "Best",
    "Wrst",
    "StDev",
)
_OLD_FIELDS = 7


def parse(lines: Sequence[Line]) -> list[RegionProbe]:
    """Read all runs of a file.

    Parameters
    ----------
    lines
        The whole text.

    Returns
    -------
    probes
        One per destination and start.

    Raises
    ------
    ParseError
        If a line does not have the header's columns.
    """
    columns: tuple[str, ...] = ()
    runs: dict[tuple[str, str], list[Hop]] = {}
    for line in lines:
        if HEADER.match(line.text):
            columns = tuple(_cells(line.text))
        elif ROW.match(line.text):
            _add(runs, _cells(line.text), columns, line.number)
    return [
        mtr_trace(wanted=destination(host), hops=hops, technique=None, time=started)
        for (host, started), hops in runs.items()
    ]


def _cells(text: str) -> list[str]:
    separator = ";" if text.count(";") > text.count(",") else ","
    return next(csv.reader([text], delimiter=separator), [])


def _add(runs: dict[tuple[str, str], list[Hop]], cells: list[str], columns: tuple[str, ...], number: int) -> None:
    if len(cells) < _OLD_FIELDS:
        raise ParseError(f"line {number}: a hop of mtr --csv has 7 fields or more, this has {len(cells)}")
    names = columns or (_DEFAULT if len(cells) > _OLD_FIELDS + 1 else ())
    by_name = dict(zip((name.strip() for name in names), cells, strict=False))
    ttl = count(cells[4])
    if ttl is None or not 1 <= ttl <= 255:
        raise ParseError(f"line {number}: the fifth field of mtr --csv is the hop, 1 to 255, and not {cells[4][:40]!r}")
    if names:
        hop = hop_of_columns(ttl, by_name.get("Ip", cells[5]), by_name, asn=by_name.get("Asn"))
    else:
        micro = milliseconds(cells[6])
        last = micro / 1000.0 if micro else None
        host = None if set(cells[5]) == {"?"} else address_or_none(cells[5]) or clean_name(cells[5])
        hop = hop_from_sums(ttl, host, sent=None, received=None, rtt_min_ms=last, rtt_avg_ms=last, rtt_max_ms=last)
    runs.setdefault((cells[3], cells[1]), []).append(hop)
