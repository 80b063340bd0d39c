"""A ranking as small pieces of HTML that are quick to show; whatever comes from clients is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from ccp_assess.report.style import INK, PART_COLOURS, QUIET, RULE
from ccp_assess.report.words import clean, number
from ccp_assess.selection.document import region_words
from ccp_assess.selection.outcomes import MEAN, MOS, OVER_LIMIT
from ccp_assess.selection.ranking import Outcome, Ranking
from ccp_assess.tables import header

MOST_OPTIONS = 12
LONGEST_BAR_PX = 110
_LONGEST_REASON = 120
_LINE = "margin:2px 0;line-height:1.35"
_CELL = f"padding:2px 12px 2px 0;border-bottom:1px solid {RULE};text-align:left;color:{INK};line-height:1.3"
_NO_WRAP = "white-space:nowrap"
_WAITING = "<div class='ccp-waiting' aria-busy='true' style='opacity:0.4'>"
_HEADS = (
    header("rank"),
    header("regions"),
    header("mouth_to_ear_mean_ms"),
    header("mos_cqe"),
    header("share_over_400_ms_pct"),
    header("probability_best_pct"),
    header("hop_count"),
)


def headline_html(ranking: Ranking, own: Ranking) -> str:
    """Return the chosen option in one line, and how it differs from what the client's own settings give.

    Parameters
    ----------
    ranking
        What is shown.
    own
        The ranking under the client's own settings.

    Returns
    -------
    html
        To be read aloud when it changes.
    """
    chosen, before = _chosen(ranking), _chosen(own)
    moved = ""
    if chosen != before:
        moved = (
            f"<p class='ccp-moved' style='{_LINE};color:{QUIET}'>The client's own settings give {escape(before)}.</p>"
        )
    return (
        f"<div role='status' aria-live='polite' style='color:{INK}'>"
        f"<p class='ccp-chosen' style='{_LINE};font-size:16px;font-weight:bold'>{escape(chosen)}</p>{moved}</div>"
    )


def _chosen(ranking: Ranking) -> str:
    return region_words(ranking.best.regions) if ranking.best else "No option meets the constraints"


def sentences_html(sentences: Iterable[str]) -> str:
    """Return the recommendation in sentences.

    Parameters
    ----------
    sentences
        Of the ranking.

    Returns
    -------
    html
        One paragraph each.
    """
    paragraphs = "".join(f"<p style='{_LINE}'>{escape(sentence)}</p>" for sentence in sentences)
    return f"<div class='ccp-sentences' style='color:{INK};max-width:760px'>{paragraphs}</div>"


def waiting_html(html: str) -> str:
    """Return what is shown from before, paled while it is being worked out again.

    Parameters
    ----------
    html
        What is shown.

    Returns
    -------
    html
        The same, paled once.
    """
    return html if html.startswith(_WAITING) else f"{_WAITING}{html}</div>"


def tipping_html(ranking: dict[str, Any]) -> str:
    """Return what would change the answer.

    Parameters
    ----------
    ranking
        The document of ``regions rank``.

    Returns
    -------
    html
        A list; empty where nothing near would.
    """
    points = (ranking.get("recommendation") or {}).get("tipping_points") or []
    if not points:
        return ""
    items = "".join(f"<li>{escape(clean(point['text'], 300))}</li>" for point in points)
    return (
        f"<div class='ccp-tipping' style='color:{INK}'><p style='{_LINE}'><strong>What would change the answer</strong>"
        f"</p><ul style='{_LINE}'>{items}</ul></div>"
    )


def ranking_html(ranking: Ranking) -> str:
    """Return the options as a table, best first, and below it those that a constraint excludes.

    Parameters
    ----------
    ranking
        What is shown.

    Returns
    -------
    html
        Delay with a bar, quality, share over the limit, how often best, hops.
    """
    options = ranking.eligible
    longest_ms = max((option.statistics.total[MEAN] for option in options), default=1.0)
    rows = "".join(_row(ranking, option, longest_ms) for option in options[:MOST_OPTIONS])
    heads = "".join(f"<th scope='col' style='{_CELL}'>{escape(head)}</th>" for head in _HEADS)
    left_out = len(options) - MOST_OPTIONS
    more = f"<p style='{_LINE};color:{QUIET}'>{left_out} more options follow.</p>" if left_out > 0 else ""
    return (
        "<div style='overflow-x:auto'><table class='ccp-ranking' style='border-collapse:collapse;font-size:13px'>"
        "<caption style='text-align:left;"
        f"line-height:1.3;color:{QUIET}'>Options that the constraints leave, best first by these weights; "
        f"the numbers are physical and do not depend on the weights</caption><thead><tr>{heads}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>{more}{_excluded_html(ranking)}"
    )


def _row(ranking: Ranking, option: Outcome, longest_ms: float) -> str:
    total = option.statistics.total
    width = round(LONGEST_BAR_PX * total[MEAN] / longest_ms)
    bar = (
        f"<span aria-hidden='true' style='display:inline-block;height:9px;width:{width}px;margin-right:6px;"
        f"background:{PART_COLOURS['agent']}'></span>"
    )
    cells = (
        str(option.rank),
        f"<strong>{escape(' + '.join(option.regions))}</strong>",
        f"{bar}{number(total[MEAN])}",
        number(total[MOS], 2),
        number(100 * total[OVER_LIMIT], 1),
        number(ranking.probabilities.get(option.regions)),
        number(option.hop_count, 1),
    )
    return "<tr>" + "".join(f"<td style='{_CELL};{_NO_WRAP}'>{cell}</td>" for cell in cells) + "</tr>"


def _excluded_html(ranking: Ranking) -> str:
    excluded = [option for option in ranking.outcomes if option.rank is None]
    if not excluded:
        return ""
    items = "".join(
        f"<li>{escape(' + '.join(option.regions))}: {escape(clean(_reason(option), _LONGEST_REASON))}</li>"
        for option in excluded
    )
    return (
        f"<details style='color:{QUIET};font-size:12px'><summary>{len(excluded)} excluded</summary>"
        f"<ul style='{_LINE}'>{items}</ul></details>"
    )


def _reason(option: Outcome) -> str:
    return "; ".join(option.option.excluded_by) or "nobody would be served best by one of its instances"
