"""Packets to flows, compiled: counts per 5-tuple, and what each payload is (RFC 7983, twice where a relay carries it).

Rare packets are kept for the parsers. Everything here is of bounded size: conversations of a few packets in one
direction (scans, floods) make room for others when the table is full; bytes that are kept have a total.
"""

# ruff: noqa: FBT001, FBT003, PLR0917  (compiled loops take plain positional arguments)

# mypy: disable-error-code="attr-defined,return-value,assignment,arg-type,operator,no-any-return"
# (numpy gives the fields of rows no types; the compiler checks them)

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ccp_assess.traffic.spans import FLOW_FIELDS, MOST_SPANS, SPAN, forget_speech, note_speech
from ccp_assess.wire.columns import mixed
from ccp_assess.wire.compiled import helper, inlined, kernel
from ccp_assess.wire.datagram import BINDINGS_KEPT_PER_PATH, STUN_ROW, TCP_BYTES_KEPT
from ccp_assess.wire.framing import (
    FRAMER,
    FRAMER_BYTES,
    FRAMERS,
    drop_front,
    fall_out,
    known_bytes,
    next_frame,
    put_segment,
)
from ccp_assess.wire.ip import ICMP, ICMPV6, TCP, UDP
from ccp_assess.wire.link import be16, be32
from ccp_assess.wire.rtp import (
    RELAYED_BY_CHANNEL,
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
    PATH,
    PATHS,
    SEND_INDICATION,
    TURN,
    bind,
    is_cut_stun,
    is_stun,
    looks_like_frames,
    method_of,
    path_of_channel,
    path_of_peer,
    read_turn,
)

Bytes = npt.NDArray[np.uint8]
Table = npt.NDArray[np.void]
Numbers = npt.NDArray[np.int64]

MOST_FLOWS = 131_072
FIRST_FLOWS = 2_048

FLOW = np.dtype(
    [
        ("a_high", np.int64),
        ("a_low", np.int64),
        ("b_high", np.int64),
        ("b_low", np.int64),
        ("a_port", np.uint16),
        ("b_port", np.uint16),
        ("protocol", np.uint8),
        ("used", np.bool_),
        ("is_turn", np.bool_),
        ("tcp_kind", np.uint8),  # 0 unknown, 1 something else, 2 TURN frames
        ("first_path", np.int32),
        ("paths", np.int32),
        ("first_ns", np.int64),
        ("packets", np.int64, (2,)),  # per direction: a to b, b to a
        ("bytes", np.int64, (2,)),
        ("payload_bytes", np.int64, (2,)),
        ("last_ns", np.int64, (2,)),
        ("payload_packets", np.int64, (2,)),
        ("media", np.int64, (2,)),
        ("rtcp", np.int64, (2,)),
        ("ttl_min", np.uint8, (2,)),
        ("ttl_max", np.uint8, (2,)),
        ("tcp_seen", np.uint8, (2,)),  # whether next_seq is known
        ("acked", np.uint8, (2,)),
        ("next_seq", np.uint32, (2,)),
        ("ack", np.uint32, (2,)),
        ("advance_ns", np.int64, (2,)),
        ("retransmissions", np.int32, (2,)),
        ("zero_windows", np.int32, (2,)),
        ("kept", np.int32, (2,)),  # payload bytes given to the parsers
        ("framer", np.int32, (2,)),
        ("dtls", np.int32, (2,)),
        ("quic", np.int32, (2,)),
        ("bindings", np.int32),
        ("stuns", np.int32),
        ("others", np.int32),
        ("relay_votes", np.int32, (2,)),  # for a, for b
        ("syn_ns", np.int64),
        ("synack_ns", np.int64),
        ("syns", np.int32),
        ("synacks", np.int32),
        ("resets", np.int32),
        ("fins", np.int32),
        ("reset_ns", np.int64, (2,)),  # first RST of each side, 0 if none
        ("fin_ns", np.int64, (2,)),
        ("reset_ttl", np.uint8, (2,)),
        ("frame_votes", np.int32),
        ("probed", np.int32),
        *FLOW_FIELDS,
    ],
    align=True,
)
"""One flow while it is counted."""

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
KEPT_ROWS, KEPT_BYTES, LOST_ROWS, LOST_STUN, KEPT_STUN, LOST_FLOW_PACKETS = 4, 5, 6, 7, 8, 9
COUNTS = 16

MOST_RARE_ROWS = 400_000
MOST_RARE_BYTES = 40 << 20
MOST_STUN_ROWS = 1_000_000
TIGHT_BYTES = 20 << 20
"""From here on only the first bytes of new connections are kept: names still are found."""

ROOM_FOR_ONE_PACKET = 4_200
BYTES_FOR_ONE_PACKET = 140_000

DONE, FLOWS_FULL, ROWS_FULL = 0, 1, 2

ETHERNET_MTU_ROOM = 9_216


