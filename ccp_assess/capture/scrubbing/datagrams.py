"""Payloads of UDP: what the reader of captures reads stays, all else becomes zero, nothing changes its length.

The order of the questions is that of ``ccp_assess.traffic.tracking``: whatever that takes for a message of some kind is
taken for the same here, so that a mapped capture is read as the original is.
"""

from __future__ import annotations

import zlib

from ccp_assess.capture.scrubbing.dnsnames import scrub_dns
from ccp_assess.capture.scrubbing.hellos import scrub_handshake
from ccp_assess.capture.scrubbing.mapping import Mapping
from ccp_assess.errors import ParseError
from ccp_assess.wire import dtls, stun
from ccp_assess.wire.quic import parse_long_header

NEVER_MEDIA = frozenset({53, 67, 68, 69, 123, 137, 138, 161, 162, 500, 514, 520, 546, 547, 1900, 5353, 5355})
DNS_PORT = 53

_COOKIE = stun.MAGIC_COOKIE.to_bytes(4, "big")
_SHORTEST_STUN_BYTES = 8
"""Of a header that the snaplen cut, behind the cookie."""
_RTP_HEADER_BYTES, _RTCP_KEPT_BYTES, _MOST_ELEMENT_BYTES = 12, 8, 3
_ONE_BYTE_PROFILE, _TWO_BYTE_PROFILE = 0xBEDE, 0x1000
_CLASSIC_TYPES = frozenset({0x0001, 0x0101, 0x0111, 0x0002, 0x0102, 0x0112})
_PLAIN_ADDRESSES = frozenset({0x0001, 0x0002, 0x0004, 0x0005, 0x000B, 0x8023, 0x802B, 0x802C})
_XOR_ADDRESSES = frozenset({0x0012, 0x0016, 0x0020, 0x8020})
_ERROR_CODE, _DATA, _FINGERPRINT = 0x0009, 0x0013, 0x8028
_NUMBERS = frozenset({
    0x0003, 0x000C, 0x000D, 0x0010, 0x0017, 0x0018, 0x0019, 0x001A, 0x0024, 0x0025, 0x0027, 0x8000, 0x8025,
    0x8027, 0x802D, 0xC001, 0xC057,
})  # fmt: skip
"""Attributes of STUN that hold numbers of the protocol and nothing of anybody; all others lose their value."""


