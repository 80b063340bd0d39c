"""Whose clock says what: the offset between two witnesses of the same calls, with its spread.

Best is the arrival of the packets themselves: both witnesses count the same ones, so that the n-th packet has an
instant on each clock. Next come the beginnings and ends of calls that are known to be the same by a contact or an SSRC;
last, the one offset at which most calls of one fall on calls of the other.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ccp_assess.units import NS_PER_MS, NS_PER_S

Basis = Literal["packets", "starts_and_ends", "none"]

MOST_VOTING = 400
"""Calls of the reference that an unknown offset is sought with (count)."""

_NEAR_NS = 5 * NS_PER_S
"""Starts of the same call differ by no more: one witness begins at the ring, the other at the audio [ns]."""

_SIMILAR = 0.15
"""Durations of the same call differ by no larger share."""

_ALONE_NS = 120 * NS_PER_S
"""A single call proves no larger offset than this [ns]."""

_MOST_NS = 26 * 3600 * NS_PER_S
"""Largest offset thought of: a wrong time zone, on a wrong day [ns]."""

_SAME_COUNT = 0.02
"""Two counts of the same packets differ by no larger share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """How many packets had come by when.

    Parameters
    ----------
    time_ns
        Since 1970 [ns], rising.
    packets
        Received by then (count), strictly rising.
    """

    time_ns: NDArray[np.int64]
    packets: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """When a witness says that a call was.

    Parameters
    ----------
    start_ns, end_ns
        By its own clock, since 1970 [ns].
    names
        What tells the call from others: its contact, its SSRCs.
    arrivals
        Of the packets towards the agent, as far as the witness saw them.
    begun, ended
        Whether the witness saw the call begin, and end.
    """

    start_ns: int
    end_ns: int
    names: frozenset[str] = frozenset()
    arrivals: Arrivals | None = None
    begun: bool = True
    ended: bool = True

    @property
    def duration_ns(self) -> int:
        """How long it was [ns]."""
        return self.end_ns - self.start_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Offset:
    """What must be added to a witness's clock to have the reference's.

    Parameters
    ----------
    offset_ns
        Median of the samples [ns].
    spread_ns
        Median absolute deviation, scaled to a normal distribution's standard deviation [ns].
    samples
        How many it rests on (count).
    basis
        ``packets``, ``starts_and_ends``, or ``none`` where the clocks are taken to agree.
    pairs
        Calls that were found to be the same: indices in reference and witness.
    """

    offset_ns: int = 0
    spread_ns: int | None = None
    samples: int = 0
    basis: Basis = "none"
    pairs: tuple[tuple[int, int], ...] = field(default=())


def estimate_offset(reference: Sequence[Span], witness: Sequence[Span]) -> Offset:
    """Estimate the offset of a witness's clock.

    Parameters
    ----------
    reference
        Calls by the reference's clock.
    witness
        Calls by the witness's clock.

    Returns
    -------
    offset
        With the pairs of calls that it rests on; without any, the clocks are taken to agree.
    """
    pairs = _same_names(reference, witness)
    if not pairs:
        pairs = _voted(reference, witness)
    if not pairs:
        return Offset()
    samples = np.concatenate([_by_packets(reference[a], witness[b]) for a, b in pairs])
    basis: Basis = "packets"
    if not len(samples):
        basis = "starts_and_ends"
        samples = np.asarray([one for a, b in pairs for one in _by_limits(reference[a], witness[b])])
    if not len(samples):
        return Offset(pairs=tuple(pairs))
    middle = float(np.median(samples))
    spread = float(np.median(np.abs(samples - middle))) * 1.4826
    return Offset(
        offset_ns=round(middle), spread_ns=round(spread), samples=len(samples), basis=basis, pairs=tuple(pairs)
    )


def _same_names(reference: Sequence[Span], witness: Sequence[Span]) -> list[tuple[int, int]]:
    owners: dict[str, int] = {}
    for at, span in enumerate(reference):
        for name in span.names:
            owners.setdefault(name, at)
    pairs = []
    used: set[int] = set()
    for at, span in enumerate(witness):
        known = next((owners[name] for name in sorted(span.names) if name in owners), None)
        if known is not None and known not in used:
            used.add(known)
            pairs.append((known, at))
    return pairs


