"""RTP and the clear part of RTCP: headers and the clear-text audio level (RFC 3550, 5761, 6464, 8285)."""

# ruff: noqa: PLR0917  (compiled loops take plain positional arguments)

# mypy: disable-error-code="attr-defined,return-value,assignment,arg-type,operator,no-any-return"
# (numpy gives the fields of rows no types; the compiler checks them)

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ccp_assess.wire.compiled import inlined
from ccp_assess.wire.link import be16, be32

Bytes = npt.NDArray[np.uint8]

RELAYED_NOT, RELAYED_BY_CHANNEL, RELAYED_BY_INDICATION = 0, 1, 2

MEDIA = np.dtype(
    [
        ("time_ns", np.int64),
        ("ssrc", np.uint32),
        ("timestamp", np.uint32),
        ("flow", np.int32),  # twice the flow's index, plus one where the packet goes from b to a
        ("path", np.int32),  # row of the TURN path, -1 without a relay
        ("sequence", np.uint16),
        ("bytes", np.uint16),  # the RTP packet [bytes]
        ("payload_bytes", np.uint16),  # without header and extension [bytes]
        ("element_1", np.uint16),  # identifier and value of the first one-byte header extension of one byte
        ("element_2", np.uint16),  # of the second one
        ("payload_type", np.uint8),  # 255 for RTCP
        ("relayed", np.uint8),
    ],
    align=True,
)
"""One packet of media on its way to the measures of its stream."""

RTCP = 255

STATIC_CLOCK_RATES_HZ = {
    0: 8000, 1: 8000, 2: 8000, 3: 8000, 4: 8000, 5: 8000, 6: 16_000, 7: 8000, 8: 8000, 9: 8000, 10: 44_100, 11: 44_100,
    12: 8000, 13: 8000, 14: 90_000, 15: 8000, 16: 11_025, 17: 22_050, 18: 8000, 19: 8000, 25: 90_000, 26: 90_000,
    28: 90_000, 31: 90_000, 32: 90_000, 33: 90_000, 34: 90_000,
}  # fmt: skip
"""Clock rates of the static payload types (RFC 3551, tables 4 and 5; 1, 2 and 19 as older editions had them) [Hz]."""


@inlined
def is_rtcp(buffer: Bytes, at: int, captured: int, length: int) -> bool:
    """Tell RTCP from RTP on a shared port; its length in words must fit."""
    if captured < 8 or buffer[at] >> 6 != 2:
        return False
    kind = buffer[at + 1]
    return 192 <= kind <= 223 and (be16(buffer, at + 2) + 1) * 4 <= length


@inlined
def rtp_header_bytes(buffer: Bytes, at: int, captured: int, length: int) -> int:
    """Return the length of the RTP header with its extension; 0 if this cannot be RTP."""
    if captured < 12 or length < 12 or buffer[at] >> 6 != 2:
        return 0
    if 192 <= buffer[at + 1] <= 223:
        return 0
    header = 12 + (np.int64(buffer[at]) & 15) * 4
    if buffer[at] & 0x10:
        if header + 4 > length:
            return 0
        if header + 4 <= captured:
            header += 4 + be16(buffer, at + header + 2) * 4
    if header > length:
        return 0
    return header


@inlined
def read_media(buffer: Bytes, at: int, captured: int, length: int, header: int, row: np.void) -> None:
    """Read an RTP header into a row of `MEDIA`."""
    row.payload_type = buffer[at + 1] & 0x7F
    row.sequence = be16(buffer, at + 2)
    row.timestamp = be32(buffer, at + 4)
    row.ssrc = be32(buffer, at + 8)
    row.bytes = min(length, 65535)
    row.payload_bytes = min(length - header, 65535)
    row.element_1 = 0
    row.element_2 = 0
    if buffer[at] & 0x10 == 0:
        return
    here = at + 12 + (np.int64(buffer[at]) & 15) * 4
    end = min(at + captured, at + header)
    if here + 4 > end or be16(buffer, here) != 0xBEDE:  # one-byte elements only carry the level in practice
        return
    here += 4
    found = 0
    while here < end:
        first = np.int64(buffer[here])
        if first == 0:  # padding
            here += 1
            continue
        identifier = first >> 4
        size = (first & 15) + 1
        if identifier == 15:
            return
        if size == 1 and here + 1 < end:
            if found == 0:
                row.element_1 = (identifier << 8) | np.int64(buffer[here + 1])
                found = 1
            else:
                row.element_2 = (identifier << 8) | np.int64(buffer[here + 1])
                return
        here += 1 + size
