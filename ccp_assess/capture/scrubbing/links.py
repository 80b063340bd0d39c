"""Link layers: headers are copied with their hardware addresses mapped, up to the IP header or the reason for none.

Each function copies what it reads from ``data`` to ``out``, whose other bytes stay zero, and returns where it got to
and what follows there: an Ethernet type or a negative reason. The order of the questions is that of
``ccp_assess.wire.link``.
"""

from __future__ import annotations

from ccp_assess.capture.scrubbing.mapping import Mapping
from ccp_assess.wire.link import CUT, ENCRYPTED, IPV4, IPV6, MALFORMED, NO_IP, UNSUPPORTED

Place = tuple[int, int]
"""Where reading goes on, and what is there."""

_TAGS = frozenset({0x8100, 0x88A8, 0x9100, 0x9200, 0x9300})
_MPLS = frozenset({0x8847, 0x8848})
_PPPOE_SESSION = 0x8864
_CISCO_METADATA, _SERVICE_TAG = 0x8909, 0x88E7
_MOST_TAGS = 12


def copy_link(data: bytes, out: bytearray, link_type: int, mapping: Mapping) -> Place:
    """Copy a link header.

    Parameters
    ----------
    data
        A frame as captured.
    out
        As many bytes, zero.
    link_type
        Number in the capture's header.
    mapping
        Of the client's key.

    Returns
    -------
    at, kind
        Where the IP header begins and ``IPV4`` or ``IPV6``, or a negative reason.
    """
    end = len(data)
    if link_type in {192, 258}:
        return _copy_inner(data, out, end, link_type, mapping)
    if link_type == 1:
        return copy_ethernet(data, out, 0, end, mapping)
    if link_type in {113, 276}:
        return _copy_cooked(data, out, end, link_type, mapping)
    if link_type in {12, 14, 101}:
        return by_version(data, out, 0, end)
    if link_type == 228:
        return 0, IPV4
    if link_type == 229:
        return 0, IPV6
    if link_type in {0, 108}:
        return _copy_family(data, out, end)
    if link_type == 105:
        return _copy_wifi(data, out, 0, end, mapping, is_padded=False)
    if link_type == 127:
        return _copy_radiotap(data, out, end, mapping)
    if link_type in {9, 50, 104, 166, 204}:
        return _copy_serial(data, out, end, link_type, mapping)
    if link_type == 51:
        if end < 6:
            return 0, CUT
        out[:6] = data[:6]
        return copy_ppp(data, out, 6, end)
    if link_type == 10:
        if end < 13:
            return 0, CUT
        out[0] = data[0]
        out[1:13] = mapping.mac(data[1:7]) + mapping.mac(data[7:13])
        return _copy_llc(data, out, 13, end)
    return 0, UNSUPPORTED


def _copy_inner(data: bytes, out: bytearray, end: int, link_type: int, mapping: Mapping) -> Place:
    """Copy of PPI and PKTAP how long they are and what they carry; names of interfaces and programs stay zeros."""
    if end < 12:
        return 0, CUT
    kept = 8 if link_type == 192 else 12
    out[:kept] = data[:kept]
    size = int.from_bytes(data[2:4] if link_type == 192 else data[:4], "little")
    inner = int.from_bytes(data[kept - 4 : kept], "little")
    if size < 8 or inner in {192, 258}:
        return 0, MALFORMED
    size = min(size, end)
    copied = bytearray(end - size)
    at, kind = copy_link(data[size:], copied, inner, mapping)
    out[max(size, kept) :] = copied[max(kept - size, 0) :]
    return size + at, kind


def origin_of(data: bytes, link_type: int, interface: int) -> int:
    """Name the interface a frame was seen on, as the reader does to leave out copies.

    Parameters
    ----------
    data
        A frame as captured.
    link_type, interface
        Numbers of the capture.

    Returns
    -------
    origin
        A cooked capture of ``any`` tells the true interface, or at least the direction.
    """
    origin = interface << 40
    if link_type == 113 and len(data) >= 16:
        return origin | int.from_bytes(data[:2], "big")
    if link_type == 276 and len(data) >= 20:
        return origin | int.from_bytes(data[4:8], "big") << 8 | data[10]
    return origin


def by_version(data: bytes, out: bytearray, at: int, end: int) -> Place:
    """Tell IPv4 from IPv6 by the first four bits, and keep that byte.

    Parameters
    ----------
    data, out, at, end
        The header lies in ``data[at:end]``.

    Returns
    -------
    at, kind
        The same place; the kind or a negative reason.
    """
    if at >= end:
        return at, CUT
    out[at] = data[at]
    return at, {4: IPV4, 6: IPV6}.get(data[at] >> 4, NO_IP)


