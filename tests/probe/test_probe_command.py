"""`ccp-assess probe import` as a user meets it: JSON alone on standard output, one line of error, exit status."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROBES = ROOT / "data" / "sample" / "probes"


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "ccp_assess", "probe", "import", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )


def test_json_is_a_list_with_one_document_per_file_in_order():
    files = [
        PROBES / "DEN" / "bench__us-west-2__lab-mtr.json",
        PROBES / "HOM" / "bench__us-west-2__lab-ping.txt",
        PROBES / "CPT" / "bench__af-south-1__mtr.csv",
    ]
    done = run(*files, "--site", "LIS", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    documents = json.loads(done.stdout)
    assert [document["tool"] for document in documents] == ["mtr", "ping", "mtr"]
    assert {document["site_id"] for document in documents} == {"LIS"}
    assert [document["regions"][0]["region_code"] for document in documents] == ["us-west-2", "us-west-2", "af-south-1"]
    assert [row["path"] and row["path"]["hop_count"] for d in documents for row in d["regions"]] == [9, None, 19]
    hop = documents[0]["regions"][0]["path"]["hops"][5]
    assert (hop["ttl"], hop["address"], hop["sent"], hop["received"], hop["rtt_ms"]) == (6, None, 50, 0, [])
    assert (hop["rtt_min_ms"], hop["rtt_avg_ms"], hop["rtt_max_ms"]) == (None, None, None)


def test_without_json_there_is_one_line_per_destination():
    done = run(PROBES / "MAN" / "bench__eu-west-2__mtr-report.txt")
    assert done.returncode == 0
    assert "eu-west-2" in done.stdout
    assert "8 hops" in done.stdout


@pytest.mark.parametrize("content", ["Dear team,\n", "", "{", '{"report": {"mtr": {}, "hubs": 5}}'])
def test_what_cannot_be_read_is_one_line_on_standard_error_and_status_1(content, tmp_path):
    bad = tmp_path / "bad.txt"
    bad.write_text(content)
    done = run(PROBES / "DEN" / "bench__us-west-2__lab-mtr.json", bad, "--json")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert str(bad) in done.stderr
    assert "Traceback" not in done.stderr


def test_no_file_is_a_wrong_call():
    assert run().returncode == 2
