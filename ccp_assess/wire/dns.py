r"""DNS messages: questions, answers and the bytes of a question (RFC 1035, 3596, 6891, 9460).

Names on the wire are hostile: compression pointers may loop, labels may hold any byte. Pointers must go backwards and
are counted; bytes that are not printable ASCII are written as ``\\DDD`` (RFC 4343).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address
from typing import NamedTuple

from ccp_assess.errors import ParseError

HEADER_BYTES = 12
MAX_NAME_BYTES = 255
_OFTEN_BYTES = 512
"""Messages up to this size are remembered for a while: what a flood of them can take stays small."""
MAX_RECORDS = 512
"""More records than this fit no honest answer; the rest of such a message is not read."""

TYPE_NAMES = {
    1: "A",
    2: "NS",
    5: "CNAME",
    6: "SOA",
    12: "PTR",
    15: "MX",
    16: "TXT",
    28: "AAAA",
    33: "SRV",
    35: "NAPTR",
    39: "DNAME",
    41: "OPT",
    43: "DS",
    46: "RRSIG",
    47: "NSEC",
    48: "DNSKEY",
    64: "SVCB",
    65: "HTTPS",
    255: "ANY",
    257: "CAA",
}
TYPE_NUMBERS = {name: number for number, name in TYPE_NAMES.items()}

RCODE_NAMES = {
    0: "NOERROR",
    1: "FORMERR",
    2: "SERVFAIL",
    3: "NXDOMAIN",
    4: "NOTIMP",
    5: "REFUSED",
    6: "YXDOMAIN",
    7: "YXRRSET",
    8: "NXRRSET",
    9: "NOTAUTH",
    10: "NOTZONE",
}


class Question(NamedTuple):
    """What was asked.

    Parameters
    ----------
    name
        Lower case, without the final dot; ``.`` for the root.
    type
        Such as ``A``; ``TYPE123`` for an unknown one.
    """

    name: str
    type: str


class Record(NamedTuple):
    """One resource record.

    Parameters
    ----------
    name
        Owner, lower case.
    type
        Such as ``AAAA``.
    ttl_s
        Time to live [s].
    text
        The address or name that it gives; hexadecimal for types that are not read further.
    """

    name: str
    type: str
    ttl_s: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One DNS message.

    Parameters
    ----------
    message_id
        Joins question and answer.
    is_response
        The QR bit.
    opcode
        0 for a standard query.
    rcode
        Such as ``NXDOMAIN``.
    truncated
        The TC bit: the asker should repeat over TCP.
    questions, answers
        As far as they could be read.
    cut
        Whether the bytes ended (or lied) before all announced records were read.
    """

    message_id: int
    is_response: bool
    opcode: int
    rcode: str
    truncated: bool
    questions: tuple[Question, ...]
    answers: tuple[Record, ...]
    cut: bool = False

    @property
    def addresses(self) -> tuple[str, ...]:
        """Addresses among the answers, in order."""
        return tuple(record.text for record in self.answers if record.type in {"A", "AAAA"})


def _read_name(data: bytes, position: int) -> tuple[str, int]:
    labels: list[str] = []
    size = 0
    after: int | None = None
    lowest = position
    while True:
        if position >= len(data):
            raise ParseError(f"DNS name at byte {lowest} reaches beyond the message")
        length = data[position]
        if length == 0:
            return ".".join(labels) or ".", position + 1 if after is None else after
        if length & 0xC0 == 0xC0:
            if position + 1 >= len(data):
                raise ParseError(f"DNS compression pointer at byte {position} is cut")
            target = (length & 0x3F) << 8 | data[position + 1]
            # Each pointer must go before every place read so far: a loop is impossible, and the work is bounded.
            if target >= lowest:
                raise ParseError(f"DNS compression pointer at byte {position} does not point backwards")
            after = position + 2 if after is None else after
            position = lowest = target
            continue
        if length & 0xC0:
            raise ParseError(f"DNS label type 0x{length & 0xC0:02x} at byte {position} is unknown")
        label = data[position + 1 : position + 1 + length]
        size += length + 1
        if len(label) < length:
            raise ParseError(f"DNS label at byte {position} reaches beyond the message")
        if size >= MAX_NAME_BYTES:
            raise ParseError(f"DNS name at byte {lowest} is longer than {MAX_NAME_BYTES} bytes")
        labels.append(_label_text(label))
        position += 1 + length


_ESCAPES = {byte: f"\\{byte:03d}" for byte in range(256) if not 0x21 <= byte <= 0x7E or byte in b".\\"}


def _label_text(label: bytes) -> str:
    return label.lower().decode("latin-1").translate(_ESCAPES)


def parse_message(data: bytes) -> Message:
    """Read one DNS message as it travels in a UDP datagram.

    Parameters
    ----------
    data
        The message; over TCP without the two bytes of length before it.

    Returns
    -------
    message
        Questions and answers; a message cut by the capture keeps what was whole.

    Raises
    ------
    ParseError
        If the header is cut, the counts cannot be true, or the first question cannot be read.
    """
    if len(data) < HEADER_BYTES:
        raise ParseError(f"DNS message of {len(data)} bytes is shorter than its header of {HEADER_BYTES}")
    body = _often_read if len(data) <= _OFTEN_BYTES else _read_message
    is_response, opcode, rcode, truncated, questions, answers, cut = body(b"\0\0" + data[2:])
    return Message(
        message_id=data[0] << 8 | data[1],
        is_response=is_response,
        opcode=opcode,
        rcode=rcode,
        truncated=truncated,
        questions=questions,
        answers=answers,
        cut=cut,
    )


