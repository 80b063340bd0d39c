"""RTP packets to the measures of their streams, compiled (RFC 3550 A.1, A.3, A.8; RFC 3611).

A source that was seen less than ten times is a candidate: its first packets wait in a small table from which the least
recent gives way, so that random bytes that look like RTP cost nothing for long. At ten packets of plausible progress it
becomes a stream and its first packets are measured as if it had been one from the start.
"""

# ruff: noqa: FBT001, FBT003, PLR0917  (compiled loops take plain positional arguments)

# mypy: disable-error-code="attr-defined,return-value,assignment,arg-type,operator,no-any-return"
# (numpy gives the fields of rows no types; the compiler checks them)

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ccp_assess.traffic.clocks import main_type, note_skew, settle_rate, settle_skew
from ccp_assess.traffic.numbering import close_segment, is_plausible, plausible_pair, signed32, take_number
from ccp_assess.traffic.playout import play
from ccp_assess.traffic.streams import SECOND_ROW
from ccp_assess.traffic.streamtable import (
    CANDIDATE,
    CLOCK_RATES_HZ,
    PAYLOAD_TYPES,
    RATES,
    SKEW_POINTS,
    STREAM,
    check_media,
    check_streams,
    fill_index,
    find_stream,
    key_of,
)
from ccp_assess.units import NS_PER_S
from ccp_assess.wire.compiled import helper, inlined, kernel
from ccp_assess.wire.hashing import EMPTY, entry_of
from ccp_assess.wire.rtp import MEDIA, RTCP
from ccp_assess.wire.saved import Saved, require, within

Table = npt.NDArray[np.void]
Numbers = npt.NDArray[np.int64]

LEAST_PACKETS = 10
CANDIDATE_ROWS = 16
CANDIDATE_SETS = 4_096
WAYS = 4
FIRST_STREAMS = 256
MOST_STREAMS = 65_536

STALL_NS = 100_000_000
PAUSE_NS = 1_000_000_000
SECONDS_PER_CHUNK = 16_384
MOST_SECONDS = 2_000_000

N_STREAMS, N_SECONDS, CLOCK, EVICTED, LOST_SECONDS, LOST_STREAMS, ALL_SECONDS = 0, 1, 2, 3, 4, 5, 6
COUNTS = 16
DONE, STREAMS_FULL, SECONDS_FULL = 0, 1, 2


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
    if first:
        s.first_ns = time_ns
    delta, restarted, is_copy = take_number(s, sequence, timestamp, time_ns)
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
        settle_skew(s, slopes)
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
        self.waiting: Table = np.zeros((CANDIDATE_SETS * WAYS, CANDIDATE_ROWS), MEDIA)
        self.seconds: Table = np.zeros(SECONDS_PER_CHUNK, SECOND_ROW)
        self.second_chunks: list[Table] = []
        self.counts: Numbers = np.zeros(COUNTS, np.int64)

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

    def saved(self) -> dict[str, Any]:
        """Return what must be handed on where another process goes on with the next row of media."""
        self._new_chunk()
        self.second_chunks = [np.concatenate(self.second_chunks)] if self.second_chunks else []
        places = np.flatnonzero(self.candidates["last_use"] > 0).astype(np.int32)
        candidates = self.candidates[places]
        waiting = self.waiting[places]
        waiting[np.arange(CANDIDATE_ROWS) >= candidates["rows"][:, None]] = np.zeros(1, MEDIA)[0]
        return {
            "most_streams": self.most_streams,
            "capacity": len(self.streams),
            "streams": self.streams[: self.counts[N_STREAMS]],
            "places": places,
            "candidates": candidates,
            "waiting": waiting,
            "seconds": self.second_chunks[0] if self.second_chunks else np.zeros(0, SECOND_ROW),
            "counts": self.counts,
        }

    def take_up(self, saved: Saved, flows: int, paths: int) -> None:
        """Go on from what was handed on: every number that leads to a row is looked at first.

        Parameters
        ----------
        saved
            Of `saved`.
        flows, paths
            How many there are (count).
        """
        self.counts = saved.numbers("counts", COUNTS)
        self.most_streams = saved.integer("most_streams", FIRST_STREAMS, self.most_streams + 1)
        capacity = saved.integer("capacity", FIRST_STREAMS, self.most_streams + 1)
        rows = saved.table("streams", STREAM, capacity)
        require(capacity.bit_count() == 1 and capacity <= max(2 * len(rows), FIRST_STREAMS), "streams")
        require(self.counts[N_STREAMS] == len(rows) and self.counts[N_SECONDS] == 0, "streams")
        check_streams(rows)
        check_media(rows, flows, paths)
        self.streams = np.zeros(capacity, STREAM)
        self.streams[: len(rows)] = rows
        self.index = np.full(4 * capacity, EMPTY)
        self.rebuild = True
        places = saved.table("places", np.int32, CANDIDATE_SETS * WAYS)
        within(places, 0, CANDIDATE_SETS * WAYS, "candidates")
        candidates = saved.table("candidates", CANDIDATE, len(places))
        waiting = saved.table("waiting", MEDIA, len(places) * CANDIDATE_ROWS)
        require(len(candidates) == len(places) and len(waiting) == len(places) * CANDIDATE_ROWS, "candidates")
        within(candidates["rows"], 0, CANDIDATE_ROWS + 1, "candidates")
        check_media(candidates, flows, paths)
        check_media(waiting, flows, paths)
        self.candidates[places] = candidates
        self.waiting[places] = waiting.reshape(len(places), CANDIDATE_ROWS)
        seconds = saved.table("seconds", SECOND_ROW, MOST_SECONDS)
        within(seconds["stream"], -1, len(rows), "seconds")
        self.second_chunks = [seconds]

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
