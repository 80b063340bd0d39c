"""One whole round: choose what to reach, reach it, measure the ways, judge, and write the document."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ccp_assess.endpoints import read_endpoints
from ccp_assess.probe.diagnosis import diagnose
from ccp_assess.probe.document import probe_document
from ccp_assess.probe.local import has_route, host_facts, source_address
from ccp_assess.probe.names import DNS_PORT, system_resolvers
from ccp_assess.probe.proxies import ProxySettings, read_proxy_settings
from ccp_assess.probe.reach import FULL, QUICK, Surroundings, probe_reach
from ccp_assess.probe.records import ReachFound
from ccp_assess.probe.targets import RegionTargets, read_service_names, region_targets, targets_from_endpoints
from ccp_assess.probe.verdicts_reach import ReachView
from ccp_assess.ranges import read_ranges

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


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
    """

    regions: tuple[str, ...] = ()
    site_id: str | None = None
    full: bool = False
    endpoints: Path | None = None
    instance: str | None = None
    names_from: Path | None = None
    proxy: str | None = None
    pac: str | None = None


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


def probe_round(options: RoundOptions, progress: Progress | None = None) -> dict[str, Any]:
    """Measure once.

    Parameters
    ----------
    options
        What the user chose.
    progress
        Called while it goes on.

    Returns
    -------
    document
        The contract's probe document.
    """
    tell: Progress = progress or (lambda _what, _done, _total: None)
    regions = targets_of(options)
    pace = FULL if options.full else QUICK
    proxies = read_proxy_settings(option=options.proxy, pac=options.pac, timeout_s=1.0)
    began = datetime.now(UTC)
    tell(f"reaching {len(regions)} Regions", 0, 2)
    reach = with_local_addresses(probe_reach(regions, pace, surroundings(proxies)))
    view = ReachView(reach=reach, ranges=read_ranges(), now_s=time.time())
    tell("judging", 1, 2)
    return probe_document(
        reach,
        diagnose(view),
        site_id=options.site_id,
        time=began.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        host=host_facts(),
        notes=proxies.notes,
    )


def with_local_addresses(reach: ReachFound) -> ReachFound:
    """Add which local address was used towards each relay, so that a NAT shows.

    Parameters
    ----------
    reach
        The round.

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
                    replace(one, local_address=source_address(one.address, one.port)) for one in region.relays
                ),
            )
            for region in reach.regions
        ),
    )
