"""Inputs: their checksums, what changed since, and objects of a bucket as files."""

import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fleet_sources import local_scheduler, make_source, shifted, touch_apart, tree

from ccp_assess.errors import UnavailableError
from ccp_assess.fleet.cluster import Engine
from ccp_assess.fleet.dataset import Dataset
from ccp_assess.fleet.inputs import ChangedMeanwhileError, InputObject, check_same, check_source, sha256_of_input
from ccp_assess.fleet.run import FleetResult, run_fleet
from ccp_assess.fleet.sources import Place, SourceFile, list_source, open_place

needs_shared = pytest.mark.shared


def run(source: Path, out: Path, *, hash_inputs: bool = True) -> FleetResult:
    engine = Engine(scheduler=local_scheduler(), hash_inputs=hash_inputs, part_bytes=200_000)
    return run_fleet(str(source), str(out), engine)


def problems(source: Path, out: Path) -> list[str]:
    return check_source(open_place(str(source)), Dataset(open_place(str(out)))).problems


@needs_shared
def test_every_input_is_recorded_with_its_checksum(tmp_path: Path) -> None:
    source = make_source(tmp_path / "acme")
    run(source, tmp_path / "out")
    records = Dataset(open_place(str(tmp_path / "out"))).units().values()
    found = {path: digest for record in records for path, digest in record["sha256"].items()}
    assert found == {path: hashlib.sha256(data).hexdigest() for path, data in tree(source).items()}
    changes = check_source(open_place(str(source)), Dataset(open_place(str(tmp_path / "out"))))
    assert (changes.problems, changes.same, changes.hashed) == ([], 5, 5)


@needs_shared
def test_a_check_tells_which_inputs_changed_went_or_came(tmp_path: Path) -> None:
    source = make_source(tmp_path / "acme")
    run(source, tmp_path / "out")
    folder = source / "captures"
    changed = folder / "S0" / "day0.pcap"
    data = bytearray(changed.read_bytes())
    info = changed.stat()
    data[-1] ^= 1
    changed.write_bytes(data)
    os.utime(changed, ns=(info.st_atime_ns, info.st_mtime_ns))  # not even its time tells
    (folder / "S1" / "day0.pcap").unlink()
    (folder / "S1" / "day7.pcap").write_bytes(b"new")
    touch_apart(folder / "S0" / "day1.pcap")
    assert problems(source, tmp_path / "out") == [
        "captures/S0/day0.pcap has changed since it was read.",
        "captures/S1/day0.pcap is gone since it was read.",
        "captures/S1/day7.pcap was not read yet.",
    ]


@needs_shared
def test_files_that_were_only_touched_are_not_read_again(tmp_path: Path) -> None:
    source = make_source(tmp_path / "acme")
    run(source, tmp_path / "out")
    touched = source / "captures" / "S0" / "day0.pcap"
    touch_apart(touched)
    part = next((tmp_path / "out" / "calls").rglob("*.parquet"))
    stamps = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out" / "calls").rglob("*.parquet")}
    result = run(source, tmp_path / "out")
    assert (result.done, result.kept, result.failed) == (1, 4, ())
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out" / "calls").rglob("*.parquet")}
    assert len(after) == len(stamps)
    assert len(set(after) - set(stamps)) == 1
    run(source, tmp_path / "fresh")
    assert tree(tmp_path / "out") == tree(tmp_path / "fresh")
    assert problems(source, tmp_path / "out") == []
    assert part.parent.exists()


@needs_shared
def test_what_was_made_of_a_touched_file_is_taken_over_as_it_stands(tmp_path: Path) -> None:
    """A mark in the old record shows in the new one: nothing was read again."""
    source = make_source(tmp_path / "acme", sites=1, days=1)
    run(source, tmp_path / "out")
    dataset = Dataset(open_place(str(tmp_path / "out")))
    (record,) = [record for record in dataset.units().values() if record["files"][0]["kind"] == "captures"]
    dataset.put_record(record | {"limits": ["a mark"]})
    touch_apart(source / "captures" / "S0" / "day0.pcap")
    assert run(source, tmp_path / "out").manifest["limits"][0]["reason"] == "a mark"
    changed = source / "captures" / "S0" / "day0.pcap"
    data = changed.read_bytes()
    changed.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    touch_apart(changed)
    assert run(source, tmp_path / "out").manifest["limits"] == []
    run(source, tmp_path / "fresh")
    assert tree(tmp_path / "out") == tree(tmp_path / "fresh")
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["units"] == 2


@needs_shared
def test_a_touched_file_whose_part_is_damaged_is_read_again(tmp_path: Path) -> None:
    source = make_source(tmp_path / "acme", sites=1, days=1)
    run(source, tmp_path / "out")
    next((tmp_path / "out" / "calls").rglob("*.parquet")).write_bytes(b"rubbish")
    touch_apart(source / "captures" / "S0" / "day0.pcap")
    assert run(source, tmp_path / "out").failed == ()
    run(source, tmp_path / "fresh")
    assert tree(tmp_path / "out") == tree(tmp_path / "fresh")


