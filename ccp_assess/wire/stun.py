"""STUN and TURN messages and ChannelData: bytes to values and back (RFC 8489, 8656, 6062, 8445, 5780).

One table, :data:`ATTRIBUTES`, says how each attribute is read and written; a new attribute is a new row.
``parse_message`` and ``build_message`` are inverse for whole messages. A capture may have cut a message short
(snaplen): then what is whole is kept and :attr:`Message.cut` says so. Nothing here knows a socket or a clock.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv6Address, ip_address
from typing import Any, NamedTuple

from ccp_assess.errors import ParseError

MAGIC_COOKIE = 0x2112A442
HEADER_BYTES = 20
FINGERPRINT_XOR = 0x5354554E


class MessageClass(IntEnum):
    """The two class bits of a message type (RFC 8489, section 5)."""

    REQUEST = 0
    INDICATION = 1
    SUCCESS = 2
    ERROR = 3


class Method(IntEnum):
    """Registered STUN methods, and the unregistered GOOG-PING that browsers built on libwebrtc use."""

    BINDING = 0x001
    SHARED_SECRET = 0x002
    ALLOCATE = 0x003
    REFRESH = 0x004
    SEND = 0x006
    DATA = 0x007
    CREATE_PERMISSION = 0x008
    CHANNEL_BIND = 0x009
    CONNECT = 0x00A
    CONNECTION_BIND = 0x00B
    CONNECTION_ATTEMPT = 0x00C
    GOOG_PING = 0x080


METHOD_NAMES = {int(method): method.name.lower() for method in Method}
"""Names of methods as the JSON contract writes them."""


class Endpoint(NamedTuple):
    """An address with its port.

    Parameters
    ----------
    address
        IPv4 or IPv6 in its canonical text form.
    port
        UDP or TCP port.
    """

    address: str
    port: int


class ErrorCode(NamedTuple):
    """Value of ERROR-CODE.

    Parameters
    ----------
    code
        300 to 699.
    reason
        Phrase that the server wrote: hostile text.
    """

    code: int
    reason: str


Decoder = Callable[[bytes, bytes], Any]
Encoder = Callable[[Any, bytes], bytes]


def _decode_address(value: bytes, _transaction_id: bytes) -> Endpoint:
    if len(value) < 4:
        raise ParseError(f"STUN address of {len(value)} bytes is too short")
    family, port = value[1], int.from_bytes(value[2:4], "big")
    if family == 1 and len(value) == 8:
        return Endpoint(f"{value[4]}.{value[5]}.{value[6]}.{value[7]}", port)
    if family == 2 and len(value) == 20:
        return Endpoint(str(IPv6Address(value[4:])), port)
    raise ParseError(f"STUN address has family {family} with {len(value)} bytes")


def _encode_address(value: tuple[str, int], _transaction_id: bytes) -> bytes:
    address = ip_address(value[0])
    return struct.pack("!BBH", 0, 1 if address.version == 4 else 2, value[1]) + address.packed


_XOR_HEAD = b"\x00\x00" + MAGIC_COOKIE.to_bytes(4, "big")[:2] + MAGIC_COOKIE.to_bytes(4, "big")


def _xor(value: bytes, transaction_id: bytes) -> bytes:
    # The port is XORed with the upper half of the cookie, the address with cookie and transaction id.
    key = (_XOR_HEAD + transaction_id[-12:])[: len(value)]
    return (int.from_bytes(value, "big") ^ int.from_bytes(key, "big")).to_bytes(len(value), "big")


def _decode_xor_address(value: bytes, transaction_id: bytes) -> Endpoint:
    if len(value) not in {8, 20}:
        raise ParseError(f"STUN XOR address of {len(value)} bytes; it has 8 or 20")
    return _decode_address(_xor(value, transaction_id), transaction_id)


def _encode_xor_address(value: tuple[str, int], transaction_id: bytes) -> bytes:
    return _xor(_encode_address(value, transaction_id), transaction_id)


def _decode_error(value: bytes, _transaction_id: bytes) -> ErrorCode:
    if len(value) < 4:
        raise ParseError(f"STUN ERROR-CODE of {len(value)} bytes is too short")
    return ErrorCode((value[2] & 7) * 100 + value[3], value[4:].decode("utf-8", "replace"))


def _encode_error(value: tuple[int, str], _transaction_id: bytes) -> bytes:
    hundreds, rest = divmod(value[0], 100)
    return struct.pack("!HBB", 0, hundreds, rest) + value[1].encode()


def _decode_unsigned(width: int, shift: int = 0) -> Decoder:
    def decode(value: bytes, _transaction_id: bytes) -> int:
        if len(value) != width:
            raise ParseError(f"STUN number of {len(value)} bytes; it has {width}")
        return int.from_bytes(value, "big") >> shift

    return decode


def _encode_unsigned(width: int, shift: int = 0) -> Encoder:
    def encode(value: int, _transaction_id: bytes) -> bytes:
        return (value << shift).to_bytes(width, "big")

    return encode


def _decode_text(value: bytes, _transaction_id: bytes) -> str:
    return value.decode("utf-8", "replace")


def _encode_text(value: str, _transaction_id: bytes) -> bytes:
    return value.encode()


def _decode_bytes(value: bytes, _transaction_id: bytes) -> bytes:
    return bytes(value)


def _encode_bytes(value: bytes, _transaction_id: bytes) -> bytes:
    return value


def _decode_types(value: bytes, _transaction_id: bytes) -> tuple[int, ...]:
    return tuple(int.from_bytes(value[i : i + 2], "big") for i in range(0, len(value) - 1, 2))


def _encode_types(value: Iterable[int], _transaction_id: bytes) -> bytes:
    return b"".join(number.to_bytes(2, "big") for number in value)


def _decode_flag(_value: bytes, _transaction_id: bytes) -> bool:
    return True


def _encode_flag(_value: bool, _transaction_id: bytes) -> bytes:  # noqa: FBT001 -- the table's one signature
    return b""


_PLAIN_ADDRESS = (_decode_address, _encode_address)
_XOR_ADDRESS = (_decode_xor_address, _encode_xor_address)
_TEXT = (_decode_text, _encode_text)
_BYTES = (_decode_bytes, _encode_bytes)
_U32 = (_decode_unsigned(4), _encode_unsigned(4))
_U64 = (_decode_unsigned(8), _encode_unsigned(8))
_TOP_BYTE = (_decode_unsigned(4, 24), _encode_unsigned(4, 24))
_TOP_HALF = (_decode_unsigned(4, 16), _encode_unsigned(4, 16))
_FLAG = (_decode_flag, _encode_flag)
_TYPES = (_decode_types, _encode_types)

ATTRIBUTES: dict[int, tuple[str, tuple[Decoder, Encoder]]] = {
    0x0001: ("MAPPED-ADDRESS", _PLAIN_ADDRESS),
    0x0002: ("RESPONSE-ADDRESS", _PLAIN_ADDRESS),
    0x0003: ("CHANGE-REQUEST", _U32),
    0x0004: ("SOURCE-ADDRESS", _PLAIN_ADDRESS),
    0x0005: ("CHANGED-ADDRESS", _PLAIN_ADDRESS),
    0x0006: ("USERNAME", _TEXT),
    0x0007: ("PASSWORD", _BYTES),
    0x0008: ("MESSAGE-INTEGRITY", _BYTES),
    0x0009: ("ERROR-CODE", (_decode_error, _encode_error)),
    0x000A: ("UNKNOWN-ATTRIBUTES", _TYPES),
    0x000B: ("REFLECTED-FROM", _PLAIN_ADDRESS),
    0x000C: ("CHANNEL-NUMBER", _TOP_HALF),
    0x000D: ("LIFETIME", _U32),
    0x0010: ("BANDWIDTH", _U32),
    0x0012: ("XOR-PEER-ADDRESS", _XOR_ADDRESS),
    0x0013: ("DATA", _BYTES),
    0x0014: ("REALM", _TEXT),
    0x0015: ("NONCE", _BYTES),
    0x0016: ("XOR-RELAYED-ADDRESS", _XOR_ADDRESS),
    0x0017: ("REQUESTED-ADDRESS-FAMILY", _TOP_BYTE),
    0x0018: ("EVEN-PORT", (_decode_unsigned(1, 7), _encode_unsigned(1, 7))),
    0x0019: ("REQUESTED-TRANSPORT", _TOP_BYTE),
    0x001A: ("DONT-FRAGMENT", _FLAG),
    0x001B: ("ACCESS-TOKEN", _BYTES),
    0x001C: ("MESSAGE-INTEGRITY-SHA256", _BYTES),
    0x001D: ("PASSWORD-ALGORITHM", _BYTES),
    0x001E: ("USERHASH", _BYTES),
    0x0020: ("XOR-MAPPED-ADDRESS", _XOR_ADDRESS),
    0x0022: ("RESERVATION-TOKEN", _BYTES),
    0x0024: ("PRIORITY", _U32),
    0x0025: ("USE-CANDIDATE", _FLAG),
    0x0026: ("PADDING", _BYTES),
    0x0027: ("RESPONSE-PORT", _TOP_HALF),
    0x002A: ("CONNECTION-ID", _U32),
    0x8000: ("ADDITIONAL-ADDRESS-FAMILY", _TOP_BYTE),
    0x8001: ("ADDRESS-ERROR-CODE", _BYTES),
    0x8002: ("PASSWORD-ALGORITHMS", _BYTES),
    0x8003: ("ALTERNATE-DOMAIN", _TEXT),
    0x8004: ("ICMP", _BYTES),
    0x8020: ("XOR-MAPPED-ADDRESS-DRAFT", _XOR_ADDRESS),
    0x8022: ("SOFTWARE", _TEXT),
    0x8023: ("ALTERNATE-SERVER", _PLAIN_ADDRESS),
    0x8025: ("TRANSACTION-TRANSMIT-COUNTER", _U32),
    0x8027: ("CACHE-TIMEOUT", _U32),
    0x8028: ("FINGERPRINT", _U32),
    0x8029: ("ICE-CONTROLLED", _U64),
    0x802A: ("ICE-CONTROLLING", _U64),
    0x802B: ("RESPONSE-ORIGIN", _PLAIN_ADDRESS),
    0x802C: ("OTHER-ADDRESS", _PLAIN_ADDRESS),
    0x802D: ("ECN-CHECK", _U32),
    0x802E: ("THIRD-PARTY-AUTHORIZATION", _TEXT),
    0x8030: ("MOBILITY-TICKET", _BYTES),
    0xC001: ("GOOG-NETWORK-INFO", _U32),
    0xC057: ("NETWORK-COST", _U32),
    0xC058: ("GOOG-MISC-INFO", _BYTES),
    0xC059: ("GOOG-OBSOLETE-1", _BYTES),
    0xC05A: ("GOOG-CONNECTION-ID", _BYTES),
    0xC05B: ("GOOG-DELTA", _BYTES),
    0xC05C: ("GOOG-DELTA-ACK", _BYTES),
    0xC060: ("GOOG-MESSAGE-INTEGRITY-32", _BYTES),
}
"""Number of an attribute → its name and how its value is read and written (IANA registry, libwebrtc)."""

ATTRIBUTE_NUMBERS = {name: number for number, (name, _) in ATTRIBUTES.items()}

_MESSAGE_INTEGRITY = ATTRIBUTE_NUMBERS["MESSAGE-INTEGRITY"]
_MESSAGE_INTEGRITY_SHA256 = ATTRIBUTE_NUMBERS["MESSAGE-INTEGRITY-SHA256"]
_FINGERPRINT = ATTRIBUTE_NUMBERS["FINGERPRINT"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One STUN message.

    Parameters
    ----------
    method
        12-bit method; names of known ones are in :data:`METHOD_NAMES`.
    message_class
        Request, indication, success or error.
    transaction_id
        12 bytes; 16 (cookie place included) for a classic message of RFC 3489.
    attributes
        Name and value in the order of the wire; an unknown attribute is named ``0x1234`` and keeps its bytes.
    classic
        Whether the magic cookie is missing (RFC 3489).
    cut
        Whether the capture kept only the beginning of the message.
    """

    method: int
    message_class: MessageClass
    transaction_id: bytes
    attributes: tuple[tuple[str, Any], ...] = ()
    classic: bool = False
    cut: bool = False

    @property
    def method_name(self) -> str:
        """Name of the method, or ``method_0x123`` for an unknown one."""
        return METHOD_NAMES.get(self.method, f"method_0x{self.method:03x}")

    def get(self, name: str) -> Any:
        """Give the first value of an attribute.

        Parameters
        ----------
        name
            Such as ``XOR-MAPPED-ADDRESS``.

        Returns
        -------
        value
            ``None`` if the message does not have it.
        """
        return next((value for key, value in self.attributes if key == name), None)

    @property
    def error_code(self) -> int | None:
        """Code of ERROR-CODE, if there is one."""
        error = self.get("ERROR-CODE")
        return error.code if isinstance(error, ErrorCode) else None


