"""The latency budget of every site as bars of plain HTML: quick to show, sharp at any size, readable as a table."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ccp_assess.report.budgets import BudgetPart, SiteBudget
from ccp_assess.report.style import BASIS_HATCHES, INK, PART_COLOURS, PART_LABELS, QUIET, RULE, tint
from ccp_assess.report.words import clean, ms

MOST_SITES = 14
_LIMIT_MS = 400.0
_LEAST_SCALE_MS = 200.0
_CELL = f"padding:3px 10px 3px 0;text-align:left;color:{INK};line-height:1.25;vertical-align:middle"


def budgets_html(budgets: Sequence[SiteBudget], where: str) -> str:
    """Return one bar for each site, from the caller's mouth to the agent's ear.

    Parameters
    ----------
    budgets
        Of an option.
    where
        The option in words.

    Returns
    -------
    html
        A table whose bars tell the parts by colour and how they are known by texture.
    """
    if not budgets:
        return ""
    shown = sorted(budgets, key=lambda budget: -budget.agents)[:MOST_SITES]
    scale_ms = max(_LEAST_SCALE_MS, *(budget.known_ms for budget in shown)) * 1.02
    rows = "".join(_row(budget, scale_ms) for budget in shown)
    left_out = len(budgets) - len(shown)
    more = f" The {MOST_SITES} sites with most agents of {len(budgets)}." if left_out > 0 else ""
    return (
        f"<table class='ccp-budgets' style='border-collapse:collapse;font-size:13px;width:100%;max-width:860px'>"
        f"<caption style='text-align:left;color:{QUIET};line-height:1.3'>Mouth to ear, one way, with "
        f"{escape(where)}.{more} {_legend()}</caption><tbody>{rows}</tbody></table>"
    )


def _row(budget: SiteBudget, scale_ms: float) -> str:
    bar = "".join(_segment(part, scale_ms) for part in budget.parts if part.one_way_ms)
    limit = 100.0 * _LIMIT_MS / scale_ms
    mark = (
        f"<span style='position:absolute;left:{limit:.1f}%;top:-3px;bottom:-3px;border-left:2px solid {INK}' "
        "title='400 ms: never plan above (ITU-T G.114)'></span>"
        if limit < 100.0
        else ""
    )
    total = ms(budget.total_ms) if budget.total_ms is not None else f"{ms(budget.known_ms)} + unknown"
    name = escape(clean(budget.name, 40))
    return (
        f"<tr><th scope='row' style='{_CELL};font-weight:normal;width:34%'>{name}"
        f"<br><span style='color:{QUIET}'>{budget.agents} agents</span></th>"
        f"<td style='{_CELL};width:54%'><div style='position:relative;display:flex;height:20px;border:1px solid {RULE}"
        f"'>{bar}{mark}</div></td><td style='{_CELL};white-space:nowrap'><strong>{total}</strong></td></tr>"
    )


def _segment(part: BudgetPart, scale_ms: float) -> str:
    value = part.one_way_ms or 0.0
    words = escape(f"{part.label}: {ms(value)}, {part.basis}", quote=True)
    share = 100.0 * value / scale_ms
    # the number stands on paper, so that it can be read on any texture
    number = (
        f"<span style='background:#fff;color:{INK};padding:0 2px;font-size:11px;line-height:1.3'>{value:.0f}</span>"
        if share > 5.0
        else ""
    )
    return (
        f"<span role='img' aria-label='{words}' title='{words}' style='flex:0 0 {share:.2f}%;box-sizing:border-box;"
        f"overflow:hidden;display:flex;align-items:center;justify-content:center;{fill_css(part.part, part.basis)}'>"
        f"{number}</span>"
    )


def fill_css(part: str, basis: str) -> str:
    """Return how an area is filled: solid, hatched on pale, or dotted on near white.

    Parameters
    ----------
    part
        Which part of the way.
    basis
        ``measured``, ``modelled`` or ``assumed``; anything else counts as assumed.

    Returns
    -------
    css
        For a ``style``.
    """
    colour = next((value for key, value in PART_COLOURS.items() if key == part), QUIET)
    if basis == "measured":
        return f"background:{colour};border:1px solid {colour}"
    if basis == "modelled":
        hatch = f"repeating-linear-gradient(135deg,{colour} 0 1px,{tint(colour, 0.42)} 1px 5px)"
        return f"background:{hatch};border:1px dashed {colour}"
    dots = f"radial-gradient({colour} 1px,{tint(colour, 0.14)} 1.2px) 0 0/5px 5px"
    return f"background:{dots};border:1px dotted {colour}"


def _legend() -> str:
    box = "display:inline-block;width:16px;height:10px;vertical-align:middle;box-sizing:border-box"
    parts = [
        f"<span style='{box};background:{PART_COLOURS[part]}'></span> {escape(words.lower())}"
        for part, words in PART_LABELS.items()
    ]
    bases = [f"<span style='{box};{fill_css('handling', basis)}'></span> {basis}" for basis in BASIS_HATCHES]
    return "&ensp; ".join([*parts, *bases])
