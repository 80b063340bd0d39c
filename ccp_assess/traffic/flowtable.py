"""Flows while they are counted: one row per 5-tuple of both directions, found through a hash index."""


# mypy: disable-error-code="attr-defined,return-value,assignment,arg-type,operator,no-any-return"
# (numpy gives the fields of rows no types; the compiler checks them)

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ccp_assess.traffic.spans import FLOW_FIELDS, forget_speech
from ccp_assess.wire.compiled import helper, inlined
from ccp_assess.wire.hashing import EMPTY, entry_of, has_bits_of, row_of
from ccp_assess.wire.ip import TCP

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


@inlined
def hash_of_end(high: int, low: int, port: int) -> int:
    """Scatter address and port of one end: odd constants (SplitMix64) multiply, the high half goes into the low one."""
    z = np.uint64(low) + np.uint64(high) * np.uint64(0x9E3779B97F4A7C15) + (np.uint64(port) << np.uint64(40))
    z *= np.uint64(0xBF58476D1CE4E5B9)
    return np.int64(z ^ (z >> np.uint64(32)))


@inlined
def hash_of_ends(one: int, two: int, protocol: int) -> int:
    """Join the hashes of both ends, the same way in both directions."""
    z = (np.uint64(one + two) ^ np.uint64(protocol)) * np.uint64(0x94D049BB133111EB)
    return np.int64(z ^ (z >> np.uint64(32)))


@inlined
def hash_of_packet(packet: np.void) -> int:
    """Hash the 5-tuple of a packet."""
    return hash_of_ends(
        hash_of_end(packet.src_high, packet.src_low, np.int64(packet.src_port)),
        hash_of_end(packet.dst_high, packet.dst_low, np.int64(packet.dst_port)),
        np.int64(packet.protocol),
    )


@inlined
def hash_of_flow(flow: np.void) -> int:
    """Hash a flow as its packets are hashed."""
    return hash_of_ends(
        hash_of_end(flow.a_high, flow.a_low, np.int64(flow.a_port)),
        hash_of_end(flow.b_high, flow.b_low, np.int64(flow.b_port)),
        np.int64(flow.protocol),
    )


@helper
def fill_index(flows: Table, count: int, index: Numbers) -> None:
    """Enter all flows into the index."""
    mask = len(index) - 1
    for k in range(len(index)):
        index[k] = EMPTY
    for k in range(count):
        if flows[k].used:
            digest = hash_of_flow(flows[k])
            slot = digest & mask
            while index[slot] >= 0:
                slot = (slot + 1) & mask
            index[slot] = entry_of(digest, k)


@inlined
def find_flow(packet: np.void, digest: int, flows: Table, index: Numbers) -> tuple[int, int, int]:
    """Look a packet's flow up.

    Parameters
    ----------
    packet, digest
        Row of ``ccp_assess.wire.columns.PACKET`` and the hash of its 5-tuple.
    flows, index
        Flows and their index.

    Returns
    -------
    flow_index, side, slot
        Row of the flow (-1 if there is none yet), 0 from a to b or 1 from b to a, place in the index.
    """
    mask = len(index) - 1
    slot = digest & mask
    src_port, dst_port = np.int64(packet.src_port), np.int64(packet.dst_port)
    while True:
        entry = index[slot]
        if entry < 0:
            return -1, 0, slot
        if has_bits_of(entry, digest):
            f = flows[row_of(entry)]
            a_port, b_port = np.int64(f.a_port), np.int64(f.b_port)
            along = (
                (f.a_low ^ packet.src_low) | (f.b_low ^ packet.dst_low) | (a_port ^ src_port) | (b_port ^ dst_port)
                | (f.a_high ^ packet.src_high) | (f.b_high ^ packet.dst_high)
            )  # fmt: skip
            against = (
                (f.b_low ^ packet.src_low) | (f.a_low ^ packet.dst_low) | (b_port ^ src_port) | (a_port ^ dst_port)
                | (f.b_high ^ packet.src_high) | (f.a_high ^ packet.dst_high)
            )  # fmt: skip
            # The direction is a coin's toss, which no processor foresees: nothing here branches on it.
            if min(np.uint64(along), np.uint64(against)) == 0 and f.protocol == packet.protocol:
                return row_of(entry), np.int64(along != 0), slot
        slot = (slot + 1) & mask


@helper
def start_flow(flow: np.void, packet: np.void) -> int:
    """Begin a flow and return the side of its first packet; a SYN/ACK says that the other side began it."""
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
    is_to_itself = (
        packet.src_low == packet.dst_low and packet.src_high == packet.dst_high and packet.src_port == packet.dst_port
    )
    return 1 if swapped and not is_to_itself else 0
