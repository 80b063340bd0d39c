"""Calls: streams, allocations and handshakes brought together; one call is one media session.

An allocation is not a call: a standby allocation carries none, a persistent one many, one after another or two at once.
What makes a call is media on a path (a relayed peer, or a plain 5-tuple): streams that overlap in time belong together,
a stream whose sequence numbers go on after a pause is the same call, a new pair of SSRCs after the old pair fell silent
is a new one. A failed call has no media: an attempt to allocate, to connect (ICE) or to agree on keys (DTLS) of which
nothing came.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from ccp_assess.traffic.dialogues import Dialogue
from ccp_assess.traffic.flows import Flow
from ccp_assess.traffic.handshakes import DtlsHandshake
from ccp_assess.traffic.icmperrors import IcmpError
from ccp_assess.traffic.names import Lookup
from ccp_assess.traffic.relaypaths import PathKey, RelayPaths
from ccp_assess.traffic.streams import RtpStream
from ccp_assess.traffic.transactions import ERROR, NO_ANSWER, SUCCESS, percentile
from ccp_assess.units import NS_PER_S, ms_from_ns
from ccp_assess.wire.stun import Method

Phase = Literal["dns", "relay", "allocate", "permission", "ice", "dtls"]
Rows = npt.NDArray[np.void]

TURN_PORT = 3478
_OVERLAP_NS = NS_PER_S
_SIMULTANEOUS_NS = 3 * NS_PER_S
_ONE_WAY_GAP_NS = 5 * NS_PER_S
_SAME_SSRC_GAP_NS = 30 * NS_PER_S
_SETUP_NS = 15 * NS_PER_S
"""Longest time from one step of the setup to the next within one call: the softphone gives ICE 8 s."""
_ATTEMPT_GAP_NS = 10 * NS_PER_S
_CLOSE_NS = 2 * NS_PER_S
_AFTER_CALL_NS = 5 * NS_PER_S
_RUNNING_NS = NS_PER_S
_TLS_PACED_PACKETS = 250
_TLS_PACED_SHARE = 0.7
_TLS_RATE_HZ = (4.0, 120.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """The TURN server that a call went through.

    Parameters
    ----------
    address, port
        Where it listens.
    transport
        ``udp``, ``tcp`` or ``tls`` between workstation and relay.
    is_inferred
        Whether it was told by size and cadence alone: media inside TLS.
    """

    address: str
    port: int
    transport: Literal["udp", "tcp", "tls"]
    is_inferred: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How long each phase of the setup took, first request to success; ``None`` where it was not seen.

    Parameters
    ----------
    dns, allocate, ice, dtls
        Its own duration [ms].
    first_media
        From the start of the call to the first inbound RTP [ms].
    """

    dns: float | None = None
    allocate: float | None = None
    ice: float | None = None
    dtls: float | None = None
    first_media: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why there was no call.

    Parameters
    ----------
    phase
        Where it ended.
    reason
        ``no_answer``, ``refused``, ``prohibited``, ``unreachable``, ``error_401`` (any code), ``connect_failed``,
        ``no_checks_answered``, ``not_finished``.
    error_code
        STUN error code, if one was given.
    requests
        Requests that were made in that phase (count).
    """

    phase: Phase
    reason: str
    error_code: int | None = None
    requests: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One media session, or an attempt at one.

    Parameters
    ----------
    call_id
        Hash of relay 5-tuple, first media time and SSRCs.
    start_ns, end_ns
        First check, handshake or RTP; last media or close [ns].
    agent
        Address of the workstation; ``None`` where it cannot be told.
    agent_port
        Its port.
    relay
        ``None`` for plain RTP.
    flow
        Index of the (last) flow that carried it.
    paths
        Paths that carried it, in order.
    in_streams, out_streams, other_streams
        Indices of streams by direction, main stream first; ``other`` where it is unknown.
    setup
        Durations of its phases.
    relay_rows, media_rows
        Indices of transactions with the relay, and of those with the media server that the workstation asked.
    handshake
        Its DTLS handshake, if it was captured.
    failure
        ``None`` for a call with media.
    is_running_at_start, is_running_at_end
        Whether the capture began or ended in the middle of it.
    attempts
        Indices of flows to relays that were tried without success before or beside it.
    """

    call_id: str
    start_ns: int
    end_ns: int
    agent: str | None
    agent_port: int | None
    relay: Relay | None
    flow: int
    paths: tuple[PathKey, ...] = ()
    in_streams: tuple[int, ...] = ()
    out_streams: tuple[int, ...] = ()
    other_streams: tuple[int, ...] = ()
    setup: Setup = field(default_factory=Setup)
    relay_rows: tuple[int, ...] = field(default=(), repr=False)
    media_rows: tuple[int, ...] = field(default=(), repr=False)
    handshake: DtlsHandshake | None = None
    failure: Failure | None = None
    is_running_at_start: bool = False
    is_running_at_end: bool = False
    attempts: tuple[int, ...] = ()

    @property
    def streams(self) -> tuple[int, ...]:
        """Indices of all its streams."""
        return self.in_streams + self.out_streams + self.other_streams


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrips:
    """Round trips of a call, nearest rank.

    Parameters
    ----------
    p50, p95
        ``None`` without a sample [ms].
    n
        Samples (count).
    """

    p50: float | None
    p95: float | None
    n: int


