"""`ccp-assess new`: an empty client folder that is ready to be filled in."""

import os
import sys
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ccp_assess import cli
from ccp_assess.client import new_client, read_client
from ccp_assess.errors import TableError
from ccp_assess.tables import LAYOUTS


def test_it_lays_out_settings_tables_questionnaire_and_folders(tmp_path: Path) -> None:
    folder = tmp_path / "Müller & Söhne"
    written = {path.relative_to(folder).as_posix() for path in new_client(folder, today=date(2026, 11, 23))}
    assert {"client.toml", "questionnaire.xlsx", *(layout.file for layout in LAYOUTS.values())} <= written
    assert all((folder / kind).is_dir() for kind in ("captures", "probes", "logs", "rules"))
    assert 'date = "2026-11-23"' in (folder / "client.toml").read_text(encoding="utf-8")


def test_it_never_touches_what_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "client"
    folder.mkdir()
    mine = b'site_id,place,agents\nLIS,"Lisbon, PT",4\n'
    (folder / "Sites.csv").write_bytes(mine)
    new_client(folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert (folder / "Sites.csv").read_bytes() == mine
    assert len([path for path in before if path.name.lower() == "sites.csv"]) == 1
    assert new_client(folder) == ()
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_the_examples_are_comments_and_become_right_rows_without_the_hash(tmp_path: Path) -> None:
    new_client(tmp_path / "client")
    with pytest.raises(TableError, match=r"sites.csv: the table has no rows yet"):
        read_client(tmp_path / "client")
    for layout in LAYOUTS.values():
        path = tmp_path / "client" / layout.file
        text = path.read_text(encoding="utf-8-sig")
        head, _, examples = text.partition("Examples")
        examples = "\n".join(line.removeprefix("# ") for line in examples.splitlines()[1:])
        path.write_text(head + "\n" + examples + "\n", encoding="utf-8")
    client = read_client(tmp_path / "client")
    assert [len(client.to_frame(name)) for name in LAYOUTS] == [len(layout.examples) for layout in LAYOUTS.values()]


def test_the_proposed_settings_are_right_once_they_count(tmp_path: Path) -> None:
    folder = tmp_path / 'with "quotes" and \\ backslash'
    new_client(folder, today=date(2026, 11, 23))
    path = folder / "client.toml"
    lines = path.read_text(encoding="utf-8").splitlines()
    counted = [line.removeprefix("# ") if " = " in line and line.startswith("# ") else line for line in lines]
    path.write_text("\n".join(counted), encoding="utf-8")
    (folder / "sites.csv").write_text('site_id,place,agents\nLIS,"Lisbon, PT",4\n', encoding="utf-8")
    client = read_client(folder)
    assert (client.name, client.date) == (folder.name, "2026-11-23")
    assert client.constraints.residency == ("EU", "GB")


def test_a_table_that_excel_saved_again_keeps_its_comments_comments(tmp_path: Path) -> None:
    new_client(tmp_path / "client")
    path = tmp_path / "client" / "sites.csv"
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    # a spreadsheet with semicolons quotes comments that hold one, and pads every row
    saved = [
        f'"{line.replace(chr(34), chr(34) * 2)}";;;' if line.startswith("#") else line.replace(",", ";")
        for line in lines
    ]
    saved += ['LIS;;"Lisbon, PT";;;120;;;;']
    path.write_bytes("\r\n".join(saved).encode("cp1252"))
    assert [site.site_id for site in read_client(tmp_path / "client").sites] == ["LIS"]


@pytest.mark.parametrize("name", ["file", "full"])
def test_it_refuses_a_file_and_a_folder_of_something_else(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.docx").write_text("x", encoding="utf-8")
    with pytest.raises(TableError, match="choose"):
        new_client(tmp_path / name)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.docx"]


def test_the_command_says_what_it_wrote_and_what_to_do_next(tmp_path: Path) -> None:
    cli._register()
    result = CliRunner().invoke(cli.app, ["new", str(tmp_path / "client")])
    assert result.exit_code == 0
    assert "questionnaire.xlsx" in result.stdout
    assert "ccp-assess assess" in result.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere every file name is text")
def test_a_folder_whose_name_is_no_text_is_laid_out_and_read(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/Z\xfcrich"))
    new_client(folder)
    (folder / "sites.csv").write_text('site_id,place,agents\nZRH,"Zurich, CH",5\n', encoding="utf-8")
    assert read_client(folder).sites[0].site_id == "ZRH"
