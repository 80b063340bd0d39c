"""Sentences and sides: each code by records made for it, and none without a reason."""

import numpy as np
import pytest
from builders import make_flow, make_seconds, make_stream, pair, seconds, stun_rows

from ccp_assess.traffic.callrecords import Call, Failure, Relay, Setup, round_trips
from ccp_assess.traffic.callview import CallView
from ccp_assess.traffic.capturefindings import CaptureView, capture_findings, is_service_name
from ccp_assess.traffic.endpoints import find_endpoints
from ccp_assess.traffic.findings import CODES, call_findings
from ccp_assess.traffic.icmperrors import IcmpError
from ccp_assess.traffic.limits import read_limits
from ccp_assess.traffic.names import Lookup, names_by_address
from ccp_assess.traffic.transactions import join_transactions
from ccp_assess.wire.stun import Method

OUT = {"first": 0, "last": 30, "out": True, "ssrc": 1}
IN = {"first": 0, "last": 30, "out": False, "ssrc": 2}


def view(streams, *, relay=(), media=(), call=None, **changes):
    rows = join_transactions(stun_rows(*relay, *media))
    inside = rows["inside"]
    values = {
        "call_id": "c", "start_ns": seconds(0), "end_ns": seconds(30), "agent": "10.0.0.5", "agent_port": 50000,
        "relay": Relay(address="15.193.5.9", port=3478, transport="udp"), "flow": 0,
        "in_streams": tuple(i for i, s in enumerate(streams) if s.direction == "in"),
        "out_streams": tuple(i for i, s in enumerate(streams) if s.direction == "out"),
        "relay_rows": tuple(np.flatnonzero(~inside).tolist()), "media_rows": tuple(np.flatnonzero(inside).tolist()),
    }  # fmt: skip
    made = Call(**(values | (call or {})))
    return CallView(
        call=made,
        streams=streams,
        flows=[make_flow()],
        transactions=rows,
        relay_rtt=round_trips(rows, made.relay_rows),
        media_rtt=round_trips(rows, made.media_rows),
        **changes,
    )


def found(view_, code):
    return next((finding for finding in call_findings(view_) if finding.code == code), None)


def codes(view_):
    return {finding.code for finding in call_findings(view_)}


def pings(count, rtt_ms, *, inside=True, start=1.0, base=0):
    extra = {"channel": 0x4000} if inside else {}
    return [r for i in range(count) for r in pair(start + i, Method.BINDING, base + i, rtt_ms, **extra)]


def test_a_good_call_has_only_what_cannot_be_seen():
    good = view([make_stream(**OUT), make_stream(**IN)], relay=pings(6, 30, inside=False), media=pings(6, 40, base=50))
    assert codes(good) == {"UPLINK_NOT_VISIBLE"}


@pytest.mark.parametrize(("loss_pct", "severity"), [(0.99, None), (1.0, "warning"), (2.5, "critical")])
def test_loss_is_judged_by_the_limits_of_the_table(loss_pct, severity):
    lossy = make_stream(**IN, lost=15, loss_pct=loss_pct, burst_ratio=1.0, longest_loss_burst=1)
    finding = found(view([make_stream(**OUT), lossy]), "LOSS_INBOUND")
    assert (finding.severity if finding else None) == severity
    if finding:
        assert read_limits()["loss_pct"].source in finding.text
        assert finding.evidence["side"] == "undetermined"


def test_loss_on_the_near_leg_is_told_by_requests_to_the_relay():
    lossy = make_stream(**IN, lost=80, loss_pct=5.0, burst_ratio=1.0, longest_loss_burst=1)
    near = view(
        [make_stream(**OUT), lossy], relay=[*pings(6, 30, inside=False), *pings(1, None, inside=False, base=90)]
    )
    assert found(near, "LOSS_INBOUND").evidence["side"] == "lan_isp"
    by_tcp = view([make_stream(**OUT), lossy], tcp_retransmission_pct=3.0, tcp_packets=500)
    assert found(by_tcp, "LOSS_INBOUND").evidence["side"] == "lan_isp"


