"""Speech inside TLS, told by size and cadence, compiled: when it began, when it ended, how steady it was.

What a relay carries inside TLS cannot be read, but speech shows: small records at a steady pace in both directions. A
connection may stand by before a call and carry several calls; each span of such packets is kept apart.
"""

# ruff: noqa: PLR0917  (compiled loops take plain positional arguments)

# mypy: disable-error-code="attr-defined,return-value,assignment,arg-type,operator,no-any-return"
# (numpy gives the fields of rows no types; the compiler checks them)

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ccp_assess.units import NS_PER_S
from ccp_assess.wire.compiled import helper

Table = npt.NDArray[np.void]

SPAN = np.dtype(
    [
        ("first_ns", np.int64),  # first packet of the steady run that opened it
        ("last_ns", np.int64),  # last packet that was one of several within a second
        ("packets", np.int64, (2,)),  # packets with payload while it was open, a to b and b to a
        ("paced", np.int64, (2,)),  # of these, small ones at the pace of speech
        ("flow", np.int32),
    ],
    align=True,
)
"""One span of speech, or of what looks like it in one direction."""

MOST_SPANS = 16_384
SMALL_BYTES = (60, 400)
"""Payload of one TLS record with one packet of speech: 20 to 60 ms of any codec with its headers [bytes]."""

PACE_NS = (8_000_000, 70_000_000)
OPENING_RUN = 25
"""Steady packets in a row that open a span: half a second of speech."""

LIVELY_NS = NS_PER_S
"""Three small packets of one direction within this time keep a span going: DTX does, connectivity checks do not."""

PAUSE_NS = 5 * NS_PER_S
"""A span ends with a silence of this length in both directions."""

LEAST_PACED = 250
LEAST_PACED_SHARE = 0.7
RATE_HZ = (4.0, 120.0)

FLOW_FIELDS = [
    ("payload_ns", np.int64, (2,)),  # last packet with payload
    ("run_ns", np.int64, (2,)),  # first packet of the steady run at hand
    ("run", np.int32, (2,)),  # its packets
    ("small_ns", np.int64, (2,)),  # last small packet
    ("small_before_ns", np.int64, (2,)),  # the one before it
    ("span", np.int32),  # the latest span, -1 if there was none
]
"""What a flow remembers for it."""


@helper
def forget_speech(flow: np.void) -> None:
    """Begin a flow."""
    for k in range(2):
        flow.payload_ns[k] = 0
        flow.run_ns[k] = 0
        flow.run[k] = 0
        flow.small_ns[k] = 0
        flow.small_before_ns[k] = 0
    flow.span = -1


@helper
def open_span(flow: np.void, flow_index: int, side: int, spans: Table, span_counts: npt.NDArray[np.int64]) -> int:
    """Begin a span with the steady run at hand; -1 if there are too many."""
    number = np.int64(flow.span)
    if number < 0 or min(spans[number].paced[0], spans[number].paced[1]) >= LEAST_PACED:
        if span_counts[0] >= len(spans):
            span_counts[1] += 1
            return -1
        number = span_counts[0]
        span_counts[0] += 1
    s = spans[number]  # a span that is no speech gives its row to the next one of its flow
    s.flow = flow_index
    s.first_ns = flow.run_ns[side]
    s.last_ns = flow.small_ns[side]
    for k in range(2):
        s.packets[k] = 0
        s.paced[k] = 0
    s.packets[side] = flow.run[side] - 1
    s.paced[side] = flow.run[side] - 2
    other = 1 - side
    if flow.run[other] >= 2 and abs(flow.small_ns[side] - flow.small_ns[other]) < LIVELY_NS:
        s.first_ns = min(s.first_ns, flow.run_ns[other])
        s.packets[other] = flow.run[other]
        s.paced[other] = flow.run[other] - 1
    flow.span = number
    return number


@helper
def note_speech(
    flow: np.void,
    flow_index: int,
    side: int,
    time_ns: int,
    length: int,
    spans: Table,
    span_counts: npt.NDArray[np.int64],
) -> None:
    """Let one TCP segment with payload arrive.

    Parameters
    ----------
    flow, flow_index, side
        Row with `FLOW_FIELDS`, its number, and the direction.
    time_ns, length
        Arrival, and payload on the wire [ns], [bytes].
    spans, span_counts
        Rows of `SPAN`; used ones, and how many found no room.
    """
    gap_ns = time_ns - flow.payload_ns[side]
    flow.payload_ns[side] = time_ns
    is_small = SMALL_BYTES[0] <= length <= SMALL_BYTES[1]
    is_paced = is_small and PACE_NS[0] <= gap_ns <= PACE_NS[1]
    is_lively = False
    if is_small:
        if flow.run[side] == 0 or not gap_ns <= PACE_NS[1]:
            flow.run[side] = 1
            flow.run_ns[side] = time_ns
        elif is_paced:
            flow.run[side] += 1
        is_lively = time_ns - flow.small_before_ns[side] <= LIVELY_NS
        flow.small_before_ns[side] = flow.small_ns[side]
        flow.small_ns[side] = time_ns
    else:
        flow.run[side] = 0
    number = np.int64(flow.span)
    if number < 0 or time_ns - spans[number].last_ns > PAUSE_NS:
        if flow.run[side] < OPENING_RUN:
            return
        number = open_span(flow, flow_index, side, spans, span_counts)
        if number < 0:
            return
    s = spans[number]
    s.packets[side] += 1
    if is_paced:
        s.paced[side] += 1
    if is_lively:
        s.last_ns = time_ns


def is_speech(span: np.void) -> bool:
    """Tell whether both directions of a span have the size and cadence of speech.

    Parameters
    ----------
    span
        Row of `SPAN`.

    Returns
    -------
    is_speech
        A file transfer, a web page or a chat is none.
    """
    duration_s = max((int(span["last_ns"]) - int(span["first_ns"])) / NS_PER_S, 1e-9)
    return all(
        paced >= LEAST_PACED
        and paced >= LEAST_PACED_SHARE * packets
        and RATE_HZ[0] <= packets / duration_s <= RATE_HZ[1]
        for paced, packets in zip(span["paced"].tolist(), span["packets"].tolist(), strict=True)
    )
