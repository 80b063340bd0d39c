"""Clocks of RTP senders, compiled: the rate that time stamps count at, and how much the clock runs wrong."""

# ruff: noqa: FBT001  (compiled loops take plain positional arguments)

# mypy: disable-error-code="attr-defined,return-value,assignment,arg-type,operator,no-any-return"
# (numpy gives the fields of rows no types; the compiler checks them)

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ccp_assess.traffic.streamtable import CLOCK_RATES_HZ, RATES, SKEW_POINTS
from ccp_assess.wire.compiled import helper
from ccp_assess.wire.rtp import STATIC_CLOCK_RATES_HZ

BY_RFC3551, BY_OPUS, INFERRED = 1, 2, 3

STATIC_RATE_OF = np.zeros(128, np.int64)
for _payload_type, _rate_hz in STATIC_CLOCK_RATES_HZ.items():
    STATIC_RATE_OF[_payload_type] = _rate_hz

STEEP_SLOPE = 1e-3
"""Ten times what a quartz may be wrong by: beyond it, steps and slopes are told apart [ms per ms]."""


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


@helper
def settle_skew(s: np.void, slopes: npt.NDArray[np.float64]) -> None:
    """Find out by how much the sender's clock runs wrong, from the fastest packets of all stretches of time."""
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
