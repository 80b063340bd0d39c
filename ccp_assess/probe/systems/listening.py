"""ICMP by one listening socket for all flows: raw on Linux (with rights), datagram ICMP on macOS (without).

The socket hears all ICMP of this computer; what belongs to a flow is found by the source port, or by the identifier of
our echo requests.
"""

from __future__ import annotations

import contextlib
import secrets
import selectors
import socket
import struct
from functools import partial

from ccp_assess.probe.machine import Datagram, Family, IcmpError, OpenIcmp, Send
from ccp_assess.probe.systems.quoting import IcmpPacket, parse_icmp
from ccp_assess.probe.systems.sockets import FAMILIES, LARGEST_BYTES, MOST_READS, Channel, SocketNetwork

_PROTOCOL = {4: socket.IPPROTO_ICMP, 6: socket.IPPROTO_ICMPV6}
_ECHO_REQUEST = {4: 8, 6: 128}
_ECHO = struct.Struct("!BBHHH")


class ListeningNetwork(SocketNetwork):
    """A network that hears ICMP by a socket of its own."""

    icmp_kind: int = socket.SOCK_DGRAM
    """Kind of the ICMP socket."""

    def __init__(self, selector: selectors.BaseSelector | None = None) -> None:
        super().__init__(selector)
        self.listeners: dict[Family, socket.socket | None] = {}

    def close(self) -> None:
        """Close everything."""
        for listener in self.listeners.values():
            if listener is not None:
                listener.close()
        super().close()

    def listen(self, family: Family) -> bool:
        """Begin to hear ICMP, if this user may; asked again and again it does so once."""
        if family not in self.listeners:
            self.listeners[family] = None
            with contextlib.suppress(OSError):
                listener = socket.socket(FAMILIES[family], self.icmp_kind, _PROTOCOL[family])
                listener.settimeout(0)
                self.prepare_listener(listener, family)
                self.listeners[family] = listener
                self.selector.register(listener, selectors.EVENT_READ, partial(self._hear, family, listener))
        return self.listeners[family] is not None

    def prepare_listener(self, listener: socket.socket, family: int) -> None:
        """Set options of the listening socket."""

    def receive_icmp(self, listener: socket.socket) -> tuple[bytes, str, int, bool, int | None]:
        """Read one message: bytes, who sent it, when, whether the kernel says so, remaining TTL if known."""
        data, source = listener.recvfrom(LARGEST_BYTES)
        return data, source[0], self.now_ns(), False, None

    def open_icmp(self, owner: int, action: OpenIcmp) -> None:
        """Open an echo flow on the listening socket."""
        if not self.listen(action.family):
            return
        with contextlib.suppress(OSError):
            sock = socket.socket(FAMILIES[action.family], self.icmp_kind, _PROTOCOL[action.family])
            sock.settimeout(0)
            if action.source is not None:
                sock.bind((action.source, 0))
            channel = Channel(owner, action.flow, "icmp", action.family, sock, identifier=secrets.randbelow(65_535) + 1)
            self.channels[owner, action.flow] = channel  # not in the selector: the listening socket hears for it

    def transmit(self, channel: Channel, action: Send) -> None:
        """Send a datagram; echo requests are built here."""
        if channel.identifier is None or action.to is None:
            super().transmit(channel, action)
            return
        self.set_options(channel, action)
        channel.sock.sendto(echo_request(channel.family, channel.identifier, action.token, action.data), action.to)

    def _hear(self, family: Family, listener: socket.socket) -> None:
        for _ in range(MOST_READS):
            try:
                data, source, time_ns, by_kernel, ttl = self.receive_icmp(listener)
            except BlockingIOError:
                return
            except OSError:
                continue
            packet = parse_icmp(data, family)
            channel = None if packet is None else self._channel_of(packet, family)
            if packet is None or channel is None:
                continue
            if packet.transport is None:
                heard: Datagram | IcmpError = Datagram(
                    flow=channel.flow,
                    data=packet.data,
                    source=(source, 0),
                    time_ns=time_ns,
                    by_kernel=by_kernel,
                    token=packet.sequence,
                    ttl=packet.ttl if ttl is None else ttl,
                )
            else:
                heard = IcmpError(
                    flow=channel.flow,
                    router=source,
                    type=packet.type,
                    code=packet.code,
                    time_ns=time_ns,
                    by_kernel=by_kernel,
                    to=(packet.to or "", packet.port or 0),
                    data=packet.data,
                    token=packet.sequence,
                    mtu=packet.mtu,
                    ttl=packet.ttl if ttl is None else ttl,
                    quoted_traffic_class=packet.traffic_class,
                )
            self.tell(channel, heard)

    def _channel_of(self, packet: IcmpPacket, family: Family) -> Channel | None:
        """Find the flow that a message belongs to."""
        for channel in self.channels.values():
            if channel.family != family:
                continue
            if packet.identifier is not None:
                if channel.identifier == packet.identifier:
                    return channel
            elif channel.kind == packet.transport:
                with contextlib.suppress(OSError):
                    if channel.sock.getsockname()[1] == packet.source_port:
                        return channel
        return None


def echo_request(family: Family, identifier: int, sequence: int, payload: bytes) -> bytes:
    """Write an echo request (RFC 792, 4443).

    Parameters
    ----------
    family
        IP version; for IPv6 the kernel writes the checksum.
    identifier
        1 to 65535.
    sequence
        Its low 16 bits are used.
    payload
        What comes back.

    Returns
    -------
    data
        From the ICMP type on.
    """
    head = bytes(_ECHO.pack(_ECHO_REQUEST[family], 0, 0, identifier, sequence & 0xFFFF))
    if family == 6:
        return head + payload
    body: bytes = head + payload + bytes(len(payload) % 2)
    total = sum(struct.unpack(f"!{len(body) // 2}H", body))
    total = (total & 0xFFFF) + (total >> 16)
    checksum = struct.pack("!H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF)
    return b"".join((head[:2], checksum, head[4:], payload))