def round_trips(transactions: Rows, rows: Iterable[int]) -> RoundTrips:
    """Sum up round trips.

    Parameters
    ----------
    transactions
        Rows of ``TRANSACTION_ROW``.
    rows
        Which of them.

    Returns
    -------
    round_trips
        Unanswered and repeated requests give none (Karn).
    """
    values = transactions["rtt_ms"][np.fromiter(rows, np.int64)] if len(transactions) else np.zeros(0)
    values = values[~np.isnan(values)]
    return RoundTrips(p50=percentile(values, 50), p95=percentile(values, 95), n=len(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that calls are made of.

    Parameters
    ----------
    flows, streams
        As the scan gives them.
    transactions
        Rows of ``TRANSACTION_ROW``.
    peers
        Texts of the ``peer`` column.
    paths
        Channels and peers.
    handshakes, lookups, dialogues, icmp_errors
        As read from the rare packets.
    first_ns, last_ns
        First and last frame of the capture [ns].
    host
        Address of the workstation, if the user says so.
    is_relay
        Tells whether an address, port and transport are a TURN server of the service, by name or published range.
    """

    flows: Sequence[Flow]
    streams: Sequence[RtpStream]
    transactions: Rows
    peers: Sequence[str]
    paths: RelayPaths
    handshakes: Sequence[DtlsHandshake] = ()
    lookups: Sequence[Lookup] = ()
    dialogues: Sequence[Dialogue] = ()
    icmp_errors: Sequence[IcmpError] = ()
    first_ns: int | None = None
    last_ns: int | None = None
    host: str | None = None
    is_relay: Callable[[str, int, str], bool] = field(default=lambda _address, _port, _transport: False)


@dataclass(slots=True)
class _Cluster:
    """Streams of one call while it is put together."""

    streams: list[int]
    paths: list[PathKey]
    first_ns: int
    last_ns: int


def find_calls(evidence: Evidence) -> list[Call]:
    """Bring everything together into calls.

    Parameters
    ----------
    evidence
        What was found in a capture.

    Returns
    -------
    calls
        With media and failed ones, by start.
    """
    clusters = _clusters(evidence)
    index = _TransactionIndex(evidence)
    calls = [_call(evidence, cluster, clusters, index) for cluster in clusters]
    calls += _calls_in_tls(evidence)
    calls += _failed_calls(evidence, index, calls)
    calls = _with_attempts(evidence, index, calls)
    return sorted(calls, key=lambda call: (call.start_ns, call.agent or "", call.agent_port or 0, call.call_id))


# --- streams to clusters ---------------------------------------------------------------------------------------------


def _path_of(evidence: Evidence, stream: RtpStream) -> PathKey:
    if stream.relay == "none":
        return PathKey(stream.flow, "")
    # The binding at the end of the stream is the one that carried it: the first packets went before ChannelBind.
    return evidence.paths.key(stream.flow, stream.channel_number or 0, stream.peer, stream.last_ns)


def _clusters(evidence: Evidence) -> list[_Cluster]:
    by_path: dict[PathKey, list[int]] = defaultdict(list)
    for number, stream in enumerate(evidence.streams):
        by_path[_path_of(evidence, stream)].append(number)
    clusters: list[_Cluster] = []
    for path in sorted(by_path):
        for numbers in _split_by_time(evidence.streams, by_path[path]):
            clusters.extend(
                _Cluster(
                    streams=part,
                    paths=[path],
                    first_ns=min(evidence.streams[n].first_ns for n in part),
                    last_ns=max(evidence.streams[n].last_ns for n in part),
                )
                for part in _split_simultaneous(evidence.streams, numbers)
            )
    clusters.sort(key=lambda cluster: (cluster.first_ns, cluster.paths))
    clusters = _join_one_way(evidence, clusters)
    clusters = _join_same_ssrc(evidence, clusters)
    return sorted(clusters, key=lambda cluster: (cluster.first_ns, cluster.paths))


def _split_by_time(streams: Sequence[RtpStream], numbers: Iterable[int]) -> list[list[int]]:
    """Streams that overlap belong together; a tail of some packets into the next call is no overlap."""
    groups: list[list[int]] = []
    end = 0
    for number in sorted(numbers, key=lambda n: (streams[n].first_ns, n)):
        stream = streams[number]
        needed = min(_OVERLAP_NS, (stream.last_ns - stream.first_ns) // 2)
        if groups and end - stream.first_ns >= needed:
            groups[-1].append(number)
            end = max(end, stream.last_ns)
        else:
            groups.append([number])
            end = stream.last_ns
    return groups


def _overlap(a: RtpStream, b: RtpStream) -> int:
    return min(a.last_ns, b.last_ns) - max(a.first_ns, b.first_ns)


def _is_main(stream: RtpStream) -> bool:
    return not stream.is_retransmission


def _split_simultaneous(streams: Sequence[RtpStream], numbers: list[int]) -> list[list[int]]:
    """Two calls at once on one path show as two overlapping streams in *both* directions."""
    sides = {
        side: [n for n in numbers if streams[n].outbound_of_key is side and _is_main(streams[n])]
        for side in (True, False)
    }
    if any(_most_at_once(streams, side) < 2 for side in sides.values()):
        return [numbers]
    pairs: list[list[int]] = []
    left = list(sides[False])
    for number in sides[True]:
        stream = streams[number]
        best = min(left, key=lambda n: _distance(stream, streams[n]), default=None)
        if best is None or _overlap(stream, streams[best]) < 0:
            pairs.append([number])
        else:
            left.remove(best)
            pairs.append([number, best])
    for number in [*left, *(n for n in numbers if not _is_main(streams[n]))]:
        nearest = min(pairs, key=lambda pair: min(_distance(streams[number], streams[n]) for n in pair))
        nearest.append(number)
    return [sorted(pair) for pair in pairs]


def _distance(a: RtpStream, b: RtpStream) -> int:
    return abs(a.first_ns - b.first_ns) + abs(a.last_ns - b.last_ns)


def _most_at_once(streams: Sequence[RtpStream], numbers: list[int]) -> int:
    by_type: dict[int, list[int]] = defaultdict(list)
    for number in numbers:
        by_type[streams[number].payload_type].append(number)
    most = 0
    for group in by_type.values():
        for number in group:
            at_once = sum(_overlap(streams[number], streams[n]) >= _SIMULTANEOUS_NS for n in group if n != number)
            most = max(most, 1 + at_once)
    return most


def _join_one_way(evidence: Evidence, clusters: list[_Cluster]) -> list[_Cluster]:
    """Join what is one call in two halves: plain RTP on two 5-tuples, or one direction that starts after the other."""
    result: list[_Cluster] = []
    for cluster in clusters:
        partner = next((c for c in reversed(result) if _is_other_half(evidence, c, cluster)), None)
        if partner is None:
            result.append(cluster)
        else:
            _absorb(partner, cluster)
    return result


def _ends_of(evidence: Evidence, cluster: _Cluster) -> set[tuple[str, str]]:
    return {(evidence.streams[n].src, evidence.streams[n].dst) for n in cluster.streams}


def _is_other_half(evidence: Evidence, a: _Cluster, b: _Cluster) -> bool:
    ends_a, ends_b = _ends_of(evidence, a), _ends_of(evidence, b)
    if len(ends_a) != 1 or len(ends_b) != 1 or next(iter(ends_a)) != next(iter(ends_b))[::-1]:
        return False
    if a.paths == b.paths:  # one direction, then the other, with a short pause between and no new keys
        renewed = any(h.path in b.paths and a.last_ns < h.started_ns <= b.first_ns for h in evidence.handshakes)
        return not renewed and b.first_ns - a.last_ns <= _ONE_WAY_GAP_NS
    if a.paths[0].peer or b.paths[0].peer:
        return False
    overlap = min(a.last_ns, b.last_ns) - max(a.first_ns, b.first_ns)
    return overlap * 2 >= min(a.last_ns - a.first_ns, b.last_ns - b.first_ns)


def _join_same_ssrc(evidence: Evidence, clusters: list[_Cluster]) -> list[_Cluster]:
    """One call that moved to another relay or channel keeps its SSRCs."""
    result: list[_Cluster] = []
    for cluster in clusters:
        before = next((c for c in reversed(result) if _moved(evidence, c, cluster)), None)
        if before is None:
            result.append(cluster)
        else:
            _absorb(before, cluster)
    return result


def _moved(evidence: Evidence, a: _Cluster, b: _Cluster) -> bool:
    gap = b.first_ns - a.last_ns
    if not -_OVERLAP_NS <= gap <= _SAME_SSRC_GAP_NS or a.paths[-1] == b.paths[0]:
        return False

    def marks(cluster: _Cluster) -> set[tuple[int, str]]:
        found = set()
        for number in cluster.streams:
            stream = evidence.streams[number]
            agent, _ = _agent_of(evidence, stream.flow)
            if agent is not None:
                found.add((stream.ssrc, agent))
        return found

    return bool(marks(a) & marks(b))


def _absorb(target: _Cluster, other: _Cluster) -> None:
    target.streams = sorted({*target.streams, *other.streams})
    target.paths += [path for path in other.paths if path not in target.paths]
    target.first_ns = min(target.first_ns, other.first_ns)
    target.last_ns = max(target.last_ns, other.last_ns)


# --- who is who ------------------------------------------------------------------------------------------------------


def relay_end(flow: Flow) -> Literal["a", "b"] | None:
    """Tell which end of a flow is a TURN server.

    Parameters
    ----------
    flow
        A flow.

    Returns
    -------
    end
        By its messages, else by the port if it carries TURN.
    """
    if flow.relay_side is not None:
        return flow.relay_side
    if flow.is_turn:
        return "a" if flow.a_port == TURN_PORT and flow.b_port != TURN_PORT else "b"
    return None


def _agent_of(evidence: Evidence, index: int) -> tuple[str | None, int | None]:
    flow = evidence.flows[index]
    end = relay_end(flow)
    if end is not None:
        return (flow.b, flow.b_port) if end == "a" else (flow.a, flow.a_port)
    if evidence.host == flow.a:
        return flow.a, flow.a_port
    if evidence.host == flow.b:
        return flow.b, flow.b_port
    return None, None


def _relay_of(flow: Flow) -> Relay | None:
    end = relay_end(flow)
    if end is None:
        return None
    address, port = (flow.a, flow.a_port) if end == "a" else (flow.b, flow.b_port)
    return Relay(address=address, port=port, transport="tcp" if flow.transport == "tcp" else "udp")


def _direction_of(evidence: Evidence, stream: RtpStream) -> str:
    if stream.direction != "unknown":
        return stream.direction
    if evidence.host == stream.src:
        return "out"
    return "in" if evidence.host == stream.dst else "unknown"


# --- one cluster to one call -----------------------------------------------------------------------------------------


class _TransactionIndex:
    """Transactions by flow and by path, so that a call looks only at its own."""

    def __init__(self, evidence: Evidence) -> None:
        rows = evidence.transactions
        self.rows = rows
        self.outer: dict[int, npt.NDArray[np.int64]] = {}
        self.inner: dict[PathKey, list[int]] = defaultdict(list)
        if not len(rows):
            return
        outside = np.flatnonzero(~rows["inside"])
        for flow in np.unique(rows["flow"][outside]):
            self.outer[int(flow)] = outside[rows["flow"][outside] == flow]
        inside = np.flatnonzero(rows["inside"])
        names: dict[tuple[int, int, int], PathKey] = {}
        for number in inside.tolist():
            row = rows[number]
            flow, channel, peer = int(row["flow"]), int(row["channel"]), int(row["peer"])
            if channel:
                key = evidence.paths.key(flow, channel, None, int(row["time_ns"]))
            else:
                key = names.setdefault((flow, channel, peer), PathKey(flow, evidence.peers[peer]))
            self.inner[key].append(number)
        for flow, flow_rows in self.outer.items():
            if relay_end(evidence.flows[flow]) is None:  # checks without a relay between are the path's own
                self.inner[PathKey(flow, "")] = flow_rows.tolist()

    def outer_of(self, flow: int) -> npt.NDArray[np.int64]:
        return self.outer.get(flow, np.zeros(0, np.int64))


def _call(evidence: Evidence, cluster: _Cluster, clusters: list[_Cluster], index: _TransactionIndex) -> Call:
    streams = evidence.streams
    flow_number = max(cluster.streams, key=lambda n: (streams[n].last_ns, -n))
    flow_number = streams[flow_number].flow
    flow = evidence.flows[flow_number]
    agent, agent_port = _agent_of(evidence, flow_number)
    agent_is_a = agent == flow.a and agent_port == flow.a_port
    before_ns = max(
        (
            c.last_ns
            for c in clusters
            if c is not cluster and c.paths[0] in cluster.paths and c.last_ns < cluster.first_ns
        ),
        default=-1,
    )
    by_direction: dict[str, list[int]] = {"in": [], "out": [], "unknown": []}
    for number in sorted(cluster.streams, key=lambda n: (not _is_main(streams[n]), -streams[n].packets, n)):
        by_direction[_direction_of(evidence, streams[number])].append(number)
    handshake = _handshake_of(evidence, cluster, before_ns)
    running = _is_running_at_start(evidence, cluster, flow)
    checks = _checks_of(evidence, cluster, index, handshake, before_ns)
    start_ns = min(
        [cluster.first_ns]
        + ([handshake.started_ns] if handshake else [])
        + ([int(index.rows["time_ns"][checks[0]])] if checks else [])
    )
    inbound_ns = [streams[n].first_ns for n in by_direction["in"]]
    setup = Setup(
        dns=_dns_ms(evidence, flow, agent),
        allocate=_allocate_ms(index, flow_number),
        ice=None if running else _ice_ms(index, checks, agent_is_a=agent_is_a, known=agent is not None),
        dtls=_dtls_ms(handshake),
        first_media=None if running or not inbound_ns else ms_from_ns(min(inbound_ns) - start_ns),
    )
    end_ns = _end_ns(cluster, handshake, index, flow_number)
    following = [c.first_ns for c in clusters if c.paths[0].flow == flow_number and c.first_ns > cluster.last_ns]
    return Call(
        call_id=_call_id(flow, agent_is_a, cluster.first_ns, [streams[n].ssrc for n in cluster.streams]),
        start_ns=start_ns,
        end_ns=end_ns,
        agent=agent,
        agent_port=agent_port,
        relay=_relay_of(flow),
        flow=flow_number,
        paths=tuple(cluster.paths),
        in_streams=tuple(by_direction["in"]),
        out_streams=tuple(by_direction["out"]),
        other_streams=tuple(by_direction["unknown"]),
        setup=setup,
        relay_rows=_relay_rows(evidence, cluster, index, before_ns, min(following, default=None)),
        media_rows=_media_rows(evidence, cluster, index, start_ns, end_ns),
        handshake=handshake,
        is_running_at_start=running,
        is_running_at_end=evidence.last_ns is not None and evidence.last_ns - cluster.last_ns < _RUNNING_NS // 5,
    )


def _call_id(flow: Flow, agent_is_a: bool, first_ns: int, ssrcs: Iterable[int]) -> str:  # noqa: FBT001 -- one of the inputs
    ends = [f"{flow.a}|{flow.a_port}", f"{flow.b}|{flow.b_port}"][:: 1 if agent_is_a else -1]
    text = "|".join([flow.transport, *ends, str(first_ns), *(f"{ssrc:08x}" for ssrc in sorted(set(ssrcs)))])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _is_running_at_start(evidence: Evidence, cluster: _Cluster, flow: Flow) -> bool:
    if evidence.first_ns is None or cluster.first_ns - evidence.first_ns > _RUNNING_NS:
        return False
    if any(h.path in cluster.paths and h.has_client_hello for h in evidence.handshakes):
        return False
    return cluster.first_ns - flow.first_ns <= _RUNNING_NS


def _handshake_of(evidence: Evidence, cluster: _Cluster, before_ns: int) -> DtlsHandshake | None:
    """Find the last handshake before the media of this call, not longer ago than a setup takes."""
    fitting = [
        h
        for h in evidence.handshakes
        if h.path in cluster.paths
        and before_ns < h.started_ns <= cluster.first_ns + _SETUP_NS
        and cluster.first_ns - (h.completed_ns or h.last_ns) <= _SETUP_NS
    ]
    return max(fitting, key=lambda h: h.started_ns, default=None)


def _checks_of(
    evidence: Evidence,
    cluster: _Cluster,
    index: _TransactionIndex,
    handshake: DtlsHandshake | None,
    before_ns: int,
) -> list[int]:
    """Find the connectivity checks of this setup; none where the connection stood long before."""
    rows = sorted(n for path in cluster.paths for n in index.inner.get(path, ()))
    anchor = min(cluster.first_ns, handshake.started_ns) if handshake else cluster.first_ns
    early = [n for n in rows if before_ns < index.rows["time_ns"][n] <= anchor + _SETUP_NS]
    if not early or (before_ns >= 0 and handshake is None):
        return []
    first_ns = int(index.rows["time_ns"][early[0]])
    del evidence
    return early if anchor - first_ns <= _SETUP_NS else []


def _dns_ms(evidence: Evidence, flow: Flow, agent: str | None) -> float | None:
    relay = _relay_of(flow)
    if relay is None:
        return None
    fitting = [
        lookup
        for lookup in evidence.lookups
        if relay.address in lookup.answers
        and lookup.time_ns <= flow.first_ns
        and lookup.response_ms is not None
        and (lookup.client == agent or agent is None)
    ]
    return fitting[-1].response_ms if fitting else None


def _allocate_ms(index: _TransactionIndex, flow: int) -> float | None:
    rows = index.rows[index.outer_of(flow)]
    rows = rows[rows["method"] == Method.ALLOCATE]
    granted = rows[rows["outcome"] == SUCCESS]
    if not len(granted):
        return None
    return ms_from_ns(int(granted["answer_ns"][0]) - int(rows["time_ns"][0]))


def _ice_ms(index: _TransactionIndex, checks: list[int], *, agent_is_a: bool, known: bool) -> float | None:
    rows = index.rows[np.array(checks, np.int64)]
    ours = rows[rows["outbound_of_key"] == agent_is_a] if known else rows
    answered = ours[ours["outcome"] == SUCCESS]
    if not len(answered):
        return None
    return ms_from_ns(int(answered["answer_ns"].min()) - int(ours["time_ns"].min()))


def _dtls_ms(handshake: DtlsHandshake | None) -> float | None:
    if handshake is None or handshake.completed_ns is None or not handshake.has_client_hello:
        return None
    return ms_from_ns(handshake.completed_ns - handshake.started_ns)


def _end_ns(cluster: _Cluster, handshake: DtlsHandshake | None, index: _TransactionIndex, flow: int) -> int:
    del index, flow
    if handshake and handshake.close_ns and 0 < handshake.close_ns - cluster.last_ns <= _CLOSE_NS:
        return handshake.close_ns
    return cluster.last_ns


def _relay_rows(
    evidence: Evidence, cluster: _Cluster, index: _TransactionIndex, before_ns: int, next_ns: int | None
) -> tuple[int, ...]:
    """Transactions with the relay from the call before this one to the one after."""
    rows: list[int] = []
    for flow in sorted({path.flow for path in cluster.paths}):
        if relay_end(evidence.flows[flow]) is None:
            continue
        for number in index.outer_of(flow).tolist():
            row = index.rows[number]
            is_ours = bool(row["outbound_of_key"]) == (relay_end(evidence.flows[flow]) == "b")
            before_next = next_ns is None or row["time_ns"] < next_ns
            if is_ours and row["time_ns"] > before_ns and (before_next or row["time_ns"] <= cluster.last_ns):
                rows.append(number)
    return tuple(rows)


def _media_rows(
    evidence: Evidence, cluster: _Cluster, index: _TransactionIndex, start_ns: int, end_ns: int
) -> tuple[int, ...]:
    rows: list[int] = []
    for path in cluster.paths:
        agent, port = _agent_of(evidence, path.flow)
        flow = evidence.flows[path.flow]
        agent_is_a = (agent, port) == (flow.a, flow.a_port)
        if agent is None:
            continue
        for number in index.inner.get(path, ()):
            row = index.rows[number]
            if bool(row["outbound_of_key"]) == agent_is_a and start_ns <= row["time_ns"] <= end_ns + _AFTER_CALL_NS:
                rows.append(number)
    return tuple(sorted(rows))


# --- media inside TLS ------------------------------------------------------------------------------------------------


def _calls_in_tls(evidence: Evidence) -> list[Call]:
    """Find relays inside TLS: only sizes and times show, so the cadence of speech both ways must tell."""
    calls = []
    for dialogue in evidence.dialogues:
        if dialogue.protocol not in {"tls", "http", "socks"}:
            continue
        flow = evidence.flows[dialogue.flow]
        if not has_cadence_of_speech(flow):
            continue
        client, server = ((flow.a, flow.a_port), (flow.b, flow.b_port))[:: 1 if dialogue.client_is_a else -1]
        calls.append(
            Call(
                call_id=_call_id(flow, dialogue.client_is_a, flow.first_ns, []),
                start_ns=flow.first_ns,
                end_ns=flow.last_ns,
                agent=client[0],
                agent_port=client[1],
                relay=Relay(address=server[0], port=server[1], transport="tls", is_inferred=True),
                flow=dialogue.flow,
                setup=Setup(dns=_dns_of(evidence, server[0], flow.first_ns, client[0])),
                is_running_at_end=evidence.last_ns is not None and evidence.last_ns - flow.last_ns < _RUNNING_NS // 5,
            )
        )
    return calls


def _dns_of(evidence: Evidence, address: str, until_ns: int, client: str) -> float | None:
    fitting = [
        lookup.response_ms
        for lookup in evidence.lookups
        if address in lookup.answers and lookup.time_ns <= until_ns and lookup.client == client
    ]
    return fitting[-1] if fitting else None


def has_cadence_of_speech(flow: Flow) -> bool:
    """Tell whether a TCP connection carries packets of the size and cadence of speech in both directions.

    Parameters
    ----------
    flow
        A flow.

    Returns
    -------
    has_cadence
        A file transfer, a web page or a chat does not.
    """
    if flow.transport != "tcp":
        return False
    duration_s = max((flow.last_ns - flow.first_ns) / NS_PER_S, 1e-9)
    for paced, payload in ((flow.paced_ab, flow.payload_packets_ab), (flow.paced_ba, flow.payload_packets_ba)):
        if paced < _TLS_PACED_PACKETS or paced < _TLS_PACED_SHARE * payload:
            return False
        if not _TLS_RATE_HZ[0] <= payload / duration_s <= _TLS_RATE_HZ[1]:
            return False
    return True


# --- calls that never came about -------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Attempt:
    """Flows of one workstation to relays that were tried at the same time."""

    agent: str
    flows: list[int]
    first_ns: int
    last_ns: int
    granted: bool = False


def _attempts(evidence: Evidence, index: _TransactionIndex) -> list[_Attempt]:
    starts: list[tuple[int, int, str, int, bool]] = []
    for number, flow in enumerate(evidence.flows):
        rows = index.rows[index.outer_of(number)]
        rows = rows[rows["method"] == Method.ALLOCATE]
        if len(rows):
            first = rows[0]
            agent = flow.a if first["outbound_of_key"] else flow.b
            last = max(int(rows["time_ns"].max()), int(rows["answer_ns"].max()))
            starts.append((int(first["time_ns"]), number, agent, last, bool((rows["outcome"] == SUCCESS).any())))
        elif (
            flow.transport == "tcp"
            and flow.syn_ns is not None
            and flow.synack_ns is None
            and evidence.is_relay(flow.b, flow.b_port, "tcp")
        ):
            starts.append((flow.syn_ns, number, flow.a, flow.last_ns, False))
    attempts: list[_Attempt] = []
    for first_ns, number, agent, last_ns, granted in sorted(starts):
        current = next((a for a in reversed(attempts) if a.agent == agent), None)
        if current is None or first_ns - current.last_ns > _ATTEMPT_GAP_NS:
            current = _Attempt(agent=agent, flows=[], first_ns=first_ns, last_ns=last_ns)
            attempts.append(current)
        current.flows.append(number)
        current.last_ns = max(current.last_ns, last_ns)
        current.granted = current.granted or granted
    return attempts


def _failed_calls(evidence: Evidence, index: _TransactionIndex, calls: list[Call]) -> list[Call]:
    failed = []
    for attempt in _attempts(evidence, index):
        asked = [n for n in attempt.flows if len(index.outer_of(n))]
        if attempt.granted or not asked:
            continue
        if any(call.agent == attempt.agent and _touches(call, attempt) for call in calls):
            continue  # another way was found: no failed call, but a finding of that call
        failed.append(_failed_allocation(evidence, index, attempt, asked))
    return failed + _failed_paths(evidence, index, calls)


def _touches(call: Call, attempt: _Attempt) -> bool:
    return call.start_ns - _SETUP_NS <= attempt.last_ns and attempt.first_ns <= call.end_ns


def _failed_allocation(evidence: Evidence, index: _TransactionIndex, attempt: _Attempt, asked: list[int]) -> Call:
    number = asked[0]
    flow = evidence.flows[number]
    rows = index.rows[np.concatenate([index.outer_of(n) for n in asked])]
    rows = rows[rows["method"] == Method.ALLOCATE]
    requests = int(len(rows) + rows["retransmissions"].sum())
    refused = [e for e in evidence.icmp_errors if e.flow in attempt.flows]
    errors = rows[rows["outcome"] == ERROR]
    if len(errors):
        code = int(errors["error_code"][-1])
        failure = Failure(phase="allocate", reason=f"error_{code}", error_code=code, requests=requests)
    elif refused:
        failure = Failure(phase="relay", reason=refused[0].reason, requests=requests)
    else:
        failure = Failure(phase="relay", reason="no_answer", requests=requests)
    first = rows[0]
    agent_is_a = bool(first["outbound_of_key"])
    relay, own = ((flow.b, flow.b_port), (flow.a, flow.a_port))[:: 1 if agent_is_a else -1]
    return Call(
        call_id=_call_id(flow, agent_is_a, attempt.first_ns, []),
        start_ns=int(rows["time_ns"].min()),
        end_ns=max(attempt.last_ns, *(evidence.flows[n].last_ns for n in asked)),
        agent=own[0],
        agent_port=own[1],
        relay=Relay(address=relay[0], port=relay[1], transport="tcp" if flow.transport == "tcp" else "udp"),
        flow=number,
        setup=Setup(dns=_dns_of(evidence, relay[0], flow.first_ns, own[0])),
        relay_rows=tuple(np.concatenate([index.outer_of(n) for n in asked]).tolist()),
        failure=failure,
        attempts=tuple(attempt.flows),
    )


def _failed_paths(evidence: Evidence, index: _TransactionIndex, calls: list[Call]) -> list[Call]:
    """Allocated, but no check was answered, no permission given or no keys agreed on, and nothing else worked."""
    carried = {path for call in calls for path in call.paths}
    tried: list[tuple[int, int, PathKey, str, Failure | None]] = []
    for path in sorted({*index.inner, *(h.path for h in evidence.handshakes)}):
        agent, port = _agent_of(evidence, path.flow)
        if path in carried or agent is None or not path.peer:
            continue
        flow = evidence.flows[path.flow]
        agent_is_a = (agent, port) == (flow.a, flow.a_port)
        rows = index.rows[np.array(index.inner.get(path, ()), np.int64)]
        ours = rows[rows["outbound_of_key"] == agent_is_a]
        handshakes = [h for h in evidence.handshakes if h.path == path]
        times = [int(t) for t in rows["time_ns"]] + [h.started_ns for h in handshakes]
        failure: Failure | None = None
        if handshakes:
            if all(h.completed_ns is None for h in handshakes):
                failure = Failure(phase="dtls", reason="not_finished", requests=len(handshakes))
        elif len(ours) and not (rows["outcome"] == SUCCESS).any():
            requests = int(len(ours) + ours["retransmissions"].sum())
            failure = Failure(phase="ice", reason="no_checks_answered", requests=requests)
        if times:
            tried.append((min(times), max(times), path, agent, failure))
    return _failed_sessions(evidence, index, calls, sorted(tried, key=lambda entry: entry[:3]))


def _failed_sessions(
    evidence: Evidence,
    index: _TransactionIndex,
    calls: list[Call],
    tried: list[tuple[int, int, PathKey, str, Failure | None]],
) -> list[Call]:
    failed: list[Call] = []
    done: set[PathKey] = set()
    for first_ns, last_ns, path, agent, failure in tried:
        if failure is None or path in done:
            continue
        beside = [
            entry
            for entry in tried
            if entry[3] == agent and entry[0] <= last_ns + _SETUP_NS and entry[1] >= first_ns - _SETUP_NS
        ]
        works = any(entry[4] is None for entry in beside)
        in_call = any(
            call.agent == agent and call.start_ns - _SETUP_NS <= first_ns <= call.end_ns + _SETUP_NS for call in calls
        )
        done.update(entry[2] for entry in beside)
        # A capture that ends while the checks are still under way has not seen them fail.
        too_short = evidence.last_ns is not None and evidence.last_ns - first_ns < 3 * NS_PER_S
        if works or in_call or too_short:
            continue
        worst = next((entry for entry in beside if entry[4] and entry[4].phase == "dtls"), None) or (
            first_ns, last_ns, path, agent, failure
        )  # fmt: skip
        failed.append(_failed_session(evidence, index, worst, beside))
    return failed


def _failed_session(
    evidence: Evidence,
    index: _TransactionIndex,
    entry: tuple[int, int, PathKey, str, Failure | None],
    beside: list[tuple[int, int, PathKey, str, Failure | None]],
) -> Call:
    path, agent, failure = entry[2], entry[3], entry[4]
    flow = evidence.flows[path.flow]
    agent_is_a = relay_end(flow) == "b"
    outer = index.rows[index.outer_of(path.flow)]
    denied = outer[
        (outer["outcome"] == ERROR) & np.isin(outer["method"], [Method.CREATE_PERMISSION, Method.CHANNEL_BIND])
    ]
    denied = denied[denied["error_code"] != 438]
    if failure and failure.phase == "ice" and len(denied):
        code = int(denied["error_code"][-1])
        failure = Failure(phase="permission", reason=f"error_{code}", error_code=code, requests=len(denied))
    allocate = outer[outer["method"] == Method.ALLOCATE]
    first_ns = min(item[0] for item in beside)
    handshake = next((h for h in evidence.handshakes if h.path == path), None)
    checks = [n for item in beside for n in index.inner.get(item[2], ())]
    return Call(
        call_id=_call_id(flow, agent_is_a, first_ns, []),
        start_ns=int(allocate["time_ns"][0]) if len(allocate) else first_ns,
        end_ns=max(item[1] for item in beside),
        agent=agent,
        agent_port=flow.a_port if agent_is_a else flow.b_port,
        relay=_relay_of(flow),
        flow=path.flow,
        paths=tuple(item[2] for item in beside),
        setup=Setup(
            dns=_dns_ms(evidence, flow, agent),
            allocate=_allocate_ms(index, path.flow),
            ice=_ice_ms(index, checks, agent_is_a=agent_is_a, known=True) if checks else None,
        ),
        relay_rows=tuple(index.outer_of(path.flow).tolist()),
        media_rows=tuple(n for n in checks if bool(index.rows["outbound_of_key"][n]) == agent_is_a),
        handshake=handshake,
        failure=failure,
    )


def _with_attempts(evidence: Evidence, index: _TransactionIndex, calls: list[Call]) -> list[Call]:
    """Tell each call which relays were tried in vain on the way to it."""
    attempts = _attempts(evidence, index)
    result = []
    for call in calls:
        if call.failure is not None or call.relay is None:
            result.append(call)
            continue
        vain = [
            number
            for attempt in attempts
            if attempt.agent == call.agent and _touches(call, attempt)
            for number in attempt.flows
            if number != call.flow and _was_in_vain(index, number)
        ]
        result.append(replace(call, attempts=tuple(vain)))
    return result


def _was_in_vain(index: _TransactionIndex, flow: int) -> bool:
    rows = index.rows[index.outer_of(flow)]
    rows = rows[rows["method"] == Method.ALLOCATE]
    return not len(rows) or bool((rows["outcome"] == NO_ANSWER).all())
