"""TURN over TCP: messages are found in the byte stream of a direction and mapped where they lie in its segments.

The steps are those of ``ccp_assess.wire.framing`` and ``ccp_assess.traffic.tracking``, so that the mapped stream falls
into the same messages: a segment that comes early waits, and what was missed is jumped over at the same place.
"""

from __future__ import annotations

from collections.abc import Callable

from ccp_assess.capture.scrubbing.datagrams import is_stun
from ccp_assess.capture.scrubbing.held import Frame
from ccp_assess.wire import stun
from ccp_assess.wire.framing import FRAMER_BYTES, OUT_OF_ORDER_RUNS

Scrub = Callable[[bytes, int], bytes]
"""Maps one TURN message: its bytes as far as they are known, and its length."""

_PROBED, _VOTES = 64, 3
_COOKIE = stun.MAGIC_COOKIE.to_bytes(4, "big")
_LONGEST = 65_535 + stun.HEADER_BYTES
UNKNOWN, OTHER, TURN = 0, 1, 2


class _Part:
    """Captured bytes of a segment and where they go."""

    __slots__ = ("frame", "place", "start", "stop")

    def __init__(self, frame: Frame, place: int, start: int, stop: int) -> None:
        self.frame, self.place, self.start, self.stop = frame, place, start, stop


class Direction:
    """One direction of a connection, put in order.

    Parameters
    ----------
    scrub
        Maps one message.
    """

    def __init__(self, scrub: Scrub) -> None:
        self._scrub = scrub
        self._base = 0
        self._filled = 0
        self._runs: list[tuple[int, int]] = []
        self._stream = bytearray()
        self._known = bytearray()
        self._parts: list[_Part] = []
        self._in_step = False

    def put(  # noqa: PLR0917  (one thing of each)
        self, frame: Frame, place: int, data: bytes, length: int, sequence: int, acknowledged: int | None
    ) -> None:
        """Add a segment and map the messages that it completes.

        Parameters
        ----------
        frame, place
            Where its payload is written.
        data, length
            As captured, and its length on the wire.
        sequence
            Of its first byte.
        acknowledged
            Highest number the other side acknowledged.
        """
        if self._put_segment(frame, place, data, length, sequence, acknowledged):
            self._take()

    def _relative(self, sequence: int) -> int:
        return (sequence - self._base + 0x80000000 & 0xFFFFFFFF) - 0x80000000

    def _put_segment(  # noqa: PLR0917  (one thing of each)
        self, frame: Frame, place: int, data: bytes, length: int, sequence: int, acknowledged: int | None
    ) -> bool:
        if self._in_step:
            relative = self._relative(sequence)
            if relative < -2 * FRAMER_BYTES or relative + length > FRAMER_BYTES:
                self._fall_out()
        if not self._in_step:
            if not begins_with_messages(data, length) or length > FRAMER_BYTES:
                return False
            self._in_step = True
            self._base, self._filled = sequence & 0xFFFFFFFF, 0
            self._runs.clear()
        relative = self._relative(sequence)
        if relative < 0:
            over = -relative
            if over >= length:
                return False
            data, place, length, relative = data[over:], place + over, length - over, 0
        self._store(frame, place, data, relative, length)
        if relative <= self._filled:
            self._filled = max(self._filled, relative + length)
            self._absorb()
            return True
        if len(self._runs) < OUT_OF_ORDER_RUNS:
            self._runs.append((relative, relative + length))
        if acknowledged is not None:
            first = min(start for start, _ in self._runs)
            if self._relative(acknowledged) >= first:  # received over there, never captured here
                self._drop_front(first)
                self._filled = 0
                self._absorb()
                if not begins_with_messages(bytes(self._stream[: self._filled]), self._filled):
                    self._fall_out()
                    return False
                return True
        return False

    def _store(self, frame: Frame, place: int, data: bytes, relative: int, length: int) -> None:
        room = relative + length - len(self._stream)
        if room > 0:
            self._stream += bytes(room)
            self._known += bytes(room)
        self._stream[relative : relative + len(data)] = data
        self._known[relative : relative + len(data)] = b"\1" * len(data)
        if data:
            frame.waits += 1
            self._parts.append(_Part(frame, place, relative, relative + len(data)))

    def _absorb(self) -> None:
        joined = True
        while joined:
            joined = False
            for run in self._runs:
                if run[0] <= self._filled:
                    self._filled = max(self._filled, run[1])
                    self._runs.remove(run)
                    joined = True
                    break

    def _drop_front(self, count: int) -> None:
        if count <= 0:
            return
        del self._stream[:count], self._known[:count]
        self._base = self._base + count & 0xFFFFFFFF
        self._filled = max(self._filled - count, 0)
        self._runs = [(start - count, stop - count) for start, stop in self._runs]
        left = []
        for part in self._parts:
            part.start -= count
            part.stop -= count
            if part.stop <= 0:
                part.frame.waits -= 1
            else:
                left.append(part)
        self._parts = left

    def _fall_out(self) -> None:
        for part in self._parts:
            part.frame.waits -= 1
        self._parts.clear()
        self._runs.clear()
        self._stream.clear()
        self._known.clear()
        self._in_step, self._filled = False, 0

    def _take(self) -> None:
        """Map every message that is whole."""
        at = 0
        while True:
            size = self._next(at)
            if size == 0:
                break
            if size < 0:
                self._fall_out()
                return
            known = self._known.find(0, at, at + size)
            captured = size if known < 0 else known - at
            self._write(at, self._scrub(bytes(self._stream[at : at + captured]), size))
            at += size
        self._drop_front(at)

    def _next(self, at: int) -> int:
        available = self._filled - at
        if available < 4:
            return 0
        if self._known[at : at + 4] != b"\1\1\1\1":
            return -1
        head = bytes(self._stream[at : at + (8 if available >= 8 and self._known[at + 7] else 4)])
        size = message_bytes(head)
        if size <= 0 or size > FRAMER_BYTES // 2:
            return -1
        return size if size <= available else 0

    def _write(self, at: int, mapped: bytes) -> None:
        stop = at + len(mapped)
        for part in self._parts:
            first, last = max(part.start, at), min(part.stop, stop)
            if first < last:
                place = part.place + first - part.start
                part.frame.out[place : place + last - first] = mapped[first - at : last - at]


