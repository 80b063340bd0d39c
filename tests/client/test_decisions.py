"""The decision log: appended, read back as meant, harmless in a spreadsheet."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ccp_assess.client.decisions import FILE, add_decision, read_decisions
from ccp_assess.errors import TableError

NOON = datetime(2026, 11, 23, 14, 20, tzinfo=UTC)


def test_a_folder_without_a_log_has_no_decisions(tmp_path: Path) -> None:
    assert read_decisions(tmp_path) == ()


def test_decisions_are_appended_with_time_who_and_why(tmp_path: Path) -> None:
    add_decision(tmp_path, "Region us-east-1 excluded", why="residency", who="Ann", now=NOON)
    log = add_decision(tmp_path, "Keep two instances", now=NOON)
    assert log == read_decisions(tmp_path)
    assert [(row.time, row.who, row.decision, row.why) for row in log] == [
        ("2026-11-23T14:20:00Z", "Ann", "Region us-east-1 excluded", "residency"),
        ("2026-11-23T14:20:00Z", "", "Keep two instances", ""),
    ]
    assert (tmp_path / FILE).read_bytes().decode("utf-8-sig").splitlines()[0] == "time,who,decision,why"


@pytest.mark.parametrize("hostile", ["=cmd()", "-1+2", "@SUM(A1)", "+49", '"; DROP', "<script>", "a,b;c", "'quoted'"])
def test_hostile_words_are_read_back_as_meant_and_run_in_no_spreadsheet(tmp_path: Path, hostile: str) -> None:
    (row,) = add_decision(tmp_path, hostile, why=hostile, who=hostile, now=NOON)
    assert (row.decision, row.why, row.who) == (hostile,) * 3
    assert read_decisions(tmp_path) == (row,)
    cells = (tmp_path / FILE).read_text(encoding="utf-8-sig").splitlines()[1].split(",")
    assert not [cell for cell in cells if cell.strip('"').startswith(("=", "+", "-", "@"))]


def test_line_breaks_become_blanks_and_very_long_words_are_cut(tmp_path: Path) -> None:
    (row,) = add_decision(tmp_path, "one\ntwo", why="x" * 5000, now=NOON)
    assert row.decision == "one two"
    assert len(row.why) == 1000


def test_saying_nothing_is_no_decision(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="say what was decided"):
        add_decision(tmp_path, "  ", now=NOON)
    assert not (tmp_path / FILE).exists()


def test_what_a_person_edited_in_a_spreadsheet_is_read_and_what_is_wrong_is_said(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("time;who;decision;why\n2026-11-23 14:20;Ann;x;\n", encoding="utf-8")
    assert read_decisions(tmp_path)[0].who == "Ann"
    (tmp_path / FILE).write_text("time,who,decision,why\nnoon,Ann,x,\n", encoding="utf-8")
    with pytest.raises(TableError, match=r"decisions\.csv, row 2, column time: 'noon' is no instant"):
        read_decisions(tmp_path)
    (tmp_path / FILE).write_text("time,who\n", encoding="utf-8")
    with pytest.raises(TableError, match="decision, why"):
        read_decisions(tmp_path)
