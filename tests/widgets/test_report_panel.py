"""The report panel without a browser: choices become a report, and links to it."""

import base64
import io
import re
import shutil
import zipfile
from pathlib import Path

import pytest

from ccp_assess.errors import CcpAssessError
from ccp_assess.widgets import ReportPanel, show_report_panel

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    client = tmp_path / "sample"
    shutil.copytree(SAMPLE, client, ignore=shutil.ignore_patterns("captures"))
    return client


@pytest.fixture
def panel(folder: Path, tmp_path: Path) -> ReportPanel:
    made = show_report_panel(folder, tmp_path / "out")
    made.pdf.value = False
    return made


def test_the_chosen_chapters_are_written_and_can_be_saved(panel: ReportPanel, tmp_path: Path) -> None:
    panel.sections.value = ("findings", "firewall")
    panel.generate.click()
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert 'id="firewall"' in html
    assert 'id="calls"' not in html
    assert panel.written == {"html": str(tmp_path / "out" / "report.html")}
    assert "download='report.html'" in panel.shown.value


def test_names_are_masked_in_one_step(panel: ReportPanel, tmp_path: Path) -> None:
    panel.masked.value = True
    panel.generate.click()
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Cascade Parcel" not in html
    assert "Denver office" not in html


def test_word_and_evidence_come_as_asked(panel: ReportPanel, tmp_path: Path) -> None:
    panel.length.value = "executive"
    assert panel.sections.disabled
    panel.docx.value = panel.evidence.value = True
    panel.generate.click()
    assert (tmp_path / "out" / "report.docx").is_file()
    content = re.search(r"download='evidence.zip' href='data:application/zip;base64,([^']+)'", panel.shown.value)
    assert content
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(content[1]))) as archive:
        assert "evidence/manifest.json" in archive.namelist()


def test_a_logo_stands_at_the_head_until_it_is_left_out(panel: ReportPanel, folder: Path, tmp_path: Path) -> None:
    picture = tmp_path / "logo"
    picture.write_bytes(PIXEL)
    assert "will stand at the head" in panel._on_logo("acme.png", picture)
    panel.length.value = "executive"
    panel.generate.click()
    assert "data:image/png;base64" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    panel.forget_logo.click()
    assert not list(folder.glob("logo.*"))
    picture.write_bytes(b"no picture")
    with pytest.raises(CcpAssessError):
        panel._on_logo("acme.png", picture)


def test_a_folder_that_cannot_be_read_is_one_sentence(panel: ReportPanel, folder: Path) -> None:
    (folder / "sites.csv").write_text("site_id\nx\n", encoding="utf-8")
    panel.generate.click()
    assert "sites.csv" in panel.job.shown.value
    assert "role='alert'" in panel.job.shown.value
    assert panel.written == {}


def test_no_chapter_is_a_sentence(panel: ReportPanel) -> None:
    panel.sections.value = ()
    panel.generate.click()
    assert "at least one chapter" in panel.shown.value


def test_choices_are_kept(panel: ReportPanel, folder: Path) -> None:
    panel.sections.value, panel.masked.value = ("findings",), True
    panel.kept.keep.click()
    again = show_report_panel(folder)
    assert (again.sections.value, again.masked.value, again.pdf.value) == (("findings",), True, False)
    assert "findings" in panel.static_html().lower()
