"""What the browser page saved (``ccp-assess probe page``): hostile like any file, read into the same records.

The page's verdicts are names from a closed list; everything else is kept as far as it has the shape that the page
writes. A round trip here is the browser's, from the start of gathering to the mapped address: a little above the
wire's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from ccp_assess.errors import ParseError
from ccp_assess.paths import ProbeDocument, RegionProbe
from ccp_assess.probe.imports import detect
from ccp_assess.probe.imports.records import nearest_rank
from ccp_assess.probe.imports.text import address_or_none, clean_name, count, lines_from_text, milliseconds
from ccp_assess.probe.page import FORMAT, read_verdicts
from ccp_assess.regions import read_regions

TOOL = "ccp-assess probe page"
MOST_REGIONS, MOST_ROWS, MOST_TIMES, MOST_TRACES = 100, 50, 1000, 50
MOST_TRACE_CHARS = 500_000
LARGEST_NUMBER = 1e12
_LAST_PORT = 65_535

_UDP = {"challenged": "challenged", "granted": "granted", "error": "error", "name_not_found": None, "not_sent": None}
_TCP_CONNECT = {"challenged": "connected", "granted": "connected", "error": "connected", "refused": "refused"}
_JUDGED_UDP = {
    "audio_open": "open",
    "audio_partly": "impaired",
    "relay_error": "impaired",
    "no_relay_name": "unknown",
    "nothing_answers": "unknown",
}
_SEVERITY = {"warn": "warning", "bad": "critical", "unknown": "warning"}


def is_it(document: Any) -> bool:
    """Say whether a JSON value is a result of the page.

    Parameters
    ----------
    document
        Any JSON value.

    Returns
    -------
    is_it
        Whether it says so itself.
    """
    return isinstance(document, dict) and str(document.get("format")).startswith(FORMAT.partition("/")[0])


def parse(document: Mapping[str, Any]) -> ProbeDocument:
    """Read one result.

    Parameters
    ----------
    document
        The JSON value.

    Returns
    -------
    document
        One row per Region; a pasted trace joins the row of its Region.

    Raises
    ------
    ParseError
        If it is of another edition of the page, or holds no result.
    """
    if document.get("format") != FORMAT:
        raise ParseError(f"line 1: this is a result of another edition of the browser page; {TOOL} writes {FORMAT}")
    rows = [_region(row) for row in _rows(document.get("regions"), MOST_REGIONS)]
    if not rows:
        raise ParseError("line 1: this result of the browser page holds no Region; run its test before saving")
    traces, notes = _traces(document.get("traces"))
    time = clean_name(_text(document.get("time")))
    return ProbeDocument(
        site_id=clean_name(_text(document.get("site_id"))),
        time=time,
        tool=TOOL,
        vantage="workstation",
        regions=tuple(_joined(rows, traces)),
        host={
            "os": _system(_plain(document.get("browser"))),
            "privileged": False,
            "vantage": "workstation",
            "browser": _plain(document.get("browser")),
            "microphone": _plain(document.get("microphone")),
            "notes": notes,
        },
    )


def _rows(value: Any, most: int) -> list[dict[str, Any]]:
    return [row for row in value[:most] if isinstance(row, dict)] if isinstance(value, list) else []


def _port(value: Any) -> int | None:
    port = count(value)
    return port if port is not None and port <= _LAST_PORT else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _times(value: Any) -> list[float | None]:
    return [milliseconds(one) for one in value[:MOST_TIMES]] if isinstance(value, list) else []


def _plain(value: Any, depth: int = 2) -> Any:
    """Keep facts as they are, bounded: text, numbers, flags, and short lists or objects of these."""
    if isinstance(value, str):
        return clean_name(value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return value if abs(value) < LARGEST_NUMBER else None
    if isinstance(value, list) and depth:
        return [_plain(one, depth - 1) for one in value[:MOST_ROWS]]
    if isinstance(value, dict) and depth:
        return {clean_name(str(key)) or "": _plain(one, depth - 1) for key, one in list(value.items())[:MOST_ROWS]}
    return None


def _system(browser: Any) -> str | None:
    if not isinstance(browser, dict):
        return None
    parts = [browser.get("platform"), browser.get("platform_version")]
    return " ".join(str(part) for part in parts if part) or None


def _region(row: dict[str, Any]) -> RegionProbe:
    stated = clean_name(_text(row.get("region_code")))
    code = stated if stated in read_regions() else None
    udp, tcp, times = [], [], []
    for relay in _rows(row.get("relays"), MOST_ROWS):
        by_udp, by_tcp = _relay(relay)
        udp.append(by_udp)
        tcp.append(by_tcp)
        times += [ms for ms in by_udp["binding_rtt_ms"] if ms is not None]
    best = min(udp, key=lambda one: (min(_known(one), default=math.inf), one["allocate"] != "challenged"), default=None)
    sites = [_site(site) for site in _rows(row.get("web"), MOST_ROWS)]
    web = [ms for site in sites if site["http_kept_open"] for ms in site["http_again_ms"]]
    verdicts = _verdicts(row.get("verdicts"))
    # The fastest relay's own times: a call is given one relay, not the mean of several.
    asked = best["binding_rtt_ms"] if best is not None and times else web
    rtts = [ms for ms in asked if ms is not None]
    return RegionProbe(
        region_code=code,
        destination=best["host"] if best else next((site["host"] for site in sites), None),
        rtts_ms=tuple(asked) if rtts else (),
        rtt_min_ms=min(rtts, default=None),
        rtt_p50_ms=nearest_rank(rtts, 50) if rtts else None,
        rtt_p95_ms=nearest_rank(rtts, 95) if rtts else None,
        sent=len(asked) or None,
        received=len(rtts) if asked else None,
        details={
            "tool": TOOL,
            "via": "stun" if times else "https" if web else None,
            "judgement": {"udp": _judged_udp(verdicts), "tcp": _judged_web(sites)},
            "relay": best,
            "relays": udp + tcp,
            "tcp": sites,
            "diagnosis": _diagnosis(verdicts, [str(one["host"]) for one in udp]),
            "complete": row.get("complete") is True,
        },
    )


def _verdicts(value: Any) -> list[str]:
    names = value[:MOST_ROWS] if isinstance(value, list) else []
    return [name for name in names if isinstance(name, str) and name in read_verdicts()]


def _known(relay: Mapping[str, Any]) -> list[float]:
    return [ms for ms in relay["binding_rtt_ms"] if ms is not None]


def _relay(row: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read what was seen of one relay, by UDP and by TCP."""
    udp, tcp = _text(row.get("udp")), _text(row.get("tcp"))
    shared = {"host": clean_name(_text(row.get("host"))), "address": None, "port": _port(row.get("port"))}
    by_udp: dict[str, Any] = {
        **shared,
        "transport": "udp",
        "binding_rtt_ms": _times(row.get("binding_ms")),
        "allocate": _UDP.get(udp or "", "no_answer"),
        "allocate_error": count(row.get("error_code")),
        "mapped_address": address_or_none(_text(row.get("mapped_address")) or ""),
        "name_found": udp != "name_not_found",
    }
    by_tcp: dict[str, Any] = {
        **shared,
        "transport": "tcp",
        "binding_rtt_ms": [],
        "allocate": "challenged" if tcp in {"challenged", "granted"} else None,
        "connect": _TCP_CONNECT.get(tcp or "", "timeout" if tcp == "no_answer" else None),
    }
    return by_udp, by_tcp


