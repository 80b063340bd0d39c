"""The clear part of TLS: what was negotiated stays, whose session it was does not (RFC 8446, 5246, 6066)."""

from __future__ import annotations

from ccp_assess.capture.scrubbing.certificates import scrub_certificate
from ccp_assess.capture.scrubbing.mapping import Mapping
from ccp_assess.wire import tls

_SERVER_NAME, _GROUPS, _POINTS, _SIGNATURES, _SRTP, _ALPN = 0, 10, 11, 13, 14, 16
_VERSIONS, _PSK_MODES = 43, 45
_KEPT = frozenset({_GROUPS, _POINTS, _SIGNATURES, _SRTP, _VERSIONS, _PSK_MODES})
"""Extensions that only list what is supported."""
_KNOWN_PROTOCOLS = frozenset(
    {b"h2", b"h3", b"http/1.1", b"http/1.0", b"webrtc", b"c-webrtc", b"stun.turn", b"stun.nat-discovery", b"dot"}
)
_HELLO_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")


def scrub_handshake(kind: int, body: bytes, mapping: Mapping, *, is_dtls: bool = False) -> bytes:
    """Map the body of one handshake message.

    Parameters
    ----------
    kind
        Its type.
    body
        Without the header.
    mapping
        Of the client's key.
    is_dtls
        Whether a ClientHello has a cookie (RFC 6347).

    Returns
    -------
    body
        Of the same length; zero but for hellos and certificates.
    """
    out = bytearray(len(body))
    try:
        if kind == tls.CLIENT_HELLO:
            _copy_client_hello(body, out, mapping, is_dtls=is_dtls)
        elif kind == tls.SERVER_HELLO:
            _copy_server_hello(body, out, mapping)
        elif kind == tls.CERTIFICATE:
            _copy_certificates(body, out, mapping)
    except IndexError:  # it lies about its lengths: what was not reached stays zero
        pass
    return bytes(out)


def _vector(data: bytes, at: int, width: int) -> tuple[int, int]:
    """Return start and end of a vector; IndexError if it is cut."""
    if at + width > len(data):
        raise IndexError
    start = at + width
    end = start + int.from_bytes(data[at:start], "big")
    if end > len(data):
        raise IndexError
    return start, end


def _copy_client_hello(data: bytes, out: bytearray, mapping: Mapping, *, is_dtls: bool) -> None:
    out[:2] = data[:2]
    at = 34  # version; 32 random bytes, which stay zero
    for _ in range(2 if is_dtls else 1):  # session id, cookie
        start, end = _vector(data, at, 1)
        out[at:start] = data[at:start]
        at = end
    for width in (2, 1):  # cipher suites, compression
        start, end = _vector(data, at, width)
        out[at:end] = data[at:end]
        at = end
    _copy_extensions(data, out, at, mapping)


def _copy_server_hello(data: bytes, out: bytearray, mapping: Mapping) -> None:
    out[:2] = data[:2]
    if data[2:34] == _HELLO_RETRY:
        out[2:34] = _HELLO_RETRY
    start, end = _vector(data, 34, 1)
    out[34:start] = data[34:start]
    out[end : end + 3] = data[end : end + 3]
    _copy_extensions(data, out, end + 3, mapping)


def _copy_extensions(data: bytes, out: bytearray, at: int, mapping: Mapping) -> None:
    if at >= len(data):
        return
    start, stop = _vector(data, at, 2)
    out[at:start] = data[at:start]
    at = start
    while at + 4 <= stop:
        number = int.from_bytes(data[at : at + 2], "big")
        start, end = _vector(data, at + 2, 2)
        out[at:start] = data[at:start]
        if number in _KEPT:
            out[start:end] = data[start:end]
        elif number == _SERVER_NAME:
            _copy_server_names(data, out, start, end, mapping)
        elif number == _ALPN:
            _copy_protocols(data, out, start, end)
        at = end


def _copy_server_names(data: bytes, out: bytearray, at: int, stop: int, mapping: Mapping) -> None:
    if stop - at < 5:
        return
    out[at : at + 2] = data[at : at + 2]
    at += 2
    while at + 3 <= stop:
        start, end = _vector(data, at + 1, 2)
        out[at:start] = data[at:start]
        out[start:end] = mapping.host(data[start:end])
        at = end


def _copy_protocols(data: bytes, out: bytearray, at: int, stop: int) -> None:
    if stop - at < 2:
        return
    out[at : at + 2] = data[at : at + 2]
    at += 2
    while at < stop:
        start, end = _vector(data, at, 1)
        out[at:start] = data[at:start]
        if data[start:end] in _KNOWN_PROTOCOLS:
            out[start:end] = data[start:end]
        at = end


def _copy_certificates(data: bytes, out: bytearray, mapping: Mapping) -> None:
    start, stop = _vector(data, 0, 3)
    out[:start] = data[:start]
    at = start
    while at < stop:
        start, end = _vector(data, at, 3)
        out[at:start] = data[at:start]
        out[start:end] = scrub_certificate(data[start:end], mapping)
        at = end


def scrub_tls(stream: bytes, mapping: Mapping) -> bytes:
    """Map what one side of a TLS connection said.

    Parameters
    ----------
    stream
        Ordered bytes from its first record.
    mapping
        Of the client's key.

    Returns
    -------
    stream
        Of the same length: record headers, hellos, certificates and alerts in clear; all else zero.
    """
    out = bytearray(len(stream))
    pieces: list[tuple[int, int]] = []
    handshake = bytearray()
    at = 0
    is_encrypted = False
    while at + tls.RECORD_HEADER_BYTES <= len(stream):
        kind, length = stream[at], int.from_bytes(stream[at + 3 : at + 5], "big")
        if not 20 <= kind <= 24 or stream[at + 1] != 3 or length > tls.MAX_RECORD_BYTES:
            break
        start = at + tls.RECORD_HEADER_BYTES
        end = min(start + length, len(stream))
        out[at:start] = stream[at:start]
        if kind in {tls.APPLICATION_DATA, tls.CHANGE_CIPHER_SPEC}:
            is_encrypted = True
        elif not is_encrypted and kind == tls.HANDSHAKE:
            pieces.append((start, end))
            handshake += stream[start:end]
        elif not is_encrypted and kind == tls.ALERT and length == 2:
            out[start:end] = stream[start:end]
        at = start + length
    mapped = _scrub_messages(bytes(handshake), mapping)
    used = 0
    for start, end in pieces:
        out[start:end] = mapped[used : used + end - start]
        used += end - start
    return bytes(out)


def _scrub_messages(data: bytes, mapping: Mapping) -> bytes:
    out = bytearray(len(data))
    at = 0
    for kind, body in tls.split_handshake(data):
        out[at : at + 4] = data[at : at + 4]
        out[at + 4 : at + 4 + len(body)] = scrub_handshake(kind, body, mapping)
        at += 4 + len(body)
    out[at : at + 4] = data[at : at + 4]  # of one that is not whole, its type and length
    return bytes(out)
