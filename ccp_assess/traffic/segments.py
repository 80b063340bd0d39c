"""TCP segments, compiled: counted, their first bytes kept, TURN frames taken out of the byte stream."""

# ruff: noqa: FBT003, PLR0917  (compiled loops take plain positional arguments)

# mypy: disable-error-code="attr-defined,return-value,assignment,arg-type,operator,no-any-return"
# (numpy gives the fields of rows no types; the compiler checks them)

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ccp_assess.traffic.payloads import (
    KEPT_BYTES,
    TIGHT_BYTES,
    Arrival,
    Found,
    Piece,
    Relays,
    inner,
    keep,
    outer_stun,
    piece_of,
    plain_piece,
)
from ccp_assess.wire.compiled import helper, inlined
from ccp_assess.wire.datagram import TCP_BYTES_KEPT
from ccp_assess.wire.framing import FRAMERS, drop_front, fall_out, known_bytes, next_frame, put_segment
from ccp_assess.wire.link import be16
from ccp_assess.wire.rtp import RELAYED_BY_CHANNEL, RELAYED_NOT
from ccp_assess.wire.turn import is_stun, looks_like_frames, path_of_channel

Bytes = npt.NDArray[np.uint8]
Table = npt.NDArray[np.void]

REORDERING_NS = 3_000_000
"""A segment that is overtaken comes within this time; a repeated one takes longer."""


class Framing(NamedTuple):
    """What puts TCP byte streams in order: state, bytes, and which of them are known."""

    framers: Table
    streams: Bytes
    known: Bytes


@inlined
def ahead(one: int, other: int) -> int:
    """Say how far a sequence number lies ahead of another one (RFC 9293, section 3.4)."""
    return ((one - other + 0x80000000) & 0xFFFFFFFF) - 0x80000000


@helper
def framer_for(arrival: Arrival, framers: Table) -> int:
    """Find or lend the state that puts one direction of a TCP connection in order."""
    owner = 2 * arrival.flow_index + arrival.side
    have = np.int64(arrival.flow.framer[arrival.side])
    if have >= 0 and framers[have].owner == owner:
        return have
    chosen = 0
    for k in range(FRAMERS):
        if framers[k].owner < 0:
            chosen = k
            break
        if framers[k].last_ns < framers[chosen].last_ns:
            chosen = k
    f = framers[chosen]
    f.owner = owner
    f.in_step = False
    f.filled = 0
    f.runs = 0
    arrival.flow.framer[arrival.side] = chosen
    return chosen


@helper
def take_frames(arrival: Arrival, buffer: Bytes, piece: Piece, framing: Framing, relays: Relays, found: Found) -> None:
    """Put a segment in order and take out the TURN frames that it completes."""
    flow, other = arrival.flow, 1 - arrival.side
    index = framer_for(arrival, framing.framers)
    f = framing.framers[index]
    f.last_ns = arrival.packet.time_ns
    stream = framing.streams[index]
    known = framing.known[index]
    acknowledged = np.int64(flow.ack[other]) if flow.acked[other] != 0 else -1
    sequence = np.int64(arrival.packet.tcp_seq)
    if not put_segment(f, stream, known, sequence, buffer, piece.at, piece.captured, piece.length, acknowledged):
        return
    at = 0
    while True:
        size = next_frame(f, stream, known, at)
        if size == 0:
            break
        if size < 0:
            fall_out(f)
            return
        captured = known_bytes(known, at, size)
        if stream[at] < 4:
            if captured >= 20 and is_stun(stream, at, captured, size):
                message = piece_of(at, captured, size, -1, 0, RELAYED_NOT, True)
                outer_stun(arrival, stream, message, relays, found)
        else:
            body = be16(stream, at + 2)
            channel = be16(stream, at)
            path = path_of_channel(flow, arrival.flow_index, channel, relays.paths, relays.path_counts)
            carried = max(min(captured - 4, body), 0)
            data = piece_of(at + 4, carried, body, path, channel, RELAYED_BY_CHANNEL, True)
            inner(arrival, stream, data, relays, found)
        at += size
    drop_front(f, stream, known, at)


@inlined
def count_segment(arrival: Arrival, length: int) -> None:
    """Count handshakes, ends, retransmissions and closed windows."""
    packet, flow, side = arrival.packet, arrival.flow, arrival.side
    flags = packet.tcp_flags
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
        behind = ahead(np.int64(flow.next_seq[side]), sequence)
        if length > 0 and behind > 0 and not (length == 1 and behind == 1):  # the latter keeps a connection alive
            other = 1 - side
            answered = flow.acked[other] != 0 and ahead(np.int64(flow.ack[other]), sequence + length) >= 0
            if answered or packet.time_ns - flow.advance_ns[side] > REORDERING_NS:
                flow.retransmissions[side] += 1
        if ahead(stop, np.int64(flow.next_seq[side])) > 0:
            flow.next_seq[side] = stop
            flow.advance_ns[side] = packet.time_ns
    if flags & 16:
        acked = np.int64(packet.tcp_ack)
        if flow.acked[side] == 0 or ahead(acked, np.int64(flow.ack[side])) > 0:
            flow.ack[side] = acked
            flow.acked[side] = 1


@helper
def on_tcp(arrival: Arrival, buffer: Bytes, framing: Framing, relays: Relays, found: Found) -> None:
    """Count a segment, keep the first bytes of the connection, take TURN frames out of it."""
    packet, flow, side = arrival.packet, arrival.flow, arrival.side
    piece = plain_piece(packet.payload, packet.captured, packet.length)
    count_segment(arrival, piece.length)
    most = TCP_BYTES_KEPT if found.counts[KEPT_BYTES] < TIGHT_BYTES else 2_048
    if piece.length > 0 and flow.kept[side] < most:
        flow.kept[side] += piece.length
        keep(arrival, buffer, piece, True, found)
    elif packet.tcp_flags & 7:
        flow.others += 1
        if flow.others <= 64:
            keep(arrival, buffer, plain_piece(piece.at, min(piece.captured, 64), piece.length), True, found)
    if piece.length == 0 or flow.tcp_kind == 1:
        return
    if flow.tcp_kind == 0:
        verdict = looks_like_frames(buffer, piece.at, piece.captured, piece.length)
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
    take_frames(arrival, buffer, piece, framing, relays, found)
