"""What the browser page saves, read back into the records of our own probes; hostile and damaged files, too."""

import copy
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccp_assess.assess.measurements import measurements_from_documents
from ccp_assess.errors import ParseError
from ccp_assess.probe.imports import parse_probe_bytes, probe_document_json, read_probe_file
from ccp_assess.probe.page import FORMAT, read_verdicts

RELAY = "turnnlb-1dc64a459ead57ea.elb.eu-west-2.amazonaws.com"
TRACE = f"""traceroute to {RELAY} (15.193.5.20), 30 hops max, 60 byte packets
 1  10.20.1.1  0.512 ms  0.498 ms  0.488 ms
 2  * * *
 3  15.193.5.20  11.9 ms  12.0 ms  12.2 ms
"""


def relay(host=RELAY, **more):
    known = {"host": host, "port": 3478, "udp": "challenged", "tcp": "challenged", "error_code": 401, "binding": True}
    return known | {"mapped_address": "192.0.2.1", "binding_ms": [14.5, None, 13.0, 15.5, 14.0], "events": {}} | more


def web(**more):
    known = {"host": "participant.connect.eu-west-2.amazonaws.com", "port": 443, "outcome": "reached"}
    return (
        known
        | {
            "first_ms": 130.5,
            "again_ms": [19.0, 18.5],
            "kept_open": True,
            "websocket": "not_tested",
            "websocket_ms": None,
        }
        | more
    )


def saved(*rows, **more):
    regions = [row or {} for row in rows] or [region()]
    known = {"format": FORMAT, "site_id": "DEN", "time": "2026-11-23T06:00:00.000Z", "complete": True, "traces": []}
    browser = {"user_agent": "Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0.0.0", "platform": "Linux", "cores": 2}
    return known | {"browser": browser, "microphone": None, "regions": regions} | more


def region(code="eu-west-2", verdicts=("audio_open",), relays=None, sites=None):
    return {
        "region_code": code,
        "relays": [relay()] if relays is None else relays,
        "web": [web()] if sites is None else sites,
        "verdicts": list(verdicts),
        "complete": True,
    }


def read(document):
    return parse_probe_bytes(json.dumps(document).encode())


def test_a_result_becomes_the_same_records_as_our_own_probes():
    document = read(saved())
    assert (document.tool, document.site_id, document.vantage) == ("ccp-assess probe page", "DEN", "workstation")
    assert document.time == "2026-11-23T06:00:00.000Z"
    assert document.host["browser"]["cores"] == 2
    (row,) = document.regions
    assert (row.region_code, row.destination) == ("eu-west-2", RELAY)
    assert row.rtts_ms == (14.5, None, 13.0, 15.5, 14.0)
    assert (row.rtt_min_ms, row.rtt_p50_ms, row.rtt_p95_ms, row.sent, row.received) == (13.0, 14.0, 15.5, 5, 4)
    assert row.details["relay"]["allocate"] == "challenged"
    assert row.details["relay"]["mapped_address"] == "192.0.2.1"
    assert row.details["judgement"] == {"udp": "open", "tcp": "open"}
    assert row.details["diagnosis"] == []


def test_the_fastest_relay_of_a_region_stands_for_it():
    slow = relay("turnnlb-a.elb.us-east-1.amazonaws.com", binding_ms=[90.0, 91.0])
    fast = relay("turnnlb-b.elb.us-east-1.amazonaws.com", binding_ms=[80.0, 85.0])
    silent = relay("turnnlb-c.elb.us-east-1.amazonaws.com", binding_ms=[], udp="no_answer")
    (row,) = read(saved(region("us-east-1", ["audio_partly"], [slow, silent, fast]))).regions
    assert (row.destination, row.rtts_ms) == ("turnnlb-b.elb.us-east-1.amazonaws.com", (80.0, 85.0))
    assert len(row.details["relays"]) == 6
    (told,) = row.details["diagnosis"]
    assert (told["code"], told["severity"]) == ("UDP_PARTLY_BLOCKED", "warning")
    assert "turnnlb-c.elb.us-east-1.amazonaws.com" in told["change"]
    assert row.details["judgement"]["udp"] == "impaired"


