"""The probe document of the contract, made from the records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ccp_assess.probe.diagnoses import Diagnosis
from ccp_assess.probe.records import NameAnswer, ReachFound, RegionReach, RelayFound, TcpFound, WayFound
from ccp_assess.probe.verdicts_reach import judge_tcp, judge_udp
from ccp_assess.units import rounded

REGIONAL_ROLES = frozenset({"api", "signalling", "other"})
"""Services that stand in the Region itself; what comes from CloudFront is answered by an edge nearby."""


def probe_document(
    reach: ReachFound,
    diagnoses: Mapping[str | None, Sequence[Diagnosis]],
    *,
    site_id: str | None,
    time: str,
    total_ms: float,
    host: Mapping[str, Any],
    ways: Mapping[str | None, WayFound] | None = None,
    parts: Mapping[str | None, dict[str, Any] | None] | None = None,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Write the contract's probe document.

    Parameters
    ----------
    reach
        The round of reaching.
    diagnoses
        Region → what is wrong.
    site_id
        The site, if given.
    time
        When the round began (RFC 3339, UTC).
    total_ms
        How long all the measuring took, paths and trains included [ms].
    host
        Facts of this computer: ``os``, ``privileged``, ``vantage`` and more.
    ways
        Region → what was measured on its way.
    parts
        Region → parts of its delay.
    notes
        What could not be taken into account, in words.

    Returns
    -------
    document
        Plain values.
    """
    found, split = ways or {}, parts or {}
    return {
        "site_id": site_id,
        "time": time,
        "tool": "ccp-assess",
        "host": dict(host),
        "duration_ms": round(reach.duration_ms, 3),
        "total_ms": round(total_ms, 3),
        "complete": reach.complete,
        "resolvers": list(reach.resolvers),
        "controls": [_dns(answer) for answer in reach.controls],
        "notes": list(notes),
        "regions": [
            region_document(region, diagnoses.get(region.region_code, ()), found.get(region.region_code, WayFound()))
            | {"delay_parts": split.get(region.region_code)}
            for region in reach.regions
        ],
    }


def region_document(region: RegionReach, diagnoses: Sequence[Diagnosis], way: WayFound) -> dict[str, Any]:
    """Write one Region's row.

    Parameters
    ----------
    region
        What reaching it found.
    diagnoses
        What is wrong.
    way
        What was measured on its way.

    Returns
    -------
    row
        With ``rtt_ms`` and ``via``: the relay's round trips (``stun``), or where it does not answer the times of TCP
        connects to the Region itself (``tcp``).
    """
    relay = best_relay(region.relays)
    rtts, via = round_trips(region, relay)
    return {
        "region_code": region.region_code,
        "destination": relay.host if relay else next((one.host for one in region.tcp), None),
        "via": via,
        "rtt_ms": rtts,
        "judgement": {"udp": judge_udp(region), "tcp": judge_tcp(region)},
        "dns": [_dns(answer) for answer in _servers_first(region.names)],
        "tcp": [_tcp(one) for one in region.tcp],
        "relay": _relay(relay) if relay else None,
        "relays": [_relay(one) for one in region.relays],
        "train": way.train,
        "path": way.path.to_document() if way.path else None,
        "path_tcp": way.tcp.to_document() if way.tcp and way.tcp is not way.path else None,
        "nat": way.nat,
        "mtu": way.mtu,
        "untested": [{"name": one.name, "reason": one.reason} for one in region.untested],
        "diagnosis": [one.to_document() for one in diagnoses],
    }


def best_relay(relays: Sequence[RelayFound]) -> RelayFound | None:
    """Return the relay that a call would use: by UDP, answering, the fastest; else the first that was asked."""
    asked = [one for one in relays if one.transport == "udp"] or list(relays)
    answering = [one for one in asked if one.answered]
    return min(answering, key=lambda one: min(one.answered), default=None) or (asked[0] if asked else None)


