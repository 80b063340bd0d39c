"""What a recording holds so far, read from its growing file at little cost: one look at each packet's first bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

_IP_AT = {0: 4, 1: 14, 12: 0, 14: 0, 101: 0, 108: 4, 113: 16, 276: 20}
"""Where the IP header begins, by link type; tags are not looked through."""
_LONGEST_BLOCK = 16 << 20
_UDP, _TCP = 17, 6
_TURN_OVER_TCP = (3478).to_bytes(2, "big")


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveCounts:
    """A recording at one moment.

    Parameters
    ----------
    seconds
        Since it began [s].
    packets
        So far (count).
    bytes
        So far, on the wire [bytes].
    dropped
        By the kernel; ``None`` where the program tells only at the end (count).
    packets_in, packets_out
        Towards this workstation and from it in the last whole second (count).
    media_packets
        Of media so far (count).
    media_quiet_s
        Since the last packet of media; ``None`` before the first [s].
    """

    seconds: float
    packets: int
    bytes: int
    dropped: int | None
    packets_in: int
    packets_out: int
    media_packets: int
    media_quiet_s: float | None


class Watcher:
    """Counts packets of a file that grows.

    Parameters
    ----------
    addresses
        Of this workstation.
    """

    def __init__(self, addresses: Iterable[str]) -> None:
        self._own = frozenset(ip_address(address.split("%")[0]).packed for address in addresses)
        self._rest = b""
        self._format = ""
        self._order = "<"
        self._ip_at = 14
        self.packets = self.bytes = self.packets_out = self.media_packets = 0

    def begin_file(self) -> None:
        """Go on with a new file; the counts stay."""
        self._rest, self._format = b"", ""

    def feed(self, data: bytes) -> None:
        """Take what was appended.

        Parameters
        ----------
        data
            Bytes in order.
        """
        data = self._rest + data
        if not self._format:
            if len(data) < 24:
                self._rest = data
                return
            data = self._begin(data)
        self._rest = self._walk_pcap(data) if self._format == "pcap" else self._walk_pcapng(data)

    def _begin(self, data: bytes) -> bytes:
        if data[:4] == b"\x0a\x0d\x0d\x0a":
            self._format = "pcapng"
            self._order = ">" if data[8:12] == b"\x1a\x2b\x3c\x4d" else "<"
            return data
        self._format = "pcap"
        self._order = "<" if data[:4] in {b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1"} else ">"
        self._ip_at = _IP_AT.get(struct.unpack_from(self._order + "I", data, 20)[0], 14)
        return data[24:]

    def _walk_pcap(self, data: bytes) -> bytes:
        unpack = struct.Struct(self._order + "8xII").unpack_from
        at, end = 0, len(data)
        while at + 16 <= end:
            captured, length = unpack(data, at)
            start = at + 16
            if start + captured > end:
                break
            self._count(data, start, captured, length)
            at = start + captured
        return data[at:]

    def _walk_pcapng(self, data: bytes) -> bytes:
        unpack = struct.Struct(self._order + "II").unpack_from
        lengths = struct.Struct(self._order + "II").unpack_from
        at, end = 0, len(data)
        while at + 12 <= end:
            kind, size = unpack(data, at)
            if not 12 <= size <= _LONGEST_BLOCK:
                return b""
            if at + size > end:
                break
            if kind == 6:
                captured, length = lengths(data, at + 20)
                self._count(data, at + 28, min(captured, size - 32), length)
            elif kind == 1:
                self._ip_at = _IP_AT.get(struct.unpack_from(self._order + "H", data, at + 8)[0], 14)
            at += size
        return data[at:]

    def _count(self, data: bytes, at: int, captured: int, length: int) -> None:
        self.packets += 1
        self.bytes += length
        at += self._ip_at
        if captured < self._ip_at + 20:
            return
        version = data[at] >> 4
        if version == 4:
            if data[at + 12 : at + 16] in self._own:
                self.packets_out += 1
            protocol, at = data[at + 9], at + (data[at] & 15) * 4
        elif version == 6:
            if data[at + 8 : at + 24] in self._own:
                self.packets_out += 1
            protocol, at = data[at + 6], at + 40
        else:
            return
        if protocol == _UDP:
            if _is_media(data[at + 8 : at + 13]):
                self.media_packets += 1
        elif protocol == _TCP and _TURN_OVER_TCP in {data[at : at + 2], data[at + 2 : at + 4]}:
            start = at + (data[at + 12] >> 4) * 4 if at + 13 <= len(data) else at
            if _is_media(data[start : start + 5]):
                self.media_packets += 1


def _is_media(head: bytes) -> bool:
    """Tell RTP, plain or in ChannelData, by its first byte (RFC 7983)."""
    if len(head) < 5:
        return False
    first = head[4] if 0x40 <= head[0] <= 0x4F else head[0]
    return 128 <= first <= 191
