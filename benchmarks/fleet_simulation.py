"""How long a run over many captures takes on machines that nobody has at hand: discrete events, with seeds.

The rules are those of `fleet/run.py` and of Dask beneath it:

- the largest unit first; a unit larger than a part is a chain of parts, each handed out when the one before is done;
  the next part of a chain is handed out before new units, but goes behind what was handed out before;
- up to two tasks for each worker are out: one it does, one it holds; one without any takes one that another holds when
  Dask looks for that, once a second; while what is left of a chain is more than a quarter of what is left for each of
  several workers, nobody holds anything;
- a worker that dies loses what it did and what nobody took from it yet, and comes back after a while, cold; what it did
  and held goes to others, and what lost four workers is given up;
- tasks on one machine slow each other down, and all share one store;
- at the end the workers merge the tables, the largest batch first.

What a task takes is linear in what it does: bytes read, bytes of the unit whose tables it makes, bytes of the unit
whose state it takes up and leaves behind, and a constant. `benchmarks/fleet_matching.py` measures all of these and
holds what this says against real runs; `benchmarks/fleet_forecast.py` asks it about other machines.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Literal

import numpy as np

from ccp_assess.fleet.run import LONG_SHARE

GIVE_UP = 4
"""Workers that a task may lose before Dask gives it up: three are allowed."""

AHEAD = 2
"""Tasks that are out for each worker: `fleet/run.py` hands out twice as many as there are workers."""

LEAST_OUT = 4
"""Tasks that are out however few workers there are; `fleet/run.py` names it so too."""

STEAL_S = 1.0
"""Dask's `work-stealing-interval`."""

