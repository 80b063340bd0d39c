"""The command ``ccp-assess quality`` as its contract has it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


def _run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "ccp_assess", "quality", *arguments], capture_output=True, text=True, check=False
    )


def test_the_default_connection_prints_the_published_values():
    done = _run("--delay-ms", "0", "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 0
    assert document["scale"] == "narrowband"
    assert round(document["r_factor"], 4) == 93.2062
    assert round(document["mos_cqe"], 3) == 4.409
    assert {"id", "ie_eff"} <= document.keys()


def test_echo_and_tandem_are_understood():
    document = json.loads(_run("--delay-ms", "300", "--codec", "opus+g711", "--echo-telr-db", "65", "--json").stdout)
    assert document["r_factor"] == pytest.approx(72.7 - 2.0, abs=0.05)


def test_a_broken_number_ends_with_one_line_and_status_one():
    done = _run("--delay-ms", "-5")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "delay" in done.stderr


def test_a_sentence_for_people():
    assert "MOS-CQE 4.41" in _run("--delay-ms", "0").stdout
