"""IPv4 and IPv6 headers, fragments, and tunnels that carry IP or Ethernet."""

# ruff: noqa: PLR0917  (compiled loops take plain positional arguments)

# mypy: disable-error-code="attr-defined,return-value,assignment,arg-type,operator,no-any-return"
# (numpy gives the fields of rows no types; the compiler checks them)

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ccp_assess.wire.compiled import helper, inlined
from ccp_assess.wire.link import (
    CUT,
    IPV4,
    IPV6,
    MALFORMED,
    TRANSPARENT_ETHERNET,
    after_ethernet,
    after_ethertype,
    after_ppp,
    be16,
    be32,
    be64,
)

Bytes = npt.NDArray[np.uint8]

ICMP = 1
IPIP = 4
TCP = 6
UDP = 17
IPV6_IN_IP = 41
GRE = 47
ICMPV6 = 58
NOT_A_TUNNEL = -9
V4_PREFIX = 0xFFFF << 32
"""IPv4 addresses are kept as IPv4-mapped IPv6 ones: one key for both families."""

FRAGMENT_SLOTS = 64
FRAGMENT_BYTES = 65_536
FRAGMENT_TIMEOUT_NS = 30_000_000_000

HEADER = np.dtype(
    [
        ("src_high", np.int64),
        ("src_low", np.int64),
        ("dst_high", np.int64),
        ("dst_low", np.int64),
        ("payload", np.int64),  # where the transport header begins
        ("captured", np.int64),  # bytes of it that the capture holds
        ("length", np.int64),  # bytes of it on the wire
        ("identification", np.int64),
        ("fragment_offset", np.int64),
        ("bytes", np.int64),  # the IP packet [bytes]
        ("protocol", np.uint8),
        ("ttl", np.uint8),
        ("more_fragments", np.bool_),
        ("is_fragment", np.bool_),
    ],
    align=True,
)
"""One parsed IP header; a single row is reused for every packet."""

FRAGMENTED = np.dtype(
    [
        ("src_high", np.int64),
        ("src_low", np.int64),
        ("dst_high", np.int64),
        ("dst_low", np.int64),
        ("identification", np.int64),
        ("time_ns", np.int64),  # of its first fragment
        ("file_offset", np.int64),  # of its first fragment
        ("capture", np.int64),
        ("total", np.int64),  # bytes of the whole, -1 until the last fragment came
        ("units", np.int64),  # 8-byte units that have come
        ("known", np.int64),  # bytes from the start that no snaplen has cut
        ("bytes", np.int64),
        ("fragments", np.int64),
        ("protocol", np.uint8),
        ("used", np.bool_),
    ],
    align=True,
)
"""One datagram that is being put together."""


@inlined
def read_ipv4(buffer: Bytes, at: int, end: int, wire_end: int, header: npt.NDArray[np.void]) -> int:
    """Read an IPv4 header into ``header[0]``; return 0 or a negative reason."""
    if at + 20 > end:
        return CUT
    first = np.int64(buffer[at])
    header_bytes = (first & 15) * 4
    if first >> 4 != 4 or header_bytes < 20:
        return MALFORMED
    total = be16(buffer, at + 2)
    if total == 0:  # left to the network card (segmentation offload): what was captured is all there is
        total = wire_end - at
    if total < header_bytes:
        return MALFORMED
    h = header[0]
    fragment = be16(buffer, at + 6)
    h.src_high = 0
    h.dst_high = 0
    h.src_low = V4_PREFIX | be32(buffer, at + 12)
    h.dst_low = V4_PREFIX | be32(buffer, at + 16)
    h.protocol = buffer[at + 9]
    h.ttl = buffer[at + 8]
    h.identification = be16(buffer, at + 4)
    h.fragment_offset = (fragment & 0x1FFF) * 8
    h.more_fragments = fragment & 0x2000 != 0
    h.is_fragment = fragment & 0x3FFF != 0
    h.bytes = total
    h.payload = at + header_bytes
    h.length = total - header_bytes
    h.captured = max(min(end, at + total) - h.payload, 0)
    return 0


