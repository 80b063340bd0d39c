"""The stages that a capture goes through, and the workers that share them.

The first stage fills buffers, finds their records and follows each frame to its transport header; the second attributes
packets to flows; the third measures streams. The heavy steps are compiled and run without the interpreter's lock. Every
stage sees packets in the order of the capture, so that the result cannot depend on how the work is cut or shared.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ccp_assess.capture.lanes import Block, Lane, SeveralFiles, SingleFile, new_block
from ccp_assess.capture.reading import SPARE_BYTES, InterfaceTable
from ccp_assess.traffic.measuring import MeasuringState
from ccp_assess.traffic.payloads import N_MEDIA
from ccp_assess.traffic.streamtable import check_media
from ccp_assess.traffic.tracking import TrackerState
from ccp_assess.wire.columns import DecoderState, decode
from ccp_assess.wire.rtp import MEDIA
from ccp_assess.wire.saved import Saved, require, under

Table = npt.NDArray[np.void]

MEDIA_ROWS = 16_384
BLOCKS = 3
"""Blocks, and tables of media, that are on their way at a time."""

COOKED_AND_ANY = (113, 276)
"""Link types whose captures may show one frame on several interfaces."""


def _decode(block: Block, interfaces: InterfaceTable, state: DecoderState, skips: npt.NDArray[np.int64]) -> int:
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


class Work:
    """The stages and what they remember."""

    def __init__(
        self, lanes: list[Lane], interfaces: InterfaceTable, skips: npt.NDArray[np.int64], block_bytes: int
    ) -> None:
        self.lanes = lanes
        self.readers = [lane.reader for lane in lanes]
        self.interfaces = interfaces
        self.skips = skips
        self.files = SingleFile(lanes[0], block_bytes) if len(lanes) == 1 else SeveralFiles(lanes, block_bytes)
        self.most_bytes: int | None = None  # to be read here; the rest is for others
        self.begin_bytes = self._read_bytes()
        self.decoder = DecoderState()
        self.tracker = TrackerState()
        self.measuring = MeasuringState()
        self.on_packets: Callable[[Table], None] | None = None
        self.done_bytes = 0
        self.frames = 0
        self.is_read = False
        self.is_handed_on = False
        self.is_tracked = False
        self.media: Table | None = None  # the rows that tracking fills
        self.empty_blocks = deque(new_block(block_bytes + SPARE_BYTES) for _ in range(BLOCKS))
        self.decoded_blocks: deque[Block] = deque()
        self.empty_media: deque[Table] = deque(np.empty(MEDIA_ROWS, MEDIA) for _ in range(BLOCKS))
        self.filled_media: deque[tuple[Table, int]] = deque()

    def may_read(self) -> bool:
        """Tell whether a block is free and the files go on."""
        return bool(self.empty_blocks) and not self.is_read and not self.is_handed_on

    def read(self) -> None:
        """Fill a block with frames and decode them."""
        block = self.empty_blocks.popleft()
        if not self.files.next(block):
            self.is_handed_on = self.files.is_before_last
            self.is_read = not self.is_handed_on
            return
        block.first_number = self.frames
        self.frames += block.count
        block.done_bytes = self._read_bytes()
        block.watch_copies = len(self.readers) > 1 or self._one_frame_may_come_twice()
        block.packet_count = _decode(block, self.interfaces, self.decoder, self.skips)
        block.tracked = 0
        self.decoded_blocks.append(block)
        self.is_handed_on = self._is_enough(block.done_bytes - self.begin_bytes)

    def _read_bytes(self) -> int:
        return sum(reader.source.done_bytes for reader in self.readers)

    def _is_enough(self, read_bytes: int) -> bool:
        """Tell whether a part may end here.

        Compressed data must be decompressed again from the beginning by who goes on, so that such a part only ends
        where it is at least half as long as that: all of them together then decompress at most twice as much.
        """
        if self.most_bytes is None or read_bytes < self.most_bytes or not self.files.is_between:
            return False
        again = sum(
            lane.done_bytes
            for lane in self.lanes
            if lane.is_begun and not lane.is_finished and lane.reader.source.compression
        )
        return 2 * read_bytes >= again

    def _one_frame_may_come_twice(self) -> bool:
        names = self.interfaces.names
        rows = self.interfaces.rows[: len(names)]
        return self.readers[0].format == "pcapng" or bool(np.isin(rows["link_type"], COOKED_AND_ANY).any())

    def may_track(self) -> bool:
        """Tell whether packets wait, or the last rows of media."""
        if self.is_tracked or (self.media is None and not self.empty_media):
            return False
        return bool(self.decoded_blocks) or self.is_read or self.is_handed_on

    def track(self) -> None:
        """Attribute a block's packets; hand rows of media on when they are full, wherever that is in a block."""
        if self.media is None:
            self.media = self.empty_media.popleft()
        if not self.decoded_blocks and self.is_handed_on:  # the rows of media go on being filled elsewhere
            self.is_tracked = True
            return
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

    def saved(self) -> dict[str, Any]:
        """Return what must be handed on where another process goes on with the next block."""
        filled = int(self.tracker.counts[N_MEDIA])
        lanes: dict[str, Any] = {}
        for lane in self.lanes:
            lanes |= under(str(lane.order), {**lane.reader.saved(), **lane.saved(), "done_bytes": lane.done_bytes})
        return {
            "frames": self.frames,
            "media": np.zeros(0, MEDIA) if self.media is None else self.media[:filled],
            "skips": self.skips.ravel(),
            **under("interfaces", self.interfaces.saved()),
            **under("decoder", self.decoder.saved()),
            **under("tracker", self.tracker.saved()),
            **under("measuring", self.measuring.saved()),
            **under("files", lanes),
        }

    def take_up(self, saved: Saved) -> None:
        """Go on from what was handed on.

        Parameters
        ----------
        saved
            Of `saved`; files, interfaces and what was skipped were taken up already.
        """
        self.frames = saved.integer("frames", 0, 1 << 62)
        self.decoder.take_up(saved.part("decoder"), len(self.skips))
        self.tracker.take_up(saved.part("tracker"))
        flows, paths = int(self.tracker.flow_counts[0]), int(self.tracker.path_counts[0])
        self.measuring.take_up(saved.part("measuring"), flows, paths)
        rows = saved.table("media", MEDIA, MEDIA_ROWS)
        check_media(rows, flows, paths)
        require(self.tracker.counts[N_MEDIA] == len(rows), "media")
        self.media = self.empty_media.popleft()
        self.media[: len(rows)] = rows


@dataclass
class _Stage:
    """One step of the work; one worker at a time does it, so that it sees everything in order."""

    is_ready: Callable[[], bool]
    run: Callable[[], None]
    is_busy: bool = False


class Crew:
    """Workers that share the stages: whoever is free takes the step that is furthest on."""

    def __init__(self, work: Work) -> None:
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