@inlined
def hash_of(packet: np.void) -> int:
    """Hash a 5-tuple the same way in both directions."""
    one = mixed(packet.src_low ^ mixed(packet.src_high + np.int64(packet.src_port)))
    two = mixed(packet.dst_low ^ mixed(packet.dst_high + np.int64(packet.dst_port)))
    return mixed((one + two) ^ np.int64(packet.protocol))


@helper
def hash_of_flow(flow: np.void) -> int:
    """Hash a flow as its packets are hashed."""
    one = mixed(flow.a_low ^ mixed(flow.a_high + np.int64(flow.a_port)))
    two = mixed(flow.b_low ^ mixed(flow.b_high + np.int64(flow.b_port)))
    return mixed((one + two) ^ np.int64(flow.protocol))


@helper
def fill_index(flows: Table, count: int, index: npt.NDArray[np.int32]) -> None:
    """Enter all flows into the hash index."""
    mask = len(index) - 1
    for k in range(len(index)):
        index[k] = -1
    for k in range(count):
        if flows[k].used:
            slot = hash_of_flow(flows[k]) & mask
            while index[slot] >= 0:
                slot = (slot + 1) & mask
            index[slot] = k


@helper
def keep(
    packet: np.void,
    flow_index: int,
    ab: bool,
    buffer: Bytes,
    at: int,
    captured: int,
    length: int,
    path: int,
    channel: int,
    relayed: int,
    is_segment: bool,
    framed: bool,
    rare: Table,
    arena: Bytes,
    counts: Numbers,
) -> None:
    """Copy a rare packet for the parsers, within the bounds."""
    if counts[KEPT_ROWS] >= MOST_RARE_ROWS or counts[KEPT_BYTES] + captured > MOST_RARE_BYTES:
        counts[LOST_ROWS] += 1
        return
    row = rare[counts[N_RARE]]
    row.time_ns = packet.time_ns
    row.frame = packet.frame
    row.at = counts[N_BYTES]
    row.captured = captured
    row.length = length
    row.flow = flow_index
    row.path = path
    row.tcp_seq = packet.tcp_seq
    row.tcp_ack = packet.tcp_ack
    row.tcp_window = packet.tcp_window
    row.tcp_flags = packet.tcp_flags
    row.ttl = packet.ttl
    row.channel = channel
    row.outbound_of_key = ab
    row.is_segment = is_segment
    row.fragmented = packet.fragmented
    row.framed = framed
    row.from_indication = relayed == RELAYED_BY_INDICATION
    base = counts[N_BYTES]
    for k in range(captured):
        arena[base + k] = buffer[at + k]
    counts[N_BYTES] += captured
    counts[N_RARE] += 1
    counts[KEPT_ROWS] += 1
    counts[KEPT_BYTES] += captured


@helper
def note_stun(
    packet: np.void,
    flow: np.void,
    flow_index: int,
    ab: bool,
    buffer: Bytes,
    at: int,
    captured: int,
    length: int,
    path: int,
    channel: int,
    relayed: int,
    framed: bool,
    error_code: int,
    rare: Table,
    stun: Table,
    arena: Bytes,
    counts: Numbers,
) -> None:
    """Write a row for a STUN message and keep it if it is one of the few."""
    message_type = be16(buffer, at)
    if counts[KEPT_STUN] < MOST_STUN_ROWS:
        row = stun[counts[N_STUN]]
        row.time_ns = packet.time_ns
        row.frame = packet.frame
        row.transaction_high = be32(buffer, at + 8)
        row.transaction_low = (np.uint64(be32(buffer, at + 12)) << np.uint64(32)) | np.uint64(be32(buffer, at + 16))
        row.flow = flow_index
        row.peer = path if relayed == RELAYED_BY_INDICATION else -1
        row.channel = channel
        row.message_type = message_type
        row.length = 20 + be16(buffer, at + 2)
        row.error_code = error_code
        row.outbound_of_key = ab
        row.over_tcp = framed
        counts[N_STUN] += 1
        counts[KEPT_STUN] += 1
    else:
        counts[LOST_STUN] += 1
    method = method_of(message_type)
    if method in (0x001, 0x080):
        if captured >= length:  # its row says all
            return
        flow.bindings += 1
        if flow.bindings > BINDINGS_KEPT_PER_PATH * max(flow.paths, 1):
            return
    else:
        flow.stuns += 1
        if flow.stuns > 4096:
            counts[LOST_ROWS] += 1
            return
    keep(
        packet, flow_index, ab, buffer, at, captured, length, path, channel, relayed, False, framed, rare, arena, counts
    )


