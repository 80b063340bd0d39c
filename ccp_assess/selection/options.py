"""What a client allows, what matters to it, and which options that leaves.

Constraints come before every comparison: an option that is excluded says by what, and keeps its numbers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ccp_assess import services
from ccp_assess.errors import ModelInputError, ReferenceFactError
from ccp_assess.regions import Region, read_regions, region_by_code

EU_COUNTRIES = frozenset(
    [
        "AT",
        "BE",
        "BG",
        "CY",
        "CZ",
        "DE",
        "DK",
        "EE",
        "ES",
        "FI",
        "FR",
        "GR",
        "HR",
        "HU",
        "IE",
        "IT",
        "LT",
        "LU",
        "LV",
        "MT",
        "NL",
        "PL",
        "PT",
        "RO",
        "SE",
        "SI",
        "SK",
    ]
)
"""Member states of the European Union since 2020-02-01 (Treaty on European Union)."""

ServiceCatalogue = Callable[[str, str], bool | None]
"""Says whether a service is offered in a Region; ``None`` where the table does not know."""


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
        Whether the instance has to be in a GovCloud account.
    """

    allowed_regions: tuple[str, ...] = ()
    excluded_regions: tuple[str, ...] = ()
    residency: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    resiliency_pair: bool = False
    govcloud: bool = False


LEAST_IMPORTANCE, LARGEST_IMPORTANCE = 0.000001, 1_000_000.0
"""Of what matters at all: beyond that sums of products are no numbers any more; heads may be counted."""

IMPORTANCES = "0, or a number from 0.000001 to 1000000"


