"""What is reached: the service's names, those of an instance, those seen in evidence, or a table instead."""

import gzip

import pytest

from ccp_assess.endpoints import read_endpoints
from ccp_assess.errors import ProbeError, UnknownRegionError
from ccp_assess.probe.targets import offered_regions, read_service_names, region_targets, targets_from_endpoints


def test_every_region_of_the_service_has_a_name_to_reach_and_relays_are_in_lower_case():
    regions = region_targets(())
    assert len(regions) == len(offered_regions()) >= 12
    for region in regions:
        assert any(target.transport == "tcp" and not target.is_extra for target in region.targets)
        for target in region.targets:
            assert target.host == target.host.lower()
            assert "*" not in target.host
            assert "{" not in target.host
    relays = {region.region_code for region in regions for target in region.targets if target.role == "media_relay"}
    assert {"eu-west-2", "us-east-1", "us-gov-west-1"} <= relays


def test_wildcards_are_said_to_be_untested_with_the_reason():
    (region,) = region_targets(["eu-west-2"])
    names = {one.name: one.reason for one in region.untested}
    assert "not testable" in names["*.transport.connect.eu-west-2.amazonaws.com"]
    assert not any(name.startswith("turnnlb") for name in names)  # a relay is known by name


def test_a_region_without_a_named_relay_says_that_its_relays_are_untested():
    (region,) = region_targets(["ap-northeast-3"])
    assert any(one.name.startswith("turnnlb-") for one in region.untested)


def test_the_instances_own_name_goes_to_the_only_region_asked():
    (region,) = region_targets(["eu-west-2"], instance="Acme-1")
    (own,) = [target for target in region.targets if target.host == "acme-1.my.connect.aws"]
    assert (own.port, own.transport, own.role) == (443, "tcp", "api")
    *_, last = region_targets(["eu-west-2", "us-east-1"], instance="acme.my.connect.aws")
    assert (last.region_code, [target.host for target in last.targets]) == (None, ["acme.my.connect.aws"])


@pytest.mark.parametrize("alias", ["", "two words", "a.b", "-x", "a" * 70, "x\ny"])
def test_what_is_no_alias_is_refused_with_an_example(alias):
    with pytest.raises(ProbeError, match="is no alias"):
        region_targets(["eu-west-2"], instance=alias)


def test_an_unknown_region_is_named():
    with pytest.raises(UnknownRegionError):
        region_targets(["eu-west-9"])


LOG = b"""2026-11-23 wss://ab12.transport.connect.eu-west-2.amazonaws.com/socket opened
{"url":"turn:TurnNlb-00aa11bb22cc33dd.elb.eu-west-2.amazonaws.com:3478?transport=udp"}
https://acme.my.connect.aws/ccp-v2 evil-amazonaws.com.example.org notamazonaws.com http://x.static.connect.aws"""


def test_names_behind_wildcards_are_taken_from_a_log_and_stand_in_their_regions(tmp_path):
    log = tmp_path / "agent.log"
    log.write_bytes(LOG)
    names = read_service_names(log)
    assert names == (
        "ab12.transport.connect.eu-west-2.amazonaws.com",
        "acme.my.connect.aws",
        "turnnlb-00aa11bb22cc33dd.elb.eu-west-2.amazonaws.com",
        "x.static.connect.aws",
    )
    region, others = region_targets(["eu-west-2"], names=names)[0], region_targets(["eu-west-2"], names=names)[1:]
    by_host = {target.host: target for target in region.targets}
    assert by_host["ab12.transport.connect.eu-west-2.amazonaws.com"].role == "signalling"
    assert by_host["turnnlb-00aa11bb22cc33dd.elb.eu-west-2.amazonaws.com"].transport == "udp"
    assert not any("transport" in one.name for one in region.untested)
    assert {target.host for one in others for target in one.targets} >= {"acme.my.connect.aws"}


def test_a_client_folder_is_looked_through_whatever_it_holds(tmp_path):
    for part in ("logs/LIS", "captures", "other"):
        (tmp_path / part).mkdir(parents=True)
    (tmp_path / "logs/LIS/a.txt").write_bytes(LOG)
    (tmp_path / "captures/b.pcap").write_bytes(
        b"\xd4\xc3\xb2\xa1\x00\x17sni.telemetry.connect.us-east-1.amazonaws.com\x00"
    )
    (tmp_path / "other/c.txt").write_bytes(b"zz.transport.connect.us-east-1.amazonaws.com")
    names = read_service_names(tmp_path)
    assert "sni.telemetry.connect.us-east-1.amazonaws.com" in names
    assert not any(name.startswith("zz.") for name in names)


def test_evidence_without_such_a_name_is_one_sentence(tmp_path):
    empty = tmp_path / "empty.gz"
    empty.write_bytes(gzip.compress(b"nothing"))
    with pytest.raises(ProbeError, match="no name of the service in it"):
        read_service_names(empty)
    with pytest.raises(ProbeError, match="cannot be read"):
        read_service_names(tmp_path / "none")


def test_a_table_stands_in_for_the_regions(tmp_path):
    table = tmp_path / "endpoints.csv"
    table.write_text(
        "region_code;role;host;port;transport;address\n"
        "eu-west-2;media_relay;TURN.lab;3478;udp;127.0.0.1\n"
        "lab-1;api;web.lab;8443;tcp;\n",
        encoding="utf-8",
    )
    endpoints = read_endpoints(table)
    one, two = targets_from_endpoints(endpoints)
    assert (one.region_code, one.targets[0].host, one.targets[0].address) == ("eu-west-2", "turn.lab", "127.0.0.1")
    assert (two.region_code, two.targets[0].port, two.targets[0].address) == ("lab-1", 8443, None)
    assert [region.region_code for region in targets_from_endpoints(endpoints, ["lab-1"])] == ["lab-1"]
    with pytest.raises(ProbeError, match="no row for 'us-east-1'; it has eu-west-2, lab-1"):
        targets_from_endpoints(endpoints, ["us-east-1"])
