"""Conversations with servers, written from top to bottom: generators that a machine runs side by side.

A conversation ("talk") yields what it asks and how long it will wait; it is given the next event of its own flows, or
a ``Timer`` when the time is up. One talk may start others and wait for them. So "connect, ask the proxy, shake hands,
ask for the upgrade" is a function of a few lines and still knows no socket and no clock.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from ccp_assess.probe.machine import (
    Action,
    ClockStepped,
    Close,
    Event,
    OpenIcmp,
    OpenTcp,
    OpenUdp,
    Resolve,
    Resolved,
    Stop,
    Timer,
)
from ccp_assess.units import NS_PER_MS

Found = TypeVar("Found")

Step = tuple[tuple[Action, ...], int]
"""What to do, and until when to wait for the next event [ns]."""

Talk = Generator[Step, Event, Found]


class TalkStopped(Exception):  # noqa: N818 -- no error: the deadline of the whole has come
    """Thrown into a talk when the whole must end: it returns what it knows."""


@dataclass(slots=True)
class Running(Generic[Found]):
    """A talk under way.

    Parameters
    ----------
    talk
        Its generator.
    result
        What it found; ``None`` until it is done, and where it was stopped before it knew anything.
    done
        Whether it has ended.
    """

    talk: Talk[Found]
    result: Found | None = None
    done: bool = False
    until_ns: int = 0
    flows: set[int] = field(default_factory=set)
    waiting: list[Running[Any]] = field(default_factory=list)


class Talks(Generic[Found]):
    """The machine that runs talks.

    Parameters
    ----------
    main
        Makes the first talk; what it returns is the machine's result.
    """

    def __init__(self, main: Callable[[Talks[Found]], Talk[Found]]) -> None:
        self.now_ns = 0
        self._main = main
        self._first: Running[Found] | None = None
        self._running: list[Running[Any]] = []
        self._owner: dict[int, Running[Any]] = {}
        self._number = 0
        self._pending: list[Action] = []
        self._stopping = False
        self._current: Running[Any] = Running(_nothing())

    # ------------------------------------------------------------ for talks

    def number(self) -> int:
        """Return a fresh number for a flow or a question."""
        self._number += 1
        return self._number

    def after_ms(self, delay_ms: float) -> int:
        """Return the instant so many milliseconds from now [ns]."""
        return self.now_ns + round(delay_ms * NS_PER_MS)

    def start_talk(self, talk: Talk[Any]) -> Running[Any]:
        """Run a talk beside the one that asks; :meth:`join` waits for it."""
        running: Running[Any] = Running(talk)
        self._running.append(running)
        self._resume(running, None)
        return running

    def join(self, others: Iterable[Running[Any]]) -> Talk[list[Any]]:
        """Wait until all of these talks are done; return their results in order."""
        wanted = list(others)
        for other in wanted:
            if not other.done:
                other.waiting.append(self._current)
            while not other.done:
                yield (), _NEVER
        return [other.result for other in wanted]

    def wait(self, other: Running[Any], until_ns: int) -> Talk[bool]:
        """Wait for another talk, but not for ever; return whether it is done."""
        if not other.done:
            other.waiting.append(self._current)
        while not other.done and self.now_ns < until_ns:
            yield (), until_ns
        return other.done

    def wake(self, running: Running[Any]) -> None:
        """Go on with a talk that waits for nothing but this."""
        if not running.done and not self._stopping:
            self._resume(running, Timer(time_ns=self.now_ns))

    @property
    def current(self) -> Running[Any]:
        """The talk that is running now."""
        return self._current

    # ------------------------------------------------------------ Machine

    @property
    def done(self) -> bool:
        """Whether the first talk has ended."""
        return self._first is not None and self._first.done

    def start(self, now_ns: int) -> Iterable[Action]:
        """Begin the first talk."""
        self.now_ns = now_ns
        self._first = Running(self._main(self))
        self._running.append(self._first)
        self._resume(self._first, None)
        return self._take()

    def on_event(self, event: Event, now_ns: int) -> Iterable[Action]:
        """Hand an event to the talk that it concerns."""
        self.now_ns = max(now_ns, self.now_ns)
        if isinstance(event, Stop):
            self._stop()
            return self._take()
        if isinstance(event, Timer):
            for running in [one for one in self._running if one.until_ns <= self.now_ns]:
                if not running.done:
                    self._resume(running, event)
            return self._take()
        if isinstance(event, ClockStepped):
            return ()
        # A question to the resolver has no flow, only a token; both come from the same counter.
        owner = self._owner.get(event.token if isinstance(event, Resolved) else event.flow)
        if owner is not None and not owner.done:
            self._resume(owner, event)
        return self._take()

    def next_time(self) -> int | None:
        """Return the earliest end of a wait [ns]."""
        return min((one.until_ns for one in self._running if one.until_ns < _NEVER), default=None)

    def result(self) -> Found | None:
        """Return what the first talk returned; ``None`` if it never did."""
        return self._first.result if self._first is not None else None

    # ------------------------------------------------------------ inside

    def _take(self) -> list[Action]:
        taken, self._pending = self._pending, []
        return taken

    def _resume(self, running: Running[Any], event: Event | None) -> None:
        before, self._current = self._current, running
        try:
            if self._stopping:
                actions, until_ns = running.talk.throw(TalkStopped())
            else:
                actions, until_ns = next(running.talk) if event is None else running.talk.send(event)
        except (StopIteration, TalkStopped) as end:
            self._end(running, end.value if isinstance(end, StopIteration) else None)
        else:
            running.until_ns = until_ns
            self._note(running, actions)
        finally:
            self._current = before

    def _note(self, running: Running[Any], actions: Iterable[Action]) -> None:
        for action in actions:
            if isinstance(action, OpenUdp | OpenTcp | OpenIcmp):
                running.flows.add(action.flow)
                self._owner[action.flow] = running
            elif isinstance(action, Resolve):
                self._owner[action.token] = running
            elif isinstance(action, Close):
                running.flows.discard(action.flow)
                self._owner.pop(action.flow, None)
            self._pending.append(action)

    def _end(self, running: Running[Any], result: Any) -> None:
        running.done, running.result = True, result
        self._running = [one for one in self._running if one is not running]
        for flow in running.flows:
            self._owner.pop(flow, None)
            self._pending.append(Close(flow=flow))
        if not self._stopping:
            for waiting in running.waiting:
                if not waiting.done:
                    self._resume(waiting, Timer(time_ns=self.now_ns))

    def _stop(self) -> None:
        """End all talks, those that others wait for first: whoever was started later is ended earlier."""
        self._stopping = True
        for running in reversed(list(self._running)):
            if not running.done:
                self._resume(running, None)
            if not running.done:  # it did not end when told to
                running.talk.close()
                self._end(running, None)


class Turnstile:
    """Lets so many talks pass at a time, the most urgent first.

    Parameters
    ----------
    talks
        Runs them.
    width
        How many at a time.
    """

    def __init__(self, talks: Talks[Any], width: int) -> None:
        self._talks, self._free, self._count = talks, width, 0
        self._queue: list[tuple[int, int, Running[Any]]] = []

    def enter(self, rank: int) -> Talk[None]:
        """Wait for one's turn; a lower rank comes first."""
        if self._free > 0:
            self._free -= 1
            return
        self._count += 1
        mine = (rank, self._count, self._talks.current)
        heapq.heappush(self._queue, mine)
        while mine in self._queue:
            yield (), _NEVER

    def leave(self) -> None:
        """Let the next one pass."""
        if self._queue:
            self._talks.wake(heapq.heappop(self._queue)[2])
        else:
            self._free += 1


def _nothing() -> Talk[None]:
    yield (), _NEVER


_NEVER = 2**62
