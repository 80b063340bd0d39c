"""Dumps of ``chrome://webrtc-internals`` and of Firefox's ``about:webrtc``.

Chrome keeps each property of each statistic as a series (``"<id>-<property>": {"startTime", "endTime", "values"}``),
at most a thousand samples back; since version 90 or so the instants are a series too. Firefox copies whole reports
(``Copy Report``, ``Copy Report History``) and saves its page as HTML, which shows the last counters only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ccp_assess.witnesses.agent_log_entries import instant_ns
from ccp_assess.witnesses.records import Event, Witness, bounded
from ccp_assess.witnesses.rtc_stats import AUDIO_LEVEL_FULL_SCALE, RtcStats, instant_from_ms

_WANTED = frozenset(
    {
        "audioLevel", "concealedSamples", "currentRoundTripTime", "googJitterReceived", "googRtt", "id", "isRemote",
        "jitter", "jitterBufferDelay", "jitterBufferEmittedCount", "kind", "localCandidateId", "mediaType",
        "nominated", "packetsLost", "packetsReceived", "packetsSent", "remoteCandidateId", "responsesReceived",
        "roundTripTime", "roundTripTimeMeasurements", "selected", "ssrc", "state", "timestamp", "totalRoundTripTime",
        "totalSamplesReceived", "type", "candidateType", "protocol", "relayProtocol", "url", "address", "ip",
        "framesReceived", "framesSent",
    }
)  # fmt: skip
"""Properties that tell something of a call's audio or of its path."""

_TYPE_OF_ID = (
    (re.compile(r"^RTCInboundRTP", re.IGNORECASE), "inbound-rtp"),
    (re.compile(r"^RTCOutboundRTP", re.IGNORECASE), "outbound-rtp"),
    (re.compile(r"^RTCRemoteInboundRtp", re.IGNORECASE), "remote-inbound-rtp"),
    (re.compile(r"^RTCIceCandidatePair_", re.IGNORECASE), "candidate-pair"),
    (re.compile(r"^RTCAudioSource_", re.IGNORECASE), "media-source"),
    (re.compile(r"^ssrc_\d+_(?:recv|send)", re.IGNORECASE), "ssrc"),
)
"""How versions before 90 named what they measured; later ones name the type."""

_FIREFOX_LISTS = {
    "inboundRtpStreamStats": "inbound-rtp",
    "outboundRtpStreamStats": "outbound-rtp",
    "remoteInboundRtpStreamStats": "remote-inbound-rtp",
    "iceCandidatePairStats": "candidate-pair",
    "iceCandidateStats": None,
    "mediaSourceStats": "media-source",
    "inboundRTPStreamStats": "inbound-rtp",
    "outboundRTPStreamStats": "outbound-rtp",
}
"""Lists of a report of Firefox, old and new, and the type of what is in them where the rows do not say it."""

_UPDATES = {
    "iceconnectionstatechange": "ICE_STATE",
    "legacyIceConnectionStateChange": "ICE_STATE",
    "connectionstatechange": "CONNECTION_STATE",
    "icecandidateerror": "ICE_CANDIDATE_ERROR",
}
"""Entries of Chrome's update log that are told as events."""


def is_chrome_dump(document: Any) -> bool:
    """Tell a dump of Chrome's.

    Parameters
    ----------
    document
        As parsed.

    Returns
    -------
    is_dump
        Whether it has peer connections, or at least requests for the microphone.
    """
    return isinstance(document, dict) and ("PeerConnections" in document or "getUserMedia" in document)


def is_firefox_report(document: Any) -> bool:
    """Tell a report, or a history of reports, that Firefox copied.

    Parameters
    ----------
    document
        As parsed.

    Returns
    -------
    is_report
        Whether it is one.
    """
    if isinstance(document, list):
        return bool(document) and all(is_firefox_report(one) for one in document[:3])
    if not isinstance(document, dict):
        return False
    reports = document.get("reports")
    if isinstance(reports, list):
        return any(is_firefox_report(one) for one in reports[:3])
    return "pcid" in document and any(name in document for name in _FIREFOX_LISTS)


def chrome_witness(document: dict[str, Any], file: str) -> Witness:
    """Read a dump of Chrome's.

    Parameters
    ----------
    document
        As parsed.
    file
        Name of the file.

    Returns
    -------
    witness
        Of kind ``webrtc_internals``.
    """
    stats, events = RtcStats(), []
    connections = document.get("PeerConnections")
    urls = {}
    for name, connection in connections.items() if isinstance(connections, dict) else ():
        if not isinstance(connection, dict):
            continue
        urls[str(name)] = connection.get("url")
        series = connection.get("stats")
        _add_chrome(stats, str(name), series if isinstance(series, dict) else {})
        events += list(_chrome_events(str(name), connection.get("updateLog")))
    notes = []
    if not connections:
        notes.append("The dump holds no peer connection: it was saved before a call, or from another browser window.")
    return _witness(file, stats, events, notes, str(document.get("UserAgent") or "") or None)


