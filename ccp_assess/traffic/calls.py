"""Calls: streams, allocations and handshakes brought together; one call is one media session.

An allocation is not a call: a standby allocation carries none, a persistent one many, one after another or two at once.
What makes a call is media on a path (a relayed peer, or a plain 5-tuple): streams that overlap in time belong together,
a stream whose sequence numbers go on after a pause is the same call, a new pair of SSRCs after the old pair fell silent
is a new one. A failed call has no media: an attempt to allocate, to connect (ICE) or to agree on keys (DTLS) of which
nothing came.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from operator import attrgetter

from ccp_assess.traffic.callrecords import Call, Relay, Setup, hash_call
from ccp_assess.traffic.clusters import Cluster, find_clusters, is_main
from ccp_assess.traffic.evidence import (
    SETUP_NS,
    Evidence,
    EvidenceIndex,
    agent_of,
    direction_of,
    relay_end,
    relay_of,
)
from ccp_assess.traffic.failures import find_attempts, find_failed_calls, with_attempts
from ccp_assess.traffic.handshakes import DtlsHandshake
from ccp_assess.traffic.relaypaths import PathKey
from ccp_assess.traffic.setups import allocate_ms, allocated_ns, dns_ms, dns_of, dtls_ms, ice_ms
from ccp_assess.traffic.spans import is_speech
from ccp_assess.units import NS_PER_S, ms_from_ns

_CLOSE_NS = 2 * NS_PER_S
_AFTER_CALL_NS = 5 * NS_PER_S
_RUNNING_NS = NS_PER_S
_started_ns = attrgetter("started_ns")


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
    index = EvidenceIndex(evidence)
    clusters = find_clusters(evidence, index)
    others = _Neighbours(clusters)
    calls = [_call(evidence, cluster, others, index) for cluster in clusters]
    calls += _calls_in_tls(evidence, index)
    attempts = find_attempts(evidence, index)
    calls += find_failed_calls(evidence, index, calls, attempts)
    calls = with_attempts(index, calls, attempts)
    return sorted(calls, key=lambda call: (call.start_ns, call.agent or "", call.agent_port or 0, call.call_id))


class _Neighbours:
    """When other calls on the same paths and connections began and ended."""

    def __init__(self, clusters: list[Cluster]) -> None:
        self._ends: dict[PathKey, list[int]] = defaultdict(list)
        self._starts: dict[int, list[int]] = defaultdict(list)
        for cluster in clusters:
            self._ends[cluster.paths[0]].append(cluster.last_ns)
            self._starts[cluster.paths[0].flow].append(cluster.first_ns)
        for times in (*self._ends.values(), *self._starts.values()):
            times.sort()

    def last_end_ns(self, paths: list[PathKey], before_ns: int) -> int:
        """Tell when the last call before an instant ended on these paths; -1 if there was none."""
        return max(_before(self._ends.get(path, ()), before_ns) for path in paths)

    def last_start_ns(self, flow: int, before_ns: int) -> int:
        """Tell when the last call before an instant began on this connection; -1 if there was none."""
        return _before(self._starts.get(flow, ()), before_ns)

    def next_start_ns(self, flow: int, after_ns: int) -> int | None:
        """Tell when the next call after an instant began on this connection."""
        starts = self._starts.get(flow, ())
        place = bisect_right(starts, after_ns)
        return starts[place] if place < len(starts) else None


def _before(times_ns: Sequence[int], limit_ns: int) -> int:
    place = bisect_left(times_ns, limit_ns)
    return times_ns[place - 1] if place else -1


def _call(evidence: Evidence, cluster: Cluster, others: _Neighbours, index: EvidenceIndex) -> Call:
    streams = evidence.streams
    flow_number = max(cluster.streams, key=lambda n: (streams[n].last_ns, -n))
    flow_number = streams[flow_number].flow
    flow = evidence.flows[flow_number]
    agent, agent_port = agent_of(evidence, flow_number)
    agent_is_a = agent == flow.a and agent_port == flow.a_port
    before_ns = others.last_end_ns(cluster.paths, cluster.first_ns)
    by_direction: dict[str, list[int]] = {"in": [], "out": [], "unknown": []}
    for number in sorted(cluster.streams, key=lambda n: (not is_main(streams[n]), -streams[n].packets, n)):
        by_direction[direction_of(evidence, streams[number])].append(number)
    handshake = _handshake_of(index, cluster, before_ns)
    running = _is_running_at_start(evidence, cluster, index)
    checks = _checks_of(cluster, index, handshake, before_ns)
    anchor_ns = min(cluster.first_ns, handshake.started_ns) if handshake else cluster.first_ns
    is_cut = any(path in evidence.cut_paths for path in cluster.paths)
    check_ns = [int(index.rows["time_ns"][checks[0]])] if checks else []
    check_ns += [evidence.cut_paths[path] for path in cluster.paths if path in evidence.cut_paths]
    check_ns = [time_ns for time_ns in check_ns if max(before_ns, anchor_ns - SETUP_NS) < time_ns <= anchor_ns]
    start_ns = min([anchor_ns, *check_ns])
    inbound_ns = [streams[n].first_ns for n in by_direction["in"]]
    # A fresh allocation, but no key exchange in sight: the capture was cut too short to show the setup.
    allocated = allocated_ns(index, flow_number)
    # The same goes for relayed media without any step of a setup, if it is the first of its connection.
    fresh = allocated is not None and 0 <= cluster.first_ns - allocated <= SETUP_NS
    unseen = relay_end(flow) is not None and allocated is None and start_ns == cluster.first_ns
    hidden = running or (before_ns < 0 and handshake is None and (fresh or unseen)) or (is_cut and not check_ns)
    # Name and allocation are steps of the first call that they served; later ones found them there.
    served_ns = others.last_start_ns(flow_number, cluster.first_ns)
    setup = Setup(
        dns=dns_ms(index, flow, agent) if served_ns < 0 else None,
        allocate=allocate_ms(index, flow_number, since_ns=served_ns),
        ice=None if hidden or is_cut else ice_ms(index, checks, agent_is_a=agent_is_a, known=agent is not None),
        dtls=dtls_ms(handshake),
        first_media=None if hidden or not inbound_ns else ms_from_ns(min(inbound_ns) - start_ns),
    )
    end_ns = _end_ns(cluster, handshake)
    next_ns = others.next_start_ns(flow_number, cluster.last_ns)
    return Call(
        call_id=hash_call(flow, cluster.first_ns, [streams[n].ssrc for n in cluster.streams], agent_is_a=agent_is_a),
        start_ns=start_ns,
        end_ns=end_ns,
        agent=agent,
        agent_port=agent_port,
        relay=relay_of(flow),
        flow=flow_number,
        paths=tuple(cluster.paths),
        in_streams=tuple(by_direction["in"]),
        out_streams=tuple(by_direction["out"]),
        other_streams=tuple(by_direction["unknown"]),
        setup=setup,
        relay_rows=_relay_rows(evidence, cluster, index, before_ns, next_ns),
        media_rows=_media_rows(evidence, cluster, index, start_ns, end_ns),
        handshake=handshake,
        is_running_at_start=running,
        is_running_at_end=_is_running_at_end(evidence, cluster, index),
    )


def _is_running_at_start(evidence: Evidence, cluster: Cluster, index: EvidenceIndex) -> bool:
    """Tell whether the media was there as soon as the capture was, without any step of a setup."""
    if evidence.first_ns is None or cluster.first_ns - evidence.first_ns > _RUNNING_NS:
        return False
    if any(h.has_client_hello for path in cluster.paths for h in index.handshakes.get(path, ())):
        return False
    return all(allocated_ns(index, path.flow) is None for path in cluster.paths)


def _is_running_at_end(evidence: Evidence, cluster: Cluster, index: EvidenceIndex) -> bool:
    """Tell whether the media went on to the end of the capture and nobody hung up."""
    if evidence.last_ns is None or evidence.last_ns - cluster.last_ns >= _RUNNING_NS // 5:
        return False
    flow = evidence.flows[cluster.paths[-1].flow]
    ends = (flow.reset_ab_ns, flow.reset_ba_ns, flow.fin_ab_ns, flow.fin_ba_ns)
    if any(end_ns is not None for end_ns in ends):  # the connection that carried it ended
        return False
    given_back = (time_ns for time_ns, lifetime_s in evidence.paths.leases(cluster.paths[-1].flow) if not lifetime_s)
    if any(abs(time_ns - cluster.last_ns) <= _CLOSE_NS for time_ns in given_back):
        return False
    closes = (h.close_ns for path in cluster.paths for h in index.handshakes.get(path, ()))
    return not any(close_ns is not None and abs(close_ns - cluster.last_ns) <= _CLOSE_NS for close_ns in closes)


def _handshake_of(index: EvidenceIndex, cluster: Cluster, before_ns: int) -> DtlsHandshake | None:
    """Find the last handshake before the media of this call, not longer ago than a setup takes."""
    fitting = []
    for path in cluster.paths:
        handshakes = index.handshakes.get(path, [])
        start = bisect_right(handshakes, before_ns, key=_started_ns)
        stop = bisect_right(handshakes, cluster.first_ns + SETUP_NS, key=_started_ns)
        fitting += [h for h in handshakes[start:stop] if cluster.first_ns - (h.completed_ns or h.last_ns) <= SETUP_NS]
    return max(fitting, key=_started_ns, default=None)


def _checks_of(cluster: Cluster, index: EvidenceIndex, handshake: DtlsHandshake | None, before_ns: int) -> list[int]:
    """Find the connectivity checks of this setup; none where the connection stood long before."""
    if before_ns >= 0 and handshake is None:
        return []
    anchor_ns = min(cluster.first_ns, handshake.started_ns) if handshake else cluster.first_ns
    early: list[int] = []
    for path in cluster.paths:
        asked = index.inner_of(path)
        early += asked.numbers[asked.after(before_ns) : asked.after(anchor_ns + SETUP_NS)].tolist()
    early.sort()
    return early if early and anchor_ns - int(index.rows["time_ns"][early[0]]) <= SETUP_NS else []


def _end_ns(cluster: Cluster, handshake: DtlsHandshake | None) -> int:
    if handshake and handshake.close_ns and 0 < handshake.close_ns - cluster.last_ns <= _CLOSE_NS:
        return handshake.close_ns
    return cluster.last_ns


def _relay_rows(
    evidence: Evidence, cluster: Cluster, index: EvidenceIndex, before_ns: int, next_ns: int | None
) -> tuple[int, ...]:
    """Transactions with the relay from the call before this one to the one after."""
    rows: list[int] = []
    for flow in sorted({path.flow for path in cluster.paths}):
        end = relay_end(evidence.flows[flow])
        if end is None:
            continue
        asked = index.outer_of(flow)
        stop = len(asked.numbers)
        if next_ns is not None:
            stop = max(asked.since(next_ns), asked.after(cluster.last_ns))
        rows += asked.asked_by(asked.after(before_ns), stop, outbound=end == "b")
    return tuple(rows)


def _media_rows(
    evidence: Evidence, cluster: Cluster, index: EvidenceIndex, start_ns: int, end_ns: int
) -> tuple[int, ...]:
    rows: list[int] = []
    for path in cluster.paths:
        agent, port = agent_of(evidence, path.flow)
        if agent is None:
            continue
        flow = evidence.flows[path.flow]
        asked = index.inner_of(path)
        start, stop = asked.since(start_ns), asked.after(end_ns + _AFTER_CALL_NS)
        rows += asked.asked_by(start, stop, outbound=(agent, port) == (flow.a, flow.a_port))
    return tuple(sorted(rows))


def _calls_in_tls(evidence: Evidence, index: EvidenceIndex) -> list[Call]:
    """Find relays inside TLS: only sizes and times show, so the cadence of speech both ways must tell."""
    calls = []
    dialogues = {dialogue.flow: dialogue for dialogue in evidence.dialogues}
    for span in evidence.spans:
        number = int(span["flow"])
        dialogue = dialogues.get(number)
        if dialogue is None or dialogue.protocol not in {"tls", "http", "socks"} or not is_speech(span):
            continue
        flow = evidence.flows[number]
        first_ns, last_ns = int(span["first_ns"]), int(span["last_ns"])
        client, server = ((flow.a, flow.a_port), (flow.b, flow.b_port))[:: 1 if dialogue.client_is_a else -1]
        at_start = evidence.first_ns is not None and first_ns - evidence.first_ns <= _RUNNING_NS
        calls.append(
            Call(
                call_id=hash_call(flow, first_ns, [], agent_is_a=dialogue.client_is_a),
                start_ns=first_ns,
                end_ns=last_ns,
                agent=client[0],
                agent_port=client[1],
                relay=Relay(address=server[0], port=server[1], transport="tls", is_inferred=True),
                flow=number,
                setup=Setup(dns=dns_of(index, server[0], flow.first_ns, client[0])),
                is_running_at_start=at_start and dialogue.hello_ns is None,
                is_running_at_end=evidence.last_ns is not None and evidence.last_ns - last_ns < _RUNNING_NS // 5,
            )
        )
    return calls
