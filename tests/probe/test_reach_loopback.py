"""Reaching over real sockets: names, TLS, WebSockets, proxies and relays on loopback, right and with faults."""

import contextlib
import time
from dataclasses import replace

import pytest
from loopback_servers import Authority, dns_server, proxy, relay, relay_by_stream, serving, serving_datagrams, web

from ccp_assess.probe import tls
from ccp_assess.probe.machine import run
from ccp_assess.probe.names import ask_server
from ccp_assess.probe.proxies import Proxy, ProxySettings
from ccp_assess.probe.reach import FULL, QUICK, Surroundings, probe_reach
from ccp_assess.probe.systems import open_network
from ccp_assess.probe.talks import Talks
from ccp_assess.probe.targets import RegionTargets, Target

HOST = "participant.connect.eu-west-2.amazonaws.com"
TURN = "turnnlb-1dc64a459ead57ea.elb.eu-west-2.amazonaws.com"
BINDING, ALLOCATE = b"\x00\x01", b"\x00\x03"
SHORT = replace(QUICK, give_up_ms=900.0, whole_ms=3000.0, relay_tries_ms=(0.0, 50.0, 100.0, 150.0, 200.0))


@pytest.fixture(scope="module")
def amazon(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("amazon"), "Amazon", HOST)


@pytest.fixture(scope="module")
def corporate(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("corporate"), "Example Inspection Ltd", HOST)


@pytest.fixture
def trust(monkeypatch):
    """Let this computer trust an authority, and only that."""

    def trusting(authority):
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.root_file))
        monkeypatch.delenv("SSL_CERT_DIR", raising=False)
        tls._context.cache_clear()

    yield trusting
    tls._context.cache_clear()


def reach(targets, *, pace=SHORT, **around):
    found = probe_reach([RegionTargets(region_code="eu-west-2", targets=tuple(targets))], pace, Surroundings(**around))
    return found.regions[0]


def service(where, role="signalling"):
    return Target(host=HOST, port=where[1], transport="tcp", role=role, address=where[0])


def media(where, transport="udp"):
    return Target(host=TURN, port=where[1], transport=transport, role="media_relay", address=where[0])


def ask(talk_of, deadline_s=5.0):
    network = open_network()
    with contextlib.closing(network):
        (found,) = run([Talks(talk_of)], network, deadline_s=deadline_s)
    return found


# ---------------------------------------------------------------- names


def test_a_server_is_asked_for_both_address_families_and_says_how_long_it_took():
    known = {(HOST, "A"): ("15.193.5.7",), (HOST, "AAAA"): ("2600:f0f2:7102::7",)}
    with serving_datagrams(dns_server(known)) as server:
        four = ask(lambda talks: ask_server(talks, server, HOST))
        six = ask(lambda talks: ask_server(talks, server, HOST.upper(), "AAAA"))
    assert (four.answers, four.rcode, four.tries) == (("15.193.5.7",), "NOERROR", 1)
    assert (six.answers, six.name) == (("2600:f0f2:7102::7",), HOST)
    assert 0 < four.response_ms < 1000


@pytest.mark.parametrize("rcode", ["NXDOMAIN", "SERVFAIL", "REFUSED"])
def test_a_refusal_is_the_servers_own_word(rcode):
    with serving_datagrams(dns_server({(HOST, "A"): rcode})) as server:
        found = ask(lambda talks: ask_server(talks, server, HOST))
    assert (found.answers, found.rcode, found.resolver) == ((), rcode, "127.0.0.1")


def test_silence_is_a_timeout_after_two_questions_and_never_an_rcode():
    seen = []
    with serving_datagrams(dns_server({}, seen)) as server:
        found = ask(lambda talks: ask_server(talks, server, HOST, tries_ms=(0, 100), give_up_ms=300))
    assert (found.rcode, found.response_ms, found.tries, len(seen)) == ("TIMEOUT", None, 2, 2)


def test_an_answer_to_another_question_is_no_answer():
    def liar(data, _client):
        yield (int.from_bytes(data[:2], "big") ^ 1).to_bytes(2, "big") + b"\x81\x80" + data[4:]
        yield data[:2] + b"\x81\x80" + data[4:12] + b"\x01x\x00\x00\x01\x00\x01"
        yield b"\x00" * 3

    with serving_datagrams(liar) as server:
        found = ask(lambda talks: ask_server(talks, server, HOST, tries_ms=(0,), give_up_ms=300))
    assert found.rcode == "TIMEOUT"


# ---------------------------------------------------------------- TLS and WebSocket


