"""Link layers: from the first byte of a frame to its IP header, or to the reason why there is none."""

# ruff: noqa: FBT001, FBT003  (compiled loops take plain positional arguments)

# mypy: disable-error-code="attr-defined,return-value,assignment,arg-type,operator,no-any-return"
# (numpy gives the fields of rows no types; the compiler checks them)

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ccp_assess.wire.compiled import helper, inlined

Bytes = npt.NDArray[np.uint8]

IPV4 = 0x0800
IPV6 = 0x86DD
TRANSPARENT_ETHERNET = 0x6558

NO_IP = -1
CUT = -2
MALFORMED = -3
ENCRYPTED = -4
UNSUPPORTED = -5

LINK_NAMES = {
    0: "NULL", 1: "ETHERNET", 3: "AX25", 6: "IEEE802_5", 7: "ARCNET_BSD", 8: "SLIP", 9: "PPP", 10: "FDDI", 12: "RAW",
    14: "RAW", 50: "PPP_HDLC", 51: "PPP_ETHER", 100: "ATM_RFC1483", 101: "RAW", 104: "C_HDLC", 105: "IEEE802_11",
    107: "FRELAY", 108: "LOOP", 113: "LINUX_SLL", 114: "LTALK", 117: "PFLOG", 119: "IEEE802_11_PRISM",
    122: "IP_OVER_FC", 123: "SUNATM", 127: "IEEE802_11_RADIOTAP", 129: "ARCNET_LINUX", 138: "APPLE_IP_OVER_IEEE1394",
    139: "MTP2_WITH_PHDR", 140: "MTP2", 141: "MTP3", 142: "SCCP", 143: "DOCSIS", 144: "LINUX_IRDA",
    162: "USER15", 163: "IEEE802_11_AVS", 165: "BACNET_MS_TP", 166: "PPP_PPPD", 169: "GPRS_LLC", 177: "LINUX_LAPD",
    187: "BLUETOOTH_HCI_H4", 189: "USB_LINUX", 192: "PPI", 195: "IEEE802_15_4_WITHFCS", 197: "ERF",
    201: "BLUETOOTH_HCI_H4_WITH_PHDR", 204: "PPP_WITH_DIR", 215: "IEEE802_15_4_NONASK_PHY", 220: "USB_LINUX_MMAPPED",
    224: "FC_2", 226: "IPNET", 227: "CAN_SOCKETCAN", 228: "IPV4", 229: "IPV6", 230: "IEEE802_15_4_NOFCS", 231: "DBUS",
    239: "NFLOG", 240: "NETANALYZER", 242: "IPOIB", 243: "MPEG_2_TS", 245: "NFC_LLCP", 247: "INFINIBAND", 248: "SCTP",
    249: "USBPCAP", 251: "BLUETOOTH_LE_LL", 252: "WIRESHARK_UPPER_PDU", 253: "NETLINK", 258: "PKTAP", 264: "ISO_14443",
    265: "RDS", 266: "USB_DARWIN", 268: "SDLC", 271: "VSOCK", 276: "LINUX_SLL2", 277: "PROFIBUS_DL",
}  # fmt: skip
"""Names of the tcpdump.org registry without ``LINKTYPE_``; 147 to 162 are USER0 to USER15."""


def link_name(link_type: int) -> str:
    """Return the name of a link type.

    Parameters
    ----------
    link_type
        Number in a capture's header.

    Returns
    -------
    name
        Without the prefix ``LINKTYPE_``; the number in words where it is not registered.

    Examples
    --------
    >>> link_name(113)
    'LINUX_SLL'
    """
    if 147 <= link_type <= 162:
        return f"USER{link_type - 147}"
    return LINK_NAMES.get(link_type, f"UNKNOWN_{link_type}")


@inlined
def be16(buffer: Bytes, at: int) -> int:
    """Read 16 bits in network order."""
    k = np.uint64(at)  # an index without a sign is not looked at twice, and the bytes are read in one step
    return (np.int64(buffer[k]) << 8) | np.int64(buffer[k + np.uint64(1)])


@inlined
def be32(buffer: Bytes, at: int) -> int:
    """Read 32 bits in network order."""
    k = np.uint64(at)
    return (
        (np.int64(buffer[k]) << 24)
        | (np.int64(buffer[k + np.uint64(1)]) << 16)
        | (np.int64(buffer[k + np.uint64(2)]) << 8)
        | np.int64(buffer[k + np.uint64(3)])
    )


@inlined
def be64(buffer: Bytes, at: int) -> int:
    """Read 64 bits in network order, as a signed number of the same bits."""
    return (be32(buffer, at) << 32) | be32(buffer, at + 4)


