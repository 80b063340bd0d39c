"""Probe documents and captures, turned into what the ranking takes as measurements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from ccp_assess.paths import ProbeDocument, RegionProbe, vantage_from_name
from ccp_assess.selection.legs import SiteMeasurement, Via


def measurements_from_documents(documents: Iterable[ProbeDocument]) -> tuple[SiteMeasurement, ...]:
    """Take round trips, hop counts and trains out of probe documents.

    Parameters
    ----------
    documents
        From probing or from other tools' output. Those without a site are left out, and so are
        destinations that belong to no known Region.

    Returns
    -------
    measurements
        One per document and Region (one more where the relay itself was asked).
    """
    return tuple(
        measurement
        for document in documents
        if document.site_id is not None
        for probe in document.regions
        if probe.region_code is not None
        for measurement in _of_probe(document, probe)
    )


def _of_probe(document: ProbeDocument, probe: RegionProbe) -> Iterator[SiteMeasurement]:
    if document.site_id is None or probe.region_code is None:
        return
    path, train = probe.path, probe.details.get("train") or {}
    seen = SiteMeasurement(
        site_id=document.site_id,
        region_code=probe.region_code,
        source=document.source,
        vantage=document.vantage,
        hop_count=path.hop_count if path is not None else None,
        loss_pct=train.get("loss_pct"),
        jitter_ms=train.get("jitter_ms"),
    )
    stands_in = probe.details.get("via") in {"tcp", "https"}  # the relay did not answer
    technique: Via = "tcp" if stands_in else (path.technique if path is not None else None) or "icmp"
    relay = probe.details.get("relay") or {}
    relay_rtts = tuple(float(rtt) for rtt in relay.get("binding_rtt_ms") or () if rtt is not None)
    answered = tuple(rtt for rtt in probe.rtts_ms if rtt is not None)
    if relay_rtts:
        yield replace(seen, rtt_ms=relay_rtts, via="stun")
    elif answered:
        yield replace(seen, rtt_ms=answered, via=technique)
    elif probe.rtt_p50_ms is not None:
        longest = path.hops[-1].rtt_max_ms if path is not None and path.hops and path.destination_answered else None
        yield replace(
            seen,
            rtt_min_ms=probe.rtt_min_ms,
            rtt_p50_ms=probe.rtt_p50_ms,
            rtt_max_ms=max(filter(None, (probe.rtt_p95_ms, longest)), default=None),
            via=technique,
        )
    else:
        # Our own document says itself which connects reached the Region; others' rows are all that there is.
        rows = () if "via" in probe.details else probe.details.get("tcp") or ()
        connects = (row.get("connect_ms") for row in rows)
        yield replace(seen, rtt_ms=tuple(float(ms) for ms in connects if ms is not None), via="tcp")


def measurements_from_captures(captures: Iterable[tuple[str | None, dict[str, Any]]]) -> tuple[SiteMeasurement, ...]:
    """Take the relay's round trips and the inbound loss out of captured calls.

    Parameters
    ----------
    captures
        Pairs of a site and a document of ``capture read``.

    Returns
    -------
    measurements
        One per call whose Region and round trip are known. Loss is what this vantage can see: inbound.
    """
    found = []
    for site_id, document in captures:
        if site_id is None:
            continue
        files = document.get("captures") or [{}]
        vantage = vantage_from_name(PurePath(str(files[0].get("path") or "")).name)
        burst = {
            stream["call_id"]: stream.get("burst_ratio")
            for stream in document.get("streams", [])
            if stream.get("direction") == "in" and stream.get("call_id") is not None
        }
        for call in document.get("calls", []):
            rtt = call.get("rtt_relay_ms") or {}
            if call.get("region_code") is None or rtt.get("p50") is None:
                continue
            inbound = call.get("in") or {}
            found.append(
                SiteMeasurement(
                    site_id=site_id,
                    region_code=call["region_code"],
                    rtt_p50_ms=rtt["p50"],
                    rtt_max_ms=rtt.get("p95"),
                    via="stun",
                    loss_pct=inbound.get("loss_pct"),
                    late_pct=inbound.get("late_pct"),
                    burst_ratio=burst.get(call["call_id"]),
                    jitter_ms=inbound.get("jitter_ms"),
                    playout_ms=inbound.get("playout_ms"),
                    source=f"capture, call {call['call_id']}",
                    vantage=vantage,
                )
            )
    return tuple(found)