def test_a_genuine_service_is_reached_up_to_its_websocket(amazon, trust):
    trust(amazon)
    with serving(web(amazon)) as where:
        (one,) = reach([service(where)]).tcp
    assert (one.outcome, one.tls.outcome, one.tls.version) == ("connected", "ok", "TLSv1.3")
    assert (one.tls.issuer, one.tls.trusted, one.tls.intercepted) == ("Amazon: Amazon Root", True, False)
    assert (one.http.outcome, one.http.status) == ("upgraded", 101)
    assert abs(one.http.clock_offset_s) < 2
    assert one.tls.subject_names == (HOST,)


def test_a_refusal_by_the_service_itself_proves_the_way_too(amazon, trust):
    trust(amazon)
    with serving(web(amazon, websocket="refuse")) as where:
        (one,) = reach([service(where)]).tcp
    assert (one.http.outcome, one.http.status, one.http.by_service) == ("answered", 403, True)


def test_a_trusted_box_that_opens_tls_is_called_by_its_name(corporate, trust):
    trust(corporate)
    with serving(web(corporate, websocket="strip")) as where:
        (one,) = reach([service(where)]).tcp
    assert (one.tls.trusted, one.tls.intercepted, one.tls.root_published) == (True, True, False)
    assert one.tls.issuer == "Example Inspection Ltd: Example Inspection Ltd Root"
    assert one.http.outcome == "stripped"


def test_an_untrusted_box_is_seen_by_a_second_handshake(amazon, corporate, trust):
    trust(amazon)
    with serving(web(corporate)) as where:
        (one,) = reach([service(where)]).tcp
    assert (one.tls.outcome, one.tls.trusted, one.tls.intercepted) == ("ok", False, True)
    assert "self" in one.tls.verify_error
    assert one.http.outcome == "upgraded"


def test_a_wrong_clock_shows_in_the_servers_date(amazon, trust):
    trust(amazon)
    with serving(web(amazon, ahead_s=-3600.0)) as where:
        (one,) = reach([service(where)]).tcp
    assert one.http.clock_offset_s == pytest.approx(3600.0, abs=1.5)


def test_a_server_that_speaks_no_tls_fails_with_words_and_no_certificate():
    with serving(lambda connection: connection.sendall(b"SSH-2.0-OpenSSH\r\n")) as where:
        (one,) = reach([service(where)]).tcp
    assert (one.outcome, one.tls.outcome, one.tls.issuer, one.http) == ("connected", "failed", None, None)
    assert "version" in one.tls.error or "record" in one.tls.error


def test_a_server_that_is_silent_after_the_connect_does_not_hang_the_round():
    began = time.monotonic()
    with serving(lambda connection: connection.recv(10) and time.sleep(4)) as where:
        (one,) = reach([service(where)]).tcp
    assert one.tls.outcome == "timeout"
    assert time.monotonic() - began < 8


def test_a_closed_port_refuses_and_is_tried_three_times_in_the_full_form():
    with serving(lambda _connection: None) as where:
        pass
    (quick,) = reach([service(where)]).tcp
    (full,) = reach([service(where)], pace=replace(FULL, give_up_ms=900.0, whole_ms=3000.0)).tcp
    assert (quick.outcome, quick.error, quick.tries, full.tries) == ("refused", "ECONNREFUSED", 1, 3)
    assert quick.connect_ms is None


def test_the_full_form_connects_three_times_for_a_steadier_round_trip(amazon, trust):
    trust(amazon)
    with serving(web(amazon)) as where:
        (one,) = reach([service(where)], pace=FULL).tcp
    assert len(one.connects_ms) == 3
    assert all(ms is not None and ms > 0 for ms in one.connects_ms)


# ---------------------------------------------------------------- proxies


def by(where, **more):
    return ProxySettings(proxy=Proxy(host=where[0], port=where[1], source="system", **more))


def test_a_service_is_reached_through_a_proxy_by_its_name(amazon, trust):
    trust(amazon)
    asked = []
    with serving(web(amazon)) as where, serving(proxy({HOST: where}, requests=asked)) as hop:
        direct, proxied = sorted(reach([service(where)], proxies=by(hop)).tcp, key=lambda one: one.proxy is not None)
    assert asked[0].target == f"{HOST}:{where[1]}"
    assert (proxied.proxy.outcome, proxied.address, proxied.http.outcome) == ("open", None, "upgraded")
    assert proxied.connect_ms == pytest.approx(proxied.proxy.connect_ms + proxied.proxy.tunnel_ms)
    assert (direct.proxy, direct.http.outcome) == (None, "upgraded")


def test_a_proxy_that_wants_a_sign_in_says_by_which_schemes():
    wants = ("Negotiate", "NTLM", 'Basic realm="corp, inc"')
    with serving(proxy({}, status=407, challenge=wants)) as hop:
        found = reach([service(("127.0.0.1", 9))], proxies=by(hop)).tcp
    met = next(one.proxy for one in found if one.proxy)
    assert (met.outcome, met.status, met.schemes) == ("auth_required", 407, ("Negotiate", "NTLM", "Basic"))


