"""The switches for the projector."""

from ccp_assess.widgets import show_presentation
from ccp_assess.widgets.panel import download_html, problem_html, said_html


def test_the_switches_change_the_style_of_the_page() -> None:
    panel = show_presentation()
    plain = panel.style.style_text
    panel.large.value = True
    assert "--jp-content-font-size1" in panel.style.style_text
    panel.no_code.value = True
    assert "jp-Cell-inputWrapper" in panel.static_html()
    panel.large.value = panel.no_code.value = False
    assert panel.style.style_text == plain
    assert show_presentation(large=True).large.value


def test_sentences_and_links_are_escaped() -> None:
    for html in (
        problem_html("<script>"),
        said_html("<script>"),
        download_html("<script>'.txt", b"x", "<script>"),
    ):
        assert "<script>" not in html
    assert problem_html("") == said_html("") == ""
    assert "one. Two" in problem_html("one", "Two")
    assert "one! Two" in problem_html("one!", "Two")
