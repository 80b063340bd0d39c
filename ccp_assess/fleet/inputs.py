"""Inputs: opened in the version that was planned, hashed, and held against the source as it is now."""

from __future__ import annotations

import errno
import hashlib
import io
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from ccp_assess.errors import CcpAssessError, UnavailableError
from ccp_assess.files import sha256_of_file
from ccp_assess.fleet.dataset import Dataset
from ccp_assess.fleet.needs import FleetError, need
from ccp_assess.fleet.sources import Place, SourceFile, list_source, stamp_of

AHEAD_BYTES = 8 << 20
"""Of an object that is read on and on, so much is fetched while the last piece is worked on."""

_STEADY_BYTES = 1 << 20
_THREADS = 16
_File = TypeVar("_File")
_Result = TypeVar("_Result")


class ChangedMeanwhileError(CcpAssessError):
    """A file changed while it was read: its unit is planned again."""


class NoRoomError(FleetError):
    """A worker cannot write to its temporary folder; another one may."""


def check_same(source: Place, files: Sequence[SourceFile]) -> None:
    """Raise where a file is not the version that was planned.

    Parameters
    ----------
    source
        Where they lie.
    files
        As they were listed.

    Raises
    ------
    ChangedMeanwhileError
        If one changed or went.
    """
    source.fs.invalidate_cache()

    def check(file: SourceFile) -> None:
        try:
            found = stamp_of(source.fs.info(source.full(file.path)))
        except FileNotFoundError:
            found = None
        if found != (file.size, file.stamp):
            raise ChangedMeanwhileError(file.path)

    in_threads(source, check, files)


def in_threads(place: Place, work: Callable[[_File], _Result], files: Sequence[_File]) -> list[_Result]:
    """Do something for each file: side by side where each answer has a way to travel.

    Parameters
    ----------
    place
        Where they lie.
    work
        What to do.
    files
        For which.

    Returns
    -------
    results
        In the order of the files.
    """
    if place.local is not None or len(files) < 2:
        return [work(file) for file in files]
    with ThreadPoolExecutor(_THREADS) as threads:
        return list(threads.map(work, files))


