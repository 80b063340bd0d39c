"""What each site's line has to carry, and where its media leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ccp_assess.errors import ModelInputError
from ccp_assess.selection.legs import read_leg_constants
from ccp_assess.sites import Site

Verdict = Literal["enough", "tight", "too_small", "unknown"]

TIGHT_PCT = 50.0
"""Share of a line above which voice has to compete with everything else on it; a planning rule of this project."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSizing:
    """What the line of one site has to carry.

    Parameters
    ----------
    site_id
        The site.
    agents
        Agents whose media passes its line: its own that leave here, and those of its spokes (count).
    documented_mbps
        By AWS's figure of 100 kbit/s for each workstation [Mbit/s].
    measured_mbps
        By the rate of a call on the wire, each way [Mbit/s].
    measured_basis
        ``measured`` where a capture gave the rate, else ``assumed``.
    uplink_mbps
        Capacity given by the client; ``None`` if not given [Mbit/s].
    used_pct
        Documented demand over capacity; ``None`` if unknown [%].
    nat_ports
        Address translations held at once (count).
    verdict
        ``too_small`` above 100 %, ``tight`` above 50 %, ``unknown`` without a capacity.
    media_leaves
        In words: from where the media reaches the Internet, and what a failover path would be.
    """

    site_id: str
    agents: int
    documented_mbps: float
    measured_mbps: float
    measured_basis: str
    uplink_mbps: float | None
    used_pct: float | None
    nat_ports: int
    verdict: Verdict
    media_leaves: str


def size_sites(
    sites: Sequence[Site], *, measured_kbps: Mapping[str, float] | None = None, calls_at_once: float = 1.0
) -> tuple[SiteSizing, ...]:
    """Compute what each site's line has to carry.

    Parameters
    ----------
    sites
        The client's sites.
    measured_kbps
        Rate of one call each way by site, from captures [kbit/s].
    calls_at_once
        Calls per agent at the busiest moment (count).

    Returns
    -------
    sizings
        One per site, in their order.

    Raises
    ------
    ModelInputError
        If ``calls_at_once`` is negative.

    References
    ----------
    .. [1] Amazon Connect administrator guide, agent hardware: 100 kbit/s per connected workstation.
    """
    if not 0.0 <= calls_at_once < float("inf"):
        raise ModelInputError(f"{calls_at_once} calls at once are asked for; give a number of 0 or more")
    constants, known = read_leg_constants(), {site.site_id for site in sites}
    passing = {site.site_id: 0 for site in sites}
    for site in sites:
        hub = site.via_site_id if site.via_site_id in known else None
        passing[hub or site.site_id] += site.agents
        if hub is not None and hub != site.site_id:
            passing[site.site_id] += site.agents  # the spoke's own line carries them to the hub
    rows = []
    for site in sites:
        at_home = site.access == "home" or (site.access == "vpn" and site.via_site_id is None)
        agents = passing[site.site_id]
        rate_kbps = (measured_kbps or {}).get(site.site_id, constants["media_rate_kbps"].value)
        documented = agents * calls_at_once * constants["bandwidth_per_agent_kbps"].value / 1000.0
        used = 100.0 * documented / site.uplink_mbps if site.uplink_mbps else None
        rows.append(
            SiteSizing(
                site_id=site.site_id,
                agents=agents,
                documented_mbps=documented,
                measured_mbps=agents * calls_at_once * rate_kbps / 1000.0,
                measured_basis="measured" if site.site_id in (measured_kbps or {}) else "assumed",
                uplink_mbps=site.uplink_mbps,
                used_pct=used,
                nat_ports=round(agents * constants["nat_ports_per_agent"].value),
                verdict=_verdict(used),
                media_leaves=_media_leaves(site, at_home=at_home),
            )
        )
    return tuple(rows)


def _verdict(used_pct: float | None) -> Verdict:
    if used_pct is None:
        return "unknown"
    return "too_small" if used_pct > 100.0 else "tight" if used_pct > TIGHT_PCT else "enough"


def _media_leaves(site: Site, *, at_home: bool) -> str:
    if site.access == "vdi":
        host = f" at {site.via_site_id}" if site.via_site_id else ""
        return (
            f"with media offload the media leaves the thin client at {site.name}, else the desktop host{host}; "
            "capture at the thin client, and plan the failover for both"
        )
    if site.via_site_id:
        return f"through the hub {site.via_site_id}: a local line of its own, or a second tunnel, is the failover path"
    if at_home:
        return (
            "at each agent's home: the line is the agent's own, so uplink and ports count per home; "
            "a phone's hotspot is the failover path"
        )
    if site.access == "direct_connect":
        return "through Direct Connect: an Internet line is the failover path"
    return "at the site: a second provider is the failover path"
