"""One call over time: setup phases, loss, jitter and round trips on one clock, findings at their moment."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ccp_assess.report.style import CRITICAL, FONT_SIZE, INK, PART_COLOURS, QUIET, axes_for, bare, label, tint
from ccp_assess.report.words import known

_STALL_MS = 100.0  # five packets late: short of it a sender is merely uneven


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSeries:
    """What happened during one call, on a clock that starts with it.

    Parameters
    ----------
    call
        The row of the contract's ``calls``.
    loss
        Offset, packets expected and packets lost of each second towards the agent [s, count, count].
    jitter
        Offset and jitter of each second towards the agent [s, ms].
    gaps_out
        Offset and longest time between two packets of the workstation in each second [s, ms].
    moments
        Offset and short name of findings that have a time [s].
    media_rtt, relay_rtt
        Offset and round-trip time of each answered request [s, ms].
    duration_s
        Length of the call; ``None`` if its end is unknown [s].
    """

    call: dict[str, Any]
    loss: tuple[tuple[float, int, int], ...]
    jitter: tuple[tuple[float, float], ...]
    gaps_out: tuple[tuple[float, float], ...]
    moments: tuple[tuple[float, str], ...]
    media_rtt: tuple[tuple[float, float], ...]
    relay_rtt: tuple[tuple[float, float], ...]
    duration_s: float | None


def seconds_since(start: str | None, instant: str | None) -> float | None:
    """Return the time from one instant to another.

    Parameters
    ----------
    start, instant
        RFC 3339 instants.

    Returns
    -------
    offset_s
        ``None`` where one of them is unknown or unreadable [s].

    Examples
    --------
    >>> seconds_since("2026-11-22T23:06:38.5Z", "2026-11-22T23:06:40.000000001Z")
    1.500000001
    """
    try:
        first, second = _split(start), _split(instant)
    except (TypeError, ValueError):
        return None
    return (second[0] - first[0]).total_seconds() + (second[1] - first[1]) / 1e9


def _split(instant: str | None) -> tuple[datetime, int]:
    """Whole seconds and nanoseconds: nanoseconds of a date would not survive a float."""
    if instant is None:
        raise ValueError("no instant")
    base, _, fraction = instant.rstrip("Z").partition(".")
    return datetime.fromisoformat(base), int((fraction + "000000000")[:9])


def call_series(document: dict[str, Any], call: dict[str, Any], seconds: Any = None) -> CallSeries:
    """Collect what a capture document says of one call, second by second.

    Parameters
    ----------
    document
        The document of ``capture read``.
    call
        One of its calls.
    seconds
        The one-second series, a row per stream and second (rows or a data frame); those of the document under
        ``seconds`` if ``None``.

    Returns
    -------
    series
        With empty series where there are none.
    """
    start, end = call.get("start_time"), call.get("end_time")
    duration = seconds_since(start, end)
    loss: dict[int, list[int]] = {}
    jitter: dict[int, float] = {}
    gaps: dict[int, float] = {}
    for row in _rows(document.get("seconds") if seconds is None else seconds):
        at = seconds_since(start, row.get("time"))
        if row.get("call_id") != call["call_id"] or at is None:
            continue
        second = math.floor(at + 0.5)  # whole seconds of the wall clock, set beside those of the call
        if row.get("direction") == "out" and known(row.get("longest_gap_ms")):
            gaps[second] = max(gaps.get(second, 0.0), float(row["longest_gap_ms"]))
        if row.get("direction") != "in":
            continue
        counts = loss.setdefault(second, [0, 0])
        lost = max(int(row.get("lost") or 0), 0)
        counts[0] += int(row.get("packets") or 0) + lost
        counts[1] += lost
        if known(row.get("jitter_ms")):
            jitter[second] = max(jitter.get(second, 0.0), float(row["jitter_ms"]))
    media_rtt, relay_rtt = _round_trips(document, call, duration)
    return CallSeries(
        call=call,
        loss=tuple((float(at), counts[0], counts[1]) for at, counts in sorted(loss.items())),
        jitter=tuple((float(at), value) for at, value in sorted(jitter.items())),
        gaps_out=tuple((float(at), value) for at, value in sorted(gaps.items())),
        moments=tuple(_moments(call)),
        media_rtt=media_rtt,
        relay_rtt=relay_rtt,
        duration_s=duration,
    )


def _moments(call: dict[str, Any]) -> Iterator[tuple[float, str]]:
    """Yield when a finding of the call was seen first, where it says so."""
    for finding in call.get("findings") or []:
        evidence = finding.get("evidence") or {}
        at = seconds_since(call.get("start_time"), evidence.get("first_time") or evidence.get("time"))
        if at is not None:
            yield at, str(finding["code"]).replace("_", " ").lower()


Trips = tuple[tuple[float, float], ...]


def _round_trips(document: dict[str, Any], call: dict[str, Any], duration: float | None) -> tuple[Trips, Trips]:
    """Return the answered requests of the call's own workstation: through the relay, and of the relay."""
    relay, agent = (call.get("relay") or {}).get("address"), call.get("agent")
    media: list[tuple[float, float]] = []
    near: list[tuple[float, float]] = []
    for row in document.get("transactions") or []:
        at = seconds_since(call.get("start_time"), row.get("time"))
        ours = row["src"] == agent if agent else row["src"] != relay
        if row.get("rtt_ms") is None or at is None or not ours or relay not in {row["dst"], None}:
            continue
        if agent and call.get("agent_port") not in {None, row["src_port"]}:
            continue
        if -30 <= at <= (duration or 0) + 1:
            (media if row["inside_relay"] else near).append((at, float(row["rtt_ms"])))
    return tuple(media), tuple(near)


