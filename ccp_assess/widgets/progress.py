"""Progress of long work in a notebook: plain HTML that is updated in place, so that it shows in every viewer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any, Protocol

import IPython.display

OUTPUT: Any = IPython.display  # it has no annotations


class Progress(Protocol):
    """What long work calls."""

    def __call__(self, what: str, done: int, total: int, /) -> None:
        """Say what is being done, how much of it is done, and how much there is."""


@contextmanager
def show_progress() -> Iterator[Progress]:
    """Show the progress of long work below the cell while it lasts.

    Yields
    ------
    progress
        To be handed to the work::

            with show_progress() as progress:
                result = assess_client(folder, progress=progress)
    """
    handle = OUTPUT.DisplayHandle()
    handle.display(OUTPUT.HTML(""))

    def show(what: str, done: int, total: int, /) -> None:
        handle.update(OUTPUT.HTML(progress_html(what, done, total)))

    try:
        yield show
    finally:
        handle.update(OUTPUT.HTML(""))


def progress_html(what: str, done: int, total: int) -> str:
    """Return one moment of the progress.

    Parameters
    ----------
    what
        What is being done.
    done, total
        How much of it is done, and how much there is.

    Returns
    -------
    html
        A bar with words.
    """
    words = escape(what)
    return (
        f"<progress class='ccp-progress' max='{max(total, 1)}' value='{min(done, max(total, 1))}' "
        f"aria-label='{words}' style='width:240px;vertical-align:middle'></progress> {words} ({done} of {total})"
    )
