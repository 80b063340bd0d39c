"""Capture files as streams of bytes: opened by content, decompressed on the way, never believed.

A file is read forward once, in pieces, into buffers that are used again; memory does not grow with its size. Compressed
data that end early or are damaged give what could be had and a sentence that says so.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from ccp_assess.capture.compression import DAMAGE, READ_BYTES, compression_of, decompressed
from ccp_assess.errors import CaptureError, CcpAssessError, StateError, UnavailableError, first_line

FIRST_PIECE_BYTES = 1 << 17
LARGEST_PIECE_BYTES = 1 << 22
"""Pieces in which objects are fetched: the first as a look at the head needs, each later one twice as large [bytes]."""

HEAD_BYTES = 65_536


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
            except DAMAGE as error:
                self.damage = f"the {self.compression} data are damaged ({first_line(error)[:120]})"
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
    return UnavailableError(f"{name} cannot be read now ({first_line(error)[:120]}); try again")


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
    compression = compression_of(head)
    return Source(path, compression, size, None, decompressed(counter, compression), counter)


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
    stream = decompressed(counter, compression)
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
