"""Files appear whole or not at all, and what is no file is left what it is."""

from __future__ import annotations

import errno
import importlib.util
import os
import stat
import subprocess
import sys
import threading
import types

import pytest

from ccp_assess import files
from ccp_assess.files import taking_turns, write_whole

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


@POSIX
def test_a_turn_ends_for_the_next_one(tmp_path):
    place = tmp_path / "turn.lock"
    for _ in range(2):
        with taking_turns(place, longest_wait_s=0.0):
            assert not is_free(place)
        assert is_free(place)


def is_free(place):
    """Ask another process whether it would get a turn at once."""
    script = "import sys, fcntl; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    done = subprocess.run([sys.executable, "-c", script, str(place)], capture_output=True, check=False)
    return done.returncode == 0


@POSIX
def test_a_turn_ends_with_an_error_too(tmp_path):
    place = tmp_path / "turn.lock"

    def fail():
        with taking_turns(place, longest_wait_s=0.0):
            raise OSError("as if the disk were full")

    with pytest.raises(OSError, match="as if"):
        fail()
    assert is_free(place)


@POSIX
def test_a_forked_child_does_not_keep_a_turn(tmp_path):
    place = tmp_path / "turn.lock"
    reading, writing = os.pipe()
    with taking_turns(place, longest_wait_s=0.0):
        child = os.fork()
        if child == 0:
            os.read(reading, 1)
            os._exit(0)
    try:
        assert is_free(place)
    finally:
        os.write(writing, b"x")
        os.waitpid(child, 0)
        os.close(reading)
        os.close(writing)


@POSIX
def test_where_files_cannot_be_locked_nobody_waits(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(files.fcntl, "flock", refuse)
    waited = []
    monkeypatch.setattr(files.time, "sleep", waited.append)
    with taking_turns(tmp_path / "turn.lock", longest_wait_s=600.0):
        pass
    with taking_turns(tmp_path / "no folder" / "turn.lock", longest_wait_s=600.0):
        pass
    assert not waited


def test_turns_are_taken_on_windows_too(tmp_path, monkeypatch):
    held = []

    def locking(_, mode, size):
        assert size == 1
        if mode == "unlock":
            held.pop()
        elif held:
            raise OSError(errno.EACCES, "Permission denied")
        else:
            held.append(mode)

    library = types.SimpleNamespace(locking=locking, LK_NBLCK="lock", LK_UNLCK="unlock")
    monkeypatch.setitem(sys.modules, "msvcrt", library)
    monkeypatch.setattr(sys, "platform", "win32")
    spec = importlib.util.spec_from_file_location("files_on_windows", files.__file__)
    there = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(there)
    waited = []
    monkeypatch.setattr(there.time, "sleep", waited.append)
    with there.taking_turns(tmp_path / "turn.lock", longest_wait_s=600.0):
        assert held
        assert not waited
        with there.taking_turns(tmp_path / "turn.lock", longest_wait_s=0.001):
            assert waited
    assert not held
