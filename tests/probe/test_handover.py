"""Rounds of a monitor are handed over, each once, whatever happens to the place, to the monitor or to the file."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import typer
from typer.testing import CliRunner

from ccp_assess.cli.monitor import monitor as monitor_command
from ccp_assess.errors import ProbeError
from ccp_assess.files import make_key
from ccp_assess.fleet.collect import Collector, CollectResult
from ccp_assess.fleet.collect_documents import Terms
from ccp_assess.fleet.store import Store
from ccp_assess.probe import drop as dropping
from ccp_assess.probe import handover as handing
from ccp_assess.probe.drop import drop, drop_name
from ccp_assess.probe.handover import Courier, HandOver
from ccp_assess.probe.monitoring import World, monitor
from ccp_assess.probe.round_files import append_round
from ccp_assess.probe.signed import key_id, signed_file

KEY = b"k" * 32
APP = typer.Typer()
APP.command()(monitor_command)
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def document(number: int) -> dict[str, Any]:
    return {
        "id": f"{number:032x}",
        "site_id": "LIS",
        "time": f"2026-11-23T{8 + number // 60:02d}:{number % 60:02d}:00.000000Z",
        "tool": "ccp-assess",
        "host": {"os": "Linux", "privileged": False, "vantage": "workstation"},
        "regions": [{"region_code": "eu-west-2", "via": "stun", "rtt_ms": [30.0 + number], "diagnosis": []}],
    }


def collect(inbox: Path, out: Path, *, take: bool = False) -> CollectResult:
    terms = Terms(keys={key_id(KEY): KEY}, client="acme")
    with Collector(str(inbox), str(out), terms, take=take, now=lambda: NOW) as collector:
        return collector.round()


def ids_in(inbox: Path) -> list[str]:
    return sorted(json.loads(json.loads(path.read_text())["payload"])["id"] for path in inbox.glob("*.json"))


def expected(count: int) -> list[str]:
    return [f"{number:032x}" for number in range(1, count + 1)]


@pytest.fixture
def rounds(tmp_path: Path) -> Path:
    file = tmp_path / "m.jsonl"
    for number in (1, 2, 3):
        append_round(file, document(number))
    return file


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def test_each_round_becomes_one_signed_file_and_is_handed_over_once(rounds: Path, inbox: Path, tmp_path: Path) -> None:
    over = HandOver(rounds, KEY, str(inbox))
    assert over.waiting() == 3
    assert over.hand_over() == 3
    assert over.hand_over() == 0
    assert ids_in(inbox) == expected(3)
    assert collect(inbox, tmp_path / "out", take=True).documents == 3
    append_round(rounds, document(4))
    assert HandOver(rounds, KEY, str(inbox)).hand_over() == 1  # a monitor that was started anew
    assert ids_in(inbox) == expected(4)[3:]
    assert collect(inbox, tmp_path / "out").documents == 1


def test_a_shift_goes_on_while_the_place_is_away_and_all_arrives_once(tmp_path: Path, inbox: Path) -> None:
    """The share goes away after the second round and is back before the sixth."""
    file, away = tmp_path / "m.jsonl", tmp_path / "away"
    now, told, numbers = [1_000_000.0], [], iter(range(1, 9))
    world = World(now_s=lambda: now[0], sleep_s=lambda s: now.__setitem__(0, now[0] + s), own_address=lambda: "::1")
    over = HandOver(file, KEY, str(inbox))
    courier = Courier(over, told.append)

    def measure() -> dict[str, Any]:
        number = next(numbers)
        if number == 3:
            inbox.rename(away)
        if number == 6:
            away.rename(inbox)
        return document(number)

    def tell(*_: Any) -> None:
        courier._try()  # what the thread does, now

    assert monitor(measure, file, every_s=300, for_s=2_400, tell=tell, world=world) == 8
    assert ids_in(inbox) == expected(8)
    assert over.waiting() == 0
    assert len(told) == 2
    assert "there is no such folder" in told[0]
    assert told[1] == "handed over: 4 rounds that had waited"


def test_the_courier_hands_over_beside_the_measuring_and_at_the_end_all_that_waits(rounds: Path, inbox: Path) -> None:
    over = HandOver(rounds, KEY, str(inbox))
    with Courier(over, print, every_s=3_600.0) as courier:
        courier.round_is_done()
        append_round(rounds, document(4))
        courier.round_is_done()
        assert not list(inbox.iterdir())  # it is not an hour later
    assert ids_in(inbox) == expected(4)


def test_a_place_that_hangs_delays_no_round_and_not_the_end(
    rounds: Path, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, begun = threading.Event(), threading.Event()
    before = set(threading.enumerate())

    def hanging(*_: Any, **__: Any) -> str:
        begun.set()
        hangs.wait(60)
        raise ProbeError("the share is gone")

    monkeypatch.setattr(handing, "drop", hanging)
    over = HandOver(rounds, KEY, str(inbox))
    with Courier(over, print, patience_s=0.0) as courier:
        courier.round_is_done()
        assert begun.wait(60)
        append_round(rounds, document(4))
        courier.round_is_done()
    assert over.waiting() == 4
    hangs.set()
    for thread in set(threading.enumerate()) - before:  # or it would go on in the next test
        thread.join(60)


@pytest.mark.parametrize("break_at", range(4))
def test_killed_between_handing_over_and_noting_it_the_collector_takes_each_once(
    rounds: Path, inbox: Path, tmp_path: Path, break_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter(range(99))

    class KilledError(BaseException):
        pass

    def killed(path: Path, text: str) -> None:
        if next(calls) == break_at:
            raise KilledError
        real(path, text)

    real = handing.write_whole
    monkeypatch.setattr(handing, "write_whole", killed)
    try:
        HandOver(rounds, KEY, str(inbox)).hand_over()
    except KilledError:
        assert break_at < 3
    monkeypatch.setattr(handing, "write_whole", real)
    taken = collect(inbox, tmp_path / "out", take=True).documents
    append_round(rounds, document(4))
    HandOver(rounds, KEY, str(inbox)).hand_over()
    again = collect(inbox, tmp_path / "out", take=True)
    assert taken + again.documents == 4
    assert not again.refused
    with Store(str(tmp_path / "out")) as store:
        assert store.ask("select count(*), count(distinct source) from probes").rows == ((4, 4),)


def test_a_second_try_replaces_the_file_of_the_first(rounds: Path, inbox: Path) -> None:
    over = HandOver(rounds, KEY, str(inbox))
    over.hand_over()
    rounds.with_name("m.jsonl.handed-over").unlink()
    assert over.hand_over() == 3
    assert ids_in(inbox) == expected(3)


@pytest.mark.parametrize(
    "mark",
    [b"", b"{}", b"[]", b'{"bytes": 3, "sha256_of_last_line": "x"}', b"\xff", b'{"bytes": 1e9}', b'{"bytes": 1e999}'],
)
def test_a_mark_that_is_none_of_this_file_loses_nothing(rounds: Path, inbox: Path, mark: bytes) -> None:
    rounds.with_name("m.jsonl.handed-over").write_bytes(mark)
    assert HandOver(rounds, KEY, str(inbox)).hand_over() == 3


def test_a_file_that_was_begun_anew_is_handed_over_from_its_beginning(rounds: Path, inbox: Path) -> None:
    HandOver(rounds, KEY, str(inbox)).hand_over()
    rounds.unlink()
    for number in (4, 5, 6, 7):
        append_round(rounds, document(number))
    assert HandOver(rounds, KEY, str(inbox)).hand_over() == 4
    assert ids_in(inbox) == expected(7)


def test_lines_that_are_no_round_and_a_half_one_stop_nothing(rounds: Path, inbox: Path) -> None:
    with rounds.open("ab") as file:
        file.write(b'{"time": "2026\nnot json\n[1]\n' + json.dumps(document(4)).encode() + b'\n{"time": "20')
    over = HandOver(rounds, KEY, str(inbox))
    assert over.hand_over() == 4
    append_round(rounds, document(5))
    assert over.hand_over() == 1
    assert ids_in(inbox) == expected(5)


def test_a_round_too_long_to_be_taken_stays_in_the_file_and_the_others_go(rounds: Path, inbox: Path) -> None:
    append_round(rounds, document(4) | {"notes": ["x" * 2_000_000]})
    append_round(rounds, document(5))
    over = HandOver(rounds, KEY, str(inbox))
    assert over.hand_over() == 4
    assert over.waiting() == 0


def test_in_a_letter_box_half_a_file_is_not_taken_for_the_whole(
    rounds: Path, inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_renaming(*_: Any) -> None:
        raise PermissionError(13, "Access is denied")

    HandOver(rounds, KEY, str(inbox)).hand_over()
    for path in inbox.iterdir():
        path.write_bytes(path.read_bytes()[:100])  # as a kill leaves it
    rounds.with_name("m.jsonl.handed-over").unlink()
    real = Path.replace
    monkeypatch.setattr(Path, "replace", lambda self, to: no_renaming() if to.parent == inbox else real(self, to))
    assert HandOver(rounds, KEY, str(inbox)).hand_over() == 3
    assert collect(inbox, tmp_path / "out").documents == 3


class WebStore(BaseHTTPRequestHandler):
    """A folder of a web store that replaces nothing, and may be away."""

    answers: ClassVar[list[int]] = []
    held: ClassVar[dict[str, bytes]] = {}

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        code = self.answers.pop(0) if self.answers else 201
        name = self.path.partition("?")[0]
        if code == 201 and name in self.held:
            code = 412
        elif code in {201, 999}:
            self.held[name] = body
        if code == 999:  # it is stored, and nobody hears of it
            self.connection.close()
            return
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    WebStore.answers.clear()
    WebStore.held.clear()
    monkeypatch.setattr(dropping, "WAITS_S", (0.0, 0.0))
    server = ThreadingHTTPServer(("127.0.0.1", 0), WebStore)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/inbox/?sig=secret"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_web_store_that_is_away_gets_the_rest_later_and_what_it_has_is_not_sent_twice(
    rounds: Path, store: str
) -> None:
    WebStore.answers += [201, 503, 503, 503]
    over = HandOver(rounds, KEY, store, proxy="direct")
    with pytest.raises(ProbeError, match="503") as told:
        over.hand_over()
    assert "secret" not in str(told.value)
    assert over.waiting() == 2
    WebStore.answers += [999, 503, 503]  # stored, but the answer was lost
    with pytest.raises(ProbeError):
        over.hand_over()
    assert over.hand_over() == 2
    assert len(WebStore.held) == 3


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("https://bucket.example/inbox/one.json?X-Amz-Signature=secret", "is a place for one file"),
        ("http://bucket.example/inbox/", "https:// only"),
        ("s3://bucket/inbox", "s3:// is not understood"),
    ],
)
def test_where_many_results_cannot_go_is_told_before_anything_is_measured(
    tmp_path: Path, where: str, words: str
) -> None:
    make_key(tmp_path / "k.key")
    command = ["--key", str(tmp_path / "k.key"), "--drop", where, "--out", str(tmp_path / "m.jsonl")]
    result = CliRunner().invoke(APP, command)
    assert isinstance(result.exception, ProbeError)
    assert words in str(result.exception)
    assert "secret" not in str(result.exception)
    assert not (tmp_path / "m.jsonl").exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--drop", "x"], "--drop needs --key"),
        (["--key", "k.key"], "--key is for --drop"),
        (["--drop-every", "5m"], "--drop-every is for --drop"),
        (["--show", "--key", "k", "--drop", "x"], "--show measures nothing"),
        (["--key", "k", "--drop", "x", "--drop-every", "soon"], "is no duration"),
    ],
)
def test_options_that_belong_together_are_asked_for_together(more: list[str], words: str) -> None:
    result = CliRunner().invoke(APP, more, env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert words in result.output


def test_a_key_that_is_none_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    result = CliRunner().invoke(APP, ["--key", str(tmp_path / "no.key"), "--drop", "x", "--out", str(tmp_path / "m")])
    assert "the key file cannot be read" in str(result.exception)
    assert not (tmp_path / "m").exists()


def command(tmp_path: Path, *more: object) -> list[str]:
    table, key = tmp_path / "endpoints.csv", tmp_path / "k.key"
    if not key.exists():
        make_key(key)
    table.write_text(
        "region_code,role,host,port,transport,address\neu-west-2,media_relay,turn.test,9,udp,127.0.0.1\n",
        encoding="utf-8",
    )
    words = ["monitor", "--endpoints", table, "--site", "LIS", "--every", "1s", "--out", tmp_path / "m.jsonl"]
    words += ["--key", key, "--drop", tmp_path / "inbox", *more]
    return [sys.executable, "-m", "ccp_assess", *map(str, words)]


def test_the_command_hands_over_and_says_what_waits(tmp_path: Path) -> None:
    done = subprocess.run(command(tmp_path, "--for", "1s"), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Round trip by hour" in done.stdout
    assert "not handed over" in done.stderr
    assert "1 round waits in" in done.stderr
    assert "Traceback" not in done.stderr
    (tmp_path / "inbox").mkdir()
    done = subprocess.run(command(tmp_path, "--for", "1s"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(ids_in(tmp_path / "inbox")) == 2


@pytest.mark.skipif(os.name == "nt", reason="kills by signal")
def test_kill_9_in_the_middle_of_a_shift_loses_no_round_and_hands_none_over_twice(tmp_path: Path, inbox: Path) -> None:
    with subprocess.Popen(command(tmp_path, "--for", "60s"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as run:
        until = time.monotonic() + 60
        while time.monotonic() < until and len(list(inbox.glob("*.json"))) < 2:
            assert run.poll() is None, run.stderr.read()
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
        run.communicate()
    done = subprocess.run(command(tmp_path, "--for", "1s"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    measured = [json.loads(line)["id"] for line in (tmp_path / "m.jsonl").read_text().splitlines() if line]
    assert ids_in(inbox) == sorted(measured)
    assert len(measured) >= 3


def test_a_name_of_its_own_is_still_given_to_single_results(inbox: Path) -> None:
    for _ in range(2):
        drop(signed_file(document(1), KEY), str(inbox), drop_name(document(1)))
    assert len(list(inbox.iterdir())) == 2
