"""What a call was worth: its round trips, the rating of each direction, and what is said about it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from ccp_assess.errors import CcpAssessError
from ccp_assess.findings import Finding
from ccp_assess.quality.emodel import rate
from ccp_assess.traffic.callrecords import Call, RoundTrips, round_trips
from ccp_assess.traffic.callview import CallView
from ccp_assess.traffic.endpoints import EndpointRow
from ccp_assess.traffic.evidence import Evidence, relay_end
from ccp_assess.traffic.findings import call_findings
from ccp_assess.traffic.flows import Flow
from ccp_assess.traffic.icmperrors import IcmpError
from ccp_assess.traffic.streams import RtpStream

_CODECS = {0: "g711", 8: "g711"}
_DEFAULT_CODEC = "opus+g711"


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectionQuality:
    """One direction of a call.

    Parameters
    ----------
    loss_pct, late_pct
        Lost on the way, and too late for the jitter buffer; ``None`` where it cannot be known here [%].
    jitter_ms, jitter_mean_ms
        Of its main stream [ms].
    delay_ms
        One-way delay that the rating rests on; ``None`` without round trips [ms].
    mos_cqe, r_factor
        Narrowband E-model; ``None`` where loss or delay is unknown.
    codec
        Row of ``codecs.csv`` that the rating rests on.
    """

    loss_pct: float | None = None
    late_pct: float | None = None
    jitter_ms: float | None = None
    jitter_mean_ms: float | None = None
    delay_ms: float | None = None
    mos_cqe: float | None = None
    r_factor: float | None = None
    codec: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAssessment:
    """A call with its numbers and what they mean.

    Parameters
    ----------
    call
        The call.
    region_code
        Region of its relay, by name or published range.
    host
        Name of its relay, if known.
    relay_rtt, media_rtt
        Round trips to the relay, and to the media server.
    inbound, outbound
        Quality per direction.
    findings
        Gravest first.
    """

    call: Call
    region_code: str | None
    host: str | None
    relay_rtt: RoundTrips
    media_rtt: RoundTrips
    inbound: DirectionQuality
    outbound: DirectionQuality
    findings: tuple[Finding, ...]


def assess_calls(
    calls: Iterable[Call], evidence: Evidence, endpoints: Iterable[EndpointRow]
) -> tuple[CallAssessment, ...]:
    """Rate calls and say what is wrong with them.

    Parameters
    ----------
    calls
        As they were found.
    evidence
        What they were found in.
    endpoints
        Whose names and Regions relays have.

    Returns
    -------
    assessments
        One for each call.
    """
    by_end = {(row.address, row.port, row.transport): row for row in endpoints}
    tcp = _TcpHealth(evidence.flows)
    rejected = _rejected(evidence.flows, evidence.icmp_errors)
    return tuple(_assess_call(call, evidence, by_end, tcp, rejected.get(call.flow, ())) for call in calls)


def _assess_call(
    call: Call,
    evidence: Evidence,
    by_end: Mapping[tuple[str, int, str], EndpointRow],
    tcp: _TcpHealth,
    rejected: Sequence[IcmpError],
) -> CallAssessment:
    relay_rtt = round_trips(evidence.transactions, call.relay_rows)
    media_rtt = round_trips(evidence.transactions, call.media_rows)
    inbound = rate_direction([evidence.streams[n] for n in call.in_streams], media_rtt)
    retransmission_pct, packets = tcp.during(call)
    view = CallView(
        call=call,
        streams=evidence.streams,
        flows=evidence.flows,
        transactions=evidence.transactions,
        relay_rtt=relay_rtt,
        media_rtt=media_rtt,
        mos_cqe=inbound.mos_cqe,
        tcp_retransmission_pct=retransmission_pct,
        tcp_packets=packets,
        icmp_errors=rejected,
        leases=evidence.paths.leases(call.flow),
    )
    row = None
    if call.relay is not None:
        transport = "udp" if call.relay.transport == "udp" else "tcp"
        row = by_end.get((call.relay.address, call.relay.port, transport))
    return CallAssessment(
        call=call,
        region_code=row.region_code if row else None,
        host=row.host if row else None,
        relay_rtt=relay_rtt,
        media_rtt=media_rtt,
        inbound=inbound,
        outbound=_outbound([evidence.streams[n] for n in call.out_streams]),
        findings=tuple(call_findings(view)),
    )


class _TcpHealth:
    """What TCP connections of a workstation sent again while a call went on."""

    def __init__(self, flows: Iterable[Flow]) -> None:
        self._by_end: dict[str, list[tuple[int, int, int, int]]] = defaultdict(list)
        self._sums: dict[str, tuple[_Counted, _Counted]] = {}
        for flow in flows:
            if flow.transport == "tcp":
                repeated = flow.retransmissions_ab + flow.retransmissions_ba
                packets = flow.payload_packets_ab + flow.payload_packets_ba
                for end in {flow.a, flow.b}:
                    self._by_end[end].append((flow.first_ns, max(flow.first_ns, flow.last_ns), repeated, packets))

    def during(self, call: Call) -> tuple[float | None, int]:
        """Tell the share of segments sent again [%], and how many there were."""
        if call.agent not in self._by_end:
            return None, 0
        sums = self._sums.get(call.agent)
        if sums is None:
            rows = np.array(self._by_end[call.agent], np.int64)
            sums = self._sums[call.agent] = _Counted(rows[:, 0], rows[:, 2:]), _Counted(rows[:, 1], rows[:, 2:])
        # What had begun by the end of the call, without what had ended before it.
        repeated, packets = (sums[0].until(call.end_ns, "right") - sums[1].until(call.start_ns, "left")).tolist()
        return (100.0 * repeated / packets if packets else None), packets


class _Counted:
    """Numbers by instant, ready to be added up to any."""

    def __init__(self, times_ns: npt.NDArray[np.int64], numbers: npt.NDArray[np.int64]) -> None:
        order = np.argsort(times_ns)
        self._times_ns = times_ns[order]
        self._sums = np.concatenate([np.zeros((1, numbers.shape[1]), np.int64), np.cumsum(numbers[order], axis=0)])

    def until(self, time_ns: int, side: Literal["left", "right"]) -> npt.NDArray[np.int64]:
        """Add up those up to an instant; ``left`` leaves out what is at it."""
        sums: npt.NDArray[np.int64] = self._sums[self._times_ns.searchsorted(time_ns, side=side)]
        return sums


def rate_direction(streams: Sequence[RtpStream], media_rtt: RoundTrips) -> DirectionQuality:
    """Rate what arrived in one direction.

    Parameters
    ----------
    streams
        Its streams, main one first; retransmission streams are left out.
    media_rtt
        Round trips to the media server.

    Returns
    -------
    quality
        Narrowband E-model: one-way delay is half the median round trip plus packetisation plus playout, loss is what
        was lost plus what came too late, without an echo term.
    """
    main = [stream for stream in streams if not stream.is_retransmission]
    if not main:
        return DirectionQuality()
    first = main[0]
    expected, lost = sum(s.expected for s in main), sum(s.lost for s in main)
    loss_pct = 100.0 * lost / expected if expected else None
    late_pct = first.late_pct
    delay_ms = None
    if media_rtt.p50 is not None and first.packetization_ms is not None and first.playout_ms is not None:
        delay_ms = media_rtt.p50 / 2 + first.packetization_ms + first.playout_ms
    quality = DirectionQuality(
        loss_pct=loss_pct,
        late_pct=late_pct,
        jitter_ms=first.jitter_ms,
        jitter_mean_ms=first.jitter_mean_ms,
        delay_ms=delay_ms,
    )
    if delay_ms is None or loss_pct is None:
        return quality
    codec = _CODECS.get(first.payload_type, _DEFAULT_CODEC)
    try:
        rating = rate(delay_ms, min(max(loss_pct + (late_pct or 0.0), 0.0), 100.0), codec=codec)
    except CcpAssessError:  # outside what the model is defined for: unknown, not an invented number
        return quality
    return replace(quality, mos_cqe=rating.mos_cqe, r_factor=rating.r_factor, codec=codec)


def _outbound(streams: Sequence[RtpStream]) -> DirectionQuality:
    """Show the cadence of sending; loss after the capture point is unknown."""
    main = next((stream for stream in streams if not stream.is_retransmission), None)
    if main is None:
        return DirectionQuality()
    return DirectionQuality(jitter_ms=main.jitter_ms, jitter_mean_ms=main.jitter_mean_ms)


def _rejected(flows: Sequence[Flow], errors: Iterable[IcmpError]) -> dict[int, list[IcmpError]]:
    """Sort ICMP errors about packets towards a relay by flow."""
    found: dict[int, list[IcmpError]] = {}
    for error in errors:
        if error.flow is not None and relay_end(flows[error.flow]) == ("b" if error.from_a else "a"):
            found.setdefault(error.flow, []).append(error)
    return found