def test_a_slow_far_leg_is_beyond_the_relay():
    far = view([make_stream(**OUT), make_stream(**IN)], relay=pings(6, 20, inside=False), media=pings(6, 400, base=50))
    finding = found(far, "MEDIA_RTT_HIGH")
    assert (finding.severity, finding.evidence["side"]) == ("warning", "beyond_relay")
    assert "RELAY_RTT_HIGH" not in codes(far)


def test_round_trips_that_rise_are_told():
    rising = [*pings(15, 40), *pings(5, 400, start=20, base=50)]
    assert "RTT_VARIES" in codes(view([make_stream(**OUT), make_stream(**IN)], media=rising))


def test_an_outage_needs_missing_numbers_and_a_hold_has_none():
    gap = {"longest_gap_ms": 5020.0, "longest_gap_ns": seconds(10)}
    lost = make_stream(**IN, **gap, lost=250, loss_pct=16.0, longest_loss_burst=250, burst_ratio=200.0)
    assert {"OUTAGE", "LOSS_INBOUND"} <= codes(view([make_stream(**OUT), lost]))
    held = codes(view([make_stream(**OUT), make_stream(**IN, **gap, jitter_max_ms=300.0)]))
    assert "HOLD" in held
    assert not held & {"OUTAGE", "JITTER_INBOUND"}


def test_a_call_cut_off_names_where_the_line_broke():
    short = make_stream(first=0, last=12, out=False, ssrc=2)
    dead = pings(8, None, start=13, base=50)
    near = view([make_stream(**OUT), short], media=dead, relay=pings(2, None, inside=False, start=14))
    assert found(near, "CALL_DROPPED").evidence["side"] == "lan_isp"
    far = view([make_stream(**OUT), short], media=dead, relay=pings(2, 30, inside=False, start=14))
    assert found(far, "CALL_DROPPED").evidence["side"] == "beyond_relay"
    answered = view([make_stream(**OUT), short], media=pings(8, 40, start=13, base=50))
    assert "CALL_DROPPED" not in codes(answered)


def test_one_way_audio_says_which_way_is_missing():
    assert found(view([make_stream(**OUT)]), "ONE_WAY_AUDIO").evidence["missing"] == "in"
    assert found(view([make_stream(**IN)]), "ONE_WAY_AUDIO").evidence["side"] == "workstation"


def test_stalls_of_the_sender_are_told_and_dtx_is_not():
    rows = make_seconds(0, 30)
    rows["longest_gap_ms"][[8, 12]] = 400.0
    rows["packets"][[8, 12]] = 31
    stalled = view([make_stream(**OUT, seconds=rows), make_stream(**IN)])
    assert found(stalled, "SEND_STALLS").evidence["stalls"] == 2
    dtx = make_seconds(0, 30, longest_gap_ms=400.0, packets=5)
    assert "SEND_STALLS" not in codes(view([make_stream(**OUT, seconds=dtx), make_stream(**IN)]))
    over_tcp = make_stream(**OUT, seconds=rows, transport="tcp")
    assert "SEND_STALLS" not in codes(view([over_tcp, make_stream(**IN)]))


def test_mute_is_told_by_level_or_by_small_packets_of_one_size():
    by_level = make_seconds(0, 30, audio_level=40.0)
    by_level["audio_level"][10:20] = 127.0
    assert found(view([make_stream(**OUT, seconds=by_level)]), "MUTED").evidence["duration_s"] == 10
    by_size = make_seconds(0, 30)
    by_size["bytes"] = 5000 + np.arange(30) * 37
    by_size["bytes"][10:20] = 3100
    assert found(view([make_stream(**OUT, seconds=by_size)]), "MUTED").evidence["basis"] == "packet_size"
    constant = make_stream(**OUT, seconds=make_seconds(0, 30))  # a codec of constant rate is not mute
    assert "MUTED" not in codes(view([constant]))


@pytest.mark.parametrize(
    ("phase", "reason", "code"),
    [
        ("relay", "no_answer", "CALL_FAILED_NO_ANSWER"),
        ("relay", "prohibited", "CALL_FAILED_REFUSED"),
        ("allocate", "error_486", "CALL_FAILED_ALLOCATE"),
        ("permission", "error_403", "CALL_FAILED_PERMISSION"),
        ("ice", "no_checks_answered", "CALL_FAILED_ICE"),
        ("dtls", "not_finished", "CALL_FAILED_DTLS"),
    ],
)
def test_each_failure_has_one_critical_finding(phase, reason, code):
    failed = view([], call={"failure": Failure(phase=phase, reason=reason, requests=7)})
    assert [(f.code, f.severity) for f in call_findings(failed)] == [(code, "critical")]


