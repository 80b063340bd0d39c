"""The capture panel: record a test call on this workstation, watch it come, and read it as soon as it ends.

Every control is an ordinary widget::

    panel = show_capture_panel("../data/clients/acme")
    panel.regions.value = ("eu-west-2",)
    panel.start.click()
    ...
    panel.stop.click()
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets

from ccp_assess.assess.captures import CaptureAssessment, assess_captures
from ccp_assess.capture.record import Recording, RecordResult, start_recording
from ccp_assess.capture.recording.interfaces import addresses_by_interface
from ccp_assess.client import read_client
from ccp_assess.errors import CcpAssessError
from ccp_assess.probe.computer import virtual_desktop, where_to_record
from ccp_assess.regions import read_regions
from ccp_assess.report.style import INK, PART_COLOURS
from ccp_assess.report.words import clean, number
from ccp_assess.widgets.call_panel import show_call_panel
from ccp_assess.widgets.controls import Timeline, file_name
from ccp_assess.widgets.jobs import Job
from ccp_assess.widgets.panel import LABEL, LINE, WIDE, Panel, button, panel_box, problem_html, row, said_html

LOOK_S = 0.5
BY_ROUTE = "the one that leads to the Region"
_MOST_SECONDS = 4 * 3600
_MEDIA_PER_S = 50.0  # a softphone sends a packet of voice every 20 ms


class CapturePanel(Panel):
    """A recording: what is taken, how it goes, and what it shows.

    Parameters
    ----------
    folder
        The client folder; recordings go into its ``captures``.
    recorder
        Starts a recording; for tests and other ways of recording.

    Attributes
    ----------
    interface, regions, hosts, expression, headers_only
        What is recorded: lists, texts, and whether payloads stay out of the file.
    site, name
        Whose call it is, and what the file is called.
    start, stop
        Buttons.
    where
        On which device to record, where that is not this one: with a virtual desktop.
    counts, timeline
        How it stands, and packets a second as they come.
    calls
        The call panel of what was recorded.
    """

    def __init__(self, folder: Path, recorder: Callable[..., Recording] = start_recording) -> None:
        self._folder, self._recorder = folder, recorder
        self._recording: Recording | None = None
        self._series: dict[str, list[list[float]]] = {"in": [], "out": []}
        self._calls_html = ""
        self.result: RecordResult | None = None
        self.interface = ipywidgets.Dropdown(
            options=[(BY_ROUTE, ""), *_interfaces()], description="Interface", style=LABEL, layout=WIDE
        )
        self.regions = ipywidgets.SelectMultiple(
            options=[(f"{code}  {region.place}", code) for code, region in read_regions().items()],
            description="Regions (none: all)",
            rows=4,
            style=LABEL,
            layout=WIDE,
        )
        self.hosts = ipywidgets.Text(
            description="Also addresses", placeholder="a proxy, a private relay", style=LABEL, layout=WIDE
        )
        self.expression = ipywidgets.Text(
            description="Own filter", placeholder="of libpcap, instead of the softphone's", style=LABEL, layout=WIDE
        )
        self.headers_only = ipywidgets.Checkbox(
            value=True, description="Headers only: no voice is kept", style=LABEL, layout=WIDE
        )
        self.site = ipywidgets.Dropdown(
            options=[("no site", ""), *_sites(folder)], description="Site", style=LABEL, layout=WIDE
        )
        self.name = ipywidgets.Text(
            description="File", placeholder="named by the time if empty", style=LABEL, layout=WIDE
        )
        self.start = button("Start recording", is_primary=True)
        self.stop = button("Stop and read it")
        self.stop.disabled = True
        self.counts, self.said = ipywidgets.HTML(), ipywidgets.HTML()
        self.where = ipywidgets.HTML(said_html(where_to_record(virtual_desktop(os.environ)) or ""))
        self.timeline = Timeline(clock="Seconds since the recording began")
        self.calls = ipywidgets.VBox([])
        self.job: Job[tuple[RecordResult, CaptureAssessment | None]] = Job(self._show_result)
        left = ipywidgets.VBox([self.interface, self.regions, self.headers_only])
        right = ipywidgets.VBox([self.site, self.name, self.hosts, self.expression])
        self.box = panel_box(
            "capture",
            "Record a test call",
            [
                self.where,
                row(left, right),
                row(self.start, self.stop, self.job.box),
                self.said,
                self.counts,
                self.timeline,
                self.calls,
            ],
        )
        self.start.on_click(self._on_start)
        self.stop.on_click(self._on_stop)
        self._show_series()

    @property
    def path(self) -> Path:
        """Where the next recording will stand."""
        name = self.name.value.strip() or f"test-call-{datetime.now(UTC):%Y%m%d-%H%M%S}.pcapng"
        if not name.lower().endswith((".pcap", ".pcapng", ".cap")):
            name += ".pcapng"
        place = self._folder / "captures"
        return (place / self.site.value if self.site.value else place) / file_name(name)

    def static_html(self) -> str:
        """Return what is shown as plain HTML, for where widgets do not work.

        Returns
        -------
        html
            How the recording stands, and the calls that it holds.
        """
        where = f"<p>Record a test call into {escape(str(self._folder))}.</p>"
        return f"<div>{where}{self.counts.value}{self.said.value}{self._calls_html}</div>"

    def _plain_text(self) -> str:
        return "Record a test call" if self.result is None else f"{self.result.packets} packets recorded"

    def refresh(self) -> None:
        """Show how the recording stands at this moment."""
        recording = self._recording
        if recording is None:
            return
        live = recording.live
        self.counts.value = counts_html(live)
        for direction, packets in (("in", live.packets_in), ("out", live.packets_out)):
            series = self._series[direction]
            second = float(int(live.seconds))
            if not series or series[-1][0] < second:
                series.append([second, float(packets)])
        self._show_series()
        if not recording.is_running:
            self._end(recording)

    def _show_series(self) -> None:
        length = max((points[-1][0] for points in self._series.values() if points), default=9.0) + 1.0
        top = max((value for points in self._series.values() for _, value in points), default=0.0)
        with self.timeline.hold_sync():
            follows = self.timeline.span[1] >= self.timeline.length - 1.5
            self.timeline.length = length
            if follows:
                self.timeline.span = [0.0, length]
            self.timeline.columns = [_column(self._series, max(1.2 * _MEDIA_PER_S, 1.1 * top))]

    def _on_start(self, _button: object) -> None:
        self.calls.children, self.result, self._calls_html = (), None, ""
        path = self.path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._recording = self._recorder(
                path,
                interface=self.interface.value or None,
                region_codes=tuple(self.regions.value),
                hosts=tuple(self.hosts.value.replace(",", " ").split()),
                expression=self.expression.value.strip() or None,
                keep_payload=not self.headers_only.value,
                duration_s=_MOST_SECONDS,
            )
        except CcpAssessError as error:
            self.said.value = problem_html(str(error))
            return
        except OSError as error:
            self.said.value = problem_html(f"The recording cannot be written there ({error.strerror}).")
            return
        self._series = {"in": [], "out": []}
        self.start.disabled, self.stop.disabled = True, False
        words = f"{self._recording.interface.name}: {self._recording.filter}"
        self.said.value = said_html(f"Recording on {clean(words, 300)}. Make the call now.")
        self._look_again()

    def _look_again(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # no notebook's kernel around us: who wants to know calls refresh()
            return
        loop.call_later(LOOK_S, self._on_look)

    def _on_look(self) -> None:
        if self._recording is not None:
            self.refresh()
            self._look_again()

    def _on_stop(self, _button: object) -> None:
        if self._recording is not None:
            self.refresh()
        if self._recording is not None:
            self._end(self._recording)

    def _end(self, recording: Recording) -> None:
        self._recording = None
        self.stop.disabled = True

        def work(progress: Callable[[str, int, int], None]) -> tuple[RecordResult, CaptureAssessment | None]:
            result = recording.stop()
            if not result.packets:
                return result, None
            return result, assess_captures([result.path], progress=progress)

        self.said.value = ""
        self.start.disabled = False
        self.job.start(work, "ending the recording")

    def _show_result(self, ended: tuple[RecordResult, CaptureAssessment | None]) -> None:
        self.result, capture = ended
        dropped = "an unknown number" if self.result.dropped is None else number(self.result.dropped)
        kept = "with payloads" if self.result.is_whole else "headers only"
        self.said.value = said_html(
            f"{number(self.result.packets)} packets in {self.result.path} ({kept}), {dropped} dropped; recorded by "
            f"{self.result.program}, ended by {self.result.stopped_by}."
        )
        if capture is None:
            self._calls_html = problem_html(
                "Nothing was recorded: was the call on this interface and to these Regions?"
            )
            self.calls.children = (ipywidgets.HTML(self._calls_html),)
            return
        panel = show_call_panel(capture)
        self._calls_html = panel.static_html()
        self.calls.children = (panel.box,)


def show_capture_panel(folder: str | Path, recorder: Callable[..., Recording] | None = None) -> CapturePanel:
    """Make the capture panel.

    Parameters
    ----------
    folder
        The client folder; recordings go into its ``captures``.
    recorder
        Starts a recording; our own if ``None``.

    Returns
    -------
    panel
        Named in the last line of a cell, it shows itself.
    """
    return CapturePanel(Path(folder), recorder or start_recording)


def counts_html(live: Any) -> str:
    """Return how a recording stands: counters, and a level that shows whether voice is coming.

    Parameters
    ----------
    live
        Of the recording.

    Returns
    -------
    html
        A line and two bars.
    """
    dropped = "told at the end" if live.dropped is None else number(live.dropped)
    quiet = "no media yet" if live.media_quiet_s is None else f"last media {live.media_quiet_s:.0f} s ago"
    levels = "".join(
        f"<label style='display:flex;gap:0.5em;align-items:center;color:{INK}'><span style='width:9em'>{words}</span>"
        f"<meter min='0' max='{1.2 * _MEDIA_PER_S:.0f}' value='{packets}' style='width:16em;height:16px'>{packets}"
        f"</meter><span>{packets} packets/s</span></label>"
        for words, packets in (("Towards the agent", live.packets_in), ("From the agent", live.packets_out))
    )
    return (
        f"<div class='ccp-live'><p style='{LINE}'>{live.seconds:.0f} s, {number(live.packets)} packets, "
        f"{number(live.bytes)} bytes, media {number(live.media_packets)} ({quiet}), dropped {dropped}</p>{levels}</div>"
    )


def _column(series: dict[str, list[list[float]]], top: float) -> dict[str, Any]:
    colours = {"in": PART_COLOURS["caller"], "out": PART_COLOURS["agent"]}
    words = {"in": "Towards the agent [packets/s]", "out": "From the agent [packets/s]"}
    return {
        "title": "Packets a second, as they come.",
        "moments": [],
        "rows": [
            {
                "label": words[name],
                "unit": "packets/s",
                "top": top,
                "empty": "nothing yet",
                "series": [
                    {
                        "name": name,
                        "kind": "bars",
                        "colour": colours[name],
                        "dash": "",
                        "marker": "",
                        "points": list(points),
                    }
                ],
            }
            for name, points in series.items()
        ],
    }


def _interfaces() -> list[tuple[str, str]]:
    try:
        found = addresses_by_interface()
    except CcpAssessError:
        return []
    return [(clean(f"{name}  {' '.join(addresses[:2])}", 60), name) for name, addresses in found.items()]


def _sites(folder: Path) -> list[tuple[str, str]]:
    try:
        return [(f"{site.site_id}  {site.name}", site.site_id) for site in read_client(folder).sites]
    except CcpAssessError:
        return []
