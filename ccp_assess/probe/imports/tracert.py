"""tracert of Windows in any language: a TTL, three times in whole milliseconds or stars, then who answered.

Only the shape is read. A line of words instead of a host means that nobody answered; ``<1`` of any unit is 0 whole
milliseconds, as all times here are cut to whole ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from ccp_assess.paths import RegionProbe
from ccp_assess.probe.imports import command
from ccp_assess.probe.imports.records import Answer, Destination, destination, hop_from_answers, traced
from ccp_assess.probe.imports.text import Line, addresses_in, bracketed_address, clean_name, milliseconds

TOOL = "tracert"

_PROBE = r"(?:<?\s?[0-9]{1,7}(?:[.,][0-9]{1,6})?\s*[^\s0-9*<\[\](){}.:]{1,12}|\*|!)"
_ROW = re.compile(rf"^\s{{0,16}}(?P<ttl>[0-9]{{1,3}})\s+(?P<probes>{_PROBE}(?:\s+{_PROBE}){{2}})(?:\s+(?P<rest>.*))?$")
_UNREACHABLE = re.compile(r"^\s{0,16}(?P<ttl>[0-9]{1,3})\s+(?P<rest>\S.*)$")
_ONE = re.compile(r"(?P<lost>[*!])|(?P<value><?\s?[0-9]{1,7}(?:[.,][0-9]{1,6})?)")


def row(text: str) -> tuple[int, tuple[float | None, ...], str] | None:
    """Recognise the line of a hop.

    Parameters
    ----------
    text
        A line.

    Returns
    -------
    ttl, rtts_ms, rest
        ``None`` if it is no such line.
    """
    match = _ROW.match(text)
    if not match or not 1 <= int(match["ttl"]) <= 255:
        return None
    times = tuple(
        None if one["lost"] else milliseconds(one["value"].replace(" ", "")) for one in _ONE.finditer(match["probes"])
    )
    return int(match["ttl"]), times[:3], (match["rest"] or "").strip()


def unreachable(text: str) -> tuple[int, str, str] | None:
    """Recognise the line that ends a trace with a router's refusal: a TTL, its address and words, no times.

    Parameters
    ----------
    text
        A line.

    Returns
    -------
    ttl, address, words
        ``None`` if it is no such line.
    """
    match = _UNREACHABLE.match(text)
    if not match or not 1 <= int(match["ttl"]) <= 255:
        return None
    found = addresses_in(match["rest"])
    words = re.sub(r"^\S+(?:\s+\[[^\]]*\])?", "", match["rest"]).strip()
    return (int(match["ttl"]), found[0], words) if found and words and not re.search(r"[0-9%=*]", words) else None


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
    wanted = find_destination(lines, lambda text: row(text) is not None or unreachable(text) is not None)
    answers: dict[int, tuple[Answer, ...]] = {}
    for index, line in enumerate(lines):
        found = row(line.text)
        if found is None:
            refused = unreachable(line.text)
            if refused and refused[0] == max(answers, default=0) + 1:
                answers[refused[0]] = (Answer(address=refused[1], annotation=clean_name(refused[2])),)
            continue
        ttl, times, rest = found
        following = lines[index + 1].text if index + 1 < len(lines) else ""
        speaker = _speaker(rest, following) if any(time is not None for time in times) else None
        answers[ttl] = tuple(
            Answer() if time is None or speaker is None else Answer(address=speaker[1], name=speaker[0], rtt_ms=time)
            for time in times
        )
    hops = [hop_from_answers(ttl, said, wanted) for ttl, said in answers.items()]
    there = next(
        (said for _, said in sorted(answers.items()) if any(wanted.is_it(a.address, a.name) for a in said)), ()
    )
    return traced(
        tool=TOOL,
        wanted=wanted,
        hops=hops,
        technique="icmp",
        rtts_ms=[answer.rtt_ms for answer in there],
        rtt_resolution_ms=1,
    )


def _speaker(rest: str, following: str) -> tuple[str | None, str] | None:
    """Find who answered: ``name [address]``, an address, or a name; a name that was wrapped is joined again."""
    pair = bracketed_address(rest)
    if pair:
        return pair
    plain = addresses_in(rest)
    if plain:
        return None, plain[0]
    if following.strip() and row(following) is None and bracketed_address(following):
        pair = bracketed_address(rest + following.strip())
        if pair:
            return pair
    word = rest.split(maxsplit=1)[0] if rest.split() else ""
    name = clean_name(word)
    return (None, name) if name else None


def find_destination(lines: Sequence[Line], is_row: Callable[[str], bool]) -> Destination:
    """Find the destination before the first hop: ``name [address]``, an address, or the command that was typed.

    Parameters
    ----------
    lines
        The lines of the trace.
    is_row
        Function that says of a text whether it is the line of a hop.

    Returns
    -------
    destination
        Empty if nothing names it.
    """
    head: list[str] = []
    for line in lines:
        if is_row(line.text):
            break
        head.append(line.text)
    typed = next((found for text in reversed(head) if (found := command.read(text))), None)
    for text in reversed(head[-8:]):
        if command.read(text):
            continue
        pair = bracketed_address(text)
        if pair:
            return destination(pair[0] or pair[1], pair[1])
        plain = addresses_in(text)
        if plain:
            return destination(plain[0])
    return destination(typed.destination if typed else None)
