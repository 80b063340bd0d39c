"""A client with nothing but sites, and names that want to be scripts, formulas, novels or turned around."""

from pathlib import Path

import pytest

from ccp_assess.assess.client_assessment import ClientAssessment, assess_client
from ccp_assess.widgets import (
    show_call_panel,
    show_capture_panel,
    show_client_panel,
    show_firewall_panel,
    show_path_panel,
    show_region_panel,
    show_report_panel,
)

NAMES = ("=cmd()", "x" * 300, "\u202eabc עברית", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("client")
    (place / "client.toml").write_text(f'[client]\nname = "{NAMES[3]}"\n', encoding="utf-8")
    rows = "".join(f'S{number},"{name}","Lisbon, PT",{number + 1}\n' for number, name in enumerate(NAMES))
    (place / "sites.csv").write_text(f'site_id,name,place,agents\n{rows}=1+1,,"Madrid, ES",4\n', encoding="utf-8")
    return place


@pytest.fixture(scope="module", params=[False, True], ids=["named", "masked"])
def assessment(folder: Path, request: pytest.FixtureRequest) -> ClientAssessment:
    return assess_client(folder, masked=request.param)


def is_harmless(html: str) -> bool:
    return not any(sign in html for sign in ("<script", "<img", "\u202e"))


@pytest.mark.parametrize("show", [show_region_panel, show_firewall_panel, show_call_panel])
def test_a_panel_of_an_assessment_works_with_sites_alone_and_shows_names_as_text(
    assessment: ClientAssessment, show: object
) -> None:
    assert callable(show)
    assert is_harmless(show(assessment).static_html())


@pytest.mark.parametrize("show", [show_client_panel, show_report_panel, show_path_panel, show_capture_panel])
def test_a_panel_of_a_folder_works_with_sites_alone_and_shows_names_as_text(folder: Path, show: object) -> None:
    assert callable(show)
    assert is_harmless(show(folder).static_html())


def test_names_on_the_map_are_short_and_told_in_full_length_nowhere(assessment: ClientAssessment) -> None:
    panel = show_region_panel(assessment)
    assert all(len(mark["label"]) <= 22 for mark in panel.map.marks)
    assert all(len(mark["text"]) < 200 for mark in panel.map.marks)
    assert is_harmless(" ".join(mark["text"].replace("<", "") for mark in panel.map.marks))
