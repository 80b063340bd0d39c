"""A jitter buffer as a receiver runs it, so that packets that come too late can be told.

What the buffer holds back follows a quantile of the worst delays of late: every half second the largest delay against
the fastest packet of the last two seconds goes into a histogram that forgets slowly. Packets that were overtaken are
waited for only as far as that costs less than their loss. Speech is stretched or pressed together until the buffer
stands there. Where it runs dry the receiver fills in and then goes on with the packet when it comes, later from now on:
a way that becomes longer for good costs one gap, not a gap at each packet. What was filled in counts as late, in
packets; so does a packet that comes after its successor was played.

The numbers are those of the buffer in WebRTC; against Chromium's own statistics see ``docs/validation.md``.

References
----------
.. [1] S. Moon, J. Kurose, D. Towsley, "Packet audio playout delay adjustment: performance bounds and algorithms",
   Multimedia Systems 6 (1998): playout delay from a quantile of recent delays.
.. [2] RFC 3611, section 4.7: discard rate, jitter buffer nominal delay.
.. [3] WebRTC, ``modules/audio_coding/neteq``: ``underrun_optimizer.cc``, ``reorder_optimizer.cc`` and
   ``packet_arrival_history.cc`` (quantile 0.95, forgetting 0.983, half a second, two seconds, buckets of 20 ms).
"""

# mypy: disable-error-code="attr-defined,return-value,assignment,arg-type,operator,no-any-return"
# (numpy gives the fields of rows no types; the compiler checks them)

from __future__ import annotations

import math

import numpy as np

from ccp_assess.wire.compiled import helper, inlined

BINS = 50
BIN_MS = 20.0
QUANTILE = 0.95
FORGET = 0.983
"""Weight of the past against the newest half second: about the last 30 s count."""

SLOT_MS = 500.0
SLOTS = 4
"""The fastest packet is looked for among the last four half seconds."""

START_MS = 40.0
SLACK_MS = 10.0
"""So much more than wanted may be held back before speech is pressed together."""

STRETCH_MS_PER_MS = 0.1
"""How fast speech is stretched or pressed together."""

MS_PER_LOST_SHARE = 4_000.0
"""Delay that is worth as much as losing all packets. WebRTC says 20 ms for each percent; with 40 ms the share of late
packets comes closer to what Chromium counted."""

RESTART_MS = 1_000.0
"""A packet so late is no late packet: the sender paused (hold) or the path changed; the buffer starts again."""

PACKET_MS = 20.0
"""Time of one packet while it is not known."""

FIELDS = [
    ("play_started", np.bool_),
    ("play_slots", np.int32),  # half seconds seen
    ("play_at_ms", np.float64),  # playout minus the sender's time, on the scale of the transit times
    ("play_target_ms", np.float64),  # what shall be held back against the fastest packet
    ("play_low_ms", np.float64),  # fastest packet of this half second
    ("play_lows_ms", np.float64, (SLOTS,)),  # and of those before it
    ("play_slot_ms", np.float64),  # how long this half second has lasted
    ("play_worst_ms", np.float64),  # largest delay in it
    ("play_sum_ms", np.float64),
    ("play_packets", np.int64),
    ("play_late", np.int64),
    ("play_bins", np.float64, (BINS,)),  # worst delays, by half second
    ("play_weight", np.float64),  # packets that count
    ("play_overtaken", np.float64, (BINS,)),  # delays of those that were overtaken
]
"""What the simulation remembers of a stream."""


@helper
def end_slot(s: np.void) -> None:
    """Put the worst delay of half a second into the histogram and read from it what to hold back."""
    s.play_slots += 1
    forget = min(FORGET, 1.0 - 2.0 / (s.play_slots + 1.0))  # the first ones count fully
    for k in range(BINS):
        s.play_bins[k] *= forget
    s.play_bins[min(int(s.play_worst_ms / BIN_MS), BINS - 1)] += 1.0 - forget
    below = 0.0
    target_ms = BINS * BIN_MS
    for k in range(BINS):
        below += s.play_bins[k]
        if below >= QUANTILE:
            target_ms = (k + 1) * BIN_MS
            break
    overtaken = 0.0
    for k in range(BINS):
        s.play_overtaken[k] *= FORGET
        overtaken += s.play_overtaken[k]
    s.play_weight *= FORGET
    if overtaken > 0.0:
        best_ms = target_ms
        least = MS_PER_LOST_SHARE
        for k in range(BINS):
            overtaken -= s.play_overtaken[k]
            cost = max((k + 1) * BIN_MS - target_ms, 0.0) + MS_PER_LOST_SHARE * overtaken / s.play_weight
            if cost < least:
                least = cost
                best_ms = (k + 1) * BIN_MS
        target_ms = max(target_ms, best_ms)
    s.play_target_ms = target_ms
    s.play_lows_ms[s.play_slots % SLOTS] = s.play_low_ms
    s.play_low_ms = np.inf
    s.play_worst_ms = 0.0
    s.play_slot_ms = 0.0


@inlined
def play(s: np.void, transit_ms: float, gap_ms: float, packet_ms: float, is_newest: bool) -> int:  # noqa: FBT001
    """Let one packet arrive at the buffer.

    Parameters
    ----------
    s
        Row with `FIELDS`.
    transit_ms
        Arrival minus sender's time, up to a constant [ms].
    gap_ms
        Time since the packet before [ms].
    packet_ms
        Time that one packet covers; 0 if unknown [ms].
    is_newest
        Whether no later packet came before it.

    Returns
    -------
    late
        Packets' worth of speech that was missing when it should have been played (count).
    """
    gap_ms = max(gap_ms, 0.0)
    if s.play_started and (transit_ms - s.play_at_ms > RESTART_MS or gap_ms > 2.0 * RESTART_MS):
        s.play_started = False
    if not s.play_started:
        s.play_started = True
        if s.play_packets == 0:
            s.play_target_ms = START_MS
        s.play_at_ms = transit_ms + s.play_target_ms
        s.play_low_ms = np.inf
        for k in range(SLOTS):
            s.play_lows_ms[k] = np.inf
        s.play_slot_ms = 0.0
        s.play_worst_ms = 0.0
    s.play_low_ms = min(s.play_low_ms, transit_ms)
    base_ms = s.play_low_ms
    for k in range(SLOTS):
        base_ms = min(base_ms, s.play_lows_ms[k])
    wanted_ms = base_ms + s.play_target_ms
    most_ms = gap_ms * STRETCH_MS_PER_MS
    if s.play_at_ms < wanted_ms:
        s.play_at_ms = min(wanted_ms, s.play_at_ms + most_ms)
    else:  # what is not there cannot be pressed together
        s.play_at_ms = max(s.play_at_ms - most_ms, min(s.play_at_ms, max(wanted_ms, transit_ms) + SLACK_MS))
    s.play_packets += 1
    s.play_sum_ms += s.play_at_ms - base_ms
    late = 0
    behind_ms = transit_ms - s.play_at_ms
    if behind_ms > 0.0:
        late = 1
        if is_newest:
            filled_ms = packet_ms if packet_ms > 0.0 else PACKET_MS
            late = math.ceil(behind_ms / filled_ms)
            s.play_at_ms += late * filled_ms
    s.play_late += late
    s.play_weight += 1.0
    if is_newest:
        s.play_worst_ms = max(s.play_worst_ms, transit_ms - base_ms)
    else:
        s.play_overtaken[min(int((transit_ms - base_ms) / BIN_MS), BINS - 1)] += 1.0
    s.play_slot_ms += gap_ms
    if s.play_slot_ms >= SLOT_MS:
        end_slot(s)
    return late