@needs_shared
def test_without_checksums_a_check_goes_by_size_and_stamp(tmp_path: Path) -> None:
    source = make_source(tmp_path / "acme", sites=1, days=1)
    run(source, tmp_path / "out", hash_inputs=False)
    changes = check_source(open_place(str(source)), Dataset(open_place(str(tmp_path / "out"))))
    assert (changes.problems, changes.same, changes.hashed) == ([], 2, 0)
    touch_apart(source / "captures" / "S0" / "day0.pcap")
    assert problems(source, tmp_path / "out") == ["captures/S0/day0.pcap has changed since it was read."]


@pytest.fixture
def bucket() -> Place:
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    return Place(url="memory://source", fs=fs, root="/source")


def put(bucket: Place, data: bytes) -> SourceFile:
    """Put an object and list it."""
    bucket.fs.pipe_file(bucket.full("S0/a.pcap"), data)
    (file,) = list_source(bucket)
    return file


CONTENT = bytes(range(256)) * 20_000  # 5 MB: several pieces


@pytest.mark.parametrize("piece", [1 << 16, 1 << 20, 3_000_001, 1 << 24])
def test_an_object_is_read_like_a_file_and_hashed_on_the_way(bucket: Place, piece: int) -> None:
    found = InputObject(bucket, put(bucket, CONTENT), is_hashed=True)
    with found.open() as file:
        pieces = []
        while data := file.read(piece):
            pieces.append(data)
    assert b"".join(pieces) == CONTENT
    assert found.sha256 == hashlib.sha256(CONTENT).hexdigest()


def test_an_object_opened_again_where_it_was_left_is_hashed_whole(bucket: Place) -> None:
    found = InputObject(bucket, put(bucket, CONTENT), is_hashed=True)
    with found.open() as file:
        file.read(2_000_000)
        file.seek(1_500_000)
        assert file.tell() == 1_500_000
        assert file.read(10) == CONTENT[1_500_000:1_500_010]
    assert found.sha256 is None
    with found.open() as file:
        file.seek(-3_000_000, io.SEEK_END)
        assert file.tell() == len(CONTENT) - 3_000_000
        file.seek(1_900_000)
        while file.read(1 << 20):
            pass
    assert found.sha256 == hashlib.sha256(CONTENT).hexdigest()


def test_bytes_that_were_jumped_over_give_no_checksum(bucket: Place) -> None:
    found = InputObject(bucket, put(bucket, CONTENT), is_hashed=True)
    with found.open() as file:
        file.read(1_000_000)
        file.seek(2_000_000)
        while file.read(1 << 20):
            pass
    assert found.sha256 is None


def test_another_version_is_never_read(bucket: Place) -> None:
    file = put(bucket, CONTENT)
    found = InputObject(bucket, file)
    put(bucket, CONTENT + b"more")
    with pytest.raises(ChangedMeanwhileError):
        found.open()
    with pytest.raises(ChangedMeanwhileError):
        check_same(bucket, [file])
    bucket.fs.rm_file(bucket.full(file.path))
    with pytest.raises(ChangedMeanwhileError):
        found.open()


def test_a_store_that_sends_less_is_never_taken_for_the_end(bucket: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    file = put(bucket, CONTENT)

    def short(*_: Any, **__: Any) -> io.BytesIO:
        opened = io.BytesIO(CONTENT[:3_000_000])
        opened.details = bucket.fs.info(bucket.full(file.path))  # type: ignore[attr-defined]
        return opened

    monkeypatch.setattr(bucket.fs, "open", short)
    with pytest.raises(UnavailableError, match="sent less"):
        sha256_of_input(bucket, file)


@needs_shared
def test_a_unit_of_objects_is_read_in_parts_as_from_files(bucket: Place, tmp_path: Path) -> None:
    from ccp_assess.fleet.dataset import open_dataset
    from ccp_assess.fleet.plan import make_plan
    from ccp_assess.fleet.work import Manner, do_part, do_unit

    bucket.fs.pipe_file(bucket.full("S0/a.pcap"), shifted("three_agents.pcap"))
    bucket.fs.pipe_file(bucket.full("S0/b.pcap"), shifted("three_agents.pcap", seconds=60, host=3))
    manner = Manner(part_bytes=100_000, hash_inputs=True)
    (unit,) = make_plan(bucket, open_dataset(open_place(str(tmp_path / "out"))), {}, {}).units
    told: dict[str, Any] = {}
    steps = 0
    while "key" not in told:
        told = do_part(unit.to_document(), bucket.url, str(tmp_path / "out"), manner)
        steps += 1
    whole = do_unit(unit.to_document(), bucket.url, str(tmp_path / "whole"), manner)
    assert steps > 4
    assert told == whole
    assert len(told["sha256"]) == 2
