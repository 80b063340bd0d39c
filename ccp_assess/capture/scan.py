"""Read captures whole: blocks, records, packets, flows, streams, in stages that workers share.

The first stage fills buffers, finds their records and follows each frame to its transport header; the second attributes
packets to flows; the third measures streams. The heavy steps are compiled and run without the interpreter's lock. Every
stage sees packets in the order of the capture, so that the result cannot depend on how the work is cut or shared.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ccp_assess.capture.collecting import collect
from ccp_assess.capture.files import open_source
from ccp_assess.capture.reading import SPARE_BYTES, FileReader, InterfaceTable
from ccp_assess.capture.records import Scan
from ccp_assess.errors import CaptureError
from ccp_assess.traffic.measuring import MeasuringState
from ccp_assess.traffic.tracking import TrackerState
from ccp_assess.wire.columns import FRAME, PACKET, REASONS, DecoderState, decode, gather
from ccp_assess.wire.compiled import kernels_are_ready
from ccp_assess.wire.ip import FRAGMENT_BYTES
from ccp_assess.wire.rtp import MEDIA

Bytes = npt.NDArray[np.uint8]
Table = npt.NDArray[np.void]

BLOCK_BYTES = 1 << 20
"""A block with its rows stays in the second-level cache of a processor from reading to tracking."""

ROWS = 8_192
"""Frames of one block at most; more small ones wait for the next."""

MEDIA_ROWS = 16_384
BLOCKS = 3
"""Blocks, and tables of media, that are on their way at a time."""

COOKED_AND_ANY = (113, 276)
"""Link types whose captures may show one frame on several interfaces."""

Progress = Callable[[int, int | None], None]
"""Called with the bytes read so far, and all bytes if that is known."""


@dataclass
class _Block:
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


def _new_block(capacity: int) -> _Block:
    return _Block(
        buffer=np.empty(capacity, np.uint8),
        frames=np.empty(ROWS, FRAME),
        packets=np.empty(ROWS, PACKET),
        side=np.empty(2 * FRAGMENT_BYTES, np.uint8),
    )


@dataclass
class _Lane:
    """One file among several: what of it was read but not yet passed on."""

    reader: FileReader
    order: int
    first_ns: int | None
    base: int = 0  # where its part of the pool begins
    walked: int = 0
    high: int = 0
    rows: Table = field(default_factory=lambda: np.empty(0, FRAME))
    keys: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    last_key: int = -(1 << 62)

    @property
    def is_finished(self) -> bool:
        """Whether all of its records were found."""
        return self.reader.at_end and self.walked >= self.high


def _slide(lane: _Lane, source: Bytes, target: Bytes, base: int) -> None:
    """Move the bytes that are not walked yet to the front of a buffer."""
    left = lane.high - lane.walked
    if left:
        target[base : base + left] = source[lane.walked : lane.high].copy()
    lane.walked, lane.high = base, base + left


def _find_records(lane: _Lane, buffer: Bytes, frames: Table, base: int, block_bytes: int) -> int:
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


class _SingleFile:
    """Frames of one file, block by block, without a copy."""

    def __init__(self, reader: FileReader, block_bytes: int) -> None:
        self._lane = _Lane(reader, 0, None)
        self._block_bytes = block_bytes
        self._buffer: Bytes | None = None

    def next(self, block: _Block) -> bool:
        """Fill a block; return whether it holds frames."""
        lane = self._lane
        _slide(lane, block.buffer if self._buffer is None else self._buffer, block.buffer, 0)
        self._buffer = block.buffer
        block.count = _find_records(lane, block.buffer, block.frames, 0, self._block_bytes)
        return block.count > 0


class _SeveralFiles:
    """Frames of several files in order of time, block by block.

    Within a file the order of the file is kept, even where its clock steps back. A file is read when its first frame
    is due, so that a thousand files after each other need the memory of one.
    """

    def __init__(self, readers: list[FileReader], block_bytes: int) -> None:
        lanes = [_Lane(reader, order, reader.first_ns) for order, reader in enumerate(readers)]
        self._waiting = sorted(
            lanes, key=lambda lane: (lane.first_ns if lane.first_ns is not None else -(1 << 62), lane.order)
        )
        self._active: list[_Lane] = []
        self._block_bytes = block_bytes
        self._lane_bytes = max(min(block_bytes, block_bytes // 4), 4_096)
        self._room = self._lane_bytes + SPARE_BYTES
        self._pool: Bytes = np.empty(2 * self._room, np.uint8)
        self._frames: Table = np.empty(ROWS, FRAME)
        self._merged: Table = np.empty(0, FRAME)

    def next(self, block: _Block) -> bool:
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

    def _activate(self) -> None:
        lane = self._waiting.pop(0)
        taken = {other.base for other in self._active}
        lane.base = next(k * self._room for k in range(len(taken) + 1) if k * self._room not in taken)
        if lane.base + self._room > len(self._pool):
            self._pool = np.concatenate([self._pool, np.empty(len(self._pool), np.uint8)])
        lane.walked = lane.high = lane.base
        self._active.append(lane)

    def _load(self, lane: _Lane) -> None:
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
                bounds.append((due.first_ns if due.first_ns is not None else -(1 << 62), due.order))
            taken = [_take(lane, min(bounds, default=None)) for lane in self._active]
            rows = [part for part, _ in taken if len(part)]
            if rows:
                order = np.argsort(np.concatenate([keys for _, keys in taken]), kind="stable")
                return np.concatenate(rows).take(order)
            if self._waiting:
                self._activate()
        return np.empty(0, FRAME)


def _take(lane: _Lane, bound: tuple[int, int] | None) -> tuple[Table, npt.NDArray[np.int64]]:
    """Take the records of a file that come before the bound (time, then order of the files)."""
    count = len(lane.rows)
    if bound is not None:
        count = int(np.searchsorted(lane.keys, bound[0], side="right" if lane.order <= bound[1] else "left"))
    rows, keys = lane.rows[:count], lane.keys[:count]
    lane.rows, lane.keys = lane.rows[count:], lane.keys[count:]
    return rows, keys


def _decode(block: _Block, interfaces: InterfaceTable, state: DecoderState, skips: npt.NDArray[np.int64]) -> int:
    """Decode the frames of a block; return how many packets they gave."""
    frame, packets, side_used = 0, 0, 0
    while True:
        frame, packets, side_used = decode(
            block.buffer,
            block.frames,
            frame,
            block.count,
            block.first_number,
            interfaces.rows,
            block.watch_copies,
            state.copies,
            state.header,
            state.slots,
            state.bitmaps,
            state.store,
            state.given_up,
            skips,
            block.packets,
            packets,
            block.side,
            side_used,
        )
        if frame >= block.count:
            return packets
        block.side = np.concatenate([block.side, np.empty(len(block.side), np.uint8)])


class _Work:
    """The stages and what they remember."""

    def __init__(
        self, readers: list[FileReader], interfaces: InterfaceTable, skips: npt.NDArray[np.int64], block_bytes: int
    ) -> None:
        self.readers = readers
        self.interfaces = interfaces
        self.skips = skips
        self.files = _SingleFile(readers[0], block_bytes) if len(readers) == 1 else _SeveralFiles(readers, block_bytes)
        self.decoder = DecoderState()
        self.tracker = TrackerState()
        self.measuring = MeasuringState()
        self.on_packets: Callable[[Table], None] | None = None
        self.done_bytes = 0
        self.frames = 0
        self.is_read = False
        self.is_tracked = False
        self.media: Table | None = None  # the rows that tracking fills
        self.empty_blocks = deque(_new_block(block_bytes + SPARE_BYTES) for _ in range(BLOCKS))
        self.decoded_blocks: deque[_Block] = deque()
        self.empty_media: deque[Table] = deque(np.empty(MEDIA_ROWS, MEDIA) for _ in range(BLOCKS))
        self.filled_media: deque[tuple[Table, int]] = deque()

    def may_read(self) -> bool:
        """Tell whether a block is free and the files go on."""
        return bool(self.empty_blocks) and not self.is_read

    def read(self) -> None:
        """Fill a block with frames and decode them."""
        block = self.empty_blocks.popleft()
        if not self.files.next(block):
            self.is_read = True
            return
        block.first_number = self.frames
        self.frames += block.count
        block.done_bytes = sum(reader.source.done_bytes for reader in self.readers)
        block.watch_copies = len(self.readers) > 1 or self._one_frame_may_come_twice()
        block.packet_count = _decode(block, self.interfaces, self.decoder, self.skips)
        block.tracked = 0
        self.decoded_blocks.append(block)

    def _one_frame_may_come_twice(self) -> bool:
        names = self.interfaces.names
        rows = self.interfaces.rows[: len(names)]
        return self.readers[0].format == "pcapng" or bool(np.isin(rows["link_type"], COOKED_AND_ANY).any())

    def may_track(self) -> bool:
        """Tell whether packets wait, or the last rows of media."""
        if self.is_tracked or (self.media is None and not self.empty_media):
            return False
        return bool(self.decoded_blocks) or self.is_read

    def track(self) -> None:
        """Attribute a block's packets; hand rows of media on when they are full, wherever that is in a block."""
        if self.media is None:
            self.media = self.empty_media.popleft()
        if not self.decoded_blocks:
            self.filled_media.append((self.media, self.tracker.take_media()))
            self.is_tracked = True
            return
        block = self.decoded_blocks[0]
        if self.on_packets is not None and block.packet_count and not block.tracked:
            self.on_packets(block.packets[: block.packet_count].copy())
        block.tracked = self.tracker.run(
            block.buffer, block.side, block.packets, block.tracked, block.packet_count, self.media
        )
        if block.tracked < block.packet_count:
            self.filled_media.append((self.media, self.tracker.take_media()))
            self.media = None
            return
        self.done_bytes = block.done_bytes
        self.empty_blocks.append(self.decoded_blocks.popleft())

    def may_measure(self) -> bool:
        """Tell whether rows of media wait."""
        return bool(self.filled_media)

    def measure(self) -> None:
        """Let rows of media arrive at their streams."""
        media, count = self.filled_media.popleft()
        self.measuring.run(media, count)
        self.empty_media.append(media)


