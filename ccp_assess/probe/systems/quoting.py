"""ICMP messages as a socket gives them with all headers: raw ones (with rights), and macOS's datagram ICMP ones.

They show what the error queue does not: the TOS byte of the quoted packet as the router received it, and so where a
DSCP marking is taken away.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from ccp_assess.probe.machine import Family

_TRANSPORTS = {17: "udp", 6: "tcp", 1: "icmp", 58: "icmp"}
_ERRORS = {4: frozenset({3, 11}), 6: frozenset({1, 2, 3})}
_REPLY = {4: 0, 6: 129}


@dataclass(frozen=True, slots=True, kw_only=True)
class IcmpPacket:
    """One ICMP message.

    Parameters
    ----------
    source
        Who sent it; ``None`` for ICMPv6, where the socket tells it apart from the bytes.
    ttl
        Remaining TTL of it; ``None`` for ICMPv6, likewise.
    type, code
        As on the wire.
    mtu
        Of "fragmentation needed" and "packet too big".
    identifier, sequence
        Of the echo reply, or of the quoted echo request.
    transport
        Of the quoted packet; ``None`` for an echo reply.
    to
        Address of the quoted packet's destination.
    source_port, port
        Of the quoted packet.
    traffic_class
        TOS or traffic-class byte of the quoted packet.
    data
        Payload of the echo reply, or of the quoted packet, as far as it is quoted.
    """

    source: str | None
    ttl: int | None
    type: int
    code: int
    mtu: int | None = None
    identifier: int | None = None
    sequence: int | None = None
    transport: str | None = None
    to: str | None = None
    source_port: int | None = None
    port: int | None = None
    traffic_class: int | None = None
    data: bytes = b""


def parse_icmp(data: bytes, family: Family) -> IcmpPacket | None:
    """Read an ICMP message.

    Parameters
    ----------
    data
        For IPv4 from its IP header on, for IPv6 from the ICMPv6 type on, as raw sockets give them.
    family
        IP version.

    Returns
    -------
    packet
        ``None`` for everything but echo replies and errors, and for what is cut short.
    """
    source, ttl = None, None
    if family == 4:
        header = (data[0] & 15) * 4 if data else 0
        if len(data) < 20 or data[0] >> 4 != 4 or header < 20:
            return None
        source, ttl, data = str(IPv4Address(data[12:16])), data[8], data[header:]
    if len(data) < 8:
        return None
    kind, code = data[0], data[1]
    if kind == _REPLY[family]:
        identifier, sequence = int.from_bytes(data[4:6], "big"), int.from_bytes(data[6:8], "big")
        return IcmpPacket(
            source=source, ttl=ttl, type=kind, code=code, identifier=identifier, sequence=sequence, data=data[8:]
        )
    if kind not in _ERRORS[family]:
        return None
    mtu = None
    if (family, kind, code) == (4, 3, 4):
        mtu = int.from_bytes(data[6:8], "big") or None
    elif (family, kind) == (6, 2):
        mtu = int.from_bytes(data[4:8], "big") or None
    return _with_quotation(IcmpPacket(source=source, ttl=ttl, type=kind, code=code, mtu=mtu), data[8:], family)


def _with_quotation(packet: IcmpPacket, quoted: bytes, family: Family) -> IcmpPacket | None:
    if family == 4:
        header = (quoted[0] & 15) * 4 if quoted else 0
        if len(quoted) < 20 or quoted[0] >> 4 != 4 or header < 20:
            return None
        protocol, traffic_class, to = quoted[9], quoted[1], str(IPv4Address(quoted[16:20]))
    else:
        header = 40
        if len(quoted) < 40 or quoted[0] >> 4 != 6:
            return None
        protocol, to = quoted[6], str(IPv6Address(quoted[24:40]))
        traffic_class = (quoted[0] & 15) << 4 | quoted[1] >> 4
    transport, rest = _TRANSPORTS.get(protocol), quoted[header:]
    if transport is None or len(rest) < 8:
        return None
    echo = transport == "icmp"
    first, second = int.from_bytes(rest[0:2], "big"), int.from_bytes(rest[2:4], "big")
    return IcmpPacket(
        source=packet.source,
        ttl=packet.ttl,
        type=packet.type,
        code=packet.code,
        mtu=packet.mtu,
        identifier=int.from_bytes(rest[4:6], "big") if echo else None,
        sequence=int.from_bytes(rest[6:8], "big") if echo else None,
        transport=transport,
        to=to,
        source_port=None if echo else first,
        port=None if echo else second,
        traffic_class=traffic_class,
        data=b"" if transport == "tcp" else rest[8:],
    )