Bottleneck = Literal[
    "processors of the workers", "the store", "the longest unit", "handing out", "planning and summing up"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What work takes, measured on small runs.

    Parameters
    ----------
    s_per_byte
        Of reading, by a worker of speed 1 [s].
    finish_s_per_byte
        Of what is made of a whole unit at its end: streams, quality, tables, Parquet [s].
    carry_s_per_byte
        Of the state that a part takes up and leaves behind, by the bytes of the unit that were read so far [s].
    task_s
        Of each unit or part whatever its size: opening, the record [s].
    merge_s_per_unit, merge_s_per_byte
        Of merging, by units and by bytes of all captures, for each table [s].
    merge_batch_bytes
        Bytes of captures whose tables make one batch to merge [bytes].
    plan_s, plan_s_per_unit, end_s
        Before the work and after it, by the one that hands it out [s].
    hand_out_s
        From the end of a task until the next one is with a worker; the one that hands out does one after the other [s].
    restart_s, cold_s
        Until a worker that died is back, and how much longer its first task takes then [s].
    store_bytes_per_s
        What the store gives to all workers together [bytes/s].
    slowdown
        Speed of each worker when one, two, … of them are at work on their machine; empty where they do not matter to
        each other.
    """

    s_per_byte: float
    finish_s_per_byte: float = 0.0
    carry_s_per_byte: float = 0.0
    task_s: float = 0.0
    merge_s_per_unit: tuple[float, ...] = ()
    merge_s_per_byte: tuple[float, ...] = ()
    merge_batch_bytes: float = math.inf
    plan_s: float = 0.0
    plan_s_per_unit: float = 0.0
    end_s: float = 0.0
    hand_out_s: float = 0.0
    restart_s: float = 0.0
    cold_s: float = 0.0
    store_bytes_per_s: float = math.inf
    slowdown: tuple[float, ...] = ()

    def task(self, *, read: float, finished: float = 0.0, carried: float = 0.0) -> float:
        """Tell what a task takes.

        Parameters
        ----------
        read
            What it reads [bytes].
        finished
            The unit whose tables it makes; 0 if it makes none [bytes].
        carried
            Read of the unit before this task, and again with it if it leaves a state behind [bytes].

        Returns
        -------
        seconds
            On a worker of speed 1 that is warm and alone [s].
        """
        return (
            self.task_s + self.s_per_byte * read + self.finish_s_per_byte * finished + self.carry_s_per_byte * carried
        )


@dataclass(frozen=True, slots=True)
class Attempt:
    """A task that a worker did, or was at when it died.

    Parameters
    ----------
    unit, part
        Which: place among the units that were given, and number of the part; unit -1 for merging.
    worker
        By whom.
    begin_s, end_s
        After the begin of the command [s].
    is_done
        Whether it came to its end.
    """

    unit: int
    part: int
    worker: int
    begin_s: float
    end_s: float
    is_done: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a simulated run took.

    Parameters
    ----------
    wall_s
        From the command to its end [s].
    busy_s, lost_s
        Of all workers: at work, and at work that was lost with a worker [s].
    deaths
        Workers that died at work (count).
    given_up
        Units that lost too many workers; the next run does them (count).
    bounds_s
        What each part of the whole would take if nothing else took time [s].
    attempts
        In the order of their ends.
    """

    wall_s: float
    busy_s: float
    lost_s: float
    deaths: int
    given_up: int
    bounds_s: dict[Bottleneck, float]
    attempts: tuple[Attempt, ...]

    @property
    def bottleneck(self) -> Bottleneck:
        """What decides how long it takes."""
        return max(self.bounds_s, key=lambda name: self.bounds_s[name])


def parts_of(size: int, part_bytes: float) -> list[float]:
    """Divide a unit as the engine does: parts of one size, the last one smaller."""
    if size <= part_bytes:
        return [float(size)]
    whole = math.ceil(size / part_bytes)
    return [part_bytes] * (whole - 1) + [size - part_bytes * (whole - 1)]


@dataclass(slots=True)
class _Task:
    """Something to do: a unit, a part of one, or a batch to merge."""

    unit: int
    part: int
    work_s: float
    read_bytes: float
    rank: int = 0  # when it was handed out; who holds several begins with the least
    lost: int = 0


def _chain(unit: int, size: int, part_bytes: float, rates: Rates) -> deque[_Task]:
    parts = parts_of(size, part_bytes)
    tasks, done = deque[_Task](), 0.0
    for number, read in enumerate(parts):
        is_last = number == len(parts) - 1
        carried = done if is_last else 2 * done + read
        work_s = rates.task(read=read, finished=size if is_last else 0, carried=carried)
        tasks.append(_Task(unit, number, work_s, read))
        done += read
    return tasks


def _merges(units: Sequence[int], rates: Rates) -> list[_Task]:
    total = sum(units)
    batches = max(math.ceil(total / rates.merge_batch_bytes), 1)
    each = zip(rates.merge_s_per_unit, rates.merge_s_per_byte, strict=True)
    works = [(len(units) * by_unit + total * by_byte) / batches for by_unit, by_byte in each for _ in range(batches)]
    return [_Task(-1, number, work_s, 0.0) for number, work_s in enumerate(sorted(works, reverse=True))]


@dataclass(slots=True)
class _Worker:
    """What the simulation knows of a worker."""

    speed: float
    held: list[_Task] = field(default_factory=list)
    untold: list[_Task] = field(default_factory=list)
    doing: _Task | None = None
    since_s: float = 0.0
    ends_at: float = 0.0  # by the clock that runs as fast as a worker of speed 1 works
    left_s: float = 0.0  # of the work, as of the last change of speed
    turn: int = 0  # what was foreseen before is void once it changed
    was_asked: bool = False  # Dask asked for what it does, in vain
    is_alive: bool = True
    is_cold: bool = False

    @property
    def tasks(self) -> int:
        return len(self.held) + (self.doing is not None)


class _Play:
    """One run as it goes on.

    Two clocks: the one on the wall, and one of work, on which a worker of speed 1 does a second of work in a second.
    It runs slower while workers are in each other's way or the store is short, which hits all alike; so what a worker
    will have done is known by it beforehand.
    """

    def __init__(
        self, speeds: Sequence[float], rates: Rates, chance: np.random.Generator, ahead: int, deaths_per_hour: float
    ) -> None:
        self.rates, self.chance, self.ahead, self.deaths_per_hour = rates, chance, ahead, deaths_per_hour
        self.workers = [_Worker(speed) for speed in speeds]
        self.alive = len(speeds)
        self.idle = set(range(len(speeds)))
        self.changes: dict[tuple[float, int], float] = {}
        self.now = self.work_now = self.pace = 0.0
        self.number = count()
        self.timed: list[tuple[float, int, str, int, _Task | None]] = []
        self.ends: list[tuple[float, int, int, int]] = []
        self.queue: list[tuple[int, int, _Task]] = []
        self.waiting: deque[deque[_Task]] = deque()
        self.chains: dict[int, deque[_Task]] = {}
        self.left: dict[int, float] = {}  # of each unit that is read in parts [bytes]
        self.longest: list[tuple[float, int]] = []
        self.left_bytes = 0.0
        self.out = 0
        self.free_at = 0.0
        self.free_workers: list[tuple[int, int]] = [(0, place) for place in range(len(speeds))]
        self.attempts: list[Attempt] = []
        self.busy_s = self.lost_s = self.busy = self.demand = 0.0
        self.deaths = self.given_up = 0
        self.at(float(chance.uniform(0, STEAL_S)), "look")
        for place in range(len(speeds) if deaths_per_hour else 0):
            self.at(self.drawn(), "chance", place)

    def at(self, when: float, kind: str, worker: int = -1, task: _Task | None = None) -> None:
        heapq.heappush(self.timed, (when, next(self.number), kind, worker, task))

    # The clocks

    def set_pace(self) -> None:
        slowdown = self.rates.slowdown
        self.pace = slowdown[min(max(round(self.busy), 1), len(slowdown)) - 1] if slowdown else 1.0
        wanted = self.demand * self.pace
        if wanted > self.rates.store_bytes_per_s:
            self.pace *= self.rates.store_bytes_per_s / wanted

    def count_in(self, worker: _Worker, sign: int) -> None:
        """Note that a worker begins or ceases to use processor and store."""
        if worker.doing is not None and worker.speed:
            self.busy += sign
            self.demand += sign * worker.doing.read_bytes / max(worker.doing.work_s, 1e-12) * worker.speed
            self.set_pace()

    def foresee(self, place: int) -> None:
        worker = self.workers[place]
        worker.turn += 1
        if worker.doing is not None and worker.speed:
            worker.ends_at = self.work_now + worker.left_s / worker.speed
            heapq.heappush(self.ends, (worker.ends_at, next(self.number), place, worker.turn))

    def next_end(self) -> float:
        """When on the wall the next task will be done, if nothing happens before."""
        while self.ends and self.workers[self.ends[0][2]].turn != self.ends[0][3]:
            heapq.heappop(self.ends)
        return self.now + (self.ends[0][0] - self.work_now) / self.pace if self.ends else math.inf

    def play(self) -> None:
        """Let happen what happens until nothing is out."""
        while self.out or self.waiting:
            end, timed = self.next_end(), self.timed[0][0] if self.timed else math.inf
            if end <= timed:
                self.now, (self.work_now, _, place, _) = end, heapq.heappop(self.ends)
                self.done(place)
                continue
            self.work_now += (timed - self.now) * self.pace
            self.now, _, kind, place, task = heapq.heappop(self.timed)
            getattr(self, f"on_{kind}")(place, task)

    # The one that hands out

    def begin(self, chains: list[deque[_Task]], when: float) -> None:
        self.waiting = deque(chains)
        self.chains = {id(chain[0]): chain for chain in chains}
        self.left = {chain[0].unit: sum(task.read_bytes for task in chain) for chain in chains if len(chain) > 1}
        self.longest = sorted((-left, unit) for unit, left in self.left.items())
        self.left_bytes = sum(task.read_bytes for chain in chains for task in chain)
        self.free_at = when
        self.hand_out()

    def most_out(self) -> int:
        while self.longest and -self.longest[0][0] != self.left[self.longest[0][1]]:
            heapq.heappop(self.longest)  # out of date; each part that is done notes the rest again
        average = self.left_bytes / max(self.alive, 1)
        is_long = self.alive > 1 and self.longest and -self.longest[0][0] > LONG_SHARE * average
        if is_long or self.ahead == 1:
            return max(self.alive, 1)
        return max(LEAST_OUT, self.ahead * self.alive)

    def hand_out(self) -> None:
        most = self.most_out()
        while self.waiting and self.out < most:
            chain = self.waiting.popleft()
            self.chains[id(chain[0])] = chain
            self.out += 1
            self.free_at = max(self.now, self.free_at) + self.rates.hand_out_s
            chain[0].rank = next(self.number)
            self.at(self.free_at, "arrival", task=chain[0])

    def told(self, task: _Task, *, is_done: bool) -> None:
        chain = self.chains.pop(id(task))
        self.out -= 1
        self.note_left(task, chain, is_done=is_done)
        if is_done:
            chain.popleft()
            if chain:
                self.waiting.appendleft(chain)
        else:
            self.given_up += 1
        self.hand_out()

    def note_left(self, task: _Task, chain: deque[_Task], *, is_done: bool) -> None:
        """Note what is left, as far as the one that hands out knows: a unit in one piece until its end."""
        gone = task.read_bytes if is_done else sum(part.read_bytes for part in chain)
        self.left_bytes -= gone
        if task.unit in self.left:
            self.left[task.unit] -= gone
            heapq.heappush(self.longest, (-self.left[task.unit], task.unit))

    # Dask's scheduler

    def on_arrival(self, _: int, task: _Task | None) -> None:
        if task is not None:
            heapq.heappush(self.queue, (task.rank, next(self.number), task))
        self.assign()

    def note(self, place: int) -> None:
        worker = self.workers[place]
        heapq.heappush(self.free_workers, (worker.tasks, place))
        if worker.is_alive and not worker.tasks:
            self.idle.add(place)
        else:
            self.idle.discard(place)

    def assign(self) -> None:
        """Give what waits to those that hold least."""
        while self.queue and self.free_workers:
            tasks, place = self.free_workers[0]
            worker = self.workers[place]
            if not worker.is_alive or tasks != worker.tasks or tasks >= self.ahead:
                heapq.heappop(self.free_workers)  # out of date; each change notes the worker again
                continue
            worker.held.append(heapq.heappop(self.queue)[2])
            heapq.heapreplace(self.free_workers, (worker.tasks, place))
            self.start(place)

    def on_look(self, _: int, __: _Task | None) -> None:
        """Let workers without any task take what others hold."""
        self.at(self.now + STEAL_S, "look")
        if not self.idle or len(self.idle) == len(self.workers):
            return
        thieves = sorted(self.idle)
        for place, victim in enumerate(self.workers):
            if not thieves:
                return
            if not victim.held or victim.doing is None:
                continue
            if not victim.was_asked and self.chance.random() < 1 / victim.tasks:
                victim.was_asked = True  # Dask does not know which one it does, and this one is not given away
                thieves.pop()
                continue
            thief = thieves.pop()
            self.workers[thief].held.append(victim.held.pop())
            self.note(place)
            self.start(thief)

    # The workers

    def start(self, place: int) -> None:
        worker = self.workers[place]
        if worker.doing is None and worker.held:
            worker.held.sort(key=lambda task: task.rank)
            worker.doing = worker.held.pop(0)
            worker.since_s, worker.was_asked = self.now, False
            worker.left_s = worker.doing.work_s + (self.rates.cold_s if worker.is_cold else 0.0)
            worker.is_cold = False
            self.count_in(worker, 1)
            self.foresee(place)
        self.note(place)

    def cease(self, place: int, *, is_done: bool) -> _Task | None:
        worker = self.workers[place]
        self.count_in(worker, -1)
        task, worker.doing = worker.doing, None
        worker.turn += 1
        if task is not None:
            self.attempts.append(Attempt(task.unit, task.part, place, worker.since_s, self.now, is_done))
            self.busy_s += self.now - worker.since_s
        return task

    def done(self, place: int) -> None:
        task = self.cease(place, is_done=True)
        self.start(place)
        self.assign()
        if task is not None:
            self.workers[place].untold.append(task)
            self.at(max(self.now, self.free_at), "answer", place, task)

    def on_answer(self, place: int, task: _Task | None) -> None:
        """Take what was done, unless it went with its worker meanwhile."""
        worker = self.workers[place]
        if task is not None and task in worker.untold:
            if self.free_at > self.now:  # who takes it is still at something else
                self.at(self.free_at, "answer", place, task)
                return
            worker.untold.remove(task)
            self.told(task, is_done=True)

    def on_death(self, place: int, _: _Task | None) -> None:
        worker = self.workers[place]
        if not worker.is_alive:
            return
        was_at = self.cease(place, is_done=False)
        lost = [*([was_at] if was_at else []), *worker.held]
        again, worker.untold = worker.untold, []
        worker.held, worker.is_alive = [], False
        self.alive -= 1
        self.note(place)
        self.at(self.now + self.rates.restart_s, "return", place)
        if was_at is not None:
            self.deaths += 1
            self.lost_s += self.now - worker.since_s
        for task in lost:
            task.lost += 1
            if task.lost >= GIVE_UP:
                self.told(task, is_done=False)
            else:
                self.on_arrival(-1, task)
        for task in again:
            self.on_arrival(-1, task)

    def on_return(self, place: int, _: _Task | None) -> None:
        worker = self.workers[place]
        worker.is_alive, worker.is_cold = True, True
        self.alive += 1
        self.note(place)
        self.assign()
        self.hand_out()

    def drawn(self) -> float:
        return self.now + float(self.chance.exponential(3600 / self.deaths_per_hour))

    def on_chance(self, place: int, _: _Task | None) -> None:
        self.on_death(place, None)
        self.at(self.drawn(), "chance", place)

    def on_change(self, place: int, _: _Task | None) -> None:
        worker, speed = self.workers[place], self.changes[self.now, place]
        self.count_in(worker, -1)
        if worker.doing is not None and worker.speed:
            worker.left_s = (worker.ends_at - self.work_now) * worker.speed
        worker.speed = speed
        self.count_in(worker, 1)
        self.foresee(place)


def simulate(
    units: Sequence[int],
    speeds: Sequence[float],
    rates: Rates,
    *,
    part_bytes: float = math.inf,
    deaths_per_hour: float = 0.0,
    kills: Sequence[tuple[float, int]] = (),
    changes: Sequence[tuple[float, int, float]] = (),
    spread: float = 0.0,
    ahead: int = AHEAD,
    seed: int = 0,
) -> Outcome:
    """Play one run.

    Parameters
    ----------
    units
        Their sizes [bytes].
    speeds
        Of each worker; 1 is the worker of the rates.
    rates
        What work takes.
    part_bytes
        Larger units are read in parts [bytes].
    deaths_per_hour
        How often a worker dies, at random moments [1/h].
    kills
        Moments after the begin of the command, and which worker dies then [s].
    changes
        Moments after the begin of the command, which worker, and its speed from then on; 0 while it is stopped [s].
    spread
        By how much the logarithms of times of like tasks differ (standard deviation).
    ahead
        Tasks that are out for each worker; 1 for the ideal that hands out without taking time.
    seed
        Of chance.

    Returns
    -------
    outcome
        What it took.
    """
    chance = np.random.default_rng(seed)
    play = _Play(speeds, rates, chance, ahead, deaths_per_hour)
    for moment, worker in kills:
        play.at(moment, "death", worker)
    for moment, worker, speed in changes:
        play.changes[moment, worker] = speed
        play.at(moment, "change", worker)
    order = sorted(range(len(units)), key=lambda unit: -units[unit])
    chains = [_chain(unit, units[unit], part_bytes, rates) for unit in order]
    merges = _merges(units, rates)
    works = [[task.work_s for task in chain] for chain in chains]
    merging_s = sum(task.work_s for task in merges)
    share = rates.store_bytes_per_s / len(speeds)  # while all of them read
    longest = max(
        (sum(max(task.work_s / max(speeds), task.read_bytes / share) for task in chain) for chain in chains),
        default=0.0,
    )
    for task in (*(task for chain in chains for task in chain), *merges):
        task.work_s *= float(np.exp(chance.normal(0, spread))) if spread else 1.0
    begin = rates.plan_s + rates.plan_s_per_unit * len(units)
    play.begin(chains, begin)
    play.play()
    play.begin([deque([task]) for task in merges], play.now)
    play.play()
    bounds: dict[Bottleneck, float] = {
        "processors of the workers": (sum(map(sum, works)) + merging_s) / sum(speeds),
        "the store": sum(units) / rates.store_bytes_per_s,
        "the longest unit": longest,
        "handing out": (sum(map(len, works)) + len(merges)) * rates.hand_out_s,
        "planning and summing up": begin + rates.end_s,
    }
    return Outcome(
        wall_s=play.now + rates.end_s,
        busy_s=play.busy_s,
        lost_s=play.lost_s,
        deaths=play.deaths,
        given_up=play.given_up,
        bounds_s=bounds,
        attempts=tuple(play.attempts),
    )
