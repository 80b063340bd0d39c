"""pcap and pcapng around the frames: records keep their places and times, words about people and machines go.

Everything keeps its length, so that the scrubbed file is read to the same places as the original. A field that readers
must ignore carries the mark of the key, so that a file is not mapped twice.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from ccp_assess.capture.files import open_source
from ccp_assess.capture.scrubbing.mapping import Mapping

PCAP_HEADER_BYTES = 24
_SECTION, _INTERFACE, _PACKET, _SIMPLE, _NAMES, _STATISTICS, _ENHANCED = 0x0A0D0D0A, 1, 2, 3, 4, 5, 6
_HEAD_BYTES = {_SECTION: 24, _INTERFACE: 16, _PACKET: 28, _SIMPLE: 12, _STATISTICS: 20, _ENHANCED: 28}
"""Fixed part of a block with its type and length [bytes]."""
_LARGEST_BLOCK_READ = 1 << 20

_KEEP, _FILL, _LETTERS, _MAC, _V4_AND_MASK, _V6_AND_LENGTH, _V4, _V6 = range(8)
_OPTION_RULES: dict[int, dict[int, int]] = {
    _SECTION: {1: _FILL, 2: _FILL, 3: _FILL, 4: _FILL},
    _INTERFACE: {
        1: _FILL, 2: _LETTERS, 3: _FILL, 4: _V4_AND_MASK, 5: _V6_AND_LENGTH, 6: _MAC, 8: _KEEP, 9: _KEEP, 11: _FILL,
        12: _FILL, 13: _KEEP, 14: _KEEP, 15: _FILL, 16: _KEEP, 17: _KEEP, 18: _FILL,
    },
    _ENHANCED: {1: _FILL, 2: _KEEP, 4: _KEEP, 5: _KEEP, 6: _KEEP},
    _PACKET: {1: _FILL, 2: _KEEP},
    _STATISTICS: {1: _FILL, 2: _KEEP, 3: _KEEP, 4: _KEEP, 5: _KEEP, 6: _KEEP, 7: _KEEP, 8: _KEEP},
    _NAMES: {1: _FILL, 2: _FILL, 3: _V4, 4: _V6},
}  # fmt: skip
"""What becomes of the options of a block; those that are not listed become zero."""
_MOST_KEPT_OPTION_BYTES = 8


def is_marked(path: str, mark: int) -> bool:
    """Tell whether a file was mapped with the key of this mark.

    Parameters
    ----------
    path
        Of a capture.
    mark
        Of the key.

    Returns
    -------
    is_marked
        By the field that carries it.
    """
    source = open_source(path)
    try:
        buffer = bytearray(_LARGEST_BLOCK_READ)
        head = bytes(buffer[: source.readinto(memoryview(buffer))])
    finally:
        source.close()
    if head[:4] != b"\x0a\x0d\x0d\x0a":
        order = "<" if head[:4] in {b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1", b"\x34\xcd\xb2\xa1"} else ">"
        return len(head) >= PCAP_HEADER_BYTES and struct.unpack_from(order + "I", head, 12)[0] == mark
    order = ">" if head[8:12] == b"\x1a\x2b\x3c\x4d" else "<"
    length = struct.unpack_from(order + "I", head, 4)[0] if len(head) >= 8 else 0
    if len(head) < length + 12 or struct.unpack_from(order + "I", head, length)[0] != _INTERFACE:
        return False
    return bool(struct.unpack_from(order + "H", head, length + 10)[0] == mark & 0xFFFF)


def scrub_pcap_header(header: bytes, mapping: Mapping) -> bytes:
    """Copy the header of a pcap file, with the mark in the field for the accuracy of time stamps.

    Parameters
    ----------
    header
        24 bytes.
    mapping
        Of the client's key.

    Returns
    -------
    header
        24 bytes.
    """
    order = "<" if header[1:2] in {b"\xc3", b"\x3c", b"\xcd"} else ">"
    return header[:12] + struct.pack(order + "I", mapping.mark) + header[16:]


Found = tuple[int, int]
"""Where the bytes of a frame begin and end within a region."""


class PcapRegions:
    """Records of a pcap file between the frames.

    Parameters
    ----------
    header_bytes
        Of a record.
    """

    def __init__(self, header_bytes: int) -> None:
        self._header_bytes = header_bytes

    def split(self, region: bytes, frames: Sequence[Found]) -> Iterator[bytes]:
        """Give what stands before each frame, and what follows the last.

        Parameters
        ----------
        region
            Bytes of the file, from the beginning of a record on.
        frames
            Where the frames are.

        Yields
        ------
        data
            One more piece than there are frames.
        """
        for start, _ in frames:
            yield region[start - self._header_bytes : start]
        rest = len(region) - (frames[-1][1] if frames else 0)
        kept = region[len(region) - rest :][: self._header_bytes]  # of a damaged or cut record, what it says
        yield kept + bytes(rest - len(kept))


class PcapngRegions:
    """Blocks of a pcapng file around the frames.

    Parameters
    ----------
    mapping
        Of the client's key.
    """

    def __init__(self, mapping: Mapping) -> None:
        self._mapping = mapping
        self._order = "<"
        self._left = 0
        """Bytes still to come of a block that is larger than what is read at once."""

    def split(self, region: bytes, frames: Sequence[Found]) -> Iterator[bytes]:
        """Give what stands before each frame, and what follows the last.

        Parameters
        ----------
        region
            Bytes of the file, from where the last region ended.
        frames
            Where the frames are.

        Yields
        ------
        data
            One more piece than there are frames.
        """
        out = bytearray(len(region))
        at = min(self._left, len(region))
        self._left -= at
        while at + 8 <= len(region):
            if region[at : at + 4] == b"\x0a\x0d\x0d\x0a":
                self._order = ">" if region[at + 8 : at + 12] == b"\x1a\x2b\x3c\x4d" else "<"
            kind, length = struct.unpack_from(self._order + "II", region, at)
            padded = (length + 3) // 4 * 4
            if padded < 12:  # damaged: reading stops here
                out[at : at + 8] = region[at : at + 8]
                at = len(region)
                break
            end = at + padded
            self._block(region, out, kind, at, min(end, len(region)), is_whole=end <= len(region))
            self._left = max(end - len(region), 0)
            at = end
        if at < len(region):
            out[at:] = region[at:]
        before = 0
        for start, stop in frames:
            yield bytes(out[before:start])
            before = stop
        yield bytes(out[before:])

    def _block(self, region: bytes, out: bytearray, kind: int, at: int, end: int, *, is_whole: bool) -> None:
        head = min(at + _HEAD_BYTES.get(kind, 8), end)
        out[at:head] = region[at:head]
        if not is_whole:
            return
        out[end - 4 : end] = region[end - 4 : end]
        body_end = end - 4
        if kind == _INTERFACE and body_end >= at + 16:
            out[at + 10 : at + 12] = struct.pack(self._order + "H", self._mapping.mark & 0xFFFF)
        options = head
        if kind in {_PACKET, _ENHANCED}:
            options = at + 28 + (struct.unpack_from(self._order + "I", region, at + 20)[0] + 3) // 4 * 4
        elif kind == _NAMES:
            options = self._names(region, out, at + 8, body_end)
        if kind in _OPTION_RULES:
            self._options(region, out, kind, options, body_end)

    def _names(self, region: bytes, out: bytearray, at: int, end: int) -> int:
        """Map the records of a name resolution block; return where its options begin."""
        while at + 4 <= end:
            kind, length = struct.unpack_from(self._order + "HH", region, at)
            out[at : at + 4] = region[at : at + 4]
            if kind == 0:
                return at + 4
            start, stop = at + 4, at + 4 + length
            if stop > end:
                return end
            size = {1: 4, 2: 16}.get(kind, length)
            if size < length:
                out[start : start + size] = self._mapping.address(region[start : start + size])
                names = region[start + size : stop].split(b"\0")
                out[start + size : stop] = b"\0".join(self._mapping.host(name) for name in names)
            at = start + (length + 3) // 4 * 4
        return end

    def _options(self, region: bytes, out: bytearray, block: int, at: int, end: int) -> None:
        rules = _OPTION_RULES[block]
        while at + 4 <= end:
            code, length = struct.unpack_from(self._order + "HH", region, at)
            start, stop = at + 4, at + 4 + length
            if code == 0 or stop > end:
                return
            out[at:start] = region[at:start]
            value = region[start:stop]
            out[start:stop] = self._option(rules.get(code), value)
            at = start + (length + 3) // 4 * 4

    def _option(self, rule: int | None, value: bytes) -> bytes:
        mapping = self._mapping
        if rule == _KEEP and len(value) <= _MOST_KEPT_OPTION_BYTES:
            return value
        if rule == _FILL:
            return b"x" * len(value)
        if rule == _LETTERS:
            return mapping.letters(value)
        if rule == _MAC and len(value) == 6:
            return mapping.mac(value)
        if rule == _V4_AND_MASK and len(value) == 8:
            return mapping.address(value[:4]) + value[4:]
        if rule == _V6_AND_LENGTH and len(value) == 17:
            return mapping.address(value[:16]) + value[16:]
        if (rule == _V4 and len(value) == 4) or (rule == _V6 and len(value) == 16):
            return mapping.address(value)
        return bytes(len(value))
