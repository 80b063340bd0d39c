"""The fleet panel without a browser: a real run on real captures, its answers, and everything that can go wrong."""

import asyncio
import base64
import csv
import importlib.util
import io
import re
import shutil
import sys
import threading
import urllib.request
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ccp_assess.errors import CcpAssessError
from ccp_assess.fleet.answers import hours_of_site, read_answers
from ccp_assess.fleet.run import FleetResult
from ccp_assess.widgets import FleetPanel, fleet_panel, show_fleet_panel
from ccp_assess.widgets.fleet_panel import dashboard_html, result_html
from ccp_assess.widgets.progress import bytes_html, size

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fleet"))  # one cluster for all tests of a process

from fleet_sources import local_scheduler

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"
SINCE = "2026-11-23 01:43:30"
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A client whose names are hostile and whose files are not all captures."""
    root = tmp_path_factory.mktemp("source") / "acme"
    for kind in ("captures", "probes"):
        shutil.copytree(SAMPLE / kind, root / kind)
    (root / "captures" / "CPT").rename(root / "captures" / HOSTILE)
    (root / "captures" / "DEN" / "notes.pcap").write_text("no capture\n", encoding="utf-8")
    rows = (SAMPLE / "sites.csv").read_text(encoding="utf-8")
    (root / "sites.csv").write_text(f"{rows}=1+1,=cmd(),Nowhere,,,7,office,,,,\n", encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def dest(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset as the panel itself makes it."""
    folder = tmp_path_factory.mktemp("dest") / "out"
    panel = show_fleet_panel(source, folder, scheduler=local_scheduler(), since=SINCE)
    panel.start.click()
    assert panel.result is not None, panel.job.shown.value
    return folder


@pytest.fixture(scope="module")
def panel(source: Path, dest: Path) -> FleetPanel:
    """The panel of a dataset that is there already; each test chooses what it looks at."""
    return show_fleet_panel(source, dest, scheduler=local_scheduler(), since=SINCE)


def cells_of(panel: FleetPanel) -> list[list[str]]:
    return [[words for words, _ in row] for row in panel.answers.table.rows]


def linked(html: str) -> str:
    data = re.search(r"base64,([^']+)'", html)
    assert data is not None
    return base64.b64decode(data[1]).decode("utf-8-sig")


def saved(html: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(linked(html))))


def test_a_run_is_started_and_told_and_its_answers_are_read(source: Path, tmp_path: Path) -> None:
    panel = show_fleet_panel(source, tmp_path / "out", scheduler=local_scheduler())
    assert not any(panel.rows.values())
    panel.start.click()
    told = panel.told.value
    units = panel.result.manifest["units"] if panel.result else 0
    assert units > 4
    assert f"{units} done now, 0 kept from before, 0 failed; 1 files set aside" in told
    assert "captures/DEN/notes.pcap" in told
    assert panel.rows["worst_sites"][0]["site_id"] == "HOM"
    panel.start.click()
    assert f"0 done now, {units} kept from before" in panel.told.value


def test_a_dataset_that_is_there_is_opened_at_once(panel: FleetPanel) -> None:
    assert panel.result is None
    panel.answers.which.value = "worst_sites"
    assert cells_of(panel)[0][0] == "HOM"
    assert "HOM" in panel.answers.told.value
    assert "test bench" in panel.answers.told.value
    assert "MAN" in panel.answers.unknown.value


@pytest.mark.parametrize(
    ("which", "head", "cell"),
    [
        ("worst_sites", "Lost", "1.50\u202f%"),
        ("by_hour", "Hour", "01 to 02"),
        ("by_provider", "Provider", "Provider B"),
        ("by_day", "Day", "23 Nov 2026"),
        ("by_region", "Region", "us-west-2"),
        ("worst_calls", "Outcome", "failed"),
        ("before_after", "difference", "nothing was heard after: no comparison"),
        ("region_comparison", "Region", "us-west-2"),
        ("findings", "Finding", "LOSS_INBOUND"),
        ("coverage", "Agents", "160"),
        ("set_aside", "Why", "captures/DEN/notes.pcap"),
    ],
)
def test_every_answer_is_a_table_with_units_and_a_file_to_save(
    panel: FleetPanel, which: str, head: str, cell: str
) -> None:
    panel.answers.which.value = which
    assert head in [column["label"] for column in panel.answers.table.columns]
    assert cell in [words for row in cells_of(panel) for words in row]
    rows = saved(panel.answers.save.value)
    assert len(rows) - 1 == len(panel.answers.table.rows)


