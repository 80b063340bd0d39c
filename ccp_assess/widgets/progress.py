"""Progress of long work in a notebook: plain HTML that is updated in place, so that it shows in every viewer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import Any, Protocol

import IPython.display

OUTPUT: Any = IPython.display  # it has no annotations
_STEPS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


class Progress(Protocol):
    """What long work calls."""

    def __call__(self, what: str, done: int, total: int, /) -> None:
        """Say what is being done, how much of it is done, and how much there is."""


@contextmanager
def show_progress(*, in_bytes: bool = False) -> Iterator[Progress]:
    """Show the progress of long work below the cell while it lasts.

    Parameters
    ----------
    in_bytes
        Whether the work counts bytes.

    Yields
    ------
    progress
        To be handed to the work::

            with show_progress() as progress:
                result = assess_client(folder, progress=progress)
    """
    html = bytes_html if in_bytes else progress_html
    handle = OUTPUT.DisplayHandle()
    handle.display(OUTPUT.HTML(""))

    def show(what: str, done: int, total: int, /) -> None:
        handle.update(OUTPUT.HTML(html(what, done, total)))

    try:
        yield show
    finally:
        handle.update(OUTPUT.HTML(""))


def silent(_what: str, _done: int, _total: int, /) -> None:
    """Show nothing: for work that nobody watches."""


def progress_html(what: str, done: int, total: int, say: Callable[[int], str] = str) -> str:
    """Return one moment of the progress.

    Parameters
    ----------
    what
        What is being done.
    done, total
        How much of it is done, and how much there is.
    say
        Writes a number of these.

    Returns
    -------
    html
        A bar with words.
    """
    words = escape(what)
    return (
        f"<progress class='ccp-progress' max='{max(total, 1)}' value='{min(done, max(total, 1))}' "
        f"aria-label='{words}' style='width:240px;vertical-align:middle'></progress> {words} "
        f"({say(done)} of {say(total)})"
    )


def bytes_html(what: str, done: int, total: int) -> str:
    """Return one moment of a run.

    Parameters
    ----------
    what
        What is being done, and how long it will take.
    done, total
        How much of it is done, and how much there is [bytes].

    Returns
    -------
    html
        A bar with words.
    """
    if total <= 0:
        words = escape(what)
        return f"<progress class='ccp-progress' aria-label='{words}' style='width:240px'></progress> {words}"
    return progress_html(what, done, total, size)


def size(count: int) -> str:
    """Write a number of bytes.

    Parameters
    ----------
    count
        How many [bytes].

    Returns
    -------
    text
        In powers of a thousand.

    Examples
    --------
    >>> size(512), size(2_986_415)
    ('512 bytes', '3.0 MB')
    """
    for step, unit in _STEPS:
        if count >= step:
            return f"{count / step:.1f} {unit}"
    return f"{count} bytes"
