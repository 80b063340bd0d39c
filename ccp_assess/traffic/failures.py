"""Calls that never came about: no relay, no allocation, no answer to the checks, no keys."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ccp_assess.traffic.callrecords import Call, Failure, Relay, Setup, hash_call
from ccp_assess.traffic.evidence import SETUP_NS, Evidence, TransactionIndex, agent_of, relay_end, relay_of
from ccp_assess.traffic.handshakes import DtlsHandshake
from ccp_assess.traffic.relaypaths import PathKey
from ccp_assess.traffic.setups import allocate_ms, dns_ms, dns_of, ice_ms
from ccp_assess.traffic.transactions import ERROR, NO_ANSWER, SUCCESS
from ccp_assess.units import NS_PER_S
from ccp_assess.wire.stun import Method

_ATTEMPT_GAP_NS = 10 * NS_PER_S
_BESIDE_NS = 30 * NS_PER_S
"""A relay that does not answer while another one does, this long before or after, is no failed call."""
_CHECKS_NS = 2 * NS_PER_S
_FEWEST_REQUESTS = 2
CHALLENGES = (300, 401, 438)
"""Answers to an Allocate that ask to try again."""
_NO_ROWS = np.zeros(0, np.int64)


@dataclass(slots=True)
class _Attempt:
    """Flows of one workstation to relays that were tried at the same time."""

    agent: str
    flows: list[int]
    first_ns: int
    last_ns: int
    granted: bool = False


def _attempts(evidence: Evidence, index: TransactionIndex) -> list[_Attempt]:
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
    latest: dict[str, _Attempt] = {}
    for first_ns, number, agent, last_ns, granted in sorted(starts):
        current = latest.get(agent)
        if current is None or first_ns - current.last_ns > _ATTEMPT_GAP_NS:
            current = _Attempt(agent=agent, flows=[], first_ns=first_ns, last_ns=last_ns)
            attempts.append(current)
            latest[agent] = current
        current.flows.append(number)
        current.last_ns = max(current.last_ns, last_ns)
        current.granted = current.granted or granted
    return attempts


def find_failed_calls(evidence: Evidence, index: TransactionIndex, calls: list[Call]) -> list[Call]:
    """Find attempts at calls of which nothing came.

    Parameters
    ----------
    evidence
        What was found in a capture.
    index
        Its transactions by flow and path.
    calls
        Calls with media: an attempt beside one of them is no failed call.

    Returns
    -------
    calls
        Failed ones.
    """
    failed = []
    attempts = _attempts(evidence, index)
    for attempt in attempts:
        asked = [n for n in attempt.flows if len(index.outer_of(n))]
        if attempt.granted or not asked:
            continue
        if any(call.agent == attempt.agent and _touches(call, attempt) for call in calls):
            continue  # another way was found: no failed call, but a finding of that call
        if any(other.granted and _is_beside(other, attempt) for other in attempts):
            continue
        call = _failed_allocation(evidence, index, attempt, asked)
        if call is not None:
            failed.append(call)
    return failed + _refused_beside(evidence, index, calls, attempts) + _failed_paths(evidence, index, calls)


def _refused_beside(
    evidence: Evidence, index: TransactionIndex, calls: list[Call], attempts: list[_Attempt]
) -> list[Call]:
    """Find second calls that the relay refused while the workstation's first one went on.

    What is refused before a call has media is a step of that call; what is refused after is another one's, unless a
    relay grants it at the same time.
    """
    failed = []
    for attempt in attempts:
        beside = [c for c in calls if c.agent == attempt.agent and c.start_ns <= attempt.last_ns <= c.end_ns]
        if not beside:
            continue
        refused: list[int] = []
        for number in attempt.flows:
            rows = index.rows[index.outer_of(number)]
            rows = rows[rows["method"] == Method.ALLOCATE]
            is_later = len(rows) > 0 and any(c.start_ns < rows["time_ns"][0] and c.flow != number for c in beside)
            if is_later and rows["outcome"][-1] == ERROR and rows["error_code"][-1] not in CHALLENGES:
                refused.append(number)
            elif is_later and (rows["outcome"] == SUCCESS).any():
                refused.clear()
                break
        if refused:
            part = _Attempt(
                agent=attempt.agent,
                flows=refused,
                first_ns=min(evidence.flows[n].first_ns for n in refused),
                last_ns=max(int(index.rows["answer_ns"][index.outer_of(n)].max()) for n in refused),
            )
            call = _failed_allocation(evidence, index, part, refused)
            if call is not None:
                failed.append(call)
    return failed


def _touches(call: Call, attempt: _Attempt) -> bool:
    return call.start_ns - SETUP_NS <= attempt.last_ns and attempt.first_ns <= call.end_ns


def _is_beside(a: _Attempt, b: _Attempt) -> bool:
    return a.agent == b.agent and a.first_ns - _BESIDE_NS <= b.last_ns and b.first_ns - _BESIDE_NS <= a.last_ns


def _failed_allocation(evidence: Evidence, index: TransactionIndex, attempt: _Attempt, asked: list[int]) -> Call | None:
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
    elif requests < _FEWEST_REQUESTS or any(_came_back(evidence, n) for n in asked):
        return (
            None  # one request proves nothing; neither does silence where packets did come back, or TCP was one-sided
        )
    else:
        failure = Failure(phase="relay", reason="no_answer", requests=requests)
    first = rows[0]
    agent_is_a = bool(first["outbound_of_key"])
    relay, own = ((flow.b, flow.b_port), (flow.a, flow.a_port))[:: 1 if agent_is_a else -1]
    return Call(
        call_id=hash_call(flow, attempt.first_ns, [], agent_is_a=agent_is_a),
        start_ns=int(rows["time_ns"].min()),
        end_ns=max(attempt.last_ns, *(evidence.flows[n].last_ns for n in asked)),
        agent=own[0],
        agent_port=own[1],
        relay=Relay(address=relay[0], port=relay[1], transport="tcp" if flow.transport == "tcp" else "udp"),
        flow=number,
        setup=Setup(dns=dns_of(evidence, relay[0], flow.first_ns, own[0])),
        relay_rows=tuple(np.concatenate([index.outer_of(n) for n in asked]).tolist()),
        failure=failure,
        attempts=tuple(attempt.flows),
    )


def _came_back(evidence: Evidence, number: int) -> bool:
    flow = evidence.flows[number]
    end = relay_end(flow) or "b"
    back = flow.packets_ba if end == "b" else flow.packets_ab
    if flow.transport == "tcp":  # data was sent, so the handshake was answered: the capture shows one direction
        return True
    return back > 0


def _failed_paths(evidence: Evidence, index: TransactionIndex, calls: list[Call]) -> list[Call]:
    """Allocated, but no check was answered, no permission given or no keys agreed on, and nothing else worked."""
    carried = {path for call in calls for path in call.paths}
    tried: list[tuple[int, int, PathKey, str, Failure | None]] = []
    by_path: dict[PathKey, list[DtlsHandshake]] = defaultdict(list)
    for handshake in evidence.handshakes:
        by_path[handshake.path].append(handshake)
    for path in sorted({*index.inner, *by_path}):
        agent, port = agent_of(evidence, path.flow)
        if path in carried or agent is None or not path.peer:
            continue
        flow = evidence.flows[path.flow]
        agent_is_a = (agent, port) == (flow.a, flow.a_port)
        rows = index.rows[index.inner.get(path, _NO_ROWS)]
        ours = rows[rows["outbound_of_key"] == agent_is_a]
        handshakes = by_path[path]
        times = [int(t) for t in rows["time_ns"]] + [h.started_ns for h in handshakes]
        failure: Failure | None = None
        if handshakes:
            if all(h.completed_ns is None for h in handshakes):
                failure = Failure(phase="dtls", reason="not_finished", requests=len(handshakes))
        elif len(ours) and not (rows["outcome"] == SUCCESS).any() and np.ptp(ours["time_ns"]) >= _CHECKS_NS:
            requests = int(len(ours) + ours["retransmissions"].sum())
            failure = Failure(phase="ice", reason="no_checks_answered", requests=requests)
        if times:
            tried.append((min(times), max(times), path, agent, failure))
    return _failed_sessions(evidence, index, calls, sorted(tried, key=lambda entry: entry[:3]))


def _failed_sessions(
    evidence: Evidence,
    index: TransactionIndex,
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
            if entry[3] == agent and entry[0] <= last_ns + SETUP_NS and entry[1] >= first_ns - SETUP_NS
        ]
        works = any(entry[4] is None for entry in beside)
        in_call = any(
            call.agent == agent and call.start_ns - SETUP_NS <= first_ns <= call.end_ns + SETUP_NS for call in calls
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
    index: TransactionIndex,
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
    checks = [n for item in beside for n in index.inner.get(item[2], _NO_ROWS).tolist()]
    return Call(
        call_id=hash_call(flow, first_ns, [], agent_is_a=agent_is_a),
        start_ns=int(allocate["time_ns"][0]) if len(allocate) else first_ns,
        end_ns=max(item[1] for item in beside),
        agent=agent,
        agent_port=flow.a_port if agent_is_a else flow.b_port,
        relay=relay_of(flow),
        flow=path.flow,
        paths=tuple(item[2] for item in beside),
        setup=Setup(
            dns=dns_ms(evidence, flow, agent),
            allocate=allocate_ms(index, path.flow),
            ice=ice_ms(index, checks, agent_is_a=agent_is_a, known=True) if checks else None,
        ),
        relay_rows=tuple(index.outer_of(path.flow).tolist()),
        media_rows=tuple(n for n in checks if bool(index.rows["outbound_of_key"][n]) == agent_is_a),
        handshake=handshake,
        failure=failure,
    )


def with_attempts(evidence: Evidence, index: TransactionIndex, calls: list[Call]) -> list[Call]:
    """Tell each call which relays were tried in vain on the way to it."""
    by_agent: dict[str, list[_Attempt]] = defaultdict(list)
    for attempt in _attempts(evidence, index):
        by_agent[attempt.agent].append(attempt)
    result = []
    for call in calls:
        if call.failure is not None or call.relay is None:
            result.append(call)
            continue
        vain = [
            number
            for attempt in by_agent.get(call.agent or "", ())
            if _touches(call, attempt)
            for number in attempt.flows
            if number != call.flow and _was_in_vain(index, number)
        ]
        result.append(replace(call, attempts=tuple(vain)))
    return result


def _was_in_vain(index: TransactionIndex, flow: int) -> bool:
    rows = index.rows[index.outer_of(flow)]
    rows = rows[rows["method"] == Method.ALLOCATE]
    return not len(rows) or bool((rows["outcome"] == NO_ANSWER).all())


def refusals(evidence: Evidence, calls: Sequence[Call]) -> list[tuple[str, int, int, int]]:
    """Find allocations that a relay refused and that no failed call tells of.

    Parameters
    ----------
    evidence
        What was found in a capture.
    calls
        All calls.

    Returns
    -------
    refusals
        Address and port of the relay, error code, and how often (count).
    """
    told = {n for call in calls if call.failure is not None for n in (call.flow, *call.attempts)}
    rows = evidence.transactions
    rows = rows[(rows["method"] == Method.ALLOCATE) & (rows["outcome"] == ERROR) & ~rows["inside"]]
    counts: dict[tuple[str, int, int], int] = defaultdict(int)
    for row in rows[~np.isin(rows["error_code"], CHALLENGES)]:
        flow = evidence.flows[int(row["flow"])]
        if int(row["flow"]) not in told:
            address, port = (flow.b, flow.b_port) if row["outbound_of_key"] else (flow.a, flow.a_port)
            counts[address, port, int(row["error_code"])] += 1
    return [(*key, count) for key, count in counts.items()]
