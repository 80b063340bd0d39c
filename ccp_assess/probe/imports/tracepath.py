"""tracepath: ``TTL:  host  time``, one line per probe; the destination is the host that stands beside ``reached``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ccp_assess.paths import RegionProbe
from ccp_assess.probe.imports import command
from ccp_assess.probe.imports.records import Answer, destination, hop_from_answers, traced
from ccp_assess.probe.imports.text import Line, address_or_none, bracketed_address, clean_name, count, milliseconds

TOOL = "tracepath"

ROW = re.compile(r"^\s{0,16}(?P<ttl>[0-9]{1,3})(?P<guess>\?)?:\s+(?P<rest>\S.*?)\s*$")
_ANSWER = re.compile(r"^(?P<host>\S+(?:\s+\([^)]*\))?)\s+(?P<value>[0-9]{1,9}(?:[.,][0-9]{1,6})?)\s?ms\b(?P<more>.*)$")
_SILENT = re.compile(r"^(?:no reply|send failed)\b|^\S+\s+\S+$")


def row(text: str) -> tuple[int, str] | None:
    """Recognise the line of a probe.

    Parameters
    ----------
    text
        A line.

    Returns
    -------
    ttl, rest
        ``None`` if it is no such line.
    """
    match = ROW.match(text)
    if not match or not 1 <= int(match["ttl"]) <= 255:
        return None
    rest = match["rest"]
    if _ANSWER.match(rest) or rest.startswith("[LOCALHOST]") or _SILENT.match(rest):
        return int(match["ttl"]), "[LOCALHOST]" if match["guess"] else rest
    return None


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
    asked = command.Command()
    answers: dict[int, list[Answer]] = {}
    reached: tuple[int, Answer] | None = None
    path_mtu: int | None = None
    for line in lines:
        mtu = re.search(r"\bpmtu\s+([0-9]{2,5})\b", line.text)
        path_mtu = count(mtu.group(1)) if mtu else path_mtu
        found = row(line.text)
        if found is None:
            asked = asked if answers else (command.read(line.text) or asked)
            continue
        ttl, rest = found
        if rest.startswith("[LOCALHOST]"):
            continue
        answer = _answer(rest)
        answers.setdefault(ttl, []).append(answer)
        if answer.address is not None and re.search(r"\breached\b", rest):
            reached = reached or (ttl, answer)
    wanted = destination(asked.destination)
    if reached and wanted.name is None:
        wanted = destination(reached[1].name or reached[1].address, address_or_none(reached[1].address or ""))
    there = answers.get(reached[0], []) if reached else []
    return traced(
        tool=TOOL,
        wanted=wanted,
        hops=[hop_from_answers(ttl, said, wanted) for ttl, said in answers.items()],
        technique="udp",
        reached_at=reached[0] if reached else None,
        rtts_ms=[answer.rtt_ms for answer in there],
        path_mtu_bytes=path_mtu,
    )


def _answer(rest: str) -> Answer:
    match = _ANSWER.match(rest)
    if not match:
        return Answer()
    pair = bracketed_address(match["host"])
    if pair:
        return Answer(address=pair[1], name=pair[0], rtt_ms=milliseconds(match["value"]))
    host = address_or_none(match["host"]) or clean_name(match["host"])
    return Answer(address=host, rtt_ms=milliseconds(match["value"]))
