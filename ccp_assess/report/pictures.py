"""The pictures of the report: each as inline SVG with a title, a description in words and a caption."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure

from ccp_assess.client.masking import FIELD_DEG
from ccp_assess.report import figures
from ccp_assess.report.budgets import SiteBudget, site_budgets
from ccp_assess.report.figures.budget import MOST_BARS
from ccp_assess.report.figures.calls import CallSeries
from ccp_assess.report.figures.map import chosen_regions
from ccp_assess.report.figures.options import eligible
from ccp_assess.report.style import inline_svg
from ccp_assess.report.words import clean, ms, number, pct, with_unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A picture ready for the page.

    Parameters
    ----------
    svg
        Inline SVG, safe.
    caption
        What to see in it, one or two sentences.
    """

    svg: Markup
    caption: str


_BLURRED = f"Places are masked: each stands somewhere in its field of {FIELD_DEG:.0f} by {FIELD_DEG:.0f} degrees. "


def _drawn(figure: Figure, *, key: str, title: str, description: str, caption: str) -> Drawn:
    svg = inline_svg(figure, key=key, title=title, description=description)
    return Drawn(svg=Markup(svg), caption=caption)  # noqa: S704 - inline_svg escapes every text it places


def map_picture(assessment: Any) -> Drawn:
    """Draw the map of the first page.

    Parameters
    ----------
    assessment
        The assessment.

    Returns
    -------
    picture
        Sites, caller origins, transfer targets, Regions and legs.
    """
    client = assessment.client
    chosen = " and ".join(chosen_regions(assessment.ranking)) or "no Region"
    sites = ", ".join(f"{clean(site.name or site.site_id, 60)} ({site.agents} agents)" for site in client.sites[:12])
    description = (
        f"World map with {len(client.sites)} sites, {len(client.callers)} caller origins and "
        f"{len(client.transfers)} transfer targets; recommended: {chosen}. "
        f"Sites: {sites}{' and more' if len(client.sites) > 12 else ''}."
    )
    return _drawn(
        figures.draw_map(assessment)[0],
        key="map",
        title="Map of sites, callers and Regions",
        description=description,
        caption="Every line is a leg to the recommended Region: solid measured, dashed modelled, dotted assumed. "
        f"{_BLURRED if getattr(assessment, 'masked', False) else ''}"
        "Outline: Natural Earth 1:110m, public domain.",
    )


def budget_picture(assessment: Any) -> Drawn | None:
    """Draw the latency budgets.

    Parameters
    ----------
    assessment
        The assessment.

    Returns
    -------
    picture
        ``None`` without an option to show.
    """
    budgets = site_budgets(assessment.client, assessment.ranking)
    if not budgets:
        return None
    more = ""
    if len(budgets) > MOST_BARS:
        more = f" The {MOST_BARS} sites with most agents of {len(budgets)}; the table has them all."
    description = "Bars of one-way delay. " + " ".join(_budget_words(budget) for budget in budgets[:12])
    return _drawn(
        figures.draw_latency_budget(assessment)[0],
        key="budget",
        title="Latency budget per site",
        description=description,
        caption="One bar per site, from the caller's mouth (left) to the agent's ear (right)." + more,
    )


def _budget_words(budget: SiteBudget) -> str:
    parts = ", ".join(f"{part.label} {ms(part.one_way_ms)} {part.basis}" for part in budget.parts)
    return f"{clean(budget.name, 60)}: {ms(budget.total_ms)} ({parts})."


def comparison_picture(assessment: Any) -> Drawn | None:
    """Draw the comparison of the options.

    Parameters
    ----------
    assessment
        The assessment.

    Returns
    -------
    picture
        ``None`` where every option is excluded.
    """
    options = eligible(assessment.ranking)
    if not options:
        return None
    description = "; ".join(
        f"{' + '.join(o['regions'])}: mean {ms(o['mouth_to_ear_ms']['mean'])}, "
        f"95th percentile {ms(o['mouth_to_ear_ms']['p95'])}"
        for o in options[:12]
    )
    more = (
        f" The {number(len(options) - 12)} options behind the first 12 are in the table." if len(options) > 12 else ""
    )
    return _drawn(
        figures.draw_region_comparison(assessment)[0],
        key="comparison",
        title="Mouth-to-ear delay of the options",
        description=description,
        caption="Left is better. The band says how well the mean is known; the mark at the right end is the "
        f"95th percentile of calls.{more}",
    )


def probability_picture(assessment: Any) -> Drawn | None:
    """Draw how often each option comes out best.

    Parameters
    ----------
    assessment
        The assessment.

    Returns
    -------
    picture
        ``None`` where no probability is known.
    """
    options = [option for option in eligible(assessment.ranking) if option["probability_best_pct"] is not None]
    if not options:
        return None
    description = "; ".join(f"{' + '.join(o['regions'])} {pct(o['probability_best_pct'])}" for o in options[:8])
    return _drawn(
        figures.draw_probability(assessment)[0],
        key="probability",
        title="Probability of being the best option",
        description=description,
        caption="How often each option wins when every uncertain number is drawn from its band.",
    )


def pareto_picture(assessment: Any) -> Drawn | None:
    """Draw the options' delay for agents against that for callers.

    Parameters
    ----------
    assessment
        The assessment.

    Returns
    -------
    picture
        ``None`` where fewer than two options have both legs.
    """
    points = [
        point
        for point in assessment.ranking.get("pareto") or ()
        if point["agent_leg_ms"] is not None and point["caller_leg_ms"] is not None
    ]
    if len(points) < 2:
        return None
    description = "; ".join(
        f"{' + '.join(p['regions'])}: agents {p['agent_leg_ms']:.0f} ms, callers {p['caller_leg_ms']:.0f} ms"
        for p in points[:8]
    )
    return _drawn(
        figures.draw_pareto(assessment)[0],
        key="pareto",
        title="Delay for agents against delay for callers",
        description=description,
        caption="Lower and further left is better. The line joins options that no other beats on both legs (filled); "
        "the star is the recommended one. Its basis is that of the legs, in the chapter on latency budgets.",
    )


