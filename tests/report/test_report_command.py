"""``ccp-assess report`` as a user runs it."""

import json
import subprocess
import sys

import pytest


@pytest.fixture
def client_folder(tmp_path):
    folder = tmp_path / "client"
    folder.mkdir()
    (folder / "client.toml").write_text('[client]\nname = "Small"\ndate = "2026-11-23"\n')
    (folder / "sites.csv").write_text("site_id;place;agents\nLIS;Lisbon, PT;40\n")
    return folder


def _run(*words):
    command = [sys.executable, "-m", "ccp_assess", "report", *map(str, words)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)


def test_a_folder_with_sites_only_gives_page_word_document_and_evidence(client_folder, tmp_path):
    out = tmp_path / "out"
    ran = _run(client_folder, "--out", out, "--no-pdf", "--docx", "--evidence", "--length", "executive", "--json")
    assert ran.returncode == 0, ran.stderr
    written = json.loads(ran.stdout)
    assert written["pdf"] is None
    assert (out / "report.html").read_text(encoding="utf-8").count("LIS") >= 1
    assert (out / "report.docx").stat().st_size > 10_000
    assert json.loads((out / "evidence" / "manifest.json").read_text())["client"] == "Small"


def test_a_missing_folder_ends_with_one_line(tmp_path):
    ran = _run(tmp_path / "nowhere", "--no-pdf")
    assert ran.returncode == 1
    assert len(ran.stderr.strip().splitlines()) == 1
    assert "Traceback" not in ran.stderr