@helper
def read_ipv6(buffer: Bytes, at: int, end: int, wire_end: int, header: npt.NDArray[np.void]) -> int:
    """Read an IPv6 header and its extensions into ``header[0]``; return 0 or a negative reason."""
    if at + 40 > end:
        return CUT
    if buffer[at] >> 4 != 6:
        return MALFORMED
    total = be16(buffer, at + 4)
    total = 40 + total if total else wire_end - at
    h = header[0]
    h.src_high = be64(buffer, at + 8)
    h.src_low = be64(buffer, at + 16)
    h.dst_high = be64(buffer, at + 24)
    h.dst_low = be64(buffer, at + 32)
    h.ttl = buffer[at + 7]
    h.identification = 0
    h.fragment_offset = 0
    h.more_fragments = False
    h.is_fragment = False
    h.bytes = total
    stop = min(end, at + total)
    kind = np.int64(buffer[at + 6])
    here = at + 40
    for _ in range(16):  # a longer chain is an attack
        if kind in (0, 43, 60, 135, 139, 140):
            if here + 8 > stop:
                return CUT
            kind, step = np.int64(buffer[here]), (np.int64(buffer[here + 1]) + 1) * 8
        elif kind == 51:
            if here + 8 > stop:
                return CUT
            kind, step = np.int64(buffer[here]), (np.int64(buffer[here + 1]) + 2) * 4
        elif kind == 44 and not h.is_fragment:
            if here + 8 > stop:
                return CUT
            fragment = be16(buffer, here + 2)
            h.fragment_offset = fragment & 0xFFF8
            h.more_fragments = fragment & 1 != 0
            h.is_fragment = fragment & 0xFFF9 != 0  # an atomic fragment (RFC 6946) is whole
            h.identification = be32(buffer, here + 4)
            kind, step = np.int64(buffer[here]), 8
            if h.is_fragment:  # what follows is a piece; the chain goes on inside the whole
                here += 8
                break
        else:
            break
        here += step
    if here > at + total:
        return MALFORMED
    h.protocol = kind
    h.payload = here
    h.length = at + total - here
    h.captured = max(stop - here, 0)
    return 0


@helper
def into_gre(buffer: Bytes, at: int, end: int) -> tuple[int, int]:
    """Read a GRE header (RFC 2784, 2890, 2637) and ERSPAN; return where its content begins and what it is."""
    if at + 4 > end:
        return at, CUT
    flags = be16(buffer, at)
    protocol = be16(buffer, at + 2)
    version = flags & 7
    has_sequence = flags & 0x1000 != 0
    here = at + 4
    if flags & 0xC000:
        here += 4
    if flags & 0x2000:
        here += 4
    if has_sequence:
        here += 4
    if version == 1:
        if flags & 0x80:
            here += 4
        return after_ppp(buffer, here, end)
    if version != 0:
        return at, MALFORMED
    if protocol == TRANSPARENT_ETHERNET:
        return after_ethernet(buffer, here, end)
    if protocol == 0x88BE:  # ERSPAN I has no header of its own, II has 8 bytes
        return after_ethernet(buffer, here + 8 if has_sequence else here, end)
    if protocol == 0x22EB:  # ERSPAN III: 12 bytes and a sub-header where the last bit says so
        if here + 12 > end:
            return at, CUT
        return after_ethernet(buffer, here + 20 if buffer[here + 11] & 1 else here + 12, end)
    return after_ethertype(buffer, here, end, protocol)


@inlined
def may_be_tunnel(src_port: int, dst_port: int) -> bool:
    """Tell whether `into_udp_tunnel` has to look, by the ports."""
    return dst_port in (4789, 8472, 6081, 2152) or src_port == 2152


@inlined
def into_udp_tunnel(buffer: Bytes, at: int, end: int) -> tuple[int, int]:
    """Look through VXLAN, GENEVE and GTP-U, each told by port and content; ``NOT_A_TUNNEL`` if it is none."""
    if at + 20 > end:
        return at, NOT_A_TUNNEL
    port = be16(buffer, at + 2)
    here = at + 8
    if port in (4789, 8472):
        has_group = buffer[here] == 0x88  # a policy group, as Cisco's fabrics set it, in what else is reserved
        if (has_group or be32(buffer, here) == 0x08000000) and buffer[here + 7] == 0:
            return after_ethernet(buffer, here + 8, end)
    elif port == 6081:
        protocol = be16(buffer, here + 2)
        inner = here + 8 + (np.int64(buffer[here]) & 0x3F) * 4
        if buffer[here] >> 6 == 0 and buffer[here + 1] & 0x3F == 0 and buffer[here + 7] == 0:
            if protocol == TRANSPARENT_ETHERNET:
                return after_ethernet(buffer, inner, end)
            if protocol in (IPV4, IPV6):
                return inner, protocol
    elif port == 2152 or be16(buffer, at) == 2152:
        flags = np.int64(buffer[here])
        if flags >> 5 == 1 and flags & 0x10 and buffer[here + 1] == 0xFF:  # GTPv1, a G-PDU
            inner = here + 8
            if flags & 7:
                extension = np.int64(buffer[here + 11]) if flags & 4 else 0
                inner += 4
                for _ in range(8):
                    if extension == 0 or inner + 4 > end:
                        break
                    step = np.int64(buffer[inner]) * 4
                    if step == 0 or inner + step > end:
                        return at, NOT_A_TUNNEL
                    extension = np.int64(buffer[inner + step - 1])
                    inner += step
            if inner < end and buffer[inner] >> 4 == 4:
                return inner, IPV4
            if inner < end and buffer[inner] >> 4 == 6:
                return inner, IPV6
    return at, NOT_A_TUNNEL