def copy_ethernet(data: bytes, out: bytearray, at: int, end: int, mapping: Mapping) -> Place:
    """Copy an Ethernet header and what follows it.

    Parameters
    ----------
    data, out, at, end
        The header lies in ``data[at:end]``.
    mapping
        Of the client's key.

    Returns
    -------
    at, kind
        Where reading goes on, and what is there.
    """
    if at + 14 > end:
        return at, CUT
    out[at : at + 14] = mapping.mac(data[at : at + 6]) + mapping.mac(data[at + 6 : at + 12]) + data[at + 12 : at + 14]
    return copy_ethertype(data, out, at + 14, end, int.from_bytes(data[at + 12 : at + 14], "big"), mapping)


def copy_ethertype(  # noqa: PLR0917  (as its neighbours)
    data: bytes, out: bytearray, at: int, end: int, kind: int, mapping: Mapping
) -> Place:
    """Copy tags (802.1Q, QinQ, 802.1ah, Cisco's), MPLS labels, PPPoE and LLC until an IP header.

    Parameters
    ----------
    data, out, at, end
        The rest of the frame lies in ``data[at:end]``.
    kind
        Ethernet type.
    mapping
        Of the client's key.

    Returns
    -------
    at, kind
        Where reading goes on, and what is there.
    """
    for _ in range(_MOST_TAGS):
        if kind in {IPV4, IPV6} or kind < 0:
            return at, kind
        if kind in _TAGS:
            if at + 4 > end:
                return at, CUT
            out[at : at + 4] = data[at : at + 4]
            kind = int.from_bytes(data[at + 2 : at + 4], "big")
            at += 4
        elif kind == _CISCO_METADATA:  # which group somebody is in stays zeros
            if at + 8 > end:
                return at, CUT
            out[at : at + 4] = data[at : at + 4]
            out[at + 6 : at + 8] = data[at + 6 : at + 8]
            kind = int.from_bytes(data[at + 6 : at + 8], "big")
            at += 8
        elif kind == _SERVICE_TAG:
            if at + 18 > end:
                return at, CUT
            out[at : at + 4] = data[at : at + 4]
            out[at + 4 : at + 16] = mapping.mac(data[at + 4 : at + 10]) + mapping.mac(data[at + 10 : at + 16])
            out[at + 16 : at + 18] = data[at + 16 : at + 18]
            kind = int.from_bytes(data[at + 16 : at + 18], "big")
            at += 18
        elif kind in _MPLS:
            at, kind = _copy_mpls(data, out, at, end, mapping)
        elif kind == _PPPOE_SESSION:
            if at + 6 > end:
                return at, CUT
            out[at : at + 6] = data[at : at + 6]
            return copy_ppp(data, out, at + 6, end)
        elif kind < 0x600:  # a length: IEEE 802.3
            return _copy_llc(data, out, at, end)
        else:
            return at, NO_IP
    return at, MALFORMED


def _copy_mpls(data: bytes, out: bytearray, at: int, end: int, mapping: Mapping) -> Place:
    bottom = False
    while not bottom:
        if at + 4 > end:
            return at, CUT
        out[at : at + 4] = data[at : at + 4]
        bottom = data[at + 2] & 1 == 1
        at += 4
    at, kind = by_version(data, out, at, end)
    if kind == NO_IP and data[at] >> 4 == 0 and at + 18 <= end:  # a pseudo-wire: control word, Ethernet
        out[at : at + 4] = data[at : at + 4]
        out[at + 4 : at + 16] = mapping.mac(data[at + 4 : at + 10]) + mapping.mac(data[at + 10 : at + 16])
        out[at + 16 : at + 18] = data[at + 16 : at + 18]
        kind = int.from_bytes(data[at + 16 : at + 18], "big")
        at += 18
    return at, kind


def _copy_llc(data: bytes, out: bytearray, at: int, end: int) -> Place:
    out[at : min(at + 3, end)] = data[at : min(at + 3, end)]
    if at + 8 > end:
        return at, CUT if at + 3 > end or data[at : at + 2] == b"\xaa\xaa" else NO_IP
    if data[at : at + 3] != b"\xaa\xaa\x03":
        return at, NO_IP
    out[at : at + 8] = data[at : at + 8]
    return at + 8, int.from_bytes(data[at + 6 : at + 8], "big")


def copy_ppp(data: bytes, out: bytearray, at: int, end: int) -> Place:
    """Copy a PPP protocol number (RFC 1661).

    Parameters
    ----------
    data, out, at, end
        The header lies in ``data[at:end]``.

    Returns
    -------
    at, kind
        Where reading goes on, and what is there.
    """
    start = at
    if data[at : min(at + 2, end)] == b"\xff\x03":
        at += 2
    if at >= end:
        out[start:end] = data[start:end]
        return at, CUT
    width = 1 if data[at] & 1 else 2
    stop = min(at + width, end)
    out[start:stop] = data[start:stop]
    if stop < at + width:
        return at, CUT
    return stop, {0x21: IPV4, 0x57: IPV6}.get(int.from_bytes(data[at:stop], "big"), NO_IP)


