"""What a NAT does to the media port: one mapping for all servers or one for each, and how long a silent one lives.

The mapping needs no special server: one socket asks several relays what address and port they see (RFC 5780, section
4.3, with several servers in place of one with several addresses). The lifetime is told by silence: many sockets begin
together, each is silent for another time, then asks again; where the port has changed the mapping was forgotten.

A NAT that keeps the inside port outside gives a forgotten mapping the same port again: its lifetime cannot be told
from here, and is not guessed.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from ccp_assess.probe.binding import NumberedBindings, mapped_address
from ccp_assess.probe.machine import (
    Action,
    Address,
    Close,
    Datagram,
    Event,
    Opened,
    OpenUdp,
    Send,
    SendFailed,
    Stop,
    Timer,
)
from ccp_assess.probe.traced import Target
from ccp_assess.units import NS_PER_MS, NS_PER_S

Mapping = Literal["none", "endpoint_independent", "per_destination"]

TRIES_NS = (0, 200 * NS_PER_MS, 600 * NS_PER_MS)
LAST_WAIT_NS = 1_000 * NS_PER_MS
MOST_SERVERS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class NatFacts:
    """What was found out about the NAT of one IP version.

    Parameters
    ----------
    local
        Own address and port of the socket that asked.
    mapped
        What each server saw, by its address.
    mapping
        ``none`` (no NAT), ``endpoint_independent`` or ``per_destination`` (symmetric); ``None`` if fewer than two
        servers answered.
    preserves_port
        Whether the outside port is the inside one.
    split_egress
        Whether servers saw different addresses: packets leave by different ways.
    idle_kept_s
        Longest silence after which the mapping was still there [s].
    idle_lost_s
        Shortest silence after which it was gone; ``None`` if it never was [s].
    idle_reason
        Why the lifetime is not known, in words.
    """

    local: Address | None
    mapped: dict[str, Address]
    mapping: Mapping | None
    preserves_port: bool | None
    split_egress: bool | None
    idle_kept_s: float | None = None
    idle_lost_s: float | None = None
    idle_reason: str | None = None

    def to_document(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {
            "local": None if self.local is None else f"{self.local[0]}:{self.local[1]}",
            "mapped": {server: f"{address}:{port}" for server, (address, port) in self.mapped.items()},
            "mapping": self.mapping,
            "preserves_port": self.preserves_port,
            "split_egress": self.split_egress,
            "idle_kept_s": self.idle_kept_s,
            "idle_lost_s": self.idle_lost_s,
            "idle_reason": self.idle_reason,
        }


@dataclass(slots=True)
class _Question:
    """One socket asking one server: until it answers, a few times."""

    flow: int
    server: Address
    tries: int = 0
    answer: Address | None = None


@dataclass(slots=True)
class _Silence:
    """One socket that is silent for a while."""

    flow: int
    idle_ns: int
    before: _Question
    after: _Question


class NatProbe:
    """Find out what NAT is in the way.

    Parameters
    ----------
    targets
        Relays of one IP version, at least two for the mapping.
    idle_s
        Silences to try, side by side; empty for none [s].
    salt
        Of the transaction ids; random if not given.
    """

    def __init__(self, targets: Sequence[Target], *, idle_s: Sequence[float] = (), salt: bytes | None = None) -> None:
        self.targets = tuple(targets)[:MOST_SERVERS]
        self.bindings = NumberedBindings(salt)
        self.done = not self.targets
        self.local: dict[int, Address] = {}
        self._numbers: list[_Question] = []
        self._due: list[tuple[int, int, _Question]] = []
        self._count = 0
        self._questions = [_Question(0, (target.address, target.port)) for target in self.targets]
        self._silences: list[_Silence] = []
        if self.targets:
            first = (self.targets[0].address, self.targets[0].port)
            self._silences = [
                _Silence(flow, round(idle * NS_PER_S), _Question(flow, first), _Question(flow, first))
                for flow, idle in enumerate(sorted(idle_s), start=1)
            ]

    def start(self, now_ns: int) -> Iterable[Action]:
        """Open the sockets and ask for the first time."""
        if self.done:
            return
        one = self.targets[0]
        for flow in range(len(self._silences) + 1):
            yield OpenUdp(flow=flow, family=one.family, source=one.source)
        for question in (*self._questions, *(silence.before for silence in self._silences)):
            self._plan(question, now_ns)

    def next_time(self) -> int | None:
        """Return when something is due."""
        return self._due[0][0] if self._due else None

    def on_event(self, event: Event, now_ns: int) -> Iterable[Action]:
        """Take in what was heard."""
        match event:
            case Opened(flow=flow, local=local):
                self.local[flow] = local
            case Datagram():
                self._on_answer(event, now_ns)
            case SendFailed(token=token):
                self._numbers[token].tries = len(TRIES_NS)
            case Timer():
                while self._due and self._due[0][0] <= now_ns:
                    yield from self._on_due(heapq.heappop(self._due)[2], now_ns)
            case Stop():
                self.done = True
                return
        if not self._due and not self.done:
            self.done = True
            yield from (Close(flow=flow) for flow in range(len(self._silences) + 1))

    def _plan(self, question: _Question, at_ns: int) -> None:
        self._count += 1
        heapq.heappush(self._due, (at_ns, self._count, question))

    def _on_due(self, question: _Question, now_ns: int) -> Iterator[Action]:
        if question.answer is not None or question.tries > len(TRIES_NS):
            return
        question.tries += 1
        if question.tries > len(TRIES_NS):
            return  # the last wait is over
        number = len(self._numbers)
        self._numbers.append(question)
        yield Send(flow=question.flow, data=self.bindings.request(number), token=number, to=question.server)
        gaps = [*(after - before for before, after in pairwise(TRIES_NS)), LAST_WAIT_NS]
        self._plan(question, now_ns + gaps[question.tries - 1])

    def _on_answer(self, event: Datagram, now_ns: int) -> None:
        number = self.bindings.number_of(event.data) if self.bindings.is_answer(event.data) else None
        if number is None or number >= len(self._numbers):
            return
        question = self._numbers[number]
        if question.answer is not None or event.source != question.server:
            return
        question.answer = mapped_address(event.data)
        # A question that has its answer needs no more tries.
        self._due = [one for one in self._due if one[2] is not question]
        heapq.heapify(self._due)
        for silence in self._silences:
            if silence.before is question:
                self._plan(silence.after, now_ns + silence.idle_ns)

    def result(self) -> NatFacts:
        """Return what was found."""
        mapped = {one.server[0]: one.answer for one in self._questions if one.answer is not None}
        local = self.local.get(0)
        own = self.targets[0].egress if self.targets else ""
        mapping: Mapping | None = None
        preserves = None
        if mapped:
            preserves = local is not None and all(port == local[1] for _, port in mapped.values())
        if mapped and own and all(address == own for address, _ in mapped.values()) and preserves:
            mapping = "none"
        elif len(mapped) >= 2:
            mapping = "endpoint_independent" if len(set(mapped.values())) == 1 else "per_destination"
        kept, lost, reason = self._lifetime(mapping, preserves_port=preserves is True)
        return NatFacts(
            local=None if local is None else (own or local[0], local[1]),
            mapped=mapped,
            mapping=mapping,
            preserves_port=preserves,
            split_egress=len({address for address, _ in mapped.values()}) > 1 if len(mapped) >= 2 else None,
            idle_kept_s=kept,
            idle_lost_s=lost,
            idle_reason=reason,
        )

    def _lifetime(
        self, mapping: Mapping | None, *, preserves_port: bool
    ) -> tuple[float | None, float | None, str | None]:
        if not self._silences:
            return None, None, "not asked for"
        both = [one for one in self._silences if one.before.answer is not None and one.after.answer is not None]
        if not both:
            return None, None, "no relay answered before and after a silence"
        lost = [one.idle_ns for one in both if one.before.answer != one.after.answer]
        if lost:
            kept = [one.idle_ns for one in both if one.before.answer == one.after.answer and one.idle_ns < min(lost)]
            return max(kept, default=0) / NS_PER_S or None, min(lost) / NS_PER_S, None
        if mapping == "none":
            return None, None, "there is no NAT"
        if preserves_port:
            return None, None, "this NAT keeps the port, so that a forgotten mapping looks like a kept one"
        return max(one.idle_ns for one in both) / NS_PER_S, None, None