@inlined
def le16(buffer: Bytes, at: int) -> int:
    """Read 16 bits in little-endian order."""
    k = np.uint64(at)
    return np.int64(buffer[k]) | (np.int64(buffer[k + np.uint64(1)]) << 8)


@inlined
def le32(buffer: Bytes, at: int) -> int:
    """Read 32 bits in little-endian order."""
    k = np.uint64(at)
    return (
        np.int64(buffer[k])
        | (np.int64(buffer[k + np.uint64(1)]) << 8)
        | (np.int64(buffer[k + np.uint64(2)]) << 16)
        | (np.int64(buffer[k + np.uint64(3)]) << 24)
    )


@inlined
def by_version(buffer: Bytes, at: int, end: int) -> tuple[int, int]:
    """Tell IPv4 from IPv6 by the first four bits."""
    if at >= end:
        return at, CUT
    version = buffer[at] >> 4
    if version == 4:
        return at, IPV4
    if version == 6:
        return at, IPV6
    return at, NO_IP


@helper
def after_llc(buffer: Bytes, at: int, end: int) -> tuple[int, int]:
    """Read an IEEE 802.2 header with SNAP; anything else carries no IP."""
    if at + 8 > end:
        return at, CUT if at + 3 > end or (buffer[at] == 0xAA and buffer[at + 1] == 0xAA) else NO_IP
    if buffer[at] == 0xAA and buffer[at + 1] == 0xAA and buffer[at + 2] == 3:
        return at + 8, be16(buffer, at + 6)
    return at, NO_IP


@helper
def after_ppp(buffer: Bytes, at: int, end: int) -> tuple[int, int]:
    """Read a PPP protocol number, with or without address and control, one byte or two (RFC 1661)."""
    if at + 2 <= end and buffer[at] == 0xFF and buffer[at + 1] == 0x03:
        at += 2
    if at >= end:
        return at, CUT
    if buffer[at] & 1:  # compressed to one byte
        protocol = np.int64(buffer[at])
        at += 1
    else:
        if at + 2 > end:
            return at, CUT
        protocol = be16(buffer, at)
        at += 2
    if protocol == 0x21:
        return at, IPV4
    if protocol == 0x57:
        return at, IPV6
    return at, NO_IP


@inlined
def after_ethertype(buffer: Bytes, at: int, end: int, kind: int) -> tuple[int, int]:
    """Follow tags (802.1Q, QinQ, 802.1ah, Cisco's), MPLS labels, PPPoE and LLC until an IP header."""
    for _ in range(12):  # more tags than that are an attack
        if kind in (IPV4, IPV6) or kind < 0:
            return at, kind
        if kind in (0x8100, 0x88A8, 0x9100, 0x9200, 0x9300):
            if at + 4 > end:
                return at, CUT
            kind = be16(buffer, at + 2)
            at += 4
        elif kind == 0x8909:  # Cisco metadata: the security group of TrustSec
            if at + 8 > end:
                return at, CUT
            kind = be16(buffer, at + 6)
            at += 8
        elif kind == 0x88E7:  # a service tag before the customer's whole frame
            if at + 18 > end:
                return at, CUT
            kind = be16(buffer, at + 16)
            at += 18
        elif kind in (0x8847, 0x8848):
            bottom = False
            while not bottom:
                if at + 4 > end:
                    return at, CUT
                bottom = buffer[at + 2] & 1 == 1
                at += 4
            at, kind = by_version(buffer, at, end)
            if kind == NO_IP and buffer[at] >> 4 == 0 and at + 18 <= end:  # a pseudo-wire: control word, Ethernet
                kind = be16(buffer, at + 16)
                at += 18
        elif kind == 0x8864:
            if at + 6 > end:
                return at, CUT
            return after_ppp(buffer, at + 6, end)
        elif kind < 0x600:  # a length: IEEE 802.3
            return after_llc(buffer, at, end)
        else:
            return at, NO_IP
    return at, MALFORMED


@inlined
def after_ethernet(buffer: Bytes, at: int, end: int) -> tuple[int, int]:
    """Read an Ethernet header."""
    if at + 14 > end:
        return at, CUT
    return after_ethertype(buffer, at + 14, end, be16(buffer, at + 12))


@helper
def after_wifi(buffer: Bytes, at: int, end: int, padded: bool) -> tuple[int, int]:
    """Read an IEEE 802.11 data frame that is not encrypted."""
    start = at
    if at + 24 > end:
        return at, CUT if at >= end or (buffer[at] >> 2) & 3 == 2 else NO_IP
    control = buffer[at]
    flags = buffer[at + 1]
    if (control >> 2) & 3 != 2 or control & 0x40:  # management, control; data frames without data
        return at, NO_IP
    if flags & 0x40:
        return at, ENCRYPTED
    at += 24
    if flags & 3 == 3:
        at += 6
    if control & 0x80:  # QoS
        if at + 2 > end:
            return at, CUT
        aggregated = buffer[at] & 0x80
        at += 2
        if flags & 0x80:
            at += 4
        if padded:
            at = start + (at - start + 3) // 4 * 4
        if aggregated:  # an A-MSDU: the first subframe
            at += 14
    return after_llc(buffer, at, end)


