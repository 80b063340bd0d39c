"""A source that changes while a run is at work on it: in the end, the dataset of the source as it came to be."""

import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from fleet_sources import DAY_S, local_scheduler, make_source, s3_environment, shifted, touch_apart, tree

from ccp_assess.fleet.cluster import Engine
from ccp_assess.fleet.dataset import Dataset
from ccp_assess.fleet.merging import check_merged
from ccp_assess.fleet.run import FleetResult, run_fleet
from ccp_assess.fleet.sources import Place, open_place

pytestmark = pytest.mark.shared
PART = 150_000


def run(source: Path, out: Path, progress: Callable[[str, int, int], None] | None = None) -> FleetResult:
    engine = Engine(scheduler=local_scheduler(), part_bytes=PART)
    return run_fleet(str(source), str(out), engine, progress=progress)


def results(out: Path) -> dict[str, bytes]:
    """What a run leaves, but for the states of recordings that may go on."""
    return {path: data for path, data in tree(out).items() if not path.startswith("recordings/")}


def meanwhile(change: Callable[[Path], None], source: Path) -> Callable[[str, int, int], None]:
    """Change the source as soon as something of it was done."""
    changed: list[bool] = []

    def progress(_what: str, done: int, _total: int) -> None:
        if done > 1_000 and not changed:
            changed.append(True)
            change(source / "captures")

    return progress


def add(captures: Path) -> None:
    (captures / "S0" / "late.pcap").write_bytes(shifted("fail_auth.pcap", seconds=9 * DAY_S))
    (captures / "S9").mkdir()
    (captures / "S9" / "new-site.pcap").write_bytes(shifted("clean.pcap", host=9))


def change(captures: Path) -> None:
    for name in ("S0/day0.pcap", "S1/day2.pcap"):
        (captures / name).write_bytes(shifted("clean.pcap", host=3))
        touch_apart(captures / name)


def remove(captures: Path) -> None:
    for name in ("S0/day1.pcap", "S1/day0.pcap"):
        (captures / name).unlink()
    shutil.rmtree(captures / "S2")


def grow(captures: Path) -> None:
    for name in ("S0/day2.pcap", "S1/day0.pcap"):
        more = shifted("clean.pcap", seconds=3 * DAY_S, host=6)[24:]
        with (captures / name).open("ab") as file:
            file.write(more)


def spoil(captures: Path) -> None:
    (captures / "S0" / "day1.pcap").write_bytes(b"no capture any more")
    (captures / "S1" / "day1.pcap").write_bytes(b"")


@pytest.mark.parametrize(
    "what",
    [
        change,
        remove,
        pytest.param(add, marks=pytest.mark.long),
        pytest.param(grow, marks=pytest.mark.long),
        pytest.param(spoil, marks=pytest.mark.long),
    ],
)
def test_what_changes_meanwhile_counts_as_it_is_in_the_end(tmp_path: Path, what: Callable[[Path], None]) -> None:
    source = make_source(tmp_path / "acme", sites=3, days=3)
    result = run(source, tmp_path / "out", meanwhile(what, source))
    assert result.failed == ()
    run(source, tmp_path / "fresh")
    assert results(tmp_path / "out") == results(tmp_path / "fresh")


def test_a_site_that_is_recorded_while_it_is_read_ends_as_it_was_recorded(tmp_path: Path) -> None:
    """A file is written on in many small pieces, and new files begin, all through several runs."""
    source = make_source(tmp_path / "acme", sites=2, days=1)
    folder = source / "captures" / "S0"
    data = shifted("three_agents.pcap", seconds=60)
    stop = threading.Event()

    def record() -> None:
        for number in range(3):
            with (folder / f"rec-{number}.pcap").open("wb") as file:
                step = len(data) // 40
                for at in range(0, len(data), step):
                    file.write(data[at : at + step])
                    file.flush()
                    time.sleep(0.02)
        stop.set()

    recorder = threading.Thread(target=record)
    recorder.start()
    runs = 0
    while not stop.is_set():
        run(source, tmp_path / "out")
        runs += 1
    recorder.join()
    assert runs >= 1
    assert run(source, tmp_path / "out").failed == ()
    run(source, tmp_path / "fresh")
    assert results(tmp_path / "out") == results(tmp_path / "fresh")


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_changes_at_random_moments(tmp_path: Path, seed: int) -> None:
    source = make_source(tmp_path / "acme", sites=3, days=3)
    chance = random.Random(seed)
    stop = threading.Event()

    def disturb() -> None:
        for _ in range(40):
            random_change(chance, source / "captures")
            time.sleep(chance.uniform(0.0, 0.3))
        stop.set()

    thread = threading.Thread(target=disturb)
    thread.start()
    while not stop.is_set():
        run(source, tmp_path / "out")
    thread.join()
    assert run(source, tmp_path / "out").failed == ()
    run(source, tmp_path / "fresh")
    assert results(tmp_path / "out") == results(tmp_path / "fresh")


