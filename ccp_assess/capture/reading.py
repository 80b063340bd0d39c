"""Records of one capture file, pcap or pcapng, found piece by piece in a buffer that is used again."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

from ccp_assess.capture.files import HEAD_BYTES, Source
from ccp_assess.capture.otherkinds import describe_other
from ccp_assess.errors import CaptureError
from ccp_assess.wire.columns import (
    BAD_BLOCK,
    BAD_LENGTH,
    BAD_TRAILER,
    DAMAGED,
    FRAME,
    FULL,
    HAND_OVER,
    INTERFACE,
    LARGEST_BLOCK,
    LARGEST_LOOKED_AT,
    LARGEST_RECORD,
    NO_INTERFACE,
    SKIP_BAD_BLOCK,
    SKIP_BLOCK,
    walk_pcap,
    walk_pcapng,
)
from ccp_assess.wire.saved import Saved, require, within

Bytes = npt.NDArray[np.uint8]
Table = npt.NDArray[np.void]

MOST_INTERFACES = 4_096
MOST_NAMES = 65_536
SPARE_BYTES = LARGEST_LOOKED_AT
"""Room beside a block, so that any one record fits whatever the block's size [bytes]."""

_LITTLE_MAGICS = {
    0xA1B2C3D4: (16, 1_000),
    0xA1B23C4D: (16, 1),
    0xA1B2CD34: (24, 1_000),  # Kuznetzov's patched libpcap: longer record headers
}


@dataclass
class InterfaceTable:
    """All interfaces of all files: rows for the compiled loops, names beside them."""

    rows: Table = field(default_factory=lambda: np.zeros(MOST_INTERFACES, INTERFACE))
    names: list[str | None] = field(default_factory=list)
    dropped: list[int | None] = field(default_factory=list)
    known: dict[tuple[object, ...], int] = field(default_factory=dict)

    def add(  # noqa: PLR0917  (what a description says, in its order)
        self,
        capture: int,
        position: int,
        link_type: int,
        snaplen: int,
        exponent: int,
        offset_s: int,
        name: str | None,
        *,
        binary: bool,
    ) -> int | None:
        """Enter an interface; the same one of a later section gets the same row. ``None`` if there are too many."""
        key = (capture, position, link_type, snaplen, exponent, binary, offset_s, name)
        return self.known[key] if key in self.known else self._enter(key)

    def _enter(self, key: tuple[object, ...]) -> int | None:
        index = len(self.names)
        if index >= len(self.rows):
            return None
        capture, _, link_type, snaplen, exponent, binary, offset_s, name = key
        row = self.rows[index]
        row["capture"], row["link_type"], row["snaplen"] = capture, link_type, snaplen
        row["exponent"], row["binary"], row["offset_s"] = exponent, binary, offset_s
        self.names.append(str(name) if name is not None else None)
        self.dropped.append(None)
        self.known[key] = index
        return index

    def saved(self) -> dict[str, Any]:
        """Return what must be handed on where another process reads on."""
        keys = [[*key, dropped] for key, dropped in zip(self.known, self.dropped, strict=True)]
        return {"rows": self.rows[: len(self.names)], "keys": keys}

    @classmethod
    def resumed(cls, saved: Saved, captures: int) -> InterfaceTable:
        """Go on from what was handed on.

        Parameters
        ----------
        saved
            Of `saved`.
        captures
            How many files there are.

        Returns
        -------
        interfaces
            As they were.
        """
        table = cls()
        rows = saved.table("rows", INTERFACE, MOST_INTERFACES)
        keys = saved.rows("keys", int, int, int, int, int, bool, int, str, int, most=MOST_INTERFACES)
        require(len(rows) == len(keys) == len({key[:-1] for key in keys}), "interfaces")
        within(rows["capture"], 0, captures, "interfaces")
        within(rows["exponent"], 0, 128, "interfaces")
        table.rows[: len(rows)] = rows
        for *key, dropped in keys:
            table.known[tuple(key)] = len(table.names)
            table.names.append(key[-1])
            table.dropped.append(dropped)
        return table


