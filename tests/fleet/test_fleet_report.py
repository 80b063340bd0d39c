"""The page of many sites by its command, from captures to HTML."""

import json
from pathlib import Path

import pytest
import typer
from fleet_sources import local_scheduler, make_source
from typer.testing import CliRunner

from ccp_assess.cli.fleet import app
from ccp_assess.cli.query import query
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
    for since in ("soon", "0001-01-01T00:00:00+23:59"):
        result = CliRunner().invoke(app, ["report", "x", "--out", str(tmp_path / "x.html"), "--since", since])
        assert result.exit_code == 2
        assert "is no instant" in result.output
    assert not (tmp_path / "x.html").exists()


def test_a_source_that_is_not_there_leaves_no_dataset_and_one_without_captures_says_what_is_read(
    tmp_path: Path,
) -> None:
    result = CliRunner().invoke(app, ["run", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")])
    assert "there is no such folder" in str(result.exception)
    assert not (tmp_path / "out").exists()
    (tmp_path / "empty").mkdir()
    result = CliRunner().invoke(app, ["run", str(tmp_path / "empty"), "--out", str(tmp_path / "out")])
    assert result.exit_code == 0
    assert "Nothing to read was found" in result.output


@pytest.mark.parametrize("manifest", [None, "{", "[1]"])
def test_a_run_that_did_not_end_is_told_by_check_query_and_page(tmp_path: Path, manifest: str | None) -> None:
    (tmp_path / "empty").mkdir()
    run_fleet(str(tmp_path / "empty"), str(tmp_path / "out"), Engine(workers=1))
    (tmp_path / "out" / "manifest.json").unlink()
    if manifest is not None:
        (tmp_path / "out" / "manifest.json").write_text(manifest)
    result = CliRunner().invoke(app, ["check", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "the run did not end" in result.output
    asking = typer.Typer()
    asking.command()(query)
    result = CliRunner().invoke(asking, ["select count(*) as n from calls", "--store", str(tmp_path / "out"), "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == [{"n": 0}]
    assert "did not end" in result.stderr
    page = tmp_path / "p.html"
    CliRunner().invoke(app, ["report", str(tmp_path / "out"), "--out", str(page)])
    assert "The run did not come to its end" in page.read_text(encoding="utf-8")


def test_what_is_no_dataset_is_no_run_that_did_not_end(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["check", str(tmp_path)])
    assert "there is no dataset" in str(result.exception)


def test_an_inbox_that_is_not_there_and_a_key_without_a_folder_leave_nothing(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["key", "--out", str(tmp_path / "none" / "k.key")])
    assert str(result.exception).endswith(f"'{tmp_path / 'none' / 'k.key'}'")
    CliRunner().invoke(app, ["key", "--out", str(tmp_path / "k.key")])
    command = ["collect", str(tmp_path / "none"), "--out", str(tmp_path / "out"), "--key", str(tmp_path / "k.key")]
    result = CliRunner().invoke(app, command)
    assert "the inbox cannot be listed" in str(result.exception)
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").touch()
    command[3] = str(tmp_path / "file")
    (tmp_path / "none").mkdir()
    result = CliRunner().invoke(app, command)
    assert "nothing can be written there" in str(result.exception)
