"""What a softphone talks to: host name or address → Region and role; the table of all endpoint patterns.

The patterns are facts of AWS's networking page (``reference/endpoints.csv``, ``reference/cloudfront.csv``). Names from
the wire are hostile text: they are compared whole and without regard to case, never searched in.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Literal, cast, get_args

from ccp_assess.csvtext import Row, choice, integer, optional_text, read_rows, text
from ccp_assess.errors import ParseError, TableError
from ccp_assess.prefixes import parse_address
from ccp_assess.ranges import CONNECT, IpRanges, read_ranges

Role = Literal["api", "signalling", "media_relay", "static", "telemetry", "dns", "other"]
Transport = Literal["tcp", "udp"]

ROLES: tuple[str, ...] = get_args(Role)
EVERY_REGION = "*"
"""Stands in the table for every Region; the host then names it as ``{region}``."""

TURN_PORT = 3478
DNS_PORT = 53

_REGION = r"(?P<region>[a-z]{2,4}(?:-[a-z]+){1,3}-\d{1,2})"
_SLOT = re.compile(r"^\*\.|\*|\{region\}|\{\w+\}")
_ANY_REGION = re.compile(rf"(?:.*\.)?(?:s3-)?{_REGION}(?:\.[a-z0-9-]+)*\.amazonaws\.com(?:\.cn)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointPattern:
    """One row of the table of endpoints.

    Parameters
    ----------
    endpoint_id
        Short name of the kind of endpoint.
    region_code
        A Region, or ``*`` for all of them.
    role
        What the softphone uses it for.
    host
        Name with ``*`` for parts that differ and ``{region}``, ``{alias}``, ``{bucket}``, ``{instance_id}`` to fill in.
    path
        Path of the URL where the page gives one, else empty.
    port
        Destination port.
    transport
        ``tcp`` or ``udp``.
    needed_for
        The choice that makes it needed, ``always`` or ``identify`` (known, never needed by agents).
    purpose
        What it is for, in words.
    symptom
        What the agent sees if it is blocked.
    source
        Where the row was read.
    retrieved
        When it was read (ISO date).
    """

    endpoint_id: str
    region_code: str
    role: Role
    host: str
    path: str
    port: int
    transport: Transport
    needed_for: str
    purpose: str
    symptom: str
    source: str
    retrieved: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What an endpoint is.

    Parameters
    ----------
    role
        What the softphone uses it for; ``other`` if it is none of ours.
    region_code
        The Region it belongs to; ``None`` if that cannot be told.
    """

    role: Role
    region_code: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One endpoint to reach, from a table that stands in for the Regions.

    Parameters
    ----------
    region_code
        The Region it stands for.
    role
        What the softphone uses it for.
    host
        Its name; equal to the address if it has none.
    port
        Destination port.
    transport
        ``tcp`` or ``udp``.
    address
        Address to use instead of asking a resolver; ``None`` to ask.
    """

    region_code: str
    role: Role
    host: str
    port: int
    transport: Transport
    address: str | None


@cache
def read_patterns() -> tuple[EndpointPattern, ...]:
    """Read the table of endpoints, CloudFront domains included.

    Returns
    -------
    patterns
        In the order of the table, which is the order of the networking page.
    """
    rows = [*_reference("endpoints.csv"), *(_asset(row) for row in _reference("cloudfront.csv"))]
    return tuple(
        EndpointPattern(
            endpoint_id=row["endpoint_id"],
            region_code=row["region_code"],
            role=cast("Role", row["role"]),
            host=row["host"],
            path=row["path"],
            port=int(row["port"]),
            transport=cast("Transport", row["transport"]),
            needed_for=row["needed_for"],
            purpose=row["purpose"],
            symptom=row["symptom"],
            source=row["source"],
            retrieved=row["retrieved"],
        )
        for row in rows
    )


def _reference(name: str) -> list[dict[str, str]]:
    content = resources.files("ccp_assess.reference").joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(content)))


def _asset(row: dict[str, str]) -> dict[str, str]:
    signs_in = row["needed_for"] == "no_saml"
    return row | {
        "endpoint_id": "cloudfront_no_saml" if signs_in else "cloudfront_static",
        "role": "static",
        "port": "443",
        "transport": "tcp",
        "purpose": "Static assets of the sign-in without SAML" if signs_in else "Static assets of the CCP, by name",
        "symptom": "The sign-in page without SAML opens without images, styles or scripts"
        if signs_in
        else "The CCP opens without images, styles or scripts",
    }


def identify(
    host: str | None, address: str | None, port: int, transport: str, ranges: IpRanges | None = None
) -> Identity:
    """Tell what an endpoint is and which Region it belongs to.

    Parameters
    ----------
    host
        Name that was asked for, if known; case and a final dot do not matter.
    address
        IPv4 or IPv6 address, if known.
    port
        Destination port.
    transport
        ``tcp`` or ``udp``; any other is ``other`` unless the name decides.
    ranges
        Published ranges; ``None`` for the shipped snapshot.

    Returns
    -------
    identity
        Role and Region. The name decides before the address.

    Examples
    --------
    >>> identify("TURNNLB-8d79b4466d82ad0e.elb.us-west-2.amazonaws.com", None, 3478, "udp")
    Identity(role='media_relay', region_code='us-west-2')
    >>> identify(None, "15.193.5.9", 3478, "udp").region_code
    'eu-west-2'
    """
    if port == DNS_PORT:
        return Identity(role="dns", region_code=None)
    name = (host or "").strip().lower().rstrip(".")
    published = ranges or read_ranges()
    region = published.region_of(address) if address else None
    for pattern, expression in _expressions():
        match = expression.fullmatch(name) if name else None
        if match:
            named = match.groupdict().get("region")
            listed = None if pattern.region_code == EVERY_REGION else pattern.region_code
            role: Role = "media_relay" if _is_app_media(pattern, port, transport) else pattern.role
            return Identity(role=role, region_code=named or listed or region)
    stated = _ANY_REGION.fullmatch(name) if name else None
    return Identity(
        role=_role_by_address(published, name, address, port), region_code=stated["region"] if stated else region
    )


def _is_app_media(pattern: EndpointPattern, port: int, transport: str) -> bool:
    # One name serves signalling (TCP 443) and media (UDP 3478) of in-app calling: the port tells them apart.
    return pattern.needed_for == "app_calling" and (port == TURN_PORT or transport == "udp")


def _role_by_address(ranges: IpRanges, name: str, address: str | None, port: int) -> Role:
    if port == TURN_PORT:
        return "media_relay"  # registered for STUN and TURN; nothing else in a softphone's traffic uses it
    service = ranges.service_of(address) if address else None
    if service in {CONNECT, "CHIME_MEETINGS"}:
        return "media_relay"
    if service == "CLOUDFRONT" and not name:
        return "static"
    return "other"


@cache
def _expressions() -> tuple[tuple[EndpointPattern, re.Pattern[str]], ...]:
    # Names of one Region first: a listed CloudFront domain says more than "*.cloudfront.net".
    ordered = sorted(read_patterns(), key=lambda pattern: pattern.region_code == EVERY_REGION)
    return tuple((pattern, host_expression(pattern.host)) for pattern in ordered if not _shared_host(pattern))


def _shared_host(pattern: EndpointPattern) -> bool:
    return bool(pattern.path) and pattern.host.startswith("s3-")  # all of S3 in the Region: the path decides, unseen


@cache
def host_expression(host: str) -> re.Pattern[str]:
    """Return the expression that a name in lower case must match as a whole.

    Parameters
    ----------
    host
        A host of the table of endpoints.

    Returns
    -------
    expression
        With the group ``region`` if the host names the Region. ``*.`` stands for any labels or none, since the
        lab's and older clients' names lack them; ``*`` inside a label for any characters of that label.
    """
    parts: list[str] = []
    at = 0
    named = False
    for slot in _SLOT.finditer(host.lower()):
        parts.append(re.escape(host.lower()[at : slot.start()]))
        word = slot.group()
        if word == "{region}":
            parts.append("(?P=region)" if named else _REGION)
            named = True
        elif word == "*.":
            parts.append(r"(?:[a-z0-9_-]+\.)*")
        else:
            parts.append({"*": r"[a-z0-9_-]*", "{bucket}": r"[a-z0-9_.-]+?"}.get(word, r"[a-z0-9_-]+"))
        at = slot.end()
    parts.append(re.escape(host.lower()[at:]))
    return re.compile("".join(parts))


def read_endpoints(path: str | Path) -> tuple[Endpoint, ...]:
    """Read a table of endpoints that stands in for the Regions (a private deployment, a test bench).

    Parameters
    ----------
    path
        CSV with ``region_code, role, host, port, transport`` and optionally ``address``; ``;`` as separator and a
        byte order mark are understood, further columns are left alone.

    Returns
    -------
    endpoints
        In the order of the file.

    Raises
    ------
    TableError
        Naming file, row and column.
    """
    rows = read_rows(Path(path), name=str(path), required=("region_code", "role", "port", "transport"))
    if not rows:
        raise TableError("holds no endpoint; add one row per endpoint", file=str(path))
    return tuple(_endpoint(row) for row in rows)


def _endpoint(row: Row) -> Endpoint:
    role = choice(row, "role", ROLES)
    transport = choice(row, "transport", get_args(Transport))
    address, host = optional_text(row, "address"), optional_text(row, "host")
    if address:
        try:
            parse_address(address)
        except ParseError as error:
            raise row.wrong("address", str(error)) from error
    if not (host or address):
        raise row.wrong("host", "is empty, and so is address; one of them is needed")
    return Endpoint(
        region_code=text(row, "region_code"),
        role=cast("Role", role),
        host=host or address or "",
        port=integer(row, "port", low=1, high=65535),
        transport=cast("Transport", transport),
        address=address,
    )
