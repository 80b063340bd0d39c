"""STUN Binding requests that carry their own number: each measured packet has a fresh transaction id.

The number comes back in the answer, and in what a router quotes of the request. So an answer, a late one, a copy and
the report of a router are each told apart without a look at the time.
"""

from __future__ import annotations

import secrets
import struct

from ccp_assess.errors import ParseError
from ccp_assess.wire.stun import HEADER_BYTES, MAGIC_COOKIE, Endpoint, parse_message

REQUEST, SUCCESS, FAILURE = 0x0001, 0x0101, 0x0111
"""Message types of Binding (RFC 8489, section 5)."""

PADDING = 0xC0DE
"""An attribute that nobody knows and that a server must skip (comprehension-optional, RFC 8489, section 14)."""

_MAPPED_V4 = struct.Struct("!HI")
_HEAD = struct.Struct("!HHI8sI")


class NumberedBindings:
    """Write numbered Binding requests and find the numbers again.

    Parameters
    ----------
    salt
        Eight bytes that tell our messages from everyone else's; random if not given.
    """

    def __init__(self, salt: bytes | None = None) -> None:
        self.salt = secrets.token_bytes(8) if salt is None else salt

    def request(self, number: int, *, total_bytes: int = HEADER_BYTES) -> bytes:
        """Write a request.

        Parameters
        ----------
        number
            0 to 2**32 - 1.
        total_bytes
            Its length; above the header's 20 it is filled by one padding attribute, so 24 is the next possible.

        Returns
        -------
        data
            The message; its length is a multiple of 4.
        """
        body = max(total_bytes - HEADER_BYTES, 0) // 4 * 4
        padding = struct.pack("!HH", PADDING, body - 4) + bytes(body - 4) if body else b""
        return _HEAD.pack(REQUEST, body, MAGIC_COOKIE, self.salt, number) + padding

    def number_of(self, data: bytes) -> int | None:
        """Find the number of one of our messages.

        Parameters
        ----------
        data
            An answer, or what a router quoted.

        Returns
        -------
        number
            ``None`` if it is too short or none of ours.
        """
        if len(data) < HEADER_BYTES:
            return None
        _, _, cookie, salt, number = _HEAD.unpack_from(data)
        return int(number) if cookie == MAGIC_COOKIE and salt == self.salt else None

    def is_answer(self, data: bytes) -> bool:
        """Tell whether it is an answer to one of our requests; an error is an answer, too."""
        return self.number_of(data) is not None and int.from_bytes(data[:2], "big") in {SUCCESS, FAILURE}


def mapped_address(data: bytes) -> tuple[str, int] | None:
    """Return the address and port that a server saw our request come from.

    Parameters
    ----------
    data
        Its answer: hostile.

    Returns
    -------
    mapped
        ``None`` where it does not say.
    """
    # Nearly every answer has it first, for IPv4; thousands a minute come while something is measured.
    if data[20:26] == b"\0\x20\0\x08\0\x01" and len(data) >= 32:
        port, address = _MAPPED_V4.unpack_from(data, 26)
        address ^= MAGIC_COOKIE
        text = f"{address >> 24}.{address >> 16 & 255}.{address >> 8 & 255}.{address & 255}"
        return text, port ^ MAGIC_COOKIE >> 16
    try:
        mapped = parse_message(data).get("XOR-MAPPED-ADDRESS")
    except ParseError:
        return None
    return (mapped.address, mapped.port) if isinstance(mapped, Endpoint) else None
