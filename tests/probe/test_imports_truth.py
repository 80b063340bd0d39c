"""Every sample in ../shared that has an expected result beside it, and the lab's traces against their truth."""

import ipaddress
import json
from pathlib import Path

import pytest

from ccp_assess.probe.imports import probe_document_json, read_probe_file

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared"
NET = SHARED / "logs" / "net"
TRACES = SHARED / "captures" / "lab" / "trace"
pytestmark = pytest.mark.shared


def one(path, **more):
    document = read_probe_file(path, **more)
    assert len(document.regions) == 1, [row.details for row in document.regions]
    return document.regions[0]


def same(text):
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text


def jc_samples(word):
    return sorted(path.stem for path in (NET / "jc").glob("*.json") if word in path.stem)


@pytest.mark.parametrize("stem", jc_samples("traceroute"))
def test_traceroute_agrees_with_jc_hop_by_hop_and_probe_by_probe(stem):
    truth = json.loads((NET / "jc" / f"{stem}.json").read_text())
    row = one(NET / "jc" / f"{stem}.out")
    details = row.details
    assert details["destination_address"] == same(truth["destination_ip"])
    assert [hop.ttl for hop in row.path.hops] == [hop["hop"] for hop in truth["hops"]]
    for ours, theirs in zip(row.path.hops, truth["hops"], strict=True):
        probes = [probe for probe in theirs["probes"] if probe["rtt"] is not None]
        assert [rtt for rtt in ours.rtts_ms if rtt is not None] == [probe["rtt"] for probe in probes]
        addresses = list(dict.fromkeys(same(p["ip"] or p["name"]) for p in theirs["probes"] if p["ip"] or p["name"]))
        assert list(ours.addresses or ((ours.address,) if ours.address else ())) == addresses
        numbers = {probe["asn"] for probe in probes if probe["asn"]} - {0}
        if len(addresses) == 1:
            assert ours.asn == (numbers.pop() if numbers else None)


@pytest.mark.parametrize("stem", jc_samples("ping"))
def test_ping_agrees_with_jc(stem):
    truth = json.loads((NET / "jc" / f"{stem}.json").read_text())
    row = one(NET / "jc" / f"{stem}.out")
    assert row.sent == truth["packets_transmitted"]
    assert row.received == truth["packets_received"]
    assert row.destination in {truth["destination"], same(truth["destination"]), same(truth["destination_ip"] or "")}
    if truth.get("destination_ip"):
        assert row.details["destination_address"] == same(truth["destination_ip"])
    assert row.rtt_min_ms == truth.get("round_trip_ms_min")
    assert row.details.get("rtt_avg_ms") == truth.get("round_trip_ms_avg")
    assert row.details.get("rtt_max_ms") == truth.get("round_trip_ms_max")
    replies = {}
    for reply in truth["responses"]:
        if reply["type"] == "reply" and not reply["duplicate"]:
            replies.setdefault(reply["icmp_seq"], reply["time_ms"])
    assert [rtt for rtt in row.rtts_ms if rtt is not None] == [replies[key] for key in sorted(replies)]


@pytest.mark.parametrize("stem", jc_samples("tracepath"))
def test_tracepath_agrees_with_jc(stem):
    truth = json.loads((NET / "jc" / f"{stem}.json").read_text())
    row = one(NET / "jc" / f"{stem}.out")
    wanted = {}
    for probe in truth["hops"]:
        if not probe["guess"]:
            wanted.setdefault(probe["ttl"], []).append((probe["host"], probe["reply_ms"]))
    assert [hop.ttl for hop in row.path.hops] == sorted(wanted)
    for hop in row.path.hops:
        assert list(hop.rtts_ms) == [time for _, time in wanted[hop.ttl]]
        assert hop.address == next((host for host, _ in wanted[hop.ttl] if host), None)
    assert row.details["path_mtu_bytes"] == truth["pmtu"]
    assert row.path.hop_count is None


