"""The rules for a Region and a client's choices."""

import ipaddress
import json
from pathlib import Path
from typing import Any

import pytest

from ccp_assess.allowlist import build, compare_options
from ccp_assess.allowlist.choices import minutes_of
from ccp_assess.errors import AllowlistError, UnknownRegionError
from ccp_assess.ranges import parse_ranges, read_ranges
from ccp_assess.regions import read_regions


def targets(built: Any, **wanted: str) -> list[str]:
    return [rule.target for rule in built.rules if all(getattr(rule, key) == value for key, value in wanted.items())]


def document(prefixes: list[tuple[str, str, str]]) -> Any:
    rows = {"prefixes": [], "ipv6_prefixes": []}
    for text, region, service in prefixes:
        key, column = ("ipv6_prefixes", "ipv6_prefix") if ":" in text else ("prefixes", "ip_prefix")
        rows[key].append({column: text, "region": region, "service": service})
    return parse_ranges(json.dumps({"createDate": "2030-01-01-00-00-00", "syncToken": "1"} | rows).encode(), name="doc")


def test_option_one_is_the_minimum_list_with_the_alias_filled_in() -> None:
    built = build(["eu-west-2"], instance="Acme")
    assert targets(built, kind="url") == [
        "https://acme.my.connect.aws/ccp-v2",
        "https://acme.my.connect.aws/api",
        "https://acme.my.connect.aws/auth/authorize",
    ]
    assert {
        "*.cloudfront.net",
        "*.static.connect.aws",
        "*.telemetry.connect.eu-west-2.amazonaws.com",
        "participant.connect.eu-west-2.amazonaws.com",
        "*.transport.connect.eu-west-2.amazonaws.com",
        "rtc*.connect-telecom.eu-west-2.amazonaws.com",
        "eu-west-2.signin.aws.amazon.com",
        "dl32tyuy2mmv6.cloudfront.net",
        "d2p8ibh10q5exz.cloudfront.net",
    } < set(targets(built, transport="tcp"))
    assert targets(built, transport="udp") == ["TurnNlb-*.elb.eu-west-2.amazonaws.com"]
    assert built.addresses_opened == {"v4": 0, "v6": "0"}
    for rule in built.rules:
        assert rule.source
        assert rule.retrieved
        assert rule.symptom
        assert rule.direction == "outbound"


def test_each_switch_adds_its_rows() -> None:
    def added(**switches: Any) -> set[str]:
        return set(targets(build(["us-east-1"], **switches))) - set(targets(build(["us-east-1"])))

    assert added(legacy_domain=True, instance=None) == {
        "https://*.awsapps.com/connect/ccp-v2",
        "https://*.awsapps.com/connect/api",
        "https://*.awsapps.com/connect/auth/authorize",
    }
    assert added(attachments_bucket="my.files-1") == {"my.files-1.s3.us-east-1.amazonaws.com"}
    assert added(scheduling=True) == {
        f"bm-prod-us-east-1-cell-{n}-uploadservice-staging.s3.us-east-1.amazonaws.com" for n in (1, 2)
    }
    assert added(saml=False) == {"d32i4gd7pg4909.cloudfront.net"}
    assert added(global_resiliency=True) == {
        "*.us-east-1.sign-in.connect.aws",
        "*.us-east-1.region-discovery.connect.aws",
    }
    assert len(added(turn="named")) == 3
    assert added(app_calling=True) == {"*.chime.aws"}


def test_an_address_of_shared_storage_is_a_url_and_never_a_bare_host() -> None:
    built = build(["us-gov-west-1"], saml=False)
    urls = [rule for rule in built.rules if "warp-drive" in rule.target]
    assert [rule.kind for rule in urls] == ["url"]
    assert not any(rule.target == "s3-us-gov-west-1.amazonaws.com" for rule in built.rules)


