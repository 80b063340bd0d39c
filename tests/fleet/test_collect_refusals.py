"""What is refused, why, and where it stands then: every reason, hostile names, and a quarantine that ends somewhere."""

import json
import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from collect_drops import KEY, NOW, OTHER, collect, document, drop, page_document, terms
from fleet_sources import tree
from hypothesis import given, settings
from hypothesis import strategies as st

from ccp_assess.fleet import collect_store
from ccp_assess.fleet.collect import CollectResult
from ccp_assess.fleet.collect_documents import read_dropped
from ccp_assess.probe.signed import MOST_BYTES, RefusedError, sign, signed_file

LONG_AGO = NOW - timedelta(days=2)


def envelope(value: object = None, **changes: Any) -> bytes:
    """A signed document, with changes to what is not signed."""
    return json.dumps(sign(json.dumps(document() if value is None else value), KEY) | changes).encode()


def signed_text(text: str) -> bytes:
    return json.dumps(sign(text, KEY)).encode()


def region(**changes: Any) -> bytes:
    """A signed document with one Region's row."""
    return envelope(document(regions=[{"region_code": "eu-west-2"} | changes]))


REFUSED: dict[str, tuple[bytes, str, str]] = {
    "an empty file": (b"", "empty", "is empty"),
    "spaces": (b" \r\n\t", "empty", "is empty"),
    "half a file": (envelope()[:-9], "cut_off", "breaks off"),
    "half a character": (envelope()[:20] + "é".encode()[:1], "cut_off", "breaks off"),
    "zeros at the end": (envelope()[:-9] + bytes(9), "cut_off", "not all there"),
    "no text": (b"\xff\xfe\x00\x01", "not_json", "no text in UTF-8"),
    "packed": (b"\x1f\x8b\x08" + b"x" * 40, "not_json", "no text in UTF-8"),
    "other text": (b"traceroute to 1.2.3.4", "not_json", "not the JSON"),
    "damaged JSON": (b'{"format": ccp}', "not_json", "damaged"),
    "a number of thousands of digits": (b'{"format":' + b"9" * 5_000 + b"}", "not_json", "a number that no tool"),
    "a list": (b"[" + envelope() + b"]", "not_json", "not the JSON"),
    "two in one file": (envelope() + b"\n" + envelope(), "not_json", "damaged"),
    "a document that is not signed": (json.dumps({"time": "x"}).encode(), "not_signed", "no signed result"),
    "a result as the prober wrote it": (json.dumps(document()).encode(), "not_signed", "fleet sign"),
    "another format": (envelope(format="ccp-assess-signed/2"), "not_signed", "no signed result"),
    "a name that stands twice": (envelope()[:-1] + b',"payload":"{}"}', "damaged", "stands twice"),
    "no payload": (envelope(payload=None), "damaged", "damaged"),
    "a payload that is no text": (envelope(payload=1), "damaged", "damaged"),
    "a signature that is no text": (envelope(hmac_sha256=1), "damaged", "damaged"),
    "a deep envelope": (b'{"format":' + b"[" * 400_000, "not_signed", "no signed result"),
    "an object as payload": (envelope(payload={"time": 1}), "not_signed", "no signed result"),
    "another key": (signed_file(document(), OTHER), "other_key", "another key"),
    "another key that says it is ours": (
        signed_file(document(), OTHER).replace(
            sign("", OTHER)["key_id"].encode(), sign("", KEY)["key_id"].encode()
        ),
        "changed",
        "changed after",
    ),
    "no key at all": (envelope(key_id=None), "other_key", "another key"),
    "a changed number": (envelope().replace(b"31.0", b"11.0"), "changed", "changed after"),
    "a signature of other characters": (envelope(hmac_sha256="é" * 64), "changed", "changed after"),
    "a signature cut short": (envelope(hmac_sha256=sign("", KEY)["hmac_sha256"][:10]), "changed", "changed after"),
    "no JSON inside": (signed_text("hello"), "not_json", "what was signed is no JSON"),
    "a deep document": (signed_text("[" * 100_000 + "]" * 100_000), "too_deep", "deeper than 24"),
    "a deep document in a field of its own": (
        envelope(document(more=json.loads("[" * 30 + "]" * 30))), "too_deep", "deeper than 24",
    ),
    "no document": (envelope([]), "schema", "1 to 10000 documents"),
    "a number": (envelope(7), "schema", "must be an object"),
    "a second document that is none": (envelope([document(), 1]), "schema", "document 2"),
    "no time": (envelope({"regions": []}), "schema", "must have time"),
    "no Regions": (envelope({"time": "2026-11-23T09:00:00Z"}), "schema", "must have regions"),
    "no Region's code": (envelope(document(regions=[{}])), "schema", "regions[0] must have region_code"),
    "too many Regions": (envelope(document(regions=[{"region_code": "a"}] * 1_001)), "schema", "at most 1000"),
    "a time without a zone": (envelope(document(time="2026-11-23T09:00:00")), "schema", "with its zone"),
    "a time that is none": (envelope(document(time="yesterday")), "schema", "RFC 3339"),
    "a time that no calendar holds": (envelope(document(time="2026-02-30T09:00:00Z")), "time_none", "no calendar"),
    "a time at the end of all": (envelope(document(time="9999-12-31T23:59:59-12:00")), "time_none", "no calendar"),
    "a time to come": (envelope(document(time="2026-11-24T13:00:00Z")), "time_future", "has not come yet"),
    "a time before the service": (envelope(document(time="2016-01-01T00:00:00Z")), "time_past", "2017-03-28"),
    "an id that is none": (envelope(document(id="../1")), "schema", "id must be 32 hexadecimal digits"),
    "a site that is a number": (envelope(document(site_id=7)), "schema", "site_id must be text"),
    "a site that steers a terminal": (envelope(document(site_id="LIS\x1b[2J")), "schema", "printable"),
    "a site that turns the text": (envelope(document(site_id="LIS\u202e")), "schema", "printable"),
    "a long site": (envelope(document(site_id="x" * 256)), "schema", "at most 255"),
    "a site that is long when escaped": (envelope(document(site_id="é" * 60)), "site_name", "too long"),
    "a long tool": (envelope(document(tool="x" * 300)), "schema", "tool must have at most 255"),
    "a host that is none": (envelope(document(host=[])), "schema", "host must be an object"),
    "times that are text": (region(rtt_ms=["12"]), "schema", "regions[0].rtt_ms[0] must be a number"),
    "a time below zero": (region(rtt_ms=[-1]), "schema", "from 0 to 3600000"),
    "a time beyond all": (signed_text(json.dumps(document()).replace("31.0", "1e999")), "schema", "from 0 to 3600000"),
    "a time that is no number": (signed_text(json.dumps(document()).replace("31.0", "NaN")), "schema", "from 0 to"),
    "a time that is true": (region(rtt_ms=[True]), "schema", "must be a number"),
    "loss beyond all": (region(train={"loss_pct": 101}), "schema", "train.loss_pct must be a number from 0 to 100"),
    "a hop that is none": (region(path={"hops": [{"ttl": 0}]}), "schema", "path.hops[0].ttl must be a whole number"),
    "hops without end": (region(path={"hops": [{"ttl": 1}] * 256}), "schema", "hops must have at most 255"),
    "a code that is long": (region(diagnosis=[{"code": "X" * 101}]), "schema", "at most 100"),
    "a huge number in a field of its own": (envelope(document(more=10**40)), "schema", "more must be a number"),
    "a long text in a field of its own": (envelope(document(more="x" * 500_001)), "schema", "at most 500000"),
    "a long list in a field of its own": (envelope(document(more=[0] * 10_001)), "schema", "at most 10000"),
    "a page of another edition": (envelope(page_document(format="ccp-assess-probe-page/9")), "schema", "format must"),
    "a verdict that is none": (
        envelope(page_document(regions=[{"region_code": None, "relays": [], "web": [], "verdicts": ["<b>"]}])),
        "schema",
        "verdicts[0] must be one of",
    ),
    "a page without a Region": (envelope(page_document(regions=[])), "schema", "holds no Region"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "reason", "told"), REFUSED.values(), ids=REFUSED)
