"""Measure the ways of a plan on the bench (the package ``bench_wan``) and keep what the tools print.

python tools/wan_bench.py PLAN.toml --out FOLDER [--site ID]... [--region CODE]...
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench_wan import Bench, missing_for_bench, read_plan, truth_of


def measure(bench: Bench, site_id: str, region_code: str, out: Path) -> list[Path]:
    """Run a site's commands towards a Region and keep what the tools print."""
    written = []
    target = bench.plan.regions[region_code][0]
    for suffix, command in bench.plan.commands[site_id].items():
        words = command.format(target=target).split()
        done = bench.run(words, site_id)
        if done.returncode or not done.stdout.strip():
            raise RuntimeError(f"{' '.join(words)} at {site_id}: {done.stderr.strip() or 'no output'}")
        shown = "" if suffix.endswith((".json", ".csv")) else f"$ {' '.join(words)}\n"
        path = out / site_id / f"bench__{region_code}__{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(shown + done.stdout, encoding="utf-8")
        written.append(path)
    return written


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all ways of a plan with the tools that it names, or run one program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("plan", type=Path)
    parser.add_argument("--out", type=Path, help="folder for what the plan's commands print")
    parser.add_argument("--at", nargs=argparse.REMAINDER, help="SITE COMMAND...: run a program at a site instead")
    parser.add_argument("--site", action="append", help="measure from these sites only")
    parser.add_argument("--region", action="append", help="measure towards these Regions only")
    parser.add_argument("--parallel", type=int, default=4)
    chosen = parser.parse_args(arguments)
    lacking = missing_for_bench()
    if lacking:
        print(lacking, file=sys.stderr)
        return 1
    plan = read_plan(chosen.plan)
    if chosen.at is not None:
        site, *command = chosen.at or [""]
        if site not in plan.sites or not command:
            parser.error(f"give one of the sites {', '.join(plan.sites)}, and a command")
        with Bench(plan) as bench:
            return bench.start(command, site).wait()
    if chosen.out is None:
        parser.error("give --out FOLDER, or --at SITE COMMAND")
    wanted = [
        (site, code)
        for site, code in plan.ways
        if (not chosen.site or site in chosen.site) and (not chosen.region or code in chosen.region)
    ]
    with Bench(plan) as bench, ThreadPoolExecutor(chosen.parallel) as pool:
        for paths in pool.map(lambda pair: measure(bench, *pair, chosen.out), wanted):
            for path in paths:
                print(path)
        counts = bench.counts()
    print(json.dumps({"packets": counts}), file=sys.stderr)
    (chosen.out.parent / "bench-truth.json").write_text(json.dumps(truth_of(plan), indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
