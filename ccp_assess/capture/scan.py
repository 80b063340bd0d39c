"""Read captures whole: one or several files as one, in order of time."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from ccp_assess.capture.collecting import collect
from ccp_assess.capture.files import CaptureSource, name_of, open_source
from ccp_assess.capture.lanes import Lane
from ccp_assess.capture.reading import FileReader, InterfaceTable
from ccp_assess.capture.records import Scan
from ccp_assess.capture.stages import Crew, Work
from ccp_assess.errors import CaptureError
from ccp_assess.wire.columns import REASONS
from ccp_assess.wire.compiled import kernels_are_ready

Table = npt.NDArray[np.void]

BLOCK_BYTES = 1 << 20
"""A block with its rows stays in the second-level cache of a processor from reading to tracking."""

Progress = Callable[[int, int | None], None]
"""Called with the bytes read so far, and all bytes if that is known."""


class Reading:
    """Captures that are being read as one.

    Parameters
    ----------
    names
        Of all files.
    lanes, refused
        Those that can be read, and why others cannot.
    interfaces, skips
        What is known of all of them.
    block_bytes
        Bytes of a file that are worked on at a time.
    """

    def __init__(  # noqa: PLR0917  (one thing of each kind)
        self,
        names: Sequence[str],
        lanes: list[Lane],
        refused: dict[int, CaptureError],
        interfaces: InterfaceTable,
        skips: npt.NDArray[np.int64],
        block_bytes: int | None,
    ) -> None:
        self.names = names
        self.refused = refused
        self.work = Work(lanes, interfaces, skips, max(block_bytes or BLOCK_BYTES, 1_024))

    @property
    def total_bytes(self) -> int | None:
        """All files on disk, if known [bytes]."""
        sizes = [reader.source.size for reader in self.work.readers]
        return sum(size for size in sizes if size is not None) if None not in sizes else None

    def run(self, workers: int | None, progress: Progress | None) -> None:
        """Read until all is read, or what shall be read here."""
        if not kernels_are_ready() and sys.stderr.isatty():
            sys.stderr.write("ccp-assess: preparing the reader, once after an installation (about a minute) ...\n")
        total = self.total_bytes

        def report(done: int) -> None:
            if progress is not None:
                progress(done, total)

        try:
            Crew(self.work).run(workers or os.cpu_count() or 1, report)
        finally:
            for reader in self.work.readers:
                reader.source.close()
        if total is not None and self.work.is_read:
            report(total)

    def collect(self) -> Scan:
        """Make the records after the last frame."""
        work = self.work
        return collect(
            self.names,
            work.readers,
            self.refused,
            work.interfaces,
            work.skips,
            work.decoder,
            work.tracker,
            work.measuring,
        )


def begin(sources: Sequence[CaptureSource], block_bytes: int | None) -> Reading:
    """Open captures to read them from their beginning.

    Parameters
    ----------
    sources
        Files and objects; ``-`` is standard input.
    block_bytes
        Bytes of a file that are worked on at a time [bytes].

    Returns
    -------
    reading
        With nothing read yet.

    Raises
    ------
    CaptureError
        If there is nothing to read at all.
    """
    if not sources:
        raise CaptureError("no capture is named; give at least one file")
    interfaces = InterfaceTable()
    skips = np.zeros((len(sources), len(REASONS), 2), np.int64)
    lanes: list[Lane] = []
    refused: dict[int, CaptureError] = {}
    for number, source in enumerate(sources):
        try:
            lanes.append(opened(source, number, interfaces, skips, is_alone=len(sources) == 1))
        except CaptureError as error:
            refused[number] = error
    if not lanes:
        raise next(iter(refused.values()))
    return Reading([name_of(source) for source in sources], lanes, refused, interfaces, skips, block_bytes)


def opened(
    source: CaptureSource,
    number: int,
    interfaces: InterfaceTable,
    skips: npt.NDArray[np.int64],
    *,
    is_alone: bool = False,
) -> Lane:
    """Open one capture; among several it is looked into for the time of its first frame and then put aside.

    Parameters
    ----------
    source, number
        Which, and its place among the files.
    interfaces, skips
        Of all files.
    is_alone
        Whether there is no other.

    Returns
    -------
    lane
        With nothing read yet.

    Raises
    ------
    CaptureError
        If it is no capture.
    """
    reader = FileReader(open_source(source), number, interfaces, skips)
    if not is_alone:
        reader.first_ns = reader.peek_first_ns()
        reader.source.park()
    return Lane(reader, number)


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
    check_workers(workers)
    reading = begin([os.fspath(path) for path in paths], block_bytes)
    reading.work.on_packets = on_packets
    reading.run(workers, progress)
    return reading.collect()


def check_workers(workers: int | None) -> None:
    """Refuse to work without workers.

    Parameters
    ----------
    workers
        As given by the caller.

    Raises
    ------
    CaptureError
        If there is not one.
    """
    if workers is not None and workers < 1:
        raise CaptureError("at least one worker is needed")
