"""DTLS records of all versions, fragments out of order, connection ids."""

import struct

import pytest
from builders import client_hello
from hypothesis import given, settings
from hypothesis import strategies as st

from ccp_assess.errors import ParseError
from ccp_assess.wire import dtls


def record(fragment: bytes, content_type: int = 22, epoch: int = 0, sequence: int = 0, version: int = 0xFEFD) -> bytes:
    head = struct.pack("!BHH", content_type, version, epoch) + sequence.to_bytes(6, "big")
    return head + len(fragment).to_bytes(2, "big") + fragment


def fragment(body: bytes, offset: int, size: int, kind: int = 1, number: int = 0) -> bytes:
    head = bytes([kind]) + len(body).to_bytes(3, "big") + number.to_bytes(2, "big")
    return head + offset.to_bytes(3, "big") + size.to_bytes(3, "big") + body[offset : offset + size]


def hello_body() -> bytes:
    plain = client_hello("dtls.example.com", version=0xFEFD)[4:]
    session_end = 2 + 32 + 1
    return plain[:session_end] + b"\x00" + plain[session_end:]  # an empty cookie


def test_a_datagram_of_several_records_is_split():
    records = dtls.parse_records(record(b"\x01", 20) + record(b"finished", 22, epoch=1))
    assert [(r.content_type, r.epoch, r.is_clear) for r in records] == [(20, 0, True), (22, 1, False)]


def test_unified_headers_of_dtls_1_3_are_read():
    records = dtls.parse_records(b"\x2e\x00\x07\x00\x04abcd" + b"\x2f\x00\x08\x00\x02xy" + b"\x23\x09rest")
    assert [(r.epoch, r.sequence, r.fragment) for r in records] == [(2, 7, b"abcd"), (3, 8, b"xy"), (3, 9, b"rest")]
    assert all(r.is_unified for r in records)


def test_a_unified_header_with_connection_id_is_kept_whole():
    assert dtls.parse_records(b"\x3e" + bytes(20))[0].length == 20


def test_a_connection_id_of_unknown_length_is_found_by_the_end_of_the_datagram():
    data = struct.pack("!BHH", 25, 0xFEFD, 1) + bytes(6) + b"\xaa\xbb\xcc" + (16).to_bytes(2, "big") + bytes(range(16))
    assert dtls.parse_records(data)[0].fragment == bytes(range(16))


def test_fragments_in_any_order_with_overlap_and_repetition_make_one_hello():
    body = hello_body()
    pieces = [fragment(body, 30, len(body) - 30), fragment(body, 0, 20), fragment(body, 15, 20), fragment(body, 0, 20)]
    found = [f for piece in pieces for f in dtls.parse_fragments(dtls.parse_records(record(piece))[0])]
    hello = dtls.read_hello(found).client_hello
    assert hello is not None
    assert hello.server_name == "dtls.example.com"
    assert hello.versions == ("DTLSv1.2",)
    assert dtls.read_hello(found[:1]).client_hello is None


def test_encrypted_records_show_no_fragments():
    assert dtls.parse_fragments(dtls.parse_records(record(fragment(b"abc", 0, 3), epoch=1))[0]) == []


def test_a_record_cut_by_the_capture_keeps_its_beginning():
    data = record(b"x" * 200)
    records = dtls.parse_records(data[:60], length=len(data))
    assert (records[0].length, len(records[0].fragment)) == (200, 47)
    with pytest.raises(ParseError, match="beyond"):
        dtls.parse_records(data[:60])


@pytest.mark.parametrize("data", [b"", b"\x16\xfe\xfd", b"\x16\x03\x03" + bytes(20), b"\x80" * 20, b"\x1f" + bytes(20)])
def test_what_is_no_dtls_is_refused(data):
    assert not dtls.looks_like_dtls(data)
    with pytest.raises(ParseError):
        dtls.parse_records(data)


@given(st.binary(max_size=200), st.sampled_from([b"", b"\x16\xfe\xfd\x00\x00", b"\x19\xfe\xfd", b"\x2c", b"\x3f"]))
@settings(deadline=None)
def test_any_bytes_give_records_or_our_error(tail, head):
    data = head + tail
    dtls.looks_like_dtls(data)
    try:
        records = dtls.parse_records(data)
    except ParseError:
        return
    dtls.read_hello([f for r in records for f in dtls.parse_fragments(r)])


@given(st.binary(min_size=1, max_size=120))
@settings(deadline=None)
def test_any_handshake_bytes_give_fragments(body):
    fragments = dtls.parse_fragments(dtls.parse_records(record(body))[0])
    dtls.read_hello(fragments)
