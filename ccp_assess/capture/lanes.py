"""Frames of one or several files, in order of time, gathered in blocks.

What was read and not passed on yet is little enough to be read again: where a reading is handed on to another process,
each file says from which byte on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ccp_assess.capture.files import changed
from ccp_assess.capture.reading import SPARE_BYTES, FileReader
from ccp_assess.wire.columns import FRAME, LARGEST_RECORD, PACKET, gather
from ccp_assess.wire.ip import FRAGMENT_BYTES
from ccp_assess.wire.saved import Saved, require, within

Bytes = npt.NDArray[np.uint8]
Table = npt.NDArray[np.void]

ROWS = 8_192
"""Frames of one block at most; more small ones wait for the next."""

LARGEST_BLOCK_BYTES = 1 << 26
"""Of reading in parts, so that what a state says to have been held is bounded [bytes]."""


@dataclass
class Block:
    """A piece of the capture on its way through the stages; its arrays are used again."""

    buffer: Bytes
    frames: Table
    packets: Table
    side: Bytes
    count: int = 0
    packet_count: int = 0
    tracked: int = 0
    first_number: int = 0
    done_bytes: int = 0
    watch_copies: bool = False


def new_block(capacity: int) -> Block:
    """Make room for a block.

    Parameters
    ----------
    capacity
        Of its buffer [bytes].

    Returns
    -------
    block
        Empty.
    """
    return Block(
        buffer=np.empty(capacity, np.uint8),
        frames=np.empty(ROWS, FRAME),
        packets=np.empty(ROWS, PACKET),
        side=np.empty(2 * FRAGMENT_BYTES, np.uint8),
    )


@dataclass
class Lane:
    """One file, perhaps among several: what of it was read but not yet passed on."""

    reader: FileReader
    order: int
    is_begun: bool = False
    base: int = 0  # where its part of the pool begins
    walked: int = 0
    high: int = 0
    rows: Table = field(default_factory=lambda: np.empty(0, FRAME))
    keys: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    last_key: int = -(1 << 62)
    held_bytes: int = 0  # to be read again before anything else

    @property
    def due_ns(self) -> int:
        """When its first frame was captured; without one it is read first of all."""
        return self.reader.first_ns if self.reader.first_ns is not None else -(1 << 62)

    @property
    def is_finished(self) -> bool:
        """Whether all of its records were found."""
        return self.reader.at_end and self.walked >= self.high

    def saved(self) -> dict[str, Any]:
        """Return from which byte on another process reads, and the records found there that were not passed on."""
        rows = self.rows.copy()
        rows["offset"] -= self._begin
        return {
            "is_begun": self.is_begun,
            "is_walked": self.walked >= self.high,
            "place": self._place,
            "held_bytes": self.walked - self._begin,
            "rows": rows,
            "keys": self.keys,
            "last_key": self.last_key,
        }

    @property
    def _begin(self) -> int:
        """Where that begins which was not passed on."""
        return int(self.rows["offset"][0]) if len(self.rows) else self.walked

    @property
    def _place(self) -> int:
        """The same in the file, after decompression."""
        return self.reader.read_bytes - (self.high - self._begin)

    @property
    def done_bytes(self) -> int:
        """Bytes of the file on disk that no process need read again, compressed data left aside."""
        source = self.reader.source
        if not self.is_begun:
            return 0
        return source.done_bytes if source.compression or self.is_finished else self._place

    def take_up(self, saved: Saved, interfaces: int) -> None:
        """Go on from what was handed on.

        Parameters
        ----------
        saved
            Of `saved`.
        interfaces
            How many there are.
        """
        self.is_begun = saved.flag("is_begun")
        self.reader.read_bytes = saved.integer("place", 0, 1 << 62)
        self.reader.at_end = self.reader.at_end and saved.flag("is_walked")
        self.held_bytes = saved.integer("held_bytes", 0, LARGEST_BLOCK_BYTES + SPARE_BYTES)
        self.rows = saved.table("rows", FRAME, ROWS)
        self.keys = saved.table("keys", np.int64, len(self.rows))
        self.last_key = saved.integer("last_key", -(1 << 63), 1 << 63)
        require(len(self.keys) == len(self.rows) and np.all(self.keys[1:] >= self.keys[:-1]), "frames")
        within(self.rows["interface"], 0, interfaces, "frames")
        within(self.rows["captured"], 0, LARGEST_RECORD + 1, "frames")
        within(self.rows["offset"], 0, self.held_bytes + 1, "frames")
        within(self.rows["offset"] + self.rows["captured"], 0, self.held_bytes + 1, "frames")

    def hold(self, pool: Bytes) -> None:
        """Read the bytes again that records point to which were found by another process."""
        self.rows["offset"] += self.base
        self.high = self.base + self.reader.fill(pool, self.base, self.base + self.held_bytes)
        self.walked = self.base + self.held_bytes
        self.held_bytes = 0
        if self.high < self.walked:
            raise changed(self.reader.source.path)


def _slide(lane: Lane, source: Bytes, target: Bytes, base: int) -> None:
    """Move the bytes that are not walked yet to the front of a buffer."""
    left = lane.high - lane.walked
    if left:
        target[base : base + left] = source[lane.walked : lane.high].copy()
    lane.walked, lane.high = base, base + left


def _find_records(lane: Lane, buffer: Bytes, frames: Table, base: int, block_bytes: int) -> int:
    """Read and walk until at least one record is found; return how many were, 0 at the end of the file."""
    capacity = block_bytes + SPARE_BYTES
    stop = base + block_bytes
    if lane.high < stop and not lane.reader.at_end:
        lane.high += lane.reader.fill(buffer, lane.high, stop)
    while True:
        count, lane.walked, rows_full, wanted = lane.reader.walk(buffer, lane.walked, lane.high, frames, 0)
        if count or (lane.is_finished and not rows_full):
            return count
        _slide(lane, buffer, buffer, base)
        stop = base + min(max(block_bytes, wanted), capacity)
        lane.high += lane.reader.fill(buffer, lane.high, stop)


class SingleFile:
    """Frames of one file, block by block, without a copy."""

    stop_before_last = False
    is_before_last = False

    def __init__(self, lane: Lane, block_bytes: int) -> None:
        require(not lane.held_bytes and not len(lane.rows), "frames")
        lane.is_begun = True
        self._lane = lane
        self._block_bytes = block_bytes
        self._buffer: Bytes | None = None

    @property
    def is_between(self) -> bool:
        """Whether reading may go on elsewhere: not all is read, and the lanes know all that was not passed on."""
        return not self._lane.is_finished

    def next(self, block: Block) -> bool:
        """Fill a block; return whether it holds frames."""
        lane = self._lane
        _slide(lane, block.buffer if self._buffer is None else self._buffer, block.buffer, 0)
        self._buffer = block.buffer
        block.count = _find_records(lane, block.buffer, block.frames, 0, self._block_bytes)
        return block.count > 0


class SeveralFiles:
    """Frames of several files in order of time, block by block.

    Within a file the order of the file is kept, even where its clock steps back. A file is read when its first frame
    is due, so that a thousand files after each other need the memory of one.
    """

    def __init__(self, lanes: list[Lane], block_bytes: int) -> None:
        self.stop_before_last = False
        self.is_before_last = False
        self._has_begun = False
        in_time = sorted(lanes, key=lambda lane: (lane.due_ns, lane.order))
        self._waiting = [lane for lane in in_time if not lane.is_begun]
        self._active: list[Lane] = []
        self._block_bytes = block_bytes
        self._lane_bytes = max(min(block_bytes, block_bytes // 4), 4_096)
        self._room = max(self._lane_bytes + SPARE_BYTES, *(lane.held_bytes for lane in lanes))
        self._pool: Bytes = np.empty(2 * self._room, np.uint8)
        self._frames: Table = np.empty(ROWS, FRAME)
        self._merged: Table = np.empty(0, FRAME)
        for lane in in_time:
            if lane.is_begun and (len(lane.rows) or not lane.is_finished):
                self._activate(lane)
                lane.hold(self._pool)

    @property
    def is_between(self) -> bool:
        """Whether reading may go on elsewhere: not all is read, and the lanes know all that was not passed on."""
        is_left = any(len(lane.rows) or not lane.is_finished for lane in self._active)
        return not len(self._merged) and (is_left or bool(self._waiting))

    def next(self, block: Block) -> bool:
        """Fill a block; return whether it holds frames."""
        if not len(self._merged):
            self._merged = self._merge()
        rows = self._merged[:ROWS]
        if len(rows):
            ends = np.cumsum(rows["captured"], dtype=np.int64)
            rows = rows[: max(int(np.searchsorted(ends, len(block.buffer), side="right")), 1)]
        block.count = len(rows)
        block.frames[: len(rows)] = rows
        gather(self._pool, block.frames, block.count, block.buffer)
        self._merged = self._merged[len(rows) :]
        return block.count > 0

    def _activate(self, lane: Lane) -> None:
        lane.is_begun = self._has_begun = True
        taken = {other.base for other in self._active}
        lane.base = next(k * self._room for k in range(len(taken) + 1) if k * self._room not in taken)
        if lane.base + self._room > len(self._pool):
            self._pool = np.concatenate([self._pool, np.empty(len(self._pool), np.uint8)])
        lane.walked = lane.high = lane.base
        self._active.append(lane)
        self._active.sort(key=lambda lane: lane.order)  # frames of one time: in the order of the files

    def _load(self, lane: Lane) -> None:
        """Find further records of a file all of whose records were passed on."""
        _slide(lane, self._pool, self._pool, lane.base)
        count = _find_records(lane, self._pool, self._frames, lane.base, self._lane_bytes)
        lane.rows = self._frames[:count].copy()
        lane.keys = np.maximum(np.maximum.accumulate(lane.rows["time_ns"]), lane.last_key) if count else lane.keys[:0]
        if count:
            lane.last_key = int(lane.keys[-1])

    def _merge(self) -> Table:
        """Pass on every frame that nothing still to be read can come before."""
        while self._waiting or self._active:
            for lane in self._active:
                if not len(lane.rows) and not lane.is_finished:
                    self._load(lane)
            for lane in [lane for lane in self._active if not len(lane.rows) and lane.is_finished]:
                lane.reader.source.close()
                self._active.remove(lane)
            bounds = [(lane.last_key, lane.order) for lane in self._active if not lane.is_finished]
            if self._waiting:
                due = self._waiting[0]
                bounds.append((due.due_ns, due.order))
            taken = [_take(lane, min(bounds, default=None)) for lane in self._active]
            rows = [part for part, _ in taken if len(part)]
            if rows:
                order = np.argsort(np.concatenate([keys for _, keys in taken]), kind="stable")
                return np.concatenate(rows).take(order)
            if self._waiting:
                is_last = not self._active and len(self._waiting) == 1
                self.is_before_last = self.stop_before_last and self._has_begun and is_last
                if self.is_before_last:
                    break
                self._activate(self._waiting.pop(0))
        return np.empty(0, FRAME)


def _take(lane: Lane, bound: tuple[int, int] | None) -> tuple[Table, npt.NDArray[np.int64]]:
    """Take the records of a file that come before the bound (time, then order of the files)."""
    count = len(lane.rows)
    if bound is not None:
        count = int(np.searchsorted(lane.keys, bound[0], side="right" if lane.order <= bound[1] else "left"))
    rows, keys = lane.rows[:count], lane.keys[:count]
    lane.rows, lane.keys = lane.rows[count:], lane.keys[count:]
    return rows, keys
