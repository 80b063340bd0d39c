"""macOS: ICMP without rights by a datagram ICMP socket, which hears every ICMP message with its IP header (icmp(4)).

There are no kernel stamps of sending; those of receiving (``SO_TIMESTAMP``) have microseconds and are not asked for.
"""

from __future__ import annotations

import socket

from ccp_assess.probe.systems.listening import ListeningNetwork
from ccp_assess.probe.systems.sockets import Channel

IP_DONTFRAG, IPV6_DONTFRAG = 28, 62  # <netinet/in.h>, <netinet6/in6.h>


class MacosNetwork(ListeningNetwork):
    """The real network on macOS."""

    icmp_kind = socket.SOCK_DGRAM

    def __init__(self) -> None:
        super().__init__()
        heard = self.listen(4)
        reason = None if heard else "this computer lets programs hear no ICMP"
        self.technique_reasons = {"udp": reason, "icmp": reason, "tcp": reason}
        self.listen(6)

    def prepare(self, channel: Channel, *, dont_fragment: bool) -> None:
        """Set DF."""
        if channel.kind == "udp":
            level, option = (
                (socket.IPPROTO_IP, IP_DONTFRAG) if channel.family == 4 else (socket.IPPROTO_IPV6, IPV6_DONTFRAG)
            )
            channel.sock.setsockopt(level, option, int(dont_fragment))
