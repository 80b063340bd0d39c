"""The page of validation is what its tool writes today."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("make_validation", ROOT / "tools" / "make_validation.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_part_about_the_e_model_is_up_to_date(tool):
    page = tool.PAGE.read_text(encoding="utf-8")
    assert page.split(tool.EMODEL_BEGIN)[1].split(tool.EMODEL_END)[0].strip() == tool.make_emodel_section().strip()


@pytest.mark.shared
def test_the_part_about_captures_is_up_to_date(tool):
    section = tool.make_section(ROOT.parent / "shared" / "captures" / "lab")
    page = tool.PAGE.read_text(encoding="utf-8")
    assert page.split(tool.BEGIN)[1].split(tool.END)[0].strip() == section.strip()
    assert "not found out" not in section
