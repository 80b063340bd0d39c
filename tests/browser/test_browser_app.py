"""The notebooks as an app: Voilà with our own page, no outside request, and axe finds nothing serious."""

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ccp_assess.files import make_key

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fleet"))

from collect_drops import document, drop

pytestmark = pytest.mark.browser

SERIOUS = {"serious", "critical"}
SHOW_WITHIN_MS = 240_000


def as_app(name: str) -> Any:
    return pytest.mark.parametrize("in_app", [name], indirect=True, ids=[name])


def serious_findings(page: Any) -> list[str]:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="missing tool: axe-playwright-python")
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['html'][:160]}" for one in found if one["impact"] in SERIOUS for node in one["nodes"][:3]
    ]


@as_app("00-start-here")
def test_start_here_is_an_app_without_code_that_answers_the_keyboard(in_app: Any) -> None:
    page = in_app.page
    page.wait_for_selector(".ccp-region-panel .ccp-ranking td", timeout=SHOW_WITHIN_MS)
    page.wait_for_selector("#rendered_cells", state="visible")
    assert page.locator(".jp-InputArea-editor:visible").count() == 0
    assert page.locator(".ccp-picture svg").count() >= 4
    before = page.locator(".ccp-ranking").first.inner_text()
    slider = page.locator(".ccp-region-panel").get_by_label("Callers", exact=True)
    slider.focus()
    for _ in range(10):
        slider.press("ArrowRight")
    page.wait_for_function("([s, old]) => document.querySelector(s).innerText !== old", arg=[".ccp-ranking", before])
    in_app.screenshot("app-00.png")
    assert serious_findings(page) == []


@as_app("06-choose-a-region")
def test_choosing_a_region_is_an_app_that_can_be_read_at_twice_the_size(in_app: Any) -> None:
    page = in_app.page
    page.wait_for_selector(".ccp-region-panel .ccp-ranking td", timeout=SHOW_WITHIN_MS)
    page.wait_for_selector("#rendered_cells", state="visible")
    assert serious_findings(page) == []
    page.set_viewport_size({"width": 640, "height": 900})  # a window of 1280 at 200 %
    page.wait_for_function("() => document.querySelector('.ccp-region-panel').clientWidth < 640")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 660
    page.locator(".ccp-region-panel").evaluate("panel => panel.scrollIntoView()")
    in_app.screenshot("app-06-200-percent.png")


NAMES = (
    "Denver",
    "Colorado",
    "Salt Lake",
    "Cape Town",
    "Manchester",
    "Provider A",
    "sample",
    "DEN",
    "HOM",
    "SLC",
    "CPT",
)


def wait_for_words(page: Any, selector: str, words: str, timeout_ms: int = SHOW_WITHIN_MS) -> None:
    page.wait_for_function(
        "([selector, words]) => document.querySelector(selector)?.innerText.includes(words)",
        arg=[selector, words],
        timeout=timeout_ms,
    )


@as_app("09-many-sites")
def test_many_sites_is_an_app_that_masks_names_collects_and_runs_anew(in_app: Any, voila: Any) -> None:
    page, panel = in_app.page, ".ccp-fleet-panel"
    page.wait_for_selector(f"{panel} .ccp-results tbody th", timeout=SHOW_WITHIN_MS)
    page.wait_for_selector("#rendered_cells", state="visible")
    assert page.locator(".jp-InputArea-editor:visible").count() == 0
    assert page.locator(".ccp-picture svg[role=img]").count() >= 4
    in_app.screenshot("app-09.png")
    assert serious_findings(page) == []
    box = page.locator(panel)

    def press(name: str) -> None:
        button = box.get_by_role("button", name=name, exact=True).first
        button.focus()
        button.press("Enter")

    box.get_by_label("Show", exact=True).select_option(label="What each site was asked")
    wait_for_words(page, panel, "Manchester office")
    assert [name for name in NAMES if name in box.inner_html()] == list(NAMES)
    box.get_by_label("Mask all names").check()
    wait_for_words(page, f"{panel} .ccp-results", "Site 5")
    page.wait_for_function("() => document.querySelector('.ccp-fleet-panel input[type=text]').value === 'CLIENT_DIR'")
    typed = box.locator("input, textarea").evaluate_all("fields => fields.map(field => field.value)")
    shown = "\n".join([box.inner_html(), *typed])
    assert [name for name in NAMES if name in shown] == []
    in_app.screenshot("app-09-masked.png", panel)
    assert serious_findings(page) == []
    box.get_by_label("Mask all names").uncheck()
    wait_for_words(page, f"{panel} .ccp-results", "Manchester office")

    key, inbox = make_key(voila.root / "acme.key"), voila.root / "inbox"
    drop(inbox, "a.json", document(1, site_id="DEN"), key=key)
    drop(inbox, "<b>bold</b>.json", document(2), key=b"x" * 32)
    for label, value in (("Inbox", "../inbox"), ("Keys (files)", "../acme.key")):
        box.get_by_label(label, exact=True).fill(value)
        box.get_by_label(label, exact=True).blur()
    press("Collect now")
    wait_for_words(page, panel, "Accepted: 1 result")
    wait_for_words(page, panel, "<b>bold</b>.json")
    assert serious_findings(page) == []
    in_app.screenshot("app-09-collected.png", panel)

    box.get_by_label("Dataset in").fill("../out/another")
    box.get_by_label("Dataset in").blur()
    press("Start, or go on")
    until = time.monotonic() + SHOW_WITHIN_MS / 1000
    while not (voila.root / "out" / "another" / "manifest.json").is_file():
        assert time.monotonic() < until, box.inner_text()
        page.wait_for_timeout(100)
    wait_for_words(page, f"{panel} .ccp-run", "done now")
    page.set_viewport_size({"width": 640, "height": 900})  # a window of 1280 at 200 %
    page.wait_for_function("() => document.querySelector('.ccp-fleet-panel').clientWidth < 640")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 660
    in_app.screenshot("app-09-narrow.png", panel)
    assert in_app.errors == []
