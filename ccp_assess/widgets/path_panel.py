"""The path panel: every Region measured live, hop by hop where one asks, and by the hour where a monitor has been on.

Every control is an ordinary widget::

    panel = show_path_panel("../data/clients/acme")
    panel.start.click()

The Regions can be stood in for by a table of endpoints, as on the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets

from ccp_assess.client import read_client
from ccp_assess.errors import CcpAssessError
from ccp_assess.probe.live import OnRegion
from ccp_assess.probe.monitoring import by_hour, round_trip_ms
from ccp_assess.probe.page import write_page
from ccp_assess.probe.round_files import append_round, read_rounds
from ccp_assess.probe.rounds import RoundOptions, probe_round
from ccp_assess.probe.targets import offered_regions
from ccp_assess.report.figures import draw_heat_map, draw_path
from ccp_assess.report.style import CRITICAL, INK, PAPER, PART_COLOURS, QUIET, RULE, inline_svg, tint
from ccp_assess.report.words import clean, known, ms
from ccp_assess.widgets.controls import FileDrop
from ccp_assess.widgets.jobs import Job
from ccp_assess.widgets.panel import LABEL, LINE, WIDE, Panel, button, panel_box, row, said_html
from ccp_assess.widgets.progress import Progress

_CELL = f"padding:2px 10px 2px 0;border-bottom:1px solid {RULE};text-align:left;vertical-align:top;color:{INK}"
_JUDGED = {"open": "open", "impaired": "partly", "blocked": "blocked", "unknown": "unknown"}
_LONGEST_BAR_PX = 130
_DARK_SHARE = 0.58
_SIGNS = {"critical": "!!", "warning": "!", "info": "i"}

Measure = Callable[[RoundOptions, Progress, OnRegion], dict[str, Any]]


class PathPanel(Panel):
    """The ways from this computer to the Regions.

    Parameters
    ----------
    folder
        The client folder; rounds go into its ``probes``.
    measure
        Measures one round; for tests.

    Attributes
    ----------
    regions, endpoints, full, rounds, site
        What is measured, how thoroughly, how often, and where this computer stands.
    start, page
        Buttons: measure from this computer; write the page that agents open in their own browser.
    table
        All Regions, nearest first, each as soon as a round knows of it.
    region, hops
        Which Region is looked into, and its path hop by hop.
    diagnoses
        What is wrong, in sentences.
    drop, by_hour
        Place for what a monitor wrote; round trips by Region and hour.
    documents
        The rounds so far.
    """

    def __init__(self, folder: Path, measure: Measure = probe_round) -> None:
        self._folder, self._measure = folder, measure
        self.documents: list[dict[str, Any]] = []
        self._coming: dict[str, dict[str, Any]] = {}
        self.regions = ipywidgets.SelectMultiple(
            options=list(offered_regions()), description="Regions (none: all)", rows=5, style=LABEL, layout=WIDE
        )
        self.endpoints = ipywidgets.Text(
            description="Endpoints", placeholder="a table that stands in for the Regions", style=LABEL, layout=WIDE
        )
        self.full = ipywidgets.Checkbox(description="Thorough (takes longer)", style=LABEL, layout=WIDE)
        self.rounds = ipywidgets.BoundedIntText(
            value=3, min=1, max=1000, description="Rounds", style=LABEL, layout=WIDE
        )
        self.site = ipywidgets.Dropdown(
            options=[("no site", ""), *_sites(folder)], description="This is site", style=LABEL, layout=WIDE
        )
        self.start = button("Measure", is_primary=True)
        self.page = button("Page for agents")
        self.table, self.diagnoses = ipywidgets.HTML(), ipywidgets.HTML()
        self.said, self.hops, self.by_hour = ipywidgets.HTML(), ipywidgets.HTML(), ipywidgets.HTML()
        self.region = ipywidgets.Dropdown(options=[], description="Hop by hop", style=LABEL, layout=WIDE)
        self.drop = FileDrop(self._on_file, "Rounds of a monitor (JSON Lines): drop them here, or choose")
        self.job: Job[Path | None] = Job(self._end, self._hear)
        left = ipywidgets.VBox([self.regions, self.full])
        right = ipywidgets.VBox([self.site, self.rounds, self.endpoints])
        self.box = panel_box(
            "path",
            "The way to every Region",
            [
                row(left, right),
                row(self.start, self.page, self.job.box),
                self.said,
                self.table,
                self.diagnoses,
                self.region,
                self.hops,
                self.drop,
                self.by_hour,
            ],
        )
        self.start.on_click(self._on_start)
        self.page.on_click(self._on_page)
        self.region.observe(self._on_region, names="value")

    def show(self, documents: Sequence[dict[str, Any]]) -> None:
        """Show rounds that were measured before.

        Parameters
        ----------
        documents
            Probe documents, as of ``probe`` and ``monitor``.
        """
        for document in documents:
            self._take(document)

    def static_html(self) -> str:
        """Return what is shown as plain HTML, for where widgets do not work.

        Returns
        -------
        html
            The table, the path that is looked into, and the hours.
        """
        picture = hours = ""
        chosen = self._chosen()
        if chosen is not None and chosen.get("path"):
            figure, _ = draw_path(chosen)
            picture = _picture(figure, "path-panel-path", f"Path to {clean(self.region.value, 60)}")
        table = _hour_table(self.documents)
        if table:
            figure, _ = draw_heat_map(table, title="Round trip by hour [ms]")
            hours = _picture(figure, "path-panel-hours", "Round trips by Region and hour")
        words = "" if self.documents else f"<p style='{LINE}'>Nothing was measured yet.</p>"
        return f"<div>{words}{self.table.value}{self.diagnoses.value}{picture}{hours}</div>"

    def _plain_text(self) -> str:
        return f"{len(self.documents)} rounds measured"

    def _on_start(self, _button: object) -> None:
        table = self.endpoints.value.strip()
        options = RoundOptions(
            regions=tuple(self.regions.value),
            site_id=self.site.value or None,
            full=self.full.value,
            endpoints=Path(table) if table else None,
        )
        rounds, path = self.rounds.value, self._path()

        def work(progress: Progress) -> Path | None:
            for number in range(1, rounds + 1):
                progress(f"round {number} of {rounds}", number - 1, rounds)
                document = self._measure(options, _within(progress, number, rounds), self.job.tell)
                append_round(path, document)
                self.job.tell(document)
            progress("done", rounds, rounds)
            return path

        self.documents.clear()
        self._coming.clear()
        self.said.value = ""
        self.job.start(work, "reaching the Regions")

    def _on_page(self, _button: object) -> None:
        """Write the page that tests the Regions from an agent's own browser."""
        table, site = self.endpoints.value.strip(), self.site.value
        name = "probe.html" if not site else f"probe-{''.join(c for c in site if c.isalnum() or c in '-_')[:40]}.html"
        try:
            written = write_page(
                self._folder / name,
                regions=tuple(self.regions.value),
                endpoints=table or None,
                site_id=site or None,
            )
        except (CcpAssessError, OSError) as error:
            self.said.value = said_html(str(error))
            return
        self.said.value = said_html(
            f"{written.name} is in the client folder: send it to the agents; what it saves goes into probes/."
        )

    def _path(self) -> Path:
        place = self._folder / "probes"
        name = f"rounds-{datetime.now(UTC):%Y%m%d-%H%M%S}.jsonl"
        return (place / self.site.value if self.site.value else place) / name

    def _hear(self, part: dict[str, Any]) -> None:
        """Take in a whole round, or what one that goes on knows of a Region."""
        if "regions" in part:
            self._take(part)
            return
        self._coming[str(part["region_code"] or "no Region")] = part
        self._show_regions()

    def _take(self, document: dict[str, Any]) -> None:
        """Show a round as soon as it is there."""
        self.documents.append(document)
        self._coming.clear()
        self.diagnoses.value = diagnoses_html(document)
        self._show_regions()
        self.by_hour.value = hours_html(self.documents)

    def _show_regions(self) -> None:
        newest = self._newest()
        self.table.value = regions_html(self.documents, self._coming)
        codes = [str(region["region_code"] or "no Region") for region in newest]
        kept = self.region.value
        self.region.options = codes
        self.region.value = kept if kept in codes else next(iter(codes), None)
        self._show_hops()

    def _newest(self) -> list[dict[str, Any]]:
        """Return what is known last of each Region."""
        rows = {
            str(row["region_code"] or "no Region"): row for row in (self.documents or [{"regions": []}])[-1]["regions"]
        }
        return list((rows | self._coming).values())

    def _end(self, path: Path | None) -> None:
        self.said.value = said_html(f"{len(self.documents)} rounds, kept in {path}.")

    def _on_region(self, _change: object) -> None:
        self._show_hops()

    def _chosen(self) -> dict[str, Any] | None:
        return next((r for r in self._newest() if str(r["region_code"] or "no Region") == self.region.value), None)

    def _show_hops(self) -> None:
        chosen = self._chosen()
        self.hops.value = "" if chosen is None else hops_html(chosen)

    def _on_file(self, name: str, path: Path) -> str:
        read = read_rounds(path)
        self.documents.clear()
        self.show(read.documents)
        return " ".join([f"{name}: {len(read.documents)} rounds.", *read.notes])


