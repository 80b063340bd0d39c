"""Every notebook in JupyterLab in a real browser: opened, run, its panel used as a person would."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "data" / "sample"
SHOW_WITHIN_MS = 60_000


def in_notebook(name: str) -> Callable[[Any], Any]:
    return pytest.mark.parametrize("in_lab", [name], indirect=True, ids=[name])


def text_of(visit: Any, selector: str) -> str:
    return str(visit.page.locator(selector).first.inner_text())


def wait_until_other(visit: Any, selector: str, before: str) -> str:
    """Wait until what is shown has changed, and return it."""
    visit.page.wait_for_function(
        "([selector, before]) => (document.querySelector(selector)?.innerText ?? before) !== before",
        arg=[selector, before],
    )
    return text_of(visit, selector)


def wait_until(visit: Any, selector: str, wanted: str) -> None:
    """Wait until this is within what is shown; a time-out fails the test."""
    visit.page.wait_for_function(
        "([selector, wanted]) => document.querySelector(selector)?.innerText.includes(wanted)",
        arg=[selector, wanted],
    )


def serious_findings(page: Any, selector: str) -> list[str]:
    """Ask axe about a part of the page."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="missing tool: axe-playwright-python")
    found = axe.Axe().run(page, context=selector).response["violations"]
    return [
        f"{one['id']}: {node['html'][:160]}"
        for one in found
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"][:3]
    ]


def panel_of(visit: Any, name: str) -> str:
    """Wait for a panel and bring it to the top of the page."""
    selector = f".ccp-{name}-panel"
    visit.page.wait_for_selector(selector, timeout=SHOW_WITHIN_MS)
    visit.page.locator(selector).first.evaluate("panel => panel.scrollIntoView()")
    return selector


def press(visit: Any, panel: str, name: str) -> None:
    """Press a button by keyboard."""
    button = visit.page.locator(panel).get_by_role("button", name=name, exact=True).first
    button.focus()
    button.press("Enter")


@in_notebook("00-start-here")
def test_a_person_at_the_keyboard_moves_weights_and_constraints_and_the_answer_follows(in_lab: Any) -> None:
    page, panel = in_lab.page, panel_of(in_lab, "region")
    page.wait_for_selector(f"{panel} .ccp-ranking td")
    page.wait_for_selector(f"{panel} .ccp-map .ccp-mark")
    in_lab.screenshot("00-panel.png")
    shown = {name: f"{panel} .ccp-{name}" for name in ("chosen", "ranking", "sentences", "budgets")}
    before = {name: text_of(in_lab, selector) for name, selector in shown.items()}

    slider = page.locator(panel).get_by_label("Callers", exact=True)
    slider.focus()
    for _ in range(15):
        slider.press("ArrowRight")
    assert slider.input_value() == "2.5"
    wait_until_other(in_lab, shown["ranking"], before["ranking"])
    wait_until_other(in_lab, shown["sentences"], before["sentences"])

    page.wait_for_selector(f"{panel} .ccp-waiting", state="detached")
    winner = text_of(in_lab, shown["chosen"])
    code = winner.rpartition(", ")[2]
    excluded = page.locator(panel).get_by_label("Excluded")
    excluded.select_option(label=[text for text in excluded.locator("option").all_inner_texts() if code in text])
    other = wait_until_other(in_lab, shown["chosen"], winner)
    assert code not in other
    page.wait_for_function(  # the sentences follow when nothing moves any more
        "([selector, code]) => !document.querySelector(selector).innerText.split(':')[0].includes(code)",
        arg=[shown["sentences"], code],
    )
    page.wait_for_selector(f"{panel} .ccp-waiting", state="detached")

    mark = page.locator(f"{panel} .ccp-mark[aria-label^='Region eu-west-2']")
    mark.focus()
    mark.press("Enter")
    wait_until(in_lab, f"{panel} .ccp-budgets caption", "eu-west-2")
    in_lab.screenshot("00-panel-after.png")

    press(in_lab, panel, "Back to the client's own")
    for name, selector in shown.items():
        wait_until(in_lab, selector, before[name])


