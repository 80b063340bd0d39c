"""Faults from outside: after each of them, a run that is started again gives the bytes of an undisturbed one."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from fleet_sources import local_scheduler, make_source, touch_apart, tree

from ccp_assess.errors import CcpAssessError
from ccp_assess.fleet.cluster import Engine
from ccp_assess.fleet.dataset import Dataset
from ccp_assess.fleet.run import FleetResult, run_fleet
from ccp_assess.fleet.sources import open_place
from ccp_assess.fleet.store import Store

pytestmark = pytest.mark.shared


def run(source: Path | str, out: Path | str) -> FleetResult:
    return run_fleet(str(source), str(out), Engine(scheduler=local_scheduler()))


def worker_processes() -> list[int]:
    """Processes of this machine that work for our own scheduler."""
    from distributed import Client

    with Client(local_scheduler(), set_as_default=False) as client:
        return list(client.run(os.getpid).values())


@pytest.mark.long
def test_workers_killed_at_random_moments_cost_nothing_in_the_end(tmp_path: Path) -> None:
    source = make_source(tmp_path / "acme", sites=4, days=3)
    run(source, tmp_path / "calm")
    chance = random.Random(9)
    stop = threading.Event()
    killed: list[int] = []

    def kill() -> None:
        while not stop.wait(chance.uniform(0.05, 1.0)) and len(killed) < 10:
            try:
                victim = chance.choice(worker_processes())
                os.kill(victim, signal.SIGKILL)
                killed.append(victim)
            except (ProcessLookupError, OSError, IndexError):
                continue

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        while len(killed) < 10:
            run(source, tmp_path / "wild")
            if len(killed) < 10:  # it ended before all kills: the next one begins from nothing
                for path in (tmp_path / "wild" / "units").glob("*.json"):
                    path.unlink()
    finally:
        stop.set()
        thread.join()
    run(source, tmp_path / "wild")
    assert len(killed) == 10
    assert tree(tmp_path / "wild") == tree(tmp_path / "calm")


def test_the_whole_run_killed_in_the_middle_goes_on_where_it_was(tmp_path: Path) -> None:
    source = make_source(tmp_path / "acme", sites=2, days=3)
    run(source, tmp_path / "calm")
    scheduler = local_scheduler()
    command = [sys.executable, "-m", "ccp_assess", "fleet", "run", str(source), "--out", str(tmp_path / "out")]
    process = subprocess.Popen([*command, "--scheduler", scheduler], stdout=subprocess.DEVNULL)
    units = tmp_path / "out" / "units"
    while process.poll() is None and not (units.is_dir() and any(units.glob("*.json"))):
        time.sleep(0.05)
    process.kill()
    process.wait()
    run(source, tmp_path / "out")
    assert tree(tmp_path / "out") == tree(tmp_path / "calm")


def test_a_truncated_upload_is_mended_when_it_is_whole(tmp_path: Path) -> None:
    source = make_source(tmp_path / "acme", sites=1, days=2)
    late = source / "captures" / "S0" / "day1.pcap"
    whole = late.read_bytes()
    info = late.stat()
    late.write_bytes(whole[: len(whole) // 3])
    run(source, tmp_path / "out")
    late.write_bytes(whole)
    os.utime(late, ns=(info.st_atime_ns, info.st_mtime_ns))
    run(source, tmp_path / "out")
    run(source, tmp_path / "calm")
    assert tree(tmp_path / "out") == tree(tmp_path / "calm")


def test_a_clock_that_jumps_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_source(tmp_path / "acme", sites=1, days=2)
    run(source, tmp_path / "calm")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "run.lease").write_text('{"run": "from the future", "count": 1}')
    touch_apart(tmp_path / "out" / "run.lease")
    monkeypatch.setattr(time, "time", lambda: 4_000_000_000.0)
    run(source, tmp_path / "out")
    assert tree(tmp_path / "out") == tree(tmp_path / "calm")


@pytest.mark.root
def test_a_disk_that_is_full_is_told_and_nothing_half_stands_there(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    source = make_source(tmp_path / "acme", sites=1, days=3)
    run(source, tmp_path / "calm")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(disk)], check=True)
    try:
        try:
            result = run(source, disk / "out")
            assert "No space" in str(result.failed)
        except (CcpAssessError, OSError) as error:
            assert "No space" in str(error)  # noqa: PT017 - either way the reason is told
        assert not list((disk / "out").rglob("*.parquet.*"))
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        run(source, disk / "out")
        assert tree(disk / "out") == tree(tmp_path / "calm")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_destination_that_cannot_be_written_is_told_at_once(tmp_path: Path) -> None:
    source = make_source(tmp_path / "acme", sites=1, days=1)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CcpAssessError, match="nothing can be written there"):
        run(source, tmp_path / "file" / "out")


class _Faulty(BaseHTTPRequestHandler):
    """Stand before an object store: some answers are 503, some come late."""

    protocol_version = "HTTP/1.1"
    target = ("127.0.0.1", 0)
    chance = random.Random(7)
    faults = 0

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.chance.random() < 0.1:
            type(self).faults += 1
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.chance.random() < 0.1:
            time.sleep(0.2)
        connection = HTTPConnection(*self.target)
        connection.request(self.command, self.path, body, dict(self.headers))
        answer = connection.getresponse()
        data = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"content-length", "transfer-encoding", "connection", "date", "server"}:
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        self.wfile.write(data)
        connection.close()

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _forward  # noqa: N815 - names of the protocol

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "10",
    }.items():
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _Faulty.target = ("127.0.0.1", server.get_host_and_port()[1])
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), _Faulty)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{proxy.server_port}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.setenv("FSSPEC_S3_ENDPOINT_URL", url)
    yield "engagement"
    proxy.shutdown()
    server.stop()


@pytest.mark.long
def test_a_bucket_that_answers_503_and_late_gives_the_tables_of_a_calm_one(tmp_path: Path, bucket: str) -> None:
    source = make_source(tmp_path / "acme", sites=2, days=2)
    store = open_place(f"s3://{bucket}/acme")
    store.fs.mkdir(bucket)
    store.fs.put(str(source), f"{bucket}/acme", recursive=True)
    faults = _Faulty.faults
    engine = Engine(workers=1)  # workers of its own, that know the address of this bucket
    result = run_fleet(f"s3://{bucket}/acme", f"s3://{bucket}/out", engine)
    assert _Faulty.faults > faults
    for _ in range(3):  # what failed for good is tried again
        if not result.failed:
            break
        result = run_fleet(f"s3://{bucket}/acme", f"s3://{bucket}/out", engine)
    assert result.failed == ()
    assert Dataset(open_place(f"s3://{bucket}/out")).check() == []
    run(source, tmp_path / "local")
    with Store(f"s3://{bucket}/out", threads=1) as far, Store(str(tmp_path / "local"), threads=1) as near:
        for table in ("calls", "streams", "seconds", "findings", "endpoints"):
            question = f"select * from {table} order by all"  # noqa: S608
            assert far.ask(question).rows == near.ask(question).rows


def test_a_scheduler_that_is_lost_is_told_and_the_next_run_goes_on(tmp_path: Path) -> None:
    source = make_source(tmp_path / "acme", sites=3, days=4)
    program = (
        "import sys, time\n"
        "from distributed import LocalCluster\n"
        "if __name__ == '__main__':\n"
        "    c = LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address='127.0.0.1:0')\n"
        "    print(c.scheduler_address, flush=True)\n"
        "    time.sleep(600)\n"
    )
    script = tmp_path / "cluster.py"
    script.write_text(program.replace("processes=False", "host='127.0.0.1'"))
    cluster = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert cluster.stdout is not None
    address = cluster.stdout.readline().strip()
    units = tmp_path / "out" / "units"

    def kill_after_the_first_unit() -> None:
        while not (units.is_dir() and any(units.glob("*.json"))):
            time.sleep(0.02)
        cluster.kill()

    killer = threading.Thread(target=kill_after_the_first_unit)
    killer.start()
    try:
        with pytest.raises(CcpAssessError, match="the scheduler was lost"):
            run_fleet(str(source), str(tmp_path / "out"), Engine(scheduler=address))
    finally:
        killer.join()
        cluster.communicate()
    run(source, tmp_path / "out")
    run(source, tmp_path / "calm")
    assert tree(tmp_path / "out") == tree(tmp_path / "calm")
