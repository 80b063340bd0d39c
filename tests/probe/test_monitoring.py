"""A shift of rounds, in virtual time: closed lids, changed networks, kills in the middle of a line."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccp_assess.errors import ParseError
from ccp_assess.probe.comparing import compare_rounds
from ccp_assess.probe.imports import read_probe_file
from ccp_assess.probe.monitoring import World, by_hour, monitor, round_trip_ms, slots
from ccp_assess.probe.round_files import append_round, read_rounds


class Clockwork:
    """A clock that only sleeping moves, and a lid that may close."""

    def __init__(self, *, closed: tuple[float, float] | None = None, chance: float = 0.0) -> None:
        self.now, self.closed, self.addresses = 1_000_000.0, closed, ["192.0.2.1"]
        self.world = World(now_s=lambda: self.now, sleep_s=self.sleep, own_address=self.address, chance=lambda: chance)

    def sleep(self, duration_s: float) -> None:
        self.now += duration_s
        if self.closed and self.now >= self.closed[0]:
            self.now, self.closed = max(self.now, self.closed[1]), None

    def address(self) -> str:
        return self.addresses.pop(0) if len(self.addresses) > 1 else self.addresses[0]


def document(rtt=20.0, time_text="2026-11-23T09:05:00Z", **more):
    return {"time": time_text, "regions": [{"region_code": "eu-west-2", "rtt_ms": [rtt], "via": "stun", **more}]}


def test_a_shift_of_eight_hours_has_a_round_every_five_minutes(tmp_path):
    clockwork, starts = Clockwork(chance=1.0), []

    def measure():
        starts.append(clockwork.now)
        clockwork.now += 2.0
        return document()

    file = tmp_path / "of a shift" / "m.jsonl"
    assert monitor(measure, file, every_s=300, for_s=28_800, world=clockwork.world) == 96
    assert [round(start - starts[0]) for start in starts[1:4]] == [330, 630, 930]  # at random up to a tenth late
    assert len(read_rounds(file).documents) == 96


def test_rounds_that_the_computer_slept_through_are_told_and_not_made_up_for(tmp_path):
    began = 1_000_000.0
    clockwork = Clockwork(closed=(began + 650, began + 3_700))
    done = monitor(document, tmp_path / "m.jsonl", every_s=300, for_s=6_000, world=clockwork.world)
    rounds = read_rounds(tmp_path / "m.jsonl").documents
    assert done == len(rounds) == 20 - 9
    told = [row for row in rounds if row["notes"]]
    assert [row["round"] for row in told] == [12]
    assert told[0]["notes"][0].startswith("9 rounds before this one were missed")


def test_a_computer_that_sleeps_past_the_end_measures_no_more(tmp_path):
    clockwork = Clockwork(closed=(1_000_400.0, 2_000_000.0))
    assert monitor(document, tmp_path / "m.jsonl", every_s=300, for_s=6_000, world=clockwork.world) == 2


def test_a_changed_network_is_told(tmp_path):
    clockwork = Clockwork()
    clockwork.addresses = ["192.0.2.1", "192.0.2.1", "10.8.0.2", None]
    monitor(document, tmp_path / "m.jsonl", every_s=60, for_s=240, world=clockwork.world)
    notes = [row["notes"] for row in read_rounds(tmp_path / "m.jsonl").documents]
    assert [len(row) for row in notes] == [0, 0, 1, 1]


@given(st.lists(st.floats(0, 5000), max_size=12), st.floats(0, 1))
def test_rounds_are_numbered_in_order_and_none_is_counted_twice(takes, chance):
    clockwork = Clockwork(chance=chance)
    seen, missed_all = [], 0
    for number, missed in slots(300.0, 20, clockwork.world):
        seen.append(number)
        missed_all += missed
        clockwork.now += takes.pop() if takes else 0.0
    assert seen == sorted(set(seen))
    assert len(seen) + missed_all <= 20


def test_a_line_cut_by_a_kill_costs_that_line_only(tmp_path):
    file = tmp_path / "m.jsonl"
    append_round(file, document())
    with file.open("ab") as half:
        half.write(b'{"time": "2026-11-23T09:1')
    append_round(file, document(rtt=30.0))
    rounds = read_rounds(file)
    assert [row["regions"][0]["rtt_ms"] for row in rounds.documents] == [[20.0], [30.0]]
    assert rounds.notes == ("Line 2 is cut or no JSON; it was left out and the others were read.",)


def test_what_is_no_round_is_told_by_line_and_a_file_without_any_is_refused(tmp_path):
    file = tmp_path / "m.jsonl"
    file.write_text(json.dumps(document()) + '\n{"a": 1}\n\n[1\n', encoding="utf-8")
    assert len(read_rounds(file).notes) == 2
    file.write_bytes(b"\x00\xff not json")
    with pytest.raises(ParseError, match="holds no round"):
        read_rounds(file)
    with pytest.raises(ParseError, match="cannot be read"):
        read_rounds(tmp_path / "missing.jsonl")


def test_one_document_or_a_list_of_them_is_read_too(tmp_path):
    (tmp_path / "one.json").write_text(json.dumps(document(), indent=1), encoding="utf-8")
    (tmp_path / "list.json").write_text(json.dumps([document(), document()]), encoding="utf-8")
    assert len(read_rounds(tmp_path / "one.json").documents) == 1
    assert len(read_rounds(tmp_path / "list.json").documents) == 2


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(data):
    import tempfile

    with tempfile.NamedTemporaryFile() as file:
        file.write(json.dumps(document()).encode() + b"\n" + data)
        file.flush()
        assert read_rounds(Path(file.name)).documents[0] == document()


def test_hours_show_the_median_round_and_what_had_no_answer():
    rounds = [
        document(20.0, "2026-11-23T09:05:00Z"),
        document(40.0, "2026-11-23T09:35:00Z"),
        document(None, "2026-11-23T09:55:00Z"),
        document(80.0, "2026-11-23T14:00:00+02:00", train={"rtt_p50_ms": 90.0, "loss_pct": 0.5}),
        document(time_text="not a time"),
    ]
    nine, noon = by_hour(rounds, UTC)
    assert (nine["hour"], nine["rounds"], nine["rtt_p50_ms"], nine["rtt_max_ms"], nine["unanswered"]) == (
        9,
        3,
        30,
        40,
        1,
    )
    assert (noon["hour"], noon["rtt_p50_ms"], noon["loss_pct"]) == (12, 90.0, 0.5)
    assert nine["loss_pct"] is None
    assert datetime.now(UTC)


def test_a_round_trip_is_unknown_where_nothing_answered():
    assert round_trip_ms({"rtt_ms": [], "relay": {"binding_rtt_ms": [None, None]}}) is None
    assert round_trip_ms({"relay": {"binding_rtt_ms": [None, 12.5]}}) == 12.5


@pytest.mark.skipif(os.name == "nt", reason="kills by signal")
def test_kill_9_in_the_middle_of_a_shift_keeps_every_finished_round(tmp_path):
    table = tmp_path / "endpoints.csv"
    table.write_text(
        "region_code,role,host,port,transport,address\neu-west-2,media_relay,turn.test,9,udp,127.0.0.1\n",
        encoding="utf-8",
    )
    out = tmp_path / "m.jsonl"
    words = ["monitor", "--endpoints", table, "--every", "1s", "--for", "60s", "--out", out]
    with subprocess.Popen(
        [sys.executable, "-m", "ccp_assess", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        until = time.monotonic() + 60
        while time.monotonic() < until and (not out.exists() or out.read_bytes().count(b"\n") < 2):
            assert run.poll() is None, run.stderr.read()
            time.sleep(0.05)
        run.send_signal(signal.SIGKILL)
        run.communicate()
    finished = out.read_bytes().count(b"\n")
    assert finished >= 2
    assert len(read_rounds(out).documents) >= finished


def test_a_monitor_takes_a_proxy_script_and_a_bench_as_the_single_round_does(tmp_path):
    table = tmp_path / "endpoints.csv"
    table.write_text(
        "region_code,role,host,port,transport,address\neu-west-2,media_relay,turn.test,9,udp,127.0.0.1\n",
        encoding="utf-8",
    )
    out, script = tmp_path / "m.jsonl", tmp_path / "none.pac"
    words = ["monitor", "--endpoints", table, "--every", "1s", "--for", "1s", "--out", out, "--pac", script, "--bench"]
    done = subprocess.run(
        [sys.executable, "-m", "ccp_assess", *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (round_,) = read_rounds(out).documents
    assert round_["host"]["vantage"] == "bench"
    assert any("none.pac" in note for note in round_["notes"])


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"train": 7}, r"regions\[0\].train must be an object"),
        ({"relay": ["x"]}, r"regions\[0\].relay must be an object"),
        ({"via": [1]}, r"regions\[0\].via must be text"),
        ({"tcp": ["x"]}, r"regions\[0\].tcp\[0\] must be an object"),
        ({"region_code": []}, r"regions\[0\].region_code must be text"),
        ({"rtt_ms": [float("inf")]}, r"regions\[0\].rtt_ms\[0\] must be a number from 0"),
        ({"note": float("nan")}, r"regions\[0\].note must be a number below"),
        ({"note": 10**400}, r"regions\[0\].note must be a number below"),
        ({"path": {"hops": [{"ttl": 0}]}}, r"regions\[0\].path.hops\[0\].ttl must be a whole number from 1"),
        ({"deep": json.loads("[" * 300 + "]" * 300)}, "nested deeper than 24 levels"),
    ],
)
def test_a_document_that_does_not_fit_the_schema_is_told_with_the_place(tmp_path, changes, place):
    good, bad = document(), document()
    bad["regions"][0] |= changes
    file = tmp_path / "m.jsonl"
    file.write_text(f"{json.dumps(good)}\n{json.dumps(bad)}\n", encoding="utf-8")
    rounds = read_rounds(file)
    assert rounds.documents == (good,)
    (note,) = rounds.notes
    assert re.search(f"line 2: this is no probe document: .*{place}", note)
    compare_rounds(rounds.documents, rounds.documents)
    with pytest.raises(ParseError, match=f"document 2: this is no probe document: .*{place}"):
        read_probe_file(file)
    file.write_text(json.dumps(bad), encoding="utf-8")
    with pytest.raises(ParseError, match=f"holds no round .*{place}"):
        read_rounds(file)
