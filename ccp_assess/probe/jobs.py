"""What the prober can be asked for; each job runs machines on the network that it is given, real or virtual."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ccp_assess.paths import Technique
from ccp_assess.probe.machine import Network, run
from ccp_assess.probe.mtu import MtuProbe
from ccp_assess.probe.nat import NatProbe
from ccp_assess.probe.one_flow import OneFlow
from ccp_assess.probe.prober import Emit, targets_of
from ccp_assess.probe.sweep import Sweep
from ccp_assess.probe.traced import ProbedPath, Target, fill_silent_hops
from ccp_assess.probe.train import Trains
from ccp_assess.units import NS_PER_MS, NS_PER_S


def trace(network: Network, request: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Trace paths: sweeps, then each way in one flow.

    Where the system shows no reports of routers for the technique asked for, the number of hops is found by it all the
    same (the destination itself answers from some TTL on); who the hops are is then asked by another technique.
    """
    targets, technique = targets_of(request["targets"]), request["technique"]
    reasons = getattr(network, "technique_reasons", {})
    end_ns = network.now_ns() + round(request["deadline_s"] * NS_PER_S)
    sweep = Sweep(targets, technique=technique, rounds=request["rounds"], traffic_class=request.get("traffic_class"))
    helper = _helper_of(technique, reasons)
    beside = [] if helper is None else [Sweep(_control(targets, helper), technique=helper, rounds=request["rounds"])]
    others: list[list[ProbedPath | None]]
    paths, *others = run([sweep, *beside], network, deadline_s=request["deadline_s"], on_record=emit)
    times = {"sweep": round(sum(sweep.rounds_ns) / NS_PER_MS, 3), "packets": len(sweep.probes)}
    if request["one_flow"] and technique == "udp" and helper is None:
        flow = OneFlow(paths, short_quotes=sweep.short_quotes)
        left_s = (end_ns - network.now_ns()) / NS_PER_S
        (again,) = run([flow], network, deadline_s=max(left_s, 0.0), on_record=emit)
        paths = sweep.merge(again)
        times |= {"flow": round(flow.took_ns / NS_PER_MS, 3), "packets": len(sweep.probes) + len(again)}
    reason = reasons.get(technique)
    if reason is not None and helper is None:
        others = [_by_command(targets, (end_ns - network.now_ns()) / NS_PER_S)]
    for other in others:
        paths = [
            path if known is None else fill_silent_hops(path, known) for path, known in zip(paths, other, strict=True)
        ]
    return {"paths": [path.to_document() for path in paths], "times_ms": times, "hops_not_shown": reason}


def _by_command(targets: Sequence[Target], left_s: float) -> list[ProbedPath | None]:
    """Let the system's own program show the hops, if there is one."""
    from ccp_assess.probe.systems import commands  # noqa: PLC0415 -- with all parsers; most probers need none

    words = commands.installed_command()
    if words is None:
        return [None] * len(targets)
    return commands.trace_by_command(targets, words, limit_s=max(left_s, 1.0))


def _helper_of(technique: Technique, reasons: dict[str, str | None]) -> Technique | None:
    """Return a technique that shows hops where the one asked for does not."""
    if reasons.get(technique) is None:
        return None
    candidates: tuple[Technique, ...] = ("tcp", "icmp")
    return next((other for other in candidates if other != technique and reasons.get(other) is None), None)


def _control(targets: Sequence[Target], technique: Technique) -> list[Target]:
    """Ask the same hosts, by TCP at the port that is open on all of them."""
    return [replace(target, port=443) if technique == "tcp" else target for target in targets]


def send_trains(network: Network, request: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Send voice-like trains."""
    trains = Trains(
        targets_of(request["targets"]),
        seconds=request["seconds"],
        calls=request["calls"],
        traffic_class=request.get("traffic_class"),
    )
    (found,) = run([trains], network, deadline_s=request["deadline_s"], on_record=emit)
    result: dict[str, Any] = {"trains": [None if numbers is None else numbers.to_document() for numbers in found]}
    if request.get("packets"):
        result |= {"salt": trains.bindings.salt.hex(), "packets": trains.singletons()}
    return result


def ask_nat(network: Network, request: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Find out about NAT, for each IP version by itself."""
    targets = targets_of(request["targets"])
    families = sorted({target.family for target in targets})
    machines = [
        NatProbe([target for target in targets if target.family == family], idle_s=request["idle_s"])
        for family in families
    ]
    found = run(machines, network, deadline_s=request["deadline_s"], on_record=emit)
    return {f"ipv{family}": facts.to_document() for family, facts in zip(families, found, strict=True)}


def find_mtu(network: Network, request: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Find the largest packet towards each target."""
    machine = MtuProbe(targets_of(request["targets"]))
    (found,) = run([machine], network, deadline_s=request["deadline_s"], on_record=emit)
    return {"mtu": [one.to_document() for one in found]}
