"""One call, several witnesses, one clock: captures, agent logs, browser dumps and contact records side by side.

None of them sees all: a capture at the workstation sees what is lost on the way to it, the far end's reports in the log
or the dump tell what is lost on the way from it, the contact record has the service's own judgement. They are matched
by contact, by SSRC, by the packets' arrival or by time; what they say differently is named, never averaged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np

from ccp_assess.assess.clocks import Arrivals, Offset, Span, estimate_offset, match, milliseconds
from ccp_assess.assess.joined_told import Telling, conclude, contradictions
from ccp_assess.findings import Finding
from ccp_assess.traffic.limits import read_limits
from ccp_assess.units import NS_PER_MS, NS_PER_S, rfc3339_from_ns
from ccp_assess.witnesses.agent_log_entries import instant_ns
from ccp_assess.witnesses.records import Witness, WitnessCall

_ORDER = ("capture", "webrtc_internals", "getstats", "agent_log", "contact_record")
"""Whose clock is the reference, and who is joined first: what counts packets before what counts calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One file with its calls.

    Parameters
    ----------
    kind
        ``capture`` or the kind of a witness.
    file
        Its name.
    tellings
        What it says of each call.
    spans
        When each was, by its own clock.
    """

    kind: str
    file: str
    tellings: tuple[Telling, ...]
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedCall:
    """One call as its witnesses tell it.

    Parameters
    ----------
    start_ns, end_ns
        By the reference's clock, since 1970 [ns].
    tellings
        One for each witness that knows of it, in a fixed order of kinds; their times are the reference's.
    """

    start_ns: int
    end_ns: int
    tellings: tuple[Telling, ...]

    def to_document(self) -> dict[str, Any]:
        """Return the call for JSON.

        Returns
        -------
        document
            Witnesses side by side, contradictions and the conclusion.
        """
        together = conclude(self.tellings)
        return {
            "start_time": rfc3339_from_ns(self.start_ns),
            "end_time": rfc3339_from_ns(self.end_ns),
            "contact_id": next((one.contact_id for one in self.tellings if one.contact_id), None),
            "call_id": next((one.call_id for one in self.tellings if one.kind == "capture"), None),
            "witnesses": [one.to_document() for one in self.tellings],
            "contradictions": [one.to_document() for one in contradictions(self.tellings)],
            "together": together.to_document(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """What witnesses of the same calls say together.

    Parameters
    ----------
    reference
        Kind and file whose clock all times are on; ``None`` without any call.
    clocks
        Kind, file and offset of each further source.
    calls
        Calls that two or more witnesses know of, in the order of time.
    unmatched
        Kind, file and number of calls that one witness alone knows of.
    """

    reference: tuple[str, str] | None = None
    clocks: tuple[tuple[str, str, Offset], ...] = ()
    calls: tuple[JoinedCall, ...] = ()
    unmatched: tuple[tuple[str, str, int], ...] = ()
    findings: tuple[Finding, ...] = field(default=())

    def to_document(self) -> dict[str, Any]:
        """Return the join for JSON.

        Returns
        -------
        document
            ``reference``, ``clocks``, ``calls``, ``unmatched`` and ``findings``.
        """
        return {
            "reference": None if self.reference is None else {"kind": self.reference[0], "file": self.reference[1]},
            "clocks": [
                {
                    "kind": kind,
                    "file": file,
                    "offset_ms": milliseconds(offset.offset_ns) if offset.samples else None,
                    "spread_ms": milliseconds(offset.spread_ns),
                    "samples": offset.samples,
                    "basis": offset.basis,
                }
                for kind, file, offset in self.clocks
            ],
            "calls": [call.to_document() for call in self.calls],
            "unmatched": [{"kind": kind, "file": file, "calls": count} for kind, file, count in self.unmatched],
            "findings": [
                {"code": one.code, "severity": one.severity, "text": one.text, "evidence": one.evidence}
                for one in self.findings
            ],
        }


@dataclass(slots=True, kw_only=True)
class _Cluster:
    span: Span
    tellings: list[Telling]


def join(captures: Sequence[tuple[str, dict[str, Any], list[dict[str, Any]]]], witnesses: Sequence[Witness]) -> Joined:
    """Join what captures and witnesses tell of the same calls.

    Parameters
    ----------
    captures
        File, document of ``capture read`` and its one-second series, for each capture.
    witnesses
        Of one site or workstation.

    Returns
    -------
    joined
        Calls side by side, on one clock.
    """
    sources = [source_of_capture(*capture) for capture in captures]
    sources += [source_of_witness(witness) for witness in witnesses if witness.kind in _ORDER]
    sources = sorted((source for source in sources if source.spans), key=lambda one: _ORDER.index(one.kind))
    if not sources:
        return Joined()
    reference, *others = sources
    clusters = [
        _Cluster(span=span, tellings=[telling])
        for span, telling in zip(reference.spans, reference.tellings, strict=True)
    ]
    clocks = []
    for source in others:
        offset = estimate_offset([cluster.span for cluster in clusters], source.spans)
        clocks.append((source.kind, source.file, offset))
        _attach(clusters, source, offset)
    joined = tuple(
        JoinedCall(start_ns=one.span.start_ns, end_ns=one.span.end_ns, tellings=tuple(one.tellings))
        for one in sorted(clusters, key=lambda one: one.span.start_ns)
        if len(one.tellings) > 1
    )
    alone: dict[tuple[str, str], int] = {}
    for one in clusters:
        if len(one.tellings) == 1:
            key = (one.tellings[0].kind, one.tellings[0].file)
            alone[key] = alone.get(key, 0) + 1
    return Joined(
        reference=(reference.kind, reference.file),
        clocks=tuple(clocks),
        calls=joined,
        unmatched=tuple((kind, file, count) for (kind, file), count in alone.items()),
        findings=tuple(_findings(joined, clocks, reference)),
    )


def _attach(clusters: list[_Cluster], source: Source, offset: Offset) -> None:
    """Put each call of a source to the one it is, or by itself."""
    shifted = [
        replace(
            span,
            start_ns=span.start_ns + offset.offset_ns,
            end_ns=span.end_ns + offset.offset_ns,
            arrivals=_shifted(span.arrivals, offset.offset_ns),
        )
        for span in source.spans
    ]
    known = {b: a for a, b in offset.pairs}
    taken = set(known.values())
    free = [at for at in range(len(clusters)) if at not in taken]
    rest = [at for at in range(len(shifted)) if at not in known]
    # without any call in common the clocks are not known to agree, and nearness in time proves nothing
    also = match([clusters[at].span for at in free], [shifted[at] for at in rest], 0, only_one=True) if known else []
    for a, b in also:
        known[rest[b]] = free[a]
    for at, span in enumerate(shifted):
        telling = replace(source.tellings[at], offset_ns=offset.offset_ns)
        if at in known:
            cluster = clusters[known[at]]
            cluster.tellings.append(telling)
            cluster.span = replace(
                cluster.span,
                names=cluster.span.names | span.names,
                arrivals=cluster.span.arrivals or span.arrivals,
            )
        else:
            clusters.append(_Cluster(span=span, tellings=[telling]))


def _shifted(arrivals: Arrivals | None, offset_ns: int) -> Arrivals | None:
    return None if arrivals is None else replace(arrivals, time_ns=arrivals.time_ns + offset_ns)


def source_of_capture(file: str, document: dict[str, Any], seconds: Sequence[dict[str, Any]]) -> Source:
    """Take the calls of a capture.

    Parameters
    ----------
    file
        Its name.
    document
        Of ``capture read``.
    seconds
        Its one-second series.

    Returns
    -------
    source
        Calls with their SSRCs.
    """
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in seconds:
        if row.get("call_id") and row["direction"] == "in":
            rows.setdefault(str(row["call_id"]), []).append(row)
    streams: dict[str, list[dict[str, Any]]] = {}
    for stream in document["streams"]:
        if stream.get("call_id") and not stream.get("is_retransmission"):
            streams.setdefault(str(stream["call_id"]), []).append(stream)
    tellings, spans = [], []
    for call in document["calls"]:
        start_ns, end_ns = _instant(call["start_time"]), _instant(call["end_time"])
        if start_ns is None or end_ns is None:
            continue
        of = streams.get(call["call_id"], [])
        ways = {way: [one for one in of if one["direction"] == way] for way in ("in", "out")}
        ssrcs = [str(one["ssrc"]) for one in of] or [str(one) for one in call.get("ssrcs") or ()]
        tellings.append(
            Telling(
                kind="capture",
                file=file,
                name=str(call["call_id"]),
                call_id=str(call["call_id"]),
                start_ns=start_ns,
                end_ns=end_ns,
                in_packets=_sum(ways["in"], "packets"),
                in_lost=_sum(ways["in"], "lost"),
                in_loss_pct=call["in"]["loss_pct"],
                in_jitter_ms=call["in"].get("jitter_mean_ms"),
                out_packets=_sum(ways["out"], "packets"),
                out_lost_before=_sum(ways["out"], "lost"),
                rtt_ms=call["rtt_media_ms"]["p50"],
                rtt_relay_ms=call["rtt_relay_ms"]["p50"],
                outcome=_capture_outcome(call),
                whole=not call.get("running_at_start"),
            )
        )
        begun = [ns for one in ways["in"] if (ns := _instant(one["first_time"])) is not None]
        spans.append(
            Span(
                start_ns=min(begun, default=start_ns),
                end_ns=end_ns,
                names=frozenset(f"ssrc:{ssrc}" for ssrc in ssrcs),
                arrivals=_arrivals(
                    [
                        ((_instant(row["time"]) or 0) + NS_PER_S, row["packets"])
                        for row in rows.get(call["call_id"], [])
                    ],
                    begun,
                ),
                begun=not call.get("running_at_start"),
                ended=not call.get("running_at_end"),
            )
        )
    return Source(kind="capture", file=file, tellings=tuple(tellings), spans=tuple(spans))


_FAILED = (
    ("CALL_FAILED", "softphone_error"),
    ("CALL_DROPPED", "dropped"),
    ("NO_MEDIA", "no_audio"),
    ("ONE_WAY_AUDIO", "no_audio"),
)


def _capture_outcome(call: dict[str, Any]) -> str:
    codes = [str(finding["code"]) for finding in call["findings"]]
    return next((word for start, word in _FAILED if any(code.startswith(start) for code in codes)), "ok")


def _sum(rows: Sequence[dict[str, Any]], name: str) -> int | None:
    known = [row[name] for row in rows if row.get(name) is not None]
    return int(sum(known)) if known else None


def _arrivals(rows: Iterable[tuple[int, float | None]], begun: Sequence[int] = ()) -> Arrivals | None:
    """Sum packets per second to how many had come by when; only instants at which there were more than before."""
    by_time: dict[int, float] = {}
    for time_ns, packets in rows:
        by_time[time_ns] = by_time.get(time_ns, 0.0) + (packets or 0.0)
    times, counts = [], []
    total = 0.0
    if begun:
        times.append(min(begun))
        counts.append(0.0)
    for time_ns in sorted(by_time):
        if by_time[time_ns] > 0 and (not times or time_ns > times[-1]):
            total += by_time[time_ns]
            times.append(time_ns)
            counts.append(total)
    if len(times) < 3:
        return None
    return Arrivals(time_ns=np.asarray(times, np.int64), packets=np.asarray(counts, np.float64))


def source_of_witness(witness: Witness) -> Source:
    """Take the calls of a witness.

    Parameters
    ----------
    witness
        An agent log, a browser dump, getStats series or contact records.

    Returns
    -------
    source
        Calls with their contacts and SSRCs.
    """
    columns = witness.seconds.columns()
    inward = columns["out"] == 0
    tellings, spans = [], []
    for number, call in enumerate(witness.calls):
        if call.start_ns is None:
            continue
        end_ns = call.end_ns if call.end_ns is not None else call.start_ns
        mine = np.flatnonzero(inward & (columns["call"] == number)) if len(witness.seconds) else np.empty(0, int)
        packets = np.where(columns["packets"][mine] >= 0, columns["packets"][mine], 0) if len(mine) else np.empty(0)
        whole = len(mine) > 0 and call.inbound.packets is not None and int(packets.sum()) == call.inbound.packets
        arrivals = _arrivals(zip(columns["time"][mine].tolist(), packets.tolist(), strict=True)) if whole else None
        start_ns = instant_ns(call.more.get("connected_to_agent_time")) or call.start_ns
        begun_ns = int(columns["time"][mine[0]]) - NS_PER_S if arrivals is not None else start_ns
        tellings.append(_telling(witness, call, start_ns, end_ns))
        spans.append(
            Span(start_ns=max(begun_ns, start_ns), end_ns=max(end_ns, start_ns), names=_names(call), arrivals=arrivals)
        )
    return Source(kind=witness.kind, file=witness.file, tellings=tuple(tellings), spans=tuple(spans))


def _names(call: WitnessCall) -> frozenset[str]:
    ssrcs = {figures.ssrc for figures in (call.inbound, call.outbound) if figures.ssrc is not None}
    names = {f"ssrc:0x{ssrc:08x}" for ssrc in ssrcs}
    return frozenset(names | ({f"contact:{call.contact_id}"} if call.contact_id else set()))


def _telling(witness: Witness, call: WitnessCall, start_ns: int, end_ns: int) -> Telling:
    quality = (call.more.get("quality") or {}).get("agent") or {}
    document = call.to_document()
    return Telling(
        kind=witness.kind,
        file=witness.file,
        name=call.contact_id or str(call.more.get("connection") or "call"),
        contact_id=call.contact_id,
        start_ns=start_ns,
        end_ns=end_ns,
        in_packets=call.inbound.packets,
        in_lost=call.inbound.lost,
        in_loss_pct=call.inbound.loss_pct("in"),
        in_jitter_ms=call.inbound.jitter_ms,
        out_packets=call.outbound.packets,
        out_lost=call.outbound.lost,
        out_loss_pct=call.outbound.loss_pct("out"),
        out_jitter_ms=call.outbound.jitter_ms,
        rtt_ms=document["rtt_ms"]["p50"],
        outcome=call.more.get("outcome"),
        errors=tuple(call.more.get("errors") or ()),
        quality_score=quality.get("score"),
        quality_issues=None if quality.get("issues") is None else tuple(quality["issues"]),
    )


def _instant(text: Any) -> int | None:
    """Read an instant of our own documents to the microsecond."""
    if not isinstance(text, str):
        return None
    try:
        head, _, fraction = text.rstrip("Z").partition(".")
        whole = datetime.fromisoformat(f"{head}+00:00")
    except ValueError:
        return None
    return int(whole.timestamp()) * NS_PER_S + int(f"{fraction:0<9}"[:9])


def _findings(
    calls: Sequence[JoinedCall], clocks: Sequence[tuple[str, str, Offset]], reference: Source
) -> Iterable[Finding]:
    limits = read_limits()
    for kind, file, offset in clocks:
        skew_ms = abs(offset.offset_ns) / NS_PER_MS
        severity = limits["clock_skew_ms"].severity_of(skew_ms) if offset.samples else None
        if severity:
            yield Finding(
                code="CLOCKS_DISAGREE",
                severity="info",
                text=f"The clock of {file} ({kind.replace('_', ' ')}) is {offset.offset_ns / NS_PER_S:+.1f} s off that "
                f"of {reference.file}; its calls were moved by that much before they were compared.",
                evidence={"offset_ms": milliseconds(offset.offset_ns), "spread_ms": milliseconds(offset.spread_ns)},
            )
    for call in calls:
        together = conclude(call.tellings)
        if together.severity is not None:
            yield Finding(
                code="JOINED_LOSS", severity=together.severity, text=together.text, evidence=together.evidence
            )
        for one in contradictions(call.tellings):
            yield Finding(code="WITNESSES_DISAGREE", severity="info", text=one.text, evidence=one.values)