@pytest.mark.parametrize(
    ("verdict", "udp", "tcp", "allocate", "connect"),
    [
        ("udp_blocked_tcp_open", "no_answer", "challenged", "no_answer", "connected"),
        ("udp_blocked", "no_answer", "refused", "no_answer", "refused"),
        ("udp_blocked", "no_answer", "no_answer", "no_answer", "timeout"),
        ("turn_refused", "binding_only", "challenged", "no_answer", "connected"),
        ("name_not_found", "name_not_found", "name_not_found", None, None),
        ("udp_not_sent", "not_sent", "challenged", None, "connected"),
    ],
)
def test_what_is_blocked_is_said_and_https_stands_in_for_the_time(verdict, udp, tcp, allocate, connect):
    blocked = relay(udp=udp, tcp=tcp, error_code=None, binding_ms=[], mapped_address=None)
    (row,) = read(saved(region(verdicts=[verdict], relays=[blocked]))).regions
    by_udp, by_tcp = row.details["relays"]
    assert (by_udp["allocate"], by_tcp["connect"]) == (allocate, connect)
    assert row.details["judgement"] == {"udp": "blocked", "tcp": "open"}
    (told,) = row.details["diagnosis"]
    assert told["code"] == read_verdicts()[verdict]["code"]
    assert told["severity"] == "critical"
    assert (row.rtts_ms, row.details["via"]) == ((19.0, 18.5), "https")


def test_a_ranking_takes_https_for_tcp_and_the_relay_for_stun():
    blocked = relay(udp="no_answer", tcp="no_answer", binding_ms=[], error_code=None)
    document = read(saved(region(), region("us-east-1", ["udp_blocked"], [blocked])))
    found = measurements_from_documents([document])
    assert [(one.region_code, one.via, min(one.rtt_ms)) for one in found] == [
        ("eu-west-2", "stun", 13.0),
        ("us-east-1", "tcp", 18.5),
    ]


def test_fetches_over_new_connections_are_no_round_trips():
    silent = relay(udp="no_answer", tcp="no_answer", binding_ms=[], error_code=None)
    closing = web(kept_open=False, first_ms=130.0, again_ms=[128.0, 129.0])
    (row,) = read(saved(region(verdicts=["udp_blocked"], relays=[silent], sites=[closing]))).regions
    assert (row.rtts_ms, row.rtt_p50_ms, row.details["via"]) == ((), None, None)
    assert row.details["tcp"][0]["http_again_ms"] == [128.0, 129.0]


def test_nothing_answered_has_no_time_and_no_zero():
    silent = relay(udp="no_answer", tcp="no_answer", binding_ms=[], error_code=None, mapped_address=None)
    failed = web(outcome="failed", first_ms=None, again_ms=[])
    (row,) = read(saved(region(verdicts=["nothing_answers"], relays=[silent], sites=[failed]))).regions
    assert (row.rtts_ms, row.rtt_min_ms, row.rtt_p50_ms, row.sent) == ((), None, None, None)
    assert row.details["judgement"] == {"udp": "unknown", "tcp": "blocked"}
    assert row.details["tcp"][0]["error"].startswith("not fetched")


def test_a_pasted_trace_gives_its_region_the_hops():
    (row,) = read(saved(traces=[TRACE])).regions
    assert (row.path.hop_count, row.path.hops[0].address, row.path.hops[1].address) == (3, "10.20.1.1", None)
    assert row.rtts_ms == (14.5, None, 13.0, 15.5, 14.0)
    assert row.details["path_tool"] == "traceroute"
    elsewhere = TRACE.replace(RELAY, "example.com").replace("15.193.5.20", "192.0.2.77")
    document = read(saved(traces=[TRACE + "\n" + elsewhere]))
    assert [(one.region_code, one.path.hop_count) for one in document.regions] == [("eu-west-2", 3), (None, 3)]


