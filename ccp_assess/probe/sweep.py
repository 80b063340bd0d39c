"""Trace the ways to all targets at once: every TTL of every target in one burst, then the same in one flow.

A round takes one largest round trip where every hop answers, and one quiet time more where some are silent:

- The first :data:`FIRST_TTLS` TTLs go out together, highest first, so that the distance is known early; some more a
  little later where the destination has not answered by then, the rest only where a router near the last of them did.
- Hops 1 to 3 are asked for one target of each egress and verified at a second one (Doubletree): a router that limits
  its ICMP answers would else look lossy. Hop 1 is the gateway and is asked once.
- When the destination has answered, what is missing below is asked once more, the TTL just below it twice: a lost
  answer there would make the hop count wrong.
- A target ends when every lower TTL has answered, or max(100 ms, half a round trip) after its destination did; without
  a destination after a patience of :data:`PATIENCE_NS` without news.

With UDP each TTL has a socket of its own, so that any router's report can be told even where it quotes eight bytes
only. But another source port is another flow, and routers that spread flows then show a way that does not exist:
:mod:`ccp_assess.probe.one_flow` asks again, in one flow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ccp_assess.paths import Technique
from ccp_assess.probe.binding import NumberedBindings
from ccp_assess.probe.machine import (
    Action,
    Close,
    Connected,
    ConnectFailed,
    Datagram,
    Event,
    IcmpError,
    OpenIcmp,
    OpenTcp,
    OpenUdp,
    Report,
    Send,
    SendFailed,
    Sent,
    Stop,
    Timer,
)
from ccp_assess.probe.traced import HopAnswer, HopProbe, Kind, ProbedPath, Target, infer_shared_hops, merge_probes
from ccp_assess.units import NS_PER_MS, NS_PER_S

FIRST_TTLS = 16
SECOND_TTLS = 22
LARGEST_TTL = 30
SECOND_AFTER_NS = 20 * NS_PER_MS
SHARED_TTLS = 3
NEAR_LAST = 3
"""An expiry this near the last TTL that was asked says that the way goes on."""

QUIET_NS = 100 * NS_PER_MS
SETTLE_NS = 6 * NS_PER_MS
PATIENCE_NS = NS_PER_S
ROUND_LIMIT_NS = 2_500 * NS_PER_MS

ENOUGH_ASKED = 3
"""So often the TTL just below the destination is asked in a round before it counts as silent."""

_TCP_FLOW = 10_000
_EXPIRED = {4: 11, 6: 3}
_UNREACHABLE = {4: 3, 6: 1}
_FRAGMENTATION_NEEDED = 4


@dataclass(slots=True)
class _Trace:
    """One target within one round."""

    index: int
    target: Target
    probes: dict[int, list[HopProbe]] = field(default_factory=dict)
    lowest: int | None = None  # lowest TTL at which the destination answered
    blocked: int | None = None
    rtt_ns: int = 0
    asked_to: int = FIRST_TTLS
    go_on_ns: int | None = None
    ask_again_ns: int | None = None
    end_ns: int | None = None
    ended: bool = False
    failed: int = 0

    def answered(self, ttl: int) -> bool:
        return any(probe.answer is not None for probe in self.probes.get(ttl, ()))

    @property
    def last(self) -> int | None:
        """The TTL below which everything is to be known."""
        return self.lowest if self.lowest is not None else self.blocked


@dataclass(slots=True)
class _Group:
    """Targets of one egress: their first hops are the same device, which is verified at two of them."""

    members: list[int]
    apart: set[int] = field(default_factory=set)  # TTLs at which the two witnesses disagree

    @property
    def witnesses(self) -> tuple[int, ...]:
        return (self.members[0], self.members[-1]) if len(self.members) > 1 else (self.members[0],)


class Sweep:
    """Trace the ways to all targets.

    Parameters
    ----------
    targets
        Where to.
    technique
        ``udp`` (STUN as payload), ``tcp`` (connects) or ``icmp`` (echo requests with constant checksum).
    rounds
        Bursts, merged into one path.
    round_gap_s
        From the start of one round to that of the next [s].
    traffic_class
        Whole TOS byte to send with; ``None`` for the system's own.
    salt
        Of the transaction ids; random if not given.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        *,
        technique: Technique = "udp",
        rounds: int = 1,
        round_gap_s: float = 1.0,
        traffic_class: int | None = None,
        salt: bytes | None = None,
    ) -> None:
        self.targets = tuple(targets)
        self.technique: Technique = technique
        self.rounds, self.round_gap_ns = rounds, round(round_gap_s * NS_PER_S)
        self.traffic_class = traffic_class
        self.bindings = NumberedBindings(salt)
        self.done = not self.targets
        self.probes: list[HopProbe] = []
        self.elapsed_ns: list[int | None] = [None] * len(self.targets)
        self.short_quotes: set[int] = set()
        self.rounds_ns: list[int] = []
        self._round = 0
        self._began_ns = self._round_ns = 0
        self._traces: list[_Trace] = []
        self._groups: list[_Group] = []
        self._group_of: dict[int, _Group] = {}
        self._shared: list[dict[int, list[HopProbe]]] = [{} for _ in self.targets]
        self._open: set[int] = set()
        self._next_round_ns: int | None = None
        self._flows: dict[int, HopProbe] = {}
        self._spared: set[tuple[int, int]] = set()  # target, TTL: another target asks for it
        self._speaks_for: dict[tuple[int, int], tuple[int, ...]] = {}
        groups: dict[tuple[int, str], list[int]] = {}
        for index, target in enumerate(self.targets):
            groups.setdefault((target.family, target.egress), []).append(index)
        self._groups = [_Group(members) for members in groups.values()]
        self._group_of = {index: group for group in self._groups for index in group.members}

    # ------------------------------------------------------------ the contract

    def start(self, now_ns: int) -> Iterable[Action]:
        """Begin the first round."""
        self._began_ns = now_ns
        yield from self._begin_round(now_ns)

    def next_time(self) -> int | None:
        """Return when something is due."""
        if self._next_round_ns is not None:
            return self._next_round_ns
        due = [
            at
            for trace in self._traces
            if not trace.ended
            for at in (trace.go_on_ns, trace.ask_again_ns, trace.end_ns)
            if at is not None
        ]
        return min(due, default=None)

    def on_event(self, event: Event, now_ns: int) -> Iterable[Action]:
        """Take in what was heard."""
        match event:
            case Sent(flow=flow, token=token, time_ns=time_ns, by_kernel=by_kernel):
                probe = self._flows.get(flow) if self.technique == "tcp" else self.probes[token]
                if probe is not None and by_kernel:
                    probe.stamped_ns = time_ns
                elif probe is not None:
                    probe.sent_ns = time_ns
            case SendFailed(token=token, error=error):
                yield from self._on_failure(self.probes[token], error, now_ns)
            case Datagram() | IcmpError() | Connected() | ConnectFailed():
                yield from self._on_answer(event, now_ns)
            case Timer():
                yield from self._on_time(now_ns)
            case Stop():
                for trace in self._traces:
                    yield from self._end(trace, now_ns)
                self.done = True

    def result(self) -> list[ProbedPath]:
        """Return one path for each target."""
        return self.merge(())

    def merge(self, further: Iterable[HopProbe]) -> list[ProbedPath]:
        """Return one path for each target, made of the sweep's probes and others.

        Parameters
        ----------
        further
            Probes of the same targets by :class:`ccp_assess.probe.one_flow.OneFlow`.

        Returns
        -------
        paths
            In the order of the targets.
        """
        ours: list[list[HopProbe]] = [[] for _ in self.targets]
        for probe in (*self.probes, *further):
            ours[probe.target].append(probe)
        paths = [
            merge_probes(
                target,
                self.technique,
                ours[index],
                self._shared[index],
                elapsed_ms=None if (took := self.elapsed_ns[index]) is None else took / NS_PER_MS,
            )
            for index, target in enumerate(self.targets)
        ]
        for group in self._groups:
            inferred = infer_shared_hops([paths[index] for index in group.members])
            for index, path in zip(group.members, inferred, strict=True):
                paths[index] = path
        return paths

    # ------------------------------------------------------------ rounds

    def _begin_round(self, now_ns: int) -> Iterator[Action]:
        self._next_round_ns, self._round_ns = None, now_ns
        self._traces = [
            _Trace(index, target, go_on_ns=now_ns + SECOND_AFTER_NS, end_ns=now_ns + PATIENCE_NS)
            for index, target in enumerate(self.targets)
        ]
        for group in self._groups:
            group.apart.clear()
        if self._round:
            self._spare_common_hops()
        # Another target comes first in each round, so that a router that answers few of them answers others next time.
        first = self._round * len(self._traces) // max(self.rounds, 1)
        for ttl in range(FIRST_TTLS, 0, -1):
            for trace in (*self._traces[first:], *self._traces[:first]):
                if self._is_asked(trace.index, ttl):
                    yield from self._ask(trace, ttl, now_ns)

    def _is_asked(self, index: int, ttl: int) -> bool:
        """Say whether a TTL is asked for this target itself."""
        group = self._group_of[index]
        if ttl > SHARED_TTLS:
            return (index, ttl) not in self._spared
        if ttl in group.apart:
            return True
        return index in (group.witnesses[:1] if ttl == 1 else group.witnesses)

    def _spare_common_hops(self) -> None:
        """Let one target ask for all whose ways have been the same up to a hop; another one in each round."""
        self._spared.clear()
        self._speaks_for.clear()
        common: dict[tuple[int, tuple[str, ...]], list[int]] = {}
        for index, path in enumerate(self.merge(())):
            addresses: tuple[str, ...] = ()
            for hop in path.path.hops[:-1]:
                if hop.address is None:
                    break
                addresses = (*addresses, hop.address)
                if hop.ttl > SHARED_TTLS:
                    common.setdefault((id(self._group_of[index]), addresses), []).append(index)
        for (_, addresses), members in common.items():
            ttl, speaker = len(addresses), members[self._round % len(members)]
            others = tuple(index for index in members if index != speaker)
            self._speaks_for[speaker, ttl] = others
            self._spared.update((index, ttl) for index in others)

    def _ask(self, trace: _Trace, ttl: int, now_ns: int) -> Iterator[Action]:
        number = len(self.probes)
        probe = HopProbe(
            target=trace.index,
            ttl=ttl,
            number=number,
            sent_ns=now_ns,
            one_flow=self.technique == "icmp",
        )
        self.probes.append(probe)
        trace.probes.setdefault(ttl, []).append(probe)
        target = trace.target
        if self.technique == "tcp":
            flow = _TCP_FLOW + number
            self._flows[flow] = probe
            yield OpenTcp(flow=flow, remote=(target.address, target.port), ttl=ttl, source=target.source)
            return
        flow = self._flow_of(trace, ttl)
        if flow not in self._open:
            self._open.add(flow)
            yield self._opening(flow, target)
        to = (target.address, target.port)
        if self.technique == "udp":
            data = self.bindings.request(number)
        else:
            # The sequence number changes the checksum, by which routers may tell flows: its complement evens that out.
            data = (0xFFFF - (number & 0xFFFF)).to_bytes(2, "big") + self.bindings.salt + bytes(6)
        yield Send(flow=flow, data=data, token=number, to=to, ttl=ttl, traffic_class=self.traffic_class)

    def _flow_of(self, trace: _Trace, ttl: int) -> int:
        egress = self._groups.index(self._group_of[trace.index])
        return egress * (LARGEST_TTL + 1) + (ttl if self.technique == "udp" else 0)

    def _opening(self, flow: int, target: Target) -> Action:
        if self.technique == "icmp":
            return OpenIcmp(flow=flow, family=target.family, source=target.source)
        return OpenUdp(flow=flow, family=target.family, source=target.source)

    # ------------------------------------------------------------ what is heard

    def _on_failure(self, probe: HopProbe, error: str, now_ns: int) -> Iterator[Action]:
        probe.error = error
        trace = self._traces[probe.target]
        trace.failed += 1
        if trace.failed == sum(map(len, trace.probes.values())):
            trace.end_ns = now_ns  # at the next timer: others of this burst may still leave
        yield from ()

    def _on_answer(self, event: Datagram | IcmpError | Connected | ConnectFailed, now_ns: int) -> Iterator[Action]:
        probe = self._probe_of(event)
        if isinstance(event, Connected):
            yield Close(flow=event.flow)
        if isinstance(event, Datagram) and self.technique == "udp" and not self.bindings.is_answer(event.data):
            return
        if probe is not None and isinstance(event, IcmpError) and event.quoted_traffic_class is not None:
            probe.quoted_traffic_class = event.quoted_traffic_class
        if probe is None or probe.answer is not None:
            return
        target = self.targets[probe.target]
        answer = answer_of(event, probe, target)
        if answer is None:
            return
        probe.answer = answer
        trace = self._traces[probe.target]
        if trace.probes.get(probe.ttl) is None or probe not in trace.probes[probe.ttl]:
            return  # of an earlier round: it counts there
        if answer.kind == "destination":
            if trace.lowest is None or probe.ttl < trace.lowest:
                trace.lowest = probe.ttl
            self._expect_end(trace, probe, answer)
        elif answer.kind == "unreachable":
            if trace.blocked is None or probe.ttl < trace.blocked:
                trace.blocked = probe.ttl
            self._expect_end(trace, probe, answer)
        elif trace.last is None:
            trace.end_ns = min(now_ns + PATIENCE_NS, self._round_ns + ROUND_LIMIT_NS)
            if trace.asked_to < LARGEST_TTL and probe.ttl > trace.asked_to - NEAR_LAST:
                yield from self._go_on(trace, LARGEST_TTL, now_ns)
        for index in self._speaks_for.get((probe.target, probe.ttl), ()):
            if answer.address in self._addresses(index, probe.ttl):
                self._shared[index].setdefault(probe.ttl, []).append(probe)
        yield from self._share(probe, now_ns)
        for one in self._traces:
            if one is trace or probe.ttl <= SHARED_TTLS:
                yield from self._end_if_complete(one, now_ns)

    def _expect_end(self, trace: _Trace, probe: HopProbe, answer: HopAnswer) -> None:
        """Set the end of a target by the earliest answer from there; a late reader may hear of a later one first."""
        end_ns = answer.time_ns + max(QUIET_NS, (answer.time_ns - (probe.stamped_ns or probe.sent_ns)) // 2)
        if trace.rtt_ns:
            trace.end_ns = min(end_ns, trace.end_ns or end_ns) if trace.ask_again_ns is not None else trace.end_ns
            return
        trace.rtt_ns = max(answer.time_ns - (probe.stamped_ns or probe.sent_ns), 1)
        trace.go_on_ns = None
        trace.ask_again_ns = answer.time_ns + SETTLE_NS
        trace.end_ns = end_ns

    def _go_on(self, trace: _Trace, to: int, now_ns: int) -> Iterator[Action]:
        """Ask higher TTLs."""
        trace.go_on_ns = None
        first, trace.asked_to = trace.asked_to, to
        for ttl in range(to, first, -1):
            yield from self._ask(trace, ttl, now_ns)

    def _probe_of(self, event: Datagram | IcmpError | Connected | ConnectFailed) -> HopProbe | None:
        """Find the probe that an answer belongs to."""
        if self.technique == "tcp":
            return self._flows.get(event.flow)
        if isinstance(event, Connected | ConnectFailed):
            return None
        number = self.bindings.number_of(event.data) if self.technique == "udp" else self._numbered(event.token)
        if number is not None and number < len(self.probes):
            return self.probes[number]
        if isinstance(event, Datagram) or self.technique == "icmp":
            return None
        ttl = event.flow % (LARGEST_TTL + 1)
        for trace in self._traces:
            if event.to is not None and (trace.target.address, trace.target.port) == event.to:
                self.short_quotes.add(trace.index)
                return next((probe for probe in trace.probes.get(ttl, ()) if probe.answer is None), None)
        return None

    def _numbered(self, sequence: int | None) -> int | None:
        """Widen a 16-bit sequence number to the newest probe that has it."""
        if sequence is None:
            return None
        newest = len(self.probes) - 1
        number = newest - ((newest - sequence) & 0xFFFF)
        return number if number >= 0 else None

    # ------------------------------------------------------------ shared first hops

    def _share(self, probe: HopProbe, now_ns: int) -> Iterator[Action]:
        """Let an answer of a first hop stand for all targets of the egress once two of them agree."""
        group = self._group_of[probe.target]
        ttl = probe.ttl
        if ttl > SHARED_TTLS or len(group.members) == 1 or ttl in group.apart:
            return
        asked = group.witnesses[:1] if ttl == 1 else group.witnesses
        found = [
            next((one.answer for one in self._traces[index].probes.get(ttl, ()) if one.answer is not None), None)
            for index in asked
        ]
        if any(answer is None for answer in found):
            return
        kinds = {answer.kind for answer in found if answer}
        if kinds == {"expired"} and len({answer.address for answer in found if answer}) == 1:
            # Ways that meet here have met before: what only one of the two was told holds for both.
            for lower in range(1, ttl + 1):
                if lower not in group.apart:
                    self._hand_on(group, lower)
            return
        group.apart.add(ttl)
        for index in group.members:
            trace = self._traces[index]
            if index not in asked and not trace.ended:
                self._shared[index].pop(ttl, None)
                yield from self._ask(trace, ttl, now_ns)

    def _addresses(self, index: int, ttl: int) -> set[str]:
        """Return who has answered for a target at a TTL so far."""
        own = (probe for probe in self.probes if (probe.target, probe.ttl) == (index, ttl))
        return {probe.answer.address for probe in (*own, *self._shared[index].get(ttl, ())) if probe.answer}

    def _hand_on(self, group: _Group, ttl: int) -> None:
        """Give the answer of a shared hop to every target of the group that has none of its own."""
        answered = [
            one
            for index in group.witnesses
            for one in self._traces[index].probes.get(ttl, ())
            if one.answer is not None and one.answer.kind == "expired"
        ]
        for index in group.members:
            if answered and not self._traces[index].answered(ttl):
                kept = self._shared[index].setdefault(ttl, [])
                kept.extend(one for one in answered[:1] if one not in kept)

    def _known(self, trace: _Trace, ttl: int) -> bool:
        return (
            trace.answered(ttl)
            or (trace.index, ttl) in self._spared
            or (ttl in self._shared[trace.index] and ttl not in self._group_of[trace.index].apart)
        )

    # ------------------------------------------------------------ time

    def _on_time(self, now_ns: int) -> Iterator[Action]:
        if self._next_round_ns is not None:
            if now_ns >= self._next_round_ns:
                yield from self._begin_round(now_ns)
            return
        for trace in self._traces:
            if trace.ended:
                continue
            if trace.go_on_ns is not None and now_ns >= trace.go_on_ns:
                yield from self._go_on(trace, SECOND_TTLS, now_ns)
            if trace.ask_again_ns is not None and now_ns >= trace.ask_again_ns:
                trace.ask_again_ns = None
                yield from self._ask_again(trace, now_ns)
            if trace.end_ns is not None and now_ns >= trace.end_ns:
                again = self._still_doubtful(trace)
                for _ in range(again):
                    yield from self._ask(trace, (trace.lowest or 1) - 1, now_ns)
                if again:
                    trace.end_ns = now_ns + trace.rtt_ns + trace.rtt_ns // 20 + SETTLE_NS
                else:
                    yield from self._end(trace, now_ns)

    def _still_doubtful(self, trace: _Trace) -> int:
        """Return how often the TTL just below the destination has yet to be asked before its silence is believed."""
        if trace.lowest is None or trace.lowest == 1 or self._known(trace, trace.lowest - 1):
            return 0
        below = trace.lowest - 1
        return max(ENOUGH_ASKED - len(trace.probes.get(below, ())), 0) if self._is_asked(trace.index, below) else 0

    def _ask_again(self, trace: _Trace, now_ns: int) -> Iterator[Action]:
        """Ask once more what is missing below the destination."""
        last = trace.last
        if last is None:
            return
        missing = [ttl for ttl in range(last - 1, 0, -1) if not self._known(trace, ttl)]
        for ttl in missing:
            if self._is_asked(trace.index, ttl):
                yield from self._ask(trace, ttl, now_ns)
                if ttl == last - 1:
                    for _ in range(ENOUGH_ASKED - 2):
                        yield from self._ask(trace, ttl, now_ns)
        if last - 1 in missing and trace.end_ns is not None:
            # A lost answer of the destination itself comes after a whole round trip.
            trace.end_ns = max(trace.end_ns, now_ns + trace.rtt_ns + trace.rtt_ns // 20 + SETTLE_NS)

    def _end_if_complete(self, trace: _Trace, now_ns: int) -> Iterator[Action]:
        last = trace.last
        if not trace.ended and last is not None and all(self._known(trace, ttl) for ttl in range(1, last)):
            yield from self._end(trace, now_ns)

    def _end(self, trace: _Trace, now_ns: int) -> Iterator[Action]:
        if trace.ended:
            return
        trace.ended = True
        if self._round == 0:
            self.elapsed_ns[trace.index] = now_ns - self._began_ns
            yield Report(record=self._record(trace))
        yield from self._close_round_if_ended(now_ns)

    def _record(self, trace: _Trace) -> dict[str, object]:
        hops = []
        for ttl in range(1, (trace.last or max((t for t in trace.probes if trace.answered(t)), default=0)) + 1):
            probes = [*trace.probes.get(ttl, ()), *self._shared[trace.index].get(ttl, ())]
            probe = next((one for one in probes if one.answer), None)
            hops.append(
                [ttl, probe.answer.address if probe and probe.answer else None, probe.rtt_ms if probe else None]
            )
        return {
            "record": "path",
            "target": trace.target.name or trace.target.address,
            "address": trace.target.address,
            "hop_count": trace.lowest,
            "hops": hops,
        }

    def _close_round_if_ended(self, now_ns: int) -> Iterator[Action]:
        if not all(trace.ended for trace in self._traces) or self.done or self._next_round_ns is not None:
            return
        self.rounds_ns.append(now_ns - self._round_ns)
        self._round += 1
        yield from (Close(flow=flow) for flow, probe in self._flows.items() if probe.answer is None)
        self._flows.clear()
        if self._round < self.rounds:
            self._next_round_ns = max(self._round_ns + self.round_gap_ns, now_ns)
        else:
            self.done = True
            yield from (Close(flow=flow) for flow in sorted(self._open))


def answer_of(
    event: Datagram | IcmpError | Connected | ConnectFailed, probe: HopProbe, target: Target
) -> HopAnswer | None:
    """Say what an event means for the probe that it answers.

    Parameters
    ----------
    event
        What was heard.
    probe
        The probe that it belongs to.
    target
        Where that was sent.

    Returns
    -------
    answer
        ``None`` if it says nothing about the way.
    """
    kind: Kind = "destination"
    if isinstance(event, Datagram):
        return HopAnswer(
            address=event.source[0], kind=kind, time_ns=event.time_ns, by_kernel=event.by_kernel, reply_ttl=event.ttl
        )
    if isinstance(event, Connected):
        time_ns = event.time_ns if event.rtt_ns is None else probe.sent_ns + event.rtt_ns
        return HopAnswer(address=target.address, kind=kind, time_ns=time_ns, by_kernel=event.rtt_ns is not None)
    if isinstance(event, ConnectFailed):
        if event.error != "ECONNREFUSED":
            probe.error = probe.error or event.error
            return None
        return HopAnswer(address=target.address, kind=kind, time_ns=event.time_ns, by_kernel=False)
    if event.router is None:
        return None
    if event.type == _EXPIRED[target.family]:
        kind = "expired"
    elif event.type == _UNREACHABLE[target.family]:
        if target.family == 4 and event.code == _FRAGMENTATION_NEEDED:
            return None
        kind = "destination" if event.router == target.address else "unreachable"
    else:
        return None
    return HopAnswer(
        address=event.router,
        kind=kind,
        time_ns=event.time_ns,
        by_kernel=event.by_kernel,
        type=event.type,
        code=event.code,
        reply_ttl=event.ttl,
    )
