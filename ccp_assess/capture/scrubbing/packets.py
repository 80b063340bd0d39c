"""Frames to mapped frames: link, IP, tunnels and transport, each as the reader of captures follows them.

Every frame starts as zeros of the same length; only what is known and harmless is copied, only what is known and
personal is mapped. Whatever nobody thought of stays zero.
"""

from __future__ import annotations

from collections.abc import Mapping as Table
from dataclasses import dataclass, field

from ccp_assess.capture.scrubbing.datagrams import is_stun, scrub_channel_data, scrub_datagram, scrub_stun
from ccp_assess.capture.scrubbing.fragments import Fragments, Piece
from ccp_assess.capture.scrubbing.held import Frame, checksum
from ccp_assess.capture.scrubbing.links import by_version, copy_ethernet, copy_ethertype, copy_link, copy_ppp, origin_of
from ccp_assess.capture.scrubbing.mapping import Mapping
from ccp_assess.capture.scrubbing.streams import Image
from ccp_assess.capture.scrubbing.turnstreams import Connection
from ccp_assess.wire.columns import DEEPEST_TUNNEL
from ccp_assess.wire.ip import GRE, ICMP, ICMPV6, IPIP, IPV6_IN_IP, TCP, UDP
from ccp_assess.wire.link import IPV4, IPV6, NO_IP, TRANSPARENT_ETHERNET

_EXTENSIONS = frozenset({0, 43, 60, 135, 139, 140})
_AUTHENTICATION, _FRAGMENT = 51, 44
_ICMP_WITH_REST = {ICMP: frozenset({0, 3, 4, 8, 11, 12}), ICMPV6: frozenset({1, 2, 3, 4, 128, 129})}
_ICMP_QUOTING = {ICMP: frozenset({3, 4, 5, 11, 12}), ICMPV6: frozenset({1, 2, 3, 4})}
_KEPT_TCP_OPTIONS = frozenset({2, 3, 4, 5, 8})
"""Maximum segment size, window scale, selective acknowledgement permitted and given, time stamps."""
_END_OF_OPTIONS, _NO_OPERATION = 0, 1
_VXLAN_PORTS, _GENEVE_PORT, _GTP_PORT = (4789, 8472), 6081, 2152

Ends = tuple[bytes, int, bytes, int, int]
"""Source address and port, destination address and port as in the capture, protocol."""


