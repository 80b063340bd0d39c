"""One RTP stream as measured at the capture point (RFC 3550), with its one-second series."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

Direction = Literal["out", "in", "unknown"]
RelayForm = Literal["channel_data", "indication", "none"]
RelayTransport = Literal["udp", "tcp", "tls"]

SECOND_ROW = np.dtype(
    [
        ("time_ns", np.int64),  # start of the second, whole seconds of UTC [ns]
        ("stream", np.int32),  # index into Scan.streams
        ("packets", np.uint32),  # arrivals, duplicates too
        ("lost", np.int32),  # sequence numbers missing; a late arrival gives one back
        ("late", np.uint32),  # packets missing at their simulated playout
        ("bytes", np.uint32),  # RTP packets with their headers [bytes]
        ("jitter_ms", np.float32),  # RFC 3550 estimator at the end of the second, NaN if the clock rate is unknown [ms]
        ("ipdv_ms", np.float32),  # mean absolute delay variation of consecutive packets [ms]
        ("longest_gap_ms", np.float32),  # longest time to the packet before [ms]
        ("audio_level", np.float32),  # mean RFC 6464 level [-dBov], NaN if none is in clear
    ],
    align=True,
)
"""One second of one stream; seconds without a packet have no row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RtpStream:
    """One SSRC in one direction of one path: outer 5-tuple, channel or peer, SSRC.

    Parameters
    ----------
    src, src_port, dst, dst_port
        Outer addresses and ports.
    ssrc
        Synchronisation source.
    payload_type
        The most frequent one.
    payload_types
        Packets by payload type.
    direction
        ``out`` is towards the relay; ``unknown`` without a relay.
    relay
        Last form in which it was relayed.
    channel_number, peer
        TURN channel and peer address (``"address:port"``) if known.
    relay_transport
        ``udp`` or ``tcp`` under the relay, ``None`` without a relay.
    transport
        ``udp`` or ``tcp`` of the outer flow.
    clock_rate_hz
        Of the RTP timestamps; ``None`` if it cannot be known.
    clock_rate_basis
        ``rfc3551``, ``opus`` or ``inferred``; ``None`` if unknown.
    packets
        Arrivals, duplicates included.
    expected, lost, loss_pct
        RFC 3550 A.3 over all segments; percent of expected.
    duplicates, reordered
        Same sequence number again within 500; arrived after a higher one.
    jitter_ms, jitter_mean_ms, jitter_max_ms
        RFC 3550 A.8 in arrival order; ``None`` if the clock rate is unknown [ms].
    ipdv_mean_ms
        Mean absolute delay variation of consecutive packets (RFC 3393) [ms].
    longest_gap_ms, longest_gap_ns
        Longest time between two arrivals [ms], and when it began [ns].
    burst_ratio
        Mean length of a loss burst times (1 - loss ratio); ``None`` without loss.
    loss_bursts, longest_loss_burst
        Runs of lost packets (count), longest run (packets).
    gilbert_p, gilbert_r
        Two-state model: probability to enter and to leave the lossy state; ``None`` without loss.
    stalls
        Gaps over 100 ms without a missing sequence number: the sender did not send (count).
    late_pct, playout_ms
        From the playout simulation: speech that was missing when it should have been played [%], mean delay that the
        buffer added [ms].
    packetization_ms
        Time one packet covers, from the most frequent timestamp step [ms].
    clock_skew_ppm
        Sender's clock against the capture's, from the lower edge of transit times; ``None`` if too short.
    audio_level_mean_dbov, audio_level_silent_pct
        RFC 6464 level where it is in clear: mean [dBov], share of packets at 127 (silence) [%].
    payload_bytes
        RTP payload without header and extension [bytes].
    rtcp_packets
        RTCP seen from the same sender on the same path (count).
    telephone_events
        Packets with a frozen timestamp of another payload type (count).
    segments
        Runs between resets of sequence number and timestamp; 1 as a rule.
    is_retransmission
        Whether it looks like an RTX stream (RFC 4588).
    first_ns, last_ns
        First and last arrival [ns].
    flow
        Index into ``Scan.flows``.
    outbound_of_key
        Whether it went from ``flow.a`` to ``flow.b``.
    seconds
        Rows of `SECOND_ROW`.
    """

    src: str
    src_port: int
    dst: str
    dst_port: int
    ssrc: int
    payload_type: int
    payload_types: dict[int, int]
    direction: Direction
    relay: RelayForm
    channel_number: int | None
    peer: str | None
    relay_transport: RelayTransport | None
    transport: str
    clock_rate_hz: int | None
    clock_rate_basis: str | None
    packets: int
    expected: int
    lost: int
    loss_pct: float
    duplicates: int
    reordered: int
    jitter_ms: float | None
    jitter_mean_ms: float | None
    jitter_max_ms: float | None
    ipdv_mean_ms: float | None
    longest_gap_ms: float
    longest_gap_ns: int
    burst_ratio: float | None
    loss_bursts: int
    longest_loss_burst: int
    gilbert_p: float | None
    gilbert_r: float | None
    stalls: int
    late_pct: float | None
    playout_ms: float | None
    packetization_ms: float | None
    clock_skew_ppm: float | None
    audio_level_mean_dbov: float | None
    audio_level_silent_pct: float | None
    payload_bytes: int
    rtcp_packets: int
    telephone_events: int
    segments: int
    is_retransmission: bool
    first_ns: int
    last_ns: int
    flow: int
    outbound_of_key: bool
    seconds: npt.NDArray[np.void] = field(repr=False, compare=False)
