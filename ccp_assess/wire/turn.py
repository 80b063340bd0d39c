"""What the compiled loop must understand of STUN and TURN: enough to find media inside (RFC 8489, 8656, 7983)."""

# mypy: disable-error-code="attr-defined,return-value,assignment,arg-type,operator,no-any-return"
# (numpy gives the fields of rows no types; the compiler checks them)

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ccp_assess.wire.compiled import helper, inlined
from ccp_assess.wire.ip import V4_PREFIX
from ccp_assess.wire.link import be16, be32

Bytes = npt.NDArray[np.uint8]
Table = npt.NDArray[np.void]

COOKIE = 0x2112A442
SEND_INDICATION, DATA_INDICATION = 0x0016, 0x0017
CHANNEL_BIND_REQUEST = 0x0009

PATH = np.dtype(
    [
        ("peer_high", np.int64),
        ("peer_low", np.int64),
        ("flow", np.int32),
        ("next", np.int32),  # next path of the same flow, -1 at the end
        ("peer_port", np.uint16),
        ("channel", np.uint16),
        ("has_peer", np.bool_),
    ],
    align=True,
)
"""One way through a relay: a channel, a peer, or both once they are known to belong together."""

PATHS = 16_384
PATHS_PER_FLOW = 256

TURN = np.dtype(
    [
        ("peer_high", np.int64),
        ("peer_low", np.int64),
        ("data", np.int64),  # where DATA begins, -1 without
        ("data_bytes", np.int64),
        ("peer_port", np.int64),
        ("channel", np.int64),
        ("error_code", np.int64),
        ("has_peer", np.bool_),
    ],
    align=True,
)
"""Attributes of the message at hand; a single row is reused."""


@inlined
def is_stun(buffer: Bytes, at: int, captured: int, length: int) -> bool:
    """Tell a STUN message by its two zero bits, cookie and length."""
    if captured < 20 or buffer[at] > 63 or be32(buffer, at + 4) != COOKIE:
        return False
    body = be16(buffer, at + 2)
    # Some calling apps do not pad: with cookie and exact length it is STUN all the same.
    return body + 20 == length or (body & 3 == 0 and body + 20 < length)


@helper
def is_cut_stun(buffer: Bytes, at: int, captured: int, length: int) -> bool:
    """Tell a STUN message whose header the snaplen cut behind the cookie: no transaction, but a sign that it was."""
    return (
        8 <= captured < 20 and buffer[at] < 4 and be32(buffer, at + 4) == COOKIE and be16(buffer, at + 2) + 20 == length
    )


@inlined
def method_of(message_type: int) -> int:
    """Take the method out of a message type (RFC 8489, section 5)."""
    return (message_type & 0xF) | ((message_type & 0xE0) >> 1) | ((message_type & 0x3E00) >> 2)


@helper
def read_turn(buffer: Bytes, at: int, captured: int, turn: Table) -> None:
    """Read the attributes that lead to media and to errors into ``turn[0]``."""
    t = turn[0]
    t.data = -1
    t.data_bytes = 0
    t.channel = 0
    t.error_code = 0
    t.has_peer = False
    end = at + min(captured, 20 + be16(buffer, at + 2))
    here = at + 20
    while here + 4 <= end:
        kind = be16(buffer, here)
        size = be16(buffer, here + 2)
        body = here + 4
        if kind == 0x0013:
            t.data = body
            t.data_bytes = size
        elif kind == 0x0012 and body + 8 <= end:
            family = buffer[body + 1]
            t.peer_port = be16(buffer, body + 2) ^ (COOKIE >> 16)
            if family == 1:
                t.peer_high = 0
                t.peer_low = V4_PREFIX | (be32(buffer, body + 4) ^ COOKIE)
                t.has_peer = True
            elif family == 2 and body + 20 <= end:
                t.peer_high = ((be32(buffer, body + 4) ^ COOKIE) << 32) | (
                    be32(buffer, body + 8) ^ be32(buffer, at + 8)
                )
                t.peer_low = ((be32(buffer, body + 12) ^ be32(buffer, at + 12)) << 32) | (
                    be32(buffer, body + 16) ^ be32(buffer, at + 16)
                )
                t.has_peer = True
        elif kind == 0x000C and body + 2 <= end:
            t.channel = be16(buffer, body)
        elif kind == 0x0009 and body + 4 <= end:
            t.error_code = (np.int64(buffer[body + 2]) & 7) * 100 + np.int64(buffer[body + 3]) % 100
        here = body + (size + 3) // 4 * 4


