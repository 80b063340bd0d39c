"""Results of RIPE Atlas measurements: traceroute and ping, as a list, one object, or JSON Lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ccp_assess.errors import ParseError
from ccp_assess.paths import Hop, RegionProbe, Technique
from ccp_assess.probe.imports.mtr import rfc3339
from ccp_assess.probe.imports.records import (
    Answer,
    Destination,
    destination,
    details,
    hop_from_answers,
    nearest_rank,
    region_of,
    traced,
)
from ccp_assess.probe.imports.text import address_or_none, count, milliseconds

TOOL = "ripe-atlas"
MAX_RESULTS = 10_000


def is_it(document: Any) -> bool:
    """Say whether a JSON value is one result of RIPE Atlas.

    Parameters
    ----------
    document
        Any JSON value.

    Returns
    -------
    is_it
        Whether it is a traceroute or ping result.
    """
    return (
        isinstance(document, dict)
        and isinstance(document.get("result"), list)
        and ("msm_id" in document or "prb_id" in document or "dst_addr" in document or "dst_name" in document)
    )


def parse(documents: Sequence[Any]) -> list[RegionProbe]:
    """Read results.

    Parameters
    ----------
    documents
        One JSON value per result.

    Returns
    -------
    probes
        One per result that is a traceroute or a ping.

    Raises
    ------
    ParseError
        If none is.
    """
    probes = []
    for document in documents[:MAX_RESULTS]:
        if not is_it(document):
            continue
        rows = [row for row in document["result"] if isinstance(row, dict)]
        kind = document.get("type") or ("traceroute" if any("hop" in row for row in rows) else "ping")
        if kind == "traceroute":
            probes.append(_traceroute(document, rows))
        elif kind == "ping":
            probes.append(_ping(document, rows))
    if not probes:
        raise ParseError("these RIPE Atlas results are neither traceroute nor ping; give one of these two kinds")
    return probes


def _wanted(document: dict[str, Any]) -> Destination:
    name, address = document.get("dst_name"), document.get("dst_addr")
    return destination(
        name if isinstance(name, str) else (address if isinstance(address, str) else None),
        address if isinstance(address, str) else None,
    )


def _traceroute(document: dict[str, Any], rows: list[dict[str, Any]]) -> RegionProbe:
    wanted = _wanted(document)
    hops: list[Hop] = []
    there: list[Answer] = []
    for row in rows[:256]:
        ttl = count(row.get("hop"))
        if ttl is None or not 1 <= ttl <= 255:
            continue
        replies = row.get("result")
        answers = [_answer(reply) for reply in replies[:100] if _is_reply(reply)] if isinstance(replies, list) else []
        hops.append(hop_from_answers(ttl, answers, wanted))
        if not there and any(wanted.is_it(answer.address) for answer in answers):
            there = [answer for answer in answers if answer.address is None or wanted.is_it(answer.address)]
    known: dict[str, Technique] = {"ICMP": "icmp", "UDP": "udp", "TCP": "tcp"}
    return traced(
        tool=TOOL,
        wanted=wanted,
        hops=hops,
        technique=known.get(str(document.get("proto", "")).upper()),
        rtts_ms=[answer.rtt_ms for answer in there],
        time=_time(document),
        probe_id=count(document.get("prb_id")),
    )


def _is_reply(reply: Any) -> bool:
    return isinstance(reply, dict) and "late" not in reply and not reply.get("dup")


def _answer(reply: dict[str, Any]) -> Answer:
    address = address_or_none(reply["from"]) if isinstance(reply.get("from"), str) else None
    if address is None:
        return Answer()
    error = reply.get("err")
    return Answer(
        address=address,
        rtt_ms=milliseconds(reply.get("rtt")),
        annotation=f"!{str(error)[:8]}" if isinstance(error, str | int) else None,
    )


def _ping(document: dict[str, Any], rows: list[dict[str, Any]]) -> RegionProbe:
    wanted = _wanted(document)
    rtts = tuple(milliseconds(row.get("rtt")) for row in rows[:100_000] if not row.get("dup"))
    times = [rtt for rtt in rtts if rtt is not None]
    received = count(document.get("rcvd"))
    received = len(times) if received is None else received
    return RegionProbe(
        region_code=region_of(wanted),
        destination=wanted.name or wanted.address,
        rtts_ms=rtts if times else (),
        rtt_min_ms=min(times, default=milliseconds(document.get("min")) if received else None),
        rtt_p50_ms=nearest_rank(times, 50) if times else (milliseconds(document.get("avg")) if received else None),
        rtt_p95_ms=nearest_rank(times, 95),
        sent=count(document.get("sent")) or (len(rtts) or None),
        received=received,
        details=details(tool=TOOL, wanted=wanted, time=_time(document), probe_id=count(document.get("prb_id"))),
    )


def _time(document: dict[str, Any]) -> str | None:
    stamp = document.get("timestamp")
    return rfc3339(str(stamp)) if isinstance(stamp, int) and not isinstance(stamp, bool) else None
