"""The call panel: one call over time, or two side by side; setup phases, loss, jitter, round trips, findings.

Every control is an ordinary widget::

    panel = show_call_panel(assess_captures(["call.pcap"]))
    panel.start.value, panel.end.value = 10.0, 20.0

Brushing over the picture zooms; the two numbers below it do the same by keyboard.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import ipywidgets

from ccp_assess.report.figures import draw_call_timeline
from ccp_assess.report.figures.calls import CallSeries, call_series
from ccp_assess.report.style import CRITICAL, INK, PART_COLOURS, QUIET, RULE, inline_svg
from ccp_assess.report.words import clean, known, minute, ms, number, pct
from ccp_assess.widgets.controls import Timeline
from ccp_assess.widgets.panel import LABEL, LINE, Panel, button, panel_box, row, said_html

NOBODY = "no second call"
_PHASES = (("dns", "DNS"), ("allocate", "Allocate"), ("ice", "ICE"), ("dtls", "DTLS"), ("first_media", "First media"))
_CELL = f"padding:2px 10px 2px 0;border-bottom:1px solid {RULE};text-align:left;vertical-align:top;color:{INK}"
_SEVERITIES = {"critical": "!!", "warning": "!", "info": "i"}
_LONGEST_PHASE_PX = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """A call to choose: its words in the list, and what happened during it."""

    words: str
    series: CallSeries


class CallPanel(Panel):
    """Calls over time.

    Parameters
    ----------
    calls
        Words for the list, and what happened during each call.

    Attributes
    ----------
    first, second
        Lists: which call, and which one beside it.
    start, end
        Numbers: the span that is shown [s].
    whole
        Button: the whole call again.
    timeline
        The picture; its ``span`` follows the brush.
    setup, findings
        Setup phases and findings of the calls that are shown.
    """

    def __init__(self, calls: Sequence[tuple[str, CallSeries]]) -> None:
        self._calls = [_Told(words=words, series=series) for words, series in calls]
        self._is_setting = False
        choices = [(told.words, index) for index, told in enumerate(self._calls)]
        wide = ipywidgets.Layout(width="560px", max_width="100%")
        self.first = ipywidgets.Dropdown(options=choices, description="Call", style=LABEL, layout=wide)
        self.second = ipywidgets.Dropdown(
            options=[(NOBODY, -1), *choices], description="Beside it", style=LABEL, layout=wide
        )
        narrow = ipywidgets.Layout(width="230px")
        self.start = ipywidgets.BoundedFloatText(description="From second", style=LABEL, layout=narrow, step=1.0)
        self.end = ipywidgets.BoundedFloatText(description="to second", style=LABEL, layout=narrow, step=1.0)
        self.whole = button("Show the whole call")
        self.setup, self.findings, self.said = ipywidgets.HTML(), ipywidgets.HTML(), ipywidgets.HTML()
        self.timeline = Timeline()
        parts: list[ipywidgets.Widget] = [self.first, self.second, self.setup]
        if self._calls:
            parts += [self.timeline, row(self.start, self.end, self.whole)]
        self.box = panel_box("call", "Calls over time", [*parts, self.said, self.findings])
        self._show()
        self.first.observe(self._on_call, names="value")
        self.second.observe(self._on_call, names="value")
        self.start.observe(self._on_span, names="value")
        self.end.observe(self._on_span, names="value")
        self.timeline.observe(self._on_brush, names="span")
        self.whole.on_click(self._on_whole)

    @property
    def shown(self) -> tuple[CallSeries, ...]:
        """The calls that are shown."""
        indices = [index for index in (self.first.value, self.second.value) if index is not None and index >= 0]
        return tuple(self._calls[index].series for index in dict.fromkeys(indices))

    @property
    def span(self) -> tuple[float, float]:
        """The part of the calls that is shown [s]."""
        low, high = self.timeline.span
        return low, high

    def static_html(self) -> str:
        """Return what is shown as plain HTML, for where widgets do not work.

        Returns
        -------
        html
            A picture of each call, its setup and its findings.
        """
        pictures = "".join(
            inline_svg(
                draw_call_timeline(series)[0],
                key=f"call-{number_shown}-{clean(series.call['call_id'], 16)}",
                title="Call over time",
                description="Loss, jitter and round trips on one clock.",
            )
            for number_shown, series in enumerate(self.shown)
        )
        return f"<div>{self.said.value}{self.setup.value}{pictures}{self.findings.value}</div>"

    def _plain_text(self) -> str:
        return f"{len(self._calls)} calls"

    def _on_call(self, _change: object) -> None:
        self._show()

    def _show(self) -> None:
        if not self._calls:
            self.said.value = said_html("No calls were found; the findings of the capture say why.")
            return
        shown = self.shown
        length = max(_length(series) for series in shown)
        self.setup.value = setup_html(shown)
        self.findings.value = findings_html(shown)
        with self.timeline.hold_sync():
            self.timeline.length = length
            self.timeline.columns = _columns(shown)
            self.timeline.span = [0.0, length]
        self._follow()

    def _on_span(self, _change: object) -> None:
        if not self._is_setting and self.end.value > self.start.value:
            self.timeline.span = [self.start.value, self.end.value]

    def _on_brush(self, _change: object) -> None:
        self._follow()

    def _follow(self) -> None:
        """Show in the numbers what the brush has chosen."""
        low, high = self.timeline.span
        self._is_setting = True
        self.start.max = self.end.max = round(self.timeline.length, 1)
        self.start.value, self.end.value = round(low, 1), round(high, 1)
        self._is_setting = False

    def _on_whole(self, _button: object) -> None:
        self.timeline.span = [0.0, self.timeline.length]


def show_call_panel(source: Any) -> CallPanel:
    """Make the call panel.

    Parameters
    ----------
    source
        The assessment of a client, of a capture, or several of captures.

    Returns
    -------
    panel
        Named in the last line of a cell, it shows itself.
    """
    return CallPanel(list(_calls_of(source)))


def _calls_of(source: Any) -> Iterator[tuple[str, CallSeries]]:
    if hasattr(source, "measurements"):  # of a client
        for entry in source.captures:
            for call in entry["document"]["calls"]:
                where = f"{entry['site_id'] or 'site unknown'}, {entry['file']}"
                yield _words(call, where), call_series(entry["document"], call, entry.get("seconds"))
        return
    for capture in source if isinstance(source, Sequence) else (source,):
        document, seconds = capture.to_document(), capture.rows("seconds")
        files = ", ".join(str(row["path"]).rpartition("/")[2] for row in document["captures"])
        for call in document["calls"]:
            yield _words(call, files), call_series(document, call, seconds)


def _words(call: dict[str, Any], where: str) -> str:
    quality = call["in"].get("mos_cqe")
    told = f"MOS {quality:.1f}" if known(quality) else "MOS unknown"
    return clean(f"{minute(call['start_time'])}  {told}  {where}", 110)


def _length(series: CallSeries) -> float:
    last = [at for at, *_ in (*series.loss, *series.media_rtt, *series.gaps_out)]
    return max(series.duration_s or 0.0, *last, 1.0) if last else max(series.duration_s or 0.0, 1.0)


def _columns(shown: Sequence[CallSeries]) -> list[dict[str, Any]]:
    """Return the calls as a timeline shows them, a column each, on one clock and one scale."""
    told = [_rows(series) for series in shown]
    for alike in zip(*told, strict=True):
        top = max((value for one in alike for series in one["series"] for _, value in series["points"]), default=0.0)
        for one in alike:
            one["top"] = max(one["top"], 1.1 * top)
    return [
        {
            "title": f"Call of {minute(series.call['start_time'])}.",
            "rows": rows,
            "moments": [{"at": at, "text": words} for at, words in series.moments],
        }
        for series, rows in zip(shown, told, strict=True)
    ]


def _rows(series: CallSeries) -> list[dict[str, Any]]:
    blue, orange, purple = PART_COLOURS["agent"], PART_COLOURS["caller"], PART_COLOURS["transfer"]
    loss = [(at, 100 * lost / expected if expected else 0.0) for at, expected, lost in series.loss]
    return [
        _row("Loss towards the agent [%]", "%", 5.0, _series("loss", "bars", CRITICAL, loss)),
        _row("Jitter towards the agent [ms]", "ms", 10.0, _series("jitter", "steps", orange, series.jitter)),
        _row(
            "Longest time between two packets of the workstation [ms]",
            "ms",
            100.0,
            _series("gap out", "steps", purple, series.gaps_out, dash="4 2"),
        ),
        _row(
            "Round trip to the media server (dots) and to the relay (triangles) [ms]",
            "ms",
            20.0,
            _series("media server", "lines", blue, series.media_rtt, marker="dot"),
            _series("relay", "points", INK, series.relay_rtt, marker="triangle"),
        ),
    ]


def _row(label: str, unit: str, top: float, *series: dict[str, Any]) -> dict[str, Any]:
    return {"label": label, "unit": unit, "top": top, "empty": "unknown", "series": list(series)}


def _series(
    name: str, kind: str, colour: str, points: Sequence[tuple[float, float]], *, dash: str = "", marker: str = ""
) -> dict[str, Any]:
    told = [[at, value] for at, value in points]
    return {"name": name, "kind": kind, "colour": colour, "dash": dash, "marker": marker, "points": told}


def setup_html(shown: Sequence[CallSeries]) -> str:
    """Return how long each phase of the setup took, a row for each call.

    Parameters
    ----------
    shown
        The calls.

    Returns
    -------
    html
        A table with bars.
    """
    longest = max(
        (value for series in shown for key, _ in _PHASES if known(value := series.call["setup_ms"].get(key))),
        default=1.0,
    )
    heads = "".join(
        f"<th scope='col' style='{_CELL}'>{words}</th>"
        for words in ("Call", *(words for _, words in _PHASES), "Loss in", "Jitter in", "Round trip", "MOS in")
    )
    rows = "".join(_setup_row(series, longest) for series in shown)
    return (
        "<div style='overflow-x:auto'><table class='ccp-setup' style='border-collapse:collapse;font-size:13px'>"
        f"<caption style='text-align:left;color:{QUIET}'>Setup phases, and the call in numbers</caption>"
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _setup_row(series: CallSeries, longest: float) -> str:
    call = series.call
    phases = ""
    for key, _ in _PHASES:
        value = call["setup_ms"].get(key)
        width = round(_LONGEST_PHASE_PX / 3 * value / max(longest, 1e-9)) if known(value) else 0
        bar = (
            f"<span aria-hidden='true' style='display:block;height:5px;width:{width}px;"
            f"background:{PART_COLOURS['agent']}'></span>"
        )
        phases += f"<td style='{_CELL}'>{bar}{ms(value)}</td>"
    inbound = call["in"]
    told = (
        pct(inbound.get("loss_pct"), 1),
        ms(inbound.get("jitter_ms"), 1),
        ms(call["rtt_media_ms"].get("p50"), 1),
        number(inbound.get("mos_cqe"), 2),
    )
    cells = "".join(f"<td style='{_CELL}'>{words}</td>" for words in told)
    return f"<tr><td style='{_CELL}'>{escape(minute(call['start_time']))}</td>{phases}{cells}</tr>"


def findings_html(shown: Sequence[CallSeries]) -> str:
    """Return the findings of calls, each with its moment where it has one.

    Parameters
    ----------
    shown
        The calls.

    Returns
    -------
    html
        Lists; gravest first.
    """
    parts = []
    for series in shown:
        moments = {words: at for at, words in series.moments}
        items = ""
        for finding in series.call.get("findings") or []:
            at = moments.get(str(finding["code"]).replace("_", " ").lower())
            when = "" if at is None else f" <strong>at {at:.1f} s</strong>"
            colour = CRITICAL if finding["severity"] == "critical" else INK
            sign = _SEVERITIES.get(finding["severity"], "i")
            items += (
                f"<li style='color:{colour}'>[{sign} {escape(str(finding['severity']))}]{when} "
                f"{escape(clean(finding['text'], 500))}</li>"
            )
        parts.append(f"<ul class='ccp-findings' style='{LINE}'>{items or '<li>Nothing was found wrong.</li>'}</ul>")
    return "".join(parts)