def test_agents_without_audio_in_the_browser_need_no_3478() -> None:
    for option in ("domains", "addresses", "hybrid"):
        built = build(["eu-west-2"], option, media_less=True, stateless="windows")
        assert {rule.port for rule in built.rules} == {"443"}
        assert any("telephone" in note for note in built.notes)


def reference(document_text: dict[str, Any], regions: list[str]) -> dict[tuple[str, str], list[Any]]:
    """Build Option 2 again, slowly, with the standard library."""
    v4 = [(ipaddress.ip_network(r["ip_prefix"]), r["region"], r["service"]) for r in document_text["prefixes"]]
    v6 = [(ipaddress.ip_network(r["ipv6_prefix"]), r["region"], r["service"]) for r in document_text["ipv6_prefixes"]]
    rows = v4 + v6
    no_ec2 = any(all(not (s == "EC2" and r == region) for _, r, s in rows) for region in regions)
    media = [n for n, r, s in rows if s == "AMAZON_CONNECT" and (r == "GLOBAL" or r in regions)]
    web = [n for n, r, s in rows if s == "EC2" and (r in regions or (no_ec2 and r == "GLOBAL"))]
    web += [n for n, _, s in rows if s == "CLOUDFRONT"]
    return {
        key: [
            str(n)
            for version in (4, 6)
            for n in ipaddress.collapse_addresses([network for network in nets if network.version == version])
        ]
        for key, nets in ((("3478", "udp"), media), (("443", "tcp"), web))
    }


@pytest.mark.shared
@pytest.mark.parametrize(
    "regions",
    [
        ["us-east-1", "us-west-2"],
        ["us-gov-east-1"],
        pytest.param(["eu-west-2"], marks=pytest.mark.long),
        pytest.param(list(read_regions()), marks=pytest.mark.long),
    ],
)
def test_option_two_is_exact_for_every_snapshot(shared: Path, regions: list[str]) -> None:
    import gzip

    for file in sorted((shared / "ranges").glob("ip-ranges_*.json.gz")):
        built = build(regions, "addresses", ranges=read_ranges(file))
        expected = reference(json.loads(gzip.decompress(file.read_bytes())), regions)
        for (port, transport), networks in expected.items():
            assert targets(built, port=port, transport=transport) == networks, file.name
        union = {4: 0, 6: 0}
        for version in (4, 6):
            every = [ipaddress.ip_network(n) for nets in expected.values() for n in nets]
            union[version] = sum(
                n.num_addresses for n in ipaddress.collapse_addresses([n for n in every if n.version == version])
            )
        assert built.addresses_opened == {"v4": union[4], "v6": str(union[6])}


def test_ec2_without_a_region_entry_falls_back_to_global() -> None:
    ranges = document(
        [("10.0.0.0/8", "GLOBAL", "EC2"), ("11.0.0.0/8", "us-east-1", "EC2"), ("12.0.0.0/8", "eu-west-1", "CLOUDFRONT")]
    )
    assert targets(build(["eu-west-2"], "addresses", ranges=ranges)) == ["10.0.0.0/8", "12.0.0.0/8"]
    assert targets(build(["us-east-1"], "addresses", ranges=ranges)) == ["11.0.0.0/8", "12.0.0.0/8"]
    assert targets(build(["us-east-1"], "addresses", ranges=ranges, ec2_global=True)) == ["10.0.0.0/7", "12.0.0.0/8"]
    assert any("--ec2-global" in note for note in build(["us-east-1"], "addresses", ranges=ranges).notes)


def test_blocks_are_collapsed_sorted_and_say_whose_they_are() -> None:
    ranges = document(
        [
            ("15.193.5.0/24", "eu-west-2", "AMAZON_CONNECT"),
            ("15.193.0.0/19", "GLOBAL", "AMAZON_CONNECT"),
            ("9.0.0.0/25", "eu-west-2", "AMAZON_CONNECT"),
            ("9.0.0.128/25", "us-east-1", "AMAZON_CONNECT"),
            ("2600::/40", "GLOBAL", "AMAZON_CONNECT"),
        ]
    )
    built = build(["eu-west-2", "us-east-1"], "hybrid", ranges=ranges)
    blocks = [(rule.target, rule.region_code) for rule in built.rules if rule.kind == "cidr"]
    assert blocks == [("9.0.0.0/24", "eu-west-2 us-east-1"), ("15.193.0.0/19", "GLOBAL"), ("2600::/40", "GLOBAL")]


