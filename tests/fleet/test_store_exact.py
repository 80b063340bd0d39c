"""Ready views against plain sorting of the one-second series, whatever is merged; and what a store refuses."""

import json
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fleet_sources import tree
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from ccp_assess.cli import _register, app
from ccp_assess.errors import CcpAssessError
from ccp_assess.fleet.dataset import FORMAT, RECORDS, Dataset, open_dataset, record_path
from ccp_assess.fleet.merging import INDEX, check_merged, files_to_read, merge_all
from ccp_assess.fleet.rows import parts_by_day, table_of_rows
from ccp_assess.fleet.schema import TABLES, arrow_schema
from ccp_assess.fleet.sources import open_place
from ccp_assess.fleet.store import Store

Row = dict[str, Any]
MIDNIGHT_S = int(datetime(2026, 11, 24, tzinfo=UTC).timestamp())
VIEWS: dict[str, Callable[[Row], tuple[Any, ...]]] = {
    "worst_sites": lambda row: (row["client"], row["site_id"]),
    "by_hour": lambda row: (row["time_s"] // 3600 % 24,),
    "by_day": lambda row: (row["client"], datetime.fromtimestamp(row["time_s"], UTC).date()),
    "by_region": lambda row: (row["client"], row["region_code"]),
    "by_provider": lambda row: ("Net" + row["site_id"],),
    "before_after('2026-11-24 00:00:30')": lambda row: (
        row["client"],
        row["site_id"],
        "before" if row["time_s"] < MIDNIGHT_S + 30 else "after",
    ),
}
KEYS = {"worst_sites": 2, "by_hour": 1, "by_day": 2, "by_region": 2, "by_provider": 1}

values = st.one_of(st.none(), st.integers(-70, 70), st.sampled_from([-(2**31) + 1, 2**31 - 1, 31, 32, 33, -32]))
rows_of_series = st.fixed_dictionaries(
    {
        "client": st.sampled_from(["a", "b"]),
        "site_id": st.sampled_from(["x", "y"]),
        "time_s": st.sampled_from([MIDNIGHT_S + n for n in (-86_400, -3601, -1, 0, 29, 30, 3600, 86_399, 40 * 86_400)]),
        "direction": st.sampled_from(["in", "in", "unknown", "out"]),
        "region_code": st.sampled_from([None, "eu-west-2", "us-east-1"]),
        "packets": st.integers(0, 60),
        "lost": st.integers(0, 5),
        "late": st.integers(0, 5),
        "jitter_10us": values,
        "rtt_relay_10us": values,
        "rtt_media_10us": values,
    }
)


def put(dataset: Dataset, key: str, client: str, site_id: str, tables: dict[str, Any]) -> None:
    file = {"client": client, "site_id": site_id, "kind": "captures", "path": key, "size": 1, "stamp": ""}
    rows = {name: table.num_rows for name, table in tables.items()}
    found = {"rows": rows, "packets": 0, "spans": {}, "limits": [], "set_aside": [], "sha256": {}}
    dataset.write_unit({"key": key, "files": [file]}, parts_by_day(tables), found)


def put_series(dataset: Dataset, rows: list[Row], name: str) -> None:
    by_site = defaultdict(list)
    for row in rows:
        by_site[row["client"], row["site_id"]].append(row)
    schema = arrow_schema("seconds")
    for (client, site_id), members in by_site.items():
        columns = {column: [row.get(column) for row in members] for column in TABLES["seconds"]}
        columns["time"] = [row["time_s"] * 1_000_000 for row in members]
        columns["day"] = [row["time_s"] // 86_400 for row in members]
        arrays = [pa.array(columns[field.name], type=field.type) for field in schema]
        put(dataset, f"{name}-{client}-{site_id}", client, site_id, {"seconds": pa.table(arrays, schema=schema)})


def put_sites(dataset: Dataset) -> None:
    for client in "ab":
        rows = [{"site_id": site, "provider": f"Net{site}", "agents": 3} for site in "xyz"]
        put(dataset, f"sites-{client}", client, "unknown", {"sites": table_of_rows("sites", rows, client, "unknown")})


def nearest_rank(found: list[int | None], percent: int) -> float | None:
    ordered = sorted(value for value in found if value is not None)
    return ordered[-(-percent * len(ordered) // 100) - 1] / 100.0 if ordered else None


def by_sorting(rows: list[Row], key: Callable[[Row], tuple[Any, ...]]) -> dict[tuple[Any, ...], Row]:
    groups = defaultdict(list)
    for row in rows:
        if row["direction"] != "out":
            groups[key(row)].append(row)
    answer = {}
    for name, some in groups.items():
        told: Row = {column: sum(row[column] for row in some) for column in ("packets", "lost")}
        late, sent = sum(row["late"] for row in some), told["packets"] + told["lost"]
        told["seconds"] = len(some)
        told["loss_pct"] = 100 * told["lost"] / sent if sent else None
        told["late_pct"] = 100 * late / told["packets"] if told["packets"] else None
        measures = {"jitter": "jitter_10us", "rtt": "rtt_media_10us", "rtt_relay": "rtt_relay_10us"}
        for measure, column in measures.items():
            for percent in (50, 95):
                told[f"{measure}_p{percent}_ms"] = nearest_rank([row[column] for row in some], percent)
        for measure in ("rtt", "rtt_relay"):
            told[f"{measure}_n"] = sum(row[measures[measure]] is not None for row in some) or None
        answer[name] = told
    return answer


def assert_exact(folder: Path, rows: list[Row]) -> None:
    with Store(str(folder), threads=1) as store:
        for view, key in VIEWS.items():
            answer = store.ask(f"select * from {view}")  # noqa: S608 - our own
            truth = by_sorting(rows, key)
            assert len(answer.rows) == len(truth), view
            for row in answer.to_rows():
                told = truth[tuple(row[name] for name in answer.columns[: KEYS.get(view, 3)])]
                for name, value in told.items():
                    near = value is not None and name in ("loss_pct", "late_pct")
                    assert row[name] == (pytest.approx(value, abs=5.1e-5) if near else value), (view, name)


@settings(max_examples=4, deadline=None)
@given(early=st.lists(rows_of_series, min_size=4, max_size=40), later=st.lists(rows_of_series, max_size=12))
def test_views_equal_sorting_before_and_after_merging_and_when_only_some_is_merged(
    tmp_path_factory: pytest.TempPathFactory, early: list[Row], later: list[Row]
) -> None:
    check_views(tmp_path_factory, early, later)


@pytest.mark.long
@settings(max_examples=30, deadline=None)
@given(early=st.lists(rows_of_series, max_size=40), later=st.lists(rows_of_series, max_size=12))
def test_views_equal_sorting_for_many_more_rows_and_for_none(
    tmp_path_factory: pytest.TempPathFactory, early: list[Row], later: list[Row]
) -> None:
    check_views(tmp_path_factory, early, later)


def check_views(tmp_path_factory: pytest.TempPathFactory, early: list[Row], later: list[Row]) -> None:
    folder = tmp_path_factory.mktemp("exact")
    dataset = open_dataset(open_place(str(folder)))
    put_sites(dataset)
    put_series(dataset, early, "early")
    assert_exact(folder, early)
    assert merge_all(dataset, dataset.units().values()) == []
    assert files_to_read(dataset).uncounted == []
    assert check_merged(dataset) == []
    assert_exact(folder, early)
    put_series(dataset, later, "later")
    assert_exact(folder, early + later)
    merge_all(dataset, dataset.units().values())
    assert files_to_read(dataset).uncounted == []
    assert_exact(folder, early + later)


def series(count: int, site: str = "x") -> list[Row]:
    row = {"client": "a", "site_id": site, "direction": "in", "packets": 50, "lost": 0, "late": 0}
    return [{**row, "time_s": MIDNIGHT_S + n, "jitter_10us": n} for n in range(count)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    dataset = open_dataset(open_place(str(tmp_path / "out")))
    put_sites(dataset)
    put_series(dataset, series(30) + series(20, "y"), "one")
    merge_all(dataset, dataset.units().values())
    return tmp_path / "out"


def test_merging_again_gives_the_same_bytes_and_does_again_only_what_changed(folder: Path) -> None:
    dataset = Dataset(open_place(str(folder)))
    before = tree(folder)
    merge_all(dataset, dataset.units().values())
    assert tree(folder) == before
    put_series(dataset, series(5, "y"), "two")
    merge_all(dataset, dataset.units().values())
    changed = {path for path, data in tree(folder).items() if before.get(path) != data}
    made = {path.split("/")[1] for path in changed if path.startswith("merged/")}
    assert made == {"seconds", "site_counts", "site_steps", "hour_counts"}
    dataset.drop_unit(dataset.units()["two-a-y"])
    merge_all(dataset, dataset.units().values())
    assert tree(folder) == before


def test_a_damaged_or_missing_merged_file_is_found_and_made_again(folder: Path) -> None:
    dataset = Dataset(open_place(str(folder)))
    before = tree(folder)
    path = next((folder / "merged" / "site_counts").rglob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-1])
    assert any("is not what was written" in problem for problem in check_merged(dataset))
    path.unlink()
    assert any("is missing" in problem for problem in check_merged(dataset))
    merge_all(dataset, dataset.units().values())
    assert tree(folder) == before


def test_a_part_that_is_not_what_was_written_is_not_merged_and_told(folder: Path) -> None:
    dataset = Dataset(open_place(str(folder)))
    put_series(dataset, series(5, "y"), "two")
    part = next(folder.glob("seconds/client=a/site_id=y/day=*/two-a-y.parquet"))
    part.write_bytes(part.read_bytes()[:-1] + b"?")
    (failed,) = merge_all(dataset, dataset.units().values())
    assert "is not what was written" in failed["reason"]


def test_records_come_from_one_file_unless_one_was_replaced_since(folder: Path) -> None:
    dataset = Dataset(open_place(str(folder)))
    afresh = dataset.units(one_by_one=True)
    assert dataset.units() == afresh
    assert set(afresh) == {"one-a-x", "one-a-y", "sites-a", "sites-b"}
    path = folder / record_path("one-a-x")
    path.write_bytes(path.read_bytes().replace(b'"packets":0', b'"packets":7'))  # as long as before
    assert dataset.units()["one-a-x"]["packets"] == 7
    path.write_text("{")
    assert "one-a-x" not in dataset.units()
    (folder / RECORDS).write_bytes(b"\xff\t{}\nnonsense\n")
    assert set(dataset.units()) == {"one-a-y", "sites-a", "sites-b"}
    (folder / INDEX).write_text("[]")
    with Store(str(folder)) as store:
        assert store.ask("select count(*) from seconds").rows == ((20,),)


@pytest.mark.parametrize(("layout", "told"), [(FORMAT - 1, "fleet run"), (FORMAT + 1, "update"), ("x", "fleet run")])
def test_a_dataset_of_another_layout_is_told_not_misread(folder: Path, layout: object, told: str) -> None:
    (folder / "dataset.json").write_text(json.dumps({"format": layout}))
    with pytest.raises(CcpAssessError, match=told):
        Store(str(folder))


def test_a_dataset_of_a_newer_program_is_not_written_to(folder: Path) -> None:
    (folder / "dataset.json").write_text(json.dumps({"format": FORMAT + 1}))
    with pytest.raises(CcpAssessError, match="newer"):
        open_dataset(open_place(str(folder)))


def test_what_was_not_measured_is_listed_as_unknown(folder: Path) -> None:
    with Store(str(folder), threads=1) as store:
        rows = store.ask("select client, site_id, captures, probe_rounds from sites_without_data").rows
    assert set(rows) == {(client, site, 0, 0) for client in "ab" for site in "xyz"}


ATTEMPTS = (
    "explain analyze copy (select 1) to '{base}/units/new.json'",
    "with a as (copy (select 1) to '{base}/units/new.json') select 1",
    "with a as (copy (select 1) to '{base}/dataset.json') select * from a",
    "select 1) as q; copy (select 1) to '{base}/units/new.json'; select * from (select 1",
    "with a as (insert into seconds select * from seconds) select 1",
    "with a as (delete from seconds returning *) select * from a",
    "select * from query('copy (select 1) to ''{base}/x''')",
    "copy seconds to '{base}/x.parquet'",
    "export database '{base}/x'",
    "select * from read_csv('/etc/passwd')",
    "select * from read_text('{base}/../secret.txt')",
    "select * from glob('/etc/*')",
    "select * from sniff_csv('/etc/passwd')",
    "select * from read_duckdb('/etc/passwd')",
    "from '/etc/passwd'",
    "select getenv('HOME')",
    "select * from enable_logging(storage = 'file', storage_config = {{'path': '{base}/log'}})",
    "select * from enable_profiling()",
    "attach '{base}/x.db'",
    "install httpfs",
    "load httpfs",
    "set memory_limit = '1TB'",
    "pragma database_list",
    "call enable_logging()",
    "create temp table t as select 1",
    "update seconds set lost = 0",
    "select * from local_frame",
    "select 1; select 2",
    "-- nothing",
    "select",
    "select '",
)


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_no_question_leaves_the_dataset_or_changes_it(folder: Path, attempt: str) -> None:
    (folder.parent / "secret.txt").write_text("secret")
    local_frame = pa.table({"a": [1]})
    before = tree(folder.parent)
    with Store(str(folder), threads=1) as store:
        with pytest.raises(CcpAssessError) as caught:
            store.ask(attempt.format(base=folder))
        assert "\n" not in str(caught.value)
    assert tree(folder.parent) == before
    assert local_frame.num_rows == 1


def ask(*arguments: str) -> Any:
    if not app.registered_commands:
        _register()
    return CliRunner().invoke(app, ["query", *arguments])


def test_answers_are_printed_as_table_csv_and_json(folder: Path) -> None:
    at = ("--store", str(folder))
    sql = (
        "select '=1+1' as a, 9345678901234567890::hugeint as b, null as c, timestamp '2026-11-24 10:00' as t, 1.5 as d;"
    )
    assert ask(sql, *at, "--csv").stdout == "a,b,c,t,d\n'=1+1,9345678901234567890,,2026-11-24T10:00:00Z,1.5\n"
    (row,) = json.loads(ask(sql, *at, "--json").stdout)
    assert row == {"a": "=1+1", "b": 9345678901234567890, "c": None, "t": "2026-11-24T10:00:00Z", "d": 1.5}
    assert json.loads(ask("select 1 where false", *at, "--json").stdout) == []
    assert "\x1b" not in ask("select chr(27) || '[2J' as x", *at).stdout
    assert "worst_calls" in ask().stdout


def test_answers_go_to_files(folder: Path, tmp_path: Path) -> None:
    for name in ("a.csv", "a.parquet"):
        done = ask("select * from seconds order by all", "--store", str(folder), "--out", str(tmp_path / name))
        assert done.exit_code == 0
        assert done.stdout.startswith("50 rows in ")
    assert pq.read_table(tmp_path / "a.parquet").num_rows == 50
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 51
    assert ask("select 1", "--store", str(folder), "--out", str(tmp_path / "a.txt")).exit_code == 2


@pytest.mark.parametrize("sql", ["select nothing from seconds", "select 1 from nowhere", "select error('a\nb')"])
def test_questions_that_cannot_be_answered_are_one_sentence(folder: Path, sql: str) -> None:
    failed = ask(sql, "--store", str(folder), "--csv").exception
    assert isinstance(failed, CcpAssessError)
    assert "\n" not in str(failed)


def test_a_large_answer_comes_in_pieces(folder: Path) -> None:
    with Store(str(folder), threads=1) as store, store.stream("select range as n from range(1000000)") as answer:
        first = next(answer.batches)
    assert 0 < first.num_rows < 1_000_000
