"""The compiled loops over a block of a capture: records, then packets, as rows of arrays.

A block is a piece of a file in one reused buffer. `walk_pcap` and `walk_pcapng` find its records, `decode` follows each
through link layer, IP, fragments and tunnels to its transport header. A packet of media never becomes an object.
Nothing here believes a length in a header further than the bytes that are there.
"""

# ruff: noqa: FBT001, PLR0917  (compiled loops take plain positional arguments)

# mypy: disable-error-code="attr-defined,return-value,assignment,arg-type,operator,no-any-return"
# (numpy gives the fields of rows no types; the compiler checks them)

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ccp_assess.wire.compiled import helper, inlined, kernel
from ccp_assess.wire.hashing import mixed
from ccp_assess.wire.ip import (
    FRAGMENT_BYTES,
    FRAGMENT_SLOTS,
    FRAGMENTED,
    GRE,
    HEADER,
    ICMP,
    ICMPV6,
    IPIP,
    IPV6_IN_IP,
    NOT_A_TUNNEL,
    TCP,
    UDP,
    V4_PREFIX,
    into_gre,
    into_udp_tunnel,
    is_gtp,
    may_be_tunnel,
    put_fragment,
    read_ipv4,
    read_ipv6,
)
from ccp_assess.wire.link import (
    CUT,
    ENCRYPTED,
    IPV4,
    IPV6,
    NO_IP,
    UNSUPPORTED,
    be16,
    be32,
    by_version,
    is_followed,
    le16,
    le32,
    network_layer,
)
from ccp_assess.wire.saved import Saved, require, within

Bytes = npt.NDArray[np.uint8]
Table = npt.NDArray[np.void]
Numbers = npt.NDArray[np.int64]

LARGEST_RECORD = 262_144
"""More than any capturing program writes for one frame; a larger length is damage [bytes]."""

LARGEST_BLOCK = 134_348_832
"""Largest pcapng block that is believed: 128 MiB of data and its header [bytes]."""

LARGEST_LOOKED_AT = LARGEST_RECORD + 4_096
"""A pcapng block beyond this size is never looked into, whether or not it happens to lie in the buffer [bytes]."""

FRAME = np.dtype(
    [
        ("time_ns", np.int64),
        ("offset", np.int64),  # of the frame in the buffer
        ("file_offset", np.int64),  # of its record in the file
        ("captured", np.int32),
        ("interface", np.int32),
        ("length", np.int64),  # on the wire
    ],
    align=True,
)
"""One record of a capture file."""

INTERFACE = np.dtype(
    [
        ("offset_s", np.int64),  # added to every time (if_tsoffset)
        ("frames", np.int64),
        ("cut", np.int64),  # frames that the snaplen cut
        ("first_ns", np.int64),
        ("last_ns", np.int64),
        ("link_type", np.int32),
        ("snaplen", np.int32),
        ("capture", np.int32),
        ("exponent", np.int32),  # times count 10**-exponent s, or 2**-exponent s
        ("binary", np.bool_),
        ("tunnels", np.int32),  # frames of GTP seen inside
        ("joined", np.int32),  # Wi-Fi frames of several packets
    ],
    align=True,
)
"""One interface of one capture file."""

PACKET = np.dtype(
    [
        ("time_ns", np.int64),
        ("frame", np.int64),  # number of the frame
        ("src_high", np.int64),
        ("src_low", np.int64),
        ("dst_high", np.int64),
        ("dst_low", np.int64),
        ("payload", np.int64),  # where the transport payload begins, in the buffer or in the side buffer
        ("captured", np.int32),  # bytes of it that the capture holds
        ("length", np.int32),  # bytes of it on the wire
        ("bytes", np.int32),  # the IP packet [bytes]
        ("src_port", np.uint16),
        ("dst_port", np.uint16),
        ("tcp_seq", np.uint32),
        ("tcp_ack", np.uint32),
        ("tcp_window", np.uint16),
        ("tcp_flags", np.uint8),
        ("protocol", np.uint8),
        ("ttl", np.uint8),
        ("fragmented", np.bool_),
        ("aside", np.bool_),  # the payload lies in the side buffer
    ],
    align=True,
)
"""One packet with a transport header."""

