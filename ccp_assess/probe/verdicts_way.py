"""What paths, trains, NAT and packet sizes say: rules from records to diagnoses."""

from __future__ import annotations

import csv
import io
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from ccp_assess.findings import counted
from ccp_assess.paths import Hop
from ccp_assess.probe.diagnoses import Diagnosis, diagnosis
from ccp_assess.probe.intervals import fisher_greater
from ccp_assess.probe.records import ReachFound, WayFound, WorkstationFound
from ccp_assess.probe.traced import ProbedPath
from ccp_assess.units import Severity

TARGET_LOSS_PCT = 0.1
"""Loss is spoken of where its 95 % interval lies above this."""
ARTEFACT_P = 0.01
MOST_HOPS_APART = 2
"""More hops of difference between there and back than this are called asymmetric."""
WEAK_SIGNAL_DBM = -70.0
"""Vendors of voice over Wi-Fi plan for -67 dBm or better."""
UNSTEADY_FIRST_HOP_MS = 20.0
DETOUR_HOPS, DETOUR_MS = 4, 15.0
"""So many private hops that take so long in all are a company's network, not a site's."""
FAR_GATEWAY_MS = 30.0
"""A gateway this far away stands elsewhere: the other end of a tunnel or of a leased line."""
NEEDED_IDLE_S = 30.0
"""Keep-alives of a softphone come every 2.5 to 10 s; a limit below this leaves no reserve."""

_COMPANY = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))


@dataclass(frozen=True, slots=True, kw_only=True)
class WayView:
    """What the rules look at.

    Parameters
    ----------
    ways
        Region → what was measured on its way.
    reach
        The round of reaching, for the addresses under which the relays see this site.
    workstation
        What this computer says of its link.
    """

    ways: Mapping[str | None, WayFound]
    reach: ReachFound
    workstation: WorkstationFound = field(default_factory=WorkstationFound)


@cache
def limit(metric: str) -> tuple[float, float]:
    """Read from when on a metric is a warning and critical (reference/limits.csv)."""
    content = resources.files("ccp_assess.reference").joinpath("limits.csv").read_text(encoding="utf-8")
    row = next(row for row in csv.DictReader(io.StringIO(content)) if row["metric"] == metric)
    return float(row["warning"]), float(row["critical"])


def _severity(metric: str, value: float) -> Severity:
    warning, critical = limit(metric)
    return "critical" if value >= critical else "warning" if value >= warning else "info"


def way_diagnoses(view: WayView, region_code: str | None) -> tuple[Diagnosis, ...]:
    """Judge the way to one Region.

    Parameters
    ----------
    view
        What was measured.
    region_code
        The Region.

    Returns
    -------
    diagnoses
        In no order.
    """
    way = view.ways.get(region_code) or WayFound()
    return (
        *_train(region_code, way.train),
        *_wireless(view, way),
        *_tunnel(view, region_code, way),
        *_artefacts(view, way.udp),
        *_asymmetry(region_code, way.udp),
        *_detour(region_code, way.path),
        *_sizes(region_code, way.mtu),
        *_translation(way.nat, way.train),
        *_egress(view.reach),
    )


# ---------------------------------------------------------------- trains


def _train(region_code: str | None, train: Mapping[str, Any] | None) -> Iterable[Diagnosis]:
    if train is None or not train.get("sent"):
        return
    own = train.get("self_inflicted") or {}
    if own.get("spoiled"):
        values = {"late_pct": own.get("late_sends_pct") or 0.0, "overflows": own.get("overflowed") or 0}
        yield diagnosis("SELF_INFLICTED", "certain", values, {**values, "reasons": own.get("reasons")})
        return
    loss_pct, (low_pct, high_pct) = train.get("loss_pct") or 0.0, train.get("loss_ci95_pct") or (None, None)
    if train.get("rate_limited"):
        rate = 50.0 * (train.get("calls") or 1) * train["received"] / train["sent"]
        values = {"region": region_code, "loss_pct": loss_pct, "rate": rate}
        yield diagnosis("RATE_LIMITED", "certain", values, {**values, "p_value": train.get("rate_limit_p")})
    elif low_pct is not None and low_pct > TARGET_LOSS_PCT:
        values = {
            "region": region_code,
            "loss_pct": loss_pct,
            "low_pct": low_pct,
            "high_pct": high_pct,
            "bursts": train.get("bursts"),
        }
        yield diagnosis("LOSS", "certain", values, severity=_severity("loss_pct", loss_pct))
    jitter_ms = _mean_jitter_ms(train)
    if jitter_ms is not None and jitter_ms >= limit("jitter_ms")[0]:
        values = {"region": region_code, "variation_ms": train.get("pdv_p95_ms") or jitter_ms}
        evidence = {**values, "jitter_ms": jitter_ms}
        yield diagnosis("JITTER", "certain", values, evidence, severity=_severity("jitter_ms", jitter_ms))