@in_notebook("06-choose-a-region")
def test_a_workshop_keeps_scenarios_and_decisions_in_large_type(in_lab: Any, lab: Any) -> None:
    page, client = in_lab.page, lab.root / "data" / "sample"
    page.get_by_role("button", name="Large type").click()
    page.get_by_role("button", name="Hide the code").click()
    page.wait_for_function(
        "() => getComputedStyle(document.querySelector('.jp-CodeCell > .jp-Cell-inputWrapper')).display === 'none'"
    )
    panel = panel_of(in_lab, "region")
    box = page.locator(panel)
    excluded = box.get_by_label("Excluded")
    excluded.select_option(index=0)
    decided = box.get_by_label("Decided")  # proposed by the kernel, which is asked for it first
    page.wait_for_function("input => input.value.endsWith('excluded')", arg=decided.element_handle())
    box.get_by_label("Why").fill("<b>no data there</b>")
    press(in_lab, panel, "Write it down")
    wait_until(in_lab, f"{panel} .ccp-decisions", "<b>no data there</b>")
    assert "excluded" in (client / "decisions.csv").read_text(encoding="utf-8-sig")
    box.get_by_label("Scenario", exact=True).fill("Without the first")
    press(in_lab, panel, "Keep this scenario")
    wait_until(in_lab, panel, "Kept Without the first")
    assert json.loads((client / "scenarios.json").read_text(encoding="utf-8"))["scenarios"][0]["name"]
    press(in_lab, panel, "Ask")
    wait_until(in_lab, f"{panel} .ccp-answers", "ms from mouth to ear")
    in_lab.screenshot("06-workshop-large.png")
    excluded.evaluate("list => list.selectedIndex = -1")
    (client / "decisions.csv").unlink()


@in_notebook("05-sites-and-callers")
def test_files_are_dropped_and_tables_edited_with_checks_at_the_cell(in_lab: Any, lab: Any, tmp_path: Path) -> None:
    page, panel = in_lab.page, panel_of(in_lab, "client")
    box = page.locator(panel)
    agents = box.get_by_label("Agents, row 1", exact=True)
    agents.fill("many")
    wait_until(in_lab, f"{panel} .ccp-editor", "is not a number")
    assert agents.get_attribute("aria-invalid") == "true"
    in_lab.screenshot("05-wrong-cell.png")
    agents.fill("161")
    page.wait_for_function("([s]) => !document.querySelector(s)", arg=[f"{panel} [aria-invalid]"])
    agents.press("Enter")
    assert page.evaluate("() => document.activeElement.getAttribute('aria-label')") == "Agents, row 2"
    press(in_lab, panel, "Save the table")
    wait_until(in_lab, f"{panel} .ccp-said", "Saved sites.csv")
    wait_until(in_lab, f"{panel} .ccp-holds", "466 agents")
    shutil.copy(SAMPLE / "sites.csv", lab.root / "data" / "sample" / "sites.csv")  # the notebooks share it

    large = tmp_path / "DEN__large call.pcap"
    capture = (SAMPLE / "captures" / "DEN" / "bench__desk-call.pcap").read_bytes()
    large.write_bytes(capture + bytes(3 << 20))  # several pieces; what follows the packets does not matter here
    box.locator("input[type=file]").first.set_input_files([str(large), str(SAMPLE / "README.md")])
    wait_until(in_lab, f"{panel} .ccp-drop", "DEN__large call.pcap → captures/DEN__large call.pcap")
    kept = lab.root / "data" / "sample" / "captures" / "DEN__large call.pcap"
    assert kept.read_bytes() == large.read_bytes()
    in_lab.screenshot("05-dropped.png")
    kept.unlink()

    box.get_by_label("New client").fill("Neu & Söhne")
    press(in_lab, panel, "Lay out a folder")
    wait_until(in_lab, f"{panel} .ccp-said", "Laid out")
    assert (lab.root / "data" / "Neu & Söhne" / "client.toml").is_file()


@in_notebook("02-read-a-capture")
def test_a_brush_over_the_call_zooms_and_so_do_the_keys(in_lab: Any) -> None:
    page, panel = in_lab.page, panel_of(in_lab, "call")
    chart = page.locator(f"{panel} .ccp-charts svg").first
    in_lab.screenshot("02-call.png")
    end = page.locator(panel).get_by_label("to second")
    whole = end.input_value()
    frame = chart.bounding_box()
    page.mouse.move(frame["x"] + 0.3 * frame["width"], frame["y"] + 40)
    wait_until(in_lab, f"{panel} .ccp-told", "loss")
    page.mouse.down()
    page.mouse.move(frame["x"] + 0.6 * frame["width"], frame["y"] + 60, steps=4)
    page.mouse.up()
    page.wait_for_function("([input, whole]) => input.value !== whole", arg=[end.element_handle(), whole])
    assert 0 < float(page.locator(panel).get_by_label("From second").input_value()) < float(end.input_value())
    in_lab.screenshot("02-call-zoomed.png")
    chart.focus()
    chart.press("Escape")
    page.wait_for_function("([input, whole]) => input.value === whole", arg=[end.element_handle(), whole])
    chart.press("ArrowRight")
    chart.press("+")
    page.wait_for_function("([input, whole]) => input.value !== whole", arg=[end.element_handle(), whole])


