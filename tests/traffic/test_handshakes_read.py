"""DTLS handshakes on relayed paths, and channels that change their peer."""

import struct

import pytest
from builders import client_hello, make_datagram, seconds

from ccp_assess.traffic.handshakes import read_handshakes
from ccp_assess.traffic.relaypaths import PathKey, RelayPaths
from ccp_assess.wire import stun

PEER = "203.0.113.5:4000"


def record(fragment: bytes, content_type: int = 22, epoch: int = 0, sequence: int = 0) -> bytes:
    head = struct.pack("!BHH", content_type, 0xFEFD, epoch) + sequence.to_bytes(6, "big")
    return head + len(fragment).to_bytes(2, "big") + fragment


def message(kind: int, body: bytes, number: int = 0) -> bytes:
    size = len(body).to_bytes(3, "big")
    return bytes([kind]) + size + number.to_bytes(2, "big") + bytes(3) + size + body


def hello(number: int = 0) -> bytes:
    plain = client_hello(None, version=0xFEFD)[4:]
    return record(message(1, plain[:35] + b"\x00" + plain[35:], number))


def server_hello(version: bytes = b"") -> bytes:
    extensions = b"\x00\x2b\x00\x02" + version if version else b""
    body = b"\xfe\xfd" + bytes(32) + b"\x00" + b"\xc0\x2f" + b"\x00"
    return record(message(2, body + (len(extensions).to_bytes(2, "big") + extensions if extensions else b"")))


def unified(epoch: int, size: int = 40) -> bytes:
    return bytes([0x2C | epoch]) + b"\x00\x01" + size.to_bytes(2, "big") + bytes(size)


def bind(time: float, channel: int, peer: tuple[str, int]):
    data = stun.build_message(
        stun.Message(
            method=stun.Method.CHANNEL_BIND,
            message_class=stun.MessageClass.REQUEST,
            transaction_id=bytes(12),
            attributes=(("CHANNEL-NUMBER", channel), ("XOR-PEER-ADDRESS", peer)),
        )
    )
    return make_datagram(time, data)


def read(*datagrams):
    return read_handshakes(datagrams, RelayPaths(datagrams))


def test_dtls_1_2_is_finished_when_both_sides_have_sent_theirs():
    found = read(
        make_datagram(1.0, hello()),
        make_datagram(1.1, server_hello(), outbound_of_key=False),
        make_datagram(1.2, record(b"\x01", 20) + record(bytes(40), 22, epoch=1)),
        make_datagram(1.3, record(b"\x01", 20) + record(bytes(40), 22, epoch=1), outbound_of_key=False),
    )
    assert len(found) == 1
    assert (found[0].version, found[0].client_outbound_of_key) == ("DTLSv1.2", True)
    assert (found[0].started_ns, found[0].completed_ns) == (seconds(1.0), seconds(1.3))


def test_dtls_1_3_is_finished_with_the_clients_last_message():
    found = read(
        make_datagram(1.0, hello()),
        make_datagram(1.1, server_hello(b"\xfe\xfc") + unified(2, 300), outbound_of_key=False),
        make_datagram(1.2, unified(2, 60)),
        make_datagram(1.3, unified(3, 20), outbound_of_key=False),
        make_datagram(40.0, unified(3, 19)),
    )
    assert (found[0].version, found[0].completed_ns) == ("DTLSv1.3", seconds(1.2))
    assert found[0].close_ns == seconds(40.0)


def test_a_hello_sent_again_is_a_retransmission_and_no_second_handshake():
    found = read(*(make_datagram(t, hello()) for t in (1.0, 2.0, 4.0)))
    assert len(found) == 1
    assert (found[0].retransmissions, found[0].completed_ns, found[0].server_answered) == (2, None, False)


def test_a_new_hello_after_a_finished_handshake_is_a_new_one():
    first = (
        make_datagram(1.0, hello()),
        make_datagram(1.1, server_hello(b"\xfe\xfc") + unified(2), outbound_of_key=False),
        make_datagram(1.2, unified(2)),
    )
    assert len(read(*first, make_datagram(30.0, hello()))) == 2


def test_a_handshake_that_moves_from_indications_to_a_channel_is_one():
    found = read(
        make_datagram(1.0, hello(), peer=PEER),
        bind(1.05, 0x4000, ("203.0.113.5", 4000)),
        make_datagram(1.1, server_hello(b"\xfe\xfc") + unified(2), channel=0x4000, outbound_of_key=False),
        make_datagram(1.2, unified(2), channel=0x4000),
    )
    assert len(found) == 1
    assert found[0].path == PathKey(0, PEER)
    assert found[0].completed_ns == seconds(1.2)


def test_unified_headers_without_a_beginning_are_no_handshake():
    assert read(make_datagram(1.0, unified(2)), make_datagram(1.1, b"\x20" * 50)) == []


@pytest.mark.parametrize(
    ("time", "peer"), [(0.5, "203.0.113.5:4000"), (50, "203.0.113.5:4000"), (200, "[2001:db8::7]:9")]
)
def test_a_channel_bound_anew_belongs_to_its_new_peer(time, peer):
    paths = RelayPaths([bind(1, 0x4000, ("203.0.113.5", 4000)), bind(100, 0x4000, ("2001:db8::7", 9))])
    assert paths.key(0, 0x4000, None, seconds(time)) == PathKey(0, peer)


def test_a_channel_whose_binding_was_not_captured_keeps_its_number():
    assert RelayPaths([]).key(3, 0x4001, None, 0) == PathKey(3, "channel 0x4001")
    assert RelayPaths([]).key(3, 0, None, 0) == PathKey(3, "")
