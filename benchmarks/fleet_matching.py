"""Hold the simulation of runs against real ones: what work takes is measured on some, and others are foretold.

    python -m benchmarks.fleet_matching

Measured with one worker, units in one go and in parts, and with two workers that do the same; foretold are other parts,
uneven units on two workers, a worker that is stopped half of its time, one that is killed, and several. All of them are
run several times in turn, and what is foretold is an interval: tasks and runs differ as those did that were measured.
Then waits of known length take the place of reading (`benchmarks/fleet_waiting.py`), on four workers: whether units,
parts, deaths and slow workers go as the simulation says, whatever the processors are busy with.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from distributed import Client, LocalCluster, get_task_stream
from scipy.optimize import nnls

from benchmarks import fleet_waiting
from benchmarks.fleet import DATA, warm, workers
from benchmarks.fleet_captures import block, one_block
from benchmarks.fleet_simulation import Rates, parts_of, simulate
from ccp_assess.fleet.cluster import Engine
from ccp_assess.fleet.dataset import open_dataset
from ccp_assess.fleet.run import run_fleet
from ccp_assess.fleet.sources import open_place

EVEN, UNEVEN, LONG, LITTLE = (1,) * 30, (10, 5, 3, 3, 2, *(1,) * 7), (10,), (1, 1)
"""Blocks of 44 MB in each unit."""

WHOLE = 10**12
CALIBRATED_PART, PART = 70_000_000, 120_000_000
"""Sizes of parts: measured with the one, foretold with the other [bytes]."""

STOPPED_S = 0.1
TRIALS = 41
PATIENCE_S = 60.0


def make(blocks: Sequence[int]) -> Path:
    """Make a client whose sites recorded one file each of some blocks."""
    client = DATA / "matching" / f"{len(blocks)}-{max(blocks)}-{sum(blocks)}"
    template = block(whole=False)
    for site, number in enumerate(blocks):
        path = client / "captures" / f"S{site:02}" / "day.pcap"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.with_suffix(".part").open("wb") as file:
                file.write(template.head)
                for n in range(number):
                    file.write(one_block(template, site, n, 1_790_000_000 + 400 * n))
            path.with_suffix(".part").rename(path)
    return client


def sizes(client: Path) -> list[int]:
    return [path.stat().st_size for path in sorted(client.rglob("*.pcap"))]


@dataclass(frozen=True, slots=True)
class Span:
    """A task of a real run: the unit's size, which part, or a batch to merge, and when [s]."""

    kind: str
    size: int
    step: int
    worker: str
    begin_s: float
    end_s: float

    @property
    def took_s(self) -> float:
        """How long it took [s]."""
        return self.end_s - self.begin_s


@dataclass(frozen=True, slots=True)
class Ran:
    """What a real run took, with its tasks in the order of their begins."""

    wall_s: float
    spans: tuple[Span, ...]

    def of(self, kind: str) -> list[Span]:
        """Give the tasks that are `unit` or `merge`."""
        return [span for span in self.spans if span.kind == kind]


def run(client: Any, source: Path, part_bytes: int = WHOLE) -> Ran:
    """Run for real, into an empty destination."""
    wait_for_all(client)
    out = tempfile.mkdtemp(prefix="fleet-", dir=DATA)
    with get_task_stream(client) as stream:
        begin, begin_time = time.monotonic(), time.time()
        result = run_fleet(str(source), f"{out}/out", Engine(scheduler=client.scheduler.address, part_bytes=part_bytes))
        wall = time.monotonic() - begin
    records = open_dataset(open_place(f"{out}/out")).units()
    shutil.rmtree(out)
    if result.failed:
        raise SystemExit(f"not all was read: {result.failed}")
    size_of = {key: sum(file["size"] for file in record["files"]) for key, record in records.items()}
    spans = []
    for task in stream.data:
        kind, key, *step = task["key"].split("-")
        for span in task["startstops"]:
            if span["action"] == "compute":
                moments = (span["start"] - begin_time, span["stop"] - begin_time)
                spans.append(Span(kind, size_of.get(key, 0), int(step[0]) if step else 0, task["worker"], *moments))
    return Ran(wall, tuple(sorted(spans, key=lambda span: span.begin_s)))


