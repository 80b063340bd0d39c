"""How long a run over many captures takes on machines that nobody has at hand: discrete events, with seeds.

The rules are those of `fleet/run.py`: the largest unit first; a unit larger than a part is a chain of parts, each begun
when the one before is done, and the next part of a chain goes before new units; a worker that dies loses the part it
read and comes back after a while. `benchmarks/fleet_matching.py` holds what this says against real runs.

    python -m benchmarks.fleet_simulation
"""

from __future__ import annotations

import argparse
import heapq
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

GIVE_UP = 4
"""Workers that a part may lose before Dask gives it up: three are allowed."""

Bottleneck = Literal[
    "processors of the workers", "the store", "the longest unit", "handing out", "planning and summing up"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What work takes, measured on one small run.

    Parameters
    ----------
    s_per_byte
        Of a worker of speed 1 [s].
    task_s
        Of each unit or part whatever its size: opening, writing Parquet, the record [s].
    plan_s, plan_s_per_unit
        Before and after the work, by the one that hands it out [s].
    hand_out_s
        Between two tasks that are handed out [s].
    restart_s
        Until a worker that died works again [s].
    store_bytes_per_s
        What the store gives to all workers together [bytes/s].
    """

    s_per_byte: float
    task_s: float = 0.0
    plan_s: float = 0.0
    plan_s_per_unit: float = 0.0
    hand_out_s: float = 0.0
    restart_s: float = 0.0
    store_bytes_per_s: float = math.inf


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
    """

    wall_s: float
    busy_s: float
    lost_s: float
    deaths: int
    given_up: int
    bounds_s: dict[Bottleneck, float]

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


def simulate(
    units: Sequence[int],
    speeds: Sequence[float],
    rates: Rates,
    *,
    part_bytes: float = math.inf,
    deaths_per_hour: float = 0.0,
    kills: Sequence[tuple[float, int]] = (),
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
    seed
        Of chance.

    Returns
    -------
    outcome
        What it took.
    """
    chance = np.random.default_rng(seed)
    begin = rates.plan_s + rates.plan_s_per_unit * len(units)
    waiting = deque(deque(parts_of(size, part_bytes)) for size in sorted(units, reverse=True))
    chains = [(size, len(parts_of(size, part_bytes))) for size in units]
    lives: dict[int, list[float]] = {worker: [] for worker in range(len(speeds))}
    for moment, worker in kills:
        lives[worker].append(moment)

    def death_after(moment: float, worker: int) -> float:
        planned = min((when for when in lives[worker] if when > moment), default=math.inf)
        drawn = moment + chance.exponential(3600 / deaths_per_hour) if deaths_per_hour else math.inf
        return min(planned, drawn)

    dies = [death_after(begin, worker) for worker in range(len(speeds))]
    events = [(begin, worker) for worker in range(len(speeds))]  # a worker asks for work
    heapq.heapify(events)
    running: dict[int, tuple[deque[float], float, bool]] = {}  # worker → its chain, since when, whether it ends well
    lost_by: dict[int, int] = {}
    idle: list[int] = []
    free_at = begin
    wall = begin
    busy = lost = 0.0
    deaths = given_up = 0
    while events:
        now, worker = heapq.heappop(events)
        if worker in running:
            chain, since, well = running.pop(worker)
            busy += now - since
            wall = max(wall, now)
            if well:
                chain.popleft()
                lost_by.pop(id(chain), None)
            else:
                deaths += 1
                lost += now - since
                lost_by[id(chain)] = lost_by.get(id(chain), 0) + 1
            if chain and lost_by.get(id(chain), 0) < GIVE_UP:
                waiting.appendleft(chain)
            else:
                given_up += bool(chain)
                lost_by.pop(id(chain), None)
            for other in idle[: len(waiting)]:  # somebody may have waited for this
                heapq.heappush(events, (now, other))
            idle = idle[len(waiting) :]
            if not well:
                heapq.heappush(events, (now + rates.restart_s, worker))
                dies[worker] = death_after(now + rates.restart_s, worker)
                continue
        if dies[worker] <= now:  # died while it had nothing to do
            again = dies[worker] + rates.restart_s
            dies[worker] = death_after(again, worker)
            if again > now:
                heapq.heappush(events, (again, worker))
                continue
        if not waiting:
            idle.append(worker)
            continue
        chain = waiting.popleft()
        start = max(now, free_at)
        free_at = start + rates.hand_out_s
        rate = min(speeds[worker] / rates.s_per_byte, rates.store_bytes_per_s / (len(running) + 1))
        end = start + rates.task_s / speeds[worker] + chain[0] / rate
        running[worker] = (chain, start, end <= dies[worker])
        heapq.heappush(events, (min(end, dies[worker]), worker))
    work = sum(size * rates.s_per_byte + count * rates.task_s for size, count in chains)
    longest = max((size * rates.s_per_byte + count * rates.task_s for size, count in chains), default=0.0)
    bounds: dict[Bottleneck, float] = {
        "processors of the workers": work / sum(speeds),
        "the store": sum(units) / rates.store_bytes_per_s,
        "the longest unit": longest / max(speeds),
        "handing out": sum(count for _, count in chains) * rates.hand_out_s,
        "planning and summing up": begin,
    }
    return Outcome(wall_s=wall, busy_s=busy, lost_s=lost, deaths=deaths, given_up=given_up, bounds_s=bounds)


def draw_units(total: int, mean: float, *, spread: float, seed: int) -> list[int]:
    """Draw sizes of units, log-normal, until they add up to a total."""
    chance = np.random.default_rng(seed)
    count = max(round(total / mean), 1)
    sizes = chance.lognormal(0.0, spread, count)
    return [max(int(size), 1) for size in sizes / sizes.sum() * total]


def draw_speeds(count: int, *, spread: float, slow_share: float, slow_speed: float, seed: int) -> list[float]:
    """Draw speeds of workers: most nearly alike, some stragglers."""
    chance = np.random.default_rng(seed)
    speeds = chance.normal(1.0, spread, count).clip(0.5, 1.5)
    return [float(speed) for speed in np.where(chance.random(count) < slow_share, slow_speed, speeds)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumed:
    """What is assumed of machines that were not measured.

    Parameters
    ----------
    speed_spread, slow_share, slow_speed
        Standard deviation of speeds; share of stragglers, and their speed.
    deaths_per_hour
        Of a worker [1/h].
    usd_per_vcpu_hour
        Price [USD].
    trials
        Runs that are simulated (count).
    """

    speed_spread: float = 0.05
    slow_share: float = 0.05
    slow_speed: float = 0.4
    deaths_per_hour: float = 0.02
    usd_per_vcpu_hour: float = 0.045
    trials: int = 21


def forecast(
    total: int,
    mean: float,
    workers: int,
    rates: Rates,
    assumed: Assumed,
    *,
    part_bytes: float,
    trials: int | None = None,
) -> tuple[float, float, float, list[Outcome]]:
    """Return median and 95th percentile of the time [s], the median cost [USD], and all outcomes."""
    outcomes = []
    for seed in range(trials or assumed.trials):
        speeds = draw_speeds(
            workers,
            spread=assumed.speed_spread,
            slow_share=assumed.slow_share,
            slow_speed=assumed.slow_speed,
            seed=seed,
        )
        outcomes.append(
            simulate(
                draw_units(total, mean, spread=1.0, seed=seed),
                speeds,
                rates,
                part_bytes=part_bytes,
                deaths_per_hour=assumed.deaths_per_hour,
                seed=seed,
            )
        )
    walls = np.array([outcome.wall_s for outcome in outcomes])
    median = float(np.median(walls))
    cost = workers * median / 3600 * assumed.usd_per_vcpu_hour
    return median, float(np.quantile(walls, 0.95)), cost, outcomes


def spoken(seconds: float) -> str:
    """Say a time as people do."""
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def main() -> None:
    parser = argparse.ArgumentParser(description="Simulate runs over many captures on many machines.")
    parser.add_argument("--megabytes-per-second", type=float, default=100.0, help="of a worker [MB/s]")
    parser.add_argument("--task-ms", type=float, default=60.0, help="of a unit or part, whatever its size [ms]")
    parser.add_argument("--hand-out-ms", type=float, default=10.0, help="between two tasks handed out [ms]")
    parser.add_argument("--plan-ms", type=float, default=10.0, help="of a unit, before and after the work [ms]")
    parser.add_argument("--store-gbit", type=float, default=100.0, help="what the store gives [Gbit/s]")
    parser.add_argument("--part-mb", type=float, default=512.0, help="size of a part [MB]")
    options = parser.parse_args()
    rates = Rates(
        s_per_byte=1e-6 / options.megabytes_per_second,
        task_s=options.task_ms / 1e3,
        hand_out_s=options.hand_out_ms / 1e3,
        plan_s=10.0,
        plan_s_per_unit=options.plan_ms / 1e3,
        restart_s=10.0,
        store_bytes_per_s=options.store_gbit / 8 * 1e9,
    )
    assumed = Assumed()
    print(f"{rates}\n{assumed}\n")
    print("| captures | units of (mean) | workers | median | 95 % | cost [USD] | lost work | bottleneck |")
    print("|---|---|---|---|---|---|---|---|")
    for total, mean, counts in ((10**12, 5e8, (1, 16, 64, 256)), (10**14, 5e9, (16, 64, 256, 1024))):
        for workers in counts:
            trials = 7 if total > 10**13 else assumed.trials
            median, late, cost, outcomes = forecast(
                total, mean, workers, rates, assumed, part_bytes=options.part_mb * 1e6, trials=trials
            )
            lost = float(np.median([outcome.lost_s / outcome.busy_s for outcome in outcomes]))
            print(
                f"| {total // 10**12} TB | {mean / 1e9:g} GB | {workers} | {spoken(median)} | {spoken(late)} | "
                f"{cost:.0f} | {100 * lost:.2f} % | {outcomes[0].bottleneck} |",
                flush=True,
            )
    print("\nThe same 1 TB on 64 workers, and what one thing changes:")
    variants = {
        "as above": (rates, assumed),
        "no stragglers": (rates, replace(assumed, slow_share=0.0)),
        "every fifth machine at 0.4 of the speed": (rates, replace(assumed, slow_share=0.2)),
        "a worker dies every two hours": (rates, replace(assumed, deaths_per_hour=0.5)),
        "a store of 10 Gbit/s": (replace(rates, store_bytes_per_s=1.25e9), assumed),
    }
    for name, (changed, surroundings) in variants.items():
        median, late, *_ = forecast(10**12, 5e8, 64, changed, surroundings, part_bytes=options.part_mb * 1e6)
        print(f"  {name}: {spoken(median)}, 95 % {spoken(late)}")
    unit = simulate([10**10], [1.0], rates, part_bytes=options.part_mb * 1e6)
    print(f"One unit of 10 GB, a site that records day and night, is one chain: {spoken(unit.wall_s)}")


if __name__ == "__main__":
    main()
