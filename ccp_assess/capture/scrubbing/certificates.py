"""X.509 certificates without the names of their owners (RFC 5280, X.690).

The shape stays, to the byte: what vouches for a server can still be told. The organisation and country of the issuer
stay, and its common name where that organisation is a public authority that AWS uses; subject and alternative names are
mapped; serial numbers, keys, signatures and all other contents are zero.
"""

from __future__ import annotations

from collections.abc import Iterator

from ccp_assess.capture.scrubbing.mapping import Mapping

_OID, _UTC_TIME, _GENERALIZED_TIME, _BOOLEAN, _NULL = 0x06, 0x17, 0x18, 0x01, 0x05
_KEPT_TAGS = frozenset({_OID, _UTC_TIME, _GENERALIZED_TIME, _BOOLEAN, _NULL})
_COMMON_NAME, _COUNTRY = bytes.fromhex("550403"), bytes.fromhex("550406")
_ORGANISATION = bytes.fromhex("55040a")
_SUBJECT_ALT_NAME = bytes.fromhex("551d11")
_PUBLIC_AUTHORITIES = (b"amazon", b"starfield", b"digicert", b"symantec", b"verisign", b"baltimore")
"""Words of the organisations that sign, or once signed, AWS's certificates."""
_DEEPEST = 12

Element = tuple[int, int, int]
"""Tag, start and end of a value."""


def scrub_certificate(der: bytes, mapping: Mapping) -> bytes:
    """Map a certificate.

    Parameters
    ----------
    der
        DER bytes.
    mapping
        Of the client's key.

    Returns
    -------
    der
        Of the same length; only zeros where the bytes are no certificate.
    """
    out = bytearray(len(der))
    try:
        _copy_shape(der, out, 0, len(der), 0)
        ((_, start, end),) = _elements(der, 0, len(der), exact=False)[:1]
        _, start, end = _elements(der, start, end)[0]
        fields = _elements(der, start, end)
        if fields and fields[0][0] == 0xA0:  # explicit version
            _, first, last = fields[0]
            out[first:last] = der[first:last]
            fields = fields[1:]
        if len(fields) < 6:
            return bytes(out)
        _copy_names(der, out, fields[2], mapping, is_issuer=True)
        _copy_names(der, out, fields[4], mapping, is_issuer=False)
        for tag, first, last in fields[6:]:
            if tag == 0xA3:
                _copy_alternative_names(der, out, first, last, mapping)
    except (ValueError, IndexError):  # damaged: what was not understood stays zero
        pass
    return bytes(out)


def _elements(data: bytes, at: int, end: int, *, exact: bool = True) -> list[Element]:
    found = []
    while at < end:
        tag, size, width = data[at], data[at + 1], 0
        if size & 0x80:
            width = size & 0x7F
            if not 1 <= width <= 4 or at + 2 + width > end:
                raise ValueError("DER length")
            size = int.from_bytes(data[at + 2 : at + 2 + width], "big")
        start = at + 2 + width
        if start + size > end:
            raise ValueError("DER element reaches beyond its parent")
        found.append((tag, start, start + size))
        at = start + size
        if not exact:
            break
    return found


def _copy_shape(data: bytes, out: bytearray, at: int, end: int, depth: int) -> None:
    """Copy tags, lengths, identifiers and times; leave all other values zero."""
    for tag, start, stop in _elements(data, at, end, exact=depth > 0):
        out[at:start] = data[at:start]
        at = stop
        if tag & 0x20 and depth < _DEEPEST:
            _copy_shape(data, out, start, stop, depth + 1)
        elif tag in _KEPT_TAGS:
            out[start:stop] = data[start:stop]


def _pairs(data: bytes, name: Element) -> Iterator[tuple[bytes, Element]]:
    for _, start, end in _elements(data, name[1], name[2]):
        for _, first, last in _elements(data, start, end):
            items = _elements(data, first, last)
            if len(items) == 2 and items[0][0] == _OID:
                yield data[items[0][1] : items[0][2]], items[1]


def _copy_names(data: bytes, out: bytearray, name: Element, mapping: Mapping, *, is_issuer: bool) -> None:
    pairs = list(_pairs(data, name))
    organisations = [data[start:end].replace(b"\0", b"") for kind, (_, start, end) in pairs if kind == _ORGANISATION]
    is_public = any(word in text.lower() for text in organisations for word in _PUBLIC_AUTHORITIES)
    for kind, (_, start, end) in pairs:
        text = data[start:end]
        stays = kind == _COUNTRY or (is_issuer and (kind == _ORGANISATION or (is_public and kind == _COMMON_NAME)))
        out[start:end] = text if stays else mapping.host(text)


def _copy_alternative_names(data: bytes, out: bytearray, at: int, end: int, mapping: Mapping) -> None:
    for _, first, last in _elements(data, at, end):
        for _, start, stop in _elements(data, first, last):
            items = _elements(data, start, stop)
            if not items or data[items[0][1] : items[0][2]] != _SUBJECT_ALT_NAME:
                continue
            _, first_name, last_name = items[-1]
            _copy_shape(data, out, first_name, last_name, 1)
            for _, begin, finish in _elements(data, first_name, last_name):
                for tag, name_start, name_end in _elements(data, begin, finish):
                    name = data[name_start:name_end]
                    if tag == 0x82:
                        out[name_start:name_end] = mapping.host(name)
                    elif tag == 0x87 and len(name) in {4, 16}:
                        out[name_start:name_end] = mapping.address(name)