class ChannelData(NamedTuple):
    """One ChannelData message (RFC 8656, section 12.4).

    Parameters
    ----------
    channel
        0x4000 to 0x7FFF (RFC 5766); 0x4000 to 0x4FFF since RFC 8656.
    data
        Application data as far as it was captured.
    length
        Its length on the wire.
    """

    channel: int
    data: bytes
    length: int


def message_type(method: int, message_class: int) -> int:
    """Join method and class into the 14-bit type field.

    Parameters
    ----------
    method
        12-bit method.
    message_class
        2-bit class.

    Returns
    -------
    message_type
        The first two bytes of the message.

    Examples
    --------
    >>> hex(message_type(Method.ALLOCATE, MessageClass.ERROR)), hex(message_type(Method.GOOG_PING, 0))
    ('0x113', '0x200')
    """
    return (
        (method & 0xF80) << 2
        | (method & 0x070) << 1
        | (method & 0x00F)
        | (message_class & 2) << 7
        | (message_class & 1) << 4
    )


_CLASSES = tuple(MessageClass(number) for number in range(4))


def split_type(number: int) -> tuple[int, MessageClass]:
    """Split the type field into method and class, the inverse of :func:`message_type`.

    Parameters
    ----------
    number
        The first two bytes of the message.

    Returns
    -------
    method
        12-bit method.
    message_class
        Request, indication, success or error.
    """
    method = (number & 0x3E00) >> 2 | (number & 0x00E0) >> 1 | (number & 0x000F)
    return method, _CLASSES[(number & 0x0100) >> 7 | (number & 0x0010) >> 4]


