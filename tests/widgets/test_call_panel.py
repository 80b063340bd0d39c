"""The call panel without a browser: which calls, which span, what is said of them."""

from pathlib import Path

import pytest

from ccp_assess.assess.captures import CaptureAssessment, assess_captures
from ccp_assess.assess.client_assessment import assess_client
from ccp_assess.widgets import CallPanel, show_call_panel

CAPTURES = Path(__file__).resolve().parents[2] / "data" / "sample" / "captures"


@pytest.fixture(scope="module")
def choppy() -> CaptureAssessment:
    return assess_captures([CAPTURES / "HOM" / "bench__choppy-audio.pcap"])


@pytest.fixture(scope="module")
def slow() -> CaptureAssessment:
    return assess_captures([CAPTURES / "HOM" / "bench__slow-computer.pcap"])


@pytest.fixture
def panel(choppy: CaptureAssessment, slow: CaptureAssessment) -> CallPanel:
    return show_call_panel([choppy, slow])


def series(panel: CallPanel, column: int, name: str) -> list[list[float]]:
    rows = panel.timeline.columns[column]["rows"]
    return next(one["points"] for row in rows for one in row["series"] if one["name"] == name)


def test_the_timeline_shows_the_seconds_of_the_capture(panel: CallPanel, choppy: CaptureAssessment) -> None:
    call = choppy.calls[0].call
    lost = [row["lost"] for row in choppy.rows("seconds") if row["direction"] == "in" and row["call_id"]]
    shown = series(panel, 0, "loss")
    assert sum(value > 0 for _, value in shown) == sum(count > 0 for count in lost)
    assert panel.timeline.length == pytest.approx((call.end_ns - call.start_ns) / 1e9, abs=1.5)
    asked = [row for row in choppy.rows("transactions") if row["inside_relay"] and row["rtt_ms"] is not None]
    assert 0 < len(series(panel, 0, "media server")) <= len(asked)


def test_two_calls_stand_side_by_side_on_one_scale(panel: CallPanel) -> None:
    panel.second.value = 1
    first, second = panel.timeline.columns
    assert [row["top"] for row in first["rows"]] == [row["top"] for row in second["rows"]]
    assert panel.setup.value.count("<tr>") == 3
    assert panel.findings.value.count("<ul") == 2
    panel.second.value = panel.first.value
    assert len(panel.timeline.columns) == 1


def test_findings_stand_at_their_moment(panel: CallPanel) -> None:
    panel.first.value = 1
    (moment,) = panel.timeline.columns[0]["moments"]
    assert moment["text"] == "send stalls"
    assert f"at {moment['at']:.1f} s" in panel.findings.value


def test_brush_and_numbers_follow_each_other(panel: CallPanel) -> None:
    panel.timeline.span = [10.0, 20.0]
    assert (panel.start.value, panel.end.value) == (10.0, 20.0)
    panel.end.value = 15.0
    assert panel.span == (10.0, 15.0)
    panel.end.value = 5.0  # before the start: the picture stays
    assert panel.span == (10.0, 15.0)
    panel.whole.click()
    assert panel.span == (0.0, panel.timeline.length)


def test_the_static_twin_has_a_picture_of_each_call(panel: CallPanel) -> None:
    panel.second.value = 1
    html = panel.static_html()
    assert html.count("<svg") == 2
    assert "ccp-setup" in html
    assert "<script" not in html


def test_a_capture_without_calls_says_so() -> None:
    panel = CallPanel([])
    assert "No calls were found" in panel.static_html()
    assert panel.shown == ()


def test_an_assessment_of_a_client_gives_the_calls_of_all_sites(tmp_path: Path) -> None:
    (tmp_path / "client.toml").write_text("[client]\n", encoding="utf-8")
    (tmp_path / "sites.csv").write_text('site_id,place,agents\n<b>,"Denver, US",5\n', encoding="utf-8")
    (tmp_path / "captures").mkdir()
    source = CAPTURES / "DEN" / "bench__desk-call.pcap"
    (tmp_path / "captures" / "call.pcap").write_bytes(source.read_bytes())
    panel = show_call_panel(assess_client(tmp_path))
    assert len(panel.first.options) == 1
    assert "site unknown" in panel.first.options[0][0]
    assert panel.timeline.columns
