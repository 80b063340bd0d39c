"""AWS Regions where the service is offered, or where there is evidence of it, from ``reference/regions.csv``."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal, cast

from ccp_assess.errors import UnknownRegionError

RegionStatus = Literal["general", "replica_only", "evidence_only", "gov"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """An AWS Region, with what is known of the service in it.

    Parameters
    ----------
    region_code
        Such as ``eu-west-2``.
    name
        AWS's own name, such as ``Europe (London)``.
    place
        City or area of the data centres (not the centroid of the state).
    country
        ISO 3166 alpha-2 code of the country that the data is in.
    continent
        Continent, as used by the distance model.
    latitude
        Of the data-centre area [decimal degrees].
    longitude
        Of the data-centre area [decimal degrees].
    status
        ``general``: an instance can be created; ``replica_only``: only as the replica of a Global Resiliency pair;
        ``evidence_only``: named by AWS, not offered in its Region table; ``gov``: GovCloud accounts only.
    replica_region
        The other Region of its Global Resiliency pair, if there is one.
    geography
        Jurisdiction in words.
    note
        What a reader must know before relying on the row.
    source
        Where the row comes from.
    retrieved
        When it was read (ISO date).
    """

    region_code: str
    name: str
    place: str
    country: str
    continent: str
    latitude: float
    longitude: float
    status: RegionStatus
    replica_region: str | None
    geography: str
    note: str
    source: str
    retrieved: str


@cache
def read_regions() -> dict[str, Region]:
    """Read all Regions of the reference table.

    Returns
    -------
    regions
        By Region code, in the order of the table.

    Examples
    --------
    >>> read_regions()["eu-west-2"].place
    'London'
    """
    text = resources.files("ccp_assess.reference").joinpath("regions.csv").read_text(encoding="utf-8")
    return {row["region_code"]: _region_from_row(row) for row in csv.DictReader(text.splitlines())}


def _region_from_row(row: dict[str, str]) -> Region:
    return Region(
        region_code=row["region_code"],
        name=row["name"],
        place=row["place"],
        country=row["country"],
        continent=row["continent"],
        latitude=float(row["latitude"]),
        longitude=float(row["longitude"]),
        status=cast("RegionStatus", row["status"]),
        replica_region=row["replica_region"] or None,
        geography=row["geography"],
        note=row["note"],
        source=row["source"],
        retrieved=row["retrieved"],
    )


def region_by_code(region_code: str) -> Region:
    """Look a Region up by its code.

    Parameters
    ----------
    region_code
        Such as ``eu-west-2``.

    Returns
    -------
    region
        The Region.

    Raises
    ------
    UnknownRegionError
        If the table does not hold it; the text lists the known codes.
    """
    regions = read_regions()
    if region_code not in regions:
        known = ", ".join(sorted(regions))
        raise UnknownRegionError(f"Region {region_code!r} is unknown; known Regions are {known}")
    return regions[region_code]