def wait_for_all(client: Any) -> None:
    """Wait until all workers of a cluster are there again and answer."""
    deadline = time.monotonic() + PATIENCE_S
    while len(client.run(os.getpid, on_error="ignore")) < len(client.cluster.workers):
        if time.monotonic() > deadline:
            raise SystemExit("a worker that was killed did not come back")
        time.sleep(0.02)


def warm_up(client: Any) -> Ran:
    """Let each worker do something of everything."""
    little = make(LITTLE)
    run(client, little)
    return run(client, little)


def terms(span: Span, part_bytes: int) -> tuple[float, float, float, float]:
    """Give what a task's time is made of: a constant, and the bytes of `Rates.task`."""
    parts = parts_of(span.size, part_bytes)
    done = sum(parts[: span.step])
    is_last = span.step == len(parts) - 1
    return 1.0, parts[span.step], span.size if is_last else 0.0, done if is_last else 2 * done + parts[span.step]


@dataclass(frozen=True, slots=True)
class Measured:
    """What calibrating found: rates, and by how much the logarithms of times of tasks and of whole runs differ."""

    rates: Rates
    of_tasks: float
    of_runs: float


def fit_tasks(runs: Sequence[tuple[Ran, int]]) -> tuple[Rates, float, float]:
    """Fit the time of a task to what it does, each task weighing the same; tell the spread of tasks and of runs."""
    rows, took, of_run = [], [], []
    for number, (ran, part_bytes) in enumerate(runs):
        for span in ran.of("unit"):
            rows.append(terms(span, part_bytes))
            took.append(span.took_s)
            of_run.append(number)
    matrix, seconds = np.array(rows), np.array(took)
    scale = matrix.max(axis=0)
    found = nnls(matrix / scale / seconds[:, None], np.ones(len(seconds)))[0] / scale
    rest = np.log(seconds / (matrix @ found))
    means = np.array([rest[np.array(of_run) == number].mean() for number in range(len(runs))])
    rates = Rates(task_s=found[0], s_per_byte=found[1], finish_s_per_byte=found[2], carry_s_per_byte=found[3])
    return rates, float(np.std(rest - means[of_run])), float(np.std(means))


