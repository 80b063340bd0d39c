"""Read captures in parts, by one process after the other, on whichever machine.

All that the reader remembers is handed on as bytes, and every stage sees every packet in order: what comes out in the
end is what one process would have found, bit by bit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ccp_assess import __version__
from ccp_assess.capture.files import CaptureSource, check_unchanged, name_of, reopen_source
from ccp_assess.capture.lanes import LARGEST_BLOCK_BYTES, Lane
from ccp_assess.capture.reading import FileReader, InterfaceTable
from ccp_assess.capture.records import Scan
from ccp_assess.capture.scan import Progress, Reading, begin, check_workers, opened
from ccp_assess.errors import CaptureError, StateError
from ccp_assess.wire.columns import REASONS
from ccp_assess.wire.compiled import source_digest
from ccp_assess.wire.saved import Saved, pack, require, under, unpack, within

_COMPRESSIONS = (None, "gzip", "zstd", "lz4")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What came of reading a part.

    Parameters
    ----------
    state
        To hand on to whoever reads the next part; ``None`` when all was read.
    scan
        What was found, when all was read.
    done_bytes
        Bytes of the capture files that were read so far in all, by whichever process [bytes].
    is_before_last
        Whether all files but the last in time were read, and that one was not begun. Who has such a state may put that
        file as it has become since, and further ones that follow it in time, in its place.
    """

    state: bytes | None
    scan: Scan | None
    done_bytes: int
    is_before_last: bool = False


def scan_part(
    sources: Sequence[CaptureSource],
    state: bytes | None,
    *,
    most_bytes: int,
    stop_before_last: bool = False,
    workers: int | None = None,
    block_bytes: int | None = None,
    progress: Progress | None = None,
) -> Part:
    """Read on in one or several captures that are read as one.

    Parameters
    ----------
    sources
        Files and objects, the same and in the same order for every part. What is compressed cannot be entered in the
        middle: it is decompressed again up to there, and a part that ends inside it may be longer than asked for.
    state
        Of the part before; ``None`` begins.
    most_bytes
        Of the capture files to be read here; the part ends with the next block [bytes].
    stop_before_last
        Whether the part shall also end where `Part.is_before_last` can be told, for a recording that goes on. Files
        that overlap in time have no such place.
    workers, block_bytes, progress
        As for ``ccp_assess.capture.scan.scan``; none of them changes what is found.

    Returns
    -------
    part
        With the state to hand on, or with the scan when all was read.

    Raises
    ------
    CaptureError
        If there is nothing to read at all.
    StateError
        If the state is damaged, of another version or of other files; reading from the beginning helps.
    UnavailableError
        If an object cannot be had now; trying again may help.
    """
    check_workers(workers)
    if "-" in sources:
        raise CaptureError("standard input cannot be read in parts, since nobody can read it again; save it as a file")
    block_bytes = min(block_bytes, LARGEST_BLOCK_BYTES) if block_bytes else None
    reading = begin(sources, block_bytes) if state is None else _take_up(sources, unpack(state), block_bytes)
    reading.work.most_bytes = max(most_bytes, 1)
    reading.work.files.stop_before_last = stop_before_last
    reading.run(workers, progress)
    if reading.work.is_handed_on:
        done_bytes = sum(lane.done_bytes for lane in reading.work.lanes)
        is_before_last = _is_before_last(reading)
        return Part(state=pack(_saved(reading)), scan=None, done_bytes=done_bytes, is_before_last=is_before_last)
    return Part(state=None, scan=reading.collect(), done_bytes=reading.total_bytes or 0)


def _is_before_last(reading: Reading) -> bool:
    """Tell whether the list ends with a file that is not begun, and all before it were read."""
    *earlier, last = reading.work.lanes
    is_read = all(lane.is_begun and lane.is_finished and not len(lane.rows) for lane in earlier)
    return bool(earlier) and is_read and not last.is_begun and not reading.refused


def _saved(reading: Reading) -> dict[str, object]:
    return {
        "engine": _engine(),
        "names": list(reading.names),
        "is_before_last": _is_before_last(reading),
        "refused": [[number, str(error)] for number, error in reading.refused.items()],
        **under("work", reading.work.saved()),
    }


