"""Beginnings of TCP connections: order, gaps, TLS inside proxies."""

import pytest
from builders import client_hello, make_datagram, make_flow, tls_record
from hypothesis import given
from hypothesis import strategies as st

from ccp_assess.traffic import dialogues
from ccp_assess.wire import dns

SERVER_HELLO = (
    b"\x02" + (72).to_bytes(3, "big") + b"\x03\x03" + bytes(32) + b"\x20" + bytes(32) + b"\xc0\x2f\x00" + b"\x00\x00"
)
FLOW = make_flow(transport="tcp", b_port=443, relay_side=None, is_turn=False)


def segment(time: float, seq: int, payload: bytes, *, out: bool = True, flags: int = 0x18):
    return make_datagram(time, payload, tcp_seq=seq & 0xFFFFFFFF, tcp_flags=flags, outbound_of_key=out)


def conversation(client: bytes, server: bytes, *, size: int = 100, base: int = 0xFFFFFFF0):
    packets = [segment(0, base - 1, b"", flags=2), segment(0.01, 999, b"", out=False, flags=0x12)]
    packets += [segment(0.1 + i / 1e6, base + i, client[i : i + size]) for i in range(0, len(client), size)]
    packets += [segment(0.2 + i / 1e6, 1000 + i, server[i : i + size], out=False) for i in range(0, len(server), size)]
    return packets


@given(st.permutations(range(8)), st.integers(0, 3))
def test_segments_in_any_order_give_the_same_bytes(order, repeated):
    data = bytes(range(256)) * 3
    parts = [segment(1 + i, 0xFFFFFF00 + i * 96, data[i * 96 : (i + 1) * 96]) for i in range(8)]
    parts = [parts[i] for i in order] + parts[:repeated]
    assert dialogues.order_segments(parts).data == data


def test_a_gap_ends_the_bytes_and_times_are_kept():
    side = dialogues.order_segments([segment(1, 10, b"abc"), segment(2, 13, b"def"), segment(3, 20, b"zz")])
    assert side.data == b"abcdef"
    assert side.time_at(2) == segment(1, 0, b"").time_ns
    assert side.time_at(3) == segment(2, 0, b"").time_ns
    assert side.time_at(6) is None


def test_overlapping_segments_keep_what_came_first():
    side = dialogues.order_segments([segment(1, 10, b"abcd"), segment(2, 12, b"XXef")])
    assert side.data == b"abcdef"


def test_a_tls_conversation_gives_name_version_and_the_time_of_its_handshake():
    client = tls_record(client_hello("x.my.connect.aws")) + tls_record(b"\x01", 20)
    server = tls_record(SERVER_HELLO) + tls_record(b"\x01", 20)
    packets = conversation(client, server, size=2000)
    packets.append(segment(0.35, 1000 + len(server), b"", out=False))
    found = dialogues.read_dialogues([FLOW], packets)[0]
    assert (found.protocol, found.server_name, found.client_is_a) == ("tls", "x.my.connect.aws", True)
    assert found.server_hello is not None
    assert found.server_hello.version == "TLSv1.2"
    assert found.tls_handshake_ms == pytest.approx(100.0)


def test_a_handshake_that_did_not_finish_has_no_time():
    found = dialogues.read_dialogues([FLOW], conversation(tls_record(client_hello()), b""))[0]
    assert found.server_name == "example.com"
    assert found.tls_handshake_ms is None


def test_tls_behind_connect_is_read_with_its_proxy():
    head = b"CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com\r\n\r\n"
    client = head + tls_record(client_hello("api.example.com"))
    server = b"HTTP/1.1 200 Connection established\r\n\r\n" + tls_record(SERVER_HELLO)
    found = dialogues.read_dialogues([FLOW], conversation(client, server, size=50))[0]
    assert found.proxy_target == ("api.example.com", 443)
    assert (found.proxy_status, found.server_name) == (200, "api.example.com")
    assert found.server_hello is not None


def test_a_denied_connect_keeps_its_status():
    client = b"CONNECT a.example.com:443 HTTP/1.1\r\n\r\n"
    server = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    found = dialogues.read_dialogues([FLOW], conversation(client, server))[0]
    assert (found.proxy_status, found.server_name) == (407, None)


def test_a_denial_followed_by_a_second_connect_is_read_on():
    connect = b"CONNECT a.example.com:443 HTTP/1.1\r\n\r\n"
    client = connect + connect + tls_record(client_hello("a.example.com"))
    server = b"HTTP/1.1 407 No\r\n\r\n" + b"HTTP/1.1 200 OK\r\n\r\n" + tls_record(SERVER_HELLO)
    found = dialogues.read_dialogues([FLOW], conversation(client, server))[0]
    assert (found.proxy_status, found.server_name) == (200, "a.example.com")


def test_tls_behind_socks_is_read():
    client = b"\x05\x01\x00" + b"\x05\x01\x00\x03\x09localhost\x01\xbb" + tls_record(client_hello("s.example.com"))
    server = b"\x05\x00" + b"\x05\x00\x00\x01" + bytes(6) + tls_record(SERVER_HELLO)
    found = dialogues.read_dialogues([FLOW], conversation(client, server))[0]
    assert (found.protocol, found.proxy_target, found.server_name) == ("socks", ("localhost", 443), "s.example.com")


def test_a_clear_websocket_is_seen():
    client = b"GET /ws HTTP/1.1\r\nHost: A.example.com:80\r\nUpgrade: websocket\r\n\r\n"
    server = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
    found = dialogues.read_dialogues([FLOW], conversation(client, server))[0]
    assert (found.websocket_status, found.http_host) == (101, "a.example.com")


def test_a_capture_that_begins_with_the_server_knows_who_is_the_client():
    packets = [
        segment(1, 5, tls_record(SERVER_HELLO)),
        segment(2, 9, tls_record(client_hello("late.example.com")), out=False),
    ]
    found = dialogues.read_dialogues([FLOW], packets)[0]
    assert (found.client_is_a, found.server_name) == (False, "late.example.com")


def test_dns_over_tcp_keeps_each_message_with_its_time():
    query = dns.build_query("example.com", "A", 3)
    framed = len(query).to_bytes(2, "big") + query
    flow = make_flow(transport="tcp", b_port=53, relay_side=None, is_turn=False)
    found = dialogues.read_dialogues([flow], conversation(framed * 2, b"", size=20))[0]
    assert [message for _, _, message in found.dns_messages] == [query, query]
    assert found.protocol == "dns"


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_bytes_give_a_dialogue(client, server):
    dialogues.read_dialogue(0, dialogues.Side(client, (0,), (1,)), dialogues.Side(server, (0,), (2,)))
    dialogues.read_dialogue(0, dialogues.Side(client, (0,), (1,)), dialogues.Side(server, (0,), (2,)), is_dns=True)