@dataclass(slots=True)
class KnownFlows:
    """What a first reading of the capture found out.

    Parameters
    ----------
    numbers
        Flows of interest, by both orders of their ends: number and whether that is from a to b.
    images
        Beginnings of TCP connections.
    turn_over_tcp, dtls
        Flows that carry TURN over TCP; that have shown DTLS in clear.
    payloads
        Whole payloads that were mapped already, by number of the frame.
    """

    numbers: dict[Ends, tuple[int, bool]] = field(default_factory=dict)
    images: Table[tuple[int, bool], Image] = field(default_factory=dict)
    turn_over_tcp: frozenset[int] = frozenset()
    dtls: frozenset[int] = frozenset()
    payloads: Table[int, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class _Header:
    """An IP header as far as what follows needs it."""

    src: bytes
    dst: bytes
    pseudo: bytes  # mapped addresses
    protocol: int
    payload: int
    stop: int  # end of what was captured
    length: int  # of the payload on the wire


class PacketScrubber:
    """Maps the frames of one capture, in order.

    Parameters
    ----------
    mapping
        Of the client's key.
    known
        What a first reading found out.
    """

    def __init__(self, mapping: Mapping, known: KnownFlows) -> None:
        self._mapping = mapping
        self._known = known
        self._connections: dict[int, Connection] = {}
        self._fragments: Fragments[_Header] = Fragments()
        self._origin: int | None = None
        self._number = 0

    def scrub(
        self, data: bytes, wire_bytes: int, link_type: int, time_ns: int, *, interface: int | None = None
    ) -> Frame:
        """Map the next frame.

        Parameters
        ----------
        data
            As captured.
        wire_bytes
            Its length on the wire.
        link_type
            Number in the capture's header.
        time_ns
            When it was captured [ns].
        interface
            Number of the one it was seen on; ``None`` where no frame can be seen on several.

        Returns
        -------
        frame
            Of the same length; its bytes may change until it waits for nothing.
        """
        frame = Frame(bytearray(len(data)), time_ns)
        self._origin = None if interface is None else origin_of(data, link_type, interface)
        at, kind = copy_link(data, frame.out, link_type, self._mapping)
        if kind in {IPV4, IPV6}:
            self._ip(data, frame, at, wire_bytes, kind, 0)
        self._number += 1
        return frame

    # --- IP

    def _ip(  # noqa: PLR0917  (one thing of each)
        self, data: bytes, frame: Frame, at: int, wire_end: int, kind: int, depth: int
    ) -> None:
        header = self._ip_header(data, frame, at, len(data), wire_end, kind)
        if header is None:
            return
        if header.protocol in {IPIP, IPV6_IN_IP}:
            self._inside(data, frame, by_version(data, frame.out, header.payload, header.stop), wire_end, depth)
        elif header.protocol == GRE:
            place = self._gre(data, frame, header.payload, header.stop)
            if place[1] != NO_IP:
                self._inside(data, frame, place, wire_end, depth)
        elif header.protocol == UDP:
            inner = self._udp_tunnel(data, frame, header)
            if inner is None:
                self._transport(data, frame, header)
            else:
                self._inside(data, frame, inner, wire_end, depth)
                self._sum_udp(frame, data, header)
        else:
            self._transport(data, frame, header)

    def _inside(self, data: bytes, frame: Frame, place: tuple[int, int], wire_end: int, depth: int) -> None:
        at, kind = place
        if kind in {IPV4, IPV6} and depth < DEEPEST_TUNNEL:
            self._ip(data, frame, at, wire_end, kind, depth + 1)

    def _ip_header(  # noqa: PLR0917  (one thing of each)
        self, data: bytes, frame: Frame, at: int, end: int, wire_end: int, kind: int, *, is_quoted: bool = False
    ) -> _Header | None:
        """Copy an IP header with mapped addresses; ``None`` if nothing can be read behind it here and now."""
        if at < end:
            frame.out[at] = data[at]
        if kind == IPV4:
            return self._ipv4(data, frame, at, end, wire_end, is_quoted=is_quoted)
        return self._ipv6(data, frame, at, end, wire_end, is_quoted=is_quoted)

    def _ipv4(self, data: bytes, frame: Frame, at: int, end: int, wire_end: int, *, is_quoted: bool) -> _Header | None:
        if at + 20 > end or data[at] >> 4 != 4 or data[at] & 15 < 5:
            return None
        out = frame.out
        size = (data[at] & 15) * 4
        src, dst = data[at + 12 : at + 16], data[at + 16 : at + 20]
        out[at : at + 10] = data[at : at + 10]
        out[at + 12 : at + 20] = pseudo = self._mapping.address(src) + self._mapping.address(dst)
        if at + size <= end:  # options become zero, which ends them
            frame.add_sum(at + 10, at, at + size)
        total = int.from_bytes(data[at + 2 : at + 4], "big") or wire_end - at
        if total < size:
            return None
        stop = min(end, at + total)
        header = _Header(src, dst, pseudo, data[at + 9], at + size, stop, total - size)
        fragment = int.from_bytes(data[at + 6 : at + 8], "big")
        if fragment & 0x3FFF and not is_quoted:
            number = int.from_bytes(data[at + 4 : at + 6], "big")
            self._put_fragment(data, frame, header, number, (fragment & 0x1FFF) * 8, more=bool(fragment & 0x2000))
            return None
        return None if is_quoted and fragment & 0x1FFF else header

    def _ipv6(self, data: bytes, frame: Frame, at: int, end: int, wire_end: int, *, is_quoted: bool) -> _Header | None:
        if at + 40 > end or data[at] >> 4 != 6:
            return None
        out = frame.out
        src, dst = data[at + 8 : at + 24], data[at + 24 : at + 40]
        out[at : at + 8] = data[at : at + 8]
        out[at + 8 : at + 40] = pseudo = self._mapping.address(src) + self._mapping.address(dst)
        total = int.from_bytes(data[at + 4 : at + 6], "big")
        total = 40 + total if total else wire_end - at
        stop = min(end, at + total)
        kind, here = data[at + 6], at + 40
        fragment, identification = 0, 0
        for _ in range(16):
            if kind not in _EXTENSIONS and kind not in {_AUTHENTICATION, _FRAGMENT}:
                break
            if here + 8 > stop:
                out[here : min(here + 2, stop)] = data[here : min(here + 2, stop)]
                return None
            kept = 8 if kind == _FRAGMENT else 2
            out[here : here + kept] = data[here : here + kept]
            step = 8
            if kind == _AUTHENTICATION:
                step = (data[here + 1] + 2) * 4
            elif kind != _FRAGMENT:
                step = (data[here + 1] + 1) * 8
            elif not fragment & 0xFFF9:
                fragment = int.from_bytes(data[here + 2 : here + 4], "big")
                identification = int.from_bytes(data[here + 4 : here + 8], "big")
            else:
                break
            kind = data[here]
            here += step
            if fragment & 0xFFF9:
                break
        if here > at + total:
            return None
        header = _Header(src, dst, pseudo, kind, here, stop, at + total - here)
        if fragment & 0xFFF9 and not is_quoted:
            self._put_fragment(data, frame, header, identification, fragment & 0xFFF8, more=bool(fragment & 1))
            return None
        return None if is_quoted and fragment & 0xFFF8 else header

    # --- fragments

    def _put_fragment(
        self, data: bytes, frame: Frame, header: _Header, identification: int, offset: int, *, more: bool
    ) -> None:
        piece = Piece(
            frame=frame,
            place=header.payload,
            data=data[header.payload : header.stop],
            offset=offset,
            length=header.length,
            more=more,
            origin=self._origin,
        )
        whole = self._fragments.put((header.src, header.dst, header.protocol, identification), header, piece)
        if whole is not None and whole.total is not None:
            first, known = whole.header, whole.joined()
            joined = Frame(bytearray(len(known)), whole.time_ns)
            self._transport(
                known,
                joined,
                _Header(first.src, first.dst, first.pseudo, first.protocol, 0, len(known), whole.total),
            )
            joined.finish()
            whole.write(joined.out)

    # --- tunnels

    def _gre(self, data: bytes, frame: Frame, at: int, end: int) -> tuple[int, int]:
        """Copy a GRE header (RFC 2784, 2890, 2637) and ERSPAN."""
        out = frame.out
        stop = min(at + 4, end)
        out[at:stop] = data[at:stop]
        if at + 4 > end:
            return at, NO_IP
        flags, protocol = int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 2 : at + 4], "big")
        version = flags & 7
        here = at + 4 + 4 * (bool(flags & 0xC000) + bool(flags & 0x2000) + bool(flags & 0x1000))
        here += 4 if version == 1 and flags & 0x80 else 0
        out[at : min(here, end)] = data[at : min(here, end)]
        if flags & 0x8000:
            frame.add_sum(at + 4, at, end)
        if version == 1:
            return copy_ppp(data, out, here, end)
        if version != 0:
            return at, NO_IP
        if protocol == TRANSPARENT_ETHERNET:
            return copy_ethernet(data, out, here, end, self._mapping)
        if protocol in {0x88BE, 0x22EB}:
            size = 8 if flags & 0x1000 else 0
            if protocol == 0x22EB:
                if here + 12 > end:
                    return at, NO_IP
                size = 20 if data[here + 11] & 1 else 12
            out[here : min(here + size, end)] = data[here : min(here + size, end)]
            return copy_ethernet(data, out, here + size, end, self._mapping)
        return copy_ethertype(data, out, here, end, protocol, self._mapping)

    def _udp_tunnel(self, data: bytes, frame: Frame, header: _Header) -> tuple[int, int] | None:
        """Look through VXLAN, GENEVE and GTP-U; ``None`` if it is none."""
        at, end, out = header.payload, header.stop, frame.out
        if at + 20 > end:
            return None
        source, port = int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 2 : at + 4], "big")
        here = at + 8
        inner: tuple[int, int | None] | None = None
        if port in _VXLAN_PORTS:
            has_group = data[here] == 0x88
            if data[here + 7] == 0 and (has_group or data[here : here + 4] == b"\x08\0\0\0"):
                inner = here + 8, None
        elif port == _GENEVE_PORT:
            protocol = int.from_bytes(data[here + 2 : here + 4], "big")
            if data[here] >> 6 == 0 and data[here + 1] & 0x3F == 0 and data[here + 7] == 0:
                kind = None if protocol == TRANSPARENT_ETHERNET else protocol
                if kind in {None, IPV4, IPV6}:
                    inner = here + 8 + (data[here] & 0x3F) * 4, kind
        elif _GTP_PORT in {source, port}:
            inner = _inside_gtp(data, here, end)
        if inner is None:
            return None
        place, known = inner
        out[at : at + 16] = data[at : at + 16]
        if _GTP_PORT in {source, port}:  # its extensions tell by their lengths where the packet begins
            out[at:place] = data[at:place]
        if known is None:
            return copy_ethernet(data, out, place, end, self._mapping)
        return place, known

    def _sum_udp(self, frame: Frame, data: bytes, header: _Header) -> None:
        at = header.payload
        if data[at + 6 : at + 8] != b"\0\0":
            length = _udp_length(data, header)
            pseudo = header.pseudo + length.to_bytes(4, "big") + UDP.to_bytes(4, "big")
            frame.add_sum(at + 6, at, min(at + length, header.stop), pseudo, is_udp=True)

    # --- transport

    def _transport(self, data: bytes, frame: Frame, header: _Header) -> None:
        if header.protocol == UDP:
            self._udp(data, frame, header)
        elif header.protocol == TCP:
            self._tcp(data, frame, header)
        elif header.protocol in {ICMP, ICMPV6}:
            self._icmp(data, frame, header)

    def _flow(self, header: _Header, src_port: int, dst_port: int) -> tuple[int, bool] | None:
        return self._known.numbers.get((header.src, src_port, header.dst, dst_port, header.protocol))

    def _udp(self, data: bytes, frame: Frame, header: _Header) -> None:
        at, stop = header.payload, header.stop
        if at + 8 > stop:
            frame.out[at:stop] = data[at:stop]
            return
        frame.out[at : at + 8] = data[at : at + 8]
        ports = int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 2 : at + 4], "big")
        length = _udp_length(data, header) - 8
        payload = data[at + 8 : min(stop, at + 8 + length)]
        known = self._known.payloads.get(self._number)
        if known is None or len(known) != len(payload):
            flow = self._flow(header, *ports) if self._known.dtls and payload[:1] else None
            knows_dtls = flow is not None and flow[0] in self._known.dtls
            known = scrub_datagram(payload, length, self._mapping, ports=ports, knows_dtls=knows_dtls)
        frame.out[at + 8 : at + 8 + len(known)] = known
        self._sum_udp(frame, data, header)

    def _tcp(self, data: bytes, frame: Frame, header: _Header) -> None:
        at, stop, out = header.payload, header.stop, frame.out
        kept = min(at + 20, stop)
        out[at:kept] = data[at:kept]
        if at + 20 > stop:
            return
        size = (data[at + 12] >> 4) * 4
        if size < 20:
            return
        _copy_tcp_options(data, out, at + 20, min(at + size, stop))
        length = header.length - size
        place = at + size
        if length > 0 and place <= stop:
            self._segment(data, frame, header, place, length)
        pseudo = header.pseudo + header.length.to_bytes(4, "big") + TCP.to_bytes(4, "big")
        frame.add_sum(at + 16, at, min(at + header.length, stop), pseudo)

    def _segment(self, data: bytes, frame: Frame, header: _Header, place: int, length: int) -> None:
        at = header.payload
        ports = int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 2 : at + 4], "big")
        flow = self._flow(header, *ports)
        if flow is None:
            return
        payload = data[place : min(header.stop, place + length)]
        if flow[0] in self._known.turn_over_tcp:
            connection = self._connections.get(flow[0])
            if connection is None:
                knows_dtls = flow[0] in self._known.dtls
                connection = self._connections[flow[0]] = Connection(
                    lambda message, size: self._turn_message(message, size, knows_dtls=knows_dtls)
                )
            if connection.put(frame, place, payload, length, data[at : at + 20], is_from_a=flow[1]):
                return
        image = self._known.images.get(flow)
        if image is not None and payload:
            sequence = int.from_bytes(data[at + 4 : at + 8], "big") + (1 if data[at + 13] & 2 else 0)
            frame.out[place : place + len(payload)] = image.cut(sequence, len(payload))

    def _turn_message(self, data: bytes, length: int, *, knows_dtls: bool) -> bytes:
        if data[0] < 4 and not is_stun(data, length):
            return bytes(len(data))
        if data[0] < 4:
            return scrub_stun(data, self._mapping, knows_dtls=knows_dtls)
        return scrub_channel_data(data, self._mapping, knows_dtls=knows_dtls)

    # --- ICMP

    def _icmp(self, data: bytes, frame: Frame, header: _Header) -> None:
        at, stop, out = header.payload, header.stop, frame.out
        kept = min(at + 4, stop)
        out[at:kept] = data[at:kept]
        if at + 4 > stop:
            return
        kind = data[at]
        if kind in _ICMP_WITH_REST[header.protocol]:
            out[at + 4 : min(at + 8, stop)] = data[at + 4 : min(at + 8, stop)]
        elif (header.protocol, kind) == (ICMP, 5) and at + 8 <= stop:
            out[at + 4 : at + 8] = self._mapping.address(data[at + 4 : at + 8])
        if kind in _ICMP_QUOTING[header.protocol] and at + 9 <= stop:
            self._quotation(data, frame, at + 8, stop)
        pseudo = b""
        if header.protocol == ICMPV6:
            pseudo = header.pseudo + header.length.to_bytes(4, "big") + ICMPV6.to_bytes(4, "big")
        frame.add_sum(at + 2, at, min(at + header.length, stop), pseudo)

    def _quotation(self, data: bytes, frame: Frame, at: int, end: int) -> None:
        """Copy the header of the packet that an error is about, and its ports."""
        kind = {4: IPV4, 6: IPV6}.get(data[at] >> 4)
        if kind is None:
            return
        header = self._ip_header(data, frame, at, end, end, kind, is_quoted=True)
        if header is None:
            return
        size = {UDP: 6, TCP: 16, 132: 4}.get(header.protocol, 0)
        stop = min(header.payload + size, end)
        frame.out[header.payload : stop] = data[header.payload : stop]