def _add_chrome(stats: RtcStats, connection: str, series: dict[str, Any]) -> None:
    by_id: dict[str, dict[str, dict[str, Any]]] = {}
    for name, one in series.items():
        stat_id, _, prop = name.rpartition("-")
        if prop in _WANTED and isinstance(one, dict):
            by_id.setdefault(stat_id, {})[prop] = one
    for stat_id, columns in by_id.items():
        kind = _chrome_type(stat_id, columns)
        if kind is None:
            continue
        values = {prop: _values(one.get("values")) for prop, one in columns.items()}
        length = max(map(len, values.values()), default=0)
        for at, time_ns in enumerate(_chrome_times(columns, values, length)):
            if time_ns is None:
                continue
            # a property that came later has fewer values: they are the last ones
            stat = {
                prop: told[at - length + len(told)] for prop, told in values.items() if at - length + len(told) >= 0
            }
            stats.add(connection, time_ns, {**stat, "type": kind, "id": stat_id})


def _chrome_type(stat_id: str, columns: dict[str, dict[str, Any]]) -> str | None:
    for one in columns.values():
        if isinstance(one.get("statsType"), str):
            return str(one["statsType"])
    return next((kind for pattern, kind in _TYPE_OF_ID if pattern.search(stat_id)), None)


def _values(told: Any) -> list[Any]:
    """Read a series, which is text within the text."""
    if isinstance(told, str):
        try:
            told = json.loads(told)
        except (ValueError, RecursionError):
            return []
    return told if isinstance(told, list) else []


def _chrome_times(columns: dict[str, dict[str, Any]], values: dict[str, list[Any]], length: int) -> list[int | None]:
    """Return the instant of each sample: when the report was taken, or spread evenly where only the ends are known.

    What the far end reported carries the instant at which that came; it is told at the same rate as all else, so its
    own ends say when it was sampled.
    """
    longest = max(columns, key=lambda prop: len(values[prop]))
    start, end = (instant_ns(columns[longest].get(name)) for name in ("startTime", "endTime"))
    sampled = [instant_from_ms(value) for value in values.get("timestamp", [])]
    reported = "roundTripTimeMeasurements" in columns or "roundTripTime" in columns
    if len(sampled) == length and not reported:
        return sampled
    if start is None or end is None:
        return [*[None] * (length - len(sampled)), *sampled] if sampled else [None] * length
    step = (end - start) / max(length - 1, 1)
    return [round(start + step * at) for at in range(length)]


def _chrome_events(connection: str, log: Any) -> Iterator[Event]:
    for one in log if isinstance(log, list) else ():
        code = _UPDATES.get(str(one.get("type"))) if isinstance(one, dict) else None
        if code is None:
            continue
        value = one.get("value")
        yield Event(time_ns=instant_ns(one.get("time")), code=code, text=f"{connection}: {str(value)[:200]}")


def firefox_witness(documents: list[Any], file: str) -> Witness:
    """Read reports that Firefox copied.

    Parameters
    ----------
    documents
        Reports, lists of them, or histories.
    file
        Name of the file.

    Returns
    -------
    witness
        Of kind ``webrtc_internals``.
    """
    stats = RtcStats()
    for report in _reports(documents):
        sampled = instant_from_ms(report.get("timestamp"))
        name = str(report.get("pcid"))
        for listed, kind in _FIREFOX_LISTS.items():
            rows = report.get(listed)
            for row in rows if isinstance(rows, list) else ():
                if not isinstance(row, dict):
                    continue
                time_ns = sampled or instant_from_ms(row.get("timestamp"))
                if time_ns is not None:
                    stats.add(name, time_ns, row if row.get("type") or kind is None else {**row, "type": kind})
    return _witness(file, stats, [], [], None)


def _reports(documents: list[Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for document in documents:
        if isinstance(document, list):
            found += _reports(document)
        elif isinstance(document, dict):
            found += _reports(document["reports"]) if isinstance(document.get("reports"), list) else [document]
    return sorted(found, key=lambda report: instant_from_ms(report.get("timestamp")) or 0)


def _witness(file: str, stats: RtcStats, events: list[Event], notes: list[str], agent: str | None) -> Witness:
    calls, seconds = stats.finish()
    kept, beyond = bounded(events)
    if not calls:
        notes = [*notes, "No connection in it carried audio."]
    if stats.beyond or beyond:
        notes = [*notes, "There are more samples than are kept of one file; the last ones were left out."]
    return Witness(
        kind="webrtc_internals",
        file=file,
        calls=calls,
        seconds=seconds,
        events=kept,
        notes=tuple(notes),
        more={"user_agent": agent, "audio_level_full_scale": AUDIO_LEVEL_FULL_SCALE},
    )
