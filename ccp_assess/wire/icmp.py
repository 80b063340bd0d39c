"""ICMP and ICMPv6 errors, and the packet that each quotes (RFC 792, 4443, 1812).

An error quotes the beginning of the packet that caused it: this ties a "port unreachable" to the flow it is about.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Literal

from ccp_assess.errors import ParseError

IcmpKind = Literal[
    "network_unreachable",
    "host_unreachable",
    "protocol_unreachable",
    "port_unreachable",
    "packet_too_big",
    "prohibited",
    "ttl_exceeded",
    "reassembly_exceeded",
    "parameter_problem",
    "redirect",
    "source_quench",
    "unreachable",
    "echo_request",
    "echo_reply",
    "other",
]

_V4_UNREACHABLE: dict[int, IcmpKind] = {
    0: "network_unreachable",
    1: "host_unreachable",
    2: "protocol_unreachable",
    3: "port_unreachable",
    4: "packet_too_big",
    6: "network_unreachable",
    7: "host_unreachable",
    9: "prohibited",
    10: "prohibited",
    11: "network_unreachable",
    12: "host_unreachable",
    13: "prohibited",
    14: "prohibited",
    15: "prohibited",
}
_V4_TYPES: dict[int, IcmpKind] = {
    0: "echo_reply",
    4: "source_quench",
    5: "redirect",
    8: "echo_request",
    12: "parameter_problem",
}
_V6_UNREACHABLE: dict[int, IcmpKind] = {
    0: "network_unreachable",
    1: "prohibited",
    2: "host_unreachable",
    3: "host_unreachable",
    4: "port_unreachable",
    5: "prohibited",
    6: "prohibited",
}
_V6_TYPES: dict[int, IcmpKind] = {
    2: "packet_too_big",
    4: "parameter_problem",
    128: "echo_request",
    129: "echo_reply",
    137: "redirect",
}
_V4_QUOTING = frozenset({3, 4, 5, 11, 12})
_V6_QUOTING = frozenset({1, 2, 3, 4})
_V6_EXTENSIONS = frozenset({0, 43, 60})
_TRANSPORTS = {6: "tcp", 17: "udp", 132: "sctp"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Quoted:
    """The packet that an error is about.

    Parameters
    ----------
    src, dst
        Addresses of the quoted packet.
    protocol
        IP protocol number.
    src_port, dst_port
        ``None`` where the protocol has none or the quotation ends before them.
    payload
        What is quoted of the transport payload.
    """

    src: str
    dst: str
    protocol: int
    src_port: int | None
    dst_port: int | None
    payload: bytes = b""

    @property
    def transport(self) -> str:
        """``udp``, ``tcp`` or the protocol number in words."""
        return _TRANSPORTS.get(self.protocol, f"ip{self.protocol}")


@dataclass(frozen=True, slots=True, kw_only=True)
class IcmpMessage:
    """One ICMP or ICMPv6 message.

    Parameters
    ----------
    version
        4 for ICMP, 6 for ICMPv6.
    type, code
        As on the wire.
    kind
        What they mean.
    identifier, sequence
        Of an echo, else ``None``.
    mtu
        Of "packet too big" where the router told it [bytes].
    quoted
        The packet that an error is about.
    """

    version: int
    type: int
    code: int
    kind: IcmpKind
    identifier: int | None = None
    sequence: int | None = None
    mtu: int | None = None
    quoted: Quoted | None = None

    @property
    def is_error(self) -> bool:
        """Whether it reports that a packet was not delivered."""
        return self.quoted is not None and self.kind not in {"redirect", "source_quench"}


def parse_message(data: bytes, *, version: int) -> IcmpMessage:
    """Read one message.

    Parameters
    ----------
    data
        From the ICMP type on; may be cut by the capture.
    version
        IP version that carried it: 4 or 6.

    Returns
    -------
    message
        Kind and quoted packet.

    Raises
    ------
    ParseError
        If not even type, code and checksum are there.
    """
    if len(data) < 4:
        raise ParseError(f"ICMP message of {len(data)} bytes is shorter than its header")
    number, code = data[0], data[1]
    kind = _kind(number, code, version)
    rest = int.from_bytes(data[4:8], "big") if len(data) >= 8 else None
    is_echo = kind in {"echo_request", "echo_reply"} and rest is not None
    mtu = None
    if kind == "packet_too_big" and rest is not None:
        mtu = (rest if version == 6 else rest & 0xFFFF) or None
    quoting = _V6_QUOTING if version == 6 else _V4_QUOTING
    return IcmpMessage(
        version=version,
        type=number,
        code=code,
        kind=kind,
        identifier=rest >> 16 if is_echo and rest is not None else None,
        sequence=rest & 0xFFFF if is_echo and rest is not None else None,
        mtu=mtu,
        quoted=_parse_quoted(data[8:]) if number in quoting else None,
    )


def _kind(number: int, code: int, version: int) -> IcmpKind:
    if version == 6:
        if number == 1:
            return _V6_UNREACHABLE.get(code, "unreachable")
        if number == 3:
            return "reassembly_exceeded" if code == 1 else "ttl_exceeded"
        return _V6_TYPES.get(number, "other")
    if number == 3:
        return _V4_UNREACHABLE.get(code, "unreachable")
    if number == 11:
        return "reassembly_exceeded" if code == 1 else "ttl_exceeded"
    return _V4_TYPES.get(number, "other")


def _parse_quoted(data: bytes) -> Quoted | None:
    version = data[0] >> 4 if data else 0
    if version == 4 and len(data) >= 20:
        header = (data[0] & 15) * 4
        fragment_offset = int.from_bytes(data[6:8], "big") & 0x1FFF
        src, dst = str(IPv4Address(bytes(data[12:16]))), str(IPv4Address(bytes(data[16:20])))
        if header < 20:
            return None
        return _quoted(src, dst, data[9], data[header:] if fragment_offset == 0 else b"")
    if version == 6 and len(data) >= 40:
        src, dst = str(IPv6Address(bytes(data[8:24]))), str(IPv6Address(bytes(data[24:40])))
        protocol, position = data[6], 40
        while protocol in _V6_EXTENSIONS and position + 2 <= len(data):
            protocol, position = data[position], position + 8 + data[position + 1] * 8
        if protocol == 44 and position + 8 <= len(data):  # fragment header: only the first has the ports
            first = int.from_bytes(data[position + 2 : position + 4], "big") >> 3 == 0
            protocol, position = data[position], position + 8
            return _quoted(src, dst, protocol, data[position:] if first else b"")
        return _quoted(src, dst, protocol, data[position:])
    return None


def _quoted(src: str, dst: str, protocol: int, transport: bytes) -> Quoted:
    has_ports = protocol in _TRANSPORTS and len(transport) >= 4
    return Quoted(
        src=src,
        dst=dst,
        protocol=protocol,
        src_port=int.from_bytes(transport[0:2], "big") if has_ports else None,
        dst_port=int.from_bytes(transport[2:4], "big") if has_ports else None,
        payload=bytes(transport[8:]) if protocol == 17 else b"",
    )
