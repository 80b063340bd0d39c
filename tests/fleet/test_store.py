"""Questions to the dataset: exact answers, and no way out of it."""

import json
import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fleet_sources import DAY_S, local_scheduler, make_source, shifted

from ccp_assess.errors import CcpAssessError
from ccp_assess.fleet.cluster import Engine
from ccp_assess.fleet.run import run_fleet
from ccp_assess.fleet.store import Store

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    source = make_source(folder / "acme")
    late = shifted("jitter30_down.pcap", seconds=DAY_S + 5 * 3600)
    (source / "captures" / "S1" / "evening.pcap").write_bytes(late)
    probes = source / "probes" / "S0"
    probes.mkdir(parents=True)
    for number, rtts in enumerate(([30.0, 31.0, 90.0], [29.0])):
        document = {
            "site_id": "S0",
            "tool": "ccp-assess",
            "time": f"2026-11-23T1{number}:00:00Z",
            "regions": [
                {"region_code": "eu-west-2", "rtt_ms": rtts, "train": {"loss_pct": 0.5, "jitter_ms": 1.25}},
                {"region_code": "us-east-1", "rtt_ms": [120.0 + number]},
                {"region_code": "us-west-2", "rtt_ms": []},
            ],
        }
        (probes / f"{number}.json").write_text(json.dumps(document))
    run_fleet(str(source), str(folder / "out"), Engine(scheduler=local_scheduler()))
    return folder / "out"


@pytest.fixture
def store(out: Path) -> Iterator[Store]:
    with Store(str(out), threads=1) as opened:
        yield opened


def nearest_rank(values: list[int], share: float) -> float | None:
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)] / 100.0 if ordered else None


def expected(rows: list[dict[str, Any]], key: Any) -> dict[Any, dict[str, Any]]:
    """The same numbers by plain sorting."""
    groups: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["direction"] != "out":
            groups[key(row)].append(row)
    answer = {}
    for name, members in groups.items():
        jitters = [row["jitter_10us"] for row in members if row["jitter_10us"] is not None]
        trips = [row["rtt_media_10us"] for row in members if row["rtt_media_10us"] is not None]
        packets, lost = sum(row["packets"] for row in members), sum(row["lost"] for row in members)
        answer[name] = {
            "seconds": len(members),
            "packets": packets,
            "lost": lost,
            "loss_pct": round(100 * lost / (packets + lost), 4),
            "jitter_p50_ms": nearest_rank(jitters, 0.5),
            "jitter_p95_ms": nearest_rank(jitters, 0.95),
            "rtt_p50_ms": nearest_rank(trips, 0.5),
            "rtt_p95_ms": nearest_rank(trips, 0.95),
        }
    return answer


@pytest.mark.parametrize(
    ("view", "names", "key"),
    [
        ("worst_sites", ("client", "site_id"), lambda row: (row["client"], row["site_id"])),
        ("by_hour", ("hour_utc",), lambda row: (row["time"].hour,)),
        ("by_provider", ("provider",), lambda row: ("Net" + row["site_id"][1:],)),
        (
            "before_after(timestamp '2026-11-24')",
            ("site_id", "period"),
            lambda row: (row["site_id"], "before" if row["time"].day < 24 else "after"),
        ),
    ],
)
def test_ready_views_equal_sorting_all_values(store: Store, view: str, names: tuple[str, ...], key: Any) -> None:
    answer = store.ask(f"select * from {view}").to_rows()  # noqa: S608
    truth = expected(store.ask("select * from seconds").to_rows(), key)
    assert len(answer) == len(truth) >= 2
    for row in answer:
        numbers = truth[tuple(row[name] for name in names)]
        assert {name: row[name] for name in numbers} == numbers


def test_the_worst_site_stands_first(store: Store) -> None:
    rows = store.ask("select * from worst_sites").to_rows()
    badness = [row["loss_pct"] + row["late_pct"] for row in rows]
    assert badness == sorted(badness, reverse=True)


def test_regions_are_compared_by_the_probes_of_a_site(store: Store) -> None:
    rows = store.ask("select region_code, rounds, rtt_p50_ms, rank from region_comparison").rows
    assert rows == (("eu-west-2", 2, 29.0, 1), ("us-east-1", 2, 120.0, 2), ("us-west-2", 2, None, None))


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_csv('/etc/hostname')",
        "select * from read_parquet('/tmp/**/*.parquet')",
        "copy (select 1) to '/tmp/x.csv'",
        "create table t as select 1",
        "drop view seconds",
        "set enable_external_access = true",
        "attach '/tmp/a.db'",
        "install httpfs",
        "select 1; select 2",
        "selct",
        "",
    ],
)
def test_a_store_is_only_read_and_nothing_else_is(store: Store, sql: str) -> None:
    with pytest.raises(CcpAssessError) as caught:
        store.ask(sql)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_dataset_is_told(tmp_path: Path) -> None:
    with pytest.raises(CcpAssessError, match="there is no dataset"):
        Store(str(tmp_path))
