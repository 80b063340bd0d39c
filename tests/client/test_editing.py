"""Tables as texts: read, checked cell by cell, written back without losing what is not ours."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ccp_assess.client import read_client
from ccp_assess.client.editing import check_table_text, read_records, read_table_text, write_table_text
from ccp_assess.client.new import new_client
from ccp_assess.errors import TableError

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"


def with_cell(table, row, column, text):
    rows = [list(cells) for cells in table.rows]
    rows[row][table.columns.index(column)] = text
    return replace(table, rows=tuple(map(tuple, rows)))


@pytest.mark.parametrize("name", ["sites", "callers", "transfers", "reroutes"])
def test_what_is_read_and_written_again_means_the_same(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "client"
    shutil.copytree(SAMPLE, folder, ignore=shutil.ignore_patterns("captures", "probes"))
    before = read_client(folder)
    table = read_table_text(folder, name)
    assert check_table_text(table, before.sites) == ()
    write_table_text(folder, table)
    assert getattr(read_client(folder), name) == getattr(before, name)
    assert read_table_text(folder, name) == table


def test_every_wrong_cell_is_said_at_its_place() -> None:
    table = read_table_text(SAMPLE, "sites")
    for row, column, text in ((0, "agents", "many"), (1, "place", "Nowhereville, ZZ"), (2, "access", "tunnel")):
        table = with_cell(table, row, column, text)
    problems = check_table_text(table)
    cells = {(problem.row, table.columns[problem.column]) for problem in problems if problem.column is not None}
    assert {(0, "agents"), (2, "access")} <= cells
    assert any(row == 1 for row, _ in cells)
    assert any("not a number" in problem.text for problem in problems)


def test_what_concerns_all_rows_is_said_once_without_a_cell() -> None:
    table = with_cell(read_table_text(SAMPLE, "callers"), 0, "call_share_pct", "1")
    (problem,) = check_table_text(table)
    assert problem.row is None
    assert "the shares add up to" in problem.text


def test_a_name_given_twice_and_a_hub_that_does_not_exist_are_said() -> None:
    table = read_table_text(SAMPLE, "sites")
    first = table.rows[0][0]
    table = with_cell(with_cell(table, 1, "site_id", first), 2, "via_site_id", "nowhere")
    texts = [problem.text for problem in check_table_text(table)]
    assert any("stands in row 1 already" in text for text in texts)
    assert any("is no site" in text for text in texts)


def test_comments_and_columns_of_the_client_survive(tmp_path: Path) -> None:
    new_client(tmp_path)
    comments = [line for line in (tmp_path / "sites.csv").read_text("utf-8-sig").splitlines() if line.startswith("#")]
    table = replace(
        read_table_text(tmp_path, "sites"),
        columns=(*read_table_text(tmp_path, "sites").columns, "floor"),
        rows=(("LIS", "", "Lisbon, PT", "", "", "5", "", "", "", "", "=1+1"), ("",) * 11),
    )
    write_table_text(tmp_path, table)
    lines = (tmp_path / "sites.csv").read_text("utf-8-sig").splitlines()
    assert [line for line in lines if line.startswith("#")] == comments
    client = read_client(tmp_path)
    assert [site.site_id for site in client.sites] == ["LIS"]
    assert client.extras["sites"][0]["floor"] == "=1+1"


def test_a_name_that_would_become_a_comment_is_refused() -> None:
    table = with_cell(read_table_text(SAMPLE, "sites"), 0, "site_id", "#1")
    assert any("must not begin with #" in problem.text for problem in check_table_text(table))


def test_no_rows_is_said_for_sites_and_is_fine_for_the_others() -> None:
    assert "no rows yet" in check_table_text(replace(read_table_text(SAMPLE, "sites"), rows=()))[0].text
    assert read_records(replace(read_table_text(SAMPLE, "callers"), rows=())) == ()


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(TableError):
        read_table_text(tmp_path / "nowhere", "sites")
