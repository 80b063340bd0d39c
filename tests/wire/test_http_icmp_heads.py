"""HTTP heads, SOCKS requests and ICMP errors."""

import contextlib
import socket
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccp_assess.errors import ParseError
from ccp_assess.wire import http, icmp


def test_connect_names_the_host_behind_the_proxy():
    head = http.parse_head(b"CONNECT My.Connect.AWS:443 HTTP/1.1\r\nHost: x\r\nUser-Agent: a b\r\n\r\n\x16\x03\x01")
    assert head.connect_target == ("my.connect.aws", 443)
    assert head.get("user-agent") == "a b"
    assert head.size == 65


@pytest.mark.parametrize("target", ["nohost", "a:99999", "a:b", "[::1]:443"])
def test_a_connect_target_is_host_and_port_or_nothing(target):
    head = http.parse_head(f"CONNECT {target} HTTP/1.1\r\n\r\n".encode())
    assert head.connect_target == (("::1", 443) if target.startswith("[") else None)


def test_an_upgrade_to_websocket_is_seen_on_both_sides():
    request = http.parse_head(b"GET /x HTTP/1.1\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\n\r\n")
    response = http.parse_head(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n")
    assert request.is_websocket
    assert (response.status, response.is_websocket) == (101, True)


@pytest.mark.parametrize(
    "data", [b"", b"GET /", b"GET / HTTP/1.1\r\nHost: x", b"HTTP/1.1 OK\r\n\r\n", b"GET / FTP\r\n\r\n", b"\x16\x03\x01"]
)
def test_what_is_no_head_is_refused(data):
    with pytest.raises(ParseError):
        http.parse_head(data)


def test_socks_5_and_4a_give_the_name():
    five = b"\x05\x01\x00" + b"\x05\x01\x00\x03\x0bExample.com\x01\xbb"
    assert http.parse_socks(five) == http.SocksConnect(version=5, host="example.com", port=443, size=len(five))
    with_password = b"\x05\x01\x02" + b"\x01\x04user\x06secret" + b"\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x50"
    assert http.parse_socks(with_password).host == "192.0.2.1"
    four = b"\x04\x01\x01\xbb\x00\x00\x00\x01me\x00Example.org\x00"
    assert http.parse_socks(four) == http.SocksConnect(version=4, host="example.org", port=443, size=len(four))


def ipv4(payload: bytes, protocol: int = 17) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0)
    return head + socket.inet_aton("10.0.0.5") + socket.inet_aton("192.0.2.7") + payload


def test_an_icmp_error_names_the_flow_it_quotes():
    udp = struct.pack("!HHHH", 50000, 3478, 108, 0) + b"\x80\x6f" + bytes(20)
    message = icmp.parse_message(b"\x03\x03" + bytes(6) + ipv4(udp), version=4)
    assert (message.kind, message.is_error) == ("port_unreachable", True)
    assert message.quoted is not None
    assert (message.quoted.src, message.quoted.src_port) == ("10.0.0.5", 50000)
    assert (message.quoted.dst, message.quoted.dst_port, message.quoted.transport) == ("192.0.2.7", 3478, "udp")
    assert message.quoted.payload[:2] == b"\x80\x6f"


@pytest.mark.parametrize(
    ("number", "code", "version", "kind"),
    [
        (3, 13, 4, "prohibited"),
        (3, 4, 4, "packet_too_big"),
        (11, 0, 4, "ttl_exceeded"),
        (1, 1, 6, "prohibited"),
        (1, 4, 6, "port_unreachable"),
        (2, 0, 6, "packet_too_big"),
        (3, 1, 6, "reassembly_exceeded"),
        (134, 0, 6, "other"),
        (8, 0, 4, "echo_request"),
    ],
)
def test_kinds_follow_the_registries(number, code, version, kind):
    assert icmp.parse_message(bytes([number, code]) + bytes(6), version=version).kind == kind


def test_icmpv6_looks_behind_extension_headers():
    addresses = socket.inet_pton(socket.AF_INET6, "2001:db8::1") + socket.inet_pton(socket.AF_INET6, "2001:db8::2")
    options = b"\x11\x00" + bytes(6)
    quoted = b"\x60" + bytes(5) + b"\x00\x40" + addresses + options + struct.pack("!HHHH", 5, 6, 8, 0)
    parsed = icmp.parse_message(b"\x01\x04" + bytes(6) + quoted, version=6).quoted
    assert parsed is not None
    assert (parsed.dst, parsed.src_port, parsed.dst_port) == ("2001:db8::2", 5, 6)


def test_a_later_fragment_has_no_ports():
    quoted = bytearray(ipv4(b"\xff" * 16))
    quoted[7] = 9
    parsed = icmp.parse_message(b"\x03\x01" + bytes(6) + bytes(quoted), version=4).quoted
    assert parsed is not None
    assert parsed.src_port is None


def test_the_mtu_of_packet_too_big_is_told():
    assert icmp.parse_message(b"\x03\x04\x00\x00\x00\x00\x05\x14" + ipv4(b""), version=4).mtu == 1300
    assert icmp.parse_message(b"\x02\x00\x00\x00\x00\x01\x00\x00", version=6).mtu == 65536


@given(st.binary(max_size=200), st.sampled_from([4, 6]))
@settings(deadline=None)
def test_any_bytes_give_an_icmp_message_or_our_error(data, version):
    for candidate in (data, b"\x03\x03" + bytes(6) + data, b"\x01\x04" + bytes(6) + data):
        with contextlib.suppress(ParseError):
            icmp.parse_message(candidate, version=version)


@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"CONNECT ", b"HTTP/1.1 ", b"\x05\x01\x00\x05", b"\x04\x01", b"GET / "]),
)
@settings(deadline=None)
def test_any_bytes_give_a_head_or_our_error(tail, head):
    for parse in (http.parse_head, http.parse_socks):
        with contextlib.suppress(ParseError):
            parse(head + tail)
