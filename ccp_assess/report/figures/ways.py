"""Who talks to what: the ports that the rules open, and the way of the voice for each kind of access."""

from __future__ import annotations

import textwrap
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from ccp_assess.report.style import FONT_SIZE, INK, PAPER, PART_COLOURS, QUIET, axes_for, label, tint

_STATIONS: dict[str, tuple[str, ...]] = {
    "office": ("Workstation", "Office LAN", "Firewall", "Internet", "Relay and media server"),
    "home": ("Workstation", "Home router", "Internet", "Relay and media server"),
    "vpn": ("Workstation", "VPN tunnel", "Concentrator", "Firewall", "Internet", "Relay and media server"),
    "vdi": ("Thin client", "Display protocol", "Virtual desktop", "Firewall", "Internet", "Relay and media server"),
    "direct_connect": ("Workstation", "Office LAN", "Firewall", "Direct Connect", "Relay and media server"),
}
_WORDS = {
    "office": "Office",
    "home": "At home",
    "vpn": "Through a VPN",
    "vdi": "Virtual desktop",
    "direct_connect": "Direct Connect",
}


def _box(ax: Axes, place: tuple[float, float, float, float], words: str, colour: str) -> None:
    x, y, width, height = place
    ax.add_patch(
        FancyBboxPatch(
            (x, y - height / 2),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.6",
            facecolor=tint(colour, 0.14),
            edgecolor=colour,
            linewidth=1.0,
            zorder=2,
        )
    )
    ax.text(x + width / 2, y, words, ha="center", va="center", fontsize=FONT_SIZE - 0.5, color=INK, zorder=3)


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], *, both: bool = False) -> None:
    ax.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="<|-|>" if both else "-|>", mutation_scale=8, color=QUIET, linewidth=1.1, zorder=1.5
        )
    )


def draw_ports(result: Any, ax: Axes | None = None) -> tuple[Figure, Axes]:
    """Draw which ports the rules open from the workstations, and what for.

    Parameters
    ----------
    result
        The document of ``allowlist build``, or an assessment with ``allowlist``.
    ax
        Axes to draw on; a new picture without.

    Returns
    -------
    figure, axes
        The picture.
    """
    rules = (result if isinstance(result, dict) else getattr(result, "allowlist", None) or {}).get("rules", [])
    ports: dict[tuple[str, str, str], dict[str, None]] = {}
    for rule in rules:
        key = (str(rule["port"]), str(rule["transport"]), str(rule["direction"]))
        ports.setdefault(key, {})[label(rule["purpose"], 60)] = None
    blocks = [(key, textwrap.wrap("; ".join(purposes), 48) or [""]) for key, purposes in ports.items()]
    heights = [2.2 + 1.9 * len(lines) for _, lines in blocks]
    total = max(sum(heights) + 1.6 * max(len(blocks) - 1, 0), 8.0)
    figure, ax = axes_for(ax, 7.2, 0.3 + total * 0.088)
    _box(ax, (0, total / 2, 17, min(total, 9.0)), "Workstations\nof the agents", PART_COLOURS["agent"])
    _box(ax, (28, total / 2, 12, min(total, 9.0)), "Firewall", PART_COLOURS["handling"])
    _arrow(ax, (17, total / 2), (28, total / 2), both=True)
    top = total
    for ((port, transport, direction), lines), height in zip(blocks, heights, strict=True):
        y = top - height / 2
        colour = PART_COLOURS["caller" if transport == "udp" else "agent"]
        _box(ax, (64, y, 48, height), "\n".join(lines), colour)
        _arrow(ax, (40, total / 2), (64, y), both=True)
        ax.text(
            62.6,
            y,
            f"{transport.upper()} {port}\n{direction}",
            ha="right",
            va="center",
            fontsize=FONT_SIZE,
            color=INK,
            fontweight="bold",
            zorder=4,
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1.0},
        )
        top -= height + 1.6
    ax.set_xlim(-1, 113)
    ax.set_ylim(-1, total + 1)
    ax.axis("off")
    return figure, ax


def draw_access(result: Any, ax: Axes | None = None) -> tuple[Figure, Axes]:
    """Draw the way of the voice from the agent to the relay, one row for each kind of access that the client has.

    Parameters
    ----------
    result
        An assessment, or anything with ``client``.
    ax
        Axes to draw on; a new picture without.

    Returns
    -------
    figure, axes
        The picture.
    """
    kinds: dict[str, int] = {}
    for site in result.client.sites:
        kinds[site.access] = kinds.get(site.access, 0) + site.agents
    shown = [kind for kind in _STATIONS if kind in kinds]
    figure, ax = axes_for(ax, 7.2, 0.25 + 0.52 * max(len(shown), 1))
    for row, kind in enumerate(shown):
        stations = _STATIONS[kind]
        y = -row * 6.0
        ax.text(0, y, f"{_WORDS[kind]}\n{kinds[kind]} agents", ha="left", va="center", fontsize=FONT_SIZE, color=INK)
        width = (94.0 - 2.2 * (len(stations) - 1)) / len(stations)
        for index, station in enumerate(stations):
            x = 18 + index * (width + 2.2)
            last = index == len(stations) - 1
            colour = PART_COLOURS["agent" if index == 0 or last else "handling"]
            _box(ax, (x, y, width, 4.2), "\n".join(textwrap.wrap(station, 12)), colour)
            if index:
                _arrow(ax, (x - 2.2, y), (x, y))
    ax.set_xlim(-1, 113)
    ax.set_ylim(-6.0 * max(len(shown) - 1, 0) - 3, 3)
    ax.axis("off")
    return figure, ax
