"""How a command ends when someone else ends it: a pipe that closes, Ctrl-C, an output that is closed from the start."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals and closed descriptors as POSIX has them")
COMMAND = [sys.executable, "-m", "ccp_assess"]


@POSIX
@pytest.mark.parametrize(
    "words",
    [
        ["quality", "--delay-ms", "100", "--json"],
        ["allowlist", "formats"],
        ["--version"],
        ["--help"],
        ["capture", "--help"],
        ["capture", "scrub", "--help"],
    ],
)
def test_a_reader_that_has_seen_enough_is_no_failure(words):
    reading, writing = os.pipe()
    os.close(reading)  # what `| true` does, without a race
    done = subprocess.run([*COMMAND, *words], stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_windows_words_for_a_closed_pipe_are_understood():
    closed = (
        "import errno, os, types\nimport ccp_assess.cli as cli\n"
        "cli.os = types.SimpleNamespace(**(vars(os) | {'name': 'nt'}))\n"
        "def tell() -> None:\n    raise OSError(errno.EINVAL, 'Invalid argument')\n"
        "def read() -> None:\n    raise OSError(errno.EINVAL, 'Invalid argument', 'a file')\n"
        "cli._register = lambda: (cli.app.command('tell')(tell), cli.app.command('read')(read))\n"
        "cli.main()\n"
    )
    for word, status, told in [("tell", 0, ""), ("read", 1, "ccp-assess: a file: Invalid argument\n")]:
        done = subprocess.run([sys.executable, "-c", closed, word], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (status, told)


def test_ctrl_c_is_said_in_one_line_and_ends_with_130():
    interrupted = (
        "import ccp_assess.cli as cli\n"
        "def wait() -> None:\n    raise KeyboardInterrupt\n"
        "cli._register = lambda: cli.app.command('wait')(wait)\n"
        "cli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", interrupted, "wait"], capture_output=True, text=True, check=False)
    assert done.stderr == "ccp-assess: interrupted; what was finished is kept\n"
    assert done.returncode == 130


@POSIX
def test_a_closed_standard_output_is_no_fault_of_ours():
    done = subprocess.run(
        ["/bin/sh", "-c", '"$0" -m ccp_assess quality --delay-ms 100 --json >&-', sys.executable],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@POSIX
def test_a_full_disk_behind_the_output_is_one_sentence():
    with open("/dev/full", "w", encoding="ascii") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [*COMMAND, "quality", "--delay-ms", "100"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == "ccp-assess: No space left on device\n"