@inlined
def put_media(
    packet: np.void,
    flow: np.void,
    flow_index: int,
    ab: bool,
    buffer: Bytes,
    at: int,
    captured: int,
    length: int,
    path: int,
    relayed: int,
    media: Table,
    counts: Numbers,
) -> bool:
    """Write a row for RTP or RTCP; return whether it was one."""
    side = 0 if ab else 1
    header = rtp_header_bytes(buffer, at, captured, length)
    if header > 0:
        row = media[counts[N_MEDIA]]
        read_media(buffer, at, captured, length, header, row)
        flow.media[side] += 1
    elif is_rtcp(buffer, at, captured, length):
        row = media[counts[N_MEDIA]]
        row.payload_type = RTCP
        row.ssrc = be32(buffer, at + 4)
        row.bytes = min(length, 65535)
        flow.rtcp[side] += 1
    else:
        return False
    row.time_ns = packet.time_ns
    row.flow = 2 * flow_index + side
    row.path = path
    row.relayed = relayed
    counts[N_MEDIA] += 1
    return True


@helper
def keep_dtls(
    packet: np.void,
    flow: np.void,
    flow_index: int,
    ab: bool,
    buffer: Bytes,
    at: int,
    captured: int,
    length: int,
    path: int,
    channel: int,
    relayed: int,
    framed: bool,
    rare: Table,
    arena: Bytes,
    counts: Numbers,
) -> None:
    """Keep DTLS records: the handshake, and later small ones (alerts), but not a tunnel's bulk."""
    first = buffer[at]
    if first <= 26:
        if captured >= 3 and not (buffer[at + 1] == 0xFE or (buffer[at + 1] == 1 and buffer[at + 2] == 0)):
            return
    elif first < 32 or flow.dtls[0] + flow.dtls[1] == 0:
        return  # a unified header (RFC 9147) only after a handshake
    side = 0 if ab else 1
    flow.dtls[side] += 1
    if flow.dtls[side] > 64 and (length > 64 or flow.dtls[side] > 4096):
        return
    keep(
        packet, flow_index, ab, buffer, at, captured, length, path, channel, relayed, False, framed, rare, arena, counts
    )


@helper
def inner(
    packet: np.void,
    flow: np.void,
    flow_index: int,
    ab: bool,
    buffer: Bytes,
    at: int,
    captured: int,
    length: int,
    path: int,
    channel: int,
    relayed: int,
    framed: bool,
    turn: Table,
    media: Table,
    rare: Table,
    stun: Table,
    arena: Bytes,
    counts: Numbers,
) -> None:
    """Sort what a relay carries by its first byte (RFC 7983)."""
    if captured < 1 or length < 1:
        return
    first = buffer[at]
    if 128 <= first <= 191:
        put_media(packet, flow, flow_index, ab, buffer, at, captured, length, path, relayed, media, counts)
    elif first < 4:
        if is_stun(buffer, at, captured, length):
            read_turn(buffer, at, captured, turn)
            note_stun(
                packet, flow, flow_index, ab, buffer, at, captured, length, path, channel, relayed, framed,
                turn[0].error_code, rare, stun, arena, counts,
            )  # fmt: skip
        elif is_cut_stun(buffer, at, captured, length):
            flow.bindings += 1
            if flow.bindings <= BINDINGS_KEPT_PER_PATH * max(flow.paths, 1):
                keep(
                    packet, flow_index, ab, buffer, at, captured, length, path, channel, relayed, False, framed, rare,
                    arena, counts,
                )  # fmt: skip
    elif 20 <= first <= 63:
        keep_dtls(
            packet, flow, flow_index, ab, buffer, at, captured, length, path, channel, relayed, framed, rare, arena,
            counts,
        )  # fmt: skip


@helper
def outer_stun(
    packet: np.void,
    flow: np.void,
    flow_index: int,
    ab: bool,
    buffer: Bytes,
    at: int,
    captured: int,
    length: int,
    framed: bool,
    turn: Table,
    paths: Table,
    path_counts: Numbers,
    media: Table,
    rare: Table,
    stun: Table,
    arena: Bytes,
    counts: Numbers,
) -> None:
    """Take a STUN message of the outer flow apart: indications carry others, requests say who the relay is."""
    message_type = be16(buffer, at)
    read_turn(buffer, at, captured, turn)
    t = turn[0]
    if message_type in (SEND_INDICATION, DATA_INDICATION):
        flow.is_turn = True
        towards_b = ab == (message_type == SEND_INDICATION)
        flow.relay_votes[1 if towards_b else 0] += 1
        if t.data >= 0 and t.has_peer:
            path = path_of_peer(flow, flow_index, turn, paths, path_counts)
            data = t.data
            known = max(min(t.data_bytes, at + captured - data), 0)
            inner(
                packet, flow, flow_index, ab, buffer, data, known, t.data_bytes, path, 0, RELAYED_BY_INDICATION, framed,
                turn, media, rare, stun, arena, counts,
            )  # fmt: skip
        return
    method = method_of(message_type)
    is_request = message_type & 0x0110 == 0
    if method in (0x003, 0x004, 0x008, 0x009) or (method == 0x001 and is_request and flow.is_turn):
        if method != 0x001:
            flow.is_turn = True
        flow.relay_votes[1 if ab == is_request else 0] += 1
    if message_type == CHANNEL_BIND_REQUEST and t.channel >= 0x4000 and t.has_peer:
        bind(flow, flow_index, turn, paths, path_counts)
    note_stun(
        packet, flow, flow_index, ab, buffer, at, captured, length, -1, 0, RELAYED_NOT, framed, t.error_code, rare,
        stun, arena, counts,
    )  # fmt: skip


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
def classic_stun(buffer: Bytes, at: int, captured: int, length: int) -> bool:
    """Tell a message of RFC 3489 (without cookie) by type and length."""
    if captured < 20 or be16(buffer, at + 2) + 20 != length:
        return False
    return be16(buffer, at) in (0x0001, 0x0101, 0x0111, 0x0002, 0x0102, 0x0112)