@in_notebook("03-call-quality")
def test_two_calls_stand_side_by_side(in_lab: Any) -> None:
    page, panel = in_lab.page, panel_of(in_lab, "call")
    page.wait_for_function("([s]) => document.querySelectorAll(s).length === 2", arg=[f"{panel} .ccp-charts svg"])
    in_lab.screenshot("03-two-calls.png")
    page.locator(panel).get_by_label("Beside it").select_option(index=0)
    page.wait_for_function("([s]) => document.querySelectorAll(s).length === 1", arg=[f"{panel} .ccp-charts svg"])


@in_notebook("07-firewall")
def test_switches_become_a_file_to_save_and_own_rules_are_audited(in_lab: Any) -> None:
    page, panel = in_lab.page, panel_of(in_lab, "firewall")
    box = page.locator(panel)
    rules = text_of(in_lab, f"{panel} .ccp-rules strong")
    box.get_by_label("Option", exact=True).select_option(label="2: address blocks")
    wait_until_other(in_lab, f"{panel} .ccp-rules strong", rules)
    box.get_by_label("Format", exact=True).select_option(label=_label_of(box, "(nftables)"))
    wait_until(in_lab, f"{panel} .ccp-download", "nftables")
    with page.expect_download() as arriving:
        box.locator(".ccp-download").click()
    saved = Path(arriving.value.path()).read_text(encoding="utf-8")
    assert "table inet" in saved or "nft" in saved
    box.locator("input[type=file]").set_input_files(str(SAMPLE / "rules" / "denver-firewall.csv"))
    wait_until(in_lab, f"{panel} .ccp-audit", "required rules are missing")
    in_lab.screenshot("07-firewall.png")


def _label_of(box: Any, ending: str) -> str:
    options = box.get_by_label("Format", exact=True).locator("option").all_inner_texts()
    return str(next(text for text in options if text.endswith(ending)))


@in_notebook("08-client-report")
def test_a_report_is_generated_with_progress_and_saved(in_lab: Any, lab: Any) -> None:
    page, panel = in_lab.page, panel_of(in_lab, "report")
    box = page.locator(panel)
    box.get_by_label("PDF, where a browser is found").uncheck()
    box.get_by_label("Mask all names").check()
    box.get_by_label("Chapters").select_option(label=["Findings", "Firewall rules"])
    press(in_lab, panel, "Generate the report")
    page.wait_for_selector(f"{panel} .ccp-progress, {panel} .ccp-written")
    wait_until(in_lab, f"{panel} .ccp-written", "report.html")
    in_lab.screenshot("08-report.png")
    with page.expect_download() as arriving:
        box.get_by_role("link", name="Save report.html").click()
    html = Path(arriving.value.path()).read_text(encoding="utf-8")
    assert html == (lab.root / "out" / "sample" / "report.html").read_text(encoding="utf-8")
    assert "Cascade Parcel" not in html


@in_notebook("01-record-a-test-call")
def test_what_stands_in_the_way_of_a_recording_is_a_sentence(in_lab: Any) -> None:
    page, panel = in_lab.page, panel_of(in_lab, "capture")
    box = page.locator(panel)
    box.get_by_label("Own filter").fill("this is no filter (")
    box.get_by_label("Interface").select_option(index=1)
    press(in_lab, panel, "Start recording")
    page.wait_for_selector(f"{panel} [role=alert]")
    assert "Traceback" not in text_of(in_lab, panel)
    in_lab.screenshot("01-capture.png")


@in_notebook("04-measure-paths")
def test_rounds_of_a_monitor_are_dropped_and_show_hops_and_hours(in_lab: Any, tmp_path: Path) -> None:
    page, panel = in_lab.page, panel_of(in_lab, "path")
    rounds = tmp_path / "rounds.jsonl"
    rounds.write_text("\n".join(json.dumps(_round(hour)) for hour in range(6)), encoding="utf-8")
    page.locator(f"{panel} input[type=file]").set_input_files(str(rounds))
    wait_until(in_lab, f"{panel} .ccp-hours", "eu-west-2")
    page.locator(panel).get_by_label("Hop by hop").select_option(label="us-east-1")
    wait_until(in_lab, f"{panel} .ccp-hops", "192.0.2.7")
    in_lab.screenshot("04-paths.png")


