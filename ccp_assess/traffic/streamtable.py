"""RTP streams while they are measured: one row per source and path, found through a hash index; sources to judge."""

# mypy: disable-error-code="attr-defined,return-value,assignment,arg-type,operator,no-any-return"
# (numpy gives the fields of rows no types; the compiler checks them)

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ccp_assess.traffic.playout import FIELDS as PLAYOUT_FIELDS
from ccp_assess.wire.compiled import helper, inlined
from ccp_assess.wire.hashing import EMPTY, entry_of, has_bits_of, mixed, row_of
from ccp_assess.wire.rtp import MEDIA, RTCP
from ccp_assess.wire.saved import require, within

Table = npt.NDArray[np.void]
Numbers = npt.NDArray[np.int64]

WINDOW = 4_096
"""Sequence numbers back that are remembered one by one."""

CLOCK_RATES_HZ = np.array([8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 90_000], np.float64)
RATES = len(CLOCK_RATES_HZ)
PAYLOAD_TYPES = 6
SKEW_POINTS = 32

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


def check_media(rows: Table, flows: int, paths: int) -> None:
    """Refuse media of flows or paths that there are not.

    Parameters
    ----------
    rows
        Of ``ccp_assess.wire.rtp.MEDIA``, or others that name a flow's direction and a path.
    flows, paths
        How many there are (count).

    Raises
    ------
    StateError
        If one is beyond, or of a payload type that RTP has not.
    """
    within(rows["flow"], 0, 2 * flows, "media")
    within(rows["path"], -1, paths, "media")
    if rows.dtype == MEDIA:
        require(np.all((rows["payload_type"] < 128) | (rows["payload_type"] == RTCP)), "media")


_UNBOUNDED = ("skew_ppm", "play_low_ms", "play_lows_ms")
_FRACTIONS = tuple(name for name in STREAM.names or () if STREAM[name].base == np.float64 and name not in _UNBOUNDED)
_LARGEST_FRACTION = 1e18
"""So large that no capture leads to it, and small enough that sums of a few still are whole numbers of the machine."""


def check_streams(rows: Table) -> None:
    """Refuse streams whose numbers would lead a loop beyond their tables.

    Parameters
    ----------
    rows
        Of `STREAM`.

    Raises
    ------
    StateError
        If there is one.
    """
    within(rows["type_slots"], 0, PAYLOAD_TYPES + 1, "streams")
    within(rows["types"].ravel(), 0, 128, "streams")
    within(rows["skew_count"], 0, SKEW_POINTS + 1, "streams")
    within(rows["play_slots"], 0, 1 << 31, "streams")
    require(not rows["queued"].any(), "streams")
    for name in _FRACTIONS:
        require(np.all(np.abs(rows[name]) <= _LARGEST_FRACTION), "streams")
    for name in _UNBOUNDED[1:]:
        require(np.all((rows[name] >= -_LARGEST_FRACTION) & ~np.isnan(rows[name])), "streams")
    require(np.isin(rows["rate_hz"], [0.0, *CLOCK_RATES_HZ]).all(), "streams")
    require(np.all(rows["play_worst_ms"] >= 0.0), "streams")
    require(np.all((rows["skew_width_ms"] == 0.0) | (rows["skew_width_ms"] >= 2_000.0)), "streams")
