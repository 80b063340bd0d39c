"""A ranking as small pieces of HTML that are quick to show; all text from clients is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from ccp_assess.report.figures.options import eligible
from ccp_assess.report.style import CRITICAL, INK, PART_COLOURS, QUIET, RULE
from ccp_assess.report.words import clean, number

MOST_OPTIONS = 12
_LONGEST_REASON = 90
_CELL = f"padding:2px 10px 2px 0;border-bottom:1px solid {RULE};text-align:left;color:{INK}"


def sentences_html(sentences: Iterable[str]) -> str:
    """Return the recommendation, to be read aloud when it changes.

    Parameters
    ----------
    sentences
        Of the ranking.

    Returns
    -------
    html
        The first sentence bold.
    """
    first, *others = [escape(sentence) for sentence in sentences] or ["No Region can be recommended."]
    rest = "".join(f"<p style='margin:2px 0;line-height:1.35'>{sentence}</p>" for sentence in others)
    return (
        f"<div role='status' aria-live='polite' class='ccp-answer' style='color:{INK}'>"
        f"<p style='margin:2px 0;line-height:1.35'><strong>{first}</strong></p>{rest}</div>"
    )


def changes_html(own: dict[str, Any], shown: dict[str, Any]) -> str:
    """Say how what is shown differs from what the client's own settings give.

    Parameters
    ----------
    own, shown
        Documents of ``regions rank``.

    Returns
    -------
    html
        Empty where the recommendation is the same.
    """
    before, after = _recommended(own), _recommended(shown)
    if before == after:
        return ""
    return (
        f"<p class='ccp-change' style='margin:2px 0;color:{QUIET}'>With the client's own settings it is "
        f"<strong>{escape(before or 'none')}</strong>; with these it is <strong>{escape(after or 'none')}</strong>.</p>"
    )


def _recommended(document: dict[str, Any]) -> str:
    return " + ".join((document.get("recommendation") or {}).get("regions") or ())


def problem_html(sentence: str) -> str:
    """Return a sentence of our own errors.

    Parameters
    ----------
    sentence
        Text of the error.

    Returns
    -------
    html
        To be read aloud at once; what is shown below it is from before.
    """
    return (
        f"<p role='alert' style='color:{CRITICAL};margin:2px 0'>{escape(sentence)} (Shown below is the answer from "
        "before.)</p>"
    )


def ranking_html(document: dict[str, Any]) -> str:
    """Return the options as a table: delay with a bar, quality, how often best, and what excludes the others.

    Parameters
    ----------
    document
        Of ``regions rank``.

    Returns
    -------
    html
        Best first, then the excluded ones.
    """
    options = eligible(document)
    longest = max((option["mouth_to_ear_ms"]["mean"] or 0.0 for option in options), default=0.0) or 1.0
    rows = "".join(_option_row(option, longest) for option in options[:MOST_OPTIONS])
    left_out = len(options) - MOST_OPTIONS
    more = f"<p style='color:{QUIET}'>{left_out} more options are not shown.</p>" if left_out > 0 else ""
    heads = "".join(
        f"<th scope='col' style='{_CELL}'>{head}</th>"
        for head in ("Rank", "Region", "Mouth to ear [ms]", "MOS-CQE", "Over 150 ms [%]", "Best in [%] of draws")
    )
    return (
        f"<table class='ccp-ranking' style='border-collapse:collapse;font-size:13px'><caption style='text-align:left;"
        f"color:{QUIET}'>Options that the constraints leave, best first; one-way delay over all calls</caption>"
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>{more}{_excluded_html(document)}"
    )


def _option_row(option: dict[str, Any], longest: float) -> str:
    delay = option["mouth_to_ear_ms"]["mean"]
    width = round(110 * (delay or 0.0) / longest)
    bar = (
        f"<span aria-hidden='true' style='display:inline-block;height:9px;width:{width}px;margin-right:6px;"
        f"background:{PART_COLOURS['agent']}'></span>"
    )
    cells = (
        escape(str(option["rank"]) if option["rank"] is not None else ""),
        f"<strong>{escape(' + '.join(option['regions']))}</strong>",
        f"{bar}{number(delay)}",
        number(option["mos_cqe"]["mean"], 2),
        number(option["share_over_150_ms_pct"]),
        number(option["probability_best_pct"]),
    )
    return "<tr>" + "".join(f"<td style='{_CELL}'>{cell}</td>" for cell in cells) + "</tr>"


def _excluded_html(document: dict[str, Any]) -> str:
    excluded = [option for option in document.get("options", []) if option["excluded_by"]]
    if not excluded:
        return ""
    items = "".join(
        f"<li>{escape(' + '.join(option['regions']))}: {escape(_reasons(option))}</li>" for option in excluded
    )
    return (
        f"<details style='color:{QUIET};font-size:12px'><summary>{len(excluded)} excluded</summary>"
        f"<ul style='margin:2px 0;line-height:1.3'>{items}</ul></details>"
    )


def _reasons(option: dict[str, Any]) -> str:
    return "; ".join(clean(reason, _LONGEST_REASON) for reason in option["excluded_by"])
