"""The map: sites, caller origins, transfer targets, Regions, and the legs to the chosen Region, over an own outline."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from ccp_assess.geo import world_outline
from ccp_assess.regions import read_regions
from ccp_assess.report.figures.placing import Box, Wanted, place_labels
from ccp_assess.report.style import (
    BASIS_LINES,
    COAST,
    FONT_SIZE,
    INK,
    LAND,
    PAPER,
    PART_COLOURS,
    QUIET,
    SEA,
    axes_for,
    label,
)

_LAT_LIMIT = 82.0
_ASPECT = 2.15  # width : height of the map
_MOST_LABELS = 24


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
    figure, ax = axes_for(ax, 7.2, 3.55)
    marks = list(_marks(result))
    window = _window(marks)
    _draw_land(ax, window)
    _draw_legs(ax, result, window)
    ax.set_xlim(window[0], window[2])
    ax.set_ylim(window[1], window[3])
    ax.set_aspect("equal", adjustable="box")
    ax.set_facecolor(SEA)
    ax.set_xticks([])
    ax.set_yticks([])
    for side in ax.spines.values():
        side.set_edgecolor("#d5dbe0")
    _draw_marks(ax, marks, window)
    _draw_legend(ax, marks, result)
    _draw_labels(figure, ax, marks, window)
    return figure, ax


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
                weight=1000 if is_chosen else 0,
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


def _y(latitude: Any) -> Any:
    """Miller cylindrical projection: straight meridians, poles not torn apart as much as Mercator's."""
    phi = np.radians(np.clip(latitude, -_LAT_LIMIT, _LAT_LIMIT))
    projected: np.ndarray[Any, Any] = np.degrees(1.25 * np.log(np.tan(np.pi / 4 + 0.4 * phi)))
    return projected


def _window(marks: list[_Mark]) -> Box:
    """Choose what to show: all marks with a margin, cut where the marks leave the widest gap of longitude."""
    if not marks:
        return (-180.0, float(_y(-58)), 180.0, float(_y(78)))
    longitudes = sorted({(mark.longitude + 180) % 360 - 180 for mark in marks})
    gaps = [
        ((following - current) % 360 or 360.0, following)
        for current, following in zip(longitudes, longitudes[1:] + longitudes[:1], strict=True)
    ]
    gap, west = max(gaps)
    width = 360.0 - gap
    ys = [float(_y(mark.latitude)) for mark in marks]
    low, high = min(ys), max(ys)
    middle_x, middle_y = west + width / 2, (low + high) / 2
    width, height = max(width * 1.22, 24.0), max((high - low) * 1.35, 12.0)
    width = max(width, height * _ASPECT)
    if width > 360:
        width = 360.0
    height = min(width / _ASPECT, float(_y(78) - _y(-58)))
    bottom = min(max(middle_y - height / 2, float(_y(-60))), float(_y(80)) - height)
    return (middle_x - width / 2, bottom, middle_x + width / 2, bottom + height)


def _turns(longitude: float, window: Box) -> list[float]:
    """Every copy of a longitude that lies in the window (the world repeats each 360 degrees)."""
    first = longitude + 360 * math.ceil((window[0] - longitude) / 360)
    return [first] if first <= window[2] else []


@cache
def _rings() -> tuple[np.ndarray[Any, Any], ...]:
    """Return the outline's rings, projected."""
    rings: list[np.ndarray[Any, Any]] = []
    for feature in world_outline()["features"]:
        geometry = feature["geometry"]
        polygons = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
        for polygon in polygons:
            ring = np.asarray(polygon[0], dtype=float)[:, :2]
            if ring[:, 1].max() < -60:  # Antarctica has no agents
                continue
            rings.append(np.column_stack([ring[:, 0], _y(ring[:, 1])]))
    return tuple(rings)


def _thinned(ring: np.ndarray[Any, Any], step: float) -> np.ndarray[Any, Any]:
    """Leave out points that nobody could tell apart at this scale."""
    kept = [ring[0]]
    for point in ring[1:-1]:
        if abs(point[0] - kept[-1][0]) + abs(point[1] - kept[-1][1]) >= step:
            kept.append(point)
    return np.array(kept) if len(kept) >= 3 else ring


def _draw_land(ax: Axes, window: Box) -> None:
    shapes = []
    for ring in _rings():
        for shift in (-360.0, 0.0, 360.0):
            left, right = ring[:, 0].min() + shift, ring[:, 0].max() + shift
            if right < window[0] or left > window[2] or ring[:, 1].max() < window[1] or ring[:, 1].min() > window[3]:
                continue
            shapes.append(_thinned(ring, (window[2] - window[0]) / 900) + np.array([shift, 0.0]))
    if shapes:
        outline = Path.make_compound_path(*(Path(shape, closed=True) for shape in shapes))
        ax.add_patch(PathPatch(outline, facecolor=LAND, edgecolor=COAST, linewidth=0.35, zorder=1))


