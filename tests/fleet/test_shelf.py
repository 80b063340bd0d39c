"""A store in a bucket: few requests, the answers of a folder, and nothing else of the bucket to be named."""

# ruff: noqa: S608  (the questions are our own)

import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fleet_sources import local_scheduler, make_source, s3_environment

from ccp_assess.errors import CcpAssessError
from ccp_assess.fleet import shelf
from ccp_assess.fleet.answers import QUESTIONS, read_answers
from ccp_assess.fleet.cluster import Engine
from ccp_assess.fleet.dataset import Dataset
from ccp_assess.fleet.run import run_fleet
from ccp_assess.fleet.shelf import Shelf
from ccp_assess.fleet.sources import Place, open_place
from ccp_assess.fleet.store import Store

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("shelf")
    source = make_source(where / "acme", sites=3, days=2)
    result = run_fleet(str(source), str(where / "store"), Engine(scheduler=local_scheduler()))
    assert result.manifest["rows"]["seconds"]
    return where / "store"


@pytest.fixture(scope="module")
def bucket(folder: Path) -> Iterator[str]:
    """Copy a dataset into a bucket in the order of its names, so that no time tells what was made of what."""
    from moto.server import ThreadedMotoServer

    patch = pytest.MonkeyPatch()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    url = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    for name, value in s3_environment(url).items():
        patch.setenv(name, value)
    place = open_place("s3://shelf-test/store")
    place.fs.mkdir("shelf-test")
    place.fs.put(f"{folder}/", f"{place.root}/", recursive=True)
    place.fs.pipe_file("shelf-test/secret.parquet", (next(folder.rglob("*.parquet"))).read_bytes())
    yield place.url
    server.stop()
    patch.undo()


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count what is asked of the bucket."""
    from s3fs import S3FileSystem

    counted: Counter[str] = Counter()
    asked = S3FileSystem._call_s3

    async def count(self: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        counted[method] += 1
        return await asked(self, method, *args, **kwargs)

    monkeypatch.setattr(S3FileSystem, "_call_s3", count)
    return counted


def test_a_bucket_answers_as_its_folder_does(folder: Path, bucket: str) -> None:
    near, far = read_answers(str(folder)), read_answers(bucket)
    assert far.rows == near.rows
    assert far.manifest == near.manifest
    assert all(near.rows[name] for name in ("worst_sites", "worst_calls", "coverage"))


def test_a_store_costs_a_request_for_each_file_and_the_next_question_none(
    folder: Path, bucket: str, requests: Counter[str]
) -> None:
    place = open_place(bucket)
    time.sleep(1.1)  # times of objects are whole seconds
    for name in ("units.jsonl", "index.json"):
        place.fs.put_file(str(folder / name), place.full(name))
    requests.clear()
    with Store(bucket, threads=2) as store:
        for sql in QUESTIONS.values():
            store.ask(sql)
        assert requests["list_objects_v2"] == 1
        files = sum(len(shelf_files) for shelf_files in _files_read(folder).values())
        assert requests["get_object"] <= files + 2  # and the layout and the index
        before = sum(requests.values())
        for sql in QUESTIONS.values():
            store.ask(sql)
        assert sum(requests.values()) == before


def _files_read(folder: Path) -> dict[str, list[str]]:
    from ccp_assess.fleet.merging import files_to_read

    return files_to_read(Dataset(open_place(str(folder)))).by_table


def test_records_of_a_copied_store_are_known_by_their_content(bucket: str, requests: Counter[str]) -> None:
    place = open_place(bucket)
    dataset = Dataset(place)
    records = dataset.units(one_by_one=True)
    first = next(iter(records))
    path = place.full(f"units/{first}.json")
    kept = place.fs.cat_file(path)
    time.sleep(1.1)
    place.fs.pipe_file(path, kept)  # younger than the file of all records, as after a copy
    requests.clear()
    assert dataset.units() == records
    assert requests["get_object"] == 1
    try:
        place.fs.pipe_file(path, kept.replace(b'"packets":', b'"packetz":'))  # the same length
        requests.clear()
        assert dataset.units() != records
        assert requests["get_object"] == 2
    finally:
        place.fs.pipe_file(path, kept)


def test_an_empty_object_is_read_as_one(bucket: str) -> None:
    dataset = Dataset(open_place(bucket))
    dataset.put("empty", b"")
    assert dataset.get("empty") == b""
    assert dataset.get("nothing") is None
    paths = ["empty", "nothing", "dataset.json"]
    assert [data is None or len(data) for _, data in dataset.get_many(paths)] == [
        0,
        True,
        len(dataset.get(paths[2]) or b""),
    ]
    dataset.remove("empty")


@pytest.mark.parametrize(
    "path", ["s3://shelf-test/secret.parquet", "ccp-store://../secret.parquet", "ccp-store://index.json", "/etc/passwd"]
)
def test_a_question_reaches_no_other_file(bucket: str, path: str) -> None:
    with Store(bucket) as store, pytest.raises(CcpAssessError, match="the question cannot be answered"):
        store.ask(f"select * from read_text('{path}')")
    with Store(bucket) as store, pytest.raises(CcpAssessError, match="the question cannot be answered"):
        store.ask(f"select * from read_parquet('{path}')")


def test_a_file_that_went_is_told_in_one_sentence(folder: Path, bucket: str, tmp_path: Path) -> None:
    place = open_place("s3://shelf-test/broken")
    shutil.copytree(folder, tmp_path / "broken")
    place.fs.put(f"{tmp_path}/broken/", f"{place.root}/", recursive=True)
    for path in Dataset(place).names("merged/site_counts"):
        Dataset(place).remove(path)
    shutil.rmtree(tmp_path / "broken" / "merged" / "site_counts")
    for url, words in ((place.url, "a file of the store is gone"), (str(tmp_path / "broken"), "No files found")):
        with pytest.raises(CcpAssessError, match=f"the dataset cannot be read .*{words}.*start its run again") as told:
            Store(url)
        assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9", "Could not connect"),
        ("AWS_ACCESS_KEY_ID", None, "no credentials for s3:// were accepted"),
    ],
)
def test_a_bucket_that_refuses_is_told_in_one_sentence(
    bucket: str, monkeypatch: pytest.MonkeyPatch, name: str, value: str | None, words: str
) -> None:
    from s3fs import S3FileSystem

    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(S3FileSystem, "retries", 1)
    S3FileSystem.clear_instance_cache()
    if value is None:
        monkeypatch.delenv(name)
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    else:
        monkeypatch.setenv(name, value)
        monkeypatch.delenv("FSSPEC_S3_ENDPOINT_URL")
    try:
        with pytest.raises(CcpAssessError, match=words) as told:
            Store(bucket)
        assert "\n" not in str(told.value)
    finally:
        S3FileSystem.clear_instance_cache()


class _Counting:
    """A store of one large file that counts what it is asked for."""

    def __init__(self, data: bytes) -> None:
        self.data, self.asked = data, 0

    def cat_file(self, _: str, *, start: int, end: int) -> bytes:
        self.asked += end - start
        return self.data[start:end]


def test_pieces_are_the_bytes_of_the_file_and_no_more_is_kept_than_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shelf, "BLOCK_BYTES", 1_000)
    monkeypatch.setattr(shelf, "_WHOLE_BYTES", 2_000)
    monkeypatch.setattr(shelf, "KEPT_BYTES", 5_000)
    data = bytes(number * 7 % 251 for number in range(20_123))
    store = _Counting(data)
    files = Shelf(Place(url="x", fs=store, root="x"), {"large": len(data)})
    with files.open("ccp-store://large") as file:
        for begin, count in ((0, 1), (999, 2), (20_000, 500), (5_500, 9_000), (5_500, 10), (0, 20_123)):
            file.seek(begin)
            assert file.read(count) == data[begin : begin + count]
        file.seek(-3, 2)
        assert file.read() == data[-3:]
        assert file.read() == b""
        assert sum(len(block) for block in files._blocks.values()) <= 5_000
        before = store.asked
        file.seek(20_100)
        assert file.read() == data[20_100:]
        assert store.asked == before
