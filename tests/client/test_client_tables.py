"""The client's tables: what is understood, and the one sentence where something is not."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ccp_assess.client import read_client
from ccp_assess.errors import CcpAssessError, TableError

Write = Callable[[str, str], Path]


def problem(folder: Path) -> TableError:
    with pytest.raises(TableError) as caught:
        read_client(folder)
    assert "\n" not in str(caught.value)
    return caught.value


def told_by(folder: Path) -> str | None:
    """Return the sentence of the error, if the folder is refused."""
    try:
        read_client(folder)
    except CcpAssessError as error:
        return str(error)
    return None


def test_a_place_gives_coordinates_and_country(folder: Path) -> None:
    lisbon, berlin = read_client(folder).sites
    assert (lisbon.site_id, lisbon.agents, lisbon.country, lisbon.access) == ("LIS", 120, "PT", "office")
    assert lisbon.latitude == pytest.approx(38.72, abs=0.1)
    assert berlin.longitude == pytest.approx(13.4, abs=0.2)


def test_every_column_of_every_table_is_read(folder: Path, write: Write) -> None:
    write(
        "sites.csv",
        "site_id,name,place,latitude,longitude,agents,access,via_site_id,subnets,uplink_mbps\n"
        'LIS,Head office,"Lisbon, PT",38.70,-9.10,120,direct_connect,,10.1.2.3/16 2001:db8::/32,500\n'
        "HOME,Agents at home,,52.5,13.4,40,VPN,lis,,\n",
    )
    write(
        "callers.csv",
        "origin_id,country,place,latitude,longitude,call_share_pct,line\nA,DE,,,,60,mobile\nB,,,48.85,2.35,40,\n",
    )
    write("transfers.csv", 'target_id,place,share_of_calls_pct,circular\nT,"Paris, FR",12.5,yes\n')
    write("reroutes.csv", 'site_id,place,share_of_agents_pct\nlis,"Porto, PT",25\n')
    client = read_client(folder)
    lisbon, home = client.sites
    assert (lisbon.latitude, lisbon.longitude, lisbon.name) == (38.70, -9.10, "Head office")
    assert lisbon.subnets == ("10.1.0.0/16", "2001:db8::/32")
    assert (lisbon.uplink_mbps, home.uplink_mbps) == (500.0, None)
    assert (home.access, home.via_site_id, home.country) == ("vpn", "LIS", "DE")
    germany, france = client.callers
    assert (germany.country, germany.line, germany.call_share_pct) == ("DE", "mobile", 60.0)
    assert (france.country, france.line) == ("FR", "mixed")
    (target,) = client.transfers
    assert (target.share_of_calls_pct, target.circular) == (12.5, True)
    (reroute,) = client.reroutes
    assert (reroute.site_id, reroute.share_of_agents_pct) == ("LIS", 25.0)


def test_semicolons_decimal_commas_a_byte_order_mark_and_crlf_mean_the_same(folder: Path) -> None:
    plain = read_client(folder).sites
    text = 'Agents;site ID;PLACE;notes\r\n120,0;LIS;"Lisbon, PT";a\r\n40;BER;"Berlin, DE";b\r\n'
    (folder / "sites.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_client(folder).sites == plain


def test_coordinates_with_decimal_commas_are_coordinates(folder: Path, write: Write) -> None:
    write("sites.csv", "site_id;latitude;longitude;agents\nLIS;38,72;-9,14;12\n")
    (site,) = read_client(folder).sites
    assert (site.latitude, site.longitude, site.country) == (38.72, -9.14, "PT")


def test_a_table_of_windows_1252_is_read_and_that_is_said(folder: Path) -> None:
    text = "site_id;place;agents;name\nZRH;Zürich, CH;12;Büro Zürich\n"
    (folder / "sites.csv").write_bytes(text.encode("cp1252"))
    client = read_client(folder)
    assert client.sites[0].name == "Büro Zürich"
    assert any("Windows-1252" in note and "ü" in note for note in client.notes)


def test_columns_of_the_clients_own_are_kept(folder: Path, write: Write) -> None:
    write("sites.csv", 'site_id,place,agents,cost centre\nLIS,"Lisbon, PT",12,=cmd()\n')
    client = read_client(folder)
    assert client.extras["sites"] == ({"cost_centre": "=cmd()"},)
    assert list(client.to_frame("sites")["cost_centre"]) == ["=cmd()"]


def test_a_slip_in_an_optional_column_is_said_and_not_silently_a_default(folder: Path, write: Write) -> None:
    write("sites.csv", 'site_id,place,agents,acces\nLIS,"Lisbon, PT",12,vdi\n')
    client = read_client(folder)
    assert any("'acces'" in note and "access" in note for note in client.unknowns)


@pytest.mark.parametrize(
    ("table", "text", "row", "column", "words"),
    [
        ("sites.csv", "site_id,place\nLIS,Lisbon\n", None, "agents", ["missing", "add it"]),
        ("sites.csv", "site_id,place,agent\nLIS,Lisbon,4\n", None, "agents", ["rename 'agent'"]),
        ("sites.csv", "site_id,place,headcount\nLIS,Lisbon,4\n", None, "agents", ["rename 'headcount'"]),
        ("sites.csv", "site_id,agents\nLIS,4\n", None, None, ["place", "latitude and longitude"]),
        ("sites.csv", "site_id,agents,city\nLIS,4,Lisbon\n", None, None, ["rename 'city'"]),
        ("sites.csv", 'site_id,place,agents\nLIS,"Lisbon, PT",-3\n', 2, "agents", ["negative"]),
        ("sites.csv", 'site_id,place,agents\nLIS,"Lisbon, PT",2.5\n', 2, "agents", ["whole number"]),
        ("sites.csv", 'site_id,place,agents\nLIS,"Lisbon, PT",\n', 2, "agents", ["empty"]),
        ("sites.csv", 'site_id,place,agents\nLIS,"Lisbon, PT",many\n', 2, "agents", ["'many'", "number"]),
        ("sites.csv", 'site_id,place,agents\nLIS,"Lisbon, PT",=1+1\n', 2, "agents", ["'=1+1'", "number"]),
        ("sites.csv", 'site_id,place,agents\nLIS,"Lisbon, PT",0\n', None, "agents", ["no site has any agents"]),
        ("sites.csv", 'site_id,place,agents\nLIS,"Lisbon, PT",4\nlis,"Porto, PT",3\n', 3, "site_id", ["row 2"]),
        ("sites.csv", 'site_id,place,agents\n,"Lisbon, PT",4\n', 2, "site_id", ["empty"]),
        ("sites.csv", 'site_id,place,agents\n"a\nb","Lisbon, PT",4\n', 2, "site_id", ["line break"]),
        ("sites.csv", "site_id,place,agents\nLIS,Lisbnn,4\n", 2, "place", ["Lisbon"]),
        ("sites.csv", "site_id,place,agents\nS,Springfield,4\n", 2, "place", ["several", "IL, US", "MO, US"]),
        ("sites.csv", "site_id,place,agents\nS,,4\n", 2, "place", ["Lisbon, PT", "latitude and longitude"]),
        ("sites.csv", 'site_id,place,agents,access\nL,"Lisbon, PT",4,wifi\n', 2, "access", ["'wifi'", "vdi"]),
        ("sites.csv", 'site_id,place,agents,subnets\nL,"Lisbon, PT",4,10.0.0.0/33\n', 2, "subnets", ["CIDR"]),
        ("sites.csv", 'site_id,place,agents,subnets\nL,"Lisbon, PT",4,10.0.0\n', 2, "subnets", ["'10.0.0'"]),
        ("sites.csv", 'site_id,place,agents,uplink_mbps\nL,"Lisbon, PT",4,-1\n', 2, "uplink_mbps", ["small"]),
        ("sites.csv", 'site_id,place,agents,uplink_mbps\nL,"Lisbon, PT",4,0\n', 2, "uplink_mbps", ["empty"]),
        ("sites.csv", 'site_id,place,agents,via_site_id\nL,"Lisbon, PT",4,HUB\n', 2, "via_site_id", ["'HUB'", "L"]),
        ("sites.csv", 'site_id,place,agents,via_site_id\nL,"Lisbon, PT",4,L\n', 2, "via_site_id", ["circle"]),
        (
            "sites.csv",
            'site_id,place,agents,via_site_id\nA,"Lisbon, PT",4,B\nB,"Porto, PT",4,C\nC,"Faro, PT",1,A\n',
            2,
            "via_site_id",
            ["circle", "A to B to C to A", "2 more problems, in rows 3, 4"],
        ),
        ("sites.csv", "site_id,latitude,longitude,agents\nL,98,-9,4\n", 2, "latitude", ["-90 and 90"]),
        ("sites.csv", "site_id,latitude,longitude,agents\nL,40,190,4\n", 2, "longitude", ["-180 and 180"]),
        ("sites.csv", "site_id,latitude,longitude,agents\nL,38.7,,4\n", 2, "longitude", ["missing"]),
        ("sites.csv", "site_id,latitude,longitude,agents\nL,0,0,4\n", 2, "latitude", ["in the sea"]),
        ("sites.csv", "site_id,latitude,longitude,agents\nL,35,-40,4\n", 2, "latitude", ["in the sea"]),
        ("sites.csv", "site_id,latitude,longitude,agents\nL,103.8,1.35,4\n", 2, "latitude", ["swapped"]),
        ("sites.csv", "site_id,latitude,longitude,agents\nL,-0.12,51.5,4\n", 2, "latitude", ["sea", "swap"]),
        ("sites.csv", "site_id,latitude,longitude,agents\nL,-74.0,40.71,4\n", 2, "latitude", ["Antarctica", "swap"]),
        ("sites.csv", "site_id,country,latitude,longitude,agents\nL,DE,8.68,50.11,4\n", 2, "latitude", ["swap"]),
        ("sites.csv", 'site_id,place,latitude,longitude,agents\nL,"Lisbon, PT",8.7,50,4\n', 2, "latitude", ["km from"]),
        ("sites.csv", "site_id,country,place,agents\nL,ES,Lisbon,4\n", 2, "place", ["not known there"]),
        ("callers.csv", "origin_id,country,call_share_pct\nA,DE,60\nB,FR,30\n", None, "call_share_pct", ["90 %"]),
        ("callers.csv", "origin_id,country,call_share_pct\nA,DE,0.6\nB,FR,0.4\n", None, "call_share_pct", ["0.6)"]),
        ("callers.csv", "origin_id,country,call_share_pct\nA,DE,130\nB,FR,-30\n", 2, "call_share_pct", ["1 more"]),
        ("callers.csv", "origin_id,country,call_share_pct\nA,XX,100\n", 2, "country", ["'XX'"]),
        ("callers.csv", "origin_id,country,call_share_pct,line\nA,DE,100,fax\n", 2, "line", ["'fax'", "landline"]),
        ("callers.csv", "origin_id,country,call_share_pct\nA,DE,50\nA,FR,50\n", 3, "origin_id", ["row 2"]),
        ("callers.csv", "origin_id,country,call_share_pct\nA,,100\n", 2, "place", ["country", "Lisbon, PT"]),
        ("transfers.csv", "target_id,place,share_of_calls_pct\nT,Paris,120\n", 2, "share_of_calls_pct", ["large"]),
        ("transfers.csv", "target_id,place,share_of_calls_pct,circular\nT,Paris,2,maybe\n", 2, "circular", ["maybe"]),
        ("reroutes.csv", 'site_id,place\nMUC,"Porto, PT"\n', 2, "site_id", ["'MUC'", "LIS, BER"]),
        (
            "reroutes.csv",
            'site_id,place,share_of_agents_pct\nLIS,"Porto, PT",60\nLIS,"Faro, PT",60\n',
            2,
            "share_of_agents_pct",
            ["120 %"],
        ),
        ("reroutes.csv", "site_id,share_of_agents_pct\nLIS,20\n", None, None, ["place"]),
    ],
)
def test_a_wrong_table_names_file_row_column_and_the_fix(
    write: Write, *, table: str, text: str, row: int | None, column: str | None, words: list[str]
) -> None:
    error = problem(write(table, text))
    assert (error.file, error.row, error.column) == (table, row, column)
    for word in words:
        assert word in str(error)


def test_all_problems_of_a_table_are_counted_and_the_first_is_shown(write: Write) -> None:
    folder = write(
        "sites.csv",
        'site_id,place,agents,access\nA,"Lisbon, PT",-1,wifi\nB,Nowhereville,4,office\nC,"Porto, PT",x,office\n',
    )
    error = problem(folder)
    assert str(error).startswith("sites.csv, row 2, column agents: ")
    assert "(and 3 more problems, in rows 2, 3, 4)" in str(error)


@pytest.mark.parametrize("total", [99.5, 100.0, 100.5])
def test_shares_may_miss_100_by_half(write: Write, total: float) -> None:
    folder = write("callers.csv", f"origin_id,country,call_share_pct\nA,DE,50\nB,FR,{total - 50}\n")
    assert sum(caller.call_share_pct for caller in read_client(folder).callers) == total


@pytest.mark.parametrize("total", [99.4, 100.6])
def test_shares_may_not_miss_100_by_more(write: Write, total: float) -> None:
    folder = write("callers.csv", f"origin_id,country,call_share_pct\nA,DE,50\nB,FR,{total - 50}\n")
    assert problem(folder).column == "call_share_pct"


def test_hostile_names_are_read_as_they_are_and_escaped_where_they_are_shown(folder: Path, write: Write) -> None:
    names = ["<script>alert(1)</script>", "=cmd|' /C calc'!A0", "x" * 300, "\u202egnirts"]
    rows = "".join(f'S{number},"Lisbon, PT",1,"{name}"\n' for number, name in enumerate(names))
    write("sites.csv", "site_id,place,agents,name\n" + rows)
    write("client.toml", '[client]\nname = "<img src=x onerror=alert(1)>"\n')
    client = read_client(folder)
    assert [site.name for site in client.sites] == names
    assert "<img" not in client._repr_html_()


def test_beside_coordinates_a_place_without_its_country_is_a_label(write: Write) -> None:
    folder = write("sites.csv", "site_id,place,latitude,longitude,agents\nP,Paris,33.66,-95.56,4\nX,The barn,48,11,1\n")
    texas, barn = read_client(folder).sites
    assert (texas.place, texas.country, texas.latitude) == ("Paris", "US", 33.66)
    assert (barn.place, barn.country) == ("The barn", "DE")


def test_callers_may_come_from_a_country_by_its_name(write: Write) -> None:
    folder = write("callers.csv", 'origin_id,place,call_share_pct\nA,Germany,60\nB,"Lyon, FR",40\n')
    assert [caller.country for caller in read_client(folder).callers] == ["DE", "FR"]


def test_an_island_far_from_the_coarse_outline_is_no_sea(write: Write) -> None:
    folder = write("sites.csv", "site_id,latitude,longitude,agents\nFNC,32.65,-16.91,4\nMLA,35.9,14.51,4\n")
    assert [site.country for site in read_client(folder).sites] == ["PT", "MT"]


def test_a_way_out_through_thousands_of_hubs_is_followed_once(folder: Path, write: Write) -> None:
    rows = "".join(f"S{number},48,11,1,S{number + 1}\n" for number in range(5000))
    write("sites.csv", f"site_id,latitude,longitude,agents,via_site_id\n{rows}S5000,48,11,1,\n")
    assert len(read_client(folder).sites) == 5001
    write("sites.csv", f"site_id,latitude,longitude,agents,via_site_id\n{rows}S5000,48,11,1,S0\n")
    assert "in a circle" in str(problem(folder))


def test_the_order_of_columns_and_rows_changes_no_row(folder: Path, write: Write) -> None:
    before = {site.site_id: site for site in read_client(folder).sites}
    write("sites.csv", 'agents,place,site_id\n40,"Berlin, DE",BER\n120,"Lisbon, PT",LIS\n')
    assert {site.site_id: site for site in read_client(folder).sites} == before


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_whatever_a_table_holds_it_is_read_or_refused_in_one_sentence(folder: Path, data: bytes) -> None:
    (folder / "sites.csv").write_bytes(data)
    assert told_by(folder) != ""


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cells=st.lists(
        st.text(alphabet=st.characters(blacklist_characters='"', blacklist_categories=["Cs"]), max_size=12),
        min_size=8,
        max_size=8,
    )
)
def test_whatever_a_cell_holds_it_is_read_or_refused_in_one_sentence(folder: Path, cells: list[str]) -> None:
    header = "site_id,place,latitude,longitude,agents,access,subnets,via_site_id\n"
    (folder / "sites.csv").write_text(header + ",".join(f'"{cell}"' for cell in cells), encoding="utf-8")
    assert told_by(folder) != ""
