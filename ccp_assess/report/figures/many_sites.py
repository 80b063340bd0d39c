"""Many sites in two pictures: which of them hurt, and at which hours of the day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from ccp_assess.report.style import CRITICAL, FONT_SIZE, INK, PART_COLOURS, QUIET, axes_for, bare, label, tint
from ccp_assess.report.words import known

MOST_SITES = 15
_HOURS = 24
_LEAST_TOP = {"loss": 1.0, "jitter": 5.0, "rtt": 50.0}
_RANGES = (("jitter", "Jitter [ms]"), ("rtt", "Round trip of media [ms]"))
_LOSS_WORDS = "Lost and late [%]"
_LATE: dict[str, Any] = {"facecolor": tint(CRITICAL, 0.18), "edgecolor": CRITICAL, "hatch": "////", "linewidth": 0.6}


def draw_worst_sites(rows: Sequence[dict[str, Any]], ax: Axes | None = None) -> tuple[Figure, Axes]:
    """Draw loss, jitter and round trip of received audio by site, worst first.

    Parameters
    ----------
    rows
        Of the view ``worst_sites``, in its order.
    ax
        Axes to draw within; a new picture without.

    Returns
    -------
    figure, axes
        The picture with the first 15 sites; the axes hold three smaller ones. What is unknown has no mark.
    """
    shown = list(rows)[:MOST_SITES]
    height = 0.95 + 0.27 * max(len(shown), 1)
    figure, ax = _frame(ax, height, rows)
    several = len({row.get("client") for row in shown}) > 1
    names = [label(f"{row['client']} {row['site_id']}" if several else row["site_id"], 22) for row in shown]
    low, high = 0.42 / height, 1 - 0.38 / height
    panels = [ax.inset_axes((0.19 + 0.277 * number, low, 0.25, high - low)) for number in range(3)]
    places = range(len(shown))
    for number, (small, words) in enumerate(zip(panels, (_LOSS_WORDS, *(one[1] for one in _RANGES)), strict=True)):
        bare(small, grid="x")
        small.set_ylim(max(len(shown), 1) - 0.4, -0.6)
        small.set_yticks(list(places), names if number == 0 else [""] * len(shown))
        small.set_xlabel(words, fontsize=FONT_SIZE, color=INK)
        small.xaxis.set_major_locator(MaxNLocator(nbins=3, min_n_ticks=2))
    for y, row in enumerate(shown):
        _draw_loss(panels[0], y, row, is_across=True)
        for small, (name, _) in zip(panels[1:], _RANGES, strict=True):
            _draw_range(small, y, row, name, is_across=True)
    for small, name in zip(panels, _LEAST_TOP, strict=True):
        small.set_xlim(0, _top(shown, name))
    _explain(ax)
    return figure, ax


def draw_hours(
    rows: Sequence[dict[str, Any]], ax: Axes | None = None, *, clock: str = "UTC", title: str = ""
) -> tuple[Figure, Axes]:
    """Draw loss, jitter and round trip of received audio by hour of the day.

    Parameters
    ----------
    rows
        Of the view ``by_hour``, or of one site; the hour is ``hour_utc`` or ``hour``.
    ax
        Axes to draw within; a new picture without.
    clock
        Whose hours they are.
    title
        Of what.

    Returns
    -------
    figure, axes
        The picture; the axes hold three smaller ones. Hours without calls are empty.
    """
    shown = [(int(row.get("hour_utc", row.get("hour"))), row) for row in rows]  # type: ignore[arg-type]
    height = 3.5
    figure, ax = _frame(ax, height, rows)
    for number in range(3):
        small = ax.inset_axes((0.06, 0.135 + 0.275 * (2 - number), 0.93, 0.185))
        bare(small, grid="y")
        small.set_xlim(0, _HOURS)
        small.set_xticks(range(0, _HOURS + 1, 3), [""] * 9 if number < 2 else [f"{h:02d}" for h in range(0, 25, 3)])
        small.yaxis.set_major_locator(MaxNLocator(nbins=2, min_n_ticks=2))
        words = (_LOSS_WORDS, *(one[1] for one in _RANGES))[number]
        small.text(0, 1.07, words, transform=small.transAxes, fontsize=FONT_SIZE, color=INK, va="bottom")
        name = ("loss", *(one[0] for one in _RANGES))[number]
        small.set_ylim(0, _top([row for _, row in shown], name))
        for hour, row in shown:
            if number == 0:
                _draw_loss(small, hour + 0.5, row, is_across=False)
            else:
                _draw_range(small, hour + 0.5, row, name, is_across=False)
        for hour in sorted(set(range(_HOURS)) - {hour for hour, _ in shown}):
            small.axvspan(hour, hour + 1, facecolor="#f1f3f5", edgecolor="none", zorder=0)
        if number == 2:
            words = f"Hour of the day, {label(clock, 40)}; shaded: no call, unknown"
            small.set_xlabel(f"{label(title, 60)}. {words}" if title else words, fontsize=FONT_SIZE, color=INK)
    _explain(ax)
    return figure, ax


def _frame(ax: Axes | None, height: float, rows: Sequence[Any]) -> tuple[Figure, Axes]:
    if ax is None:
        figure, ax = axes_for(None, 7.2, height)
        figure.set_layout_engine("none")
        ax.set_position((0.0, 0.0, 1.0, 1.0))
    else:
        figure, ax = axes_for(ax)
    ax.axis("off")
    if not rows:
        ax.text(0.5, 0.5, "nothing was heard: unknown", ha="center", va="center", fontsize=FONT_SIZE, color=QUIET)
    return figure, ax


def _top(rows: Sequence[dict[str, Any]], name: str) -> float:
    if name == "loss":
        values = [(row.get("loss_pct") or 0.0) + (row.get("late_pct") or 0.0) for row in rows]
    else:
        values = [float(row[f"{name}_p95_ms"]) for row in rows if known(row.get(f"{name}_p95_ms"))]
    return max([_LEAST_TOP[name], *(1.12 * value for value in values)])


def _draw_loss(small: Axes, at: float, row: dict[str, Any], *, is_across: bool) -> None:
    lost, late = float(row.get("loss_pct") or 0.0), float(row.get("late_pct") or 0.0)
    for begin, share, style in ((0.0, lost, {"color": CRITICAL}), (lost, late, _LATE)):
        if not share:  # none, or unknown
            continue
        if is_across:
            small.barh(at, share, left=begin, height=0.62, zorder=2, **style)
        else:
            small.bar(at, share, bottom=begin, width=0.8, zorder=2, **style)


def _draw_range(small: Axes, at: float, row: dict[str, Any], name: str, *, is_across: bool) -> None:
    middle, high = row.get(f"{name}_p50_ms"), row.get(f"{name}_p95_ms")
    if middle is None or high is None or not (known(middle) and known(high)):
        return

    def place(*values: float) -> tuple[list[float], list[float]]:
        along, beside = list(values), [at] * len(values)
        return (along, beside) if is_across else (beside, along)

    colour = PART_COLOURS["agent"]
    small.plot(*place(middle, high), color=tint(colour, 0.4), linewidth=4, solid_capstyle="butt", zorder=2)
    small.plot(*place(middle), marker="o", markersize=5, color=colour, zorder=3, clip_on=False)
    end = "|" if is_across else "_"
    small.plot(*place(high), marker=end, markersize=8, markeredgewidth=1.5, color=INK, zorder=3)


def _explain(ax: Axes) -> None:
    blue = PART_COLOURS["agent"]
    end = {"marker": "|", "markersize": 8, "markeredgewidth": 1.5}
    handles: list[Any] = [
        Patch(facecolor=CRITICAL, label="Lost"),
        Patch(**_LATE, label="Too late for the jitter buffer"),
        Line2D([], [], marker="o", markersize=5, linestyle="none", color=blue, label="Median second"),
        Line2D([], [], linestyle="none", color=INK, label="95 % of seconds below", **end),  # type: ignore[arg-type]
    ]
    ax.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=4,
        frameon=False,
        fontsize=FONT_SIZE - 0.5,
        labelcolor=QUIET,
        borderaxespad=0.2,
        columnspacing=1.4,
        handletextpad=0.5,
    )
