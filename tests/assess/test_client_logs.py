"""Logs of a client folder: read, judged by limits, joined, and left out with a sentence where they cannot be read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from ccp_logs import LAB, agent_log, samples_of

from ccp_assess.assess.captures import assess_captures
from ccp_assess.assess.witness_evidence import join_files, read_witness_evidence
from ccp_assess.assess.witness_findings import findings_of
from ccp_assess.client import Client, read_client
from ccp_assess.witnesses.records import StreamFigures, Witness, WitnessCall

ONE = "b44757a2-b0f4-4ee7-8d4d-6dfc8694e06a"


def folder(tmp_path: Path, **logs: str) -> Client:
    (tmp_path / "client.toml").write_text("", encoding="utf-8")
    (tmp_path / "sites.csv").write_text('site_id,place,agents\nLIS,"Lisbon, PT",5\n', encoding="utf-8")
    (tmp_path / "logs" / "LIS").mkdir(parents=True)
    for name, content in logs.items():
        (tmp_path / "logs" / "LIS" / name.replace("__", ".")).write_text(content, encoding="utf-8")
    return read_client(tmp_path)


def test_a_log_that_is_none_costs_that_log_only(tmp_path: Path) -> None:
    client = folder(
        tmp_path, diary__txt="5:45PM anna LT3\n", notes__txt="call me", trial__csv="time,class,outcome\n,answer,ok\n"
    )
    evidence = read_witness_evidence(client, [])
    assert [one["file"] for one in evidence.witnesses] == ["logs/LIS/diary.txt"]
    assert [(one.code, one.file) for one in evidence.left_out] == [("LOG_UNREADABLE", "logs/LIS/notes.txt")]
    assert str(tmp_path) not in evidence.left_out[0].text
    assert [(site, finding.code, finding.severity) for site, _, finding in evidence.findings] == [
        ("LIS", "DIARY_REPORTS", "critical")
    ]


@pytest.mark.shared
def test_a_sites_log_is_joined_with_its_capture(tmp_path: Path) -> None:
    log = json.dumps(agent_log(samples_of("loss3_down"), ONE, shift_ms=4000, skew_ms=-4000))
    client = folder(tmp_path, **{"agent-log__txt": log})
    read = assess_captures([LAB / "pcap" / "loss3_down.pcap"])
    capture = {
        "site_id": "LIS",
        "file": "captures/LIS/a.pcap",
        "document": read.to_document(),
        "seconds": read.rows("seconds"),
    }
    evidence = read_witness_evidence(client, [capture])
    codes = {finding.code: finding for _, _, finding in evidence.findings}
    assert set(codes) == {"LOG_LOSS_INBOUND", "LOG_CLOCK_SKEW", "CLOCKS_DISAGREE", "JOINED_LOSS"}
    assert codes["JOINED_LOSS"].evidence["side"] == "way_in"
    assert evidence.joined[0]["site_id"] == "LIS"
    assert evidence.witnesses[0]["document"]["seconds"] == 82  # counted: the rows themselves stay in the log
    elsewhere = read_witness_evidence(client, [{**capture, "site_id": "OPO"}])
    assert elsewhere.joined == ()


@pytest.mark.shared
def test_files_are_joined_in_any_order(tmp_path: Path) -> None:
    log = tmp_path / "x"
    log.write_text(json.dumps(agent_log(samples_of("loss3_down"), ONE)))
    joined = join_files([log, LAB / "pcap" / "loss3_down.pcap"])
    assert joined.reference == ("capture", "loss3_down.pcap")
    assert len(joined.calls) == 1


def test_a_recording_is_held_against_what_the_workstation_recorded(tmp_path: Path) -> None:
    client = folder(tmp_path)
    rate_hz = 8000
    knock = np.sin(np.arange(300) * 0.8) * np.exp(-np.arange(300) / 40)
    for name, delay_s in (("taps.wav", 0.42), ("taps-recording.wav", 0.3)):
        sound = np.random.default_rng(1).normal(size=rate_hz * 16) * 1e-3
        for tap_s in (2, 6, 10):
            for at_s, loud in ((tap_s, 1.0), (tap_s + delay_s, 0.3)):
                sound[int(at_s * rate_hz) : int(at_s * rate_hz) + 300] += loud * knock
        soundfile.write(tmp_path / "logs" / "LIS" / name, 0.8 * sound, rate_hz)
    evidence = read_witness_evidence(read_client(client.folder), [])
    assert [one["file"] for one in evidence.witnesses] == ["logs/LIS/taps.wav"]
    told = evidence.witnesses[0]["document"]["latency_ms"]
    assert told["agent"]["mean"] == pytest.approx(120, abs=2)
    assert [(finding.code, finding.severity) for _, _, finding in evidence.findings] == [("OVERALL_LATENCY", "warning")]


def call(**more: object) -> WitnessCall:
    return WitnessCall(start_ns=1, end_ns=2, more={"outcome": "ok", "errors": [], "setup_ms": {}, **more})


def test_each_trouble_of_a_log_is_one_sentence() -> None:
    calls = (
        call(outcome="softphone_error", errors=["ice_collection_timeout"]),
        call(setup_ms={"ice_collection": 5200.0, "cleanup": 9000.0}),
        WitnessCall(
            start_ns=1,
            inbound=StreamFigures(packets=970, lost=30, jitter_ms=65.0),
            outbound=StreamFigures(packets=1000, lost=12),
            rtt_ms=(340.0, 350.0),
            rtt_source="rtcp",
        ),
    )
    latency = {"all": {"p95": 900.0, "n": 40, "failed": 2}}
    skew = {"p50": 5100.0, "min": 5000.0, "max": 5200.0, "n": 9}
    witness = Witness(
        kind="agent_log", file="a.txt", calls=calls, more={"api_latency_ms": latency, "clock_skew_ms": skew}
    )
    told = {finding.code: finding.severity for finding in findings_of(witness)}
    assert told == {
        "LOG_CALLS_FAILED": "critical",
        "LOG_LOSS_INBOUND": "critical",
        "LOG_LOSS_OUTBOUND": "warning",
        "LOG_JITTER_INBOUND": "critical",
        "LOG_ROUND_TRIP": "warning",
        "LOG_SETUP_SLOW": "critical",
        "LOG_API_SLOW": "warning",
        "LOG_CLOCK_SKEW": "critical",
    }


def test_a_log_without_trouble_says_nothing() -> None:
    good = WitnessCall(start_ns=1, inbound=StreamFigures(packets=1000, lost=1), more={"outcome": "ok"})
    assert findings_of(Witness(kind="agent_log", file="a.txt", calls=(good,))) == ()
