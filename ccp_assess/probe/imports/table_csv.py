"""A trace as a table (CSV) with a header: one line a hop; the columns are known by their names in many spellings."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

from ccp_assess.errors import ParseError
from ccp_assess.paths import Hop, RegionProbe
from ccp_assess.probe.imports.records import Destination, destination, hop_from_sums, received_from_loss, traced
from ccp_assess.probe.imports.text import (
    Line,
    address_or_none,
    asn_or_none,
    bracketed_address,
    clean_name,
    count,
    milliseconds,
)

TOOL = "csv"

_NAMES = {
    "ttl": {"ttl", "hop", "hops", "nr", "no", "#", "hop#"},
    "host": {"host", "hostname", "name", "node", "dns name"},
    "address": {"address", "ip", "ip address", "addr", "addrs", "ips", "ipaddress", "host ip"},
    "destination": {"destination", "target", "dst", "dest"},
    "loss": {"loss", "loss%", "loss %", "loss_pct", "pl%", "% loss", "packet loss %", "loss(%)"},
    "sent": {"sent", "snt", "count", "packets sent"},
    "received": {"received", "recv", "rcv", "rcvd"},
    "best": {"best", "min", "rtt_min_ms", "min ms", "minimum", "best(ms)"},
    "average": {"avg", "average", "avrg", "mean", "rtt_avg_ms", "avg(ms)"},
    "worst": {"worst", "wrst", "max", "rtt_max_ms", "maximum", "worst(ms)"},
    "asn": {"asn", "as"},
}


def columns_of(text: str) -> tuple[str, list[str | None]] | None:
    """Recognise a header.

    Parameters
    ----------
    text
        A line.

    Returns
    -------
    separator, columns
        Our names, ``None`` for columns that are not used; ``None`` if the line is no such header: it needs a host or an
        address and at least one of loss, sent, best, average.
    """
    separator = max((",", ";", "\t"), key=text.count)
    cells = _cells(text, separator)
    if not 3 <= len(cells) <= 60:
        return None
    columns = [
        next((ours for ours, names in _NAMES.items() if cell.strip().casefold() in names), None) for cell in cells
    ]
    has_host = "host" in columns or "address" in columns
    measured = {"loss", "sent", "best", "average"} & set(columns)
    return (separator, columns) if has_host and measured else None


def _cells(text: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([text], delimiter=separator), [])
    except csv.Error:
        return []


def parse(lines: Sequence[Line]) -> RegionProbe:
    """Read one table.

    Parameters
    ----------
    lines
        From the header on.

    Returns
    -------
    probe
        Path and sums.

    Raises
    ------
    ParseError
        If a line has another number of cells than the header, or a hop without a number.
    """
    head = columns_of(lines[0].text)
    if head is None:
        raise ParseError(f"line {lines[0].number}: the header needs a host or address and loss, sent, best or average")
    separator, columns = head
    hops: list[Hop] = []
    stated: str | None = None
    for line in lines[1:]:
        if not line.text.strip(separator + " "):
            continue
        cells = _cells(line.text, separator)
        if len(cells) < len([c for c in columns if c]) or len(cells) > len(columns) + 1:
            raise ParseError(f"line {line.number}: this line has {len(cells)} cells and the header {len(columns)}")
        row = {name: cell.strip() for name, cell in zip(columns, cells, strict=False) if name}
        stated = stated or row.get("destination")
        hops.append(_hop(row, len(hops) + 1, line.number))
    last = hops[-1] if hops else None
    reached = last is not None and bool(last.address) and last.received != 0
    wanted = destination(stated) if stated else Destination()
    if wanted.name is None and reached and last is not None:
        wanted = destination(last.name or last.address, address_or_none(last.address or ""))
    return traced(tool=TOOL, wanted=wanted, hops=hops, technique=None)


def _hop(row: dict[str, str], position: int, number: int) -> Hop:
    ttl = count(row["ttl"]) if "ttl" in row else position
    if ttl is None or not 1 <= ttl <= 255:
        raise ParseError(f"line {number}: the hop is a number from 1 to 255, not {row.get('ttl', '')[:40]!r}")
    pair = bracketed_address(row.get("host", ""))
    name = pair[0] if pair else clean_name(row.get("host"))
    address = (
        address_or_none(row.get("address", "")) or (pair[1] if pair else None) or address_or_none(name or "") or name
    )
    silent = address is None or not re.search(r"[A-Za-z0-9]", address) or address.casefold().startswith("no response")
    loss = milliseconds(row.get("loss", "").rstrip("% "))
    sent = count(row.get("sent"))
    received = count(row.get("received"))
    received = received_from_loss(sent, loss) if received is None else received
    heard = not silent and received != 0 and loss != 100.0
    return hop_from_sums(
        ttl,
        address if heard else None,
        name=name if heard and name != address else None,
        sent=sent,
        received=received,
        rtt_min_ms=milliseconds(row.get("best")),
        rtt_avg_ms=milliseconds(row.get("average")),
        rtt_max_ms=milliseconds(row.get("worst")),
        asn=asn_or_none(row["asn"]) if row.get("asn") else None,
    )
