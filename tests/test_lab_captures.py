"""Real calls with independent truth: calls, streams, round trips and findings of the lab's captures."""

import json
import subprocess
from datetime import datetime
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from ccp_assess.assess.captures import assess_captures
from ccp_assess.traffic.transactions import ERROR

pytestmark = pytest.mark.shared

LAB = Path(__file__).resolve().parents[2] / "shared" / "captures" / "lab"
CAPTURES = sorted(
    path for path in LAB.glob("pcap/*") if (LAB / "truth" / f"{path.name.split('.')[0]}.summary.json").exists()
)
WITH_MEDIA = [path for path in CAPTURES if not path.name.startswith("fail_")]
METHODS = {"0x1": 1, "0x3": 3, "0x4": 4, "0x8": 8, "0x9": 9}


def name_of(path):
    return path.name.split(".")[0]


@cache
def read(path):
    return assess_captures([path])


@cache
def truth_of(name):
    return json.loads((LAB / "truth" / f"{name}.summary.json").read_text())


@cache
def events_of(name):
    return json.loads((LAB / "truth" / f"{name}.json").read_text())


def media_calls(assessment):
    return [entry for entry in assessment.calls if entry.call.failure is None]


def only_call(name):
    calls = read(LAB / "pcap" / name).calls
    assert len(calls) == 1
    return calls[0]


def codes_of(entry):
    return {finding.code for finding in entry.findings}


@pytest.mark.parametrize("path", WITH_MEDIA, ids=name_of)
def test_streams_have_the_counts_of_the_independent_reading(path):
    truth = {(s["ssrc_dec"], s["dir"]): s for s in truth_of(name_of(path))["capture"]["streams"]}
    ours = {(s.ssrc, "up" if s.direction == "out" else "down"): s for s in read(path).streams}
    assert set(ours) >= set(truth)
    for key, expected in truth.items():
        stream = ours[key]
        counts = (stream.packets, stream.expected, stream.lost, stream.duplicates, stream.reordered)
        assert counts == tuple(expected[k] for k in ("packets", "expected", "lost", "dup", "reordered"))
        assert stream.jitter_ms == pytest.approx(expected["jitter_end_ms"], abs=0.05)
        assert stream.jitter_mean_ms == pytest.approx(expected["jitter_mean_ms"], abs=0.05)
        assert stream.jitter_max_ms == pytest.approx(expected["jitter_max_ms"], abs=0.05)
        assert stream.longest_gap_ms == pytest.approx(expected["gap_ms"]["max"], abs=0.06)


@pytest.mark.parametrize("path", WITH_MEDIA, ids=name_of)
def test_every_call_is_found_once_in_its_region_with_both_directions(path):
    calls = media_calls(read(path))
    assert len(calls) == len(read(path).calls) == len(events_of(name_of(path))["agent"])
    for entry in calls:
        assert entry.region_code == "us-west-2"
        assert len(entry.call.in_streams) == len(entry.call.out_streams) == 1
        assert entry.outbound.loss_pct is None
        assert entry.outbound.mos_cqe is None
        assert "UPLINK_NOT_VISIBLE" in codes_of(entry)
    assert all(stream_id for stream_id in read(path).call_ids.values())


@pytest.mark.parametrize("path", WITH_MEDIA, ids=name_of)
def test_round_trips_have_the_number_and_median_of_the_independent_reading(path):
    expected = truth_of(name_of(path))["capture"].get("turn_rtt_ms", {})
    relay = sum(expected[key]["n"] for key in METHODS if key in expected)
    ours = media_calls(read(path))
    # The independent reading keeps round trips of repeated requests; Karn leaves them out.
    repeated = sum(int((read(path).transactions["retransmissions"][list(e.call.relay_rows)] > 0).sum()) for e in ours)
    if not expected:
        pytest.skip("no independent round trips for this capture")
    assert relay - repeated <= sum(entry.relay_rtt.n for entry in ours) <= relay
    agent = expected["ice-agent"]
    assert sum(entry.media_rtt.n for entry in ours) == agent["n"]
    if len(ours) == 1:
        assert ours[0].media_rtt.p50 == pytest.approx(agent["p50"], abs=0.2)