def rich_samples():
    path = NET / "rich-traceroute" / "truth.developers.json"
    return sorted(json.loads(path.read_text())) if path.exists() else []


@pytest.mark.parametrize("name", rich_samples())
def test_the_samples_of_rich_traceroute_agree_with_its_developers(name):
    truth = json.loads((NET / "rich-traceroute" / "truth.developers.json").read_text())[name]
    row = one(NET / "rich-traceroute" / name)
    assert [str(hop.ttl) for hop in row.path.hops] == list(truth)
    for hop in row.path.hops:
        expected = truth[str(hop.ttl)]
        everyone = hop.addresses or ((hop.address,) if hop.address else ())
        assert list(everyone) == [same(answer["host"]) for answer in expected]
        if not expected:
            assert hop.received in {0, None}
            assert hop.rtt_avg_ms is None
        if len(expected) == 1:
            assert hop.rtt_avg_ms == pytest.approx(expected[0]["avg_rtt"], abs=0.0005)
            assert hop.rtt_min_ms == expected[0]["min_rtt"]
            assert hop.rtt_max_ms == expected[0]["max_rtt"]
            if expected[0]["loss"] is not None and hop.sent:
                judged = {hop.sent, hop.sent - 1}
                assert any(
                    100 * (1 - hop.received / n) == pytest.approx(expected[0]["loss"], abs=0.1) for n in judged if n
                )


def lab_files(*names):
    return sorted(
        f"{path.parent.name}/{path.name}" for path in TRACES.glob("*/*") if any(path.name.startswith(n) for n in names)
    )


@pytest.mark.parametrize("name", lab_files("mtr", "traceroute"))
def test_the_labs_traces_agree_with_the_network_that_was_configured(name):
    path = TRACES / name
    truth = json.loads((path.parent / "truth.json").read_text())
    row = one(path)
    assert row.region_code == "us-west-2"
    assert row.details["destination_address"] == same(truth["target"])
    by_ttl = {hop["ttl"]: hop for hop in truth["hops"]}
    extra = 2 * truth["impairment_each_direction"].get("delay_ms", 0)
    down = truth["impairment_each_direction"].get("down", False)
    for hop in row.path.hops:
        expected = by_ttl.get(hop.ttl)
        if hop.address is None:
            continue
        assert hop.address == same(expected["ip"])
        assert not expected.get("silent")
        assert not (down and expected.get("behind_impairment"))
        if hop.rtt_min_ms is not None and hop.ttl > 1 and not expected.get("icmp_answer_loss"):
            late = extra if expected.get("behind_impairment") else 0
            assert hop.rtt_min_ms == pytest.approx(expected["rtt_ms"] + late, abs=1.0)
    silent_port = "udp3478" in name  # a relay does not answer what is no STUN
    assert row.path.hop_count == (None if down or silent_port else 9)
    assert row.path.destination_answered is not (down or silent_port)


@pytest.mark.parametrize("name", lab_files("ping"))
def test_the_labs_pings_agree_with_the_network_that_was_configured(name):
    path = TRACES / name
    truth = json.loads((path.parent / "truth.json").read_text())
    row = one(path)
    assert row.region_code == "us-west-2"
    assert row.sent == 50
    if truth["impairment_each_direction"].get("down"):
        assert (row.received, row.rtt_p50_ms, row.rtts_ms) == (0, None, ())
        return
    delay = 38.0 + 2 * truth["impairment_each_direction"].get("delay_ms", 0)
    assert row.rtt_p50_ms == pytest.approx(delay, abs=1.0)
    assert len(row.rtts_ms) == 50
    loss = truth["expected_roundtrip_loss"]
    assert (row.received == 50) if not loss else (abs(row.received / 50 - (1 - loss)) < 0.2)


