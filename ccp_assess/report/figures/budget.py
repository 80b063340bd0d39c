"""The latency budget: one bar per site, one segment per part of the way, texture by how it is known."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ccp_assess.report.budgets import SiteBudget, ranking_of, site_budgets
from ccp_assess.report.style import (
    FONT_SIZE,
    INK,
    PAPER,
    PART_COLOURS,
    PART_LABELS,
    axes_for,
    bare,
    basis_handles,
    draw_limits,
    fill_style,
    label,
)

MOST_BARS = 14  # more would not fit on a printed page
_NARROW_SHARE = 0.045  # of the axis: a number does not fit into a narrower segment


def draw_latency_budget(
    result: Any, ax: Axes | None = None, *, regions: list[str] | None = None
) -> tuple[Figure, Axes]:
    """Draw where the milliseconds between an average caller and an agent of each site go.

    Parameters
    ----------
    result
        An assessment, or anything with ``client`` and ``ranking``.
    ax
        Axes to draw on; a new picture without.
    regions
        The option to show; the recommended one if ``None``.

    Returns
    -------
    figure, axes
        The picture.
    """
    budgets = sorted(site_budgets(result.client, ranking_of(result), regions), key=lambda b: -b.agents)[:MOST_BARS]
    figure, ax = axes_for(ax, 7.2, 1.25 + 0.42 * max(len(budgets), 1))
    longest = max((budget.known_ms for budget in budgets), default=100.0)
    right = max(longest * 1.16, 180.0)
    for row, budget in enumerate(budgets):
        _draw_bar(ax, row, budget, right)
    ax.set_xlim(0, right)
    ax.set_ylim(max(len(budgets), 1) - 0.4, -0.75)
    ax.set_yticks(range(len(budgets)), [_site_label(budget) for budget in budgets])
    ax.set_xlabel("Mouth-to-ear delay, one way [ms]", fontsize=FONT_SIZE, color=INK)
    bare(ax, grid="x")
    draw_limits(ax, right, -0.62)
    _draw_legend(ax, budgets)
    return figure, ax


def _site_label(budget: SiteBudget) -> str:
    return f"{label(budget.name, 24)}\n{budget.agents} agents"


def _draw_bar(ax: Axes, row: int, budget: SiteBudget, right: float) -> None:
    left = 0.0
    for part in budget.parts:
        if not part.one_way_ms:
            continue
        colour = PART_COLOURS[part.part]
        ax.barh(row, part.one_way_ms, left=left, height=0.56, zorder=2, **fill_style(colour, part.basis))
        if part.one_way_ms > right * _NARROW_SHARE:
            solid = part.basis == "measured" and part.part in {"agent", "transfer"}
            ax.text(
                left + part.one_way_ms / 2,
                row,
                f"{part.one_way_ms:.0f}",
                ha="center",
                va="center",
                fontsize=FONT_SIZE - 0.5,
                color=PAPER if solid else INK,
                zorder=4,
                bbox=None
                if part.basis == "measured"
                else {"facecolor": PAPER, "edgecolor": "none", "pad": 1.0, "alpha": 0.85},
            )
        left += part.one_way_ms
    if budget.total_ms is None:
        missing = " + ".join(
            dict.fromkeys(part.label.split(",")[0].lower() for part in budget.parts if part.one_way_ms is None)
        )
        words = f" + unknown ({missing})"
    else:
        words = f" {budget.total_ms:.0f} ms"
    ax.text(
        left + right * 0.006,
        row,
        words,
        ha="left",
        va="center",
        fontsize=FONT_SIZE,
        color=INK,
        fontweight="bold",
        zorder=4,
        bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1.0},
    )


def _draw_legend(ax: Axes, budgets: list[SiteBudget]) -> None:
    kinds = dict.fromkeys(part.part for budget in budgets for part in budget.parts if part.one_way_ms is not None)
    bases = {part.basis for budget in budgets for part in budget.parts if part.one_way_ms}
    handles = [Patch(facecolor=PART_COLOURS[kind], label=PART_LABELS[kind]) for kind in kinds]
    handles += basis_handles(present=tuple(basis for basis in ("measured", "modelled", "assumed") if basis in bases))
    if handles:
        ax.legend(
            handles=handles,
            loc="lower left",
            bbox_to_anchor=(0.0, 1.0),
            ncols=len(handles),
            frameon=False,
            fontsize=FONT_SIZE - 0.5,
            handlelength=1.6,
            handleheight=1.0,
            handletextpad=0.5,
            columnspacing=1.2,
            labelcolor=INK,
            borderaxespad=0.1,
        )
