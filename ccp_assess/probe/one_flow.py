"""Ask every hop of a way in one flow: one 5-tuple per target, so that routers which spread flows show one way only.

A sweep has told which TTLs answer. Where routers quote enough of a packet to show its number, all TTLs go out at once;
where they quote eight bytes only, a report cannot be told from another, so one TTL is out at a time, for all targets
side by side: as long as the sum of the round trips.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ccp_assess.probe.binding import NumberedBindings
from ccp_assess.probe.machine import (
    Action,
    Close,
    Datagram,
    Event,
    IcmpError,
    OpenUdp,
    Send,
    SendFailed,
    Sent,
    Stop,
    Timer,
)
from ccp_assess.probe.sweep import LARGEST_TTL, QUIET_NS, answer_of
from ccp_assess.probe.traced import HopProbe, ProbedPath, Target
from ccp_assess.units import NS_PER_MS

MOST_TRIES = 2
"""So often one TTL is asked alone."""


@dataclass(slots=True)
class _Walk:
    """One target."""

    index: int
    target: Target
    rtts_ns: dict[int, int]  # TTLs that answered the sweep, and how fast
    last: int
    alone: bool
    probes: dict[int, list[HopProbe]] = field(default_factory=dict)
    lowest: int | None = None
    expecting: HopProbe | None = None
    unmatched: int = 0  # reports that cannot be told apart
    end_ns: int = 0
    ended: bool = False

    def answered(self, ttl: int) -> bool:
        return any(probe.answer is not None for probe in self.probes.get(ttl, ()))

    @property
    def rtt_ns(self) -> int:
        return max(self.rtts_ns.values(), default=QUIET_NS)

    @property
    def missing(self) -> list[int]:
        """TTLs that spoke in the sweep but not yet in this flow."""
        top = self.last if self.lowest is None else self.lowest
        return [ttl for ttl in sorted(self.rtts_ns) if ttl <= top and not self.answered(ttl)]


class OneFlow:
    """Ask the hops of swept ways again, each way in one flow (UDP).

    Parameters
    ----------
    paths
        What a sweep has found.
    short_quotes
        Numbers of the paths on which a router quoted too little to tell its reports apart.
    salt
        Of the transaction ids; random if not given.
    """

    def __init__(
        self, paths: Sequence[ProbedPath], *, short_quotes: Collection[int] = (), salt: bytes | None = None
    ) -> None:
        self.bindings = NumberedBindings(salt)
        self.probes: list[HopProbe] = []
        self.took_ns = 0
        self._began_ns = 0
        self._walks: list[_Walk] = []
        for index, path in enumerate(paths):
            last = path.path.hop_count or (path.blocked_by.ttl if path.blocked_by else 0)
            rtts_ns = {
                hop.ttl: round(hop.rtt_max_ms * NS_PER_MS)
                for hop in path.path.hops
                if hop.rtt_max_ms is not None and hop.ttl not in path.shared_ttls
            }
            walk = _Walk(index, path.target, rtts_ns, last, index in short_quotes)
            walk.ended = not last  # no end: nothing that a second way could be told by
            self._walks.append(walk)

    @property
    def done(self) -> bool:
        """Whether all ways are known."""
        return all(walk.ended for walk in self._walks)

    def start(self, now_ns: int) -> Iterable[Action]:
        """Ask."""
        self._began_ns = now_ns
        for walk in self._walks:
            if walk.ended:
                continue
            target = walk.target
            remote = (target.address, target.port)
            yield OpenUdp(flow=walk.index, family=target.family, remote=remote, source=target.source)
        highest = max((walk.last for walk in self._walks), default=0) + 1
        for walk in self._walks:
            if walk.alone and not walk.ended:
                yield from self._ask_next(walk, now_ns)
        for ttl in range(highest, 0, -1):
            for walk in self._walks:
                # One TTL more than the sweep needed: this flow's way may be the longer one.
                if not walk.ended and not walk.alone and ttl <= walk.last + 1 and self._is_asked(walk, ttl):
                    walk.end_ns = now_ns + walk.rtt_ns + max(QUIET_NS, walk.rtt_ns // 2)
                    yield from self._ask(walk, ttl, now_ns)

    def next_time(self) -> int | None:
        """Return when something is due."""
        return min((walk.end_ns for walk in self._walks if not walk.ended), default=None)

    def on_event(self, event: Event, now_ns: int) -> Iterable[Action]:
        """Take in what was heard."""
        match event:
            case Sent(token=token, time_ns=time_ns, by_kernel=by_kernel):
                if by_kernel:
                    self.probes[token].stamped_ns = time_ns
                else:
                    self.probes[token].sent_ns = time_ns
            case SendFailed(token=token, error=error):
                self.probes[token].error = error
            case Datagram() | IcmpError():
                yield from self._on_answer(event, now_ns)
            case Timer():
                for walk in self._walks:
                    if not walk.ended and now_ns >= walk.end_ns:
                        yield from self._on_silence(walk, now_ns)
            case Stop():
                for walk in self._walks:
                    walk.ended = True
                self.took_ns = now_ns - self._began_ns

    def result(self) -> list[HopProbe]:
        """Return all probes, to be merged with those of the sweep."""
        return self.probes

    @staticmethod
    def _is_asked(walk: _Walk, ttl: int) -> bool:
        """Leave out the first hops that the sweep asked for all targets at once."""
        return ttl in walk.rtts_ns or ttl > min(walk.rtts_ns, default=1)

    def _ask(self, walk: _Walk, ttl: int, now_ns: int) -> Iterator[Action]:
        number = len(self.probes)
        probe = HopProbe(target=walk.index, ttl=ttl, number=number, sent_ns=now_ns, one_flow=True)
        self.probes.append(probe)
        walk.probes.setdefault(ttl, []).append(probe)
        yield Send(flow=walk.index, data=self.bindings.request(number), token=number, ttl=ttl)

    def _on_silence(self, walk: _Walk, now_ns: int) -> Iterator[Action]:
        """Ask once more what is missing: together where the reports can be told apart."""
        again = [ttl for ttl in walk.missing if self._tries(walk, ttl) < MOST_TRIES]
        if walk.alone or walk.unmatched or not again:
            yield from self._ask_next(walk, now_ns)
            return
        for ttl in again:
            yield from self._ask(walk, ttl, now_ns)
        expected_ns = max(walk.rtts_ns.get(ttl, walk.rtt_ns) for ttl in again)
        walk.end_ns = now_ns + expected_ns + max(QUIET_NS, expected_ns // 2)

    def _ask_next(self, walk: _Walk, now_ns: int) -> Iterator[Action]:
        """Ask the next TTL that is missing, alone; end if there is none."""
        walk.alone = True
        ttl = next((ttl for ttl in walk.missing if self._tries(walk, ttl) < MOST_TRIES), None)
        if ttl is None:
            yield from self._end(walk, now_ns)
            return
        yield from self._ask(walk, ttl, now_ns)
        walk.expecting = walk.probes[ttl][-1]
        expected_ns = walk.rtts_ns.get(ttl, walk.rtt_ns)
        walk.end_ns = now_ns + expected_ns + max(QUIET_NS, expected_ns // 2)

    @staticmethod
    def _tries(walk: _Walk, ttl: int) -> int:
        return len(walk.probes.get(ttl, ()))

    def _on_answer(self, event: Datagram | IcmpError, now_ns: int) -> Iterator[Action]:
        if isinstance(event, Datagram) and not self.bindings.is_answer(event.data):
            return
        walk = self._walks[event.flow]
        number = self.bindings.number_of(event.data)
        if number is None and walk.expecting is None:
            walk.unmatched += 1
        probe = walk.expecting if number is None else self.probes[number] if number < len(self.probes) else None
        if probe is None or probe.answer is not None or probe.target != walk.index:
            return
        answer = answer_of(event, probe, walk.target)
        if answer is None:
            return
        probe.answer = answer
        if answer.kind != "expired" and (walk.lowest is None or probe.ttl < walk.lowest):
            walk.lowest = probe.ttl
        if walk.ended:
            return
        if answer.kind == "expired" and probe.ttl >= max(walk.probes) and probe.ttl < LARGEST_TTL:
            walk.last = probe.ttl + 1
            walk.rtts_ns.setdefault(walk.last, walk.rtt_ns)
            if not walk.alone:
                yield from self._ask(walk, walk.last, now_ns)
        if walk.alone:
            if probe is walk.expecting or walk.expecting is None or walk.expecting.answer is not None:
                yield from self._ask_next(walk, now_ns)
        elif walk.lowest is not None and not walk.missing:
            yield from self._end(walk, now_ns)

    def _end(self, walk: _Walk, now_ns: int) -> Iterator[Action]:
        walk.ended = True
        self.took_ns = now_ns - self._began_ns
        yield Close(flow=walk.index)