def _read_message(
    data: bytes,
) -> tuple[bool, int, str, bool, tuple[Question, ...], tuple[Record, ...], bool]:
    """Read everything but the identifier: workstations ask the same few names again and again."""
    _, flags, n_questions, n_answers, _, _ = struct.unpack_from("!6H", data)
    opcode = flags >> 11 & 15
    if opcode not in {0, 1, 2, 4, 5, 6} or flags & 0x40:
        raise ParseError(f"flags 0x{flags:04x} are no DNS message")
    if n_questions > 8:
        raise ParseError(f"DNS message announces {n_questions} questions")
    questions: list[Question] = []
    answers: list[Record] = []
    position = HEADER_BYTES
    for _ in range(n_questions):
        name, position = _read_name(data, position)
        if position + 4 > len(data):
            raise ParseError("DNS question is cut")
        number = int.from_bytes(data[position : position + 2], "big")
        questions.append(Question(name, TYPE_NAMES.get(number, f"TYPE{number}")))
        position += 4
    cut = n_answers > MAX_RECORDS
    try:
        for _ in range(min(n_answers, MAX_RECORDS)):
            record, position = _read_record(data, position)
            answers.append(record)
    except ParseError:  # what came before the damage is still an answer
        cut = True
    rcode = RCODE_NAMES.get(flags & 15, f"RCODE{flags & 15}")
    return bool(flags & 0x8000), opcode, rcode, bool(flags & 0x0200), tuple(questions), tuple(answers), cut


_often_read = lru_cache(maxsize=2_048)(_read_message)


def _read_record(data: bytes, position: int) -> tuple[Record, int]:
    name, position = _read_name(data, position)
    if position + 10 > len(data):
        raise ParseError(f"DNS record at byte {position} is cut")
    number, _, ttl_s, size = struct.unpack_from("!HHIH", data, position)
    position += 10
    end = position + size
    if end > len(data):
        raise ParseError(f"DNS record at byte {position} reaches beyond the message")
    text = _record_text(data, position, end, number)
    return Record(name, TYPE_NAMES.get(number, f"TYPE{number}"), ttl_s, text), end


def _record_text(data: bytes, position: int, end: int, number: int) -> str:
    size = end - position
    if number == 1 and size == 4:
        return f"{data[position]}.{data[position + 1]}.{data[position + 2]}.{data[position + 3]}"
    if number == 28 and size == 16:
        return str(IPv6Address(bytes(data[position:end])))
    if number in {2, 5, 12, 39}:
        return _read_name(data, position)[0]
    if number == 33 and size > 6:
        priority, weight, port = struct.unpack_from("!3H", data, position)
        return f"{priority} {weight} {port} {_read_name(data, position + 6)[0]}"
    if number == 15 and size > 2:
        return f"{int.from_bytes(data[position : position + 2], 'big')} {_read_name(data, position + 2)[0]}"
    return bytes(data[position:end]).hex()


def parse_tcp_messages(stream: bytes) -> list[bytes]:
    """Split what one side sent over TCP into whole messages (RFC 1035, section 4.2.2).

    Parameters
    ----------
    stream
        Bytes from the start of the connection.

    Returns
    -------
    messages
        Whole messages only.
    """
    messages: list[bytes] = []
    position = 0
    while position + 2 <= len(stream):
        size = int.from_bytes(stream[position : position + 2], "big")
        if size < HEADER_BYTES or position + 2 + size > len(stream):
            break
        messages.append(bytes(stream[position + 2 : position + 2 + size]))
        position += 2 + size
    return messages


def build_query(name: str, record_type: str = "A", message_id: int = 0) -> bytes:
    """Write a standard question with recursion desired.

    Parameters
    ----------
    name
        Host name in ASCII, with or without the final dot.
    record_type
        Such as ``AAAA``.
    message_id
        0 to 65535; choose it at random for a real question.

    Returns
    -------
    data
        The message for one UDP datagram.

    Raises
    ------
    ParseError
        If the name cannot be a DNS name or the type is unknown.
    """
    if record_type not in TYPE_NUMBERS:
        raise ParseError(f"DNS record type {record_type!r} is unknown")
    try:
        labels = [label.encode("ascii") for label in name.rstrip(".").split(".")] if name.strip(".") else []
    except UnicodeEncodeError as error:
        raise ParseError(f"{name!r} is no ASCII host name; write it in its xn-- form") from error
    if any(not 0 < len(label) < 64 for label in labels) or sum(map(len, labels)) + len(labels) > 254:
        raise ParseError(f"{name!r} is no DNS name: labels have 1 to 63 bytes, a name at most 255")
    encoded = b"".join(bytes([len(label)]) + label for label in labels) + b"\x00"
    return (
        struct.pack("!6H", message_id, 0x0100, 1, 0, 0, 0) + encoded + struct.pack("!HH", TYPE_NUMBERS[record_type], 1)
    )
