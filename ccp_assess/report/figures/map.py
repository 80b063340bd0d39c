"""The map: sites, caller origins, transfer targets, Regions, and the legs to the chosen Region, over an own outline."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from ccp_assess.regions import read_regions
from ccp_assess.report.figures.placing import Box, Wanted, place_labels
from ccp_assess.report.figures.world import draw_land, great_circle, miller_y
from ccp_assess.report.style import (
    BASIS_LINES,
    FONT_SIZE,
    INK,
    PAPER,
    PART_COLOURS,
    QUIET,
    RULE,
    SEA,
    axes_for,
    label,
)

_ASPECT = 2.15  # width : height of the map
_MOST_LABELS = 24
_MANY_LEGS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mark:
    kind: str
    name: str
    latitude: float
    longitude: float
    size: float
    weight: float


_KINDS: dict[str, dict[str, Any]] = {
    "site": {"marker": "o", "color": PART_COLOURS["agent"], "label": "Site (size: agents)"},
    "caller": {"marker": "^", "color": PART_COLOURS["caller"], "label": "Caller origin"},
    "transfer": {"marker": "D", "color": PART_COLOURS["transfer"], "label": "Transfer target"},
    "reroute": {"marker": "P", "color": QUIET, "label": "Audio rerouted to"},
    "region": {"marker": "s", "color": "#ffffff", "label": "Region considered"},
    "chosen": {"marker": "*", "color": "#111827", "label": "Recommended Region"},
}


def draw_map(result: Any, ax: Axes | None = None) -> tuple[Figure, Axes]:
    """Draw where agents, callers, transfer targets and Regions are, and the legs to the recommended Regions.

    Where many of them crowd into a corner of a wide map, an enlarged part of it is set into an empty place.

    Parameters
    ----------
    result
        An assessment, or anything with ``client`` (sites, callers, transfers, reroutes) and ``ranking`` (the document
        of ``regions rank``, or ``None``).
    ax
        Axes to draw on; a new picture without.

    Returns
    -------
    figure, axes
        The picture.
    """
    figure, ax = axes_for(ax, 7.2, 7.2 / _ASPECT + 0.45)
    marks = list(_marks(result))
    framing = [mark for mark in marks if mark.weight > 0]
    window = _window(framing, _ASPECT)
    _draw_view(ax, result, marks, window)
    _draw_legend(ax, marks, result)
    crowd = _crowd(framing, window)
    place = _inset_place(result, marks, window) if crowd else None
    if crowd is None or place is None:
        _draw_labels(
            figure, ax, result, marks=[mark for mark in marks if _x(mark, window) is not None], window=window, avoid=[]
        )
        return figure, ax
    inset = ax.inset_axes(place)
    part = _window(crowd, _ASPECT * place[2] / place[3], margin=1.34, least=4.0)
    _draw_view(inset, result, marks, part, scale=0.9)
    ax.indicate_inset(
        (part[0], part[1], part[2] - part[0], part[3] - part[1]), inset, edgecolor=QUIET, linewidth=0.8, alpha=1.0
    )
    _draw_labels(
        figure, inset, result, marks=[mark for mark in marks if _x(mark, part) is not None], window=part, avoid=[]
    )
    outside = [mark for mark in marks if _x(mark, window) is not None and _x(mark, part) is None]
    frame = (window[2] - window[0], window[3] - window[1])
    covered = (
        window[0] + place[0] * frame[0],
        window[1] + place[1] * frame[1],
        window[0] + (place[0] + place[2]) * frame[0],
        window[1] + (place[1] + place[3]) * frame[1],
    )
    _draw_labels(figure, ax, result, marks=outside, window=window, avoid=[covered, part])
    return figure, ax


def _draw_view(ax: Axes, result: Any, marks: list[_Mark], window: Box, scale: float = 1.0) -> None:
    draw_land(ax, window)
    _draw_legs(ax, result, window)
    ax.set_xlim(window[0], window[2])
    ax.set_ylim(window[1], window[3])
    ax.set_aspect("equal", adjustable="box")
    ax.set_facecolor(SEA)
    ax.set_xticks([])
    ax.set_yticks([])
    for side in ax.spines.values():
        side.set_edgecolor(RULE if scale == 1.0 else QUIET)
        side.set_linewidth(0.8)
    _draw_marks(ax, marks, window, scale)


def _marks(result: Any) -> Iterator[_Mark]:
    client, ranking = result.client, result.ranking or {}
    most = max((site.agents for site in client.sites), default=1) or 1
    for site in client.sites:
        yield _Mark(
            kind="site",
            name=site.name or site.site_id,
            latitude=site.latitude,
            longitude=site.longitude,
            size=5.0 + 6.0 * math.sqrt(max(site.agents, 0) / most),
            weight=500 + 100 * site.agents / most,
        )
    for origin in client.callers:
        yield _Mark(
            kind="caller",
            name=f"{origin.origin_id} {origin.call_share_pct:.0f} %",
            latitude=origin.latitude,
            longitude=origin.longitude,
            size=7.0,
            weight=300 + origin.call_share_pct,
        )
    for target in client.transfers:
        yield _Mark(
            kind="transfer",
            name=target.target_id,
            latitude=target.latitude,
            longitude=target.longitude,
            size=5.5,
            weight=200 + target.share_of_calls_pct,
        )
    for reroute in client.reroutes:
        yield _Mark(
            kind="reroute",
            name=f"audio of {reroute.site_id}",
            latitude=reroute.latitude,
            longitude=reroute.longitude,
            size=6.0,
            weight=100,
        )
    chosen = set(chosen_regions(ranking))
    considered = {
        code for option in ranking.get("options", []) if not option["excluded_by"] for code in option["regions"]
    }
    runner_up = set((ranking.get("recommendation") or {}).get("runner_up") or [])
    regions = read_regions()
    for code in sorted(considered | chosen):
        if code in regions:
            region, is_chosen = regions[code], code in chosen
            yield _Mark(
                kind="chosen" if is_chosen else "region",
                name=code,
                latitude=region.latitude,
                longitude=region.longitude,
                size=14.0 if is_chosen else 4.5,
                weight=1000 if is_chosen else 50 if code in runner_up else 0,
            )


def chosen_regions(ranking: dict[str, Any] | None) -> list[str]:
    """Return the recommended Regions of a ranking document.

    Parameters
    ----------
    ranking
        The document, or ``None``.

    Returns
    -------
    codes
        Empty where nothing is recommended.
    """
    return list(((ranking or {}).get("recommendation") or {}).get("regions") or [])


def _window(marks: list[_Mark], aspect: float, *, margin: float = 1.22, least: float = 24.0) -> Box:
    """Choose what to show: all marks with a margin, cut where the marks leave the widest gap of longitude."""
    if not marks:
        return (-180.0, float(miller_y(-58)), 180.0, float(miller_y(-58)) + 360.0 / aspect)
    longitudes = sorted({(mark.longitude + 180) % 360 - 180 for mark in marks})
    gaps = [
        ((following - current) % 360 or 360.0, following)
        for current, following in zip(longitudes, longitudes[1:] + longitudes[:1], strict=True)
    ]
    gap, west = max(gaps)
    width = 360.0 - gap
    ys = [float(miller_y(mark.latitude)) for mark in marks]
    low, high = min(ys), max(ys)
    middle_x, middle_y = west + width / 2, (low + high) / 2
    width = min(max(width * margin, (high - low) * margin * 1.1 * aspect, least), 360.0)
    height = width / aspect
    lowest, highest = float(miller_y(-62)), float(miller_y(80))
    bottom = min(max(middle_y - height / 2, lowest), max(highest - height, lowest))
    return (middle_x - width / 2, bottom, middle_x + width / 2, bottom + height)


def _x(mark: _Mark, window: Box) -> float | None:
    """Return the copy of a mark's longitude that lies in the window; ``None`` for a mark outside."""
    x = mark.longitude + 360 * math.ceil((window[0] - mark.longitude) / 360)
    inside = x <= window[2] and window[1] <= float(miller_y(mark.latitude)) <= window[3]
    return x if inside else None


