"""What each payload is (RFC 7983, twice where a relay carries it), compiled: rows of media, and rare packets kept.

Everything that is kept is of bounded size; what is beyond is counted.
"""

# ruff: noqa: FBT001, FBT003, PLR0917  (compiled loops take plain positional arguments)

# mypy: disable-error-code="attr-defined,return-value,assignment,arg-type,operator,no-any-return"
# (numpy gives the fields of rows no types; the compiler checks them)

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ccp_assess.wire.compiled import helper, inlined
from ccp_assess.wire.datagram import BINDINGS_KEPT_PER_PATH
from ccp_assess.wire.link import be16, be32
from ccp_assess.wire.rtp import (
    RELAYED_BY_INDICATION,
    RELAYED_NOT,
    RTCP,
    is_rtcp,
    read_media,
    rtp_header_bytes,
)
from ccp_assess.wire.turn import (
    CHANNEL_BIND_REQUEST,
    DATA_INDICATION,
    SEND_INDICATION,
    bind,
    is_cut_stun,
    is_stun,
    method_of,
    path_of_peer,
    read_turn,
)

Bytes = npt.NDArray[np.uint8]
Table = npt.NDArray[np.void]
Numbers = npt.NDArray[np.int64]

RARE = np.dtype(
    [
        ("time_ns", np.int64),
        ("frame", np.int64),
        ("at", np.int64),  # of its bytes among the kept ones
        ("captured", np.int32),
        ("length", np.int32),
        ("flow", np.int32),
        ("path", np.int32),
        ("tcp_seq", np.uint32),
        ("tcp_ack", np.uint32),
        ("tcp_window", np.uint16),
        ("channel", np.uint16),
        ("tcp_flags", np.uint8),
        ("ttl", np.uint8),
        ("outbound_of_key", np.bool_),
        ("is_segment", np.bool_),
        ("fragmented", np.bool_),
        ("framed", np.bool_),
        ("from_indication", np.bool_),
    ],
    align=True,
)
"""One rare packet; its bytes stand elsewhere."""

N_MEDIA, N_RARE, N_STUN, N_BYTES = 0, 1, 2, 3
KEPT_ROWS, KEPT_BYTES, LOST_ROWS, LOST_STUN, KEPT_STUN = 4, 5, 6, 7, 8
COUNTS = 16

MOST_RARE_ROWS = 400_000
MOST_RARE_BYTES = 40 << 20
MOST_STUN_ROWS = 1_000_000
TIGHT_BYTES = 20 << 20
"""From here on only the first bytes of new connections are kept: names still are found."""

ROOM_FOR_ONE_PACKET = 4_200
BYTES_FOR_ONE_PACKET = 140_000


class Arrival(NamedTuple):
    """A packet and whose it is."""

    packet: np.void
    flow: np.void
    flow_index: int
    side: int  # 0 from a to b, 1 from b to a


class Piece(NamedTuple):
    """A stretch of bytes that a packet carries, and how it was wrapped."""

    at: int
    captured: int  # bytes of it that the capture holds
    length: int  # bytes of it on the wire
    path: int  # through a relay, -1 without
    channel: int
    relayed: int
    framed: bool  # taken out of a TCP byte stream


class Found(NamedTuple):
    """Where that goes which is found."""

    media: Table
    rare: Table
    stun: Table
    arena: Bytes
    counts: Numbers


class Relays(NamedTuple):
    """What is known of relays: the message at hand, and paths through them."""

    turn: Table
    paths: Table
    path_counts: Numbers


@inlined
def piece_of(at: int, captured: int, length: int, path: int, channel: int, relayed: int, framed: bool) -> Piece:
    """Describe bytes, with all numbers of one type, so that what takes them is compiled once."""
    return Piece(
        np.int64(at),
        np.int64(captured),
        np.int64(length),
        np.int64(path),
        np.int64(channel),
        np.int64(relayed),
        np.bool_(framed),
    )


@inlined
def plain_piece(at: int, captured: int, length: int) -> Piece:
    """Describe bytes that nothing is wrapped around."""
    return piece_of(at, captured, length, -1, 0, RELAYED_NOT, False)


@inlined
def has_room(found: Found) -> bool:
    """Tell whether whatever one packet holds will fit."""
    counts = found.counts
    return (
        counts[N_MEDIA] + ROOM_FOR_ONE_PACKET <= len(found.media)
        and counts[N_RARE] + ROOM_FOR_ONE_PACKET <= len(found.rare)
        and counts[N_STUN] + ROOM_FOR_ONE_PACKET <= len(found.stun)
        and counts[N_BYTES] + BYTES_FOR_ONE_PACKET <= len(found.arena)
    )


