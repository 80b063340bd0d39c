"""The page in a real browser: no request, no error, no sideways scrolling at any zoom, text dark enough."""

import pytest
from report_examples import assessment, hostile

from ccp_assess.report.document import write_report
from ccp_assess.report.pdf import find_browser

pytestmark = pytest.mark.browser

_CONTRAST = """() => {
  const part = (x) => x / 255 <= 0.03928 ? x / 255 / 12.92 : ((x / 255 + 0.055) / 1.055) ** 2.4;
  const light = (c) => { const v = c.map(part);
    return 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2]; };
  const numbers = (s) => (s.match(/[\\d.]+/g) || []).map(Number);
  const ground = (e) => { for (; e; e = e.parentElement) { const c = numbers(getComputedStyle(e).backgroundColor);
    if (c.length === 3 || c[3] > 0) return c.slice(0, 3); } return [255, 255, 255]; };
  const bad = [];
  for (const e of document.querySelectorAll('p, li, td, th, dt, dd, h1, h2, h3, caption, span, figcaption, a, code')) {
    if (!e.textContent.trim() || e.closest('svg') || e.classList.contains('skip')) continue;
    const [a, b] = [light(numbers(getComputedStyle(e).color).slice(0, 3)), light(ground(e))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) bad.push(e.outerHTML.slice(0, 120));
  }
  return bad;
}"""


@pytest.fixture(scope="module")
def browser(play):
    if find_browser() is None:
        pytest.skip("missing tool: chromium")
    opened = play.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
    yield opened
    opened.close()


@pytest.mark.parametrize("example", [assessment, hostile])
def test_the_page_opens_without_requests_errors_or_sideways_scrolling(browser, example, tmp_path):
    path = write_report(example(), tmp_path, pdf=False)["html"]
    context = browser.new_context(java_script_enabled=True)
    page = context.new_page()
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("dialog", lambda dialog: (errors.append(dialog.message), dialog.dismiss()))
    page.goto(f"file://{path}")
    for width in (1280, 640, 390):  # 640 is a desktop at 200 %
        page.set_viewport_size({"width": width, "height": 900})
        wide, shown = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert wide <= shown, f"{wide} px of content in a window of {width} px"
    assert page.evaluate(_CONTRAST) == []
    assert asked == [f"file://{path}"]
    assert errors == []
    context.close()


def test_the_page_is_complete_without_scripts_and_by_keyboard(browser, tmp_path):
    path = write_report(assessment(), tmp_path, pdf=False)["html"]
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"file://{path}")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.url.endswith("#answer")
    assert page.get_by_role("heading", level=1).inner_text() == "Atlantic Assistance"
    assert page.get_by_role("img").count() >= 7
    assert page.get_by_role("table").count() >= 8
    context.close()


@pytest.mark.parametrize("example", [assessment, hostile])
def test_axe_finds_nothing_serious_on_the_page(browser, example, tmp_path):
    from axe_playwright_python.sync_playwright import Axe

    path = write_report(example(), tmp_path, pdf=False)["html"]
    context = browser.new_context(bypass_csp=True)  # the page itself forbids every script, axe's too
    page = context.new_page()
    page.goto(f"file://{path}")
    found = Axe().run(page).response["violations"]
    serious = [
        f"{rule['id']}: {node['html'][:160]}"
        for rule in found
        if rule["impact"] in {"serious", "critical"}
        for node in rule["nodes"]
    ]
    assert serious == []
    context.close()
