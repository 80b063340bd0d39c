"""What the map of the Region panel shows: sites, callers, transfer targets, Regions, and the legs of an option."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from ccp_assess.client import Client
from ccp_assess.geo import world_outline
from ccp_assess.regions import Region, read_regions
from ccp_assess.report.budgets import option_of
from ccp_assess.report.figures.world import great_circle, miller_y
from ccp_assess.report.style import PART_COLOURS
from ccp_assess.report.words import clean, ms, plain
from ccp_assess.widgets.controls import WorldMap

_DASHES = {"measured": "", "modelled": "7 4", "assumed": "2 3"}
_MARGIN = 0.12
_LEAST_WIDE = 40.0
_SHAPE = 0.5  # height : width
_CHOSEN_COLOUR = "#111827"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """A map that begins at some longitude, so that what is shown lies together."""

    west: float

    def point(self, latitude: float, longitude: float) -> tuple[float, float]:
        x = self.west + (longitude - self.west) % 360.0
        return round(x, 2), round(-float(miller_y(latitude)), 2)

    def path(self, start: tuple[float, float], end: tuple[float, float]) -> str:
        """Return the shortest way as an SVG path that begins where the start is drawn."""
        line = great_circle(start, end)
        shift = self.point(*start)[0] - line[0, 0]
        xs, ys = line[:, 0] + shift, -miller_y(line[:, 1])
        if abs(xs[-1] - self.point(*end)[0]) > 1.0:  # it would leave the map on one side: draw it the other way too
            back = xs - 360.0 * np.sign(xs[-1] - self.point(*end)[0])
            return f"{_joined(xs, ys)}{_joined(back, ys)}"
        return _joined(xs, ys)


def _joined(xs: Any, ys: Any) -> str:
    return "M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in zip(xs, ys, strict=True))


@cache
def _land(west: float) -> str:
    """Return the outline of the countries, twice beside itself so that it covers a whole turn from the west."""
    parts = []
    for feature in world_outline()["features"]:
        geometry = feature["geometry"]
        polygons = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
        for polygon in polygons:
            ring = np.asarray(polygon[0], dtype=float)[:, :2]
            if ring[:, 1].max() < -60:  # nobody works in Antarctica
                continue
            ys = -miller_y(ring[:, 1])
            for shift in (-360.0, 0.0, 360.0):
                xs = ring[:, 0] + shift
                if xs.max() > west - 40 and xs.min() < west + 400:
                    parts.append("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in zip(xs, ys, strict=True)) + "z")
    return "".join(parts)


def new_map(client: Client, regions: Sequence[str]) -> WorldMap:
    """Make the map of a client: the land and the frame that shows all of its places.

    Parameters
    ----------
    client
        Whose places are to be seen.
    regions
        Regions that are to be seen too.

    Returns
    -------
    map
        Without marks and legs.
    """
    west = _west(client)
    frame, known = _Frame(west=west), read_regions()
    seen = [*_places(client), *((known[code].latitude, known[code].longitude) for code in regions if code in known)]
    return WorldMap(land=_land(west), view=_view([frame.point(*place) for place in seen]))


def show_option(shown: WorldMap, client: Client, ranking: dict[str, Any], regions: Sequence[str]) -> None:
    """Show an option on the map: its Regions as stars, and the leg of everybody to the Region that serves them.

    Parameters
    ----------
    shown
        The map of the client.
    client
        The client.
    ranking
        The document of ``regions rank``.
    regions
        The option.
    """
    frame, option = _Frame(west=_west(client)), option_of(ranking, list(regions))
    eligible = {
        code for option in ranking.get("options", []) if not option["excluded_by"] for code in option["regions"]
    }
    with shown.hold_sync():
        shown.marks = [*_region_marks(frame, eligible, regions), *_client_marks(frame, client, option)]
        shown.legs = list(_legs(frame, client, option))
        where = " and ".join(regions) or "no Region"
        shown.description = (
            f"Map of {len(client.sites)} sites, {len(client.callers)} caller origins, {len(client.transfers)} "
            f"transfer targets and Regions; shown with {where}."
        )


def _places(client: Client) -> list[tuple[float, float]]:
    groups: tuple[Sequence[Any], ...] = (client.sites, client.callers, client.transfers)
    return [(place.latitude, place.longitude) for group in groups for place in group]


def _west(client: Client) -> float:
    """Return where the map is cut: in the middle of the widest empty stretch of longitudes."""
    longitudes = sorted({longitude % 360.0 for _, longitude in _places(client)})
    if len(longitudes) < 2:
        return round(longitudes[0] - 180.0, 1) if longitudes else -180.0
    gaps = [
        (after - before, before)
        for before, after in zip(longitudes, [*longitudes[1:], longitudes[0] + 360], strict=True)
    ]
    wide, before = max(gaps)
    cut = (before + wide / 2) % 360.0
    return round(cut - 360.0 if cut > 180.0 else cut, 1)


def _view(points: Sequence[tuple[float, float]]) -> list[float]:
    xs, ys = [x for x, _ in points] or [0.0], [y for _, y in points] or [0.0]
    middle_x, middle_y = (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2
    wide = max((max(xs) - min(xs)) * (1 + 2 * _MARGIN), (max(ys) - min(ys)) * (1 + 2 * _MARGIN) / _SHAPE, _LEAST_WIDE)
    wide = min(wide, 360.0)
    return [round(value, 2) for value in (middle_x - wide / 2, middle_y - wide * _SHAPE / 2, wide, wide * _SHAPE)]


def _region_marks(frame: _Frame, eligible: set[str], chosen: Sequence[str]) -> Iterator[dict[str, Any]]:
    known: dict[str, Region] = dict(read_regions())
    for code in sorted(eligible | set(chosen)):
        if code not in known:
            continue
        region, is_chosen = known[code], code in chosen
        x, y = frame.point(region.latitude, region.longitude)
        yield {
            "key": code,
            "kind": "chosen" if is_chosen else "region",
            "x": x,
            "y": y,
            "r": 8 if is_chosen else 4,
            "colour": _CHOSEN_COLOUR if is_chosen else "#ffffff",
            "label": code if is_chosen else "",
            "text": f"Region {code}, {region.place}" + ("" if is_chosen else ": press to see everybody's legs to it"),
        }


def _client_marks(frame: _Frame, client: Client, option: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    agents = {row["site_id"]: row for row in (option or {}).get("by_site", [])}
    most = max((site.agents for site in client.sites), default=1) or 1
    for site in client.sites:
        row = agents.get(site.site_id, {})
        x, y = frame.point(site.latitude, site.longitude)
        name = clean(site.name or site.site_id, 60)
        yield {
            "key": f"site {site.site_id}",
            "kind": "site",
            "x": x,
            "y": y,
            "r": round(4 + 6 * math.sqrt(max(site.agents, 0) / most), 1),
            "colour": PART_COLOURS["agent"],
            "label": clean(site.name or site.site_id, 22),
            "text": f"Site {name}: {site.agents} agents, {_leg_words(row, 'agent_leg_ms')}",
        }
    callers = {row["origin_id"]: row for row in (option or {}).get("by_caller_origin", [])}
    for origin in client.callers:
        x, y = frame.point(origin.latitude, origin.longitude)
        row = callers.get(origin.origin_id, {})
        yield {
            "key": f"caller {origin.origin_id}",
            "kind": "caller",
            "x": x,
            "y": y,
            "r": 6,
            "colour": PART_COLOURS["caller"],
            "label": "",
            "text": f"Callers {clean(origin.origin_id, 60)}: {plain(origin.call_share_pct)} % of calls, "
            f"{_leg_words(row, 'caller_leg_ms')}",
        }
    targets = {row["target_id"]: row for row in (option or {}).get("by_transfer", [])}
    for target in client.transfers:
        x, y = frame.point(target.latitude, target.longitude)
        row = targets.get(target.target_id, {})
        yield {
            "key": f"transfer {target.target_id}",
            "kind": "transfer",
            "x": x,
            "y": y,
            "r": 5,
            "colour": PART_COLOURS["transfer"],
            "label": "",
            "text": f"Transfers to {clean(target.target_id, 60)}: {plain(target.share_of_calls_pct)} % of calls, "
            f"{_leg_words(row, 'leg_ms')}",
        }


def _leg_words(row: dict[str, Any], key: str) -> str:
    if row.get(key) is None:
        return "leg unknown"
    where = f" to {row['region_code']}" if row.get("region_code") else ""
    return f"{ms(row[key])} one way{where} ({row.get('basis') or 'assumed'})"


def _legs(frame: _Frame, client: Client, option: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    if option is None:
        return
    known = read_regions()
    parts: tuple[tuple[Any, str, str, str, str], ...] = (
        ("agent", "by_site", "site_id", "agent_leg_ms", "sites"),
        ("caller", "by_caller_origin", "origin_id", "caller_leg_ms", "callers"),
        ("transfer", "by_transfer", "target_id", "leg_ms", "transfers"),
    )
    for part, table, identifier, value, records in parts:
        places = {getattr(one, identifier): (one.latitude, one.longitude) for one in getattr(client, records)}
        for row in option[table]:
            region, place = known.get(row.get("region_code") or option["regions"][0]), places.get(row[identifier])
            if region is None or place is None:
                continue
            yield {
                "d": frame.path(place, (region.latitude, region.longitude)),
                "colour": PART_COLOURS[part],
                "width": 2.2 if part == "agent" else 1.4,
                "dash": _DASHES.get(row.get("basis") or "assumed", _DASHES["assumed"]),
                "text": f"{clean(row[identifier], 60)}: {_leg_words(row, value)}",
            }