@dataclass
class _Stage:
    """One step of the work; one worker at a time does it, so that it sees everything in order."""

    is_ready: Callable[[], bool]
    run: Callable[[], None]
    is_busy: bool = False


class _Crew:
    """Workers that share the stages: whoever is free takes the step that is furthest on."""

    def __init__(self, work: _Work) -> None:
        self._work = work
        self._stages = (
            _Stage(work.may_measure, work.measure),
            _Stage(work.may_track, work.track),
            _Stage(work.may_read, work.read),
        )
        self._change = threading.Condition()
        self._error: BaseException | None = None
        self._stop = False

    def run(self, workers: int, progress: Callable[[int], None]) -> None:
        """Do all of the work.

        Parameters
        ----------
        workers
            This thread and so many less one others.
        progress
            Called in this thread with the bytes read so far.
        """
        threads = [
            threading.Thread(target=self._join_in, daemon=True) for _ in range(min(workers, len(self._stages)) - 1)
        ]
        for thread in threads:
            thread.start()
        try:
            self._join_in(progress)
        finally:
            with self._change:
                self._stop = True
                self._change.notify_all()
            for thread in threads:
                thread.join()
        if self._error is not None:
            raise self._error

    def _join_in(self, progress: Callable[[int], None] | None = None) -> None:
        told = 0
        while (stage := self._next_stage()) is not None:
            error: BaseException | None = None
            try:
                stage.run()
            except BaseException as caught:  # noqa: BLE001  (it is raised again where the work was begun)
                error = caught
            with self._change:
                stage.is_busy = False
                self._error = self._error or error
                self._change.notify_all()
            if progress is not None and self._work.done_bytes > told:
                told = self._work.done_bytes
                progress(told)

    def _next_stage(self) -> _Stage | None:
        """Take a stage that has something to do; wait for one; ``None`` at the end of the work."""
        with self._change:
            while not self._stop and self._error is None:
                for stage in self._stages:
                    if not stage.is_busy and stage.is_ready():
                        stage.is_busy = True
                        return stage
                if self._work.is_tracked and not any(stage.is_busy for stage in self._stages):
                    return None
                self._change.wait(0.5)
            return None