def looks_like_stun(data: bytes, length: int | None = None) -> bool:
    """Tell STUN from other datagrams by cookie, type bits and length (RFC 7983, RFC 8489 section 6.3).

    Parameters
    ----------
    data
        Beginning of a datagram.
    length
        Its length on the wire, where the capture cut it.

    Returns
    -------
    is_stun
        Whether it is worth parsing; classic messages without a cookie are not recognised here.
    """
    total = len(data) if length is None else length
    return (
        len(data) >= 8
        and data[0] < 0x40
        and data[4:8] == b"\x21\x12\xa4\x42"
        and (data[3] & 3 == 0 or int.from_bytes(data[2:4], "big") + HEADER_BYTES == total)
        and int.from_bytes(data[2:4], "big") + HEADER_BYTES <= total
    )


def parse_message(data: bytes, *, length: int | None = None, allow_classic: bool = False) -> Message:
    """Read one STUN message.

    Parameters
    ----------
    data
        The message, from its first byte; what follows it is ignored.
    length
        Length of the datagram on the wire, if the capture cut it; then missing attributes are no error.
    allow_classic
        Also accept messages without magic cookie (RFC 3489); these must fit their length exactly.

    Returns
    -------
    message
        Its method, class and attributes.

    Raises
    ------
    ParseError
        If the bytes are no STUN message, with what was wrong.
    """
    if len(data) < HEADER_BYTES:
        raise ParseError(f"STUN message of {len(data)} bytes is shorter than its header of {HEADER_BYTES}")
    number, body_length, cookie = struct.unpack_from("!HHI", data)
    classic = cookie != MAGIC_COOKIE
    if number & 0xC000:
        raise ParseError(f"type 0x{number:04x} is no STUN message: its first two bits are not zero")
    total = max(len(data), length or 0)
    if body_length % 4 and body_length + HEADER_BYTES != total:  # some apps do not pad, but then the length is exact
        raise ParseError(f"STUN length {body_length} is no multiple of 4")
    if body_length + HEADER_BYTES > total:
        raise ParseError(f"STUN length {body_length} exceeds the {total - HEADER_BYTES} bytes that follow the header")
    if classic and (not allow_classic or body_length + HEADER_BYTES != total):
        raise ParseError("STUN message has no magic cookie")
    method, message_class = split_type(number)
    transaction_id = bytes(data[4:20] if classic else data[8:20])
    attributes, cut = _parse_attributes(data, body_length, transaction_id)
    return Message(
        method=method,
        message_class=message_class,
        transaction_id=transaction_id,
        attributes=attributes,
        classic=classic,
        cut=cut,
    )


