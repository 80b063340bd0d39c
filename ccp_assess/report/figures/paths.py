"""One path, hop by hop: round-trip times, silent hops, the destination."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ccp_assess.report.style import FONT_SIZE, INK, PART_COLOURS, QUIET, axes_for, bare, label


def draw_path(result: Any, ax: Axes | None = None, *, region_code: str | None = None) -> tuple[Figure, Axes]:
    """Draw the round-trip time to each hop of a path.

    Parameters
    ----------
    result
        A probe document, one of its ``regions``, or a ``path`` of the contract.
    ax
        Axes to draw on; a new picture without.
    region_code
        Which Region of a document with several; the first that has a path if ``None``.

    Returns
    -------
    figure, axes
        The picture.
    """
    path = _path_of(result, region_code)
    hops = list(path.get("hops") or [])
    figure, ax = axes_for(ax, 7.2, 2.1)
    answered = [hop for hop in hops if hop["rtt_avg_ms"] is not None]
    ax.plot(
        [hop["ttl"] for hop in answered],
        [hop["rtt_avg_ms"] for hop in answered],
        color=PART_COLOURS["agent"],
        linewidth=1.4,
        zorder=2,
    )
    for hop in answered:
        low, high = hop.get("rtt_min_ms"), hop.get("rtt_max_ms")
        if low is not None and high is not None:
            ax.plot([hop["ttl"]] * 2, [low, high], color=PART_COLOURS["agent"], linewidth=4, alpha=0.3, zorder=1.8)
    ax.plot(
        [hop["ttl"] for hop in answered],
        [hop["rtt_avg_ms"] for hop in answered],
        linestyle="none",
        marker="o",
        markersize=4.5,
        color=PART_COLOURS["agent"],
        zorder=3,
    )
    silent = [hop["ttl"] for hop in hops if hop["rtt_avg_ms"] is None]
    ax.plot(silent, [0] * len(silent), linestyle="none", marker="x", markersize=5, color=QUIET, clip_on=False, zorder=3)
    top = max((hop["rtt_max_ms"] or hop["rtt_avg_ms"] for hop in answered), default=1.0)
    count = path.get("hop_count")
    arrived = next((hop for hop in answered if hop["ttl"] == count), None)
    if arrived:
        ax.plot([arrived["ttl"]], [arrived["rtt_avg_ms"]], marker="*", markersize=13, color=INK, zorder=4)
        ax.annotate(
            f"{arrived['rtt_avg_ms']:.1f} ms",
            (arrived["ttl"], arrived["rtt_avg_ms"]),
            xytext=(-8, 6),
            textcoords="offset points",
            ha="right",
            fontsize=FONT_SIZE,
            fontweight="bold",
            color=INK,
        )
    last = max((hop["ttl"] for hop in hops), default=1)
    ax.set_xlim(0.5, last + 0.5)
    ax.set_ylim(0, top * 1.25 or 1.0)
    ax.set_xticks(range(1, last + 1), [_tick(hops, ttl, crowded=last > 8) for ttl in range(1, last + 1)])
    crowded = last > 8
    for tick in ax.get_xticklabels():
        tick.set_rotation(35 if crowded else 0)
        tick.set_horizontalalignment("right" if crowded else "center")
        tick.set_rotation_mode("anchor")
    ax.set_ylabel("Round trip [ms]", fontsize=FONT_SIZE, color=INK)
    bare(ax, grid="y")
    ax.tick_params(axis="x", labelsize=FONT_SIZE - 1.5)
    handles = [
        Line2D([], [], marker="o", color=PART_COLOURS["agent"], markersize=4.5, label="Mean, with lowest and highest"),
        Line2D([], [], marker="x", linestyle="none", color=QUIET, markersize=5, label="Silent: no answer, not a fault"),
        Line2D([], [], marker="*", linestyle="none", color=INK, markersize=9, label="Destination"),
    ]
    shown = [handles[0], *([handles[1]] if silent else []), *([handles[2]] if arrived else [])]
    ax.legend(
        handles=shown,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=3,
        frameon=False,
        fontsize=FONT_SIZE - 0.5,
        labelcolor=INK,
        borderaxespad=0.1,
    )
    return figure, ax


def _tick(hops: list[dict[str, Any]], ttl: int, *, crowded: bool) -> str:
    hop = next((hop for hop in hops if hop["ttl"] == ttl), None)
    name = label(hop["address"], 18) if hop and hop["address"] else "silent"
    return f"{ttl} · {name}" if crowded else f"{ttl}\n{name}"


def _path_of(result: Any, region_code: str | None) -> dict[str, Any]:
    if "hops" in result:
        return dict(result)
    if "path" in result:
        return dict(result["path"] or {})
    for region in result.get("regions", []):
        if region.get("path") and region_code in {None, region["region_code"]}:
            return dict(region["path"])
    return {}
