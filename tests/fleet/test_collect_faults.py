"""Faults while collecting: whatever breaks off where, the next collector ends with the tables of an undisturbed one."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from collect_drops import KEY, NOW, OTHER, collect, document, drop, terms
from fleet_sources import local_scheduler, make_source, s3_environment, tree

from ccp_assess.errors import CcpAssessError
from ccp_assess.fleet import lease
from ccp_assess.fleet.cluster import Engine
from ccp_assess.fleet.collect import Collector
from ccp_assess.fleet.collect_inbox import Inbox
from ccp_assess.fleet.dataset import Dataset
from ccp_assess.fleet.lease import Lease
from ccp_assess.fleet.run import run_fleet
from ccp_assess.fleet.sources import open_place
from ccp_assess.fleet.store import Store


def fill(inbox: Path) -> None:
    """Results of two sites and three days, one file of several, one copy, one bad."""
    for number in range(4):
        drop(inbox, f"{number}.json", document(number, site_id="OPO" if number % 2 else "LIS"))
    drop(inbox, "many.json", *(document(number) for number in range(10, 13)))
    drop(inbox, "copy.json", document(0))
    drop(inbox, "bad.json", document(20), key=OTHER)


class Faulty:
    """Let the n-th change of the destination or the inbox fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
        self.left = -1
        self.count = 0
        for owner, name in ((Dataset, "put"), (Dataset, "remove"), (Inbox, "take")):
            self._wrap(monkeypatch, owner, name, error)

    def _wrap(self, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, error: BaseException) -> None:
        real = getattr(owner, name)

        def call(one: Any, *args: Any) -> Any:
            if threading.current_thread() is threading.main_thread() and "lease" not in str(args[0]):
                self.count += 1
                if self.left == 0:
                    raise error
                self.left -= 1
            return real(one, *args)

        monkeypatch.setattr(owner, name, call)


FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("error", "first", "step"),
    [
        (KeyboardInterrupt(), 0, 3),
        (FULL, 1, 3),
        pytest.param(KeyboardInterrupt(), 0, 1, marks=pytest.mark.long),
        pytest.param(FULL, 0, 1, marks=pytest.mark.long),
    ],
)
def test_breaking_off_at_any_change_costs_nothing_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, first: int, step: int
) -> None:
    fill(tmp_path / "calm-in")
    collect(tmp_path / "calm-in", tmp_path / "calm")
    calm = tree(tmp_path / "calm")
    faulty = Faulty(monkeypatch, error)
    fill(tmp_path / "count-in")
    collect(tmp_path / "count-in", tmp_path / "count", take=True)
    changes = faulty.count
    assert changes > 25
    for number in range(first, changes, step):
        inbox, out = tmp_path / f"in{number}", tmp_path / f"out{number}"
        fill(inbox)
        faulty.left = number
        with pytest.raises((KeyboardInterrupt, CcpAssessError)):
            collect(inbox, out, take=True)
        faulty.left = -1
        collect(inbox, out, take=True)
        assert tree(out) == calm, f"change {number} of {changes}"
        assert tree(inbox) == {}


