"""Large units in parts: whatever happens on the way, the bytes of a run that reads them in one go."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from fleet_sources import cut_in_files, local_scheduler, make_source, shifted, touch_apart, tree, worker_processes

from ccp_assess.fleet.chain import Chain, Kept, parse_kept
from ccp_assess.fleet.cluster import Engine
from ccp_assess.fleet.dataset import Dataset, open_dataset
from ccp_assess.fleet.plan import make_plan
from ccp_assess.fleet.run import FleetResult, run_fleet
from ccp_assess.fleet.sources import open_place
from ccp_assess.fleet.units import Unit
from ccp_assess.fleet.work import Manner, do_part, do_unit

pytestmark = pytest.mark.shared
PART = 30_000


def rotated_source(root: Path, files: int = 4) -> Path:
    """A site whose recorder began a new file again and again."""
    source = make_source(root, sites=1, days=1)
    folder = source / "captures" / "S0"
    for number, data in enumerate(cut_in_files((folder / "day0.pcap").read_bytes(), files)):
        (folder / f"rec-{number}.pcap").write_bytes(data)
    (folder / "day0.pcap").unlink()
    return source


def run(source: Path, out: Path, part_bytes: int = PART, progress: Any = None) -> FleetResult:
    return run_fleet(
        str(source), str(out), Engine(scheduler=local_scheduler(), part_bytes=part_bytes), progress=progress
    )


def results(out: Path) -> dict[str, bytes]:
    """What a run leaves, but for the states of recordings that may go on."""
    return {path: data for path, data in tree(out).items() if not path.startswith("recordings/")}


def captures_of(source: Path, out: Path) -> dict[str, Any]:
    """The unit of captures of a source."""
    plan = make_plan(open_place(str(source)), open_dataset(open_place(str(out))), {}, {})
    (unit,) = [unit for unit in plan.units if unit.first.kind == "captures"]
    return unit.to_document()


def read_all(unit: dict[str, Any], source: Path, out: Path, part_bytes: int = PART) -> list[dict[str, Any]]:
    """Read a unit part by part in this process."""
    told = [next_part(unit, source, out, part_bytes)]
    while "key" not in told[-1]:
        told.append(next_part(unit, source, out, part_bytes))
    return told


def next_part(unit: dict[str, Any], source: Path, out: Path, part_bytes: int = PART) -> dict[str, Any]:
    return do_part(unit, str(source), str(out), Manner(part_bytes=part_bytes))


@pytest.mark.parametrize("part_bytes", [25_000, 150_000])
def test_parts_of_any_size_give_the_bytes_of_one_go(tmp_path: Path, part_bytes: int) -> None:
    source = rotated_source(tmp_path / "acme")
    for name, data in (("noon.pcap", shifted("fail_auth.pcap", seconds=9 * 3600)), ("other.pcap", b"no capture")):
        (source / "captures" / "S0" / name).write_bytes(data)
    run(source, tmp_path / "whole", 10**9)
    result = run(source, tmp_path / "out", part_bytes)
    assert result.failed == ()
    assert results(tmp_path / "out") == tree(tmp_path / "whole")
    assert not list((tmp_path / "out").glob("parts/*/*"))


def test_each_part_reads_about_what_it_shall(tmp_path: Path) -> None:
    source = rotated_source(tmp_path / "acme")
    unit = captures_of(source, tmp_path / "out")
    done = [told["done_bytes"] for told in read_all(unit, source, tmp_path / "out")[:-1]]
    size = sum(file["size"] for file in unit["files"])
    assert len(done) >= size // (2 * PART)
    assert done == sorted(done)
    assert done[-1] < size


def test_a_worker_killed_in_the_middle_of_a_chain_costs_a_part(tmp_path: Path) -> None:
    source = rotated_source(tmp_path / "acme")
    run(source, tmp_path / "calm", 10**9)
    killed: list[int] = []
    seen: list[int] = []

    def kill_one(_what: str, done: int, _total: int) -> None:
        seen.append(done)
        if not killed and done > 150_000:
            victim = worker_processes()[0]
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)

    result = run(source, tmp_path / "out", 25_000, kill_one)
    assert len(killed) == 1
    assert result.failed == ()
    assert seen == sorted(seen)  # never back to the beginning
    assert results(tmp_path / "out") == tree(tmp_path / "calm")


def test_a_run_that_ends_in_the_middle_of_a_chain_goes_on_there(tmp_path: Path) -> None:
    source = rotated_source(tmp_path / "acme")
    run(source, tmp_path / "calm", 10**9)

    def stop(_what: str, done: int, _total: int) -> None:
        if done > 200_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path / "out", 20_000, stop)
    deadline = time.monotonic() + 20
    while not list((tmp_path / "out").glob("parts/*/*.state")) and time.monotonic() < deadline:
        time.sleep(0.05)
    seen: list[int] = []
    result = run(source, tmp_path / "out", 20_000, lambda _what, done, _total: seen.append(done))
    assert result.failed == ()
    assert min(done for done in seen if done > 1_000) > 150_000
    assert results(tmp_path / "out") == tree(tmp_path / "calm")


def states_after(source: Path, out: Path, parts: int) -> tuple[dict[str, Any], list[Path]]:
    unit = captures_of(source, out)
    for _ in range(parts):
        next_part(unit, source, out)
    return unit, sorted(out.glob("parts/*/*.state"))


@pytest.mark.parametrize("damage", ["cut", "turned", "empty", "foreign", "hostile"])
def test_a_state_that_is_no_good_means_going_back_never_a_wrong_answer(tmp_path: Path, damage: str) -> None:
    source = rotated_source(tmp_path / "acme")
    run(source, tmp_path / "calm", 10**9)
    unit, states = states_after(source, tmp_path / "out", 4)
    assert len(states) == 2
    newest = states[-1]
    data = bytearray(newest.read_bytes())
    if damage == "turned":
        data[len(data) // 2] ^= 1
    newest.write_bytes(
        {
            "cut": bytes(data[: len(data) // 2]),
            "turned": bytes(data),
            "empty": b"",
            "foreign": bytes(data).replace(b'"version": "', b'"version": "9'),
            "hostile": Kept(state=b"whatever", done_bytes=1).to_bytes(),
        }[damage]
    )
    before = parse_kept(states[0].read_bytes())
    assert before is not None
    told = next_part(unit, source, tmp_path / "out")
    assert before.done_bytes < told["done_bytes"] <= before.done_bytes + 3 * PART
    for path in (tmp_path / "out").glob("parts/*/*.state"):
        path.write_bytes(b"rubbish")
    assert next_part(unit, source, tmp_path / "out")["done_bytes"] < before.done_bytes
    run(source, tmp_path / "out")
    assert results(tmp_path / "out") == tree(tmp_path / "calm")


def test_a_state_of_other_files_is_not_taken_up(tmp_path: Path) -> None:
    source = rotated_source(tmp_path / "acme")
    unit, states = states_after(source, tmp_path / "out", 4)
    read_bytes = (parse_kept(states[-1].read_bytes()) or Kept()).done_bytes
    other = rotated_source(tmp_path / "other", files=3)
    theirs = captures_of(other, tmp_path / "out")
    foreign = tmp_path / "out" / "parts" / theirs["key"] / states[-1].name
    foreign.parent.mkdir()
    foreign.write_bytes(states[-1].read_bytes())
    assert unit["key"] != theirs["key"]
    assert next_part(theirs, other, tmp_path / "out")["done_bytes"] < read_bytes


def test_a_file_that_fails_the_reader_does_not_sink_a_unit_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ccp_assess.capture import parts

    source = rotated_source(tmp_path / "acme")
    reads = parts.scan_part

    def fails_on_one(sources: Any, state: bytes | None, **options: Any) -> Any:
        part = reads(sources, state, **options)
        poisoned = [str(path) for path in sources if "rec-2" in str(path)]
        if poisoned and (part.done_bytes > 150_000 or len(sources) == 1):
            raise RuntimeError(f"table full in {poisoned[0]}")
        return part

    monkeypatch.setattr(parts, "scan_part", fails_on_one)
    (source / "captures" / "S0" / "rec-2.pcap").write_bytes(shifted("three_agents.pcap")[:300_000])
    unit = captures_of(source, tmp_path / "out")
    record = read_all(unit, source, tmp_path / "out")[-1]
    (aside,) = record["set_aside"]
    assert aside["path"] == "captures/S0/rec-2.pcap"
    assert "the reader failed on it (RuntimeError: table full in captures/S0/rec-2.pcap)" in aside["reason"]
    monkeypatch.undo()
    (source / "captures" / "S0" / "rec-2.pcap").unlink()
    without = do_unit(captures_of(source, tmp_path / "alone"), str(source), str(tmp_path / "alone"))
    assert {part["sha256"] for part in record["parts"]} == {part["sha256"] for part in without["parts"]}


def test_a_disk_that_is_full_in_the_middle_of_a_chain_costs_a_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = rotated_source(tmp_path / "acme")
    unit, _ = states_after(source, tmp_path / "out", 3)
    before = next(iter(Chain(Dataset(open_place(str(tmp_path / "out"))), unit_of(unit)).kept()))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Dataset, "put", full)
        with pytest.raises(OSError, match="No space"):
            next_part(unit, source, tmp_path / "out")
    told = next_part(unit, source, tmp_path / "out")
    assert before.done_bytes < told["done_bytes"] <= before.done_bytes + 3 * PART


def unit_of(document: dict[str, Any]) -> Unit:
    from ccp_assess.fleet.sources import SourceFile

    return Unit(files=tuple(SourceFile(**file) for file in document["files"]))


def test_a_file_that_changes_between_parts_ends_the_chain(tmp_path: Path) -> None:
    source = rotated_source(tmp_path / "acme")
    unit, _ = states_after(source, tmp_path / "out", 2)
    touch_apart(source / "captures" / "S0" / "rec-3.pcap")
    assert next_part(unit, source, tmp_path / "out") == {"changed": "captures/S0/rec-0.pcap"}
    (source / "captures" / "S0" / "rec-3.pcap").unlink()
    assert "changed" in next_part(unit, source, tmp_path / "out")


def test_a_recording_that_goes_on_is_read_on_from_its_last_finished_file(tmp_path: Path) -> None:
    source = rotated_source(tmp_path / "acme", files=6)
    folder = source / "captures" / "S0"
    later = {name: (folder / name).read_bytes() for name in ("rec-4.pcap", "rec-5.pcap")}
    whole_3 = (folder / "rec-3.pcap").read_bytes()
    (folder / "rec-3.pcap").write_bytes(whole_3[: len(whole_3) // 2])  # still being written
    for name in later:
        (folder / name).unlink()
    run(source, tmp_path / "out")
    assert len(list((tmp_path / "out").glob("recordings/*/*.state"))) == 1
    finished = sum((folder / f"rec-{number}.pcap").stat().st_size for number in range(3))
    (folder / "rec-3.pcap").write_bytes(whole_3)
    for name, data in later.items():
        (folder / name).write_bytes(data)
    seen: list[int] = []
    run(source, tmp_path / "out", progress=lambda _what, done, _total: seen.append(done))
    assert min(done for done in seen if done > 1_000) > finished
    run(source, tmp_path / "fresh", 10**9)
    assert results(tmp_path / "out") == tree(tmp_path / "fresh")
    (state,) = (tmp_path / "out").glob("recordings/*/*.state")
    assert state.name.startswith("000005-")


def test_a_recording_is_read_anew_where_what_follows_overlaps_it(tmp_path: Path) -> None:
    source = rotated_source(tmp_path / "acme", files=3)
    folder = source / "captures" / "S0"
    run(source, tmp_path / "out")
    (folder / "rec-9.pcap").write_bytes(shifted("ext_none.pcap", seconds=1, host=5))
    result = run(source, tmp_path / "out")
    assert result.failed == ()
    run(source, tmp_path / "fresh", 10**9)
    assert results(tmp_path / "out") == tree(tmp_path / "fresh")


def test_the_end_of_a_recording_is_let_go_of_when_another_begins(tmp_path: Path) -> None:
    source = rotated_source(tmp_path / "acme")
    run(source, tmp_path / "out")
    (source / "captures" / "S0" / "tomorrow.pcap").write_bytes(shifted("fail_auth.pcap", seconds=86_400))
    run(source, tmp_path / "out")
    assert not list((tmp_path / "out").glob("recordings/*/*"))


def test_states_are_given_back_as_they_were_kept() -> None:
    kept = Kept(state=b"\0\n{}", done_bytes=7, left_out={"a": "why"}, sha256={"b": "0f"}, is_before_last=True)
    found = parse_kept(kept.to_bytes())
    assert found is not None
    assert (found.state, found.done_bytes, found.left_out, found.sha256) == (
        b"\0\n{}",
        7,
        {"a": "why"},
        {"b": "0f"},
    )
    begin = parse_kept(Kept().to_bytes())
    assert begin is not None
    assert begin.state is None
    assert parse_kept(b"") is None
    assert parse_kept(None) is None


def test_bounds_that_the_reader_met_are_told_in_the_manifest(tmp_path: Path) -> None:
    dataset = open_dataset(open_place(str(tmp_path / "out")))
    source = rotated_source(tmp_path / "acme")
    record = read_all(captures_of(source, tmp_path / "out"), source, tmp_path / "out")[-1]
    assert record["limits"] == []
    manifest = dataset.write_manifest([{**record, "limits": ["2,000,000 rows are kept"]}], [])
    assert manifest["limits"] == [{"path": "captures/S0/rec-0.pcap", "reason": "2,000,000 rows are kept"}]
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["limits"] == manifest["limits"]


def test_states_that_were_all_damaged_do_not_hold_up_those_after_them(tmp_path: Path) -> None:
    source = rotated_source(tmp_path / "acme")
    unit, states = states_after(source, tmp_path / "out", 4)
    for path in states:
        path.write_bytes(b"rubbish")
    done = [next_part(unit, source, tmp_path / "out")["done_bytes"] for _ in range(3)]
    assert done == sorted(set(done))