def _udp_length(data: bytes, header: _Header) -> int:
    stated = int.from_bytes(data[header.payload + 4 : header.payload + 6], "big")
    return min(header.length, stated) if stated >= 8 else header.length


def _inside_gtp(data: bytes, here: int, end: int) -> tuple[int, int] | None:
    """Find the packet inside GTP-U (version 1, a G-PDU)."""
    flags = data[here]
    if flags >> 5 != 1 or not flags & 0x10 or data[here + 1] != 0xFF:
        return None
    inner = here + 8
    if flags & 7:
        extension = data[here + 11] if flags & 4 else 0
        inner += 4
        for _ in range(8):
            if extension == 0 or inner + 4 > end:
                break
            step = data[inner] * 4
            if step == 0 or inner + step > end:
                return None
            extension = data[inner + step - 1]
            inner += step
    kind = {4: IPV4, 6: IPV6}.get(data[inner] >> 4) if inner < end else None
    return None if kind is None else (inner, kind)


def _copy_tcp_options(data: bytes, out: bytearray, at: int, end: int) -> None:
    """Copy the usual options; others, which may carry a client's address or a cookie, become "no operation"."""
    while at < end:
        kind = data[at]
        if kind == _END_OF_OPTIONS:
            return
        if kind == _NO_OPERATION:
            out[at] = kind
            at += 1
            continue
        size = data[at + 1] if at + 1 < end else 0
        if size < 2 or at + size > end:
            return
        out[at : at + size] = data[at : at + size] if kind in _KEPT_TCP_OPTIONS else bytes([_NO_OPERATION]) * size
        at += size


__all__ = ["KnownFlows", "PacketScrubber", "checksum"]
