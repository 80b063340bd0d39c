"""Whatever stands in a file of a witness: it is read, or refused in one sentence."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from ccp_logs import agent_log, entry, internals_dump

from ccp_assess.assess.joined_calls import join
from ccp_assess.assess.witness_findings import findings_of
from ccp_assess.errors import CcpAssessError
from ccp_assess.witnesses.reading import read_witness
from ccp_assess.witnesses.records import Witness

START_MS = 1_795_000_000_000
ODD: list[Any] = [None, True, -1, 1e308, "x", [], {}, 10**23, "2026-99-99T00:00:00Z", [[1]], {"a": [1]}, 9.9e15]


def sample(second: int) -> dict[str, Any]:
    at = START_MS + 1000 * second
    common = {"timestamp": at, "kind": "audio"}
    return {
        "t": at,
        "inbound-rtp": [{**common, "ssrc": 1, "packetsReceived": 50 * second, "packetsLost": second, "jitter": 0.001}],
        "outbound-rtp": [{**common, "ssrc": 2, "packetsSent": 50 * second}],
        "remote-inbound-rtp": [{**common, "ssrc": 2, "packetsLost": 0, "roundTripTime": 0.04}],
        "candidate-pair": [{"timestamp": at, "nominated": True, "state": "succeeded", "currentRoundTripTime": 0.04}],
    }


SAMPLES = [sample(second) for second in range(1, 9)]
UUID = "b44757a2-b0f4-4ee7-8d4d-6dfc8694e06a"
DOCUMENTS: list[Any] = [
    agent_log(SAMPLES, UUID),
    [entry(START_MS, "GET_AGENT_SNAPSHOT succeeded", objects=[{"snapshot": {"skew": 3, "state": {"name": "A"}}}])],
    internals_dump(SAMPLES),
    {"samples": SAMPLES},
    [["getstats", "PC_0", {"a": {"type": "inbound-rtp", "packetsReceived": 9, "kind": "audio"}}, START_MS]],
    {"pcid": "1", "timestamp": START_MS, "inboundRtpStreamStats": [{"type": "inbound-rtp", "id": "a", "ssrc": 4}]},
    {"ContactId": UUID, "Channel": "VOICE", "InitiationTimestamp": "2026-11-20T08:00:00Z", "Agent": {"Username": "a"},
     "QualityMetrics": {"Agent": {"Audio": {"QualityScore": 4, "PotentialQualityIssues": ["x"]}}}},
    {"latencyResult": {"latencyInstanceRegionItems": [{"name": "eu-west-2", "minLatency": 1, "averageLatency": 2}]}},
]  # fmt: skip


def tweaked(value: Any, rng: random.Random) -> Any:
    if rng.random() < 0.04:
        return rng.choice(ODD)
    if isinstance(value, dict):
        return {key: tweaked(item, rng) for key, item in value.items()}
    return [tweaked(item, rng) for item in value] if isinstance(value, list) else value


def damaged(text: str, rng: random.Random) -> str:
    characters = list(text)
    for _ in range(rng.randint(1, 12)):
        characters[rng.randrange(len(characters))] = rng.choice('"{}[],\\0-\x00é\n ')
    return "".join(characters)


@pytest.mark.parametrize("seed", range(8))
def test_hostile_files_are_read_or_refused_in_one_sentence(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    path = tmp_path / "x"
    read = []
    for _ in range(60):
        document = rng.choice(DOCUMENTS)
        way = rng.random()
        text = json.dumps(tweaked(document, rng) if way < 0.6 else document)
        text = damaged(text, rng) if 0.6 <= way < 0.85 else text[: rng.randint(1, len(text))] if way >= 0.85 else text
        path.write_text(text, encoding="utf-8")
        try:
            witness = read_witness(path)
        except CcpAssessError as error:
            assert "\n" not in str(error)  # noqa: PT017 - either way is right
            continue
        findings_of(witness)
        json.dumps(witness.to_document(), allow_nan=False)
        read = [*read, witness][-3:]
        json.dumps(join([], read).to_document(), allow_nan=False)
    assert read


HUGE = 10**400
"""A whole number that JSON may hold and no float can."""


@pytest.mark.parametrize(
    ("document", "unknown"),
    [
        ({"pcid": "1", "timestamp": START_MS, "inboundRtpStreamStats": 7}, lambda w: w.calls or None),
        ({"ContactId": UUID, "QualityMetrics": {"Agent": "good"}}, lambda w: quality(w)["score"]),
        ({"ContactId": UUID, "QualityMetrics": {"Agent": {"Audio": {"QualityScore": HUGE}}}},
         lambda w: quality(w)["score"]),
        ({"ContactId": UUID, "Channel": "VOICE", "Queue": {"Name": HUGE}}, lambda w: w.calls[0].more["queue"]),
        ([["getstats", "PC", SAMPLES[0], START_MS], ["getstats", "PC", {}, HUGE], *DOCUMENTS[4]],
         lambda w: w.calls[0].rtt_source if w.calls[0].rtt_ms else None),
        ({"latencyResult": {"a": {"region": "eu-west-2", "minLatency": "9" * 400, "averageLatency": 2}}},
         lambda w: w.more["latencies"][0]["latency_min_ms"]),
        ([{"callStartTime": START_MS, "callEndTime": START_MS + 9000, "skewTimeMillis": HUGE, "contactId": UUID,
           "iceConnectionsLost": float("inf"), "softphoneStreamStatistics": []}],
         lambda w: w.calls[0].more.get("ice_connections_lost")),
        ({"samples": [{**sample, "remote-inbound-rtp": [{**sample["remote-inbound-rtp"][0], "roundTripTime": -0.04}],
                       "candidate-pair": []} for sample in SAMPLES]}, lambda w: w.calls[0].rtt_ms or None),
        ({"samples": [{**sample, "inbound-rtp": [{**sample["inbound-rtp"][0], "jitter": -0.5}]} for sample in SAMPLES]},
         lambda w: w.calls[0].inbound.jitter_ms),
        ({"samples": [{**sample, "candidate-pair": [{**sample["candidate-pair"][0], "localCandidateId": "L"}],
                       "local-candidate": [{"id": "L", "url": [HUGE], "timestamp": 0}]} for sample in SAMPLES]},
         lambda w: w.calls[0].more["relay"]["url"]),
    ],
)  # fmt: skip
def test_a_value_that_is_none_of_its_field_is_unknown(tmp_path: Path, document: Any, unknown: Any) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(document))
    witness = read_witness(path)
    assert unknown(witness) is None
    json.dumps(witness.to_document(), allow_nan=False)


def test_a_score_in_a_table_that_is_no_number_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "contacts.csv"
    path.write_text(f"Contact ID,Initiation timestamp,Agent audio quality score\n{UUID},2026-11-20 08:00:00,nan\n")
    assert quality(read_witness(path))["score"] is None


def quality(witness: Witness) -> dict[str, Any]:
    told: dict[str, Any] = witness.calls[0].more["quality"]["agent"]
    return told


@pytest.mark.parametrize("text", ["[" * 600 + "1" + "]" * 600, '{"reports":[' * 400 + "{}" + "]}" * 400])
def test_what_is_parsed_and_nested_too_deeply_for_a_reader_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(CcpAssessError, match="nested deeper"):
        read_witness(path)
