"""environment.yml, the pins in locks/ and pyproject.toml say the same, and none of them names a host."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BUILD = [line for line in (ROOT / "locks" / "build.in").read_text(encoding="utf-8").split() if line]
LOCKS = {name: (ROOT / "locks" / f"{name}.txt").read_text(encoding="utf-8") for name in ("core", "notebook", "dev")}
EXTRAS = {"core": (), "notebook": ("capture", "notebook", "report"), "dev": tuple(PROJECT["optional-dependencies"])}


def wanted(lock: str) -> dict[str, Requirement]:
    """Return what pyproject.toml asks for in one of the environments, by name."""
    extras = [line for extra in EXTRAS[lock] for line in PROJECT["optional-dependencies"][extra]]
    requirements = [Requirement(line) for line in (*PROJECT["dependencies"], *extras, *BUILD)]
    return {canonicalize_name(requirement.name): requirement for requirement in requirements}


def pins(lock: str) -> dict[str, set[str]]:
    """Return the versions pinned in one of the lock files, by name; there may be one for each version of Python."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^ ;\\]+)", LOCKS[lock], flags=re.MULTILINE):
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


def environment() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    return content


def test_environment_yml_asks_for_what_pyproject_asks_for() -> None:
    packages = [line for line in environment()["dependencies"] if isinstance(line, str)]
    asked = {canonicalize_name(Requirement(line).name): Requirement(line).specifier for line in packages}
    assert asked.pop("python") == Requirement(f"python{PROJECT['requires-python']}").specifier
    asked.pop("pip")
    assert asked == {name: requirement.specifier for name, requirement in wanted("notebook").items()}


def test_environment_yml_installs_the_package_itself_and_names_no_host() -> None:
    (pip,) = [line["pip"] for line in environment()["dependencies"] if isinstance(line, dict)]
    assert pip == ["-e ."]
    assert environment()["channels"] == ["conda-forge", "nodefaults"]
    assert "://" not in (ROOT / "environment.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_is_within_the_bounds_of_pyproject(lock: str) -> None:
    found = pins(lock)
    for name, requirement in wanted(lock).items():
        assert name in found, f"{name} is not pinned in locks/{lock}.txt; run tools/refresh_locks.sh"
        assert all(Version(version) in requirement.specifier for version in found[name])


@pytest.mark.parametrize(("smaller", "larger"), [("core", "notebook"), ("notebook", "dev")])
def test_each_environment_is_a_superset_of_the_one_before(smaller: str, larger: str) -> None:
    assert {name: pins(larger).get(name) for name in pins(smaller)} == pins(smaller)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_a_hash_and_no_pin_names_a_host(lock: str) -> None:
    text = LOCKS[lock]
    assert not re.search(r"https?://|file://|--index-url|--find-links|--extra-index-url", text)
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert all("--hash=sha256:" in block for block in blocks if not block.startswith("#"))