def test_a_collector_goes_on_after_a_fault_in_the_middle_of_a_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was noted in memory for a round that failed must not count."""
    fill(tmp_path / "in")
    faulty = Faulty(monkeypatch, OSError(errno.ENOSPC, "No space left on device"))
    with Collector(str(tmp_path / "in"), str(tmp_path / "out"), terms(), take=True, now=lambda: NOW) as collector:
        faulty.left = 6
        with pytest.raises(CcpAssessError, match="No space"):
            collector.round()
        faulty.left = -1
        assert collector.round().accepted
        collector.sum_up()
    fill(tmp_path / "calm-in")
    collect(tmp_path / "calm-in", tmp_path / "calm")
    assert tree(tmp_path / "out") == tree(tmp_path / "calm")
    assert tree(tmp_path / "in") == {}


def test_one_collector_at_a_time_and_one_that_stood_still_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "BEAT_S", 0.05)
    monkeypatch.setattr(lease, "PATIENCE_S", 0.5)
    drop(tmp_path / "in", "1.json", document(1))
    with Collector(str(tmp_path / "in"), str(tmp_path / "out"), terms(), now=lambda: NOW) as first:
        with pytest.raises(CcpAssessError, match="another collector is at work"):
            collect(tmp_path / "in", tmp_path / "out")
        (tmp_path / "out" / "collector.lease").write_text('{"run": "another", "count": 1}')  # as if it had slept
        first._lease._thread.join(timeout=30)
        with pytest.raises(CcpAssessError, match="has taken this destination over"):
            first.round()
    collect(tmp_path / "in", tmp_path / "out")


def test_a_run_does_not_sweep_away_what_a_collector_is_about_to_name(tmp_path: Path) -> None:
    drop(tmp_path / "in", "1.json", document(1))
    collect(tmp_path / "in", tmp_path / "out")
    dataset = Dataset(open_place(str(tmp_path / "out")))
    (part,) = dataset.names("probes")
    assert dataset.sweep([]) == 0
    assert dataset.names("probes") == [part]


@pytest.mark.shared
def test_collecting_beside_a_run_gives_both(tmp_path: Path) -> None:
    source = make_source(tmp_path / "acme", sites=2, days=2)
    fill(tmp_path / "in")
    failed: list[BaseException] = []

    def run() -> None:
        try:
            run_fleet(str(source), str(tmp_path / "out"), Engine(scheduler=local_scheduler()))
        except BaseException as error:  # noqa: BLE001 - told by the test
            failed.append(error)

    local_scheduler()
    thread = threading.Thread(target=run)
    thread.start()
    rounds = 0
    with Collector(str(tmp_path / "in"), str(tmp_path / "out"), terms(), now=lambda: NOW) as collector:
        while thread.is_alive():
            drop(tmp_path / "in", f"later-{rounds}.json", document(100 + rounds))
            collector.round()
            collector.sum_up()
            rounds += 1
    thread.join()
    assert (failed, rounds > 0) == ([], True)
    collect(tmp_path / "in", tmp_path / "out")
    assert Dataset(open_place(str(tmp_path / "out"))).check() == []
    with Store(str(tmp_path / "out"), threads=1) as store:
        (counts,) = store.ask("select count(*), (select count(*) from calls) > 0 from probes").rows
    assert counts == (2 * (7 + rounds), True)
    run_fleet(str(source), str(tmp_path / "out"), Engine(scheduler=local_scheduler()))  # and a run leaves them alone
    assert Dataset(open_place(str(tmp_path / "out"))).check() == []


def test_while_a_run_is_at_work_the_sums_are_left_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(tmp_path / "in", "1.json", document(1))
    dataset = Dataset(open_place(str(tmp_path / "out")))
    with Lease(dataset):
        collect(tmp_path / "in", tmp_path / "out")
        assert dataset.get("manifest.json") is None
    collect(tmp_path / "in", tmp_path / "out")
    assert dataset.check() == []


def test_a_run_waits_while_a_collector_sums_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT_S", 0.05)
    monkeypatch.setattr(lease, "PATIENCE_S", 0.5)
    dataset = Dataset(open_place(str(tmp_path / "out")))
    done = threading.Event()

    def sum_up() -> None:
        with Lease(dataset, brief=True):
            held.set()
            done.wait(30)

    held = threading.Event()
    thread = threading.Thread(target=sum_up)
    thread.start()
    held.wait(30)
    threading.Timer(1.0, done.set).start()
    with Lease(dataset):
        assert done.is_set()
    thread.join()


def command(inbox: Path, out: Path, key: Path, *more: str) -> list[str]:
    words = ["fleet", "collect", str(inbox), "--out", str(out), "--key", str(key), "--client", "acme", "--take", *more]
    return [sys.executable, "-m", "ccp_assess", *words]


def test_watching_is_calm_and_ends_by_an_interrupt(tmp_path: Path) -> None:
    fill(tmp_path / "in")
    (tmp_path / "key").write_text(KEY.hex())
    words = command(tmp_path / "in", tmp_path / "out", tmp_path / "key", "--watch", "0.2")
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    first, second = process.stdout.readline(), process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 0, told
    assert "5 accepted, 1 known already, 1 refused (1 other_key)" in first
    assert second.endswith("Z 0 accepted\n")
    assert told == "ccp-assess: stopped; what was collected is kept\n"


@pytest.mark.long
def test_collectors_killed_at_random_moments_cost_nothing_in_the_end(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY.hex())
    documents = [document(number, site_id=f"S{number % 5}") for number in range(600)]
    for number, one in enumerate(documents):
        drop(tmp_path / "in", f"{number}.json", one)
        drop(tmp_path / "calm-in", f"{number}.json", one)
    collect(tmp_path / "calm-in", tmp_path / "calm")
    chance, killed = random.Random(5), 0
    while killed < 10 and any((tmp_path / "in").iterdir()):
        process = subprocess.Popen(command(tmp_path / "in", tmp_path / "out", tmp_path / "key"), stdout=subprocess.PIPE)
        while process.poll() is None and not (tmp_path / "out" / "collector.lease").exists():
            time.sleep(0.01)
        time.sleep(chance.uniform(0.0, 0.4))
        process.kill()
        process.communicate()
        (tmp_path / "out" / "collector.lease").unlink(missing_ok=True)  # its patience is tested elsewhere
        killed += process.returncode == -signal.SIGKILL
    subprocess.run(command(tmp_path / "in", tmp_path / "out", tmp_path / "key"), check=True, stdout=subprocess.PIPE)
    assert killed >= 3
    assert tree(tmp_path / "out") == tree(tmp_path / "calm")
    assert tree(tmp_path / "in") == {}


@pytest.mark.root
def test_a_disk_that_is_full_is_told_and_the_next_collector_goes_on(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    for number in range(40):
        drop(tmp_path / "in", f"{number}.json", document(number, more="x" * 4_000))
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(disk)], check=True)
    try:
        with pytest.raises(CcpAssessError, match="No space"):
            collect(tmp_path / "in", disk / "out", take=True)
        assert len(list((tmp_path / "in").iterdir())) == 40
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        assert collect(tmp_path / "in", disk / "out", take=True).taken == 40
        for number in range(40):
            drop(tmp_path / "in", f"{number}.json", document(number, more="x" * 4_000))
        collect(tmp_path / "in", tmp_path / "calm")
        assert tree(disk / "out") == tree(tmp_path / "calm")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_destination_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    drop(tmp_path / "in", "1.json", document(1))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CcpAssessError, match="nothing can be written there"):
        collect(tmp_path / "in", tmp_path / "file" / "out", take=True)
    assert (tmp_path / "in" / "1.json").exists()


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    url = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    for name, value in s3_environment(url).items():
        monkeypatch.setenv(name, value)
    yield url
    server.stop()


@pytest.mark.long
def test_a_bucket_is_dropped_into_by_presigned_addresses_and_collected_into_another(
    tmp_path: Path, endpoint: str
) -> None:
    import boto3
    from botocore.config import Config

    from ccp_assess.errors import ProbeError
    from ccp_assess.probe.drop import drop as hand_over
    from ccp_assess.probe.signed import signed_file

    # conditional writes need Signature Version 4
    client = boto3.client("s3", endpoint_url=endpoint, config=Config(signature_version="s3v4"))
    for name in ("drops", "store"):
        client.create_bucket(Bucket=name)
    for number in range(20):
        target = {"Bucket": "drops", "Key": f"inbox/{number}.json"}
        address = client.generate_presigned_url("put_object", Params=target, ExpiresIn=600)
        data = signed_file(document(number), KEY)
        hand_over(data, address, "ignored")
        drop(tmp_path / "in", f"{number}.json", document(number))
    with pytest.raises(ProbeError, match="a file is there already"):
        hand_over(data, address, "ignored")
    client.put_object(Bucket="drops", Key="inbox/é 'bad' name?x=1.json", Body=b"[]")
    client.put_object(Bucket="drops", Key="inbox/folder/", Body=b"")
    result = collect("s3://drops/inbox", "s3://store/acme", take=True)
    assert (result.accepted, dict(result.refused), result.taken) == (20, {"not_json": 1}, 21)
    assert collect("s3://drops/inbox", "s3://store/acme").accepted == 0
    collect(tmp_path / "in", tmp_path / "out")
    fs = open_place("s3://store/acme").fs
    far = {name.removeprefix("store/acme/"): fs.cat_file(name) for name in fs.find("store/acme")}
    near = tree(tmp_path / "out")
    assert {name: data for name, data in far.items() if not name.startswith("quarantine/")} == near
    assert json.loads(far["manifest.json"])["files"] == 20
    with Store("s3://store/acme", threads=1) as store:
        assert store.ask("select count(*) from probes").rows == ((40,),)
    with urlopen(Request(f"{endpoint}/moto-api/reset", method="POST")):  # noqa: S310 - loopback
        pass
