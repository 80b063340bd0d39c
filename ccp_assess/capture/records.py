"""What a scan of captures gives: plain records, no packet of media among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ccp_assess.traffic.flows import Flow
from ccp_assess.traffic.streams import RtpStream
from ccp_assess.wire.datagram import Datagram


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """Something that was left out of the reading.

    Parameters
    ----------
    count
        How many frames (or blocks) it concerns.
    first_offset
        Where the first of them begins, in the file after decompression [bytes].
    """

    count: int
    first_offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """One file as it was read.

    Parameters
    ----------
    path
        As it was given; ``-`` for standard input.
    format
        ``pcap`` or ``pcapng``.
    compression
        ``gzip``, ``zstd``, ``lz4`` or ``None``.
    link_types
        Names without the prefix ``LINKTYPE_``, in order of appearance.
    packets
        Frames read (count).
    bytes
        Size of the file after decompression, as far as it was read [bytes].
    first_ns, last_ns
        Earliest and latest time; ``None`` without a frame [ns].
    snaplen_cut
        Frames of which the capture holds only a part (count).
    ended_early
        One sentence that says why reading stopped before the end, and where; ``None`` if it did not.
    skipped
        By reason.
    notes
        Sentences about what the file holds that a reader of the result should know.
    unread
        Sentences about frames that cannot be read.
    """

    path: str
    format: str
    compression: str | None
    link_types: tuple[str, ...]
    packets: int
    bytes: int
    first_ns: int | None
    last_ns: int | None
    snaplen_cut: int
    ended_early: str | None
    skipped: dict[str, Skipped]
    notes: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """One interface that frames were captured on.

    Parameters
    ----------
    capture
        Index into ``Scan.captures``.
    link_type
        Number of the link type.
    link_name
        Its name without the prefix ``LINKTYPE_``.
    name
        From the file, if it says so.
    snaplen
        Most that was kept of a frame; ``None`` if unlimited [bytes].
    packets
        Frames (count).
    dropped
        Frames the capturing system says it lost; ``None`` if it does not say.
    """

    capture: int
    link_type: int
    link_name: str
    name: str | None
    snaplen: int | None
    packets: int
    dropped: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """Everything that was found in one or several files read as one capture in time order.

    Parameters
    ----------
    captures
        One entry per file, in the order given.
    flows
        Conversations; `Datagram`, `RtpStream` and the STUN rows refer to them by index.
    datagrams
        Rare packets in order of arrival.
    stun
        Rows of ``ccp_assess.wire.datagram.STUN_ROW``, every STUN message in order of arrival.
    peers
        Peer addresses of indications (``"203.0.113.5:4000"``), for the ``peer`` column of ``stun``.
    streams
        RTP streams by first time, then address, then port.
    interfaces
        Every interface of every file.
    spans
        Rows of ``ccp_assess.traffic.spans.SPAN``: steady small packets inside TCP, as of speech in TLS.
    name_records
        (address, name) pairs of pcapng name resolution blocks.
    limits_hit
        One sentence for each bound that was reached, with counts: floods, scans, too many streams.
    """

    captures: tuple[Capture, ...]
    flows: Sequence[Flow]
    datagrams: Sequence[Datagram]
    stun: npt.NDArray[np.void] = field(repr=False)
    peers: tuple[str, ...]
    streams: tuple[RtpStream, ...]
    interfaces: tuple[Interface, ...]
    spans: npt.NDArray[np.void] = field(repr=False)
    name_records: tuple[tuple[str, str], ...]
    limits_hit: tuple[str, ...]
