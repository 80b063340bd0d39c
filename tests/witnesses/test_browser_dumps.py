"""Browser statistics in every form they are saved in tell the same call."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import pytest
from ccp_logs import LAB, internals_dump, iso, samples_of

from ccp_assess.errors import ParseError
from ccp_assess.witnesses.reading import read_witness
from ccp_assess.witnesses.rtc_stats import RtcStats

START_MS = 1_795_000_000_000
SSRC_IN, SSRC_OUT = 2_334_682_773, 1_642_969_377


def report(second: int, *, lost: int = 0, sent_lost: int = 0, rtt: float = 0.04) -> list[dict[str, Any]]:
    """Make one report of getStats: 50 packets a second each way."""
    at = START_MS + 1000 * second
    return [
        {
            "id": "IT01A1", "type": "inbound-rtp", "kind": "audio", "ssrc": SSRC_IN, "timestamp": at,
            "packetsReceived": 50 * (second + 1) - lost, "packetsLost": lost, "jitter": 0.004,
            "jitterBufferDelay": 48_000 * (second + 1) * 0.06, "jitterBufferEmittedCount": 48_000 * (second + 1),
            "concealedSamples": 480 * (second + 1), "totalSamplesReceived": 48_000 * (second + 1),
        },
        {
            "id": "OT01A2", "type": "outbound-rtp", "kind": "audio", "ssrc": SSRC_OUT, "timestamp": at,
            "packetsSent": 50 * (second + 1),
        },
        {
            "id": "RIA2", "type": "remote-inbound-rtp", "kind": "audio", "ssrc": SSRC_OUT,
            "timestamp": at - 300 - 1000 * (second % 5), "packetsLost": sent_lost, "jitter": 0.002,
            "roundTripTime": rtt,
        },
        {
            "id": "CP1", "type": "candidate-pair", "timestamp": at, "state": "succeeded", "nominated": True,
            "currentRoundTripTime": 0.039, "responsesReceived": second // 2,
        },
    ]  # fmt: skip


REPORTS = [report(second, lost=second // 3, sent_lost=second // 5) for second in range(20)]


def as_sample(stats: list[dict[str, Any]], second: int) -> dict[str, Any]:
    grouped: dict[str, Any] = {"t": START_MS + 1000 * second}
    for stat in stats:
        grouped.setdefault(stat["type"], []).append({k: v for k, v in stat.items() if k != "type"})
    return grouped


FORMS = {
    "list of lists": lambda: json.dumps(REPORTS),
    "list of maps": lambda: json.dumps([{stat["id"]: stat for stat in stats} for stats in REPORTS]),
    "entries of maps": lambda: json.dumps([[[stat["id"], stat] for stat in stats] for stats in REPORTS]),
    "one report a line": lambda: "\n".join(json.dumps(stats) for stats in REPORTS),
    "grouped samples": lambda: json.dumps({"samples": [as_sample(stats, at) for at, stats in enumerate(REPORTS)]}),
    "wrapped with a time": lambda: json.dumps(
        [{"timestamp": START_MS + 1000 * at, "stats": {one["id"]: one for one in s}} for at, s in enumerate(REPORTS)]
    ),
    "flat": lambda: json.dumps([stat for stats in REPORTS for stat in stats]),
    "instants as text": lambda: json.dumps(
        [stat | {"timestamp": iso(stat["timestamp"])} for stats in REPORTS for stat in stats]
    ),
    "rtcstats": lambda: (
        "RTCStatsDump\n"
        + json.dumps({"fileFormat": 3})
        + "".join(
            "\n" + json.dumps(["getstats", "PC_0", {one["id"]: one for one in s}, START_MS if at == 0 else 1000])
            for at, s in enumerate(REPORTS)
        )
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_same_reports_tell_the_same_call_in_every_form(tmp_path: Path, form: str) -> None:
    path = tmp_path / "stats.txt"
    path.write_text(FORMS[form]())
    document = read_witness(path).to_document()
    assert document["kind"] == "getstats"
    assert len(document["calls"]) == 1
    call = document["calls"][0]
    assert (call["in"]["packets"], call["in"]["lost"], call["out"]["packets"], call["out"]["lost"]) == (994, 6, 1000, 3)
    assert call["in"]["ssrc"] == f"0x{SSRC_IN:08x}"
    assert call["in"]["jitter_buffer_ms"] == pytest.approx(60, abs=0.1)
    assert call["in"]["concealed_pct"] == pytest.approx(1.0, abs=0.01)
    assert (call["start_time"], call["end_time"]) == ("2026-11-18T11:06:40Z", "2026-11-18T11:06:59Z")
    rows = document["seconds"]
    assert sum(row["packets"] for row in rows if row["direction"] == "in") == 994
    assert sum(row["lost"] or 0 for row in rows if row["direction"] == "out") == 3


def test_a_report_of_the_far_end_counts_once_and_in_the_second_it_came(tmp_path: Path) -> None:
    path = tmp_path / "stats.json"
    path.write_text(json.dumps(REPORTS))
    document = read_witness(path).to_document()
    told = [row["rtt_ms"] for row in document["seconds"] if row["direction"] == "out" and row["rtt_ms"] is not None]
    assert len(told) == document["calls"][0]["rtt_ms"]["n"] < 20
    assert document["calls"][0]["rtt_stun_ms"]["n"] == 10  # every answer of the path once, though it is shown twice


def test_chromes_dump_of_the_same_samples_tells_the_same(tmp_path: Path) -> None:
    samples = [as_sample(stats, at) for at, stats in enumerate(REPORTS)]
    text = json.dumps(internals_dump(samples))
    for name, content in (("dump.json", text.encode()), ("dump.gz", gzip.compress(text.encode()))):
        (tmp_path / name).write_bytes(content)
        document = read_witness(tmp_path / name).to_document()
        assert document["kind"] == "webrtc_internals"
        call = document["calls"][0]
        assert (call["in"]["packets"], call["in"]["lost"], call["out"]["lost"]) == (994, 6, 3)
        assert call["start_time"] == "2026-11-18T11:06:40Z"


def test_a_dump_that_was_cut_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    samples = [as_sample(stats, at) for at, stats in enumerate(REPORTS)]
    text = json.dumps(internals_dump(samples), indent=1)
    (tmp_path / "dump.txt").write_text(text[: int(len(text) * 0.75)])
    document = read_witness(tmp_path / "dump.txt").to_document()
    assert document["calls"][0]["in"]["packets"] == 994
    assert any("cut" in note for note in document["notes"])


@pytest.mark.parametrize("wrapped", ["history", "reports", "one"])
def test_firefoxs_reports_tell_the_same(tmp_path: Path, wrapped: str) -> None:
    def firefox(stats: list[dict[str, Any]], second: int) -> dict[str, Any]:
        named = {
            "inbound-rtp": "inboundRtpStreamStats",
            "outbound-rtp": "outboundRtpStreamStats",
            "remote-inbound-rtp": "remoteInboundRtpStreamStats",
            "candidate-pair": "iceCandidatePairStats",
        }
        lists: dict[str, Any] = {}
        for stat in stats:
            lists.setdefault(named[stat["type"]], []).append(stat)
        return {"pcid": "1 (id=1 url=https://x)", "timestamp": START_MS + 1000 * second, "closed": False, **lists}

    reports = [firefox(stats, at) for at, stats in enumerate(REPORTS)]
    content = {"history": {"reports": reports, "sdpHistories": []}, "reports": reports, "one": reports[-1]}[wrapped]
    (tmp_path / "copied.txt").write_text(json.dumps(content))
    document = read_witness(tmp_path / "copied.txt").to_document()
    assert document["kind"] == "webrtc_internals"
    assert (document["calls"][0]["in"]["packets"], document["calls"][0]["out"]["lost"]) == (994, 3)


def test_firefoxs_saved_page_names_the_button_that_helps(tmp_path: Path) -> None:
    (tmp_path / "aboutWebrtc.html").write_text('<div id="content"><div id="rtp-stats: 1"><h4>RTP</h4></div></div>')
    with pytest.raises(ParseError, match="Copy Report History"):
        read_witness(tmp_path / "aboutWebrtc.html")


def test_ticks_are_not_taken_for_seconds_of_jitter() -> None:
    stats = RtcStats()
    for second in range(5):
        for stat in report(second):
            stats.add("pc", (START_MS + 1000 * second) * 1_000_000, {**stat, "jitter": 48})
    calls, _ = stats.finish()
    assert calls[0].inbound.jitter_ms is None


def test_a_counter_that_starts_anew_is_not_lost() -> None:
    stats = RtcStats()
    for second, received in enumerate((50, 100, 150, 30, 80)):
        stat = {"type": "inbound-rtp", "kind": "audio", "id": "a", "packetsReceived": received, "packetsLost": 0}
        stats.add("pc", second * 1_000_000_000, stat)
    calls, seconds = stats.finish()
    assert calls[0].inbound.packets == 230
    assert [row.packets for row in seconds.rows()] == [50, 50, 50, 30, 50]


def test_a_packet_that_comes_late_takes_back_its_loss() -> None:
    stats = RtcStats()
    for second, lost in enumerate((0, 3, 1)):
        stat = {"type": "inbound-rtp", "kind": "audio", "id": "a", "packetsReceived": 50 * (second + 1)}
        stats.add("pc", second * 1_000_000_000, {**stat, "packetsLost": lost})
    calls, seconds = stats.finish()
    assert calls[0].inbound.lost == 1
    assert [row.lost for row in seconds.rows()] == [0, 3, 0]


def test_video_is_no_call() -> None:
    stats = RtcStats()
    stats.add("pc", 1, {"type": "inbound-rtp", "kind": "video", "id": "v", "packetsReceived": 9, "packetsLost": 0})
    assert stats.finish()[0] == ()


@pytest.mark.shared
@pytest.mark.parametrize("name", ["loss3_down", "loss1_both", "outage5", "hold_stop", "three_agents", "dup3", "clean"])
def test_the_lab_browsers_tell_what_they_told_at_the_end(name: str) -> None:
    told = json.loads((LAB / "truth" / f"{name}.summary.json").read_text())["getstats"]
    calls = {call["in"]["ssrc"]: call for call in read_witness(LAB / "truth" / f"{name}.json").to_document()["calls"]}
    assert len(calls) == len(told)
    for one in told:
        call = calls[f"0x{one['in_ssrc']:08x}"]
        assert (call["in"]["packets"], call["in"]["lost"]) == (one["in_received"], one["in_lost"])
        assert (call["out"]["packets"], call["out"]["lost"]) == (one["out_sent"], one["remote_lost"])
        assert call["in"]["jitter_max_ms"] == pytest.approx(1000 * one["in_jitter_max_s"], abs=1e-3)


@pytest.mark.shared
def test_real_dumps_of_chrome_end_where_their_series_end(shared: Path) -> None:
    truth = json.loads((shared / "logs" / "webrtc" / "truth_internals.developers.json").read_text())
    seen = 0
    for name, dump in truth.items():
        document = read_witness(shared / "logs" / "webrtc" / name).to_document()
        for connection, told in dump["peer_connections"].items():
            received = {
                key: one
                for key, one in told["series"].items()
                if key.endswith("-packetsReceived") and "InboundRTPAudio" in key and one["last"]
            }
            calls = [call for call in document["calls"] if call["connection"] == connection]
            if received:
                seen += 1
                assert calls[0]["in"]["packets"] == sum(one["last"] for one in received.values())
                assert calls[0]["end_time"] <= max(one["end"] for one in received.values())
    assert seen == 2


@pytest.mark.shared
def test_traces_of_other_products_give_what_their_server_extracts(shared: Path) -> None:
    folder = shared / "logs" / "webrtc"
    name = "jitsi_rtcstats_chrome96-standard-stats-p2p-add-transceiver"
    calls = read_witness(folder / f"{name}.jsonl.gz").to_document()["calls"]
    told = json.loads((folder / f"{name}.expected.json").read_text())["expectedExtractData"]["features"]["aggregates"]
    tracks = [one for one in told["PC_0"]["tracks"]["receiverTracks"] if one["mediaType"] == "audio"]
    call = next(call for call in calls if call["connection"] == "PC_0")
    assert call["in"]["ssrc"] == f"0x{int(tracks[0]['ssrc']):08x}"
    assert (call["in"]["packets"], call["in"]["lost"]) == (tracks[0]["packets"], tracks[0]["packetsLost"])


@pytest.mark.shared
def test_the_first_form_of_rtcstats_is_a_trace_too(shared: Path) -> None:
    calls = read_witness(shared / "logs" / "webrtc" / "rtcstats_client_2016_clienttest.json").to_document()["calls"]
    assert {call["connection"] for call in calls} == {"PC_0", "PC_1"}
    assert all(call["in"]["packets"] or call["out"]["packets"] for call in calls)


@pytest.mark.shared
def test_the_browsers_own_round_trip_is_that_of_the_lab() -> None:
    samples = samples_of("delay150")
    last = [one["remote-inbound-rtp"][0]["roundTripTime"] for one in samples if one.get("remote-inbound-rtp")]
    calls = read_witness(LAB / "truth" / "delay150.json").to_document()["calls"]
    assert any(math.isclose(call["rtt_ms"]["p50"], 1000 * sorted(last)[len(last) // 2], abs_tol=3) for call in calls)
