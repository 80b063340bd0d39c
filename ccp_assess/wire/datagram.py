"""Rare packets on their way from a capture to the parsers: everything that is not media.

Media never becomes an object. What is left takes two forms:

* a `Datagram` each, with its bytes, for STUN, DTLS, DNS, ICMP, QUIC Initial packets, the first bytes of every TCP
  connection and each of its SYN, FIN and RST;
* a row of `STUN_ROW` for **every** STUN message. Connectivity checks come by the hundred thousand in a long capture,
  and round trips are computed from the rows: a Binding message becomes a `Datagram` too only where the snaplen cut it,
  while it is one of the first of its path (`BINDINGS_KEPT_PER_PATH`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

BINDINGS_KEPT_PER_PATH = 64
"""Binding messages cut by the snaplen that become datagrams, for each path of a flow; later ones are rows only."""

TCP_BYTES_KEPT = 16_384
"""Payload kept per direction of a TCP connection, from the first byte seen [bytes]."""


class Datagram(NamedTuple):
    """One rare packet.

    Attributes
    ----------
    time_ns
        Arrival at the capture point [ns since 1970].
    flow
        Index into ``Scan.flows``.
    outbound_of_key
        Whether the packet went from ``flow.a`` to ``flow.b``.
    payload
        Transport payload as captured (for ICMP: the ICMP message); what lies inside ChannelData or an indication
        comes as a datagram of its own.
    length
        Length of that payload on the wire; more than ``len(payload)`` where the snaplen cut it [bytes].
    ttl
        Time to live or hop limit.
    tcp_seq, tcp_flags, tcp_ack, tcp_window
        From the TCP header; ``None`` for other transports and for messages taken out of a TCP byte stream.
    fragmented
        Whether it was put together from IP fragments.
    frame
        Number of the frame, from 0 over the whole capture.
    channel
        TURN channel out of whose ChannelData the payload was taken, else 0.
    peer
        XOR-PEER-ADDRESS and port (``"203.0.113.5:4000"``, ``"[2001:db8::1]:4000"``) where the payload was taken out of
        a Send or Data indication, else ``None``.
    framed
        Whether the payload is one whole message taken out of a TCP byte stream (TURN over TCP).
    """

    time_ns: int
    flow: int
    outbound_of_key: bool
    payload: bytes
    length: int
    ttl: int
    tcp_seq: int | None = None
    tcp_flags: int | None = None
    tcp_ack: int | None = None
    tcp_window: int | None = None
    fragmented: bool = False
    frame: int = 0
    channel: int = 0
    peer: str | None = None
    framed: bool = False


STUN_ROW = np.dtype(
    [
        ("time_ns", np.int64),  # arrival at the capture point
        ("frame", np.int64),  # number of the frame
        ("transaction_high", np.uint32),  # first 4 of the 12 bytes of the transaction identifier
        ("transaction_low", np.uint64),  # the other 8
        ("flow", np.int32),  # index into Scan.flows
        ("peer", np.int32),  # index into Scan.peers where it was inside an indication, else -1
        ("channel", np.uint16),  # TURN channel it was inside, else 0
        ("message_type", np.uint16),  # method and class as on the wire
        ("length", np.uint16),  # whole message with its header [bytes]
        ("error_code", np.uint16),  # 300 to 699 in an error response, else 0
        ("outbound_of_key", np.bool_),  # from flow.a to flow.b
        ("over_tcp", np.bool_),  # taken out of a TCP byte stream
    ],
    align=True,
)
"""One STUN message as a row of a table; see the module's first words."""