def is_importance(value: float) -> bool:
    """Tell whether a number can be a weight.

    Parameters
    ----------
    value
        Any.

    Returns
    -------
    can_be
        Not so for what is negative or no number, nor for what is too large or too small to reckon with.
    """
    return value == 0 or LEAST_IMPORTANCE <= value <= LARGEST_IMPORTANCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """How much each part matters: an importance, never a unit.

    Parameters
    ----------
    agents, callers, transfers, hops
        Importance of the agents' legs, the callers' legs, transfers, and the number of hops [unitless].
    """

    agents: float = 1.0
    callers: float = 1.0
    transfers: float = 1.0
    hops: float = 0.0

    def checked(self) -> Weights:
        """Return these weights, or refuse them.

        Returns
        -------
        weights
            The same.

        Raises
        ------
        ModelInputError
            If one is no importance, or if none of the three legs has any.
        """
        for name in ("agents", "callers", "transfers", "hops"):
            value = getattr(self, name)
            if not is_importance(value):
                raise ModelInputError(f"the weight of {name} is {value}; an importance is {IMPORTANCES}")
        if self.agents + self.callers + self.transfers <= 0:
            raise ModelInputError(
                "the weights of agents, callers and transfers are all 0; give at least one a number above 0"
            )
        return self

    @property
    def leg_scales(self) -> tuple[float, float]:
        """Factors on the agents' and the callers' legs: their mean is 1, so equal weights leave milliseconds alone."""
        both = self.agents + self.callers
        return (1.0, 1.0) if both <= 0 else (2.0 * self.agents / both, 2.0 * self.callers / both)

    @property
    def transfer_scale(self) -> tuple[float, float]:
        """Importance of conversations with agents, and of those with transfer targets; their sum is 2."""
        mean = (self.agents + self.callers) / 2.0
        return 2.0 * mean / (mean + self.transfers), 2.0 * self.transfers / (mean + self.transfers)

    @property
    def hops_scale(self) -> float:
        """How much wider the band becomes within which fewer hops win; 1 with a hops weight of 0."""
        return 1.0 + 3.0 * self.hops / (self.agents + self.callers + self.transfers)

    @property
    def is_even(self) -> bool:
        """Whether agents, callers and transfers matter alike, so that the physical numbers decide."""
        return self.agents == self.callers == self.transfers


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One way to place the service.

    Parameters
    ----------
    regions
        Region codes: one, several instances, or source and replica of a Global Resiliency pair.
    kind
        ``single``, ``instances`` or ``pair``.
    excluded_by
        Why it may not be chosen; empty where it may.
    """

    regions: tuple[str, ...]
    kind: str
    excluded_by: tuple[str, ...] = ()


def documented_offers(service: str, region_code: str) -> bool | None:
    """Ask the services table; a service that it does not know at all is unknown everywhere, never a pass.

    Parameters
    ----------
    service
        As the client wrote it.
    region_code
        The Region.

    Returns
    -------
    offered
        ``None`` where nothing is documented.

    Examples
    --------
    >>> documented_offers("voice", "eu-west-2"), documented_offers("crystal ball", "eu-west-2")
    (True, None)
    """
    try:
        return services.offers(service, region_code)
    except ReferenceFactError:
        return None


def known_regions(codes: Sequence[str]) -> tuple[Region, ...]:
    """Look Regions up.

    Parameters
    ----------
    codes
        Region codes.

    Returns
    -------
    regions
        In the same order.

    Raises
    ------
    UnknownRegionError
        If a code is unknown; the text lists the known ones.
    """
    return tuple(region_by_code(code) for code in codes)


def region_exclusions(
    region: Region, constraints: Constraints, offers: ServiceCatalogue = documented_offers, *, as_replica: bool = False
) -> tuple[str, ...]:
    """Tell why a Region may not be chosen.

    Parameters
    ----------
    region
        The Region.
    constraints
        The client's rules.
    offers
        The services table.
    as_replica
        Whether it is meant as the replica of a Global Resiliency pair.

    Returns
    -------
    reasons
        One sentence part each; empty where nothing speaks against it.
    """
    code, reasons = region.region_code, []
    if region.status == "evidence_only":
        reasons.append(f"status: evidence only ({region.note or 'not in the AWS Region table'})")
    if region.status == "replica_only" and not as_replica:
        reasons.append(f"status: only as the Global Resiliency replica of {region.replica_region}")
    if region.status == "gov" and not constraints.govcloud:
        reasons.append("status: GovCloud accounts only (govcloud = false)")
    if constraints.govcloud and region.status != "gov":
        reasons.append("govcloud: the client asks for a GovCloud Region")
    if constraints.allowed_regions and code not in constraints.allowed_regions:
        reasons.append("allowed_regions: not among " + ", ".join(constraints.allowed_regions))
    if code in constraints.excluded_regions:
        reasons.append("excluded_regions: named by the client")
    if constraints.residency and not _resides(region.country, constraints.residency):
        reasons.append(f"residency: data would lie in {region.country}, allowed is {', '.join(constraints.residency)}")
    reasons.extend(
        f"services: {service} is not offered there"
        for service in constraints.services
        if offers(service, code) is False
    )
    return tuple(reasons)


def unknown_services(
    constraints: Constraints, region_codes: Sequence[str], offers: ServiceCatalogue
) -> tuple[str, ...]:
    """Name wanted services of which the table does not say whether these Regions offer them.

    Parameters
    ----------
    constraints
        With the wanted services.
    region_codes
        Regions of an option.
    offers
        The services table.

    Returns
    -------
    services
        Their names.
    """
    return tuple(
        service for service in constraints.services if any(offers(service, code) is None for code in region_codes)
    )


def _resides(country: str, residency: Sequence[str]) -> bool:
    wanted = {entry.strip().upper() for entry in residency}
    wanted |= {"GB"} if "UK" in wanted else set()
    return country in wanted or ("EU" in wanted and country in EU_COUNTRIES)


def build_options(
    constraints: Constraints, instances: int = 1, offers: ServiceCatalogue = documented_offers
) -> tuple[Option, ...]:
    """List every option: single Regions, Global Resiliency pairs where wanted, and all combinations of instances.

    Parameters
    ----------
    constraints
        The client's rules.
    instances
        Up to how many instances (count).
    offers
        The services table.

    Returns
    -------
    options
        Excluded ones included; combinations only of Regions that may be chosen.

    Raises
    ------
    ModelInputError
        If fewer than one instance is asked for.
    UnknownRegionError
        If the constraints name an unknown Region.
    """
    if instances < 1:
        raise ModelInputError(f"{instances} instances are asked for; give 1 or more")
    known_regions((*constraints.allowed_regions, *constraints.excluded_regions))
    regions = read_regions()
    wants_pair = constraints.resiliency_pair
    found, eligible = [], []
    for code, region in regions.items():
        reasons = region_exclusions(region, constraints, offers)
        if not reasons:
            eligible.append(code)
        if wants_pair:
            reasons = (*reasons, "resiliency_pair: a single Region is no Global Resiliency pair")
        found.append(Option(regions=(code,), kind="single", excluded_by=reasons))
    if wants_pair:
        found.extend(_pairs(regions, constraints, offers))
        return tuple(found)
    for size in range(2, min(instances, len(eligible)) + 1):
        found.extend(
            Option(regions=combination, kind="instances") for combination in itertools.combinations(eligible, size)
        )
    return tuple(found)


def _pairs(regions: dict[str, Region], constraints: Constraints, offers: ServiceCatalogue) -> list[Option]:
    pairs = []
    for code, region in regions.items():
        if region.replica_region is None or region.status not in {"general", "gov"}:
            continue
        replica = regions[region.replica_region]
        reasons = [f"{code}: {reason}" for reason in region_exclusions(region, constraints, offers)]
        reasons += [
            f"{replica.region_code}: {reason}"
            for reason in region_exclusions(replica, constraints, offers, as_replica=True)
        ]
        pairs.append(Option(regions=(code, replica.region_code), kind="pair", excluded_by=tuple(reasons)))
    return pairs
