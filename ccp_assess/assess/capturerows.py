"""The tables of a capture, column by column: thousands of calls are written at the speed of lists, not of objects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from math import isfinite
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ccp_assess.assess.capturelines import instants
from ccp_assess.traffic.streams import SECOND_ROW
from ccp_assess.traffic.transactions import OUTCOME_NAMES, method_name
from ccp_assess.units import NS_PER_S

if TYPE_CHECKING:
    from ccp_assess.assess.callquality import CallAssessment, DirectionQuality
    from ccp_assess.assess.captures import CaptureAssessment
    from ccp_assess.capture.records import Capture
    from ccp_assess.findings import Finding
    from ccp_assess.traffic.callrecords import Call, RoundTrips
    from ccp_assess.traffic.streams import RtpStream

TEXT, INTEGER, NUMBER, FLAG, INSTANT = "text", "integer", "number", "flag", "instant"
_T, _I, _N, _F, _W = TEXT, INTEGER, NUMBER, FLAG, INSTANT

SCHEMAS: dict[str, dict[str, str]] = {
    "streams": {
        "src": _T, "src_port": _I, "dst": _T, "dst_port": _I, "ssrc": _T, "payload_type": _I, "direction": _T,
        "relay": _T, "channel_number": _I, "peer": _T, "relay_transport": _T, "clock_rate_hz": _I,
        "clock_rate_basis": _T, "packets": _I, "expected": _I, "lost": _I, "loss_pct": _N, "duplicates": _I,
        "reordered": _I, "jitter_ms": _N, "jitter_mean_ms": _N, "jitter_max_ms": _N, "ipdv_mean_ms": _N,
        "longest_gap_ms": _N, "longest_gap_time": _W, "burst_ratio": _N, "loss_bursts": _I, "longest_loss_burst": _I,
        "gilbert_p": _N, "gilbert_r": _N, "stalls": _I, "late_pct": _N, "playout_ms": _N, "packetization_ms": _N,
        "clock_skew_ppm": _N, "audio_level_mean_dbov": _N, "audio_level_silent_pct": _N, "payload_bytes": _I,
        "rtcp_packets": _I, "telephone_events": _I, "segments": _I, "is_retransmission": _F, "first_time": _W,
        "last_time": _W, "call_id": _T,
    },
    "calls": {
        "call_id": _T, "start_time": _W, "end_time": _W, "duration_ms": _N, "outcome": _T, "failure_phase": _T,
        "failure_reason": _T, "failure_error_code": _I, "failure_requests": _I, "agent": _T, "agent_port": _I,
        "region_code": _T, "relay_address": _T, "relay_port": _I, "relay_transport": _T, "relay_host": _T,
        "relay_inferred": _F, "setup_ms_dns": _N, "setup_ms_allocate": _N, "setup_ms_ice": _N, "setup_ms_dtls": _N,
        "setup_ms_first_media": _N, "rtt_relay_ms_p50": _N, "rtt_relay_ms_p95": _N, "rtt_relay_ms_n": _I,
        "rtt_media_ms_p50": _N, "rtt_media_ms_p95": _N, "rtt_media_ms_n": _I, "in_loss_pct": _N, "in_late_pct": _N,
        "in_jitter_ms": _N, "in_jitter_mean_ms": _N, "in_delay_ms": _N, "in_mos_cqe": _N, "in_r_factor": _N,
        "in_codec": _T, "out_loss_pct": _N, "out_jitter_ms": _N, "out_jitter_mean_ms": _N, "out_delay_ms": _N,
        "out_mos_cqe": _N, "out_r_factor": _N, "out_codec": _T, "dtls_version": _T, "dtls_completed": _F,
        "dtls_retransmissions": _I, "dtls_client_fingerprint": _T, "dtls_server_fingerprint": _T,
        "running_at_start": _F, "running_at_end": _F, "ssrcs": _T, "findings": _T,
    },
    "seconds": {
        "time": _W, "call_id": _T, "ssrc": _T, "direction": _T, "packets": _I, "lost": _I, "late": _I, "bytes": _I,
        "jitter_ms": _N, "ipdv_ms": _N, "longest_gap_ms": _N, "audio_level": _N, "rtt_relay_ms": _N,
        "rtt_media_ms": _N,
    },
    "transactions": {
        "time": _W, "method": _T, "inside_relay": _F, "src": _T, "src_port": _I, "dst": _T, "dst_port": _I,
        "outcome": _T, "error_code": _I, "retransmissions": _I, "rtt_ms": _N, "channel_number": _I, "peer": _T,
        "transport": _T,
    },
    "endpoints": {
        "host": _T, "host_basis": _T, "address": _T, "port": _I, "transport": _T, "role": _T, "region_code": _T,
        "packets_out": _I, "packets_in": _I, "bytes_out": _I, "bytes_in": _I, "connect_rtt_ms": _N,
        "tls_handshake_ms": _N, "tls_issuer": _T, "tls_version": _T, "retransmissions": _I, "zero_windows": _I,
        "resets": _I, "hops_estimate": _I, "answered": _F, "connections": _I, "connections_refused": _I,
        "connections_unanswered": _I, "proxy": _T, "first_time": _W, "last_time": _W,
    },
}  # fmt: skip
"""Columns of the tables that are also files, with their kinds."""

_DNS = {
    "time": _W, "name": _T, "type": _T, "answers": _T, "rcode": _T, "response_ms": _N, "client": _T, "server": _T,
    "transport": _T, "asked": _I,
}  # fmt: skip
_GROUPS = ("failure", "relay", "setup_ms", "rtt_relay_ms", "rtt_media_ms", "in", "out", "dtls")
"""Nested parts of a call."""

Columns = dict[str, list[Any]]


def rounded(value: float | None, digits: int = 6) -> float | None:
    """Round a number that may be unknown.

    Parameters
    ----------
    value
        The number; NaN and infinity are unknown too.
    digits
        Digits after the point (count).

    Returns
    -------
    value
        Rounded; ``None`` if unknown.
    """
    return None if value is None or not isfinite(value) else round(float(value), digits)


def _rounded(values: Iterable[float | None], digits: int = 6) -> list[float | None]:
    return [None if value is None or not isfinite(value) else round(float(value), digits) for value in values]


def _of_objects(objects: Sequence[Any], kinds: dict[str, str]) -> Columns:
    """Take columns from attributes: an instant ``x_time`` is the attribute ``x_ns`` [ns], numbers are rounded."""
    columns: Columns = {}
    for name, kind in kinds.items():
        attribute = name.removesuffix("time") + ("time_ns" if name == "time" else "ns") if kind == INSTANT else name
        values = list(map(attrgetter(attribute), objects))
        columns[name] = _rounded(values) if kind == NUMBER else values
    return columns


def _as_rows(columns: Columns, kinds: dict[str, str]) -> list[dict[str, Any]]:
    """Turn columns to rows, with instants as text."""
    told = [
        _instant_texts(values) if kinds.get(name) == INSTANT and values else values for name, values in columns.items()
    ]
    return [dict(zip(columns, values, strict=True)) for values in zip(*told, strict=True)]


def _instant_texts(times_ns: list[int | None]) -> list[str | None]:
    known = iter(instants(np.array([time_ns for time_ns in times_ns if time_ns is not None], np.int64)))
    return [None if time_ns is None else next(known) for time_ns in times_ns]


def table_columns(assessment: CaptureAssessment, table: str) -> Columns:
    """Give one table of a capture in columns.

    Parameters
    ----------
    assessment
        Of a capture.
    table
        A key of :data:`SCHEMAS`.

    Returns
    -------
    columns
        Name → values; instants in nanoseconds since 1970 [ns].
    """
    if table == "calls":
        return _flat_calls(assessment)
    return {"streams": _streams, "seconds": _seconds, "transactions": _transactions, "endpoints": _endpoints}[table](
        assessment
    )


def table_rows(assessment: CaptureAssessment, table: str) -> list[dict[str, Any]] | None:
    """Give one table of a capture in rows, as the contract has them.

    Parameters
    ----------
    assessment
        Of a capture.
    table
        Its name.

    Returns
    -------
    rows
        Instants as RFC 3339; ``None`` if there is no such table.
    """
    if table == "calls":
        return [_flat(row) for row in call_rows(assessment)]
    if table == "dns":
        columns = _of_objects(assessment.lookups, _DNS)
        return _as_rows(columns | {"answers": [list(answers) for answers in columns["answers"]]}, _DNS)
    if table == "findings":
        own = [{"call_id": None, **finding_row(finding)} for finding in assessment.findings]
        return own + [
            {"call_id": entry.call.call_id, **finding_row(finding)}
            for entry in assessment.calls
            for finding in entry.findings
        ]
    return _as_rows(table_columns(assessment, table), SCHEMAS[table]) if table in SCHEMAS else None


def _endpoints(assessment: CaptureAssessment) -> Columns:
    return _of_objects(assessment.endpoints, SCHEMAS["endpoints"])


def _streams(assessment: CaptureAssessment) -> Columns:
    kinds = {name: kind for name, kind in SCHEMAS["streams"].items() if name != "call_id"}
    columns = _of_objects(assessment.streams, kinds)
    columns["ssrc"] = _ssrc_texts(assessment.streams)
    ids = assessment.call_ids
    return columns | {"call_id": [ids.get(number) for number in range(len(assessment.streams))]}


def _ssrc_texts(streams: Iterable[RtpStream]) -> list[str]:
    return [f"0x{stream.ssrc:08x}" for stream in streams]


def _transactions(assessment: CaptureAssessment) -> Columns:
    return transaction_columns(assessment.transactions, assessment.scan.flows, assessment.scan.peers)


def transaction_columns(rows: npt.NDArray[np.void], flows: Sequence[Any], peers: Sequence[str]) -> Columns:
    """Give the table of transactions in columns.

    Parameters
    ----------
    rows
        Rows of ``TRANSACTION_ROW``.
    flows, peers
        What they point to.

    Returns
    -------
    columns
        Of the contract; instants in nanoseconds [ns].
    """
    numbers, inverse = np.unique(rows["flow"], return_inverse=True)
    used = [flows[number] for number in numbers.tolist()]
    ends = [((flow.b, flow.b_port, flow.a, flow.a_port), (flow.a, flow.a_port, flow.b, flow.b_port)) for flow in used]
    places = inverse.ravel().tolist()
    outbound = rows["outbound_of_key"].tolist()
    way = [ends[place][ahead] for place, ahead in zip(places, outbound, strict=True)]
    names = {number: method_name(number) for number in np.unique(rows["method"]).tolist()}
    trips = np.round(rows["rtt_ms"], 6).tolist()
    return {
        "time": rows["time_ns"].tolist(),
        "method": [names[method] for method in rows["method"].tolist()],
        "inside_relay": rows["inside"].tolist(),
        "src": [end[0] for end in way],
        "src_port": [end[1] for end in way],
        "dst": [end[2] for end in way],
        "dst_port": [end[3] for end in way],
        "outcome": [OUTCOME_NAMES[outcome] for outcome in rows["outcome"].tolist()],
        "error_code": [code or None for code in rows["error_code"].tolist()],
        "retransmissions": rows["retransmissions"].tolist(),
        "rtt_ms": [None if trip != trip else trip for trip in trips],  # noqa: PLR0124 -- NaN is the unknown here
        "channel_number": [channel or None for channel in rows["channel"].tolist()],
        "peer": [peers[peer] if peer >= 0 else None for peer in rows["peer"].tolist()],
        "transport": [used[place].transport for place in places],
    }


def transaction_rows(rows: npt.NDArray[np.void], flows: Sequence[Any], peers: Sequence[str]) -> list[dict[str, Any]]:
    """Give the table of transactions in rows.

    Parameters
    ----------
    rows
        Rows of ``TRANSACTION_ROW``.
    flows, peers
        What they point to.

    Returns
    -------
    rows
        As the contract has them.
    """
    return _as_rows(transaction_columns(rows, flows, peers), SCHEMAS["transactions"])


# --- the one-second series ------------------------------------------------------------------------------------------


def all_seconds(assessment: CaptureAssessment) -> tuple[npt.NDArray[np.void], npt.NDArray[np.int64]]:
    """Join the one-second series of all streams.

    Parameters
    ----------
    assessment
        Of a capture.

    Returns
    -------
    seconds, streams
        Rows of ``SECOND_ROW``, stream by stream, and the index of the stream of each.
    """
    lengths = [len(stream.seconds) for stream in assessment.streams]
    streams = np.repeat(np.arange(len(lengths)), lengths)
    seconds = np.empty(len(streams), SECOND_ROW)
    start = 0
    for stream, length in zip(assessment.streams, lengths, strict=True):  # numpy's own way compares all their types
        seconds[start : start + length] = stream.seconds
        start += length
    return seconds, streams


def round_trips_by_second(
    assessment: CaptureAssessment, times_ns: npt.NDArray[np.int64], streams: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Find the mean round trips of the call in each second of its streams.

    Parameters
    ----------
    assessment
        Of a capture.
    times_ns, streams
        Second and stream of each row of :func:`all_seconds`.

    Returns
    -------
    relay, media
        To the relay and to the media server; NaN where nothing was measured [ms].
    """
    calls = np.full(len(assessment.streams), -1, np.int64)
    for place, entry in enumerate(assessment.calls):
        calls[list(entry.call.streams)] = place
    rows = assessment.transactions
    wanted = calls[streams], times_ns // NS_PER_S
    relay = _means_by_second(rows, [entry.call.relay_rows for entry in assessment.calls], *wanted)
    return relay, _means_by_second(rows, [entry.call.media_rows for entry in assessment.calls], *wanted)


