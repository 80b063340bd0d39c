"""Statistics of the browser (W3C webrtc-stats) in time: counters become seconds, connections become calls.

Every reader of a dump yields plain statistics dictionaries with the instant at which they were sampled; what they mean
is known here alone. Names of older browsers are understood: Chrome's ``ssrc_..._recv``, Firefox's ``inboundrtp``.

References
----------
.. [1] W3C, Identifiers for WebRTC's Statistics API (webrtc-stats).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ccp_assess.witnesses.records import (
    MOST_SECONDS,
    Seconds,
    StreamFigures,
    WitnessCall,
    mean,
    spread,
)

AUDIO_LEVEL_FULL_SCALE = 1

_TYPES = {
    "inboundrtp": "inbound-rtp",
    "outboundrtp": "outbound-rtp",
    "candidatepair": "candidate-pair",
    "googCandidatePair": "candidate-pair",
    "localcandidate": "local-candidate",
    "remotecandidate": "remote-candidate",
}
"""Names of older browsers."""

_BEFORE_FIRST_SAMPLE = 100
"""Packets that a counter may show when it is first seen and still be those of this second: 2 s at 20 ms (count)."""

_MS_FROM_S = 1_000.0

Role = Literal["received", "sent", "reported"]


@dataclass(slots=True, kw_only=True)
class _Track:
    """One audio stream's counters as sampled."""

    ssrc: int | None
    time_ns: list[int] = field(default_factory=list)
    packets: list[float] = field(default_factory=list)
    lost: list[float] = field(default_factory=list)
    jitter_ms: list[float] = field(default_factory=list)
    level: list[float] = field(default_factory=list)
    rtt_ms: list[float] = field(default_factory=list)
    reported: list[float] = field(default_factory=list)
    buffer_s: list[float] = field(default_factory=list)
    emitted: list[float] = field(default_factory=list)
    concealed: list[float] = field(default_factory=list)
    samples: list[float] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class _Connection:
    received: dict[str, _Track] = field(default_factory=dict)
    sent: dict[str, _Track] = field(default_factory=dict)
    reported: dict[str, _Track] = field(default_factory=dict)
    source_level: dict[int, float] = field(default_factory=dict)
    pair_rtt_ms: list[float] = field(default_factory=list)
    pair_mark: Any = None
    pair_candidates: set[str] = field(default_factory=set)
    candidates: dict[str, dict[str, Any]] = field(default_factory=dict)


