"""Agent logs and dumps as the softphone would have written them, from the browser statistics beside a lab capture."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

LAB = Path(__file__).resolve().parents[1] / ".." / "shared" / "captures" / "lab"


def iso(time_ms: float) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def samples_of(name: str, page: int = 0, call: int = 0) -> list[dict[str, Any]]:
    """Return the agent's getStats samples of a lab call."""
    return json.loads((LAB / "truth" / f"{name}.json").read_text())["agent"][page][call]["samples"]


def entry(time_ms: float, text: str, **more: Any) -> dict[str, Any]:
    return {
        "component": "softphone",
        "level": "INFO",
        "text": text,
        "time": iso(time_ms),
        "exception": None,
        "objects": [],
        "line": 1,
        "agentResourceId": "a",
        "loggerId": "b",
        "contextLayer": "CCP",
        **more,
    }


def rows_of(samples: list[dict[str, Any]], shift_ms: float = 0) -> list[dict[str, Any]]:
    """Return rows of softphone statistics: differences, with the round trip copied to both directions."""
    rows: list[dict[str, Any]] = []
    before: dict[str, tuple[int, int]] = {}
    for sample in samples:
        inward = (sample.get("inbound-rtp") or [{}])[0]
        outward = (sample.get("outbound-rtp") or [{}])[0]
        report = (sample.get("remote-inbound-rtp") or [{}])[0]
        rtt = round(1000 * report["roundTripTime"]) if "roundTripTime" in report else None
        for kind, packets, lost, jitter in (
            ("audio_input", inward.get("packetsReceived"), inward.get("packetsLost"), inward.get("jitter")),
            ("audio_output", outward.get("packetsSent"), report.get("packetsLost", 0), report.get("jitter")),
        ):
            if packets is None:
                continue
            last = before.get(kind, (0, 0))
            before[kind] = (packets, lost)
            rows.append(
                {
                    "softphoneStreamType": kind,
                    "timestamp": iso(sample["t"] + shift_ms),
                    "packetsLost": max(lost - last[1], 0),
                    "packetsCount": max(packets - last[0], 0),
                    "audioLevel": 100,
                    "jitterBufferMillis": None if jitter is None else round(1000 * jitter),
                    "roundTripTimeMillis": rtt,
                }
            )
    return rows


def agent_log(
    samples: list[dict[str, Any]], contact: str, *, shift_ms: float = 0, skew_ms: float = 0, **report: Any
) -> list[dict[str, Any]]:
    """Return the entries of an agent log of one call, on a clock that is off by ``shift_ms``."""
    start, end = samples[0]["t"] + shift_ms, samples[-1]["t"] + shift_ms
    rows = rows_of(samples, shift_ms)
    entries = [
        entry(start - 2000, f"Publishing event: contact::connecting::{contact}"),
        entry(
            start - 1500,
            "GET_AGENT_SNAPSHOT succeeded",
            objects=[{"snapshot": {"skew": skew_ms, "state": {"name": "Busy"}}}],
        ),
        entry(start - 900, f"Publishing event: contact::connected::{contact}"),
    ]
    for at in range(0, len(rows), 60):
        part = rows[at : at + 60]
        sent = start + 1000 * (at // 2 + 30)
        entries.append(entry(sent, " sendSoftphoneMetrics success" + json.dumps(part)))
    told = {
        "callStartTime": iso(start - 800),
        "callEndTime": iso(end),
        "gumTimeMillis": 20,
        "initializationTimeMillis": 60,
        "iceCollectionTimeMillis": 120,
        "signallingConnectTimeMillis": 4,
        "handshakingTimeMillis": 300,
        "preTalkingTimeMillis": 350,
        "talkingTimeMillis": end - start,
        "cleanupTimeMillis": None,
        "iceCollectionFailure": False,
        "softphoneStreamStatistics": [],
        **report,
    }
    entries += [
        entry(end + 10, " sendSoftphoneReport success" + json.dumps(told)),
        entry(end + 500, f"Publishing event: contact::ended::{contact}"),
    ]
    return entries


def internals_dump(samples: list[dict[str, Any]], shift_ms: float = 0) -> dict[str, Any]:
    """Return the dump that chrome://webrtc-internals would have saved."""
    stats: dict[str, Any] = {}
    for sample in samples:
        for kind, rows in sample.items():
            for row in rows if isinstance(rows, list) else ():
                stat_id = {"inbound-rtp": "IT01A", "outbound-rtp": "OT01A", "remote-inbound-rtp": "RIA"}.get(kind, kind)
                if "ssrc" in row:
                    stat_id += str(row["ssrc"])
                    row = {**row, "kind": "audio"}  # noqa: PLW2901
                for prop, value in row.items():
                    if prop == "timestamp":
                        value += shift_ms  # noqa: PLW2901
                    one = stats.setdefault(
                        f"{stat_id}-{prop}", {"startTime": iso(sample["t"] + shift_ms), "statsType": kind, "values": []}
                    )
                    one["endTime"] = iso(sample["t"] + shift_ms)
                    one["values"].append(value)
    for one in stats.values():
        one["values"] = json.dumps(one["values"])
    return {
        "getUserMedia": [],
        "PeerConnections": {"11-1": {"pid": 11, "rtcConfiguration": "{}", "stats": stats, "updateLog": [], "url": "x"}},
        "UserAgent": "Mozilla/5.0 Chrome/140.0.0.0",
    }
