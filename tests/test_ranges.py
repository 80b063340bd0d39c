"""Published ranges: exact against the truth of every snapshot, and hostile documents refused in one sentence."""

import contextlib
import gzip
import ipaddress
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccp_assess.errors import ParseError
from ccp_assess.ranges import parse_ranges, read_ranges

DOCUMENT: dict[str, Any] = {
    "syncToken": "1",
    "createDate": "2026-01-02-03-04-05",
    "prefixes": [
        {"ip_prefix": "15.193.0.0/19", "region": "GLOBAL", "service": "AMAZON_CONNECT"},
        {"ip_prefix": "15.193.5.0/24", "region": "eu-west-2", "service": "AMAZON_CONNECT"},
        {"ip_prefix": "15.0.0.0/8", "region": "us-east-1", "service": "EC2"},
        {"ip_prefix": "15.193.5.16/28", "region": "us-west-1", "service": "EC2"},
        {"ip_prefix": "52.0.0.0/16", "region": "us-east-1", "service": "AMAZON"},
    ],
    "ipv6_prefixes": [{"ipv6_prefix": "2600:f0f2:7102::/48", "region": "eu-west-2", "service": "AMAZON_CONNECT"}],
}


def read(**changes: Any) -> Any:
    return parse_ranges(json.dumps(DOCUMENT | changes).encode(), name="doc.json")


def test_the_rows_of_amazon_connect_decide_before_a_longer_match_of_another_service() -> None:
    ranges = read()
    assert ranges.region_of("15.193.5.17") == "eu-west-2"
    assert ranges.service_of("15.193.5.17") == "AMAZON_CONNECT"
    assert ranges.region_of("2600:f0f2:7102:1::9") == "eu-west-2"


def test_a_global_row_names_no_region_and_the_next_service_is_asked() -> None:
    ranges = read()
    assert ranges.region_of("15.193.30.1") == "us-east-1"
    assert ranges.service_of("15.193.30.1") == "AMAZON_CONNECT"
    assert ranges.region_of("52.0.1.1") == "us-east-1"
    assert ranges.service_of("52.0.1.1") == "AMAZON"
    assert ranges.region_of("9.9.9.9") is None
    assert ranges.service_of("not an address") is None


@pytest.mark.shared
def test_every_snapshot_equals_its_truth(shared: Path) -> None:
    truth = json.loads((shared / "ranges" / "truth_snapshots.json").read_text())
    assert len(truth) >= 11
    for entry in truth:
        ranges = read_ranges(shared / "ranges" / entry["file"])
        assert f"{ranges.created:%Y-%m-%d-%H-%M-%S}" == entry["createDate"]
        assert ranges.sync_token == entry["syncToken"]
        for version, key, column in ((4, "amazon_connect_v4", "ip_prefix"), (6, "amazon_connect_v6", "ipv6_prefix")):
            rows = ranges.rows("AMAZON_CONNECT")
            ours = {(row.prefix.text, row.region_code) for row in rows if row.prefix.version == version}
            theirs = {(str(ipaddress.ip_network(row[column])), row["region"]) for row in entry[key]}
            assert ours == theirs, entry["file"]
        for service, key in (("EC2", "ec2"), ("CLOUDFRONT", "cloudfront"), ("GLOBALACCELERATOR", "globalaccelerator")):
            rows = ranges.rows(service)
            assert [sum(row.prefix.version == version for row in rows) for version in (4, 6)] == entry[key]


@pytest.mark.shared
def test_the_shipped_snapshot_is_the_newest_one(shared: Path) -> None:
    newest = read_ranges(shared / "ranges" / "ip-ranges_2026-08-22_newest.json.gz")
    shipped = read_ranges()
    assert shipped.created == newest.created
    for service in shipped.services:
        assert shipped.rows(service) == newest.rows(service)


