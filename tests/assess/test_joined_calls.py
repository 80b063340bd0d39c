"""Witnesses of the same calls, on one clock: offsets found, calls paired, contradictions named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ccp_logs import LAB, agent_log, internals_dump, iso, samples_of

from ccp_assess.assess.captures import assess_captures
from ccp_assess.assess.clocks import Arrivals, Span, estimate_offset, match
from ccp_assess.assess.joined_calls import Joined, join
from ccp_assess.assess.joined_told import Telling, conclude, contradictions
from ccp_assess.units import NS_PER_MS, NS_PER_S
from ccp_assess.witnesses.reading import read_witness

ONE = "b44757a2-b0f4-4ee7-8d4d-6dfc8694e06a"
T0 = 1_795_000_000 * NS_PER_S


def span(start_s: float, end_s: float, *names: str, **more: Any) -> Span:
    return Span(
        start_ns=T0 + round(start_s * NS_PER_S), end_ns=T0 + round(end_s * NS_PER_S), names=frozenset(names), **more
    )


def arrivals(start_s: float, counts: list[float], step_s: float = 1.0) -> Arrivals:
    times = T0 + np.asarray([round((start_s + step_s * at) * NS_PER_S) for at in range(len(counts))], np.int64)
    return Arrivals(time_ns=times, packets=np.asarray(counts, np.float64))


def test_the_nth_packet_has_an_instant_on_each_clock() -> None:
    counts = [0, 50, 100, 140, 141, 190, 240, 290, 340]
    one = span(0, 8, arrivals=arrivals(0, [float(count) for count in counts]))
    other = span(7.3, 15.3, arrivals=arrivals(7.3, [float(count) for count in counts]))
    offset = estimate_offset([one], [other])
    assert (offset.basis, offset.pairs) == ("packets", ((0, 0),))
    assert offset.offset_ns == pytest.approx(-7.3 * NS_PER_S, abs=NS_PER_MS)
    assert offset.spread_ns == pytest.approx(0, abs=NS_PER_MS)


def test_names_pair_calls_whatever_the_clocks_say() -> None:
    reference = [span(0, 60, "contact:a"), span(100, 190, "contact:b")]
    witness = [span(5000, 5060.4, "contact:b"), span(4900, 4960.2, "contact:a")]
    offset = estimate_offset(reference, witness)
    assert sorted(offset.pairs) == [(0, 1), (1, 0)]
    assert offset.basis == "starts_and_ends"


def test_many_calls_vote_for_a_wrong_time_zone() -> None:
    starts = [0, 130, 400, 470, 900]
    reference = [span(start, start + 60 + 7 * at) for at, start in enumerate(starts)]
    witness = [span(start + 3600.5, start + 3660.5 + 7 * at) for at, start in enumerate(starts)]
    offset = estimate_offset(reference, witness)
    assert offset.pairs == tuple((at, at) for at in range(5))
    assert offset.offset_ns == -3600.5 * NS_PER_S


def test_one_call_alone_proves_no_large_offset() -> None:
    assert estimate_offset([span(0, 60)], [span(3600, 3660)]).basis == "none"
    assert estimate_offset([span(0, 60)], [span(20, 80)]).offset_ns == -20 * NS_PER_S


def dense(count: int) -> list[Span]:
    """Make the contacts of a whole contact centre: one every few seconds."""
    rng = np.random.default_rng(8)
    starts = np.cumsum(rng.integers(1, 20, count))
    return [span(float(start), float(start + rng.integers(30, 600)), f"contact:{start}") for start in starts]


def test_an_agents_calls_are_found_among_those_of_the_whole_centre() -> None:
    contacts = dense(4000)
    mine = sorted(np.random.default_rng(9).choice(4000, 60, replace=False).tolist())
    for shift_s in (2.5, 3600):
        log = [
            span((one.start_ns - T0) / NS_PER_S + shift_s, (one.end_ns - T0) / NS_PER_S + shift_s)
            for one in (contacts[at] for at in mine)
        ]
        offset = estimate_offset(log, contacts)
        assert offset.offset_ns == pytest.approx(shift_s * NS_PER_S, abs=NS_PER_S)
        right = sum(mine[a] == b for a, b in offset.pairs)
        assert right >= 55


def test_one_call_is_not_guessed_among_those_of_the_whole_centre() -> None:
    contacts = dense(4000)
    one = contacts[2000]
    assert estimate_offset([span((one.start_ns - T0) / NS_PER_S, (one.end_ns - T0) / NS_PER_S)], contacts).pairs == ()


def test_a_call_that_could_be_several_is_left_alone() -> None:
    reference = [span(0, 60)]
    witness = [span(1, 61), span(-2, 58)]
    assert match(reference, witness, 0) == [(0, 0)]
    assert match(reference, witness, 0, only_one=True) == []


def test_calls_with_different_contacts_are_not_paired() -> None:
    assert match([span(0, 60, "contact:a")], [span(0, 60, "contact:b")], 0) == []
    assert match([span(0, 60, "contact:a")], [span(0, 60, "ssrc:1")], 0) == [(0, 0)]


def test_a_capture_that_begins_within_the_call_is_counted_from_its_end() -> None:
    whole = [float(50 * at) for at in range(31)]
    late = [float(50 * at) for at in range(21)]
    reference = span(10, 30, "ssrc:1", arrivals=arrivals(10, late), begun=False)
    witness = span(2, 32, "ssrc:1", arrivals=arrivals(2, whole))
    offset = estimate_offset([reference], [witness])
    assert offset.basis == "packets"
    assert offset.offset_ns == pytest.approx(-2 * NS_PER_S, abs=NS_PER_MS)


def telling(kind: str, **more: Any) -> Telling:
    return Telling(kind=kind, file=f"{kind}.x", name="c", start_ns=T0, end_ns=T0 + 60 * NS_PER_S, **more)


@pytest.mark.parametrize(
    ("in_pct", "out_pct", "side", "severity"),
    [
        (3.0, 0.0, "way_in", "critical"),
        (0.0, 1.5, "way_out", "warning"),
        (1.2, 1.5, "both_ways", "warning"),
        (0.2, 0.1, "none", None),
        (2.0, None, "unknown", "warning"),
    ],
)
def test_loss_of_two_witnesses_tells_the_side(
    in_pct: float, out_pct: float | None, side: str, severity: str | None
) -> None:
    capture = telling("capture", in_loss_pct=in_pct, in_lost=round(10 * in_pct), in_packets=1000)
    log = telling("agent_log", out_loss_pct=out_pct)
    together = conclude([capture, log])
    assert (together.side, together.severity) == (side, severity)
    assert (together.in_from, together.out_from) == ("capture", None if out_pct is None else "agent_log")


def test_what_the_browser_misses_and_the_capture_saw_is_the_workstations() -> None:
    capture = telling("capture", in_loss_pct=0.0, in_lost=0, in_packets=2000)
    log = telling("agent_log", in_loss_pct=3.0, in_lost=60, in_packets=1940, out_loss_pct=0.0)
    assert conclude([capture, log]).side == "workstation"
    assert "within the workstation" in contradictions([capture, log])[0].text


def test_what_never_left_the_workstation_is_the_workstations() -> None:
    capture = telling("capture", in_loss_pct=0.0, in_lost=0, in_packets=2000, out_lost_before=58)
    log = telling("agent_log", in_loss_pct=0.0, in_lost=0, out_loss_pct=3.0, out_lost=60)
    assert conclude([capture, log]).side == "workstation"


def test_contradictions_are_named_and_not_averaged() -> None:
    capture = telling("capture", in_lost=250, in_packets=1750, in_loss_pct=12.5, rtt_ms=40.0, outcome="ok")
    log = telling("agent_log", in_lost=0, in_loss_pct=0.0, rtt_ms=300.0, outcome="no_audio", errors=("x",))
    record = telling("contact_record", quality_issues=())
    told = {one.measure: one for one in contradictions([capture, log, record])}
    assert set(told) == {"in.lost", "rtt_ms", "outcome", "quality_issues"}
    assert told["in.lost"].values == {"capture.x": 250, "agent_log.x": 0}
    assert "restarts its count" in told["in.lost"].text
    assert conclude([capture, log]).in_loss_pct == 12.5


def test_the_services_word_against_all_measurements_is_a_contradiction() -> None:
    capture = telling("capture", in_lost=0, in_packets=2000, in_loss_pct=0.0)
    log = telling("agent_log", in_lost=0, in_loss_pct=0.0, out_lost=0, out_loss_pct=0.0)
    record = telling("contact_record", quality_issues=("HighPacketLoss",))
    assert [one.measure for one in contradictions([capture, log, record])] == ["quality_issues"]


def test_without_calls_nothing_is_joined() -> None:
    assert join([], []).to_document()["reference"] is None


def _joined(tmp_path: Path, name: str, *, log_ms: float, dump_ms: float | None) -> Joined:
    read = assess_captures([LAB / "pcap" / f"{name}.pcap"])
    samples = samples_of(name)
    log = tmp_path / "agent-log.txt"
    log.write_text(json.dumps(agent_log(samples, ONE, shift_ms=log_ms)))
    witnesses = [read_witness(log)]
    if dump_ms is not None:
        dump = tmp_path / "dump.txt"
        dump.write_text(json.dumps(internals_dump(samples, dump_ms)))
        witnesses.append(read_witness(dump))
    record = tmp_path / "contacts.json"
    record.write_text(
        json.dumps(
            {
                "ContactId": ONE,
                "Channel": "VOICE",
                "InitiationTimestamp": iso(samples[0]["t"] - 9000),
                "DisconnectTimestamp": iso(samples[-1]["t"]),
                "Agent": {"ConnectedToAgentTimestamp": iso(samples[0]["t"] - 500)},
                "QualityMetrics": {"Agent": {"Audio": {"QualityScore": 4.0, "PotentialQualityIssues": []}}},
            }
        )
    )
    witnesses.append(read_witness(record))
    return join([(f"{name}.pcap", read.to_document(), list(read.rows("seconds")))], witnesses)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "log_ms", "side"),
    [
        ("loss3_down", 7000, "way_in"),
        ("lan_loss4", -2500, "both_ways"),
        ("midcall", 500, "way_in"),
        ("clean", 90_000, "none"),
        ("three_agents", 3000, "none"),
        ("outage5", -3_599_750, "way_in"),
    ],
)
def test_lab_calls_are_joined_on_one_clock(tmp_path: Path, name: str, log_ms: float, side: str) -> None:
    joined = _joined(tmp_path, name, log_ms=log_ms, dump_ms=1000)
    document = joined.to_document()
    assert document["reference"] == {"kind": "capture", "file": f"{name}.pcap"}
    clocks = {clock["kind"]: clock for clock in document["clocks"]}
    assert clocks["agent_log"]["basis"] == clocks["webrtc_internals"]["basis"] == "packets"
    assert clocks["agent_log"]["offset_ms"] == pytest.approx(-log_ms, abs=50)
    assert clocks["webrtc_internals"]["offset_ms"] == pytest.approx(-1000, abs=50)
    call = next(call for call in document["calls"] if call["contact_id"] == ONE)
    assert [one["kind"] for one in call["witnesses"]] == [
        "capture",
        "webrtc_internals",
        "agent_log",
        "contact_record",
    ]
    assert call["together"]["side"] == side
    disagreeing = "in.lost" in [one["measure"] for one in call["contradictions"]]
    assert disagreeing == (name == "outage5")  # the browser forgot the outage, the capture did not


@pytest.mark.shared
def test_calls_of_one_witness_alone_are_counted_not_forced(tmp_path: Path) -> None:
    document = _joined(tmp_path, "three_agents", log_ms=0, dump_ms=None).to_document()
    assert len(document["calls"]) == 1
    assert document["unmatched"] == [{"kind": "capture", "file": "three_agents.pcap", "calls": 2}]


def test_a_telling_keeps_its_own_clock_and_shows_the_references() -> None:
    moved = replace(telling("agent_log"), offset_ns=-5 * NS_PER_S)
    assert moved.to_document()["start_time"] == "2026-11-18T11:06:35Z"
