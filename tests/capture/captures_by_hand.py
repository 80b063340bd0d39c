"""Makers of captures, byte by byte: files, frames, packets, RTP; and a plain reading of RTP to compare with."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

START_NS = 1_790_000_000_000_000_000
AGENT, RELAY = "10.20.1.11", "18.236.61.10"
COOKIE = 0x2112A442


def pcap(
    frames: Iterable[tuple[int, bytes]], *, link: int = 1, order: str = "<", nano: bool = False, snaplen: int = 262_144,
    modified: bool = False,
) -> bytes:  # fmt: skip
    """Make a classic capture of (time, frame) pairs."""
    magic = 0xA1B23C4D if nano else (0xA1B2CD34 if modified else 0xA1B2C3D4)
    parts = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snaplen, link)]
    for time_ns, frame in frames:
        kept = frame[:snaplen]
        fraction = time_ns % 10**9 // (1 if nano else 1000)
        parts.append(struct.pack(order + "IIII", time_ns // 10**9, fraction, len(kept), len(frame)))
        if modified:
            parts.append(struct.pack(order + "IHBB", 2, 0x0800, 0, 0))
        parts.append(kept)
    return b"".join(parts)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """Make a pcapng block."""
    body += bytes(-len(body) % 4)
    return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(order + "I", len(body) + 12)


def option(code: int, value: bytes, order: str = "<") -> bytes:
    """Make an option of a pcapng block."""
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(order: str = "<") -> bytes:
    """Make a section header."""
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link: int = 1, *, snaplen: int = 0, options: bytes = b"", order: str = "<") -> bytes:
    """Make an interface description."""
    return block(1, struct.pack(order + "HHI", link, 0, snaplen) + options, order)


def enhanced(ticks: int, frame: bytes, *, which: int = 0, order: str = "<") -> bytes:
    """Make an enhanced packet block."""
    head = struct.pack(order + "IIIII", which, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame))
    return block(6, head + frame, order)


def pcapng(frames: Iterable[tuple[int, bytes]], *, link: int = 1, order: str = "<") -> bytes:
    """Make a pcapng capture with times in microseconds."""
    parts = [section(order), interface(link, order=order)]
    parts += [enhanced(time_ns // 1000, frame, order=order) for time_ns, frame in frames]
    return b"".join(parts)


def checksum(data: bytes) -> int:
    """Internet checksum of an even number of bytes."""
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def ip(
    src: str, dst: str, protocol: int, payload: bytes, *, ident: int = 7, ttl: int = 64, options: bytes = b"",
    offset: int = 0, more: bool = False, extensions: bytes = b"",
) -> bytes:  # fmt: skip
    """Put an IP header of either version before a payload; IPv6 `extensions` begin with the kind of the first."""
    one, two = ip_address(src), ip_address(dst)
    if one.version == 6:
        first, rest = (extensions[0], extensions[1:]) if extensions else (protocol, b"")
        return (
            struct.pack(">IHBB", 6 << 28, len(rest) + len(payload), first, ttl)
            + one.packed
            + two.packed
            + rest
            + payload
        )
    words = 5 + len(options) // 4
    flags = (0x2000 if more else 0) | offset // 8
    head = struct.pack(">BBHHHBBH", 0x40 | words, 0, words * 4 + len(payload), ident, flags, ttl, protocol, 0)
    head += one.packed + two.packed + options
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def udp(src_port: int, dst_port: int, payload: bytes) -> bytes:
    """Put a UDP header before a payload."""
    return struct.pack(">HHHH", src_port, dst_port, 8 + len(payload), 0) + payload


def tcp(  # noqa: PLR0917  (fields of the header)
    src_port: int, dst_port: int, seq: int, ack: int, flags: int, payload: bytes = b"", *, window: int = 501
) -> bytes:
    """Put a TCP header before a payload."""
    head = struct.pack(">HHIIBBHHH", src_port, dst_port, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, 0x50, flags, window, 0, 0)
    return head + payload


def ethernet(packet: bytes, kind: int | None = None) -> bytes:
    """Put an Ethernet header before an IP packet."""
    if kind is None:
        kind = 0x86DD if packet[0] >> 4 == 6 else 0x0800
    return bytes.fromhex("020000000001020000000002") + struct.pack(">H", kind) + packet


def rtp(
    seq: int, timestamp: int, ssrc: int, *, kind: int = 111, payload: bytes = bytes(80), level: int | None = None
) -> bytes:
    """Make an RTP packet, with a clear-text audio level if asked for."""
    first = 0x80 if level is None else 0x90
    head = struct.pack(">BBHII", first, kind, seq & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
    if level is not None:
        head += bytes.fromhex("bede0001") + bytes([0x10, level, 0, 0])
    return head + payload


def channel(number: int, payload: bytes, *, padded: bool = False) -> bytes:
    """Put a payload into ChannelData."""
    return struct.pack(">HH", number, len(payload)) + payload + (bytes(-len(payload) % 4) if padded else b"")


def stun(kind: int, transaction: bytes, *attributes: tuple[int, bytes]) -> bytes:
    """Make a STUN message."""
    body = b"".join(struct.pack(">HH", code, len(value)) + value + bytes(-len(value) % 4) for code, value in attributes)
    return struct.pack(">HHI", kind, len(body), COOKIE) + transaction + body


def xor_peer(address: str, port: int) -> tuple[int, bytes]:
    """Make XOR-PEER-ADDRESS for IPv4."""
    value = int(ip_address(address)) ^ COOKIE
    return 0x0012, struct.pack(">BBHI", 0, 1, port ^ (COOKIE >> 16), value)


@dataclass
class Speech:
    """Packets of one RTP stream as (time, RTP packet)."""

    count: int = 60
    ssrc: int = 0x1234ABCD
    start_ns: int = START_NS
    seq: int = 100
    timestamp: int = 5000
    missing: Sequence[int] = ()
    level: int | None = None
    kind: int = 111
    late_ns: dict[int, int] = field(default_factory=dict)

    def packets(self) -> list[tuple[int, bytes]]:
        """Give them in order of arrival."""
        made = [
            (
                self.start_ns + k * 20_000_000 + (k * 7919 % 13) * 100_000 + self.late_ns.get(k, 0),
                rtp(self.seq + k, self.timestamp + 960 * k, self.ssrc, kind=self.kind, level=self.level),
            )
            for k in range(self.count)
            if k not in self.missing
        ]
        return sorted(made, key=lambda pair: pair[0])

    def frames(
        self, src: str = AGENT, dst: str = RELAY, ports: tuple[int, int] = (40_000, 3478), number: int = 0x4000
    ) -> list[tuple[int, bytes]]:
        """Give them as Ethernet frames with ChannelData; number 0 is RTP without a relay."""
        return [
            (at, ethernet(ip(src, dst, 17, udp(*ports, channel(number, packet) if number else packet))))
            for at, packet in self.packets()
        ]


@dataclass
class Reading:
    """What a plain reading of one stream finds."""

    packets: int = 0
    duplicates: int = 0
    reordered: int = 0
    expected: int = 0
    lost: int = 0
    jitter_ms: float = 0.0
    jitter_mean_ms: float = 0.0
    jitter_max_ms: float = 0.0


def read_plainly(arrivals: Iterable[tuple[int, int, int, int]], rate_hz: int) -> Reading:
    """Read (time, sequence number, time stamp, payload type) by the letter of RFC 3550 A.1, A.3 and A.8."""
    found = Reading()
    seen: set[int] = set()
    highest = None
    before: tuple[int, int, int] | None = None
    values: list[float] = []
    jitter = 0.0
    for time_ns, sequence, timestamp, kind in arrivals:
        if highest is None:
            extended = highest = (1 << 20) + sequence
        else:
            step = (sequence - highest + 0x8000) % 0x10000 - 0x8000
            extended = highest + step
        if extended in seen:
            if highest - extended <= 500:
                found.duplicates += 1
        elif extended < highest:
            found.reordered += 1
        seen.add(extended)
        highest = max(highest, extended)
        if before is not None and before[2] == kind:
            ticks = (timestamp - before[1] + (1 << 31)) % (1 << 32) - (1 << 31)
            deviation = abs((time_ns - before[0]) * rate_hz / 1e9 - ticks)
            jitter += (deviation - jitter) / 16
            values.append(jitter)
        before = (time_ns, timestamp, kind)
        found.packets += 1
    found.expected = max(seen) - min(seen) + 1
    found.lost = found.expected - len(seen)
    scale = 1000 / rate_hz
    if values:
        found.jitter_ms = values[-1] * scale
        found.jitter_mean_ms = sum(values) / len(values) * scale
        found.jitter_max_ms = max(values) * scale
    return found
