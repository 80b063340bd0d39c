"""The collector in the fleet panel: its state, a round at the press of a button, hostile names, what can go wrong."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ccp_assess.errors import CcpAssessError
from ccp_assess.files import make_key
from ccp_assess.fleet import collect_state as stating
from ccp_assess.fleet.collect_state import collect_state, terms_of
from ccp_assess.widgets import FleetPanel, show_fleet_panel

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fleet"))

from collect_drops import document, drop

HOSTILE = "<img src=x onerror=alert(1)>.json"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    make_key(tmp_path / "acme.key")
    return tmp_path / "acme.key"


@pytest.fixture
def inbox(tmp_path: Path, key: Path) -> Path:
    """Two good results, a hostile name, a replay, and half a file that may still be on its way."""
    folder, secret = tmp_path / "inbox", bytes.fromhex(key.read_text())
    drop(folder, "a.json", document(1), key=secret)
    drop(folder, "b.json", document(2, site_id="<script>alert(1)</script>"), key=secret)
    drop(folder, "b2.json", document(2, tool_version="other words"), key=secret)
    drop(folder, HOSTILE, document(3), key=b"x" * 32)
    (folder / "half.json").write_bytes(b'{"format": "ccp-assess-sig')
    return folder


@pytest.fixture
def panel(tmp_path: Path, inbox: Path, key: Path) -> FleetPanel:
    return show_fleet_panel(None, tmp_path / "store", inbox=inbox, inbox_keys=[key])


def cells(panel: FleetPanel) -> list[list[str]]:
    return [[words for words, _ in row] for row in panel.collector.table.rows]


def test_before_anything_was_collected_the_inbox_is_told(panel: FleetPanel) -> None:
    told = panel.collector.told.value
    assert "In the inbox: 5 files" in told
    assert "Accepted: 0 results." in told
    assert "In quarantine: 0 files." in told
    assert panel.collector.result is None
    assert not (Path(panel.dest.value)).exists()  # looking writes nothing


def test_a_round_tells_what_was_accepted_refused_and_is_on_its_way_and_the_answers_follow(panel: FleetPanel) -> None:
    panel.collector.collect.click()
    told = panel.collector.told.value
    assert "2 files accepted with 2 new results, 0 known already, 2 refused, 1 perhaps still on the way" in told
    assert "Accepted: 2 results, the last one " in told
    assert "In quarantine: 2 files (1 replay, 1 other_key)." in told or "(1 other_key, 1 replay)" in told
    why = {row[0]: row[1] for row in cells(panel)}
    assert "it said something else" in why["b2.json"]
    assert set(why) == {"b2.json", HOSTILE}
    assert {row["site_id"] for row in panel.rows["region_comparison"]} == {"LIS", "<script>alert(1)</script>"}
    panel.collector.collect.click()
    assert "0 files accepted with 0 new results, 2 known already, 2 refused" in panel.collector.told.value
    assert len(cells(panel)) == 2


def test_files_that_the_dataset_holds_leave_the_inbox_where_that_is_wanted(panel: FleetPanel, inbox: Path) -> None:
    panel.collector.take.value = True
    panel.collector.collect.click()
    assert "4 taken out of the inbox" in panel.collector.told.value
    assert [path.name for path in inbox.iterdir()] == ["half.json"]
    assert "In the inbox: 1 file (" in panel.collector.told.value


def test_hostile_names_are_text(panel: FleetPanel) -> None:
    panel.collector.collect.click()
    for html in (panel.static_html(), panel.collector.told.value):
        assert "<img src=x" not in html
        assert "<script" not in html
    assert "&lt;img" in panel.static_html()


def test_looking_again_tells_what_came_meanwhile_and_takes_nothing(panel: FleetPanel, inbox: Path) -> None:
    (inbox / "new.json").write_bytes(b"{}")
    panel.collector.look.click()
    assert "In the inbox: 6 files" in panel.collector.told.value
    assert "Accepted: 0 results." in panel.collector.told.value


def test_what_cannot_be_collected_is_one_sentence(panel: FleetPanel, tmp_path: Path) -> None:
    def told() -> str:
        panel.collector.collect.click()
        return str(panel.collector.told.value) + str(panel.collector.job.shown.value)

    panel.collector.keys.value = ""
    assert "name the file of the engagement" in told()
    panel.collector.keys.value = str(tmp_path / "none.key")
    assert "the key file cannot be read" in told()
    panel.collector.keys.value = str(tmp_path / "acme.key")
    panel.collector.inbox.value = str(tmp_path / "nowhere")
    assert "nowhere" in told()
    assert "fault of the toolkit" not in told()
    panel.collector.inbox.value = ""
    assert "in which results are dropped" in told()
    panel.collector.inbox.value = str(tmp_path / "inbox")
    panel.dest.value = str(tmp_path / "inbox" / "inside")
    assert "choose an inbox and a destination apart" in told()
    panel.dest.value = ""
    assert "name the folder or bucket for the dataset" in told()


def test_a_round_runs_beside_the_kernel(panel: FleetPanel) -> None:
    async def run() -> None:
        panel.collector.collect.click()
        while panel.collector.job.is_running or panel.answers.reading.is_running:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(run(), timeout=120))
    assert "Accepted: 2 results" in panel.collector.told.value


def test_a_quarantine_that_somebody_wrote_into_is_read_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "store" / "quarantine"
    folder.mkdir(parents=True)
    for number, data in enumerate((b"[1]", b"\xff", b'{"name": "x", "reason": null}', b'{"name": "newest"}')):
        path = folder / f"{number}.json"
        path.write_bytes(data)
        os.utime(path, (1_000_000 + number, 1_000_000 + number))
    (folder / "3.data").write_bytes(b"")
    state = collect_state(str(tmp_path / "store"))
    assert (state.waiting, state.accepted, state.accepted_at) == (None, 0, None)
    assert [row["name"] for row in state.quarantined] == ["newest", "x", "unknown", "unknown"]
    assert [row["is_kept"] for row in state.quarantined] == [True, False, False, False]
    assert state.quarantined[0]["time"] == datetime.fromtimestamp(1_000_003, UTC)
    monkeypatch.setattr(stating, "MOST_LISTED", 1)
    assert collect_state(str(tmp_path / "store")).more_quarantined == 3


def test_several_clients_have_to_be_told_apart(tmp_path: Path, key: Path) -> None:
    for name in ("acme", "other"):
        (tmp_path / "store" / "probes" / f"client={name}").mkdir(parents=True)
    with pytest.raises(CcpAssessError, match="2 clients"):
        terms_of(str(tmp_path / "store"), [key])
    assert terms_of(str(tmp_path / "store"), [key], client="other").client == "other"
    assert json.loads(json.dumps(sorted(terms_of(str(tmp_path / "new"), [key]).sites))) == []
