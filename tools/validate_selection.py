"""Hold the ranking against plain enumeration and simulation, and write docs/validation-selection.md.

    python tools/validate_selection.py

Every journey of random clients is enumerated in plain Python (tests/selection/clients_for_ranking.py) from the
definitions, and compared with what the ranking says. No data of the workplace is needed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "selection"))

import clients_for_ranking as clients  # noqa: E402 - beside the tests

from ccp_assess.regions import region_by_code  # noqa: E402
from ccp_assess.selection.options import Weights  # noqa: E402
from ccp_assess.selection.outcomes import MEAN, MOS, OVER_150, OVER_LIMIT  # noqa: E402
from ccp_assess.selection.prepared import prepare  # noqa: E402
from ccp_assess.selection.ranking import Outcome, rank_prepared  # noqa: E402
from ccp_assess.sites import CallerOrigin, Reroute, Site, TransferTarget  # noqa: E402

Tables = tuple[tuple[Site, ...], tuple[CallerOrigin, ...], tuple[TransferTarget, ...], tuple[Reroute, ...]]
PAGE = ROOT / "docs" / "validation-selection.md"
CLIENTS = 40
DRAWN = 6
CODES = ("eu-west-2", "us-east-1", "ap-southeast-2")
BARS = {
    "mean mouth-to-ear delay [ms]": 1e-6,
    "mean MOS": 1e-5,
    "shares over 150, 300 and 400 ms [points]": 1e-7,
    "50th and 95th percentile [ms]": 1e-6,
    "5th percentile of MOS": 1e-5,
    "expected delay against the mean of 4,000 draws [%]": 1.0,
    "expected MOS against the same": 0.01,
    "expected shares against the same [points]": 2.5,
    "order by the rule against a plain reading of it [options out of place]": 0.0,
}


@dataclass
class Worst:
    """The largest difference of each kind."""

    found: dict[str, float] = field(default_factory=dict)
    compared: dict[str, int] = field(default_factory=dict)

    def see(self, what: str, difference: float) -> None:
        """Take one comparison in."""
        self.found[what] = max(self.found.get(what, 0.0), abs(float(difference)))
        self.compared[what] = self.compared.get(what, 0) + 1


def random_client(rng: np.random.Generator) -> Tables:
    """Make a client of a few sites, origins, targets and devices anywhere on Earth."""

    def place() -> tuple[float, float]:
        return float(rng.uniform(-45, 60)), float(rng.uniform(-170, 170))

    count = int(rng.integers(1, 5))
    sites = tuple(
        clients.site(f"s{i}", place(), int(rng.integers(1, 300)), "GB", access=str(rng.choice(["office", "home"])))
        for i in range(count)
    )
    shares = rng.dirichlet(np.ones(int(rng.integers(1, 5)))) * 100
    callers = tuple(
        clients.caller(f"o{i}", place(), float(share), "GB", str(rng.choice(["mobile", "landline", "mixed"])))
        for i, share in enumerate(shares)
    )
    targets = tuple(
        clients.target(f"t{i}", place(), float(rng.uniform(0.5, 20)), circular=bool(rng.integers(2)))
        for i in range(int(rng.integers(0, 4)))
    )
    devices = (clients.device("s0", place(), float(rng.uniform(5, 100))),) if rng.integers(2) else ()
    return sites, callers, targets, devices


def plain_order(outcomes: Sequence[Outcome]) -> list[tuple[str, ...]]:
    """Order options by the rule, read literally: 1 point of share, 0.05 MOS, hops unknown."""
    left, order = list(outcomes), []
    while left:
        lowest = min(o.expected.total[OVER_LIMIT] for o in left)
        tier = [o for o in left if o.expected.total[OVER_LIMIT] <= lowest + 0.01 + 1e-12]
        best = max(tier, key=lambda o: o.expected.total[MOS])
        order.append(best.regions)
        left.remove(best)
    return order


def compare() -> Worst:
    """Compare all clients."""
    worst, rng = Worst(), np.random.default_rng(2026)
    names = list(BARS)
    for number in range(CLIENTS):
        tables = random_client(rng)
        ranking = rank_prepared(prepare(*tables, draws=4000 if number < DRAWN else 10, distances=clients.straight))
        for code in CODES:
            region = region_by_code(code)
            expected = clients.brute_force((region.latitude, region.longitude), tables)
            option = next(o for o in ranking.outcomes if o.regions == (code,))
            total, found = option.statistics.total, option.percentiles
            worst.see(names[0], total[MEAN] - expected["mean"])
            worst.see(names[1], total[MOS] - expected["mos"])
            for ours, theirs in zip(total[OVER_150 : OVER_LIMIT + 1], expected["over"], strict=True):
                worst.see(names[2], 100 * (ours - theirs))
            worst.see(names[3], found.p50_ms - expected["p50"])
            worst.see(names[3], found.p95_ms - expected["p95"])
            worst.see(names[4], found.mos_p05 - expected["mos_p05"])
            if number < DRAWN:
                drawn = ranking.prepared.simulate(option.placement, ranking.shares, Weights()).mean(axis=0)
                worst.see(names[5], 100 * (option.expected.total[MEAN] / drawn[MEAN] - 1))
                worst.see(names[6], option.expected.total[MOS] - drawn[MOS])
                for column in range(OVER_150, OVER_LIMIT + 1):
                    worst.see(names[7], 100 * (option.expected.total[column] - drawn[column]))
        ours = [o.regions for o in ranking.eligible]
        worst.see(names[8], sum(a != b for a, b in zip(ours, plain_order(ranking.eligible), strict=True)))
    return worst


def page(worst: Worst) -> str:
    """Write the page."""
    rows = "\n".join(
        f"| {what} | {worst.compared[what]} | {worst.found[what]:.1g} | {bar:g} |" for what, bar in BARS.items()
    )
    return f"""# Ranking: against plain enumeration

Made by `tools/validate_selection.py`; do not edit. {CLIENTS} random clients (one to four sites, one to four origins
with every kind of line, transfers out and circular, rerouted devices) and {len(CODES)} Regions each: every journey is
enumerated in plain Python from the definitions in [methods](methods.md) and added up. The expected outcomes of the
first {DRAWN} are held against the mean over 4,000 simulated worlds, whose own error is about 0.2 points of share.

| what | comparisons | largest difference | bar |
|---|--:|--:|--:|
{rows}
"""


def main() -> None:
    """Compare, and write the page if all differences lie within their bars."""
    worst = compare()
    for what, bar in BARS.items():
        if worst.found[what] > bar:
            sys.exit(f"{what}: {worst.found[what]:.3g} is over the bar of {bar:g}")
    PAGE.write_text(page(worst), encoding="utf-8")


if __name__ == "__main__":
    main()