@helper
def new_path(flow: np.void, flow_index: int, paths: Table, path_counts: npt.NDArray[np.int64]) -> int:
    """Add a path to a flow; -1 if there are too many."""
    if path_counts[0] >= PATHS or flow.paths >= PATHS_PER_FLOW:
        path_counts[1] += 1
        return -1
    index = path_counts[0]
    path_counts[0] += 1
    p = paths[index]
    p.flow = flow_index
    p.next = flow.first_path
    p.channel = 0
    p.has_peer = False
    flow.first_path = index
    flow.paths += 1
    return index


@inlined
def path_of_channel(
    flow: np.void, flow_index: int, channel: int, paths: Table, path_counts: npt.NDArray[np.int64]
) -> int:
    """Find or add the path that a channel stands for."""
    index = np.int64(flow.first_path)
    while index >= 0:
        if paths[index].channel == channel:
            return index
        index = np.int64(paths[index].next)
    index = new_path(flow, flow_index, paths, path_counts)
    if index >= 0:
        paths[index].channel = channel
    return index


@helper
def find_peer(flow: np.void, turn: Table, paths: Table) -> int:
    """Find the path to a peer; -1 if there is none yet."""
    t = turn[0]
    index = np.int64(flow.first_path)
    while index >= 0:
        p = paths[index]
        if p.has_peer and p.peer_low == t.peer_low and p.peer_high == t.peer_high and p.peer_port == t.peer_port:
            return index
        index = np.int64(p.next)
    return -1


@helper
def set_peer(path: np.void, turn: Table) -> None:
    """Note the peer of a path."""
    t = turn[0]
    path.peer_high = t.peer_high
    path.peer_low = t.peer_low
    path.peer_port = t.peer_port
    path.has_peer = True


@helper
def path_of_peer(flow: np.void, flow_index: int, turn: Table, paths: Table, path_counts: npt.NDArray[np.int64]) -> int:
    """Find or add the path to the peer that an indication names."""
    index = find_peer(flow, turn, paths)
    if index < 0:
        index = new_path(flow, flow_index, paths, path_counts)
        if index >= 0:
            set_peer(paths[index], turn)
    return index


@helper
def bind(flow: np.void, flow_index: int, turn: Table, paths: Table, path_counts: npt.NDArray[np.int64]) -> None:
    """Join a channel and a peer as a ChannelBind request says."""
    t = turn[0]
    by_peer = find_peer(flow, turn, paths)
    by_channel = -1
    index = np.int64(flow.first_path)
    while index >= 0:
        if paths[index].channel == t.channel:
            by_channel = index
            break
        index = np.int64(paths[index].next)
    if by_channel >= 0:
        p = paths[by_channel]
        if by_channel == by_peer:
            return
        if not p.has_peer and by_peer < 0:  # the capture began in the middle: now the channel's peer is known
            set_peer(p, turn)
            return
        p.channel = 0  # the number was bound to another peer before
    if by_peer < 0:
        by_peer = path_of_peer(flow, flow_index, turn, paths, path_counts)
    if by_peer >= 0:
        paths[by_peer].channel = t.channel


@helper
def frame_bytes(buffer: Bytes, at: int, available: int) -> int:
    """Return the length of the TURN frame that begins here; 0 if none does, -1 if too little is there."""
    if available < 4:
        return -1
    first = buffer[at]
    body = be16(buffer, at + 2)
    if 0x40 <= first <= 0x4F:
        return 4 + (body + 3) // 4 * 4
    if first < 4 and body & 3 == 0:
        if available >= 8 and be32(buffer, at + 4) != COOKIE:
            return 0
        return 20 + body
    return 0


@helper
def looks_like_frames(buffer: Bytes, at: int, captured: int, length: int) -> int:
    """Judge a TCP segment: 2 if it begins with a STUN message, 1 if it is a chain of ChannelData, else 0."""
    if captured >= 20 and buffer[at] < 4 and is_stun(buffer, at, captured, 65_535 + 20):
        return 2
    if captured < 5 or buffer[at] < 0x40 or buffer[at] > 0x4F:
        return 0
    here = 0
    while here < length:
        if here + 5 > captured:  # cut by the snaplen: the chain so far must do, but not a lone header
            return 1 if here > 0 else 0
        size = frame_bytes(buffer, at + here, captured - here)
        if size <= 4:
            return 0
        if 0x40 <= buffer[at + here] <= 0x4F:
            inner = buffer[at + here + 4]
            if not (inner < 4 or 20 <= inner <= 63 or 128 <= inner <= 191):
                return 0
        here += size
    return 1 if here == length else 0