@helper
def keep(arrival: Arrival, buffer: Bytes, piece: Piece, is_segment: bool, found: Found) -> None:
    """Copy a rare packet for the parsers, within the bounds."""
    counts, packet = found.counts, arrival.packet
    if counts[KEPT_ROWS] >= MOST_RARE_ROWS or counts[KEPT_BYTES] + piece.captured > MOST_RARE_BYTES:
        counts[LOST_ROWS] += 1
        return
    row = found.rare[counts[N_RARE]]
    row.time_ns = packet.time_ns
    row.frame = packet.frame
    row.at = counts[N_BYTES]
    row.captured = piece.captured
    row.length = piece.length
    row.flow = arrival.flow_index
    row.path = piece.path
    row.tcp_seq = packet.tcp_seq
    row.tcp_ack = packet.tcp_ack
    row.tcp_window = packet.tcp_window
    row.tcp_flags = packet.tcp_flags
    row.ttl = packet.ttl
    row.channel = piece.channel
    row.outbound_of_key = arrival.side == 0
    row.is_segment = is_segment
    row.fragmented = packet.fragmented
    row.framed = piece.framed
    row.from_indication = piece.relayed == RELAYED_BY_INDICATION
    base = counts[N_BYTES]
    for k in range(piece.captured):
        found.arena[base + k] = buffer[piece.at + k]
    counts[N_BYTES] += piece.captured
    counts[N_RARE] += 1
    counts[KEPT_ROWS] += 1
    counts[KEPT_BYTES] += piece.captured


@helper
def note_stun(arrival: Arrival, buffer: Bytes, piece: Piece, error_code: int, found: Found) -> None:
    """Write a row for a STUN message and keep it if it is one of the few."""
    counts, flow, at = found.counts, arrival.flow, piece.at
    message_type = be16(buffer, at)
    if counts[KEPT_STUN] < MOST_STUN_ROWS:
        row = found.stun[counts[N_STUN]]
        row.time_ns = arrival.packet.time_ns
        row.frame = arrival.packet.frame
        row.transaction_high = be32(buffer, at + 8)
        row.transaction_low = (np.uint64(be32(buffer, at + 12)) << np.uint64(32)) | np.uint64(be32(buffer, at + 16))
        row.flow = arrival.flow_index
        row.peer = piece.path if piece.relayed == RELAYED_BY_INDICATION else -1
        row.channel = piece.channel
        row.message_type = message_type
        row.length = 20 + be16(buffer, at + 2)
        row.error_code = error_code
        row.outbound_of_key = arrival.side == 0
        row.over_tcp = piece.framed
        counts[N_STUN] += 1
        counts[KEPT_STUN] += 1
    else:
        counts[LOST_STUN] += 1
    method = method_of(message_type)
    if method in (0x001, 0x080):
        if piece.captured >= piece.length:  # its row says all
            return
        flow.bindings += 1
        if flow.bindings > BINDINGS_KEPT_PER_PATH * max(flow.paths, 1):
            return
    else:
        flow.stuns += 1
        if flow.stuns > 4096:
            counts[LOST_ROWS] += 1
            return
    keep(arrival, buffer, piece, False, found)


@inlined
def put_media(arrival: Arrival, buffer: Bytes, piece: Piece, found: Found) -> None:
    """Write a row for RTP or RTCP, if it is either."""
    at, captured, length = piece.at, piece.captured, piece.length
    side = arrival.side
    row = found.media[found.counts[N_MEDIA]]
    header = rtp_header_bytes(buffer, at, captured, length)
    if header > 0:
        read_media(buffer, at, captured, length, header, row)
        arrival.flow.media[side] += 1
    elif is_rtcp(buffer, at, captured, length):
        row.payload_type = RTCP
        row.ssrc = be32(buffer, at + 4)
        row.bytes = min(length, 65535)
        arrival.flow.rtcp[side] += 1
    else:
        return
    row.time_ns = arrival.packet.time_ns
    row.flow = 2 * arrival.flow_index + side
    row.path = piece.path
    row.relayed = piece.relayed
    found.counts[N_MEDIA] += 1


@helper
def keep_dtls(arrival: Arrival, buffer: Bytes, piece: Piece, found: Found) -> None:
    """Keep DTLS records: the handshake, and later small ones (alerts), but not a tunnel's bulk."""
    at, flow, side = piece.at, arrival.flow, arrival.side
    first = buffer[at]
    if first <= 26:
        if piece.captured >= 3 and not (buffer[at + 1] == 0xFE or (buffer[at + 1] == 1 and buffer[at + 2] == 0)):
            return
    elif first < 32 or flow.dtls[0] + flow.dtls[1] == 0:
        return  # a unified header (RFC 9147) only after a handshake
    flow.dtls[side] += 1
    if flow.dtls[side] > 64 and (piece.length > 64 or flow.dtls[side] > 4096):
        return
    keep(arrival, buffer, piece, False, found)