@inlined
def never_media(port: int) -> bool:
    """Ports whose packets may look like RTP by chance and never are."""
    return port in (53, 67, 68, 69, 123, 137, 138, 161, 162, 500, 514, 520, 546, 547, 1900, 5353, 5355)


@helper
def on_udp(
    packet: np.void,
    flow: np.void,
    flow_index: int,
    ab: bool,
    buffer: Bytes,
    turn: Table,
    paths: Table,
    path_counts: Numbers,
    media: Table,
    rare: Table,
    stun: Table,
    arena: Bytes,
    counts: Numbers,
) -> None:
    """Sort a UDP payload that is neither media nor ChannelData by its first byte."""
    at = packet.payload
    captured = np.int64(packet.captured)
    length = np.int64(packet.length)
    if captured < 1:
        return
    first = buffer[at]
    source = np.int64(packet.src_port)
    target = np.int64(packet.dst_port)
    if first < 4:
        if is_stun(buffer, at, captured, length):
            outer_stun(
                packet, flow, flow_index, ab, buffer, at, captured, length, False, turn, paths, path_counts, media,
                rare, stun, arena, counts,
            )  # fmt: skip
            return
        if source != 53 and target != 53:
            if classic_stun(buffer, at, captured, length):
                flow.stuns += 1
                if flow.stuns <= 1024:
                    keep(
                        packet, flow_index, ab, buffer, at, captured, length, -1, 0, RELAYED_NOT, False, False, rare,
                        arena, counts,
                    )  # fmt: skip
            return
    if source == 53 or target == 53:
        flow.others += 1
        if flow.others <= 2048:
            keep(
                packet, flow_index, ab, buffer, at, captured, length, -1, 0, RELAYED_NOT, False, False, rare, arena,
                counts,
            )  # fmt: skip
        else:
            counts[LOST_ROWS] += 1
    elif 20 <= first <= 63:
        keep_dtls(
            packet, flow, flow_index, ab, buffer, at, captured, length, -1, 0, RELAYED_NOT, False, rare, arena, counts
        )
    elif first >= 0xC0 and is_quic_long(buffer, at, captured):
        side = 0 if ab else 1
        flow.quic[side] += 1
        if flow.quic[side] <= 8 and counts[KEPT_BYTES] < TIGHT_BYTES + (8 << 20):
            keep(
                packet, flow_index, ab, buffer, at, captured, length, -1, 0, RELAYED_NOT, False, False, rare, arena,
                counts,
            )  # fmt: skip


@helper
def framer_for(flow: np.void, flow_index: int, side: int, framers: Table) -> int:
    """Find or lend the state that puts one direction of a TCP connection in order."""
    have = np.int64(flow.framer[side])
    if have >= 0 and framers[have].owner == 2 * flow_index + side:
        return have
    chosen = 0
    for k in range(FRAMERS):
        if framers[k].owner < 0:
            chosen = k
            break
        if framers[k].last_ns < framers[chosen].last_ns:
            chosen = k
    f = framers[chosen]
    f.owner = 2 * flow_index + side
    f.in_step = False
    f.filled = 0
    f.runs = 0
    flow.framer[side] = chosen
    return chosen


@helper
def take_frames(
    packet: np.void,
    flow: np.void,
    flow_index: int,
    ab: bool,
    buffer: Bytes,
    framers: Table,
    streams: Bytes,
    known: Bytes,
    turn: Table,
    paths: Table,
    path_counts: Numbers,
    media: Table,
    rare: Table,
    stun: Table,
    arena: Bytes,
    counts: Numbers,
) -> None:
    """Put a segment in order and take out the TURN frames that it completes."""
    side = 0 if ab else 1
    index = framer_for(flow, flow_index, side, framers)
    f = framers[index]
    f.last_ns = packet.time_ns
    stream = streams[index]
    seen = known[index]
    acknowledged = np.int64(flow.ack[1 - side]) if flow.acked[1 - side] != 0 else -1
    if not put_segment(
        f, stream, seen, np.int64(packet.tcp_seq), buffer, packet.payload, np.int64(packet.captured),
        np.int64(packet.length), acknowledged,
    ):  # fmt: skip
        return
    at = 0
    while True:
        size = next_frame(f, stream, seen, at)
        if size == 0:
            break
        if size < 0:
            fall_out(f)
            return
        captured = known_bytes(seen, at, size)
        if stream[at] < 4:
            if captured >= 20 and is_stun(stream, at, captured, size):
                outer_stun(
                    packet, flow, flow_index, ab, stream, at, captured, size, True, turn, paths, path_counts, media,
                    rare, stun, arena, counts,
                )  # fmt: skip
        else:
            body = be16(stream, at + 2)
            channel = be16(stream, at)
            path = path_of_channel(flow, flow_index, channel, paths, path_counts)
            inner(
                packet, flow, flow_index, ab, stream, at + 4, max(min(captured - 4, body), 0), body, path, channel,
                RELAYED_BY_CHANNEL, True, turn, media, rare, stun, arena, counts,
            )  # fmt: skip
        at += size
    drop_front(f, stream, seen, at)