@inlined
def is_followed(buffer: Bytes, at: int, end: int, wire_end: int, kind: int) -> bool:
    """Tell whether further packets follow the one at hand, of an A-MSDU: more than padding and checksums can be."""
    if kind == IPV4 and at + 4 <= end:
        return at + be16(buffer, at + 2) + 22 < wire_end
    if kind == IPV6 and at + 6 <= end:
        return at + 40 + be16(buffer, at + 4) + 22 < wire_end
    return False


@helper
def after_radiotap(buffer: Bytes, at: int, end: int) -> tuple[int, int]:
    """Skip a radiotap header; its flags say whether the frame's header is padded."""
    if at + 8 > end:
        return at, CUT
    length = le16(buffer, at + 2)
    present = le32(buffer, at + 4)
    if buffer[at] != 0 or length < 8:
        return at, MALFORMED
    field = at + 8
    word = present
    while word & 0x80000000 and field + 4 <= end:
        word = le32(buffer, field)
        field += 4
    padded = False
    if present & 1:  # TSFT, aligned to 8 bytes
        field = at + (field - at + 7) // 8 * 8 + 8
    if present & 2 and field < end:
        padded = buffer[field] & 0x20 != 0
    return after_wifi(buffer, at + length, end, padded)


@helper
def after_family(buffer: Bytes, at: int, end: int, network_order_only: bool) -> tuple[int, int]:
    """Read the 4-byte address family of BSD loopback, in the order of whichever machine wrote it."""
    if at + 4 > end:
        return at, CUT
    family = be32(buffer, at)
    if (not network_order_only and family > 0xFFFF) or (network_order_only and family > 0xFFFF):
        family = le32(buffer, at)
    if family == 2:
        return at + 4, IPV4
    if family in (10, 23, 24, 26, 28, 30):  # AF_INET6 of Linux, Windows and the BSDs
        return at + 4, IPV6
    return at, NO_IP


@inlined
def network_layer(buffer: Bytes, at: int, end: int, link_type: int) -> tuple[int, int]:
    """Find the IP header of a frame.

    Parameters
    ----------
    buffer, at, end
        The frame lies in ``buffer[at:end]``.
    link_type
        Number in the capture's header.

    Returns
    -------
    at, kind
        Where the IP header begins and ``IPV4`` or ``IPV6``, or a negative reason.
    """
    if link_type in (192, 258):  # PPI and Apple's PKTAP put a header of their own before a frame of another link type
        if at + 12 > end:
            return at, CUT
        size = le16(buffer, at + 2) if link_type == 192 else le32(buffer, at)
        link_type = le32(buffer, at + (4 if link_type == 192 else 8))
        if size < 8 or link_type in (192, 258):
            return at, MALFORMED
        at = min(at + size, end)
    if link_type == 1:
        return after_ethernet(buffer, at, end)
    if link_type == 113:
        if at + 16 > end:
            return at, CUT
        return after_ethertype(buffer, at + 16, end, be16(buffer, at + 14))
    if link_type == 276:
        if at + 20 > end:
            return at, CUT
        return after_ethertype(buffer, at + 20, end, be16(buffer, at))
    if link_type in (12, 14, 101):
        return by_version(buffer, at, end)
    if link_type == 228:
        return at, IPV4
    if link_type == 229:
        return at, IPV6
    if link_type in (0, 108):
        return after_family(buffer, at, end, link_type == 108)
    if link_type == 105:
        return after_wifi(buffer, at, end, False)
    if link_type == 127:
        return after_radiotap(buffer, at, end)
    if link_type in (9, 50, 104, 166, 204):
        if link_type == 204:
            at += 1
        elif link_type == 166 and at + 2 <= end and buffer[at + 1] == 0x03:  # a direction stands for the address
            at += 2
        if at + 4 > end:
            return at, CUT
        if buffer[at] in (0x0F, 0x8F) or link_type == 104:  # Cisco HDLC: address, control, Ethernet type
            return after_ethertype(buffer, at + 4, end, be16(buffer, at + 2))
        return after_ppp(buffer, at, end)
    if link_type == 51:
        if at + 6 > end:
            return at, CUT
        return after_ppp(buffer, at + 6, end)
    if link_type == 10:
        if at + 13 > end:
            return at, CUT
        return after_llc(buffer, at + 13, end)
    return at, UNSUPPORTED
