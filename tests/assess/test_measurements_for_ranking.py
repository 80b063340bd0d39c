"""Probe documents and captures become measurements; nothing is guessed on the way."""

from __future__ import annotations

from ccp_assess.assess.measurements import measurements_from_captures, measurements_from_documents
from ccp_assess.paths import Hop, Path, ProbeDocument, RegionProbe


def _document(*regions, site_id="LIS", vantage=None):
    return ProbeDocument(
        site_id=site_id, time=None, tool="mtr", vantage=vantage, regions=regions, source="probes/a.json"
    )


def _path(technique="icmp", hop_count=9):
    hops = (Hop(ttl=9, address="192.0.2.1", rtt_min_ms=18.0, rtt_avg_ms=20.0, rtt_max_ms=60.0),)
    return Path(technique=technique, hops=hops, destination_answered=hop_count is not None, hop_count=hop_count)


def test_single_round_trips_and_the_hop_count_are_taken_and_lost_probes_left_out():
    probe = RegionProbe(region_code="eu-west-2", destination="x", rtts_ms=(20.0, None, 24.0), path=_path("udp"))
    (found,) = measurements_from_documents([_document(probe, vantage="bench")])
    assert (found.site_id, found.region_code, found.rtt_ms) == ("LIS", "eu-west-2", (20.0, 24.0))
    assert (found.hop_count, found.via, found.vantage, found.source) == (9, "udp", "bench", "probes/a.json")


def test_sums_stand_in_where_a_tool_gives_no_single_values():
    probe = RegionProbe(region_code="eu-west-2", destination="x", rtt_min_ms=18.0, rtt_p50_ms=20.0, path=_path())
    (found,) = measurements_from_documents([_document(probe)])
    assert (found.rtt_ms, found.rtt_min_ms, found.rtt_p50_ms, found.rtt_max_ms) == ((), 18.0, 20.0, 60.0)
    assert found.median_ms == 20.0


def test_the_relay_itself_outranks_the_trace_of_the_same_document():
    probe = RegionProbe(
        region_code="eu-west-2",
        destination="x",
        rtts_ms=(30.0,),
        path=_path(),
        details={"relay": {"binding_rtt_ms": [21.0, None, 22.0]}, "train": {"loss_pct": 0.5, "jitter_ms": 3.0}},
    )
    (found,) = measurements_from_documents([_document(probe)])
    assert (found.via, found.rtt_ms, found.loss_pct, found.jitter_ms) == ("stun", (21.0, 22.0), 0.5, 3.0)
    assert found.hop_count == 9


def test_tcp_connects_are_the_last_resort_and_nothing_at_all_stays_unknown():
    tcp = RegionProbe(region_code="a", destination="x", details={"tcp": [{"connect_ms": 40.0}, {"connect_ms": None}]})
    nothing = RegionProbe(region_code="b", destination="x")
    one, two = measurements_from_documents([_document(tcp, nothing)])
    assert (one.via, one.rtt_ms) == ("tcp", (40.0,))
    assert two.median_ms is None


def test_no_site_or_no_region_is_no_measurement():
    probe = RegionProbe(region_code=None, destination="203.0.113.9", rtts_ms=(20.0,))
    known = RegionProbe(region_code="eu-west-2", destination="x", rtts_ms=(20.0,))
    assert measurements_from_documents([_document(probe)]) == ()
    assert measurements_from_documents([_document(known, site_id=None)]) == ()


def _capture(**call):
    base = {
        "call_id": "c1",
        "region_code": "us-west-2",
        "rtt_relay_ms": {"p50": 40.0, "p95": 44.0, "n": 5},
        "in": {"loss_pct": 1.5, "jitter_ms": 4.0, "late_pct": 0.5, "mos_cqe": None, "r_factor": None},
    }
    return {"calls": [{**base, **call}], "streams": [{"call_id": "c1", "direction": "in", "burst_ratio": 1.7}]}


def test_a_captured_call_gives_the_relays_round_trip_and_the_inbound_loss():
    (found,) = measurements_from_captures([("DEN", _capture())])
    assert (found.site_id, found.region_code, found.median_ms, found.via) == ("DEN", "us-west-2", 40.0, "stun")
    assert (found.loss_pct, found.late_pct, found.burst_ratio) == (1.5, 0.5, 1.7)


def test_calls_without_region_round_trip_or_site_are_left_out():
    assert measurements_from_captures([("DEN", _capture(region_code=None))]) == ()
    assert measurements_from_captures([("DEN", _capture(rtt_relay_ms={"p50": None, "p95": None, "n": 0}))]) == ()
    assert measurements_from_captures([(None, _capture())]) == ()