class RtcStats:
    """Gathers statistics and tells calls and seconds."""

    def __init__(self) -> None:
        self._connections: dict[str, _Connection] = {}
        self.samples = 0
        self.beyond = 0

    def add(self, connection: str, time_ns: int, stat: Mapping[str, Any]) -> None:
        """Take one statistics dictionary.

        Parameters
        ----------
        connection
            Which peer connection it is of.
        time_ns
            When the report was sampled, since 1970 [ns].
        stat
            With ``type``, ``id`` and whatever else the browser tells.
        """
        kind = str(stat.get("type"))
        kind = _TYPES.get(kind, kind)
        if kind == "ssrc":
            self._add_legacy(connection, time_ns, stat)
        elif kind == "inbound-rtp":
            self._add_stream(connection, time_ns, stat, "reported" if stat.get("isRemote") is True else "received")
        elif kind == "outbound-rtp":
            if stat.get("isRemote") is not True:
                self._add_stream(connection, time_ns, stat, "sent")
        elif kind == "remote-inbound-rtp":
            self._add_stream(connection, time_ns, stat, "reported")
        elif kind == "candidate-pair":
            self._add_pair(connection, stat)
        elif kind in {"local-candidate", "remote-candidate"}:
            self._of(connection).candidates[str(stat.get("id"))] = {**stat, "type": kind}
        elif kind == "media-source" and _kind_of(stat) == "audio":
            level = _float(stat.get("audioLevel"))
            if math.isfinite(level):
                self._of(connection).source_level[time_ns] = level

    def _of(self, connection: str) -> _Connection:
        return self._connections.setdefault(connection, _Connection())

    def _room(self) -> bool:
        self.samples += 1
        if self.samples > MOST_SECONDS:
            self.beyond += 1
            return False
        return True

    def _add_stream(self, connection: str, time_ns: int, stat: Mapping[str, Any], role: Role) -> None:
        if _kind_of(stat) == "video" or not self._room():
            return
        of = self._of(connection)
        tracks = {"received": of.received, "sent": of.sent, "reported": of.reported}[role]
        ssrc = _integer(stat.get("ssrc"))
        track = tracks.setdefault(f"{stat.get('id')}/{ssrc}", _Track(ssrc=ssrc))
        track.time_ns.append(time_ns)
        track.packets.append(_float(stat.get("packetsSent" if role == "sent" else "packetsReceived")))
        track.lost.append(_float(stat.get("packetsLost")))
        jitter_s = _float(stat.get("jitter"))
        # a second of jitter is no jitter: some libraries tell ticks of the clock
        track.jitter_ms.append(jitter_s * _MS_FROM_S if 0 <= jitter_s < 1 else math.nan)
        track.level.append(_float(stat.get("audioLevel")))
        rtt = _duration(stat.get("roundTripTime"))
        # Firefox up to 72 told whole milliseconds here
        track.rtt_ms.append(rtt if isinstance(stat.get("roundTripTime"), int) and rtt >= 1 else rtt * _MS_FROM_S)
        track.reported.append(_mark(stat))
        track.buffer_s.append(_float(stat.get("jitterBufferDelay")))
        track.emitted.append(_float(stat.get("jitterBufferEmittedCount")))
        track.concealed.append(_float(stat.get("concealedSamples")))
        track.samples.append(_float(stat.get("totalSamplesReceived")))

    def _add_legacy(self, connection: str, time_ns: int, stat: Mapping[str, Any]) -> None:
        """Take a report of Chrome's callback-based getStats, removed in 2023: all values are text."""
        if stat.get("mediaType") == "video" or "googFrameRateReceived" in stat or "googFrameRateSent" in stat:
            return
        common = {
            "id": stat.get("id"),
            "ssrc": stat.get("ssrc"),
            "kind": "audio",
            "packetsLost": stat.get("packetsLost"),
        }
        jitter = _float(stat.get("googJitterReceived")) / _MS_FROM_S
        rtt = _float(stat.get("googRtt")) / _MS_FROM_S
        if "packetsReceived" in stat:
            received = {**common, "packetsReceived": stat["packetsReceived"], "jitter": jitter}
            self._add_stream(connection, time_ns, received, "received")
        if "packetsSent" in stat:
            self._add_stream(connection, time_ns, {**common, "packetsSent": stat["packetsSent"]}, "sent")
            reported = {**common, "jitter": jitter, "roundTripTime": rtt if rtt > 0 else None, "timestamp": time_ns}
            self._add_stream(connection, time_ns, reported, "reported")

    def _add_pair(self, connection: str, stat: Mapping[str, Any]) -> None:
        """Take a sample of the path in use; the same answer is counted once."""
        if not any(str(stat.get(name)).lower() == "true" for name in ("nominated", "selected")):
            return
        if str(stat.get("state", "succeeded")) != "succeeded":
            return
        of = self._of(connection)
        of.pair_candidates.update(str(stat[name]) for name in ("localCandidateId", "remoteCandidateId") if name in stat)
        rtt = _duration(stat.get("currentRoundTripTime"))
        marks = [stat.get(name) for name in ("responsesReceived", "totalRoundTripTime") if stat.get(name) is not None]
        mark = (stat.get("id"), *marks) if marks else (stat.get("id"), rtt)
        if math.isfinite(rtt) and mark != of.pair_mark and len(of.pair_rtt_ms) < MOST_SECONDS:
            of.pair_mark = mark
            of.pair_rtt_ms.append(rtt * _MS_FROM_S)

    def finish(self) -> tuple[tuple[WitnessCall, ...], Seconds]:
        """Tell what was gathered.

        Returns
        -------
        calls, seconds
            One call for each connection that carried audio, in the order of time; their seconds.
        """
        told = []
        for name, connection in self._connections.items():
            rows: list[dict[str, Any]] = []
            call = _call(name, connection, rows)
            if call is not None:
                told.append((call, rows))
        told.sort(key=lambda one: one[0].start_ns or 0)
        seconds = Seconds()
        for number, (_, rows) in enumerate(told):
            for row in rows:
                seconds.add(**row, call=number)
        return tuple(call for call, _ in told), seconds.in_time()


def _kind_of(stat: Mapping[str, Any]) -> str | None:
    """Tell audio from video, also where the browser does not say it."""
    kind = str(stat.get("kind") or stat.get("mediaType"))
    if kind in {"audio", "video"}:
        return kind
    name = str(stat.get("id"))
    if "Video" in name or any(key.startswith("frame") for key in stat):
        return "video"
    return "audio" if "Audio" in name or "audioLevel" in stat else None


def _mark(stat: Mapping[str, Any]) -> float:
    """Return what changes when a new report has come from the far end; NaN if nothing tells."""
    for name in ("roundTripTimeMeasurements", "timestamp"):
        value = _float(stat.get(name))
        if math.isfinite(value):
            return value
    return math.nan


