"""STUN and TURN messages: the published vectors of RFC 5769, and every attribute there and back."""

import contextlib
import hashlib
import hmac

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccp_assess.errors import ParseError
from ccp_assess.wire import stun

PASSWORD = b"VOkJxbRl1RmTxUk/WvJxBt"
REQUEST = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff80290008932ff9b1"
    "51263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf"
)
RESPONSE_V4 = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643000800142b91f599"
    "fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96"
)
RESPONSE_V6 = bytes.fromhex(
    "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000140002a1470113a9faa5d3f179bc25f4b5"
    "bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c"
)
LONG_TERM = bytes.fromhex(
    "000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383e382afe382b900000015001c662f2f3439396b39"
    "3534643 64f4c33346f4c394653547679363473410014000b6578616d706c652e6f72670000080014f67024656dd64a3e02b8e0712e85c9a2"
    "8ca89666".replace(" ", "")
)


def test_rfc_5769_request_is_read_and_its_integrity_and_fingerprint_are_right():
    message = stun.parse_message(REQUEST)
    assert (message.method_name, message.message_class) == ("binding", stun.MessageClass.REQUEST)
    assert message.get("SOFTWARE") == "STUN test client"
    assert message.get("PRIORITY") == 0x6E0001FF
    assert message.get("ICE-CONTROLLED") == 0x932FF9B151263B36
    assert message.get("USERNAME") == "evtj:h6vY"
    assert stun.check_integrity(REQUEST, PASSWORD)
    assert stun.check_fingerprint(REQUEST) is True


def test_rfc_5769_responses_map_both_address_families():
    assert stun.parse_message(RESPONSE_V4).get("XOR-MAPPED-ADDRESS") == ("192.0.2.1", 32853)
    v6 = stun.parse_message(RESPONSE_V6).get("XOR-MAPPED-ADDRESS")
    assert v6 == ("2001:db8:1234:5678:11:2233:4455:6677", 32853)
    for data in (RESPONSE_V4, RESPONSE_V6):
        assert stun.check_integrity(data, PASSWORD)
        assert stun.check_fingerprint(data) is True


def test_rfc_5769_long_term_credential_gives_the_right_key():
    message = stun.parse_message(LONG_TERM)
    assert message.get("USERNAME") == "マトリックス"
    assert message.get("NONCE") == b"f//499k954d6OL34oL9FSTvy64sA"
    key = stun.long_term_key("マトリックス", "example.org", "TheMatrIX")
    assert stun.check_integrity(LONG_TERM, key)
    assert not stun.check_integrity(LONG_TERM, key[::-1])
    assert stun.check_fingerprint(LONG_TERM) is None


@pytest.mark.parametrize("data", [REQUEST, RESPONSE_V4, RESPONSE_V6])
def test_rfc_5769_messages_are_written_byte_for_byte(data):
    message = stun.parse_message(data)
    kept = tuple(entry for entry in message.attributes if entry[0] not in {"MESSAGE-INTEGRITY", "FINGERPRINT"})
    plain = stun.Message(
        method=message.method,
        message_class=message.message_class,
        transaction_id=message.transaction_id,
        attributes=kept,
    )
    assert stun.build_message(plain, integrity_key=PASSWORD, fingerprint=True, padding=b" ") == data


def test_integrity_with_sha_256_is_that_of_the_standard_library():
    message = stun.Message(method=1, message_class=stun.MessageClass.REQUEST, transaction_id=bytes(12))
    data = stun.build_message(message, integrity_sha256_key=b"key")
    covered = data[:2] + (36).to_bytes(2, "big") + data[4:20]
    assert data[24:] == hmac.new(b"key", covered, hashlib.sha256).digest()
    assert stun.check_integrity(data, b"key")
    assert not stun.check_integrity(data, b"other")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAPPED-ADDRESS", ("198.51.100.7", 1)),
        ("XOR-PEER-ADDRESS", ("203.0.113.9", 65535)),
        ("XOR-RELAYED-ADDRESS", ("2001:db8::9", 50000)),
        ("ALTERNATE-SERVER", ("2001:db8::1", 3478)),
        ("CHANNEL-NUMBER", 0x4001),
        ("LIFETIME", 600),
        ("REQUESTED-TRANSPORT", 17),
        ("REQUESTED-ADDRESS-FAMILY", 2),
        ("EVEN-PORT", 1),
        ("DONT-FRAGMENT", True),
        ("DATA", b"\x80\x6f12345"),
        ("ERROR-CODE", (437, "Allocation Mismatch")),
        ("UNKNOWN-ATTRIBUTES", (0x7FFF, 1)),
        ("REALM", "example.org"),
        ("NONCE", b"\x00\xff"),
        ("ICE-CONTROLLING", 2**64 - 1),
        ("USE-CANDIDATE", True),
        ("RESERVATION-TOKEN", b"12345678"),
        ("CONNECTION-ID", 7),
        ("0xbeef", b"unknown kept"),
    ],
)
def test_every_kind_of_attribute_survives_writing_and_reading(name, value):
    message = stun.Message(
        method=stun.Method.ALLOCATE,
        message_class=stun.MessageClass.ERROR,
        transaction_id=bytes(range(12)),
        attributes=((name, value),),
    )
    assert stun.parse_message(stun.build_message(message)) == message


