"""Google's storage, by an emulator of it: the tables of folders, resumed, changed and cut off."""

import socket
from collections.abc import Iterator
from http.server import HTTPServer
from pathlib import Path

import pytest
from fleet_sources import DAY_S, make_source, shifted, tree

from ccp_assess.fleet.cluster import Engine
from ccp_assess.fleet.dataset import Dataset
from ccp_assess.fleet.inputs import check_source
from ccp_assess.fleet.merging import check_merged
from ccp_assess.fleet.run import run_fleet
from ccp_assess.fleet.sources import Place, open_place

pytestmark = pytest.mark.shared
PART = 150_000


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """Start a store, and a worker that knows its address; beside them a service that never answers."""
    emulator = pytest.importorskip("gcp_storage_emulator.server", reason="missing tool: gcp-storage-emulator")
    from distributed import LocalCluster

    patch = pytest.MonkeyPatch()
    patch.setattr(HTTPServer, "request_queue_size", 100)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    silent = socket.create_server(("127.0.0.1", 0), backlog=100)
    hole = f"127.0.0.1:{silent.getsockname()[1]}"
    for name, value in {
        "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}",
        "GCE_METADATA_HOST": hole,
        "GCE_METADATA_IP": hole,
    }.items():
        patch.setenv(name, value)
    patch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    with (
        emulator.create_server("127.0.0.1", port, in_memory=True, default_bucket="engagement"),
        LocalCluster(
            n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=50
        ) as cluster,
    ):
        yield Engine(scheduler=cluster.scheduler_address)
    silent.close()
    patch.undo()


@pytest.fixture
def bucket(tmp_path: Path, engine: Engine) -> Place:
    place = open_place(f"gs://engagement/{tmp_path.name}/acme")
    place.fs.put(str(make_source(tmp_path / "acme")), place.root, recursive=True)
    return place


def objects(url: str) -> dict[str, bytes]:
    place = open_place(url)
    return {path: bytes(place.fs.cat_file(place.full(path))) for path in Dataset(place).names("")}


def tables(files: dict[str, bytes]) -> list[tuple[str, bytes]]:
    """Parts of tables by what they hold: the stamps of a store, which are others than a folder's, name them."""
    return sorted(
        (path.rpartition("/")[0], data)
        for path, data in files.items()
        if path.endswith(".parquet") and not path.startswith("merged/")
    )


@pytest.mark.parametrize("part_bytes", [512 << 20, pytest.param(PART, marks=pytest.mark.long)])
def test_a_bucket_gives_the_tables_of_a_folder_and_what_is_done_is_done(
    tmp_path: Path, bucket: Place, engine: Engine, part_bytes: int
) -> None:
    engine = Engine(scheduler=engine.scheduler, part_bytes=part_bytes, hash_inputs=True)
    out = bucket.url.replace("/acme", "/out")
    first = run_fleet(bucket.url, out, engine)
    assert (first.done, first.kept, first.failed) == (5, 0, ())
    found = objects(out)
    again = run_fleet(bucket.url, out, engine)
    assert (again.done, again.kept) == (0, 5)
    assert objects(out) == found
    run_fleet(str(tmp_path / "acme"), str(tmp_path / "out"), engine)
    assert len(tables(found)) > 10
    assert tables(found) == tables(tree(tmp_path / "out"))
    dataset = Dataset(open_place(out))
    assert dataset.check() + check_merged(dataset) == []
    assert check_source(bucket, dataset).hashed == 5


def test_an_object_that_changed_is_done_again_and_one_that_was_cut_off_when_it_is_whole(
    tmp_path: Path, bucket: Place, engine: Engine
) -> None:
    out = bucket.url.replace("/acme", "/out")
    late = bucket.full("captures/S0/day1.pcap")
    whole = bytes(bucket.fs.cat_file(late))
    bucket.fs.pipe_file(late, whole[: len(whole) // 3])
    run_fleet(bucket.url, out, engine)
    bucket.fs.pipe_file(late, whole)
    new = shifted("clean.pcap", seconds=7 * DAY_S, host=9)
    for path in ("captures/S1/day0.pcap", "captures/S2/day7.pcap"):
        bucket.fs.pipe_file(bucket.full(path), new)
    bucket.fs.rm_file(bucket.full("captures/S1/day1.pcap"))
    result = run_fleet(bucket.url, out, engine)
    assert (result.done, result.kept, result.failed) == (3, 2, ())
    fresh = bucket.url.replace("/acme", "/fresh")
    run_fleet(bucket.url, fresh, engine)
    assert objects(out) == objects(fresh)
    assert Dataset(open_place(out)).check() == []
