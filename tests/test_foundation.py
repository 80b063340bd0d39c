import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccp_assess import errors, regions, tables, units
from ccp_assess.cli.output import jsonable, printable
from ccp_assess.files import write_whole


def test_an_unknown_region_lists_the_known_ones():
    with pytest.raises(errors.UnknownRegionError, match=r"'eu-west-9' is unknown.*eu-west-2"):
        regions.region_by_code("eu-west-9")


def test_every_region_of_the_table_has_a_place_a_status_and_a_source():
    for region in regions.read_regions().values():
        assert region.status in {"general", "replica_only", "evidence_only", "gov"}
        assert -90 <= region.latitude <= 90
        assert -180 <= region.longitude <= 180
        assert region.source
        assert region.retrieved


def test_pairs_of_global_resiliency_name_regions_of_the_table():
    table = regions.read_regions()
    for region in table.values():
        if region.replica_region:
            assert table[region.replica_region].replica_region == region.region_code


def test_africa_lies_south_of_the_equator_and_virginia_is_not_the_centroid_of_its_state():
    table = regions.read_regions()
    assert table["af-south-1"].latitude < 0
    assert table["us-east-1"].longitude > -77.6


@given(st.integers(min_value=0, max_value=2**62))
def test_instants_keep_their_full_resolution(time_ns):
    text = units.rfc3339_from_ns(time_ns)
    assert text.endswith("Z")
    fraction = text[:-1].partition(".")[2].ljust(9, "0")
    assert int(fraction) == time_ns % units.NS_PER_S


def test_an_instant_beyond_the_calendar_is_still_written():
    assert units.rfc3339_from_ns(2**63 * 40).endswith("Z")


@given(st.text())
def test_nothing_printed_can_steer_a_terminal(text):
    assert printable(text).isprintable()


def test_json_has_no_nan():
    assert jsonable({"a": float("nan"), "b": [float("inf"), 1.5]}) == {"a": None, "b": [None, 1.5]}


def test_a_file_that_cannot_be_written_whole_is_not_there(tmp_path):
    with pytest.raises(TypeError):
        write_whole(tmp_path / "a", object())  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == [] or not (tmp_path / "a").exists()


def test_headers_carry_the_unit():
    assert tables.header("uplink_mbps") == "Uplink [Mbit/s]"
    assert tables.header("something_else") == "something_else"


def test_the_command_shows_its_version_and_refuses_unknown_words_with_status_2():
    def run(*words):
        return subprocess.run([sys.executable, "-m", "ccp_assess", *words], capture_output=True, text=True, check=False)

    assert run("--version").stdout.startswith("ccp-assess ")
    assert run("nonsense").returncode == 2
    assert "Traceback" not in run("nonsense").stderr


def test_a_table_error_names_file_row_and_column():
    error = errors.TableError("is not a number", file="sites.csv", row=3, column="agents")
    assert str(error) == "sites.csv, row 3, column agents: is not a number"