def test_hybrid_has_names_for_443_and_blocks_for_3478() -> None:
    built = build(["us-west-2"], "hybrid")
    assert {rule.transport for rule in built.rules if rule.kind != "cidr"} == {"tcp"}
    assert targets(built, transport="udp") == [
        "15.193.0.0/19",
        "18.236.61.0/25",
        "54.190.198.32/28",
        "2600:f0f2:7100::/40",
    ]


@pytest.mark.parametrize(
    ("system", "port"),
    [("windows", "49152-65535"), ("linux", "32768-61000"), ("macos", "49152-65535"), ("any", "32768-65535")],
)
@pytest.mark.parametrize("option", ["domains", "addresses", "hybrid"])
def test_a_stateless_firewall_gets_the_inbound_rule_under_every_option(option: Any, system: Any, port: str) -> None:
    built = build(["eu-west-2"], option, stateless=system)
    inbound = [rule for rule in built.rules if rule.direction == "inbound"]
    assert {rule.target for rule in inbound} == {"15.193.0.0/19", "2600:f0f2:7100::/40"}
    assert {(rule.port, rule.transport) for rule in inbound} == {(port, "udp")}


def test_rules_carry_where_they_come_from() -> None:
    built = build(["eu-west-2"], from_subnets=["10.1.0.0/16 10.0.0.0/24", "10.1.0.0/16"])
    assert {rule.from_subnets for rule in built.rules} == {("10.0.0.0/24", "10.1.0.0/16")}
    assert built.to_document()["rules"][0]["from"] == ["10.0.0.0/24", "10.1.0.0/16"]


def test_the_document_has_the_fields_of_the_contract() -> None:
    row = build(["eu-west-2"]).to_document()["rules"][0]
    names = {"target", "kind", "from", "port", "transport", "direction", "purpose", "region_code"}
    assert names | {"source", "retrieved"} <= set(row)
    assert isinstance(row["port"], str)
    frame = build(["eu-west-2"]).to_frame()
    assert list(frame["target"]) == targets(build(["eu-west-2"]))
    assert "<script" not in build(["eu-west-2"])._repr_html_()


@pytest.mark.parametrize(
    ("switches", "words"),
    [
        ({"region": "ca-central-1"}, "behind *.my.connect.aws"),
        ({"region": "af-south-1"}, "no CloudFront names"),
        ({"region": "ap-northeast-3"}, "replica of ap-northeast-1"),
        ({"region": "ap-south-1"}, "not in AWS's table"),
        ({"region": "us-gov-west-1", "option": "addresses"}, "no IPv4 entry of AMAZON_CONNECT"),
        ({"region": "ap-northeast-3", "turn": "named"}, "no named TURN"),
        ({"turn": "named"}, "go stale"),
        ({"legacy_domain": True}, "migrate"),
        ({}, "cannot be changed or customised"),
        ({}, "approved origins"),
        ({}, "WebSockets"),
        ({}, "--attachments-bucket"),
        ({"option": "addresses"}, "whatever its Region"),
        ({"option": "addresses", "region": "us-west-2"}, "15.193.0.0/19 alone is not enough"),
        ({"option": "hybrid"}, "nslookup TurnNlb-1dc64a459ead57ea"),
        ({"shift": "8h", "breaks": "1h"}, "9 h 00 min (540 minutes)"),
        ({"stateless": "windows"}, "49152-65535"),
        ({"global_resiliency": True}, "eu-central-1"),
        ({"app_calling": True}, "99.77.128.0/18"),
    ],
)
def test_what_the_rules_cannot_say_stands_in_a_note(switches: dict[str, Any], words: str) -> None:
    chosen = dict(switches)
    built = build([chosen.pop("region", "eu-west-2")], chosen.pop("option", "domains"), **chosen)
    assert any(words in note for note in built.notes), built.notes