REASONS = (
    "",
    "not IP",
    "frame cut inside its headers",
    "malformed header",
    "encrypted Wi-Fi frame",
    "unsupported link type",
    "fragments of a datagram that never was whole",
    "copy of a frame seen on another interface",
    "tunnel inside a tunnel, too deep",
    "unknown pcapng block",
    "pcapng block that cannot be read",
)
"""Why a frame (or block) is left out, by number."""

SKIP_NOT_IP, SKIP_CUT, SKIP_MALFORMED, SKIP_ENCRYPTED, SKIP_LINK = 1, 2, 3, 4, 5
SKIP_FRAGMENT, SKIP_COPY, SKIP_DEEP, SKIP_BLOCK, SKIP_BAD_BLOCK = 6, 7, 8, 9, 10

MORE, FULL, DAMAGED, HAND_OVER = 0, 1, 2, 3
"""How a walk ended: needs more bytes, rows are full, does not make sense, a block for Python to read."""

BAD_LENGTH, BAD_TRAILER, NO_INTERFACE, BAD_BLOCK = 1, 2, 3, 4
"""What did not make sense."""

COPY_WINDOW_NS = 1_000_000_000
COPY_SLOTS = 65_536
DEEPEST_TUNNEL = 3


@inlined
def count_skip(skips: Numbers, capture: int, reason: int, file_offset: int) -> None:
    """Count something left out; keep where the first was."""
    if skips[capture, reason, 0] == 0:
        skips[capture, reason, 1] = file_offset
    skips[capture, reason, 0] += 1


@inlined
def note_frame(face: np.void, time_ns: int, is_cut: bool) -> None:
    """Count a frame at its interface."""
    if face.frames == 0:
        face.first_ns = time_ns
        face.last_ns = time_ns
    face.first_ns = min(face.first_ns, time_ns)
    face.last_ns = max(face.last_ns, time_ns)
    face.frames += 1
    if is_cut:
        face.cut += 1


@kernel
def walk_pcap(
    buffer: Bytes, at: int, end: int, file_base: int, layout: Numbers, frames: Table, count: int, interfaces: Table
) -> tuple[int, int, int, int]:
    """Find the records of a classic capture.

    Parameters
    ----------
    buffer, at, end
        Bytes to read.
    file_base
        Offset in the file of ``buffer[0]``.
    layout
        Byte order reversed (0 or 1), header length, ns per unit of the fraction, interface, whether the two lengths are
        exchanged (0 never, 1 always, 2 where it makes sense).
    frames, count
        Rows to fill from ``count`` on.
    interfaces
        Counters of the interfaces.

    Returns
    -------
    count, at, status, detail
        Rows filled, where reading stopped and why; the length that did not make sense.
    """
    big = layout[0] != 0
    header = layout[1]
    unit_ns = layout[2]
    interface = layout[3]
    exchanged = layout[4]
    room = len(frames)
    face = interfaces[interface]
    offset_s = face.offset_s
    while at + header <= end:
        if count >= room:
            return count, at, FULL, 0
        if big:
            seconds = be32(buffer, at)
            fraction = be32(buffer, at + 4)
            captured = be32(buffer, at + 8)
            length = be32(buffer, at + 12)
        else:
            seconds = le32(buffer, at)
            fraction = le32(buffer, at + 4)
            captured = le32(buffer, at + 8)
            length = le32(buffer, at + 12)
        if exchanged == 1 or (exchanged == 2 and captured > length):
            captured, length = length, captured
        if captured > LARGEST_RECORD:
            return count, at, DAMAGED, captured
        if at + header + captured > end:
            return count, at, MORE, header + captured
        frame = frames[count]
        frame.time_ns = (seconds + offset_s) * 1_000_000_000 + fraction * unit_ns
        frame.offset = at + header
        frame.file_offset = file_base + at
        frame.captured = captured
        frame.interface = interface
        frame.length = max(length, captured)
        note_frame(face, frame.time_ns, length > captured)
        count += 1
        at += header + captured
    return count, at, MORE, header


