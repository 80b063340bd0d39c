"""What is known of one path while it is traced, and the record that is made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ccp_assess.paths import Hop, Path, Technique
from ccp_assess.units import NS_PER_MS, rounded

Kind = Literal["expired", "destination", "unreachable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a path leads.

    Parameters
    ----------
    address
        IP address.
    port
        3478 for media, 443 for the TCP control.
    name
        What the caller calls it.
    egress
        The way out of this computer (its source address); targets with the same one share their first hops.
    source
        Local address to send from; ``None`` leaves it to the system.
    """

    address: str
    port: int = 3478
    name: str = ""
    egress: str = ""
    source: str | None = None

    @property
    def family(self) -> Literal[4, 6]:
        """IP version."""
        return 6 if ":" in self.address else 4


@dataclass(frozen=True, slots=True, kw_only=True)
class HopAnswer:
    """Who answered a probe, and how."""

    address: str
    kind: Kind
    time_ns: int
    by_kernel: bool
    type: int | None = None
    code: int | None = None
    reply_ttl: int | None = None


@dataclass(slots=True, kw_only=True)
class HopProbe:
    """One probe of a path."""

    target: int
    ttl: int
    number: int
    sent_ns: int
    one_flow: bool = False
    stamped_ns: int | None = None
    answer: HopAnswer | None = None
    error: str | None = None
    quoted_traffic_class: int | None = None

    @property
    def rtt_ms(self) -> float | None:
        """Round trip; ``None`` without an answer [ms]."""
        if self.answer is None:
            return None
        # Where only one end has the kernel's stamp, both readings are of the same clock all the same.
        begin_ns = self.sent_ns if self.stamped_ns is None else self.stamped_ns
        return max(self.answer.time_ns - begin_ns, 0) / NS_PER_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """A device that said it does not let the packets pass."""

    address: str
    ttl: int
    type: int
    code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbedPath:
    """A path as we traced it.

    Parameters
    ----------
    target
        Where it leads.
    path
        Hop by hop.
    one_flow
        Whether all hops belong to one flow identity, so that routers which spread flows cannot mix two ways.
    shared_ttls
        Hops that were asked for one target of the same egress and verified at another.
    blocked_by
        The device that reported that it does not let the packets pass.
    reply_ttl
        Remaining TTL of the destination's answers (most frequent).
    traffic_classes
        Per TTL, the TOS byte of our packet as the router received it, where the system shows it (with rights).
    error
        Why nothing could be sent, such as ``ENETUNREACH``.
    elapsed_ms
        Until this path was known [ms].
    """

    target: Target
    path: Path
    one_flow: bool
    shared_ttls: tuple[int, ...] = ()
    blocked_by: Blocked | None = None
    reply_ttl: int | None = None
    traffic_classes: tuple[tuple[int, int], ...] = ()
    error: str | None = None
    elapsed_ms: float | None = None

    @property
    def return_hops(self) -> int | None:
        """Hops of the way back, guessed from the nearest usual first TTL (64, 128, 255); ``None`` if unknown."""
        if self.reply_ttl is None:
            return None
        first = next(first for first in (64, 128, 255) if self.reply_ttl <= first)
        return first - self.reply_ttl + 1

    def to_document(self) -> dict[str, Any]:
        """Return the ``path`` object of the contract, with what we know beyond it."""
        return {
            "technique": self.path.technique,
            "hop_count": self.path.hop_count,
            "hops_seen": self.path.hops_seen,
            "destination_answered": self.path.destination_answered,
            "one_flow": self.one_flow,
            "reply_ttl": self.reply_ttl,
            "return_hops": self.return_hops,
            "blocked_by": None
            if self.blocked_by is None
            else {
                "address": self.blocked_by.address,
                "ttl": self.blocked_by.ttl,
                "icmp_type": self.blocked_by.type,
                "icmp_code": self.blocked_by.code,
            },
            "traffic_classes": [list(one) for one in self.traffic_classes],
            "error": self.error,
            "elapsed_ms": rounded(self.elapsed_ms),
            "hops": [
                {
                    "ttl": hop.ttl,
                    "address": hop.address,
                    "sent": hop.sent,
                    "received": hop.received,
                    "rtt_ms": [rounded(rtt) for rtt in hop.rtts_ms],
                    "rtt_min_ms": rounded(hop.rtt_min_ms),
                    "rtt_avg_ms": rounded(hop.rtt_avg_ms),
                    "rtt_max_ms": rounded(hop.rtt_max_ms),
                    "asn": hop.asn,
                    "shared": hop.ttl in self.shared_ttls,
                    "addresses": list(hop.addresses),
                }
                for hop in self.path.hops
            ],
        }


