"""Options of Regions side by side: delay with its band, and how often each comes out best."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ccp_assess.report.budgets import ranking_of
from ccp_assess.report.style import FONT_SIZE, INK, PART_COLOURS, RULE, axes_for, bare, draw_limits, label, tint

_MOST_OPTIONS = 12


def eligible(ranking: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the options that no constraint excludes, best first.

    Parameters
    ----------
    ranking
        The document of ``regions rank``.

    Returns
    -------
    options
        In order of rank.
    """
    options = [option for option in ranking.get("options", []) if not option["excluded_by"]]
    return sorted(options, key=lambda option: (option.get("rank") is None, option.get("rank") or 0))


def _names(options: list[dict[str, Any]]) -> list[str]:
    return [label(" + ".join(option["regions"]), 34) for option in options]


def _is_chosen(ranking: dict[str, Any], option: dict[str, Any]) -> bool:
    return bool(option["regions"] == (ranking.get("recommendation") or {}).get("regions"))


def draw_region_comparison(result: Any, ax: Axes | None = None) -> tuple[Figure, Axes]:
    """Draw mean, band and 95th percentile of the mouth-to-ear delay of each option.

    Parameters
    ----------
    result
        An assessment, a ranking or its document.
    ax
        Axes to draw on; a new picture without.

    Returns
    -------
    figure, axes
        The picture.
    """
    ranking = ranking_of(result)
    options = [o for o in eligible(ranking) if o["mouth_to_ear_ms"]["mean"] is not None][:_MOST_OPTIONS]
    figure, ax = axes_for(ax, 7.2, 1.15 + 0.29 * max(len(options), 1))
    right = max([160.0, *(_far_end(option) * 1.08 for option in options)])
    for row, option in enumerate(options):
        _draw_option(ax, row, option, chosen=_is_chosen(ranking, option))
    ax.set_xlim(0, right)
    ax.set_ylim(max(len(options), 1) - 0.4, -0.9)
    ax.set_yticks(range(len(options)), _names(options))
    for tick, option in zip(ax.get_yticklabels(), options, strict=True):
        tick.set_fontweight("bold" if _is_chosen(ranking, option) else "normal")
    ax.set_xlabel("Mouth-to-ear delay, one way, over all calls [ms]", fontsize=FONT_SIZE, color=INK)
    bare(ax, grid="x")
    draw_limits(ax, right, -0.72)
    handles = [
        Line2D([], [], marker="o", linestyle="none", color=PART_COLOURS["agent"], markersize=6, label="Mean"),
        Line2D([], [], color=tint(PART_COLOURS["agent"], 0.4), linewidth=6, label="90 % band of the mean"),
        Line2D(
            [],
            [],
            marker="|",
            linestyle="none",
            color=INK,
            markersize=9,
            markeredgewidth=1.6,
            label="95th percentile of calls",
        ),
    ]
    ax.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=3,
        frameon=False,
        fontsize=FONT_SIZE - 0.5,
        labelcolor=INK,
        borderaxespad=0.1,
        columnspacing=1.6,
    )
    return figure, ax


def _far_end(option: dict[str, Any]) -> float:
    delay = option["mouth_to_ear_ms"]
    return float(max(value for value in (delay["mean"], delay["p95"], *(delay["band"] or ())) if value is not None))


def _draw_option(ax: Axes, row: int, option: dict[str, Any], *, chosen: bool) -> None:
    delay, colour = option["mouth_to_ear_ms"], PART_COLOURS["agent"]
    low, high = delay["band"] or (None, None)
    ends = [value for value in (delay["mean"], delay["p95"]) if value is not None]
    ax.plot([min(ends), max(ends)], [row, row], color=RULE, linewidth=1.2, zorder=2)
    if low is not None and high is not None:
        ax.plot([low, high], [row, row], color=tint(colour, 0.4), linewidth=6, solid_capstyle="butt", zorder=2.5)
    if delay["p95"] is not None:
        ax.plot([delay["p95"]], [row], marker="|", markersize=9, markeredgewidth=1.6, color=INK, zorder=3)
    ax.plot([delay["mean"]], [row], marker="o", markersize=7 if chosen else 5.5, color=colour, zorder=4)
    ax.annotate(
        f"{delay['mean']:.0f}",
        (delay["mean"], row),
        xytext=(0, 5),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=FONT_SIZE - 1,
        color=INK,
        fontweight="bold" if chosen else "normal",
        zorder=5,
    )


