"""The printed report: text that can be searched, a sensible number of pages, pictures that are not blank."""

import subprocess

import pytest
from report_examples import assessment

from ccp_assess.report.document import write_report
from ccp_assess.report.pdf import find_browser

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    if find_browser() is None:
        pytest.skip("missing tool: chromium")
    written = write_report(assessment(), tmp_path_factory.mktemp("report"))
    assert written["pdf"], written["pdf_reason"]
    return written["pdf"]


def _text(path, *, first, last, tool):
    command = [tool("pdftotext"), "-layout", "-f", str(first), "-l", str(last), path, "-"]
    return " ".join(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


def test_the_first_printed_page_holds_the_answer_the_map_and_the_findings(printed, tool):
    text = _text(printed, first=1, last=1, tool=tool)
    for words in (
        "The answer",
        "Put the instance into eu-west-2",
        "Lisbon headquarters",
        "What to do first",
        "Manila has no measurement",
        "Page 1 of",
    ):
        assert words in text


def test_the_pages_are_neither_few_nor_many(printed, tool):
    info = subprocess.run([tool("pdfinfo"), printed], check=True, capture_output=True, text=True).stdout
    pages = int(next(line for line in info.splitlines() if line.startswith("Pages")).split()[1])
    assert 8 <= pages <= 18
    assert "(A4)" in next(line for line in info.splitlines() if line.startswith("Page size"))
    text = _text(printed, first=2, last=pages, tool=tool)
    for words in ("Which Region", "Latency budget per site", "Firewall rules", "What is unknown", "Appendix"):
        assert words in text


def test_no_printed_page_is_blank(printed, tool, tmp_path):
    import numpy as np
    from matplotlib.image import imread

    subprocess.run([tool("pdftoppm"), "-r", "40", "-png", printed, str(tmp_path / "p")], check=True)
    for page in sorted(tmp_path.glob("p*.png")):
        pixels = imread(page)[..., :3]
        assert np.mean(pixels < 0.9) > 0.004, page.name
