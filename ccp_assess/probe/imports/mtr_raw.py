"""mtr --raw: a line per event (``x`` sent, ``h`` host, ``p`` answer in microseconds, ``d`` name), hops from 0."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from ccp_assess.paths import RegionProbe
from ccp_assess.probe.imports import command
from ccp_assess.probe.imports.records import Answer, Destination, destination, hop_from_answers, traced
from ccp_assess.probe.imports.text import Line, address_or_none, clean_name

TOOL = "mtr"

ROW = re.compile(
    r"^\s*(?P<kind>[xhpdtm])\s(?P<hop>[0-9]{1,3})\s(?P<value>\S{1,255})(?:\s(?P<more>[0-9]{1,9}))?(?:\s[0-9]{1,9})*\s*$"
)


@dataclass(slots=True)
class _Hop:
    address: str | None = None
    name: str | None = None
    sent: list[int] = field(default_factory=list)
    times: dict[int, float] = field(default_factory=dict)


def is_it(lines: Sequence[Line]) -> bool:
    """Say whether a text is such a record: nearly all of its lines are events, and a host is among them.

    Parameters
    ----------
    lines
        The whole text.

    Returns
    -------
    is_it
        Whether it is.
    """
    said = [line.text for line in lines[:400] if line.text.strip()]
    events = [match for text in said if (match := ROW.match(text))]
    hosts = any(match["kind"] == "h" and address_or_none(match["value"]) for match in events)
    return hosts and len(events) >= 0.8 * len(said)


def parse(lines: Sequence[Line]) -> RegionProbe:
    """Read one record.

    Parameters
    ----------
    lines
        The whole text.

    Returns
    -------
    probe
        Path and single times.
    """
    hops: dict[int, _Hop] = {}
    asked = command.Command()
    for line in lines:
        match = ROW.match(line.text)
        if match is None:
            asked = command.read(line.text) or asked
            continue
        if not 0 <= int(match["hop"]) < 255:
            continue
        _note(hops.setdefault(int(match["hop"]) + 1, _Hop()), match)
    last = next((hops[ttl] for ttl in sorted(hops, reverse=True) if hops[ttl].address), None)
    wanted = destination(asked.destination)
    if wanted.name is None and last is not None:
        names = (hop.name for hop in hops.values() if hop.address == last.address and hop.name)
        wanted = Destination(name=next(names, last.address), address=last.address)
    elif wanted.address is None and last is not None:
        wanted = Destination(name=wanted.name, address=last.address)
    answers = {ttl: _answers(hop) for ttl, hop in hops.items()}
    end = min((ttl for ttl, hop in hops.items() if hop.address and wanted.is_it(hop.address)), default=None)
    kept = [hop_from_answers(ttl, said, wanted) for ttl, said in answers.items() if end is None or ttl <= end]
    return traced(
        tool=TOOL,
        wanted=wanted,
        hops=kept,
        technique=asked.technique,
        rtts_ms=[answer.rtt_ms for answer in answers[end]] if end is not None else [],
    )


def _note(hop: _Hop, match: re.Match[str]) -> None:
    value, sequence = match["value"], int(match["more"] or 0)
    if match["kind"] == "h":
        hop.address = hop.address or address_or_none(value)
    elif match["kind"] == "d":
        hop.name = clean_name(value)
    elif match["kind"] == "x" and value.isdecimal() and len(value) < 10:
        hop.sent.append(int(value))
    elif match["kind"] == "p" and value.isdecimal() and len(value) < 10:
        key = sequence if match["more"] else len(hop.times)
        hop.times.setdefault(key, int(value) / 1000.0)


def _answers(hop: _Hop) -> list[Answer]:
    """One answer per probe that was sent; where the record does not say what was sent, per answer."""
    said = Answer(address=hop.address, name=hop.name if hop.name != hop.address else None)
    order = list(dict.fromkeys(hop.sent)) or list(hop.times)
    return [
        Answer(address=said.address, name=said.name, rtt_ms=hop.times[key]) if key in hop.times else Answer()
        for key in order
    ]