def _parse_attributes(data: bytes, body_length: int, transaction_id: bytes) -> tuple[tuple[tuple[str, Any], ...], bool]:
    end = HEADER_BYTES + body_length
    attributes: list[tuple[str, Any]] = []
    position = HEADER_BYTES
    while position < end:
        if position + 4 > len(data):
            return tuple(attributes), True
        number, size = struct.unpack_from("!HH", data, position)
        value_end = position + 4 + size
        if value_end > end:
            raise ParseError(f"STUN attribute 0x{number:04x} at byte {position} reaches beyond the message")
        name, (decode, _) = ATTRIBUTES.get(number, (f"0x{number:04x}", _BYTES))
        if value_end > len(data):
            if name == "DATA":  # a cut Data indication still shows the beginning of what it carries
                attributes.append((name, bytes(data[position + 4 :])))
            return tuple(attributes), True
        attributes.append((name, decode(bytes(data[position + 4 : value_end]), transaction_id)))
        position = value_end + (-size) % 4
    return tuple(attributes), False


def build_message(
    message: Message,
    *,
    integrity_key: bytes | None = None,
    integrity_sha256_key: bytes | None = None,
    fingerprint: bool = False,
    padding: bytes = b"\x00",
) -> bytes:
    """Write one STUN message, the inverse of :func:`parse_message`.

    Parameters
    ----------
    message
        What to write; its attributes are written as they stand.
    integrity_key
        Key of MESSAGE-INTEGRITY (HMAC-SHA1) to append (RFC 8489, section 14.5); see :func:`long_term_key`.
    integrity_sha256_key
        Key of MESSAGE-INTEGRITY-SHA256 to append (section 14.6).
    fingerprint
        Whether to append FINGERPRINT (section 14.7).
    padding
        The byte that fills values to a multiple of 4 (any is allowed).

    Returns
    -------
    data
        The message.

    Raises
    ------
    ParseError
        If an attribute is unknown or too long to be written.
    """
    body = b"".join(
        _pack_attribute(_attribute_number(name), _encode_value(name, value, message.transaction_id), padding)
        for name, value in message.attributes
    )
    if integrity_key is not None:
        digest = _integrity(_header(message, len(body) + 24) + body, integrity_key, "sha1")
        body += _pack_attribute(_MESSAGE_INTEGRITY, digest, padding)
    if integrity_sha256_key is not None:
        digest = _integrity(_header(message, len(body) + 36) + body, integrity_sha256_key, "sha256")
        body += _pack_attribute(_MESSAGE_INTEGRITY_SHA256, digest, padding)
    if fingerprint:
        value = _crc(_header(message, len(body) + 8) + body)
        body += _pack_attribute(_FINGERPRINT, value.to_bytes(4, "big"), padding)
    if len(body) > 0xFFFF:
        raise ParseError(f"STUN body of {len(body)} bytes does not fit its 16-bit length")
    return _header(message, len(body)) + body


