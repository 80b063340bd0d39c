"""One whole round: choose what to reach, reach it, measure the ways, judge, and write the document."""

from __future__ import annotations

import ipaddress
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from ccp_assess.endpoints import read_endpoints
from ccp_assess.probe.asn import read_asn_table
from ccp_assess.probe.beside import Beside
from ccp_assess.probe.computer import Computer, computer_document, held_against_requirements, look_at_computer
from ccp_assess.probe.diagnosis import diagnose
from ccp_assess.probe.document import probe_document
from ccp_assess.probe.live import LiveRegions, OnRegion
from ccp_assess.probe.local import PUBLIC_ADDRESSES, has_route, has_underlay, host_facts, source_address
from ccp_assess.probe.names import DNS_PORT, system_resolvers
from ccp_assess.probe.proxies import ProxySettings, read_proxy_settings
from ccp_assess.probe.reach import FULL, QUICK, Surroundings, probe_reach
from ccp_assess.probe.records import ReachFound, WorkstationFound
from ccp_assess.probe.targets import RegionTargets, read_service_names, region_targets, targets_from_endpoints
from ccp_assess.probe.traced import ProbedPath
from ccp_assess.probe.verdicts_reach import ReachView
from ccp_assess.probe.verdicts_way import WayView
from ccp_assess.probe.ways import FULL_ROUNDS, Effort, Progress, delay_parts, measure_ways, trace_relays, with_owners
from ccp_assess.ranges import read_ranges

BENCH_NETWORKS = tuple(
    ipaddress.ip_network(block)
    for block in (
        *("127.0.0.0/8", "::1/128"),
        *("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20"),
        *("198.18.0.0/15", "2001:2::/48"),
    )
)
"""Loopback, documentation and benchmarking (RFC 6890, RFC 9637): what answers there is nobody's service but a bench."""

VANTAGES = ("workstation", "bench")