@helper
def on_tcp(
    packet: np.void,
    flow: np.void,
    flow_index: int,
    ab: bool,
    buffer: Bytes,
    framers: Table,
    streams: Bytes,
    known: Bytes,
    turn: Table,
    paths: Table,
    path_counts: Numbers,
    media: Table,
    rare: Table,
    stun: Table,
    arena: Bytes,
    counts: Numbers,
) -> None:
    """Count a segment, keep the first bytes of the connection, take TURN frames out of it."""
    side = 0 if ab else 1
    flags = packet.tcp_flags
    length = np.int64(packet.length)
    sequence = np.int64(packet.tcp_seq)
    if flags & 2:
        if flags & 16:
            flow.synacks += 1
            if flow.synack_ns == 0:
                flow.synack_ns = packet.time_ns
        else:
            flow.syns += 1
            if flow.syn_ns == 0:
                flow.syn_ns = packet.time_ns
    if flags & 1:
        flow.fins += 1
        if flow.fin_ns[side] == 0:
            flow.fin_ns[side] = packet.time_ns
    if flags & 4:
        flow.resets += 1
        if flow.reset_ns[side] == 0:
            flow.reset_ns[side] = packet.time_ns
            flow.reset_ttl[side] = packet.ttl
    if packet.tcp_window == 0 and flags & 7 == 0 and flags & 16 and flow.tcp_seen[side] != 0:
        flow.zero_windows[side] += 1
    stop = (sequence + length + (1 if flags & 2 else 0) + (1 if flags & 1 else 0)) & 0xFFFFFFFF
    if flow.tcp_seen[side] == 0:
        flow.tcp_seen[side] = 1
        flow.next_seq[side] = stop
        flow.advance_ns[side] = packet.time_ns
    else:
        behind = ((np.int64(flow.next_seq[side]) - sequence + 0x80000000) & 0xFFFFFFFF) - 0x80000000
        if length > 0 and behind > 0 and not (length == 1 and behind == 1):  # the latter keeps a connection alive
            other = 1 - side
            answered = flow.acked[other] != 0 and (
                ((np.int64(flow.ack[other]) - sequence - length + 0x80000000) & 0xFFFFFFFF) - 0x80000000 >= 0
            )
            if answered or packet.time_ns - flow.advance_ns[side] > 3_000_000:  # sooner, it was only overtaken
                flow.retransmissions[side] += 1
        if ((stop - np.int64(flow.next_seq[side]) + 0x80000000) & 0xFFFFFFFF) - 0x80000000 > 0:
            flow.next_seq[side] = stop
            flow.advance_ns[side] = packet.time_ns
    if flags & 16:
        acked = np.int64(packet.tcp_ack)
        if flow.acked[side] == 0 or ((acked - np.int64(flow.ack[side]) + 0x80000000) & 0xFFFFFFFF) - 0x80000000 > 0:
            flow.ack[side] = acked
            flow.acked[side] = 1
    captured = np.int64(packet.captured)
    most = TCP_BYTES_KEPT if counts[KEPT_BYTES] < TIGHT_BYTES else 2_048
    keep_it = False
    if length > 0 and flow.kept[side] < most:
        flow.kept[side] += length
        keep_it = True
    elif flags & 7:
        flow.others += 1
        keep_it = flow.others <= 64
        captured = min(captured, 64)
    if keep_it:
        keep(
            packet, flow_index, ab, buffer, packet.payload, captured, length, -1, 0, RELAYED_NOT, True, False, rare,
            arena, counts,
        )  # fmt: skip
    if length == 0 or flow.tcp_kind == 1:
        return
    captured = np.int64(packet.captured)
    if flow.tcp_kind == 0:
        verdict = looks_like_frames(buffer, packet.payload, captured, length)
        if verdict == 2:
            flow.tcp_kind = 2
        elif verdict == 1:
            flow.frame_votes += 1
            if flow.frame_votes >= 3:
                flow.tcp_kind = 2
        flow.probed += 1
        if flow.tcp_kind == 0:
            if flow.probed >= 64 and flow.frame_votes == 0:
                flow.tcp_kind = 1
            return
        flow.is_turn = True
    take_frames(
        packet, flow, flow_index, ab, buffer, framers, streams, known, turn, paths, path_counts, media, rare, stun,
        arena, counts,
    )  # fmt: skip


