"""A jitter buffer as a receiver would run it, so that packets that come too late can be told.

The buffer follows the quantile of recent delays: each packet's delay relative to the fastest of late goes into a
histogram that forgets slowly; the playout delay rises at once to the quantile and falls gently.

References
----------
.. [1] S. Moon, J. Kurose, D. Towsley, "Packet audio playout delay adjustment: performance bounds and algorithms",
   Multimedia Systems 6 (1998): playout delay from a quantile of recent delays.
.. [2] RFC 3611, section 4.7: discard rate, jitter buffer nominal delay.
"""

# mypy: disable-error-code="attr-defined,return-value,assignment,arg-type,operator,no-any-return"
# (numpy gives the fields of rows no types; the compiler checks them)

from __future__ import annotations

import numpy as np

from ccp_assess.wire.compiled import inlined

BINS = 80
BIN_MS = 5.0
QUANTILE = 0.98
FORGET = 0.998
"""Weight of a packet against the next one: about the last 10 s of 20 ms packets count."""

LEAST_MS = 20.0
START_MS = 40.0
MOST_MS = 400.0
FALL_MS_PER_MS = 0.05
"""How fast the delay may shrink: time-stretching of 5 % is not heard."""

DRIFT_MS_PER_MS = 0.0005
"""How fast the fastest delay may rise: clocks that differ by 500 ppm."""

RESTART_MS = 1_000.0
"""A packet so late is no late packet: the sender paused (hold) or the path changed; the buffer starts again."""

FIELDS = [
    ("play_started", np.bool_),
    ("play_base_ms", np.float64),
    ("play_delay_ms", np.float64),
    ("play_weight", np.float64),
    ("play_total", np.float64),
    ("play_sum_ms", np.float64),
    ("play_packets", np.int64),
    ("play_late", np.int64),
    ("play_bins", np.float64, (BINS,)),
]
"""What the simulation remembers of a stream."""


@inlined
def play(s: np.void, transit_ms: float, gap_ms: float) -> bool:
    """Let one packet arrive at the buffer.

    Parameters
    ----------
    s
        Row with `FIELDS`.
    transit_ms
        Arrival minus sender's time, up to a constant [ms].
    gap_ms
        Time since the packet before [ms].

    Returns
    -------
    late
        Whether its playout time had passed.
    """
    if s.play_started and (transit_ms - s.play_base_ms > RESTART_MS or gap_ms > 2.0 * RESTART_MS):
        s.play_started = False
    if not s.play_started:
        s.play_started = True
        s.play_base_ms = transit_ms
        if s.play_packets == 0:
            s.play_delay_ms = START_MS
            s.play_weight = 1.0
            s.play_total = 0.0
    s.play_base_ms = min(s.play_base_ms + max(gap_ms, 0.0) * DRIFT_MS_PER_MS, transit_ms)
    relative_ms = transit_ms - s.play_base_ms
    late = relative_ms > s.play_delay_ms
    s.play_packets += 1
    s.play_sum_ms += s.play_delay_ms
    if late:
        s.play_late += 1
    place = min(int(relative_ms / BIN_MS), BINS - 1)
    s.play_weight /= FORGET  # instead of making all others lighter
    s.play_bins[place] += s.play_weight
    s.play_total += s.play_weight
    if s.play_weight > 1e9:
        for k in range(BINS):
            s.play_bins[k] /= s.play_weight
        s.play_total /= s.play_weight
        s.play_weight = 1.0
    wanted = QUANTILE * s.play_total
    below = 0.0
    target_ms = MOST_MS
    for k in range(BINS):
        below += s.play_bins[k]
        if below >= wanted:
            target_ms = (k + 1) * BIN_MS
            break
    target_ms = min(max(target_ms, LEAST_MS), MOST_MS)
    if target_ms > s.play_delay_ms:
        s.play_delay_ms = target_ms
    else:
        s.play_delay_ms = max(target_ms, s.play_delay_ms - max(gap_ms, 0.0) * FALL_MS_PER_MS)
    return late
