"""What is measured on the ways once it is known what answers: control paths, trains, NAT and packet sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ccp_assess.probe.asn import AsnTable
from ccp_assess.probe.beside import Beside
from ccp_assess.probe.delays import split_delay
from ccp_assess.probe.document import best_relay, stands_in_region
from ccp_assess.probe.measure import probe_mtu, probe_nat, run_trains, trace_paths
from ccp_assess.probe.records import ReachFound, RegionReach, TcpFound, WayFound
from ccp_assess.probe.traced import ProbedPath, Target
from ccp_assess.ranges import read_ranges

PATH_DEADLINE_S = 2.5
"""Longest time for one round of paths [s]."""
SILENCES_S = (5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 240.0, 300.0)
"""Silences that a NAT is tried with, side by side [s]."""
FULL_ROUNDS = 3

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is measured.

    Parameters
    ----------
    full
        Whether to take the time for control paths, trains, NAT and packet sizes everywhere.
    seconds, calls
        Length of the trains [s], and trains at once to each Region (count).
    idle_s
        Longest silence that a NAT is tried with [s].
    source
        Local address to send from; ``None`` leaves it to the routes.
    """

    full: bool = False
    seconds: float = 10.0
    calls: int = 1
    idle_s: float = 30.0
    source: str | None = None


def trace_relays(
    rows: Sequence[Mapping[str, Any]],
    *,
    rounds: int,
    source: str | None,
    on_path: Callable[[dict[str, Any], str | None], None] | None = None,
) -> dict[str | None, ProbedPath]:
    """Trace the ways to relays on the media port.

    Parameters
    ----------
    rows
        ``region_code, address, port`` of one relay per Region.
    rounds
        Sweeps that are merged.
    source
        Local address to send from.
    on_path
        Hears the record of each path, and its Region, as soon as it is known.

    Returns
    -------
    paths
        By Region.
    """
    targets = {
        row["region_code"]: Target(
            address=row["address"], port=row["port"], name=row["region_code"] or "", source=source
        )
        for row in rows
    }
    deadline_s = PATH_DEADLINE_S * rounds
    codes = {target.name or target.address: code for code, target in targets.items()}

    def hear(record: dict[str, Any]) -> None:
        if on_path is not None and record.get("record") == "path" and record["target"] in codes:
            on_path(record, codes[record["target"]])

    paths = trace_paths(list(targets.values()), technique="udp", rounds=rounds, deadline_s=deadline_s, on_record=hear)
    return {code: paths[target] for code, target in targets.items()}


def measure_ways(
    reach: ReachFound, udp: Mapping[str | None, ProbedPath], effort: Effort, tell: Progress
) -> dict[str | None, WayFound]:
    """Measure what can only be measured once it is known what answers.

    Parameters
    ----------
    reach
        The round of reaching.
    udp
        Region → its path on the media port.
    effort
        How much.
    tell
        Hears what goes on.

    Returns
    -------
    ways
        By Region.
    """
    tcp = _control_paths(reach, udp, effort, tell)
    ways = {
        region.region_code: WayFound(udp=udp.get(region.region_code), tcp=tcp.get(region.region_code))
        for region in reach.regions
    }
    relays = _answering_relays(reach, effort)
    if not effort.full or not relays:
        return ways
    targets = list(relays.values())
    # A NAT is asked by silence, which disturbs nobody: the trains run meanwhile.
    nat = Beside(partial(probe_nat, targets, idle_s=_silences_s(effort.idle_s)))
    tell("measuring packet sizes", 2, 4)
    sizes = probe_mtu(targets)
    tell(f"sending trains for {effort.seconds:.0f} s", 3, 4)
    trains = run_trains(targets, seconds=effort.seconds, calls=effort.calls)
    tell("waiting for the NAT", 3, 4)
    translation = nat.result()
    return {
        code: replace(
            way,
            train=trains[relays[code]] if code in relays else None,
            mtu=sizes[relays[code]] if code in relays else None,
            nat=translation.get(f"ipv{relays[code].family}") if code in relays else None,
        )
        for code, way in ways.items()
    }


def _silences_s(longest_s: float) -> tuple[float, ...]:
    kept = tuple(silence for silence in SILENCES_S if silence <= longest_s)
    return kept or ((longest_s,) if longest_s > 0 else ())


def _answering_relays(reach: ReachFound, effort: Effort) -> dict[str | None, Target]:
    best = {region.region_code: best_relay(region.relays) for region in reach.regions}
    return {
        code: Target(address=one.address, port=one.port, name=code or "", source=effort.source)
        for code, one in best.items()
        if one is not None and one.answered and one.transport == "udp"
    }


def _control_paths(
    reach: ReachFound, udp: Mapping[str | None, ProbedPath], effort: Effort, tell: Progress
) -> dict[str | None, ProbedPath]:
    """Trace TCP 443: everywhere in the full form, else where the media port shows no end, for the number of hops."""
    services = {
        region.region_code: service
        for region in reach.regions
        if effort.full or not _reached(udp.get(region.region_code))
        for service in [_regional_service(region)]
        if service is not None
    }
    if not services:
        return {}
    tell("tracing control paths", 1, 4 if effort.full else 2)
    targets = {
        code: Target(address=one.address or "", port=one.port, name=code or "", source=effort.source)
        for code, one in services.items()
    }
    rounds = FULL_ROUNDS if effort.full else 1
    deadline_s = PATH_DEADLINE_S * rounds
    paths = trace_paths(list(targets.values()), technique="tcp", rounds=rounds, deadline_s=deadline_s)
    return {code: paths[target] for code, target in targets.items()}


def _reached(path: ProbedPath | None) -> bool:
    return path is not None and path.path.destination_answered


def _regional_service(region: RegionReach) -> TcpFound | None:
    """Return a service that stands in the Region itself and was connected to directly."""
    return next((one for one in region.tcp if stands_in_region(one) and one.proxy is None and one.address), None)


def with_owners(way: WayFound, table: AsnTable) -> WayFound:
    """Fill in which autonomous system each hop belongs to.

    Parameters
    ----------
    way
        What was measured.
    table
        Address → autonomous system.

    Returns
    -------
    way
        The same with ``asn`` in its hops.
    """
    return replace(
        way,
        udp=table.name_hops(way.udp) if way.udp is not None else None,
        tcp=table.name_hops(way.tcp) if way.tcp is not None else None,
    )


def delay_parts(way: WayFound) -> dict[str, Any] | None:
    """Split the round trip into first hop, edge, provider and AWS.

    Parameters
    ----------
    way
        What was measured.

    Returns
    -------
    parts
        As JSON; ``None`` where no path reached its end.
    """
    if way.path is None or not way.path.path.destination_answered:
        return None
    owners = {hop.address: hop.asn for hop in way.path.path.hops if hop.address is not None}
    return split_delay(way.path.path, read_ranges(), asn_of=owners.get).to_document()
