"""Clocks that are wrong, differ, and jump while a run is at work: of the run, of its workers, and of the store."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from fleet_sources import local_scheduler, make_source, tree

from ccp_assess.fleet import run
from ccp_assess.fleet.cluster import Engine
from ccp_assess.fleet.dataset import Dataset
from ccp_assess.fleet.merging import check_merged
from ccp_assess.fleet.run import run_fleet
from ccp_assess.fleet.sources import open_place

pytestmark = pytest.mark.shared
JUMPS = ("+1d", "-1d", "+0", "-3h", "+40m", "-1s")


class Clock:
    """What processes take for the time: an offset in a file that they look into whenever they ask."""

    def __init__(self, path: Path, library: str) -> None:
        self._path = path
        self.set("+0")
        self.environment = {
            **os.environ,
            "LD_PRELOAD": library,
            "FAKETIME_TIMESTAMP_FILE": str(path),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # as with a clock that is set
            "NO_FAKE_STAT": "1",  # files that are there keep their times
        }

    def set(self, offset: str) -> None:
        draft = self._path.with_suffix(".draft")
        draft.write_text(f"{offset}\n")
        draft.replace(self._path)


@pytest.fixture
def clock(tmp_path: Path, tool: Any) -> Callable[[str], Clock]:
    tool("faketime")
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    return lambda name: Clock(tmp_path / name, str(library))


@contextmanager
def jumping(*clocks: Clock, every_s: float = 0.4) -> Iterator[list[str]]:
    """Set clocks again and again, each to another time than the others."""
    over = threading.Event()
    jumped: list[str] = []

    def jump() -> None:
        for number in cycle(range(len(JUMPS))):
            if over.wait(every_s):
                return
            for place, clock in enumerate(clocks):
                clock.set(JUMPS[(number + 2 * place) % len(JUMPS)])
            jumped.append(JUMPS[number])

    thread = threading.Thread(target=jump)
    thread.start()
    try:
        yield jumped
    finally:
        over.set()
        thread.join()


@contextmanager
def workers(clocks: list[Clock], folder: Path) -> Iterator[str]:
    """Start a scheduler whose clock is right, and a worker for each clock."""
    from distributed import Client, LocalCluster

    command = [sys.executable, "-m", "distributed.cli.dask_worker", "--nthreads", "1", "--no-dashboard"]
    with (
        LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=50) as cluster,
        ExitStack() as ends,
    ):
        for number, clock in enumerate(clocks):
            words = [*command, "--local-directory", str(folder / f"worker{number}"), cluster.scheduler_address]
            process = subprocess.Popen(words, env=clock.environment, stderr=subprocess.DEVNULL)
            ends.callback(process.wait)
            ends.callback(process.terminate)
        with Client(cluster, set_as_default=False) as client:
            client.wait_for_workers(len(clocks), timeout=120)
            yield cluster.scheduler_address


def assert_as_calm(source: Path, out: Path, calm: Path) -> None:
    run_fleet(str(source), str(calm), Engine(scheduler=local_scheduler()))
    assert tree(out) == tree(calm)
    dataset = Dataset(open_place(str(out)))
    assert dataset.check() + check_merged(dataset) == []


@pytest.mark.long
def test_workers_whose_clocks_differ_by_days_and_jump_change_nothing(
    tmp_path: Path, clock: Callable[[str], Clock], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = make_source(tmp_path / "acme", sites=3, days=3), tmp_path / "out"
    clocks = [clock("ahead"), clock("behind")]
    clocks[0].set("+5h")
    clocks[1].set("-2d")
    monkeypatch.setattr(run, "_PATIENCE_S", 5.0)
    said: list[str] = []
    with workers(clocks, tmp_path) as scheduler:
        engine = Engine(scheduler=scheduler, part_bytes=150_000)
        first = run_fleet(str(source), str(out), engine, say=said.append)
        for path in (out / "units").glob("*.json"):
            path.unlink()
        with jumping(*clocks) as jumped:
            second = run_fleet(str(source), str(out), engine)
    assert (first.failed, second.failed) == ((), ())
    assert first.done == second.done == 10
    assert jumped
    assert [line for line in said if "5 h ahead" in line]
    assert [line for line in said if "2 days behind" in line]
    recordings = out / "recordings"  # of the parts, which the calm one does not need
    for path in recordings.rglob("*.state"):
        path.unlink()
    assert_as_calm(source, out, tmp_path / "calm")


@pytest.mark.long
def test_a_machine_whose_clock_jumps_does_all_of_its_run(tmp_path: Path, clock: Callable[[str], Clock]) -> None:
    """Run, scheduler, workers, lease and certificates live by the same clock."""
    source, out = make_source(tmp_path / "acme", sites=3, days=3), tmp_path / "out"
    one = clock("machine")
    command = [sys.executable, "-m", "ccp_assess", "fleet", "run", str(source), "--out", str(out), "--workers", "2"]
    with jumping(one, every_s=1.0) as jumped:
        done = subprocess.run(command, env=one.environment, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "10 units were done now" in done.stdout
    assert "not done" not in done.stdout
    assert jumped
    assert_as_calm(source, out, tmp_path / "calm")
