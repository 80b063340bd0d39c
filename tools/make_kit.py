"""Build the offline kit: for each system a folder that installs ccp-assess without internet or administrator rights.

A kit holds every wheel of `locks/notebook.txt` for its system, the project's own wheel, the notebooks, the sample
client, the documentation, `probe.pyz` for agents, and an install script. It needs only a Python of the version of the
kit on the computer.

    python tools/make_kit.py --out out/kit --system windows --system macos --system linux --python 3.12
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import make_probe_pyz
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms
from packaging.utils import canonicalize_name, parse_wheel_filename

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "locks" / "notebook.txt"
BUILD_ONLY = {"hatchling", "editables"}
"""In the lock for those who install the project from its sources; a kit brings it as a wheel."""

PLATFORMS = {
    "windows": ["win_amd64"],
    "macos": list(mac_platforms((14, 0), "arm64")),
    "linux": [
        "manylinux_2_28_x86_64",
        "manylinux_2_27_x86_64",
        "manylinux_2_24_x86_64",
        "manylinux_2_17_x86_64",
        "manylinux2014_x86_64",
        "manylinux_2_12_x86_64",
        "manylinux2010_x86_64",
        "manylinux_2_5_x86_64",
        "manylinux1_x86_64",
    ],
}
MARKERS = {
    "windows": {"os_name": "nt", "sys_platform": "win32", "platform_system": "Windows", "platform_machine": "AMD64"},
    "macos": {"os_name": "posix", "sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"},
    "linux": {"os_name": "posix", "sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the offline kit.")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "kit")
    parser.add_argument("--system", action="append", choices=sorted(PLATFORMS), help="all three if not given")
    parser.add_argument("--python", default=f"{sys.version_info[0]}.{sys.version_info[1]}", help="such as 3.12")
    parser.add_argument("--zip", action="store_true", help="pack each kit into one file, to carry it on a stick")
    given = parser.parse_args()
    for system in given.system or sorted(PLATFORMS):
        kit = build_kit(given.out, system, given.python)
        missing = missing_wheels(kit, system, given.python)
        if missing:
            sys.exit(f"{kit}: no wheel for {', '.join(missing)}")
        bytes_in_it = sum(path.stat().st_size for path in kit.rglob("*") if path.is_file())
        print(f"{kit}: {len(list((kit / 'wheels').iterdir()))} wheels, {bytes_in_it / 1e6:.0f} MB")
        if given.zip:
            print(pack(kit))


def build_kit(out: Path, system: str, python: str) -> Path:
    """Make or refresh one kit; wheels that it has already are not fetched again."""
    kit = out / f"ccp-assess-{system}-python{python}"
    wheels = kit / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    pins = pins_for(LOCK.read_text(encoding="utf-8"), system, python)
    (kit / "requirements.txt").write_text("\n".join(pins.values()) + "\n", encoding="utf-8")
    drop_others(wheels, pins)
    if missing_wheels(kit, system, python):
        fetch(kit / "requirements.txt", wheels, system, python)
    own_wheel(wheels)
    for name in ("notebooks", "docs"):
        copy_tree(ROOT / name, kit / name)
    copy_tree(ROOT / "data" / "sample", kit / "data" / "sample")
    for source in (ROOT / "tools" / "kit").iterdir():
        if source.suffix != (".sh" if system == "windows" else ".cmd"):
            text = source.read_text(encoding="utf-8").replace("@PYTHON@", python)
            newline = "\r\n" if system == "windows" else "\n"
            (kit / source.name).write_text(text, encoding="utf-8", newline=newline)
            (kit / source.name).chmod(0o755 if source.suffix == ".sh" else 0o644)
    make_probe_pyz.build(kit / "probe.pyz", make_probe_pyz.needed_modules())
    write_sums(kit)
    return kit


def pins_for(lock: str, system: str, python: str) -> dict[str, str]:
    """Return the pins that count on a system, by name, each with its hashes and without its marker.

    pip would weigh the markers of the computer that builds the kit, not of the one that it is for.
    """
    environment = {**default_environment(), **MARKERS[system]}
    environment |= {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "implementation_version": f"{python}.0",
    }
    pins: dict[str, str] = {}
    for block in re.split(r"\n(?=\S)", lock.strip()):
        if block.startswith("#"):
            continue
        first, *hashes = [line.strip().rstrip("\\").strip() for line in block.split("\n")]
        requirement = Requirement(first)
        name = canonicalize_name(requirement.name)
        if name not in BUILD_ONLY and (requirement.marker is None or requirement.marker.evaluate(environment)):
            pins[name] = " \\\n    ".join([f"{requirement.name}{requirement.specifier}", *hashes])
    return pins


def wanted_tags(system: str, python: str) -> set[Tag]:
    version = tuple(int(part) for part in python.split("."))
    platforms = PLATFORMS[system]
    return {
        *cpython_tags(version, platforms=platforms),
        *compatible_tags(version, interpreter=f"cp{python.replace('.', '')}", platforms=platforms),
    }


def missing_wheels(kit: Path, system: str, python: str) -> list[str]:
    """Return the pins of a kit for which it has no wheel that its system can install."""
    tags = wanted_tags(system, python)
    have = set()
    for path in (kit / "wheels").glob("*.whl"):
        name, version, _, of_wheel = parse_wheel_filename(path.name)
        if of_wheel & tags:
            have.add((name, str(version)))
    pins = pins_for(LOCK.read_text(encoding="utf-8"), system, python)
    return [
        f"{name} {version}"
        for name, text in pins.items()
        if (name, version := re.match(r"[^=]+==([^ \\]+)", text)[1]) not in have  # type: ignore[index]
    ]


def drop_others(wheels: Path, pins: dict[str, str]) -> None:
    """Delete wheels of an earlier build that the pins no longer ask for."""
    for path in wheels.glob("*.whl"):
        name, version, *_ = parse_wheel_filename(path.name)
        if f"=={version}" not in pins.get(name, ""):
            path.unlink()


def fetch(requirements: Path, wheels: Path, system: str, python: str) -> None:
    number = python.replace(".", "")
    platforms = [word for platform in PLATFORMS[system] for word in ("--platform", platform)]
    abis = [word for abi in (f"cp{number}", "abi3", "none") for word in ("--abi", abi)]
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"),
            *("--no-deps", "--only-binary=:all:", "--implementation", "cp", "--python-version", python),
            *platforms, *abis,
            *("--require-hashes", "-r", str(requirements), "-d", str(wheels)),
        ],
        check=True,
    )  # fmt: skip


def own_wheel(wheels: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"),
                *("--no-build-isolation", "-w", folder, str(ROOT)),
            ],
            check=True,
        )
        for path in Path(folder).glob("*.whl"):
            shutil.copy(path, wheels)


def copy_tree(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(".ipynb_checkpoints", "__pycache__", "report"))


def write_sums(kit: Path) -> None:
    """Write SHA-256 of every file, so that whoever receives the kit can tell that it is whole."""
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(kit).as_posix()}"
        for path in sorted(kit.rglob("*"))
        if path.is_file() and path.name != "SHA256SUMS"
    ]
    (kit / "SHA256SUMS").write_text("\n".join(lines) + "\n", encoding="utf-8")


def pack(kit: Path) -> Path:
    packed = kit.with_name(f"{kit.name}.zip")
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(kit.rglob("*")):
            if path.is_file():  # wheels are packed already
                how = zipfile.ZIP_STORED if path.suffix == ".whl" else zipfile.ZIP_DEFLATED
                archive.write(path, f"{kit.name}/{path.relative_to(kit).as_posix()}", how)
    return packed


if __name__ == "__main__":
    main()