def test_a_trace_that_cannot_be_read_is_said_and_the_rest_stands():
    document = read(saved(traces=["what is this", TRACE]))
    assert document.regions[0].path.hop_count == 3
    (note,) = document.host["notes"]
    assert note.startswith("The pasted trace 1 was left out: line 1")


def test_it_can_be_written_and_read_again_as_one_of_our_documents(tmp_path):
    first = probe_document_json(read(saved(traces=[TRACE])))
    path = tmp_path / "DEN__result.json"
    path.write_text(json.dumps(first))
    again = probe_document_json(read_probe_file(path))
    assert again["regions"] == first["regions"]


def test_a_port_that_is_none_is_unknown(tmp_path):
    path = tmp_path / "x.json"
    path.write_text(json.dumps(probe_document_json(read(saved(region(sites=[web(port=70_000)]))))))
    ((one,),) = [row.details["tcp"] for row in read_probe_file(path).regions]
    assert one["port"] is None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": "ccp-assess-probe-page/9"}, "another edition"),
        ({"regions": []}, "holds no Region"),
        ({"regions": "all"}, "holds no Region"),
        ({"regions": [7, None]}, "holds no Region"),
    ],
)
def test_what_is_no_result_is_refused_in_one_sentence(change, told):
    with pytest.raises(ParseError, match=told):
        read(saved() | change)


def test_the_pages_of_an_instance_belong_to_no_region():
    (row,) = read(saved(region(None, ["web_open"], [], [web(host="acme.my.connect.aws")]))).regions
    assert (row.region_code, row.destination) == (None, "acme.my.connect.aws")
    assert row.details["judgement"] == {"udp": "unknown", "tcp": "open"}
    assert row.details["diagnosis"] == []


def test_a_hostile_result_gives_no_verdict_name_or_number_of_its_own():
    wild = region("nowhere-1", ["all_is_well", "audio_open", 7, None])
    wild["relays"] = [
        relay("\x1b[31m<script>" + "x" * 5000, binding_ms=[-4, "NaN", 1e99, True, 12.0], mapped_address="<b>"),
        "text",
    ]
    wild["web"] = [web(host=None, first_ms="soon", again_ms={"a": 1}, outcome="reached", websocket=["opened"])]
    browser = {"user_agent": "\x07" * 9999, "deep": {"deep": {"deep": {"deep": 1}}}, "n": 10**400}
    text = json.dumps(saved(wild, browser=browser, microphone=[1, [2, [3]]], site_id=["A"], time=5))
    document = parse_probe_bytes(text.encode())
    (row,) = document.regions
    assert (row.region_code, document.site_id, document.time) == (None, None, None)
    assert row.rtts_ms == (None, None, None, None, 12.0)
    assert len(row.destination) <= 255
    assert "\x1b" not in row.destination
    assert row.details["relay"]["mapped_address"] is None
    assert row.details["tcp"][0]["websocket"] is None
    assert row.details["diagnosis"] == []
    assert document.host["browser"]["n"] is None
    json.dumps(probe_document_json(document), allow_nan=False)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
PLACES = [
    ("regions", 0, "relays", 0, key)
    for key in ("host", "port", "udp", "tcp", "binding_ms", "error_code", "mapped_address")
]
PLACES += [("regions", 0, "web", 0, key) for key in ("host", "outcome", "first_ms", "again_ms", "websocket")]
PLACES += [("regions", 0, key) for key in ("region_code", "relays", "web", "verdicts")]
PLACES += [(key,) for key in ("site_id", "time", "browser", "microphone", "traces", "regions")]


@given(st.sampled_from(PLACES), JSON)
def test_any_value_in_any_place_is_read_or_refused(place, value):
    document = copy.deepcopy(saved())
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    try:
        found = probe_document_json(read(document))
    except ParseError:
        return
    text = json.dumps(found)
    assert not any(word in text for word in ("NaN", "Infinity")) or isinstance(value, str | list | dict)
    assert all(ms is None or math.isfinite(ms) for row in found["regions"] for ms in row["rtt_ms"])
