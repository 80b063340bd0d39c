"""A capture file in regions: its bytes in order, each region ending with a record, and where its frames are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ccp_assess.capture.files import open_source
from ccp_assess.capture.reading import SPARE_BYTES, FileReader, InterfaceTable
from ccp_assess.wire.columns import FRAME, REASONS

BLOCK_BYTES = 1 << 20
_ROWS = 8_192


class CaptureRegions:
    """One file, read forward once in bounded memory.

    Parameters
    ----------
    path
        A capture.

    Raises
    ------
    CaptureError
        If it is none.
    """

    def __init__(self, path: str) -> None:
        self.source = open_source(path)
        self.interfaces = InterfaceTable()
        self.reader = FileReader(self.source, 0, self.interfaces, np.zeros((1, len(REASONS), 2), np.int64))

    def __iter__(self) -> Iterator[tuple[bytes, npt.NDArray[np.void]]]:
        """Give the regions.

        Yields
        ------
        region, frames
            Bytes of the file (of pcap, behind its header), and rows of ``ccp_assess.wire.columns.FRAME`` with offsets
            into them.
        """
        reader = self.reader
        buffer = np.empty(BLOCK_BYTES + SPARE_BYTES, np.uint8)
        rows = np.empty(_ROWS, FRAME)
        at = high = 0
        wanted = BLOCK_BYTES
        while True:
            left = high - at
            buffer[:left] = buffer[at:high].copy()
            at, high = 0, left
            if not reader.at_end:
                high += reader.fill(buffer, high, min(max(BLOCK_BYTES, wanted), len(buffer)))
            rows_full = True
            while rows_full:
                count, stop, rows_full, wanted = reader.walk(buffer, at, high, rows, 0)
                found = rows[:count].copy()
                found["offset"] -= at
                yield buffer[at:stop].tobytes(), found
                at = stop
            if reader.at_end and at >= high:
                return

    def link_types(self, frames: npt.NDArray[np.void]) -> list[int]:
        """Return the link type of each frame.

        Parameters
        ----------
        frames
            Rows that were given.

        Returns
        -------
        link_types
            Numbers as in capture headers.
        """
        return [int(number) for number in self.interfaces.rows["link_type"][frames["interface"]]]
