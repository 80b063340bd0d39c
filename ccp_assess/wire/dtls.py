"""DTLS 1.0 to 1.3 records and the handshake in clear (RFC 6347, 9146, 9147).

A datagram holds one or several records. DTLS 1.3 writes encrypted records with the short *unified header* (first byte
``001CSLEE``); where it carries a connection id, the id's length is known only to the two ends, so the rest of such a
datagram is kept as one record.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

from ccp_assess.errors import ParseError
from ccp_assess.wire import tls

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA, HEARTBEAT, CID_RECORD, ACK = 20, 21, 22, 23, 24, 25, 26
RECORD_HEADER_BYTES = 13
MAX_RECORD_BYTES = (1 << 14) + 2048
HELLO_REQUEST, CLIENT_HELLO, SERVER_HELLO, HELLO_VERIFY_REQUEST, CERTIFICATE = 0, 1, 2, 3, 11

_VERSIONS = frozenset({0xFEFF, 0xFEFD, 0xFEFC, 0x0100})
_MAX_CID_BYTES = 20
_FRAGMENT_HEAD = struct.Struct(">QI")


class Record(NamedTuple):
    """One DTLS record.

    Parameters
    ----------
    content_type
        20 to 26; ``None`` under a unified header, which hides it.
    version
        As the record says; ``None`` under a unified header.
    epoch
        0 is in clear; of a unified header only the two lowest bits are known.
    sequence
        Record number, or its visible low bits.
    fragment
        Its bytes as far as they are there.
    length
        Its announced length, or what is left of the datagram.
    """

    content_type: int | None
    version: int | None
    epoch: int
    sequence: int
    fragment: bytes
    length: int

    @property
    def is_unified(self) -> bool:
        """Whether it has the unified header of DTLS 1.3."""
        return self.content_type is None

    @property
    def is_clear(self) -> bool:
        """Whether its fragment is not encrypted."""
        return self.content_type is not None and self.epoch == 0 and self.content_type != CID_RECORD


class Fragment(NamedTuple):
    """One fragment of a handshake message.

    Parameters
    ----------
    kind
        Handshake message type.
    message_sequence
        Number of the message: a repeated one is a retransmission.
    total
        Length of the whole message [bytes].
    offset
        Where this fragment begins in it [bytes].
    data
        The fragment.
    """

    kind: int
    message_sequence: int
    total: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """Everything a set of handshake fragments of one side shows in clear.

    Parameters
    ----------
    client_hello, server_hello
        Whichever this side sent.
    certificates
        DER certificates; empty under DTLS 1.3.
    """

    client_hello: tls.ClientHello | None = None
    server_hello: tls.ServerHello | None = None
    certificates: tuple[bytes, ...] = ()


def looks_like_dtls(data: bytes, length: int | None = None) -> bool:
    """Tell DTLS by its first bytes (RFC 7983: 20 to 63; RFC 9147: 32 to 63 is the unified header).

    Parameters
    ----------
    data
        Beginning of a datagram.
    length
        Its length on the wire, where the capture cut it.

    Returns
    -------
    is_dtls
        For a unified header this is weak evidence: other UDP also begins so.
    """
    if not data or not 20 <= data[0] <= 63:
        return False
    if data[0] & 0xE0 == 0x20:
        return len(data) >= 2
    total = len(data) if length is None else length
    return (
        len(data) >= RECORD_HEADER_BYTES
        and data[0] <= ACK
        and int.from_bytes(data[1:3], "big") in _VERSIONS
        and (data[0] == CID_RECORD or int.from_bytes(data[11:13], "big") + RECORD_HEADER_BYTES <= total)
    )


def parse_records(data: bytes, *, length: int | None = None) -> list[Record]:
    """Split one datagram into records.

    Parameters
    ----------
    data
        The datagram.
    length
        Its length on the wire, if the capture cut it.

    Returns
    -------
    records
        In order; a last one that the capture cut keeps its beginning.

    Raises
    ------
    ParseError
        If the datagram does not begin with a DTLS record.
    """
    total = max(len(data), length or 0)
    records: list[Record] = []
    position = 0
    while position < len(data):
        try:
            record, position = _parse_record(data, position, total)
        except ParseError:
            if not records:
                raise
            break
        records.append(record)
    if not records:
        raise ParseError("an empty datagram is no DTLS")
    return records


def _parse_record(data: bytes, position: int, total: int) -> tuple[Record, int]:
    first = data[position]
    if first & 0xE0 == 0x20:
        return _parse_unified(data, position, total)
    if position + RECORD_HEADER_BYTES > len(data):
        raise ParseError(f"DTLS record header at byte {position} is cut")
    version = int.from_bytes(data[position + 1 : position + 3], "big")
    if not CHANGE_CIPHER_SPEC <= first <= ACK or version not in _VERSIONS:
        raise ParseError(f"byte 0x{first:02x} with version 0x{version:04x} at byte {position} is no DTLS record")
    epoch = int.from_bytes(data[position + 3 : position + 5], "big")
    sequence = int.from_bytes(data[position + 5 : position + 11], "big")
    start = position + RECORD_HEADER_BYTES
    if first == CID_RECORD:
        start = _after_cid(data, position + 11, total)
    length = int.from_bytes(data[start - 2 : start], "big")
    if length > MAX_RECORD_BYTES or start + length > total:
        raise ParseError(f"DTLS record length {length} at byte {position} reaches beyond the datagram")
    return Record(first, version, epoch, sequence, bytes(data[start : start + length]), length), start + length


def _after_cid(data: bytes, position: int, total: int) -> int:
    # RFC 9146: the id stands before the length and has no length of its own; the one that ends with the datagram fits.
    for size in range(_MAX_CID_BYTES + 1):
        start = position + size + 2
        if start <= len(data) and start + int.from_bytes(data[start - 2 : start], "big") == total:
            return start
    raise ParseError(f"DTLS record with connection id at byte {position - 11} does not fit its datagram")


def _parse_unified(data: bytes, position: int, total: int) -> tuple[Record, int]:
    first = data[position]
    epoch = first & 3
    if first & 0x10:  # connection id of unknown length
        return Record(None, None, epoch, 0, bytes(data[position + 1 :]), total - position - 1), total
    start = position + 1
    width = 2 if first & 0x08 else 1
    if start + width > len(data):
        raise ParseError(f"DTLS 1.3 header at byte {position} is cut")
    sequence = int.from_bytes(data[start : start + width], "big")
    start += width
    if not first & 0x04:
        return Record(None, None, epoch, sequence, bytes(data[start:]), total - start), total
    if start + 2 > len(data):
        raise ParseError(f"DTLS 1.3 header at byte {position} is cut")
    length = int.from_bytes(data[start : start + 2], "big")
    start += 2
    if start + length > total:
        raise ParseError(f"DTLS 1.3 record length {length} at byte {position} reaches beyond the datagram")
    return Record(None, None, epoch, sequence, bytes(data[start : start + length]), length), start + length


def parse_fragments(record: Record) -> list[Fragment]:
    """Read the handshake fragments of a record in clear.

    Parameters
    ----------
    record
        Of type handshake and epoch 0.

    Returns
    -------
    fragments
        Empty for other records; the last one may be cut by the capture.
    """
    if record.content_type != HANDSHAKE or not record.is_clear:
        return []
    fragments: list[Fragment] = []
    data, position = record.fragment, 0
    while position + 12 <= len(data):
        # Type (8 bits), length (24), message number (16), fragment offset (24), fragment length (24).
        first, last = _FRAGMENT_HEAD.unpack_from(data, position)
        total, message_sequence = first >> 32 & 0xFFFFFF, first >> 16 & 0xFFFF
        offset, size = (first & 0xFFFF) << 8 | last >> 24, last & 0xFFFFFF
        if offset + size > total or total > tls.MAX_HANDSHAKE_BYTES or data[position] == HELLO_REQUEST:
            break  # a HelloRequest asks for a new handshake and is no part of one; zeros look like many of them
        start = position + 12
        fragments.append(Fragment(data[position], message_sequence, total, offset, data[start : start + size]))
        position = start + size
    return fragments


def join_fragments(fragments: list[Fragment]) -> list[tuple[int, bytes]]:
    """Put handshake messages together from fragments in any order, with repetitions and overlaps.

    Parameters
    ----------
    fragments
        Of one side.

    Returns
    -------
    messages
        Type and body of each whole message, by message number.
    """
    by_message: dict[tuple[int, int, int], dict[int, bytes]] = {}
    for fragment in fragments:
        parts = by_message.setdefault((fragment.message_sequence, fragment.kind, fragment.total), {})
        if len(fragment.data) >= len(parts.get(fragment.offset, b"")):
            parts[fragment.offset] = fragment.data
    messages: list[tuple[int, bytes]] = []
    for (_, kind, total), parts in sorted(by_message.items(), key=lambda item: item[0]):
        body = bytearray()
        for offset in sorted(parts):
            if offset > len(body):
                break
            body[offset : offset + len(parts[offset])] = parts[offset]
        if len(body) == total:
            messages.append((kind, bytes(body)))
    return messages


def read_hello(fragments: list[Fragment]) -> Hello:
    """Read what one side of a handshake shows in clear.

    Parameters
    ----------
    fragments
        Of one side.

    Returns
    -------
    hello
        Hellos and certificates that are whole and well-formed.
    """
    client_hello: tls.ClientHello | None = None
    server_hello: tls.ServerHello | None = None
    certificates: tuple[bytes, ...] = ()
    for kind, body in join_fragments(fragments):
        try:
            if kind == CLIENT_HELLO:
                client_hello = tls.parse_client_hello(body, is_dtls=True)
            elif kind == SERVER_HELLO and (server_hello is None or server_hello.is_retry):
                server_hello = tls.parse_server_hello(body)
            elif kind == CERTIFICATE:
                certificates = tls.parse_certificate_list(body)
        except ParseError:  # one damaged message does not make the others unreadable
            continue
    return Hello(client_hello=client_hello, server_hello=server_hello, certificates=certificates)
