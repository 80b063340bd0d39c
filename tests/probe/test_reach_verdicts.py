"""Rules from records to diagnoses, one at a time: what proves what, and what must not be said."""

import datetime as dt
import string
from pathlib import Path

import pytest

from ccp_assess.probe.diagnoses import diagnosis, read_diagnoses
from ccp_assess.probe.diagnosis import diagnose
from ccp_assess.probe.https import clock_offset_s, http_request, judge_answer
from ccp_assess.probe.records import (
    HttpFound,
    IcmpSaid,
    NameAnswer,
    PortalFound,
    ReachFound,
    RegionReach,
    RelayFound,
    TcpFound,
    TlsFound,
)
from ccp_assess.probe.tls import Shown, judge_tls, published_keys
from ccp_assess.probe.verdicts_reach import ReachView, is_foreign_address
from ccp_assess.ranges import read_ranges
from ccp_assess.wire.certificates import public_key_hash
from ccp_assess.wire.http import parse_head

HOST = "participant.connect.eu-west-2.amazonaws.com"
TURN = "turnnlb-1dc64a459ead57ea.elb.eu-west-2.amazonaws.com"
GENUINE = TlsFound(outcome="ok", issuer="Amazon: Amazon RSA 2048 M02", trusted=True, intercepted=False)


def relay(*rtts, address="15.193.5.9", **more):
    known = {"allocate": "challenged" if any(rtts) else "no_answer", "allocate_rtt_ms": rtts, "span_ms": 2200.0}
    return RelayFound(host=TURN, address=address, port=3478, transport="udp", binding_rtt_ms=rtts, **{**known, **more})


def service(outcome="connected", **more):
    known = {"connect_ms": 20.0, "connects_ms": (20.0,), "tls": GENUINE} if outcome == "connected" else {}
    return TcpFound(host=HOST, port=443, role="api", address="15.193.5.8", outcome=outcome, **{**known, **more})


def answer(name=HOST, answers=("15.193.5.8",), rcode="NOERROR", via="system", **more):
    return NameAnswer(
        name=name, type="A", via=via, resolver="192.0.2.53", answers=answers, rcode=rcode, response_ms=3.0, **more
    )


def said(*regions, **more):
    reach = ReachFound(regions=regions, **more)
    return diagnose(ReachView(reach=reach, ranges=read_ranges(), now_s=dt.datetime.now(dt.UTC).timestamp()))


def region(code="eu-west-2", **more):
    return RegionReach(region_code=code, **more)


def codes(found, code="eu-west-2"):
    return [one.code for one in found[code]]


# ---------------------------------------------------------------- the list itself


def test_every_sentence_of_the_list_can_be_filled_in_and_has_a_proof_and_a_control():
    rows = read_diagnoses()
    assert len(rows) >= 35
    for code, row in rows.items():
        assert code == code.upper()
        assert row.severity in {"info", "warning", "critical"}
        for text in (row.text, row.agent_sees, row.change, row.proof, row.control):
            assert text.strip(), code
            assert "—" not in text
        places = {name for _, name, _, _ in string.Formatter().parse(row.text) if name}
        assert all(name.isidentifier() for name in places), code


def test_a_long_name_from_the_network_is_cut_and_braces_in_it_are_only_text():
    one = diagnosis(
        "TLS_INTERCEPTED", "certain", {"host": "{evil}", "issuer": "x" * 500, "trust": "", "region": "eu-west-2"}
    )
    assert "{evil}" in one.text
    assert len(one.text) < 300


# ---------------------------------------------------------------- nothing is wrong


def test_a_good_round_says_nothing():
    assert said(region(tcp=(service(),), relays=(relay(20.0),), names=(answer(),))) == {"eu-west-2": ()}


def test_a_region_whose_relay_nobody_knows_says_so_and_claims_nothing():
    found = said(region("ap-northeast-3", tcp=(service(),)))
    assert codes(found, "ap-northeast-3") == ["NO_RELAY_NAME"]


# ---------------------------------------------------------------- UDP


def test_udp_without_an_answer_is_only_unexplained_where_nothing_else_works():
    nothing = said(region(relays=(relay(None, None, None, None),), tcp=(service("timeout", waited_ms=2200.0),)))
    assert codes(nothing) == ["NO_ANSWER_UNEXPLAINED"]
    assert nothing["eu-west-2"][0].confidence == "cannot_tell"


def test_udp_blocked_is_certain_only_with_enough_requests_addresses_and_a_second_control():
    few = region(relays=(relay(*[None] * 4),), tcp=(service(),))
    many = region(relays=(relay(*[None] * 6), relay(*[None] * 6, address="15.193.5.10")), tcp=(service(),))
    elsewhere = region("us-east-1", relays=(relay(80.0, address="15.193.6.9"),), tcp=(service(),))
    assert said(few)["eu-west-2"][0].confidence == "likely"
    assert said(many)["eu-west-2"][0].confidence == "likely"
    assert said(many, elsewhere)["eu-west-2"][0].confidence == "certain"
    assert codes(said(many, elsewhere)) == ["UDP_BLOCKED"]