def test_what_is_unknown_has_no_value_to_sort_by(panel: FleetPanel) -> None:
    panel.answers.which.value = "region_comparison"
    shown = [(words, value) for row in panel.answers.table.rows for words, value in row]
    assert ("unknown", None) in shown
    assert ("unknown", 0) not in shown


def test_before_and_after_tells_the_difference_and_how_sure_it_is(panel: FleetPanel) -> None:
    panel.answers.which.value = "before_after"
    (row,) = [cells for cells in cells_of(panel) if cells[0] == "HOM"]
    assert "+2.66\u202fpoints worse" in row
    assert row[-1].endswith("single calls, not yet the site")
    before, after = (int(found) for found in re.findall(r"(\d+) s in 1 call", row[-1]))
    (whole,) = [site for site in panel.rows["worst_sites"] if site["site_id"] == "HOM"]
    assert before + after == whole["seconds"]
    panel.answers.since.value = datetime.fromisoformat("2026-11-23 01:29")
    panel.answers.which.value = "before_after"
    (row,) = [cells for cells in cells_of(panel) if cells[0] == "HOM"]
    assert row[-1] == "nothing was heard before: no comparison"
    panel.answers.since.value = None
    assert "Choose an instant" in panel.answers.picture.value
    assert panel.answers.table.columns == []
    panel.answers.since.value = datetime.fromisoformat(SINCE)


def test_hours_of_one_site_follow_its_own_clock(panel: FleetPanel) -> None:
    panel.answers.which.value = "by_hour"
    assert panel.answers._of_hours.layout.display == ""
    panel.answers.zone.value = "America/Denver"
    panel.answers.site.value = ("acme", "DEN")
    assert cells_of(panel)[0][0] == "18 to 19"
    assert "America/Denver" in panel.answers.table.title
    panel.answers.zone.value = "Nowhere/Land"
    assert "is no time zone" in panel.answers.timing.shown.value
    panel.answers.site.value = ""
    assert cells_of(panel)[0][0] == "01 to 02"


def test_an_own_question_is_answered_and_a_wrong_one_is_one_sentence(panel: FleetPanel) -> None:
    panel.answers.sql.value = 'select site_id as "=x()", 1.5 as n, null as nothing from sites order by 1'
    panel.answers.ask.click()
    assert panel.answers.own_table.rows[0] == [["=1+1", "=1+1"], ["1.5", 1.5], ["", None]]
    assert saved(panel.answers.own_save.value)[:2] == [["'=x()", "n", "nothing"], ["'=1+1", "1.5", ""]]
    panel.answers.sql.value = "select * from nothing"
    panel.answers.ask.click()
    assert "cannot be answered" in panel.answers.asking.shown.value
    panel.answers.sql.value = "drop table sites"
    panel.answers.ask.click()
    assert "only read" in panel.answers.asking.shown.value


def test_hostile_names_are_text_everywhere(panel: FleetPanel) -> None:
    panel.answers.make_page.click()
    for html in (panel.static_html(), panel.answers.picture.value, linked(panel.answers.page.value)):
        assert "<img src=x" not in html
    assert "&lt;img" in panel.static_html()


def test_the_page_to_hand_over_is_a_link_that_asks_no_server(panel: FleetPanel) -> None:
    panel.answers.make_page.click()
    html = linked(panel.answers.page.value)
    assert "default-src 'none'" in html
    assert "Before and after 23 Nov 2026 01:43:30 UTC" in html
    assert "captures/DEN/notes.pcap" in html


def test_a_run_goes_on_beside_the_kernel_and_stops_without_loss(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = show_fleet_panel(source, tmp_path / "out", scheduler=local_scheduler())
    real, seen = fleet_panel.run_fleet, threading.Event()
    shown: list[str] = []
    panel.dashboard.observe(lambda change: shown.append(change["new"]), names="value")

    def watched(*args: Any, progress: Any, **more: Any) -> FleetResult:
        def told(what: str, done: int, total: int) -> None:
            if done and not seen.is_set():
                panel.job.stop.click()
                seen.set()
            progress(what, done, total)

        return real(*args, progress=told, **more)

    monkeypatch.setattr(fleet_panel, "run_fleet", watched)

    async def run() -> None:
        panel.start.click()
        while panel.job.is_running:  # noqa: ASYNC110 - a job has no event to wait for
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(run(), timeout=120))
    assert seen.is_set()
    assert "What is done is kept" in panel.job.shown.value
    done = len(list((tmp_path / "out" / "units").glob("*.json")))
    assert done > 0
    assert panel.result is None
    link = re.search(r"href='([^']+)'", "".join(shown))
    assert link is not None
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(link[1], timeout=30) as answer:
        assert b"Dask" in answer.read()
    monkeypatch.setattr(fleet_panel, "run_fleet", real)
    panel.start.click()
    assert panel.result is not None
    assert panel.result.kept >= done
    assert panel.result.done + panel.result.kept == panel.result.manifest["units"]


