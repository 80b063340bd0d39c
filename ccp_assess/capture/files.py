"""Capture files as streams of bytes: opened by content, decompressed on the way, never believed.

A file is read forward once, in pieces, into buffers that are used again; memory does not grow with its size. Compressed
data that end early or are damaged give what could be had and a sentence that says so.
"""

from __future__ import annotations

import io
import os
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from ccp_assess.errors import CaptureError, CcpAssessError, StateError, UnavailableError

READ_BYTES = 1 << 18
FIRST_PIECE_BYTES = 1 << 17
LARGEST_PIECE_BYTES = 1 << 22
"""Pieces in which objects are fetched: the first as a look at the head needs, each later one twice as large [bytes]."""

HEAD_BYTES = 65_536
LARGEST_ZSTD_WINDOW = 1 << 27
"""Memory a zstd frame may ask for: what the tool's own default allows (level 19 and below) [bytes]."""

_OTHER_KINDS: tuple[tuple[bytes, str], ...] = (
    (b"snoop\0\0\0", "a snoop capture (Solaris)"),
    (b"iptrace 1.0", "an iptrace capture (AIX)"),
    (b"iptrace 2.0", "an iptrace capture (AIX)"),
    (b"btsnoop\0", "a Bluetooth btsnoop capture"),
    (b"XCP\0", "a NetXray or Windows Sniffer capture"),
    (b"TRSNIFF data", "a DOS Sniffer capture"),
    (b"RTSS", "a Network Monitor capture"),
    (b"GMBU", "a Network Monitor capture"),
    (b"ObserverPktBuffe", "an Observer capture"),
    (b"\x05VNF", "a Visual Networks capture"),
    (b"\x7fver", "an EtherPeek capture"),
    (b"\x13\x00\x00\x00\x00\x01ETL", "an event trace (ETL)"),
    (b"BZh", "compressed with bzip2"),
    (b"\xfd7zXZ\0", "compressed with xz"),
    (b"PK\x03\x04", "a zip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"MDMP", "a Windows memory dump"),
    (b"\x89PNG", "a PNG picture"),
    (b"%PDF", "a PDF document"),
    (b"SQLite format 3\0", "a database"),
    (b"\xd0\xcf\x11\xe0", "an Office document"),
    (b"PAR1", "a Parquet file"),
)

_TEXT_BYTES = frozenset(range(32, 127)) | {7, 8, 9, 10, 11, 12, 13, 27}


class CaptureObject(Protocol):
    """A capture that is no file of this machine: an object of a bucket.

    An attribute ``size`` [bytes] spares asking for it.
    """

    @property
    def name(self) -> str:
        """What it is called in results and sentences."""

    def open(self) -> BinaryIO:
        """Open it to be read from its beginning, in pieces of any size; ``seek`` must work."""


CaptureSource = str | os.PathLike[str] | CaptureObject
"""A file by its path, or an object."""


def name_of(source: CaptureSource) -> str:
    """Return what a capture is called.

    Parameters
    ----------
    source
        A path or an object.

    Returns
    -------
    name
        The path as it was given.
    """
    return os.fspath(source) if isinstance(source, (str, os.PathLike)) else source.name


@dataclass
class Source:
    """One capture as a forward stream of bytes after decompression.

    Parameters
    ----------
    path
        As it was given.
    compression
        ``gzip``, ``zstd``, ``lz4`` or ``None``.
    size
        Of the file on disk; ``None`` for a pipe [bytes].
    damage
        One sentence once the compressed data turned out to be damaged or cut.
    """

    path: str
    compression: str | None
    size: int | None
    damage: str | None
    _stream: Any
    _counter: _Counting
    _skip_bytes: int = 0  # to be read again before what is new, since compressed data cannot be entered in the middle
    _done_before: int = 0

    @property
    def done_bytes(self) -> int:
        """Bytes of the file on disk that were read so far, by whichever process."""
        return max(self._counter.count, self._done_before)

    def readinto(self, view: memoryview) -> int:
        """Fill a buffer as far as the data reach.

        Parameters
        ----------
        view
            Where the bytes go.

        Returns
        -------
        count
            Bytes written; less than asked for only at the end.
        """
        while self._skip_bytes:
            piece = memoryview(bytearray(min(self._skip_bytes, READ_BYTES)))
            got = self._fill(piece)
            self._skip_bytes -= got
            if got < len(piece):
                raise changed(self.path)
        return self._fill(view)

    def _fill(self, view: memoryview) -> int:
        filled = 0
        while filled < len(view):
            try:
                got = self._stream.readinto(view[filled:])
            except CcpAssessError:
                raise
            except _DAMAGE as error:
                self.damage = f"the {self.compression} data are damaged ({_first_line(error)})"
                break
            except OSError as error:
                self.damage = f"the file cannot be read further ({error.strerror or error})"
                break
            if not got:
                self.damage = self.damage or getattr(self._stream, "damage", None)
                break
            filled += got
        return filled

    def park(self) -> None:
        """Give the file handle back until the next read."""
        self._counter.park()

    def close(self) -> None:
        """Close the file."""
        self._counter.close()


def changed(path: str) -> StateError:
    """Say that a capture is not what it was when its first part was read.

    Parameters
    ----------
    path
        What it is called.

    Returns
    -------
    error
        To be raised.
    """
    return StateError(f"{path} has changed since its first part was read; read it from its beginning")


class _Counting(io.RawIOBase):
    """The file itself, with the bytes given back that were looked at, and a count for the progress."""

    def __init__(self, raw: Any, reopen: Callable[[], Any] | None, place: int = 0) -> None:
        self._raw = raw
        self._reopen = reopen
        self._place = place
        self._pushed = b""
        self.count = place

    def readable(self) -> bool:
        return True

    def push_back(self, data: bytes) -> None:
        self._pushed = data + self._pushed
        self.count -= len(data)

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer)
        if self._pushed:
            got = min(len(view), len(self._pushed))
            view[:got] = self._pushed[:got]
            self._pushed = self._pushed[got:]
        else:
            self.resume()
            got = self._raw.readinto(view) or 0
        self.count += got
        return got

    def close(self) -> None:
        if self._reopen is not None and self._raw is not None:
            self._raw.close()
        super().close()

    def park(self) -> None:
        """Give the file handle back until `resume`; a pipe keeps its own."""
        if self._reopen is not None and self._raw is not None and self._raw.seekable():
            self._place = self._raw.tell()
            self._raw.close()
            self._raw = None

    def resume(self) -> None:
        """Open the file again where it was parked."""
        if self._raw is None and self._reopen is not None:
            self._raw = self._reopen()
            if self._place:
                self._raw.seek(self._place)