def _crowd(marks: list[_Mark], window: Box) -> list[_Mark] | None:
    """Find marks that crowd within a sixth of a wide map."""
    width, height = window[2] - window[0], window[3] - window[1]
    if width < 60:
        return None
    best: list[_Mark] = []
    places = {mark: (_x(mark, window) or 0.0, float(miller_y(mark.latitude))) for mark in marks}
    for centre in places.values():
        near = [
            mark
            for mark, place in places.items()
            if abs(place[0] - centre[0]) < width / 12 and abs(place[1] - centre[1]) < height / 6
        ]
        best = max(best, near, key=len)
    return best if len(best) >= 4 else None


def _inset_place(result: Any, marks: list[_Mark], window: Box) -> tuple[float, float, float, float] | None:
    """Find where on the map, in parts of its width and height, an inset covers no mark and the fewest legs."""
    width, height = window[2] - window[0], window[3] - window[1]
    points = [
        ((x - window[0]) / width, (float(miller_y(mark.latitude)) - window[1]) / height)
        for mark in marks
        if (x := _x(mark, window)) is not None
    ]
    legs = []
    for _, _, start, end in _legs(result):
        line = great_circle(start, end)
        legs += [
            ((((x - window[0]) % 360) / width), (float(y) - window[1]) / height)
            for x, y in zip(line[:, 0], miller_y(line[:, 1]), strict=True)
        ]
    best: tuple[float, tuple[float, float, float, float]] | None = None
    for wide, high in ((0.40, 0.54), (0.37, 0.47), (0.34, 0.40)):
        for left in np.linspace(0.012, 0.988 - wide, 8):
            for bottom in (0.02, 0.98 - high):
                place = (float(left), bottom, wide, high)
                if any(_covers(place, point, 0.03) for point in points):
                    continue
                cost = sum(_covers(place, point, 0.0) for point in legs) - 10 * wide
                if best is None or cost < best[0]:
                    best = (cost, place)
    return best[1] if best else None