def _open_all(
    paths: Sequence[str], interfaces: InterfaceTable, skips: npt.NDArray[np.int64]
) -> tuple[list[FileReader], dict[int, CaptureError]]:
    """Open every file; those that are no captures are set aside with the reason."""
    readers: list[FileReader] = []
    refused: dict[int, CaptureError] = {}
    for number, path in enumerate(paths):
        try:
            reader = FileReader(open_source(path), number, interfaces, skips)
        except CaptureError as error:
            refused[number] = error
            continue
        if len(paths) > 1:
            reader.first_ns = reader.peek_first_ns()
            reader.source.park()
        readers.append(reader)
    if not readers:
        raise next(iter(refused.values()))
    return readers, refused


def scan(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    workers: int | None = None,
    block_bytes: int | None = None,
    progress: Progress | None = None,
    on_packets: Callable[[Table], None] | None = None,
) -> Scan:
    """Read one or several captures as one, in order of time.

    Parameters
    ----------
    paths
        Files (pcap or pcapng, also gzip, zstd, lz4); ``-`` is standard input.
    workers
        1 does everything in this thread; more share the stages. By default as many as there are processors.
    block_bytes
        Bytes of a file that are worked on at a time; the result does not depend on it [bytes].
    progress
        Called with the bytes read so far and all bytes (``None`` if unknown).
    on_packets
        Called with rows of ``ccp_assess.wire.columns.PACKET`` as they are decoded, in whichever thread works on them.

    Returns
    -------
    scan
        What was found.

    Raises
    ------
    CaptureError
        If there is nothing to read at all.
    """
    if isinstance(paths, (str, os.PathLike)):
        paths = [paths]
    names = [os.fspath(path) for path in paths]
    if not names:
        raise CaptureError("no capture is named; give at least one file")
    if workers is not None and workers < 1:
        raise CaptureError("at least one worker is needed")
    interfaces = InterfaceTable()
    skips = np.zeros((len(names), len(REASONS), 2), np.int64)
    readers, refused = _open_all(names, interfaces, skips)
    sizes = [reader.source.size for reader in readers]
    total = sum(size for size in sizes if size is not None) if None not in sizes else None
    if not kernels_are_ready() and sys.stderr.isatty():
        sys.stderr.write("ccp-assess: preparing the reader, once after an installation (about a minute) ...\n")

    def report(done: int) -> None:
        if progress is not None:
            progress(done, total)

    work = _Work(readers, interfaces, skips, max(block_bytes or BLOCK_BYTES, 1_024))
    work.on_packets = on_packets
    try:
        _Crew(work).run(workers or os.cpu_count() or 1, report)
    finally:
        for reader in readers:
            reader.source.close()
    if total is not None:
        report(total)
    return collect(names, readers, refused, interfaces, skips, work.decoder, work.tracker, work.measuring)
