"""What to reach: the names that a softphone needs in each Region, or a table that stands in for them.

Wildcards cannot be resolved. The names behind them are taken from the client's own evidence (a log, a capture, a
list), else they are said to be untested.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ccp_assess.endpoints import EVERY_REGION, Endpoint, EndpointPattern, Role, identify, read_patterns
from ccp_assess.errors import ProbeError
from ccp_assess.probe.records import Untested
from ccp_assess.regions import read_regions, region_by_code

HTTPS_PORT = 443
NEEDED = ("always", "turn_named", "static")
"""Rows of the table of endpoints that every agent needs and that have a name without an alias."""
NEEDED_BY_INSTANCE = ("domain",)
LARGEST_EVIDENCE_BYTES = 64 << 20
MOST_NAMES = 200

_SERVICE_NAME = re.compile(
    rb"(?<![A-Za-z0-9.-])((?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}"
    rb"(?:amazonaws\.com(?:\.cn)?|connect\.aws|awsapps\.com|cloudfront\.net))(?![A-Za-z0-9-])"
)
_ALIAS = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One endpoint to reach.

    Parameters
    ----------
    host
        Lower case: browsers fail on the mixed case in which the relays' names are published.
    port, transport, role
        As in the table of endpoints.
    address
        Used instead of asking a resolver.
    is_extra
        Whether only the full form connects to it; its name is asked for in any case.
    """

    host: str
    port: int
    transport: str
    role: Role
    address: str | None = None
    is_extra: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionTargets:
    """What to reach in one Region.

    Parameters
    ----------
    region_code
        ``None`` for names that belong to no Region.
    targets
        In the order of the table.
    untested
        What cannot be reached by name, and why.
    """

    region_code: str | None
    targets: tuple[Target, ...]
    untested: tuple[Untested, ...] = ()


def offered_regions() -> tuple[str, ...]:
    """Return the Regions that a round measures if none is named: those with a name to reach."""
    return tuple(region.region_code for region in read_regions().values() if region.status != "evidence_only")


def region_targets(
    regions: Sequence[str], *, instance: str | None = None, names: Iterable[str] = ()
) -> tuple[RegionTargets, ...]:
    """List what a softphone needs in each Region.

    Parameters
    ----------
    regions
        Their codes; empty for all that offer the service.
    instance
        Alias of an instance, whose own names are then reached, too.
    names
        Real names that stand for wildcards, from a log or a capture.

    Returns
    -------
    targets
        One entry per Region in the order asked; a last one for names of no Region, if there are any.

    Raises
    ------
    UnknownRegionError
        If a Region is unknown.
    ProbeError
        If the alias is none.
    """
    codes = [region_by_code(code).region_code for code in dict.fromkeys(regions)] or list(offered_regions())
    seen = _targets_from_names(names)
    own = _instance_targets(instance) if instance is not None else ()
    rows = [_of_region(code, [*own, *seen.get(code, ())] if len(codes) == 1 else seen.get(code, [])) for code in codes]
    others = [*(own if len(codes) > 1 else ()), *seen.get(None, ())]
    if others:
        rows.append(RegionTargets(region_code=None, targets=tuple(dict.fromkeys(others))))
    return tuple(rows)


def _of_region(code: str, more: Sequence[Target]) -> RegionTargets:
    targets, wild = [], []
    for pattern in read_patterns():
        if pattern.region_code not in {code, EVERY_REGION} or pattern.needed_for not in {*NEEDED, "turn", "domain"}:
            continue
        host = pattern.host.replace("{region}", code).lower()
        if "*" in host:
            wild.append((pattern, host))
        elif "{" not in host and pattern.needed_for in NEEDED:
            targets.append(_target(pattern, host))
    targets += more
    untested = tuple(
        Untested(name=host, region_code=code, reason="not testable: a wildcard without a known name")
        for pattern, host in wild
        if not any(_stands_for(target, host) for target in targets)
        and (pattern.needed_for != "turn" or not any(target.role == "media_relay" for target in targets))
    )
    return RegionTargets(region_code=code, targets=tuple(dict.fromkeys(targets)), untested=untested)


