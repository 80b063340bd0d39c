"""One visual language for every picture: measured solid, modelled dashed and hatched, assumed dotted and pale.

Colours tell the part of the way (agent, caller, transfer, handling), textures tell how a number is known. Both can be
read by people who see few colours and on a grey print: the parts differ in lightness and are labelled directly.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from html import escape
from io import BytesIO, StringIO
from typing import Any, Literal, cast

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.text import Text

from ccp_assess.report.words import clean

Part = Literal["agent", "caller", "transfer", "handling"]

INK = "#1b2733"
QUIET = "#4d5a66"
RULE = "#c3ccd4"
PAPER = "#ffffff"
LAND = "#e6e9ec"
COAST = "#b9c1c8"
SEA = "#f6f8fa"
CRITICAL = "#a01c1c"

# Lightness 37, 71, 47 and 48 (CIE L*): neighbours in a stack stay apart on a grey print.
PART_COLOURS: dict[Part, str] = {
    "agent": "#005a8d",
    "caller": "#e69f00",
    "transfer": "#a8548c",
    "handling": "#69727a",
}
PART_LABELS: dict[Part, str] = {
    "agent": "Agent leg",
    "caller": "Caller leg",
    "transfer": "Transfer leg",
    "handling": "Server, packets, buffer",
}
BASIS_LINES: dict[str, Any] = {"measured": "-", "modelled": "--", "assumed": ":"}
BASIS_HATCHES: dict[str, str] = {"measured": "", "modelled": "////", "assumed": "..."}
FONTS = ["DejaVu Sans", "Segoe UI", "Helvetica Neue", "Arial", "Liberation Sans", "sans-serif"]
FONT_SIZE = 8.0
NAME_LIMIT = 26


class Picture(Figure):
    """A figure that notebooks show as a sharp vector picture with a name, whatever backend they have chosen."""

    def _repr_mimebundle_(self, **_wanted: Any) -> dict[str, str]:
        """Return the picture alone, and as a part of a page that screen readers can name."""
        text, words = svg_text(self), self._words()
        key = f"fig-{sha256(text.encode()).hexdigest()[:8]}"
        named = _named_svg(text, key=key, title=words, description=words)
        return {
            "image/svg+xml": text,
            "text/html": f"<div class='ccp-picture' style='max-width:860px'>{named}</div>",
            "text/plain": words,
        }

    def _words(self) -> str:
        """Say what the picture shows, by the words on its axes and in its legend."""
        found: dict[str, None] = {}
        for ax in self.findobj(Axes):
            legend = ax.get_legend()
            texts = [] if legend is None else [text.get_text() for text in legend.get_texts()]
            found |= dict.fromkeys(word for word in (ax.get_xlabel(), ax.get_ylabel(), *texts) if word)
        return f"Picture: {'; '.join(found)}" if found else "Picture"


def picture(width_in: float = 7.2, height_in: float = 3.0) -> Picture:
    """Make an empty picture that no global state knows of.

    Parameters
    ----------
    width_in, height_in
        Size [inch].

    Returns
    -------
    figure
        With an Agg canvas; no window, no pyplot.
    """
    figure = Picture(figsize=(width_in, height_in), facecolor=PAPER)
    FigureCanvasAgg(figure)
    return figure


def axes_for(ax: Axes | None, width_in: float = 7.2, height_in: float = 3.0) -> tuple[Figure, Axes]:
    """Return the axes to draw on: the given ones, or those of a new picture.

    Parameters
    ----------
    ax
        Axes of the caller, or ``None``.
    width_in, height_in
        Size of a new picture [inch].

    Returns
    -------
    figure, axes
        Where to draw.
    """
    if ax is not None:
        return cast(Figure, ax.get_figure(root=True)), ax
    figure = picture(width_in, height_in)
    figure.set_layout_engine("constrained")
    return figure, figure.add_subplot()


def tint(colour: str, share: float) -> str:
    """Mix a colour with white.

    Parameters
    ----------
    colour
        As ``#rrggbb``.
    share
        Share of the colour that stays, 0 to 1.

    Returns
    -------
    colour
        As ``#rrggbb``.

    Examples
    --------
    >>> tint("#000000", 0.5)
    '#808080'
    """
    parts = [int(colour[index : index + 2], 16) for index in (1, 3, 5)]
    return "#" + "".join(f"{round(255 - (255 - part) * share):02x}" for part in parts)


def fill_style(colour: str, basis: str) -> dict[str, Any]:
    """Say how an area of a basis is filled: solid, hatched on pale, or dotted on near white.

    Parameters
    ----------
    colour
        Of the part shown.
    basis
        ``measured``, ``modelled`` or ``assumed``; anything else counts as assumed.

    Returns
    -------
    keywords
        For matplotlib patches.
    """
    if basis == "measured":
        return {"facecolor": colour, "edgecolor": colour, "linewidth": 0.8}
    modelled = basis == "modelled"
    return {
        "facecolor": tint(colour, 0.42 if modelled else 0.14),
        "edgecolor": colour,
        "hatch": BASIS_HATCHES.get(basis, BASIS_HATCHES["assumed"]),
        "linestyle": BASIS_LINES.get(basis, ":"),
        "linewidth": 0.9,
    }


def basis_handles(colour: str = QUIET, present: tuple[str, ...] = ("measured", "modelled", "assumed")) -> list[Patch]:
    """Return legend entries that explain the textures.

    Parameters
    ----------
    colour
        A neutral one.
    present
        Which bases the picture shows.

    Returns
    -------
    handles
        For ``Axes.legend``.
    """
    return [Patch(**fill_style(colour, basis), label=basis.capitalize()) for basis in present]


def label(text: Any, limit: int = NAME_LIMIT) -> str:
    """Prepare a name for a picture: harmless, short.

    Parameters
    ----------
    text
        Any name.
    limit
        Longest result (count of characters).

    Returns
    -------
    text
        One line.
    """
    return clean(text, limit)


def bare(ax: Axes, *, grid: Literal["x", "y", "none"] = "none") -> None:
    """Take away what carries no information: box, tick marks; keep a pale grid along the measuring axis.

    Parameters
    ----------
    ax
        The axes.
    grid
        Along which axis values are read.
    """
    for side in ("top", "right", "left", "bottom"):
        ax.spines[side].set_visible(False)
    ax.tick_params(length=0, labelsize=FONT_SIZE, labelcolor=INK)
    ax.set_axisbelow(True)
    if grid != "none":
        ax.grid(visible=True, axis=grid, color="#dde2e6", linewidth=0.7)


def draw_limits(ax: Axes, right: float, y: float) -> None:
    """Draw the two planning bounds of G.114 across an axis of one-way delays.

    Parameters
    ----------
    ax
        The axes.
    right
        Where the axis ends [ms].
    y
        Where the words stand, in units of the vertical axis.

    References
    ----------
    .. [1] ITU-T Rec. G.114: aim at no more than 150 ms one way, never plan above 400 ms.
    """
    for limit, words in ((150, "150 ms: aim"), (400, "400 ms: never plan above")):
        if limit >= right:
            continue
        before = limit > 0.72 * right
        ax.axvline(limit, color=CRITICAL if limit == 400 else QUIET, linewidth=1.0, zorder=1.5)
        ax.text(
            limit,
            y,
            f"{words} " if before else f" {words}",
            fontsize=FONT_SIZE - 1,
            color=QUIET,
            va="center",
            ha="right" if before else "left",
        )


def plain_text(figure: Figure) -> None:
    """Switch off formulas in every text of a figure, so that a `$` in a name stays a `$`.

    Parameters
    ----------
    figure
        The figure, all its text placed.
    """
    for text in figure.findobj(Text):
        text.set_parse_math(False)


@contextmanager
def _saving() -> Iterator[None]:
    settings: dict[Any, Any] = {
        "svg.fonttype": "none",  # text stays text: it can be searched, read aloud and scaled
        "svg.hashsalt": "ccp-assess",  # the same result gives the same bytes
        "font.sans-serif": FONTS,
        "hatch.linewidth": 0.6,
    }
    with mpl.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # the browser has the fonts
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        yield


@contextmanager
def _laid_out(figure: Figure) -> Iterator[None]:
    """Lay the figure out once, so that saving need not draw it twice."""
    engine = figure.get_layout_engine()
    if engine is None:
        yield
        return
    engine.execute(figure)
    figure.set_layout_engine("none")
    try:
        yield
    finally:
        figure.set_layout_engine(engine)


def svg_text(figure: Figure) -> str:
    """Write a figure as SVG text, the same bytes for the same figure.

    Parameters
    ----------
    figure
        The figure.

    Returns
    -------
    svg
        From ``<svg`` on: no XML head, no metadata, coordinates to a tenth of a point.
    """
    plain_text(figure)
    buffer = StringIO()
    with _saving(), _laid_out(figure):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<pattern .*?</pattern>", _small_pattern, text, flags=re.DOTALL)
    return re.sub(r"(\d+\.\d)\d+", r"\1", text)


def _small_pattern(match: re.Match[str]) -> str:
    """Replace a tile of hundreds of drawn dots by one of two circles; leave hatches of lines as they are."""
    pattern = match[0]
    if pattern.count("C") < 20:
        return pattern
    name, face = re.search(r'id="([^"]+)"', pattern), re.search(r'fill="(#\w+)"', pattern)
    ink = re.search(r"fill: (#\w+)", pattern)
    if not (name and face and ink):
        return pattern
    dots = "".join(f'<circle cx="{at}" cy="{at}" r="0.9" fill="{ink[1]}"/>' for at in (1.5, 4.5))
    return (
        f'<pattern id="{name[1]}" patternUnits="userSpaceOnUse" x="0" y="0" width="6" height="6">'
        f'<rect x="0" y="0" width="6" height="6" fill="{face[1]}"/>{dots}</pattern>'
    )


def png_bytes(figure: Figure, dpi: int = 144) -> bytes:
    """Write a figure as PNG.

    Parameters
    ----------
    figure
        The figure.
    dpi
        Resolution [dots per inch].

    Returns
    -------
    png
        The file's content.
    """
    plain_text(figure)
    buffer = BytesIO()
    with _saving():
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def inline_svg(figure: Figure, *, key: str, title: str, description: str) -> str:
    """Write a figure as SVG for a page: named for screen readers, ids its own, scaling with the page.

    Parameters
    ----------
    figure
        The figure.
    key
        Short and unique on the page.
    title
        What the picture is.
    description
        What it says, in words.

    Returns
    -------
    svg
        Safe to place into HTML.
    """
    text = svg_text(figure)
    # A plate behind a name is for pictures in notebooks; on the page the letters have a halo (class, see report.css).
    text = re.sub(r'<g id="plate">.*?</g>', "", text, flags=re.DOTALL)
    text = text.replace('<g id="halo">', '<g class="halo">')
    return _named_svg(text, key=key, title=title, description=description)


def _named_svg(text: str, *, key: str, title: str, description: str) -> str:
    """Name a picture for screen readers, and make its ids its own on a page with several."""
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', text))
    text = re.sub(r' id="([^"]+)"', lambda m: f' id="{key}-{m[1]}"' if m[1] in used else "", text)
    text = re.sub(r'(url\(#|href="#)([^)"]+)', lambda m: f"{m[1]}{key}-{m[2]}", text)
    # Inline in HTML the namespaces are implied, and an xlink: reference is spelled href.
    text = re.sub(r' xmlns(?::xlink)?="[^"]*"', "", text).replace("xlink:href", "href")
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)
    view_box = size[0] if size else ""
    body = text[text.index(">") + 1 :]
    head = (
        f'<svg {view_box} role="img" aria-labelledby="{key}-title {key}-desc" preserveAspectRatio="xMidYMid meet">'
        f'<title id="{key}-title">{escape(title)}</title><desc id="{key}-desc">{escape(description)}</desc>'
    )
    return head + body
