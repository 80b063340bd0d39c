"""How quality falls with delay and loss, by the E-model, and where the calls of a capture lie in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ccp_assess.quality.emodel import rate
from ccp_assess.report.style import FONT_SIZE, INK, PART_COLOURS, QUIET, axes_for, bare, label, tint
from ccp_assess.report.words import known

_DELAYS_MS = tuple(range(0, 601, 15))
_LOSSES_PCT = (0.0, 1.0, 2.0, 5.0, 10.0)


def draw_quality(
    calls: Sequence[dict[str, Any]] = (),
    ax: Axes | None = None,
    *,
    codec: str = "opus+g711",
    losses_pct: Sequence[float] = _LOSSES_PCT,
) -> tuple[Figure, Axes]:
    """Draw MOS against mouth-to-ear delay, a curve for each loss, and calls as points.

    Parameters
    ----------
    calls
        Calls of the contract; those whose delay and MOS towards the agent are known are drawn.
    ax
        Axes to draw on; a new picture without.
    codec
        A row of ``codecs.csv`` or a tandem.
    losses_pct
        Which curves [%].

    Returns
    -------
    figure, axes
        The picture.
    """
    figure, ax = axes_for(ax, 7.2, 3.1)
    for index, loss_pct in enumerate(losses_pct):
        curve = [rate(float(delay), loss_pct, codec=codec).mos_cqe for delay in _DELAYS_MS]
        share = 1.0 - 0.62 * index / max(len(losses_pct) - 1, 1)
        ax.plot(_DELAYS_MS, curve, color=tint(PART_COLOURS["agent"], share), linewidth=1.8, zorder=2)
        ax.text(604, curve[-1], f"{loss_pct:g} % loss", fontsize=FONT_SIZE, color=INK, va="center")
    for call in calls:
        inbound = call["in"]
        if known(inbound.get("mos_cqe")) and known(inbound.get("delay_ms")):
            ax.plot(
                [inbound["delay_ms"]],
                [inbound["mos_cqe"]],
                marker="o",
                markersize=7,
                color=PART_COLOURS["caller"],
                markeredgecolor=INK,
                zorder=4,
            )
            ax.annotate(
                label(call.get("site_id") or call["call_id"], 16),
                (inbound["delay_ms"], inbound["mos_cqe"]),
                xytext=(6, -9),
                textcoords="offset points",
                fontsize=FONT_SIZE - 0.5,
                color=INK,
                zorder=5,
            )
    for limit in (150, 400):
        ax.axvline(limit, color=QUIET, linewidth=0.9, linestyle=":", zorder=1)
        ax.text(limit, 1.08, f" {limit} ms", fontsize=FONT_SIZE - 1, color=QUIET)
    ax.set_xlim(0, 690)
    ax.set_ylim(1.0, 4.6)
    ax.set_xticks(range(0, 601, 100))
    ax.set_xlabel("Mouth-to-ear delay, one way [ms]", fontsize=FONT_SIZE, color=INK)
    ax.set_ylabel("MOS-CQE", fontsize=FONT_SIZE, color=INK)
    bare(ax, grid="y")
    return figure, ax
