"""What was measured: ways, paths, and what probes found at workstations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ccp_assess.report.content.findings import SEVERITY_ORDER, SEVERITY_WORDS, value_words
from ccp_assess.report.figures.map import chosen_regions
from ccp_assess.report.words import known

MOST_PATHS = 4


def measurement_rows(assessment: Any) -> list[dict[str, Any]]:
    """Return every measured way: from where to where, when, by what, with its round trip and hop count.

    Parameters
    ----------
    assessment
        The assessment.

    Returns
    -------
    rows
        One per probe document and Region, and one per site and Region seen in captures.
    """
    rows = [_probe_row(document, region) for document in assessment.measurements for region in document["regions"]]
    rows += list(_capture_rows(assessment))
    return sorted(rows, key=lambda row: (str(row["site_id"]), str(row["region_code"]), str(row["time"])))


def _probe_row(document: dict[str, Any], region: dict[str, Any]) -> dict[str, Any]:
    path, train, relay = region.get("path") or {}, region.get("train") or {}, region.get("relay") or {}
    hops = path.get("hops") or []
    last = next((hop for hop in hops if hop["ttl"] == path.get("hop_count")), None)
    binding = sorted(rtt for rtt in relay.get("binding_rtt_ms") or [] if rtt is not None)
    p50, method = train.get("rtt_p50_ms"), "STUN train"
    if p50 is None and binding:
        p50, method = binding[(len(binding) - 1) // 2], "STUN"
    if p50 is None and last is not None:
        p50, method = last.get("rtt_avg_ms"), f"{path.get('technique') or 'unknown technique'}, mean of the last hop"
    return {
        "site_id": document.get("site_id"),
        "region_code": region.get("region_code"),
        "time": document.get("time"),
        "rtt_p50_ms": p50,
        "rtt_p95_ms": train.get("rtt_p95_ms"),
        "method": method if p50 is not None else None,
        "hop_count": path.get("hop_count"),
        "hops_seen": path.get("hops_seen"),
        "loss_pct": train.get("loss_pct"),
        "loss_ci95_pct": train.get("loss_ci95_pct"),
        "jitter_ms": train.get("jitter_ms"),
        "vantage": (document.get("host") or {}).get("vantage"),
        "source": document.get("source") or document.get("tool"),
    }


def _capture_rows(assessment: Any) -> Iterator[dict[str, Any]]:
    for entry in assessment.captures:
        for call in entry["document"]["calls"]:
            if call["rtt_media_ms"]["n"] or call["rtt_relay_ms"]["n"]:
                best = call["rtt_media_ms"] if call["rtt_media_ms"]["n"] else call["rtt_relay_ms"]
                yield {
                    "site_id": entry["site_id"],
                    "region_code": call.get("region_code"),
                    "time": call["start_time"],
                    "rtt_p50_ms": best["p50"],
                    "rtt_p95_ms": best["p95"],
                    "method": "STUN in a call, media" if best is call["rtt_media_ms"] else "STUN in a call, relay",
                    "hop_count": None,
                    "hops_seen": None,
                    "loss_pct": call["in"]["loss_pct"],
                    "loss_ci95_pct": None,
                    "jitter_ms": call["in"]["jitter_ms"],
                    "vantage": entry.get("vantage"),
                    "source": entry.get("file"),
                }


def paths_to_draw(assessment: Any) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Choose the paths to draw: to the recommended Regions first, one per site, longest known first.

    Parameters
    ----------
    assessment
        The assessment.

    Returns
    -------
    paths
        Probe document and the entry of its ``regions``.
    """
    chosen = set(chosen_regions(assessment.ranking))
    candidates = [
        (document, region)
        for document in assessment.measurements
        for region in document["regions"]
        if (region.get("path") or {}).get("hops")
    ]
    candidates.sort(
        key=lambda pair: (pair[1].get("region_code") not in chosen, not pair[1]["path"]["destination_answered"])
    )
    seen: set[Any] = set()
    first = [pair for pair in candidates if not (pair[0].get("site_id") in seen or seen.add(pair[0].get("site_id")))]  # type: ignore[func-returns-value]
    return first[:MOST_PATHS]


def diagnosis_rows(assessment: Any) -> list[dict[str, Any]]:
    """Return what probes found at workstations, gravest first.

    Parameters
    ----------
    assessment
        The assessment.

    Returns
    -------
    rows
        ``site_id, region_code, code, severity, word, text, time``.
    """
    rows = [
        {
            **item,
            "site_id": document.get("site_id"),
            "region_code": region.get("region_code"),
            "time": document.get("time"),
            "word": SEVERITY_WORDS.get(item["severity"], item["severity"]),
        }
        for document in assessment.measurements
        for region in document["regions"]
        for item in region.get("diagnosis") or []
    ]
    return sorted(rows, key=lambda row: SEVERITY_ORDER.get(row["severity"], 3))


def computer_rows(assessment: Any) -> list[dict[str, Any]]:
    """Return the computers that probes ran on, held against what AWS asks of a workstation.

    Parameters
    ----------
    assessment
        The assessment.

    Returns
    -------
    rows
        ``site_id, os, cpu, memory_gb, browsers, link, virtual_desktop, short_of``; the last names what is below the
        requirements. A computer that probed several times is one row.
    """
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for document in assessment.measurements:
        host = document.get("host") or {}
        computer = host.get("computer")
        if not isinstance(computer, dict):
            continue
        link = computer.get("link") or {}
        required = [row for row in host.get("requirements") or () if isinstance(row, dict)]
        row = {
            "site_id": document.get("site_id"),
            "os": computer.get("os"),
            "cpu": computer.get("cpu"),
            "memory_gb": computer.get("memory_gb"),
            "browsers": ", ".join(f"{name} {version}" for name, version in (computer.get("browsers") or {}).items()),
            "link": _link_words(link),
            "virtual_desktop": computer.get("virtual_desktop"),
            "short_of": "; ".join(
                f"{value_words(one.get('found'))} {one.get('unit')} of {value_words(one.get('minimum'))}"
                for one in required
                if one.get("met") is False
            ),
        }
        rows[tuple(row.values())] = row
    return list(rows.values())


def _link_words(link: dict[str, Any]) -> str | None:
    if not link:
        return None
    kind = "VPN" if link.get("is_tunnel") else "wireless" if link.get("is_wireless") else "wired"
    unknown = link.get("is_tunnel") is None and link.get("is_wireless") is None
    signal = f", {value_words(link['signal_dbm'])} dBm" if known(link.get("signal_dbm")) else ""
    return f"{'kind unknown' if unknown else kind}{signal}"