def _call(name: str, of: _Connection, rows: list[dict[str, Any]]) -> WitnessCall | None:
    received = {key: track for key, track in of.received.items() if _total(track.packets, track.packets) > 0}
    sent = {key: track for key, track in of.sent.items() if _total(track.packets, track.packets) > 0}
    if not received and not sent:
        return None
    rtt_ms: list[float] = []
    for track in received.values():
        _add_rows(rows, track)
    reports = list(of.reported.values())
    by_ssrc = {one.ssrc: one for one in reversed(reports) if one.ssrc is not None}
    for track in sent.values():
        report = None if track.ssrc is None else by_ssrc.get(track.ssrc)
        if report is None and len(reports) == 1 and len(sent) == 1:
            report = reports[0]
        _add_sent_rows(rows, track, report, of.source_level, rtt_ms)
    active = [time_ns for track in (*received.values(), *sent.values()) for time_ns in _active(track)]
    stun = [value for value in of.pair_rtt_ms if math.isfinite(value)]
    return WitnessCall(
        contact_id=None,
        start_ns=min(active, default=None),
        end_ns=max(active, default=None),
        inbound=_received_figures(received),
        outbound=_sent_figures(sent, reports),
        rtt_ms=tuple(rtt_ms or stun),
        rtt_source="rtcp" if rtt_ms else "stun",
        more={"connection": name, "rtt_stun_ms": spread(stun), "relay": _relay(of)},
    )


def _active(track: _Track) -> tuple[int, ...]:
    """Return the instants between which packets came or went."""
    moved = [
        at
        for at in range(len(track.packets))
        if track.packets[at] > 0 and (at == 0 or track.packets[at] != track.packets[at - 1])
    ]
    return (track.time_ns[moved[0]], track.time_ns[moved[-1]]) if moved else ()


def _total(counter: list[float], packets: list[float] | None = None) -> float:
    """Return what a counter counted in all, across the restarts that a browser makes of it.

    Parameters
    ----------
    counter
        As sampled; that of lost packets may fall without a restart, when one comes late.
    packets
        Packets sampled at the same instants: when they fall, all counters were restarted.
    """
    total, last = 0.0, 0.0
    for at, value in enumerate(counter):
        if packets is not None and at and packets[at] < packets[at - 1]:
            total, last = total + last, 0.0
        if math.isfinite(value):
            last = value
    return total + last


def _steps(track: _Track) -> list[tuple[int, int, float]]:
    """Return the samples before and after each step, and its packets; -1 before the first if that is the beginning."""
    steps: list[tuple[int, int, float]] = []
    before = -1
    for at, value in enumerate(track.packets):
        if not math.isfinite(value):
            continue
        if before >= 0:
            grown = value - track.packets[before]
            steps.append((before, at, grown) if grown >= 0 else (-1, at, value))
        elif value <= _BEFORE_FIRST_SAMPLE:
            steps.append((-1, at, value))
        before = at
    return steps


def _difference(counter: list[float], at: int, before: int) -> float | None:
    """Return the growth of a counter; a packet counted as lost that comes late after all makes none."""
    last = counter[before] if before >= 0 else 0.0
    grown = counter[at] - last
    return max(grown, 0.0) if math.isfinite(grown) else None


def _add_rows(rows: list[dict[str, Any]], track: _Track) -> None:
    for before, at, packets in _steps(track):
        rows.append(
            {
                "time_ns": track.time_ns[at],
                "direction": "in",
                "packets": packets,
                "lost": _difference(track.lost, at, before),
                "jitter_ms": _known(track.jitter_ms[at]),
                "audio_level": _known(track.level[at]),
            }
        )


def _add_sent_rows(
    rows: list[dict[str, Any]], track: _Track, report: _Track | None, levels: dict[int, float], rtt_ms: list[float]
) -> None:
    """Add the rows of what was sent; what the far end reports of it stands in the second in which that came."""
    news = _news(report) if report is not None else []
    steps = _steps(track)
    pending, last_lost = 0, 0.0
    if report is not None and steps and steps[0][0] >= 0:  # what was reported before the first row belongs to none
        while pending < len(news) and report.time_ns[news[pending]] <= track.time_ns[steps[0][0]]:
            last_lost = report.lost[news[pending]] if math.isfinite(report.lost[news[pending]]) else last_lost
            pending += 1
    for _, at, packets in steps:
        row: dict[str, Any] = {
            "time_ns": track.time_ns[at],
            "direction": "out",
            "packets": packets,
            "audio_level": levels.get(track.time_ns[at]),
        }
        while report is not None and pending < len(news) and report.time_ns[news[pending]] <= track.time_ns[at]:
            which = news[pending]
            pending += 1
            if math.isfinite(report.lost[which]):
                row["lost"] = row.get("lost", 0.0) + max(report.lost[which] - last_lost, 0.0)
                last_lost = report.lost[which]
            row["jitter_ms"] = _known(report.jitter_ms[which])
            row["rtt_ms"] = _known(report.rtt_ms[which])
            if row["rtt_ms"] is not None:
                rtt_ms.append(row["rtt_ms"])
        rows.append(row)


