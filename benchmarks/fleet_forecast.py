"""How long runs over a terabyte and more would take, and what their workers would cost: the simulation asked.

python -m benchmarks.fleet_forecast
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.fleet_simulation import Outcome, Rates, simulate
from ccp_assess.fleet.units import PART_BYTES

USD_PER_VCPU_HOUR = 0.0408
"""Of an m7g.large with two processors, Linux, on demand, us-east-1: 0.0816 USD an hour.

References
----------
https://www.factualminds.com/blog/amazon-ec2-on-demand-pricing-instance-families-2026/, 2026-06-17.
"""

MERGE_BATCH_BYTES = 2.5e10
"""Bytes of captures whose one-second rows make a batch of `merging.BATCH_BYTES`, about [bytes]."""


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
    usd_per_vcpu_hour: float = USD_PER_VCPU_HOUR
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
    parser = argparse.ArgumentParser(description="Foretell runs over many captures on many machines.")
    parser.add_argument("--megabytes-per-second", type=float, default=100.0, help="read and made into tables [MB/s]")
    parser.add_argument("--tables-share", type=float, default=0.4, help="of that time that tables take")
    parser.add_argument("--state-s-per-gb", type=float, default=0.4, help="of a state taken up or left behind [s/GB]")
    parser.add_argument("--merge-s-per-gb", type=float, default=0.4, help="of merging all tables [s/GB]")
    parser.add_argument("--task-ms", type=float, default=60.0, help="of a unit or part, whatever its size [ms]")
    parser.add_argument("--hand-out-ms", type=float, default=15.0, help="of a task that is handed out [ms]")
    parser.add_argument("--plan-ms", type=float, default=10.0, help="of a unit, before and after the work [ms]")
    parser.add_argument("--store-gbit", type=float, default=100.0, help="what the store gives [Gbit/s]")
    parser.add_argument("--part-mb", type=float, default=PART_BYTES / 1e6, help="size of a part [MB]")
    parser.add_argument("--usd", type=float, default=USD_PER_VCPU_HOUR, help="price of a processor's hour [USD]")
    options = parser.parse_args()
    s_per_byte = 1e-6 / options.megabytes_per_second
    rates = Rates(
        s_per_byte=s_per_byte * (1 - options.tables_share),
        finish_s_per_byte=s_per_byte * options.tables_share,
        carry_s_per_byte=options.state_s_per_gb * 1e-9,
        task_s=options.task_ms / 1e3,
        merge_s_per_unit=(0.0,),
        merge_s_per_byte=(options.merge_s_per_gb * 1e-9,),
        merge_batch_bytes=MERGE_BATCH_BYTES,
        hand_out_s=options.hand_out_ms / 1e3,
        plan_s=10.0,
        plan_s_per_unit=options.plan_ms / 1e3,
        restart_s=10.0,
        cold_s=1.0,
        store_bytes_per_s=options.store_gbit / 8 * 1e9,
    )
    assumed = Assumed(usd_per_vcpu_hour=options.usd)
    part_bytes = options.part_mb * 1e6
    print(f"{rates}\n{assumed}\n")
    print("| captures | workers | median | 95 % | workers cost | lost | what decides |")
    print("|---|---|---|---|---|---|---|")
    for total, mean, counts in ((10**12, 5e8, (1, 16, 64, 256)), (10**14, 5e9, (16, 64, 256, 1024))):
        name = f"{total // 10**12} TB, units of {mean / 1e9:g} GB"
        for workers in counts:
            trials = 5 if total > 10**13 else assumed.trials
            median, late, cost, outcomes = forecast(
                total, mean, workers, rates, assumed, part_bytes=part_bytes, trials=trials
            )
            lost = float(np.median([outcome.lost_s / outcome.busy_s for outcome in outcomes]))
            price = f"{cost:.{0 if cost >= 1 else 2}f} USD"
            print(
                f"| {name} | {workers} | {spoken(median)} | {spoken(late)} | {price} | {100 * lost:.2f} % | "
                f"{outcomes[0].bottleneck} |",
                flush=True,
            )
            name = ""
    print("\nThe same 1 TB on 64 workers, and what one thing changes:")
    variants = {
        "as above": (rates, assumed),
        "no stragglers": (rates, replace(assumed, slow_share=0.0)),
        "every fifth machine at 0.4 of the speed": (rates, replace(assumed, slow_share=0.2)),
        "a worker dies every two hours": (rates, replace(assumed, deaths_per_hour=0.5)),
        "a store of 10 Gbit/s": (replace(rates, store_bytes_per_s=1.25e9), assumed),
    }
    for name, (changed, surroundings) in variants.items():
        median, late, *_ = forecast(10**12, 5e8, 64, changed, surroundings, part_bytes=part_bytes)
        print(f"  {name}: {spoken(median)}, 95 % {spoken(late)}")
    unit = simulate([10**10], [1.0], rates, part_bytes=part_bytes)
    print(f"One unit of 10 GB, a site that records day and night, is one chain: {spoken(unit.wall_s)}")


if __name__ == "__main__":
    main()
