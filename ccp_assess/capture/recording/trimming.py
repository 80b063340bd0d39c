"""Headers only: of media and of the bulk of HTTPS a recording keeps the headers; STUN, DNS and handshakes stay whole.

A frame is cut behind the last byte that is kept, and says how long it was. Where media lies in a TCP stream it cannot
be cut without breaking the stream: there it becomes zero, and the checksum is repaired.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ccp_assess.capture.recording.programs import Format
from ccp_assess.capture.regions import CaptureRegions
from ccp_assess.capture.scrubbing.datagrams import NEVER_MEDIA, is_quic_long, is_stun
from ccp_assess.capture.scrubbing.held import checksum
from ccp_assess.capture.scrubbing.turnstreams import begins_with_messages, message_bytes
from ccp_assess.errors import CaptureError

TCP_BYTES_KEPT = 16_384
"""Of each direction of a TCP connection, from its first byte seen: as much as is read of it [bytes]."""

_IP_AT = {0: 4, 1: 14, 12: 0, 14: 0, 101: 0, 108: 4, 113: 16, 228: 0, 229: 0, 276: 20}
_MOST_CONNECTIONS = 50_000
_UNKNOWN_KEPT = 16
_RTP_HEADER_BYTES = 12
_QUOTED_TRANSPORT_BYTES = 8
_UDP, _TCP, _ICMP, _ICMPV6 = 17, 6, 1, 58


class Trimmer:
    """Shortens frames, in order."""

    def __init__(self) -> None:
        self._seen: dict[bytes, int] = {}

    def trim(self, data: bytes, link_type: int) -> bytes:
        """Shorten one frame.

        Parameters
        ----------
        data
            As captured.
        link_type
            Number in the capture's header.

        Returns
        -------
        data
            Its beginning; all of it where nothing is to be left out.
        """
        at = _IP_AT.get(link_type)
        if at is None:
            return data
        while link_type == 1 and data[at - 2 : at] in {b"\x81\x00", b"\x88\xa8"}:
            at += 4
        version = data[at] >> 4 if at < len(data) else 0
        if version == 4 and len(data) >= at + 20:
            if int.from_bytes(data[at + 6 : at + 8], "big") & 0x1FFF:  # a later fragment: it may be a handshake's
                return data
            protocol, transport, pseudo = data[at + 9], at + (data[at] & 15) * 4, data[at + 12 : at + 20]
            end = min(at + (int.from_bytes(data[at + 2 : at + 4], "big") or len(data)), len(data))
        elif version == 6 and len(data) >= at + 40:
            protocol, transport, pseudo = data[at + 6], at + 40, data[at + 8 : at + 40]
            end = min(at + 40 + (int.from_bytes(data[at + 4 : at + 6], "big") or len(data)), len(data))
        else:
            return data
        if protocol == _UDP and transport + 8 <= end:
            ports = struct.unpack_from("!HH", data, transport)
            return data[: transport + 8 + kept_of_datagram(data[transport + 8 : end], ports)]
        if protocol == _TCP and transport + 20 <= end:
            return self._segment(data, transport, end, pseudo)
        if protocol in {_ICMP, _ICMPV6} and transport + 8 < end:
            return data[: min(transport + 8 + _quoted_bytes(data[transport + 8 : end]), end)]
        return data

    def _segment(self, data: bytes, at: int, end: int, pseudo: bytes) -> bytes:
        start = at + (data[at + 12] >> 4) * 4
        payload = data[start:end]
        if not payload:
            return data[: max(start, at + 20)]
        if begins_with_messages(payload, len(payload)):
            cleared = clear_media(payload)
            if cleared == payload:
                return data
            segment = bytearray(data[at:start] + cleared)
            segment[16:18] = b"\0\0"
            length = (end - at).to_bytes(4, "big")
            segment[16:18] = checksum(pseudo + length + _TCP.to_bytes(4, "big") + segment)
            return data[:at] + bytes(segment)
        key = pseudo + data[at : at + 4]
        seen = self._seen.get(key, 0)
        if data[at + 13] & 2:
            seen = 0
        if len(self._seen) >= _MOST_CONNECTIONS and key not in self._seen:
            self._seen.clear()
        self._seen[key] = seen + len(payload)
        return data[:end] if seen < TCP_BYTES_KEPT else data[: start + min(len(payload), _UNKNOWN_KEPT)]


def _quoted_bytes(data: bytes) -> int:
    """Tell how much of what an ICMP message carries is kept: of a quoted packet its headers, else all."""
    if data[0] >> 4 == 4 and len(data) >= 20:
        return (data[0] & 15) * 4 + _QUOTED_TRANSPORT_BYTES
    return 40 + _QUOTED_TRANSPORT_BYTES if data[0] >> 4 == 6 and len(data) >= 40 else len(data)


def kept_of_datagram(payload: bytes, ports: tuple[int, int]) -> int:
    """Tell how much of a UDP payload is kept.

    Parameters
    ----------
    payload
        As captured.
    ports
        Source and destination.

    Returns
    -------
    kept
        From its first byte on [bytes].
    """
    if not payload or 53 in ports:
        return len(payload)
    if 0x40 <= payload[0] <= 0x4F and len(payload) >= 5:
        body = int.from_bytes(payload[2:4], "big")
        fits = 4 + body <= len(payload) <= 4 + (body + 3) // 4 * 4
        return 4 + kept_of_media(payload[4 : 4 + body]) if fits else min(len(payload), _UNKNOWN_KEPT)
    if 128 <= payload[0] <= 191 and NEVER_MEDIA.isdisjoint(ports):
        return kept_of_media(payload)
    if is_stun(payload, len(payload)) or 20 <= payload[0] <= 63 or is_quic_long(payload) or payload[0] < 4:
        return len(payload)
    return min(len(payload), _UNKNOWN_KEPT)


def kept_of_media(data: bytes) -> int:
    """Tell how much is kept of what may be RTP.

    Parameters
    ----------
    data
        From its first byte on.

    Returns
    -------
    kept
        The header with its extension; all of anything else [bytes].
    """
    if len(data) < _RTP_HEADER_BYTES or data[0] >> 6 != 2 or 192 <= data[1] <= 223:
        return len(data)
    header = _RTP_HEADER_BYTES + (data[0] & 15) * 4
    if data[0] & 0x10 and header + 4 <= len(data):
        header += 4 + int.from_bytes(data[header + 2 : header + 4], "big") * 4
    return min(header, len(data))


def clear_media(payload: bytes) -> bytes:
    """Zero the media in the ChannelData messages of a TCP segment.

    Parameters
    ----------
    payload
        A segment that begins with a message.

    Returns
    -------
    payload
        Of the same length.
    """
    out = bytearray(payload)
    at = 0
    while at + 4 <= len(payload):
        size = message_bytes(payload[at : at + 8])
        if size <= 0:
            break
        if 0x40 <= payload[at] <= 0x4F:
            body = payload[at + 4 : at + 4 + int.from_bytes(payload[at + 2 : at + 4], "big")]
            kept = kept_of_media(body)
            out[at + 4 + kept : at + 4 + len(body)] = bytes(len(body) - kept)
        at += size
    return bytes(out)


class CaptureWriter:
    """Writes frames as pcap or pcapng with times in nanoseconds.

    Parameters
    ----------
    file
        Open for writing.
    form
        ``pcap`` or ``pcapng``.
    """

    def __init__(self, file: BinaryIO, form: Format) -> None:
        self._file = file
        self._form = form
        self._interfaces: dict[tuple[int, str | None], int] = {}
        if form == "pcapng":
            self._block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))

    def _block(self, kind: int, body: bytes) -> None:
        body += bytes(-len(body) % 4)
        size = struct.pack("<I", len(body) + 12)
        self._file.write(struct.pack("<I", kind) + size + body + size)

    def _interface(self, link_type: int, name: str | None) -> int:
        key = (link_type, name)
        number = self._interfaces.get(key)
        if number is None:
            number = self._interfaces[key] = len(self._interfaces)
            if self._form == "pcapng":
                word = (name or "").encode()[:128]
                options = struct.pack("<HH", 2, len(word)) + word + bytes(-len(word) % 4) if word else b""
                options += struct.pack("<HHB3xHH", 9, 1, 9, 0, 0)
                self._block(1, struct.pack("<HHI", link_type, 0, 0) + options)
            elif number:
                raise CaptureError("a pcap file takes one kind of interface; write pcapng instead")
            else:
                self._file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262_144, link_type))
        return number

    def frame(self, data: bytes, length: int, time_ns: int, link_type: int, name: str | None = None) -> None:
        """Write a frame.

        Parameters
        ----------
        data, length
            As captured, and its length on the wire.
        time_ns
            When [ns].
        link_type, name
            Of its interface.
        """
        number = self._interface(link_type, name if self._form == "pcapng" else None)
        if self._form == "pcap":
            head = struct.pack("<IIII", time_ns // 10**9 & 0xFFFFFFFF, time_ns % 10**9, len(data), length)
            self._file.write(head + data)
            return
        head = struct.pack("<IIIII", number, time_ns >> 32 & 0xFFFFFFFF, time_ns & 0xFFFFFFFF, len(data), length)
        self._block(6, head + data)

    def finish(self, link_type: int, dropped: int | None) -> None:
        """Write what is known at the end.

        Parameters
        ----------
        link_type
            Of the interface, for a file without frames.
        dropped
            Frames that the kernel had no room for; ``None`` if unknown (count).
        """
        if not self._interfaces:
            self._interface(link_type, None)
        if self._form == "pcapng" and dropped is not None:
            option = struct.pack("<HHQHH", 7, 8, dropped, 0, 0)
            self._block(5, struct.pack("<III", 0, 0, 0) + option)


def trimmed_frames(path: Path, trimmer: Trimmer | None) -> Iterator[tuple[bytes, int, int, int, str | None]]:
    """Read a capture and shorten its frames.

    Parameters
    ----------
    path
        A capture.
    trimmer
        ``None`` keeps frames whole.

    Yields
    ------
    data, length, time_ns, link_type, name
        Of each frame and its interface.
    """
    file = CaptureRegions(str(path))
    try:
        for region, rows in file:
            names = file.interfaces.names
            for start, captured, length, time_ns, link_type, number in zip(
                rows["offset"].tolist(),
                rows["captured"].tolist(),
                rows["length"].tolist(),
                rows["time_ns"].tolist(),
                file.link_types(rows),
                rows["interface"].tolist(),
                strict=True,
            ):
                data = region[start : start + captured]
                if trimmer is not None and captured == length:
                    data = trimmer.trim(data, link_type)
                yield data, length, time_ns, link_type, names[number]
    finally:
        file.source.close()
