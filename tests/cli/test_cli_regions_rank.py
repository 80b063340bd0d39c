"""``ccp-assess regions rank`` on the sample client and on broken ones, as its contract has it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"


def _rank(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "ccp_assess", "regions", "rank", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_the_sample_client_is_ranked_with_every_field_of_the_contract():
    done = _rank(SAMPLE, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    option = document["options"][0]
    assert option["rank"] == 1
    assert option["excluded_by"] == []
    assert {"mean", "p50", "p95", "band"} <= option["mouth_to_ear_ms"].keys()
    assert 1.0 <= option["mos_cqe"]["p05"] <= option["mos_cqe"]["mean"] <= 4.5
    assert 0 <= option["share_over_400_ms_pct"] <= option["share_over_150_ms_pct"] <= 100
    assert sum(o["probability_best_pct"] or 0.0 for o in document["options"]) == pytest.approx(100.0)
    measured = [row for row in option["by_site"] if row["basis"] == "measured"]
    assert measured
    assert all(row["agent_leg_ms"] > 0 for row in option["by_site"])
    recommendation = document["recommendation"]
    assert recommendation["regions"] == option["regions"]
    assert recommendation["runner_up"] == document["options"][1]["regions"]
    assert all({"what", "from", "to", "winner_becomes"} <= tip.keys() for tip in recommendation["tipping_points"])
    assert any("bench" in caveat for caveat in recommendation["caveats"])


def test_three_instances_are_options_too():
    done = _rank(SAMPLE, "--no-captures", "--instances", "3", "--json")
    sizes = {len(option["regions"]) for option in json.loads(done.stdout)["options"]}
    assert sizes == {1, 2, 3}


def test_people_read_three_sentences_and_a_table():
    lines = _rank(SAMPLE, "--no-captures").stdout.splitlines()
    assert lines[0].startswith("Create ")
    assert "comes second" in lines[1]
    assert any(line.lstrip().startswith("1  ") for line in lines)


def test_a_folder_that_does_not_exist_is_one_line_and_status_one(tmp_path):
    done = _rank(tmp_path / "nobody")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)


def test_a_broken_probe_file_costs_that_file_and_is_said(tmp_path):
    folder = tmp_path / "client"
    shutil.copytree(SAMPLE, folder, ignore=shutil.ignore_patterns("captures"))
    (folder / "probes" / "DEN" / "broken.json").write_text("{ not json", encoding="utf-8")
    done = _rank(folder, "--json")
    assert done.returncode == 0, done.stderr
    assert "broken.json could not be read and was left out" in done.stderr
    assert json.loads(done.stdout)["recommendation"]["regions"]


def test_constraints_that_leave_nothing_still_answer_by_what(tmp_path):
    folder = tmp_path / "client"
    shutil.copytree(SAMPLE, folder, ignore=shutil.ignore_patterns("captures", "probes"))
    text = (folder / "client.toml").read_text(encoding="utf-8")
    start = text.index("[constraints]")
    end = text.find("\n[", start + 1)
    rest = text[end:] if end > 0 else ""
    (folder / "client.toml").write_text(text[:start] + '[constraints]\nresidency = ["BR"]\n' + rest, encoding="utf-8")
    done = _rank(folder)
    assert done.returncode == 0, done.stderr
    assert "No Region meets all constraints" in done.stdout
    assert "residency" in done.stdout