def _rows(seconds: Any) -> list[dict[str, Any]]:
    if hasattr(seconds, "to_dict"):
        return list(seconds.to_dict("records"))
    return list(seconds or [])


def draw_call_timeline(result: Any, ax: Axes | None = None, *, call_id: str | None = None) -> tuple[Figure, Axes]:
    """Draw one call: loss, jitter and round trips, each second, on one clock.

    Parameters
    ----------
    result
        A :class:`CallSeries`, or the document of ``capture read`` (or what has ``to_document()``).
    ax
        Axes to draw within; a new picture without.
    call_id
        Which call of a document; the first if ``None``.

    Returns
    -------
    figure, axes
        The picture; the axes hold three smaller ones.
    """
    series = _series_of(result, call_id)
    rows = [_draw_loss, _draw_jitter, _draw_round_trips]
    if max((gap for _, gap in series.gaps_out), default=0.0) > _STALL_MS:
        rows.insert(2, _draw_gaps)
    if ax is None:
        height = 0.55 + 0.66 * len(rows)
        figure, ax = axes_for(None, 7.2, height)
        figure.set_layout_engine("none")
        ax.set_position((0.06, 0.40 / height, 0.93, 1 - 0.43 / height))
    else:
        figure, ax = axes_for(ax)
    ax.axis("off")
    last = [at for at, *_ in (*series.loss, *series.media_rtt)]
    length = max(series.duration_s or 0.0, *last, 1.0) if last else max(series.duration_s or 0.0, 1.0)
    heading = 0.36 / len(rows)
    high = 1 / len(rows) - heading
    for index, draw in enumerate(rows):
        small = ax.inset_axes((0.0, 1.0 - (index + 1) * (high + heading), 1.0, high))
        bare(small, grid="y")
        small.set_xlim(min(0.0, -0.02 * length), length * 1.01)
        small.tick_params(labelsize=FONT_SIZE - 1)
        if draw(small, series):
            small.yaxis.set_major_locator(_few())
        for at, _ in series.moments:
            small.axvline(at, color=CRITICAL, linewidth=0.8, linestyle=(0, (1, 1)), zorder=1)
        if index < len(rows) - 1:
            small.set_xticklabels([])
        else:
            small.set_xlabel("Seconds since the call began", fontsize=FONT_SIZE - 0.5, color=INK)
        if index == 0:
            _name_moments(small, series, length)
    return figure, ax


def _name_moments(small: Axes, series: CallSeries, length: float) -> None:
    """Write what happened at a moment above its line, if it does not run into the heading."""
    for at, words in series.moments[:2]:
        right = at > 0.75 * length
        if at > 0.36 * length:
            small.text(
                at,
                1.06,
                f"{words} " if right else f" {words}",
                transform=small.get_xaxis_transform(),
                fontsize=FONT_SIZE - 1,
                color=CRITICAL,
                ha="right" if right else "left",
                va="bottom",
            )


def _few() -> MaxNLocator:
    return MaxNLocator(nbins=2, min_n_ticks=2)