def path_from_document(target: Target, document: dict[str, Any]) -> ProbedPath:
    """Read what :meth:`ProbedPath.to_document` wrote.

    Parameters
    ----------
    target
        Where the path leads.
    document
        The ``path`` object.

    Returns
    -------
    path
        The record.
    """
    blocked = document["blocked_by"]
    hops = tuple(
        Hop(
            ttl=row["ttl"],
            address=row["address"],
            sent=row["sent"],
            received=row["received"],
            rtts_ms=tuple(row["rtt_ms"]),
            rtt_min_ms=row["rtt_min_ms"],
            rtt_avg_ms=row["rtt_avg_ms"],
            rtt_max_ms=row["rtt_max_ms"],
            asn=row["asn"],
            addresses=tuple(row["addresses"]),
        )
        for row in document["hops"]
    )
    return ProbedPath(
        target=target,
        path=Path(
            technique=document["technique"],
            hops=hops,
            destination_answered=document["destination_answered"],
            hop_count=document["hop_count"],
        ),
        one_flow=document["one_flow"],
        shared_ttls=tuple(row["ttl"] for row in document["hops"] if row["shared"]),
        blocked_by=None
        if blocked is None
        else Blocked(
            address=blocked["address"], ttl=blocked["ttl"], type=blocked["icmp_type"], code=blocked["icmp_code"]
        ),
        reply_ttl=document["reply_ttl"],
        traffic_classes=tuple((ttl, value) for ttl, value in document["traffic_classes"]),
        error=document["error"],
        elapsed_ms=document["elapsed_ms"],
    )


def merge_probes(
    target: Target,
    technique: Technique,
    probes: Sequence[HopProbe],
    shared: Mapping[int, Sequence[HopProbe]],
    *,
    elapsed_ms: float | None = None,
) -> ProbedPath:
    """Make one path of all probes of a target.

    Where one flow asked every hop, its answers say which way it is; the other flows' answers add to the round trips of
    the same device, and tell who else is there.

    Parameters
    ----------
    target
        Where the path leads.
    technique
        What the probes are made of.
    probes
        All that were sent to this target.
    shared
        Probes of other targets that stand for this one's first hops, by TTL.
    elapsed_ms
        Until the path was known [ms].

    Returns
    -------
    path
        The record.
    """
    ours: dict[int, list[HopProbe]] = {}
    for probe in (*probes, *(one for several in shared.values() for one in several)):
        ours.setdefault(probe.ttl, []).append(probe)
    own = {probe.ttl for probe in probes if probe.answer}
    flow_asked = any(probe.one_flow for probe in probes)
    count = _hop_count(ours, flow_asked)
    blocked = None if count is not None else _blocked(probes)
    heard = [ttl for ttl, several in ours.items() if any(probe.answer for probe in several)]
    last = count or (blocked.ttl if blocked else max(heard, default=0))
    hops = tuple(_merge_hop(ttl, ours.get(ttl, [])) for ttl in range(1, last + 1))
    replies = Counter(
        probe.answer.reply_ttl
        for probe in probes
        if probe.answer and probe.answer.kind == "destination" and probe.answer.reply_ttl is not None
    )
    errors = [probe.error for probe in probes if probe.error]
    return ProbedPath(
        target=target,
        path=Path(technique=technique, hops=hops, destination_answered=count is not None, hop_count=count),
        one_flow=technique == "icmp" or (flow_asked and count is not None),
        shared_ttls=tuple(sorted(ttl for ttl in shared if ttl <= last and ttl not in own)),
        blocked_by=blocked,
        reply_ttl=replies.most_common(1)[0][0] if replies else None,
        traffic_classes=tuple(
            sorted({(p.ttl, p.quoted_traffic_class) for p in probes if p.quoted_traffic_class is not None})
        ),
        error=errors[0] if errors and len(errors) == len(probes) else None,
        elapsed_ms=elapsed_ms,
    )


MOST_AGREED = 3
"""So many targets must have been told the same next hop before it stands for one that was told nothing."""


