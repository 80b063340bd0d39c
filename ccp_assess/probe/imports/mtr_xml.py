"""mtr --xml: the report's columns as elements. Read by shape, without an XML parser, so that no entity can unfold."""

from __future__ import annotations

import html
import re

from ccp_assess.errors import ParseError
from ccp_assess.paths import RegionProbe
from ccp_assess.probe.imports.mtr import hop_of_columns, mtr_trace
from ccp_assess.probe.imports.records import MAX_TTL, destination
from ccp_assess.probe.imports.text import count

TOOL = "mtr"

_ROOT = re.compile(r"<MTR\s([^<>]{0,2000})>")
_ATTRIBUTE = re.compile(r"([A-Z]{1,16})=\"([^\"<>]{0,400})\"")
_COLUMN = re.compile(r"<([A-Za-z]{1,10})%?>\s{0,40}([0-9.]{1,16})\s?%?\s{0,40}</")


def is_it(text: str) -> bool:
    """Say whether a text is such a report.

    Parameters
    ----------
    text
        Any text.

    Returns
    -------
    is_it
        Whether it has mtr's root element near its start.
    """
    return bool(_ROOT.search(text[:4000]))


def parse(text: str) -> RegionProbe:
    """Read one report.

    Parameters
    ----------
    text
        The whole document.

    Returns
    -------
    probe
        Path and sums.

    Raises
    ------
    ParseError
        If it holds no hop, or one without a number.
    """
    root = _ROOT.search(text)
    facts = dict(_ATTRIBUTE.findall(root.group(1))) if root else {}
    hops = []
    line = 1
    before, *hubs = text.split("<HUB ")
    for hub in hubs[:MAX_TTL]:
        line += before.count("\n")
        before = hub
        opened, closed, inside = hub.partition("</HUB>")[0].partition(">")
        about = dict(_ATTRIBUTE.findall(opened[:2000]))
        ttl = count(about.get("COUNT"))
        if not closed or ttl is None or not 1 <= ttl <= MAX_TTL or "HOST" not in about:
            raise ParseError(
                f"line {line}: a HUB needs a COUNT of 1 to 255 and a HOST; give the whole output of mtr --xml"
            )
        cells = dict(_COLUMN.findall(inside[:4000]))
        hops.append(hop_of_columns(ttl, html.unescape(about["HOST"]), cells, asn=about.get("ASN")))
    if not hops:
        raise ParseError("line 1: this report of mtr --xml holds no HUB; give the whole output")
    whole = "</MTR>" in text
    notes = () if whole else ("the report breaks off before </MTR>",)
    return mtr_trace(
        wanted=destination(html.unescape(facts["DST"]) if "DST" in facts else None),
        hops=hops,
        technique=None,
        whole=whole,
        notes=notes,
    )