def _series_of(result: Any, call_id: str | None) -> CallSeries:
    if isinstance(result, CallSeries):
        return result
    document = result if isinstance(result, dict) else result.to_document()
    seconds = result.to_frame("seconds") if hasattr(result, "to_frame") else None
    calls = document["calls"]
    call = next((call for call in calls if call_id in {None, call["call_id"]}), None)
    if call is None:
        raise KeyError(f"the capture holds no call {label(call_id)!r}")
    return call_series(document, call, seconds)


def _name(small: Axes, words: str) -> None:
    small.text(0.0, 1.06, words, transform=small.transAxes, fontsize=FONT_SIZE - 0.5, color=INK, ha="left", va="bottom")


def _absent(small: Axes, words: str) -> bool:
    small.set_yticks([])
    small.text(
        0.5,
        0.45,
        words,
        transform=small.transAxes,
        fontsize=FONT_SIZE - 0.5,
        color=QUIET,
        ha="center",
        va="center",
        style="italic",
    )
    return False


def _silences(series: CallSeries) -> list[tuple[float, float]]:
    """Return spans of two seconds or more, after the first packet and within the call, in which nothing arrived."""
    heard = [at for at, expected, lost in series.loss if expected > lost]
    if not heard:
        return []
    edges = [*heard, math.floor(series.duration_s)] if series.duration_s else heard
    return [(first + 1, second) for first, second in itertools.pairwise(edges) if second - first - 1 >= 2]


def _draw_loss(small: Axes, series: CallSeries) -> bool:
    _name(small, "Loss towards the agent, each second [%]")
    if not series.loss:
        return _absent(small, "unknown: no one-second series")
    for start, end in _silences(series):
        small.axvspan(
            start, end, facecolor=tint(CRITICAL, 0.14), edgecolor=CRITICAL, linewidth=0.6, linestyle=":", zorder=1
        )
        if end - start > 0.08 * (series.duration_s or end):
            small.text(
                (start + end) / 2,
                0.5,
                "nothing arrived",
                transform=small.get_xaxis_transform(),
                fontsize=FONT_SIZE - 1,
                color=CRITICAL,
                ha="center",
                va="center",
            )
    shares = [100 * lost / expected if expected else 0.0 for _, expected, lost in series.loss]
    small.bar([at for at, *_ in series.loss], shares, width=1.0, align="edge", color=CRITICAL, zorder=2)
    small.set_ylim(0, max(5.0, max(shares) * 1.15))
    return True


def _draw_jitter(small: Axes, series: CallSeries) -> bool:
    _name(small, "Jitter towards the agent, RFC 3550 [ms]")
    if not series.jitter:
        return _absent(small, "unknown")
    small.plot(
        [at for at, _ in series.jitter],
        [value for _, value in series.jitter],
        color=PART_COLOURS["caller"],
        linewidth=1.6,
        zorder=2,
        drawstyle="steps-post",
    )
    small.set_ylim(0, max(10.0, 1.15 * max(value for _, value in series.jitter)))
    return True


def _draw_gaps(small: Axes, series: CallSeries) -> bool:
    _name(small, "Longest time between two packets of the workstation [ms]")
    small.plot(
        [at for at, _ in series.gaps_out],
        [value for _, value in series.gaps_out],
        color=PART_COLOURS["transfer"],
        linewidth=1.6,
        zorder=2,
        drawstyle="steps-post",
    )
    small.set_ylim(0, 1.15 * max(value for _, value in series.gaps_out))
    return True


def _draw_round_trips(small: Axes, series: CallSeries) -> bool:
    _name(small, "Round trip to the media server (●) and to the relay (△) [ms]")
    if not series.media_rtt and not series.relay_rtt:
        return _absent(small, "unknown: no answered STUN request")
    small.plot(
        [at for at, _ in series.media_rtt],
        [rtt for _, rtt in series.media_rtt],
        marker="o",
        markersize=3.5,
        linewidth=1.0,
        color=PART_COLOURS["agent"],
        zorder=3,
    )
    small.plot(
        [at for at, _ in series.relay_rtt],
        [rtt for _, rtt in series.relay_rtt],
        marker="^",
        markersize=4,
        linestyle="none",
        markerfacecolor="none",
        markeredgecolor=INK,
        markeredgewidth=0.8,
        zorder=3,
    )
    top = max(rtt for _, rtt in (*series.media_rtt, *series.relay_rtt))
    small.set_ylim(0, max(20.0, top * 1.15))
    return True
