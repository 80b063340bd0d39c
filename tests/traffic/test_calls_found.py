"""What is a call and what is none: pure records, no capture."""

import numpy as np
import pytest
from builders import AGENT, PEER, RELAY, START_NS, make_flow, make_stream, pair, seconds, stun_rows

from ccp_assess.traffic.calls import find_calls
from ccp_assess.traffic.dialogues import Dialogue
from ccp_assess.traffic.evidence import Evidence
from ccp_assess.traffic.handshakes import DtlsHandshake
from ccp_assess.traffic.icmperrors import IcmpError
from ccp_assess.traffic.names import Lookup
from ccp_assess.traffic.relaypaths import PathKey, RelayPaths
from ccp_assess.traffic.spans import SPAN
from ccp_assess.traffic.transactions import join_transactions
from ccp_assess.wire.stun import Method

PATH = PathKey(0, PEER)


def evidence(*, flows=None, streams=(), stun=(), **changes):
    values = {
        "flows": flows or [make_flow()],
        "streams": list(streams),
        "transactions": join_transactions(stun_rows(*stun)),
        "peers": [PEER, "198.51.100.9:5000"],
        "paths": RelayPaths([]),
        "first_ns": START_NS,
        "last_ns": seconds(600),
    }
    return Evidence(**(values | changes))


def handshake(start, end, path=PATH, **changes):
    values = {
        "path": path, "started_ns": seconds(start), "has_client_hello": True, "client_outbound_of_key": False,
        "completed_ns": None if end is None else seconds(end), "last_ns": seconds(end or start + 1),
        "version": "DTLSv1.3",
        "retransmissions": 0, "client_fingerprint": None, "server_fingerprint": None, "server_answered": True,
        "alerts": (), "close_ns": None,
    }  # fmt: skip
    return DtlsHandshake(**(values | changes))


def allocation(time, flow=0):
    first = pair(time, Method.ALLOCATE, 900 + flow, 38.0, error_code=401, flow=flow)
    return [*first, *pair(time + 0.04, Method.ALLOCATE, 950 + flow, 38.0, flow=flow)]


def both_ways(first, last, ssrc, **changes):
    return [
        make_stream(first=first, last=last, out=True, ssrc=ssrc, **changes),
        make_stream(first=first + 0.05, last=last, out=False, ssrc=ssrc + 1, **changes),
    ]


def checks(start, count, step=2.5, rtt_ms=40.0, **changes):
    return [
        row
        for i in range(count)
        for row in pair(start + i * step, Method.BINDING, 1000 + round(start) * 50 + i, rtt_ms, peer=0, **changes)
    ]


def test_a_standby_allocation_is_no_call():
    rows = [*allocation(0), *pair(5, Method.REFRESH, 7, 38.0), *pair(60, Method.REFRESH, 8, 38.0)]
    assert find_calls(evidence(stun=rows)) == []


def test_a_connection_that_stands_without_media_is_no_call():
    rows = [*allocation(0), *checks(1, 100)]
    assert find_calls(evidence(stun=rows, handshakes=[handshake(1.1, 1.2)])) == []


def test_a_call_has_its_phases_and_both_round_trips():
    rows = [*allocation(0), *checks(1, 5), *pair(10, Method.BINDING, 6, 39.0), *checks(2, 3, outbound_of_key=False)]
    lookup = Lookup(
        time_ns=seconds(-0.5), client=AGENT, server="192.0.2.53", name="turn", type="A", answers=(RELAY,),
        rcode="NOERROR", response_ms=22.0, asked=1, transport="udp",
    )  # fmt: skip
    found = find_calls(
        evidence(
            stun=rows,
            streams=both_ways(1.2, 12, 10),
            handshakes=[handshake(1.1, 1.15)],
            lookups=[lookup],
            first_ns=seconds(-1),
        )
    )
    assert len(found) == 1
    call = found[0]
    assert (call.agent, call.agent_port, call.relay.address) == (AGENT, 50000, RELAY)
    assert call.start_ns == seconds(1)
    assert call.end_ns == seconds(12)
    assert call.setup.dns == 22.0
    assert call.setup.allocate == pytest.approx(78.0)
    assert call.setup.ice == pytest.approx(40.0)
    assert call.setup.dtls == pytest.approx(50.0)
    assert call.setup.first_media == pytest.approx(250.0)
    assert (len(call.relay_rows), len(call.media_rows)) == (3, 5)