def test_a_password_in_the_proxys_url_is_used_and_never_shown(amazon, trust):
    trust(amazon)
    asked = []
    with serving(web(amazon)) as where, serving(proxy({HOST: where}, requests=asked)) as hop:
        found = reach([service(where)], proxies=by(hop, user="agent", password="s3cret")).tcp  # noqa: S106 -- a test's
    assert asked[0].get("proxy-authorization") == "Basic YWdlbnQ6czNjcmV0"
    assert "s3cret" not in next(one.proxy.proxy for one in found if one.proxy)


def test_a_proxy_that_denies_and_one_that_is_none():
    with serving(proxy({}, status=403)) as denies, serving(lambda one: one.sendall(b"SSH-2.0\r\n\r\n")) as ssh:
        denied = reach([service(("127.0.0.1", 9))], proxies=by(denies)).tcp
        broken = reach([service(("127.0.0.1", 9))], proxies=by(ssh)).tcp
    assert next(one.proxy for one in denied if one.proxy).outcome == "denied"
    assert next(one.proxy for one in broken if one.proxy).outcome == "broken"


def test_a_proxy_that_is_itself_reached_by_tls(amazon, corporate, trust):
    trust(amazon)

    def over_tls(connection):
        with corporate.context().wrap_socket(connection, server_side=True) as stream:
            wants = b"HTTP/1.1 407 Sign in\r\nProxy-Authenticate: Basic\r\n\r\n"
            stream.recv(4096)
            stream.sendall(wants)

    with serving(over_tls) as hop:
        found = reach([service(("127.0.0.1", 9))], proxies=by(hop, tls=True)).tcp
    assert next(one.proxy for one in found if one.proxy).schemes == ("Basic",)


# ---------------------------------------------------------------- relays


def test_a_relay_answers_binding_and_challenges_allocate():
    with serving_datagrams(relay()) as where:
        (one,) = reach([media(where)]).relays
    assert (one.allocate, one.transport, one.mapped_address) == ("challenged", "udp", "127.0.0.1")
    assert one.binding_rtt_ms[0] is not None
    assert one.binding_rtt_ms[0] < 500


def test_every_try_is_made_in_the_full_form():
    with serving_datagrams(relay()) as where:
        (one,) = reach([media(where)], pace=replace(FULL, relay_tries_ms=(0.0, 30.0, 60.0))).relays
    assert len(one.answered) == 3


def test_a_relay_that_answers_stun_but_not_turn():
    with serving_datagrams(relay(silent=(ALLOCATE,))) as where:
        one, by_tcp = reach([media(where)]).relays
    assert (one.allocate, len(one.allocate_rtt_ms)) == ("no_answer", 4)
    assert one.answered
    assert (by_tcp.transport, by_tcp.connect) == ("tcp", "refused")


def test_a_silent_relay_has_an_entry_for_each_try_and_no_round_trip():
    with serving_datagrams(relay(silent=(BINDING, ALLOCATE))) as where:
        one, by_tcp = reach([media(where)]).relays
    assert one.binding_rtt_ms == (None,) * 5
    assert (by_tcp.transport, by_tcp.allocate) == ("tcp", None)


def test_a_closed_port_is_told_by_icmp():
    with serving_datagrams(relay()) as where:
        pass
    (one,) = reach([media(where)]).relays
    assert one.icmp.is_rejected
    assert (one.icmp.type, one.icmp.code) == (3, 3)


def test_a_relay_is_asked_over_tcp_and_over_tls(corporate, monkeypatch):
    with serving(relay_by_stream()) as plain:
        (one,) = reach([media(plain, "tcp")]).relays
    assert (one.transport, one.connect, one.allocate) == ("tcp", "connected", "challenged")
    monkeypatch.setattr("ccp_assess.probe.reach.TLS_PORTS", frozenset(range(65536)))
    with serving(relay_by_stream(corporate)) as hidden:
        (two,) = reach([media(hidden, "tcp")]).relays
    assert (two.transport, two.connect, two.allocate) == ("tls", "connected", "challenged")


def test_a_name_without_an_address_is_not_reached_and_does_not_hang():
    with serving_datagrams(dns_server({(TURN, "A"): "NXDOMAIN"})) as server:
        target = Target(host=TURN, port=3478, transport="udp", role="media_relay")
        found = reach([target], resolvers=(server,))
    assert found.relays == ()
    assert {answer.rcode for answer in found.names if answer.via == "server"} == {"NXDOMAIN"}