@pytest.mark.parametrize(
    ("icmp", "code"),
    [
        (IcmpSaid(router="192.0.2.1", type=3, code=13), "UDP_PROHIBITED"),
        (IcmpSaid(router="192.0.2.1", type=3, code=9), "UDP_PROHIBITED"),
        (IcmpSaid(router="2001:db8::1", type=1, code=1, version=6), "UDP_PROHIBITED"),
        (IcmpSaid(router="192.0.2.1", type=3, code=3), "UDP_REJECTED"),
        (IcmpSaid(router="192.0.2.1", type=3, code=1), "UDP_REJECTED"),
        (IcmpSaid(router="2001:db8::1", type=1, code=4, version=6), "UDP_REJECTED"),
    ],
)
def test_an_icmp_error_names_the_device(icmp, code):
    (one,) = said(region(relays=(relay(None, icmp=icmp),), tcp=(service(),)))["eu-west-2"]
    assert (one.code, one.confidence, one.evidence["router"]) == (code, "certain", icmp.router)
    assert icmp.router in one.text


def test_a_report_of_packet_size_is_no_rejection():
    found = said(region(relays=(relay(None, icmp=IcmpSaid(router="192.0.2.1", type=3, code=4)),), tcp=(service(),)))
    assert codes(found) == ["UDP_BLOCKED"]


def test_a_send_that_the_computer_itself_refuses_is_a_local_firewall():
    (one,) = said(region(relays=(relay(None, send_error="EPERM"),), tcp=(service(),)))["eu-west-2"]
    assert (one.code, one.confidence) == ("LOCAL_FIREWALL", "certain")


def test_stun_without_turn_is_told_and_an_early_end_is_not():
    silent = relay(9.0, 9.0, 9.0, 9.0, allocate="no_answer", allocate_rtt_ms=(None,) * 4)
    early = relay(9.0, allocate="no_answer", allocate_rtt_ms=(None,))
    refused = relay(9.0, allocate="error", error_code=403)
    assert codes(said(region(relays=(silent,), tcp=(service(),)))) == ["TURN_REFUSED"]
    assert codes(said(region(relays=(early,), tcp=(service(),)))) == []
    assert "403" in said(region(relays=(refused,), tcp=(service(),)))["eu-west-2"][0].text


def test_udp_and_tcp_are_judged_apart():
    found = said(region(relays=(relay(None, None, None, None),), tcp=(service("refused", waited_ms=1.0),)))
    assert set(codes(found)) == {"NO_ANSWER_UNEXPLAINED", "TCP_REFUSED"}


# ---------------------------------------------------------------- TCP, TLS, proxies


def test_a_refusal_faster_than_the_distance_is_a_device_nearby():
    one = said(region(relays=(relay(90.0),), tcp=(service("refused", waited_ms=2.0, tries=3),)))["eu-west-2"][0]
    assert one.code == "TCP_REFUSED"
    assert "near you" in one.text
    far = said(region(relays=(relay(90.0),), tcp=(service("refused", waited_ms=91.0, tries=3),)))["eu-west-2"][0]
    assert "near you" not in far.text


def test_one_address_of_a_name_that_connects_is_enough():
    found = said(region(relays=(relay(9.0),), tcp=(service("timeout", waited_ms=2200.0), service())))
    assert codes(found) == []


def test_an_intercepted_genuine_looking_name_needs_no_second_name_to_be_likely():
    box = TlsFound(outcome="ok", issuer="Corp: Corp CA", trusted=True, intercepted=True)
    (one,) = said(region(relays=(relay(9.0),), tcp=(service(tls=box),)))["eu-west-2"]
    assert (one.code, one.confidence) == ("TLS_INTERCEPTED", "likely")
    assert "Corp: Corp CA" in one.text


def test_a_websocket_that_the_genuine_service_refuses_is_not_broken():
    http = HttpFound(asked="websocket", outcome="stripped", status=404)
    assert codes(said(region(relays=(relay(9.0),), tcp=(service(http=http),)))) == []


def test_a_stand_in_that_speaks_no_tls_is_not_called_broken():
    tls = TlsFound(outcome="closed", error="closed")
    stand_in = TcpFound(host="web.lab", port=443, role="api", address="192.0.2.4", outcome="connected", tls=tls)
    assert codes(said(region(relays=(relay(9.0),), tcp=(stand_in,)))) == []
    assert codes(said(region(relays=(relay(9.0),), tcp=(service(tls=tls),)))) == ["TLS_FAILED"]


def test_a_clock_that_is_wrong_explains_a_certificate_that_is_not_yet_valid():
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=400)
    tls = TlsFound(
        outcome="ok",
        issuer="Amazon: Amazon RSA 2048 M02",
        trusted=False,
        verify_error="certificate is not yet valid",
        not_before=later,
        not_after=later + dt.timedelta(days=90),
    )
    found = said(region(relays=(relay(9.0),), tcp=(service(tls=tls),)))
    assert codes(found) == ["CLOCK_WRONG"]
    assert "behind" in found["eu-west-2"][0].text