def _target(pattern: EndpointPattern, host: str) -> Target:
    extra = pattern.role not in {"media_relay", "signalling"} and pattern.needed_for == "static"
    return Target(host=host, port=pattern.port, transport=pattern.transport, role=pattern.role, is_extra=extra)


def _stands_for(target: Target, wildcard: str) -> bool:
    expression = re.escape(wildcard).replace(r"\*", "[a-z0-9.-]*")
    return re.fullmatch(expression, target.host) is not None


def _instance_targets(alias: str) -> tuple[Target, ...]:
    word = alias.strip().lower().removesuffix(".my.connect.aws")
    if not _ALIAS.fullmatch(word):
        raise ProbeError(f"{alias[:80]!r} is no alias of an instance; give ALIAS of https://ALIAS.my.connect.aws")
    hosts = {
        pattern.host.replace("{alias}", word): pattern
        for pattern in reversed(read_patterns())
        if "{alias}" in pattern.host and pattern.needed_for in NEEDED_BY_INSTANCE
    }
    return tuple(
        Target(host=host, port=pattern.port, transport=pattern.transport, role=pattern.role)
        for host, pattern in hosts.items()
    )


def _targets_from_names(names: Iterable[str]) -> dict[str | None, list[Target]]:
    found: dict[str | None, list[Target]] = {}
    for name in dict.fromkeys(name.lower().rstrip(".") for name in names):
        relay = name.startswith("turnnlb-")
        identity = identify(name, None, 3478 if relay else HTTPS_PORT, "udp" if relay else "tcp")
        target = Target(
            host=name,
            port=3478 if relay else HTTPS_PORT,
            transport="udp" if relay else "tcp",
            role=identity.role,
            is_extra=identity.role in {"other", "telemetry"},
        )
        found.setdefault(identity.region_code, []).append(target)
    return found


def targets_from_endpoints(endpoints: Sequence[Endpoint], regions: Sequence[str] = ()) -> tuple[RegionTargets, ...]:
    """Take what to reach from a table that stands in for the Regions.

    Parameters
    ----------
    endpoints
        The table.
    regions
        Only these, in this order; empty for all of the table.

    Returns
    -------
    targets
        One entry per Region.

    Raises
    ------
    ProbeError
        If a Region that was asked for is not in the table.
    """
    known = dict.fromkeys(endpoint.region_code for endpoint in endpoints)
    for code in regions:
        if code not in known:
            raise ProbeError(f"The table of endpoints has no row for {code[:40]!r}; it has {', '.join(known)[:200]}")
    return tuple(
        RegionTargets(
            region_code=code,
            targets=tuple(
                Target(
                    host=endpoint.host.lower(),
                    port=endpoint.port,
                    transport=endpoint.transport,
                    role=endpoint.role,
                    address=endpoint.address,
                )
                for endpoint in endpoints
                if endpoint.region_code == code
            ),
        )
        for code in dict.fromkeys(regions or known)
    )


def read_service_names(path: str | Path) -> tuple[str, ...]:
    """Collect the service's names from a file or a client folder, whatever it holds: logs, captures, lists.

    Parameters
    ----------
    path
        A file, or a client folder, of which ``logs/``, ``captures/`` and ``probes/`` are looked through.

    Returns
    -------
    names
        In lower case, sorted; at most 200.

    Raises
    ------
    ProbeError
        If nothing can be read, or no such name is in it.
    """
    place = Path(path)
    if place.is_dir():
        parts = [place / part for part in ("logs", "captures", "probes") if (place / part).is_dir()] or [place]
        files = sorted(file for part in parts for file in part.rglob("*") if file.is_file())
    else:
        files = [place]
    found: set[str] = set()
    for file in files:
        try:
            with file.open("rb") as stream:
                data = stream.read(LARGEST_EVIDENCE_BYTES)
        except OSError as error:
            raise ProbeError(f"{file}: cannot be read ({error.strerror}); give a log, a capture or a list") from error
        found.update(match[1].decode("ascii").lower() for match in _SERVICE_NAME.finditer(data))
    if not found:
        raise ProbeError(f"{path}: no name of the service in it; give a log, a capture (not compressed) or a list")
    return tuple(sorted(found)[:MOST_NAMES])
