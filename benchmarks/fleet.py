"""Many captures of many sites: two workers over one, one over the plain reader, and time by bytes; ratios of one run.

    python -m benchmarks.fleet          10 GB of captures (made once, kept below bench-data/)
    python -m benchmarks.fleet --gb 1 --rounds 5

The clusters are up and each worker has done a small run before the clock starts; each is a process of one thread;
listing, planning, Parquet writing and the manifest are in the time. The plain reader is `assess_captures` in one
process, up as well, over the files of each unit, with nothing written. They take turns, round by round.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

from distributed import Client, LocalCluster

from benchmarks.fleet_captures import ROOT, make_client
from ccp_assess.assess.captures import assess_captures
from ccp_assess.fleet.cluster import Engine
from ccp_assess.fleet.dataset import open_dataset
from ccp_assess.fleet.merging import merge_all
from ccp_assess.fleet.plan import make_plan
from ccp_assess.fleet.run import run_fleet
from ccp_assess.fleet.sources import open_place
from ccp_assess.fleet.work import do_unit

DATA = ROOT / "bench-data" / "fleet"
SMALL_BYTES = 40_000_000
"""Of a run that warms up."""


@dataclass(frozen=True)
class Measured:
    """What one run over some bytes took."""

    size: int
    wall_s: float
    cpu_s: float
    peak_mb: float

    @property
    def s_per_gb(self) -> float:
        """Time of a byte."""
        return self.wall_s / self.size * 1e9


def size_of(client: Path) -> int:
    return sum(path.stat().st_size for path in client.rglob("*.pcap"))


def warm(client: Path) -> None:
    """Bring a client's files into the page cache, as far as they fit."""
    for path in client.rglob("*.pcap"):
        with path.open("rb", buffering=0) as file:
            while file.read(1 << 24):
                pass


def units_of(client: Path) -> list[list[Path]]:
    """Files that one recorder rotated belong together, as in a run."""
    recordings: dict[str, list[Path]] = {}
    for path in sorted(client.rglob("*.pcap")):
        recordings.setdefault(f"{path.parent.name}/{path.name.partition('-')[0]}", []).append(path)
    return list(recordings.values())


def read_plainly(units: list[list[Path]]) -> tuple[float, float, float]:
    """Read units one after the other; return wall and processor time [s] and peak memory [MB]."""
    assess_captures(units[0][:1], workers=1)  # compiled loops and libraries are loaded now
    begin, cpu = time.monotonic(), time.process_time()
    for unit in units:
        assess_captures(unit, workers=1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return time.monotonic() - begin, time.process_time() - cpu, peak


def plain(reader: Any, client: Path) -> Measured:
    """Measure the plain reader in its process."""
    return Measured(size_of(client), *reader.apply(read_plainly, (units_of(client),)))


def used() -> tuple[float, float]:
    """Tell processor time [s] and peak memory [MB] of the process that runs this."""
    return time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def work_once(source: Path) -> None:
    """Let a worker load all that a run uses: compiled loops, libraries of tables."""
    out = tempfile.mkdtemp(prefix="warm-", dir=DATA)
    place, dataset = open_place(str(source)), open_dataset(open_place(f"{out}/out"))
    records = [
        do_unit(unit.to_document(), str(source), dataset.place.url) for unit in make_plan(place, dataset, {}, {}).units
    ]
    merge_all(dataset, records)
    shutil.rmtree(out)


@contextmanager
def workers(count: int, small: Path) -> Iterator[Any]:
    """Start workers that have each done a small run."""
    with (
        LocalCluster(
            n_workers=count, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=50
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.run(work_once, small)
        yield client


def fleet(client: Any, source: Path) -> Measured:
    """Measure a run into an empty destination."""
    out = tempfile.mkdtemp(prefix="fleet-", dir=DATA)
    before = sum(cpu for cpu, _ in client.run(used).values())
    begin, own = time.monotonic(), time.process_time()
    result = run_fleet(str(source), f"{out}/out", Engine(scheduler=client.scheduler.address))
    wall, own = time.monotonic() - begin, time.process_time() - own
    after = client.run(used).values()
    shutil.rmtree(out)
    if result.failed or result.manifest["set_aside"]:
        raise SystemExit(f"not all was read: {result.failed} {result.manifest['set_aside']}")
    cpu = sum(cpu for cpu, _ in after) - before
    return Measured(size_of(source), wall, cpu + own, max(peak for _, peak in after))


def row(name: str, found: Measured, against: str = "") -> None:
    print(
        f"{name:24}{found.size / 1e9:8.2f}{found.wall_s:10.1f}{found.cpu_s:10.1f}{found.s_per_gb:10.2f}"
        f"{found.peak_mb:10.0f}  {against}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Time runs over many captures.")
    parser.add_argument("--gb", type=float, default=10.0, help="bytes of captures [GB]")
    parser.add_argument("--rounds", type=int, default=5, help="how often it is measured")
    options = parser.parse_args()
    begin = time.monotonic()
    sizes = [int(options.gb * share * 1e9) for share in (0.1, 0.2, 0.5, 1.0)]
    clients = [make_client(DATA, size) for size in sizes]
    whole, small = clients[-1], make_client(DATA, SMALL_BYTES)
    warm(whole)
    files = list(whole.rglob("*.pcap"))
    units = [sum(path.stat().st_size for path in unit) / 1e6 for unit in units_of(whole)]
    print(
        f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}; {len(files)} files in {len(units)} units, "
        f"the largest {max(units):.0f} MB "
        f"(made and read once in {time.monotonic() - begin:.0f} s)"
    )
    print(f"{'':24}{'GB':>8}{'wall [s]':>10}{'CPU [s]':>10}{'s/GB':>10}{'peak [MB]':>10}")
    found = []
    # All are up from the beginning, and take turns: what else the machine does meets them alike.
    with get_context("spawn").Pool(1) as reader, workers(1, small) as single, workers(2, small) as pair:
        for number in range(options.rounds):
            alone = plain(reader, whole)
            row("plain reader", alone)
            one = fleet(single, whole)
            wall, cpu = (
                100 * (ours / theirs - 1) for ours, theirs in ((one.wall_s, alone.wall_s), (one.cpu_s, alone.cpu_s))
            )
            row("1 worker", one, f"{wall:+.1f} % wall, {cpu:+.1f} % CPU over the plain reader")
            two = fleet(pair, whole)
            row("2 workers", two, f"{one.wall_s / two.wall_s:.2f} times 1 worker")
            found.append((wall, cpu, one.wall_s / two.wall_s))
            for source in clients[-2::-1] if number == 0 else ():
                part = fleet(pair, source)
                row("2 workers", part, f"{part.s_per_gb / two.s_per_gb:.2f} times the time of a byte in all")
    wall, cpu, times = (median(values) for values in zip(*found, strict=True))
    print(
        f"median of {options.rounds}: {wall:+.1f} % wall, {cpu:+.1f} % CPU over the plain reader (bar 15 %), "
        f"2 workers {times:.2f} times 1 (bar 1.5)"
    )
    print(f"all of it in {time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()
