"""Every notebook is thin and empty of output, runs from a clean kernel, and shows what the command gives."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
EXECUTE_WITHIN_S = 600
MOST_LINES = 9


def read(path: Path) -> Any:
    """Read a notebook and hold it against the schema of notebooks."""
    import nbformat  # takes two seconds: not while tests are collected

    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def code_of(notebook: Any) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def test_the_notebooks_follow_the_consultants_day() -> None:
    assert [path.stem for path in NOTEBOOKS] == [
        "00-start-here",
        "01-record-a-test-call",
        "02-read-a-capture",
        "03-call-quality",
        "04-measure-paths",
        "05-sites-and-callers",
        "06-choose-a-region",
        "07-firewall",
        "08-client-report",
        "09-many-sites",
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_thin_led_by_sentences_and_holds_no_output(path: Path) -> None:
    notebook = read(path)
    before = None
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert before == "markdown", f"a sentence is missing before: {cell.source[:60]}"
            assert not cell.outputs
            assert cell.execution_count is None
            assert len(cell.source.splitlines()) <= MOST_LINES
        before = cell.cell_type
    assert notebook.metadata.keys() <= {"kernelspec", "language_info"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_defines_nothing_and_names_no_host_and_no_absolute_path(path: Path) -> None:
    codes = code_of(read(path))
    for code in codes:
        forbidden = (ast.FunctionDef, ast.ClassDef, ast.Lambda)
        assert not [node for node in ast.walk(ast.parse(code)) if isinstance(node, forbidden)]
    imports = ast.parse(codes[0]).body
    assert all(isinstance(node, ast.Import | ast.ImportFrom) for node in imports)
    later = [node for code in codes[1:] for node in ast.walk(ast.parse(code))]
    assert not [node for node in later if isinstance(node, ast.Import | ast.ImportFrom)]
    text = path.read_text(encoding="utf-8")
    assert "://" not in text
    assert not [word for word in ('"/', "C:\\\\", "/home/", "/Users/") if word in text]


def executed(path: Path, folder: Path) -> Any:
    """Run a copy of a notebook beside a copy of the sample, from a clean kernel."""
    from nbclient import NotebookClient  # as above

    shutil.copytree(ROOT / "data" / "sample", folder / "data" / "sample")
    (folder / "notebooks").mkdir()
    shutil.copy(path, folder / "notebooks" / path.name)
    notebook = read(folder / "notebooks" / path.name)
    resources = {"metadata": {"path": str(folder / "notebooks")}}
    NotebookClient(notebook, timeout=EXECUTE_WITHIN_S, kernel_name="python3", resources=resources).execute()
    return notebook


def outputs_of(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def ran_well(notebook: Any) -> list[Any]:
    """Return what a notebook shows, after nothing in it failed."""
    outputs = outputs_of(notebook)
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    return [output for output in outputs if "data" in output]


def pictures_of(shown: list[Any]) -> list[Any]:
    return [output for output in shown if "image/svg+xml" in output.data or "image/png" in output.data]


def panels_of(shown: list[Any]) -> list[Any]:
    return [output for output in shown if "application/vnd.jupyter.widget-view+json" in output.data]


@pytest.mark.long  # the browser's tests run each of them from a clean kernel too
@pytest.mark.parametrize("path", NOTEBOOKS[1:], ids=lambda path: path.stem)
def test_a_notebook_runs_offline_from_a_clean_kernel_with_a_picture_and_a_panel(path: Path, tmp_path: Path) -> None:
    shown = ran_well(executed(path, tmp_path / "Büro mit Leerzeichen"))
    pictures = pictures_of(shown)
    assert pictures
    assert all(len(picture.data.get("image/svg+xml", "")) > 3000 for picture in pictures)
    panels = panels_of(shown)
    assert panels
    for panel in panels:  # each has a twin for where widgets do not work
        assert "<" in panel.data["text/html"]
        assert "<script" not in panel.data["text/html"]
        assert panel.data["text/plain"]


def test_start_here_runs_offline_from_a_clean_kernel_and_shows_what_the_command_gives(tmp_path: Path) -> None:
    folder = tmp_path / "Büro mit Leerzeichen"
    notebook = executed(ROOT / "notebooks" / "00-start-here.ipynb", folder)
    shown = ran_well(notebook)
    assert len(pictures_of(shown)) >= 4
    _, panel = panels_of(shown)
    command = [sys.executable, "-m", "ccp_assess", "assess", "data/sample", "--out", "out/command", "--json"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8", check=True)
    recommendation = json.loads(result.stdout)["recommendation"]
    answer = next(output.data["text/html"] for output in shown if "<h3>" in output.data.get("text/html", ""))
    for sentence in recommendation["sentences"]:
        assert sentence.split(":")[0] in answer
    assert recommendation["regions"][0] in panel.data["text/html"]
    assert recommendation["sentences"][0].split(":")[0] in panel.data["text/plain"]
    assert (folder / "out" / "sample" / "report.html").is_file()
