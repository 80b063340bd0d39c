"""traceroute of Linux, BSD, macOS and routers: a TTL, then who answered, then one time per probe.

A line is read token by token, since the order differs: Linux puts the AS number behind the address and BSD before it,
several addresses may answer at one TTL (on one line, or on lines of their own), and annotations stand where they like.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ccp_assess.paths import RegionProbe, Technique
from ccp_assess.probe.imports import command
from ccp_assess.probe.imports.records import Answer, Destination, destination, hop_from_answers, traced
from ccp_assess.probe.imports.text import Line, address_or_none, asn_or_none, clean_name, milliseconds
from ccp_assess.probe.imports.tracert import find_destination

TOOL = "traceroute"

HEADER = re.compile(
    r"^\s*(?:traceroute6?|tcptraceroute|Tracing the route|Tracing route|Selected device)\b", re.IGNORECASE
)
_TO = re.compile(
    r"(?:traceroute6?\s+to|(?:route|path) to)\s+(?P<name>[^\s,(]{1,255})(?:\s{0,3}\((?P<address>[^)]{2,64})\))?",
    re.IGNORECASE,
)
_ROW = re.compile(r"^\s{0,16}(?P<ttl>[0-9]{1,3})(?:\s+)(?P<rest>\S.*)$")
_MORE = re.compile(r"^\s{2,}(?P<rest>[^\s0-9|].*|[0-9a-fA-F.:]{7,}\S*\s.*|\S+\s+\(.*)$")
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<mpls>[\[<(]?MPLS[:\s][^\]>)]{0,200}[\]>)]?(?:\s+(?:CoS|TTL|S|Exp)=[0-9]+)*)
    | (?P<asn>\[(?:AS\s*[0-9]{1,10}[^\]]{0,60}|\*|AS\?*|ASN?\s*\?*)\])
    | (?P<time>\(?(?P<value><?[0-9]{1,9}(?:[.,][0-9]{1,9})?)\s*(?:msec|ms|мс)\b\)?)
    | (?P<lost>\*+(?=[\s!^]|$))
    | (?P<note>![A-Za-z0-9<>-]{0,12}(?=\s|$|\*))
    | (?P<paren>\([^()]{0,300}\))
    | (?P<info><[^<>]{0,200}>|'[^']{0,20}'|[A-Z]=[0-9]+|\[[^\]]{0,200}\])
    | (?P<end>\^C)
    | (?P<word>\S+)
    )""",
    re.VERBOSE,
)


@dataclass(slots=True)
class _Reading:
    """Where the reader of a hop stands: who is speaking, and what was said so far."""

    answers: list[Answer]
    address: str | None = None
    name: str | None = None
    asn: int | None = None
    asn_ahead: int | None = None
    said: bool = True
    """Whether the present speaker has a time or a note yet."""
    unheard: int = 0
    """Words that were followed by neither: an address has none of them before it, a sentence has."""


def row(text: str) -> tuple[int, str] | None:
    """Recognise the line of a hop.

    Parameters
    ----------
    text
        A line.

    Returns
    -------
    ttl, rest
        ``None`` if it is no such line: it needs a time, an annotation behind an address, or a lost probe.
    """
    match = _ROW.match(text)
    if not match or not 1 <= int(match["ttl"]) <= 255:
        return None
    rest = match["rest"]
    if stars_only(rest):
        return int(match["ttl"]), rest
    reading = _read(rest)
    if reading.unheard == 0 and any(answer.address for answer in reading.answers):
        return int(match["ttl"]), rest
    return None


def stars_only(rest: str) -> bool:
    """Say whether nothing but lost probes stands on a hop's line.

    Parameters
    ----------
    rest
        The line behind its TTL.

    Returns
    -------
    silent
        Whether it is so.
    """
    return bool(re.fullmatch(r"(?:\*\s*)+(?:\^C)?\s*", rest))


def continued(text: str) -> str | None:
    """Recognise a further line of the same hop: another address that answered, or its labels.

    Parameters
    ----------
    text
        A line.

    Returns
    -------
    rest
        ``None`` if it is no such line.
    """
    match = _MORE.match(text)
    if not match:
        return None
    reading = _read(match["rest"])
    heard = any(a.address and a.rtt_ms is not None for a in reading.answers)
    return match["rest"] if heard and reading.unheard == 0 else None