@inlined
def time_of(ticks_high: int, ticks_low: int, face: np.void) -> int:
    """Convert a pcapng time stamp to nanoseconds."""
    ticks = (ticks_high << 32) | ticks_low
    exponent = face.exponent
    if face.binary:
        if exponent > 62:
            return face.offset_s * 1_000_000_000
        whole = ticks >> exponent
        part = ticks - (whole << exponent)
        shift = max(exponent - 32, 0)  # beyond 32 bits the product would not fit
        ns = ((part >> shift) * 1_000_000_000) >> (exponent - shift)
        return (whole + face.offset_s) * 1_000_000_000 + ns
    if exponent <= 9:
        scale = 1
        for _ in range(9 - exponent):
            scale *= 10
        return ticks * scale + face.offset_s * 1_000_000_000
    scale = 1
    for _ in range(min(exponent, 27) - 9):
        scale *= 10
    return ticks // scale + face.offset_s * 1_000_000_000


@kernel
def walk_pcapng(
    buffer: Bytes,
    at: int,
    end: int,
    file_base: int,
    layout: Numbers,
    frames: Table,
    count: int,
    interfaces: Table,
    numbers: npt.NDArray[np.int32],
    skips: Numbers,
) -> tuple[int, int, int, int]:
    """Find the packet blocks of a pcapng section.

    Parameters
    ----------
    buffer, at, end
        Bytes to read.
    file_base
        Offset in the file of ``buffer[0]``.
    layout
        Byte order reversed (0 or 1), number of interfaces of this section, capture.
    frames, count
        Rows to fill from ``count`` on.
    interfaces, numbers
        All interfaces; which of them the interfaces of this section are.
    skips
        What was left out, by capture and reason.

    Returns
    -------
    count, at, status, detail
        Rows filled, where reading stopped and why; for ``HAND_OVER`` ``at`` is a block for Python to read, for ``MORE``
        the detail is the length of the block that is not whole yet.
    """
    big = layout[0] != 0
    known = layout[1]
    capture = layout[2]
    room = len(frames)
    while at + 12 <= end:
        if count >= room:
            return count, at, FULL, 0
        kind = be32(buffer, at) if big else le32(buffer, at)
        total = be32(buffer, at + 4) if big else le32(buffer, at + 4)
        if kind == 0x0A0D0D0A:  # a new section: its byte order is its own
            return count, at, HAND_OVER, kind
        if total < 12 or total > LARGEST_BLOCK:
            return count, at, DAMAGED, BAD_LENGTH
        padded = (total + 3) // 4 * 4  # some writers forget to count the padding
        if at + padded > end or padded > LARGEST_LOOKED_AT:
            return count, at, MORE, padded
        trailer = be32(buffer, at + padded - 4) if big else le32(buffer, at + padded - 4)
        if trailer != total:
            return count, at, DAMAGED, BAD_TRAILER
        if kind in (1, 4, 5):
            return count, at, HAND_OVER, kind
        body = at + 8
        room_in_block = total - 12
        if kind in (2, 6):
            if room_in_block < 20:
                return count, at, DAMAGED, BAD_BLOCK
            if kind == 6:
                which = be32(buffer, body) if big else le32(buffer, body)
            else:
                which = be16(buffer, body) if big else le16(buffer, body)
            if which >= known:
                return count, at, DAMAGED, NO_INTERFACE
            captured = be32(buffer, body + 12) if big else le32(buffer, body + 12)
            length = be32(buffer, body + 16) if big else le32(buffer, body + 16)
            if captured > room_in_block - 20 or captured > LARGEST_RECORD:
                return count, at, DAMAGED, BAD_BLOCK
            face = interfaces[numbers[which]]
            high = be32(buffer, body + 4) if big else le32(buffer, body + 4)
            low = be32(buffer, body + 8) if big else le32(buffer, body + 8)
            time_ns = time_of(high, low, face)
            data = body + 20
        elif kind == 3:
            if room_in_block < 4:
                return count, at, DAMAGED, BAD_BLOCK
            if known < 1:
                return count, at, DAMAGED, NO_INTERFACE
            which = 0
            face = interfaces[numbers[0]]
            length = be32(buffer, body) if big else le32(buffer, body)
            captured = min(length, room_in_block - 4)
            if face.snaplen > 0:
                captured = min(captured, np.int64(face.snaplen))
            if captured > LARGEST_RECORD:
                return count, at, DAMAGED, BAD_BLOCK
            time_ns = 0  # a simple packet has no time
            data = body + 4
        else:
            count_skip(skips, capture, SKIP_BLOCK, file_base + at)
            at += padded
            continue
        frame = frames[count]
        frame.time_ns = time_ns
        frame.offset = data
        frame.file_offset = file_base + at
        frame.captured = captured
        frame.interface = numbers[which]
        frame.length = max(length, captured)
        note_frame(face, frame.time_ns, length > captured)
        count += 1
        at += padded
    return count, at, MORE, 12


