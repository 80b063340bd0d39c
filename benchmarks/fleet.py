"""Many captures: two workers over one, and a unit with its Parquet over the plain reader; ratios of one run.

python benchmarks/fleet.py [MEGABYTES]
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from distributed import LocalCluster

from ccp_assess.assess.captures import assess_captures
from ccp_assess.fleet.cluster import Engine
from ccp_assess.fleet.dataset import open_dataset
from ccp_assess.fleet.plan import make_plan
from ccp_assess.fleet.run import run_fleet
from ccp_assess.fleet.sources import open_place
from ccp_assess.fleet.work import do_unit

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "fleet"))
from fleet_sources import shifted

UNITS = 8


def make_source(root: Path, megabytes: int) -> list[Path]:
    """Write one capture for each of some sites, made of a real one again and again."""
    paths = []
    once = shifted("three_agents.pcap")
    copies = max(megabytes * 1_000_000 // UNITS // len(once), 1)
    data = [shifted("three_agents.pcap", seconds=60 * number, host=number % 200)[24:] for number in range(copies)]
    for unit in range(UNITS):
        path = root / "captures" / f"S{unit}" / "a.pcap"
        path.parent.mkdir(parents=True)
        path.write_bytes(once[:24] + b"".join(data))
        paths.append(path)
    return paths


def timed(work: Callable[[], object], clock: Callable[[], float]) -> float:
    begin = clock()
    work()
    return clock() - begin


def main() -> None:
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "acme"
        paths = make_source(source, megabytes)
        total = sum(path.stat().st_size for path in paths) / 1e6
        walls = {}
        for workers in (1, 2):
            with LocalCluster(
                n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
            ) as cluster:
                engine = Engine(scheduler=cluster.scheduler_address)
                run_fleet(str(source), f"{folder}/warm{workers}", engine)
                begin = time.monotonic()
                run_fleet(str(source), f"{folder}/out{workers}", engine)
                walls[workers] = time.monotonic() - begin
            print(f"{workers} workers: {total:.0f} MB in {walls[workers]:.2f} s")
        print(f"2 workers over 1: {walls[1] / walls[2]:.2f} times")
        plan = make_plan(open_place(str(source)), open_dataset(open_place(f"{folder}/one")), {})
        unit = plan.units[0].to_document()
        plain = min(timed(lambda: assess_captures(paths[:1], workers=1), time.process_time) for _ in range(3))
        whole = min(timed(lambda: do_unit(unit, str(source), f"{folder}/one"), time.process_time) for _ in range(3))
        print(f"a unit over the plain reader: {100 * (whole / plain - 1):+.1f} % processor time")


if __name__ == "__main__":
    main()
