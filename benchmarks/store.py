"""Time the ready views over 100 million call-seconds, each in a process of its own, beside plain DuckDB.

    python -m benchmarks.store [--million 100] [--sites 200] [--days 30] [--client acme]

The dataset is written by the parts of `fleet run` that write: units with their tables, then what is merged and counted
at the end of a run. Its values are those of the lab's captures (seconds of real streams, in and out of each call), made
wider or narrower by site, call and second. It is kept in ``bench-data/`` for the next time; remove that folder to have
it made anew.

Of every view: time on the clock and of the processors with the opening of the store, and the most memory that its
process ever held. The peer answers the same question with ``quantile_disc`` over the one-second series as the units
wrote it, in the same run; the answers are compared. The bar: 3 s on two processors, 2 GB. A busy machine multiplies the
clock; then the processors' time counts.
"""

# ruff: noqa: S608  (the questions are our own)

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from ccp_assess.fleet.dataset import FORMAT, Dataset, open_dataset
from ccp_assess.fleet.merging import merge_batch, plan_merging, write_index
from ccp_assess.fleet.rows import parts_by_day, table_of_rows, tables_of_captures
from ccp_assess.fleet.schema import arrow_schema
from ccp_assess.fleet.sources import open_place
from ccp_assess.fleet.store import Store

ROOT = Path(__file__).resolve().parent.parent
LAB = ROOT / ".." / "shared" / "captures" / "lab" / "pcap"
POOLS = ("clean", "ext_none", "jitter30_down", "loss1_both", "loss3_down", "reorder3", "burst_down", "outage5")
FIRST_DAY = date(2026, 9, 1).toordinal() - date(1970, 1, 1).toordinal()
MEAN_CALL_S = 180
ROUNDS_PER_DAY = 24
REGIONS = ("eu-west-2", "eu-central-1", "us-east-1")
BAR_S, BAR_MB = 3.0, 2_000
COLUMNS = ("packets", "lost", "late", "bytes", "jitter_10us", "ipdv_10us", "longest_gap_10us")
TRIPS = ("rtt_relay_10us", "rtt_media_10us")

_MEASURED = """
  count(*) as seconds, sum(packets)::bigint as packets, sum(lost)::bigint as lost,
  round(100.0 * sum(lost) / nullif(sum(packets) + sum(lost), 0), 4) as loss_pct,
  round(100.0 * sum(late) / nullif(sum(packets), 0), 4) as late_pct,
  quantile_disc(jitter_10us, 0.5) / 100.0 as jitter_p50_ms, quantile_disc(jitter_10us, 0.95) / 100.0 as jitter_p95_ms,
  quantile_disc(rtt_media_10us, 0.5) / 100.0 as rtt_p50_ms, quantile_disc(rtt_media_10us, 0.95) / 100.0 as rtt_p95_ms,
  count(rtt_media_10us) as rtt_n, quantile_disc(rtt_relay_10us, 0.5) / 100.0 as rtt_relay_p50_ms,
  quantile_disc(rtt_relay_10us, 0.95) / 100.0 as rtt_relay_p95_ms, count(rtt_relay_10us) as rtt_relay_n
"""
"""What the views measure, by the database's own percentiles."""

QUESTIONS = {
    "worst_sites": (
        "select * from worst_sites",
        f"select client, site_id, {_MEASURED} from seconds where direction <> 'out' group by all",
    ),
    "by_hour": (
        "select * from by_hour",
        f"select hour(time) as hour_utc, {_MEASURED} from seconds where direction <> 'out' group by all",
    ),
    "by_provider": (
        "select * from by_provider",
        (
            f"select provider, {_MEASURED} from seconds join sites using (client, site_id) "
            "where direction <> 'out' group by all"
        ),
    ),
    "before_after": (
        "select * from before_after(timestamp '2026-09-15 12:00')",
        (
            "select client, site_id, case when time < timestamp '2026-09-15 12:00' then 'before' else 'after' end "
            f"as period, {_MEASURED} from seconds where direction <> 'out' group by all"
        ),
    ),
    "region_comparison": (
        "select client, site_id, region_code, rounds, rtt_p50_ms, rtt_p95_ms from region_comparison",
        (
            "select client, site_id, region_code, count(*) as rounds, "
            "quantile_disc(rtt_p50_ms, 0.5) as rtt_p50_ms, quantile_disc(rtt_p95_ms, 0.95) as rtt_p95_ms "
            "from probes where region_code is not null group by all"
        ),
    ),
}
"""View → how it is asked, and the peer's question."""


