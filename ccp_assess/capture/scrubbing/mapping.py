"""Everything that is mapped, from one key: addresses, names and hardware addresses."""

from __future__ import annotations

import hashlib
import hmac

from ccp_assess.capture.scrubbing.addresses import AddressMap
from ccp_assess.capture.scrubbing.keys import derive
from ccp_assess.capture.scrubbing.names import NameMap
from ccp_assess.ranges import IpRanges

_MULTICAST_V4, _MULTICAST_V6 = b"\x01\x00\x5e", b"\x33\x33"
MOST_REMEMBERED = 200_000


def mark_of(key: bytes) -> int:
    """Return what a mapped file carries, so that it is not mapped twice: it tells a key from others, nothing more.

    Parameters
    ----------
    key
        The client's key.

    Returns
    -------
    mark
        Of 32 bits, of which neither half is zero.
    """
    return int.from_bytes(derive(key, "mark")[:4], "big") | 0x0001_0001


class Mapping:
    """The mapping of one key.

    Parameters
    ----------
    key
        The client's key.
    ranges
        Published ranges, whose addresses stay.
    is_done
        Whether the file was mapped with this key before: then addresses and names stay as they are.
    """

    def __init__(self, key: bytes, ranges: IpRanges, *, is_done: bool = False) -> None:
        self._addresses = AddressMap(key, ranges)
        self._names = NameMap(key)
        self._secret = derive(key, "hardware addresses")
        self._known: dict[bytes, bytes] = {}
        self.is_done = is_done
        self.mark = mark_of(key)

    def address(self, packed: bytes) -> bytes:
        """Map an address as it stands on the wire.

        Parameters
        ----------
        packed
            4 or 16 bytes.

        Returns
        -------
        packed
            As many.
        """
        return packed if self.is_done else self._addresses.packed(packed)

    def address_text(self, address: str) -> str:
        """Map an address in its usual notation.

        Parameters
        ----------
        address
            IPv4 or IPv6.

        Returns
        -------
        address
            In the same notation.
        """
        return address if self.is_done else self._addresses.text(address)

    def label(self, label: bytes, parent: str) -> bytes:
        """Map one label of a host name; see ``NameMap.label``.

        Parameters
        ----------
        label
            As it stands on the wire.
        parent
            What stands right of it.

        Returns
        -------
        label
            Of the same length.
        """
        return label if self.is_done else self._names.label(label, parent)

    def host(self, name: bytes) -> bytes:
        """Map a host name, or any other text that names somebody.

        Parameters
        ----------
        name
            In text form.

        Returns
        -------
        name
            Of the same length.
        """
        return name if self.is_done else self._names.host(name)

    def letters(self, text: bytes) -> bytes:
        """Map a text to letters of the same length.

        Parameters
        ----------
        text
            Whatever stood there.

        Returns
        -------
        letters
            As many bytes.
        """
        return text if self.is_done else self._names.letters(text)

    def mac(self, address: bytes) -> bytes:
        """Map a hardware address; the same device stays the same, its maker is not told.

        Parameters
        ----------
        address
            6 bytes.

        Returns
        -------
        address
            Marked as locally given; broadcast stays, multicast loses the part that repeats an IP address.
        """
        if self.is_done or address in {b"\xff" * 6, bytes(6)}:
            return address
        if address[:3] == _MULTICAST_V4:
            return _MULTICAST_V4 + bytes(3)
        if address[:2] == _MULTICAST_V6:
            return _MULTICAST_V6 + bytes(4)
        found = self._known.get(address)
        if found is None:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            digest = hmac.new(self._secret, address, hashlib.sha256).digest()
            found = self._known[address] = bytes([digest[0] & 0xFC | 0x02 | address[0] & 1]) + digest[1:6]
        return found