def show_path_panel(folder: str | Path, measure: Measure | None = None) -> PathPanel:
    """Make the path panel.

    Parameters
    ----------
    folder
        The client folder; rounds go into its ``probes``.
    measure
        Measures one round; our own probes if ``None``.

    Returns
    -------
    panel
        Named in the last line of a cell, it shows itself.
    """
    return PathPanel(Path(folder), measure or probe_round)


def _within(progress: Progress, number: int, rounds: int) -> Progress:
    def told(what: str, done: int, total: int, /) -> None:
        progress(f"round {number} of {rounds}: {what}", (number - 1) * total + done, rounds * total)

    return told


def _sites(folder: Path) -> list[tuple[str, str]]:
    try:
        return [(f"{site.site_id}  {site.name}", site.site_id) for site in read_client(folder).sites]
    except CcpAssessError:
        return []


def _picture(figure: Any, key: str, title: str) -> str:
    return inline_svg(figure, key=key, title=title, description="The same numbers stand in the panel's tables.")


def regions_html(documents: Sequence[dict[str, Any]], coming: Mapping[str, dict[str, Any]] | None = None) -> str:
    """Return all Regions, nearest first, as they stand after the rounds so far.

    Parameters
    ----------
    documents
        Probe documents of the rounds, the newest last.
    coming
        What a round that goes on knows of Regions.

    Returns
    -------
    html
        A table with bars.
    """
    best: dict[str, float] = {}
    under_way = list((coming or {}).values())
    for regions in (*(document["regions"] for document in documents), under_way):
        for region in regions:
            value, code = round_trip_ms(region), str(region["region_code"] or "no Region")
            if known(value) and value is not None:
                best[code] = min(best.get(code, value), value)
    ended = {str(row["region_code"] or "no Region"): row for row in (documents[-1]["regions"] if documents else ())}
    rows = sorted(
        (ended | dict(coming or {})).values(),
        key=lambda region: best.get(str(region["region_code"] or "no Region"), float("inf")),
    )
    longest = max(best.values(), default=1.0)
    heads = "".join(
        f"<th scope='col' style='{_CELL}'>{words}</th>"
        for words in ("Region", "Least round trip", "Last round", "Audio (UDP)", "Pages (TCP)", "Hops")
    )
    body = "".join(_region_row(region, best, longest) for region in rows)
    going_on = _coming_words(under_way, len(ended))
    return (
        f"<table class='ccp-regions' style='border-collapse:collapse;font-size:13px'><caption style='text-align:left;"
        f"color:{QUIET}'>After {len(documents)} rounds{going_on}</caption><thead><tr>{heads}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )


def _coming_words(under_way: Sequence[dict[str, Any]], known_before: int) -> str:
    if not under_way:
        return ""
    whole = f" of {known_before}" if known_before else ""
    return f"; one goes on and has reached {len(under_way)}{whole} Regions"


def _region_row(region: dict[str, Any], best: dict[str, float], longest: float) -> str:
    code = str(region["region_code"] or "no Region")
    least, last = best.get(code), round_trip_ms(region)
    width = round(_LONGEST_BAR_PX * least / longest) if least else 0
    bar = (
        f"<span aria-hidden='true' style='display:inline-block;height:9px;width:{width}px;margin-right:6px;"
        f"background:{PART_COLOURS['agent']}'></span>"
    )
    judged, path = region.get("judgement") or {}, region.get("path") or {}
    hops = path.get("hop_count")
    cells = (
        f"<strong>{escape(clean(code, 40))}</strong>",
        f"{bar}{ms(least, 1)}",
        ms(last, 1),
        _judged(judged.get("udp")),
        _judged(judged.get("tcp")),
        "unknown" if hops is None else str(int(hops)),
    )
    return "<tr>" + "".join(f"<td style='{_CELL};white-space:nowrap'>{cell}</td>" for cell in cells) + "</tr>"


def _judged(word: Any) -> str:
    told = _JUDGED.get(str(word), "unknown")
    colour = CRITICAL if told == "blocked" else INK
    return f"<span style='color:{colour}'>{told}</span>"


def diagnoses_html(document: dict[str, Any]) -> str:
    """Return what is wrong, each sentence once with its Regions.

    Parameters
    ----------
    document
        Of one round.

    Returns
    -------
    html
        A list.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for region in document["regions"]:
        for one in region.get("diagnosis") or ():
            told = (str(one.get("severity")), str(one.get("text") or one["code"]))
            found.setdefault(told, []).append(str(region["region_code"] or ""))
    order = sorted(found, key=lambda key: list(_SIGNS).index(key[0]) if key[0] in _SIGNS else len(_SIGNS))
    items = "".join(
        f"<li style='color:{CRITICAL if severity == 'critical' else INK}'>[{_SIGNS.get(severity, 'i')} "
        f"{escape(severity)}] {escape(clean(text, 500))} <span style='color:{QUIET}'>({_where(found[severity, text])})"
        "</span></li>"
        for severity, text in order
    )
    return f"<div role='status'><ul class='ccp-diagnoses' style='{LINE}'>{items}</ul></div>" if items else ""


def _where(codes: Sequence[str]) -> str:
    named = ", ".join(escape(clean(code, 40)) for code in codes[:3])
    return named if len(codes) <= 3 else f"{named} and {len(codes) - 3} more"


def hops_html(region: dict[str, Any]) -> str:
    """Return a path hop by hop.

    Parameters
    ----------
    region
        One of a document's ``regions``.

    Returns
    -------
    html
        A table with bars; a silent hop says so.
    """
    path = region.get("path") or {}
    hops = path.get("hops") or []
    if not hops:
        return said_html("No path is known to this Region.")
    longest = max((hop["rtt_avg_ms"] for hop in hops if known(hop.get("rtt_avg_ms"))), default=1.0) or 1.0
    rows = ""
    for hop in hops:
        value = hop.get("rtt_avg_ms")
        width = round(_LONGEST_BAR_PX * value / longest) if known(value) else 0
        bar = (
            f"<span aria-hidden='true' style='display:inline-block;height:9px;width:{width}px;margin-right:6px;"
            f"background:{PART_COLOURS['agent']}'></span>"
        )
        address = "silent" if hop.get("address") is None else clean(hop["address"], 60)
        owner = "" if hop.get("asn") is None else f"AS{escape(clean(hop['asn'], 20))}"
        cells = (str(hop["ttl"]), escape(address), f"{bar}{ms(value, 1)}", ms(hop.get("rtt_min_ms"), 1), owner)
        rows += "<tr>" + "".join(f"<td style='{_CELL}'>{cell}</td>" for cell in cells) + "</tr>"
    heads = "".join(
        f"<th scope='col' style='{_CELL}'>{words}</th>" for words in ("Hop", "Address", "Mean", "Least", "Owner")
    )
    end = "The destination answered." if path.get("destination_answered") else "The destination did not answer."
    return (
        f"<table class='ccp-hops' style='border-collapse:collapse;font-size:13px'><caption style='text-align:left;"
        f"color:{QUIET}'>By {escape(clean(path.get('technique'), 10))}. {end}</caption><thead><tr>{heads}</tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )


def _hour_table(documents: Sequence[dict[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Return median round trips by Region and hour of day; empty unless two hours are known [ms]."""
    rows = by_hour(documents)
    hours = sorted({row["hour"] for row in rows})
    if len(hours) < 2:
        return {}
    table: dict[str, dict[str, float | None]] = {}
    for found in rows:
        code = str(found["region_code"] or "no Region")
        table.setdefault(code, {f"{hour:02d}h": None for hour in hours})[f"{found['hour']:02d}h"] = found["rtt_p50_ms"]
    return table


def hours_html(documents: Sequence[dict[str, Any]]) -> str:
    """Return round trips by Region and hour of the day: the darker, the longer.

    Parameters
    ----------
    documents
        Of a monitor.

    Returns
    -------
    html
        A table; empty unless at least two hours are known.
    """
    table = _hour_table(documents)
    values = [value for cells in table.values() for value in cells.values() if value is not None]
    if not values:
        return ""
    low, high = min(values), max(values)
    hours = list(next(iter(table.values())))
    heads = "".join(f"<th scope='col' style='{_CELL}'>{hour}</th>" for hour in ("Region", *hours))
    rows = "".join(
        f"<tr><th scope='row' style='{_CELL};font-weight:normal'>{escape(clean(code, 40))}</th>"
        + "".join(_heat_cell(cells[hour], low, high) for hour in hours)
        + "</tr>"
        for code, cells in table.items()
    )
    return (
        f"<div style='overflow-x:auto'><table class='ccp-hours' style='border-collapse:collapse;font-size:13px'>"
        f"<caption style='text-align:left;color:{QUIET}'>Median round trip by hour of the day [ms]</caption>"
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _heat_cell(value: float | None, low: float, high: float) -> str:
    if value is None:
        return f"<td style='{_CELL};color:{QUIET}'>-</td>"
    share = (value - low) / (high - low) if high > low else 0.0
    colour, ink = tint(PART_COLOURS["agent"], 0.08 + 0.92 * share), PAPER if share > _DARK_SHARE else INK
    return f"<td style='padding:2px 8px;text-align:center;background:{colour};color:{ink}'>{value:.0f}</td>"