def _covers(place: tuple[float, float, float, float], point: tuple[float, float], margin: float) -> bool:
    return (
        place[0] - margin < point[0] < place[0] + place[2] + margin
        and place[1] - margin < point[1] < place[1] + place[3] + margin
    )


def _legs(result: Any) -> Iterator[tuple[str, str, tuple[float, float], tuple[float, float]]]:
    """Part, basis and both ends of every leg to the recommended Regions."""
    ranking, client = result.ranking or {}, result.client
    chosen = chosen_regions(ranking)
    option = next((o for o in ranking.get("options", []) if o["regions"] == chosen), None)
    if option is None:
        return
    regions = read_regions()
    places = {
        "agent": {site.site_id: (site.latitude, site.longitude) for site in client.sites},
        "caller": {origin.origin_id: (origin.latitude, origin.longitude) for origin in client.callers},
        "transfer": {target.target_id: (target.latitude, target.longitude) for target in client.transfers},
    }
    rows: Iterable[tuple[str, str, dict[str, Any]]] = (
        *(("agent", row["site_id"], row) for row in option["by_site"]),
        *(("caller", row["origin_id"], row) for row in option["by_caller_origin"]),
        *(("transfer", row["target_id"], row) for row in option["by_transfer"]),
    )
    for part, who, row in rows:
        region = regions.get(row.get("region_code") or chosen[0])
        place = places[part].get(who)
        if region and place:
            yield part, row.get("basis") or "assumed", place, (region.latitude, region.longitude)


def _draw_legs(ax: Axes, result: Any, window: Box) -> None:
    legs = list(_legs(result))
    slender = 0.45 if len(legs) > _MANY_LEGS else 1.0
    for part, basis, place, region in legs:
        line = great_circle(place, region)
        projected = np.column_stack([line[:, 0], miller_y(line[:, 1])])
        copies = [projected + np.array([shift, 0.0]) for shift in (-360.0, 0.0, 360.0)]
        visible = [copy for copy in copies if copy[:, 0].max() >= window[0] and copy[:, 0].min() <= window[2]]
        ax.add_collection(
            LineCollection(
                cast("Any", visible),
                colors=PART_COLOURS[cast("Any", part)],
                linestyles=BASIS_LINES.get(basis, ":"),
                linewidths=slender * (1.5 if part == "agent" else 1.0),
                zorder=3 if part == "agent" else 2,
            ),
            autolim=False,
        )


def _draw_marks(ax: Axes, marks: list[_Mark], window: Box, scale: float) -> None:
    for mark in sorted(marks, key=lambda mark: (mark.kind != "region", mark.kind == "chosen", -mark.size)):
        x, look = _x(mark, window), _KINDS[mark.kind]
        if x is None:
            continue
        ax.plot(
            [x],
            [float(miller_y(mark.latitude))],
            marker=look["marker"],
            markersize=mark.size * scale,
            color=look["color"],
            markeredgecolor=INK if mark.kind == "region" else PAPER,
            markeredgewidth=0.7,
            linestyle="none",
            zorder=4 if mark.kind != "chosen" else 5,
        )