def test_many_calls_over_one_persistent_connection_are_told_apart():
    streams = [s for i in range(4) for s in both_ways(20 + i * 30, 40 + i * 30, 100 + 10 * i)]
    rows = [*allocation(0), *checks(1, 60)]
    calls = find_calls(evidence(stun=rows, streams=streams, handshakes=[handshake(1.1, 1.2)]))
    assert [len(call.streams) for call in calls] == [2, 2, 2, 2]
    assert len({call.call_id for call in calls}) == 4
    assert [call.start_ns for call in calls] == [seconds(20 + i * 30) for i in range(4)]
    assert all(call.setup.ice is None and call.setup.dtls is None for call in calls)
    # every check asked during a call belongs to that call alone
    assert sum(len(call.media_rows) for call in calls) == len({n for call in calls for n in call.media_rows})


def test_two_calls_at_once_over_one_allocation_are_two():
    second = {"channel_number": 0x4001, "peer": "198.51.100.9:5000"}
    calls = find_calls(evidence(streams=[*both_ways(10, 60, 10), *both_ways(30, 90, 20, **second)]))
    assert [len(call.streams) for call in calls] == [2, 2]
    assert [call.paths[0].peer for call in calls] == [PEER, "198.51.100.9:5000"]


def test_two_calls_at_once_on_one_path_are_paired_by_their_times():
    calls = find_calls(evidence(streams=[*both_ways(10, 60, 10), *both_ways(30, 90, 20)]))
    assert [sorted(call.streams) for call in calls] == [[0, 1], [2, 3]]


def test_a_new_source_of_one_direction_is_the_same_call():
    out = make_stream(first=10, last=60, out=True, ssrc=1)
    first = make_stream(first=10, last=30, out=False, ssrc=2)
    music = make_stream(first=30.1, last=60, out=False, ssrc=3)
    calls = find_calls(evidence(streams=[out, first, music]))
    assert len(calls) == 1
    assert len(calls[0].in_streams) == 2


def test_a_retransmission_stream_belongs_to_its_call():
    extra = make_stream(first=12, last=20, out=False, ssrc=9, is_retransmission=True, payload_type=97)
    calls = find_calls(evidence(streams=[*both_ways(10, 60, 1), extra]))
    assert len(calls) == 1
    assert calls[0].in_streams[-1] == 2


def test_some_late_packets_of_the_old_call_do_not_join_it_to_the_new_one():
    old, new = both_ways(10, 40, 1), both_ways(40.1, 70, 5)
    late = make_stream(first=10, last=40.3, out=False, ssrc=2)
    assert len(find_calls(evidence(streams=[old[0], late, *new]))) == 2


def test_a_call_that_moves_to_another_relay_is_one_call():
    other = make_flow(b="15.193.5.77", a_port=50001, transport="tcp")
    before = both_ways(10, 30, 1)
    after = both_ways(33, 60, 1, flow=1, channel_number=0x4000, peer="198.51.100.9:5000", transport="tcp")
    calls = find_calls(evidence(flows=[make_flow(), other], streams=[*before, *after]))
    assert len(calls) == 1
    assert [path.flow for path in calls[0].paths] == [0, 1]
    assert calls[0].relay.address == "15.193.5.77"


def test_several_agents_have_their_own_calls():
    flows = [make_flow(a=f"10.0.0.{i}", a_port=5000 + i) for i in range(5)]
    streams = [s for i in range(5) for s in both_ways(10 + i / 10, 60, 10 * i + 1, flow=i)]
    calls = find_calls(evidence(flows=flows, streams=streams))
    assert [call.agent for call in calls] == [f"10.0.0.{i}" for i in range(5)]


def test_a_call_running_when_the_capture_began_has_no_setup():
    calls = find_calls(evidence(streams=both_ways(0.01, 60, 1), stun=checks(0.3, 5)))
    assert calls[0].is_running_at_start
    assert (calls[0].setup.ice, calls[0].setup.first_media) == (None, None)
    assert not calls[0].is_running_at_end
    cut = find_calls(evidence(streams=both_ways(0.01, 60, 1), last_ns=seconds(60.01)))
    assert cut[0].is_running_at_end


