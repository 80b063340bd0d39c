"""Sequence numbers of one RTP stream: lost, double, late, begun anew (RFC 3550 A.1, A.3; RFC 3611); what is no RTP."""

# ruff: noqa: FBT001  (compiled loops take plain positional arguments)

# mypy: disable-error-code="attr-defined,return-value,assignment,arg-type,operator,no-any-return"
# (numpy gives the fields of rows no types; the compiler checks them)

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ccp_assess.traffic.streamtable import WINDOW
from ccp_assess.wire.compiled import helper, inlined

Table = npt.NDArray[np.void]

ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
"""A word of the window in which every number was seen."""

DUPLICATE_WINDOW = 500
LARGEST_STEP = 3_000
"""RFC 3550 A.1, MAX_DROPOUT: a larger jump of sequence numbers may be a restart."""
MOST_MISORDERED = 100
"""RFC 3550 A.1, MAX_MISORDER: a packet that is further behind, and yet newer by its time stamp, is a restart."""


@inlined
def signed16(value: int) -> int:
    """Difference of sequence numbers."""
    return ((value + 0x8000) & 0xFFFF) - 0x8000


@inlined
def signed32(value: int) -> int:
    """Difference of time stamps."""
    return ((value + 0x80000000) & 0xFFFFFFFF) - 0x80000000


