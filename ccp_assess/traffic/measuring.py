"""RTP packets to the measures of their streams, compiled (RFC 3550 A.1, A.3, A.8; RFC 3611).

A source that was seen less than ten times is a candidate: its first packets wait in a small table from which the least
recent gives way, so that random bytes that look like RTP cost nothing for long. At ten packets of plausible progress it
becomes a stream and its first packets are measured as if it had been one from the start.
"""

# ruff: noqa: FBT001, FBT003, PLR0917  (compiled loops take plain positional arguments)

# mypy: disable-error-code="attr-defined,return-value,assignment,arg-type,operator,no-any-return"
# (numpy gives the fields of rows no types; the compiler checks them)

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ccp_assess.traffic.playout import FIELDS as PLAYOUT_FIELDS
from ccp_assess.traffic.playout import play
from ccp_assess.traffic.streams import SECOND_ROW
from ccp_assess.units import NS_PER_S
from ccp_assess.wire.compiled import helper, inlined, kernel
from ccp_assess.wire.hashing import EMPTY, entry_of, has_bits_of, mixed, row_of
from ccp_assess.wire.rtp import MEDIA, RTCP, STATIC_CLOCK_RATES_HZ

Table = npt.NDArray[np.void]
Numbers = npt.NDArray[np.int64]

LEAST_PACKETS = 10
CANDIDATE_ROWS = 16
CANDIDATE_SETS = 4_096
WAYS = 4
FIRST_STREAMS = 256
MOST_STREAMS = 65_536

WINDOW = 4_096
"""Sequence numbers back that are remembered one by one."""

DUPLICATE_WINDOW = 500
LARGEST_STEP = 3_000
"""RFC 3550 A.1, MAX_DROPOUT: a larger jump of sequence numbers may be a restart."""

STALL_NS = 100_000_000
PAUSE_NS = 1_000_000_000
CLOCK_RATES_HZ = np.array([8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 90_000], np.float64)
RATES = len(CLOCK_RATES_HZ)
BY_RFC3551, BY_OPUS, INFERRED = 1, 2, 3
PAYLOAD_TYPES = 6
SKEW_POINTS = 32
SECONDS_PER_CHUNK = 16_384
MOST_SECONDS = 2_000_000

STATIC_RATE_OF = np.zeros(128, np.int64)
for _payload_type, _rate_hz in STATIC_CLOCK_RATES_HZ.items():
    STATIC_RATE_OF[_payload_type] = _rate_hz

