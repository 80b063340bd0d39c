"""For the projector: large type, and the notebook without its code."""

from __future__ import annotations

from typing import Any

import ipywidgets

from ccp_assess.widgets.panel import STYLE, Heading, Panel, row

_LARGE = """
:root, body { --jp-content-font-size1: 20px; --jp-code-font-size: 18px; --jp-ui-font-size1: 18px;
--jp-widgets-font-size: 18px; --jp-widgets-inline-height: 38px; }
.ccp-panel, .ccp-panel table, .ccp-panel .widget-html-content, .ccp-panel input, .ccp-panel select,
.ccp-panel button, .ccp-panel .widget-label, .ccp-slider, .ccp-editor, .ccp-drop, .ccp-map, .ccp-told
{ font-size: 18px !important; }
.ccp-panel .widget-dropdown, .ccp-panel .widget-text, .ccp-panel .widget-select-multiple,
.ccp-panel .widget-checkbox, .ccp-slider { width: 520px !important; max-width: 100% !important; }
.jp-RenderedHTMLCommon table { font-size: 18px; }
.ccp-picture { max-width: 1500px !important; }
"""
_NO_CODE = """
.jp-CodeCell > .jp-Cell-inputWrapper, .jp-CodeCell .jp-OutputPrompt { display: none !important; }
"""


class Presentation(Panel):
    """Two switches for the page that they stand on.

    Attributes
    ----------
    large, no_code
        Switches: type that is read from the back row, and results without the code that made them.
    style
        What they do to the page.
    """

    def __init__(self) -> None:
        wide = ipywidgets.Layout(width="auto")
        self.large = ipywidgets.ToggleButton(description="Large type", layout=wide)
        self.no_code = ipywidgets.ToggleButton(description="Hide the code", layout=wide)
        self.style = Heading()
        self.box = row(self.large, self.no_code, self.style)
        self.box.add_class("ccp-panel")
        self.box.add_class("ccp-presentation")
        for switch in (self.large, self.no_code):
            switch.observe(self._on_switch, names="value")
        self._on_switch(None)

    def static_html(self) -> str:
        """Return what is shown as plain HTML, for where widgets do not work.

        Returns
        -------
        html
            The style of the page as it was switched.
        """
        return f"<style>{self.style.style_text}</style>"

    def _plain_text(self) -> str:
        return "Large type; hide the code"

    def _on_switch(self, _change: Any) -> None:
        wanted = (_LARGE if self.large.value else "") + (_NO_CODE if self.no_code.value else "")
        self.style.style_text = STYLE + wanted


def show_presentation(*, large: bool = False, no_code: bool = False) -> Presentation:
    """Make the switches for the projector.

    Parameters
    ----------
    large, no_code
        How they stand at first.

    Returns
    -------
    panel
        Named in the last line of a cell, it shows itself.
    """
    made = Presentation()
    made.large.value, made.no_code.value = large, no_code
    return made