def _copy_cooked(data: bytes, out: bytearray, end: int, link_type: int, mapping: Mapping) -> Place:
    """Copy the header of a Linux cooked capture: an address of up to 8 bytes stands in it."""
    size, kind_at, length_at, address_at = (16, 14, 4, 6) if link_type == 113 else (20, 0, 11, 12)
    if end < size:
        out[: min(end, address_at)] = data[: min(end, address_at)]
        return 0, CUT
    out[:size] = data[:size]
    length = data[length_at + 1] if link_type == 113 else data[length_at]
    address = data[address_at : address_at + 8]
    out[address_at : address_at + 8] = mapping.mac(address[:6]) + bytes(2) if length == 6 else bytes(8)
    return copy_ethertype(data, out, size, end, int.from_bytes(data[kind_at : kind_at + 2], "big"), mapping)


def _copy_family(data: bytes, out: bytearray, end: int) -> Place:
    if end < 4:
        return 0, CUT
    out[:4] = data[:4]
    family = int.from_bytes(data[:4], "big")
    if family > 0xFFFF:
        family = int.from_bytes(data[:4], "little")
    if family == 2:
        return 4, IPV4
    return (4, IPV6) if family in {10, 23, 24, 26, 28, 30} else (0, NO_IP)


def _copy_wifi(data: bytes, out: bytearray, at: int, end: int, mapping: Mapping, *, is_padded: bool) -> Place:
    """Copy the header of an IEEE 802.11 data frame; of management frames only what says that they are such."""
    start = at
    out[at : min(at + 2, end)] = data[at : min(at + 2, end)]
    if at + 24 > end:
        return at, CUT if at >= end or data[at] >> 2 & 3 == 2 else NO_IP
    control, flags = data[at], data[at + 1]
    for place in (4, 10, 16):
        out[at + place : at + place + 6] = mapping.mac(data[at + place : at + place + 6])
    out[at + 22 : at + 24] = data[at + 22 : at + 24]
    if control >> 2 & 3 != 2 or control & 0x40:
        return at, NO_IP
    if flags & 0x40:
        return at, ENCRYPTED
    at += 24
    if flags & 3 == 3:
        out[at : min(at + 6, end)] = mapping.mac(data[at : at + 6].ljust(6, b"\0"))[: max(end - at, 0)]
        at += 6
    if control & 0x80:  # QoS
        if at + 2 > end:
            return at, CUT
        out[at : at + 2] = data[at : at + 2]
        aggregated = data[at] & 0x80
        at += 6 if flags & 0x80 else 2
        if is_padded:
            at = start + (at - start + 3) // 4 * 4
        if aggregated:  # an A-MSDU: the first subframe
            if at + 14 <= end:
                out[at : at + 12] = mapping.mac(data[at : at + 6]) + mapping.mac(data[at + 6 : at + 12])
                out[at + 12 : at + 14] = data[at + 12 : at + 14]
            at += 14
    return _copy_llc(data, out, at, end)


def _copy_radiotap(data: bytes, out: bytearray, end: int, mapping: Mapping) -> Place:
    """Copy of a radiotap header its length, its words of presence and its flags."""
    if end < 8:
        return 0, CUT
    out[:8] = data[:8]
    length = int.from_bytes(data[2:4], "little")
    if data[0] != 0 or length < 8:
        return 0, MALFORMED
    present = word = int.from_bytes(data[4:8], "little")
    field = 8
    while word & 0x80000000 and field + 4 <= end:
        out[field : field + 4] = data[field : field + 4]
        word = int.from_bytes(data[field : field + 4], "little")
        field += 4
    is_padded = False
    if present & 1:
        field = (field + 7) // 8 * 8 + 8
    if present & 2 and field < end:
        out[field] = data[field]
        is_padded = data[field] & 0x20 != 0
    return _copy_wifi(data, out, length, end, mapping, is_padded=is_padded)


def _copy_serial(data: bytes, out: bytearray, end: int, link_type: int, mapping: Mapping) -> Place:
    at = 0
    if link_type == 204:
        at = 1
    elif link_type == 166 and end >= 2 and data[1] == 0x03:  # a direction stands for the address
        at = 2
    out[: min(at, end)] = data[: min(at, end)]
    if at + 4 > end:
        return at, CUT
    if data[at] in {0x0F, 0x8F} or link_type == 104:  # Cisco HDLC: address, control, Ethernet type
        out[at : at + 4] = data[at : at + 4]
        return copy_ethertype(data, out, at + 4, end, int.from_bytes(data[at + 2 : at + 4], "big"), mapping)
    return copy_ppp(data, out, at, end)