def _news(report: _Track) -> list[int]:
    """Return the samples in which a report of the far end is seen for the first time."""
    news = []
    before: tuple[float, ...] | None = None
    for at in range(len(report.time_ns)):
        told = (report.lost[at], report.jitter_ms[at], report.rtt_ms[at])
        mark = (report.reported[at],) if math.isfinite(report.reported[at]) else tuple(_zeroed(value) for value in told)
        if mark != before and any(math.isfinite(value) for value in told):
            news.append(at)
        before = mark
    return news


def _zeroed(value: float) -> float:
    return value if math.isfinite(value) else -1.0  # NaN is never equal to itself


def _received_figures(tracks: dict[str, _Track]) -> StreamFigures:
    if not tracks:
        return StreamFigures()
    main = max(tracks.values(), key=lambda track: _total(track.packets, track.packets))
    jitter = [value for value in main.jitter_ms if math.isfinite(value)]
    lost = [_total(track.lost, track.packets) for track in tracks.values() if any(map(math.isfinite, track.lost))]
    delay, emitted, concealed, samples = (
        _total(column, main.packets) for column in (main.buffer_s, main.emitted, main.concealed, main.samples)
    )
    return StreamFigures(
        packets=round(sum(_total(track.packets, track.packets) for track in tracks.values())),
        lost=max(round(sum(lost)), 0) if lost else None,
        jitter_ms=mean(jitter),
        jitter_max_ms=max(jitter, default=None),
        jitter_buffer_ms=_MS_FROM_S * delay / emitted if emitted > 0 else None,
        concealed_pct=100.0 * concealed / samples if samples > 0 else None,
        ssrc=main.ssrc,
    )


def _sent_figures(tracks: dict[str, _Track], reports: list[_Track]) -> StreamFigures:
    if not tracks:
        return StreamFigures()
    main = max(tracks.values(), key=lambda track: _total(track.packets, track.packets))
    jitter = [report.jitter_ms[at] for report in reports for at in _news(report)]
    jitter = [value for value in jitter if math.isfinite(value)]
    lost = [_total(report.lost) for report in reports if any(map(math.isfinite, report.lost))]
    return StreamFigures(
        packets=round(sum(_total(track.packets, track.packets) for track in tracks.values())),
        lost=max(round(sum(lost)), 0) if lost else None,
        jitter_ms=mean(jitter),
        jitter_max_ms=max(jitter, default=None),
        ssrc=main.ssrc,
    )


def _relay(of: _Connection) -> dict[str, Any] | None:
    """Tell the relay of the path in use, as far as the browser knows it."""
    for name in sorted(of.pair_candidates):
        candidate = of.candidates.get(name)
        if candidate and candidate.get("type") == "local-candidate":
            told = {name: value for name, value in candidate.items() if isinstance(value, str)}
            return {
                "candidate_type": told.get("candidateType"),
                "protocol": told.get("relayProtocol") or told.get("protocol"),
                "url": told.get("url"),
                "address": told.get("address") or told.get("ip"),
            }
    return None


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return math.nan
    try:
        parsed = float(value)
    except (ValueError, OverflowError):
        return math.nan
    return parsed if abs(parsed) < 1e18 else math.nan


def _duration(value: Any) -> float:
    number = _float(value)
    return number if number >= 0 else math.nan


def _integer(value: Any) -> int | None:
    number = _float(value)
    return int(number) if math.isfinite(number) and 0 <= number < 1 << 32 else None


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def instant_from_ms(value: Any) -> int | None:
    """Read an instant of a browser's report.

    Parameters
    ----------
    value
        Milliseconds since 1970; a few versions of Safari and Firefox give microseconds.

    Returns
    -------
    time_ns
        Since 1970 [ns]; ``None`` if it is none: 0, or a time since the page was opened.
    """
    number = _float(value)
    if 1e12 > number > 0 or not math.isfinite(number) or number <= 0:
        return None
    microseconds = number if number > 1e15 else number * 1_000
    if microseconds > 9e15:
        return None
    return round(microseconds) * 1_000  # a float of today's milliseconds is good for a quarter of a microsecond