@pytest.mark.parametrize("name", sorted(path.name for path in (NET / "encodings").glob("*")))
def test_a_code_page_changes_nothing_but_words(name):
    encoded = one(NET / "encodings" / name)
    plain = one(NET / "excerpts" / f"{name.split('.')[0]}.txt")
    assert encoded.destination == plain.destination
    assert encoded.path == plain.path
    assert (encoded.rtts_ms, encoded.sent, encoded.received) == (plain.rtts_ms, plain.sent, plain.received)


@pytest.mark.parametrize(
    ("name", "destination", "hop_count", "hops"),
    [
        ("excerpts/ftr_sonic.txt", "8.8.8.8", 18, 18),
        ("excerpts/traceroute_bsd_sonic.txt", "8.8.8.8", 18, 18),
        ("excerpts/tracert_de_google.txt", "142.250.186.142", 7, 7),
        ("excerpts/tracert_en_expressroute_msdocs.txt", "10.17.11.132", 5, 5),
        ("excerpts/tracert_es_clarin.txt", "104.18.7.141", 9, 9),
        ("excerpts/tracert_es_telefonica.txt", "142.250.184.163", 14, 14),
        ("excerpts/tracert_fr_campus_mojibake.txt", "216.58.209.238", 13, 13),
        ("excerpts/tracert_fr_mobile_5hops.txt", "172.217.19.142", None, 5),
        ("excerpts/tracert_ja_lan.txt", "172.16.40.1", 4, 4),
        ("excerpts/tracert_pt_imitation.txt", "8.8.8.8", 6, 6),
        ("excerpts/tracert_ru_yandex.txt", "87.250.250.108", 9, 9),
        ("excerpts/tracert_zh_ipv6.txt", "2404:6800:4005:808::2004", 19, 19),
        ("excerpts/pathping_en_msdocs.txt", "10.54.1.196", 5, 5),
        ("excerpts/pathping_en_one_hop.txt", "10.216.20.1", 1, 1),
        ("mtr/go_mtr_readme_tonobo.txt", "8.8.8.8", 9, 9),
        ("mtr/winmtr_yarnet_ru.txt", None, 19, 19),
        ("mtr/mtr_exporter_1.json", "127.0.0.10", 10, 10),
    ],
)
def test_hop_counts_of_texts_in_many_languages(name, destination, hop_count, hops):
    row = one(NET / name)
    assert row.details.get("destination_address") == destination
    assert row.path.hop_count == hop_count
    assert len(row.path.hops) == hops


@pytest.mark.parametrize(
    ("name", "sent", "received", "low"),
    [
        ("ping_de_windows", 4, 4, 0.0),
        ("ping_en_windows_umass", 4, 4, 6.0),
        ("ping_es_loss25", 4, 3, 59.0),
        ("ping_fr_half_unreachable", 4, 0, None),
        ("ping_fr_ok", 4, 4, 1.0),
        ("ping_linux_tokyo", 5, 5, 7.59),
    ],
)
def test_pings_in_many_languages(name, sent, received, low):
    row = one(NET / "excerpts" / f"{name}.txt")
    assert (row.sent, row.received, row.rtt_min_ms) == (sent, received, low)
    assert row.path is None


def test_every_sample_becomes_the_contracts_document():
    for path in sorted(NET.rglob("*")) + sorted(TRACES.rglob("*")):
        if (
            not path.is_file()
            or "truth" in path.name
            or path.suffix == ".pcap"
            or (path.parent.name == "jc" and path.suffix == ".json")
        ):
            continue
        text = json.dumps(probe_document_json(read_probe_file(path, "LIS")), allow_nan=False)
        document = json.loads(text)
        assert document["site_id"] == "LIS"
        for row in document["regions"]:
            assert {"region_code", "dns", "tcp", "relay", "train", "path", "diagnosis"} <= set(row)
            for hop in row["path"]["hops"] if row["path"] else ():
                assert {
                    "ttl",
                    "address",
                    "sent",
                    "received",
                    "rtt_ms",
                    "rtt_min_ms",
                    "rtt_avg_ms",
                    "rtt_max_ms",
                    "asn",
                } <= set(hop)
