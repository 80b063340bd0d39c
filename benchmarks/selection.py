"""Time the ranking of Regions against the bars of its issue, each first run in a process of its own.

    python -m benchmarks.selection

Ten thousand sites, 500 origins, 100 targets, all Regions and 2,000 draws: 5 s and 1 GB, imports included. All
combinations of up to three instances for the sample client: 5 s. A slider's move for the sample client (a new ranking
with its simulation, and the document): 150 ms. Times are the best of the repeats; the load before the start is printed,
since a busy machine multiplies them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

LARGE = """
import time
begin = time.perf_counter()
import json, resource
import numpy as np
from ccp_assess.selection.ranking import rank
from ccp_assess.sites import CallerOrigin, Site, TransferTarget

rng = np.random.default_rng(5)
countries = ["US", "DE", "GB", "IN", "PH", "BR", "ZA", "JP", "AU", "CA", "FR", "ES"]

def place(i):
    latitude, longitude = float(rng.uniform(-40, 60)), float(rng.uniform(-120, 140))
    return {"latitude": latitude, "longitude": longitude, "country": countries[i % 12]}

access = ("office", "home", "vpn")
sites = [Site(site_id=f"s{i}", name=f"s{i}", agents=int(rng.integers(1, 50)), access=access[i % 3], **place(i))
         for i in range(10_000)]
origins = [CallerOrigin(origin_id=f"o{i}", call_share_pct=100 / 500, **place(i)) for i in range(500)]
targets = [TransferTarget(target_id=f"t{i}", share_of_calls_pct=20 / 100, circular=i % 4 == 0, **place(i))
           for i in range(100)]
rank(sites, origins, targets).to_document()
print(json.dumps({"seconds": time.perf_counter() - begin, "cpu": time.process_time(),
                  "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""
INSTANCES = """
import time
begin = time.perf_counter()
import json, resource
from ccp_assess.assess.region_ranking import rank_client
rank_client("data/sample", instances=3, captures=False)[0].to_document()
print(json.dumps({"seconds": time.perf_counter() - begin, "cpu": time.process_time(),
                  "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""
SLIDER = """
import json, resource, time
from ccp_assess.assess.region_ranking import rank_client
from ccp_assess.selection.options import Weights
from ccp_assess.selection.ranking import rank_prepared
first, _ = rank_client("data/sample", captures=False)
first.to_document()
taken, used = [], []
for move in range(8):
    begin, cpu = time.perf_counter(), time.process_time()
    again = rank_prepared(first.prepared, weights=Weights(agents=1.0 + move / 10))
    again.probabilities, again.sentences
    taken.append(time.perf_counter() - begin)
    used.append(time.process_time() - cpu)
print(json.dumps({"seconds": min(taken), "cpu": min(used),
                  "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""
BARS = (
    ("10,000 sites x 500 origins x 100 targets x 2,000 draws", LARGE, 5.0),
    ("the sample client, up to 3 instances", INSTANCES, 5.0),
    ("a slider's move for the sample client", SLIDER, 0.15),
)


def run(script: str, repeat: int) -> dict[str, float]:
    """Run a script several times, each in a new process; the least disturbed run counts."""
    results = []
    for _ in range(repeat):
        done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
        results.append(json.loads(done.stdout))
    return min(results, key=lambda result: result["seconds"])


def main() -> None:
    """Print one line for each bar."""
    parser = argparse.ArgumentParser(description="Time the ranking of Regions.")
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} before the start")
    print(f"{'':58}{'wall s':>9}{'CPU s':>9}{'MB':>7}{'bar s':>8}")
    for name, script, bar in BARS:
        row = run(script, options.repeat)
        print(f"{name:58}{row['seconds']:9.3f}{row['cpu']:9.3f}{row['megabytes']:7.0f}{bar:8.2f}")


if __name__ == "__main__":
    main()
