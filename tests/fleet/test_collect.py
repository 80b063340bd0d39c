"""Collecting: each result once, whatever its wrapping, order and portion; the store follows from what was dropped."""

import json
import os
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from collect_drops import KEY, NOW, OTHER, collect, document, drop, page_document, terms
from fleet_sources import tree
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from ccp_assess.cli.fleet import app
from ccp_assess.errors import CcpAssessError
from ccp_assess.fleet.collect import Collector, CollectResult, watch
from ccp_assess.fleet.dataset import Dataset
from ccp_assess.fleet.sources import open_place
from ccp_assess.fleet.store import Store


def ask(out: Path, sql: str) -> list[tuple[object, ...]]:
    with Store(str(out), threads=1) as store:
        return list(store.ask(sql).rows)


def test_dropped_results_become_rows_that_the_views_answer_from(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        drop(tmp_path / "in", f"{number}.json", document(number))
    drop(tmp_path / "in", "deep/er/page.json", page_document())
    result = collect(tmp_path / "in", tmp_path / "out")
    assert (result.accepted, result.documents, result.rows, result.refusals) == (4, 4, 7, [])
    rows = ask(tmp_path / "out", "select client, site_id, region_code, rounds, rtt_p50_ms, rank from region_comparison")
    assert rows == [
        ("acme", "LIS", "eu-west-2", 3, 32.0, 1),
        ("acme", "LIS", "us-east-1", 3, 92.0, 2),
        ("acme", "OPO", "eu-west-2", 1, 25.5, 1),
    ]
    assert Dataset(open_place(str(tmp_path / "out"))).check() == []


def test_evidence_is_kept_as_it_came_and_gives_the_same_tables_again(tmp_path: Path) -> None:
    files = [drop(tmp_path / "in", f"{number}.json", document(number)) for number in range(5)]
    files.append(drop(tmp_path / "in", "odd.json", document(9), indent=3))
    collect(tmp_path / "in", tmp_path / "out")
    kept = {path.read_bytes() for path in (tmp_path / "out" / "collected").rglob("*.json")}
    assert kept == {path.read_bytes() for path in files}
    collect(tmp_path / "out" / "collected", tmp_path / "again")
    assert tree(tmp_path / "again") == tree(tmp_path / "out")


def test_a_result_is_taken_once_whatever_its_wrapping_name_and_key(tmp_path: Path) -> None:
    drop(tmp_path / "in", "a.json", document())
    assert collect(tmp_path / "in", tmp_path / "out").accepted == 1
    (tmp_path / "in" / "a.json").unlink()  # the inbox was emptied: the ledger is in the destination
    before = tree(tmp_path / "out")
    drop(tmp_path / "in", "renamed.json", document())
    drop(tmp_path / "in", "wrapped.json", document(), indent=4)
    drop(tmp_path / "in", "by-another-key.json", document(), key=OTHER)
    drop(tmp_path / "in", "ordered.json", dict(reversed(document().items())))
    drop(tmp_path / "in", "listed.json", document(), document())
    result = collect(tmp_path / "in", tmp_path / "out", terms(KEY, OTHER))
    assert (result.accepted, result.duplicates, result.refusals) == (0, 5, [])
    assert tree(tmp_path / "out") == before


def test_a_measurement_that_was_taken_with_other_words_is_a_replay(tmp_path: Path) -> None:
    drop(tmp_path / "in", "a.json", document())
    collect(tmp_path / "in", tmp_path / "out")
    drop(tmp_path / "in", "b.json", document(time="2026-11-23T11:00:00Z"))
    drop(tmp_path / "in", "c.json", document(2), document(time="2026-11-23T11:30:00Z"))
    result = collect(tmp_path / "in", tmp_path / "out")
    assert [row["reason"] for row in result.refusals] == ["replay", "replay"]
    assert ask(tmp_path / "out", "select count(*) from probes") == [(2,)]


def test_of_two_that_contradict_each_other_in_one_round_or_file_one_is_taken_at_most(tmp_path: Path) -> None:
    drop(tmp_path / "in", "a.json", document())
    drop(tmp_path / "in", "b.json", document(site_id="OPO"))
    drop(tmp_path / "in", "c.json", document(7), document(7, site_id="OPO"))
    result = collect(tmp_path / "in", tmp_path / "out")
    assert (result.accepted, dict(result.refused)) == (1, {"replay": 2})


def test_documents_made_before_there_were_ids_are_known_by_what_they_say(tmp_path: Path) -> None:
    plain = {name: value for name, value in document().items() if name != "id"}
    drop(tmp_path / "in", "a.json", plain)
    drop(tmp_path / "in", "b.json", plain, indent=2)
    drop(tmp_path / "in", "c.json", plain | {"time": "2026-11-23T10:00:00Z"})
    result = collect(tmp_path / "in", tmp_path / "out")
    assert (result.accepted, result.duplicates) == (2, 1)


def test_a_page_saved_twice_is_one_result(tmp_path: Path) -> None:
    drop(tmp_path / "in", "a.json", page_document())
    drop(tmp_path / "in", "b.json", page_document(saved="2026-11-23T09:30:00.000Z"))
    result = collect(tmp_path / "in", tmp_path / "out")
    assert (result.accepted, result.duplicates) == (1, 1)


def test_a_monitor_that_hands_over_its_growing_file_adds_what_is_new(tmp_path: Path) -> None:
    drop(tmp_path / "in", "monday.json", *(document(number) for number in range(4)))
    drop(tmp_path / "in", "tuesday.json", *(document(number) for number in range(7)))
    result = collect(tmp_path / "in", tmp_path / "out")
    assert (result.accepted, result.documents) == (2, 7)
    assert ask(tmp_path / "out", "select count(*), count(distinct source) from probes") == [(14, 7)]


@settings(max_examples=5)
@given(
    order=st.permutations(range(8)),
    cuts=st.lists(st.integers(0, 8), max_size=3),
    twice=st.lists(st.integers(0, 7), max_size=3),
    take=st.booleans(),
)
def test_order_portions_and_copies_leave_no_trace(
    order: list[int], cuts: list[int], twice: list[int], take: bool
) -> None:
    documents = [document(number, site_id="OPO" if number % 2 else "LIS") for number in range(8)]
    with TemporaryDirectory() as folder:
        base = Path(folder)
        for number, one in enumerate(documents):
            drop(base / "calm", f"{number}.json", one)
        collect(base / "calm", base / "all")
        bounds = sorted({0, *cuts, 8})
        for run, (begin, end) in enumerate(pairwise(bounds)):
            for place in order[begin:end]:
                drop(base / "in", f"{run}-{place}.json", documents[place])
            for place in twice:
                if place in order[:end]:
                    drop(base / "in", f"{run}-copy-{place}.json", documents[place])
            collect(base / "in", base / "out", take=take)
        assert tree(base / "out") == tree(base / "all")


def test_the_inbox_stays_as_it_is_unless_asked(tmp_path: Path) -> None:
    drop(tmp_path / "in", "a.json", document())
    (tmp_path / "in" / "bad.json").write_text("{}")
    before = tree(tmp_path / "in")
    collect(tmp_path / "in", tmp_path / "out")
    assert tree(tmp_path / "in") == before


def test_with_take_a_file_leaves_once_the_destination_holds_it(tmp_path: Path) -> None:
    drop(tmp_path / "in", "a.json", document())
    drop(tmp_path / "in", "copy.json", document())
    (tmp_path / "in" / "bad.json").write_text("{}")
    (tmp_path / "in" / "half.json").write_text('{"format": "ccp')
    os.utime(tmp_path / "in" / "half.json", (NOW.timestamp(), NOW.timestamp()))
    (tmp_path / "in" / "huge.json").write_bytes(b"{" * 2_000_001)
    result = collect(tmp_path / "in", tmp_path / "out", take=True)
    assert result.taken == 3
    assert sorted(tree(tmp_path / "in")) == ["half.json", "huge.json"]  # neither of them is held anywhere else


def test_a_file_that_changed_after_it_was_read_is_not_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = drop(tmp_path / "in", "a.json", document())
    with Collector(str(tmp_path / "in"), str(tmp_path / "out"), terms(), take=True, now=lambda: NOW) as collector:
        put = Dataset.put

        def put_while_the_inbox_changes(self: Dataset, name: str, data: bytes) -> None:
            if name.startswith("collected/"):
                path.unlink()
                drop(tmp_path / "in", "a.json", document(2))
            put(self, name, data)

        monkeypatch.setattr(Dataset, "put", put_while_the_inbox_changes)
        assert collector.round().taken == 0
        monkeypatch.undo()
        result = collector.round()
    assert (result.accepted, result.taken) == (1, 1)


def test_a_file_that_is_still_being_written_waits_and_is_taken_when_it_is_whole(tmp_path: Path) -> None:
    path = drop(tmp_path / "in", "a.json", document())
    whole = path.read_bytes()
    for part in (b"", whole[:1], whole[: len(whole) // 2], whole[: len(whole) // 2].ljust(len(whole), b"\0")):
        path.write_bytes(part)
        os.utime(path, (NOW.timestamp(), NOW.timestamp()))
        result = collect(tmp_path / "in", tmp_path / "out", take=True)
        assert (result.waiting, result.refusals) == (["a.json"], [])
    path.write_bytes(whole)
    assert collect(tmp_path / "in", tmp_path / "out").accepted == 1


def test_a_file_that_broke_off_long_ago_is_set_aside_and_its_whole_is_taken_later(tmp_path: Path) -> None:
    path = drop(tmp_path / "in", "a.json", document())
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    os.utime(path, (NOW.timestamp() - 7_200, NOW.timestamp() - 7_200))
    assert dict(collect(tmp_path / "in", tmp_path / "out").refused) == {"cut_off": 1}
    path.write_bytes(whole)
    assert collect(tmp_path / "in", tmp_path / "out").accepted == 1


def test_sites_are_found_whatever_their_case_and_unknown_ones_keep_their_name(tmp_path: Path) -> None:
    for number, site in enumerate((" lis ", "Porto", None)):
        drop(tmp_path / "in", f"{number}.json", document(number, site_id=site))
    result = collect(tmp_path / "in", tmp_path / "out", terms(sites=frozenset({"LIS", "OPO"})))
    assert dict(result.unknown_sites) == {"Porto": 1, "unknown": 1}
    assert ask(tmp_path / "out", "select distinct site_id from probes order by all") == [
        ("LIS",),
        ("Porto",),
        ("unknown",),
    ]


def test_a_site_whose_name_is_a_path_stays_in_the_dataset(tmp_path: Path) -> None:
    name = "../../x'y=%2e/\\..:"
    drop(tmp_path / "in", "a.json", document(site_id=name))
    collect(tmp_path / "in", tmp_path / "out")
    assert ask(tmp_path / "out", "select distinct site_id from probes") == [(name,)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


def test_key_ids_choose_among_several_keys(tmp_path: Path) -> None:
    drop(tmp_path / "in", "a.json", document(1))
    drop(tmp_path / "in", "b.json", document(2), key=OTHER)
    assert dict(collect(tmp_path / "in", tmp_path / "one").refused) == {"other_key": 1}
    assert collect(tmp_path / "in", tmp_path / "two", terms(KEY, OTHER)).accepted == 2


def test_a_part_that_was_damaged_is_made_of_the_evidence_again(tmp_path: Path) -> None:
    for number in (3, 6):
        drop(tmp_path / "in", f"{number}.json", document(number))
    collect(tmp_path / "in", tmp_path / "out")
    (part,) = (tmp_path / "out" / "probes").rglob("*.parquet")
    part.write_bytes(part.read_bytes()[:-3])
    drop(tmp_path / "in", "9.json", document(9))
    collect(tmp_path / "in", tmp_path / "out")
    collect(tmp_path / "in", tmp_path / "calm")
    assert tree(tmp_path / "out") == tree(tmp_path / "calm")


def test_a_record_that_was_lost_is_made_of_the_evidence_again(tmp_path: Path) -> None:
    for number in range(4):
        drop(tmp_path / "in", f"{number}.json", document(number))
    collect(tmp_path / "in", tmp_path / "out", take=True)
    calm = tree(tmp_path / "out")
    next((tmp_path / "out" / "units").iterdir()).unlink()
    collect(tmp_path / "in", tmp_path / "out")
    assert tree(tmp_path / "out") == calm


def test_drafts_of_a_collector_that_was_killed_are_no_evidence_and_leave(tmp_path: Path) -> None:
    for number in range(3):
        drop(tmp_path / "in", f"{number}.json", document(number))
    collect(tmp_path / "in", tmp_path / "out", take=True)
    calm = tree(tmp_path / "out")
    for name, data in calm.items():
        if name.startswith(("collected/", "probes/", "units/")):
            path = tmp_path / "out" / name
            (path.parent / f".{path.name}.k3j2").write_bytes(data)  # killed after the last byte
            (path.parent / f".{path.name}.p9x1").write_bytes(data[:-7])
    for path in (tmp_path / "out" / "units").glob("*.json"):  # and before any record
        path.unlink()
    collect(tmp_path / "in", tmp_path / "out")
    assert tree(tmp_path / "out") == calm


def test_evidence_that_is_not_what_was_accepted_makes_no_rows(tmp_path: Path) -> None:
    drop(tmp_path / "in", "a.json", document(3))
    collect(tmp_path / "in", tmp_path / "out", take=True)
    (evidence,) = (tmp_path / "out" / "collected").rglob("*.json")
    evidence.write_bytes(evidence.read_bytes().replace(b"33.0", b"11.0"))
    (part,) = (tmp_path / "out" / "probes").rglob("*.parquet")
    part.unlink()
    drop(tmp_path / "in", "b.json", document(6))
    with pytest.raises(CcpAssessError, match="the evidence for it is gone"):
        collect(tmp_path / "in", tmp_path / "out")


@pytest.mark.parametrize(("inbox", "out"), [("a", "a"), ("a", "a/out"), ("a/in", "a")])
def test_inbox_and_destination_stand_apart(tmp_path: Path, inbox: str, out: str) -> None:
    drop(tmp_path / inbox, "x.json", document())
    with pytest.raises(CcpAssessError, match="lies inside"):
        collect(tmp_path / inbox, tmp_path / out)


def test_an_inbox_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CcpAssessError, match="the inbox cannot be listed"):
        collect(tmp_path / "nowhere", tmp_path / "out")


def test_a_store_of_objects_is_collected_from_and_into(tmp_path: Path) -> None:
    fs = open_place("memory://").fs
    for number in range(3):
        path = drop(tmp_path / "in", f"{number}.json", document(number))
        fs.pipe_file(f"/inbox/a b/{number}?x=1#é.json", path.read_bytes())
    fs.pipe_file("/inbox/../bad", b"[]")
    try:
        result = collect("memory://inbox", "memory://dest", take=True)
        assert (result.accepted, result.taken, dict(result.refused)) == (3, 4, {"not_json": 1})
        assert fs.find("/inbox") == []
        collect(tmp_path / "in", tmp_path / "out")
        far = {name.removeprefix("/dest/"): fs.cat_file(name) for name in fs.find("/dest") if "quarantine" not in name}
        assert far == tree(tmp_path / "out")
    finally:
        fs.store.clear()


def test_rounds_tell_only_what_is_new_and_go_on_after_a_fault(tmp_path: Path) -> None:
    drop(tmp_path / "in", "0.json", document(0))
    (tmp_path / "in" / "bad.json").write_text("[]")
    told: list[object] = []

    def sleep(_: float) -> None:
        if len(told) == 2:
            (tmp_path / "in").rename(tmp_path / "away")
        elif len(told) == 3:
            (tmp_path / "away").rename(tmp_path / "in")
            drop(tmp_path / "in", "1.json", document(1))
        elif len(told) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch(
            lambda: Collector(str(tmp_path / "in"), str(tmp_path / "out"), terms(), now=lambda: NOW),
            1.0,
            told.append,
            sleep,
        )
    first, second, third, fourth = told
    assert isinstance(first, CollectResult)
    assert (first.accepted, sum(first.refused.values())) == (1, 1)
    assert isinstance(second, CollectResult)
    assert (second.accepted, second.duplicates, sum(second.refused.values())) == (0, 0, 0)
    assert isinstance(third, CcpAssessError)
    assert isinstance(fourth, CollectResult)
    assert fourth.accepted == 1


def test_a_watch_that_cannot_begin_says_so_at_once(tmp_path: Path) -> None:
    with pytest.raises(CcpAssessError, match="cannot be listed"):
        watch(lambda: Collector(str(tmp_path / "none"), str(tmp_path / "out"), terms()), 1.0, print)


def test_the_commands_make_a_key_sign_and_collect(tmp_path: Path) -> None:
    def call(*words: object) -> str:
        done = CliRunner().invoke(app, [str(word) for word in words])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.output

    key, rounds = tmp_path / "acme.key", tmp_path / "monitor.jsonl"
    assert "key " in call("key", "--out", key)
    assert key.stat().st_mode & 0o077 == 0
    with pytest.raises(CcpAssessError, match="never replaced"):
        call("key", "--out", key)
    lines = [json.dumps(document(number, site_id=None)) for number in range(3)]
    rounds.write_text("\n".join(lines) + '\n{"cut')
    (tmp_path / "in").mkdir()
    call("sign", rounds, "--key", key, "--drop", tmp_path / "in", "--site", "DEN")
    call("sign", rounds, "--key", key, "--site", "DEN")
    with pytest.raises(CcpAssessError, match="signed already"):
        call("sign", tmp_path / "monitor.signed.json", "--key", key)
    (tmp_path / "sites.csv").write_text("site_id\nLIS\n")
    words = ("collect", tmp_path / "in", "--out", tmp_path / "out", "--key", key, "--sites", tmp_path / "sites.csv")
    (tmp_path / "in" / "evil\x1b[2J.json").write_text("[]")
    told = call(*words)
    assert "1 files accepted for client: 3 results, 6 rows." in told
    assert "DEN is no site of sites.csv" in told
    assert "evil\\x1b[2J.json" in told
    found = json.loads(call(*words, "--json"))
    assert (found["accepted"], found["duplicates"], found["refused"]) == (0, 1, {"not_json": 1})
    with pytest.raises(CcpAssessError, match="cannot be read"):
        call("collect", tmp_path / "in", "--out", tmp_path / "out", "--key", tmp_path / "none.key")