def path_picture(document: dict[str, Any], region: dict[str, Any], number_on_page: int) -> Drawn:
    """Draw one path hop by hop.

    Parameters
    ----------
    document
        The probe document.
    region
        The entry of its ``regions`` that holds the path.
    number_on_page
        Makes the picture's key unique.

    Returns
    -------
    picture
        Round-trip time to each hop.
    """
    path = region["path"]
    silent = sum(hop["address"] is None for hop in path["hops"])
    site, where = clean(document.get("site_id"), 60), clean(region.get("region_code"), 40)
    count = "the destination did not answer, so the hop count is unknown"
    if path.get("hop_count") is not None:
        count = f"the destination answered at hop {path['hop_count']}"
    description = f"{len(path['hops'])} hops from {site} to {where}; {silent} silent; {count}."
    return _drawn(
        figures.draw_path(region)[0],
        key=f"path{number_on_page}",
        title=f"Path from {site} to {where}",
        description=description,
        caption=f"{site} to {where}: {count}.",
    )


def call_picture(series: CallSeries, number_on_page: int) -> Drawn:
    """Draw one call over time.

    Parameters
    ----------
    series
        The call, second by second.
    number_on_page
        Makes the picture's key unique.

    Returns
    -------
    picture
        Loss, jitter and round trips.
    """
    lost = sum(count for _, _, count in series.loss)
    worst = max((value for _, value in series.jitter), default=None)
    description = (
        f"Call {clean(series.call['call_id'], 40)}, {with_unit(series.duration_s, 's')} long: {number(lost)} packets "
        f"lost towards the agent, jitter up to {ms(worst, 1)}, {len(series.media_rtt)} round trips to the media server."
    )
    return _drawn(
        figures.draw_call_timeline(series)[0],
        key=f"call{number_on_page}",
        title="Call over time",
        description=description,
        caption="Loss, jitter and round trips on one clock.",
    )


def size_picture(rows: list[dict[str, Any]]) -> Drawn | None:
    """Draw how many addresses each option of the allowlist opens.

    Parameters
    ----------
    rows
        ``option`` and ``v4`` of each.

    Returns
    -------
    picture
        ``None`` without rows.
    """
    if not rows:
        return None
    description = "; ".join(f"{row['option']}: {number(row['v4'])} IPv4 addresses" for row in rows)
    return _drawn(
        figures.draw_allowlist_size(rows)[0],
        key="sizes",
        title="Addresses opened by each option",
        description=description,
        caption="How many addresses the firewall would have to trust under each option, on a scale of powers of ten.",
    )


def diary_picture(assessment: Any) -> Drawn | None:
    """Draw how many troubles agents wrote down in each hour of the day.

    Parameters
    ----------
    assessment
        The assessment.

    Returns
    -------
    picture
        ``None`` without a diary.
    """
    counts: dict[str, dict[int, int]] = {}
    for entry in assessment.witnesses:
        for cell in entry["document"].get("heat_map") or ():
            hours = counts.setdefault(str(cell["agent"]), {})
            hours[cell["hour"]] = hours.get(cell["hour"], 0) + cell["reports"]
    if not counts:
        return None
    seen = sorted({hour for hours in counts.values() for hour in hours})
    table = {agent: {f"{hour:02d} h": counts[agent].get(hour, 0) for hour in seen} for agent in sorted(counts)}
    figure, _ = figures.draw_heat_map(table, title="Troubles that agents wrote down, by hour of the day [count]")
    who = ", ".join(f"{clean(agent, 40)} {sum(hours.values())}" for agent, hours in sorted(counts.items())[:20])
    return _drawn(
        figure,
        key="diary",
        title="Troubles in the agents' diaries",
        description=f"Heat map of agents and hours; reports in all: {who}.",
        caption="Troubles that agents wrote down: who, and at which hour. Clusters point to what happens by the clock.",
    )


def ports_picture(assessment: Any) -> Drawn | None:
    """Draw which ports the rules open.

    Parameters
    ----------
    assessment
        The assessment.

    Returns
    -------
    picture
        ``None`` without rules.
    """
    rules = (assessment.allowlist or {}).get("rules", [])
    if not rules:
        return None
    ports = dict.fromkeys(f"{rule['transport']} {rule['port']} {rule['direction']}" for rule in rules)
    return _drawn(
        figures.draw_ports(assessment)[0],
        key="ports",
        title="Ports that the rules open",
        description="From the workstations through the firewall: " + clean(", ".join(ports), 300) + ".",
        caption="What each port is used for; answers come back on the same connection.",
    )


_ACCESS_CAPTION = "The stations that the voice passes between agent and relay."
_VDI_CAPTION = (
    " Where a virtual desktop hands the audio to the thin client, the media leaves from the client: measure "
    "and record there."
)


def access_picture(assessment: Any) -> Drawn:
    """Draw the way of the voice for each kind of access.

    Parameters
    ----------
    assessment
        The assessment.

    Returns
    -------
    picture
        One row per kind.
    """
    kinds = dict.fromkeys(site.access.replace("_", " ") for site in assessment.client.sites)
    return _drawn(
        figures.draw_access(assessment)[0],
        key="access",
        title="The way of the voice by kind of access",
        description="Stations between agent and relay for: " + ", ".join(kinds) + ".",
        caption=_ACCESS_CAPTION + (_VDI_CAPTION if "vdi" in kinds else ""),
    )