@helper
def start_flow(flow: np.void, packet: np.void) -> None:
    """Begin a flow; a SYN/ACK says that the other side began it."""
    swapped = packet.protocol == TCP and packet.tcp_flags & 0x12 == 0x12
    if swapped:
        flow.a_high = packet.dst_high
        flow.a_low = packet.dst_low
        flow.b_high = packet.src_high
        flow.b_low = packet.src_low
        flow.a_port = packet.dst_port
        flow.b_port = packet.src_port
    else:
        flow.a_high = packet.src_high
        flow.a_low = packet.src_low
        flow.b_high = packet.dst_high
        flow.b_low = packet.dst_low
        flow.a_port = packet.src_port
        flow.b_port = packet.dst_port
    flow.protocol = packet.protocol
    flow.used = True
    flow.is_turn = False
    flow.tcp_kind = 0
    flow.first_path = -1
    flow.paths = 0
    flow.first_ns = packet.time_ns
    for k in range(2):
        flow.packets[k] = 0
        flow.bytes[k] = 0
        flow.payload_bytes[k] = 0
        flow.last_ns[k] = 0
        flow.payload_packets[k] = 0
        flow.media[k] = 0
        flow.rtcp[k] = 0
        flow.ttl_min[k] = 255
        flow.ttl_max[k] = 0
        flow.tcp_seen[k] = 0
        flow.acked[k] = 0
        flow.next_seq[k] = 0
        flow.ack[k] = 0
        flow.advance_ns[k] = 0
        flow.retransmissions[k] = 0
        flow.zero_windows[k] = 0
        flow.kept[k] = 0
        flow.framer[k] = -1
        flow.dtls[k] = 0
        flow.quic[k] = 0
        flow.relay_votes[k] = 0
        flow.reset_ns[k] = 0
        flow.fin_ns[k] = 0
        flow.reset_ttl[k] = 0
    forget_speech(flow)
    flow.bindings = 0
    flow.stuns = 0
    flow.others = 0
    flow.syn_ns = 0
    flow.synack_ns = 0
    flow.syns = 0
    flow.synacks = 0
    flow.resets = 0
    flow.fins = 0
    flow.frame_votes = 0
    flow.probed = 0