class _Pieces(io.RawIOBase):
    """An object of a bucket, fetched in large pieces one after the other; whatever fails there is no damage."""

    def __init__(self, name: str, raw: BinaryIO) -> None:
        self._name = name
        self._raw = raw
        self._piece = memoryview(b"")
        self._size = FIRST_PIECE_BYTES

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, place: int, whence: int = os.SEEK_SET, /) -> int:
        self._piece = memoryview(b"")
        return int(self._asked(lambda: self._raw.seek(place, whence)))

    def tell(self) -> int:
        return int(self._asked(self._raw.tell)) - len(self._piece)

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer)
        if not self._piece:
            self._piece = memoryview(self._asked(lambda: self._raw.read(self._size)))
            self._size = min(2 * self._size, LARGEST_PIECE_BYTES)
        got = min(len(view), len(self._piece))
        view[:got] = self._piece[:got]
        self._piece = self._piece[got:]
        return got

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()

    def _asked(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except CcpAssessError:
            raise
        except Exception as error:
            raise _unavailable(self._name, error) from error


def _unavailable(name: str, error: Exception) -> UnavailableError:
    return UnavailableError(f"{name} cannot be read now ({_first_line(error)}); try again")


class _Whole(io.RawIOBase):
    """Compressed bytes in pieces that are as large as asked for, however they come."""

    def __init__(self, source: _Counting) -> None:
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
        except _DAMAGE as error:
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


_DAMAGE: tuple[type[Exception], ...] = (zlib.error, RuntimeError, EOFError, ValueError, MemoryError)


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0][:120] if lines else type(error).__name__


def open_source(source: CaptureSource) -> Source:
    """Open a capture, see by its first bytes whether it is compressed, and give a stream of what it holds.

    Parameters
    ----------
    source
        A file; ``-`` for standard input; an object.

    Returns
    -------
    source
        Positioned at the first byte after decompression.

    Raises
    ------
    CaptureError
        If it cannot be opened or is compressed in another way.
    UnavailableError
        If an object cannot be had now.
    """
    path = name_of(source)
    counter, size = _open(source)
    head = counter.read(16) or b""
    while len(head) < 16 and (more := counter.read(16 - len(head))):
        head += more
    counter.push_back(head)
    compression = next((name for name, magic in _COMPRESSIONS.items() if head.startswith(magic)), None)
    return Source(path, compression, size, None, _decompressed(counter, compression), counter)


_COMPRESSIONS = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd", "lz4": b"\x04\x22\x4d\x18"}


def _decompressed(counter: _Counting, compression: str | None) -> Any:
    if compression is None:
        return counter
    whole = _Whole(counter)
    return _Steady(_Unzstd(whole) if compression == "zstd" else _Inflating(whole, compression))


