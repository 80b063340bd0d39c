"""DNS messages: answers, compression that lies, and what is written."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccp_assess.errors import ParseError
from ccp_assess.wire import dns

QUESTION = b"\x03www\x07Example\x03com\x00\x00\x01\x00\x01"


def message(questions: bytes, answers: bytes = b"", counts=(1, 0), flags=0x8180) -> bytes:
    return struct.pack("!6H", 7, flags, counts[0], counts[1], 0, 0) + questions + answers


def test_an_answer_with_alias_and_addresses_is_read():
    alias = b"\xc0\x0c" + struct.pack("!HHIH", 5, 1, 60, 6) + b"\x03elb\xc0\x10"
    v4 = b"\xc0\x2d" + struct.pack("!HHIH", 1, 1, 60, 4) + bytes([192, 0, 2, 9])
    v6 = b"\xc0\x2d" + struct.pack("!HHIH", 28, 1, 60, 16) + bytes(15) + b"\x01"
    parsed = dns.parse_message(message(QUESTION, alias + v4 + v6, (1, 3)))
    assert parsed.questions == (dns.Question("www.example.com", "A"),)
    assert [record.text for record in parsed.answers] == ["elb.example.com", "192.0.2.9", "::1"]
    assert parsed.answers[1].name == "elb.example.com"
    assert parsed.addresses == ("192.0.2.9", "::1")
    assert (parsed.rcode, parsed.is_response, parsed.cut) == ("NOERROR", True, False)


@pytest.mark.parametrize(
    "name",
    [b"\xc0\x0c", b"\x01a\xc0\x0c", b"\xc0\x0e\xc0\x0c", b"\xff\xff", b"\x40a", b"\x3fabc", b"\xc0"],
)
def test_pointers_that_loop_or_lie_are_refused(name):
    with pytest.raises(ParseError):
        dns.parse_message(message(name + b"\x00\x01\x00\x01"))


def test_a_name_longer_than_255_bytes_is_refused():
    with pytest.raises(ParseError, match="longer than 255"):
        dns.parse_message(message((b"\x3f" + b"a" * 63) * 5 + b"\x00\x00\x01\x00\x01"))


def test_labels_that_are_no_text_are_written_as_escapes():
    parsed = dns.parse_message(message(b"\x04a.\x1b\xff\x00\x00\x01\x00\x01"))
    assert parsed.questions[0].name == "a\\046\\027\\255"


def test_what_was_whole_before_the_damage_is_kept():
    v4 = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + bytes([192, 0, 2, 9])
    parsed = dns.parse_message(message(QUESTION, v4 + v4[:8], (1, 2)))
    assert parsed.addresses == ("192.0.2.9",)
    assert parsed.cut


def test_counts_that_lie_cost_no_time():
    parsed = dns.parse_message(message(QUESTION, b"", (1, 65535)))
    assert parsed.cut
    with pytest.raises(ParseError, match="announces"):
        dns.parse_message(message(QUESTION, b"", (65535, 0)))


def test_a_question_that_is_written_is_read_back():
    parsed = dns.parse_message(dns.build_query("TurnNlb-1.elb.eu-west-2.amazonaws.com.", "AAAA", 4711))
    assert parsed.questions == (dns.Question("turnnlb-1.elb.eu-west-2.amazonaws.com", "AAAA"),)
    assert (parsed.message_id, parsed.is_response) == (4711, False)


@pytest.mark.parametrize("name", ["a..b", "x" * 64 + ".com", ".".join(["abcdefgh"] * 40), "münchen.de"])
def test_what_is_no_name_cannot_be_asked(name):
    with pytest.raises(ParseError):
        dns.build_query(name)


def test_messages_over_tcp_are_split_by_their_lengths():
    query = dns.build_query("example.com")
    framed = len(query).to_bytes(2, "big") + query
    assert dns.parse_tcp_messages(framed * 2 + framed[:-1]) == [query, query]
    assert dns.parse_tcp_messages(b"\x00\x01a") == []


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_any_bytes_give_a_message_or_our_error(data):
    dns.parse_tcp_messages(data)
    for candidate in (data, message(data), message(QUESTION, data, (1, 3))):
        try:
            parsed = dns.parse_message(candidate)
        except ParseError:
            continue
        assert all(record.name.isascii() for record in parsed.answers)


def test_the_same_question_keeps_its_own_identifier():
    first, second = (dns.parse_message(dns.build_query("a.example", "A", number)) for number in (7, 0xFFFE))
    assert (first.message_id, second.message_id) == (7, 0xFFFE)
    assert first.questions == second.questions