@pytest.mark.parametrize(
    "alias",
    ["", "a;b", "a b", "-a", "d-123", "a" * 46, "a\n", "../x", "<b>", "$(x)", "a.b", "*", "ä", 'x"y', "a\u2028b"],
)
def test_a_hostile_alias_is_refused(alias: str) -> None:
    with pytest.raises(AllowlistError, match="alias"):
        build(["eu-west-2"], instance=alias)


def test_a_whole_address_instead_of_the_alias_gets_a_hint() -> None:
    with pytest.raises(AllowlistError, match="give the alias alone: acme"):
        build(["eu-west-2"], instance="https://acme.my.connect.aws/ccp-v2")


@pytest.mark.parametrize(
    "switches",
    [
        {"attachments_bucket": "A"},
        {"attachments_bucket": "a..b"},
        {"attachments_bucket": "x/../y"},
        {"turn": "x"},
        {"stateless": "beos"},
        {"from_subnets": ["10.0.0.1/8"]},
        {"from_subnets": ["anywhere"]},
        {"shift": "long"},
        {"shift": ""},
        {"breaks": "1h"},
        {"instance_id": "1; drop"},
        {"static": "none"},
    ],
)
def test_a_wrong_choice_is_refused_in_one_sentence(switches: dict[str, Any]) -> None:
    with pytest.raises(AllowlistError) as caught:
        build(["eu-west-2"], **switches)
    assert "\n" not in str(caught.value)


def test_an_unknown_region_lists_the_known_ones_and_no_region_is_refused() -> None:
    with pytest.raises(UnknownRegionError, match="eu-west-2"):
        build(["eu-west-9"])
    with pytest.raises(AllowlistError, match="no Region"):
        build([])
    with pytest.raises(AllowlistError, match="option"):
        build(["eu-west-2"], "everything")  # type: ignore[arg-type]


def test_options_are_compared_by_what_they_open() -> None:
    rows = {row["option"]: row for row in compare_options(["us-east-1"])}
    assert rows["domains"]["addresses_v4"] == 0 < rows["hybrid"]["addresses_v4"] < rows["addresses"]["addresses_v4"]
    assert rows["hybrid"]["udp_addresses_v4"] == rows["addresses"]["udp_addresses_v4"] == 8192 + 32
    assert rows["domains"]["wildcards"] > 0
    assert rows["addresses"]["names"] == 0


@pytest.mark.parametrize(
    ("text", "minutes"), [("8h", 480), ("90m", 90), ("8h30m", 510), ("7.5h", 450), ("0.01h", 1), ("1H 5min", 65)]
)
def test_durations_are_read(text: str, minutes: int) -> None:
    assert minutes_of(text) == minutes


def test_what_no_block_of_option_two_holds_stands_there_by_name() -> None:
    built = build(["us-east-1"], "addresses", scheduling=True, attachments_bucket="my-files", global_resiliency=True)
    names = [rule.target for rule in built.rules if rule.kind == "domain"]
    assert "my-files.s3.us-east-1.amazonaws.com" in names
    assert len(names) == 5
    assert all(rule.kind == "cidr" for rule in build(["us-east-1"], "addresses").rules)
    assert any("signin.aws.amazon.com" in note for note in build(["us-east-1"], "addresses").notes)


def test_a_document_from_before_the_service_says_so() -> None:
    built = build(["us-east-1"], "addresses", ranges=document([("11.0.0.0/8", "us-east-1", "EC2")]))
    assert any("holds no entry of AMAZON_CONNECT at all" in note for note in built.notes)
    assert targets(built) == ["11.0.0.0/8"]
