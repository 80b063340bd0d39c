"""A relay over TCP or TLS whose connection ends while media is on its way: told, and on whose side."""

import pytest
from builders import AGENT, RELAY, make_flow, make_stream, pair, seconds, stun_rows

from ccp_assess.traffic.callrecords import Call, Relay, round_trips
from ccp_assess.traffic.callview import CallView
from ccp_assess.traffic.findings import call_findings
from ccp_assess.traffic.transactions import join_transactions
from ccp_assess.wire.stun import Method


def found(*, transport="tcp", stun=(), **flow):
    streams = [make_stream(first=0, last=30, out=True, ssrc=1), make_stream(first=0, last=30, out=False, ssrc=2)]
    rows = join_transactions(stun_rows(*stun))
    with_media = {"in_streams": (1,), "out_streams": (0,)} if transport == "tcp" else {}
    call = Call(
        call_id="c", start_ns=seconds(0), end_ns=seconds(30), agent=AGENT, agent_port=50000, flow=0,
        relay=Relay(address=RELAY, port=443, transport=transport, is_inferred=transport == "tls"),
        relay_rows=tuple(range(len(rows))), **with_media,
    )  # fmt: skip
    values = {"transport": "tcp", "b_port": 443, "last_ab_ns": seconds(30), "last_ba_ns": seconds(30)} | flow
    view = CallView(
        call=call, streams=streams, flows=[make_flow(**values)], transactions=rows, relay_rtt=round_trips(rows, ()),
        media_rtt=round_trips(rows, ()),
    )  # fmt: skip
    return [finding for finding in call_findings(view) if finding.code.startswith("CALL_DROPPED")]


@pytest.mark.parametrize("transport", ["tcp", "tls"])
@pytest.mark.parametrize(("name", "kind"), [("reset_ba_ns", "reset"), ("fin_ba_ns", "close")])
def test_an_end_by_the_relays_side_names_the_relay(transport, name, kind):
    (finding,) = found(transport=transport, **{name: seconds(30.01)})
    assert (finding.code, finding.severity) == ("CALL_DROPPED_RESET", "critical")
    assert (finding.evidence["by"], finding.evidence["kind"], finding.evidence["side"]) == (
        "relay", kind, "undetermined",
    )  # fmt: skip
    assert RELAY in finding.text
    assert "second 30 of the call" in finding.text


def test_a_reset_with_another_time_to_live_came_from_the_way():
    (finding,) = found(reset_ba_ns=seconds(30.01), reset_ba_ttl=62, ttl_ba_min=55, ttl_ba_max=62)
    assert (finding.evidence["side"], finding.evidence["ttl"]) == ("lan_isp", 62)
    assert "time to live of 62, where its other packets have 55" in finding.text
    (same,) = found(reset_ba_ns=seconds(30.01), reset_ba_ttl=56, ttl_ba_min=55, ttl_ba_max=56)
    assert same.evidence["side"] == "undetermined"


def test_a_reset_by_the_workstation_without_hanging_up_is_its_own():
    (finding,) = found(reset_ab_ns=seconds(30.01))
    assert (finding.evidence["by"], finding.evidence["side"]) == ("workstation", "workstation")


def test_whoever_hangs_up_closes_the_connection_too():
    given_back = pair(29.9, Method.REFRESH, 7, 38.0)
    assert found(fin_ab_ns=seconds(30.01)) == []
    assert found(reset_ab_ns=seconds(30.01), stun=given_back) == []
    assert found(reset_ba_ns=seconds(30.01), stun=given_back) == []
    assert found(transport="tls", reset_ab_ns=seconds(30.01)) == []  # TLS hides whether it hung up


def test_a_connection_that_is_closed_long_after_the_call_was_none_of_it():
    assert found(reset_ba_ns=seconds(90)) == []
    assert found(transport="udp", reset_ba_ns=None) == []


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_connection_that_is_no_longer_acknowledged_broke_on_the_near_leg(transport):
    (finding,) = found(transport=transport, last_ba_ns=seconds(22))
    assert (finding.code, finding.evidence["side"], finding.evidence["sent_on_ms"]) == ("CALL_DROPPED", "lan_isp", 8000)
    assert found(transport=transport, last_ab_ns=seconds(31)) == []


def silent_from(second, *, leases=(), relay=()):
    """Make a call over UDP in which nothing comes back from a second on, and give its gravest finding."""
    streams = [make_stream(first=0, last=700, out=True, ssrc=1), make_stream(first=0, last=second, out=False, ssrc=2)]
    checks = [row for k in range(8) for row in pair(second + 1 + k, Method.BINDING, 50 + k, None, peer=0)]
    rows = join_transactions(stun_rows(*checks, *relay))
    call = Call(
        call_id="c", start_ns=seconds(0), end_ns=seconds(700), agent=AGENT, agent_port=50000, flow=0,
        relay=Relay(address=RELAY, port=3478, transport="udp"), in_streams=(1,), out_streams=(0,),
        media_rows=tuple(n for n in range(len(rows)) if rows["inside"][n]),
        relay_rows=tuple(n for n in range(len(rows)) if not rows["inside"][n]),
    )  # fmt: skip
    view = CallView(
        call=call, streams=streams, flows=[make_flow()], transactions=rows, relay_rtt=round_trips(rows, ()),
        media_rtt=round_trips(rows, ()), leases=leases,
    )  # fmt: skip
    return next(finding for finding in call_findings(view) if finding.code == "CALL_DROPPED")


def test_an_allocation_that_was_not_renewed_is_the_workstations_own():
    finding = silent_from(630, leases=[(seconds(-10), 600), (seconds(30), 600)])
    assert finding.evidence["side"] == "workstation"
    assert "not renewed its allocation at the relay for 600 s, and it was granted for 600 s" in finding.text
    renewed = silent_from(630, leases=[(seconds(30), 600), (seconds(570), 600)])
    assert renewed.evidence["side"] == "undetermined"


def test_a_relay_that_lost_the_allocation_is_not_taken_for_a_way_that_still_stands():
    mismatch = pair(632, Method.REFRESH, 7, 38.0, error_code=437)
    finding = silent_from(630, leases=[(seconds(570), 600)], relay=mismatch)
    assert finding.evidence["side"] == "service"
    assert "437" in finding.text
    alive = silent_from(630, leases=[(seconds(570), 600)], relay=pair(632, Method.REFRESH, 7, 38.0))
    assert alive.evidence["side"] == "beyond_relay"
