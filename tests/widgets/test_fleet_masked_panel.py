"""The fleet panel with masks: no name of the client is left in any widget, link or table, and all comes back."""

import base64
import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ipywidgets
import pytest

from ccp_assess.files import make_key
from ccp_assess.probe.signed import signed_file
from ccp_assess.widgets import FleetPanel, show_fleet_panel
from ccp_assess.widgets.fleet_answers import _CHOICES

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fleet"))  # one cluster for all tests of a process

from fleet_sources import local_scheduler

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"
SECRETS = (
    *("zorblax", "zephyrtower", "zsite", "zprovider", "zfile", "zinbox", "zkey", "zstranger"),
    *("denver", "salt lake", "provider one"),
)
SITES = """site_id,name,place,agents,provider
zsite-b,Zephyrtower,"Denver, US",160,Provider One
zsite-a,Upper Zephyrtower,"Salt Lake City, US",45,Zprovider Two
"""


@pytest.fixture(scope="module")
def engagement(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A client with a secret in every name, and an inbox with a good, a bad and a strange result."""
    root = tmp_path_factory.mktemp("of") / "Zorblax Industries"
    for site, of in (("zsite-b", "HOM"), ("zsite-a", "SLC")):
        shutil.copytree(SAMPLE / "captures" / of, root / "captures" / site)
        shutil.copytree(SAMPLE / "probes" / of, root / "probes" / site)
    (root / "captures" / "zsite-a" / "zfile of Zorblax.pcap").write_text("no capture", encoding="utf-8")
    (root / "sites.csv").write_text(SITES, encoding="utf-8")
    key = make_key(root.parent / "zkey.key")
    inbox = root.parent / "zinbox"
    inbox.mkdir()
    for number, site in enumerate(("zsite-a", "zstranger"), start=1):
        (inbox / f"{site}__probe.json").write_bytes(signed_file(document(number, site), key))
    (inbox / "zfile.json").write_bytes(signed_file(document(3, "zsite-b"), b"x" * 32))
    return root


def document(number: int, site: str) -> dict[str, Any]:
    return {
        "id": f"{number:032x}", "site_id": site, "time": f"2026-11-20T09:0{number}:00.000000Z", "tool": "ccp-assess",
        "host": {"os": "Windows 11", "privileged": False, "vantage": "workstation"},
        "regions": [{"region_code": "eu-west-2", "via": "stun", "rtt_ms": [30.0 + number], "diagnosis": []}],
    }  # fmt: skip


@pytest.fixture(scope="module")
def panel(engagement: Path, tmp_path_factory: pytest.TempPathFactory) -> FleetPanel:
    """After a run and a round of the collector, masked from the beginning."""
    panel = show_fleet_panel(
        engagement,
        tmp_path_factory.mktemp("to") / "zorblax store",
        scheduler=local_scheduler(),
        since="2026-11-23 01:43:30",
        masked=True,
        inbox=engagement.parent / "zinbox",
        inbox_keys=[engagement.parent / "zkey.key"],
    )
    panel.start.click()
    assert panel.result is not None, panel.job.shown.value
    panel.collector.collect.click()
    assert panel.collector.result is not None, panel.collector.told.value
    return panel


def widgets_of(widget: ipywidgets.Widget) -> Iterator[ipywidgets.Widget]:
    yield widget
    for child in getattr(widget, "children", ()):
        yield from widgets_of(child)


def everything(panel: FleetPanel) -> str:
    """Whatever a browser, or a notebook that is saved, gets of the panel; and what stands in it as base64."""
    told = [json.dumps(one.get_state(), default=str, ensure_ascii=False) for one in widgets_of(panel.box)]
    whole = "\n".join([*told, panel.static_html(), str(panel._repr_mimebundle_())])
    inside = [base64.b64decode(found).decode("utf-8-sig") for found in re.findall(r"base64,([A-Za-z0-9+/=]+)", whole)]
    return "\n".join([whole, *inside]).lower()


def secrets_in(panel: FleetPanel) -> list[str]:
    whole = everything(panel)
    return [secret for secret in SECRETS if secret in whole]


def show_names(panel: FleetPanel, wanted: bool) -> None:
    panel.answers.masked.value = not wanted


@pytest.mark.parametrize(
    "which",
    [pytest.param(name, marks=pytest.mark.long if number > 1 else ()) for number, (_, name) in enumerate(_CHOICES)],
)
def test_no_name_is_left_in_any_answer_nor_in_its_file(panel: FleetPanel, which: str) -> None:
    show_names(panel, wanted=False)
    panel.answers.which.value = which
    assert panel.answers.table.rows
    assert secrets_in(panel) == []


def test_no_name_is_left_in_the_page_in_hours_of_a_site_nor_in_errors(panel: FleetPanel, tmp_path: Path) -> None:
    show_names(panel, wanted=False)
    panel.answers.make_page.click()
    assert "base64," in panel.answers.page.value
    panel.answers.which.value = "by_hour"
    panel.answers.site.value = ("Zorblax Industries", "zsite-a")
    assert "site-1; received audio" in panel.answers.table.title
    assert "site-1" in panel.answers.picture.value
    assert secrets_in(panel) == []
    panel.answers.site.value = ""
    path = panel.write_page(tmp_path / "p.html")
    assert path is not None
    assert not [secret for secret in SECRETS if secret in path.read_text(encoding="utf-8").lower()]
    assert {row["client"] for row in panel.rows["coverage"]} == {"The client"}


def test_the_run_is_told_without_names_and_goes_on_where_it_was(panel: FleetPanel) -> None:
    show_names(panel, wanted=False)
    panel.start.click()
    assert "0 done now" in panel.told.value
    assert re.search(r"captures/site-1/capture-\d+\.pcap", panel.told.value)
    assert panel.source.value == "CLIENT_DIR"
    assert panel.dest.value == "DATASET_DIR"
    assert panel.source.disabled
    assert secrets_in(panel) == []


def test_the_collector_is_told_without_names(panel: FleetPanel) -> None:
    show_names(panel, wanted=False)
    panel.collector.collect.click()
    told = panel.collector.told.value
    assert "2 known already, 1 refused" in told
    assert "In quarantine: 1 file (1 other_key)." in told
    assert secrets_in(panel) == []


def test_names_come_back_and_go_again(panel: FleetPanel, engagement: Path) -> None:
    show_names(panel, wanted=True)
    panel.answers.which.value = "coverage"
    assert panel.source.value == str(engagement)
    assert not panel.source.disabled
    assert {"zorblax", "zsite", "zephyrtower"} <= set(secrets_in(panel))
    show_names(panel, wanted=False)
    assert secrets_in(panel) == []
    assert panel.source.disabled


@pytest.mark.long
def test_names_come_back_and_go_again_with_own_questions_and_hours(panel: FleetPanel, engagement: Path) -> None:
    show_names(panel, wanted=True)
    panel.answers.which.value = "coverage"
    assert panel.source.value == str(engagement)
    assert not panel.source.disabled
    assert panel.collector.inbox.value.endswith("zinbox")
    assert set(SECRETS) <= {*secrets_in(panel), "zkey", "zstranger"}
    panel.answers.sql.value = "select site_id, name from sites where site_id = 'zsite-a'"
    panel.answers.ask.click()
    assert "Upper Zephyrtower" in str(panel.answers.own_table.rows)
    panel.answers.which.value = "by_hour"
    panel.answers.zone.value = "America/Denver"
    panel.answers.site.value = ("Zorblax Industries", "zsite-b")
    show_names(panel, wanted=False)
    assert secrets_in(panel) == []
    assert panel.answers._of_own.layout.display == "none"
    assert "Own questions rest" in panel.answers._no_own.value
    show_names(panel, wanted=True)
    assert panel.answers.sql.value.endswith("'zsite-a'")
    panel.answers.site.value = ""


def test_an_error_names_no_folder(engagement: Path, tmp_path: Path) -> None:
    panel = show_fleet_panel(engagement / "zfile", tmp_path / "zorblax", scheduler=local_scheduler(), masked=True)
    panel.start.click()
    assert "CLIENT_DIR: there is no such folder" in panel.job.shown.value
    panel.run()
    assert "CLIENT_DIR: there is no such folder" in panel.told.value
    panel.collector.collect.click()
    assert "name the folder or bucket in which results are dropped" in panel.collector.told.value
    assert not [secret for secret in SECRETS if secret in everything(panel)]