def test_a_relay_inside_tls_is_called_inferred():
    relay = Relay(address="192.0.2.1", port=443, transport="tls", is_inferred=True)
    hidden = view([], call={"relay": relay})
    assert "inferred" in found(hidden, "RELAY_IN_TLS").text


def test_a_slow_setup_names_its_phase():
    slow = view([make_stream(**OUT), make_stream(**IN)], call={"setup": Setup(ice=1500.0, allocate=80.0)})
    assert found(slow, "SETUP_SLOW").evidence["phase"] == "ice"


def test_every_code_is_listed_once():
    assert len(CODES) == len(set(CODES)) > 30


def lookup(name, rcode, answers=(), response_ms=5.0):
    return Lookup(
        time_ns=seconds(0), client="10.0.0.5", server="10.0.0.1", name=name, type="A", answers=answers, rcode=rcode,
        response_ms=response_ms, asked=1, transport="udp",
    )  # fmt: skip


def test_names_of_the_service_that_fail_are_told_and_others_are_not():
    service, other = "acme.my.connect.aws", "example.com"
    told = capture_findings(CaptureView(packets=9, lookups=(lookup(service, "NXDOMAIN"), lookup(other, "NXDOMAIN"))))
    assert [f.evidence["name"] for f in told if f.code == "DNS_FAILED"] == [service]
    assert is_service_name("X.CloudFront.net.")
    assert not is_service_name("evilamazonaws.com")


def test_addresses_get_the_name_that_was_asked_for():
    names = names_by_address(
        [lookup("a.example", "NOERROR", ("c.example", "192.0.2.1")), lookup("b.example", "NOERROR", ("192.0.2.1",))]
    )
    assert names["192.0.2.1"] == "a.example"


def test_endpoints_count_by_direction_and_role_and_icmp_is_tied_to_them():
    flow = make_flow(packets_ab=4, packets_ba=0, ttl_ba_max=None, relay_side=None, is_turn=False)
    rows = find_endpoints([flow, flow], [], [], names={"15.193.5.9": "turnnlb-1.elb.eu-west-2.amazonaws.com"})
    assert len(rows) == 1
    row = rows[0]
    assert (row.role, row.region_code, row.packets_out, row.answered) == ("media_relay", "eu-west-2", 8, False)
    assert row.hops_estimate is None
    error = IcmpError(
        time_ns=seconds(1), reporter="10.0.0.1", kind="prohibited", reason="prohibited", flow=0, from_a=True,
        destination="15.193.5.9", port=3478, transport="udp",
    )  # fmt: skip
    told = capture_findings(CaptureView(packets=9, endpoints=tuple(rows), icmp_errors=(error,)))
    assert {"TRANSPORT_BLOCKED", "ENDPOINT_UNANSWERED", "NO_MEDIA"} <= {finding.code for finding in told}


def test_neighbours_greeting_each_other_are_no_endpoints():
    flows = [make_flow(a_port=5353, b_port=5353, relay_side=None), make_flow(b="224.0.0.251", relay_side=None)]
    assert find_endpoints(flows, [], [], names={}) == []


def test_a_refused_connection_is_told_apart_from_an_unanswered_one():
    tcp = {"transport": "tcp", "b_port": 443, "relay_side": None, "is_turn": False, "syn_ns": seconds(0), "syns": 1}
    refused = make_flow(**tcp, resets=1, packets_ba=1)
    silent = make_flow(**tcp, packets_ba=0, last_ba_ns=None, a_port=50001)
    answered = make_flow(**tcp, synack_ns=seconds(0.03), synacks=1, a_port=50002)
    row = find_endpoints([refused, silent, answered], [], [], names={})[0]
    assert (row.connections, row.connections_refused, row.connections_unanswered) == (3, 1, 1)
    assert row.connect_rtt_ms == pytest.approx(30.0)