@inlined
def is_gtp(buffer: Bytes, at: int, end: int) -> bool:
    """Tell whether a UDP header is that of GTP-U."""
    return at + 4 <= end and (be16(buffer, at + 2) == 2152 or be16(buffer, at) == 2152)


@helper
def reaches_beyond(bitmaps: npt.NDArray[np.uint64], slot: int, stop: int) -> bool:
    """Tell whether a piece came that reaches behind the end which the last fragment states."""
    unit = stop // 8
    word = unit >> 6
    if bitmaps[slot, word] >> np.uint64(unit & 63) != np.uint64(0):
        return True
    for k in range(word + 1, FRAGMENT_BYTES // 8 // 64 + 1):  # noqa: SIM110  (compiled: no generators)
        if bitmaps[slot, k] != np.uint64(0):
            return True
    return False


@helper
def put_fragment(
    buffer: Bytes,
    header: npt.NDArray[np.void],
    time_ns: int,
    file_offset: int,
    capture: int,
    slots: npt.NDArray[np.void],
    bitmaps: npt.NDArray[np.uint64],
    store: npt.NDArray[np.uint8],
    given_up: npt.NDArray[np.int64],
) -> int:
    """Add a fragment; return its slot if the datagram is whole now, else -1.

    A slot that has to make room leaves its capture and offset in ``given_up`` (row count, then pairs).
    """
    h = header[0]
    found = -1
    free = -1
    oldest = 0
    for index in range(FRAGMENT_SLOTS):
        s = slots[index]
        if not s.used:
            if free < 0:
                free = index
            continue
        if (
            s.identification == h.identification
            and s.src_low == h.src_low
            and s.dst_low == h.dst_low
            and s.src_high == h.src_high
            and s.dst_high == h.dst_high
            and s.protocol == h.protocol
            and abs(time_ns - s.time_ns) < FRAGMENT_TIMEOUT_NS
        ):
            found = index
            break
        if s.time_ns < slots[oldest].time_ns or not slots[oldest].used:
            oldest = index
    if found < 0:
        if free < 0:
            free = oldest
            give_up(slots, free, given_up)
        found = free
        s = slots[found]
        s.src_high = h.src_high
        s.src_low = h.src_low
        s.dst_high = h.dst_high
        s.dst_low = h.dst_low
        s.identification = h.identification
        s.protocol = h.protocol
        s.time_ns = time_ns
        s.file_offset = file_offset
        s.capture = capture
        s.total = -1
        s.units = 0
        s.known = FRAGMENT_BYTES
        s.bytes = 0
        s.fragments = 0
        s.used = True
        bitmaps[found, :] = np.uint64(0)
    s = slots[found]
    start = h.fragment_offset
    stop = start + h.length
    if (
        stop > FRAGMENT_BYTES
        or (h.more_fragments and h.length % 8)
        or (s.total >= 0 and (stop > s.total or (not h.more_fragments and stop < s.total)))
        or (s.total < 0 and not h.more_fragments and reaches_beyond(bitmaps, found, stop))
    ):
        give_up(slots, found, given_up)  # pieces that cannot belong together: a "ping of death"
        s.used = False
        return -1
    if not h.more_fragments:
        s.total = stop
    captured = min(h.captured, h.length)
    for k in range(captured):
        store[found, start + k] = buffer[h.payload + k]
    if captured < h.length:
        s.known = min(s.known, start + captured)
    s.bytes += h.bytes
    s.fragments += 1
    for unit in range(start // 8, (stop + 7) // 8):
        bit = np.uint64(1) << np.uint64(unit & 63)
        if bitmaps[found, unit >> 6] & bit == np.uint64(0):
            bitmaps[found, unit >> 6] |= bit
            s.units += 1
    if s.total >= 0 and s.units == (s.total + 7) // 8:
        s.used = False
        return found
    return -1


@helper
def give_up(slots: npt.NDArray[np.void], index: int, given_up: npt.NDArray[np.int64]) -> None:
    """Note that a datagram will never be whole."""
    n = given_up[0]
    if 3 + 2 * n < len(given_up):
        given_up[1 + 2 * n] = slots[index].capture
        given_up[2 + 2 * n] = slots[index].file_offset
    given_up[0] = n + 1