def _by_limits(reference: Span, witness: Span) -> list[int]:
    """Return the differences of beginnings and ends, of those that both saw [ns]."""
    differences = []
    if reference.begun and witness.begun:
        differences.append(reference.start_ns - witness.start_ns)
    if reference.ended and witness.ended:
        differences.append(reference.end_ns - witness.end_ns)
    return differences


def _voted(reference: Sequence[Span], witness: Sequence[Span]) -> list[tuple[int, int]]:
    """Find the offset at which most calls fall on calls, if that is more than chance."""
    few = range(min(len(reference), MOST_VOTING))
    counted = [
        (a, b, _by_limits(reference[a], span)[0])
        for b, span in enumerate(witness)
        if span.arrivals is not None
        for a in few
        if _same_count(reference[a], span) and _alike(reference[a], span) and _by_limits(reference[a], span)
    ]
    if len(counted) == 1 and abs(counted[0][2]) <= _MOST_NS:
        return [counted[0][:2]]  # its packets were counted, and no other call has as many
    candidates = np.asarray(counted, np.int64).reshape(-1, 3) if counted else _candidates(reference, witness)
    offset = _peak(candidates)
    if offset is None:
        return []
    return match([reference[at] for at in few], witness, offset, within_ns=_NEAR_NS)


def _candidates(reference: Sequence[Span], witness: Sequence[Span]) -> NDArray[np.int64]:
    """Return the pairs that can be the same call by their duration: both indices, and the offset each asks for [ns]."""
    starts, ends = (np.asarray([getattr(span, name) for span in witness], np.int64) for name in ("start_ns", "end_ns"))
    begun, ended = (np.asarray([getattr(span, name) for span in witness], bool) for name in ("begun", "ended"))
    found = [np.empty((0, 3), np.int64)]
    for number, span in enumerate(reference[:MOST_VOTING]):
        by_start, by_end = begun & span.begun, ended & span.ended
        offsets = np.where(by_start, span.start_ns - starts, span.end_ns - ends)
        durations = ends - starts
        allowed = np.maximum(_NEAR_NS, _SIMILAR * np.maximum(durations, span.duration_ns))
        alike = ~(by_start & by_end) | (np.abs(durations - span.duration_ns) <= allowed)
        fits = np.flatnonzero((by_start | by_end) & alike & (np.abs(offsets) <= _MOST_NS))
        found.append(np.stack([np.full(len(fits), number), fits, offsets[fits]], axis=1))
    return np.concatenate(found)


def _peak(candidates: NDArray[np.int64]) -> int | None:
    """Return the offset that most pairs ask for; ``None`` if it is no better than chance [ns]."""
    near = candidates[np.abs(candidates[:, 2]) <= _ALONE_NS]
    (most, offset), (most_near, offset_near) = (_densest(some[:, 2]) for some in (candidates, near))
    if most_near and 2 * most_near >= most:
        alone = len(near) == len(np.unique(near[:, 0])) == len(np.unique(near[:, 1]))
        return offset_near if alone or _is_sure(near, most_near) else None
    return offset if _is_sure(candidates, most) else None


def _is_sure(candidates: NDArray[np.int64], most: int) -> bool:
    """Tell whether several calls agree on an offset more often than those that lie anywhere would."""
    if len(np.unique(candidates[:, 0])) < 2:
        return False
    width = max(int(np.ptp(candidates[:, 2])), _NEAR_NS)
    chance = len(candidates) * _NEAR_NS / width if width > 2 * _NEAR_NS else 0.0
    return most >= max(chance + 5 * math.sqrt(chance) + 1, 2)  # five standard deviations of a Poisson count


def _densest(offsets: NDArray[np.int64]) -> tuple[int, int]:
    """Return how many offsets lie within a few seconds of each other at most, and their median [ns]."""
    if not len(offsets):
        return 0, 0
    ordered = np.sort(offsets)
    counts = np.searchsorted(ordered, ordered + _NEAR_NS, side="right") - np.arange(len(ordered))
    at = int(counts.argmax())
    return int(counts[at]), int(np.median(ordered[at : at + int(counts[at])]))