def test_a_file_is_refused_for_its_own_reason(data: bytes, reason: str, told: str) -> None:
    with pytest.raises(RefusedError) as caught:
        read_dropped(data, terms(), now=NOW)
    assert (caught.value.code, told in str(caught.value)) == (reason, True), str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_comes_from_before_the_engagement_is_refused() -> None:
    began = terms(since=datetime(2026, 11, 21, 9, 2, tzinfo=UTC))
    assert read_dropped(envelope(document(2)), began, now=NOW)
    with pytest.raises(RefusedError, match="before 2026-11-21"):
        read_dropped(envelope(document(1)), began, now=NOW)


def test_a_byte_order_mark_and_other_line_ends_are_no_damage() -> None:
    data = json.dumps(sign(json.dumps(document(), indent=1), KEY), indent=1).replace("\n", "\r\n")
    assert read_dropped(b"\xef\xbb\xbf" + data.encode(), terms(), now=NOW)


@given(st.binary(max_size=400))
def test_any_bytes_are_refused_in_one_sentence(data: bytes) -> None:
    with pytest.raises(RefusedError) as caught:
        read_dropped(data, terms(), now=NOW)
    assert "\n" not in str(caught.value)


WHOLE = envelope()


@settings(max_examples=300)
@given(st.integers(0, len(WHOLE) - 1), st.binary(max_size=3), st.integers(0, 3))
def test_a_damaged_envelope_is_refused_or_says_the_same(place: int, put: bytes, gone: int) -> None:
    """Whatever is cut out or put in: what is accepted is what was signed."""
    data = WHOLE[:place] + put + WHOLE[place + gone :]
    try:
        (found,) = read_dropped(data, terms(), now=NOW)
    except RefusedError:
        return
    (truth,) = read_dropped(WHOLE, terms(), now=NOW)
    assert found == truth


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
fields = st.sampled_from(
    ["id", "site_id", "time", "tool", "host", "regions", "more", "rtt_ms", "relay", "train", "path", "diagnosis", "dns"]
)