@kernel
def gather(pool: Bytes, frames: Table, stop: int, buffer: Bytes) -> None:
    """Copy frames together into one buffer, in the order of their rows.

    Parameters
    ----------
    pool
        Where they lie.
    frames, stop
        Their rows; offsets are changed to those in ``buffer``.
    buffer
        Where they go.
    """
    to = 0
    for index in range(stop):
        frame = frames[index]
        at = frame.offset
        for k in range(frame.captured):
            buffer[to + k] = pool[at + k]
        frame.offset = to
        to += np.int64(frame.captured)


@helper
def is_copy(buffer: Bytes, header: Table, origin: int, time_ns: int, copies: Numbers) -> bool:
    """Tell whether this packet was seen on another interface within a second; remember it if not.

    Time to live and checksums may differ (a router, an offloading card); addresses, identification, length and the
    first bytes of the transport may not.
    """
    h = header[0]
    digest = mixed(h.src_low ^ mixed(h.dst_low ^ mixed(h.src_high ^ mixed(h.dst_high))))
    digest = mixed(digest ^ (h.identification << 32) ^ (h.length << 8) ^ np.int64(h.protocol))
    digest = mixed(digest ^ h.fragment_offset)
    checksum = -2
    if h.fragment_offset == 0:
        if h.protocol == UDP:
            checksum = 6
        elif h.protocol == TCP:
            checksum = 16
    n = min(h.captured, 40)
    word = np.int64(0)
    for k in range(n):
        if k not in (checksum, checksum + 1):
            word = (word << 8) | np.int64(buffer[h.payload + k])
        if k & 7 == 7:
            digest = mixed(digest ^ word)
            word = np.int64(0)
    digest = mixed(digest ^ word)
    slot = digest & (COPY_SLOTS - 1)
    if copies[slot, 0] == digest and abs(time_ns - copies[slot, 1]) <= COPY_WINDOW_NS:
        if copies[slot, 2] != origin:
            return True
        copies[slot, 1] = time_ns
        return False
    copies[slot, 0] = digest
    copies[slot, 1] = time_ns
    copies[slot, 2] = origin
    return False


