"""Frames on their way out, in order; one that waits for others holds back those behind it, within bounds.

A datagram in fragments, or a TURN message over several TCP segments, can be mapped only when all of it is there. Until
then its frames wait. What would wait longer than a reader of captures would, or fill more memory than the bound, goes
out with zeros where the rest is missing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

MOST_BYTES = 32 << 20
LONGEST_WAIT_NS = 30_000_000_000


class Frame:
    """One frame as it shall be written.

    Parameters
    ----------
    out
        Its bytes; those that are not known yet are zero.
    time_ns
        When it was captured [ns].
    before, after
        What stands around it in the file.
    """

    __slots__ = ("after", "before", "out", "sums", "time_ns", "waits")

    def __init__(self, out: bytearray, time_ns: int, before: bytes = b"", after: bytes = b"") -> None:
        self.out = out
        self.time_ns = time_ns
        self.before, self.after = before, after
        self.waits = 0
        self.sums: list[tuple[int, int, int, bytes, bool]] = []
        """Checksums to repair, inner ones first: field, start, stop, pseudo header, whether zero means none."""

    def add_sum(self, field: int, start: int, stop: int, pseudo: bytes = b"", *, is_udp: bool = False) -> None:
        """Note a checksum to be repaired once all bytes are known.

        Parameters
        ----------
        field
            Where it stands.
        start, stop
            Bytes it is over; what the snaplen cut off counts as zero.
        pseudo
            Bytes that count as well.
        is_udp
            Whether a sum of zero is written as all ones.
        """
        if field + 2 <= min(stop, len(self.out)):
            self.sums.append((field, start, stop, pseudo, is_udp))

    def finish(self) -> None:
        """Repair the checksums."""
        for field, start, stop, pseudo, is_udp in self.sums:
            self.out[field : field + 2] = b"\0\0"
            self.out[field : field + 2] = checksum(pseudo + self.out[start:stop], is_udp=is_udp)

    @property
    def size(self) -> int:
        """Bytes that it will be in the file."""
        return len(self.before) + len(self.out) + len(self.after)


def checksum(data: bytes, *, is_udp: bool = False) -> bytes:
    """Compute the Internet checksum (RFC 1071).

    Parameters
    ----------
    data
        Bytes with the field itself as zero; an odd one at the end is filled up.
    is_udp
        Whether a sum of zero is written as all ones (RFC 768).

    Returns
    -------
    checksum
        Two bytes.
    """
    number = int.from_bytes(data, "big") << (8 * (len(data) & 1))
    # One's complement addition of 16-bit words is arithmetic modulo 65,535.
    total = number % 0xFFFF
    if total == 0 and number and not is_udp:
        total = 0xFFFF
    return (0xFFFF - total).to_bytes(2, "big")


class Queue:
    """Frames in the order of the file."""

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque()
        self._bytes = 0

    def put(self, frame: Frame) -> Iterator[bytes]:
        """Add a frame and give what can be written now.

        Parameters
        ----------
        frame
            The next one.

        Yields
        ------
        data
            Bytes for the file.
        """
        if not self._frames and not frame.waits:
            frame.finish()
            yield frame.before + frame.out + frame.after
            return
        self._frames.append(frame)
        self._bytes += frame.size
        while self._frames:
            first = self._frames[0]
            is_late = self._bytes > MOST_BYTES or frame.time_ns - first.time_ns > LONGEST_WAIT_NS
            if first.waits and not is_late:
                return
            yield self._pop()

    def put_bytes(self, data: bytes) -> Iterator[bytes]:
        """Add bytes that belong to no frame, behind all frames so far.

        Parameters
        ----------
        data
            As they shall be written.

        Yields
        ------
        data
            What can be written now.
        """
        if not data:
            return
        if self._frames:
            self._frames[-1].after += data
            self._bytes += len(data)
        else:
            yield data

    def drain(self) -> Iterator[bytes]:
        """Give all that is left.

        Yields
        ------
        data
            Bytes for the file.
        """
        while self._frames:
            yield self._pop()

    def _pop(self) -> bytes:
        frame = self._frames.popleft()
        self._bytes -= frame.size
        frame.finish()
        return frame.before + frame.out + frame.after