def message_bytes(data: bytes) -> int:
    """Return the length of the TURN message that begins here, padding included.

    Parameters
    ----------
    data
        From its first byte on.

    Returns
    -------
    size
        0 if none begins here, -1 if too little is there [bytes].
    """
    if len(data) < 4:
        return -1
    body = int.from_bytes(data[2:4], "big")
    if 0x40 <= data[0] <= 0x4F:
        return 4 + (body + 3) // 4 * 4
    if data[0] < 4 and body & 3 == 0:
        return 0 if len(data) >= 8 and data[4:8] != _COOKIE else stun.HEADER_BYTES + body
    return 0


def begins_with_messages(data: bytes, length: int) -> int:
    """Judge a segment: 2 if it begins with a STUN message, 1 if it is a chain of ChannelData, else 0.

    Parameters
    ----------
    data, length
        As captured, and its length on the wire.

    Returns
    -------
    verdict
        As the reader of captures judges.
    """
    if len(data) >= stun.HEADER_BYTES and data[0] < 4 and is_stun(data, _LONGEST):
        return 2
    if len(data) < 5 or not 0x40 <= data[0] <= 0x4F:
        return 0
    here = 0
    while here < length:
        if here + 5 > len(data):  # cut by the snaplen: the chain so far must do, but not a lone header
            return 1 if here > 0 else 0
        size = message_bytes(data[here : here + 8])
        if size <= 4:
            return 0
        inner = data[here + 4]
        if 0x40 <= data[here] <= 0x4F and not (inner < 4 or 20 <= inner <= 63 or 128 <= inner <= 191):
            return 0
        here += size
    return 1 if here == length else 0


class Connection:
    """A TCP connection that carries TURN, from the segment on that shows it.

    Parameters
    ----------
    scrub
        Maps one message.
    """

    def __init__(self, scrub: Scrub) -> None:
        self._scrub = scrub
        self._directions = {True: Direction(scrub), False: Direction(scrub)}
        self._acknowledged: dict[bool, int] = {}
        self._kind = UNKNOWN
        self._votes = self._probed = 0

    def put(self, frame: Frame, place: int, data: bytes, length: int, header: bytes, *, is_from_a: bool) -> bool:
        """Take a segment.

        Parameters
        ----------
        frame, place
            Where its payload is written.
        data, length
            As captured, and its length on the wire.
        header
            TCP header.
        is_from_a
            Direction.

        Returns
        -------
        is_taken
            Whether its payload is a matter of TURN.
        """
        sequence = int.from_bytes(header[4:8], "big")
        if header[13] & 16:
            number = int.from_bytes(header[8:12], "big")
            known = self._acknowledged.get(is_from_a)
            if known is None or 0 < (number - known & 0xFFFFFFFF) < 0x80000000:
                self._acknowledged[is_from_a] = number
        if length == 0 or self._kind == OTHER:
            return False
        if self._kind == UNKNOWN and not self._probe(data, length):
            if begins_with_messages(data, length) != 1:
                return False
            Direction(self._scrub).put(frame, place, data, length, sequence, None)
            return True
        self._directions[is_from_a].put(frame, place, data, length, sequence, self._acknowledged.get(not is_from_a))
        return True

    def _probe(self, data: bytes, length: int) -> bool:
        verdict = begins_with_messages(data, length)
        if verdict == 2:
            self._kind = TURN
        elif verdict == 1:
            self._votes += 1
            if self._votes >= _VOTES:
                self._kind = TURN
        self._probed += 1
        if self._kind == UNKNOWN and self._probed >= _PROBED and not self._votes:
            self._kind = OTHER
        return self._kind == TURN