@pytest.mark.parametrize("path", WITH_MEDIA, ids=name_of)
def test_calls_begin_with_the_first_check_and_end_with_the_last_media(path):
    truth = events_of(name_of(path))
    running = name_of(path) == "midcall"
    calls = sorted(media_calls(read(path)), key=lambda entry: entry.call.agent)
    for entry, pages in zip(calls, truth["agent"], strict=True):
        events = pages[0]["events"]
        started = next(e["t"] for e in events if e["n"] == "ice") / 1000
        hung_up = next(e["t"] for e in events if e["n"] == "hangup") / 1000
        if running:
            assert entry.call.is_running_at_start
            assert entry.call.setup.ice is None
            assert entry.call.setup.first_media is None
        elif name_of(path) != "long330":  # its snaplen of 90 hides what travels in indications
            assert entry.call.start_ns / 1e9 == pytest.approx(started, abs=0.05)
        if name_of(path) != "drop_midcall":
            assert entry.call.end_ns / 1e9 == pytest.approx(hung_up, abs=0.6)


@pytest.mark.parametrize("path", WITH_MEDIA, ids=name_of)
def test_the_phases_of_the_setup_agree_with_the_browser(path):
    if name_of(path) in {"midcall", "long330"}:
        pytest.skip("its setup was not captured")
    truth = events_of(name_of(path))
    calls = sorted(media_calls(read(path)), key=lambda entry: entry.call.agent)
    for entry, pages in zip(calls, truth["agent"], strict=True):
        setup, events = entry.call.setup, pages[0]["events"]
        ice = [e["t"] for e in events if e["n"] == "ice"]
        assert setup.ice == pytest.approx(ice[1] - ice[0], abs=40)
        assert 0 < setup.dtls < 400
        assert setup.allocate >= 76
        assert setup.first_media > setup.ice
        connected = [e["t"] for e in events if e["n"] == "conn"][1] / 1000
        assert entry.call.handshake.completed_ns / 1e9 == pytest.approx(connected, abs=0.06)
        assert entry.call.handshake.version == ("DTLSv1.2" if name_of(path) == "aio_clean" else "DTLSv1.3")


@pytest.mark.parametrize("name", ["clean", "loss1_both", "delay150", "three_agents", "tcp3478", "ipv6", "lan_loss4"])
def test_round_trips_are_those_of_tshark(name, tool):
    rows = read(LAB / "pcap" / f"{name}.pcap").transactions
    ours = {
        level: np.sort(rows["rtt_ms"][(rows["inside"] == level) & ~np.isnan(rows["rtt_ms"])]) for level in (False, True)
    }
    theirs = _tshark_round_trips(tool("tshark"), LAB / "pcap" / f"{name}.pcap")
    for level in (False, True):
        assert len(ours[level]) == len(theirs[level])
        assert len(ours[level]) > 0
        assert np.abs(ours[level] - np.sort(theirs[level])).max() < 0.1


def _tshark_round_trips(tshark, path):
    fields = (
        "frame.time_epoch",
        "ip.src",
        "ipv6.src",
        "udp.srcport",
        "tcp.srcport",
        "stun.type",
        "stun.id",
        "stun.channel",
    )
    command = [tshark, "-r", str(path), "--enable-heuristic", "stun_turn", "-Y", "stun && !icmp", "-T", "fields"]
    command += ["-E", "occurrence=a", "-E", "aggregator=,"]
    for field in fields:
        command += ["-e", field]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    asked, answered, often = {}, {}, {}
    for line in output.splitlines():
        time, v4, v6, udp, tcp, types, ids, channels = line.split("\t")
        for position, (kind, identifier) in enumerate(zip(types.split(","), ids.split(","), strict=False)):
            if not kind:
                continue
            number = int(kind, 16)
            # One TCP segment may hold a relay's answer and relayed data: only Binding is ever inside.
            inside = bool(channels) or (position > 0 and types[:6] in {"0x0016", "0x0017"})
            level = inside and number & 0x3EEF == 1
            if number in {0x16, 0x17, 0x11}:
                continue
            who = (v4 or v6).split(",")[0] + ":" + (udp or tcp).split(",")[0]
            key = (identifier, level)
            if number & 0x110 == 0:
                often[key, who] = often.get((key, who), 0) + 1
                asked.setdefault((key, who), float(time))
            else:
                answered.setdefault((key, who), float(time))
    result = {False: [], True: []}
    for (key, who), start in asked.items():
        ends = [t for (k, w), t in answered.items() if k == key and w != who and t >= start]
        if ends and often[key, who] == 1:
            result[key[1]].append((min(ends) - start) * 1000)
    return {level: np.array(values) for level, values in result.items()}


