"""What an engine remembers, as bytes that another machine takes up: tables and plain values, nothing that can run.

The bytes may come from anywhere. A checksum tells damage; against ill will each table is held against the type and the
largest size that who asks for it expects, before room is made, and who asks checks what stands in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import zstandard

from ccp_assess.errors import StateError

Array = npt.NDArray[Any]

MARK = b"ccp-assess state 1\n"
LEVEL = 1
MOST_VALUES_BYTES = 256 << 20
_DIGEST_BYTES = 32
_BEGIN_AGAIN = "read the capture from its beginning"


def damaged(what: str) -> StateError:
    """Say that a state makes no sense.

    Parameters
    ----------
    what
        Which part of it.

    Returns
    -------
    error
        To be raised.
    """
    return StateError(f"the state of the reading is damaged ({what}); {_BEGIN_AGAIN}")


def require(holds: bool | np.bool_, what: str) -> None:  # noqa: FBT001  (the condition is all there is)
    """Refuse a state in which something does not hold.

    Parameters
    ----------
    holds
        Whether it does.
    what
        Which part of the state it is about.

    Raises
    ------
    StateError
        If it does not.
    """
    if not holds:
        raise damaged(what)


def within(values: Array, low: int, stop: int, what: str) -> None:
    """Refuse numbers outside a range.

    Parameters
    ----------
    values
        Whole numbers.
    low, stop
        Smallest, and one more than the largest.
    what
        Which part of the state it is about.

    Raises
    ------
    StateError
        If one is outside.
    """
    require(not len(values) or (values.min() >= low and values.max() < stop), what)


class Saved:
    """Tables and plain values by name, each given only as what it is expected to be.

    Parameters
    ----------
    values
        Plain values.
    tables
        Name → (type, rows, compressed bytes).
    """

    def __init__(self, values: dict[str, Any], tables: dict[str, tuple[str, int, bytes]]) -> None:
        self._values = values
        self._tables = tables

    def table(self, name: str, dtype: Any, most: int) -> Array:
        """Give a table.

        Parameters
        ----------
        name
            As it was saved.
        dtype, most
            What its rows must be, and how many there may be (count).

        Returns
        -------
        rows
            Of one dimension, to be written to.
        """
        kind, rows, packed = self._tables.get(name, ("", -1, b""))
        wanted = np.dtype(dtype)
        require(kind == describe(wanted) and 0 <= rows <= most, name)
        size = rows * wanted.itemsize
        try:
            require(zstandard.frame_content_size(packed) == size, name)
            content = zstandard.ZstdDecompressor().decompress(packed) if size else b""
        except zstandard.ZstdError:
            raise damaged(name) from None
        require(len(content) == size, name)
        rows_of = np.frombuffer(bytearray(content), wanted)
        for field in wanted.names or ():  # a truth value is 0 or 1, whatever the bytes say
            if wanted[field].base == np.bool_:
                rows_of[field] = rows_of[field].view(np.uint8) != 0
        return rows_of

    def numbers(self, name: str, count: int) -> npt.NDArray[np.int64]:
        """Give so many counts, none of them negative."""
        table = self.table(name, np.int64, count)
        require(len(table) == count, name)
        within(table, 0, 1 << 62, name)
        return table

    def integer(self, name: str, low: int, stop: int) -> int:
        """Give a whole number between bounds."""
        value = self._values.get(name)
        require(type(value) is int and low <= value < stop, name)
        return int(value)  # type: ignore[arg-type]  # it was just looked at

    def flag(self, name: str) -> bool:
        """Give a truth value."""
        require(type(self._values.get(name)) is bool, name)
        return bool(self._values[name])

    def text(self, name: str) -> str:
        """Give a text."""
        require(type(self._values.get(name)) is str, name)
        return str(self._values[name])

    def optional_text(self, name: str) -> str | None:
        """Give a text, or nothing."""
        return None if name in self._values and self._values[name] is None else self.text(name)

    def optional_integer(self, name: str, low: int, stop: int) -> int | None:
        """Give a whole number between bounds, or nothing."""
        return None if name in self._values and self._values[name] is None else self.integer(name, low, stop)

    def strings(self, name: str) -> list[str]:
        """Give a list of texts."""
        value = self._values.get(name)
        if not isinstance(value, list) or not all(type(each) is str for each in value):
            raise damaged(name)
        return list(value)

    def rows(self, name: str, *kinds: type, most: int) -> list[tuple[Any, ...]]:
        """Give a list of tuples of plain values of these types; ``None`` fits everywhere."""
        value = self._values.get(name)
        if not isinstance(value, list) or len(value) > most:
            raise damaged(name)
        for row in value:
            require(isinstance(row, list) and len(row) == len(kinds), name)
            require(all(cell is None or type(cell) is kind for cell, kind in zip(row, kinds, strict=True)), name)
        return [tuple(row) for row in value]

    def part(self, prefix: str) -> Saved:
        """Give what was saved under names with a prefix."""
        begin = f"{prefix}."
        return Saved(
            {name.removeprefix(begin): value for name, value in self._values.items() if name.startswith(begin)},
            {name.removeprefix(begin): value for name, value in self._tables.items() if name.startswith(begin)},
        )


def describe(dtype: np.dtype[Any]) -> str:
    """Describe a type of rows, with the places of its fields.

    Parameters
    ----------
    dtype
        Of a table.

    Returns
    -------
    text
        Equal only for equal types.
    """
    return hashlib.sha256(f"{dtype.descr}{dtype.itemsize}".encode()).hexdigest()[:16]


def under(prefix: str, saved: Mapping[str, Any]) -> dict[str, Any]:
    """Put a prefix before all names."""
    return {f"{prefix}.{name}": value for name, value in saved.items()}


def pack(saved: Mapping[str, Any]) -> bytes:
    """Write tables and values.

    Parameters
    ----------
    saved
        Arrays of numpy, and what JSON can say.

    Returns
    -------
    data
        The same for the same content.
    """
    compressor = zstandard.ZstdCompressor(level=LEVEL, write_content_size=True)
    listed, frames, values = [], [], {}
    for name, value in saved.items():
        if isinstance(value, np.ndarray):
            flat = _without_padding(value)
            frames.append(compressor.compress(flat.view(np.uint8).reshape(-1).data if flat.size else b""))
            listed.append([name, describe(flat.dtype), flat.size, len(frames[-1])])
        else:
            values[name] = value
    head = compressor.compress(json.dumps({"values": values, "tables": listed}, separators=(",", ":")).encode())
    body = b"".join([len(head).to_bytes(8, "little"), head, *frames])
    return MARK + hashlib.sha256(body).digest() + body


def _without_padding(rows: Array) -> Array:
    """Copy rows so that what lies between their fields is zero, not what happened to stand in memory."""
    whole = np.ascontiguousarray(rows)
    if rows.dtype.names is None or not rows.size:
        return whole
    content = whole.reshape(-1).view(np.uint8).reshape(-1, rows.dtype.itemsize)
    return (content & _bytes_of_fields(rows.dtype)).view(rows.dtype)


@cache
def _bytes_of_fields(dtype: np.dtype[Any]) -> npt.NDArray[np.uint8]:
    mask = np.zeros(dtype.itemsize, np.uint8)
    for field, at, *_ in (dtype.fields or {}).values():
        mask[at : at + field.itemsize] = 0xFF
    return mask


def unpack(data: bytes) -> Saved:
    """Open what `pack` wrote.

    Parameters
    ----------
    data
        From wherever.

    Returns
    -------
    saved
        Nothing in it has been believed yet.

    Raises
    ------
    StateError
        If it is of another version, cut or damaged.
    """
    if data[: len(MARK)] != MARK:
        kind = "it was written by another version" if data.startswith(MARK[:16]) else "it is no such state"
        raise StateError(f"the state of the reading cannot be taken up: {kind}; {_BEGIN_AGAIN}")
    at = len(MARK) + _DIGEST_BYTES
    body = memoryview(data)[at:]
    require(hashlib.sha256(body).digest() == data[len(MARK) : at], "its checksum does not fit")
    stop = 8 + int.from_bytes(body[:8], "little")
    packed = bytes(body[8:stop])
    try:
        require(0 <= zstandard.frame_content_size(packed) <= MOST_VALUES_BYTES, "its list of contents")
        head = json.loads(zstandard.ZstdDecompressor().decompress(packed))
        values, listed = head["values"], head["tables"]
        require(isinstance(values, dict), "its list of contents")
        tables = {}
        for name, kind, rows, size in listed:
            require(type(rows) is int and type(size) is int and size >= 0, "its list of contents")
            tables[str(name)] = (str(kind), rows, bytes(body[stop : stop + size]))
            stop += size
    except (zstandard.ZstdError, ValueError, TypeError, KeyError, RecursionError) as error:
        if isinstance(error, StateError):
            raise
        raise damaged("its list of contents") from None
    require(stop == len(body), "its length")
    return Saved(values, tables)