def _round(hour: int) -> dict[str, Any]:
    def region(code: str, rtt_ms: float, address: str) -> dict[str, Any]:
        hop = {"ttl": 1, "address": address, "rtt_min_ms": rtt_ms, "rtt_avg_ms": rtt_ms, "asn": None}
        path = {"technique": "udp", "hop_count": 1, "destination_answered": True, "hops": [hop]}
        return {"region_code": code, "rtt_ms": [rtt_ms], "path": path, "dns": [], "tcp": [], "diagnosis": []}

    regions = [region("eu-west-2", 20.0 + hour, "192.0.2.8"), region("us-east-1", 90.0 + hour, "192.0.2.7")]
    return {"site_id": "DEN", "time": f"2026-11-23T{hour:02d}:30:00Z", "host": {}, "regions": regions}


@in_notebook("09-many-sites")
def test_many_sites_are_sorted_asked_saved_and_read_again(in_lab: Any, lab: Any) -> None:
    page, panel = in_lab.page, panel_of(in_lab, "fleet")
    box = page.locator(panel)
    page.wait_for_selector(f"{panel} .ccp-results tbody th")
    assert page.locator(".ccp-picture svg[role=img]").count() == 4  # of the panel, and of three cells
    assert (lab.root / "out" / "many-sites.html").is_file()
    in_lab.screenshot("09-many-sites.png")
    assert serious_findings(page, panel) == []

    first = f"{panel} .ccp-results tbody th"
    assert text_of(in_lab, first) == "HOM"
    heading = box.get_by_role("button", name="Round trip, median").first
    heading.focus()
    heading.press("Enter")
    assert wait_until_other(in_lab, first, "HOM") == "CPT"
    assert box.locator("th[aria-sort=descending]").inner_text().startswith("Round trip")
    heading.press("Enter")
    page.wait_for_selector(f"{panel} th[aria-sort=ascending]")
    assert text_of(in_lab, first) != "CPT"

    show = box.get_by_label("Show", exact=True)
    show.select_option(label="Regions by site")
    wait_until(in_lab, f"{panel} .ccp-results caption", "Regions by site")
    late = box.get_by_role("button", name="Round trip, 95 %").first
    shown = box.locator(".ccp-results").first.locator("tbody td:nth-child(5)")
    for direction in ("descending", "ascending"):
        late.click()
        page.wait_for_selector(f"{panel} th[aria-sort={direction}]:has-text('Round trip, 95 %')")
        trips = shown.all_inner_texts()
        assert trips[0].endswith("ms")
        assert trips[-1] == "unknown"  # whichever way
    assert serious_findings(page, panel) == []
    in_lab.screenshot("09-regions.png", panel)

    show.select_option(label="By hour of the day")
    box.get_by_label("Its clock").fill("America/Denver")
    box.get_by_label("Its clock").press("Enter")
    box.get_by_label("Hours of").select_option(label="sample DEN")
    wait_until(in_lab, f"{panel} .ccp-results caption", "America/Denver")
    wait_until(in_lab, first, "18 to 19")
    in_lab.screenshot("09-hours.png", panel)

    question = box.get_by_label("Own question")
    question.fill("select nothing from nowhere")
    press(in_lab, panel, "Ask in SQL")
    page.wait_for_selector(f"{panel} [role=alert]")
    assert "Traceback" not in text_of(in_lab, panel)
    question.fill("select site_id, agents from sites order by agents desc")
    press(in_lab, panel, "Ask in SQL")
    wait_until(in_lab, panel, "Save own_question.csv (5 rows)")
    with page.expect_download() as arriving:
        box.get_by_role("link", name="Save own_question.csv").click()
    assert Path(arriving.value.path()).read_text(encoding="utf-8-sig").splitlines()[:2] == ["site_id,agents", "DEN,160"]

    box.get_by_label("Dataset in").fill("../out/another")
    box.get_by_label("Dataset in").press("Tab")
    press(in_lab, panel, "Start, or go on")
    page.wait_for_selector(f"{panel} .ccp-progress")
    page.wait_for_selector(f"{panel} .ccp-run", timeout=SHOW_WITHIN_MS)
    wait_until(in_lab, f"{panel} .ccp-run", "kept from before")
    assert (lab.root / "out" / "another" / "manifest.json").is_file()
    press(in_lab, panel, "Make a page to hand over")
    with page.expect_download() as arriving:
        box.get_by_role("link", name="Save many-sites.html").click()
    assert "default-src 'none'" in Path(arriving.value.path()).read_text(encoding="utf-8")
    in_lab.screenshot("09-panel-after.png", panel)
    panel_of(in_lab, "call")
