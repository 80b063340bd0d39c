"""Voice-like trains: 50 packets a second to every target at the same time, each beside a slow control train.

Every packet has its own instant, counted from one start; none waits for another. A packet whose time is long past
(the computer slept, or was too busy) is left out and counted: sending the arrears in one burst would make a queue that
no call makes. First each target is asked whether it answers at all, and whether it answers padded requests.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ccp_assess.probe.binding import NumberedBindings, mapped_address
from ccp_assess.probe.machine import (
    Action,
    ClockStepped,
    Close,
    Datagram,
    Event,
    IcmpError,
    OpenUdp,
    Overflowed,
    Report,
    Send,
    SendFailed,
    Sent,
    Stop,
    Timer,
)
from ccp_assess.probe.traced import Target
from ccp_assess.probe.train_numbers import Packet, SelfInflicted, TrainNumbers, judge_sending, sum_up
from ccp_assess.units import NS_PER_MS, NS_PER_S
from ccp_assess.wire import stun

PACKETS_PER_S = 50
CONTROL_PER_S = 5
PACKET_BYTES = 172
"""UDP payload of a voice packet: 20 ms of Opus or G.711 with RTP header (RFC 3551); a multiple of 4, as STUN needs."""

BARE_BYTES = stun.HEADER_BYTES
FORGOTTEN_NS = 60 * NS_PER_MS
LISTEN_NS = 3 * NS_PER_S
FIRST_TRIES_NS = (0, 150 * NS_PER_MS, 450 * NS_PER_MS)
FIRST_LIMIT_NS = 1_500 * NS_PER_MS
BUFFER_BYTES = 1 << 20

PROHIBITIONS = frozenset({(4, 3, 9), (4, 3, 10), (4, 3, 13), (6, 1, 1)})
"""IP version, type and code by which a device forbids what we send (RFC 1812, 4443)."""

MOST_PROHIBITIONS = 3
"""After so many reports we stop: somebody does not want this train."""


@dataclass(slots=True)
class _Stream:
    """One train: one flow to one target."""

    target: int
    flow: int
    control: bool
    period_ns: int
    count: int
    first_ns: int = 0
    packets: list[Packet] = field(default_factory=list)
    arrivals: int = 0
    open: int = 0


@dataclass(slots=True)
class _First:
    """What the first questions to a target have shown."""

    answered_ns: int | None = None
    padded: bool = False
    bare: bool = False
    error: str | None = None
    prohibitions: int = 0
    prohibited_by: str | None = None


class Trains:
    """Send trains to many targets at once.

    Parameters
    ----------
    targets
        Where to.
    seconds
        Length of the trains [s].
    calls
        Trains at once to each target: so many calls (count).
    control
        Whether a slow train runs beside, to tell a limit on packets a second from loss.
    packet_bytes
        UDP payload where the target answers padded requests [bytes].
    traffic_class
        Whole TOS byte; ``None`` for the system's own.
    salt
        Of the transaction ids; random if not given.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        *,
        seconds: float = 10.0,
        calls: int = 1,
        control: bool = True,
        packet_bytes: int = PACKET_BYTES,
        traffic_class: int | None = None,
        salt: bytes | None = None,
    ) -> None:
        self.targets = tuple(targets)
        self.bindings = NumberedBindings(salt)
        self.packet_bytes, self.traffic_class = packet_bytes, traffic_class
        self.done = not self.targets
        self.firsts = [_First() for _ in self.targets]
        self.streams: list[_Stream] = []
        self.clock_steps = 0
        self.overflowed = 0
        self._place: list[tuple[int, int]] = []  # number of a packet → stream, packet
        self._queue: list[tuple[int, int]] = []
        self._end_ns: int | None = None
        self._begun = False
        self._first_due: list[int] = []
        self._began_ns = self._report_ns = 0
        for index in range(len(self.targets)):
            for call in range(calls):
                self._add(index, call, PACKETS_PER_S, seconds, control=False)
            if control:
                self._add(index, calls, CONTROL_PER_S, seconds, control=True)

    def _add(self, target: int, call: int, per_s: int, seconds: float, *, control: bool) -> None:
        flow = len(self.targets) + len(self.streams)
        self.streams.append(_Stream(target, flow, control, NS_PER_S // per_s, max(round(seconds * per_s), 1), call))

    # ------------------------------------------------------------ the contract

    def start(self, now_ns: int) -> Iterable[Action]:
        """Ask each target whether it answers, and how."""
        self._began_ns = now_ns
        self._first_due = [now_ns + after for after in FIRST_TRIES_NS]
        for index, target in enumerate(self.targets):
            remote = (target.address, target.port)
            yield OpenUdp(flow=index, family=target.family, remote=remote, source=target.source)

    def next_time(self) -> int | None:
        """Return when the next packet is due."""
        if not self._begun:
            return self._first_due[0] if self._first_due else self._began_ns + FIRST_LIMIT_NS
        return self._queue[0][0] if self._queue else self._end_ns

    def on_event(self, event: Event, now_ns: int) -> Iterable[Action]:
        """Take in what was heard."""
        match event:
            case Datagram():
                yield from self._on_answer(event, now_ns)
            case Sent(flow=flow, token=token, time_ns=time_ns, by_kernel=by_kernel):
                if flow >= len(self.targets):
                    packet = self._packet(token)
                    if by_kernel:
                        packet.stamped_ns = time_ns
                    else:
                        packet.sent_ns = time_ns
            case SendFailed(flow=flow, token=token, error=error):
                if flow < len(self.targets):
                    self.firsts[flow].error = error
                else:
                    self._fail(token, error)
            case IcmpError():
                self._on_report(event, now_ns)
            case Overflowed(count=count):
                self.overflowed += count
            case ClockStepped():
                self._on_clock_step()
            case Timer():
                yield from self._on_time(now_ns)
            case Stop():
                self.done = True

    def result(self) -> list[TrainNumbers | None]:
        """Return the numbers for each target; ``None`` where it never answered."""
        together = [packet for stream in self.streams for packet in stream.packets]
        own = judge_sending(together, overflowed=self.overflowed, clock_steps=self.clock_steps)
        return [self._numbers(index, own) for index in range(len(self.targets))]

    def singletons(self) -> list[tuple[int, int, float, float | None]]:
        """Return every packet that left, from which all numbers can be computed again.

        Returns
        -------
        packets
            Number (the last four bytes of its transaction id), number of its target, when it was due [ms from the
            first], round trip [ms].
        """
        first_ns = min((stream.first_ns for stream in self.streams if stream.packets), default=0)
        rows = []
        for number, (index, place) in enumerate(self._place, start=2 * len(self.targets)):
            stream = self.streams[index]
            packet = stream.packets[place]
            if packet.left:
                rows.append((number, stream.target, (packet.due_ns - first_ns) / NS_PER_MS, packet.rtt_ms))
        return rows

    def _numbers(self, index: int, own: SelfInflicted) -> TrainNumbers | None:
        first = self.firsts[index]
        ours = [stream for stream in self.streams if stream.target == index and stream.packets]
        if first.answered_ns is None or not ours:
            return None
        return sum_up(
            [stream.packets for stream in ours if not stream.control],
            [packet for stream in ours if stream.control for packet in stream.packets],
            packet_bytes=self._bytes_of(index),
            prohibited_by=first.prohibited_by,
            self_inflicted=own,
        )

    def _bytes_of(self, target: int) -> int:
        return self.packet_bytes if self.firsts[target].padded else BARE_BYTES

    # ------------------------------------------------------------ first questions

    def _ask_first(self) -> Iterator[Action]:
        for index, first in enumerate(self.firsts):
            if first.padded:
                continue
            number = 2 * index
            for token, size in ((number, BARE_BYTES), (number + 1, self.packet_bytes)):
                yield Send(flow=index, data=self.bindings.request(token, total_bytes=size), token=token)

    def _on_first_answer(self, number: int, now_ns: int) -> Iterator[Action]:
        first = self.firsts[number // 2]
        first.answered_ns = first.answered_ns or now_ns
        if number % 2:
            first.padded = True
        else:
            first.bare = True
        if all(one.padded for one in self.firsts):
            yield from self._begin(now_ns)

    def _begin(self, now_ns: int) -> Iterator[Action]:
        """Lay out the schedule: one start for all, the targets spread over the interval of the packets."""
        self._begun = True
        yield from (Close(flow=index) for index in range(len(self.targets)))
        going = [stream for stream in self.streams if self.firsts[stream.target].answered_ns is not None]
        start_ns = now_ns + 20 * NS_PER_MS
        for place, stream in enumerate(going):
            target = self.targets[stream.target]
            remote = (target.address, target.port)
            yield OpenUdp(
                flow=stream.flow,
                family=target.family,
                remote=remote,
                source=target.source,
                buffer_bytes=BUFFER_BYTES,
            )
            step_ns = NS_PER_S // PACKETS_PER_S
            stream.first_ns = start_ns + place * step_ns // len(going)
            number = self.streams.index(stream)
            heapq.heappush(self._queue, (stream.first_ns, number))
        if not going:
            self.done = True

    # ------------------------------------------------------------ the trains

    def _on_time(self, now_ns: int) -> Iterator[Action]:
        if not self._begun:
            if self._first_due:
                self._first_due.pop(0)
                yield from self._ask_first()
            elif now_ns >= self._began_ns + FIRST_LIMIT_NS:
                yield from self._begin(now_ns)
            return
        while self._queue and self._queue[0][0] <= now_ns:
            due_ns, index = heapq.heappop(self._queue)
            stream = self.streams[index]
            packet = Packet(due_ns)
            stream.packets.append(packet)
            if len(stream.packets) < stream.count:
                heapq.heappush(self._queue, (stream.first_ns + len(stream.packets) * stream.period_ns, index))
            if now_ns - due_ns > FORGOTTEN_NS:
                continue
            number = 2 * len(self.targets) + len(self._place)
            self._place.append((index, len(stream.packets) - 1))
            stream.open += 1
            data = self.bindings.request(number, total_bytes=self._bytes_of(stream.target))
            yield Send(flow=stream.flow, data=data, token=number, traffic_class=self.traffic_class)
        if not self._queue:
            if self._end_ns is None:
                self._end_ns = now_ns + LISTEN_NS
            yield from self._end_if_over(now_ns)
        if now_ns - self._report_ns >= NS_PER_S:
            self._report_ns = now_ns
            yield Report(record=self._record())

    def _on_report(self, event: IcmpError, now_ns: int) -> None:
        """Stop the trains to a target that a device forbids."""
        if event.flow < len(self.targets):
            return
        index = self.streams[event.flow - len(self.targets)].target
        first = self.firsts[index]
        if (self.targets[index].family, event.type, event.code) in PROHIBITIONS:
            first.prohibitions += 1
            if first.prohibitions >= MOST_PROHIBITIONS:
                first.prohibited_by = event.router
                self._queue = [one for one in self._queue if self.streams[one[1]].target != index]
                heapq.heapify(self._queue)
                if not self._queue and self._end_ns is None:
                    self._end_ns = now_ns + LISTEN_NS

    def _record(self) -> dict[str, object]:
        """Return what a live view shows, once a second."""
        rows = {}
        for index, target in enumerate(self.targets):
            sent = [one for s in self.streams if s.target == index and not s.control for one in s.packets if one.left]
            last = next((one.rtt_ms for one in reversed(sent) if one.arrived_ns is not None), None)
            answered = sum(one.arrived_ns is not None for one in sent)
            rows[target.name or target.address] = {"sent": len(sent), "answered": answered, "rtt_ms": last}
        return {"record": "train", "targets": rows}

    def _packet(self, number: int) -> Packet:
        stream, place = self._place[number - 2 * len(self.targets)]
        return self.streams[stream].packets[place]

    def _fail(self, number: int, error: str) -> None:
        packet = self._packet(number)
        packet.error = error
        self.streams[self._place[number - 2 * len(self.targets)][0]].open -= 1

    def _on_answer(self, event: Datagram, now_ns: int) -> Iterator[Action]:
        number = self.bindings.number_of(event.data) if self.bindings.is_answer(event.data) else None
        if number is None or number >= 2 * len(self.targets) + len(self._place):
            return
        if number < 2 * len(self.targets):
            if not self._begun:
                yield from self._on_first_answer(number, now_ns)
            return
        stream = self.streams[self._place[number - 2 * len(self.targets)][0]]
        packet = self._packet(number)
        if event.flow != stream.flow:
            return
        if packet.arrived_ns is not None:
            packet.copies += 1
            return
        packet.arrived_ns, packet.stamped_arrival, packet.ttl = event.time_ns, event.by_kernel, event.ttl
        packet.order, stream.arrivals = stream.arrivals, stream.arrivals + 1
        packet.mapped = mapped_address(event.data)
        stream.open -= 1
        if not self._queue:
            yield from self._end_if_over(now_ns)

    def _end_if_over(self, now_ns: int) -> Iterator[Action]:
        over = all(stream.open == 0 for stream in self.streams) or (self._end_ns is not None and now_ns >= self._end_ns)
        if over and not self.done:
            self.done = True
            yield from (Close(flow=stream.flow) for stream in self.streams if stream.packets)

    def _on_clock_step(self) -> None:
        self.clock_steps += 1
        for stream in self.streams:
            for packet in reversed(stream.packets):
                if packet.arrived_ns is not None:
                    break
                packet.spoiled = True
