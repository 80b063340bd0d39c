"""The commands `witness read`, `join` and `taps`: the contract's words, one sentence for what cannot be read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from ccp_logs import LAB, agent_log, entry, samples_of
from typer.testing import CliRunner

from ccp_assess.cli.witness import app
from ccp_assess.errors import ParseError

ONE = "b44757a2-b0f4-4ee7-8d4d-6dfc8694e06a"


def run(*arguments: Any) -> Any:
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.mark.shared
def test_what_is_read_has_the_contracts_names(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text(json.dumps(agent_log(samples_of("loss3_down"), ONE)))
    (tmp_path / "diary.txt").write_text("5:45PM anna LT2\n")
    result = run("read", tmp_path / "log.txt", tmp_path / "diary.txt", "--json")
    documents = json.loads(result.stdout)
    assert [one["kind"] for one in documents] == ["agent_log", "diary"]
    log = documents[0]
    assert {"contact_id", "start_time", "end_time", "in", "out", "rtt_ms"} <= set(log["calls"][0])
    assert len(log["seconds"]) == 82
    assert {"time", "direction", "packets", "lost", "jitter_ms", "rtt_ms", "audio_level"} <= set(log["seconds"][0])
    assert {"time", "code", "text"} == set(log["events"][0])
    assert documents[1]["seconds"] == []


def test_people_are_shown_calls_and_no_control_characters(tmp_path: Path) -> None:
    rows = [entry(1_795_000_000_000, f"contact::connected::{ONE}"), entry(1_795_000_001_000, "\x1b[2J", level="ERROR")]
    (tmp_path / "a\x1b[31m.txt").write_text(json.dumps(rows))
    result = run("read", tmp_path / "a\x1b[31m.txt")
    assert ONE in result.stdout
    assert "\x1b" not in result.stdout


@pytest.mark.shared
def test_joined_calls_are_shown_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text(json.dumps(agent_log(samples_of("loss3_down"), ONE, shift_ms=3000)))
    arguments = ("join", LAB / "pcap" / "loss3_down.pcap", tmp_path / "log.txt")
    document = json.loads(run(*arguments, "--json").stdout)
    assert document["calls"][0]["together"]["side"] == "way_in"
    text = run(*arguments).stdout
    assert "log.txt: moved by -300" in text
    assert "Only the way towards the agent loses" in text


def test_taps_are_told_with_their_spread(tmp_path: Path) -> None:
    rate_hz = 8000
    sound = np.random.default_rng(1).normal(size=rate_hz * 16) * 1e-3
    knock = np.sin(np.arange(300) * 0.8) * np.exp(-np.arange(300) / 40)
    for tap_s in (2, 6, 10):
        for at_s, loud in ((tap_s, 1.0), (tap_s + 0.4, 0.3)):
            sound[int(at_s * rate_hz) : int(at_s * rate_hz) + 300] += loud * knock
    soundfile.write(tmp_path / "w.wav", 0.8 * sound, rate_hz)
    assert "overall       400 ms  (3 taps" in run("taps", tmp_path / "w.wav").stdout
    documents = json.loads(run("taps", tmp_path / "w.wav", tmp_path / "w.wav", "--json").stdout)
    assert documents[0]["kind"] == "tap_test"
    assert documents[0]["latency_ms"]["agent"]["mean"] == 0
    assert documents[0]["latency_ms"]["pstn"]["n"] == 3


def test_what_cannot_be_read_is_one_sentence_and_exit_status_1(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("hello")
    command = [sys.executable, "-m", "ccp_assess", "witness", "read", str(tmp_path / "x.txt"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert isinstance(run("read", tmp_path / "none").exception, ParseError)