@settings(max_examples=100)
@given(
    st.dictionaries(fields, json_values, max_size=4), st.dictionaries(fields, json_values, max_size=4), st.booleans()
)
def test_any_document_that_is_signed_is_refused_or_becomes_rows(
    over: dict[str, Any], below: dict[str, Any], is_page: bool
) -> None:
    value = page_document() if is_page else document()
    value["regions"][0] |= below
    data = json.dumps(sign(json.dumps(value | over), KEY)).encode()
    try:
        found = read_dropped(data, terms(), now=NOW)
    except RefusedError as error:
        told = str(error)
    else:
        told = ""
        assert all(set(row) <= set(collect_store.TABLES["probes"]) for one in found for row in one.rows)
    assert "\n" not in told


def result_of(tmp_path: Path, make: Callable[[Path], None]) -> CollectResult:
    (tmp_path / "in").mkdir()
    make(tmp_path / "in")
    return collect(tmp_path / "in", tmp_path / "out")


def reasons(result: CollectResult) -> dict[str, str]:
    return {row["path"]: row["reason"] for row in result.refusals}


def test_a_file_that_is_too_long_is_not_even_opened(tmp_path: Path) -> None:
    def make(inbox: Path) -> None:
        with (inbox / "huge.json").open("wb") as file:
            file.truncate(50_000_000_000)  # a hole, which takes no room; reading it would

    result = result_of(tmp_path, make)
    assert reasons(result) == {"huge.json": "too_large"}
    assert not list((tmp_path / "out" / "quarantine").glob("*.data"))
    (told,) = (tmp_path / "out" / "quarantine").glob("*.json")
    assert json.loads(told.read_text())["name"] == "huge.json"


def test_a_file_at_the_limit_is_taken_and_one_byte_more_is_not(tmp_path: Path) -> None:
    at_limit = signed_file(document(), KEY).ljust(MOST_BYTES)

    def make(inbox: Path) -> None:
        (inbox / "a.json").write_bytes(at_limit)
        (inbox / "b.json").write_bytes(signed_file(document(2), KEY).ljust(MOST_BYTES + 1))

    result = result_of(tmp_path, make)
    assert (result.accepted, reasons(result)) == (1, {"b.json": "too_large"})


def test_links_pipes_and_sockets_are_neither_followed_nor_opened(tmp_path: Path) -> None:
    secret = drop(tmp_path / "elsewhere", "secret.json", document())

    def make(inbox: Path) -> None:
        (inbox / "link.json").symlink_to(secret)
        (inbox / "folder").symlink_to(secret.parent)
        (inbox / "loop").symlink_to(inbox)
        os.mkfifo(inbox / "pipe.json")
        with socket.socket(socket.AF_UNIX) as server:
            os.chdir(inbox)
            server.bind("socket.json")

    here = Path.cwd()
    try:
        result = result_of(tmp_path, make)
    finally:
        os.chdir(here)
    names = ("folder", "link.json", "loop", "pipe.json", "socket.json")
    assert (result.accepted, reasons(result)) == (0, dict.fromkeys(names, "no_file"))


@pytest.mark.parametrize("swap", ["file", "folder"])
def test_what_becomes_a_link_after_it_was_listed_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swap: str
) -> None:
    drop(tmp_path / "elsewhere", "a.json", document())
    path = drop(tmp_path / "in", "sub/a.json", document(2))
    from ccp_assess.fleet import collect_inbox

    listed = collect_inbox.Inbox.files

    def files(self: collect_inbox.Inbox) -> list[collect_inbox.Dropped]:
        found = listed(self)
        if swap == "file":
            path.unlink()
            path.symlink_to(tmp_path / "elsewhere" / "a.json")
        else:
            path.parent.rename(tmp_path / "away")
            path.parent.symlink_to(tmp_path / "elsewhere")
        return found

    monkeypatch.setattr(collect_inbox.Inbox, "files", files)
    result = collect(tmp_path / "in", tmp_path / "out", take=True)
    assert (result.accepted, result.taken) == (0, 0)
    assert (tmp_path / "elsewhere" / "a.json").exists()


