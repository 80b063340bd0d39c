"""A call whose packets come back with ICMP errors while it goes on: told, and by whom."""

import pytest
from builders import AGENT, RELAY, make_flow, make_stream, pair, seconds, stun_rows

from ccp_assess.traffic.callrecords import Call, Relay, round_trips
from ccp_assess.traffic.callview import CallView
from ccp_assess.traffic.capturefindings import CaptureView, capture_findings
from ccp_assess.traffic.endpoints import find_endpoints
from ccp_assess.traffic.findings import call_findings
from ccp_assess.traffic.icmperrors import IcmpError
from ccp_assess.traffic.transactions import join_transactions
from ccp_assess.wire.stun import Method

GATEWAY = "10.0.0.1"


def refusal(time, reporter, kind="prohibited", reason="prohibited"):
    return IcmpError(
        time_ns=seconds(time), reporter=reporter, kind=kind, reason=reason, flow=0, from_a=True, destination=RELAY,
        port=3478, transport="udp",
    )  # fmt: skip


def view(errors, *, inbound_until=30, stun=()):
    streams = [
        make_stream(first=0, last=30, out=True, ssrc=1),
        make_stream(first=0, last=inbound_until, out=False, ssrc=2),
    ]
    rows = join_transactions(stun_rows(*stun))
    call = Call(
        call_id="c", start_ns=seconds(0), end_ns=seconds(30), agent=AGENT, agent_port=50000, flow=0,
        relay=Relay(address=RELAY, port=3478, transport="udp"), in_streams=(1,), out_streams=(0,),
        media_rows=tuple(n for n in range(len(rows)) if rows["inside"][n]),
        relay_rows=tuple(n for n in range(len(rows)) if not rows["inside"][n]),
    )  # fmt: skip
    return CallView(
        call=call, streams=streams, flows=[make_flow()], transactions=rows, relay_rtt=round_trips(rows, ()),
        media_rtt=round_trips(rows, ()), icmp_errors=errors,
    )  # fmt: skip


def grave(view_):
    return [finding for finding in call_findings(view_) if finding.severity == "critical"]


def test_a_firewall_that_begins_to_refuse_is_named_with_the_second():
    (finding,) = grave(view([refusal(10 + k * 0.02, GATEWAY) for k in range(500)]))
    assert (finding.code, finding.evidence["side"]) == ("CALL_DROPPED_REFUSED", "lan_isp")
    assert finding.evidence["errors"] == 500
    assert "from second 10 of the call" in finding.text
    assert GATEWAY in finding.text


def test_a_relay_that_refuses_is_the_services_own():
    (finding,) = grave(view([refusal(10 + k * 0.02, RELAY, "port_unreachable", "refused") for k in range(500)]))
    assert finding.evidence["side"] == "service"


@pytest.mark.parametrize("times", [[10.0], [30.5 + k * 0.02 for k in range(20)]])
def test_a_stray_error_or_errors_after_the_end_are_nothing(times):
    assert grave(view([refusal(time, GATEWAY) for time in times])) == []


def test_a_relay_that_ended_is_not_blamed_on_the_line():
    pings = [r for k in range(20) for r in pair(11 + k, Method.BINDING, k, None, channel=0x4000)]
    pings += pair(15, Method.BINDING, 99, None)
    errors = [refusal(10 + k * 0.02, RELAY, "port_unreachable", "refused") for k in range(500)]
    (finding,) = grave(view(errors, inbound_until=10, stun=pings))
    assert (finding.code, finding.evidence["side"]) == ("CALL_DROPPED", "service")
    (finding,) = grave(view([], inbound_until=10, stun=pings))
    assert (finding.code, finding.evidence["side"]) == ("CALL_DROPPED", "lan_isp")


def test_an_endpoint_that_was_refused_is_not_called_dropped():
    flows = [make_flow(packets_ba=0, ttl_ba_max=None, relay_side=None, is_turn=False)]
    rows = tuple(find_endpoints(flows, [], [], names={RELAY: "turnnlb-1.elb.eu-west-2.amazonaws.com"}))

    def text(errors):
        told = capture_findings(CaptureView(packets=10, endpoints=rows, icmp_errors=errors))
        return next(finding.text for finding in told if finding.code == "ENDPOINT_UNANSWERED")

    assert "dropped on the way" in text(())
    assert "rejected on the way with an ICMP error" in text((refusal(1, GATEWAY),))


def test_a_capture_that_cut_its_packets_is_not_called_empty_of_calls_without_saying_so():
    def text(cut):
        return next(f.text for f in capture_findings(CaptureView(packets=100, snaplen_cut=cut)) if f.code == "NO_MEDIA")

    assert "cut short" not in text(0)
    assert "98 of 100 packets were cut short by the capture" in text(98)
