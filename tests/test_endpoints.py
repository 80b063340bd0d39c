"""Host name or address → Region and role."""

from pathlib import Path

import pytest

from ccp_assess.endpoints import identify, read_endpoints, read_patterns
from ccp_assess.errors import TableError
from ccp_assess.regions import read_regions


@pytest.mark.parametrize(
    ("host", "port", "transport", "role", "region"),
    [
        ("acme.my.connect.aws", 443, "tcp", "api", None),
        ("ACME.awsapps.com", 443, "tcp", "api", None),
        ("x.static.connect.aws", 443, "tcp", "static", None),
        ("d111111abcdef8.cloudfront.net", 443, "tcp", "static", None),
        ("d1f0uslncy85vb.cloudfront.net", 443, "tcp", "static", "us-east-1"),
        ("abc.telemetry.connect.eu-west-2.amazonaws.com", 443, "tcp", "telemetry", "eu-west-2"),
        ("participant.connect.ap-southeast-2.amazonaws.com", 443, "tcp", "api", "ap-southeast-2"),
        ("u1.transport.connect.us-gov-west-1.amazonaws.com.", 443, "tcp", "signalling", "us-gov-west-1"),
        ("transport.connect.us-west-2.amazonaws.com", 443, "tcp", "signalling", "us-west-2"),
        ("rtc.connect-telecom.us-east-1.amazonaws.com", 443, "tcp", "signalling", "us-east-1"),
        ("rtc-cell-3.connect-telecom.us-east-1.amazonaws.com", 443, "tcp", "signalling", "us-east-1"),
        ("TURNNLB-8D79b4466d82ad0e.ELB.us-west-2.amazonaws.com", 3478, "udp", "media_relay", "us-west-2"),
        ("files.acme.s3.eu-central-1.amazonaws.com", 443, "tcp", "other", "eu-central-1"),
        ("us-west-2.signin.aws.amazon.com", 443, "tcp", "api", "us-west-2"),
        ("signin.aws.amazon.com", 443, "tcp", "api", "us-east-1"),
        ("i-0.us-east-1.sign-in.connect.aws", 443, "tcp", "api", "us-east-1"),
        ("a.b.us-west-2.region-discovery.connect.aws", 443, "tcp", "api", "us-west-2"),
        ("meet.chime.aws", 443, "tcp", "signalling", None),
        ("meet.chime.aws", 3478, "udp", "media_relay", None),
        ("connect.eu-west-2.amazonaws.com", 443, "tcp", "api", "eu-west-2"),
        ("resolver.example", 53, "udp", "dns", None),
        ("www.example.com", 443, "tcp", "other", None),
    ],
)
def test_a_name_tells_role_and_region(host: str, port: int, transport: str, role: str, region: str | None) -> None:
    identity = identify(host, None, port, transport)
    assert (identity.role, identity.region_code) == (role, region)


@pytest.mark.parametrize(
    "host",
    [
        "acme.my.connect.aws.example.com",
        "my.connect.aws.evil",
        "xcloudfront.net",
        "notchime.aws",
        "rtc.connect-telecom.us-east-1.amazonaws.com.example.net",
        "turnnlb-1.elb.us-west-2.amazonaws.com.attacker.example",
        "a" * 5000,
        "\x1b[2J.my.connect.aws\n",
        "",
    ],
)
def test_a_name_that_only_resembles_ours_is_other(host: str) -> None:
    assert identify(host, None, 443, "tcp").role == "other"


@pytest.mark.parametrize(
    ("address", "port", "transport", "role", "region"),
    [
        ("15.193.5.77", 3478, "udp", "media_relay", "eu-west-2"),
        ("15.193.11.1", 3478, "tcp", "media_relay", "ap-northeast-3"),
        ("18.236.61.10", 3478, "udp", "media_relay", "us-west-2"),
        ("2600:1f14:61::10", 3478, "udp", "media_relay", "us-west-2"),
        ("203.0.113.5", 3478, "udp", "media_relay", None),
        ("52.25.40.9", 443, "tcp", "other", "us-west-2"),
        ("8.8.8.8", 53, "tcp", "dns", None),
        ("10.0.0.1", 443, "tcp", "other", None),
    ],
)
def test_an_address_alone_tells_what_it_can(
    address: str, port: int, transport: str, role: str, region: str | None
) -> None:
    identity = identify(None, address, port, transport)
    assert (identity.role, identity.region_code) == (role, region)


def test_the_name_decides_before_the_address() -> None:
    identity = identify("x.transport.connect.eu-west-2.amazonaws.com", "52.25.40.9", 443, "tcp")
    assert identity.region_code == "eu-west-2"
    assert identify("acme.my.connect.aws", "52.25.40.9", 443, "tcp").region_code == "us-west-2"


def test_every_row_of_the_table_has_source_date_and_a_known_region() -> None:
    for pattern in read_patterns():
        assert pattern.source
        assert pattern.retrieved
        assert pattern.region_code == "*" or pattern.region_code in read_regions()
        assert pattern.symptom or pattern.needed_for == "identify"


def test_a_table_that_stands_in_for_the_regions_is_read(tmp_path: Path) -> None:
    file = tmp_path / "endpoints.csv"
    file.write_text(
        "\ufeffregion_code;role;host;port;transport;address;note\n"
        "eu-west-2;media_relay;turn.example;3478;udp;10.0.0.9;bench\nus-east-1;API;;443;TCP;::1;\n",
        encoding="utf-8",
    )
    first, second = read_endpoints(file)
    assert (first.host, first.address, first.port, first.transport) == ("turn.example", "10.0.0.9", 3478, "udp")
    assert (second.role, second.host) == ("api", "::1")


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ("eu-west-2,relay,h,3478,udp,", "role"),
        ("eu-west-2,api,h,0,tcp,", "port"),
        ("eu-west-2,api,h,x,tcp,", "port"),
        ("eu-west-2,api,h,443,icmp,", "transport"),
        ("eu-west-2,api,,443,tcp,", "host"),
        ("eu-west-2,api,h,443,tcp,10.0.0", "address"),
        (",api,h,443,tcp,", "region_code"),
    ],
)
def test_a_wrong_cell_names_row_and_column(tmp_path: Path, row: str, column: str) -> None:
    file = tmp_path / "e.csv"
    file.write_text(f"region_code,role,host,port,transport,address\n{row}\n")
    with pytest.raises(TableError) as caught:
        read_endpoints(file)
    assert (caught.value.row, caught.value.column) == (2, column)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"a,b\n1,2\n", b"region_code,role,host,port,transport\n"])
def test_a_file_that_is_no_such_table_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "e.csv"
    file.write_bytes(content)
    with pytest.raises(TableError):
        read_endpoints(file)