def _mean_jitter_ms(train: Mapping[str, Any]) -> float | None:
    """Return the mean of what RFC 3550's estimator smooths: its last value alone depends on the last packets."""
    mean_ms = train.get("ipdv_mean_ms")
    return float(mean_ms) if mean_ms is not None else train.get("jitter_ms")


def _suffers(train: Mapping[str, Any] | None) -> bool:
    if not train or (train.get("self_inflicted") or {}).get("spoiled") or train.get("rate_limited"):
        return False
    low_pct = (train.get("loss_ci95_pct") or (None, None))[0]
    lossy = low_pct is not None and low_pct > TARGET_LOSS_PCT
    return lossy or (_mean_jitter_ms(train) or 0.0) >= limit("jitter_ms")[0]


def _wireless(view: WayView, way: WayFound) -> Iterable[Diagnosis]:
    link, path = view.workstation, way.udp or way.tcp
    if not link.is_wireless or not _suffers(way.train):
        return
    first = path.path.hops[0] if path is not None and path.path.hops else None
    spread_ms = (
        first.rtt_max_ms - first.rtt_min_ms
        if first is not None and first.rtt_max_ms is not None and first.rtt_min_ms is not None
        else None
    )
    if link.signal_dbm is not None and link.signal_dbm < WEAK_SIGNAL_DBM:
        why = f"signal {link.signal_dbm:.0f} dBm"
    elif spread_ms is not None and spread_ms > UNSTEADY_FIRST_HOP_MS:
        why = f"its own first hop varies by {spread_ms:.0f} ms"
    else:
        return
    evidence = {"signal_dbm": link.signal_dbm, "first_hop_spread_ms": spread_ms, "interface": link.interface}
    yield diagnosis("WIFI_LOSSY", "likely", {"why": why}, evidence)


def _tunnel(view: WayView, region_code: str | None, way: WayFound) -> Iterable[Diagnosis]:
    link = view.workstation
    if link.is_tunnel and link.has_underlay and (way.path is not None or way.train is not None):
        values = {"region": region_code, "interface": link.interface or "a tunnel"}
        yield diagnosis("VPN_IN_THE_WAY", "certain", values)


# ---------------------------------------------------------------- paths


def _artefacts(view: WayView, traced: ProbedPath | None) -> Iterable[Diagnosis]:
    """Tell routers that answer seldom from loss: whatever lies behind them answers."""
    if traced is None or not traced.path.destination_answered:
        return
    for hop in traced.path.hops[:-1]:
        if not hop.address or not hop.received or hop.sent is None or hop.received >= hop.sent:
            continue
        sent, received = _answers_of(view, hop.address)
        behind = [later for later in traced.path.hops if later.ttl > hop.ttl and later.received]
        behind_sent = sum(later.sent or 0 for later in behind)
        behind_lost = behind_sent - sum(later.received or 0 for later in behind)
        last = traced.path.hops[-1]
        if (last.received or 0) < (last.sent or 0):
            continue  # what is lost at the end may as well be lost here
        if fisher_greater(sent - received, sent, behind_lost, behind_sent) < ARTEFACT_P:
            values = {"ttl": hop.ttl, "address": hop.address, "answered": received, "sent": sent}
            yield diagnosis("HOP_ARTEFACT", "certain", values)


def _answers_of(view: WayView, address: str) -> tuple[int, int]:
    """Sum up what a router was asked and answered on all ways that were asked apart."""
    hops = [
        hop
        for way in view.ways.values()
        if way.udp is not None
        for hop in way.udp.path.hops
        if hop.address == address and hop.ttl not in way.udp.shared_ttls
    ]
    return sum(hop.sent or 0 for hop in hops), sum(hop.received or 0 for hop in hops)