def reopen_source(source: CaptureSource, *, compression: str | None, size: int, place: int, done_bytes: int) -> Source:
    """Give the stream of a capture that was opened before, from a place in it on; it is opened when it is read.

    Parameters
    ----------
    source
        As it was given to `open_source`.
    compression, size
        What was found then; another size is refused [bytes].
    place
        After decompression [bytes]. What is compressed is decompressed again up to there.
    done_bytes
        How much of the file was read so far.

    Returns
    -------
    source
        Positioned there.
    """
    path = name_of(source)
    opener = _opener(source)

    def reopen() -> Any:
        raw = opener()
        if _size_of(source, raw) != size:
            raw.close()
            raise changed(path)
        return raw

    skip_bytes = place if compression else 0
    counter = _Counting(None, reopen, place - skip_bytes)
    stream = _decompressed(counter, compression)
    return Source(path, compression, size, None, stream, counter, skip_bytes, done_bytes)


def check_unchanged(source: CaptureSource, size: int) -> None:
    """Refuse a capture whose size changed, as far as that is known without opening it.

    Parameters
    ----------
    source
        A path or an object.
    size
        Of the file when it was first opened [bytes].

    Raises
    ------
    StateError
        If it has another one now, or is gone.
    """
    if isinstance(source, (str, os.PathLike)):
        try:
            now: int | None = Path(source).stat().st_size
        except OSError:
            now = -1
    else:
        now = getattr(source, "size", None)
    if now is not None and now != size:
        raise changed(name_of(source))


def _opener(source: CaptureSource) -> Callable[[], Any]:
    if isinstance(source, (str, os.PathLike)):
        return lambda: Path(source).open("rb", buffering=0)

    def opened() -> Any:
        try:
            return _Pieces(source.name, source.open())
        except (CcpAssessError, FileNotFoundError):
            raise
        except Exception as error:
            raise _unavailable(source.name, error) from error

    return opened


def _size_of(source: CaptureSource, raw: Any) -> int:
    if isinstance(source, (str, os.PathLike)):
        return os.fstat(raw.fileno()).st_size
    known = getattr(source, "size", None)
    if known is None:
        known = raw.seek(0, os.SEEK_END)
        raw.seek(0)
    return int(known)


def _open(source: CaptureSource) -> tuple[_Counting, int | None]:
    if source == "-":
        try:
            descriptor = sys.stdin.fileno()
        except (OSError, ValueError, AttributeError):
            stream = getattr(sys.stdin, "buffer", None)
            if stream is None:
                raise CaptureError("standard input is closed; give a file or pipe a capture in") from None
            return _Counting(stream, None), None
        return _Counting(io.FileIO(descriptor, closefd=False), None), None
    path = name_of(source)
    opener = _opener(source)
    try:
        raw = opener()
        return _Counting(raw, opener), _size_of(source, raw)
    except FileNotFoundError:
        raise CaptureError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise CaptureError(f"{path} is a folder; name the capture files in it") from None
    except CcpAssessError:
        raise
    except (OSError, ValueError) as error:
        raise CaptureError(f"{path} cannot be opened: {getattr(error, 'strerror', None) or error}") from None


def describe_other(head: bytes) -> str:
    """Say in words what a file holds that is not pcap or pcapng.

    Parameters
    ----------
    head
        Its first bytes.

    Returns
    -------
    words
        Such as ``a snoop capture (Solaris)``.
    """
    if not head:
        return "empty (0 bytes)"
    for magic, words in _OTHER_KINDS:
        if head.startswith(magic):
            return words
    if _looks_like_erf(head):
        return "an ERF capture (Endace)"
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "a text file (UTF-16)"
    sample = head[:4096]
    if sample.startswith(b"\xef\xbb\xbf"):
        sample = sample[3:]
    if all(byte in _TEXT_BYTES or byte > 127 for byte in sample) and _is_utf8(sample):
        return "a text file"
    return f"no capture that is known (it begins with {head[:8].hex(' ')})"


def _is_utf8(sample: bytes) -> bool:
    """Tell UTF-8, of which the last character may be cut."""
    for cut in range(4):
        try:
            sample[: len(sample) - cut].decode("utf-8")
        except UnicodeDecodeError:
            continue
        return True
    return False


def _looks_like_erf(head: bytes) -> bool:
    """Follow ERF record headers: little-endian time, type, length; the format has no magic number."""
    at, records, before = 0, 0, 0
    while at + 16 <= len(head) and records < 8:
        seconds = int.from_bytes(head[at + 4 : at + 8], "little")
        kind = head[at + 8] & 0x7F
        length = int.from_bytes(head[at + 10 : at + 12], "big")
        if (
            not 1 <= kind <= 48
            or length < 16
            or not 600_000_000 < seconds < 4_000_000_000
            or abs(seconds - before) > (1 << 32 if records == 0 else 100_000)
        ):
            return False
        before = seconds
        at += length
        records += 1
    return records >= 3 or (records >= 1 and at == len(head))