def scrub_datagram(
    data: bytes, length: int, mapping: Mapping, *, ports: tuple[int, int], knows_dtls: bool = False
) -> bytes:
    """Map the payload of a UDP datagram.

    Parameters
    ----------
    data
        As far as it was captured.
    length
        On the wire.
    mapping
        Of the client's key.
    ports
        Source and destination.
    knows_dtls
        Whether its flow has shown DTLS in clear: only then a record of DTLS 1.3 is believed.

    Returns
    -------
    data
        Of the same length.
    """
    if not data:
        return data
    first = data[0]
    is_dns = DNS_PORT in ports
    if 0x40 <= first <= 0x4F and len(data) >= 5:
        body = int.from_bytes(data[2:4], "big")
        if 4 + body == length or (4 + body < length and 4 + (body + 3) // 4 * 4 == length):
            return scrub_channel_data(data, mapping, knows_dtls=knows_dtls)
        if not is_dns:
            return bytes(len(data))
    if 128 <= first <= 191 and NEVER_MEDIA.isdisjoint(ports):
        return scrub_media(data, length)
    if first < 4:
        if is_stun(data, length):
            return scrub_stun(data, mapping, knows_dtls=knows_dtls)
        if not is_dns:
            return scrub_stun(data, mapping) if _is_classic_stun(data, length) else bytes(len(data))
    if is_dns:
        return scrub_dns(data, mapping)
    if 20 <= first <= 63:
        return scrub_dtls(data, length, mapping, knows_dtls=knows_dtls)
    if first >= 0xC0:
        return scrub_quic(data)
    return bytes(len(data))


def scrub_inner(data: bytes, length: int, mapping: Mapping, *, knows_dtls: bool) -> bytes:
    """Map what a relay carries (RFC 7983).

    Parameters
    ----------
    data, length
        As captured, and its length on the wire.
    mapping
        Of the client's key.
    knows_dtls
        Whether the flow has shown DTLS in clear.

    Returns
    -------
    data
        Of the same length.
    """
    if not data:
        return data
    first = data[0]
    if 128 <= first <= 191:
        return scrub_media(data, length)
    if first < 4 and is_stun(data, length):
        return scrub_stun(data, mapping, is_inner=True)
    if 20 <= first <= 63:
        return scrub_dtls(data, length, mapping, knows_dtls=knows_dtls)
    return bytes(len(data))


def scrub_channel_data(data: bytes, mapping: Mapping, *, knows_dtls: bool) -> bytes:
    """Map a ChannelData message: its header stays, its padding becomes zero.

    Parameters
    ----------
    data
        As captured, from the channel number on.
    mapping
        Of the client's key.
    knows_dtls
        Whether the flow has shown DTLS in clear.

    Returns
    -------
    data
        Of the same length.
    """
    body = int.from_bytes(data[2:4], "big")
    inner = scrub_inner(data[4 : 4 + body], body, mapping, knows_dtls=knows_dtls)
    return data[:4] + inner + bytes(len(data) - 4 - len(inner))


# --- media -----------------------------------------------------------------------------------------------------------


def scrub_media(data: bytes, length: int) -> bytes:
    """Keep the header of RTP with its short extensions, and the first words of RTCP; what was said becomes zero.

    Parameters
    ----------
    data, length
        As captured, and its length on the wire.

    Returns
    -------
    data
        Of the same length.
    """
    if len(data) < 2:
        return bytes(len(data))
    if 192 <= data[1] <= 223:
        is_rtcp = len(data) >= 8 and (int.from_bytes(data[2:4], "big") + 1) * 4 <= length
        kept = data[:_RTCP_KEPT_BYTES] if is_rtcp else b""
        return kept + bytes(len(data) - len(kept))
    header = _RTP_HEADER_BYTES + (data[0] & 15) * 4
    if len(data) < _RTP_HEADER_BYTES or header + (4 if data[0] & 0x10 else 0) > length:
        return bytes(len(data))
    if not data[0] & 0x10 or header + 4 > len(data):
        return data[:_RTP_HEADER_BYTES] + bytes(len(data) - _RTP_HEADER_BYTES)
    out = bytearray(len(data))
    out[:_RTP_HEADER_BYTES] = data[:_RTP_HEADER_BYTES]
    out[header : header + 4] = data[header : header + 4]
    profile = int.from_bytes(data[header : header + 2], "big")
    end = min(header + 4 + int.from_bytes(data[header + 2 : header + 4], "big") * 4, len(data))
    if profile == _ONE_BYTE_PROFILE:
        _copy_elements(data, out, header + 4, end, head_bytes=1)
    elif profile & 0xFFF0 == _TWO_BYTE_PROFILE:
        _copy_elements(data, out, header + 4, end, head_bytes=2)
    return bytes(out)


def _copy_elements(data: bytes, out: bytearray, at: int, end: int, *, head_bytes: int) -> None:
    """Copy header extension elements (RFC 8285): short ones are levels, times and counters, long ones may be names."""
    while at + head_bytes <= end:
        if data[at] == 0:  # padding
            at += 1
            continue
        size = (data[at] & 15) + 1 if head_bytes == 1 else data[at + 1]
        if head_bytes == 1 and data[at] >> 4 == 15:
            out[at] = data[at]
            return
        stop = at + head_bytes + size
        kept = stop if size <= _MOST_ELEMENT_BYTES else at + head_bytes
        out[at : min(kept, end)] = data[at : min(kept, end)]
        at = stop


# --- STUN and TURN ---------------------------------------------------------------------------------------------------


def is_stun(data: bytes, length: int) -> bool:
    """Tell a STUN message by its two zero bits, cookie and length, as the reader of captures does.

    Parameters
    ----------
    data, length
        As captured, and its length on the wire.

    Returns
    -------
    is_stun
        Whether it is one.
    """
    if len(data) < _SHORTEST_STUN_BYTES or data[0] > 63 or data[4:8] != _COOKIE:
        return False
    body = int.from_bytes(data[2:4], "big")
    return body + 20 == length or (body & 3 == 0 and body + 20 < length)


def _is_classic_stun(data: bytes, length: int) -> bool:
    return (
        len(data) >= stun.HEADER_BYTES
        and int.from_bytes(data[2:4], "big") + 20 == length
        and int.from_bytes(data[:2], "big") in _CLASSIC_TYPES
    )


def scrub_stun(data: bytes, mapping: Mapping, *, knows_dtls: bool = False, is_inner: bool = False) -> bytes:
    """Map a STUN message: addresses in it are mapped, credentials and free text become zero.

    Parameters
    ----------
    data
        As captured; what follows the message becomes zero.
    mapping
        Of the client's key.
    knows_dtls
        Whether the flow has shown DTLS in clear.
    is_inner
        Whether a relay carried it: then what it carries itself is not looked into.

    Returns
    -------
    data
        Of the same length, with a right FINGERPRINT where there was one.
    """
    total = stun.HEADER_BYTES + int.from_bytes(data[2:4], "big")
    end = min(total, len(data))
    out = bytearray(len(data))
    out[: stun.HEADER_BYTES] = data[: stun.HEADER_BYTES]
    at = stun.HEADER_BYTES
    while at + 4 <= end:
        kind, size = int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 2 : at + 4], "big")
        start, stop = at + 4, min(at + 4 + size, end)
        out[at:start] = data[at:start]
        value = data[start:stop]
        if kind in _NUMBERS and size <= 4:
            out[start:stop] = value
        elif kind == _ERROR_CODE:
            out[start : min(start + 4, stop)] = value[:4]
        elif kind == _DATA and not is_inner:
            out[start:stop] = scrub_inner(value, size, mapping, knows_dtls=knows_dtls)
        elif kind in _PLAIN_ADDRESSES or kind in _XOR_ADDRESSES:
            out[start:stop] = _map_stun_address(value, data[8:20] if kind in _XOR_ADDRESSES else None, mapping)
        elif kind == _FINGERPRINT and len(value) == 4 and total <= len(data):
            out[start:stop] = (zlib.crc32(out[:at]) ^ stun.FINGERPRINT_XOR).to_bytes(4, "big")
        at = start + (size + 3) // 4 * 4
    return bytes(out)