def _means_by_second(
    rows: npt.NDArray[np.void],
    numbers: list[tuple[int, ...]],
    calls: npt.NDArray[np.int64],
    seconds: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    own = np.repeat(np.arange(len(numbers)), [len(part) for part in numbers])
    asked = np.fromiter(chain.from_iterable(numbers), np.int64, len(own))
    known = np.isfinite(rows["rtt_ms"][asked])
    asked, own = asked[known], own[known]
    if not len(own) or not len(seconds):
        return np.full(len(seconds), np.nan)
    asked_s = rows["time_ns"][asked] // NS_PER_S
    begin = min(asked_s.min(), seconds.min())
    width = max(asked_s.max(), seconds.max()) - begin + 1
    keys, inverse = np.unique(own * width + (asked_s - begin), return_inverse=True)
    inverse = inverse.ravel()
    means = np.bincount(inverse, rows["rtt_ms"][asked]) / np.bincount(inverse)
    wanted = calls * width + (seconds - begin)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where((keys[at] == wanted) & (calls >= 0), means[at], np.nan)


def _seconds(assessment: CaptureAssessment) -> Columns:
    rows, streams = all_seconds(assessment)
    relay, media = round_trips_by_second(assessment, rows["time_ns"], streams)
    ids = assessment.call_ids
    of_stream = [
        (ids.get(number), ssrc, stream.direction)
        for number, (stream, ssrc) in enumerate(zip(assessment.streams, _ssrc_texts(assessment.streams), strict=True))
    ]
    whose = [of_stream[number] for number in streams.tolist()]
    columns: Columns = {
        "time": rows["time_ns"].tolist(),
        "call_id": [own[0] for own in whose],
        "ssrc": [own[1] for own in whose],
        "direction": [own[2] for own in whose],
    }
    columns |= {name: rows[name].tolist() for name in ("packets", "lost", "late", "bytes")}
    columns |= {name: _rounded(rows[name].tolist(), 4) for name in ("jitter_ms", "ipdv_ms", "longest_gap_ms")}
    columns["audio_level"] = _rounded(rows["audio_level"].tolist(), 2)
    return columns | {"rtt_relay_ms": _rounded(relay.tolist(), 4), "rtt_media_ms": _rounded(media.tolist(), 4)}


# --- calls ----------------------------------------------------------------------------------------------------------


def call_rows(assessment: CaptureAssessment) -> list[dict[str, Any]]:
    """Give the calls as the document has them, with nested parts.

    Parameters
    ----------
    assessment
        Of a capture.

    Returns
    -------
    rows
        One for each call.
    """
    return _as_rows(_calls(assessment), SCHEMAS["calls"])


def _calls(assessment: CaptureAssessment) -> Columns:
    entries = assessment.calls
    calls = [entry.call for entry in entries]
    ssrcs = _ssrc_texts(assessment.streams)
    return {
        "call_id": [call.call_id for call in calls],
        "start_time": [call.start_ns for call in calls],
        "end_time": [call.end_ns for call in calls],
        "duration_ms": [rounded((call.end_ns - call.start_ns) / 1e6) for call in calls],
        "outcome": ["failed" if call.failure else "media" for call in calls],
        "failure": [_failure(call) for call in calls],
        "agent": [call.agent for call in calls],
        "agent_port": [call.agent_port for call in calls],
        "region_code": [entry.region_code for entry in entries],
        "relay": [_relay(entry) for entry in entries],
        "setup_ms": [_setup(call) for call in calls],
        "rtt_relay_ms": [_trips(entry.relay_rtt) for entry in entries],
        "rtt_media_ms": [_trips(entry.media_rtt) for entry in entries],
        "in": [_quality(entry.inbound, late=True) for entry in entries],
        "out": [_quality(entry.outbound, late=False) for entry in entries],
        "dtls": [_dtls(call) for call in calls],
        "running_at_start": [call.is_running_at_start for call in calls],
        "running_at_end": [call.is_running_at_end for call in calls],
        "ssrcs": [[ssrcs[number] for number in call.streams] for call in calls],
        "findings": [[finding_row(finding) for finding in entry.findings] for entry in entries],
    }


def _flat_calls(assessment: CaptureAssessment) -> Columns:
    nested = _calls(assessment)
    columns: Columns = {}
    for name in SCHEMAS["calls"]:
        group = next((group for group in _GROUPS if name.startswith(f"{group}_")), None)
        if name in nested:
            columns[name] = nested[name]
        elif group is not None:
            key = name.removeprefix(f"{group}_")
            columns[name] = [None if part is None else part[key] for part in nested[group]]
    columns["ssrcs"] = [", ".join(ssrcs) for ssrcs in nested["ssrcs"]]
    columns["findings"] = [", ".join(finding["code"] for finding in findings) for findings in nested["findings"]]
    return columns


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


def _failure(call: Call) -> dict[str, Any] | None:
    failure = call.failure
    if failure is None:
        return None
    return {
        "phase": failure.phase,
        "reason": failure.reason,
        "error_code": failure.error_code,
        "requests": failure.requests,
    }


def _relay(entry: CallAssessment) -> dict[str, Any] | None:
    relay = entry.call.relay
    if relay is None:
        return None
    return {
        "address": relay.address,
        "port": relay.port,
        "transport": relay.transport,
        "host": entry.host,
        "inferred": relay.is_inferred,
    }


def _setup(call: Call) -> dict[str, Any]:
    setup = call.setup
    return {
        "dns": rounded(setup.dns),
        "allocate": rounded(setup.allocate),
        "ice": rounded(setup.ice),
        "dtls": rounded(setup.dtls),
        "first_media": rounded(setup.first_media),
    }


def _trips(trips: RoundTrips) -> dict[str, Any]:
    return {"p50": rounded(trips.p50), "p95": rounded(trips.p95), "n": trips.n}


def _quality(quality: DirectionQuality, *, late: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"loss_pct": rounded(quality.loss_pct), "jitter_ms": rounded(quality.jitter_ms)}
    if late:
        row["late_pct"] = rounded(quality.late_pct)
    row["jitter_mean_ms"] = rounded(quality.jitter_mean_ms)
    row["delay_ms"] = rounded(quality.delay_ms)
    row["mos_cqe"] = rounded(quality.mos_cqe)
    row["r_factor"] = rounded(quality.r_factor)
    row["codec"] = quality.codec
    return row


def _dtls(call: Call) -> dict[str, Any] | None:
    handshake = call.handshake
    if handshake is None:
        return None
    return {
        "version": handshake.version,
        "completed": handshake.completed_ns is not None,
        "retransmissions": handshake.retransmissions,
        "client_fingerprint": handshake.client_fingerprint,
        "server_fingerprint": handshake.server_fingerprint,
    }


def finding_row(finding: Finding) -> dict[str, Any]:
    """Give a finding as the document has it.

    Parameters
    ----------
    finding
        The finding.

    Returns
    -------
    row
        Code, severity, text and evidence.
    """
    return {
        "code": finding.code,
        "severity": finding.severity,
        "text": finding.text,
        "evidence": {
            key: rounded(value, 3) if isinstance(value, float) else value for key, value in finding.evidence.items()
        },
    }


def capture_rows(captures: Iterable[Capture]) -> list[dict[str, Any]]:
    """Give the files as the document has them.

    Parameters
    ----------
    captures
        Of a scan.

    Returns
    -------
    rows
        One for each file.
    """
    captures = list(captures)
    firsts = _instant_texts([capture.first_ns for capture in captures])
    lasts = _instant_texts([capture.last_ns for capture in captures])
    return [
        {
            "path": capture.path,
            "format": capture.format,
            "compression": capture.compression,
            "link_types": list(capture.link_types),
            "packets": capture.packets,
            "bytes": capture.bytes,
            "first_time": first,
            "last_time": last,
            "snaplen_cut": capture.snaplen_cut,
            "ended_early": capture.ended_early,
            "skipped": {
                reason: {"count": entry.count, "first_offset": entry.first_offset}
                for reason, entry in sorted(capture.skipped.items())
            },
        }
        for capture, first, last in zip(captures, firsts, lasts, strict=True)
    ]