@inlined
def plain_datagram(buffer: Bytes, at: int, end: int, packet: np.void) -> bool:
    """Read the headers of the most frequent frame by far into a row of `PACKET`: Ethernet, IPv4 and UDP, nothing else.

    ``False`` leaves the frame to the general way, which gives the same and takes twice as long.
    """
    ip = at + 14
    udp = ip + 20
    if udp + 8 > end or be16(buffer, at + 12) != IPV4 or buffer[ip] != 0x45 or buffer[ip + 9] != UDP:
        return False
    total = be16(buffer, ip + 2)
    src_port = be16(buffer, udp)
    dst_port = be16(buffer, udp + 2)
    if total < 28 or be16(buffer, ip + 6) & 0x3FFF != 0 or may_be_tunnel(src_port, dst_port):
        return False
    length = total - 20
    stated = be16(buffer, udp + 4)
    if stated >= 8:
        length = min(length, stated)
    packet.src_high = 0
    packet.src_low = V4_PREFIX | be32(buffer, ip + 12)
    packet.dst_high = 0
    packet.dst_low = V4_PREFIX | be32(buffer, ip + 16)
    packet.src_port = src_port
    packet.dst_port = dst_port
    packet.tcp_seq = 0
    packet.tcp_ack = 0
    packet.tcp_window = 0
    packet.tcp_flags = 0
    packet.protocol = UDP
    packet.ttl = buffer[ip + 8]
    packet.bytes = total
    packet.payload = udp + 8
    packet.length = length - 8
    packet.captured = min(min(end, ip + total) - udp, length) - 8
    packet.fragmented = False
    packet.aside = False
    return True


@kernel
def decode(
    buffer: Bytes,
    frames: Table,
    start: int,
    stop: int,
    first_number: int,
    interfaces: Table,
    watch_copies: bool,
    copies: Numbers,
    header: Table,
    slots: Table,
    bitmaps: npt.NDArray[np.uint64],
    store: Bytes,
    given_up: Numbers,
    skips: Numbers,
    packets: Table,
    made: int,
    side: Bytes,
    side_used: int,
) -> tuple[int, int, int]:
    """Follow frames to their transport headers.

    Parameters
    ----------
    buffer
        Holds the bytes of all frames.
    frames, start, stop
        Rows of `FRAME` to decode.
    first_number
        Number of the first row in the whole capture.
    interfaces
        Rows of `INTERFACE`.
    watch_copies, copies
        Whether one frame may be seen on several interfaces, and what was seen of late.
    header, slots, bitmaps, store, given_up
        State of IP: the current header, datagrams in pieces.
    skips
        Counts of what was left out: capture, reason, (count, first offset).
    packets, made
        Rows of `PACKET` to fill; how many are.
    side, side_used
        Room for datagrams put together from fragments; how much of it is taken.

    Returns
    -------
    next_frame, packets, side_bytes
        First frame that was not decoded (``stop`` unless the side buffer is full), rows filled, bytes taken of it.
    """
    h = header[0]
    for index in range(start, stop):
        frame = frames[index]
        at = frame.offset
        end = at + frame.captured
        wire_end = at + frame.length
        face = interfaces[frame.interface]
        capture = face.capture
        link_type = face.link_type
        if link_type == 1 and not watch_copies and plain_datagram(buffer, at, end, packets[made]):
            packets[made].time_ns = frame.time_ns
            packets[made].frame = first_number + index
            made += 1
            continue
        at, kind = network_layer(buffer, at, end, link_type)
        if link_type in (105, 127) and is_followed(buffer, at, end, wire_end, kind):
            face.joined += 1
        depth = 0
        whole = -1
        reason = 0
        while True:
            if kind == IPV4:
                fault = read_ipv4(buffer, at, end, wire_end, header)
            elif kind == IPV6:
                fault = read_ipv6(buffer, at, end, wire_end, header)
            else:
                if kind >= 0 or kind == NO_IP:
                    reason = SKIP_NOT_IP
                elif kind == CUT:
                    reason = SKIP_CUT
                elif kind == ENCRYPTED:
                    reason = SKIP_ENCRYPTED
                elif kind == UNSUPPORTED:
                    reason = SKIP_LINK
                else:
                    reason = SKIP_MALFORMED
                break
            if fault < 0:
                reason = SKIP_CUT if fault == CUT else SKIP_MALFORMED
                break
            if h.is_fragment:
                if side_used + FRAGMENT_BYTES > len(side):
                    return index, made, side_used
                if watch_copies and is_copy(buffer, header, origin_of(buffer, frame, link_type), frame.time_ns, copies):
                    reason = SKIP_COPY
                    break
                whole = put_fragment(
                    buffer, header, frame.time_ns, frame.file_offset, capture, slots, bitmaps, store, given_up
                )
                if whole < 0:
                    reason = -1  # nothing is lost: the rest is to come
                break
            protocol = h.protocol
            if protocol in (IPIP, IPV6_IN_IP):
                at, kind = by_version(buffer, h.payload, h.payload + h.captured)
            elif protocol == GRE:
                at, kind = into_gre(buffer, h.payload, h.payload + h.captured)
                if kind == NO_IP:  # keep-alives and other protocols: the outer packet is what there is
                    break
            elif protocol == UDP:
                at, kind = into_udp_tunnel(buffer, h.payload, h.payload + h.captured)
                if kind == NOT_A_TUNNEL:
                    break
                if is_gtp(buffer, h.payload, h.payload + h.captured):
                    face.tunnels += 1
            else:
                break
            depth += 1
            if depth > DEEPEST_TUNNEL:
                reason = SKIP_DEEP
                break
        if reason != 0:
            if reason > 0:
                count_skip(skips, capture, reason, frame.file_offset)
            continue
        if (
            whole < 0
            and watch_copies
            and is_copy(buffer, header, origin_of(buffer, frame, link_type), frame.time_ns, copies)
        ):
            count_skip(skips, capture, SKIP_COPY, frame.file_offset)
            continue
        packet = packets[made]
        packet.time_ns = frame.time_ns
        packet.frame = first_number + index
        packet.src_high = h.src_high
        packet.src_low = h.src_low
        packet.dst_high = h.dst_high
        packet.dst_low = h.dst_low
        packet.protocol = h.protocol
        packet.ttl = h.ttl
        if whole >= 0:
            s = slots[whole]
            known = min(s.total, s.known)
            for k in range(known):
                side[side_used + k] = store[whole, k]
            fault = transport(side, side_used, side_used + known, s.total, h.protocol, packet)
            packet.bytes = s.bytes
            packet.fragmented = True
            packet.aside = True
            side_used += known
        else:
            fault = transport(buffer, h.payload, h.payload + h.captured, h.length, h.protocol, packet)
            packet.bytes = h.bytes
            packet.fragmented = False
            packet.aside = False
        if fault < 0:
            count_skip(skips, capture, SKIP_CUT if fault == CUT else SKIP_MALFORMED, frame.file_offset)
            continue
        made += 1
    return stop, made, side_used


