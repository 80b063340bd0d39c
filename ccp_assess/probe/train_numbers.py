"""What a train of packets says: loss apart from lateness, three kinds of delay variation, bursts, and its own faults.

References
----------
RFC 3550, section 6.4.1 (smoothed jitter); RFC 3393 (IPDV); RFC 5481 (PDV); RFC 2680 (loss: not arrived within a stated
time); RFC 4737 (reordering).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

from ccp_assess.probe.intervals import LossInterval, loss_interval, rate_limit_chance
from ccp_assess.units import NS_PER_MS, rounded

LATE_AFTER_MS = 1_000.0
"""An answer after this is late: no call waits for it."""

LATE_SEND_MS = 5.0
MOST_LATE_SENDS_PCT = 1.0
"""With more sends late than this the computer was too busy to measure."""

RATE_LIMIT_P = 0.001
P99_NEEDS = 500

_T = TypeVar("_T")


@dataclass(slots=True)
class Packet:
    """One packet of a train."""

    due_ns: int
    sent_ns: int | None = None
    stamped_ns: int | None = None
    arrived_ns: int | None = None
    stamped_arrival: bool = False
    order: int | None = None
    copies: int = 0
    ttl: int | None = None
    mapped: tuple[str, int] | None = None
    error: str | None = None
    spoiled: bool = False  # the clock was set while it was on its way

    @property
    def left(self) -> bool:
        """Whether it left this computer."""
        return self.sent_ns is not None and self.error is None

    @property
    def rtt_ms(self) -> float | None:
        """Round trip [ms]."""
        if self.arrived_ns is None or self.sent_ns is None or self.spoiled:
            return None
        return max(self.arrived_ns - (self.sent_ns if self.stamped_ns is None else self.stamped_ns), 0) / NS_PER_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfInflicted:
    """What this computer itself did to the measurement.

    Parameters
    ----------
    late_sends_pct
        Packets that left more than 5 ms after their time, or not at all since it was long past [percent].
    worst_send_ms
        The latest [ms].
    overflowed
        Answers that this computer threw away unread (count).
    clock_steps
        How often the wall clock was set meanwhile (count).
    reasons
        Why the run is spoiled; empty if it is not.
    """

    late_sends_pct: float
    worst_send_ms: float
    overflowed: int
    clock_steps: int
    reasons: tuple[str, ...]

    @property
    def spoiled(self) -> bool:
        """Whether loss and jitter of this run are not judged."""
        return bool(self.reasons)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainNumbers:
    """What a train to one target says.

    Parameters
    ----------
    sent, received, lost, late
        Packets that left; that were answered in time; never; after :data:`LATE_AFTER_MS` (count).
    loss
        Lost ones with their interval and bursts.
    duplicates, reordered
        Copies; answers that came after one of a later packet (count).
    rtt_min_ms, rtt_p50_ms, rtt_p95_ms, rtt_p99_ms, rtt_max_ms
        Round trip, nearest rank; p99 from 500 answers on [ms].
    jitter_ms
        RFC 3550's estimator on differences of round trips, its last value [ms].
    ipdv_mean_ms
        Mean difference of neighbours, without sign (RFC 3393) [ms].
    pdv_p95_ms
        95th percentile above the minimum (RFC 5481): what a jitter buffer must hold [ms].
    reply_ttls
        Remaining TTLs of the answers in the order of their change; more than one: the way back changed.
    mapped
        Addresses and ports that the far end saw, in the order of their change; more than one: a NAT lost its mapping.
    rate_limit_p
        Chance that a limit on packets a second is not why the train lost more than its control; ``None`` if no control.
    control_sent, control_lost
        Of the slow control (count).
    kernel_stamped_pct
        Answers timed by the kernel at both ends [percent].
    packet_bytes
        UDP payload of each packet [bytes].
    calls
        Trains at once to this target (count).
    prohibited_by
        The device that forbade the train, which was then stopped.
    self_inflicted
        What the computer did to it.
    """

    sent: int
    received: int
    lost: int
    late: int
    send_failed: int
    loss: LossInterval
    duplicates: int
    reordered: int
    rtt_min_ms: float | None
    rtt_p50_ms: float | None
    rtt_p95_ms: float | None
    rtt_p99_ms: float | None
    rtt_max_ms: float | None
    jitter_ms: float | None
    ipdv_mean_ms: float | None
    pdv_p95_ms: float | None
    reply_ttls: tuple[int, ...]
    mapped: tuple[tuple[str, int], ...]
    rate_limit_p: float | None
    control_sent: int
    control_lost: int
    kernel_stamped_pct: float | None
    packet_bytes: int
    calls: int
    prohibited_by: str | None
    self_inflicted: SelfInflicted

    @property
    def rate_limited(self) -> bool:
        """Whether a limit on packets a second explains the loss."""
        return self.rate_limit_p is not None and self.rate_limit_p < RATE_LIMIT_P

    def to_document(self) -> dict[str, Any]:
        """Return the ``train`` object of the contract, with what we know beyond it."""
        low, high = self.loss.low_pct, self.loss.high_pct
        return {
            "sent": self.sent,
            "received": self.received,
            "lost": self.lost,
            "late": self.late,
            "send_failed": self.send_failed,
            "loss_pct": rounded(self.loss.loss_pct),
            "loss_ci95_pct": [rounded(low), rounded(high)],
            "loss_method": self.loss.method,
            "bursts": self.loss.bursts,
            "longest_burst": self.loss.longest_burst,
            "mean_burst": rounded(self.loss.mean_burst),
            "few_bursts": self.loss.few_bursts,
            "duplicates": self.duplicates,
            "reordered": self.reordered,
            "rtt_min_ms": rounded(self.rtt_min_ms),
            "rtt_p50_ms": rounded(self.rtt_p50_ms),
            "rtt_p95_ms": rounded(self.rtt_p95_ms),
            "rtt_p99_ms": rounded(self.rtt_p99_ms),
            "rtt_max_ms": rounded(self.rtt_max_ms),
            "jitter_ms": rounded(self.jitter_ms),
            "ipdv_mean_ms": rounded(self.ipdv_mean_ms),
            "pdv_p95_ms": rounded(self.pdv_p95_ms),
            "reply_ttls": list(self.reply_ttls),
            "mapped": [f"{address}:{port}" for address, port in self.mapped],
            "control_sent": self.control_sent,
            "control_lost": self.control_lost,
            "rate_limit_p": self.rate_limit_p,
            "rate_limited": self.rate_limited,
            "kernel_stamped_pct": rounded(self.kernel_stamped_pct),
            "packet_bytes": self.packet_bytes,
            "calls": self.calls,
            "prohibited_by": self.prohibited_by,
            "self_inflicted": {
                "spoiled": self.self_inflicted.spoiled,
                "reasons": list(self.self_inflicted.reasons),
                "late_sends_pct": rounded(self.self_inflicted.late_sends_pct),
                "worst_send_ms": rounded(self.self_inflicted.worst_send_ms),
                "overflowed": self.self_inflicted.overflowed,
                "clock_steps": self.self_inflicted.clock_steps,
            },
        }


def nearest_rank(ordered: Sequence[float], percent: float) -> float | None:
    """Return a percentile by nearest rank; ``None`` of nothing.

    Parameters
    ----------
    ordered
        Sorted values.
    percent
        0 to 100.

    Returns
    -------
    value
        One of them.
    """
    return ordered[max(-int(-percent * len(ordered) // 100) - 1, 0)] if ordered else None


def judge_sending(packets: Sequence[Packet], *, overflowed: int, clock_steps: int) -> SelfInflicted:
    """Say whether this computer kept to the schedule.

    Parameters
    ----------
    packets
        All of a run, of every target: they share the computer.
    overflowed
        Answers that the sockets threw away (count).
    clock_steps
        How often the wall clock was set (count).

    Returns
    -------
    self_inflicted
        With reasons where it did not.
    """
    lateness = [
        None if packet.sent_ns is None else ((packet.stamped_ns or packet.sent_ns) - packet.due_ns) / NS_PER_MS
        for packet in packets
        if packet.error is None
    ]
    late = sum(one is None or one > LATE_SEND_MS for one in lateness)
    share = 100.0 * late / len(lateness) if lateness else 0.0
    reasons = []
    if share > MOST_LATE_SENDS_PCT:
        reasons.append("late_sends")
    if overflowed:
        reasons.append("overflow")
    return SelfInflicted(
        late_sends_pct=share,
        worst_send_ms=max((one for one in lateness if one is not None), default=0.0),
        overflowed=overflowed,
        clock_steps=clock_steps,
        reasons=tuple(reasons),
    )


def sum_up(
    trains: Sequence[Sequence[Packet]],
    control: Sequence[Packet],
    *,
    packet_bytes: int,
    self_inflicted: SelfInflicted,
    prohibited_by: str | None = None,
) -> TrainNumbers:
    """Sum up the trains to one target.

    Parameters
    ----------
    trains
        One list of packets for each call, in order of sending.
    control
        The slow train that ran beside them.
    packet_bytes
        UDP payload of each packet [bytes].
    self_inflicted
        What the computer did to the run.
    prohibited_by
        The device that forbade the train.

    Returns
    -------
    numbers
        The record.
    """
    left = [[packet for packet in train if packet.left] for train in trains]
    packets = [packet for train in left for packet in train]
    flags = [packet.arrived_ns is None for train in left for packet in train]
    late = sum(not packet.spoiled and (packet.rtt_ms or 0.0) > LATE_AFTER_MS for packet in packets)
    rtts = sorted(rtt for packet in packets if (rtt := packet.rtt_ms) is not None)
    answered = sum(packet.arrived_ns is not None for packet in packets)
    differences = [
        abs(after - before) for train in left for before, after in pairwise(_in_order(train)) if before is not None
    ]
    slow = [packet.arrived_ns is None for packet in control if packet.left]
    stamped = sum(packet.stamped_arrival and packet.stamped_ns is not None for packet in packets)
    lowest, p95 = (rtts[0] if rtts else None), nearest_rank(rtts, 95)
    return TrainNumbers(
        sent=len(packets),
        received=answered - late,
        lost=sum(flags),
        late=late,
        send_failed=sum(packet.error is not None for train in trains for packet in train),
        loss=loss_interval(flags),
        duplicates=sum(packet.copies for packet in packets),
        reordered=sum(_reordered(train) for train in left),
        rtt_min_ms=lowest,
        rtt_p50_ms=nearest_rank(rtts, 50),
        rtt_p95_ms=p95,
        rtt_p99_ms=nearest_rank(rtts, 99) if len(rtts) >= P99_NEEDS else None,
        rtt_max_ms=rtts[-1] if rtts else None,
        jitter_ms=_smoothed_jitter([_in_order(train) for train in left]),
        ipdv_mean_ms=sum(differences) / len(differences) if differences else None,
        pdv_p95_ms=None if lowest is None or p95 is None else p95 - lowest,
        reply_ttls=_changes([packet.ttl for packet in packets if packet.ttl is not None]) if len(left) == 1 else (),
        mapped=_changes([packet.mapped for packet in packets if packet.mapped is not None]) if len(left) == 1 else (),
        rate_limit_p=rate_limit_chance(flags, slow),
        control_sent=len(slow),
        control_lost=sum(slow),
        kernel_stamped_pct=100.0 * stamped / answered if answered else None,
        packet_bytes=packet_bytes,
        calls=len(trains),
        prohibited_by=prohibited_by,
        self_inflicted=self_inflicted,
    )


def _in_order(train: Sequence[Packet]) -> list[float]:
    """Return the round trips in the order of sending; a lost packet leaves no gap (RFC 3550)."""
    return [rtt for packet in train if (rtt := packet.rtt_ms) is not None]


def _smoothed_jitter(trains: Sequence[Sequence[float]]) -> float | None:
    last = []
    for rtts in trains:
        if len(rtts) < 2:
            continue
        jitter = 0.0
        for before, after in pairwise(rtts):
            jitter += (abs(after - before) - jitter) / 16.0
        last.append(jitter)
    return sum(last) / len(last) if last else None


def _reordered(train: Sequence[Packet]) -> int:
    """Count answers that came after the answer of a later packet (RFC 4737, section 3)."""
    count, highest = 0, -1
    for number, _ in sorted(
        ((number, packet.order) for number, packet in enumerate(train) if packet.order is not None),
        key=lambda pair: pair[1],
    ):
        if number < highest:
            count += 1
        highest = max(highest, number)
    return count


def _changes(values: Sequence[_T]) -> tuple[_T, ...]:
    return tuple(value for index, value in enumerate(values) if index == 0 or value != values[index - 1])
