"""Our own probe documents, as ``ccp-assess probe`` and ``probe import`` write them: back into the same records."""

from __future__ import annotations

from typing import Any

from ccp_assess.errors import ParseError
from ccp_assess.paths import Hop, Path, ProbeDocument, RegionProbe, Technique
from ccp_assess.probe.document_schema import wrong_in
from ccp_assess.probe.imports.text import MAX_NAME_CHARS, asn_or_none, clean_name, count, milliseconds


def is_it(document: Any) -> bool:
    """Say whether a JSON value is one of our probe documents.

    Parameters
    ----------
    document
        Any JSON value.

    Returns
    -------
    is_it
        Whether it has ``regions``, a list of objects.
    """
    return (
        isinstance(document, dict)
        and isinstance(document.get("regions"), list)
        and "options" not in document
        and all(isinstance(row, dict) for row in document["regions"])
        and ("host" in document or "site_id" in document or "time" in document)
    )


def parse(document: dict[str, Any]) -> ProbeDocument:
    """Read one document.

    Parameters
    ----------
    document
        The JSON value.

    Returns
    -------
    document
        The same as records.

    Raises
    ------
    ParseError
        If it does not fit the schema; the text names the place.
    """
    wrong = wrong_in(document)
    if wrong:
        raise ParseError(wrong)
    host = document.get("host")
    facts = host if isinstance(host, dict) else {}
    return ProbeDocument(
        site_id=_text(document.get("site_id")),
        time=_text(document.get("time")),
        tool=_text(document.get("tool")) or "ccp-assess",
        vantage=_text(facts.get("vantage")),
        regions=tuple(map(_region, document["regions"])),
        host=facts,
    )


def _text(value: Any) -> str | None:
    return clean_name(value[:MAX_NAME_CHARS]) if isinstance(value, str) else None


def _region(row: dict[str, Any]) -> RegionProbe:
    relay = row.get("relay")
    train = row.get("train")
    asked = _times(row.get("rtt_ms")) or _times(relay.get("binding_rtt_ms") if isinstance(relay, dict) else None)
    times = sorted(rtt for rtt in asked if rtt is not None)
    sums = train if isinstance(train, dict) else {}
    path = row.get("path")
    known = {
        "region_code",
        "destination",
        "rtt_ms",
        "rtt_min_ms",
        "rtt_p50_ms",
        "rtt_p95_ms",
        "sent",
        "received",
        "path",
    }
    return RegionProbe(
        region_code=_text(row.get("region_code")),
        destination=_text(row.get("destination")) or (_text(relay.get("host")) if isinstance(relay, dict) else None),
        rtts_ms=asked if times else (),
        rtt_min_ms=_first(row.get("rtt_min_ms"), times[0] if times else None),
        rtt_p50_ms=_first(row.get("rtt_p50_ms"), sums.get("rtt_p50_ms"), _rank(times, 50)),
        rtt_p95_ms=_first(row.get("rtt_p95_ms"), sums.get("rtt_p95_ms"), _rank(times, 95)),
        sent=count(row.get("sent")) if row.get("sent") is not None else (len(asked) or None),
        received=count(row.get("received")) if row.get("received") is not None else (len(times) if asked else None),
        path=_path(path) if isinstance(path, dict) else None,
        details={key: value for key, value in row.items() if key not in known},
    )


def _first(*values: Any) -> float | None:
    return next((ms for value in values if (ms := milliseconds(value)) is not None), None)


def _rank(times: list[float], percent: int) -> float | None:
    return times[max(-(-percent * len(times) // 100) - 1, 0)] if times else None


def _times(values: Any) -> tuple[float | None, ...]:
    return tuple(milliseconds(value) for value in values[:100_000]) if isinstance(values, list) else ()


def _path(path: dict[str, Any]) -> Path:
    hops = [
        Hop(
            ttl=row["ttl"],
            address=_text(row.get("address")),
            sent=row.get("sent"),
            received=row.get("received"),
            rtts_ms=_times(row.get("rtt_ms")),
            rtt_min_ms=milliseconds(row.get("rtt_min_ms")),
            rtt_avg_ms=milliseconds(row.get("rtt_avg_ms")),
            rtt_max_ms=milliseconds(row.get("rtt_max_ms")),
            asn=asn_or_none(row["asn"]) if row.get("asn") is not None else None,
            name=_text(row.get("name")),
            addresses=_texts(row.get("addresses")),
            annotations=_texts(row.get("annotations")),
        )
        for row in path.get("hops", ())
    ]
    known: dict[str, Technique] = {"icmp": "icmp", "udp": "udp", "tcp": "tcp"}
    return Path(
        technique=known.get(str(path.get("technique"))),
        hops=tuple(hops),
        destination_answered=path.get("destination_answered") is True,
        hop_count=count(path.get("hop_count")),
    )


def _texts(values: Any) -> tuple[str, ...]:
    texts = (_text(value) for value in values[:100]) if isinstance(values, list) else ()
    return tuple(text for text in texts if text)