def test_what_cannot_begin_is_one_sentence(source: Path, tmp_path: Path) -> None:
    panel = show_fleet_panel()
    panel.start.click()
    assert "name the folder or bucket" in panel.told.value
    panel.source.value, panel.dest.value = str(tmp_path / "nowhere"), str(tmp_path / "out")
    panel.start.click()
    assert "no such folder" in panel.job.shown.value
    panel.source.value = str(source)
    panel.where.value = "scheduler"
    panel.start.click()
    assert "name the scheduler" in panel.told.value
    panel.scheduler.value = "tcp://192.0.2.1:8786"
    panel.start.click()
    assert "use tls:// with certificates" in panel.job.shown.value
    panel.scheduler.value, panel.ca.value = "tls://127.0.0.1:1", "ca.pem"
    panel.start.click()
    assert "TLS needs all three" in panel.job.shown.value
    with pytest.raises(CcpAssessError, match="is no instant"):
        show_fleet_panel(since="yesterday")


def test_without_the_extra_the_panel_says_what_to_install(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("ccp_assess.fleet.needs.find_spec", lambda name: None if name == "dask" else find(name))
    panel = show_fleet_panel(source, tmp_path / "out")
    assert "pip install" in panel.told.value
    panel.run()
    assert "dask is not installed" in panel.told.value
    assert "pip install" in panel.static_html()


def test_only_an_address_of_this_machine_becomes_a_link() -> None:
    assert "href='http://127.0.0.1:8787/status'" in dashboard_html("dashboard: http://127.0.0.1:8787/status")
    for address in ("http://192.0.2.1:8787/status", "javascript:alert(1)", "https://127.0.0.1.example/'x"):
        assert "href" not in dashboard_html(f"dashboard: {address}")


def test_progress_is_told_in_bytes_and_units() -> None:
    html = bytes_html("3 of 10 units, about 2 min left", 1_500_000, 3_000_000_000)
    assert "3 of 10 units, about 2 min left (1.5 MB of 3.0 GB)" in html
    assert "value='1500000'" in html
    assert "max" not in bytes_html("looking", 0, 0)
    assert size(999) == "999 bytes"


def test_what_failed_is_told_with_its_reason_and_long_lists_are_cut() -> None:
    manifest = {"files": 70, "bytes": 1, "units": 70, "set_aside": [{"path": HOSTILE, "reason": "it is none"}] * 60}
    failed = ({"paths": ["a.pcap"], "reason": "the disk is full"},)
    html = result_html(FleetResult(manifest=manifest, done=9, kept=0, failed=failed))
    assert "a.pcap</bdi>: the disk is full" in html
    assert "and 10 more" in html
    assert "<img" not in html


def test_hours_of_a_site_whose_name_wants_to_be_sql_are_asked_as_text(dest: Path) -> None:
    assert hours_of_site(str(dest), "acme", "x' or 'a'='a", "UTC") == []
    (row,) = hours_of_site(str(dest), "acme", HOSTILE, "Asia/Kolkata")
    assert row["hour"] == 7


def test_answers_count_what_every_site_has(dest: Path) -> None:
    answers = read_answers(str(dest))
    found = {row["site_id"]: row for row in answers.rows["coverage"]}
    assert (found["SLC"]["captures"], found["SLC"]["calls"], found["SLC"]["vantage"]) == (2, 2, "bench")
    assert (found["MAN"]["captures"], found["MAN"]["agents"], found["MAN"]["vantage"]) == (0, 110, None)
    assert [row["path"] for row in answers.set_aside] == ["captures/DEN/notes.pcap"]


def test_choosing_a_scheduler_hides_the_number_of_workers_and_nothing_else() -> None:
    panel = show_fleet_panel()
    panel.where.value = "scheduler"
    fields = (
        panel.source,
        panel.where,
        panel.scheduler,
        panel.answers.since,
        panel.collector.inbox,
        panel.answers.zone,
    )
    assert not any(field.layout.display for field in fields)
    assert panel.workers.layout.display == "none"
    panel.answers.masked.value = True
    assert panel.answers.zone.layout.display == "none"
    assert panel.source.layout.display is None