@cache
def pools() -> list[dict[str, dict[str, Any]]]:
    """Read the seconds of real streams: capture → direction → column → values, NaN where unknown."""
    from ccp_assess.assess.captures import assess_captures  # noqa: PLC0415 - its memory is no part of a view's

    found = []
    for name in POOLS:
        table = tables_of_captures(assess_captures([LAB / f"{name}.pcap"], workers=1), "lab", "lab")[
            "seconds"
        ].to_pandas()
        found.append(
            {
                direction: {column: rows[column].to_numpy(np.float64) for column in (*COLUMNS, *TRIPS)}
                for direction, rows in table.groupby("direction")
            }
        )
    return found


def seconds_of_day(site: int, day: int, call_seconds: int) -> dict[str, Any]:
    """Make the streams of one site and day: arrays by column, in order of time."""
    rng = np.random.default_rng([9, site, day])
    of_site = np.random.default_rng([9, site])
    weights, width, distance = (
        of_site.dirichlet(np.full(len(POOLS), 0.5)),
        of_site.lognormal(0, 0.4),
        of_site.lognormal(0, 0.5),
    )
    begins_at = 6 + 3 * (site % 4)
    calls = max(call_seconds // MEAN_CALL_S, 1)
    length = np.maximum(rng.multinomial(call_seconds, rng.dirichlet(np.full(calls, 2.0))), 1)
    start = np.sort(rng.integers(begins_at * 3600, (begins_at + 9) * 3600, calls))
    pool = rng.choice(len(POOLS), calls, p=weights)
    call_width = width * rng.lognormal(0, 0.3, calls)
    call = np.repeat(np.arange(calls), length)
    nth = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    columns: dict[str, list[Any]] = {name: [] for name in (*COLUMNS, *TRIPS, "time_s", "call", "stream")}
    for number, direction in enumerate(("in", "out")):
        values = {name: np.empty(len(call)) for name in (*COLUMNS, *TRIPS)}
        offset = rng.integers(0, 1_000, calls)[call]
        for kind in range(len(POOLS)):
            mine = pool[call] == kind
            of_pool = pools()[kind][direction]
            at = (offset[mine] + nth[mine]) % len(of_pool["packets"])
            for name, column in values.items():
                column[mine] = of_pool[name][at]
        noise = call_width[call] * rng.lognormal(0, 0.25, len(call))
        for name in ("jitter_10us", "ipdv_10us"):
            values[name] = np.rint(values[name] * noise)
        values["bytes"] += rng.integers(-200, 200, len(call))
        for name in TRIPS:
            values[name] = np.rint(values[name] * distance * rng.lognormal(0, 0.05, len(call)))
        for name, column in values.items():
            columns[name].append(column)
        columns["time_s"].append((FIRST_DAY + day) * 86_400 + start[call] + nth)
        columns["call"].append(call)
        columns["stream"].append(2 * call + number)
    whole = {name: np.concatenate(parts) for name, parts in columns.items()}
    order = np.lexsort((whole["stream"], whole["time_s"]))
    return {name: column[order] for name, column in whole.items()} | {"start": start, "length": length, "pool": pool}


def seconds_table(client: str, site: int, made: dict[str, Any]) -> Any:
    """Give them the declared schema."""
    schema = arrow_schema("seconds")
    n = len(made["time_s"])
    calls = len(made["start"])
    columns = {
        "client": pa.repeat(client, n),
        "site_id": pa.repeat(f"S{site:03}", n),
        "day": pa.array((made["time_s"] // 86_400).astype(np.int32)).cast(pa.date32()),
        "time": pa.array(made["time_s"] * 1_000_000).cast(pa.timestamp("us")),
        "call_id": pa.array([call_id(made, call) for call in range(calls)]).take(pa.array(made["call"])),
        "ssrc": pa.array([f"0x{made['start'][k // 2] * 7_919 + k:08x}" for k in range(2 * calls)]).take(
            pa.array(made["stream"])
        ),
        "direction": pa.array(["in", "out"]).take(pa.array(made["stream"] % 2)),
        "region_code": pa.array([REGIONS[site % 3]]).take(pa.array(np.zeros(n, np.int64))),
    }
    for name in (*COLUMNS, *TRIPS):
        unknown = np.isnan(made[name])
        columns[name] = pa.array(np.where(unknown, 0, made[name]).astype(np.int32), mask=unknown)
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)


def call_id(made: dict[str, Any], call: int) -> str:
    return f"{int(made['start'][call]) * 1_000_003 + call:016x}"


def instant(seconds: float) -> str:
    return f"{np.datetime64(int(seconds), 's')}Z"


def write_site(folder: str, client: str, site: int, days: int, call_seconds: int) -> int:
    """Write all units of one site; return the rows of its one-second series."""
    dataset = Dataset(open_place(folder))
    site_id = f"S{site:03}"
    written = 0

    def write(kind: str, key: str, tables: dict[str, Any]) -> None:
        file = {
            "client": client,
            "site_id": site_id,
            "kind": kind,
            "path": f"{kind}/{site_id}/{key}",
            "size": 1,
            "stamp": "1",
        }
        rows = {name: table.num_rows for name, table in tables.items()}
        found = {"rows": rows, "packets": 0, "spans": {}, "limits": [], "set_aside": [], "sha256": {}}
        dataset.write_unit({"key": key, "files": [file]}, parts_by_day(tables), found)

    for day in range(days):
        made = seconds_of_day(site, day, call_seconds)
        table = seconds_table(client, site, made)
        written += table.num_rows
        day_s = (FIRST_DAY + day) * 86_400
        calls = [
            {
                "call_id": call_id(made, n),
                "start_time": instant(day_s + start),
                "end_time": instant(day_s + start + length),
                "duration_ms": 1000.0 * length,
                "outcome": "media",
                "region_code": REGIONS[site % 3],
                "in_mos_cqe": 4.4 - 0.1 * int(made["pool"][n]),
                "findings": "HIGH_LOSS" if made["pool"][n] in (4, 5) else "",
            }
            for n, (start, length) in enumerate(zip(made["start"].tolist(), made["length"].tolist(), strict=True))
        ]
        findings = [
            {
                "time": row["start_time"],
                "call_id": row["call_id"],
                "code": "HIGH_LOSS",
                "severity": "warning",
                "text": "Much was lost.",
                "evidence": "{}",
            }
            for row in calls
            if row["findings"]
        ]
        captures = [{"path": f"{site_id}/{day}.pcap", "packets": 1, "bytes": 1, "first_time": calls[0]["start_time"]}]
        rows = {"calls": calls, "findings": findings, "captures": captures}
        tables = {name: table_of_rows(name, part, client, site_id) for name, part in rows.items()}
        write("captures", f"c{site:05}{day:05}", {"seconds": table, **tables})
    rng = np.random.default_rng([10, site])
    trips = rng.lognormal(np.log(30 + site % 7 * 10), 0.3, (days * ROUNDS_PER_DAY, len(REGIONS)))
    probes = [
        {
            "time": instant(FIRST_DAY * 86_400 + number * 86_400 // ROUNDS_PER_DAY),
            "region_code": region,
            "rtt_p50_ms": round(float(trips[number, k]), 3),
            "rtt_p95_ms": round(float(trips[number, k]) * 1.4, 3),
            "rtt_n": 10,
            "loss_pct": 0.0,
            "jitter_ms": 1.0,
            "source": f"{number}.json",
        }
        for number in range(days * ROUNDS_PER_DAY)
        for k, region in enumerate(REGIONS)
    ]
    write("probes", f"p{site:05}", {"probes": table_of_rows("probes", probes, client, site_id)})
    return written


def make_dataset(folder: Path, *, million: float, sites: int, days: int, client: str) -> None:
    """Make the dataset, with one process for each processor."""
    shutil.rmtree(folder, ignore_errors=True)
    begin = time.monotonic()
    dataset = open_dataset(open_place(str(folder)))
    rows = [
        {"site_id": f"S{n:03}", "name": f"Site {n}", "agents": 50, "provider": f"Network {n % 9}"} for n in range(sites)
    ]
    file = {"client": client, "site_id": "unknown", "kind": "sites", "path": "sites.csv", "size": 1, "stamp": "1"}
    found = {"rows": {"sites": sites}, "packets": 0, "spans": {}, "limits": [], "set_aside": [], "sha256": {}}
    parts = parts_by_day({"sites": table_of_rows("sites", rows, client, "unknown")})
    dataset.write_unit({"key": "s", "files": [file]}, parts, found)
    call_seconds = round(million * 1e6 / sites / days)
    with ProcessPoolExecutor(os.cpu_count()) as processes:
        jobs = [processes.submit(write_site, str(folder), client, site, days, call_seconds) for site in range(sites)]
        count = sum(job.result() for job in jobs)
    told = {"rows": count, "written_s": time.monotonic() - begin}
    (folder / "made.json").write_text(json.dumps(told))


def merge(folder: Path) -> dict[str, Any]:
    """Merge and count what is not yet, with one process for each processor; return what it took and gave."""
    dataset = Dataset(open_place(str(folder)))
    begin, used = time.monotonic(), used_by(resource.RUSAGE_CHILDREN)
    records = dataset.units()
    merging = plan_merging(dataset, records.values())
    if merging.pending:
        with ProcessPoolExecutor(os.cpu_count()) as processes:
            merged = [processes.submit(merge_batch, batch.to_document(), str(folder)) for batch in merging.pending]
            write_index(dataset, records.values(), [*merging.kept, *(job.result() for job in merged)])
    made = json.loads((folder / "made.json").read_text())
    if merging.pending:
        made |= {"merged_s": time.monotonic() - begin, "merged_cpu_s": used_by(resource.RUSAGE_CHILDREN) - used}
        made |= {"units": len(records), "parts": sum(len(record["parts"]) for record in records.values())}
        made["bytes"] = {
            name: sum(path.stat().st_size for path in (folder / name).rglob("*.parquet"))
            for name in ("seconds", "merged/seconds", "merged/site_counts", "merged/site_steps", "merged/hour_counts")
        }
        (folder / "made.json").write_text(json.dumps(made))
    return made


def used_by(who: int) -> float:
    """Return the time of the processors that a process used, or the children that it waited for [s]."""
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def ask(folder: Path, view: str, who: str) -> None:
    """Answer one question in this process and print what it took."""
    begin, used = time.monotonic(), used_by(resource.RUSAGE_SELF)
    if who == "ours":
        with Store(str(folder), threads=2) as store:
            opened = time.monotonic()
            answer = store.ask(QUESTIONS[view][0])
            rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
            ended = time.monotonic()
    else:
        connection = duckdb.connect(config={"threads": 2})
        for table in ("seconds", "probes", "sites"):
            connection.execute(
                f"create view {table} as from read_parquet('{folder}/{table}/**/*.parquet', hive_partitioning = false)"
            )
        opened = time.monotonic()
        answered = connection.execute(QUESTIONS[view][1])
        names = [entry[0] for entry in answered.description]
        rows = [dict(zip(names, row, strict=True)) for row in answered.fetchall()]
        ended = time.monotonic()
    told = {
        "open_s": opened - begin,
        "wall_s": ended - begin,
        "cpu_s": used_by(resource.RUSAGE_SELF) - used,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "rows": sorted(json.dumps(row, sort_keys=True, default=str) for row in rows),
    }
    print(json.dumps(told))


def in_its_own_process(folder: Path, view: str, who: str, repeats: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.store", "--ask", view, "--who", who, "--folder", str(folder)]
    runs = [
        json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
        for _ in range(repeats)
    ]
    best = min(runs, key=lambda run: run["wall_s"])
    return best | {"megabytes": max(run["megabytes"] for run in runs)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--million", type=float, default=100, help="call-seconds; each has a row in and a row out")
    parser.add_argument("--sites", type=int, default=200)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--ask", choices=QUESTIONS, help=argparse.SUPPRESS)
    parser.add_argument("--who", choices=("ours", "peer"), default="ours", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.ask:
        ask(chosen.folder, chosen.ask, chosen.who)
        return
    name = f"store-{chosen.million:g}m-{chosen.sites}x{chosen.days}-format{FORMAT}"
    folder = chosen.folder or ROOT / "bench-data" / name
    print(f"load before the start: {os.getloadavg()[0]:.2f} on {os.cpu_count()} processors")
    kept = folder / "made.json"
    if not kept.exists():
        make_dataset(folder, million=chosen.million, sites=chosen.sites, days=chosen.days, client="acme")
    made = merge(folder)
    sizes = ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in made["bytes"].items())
    print(
        f"{made['rows'] / 2e6:.0f} million call-seconds, {made['rows'] / 1e6:.0f} million rows in "
        f"{made['units']} units, {made['parts']} parts: written in {made['written_s']:.0f} s, "
        f"merged and counted in {made['merged_s']:.0f} s, "
        f"{made['merged_cpu_s']:.0f} s of the processors\n{sizes}"
    )
    print(f"{'view':20}{'open s':>8}{'whole s':>9}{'cpu s':>8}{'MB':>7}   peer s   cpu s     MB   times   same answer")
    missed = []
    for view in QUESTIONS:
        ours = in_its_own_process(folder, view, "ours", chosen.repeats)
        line = f"{view:20}{ours['open_s']:8.2f}{ours['wall_s']:9.2f}{ours['cpu_s']:8.2f}{ours['megabytes']:7.0f}"
        if not chosen.no_peer:
            peer = in_its_own_process(folder, view, "peer", 1)
            same = [json.loads(row) for row in ours["rows"]] == [json.loads(row) for row in peer["rows"]]
            line += (
                f"{peer['wall_s']:9.1f}{peer['cpu_s']:8.1f}{peer['megabytes']:7.0f}"
                f"{peer['cpu_s'] / ours['cpu_s']:8.1f}   {'yes' if same else 'NO'}"
            )
            if not same:
                missed.append(f"{view}: another answer than the peer's")
        print(line, flush=True)
        if ours["wall_s"] > BAR_S or ours["megabytes"] > BAR_MB:
            missed.append(f"{view}: {ours['wall_s']:.2f} s, {ours['megabytes']:.0f} MB")
    print("the bar (3 s, 2 GB) " + ("is held" if not missed else "is MISSED: " + "; ".join(missed)))
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
