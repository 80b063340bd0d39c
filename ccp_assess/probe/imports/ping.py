"""ping of Linux, BSD, macOS, busybox and Windows, in any language: round-trip times to a destination, no path.

Only answers of the destination count: Windows counts a router's "unreachable" as received, we do not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ccp_assess.paths import RegionProbe
from ccp_assess.probe.imports import command
from ccp_assess.probe.imports.mtr import rfc3339
from ccp_assess.probe.imports.records import Destination, destination, details, nearest_rank, region_of
from ccp_assess.probe.imports.text import (
    Line,
    address_or_none,
    addresses_in,
    bracketed_address,
    clean_name,
    count,
    milliseconds,
    without_addresses,
)

TOOL = "ping"
MAX_PROBES = 100_000

HEADER_UNIX = re.compile(r"^\s*PING6?\b.*", re.ASCII)
_TIME_UNIX = re.compile(r"[^\s=<]{1,24}[=<](?P<value>[0-9]{1,9}(?:[.,][0-9]{1,6})?)\s?ms\b")
_TTL_UNIX = re.compile(r"\b(?:ttl|hlim)=(?P<ttl>[0-9]{1,3})", re.IGNORECASE)
_SEEN_UNIX = re.compile(r"(?:icmp_seq|icmp_req|\bseq)[= ](?P<seq>[0-9]{1,9})\b", re.IGNORECASE)
_STAMP = re.compile(r"^\[(?P<time>[0-9]{9,11}\.[0-9]{1,9})\]")
_TITLE_UNIX = re.compile(r"^\s*--- (?P<name>\S{1,255}) .*---\s*$")
_COUNTS_UNIX = re.compile(r"^\s*(?P<sent>[0-9]{1,9})\s\D{1,60}?(?P<received>[0-9]{1,9})\s.*?[0-9.,]{1,9}\s?%")
_TIMES_UNIX = re.compile(
    r"=\s*(?P<min>[0-9]{1,9}(?:[.,][0-9]{1,6})?)/(?P<avg>[0-9]{1,9}(?:[.,][0-9]{1,6})?)/(?P<max>[0-9]{1,9}(?:[.,][0-9]{1,6})?)(?:/[0-9a-z.,-]{1,16})?\s*ms"
)
_VALUE_WINDOWS = re.compile(r"(?P<sign>[=<])\s*(?P<value>[0-9]{1,7})")
_TTL_WINDOWS = re.compile(r"\bTTL\s?=\s?(?P<ttl>[0-9]{1,3})", re.ASCII)
_EQUAL_WINDOWS = re.compile(r"\s=\s+([0-9]{1,9})(?![0-9%])")
_HEADER_WINDOWS = re.compile(r"(?<![0-9])[0-9]{1,5}(?![0-9])[^0-9]*[:\uff1a]\s*$")


@dataclass(slots=True)
class _Seen:
    """What the lines said so far."""

    times: dict[int, float]
    first_seq: int | None = None
    last_seq: int | None = None
    sent: int | None = None
    received: int | None = None
    low: float | None = None
    average: float | None = None
    high: float | None = None
    reply_ttl: int | None = None
    stamp: str | None = None


def kind_of(text: str) -> str | None:
    """Recognise a line of ping.

    Parameters
    ----------
    text
        A line.

    Returns
    -------
    kind
        ``unix_header``, ``unix``, ``windows_header``, ``windows``, ``windows_counts`` (sums), or ``None``.
    """
    if HEADER_UNIX.match(text) and addresses_in(text):
        return "unix_header"
    if _reply_unix(text) or _TITLE_UNIX.match(text) or _COUNTS_UNIX.match(text):
        return "unix"
    if _reply_windows(text):
        return "windows"
    if is_windows_header(text):
        return "windows_header"
    return "windows_counts" if len(_equal_windows(text)) >= 2 else None


def is_windows_header(text: str) -> bool:
    """Say whether a line announces a run of Windows' ping: an address, a number of bytes, a colon at the end.

    Parameters
    ----------
    text
        A line, in any language.

    Returns
    -------
    is_header
        Whether it does.
    """
    return bool(_HEADER_WINDOWS.search(without_addresses(text))) and bool(addresses_in(text))


def _equal_windows(text: str) -> list[int]:
    """Give the numbers behind equal signs of a line of statistics."""
    return [] if "/" in text or "<" in text else [int(found) for found in _EQUAL_WINDOWS.findall(text)]


def parse(lines: Sequence[Line]) -> RegionProbe:
    """Read one run.

    Parameters
    ----------
    lines
        Its lines, with what stands before and behind.

    Returns
    -------
    probe
        Round-trip times, without a path.
    """
    kinds = [kind_of(line.text) for line in lines]
    windows = any(kind in {"windows", "windows_counts"} for kind in kinds) and "unix" not in kinds
    return _windows(lines) if windows else _unix(lines)


def _unix(lines: Sequence[Line]) -> RegionProbe:
    seen = _Seen(times={})
    wanted = Destination()
    counts_from_one = False
    for line in lines:
        text = line.text
        reply = _reply_unix(text)
        sequence = _SEEN_UNIX.search(text)
        title = _TITLE_UNIX.match(text)
        if HEADER_UNIX.match(text) and addresses_in(text):
            wanted = _destination_unix(text)
            counts_from_one = bool(re.search(r"[0-9]\([0-9]+\)", text))  # Linux' "56(84)"
        elif sequence and (reply or not re.search(r"\b(?:ttl|hlim)=", text)):  # a reply without a time was cut
            _note_sequence(seen, int(sequence["seq"]), reply)
            stamp = _STAMP.match(text)
            seen.stamp = seen.stamp or (stamp["time"] if stamp else None)
        elif title:
            name = clean_name(title["name"])
            wanted = Destination(name=name, address=wanted.address or address_or_none(name or ""))
        elif seen.sent is None and (counts := _COUNTS_UNIX.match(text)):
            seen.sent, seen.received = count(counts["sent"]), count(counts["received"])
        elif sums := _TIMES_UNIX.search(text):
            seen.low, seen.average, seen.high = (milliseconds(sums[key]) for key in ("min", "avg", "max"))
    first = 1 if counts_from_one else min(seen.first_seq or 0, 1 if seen.first_seq else 0)
    return _probe(wanted, seen, _ordered(seen, first))


def _destination_unix(text: str) -> Destination:
    """Read ``PING name (address) ...``, ``PING name(other (address))``, ``PING6(...) from --> to``."""
    if "-->" in text:
        found = addresses_in(text.split("-->", 1)[1])
        return destination(found[0] if found else None)
    head = text.split(" from ", 1)[0]
    name = re.match(r"\s*PING6?\s+(?P<name>[^\s(]{1,255})", head)
    found = addresses_in(head)
    return destination(name["name"] if name else None, found[-1] if found else None)


def _reply_unix(text: str) -> tuple[float, int | None] | None:
    """Find time and TTL of a reply with a sequence number."""
    sequence = _SEEN_UNIX.search(text)
    time = _TIME_UNIX.search(text, sequence.end()) if sequence else None
    rtt = milliseconds(time["value"]) if time else None
    ttl = _TTL_UNIX.search(text)
    return None if rtt is None else (rtt, int(ttl["ttl"]) if ttl else None)


def _note_sequence(seen: _Seen, sequence: int, reply: tuple[float, int | None] | None) -> None:
    seen.first_seq = sequence if seen.first_seq is None else min(seen.first_seq, sequence)
    seen.last_seq = sequence if seen.last_seq is None else max(seen.last_seq, sequence)
    if reply and len(seen.times) < MAX_PROBES:
        seen.times.setdefault(sequence, reply[0])  # a duplicate is not a second probe
        seen.reply_ttl = reply[1] if reply[1] is not None else seen.reply_ttl


def _ordered(seen: _Seen, first: int) -> tuple[float | None, ...]:
    """Put the times in the order of the probes, ``None`` where no answer came."""
    end = (seen.last_seq or 0) + 1 if seen.last_seq is not None else first
    probes = seen.sent if seen.sent is not None else end - first
    span = max(end - first, probes)
    if not 0 < span <= MAX_PROBES or any(sequence < first for sequence in seen.times) or span > probes + 1:
        return tuple(seen.times.values())  # the numbers wrapped or do not fit: keep the times alone
    return tuple(seen.times.get(first + index) for index in range(max(probes, end - first)))


def _reply_windows(text: str) -> tuple[float, int | None] | None:
    """Find time and TTL of a reply: the last value before ``TTL=``; IPv6 replies have a time only."""
    ttl = _TTL_WINDOWS.search(text)
    if not addresses_in(text) or "%" in text.partition("%")[2]:
        return None
    before = text[: ttl.start()] if ttl else text
    values = list(_VALUE_WINDOWS.finditer(before))
    if not values or (ttl is None and len(values) != 1) or (ttl is None and ":" not in addresses_in(text)[0]):
        return None
    last = values[-1]
    if ttl and len(values) < 2 and ":" not in addresses_in(text)[0]:
        return None
    rtt = 0.0 if last["sign"] == "<" else milliseconds(last["value"])
    return None if rtt is None else (rtt, int(ttl["ttl"]) if ttl else None)


def _windows(lines: Sequence[Line]) -> RegionProbe:
    seen = _Seen(times={})
    wanted = Destination()
    rtts: list[float | None] = []
    asked = command.Command()
    for line in lines:
        text = line.text.strip()
        reply = _reply_windows(text)
        numbers = _equal_windows(text)
        if reply:
            rtts.append(reply[0])
            seen.reply_ttl = reply[1] if reply[1] is not None else seen.reply_ttl
        elif len(numbers) >= 3 and seen.sent is not None:  # minimum, maximum, average come behind the counts
            seen.low, seen.high, seen.average = (float(number) for number in numbers[:3])
            break
        elif len(numbers) >= 2 and seen.sent is None:
            seen.sent, seen.received = numbers[:2]
        elif is_windows_header(text) and seen.sent is None:
            found = bracketed_address(text)
            wanted = destination(found[0] or found[1], found[1]) if found else destination(addresses_in(text)[0])
            rtts = []
        elif not rtts and (typed := command.read(text)):
            asked = typed
        elif text and seen.sent is None and wanted.address is not None and not text.endswith(":"):
            rtts.append(None)  # words without a time: nobody answered, or a router refused
    if wanted.name is None:
        wanted = destination(asked.destination)
    if seen.sent is not None and len(rtts) > seen.sent:
        rtts = rtts[: seen.sent]
    return _probe(wanted, seen, tuple(rtts), resolution_ms=1)


def _probe(
    wanted: Destination, seen: _Seen, rtts: tuple[float | None, ...], resolution_ms: int | None = None
) -> RegionProbe:
    times = [rtt for rtt in rtts if rtt is not None]
    sent, received = _counts(seen, rtts, answers=len(times), lines_decide=resolution_ms is not None)
    heard = received != 0
    exact = seen.low if seen.low is not None and (not times or abs(seen.low - min(times)) <= 1.0) else None
    return RegionProbe(
        region_code=region_of(wanted),
        destination=wanted.name or wanted.address,
        rtts_ms=rtts if times else (),
        rtt_min_ms=(exact if exact is not None else min(times, default=None)) if heard else None,
        rtt_p50_ms=nearest_rank(times, 50) if times else (seen.average if heard else None),
        rtt_p95_ms=nearest_rank(times, 95),
        sent=sent,
        received=received,
        path=None,
        details=details(
            tool=TOOL,
            wanted=wanted,
            reply_ttl=seen.reply_ttl,
            rtt_avg_ms=seen.average if heard else None,
            rtt_max_ms=seen.high if heard else None,
            rtt_resolution_ms=resolution_ms,
            time=rfc3339(seen.stamp),
        ),
    )


def _counts(
    seen: _Seen, rtts: tuple[float | None, ...], *, answers: int, lines_decide: bool
) -> tuple[int | None, int | None]:
    """Settle sent and received where lines and sums differ: Windows' sums count refusals, others' lines may be cut."""
    if not rtts:
        return seen.sent, seen.received  # only the sums were kept
    whole = lines_decide and (seen.sent is None or len(rtts) >= seen.sent)
    received = answers if whole or seen.received is None else max(seen.received, answers)
    return max(seen.sent, received) if seen.sent is not None else len(rtts), received