def draw_probability(result: Any, ax: Axes | None = None) -> tuple[Figure, Axes]:
    """Draw how often each option comes out best when all uncertain numbers vary within their bands.

    Parameters
    ----------
    result
        An assessment, a ranking or its document.
    ax
        Axes to draw on; a new picture without.

    Returns
    -------
    figure, axes
        The picture.
    """
    ranking = ranking_of(result)
    options = [o for o in eligible(ranking) if o["probability_best_pct"] is not None]
    options = sorted(options, key=lambda option: -option["probability_best_pct"])
    shown = [o for o in options if o["probability_best_pct"] >= 0.5][:8] or options[:3]
    figure, ax = axes_for(ax, 7.2, 0.6 + 0.3 * max(len(shown), 1))
    for row, option in enumerate(shown):
        share = option["probability_best_pct"]
        colour = PART_COLOURS["agent"] if _is_chosen(ranking, option) else PART_COLOURS["handling"]
        ax.barh(row, share, height=0.58, color=colour, zorder=2)
        ax.text(share, row, f" {share:.0f} %", ha="left", va="center", fontsize=FONT_SIZE, color=INK, zorder=3)
    ax.set_xlim(0, 108)
    ax.set_ylim(max(len(shown), 1) - 0.4, -0.6)
    ax.set_yticks(range(len(shown)), _names(shown))
    ax.set_xticks([0, 25, 50, 75, 100])
    ax.set_xlabel("Probability of being the best option [%]", fontsize=FONT_SIZE, color=INK)
    bare(ax, grid="x")
    return figure, ax


def draw_pareto(result: Any, ax: Axes | None = None) -> tuple[Figure, Axes]:
    """Draw what each option costs the agents against what it costs the callers.

    Parameters
    ----------
    result
        An assessment, a ranking or its document.
    ax
        Axes to draw on; a new picture without.

    Returns
    -------
    figure, axes
        The picture: a line joins the options that none beats on both legs.
    """
    ranking = ranking_of(result)
    chosen = (ranking.get("recommendation") or {}).get("regions")
    points = [
        point
        for point in ranking.get("pareto") or ()
        if point["agent_leg_ms"] is not None and point["caller_leg_ms"] is not None
    ]
    figure, ax = axes_for(ax, 7.2, 3.4)
    front = sorted((p for p in points if p["efficient"]), key=lambda point: point["agent_leg_ms"])
    ax.plot(
        [p["agent_leg_ms"] for p in front], [p["caller_leg_ms"] for p in front], color=RULE, linewidth=1.2, zorder=1
    )
    named = [p for p in points if p["efficient"] or p["regions"] == chosen][:_MOST_OPTIONS]
    for point in points:
        best = point["regions"] == chosen
        ax.plot(
            point["agent_leg_ms"],
            point["caller_leg_ms"],
            marker="*" if best else "o",
            markersize=11 if best else 5.5,
            linestyle="none",
            color=INK if best else PART_COLOURS["agent"],
            markerfacecolor=INK if best else PART_COLOURS["agent"] if point["efficient"] else "white",
            zorder=3,
        )
    for point in named if len(points) > _MOST_OPTIONS else points:
        ax.annotate(
            label(" + ".join(point["regions"]), 34),
            (point["agent_leg_ms"], point["caller_leg_ms"]),
            xytext=(
                7,
                -12 if point["regions"] == chosen else 4,
            ),  # below the star: neighbours stay legible
            textcoords="offset points",
            fontsize=FONT_SIZE - 1,
            color=INK,
            fontweight="bold" if point["regions"] == chosen else "normal",
        )
    ax.margins(0.14, 0.14)
    ax.set_xlabel("Agents' leg, one way, mean [ms]", fontsize=FONT_SIZE, color=INK)
    ax.set_ylabel("Callers' leg, one way, mean [ms]", fontsize=FONT_SIZE, color=INK)
    bare(ax, grid="x")
    return figure, ax
