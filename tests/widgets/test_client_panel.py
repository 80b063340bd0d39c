"""The client panel without a browser: choose, lay out, drop files, edit tables."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from ccp_assess.client import read_client
from ccp_assess.widgets import ClientPanel, show_client_panel
from ccp_assess.widgets.client_panel import clients_below

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    client = tmp_path / "sample"
    shutil.copytree(SAMPLE, client, ignore=shutil.ignore_patterns("captures", "probes"))
    return client


@pytest.fixture
def panel(folder: Path) -> ClientPanel:
    return show_client_panel(folder)


def edit(panel: ClientPanel, row: int, column: str, text: str) -> None:
    names = [each["name"] for each in panel.editor.columns]
    rows = [list(cells) for cells in panel.editor.rows]
    rows[row][names.index(column)] = text
    panel.editor.rows = rows


def drop(panel: ClientPanel, source: Path, tmp_path: Path, name: str) -> str:
    return panel._on_file(name, Path(shutil.copy(source, tmp_path / "arriving")))


def test_it_opens_with_what_the_folder_holds(panel: ClientPanel) -> None:
    assert panel.client is not None
    assert "5 sites with 465 agents" in panel.summary.value
    assert panel.table.value == "sites"
    assert [cells[0] for cells in panel.editor.rows] == [site.site_id for site in panel.client.sites]
    assert panel.editor.problems == []


def test_a_wrong_cell_is_said_beside_it_at_once_and_saving_says_what_is_left(panel: ClientPanel, folder: Path) -> None:
    edit(panel, 0, "agents", "many")
    (problem,) = panel.editor.problems
    assert (problem["row"], panel.editor.columns[problem["column"]]["name"]) == (0, "agents")
    panel.save.click()
    assert "1 places still need attention" in panel.said.value
    assert "'many'" in panel.summary.value.replace("&#x27;", "'")
    edit(panel, 0, "agents", "170")
    assert panel.editor.problems == []
    panel.save.click()
    assert read_client(folder).sites[0].agents == 170


def test_every_table_can_be_edited_and_shares_are_checked_as_a_whole(panel: ClientPanel) -> None:
    for table in ("callers", "transfers", "reroutes"):
        panel.table.value = table
        assert panel.editor.problems == []
        assert panel.editor.rows
    panel.table.value = "callers"
    edit(panel, 0, "call_share_pct", "1")
    assert "must add up to 100" in panel.hints.value


def test_a_new_client_is_laid_out_beside_the_others_and_opened(panel: ClientPanel, folder: Path) -> None:
    panel.name.value = "Ünlü & Söhne"
    panel.create.click()
    assert panel.folder == folder.parent / "Ünlü & Söhne"
    assert (panel.folder / "client.toml").is_file()
    assert "no rows yet" in panel.summary.value
    edit(panel, 0, "site_id", "IST")
    edit(panel, 0, "place", "Istanbul, TR")
    edit(panel, 0, "agents", "5")
    panel.save.click()
    assert "1 sites with 5 agents" in panel.summary.value


@pytest.mark.parametrize("name", ["", "  ", "../x", "a/b", ".hidden"])
def test_a_name_that_is_no_folder_is_refused_in_a_sentence(panel: ClientPanel, name: str) -> None:
    panel.name.value = name
    panel.create.click()
    assert "Give the new client a name" in panel.problem.value


def test_files_go_where_they_belong(panel: ClientPanel, folder: Path, tmp_path: Path) -> None:
    capture = SAMPLE / "captures" / "DEN" / "bench__desk-call.pcap"
    panel.site.value = "DEN"
    assert drop(panel, capture, tmp_path, "my call.pcap") == "my call.pcap → captures/DEN/my call.pcap"
    assert (folder / "captures" / "DEN" / "my call.pcap").read_bytes() == capture.read_bytes()
    assert "1 captures" in panel.summary.value
    panel.site.value = ""
    panel.kind.value = "logs"
    assert drop(panel, SAMPLE / "README.md", tmp_path, "note.txt") == "note.txt → logs/note.txt"


def test_a_dropped_table_is_shown_at_once(panel: ClientPanel, folder: Path, tmp_path: Path) -> None:
    (folder / "reroutes.csv").unlink()
    table = tmp_path / "new.csv"
    table.write_text('site_id,place,agents\nX,"Lisbon, PT",3\n', encoding="utf-8")
    drop(panel, table, tmp_path, "Our sites.csv")
    assert [cells[0] for cells in panel.editor.rows] == ["X"]
    assert "1 sites with 3 agents" in panel.summary.value


def test_without_a_folder_everything_is_a_sentence(tmp_path: Path) -> None:
    panel = show_client_panel(clients=tmp_path)
    assert panel.folder is None
    assert "lay one out" in panel.summary.value
    panel.save.click()
    assert "first" in panel.problem.value
    assert panel.static_html()


def test_client_folders_are_found_below(folder: Path) -> None:
    assert clients_below(folder.parent) == [folder]
    assert clients_below(folder / "nowhere") == []


def test_hostile_names_are_shown_as_text(panel: ClientPanel) -> None:
    edit(panel, 0, "name", HOSTILE)
    panel.save.click()
    shown: Any = panel.static_html()
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown
