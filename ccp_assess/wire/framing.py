"""TURN over TCP: the byte stream of one direction is put in order and cut into its frames.

A frame arrives with the segment that completes it. What the capture missed (or the snaplen cut) is jumped over at the
next segment that begins with a frame.
"""

# ruff: noqa: PLR0917  (compiled loops take plain positional arguments)

# mypy: disable-error-code="attr-defined,return-value,assignment,arg-type,operator,no-any-return,misc"
# (numpy gives the fields of rows no types; the compiler checks them)

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ccp_assess.wire.compiled import helper
from ccp_assess.wire.turn import frame_bytes, looks_like_frames

Bytes = npt.NDArray[np.uint8]
Table = npt.NDArray[np.void]

FRAMER_BYTES = 32_768
FRAMERS = 256
OUT_OF_ORDER_RUNS = 16

FRAMER = np.dtype(
    [
        ("base", np.uint32),  # sequence number of the first byte in the buffer
        ("filled", np.int64),  # bytes in order from there
        ("runs", np.int64),  # pieces that came too early
        ("run_start", np.int64, (OUT_OF_ORDER_RUNS,)),
        ("run_stop", np.int64, (OUT_OF_ORDER_RUNS,)),
        ("last_ns", np.int64),
        ("owner", np.int32),  # twice the flow's index plus direction, -1 if free
        ("in_step", np.bool_),
        ("lost_step", np.int64),  # times that it had to find the frames again
    ],
    align=True,
)
"""State of one direction."""


@helper
def fall_out(framer: np.void) -> None:
    """Forget what is there and wait for a segment that begins with a frame."""
    framer.in_step = False
    framer.filled = 0
    framer.runs = 0
    framer.lost_step += 1


@helper
def drop_front(framer: np.void, stream: Bytes, known: Bytes, count: int) -> None:
    """Take bytes off the front of the buffer."""
    if count <= 0:
        return
    last = framer.filled
    for k in range(framer.runs):
        last = max(last, framer.run_stop[k])
    for k in range(count, last):
        stream[k - count] = stream[k]
        known[k - count] = known[k]
    for k in range(max(last - count, 0), last):
        known[k] = 0
    framer.base = (np.int64(framer.base) + count) & 0xFFFFFFFF
    framer.filled = max(framer.filled - count, 0)
    for k in range(framer.runs):
        framer.run_start[k] -= count
        framer.run_stop[k] -= count


@helper
def absorb(framer: np.void) -> None:
    """Join pieces that came early to the bytes in order."""
    joined = True
    while joined:
        joined = False
        for k in range(framer.runs):
            if framer.run_start[k] <= framer.filled:
                framer.filled = max(framer.filled, framer.run_stop[k])
                framer.runs -= 1
                framer.run_start[k] = framer.run_start[framer.runs]
                framer.run_stop[k] = framer.run_stop[framer.runs]
                joined = True
                break


@helper
def put_segment(
    framer: np.void,
    stream: Bytes,
    known: Bytes,
    sequence: int,
    buffer: Bytes,
    at: int,
    captured: int,
    length: int,
    acknowledged: int,
) -> bool:
    """Add a segment; return whether there are bytes in order to look at.

    ``acknowledged`` is the highest number the other side acknowledged, -1 if none: what lies before it and is not here
    will never come.
    """
    if framer.in_step:
        relative = ((sequence - np.int64(framer.base) + 0x80000000) & 0xFFFFFFFF) - 0x80000000
        if relative < -2 * FRAMER_BYTES or relative + length > FRAMER_BYTES:
            fall_out(framer)
    if not framer.in_step:
        if looks_like_frames(buffer, at, captured, length) == 0 or length > FRAMER_BYTES:
            return False
        framer.in_step = True
        framer.base = sequence & 0xFFFFFFFF
        framer.filled = 0
        framer.runs = 0
        for k in range(FRAMER_BYTES):
            known[k] = 0
    relative = ((sequence - np.int64(framer.base) + 0x80000000) & 0xFFFFFFFF) - 0x80000000
    if relative < 0:
        over = -relative
        if over >= length:
            return False
        at += over
        captured = max(captured - over, 0)
        length -= over
        relative = 0
    for k in range(captured):
        stream[relative + k] = buffer[at + k]
        known[relative + k] = 1
    if relative <= framer.filled:
        framer.filled = max(framer.filled, relative + length)
        absorb(framer)
        return True
    if framer.runs < OUT_OF_ORDER_RUNS:
        framer.run_start[framer.runs] = relative
        framer.run_stop[framer.runs] = relative + length
        framer.runs += 1
    if acknowledged >= 0:
        reached = ((acknowledged - np.int64(framer.base) + 0x80000000) & 0xFFFFFFFF) - 0x80000000
        first = framer.run_start[0]
        for k in range(1, framer.runs):
            first = min(first, framer.run_start[k])
        if reached >= first:  # received over there, never captured here
            drop_front(framer, stream, known, first)
            framer.filled = 0
            absorb(framer)
            framer.lost_step += 1
            if looks_like_frames(stream, 0, framer.filled, framer.filled) == 0:
                fall_out(framer)
                return False
            return True
    return False


@helper
def next_frame(framer: np.void, stream: Bytes, known: Bytes, at: int) -> int:
    """Return the length of the whole frame at ``at`` with its padding, 0 if none is whole yet, -1 if step is lost."""
    available = framer.filled - at
    if available < 4:
        return 0
    if known[at] == 0 or known[at + 1] == 0 or known[at + 2] == 0 or known[at + 3] == 0:
        return -1
    size = frame_bytes(stream, at, 8 if available >= 8 and known[at + 7] == 1 else 4)
    if size <= 0 or size > FRAMER_BYTES // 2:
        return -1
    return size if size <= available else 0


@helper
def known_bytes(known: Bytes, at: int, length: int) -> int:
    """Count the bytes from ``at`` on that the capture holds."""
    for k in range(length):
        if known[at + k] == 0:
            return k
    return length