def round_trips(region: RegionReach, relay: RelayFound | None) -> tuple[list[float], str | None]:
    """Return the round trips to a Region and how they were taken.

    Parameters
    ----------
    region
        What reaching it found.
    relay
        Its best relay.

    Returns
    -------
    rtts_ms
        Of the relay; else of TCP connects to services that stand in the Region, directly; else of a relay by TCP; else
        of connects that a proxy made for us, its own way included [ms].
    via
        ``stun``, ``tcp`` or ``None``.
    """
    if relay is not None and relay.transport == "udp" and relay.answered:
        return [round(rtt, 3) for rtt in relay.answered], "stun"
    reached = [one for one in region.tcp if stands_in_region(one)]
    direct = [one for one in reached if one.proxy is None]
    connects = [round(ms, 3) for one in direct or reached for ms in one.connects_ms if ms is not None]
    if not direct:  # a relay that answers over TCP stands in the Region, too
        by_stream = [round(rtt, 3) for one in region.relays if one.transport != "udp" for rtt in one.answered]
        connects = by_stream or connects
    return connects, "tcp" if connects else None


def stands_in_region(one: TcpFound) -> bool:
    """Tell whether a connect reached the Region itself: not an edge nearby, nor a device that opens TLS."""
    if one.outcome != "connected" or one.role not in REGIONAL_ROLES:
        return False
    return one.tls is None or not (one.tls.intercepted or one.tls.trusted is False)


def _servers_first(answers: Sequence[NameAnswer]) -> list[NameAnswer]:
    """Put the server's own word before the system's, which does not tell why a name does not resolve."""
    order = {name: number for number, name in enumerate(dict.fromkeys(answer.name for answer in answers))}
    return sorted(answers, key=lambda one: (order[one.name], one.type, one.via))


def _dns(answer: NameAnswer) -> dict[str, Any]:
    row = {
        "name": answer.name,
        "type": answer.type,
        "answers": list(answer.answers),
        "rcode": answer.rcode,
        "response_ms": rounded(answer.response_ms, 3),
        "resolver": answer.resolver,
        "via": answer.via,
        "tries": answer.tries,
    }
    return row if answer.control is None else {**row, "control": answer.control}


def _tcp(one: TcpFound) -> dict[str, Any]:
    tls, http, met = one.tls, one.http, one.proxy
    return {
        "host": one.host,
        "port": one.port,
        "role": one.role,
        "address": one.address,
        "outcome": one.outcome,
        "connect_ms": rounded(one.connect_ms, 3),
        "connects_ms": [rounded(ms, 3) for ms in one.connects_ms],
        "error": one.error,
        "reporter": one.reporter,
        "tls_ms": rounded(tls.handshake_ms, 3) if tls else None,
        "tls_outcome": tls.outcome if tls else None,
        "tls_error": (tls.error or tls.verify_error) if tls else None,
        "tls_version": tls.version if tls else None,
        "tls_cipher": tls.cipher if tls else None,
        "alpn": tls.alpn if tls else None,
        "certificate_issuer": tls.issuer if tls else None,
        "certificate_root": tls.root_name if tls else None,
        "certificate_root_published": tls.root_published if tls else None,
        "certificate_trusted": tls.trusted if tls else None,
        "certificate_not_after": tls.not_after.isoformat().replace("+00:00", "Z") if tls and tls.not_after else None,
        "intercepted": tls.intercepted if tls else None,
        "http_asked": http.asked if http else None,
        "http_outcome": http.outcome if http else None,
        "http_status": http.status if http else None,
        "http_ms": rounded(http.response_ms, 3) if http else None,
        "clock_offset_s": http.clock_offset_s if http else None,
        "proxy": met.proxy if met else None,
        "proxy_source": met.source if met else None,
        "proxy_outcome": met.outcome if met else None,
        "proxy_status": met.status if met else None,
        "proxy_schemes": list(met.schemes) if met else None,
    }


def _relay(one: RelayFound) -> dict[str, Any]:
    return {
        "host": one.host,
        "address": one.address,
        "port": one.port,
        "transport": one.transport,
        "binding_rtt_ms": [rounded(rtt, 3) for rtt in one.binding_rtt_ms],
        "allocate": one.allocate,
        "allocate_rtt_ms": [rounded(rtt, 3) for rtt in one.allocate_rtt_ms],
        "allocate_error": one.error_code,
        "mapped_address": one.mapped_address,
        "mapped_port": one.mapped_port,
        "local_address": one.local_address,
        "icmp": None if one.icmp is None else {"router": one.icmp.router, "type": one.icmp.type, "code": one.icmp.code},
        "send_error": one.send_error,
        "connect": one.connect,
    }
