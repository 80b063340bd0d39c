"""The page of many sites: one self-contained HTML document to hand over, from the rows of the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ccp_assess import __version__
from ccp_assess.files import write_whole
from ccp_assess.report.content import many_sites as content
from ccp_assess.report.content.many_sites_said import sentences, unknowns
from ccp_assess.report.document import template_environment
from ccp_assess.report.figures import draw_heat_map, draw_hours, draw_worst_sites
from ccp_assess.report.figures.heat import MOST_ROWS as MOST_GRID_ROWS
from ccp_assess.report.figures.many_sites import MOST_SITES
from ccp_assess.report.pictures import Drawn
from ccp_assess.report.style import inline_svg

MOST_ROWS = 200
"""Rows of a table on the page; the rest is said to be in the dataset."""

_DEFINITIONS = {
    "Lost": "packets that did not arrive at the capture, of those expected (RFC 3550); towards the agent only, since "
    "what the agent sends cannot be seen to be lost there.",
    "Too late": "packets that arrived too late for the simulated jitter buffer, of those received.",
    "Jitter": "interarrival jitter of RFC 3550, section 6.4.1, at the end of each second of each received stream.",
    "Round trip": "from a STUN request of the workstation to the media server, through the relay, to its answer; where "
    "Regions are compared, that of the probes.",
    "Median, 95 %": "exact percentiles over all seconds, nearest rank; nothing is sampled or estimated.",
    "Hour": "of the instant in UTC unless another clock is named.",
    "Rank": "Regions of one site by their median round trip; a Region without one has no rank.",
    "Unknown": "nobody measured it; it is never shown as zero.",
}

_MASKED = {
    "Masked": "clients, sites, places, providers, files, hosts and public addresses that are not AWS's stand under "
    "other names, the same throughout. Delays stay: who knows the world's networks can still guess a region of the "
    "world from them."
}


def write_many_sites(
    path: str | Path,
    rows: Mapping[str, Sequence[dict[str, Any]]],
    *,
    manifest: Mapping[str, Any],
    made_at: datetime,
    title: str,
    since: datetime | None = None,
    masked: bool = False,
) -> Path:
    """Write the page of many sites.

    Parameters
    ----------
    path
        The HTML file.
    rows
        Name of the answer → its rows, as the store gives them.
    manifest
        What the dataset adds up to; empty where its run did not end.
    made_at
        Now, UTC.
    title
        Whose sites they are.
    since
        The instant that before and after are divided by, UTC.
    masked
        Whether the rows are masked, which the page says.

    Returns
    -------
    path
        Of the page.
    """
    text = render_many_sites(rows, manifest=manifest, made_at=made_at, title=title, since=since, masked=masked)
    write_whole(Path(path), text)
    return Path(path)


def render_many_sites(
    rows: Mapping[str, Sequence[dict[str, Any]]],
    *,
    manifest: Mapping[str, Any],
    made_at: datetime,
    title: str,
    since: datetime | None = None,
    masked: bool = False,
) -> str:
    """Return the page of many sites as one HTML document that asks no server for anything.

    Parameters
    ----------
    rows, manifest, made_at, title, since, masked
        As of `write_many_sites`.

    Returns
    -------
    html
        The page.
    """
    aside = list(manifest.get("set_aside") or [])
    template = template_environment().get_template("many_sites.html.j2")
    return template.render(
        title=title,
        made_at=made_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        version=__version__,
        manifest=manifest,
        since=None if since is None else since.strftime("%Y-%m-%dT%H:%M:%SZ"),
        sentences=sentences(rows, aside),
        unknowns=unknowns(rows, ended=bool(manifest)),
        tables=content.tables(rows, aside),
        nearest=content.nearest_table(rows.get("region_comparison", ()), content.site_columns(rows)),
        pictures=_pictures(rows),
        definitions=_DEFINITIONS | (_MASKED if masked else {}),
        masked=masked,
        most_rows=MOST_ROWS,
    )


def _pictures(rows: Mapping[str, Sequence[dict[str, Any]]]) -> dict[str, Drawn | None]:
    worst, hours = rows.get("worst_sites", ()), rows.get("by_hour", ())
    regions, framed = content.region_grid(rows.get("region_comparison", ()))
    findings = content.finding_grid(rows.get("findings_by_site", ()))
    more = f" The first {MOST_SITES} of {len(worst)}." if len(worst) > MOST_SITES else ""
    cut = f" The first {MOST_GRID_ROWS} of {len(regions)} sites." if len(regions) > MOST_GRID_ROWS else ""
    is_timed = any(value is not None for cells in regions.values() for value in cells.values())
    return {
        "worst_sites": _drawn(
            draw_worst_sites(worst)[0] if worst else None,
            "worst",
            "Sites by loss, jitter and round trip, worst first",
            f"Measured, towards the agents.{more} The numbers stand in the table.",
        ),
        "by_hour": _drawn(
            draw_hours(hours)[0] if hours else None,
            "hours",
            "Loss, jitter and round trip by hour of the day",
            "Measured, towards the agents of all sites; hours in UTC.",
        ),
        "region_comparison": _drawn(
            draw_heat_map(regions, title="Round trip, median [ms]", framed=framed)[0] if is_timed else None,
            "regions",
            "Round trip from every site to every Region",
            f"Measured. The frame marks the nearest Region of a site; a dash is unknown.{cut}",
        ),
        "findings": _drawn(
            draw_heat_map(findings, title="How often")[0] if findings else None,
            "findings",
            "Findings by site",
            "A row that is filled at many sites often has one cause; a dash is: not found there.",
        ),
    }


def _drawn(figure: Any, key: str, title: str, caption: str) -> Drawn | None:
    if figure is None:
        return None
    svg = inline_svg(figure, key=key, title=title, description=caption)
    return Drawn(svg=Markup(svg), caption=caption)  # noqa: S704 - inline_svg escapes every text it places