@helper
def origin_of(buffer: Bytes, frame: np.void, link_type: int) -> int:
    """Name the interface a frame was seen on; a cooked capture of `any` tells it, or at least the direction."""
    origin = np.int64(frame.interface) << 40
    at = frame.offset
    if link_type == 113 and frame.captured >= 16:
        return origin | be16(buffer, at)
    if link_type == 276 and frame.captured >= 20:
        return origin | (be32(buffer, at + 4) << 8) | np.int64(buffer[at + 10])
    return origin


@inlined
def transport(buffer: Bytes, at: int, end: int, length: int, protocol: int, packet: np.void) -> int:
    """Read the transport header into a row of `PACKET`; return 0 or a negative reason."""
    packet.src_port = 0
    packet.dst_port = 0
    packet.tcp_seq = 0
    packet.tcp_ack = 0
    packet.tcp_window = 0
    packet.tcp_flags = 0
    header = 0
    if protocol == UDP:
        if at + 8 > end:
            return CUT
        header = 8
        stated = be16(buffer, at + 4)
        if stated >= 8:  # 0 is a jumbogram or offloading; less is wrong: IP's length counts
            length = min(length, stated)
        packet.src_port = be16(buffer, at)
        packet.dst_port = be16(buffer, at + 2)
    elif protocol == TCP:
        if at + 14 > end:
            return CUT
        header = (np.int64(buffer[at + 12]) >> 4) * 4
        if header < 20:
            return -3
        packet.src_port = be16(buffer, at)
        packet.dst_port = be16(buffer, at + 2)
        packet.tcp_seq = be32(buffer, at + 4)
        packet.tcp_ack = be32(buffer, at + 8)
        packet.tcp_flags = buffer[at + 13]
        if at + 16 <= end:
            packet.tcp_window = be16(buffer, at + 14)
    elif protocol in (ICMP, ICMPV6) and at >= end:
        return CUT
    if length < header:
        return -3
    packet.payload = at + header
    packet.length = min(length - header, 0x7FFFFFFF)
    packet.captured = max(min(end - at - header, length - header), 0)
    return 0