def _site(row: dict[str, Any]) -> dict[str, Any]:
    """Read what HTTPS found; a browser does not tell connecting from the rest, nor why something failed."""
    reached = row.get("outcome") == "reached"
    websocket = _text(row.get("websocket"))
    return {
        "host": clean_name(_text(row.get("host"))),
        "port": _port(row.get("port")),
        "outcome": "connected" if reached else None,
        "connect_ms": None,
        "tls_ms": None,
        "tls_version": None,
        "certificate_issuer": None,
        "intercepted": None,
        "proxy": None,
        "http_ms": milliseconds(row.get("first_ms")),
        "http_new_ms": milliseconds(row.get("new_ms")),
        "http_again_ms": [ms for ms in _times(row.get("again_ms")) if ms is not None] if reached else [],
        "http_kept_open": reached and row.get("kept_open") is True,
        "websocket": websocket if websocket in {"opened", "failed"} else None,
        "websocket_ms": milliseconds(row.get("websocket_ms")),
        "error": None if reached else "not fetched: blocked, refused, or with a certificate that is not trusted",
    }


def _judged_udp(verdicts: list[str]) -> str:
    first = verdicts[0] if verdicts else "nothing_answers"
    return "unknown" if first.startswith("web") else _JUDGED_UDP.get(first, "blocked")


def _judged_web(sites: list[dict[str, Any]]) -> str:
    reached = [site["outcome"] == "connected" for site in sites]
    if not reached:
        return "unknown"
    return "open" if all(reached) else "impaired" if any(reached) else "blocked"


def _diagnosis(verdicts: list[str], relays: list[str]) -> list[dict[str, Any]]:
    found = []
    for name in dict.fromkeys(verdicts):
        told = read_verdicts()[name]
        if told["level"] != "good":
            found.append(
                {
                    "code": told["code"],
                    "severity": _SEVERITY[cast("str", told["level"])],
                    "text": f"{told['title']}. {told['text']}",
                    "change": cast("str", told["change"]).replace("{relays}", ", ".join(relays)),
                    "confidence": "cannot_tell" if told["level"] == "unknown" else "likely",
                }
            )
    return found


def _traces(value: Any) -> tuple[list[RegionProbe], list[str]]:
    """Read the pasted traces; what cannot be read is said, not fatal: the rest of the result stands."""
    found: list[RegionProbe] = []
    notes = []
    texts = [one for one in value[:MOST_TRACES] if isinstance(one, str)] if isinstance(value, list) else []
    for number, text in enumerate(texts, start=1):
        try:
            found += detect.parse_text(lines_from_text(text[:MOST_TRACE_CHARS]))
        except ParseError as error:
            notes.append(f"The pasted trace {number} was left out: {error}")
    return found, notes


def _joined(rows: list[RegionProbe], traces: list[RegionProbe]) -> list[RegionProbe]:
    """Give each Region the path of its trace; traces of other destinations stay rows of their own."""
    joined, left = [], list(traces)
    for row in rows:
        hosts = {relay["host"] for relay in row.details["relays"]}
        mine = next(
            (
                one
                for one in left
                if one.destination in hosts or (one.region_code and one.region_code == row.region_code)
            ),
            None,
        )
        if mine is None or mine.path is None:
            joined.append(row)
            continue
        left.remove(mine)
        joined.append(replace(row, path=mine.path, details={**row.details, "path_tool": mine.details.get("tool")}))
    return joined + left
