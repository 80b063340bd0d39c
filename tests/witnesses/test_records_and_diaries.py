"""Contact records, agents' diaries and Endpoint Test results: as documents and as tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ccp_assess.errors import CcpAssessError, TableError
from ccp_assess.witnesses.reading import read_witness

ONE, TWO = "b44757a2-b0f4-4ee7-8d4d-6dfc8694e06a", "e475efaf-23fd-4379-854a-7266049f933c"
RECORD = {
    "AWSContactTraceRecordFormatVersion": "2017-03-10",
    "ContactId": ONE,
    "Channel": "VOICE",
    "InitiationMethod": "INBOUND",
    "InitiationTimestamp": "2026-11-20T08:00:00Z",
    "DisconnectTimestamp": "2026-11-20T08:05:00Z",
    "Agent": {"Username": "anna", "ConnectedToAgentTimestamp": "2026-11-20T08:00:20Z"},
    "Queue": {"Name": "Sales"},
    "InstanceARN": "arn:aws:connect:eu-central-1:111122223333:instance/x",
    "QualityMetrics": {
        "Agent": {"Audio": {"QualityScore": 3.9, "PotentialQualityIssues": ["HighJitterBuffer"]}},
        "Customer": {"Audio": {"QualityScore": 4.4, "PotentialQualityIssues": []}},
    },
}


def read(tmp_path: Path, content: Any, name: str = "x.dat") -> dict[str, Any]:
    (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return read_witness(tmp_path / name).to_document()


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(RECORD),
        json.dumps([RECORD]),
        json.dumps(RECORD) + json.dumps({**RECORD, "ContactId": TWO, "Channel": "CHAT"}),  # as Firehose writes them
        json.dumps({"Contacts": [RECORD]}),
        json.dumps(
            {
                "Contact": {
                    **{name: value for name, value in RECORD.items() if name not in {"ContactId", "InstanceARN"}},
                    "Id": ONE,
                    "Arn": RECORD["InstanceARN"],
                    "InitiationTimestamp": 1_795_161_600.0,
                }
            }
        ),
    ],
)
def test_a_record_is_the_same_in_every_form(tmp_path: Path, content: str) -> None:
    document = read(tmp_path, content)
    assert document["kind"] == "contact_record"
    assert len(document["calls"]) == 1
    call = document["calls"][0]
    assert (call["contact_id"], call["start_time"], call["end_time"]) == (
        ONE,
        "2026-11-20T08:00:00Z",
        "2026-11-20T08:05:00Z",
    )
    assert call["quality"]["agent"] == {"score": 3.9, "issues": ["HighJitterBuffer"]}
    assert call["region_code"] == "eu-central-1"
    assert [event["code"] for event in document["events"]] == ["POTENTIAL_QUALITY_ISSUE"]


def test_of_a_record_delivered_twice_the_later_counts(tmp_path: Path) -> None:
    later = {**RECORD, "DisconnectTimestamp": "2026-11-20T09:00:00Z"}
    document = read(tmp_path, json.dumps(RECORD) + "\n" + json.dumps(later))
    assert [call["end_time"] for call in document["calls"]] == ["2026-11-20T09:00:00Z"]
    assert any("again" in note for note in document["notes"])


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_export_of_the_contact_search_is_read(tmp_path: Path, separator: str) -> None:
    rows = [
        ["Contact ID", "Channel", "Initiation timestamp", "Agent", "Disconnect timestamp", "Queue"],
        [ONE, "Voice", "2026-11-20 08:00:00", "anna", "11/20/2026 08:05:00 AM", "Sales"],
        [TWO, "Chat", "2026-11-20 08:10:00", "bob", "", ""],
    ]
    document = read(tmp_path, "\n".join(separator.join(row) for row in rows))
    assert document["kind"] == "contact_record"
    assert [(call["start_time"], call["end_time"]) for call in document["calls"]] == [
        ("2026-11-20T08:00:00Z", "2026-11-20T08:05:00Z")
    ]
    assert any("1 contact of other channels" in note for note in document["notes"])


def test_scores_of_a_data_lake_query_are_read(tmp_path: Path) -> None:
    header = "contact_id,initiation_timestamp,agent_audio_quality_score,agent_audio_potential_quality_issues"
    row = f'{ONE},2026-11-20T08:00:00Z,"3,5","[HighPacketLoss, HighRoundTripTime]"'
    call = read(tmp_path, f"{header}\n{row}\n")["calls"][0]
    assert call["quality"]["agent"] == {"score": 3.5, "issues": ["HighPacketLoss", "HighRoundTripTime"]}
    assert call["quality"]["customer"] == {"score": None, "issues": None}


def test_a_time_that_is_none_is_named_with_its_row(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="row 2: 'yesterday' is no instant"):
        read(tmp_path, f"Contact ID,Initiation timestamp\n{ONE},yesterday\n")


def test_awss_own_examples_of_a_diary_are_understood(tmp_path: Path) -> None:
    document = read(tmp_path, "5:45PM agentName LT2\n6:05PM agentName DO3\n6:34PM agentName MI3\n")
    assert document["kind"] == "diary"
    assert [(event["code"], event["text"].split(": ")[1]) for event in document["events"]] == [
        ("LT2", "latency makes the quality poor, three-way call, medium impact"),
        ("DO3", "calls are disconnected, outbound call, large impact"),
        ("MI3", "missed calls, inbound call, large impact"),
    ]
    assert [(cell["hour"], cell["reports"], cell["worst_severity"]) for cell in document["heat_map"]] == [
        (17, 1, 2),
        (18, 2, 3),
    ]
    assert any("no date" in note for note in document["notes"])


def test_a_table_is_a_diary_by_its_header(tmp_path: Path) -> None:
    content = (
        "Agent;Date;Time;Code;Note\n"
        "anna;2026-11-20;08:15;ci1;headset\n"
        "anna;20.11.2026;8.59;LI3;\n"
        "bob;11/20/2026;12:30 AM;wo2;\n"
    )
    document = read(tmp_path, content)
    assert [(cell["agent"], cell["hour"], cell["symptoms"]) for cell in document["heat_map"]] == [
        ("anna", 8, {"L": 1, "C": 1}),
        ("bob", 0, {"W": 1}),
    ]
    assert document["events"][0]["time"] == "2026-11-20T00:30:00Z"
    assert "headset" in document["events"][1]["text"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("agent,time,code\nanna,08:15,XX9\n", "row 2.*no code; write symptom"),
        ("agent,time,code\nanna,noon,LT2\n", "row 2.*no time"),
        ("5:45PM anna LT2\n5:50PM anna feels bad\n", "line 2: '5:50PM anna feels bad' is no entry"),
    ],
)
def test_a_wrong_entry_is_named_with_its_row(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(CcpAssessError, match=words):
        read(tmp_path, content)


def test_latencies_of_the_endpoint_test_are_told_by_region(tmp_path: Path) -> None:
    content = {
        "timestamp": "2026-11-20T08:00:00Z",
        "browserResult": {"name": "WebRTC", "status": "passed"},
        "latencyResult": {
            "status": {"phase": "complete"},
            "latencyInstanceRegionItems": [
                {"name": "eu-west-2 (London)", "minLatency": 21, "maxLatency": 40.5, "averageLatency": "25 ms"},
                {"name": "Frankfurt", "region": "eu-central-1", "averageLatency": 33},
            ],
        },
    }
    document = read(tmp_path, content)
    assert document["kind"] == "endpoint_test"
    assert [(row["region_code"], row["latency_avg_ms"], row["latency_max_ms"]) for row in document["latencies"]] == [
        ("eu-west-2", 25, 40.5),
        ("eu-central-1", 33, None),
    ]
    assert {"test": "browserResult/WebRTC", "outcome": "passed"} in document["tests"]
    assert document["events"][0]["time"] == "2026-11-20T08:00:00Z"
