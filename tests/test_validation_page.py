"""The page of validation is what its tool writes today."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.shared
def test_the_part_about_captures_is_up_to_date():
    spec = importlib.util.spec_from_file_location("make_validation", ROOT / "tools" / "make_validation.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    section = tool.make_section(ROOT.parent / "shared" / "captures" / "lab")
    page = tool.PAGE.read_text(encoding="utf-8")
    assert page.split(tool.BEGIN)[1].split(tool.END)[0].strip() == section.strip()
    assert "not found out" not in section