def test_plain_rtp_is_a_call_whose_directions_only_the_user_knows():
    flow = make_flow(b="192.0.2.20", b_port=7000, relay_side=None, is_turn=False)
    plain = {"direction": "unknown", "relay": "none", "channel_number": None, "peer": None, "relay_transport": None}
    streams = [
        make_stream(first=1, last=20, out=True, ssrc=1, dst="192.0.2.20", **plain),
        make_stream(first=1, last=20, out=False, ssrc=2, src="192.0.2.20", **plain),
    ]
    unknown = find_calls(evidence(flows=[flow], streams=streams))[0]
    assert (unknown.relay, unknown.agent, len(unknown.other_streams)) == (None, None, 2)
    known = find_calls(evidence(flows=[flow], streams=streams, host=AGENT))[0]
    assert (known.out_streams, known.in_streams) == ((0,), (1,))


def test_plain_rtp_on_two_5_tuples_is_one_call():
    flows = [
        make_flow(b="192.0.2.20", b_port=7000, relay_side=None, is_turn=False),
        make_flow(a="192.0.2.20", a_port=7002, b=AGENT, b_port=50002, relay_side=None, is_turn=False),
    ]
    plain = {"direction": "unknown", "relay": "none", "channel_number": None, "peer": None, "relay_transport": None}
    streams = [
        make_stream(first=1, last=20, out=True, ssrc=1, dst="192.0.2.20", **plain),
        make_stream(first=1, last=20, out=False, ssrc=2, src="192.0.2.20", flow=1, **plain),
    ]
    assert len(find_calls(evidence(flows=flows, streams=streams))) == 1


def test_the_identifier_does_not_depend_on_the_order_of_flows_and_streams():
    streams = both_ways(10, 60, 1)
    one = find_calls(evidence(streams=streams))[0]
    other = find_calls(
        evidence(flows=[make_flow(a="10.9.9.9"), make_flow()], streams=both_ways(10, 60, 1, flow=1)[::-1])
    )[0]
    assert one.call_id == other.call_id


# --- failed calls ----------------------------------------------------------------------------------------------------


def refusals(code, count=2):
    return [r for i in range(count) for r in pair(i / 10, Method.ALLOCATE, i, 38.0, error_code=code)]


@pytest.mark.parametrize("code", [401, 403, 437, 486, 508])
def test_a_refused_allocation_is_a_failed_call_with_its_code(code):
    call = find_calls(evidence(stun=refusals(code)))[0]
    assert (call.failure.phase, call.failure.reason, call.failure.error_code) == ("allocate", f"error_{code}", code)
    assert call.start_ns == START_NS


def silence(count=4, **changes):
    return [row for i in range(count) for row in pair(i * 0.5, Method.ALLOCATE, 1, None, **changes)]


def test_silence_is_a_failed_call_and_an_icmp_error_tells_more():
    flow = make_flow(packets_ba=0, relay_side=None)
    call = find_calls(evidence(flows=[flow], stun=silence()))[0]
    assert (call.failure.phase, call.failure.reason, call.failure.requests) == ("relay", "no_answer", 4)
    error = IcmpError(
        time_ns=seconds(0.1), reporter="10.0.0.1", kind="prohibited", reason="prohibited", flow=0, from_a=True,
        destination=RELAY, port=3478, transport="udp",
    )  # fmt: skip
    refused = find_calls(evidence(flows=[flow], stun=silence(), icmp_errors=[error]))[0]
    assert refused.failure.reason == "prohibited"


def test_one_request_without_an_answer_proves_nothing():
    flow = make_flow(packets_ba=0, relay_side=None)
    assert find_calls(evidence(flows=[flow], stun=silence(1))) == []


def test_a_silent_relay_beside_one_that_answers_is_no_failed_call():
    flows = [make_flow(packets_ba=0, relay_side=None), make_flow(a_port=50001, b="15.193.5.77")]
    assert find_calls(evidence(flows=flows, stun=[*silence(), *allocation(20, flow=1)])) == []


def test_three_attempts_in_vain_are_three_failed_calls():
    flows = [make_flow(packets_ba=0, relay_side=None, a_port=50000 + i) for i in range(3)]
    rows = [r for i in range(3) for k in range(4) for r in pair(i * 60 + k, Method.ALLOCATE, i, None, flow=i)]
    assert len(find_calls(evidence(flows=flows, stun=rows))) == 3


