"""What a dataset says of itself, damaged in any way: it counts as not there, and is made again."""

import json
from pathlib import Path
from typing import Any

import pytest

from ccp_assess.fleet.collect import known_sites
from ccp_assess.fleet.collect_state import collect_state
from ccp_assess.fleet.dataset import FORMAT, Dataset, open_dataset, parse_record, record_bytes
from ccp_assess.fleet.lease import LateError, Lease, check_permit
from ccp_assess.fleet.merging import INDEX_FORMAT, check_merged, files_to_read, read_index
from ccp_assess.fleet.needs import FleetError
from ccp_assess.fleet.plan import join_shared, make_plan
from ccp_assess.fleet.rows import parquet_bytes, table_of_rows
from ccp_assess.fleet.sources import open_place
from ccp_assess.fleet.store import Store

PART = "calls/client=a/site_id=S/day=2026-11-23/k.parquet"
FILE = {"client": "a", "site_id": "S", "kind": "captures", "path": "S/a.pcap", "size": 1, "stamp": "1"}
RECORD = {
    "format": FORMAT,
    "key": "k",
    "files": [FILE],
    "rows": {"calls": 1},
    "packets": 9,
    "spans": {"S/a.pcap": [1, None]},
    "sha256": {},
    "limits": [],
    "set_aside": [],
    "parts": [{"path": PART, "bytes": 5, "sha256": "ab"}],
}
ENTRY = {"key": "k", "table": "calls", "read": {"calls": [PART]}, "files": []}
DEEP = b"[" * 5000


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return open_dataset(open_place(str(tmp_path / "out")))


def test_a_record_that_is_whole_is_read_also_where_a_file_s_name_is_no_text() -> None:
    assert parse_record(record_bytes(RECORD)) == RECORD
    odd = {**RECORD, "files": [{**FILE, "path": "S/\udcff.pcap"}]}
    assert parse_record(record_bytes(odd)) == odd


@pytest.mark.parametrize(
    "damage",
    [
        {"format": FORMAT + 1},
        {"key": None},
        {"files": []},
        {"files": [None]},
        {"files": [{**FILE, "size": "1"}]},
        {"files": [{name: FILE[name] for name in ("kind", "path")}]},
        {"rows": []},
        {"rows": {"calls": ""}},
        {"packets": None},
        {"packets": float("inf")},
        {"limits": 7},
        {"set_aside": None},
        {"set_aside": [{}]},
        {"sha256": {"S/another.pcap": "ab"}},
        {"spans": {"S/a.pcap": [1]}},
        {"spans": []},
        {"parts": [{"path": PART}]},
        {"parts": [{"path": "calls/k.parquet", "bytes": 5, "sha256": "ab"}]},
        # parts are removed by their path
        {"parts": [{"path": "calls/../../../k.parquet", "bytes": 5, "sha256": "ab"}]},
    ],
)
def test_a_damaged_record_is_none(damage: dict[str, Any]) -> None:
    assert parse_record(json.dumps({**RECORD, **damage}).encode()) is None


@pytest.mark.parametrize("name", ["sha256", "rows", "packets", "set_aside", "parts"])
def test_a_record_that_lacks_something_is_none(name: str) -> None:
    assert parse_record(json.dumps({key: value for key, value in RECORD.items() if key != name}).encode()) is None


@pytest.mark.parametrize("data", [b'{"format": Infinity}', b'{"format": true}', b'{"format": "2"}', b"[]", DEEP])
def test_a_damaged_mark_of_the_layout_is_of_no_layout(dataset: Dataset, data: bytes) -> None:
    dataset.put("dataset.json", data)
    assert dataset.layout() == 0


@pytest.mark.parametrize("data", [DEEP, b"[]", b"{}", b'{"set_aside": [1]}'])
def test_a_damaged_manifest_is_none(dataset: Dataset, data: bytes) -> None:
    assert dataset.write_manifest([RECORD], []) == dataset.manifest()
    dataset.put("manifest.json", data)
    assert dataset.manifest() is None


@pytest.mark.parametrize(
    "damage",
    [{"files": 7}, {"files": [None]}, {"files": ["path"]}, {"read": {}}, {"read": {"calls": 1}}, {"key": []}],
)
def test_a_damaged_index_is_passed_over(dataset: Dataset, damage: dict[str, Any]) -> None:
    dataset.put_record(RECORD)
    document = {"format": INDEX_FORMAT, "units": "x", "entries": [{**ENTRY, **damage}]}
    dataset.put("index.json", json.dumps(document).encode())
    assert read_index(dataset).entries == {}
    assert files_to_read(dataset).by_table == {"calls": [PART]}
    assert check_merged(dataset)


def test_nesting_that_nobody_wrote_harms_nothing(dataset: Dataset) -> None:
    for path in ("index.json", "units/k.json", "joined.json", "quarantine/x.json"):
        dataset.put(path, DEEP)
    state = collect_state(dataset.place.url)
    assert (state.accepted, state.reasons) == (0, {"unknown": 1})
    assert files_to_read(dataset).by_table == {}
    (Path(dataset.place.url).parent / "source").mkdir()
    plan = make_plan(open_place(str(Path(dataset.place.url).parent / "source")), dataset, {}, dataset.units())
    assert join_shared(dataset, plan) == 0


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + bytes(40) + b"PAR1"])
def test_a_damaged_table_of_sites_is_told_with_its_path(dataset: Dataset, data: bytes) -> None:
    dataset.put("sites/client=a/k.parquet", data)
    with pytest.raises(FleetError, match=r"sites/client=a/k\.parquet is damaged; start the run again"):
        known_sites(dataset.place.url, "a")


def test_half_a_character_in_a_result_or_a_file_s_name_is_escaped_and_never_ends_a_round() -> None:
    rows = [{"time": None, "relay_host": "\ud800.example", "source": "S/\udcff.json"}, {"relay_host": None}]
    (first, second) = table_of_rows("probes", rows, "a", "S").to_pylist()
    assert (first["relay_host"], first["source"]) == ("\\ud800.example", "S/\\udcff.json")
    assert second["relay_host"] is None


@pytest.mark.parametrize("value", ["'5877642-06-25 (BC)'::date", "'290000-01-01'::timestamp"])
def test_an_instant_of_no_calendar_is_told(dataset: Dataset, value: str) -> None:
    with Store(dataset.place.url, threads=1) as store:
        with pytest.raises(FleetError, match="ask for it ::varchar"):
            store.ask(f"select {value}")
        assert store.ask(f"select ({value})::varchar").rows


def test_a_part_whose_columns_are_named_in_bytes_that_are_no_text_is_told(dataset: Dataset) -> None:
    dataset.put_record(RECORD)
    dataset.put(PART, parquet_bytes(table_of_rows("calls", [], "a", "S")).replace(b"findings", b"\xd3indings"))
    with pytest.raises(FleetError, match="damaged"), Store(dataset.place.url, threads=1) as store:
        store.ask("select * from worst_calls")


@pytest.mark.parametrize("damage", [b"", b"{", b"7", b'"run"', DEEP, b"{}"])
def test_a_damaged_lease_is_written_again_by_who_holds_it_and_permits_nothing_until_then(
    dataset: Dataset, damage: bytes
) -> None:
    with Lease(dataset) as lease:
        dataset.put("run.lease", damage)
        with pytest.raises(LateError):
            check_permit(dataset, lease.permit)
        lease._renew()
        check_permit(dataset, lease.permit)
        lease.check()
        lease.let_nobody_write()
