"""Flows: both directions of one 5-tuple, counted while the capture is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Transport = Literal["udp", "tcp", "icmp", "icmpv6", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Both directions of one 5-tuple.

    Parameters
    ----------
    a, a_port
        Who sent the first packet, or the SYN.
    b, b_port
        The other end.
    transport
        Of the packets; ``other`` for anything but UDP, TCP and ICMP (ports 0).
    packets_ab, packets_ba
        Packets in each direction (count).
    bytes_ab, bytes_ba
        IP packets on the wire [bytes].
    payload_bytes_ab, payload_bytes_ba
        Transport payload on the wire, retransmissions included [bytes].
    first_ns, last_ns, last_ab_ns, last_ba_ns
        First and last packet; last per direction, ``None`` where there was none [ns].
    ttl_ab_min, ttl_ab_max, ttl_ba_min, ttl_ba_max
        Time to live or hop limit; ``None`` where there was no packet.
    syn_ns, synack_ns
        First SYN and first SYN/ACK [ns].
    syns, synacks
        How many of each (count): more than one SYN was sent again.
    retransmissions_ab, retransmissions_ba
        TCP segments with payload that was seen before (count).
    zero_windows_ab, zero_windows_ba
        TCP segments that announced a zero window (count).
    resets, fins
        TCP segments with RST, FIN (count).
    reset_ab_ns, reset_ba_ns, fin_ab_ns, fin_ba_ns
        First RST and first FIN of each direction; ``None`` where there was none [ns].
    reset_ab_ttl, reset_ba_ttl
        Time to live of that RST: a firewall's differs from the other end's.
    relay_side
        Which end is a TURN server, by its messages: ``a``, ``b`` or ``None``.
    is_turn
        Whether TURN messages or ChannelData were seen.
    payload_packets_ab, payload_packets_ba
        Packets with payload (count).
    media_packets_ab, media_packets_ba
        RTP candidates inside (count).
    rtcp_packets_ab, rtcp_packets_ba
        RTCP and SRTCP packets inside (count).
    """

    a: str
    a_port: int
    b: str
    b_port: int
    transport: Transport
    packets_ab: int
    packets_ba: int
    bytes_ab: int
    bytes_ba: int
    payload_bytes_ab: int
    payload_bytes_ba: int
    first_ns: int
    last_ns: int
    last_ab_ns: int | None
    last_ba_ns: int | None
    ttl_ab_min: int | None
    ttl_ab_max: int | None
    ttl_ba_min: int | None
    ttl_ba_max: int | None
    syn_ns: int | None
    synack_ns: int | None
    syns: int
    synacks: int
    retransmissions_ab: int
    retransmissions_ba: int
    zero_windows_ab: int
    zero_windows_ba: int
    resets: int
    fins: int
    reset_ab_ns: int | None
    reset_ba_ns: int | None
    fin_ab_ns: int | None
    fin_ba_ns: int | None
    reset_ab_ttl: int | None
    reset_ba_ttl: int | None
    relay_side: Literal["a", "b"] | None
    is_turn: bool
    payload_packets_ab: int
    payload_packets_ba: int
    media_packets_ab: int
    media_packets_ba: int
    rtcp_packets_ab: int
    rtcp_packets_ba: int
