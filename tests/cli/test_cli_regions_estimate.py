"""`ccp-assess regions estimate` answers in the contract's form, or refuses a table in one sentence."""

import json

import pytest
from typer.testing import CliRunner

from ccp_assess.cli.regions import app
from ccp_assess.errors import TableError
from ccp_assess.selection.pairs import estimate_pairs, read_pairs

HEADER = "from_lat,from_lon,to_lat,to_lon\n"


def run(path, *options):
    result = CliRunner().invoke(app, ["estimate", "--pairs", str(path), *options], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_json_has_the_contract_form_and_the_order_of_the_table(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text(HEADER + "51.51,-0.12,-33.87,151.21\n0,0,0,0\n", encoding="utf-8")
    rows = json.loads(run(path, "--json"))
    assert [set(row) for row in rows] == [{"great_circle_km", "rtt_ms", "rtt_band90_ms", "basis"}] * 2
    assert rows[0]["great_circle_km"] == pytest.approx(16993, abs=20)
    assert rows[1]["great_circle_km"] == 0.0
    assert rows[1]["rtt_ms"] > 0.0
    assert all(row["basis"] == "modelled" for row in rows)
    low_ms, high_ms = rows[0]["rtt_band90_ms"]
    assert low_ms < rows[0]["rtt_ms"] < high_ms


def test_people_get_a_table(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text(HEADER + "51.51,-0.12,50.11,8.68\n", encoding="utf-8")
    lines = run(path).splitlines()
    assert len(lines) == 2
    assert "rtt" in lines[0].lower()
    assert "modelled" in lines[1]


def test_an_office_or_a_home_is_further_away(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text(HEADER + "51.51,-0.12,50.11,8.68\n", encoding="utf-8")
    plain, access = json.loads(run(path, "--json"))[0], json.loads(run(path, "--access", "--json"))[0]
    assert access["rtt_ms"] > plain["rtt_ms"]
    assert access["rtt_band90_ms"][1] > plain["rtt_band90_ms"][1]


def test_a_table_without_rows_gives_an_empty_list(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text(HEADER, encoding="utf-8")
    assert json.loads(run(path, "--json")) == []


def test_dialects_and_extra_columns_do_not_matter():
    plain = "from_lat,from_lon,to_lat,to_lon,from_country,to_country,note\n51.51,-0.12,38.72,-9.14,GB,PT,x\n"
    german = "\ufeffnote;to_lon;to_lat;from_lon;from_lat\r\nx;-9,14;38,72;-0,12;51,51\r\n"
    assert estimate_pairs(read_pairs(plain)) == estimate_pairs(read_pairs(german))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("from_lat,from_lon,to_lat\n1,2,3\n", ("row 1", "column to_lon", "must be added")),
        (HEADER + "1,2,3,\n", ("row 2", "column to_lon", "empty")),
        (HEADER + "1,2,3,4\nnorth,2,3,4\n", ("row 3", "column from_lat", "'north' is not a number")),
        (HEADER + "91,2,3,4\n", ("row 2", "column from_lat", "not between -90 and 90")),
        (HEADER + "1,2,3,400\n", ("row 2", "column to_lon", "not between -180 and 180")),
        (HEADER + "50,8,-0.12,51.51\n", ("row 2", "column to_lat", "in the sea", "swap latitude and longitude")),
        (HEADER + "48,14,11,58,50,11,8,68\n", ("row 2", "8 cells under 4 columns")),
        (
            "from_lat,from_lon,to_lat,to_lon,to_country\n1,2,3,4,Atlantis\n",
            ("row 2", "column to_country", "no country"),
        ),
    ],
)
def test_a_wrong_cell_is_named(text, words):
    with pytest.raises(TableError) as caught:
        read_pairs(text, name="pairs.csv")
    message = str(caught.value)
    assert message.startswith("pairs.csv")
    assert "\n" not in message
    for word in words:
        assert word in message


def test_oceans_and_poles_are_points_like_others():
    rows = estimate_pairs(read_pairs(HEADER + "35,-40,90,0\n-90,0,0,180\n10,-180,10,180\n"))
    assert all(row.rtt_band90_ms[0] >= row.great_circle_km / 100 - 1e-9 for row in rows)
    assert rows[2].great_circle_km == pytest.approx(0.0, abs=1e-6)
