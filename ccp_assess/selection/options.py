"""What a client allows, and what matters to it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """What the client's rules allow; hard limits that come before every comparison.

    Parameters
    ----------
    allowed_regions
        Region codes that may be used; empty where every Region may.
    excluded_regions
        Region codes that may not be used.
    residency
        Where data may lie: ISO 3166 alpha-2 codes or ``EU``; empty where it may lie anywhere.
    services
        Names of the services table that the Region must offer.
    resiliency_pair
        Whether a Global Resiliency pair is wanted.
    govcloud
        Whether the client has a GovCloud account.
    """

    allowed_regions: tuple[str, ...] = ()
    excluded_regions: tuple[str, ...] = ()
    residency: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    resiliency_pair: bool = False
    govcloud: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """How much each part matters; importance of 0 or more, never a unit.

    Parameters
    ----------
    agents, callers, transfers, hops
        Importance of the agents' legs, the callers' legs, transfers, and the number of hops [unitless].
    """

    agents: float = 1.0
    callers: float = 1.0
    transfers: float = 1.0
    hops: float = 0.0
