"""What all panels share: they show themselves as widgets, or as plain HTML where widgets do not work."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import traitlets

from ccp_assess.report.style import CRITICAL, INK, QUIET

STATIC = Path(__file__).parent / "static"
STYLE = (STATIC / "panel.css").read_text(encoding="utf-8")
LINE = "margin:2px 0;line-height:1.35"
LABEL = {"description_width": "120px"}
WIDE = {"width": "360px", "max_width": "100%"}
"""Of each field its own layout is made: one that is hidden hides no other."""


class Heading(anywidget.AnyWidget):
    """The heading of a panel, with the style of panels; it keeps the notebook's shortcuts away from them.

    Attributes
    ----------
    words
        The heading; empty for none.
    style_text
        Style sheet of the page that it stands on.
    """

    _esm = STATIC / "heading.js"
    words = traitlets.Unicode("").tag(sync=True)
    style_text = traitlets.Unicode(STYLE).tag(sync=True)


class Panel:
    """A panel: widgets in ``box``, and the same as plain HTML.

    Attributes
    ----------
    box
        All of its widgets.
    """

    box: ipywidgets.Widget

    def static_html(self) -> str:
        """Return what is shown as plain HTML, for where widgets do not work.

        Returns
        -------
        html
            Without scripts.
        """
        raise NotImplementedError

    def _plain_text(self) -> str:
        """Return what is shown in a line, for where not even HTML works."""
        return type(self).__name__

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        """Show the widgets, or the plain HTML where there are none."""
        bundle = self.box._repr_mimebundle_(include=include, exclude=exclude)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**data, "text/html": self.static_html(), "text/plain": self._plain_text()}, metadata


def panel_box(name: str, title: str, children: Sequence[ipywidgets.Widget]) -> ipywidgets.Widget:
    """Put the parts of a panel below its heading.

    Parameters
    ----------
    name
        Of the panel, for its class in the page.
    title
        Heading for people.
    children
        The parts, from top to bottom.

    Returns
    -------
    box
        With the style of panels.
    """
    box = ipywidgets.VBox([Heading(words=title), *children])
    box.add_class("ccp-panel")
    box.add_class(f"ccp-{name}-panel")
    return box


def row(*children: ipywidgets.Widget) -> ipywidgets.Widget:
    """Put parts beside each other; they wrap where there is no room.

    Parameters
    ----------
    *children
        The parts.

    Returns
    -------
    box
        A row.
    """
    layout = ipywidgets.Layout(display="flex", flex_flow="row wrap", align_items="flex-start", grid_gap="4px 16px")
    return ipywidgets.Box(list(children), layout=layout)


def button(words: str, *, is_primary: bool = False, width: str = "auto") -> Any:
    """Make a button that is as wide as its words.

    Parameters
    ----------
    words
        What it does.
    is_primary
        Whether it is the main thing to do.
    width
        Of the layout.

    Returns
    -------
    button
        An ordinary widget.
    """
    return ipywidgets.Button(
        description=words, button_style="primary" if is_primary else "", layout=ipywidgets.Layout(width=width)
    )


def said_html(sentence: str) -> str:
    """Return a sentence on what was done.

    Parameters
    ----------
    sentence
        Empty for nothing.

    Returns
    -------
    html
        To be read aloud when it changes.
    """
    if not sentence:
        return ""
    return f"<p role='status' class='ccp-said' style='{LINE};color:{QUIET}'>{escape(sentence)}</p>"


def problem_html(sentence: str, after: str = "") -> str:
    """Return a sentence of our own errors.

    Parameters
    ----------
    sentence
        Text of the error.
    after
        What else is to be said.

    Returns
    -------
    html
        To be read aloud at once.
    """
    if not sentence:
        return ""
    if after and not sentence.endswith((".", "!", "?")):
        sentence += "."
    words = escape(f"{sentence} {after}".strip())
    return f"<p role='alert' class='ccp-problem' style='{LINE};color:{CRITICAL}'>{words}</p>"


def download_html(name: str, data: bytes, words: str, media_type: str = "application/octet-stream") -> str:
    """Return a link that saves data from the page: nothing is asked of a server.

    Parameters
    ----------
    name
        Of the file.
    data
        Its content.
    words
        What the link says.
    media_type
        Of the content.

    Returns
    -------
    html
        A link.
    """
    content = base64.b64encode(data).decode("ascii")
    return (
        f"<a class='ccp-download' download='{escape(name, quote=True)}' href='data:{media_type};base64,{content}' "
        f"style='color:{INK};font-weight:bold'>{escape(words)}</a>"
    )
