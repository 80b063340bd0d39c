"""How many addresses each way of allowing opens: the blast radius, on a scale of powers of ten."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ccp_assess.report.style import CRITICAL, FONT_SIZE, INK, PART_COLOURS, QUIET, axes_for, bare, label
from ccp_assess.report.words import number


def draw_allowlist_size(result: Any, ax: Axes | None = None) -> tuple[Figure, Axes]:
    """Draw how many IPv4 addresses each option of the allowlist opens.

    Parameters
    ----------
    result
        What ``allowlist.compare_options`` returns; or a mapping from a name for people to the count of IPv4 addresses.
    ax
        Axes to draw on; a new picture without.

    Returns
    -------
    figure, axes
        The picture.
    """
    rows = _rows(result)
    figure, ax = axes_for(ax, 7.2, 0.7 + 0.42 * max(len(rows), 1))
    for row, (_, addresses) in enumerate(rows):
        if addresses is None:
            ax.text(1, row, " unknown", ha="left", va="center", fontsize=FONT_SIZE, color=QUIET)
            continue
        by_name = addresses == 0
        ax.barh(
            row,
            max(addresses, 1) - 0.9,
            left=0.9,
            height=0.55,
            color=CRITICAL if addresses > 1e6 else PART_COLOURS["agent"],
            zorder=2,
        )
        words = " by name only: no address range" if by_name else f" {number(addresses)}"
        ax.text(max(addresses, 1), row, words, ha="left", va="center", fontsize=FONT_SIZE, color=INK, zorder=3)
    ax.set_xscale("log")
    ax.set_xlim(0.9, max([1e4, *(5e2 * (a or 1) for _, a in rows)]))
    ax.set_ylim(max(len(rows), 1) - 0.4, -0.6)
    ax.set_yticks(range(len(rows)), [label(name, 44) for name, _ in rows])
    ax.minorticks_off()
    ax.set_xlabel("IPv4 addresses opened (a scale of powers of ten)", fontsize=FONT_SIZE, color=INK)
    bare(ax, grid="x")
    powers = [tick for tick in (1, 100, 10_000, 1_000_000, 100_000_000) if tick <= ax.get_xlim()[1]]
    ax.set_xticks(powers, [number(tick) for tick in powers])
    return figure, ax


def _rows(result: Any) -> list[tuple[str, int | None]]:
    if isinstance(result, dict):
        return [(str(name), value) for name, value in result.items()]
    return [
        (str(row.get("label") or row["option"]), row["addresses_v4"] if "addresses_v4" in row else row.get("v4"))
        for row in result
    ]
