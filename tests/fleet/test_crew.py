"""Workers that cannot do what the others do: each is told in one sentence, and the others go on."""

import errno
import os
import shutil
import threading
import time
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fleet_sources import make_source, tree

from ccp_assess.errors import CcpAssessError
from ccp_assess.fleet import crew
from ccp_assess.fleet.cluster import Engine
from ccp_assess.fleet.crew import tell, why_not
from ccp_assess.fleet.run import run_fleet

HERE = {"ccp-assess": "1.2 (abc)", "numpy": "2.4"}
GOOD = {"versions": HERE, "problem": None, "free_bytes": 5_000_000, "folder": "/tmp/w"}  # noqa: S108 - text


def test_a_worker_that_is_like_this_machine_will_do() -> None:
    assert why_not(GOOD, HERE, 0) is None
    assert why_not(GOOD, HERE, 5_000_000) is None
    own = tell()
    assert why_not(own, own["versions"], 1) is None


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            {**GOOD, "versions": {**HERE, "numpy": "2.3"}},
            "has numpy 2.3, and this machine 2.4; install the same on both",
        ),
        ({**GOOD, "versions": {"numpy": "2.4"}}, "has ccp-assess None, and this machine 1.2 (abc)"),
        (
            {**GOOD, "problem": "Read-only file system"},
            "temporary folder /tmp/w (Read-only file system); make room there",
        ),
        ({**GOOD, "free_bytes": 1_000_000}, "has 1 MB left in its temporary folder /tmp/w, and 2 MB are needed"),
        (ModuleNotFoundError("No module named 'ccp_assess'"), "has no ccp-assess, or another one; install"),
        (TypeError("tell() takes no arguments\nmore"), "does not answer as it should (tell() takes no arguments); "),
    ],
)
def test_what_is_wrong_is_told(answer: Any, words: str) -> None:
    told = why_not(answer, HERE, 2_000_000)
    assert told is not None
    assert words in told
    assert "\n" not in told


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Two workers in this process, each with a folder of its own."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address=None,
        silence_logs=50,
    ) as found:
        yield found


@pytest.mark.shared
def test_a_worker_whose_disk_fills_up_leaves_and_its_units_go_to_another(
    tmp_path: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fsspec
    from fsspec.implementations.memory import MemoryFileSystem

    source = make_source(tmp_path / "acme", sites=3, days=2)
    memory = fsspec.filesystem("memory")
    memory.put(str(source), "/crew-test/acme", recursive=True)
    engine = Engine(scheduler=cluster.scheduler_address)
    full = next(iter(cluster.workers.values())).local_directory
    copied, usage = MemoryFileSystem.get_file, shutil.disk_usage
    tried: list[str] = []

    def get_file(self: Any, path: str, to: str, **options: Any) -> None:
        if to.startswith(full):
            tried.append(path)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        copied(self, path, to, **options)

    Usage = namedtuple("Usage", "total used free")  # noqa: PYI024 - as of shutil
    said: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, "get_file", get_file)
        patch.setattr(shutil, "disk_usage", lambda folder: Usage(9, 9, 99) if folder == full else usage(folder))
        result = run_fleet("memory://crew-test/acme", str(tmp_path / "odd"), engine, say=said.append)
    assert tried
    assert (result.done, result.failed) == (7, ())
    told = [text for text in said if text.startswith("goes on without a worker: ")]
    assert len(told) == 1
    assert f"has 0 MB left in its temporary folder {full}" in told[0]
    run_fleet("memory://crew-test/acme", str(tmp_path / "calm"), engine)
    assert tree(tmp_path / "odd") == tree(tmp_path / "calm")
    memory.rm("/crew-test", recursive=True)


@pytest.mark.shared
def test_where_no_worker_will_do_the_run_ends_with_the_reason(
    tmp_path: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_source(tmp_path / "acme", sites=1, days=1)
    monkeypatch.setattr(crew, "why_not", lambda *_: "has another ccp-assess")
    with pytest.raises(CcpAssessError, match=r"no worker can do this: .*has another ccp-assess \(and 1 more like it\)"):
        run_fleet(str(source), str(tmp_path / "out"), Engine(scheduler=cluster.scheduler_address))


class Scheduler:
    """Workers that come, and the later ones take their time to answer; the last one is of another version."""

    def __init__(self) -> None:
        self.there, self.may_answer = ["first"], threading.Event()

    @property
    def scheduler(self) -> Any:
        return self

    def ncores(self) -> dict[str, int]:
        return dict.fromkeys(self.there, 1)

    def sync(self, question: Any, **_: Any) -> Any:
        return question()

    def run(self, work: Any, workers: list[str], **_: Any) -> dict[str, Any]:
        if workers != ["first"]:
            assert self.may_answer.wait(60)
        return {worker: {**work(), **({"versions": {}} if worker == "third" else {})} for worker in workers}

    def retire_workers(self, workers: list[str], **_: Any) -> None:
        self.there = [worker for worker in self.there if worker not in workers]


def test_nobody_waits_for_a_later_worker_to_answer_and_one_that_will_not_do_leaves() -> None:
    scheduler = Scheduler()
    workers = crew.Crew(scheduler, is_own=False)
    assert workers.count() == 1
    scheduler.there.append("second")
    assert workers.count() == 2
    scheduler.there.append("third")
    assert workers.count() == 3
    scheduler.may_answer.set()
    while workers.count() == 3:
        time.sleep(0.01)
    assert scheduler.there == ["first", "second"]
