"""Faults from outside: after each of them, a run that is started again gives the bytes of an undisturbed one."""

import errno
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from fleet_sources import local_scheduler, make_source, touch_apart, tree, worker_processes

from ccp_assess.errors import CcpAssessError
from ccp_assess.fleet import crew, lease
from ccp_assess.fleet.cluster import Engine
from ccp_assess.fleet.dataset import Dataset, open_dataset
from ccp_assess.fleet.plan import make_plan
from ccp_assess.fleet.run import FleetResult, run_fleet
from ccp_assess.fleet.sources import open_place
from ccp_assess.fleet.work import do_unit

pytestmark = pytest.mark.shared


def run(source: Path | str, out: Path | str) -> FleetResult:
    return run_fleet(str(source), str(out), Engine(scheduler=local_scheduler()))


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


def test_the_whole_run_killed_in_the_middle_goes_on_where_it_was(tmp_path: Path, quick_lease: None) -> None:
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


@pytest.fixture
def quick_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait less long for whoever may hold the destination."""
    monkeypatch.setattr(lease, "BEAT_S", 0.2)
    monkeypatch.setattr(lease, "PATIENCE_S", 0.7)


def test_a_clock_that_jumps_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_lease: None) -> None:
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


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_scheduler_that_is_lost_or_stands_still_is_told_and_the_next_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    monkeypatch.setattr(crew, "_ANSWER_S", 5)
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

    over = threading.Event()

    def strike_after_the_first_unit() -> None:
        while not (units.is_dir() and any(units.glob("*.json"))) and not over.wait(0.02):
            pass
        cluster.send_signal(how)

    killer = threading.Thread(target=strike_after_the_first_unit)
    killer.start()
    try:
        with pytest.raises(CcpAssessError, match="the scheduler was lost"):
            run_fleet(str(source), str(tmp_path / "out"), Engine(scheduler=address))
    finally:
        over.set()
        killer.join()
        cluster.kill()
        cluster.communicate()
    run(source, tmp_path / "out")
    run(source, tmp_path / "calm")
    assert tree(tmp_path / "out") == tree(tmp_path / "calm")


def interpreter(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "ccp_assess", "fleet", *arguments]


def test_two_runs_started_in_the_same_second_leave_what_one_alone_does(tmp_path: Path) -> None:
    source = make_source(tmp_path / "acme", sites=2, days=2)
    run(source, tmp_path / "calm")
    command = interpreter("run", str(source), "--out", str(tmp_path / "out"), "--scheduler", local_scheduler())
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=120)[1] for process in both]
    assert all(process.returncode in {0, 1} for process in both)
    assert all("another run" in text for process, text in zip(both, said, strict=True) if process.returncode)
    assert "Traceback" not in "".join(said)
    run(source, tmp_path / "out")
    assert tree(tmp_path / "out") == tree(tmp_path / "calm")
    assert Dataset(open_place(str(tmp_path / "out"))).check() == []


def told_on_the_command_line(command: list[str]) -> str:
    """Run a command that must fail, and return the one sentence it ends with."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def test_a_folder_that_may_not_be_written_is_told_and_a_run_after_that_goes_on(tmp_path: Path) -> None:
    source = make_source(tmp_path / "acme", sites=1, days=2)
    run(source, tmp_path / "out")
    extra = source / "captures" / "S0" / "day9.pcap"
    extra.write_bytes((source / "captures" / "S0" / "day0.pcap").read_bytes())
    touched = sorted((tmp_path / "out").rglob("*"), reverse=True)
    for path in [*touched, tmp_path / "out"]:
        if path.is_dir():
            path.chmod(0o555)
    plain = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []  # root alone may write anywhere
    try:
        said = told_on_the_command_line([*plain, *interpreter("run", str(source), "--out", str(tmp_path / "out"))])
        assert f"{tmp_path}/out: nothing can be written there (Permission denied)" in said
    finally:
        for path in [tmp_path / "out", *reversed(touched)]:
            if path.is_dir():
                path.chmod(0o755)
    run(source, tmp_path / "out")
    run(source, tmp_path / "calm")
    assert tree(tmp_path / "out") == tree(tmp_path / "calm")


@pytest.mark.root
def test_a_disk_that_is_mounted_read_only_is_told_and_a_run_after_that_goes_on(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    source = make_source(tmp_path / "acme", sites=1, days=2)
    run(source, tmp_path / "out")
    (tmp_path / "out" / "units").rename(tmp_path / "units")  # something is to do
    (tmp_path / "out" / "units").mkdir()
    script = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
    private = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script, "sh", str(tmp_path / "out")]
    said = told_on_the_command_line([*private, *interpreter("run", str(source), "--out", str(tmp_path / "out"))])
    assert f"{tmp_path}/out: nothing can be written there (Read-only file system)" in said
    run(source, tmp_path / "out")
    run(source, tmp_path / "calm")
    assert tree(tmp_path / "out") == tree(tmp_path / "calm")


def test_a_temporary_folder_that_is_gone_or_full_is_told_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fsspec
    from fsspec.implementations.memory import MemoryFileSystem

    source = make_source(tmp_path / "acme", sites=1, days=1)
    memory = fsspec.filesystem("memory")
    memory.put(str(source), "/temp-test/acme", recursive=True)
    places = ("memory://temp-test/acme", str(tmp_path / "out"))
    plan = make_plan(open_place(places[0]), open_dataset(open_place(places[1])), {}, {})
    unit = next(unit for unit in plan.units if unit.first.kind == "captures").to_document()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(CcpAssessError, match=r"nowhere: the temporary folder of a worker .*No such file"):
        do_unit(unit, *places)
    (tmp_path / "nowhere").mkdir()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, "get_file", full)
        with pytest.raises(CcpAssessError, match=r"nowhere: .*No space left on device"):
            do_unit(unit, *places)
    do_unit(unit, *places)
    assert not list((tmp_path / "nowhere").iterdir())
    memory.rm("/temp-test", recursive=True)
