"""What a consultant chooses for the report: chapters, a logo, agreed dates, the decision log."""

from base64 import b64decode, b64encode
from datetime import date

import pytest
from report_examples import assessment

from ccp_assess.client.actions import AgreedAction
from ccp_assess.client.decisions import Decision
from ccp_assess.errors import CcpAssessError
from ccp_assess.report import content
from ccp_assess.report.document import SECTIONS, render_report

DOT = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")


def heads(page):
    return [
        key
        for key in SECTIONS
        if f'<section class="chapter" id="{key}"' in page or f'<section class="" id="{key}"' in page
    ]


def test_only_the_chosen_chapters_are_on_the_page_and_in_its_contents():
    page = render_report(assessment(), sections=["firewall", "findings"])
    assert heads(page) == ["findings", "firewall"]
    assert 'href="#firewall"' in page
    assert 'href="#calls"' not in page


def test_an_unknown_chapter_is_refused_with_the_names_there_are():
    with pytest.raises(CcpAssessError, match=r"no section 'prices'; there are findings, regions"):
        render_report(assessment(), sections=["prices"])


def test_a_logo_is_put_into_the_page_itself(tmp_path):
    (tmp_path / "logo").write_bytes(DOT)
    page = render_report(assessment(), sections=[], logo=tmp_path / "logo")
    assert f"data:image/png;base64,{b64encode(DOT).decode()}" in page


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"<svg onload='x'/>", "neither PNG nor JPEG"), (DOT + b"\0" * 1_000_001, "has 10000"), (None, "cannot be read")],
)
def test_what_is_no_logo_is_refused_in_a_sentence(tmp_path, data, words):
    if data is not None:
        (tmp_path / "logo.png").write_bytes(data)
    with pytest.raises(CcpAssessError, match=words):
        render_report(assessment(), sections=[], logo=tmp_path / "logo.png")


def test_a_day_and_an_owner_that_were_agreed_count_and_others_are_proposed():
    example = assessment()
    first = content.finding_rows(example)[0]
    assert (first["severity"], first["due_agreed"]) == ("critical", False)
    assert date.fromisoformat(first["due"]) - date.fromisoformat(example.assessed_at[:10]) == date(2026, 12, 15) - date(
        2026, 12, 1
    )
    example.client.actions = (AgreedAction(code=first["code"], site_id=None, owner="<b>Ana", due=date(2027, 1, 4)),)
    again = content.finding_rows(example)[0]
    assert (again["owner"], again["due"], again["due_agreed"]) == ("<b>Ana", "2027-01-04", True)
    page = render_report(example, sections=["findings"])
    assert "due 4 Jan 2027" in page
    assert "<b>Ana" not in page


def test_mere_notes_have_no_day():
    notes = [row for row in content.finding_rows(assessment()) if row["severity"] == "info"]
    assert notes
    assert all(row["due"] is None for row in notes)


def test_the_decision_log_is_a_chapter_where_there_is_one_and_harmless():
    example = assessment()
    assert "decisions" not in heads(render_report(example))
    example.client.decisions = (
        Decision(
            time="2026-11-23T14:20:00Z", who="Ana", decision="us-east-1 excluded", why="<script>alert(1)</script>"
        ),
    )
    page = render_report(example, length="executive")
    assert "decisions" in heads(page)
    assert "23 Nov 2026 14:20:00 UTC" in page
    assert "<script>" not in page


def test_what_no_run_against_the_real_relays_has_settled_is_said():
    facts = content.open_facts()
    page = render_report(assessment(), sections=["unknowns"])
    assert facts
    assert "Open until a run against Amazon's own relays" in page


def test_a_computer_below_what_aws_asks_is_shown_with_its_link():
    page = render_report(assessment(), sections=["workstation"])
    assert "wireless, -78 dBm" in page
    assert "1.5 GB of 2" in page
    assert "virtual desktop (citrix)" in page
    assert "<i>Celeron" not in page


def test_witnesses_of_a_call_stand_side_by_side_and_their_contradictions_are_named():
    page = render_report(assessment(), sections=["calls"])
    assert page.count("agent log</td>") == 1
    assert "Loss towards the agent 3.1 %, from the agent 1.25 %." in page
    assert "They differ: the &lt;i&gt;log&lt;/i&gt; says 0.9 %" in page
    assert "contact &lt;b&gt;7f6036a3" in page


def test_what_agents_wrote_down_is_a_heat_map_of_agents_and_hours():
    page = render_report(assessment(), sections=["calls"])
    assert "reports in all: &lt;script&gt;Bo 1, Ana 3" in page
    assert "<script>Bo" not in page
    assert "diaries" not in render_report(assessment(witnesses=()), sections=["calls"])
