"""`00-start-here` in JupyterLab in a real browser: the kernel runs, a widget is moved, the shown result changes."""

from typing import Any

import pytest

pytestmark = pytest.mark.browser

NOTEBOOK = "00-start-here.ipynb"
SHOW_PANEL_WITHIN_MS = 60_000
PANEL = ".ccp-region-panel"


def text_of(visit: Any, selector: str) -> str:
    return str(visit.page.locator(f"{PANEL} {selector}").first.inner_text())


def wait_until_other(visit: Any, selector: str, before: str) -> str:
    """Wait until what is shown has changed, and return it."""
    visit.page.wait_for_function(
        "([selector, before]) => document.querySelector(selector)?.innerText !== before",
        arg=[f"{PANEL} {selector}", before],
    )
    return text_of(visit, selector)


def wait_until(visit: Any, selector: str, wanted: str) -> None:
    """Wait until this is shown; a time-out fails the test."""
    visit.page.wait_for_function(
        "([selector, wanted]) => document.querySelector(selector)?.innerText === wanted",
        arg=[f"{PANEL} {selector}", wanted],
    )


@pytest.fixture
def opened(visit: Any, lab: Any) -> Any:
    visit.page.goto(lab.address_of(NOTEBOOK))
    visit.run_all()
    visit.page.wait_for_selector(f"{PANEL} .ccp-ranking td", timeout=SHOW_PANEL_WITHIN_MS)
    visit.page.wait_for_selector(f"{PANEL} img[alt^='Map']", timeout=SHOW_PANEL_WITHIN_MS)
    return visit


def test_a_person_at_the_keyboard_moves_weights_and_constraints_and_the_answer_follows(opened: Any) -> None:
    page = opened.page
    opened.screenshot("start-here-top.png")
    page.locator(PANEL).scroll_into_view_if_needed()
    opened.screenshot("start-here-panel-before.png")
    table, sentences = text_of(opened, ".ccp-ranking"), text_of(opened, ".ccp-sentences")
    own = text_of(opened, ".ccp-chosen")

    handle = page.locator(f"{PANEL} .widget-slider", has_text="Callers").locator(".noUi-handle")
    handle.focus()
    for _ in range(15):
        handle.press("ArrowRight")
    assert page.locator(f"{PANEL} .widget-slider", has_text="Callers").locator(".widget-readout").inner_text() == "2.5"
    wait_until_other(opened, ".ccp-ranking", table)
    wait_until_other(opened, ".ccp-sentences", sentences)

    winner = text_of(opened, ".ccp-chosen")
    code = winner.rpartition(", ")[2]
    excluded = page.get_by_label("Excluded")
    excluded.focus()
    excluded.select_option(label=[text for text in excluded.locator("option").all_inner_texts() if code in text])
    other = wait_until_other(opened, ".ccp-chosen", winner)
    assert code not in other
    assert own.rpartition(", ")[2] in text_of(opened, "[role='status']")
    page.wait_for_selector(f"{PANEL} .ccp-waiting", state="detached")
    assert code not in text_of(opened, ".ccp-sentences").partition(":")[0]
    page.wait_for_selector(f"{PANEL} img[alt*='{other.rpartition(', ')[2]} recommended']")
    opened.screenshot("start-here-panel-after.png")

    button = page.get_by_role("button", name="Back to the client's own")
    button.focus()
    button.press("Enter")
    wait_until(opened, ".ccp-chosen", own)
    wait_until(opened, ".ccp-ranking", table)
    wait_until(opened, ".ccp-sentences", sentences)

    assert opened.outside == []
    assert opened.errors == []


def test_the_notebook_needs_its_token(lab: Any, visit: Any) -> None:
    visit.page.goto(f"{lab.url}/lab/tree/notebooks/{NOTEBOOK}")
    visit.page.wait_for_selector("input[name='password']")
    assert "login" in visit.page.url
