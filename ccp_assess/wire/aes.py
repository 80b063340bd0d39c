"""AES-128 in the forward direction, which is all that a QUIC Initial needs (FIPS 197).

The keys of a QUIC Initial are derived from bytes in clear, so nothing secret is handled here and constant time is not
a concern. Table-driven: about one millisecond for a datagram.
"""

from __future__ import annotations

from functools import cache

from ccp_assess.errors import ParseError

BLOCK_BYTES = 16
_ROUNDS = 10
Schedule = tuple[int, ...]


def _times_two(value: int) -> int:
    return (value << 1 ^ 0x11B) if value & 0x80 else value << 1


@cache
def _substitution() -> tuple[int, ...]:
    # Walk the multiplicative group with its generator 3 and, in step, with the inverse of 3.
    box = [0] * 256
    p = q = 1
    while True:
        p ^= _times_two(p)
        q ^= q << 1
        q ^= q << 2
        q ^= q << 4
        q &= 0xFF
        if q & 0x80:
            q ^= 0x09
        rotated = q | q << 8
        box[p] = (q ^ rotated >> 7 ^ rotated >> 6 ^ rotated >> 5 ^ rotated >> 4) & 0xFF ^ 0x63
        if p == 1:
            break
    box[0] = 0x63
    return tuple(box)


@cache
def _round_tables() -> tuple[tuple[int, ...], ...]:
    # SubBytes, ShiftRows' choice of byte and MixColumns of one byte in one look-up per row.
    first = []
    for value in _substitution():
        double = _times_two(value)
        first.append(double << 24 | value << 16 | value << 8 | double ^ value)
    tables = [tuple(first)]
    for _ in range(3):
        tables.append(tuple(word >> 8 | (word & 0xFF) << 24 for word in tables[-1]))
    return tuple(tables)


def expand_key(key: bytes) -> Schedule:
    """Expand a key of 16 bytes into the words of all rounds.

    Parameters
    ----------
    key
        16 bytes.

    Returns
    -------
    schedule
        44 words of 32 bits.

    Raises
    ------
    ParseError
        If the key has another length.
    """
    if len(key) != BLOCK_BYTES:
        raise ParseError(f"AES-128 key has {len(key)} bytes; it needs 16")
    box = _substitution()
    words = [int.from_bytes(key[i : i + 4], "big") for i in range(0, 16, 4)]
    constant = 1
    for index in range(4, 4 * (_ROUNDS + 1)):
        word = words[-1]
        if index % 4 == 0:
            word = (word << 8 | word >> 24) & 0xFFFFFFFF
            word = box[word >> 24] << 24 | box[word >> 16 & 255] << 16 | box[word >> 8 & 255] << 8 | box[word & 255]
            word ^= constant << 24
            constant = _times_two(constant)
        words.append(words[index - 4] ^ word)
    return tuple(words)


def encrypt_block(schedule: Schedule, block: bytes) -> bytes:
    """Encrypt one block of 16 bytes.

    Parameters
    ----------
    schedule
        From :func:`expand_key`.
    block
        16 bytes.

    Returns
    -------
    block
        16 bytes.
    """
    t0, t1, t2, t3 = _round_tables()
    s = int.from_bytes(block, "big")
    a, b, c, d = s >> 96, s >> 64 & 0xFFFFFFFF, s >> 32 & 0xFFFFFFFF, s & 0xFFFFFFFF
    a, b, c, d = a ^ schedule[0], b ^ schedule[1], c ^ schedule[2], d ^ schedule[3]
    for k in range(4, 4 * _ROUNDS, 4):
        a, b, c, d = (
            t0[a >> 24] ^ t1[b >> 16 & 255] ^ t2[c >> 8 & 255] ^ t3[d & 255] ^ schedule[k],
            t0[b >> 24] ^ t1[c >> 16 & 255] ^ t2[d >> 8 & 255] ^ t3[a & 255] ^ schedule[k + 1],
            t0[c >> 24] ^ t1[d >> 16 & 255] ^ t2[a >> 8 & 255] ^ t3[b & 255] ^ schedule[k + 2],
            t0[d >> 24] ^ t1[a >> 16 & 255] ^ t2[b >> 8 & 255] ^ t3[c & 255] ^ schedule[k + 3],
        )
    box = _substitution()
    result = 0
    for w, x, y, z, key in ((a, b, c, d, 40), (b, c, d, a, 41), (c, d, a, b, 42), (d, a, b, c, 43)):
        word = box[w >> 24] << 24 | box[x >> 16 & 255] << 16 | box[y >> 8 & 255] << 8 | box[z & 255]
        result = result << 32 | word ^ schedule[key]
    return result.to_bytes(16, "big")


def counter_mode(schedule: Schedule, nonce: bytes, data: bytes, first: int = 2) -> bytes:
    """Encrypt or decrypt in counter mode as GCM does (SP 800-38D): its payload begins at counter 2.

    Parameters
    ----------
    schedule
        From :func:`expand_key`.
    nonce
        12 bytes.
    data
        Any length.
    first
        Counter of the first block.

    Returns
    -------
    data
        The same length.
    """
    stream = b"".join(
        encrypt_block(schedule, nonce + (first + i).to_bytes(4, "big")) for i in range((len(data) + 15) // 16)
    )
    mask = int.from_bytes(stream[: len(data)], "big") if data else 0
    return (int.from_bytes(data, "big") ^ mask).to_bytes(len(data), "big") if data else b""
