"""Where agents work, callers call from, calls are transferred to, and audio is rerouted to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Access = Literal["office", "home", "vpn", "vdi", "direct_connect"]
Line = Literal["mobile", "landline", "mixed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A place where agents work.

    Parameters
    ----------
    site_id
        The client's short name for it, unique.
    name
        Name for people.
    latitude, longitude
        Where it is [decimal degrees].
    place
        City and country as written, if given.
    country
        ISO 3166 alpha-2 code, if known.
    agents
        How many agents work there (count).
    access
        How their traffic reaches the Internet.
    subnets
        CIDRs that the agents' workstations have.
    uplink_mbps
        Capacity towards the provider [Mbit/s].
    via_site_id
        The hub through which its traffic leaves, if it does not leave locally.
    """

    site_id: str
    name: str
    latitude: float
    longitude: float
    place: str | None = None
    country: str | None = None
    agents: int
    access: Access = "office"
    subnets: tuple[str, ...] = ()
    uplink_mbps: float | None = None
    via_site_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerOrigin:
    """Where customers call from.

    Parameters
    ----------
    origin_id
        The client's short name for it, unique.
    latitude, longitude
        Where these callers are, or the middle of their country [decimal degrees].
    place
        City or country as written, if given.
    country
        ISO 3166 alpha-2 code, if known.
    call_share_pct
        Share of all calls, 0 to 100 [%].
    line
        Kind of telephone line.
    """

    origin_id: str
    latitude: float
    longitude: float
    place: str | None = None
    country: str | None = None
    call_share_pct: float
    line: Line = "mixed"


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferTarget:
    """An external destination of transfers; the call stays anchored to the Region.

    Parameters
    ----------
    target_id
        The client's short name for it, unique.
    latitude, longitude
        Where it is [decimal degrees].
    place
        City and country as written, if given.
    country
        ISO 3166 alpha-2 code, if known.
    share_of_calls_pct
        Share of all calls that go there, 0 to 100 [%].
    circular
        Whether the target sends calls back into Amazon Connect.
    """

    target_id: str
    latitude: float
    longitude: float
    place: str | None = None
    country: str | None = None
    share_of_calls_pct: float
    circular: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reroute:
    """Agents of a site whose audio goes to another device by an outbound call.

    Parameters
    ----------
    site_id
        The site of these agents.
    latitude, longitude
        Where the device is [decimal degrees].
    place
        City and country as written, if given.
    country
        ISO 3166 alpha-2 code, if known.
    share_of_agents_pct
        Share of the site's agents, 0 to 100 [%].
    """

    site_id: str
    latitude: float
    longitude: float
    place: str | None = None
    country: str | None = None
    share_of_agents_pct: float = 100.0
