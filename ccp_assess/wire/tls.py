"""What TLS shows in clear: names, versions and certificates of a handshake (RFC 8446, 5246, 6066, 7301).

A handshake message may be spread over records and a record over segments: the input is the ordered bytes of one side of
a connection, and what is not whole yet is left alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ccp_assess.errors import ParseError

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA, HEARTBEAT = 20, 21, 22, 23, 24
RECORD_HEADER_BYTES = 5
MAX_RECORD_BYTES = (1 << 14) + 2048

CLIENT_HELLO, SERVER_HELLO, CERTIFICATE, SERVER_HELLO_DONE, CLIENT_KEY_EXCHANGE = 1, 2, 11, 14, 16
NEW_SESSION_TICKET, FINISHED = 4, 20
MAX_HANDSHAKE_BYTES = 1 << 18

VERSION_NAMES = {
    0x0002: "SSLv2",
    0x0300: "SSLv3",
    0x0301: "TLSv1.0",
    0x0302: "TLSv1.1",
    0x0303: "TLSv1.2",
    0x0304: "TLSv1.3",
    0x0100: "DTLSv1.0-draft",
    0xFEFF: "DTLSv1.0",
    0xFEFD: "DTLSv1.2",
    0xFEFC: "DTLSv1.3",
}
_HELLO_RETRY_RANDOM = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
_GREASE = frozenset(0x0A0A + 0x1010 * i for i in range(16))

_SERVER_NAME, _ALPN, _SUPPORTED_VERSIONS, _PRE_SHARED_KEY, _USE_SRTP = 0, 16, 43, 41, 14
_ECH = 0xFE0D

ALERT_NAMES = {
    0: "close_notify",
    10: "unexpected_message",
    20: "bad_record_mac",
    22: "record_overflow",
    40: "handshake_failure",
    42: "bad_certificate",
    43: "unsupported_certificate",
    44: "certificate_revoked",
    45: "certificate_expired",
    46: "certificate_unknown",
    47: "illegal_parameter",
    48: "unknown_ca",
    49: "access_denied",
    50: "decode_error",
    51: "decrypt_error",
    70: "protocol_version",
    71: "insufficient_security",
    80: "internal_error",
    86: "inappropriate_fallback",
    90: "user_canceled",
    109: "missing_extension",
    110: "unsupported_extension",
    112: "unrecognized_name",
    113: "bad_certificate_status_response",
    115: "unknown_psk_identity",
    116: "certificate_required",
    120: "no_application_protocol",
}


class Record(NamedTuple):
    """One TLS record.

    Parameters
    ----------
    content_type
        20 to 24.
    version
        As the record says: not the negotiated one.
    fragment
        Its bytes as far as they are there.
    length
        Its announced length.
    """

    content_type: int
    version: int
    fragment: bytes
    length: int

    @property
    def is_whole(self) -> bool:
        """Whether all its bytes are there."""
        return len(self.fragment) == self.length


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientHello:
    """What a client says first.

    Parameters
    ----------
    server_name
        SNI in lower case; ``None`` if there is none.
    versions
        Offered versions, best first, as names.
    alpn
        Offered application protocols, in order; hostile text.
    session_id
        Of a resumption, or random.
    cipher_suites
        Offered suites without GREASE.
    has_ech
        Whether it carries an encrypted ClientHello: then ``server_name`` is the outer one.
    srtp_profiles
        Of use_srtp (RFC 5764): a media session will follow.
    """

    server_name: str | None
    versions: tuple[str, ...]
    alpn: tuple[str, ...] = ()
    session_id: bytes = b""
    cipher_suites: tuple[int, ...] = ()
    has_ech: bool = False
    srtp_profiles: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerHello:
    """What a server chose.

    Parameters
    ----------
    version
        Negotiated version as a name.
    cipher_suite
        Chosen suite.
    alpn
        Chosen application protocol, if in clear (TLS 1.2).
    is_retry
        Whether it is a HelloRetryRequest.
    """

    version: str
    cipher_suite: int
    alpn: str | None = None
    is_retry: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Flight:
    """What one side of a connection showed in clear.

    Parameters
    ----------
    client_hello, server_hello
        Whichever this side sent.
    certificates
        DER certificates in the order sent; empty under TLS 1.3.
    alerts
        Alerts in clear, by name.
    has_application_data
        Whether records of application data followed.
    encrypted_at
        Offset of the first record after ChangeCipherSpec or of application data; ``None`` if neither came.
    """

    client_hello: ClientHello | None = None
    server_hello: ServerHello | None = None
    certificates: tuple[bytes, ...] = ()
    alerts: tuple[str, ...] = ()
    has_application_data: bool = False
    encrypted_at: int | None = None


class _Reader:
    """A cursor over bytes that raises our error instead of reading beyond the end."""

    __slots__ = ("data", "position")

    def __init__(self, data: bytes) -> None:
        self.data, self.position = data, 0

    def take(self, size: int) -> bytes:
        end = self.position + size
        if end > len(self.data):
            raise ParseError(f"TLS field of {size} bytes at byte {self.position} is cut")
        value = self.data[self.position : end]
        self.position = end
        return bytes(value)

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def vector(self, width: int) -> bytes:
        return self.take(self.number(width))

    @property
    def left(self) -> int:
        return len(self.data) - self.position


def version_name(number: int) -> str:
    """Name a protocol version.

    Parameters
    ----------
    number
        Two bytes of a version field.

    Returns
    -------
    name
        Such as ``TLSv1.3``; drafts and unknown ones in hexadecimal.

    Examples
    --------
    >>> version_name(0xFEFC), version_name(0x7F1C)
    ('DTLSv1.3', 'TLSv1.3-draft28')
    """
    if number >> 8 == 0x7F:
        return f"TLSv1.3-draft{number & 0xFF}"
    return VERSION_NAMES.get(number, f"0x{number:04x}")


def looks_like_tls(data: bytes) -> bool:
    """Tell whether a TCP stream begins with a TLS record.

    Parameters
    ----------
    data
        First bytes of one side.

    Returns
    -------
    is_tls
        Whether it is worth parsing.
    """
    return (
        len(data) >= 3
        and data[0] in {ALERT, HANDSHAKE, CHANGE_CIPHER_SPEC, APPLICATION_DATA}
        and data[1] == 3
        and data[2] <= 4
        and (len(data) < 5 or 0 < int.from_bytes(data[3:5], "big") <= MAX_RECORD_BYTES)
    )


def parse_records(stream: bytes) -> list[Record]:
    """Split the bytes of one side into records.

    Parameters
    ----------
    stream
        Bytes from the start of the connection; the last record may be cut.

    Returns
    -------
    records
        In order.

    Raises
    ------
    ParseError
        If the very first bytes are no record header.
    """
    records: list[Record] = []
    position = 0
    while position + RECORD_HEADER_BYTES <= len(stream):
        content_type = stream[position]
        version = int.from_bytes(stream[position + 1 : position + 3], "big")
        length = int.from_bytes(stream[position + 3 : position + 5], "big")
        if not 20 <= content_type <= 24 or version >> 8 != 3 or length > MAX_RECORD_BYTES:
            if not records:
                raise ParseError("bytes do not begin with a TLS record")
            break
        start = position + RECORD_HEADER_BYTES
        records.append(Record(content_type, version, bytes(stream[start : start + length]), length))
        position = start + length
    if not records:
        raise ParseError(f"{len(stream)} bytes are no TLS record")
    return records


def parse_flight(stream: bytes) -> Flight:
    """Read what one side of a TLS connection shows in clear.

    Parameters
    ----------
    stream
        Ordered bytes of that side from the start of the connection.

    Returns
    -------
    flight
        Hellos, certificates and alerts; what is not whole is left out.

    Raises
    ------
    ParseError
        If the bytes do not begin with a TLS record.
    """
    handshake = bytearray()
    alerts: list[str] = []
    has_data = False
    encrypted_at: int | None = None
    position = 0
    for record in parse_records(stream):
        if record.content_type == APPLICATION_DATA:
            has_data = True
            encrypted_at = position if encrypted_at is None else encrypted_at
        elif record.content_type == CHANGE_CIPHER_SPEC:
            encrypted_at = position if encrypted_at is None else encrypted_at
        elif encrypted_at is None and record.content_type == HANDSHAKE:
            handshake += record.fragment
        elif encrypted_at is None and record.content_type == ALERT and record.length == 2 and record.is_whole:
            alerts.append(ALERT_NAMES.get(record.fragment[1], f"alert_{record.fragment[1]}"))
        position += RECORD_HEADER_BYTES + record.length
    client_hello, server_hello, certificates = _read_handshake(bytes(handshake))
    return Flight(
        client_hello=client_hello,
        server_hello=server_hello,
        certificates=certificates,
        alerts=tuple(alerts),
        has_application_data=has_data,
        encrypted_at=encrypted_at,
    )


def _read_handshake(data: bytes) -> tuple[ClientHello | None, ServerHello | None, tuple[bytes, ...]]:
    client_hello: ClientHello | None = None
    server_hello: ServerHello | None = None
    certificates: tuple[bytes, ...] = ()
    for kind, body in split_handshake(data):
        try:
            if kind == CLIENT_HELLO and client_hello is None:
                client_hello = parse_client_hello(body)
            elif kind == SERVER_HELLO and (server_hello is None or server_hello.is_retry):
                server_hello = parse_server_hello(body)
            elif kind == CERTIFICATE and not certificates:
                certificates = parse_certificate_list(body)
        except ParseError:  # one damaged message does not make the others unreadable
            continue
    return client_hello, server_hello, certificates


def split_handshake(data: bytes) -> list[tuple[int, bytes]]:
    """Split joined handshake fragments into whole messages.

    Parameters
    ----------
    data
        Fragments of records of type handshake, joined.

    Returns
    -------
    messages
        Type and body of each whole message.
    """
    messages: list[tuple[int, bytes]] = []
    position = 0
    while position + 4 <= len(data):
        size = int.from_bytes(data[position + 1 : position + 4], "big")
        if size > MAX_HANDSHAKE_BYTES or position + 4 + size > len(data):
            break
        messages.append((data[position], bytes(data[position + 4 : position + 4 + size])))
        position += 4 + size
    return messages


def parse_client_hello(body: bytes, *, is_dtls: bool = False) -> ClientHello:
    """Read the body of a ClientHello.

    Parameters
    ----------
    body
        Without the handshake header.
    is_dtls
        Whether a cookie stands between session id and cipher suites (RFC 6347).

    Returns
    -------
    hello
        Name, versions and protocols offered.

    Raises
    ------
    ParseError
        If it is cut or lies about its lengths.
    """
    reader = _Reader(body)
    legacy = reader.number(2)
    reader.take(32)
    session_id = reader.vector(1)
    if is_dtls:
        reader.vector(1)
    suites = _numbers(reader.vector(2))
    reader.vector(1)
    extensions = _extensions(reader)
    offered = extensions.get(_SUPPORTED_VERSIONS)
    versions = _numbers(offered[1:]) if offered else (legacy,)
    return ClientHello(
        server_name=_server_name(extensions.get(_SERVER_NAME, b"")),
        versions=tuple(version_name(number) for number in versions if number not in _GREASE),
        alpn=_protocols(extensions.get(_ALPN, b"")),
        session_id=session_id,
        cipher_suites=tuple(suite for suite in suites if suite not in _GREASE),
        has_ech=_ECH in extensions,
        srtp_profiles=_numbers(extensions.get(_USE_SRTP, b"")[2:-1]),
    )


def parse_server_hello(body: bytes) -> ServerHello:
    """Read the body of a ServerHello or HelloRetryRequest.

    Parameters
    ----------
    body
        Without the handshake header.

    Returns
    -------
    hello
        What was chosen.

    Raises
    ------
    ParseError
        If it is cut or lies about its lengths.
    """
    reader = _Reader(body)
    version = reader.number(2)
    random = reader.take(32)
    reader.vector(1)
    suite = reader.number(2)
    reader.take(1)
    extensions = _extensions(reader)
    chosen = extensions.get(_SUPPORTED_VERSIONS, b"")
    protocols = _protocols(extensions.get(_ALPN, b""))
    return ServerHello(
        version=version_name(int.from_bytes(chosen, "big") if len(chosen) == 2 else version),
        cipher_suite=suite,
        alpn=protocols[0] if protocols else None,
        is_retry=random == _HELLO_RETRY_RANDOM,
    )


def parse_certificate_list(body: bytes) -> tuple[bytes, ...]:
    """Read the body of a Certificate message of TLS 1.2 and older.

    Parameters
    ----------
    body
        Without the handshake header.

    Returns
    -------
    certificates
        DER, the server's own first.

    Raises
    ------
    ParseError
        If it is cut or lies about its lengths.
    """
    reader = _Reader(_Reader(body).vector(3))
    certificates: list[bytes] = []
    while reader.left:
        certificates.append(reader.vector(3))
    return tuple(certificates)


def _extensions(reader: _Reader) -> dict[int, bytes]:
    if not reader.left:
        return {}
    inner = _Reader(reader.vector(2))
    extensions: dict[int, bytes] = {}
    while inner.left:
        number = inner.number(2)
        extensions.setdefault(number, inner.vector(2))
    return extensions


def _server_name(data: bytes) -> str | None:
    if len(data) < 5:
        return None
    reader = _Reader(_Reader(data).vector(2))
    while reader.left:
        kind, name = reader.number(1), reader.vector(2)
        if kind == 0 and name:
            return name.decode("ascii", "backslashreplace").lower()
    return None


def _protocols(data: bytes) -> tuple[str, ...]:
    if not data:
        return ()
    reader = _Reader(_Reader(data).vector(2))
    protocols: list[str] = []
    while reader.left:
        protocols.append(reader.vector(1).decode("ascii", "backslashreplace"))
    return tuple(protocols)


def _numbers(data: bytes) -> tuple[int, ...]:
    return tuple(int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data) - 1, 2))