def _asymmetry(region_code: str | None, traced: ProbedPath | None) -> Iterable[Diagnosis]:
    if traced is None or traced.path.hop_count is None or traced.return_hops is None:
        return
    there, back = traced.path.hop_count, traced.return_hops
    if abs(there - back) > MOST_HOPS_APART:
        yield diagnosis("ASYMMETRIC", "likely", {"region": region_code, "there": there, "back": back})


def is_company_address(address: str | None) -> bool:
    """Tell whether an address is private (RFC 1918, RFC 4193)."""
    if address is None:
        return False
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed.version == block.version and parsed in block for block in _COMPANY)


def private_run(hops: Sequence[Hop]) -> tuple[Hop, ...]:
    """Return the private hops before the first public one; empty where no public hop follows.

    Parameters
    ----------
    hops
        A path.

    Returns
    -------
    run
        Hops that answered, in order.
    """
    run: list[Hop] = []
    for hop in hops:
        if hop.address is None:
            continue
        if not is_company_address(hop.address):
            return tuple(run)
        run.append(hop)
    return ()


def _detour(region_code: str | None, traced: ProbedPath | None) -> Iterable[Diagnosis]:
    if traced is None:
        return
    run = private_run(traced.path.hops)
    if not run:
        return
    # A router may be slow to answer; the least of what lies behind is what the run at most took.
    later = [hop.rtt_min_ms for hop in traced.path.hops if hop.ttl >= run[-1].ttl and hop.rtt_min_ms is not None]
    took_ms = min(later, default=None)
    if took_ms is None:
        return
    many = len(run) >= DETOUR_HOPS and took_ms >= DETOUR_MS
    # Only a far first hop: behind a near one, a few private hops are a slow access line, as of a mobile network.
    far = run[0].ttl == 1 and min(took_ms, run[0].rtt_min_ms or 0.0) >= FAR_GATEWAY_MS
    if not (many or far):
        return
    values = {
        "region": region_code,
        "private": counted(len(run), "private hop"),
        "detour_ms": took_ms,
        "where": f" (hops {run[0].ttl} to {run[-1].ttl}, out behind {run[-1].address})"
        if len(run) > 1
        else f" (out behind {run[-1].address})",
    }
    yield diagnosis("DETOUR", "likely", values, {**values, "first": run[0].address, "last": run[-1].address})


# ---------------------------------------------------------------- packet sizes, NAT


def _sizes(region_code: str | None, mtu: Mapping[str, Any] | None) -> Iterable[Diagnosis]:
    if mtu is not None and mtu.get("verdict") == "black_hole":
        yield diagnosis("PMTU_BLACKHOLE", "certain", {"region": region_code, "mtu": mtu.get("mtu")}, dict(mtu))


def _translation(nat: Mapping[str, Any] | None, train: Mapping[str, Any] | None) -> Iterable[Diagnosis]:
    mapped = (train or {}).get("mapped") or ()
    if len(set(mapped)) > 1:
        yield diagnosis("NAT_REBOUND", "certain", {"seen": ", then ".join(mapped[:4])}, {"mapped": list(mapped)})
    if nat is None:
        return
    if nat.get("mapping") == "per_destination":
        yield diagnosis("NAT_SYMMETRIC", "certain", {}, dict(nat))
    idle_s = nat.get("idle_lost_s")
    if idle_s is not None and idle_s <= NEEDED_IDLE_S:
        yield diagnosis("NAT_TIMEOUT_SHORT", "certain", {"seconds": idle_s, "needed": NEEDED_IDLE_S}, dict(nat))


def _egress(reach: ReachFound) -> Iterable[Diagnosis]:
    seen = {
        one.mapped_address: region.region_code
        for region in reach.regions
        for one in region.relays
        if one.transport == "udp" and one.mapped_address is not None and not one.is_ipv6
    }
    if len(seen) > 1:
        shown = ", ".join(f"{address} ({region})" for address, region in sorted(seen.items(), key=str))
        yield diagnosis("SPLIT_EGRESS", "certain", {"addresses": shown}, {"addresses": sorted(seen)})
