"""Compressed captures: told by their first bytes, decompressed in bounded memory, damage put into words."""

from __future__ import annotations

import io
import zlib
from typing import Any, cast

from ccp_assess.errors import CcpAssessError

READ_BYTES = 1 << 18
LARGEST_ZSTD_WINDOW = 1 << 27
"""Memory a zstd frame may ask for: what the tool's own default allows (level 19 and below) [bytes]."""

_COMPRESSIONS = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd", "lz4": b"\x04\x22\x4d\x18"}

DAMAGE: tuple[type[Exception], ...] = (zlib.error, RuntimeError, EOFError, ValueError, MemoryError)
"""What decompressors raise on bytes that are none of theirs."""


def compression_of(head: bytes) -> str | None:
    """Tell by its first bytes how a file is compressed.

    Parameters
    ----------
    head
        At least four bytes of it, if it has as many.

    Returns
    -------
    compression
        ``gzip``, ``zstd``, ``lz4`` or ``None``.
    """
    return next((name for name, magic in _COMPRESSIONS.items() if head.startswith(magic)), None)


def decompressed(source: io.RawIOBase, compression: str | None) -> Any:
    """Give what compressed bytes hold.

    Parameters
    ----------
    source
        The file as it is.
    compression
        How it is compressed; ``None`` gives the file itself.

    Returns
    -------
    stream
        With ``readinto``, which raises one of `DAMAGE`, and ``damage``, a sentence once the data ended too early.
    """
    if compression is None:
        return source
    whole = _Whole(source)
    return _Steady(_Unzstd(whole) if compression == "zstd" else _Inflating(whole, compression))


class _Whole(io.RawIOBase):
    """Compressed bytes in pieces that are as large as asked for, however they come."""

    def __init__(self, source: io.RawIOBase) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer)
        filled = 0
        while filled < len(view) and (got := self._source.readinto(view[filled:])):
            filled += got
        return filled


class _Steady:
    """Decompressed bytes, made in steps of one size: what damage takes along does not depend on who reads how much."""

    def __init__(self, stream: _Inflating | _Unzstd) -> None:
        self._stream = stream
        self._step = memoryview(bytearray(READ_BYTES))
        self._ready = self._step[:0]
        self._error: Exception | None = None

    @property
    def damage(self) -> str | None:
        return self._stream.damage

    def readinto(self, view: memoryview) -> int:
        if not self._ready:
            self._ready = self._step[: self._make_step()]
            if not self._ready and self._error is not None:
                raise self._error
        got = min(len(view), len(self._ready))
        view[:got] = self._ready[:got]
        self._ready = self._ready[got:]
        return got

    def _make_step(self) -> int:
        filled = 0
        try:
            while filled < READ_BYTES and self._error is None and (got := self._stream.readinto(self._step[filled:])):
                filled += got
        except CcpAssessError:
            raise
        except DAMAGE as error:
            self._error = error
        return filled


class _Inflating:
    """Decompression of one or several members after each other, in bounded pieces."""

    def __init__(self, source: _Whole, name: str) -> None:
        self._source = source
        self._name = name
        self._input = b""
        self._make = _decompressors()[name]
        self._member = self._make()
        self._members = 0
        self._ended = False
        self.damage: str | None = None

    def readinto(self, view: memoryview) -> int:
        while not self._ended:
            if not self._input and getattr(self._member, "needs_input", True):
                self._input = self._source.read(READ_BYTES) or b""
                if not self._input:
                    self._ended = True
                    if not self._member.eof:
                        self.damage = f"the {self._name} data end in the middle"
                    return 0
            piece = self._member.decompress(self._input, len(view))
            self._input = self._member.unconsumed_tail if self._name == "gzip" else b""
            if self._member.eof:
                rest = self._member.unused_data
                self._member = self._make()
                self._members += 1
                self._input = rest
                if not rest:
                    self._input = self._source.read(READ_BYTES) or b""
                if not self._input or not self._another_member():
                    self._ended = True
            if piece:
                view[: len(piece)] = piece
                return len(piece)
        return 0

    def _another_member(self) -> bool:
        """Tell a further member from padding or rubbish after the last."""
        if self._name == "gzip":
            return self._input[:2] == b"\x1f\x8b"
        return self._input[:4] == b"\x04\x22\x4d\x18"


def _decompressors() -> dict[str, Any]:
    def lz4_member() -> Any:
        import lz4.frame  # noqa: PLC0415  (only who reads lz4 pays for it)

        return lz4.frame.LZ4FrameDecompressor()

    return {"gzip": lambda: zlib.decompressobj(wbits=31), "lz4": lz4_member}


class _ZstdFrames(io.RawIOBase):
    """Pass compressed bytes on and follow the frames, to know whether the last one is whole (RFC 8878, section 3.1)."""

    def __init__(self, source: _Whole) -> None:
        self._source = source
        self._held = b""
        self._skip = 0
        self._checksum = 0
        self._place = "frame"

    def readable(self) -> bool:
        return True

    @property
    def is_whole(self) -> bool:
        return self._place == "frame" and not self._held and not self._skip

    def readinto(self, buffer: Any, /) -> int:
        got = self._source.readinto(buffer)
        self._follow(bytes(memoryview(buffer)[:got]))
        return got

    def _follow(self, data: bytes) -> None:
        at = 0
        data = self._held + data
        self._held = b""
        while at < len(data):
            step = min(self._skip, len(data) - at)
            at += step
            self._skip -= step
            rest = data[at : at + 18]
            if self._place == "frame":
                if len(rest) < 5:
                    break
                if rest[1:4] == b"\x2a\x4d\x18" and rest[0] & 0xF0 == 0x50:  # a skippable frame
                    if len(rest) < 8:
                        break
                    self._skip = int.from_bytes(rest[4:8], "little")
                    at += 8
                    continue
                descriptor = rest[4]
                single = descriptor >> 5 & 1
                sizes = (1 if single else 0, 2, 4, 8)[descriptor >> 6]
                self._skip = 5 + (0 if single else 1) + (0, 1, 2, 4)[descriptor & 3] + sizes
                self._checksum = 4 if descriptor & 4 else 0
                self._place = "block"
            else:
                if len(rest) < 3:
                    break
                header = int.from_bytes(rest[:3], "little")
                self._skip = 3 + (1 if header >> 1 & 3 == 1 else header >> 3)
                if header & 1:
                    self._skip += self._checksum
                    self._place = "frame"
        self._held = data[at:]


class _Unzstd:
    """Decompression of zstd frames after each other, in bounded pieces."""

    def __init__(self, source: _Whole) -> None:
        import zstandard  # noqa: PLC0415  (only who reads zstd pays for it)

        self._error = zstandard.ZstdError
        self._frames = _ZstdFrames(source)
        self._reader = zstandard.ZstdDecompressor(max_window_size=LARGEST_ZSTD_WINDOW).stream_reader(
            cast("Any", self._frames), read_size=READ_BYTES, read_across_frames=True, closefd=False
        )
        self.damage: str | None = None

    def readinto(self, view: memoryview) -> int:
        try:
            got = int(self._reader.readinto(view))
        except self._error as error:
            raise ValueError(str(error)) from error
        if not got and not self._frames.is_whole:
            self.damage = "the zstd data end in the middle"
        return got
