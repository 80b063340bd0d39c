"""Progress in a notebook: shown below the cell, updated in place, gone when the work is done."""

from typing import Any

import pytest

from ccp_assess.widgets import progress as module
from ccp_assess.widgets import show_progress
from ccp_assess.widgets.progress import progress_html


class Handle:
    """Stands for the cell's output."""

    shown: list[str]

    def __init__(self) -> None:
        type(self).shown = []

    def display(self, html: Any) -> None:
        self.shown.append(html.data)

    update = display


def fail_under_progress() -> None:
    with show_progress() as progress:
        progress("reading", 0, 0)
        raise ValueError("broken")


def test_each_step_is_shown_and_nothing_is_left_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.OUTPUT, "DisplayHandle", Handle)
    with show_progress() as progress:
        progress("reading <b>.pcap", 1, 4)
        assert "value='1'" in Handle.shown[-1]
    assert Handle.shown[-1] == ""


def test_nothing_is_left_of_work_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.OUTPUT, "DisplayHandle", Handle)
    with pytest.raises(ValueError, match="broken"):
        fail_under_progress()
    assert Handle.shown[-1] == ""


def test_names_of_files_are_escaped_and_nothing_to_do_is_no_division() -> None:
    assert "<b>" not in progress_html("reading <b>.pcap", 1, 4)
    assert "max='1'" in progress_html("reading", 0, 0)