def test_a_firewall_that_drops_udp_3478_is_a_failed_call_that_says_so():
    entry = only_call("fail_udp_drop.pcap")
    assert (entry.call.failure.phase, entry.call.failure.reason) == ("relay", "no_answer")
    assert entry.call.failure.requests == 6
    assert entry.region_code == "us-west-2"
    assert codes_of(entry) == {"CALL_FAILED_NO_ANSWER"}
    assert entry.findings[0].evidence["side"] == "lan_isp"


def test_refused_credentials_are_a_failed_call_with_their_code():
    entry = only_call("fail_auth.pcap")
    assert (entry.call.failure.phase, entry.call.failure.error_code) == ("allocate", 401)
    assert codes_of(entry) == {"CALL_FAILED_ALLOCATE"}


def test_the_usual_challenge_is_no_error_of_the_call():
    entry = only_call("clean.pcap")
    rows = read(LAB / "pcap" / "clean.pcap").transactions
    assert (rows["outcome"] == ERROR).sum() == 1
    assert not any(finding.severity != "info" for finding in entry.findings)


def test_a_hold_is_neither_loss_nor_an_outage():
    entry = only_call("hold_stop.pcap")
    hold = next(finding for finding in entry.findings if finding.code == "HOLD")
    assert hold.evidence["direction"] == "in"
    assert hold.evidence["pause_ms"] == pytest.approx(12000, abs=100)
    assert not codes_of(entry) & {"OUTAGE", "LOSS_INBOUND", "JITTER_INBOUND", "CALL_DROPPED"}
    assert entry.inbound.loss_pct == 0.0


def test_an_outage_is_told_with_its_time_and_length():
    outage = next(finding for finding in only_call("outage5.pcap").findings if finding.code == "OUTAGE")
    assert outage.severity == "critical"
    assert outage.evidence["outage_ms"] == pytest.approx(5000, abs=60)
    assert outage.evidence["lost"] == 250
    action = next(e["t"] for e in events_of("outage5")["runner_log"] if e["n"] == "action")
    assert datetime.fromisoformat(outage.evidence["time"]).timestamp() == pytest.approx(action, abs=0.5)


def test_a_dead_line_is_told_apart_from_a_hold():
    entry = only_call("drop_midcall.pcap")
    dropped = next(finding for finding in entry.findings if finding.code == "CALL_DROPPED")
    assert dropped.evidence["side"] == "lan_isp"
    assert dropped.evidence["sent_on_ms"] == pytest.approx(5800, abs=100)


def test_a_stalled_workstation_is_its_own_side():
    entry = only_call("agent_stall.pcap")
    stalls = next(finding for finding in entry.findings if finding.code == "SEND_STALLS")
    assert stalls.evidence["side"] == "workstation"
    assert stalls.evidence["stalls"] == 4
    assert entry.inbound.loss_pct == 0.0


def test_mute_is_told_from_the_audio_level_in_clear():
    muted = next(finding for finding in only_call("mute_nodtx.pcap").findings if finding.code == "MUTED")
    assert muted.evidence["basis"] == "audio_level"
    assert muted.evidence["duration_s"] == pytest.approx(10, abs=1.5)


def test_the_fallback_to_tcp_says_that_udp_had_no_answer():
    entry = only_call("tcp3478.pcap")
    assert entry.call.relay.transport == "tcp"
    assert {"MEDIA_OVER_TCP", "RELAY_UDP_NO_ANSWER"} <= codes_of(entry)
    assert next(f for f in entry.findings if f.code == "RELAY_UDP_NO_ANSWER").severity == "critical"


def test_each_agent_of_a_span_port_has_its_own_call():
    calls = {entry.call.agent: entry for entry in read(LAB / "pcap" / "three_agents.pcap").calls}
    assert set(calls) == {"10.20.1.11", "10.20.1.12", "10.20.1.13"}
    assert calls["10.20.1.12"].inbound.loss_pct == pytest.approx(5.84, abs=0.01)
    assert calls["10.20.1.11"].inbound.loss_pct == 0.0
    assert "LOSS_INBOUND" in codes_of(calls["10.20.1.12"])
    assert "LOSS_INBOUND" not in codes_of(calls["10.20.1.13"])