@pytest.mark.shared
def test_longest_match_agrees_with_a_slow_search(shared: Path) -> None:
    ranges = read_ranges()
    document = json.loads(gzip.decompress((shared / "ranges" / "ip-ranges_2026-08-22_newest.json.gz").read_bytes()))
    networks = [(ipaddress.ip_network(row["ip_prefix"]), row["region"], row["service"]) for row in document["prefixes"]]
    for address in ("18.130.7.7", "52.55.191.230", "3.5.140.2", "13.224.0.9", "99.77.130.1", "100.20.1.1", "8.8.8.8"):
        ours = ranges.region_of(address)
        value = ipaddress.ip_address(address)
        inside = [row for row in networks if value in row[0] and row[1] != "GLOBAL"]
        connect = [row for row in inside if row[2] == "AMAZON_CONNECT"] or [row for row in inside if row[2] == "EC2"]
        longest = max(connect or inside, key=lambda row: row[0].prefixlen, default=(None, None, None))
        assert ours == longest[1], address


def test_our_table_of_amazon_connect_equals_the_shipped_snapshot() -> None:
    table = (Path(__file__).parents[1] / "ccp_assess" / "reference" / "ranges.csv").read_text().splitlines()[1:]
    rows = {tuple(line.split(",")[1:3]) for line in table}
    assert rows == {(row.region_code, row.prefix.text) for row in read_ranges().rows("AMAZON_CONNECT")}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no whole JSON"),
        (b"{", "no whole JSON"),
        (b"[1, 2]", "a list"),
        (b'"text"', "a list"),
        (b"\xff\xfe\x00", "no whole JSON"),
        (b"[" * 100_000, "no whole JSON"),
        (b'{"prefixes": {}}', "a list"),
        (b"\x1f\x8b\x08\x00garbage", "gzip"),
        (gzip.compress(json.dumps(DOCUMENT).encode())[:-12], "cut short"),
        (json.dumps(DOCUMENT | {"createDate": "yesterday"}).encode(), "createDate"),
        (json.dumps(DOCUMENT | {"createDate": None}).encode(), "createDate"),
        (json.dumps(DOCUMENT | {"ipv6_prefixes": "no"}).encode(), "ipv6_prefixes"),
        (json.dumps(DOCUMENT | {"prefixes": [{"ip_prefix": "1.0.0.0/8"}]}).encode(), r"prefixes\[0\]"),
        (json.dumps(DOCUMENT | {"prefixes": ["1.0.0.0/8"]}).encode(), r"prefixes\[0\]"),
        (json.dumps(DOCUMENT | {"prefixes": [None]}).encode(), r"prefixes\[0\]"),
    ],
)
def test_a_broken_document_is_refused_in_one_sentence(content: bytes, words: str) -> None:
    with pytest.raises(ParseError, match=words) as caught:
        parse_ranges(content, name="doc.json")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("doc.json: ")


@pytest.mark.parametrize(
    "text",
    [
        "1.2.3.4/8",
        "1.2.3.4/33",
        "300.0.0.0/8",
        "1.0.0.0",
        "::/0",
        "1.0.0.0/8\n",
        "x; rm -rf /",
        7,
        None,
        "\u0661.0.0.0/8",
    ],
)
def test_a_prefix_that_is_none_is_refused(text: Any) -> None:
    with pytest.raises(ParseError, match=r"prefixes\[0\]"):
        read(prefixes=[{"ip_prefix": text, "region": "eu-west-2", "service": "EC2"}])


@pytest.mark.parametrize("region", ["", "eu west", "<b>", 7, None, "x" * 70])
def test_a_hostile_region_is_refused(region: Any) -> None:
    with pytest.raises(ParseError, match="Region or service"):
        read(prefixes=[{"ip_prefix": "1.0.0.0/8", "region": region, "service": "EC2"}])


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_end_in_ranges_or_in_our_error(content: bytes) -> None:
    with contextlib.suppress(ParseError):
        assert parse_ranges(content, name="x").created


def test_a_missing_file_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(ParseError, match="ip-ranges"):
        read_ranges(tmp_path / "none.json")
