"""Kernels are kept where they can be, load without the compiler, and are never believed when damaged."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ccp_assess.wire import compiled
from ccp_assess.wire.compiled import kernel


@kernel
def add_up(values: "np.ndarray", scale: int) -> "tuple[int, int]":
    """Sum numbers; a kernel for these tests."""
    total = 0
    for k in range(len(values)):
        total += values[k] * scale
    return total, len(values)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(compiled, "kernel_folder", lambda: tmp_path)
    return tmp_path


def fresh():
    return compiled._Kernel(add_up.__wrapped__)


def test_a_kernel_is_stored_and_loaded_again(folder):
    values = np.arange(5, dtype=np.int64)
    assert fresh()(values, 3) == (30, 5)
    (stored,) = folder.glob("*.kernel")
    before = stored.read_bytes()
    assert fresh()(values, 4) == (40, 5)
    assert stored.read_bytes() == before


@pytest.mark.parametrize(
    "damage",
    [lambda content: content[:-9], lambda content: content[:0], lambda content: content[:200] + b"x" + content[201:]],
)
def test_a_damaged_kernel_is_made_again(folder, damage):
    values = np.arange(5, dtype=np.int64)
    fresh()(values, 1)
    (stored,) = folder.glob("*.kernel")
    whole = stored.read_bytes()
    stored.write_bytes(damage(whole))
    assert fresh()(values, 1) == (10, 5)
    assert any(compiled._read(path) for path in folder.glob("*.kernel"))


def test_other_types_of_arrays_get_a_kernel_of_their_own(folder):
    kernel_ = fresh()
    assert kernel_(np.arange(5, dtype=np.int64), 1) == (10, 5)
    other = fresh()
    assert other(np.arange(5, dtype=np.int32), 1) == (10, 5)
    assert len(list(folder.glob("*.kernel"))) == 2


def test_arrays_with_gaps_are_refused(folder):
    with pytest.raises(TypeError, match="contiguous"):
        fresh()(np.arange(10, dtype=np.int64)[::2], 1)


def test_the_folder_changes_with_the_sources_and_falls_back(tmp_path, monkeypatch):
    first = tmp_path / "blocked"
    first.write_text("a file where the folder should be")
    second = tmp_path / "cache"
    monkeypatch.setattr(compiled, "_candidates", lambda: [first, second])
    compiled.kernel_folder.cache_clear()
    try:
        folder = compiled.kernel_folder()
        assert folder.parent == second
        assert compiled._digest() in folder.name
    finally:
        compiled.kernel_folder.cache_clear()


@pytest.mark.skipif(os.name == "nt", reason="rights are kept elsewhere there")
def test_a_folder_that_others_can_write_is_not_used(tmp_path, monkeypatch):
    shared = tmp_path / "for all"
    shared.mkdir()
    shared.chmod(0o777)
    private = tmp_path / "own"
    monkeypatch.setattr(compiled, "_candidates", lambda: [shared, private])
    compiled.kernel_folder.cache_clear()
    try:
        assert compiled.kernel_folder().parent == private
    finally:
        compiled.kernel_folder.cache_clear()


CHILD = """
import os, sys, time
from pathlib import Path
import numpy as np
sys.path.insert(0, sys.argv[1])
from test_compiled_kernels import add_up
from ccp_assess.wire import compiled
folder = Path(sys.argv[2])
compiled.kernel_folder = lambda: folder
compiled.LONGEST_WAIT_S = float(sys.argv[3])
really = compiled._compile
def compile_and_tell(*arguments, **options):
    (folder / f"compiling-{os.getpid()}").touch()
    while (folder / f"hold-{sys.argv[4]}").exists():
        time.sleep(0.02)
    return really(*arguments, **options)
compiled._compile = compile_and_tell
(folder / f"started-{sys.argv[4]}").touch()
print(compiled._Kernel(add_up.__wrapped__)(np.arange(5, dtype=np.int64), 3))
"""


def start(folder, name, longest_wait_s=600.0):
    """Start a process that needs the kernel, and that stays in the middle of compiling while ``hold-NAME`` is there."""
    command = [sys.executable, "-c", CHILD, str(Path(__file__).parent), str(folder), str(longest_wait_s), name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(folder, pattern):
    for _ in range(6_000):
        if any(folder.glob(pattern)):
            return
        time.sleep(0.02)
    pytest.fail(f"no {pattern}")


def answer_of(process):
    out, told = process.communicate(timeout=300)
    assert not told
    return out.strip()


def test_of_processes_that_start_at_once_one_compiles(tmp_path):
    processes = [start(tmp_path, str(k)) for k in range(3)]
    assert [answer_of(process) for process in processes] == ["(30, 5)"] * 3
    assert len(list(tmp_path.glob("compiling-*"))) == 1
    assert len(list(tmp_path.glob("*.kernel"))) == 1


def test_who_waits_for_a_killed_process_compiles_itself(tmp_path):
    (tmp_path / "hold-first").touch()
    first = start(tmp_path, "first")
    wait_for(tmp_path, "compiling-*")
    second = start(tmp_path, "second")
    wait_for(tmp_path, "started-second")
    first.kill()
    first.communicate()
    assert answer_of(second) == "(30, 5)"
    assert len(list(tmp_path.glob("compiling-*"))) == 2


def test_nobody_waits_for_ever_for_a_process_that_stands_still(tmp_path):
    (tmp_path / "hold-first").touch()
    first = start(tmp_path, "first")
    wait_for(tmp_path, "compiling-*")
    assert answer_of(start(tmp_path, "second", longest_wait_s=0.1)) == "(30, 5)"
    assert first.poll() is None
    (tmp_path / "hold-first").unlink()
    assert answer_of(first) == "(30, 5)"
    assert len(list(tmp_path.glob("*.kernel"))) == 1


def test_where_the_folder_went_away_a_kernel_runs_all_the_same(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    monkeypatch.setattr(compiled, "kernel_folder", lambda: gone)
    assert fresh()(np.arange(5, dtype=np.int64), 3) == (30, 5)
    assert not gone.exists()


def test_reading_a_capture_again_does_not_import_the_compiler(tmp_path):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "capture"))
    from captures_by_hand import Speech, pcap

    path = tmp_path / "capture.pcap"
    path.write_bytes(pcap(Speech().frames()))
    script = (
        "import sys\nfrom ccp_assess.capture.scan import scan\nscan(sys.argv[1])\n"
        "print([name for name in ('numba', 'pandas', 'scapy', 'matplotlib') if name in sys.modules])\n"
    )
    out = ""
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
        out = done.stdout.strip()
    assert out == "[]"
