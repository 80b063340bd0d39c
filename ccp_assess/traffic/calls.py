"""Calls: streams, allocations and handshakes brought together; one call is one media session.

An allocation is not a call: a standby allocation carries none, a persistent one many, one after another or two at once.
What makes a call is media on a path (a relayed peer, or a plain 5-tuple): streams that overlap in time belong together,
a stream whose sequence numbers go on after a pause is the same call, a new pair of SSRCs after the old pair fell silent
is a new one. A failed call has no media: an attempt to allocate, to connect (ICE) or to agree on keys (DTLS) of which
nothing came.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from ccp_assess.traffic.callrecords import Call, Relay, Setup, hash_call
from ccp_assess.traffic.clusters import Cluster, find_clusters, is_main
from ccp_assess.traffic.evidence import (
    SETUP_NS,
    Evidence,
    TransactionIndex,
    agent_of,
    direction_of,
    relay_end,
    relay_of,
)
from ccp_assess.traffic.failures import find_failed_calls, with_attempts
from ccp_assess.traffic.handshakes import DtlsHandshake
from ccp_assess.traffic.relaypaths import PathKey
from ccp_assess.traffic.setups import allocate_ms, allocated_ns, dns_ms, dns_of, dtls_ms, ice_ms
from ccp_assess.traffic.spans import is_speech
from ccp_assess.units import NS_PER_S, ms_from_ns

_CLOSE_NS = 2 * NS_PER_S
_AFTER_CALL_NS = 5 * NS_PER_S
_RUNNING_NS = NS_PER_S
_NO_ROWS = np.zeros(0, np.int64)


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
    clusters = find_clusters(evidence)
    index = TransactionIndex(evidence)
    by_flow: dict[int, list[Cluster]] = defaultdict(list)
    for cluster in clusters:
        by_flow[cluster.paths[0].flow].append(cluster)
    handshakes: dict[PathKey, list[DtlsHandshake]] = defaultdict(list)
    for handshake in evidence.handshakes:
        handshakes[handshake.path].append(handshake)
    calls = [
        _call(
            evidence,
            cluster,
            [c for flow in sorted({path.flow for path in cluster.paths}) for c in by_flow[flow]],
            index,
            [h for path in cluster.paths for h in handshakes[path]],
        )
        for cluster in clusters
    ]
    calls += _calls_in_tls(evidence)
    calls += find_failed_calls(evidence, index, calls)
    calls = with_attempts(evidence, index, calls)
    return sorted(calls, key=lambda call: (call.start_ns, call.agent or "", call.agent_port or 0, call.call_id))


def _call(
    evidence: Evidence,
    cluster: Cluster,
    neighbours: list[Cluster],
    index: TransactionIndex,
    handshakes: list[DtlsHandshake],
) -> Call:
    streams = evidence.streams
    flow_number = max(cluster.streams, key=lambda n: (streams[n].last_ns, -n))
    flow_number = streams[flow_number].flow
    flow = evidence.flows[flow_number]
    agent, agent_port = agent_of(evidence, flow_number)
    agent_is_a = agent == flow.a and agent_port == flow.a_port
    before_ns = max(
        (
            c.last_ns
            for c in neighbours
            if c is not cluster and c.paths[0] in cluster.paths and c.last_ns < cluster.first_ns
        ),
        default=-1,
    )
    by_direction: dict[str, list[int]] = {"in": [], "out": [], "unknown": []}
    for number in sorted(cluster.streams, key=lambda n: (not is_main(streams[n]), -streams[n].packets, n)):
        by_direction[direction_of(evidence, streams[number])].append(number)
    handshake = _handshake_of(handshakes, cluster, before_ns)
    running = _is_running_at_start(evidence, cluster, index, handshakes)
    checks = _checks_of(evidence, cluster, index, handshake, before_ns)
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
    served_ns = max(
        (c.first_ns for c in neighbours if c.paths[0].flow == flow_number and c.first_ns < cluster.first_ns), default=-1
    )
    setup = Setup(
        dns=dns_ms(evidence, flow, agent) if served_ns < 0 else None,
        allocate=allocate_ms(index, flow_number, since_ns=served_ns),
        ice=None if hidden or is_cut else ice_ms(index, checks, agent_is_a=agent_is_a, known=agent is not None),
        dtls=dtls_ms(handshake),
        first_media=None if hidden or not inbound_ns else ms_from_ns(min(inbound_ns) - start_ns),
    )
    end_ns = _end_ns(cluster, handshake, index, flow_number)
    following = [c.first_ns for c in neighbours if c.paths[0].flow == flow_number and c.first_ns > cluster.last_ns]
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
        relay_rows=_relay_rows(evidence, cluster, index, before_ns, min(following, default=None)),
        media_rows=_media_rows(evidence, cluster, index, start_ns, end_ns),
        handshake=handshake,
        is_running_at_start=running,
        is_running_at_end=_is_running_at_end(evidence, cluster, handshakes),
    )


def _is_running_at_start(
    evidence: Evidence, cluster: Cluster, index: TransactionIndex, handshakes: list[DtlsHandshake]
) -> bool:
    """Tell whether the media was there as soon as the capture was, without any step of a setup."""
    if evidence.first_ns is None or cluster.first_ns - evidence.first_ns > _RUNNING_NS:
        return False
    if any(h.has_client_hello for h in handshakes):
        return False
    return all(allocated_ns(index, path.flow) is None for path in cluster.paths)


def _is_running_at_end(evidence: Evidence, cluster: Cluster, handshakes: list[DtlsHandshake]) -> bool:
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
    return not any(h.close_ns is not None and abs(h.close_ns - cluster.last_ns) <= _CLOSE_NS for h in handshakes)


def _handshake_of(handshakes: list[DtlsHandshake], cluster: Cluster, before_ns: int) -> DtlsHandshake | None:
    """Find the last handshake before the media of this call, not longer ago than a setup takes."""
    fitting = [
        h
        for h in handshakes
        if before_ns < h.started_ns <= cluster.first_ns + SETUP_NS
        and cluster.first_ns - (h.completed_ns or h.last_ns) <= SETUP_NS
    ]
    return max(fitting, key=lambda h: h.started_ns, default=None)


def _checks_of(
    evidence: Evidence,
    cluster: Cluster,
    index: TransactionIndex,
    handshake: DtlsHandshake | None,
    before_ns: int,
) -> list[int]:
    """Find the connectivity checks of this setup; none where the connection stood long before."""
    rows = np.sort(np.concatenate([_NO_ROWS, *(index.inner.get(path, _NO_ROWS) for path in cluster.paths)]))
    anchor = min(cluster.first_ns, handshake.started_ns) if handshake else cluster.first_ns
    times = index.rows["time_ns"][rows]
    early: list[int] = rows[(times > before_ns) & (times <= anchor + SETUP_NS)].tolist()
    if not early or (before_ns >= 0 and handshake is None):
        return []
    first_ns = int(index.rows["time_ns"][early[0]])
    del evidence
    return early if anchor - first_ns <= SETUP_NS else []


def _end_ns(cluster: Cluster, handshake: DtlsHandshake | None, index: TransactionIndex, flow: int) -> int:
    del index, flow
    if handshake and handshake.close_ns and 0 < handshake.close_ns - cluster.last_ns <= _CLOSE_NS:
        return handshake.close_ns
    return cluster.last_ns


def _relay_rows(
    evidence: Evidence, cluster: Cluster, index: TransactionIndex, before_ns: int, next_ns: int | None
) -> tuple[int, ...]:
    """Transactions with the relay from the call before this one to the one after."""
    rows: list[int] = []
    for flow in sorted({path.flow for path in cluster.paths}):
        end = relay_end(evidence.flows[flow])
        if end is None:
            continue
        numbers = index.outer_of(flow)
        times = index.rows["time_ns"][numbers]
        mine = (index.rows["outbound_of_key"][numbers] == (end == "b")) & (times > before_ns)
        if next_ns is not None:
            mine &= (times < next_ns) | (times <= cluster.last_ns)
        rows.extend(numbers[mine].tolist())
    return tuple(rows)


def _media_rows(
    evidence: Evidence, cluster: Cluster, index: TransactionIndex, start_ns: int, end_ns: int
) -> tuple[int, ...]:
    rows: list[int] = []
    for path in cluster.paths:
        agent, port = agent_of(evidence, path.flow)
        flow = evidence.flows[path.flow]
        agent_is_a = (agent, port) == (flow.a, flow.a_port)
        if agent is None:
            continue
        numbers = index.inner.get(path, _NO_ROWS)
        times = index.rows["time_ns"][numbers]
        mine = (index.rows["outbound_of_key"][numbers] == agent_is_a) & (times >= start_ns)
        rows.extend(numbers[mine & (times <= end_ns + _AFTER_CALL_NS)].tolist())
    return tuple(sorted(rows))


def _calls_in_tls(evidence: Evidence) -> list[Call]:
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
                setup=Setup(dns=dns_of(evidence, server[0], flow.first_ns, client[0])),
                is_running_at_start=at_start and dialogue.hello_ns is None,
                is_running_at_end=evidence.last_ns is not None and evidence.last_ns - last_ns < _RUNNING_NS // 5,
            )
        )
    return calls