def _attribute_number(name: str) -> int:
    if name in ATTRIBUTE_NUMBERS:
        return ATTRIBUTE_NUMBERS[name]
    if name.startswith("0x"):
        return int(name, 16)
    raise ParseError(f"STUN attribute {name!r} is unknown")


def _encode_value(name: str, value: Any, transaction_id: bytes) -> bytes:
    number = _attribute_number(name)
    _, (_, encode) = ATTRIBUTES.get(number, ("", _BYTES))
    return encode(value, transaction_id)


def _pack_attribute(number: int, value: bytes, padding: bytes) -> bytes:
    return struct.pack("!HH", number, len(value)) + value + padding * (-len(value) % 4)


def _header(message: Message, body_length: int) -> bytes:
    number = message_type(message.method, message.message_class)
    cookie = b"" if message.classic else MAGIC_COOKIE.to_bytes(4, "big")
    return struct.pack("!HH", number, body_length & 0xFFFF) + cookie + message.transaction_id


def _integrity(data: bytes, key: bytes, algorithm: str) -> bytes:
    return hmac.new(key, data, algorithm).digest()


def _crc(data: bytes) -> int:
    return zlib.crc32(data) ^ FINGERPRINT_XOR


def long_term_key(username: str, realm: str, password: str) -> bytes:
    """Make the key of the long-term credential mechanism (RFC 8489, section 9.2.2, MD5 form).

    Parameters
    ----------
    username, realm, password
        The credential; the password already prepared by its profile.

    Returns
    -------
    key
        16 bytes for MESSAGE-INTEGRITY.
    """
    text = f"{username}:{realm}:{password}".encode()
    return hashlib.md5(text, usedforsecurity=False).digest()


