"""Addresses mapped so that neighbours stay neighbours, and blocks that must keep their meaning keep their place.

Two addresses that share their first *n* bits still share exactly *n* bits afterwards (Crypto-PAn): bit *n* is flipped
by a keyed function of the bits before it. That function is held at "no flip" along the way to a block that must not
move: published ranges of AWS stay as they are, and a private address stays in its private range. Since the whole is one
to one, nothing else can come to lie in those blocks.

References
----------
J. Xu, J. Fan, M. Ammar, S. Moon: Prefix-Preserving IP Address Anonymization, IEEE ICNP 2002.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from ccp_assess.capture.scrubbing.keys import derive
from ccp_assess.prefixes import Prefix, parse_prefix
from ccp_assess.ranges import EVERYTHING, IpRanges

BITS = {4: 32, 6: 128}
MOST_REMEMBERED = 200_000

UNCHANGED = (
    "0.0.0.0/32", "127.0.0.0/8", "255.255.255.255/32", "224.0.0.0/24", "192.0.0.0/24",
    "::/128", "::1/128", "ff01::/112", "ff02::/112",
)  # fmt: skip
"""Blocks whose addresses mean the same everywhere and name nobody."""

ANCHORED = (
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4",
    "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15",
    "fe80::/64", "fc00::/8", "fd00::/8", "ff00::/8", "2000::/3", "2001:db8::/32", "2001::/32", "2002::/16",
    *(f"ff0{scope:x}::/16" for scope in range(16)),
)  # fmt: skip
"""Blocks whose addresses change but stay inside: private, link-local, multicast, documentation, transition."""

_EMBEDDED_V4 = (0xFFFF << 32, 0x0064_FF9B << 96)
"""Upper 96 bits of IPv6 addresses that carry an IPv4 one: IPv4-mapped, and NAT64 (RFC 6052)."""


@dataclass(slots=True)
class _Block:
    """A block with those inside it; its own first bits never flip."""

    first: int
    last: int
    length: int
    is_unchanged: bool
    inside: list[_Block] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    edges: list[int] = field(default_factory=list)

    def find(self, value: int) -> _Block | None:
        at = bisect_right(self.starts, value) - 1
        return self.inside[at] if at >= 0 and value <= self.inside[at].last else None

    def close(self) -> None:
        for block in self.inside:
            self.starts.append(block.first)
            self.edges += (block.first, block.last)
            block.close()

    def shared_bits(self, value: int, bits: int) -> int:
        """Return how many bits more than it shares with any block inside must stay, so that those do not move."""
        at = bisect_left(self.edges, value)
        return max(
            (bits - (value ^ edge).bit_length() + 1 for edge in self.edges[max(at - 1, 0) : at + 1]),
            default=0,
        )


def _tree(version: int, unchanged: Iterable[Prefix], anchored: Iterable[Prefix]) -> _Block:
    root = _Block(0, (1 << BITS[version]) - 1, 0, is_unchanged=False)
    marked = {(p.first, -p.last, p.length): False for p in anchored if p.version == version}
    marked |= {(p.first, -p.last, p.length): True for p in unchanged if p.version == version}
    above = [root]
    for (first, minus_last, length), is_unchanged in sorted(marked.items()):
        while first > above[-1].last:
            above.pop()
        if above[-1].is_unchanged:  # inside a block that does not change at all
            continue
        block = _Block(first, -minus_last, length, is_unchanged)
        above[-1].inside.append(block)
        above.append(block)
    root.close()
    return root


class AddressMap:
    """Keyed, one-to-one, prefix-preserving mapping of IPv4 and IPv6 addresses.

    Parameters
    ----------
    key
        The client's key.
    ranges
        Published ranges, which stay as they are.
    """

    def __init__(self, key: bytes, ranges: IpRanges) -> None:
        secret = derive(key, "addresses")
        self._aes = Cipher(AES(secret[:16]), ECB())  # noqa: S305  (one block at a time, as a keyed function of a prefix)
        self._pad = int.from_bytes(self._aes.encryptor().update(secret[16:]), "big")
        published = ranges.prefixes(EVERYTHING)
        kept = [parse_prefix(text) for text in UNCHANGED] + list(published)
        anchored = [parse_prefix(text) for text in ANCHORED]
        self._trees = {version: _tree(version, kept, anchored) for version in BITS}
        self._known: dict[bytes, bytes] = {}

    def packed(self, address: bytes) -> bytes:
        """Map an address as it stands on the wire.

        Parameters
        ----------
        address
            4 or 16 bytes.

        Returns
        -------
        address
            As many.
        """
        found = self._known.get(address)
        if found is None:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            found = self._known[address] = self._map(address)
        return found

    def text(self, address: str) -> str:
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
        return str(ip_address(self.packed(ip_address(address).packed)))

    def _map(self, address: bytes) -> bytes:
        value = int.from_bytes(address, "big")
        if len(address) == 16 and value >> 32 << 32 in _EMBEDDED_V4:
            return address[:12] + self.packed(address[12:])
        version = 4 if len(address) == 4 else 6
        bits = BITS[version]
        block = self._trees[version]
        while (inner := block.find(value)) is not None:
            if inner.is_unchanged:
                return address
            block = inner
        kept = max(block.length, block.shared_bits(value, bits))
        return (value ^ self._flips(value, bits, kept)).to_bytes(len(address), "big")

    def _flips(self, value: int, bits: int, kept: int) -> int:
        """Return the bits to flip: each by a keyed function of those before it."""
        whole = value << (128 - bits)
        blocks = bytearray()
        for position in range(kept, bits):
            rest = (1 << (128 - position)) - 1
            # Version and position are mixed in by the padding: the same bits mean another block in IPv6.
            blocks += ((whole & ~rest) | (self._pad & rest) ^ (bits & rest)).to_bytes(16, "big")
        sealed = self._aes.encryptor().update(bytes(blocks))
        flips = 0
        for index, position in enumerate(range(kept, bits)):
            flips |= (sealed[16 * index] >> 7) << (bits - 1 - position)
        return flips