@cache
def _engine() -> str:
    """Name all that must be the same on both sides: the sources of every stage."""
    digest = hashlib.sha256(f"{__version__} {source_digest()}".encode())
    folder = Path(__file__).parent
    for name in ("files", "lanes", "parts", "reading", "scan", "stages"):
        digest.update((folder / f"{name}.py").read_bytes())
    return digest.hexdigest()


def _take_up(sources: Sequence[CaptureSource], saved: Saved, block_bytes: int | None) -> Reading:
    if saved.text("engine") != _engine():
        raise StateError(
            "the state of the reading comes from another version of ccp-assess; read the capture from its beginning"
        )
    names = [name_of(source) for source in sources]
    before = saved.strings("names")
    count = len(before)  # files that are known to the state
    if saved.flag("is_before_last") and not _is_unchanged(sources[count - 1 :], before[-1:], saved):
        count -= 1
    if names[:count] != before[:count] or (len(names) > count) != (count < len(before)):
        raise StateError(
            "the state of the reading is of other files; give the same files in the same order, or read them from their"
            " beginning"
        )
    refused = {number: CaptureError(text) for number, text in saved.rows("refused", int, str, most=len(names))}
    work = saved.part("work")
    interfaces = InterfaceTable.resumed(work.part("interfaces"), len(before))
    _forget(interfaces, count)
    known = work.numbers("skips", len(before) * len(REASONS) * 2).reshape(len(before), len(REASONS), 2)
    skips = np.zeros((len(names), len(REASONS), 2), np.int64)
    skips[:count] = known[:count]
    lanes = []
    for number, source in enumerate(sources[:count]):
        if number in refused:
            continue
        file = work.part("files").part(str(number))
        size = file.integer("size", 0, 1 << 62)
        check_unchanged(source, size)
        compression = file.optional_text("compression")
        require(compression in _COMPRESSIONS, "files")
        origin = reopen_source(
            source,
            compression=compression,
            size=size,
            place=file.integer("place", 0, 1 << 62),
            done_bytes=file.integer("done_bytes", 0, 1 << 62),
        )
        lane = Lane(FileReader.resumed(origin, number, interfaces, skips, file), number)
        lane.take_up(file, len(interfaces.names))
        lanes.append(lane)
    require(bool(lanes) and all(0 <= number < len(names) for number in refused), "files")
    if len(sources) > count:
        lanes += _following(sources, lanes, interfaces, skips)
    reading = Reading(names, lanes, refused, interfaces, skips, block_bytes)
    reading.work.take_up(work)
    return reading


def _is_unchanged(sources: Sequence[CaptureSource], names: Sequence[str], saved: Saved) -> bool:
    """Tell whether the files from the last of a state on are still that one."""
    if [name_of(source) for source in sources] != list(names):
        return False
    last = saved.part("work").part("files").part(str(len(saved.strings("names")) - 1))
    try:
        check_unchanged(sources[0], last.integer("size", 0, 1 << 62))
    except StateError:
        return False
    return True


def _forget(interfaces: InterfaceTable, count: int) -> None:
    """Let go of what the headers of files told that were not begun."""
    while interfaces.names and interfaces.rows[len(interfaces.names) - 1]["capture"] >= count:
        interfaces.names.pop()
        interfaces.dropped.pop()
        interfaces.known.popitem()
        interfaces.rows[len(interfaces.names)] = np.zeros(1, interfaces.rows.dtype)[0]
    within(interfaces.rows[: len(interfaces.names)]["capture"], 0, count, "interfaces")


def _following(
    sources: Sequence[CaptureSource], lanes: list[Lane], interfaces: InterfaceTable, skips: npt.NDArray[np.int64]
) -> list[Lane]:
    """Open the files that a state does not know; they must be such that nothing before would have been different."""
    end_ns = max(lane.last_key for lane in lanes)
    formats = {lane.reader.format for lane in lanes}
    found = []
    for number in range(len(lanes), len(sources)):
        try:
            lane = opened(sources[number], number, interfaces, skips)
        except CaptureError as error:
            raise StateError(f"{error}; without it, read the others from their beginning") from None
        found.append(lane)
        if lane.due_ns < end_ns or {lane.reader.format} != formats:
            raise StateError(
                f"{name_of(sources[number])} does not follow the files that were read; read all from their beginning"
            )
    return found


__all__ = ["CaptureSource", "Part", "scan_part"]