@pytest.mark.parametrize(
    "name",
    [
        "a..json",
        "a\nb.json",
        "\u202ejson.exe",
        "x" * 250,
        "CON",
        "a\x1b[2J",
        "'; drop table probes; --",
        "%2e%2e",
        "-rf",
    ],
)
def test_hostile_names_become_no_names_of_ours(tmp_path: Path, name: str) -> None:
    result = result_of(tmp_path, lambda inbox: (inbox / name).write_bytes(b"[]") and None)
    assert reasons(result) == {name: "not_json"}
    kept = sorted(path.name for path in (tmp_path / "out" / "quarantine").iterdir())
    assert [path.rpartition(".")[2] for path in kept] == ["data", "json"]
    assert all(set(path.partition(".")[0]) <= set("0123456789abcdef") for path in kept)
    told = json.loads((tmp_path / "out" / "quarantine" / kept[1]).read_text("ascii"))
    assert (told["name"], told["reason"], told["bytes"]) == (name, "not_json", 2)


def test_a_name_that_is_no_unicode_is_no_obstacle(tmp_path: Path) -> None:
    good, bad = (os.fsencode(tmp_path / "in") + b"/" + name for name in (b"\xff.json", b"\xfe.json"))
    (tmp_path / "in").mkdir()
    Path(os.fsdecode(good)).write_bytes(envelope())
    Path(os.fsdecode(bad)).write_bytes(b"[]")
    result = collect(tmp_path / "in", tmp_path / "out", take=True)
    assert (result.accepted, result.taken) == (1, 2)
    json.dumps(result.to_document())


def test_hidden_and_unfinished_files_are_none_of_ours(tmp_path: Path) -> None:
    for name in (".a.json", ".git/b.json", "c.json.part", "~$d.json", "Thumbs.db", "e.json.tmp"):
        drop(tmp_path / "in", name, document())
    result = collect(tmp_path / "in", tmp_path / "out")
    assert (result.accepted, result.refusals, result.waiting) == (0, [], [])


def test_a_file_that_may_not_be_read_yet_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = drop(tmp_path / "in", "locked.json", document())
    drop(tmp_path / "in", "open.json", document(2))
    real = os.open

    def no(name: Any, *args: Any, **more: Any) -> int:
        if name == "locked.json":
            raise PermissionError(13, "Permission denied")
        return real(name, *args, **more)

    monkeypatch.setattr(os, "open", no)
    os.utime(path, (NOW.timestamp(), NOW.timestamp()))
    result = collect(tmp_path / "in", tmp_path / "out")
    assert (result.accepted, result.waiting) == (1, ["locked.json"])
    os.utime(path, (LONG_AGO.timestamp(), LONG_AGO.timestamp()))
    assert reasons(collect(tmp_path / "in", tmp_path / "out")) == {"locked.json": "unreadable"}
    monkeypatch.undo()
    assert collect(tmp_path / "in", tmp_path / "out").accepted == 1


def test_the_same_bad_file_is_set_aside_once(tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        drop(tmp_path / "in", name, document(), key=OTHER)
    collect(tmp_path / "in", tmp_path / "out")
    before = tree(tmp_path / "out")
    result = collect(tmp_path / "in", tmp_path / "out")
    assert dict(result.refused) == {"other_key": 2}
    assert tree(tmp_path / "out") == before
    assert len([name for name in before if name.startswith("quarantine/")]) == 2


def test_the_quarantine_is_bounded_and_what_it_does_not_hold_stays_in_the_inbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect_store, "MOST_QUARANTINED_FILES", 3)
    monkeypatch.setattr(collect_store, "MOST_QUARANTINED_BYTES", 2_000)
    for number in range(9):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"{number}.json").write_text(f"[{number}]" + "x" * (1_500 if number == 0 else 0))
    drop(tmp_path / "in", "good.json", document())
    result = collect(tmp_path / "in", tmp_path / "out", take=True)
    assert (result.accepted, dict(result.refused)) == (1, {"not_json": 9})
    kept = [row["path"] for row in result.refusals if row["kept"]]
    assert 1 <= len(kept) <= 3
    assert sorted(tree(tmp_path / "in")) == sorted(set(map("{}.json".format, range(9))) - set(kept))
    held = list((tmp_path / "out" / "quarantine").iterdir())
    assert len(held) <= 6
    assert sum(path.stat().st_size for path in held) <= 2_000


def test_a_result_from_the_future_is_taken_when_its_time_has_come(tmp_path: Path) -> None:
    with TemporaryDirectory() as folder:
        drop(Path(folder), "a.json", document(time="2026-11-25T09:00:00Z"))
        assert reasons(collect(folder, tmp_path / "out")) == {"a.json": "time_future"}
        assert collect(folder, tmp_path / "out", now=NOW + timedelta(days=2)).accepted == 1