def test_udp_in_vain_before_tcp_is_an_attempt_of_the_call_and_no_failed_call():
    flows = [make_flow(packets_ba=0, relay_side=None), make_flow(a_port=50001, transport="tcp")]
    rows = [*silence(), *allocation(9, flow=1)]
    calls = find_calls(evidence(flows=flows, stun=rows, streams=both_ways(10, 60, 1, flow=1, transport="tcp")))
    assert len(calls) == 1
    assert (calls[0].attempts, calls[0].relay.transport) == ((0,), "tcp")


def test_checks_that_nobody_answers_are_a_failed_call():
    rows = [*allocation(0), *checks(1, 8, step=1, rtt_ms=None)]
    call = find_calls(evidence(stun=rows))[0]
    assert (call.failure.phase, call.failure.requests) == ("ice", 8)
    assert call.setup.allocate == pytest.approx(78.0)
    assert call.start_ns == START_NS


def test_a_refused_permission_is_named_before_the_checks():
    rows = [*allocation(0), *pair(0.5, Method.CREATE_PERMISSION, 3, 38.0, error_code=403)]
    call = find_calls(evidence(stun=[*rows, *checks(1, 8, step=1, rtt_ms=None)]))[0]
    assert (call.failure.phase, call.failure.error_code) == ("permission", 403)


def test_one_dead_candidate_beside_a_good_one_is_no_failed_call():
    dead = [r for i in range(8) for r in pair(1 + i, Method.BINDING, 500 + i, None, peer=1)]
    rows = [*allocation(0), *checks(1, 20), *dead]
    calls = find_calls(evidence(stun=rows, streams=both_ways(2, 40, 1), handshakes=[handshake(1.1, 1.2)]))
    assert [call.failure for call in calls] == [None]


def test_a_key_exchange_that_is_never_finished_is_a_failed_call():
    rows = [*allocation(0), *checks(1, 6)]
    call = find_calls(evidence(stun=rows, handshakes=[handshake(1.1, None)]))[0]
    assert call.failure.phase == "dtls"
    assert call.setup.ice == pytest.approx(40.0)


def test_a_capture_that_ends_at_once_has_not_seen_a_failure():
    rows = [*allocation(0), *checks(1, 3, step=0.5, rtt_ms=None)]
    assert find_calls(evidence(stun=rows, last_ns=seconds(2.5))) == []


# --- relay inside TLS ------------------------------------------------------------------------------------------------


def tls_flow():
    return make_flow(transport="tcp", b_port=443, relay_side=None, is_turn=False)


def span(first, last, **changes):
    packets = round((last - first) * 50)
    row = np.zeros(1, SPAN)
    values = {"first_ns": seconds(first), "last_ns": seconds(last), "packets": packets, "paced": packets * 9 // 10}
    for name, value in (values | changes).items():
        row[name] = value
    return row


TLS = Dialogue(flow=0, protocol="tls", server_name="turnnlb-1.elb.eu-west-2.amazonaws.com")


def test_each_span_of_speech_inside_tls_is_an_inferred_call():
    spans = np.concatenate([span(10, 70), span(90, 150)])
    calls = find_calls(evidence(flows=[tls_flow()], dialogues=[TLS], spans=spans))
    assert [(call.start_ns, call.end_ns) for call in calls] == [
        (seconds(10), seconds(70)), (seconds(90), seconds(150)),
    ]  # fmt: skip
    assert (calls[0].relay.transport, calls[0].relay.is_inferred, calls[0].relay.port) == ("tls", True, 443)
    assert calls[0].call_id != calls[1].call_id
    assert calls[0].streams == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"paced": (2900, 10)},  # an upload
        {"packets": (60000, 3000), "paced": (3000, 2900)},  # bulk with some paced packets
        {"packets": 110, "paced": 100},  # a chat
        {"packets": 12000, "paced": 12000},  # faster than any speech
    ],
)
def test_other_traffic_inside_tls_is_no_call(changes):
    assert find_calls(evidence(flows=[tls_flow()], dialogues=[TLS], spans=span(0, 60, **changes))) == []


