"""Workers that stand still: others do their work, and who wakes up later changes nothing."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fleet_sources import make_source, tree

from ccp_assess.fleet import cluster, merging, run, work
from ccp_assess.fleet.chain import Chain, Kept
from ccp_assess.fleet.cluster import Engine, connect
from ccp_assess.fleet.dataset import Dataset, open_dataset
from ccp_assess.fleet.lease import LateError, Lease
from ccp_assess.fleet.merging import check_merged, merge_all
from ccp_assess.fleet.needs import FleetError
from ccp_assess.fleet.plan import make_plan
from ccp_assess.fleet.run import run_fleet
from ccp_assess.fleet.sources import open_place
from ccp_assess.fleet.units import Unit
from ccp_assess.fleet.work import Manner, do_part, do_unit

pytestmark = pytest.mark.shared
PART = 150_000


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Start two workers, whom their scheduler gives five minutes before it thinks them lost."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=50
        ) as workers,
        Client(workers, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait less long before another worker begins again."""
    monkeypatch.setattr(run, "_PATIENCE_S", 1.0)
    monkeypatch.setattr(merging, "_PATIENCE_S", 1.0)


@contextmanager
def one_stopped(client: Any) -> Iterator[list[str]]:
    """Stop the first worker that has work, in the middle of it, until the end of the block."""
    processes = client.run(os.getpid)
    stopped: list[str] = []
    over = threading.Event()

    def stop() -> None:
        while not stopped and not over.wait(0.01):
            for worker, keys in client.processing().items():
                if keys and not stopped:
                    os.kill(processes[worker], signal.SIGSTOP)
                    time.sleep(0.2)  # for answers that were on their way
                    if client.processing()[worker]:
                        stopped.append(worker)
                    else:
                        os.kill(processes[worker], signal.SIGCONT)

    thread = threading.Thread(target=stop)
    thread.start()
    try:
        yield stopped
    finally:
        over.set()
        thread.join()
        for worker in stopped:
            os.kill(processes[worker], signal.SIGCONT)


def until(so: Callable[[], bool]) -> None:
    while not so():
        time.sleep(0.1)


@pytest.mark.parametrize("part_bytes", [PART, pytest.param(512 << 20, marks=pytest.mark.long)])
def test_a_worker_that_is_stopped_holds_nobody_up_and_spoils_nothing_when_it_goes_on(
    tmp_path: Path, client: Any, part_bytes: int
) -> None:
    source, out = make_source(tmp_path / "acme", sites=2, days=2, capture="three_agents.pcap"), tmp_path / "out"
    engine = Engine(scheduler=client.scheduler.address, part_bytes=part_bytes)
    with one_stopped(client) as stopped:
        result = run_fleet(str(source), str(out), engine)
        assert stopped
        assert result.failed == ()
        done = tree(out)
    client.run(time.time, workers=stopped)  # it answers again
    until(lambda: not any(client.processing().values()))
    time.sleep(1)
    assert tree(out) == done
    dataset = Dataset(open_place(str(out)))
    assert dataset.check() + check_merged(dataset) == []
    run_fleet(str(source), str(tmp_path / "calm"), engine)
    assert tree(tmp_path / "calm") == done


def test_merging_is_done_here_where_all_workers_stand_still(tmp_path: Path, client: Any) -> None:
    source, out = make_source(tmp_path / "acme", sites=1, days=2), tmp_path / "out"
    run_fleet(str(source), str(out), Engine(scheduler=client.scheduler.address))
    done = tree(out)
    dataset = Dataset(open_place(str(out)))
    for path in dataset.names("merged"):
        dataset.remove(path)
    processes = client.run(os.getpid).values()
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        assert merge_all(dataset, dataset.units().values(), client) == []
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)
    until(lambda: not any(client.processing().values()))
    assert tree(out) == done


def test_a_run_whose_workers_are_gone_for_good_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import LocalCluster

    source, out = make_source(tmp_path / "acme", sites=1, days=1), tmp_path / "out"
    monkeypatch.setattr(run, "_UNMANNED_S", 1.0)

    @contextmanager
    def connect_and_end_them(engine: Engine) -> Iterator[Any]:
        with connect(engine) as client:
            client.retire_workers()
            until(lambda: not client.nthreads())
            yield client

    monkeypatch.setattr(run, "connect", connect_and_end_them)
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=50
        ) as workers,
        pytest.raises(FleetError, match="no workers any more"),
    ):
        run_fleet(str(source), str(out), Engine(scheduler=workers.scheduler_address))


@pytest.mark.long
def test_the_only_worker_of_this_machine_is_replaced_when_it_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_source(tmp_path / "acme", sites=2, days=2)
    monkeypatch.setattr(cluster, "_SILENT_WORKER", "10s")
    ended: list[int] = []

    @contextmanager
    def connect_and_stop(engine: Engine) -> Iterator[Any]:
        with connect(engine) as client, one_stopped(client) as stopped:
            processes = client.run(os.getpid)
            yield client
            ended.extend(processes[worker] for worker in stopped)
            stopped.clear()

    monkeypatch.setattr(run, "connect", connect_and_stop)
    assert run_fleet(str(source), str(tmp_path / "out"), Engine(workers=1)).failed == ()
    assert len(ended) == 1
    with pytest.raises(ProcessLookupError):
        os.kill(ended[0], 0)
    monkeypatch.undo()
    run_fleet(str(source), str(tmp_path / "calm"), Engine(workers=1))
    assert tree(tmp_path / "out") == tree(tmp_path / "calm")


