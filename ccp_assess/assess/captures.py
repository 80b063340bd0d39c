"""Captures to calls: scan the files, read the rare packets, bring calls together, rate them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ccp_assess.assess.capturelines import instants, transaction_lines
from ccp_assess.capture.records import Scan
from ccp_assess.endpoints import identify
from ccp_assess.errors import CcpAssessError
from ccp_assess.findings import Finding
from ccp_assess.quality.emodel import rate
from ccp_assess.ranges import read_ranges
from ccp_assess.traffic.callrecords import Call, RoundTrips, round_trips
from ccp_assess.traffic.calls import find_calls
from ccp_assess.traffic.callview import CallView
from ccp_assess.traffic.capturefindings import CaptureView, capture_findings
from ccp_assess.traffic.dialogues import Dialogue, read_dialogues
from ccp_assess.traffic.endpoints import EndpointRow, find_endpoints
from ccp_assess.traffic.evidence import Evidence, relay_end
from ccp_assess.traffic.failures import refusals
from ccp_assess.traffic.findings import call_findings
from ccp_assess.traffic.flows import Flow
from ccp_assess.traffic.handshakes import DtlsHandshake, read_handshakes
from ccp_assess.traffic.icmperrors import IcmpError, read_icmp_errors
from ccp_assess.traffic.names import DNS_PORT, Lookup, QuicConnection, names_by_address, read_lookups, read_quic
from ccp_assess.traffic.relaypaths import PathKey, RelayPaths
from ccp_assess.traffic.streams import RtpStream
from ccp_assess.traffic.transactions import OUTCOME_NAMES, join_transactions, method_name
from ccp_assess.units import rfc3339_from_ns
from ccp_assess.wire.datagram import Datagram

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""

TABLES = ("streams", "calls", "seconds", "transactions", "endpoints", "dns", "findings")
"""Tables that a capture gives."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureAssessment:
    """Everything that was found in one or several files read as one capture.

    Parameters
    ----------
    scan
        What the reader found.
    calls, endpoints, lookups, handshakes, dialogues, quic, icmp_errors
        What it means.
    transactions
        Rows of ``TRANSACTION_ROW``.
    findings
        About the capture as a whole.
    """

    scan: Scan
    calls: tuple[CallAssessment, ...]
    endpoints: tuple[EndpointRow, ...]
    lookups: tuple[Lookup, ...]
    handshakes: tuple[DtlsHandshake, ...]
    dialogues: tuple[Dialogue, ...]
    quic: tuple[QuicConnection, ...]
    icmp_errors: tuple[IcmpError, ...]
    transactions: npt.NDArray[np.void]
    findings: tuple[Finding, ...]

    @property
    def streams(self) -> tuple[RtpStream, ...]:
        """All RTP streams."""
        return self.scan.streams

    @property
    def call_ids(self) -> dict[int, str]:
        """Index of a stream → the call that it belongs to."""
        return {number: entry.call.call_id for entry in self.calls for number in entry.call.streams}

    def to_document(self, *, with_transactions: bool = True) -> dict[str, Any]:
        """Return everything as the JSON document of ``ccp-assess capture read``.

        Parameters
        ----------
        with_transactions
            False leaves that key ``None``, for who writes :meth:`transaction_lines` in its place.

        Returns
        -------
        document
            Keys ``captures``, ``endpoints``, ``dns``, ``transactions``, ``streams``, ``calls`` and ``findings``.
        """
        return {
            "captures": [_capture_row(capture) for capture in self.scan.captures],
            "endpoints": self.rows("endpoints"),
            "dns": self.rows("dns"),
            "transactions": self.rows("transactions") if with_transactions else None,
            "streams": self.rows("streams"),
            "calls": [_call_row(entry, self.scan.streams) for entry in self.calls],
            "findings": [_finding_row(finding) for finding in self.findings],
        }

    def transaction_lines(self) -> Iterator[list[str]]:
        """Write the rows of the table of transactions as JSON, some thousand at a time.

        Returns
        -------
        lines
            Lists of JSON objects; a hundred thousand rows never stand in memory at once.
        """
        return transaction_lines(self.transactions, self.scan)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return one table as plain rows.

        Parameters
        ----------
        table
            One of :data:`TABLES`.

        Returns
        -------
        rows
            With the names of the contract.
        """
        if table == "streams":
            ids = self.call_ids
            return [_stream_row(stream, ids.get(number)) for number, stream in enumerate(self.scan.streams)]
        if table == "calls":
            return [_flat(_call_row(entry, self.scan.streams)) for entry in self.calls]
        if table == "seconds":
            return list(_second_rows(self))
        if table == "transactions":
            return _transaction_rows(self.transactions, self.scan)
        if table == "endpoints":
            return [_endpoint_row(row) for row in self.endpoints]
        if table == "dns":
            return [_lookup_row(lookup) for lookup in self.lookups]
        if table == "findings":
            own = [{"call_id": None, **_finding_row(finding)} for finding in self.findings]
            of_calls = [
                {"call_id": entry.call.call_id, **_finding_row(finding)}
                for entry in self.calls
                for finding in entry.findings
            ]
            return own + of_calls
        raise KeyError(f"table {table!r} is unknown; there are {', '.join(TABLES)}")

    def to_frame(self, table: str = "calls") -> pd.DataFrame:
        """Return one table as a data frame.

        Parameters
        ----------
        table
            One of :data:`TABLES`.

        Returns
        -------
        frame
            Columns as in the contract; nested values are flattened with underscores.
        """
        import pandas as pd  # noqa: PLC0415 - half a second that the command line need not pay

        return pd.DataFrame(self.rows(table))

    def _repr_html_(self) -> str:
        """Return a small summary for notebooks."""
        rows = "".join(
            f"<tr><td>{escape(rfc3339_from_ns(entry.call.start_ns))}</td>"
            f"<td>{escape(entry.region_code or 'unknown')}</td>"
            f"<td>{_number(entry.inbound.loss_pct, '%')}</td><td>{_number(entry.inbound.jitter_mean_ms, ' ms')}</td>"
            f"<td>{_number(entry.media_rtt.p50, ' ms')}</td><td>{_number(entry.inbound.mos_cqe, '')}</td>"
            f"<td>{escape(entry.findings[0].text if entry.findings else '')}</td></tr>"
            for entry in self.calls
        )
        head = (
            "<tr><th>start</th><th>Region</th><th>loss in</th><th>jitter in</th><th>RTT</th><th>MOS</th><th></th></tr>"
        )
        return f"<table>{head}{rows}</table>"


def _number(value: float | None, unit: str) -> str:
    return "unknown" if value is None else f"{value:.2f}{unit}"


def assess_captures(
    paths: Iterable[str | Path],
    *,
    host: str | None = None,
    workers: int | None = None,
    block_bytes: int | None = None,
    progress: Progress | None = None,
    on_packets: Callable[[npt.NDArray[np.void]], None] | None = None,
) -> CaptureAssessment:
    """Read capture files as one capture and tell what calls it holds.

    Parameters
    ----------
    paths
        Files of pcap or pcapng, also compressed; ``-`` is standard input.
    host
        Address of the workstation, for captures without a relay.
    workers
        Threads to read with; ``None`` chooses.
    block_bytes
        Size of a block; ``None`` chooses. Results do not depend on it.
    progress
        Called while bytes are read.
    on_packets
        Called with rows of ``ccp_assess.wire.columns.PACKET``, in another thread.

    Returns
    -------
    assessment
        Calls, streams, endpoints and findings.

    Raises
    ------
    CaptureError
        If a file is no capture; one sentence says what it is instead.
    """
    from ccp_assess.capture.scan import scan  # noqa: PLC0415 - compiled code, loaded when needed

    def report(done: int, total: int | None) -> None:
        if progress is not None:
            progress("reading", done, total or 0)

    scanned = scan(
        [str(path) for path in paths],
        workers=workers,
        block_bytes=block_bytes,
        progress=report if progress is not None else None,
        on_packets=on_packets,
    )
    return assess_scan(scanned, host=host)


def assess_scan(scanned: Scan, *, host: str | None = None) -> CaptureAssessment:
    """Tell what calls a scan holds.

    Parameters
    ----------
    scanned
        What the reader found.
    host
        Address of the workstation, for captures without a relay.

    Returns
    -------
    assessment
        Calls, streams, endpoints and findings.
    """
    flows = scanned.flows
    segments, questions, errors, datagrams = sort_datagrams(scanned)
    ranges = read_ranges()
    paths = RelayPaths(datagrams)
    dialogues = read_dialogues(flows, segments)
    lookups = read_lookups(flows, questions, dialogues)
    quic = read_quic(flows, datagrams)
    names = names_by_address(lookups)
    records = dict(scanned.name_records)
    endpoints = find_endpoints(flows, dialogues, quic, names=names, name_records=records, host=host, ranges=ranges)
    transactions = join_transactions(scanned.stun)
    icmp_errors = read_icmp_errors(flows, errors)
    times = [(capture.first_ns, capture.last_ns) for capture in scanned.captures]
    handshakes = read_handshakes(datagrams, paths)

    def is_relay(address: str, port: int, transport: str) -> bool:
        return identify(names.get(address), address, port, transport, ranges).role == "media_relay"

    evidence = Evidence(
        flows=flows,
        streams=scanned.streams,
        transactions=transactions,
        peers=scanned.peers,
        paths=paths,
        handshakes=handshakes,
        lookups=lookups,
        dialogues=dialogues,
        icmp_errors=icmp_errors,
        cut_paths=_cut_paths(paths, datagrams),
        spans=scanned.spans,
        first_ns=min((first for first, _ in times if first is not None), default=None),
        last_ns=max((last for _, last in times if last is not None), default=None),
        host=host,
        is_relay=is_relay,
    )
    by_end = {(row.address, row.port, row.transport): row for row in endpoints}
    tcp_by_end = _tcp_by_end(scanned)
    rejected = _rejected(flows, icmp_errors)
    calls = tuple(
        _assess_call(call, scanned, transactions, by_end, tcp_by_end, rejected=rejected, leases=paths.leases(call.flow))
        for call in find_calls(evidence)
    )
    view = CaptureView(
        packets=sum(capture.packets for capture in scanned.captures),
        snaplen_cut=sum(capture.snaplen_cut for capture in scanned.captures),
        ended_early=tuple(c.ended_early for c in scanned.captures if c.ended_early),
        unread=tuple(f"{c.path}: {note}." for c in scanned.captures for note in c.unread),
        notes=tuple(f"{c.path}: {note}." for c in scanned.captures for note in c.notes),
        dropped=sum(interface.dropped or 0 for interface in scanned.interfaces),
        limits_hit=scanned.limits_hit,
        endpoints=tuple(endpoints),
        lookups=tuple(lookups),
        dialogues=tuple(dialogues),
        quic=tuple(quic),
        icmp_errors=tuple(icmp_errors),
        calls=tuple(entry.call for entry in calls),
        refusals=tuple(refusals(evidence, [entry.call for entry in calls])),
    )
    return CaptureAssessment(
        scan=scanned,
        calls=calls,
        endpoints=tuple(endpoints),
        lookups=tuple(lookups),
        handshakes=tuple(handshakes),
        dialogues=tuple(dialogues),
        quic=tuple(quic),
        icmp_errors=tuple(icmp_errors),
        transactions=transactions,
        findings=tuple(capture_findings(view)),
    )


def sort_datagrams(scanned: Scan) -> tuple[list[Datagram], list[Datagram], list[Datagram], list[Datagram]]:
    """Sort the rare packets by who reads them, in one pass.

    Parameters
    ----------
    scanned
        What the reader found.

    Returns
    -------
    segments, questions, errors, others
        TCP segments; DNS over UDP; ICMP; and STUN, DTLS and QUIC, each in order of arrival.
    """
    lists: tuple[list[Datagram], ...] = ([], [], [], [])
    kinds = [
        {"tcp": 0, "icmp": 2, "icmpv6": 2}.get(flow.transport, 1 if DNS_PORT in {flow.a_port, flow.b_port} else 3)
        for flow in scanned.flows
    ]
    for datagram in scanned.datagrams:
        kind = kinds[datagram.flow]
        # A message taken out of a TCP byte stream is read as what it is.
        lists[3 if kind == 0 and datagram.framed else kind].append(datagram)
    return lists[0], lists[1], lists[2], lists[3]


def _rejected(flows: Sequence[Flow], errors: list[IcmpError]) -> dict[int, list[IcmpError]]:
    """Sort ICMP errors about packets towards a relay by flow."""
    found: dict[int, list[IcmpError]] = {}
    for error in errors:
        if error.flow is not None and relay_end(flows[error.flow]) == ("b" if error.from_a else "a"):
            found.setdefault(error.flow, []).append(error)
    return found


def _cut_paths(paths: RelayPaths, datagrams: list[Datagram]) -> dict[PathKey, int]:
    """Find the paths whose connectivity checks the snaplen cut, and when the first was sent."""
    found: dict[PathKey, int] = {}
    for datagram in datagrams:
        is_cut = len(datagram.payload) < datagram.length
        if is_cut and (datagram.channel or datagram.peer) and datagram.payload[:1] < b"\x04":
            key = paths.key(datagram.flow, datagram.channel, datagram.peer, datagram.time_ns)
            found.setdefault(key, datagram.time_ns)
    return found


def _assess_call(
    call: Call,
    scanned: Scan,
    transactions: npt.NDArray[np.void],
    by_end: dict[tuple[str, int, str], EndpointRow],
    tcp_by_end: dict[str, list[Flow]],
    *,
    rejected: dict[int, list[IcmpError]],
    leases: Sequence[tuple[int, int]],
) -> CallAssessment:
    relay_rtt = round_trips(transactions, call.relay_rows)
    media_rtt = round_trips(transactions, call.media_rows)
    inbound = rate_direction([scanned.streams[n] for n in call.in_streams], media_rtt)
    outbound = _outbound([scanned.streams[n] for n in call.out_streams])
    retransmission_pct, packets = _tcp_health(call, tcp_by_end)
    view = CallView(
        call=call,
        streams=scanned.streams,
        flows=scanned.flows,
        transactions=transactions,
        relay_rtt=relay_rtt,
        media_rtt=media_rtt,
        mos_cqe=inbound.mos_cqe,
        tcp_retransmission_pct=retransmission_pct,
        tcp_packets=packets,
        icmp_errors=rejected.get(call.flow, ()),
        leases=leases,
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
        outbound=outbound,
        findings=tuple(call_findings(view)),
    )


def _tcp_by_end(scanned: Scan) -> dict[str, list[Flow]]:
    """Sort TCP connections by the addresses of their ends, once for all calls."""
    by_end: dict[str, list[Flow]] = {}
    for flow in scanned.flows:
        if flow.transport == "tcp":
            for end in {flow.a, flow.b}:
                by_end.setdefault(end, []).append(flow)
    return by_end


def _tcp_health(call: Call, tcp_by_end: dict[str, list[Flow]]) -> tuple[float | None, int]:
    repeated = packets = 0
    for flow in tcp_by_end.get(call.agent or "", ()):
        if flow.last_ns < call.start_ns or flow.first_ns > call.end_ns:
            continue
        repeated += flow.retransmissions_ab + flow.retransmissions_ba
        packets += flow.payload_packets_ab + flow.payload_packets_ba
    return (100.0 * repeated / packets if packets else None), packets


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
    return DirectionQuality(
        loss_pct=loss_pct,
        late_pct=late_pct,
        jitter_ms=first.jitter_ms,
        jitter_mean_ms=first.jitter_mean_ms,
        delay_ms=delay_ms,
        mos_cqe=rating.mos_cqe,
        r_factor=rating.r_factor,
        codec=codec,
    )


def _outbound(streams: Sequence[RtpStream]) -> DirectionQuality:
    """Show the cadence of sending; loss after the capture point is unknown."""
    main = next((stream for stream in streams if not stream.is_retransmission), None)
    if main is None:
        return DirectionQuality()
    return DirectionQuality(jitter_ms=main.jitter_ms, jitter_mean_ms=main.jitter_mean_ms)


# --- rows of the contract --------------------------------------------------------------------------------------------


def _time(time_ns: int | None) -> str | None:
    return None if time_ns is None else rfc3339_from_ns(time_ns)


def _round(value: float | None, digits: int = 6) -> float | None:
    return None if value is None or not isfinite(value) else round(float(value), digits)


def _capture_row(capture: Any) -> dict[str, Any]:
    return {
        "path": capture.path,
        "format": capture.format,
        "compression": capture.compression,
        "link_types": list(capture.link_types),
        "packets": capture.packets,
        "bytes": capture.bytes,
        "first_time": _time(capture.first_ns),
        "last_time": _time(capture.last_ns),
        "snaplen_cut": capture.snaplen_cut,
        "ended_early": capture.ended_early,
        "skipped": {
            reason: {"count": entry.count, "first_offset": entry.first_offset}
            for reason, entry in sorted(capture.skipped.items())
        },
    }


def _endpoint_row(row: EndpointRow) -> dict[str, Any]:
    return {
        "host": row.host,
        "host_basis": row.host_basis,
        "address": row.address,
        "port": row.port,
        "transport": row.transport,
        "role": row.role,
        "region_code": row.region_code,
        "packets_out": row.packets_out,
        "packets_in": row.packets_in,
        "bytes_out": row.bytes_out,
        "bytes_in": row.bytes_in,
        "connect_rtt_ms": _round(row.connect_rtt_ms),
        "tls_handshake_ms": _round(row.tls_handshake_ms),
        "tls_issuer": row.tls_issuer,
        "tls_version": row.tls_version,
        "retransmissions": row.retransmissions,
        "zero_windows": row.zero_windows,
        "resets": row.resets,
        "hops_estimate": row.hops_estimate,
        "answered": row.answered,
        "connections": row.connections,
        "connections_refused": row.connections_refused,
        "connections_unanswered": row.connections_unanswered,
        "proxy": row.proxy,
        "first_time": _time(row.first_ns),
        "last_time": _time(row.last_ns),
    }


def _lookup_row(lookup: Lookup) -> dict[str, Any]:
    return {
        "time": _time(lookup.time_ns),
        "name": lookup.name,
        "type": lookup.type,
        "answers": list(lookup.answers),
        "rcode": lookup.rcode,
        "response_ms": _round(lookup.response_ms),
        "client": lookup.client,
        "server": lookup.server,
        "transport": lookup.transport,
        "asked": lookup.asked,
    }


def _transaction_rows(transactions: npt.NDArray[np.void], scanned: Scan) -> list[dict[str, Any]]:
    numbers, inverse = np.unique(transactions["flow"], return_inverse=True)
    flows = [scanned.flows[number] for number in numbers.tolist()]
    ends = [((flow.a, flow.a_port, flow.b, flow.b_port), (flow.b, flow.b_port, flow.a, flow.a_port)) for flow in flows]
    names = {number: method_name(number) for number in np.unique(transactions["method"]).tolist()}
    columns = ("method", "inside", "outbound_of_key", "outcome", "error_code", "retransmissions", "channel", "peer")
    rtts = np.round(transactions["rtt_ms"], 6).tolist()
    rows = []
    for time, number, rtt_ms, (method, inside, outbound, outcome, code, repeated, channel, peer) in zip(
        instants(transactions["time_ns"]),
        inverse.tolist(),
        rtts,
        zip(*(transactions[name].tolist() for name in columns), strict=True),
        strict=True,
    ):
        src, src_port, dst, dst_port = ends[number][0 if outbound else 1]
        rows.append(
            {
                "time": time,
                "method": names[method],
                "inside_relay": inside,
                "src": src,
                "src_port": src_port,
                "dst": dst,
                "dst_port": dst_port,
                "outcome": OUTCOME_NAMES[outcome],
                "error_code": code or None,
                "retransmissions": repeated,
                "rtt_ms": rtt_ms if rtt_ms == rtt_ms else None,  # noqa: PLR0124 -- NaN is the unknown here
                "channel_number": channel or None,
                "peer": scanned.peers[peer] if peer >= 0 else None,
                "transport": flows[number].transport,
            }
        )
    return rows


def _stream_row(stream: RtpStream, call_id: str | None) -> dict[str, Any]:
    return {
        "src": stream.src,
        "src_port": stream.src_port,
        "dst": stream.dst,
        "dst_port": stream.dst_port,
        "ssrc": f"0x{stream.ssrc:08x}",
        "payload_type": stream.payload_type,
        "direction": stream.direction,
        "relay": stream.relay,
        "channel_number": stream.channel_number,
        "peer": stream.peer,
        "relay_transport": stream.relay_transport,
        "clock_rate_hz": stream.clock_rate_hz,
        "clock_rate_basis": stream.clock_rate_basis,
        "packets": stream.packets,
        "expected": stream.expected,
        "lost": stream.lost,
        "loss_pct": _round(stream.loss_pct),
        "duplicates": stream.duplicates,
        "reordered": stream.reordered,
        "jitter_ms": _round(stream.jitter_ms),
        "jitter_mean_ms": _round(stream.jitter_mean_ms),
        "jitter_max_ms": _round(stream.jitter_max_ms),
        "ipdv_mean_ms": _round(stream.ipdv_mean_ms),
        "longest_gap_ms": _round(stream.longest_gap_ms),
        "longest_gap_time": _time(stream.longest_gap_ns),
        "burst_ratio": _round(stream.burst_ratio),
        "loss_bursts": stream.loss_bursts,
        "longest_loss_burst": stream.longest_loss_burst,
        "gilbert_p": _round(stream.gilbert_p),
        "gilbert_r": _round(stream.gilbert_r),
        "stalls": stream.stalls,
        "late_pct": _round(stream.late_pct),
        "playout_ms": _round(stream.playout_ms),
        "packetization_ms": _round(stream.packetization_ms),
        "clock_skew_ppm": _round(stream.clock_skew_ppm),
        "audio_level_mean_dbov": _round(stream.audio_level_mean_dbov),
        "audio_level_silent_pct": _round(stream.audio_level_silent_pct),
        "payload_bytes": stream.payload_bytes,
        "rtcp_packets": stream.rtcp_packets,
        "telephone_events": stream.telephone_events,
        "segments": stream.segments,
        "is_retransmission": stream.is_retransmission,
        "first_time": _time(stream.first_ns),
        "last_time": _time(stream.last_ns),
        "call_id": call_id,
    }


def _quality_row(quality: DirectionQuality, *, late: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"loss_pct": _round(quality.loss_pct), "jitter_ms": _round(quality.jitter_ms)}
    if late:
        row["late_pct"] = _round(quality.late_pct)
    return row | {
        "jitter_mean_ms": _round(quality.jitter_mean_ms),
        "delay_ms": _round(quality.delay_ms),
        "mos_cqe": _round(quality.mos_cqe),
        "r_factor": _round(quality.r_factor),
        "codec": quality.codec,
    }


def _trips_row(trips: RoundTrips) -> dict[str, Any]:
    return {"p50": _round(trips.p50), "p95": _round(trips.p95), "n": trips.n}


def _call_row(entry: CallAssessment, streams: Sequence[RtpStream]) -> dict[str, Any]:
    call = entry.call
    setup = call.setup
    relay = None
    if call.relay is not None:
        relay = {
            "address": call.relay.address,
            "port": call.relay.port,
            "transport": call.relay.transport,
            "host": entry.host,
            "inferred": call.relay.is_inferred,
        }
    failure = None
    if call.failure is not None:
        failure = {
            "phase": call.failure.phase,
            "reason": call.failure.reason,
            "error_code": call.failure.error_code,
            "requests": call.failure.requests,
        }
    handshake = call.handshake
    return {
        "call_id": call.call_id,
        "start_time": _time(call.start_ns),
        "end_time": _time(call.end_ns),
        "duration_ms": _round((call.end_ns - call.start_ns) / 1e6),
        "outcome": "failed" if call.failure else "media",
        "failure": failure,
        "agent": call.agent,
        "agent_port": call.agent_port,
        "region_code": entry.region_code,
        "relay": relay,
        "setup_ms": {
            "dns": _round(setup.dns),
            "allocate": _round(setup.allocate),
            "ice": _round(setup.ice),
            "dtls": _round(setup.dtls),
            "first_media": _round(setup.first_media),
        },
        "rtt_relay_ms": _trips_row(entry.relay_rtt),
        "rtt_media_ms": _trips_row(entry.media_rtt),
        "in": _quality_row(entry.inbound, late=True),
        "out": _quality_row(entry.outbound, late=False),
        "dtls": None
        if handshake is None
        else {
            "version": handshake.version,
            "completed": handshake.completed_ns is not None,
            "retransmissions": handshake.retransmissions,
            "client_fingerprint": handshake.client_fingerprint,
            "server_fingerprint": handshake.server_fingerprint,
        },
        "running_at_start": call.is_running_at_start,
        "running_at_end": call.is_running_at_end,
        "ssrcs": [f"0x{streams[number].ssrc:08x}" for number in call.streams],
        "findings": [_finding_row(finding) for finding in entry.findings],
    }


def _finding_row(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "severity": finding.severity,
        "text": finding.text,
        "evidence": {
            key: _round(value, 3) if isinstance(value, float) else value for key, value in finding.evidence.items()
        },
    }


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, dict):
            flat |= {f"{key}_{name}": item for name, item in value.items()}
        elif key in {"relay", "failure", "dtls"}:
            continue  # unknown as a whole: each of its columns is
        elif key == "findings":
            flat[key] = ", ".join(f"{finding['code']}" for finding in value)
        elif isinstance(value, list):
            flat[key] = ", ".join(str(item) for item in value)
        else:
            flat[key] = value
    return flat


def _second_rows(assessment: CaptureAssessment) -> Iterable[dict[str, Any]]:
    ids = assessment.call_ids
    trips = _trips_by_second(assessment)
    for number, stream in enumerate(assessment.scan.streams):
        call_id = ids.get(number)
        names = stream.seconds.dtype.names or ()
        for values in zip(*(stream.seconds[name].tolist() for name in names), strict=True):
            row = dict(zip(names, values, strict=True))
            relay, media = trips.get((call_id, row["time_ns"] // 1_000_000_000), (None, None))
            yield {
                "time": rfc3339_from_ns(row["time_ns"]),
                "call_id": call_id,
                "ssrc": f"0x{stream.ssrc:08x}",
                "direction": stream.direction,
                "packets": row["packets"],
                "lost": row["lost"],
                "late": row["late"],
                "bytes": row["bytes"],
                "jitter_ms": _round(row["jitter_ms"], 4),
                "ipdv_ms": _round(row["ipdv_ms"], 4),
                "longest_gap_ms": _round(row["longest_gap_ms"], 4),
                "audio_level": _round(row["audio_level"], 2),
                "rtt_relay_ms": relay,
                "rtt_media_ms": media,
            }


def _trips_by_second(
    assessment: CaptureAssessment,
) -> dict[tuple[str | None, int], tuple[float | None, float | None]]:
    """Mean round trips of each second of a call, relay and media."""
    result: dict[tuple[str | None, int], list[list[float]]] = {}
    rows = assessment.transactions
    for entry in assessment.calls:
        for level, numbers in enumerate((entry.call.relay_rows, entry.call.media_rows)):
            for number in numbers:
                rtt = float(rows["rtt_ms"][number])
                if np.isfinite(rtt):
                    second = int(rows["time_ns"][number]) // 1_000_000_000
                    result.setdefault((entry.call.call_id, second), [[], []])[level].append(rtt)
    return {
        key: tuple(round(sum(values) / len(values), 4) if values else None for values in levels)  # type: ignore[misc]
        for key, levels in result.items()
    }