def _draw_legend(ax: Axes, marks: list[_Mark], result: Any) -> None:
    kinds = {mark.kind for mark in marks}
    handles = [
        Line2D(
            [],
            [],
            linestyle="none",
            marker=look["marker"],
            color=look["color"],
            label=look["label"],
            markersize=9 if kind == "chosen" else 6,
            markeredgecolor=INK if kind == "region" else PAPER,
            markeredgewidth=0.7,
        )
        for kind, look in _KINDS.items()
        if kind in kinds
    ]
    present = {basis for _, basis, _, _ in _legs(result)}
    handles += [
        Line2D([], [], color=QUIET, linewidth=1.3, linestyle=line, label=f"Leg {basis}")
        for basis, line in BASIS_LINES.items()
        if basis in present
    ]
    if handles:
        ax.legend(
            handles=handles,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.015),
            ncols=min(len(handles), 5),
            frameon=False,
            fontsize=FONT_SIZE - 0.5,
            handletextpad=0.4,
            columnspacing=1.4,
            labelcolor=INK,
            borderaxespad=0.2,
        )


def _draw_labels(figure: Figure, ax: Axes, result: Any, *, marks: list[_Mark], window: Box, avoid: list[Box]) -> None:
    """Write names where there is room; the table beside the map names them all."""
    figure.draw_without_rendering()  # fixes the scale, so that sizes in points can be compared with places on the map
    scale = 72.0 / figure.dpi

    def point(x: float, y: float) -> tuple[float, float]:
        px, py = ax.transData.transform((x, y)) * scale
        return float(px), float(py)

    obstacles: list[Box] = [(*point(box[0], box[1]), *point(box[2], box[3])) for box in avoid]
    places = {mark: point(_x(mark, window) or 0.0, float(miller_y(mark.latitude))) for mark in marks}
    for mark, (px, py) in places.items():
        half = mark.size * 0.42
        obstacles.append((px - half, py - half, px + half, py + half))
    shown = sorted(marks, key=lambda mark: -mark.weight)[:_MOST_LABELS]
    texts = [_text(ax, mark) for mark in shown]
    wanted = []
    for mark, text in zip(shown, texts, strict=True):
        extent, (px, py) = text.get_window_extent(), places[mark]
        wanted.append(
            Wanted(x=px, y=py, width=extent.width * scale + 4, height=extent.height * scale + 2, radius=mark.size / 2)
        )
    corner, far = ax.transAxes.transform((0, 0)) * scale, ax.transAxes.transform((1, 1)) * scale
    frame = (corner[0] + 1, corner[1] + 1, far[0] - 1, far[1] - 1)
    inverse = ax.transData.inverted().transform
    lines = [
        point(window[0] + (x - window[0]) % 360, y)
        for _, _, start, end in _legs(result)
        for line in (great_circle(start, end, 120),)
        for x, y in zip(line[:, 0], miller_y(line[:, 1]), strict=True)
    ]
    for item, text, box in zip(wanted, texts, place_labels(wanted, frame, obstacles, lines), strict=True):
        if box is None:
            text.remove()
            continue
        text.set_position(tuple(inverse(((box[0] + 2) / scale, (box[1] + 1) / scale))))
        text.set_bbox({"facecolor": PAPER, "alpha": 0.72, "edgecolor": "none", "pad": 0.6, "gid": "plate"})
        _draw_leader(ax, item, box, inverse, scale)


def _text(ax: Axes, mark: _Mark) -> Text:
    main = mark.kind in {"site", "chosen"}
    return ax.text(
        0,
        0,
        label(mark.name, 24),
        fontsize=FONT_SIZE if main else FONT_SIZE - 1,
        color=INK if main else QUIET,
        fontweight="bold" if mark.kind == "chosen" else "normal",
        ha="left",
        va="bottom",
        zorder=7,
        parse_math=False,
        gid="halo",
    )


def _draw_leader(ax: Axes, item: Wanted, box: Box, inverse: Any, scale: float) -> None:
    """Join a label that had to move away with its mark by a thin line."""
    near_x, near_y = min(max(item.x, box[0]), box[2]), min(max(item.y, box[1]), box[3])
    if math.hypot(near_x - item.x, near_y - item.y) < item.radius + 7:
        return
    ends = inverse(np.array([[item.x / scale, item.y / scale], [near_x / scale, near_y / scale]]))
    ax.plot(ends[:, 0], ends[:, 1], color=QUIET, linewidth=0.5, zorder=3.5)
