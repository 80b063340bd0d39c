"""The name in a QUIC Initial: the one part of QUIC that any observer can read (RFC 9000, 9001, 9369).

Its keys follow from the client's first destination connection id, which is in clear, and its seal proves that it is
an Initial and nothing that looks like one. A ClientHello with a post-quantum key share spans several datagrams, so a
reader of a flow is fed with them in order.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from ccp_assess.errors import ParseError
from ccp_assess.wire import tls

VERSION_1, VERSION_2 = 0x00000001, 0x6B3343CF
_SALT_1 = bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")
_SALT_2 = bytes.fromhex("0dede3def700a6db819381be6e269dcbf9bd2ed9")
_SALT_DRAFT_29 = bytes.fromhex("afbfec289993d24c9e9786f19c6111e04390a899")
_SALT_DRAFT_23 = bytes.fromhex("c3eef712c72ebb5a11a7d2432bb46365bef9f502")
_MAX_HELLO_BYTES = 16 * 1024
_MAX_DATAGRAMS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class LongHeader:
    """The clear part of a long-header packet.

    Parameters
    ----------
    version
        0 for version negotiation.
    is_initial
        Whether it is an Initial, whose keys are public.
    destination_id, source_id
        Connection ids.
    packet
        The packet from its first byte to the end of its length.
    number_offset
        Where the protected packet number begins in ``packet``; 0 where the version is unknown.
    size
        Bytes of the datagram up to the next coalesced packet.
    """

    version: int
    is_initial: bool
    destination_id: bytes
    source_id: bytes
    packet: bytes
    number_offset: int
    size: int

    @property
    def version_name(self) -> str:
        """Such as ``QUICv1``."""
        return version_name(self.version)


def version_name(version: int) -> str:
    """Name a QUIC version.

    Parameters
    ----------
    version
        Four bytes of a long header.

    Returns
    -------
    name
        Such as ``QUICv1`` or ``QUIC-draft29``; Google's own as ``Q050``.
    """
    if version in {VERSION_1, VERSION_2}:
        return "QUICv1" if version == VERSION_1 else "QUICv2"
    if version >> 8 == 0xFF0000:
        return f"QUIC-draft{version & 0xFF}"
    if version >> 24 in b"QT" and all(0x30 <= byte <= 0x39 for byte in version.to_bytes(4, "big")[1:]):
        return version.to_bytes(4, "big").decode("ascii")
    return f"QUIC-0x{version:08x}"


def _salt(version: int) -> bytes | None:
    if version == VERSION_1:
        return _SALT_1
    if version == VERSION_2:
        return _SALT_2
    if version >> 8 == 0xFF0000 and 29 <= version & 0xFF <= 34:
        return _SALT_1 if version & 0xFF > 32 else _SALT_DRAFT_29
    if version >> 8 == 0xFF0000 and 23 <= version & 0xFF <= 28:
        return _SALT_DRAFT_23
    return None


def looks_like_quic(data: bytes) -> bool:
    """Tell whether a datagram begins with a QUIC long header of a known version.

    Parameters
    ----------
    data
        Beginning of a datagram.

    Returns
    -------
    is_quic
        Whether it is worth parsing.
    """
    return (
        len(data) >= 7
        and data[0] & 0x80 != 0
        and not version_name(int.from_bytes(data[1:5], "big")).startswith("QUIC-0x")
        and data[5] <= 20
    )


def _variable_integer(data: bytes, position: int) -> tuple[int, int]:
    if position >= len(data):
        raise ParseError(f"QUIC integer at byte {position} is cut")
    width = 1 << (data[position] >> 6)
    if position + width > len(data):
        raise ParseError(f"QUIC integer at byte {position} is cut")
    value = int.from_bytes(data[position : position + width], "big") & (1 << 8 * width - 2) - 1
    return value, position + width


def parse_long_header(data: bytes) -> LongHeader:
    """Read the clear part of a long-header packet.

    Parameters
    ----------
    data
        From the first byte of the packet.

    Returns
    -------
    header
        Version, ids, and where the protected part begins.

    Raises
    ------
    ParseError
        If it is no long header or is cut.
    """
    if len(data) < 7 or not data[0] & 0x80:
        raise ParseError("bytes are no QUIC long header")
    version = int.from_bytes(data[1:5], "big")
    position = 5
    ids: list[bytes] = []
    for _ in range(2):
        if position >= len(data) or data[position] > 20 or position + 1 + data[position] > len(data):
            raise ParseError(f"QUIC connection id at byte {position} is cut or too long")
        ids.append(bytes(data[position + 1 : position + 1 + data[position]]))
        position += 1 + data[position]
    kind = data[0] >> 4 & 3
    is_initial = _salt(version) is not None and kind == (1 if version == VERSION_2 else 0)
    if not is_initial:
        return LongHeader(
            version=version,
            is_initial=False,
            destination_id=ids[0],
            source_id=ids[1],
            packet=bytes(data),
            number_offset=0,
            size=_size_of_other(data, position, version, kind),
        )
    token_length, position = _variable_integer(data, position)
    position += token_length
    length, position = _variable_integer(data, position)
    return LongHeader(
        version=version,
        is_initial=True,
        destination_id=ids[0],
        source_id=ids[1],
        packet=bytes(data[: position + length]),
        number_offset=position,
        size=position + length,
    )


def _size_of_other(data: bytes, position: int, version: int, kind: int) -> int:
    retry = 0 if version == VERSION_2 else 3
    if _salt(version) is None or kind == retry:
        return len(data)
    length, position = _variable_integer(data, position)
    return position + length


def _expand_label(secret: bytes, label: str, size: int) -> bytes:
    # HKDF-Expand-Label of RFC 8446 section 7.1 with an empty context; one round of SHA-256 is enough here.
    name = b"tls13 " + label.encode()
    info = size.to_bytes(2, "big") + bytes([len(name)]) + name + b"\x00"
    return hmac.new(secret, info + b"\x01", hashlib.sha256).digest()[:size]


def _keys(version: int, salt: bytes, key_id: bytes, whose: str) -> tuple[bytes, bytes, bytes]:
    secret = _expand_label(hmac.new(salt, key_id, hashlib.sha256).digest(), whose, 32)
    prefix = "quicv2" if version == VERSION_2 else "quic"
    return (
        _expand_label(secret, f"{prefix} key", 16),
        _expand_label(secret, f"{prefix} iv", 12),
        _expand_label(secret, f"{prefix} hp", 16),
    )


def client_keys(version: int, key_id: bytes) -> tuple[bytes, bytes, bytes]:
    """Derive the keys of a client's Initials (RFC 9001, section 5.2).

    Parameters
    ----------
    version
        Of the long header.
    key_id
        Destination connection id of the client's first Initial.

    Returns
    -------
    key, iv, header_key
        Of AES-128-GCM, and of the protection of headers.

    Raises
    ------
    ParseError
        If the version is unknown.
    """
    salt = _salt(version)
    if salt is None:
        raise ParseError(f"QUIC version 0x{version:08x} is unknown")
    return _keys(version, salt, key_id, "client in")


def decrypt_initial(header: LongHeader, key_id: bytes, *, from_server: bool = False) -> bytes:
    """Remove the protection of an Initial.

    Parameters
    ----------
    header
        An Initial.
    key_id
        Destination connection id of the client's first Initial.
    from_server
        Whose keys to use.

    Returns
    -------
    frames
        The frames.

    Raises
    ------
    ParseError
        If the packet is no Initial of a known version, too short, or not sealed with these keys.
    """
    salt = _salt(header.version)
    if salt is None or not header.is_initial:
        raise ParseError("only a QUIC Initial of a known version can be read")
    offset, packet = header.number_offset, header.packet
    if len(packet) < offset + 20 or len(packet) < header.size:
        raise ParseError("QUIC Initial is too short or cut by the capture")
    key, iv, hp = _keys(header.version, salt, key_id, "server in" if from_server else "client in")
    mask = header_mask(hp, packet[offset + 4 : offset + 20])
    first = packet[0] ^ (mask[0] & 0x0F)
    width = (first & 3) + 1
    number = bytes(a ^ b for a, b in zip(packet[offset : offset + width], mask[1:], strict=False))
    nonce = (int.from_bytes(iv, "big") ^ int.from_bytes(number, "big")).to_bytes(12, "big")
    clear = bytes([first]) + packet[1:offset] + number
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415  (few captures hold QUIC; all would pay)
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

    try:
        return AESGCM(key).decrypt(nonce, packet[offset + width :], clear)
    except InvalidTag:
        raise ParseError("QUIC Initial is not sealed with the keys of this connection id") from None


def header_mask(key: bytes, sample: bytes) -> bytes:
    """Compute the mask that hides packet number and flags (RFC 9001, section 5.4.3).

    Parameters
    ----------
    key
        Of the protection of headers.
    sample
        16 bytes of the protected part.

    Returns
    -------
    mask
        16 bytes.
    """
    # A single block is encrypted, hence ECB.
    from cryptography.hazmat.primitives.ciphers import Cipher  # noqa: PLC0415
    from cryptography.hazmat.primitives.ciphers.algorithms import AES  # noqa: PLC0415
    from cryptography.hazmat.primitives.ciphers.modes import ECB  # noqa: PLC0415

    return Cipher(AES(key), ECB()).encryptor().update(sample)  # noqa: S305


def parse_crypto_frames(frames: bytes) -> dict[int, bytes]:
    """Read the CRYPTO frames of a decrypted Initial.

    Parameters
    ----------
    frames
        From :func:`decrypt_initial`.

    Returns
    -------
    pieces
        Handshake bytes by offset.

    Raises
    ------
    ParseError
        If there is anything that an Initial may not hold: then the key was wrong.
    """
    pieces: dict[int, bytes] = {}
    position = 0
    while position < len(frames):
        kind = frames[position]
        position += 1
        if kind in {0x00, 0x01}:  # PADDING, PING
            continue
        if kind == 0x06:
            offset, position = _variable_integer(frames, position)
            size, position = _variable_integer(frames, position)
            if position + size > len(frames) or offset > _MAX_HELLO_BYTES:
                raise ParseError("QUIC CRYPTO frame reaches beyond its packet")
            pieces[offset] = frames[position : position + size]
            position += size
        elif kind in {0x02, 0x03}:
            position = _skip_ack(frames, position, has_ecn=kind == 0x03)
        elif kind == 0x1C:  # CONNECTION_CLOSE is the last of interest
            break
        else:
            raise ParseError(f"QUIC frame type 0x{kind:02x} cannot stand in an Initial")
    return pieces


def _skip_ack(frames: bytes, position: int, *, has_ecn: bool) -> int:
    for _ in range(2):
        _, position = _variable_integer(frames, position)
    ranges, position = _variable_integer(frames, position)
    for _ in range(1 + 2 * min(ranges, len(frames)) + 3 * has_ecn):
        _, position = _variable_integer(frames, position)
    return position


class InitialReader:
    """Collects the client's Initials of one flow until its ClientHello is whole.

    Feed it with the client's datagrams in order; it keeps at most 16 KiB.
    """

    def __init__(self) -> None:
        self.version: str | None = None
        self.client_hello: tls.ClientHello | None = None
        self._key_id: bytes | None = None
        self._pieces: dict[int, bytes] = {}
        self._datagrams = 0

    @property
    def is_done(self) -> bool:
        """Whether more datagrams cannot add anything."""
        return self.client_hello is not None or self._datagrams >= _MAX_DATAGRAMS

    def feed(self, datagram: bytes) -> None:
        """Read one more datagram of the client.

        Parameters
        ----------
        datagram
            Its payload; whatever is not a readable Initial is passed over.
        """
        if self.is_done:
            return
        self._datagrams += 1
        position = 0
        while position < len(datagram) and datagram[position] & 0x80:
            try:
                header = parse_long_header(datagram[position:])
            except ParseError:
                return
            self.version = self.version or header.version_name
            if header.is_initial:
                self._read(header)
            position += max(header.size, 1)

    def _read(self, header: LongHeader) -> None:
        # After a Retry the client derives its keys anew from the id that the server chose.
        candidates = [header.destination_id] if self._key_id is None else [self._key_id, header.destination_id]
        for key_id in dict.fromkeys(candidates):
            try:
                pieces = parse_crypto_frames(decrypt_initial(header, key_id))
            except ParseError:
                continue
            if key_id != self._key_id:
                self._key_id, self._pieces = key_id, {}
            self._pieces.update(pieces)
            self._try_hello()
            return

    def _try_hello(self) -> None:
        data = bytearray()
        for offset in sorted(self._pieces):
            if offset > len(data):
                return
            piece = self._pieces[offset]
            data[offset : offset + len(piece)] = piece
        for kind, body in tls.split_handshake(bytes(data)):
            if kind == tls.CLIENT_HELLO:
                try:
                    self.client_hello = tls.parse_client_hello(body)
                except ParseError:
                    self._pieces = {}
                return
