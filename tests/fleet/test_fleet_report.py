"""The page of many sites by its command, from captures to HTML."""

from pathlib import Path

import pytest
from fleet_sources import local_scheduler, make_source
from typer.testing import CliRunner

from ccp_assess.cli.fleet import app
from ccp_assess.fleet.cluster import Engine
from ccp_assess.fleet.run import run_fleet

pytestmark = pytest.mark.shared


def test_the_command_writes_the_page_of_a_dataset(tmp_path: Path) -> None:
    source = make_source(tmp_path / "acme")
    (source / "captures" / "S1" / "notes.pcap").write_text("no capture\n")
    run_fleet(str(source), str(tmp_path / "out"), Engine(scheduler=local_scheduler()))
    out = tmp_path / "pages" / "many-sites.html"
    command = ["report", str(tmp_path / "out"), "--out", str(out), "--since", "2026-11-23T12:00:00Z"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == f"wrote {out}"
    text = out.read_text(encoding="utf-8")
    assert "<h1><bdi>acme</bdi></h1>" in text
    assert "Before and after 23 Nov 2026 12:00:00 UTC" in text
    assert "captures/S1/notes.pcap" in text
    assert ">Net0<" in text


def test_what_is_no_dataset_or_no_instant_is_told(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["report", str(tmp_path), "--out", str(tmp_path / "x.html")])
    assert result.exit_code != 0
    assert "there is no dataset" in str(result.exception)
    result = CliRunner().invoke(app, ["report", "x", "--out", str(tmp_path / "x.html"), "--since", "soon"])
    assert result.exit_code == 2
    assert "is no instant" in result.output
    assert not (tmp_path / "x.html").exists()
