"""`ccp-assess probe` as a user meets it: a table and plain words, one JSON document, a file that is whole or absent."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from loopback_servers import relay, serving_datagrams

from ccp_assess.probe.document_schema import parse_documents
from ccp_assess.probe.imports import probe_document_json, read_probe_file
from ccp_assess.probe.records import ReachFound, RegionReach, RelayFound
from ccp_assess.probe.rounds import vantage_of

ROOT = Path(__file__).resolve().parents[2]
HEADER = "region_code,role,host,port,transport,address\n"


SURROUNDINGS = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


def run(*arguments, timeout_s=60):
    return subprocess.run(
        [sys.executable, "-m", "ccp_assess", "probe", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=SURROUNDINGS,
        timeout=timeout_s,
    )


@pytest.fixture
def bench(tmp_path):
    """One Region whose relay answers and whose pages are closed, one whose relay does not answer."""
    with serving_datagrams(relay()) as (_, port), serving_datagrams(relay(silent=(b"\0\1", b"\0\3"))) as (_, silent):
        table = tmp_path / "endpoints.csv"
        table.write_text(
            f"{HEADER}eu-west-2,media_relay,turn.lab,{port},udp,127.0.0.1\n"
            f"eu-west-2,api,web.lab,9,tcp,127.0.0.1\n"
            f"us-east-1,media_relay,\x1b[31mturn2.lab,{silent},udp,127.0.0.1\n",
            encoding="utf-8",
        )
        yield table


def test_one_json_document_as_the_contract_says(bench):
    done = run("--endpoints", bench, "--site", "LIS", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert parse_documents(done.stdout) == (document,)  # the declared schema holds what is really written
    assert len(document["id"]) == 32
    assert document["site_id"] == "LIS"
    assert document["time"].endswith("Z")
    assert {"os", "privileged", "vantage"} <= document["host"].keys()
    assert document["host"]["vantage"] == "bench"  # all its addresses are of this computer
    london, virginia = document["regions"]
    assert (london["region_code"], london["via"], london["judgement"]["udp"]) == ("eu-west-2", "stun", "open")
    relay_row = london["relay"]
    assert (relay_row["allocate"], relay_row["mapped_address"], relay_row["transport"]) == (
        "challenged",
        "127.0.0.1",
        "udp",
    )
    assert all(rtt > 0 for rtt in relay_row["binding_rtt_ms"] if rtt is not None)
    assert london["tcp"][0]["outcome"] == "refused"
    assert [row["code"] for row in london["diagnosis"]] == ["TCP_REFUSED"]
    assert (virginia["relay"]["allocate"], virginia["relay"]["binding_rtt_ms"]) == ("no_answer", [None] * 5)
    assert virginia["via"] is None
    assert {row["severity"] for row in virginia["diagnosis"]} <= {"info", "warning", "critical"}
    assert london["path"]["hop_count"] == 1


def test_the_document_is_read_back_into_the_same_records(bench, tmp_path):
    place = tmp_path / "LIS__probe.json"
    done = run("--endpoints", bench, "--region", "eu-west-2", "--json", "--out", place)
    document = json.loads(place.read_text(encoding="utf-8"))
    assert document == json.loads(done.stdout)
    again = probe_document_json(read_probe_file(place))
    assert again["regions"][0]["relay"] == document["regions"][0]["relay"]
    assert again["regions"][0]["diagnosis"] == document["regions"][0]["diagnosis"]
    assert again["regions"][0]["via"] == "stun"
    assert list(place.parent.glob(".LIS*")) == []


def test_people_get_a_table_and_plain_words_without_control_characters(bench):
    done = run("--endpoints", bench)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].split()[:1] == ["Region"]
    assert any(line.startswith("eu-west-2") and " open " in line for line in lines)
    assert "CRITICAL TCP_REFUSED" in done.stdout
    assert "To change: Allow TCP 9 to web.lab." in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--quick", "--full"), 2, "not both"),
        (("--region", "mars-1"), 1, "mars-1"),
        (("--endpoints", "none.csv"), 1, "none.csv"),
        (("--names-from", "none.log"), 1, "none.log"),
        (("--instance", "two words"), 1, "is no alias"),
        (("--proxy", "socks5://x:1", "--region", "eu-west-2"), 1, "is no HTTP proxy"),
        (("--full", "--seconds", "0"), 2, "seconds"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_measured_or_written(tmp_path, arguments, status, words):
    place = tmp_path / "out.json"
    done = run(*arguments, "--out", place, "--json")
    assert done.returncode == status
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert status == 2 or len(done.stderr.strip().splitlines()) == 1
    assert not place.exists()


@pytest.mark.parametrize(
    ("addresses", "vantage"),
    [
        (["127.0.0.1", "::1"], "bench"),
        (["198.51.100.7", "198.18.0.1", "2001:db8::9"], "bench"),
        (["127.0.0.1", "15.193.5.10"], "workstation"),
        (["10.20.0.1"], "workstation"),  # a client's own network is no bench unless it is said
        ([], "workstation"),
    ],
)
def test_what_only_leads_to_addresses_of_nobody_is_a_bench(addresses, vantage):
    relays = tuple(
        RelayFound(host="turn.lab", address=address, port=3478, transport="udp", binding_rtt_ms=(1.0,))
        for address in addresses
    )
    region = RegionReach(region_code="eu-west-2", names=(), tcp=(), relays=relays)
    assert vantage_of(ReachFound(regions=(region,), complete=True)) == vantage


def test_each_region_is_told_while_the_round_goes_on(bench):
    watched = (
        "import json, pathlib, sys\n"
        "from ccp_assess.probe.rounds import RoundOptions, probe_round\n"
        "heard = []\n"
        "options = RoundOptions(endpoints=pathlib.Path(sys.argv[1]), proxy='direct')\n"
        "document = probe_round(options, on_region=heard.append)\n"
        "print(json.dumps([heard, document['regions']]))\n"
    )
    done = subprocess.run([sys.executable, "-c", watched, bench], capture_output=True, text=True, check=True, cwd=ROOT)
    heard, regions = json.loads(done.stdout)
    assert heard[0]["region_code"] == "eu-west-2"  # the one that answers comes before the one that is waited for
    last = {row["region_code"]: row for row in heard}
    assert last.keys() == {row["region_code"] for row in regions}
    for row in regions:
        told = last[row["region_code"]]
        assert (told["rtt_ms"], told["judgement"]) == (row["rtt_ms"], row["judgement"])
        assert (told["path"] or {}).get("hop_count") == (row["path"] or {}).get("hop_count")


def test_an_interrupted_round_ends_at_once_and_leaves_no_file(bench, tmp_path):
    place = tmp_path / "out.json"
    command = [sys.executable, "-m", "ccp_assess", "probe", "--endpoints", str(bench), "--full", "--out", str(place)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        time.sleep(2.0)
        child.send_signal(signal.SIGINT)
        _, told = child.communicate(timeout=20)
    assert child.returncode not in {0, None}
    assert "Traceback" not in told
    assert list(tmp_path.glob("*out.json*")) == []
