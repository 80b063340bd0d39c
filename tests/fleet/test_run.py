"""A run on two real workers: the answer of one process, kept, mended and told."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from fleet_sources import cut_in_files, local_scheduler, make_source, shifted, touch_apart, tree

from ccp_assess.assess.captures import assess_captures
from ccp_assess.errors import CcpAssessError
from ccp_assess.fleet import cluster, lease
from ccp_assess.fleet.cluster import Engine, check_address
from ccp_assess.fleet.dataset import Dataset
from ccp_assess.fleet.lease import Lease
from ccp_assess.fleet.rows import tables_of_captures
from ccp_assess.fleet.run import FleetResult, run_fleet
from ccp_assess.fleet.schema import arrow_schema
from ccp_assess.fleet.sources import open_place
from ccp_assess.fleet.store import Store

pytestmark = pytest.mark.shared


def run(source: Path, out: Path) -> FleetResult:
    return run_fleet(str(source), str(out), Engine(scheduler=local_scheduler()))


def rows(out: Path, table: str, order: str) -> list[dict[str, Any]]:
    with Store(str(out), threads=1) as store:
        return store.ask(f"select * from {table} order by {order}").to_rows()  # noqa: S608


def one_process(paths: list[Path], root: Path) -> dict[str, list[dict[str, Any]]]:
    """The tables as one process over all files gives them, without what names the file."""
    tables = tables_of_captures(assess_captures(paths, workers=1), "acme", "S0", root=f"{root}/")
    return {name: table.to_pylist() for name, table in tables.items()}


def test_units_give_what_one_process_over_all_files_gives(tmp_path: Path) -> None:
    source = make_source(tmp_path / "acme", sites=1, days=3)
    folder = source / "captures" / "S0"
    pieces = cut_in_files((folder / "day1.pcap").read_bytes(), 3)  # rotated in the middle of a call
    (folder / "day1.pcap").unlink()
    for number, data in enumerate(pieces):
        (folder / f"day1-{number}.pcap").write_bytes(data)
    result = run(source, tmp_path / "out")
    assert result.manifest["units"] == 4  # three days, and the table of sites
    whole = one_process(sorted(folder.glob("*.pcap")), source)
    streams = rows(tmp_path / "out", "streams", "first_time, src, src_port, ssrc")
    key = ("first_time", "src", "src_port", "ssrc")
    assert streams == sorted(whole["streams"], key=lambda row: tuple(row[name] for name in key))
    assert len(streams) >= 6
    seconds = rows(tmp_path / "out", "seconds", "time, call_id, ssrc, direction")
    key = ("time", "call_id", "ssrc", "direction")
    assert seconds == sorted(whole["seconds"], key=lambda row: tuple(row[name] for name in key))
    calls = rows(tmp_path / "out", "calls", "start_time")
    assert calls == whole["calls"]


def test_a_second_run_does_nothing_and_changes_nothing(tmp_path: Path) -> None:
    source = make_source(tmp_path / "acme")
    first = run(source, tmp_path / "out")
    before = tree(tmp_path / "out")
    second = run(source, tmp_path / "out")
    assert (first.done, first.kept, second.done, second.kept) == (5, 0, 0, 5)
    assert tree(tmp_path / "out") == before
    assert Dataset(open_place(str(tmp_path / "out"))).check() == []


def test_every_file_of_a_dataset_has_the_declared_columns_and_types(tmp_path: Path) -> None:
    run(make_source(tmp_path / "acme"), tmp_path / "out")
    files = sorted((tmp_path / "out").rglob("*.parquet"))
    tables = [path.relative_to(tmp_path / "out").parts for path in files]
    names = [parts[1] if parts[0] == "merged" else parts[0] for parts in tables]
    assert {"calls", "seconds", "site_counts", "hour_counts"} <= set(names)
    for name, path in zip(names, files, strict=True):
        assert pq.ParquetFile(path).schema_arrow.equals(arrow_schema(name)), path


def test_a_changed_file_is_done_again_and_a_removed_one_leaves_nothing(tmp_path: Path) -> None:
    source = make_source(tmp_path / "acme")
    run(source, tmp_path / "out")
    changed = source / "captures" / "S0" / "day0.pcap"
    changed.write_bytes(shifted("clean.pcap", host=3))
    touch_apart(changed)
    (source / "captures" / "S1" / "day1.pcap").unlink()
    result = run(source, tmp_path / "out")
    assert (result.done, result.kept) == (1, 3)
    fresh = run(source, tmp_path / "fresh")
    assert tree(tmp_path / "out") == tree(tmp_path / "fresh")
    assert fresh.manifest["files"] == 4


def test_poisoned_files_are_set_aside_with_their_reason_and_the_rest_goes_on(tmp_path: Path) -> None:
    source = make_source(tmp_path / "acme", sites=1, days=1)
    folder = source / "captures" / "S0"
    (folder / "notes.pcap").write_text("not a capture at all\n")
    (folder / "empty.pcap").write_bytes(b"")
    (folder / "half.pcap").write_bytes((folder / "day0.pcap").read_bytes()[:50_001])
    (source / "probes" / "S0").mkdir(parents=True)
    (source / "probes" / "S0" / "x.json").write_text('{"no": "probe"}')
    result = run(source, tmp_path / "out")
    aside = {row["path"]: row["reason"] for row in result.manifest["set_aside"]}
    assert set(aside) == {"captures/S0/notes.pcap", "captures/S0/empty.pcap", "probes/S0/x.json"}
    assert "text file" in aside["captures/S0/notes.pcap"]
    assert all(str(tmp_path) not in reason for reason in aside.values())
    assert result.manifest["rows"]["calls"] >= 1
    ended = rows(tmp_path / "out", "captures", "path")
    assert [row["path"] for row in ended if row["ended_early"]] == ["captures/S0/half.pcap"]


def test_daily_files_that_touch_are_found_out_and_joined(tmp_path: Path) -> None:
    """A call runs over two files whose beginnings are hours apart: only reading tells that there is no silence."""
    source = make_source(tmp_path / "acme", sites=1, days=1)
    folder = source / "captures" / "S0"
    early, late = cut_in_files((folder / "day0.pcap").read_bytes(), 2)
    long_before = shifted("fail_auth.pcap", seconds=-5 * 3600, host=5)
    (folder / "day0.pcap").unlink()
    (folder / "a.pcap").write_bytes(long_before + early[24:])
    (folder / "b.pcap").write_bytes(late)
    result = run(source, tmp_path / "out")
    assert result.manifest["units"] == 2
    whole = one_process([folder / "a.pcap", folder / "b.pcap"], source)
    assert rows(tmp_path / "out", "calls", "start_time") == whole["calls"]
    before = tree(tmp_path / "out")
    assert run(source, tmp_path / "out").done == 0
    assert tree(tmp_path / "out") == before


def test_one_stream_over_a_long_pause_of_the_recorder_is_joined_and_stays_so(tmp_path: Path) -> None:
    source = make_source(tmp_path / "acme", sites=1, days=1)
    folder = source / "captures" / "S0"
    early, _ = cut_in_files((folder / "day0.pcap").read_bytes(), 2)
    (folder / "day0.pcap").write_bytes(early)
    (folder / "later.pcap").write_bytes(shifted("ext_none.pcap", seconds=9 * 3600))
    result = run(source, tmp_path / "out")
    assert result.manifest["units"] == 2
    whole = one_process([folder / "day0.pcap", folder / "later.pcap"], source)
    assert rows(tmp_path / "out", "calls", "start_time, call_id") == sorted(
        whole["calls"], key=lambda row: (row["start_time"], row["call_id"])
    )
    assert run(source, tmp_path / "out").done == 0


def test_names_from_outside_cannot_leave_the_dataset(tmp_path: Path) -> None:
    source = make_source(tmp_path / "acme", sites=1, days=1)
    (source / "captures" / "S0").rename(source / "captures" / "a'b=%2e..c")
    run(source, tmp_path / "out")
    assert rows(tmp_path / "out", "calls", "start_time")[0]["site_id"] == "a'b=%2e..c"


def test_two_runs_at_once_on_one_destination_are_told_apart(tmp_path: Path) -> None:
    source = make_source(tmp_path / "acme", sites=1, days=1)
    dataset = Dataset(open_place(str(tmp_path / "out")))
    with Lease(dataset), pytest.raises(CcpAssessError, match="another run is at work"):
        run(source, tmp_path / "out")
    run(source, tmp_path / "out")
    assert not (tmp_path / "out" / "run.lease").exists()


def test_a_lease_left_by_a_killed_run_is_taken_over_whatever_its_clock_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "PATIENCE_S", 1.0)
    source = make_source(tmp_path / "acme", sites=1, days=1)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "run.lease").write_text(json.dumps({"run": "gone", "count": 7}))
    touch_apart(tmp_path / "out" / "run.lease")
    assert run(source, tmp_path / "out").done == 2


def test_damage_is_found_by_check(tmp_path: Path) -> None:
    source = make_source(tmp_path / "acme", sites=1, days=1)
    run(source, tmp_path / "out")
    dataset = Dataset(open_place(str(tmp_path / "out")))
    part = next((tmp_path / "out" / "calls").rglob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-1])
    assert any("is not what was written" in problem for problem in dataset.check())
    part.unlink()
    assert any("is missing" in problem for problem in dataset.check())


def test_a_destination_inside_the_source_is_refused(tmp_path: Path) -> None:
    source = make_source(tmp_path / "acme", sites=1, days=1)
    with pytest.raises(CcpAssessError, match="lies inside"):
        run(source, source / "out")


def test_a_source_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CcpAssessError, match="no such folder"):
        run(tmp_path / "nowhere", tmp_path / "out")


@pytest.mark.parametrize("address", ["tls://scheduler.example:8786", "tcp://127.0.0.1:8786", "tcp://localhost:1"])
def test_a_safe_scheduler_is_accepted(address: str) -> None:
    check_address(address, insecure=False)


@pytest.mark.parametrize("address", ["tcp://10.0.0.1:8786", "tcp://scheduler.example:8786", "http://a", "nonsense"])
def test_a_scheduler_in_the_clear_on_another_machine_is_refused(address: str) -> None:
    with pytest.raises(CcpAssessError, match=r"tls://"):
        check_address(address, insecure=False)


def test_a_scheduler_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_ANSWER_S", 1)
    source = make_source(tmp_path / "acme", sites=1, days=1)
    with pytest.raises(CcpAssessError, match="no scheduler answers"):
        run_fleet(str(source), str(tmp_path / "out"), Engine(scheduler="tcp://127.0.0.1:1"))