def test_a_redirect_to_the_same_host_is_no_captive_portal():
    untrusted = TlsFound(outcome="ok", issuer="X", trusted=False, intercepted=True, verify_error="self-signed")
    row = service(tls=untrusted)
    own = PortalFound(address="15.193.5.8", host=HOST, status=301, location=f"https://{HOST}/")
    other = PortalFound(address="15.193.5.8", host=HOST, status=302, location="http://login.example/x")
    assert codes(said(region(relays=(relay(9.0),), tcp=(row,)), portal=own)) == ["TLS_INTERCEPTED"]
    assert codes(said(region(relays=(relay(9.0),), tcp=(row,)), portal=other)) == ["CAPTIVE_PORTAL"]


# ---------------------------------------------------------------- names


def test_a_blocked_name_needs_a_control_to_be_certain():
    missing = (
        answer(TURN, (), "NXDOMAIN"),
        answer(TURN, (), "NXDOMAIN", via="server"),
    )
    alone = said(region(names=missing, tcp=()))["eu-west-2"][0]
    control = answer("amazonaws.com", ("205.251.242.103",), via="server", control="exists")
    sure = said(region(names=missing, tcp=()), controls=(control,))["eu-west-2"][0]
    assert (alone.code, alone.confidence) == ("DNS_BLOCKED", "cannot_tell")
    assert (sure.confidence, sure.evidence["rcode"]) == ("certain", "NXDOMAIN")
    assert "TurnNlb-*.elb.eu-west-2.amazonaws.com" in sure.change


def test_a_name_that_the_server_knows_and_the_system_refuses_is_this_computers_own_doing():
    both = (answer(TURN, (), "NXDOMAIN"), answer(TURN, ("15.193.5.9",), via="server"))
    (one,) = said(region(names=both, relays=(relay(9.0),), tcp=(service(),)))["eu-west-2"]
    assert one.code == "DNS_BLOCKED"
    assert "only this computer" in one.text


def test_a_question_that_the_system_lost_is_no_block_where_its_server_answered():
    both = (answer(TURN, (), "TIMEOUT"), answer(TURN, ("15.193.5.9",), via="server"))
    assert codes(said(region(names=both, relays=(relay(9.0),), tcp=(service(),)))) == []


@pytest.mark.parametrize(
    ("address", "foreign"),
    [
        ("15.193.5.9", False),
        ("2600:f0f2:7102::9", False),
        ("10.1.2.3", True),
        ("0.0.0.0", True),  # noqa: S104 -- what DNS filters answer
        ("::1", True),
        ("146.112.61.104", True),
        ("no address", True),
    ],
)
def test_addresses_outside_the_published_ranges_are_foreign(address, foreign):
    assert is_foreign_address(read_ranges(), address) is foreign


# ---------------------------------------------------------------- small parts


def test_the_published_roots_are_known_by_their_keys():
    assert len(published_keys()) == 6
    assert published_keys()["fbe3018031f9586bcbf41727e417b7d1c45c2f47f93be372a17b96b50757d5a2"] == "Amazon Root CA 1"
    assert public_key_hash(b"no certificate") is None


def test_a_chain_that_cannot_be_read_is_unknown_and_not_intercepted():
    found = judge_tls(
        HOST, Shown(version=None, cipher=None, alpn=None, chain=()), None, trusted=True, verify_error=None
    )
    assert (found.intercepted, found.issuer, found.root_published) == (None, None, None)


@pytest.mark.parametrize(
    ("head", "outcome"),
    [
        ("HTTP/1.1 426 Upgrade Required\r\nServer: Server\r\n\r\n", "stripped"),
        ("HTTP/1.1 403 Forbidden\r\nx-amzn-RequestId: 1\r\n\r\n", "answered"),
        ("HTTP/1.1 403 Forbidden\r\nServer: squid\r\n\r\n", "stripped"),
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: wrong\r\n\r\n", "stripped"),
    ],
)
def test_an_answer_to_the_wish_for_a_websocket_is_read_strictly(head, outcome):
    assert judge_answer(parse_head(head.encode()), key="abc", asked_s=0.0, took_ms=1.0).outcome == outcome


def test_a_request_names_its_host_and_an_address_in_brackets():
    assert b"Host: [2001:db8::1]\r\n" in http_request("2001:db8::1", None)
    assert b"Upgrade: websocket" in http_request("x", "key")


@pytest.mark.parametrize("date", [None, "", "yesterday", "Mon, 99 Foo 2026 00:00:00 GMT"])
def test_a_date_that_cannot_be_read_says_nothing_of_the_clock(date):
    assert clock_offset_s(date, 1.0, 1.0) is None


def test_the_page_of_diagnoses_is_written_from_the_table(monkeypatch):
    root = Path(__file__).resolve().parents[2]
    monkeypatch.syspath_prepend(str(root / "tools"))
    from write_diagnoses import PAGE, page

    assert PAGE.read_text(encoding="utf-8") == page(), "run tools/write_diagnoses.py"