def test_goog_ping_has_its_own_types():
    assert stun.message_type(stun.Method.GOOG_PING, stun.MessageClass.REQUEST) == 0x0200
    assert stun.message_type(stun.Method.GOOG_PING, stun.MessageClass.SUCCESS) == 0x0300
    assert stun.split_type(0x0300) == (stun.Method.GOOG_PING, stun.MessageClass.SUCCESS)


@given(st.integers(0, 0xFFF), st.integers(0, 3))
def test_method_and_class_survive_the_type_field(method, message_class):
    assert stun.split_type(stun.message_type(method, message_class)) == (method, message_class)


def test_a_message_cut_by_the_capture_keeps_its_whole_attributes():
    message = stun.parse_message(REQUEST[:50], length=len(REQUEST))
    assert message.cut
    assert message.get("SOFTWARE") == "STUN test client"
    assert message.get("USERNAME") is None
    with pytest.raises(ParseError, match="exceeds"):
        stun.parse_message(REQUEST[:50])


def test_a_message_without_cookie_is_classic_only_where_asked_for():
    classic = bytes.fromhex("00010008") + bytes(range(16)) + bytes.fromhex("0003000400000006")
    with pytest.raises(ParseError, match="cookie"):
        stun.parse_message(classic)
    message = stun.parse_message(classic, allow_classic=True)
    assert message.classic
    assert message.get("CHANGE-REQUEST") == 6


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "shorter than its header"),
        (b"\x80" + REQUEST[1:], "first two bits"),
        (REQUEST[:2] + b"\x00\x57" + REQUEST[4:], "multiple of 4"),
        (REQUEST[:22] + b"\xff\xff" + REQUEST[24:], "reaches beyond"),
        (RESPONSE_V4[:41] + b"\x09" + RESPONSE_V4[42:], "address"),
    ],
)
def test_damage_is_named(data, why):
    with pytest.raises(ParseError, match=why):
        stun.parse_message(data)


@pytest.mark.parametrize("pad", [False, True])
def test_channel_data_survives_with_and_without_padding(pad):
    data = stun.build_channel_data(0x4001, b"hello", pad=pad)
    assert len(data) == (12 if pad else 9)
    assert stun.parse_channel_data(data) == (0x4001, b"hello", 5)


@pytest.mark.parametrize("data", [b"\x40\x00\x00", b"\x3f\xff\x00\x00", b"\x80\x00\x00\x00", b"\x40\x00\x00\x09abc"])
def test_what_is_no_channel_data_is_refused(data):
    with pytest.raises(ParseError):
        stun.parse_channel_data(data)


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_any_bytes_give_a_message_or_our_error(data):
    for parse in (stun.parse_message, stun.parse_channel_data):
        with contextlib.suppress(ParseError):
            parse(data)
    stun.looks_like_stun(data)
    stun.check_integrity(data, b"key")
    stun.check_fingerprint(data)


@given(st.binary(max_size=120), st.integers(20, 120))
@settings(deadline=None)
def test_any_body_under_a_true_header_gives_a_message_or_our_error(body, length):
    data = b"\x01\x13" + (len(body) & 0xFFFC).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + bytes(12) + body
    try:
        message = stun.parse_message(data[:length], length=len(data))
    except ParseError:
        return
    assert message.method == stun.Method.ALLOCATE


def test_an_integrity_attribute_of_a_length_that_none_has_is_wrong():
    """Found by fuzzing: a declared length of 65,535 once overflowed the length of the message."""
    head = bytes.fromhex("00010000") + bytes.fromhex("2112a442") + bytes(12)
    for size in (0, 15, 33, 0xFFFF):
        data = head + (0x001C).to_bytes(2, "big") + size.to_bytes(2, "big") + bytes(40)
        assert not stun.check_integrity(data, b"key")
    long = head + b"\x00\x06\xff\xfc" + bytes(0xFFFC) + b"\x00\x08\x00\x14" + bytes(20)
    assert not stun.check_integrity(long, b"key")