class _Sum:
    """The checksum of an object whose pieces come one after the other."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self.place = 0

    def add(self, place: int, data: bytes) -> None:
        """Hear of a piece; one that was heard of before adds nothing, and one after a gap neither."""
        if place <= self.place < place + len(data):
            self._digest.update(memoryview(data)[self.place - place :])
            self.place = place + len(data)

    def hexdigest(self) -> str:
        """Return it as text."""
        return self._digest.hexdigest()


class _ObjectFile(io.RawIOBase):
    """An object of a store as a file, read ahead, in the version that was planned.

    With S3 every request names the entity tag, so that no byte of another version can come; elsewhere who reads checks
    the stamp again afterwards.
    """

    def __init__(self, source: Place, file: SourceFile, total: _Sum | None) -> None:
        try:
            self._file = source.fs.open(source.full(file.path), "rb", cache_type="none")
        except FileNotFoundError:
            raise ChangedMeanwhileError(file.path) from None
        details = getattr(self._file, "details", None) or source.fs.info(source.full(file.path))
        if stamp_of(details) != (file.size, file.stamp):
            self._file.close()
            raise ChangedMeanwhileError(file.path)
        self._path, self._size, self._sum = file.path, file.size, total
        self._place = 0
        self._rest = b""
        self._threads = ThreadPoolExecutor(1)
        self._ahead: Future[bytes] | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, place: int, whence: int = 0, /) -> int:
        self._forget()
        self._place = max(place + (0, self._place, self._size)[whence], 0)
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer)
        if not self._rest and self._place < self._size:
            ahead, self._ahead = self._ahead, None
            self._rest = ahead.result() if ahead is not None else self._fetch(self._place, len(view))
            if self._sum is not None:
                self._sum.add(self._place, self._rest)
            after = self._place + len(self._rest)
            if len(self._rest) >= _STEADY_BYTES and after < self._size:
                self._ahead = self._threads.submit(self._fetch, after, AHEAD_BYTES)
        got = min(len(view), len(self._rest))
        view[:got] = self._rest[:got]
        self._rest = self._rest[got:]
        self._place += got
        return got

    def _fetch(self, place: int, count: int) -> bytes:
        self._file.seek(place)
        data = bytes(self._file.read(min(count, self._size - place)))
        if not data:  # never to be taken for the end of a capture
            raise UnavailableError(f"{self._path}: the store sent less than the object holds; try again")
        return data

    def _forget(self) -> None:
        self._rest = b""
        ahead, self._ahead = self._ahead, None
        if ahead is not None and not ahead.cancel():
            ahead.exception()

    def close(self) -> None:
        if not self.closed:
            self._forget()
            self._threads.shutdown()
            self._file.close()
        super().close()


class InputObject:
    """An object of a bucket as the reader of captures takes it.

    Parameters
    ----------
    source, file
        Which.
    is_hashed
        Whether its checksum is made while it is read.
    """

    def __init__(self, source: Place, file: SourceFile, *, is_hashed: bool = False) -> None:
        self._source, self._file = source, file
        self._sum = _Sum() if is_hashed else None

    @property
    def name(self) -> str:
        """What it is called."""
        return self._file.path

    @property
    def size(self) -> int:
        """As it was listed [bytes]."""
        return self._file.size

    @property
    def sha256(self) -> str | None:
        """Its checksum once all of it was read, by one process and without a gap."""
        return self._sum.hexdigest() if self._sum is not None and self._sum.place == self._file.size else None

    def open(self) -> BinaryIO:
        """Open it to be read from its beginning.

        Returns
        -------
        file
            For reading and seeking.

        Raises
        ------
        ChangedMeanwhileError
            If it is another version by now, or gone.
        """
        return cast("BinaryIO", _ObjectFile(self._source, self._file, self._sum))


def sha256_of_input(source: Place, file: SourceFile) -> str:
    """Return the checksum of an input as it lies there.

    Parameters
    ----------
    source, file
        Which.

    Returns
    -------
    digest
        SHA-256 in hexadecimal digits.
    """
    if source.local is not None:
        return sha256_of_file(source.local / file.path)
    found = InputObject(source, file, is_hashed=True)
    with found.open() as stream:
        while stream.read(_STEADY_BYTES):
            pass
    if found.sha256 is None:
        raise ChangedMeanwhileError(file.path)
    return found.sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceChanges:
    """How a source differs from what a dataset was made of.

    Parameters
    ----------
    changed, gone, new
        Paths: other content, no longer there, not read yet.
    same
        Files that are as they were read (count).
    hashed
        Of these, those whose checksum was recorded; the others have the same size and stamp (count).
    """

    changed: tuple[str, ...]
    gone: tuple[str, ...]
    new: tuple[str, ...]
    same: int
    hashed: int

    @property
    def problems(self) -> list[str]:
        """One sentence for each file that differs."""
        told = {
            "has changed since it was read": self.changed,
            "is gone since it was read": self.gone,
            "was not read yet": self.new,
        }
        return [f"{path} {words}." for words, paths in told.items() for path in paths]


def check_source(source: Place, dataset: Dataset) -> SourceChanges:
    """Hold every input of a dataset against the source as it is now, by content where its checksum was recorded.

    Parameters
    ----------
    source
        As it is now.
    dataset
        That was made of it.

    Returns
    -------
    changes
        By path.
    """
    records = list(dataset.units_of_runs().values())
    digests = {path: digest for record in records for path, digest in record["sha256"].items()}
    read = {file["path"]: (file["size"], file["stamp"]) for record in records for file in record["files"]}
    aside = {row["path"] for row in (dataset.manifest() or {}).get("set_aside", ())}
    now = {file.path: file for file in list_source(source)}
    both = [file for path, file in now.items() if path in read]

    def is_same(file: SourceFile) -> bool:
        if file.path not in digests:
            return (file.size, file.stamp) == read[file.path]
        return bool(file.size == read[file.path][0]) and sha256_of_input(source, file) == digests[file.path]

    same = dict(zip((file.path for file in both), in_threads(source, is_same, both), strict=True))
    return SourceChanges(
        changed=tuple(sorted(path for path, is_it in same.items() if not is_it)),
        gone=tuple(sorted(set(read) - set(now))),
        new=tuple(sorted(path for path in now if path not in read and path not in aside)),
        same=sum(same.values()),
        hashed=sum(is_it and path in digests for path, is_it in same.items()),
    )


@contextmanager
def work_folder() -> Iterator[Path]:
    """Make a folder for copies, for as long as they are needed.

    Yields
    ------
    folder
        In the folder of the worker, which is removed with it however it ends; else in that for temporary files.

    Raises
    ------
    NoRoomError
        Where that cannot be used.
    """
    try:
        place = Path(need("distributed").get_worker().local_directory)
    except ValueError:  # not in a worker
        place = Path(tempfile.gettempdir())
    try:
        folder = tempfile.TemporaryDirectory(prefix="ccp-assess-fleet-", dir=place)
    except OSError as error:
        raise _no_room(place, error) from error
    with folder as name:
        yield Path(name)


def _no_room(place: Path, error: OSError) -> NoRoomError:
    return NoRoomError(
        f"{place}: the temporary folder of a worker cannot be used ({error.strerror or error}); make room there, or "
        "start the worker with another TMPDIR or --local-directory"
    )


def local_paths(source: Place, files: Sequence[SourceFile], folder: Path) -> tuple[str, list[Path]]:
    """Find local files for a small unit: the files themselves, or copies of the objects.

    Parameters
    ----------
    source
        Where they lie.
    files
        Which.
    folder
        For copies.

    Returns
    -------
    root, paths
        What the paths begin with, and one for each file.

    Raises
    ------
    ChangedMeanwhileError
        If an object is another one by now.
    """
    if source.local is not None:
        return f"{source.local}/", [source.local / file.path for file in files]

    def copy(file: SourceFile) -> Path:
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            source.fs.get_file(source.full(file.path), str(path))
        except FileNotFoundError:
            raise ChangedMeanwhileError(file.path) from None
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise _no_room(folder.parent, error) from error
        if path.stat().st_size != file.size:
            raise ChangedMeanwhileError(file.path)
        return path

    return f"{folder}/", in_threads(source, copy, files)