def _map_stun_address(value: bytes, transaction_id: bytes | None, mapping: Mapping) -> bytes:
    """Map the value of an address attribute; the port stays."""
    size = {1: 4, 2: 16}.get(value[1]) if len(value) > 1 else None
    if size is None or len(value) != 4 + size:
        return bytes(len(value))
    key = bytes(size) if transaction_id is None else (_COOKIE + transaction_id)[:size]
    clear = bytes(a ^ b for a, b in zip(value[4:], key, strict=True))
    hidden = bytes(a ^ b for a, b in zip(mapping.address(clear), key, strict=True))
    return b"\0" + value[1:4] + hidden


# --- DTLS and QUIC ---------------------------------------------------------------------------------------------------


def scrub_dtls(data: bytes, length: int, mapping: Mapping, *, knows_dtls: bool) -> bytes:
    """Map DTLS: headers of records and fragments stay, hellos and certificates are mapped, all else becomes zero.

    Parameters
    ----------
    data, length
        As captured, and its length on the wire.
    mapping
        Of the client's key.
    knows_dtls
        Whether the flow has shown DTLS in clear.

    Returns
    -------
    data
        Of the same length.
    """
    if data[0] >= 32 and not knows_dtls:
        return bytes(len(data))
    if data[0] < 32 and (data[0] > dtls.ACK or (len(data) >= 3 and data[1:3] not in _DTLS_VERSIONS)):
        return bytes(len(data))
    if not dtls.looks_like_dtls(data, length):  # the reader counts it by its first bytes, and reads no further
        return data[:3] + bytes(max(len(data) - 3, 0))
    try:
        records = dtls.parse_records(data, length=length)
    except ParseError:
        return data[:3] + bytes(max(len(data) - 3, 0))
    out = bytearray(len(data))
    at = 0
    for record in records:
        header = _dtls_header_bytes(data, at, record, max(length, len(data)))
        start = at + header
        out[at:start] = data[at:start]
        if record.is_clear:
            stop = start + len(record.fragment)
            out[start:stop] = _scrub_clear_record(record, mapping)
        at = start + record.length
    return bytes(out)