def unit_of(source: Path, out: Path) -> Unit:
    plan = make_plan(open_place(str(source)), open_dataset(open_place(str(out))), {}, {})
    return next(unit for unit in plan.units if unit.first.kind == "captures")


@pytest.mark.parametrize("do", [do_unit, do_part])
def test_who_wakes_up_when_its_run_is_over_writes_nothing(tmp_path: Path, do: Callable[..., Any]) -> None:
    source, out = make_source(tmp_path / "acme", sites=1, days=1), tmp_path / "out"
    unit = unit_of(source, out)
    with Lease(Dataset(open_place(str(out)))) as lease:
        manner = Manner(permit=lease.permit)
        lease.let_nobody_write()
        with pytest.raises(LateError, match="does not find this run"):
            do(unit.to_document(), str(source), str(out), manner)
    before = tree(out)
    with pytest.raises(LateError):
        do(unit.to_document(), str(source), str(out), manner)
    with Lease(Dataset(open_place(str(out)))), pytest.raises(LateError):
        do(unit.to_document(), str(source), str(out), manner)
    assert tree(out) == before


def test_who_begins_in_time_and_ends_when_its_run_is_over_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = make_source(tmp_path / "acme", sites=1, days=1), tmp_path / "out"
    unit = unit_of(source, out)
    before = tree(out)
    read = work.assess_captures
    with Lease(Dataset(open_place(str(out)))) as lease:

        def meanwhile(*arguments: Any, **named: Any) -> Any:
            lease.let_nobody_write()
            return read(*arguments, **named)

        monkeypatch.setattr(work, "assess_captures", meanwhile)
        with pytest.raises(LateError):
            do_unit(unit.to_document(), str(source), str(out), Manner(permit=lease.permit))
    assert tree(out) == before


def test_machines_that_do_not_share_the_destination_are_told(
    tmp_path: Path, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_source(tmp_path / "acme", sites=1, days=1)
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    monkeypatch.chdir(here)
    before = client.run(os.getcwd)
    client.run(os.chdir, str(there))
    try:
        result = run_fleet(str(source), "/proc/self/cwd/out", Engine(scheduler=client.scheduler.address))
    finally:
        client.run(os.chdir, next(iter(before.values())))
    (reason,) = {row["reason"] for row in result.failed}
    assert "is it one folder or bucket for all machines?" in reason
    assert not list(there.rglob("*.parquet"))


def test_folders_below_the_present_one_are_found_by_workers_elsewhere(
    tmp_path: Path, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_source(tmp_path / "acme", sites=1, days=1)
    monkeypatch.chdir(tmp_path)
    result = run_fleet("acme", "out", Engine(scheduler=client.scheduler.address))
    assert result.failed == ()
    assert result.done == 2


def test_a_state_that_comes_late_stands_behind_those_that_are_further(tmp_path: Path) -> None:
    source, out = make_source(tmp_path / "acme", sites=1, days=1), tmp_path / "out"
    unit = unit_of(source, out)
    chain = Chain(Dataset(open_place(str(out))), unit)
    for done_bytes in (100, 200, 300):
        chain.put(Kept(state=b"s", done_bytes=done_bytes))
    before = tree(out)
    chain.put(Kept(state=b"s", done_bytes=100))
    chain.put(Kept(state=b"s", done_bytes=300))
    assert tree(out) == before
    assert [kept.done_bytes for kept in chain.kept()] == [300, 200, 0]
    chain.put(Kept(state=b"s", done_bytes=100))  # neither of those could be used
    chain.put(Kept(left_out={"a": "poisoned"}))  # begun anew without a file
    assert [kept.done_bytes for kept in chain.kept()] == [0, 100, 0]


class Lost:
    """A future whose answer went with its worker."""

    def __init__(self, again: type[Exception]) -> None:
        self.status, self.again = "finished", again
        self.patience_s = 0.0

    def exception(self, timeout: float) -> None:
        assert timeout > 0

    def result(self, timeout: float) -> None:
        self.patience_s = timeout
        raise self.again(f"nothing within {timeout} s")

    def cancel(self) -> None:
        self.status = "cancelled"


def test_an_answer_that_went_with_its_worker_and_could_not_be_made_again_fails_its_unit_alone() -> None:
    assert isinstance(run._answer(Lost(RuntimeError), 0.0), RuntimeError)


def test_an_answer_that_is_made_again_is_waited_for_beside_the_others_and_not_for_ever() -> None:
    lost = Lost(TimeoutError)
    with pytest.raises(run._NotYetError):
        run._answer(lost, 0.0)
    assert (lost.status, lost.patience_s) == ("finished", 0.5)
    with pytest.raises(run._NotYetError):
        run._answer(lost, 8.0)
    assert lost.patience_s == 4.0
    assert run._answer(lost, 3600.0) is None
    assert lost.status == "cancelled"


@pytest.mark.parametrize("do", [do_unit, do_part])
def test_what_was_done_is_told_again_and_not_done_again(
    tmp_path: Path, do: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = make_source(tmp_path / "acme", sites=1, days=1), tmp_path / "out"
    unit = unit_of(source, out).to_document()
    record = do(unit, str(source), str(out), Manner())
    before = tree(out)

    def read_again(*_: Any) -> None:
        pytest.fail("it is read again")

    monkeypatch.setattr(work, "check_same", read_again)
    assert do(unit, str(source), str(out), Manner()) == record
    assert tree(out) == before
