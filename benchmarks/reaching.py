"""Hold one whole round of reaching against its bars, on the bench (network namespaces, needs root).

    python -m benchmarks.reaching

Thirteen Regions by their real names, at up to 100 ms, each with a relay and a TLS server with WebSocket. Times are of
the measuring itself, medians of five; starting the process is shown beside. The bench is an emulator in Python on the
same cores, so its lateness is part of every time.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "probe")]

from bench_wan import Bench, bench, missing_for_bench  # noqa: E402 -- it stands among the tools

from ccp_assess.probe.targets import offered_regions  # noqa: E402 -- after the tools' path

REPEAT = 5
CODES = (*offered_regions(), "ap-south-1")
SCENARIOS, SIMULATOR_S = 1000, 60.0
SLACK_MS, BLOCKED_MS, QUICK_MS = 300.0, 2500.0, 3000.0


def plan() -> dict[str, Any]:
    """Thirteen Regions of eight to twelve hops; offices that let all pass, nothing, or all but UDP."""
    regions = {code: {"addresses": [f"15.193.{number}.20", f"15.193.{number}.21"]} for number, code in enumerate(CODES)}
    ways = {code: {"rtt_ms": 100 - 5 * number, "hops": 8 + number % 5} for number, code in enumerate(CODES)}
    dropped = {"udp/3478": "drop", "tcp/443": "drop", "tcp/80": "drop"}
    sites = {
        "well": {"address": "198.18.0.2", "ways": ways},
        "blocked": {"address": "198.18.0.3", "ways": ways, "office": {"blocked": dropped}},
        "no udp": {"address": "198.18.0.4", "ways": ways, "office": {"blocked": {"udp/3478": "drop"}}},
    }
    return {"seed": 1, "regions": regions, "sites": sites}


def measured(running: Bench, site: str) -> tuple[float, dict[str, Any]]:
    """Run one quick round; return its wall time with the process [ms] and its document."""
    regions = [part for code in CODES for part in ("--region", code)]
    begin = time.perf_counter()
    done = running.run([sys.executable, "-m", "ccp_assess", "probe", "--quick", "--json", *regions], site, timeout_s=60)
    wall_ms = (time.perf_counter() - begin) * 1000.0
    if done.returncode:
        raise SystemExit(done.stderr)
    return wall_ms, json.loads(done.stdout)


def median(values: list[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def simulate() -> None:
    """Play a thousand scenarios over the whole list of diagnoses in virtual time."""
    from diagnosis_scenarios import play  # noqa: PLC0415 -- it needs what tests need

    begin, begin_cpu = time.perf_counter(), time.process_time()
    wrong = [problem for seed in range(SCENARIOS) for problem in play(seed)]
    wall_s, cpu_s = time.perf_counter() - begin, time.process_time() - begin_cpu
    print(f"{SCENARIOS} scenarios in virtual time: {wall_s:.1f} s ({cpu_s:.1f} s of processor), {len(wrong)} wrong")
    print(f"  bar: {SIMULATOR_S:.0f} s, none wrong {'met' if wall_s <= SIMULATOR_S and not wrong else 'NOT MET'}")


def main() -> None:
    """Measure and print one line for each bar."""
    simulate()
    lacking = missing_for_bench()
    if lacking:
        raise SystemExit(f"not measured: {lacking}")
    print(f"{len(CODES)} Regions, medians of {REPEAT}")
    with bench(plan()) as running:
        measured(running, "well")  # so that files are warm
        for site in ("well", "no udp", "blocked"):
            rounds = [measured(running, site) for _ in range(REPEAT)]
            documents = [document for _, document in rounds]
            reach_ms = median([document["duration_ms"] for document in documents])
            total_ms = median([document["total_ms"] for document in documents])
            start_ms = median([wall_ms - document["total_ms"] for wall_ms, document in rounds])
            print(f"{site}: reach {reach_ms:.0f} ms, with paths {total_ms:.0f} ms, process beside {start_ms:.0f} ms")
            regions = [region for document in documents for region in document["regions"]]
            print(f"  said: {sorted({row['code'] for region in regions for row in region['diagnosis']})}")
            if site == "well":
                bars = [_bar_ms(document) for document in documents]
                print(f"  bar of reaching: {median(bars):.0f} ms {_verdict(reach_ms, median(bars))}")
                print(f"  bar with paths: {QUICK_MS:.0f} ms {_verdict(total_ms, QUICK_MS)}")
            else:
                print(f"  bar of reaching: {BLOCKED_MS:.0f} ms {_verdict(reach_ms, BLOCKED_MS)}")


def _bar_ms(document: dict[str, Any]) -> float:
    """Three largest round trips, one of the resolver, and 0.3 s; of the Region's own fastest answers."""
    largest_ms = max(min(region["rtt_ms"]) for region in document["regions"] if region["rtt_ms"])
    resolver_ms = min(
        row["response_ms"] for region in document["regions"] for row in region["dns"] if row["response_ms"]
    )
    return 3.0 * largest_ms + float(resolver_ms) + SLACK_MS


def _verdict(found_ms: float, bar_ms: float) -> str:
    return "met" if found_ms <= bar_ms else "NOT MET"


if __name__ == "__main__":
    main()
