"""The few parts of an X.509 certificate that tell who vouches for a server: a minimal DER reader (RFC 5280, X.690).

Nothing is verified here: the question is only whose certificate was shown, so that an intercepting proxy is seen.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address

from ccp_assess.errors import ParseError

_COMMON_NAME = bytes.fromhex("550403")
_COUNTRY = bytes.fromhex("550406")
_ORGANISATION = bytes.fromhex("55040a")
_SUBJECT_ALT_NAME = bytes.fromhex("551d11")

_SEQUENCE, _SET, _OID, _OCTETS = 0x30, 0x31, 0x06, 0x04
_MAX_ELEMENTS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """A distinguished name, as far as it is used here.

    Parameters
    ----------
    common_name, organisation, country
        ``None`` where the name has no such part; hostile text.
    """

    common_name: str | None = None
    organisation: str | None = None
    country: str | None = None

    @property
    def text(self) -> str | None:
        """Organisation and common name in one line, as in ``Amazon: Amazon RSA 2048 M02``."""
        parts = [part for part in (self.organisation, self.common_name) if part]
        return ": ".join(parts) or None


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """One certificate.

    Parameters
    ----------
    issuer, subject
        Who signed it and whom it names.
    names
        DNS names and addresses of subjectAltName, lower case.
    not_before, not_after
        Validity in UTC; ``None`` where it cannot be read.
    sha256
        Fingerprint as WebRTC writes it: ``AA:BB:…``.
    """

    issuer: Name
    subject: Name
    names: tuple[str, ...]
    not_before: datetime | None
    not_after: datetime | None
    sha256: str

    @property
    def is_self_signed(self) -> bool:
        """Whether issuer and subject are the same name."""
        return self.issuer == self.subject


def fingerprint(der: bytes) -> str:
    """Compute the SHA-256 fingerprint as ``a=fingerprint`` of SDP writes it (RFC 8122).

    Parameters
    ----------
    der
        The certificate.

    Returns
    -------
    fingerprint
        Upper-case hexadecimal, bytes separated by colons.
    """
    return hashlib.sha256(der).digest().hex(":").upper()


def public_key_hash(der: bytes) -> str | None:
    """Compute the SHA-256 of the public key with its algorithm (SubjectPublicKeyInfo), as CAs publish it.

    Parameters
    ----------
    der
        The certificate.

    Returns
    -------
    digest
        Lower-case hexadecimal; ``None`` if the bytes are not laid out as a certificate.
    """
    try:
        signed = _children(_only(der, _SEQUENCE, "certificate"))[0][1]
        position, ends = 0, [0]
        while position < len(signed) and len(ends) < 9:
            _, _, position = _element(signed, position)
            ends.append(position)
        first = 6 if signed[:1] == b"\xa0" else 5  # an explicit version comes before all
        return hashlib.sha256(signed[ends[first] : ends[first + 1]]).hexdigest()
    except (ParseError, IndexError):
        return None


def parse_certificate(der: bytes) -> Certificate:
    """Read one certificate.

    Parameters
    ----------
    der
        DER bytes.

    Returns
    -------
    certificate
        Issuer, subject, names, validity and fingerprint.

    Raises
    ------
    ParseError
        If the bytes are not laid out as a certificate.
    """
    outer = _children(_only(der, _SEQUENCE, "certificate"))
    if not outer or outer[0][0] != _SEQUENCE:
        raise ParseError("certificate does not begin with its signed part")
    fields = _children(outer[0][1])
    if fields and fields[0][0] == 0xA0:  # explicit version
        fields = fields[1:]
    if len(fields) < 6:
        raise ParseError(f"signed part of the certificate has {len(fields)} fields; it needs 6")
    validity = _children(fields[3][1])
    extensions = next((value for tag, value in fields[6:] if tag == 0xA3), b"")
    return Certificate(
        issuer=_parse_name(fields[2][1]),
        subject=_parse_name(fields[4][1]),
        names=_alternative_names(extensions),
        not_before=_parse_time(*validity[0]) if len(validity) == 2 else None,
        not_after=_parse_time(*validity[1]) if len(validity) == 2 else None,
        sha256=fingerprint(der),
    )


def _element(data: bytes, position: int) -> tuple[int, int, int]:
    """Return tag, start and end of the value of the element at ``position``."""
    if position + 2 > len(data):
        raise ParseError(f"DER element at byte {position} is cut")
    tag, length = data[position], data[position + 1]
    position += 2
    if length & 0x80:
        width = length & 0x7F
        if not 1 <= width <= 4 or position + width > len(data):
            raise ParseError(f"DER length at byte {position} is cut or of unknown form")
        length = int.from_bytes(data[position : position + width], "big")
        position += width
    if position + length > len(data):
        raise ParseError(f"DER element at byte {position} reaches beyond its parent")
    return tag, position, position + length


def _children(data: bytes) -> list[tuple[int, bytes]]:
    children: list[tuple[int, bytes]] = []
    position = 0
    while position < len(data):
        tag, start, position = _element(data, position)
        children.append((tag, data[start:position]))
        if len(children) > _MAX_ELEMENTS:
            raise ParseError(f"DER element has more than {_MAX_ELEMENTS} children")
    return children


def _only(data: bytes, tag: int, what: str) -> bytes:
    found, start, end = _element(data, 0)
    if found != tag:
        raise ParseError(f"{what} has DER tag 0x{found:02x} instead of 0x{tag:02x}")
    return data[start:end]


def _parse_name(data: bytes) -> Name:
    parts: dict[bytes, str] = {}
    for tag, relative in _children(data):
        if tag != _SET:
            raise ParseError(f"name has DER tag 0x{tag:02x} where a set was expected")
        for _, pair in _children(relative):
            items = _children(pair)
            if len(items) == 2 and items[0][0] == _OID:
                parts.setdefault(items[0][1], _text(*items[1]))
    return Name(common_name=parts.get(_COMMON_NAME), organisation=parts.get(_ORGANISATION), country=parts.get(_COUNTRY))


def _text(tag: int, value: bytes) -> str:
    codec = {0x1E: "utf-16-be", 0x1C: "utf-32-be", 0x14: "latin-1"}.get(tag, "utf-8")
    return value.decode(codec, "replace")


def _parse_time(tag: int, value: bytes) -> datetime | None:
    text = value.decode("ascii", "replace")
    if tag == 0x17 and len(text) == 13:  # UTCTime: years 50 to 99 are of the last century (RFC 5280, 4.1.2.5.1)
        text = ("19" if text[:2] >= "50" else "20") + text
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def _alternative_names(extensions: bytes) -> tuple[str, ...]:
    if not extensions:
        return ()
    for _, extension in _children(_only(extensions, _SEQUENCE, "extensions")):
        items = _children(extension)
        if items and items[0] == (_OID, _SUBJECT_ALT_NAME) and items[-1][0] == _OCTETS:
            names = _children(_only(items[-1][1], _SEQUENCE, "subjectAltName"))
            return tuple(text for tag, value in names if (text := _alternative_name(tag, value)))
    return ()


def _alternative_name(tag: int, value: bytes) -> str | None:
    if tag == 0x82:
        return value.decode("ascii", "backslashreplace").lower()
    if tag == 0x87 and len(value) == 4:
        return str(IPv4Address(value))
    if tag == 0x87 and len(value) == 16:
        return str(IPv6Address(value))
    return None