def test_a_name_asked_for_long_ago_is_no_part_of_a_setup():
    lookup = Lookup(
        time_ns=seconds(-40), client=AGENT, server="192.0.2.53", name="turn", type="A", answers=(RELAY,),
        rcode="NOERROR", response_ms=22.0, asked=1, transport="udp",
    )  # fmt: skip
    rows = [*allocation(0), *checks(1, 5)]
    found = find_calls(evidence(stun=rows, streams=both_ways(1.2, 12, 10), lookups=[lookup], first_ns=seconds(-60)))
    assert found[0].setup.dns is None
    assert found[0].setup.allocate == pytest.approx(78.0)


def test_a_call_that_hung_up_at_the_end_of_the_capture_is_over():
    streams = both_ways(20, 40, 10)
    rows = [*allocation(0), *checks(19.5, 5)]
    cut = find_calls(evidence(stun=rows, streams=streams, handshakes=[handshake(19.6, 19.7)], last_ns=seconds(40.1)))
    assert cut[0].is_running_at_end
    closed = handshake(19.6, 19.7, close_ns=seconds(39.99))
    over = find_calls(evidence(stun=rows, streams=streams, handshakes=[closed], last_ns=seconds(40.1)))
    assert not over[0].is_running_at_end


def test_checks_that_the_snaplen_cut_still_tell_when_the_setup_began():
    rows = allocation(0)
    streams = both_ways(1.2, 12, 10)
    known = evidence(stun=rows, streams=streams, handshakes=[handshake(1.1, 1.15)], cut_paths={PATH: seconds(1)})
    call = find_calls(known)[0]
    assert call.start_ns == seconds(1)
    assert (call.setup.ice, call.setup.first_media) == (None, pytest.approx(250.0))
    late = evidence(stun=rows, streams=streams, handshakes=[handshake(1.1, 1.15)], cut_paths={PATH: seconds(4)})
    assert find_calls(late)[0].setup.first_media is None


def test_relayed_media_without_any_step_of_a_setup_has_no_time_to_first_media():
    call = find_calls(evidence(streams=both_ways(20, 40, 10)))[0]
    assert call.setup.first_media is None


@pytest.mark.parametrize("code", [486, 508, 403])
def test_a_second_call_that_is_refused_while_the_first_goes_on_is_a_failed_call(code):
    refused = [
        *pair(5, Method.ALLOCATE, 700, 38.0, error_code=401, flow=1),
        *pair(5.04, Method.ALLOCATE, 701, 38.0, error_code=code, flow=1),
    ]
    rows = [*allocation(0), *checks(1, 10), *refused]
    flows = [make_flow(), make_flow(a_port=50001, first_ns=seconds(5), last_ns=seconds(6))]
    calls = find_calls(evidence(flows=flows, stun=rows, streams=both_ways(1.2, 20, 10), handshakes=[handshake(1, 1.1)]))
    assert [call.failure and call.failure.error_code for call in calls] == [None, code]
    assert calls[1].start_ns == seconds(5)
    assert calls[1].flow == 1


def test_a_refusal_on_the_way_to_a_call_is_no_call_of_its_own():
    refused = [
        *pair(0, Method.ALLOCATE, 700, 38.0, error_code=401, flow=1),
        *pair(0.04, Method.ALLOCATE, 701, 38.0, error_code=486, flow=1),
    ]
    flows = [make_flow(), make_flow(a_port=50001, last_ns=seconds(1))]
    rows = [*allocation(0), *checks(1, 10), *refused]
    calls = find_calls(evidence(flows=flows, stun=rows, streams=both_ways(1.2, 20, 10), handshakes=[handshake(1, 1.1)]))
    assert [call.failure for call in calls] == [None]


def test_an_allocation_is_a_step_of_the_first_call_that_it_served():
    streams = [*both_ways(1.2, 12, 10), *both_ways(30, 40, 20)]
    first, second = find_calls(evidence(stun=[*allocation(0), *checks(1, 5)], streams=streams))
    assert first.setup.allocate == pytest.approx(78.0)
    assert second.setup.allocate is None
    again = [*allocation(0), *checks(1, 5), *pair(25, Method.ALLOCATE, 990, 44.0)]
    _, second = find_calls(evidence(stun=again, streams=streams))
    assert second.setup.allocate == pytest.approx(44.0)
