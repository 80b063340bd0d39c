"""The offline kit: whole for every system, and installed here with the registries out of reach."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ccp_assess.wire.compiled import kernel_folder

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import make_kit  # noqa: E402 - a script of ours, no package

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
KITS = {system: ROOT / "out" / "kit" / f"ccp-assess-{system}-python{PYTHON}" for system in make_kit.PLATFORMS}

LOCK = r"""colorama==0.4.6 ; sys_platform == 'win32' \
    --hash=sha256:aa
pexpect==4.9.0 ; sys_platform != 'win32' \
    --hash=sha256:bb
numpy==2.4.6 ; python_full_version < '3.12' \
    --hash=sha256:cc
numpy==2.5.5 ; python_full_version >= '3.12' \
    --hash=sha256:dd
"""


def kit(system: str) -> Path:
    if not (KITS[system] / "SHA256SUMS").exists():
        if os.environ.get("CI"):
            pytest.fail(f"no kit for {system}: `make kit` builds it")
        pytest.skip("no kit was built here; `make kit` builds it")
    return KITS[system]


@pytest.mark.parametrize("system", sorted(KITS))
def test_every_pin_has_a_wheel_that_the_system_can_install(system):
    assert make_kit.missing_wheels(kit(system), system, PYTHON) == []
    assert len(list((kit(system) / "wheels").glob("ccp_assess-*-py3-none-any.whl"))) == 1


@pytest.mark.parametrize("system", sorted(KITS))
def test_the_sums_are_those_of_every_file(system):
    folder = kit(system)
    sums = dict(line.split("  ")[::-1] for line in (folder / "SHA256SUMS").read_text("utf-8").splitlines())
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS"]
    assert set(sums) == {path.relative_to(folder).as_posix() for path in files}
    for path in files:
        if path.suffix != ".whl":
            assert sums[path.relative_to(folder).as_posix()] == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("system", sorted(KITS))
def test_the_script_is_the_systems_own_and_names_the_python_it_needs(system):
    script, other = ("install.cmd", "install.sh") if system == "windows" else ("install.sh", "install.cmd")
    text = (kit(system) / script).read_bytes().decode("utf-8")
    assert PYTHON in text
    assert "@PYTHON@" not in text
    assert (text.count("\r\n") == text.count("\n")) is (system == "windows")
    assert not (kit(system) / other).exists()


def test_markers_are_weighed_for_the_system_that_the_kit_is_for():
    assert set(make_kit.pins_for(LOCK, "windows", "3.12")) == {"colorama", "numpy"}
    assert set(make_kit.pins_for(LOCK, "macos", "3.11")) == {"pexpect", "numpy"}
    assert "2.5.5" in make_kit.pins_for(LOCK, "linux", "3.13")["numpy"]


def test_a_missing_wheel_is_named(tmp_path):
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "numpy-2.4.6-cp311-cp311-win_amd64.whl").touch()
    missing = make_kit.missing_wheels(tmp_path, "linux", "3.11")
    assert any(name.startswith("numpy ") for name in missing)
    assert not any(name.startswith("numpy ") for name in make_kit.missing_wheels(tmp_path, "windows", "3.11"))


CUT_OFF = ["unshare", "--net"]  # a namespace with nothing in it: no registry, no resolver, no loopback


def kit_to_install() -> Path:
    """Return this system's kit, where the network can be cut off."""
    folder = kit("linux")
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("unshare"):
        if os.environ.get("CI"):
            pytest.fail("needs Linux, root and unshare")
        pytest.skip("cutting the network off needs Linux, root and unshare")
    return folder


def cut_off(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [*CUT_OFF, *command], capture_output=True, text=True, check=False, cwd=cwd, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def check_assessing(home: Path, tmp_path: Path) -> None:
    client = tmp_path / "client"
    client.mkdir()
    for name in ("client.toml", "sites.csv", "callers.csv"):
        shutil.copy(home / "data" / "sample" / name, client)
    shutil.copytree(home / "data" / "sample" / "captures" / "DEN", client / "captures" / "DEN")
    document = json.loads(
        cut_off(home / "ccp-assess.sh", "assess", client, "--out", tmp_path / "out", "--json", cwd=tmp_path)
    )
    assert document["recommendation"]["regions"]
    assert document["calls"]
    assert (home / "notebooks" / "00-start-here.ipynb").exists()


@pytest.mark.long
def test_the_kit_installs_and_assesses_without_any_network(tmp_path):
    home = tmp_path / "a home of its own"
    cut_off("sh", kit_to_install() / "install.sh", home, cwd=tmp_path, PYTHON=sys.executable)
    check_assessing(home, tmp_path)
    assert (home / "python" / "bin" / "jupyter-lab").exists()


def test_what_assessing_needs_of_the_kit_installs_without_any_network_and_the_rest_could(tmp_path):
    """Without the notebooks' packages; kernels that were compiled here already are taken along, by their digest."""
    whole, part, home = kit_to_install(), tmp_path / "part of the kit", tmp_path / "a home of its own"
    shutil.copytree(whole, part, ignore=shutil.ignore_patterns("wheels"))
    (part / "wheels").symlink_to(whole / "wheels")
    core = make_kit.pins_for((ROOT / "locks" / "core.txt").read_text("utf-8"), "linux", PYTHON)
    pins = make_kit.pins_for((whole / "requirements.txt").read_text("utf-8"), "linux", PYTHON)
    wanted = [pin for name, pin in pins.items() if name in core]
    assert 10 < len(wanted) < len(pins)
    (part / "requirements.txt").write_text("\n".join(wanted) + "\n", encoding="utf-8")
    cut_off("sh", part / "install.sh", home, cwd=tmp_path, PYTHON=sys.executable, PIP_NO_COMPILE="1")
    (package,) = home.glob("python/lib/python*/site-packages/ccp_assess")
    shutil.copytree(kernel_folder(), package / "__pycache__" / kernel_folder().name)
    check_assessing(home, tmp_path)
    python = home / "python" / "bin" / "python"
    assert cut_off(python, "-c", "import numba; print(numba.njit(lambda x: x + 1)(41))", cwd=tmp_path) == "42\n"
    rest = cut_off(
        *(python, "-m", "pip", "install", "--dry-run", "--no-index", "--no-deps", "--require-hashes"),
        *("--find-links", "wheels", "-r", "requirements.txt"),
        cwd=whole,
    )
    assert "Would install" in rest
    assert "jupyterlab-" in rest


def test_another_python_than_the_kits_is_refused_with_what_to_do(tmp_path):
    for source in ("install.sh",):
        text = (ROOT / "tools" / "kit" / source).read_text("utf-8").replace("@PYTHON@", "3.99")
        (tmp_path / source).write_text(text, encoding="utf-8")
    result = subprocess.run(
        ["sh", tmp_path / "install.sh", tmp_path / "home"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "needs Python 3.99" in result.stderr
    assert not (tmp_path / "home").exists()