def check_integrity(data: bytes, key: bytes) -> bool:
    """Check MESSAGE-INTEGRITY, or MESSAGE-INTEGRITY-SHA256 where that is the only one.

    Parameters
    ----------
    data
        A whole message.
    key
        Password (short-term) or :func:`long_term_key`.

    Returns
    -------
    is_right
        False also where neither attribute is present.
    """
    if len(data) > HEADER_BYTES + 0xFFFF:  # no message is so long: what follows it is none of it
        data = data[: HEADER_BYTES + 0xFFFF]
    position = _find_attribute(data, _MESSAGE_INTEGRITY)
    if position is not None and len(data) >= position + 24:
        covered = data[:2] + (position + 24 - HEADER_BYTES).to_bytes(2, "big") + data[4:position]
        return hmac.compare_digest(_integrity(covered, key, "sha1"), data[position + 4 : position + 24])
    position = _find_attribute(data, _MESSAGE_INTEGRITY_SHA256)
    if position is None:
        return False
    size = int.from_bytes(data[position + 2 : position + 4], "big")
    if not 16 <= size <= 32 or len(data) < position + 4 + size:  # it may be cut, but not below 16 bytes (section 14.6)
        return False
    covered = data[:2] + (position + 4 + size - HEADER_BYTES).to_bytes(2, "big") + data[4:position]
    digest = data[position + 4 : position + 4 + size]
    return hmac.compare_digest(_integrity(covered, key, "sha256")[:size], digest)


def check_fingerprint(data: bytes) -> bool | None:
    """Check FINGERPRINT.

    Parameters
    ----------
    data
        A whole message.

    Returns
    -------
    is_right
        ``None`` where the message has none.
    """
    position = _find_attribute(data, _FINGERPRINT)
    if position is None or len(data) < position + 8:
        return None
    covered = data[:2] + (position + 8 - HEADER_BYTES).to_bytes(2, "big") + data[4:position]
    return _crc(covered) == int.from_bytes(data[position + 4 : position + 8], "big")


def _find_attribute(data: bytes, wanted: int) -> int | None:
    position = HEADER_BYTES
    end = min(len(data), HEADER_BYTES + int.from_bytes(data[2:4], "big"))
    while position + 4 <= end:
        number, size = struct.unpack_from("!HH", data, position)
        if number == wanted:
            return position
        position += 4 + size + (-size) % 4
    return None


def parse_channel_data(data: bytes, *, length: int | None = None) -> ChannelData:
    """Read one ChannelData message; over UDP its padding may be absent.

    Parameters
    ----------
    data
        The message from its first byte.
    length
        Length of the datagram on the wire, if the capture cut it.

    Returns
    -------
    channel_data
        Channel and application data.

    Raises
    ------
    ParseError
        If the bytes are no ChannelData.
    """
    if len(data) < 4:
        raise ParseError(f"ChannelData of {len(data)} bytes is shorter than its header of 4")
    channel, size = struct.unpack_from("!HH", data)
    if not 0x4000 <= channel <= 0x7FFF:
        raise ParseError(f"0x{channel:04x} is no TURN channel number")
    total = max(len(data), length or 0)
    if size + 4 > total:
        raise ParseError(f"ChannelData length {size} exceeds the {total - 4} bytes that follow its header")
    return ChannelData(channel, bytes(data[4 : 4 + size]), size)


def build_channel_data(channel: int, data: bytes, *, pad: bool = False) -> bytes:
    """Write one ChannelData message.

    Parameters
    ----------
    channel
        0x4000 to 0x7FFF.
    data
        Application data.
    pad
        Fill to a multiple of 4, as TCP and TLS require (RFC 8656, section 12.5).

    Returns
    -------
    data
        The message.
    """
    return struct.pack("!HH", channel, len(data)) + data + (bytes(-len(data) % 4) if pad else b"")