def parse(lines: Sequence[Line]) -> RegionProbe:
    """Read one trace.

    Parameters
    ----------
    lines
        Its lines, with what stands before and behind.

    Returns
    -------
    probe
        Path and times.
    """
    wanted, technique = _destination(lines)
    by_ttl: dict[int, _Reading] = {}
    ttl = 0
    for line in lines:
        found = row(line.text)
        if found:
            ttl = found[0]
            by_ttl[ttl] = _read(found[1])
        elif ttl and (rest := continued(line.text)):
            _read(rest, by_ttl[ttl])
    answers = {ttl: _whole(reading) for ttl, reading in by_ttl.items()}
    hops = [hop_from_answers(ttl, said, wanted) for ttl, said in answers.items()]
    first = min((t for t, said in answers.items() if any(wanted.is_it(a.address, a.name) for a in said)), default=None)
    there = answers.get(first, ()) if first is not None else ()
    return traced(
        tool=TOOL,
        wanted=wanted,
        hops=hops,
        technique=technique,
        rtts_ms=[a.rtt_ms for a in there if a.address is None or wanted.is_it(a.address, a.name)],
    )


def _whole(reading: _Reading) -> tuple[Answer, ...]:
    return tuple(reading.answers)


def _destination(lines: Sequence[Line]) -> tuple[Destination, Technique | None]:
    """Find the destination before the first hop: in the header, else in the command that was typed."""
    asked = command.Command()
    wanted: Destination | None = None
    over_tcp = False
    for line in lines:
        if row(line.text):
            break
        asked = command.read(line.text) or asked
        match = _TO.search(line.text)
        if match:
            address = address_or_none(match["address"] or "")
            over_tcp = over_tcp or bool(re.search(r"\bon TCP port\b", line.text))
            wanted = destination(re.sub(r"^https?://", "", match["name"]), address)
    if wanted is None and asked.destination is None:
        wanted = find_destination(lines, lambda text: row(text) is not None)
    return wanted or destination(asked.destination), "tcp" if over_tcp else asked.technique


def _read(rest: str, reading: _Reading | None = None) -> _Reading:
    """Read the tokens of a line into answers."""
    state = reading or _Reading(answers=[])
    for match in _TOKEN.finditer(rest):
        kind = match.lastgroup if match.lastgroup != "value" else "time"
        text = match.group().strip()
        if match["time"]:
            _time(state, milliseconds(match["value"]))
        elif match["lost"]:
            state.answers.extend(Answer() for _ in text)
        elif match["asn"]:
            _as_number(state, asn_or_none(text) if any(c.isdigit() for c in text) else None)
        elif match["note"]:
            _note(state, text)
        elif match["paren"]:
            _parenthesis(state, text)
        elif match["end"]:
            break
        elif kind == "word":
            _speaker(state, text)
    return state


def _time(state: _Reading, rtt_ms: float | None) -> None:
    if state.address is not None and rtt_ms is not None:
        state.answers.append(Answer(address=state.address, name=state.name, rtt_ms=rtt_ms, asn=state.asn))
        state.said = True


def _note(state: _Reading, text: str) -> None:
    last = state.answers[-1] if state.answers else None
    if state.said and last is not None and last.address is not None:
        state.answers[-1] = replace(last, annotation=text)
    elif state.address is not None:  # an answer without a time, as Windows and some routers print it
        state.answers.append(Answer(address=state.address, name=state.name, asn=state.asn, annotation=text))
        state.said = True


def _as_number(state: _Reading, asn: int | None) -> None:
    if state.address is not None and not state.said:
        state.asn = asn  # Linux: behind the address
    else:
        state.asn_ahead = asn  # BSD: before it


def _parenthesis(state: _Reading, text: str) -> None:
    address = address_or_none(text)
    if address is None:
        return  # such as (TOS=0!)
    if state.said or state.address is None:
        _speaker(state, text[1:-1])  # no name before it
    elif state.address != address:
        state.name = state.name or state.address
        state.address = address


def _speaker(state: _Reading, text: str) -> None:
    if not state.said and state.address is not None:
        state.unheard += 1
    written = clean_name(re.sub(r"^https?://", "", text))
    state.address = address_or_none(text) or written
    state.name = None
    state.asn, state.asn_ahead = state.asn_ahead, None
    state.said = False