def random_change(chance: random.Random, captures: Path) -> None:
    """Add, replace, move, cut, append to or remove a file."""
    files = sorted(captures.rglob("*.pcap"))
    path = chance.choice(files) if files else captures / "S0" / "x.pcap"
    what = chance.choice(["add", "replace", "remove", "cut", "append", "move"])
    content = shifted(
        chance.choice(["clean.pcap", "ext_none.pcap", "fail_auth.pcap"]),
        seconds=chance.randrange(0, 5 * DAY_S, 1_800),
        host=chance.randrange(1, 40),
    )
    if what == "add" or not files:
        (captures / f"S{chance.randrange(4)}").mkdir(exist_ok=True)
        (captures / f"S{chance.randrange(3)}" / f"n{chance.randrange(9)}.pcap").write_bytes(content)
    elif what == "replace":
        path.write_bytes(content)
    elif what == "remove" and len(files) > 3:
        path.unlink()
    elif what == "cut":
        path.write_bytes(path.read_bytes()[: chance.randrange(30, 200_000)])
    elif what == "append":
        with path.open("ab") as file:
            file.write(content[24:])
    elif what == "move":
        path.rename(path.with_name(f"m{chance.randrange(99)}.pcap"))


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    # What the store holds belongs to the process: the bucket of the test before would be there.
    with urlopen(Request(f"http://{host}:{port}/moto-api/reset", method="POST")):
        pass
    for name, value in s3_environment(f"http://{host}:{port}").items():
        monkeypatch.setenv(name, value)
    place = open_place("s3://changing/acme")
    place.fs.mkdir("changing")
    yield place
    server.stop()


def objects(url: str) -> dict[str, bytes]:
    """Every object of a dataset with its bytes, but for states and stamps that a bucket sets by its clock."""
    place = open_place(url)
    paths = [path for path in Dataset(place).names("") if not path.startswith(("recordings/", "run.lease"))]
    return {path: bytes(place.fs.cat_file(place.full(path))) for path in paths}


@pytest.mark.long
def test_a_bucket_that_changes_meanwhile_and_whose_large_objects_are_read_in_parts(
    tmp_path: Path, bucket: Place
) -> None:
    source = make_source(tmp_path / "acme", sites=2, days=3)
    bucket.fs.put(str(source), bucket.root, recursive=True)
    with_parts = Engine(workers=1, part_bytes=PART)
    chance = random.Random(5)
    stop = threading.Event()

    def disturb() -> None:
        fs = open_place("s3://changing/acme").fs
        for number in range(12):
            path = f"{bucket.root}/captures/S{chance.randrange(3)}/n{chance.randrange(4)}.pcap"
            fs.pipe_file(path, shifted("clean.pcap", seconds=chance.randrange(4) * DAY_S, host=number + 1))
            if number % 4 == 3:
                victims = fs.find(f"{bucket.root}/captures")
                fs.rm_file(chance.choice(victims))
            time.sleep(chance.uniform(0.1, 0.8))
        stop.set()

    thread = threading.Thread(target=disturb)
    thread.start()
    while not stop.is_set():
        run_fleet(bucket.url, "s3://changing/out", with_parts)
    thread.join()
    result = run_fleet(bucket.url, "s3://changing/out", with_parts)
    assert result.failed == ()
    fresh = run_fleet(bucket.url, "s3://changing/fresh", Engine(workers=1))
    assert fresh.manifest["set_aside"] == []
    found = objects("s3://changing/out")
    assert found == objects("s3://changing/fresh")
    assert any(path.startswith("seconds/") for path in found)


@pytest.mark.long
def test_a_store_whose_clock_is_set_by_hours_keeps_and_finds_everything(
    tmp_path: Path, bucket: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from moto.s3 import models

    right = models.utcnow
    bucket.fs.put(str(make_source(tmp_path / "acme", sites=1, days=1)), bucket.root, recursive=True)
    engine = Engine(scheduler=local_scheduler())
    dataset = Dataset(open_place("s3://changing/out"))
    for number, hours in enumerate((0, -5, 7, -30)):
        monkeypatch.setattr(models, "utcnow", lambda hours=hours: right() + timedelta(hours=hours))
        new = shifted("clean.pcap", seconds=(number + 2) * DAY_S, host=number + 1)
        bucket.fs.pipe_file(f"{bucket.root}/captures/S0/n{number % 2}.pcap", new)
        result = run_fleet(bucket.url, "s3://changing/out", engine)
        assert (result.done, result.failed) == ((3 if number == 0 else 1), ())
        assert run_fleet(bucket.url, "s3://changing/out", engine).done == 0
        assert dataset.check() + check_merged(dataset) == []
        assert sum(result.manifest["rows"].values()) == sum(
            sum(record["rows"].values()) for record in dataset.units().values()
        )
    run_fleet(bucket.url, "s3://changing/fresh", engine)
    assert objects("s3://changing/out") == objects("s3://changing/fresh")