def fit_merging(runs: Sequence[tuple[Ran, Sequence[int]]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Fit the time of each table's merging to units and bytes; the tables go by how long they take."""
    tables = [sorted((span.took_s for span in ran.of("merge")), reverse=True) for ran, _ in runs]
    matrix = np.array([(len(units), sum(units)) for _, units in runs], float)
    scale = matrix.max(axis=0)
    found = [nnls(matrix / scale, np.array(took))[0] / scale for took in zip(*tables, strict=True)]
    return tuple(float(by_unit) for by_unit, _ in found), tuple(float(by_byte) for _, by_byte in found)


def gaps(ran: Ran) -> list[float]:
    """From the end of each task to the begin of the next one, of one worker that does units [s]."""
    return [later.begin_s - earlier.end_s for earlier, later in pairwise(ran.of("unit"))]


def calibrate(
    even: Sequence[Ran], uneven: Sequence[Ran], parts: Sequence[Ran], pairs: Sequence[Ran], restart: Sequence[float]
) -> Measured:
    """Take all rates from real runs: one worker on even and uneven units and on parts of one, two on even units."""
    alone = [*((ran, WHOLE) for ran in (*even, *uneven)), *((ran, CALIBRATED_PART) for ran in parts)]
    rates, of_tasks, of_runs = fit_tasks(alone)
    by_unit, by_byte = fit_merging(
        [*((ran, sizes(make(EVEN))) for ran in even), *((ran, sizes(make(UNEVEN))) for ran in uneven)]
    )
    timelines = [*even, *uneven]
    between = [ran.of("merge")[0].begin_s - max(span.end_s for span in ran.of("unit")) for ran in timelines]
    after = [ran.wall_s - max(span.end_s for span in ran.spans) for ran in timelines]
    hand_out_s = median(gap for ran in parts for gap in gaps(ran))  # a chain alone: its worker waits for each part
    rates = replace(
        rates,
        task_s=rates.task_s + max(median(gap for ran in (*even, *uneven) for gap in gaps(ran)), 0.0),
        merge_s_per_unit=by_unit,
        merge_s_per_byte=by_byte,
        plan_s=max(median(ran.spans[0].begin_s for ran in timelines) - hand_out_s, 0.0),
        end_s=max(median(between) - hand_out_s, 0.0) + median(after),
        hand_out_s=hand_out_s,
        restart_s=restart[0],
        cold_s=restart[1],
    )
    shared = [rates.task(read=span.size, finished=span.size) / span.took_s for ran in pairs for span in ran.of("unit")]
    return Measured(replace(rates, slowdown=(1.0, min(median(shared), 1.0))), of_tasks, of_runs)


def restarted(client: Any) -> tuple[float, float]:
    """Kill the only worker; tell how long until it is back, and how much longer its first work takes [s]."""
    nanny = next(iter(client.cluster.workers.values()))
    warm_s = warm_up(client)
    pid, begin = nanny.pid, time.monotonic()
    os.kill(pid, signal.SIGKILL)
    while nanny.pid in {pid, None}:
        time.sleep(0.01)
    wait_for_all(client)
    back_s = time.monotonic() - begin
    cold = run(client, make(LITTLE))
    took = [sum(span.took_s for span in ran.spans) for ran in (cold, warm_s)]
    return back_s, max(took[0] - took[1], 0.0)


# What happens to a real run from outside, and to the simulated one


@contextmanager
def calm(_: Any) -> Iterator[None]:
    yield


@contextmanager
def stopping_half_the_time(client: Any) -> Iterator[None]:
    """Let a worker run every other tenth of a second."""
    pid, end = next(iter(client.cluster.workers.values())).pid, threading.Event()

    def stop_and_go() -> None:
        with suppress(ProcessLookupError):
            while not end.is_set():
                os.kill(pid, signal.SIGSTOP)
                time.sleep(STOPPED_S)
                os.kill(pid, signal.SIGCONT)
                time.sleep(STOPPED_S)

    thread = threading.Thread(target=stop_and_go)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


STOP_AND_GO = tuple((STOPPED_S * n, 0, float(n % 2)) for n in range(1200))


def killing(*moments: float) -> Callable[[Any], Any]:
    """Kill one worker after the other at some moments of a run [s]."""

    @contextmanager
    def kills(client: Any) -> Iterator[None]:
        nannies = list(client.cluster.workers.values())

        def kill(nanny: Any) -> None:
            if nanny.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(nanny.pid, signal.SIGKILL)

        timers = [threading.Timer(when, kill, (nannies[n % len(nannies)],)) for n, when in enumerate(moments)]
        for timer in timers:
            timer.start()
        try:
            yield
        finally:
            for timer in timers:
                timer.cancel()

    return kills


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A run to foretell, and what happens to it."""

    name: str
    blocks: Sequence[int]
    workers: int
    part_bytes: int = WHOLE
    moments: tuple[float, ...] = ()
    is_stopped: bool = False

    def foretell(self, found: Measured) -> list[float]:
        """Play it many times [s]."""
        units, walls = sizes(make(self.blocks)), []
        for seed in range(TRIALS):
            chance = np.random.default_rng(1000 + seed)
            level = float(np.exp(chance.normal(0, found.of_runs)))
            first = int(chance.integers(0, self.workers))  # which of them it hits is not in our hands
            walls.append(
                simulate(
                    units,
                    [1 / level] * self.workers,
                    found.rates,
                    part_bytes=self.part_bytes,
                    kills=[(when, (first + n) % self.workers) for n, when in enumerate(self.moments)],
                    changes=[(when, first, speed / level) for when, _, speed in STOP_AND_GO] if self.is_stopped else (),
                    spread=found.of_tasks,
                    seed=seed,
                ).wall_s
            )
        return walls

    def run(self, client: Any) -> float:
        """Run it for real [s]."""
        around = killing(*self.moments) if self.moments else stopping_half_the_time if self.is_stopped else calm
        with around(client):
            took = run(client, make(self.blocks), self.part_bytes).wall_s
        if self.moments:
            warm_up(client)
        return took


def told(name: str, foretold: Sequence[float], real: Sequence[float]) -> tuple[float, bool]:
    """Print a row; return the error of the medians, and whether the real one lies in the interval."""
    low, middle, high = np.quantile(foretold, (0.05, 0.5, 0.95))
    error = middle / median(real) - 1
    print(
        f"| {name} | {middle:.2f} s | {low:.2f} to {high:.2f} s | {median(real):.2f} s | "
        f"{min(real):.2f} to {max(real):.2f} s | {100 * error:+.0f} % |",
        flush=True,
    )
    return float(error), bool(low <= median(real) <= high)


HEAD = "| run | foretold | 90 % of what is foretold | real | least to most | error |\n|---|---|---|---|---|---|"


def judge(rows: Sequence[tuple[float, bool]], spreads: Sequence[float]) -> None:
    errors = sorted(abs(error) for error, _ in rows)
    print(
        f"\nMedian absolute error {100 * median(errors):.0f} %, the largest {100 * errors[-1]:.0f} %; "
        f"{sum(inside for _, inside in rows)} of {len(rows)} medians lie in the interval; runs of one kind differ by "
        f"{100 * median(spreads):.0f} % from least to most (median of kinds), {100 * max(spreads):.0f} % at most.\n"
    )


def spread_of(real: Sequence[float]) -> float:
    return (max(real) - min(real)) / median(real)


def time_for_another(begin: float, first_round: float, rounds: int, seconds: float) -> bool:
    """Tell whether a round like those before will end in time."""
    now = time.monotonic()
    return now - begin + (now - first_round) / rounds < seconds


def match_reading(times: int, seconds: float) -> Measured:
    """Run everything in turn, some times if there is time for that; then foretell, and hold it against what was."""
    begin = time.monotonic()
    even, uneven, long, little = make(EVEN), make(UNEVEN), make(LONG), make(LITTLE)
    for client in (even, uneven, long, little):
        warm(client)
    trials = [
        Trial(name="12 uneven units in parts, 1 worker", blocks=UNEVEN, workers=1, part_bytes=PART),
        Trial(name="12 uneven units, 2 workers", blocks=UNEVEN, workers=2),
        Trial(name="the same in parts, 2 workers", blocks=UNEVEN, workers=2, part_bytes=PART),
        Trial(name="30 even units, one of 2 workers stopped half the time", blocks=EVEN, workers=2, is_stopped=True),
        Trial(name="30 even units, one of 2 workers killed", blocks=EVEN, workers=2, moments=(1.2,)),
        Trial(
            name="12 uneven units in parts, both workers killed, one twice",
            blocks=UNEVEN,
            workers=2,
            part_bytes=PART,
            moments=(0.8, 2.0, 3.2),
        ),
    ]
    evens, unevens, parts, pairs = [], [], [], []
    real: dict[str, list[float]] = {trial.name: [] for trial in trials}
    with ExitStack() as clusters:
        clients = {count: clusters.enter_context(workers(count, little)) for count in (1, 2)}
        restart = tuple(median(times) for times in zip(*(restarted(clients[1]) for _ in range(2)), strict=True))
        for client in clients.values():
            warm_up(client)
        rounds, first_round = 0, time.monotonic()
        while rounds < times and (not rounds or time_for_another(begin, first_round, rounds, seconds)):
            rounds += 1
            evens.append(run(clients[1], even))
            unevens.append(run(clients[1], uneven))
            parts.append(run(clients[1], long, CALIBRATED_PART))
            pairs.append(run(clients[2], even))
            for trial in trials:
                real[trial.name].append(trial.run(clients[trial.workers]))
    found = calibrate(evens, unevens, parts, pairs, restart)
    rates = found.rates
    print(
        f"Each run done {rounds} times. Measured: reading {1e9 * rates.s_per_byte:.2f} s, "
        f"tables {1e9 * rates.finish_s_per_byte:.2f} s and a state "
        f"{1e9 * rates.carry_s_per_byte:.2f} s per GB; {1e3 * rates.task_s:.0f} ms a task, "
        f"{1e3 * rates.hand_out_s:.0f} ms to hand one out; merging {1e3 * sum(rates.merge_s_per_unit):.0f} ms a unit "
        f"and {1e9 * sum(rates.merge_s_per_byte):.2f} s per GB; {rates.plan_s + rates.end_s:.2f} s before and after; a "
        f"worker is back after {rates.restart_s:.1f} s and loses {rates.cold_s:.1f} s more; two at work: "
        f"{rates.slowdown[1]:.2f} of the speed; times of like tasks differ by {100 * found.of_tasks:.0f} %, of like "
        f"runs by {100 * found.of_runs:.0f} % (standard deviation)\n\n{HEAD}"
    )
    rows = [told(trial.name, trial.foretell(found), real[trial.name]) for trial in trials]
    kinds = [*real.values(), *([ran.wall_s for ran in runs] for runs in (evens, unevens, parts, pairs))]
    judge(rows, [spread_of(kind) for kind in kinds])
    return found


# Waits in the place of reading


WAITERS = 4
WAIT_PART = 60_000_000
WAIT_UNITS = tuple(round(1.8e8 * 0.85**n) for n in range(24))


@contextmanager
def waiters(count: int) -> Iterator[Any]:
    """Start workers that will only wait."""
    with (
        LocalCluster(
            n_workers=count, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=50
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def run_waiting(client: Any, source: Path, moments: Sequence[float], slow: int) -> float:
    """Run for real, but for the reading [s]."""
    out = tempfile.mkdtemp(prefix="fleet-", dir=DATA)
    wait_for_all(client)
    slow_ones = [nanny.worker_address for nanny in list(client.cluster.workers.values())[-slow:]] if slow else []
    client.run(fleet_waiting.set_speed, 1.0)
    if slow_ones:
        client.run(fleet_waiting.set_speed, 0.4, workers=slow_ones)
    with fleet_waiting.waiting(), killing(*moments)(client):
        begin = time.monotonic()
        result = run_fleet(str(source), f"{out}/out", Engine(scheduler=client.scheduler.address, part_bytes=WAIT_PART))
        wall = time.monotonic() - begin
    shutil.rmtree(out)
    if result.failed:
        raise SystemExit(f"not all was done: {result.failed}")
    return wall


def match_waiting(times: int, measured: Rates) -> None:
    """Hold the simulation against the engine where the work is known, and only the rest is to be foretold."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as clusters:
        source = fleet_waiting.make_waiting(Path(folder) / "acme", WAIT_UNITS)
        client = clusters.enter_context(waiters(WAITERS))
        kinds = {
            "4 workers that wait": ((), 0),
            "two of them at 0.4 of the speed": ((), 2),
            "one at 0.4 of the speed, the others killed": ((1.0, 2.0, 3.0), 1),
        }
        print(f"{len(WAIT_UNITS)} units in parts, {WAITERS} workers that wait instead of reading\n\n{HEAD}")
        real: dict[str, list[float]] = {name: [] for name in kinds}
        run_waiting(client, source, (), 0)
        for _ in range(times):
            for name, (moments, slow) in kinds.items():
                real[name].append(run_waiting(client, source, moments, slow))
    rows = []
    for name, (moments, slow) in kinds.items():
        rates = replace(
            fleet_waiting.WORK,
            hand_out_s=measured.hand_out_s,
            restart_s=measured.restart_s,
            plan_s=measured.plan_s,
            end_s=measured.end_s,
        )
        walls = [
            simulate(
                WAIT_UNITS,
                [1.0] * (WAITERS - slow) + [0.4] * slow,
                rates,
                part_bytes=WAIT_PART,
                kills=[(when, n) for n, when in enumerate(moments)],
                seed=seed,
            ).wall_s
            for seed in range(TRIALS)
        ]
        rows.append(told(name, walls, real[name]))
    judge(rows, [spread_of(kind) for kind in real.values()])


def main() -> None:
    parser = argparse.ArgumentParser(description="Hold the simulation of runs against real ones.")
    parser.add_argument("--times", type=int, default=3, help="how often each run is done")
    parser.add_argument("--seconds", type=float, default=170.0, help="for the real runs; at least one round is done")
    parser.add_argument("--only", choices=("reading", "waiting"), help="one of both halves")
    options = parser.parse_args()
    begin = time.monotonic()
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}\n", flush=True)
    found = match_reading(options.times, options.seconds) if options.only != "waiting" else None
    if options.only != "reading":
        rates = Rates(s_per_byte=0, restart_s=1.0, hand_out_s=0.015) if found is None else found.rates
        match_waiting(max(options.times - 1, 1), rates)
    print(f"all of it in {time.monotonic() - begin:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