_DTLS_VERSIONS = frozenset({b"\xfe\xff", b"\xfe\xfd", b"\xfe\xfc", b"\x01\x00"})


def _dtls_header_bytes(data: bytes, at: int, record: dtls.Record, total: int) -> int:
    if record.content_type == dtls.CID_RECORD:
        return total - at - record.length
    if not record.is_unified:
        return dtls.RECORD_HEADER_BYTES
    first = data[at]
    return 1 if first & 0x10 else 1 + (2 if first & 8 else 1) + (2 if first & 4 else 0)


def _scrub_clear_record(record: dtls.Record, mapping: Mapping) -> bytes:
    data = record.fragment
    if record.content_type == dtls.ALERT and record.length == 2:
        return data
    out = bytearray(len(data))
    at = 0
    for fragment in dtls.parse_fragments(record):
        start = at + 12
        size = int.from_bytes(data[at + 9 : at + 12], "big")
        out[at:start] = data[at:start]
        if fragment.offset == 0 and len(fragment.data) == fragment.total:
            out[start : start + size] = scrub_handshake(fragment.kind, fragment.data, mapping, is_dtls=True)
        at = start + size
    return bytes(out[: len(data)])


def scrub_quic(data: bytes) -> bytes:
    """Keep the clear headers of QUIC's long-header packets; what they protect becomes zero.

    Parameters
    ----------
    data
        A datagram as captured.

    Returns
    -------
    data
        Of the same length; all zero if it is no QUIC of a known version.
    """
    if not is_quic_long(data):
        return bytes(len(data))
    out = bytearray(len(data))
    at = 0
    while at < len(data) and data[at] & 0x80:
        rest = data[at:]
        try:
            header = parse_long_header(rest)
        except ParseError:
            out[at : at + 6] = rest[:6]
            break
        ids = 7 + len(header.destination_id) + len(header.source_id)
        out[at : at + ids] = rest[:ids]
        if header.is_initial:
            token_end = _after_token(rest, ids)
            out[at + token_end : at + header.number_offset] = rest[token_end : header.number_offset]
            width = 1 << (rest[ids] >> 6)
            out[at + ids : at + ids + width] = rest[ids : ids + width]
        elif header.size < len(rest):
            width = 1 << (rest[ids] >> 6)
            out[at + ids : at + ids + width] = rest[ids : ids + width]
        at += max(header.size, 1)
    return bytes(out)


def _after_token(data: bytes, at: int) -> int:
    width = 1 << (data[at] >> 6)
    return at + width + (int.from_bytes(data[at : at + width], "big") & (1 << 8 * width - 2) - 1)


def is_quic_long(data: bytes) -> bool:
    """Tell a QUIC packet with a long header by its version, as the reader of captures does.

    Parameters
    ----------
    data
        A datagram as captured.

    Returns
    -------
    is_quic
        Whether it is one.
    """
    if len(data) < 7 or data[0] < 0xC0:
        return False
    version = int.from_bytes(data[1:5], "big")
    return (
        version in {1, 0x6B3343CF, 0x709A50C4}
        or version >> 8 in {0xFF0000, 0xFACEB0}
        or (version >> 24 in {0x51, 0x54} and 0x30 <= version >> 16 & 0xFF <= 0x39)
    )