def great_circle(start: tuple[float, float], end: tuple[float, float], points: int = 40) -> np.ndarray[Any, Any]:
    """Return points along the shortest way between two places, longitudes running on without a jump.

    Parameters
    ----------
    start, end
        Latitude and longitude [decimal degrees].
    points
        How many (count).

    Returns
    -------
    line
        Rows of longitude and latitude [decimal degrees].

    Examples
    --------
    >>> great_circle((0.0, 170.0), (0.0, -170.0), 3)[:, 0].round(6).tolist()
    [170.0, 180.0, 190.0]
    """
    (lat1, lon1), (lat2, lon2) = np.radians(start), np.radians(end)
    a = np.array([np.cos(lat1) * np.cos(lon1), np.cos(lat1) * np.sin(lon1), np.sin(lat1)])
    b = np.array([np.cos(lat2) * np.cos(lon2), np.cos(lat2) * np.sin(lon2), np.sin(lat2)])
    angle = float(np.arccos(np.clip(a @ b, -1.0, 1.0)))
    share = np.linspace(0.0, 1.0, points)
    if angle < 1e-9 or angle > math.pi - 1e-6:  # the same place, or one exactly opposite: a straight line will do
        line = np.column_stack([np.linspace(lon1, lon2, points), np.linspace(lat1, lat2, points)])
        straight: np.ndarray[Any, Any] = np.degrees(line)
        return straight
    vectors = (np.outer(np.sin((1 - share) * angle), a) + np.outer(np.sin(share * angle), b)) / math.sin(angle)
    latitudes = np.arcsin(np.clip(vectors[:, 2], -1, 1))
    longitudes = np.unwrap(np.arctan2(vectors[:, 1], vectors[:, 0]))
    curved: np.ndarray[Any, Any] = np.degrees(np.column_stack([longitudes, latitudes]))
    return curved


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
    for part, basis, place, region in _legs(result):
        line = great_circle(place, region)
        projected = np.column_stack([line[:, 0], _y(line[:, 1])])
        copies = [projected + np.array([shift, 0.0]) for shift in (-360.0, 0.0, 360.0)]
        visible = [copy for copy in copies if copy[:, 0].max() >= window[0] and copy[:, 0].min() <= window[2]]
        ax.add_collection(
            LineCollection(
                cast("Any", visible),
                colors=PART_COLOURS[cast("Any", part)],
                linestyles=BASIS_LINES.get(basis, ":"),
                linewidths=1.5 if part == "agent" else 1.0,
                zorder=3 if part == "agent" else 2,
            ),
            autolim=False,
        )


def _draw_marks(ax: Axes, marks: list[_Mark], window: Box) -> None:
    for mark in sorted(marks, key=lambda mark: (mark.kind != "region", mark.kind == "chosen", -mark.size)):
        look = _KINDS[mark.kind]
        for x in _turns(mark.longitude, window):
            ax.plot(
                [x],
                [float(_y(mark.latitude))],
                marker=look["marker"],
                markersize=mark.size,
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


def _draw_labels(figure: Figure, ax: Axes, marks: list[_Mark], window: Box) -> None:
    """Write names where there is room; the table beside the map names them all."""
    figure.draw_without_rendering()  # fixes the scale, so that sizes in points can be compared with places on the map
    scale = 72.0 / figure.dpi
    to_points = ax.transData.transform
    ordered = sorted(marks, key=lambda mark: -mark.weight)[:_MOST_LABELS]
    shown = [(mark, x) for mark in ordered for x in _turns(mark.longitude, window)]
    obstacles: list[Box] = []
    for mark in marks:
        for x in _turns(mark.longitude, window):
            px, py = to_points((x, float(_y(mark.latitude)))) * scale
            half = mark.size * 0.42
            obstacles.append((px - half, py - half, px + half, py + half))
    wanted, texts = [], []
    for mark, x in shown:
        px, py = to_points((x, float(_y(mark.latitude)))) * scale
        text = ax.text(
            0,
            0,
            label(mark.name, 24),
            fontsize=FONT_SIZE if mark.kind in {"site", "chosen"} else FONT_SIZE - 1,
            color=INK if mark.kind in {"site", "chosen"} else QUIET,
            fontweight="bold" if mark.kind == "chosen" else "normal",
            ha="left",
            va="bottom",
            zorder=7,
            parse_math=False,
        )
        extent = text.get_window_extent()
        texts.append(text)
        wanted.append(
            Wanted(x=px, y=py, width=extent.width * scale + 5, height=extent.height * scale + 2, radius=mark.size / 2)
        )
    corner, far = ax.transAxes.transform((0, 0)) * scale, ax.transAxes.transform((1, 1)) * scale
    frame = (corner[0] + 2, corner[1] + 2, far[0] - 2, far[1] - 2)
    inverse = ax.transData.inverted().transform
    for item, text, box in zip(wanted, texts, place_labels(wanted, frame, obstacles), strict=True):
        if box is None:
            text.remove()
            continue
        text.set_position(tuple(inverse(((box[0] + 2) / scale, (box[1] + 1) / scale))))
        text.set_bbox({"facecolor": "#ffffff", "alpha": 0.72, "edgecolor": "none", "pad": 0.6})
        _draw_leader(ax, item, box, inverse, scale)


def _draw_leader(ax: Axes, item: Wanted, box: Box, inverse: Any, scale: float) -> None:
    """Join a label that had to move away with its mark by a thin line."""
    near_x, near_y = min(max(item.x, box[0]), box[2]), min(max(item.y, box[1]), box[3])
    if math.hypot(near_x - item.x, near_y - item.y) < item.radius + 7:
        return
    ends = inverse(np.array([[item.x / scale, item.y / scale], [near_x / scale, near_y / scale]]))
    ax.plot(ends[:, 0], ends[:, 1], color=QUIET, linewidth=0.5, zorder=3.5)