def infer_shared_hops(paths: Sequence[ProbedPath]) -> list[ProbedPath]:
    """Name hops that stayed silent for some targets but answered for others on the same piece of way.

    A router that limits its ICMP answers answers some of many targets and leaves out the rest. Its place is certain
    where the hops before and after it are the same for both; where the hop after is not, several targets must agree
    and none disagree.

    Parameters
    ----------
    paths
        Of targets with the same egress, probed by the same technique.

    Returns
    -------
    paths
        With such hops filled in, marked as shared.
    """
    found = list(paths)
    deepest = max((len(path.path.hops) for path in found), default=0)
    for ttl in range(1, deepest):
        known: dict[str | None, list[tuple[Hop, str | None]]] = {}
        for path in found:
            hops = path.path.hops
            if len(hops) > ttl and hops[ttl - 1].address is not None:
                before = hops[ttl - 2].address if ttl > 1 else ""
                known.setdefault(before, []).append((hops[ttl - 1], hops[ttl].address))
        for number, path in enumerate(found):
            hops = path.path.hops
            if len(hops) <= ttl or hops[ttl - 1].address is not None:
                continue
            before, after = hops[ttl - 2].address if ttl > 1 else "", hops[ttl].address
            if before is None:
                continue
            several = known.get(before, [])
            same_end = [hop for hop, beyond in several if after is not None and beyond == after]
            candidates = same_end or [hop for hop, _ in several]
            if len({hop.address for hop in candidates}) == 1 and (same_end or len(candidates) >= MOST_AGREED):
                filled = (*hops[: ttl - 1], candidates[0], *hops[ttl:])
                shared = tuple(sorted({*path.shared_ttls, ttl}))
                found[number] = replace(path, path=replace(path.path, hops=filled), shared_ttls=shared)
    return found


def fill_silent_hops(path: ProbedPath, other: ProbedPath) -> ProbedPath:
    """Name the hops that stayed silent by another technique's path to the same host.

    Parameters
    ----------
    path
        The path whose number of hops counts.
    other
        A path of the same host; if it is of another length it says nothing about these hops.

    Returns
    -------
    path
        Not of one flow any more, if hops were filled in.
    """
    if path.path.hop_count is None or path.path.hop_count != other.path.hop_count:
        return path
    hops = tuple(
        theirs if hop.address is None else hop for hop, theirs in zip(path.path.hops, other.path.hops, strict=True)
    )
    return replace(path, path=replace(path.path, hops=hops), one_flow=path.one_flow and hops == path.path.hops)


def _hop_count(ours: dict[int, list[HopProbe]], flow_asked: bool) -> int | None:  # noqa: FBT001 -- private
    """Return the lowest TTL at which the destination answered, in the one flow where that was asked.

    A lost answer makes the one flow's lowest TTL too high. So a lower one of the other flows stands, unless a router
    of the one flow answered there: then that flow's way is longer.
    """
    reached = sorted(
        ttl for ttl, several in ours.items() if any(p.answer and p.answer.kind == "destination" for p in several)
    )
    if not flow_asked:
        return next(iter(reached), None)
    for ttl in reached:
        if not any(p.one_flow and p.answer and p.answer.kind == "expired" for p in ours[ttl]):
            return ttl
    return None


def _blocked(probes: Iterable[HopProbe]) -> Blocked | None:
    """Return who forbids the way: a filter speaks for packets beyond it, so it stands where it also expires them."""
    answered = [(probe.ttl, probe.answer) for probe in probes if probe.answer]
    found = min(
        ((ttl, one) for ttl, one in answered if one.kind == "unreachable"), key=lambda pair: pair[0], default=None
    )
    if found is None:
        return None
    ttl, answer = found
    own = [at for at, one in answered if one.kind == "expired" and one.address == answer.address and at < ttl]
    return Blocked(address=answer.address, ttl=max(own, default=ttl), type=answer.type or 0, code=answer.code or 0)


def _merge_hop(ttl: int, several: Sequence[HopProbe]) -> Hop:
    answered = [probe for probe in several if probe.answer]
    in_flow = [probe for probe in answered if probe.one_flow]
    votes = Counter(probe.answer.address for probe in in_flow or answered if probe.answer)
    address = votes.most_common(1)[0][0] if votes else None
    everyone = tuple(dict.fromkeys(probe.answer.address for probe in answered if probe.answer))
    rtts = tuple(
        probe.rtt_ms if probe.answer and probe.answer.address == address else None
        for probe in sorted(several, key=lambda probe: (probe.one_flow, probe.number))
        if not probe.answer or probe.answer.address == address
    )
    times = [rtt for rtt in rtts if rtt is not None]
    return Hop(
        ttl=ttl,
        address=address,
        sent=len(rtts),
        received=len(times),
        rtts_ms=rtts,
        rtt_min_ms=min(times, default=None),
        rtt_avg_ms=sum(times) / len(times) if times else None,
        rtt_max_ms=max(times, default=None),
        addresses=everyone if len(everyone) > 1 else (),
    )