@kernel
def track(
    buffer: Bytes,
    side_buffer: Bytes,
    packets: Table,
    start: int,
    stop: int,
    flows: Table,
    index: npt.NDArray[np.int32],
    free: npt.NDArray[np.int32],
    flow_counts: Numbers,
    rebuild: bool,
    framers: Table,
    streams: Bytes,
    known: Bytes,
    turn: Table,
    paths: Table,
    path_counts: Numbers,
    media: Table,
    rare: Table,
    stun: Table,
    arena: Bytes,
    spans: Table,
    span_counts: Numbers,
    counts: Numbers,
) -> tuple[int, int]:
    """Attribute packets to flows and write what they carry to the tables.

    Parameters
    ----------
    buffer, side_buffer
        Bytes of the block, and of datagrams put together from fragments.
    packets, start, stop
        Rows of ``ccp_assess.wire.columns.PACKET``.
    flows, index, free, flow_counts, rebuild
        Flows, their hash index, rows that may be used again, (rows used, free rows); whether to make the index anew.
    framers, streams, known
        State of TURN over TCP.
    turn, paths, path_counts
        The message at hand; paths through relays.
    media, rare, stun, arena, spans, span_counts, counts
        What is found.

    Returns
    -------
    next_packet, status
        First packet that was not attributed, and why it stopped there.
    """
    mask = len(index) - 1
    if rebuild:
        fill_index(flows, flow_counts[0], index)
    for number in range(start, stop):
        if (
            counts[N_MEDIA] + ROOM_FOR_ONE_PACKET > len(media)
            or counts[N_RARE] + ROOM_FOR_ONE_PACKET > len(rare)
            or counts[N_STUN] + ROOM_FOR_ONE_PACKET > len(stun)
            or counts[N_BYTES] + BYTES_FOR_ONE_PACKET > len(arena)
        ):
            return number, ROWS_FULL
        packet = packets[number]
        slot = hash_of(packet) & mask
        flow_index = -1
        ab = True
        while True:
            candidate = np.int64(index[slot])
            if candidate < 0:
                break
            f = flows[candidate]
            if f.protocol == packet.protocol:
                if (
                    f.a_low == packet.src_low
                    and f.b_low == packet.dst_low
                    and f.a_port == packet.src_port
                    and f.b_port == packet.dst_port
                    and f.a_high == packet.src_high
                    and f.b_high == packet.dst_high
                ):
                    flow_index = candidate
                    break
                if (
                    f.b_low == packet.src_low
                    and f.a_low == packet.dst_low
                    and f.b_port == packet.src_port
                    and f.a_port == packet.dst_port
                    and f.b_high == packet.src_high
                    and f.a_high == packet.dst_high
                ):
                    flow_index = candidate
                    ab = False
                    break
            slot = (slot + 1) & mask
        if flow_index < 0:
            if flow_counts[1] > 0:
                flow_counts[1] -= 1
                flow_index = np.int64(free[flow_counts[1]])
            elif flow_counts[0] < len(flows):
                flow_index = flow_counts[0]
                flow_counts[0] += 1
            else:
                return number, FLOWS_FULL
            start_flow(flows[flow_index], packet)
            index[slot] = flow_index
            ab = flows[flow_index].a_low == packet.src_low and flows[flow_index].a_port == packet.src_port
        flow = flows[flow_index]
        side = 0 if ab else 1
        flow.packets[side] += 1
        flow.bytes[side] += packet.bytes
        flow.last_ns[side] = packet.time_ns
        flow.ttl_min[side] = min(flow.ttl_min[side], packet.ttl)
        flow.ttl_max[side] = max(flow.ttl_max[side], packet.ttl)
        length = np.int64(packet.length)
        if length > 0:
            flow.payload_bytes[side] += length
            flow.payload_packets[side] += 1
        protocol = packet.protocol
        source = side_buffer if packet.aside else buffer
        if protocol == UDP:
            at = packet.payload
            captured = np.int64(packet.captured)
            if captured < 1:
                continue
            first = source[at]
            path = -1
            relayed = RELAYED_NOT
            if 0x40 <= first <= 0x4F and captured >= 5:
                body = be16(source, at + 2)
                if 4 + body == length or (4 + body < length and 4 + (body + 3) // 4 * 4 == length):
                    path = path_of_channel(flow, flow_index, be16(source, at), paths, path_counts)
                    flow.is_turn = True
                    relayed = RELAYED_BY_CHANNEL
                    at += 4
                    captured = min(captured - 4, body)
                    length = body
                    first = source[at] if captured > 0 else np.uint8(255)
                elif packet.src_port != 53 and packet.dst_port != 53:
                    continue  # a DNS message may begin like a channel: its number is random
            if 128 <= first <= 191 and (
                relayed == RELAYED_BY_CHANNEL
                or not (never_media(np.int64(packet.src_port)) or never_media(np.int64(packet.dst_port)))
            ):
                put_media(packet, flow, flow_index, ab, source, at, captured, length, path, relayed, media, counts)
            elif relayed == RELAYED_BY_CHANNEL:
                inner(
                    packet, flow, flow_index, ab, source, at, captured, length, path,
                    np.int64(paths[path].channel) if path >= 0 else 0, relayed, False, turn, media, rare, stun, arena,
                    counts,
                )  # fmt: skip
            else:
                on_udp(packet, flow, flow_index, ab, source, turn, paths, path_counts, media, rare, stun, arena, counts)
        elif protocol == TCP:
            if length > 0 and flow.tcp_kind != 2:
                note_speech(flow, flow_index, side, packet.time_ns, length, spans, span_counts)
            on_tcp(
                packet, flow, flow_index, ab, source, framers, streams, known, turn, paths, path_counts, media, rare,
                stun, arena, counts,
            )  # fmt: skip
        elif protocol in (ICMP, ICMPV6):
            flow.others += 1
            if flow.others <= 4096:
                keep(
                    packet, flow_index, ab, source, packet.payload, min(np.int64(packet.captured), 2_048), length, -1,
                    0, RELAYED_NOT, False, False, rare, arena, counts,
                )  # fmt: skip
            else:
                counts[LOST_ROWS] += 1
    return stop, DONE


class TrackerState:
    """What tracking remembers between blocks; of bounded size."""

    def __init__(self, *, most_flows: int = MOST_FLOWS) -> None:
        self.most_flows = most_flows
        self.flows: Table = np.zeros(min(FIRST_FLOWS, most_flows), FLOW)
        self.index: npt.NDArray[np.int32] = np.full(4 * len(self.flows), -1, np.int32)
        self.free: npt.NDArray[np.int32] = np.empty(most_flows, np.int32)
        self.flow_counts: Numbers = np.zeros(2, np.int64)
        self.rebuild = False
        self.framers: Table = np.zeros(FRAMERS, FRAMER)
        self.framers["owner"] = -1
        self.streams: Bytes = np.empty((FRAMERS, FRAMER_BYTES), np.uint8)
        self.known: Bytes = np.empty((FRAMERS, FRAMER_BYTES), np.uint8)
        self.turn: Table = np.zeros(1, TURN)
        self.paths: Table = np.empty(PATHS, PATH)
        self.path_counts: Numbers = np.zeros(2, np.int64)
        self.rare: Table = np.empty(3 * ROOM_FOR_ONE_PACKET, RARE)
        self.stun: Table = np.empty(3 * ROOM_FOR_ONE_PACKET, STUN_ROW)
        self.arena: Bytes = np.empty(1 << 20, np.uint8)
        self.spans: Table = np.zeros(MOST_SPANS, SPAN)
        self.span_counts: Numbers = np.zeros(2, np.int64)
        self.counts: Numbers = np.zeros(COUNTS, np.int64)
        self.rare_rows: list[Table] = []
        self.rare_bytes: list[bytes] = []
        self.stun_rows: list[Table] = []
        self.evicted_flows = 0
        self.evicted_packets = 0
        self.evicted_targets: dict[tuple[int, int, int, int], int] = {}
        self.crowded = 0

    def make_room_for_flows(self) -> None:
        """Double the table of flows, or evict what was least of a conversation."""
        if len(self.flows) < self.most_flows:
            grown = np.zeros(min(2 * len(self.flows), self.most_flows), FLOW)
            grown[: len(self.flows)] = self.flows
            self.flows = grown
            self.index = np.full(4 * len(grown), -1, np.int32)
        else:
            self._evict()
        self.rebuild = True

    def _evict(self) -> None:
        flows = self.flows
        packets = flows["packets"].sum(axis=1)
        last = flows["last_ns"].max(axis=1)
        bound = flows["is_turn"] | (flows["media"].sum(axis=1) > 0) | (flows["span"] >= 0) | ~flows["used"]
        lonely = ~bound & (packets <= 3) & (flows["packets"].min(axis=1) == 0)
        wanted = len(flows) // 4
        candidates = np.flatnonzero(lonely)
        if len(candidates) < wanted:  # all of them are conversations: the longest idle ones go
            self.crowded += 1
            candidates = np.flatnonzero(~bound)
        if len(candidates) < 16:  # only calls are left: nothing may go, so the largest number of them is raised
            self.most_flows *= 2
            self.free = np.zeros(self.most_flows, np.int32)
            grown = np.zeros(self.most_flows, FLOW)
            grown[: len(flows)] = flows
            self.flows = grown
            self.index = np.full(4 * len(grown), -1, np.int32)
            return
        order = np.argsort(last[candidates], kind="stable")
        gone = candidates[order[: max(len(order) * 3 // 4, 1)]]
        self.evicted_flows += len(gone)
        self.evicted_packets += int(packets[gone].sum())
        target, counted = np.unique(flows[["b_high", "b_low", "b_port", "protocol"]][gone], return_counts=True)
        for row, count in zip(
            target[counted.argsort()[::-1]][:8].tolist(), sorted(counted.tolist())[::-1], strict=False
        ):
            self.evicted_targets[row] = self.evicted_targets.get(row, 0) + count
        flows["used"][gone] = False
        self.free[: len(gone)] = gone
        self.flow_counts[1] = len(gone)
        is_gone = np.zeros(len(flows), np.bool_)
        is_gone[gone] = True
        self.collect()
        for rows in (*self.rare_rows, *self.stun_rows):
            known = rows["flow"] >= 0
            rows["flow"][known & is_gone[np.maximum(rows["flow"], 0)]] = -1

    def collect(self) -> None:
        """Move what was found from the working tables to the lists."""
        counts = self.counts
        if counts[N_RARE]:
            rows = self.rare[: counts[N_RARE]].copy()
            self.rare_rows.append(rows)
            self.rare_bytes.append(self.arena[: counts[N_BYTES]].tobytes())
        if counts[N_STUN]:
            self.stun_rows.append(self.stun[: counts[N_STUN]].copy())
        counts[N_RARE] = counts[N_STUN] = counts[N_BYTES] = 0

    def run(
        self, buffer: Bytes, side_buffer: Bytes, packets: Table, start: int, stop: int, media: Table
    ) -> tuple[int, int]:
        """Track packets until they end or the media rows are full.

        Parameters
        ----------
        buffer, side_buffer, packets, start, stop
            As for `track`.
        media
            Rows to fill from the first one.

        Returns
        -------
        next_packet, media_rows
            First packet not attributed yet, and rows filled.
        """
        counts = self.counts
        counts[N_MEDIA] = 0
        while True:
            start, status = track(
                buffer, side_buffer, packets, start, stop, self.flows, self.index, self.free, self.flow_counts,
                self.rebuild, self.framers, self.streams, self.known, self.turn, self.paths, self.path_counts, media,
                self.rare, self.stun, self.arena, self.spans, self.span_counts, counts,
            )  # fmt: skip
            self.rebuild = False
            if status == FLOWS_FULL:
                self.make_room_for_flows()
            elif (
                counts[N_RARE] > len(self.rare) // 2
                or counts[N_STUN] > len(self.stun) // 2
                or (counts[N_BYTES] > len(self.arena) // 2)
            ):
                self.collect()
            if status == DONE or counts[N_MEDIA] + ROOM_FOR_ONE_PACKET > len(media):
                return start, int(counts[N_MEDIA])
            if status == ROWS_FULL:
                self.collect()
