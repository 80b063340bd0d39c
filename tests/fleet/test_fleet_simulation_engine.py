"""The simulation of runs against the engine itself, where waits of known length take the place of reading."""

import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fleet_sources import local_scheduler

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks.fleet_simulation import Attempt, simulate
from benchmarks.fleet_waiting import LOG, WORK, attempts, make_waiting, waiting
from ccp_assess.fleet import run as engine
from ccp_assess.fleet.cluster import Engine
from ccp_assess.fleet.run import FleetResult, run_fleet

MB = 10**6
PART_BYTES = 20 * MB
SIZES = (70 * MB, 45 * MB, 12 * MB, 9 * MB, 5 * MB)


def run_waiting(tmp_path: Path, sizes: Sequence[int]) -> FleetResult:
    source = make_waiting(tmp_path / "acme", sizes)
    with waiting():
        return run_fleet(str(source), str(tmp_path / "out"), Engine(scheduler=local_scheduler(), part_bytes=PART_BYTES))


def names(found: Sequence[Attempt]) -> Counter[tuple[int, int]]:
    return Counter((attempt.unit, attempt.part) for attempt in found)


def first_of_each(found: Sequence[Attempt]) -> set[int]:
    """Give the unit that each worker began with."""
    begun = sorted(found, key=lambda attempt: -attempt.begin_s)
    return set({attempt.worker: attempt.unit for attempt in begun}.values())


def kill_who_begins(tmp_path: Path, unit: int, part: int) -> threading.Thread:
    """Kill the worker that begins some part, while it is at it."""
    log = tmp_path / f"out.{LOG}"

    def look_and_kill() -> None:
        while True:
            lines = log.read_text(encoding="ascii").splitlines() if log.exists() else []
            for line in lines:
                pid, _, word, site, number = (*line.split(), "", "", "", "")[:5]
                if (word, site, number) == ("begin", f"S{unit:03}", str(part)):
                    time.sleep(0.1)  # a third of the part
                    os.kill(int(pid), signal.SIGKILL)
                    return
            time.sleep(0.005)

    thread = threading.Thread(target=look_and_kill, daemon=True)
    thread.start()
    return thread


def test_the_engine_begins_what_the_simulation_says_and_the_parts_of_a_unit_in_their_order(tmp_path: Path) -> None:
    result = run_waiting(tmp_path, SIZES)
    assert not result.failed
    found = attempts(str(tmp_path / "out"))
    foretold = simulate(SIZES, [1.0, 1.0], WORK, part_bytes=PART_BYTES)
    assert names(found) == names(foretold.attempts)
    for unit, parts in ((0, [0, 1, 2, 3]), (1, [0, 1, 2])):
        assert [attempt.part for attempt in found if attempt.unit == unit] == parts
        assert [attempt.part for attempt in foretold.attempts if attempt.unit == unit] == parts
    assert first_of_each(found) == first_of_each(foretold.attempts) == {0, 1}


def test_the_engine_does_again_what_the_simulation_says_when_a_worker_is_killed(tmp_path: Path) -> None:
    thread = kill_who_begins(tmp_path, 0, 1)
    result = run_waiting(tmp_path, SIZES)
    thread.join()
    assert not result.failed
    calm = simulate(SIZES, [1.0, 1.0], WORK, part_bytes=PART_BYTES)
    hit = next(attempt for attempt in calm.attempts if (attempt.unit, attempt.part) == (0, 1))
    moment = (hit.begin_s + hit.end_s) / 2
    foretold = simulate(SIZES, [1.0, 1.0], WORK, part_bytes=PART_BYTES, kills=[(moment, hit.worker)])
    found = attempts(str(tmp_path / "out"))
    assert names(foretold.attempts) == names(calm.attempts) + Counter({(0, 1): 1})
    assert [(attempt.unit, attempt.part) for attempt in found if not attempt.is_done] == [(0, 1)]
    lost = next(attempt for attempt in found if not attempt.is_done)
    before = [attempt for attempt in found if attempt.worker == lost.worker and attempt.is_done]
    again = names(found) - names(foretold.attempts)
    assert again <= names(before[-1:])  # what it had just done may go with it, if nobody had asked for the answer yet
    assert not names(foretold.attempts) - names(found)


def test_the_engine_gives_up_what_the_simulation_says_when_worker_after_worker_is_killed(tmp_path: Path) -> None:
    sizes = (30 * MB, 10 * MB)
    log = tmp_path / f"out.{LOG}"
    stop = threading.Event()

    def kill_each() -> None:
        killed = set()
        while not stop.is_set():
            for line in log.read_text(encoding="ascii").splitlines() if log.exists() else []:
                words = line.split()
                if words[2:4] == ["begin", "S000"] and words[0] not in killed:
                    killed.add(words[0])
                    os.kill(int(words[0]), signal.SIGKILL)
            stop.wait(0.005)

    thread = threading.Thread(target=kill_each)
    thread.start()
    try:
        result = run_waiting(tmp_path, sizes)
    finally:
        stop.set()
        thread.join()
    found = attempts(str(tmp_path / "out"))
    kills = [(moment / 1000, worker) for moment in range(150, 60_000, 10) for worker in (0, 1)]
    assert ["captures/S000/day.pcap"] in [row["paths"] for row in result.failed]
    assert names(found)[0, 0] == 4
    foretold = simulate(sizes[:1], [1.0, 1.0], WORK, part_bytes=PART_BYTES, kills=kills)
    assert foretold.given_up == 1
    assert names(foretold.attempts)[0, 0] == 4


def held(tmp_path: Path, sizes: Sequence[int], monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Tell how many tasks may be out beyond one for each worker, as often as that was asked."""
    found = set()
    most_out = engine._Round._most_out

    def asked(its: Any, workers: int) -> int:
        most = most_out(its, workers)
        found.add(most - workers)
        return most

    monkeypatch.setattr(engine._Round, "_most_out", asked)
    assert not run_waiting(tmp_path, sizes).failed
    monkeypatch.undo()
    return found


def test_nothing_is_held_while_the_parts_of_one_recording_decide_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 0 in held(tmp_path / "long", (70 * MB, *[8 * MB] * 5), monkeypatch)
    assert min(held(tmp_path / "even", [8 * MB] * 7, monkeypatch)) > 0
