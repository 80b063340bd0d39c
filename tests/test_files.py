"""Files appear whole or not at all, and what is no file is left what it is."""

from __future__ import annotations

import os
import stat
import sys
import threading

import pytest

from ccp_assess.files import write_whole

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="pipes and links as POSIX has them")


@POSIX
def test_a_named_pipe_is_written_to_and_stays_a_pipe(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    heard: list[bytes] = []
    reader = threading.Thread(target=lambda: heard.append(pipe.read_bytes()))
    reader.start()
    write_whole(pipe, "rules")
    reader.join()
    assert heard == [b"rules"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@POSIX
def test_a_device_stays_a_device(tmp_path):
    link = tmp_path / "null"
    link.symlink_to("/dev/null")
    write_whole(link, "rules")
    assert link.is_symlink()
    assert link.is_char_device()


@POSIX
def test_of_a_link_the_file_that_it_leads_to_is_written(tmp_path):
    link = tmp_path / "today.csv"
    link.symlink_to(tmp_path / "2026-11-23.csv")
    write_whole(link, "rules")
    assert link.is_symlink()
    assert (tmp_path / "2026-11-23.csv").read_text(encoding="utf-8") == "rules"


@POSIX
def test_what_cannot_be_written_is_told_by_its_own_name(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("", encoding="utf-8")
    for path in (tmp_path / "folder", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match=r"director|exists") as told:
            write_whole(path, "rules")
        assert told.value.filename == str(path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.parametrize("stem", ["a" * 251, "\u00e4" * 125, "\U0001f600" * 62])
def test_a_name_as_long_as_the_file_system_allows_is_written(tmp_path, stem):
    write_whole(tmp_path / f"{stem}.csv", "rules")
    assert [path.name for path in tmp_path.iterdir()] == [f"{stem}.csv"]
