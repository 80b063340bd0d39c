"""Hold the simulation of runs against real ones: rates from one run with one worker, then the others foretold.

    python -m benchmarks.fleet_matching

Small units and uneven ones, one worker and two, units in parts, a worker killed, a worker that is stopped half of its
time. Whatever else uses the processors meanwhile shows as an error of the simulation.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from distributed import get_task_stream

from benchmarks.fleet import DATA, workers
from benchmarks.fleet_captures import block, one_block
from benchmarks.fleet_simulation import Rates, simulate
from ccp_assess.fleet.cluster import Engine
from ccp_assess.fleet.run import run_fleet

EVEN = (1,) * 12
UNEVEN = (8, 4, 2, 1, 1, 1, 1, 1)
PART_BYTES = 60_000_000
STOPPED_S = 0.1


@dataclass(frozen=True)
class Ran:
    """What a run took, and its tasks: bytes are those of the units."""

    wall_s: float
    tasks_s: tuple[float, ...]


def make(blocks: Sequence[int]) -> Path:
    """Make a client whose sites recorded one file each of some blocks."""
    client = DATA / "matching" / "-".join(str(count) for count in blocks)
    template = block(whole=False)
    for site, count in enumerate(blocks):
        path = client / "captures" / f"S{site:02}" / "day.pcap"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(
                template.head + b"".join(one_block(template, site, n, 1_790_000_000 + 400 * n) for n in range(count))
            )
    return client


def sizes(client: Path) -> list[int]:
    return [path.stat().st_size for path in sorted(client.rglob("*.pcap"))]


def run(client: Any, source: Path, part_bytes: int = 10**12) -> Ran:
    """Run for real, into an empty destination."""
    out = tempfile.mkdtemp(prefix="fleet-", dir=DATA)
    with get_task_stream(client) as stream:
        begin = time.monotonic()
        result = run_fleet(str(source), f"{out}/out", Engine(scheduler=client.scheduler.address, part_bytes=part_bytes))
        wall = time.monotonic() - begin
    shutil.rmtree(out)
    if result.failed:
        raise SystemExit(f"not all was read: {result.failed}")
    spans = [span for task in stream.data for span in task["startstops"] if span["action"] == "compute"]
    return Ran(wall, tuple(span["stop"] - span["start"] for span in spans))


def calibrate(client: Any, source: Path) -> Rates:
    """Measure the rates on uneven units: time of a byte and of a task by least squares, the rest of the wall beside."""
    ran = run(client, source)
    found = sizes(source)
    tasks = np.sort(ran.tasks_s)[-len(found) :]  # units of captures; what is quicker are sites and the like
    slope, rest = np.polyfit(np.sort(found), tasks, 1)
    plan_s = max(ran.wall_s - sum(ran.tasks_s), 0.0)
    return Rates(s_per_byte=slope, task_s=max(rest, 0.0), plan_s=plan_s)


def worker_pid(client: Any) -> int:
    return int(next(iter(client.run(os.getpid).values())))


def kill_later(client: Any, after_s: float) -> threading.Timer:
    """Kill one worker after a while."""
    timer = threading.Timer(after_s, os.kill, (worker_pid(client), signal.SIGKILL))
    timer.start()
    return timer


def stop_half_the_time(pid: int, end: threading.Event) -> None:
    """Let a process run every other tenth of a second."""
    with suppress(ProcessLookupError):
        while not end.is_set():
            os.kill(pid, signal.SIGSTOP)
            time.sleep(STOPPED_S)
            os.kill(pid, signal.SIGCONT)
            time.sleep(STOPPED_S)


def row(name: str, foretold_s: float, ran: Ran) -> None:
    print(f"{name:44}{foretold_s:10.2f}{ran.wall_s:10.2f}{100 * (foretold_s / ran.wall_s - 1):+9.0f} %", flush=True)


def main() -> None:
    even, uneven = make(EVEN), make(UNEVEN)
    first = next(even.rglob("*.pcap"))
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    begin = time.monotonic()
    with workers(1, first) as client:
        restart_s = time.monotonic() - begin
        rates = replace(calibrate(client, uneven), restart_s=restart_s)
        print(
            f"rates of one run with one worker: {1e-6 / rates.s_per_byte:.0f} MB/s, {rates.task_s * 1e3:.0f} ms a "
            f"task, {rates.plan_s:.2f} s beside the tasks; a worker starts in {restart_s:.1f} s"
        )
        print(f"{'':44}{'foretold':>10}{'real':>10}{'error':>11}")
        row("12 even units, 1 worker", simulate(sizes(even), [1], rates).wall_s, run(client, even))
        row("8 uneven units, 1 worker", simulate(sizes(uneven), [1], rates).wall_s, run(client, uneven))
        foretold = simulate(sizes(uneven), [1], rates, part_bytes=PART_BYTES).wall_s
        row("the same in parts of 60 MB, 1 worker", foretold, run(client, uneven, PART_BYTES))
    with workers(2, first) as client:
        row("12 even units, 2 workers", simulate(sizes(even), [1, 1], rates).wall_s, run(client, even))
        row("8 uneven units, 2 workers", simulate(sizes(uneven), [1, 1], rates).wall_s, run(client, uneven))
        foretold = simulate(sizes(uneven), [1, 1], rates, part_bytes=PART_BYTES).wall_s
        row("the same in parts of 60 MB, 2 workers", foretold, run(client, uneven, PART_BYTES))
        end = threading.Event()
        thread = threading.Thread(target=stop_half_the_time, args=(worker_pid(client), end))
        thread.start()
        try:
            foretold = simulate(sizes(even), [1, 0.5], rates).wall_s
            row("12 even units, 2 workers, one at half speed", foretold, run(client, even))
        finally:
            end.set()
            thread.join()
        at = 0.4 * simulate(sizes(even), [1, 1], rates).wall_s
        kill_later(client, at)
        foretold = simulate(sizes(even), [1, 1], rates, kills=[(at, 0)]).wall_s
        row("12 even units, 2 workers, one killed", foretold, run(client, even))


if __name__ == "__main__":
    main()
