"""Hashing for the tables of the compiled loops: open addressing, a part of the hash kept beside each row's number."""

# mypy: disable-error-code="no-any-return,return-value"
# (numpy gives numbers of its own; the compiler checks them)

from __future__ import annotations

import numpy as np

from ccp_assess.wire.compiled import inlined

EMPTY = -1
"""Entry of an index where no row stands."""


@inlined
def mixed(value: int) -> int:
    """Scatter the bits of a number (the finaliser of SplitMix64)."""
    z = np.uint64(value)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64(z ^ (z >> np.uint64(31)))


@inlined
def entry_of(digest: int, row: int) -> int:
    """Make an entry of an index: 31 bits of the hash above the number of the row; never negative.

    A look-up compares the bits first and so reads rows of other keys almost never.
    """
    return ((digest >> 1) & 0x7FFFFFFF00000000) | row


@inlined
def has_bits_of(entry: int, digest: int) -> bool:
    """Tell whether an entry may be of a key with this hash."""
    return (entry ^ (digest >> 1)) & 0x7FFFFFFF00000000 == 0


@inlined
def row_of(entry: int) -> int:
    """Return the number of the row that an entry stands for."""
    return entry & 0xFFFFFFFF