STREAM = np.dtype(
    [
        ("flow", np.int32),
        ("path", np.int32),
        ("ssrc", np.uint32),
        ("relayed", np.uint8),
        ("last_type", np.uint8),
        ("used", np.bool_),
        ("valid", np.bool_),
        ("basis", np.uint8),
        ("queued", np.int32),  # rows of media that wait to be measured
        ("queue_stop", np.int32),  # where they end among the sorted ones
        ("queue_next", np.int32),  # stream whose rows come after, -1 at the end
        ("packets", np.int64),
        ("first_ns", np.int64),
        ("last_ns", np.int64),
        ("last_timestamp", np.uint32),
        ("high_timestamp", np.uint32),
        ("high_ns", np.int64),
        ("highest", np.int64),  # extended sequence numbers of this segment
        ("lowest", np.int64),
        ("unique", np.int64),  # over all segments
        ("expected", np.int64),  # of the segments before
        ("segments", np.int64),
        ("duplicates", np.int64),
        ("reordered", np.int64),
        ("rate_hz", np.float64),
        ("jitter_ms", np.float64),
        ("jitter_sum_ms", np.float64),
        ("jitter_max_ms", np.float64),
        ("jitter_updates", np.int64),
        ("ipdv_sum_ms", np.float64),
        ("ticks", np.int64),  # time stamps since the first packet, without wraps
        ("steps", np.int64),  # pairs of consecutive numbers
        ("plausible", np.int64),
        ("pairs", np.int64),
        ("timestamp_steps", np.int64),
        ("step", np.int64),  # candidate of the majority vote
        ("step_votes", np.int64),
        ("step_hits", np.int64),
        ("paced_ns", np.int64),  # time and ticks over pairs fit to infer the rate from
        ("paced_ticks", np.int64),
        ("paced_pairs", np.int64),
        ("longest_gap_ns", np.int64),
        ("longest_gap_from_ns", np.int64),
        ("stalls", np.int64),
        ("events", np.int64),
        ("bytes", np.int64),
        ("payload_bytes", np.int64),
        ("rtcp", np.int64),
        ("run", np.int64),
        ("bursts", np.int64),
        ("burst_packets", np.int64),
        ("longest_run", np.int64),
        ("second", np.int64),
        ("second_packets", np.int64),
        ("second_lost", np.int64),
        ("second_late", np.int64),
        ("second_bytes", np.int64),
        ("second_ipdv_ms", np.float64),
        ("second_updates", np.int64),
        ("second_gap_ns", np.int64),
        ("type_counts", np.int64, (PAYLOAD_TYPES,)),
        ("types", np.uint8, (PAYLOAD_TYPES,)),
        ("type_slots", np.int64),
        ("element", np.int64, (2,)),  # identifiers of one-byte header elements
        ("element_count", np.int64, (2,)),
        ("element_sum", np.int64, (2,)),
        ("element_silent", np.int64, (2,)),
        ("element_low", np.int64, (2,)),
        ("element_high", np.int64, (2,)),
        ("second_element_sum", np.int64, (2,)),
        ("second_element_count", np.int64, (2,)),
        ("trial_jitter_ms", np.float64, (RATES,)),
        ("trial_sum_ms", np.float64, (RATES,)),
        ("trial_max_ms", np.float64, (RATES,)),
        ("trial_ipdv_ms", np.float64, (RATES,)),
        ("skew_width_ms", np.float64),
        ("skew_count", np.int64),
        ("skew_place", np.int64),
        ("skew_ppm", np.float64),
        ("skew_time_ms", np.float64, (SKEW_POINTS,)),
        ("skew_transit_ms", np.float64, (SKEW_POINTS,)),
        ("seen", np.uint64, (WINDOW // 64,)),
        *PLAYOUT_FIELDS,
    ],
    align=True,
)
"""One stream while it is measured."""

CANDIDATE = np.dtype(
    [
        ("flow", np.int32),
        ("path", np.int32),
        ("ssrc", np.uint32),
        ("rows", np.int32),
        ("rtcp", np.int32),
        ("last_use", np.int64),
    ],
    align=True,
)
"""A source that is not yet believed."""

N_STREAMS, N_SECONDS, CLOCK, EVICTED, LOST_SECONDS, LOST_STREAMS, ALL_SECONDS = 0, 1, 2, 3, 4, 5, 6
DONE, STREAMS_FULL, SECONDS_FULL = 0, 1, 2


@inlined
def signed16(value: int) -> int:
    """Difference of sequence numbers."""
    return ((value + 0x8000) & 0xFFFF) - 0x8000


@inlined
def signed32(value: int) -> int:
    """Difference of time stamps."""
    return ((value + 0x80000000) & 0xFFFFFFFF) - 0x80000000


@inlined
def key_of(flow: int, path: int, ssrc: int) -> int:
    """Hash a stream's key."""
    return mixed((np.int64(flow) << 32) ^ np.int64(ssrc) ^ (np.int64(path) << 50))


@helper
def fill_index(streams: Table, count: int, index: Numbers) -> None:
    """Enter all streams into the hash index."""
    mask = len(index) - 1
    for k in range(len(index)):
        index[k] = EMPTY
    for k in range(count):
        s = streams[k]
        key = key_of(s.flow, s.path, s.ssrc)
        slot = key & mask
        while index[slot] >= 0:
            slot = (slot + 1) & mask
        index[slot] = entry_of(key, k)


@inlined
def find_stream(row: np.void, key: int, streams: Table, index: Numbers) -> tuple[int, int]:
    """Look up the stream of a row of media; -1 if there is none yet, and the place in the index."""
    mask = len(index) - 1
    slot = key & mask
    while True:
        entry = index[slot]
        if entry < 0:
            return -1, slot
        if has_bits_of(entry, key):
            s = streams[row_of(entry)]
            if s.ssrc == row.ssrc and s.flow == row.flow and s.path == row.path:
                return row_of(entry), slot
        slot = (slot + 1) & mask


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
    for number in range(max(s.lowest, s.highest - WINDOW + 1), s.highest + 1):
        leave(s, is_seen(s, number))
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
def flush_second(s: np.void, stream: int, seconds: Table, counts: Numbers) -> None:
    """Write the row of a second that is over."""
    if s.second_packets == 0:
        return
    if counts[ALL_SECONDS] >= MOST_SECONDS:
        counts[LOST_SECONDS] += 1
    else:
        row = seconds[counts[N_SECONDS]]
        counts[N_SECONDS] += 1
        counts[ALL_SECONDS] += 1
        row.time_ns = s.second * 1_000_000_000
        row.stream = stream
        row.packets = s.second_packets
        row.lost = s.second_lost
        row.late = s.second_late
        row.bytes = s.second_bytes
        row.jitter_ms = s.jitter_ms if s.rate_hz > 0 else np.nan
        row.ipdv_ms = s.second_ipdv_ms / s.second_updates if s.second_updates > 0 and s.rate_hz > 0 else np.nan
        row.longest_gap_ms = s.second_gap_ns / 1e6
        best = level_element(s)
        row.audio_level = np.nan
        if best >= 0 and s.second_element_count[best] > 0:
            row.audio_level = s.second_element_sum[best] / s.second_element_count[best]
    s.second_packets = 0
    s.second_lost = 0
    s.second_late = 0
    s.second_bytes = 0
    s.second_ipdv_ms = 0.0
    s.second_updates = 0
    s.second_gap_ns = 0
    for k in range(2):
        s.second_element_sum[k] = 0
        s.second_element_count[k] = 0


@inlined
def level_element(s: np.void) -> int:
    """Find the header element that behaves like an audio level: on most packets, and either moving or silent."""
    best = -1
    for k in range(2):
        if s.element[k] == 0 or s.element_count[k] * 2 < s.packets:
            continue
        if s.element_low[k] == s.element_high[k] and s.element_low[k] != 127:
            continue
        if best < 0 or s.element_count[k] > s.element_count[best]:
            best = k
    return best


@inlined
def take_element(s: np.void, element: int) -> None:
    """Note a one-byte header element."""
    if element == 0:
        return
    identifier = element >> 8
    value = element & 0x7F  # the first bit says whether there is voice
    for k in range(2):
        if s.element[k] == identifier or s.element[k] == 0:
            if s.element[k] == 0:
                s.element[k] = identifier
                s.element_low[k] = value
                s.element_high[k] = value
            s.element_count[k] += 1
            s.element_sum[k] += value
            s.element_low[k] = min(s.element_low[k], value)
            s.element_high[k] = max(s.element_high[k], value)
            if value == 127:
                s.element_silent[k] += 1
            s.second_element_sum[k] += value
            s.second_element_count[k] += 1
            return


@helper
def main_type(s: np.void) -> int:
    """Return the most frequent payload type."""
    best = 0
    for k in range(1, s.type_slots):
        if s.type_counts[k] > s.type_counts[best]:
            best = k
    return np.int64(s.types[best])


@helper
def settle_rate(s: np.void, final: bool) -> None:
    """Decide on the clock rate if it can be known by now, and take over the jitter measured with it."""
    kind = main_type(s)
    rate = 0.0
    basis = 0
    if STATIC_RATE_OF[kind] > 0:
        rate = float(STATIC_RATE_OF[kind])
        basis = BY_RFC3551
    elif kind >= 35 and s.step == 960 and s.step_hits * 2 > s.steps and s.paced_ticks > 0:
        ms_per_step = s.paced_ns / 1e6 * 960.0 / s.paced_ticks
        if s.reordered > 0 and s.ticks > 0 and not 15.0 < ms_per_step < 26.0:
            # After a late packet the next one in order follows at once: pairs look too fast, the whole does not.
            ms_per_step = (s.last_ns - s.first_ns) / 1e6 * 960.0 / s.ticks
        if 15.0 < ms_per_step < 26.0 or (final and 10.0 < ms_per_step < 40.0):
            rate = 48_000.0
            basis = BY_OPUS
    if rate == 0.0 and kind >= 35 and s.reordered > 0 and not final and s.packets < 256:
        return  # too early to tell another clock from packets out of order
    if rate == 0.0 and s.paced_pairs >= (5 if final else 8) and s.paced_ns > (100_000_000 if final else 200_000_000):
        ratio = s.paced_ticks * 1e9 / s.paced_ns
        tolerance = 0.04 if final else (0.025 if s.packets >= 64 else 0.015)
        for k in range(RATES):
            if abs(ratio / CLOCK_RATES_HZ[k] - 1.0) < tolerance:
                rate = CLOCK_RATES_HZ[k]
                basis = INFERRED
    if rate == 0.0:
        return
    s.rate_hz = rate
    s.basis = basis
    for k in range(RATES):
        if CLOCK_RATES_HZ[k] == rate:
            s.jitter_ms = s.trial_jitter_ms[k]
            s.jitter_sum_ms = s.trial_sum_ms[k]
            s.jitter_max_ms = s.trial_max_ms[k]
            s.ipdv_sum_ms = s.trial_ipdv_ms[k]


@helper
def note_skew(s: np.void, elapsed_ms: float, transit_ms: float) -> None:
    """Keep the fastest packet of each stretch of time; stretches double when there are too many."""
    if s.skew_width_ms == 0.0:
        s.skew_width_ms = 2_000.0
    place = int(elapsed_ms / s.skew_width_ms)
    if s.skew_count > 0 and place == s.skew_place:
        last = s.skew_count - 1
        if transit_ms < s.skew_transit_ms[last]:
            s.skew_transit_ms[last] = transit_ms
            s.skew_time_ms[last] = elapsed_ms
        return
    if s.skew_count == SKEW_POINTS:
        kept = 0
        for k in range(0, SKEW_POINTS, 2):
            best = k + 1 if s.skew_transit_ms[k + 1] < s.skew_transit_ms[k] else k
            s.skew_transit_ms[kept] = s.skew_transit_ms[best]
            s.skew_time_ms[kept] = s.skew_time_ms[best]
            kept += 1
        s.skew_count = kept
        s.skew_width_ms *= 2.0
        place = int(elapsed_ms / s.skew_width_ms)
    s.skew_transit_ms[s.skew_count] = transit_ms
    s.skew_time_ms[s.skew_count] = elapsed_ms
    s.skew_place = place
    s.skew_count += 1


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
def measure_one(s: np.void, stream: int, row: np.void, seconds: Table, counts: Numbers) -> None:
    """Let one packet arrive at its stream."""
    time_ns = row.time_ns
    sequence = np.int64(row.sequence)
    timestamp = np.int64(row.timestamp)
    kind = np.int64(row.payload_type)
    s.relayed = row.relayed
    if np.uint64(time_ns - s.second * NS_PER_S) >= np.uint64(NS_PER_S):
        flush_second(s, stream, seconds, counts)
        s.second = time_ns // NS_PER_S
    first = s.packets == 0
    gap_ns = 0 if first else time_ns - s.last_ns
    timestamp_step = 0 if first else signed32(timestamp - np.int64(s.last_timestamp))
    restarted = first
    is_copy = False
    delta = 0
    if first:
        s.first_ns = time_ns
        open_segment(s, sequence)
    else:
        delta = signed16(sequence - s.highest)
        if abs(delta) > LARGEST_STEP:
            if is_restart(s, sequence, timestamp, time_ns):
                restarted = True
                close_segment(s)
                open_segment(s, sequence)
            elif signed32(timestamp - np.int64(s.high_timestamp)) > 0:
                delta = (sequence - s.highest) & 0xFFFF
        if not restarted:
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
            elif delta > 0:
                for k in range(1, delta + 1):
                    number = s.highest + k
                    if number - WINDOW >= s.lowest:
                        leave(s, is_seen(s, number))  # the place is that of the number which leaves
                    if k < delta:
                        clear_seen(s, number)
                s.highest += delta
                set_seen(s, s.highest)
                s.unique += 1
                s.second_lost += delta - 1
            elif -delta < WINDOW:
                number = s.highest + delta
                if is_seen(s, number) and number >= s.lowest:
                    is_copy = True
                    if -delta <= DUPLICATE_WINDOW:
                        s.duplicates += 1
                else:
                    set_seen(s, number)
                    s.unique += 1
                    s.reordered += 1
                    if number < s.lowest:
                        s.second_lost += s.lowest - number - 1
                        s.lowest = number
                    else:
                        s.second_lost -= 1
            else:
                s.reordered += 1
    s.packets += 1
    if restarted or delta > 0:
        s.high_timestamp = timestamp
        s.high_ns = time_ns
    found = False
    for k in range(s.type_slots):
        if s.types[k] == kind:
            s.type_counts[k] += 1
            found = True
            break
    if not found and s.type_slots < PAYLOAD_TYPES:
        s.types[s.type_slots] = kind
        s.type_counts[s.type_slots] = 1
        s.type_slots += 1
    late = 0
    if not restarted:
        s.ticks += timestamp_step
        if delta == 1 and 0 <= timestamp_step <= 200_000:
            s.pairs += 1
            s.plausible += 1
        else:
            verdict = plausible_pair(delta, timestamp_step, gap_ns)
            if verdict != 0:
                s.pairs += 1
                if verdict > 0:
                    s.plausible += 1
        if timestamp_step != 0:
            s.timestamp_steps += 1
        if gap_ns > s.longest_gap_ns:
            s.longest_gap_ns = gap_ns
            s.longest_gap_from_ns = s.last_ns
        s.second_gap_ns = max(s.second_gap_ns, gap_ns)
        same_type = kind == np.int64(s.last_type)
        if delta == 1:
            s.steps += 1
            if timestamp_step == s.step:
                s.step_votes += 1
                s.step_hits += 1
            elif s.step_votes > 0:
                s.step_votes -= 1
            else:
                s.step = timestamp_step
                s.step_votes = 1
                s.step_hits = 1
            if same_type and timestamp_step == 0 and s.step > 0 and kind != main_type(s):
                s.events += 1
            if gap_ns > STALL_NS and (
                s.rate_hz == 0 or gap_ns / 1e6 - timestamp_step * 1000.0 / s.rate_hz > 60.0 or timestamp_step == s.step
            ):
                s.stalls += 1
        if same_type:
            gap_ms = gap_ns / 1e6
            s.jitter_updates += 1
            s.second_updates += 1
            if s.rate_hz > 0:
                deviation = abs(gap_ms - timestamp_step * 1000.0 / s.rate_hz)
                s.jitter_ms += (deviation - s.jitter_ms) / 16.0
                s.jitter_sum_ms += s.jitter_ms
                s.jitter_max_ms = max(s.jitter_max_ms, s.jitter_ms)
                s.ipdv_sum_ms += deviation
                s.second_ipdv_ms += deviation
            else:
                for k in range(RATES):
                    deviation = abs(gap_ms - timestamp_step * 1000.0 / CLOCK_RATES_HZ[k])
                    s.trial_jitter_ms[k] += (deviation - s.trial_jitter_ms[k]) / 16.0
                    s.trial_sum_ms[k] += s.trial_jitter_ms[k]
                    s.trial_max_ms[k] = max(s.trial_max_ms[k], s.trial_jitter_ms[k])
                    s.trial_ipdv_ms[k] += deviation
            fit = 0 < delta <= 3 and 0 <= gap_ns < 1_000_000_000 and timestamp_step >= 0
            if s.rate_hz == 0 and fit and kind == main_type(s):
                s.paced_ns += gap_ns
                s.paced_ticks += timestamp_step
                if timestamp_step > 0:
                    s.paced_pairs += 1
    if s.rate_hz > 0:
        elapsed_ms = (time_ns - s.first_ns) / 1e6
        transit_ms = elapsed_ms - s.ticks * 1000.0 / s.rate_hz
        if restarted or (timestamp_step != 0 and not is_copy):
            late = play(s, transit_ms, gap_ns / 1e6, s.step * 1000.0 / s.rate_hz, restarted or delta > 0)
        if gap_ns > PAUSE_NS and abs(gap_ns / 1e6 - timestamp_step * 1000.0 / s.rate_hz) > PAUSE_NS / 2e6:
            # The sender's time stood still in a pause: what comes after has another base and tells no skew with it.
            s.skew_count = 0
            s.skew_width_ms = 0.0
        if s.segments == 1 and delta > 0:
            note_skew(s, elapsed_ms, transit_ms)
    elif s.packets >= LEAST_PACKETS and (s.packets == LEAST_PACKETS or s.packets & (s.packets - 1) == 0):
        settle_rate(s, False)
    take_element(s, np.int64(row.element_1))
    take_element(s, np.int64(row.element_2))
    s.second_packets += 1
    s.second_bytes += np.int64(row.bytes)
    s.second_late += late
    s.bytes += np.int64(row.bytes)
    s.payload_bytes += np.int64(row.payload_bytes)
    s.last_ns = time_ns
    s.last_timestamp = timestamp
    s.last_type = kind


@helper
def measure(s: np.void, stream: int, rows: Table, start: int, stop: int, seconds: Table, counts: Numbers) -> None:
    """Let packets arrive at their stream."""
    for k in range(start, stop):
        measure_one(s, stream, rows[k], seconds, counts)


@kernel
def accumulate(
    media: Table,
    start: int,
    stop: int,
    whose: npt.NDArray[np.int32],
    sorted_rows: Table,
    streams: Table,
    index: Numbers,
    rebuild: bool,
    candidates: Table,
    waiting: Table,
    seconds: Table,
    counts: Numbers,
) -> tuple[int, int]:
    """Let packets of media arrive at their streams.

    The rows are sorted by stream first (in order of arrival within each), so that a stream takes all of its rows while
    what is known of it lies in the nearest cache.

    Parameters
    ----------
    media, start, stop
        Rows of ``ccp_assess.wire.rtp.MEDIA`` in order of arrival.
    whose, sorted_rows
        Room for the stream of each row, and for the rows sorted by stream.
    streams, index, rebuild
        Streams and their hash index; whether it must be made anew.
    candidates, waiting
        Sources not yet believed and their first packets.
    seconds, counts
        Finished seconds; how many of each.

    Returns
    -------
    next_row, status
        First row that was not taken, and why it stopped there.
    """
    if rebuild:
        fill_index(streams, counts[N_STREAMS], index)
    first = -1
    queued = 0
    status = DONE
    number = start
    while number < stop:
        if counts[N_SECONDS] + queued + 2 * CANDIDATE_ROWS > len(seconds):
            status = SECONDS_FULL
            break
        row = media[number]
        key = key_of(row.flow, row.path, row.ssrc)
        found, slot = find_stream(row, key, streams, index)
        whose[number] = -1
        if found >= 0:
            s = streams[found]
            if row.payload_type == RTCP:
                s.rtcp += 1
            else:
                whose[number] = found
                if s.queued == 0:
                    s.queue_next = first
                    first = found
                s.queued += 1
                queued += 1
        elif not wait(row, key, slot, streams, index, candidates, waiting, seconds, counts):
            status = STREAMS_FULL
            break
        number += 1
    at = 0
    found = first
    while found >= 0:
        streams[found].queue_stop = at
        at += np.int64(streams[found].queued)
        found = np.int64(streams[found].queue_next)
    for k in range(start, number):
        found = np.int64(whose[k])
        if found >= 0:
            s = streams[found]
            sorted_rows[s.queue_stop] = media[k]
            s.queue_stop += 1
    found = first
    while found >= 0:
        s = streams[found]
        stop_of_rows = np.int64(s.queue_stop)
        measure(s, found, sorted_rows, stop_of_rows - np.int64(s.queued), stop_of_rows, seconds, counts)
        s.queued = 0
        found = np.int64(s.queue_next)
    return number, status


@helper
def wait(
    row: np.void,
    key: int,
    slot: int,
    streams: Table,
    index: Numbers,
    candidates: Table,
    waiting: Table,
    seconds: Table,
    counts: Numbers,
) -> bool:
    """Let a packet of a source that is not yet believed wait, or make a stream of it; tell whether there is room."""
    counts[CLOCK] += 1
    base = ((key >> 40) & (CANDIDATE_SETS - 1)) * WAYS
    chosen = -1
    oldest = base
    for way in range(base, base + WAYS):
        c = candidates[way]
        if c.last_use > 0 and c.ssrc == row.ssrc and c.flow == row.flow and c.path == row.path:
            chosen = way
            break
        if c.last_use < candidates[oldest].last_use:
            oldest = way
    if chosen < 0:
        if row.payload_type == RTCP:
            return True
        chosen = oldest
        c = candidates[chosen]
        if c.last_use > 0:
            counts[EVICTED] += 1
        c.flow = row.flow
        c.path = row.path
        c.ssrc = row.ssrc
        c.rows = 0
        c.rtcp = 0
    c = candidates[chosen]
    c.last_use = counts[CLOCK]
    if row.payload_type == RTCP:
        c.rtcp += 1
        return True
    if c.rows == CANDIDATE_ROWS:
        half = CANDIDATE_ROWS // 2
        for k in range(half):
            waiting[chosen, k] = waiting[chosen, k + half]
        c.rows = half
    if c.rows + 1 >= LEAST_PACKETS and counts[N_STREAMS] >= len(streams):
        return False
    waiting[chosen, c.rows] = row
    c.rows += 1
    if c.rows < LEAST_PACKETS or not is_plausible(waiting[chosen], 0, c.rows):
        return True
    found = counts[N_STREAMS]
    counts[N_STREAMS] += 1
    s = streams[found]
    s.flow = c.flow
    s.path = c.path
    s.ssrc = c.ssrc
    s.used = True
    s.rtcp = c.rtcp
    measure(s, found, waiting[chosen], 0, np.int64(c.rows), seconds, counts)
    c.last_use = 0
    c.rows = 0
    index[slot] = entry_of(key, found)
    return True


@helper
def median_of(values: npt.NDArray[np.float64], count: int) -> float:
    """Return the median; the values are sorted in place (Shell's way: there are few)."""
    gap = count // 2
    while gap > 0:
        for k in range(gap, count):
            value = values[k]
            place = k
            while place >= gap and values[place - gap] > value:
                values[place] = values[place - gap]
                place -= gap
            values[place] = value
        gap //= 2
    middle = count // 2
    return values[middle] if count % 2 else (values[middle - 1] + values[middle]) / 2.0


STEEP_SLOPE = 1e-3
"""Ten times what a quartz may be wrong by: beyond it, steps and slopes are told apart [ms per ms]."""


@kernel
def finish(
    streams: Table, start: int, stop: int, seconds: Table, counts: Numbers, slopes: npt.NDArray[np.float64]
) -> int:
    """Settle streams after their last packet; return the first that found no room for its last second."""
    for number in range(start, stop):
        if counts[N_SECONDS] + 2 > len(seconds):
            return number
        s = streams[number]
        if s.rate_hz == 0:
            settle_rate(s, True)
        flush_second(s, number, seconds, counts)
        close_segment(s)
        s.valid = s.packets >= LEAST_PACKETS and s.plausible * 5 >= s.pairs * 3 and s.timestamp_steps > 0
        s.skew_ppm = np.nan
        if s.rate_hz > 0 and s.skew_count >= 8 and s.skew_time_ms[s.skew_count - 1] - s.skew_time_ms[0] > 25_000.0:
            n = 0
            for j in range(s.skew_count):  # Theil and Sen: the median of all slopes
                for k in range(j):
                    apart = s.skew_time_ms[j] - s.skew_time_ms[k]
                    if apart > 0:
                        slopes[n] = (s.skew_transit_ms[j] - s.skew_transit_ms[k]) / apart
                        n += 1
            if n > 0:
                slope = median_of(slopes, n)
                n = 0
                for j in range(1, s.skew_count):
                    apart = s.skew_time_ms[j] - s.skew_time_ms[j - 1]
                    if apart > 0:
                        slopes[n] = (s.skew_transit_ms[j] - s.skew_transit_ms[j - 1]) / apart
                        n += 1
                # a clock runs wrong all the time; what goes in steps is a sender that stopped and fell behind
                if abs(slope) < STEEP_SLOPE or abs(median_of(slopes, n)) > abs(slope) / 2.0:
                    s.skew_ppm = -slope * 1e6  # a fast sender makes transit times shrink
    return stop


class MeasuringState:
    """What measuring remembers between blocks; of bounded size."""

    def __init__(self, *, most_streams: int = MOST_STREAMS) -> None:
        self.most_streams = most_streams
        self.streams: Table = np.zeros(FIRST_STREAMS, STREAM)
        self.index: Numbers = np.full(4 * FIRST_STREAMS, EMPTY)
        self.whose: npt.NDArray[np.int32] = np.empty(0, np.int32)
        self.sorted_rows: Table = np.empty(0, MEDIA)
        self.rebuild = False
        self.candidates: Table = np.zeros(CANDIDATE_SETS * WAYS, CANDIDATE)
        self.waiting: Table = np.empty((CANDIDATE_SETS * WAYS, CANDIDATE_ROWS), MEDIA)
        self.seconds: Table = np.empty(SECONDS_PER_CHUNK, SECOND_ROW)
        self.second_chunks: list[Table] = []
        self.counts: Numbers = np.zeros(16, np.int64)

    def run(self, media: Table, count: int) -> None:
        """Measure rows of media.

        Parameters
        ----------
        media, count
            Rows of ``ccp_assess.wire.rtp.MEDIA``; how many of them.
        """
        if len(self.whose) < len(media):
            self.whose = np.empty(len(media), np.int32)
            self.sorted_rows = np.empty(len(media), MEDIA)
        start = 0
        while True:
            start, status = accumulate(
                media, start, count, self.whose, self.sorted_rows, self.streams, self.index, self.rebuild,
                self.candidates, self.waiting, self.seconds, self.counts,
            )  # fmt: skip
            self.rebuild = False
            if status == DONE:
                return
            if status == SECONDS_FULL:
                self._new_chunk()
            else:
                self._make_room()

    def finish(self) -> tuple[Table, Table]:
        """Settle all streams.

        Returns
        -------
        streams, seconds
            Rows of `STREAM` (all, ``valid`` says which are believed) and of ``SECOND_ROW``.
        """
        start = 0
        count = int(self.counts[N_STREAMS])
        slopes = np.empty(SKEW_POINTS * (SKEW_POINTS - 1) // 2)
        while start < count:
            start = finish(self.streams, start, count, self.seconds, self.counts, slopes)
            if start < count:
                self._new_chunk()
        self._new_chunk()
        seconds = np.concatenate(self.second_chunks) if self.second_chunks else np.zeros(0, SECOND_ROW)
        self.second_chunks = []
        return self.streams[:count], seconds

    def _new_chunk(self) -> None:
        filled = int(self.counts[N_SECONDS])
        if filled:
            self.second_chunks.append(self.seconds[:filled].copy())
        self.counts[N_SECONDS] = 0

    def _make_room(self) -> None:
        """Double the table of streams; at the largest size the shortest idle ones give way."""
        count = len(self.streams)
        if count < self.most_streams:
            grown = np.zeros(min(2 * count, self.most_streams), STREAM)
            grown[:count] = self.streams
            self.streams = grown
            self.index = np.full(4 * len(grown), EMPTY)
        else:
            gone = np.argsort(self.streams["packets"], kind="stable")[: count // 8]
            kept = np.ones(count, np.bool_)
            kept[gone] = False
            number = np.cumsum(kept) - 1
            number[~kept] = -1
            self._new_chunk()
            for rows in self.second_chunks:
                known = rows["stream"] >= 0
                rows["stream"][known] = number[rows["stream"][known]]
            left = self.streams[kept]
            self.streams[: len(left)] = left
            self.streams[len(left) :] = np.zeros(1, STREAM)[0]
            self.counts[N_STREAMS] = len(left)
            self.counts[LOST_STREAMS] += len(gone)
        self.rebuild = True