def test_delay_of_the_near_leg_is_not_blamed_on_the_far_one():
    entry = only_call("delay150.pcap")
    media = next(finding for finding in entry.findings if finding.code == "MEDIA_RTT_HIGH")
    assert media.evidence["side"] == "lan_isp"
    assert entry.relay_rtt.p50 == pytest.approx(338.4, abs=0.1)
    assert entry.inbound.mos_cqe < only_call("clean.pcap").inbound.mos_cqe


def test_loss_lowers_the_estimate_in_the_order_of_loss():
    scores = [only_call(f"{name}.pcap").inbound.mos_cqe for name in ("clean", "loss1_both", "loss3_down", "outage5")]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(
    ("derived", "original"),
    [
        ("dtmf-nsec.pcap", "dtmf.pcap"),
        ("hold_stop.pcap.gz", "hold_stop.pcap"),
        ("loss3_down.pcapng", "loss3_down.pcap"),
    ],
)
def test_other_forms_of_the_same_packets_give_the_same_calls(derived, original):
    ours, theirs = read(LAB / "derived" / derived).to_document(), read(LAB / "pcap" / original).to_document()
    for part in ("calls", "streams", "transactions", "dns", "endpoints"):
        assert ours[part] == theirs[part]


def test_two_calls_of_one_capture_are_a_failed_and_a_good_one():
    calls = read(LAB / "derived" / "ipv6+fail_udp_drop.pcapng").calls
    assert [entry.call.failure is None for entry in calls] == [False, True]


def test_a_file_that_was_cut_gives_what_was_whole_and_says_so():
    assessment = read(LAB / "derived" / "ext_none-cutoff.pcap")
    assert len(assessment.calls) == 1
    assert {finding.code for finding in assessment.findings} == {"CAPTURE_ENDED_EARLY"}


def test_a_snaplen_of_60_bytes_still_gives_loss_and_leaves_round_trips_unknown():
    assessment = read(LAB / "derived" / "loss_window-snap60.pcapng")
    entry = assessment.calls[0]
    assert entry.inbound.loss_pct == pytest.approx(2.664, abs=0.001)
    assert (entry.media_rtt.p50, entry.media_rtt.n) == (None, 0)
    assert entry.inbound.mos_cqe is None


@pytest.mark.parametrize("name", ["clean-snap96.pcap", "clean-snap128.pcap"])
def test_a_short_snaplen_gives_the_same_call_and_hides_only_the_setup(name):
    cut, whole = only_call(name), only_call("clean.pcap")
    assert (cut.call.call_id, cut.call.start_ns) == (whole.call.call_id, whole.call.start_ns)
    for name_of_part in ("loss_pct", "late_pct", "jitter_ms", "jitter_mean_ms", "codec"):
        assert getattr(cut.inbound, name_of_part) == getattr(whole.inbound, name_of_part)
    assert cut.call.setup.dtls is None
    assert cut.call.setup.ice is None
    assert cut.call.setup.allocate == whole.call.setup.allocate


def test_the_far_end_is_a_call_without_relay_and_host_names_our_side():
    path = LAB / "pcap" / "clean-far.pcap"
    unknown = read(path).calls[0]
    assert unknown.call.relay is None
    assert len(unknown.call.other_streams) == 2
    known = assess_captures([path], host="10.33.7.21").calls[0]
    assert (len(known.call.in_streams), len(known.call.out_streams)) == (1, 1)
    assert known.media_rtt.n > 0
    assert known.inbound.loss_pct == 0.0


def test_names_and_roles_of_the_endpoints_are_those_that_were_asked_for():
    rows = {row.host: row for row in read(LAB / "pcap" / "clean.pcap").endpoints if row.host}
    relay = next(row for host, row in rows.items() if "turnnlb" in host)
    assert (relay.role, relay.region_code, relay.transport) == ("media_relay", "us-west-2", "udp")
    assert relay.hops_estimate == 8
    signalling = next(row for host, row in rows.items() if "transport.connect" in host)
    assert signalling.role == "signalling"
    assert signalling.connect_rtt_ms == pytest.approx(38.5, abs=2)
    assert signalling.tls_handshake_ms > signalling.connect_rtt_ms