class FileReader:
    """One file: from bytes to rows of frames.

    Parameters
    ----------
    source
        The open file.
    capture
        Its number.
    interfaces
        Where its interfaces are entered.
    skips
        Where what was left out is counted.
    """

    def __init__(self, source: Source, capture: int, interfaces: InterfaceTable, skips: npt.NDArray[np.int64]) -> None:
        self._know(source, capture, interfaces, skips)
        self._head = self._read_head()
        self._begin()

    def _know(self, source: Source, capture: int, interfaces: InterfaceTable, skips: npt.NDArray[np.int64]) -> None:
        """Begin with nothing read."""
        self.source = source
        self.capture = capture
        self.interfaces = interfaces
        self.skips = skips
        self.ended_early: str | None = None
        self.name_records: list[tuple[str, str]] = []
        self.damaged_at: int | None = None
        self.at_end = False
        self.read_bytes = 0
        self.first_ns: int | None = None
        self.format: Literal["pcap", "pcapng"] = "pcap"
        self.layout: npt.NDArray[np.int64] = np.zeros(5, np.int64)
        self._head = b""
        self._numbers: npt.NDArray[np.int32] = np.zeros(16, np.int32)
        self._skip_bytes = 0

    def saved(self) -> dict[str, Any]:
        """Return what must be handed on where another process reads on; how far this one came is not in it."""
        return {
            "compression": self.source.compression,
            "size": self.source.size,
            "damage": self.source.damage,
            "format": self.format,
            "ended_early": self.ended_early,
            "damaged_at": self.damaged_at,
            "at_end": self.at_end,
            "first_ns": self.first_ns,
            "name_records": self.name_records,
            "layout": self.layout,
            "numbers": self._numbers,
            "skip_bytes": self._skip_bytes,
        }

    @classmethod
    def resumed(
        cls, source: Source, capture: int, interfaces: InterfaceTable, skips: npt.NDArray[np.int64], saved: Saved
    ) -> FileReader:
        """Go on from what was handed on.

        Parameters
        ----------
        source
            Positioned where reading goes on.
        capture, interfaces, skips
            As for a new one.
        saved
            Of `saved`.

        Returns
        -------
        reader
            Its ``read_bytes`` is still to be set.
        """
        reader = cls.__new__(cls)
        reader._know(source, capture, interfaces, skips)  # noqa: SLF001  (of the same class)
        reader._take_up(saved)  # noqa: SLF001  (the same)
        return reader

    def _take_up(self, saved: Saved) -> None:
        count = len(self.interfaces.names)
        self.format = "pcap" if saved.text("format") == "pcap" else "pcapng"
        self.source.damage = saved.optional_text("damage")
        self.ended_early = saved.optional_text("ended_early")
        self.damaged_at = saved.optional_integer("damaged_at", 0, 1 << 62)
        self.at_end = saved.flag("at_end")
        self.first_ns = saved.optional_integer("first_ns", -(1 << 63), 1 << 63)
        self.name_records = [(address, name) for address, name in saved.rows("name_records", str, str, most=MOST_NAMES)]
        self.layout = saved.table("layout", np.int64, 5)
        self._numbers = saved.table("numbers", np.int32, 2 * MOST_INTERFACES)
        self._skip_bytes = saved.integer("skip_bytes", 0, 1 << 33)
        require(len(self.layout) == 5 and len(self._numbers) >= 16, "layout")
        within(self._numbers, 0, max(count, 1), "layout")
        if self.format == "pcap":
            _, header_bytes, unit_ns, interface, _ = self.layout.tolist()
            require(header_bytes in (16, 24) and unit_ns in (1, 1_000) and 0 <= interface < count, "layout")
        else:
            require(0 <= self.layout[1] <= len(self._numbers) and self.layout[2] == self.capture, "layout")

    def _read_head(self) -> bytes:
        buffer = bytearray(HEAD_BYTES)
        got = self.source.readinto(memoryview(buffer))
        return bytes(buffer[:got])

    def _refuse(self, what: str) -> CaptureError:
        name = "standard input" if self.source.path == "-" else self.source.path
        packed = f" inside {self.source.compression}" if self.source.compression else ""
        return CaptureError(f"{name} is {what}{packed}; what can be read is pcap and pcapng")

    def _begin(self) -> None:
        head = self._head
        if head[:4] == b"\x0a\x0d\x0d\x0a" and (
            len(head) < 12 or head[8:12] in (b"\x1a\x2b\x3c\x4d", b"\x4d\x3c\x2b\x1a")
        ):
            self.format = "pcapng"
            if len(head) < 28:
                raise self._refuse(f"a pcapng file that ends inside its first header (after {len(head)} bytes)")
            reason = self._read_section(head)
            if reason:
                raise self._refuse(f"a pcapng file that cannot be read: {reason}")
            return
        little = int.from_bytes(head[:4], "little")
        big = int.from_bytes(head[:4], "big")
        if len(head) >= 4 and (little in _LITTLE_MAGICS or big in _LITTLE_MAGICS):
            self._begin_pcap(head, reverse=big in _LITTLE_MAGICS)
            return
        if self.source.damage and not head:
            raise self._refuse(f"no readable capture: {self.source.damage}")
        if self.source.path.lower().endswith(".etl"):
            raise self._refuse(
                "an event trace of Windows; convert it there first: pktmon etl2pcap FILE.etl --out FILE.pcapng"
            )
        raise self._refuse(describe_other(head))

    def _begin_pcap(self, head: bytes, *, reverse: bool) -> None:
        if len(head) < 24:
            raise self._refuse(f"a pcap file that ends inside its header (after {len(head)} bytes)")
        order = ">" if reverse else "<"
        magic, major, minor, zone, _, snaplen, link = struct.unpack(order + "IHHiIII", head[:24])
        header_bytes, unit_ns = _LITTLE_MAGICS[magic]
        if (major, minor) != (543, 0) and major != 2:
            raise self._refuse(f"a pcap file of version {major}.{minor}, which is unknown")
        exchanged = 1 if major == 543 or minor < 3 else (2 if minor == 3 else 0)
        if header_bytes == 16 and unit_ns == 1_000:
            header_bytes = self._header_bytes_by_content(head, order, header_bytes)
        number = self.interfaces.add(
            self.capture,
            0,
            link & 0xFFFF,
            min(snaplen, 0x7FFFFFFF),
            6,
            zone if abs(zone) <= 86_400 else 0,
            None,
            binary=False,
        )
        if number is None:
            raise CaptureError(f"{self.source.path}: more than {MOST_INTERFACES} interfaces are in these files")
        self.layout[:5] = (int(reverse), header_bytes, unit_ns, number, exchanged)
        self._head = head[24:]
        self.read_bytes = 24

    def _header_bytes_by_content(self, head: bytes, order: str, usual: int) -> int:
        """Tell records with Kuznetzov's longer header under the usual magic number by following both."""

        def leads_on(header_bytes: int, *, strict: bool) -> int:
            at, good = 24, 0
            while at + header_bytes <= len(head) and good < 8:
                _, fraction, captured, length = struct.unpack_from(order + "4I", head, at)
                if captured > LARGEST_RECORD:
                    return -good
                if strict and (fraction >= 1_000_000 or length < captured or length > LARGEST_RECORD):
                    return -good
                at += header_bytes + captured
                good += 1
            return good

        plain = leads_on(usual, strict=True)
        if plain > 0:
            return usual
        longer = leads_on(24, strict=True)
        if longer < 2:  # neither makes sense: whichever leads further
            longer, plain = abs(leads_on(24, strict=False)), abs(leads_on(usual, strict=False))
        return 24 if longer >= 2 and longer > abs(plain) else usual

    # ---- pcapng blocks that are read in Python

    def _read_section(self, block: bytes) -> str | None:
        """Read a section header; return what is wrong with it."""
        order = block[8:12]
        if order not in (b"\x1a\x2b\x3c\x4d", b"\x4d\x3c\x2b\x1a"):
            return "a section has no byte-order mark"
        big = order == b"\x1a\x2b\x3c\x4d"
        mark = ">" if big else "<"
        length, major, minor = struct.unpack(mark + "4xI4xHH", block[:16])
        if major == 256 or (major, minor) == (0, 1):
            return f"it is an old draft of the format (NTAR), version {major}.{minor}"
        if major != 1 or minor not in (0, 2):
            return f"version {major}.{minor} of the format is unknown"
        if length < 28 or length % 4 or length > LARGEST_BLOCK:
            return f"a section header says that it is {length} bytes long"
        self.layout[:3] = (int(big), 0, self.capture)
        return None

    def _read_block(self, kind: int, block: bytes, file_offset: int) -> str | None:
        """Read an interface, its statistics or names; return what makes reading on impossible."""
        mark = ">" if self.layout[0] else "<"
        body = block[8:-4]
        try:
            if kind == 1:
                return self._read_interface(mark, body)
            if kind == 4:
                self._read_names(mark, body)
            elif kind == 5:
                self._read_statistics(mark, body)
        except (struct.error, ValueError, IndexError):
            cell = self.skips[self.capture, SKIP_BAD_BLOCK]
            if cell[0] == 0:
                cell[1] = file_offset
            cell[0] += 1
            if kind == 1:
                return "an interface description is too short"
        return None

    def _read_interface(self, mark: str, body: bytes) -> str | None:
        link, snaplen = struct.unpack(mark + "HxxI", body[:8])
        exponent, binary, offset_s, name = 6, False, 0, None
        for code, value in _options(mark, body[8:]):
            if code == 9 and value:
                exponent, binary = value[0] & 0x7F, bool(value[0] & 0x80)
            elif code == 14 and len(value) == 8:
                offset_s = struct.unpack(mark + "q", value)[0]
            elif code == 2:
                name = value.split(b"\0")[0].decode("utf-8", "replace")[:128]
        if abs(offset_s) > 1 << 33:
            offset_s = 0
        number = self.interfaces.add(
            self.capture,
            int(self.layout[1]),
            link,
            min(snaplen, 0x7FFFFFFF),
            exponent,
            offset_s,
            name,
            binary=binary,
        )
        if number is None:
            return f"there are more than {MOST_INTERFACES} interfaces"
        count = int(self.layout[1])
        if count >= len(self._numbers):
            self._numbers = np.concatenate([self._numbers, np.zeros(len(self._numbers), np.int32)])
        self._numbers[count] = number
        self.layout[1] = count + 1
        return None

    def _read_names(self, mark: str, body: bytes) -> None:
        at = 0
        while at + 4 <= len(body):
            kind, length = struct.unpack_from(mark + "HH", body, at)
            if kind == 0:
                return
            value = body[at + 4 : at + 4 + length]
            size = {1: 4, 2: 16}.get(kind)
            if size and len(value) > size:
                address = str(ipaddress.ip_address(value[:size]))
                for name in value[size:].split(b"\0"):
                    if name and len(self.name_records) < MOST_NAMES:
                        self.name_records.append((address, name.decode("utf-8", "replace")[:255]))
            at += 4 + (length + 3) // 4 * 4

    def _read_statistics(self, mark: str, body: bytes) -> None:
        which = struct.unpack(mark + "I", body[:4])[0]
        if which >= self.layout[1]:
            return
        for code, value in _options(mark, body[12:]):
            if code in (5, 7) and len(value) == 8:  # dropped by the interface, by the system
                number = int(self._numbers[which])
                count = struct.unpack(mark + "Q", value)[0]
                self.interfaces.dropped[number] = max(self.interfaces.dropped[number] or 0, count)

    def peek_first_ns(self) -> int | None:
        """Find the time of the first frame among the first bytes, without a trace; ``None`` if there is none."""
        if self.format == "pcap":
            mark = ">" if self.layout[0] else "<"
            if len(self._head) < 16:
                return None
            seconds, fraction = struct.unpack(mark + "II", self._head[:8])
            offset_s = int(self.interfaces.rows["offset_s"][self.layout[3]])
            return int((seconds + offset_s) * 1_000_000_000 + fraction * int(self.layout[2]))
        buffer = np.frombuffer(self._head, np.uint8).copy()
        frames = np.empty(1, FRAME)
        trial = FileReader.__new__(FileReader)
        interfaces, skips = InterfaceTable(rows=np.zeros(64, INTERFACE)), np.zeros((1, *self.skips.shape[1:]), np.int64)
        trial._know(self.source, 0, interfaces, skips)  # noqa: SLF001  (of the same class)
        trial.read_bytes, trial.format = len(buffer), self.format
        count, _, _, _ = trial.walk(buffer, 0, len(buffer), frames, 0)
        return int(frames["time_ns"][0]) if count else None

    # ---- pieces

    def fill(self, buffer: Bytes, start: int, stop: int) -> int:
        """Read bytes into ``buffer[start:stop]``; return how many came."""
        view = memoryview(cast("Any", buffer))[start:stop]
        if self._head:
            got = min(len(view), len(self._head))
            view[:got] = self._head[:got]
            self._head = self._head[got:]
            if got < len(view):
                got += self.source.readinto(view[got:])
        else:
            got = self.source.readinto(view)
        if got < len(view):
            self.at_end = True
        self.read_bytes += got
        return got

    def walk(self, buffer: Bytes, at: int, end: int, frames: Table, count: int) -> tuple[int, int, bool, int]:
        """Find records in ``buffer[at:end]``.

        Parameters
        ----------
        buffer, at, end
            The bytes that are there; the last of them is byte ``read_bytes`` of the file.
        frames, count
            Rows to fill from ``count`` on.

        Returns
        -------
        count, at, rows_full, wanted
            Rows filled, where reading stopped, whether it was for want of rows, and how long the next record is.
        """
        base = self.read_bytes - end
        rows = self.interfaces.rows
        while True:
            if self._skip_bytes:  # a block that is not looked at and larger than the buffer
                step = min(self._skip_bytes, end - at)
                at += step
                self._skip_bytes -= step
                if self._skip_bytes:
                    return count, at, False, 0
            if self.format == "pcap":
                count, at, status, detail = walk_pcap(buffer, at, end, base, self.layout, frames, count, rows)
            else:
                count, at, status, detail = walk_pcapng(
                    buffer, at, end, base, self.layout, frames, count, rows, self._numbers, self.skips
                )
            if status == FULL:
                return count, at, True, 0
            if status == HAND_OVER:
                step = self._hand_over(buffer, at, end, detail, base + at)
                if step > 0:
                    at += step
                    continue
                return count, at if self.ended_early is None else end, False, -step
            if status == DAMAGED:
                self._stop(_damage_words(self.format, detail, base + at), base + at)
                return count, end, False, 0
            if self.format == "pcapng" and detail > SPARE_BYTES and end - at >= 8:
                if self._may_skip(buffer, at, base):
                    self._skip_bytes = int(detail)
                    continue
                self._stop(
                    f"the block at byte {base + at} says it is {detail} bytes long, more than a packet can be",
                    base + at,
                )
                return count, end, False, 0
            if self.at_end:
                if at < end:
                    self._stop(f"the file ends in the middle of a record, at byte {base + at}")
                elif self.source.damage:
                    self._stop(f"{self.source.damage}, after byte {base + at} of what they hold")
                return count, end, False, 0
            return count, at, False, int(detail)

    def _may_skip(self, buffer: Bytes, at: int, base: int) -> bool:
        """Tell whether a long block may be passed over: it holds no packet."""
        kind = int.from_bytes(bytes(buffer[at : at + 4]), "big" if self.layout[0] else "little")
        if kind in (1, 2, 3, 6):
            return False
        cell = self.skips[self.capture, SKIP_BAD_BLOCK if kind in (4, 5) else SKIP_BLOCK]
        if cell[0] == 0:
            cell[1] = base + at
        cell[0] += 1
        return True

    def _hand_over(self, buffer: Bytes, at: int, end: int, kind: int, file_offset: int) -> int:
        """Read a block in Python; return its length, or minus how many bytes it needs, or 0 after damage."""
        if kind == 0x0A0D0D0A:
            if end - at < 16:
                return self._need(16, file_offset)
            reason = self._read_section(bytes(buffer[at : at + 16]))
            if reason:
                self._stop(f"reading stops at byte {file_offset}: {reason}", file_offset)
                return 0
        mark = ">" if self.layout[0] else "<"
        length = int(struct.unpack(mark + "I", bytes(buffer[at + 4 : at + 8]))[0])
        padded = (length + 3) // 4 * 4
        if padded > SPARE_BYTES:
            self._skip_bytes = padded
            cell = self.skips[self.capture, SKIP_BAD_BLOCK]
            if cell[0] == 0:
                cell[1] = file_offset
            cell[0] += 1
            step = min(padded, end - at)
            self._skip_bytes -= step
            return step
        if end - at < padded:
            return self._need(padded, file_offset)
        if kind == 0x0A0D0D0A:
            trailer = struct.unpack(mark + "I", bytes(buffer[at + padded - 4 : at + padded]))[0]
            if trailer != length:
                self._stop(_damage_words("pcapng", BAD_TRAILER, file_offset), file_offset)
                return 0
            return padded
        reason = self._read_block(kind, bytes(buffer[at : at + padded]), file_offset)
        if reason:
            self._stop(f"reading stops at byte {file_offset}: {reason}", file_offset)
            return 0
        return padded

    def _need(self, count: int, file_offset: int) -> int:
        if self.at_end:
            self._stop(f"the file ends in the middle of a block, at byte {file_offset}")
            return 0
        return -count

    def _stop(self, why: str, damaged_at: int | None = None) -> None:
        # How much was read beyond a damage depends on the size of the blocks, and nothing that is told may.
        if damaged_at is not None:
            self.damaged_at = damaged_at
        elif self.source.damage and self.source.damage not in why:
            why = f"{why} ({self.source.damage})"
        self.ended_early = self.ended_early or why
        self.at_end = True


def _damage_words(kind: str, detail: int, file_offset: int) -> str:
    if kind == "pcap":
        return f"the record at byte {file_offset} says it holds {detail} bytes, more than any capture keeps of a frame"
    return {
        BAD_LENGTH: f"the block at byte {file_offset} states an impossible length",
        BAD_TRAILER: f"the two lengths of the block at byte {file_offset} differ",
        NO_INTERFACE: f"the packet at byte {file_offset} names an interface that was not described",
        BAD_BLOCK: f"the packet at byte {file_offset} says it is larger than its block",
    }[detail]


def _options(mark: str, data: bytes) -> list[tuple[int, bytes]]:
    found = []
    at = 0
    while at + 4 <= len(data):
        code, length = struct.unpack_from(mark + "HH", data, at)
        if code == 0:
            break
        found.append((code, data[at + 4 : at + 4 + length]))
        at += 4 + (length + 3) // 4 * 4
    return found


__all__ = ["FRAME", "SPARE_BYTES", "FileReader", "InterfaceTable"]