def _alike(first: Span, second: Span) -> bool:
    """Tell whether two spans can be the same call by their duration, and by what was counted."""
    if not (first.begun and second.begun and first.ended and second.ended):
        return True
    allowed = max(_NEAR_NS, _SIMILAR * max(first.duration_ns, second.duration_ns))
    counted = first.arrivals is not None and second.arrivals is not None
    return abs(first.duration_ns - second.duration_ns) <= allowed and (not counted or _same_count(first, second, 0.2))


def _same_count(first: Span, second: Span, share: float = _SAME_COUNT) -> bool:
    """Tell whether both counted the same packets, but for those that one of them missed."""
    if first.arrivals is None or second.arrivals is None:
        return False
    totals = (float(first.arrivals.packets[-1]), float(second.arrivals.packets[-1]))
    return abs(totals[0] - totals[1]) <= max(share * max(totals), 5.0)


def match(
    reference: Sequence[Span],
    witness: Sequence[Span],
    offset_ns: int,
    *,
    within_ns: int = 2 * _NEAR_NS,
    only_one: bool = False,
) -> list[tuple[int, int]]:
    """Pair calls whose times agree, each at most once, the nearest first.

    Parameters
    ----------
    reference, witness
        Calls.
    offset_ns
        Added to the witness's times [ns].
    within_ns
        By how much starts may differ [ns].
    only_one
        Whether calls are left alone that several of the others could be.

    Returns
    -------
    pairs
        Indices in reference and witness. Calls that both have names of one kind, none in common, are not paired.
    """
    starts, ends = (np.asarray([getattr(span, name) for span in reference]) for name in ("start_ns", "end_ns"))
    near = []
    for b, span in enumerate(witness):
        by_start = np.abs(starts - (span.start_ns + offset_ns)) <= within_ns
        by_end = np.abs(ends - (span.end_ns + offset_ns)) <= within_ns
        for a in np.flatnonzero(by_start | by_end).tolist():
            far = min((abs(one - offset_ns) for one in _by_limits(reference[a], span)), default=within_ns)
            if far <= within_ns and _alike(reference[a], span) and not _named_apart(reference[a], span):
                near.append((far, a, b))
    if only_one:
        rivals = Counter([("a", a) for _, a, _ in near] + [("b", b) for _, _, b in near])
        near = [one for one in near if rivals["a", one[1]] == rivals["b", one[2]] == 1]
    taken_a: set[int] = set()
    taken_b: set[int] = set()
    pairs = []
    for _, a, b in sorted(near):
        if a not in taken_a and b not in taken_b:
            taken_a.add(a)
            taken_b.add(b)
            pairs.append((a, b))
    return sorted(pairs)


def _named_apart(first: Span, second: Span) -> bool:
    """Tell whether both have names of the same kind, and none in common."""
    if first.names & second.names:
        return False
    kinds = [{name.partition(":")[0] for name in span.names} for span in (first, second)]
    return bool(kinds[0] & kinds[1])


def _by_packets(reference: Span, witness: Span) -> NDArray[np.float64]:
    """Return the offset that each instant shows: when the reference had counted as many packets [ns].

    Counted is from the beginning where both saw that, else backwards from the end.
    """
    one, other = reference.arrivals, witness.arrivals
    if one is None or other is None or len(one.packets) < 3 or len(other.packets) < 3:
        return np.empty(0)
    if reference.begun and witness.begun:
        if not _same_count(reference, witness):
            return np.empty(0)
        known, sought = one.packets, other.packets
    elif reference.ended and witness.ended:
        known, sought = one.packets - one.packets[-1], other.packets - other.packets[-1]
    else:
        return np.empty(0)
    # the ends are left out: what comes last, one of the two may not have waited for
    inner = sought[1:-1]
    inside = (inner > known[0]) & (inner < known[-1])
    base = int(one.time_ns[0])
    at = np.interp(inner[inside], known, (one.time_ns - base).astype(np.float64))
    offsets: NDArray[np.float64] = at - (other.time_ns[1:-1][inside] - base).astype(np.float64)
    return offsets


def milliseconds(duration_ns: int | None) -> float | None:
    """Write a duration in milliseconds.

    Parameters
    ----------
    duration_ns
        A duration [ns].

    Returns
    -------
    duration_ms
        To a tenth [ms].
    """
    return None if duration_ns is None else round(duration_ns / NS_PER_MS, 1)
