"""pathping of Windows in any language: first the list of hops, then per hop a time and ``lost/ sent = share``.

"Source to Here" is what is taken; what a node loses of the packets sent to itself says nothing about the way through.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ccp_assess.paths import Hop, RegionProbe
from ccp_assess.probe.imports.records import hop_from_sums, traced
from ccp_assess.probe.imports.text import Line, addresses_in, bracketed_address, clean_name, count, milliseconds
from ccp_assess.probe.imports.tracert import find_destination

TOOL = "pathping"

_SHARE = r"(?:[0-9]{1,6})\s*/\s*(?:[0-9]{1,6})\s*=\s*[0-9]{1,3}\s?%"
_ROW = re.compile(
    rf"^\s{{0,16}}(?P<ttl>[0-9]{{1,3}})\s+(?P<rtt>[0-9]{{1,7}}\s*[^\s0-9/]{{0,12}}|-{{1,4}}|\*)\s+"
    rf"(?P<here>{_SHARE})\s+(?P<node>{_SHARE})\s+(?P<host>\S.*?)\s*$"
)
_LISTED = re.compile(r"^\s{1,16}(?P<ttl>[0-9]{1,3})\s{1,8}(?P<host>\S+(?:\s\[[^\]]+\])?)\s*$")


def row(text: str) -> int | None:
    """Recognise the line of a hop with its statistics.

    Parameters
    ----------
    text
        A line.

    Returns
    -------
    ttl
        ``None`` if it is no such line.
    """
    match = _ROW.match(text)
    return int(match["ttl"]) if match and 1 <= int(match["ttl"]) <= 255 else None


def listed(text: str) -> tuple[int, str] | None:
    """Recognise a line of the list that comes first.

    Parameters
    ----------
    text
        A line.

    Returns
    -------
    ttl, host
        TTL 0 is the computer itself; ``None`` if it is no such line.
    """
    match = _LISTED.match(text)
    if not match or int(match["ttl"]) > 255 or not addresses_in(match["host"]):
        return None
    return int(match["ttl"]), match["host"]


def parse(lines: Sequence[Line]) -> RegionProbe:
    """Read one run, also one that was stopped before the statistics.

    Parameters
    ----------
    lines
        Its lines, with what stands before and behind.

    Returns
    -------
    probe
        Path and averages.
    """
    wanted = find_destination(lines, lambda text: row(text) is not None or listed(text) is not None)
    hops: dict[int, Hop] = {}
    reached_at: int | None = None  # a destination on the list has answered, whatever became of the statistics
    for line in lines:
        plain = listed(line.text)
        match = _ROW.match(line.text)
        if match and 1 <= int(match["ttl"]) <= 255:
            hops[int(match["ttl"])] = _hop(match, hops.get(int(match["ttl"])))
        elif plain and plain[0] > 0 and plain[0] not in hops:
            name, address = _host(plain[1])
            hops[plain[0]] = Hop(ttl=plain[0], address=address, name=name)
            reached_at = reached_at or (plain[0] if wanted.is_it(address, name) else None)
    return traced(
        tool=TOOL, wanted=wanted, hops=list(hops.values()), technique="icmp", reached_at=reached_at, rtt_resolution_ms=1
    )


def _hop(match: re.Match[str], before: Hop | None) -> Hop:
    lost, sent = (count(text) for text in re.findall(r"[0-9]+", match["here"])[:2])
    received = sent - lost if sent is not None and lost is not None and lost <= sent else None
    name, address = _host(match["host"])
    if before is not None and address is not None and address == before.name:
        name, address = before.name, before.address  # the address was wrapped to the next line here, not in the list
    time = re.match(r"[0-9]+", match["rtt"])
    rtt = milliseconds(time.group()) if time and received != 0 else None
    return hop_from_sums(
        int(match["ttl"]),
        address,
        name=name,
        sent=sent,
        received=received,
        rtt_min_ms=None,
        rtt_avg_ms=rtt,
        rtt_max_ms=None,
    )


def _host(text: str) -> tuple[str | None, str | None]:
    pair = bracketed_address(text)
    if pair:
        return pair
    plain = addresses_in(text)
    return None, plain[0] if plain else clean_name(text)