class DecoderState:
    """What the decoder remembers between blocks; of bounded size."""

    def __init__(self) -> None:
        self.copies: Numbers = np.zeros((COPY_SLOTS, 3), np.int64)
        self.header: Table = np.zeros(1, HEADER)
        self.slots: Table = np.zeros(FRAGMENT_SLOTS, FRAGMENTED)
        self.bitmaps: npt.NDArray[np.uint64] = np.empty((FRAGMENT_SLOTS, FRAGMENT_BYTES // 8 // 64 + 1), np.uint64)
        self.store: Bytes = np.empty((FRAGMENT_SLOTS, FRAGMENT_BYTES), np.uint8)
        self.given_up: Numbers = np.zeros(4096, np.int64)

    def unfinished(self) -> list[tuple[int, int]]:
        """Return (capture, file offset) of every datagram whose fragments never were whole."""
        count = int(self.given_up[0])
        listed = min(count, (len(self.given_up) - 1) // 2)
        found = [(int(self.given_up[1 + 2 * n]), int(self.given_up[2 + 2 * n])) for n in range(listed)]
        found += found[-1:] * (count - listed)
        return found + [(int(s["capture"]), int(s["file_offset"])) for s in self.slots if s["used"]]

    def saved(self) -> dict[str, Any]:
        """Return what must be handed on where another process goes on with the next frame."""
        used = np.flatnonzero(self.slots["used"])
        bitmaps = self.bitmaps[used]
        came = np.unpackbits(bitmaps.view(np.uint8), axis=1, bitorder="little")[:, : FRAGMENT_BYTES // 8]
        return {
            "copies": self.copies,
            "slots": self.slots,
            "bitmaps": bitmaps,
            "store": self.store[used] * np.repeat(came, 8, axis=1),
            "given_up": self.given_up,
        }

    def take_up(self, saved: Saved, captures: int) -> None:
        """Go on from what was handed on.

        Parameters
        ----------
        saved
            Of `saved`.
        captures
            How many files there are.
        """
        copies = saved.table("copies", np.int64, self.copies.size)
        require(copies.size == self.copies.size, "copies")
        self.copies = copies.reshape(COPY_SLOTS, 3)
        self.slots = saved.table("slots", FRAGMENTED, FRAGMENT_SLOTS)
        require(len(self.slots) == FRAGMENT_SLOTS, "slots")
        used = np.flatnonzero(self.slots["used"])
        slots = self.slots[used]
        within(slots["capture"], 0, captures, "slots")
        within(slots["total"], -1, FRAGMENT_BYTES + 1, "slots")
        within(slots["known"], 0, FRAGMENT_BYTES + 1, "slots")
        for name in ("bitmaps", "store"):
            whole = getattr(self, name)
            rows = saved.table(name, whole.dtype, whole.size)
            require(rows.size == len(used) * whole.shape[1], name)
            whole[used] = rows.reshape(len(used), whole.shape[1])
        self.given_up = saved.numbers("given_up", len(self.given_up))
        listed = min(int(self.given_up[0]), (len(self.given_up) - 1) // 2)
        within(self.given_up[1 : 1 + 2 * listed : 2], 0, captures, "given_up")
