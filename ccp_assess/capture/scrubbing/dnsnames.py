"""DNS messages with their names and addresses mapped in place (RFC 1035, 3596, 6891)."""

from __future__ import annotations

from ccp_assess.capture.scrubbing.mapping import Mapping
from ccp_assess.errors import ParseError
from ccp_assess.wire import dns

_NAME_AT = {2: 0, 5: 0, 12: 0, 39: 0, 15: 2, 33: 6}
"""Where the name begins in the data of NS, CNAME, PTR, DNAME, MX and SRV; what stands before it stays."""
_A, _AAAA = 1, 28
_RECORD_HEAD_BYTES = 10
_NO_LABEL = b"\x40"
"""A kind of label that there is not (RFC 6891, section 5)."""


def scrub_dns(data: bytes, mapping: Mapping) -> bytes:
    """Map one DNS message as it travels in a UDP datagram.

    Parameters
    ----------
    data
        The message; what was cut off is missing.
    mapping
        Of the client's key.

    Returns
    -------
    data
        Of the same length. Names and addresses are mapped; the data of other records are zero.
    """
    try:
        dns.parse_message(data)
    except ParseError:
        return bytes(len(data))
    out = bytearray(len(data))
    out[: dns.HEADER_BYTES] = data[: dns.HEADER_BYTES]
    counts = [int.from_bytes(data[at : at + 2], "big") for at in range(4, 12, 2)]
    position = dns.HEADER_BYTES
    try:
        for _ in range(counts[0]):
            position = _copy_name(data, out, position, mapping)
            position = _copy(data, out, position, 4)
        for _ in range(sum(counts[1:])):
            position = _copy_record(data, out, position, mapping)
    except (ParseError, IndexError):  # what could not be read shall not be readable now either
        out[position:] = bytes(len(data) - position)
        out[position : position + 1] = _NO_LABEL[: len(data) - position]
    return bytes(out)


def _copy(data: bytes, out: bytearray, position: int, count: int) -> int:
    if position + count > len(data):
        raise IndexError
    out[position : position + count] = data[position : position + count]
    return position + count


def _copy_record(data: bytes, out: bytearray, position: int, mapping: Mapping) -> int:
    position = _copy_name(data, out, position, mapping)
    kind = int.from_bytes(data[position : position + 2], "big")
    start = _copy(data, out, position, _RECORD_HEAD_BYTES)
    end = start + int.from_bytes(data[start - 2 : start], "big")
    if end > len(data):
        raise IndexError
    if (kind, end - start) in {(_A, 4), (_AAAA, 16)}:
        out[start:end] = mapping.address(data[start:end])
    elif kind in _NAME_AT and end - start > _NAME_AT[kind]:
        _copy_name(data, out, _copy(data, out, start, _NAME_AT[kind]), mapping)
    return end


def _copy_name(data: bytes, out: bytearray, position: int, mapping: Mapping) -> int:
    """Map a name and return where it ends; labels that a pointer leads to are mapped where they stand."""
    labels: list[tuple[int, bytes]] = []
    after: int | None = None
    lowest = position
    size = 0
    while True:
        length = data[position]
        if length == 0:
            break
        if length & 0xC0 == 0xC0:
            target = (length & 0x3F) << 8 | data[position + 1]
            if target >= lowest:
                raise ParseError("a DNS pointer does not point backwards")
            out[position : position + 2] = data[position : position + 2]
            after = position + 2 if after is None else after
            position = lowest = target
            continue
        size += length + 1
        if length & 0xC0 or position + 1 + length > len(data) or size > dns.MAX_NAME_BYTES:
            raise ParseError("a DNS label is cut or unknown")
        labels.append((position, data[position + 1 : position + 1 + length]))
        position += 1 + length
    end = position + 1 if after is None else after
    parent = ""
    for at, label in reversed(labels):
        out[at] = len(label)
        out[at + 1 : at + 1 + len(label)] = mapping.label(label, parent)
        text = label.decode("latin-1").lower()
        parent = f"{text}.{parent}" if parent else text
    return end