UNDISTURBED_S = 0.8
"""So long reaching is left alone [s]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundOptions:
    """What a user may choose.

    Parameters
    ----------
    regions
        Codes; empty for all that offer the service (or that the table of endpoints holds).
    site_id
        The site, for the document.
    full
        Whether to take the time that proofs, trains and NAT need.
    endpoints
        A table that stands in for the Regions.
    instance
        Alias of an instance whose own names are reached, too.
    names_from
        File or client folder from which names behind wildcards are taken.
    proxy, pac
        As of :func:`~ccp_assess.probe.proxies.read_proxy_settings`.
    source
        Local address to send from: one of several ways out of this computer; ``None`` leaves it to the routes.
    seconds, calls
        Length of the trains [s], and trains at once to each Region: so many calls (count).
    idle_s
        Longest silence that a NAT is tried with [s].
    asn_table
        File that says which autonomous system an address belongs to.
    vantage
        One of ``VANTAGES``; ``None`` for ``bench`` where ``endpoints`` led to nothing but :data:`BENCH_NETWORKS`.
    """

    regions: tuple[str, ...] = ()
    site_id: str | None = None
    full: bool = False
    endpoints: Path | None = None
    instance: str | None = None
    names_from: Path | None = None
    proxy: str | None = None
    pac: str | None = None
    source: str | None = None
    seconds: float = 10.0
    calls: int = 1
    idle_s: float = 30.0
    asn_table: Path | None = None
    vantage: str | None = None


def targets_of(options: RoundOptions) -> tuple[RegionTargets, ...]:
    """List what a round reaches.

    Parameters
    ----------
    options
        What the user chose.

    Returns
    -------
    targets
        One entry per Region.
    """
    if options.endpoints is not None:
        return targets_from_endpoints(read_endpoints(options.endpoints), options.regions)
    names = read_service_names(options.names_from) if options.names_from is not None else ()
    return region_targets(options.regions, instance=options.instance, names=names)


def surroundings(proxies: ProxySettings) -> Surroundings:
    """Look at this computer.

    Parameters
    ----------
    proxies
        Which proxy is in force.

    Returns
    -------
    around
        What reaching depends on.
    """
    resolvers = tuple((address, DNS_PORT) for address in system_resolvers())
    return Surroundings(resolvers=resolvers, proxies=proxies, ipv6=has_route(6))


def probe_round(
    options: RoundOptions, progress: Progress | None = None, on_region: OnRegion | None = None
) -> dict[str, Any]:
    """Measure once.

    Parameters
    ----------
    options
        What the user chose.
    progress
        Called while it goes on.
    on_region
        Hears what is known of each Region while it goes on.

    Returns
    -------
    document
        The contract's probe document, with an ``id`` of its own.
    """
    tell: Progress = progress or (lambda _what, _done, _total: None)
    regions = targets_of(options)
    proxies = read_proxy_settings(option=options.proxy, pac=options.pac, timeout_s=1.0)
    began, began_s = datetime.now(UTC), time.perf_counter()
    tell(f"reaching {len(regions)} Regions", 0, 3)
    reached = threading.Event()
    tracing: list[Beside[dict[str | None, ProbedPath]]] = []

    live = LiveRegions(on_region or (lambda _row: None))

    def hear(record: dict[str, Any]) -> None:
        if "reached" in record:
            live.reached(record["reached"])
        elif record.get("relays"):
            rounds = FULL_ROUNDS if options.full else 1
            trace = partial(trace_relays, record["relays"], rounds=rounds, source=options.source, on_path=live.traced)
            tracing.append(Beside(partial(_later, reached, trace)))

    reach = probe_reach(regions, FULL if options.full else QUICK, surroundings(proxies), hear, source=options.source)
    reached.set()
    tell("tracing paths", 1, 3)
    udp = tracing[0].result() if tracing else {}
    reach = with_local_addresses(reach, options.source)
    effort = Effort(
        full=options.full,
        seconds=options.seconds,
        calls=options.calls,
        idle_s=options.idle_s,
        source=options.source,
    )
    ways = measure_ways(reach, udp, effort, tell)
    if options.asn_table is not None:
        table = read_asn_table(options.asn_table)
        ways = {code: with_owners(way, table) for code, way in ways.items()}
    total_ms = (time.perf_counter() - began_s) * 1000.0
    view = ReachView(reach=reach, ranges=read_ranges(), ways=ways, now_s=time.time())
    # after the measuring, which must not be disturbed by starting browsers
    computer = look_at_computer(_own_address(reach), with_browsers=options.full)
    return {"id": secrets.token_hex(16)} | probe_document(
        reach,
        diagnose(view, WayView(ways=ways, reach=reach, workstation=_workstation(computer))),
        site_id=options.site_id,
        time=began.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        total_ms=total_ms,
        host=host_facts()
        | {"vantage": options.vantage or (vantage_of(reach) if options.endpoints else "workstation")}
        | {"computer": computer_document(computer), "requirements": held_against_requirements(computer)},
        ways=ways,
        parts={code: delay_parts(way) for code, way in ways.items()},
        notes=proxies.notes,
    )


def vantage_of(reach: ReachFound) -> str:
    """Tell whether a round reached the service or what stands in for it on a bench.

    Parameters
    ----------
    reach
        The round of reaching.

    Returns
    -------
    vantage
        One of ``VANTAGES``.
    """
    relays = {one.address for region in reach.regions for one in region.relays}
    reached = relays | {one.address for region in reach.regions for one in region.tcp if one.address}
    on_bench = [any(ipaddress.ip_address(a) in block for block in BENCH_NETWORKS) for a in reached]
    return "bench" if on_bench and all(on_bench) else "workstation"


def _later(reached: threading.Event, trace: Callable[[], dict[str | None, ProbedPath]]) -> dict[str | None, ProbedPath]:
    """Trace once reaching is over, which starting a process would disturb; or beside it, where it takes long."""
    reached.wait(UNDISTURBED_S)
    return trace()


def _own_address(reach: ReachFound) -> str | None:
    """Return the local address that packets to the relays bear, or to anywhere if no relay is known."""
    towards_relays = (one.local_address for region in reach.regions for one in region.relays if one.local_address)
    return next(towards_relays, None) or source_address(PUBLIC_ADDRESSES[4])


def _workstation(computer: Computer) -> WorkstationFound:
    link = computer.link
    if link is None:
        return WorkstationFound()
    return WorkstationFound(
        interface=link.name,
        is_tunnel=link.is_tunnel,
        is_wireless=link.is_wireless,
        signal_dbm=link.signal_dbm,
        has_underlay=has_underlay({link.name, *computer.tunnels}),
    )


def with_local_addresses(reach: ReachFound, source: str | None = None) -> ReachFound:
    """Add which local address was used towards each relay, so that a NAT shows.

    Parameters
    ----------
    reach
        The round.
    source
        Local address that all of it was sent from, if one was chosen.

    Returns
    -------
    reach
        The same with ``local_address`` filled in.
    """
    return replace(
        reach,
        regions=tuple(
            replace(
                region,
                relays=tuple(
                    replace(one, local_address=source or source_address(one.address, one.port)) for one in region.relays
                ),
            )
            for region in reach.regions
        ),
    )
