"""The sample client's probes: all are read, all say that they come from a bench, all agree with its plan."""

import json
from pathlib import Path

import pytest
from bench_wan import read_plan, truth_of

from ccp_assess.probe.imports import probe_document_json, read_probe_file

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"
FILES = sorted(path.relative_to(SAMPLE).as_posix() for path in (SAMPLE / "probes").glob("*/*"))


def test_there_are_probes_of_every_site_of_the_sample():
    assert {name.split("/")[1] for name in FILES} == {"DEN", "SLC", "HOM", "CPT", "MAN"}


@pytest.mark.parametrize("name", FILES)
def test_a_probe_of_the_sample_is_marked_and_names_its_region(name):
    document = probe_document_json(read_probe_file(SAMPLE / name, name.split("/")[1]))
    assert document["host"]["vantage"] == "bench"
    assert document["site_id"] == name.split("/")[1]
    assert {row["region_code"] for row in document["regions"]} == {name.split("__")[1]}


@pytest.mark.parametrize("name", [name for name in FILES if "lab-" not in name])
def test_a_probe_of_the_bench_agrees_with_what_the_bench_was_told(name):
    site, region = name.split("/")[1], name.split("__")[1]
    truth = json.loads((SAMPLE / "bench-truth.json").read_text())[site][region]
    (row,) = read_probe_file(SAMPLE / name).regions
    if "udp3478" in name:
        assert row.path.hop_count is None  # the firewall of that site drops it
        assert row.rtt_p50_ms is None
        return
    assert row.path.hop_count == truth["hop_count"]
    assert truth["rtt_ms"] <= row.rtt_min_ms <= truth["rtt_ms"] + 12


def test_the_plan_of_the_bench_is_the_truth_beside_the_sample():
    plan = read_plan(SAMPLE.parents[1] / "tools" / "wan_bench_sample.toml")
    assert truth_of(plan) == json.loads((SAMPLE / "bench-truth.json").read_text())


LAB = {
    "captures/DEN/bench__desk-call.pcap": "pcap/clean-snap96.pcap",
    "captures/SLC/bench__first-call-fails.pcap": "pcap/fail_udp_drop.pcap",
    "captures/SLC/bench__call-over-tcp.pcap": "pcap/tcp3478.pcap",
    "captures/HOM/bench__choppy-audio.pcap": "pcap/loss_window.pcap",
    "captures/HOM/bench__slow-computer.pcap": "pcap/agent_stall.pcap",
    "captures/CPT/bench__through-the-vpn.pcap": "pcap/delay150.pcap",
    "probes/DEN/bench__us-west-2__lab-mtr.json": "trace/base/mtr.json",
    "probes/DEN/bench__us-west-2__lab-traceroute-udp.txt": "trace/base/traceroute-udp.txt",
    "probes/SLC/bench__us-west-2__lab-mtr-tcp443.json": "trace/base/mtr-tcp443.json",
    "probes/HOM/bench__us-west-2__lab-mtr-report.txt": "trace/lan_loss10/mtr-report.txt",
    "probes/HOM/bench__us-west-2__lab-ping.txt": "trace/lan_loss10/ping.txt",
}


@pytest.mark.shared
@pytest.mark.parametrize("name", sorted(LAB))
def test_what_comes_from_the_lab_is_the_labs_byte_for_byte(name, shared):
    assert (SAMPLE / name).read_bytes() == (shared / "captures" / "lab" / LAB[name]).read_bytes()


def test_the_readme_of_the_sample_tells_where_every_capture_and_lab_trace_comes_from():
    told = (SAMPLE / "README.md").read_text()
    captures = {path.relative_to(SAMPLE).as_posix() for path in (SAMPLE / "captures").glob("*/*")}
    assert captures == {name for name in LAB if name.startswith("captures/")}
    for name in captures:
        assert f"`{name}`" in told
        assert LAB[name].split("/")[1].split(".")[0] in told


def test_the_sample_stays_small():
    assert sum(path.stat().st_size for path in (SAMPLE / "captures").rglob("*") if path.is_file()) <= 3_000_000
