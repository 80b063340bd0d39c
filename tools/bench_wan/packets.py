"""IP packets, as far as routers look at them."""

from __future__ import annotations

import ipaddress
import socket
import struct
from dataclasses import dataclass

ICMP, TCP, UDP, ICMP6 = 1, 6, 17, 58
PROTOCOL_NAMES = {TCP: "tcp", UDP: "udp", ICMP: "icmp", ICMP6: "icmp"}
TIME_EXCEEDED, TOO_BIG, PORT_UNREACHABLE, PROHIBITED = "time_exceeded", "too_big", "port_unreachable", "prohibited"

# Type and code of an error, over IPv4 (RFC 792, RFC 1812) and over IPv6 (RFC 4443).
ERRORS = {
    TIME_EXCEEDED: ((11, 0), (3, 0)),
    TOO_BIG: ((3, 4), (2, 0)),
    PORT_UNREACHABLE: ((3, 3), (1, 4)),
    PROHIBITED: ((3, 13), (1, 1)),
}


def checksum(data: bytes) -> int:
    """Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


@dataclass(frozen=True, slots=True)
class Packet:
    """What the emulator must know of a packet."""

    version: int
    ttl: int
    protocol: int
    source: str
    target: str
    header: int
    raw: bytes

    @property
    def ports(self) -> tuple[int, int]:
        """Source and destination port; zeros where there are none."""
        if self.protocol in {TCP, UDP} and len(self.raw) >= self.header + 4:
            return struct.unpack_from("!HH", self.raw, self.header)
        return 0, 0

    @property
    def transport(self) -> str:
        """Name of the transport, as plans write it."""
        return PROTOCOL_NAMES.get(self.protocol, "other")

    @property
    def stun_type(self) -> int | None:
        """Type of the STUN message in a UDP packet (RFC 8489, section 5); ``None`` if it holds none."""
        start = self.header + 8
        if self.protocol != UDP or len(self.raw) < start + 20 or self.raw[start + 4 : start + 8] != b"\x21\x12\xa4\x42":
            return None
        return int.from_bytes(self.raw[start : start + 2], "big")

    @property
    def is_icmp_error(self) -> bool:
        """Whether an error message must not answer it (RFC 1122, section 3.2.2)."""
        if len(self.raw) <= self.header:
            return False
        kind = self.raw[self.header]
        return (self.protocol == ICMP and kind not in {0, 8}) or (self.protocol == ICMP6 and kind < 128)


def parse_packet(raw: bytes) -> Packet | None:
    """Read the IP header."""
    if len(raw) >= 20 and raw[0] >> 4 == 4:
        ends = socket.inet_ntop(socket.AF_INET, raw[12:16]), socket.inet_ntop(socket.AF_INET, raw[16:20])
        return Packet(4, raw[8], raw[9], *ends, (raw[0] & 15) * 4, raw)
    if len(raw) >= 40 and raw[0] >> 4 == 6:
        ends = socket.inet_ntop(socket.AF_INET6, raw[8:24]), socket.inet_ntop(socket.AF_INET6, raw[24:40])
        return Packet(6, raw[7], raw[6], *ends, 40, raw)
    return None


def with_ttl(packet: Packet, ttl: int) -> bytes:
    """Give a packet another TTL and the checksum that goes with it."""
    raw = bytearray(packet.raw)
    if packet.version == 4:
        raw[8], raw[10:12] = ttl, b"\0\0"
        raw[10:12] = struct.pack("!H", checksum(bytes(raw[: packet.header])))
    else:
        raw[7] = ttl
    return bytes(raw)


def _ipv4(source: bytes, target: bytes, protocol: int, ttl: int, body: bytes) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0xC0, 20 + len(body), 0, 0, ttl, protocol, 0) + source + target
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


def _ipv6(source: bytes, target: bytes, protocol: int, ttl: int, body: bytes) -> bytes:
    return struct.pack("!IHBB", 0x60000000, len(body), protocol, ttl) + source + target + body


def icmp_error(
    packet: Packet, router: str, kind: str, ttl: int, *, quote_bytes: int = 128, mtu: int = 0
) -> bytes | None:
    """Write a router's ICMP error about a packet; ``None`` if the router has no address of that family."""
    address = ipaddress.ip_address(router)
    if address.version != packet.version:
        return None
    target, quote = ipaddress.ip_address(packet.source).packed, packet.raw[:quote_bytes]
    number, code = ERRORS[kind][packet.version == 6]
    if packet.version == 4:
        body = struct.pack("!BBHHH", number, code, 0, 0, mtu) + quote
        body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
        return _ipv4(address.packed, target, ICMP, ttl, body)
    body = struct.pack("!BBHI", number, code, 0, mtu) + quote
    pseudo = address.packed + target + struct.pack("!II", len(body), ICMP6)
    body = body[:2] + struct.pack("!H", checksum(pseudo + body)) + body[4:]
    return _ipv6(address.packed, target, ICMP6, ttl, body)


def tcp_reset(packet: Packet, ttl: int) -> bytes | None:
    """Refuse a TCP segment in the destination's name (RFC 9293, section 3.5.2); ``None`` if it is none."""
    at = packet.header
    if packet.protocol != TCP or len(packet.raw) < at + 20:
        return None
    near, far, sequence, acknowledged = struct.unpack_from("!HHII", packet.raw, at)
    flags = packet.raw[at + 13]
    length = len(packet.raw) - at - (packet.raw[at + 12] >> 4) * 4 + bool(flags & 0x02) + bool(flags & 0x01)
    if flags & 0x10:
        segment = struct.pack("!HHIIBBHHH", far, near, acknowledged, 0, 0x50, 0x04, 0, 0, 0)
    else:
        segment = struct.pack("!HHIIBBHHH", far, near, 0, (sequence + length) & 0xFFFFFFFF, 0x50, 0x14, 0, 0, 0)
    source, target = (ipaddress.ip_address(end).packed for end in (packet.target, packet.source))
    pseudo = source + target + struct.pack("!II", len(segment), TCP) if packet.version == 6 else b""
    pseudo = pseudo or source + target + struct.pack("!BBH", 0, TCP, len(segment))
    segment = segment[:16] + struct.pack("!H", checksum(pseudo + segment)) + segment[18:]
    return (_ipv4 if packet.version == 4 else _ipv6)(source, target, TCP, ttl, segment)
