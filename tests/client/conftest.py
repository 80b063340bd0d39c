"""A client folder that is right, to be spoilt in one place by each test."""

from collections.abc import Callable
from pathlib import Path

import pytest

SITES = """site_id,place,agents
LIS,"Lisbon, PT",120
BER,"Berlin, DE",40
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with settings and two sites, its name with a blank and an accent."""
    folder = tmp_path / "Kunde Zürich"
    folder.mkdir()
    (folder / "client.toml").write_text('[client]\nname = "Example"\ndate = 2026-11-23\n', encoding="utf-8")
    (folder / "sites.csv").write_text(SITES, encoding="utf-8")
    return folder


@pytest.fixture
def write(folder: Path) -> Callable[[str, str], Path]:
    """Give tests `write("callers.csv", text)`, which returns the client folder."""

    def written(name: str, text: str) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
        return folder

    return written
