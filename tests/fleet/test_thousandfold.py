"""A thousand real captures of two hundred sites, killed workers and a source that changes meanwhile."""

import os
import random
import signal
import threading
from pathlib import Path

import pytest
from fleet_sources import DAY_S, local_scheduler, shifted, touch_apart, tree, worker_processes

from ccp_assess.fleet.cluster import Engine
from ccp_assess.fleet.dataset import Dataset
from ccp_assess.fleet.run import FleetResult, run_fleet
from ccp_assess.fleet.sources import open_place

pytestmark = [pytest.mark.shared, pytest.mark.long]
SITES, DAYS = 200, 5


def run(source: Path, out: Path) -> FleetResult:
    return run_fleet(str(source), str(out), Engine(scheduler=local_scheduler()))


def test_a_thousand_captures_come_out_whole_whatever_happens_on_the_way(tmp_path: Path) -> None:
    source, out = tmp_path / "acme", tmp_path / "out"
    names = ("fail_auth.pcap", "fail_udp_drop.pcap")
    for site in range(SITES):
        folder = source / "captures" / f"S{site:03}"
        folder.mkdir(parents=True)
        for day in range(DAYS):
            data = shifted(names[(site + day) % 2], seconds=day * DAY_S + 60 * site, host=site)
            (folder / f"day{day}.pcap").write_bytes(data)
    chance = random.Random(11)
    stop = threading.Event()
    disturbed = {"killed": 0, "changed": 0}

    def disturb() -> None:
        """Kill a worker, change a file, bring a new one and take one away, again and again."""
        while not stop.wait(chance.uniform(1.0, 4.0)) and disturbed["changed"] < 12:
            number = disturbed["changed"]
            changed = source / "captures" / f"S{chance.randrange(100):03}" / "day0.pcap"
            changed.write_bytes(shifted("dtmf.pcap", seconds=40 * DAY_S + number, host=201))
            touch_apart(changed)
            (source / "captures" / "S150" / f"new{number}.pcap").write_bytes(
                shifted("fail_auth.pcap", seconds=(60 + number) * DAY_S, host=202)
            )
            (source / "captures" / f"S{160 + number}" / "day4.pcap").unlink()
            disturbed["changed"] += 1
            try:
                os.kill(chance.choice(worker_processes()), signal.SIGKILL)
                disturbed["killed"] += 1
            except (OSError, IndexError):
                continue

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        run(source, out)
    finally:
        stop.set()
        thread.join()
    result = run(source, out)
    assert result.failed == ()
    assert disturbed["killed"] >= 1
    assert disturbed["changed"] >= 1
    assert result.manifest["files"] == SITES * DAYS
    assert Dataset(open_place(str(out))).check() == []
    run(source, tmp_path / "calm")
    assert tree(out) == tree(tmp_path / "calm")
