"""The files of a store in a bucket, as the database reads them: few requests, and what was read is kept.

Each answer of a bucket has a way to travel, and the database asks four times how long a file is before it reads a byte.
What files there are and how long is known from the index, so that only their bytes are asked for: in blocks, which are
kept for the next question as far as the memory for them reaches. Nothing but these files can be named.
"""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from fsspec.spec import AbstractFileSystem  # type: ignore[import-untyped]  # it has no types

from ccp_assess.fleet.sources import Place

SCHEME = "ccp-store"
BLOCK_BYTES = 1 << 19
KEPT_BYTES = 64 << 20
"""Of what was read, so much is kept here; the database keeps more of it itself."""

_WHOLE_BYTES = 4 << 20
"""Smaller files are read in one go."""

_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class Shelf(AbstractFileSystem):  # type: ignore[misc]
    """A file system of the files of one dataset, for reading alone.

    Parameters
    ----------
    place
        Where the dataset lies.
    sizes
        Path of each file → length; ``None`` to ask for it once [bytes].

    Attributes
    ----------
    failure
        What the bucket raised last; the database tells of it in many lines.
    """

    protocol: ClassVar[str] = SCHEME
    cachable: ClassVar[bool] = False

    def __init__(self, place: Place, sizes: Mapping[str, int | None]) -> None:
        super().__init__()
        self._place, self._sizes = place, dict(sizes)
        self._blocks: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._kept_bytes = 0
        self._lock = threading.Lock()
        self.failure: Exception | None = None
        self._whole_locks = {name: threading.Lock() for name in self._sizes}

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Tell how long a file is."""
        name = self._strip_protocol(path)
        if name not in self._sizes:
            raise FileNotFoundError(f"{path} is no file of the store")
        size = self._sizes[name]
        if size is None:
            try:
                size = self._sizes[name] = int(self._place.fs.info(self._place.full(name))["size"])
            except Exception as error:
                self.failure = error
                raise
        return {"name": name, "size": size, "type": "file"}

    def modified(self, path: str) -> datetime:
        """Tell that a file never changes: its name is a hash of what it is made of."""
        self.info(path)
        return _LONG_AGO

    def glob(self, path: str, **_: Any) -> list[str]:
        """Find the one file of that name."""
        return [self.info(path)["name"]]

    def open(self, path: str, mode: str = "rb", **_: Any) -> io.RawIOBase:
        """Open a file for reading."""
        if mode != "rb":
            raise PermissionError("a store is only read")
        found = self.info(path)
        return _ShelfFile(self, found["name"], found["size"])

    def piece(self, name: str, size: int, begin: int, end: int) -> bytes:
        """Give bytes of a file, of what is kept as far as it is there."""
        try:
            if size > _WHOLE_BYTES:
                return self._piece(name, size, BLOCK_BYTES, begin, end)
            with self._whole_locks[name]:  # several threads want one file at once, and one request brings all of it
                return self._piece(name, size, _WHOLE_BYTES, begin, end)
        except Exception as error:
            self.failure = error
            raise

    def _piece(self, name: str, size: int, step: int, begin: int, end: int) -> bytes:
        numbers = range(begin // step, -(-end // step))
        with self._lock:
            blocks = {number: self._blocks[name, number] for number in numbers if (name, number) in self._blocks}
            for number in blocks:
                self._blocks.move_to_end((name, number))
        missing = [number for number in numbers if number not in blocks]
        if missing:
            first, last = missing[0], missing[-1]
            data = self._place.fs.cat_file(self._place.full(name), start=first * step, end=min((last + 1) * step, size))
            for number in range(first, last + 1):
                blocks[number] = data[(number - first) * step : (number - first + 1) * step]
            self._keep(name, {number: blocks[number] for number in missing})
        whole = b"".join(blocks[number] for number in numbers)
        return whole[begin - numbers.start * step : end - numbers.start * step]

    def _keep(self, name: str, blocks: dict[int, bytes]) -> None:
        with self._lock:
            for number, data in blocks.items():
                if (name, number) not in self._blocks:
                    self._blocks[name, number] = data
                    self._kept_bytes += len(data)
            while self._kept_bytes > KEPT_BYTES:
                _, gone = self._blocks.popitem(last=False)
                self._kept_bytes -= len(gone)


class _ShelfFile(io.RawIOBase):
    """One of the files."""

    def __init__(self, shelf: Shelf, name: str, size: int) -> None:
        self._shelf, self._name, self._size, self._place = shelf, name, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, place: int, whence: int = 0, /) -> int:
        self._place = max(place + (0, self._place, self._size)[whence], 0)
        return self._place

    def tell(self) -> int:
        return self._place

    def read(self, count: int = -1, /) -> bytes:
        end = self._size if count < 0 else min(self._place + count, self._size)
        if end <= self._place:
            return b""
        data = self._shelf.piece(self._name, self._size, self._place, end)
        self._place += len(data)
        return data
