"""Datagrams in fragments, put together by the same rules, in the same slots, as the reader of captures does.

What the reader takes for a whole datagram is mapped; every other fragment stays zeros. One that the reader leaves out,
since another interface saw it before, gets the bytes of that other one, so that it is left out of the copy as well.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ccp_assess.capture.scrubbing.held import Frame
from ccp_assess.wire.columns import COPY_WINDOW_NS
from ccp_assess.wire.ip import FRAGMENT_BYTES, FRAGMENT_SLOTS, FRAGMENT_TIMEOUT_NS, TCP, UDP

_MOST_BYTES = 1 << 20
"""Of frames that wait for one datagram: pieces of eight bytes need half of it."""
_MOST_REMEMBERED = 1_024
_MOST_COPIES = 64
_COMPARED_BYTES = 40
_CHECKSUM_AT = {UDP: 6, TCP: 16}

Key = tuple[bytes, bytes, int, int]
"""Source and destination address, protocol, identification."""

Header = TypeVar("Header")


@dataclass(slots=True, kw_only=True)
class Piece:
    """A fragment.

    Parameters
    ----------
    frame, place
        The frame that carries it, and where in it the piece stands.
    data
        Its bytes, as far as they were captured.
    offset, length
        Where it belongs in the datagram, and its length on the wire [bytes].
    more
        Whether further ones follow it.
    origin
        Where it was seen; ``None`` where a frame cannot be seen twice.
    """

    frame: Frame
    place: int
    data: bytes
    offset: int
    length: int
    more: bool
    origin: int | None
    copies: list[Piece] = field(default_factory=list)
    is_done: bool = False

    def give_to(self, copy: Piece) -> None:
        """Let a copy have what this piece has or will have.

        Parameters
        ----------
        copy
            The same piece, seen elsewhere; it may have been cut off earlier or later.
        """
        if not self.is_done:
            if len(self.copies) < _MOST_COPIES:
                copy.frame.waits += 1
                self.copies.append(copy)
            return
        size = min(len(self.data), len(copy.data))
        copy.frame.out[copy.place : copy.place + size] = self.frame.out[self.place : self.place + size]

    def write(self, mapped: bytes | bytearray) -> None:
        """Put mapped bytes in the place of this piece and of its copies, which then wait no longer.

        Parameters
        ----------
        mapped
            As many as were captured; none where they stay zeros.
        """
        self.is_done = True
        self.frame.out[self.place : self.place + len(mapped)] = mapped
        self.frame.waits -= 1
        for copy in self.copies:
            self.give_to(copy)
            copy.frame.waits -= 1
        self.copies.clear()


@dataclass(slots=True)
class Datagram(Generic[Header]):
    """A datagram in pieces.

    Parameters
    ----------
    key, header
        Of its first piece.
    time_ns
        When that was captured [ns].
    """

    key: Key
    header: Header
    time_ns: int
    total: int | None = None
    came: int = 0  # a bit for every eight bytes that came
    held_bytes: int = 0
    pieces: list[Piece] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether every byte of it came."""
        return self.total is not None and self.came.bit_count() == (self.total + 7) // 8

    def takes(self, piece: Piece) -> bool:
        """Tell whether a piece can belong to this datagram, all of whose pieces agree where it ends.

        Parameters
        ----------
        piece
            The next one.

        Returns
        -------
        takes
            ``False`` also if it is one too many.
        """
        stop = piece.offset + piece.length
        if stop > FRAGMENT_BYTES or (piece.more and piece.length % 8) or self.held_bytes > _MOST_BYTES:
            return False
        if self.total is not None:
            return stop <= self.total if piece.more else stop == self.total
        return piece.more or not self.came >> stop // 8

    def add(self, piece: Piece) -> None:
        """Take a piece.

        Parameters
        ----------
        piece
            One that it takes.
        """
        stop = piece.offset + piece.length
        if not piece.more:
            self.total = stop
        first, behind = piece.offset // 8, (stop + 7) // 8
        self.came |= (1 << behind) - (1 << first)
        self.pieces.append(piece)
        self.held_bytes += len(piece.frame.out)

    def joined(self) -> bytes:
        """Return its bytes up to the first one that was not captured; of two pieces of one place the later counts."""
        data = bytearray(self.total or 0)
        known = len(data)
        for piece in self.pieces:
            data[piece.offset : piece.offset + len(piece.data)] = piece.data
            if len(piece.data) < piece.length:
                known = min(known, piece.offset + len(piece.data))
        return bytes(data[:known])

    def write(self, mapped: bytes | bytearray = b"") -> None:
        """Put its mapped bytes where its pieces stand.

        Parameters
        ----------
        mapped
            From its beginning; none to leave zeros.
        """
        for piece in self.pieces:
            piece.write(mapped[piece.offset : piece.offset + len(piece.data)])


class Fragments(Generic[Header]):
    """Datagrams of which not all pieces have come, as many as the reader keeps."""

    def __init__(self) -> None:
        self._slots: list[Datagram[Header] | None] = [None] * FRAGMENT_SLOTS
        self._seen: OrderedDict[tuple[Key, int, int, bytes], Piece] = OrderedDict()

    def put(self, key: Key, header: Header, piece: Piece) -> Datagram[Header] | None:
        """Take a fragment.

        Parameters
        ----------
        key, header
            Of its packet.
        piece
            The fragment; its frame waits until it is known what it shall hold.

        Returns
        -------
        whole
            The datagram whose last missing piece it was, to be written; ``None`` if it was not.
        """
        if piece.origin is not None and self._is_copy(key, piece):
            return None
        slot, datagram = self._slot_of(key, header, piece.frame.time_ns)
        if not datagram.takes(piece):
            piece.is_done = True
            self._give_up(slot)
            return None
        piece.frame.waits += 1
        datagram.add(piece)
        if not datagram.is_whole:
            return None
        self._slots[slot] = None
        return datagram

    def _slot_of(self, key: Key, header: Header, time_ns: int) -> tuple[int, Datagram[Header]]:
        free, oldest, oldest_ns = None, 0, None
        for number, datagram in enumerate(self._slots):
            if datagram is None:
                free = number if free is None else free
                continue
            if datagram.key == key and abs(time_ns - datagram.time_ns) < FRAGMENT_TIMEOUT_NS:
                return number, datagram
            if oldest_ns is None or datagram.time_ns < oldest_ns:
                oldest, oldest_ns = number, datagram.time_ns
        if free is None:
            self._give_up(oldest)
            free = oldest
        self._slots[free] = datagram = Datagram(key, header, time_ns)
        return free, datagram

    def _give_up(self, slot: int) -> None:
        datagram = self._slots[slot]
        self._slots[slot] = None
        if datagram is not None:
            datagram.write()

    def _is_copy(self, key: Key, piece: Piece) -> bool:
        """Tell whether another interface saw this piece within a second; remember it if not."""
        told = bytearray(piece.data[:_COMPARED_BYTES])
        if piece.offset == 0 and (at := _CHECKSUM_AT.get(key[2])) is not None:
            told[at : at + 2] = b""
        name = (key, piece.offset, piece.length, bytes(told))
        before = self._seen.get(name)
        if (
            before is not None
            and before.origin != piece.origin
            and abs(piece.frame.time_ns - before.frame.time_ns) <= COPY_WINDOW_NS
        ):
            before.give_to(piece)
            return True
        self._seen[name] = piece
        self._seen.move_to_end(name)
        if len(self._seen) > _MOST_REMEMBERED:
            self._seen.popitem(last=False)
        return False
