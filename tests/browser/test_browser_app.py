"""The notebooks as an app: Voilà with our own page, no outside request, and axe finds nothing serious."""

from typing import Any

import pytest

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