@helper
def inner(arrival: Arrival, buffer: Bytes, piece: Piece, relays: Relays, found: Found) -> None:
    """Sort what a relay carries by its first byte (RFC 7983)."""
    if piece.captured < 1 or piece.length < 1:
        return
    first = buffer[piece.at]
    if 128 <= first <= 191:
        put_media(arrival, buffer, piece, found)
    elif first < 4:
        if is_stun(buffer, piece.at, piece.captured, piece.length):
            read_turn(buffer, piece.at, piece.captured, relays.turn)
            note_stun(arrival, buffer, piece, relays.turn[0].error_code, found)
        elif is_cut_stun(buffer, piece.at, piece.captured, piece.length):
            flow = arrival.flow
            flow.bindings += 1
            if flow.bindings <= BINDINGS_KEPT_PER_PATH * max(flow.paths, 1):
                keep(arrival, buffer, piece, False, found)
    elif 20 <= first <= 63:
        keep_dtls(arrival, buffer, piece, found)


@helper
def outer_stun(arrival: Arrival, buffer: Bytes, piece: Piece, relays: Relays, found: Found) -> None:
    """Take a STUN message of the outer flow apart: indications carry others, requests say who the relay is."""
    flow, at = arrival.flow, piece.at
    message_type = be16(buffer, at)
    read_turn(buffer, at, piece.captured, relays.turn)
    t = relays.turn[0]
    from_a = arrival.side == 0
    if message_type in (SEND_INDICATION, DATA_INDICATION):
        flow.is_turn = True
        towards_b = from_a == (message_type == SEND_INDICATION)
        flow.relay_votes[1 if towards_b else 0] += 1
        if t.data >= 0 and t.has_peer:
            path = path_of_peer(flow, arrival.flow_index, relays.turn, relays.paths, relays.path_counts)
            known = max(min(t.data_bytes, at + piece.captured - t.data), 0)
            carried = piece_of(t.data, known, t.data_bytes, path, 0, RELAYED_BY_INDICATION, piece.framed)
            inner(arrival, buffer, carried, relays, found)
        return
    method = method_of(message_type)
    is_request = message_type & 0x0110 == 0
    if method in (0x003, 0x004, 0x008, 0x009) or (method == 0x001 and is_request and flow.is_turn):
        if method != 0x001:
            flow.is_turn = True
        flow.relay_votes[1 if from_a == is_request else 0] += 1
    if message_type == CHANNEL_BIND_REQUEST and t.channel >= 0x4000 and t.has_peer:
        bind(flow, arrival.flow_index, relays.turn, relays.paths, relays.path_counts)
    note_stun(arrival, buffer, piece, t.error_code, found)


@helper
def is_quic_long(buffer: Bytes, at: int, captured: int) -> bool:
    """Tell a QUIC packet with a long header by its version (RFC 9000, 9369; drafts and Google's)."""
    if captured < 7 or buffer[at] < 0xC0:
        return False
    version = be32(buffer, at + 1)
    return (
        version in (1, 0x6B3343CF, 0x709A50C4)
        or version >> 8 in (0xFF0000, 0xFACEB0)
        or (version >> 24 in (0x51, 0x54) and 0x30 <= (version >> 16) & 0xFF <= 0x39)
    )


@helper
def is_classic_stun(buffer: Bytes, at: int, captured: int, length: int) -> bool:
    """Tell a message of RFC 3489 (without cookie) by type and length."""
    if captured < 20 or be16(buffer, at + 2) + 20 != length:
        return False
    return be16(buffer, at) in (0x0001, 0x0101, 0x0111, 0x0002, 0x0102, 0x0112)


@inlined
def never_media(port: int) -> bool:
    """Ports whose packets may look like RTP by chance and never are."""
    return port in (53, 67, 68, 69, 123, 137, 138, 161, 162, 500, 514, 520, 546, 547, 1900, 5353, 5355)


@helper
def on_udp(arrival: Arrival, buffer: Bytes, piece: Piece, relays: Relays, found: Found) -> None:
    """Sort a UDP payload that is neither media nor ChannelData by its first byte."""
    packet, flow, counts = arrival.packet, arrival.flow, found.counts
    first = buffer[piece.at]
    is_dns = packet.src_port == 53 or packet.dst_port == 53
    if first < 4:
        if is_stun(buffer, piece.at, piece.captured, piece.length):
            outer_stun(arrival, buffer, piece, relays, found)
            return
        if not is_dns:
            if is_classic_stun(buffer, piece.at, piece.captured, piece.length):
                flow.stuns += 1
                if flow.stuns <= 1024:
                    keep(arrival, buffer, piece, False, found)
            return
    if is_dns:
        flow.others += 1
        if flow.others <= 2048:
            keep(arrival, buffer, piece, False, found)
        else:
            counts[LOST_ROWS] += 1
    elif 20 <= first <= 63:
        keep_dtls(arrival, buffer, piece, found)
    elif first >= 0xC0 and is_quic_long(buffer, piece.at, piece.captured):
        flow.quic[arrival.side] += 1
        if flow.quic[arrival.side] <= 8 and counts[KEPT_BYTES] < TIGHT_BYTES + (8 << 20):
            keep(arrival, buffer, piece, False, found)
