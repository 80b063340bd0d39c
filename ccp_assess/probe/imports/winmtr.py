"""WinMTR: the text table between bars, the HTML export, and the CSV of its descendants."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html.parser import HTMLParser

from ccp_assess.errors import ParseError
from ccp_assess.paths import Hop, RegionProbe
from ccp_assess.probe.imports.records import Destination, destination, hop_from_sums, traced
from ccp_assess.probe.imports.text import Line, address_or_none, bracketed_address, clean_name, count, milliseconds

TOOL = "winmtr"
MAX_HOPS = 30
MAX_CELLS = 20_000

_NUMBER = re.compile(r"[0-9]{1,9}")
_RULE = re.compile(r"[-_|\s]*")


def row(text: str) -> tuple[str, list[str]] | None:
    """Recognise the line of a hop.

    Parameters
    ----------
    text
        A line.

    Returns
    -------
    host, cells
        The cells are sent, received, best, average, worst and last; ``None`` if it is no such line.
    """
    parts = [part.strip() for part in text.strip().split("|")]
    if len(parts) != 9 or parts[0] or parts[-1] or not all(_NUMBER.fullmatch(cell) for cell in parts[2:8]):
        return None
    host, dash, loss = parts[1].rpartition(" - ")
    return (host.strip(), parts[2:8]) if dash and _NUMBER.fullmatch(loss.strip(" %")) else None


def parse(lines: Sequence[Line]) -> RegionProbe:
    """Read one table; the hop is the number of its line, for WinMTR prints none.

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
        If a line of the table is damaged.
    """
    rows: list[tuple[str, list[str]]] = []
    for line in lines:
        found = row(line.text)
        if found:
            rows.append(found)
        elif rows and line.text.count("|") > 1 and not _RULE.fullmatch(line.text):
            raise ParseError(f"line {line.number}: this line of the table is damaged, so the hops cannot be counted")
    return winmtr_trace(rows)


def winmtr_trace(rows: Sequence[tuple[str, Sequence[str]]]) -> RegionProbe:
    """Make the record of one table.

    Parameters
    ----------
    rows
        Host and the six cells of each hop, in order.

    Returns
    -------
    probe
        Path and sums.
    """
    hops = [_hop(ttl, host, cells) for ttl, (host, cells) in enumerate(rows[:255], start=1)]
    last = hops[-1] if hops else None
    reached = last is not None and last.address is not None and last.received != 0 and last.ttl < MAX_HOPS
    wanted = (
        destination(last.name or last.address, address_or_none(last.address or ""))
        if reached and last
        else Destination()
    )
    return traced(
        tool=TOOL,
        wanted=wanted,
        hops=hops,
        technique="icmp",
        reached_at=last.ttl if reached and last else None,
        rtt_resolution_ms=1,
    )


def _hop(ttl: int, host: str, cells: Sequence[str]) -> Hop:
    sent, received = count(cells[0]), count(cells[1])
    pair = bracketed_address(host)
    name, address = pair or (None, address_or_none(host) or clean_name(host))
    return hop_from_sums(
        ttl,
        address if received else None,
        name=name if received else None,
        sent=sent,
        received=received,
        rtt_min_ms=milliseconds(cells[2]),
        rtt_avg_ms=milliseconds(cells[3]),
        rtt_max_ms=milliseconds(cells[4]),
    )


class _Cells(HTMLParser):
    """Collect the cells of every table row."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.rows: list[list[str]] = []
        self.inside = False
        self.total = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - HTMLParser's own
        if tag == "tr":
            self.rows.append([])
        elif tag in {"td", "th"} and self.rows and self.total < MAX_CELLS:
            self.rows[-1].append("")
            self.total += 1
            self.inside = True

    def handle_endtag(self, tag: str) -> None:
        if tag in {"td", "th", "tr", "table"}:
            self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside and self.rows and self.rows[-1]:
            self.rows[-1][-1] += data[:1000]


def parse_html(text: str) -> RegionProbe | None:
    """Read the HTML export.

    Parameters
    ----------
    text
        The whole page.

    Returns
    -------
    probe
        ``None`` if no row has a host and seven numbers.
    """
    reader = _Cells()
    reader.feed(text)
    rows: list[tuple[str, Sequence[str]]] = []
    for cells in reader.rows:
        trimmed = [cell.strip() for cell in cells]
        if len(trimmed) >= 8 and all(re.fullmatch(r"[0-9]{1,9}\s?%?", cell) for cell in trimmed[1:8]):
            rows.append((trimmed[0], trimmed[2:8]))
    return winmtr_trace(rows) if rows else None
