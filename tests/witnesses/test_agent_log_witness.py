"""What an agent log tells besides outcomes: series with their traps, API latencies, skew, states, set-up phases."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ccp_logs import agent_log, entry, iso, rows_of

from ccp_assess.errors import ParseError
from ccp_assess.witnesses import agent_log_witness, records
from ccp_assess.witnesses.reading import read_witness

ONE = "b44757a2-b0f4-4ee7-8d4d-6dfc8694e06a"
START_MS = 1_795_000_000_000
SPEC = Path("logs") / "ccp" / "ccp_log_parser_spec_cases.developers.json"


def row(second: int, kind: str, **more: Any) -> dict[str, Any]:
    return {
        "softphoneStreamType": kind,
        "timestamp": iso(START_MS + 1000 * second),
        "packetsLost": 0,
        "packetsCount": 50,
        "audioLevel": 7,
        "jitterBufferMillis": 3,
        "roundTripTimeMillis": 40,
        **more,
    }


def metrics(rows: list[dict[str, Any]], at_ms: float = START_MS) -> dict[str, Any]:
    return entry(at_ms, " sendSoftphoneMetrics success" + json.dumps(rows))


def read(tmp_path: Path, entries: Any) -> dict[str, Any]:
    path = tmp_path / "some.name"
    path.write_text(entries if isinstance(entries, str) else json.dumps(entries))
    return read_witness(path).to_document()


def test_audio_input_is_what_comes_towards_the_agent(tmp_path: Path) -> None:
    rows = [row(s, "audio_input", packetsLost=5) for s in range(4)] + [row(s, "audio_output") for s in range(4)]
    call = read(tmp_path, [metrics(rows)])["calls"][0]
    assert (call["in"]["lost"], call["out"]["lost"]) == (20, 0)
    # lost is counted among what should have come, but not added to what was sent
    assert call["in"]["loss_pct"] == pytest.approx(100 * 20 / 220, abs=1e-3)


def test_what_was_sent_is_the_whole_of_what_could_be_lost(tmp_path: Path) -> None:
    rows = [row(s, "audio_output", packetsLost=5, packetLossPercentage=0.1) for s in range(4)]
    assert read(tmp_path, [metrics(rows)])["calls"][0]["out"]["loss_pct"] == 10.0


def test_the_round_trip_is_one_sample_a_second_not_two(tmp_path: Path) -> None:
    rows = [row(s, kind) for s in range(6) for kind in ("audio_input", "audio_output")]
    document = read(tmp_path, [metrics(rows)])
    assert document["calls"][0]["rtt_ms"] == {"p50": 40.0, "p95": 40.0, "max": 40.0, "n": 6, "source": "rtcp"}
    assert {one["rtt_ms"] for one in document["seconds"] if one["direction"] == "in"} == {None}


def test_a_jitter_buffer_that_only_grows_is_no_jitter(tmp_path: Path) -> None:
    rows = [row(s, "audio_input", jitterBufferMillis=1_400_000 * (s + 1)) for s in range(8)]
    rows += [row(s, "audio_output", jitterBufferMillis=None) for s in range(8)]
    document = read(tmp_path, [metrics(rows)])
    assert document["calls"][0]["in"]["jitter_ms"] is None
    assert [event["code"] for event in document["events"]] == ["JITTER_BUFFER_CUMULATIVE"]
    assert {one["jitter_ms"] for one in document["seconds"]} == {None}


def test_jitter_that_rises_and_falls_stays_jitter(tmp_path: Path) -> None:
    rows = [row(s, "audio_input", jitterBufferMillis=value) for s, value in enumerate((2, 9, 30, 12, 4, 4))]
    figures = read(tmp_path, [metrics(rows)])["calls"][0]["in"]
    assert figures["jitter_max_ms"] == 30
    assert figures["jitter_ms"] == pytest.approx(61 / 6, abs=1e-3)


def test_jitter_copied_to_both_directions_counts_for_what_is_received(tmp_path: Path) -> None:
    rows = [row(s, kind, jitterBufferMillis=s) for s in range(6) for kind in ("audio_input", "audio_output")]
    document = read(tmp_path, [metrics(rows)])
    assert document["calls"][0]["out"]["jitter_ms"] is None
    assert document["calls"][0]["in"]["jitter_ms"] == 2.5
    assert "JITTER_COPIED" in [event["code"] for event in document["events"]]


def test_counters_of_a_connection_kept_open_are_not_taken_for_the_first_second(tmp_path: Path) -> None:
    rows = [row(0, "audio_input", packetsCount=90_000, packetsLost=400)]
    rows += [row(s, "audio_input", packetsLost=1) for s in range(1, 5)]
    document = read(tmp_path, [metrics(rows)])
    assert document["calls"][0]["in"] == document["calls"][0]["in"] | {"packets": 200, "lost": 4}
    assert document["seconds"][0]["packets"] is None


def test_rows_that_come_twice_count_once(tmp_path: Path) -> None:
    rows = [row(s, "audio_input") for s in range(5)]
    document = read(tmp_path, [metrics(rows), metrics(rows), metrics(rows[:2])])
    assert len(document["seconds"]) == 5
    assert document["calls"][0]["in"]["packets"] == 250


def test_a_pause_divides_rows_that_no_call_is_known_of(tmp_path: Path) -> None:
    rows = [row(s, "audio_input") for s in (*range(5), *range(60, 64))]
    assert [call["in"]["packets"] for call in read(tmp_path, [metrics(rows)])["calls"]] == [250, 200]


def test_a_text_that_was_cut_keeps_its_whole_rows(tmp_path: Path) -> None:
    text = metrics([row(s, "audio_input") for s in range(6)])["text"]
    document = read(tmp_path, [entry(START_MS, text[: len(text) * 2 // 3])])
    assert 2 <= len(document["seconds"]) <= 4


def test_the_telemetry_series_stand_in_where_no_rows_were_logged(tmp_path: Path) -> None:
    report = {
        "callStartTime": iso(START_MS),
        "callEndTime": iso(START_MS + 4000),
        "talkingTimeMillis": 4000,
        "softphoneStreamPerSecondStatistics": {
            "AUDIO_INPUT": {"packetsCount": [50, 50, 48, 50], "packetsLost": [0, 0, 2, None]},
            "AUDIO_OUTPUT": {"packetsCount": [50] * 4, "packetsLost": [0] * 4, "roundTripTimeMillis": [33] * 4},
        },
    }
    alone = [entry(START_MS + 4100, "sent TelemetryCallReport " + json.dumps(report))]
    document = read(tmp_path, alone)
    assert document["calls"][0]["in"]["packets"] == 198
    assert document["calls"][0]["in"]["lost"] == 2
    assert document["seconds"][0]["time"] == iso(START_MS + 1000).replace(".000", "")
    assert document["calls"][0]["rtt_ms"]["n"] == 4
    logged = [metrics([row(s, "audio_input", packetsCount=10) for s in range(1, 4)]), *alone]
    assert read(tmp_path, logged)["calls"][0]["in"]["packets"] == 30  # the same seconds are not added


def test_sums_of_the_report_count_where_the_series_cover_little(tmp_path: Path) -> None:
    report = {
        "callStartTime": iso(START_MS),
        "callEndTime": iso(START_MS + 300_000),
        "talkingTimeMillis": 300_000,
        "handshakingTimeMillis": 31,
        "softphoneStreamStatistics": [
            {"softphoneStreamType": "audio_input", "timestamp": iso(START_MS), "packetsLost": 9, "packetsCount": 14_000}
        ],
    }
    rows = [metrics([row(s, "audio_input") for s in range(3)])]
    call = read(tmp_path, [*rows, entry(START_MS, " sendSoftphoneReport success" + json.dumps(report))])["calls"][0]
    assert (call["in"]["packets"], call["in"]["lost"]) == (14_000, 9)
    assert call["setup_ms"] == {"handshaking": 31}


def test_replies_are_paired_with_requests_in_order_and_lost_requests_forgotten(tmp_path: Path) -> None:
    def api(second: float, text: str) -> dict[str, Any]:
        return entry(START_MS + 1000 * second, text)

    document = read(
        tmp_path,
        [
            api(0, "AWSClient: --> Calling operation 'createTransport'"),
            api(300, "AWSClient: --> Calling operation 'createTransport'"),
            api(300.25, "AWSClient: <-- Operation 'createTransport' succeeded"),
            api(400, "AWSClient: --> 'acceptContact'"),
            api(401, "AWSClient: --> 'acceptContact'"),
            api(402, "AWSClient: <-- 'acceptContact' failed"),
            api(403, "AWSClient: <-- 'acceptContact' succeeded"),
            api(500, "AWSClient: --> 'getAgentSnapshot'"),
            api(525, "AWSClient: <-- 'getAgentSnapshot' succeeded"),
        ],
    )
    told = document["api_latency_ms"]["operations"]
    assert told["createTransport"]["p50"] == 250
    assert (told["acceptContact"]["n"], told["acceptContact"]["failed"]) == (2, 1)
    assert told["getAgentSnapshot"]["long_poll"]
    assert document["api_latency_ms"]["all"]["max"] == 2000  # the long poll is no latency
    assert sorted(event["code"] for event in document["events"]) == ["API_FAILED", "API_SLOW"]


def test_states_change_once_and_the_skew_is_summed_up(tmp_path: Path) -> None:
    def snapshot(second: int, state: str, skew: float) -> dict[str, Any]:
        objects = [{"snapshot": {"skew": skew, "state": {"name": state}}}]
        return entry(START_MS + 1000 * second, "GET_AGENT_SNAPSHOT succeeded", objects=objects)

    rows = [snapshot(9, "Busy", 210), snapshot(0, "Available", 190), snapshot(5, "Available", 200)]
    document = read(tmp_path, rows)
    assert [event["text"] for event in document["events"]] == ["Available", "Busy"]
    assert document["clock_skew_ms"] == {"p50": 200, "min": 190, "max": 210, "n": 3}


@pytest.mark.parametrize("form", ["array", "lines", "console", "cut", "gzip", "utf-16"])
def test_the_same_entries_tell_the_same_in_every_form(tmp_path: Path, form: str) -> None:
    import gzip

    rows = [row(s, kind) for s in range(4) for kind in ("audio_input", "audio_output")]
    entries = [entry(START_MS - 1000, f"contact::connected::{ONE}"), metrics(rows), entry(START_MS + 9000, "x\ny")]
    path = tmp_path / "log.bin"
    if form == "lines":
        path.write_text("\n".join(json.dumps(one) for one in entries))
    elif form == "console":
        path.write_text(
            "".join(f"softphone.js:12 [{one['time']}] [{one['level']}]: {one['text']}\n" for one in entries)
        )
    elif form == "cut":
        path.write_text(json.dumps([entry(START_MS - 9000, "lost"), *entries], indent=1)[5:-30])
    elif form == "gzip":
        path.write_bytes(gzip.compress(json.dumps(entries).encode()))
    else:
        path.write_text(json.dumps(entries), encoding="utf-16" if form == "utf-16" else "utf-8")
    document = read_witness(path).to_document()
    assert document["kind"] == "agent_log"
    assert len(document["seconds"]) == 8
    assert document["calls"][0]["contact_id"] == ONE
    assert any("cut" in note for note in document["notes"]) == (form == "cut")


def test_no_log_fills_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records.Seconds.__init__, "__defaults__", (20,))
    monkeypatch.setattr(agent_log_witness, "_MOST_SAMPLES", 5)
    entries = [metrics([row(s, "audio_input") for s in range(100)])]
    entries += [entry(START_MS + s, "AWSClient: --> 'getLists'") for s in range(50)]
    document = read(tmp_path, entries)
    assert len(document["seconds"]) == 20
    assert any("125 records" in note for note in document["notes"])


def test_documents_of_other_systems_are_read_as_what_they_hold(tmp_path: Path, shared: Path) -> None:
    event = {"body": json.dumps({"contactId": ONE.upper(), "report": {"callStartTime": iso(START_MS)}})}
    call = read(tmp_path, event)["calls"][0]
    assert (call["contact_id"], call["start_time"]) == (ONE, iso(START_MS).replace(".000", ""))


@pytest.mark.shared
def test_a_real_report_within_a_web_request_is_found(shared: Path) -> None:
    call = read_witness(shared / "logs" / "ccp" / "callreport_lambda_test_event.json").to_document()["calls"][0]
    assert call["contact_id"] == "11111111-2222-4333-8444-555555555555"
    assert (call["in"]["packets"], call["out"]["packets"], call["out"]["lost"]) == (38, 47, 0)
    assert call["setup_ms"]["ice_collection"] == 171
    assert call["start_time"] == "2020-04-20T13:18:47.831Z"


def _spec_cases(shared: Path) -> list[dict[str, Any]]:
    return [case for case in json.loads((shared / SPEC).read_text()) if "truth" in case]


@pytest.mark.shared
def test_another_authors_cases_give_what_his_parser_gives(tmp_path: Path, shared: Path) -> None:
    cases = _spec_cases(shared)
    assert len(cases) > 20
    for case in cases:
        document = read(tmp_path, case["input"])
        truth = case["truth"]
        assert document["entries"] == truth["entries"], case["test"]
        assert document["error_entries"] == truth["errorCount"], case["test"]
        latencies = [
            (name, told["p50"], told["failed"], told["n"])
            for name, told in document["api_latency_ms"]["operations"].items()
        ]
        expected = {one["apiName"] for one in truth["apiLatency"]}
        assert {name for name, *_ in latencies} == expected, case["test"]
        for name, p50, failed, count in latencies:
            mine = [one for one in truth["apiLatency"] if one["apiName"] == name]
            assert (p50, failed, count) == (
                sorted(one["latencyMs"] for one in mine)[(len(mine) + 1) // 2 - 1],
                sum(one["status"] == "failed" for one in mine),
                len(mine),
            ), case["test"]
        assert document["clock_skew_ms"]["n"] in {len(truth["skewMs"]), len(truth["snapshots"])}, case["test"]
        told = [
            (one["time"], one["direction"], one["packets"], one["lost"], one["jitter_ms"], one["audio_level"])
            for one in document["seconds"]
        ]
        assert sorted(told) == sorted(
            (
                one["timestamp"].replace(".000", ""),
                "in" if one["streamType"] == "audio_input" else "out",
                one["packetsCount"],
                one["packetsLost"],
                one["jitterBufferMs"],
                one["audioLevel"],
            )
            for one in truth["softphoneMetrics"]
        ), case["test"]


@pytest.mark.shared
def test_a_log_made_from_a_browsers_statistics_tells_the_same_loss() -> None:
    from ccp_logs import samples_of

    rows = rows_of(samples_of("loss3_down"))
    assert sum(one["packetsLost"] for one in rows if one["softphoneStreamType"] == "audio_input") == 50


@pytest.mark.shared
def test_the_call_of_a_made_log_has_its_loss_and_its_contact(tmp_path: Path) -> None:
    from ccp_logs import samples_of

    document = read(tmp_path, agent_log(samples_of("loss3_down"), ONE, skew_ms=-12))
    call = document["calls"][0]
    assert (call["contact_id"], call["in"]["lost"], call["in"]["packets"], call["out"]["lost"]) == (ONE, 50, 1950, 0)
    assert 38 <= call["rtt_ms"]["p50"] <= 41
    assert document["clock_skew_ms"]["p50"] == -12


def test_an_empty_log_has_no_calls(tmp_path: Path) -> None:
    document = read(tmp_path, "[]")
    assert (document["kind"], document["calls"], document["seconds"]) == ("agent_log", [], [])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "empty"),
        ('{"foo":"bar"}', "of no kind"),
        ("a,b\n1,2\n", "of no kind"),
        ("\x00\x01\x02" * 99, "binary"),
        ('{"foo": }', "line 1, column 9"),
        ("%PDF-1.4 x", "binary"),
    ],
)
def test_what_is_no_witness_is_refused_in_one_sentence(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(ParseError, match=words) as raised:
        read(tmp_path, content)
    assert "\n" not in str(raised.value)
    assert "some.name" in str(raised.value)


def test_times_are_told_with_the_sources_resolution(tmp_path: Path) -> None:
    stamp = datetime(2026, 11, 23, 1, 2, 3, 45_000, UTC).isoformat().replace("+00:00", "Z")
    document = read(tmp_path, [metrics([row(0, "audio_input", timestamp=stamp)])])
    assert document["seconds"][0]["time"] == "2026-11-23T01:02:03.045Z"


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_of_the_softphones_statistics_tells_what_the_log_tells(tmp_path: Path, separator: str) -> None:
    head = "timestamp,softphoneStreamType,packetsCount,packetsLost,jitterBufferMillis,roundTripTimeMillis"
    rows = [
        f"2026-11-23T09:00:{second:02d}.000Z,{kind},50,{lost},3,{rtt}"
        for second in range(30)
        for kind, lost, rtt in (("audio_input", 0, ""), ("audio_output", second % 2, 40))
    ]
    path = tmp_path / "metrics.csv"
    path.write_text("\n".join([head, *rows]).replace(",", separator), encoding="utf-8")
    document = read_witness(path).to_document()
    assert document["kind"] == "agent_log"
    (call,) = document["calls"]
    assert (call["in"]["packets"], call["in"]["lost"], call["out"]["packets"], call["out"]["lost"]) == (
        1500,
        0,
        1500,
        15,
    )
    assert call["rtt_ms"]["p50"] == 40.0


def test_a_table_of_statistics_without_audio_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(
        "timestamp,softphoneStreamType,packetsCount\n2026-11-23T09:00:00Z,video_input,50\n", encoding="utf-8"
    )
    with pytest.raises(ParseError, match="no row of it is of audio"):
        read_witness(path)