@inlined
def plausible_pair(sequence_step: int, timestamp_step: int, gap_ns: int) -> int:
    """Judge two packets that follow each other: 1 progress, 0 says nothing (a duplicate), -1 not RTP."""
    if sequence_step == 0:
        return 0 if timestamp_step == 0 else -1
    most = 200_000 + max(gap_ns, 0) // 10_000  # 100 kHz, and two seconds of slack
    if abs(timestamp_step) > most:
        return -1
    if 0 < sequence_step <= 50:
        return 1 if timestamp_step > -20_000 else -1
    if -50 <= sequence_step < 0:
        return 1 if timestamp_step < 20_000 else -1
    if 0 < sequence_step <= LARGEST_STEP and sequence_step <= 2_000 * (gap_ns // 1_000_000_000 + 1):
        return 1 if timestamp_step > 0 else -1
    return -1


@helper
def is_plausible(rows: Table, first: int, count: int) -> bool:
    """Judge the first packets of a source."""
    good = 0
    bad = 0
    types = 0
    last_type = -1
    for k in range(first + 1, first + count):
        one = rows[k - 1]
        two = rows[k]
        verdict = plausible_pair(
            signed16(np.int64(two.sequence) - np.int64(one.sequence)),
            signed32(np.int64(two.timestamp) - np.int64(one.timestamp)),
            two.time_ns - one.time_ns,
        )
        if verdict > 0:
            good += 1
        elif verdict < 0:
            bad += 1
        if np.int64(two.payload_type) != last_type:
            types += 1
            last_type = np.int64(two.payload_type)
    return good >= 6 and bad * 5 <= good and types * 2 <= count


@inlined
def leave(s: np.void, bit_is_set: bool) -> None:
    """Account for a sequence number that leaves the window: nothing can arrive for it any more."""
    if bit_is_set:
        if s.run > 0:
            s.bursts += 1
            s.burst_packets += s.run
            s.longest_run = max(s.longest_run, s.run)
            s.run = 0
    else:
        s.run += 1


@inlined
def is_seen(s: np.void, number: int) -> bool:
    """Look a sequence number up in the window."""
    place = number & (WINDOW - 1)
    return (s.seen[place >> 6] >> np.uint64(place & 63)) & np.uint64(1) != np.uint64(0)


@inlined
def set_seen(s: np.void, number: int) -> None:
    """Note a sequence number in the window."""
    place = number & (WINDOW - 1)
    s.seen[place >> 6] |= np.uint64(1) << np.uint64(place & 63)


@inlined
def clear_seen(s: np.void, number: int) -> None:
    """Make room for a sequence number in the window."""
    place = number & (WINDOW - 1)
    s.seen[place >> 6] &= ~(np.uint64(1) << np.uint64(place & 63))


@helper
def close_segment(s: np.void) -> None:
    """Settle what is still in the window."""
    number = max(s.lowest, s.highest - WINDOW + 1)
    while number <= s.highest:
        if number & 63 == 0 and s.run == 0 and number + 63 <= s.highest and s.seen[(number & (WINDOW - 1)) >> 6] == ALL:
            number += 64
            continue
        leave(s, is_seen(s, number))
        number += 1
    s.run = 0
    s.expected += s.highest - s.lowest + 1


@helper
def open_segment(s: np.void, sequence: int) -> None:
    """Begin to count anew."""
    for k in range(WINDOW // 64):
        s.seen[k] = np.uint64(0)
    s.highest = 0x100000 + sequence
    s.lowest = s.highest
    set_seen(s, s.highest)
    s.unique += 1
    s.segments += 1
    s.play_started = False


@helper
def is_restart(s: np.void, sequence: int, timestamp: int, time_ns: int) -> bool:
    """Tell whether a large jump of sequence numbers came with another base of time stamps."""
    advance = signed32(timestamp - np.int64(s.high_timestamp))
    forward = (sequence - s.highest) & 0xFFFF
    if s.step > 0:
        wanted = forward * s.step
        if abs(advance - wanted) <= wanted // 10 + 50 * s.step:
            return False
        backward = -((s.highest - sequence) & 0xFFFF) * s.step
        if abs(advance - backward) <= -backward // 10 + 50 * s.step:
            return False
    if s.rate_hz > 0:
        passed = (time_ns - s.high_ns) * s.rate_hz / 1e9
        if abs(advance - passed) <= abs(passed) * 0.1 + s.rate_hz * 2.0:
            return False
    return True


@inlined
def take_number(s: np.void, sequence: int, timestamp: int, time_ns: int) -> tuple[int, bool, bool]:
    """Account for the sequence number of a packet.

    Parameters
    ----------
    s
        Row of ``ccp_assess.traffic.streamtable.STREAM``.
    sequence, timestamp, time_ns
        Of the packet.

    Returns
    -------
    delta, restarted, is_copy
        How far it lies ahead of the highest one so far; whether numbers begin anew; whether it came before.
    """
    if s.packets == 0:
        open_segment(s, sequence)
        return 0, True, False
    delta = signed16(sequence - s.highest)
    if delta == 1:
        number = s.highest + 1
        place = (number & (WINDOW - 1)) >> 6
        bit = np.uint64(1) << np.uint64(number & 63)
        word = s.seen[place]
        s.seen[place] = word | bit
        if number - WINDOW >= s.lowest:
            leave(s, word & bit != np.uint64(0))  # the place is that of the number which leaves
        s.highest = number
        s.unique += 1
        return 1, False, False
    if abs(delta) > LARGEST_STEP:
        if is_restart(s, sequence, timestamp, time_ns):
            close_segment(s)
            open_segment(s, sequence)
            return delta, True, False
        if signed32(timestamp - np.int64(s.high_timestamp)) > 0:
            delta = (sequence - s.highest) & 0xFFFF
    elif delta < -MOST_MISORDERED and signed32(timestamp - np.int64(s.high_timestamp)) > 0:
        close_segment(s)
        open_segment(s, sequence)
        return delta, True, False
    if delta > 0:
        for k in range(1, delta + 1):
            number = s.highest + k
            if number - WINDOW >= s.lowest:
                leave(s, is_seen(s, number))
            if k < delta:
                clear_seen(s, number)
        s.highest += delta
        set_seen(s, s.highest)
        s.unique += 1
        s.second_lost += delta - 1
        return delta, False, False
    if -delta >= WINDOW:
        s.reordered += 1
        return delta, False, False
    number = s.highest + delta
    if is_seen(s, number) and number >= s.lowest:
        if -delta <= DUPLICATE_WINDOW:
            s.duplicates += 1
        return delta, False, True
    set_seen(s, number)
    s.unique += 1
    s.reordered += 1
    if number < s.lowest:
        s.second_lost += s.lowest - number - 1
        s.lowest = number
    else:
        s.second_lost -= 1
    return delta, False, False
