"""mtr --json of every version: numbers as numbers or as text, hubs with or without AS numbers and extra columns."""

from __future__ import annotations

from typing import Any

from ccp_assess.errors import ParseError
from ccp_assess.paths import RegionProbe, Technique
from ccp_assess.probe.imports.mtr import hop_of_columns, mtr_trace
from ccp_assess.probe.imports.records import MAX_TTL, destination
from ccp_assess.probe.imports.text import count

TOOL = "mtr"


def is_it(document: Any) -> bool:
    """Say whether a JSON value is a report of mtr.

    Parameters
    ----------
    document
        Any JSON value.

    Returns
    -------
    is_it
        Whether it has mtr's ``report`` with ``hubs``.
    """
    return isinstance(document, dict) and isinstance(document.get("report"), dict) and "hubs" in document["report"]


def parse(document: dict[str, Any]) -> RegionProbe:
    """Read one report.

    Parameters
    ----------
    document
        The JSON value.

    Returns
    -------
    probe
        Path and sums.

    Raises
    ------
    ParseError
        If the hubs are no list of objects with a ``count`` and a ``host``.
    """
    report = document["report"]
    about = report.get("mtr")
    facts = about if isinstance(about, dict) else {}
    hubs = report["hubs"]
    if not isinstance(hubs, list) or len(hubs) > MAX_TTL:
        raise ParseError("report.hubs is no list of at most 255 hops; give the whole output of mtr --json")
    hops = []
    for number, hub in enumerate(hubs, start=1):
        ttl = count(hub.get("count")) if isinstance(hub, dict) else None
        if ttl is None or not 1 <= ttl <= MAX_TTL or not isinstance(hub.get("host"), str):
            raise ParseError(f"report.hubs, entry {number}: a hop needs a count of 1 to 255 and a host")
        hops.append(hop_of_columns(ttl, hub["host"], hub, asn=hub.get("ASN")))
    return mtr_trace(
        wanted=destination(facts["dst"] if isinstance(facts.get("dst"), str) else None),
        hops=hops,
        technique=_technique(facts),
        source_host=facts["src"][:255] if isinstance(facts.get("src"), str) else None,
    )


def _technique(facts: dict[str, Any]) -> Technique | None:
    stated = str(facts.get("protocol", facts.get("proto", ""))).lower()
    known: dict[str, Technique] = {"icmp": "icmp", "udp": "udp", "tcp": "tcp"}
    return known.get(stated)
