"""Calls that never came about: no relay, no allocation, no answer to the checks, no keys."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter, itemgetter
from typing import NamedTuple

import numpy as np

from ccp_assess.traffic.callrecords import Call, Failure, Relay, Setup, hash_call
from ccp_assess.traffic.evidence import SETUP_NS, Asked, Evidence, EvidenceIndex, agent_of, relay_end, relay_of
from ccp_assess.traffic.intervals import Intervals
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


@dataclass(slots=True)
class Attempt:
    """Flows of one workstation to relays that were tried at the same time."""

    agent: str
    flows: list[int]
    first_ns: int
    last_ns: int
    granted: bool = False


class _Tried(NamedTuple):
    """A path that did not carry media, and why."""

    first_ns: int
    last_ns: int
    path: PathKey
    agent: str
    failure: Failure | None


def find_attempts(evidence: Evidence, index: EvidenceIndex) -> list[Attempt]:
    """Find what workstations tried to get a relay.

    Parameters
    ----------
    evidence
        What was found in a capture.
    index
        The same by flow and path.

    Returns
    -------
    attempts
        By first request.
    """
    starts: list[tuple[int, int, str, int, bool]] = []
    for number, requests in index.allocates.items():
        flow = evidence.flows[number]
        first = requests[0]
        last_ns = max(max(request.time_ns, request.answer_ns) for request in requests)
        granted = any(request.outcome == SUCCESS for request in requests)
        starts.append((first.time_ns, number, flow.a if first.outbound_of_key else flow.b, last_ns, granted))
    for number, flow in enumerate(evidence.flows):
        if (
            flow.transport == "tcp"
            and flow.syn_ns is not None
            and flow.synack_ns is None
            and number not in index.allocates
            and evidence.is_relay(flow.b, flow.b_port, "tcp")
        ):
            starts.append((flow.syn_ns, number, flow.a, flow.last_ns, False))
    attempts: list[Attempt] = []
    latest: dict[str, Attempt] = {}
    for first_ns, number, agent, last_ns, granted in sorted(starts):
        current = latest.get(agent)
        if current is None or first_ns - current.last_ns > _ATTEMPT_GAP_NS:
            current = Attempt(agent=agent, flows=[], first_ns=first_ns, last_ns=last_ns)
            attempts.append(current)
            latest[agent] = current
        current.flows.append(number)
        current.last_ns = max(current.last_ns, last_ns)
        current.granted = current.granted or granted
    return attempts


def find_failed_calls(
    evidence: Evidence, index: EvidenceIndex, calls: Sequence[Call], attempts: Sequence[Attempt]
) -> list[Call]:
    """Find attempts at calls of which nothing came.

    Parameters
    ----------
    evidence
        What was found in a capture.
    index
        The same by flow and path.
    calls
        Calls with media: an attempt beside one of them is no failed call.
    attempts
        Of :func:`find_attempts`.

    Returns
    -------
    calls
        Failed ones.
    """
    failed = []
    by_agent = _by_agent(calls)
    in_calls = {
        agent: Intervals([c.start_ns - SETUP_NS for c in own], [c.end_ns for c in own])
        for agent, own in by_agent.items()
    }
    granted: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        if attempt.granted:
            granted[attempt.agent].append(attempt)
    beside_granted = {
        agent: Intervals([a.first_ns - _BESIDE_NS for a in own], [a.last_ns + _BESIDE_NS for a in own])
        for agent, own in granted.items()
    }
    for attempt in attempts:
        asked = [n for n in attempt.flows if len(index.outer_of(n).numbers)]
        if attempt.granted or not asked:
            continue
        # Another way was found: no failed call, but a finding of that call; or another relay granted one meanwhile.
        ways = (in_calls.get(attempt.agent), beside_granted.get(attempt.agent))
        if any(way is not None and way.touch(attempt.first_ns, attempt.last_ns) for way in ways):
            continue
        call = _failed_allocation(evidence, index, attempt, asked)
        if call is not None:
            failed.append(call)
    failed += _refused_beside(evidence, index, by_agent, attempts)
    return failed + _failed_paths(evidence, index, calls, by_agent)


def _by_agent(calls: Iterable[Call]) -> dict[str, list[Call]]:
    by_agent: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        if call.agent is not None:
            by_agent[call.agent].append(call)
    return by_agent


def _refused_beside(
    evidence: Evidence, index: EvidenceIndex, by_agent: Mapping[str, list[Call]], attempts: Sequence[Attempt]
) -> list[Call]:
    """Find second calls that the relay refused while the workstation's first one went on.

    What is refused before a call has media is a step of that call; what is refused after is another one's, unless a
    relay grants it at the same time.
    """
    failed = []
    running = {
        agent: Intervals([c.start_ns for c in calls], [c.end_ns for c in calls]) for agent, calls in by_agent.items()
    }
    for attempt in attempts:
        if attempt.agent not in running:
            continue
        places = running[attempt.agent].touching(attempt.last_ns, attempt.last_ns)
        refused = _refused_after(index, attempt, [by_agent[attempt.agent][place] for place in places])
        if refused:
            part = Attempt(
                agent=attempt.agent,
                flows=refused,
                first_ns=min(evidence.flows[n].first_ns for n in refused),
                last_ns=max(int(index.rows["answer_ns"][index.outer_of(n).numbers].max()) for n in refused),
            )
            call = _failed_allocation(evidence, index, part, refused)
            if call is not None:
                failed.append(call)
    return failed


def _refused_after(index: EvidenceIndex, attempt: Attempt, beside: list[Call]) -> list[int]:
    """Give the flows on which an allocation was refused after the start of a call on another flow."""
    earliest = min(beside, key=attrgetter("start_ns"), default=None)
    if earliest is None:
        return []
    others_ns = min((call.start_ns for call in beside if call.flow != earliest.flow), default=None)
    refused: list[int] = []
    for number in attempt.flows:
        requests = index.allocates.get(number)
        since_ns = others_ns if number == earliest.flow else earliest.start_ns
        if not requests or since_ns is None or since_ns >= requests[0].time_ns:
            continue
        if requests[-1].outcome == ERROR and requests[-1].error_code not in CHALLENGES:
            refused.append(number)
        elif any(request.outcome == SUCCESS for request in requests):
            return []
    return refused


def _failed_allocation(evidence: Evidence, index: EvidenceIndex, attempt: Attempt, asked: list[int]) -> Call | None:
    number = asked[0]
    flow = evidence.flows[number]
    requests = [request for n in asked for request in index.allocates.get(n, ())]
    if not requests:
        return None
    count = len(requests) + sum(request.retransmissions for request in requests)
    codes = [request.error_code for request in requests if request.outcome == ERROR]
    refused = min((index.icmp_errors[n][0] for n in attempt.flows if n in index.icmp_errors), default=None)
    if codes:
        failure = Failure(phase="allocate", reason=f"error_{codes[-1]}", error_code=codes[-1], requests=count)
    elif refused is not None:
        failure = Failure(phase="relay", reason=evidence.icmp_errors[refused].reason, requests=count)
    elif count < _FEWEST_REQUESTS or any(_came_back(evidence, n) for n in asked):
        return (
            None  # one request proves nothing; neither does silence where packets did come back, or TCP was one-sided
        )
    else:
        failure = Failure(phase="relay", reason="no_answer", requests=count)
    agent_is_a = requests[0].outbound_of_key
    relay, own = ((flow.b, flow.b_port), (flow.a, flow.a_port))[:: 1 if agent_is_a else -1]
    return Call(
        call_id=hash_call(flow, attempt.first_ns, [], agent_is_a=agent_is_a),
        start_ns=min(request.time_ns for request in requests),
        end_ns=max(attempt.last_ns, *(evidence.flows[n].last_ns for n in asked)),
        agent=own[0],
        agent_port=own[1],
        relay=Relay(address=relay[0], port=relay[1], transport="tcp" if flow.transport == "tcp" else "udp"),
        flow=number,
        setup=Setup(dns=dns_of(index, relay[0], flow.first_ns, own[0])),
        relay_rows=tuple(row for n in asked for row in index.outer_of(n).numbers.tolist()),
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


def _failed_paths(
    evidence: Evidence, index: EvidenceIndex, calls: Sequence[Call], by_agent: Mapping[str, list[Call]]
) -> list[Call]:
    """Allocated, but no check was answered, no permission given or no keys agreed on, and nothing else worked."""
    carried = {path for call in calls for path in call.paths}
    tried: list[_Tried] = []
    for path in sorted({*index.paths, *index.handshakes}):
        agent, port = agent_of(evidence, path.flow)
        if path in carried or agent is None or not path.peer:
            continue
        flow = evidence.flows[path.flow]
        asked = index.inner_of(path)
        handshakes = index.handshakes.get(path, [])
        times = [*asked.times_ns[[0, -1]].tolist()] if len(asked.times_ns) else []
        times += [h.started_ns for h in handshakes]
        failure: Failure | None = None
        if handshakes:
            if all(h.completed_ns is None for h in handshakes):
                failure = Failure(phase="dtls", reason="not_finished", requests=len(handshakes))
        else:
            failure = _unanswered(index, asked, agent_is_a=(agent, port) == (flow.a, flow.a_port))
        if times:
            tried.append(_Tried(min(times), max(times), path, agent, failure))
    return _failed_sessions(evidence, index, by_agent, sorted(tried, key=itemgetter(0, 1, 2)))


def _unanswered(index: EvidenceIndex, asked: Asked, *, agent_is_a: bool) -> Failure | None:
    """Tell checks that went on for a while without one answer."""
    ours = asked.outbound == agent_is_a
    times_ns = asked.times_ns[ours]
    if not len(times_ns) or times_ns[-1] - times_ns[0] < _CHECKS_NS:
        return None
    if (index.rows["outcome"][asked.numbers] == SUCCESS).any():
        return None
    requests = len(times_ns) + int(index.rows["retransmissions"][asked.numbers[ours]].sum())
    return Failure(phase="ice", reason="no_checks_answered", requests=requests)


def _failed_sessions(
    evidence: Evidence, index: EvidenceIndex, by_agent: Mapping[str, list[Call]], tried: list[_Tried]
) -> list[Call]:
    failed: list[Call] = []
    done: set[PathKey] = set()
    own: dict[str, list[_Tried]] = defaultdict(list)
    for entry in tried:
        own[entry.agent].append(entry)
    near = {
        agent: Intervals([e.first_ns - SETUP_NS for e in entries], [e.last_ns + SETUP_NS for e in entries])
        for agent, entries in own.items()
    }
    in_calls = {
        agent: Intervals([c.start_ns - SETUP_NS for c in calls], [c.end_ns + SETUP_NS for c in calls])
        for agent, calls in by_agent.items()
    }
    for entry in tried:
        if entry.failure is None or entry.path in done:
            continue
        beside = [own[entry.agent][place] for place in near[entry.agent].touching(entry.first_ns, entry.last_ns)]
        works = any(other.failure is None for other in beside)
        in_call = entry.agent in in_calls and in_calls[entry.agent].touch(entry.first_ns, entry.first_ns)
        done.update(other.path for other in beside)
        # A capture that ends while the checks are still under way has not seen them fail.
        too_short = evidence.last_ns is not None and evidence.last_ns - entry.first_ns < 3 * NS_PER_S
        if works or in_call or too_short:
            continue
        worst = next((other for other in beside if other.failure and other.failure.phase == "dtls"), entry)
        failed.append(_failed_session(evidence, index, worst, beside))
    return failed


def _failed_session(evidence: Evidence, index: EvidenceIndex, entry: _Tried, beside: list[_Tried]) -> Call:
    path, agent, failure = entry.path, entry.agent, entry.failure
    flow = evidence.flows[path.flow]
    agent_is_a = relay_end(flow) == "b"
    numbers = index.outer_of(path.flow).numbers
    outer = index.rows[numbers]
    denied = outer[
        (outer["outcome"] == ERROR) & np.isin(outer["method"], [Method.CREATE_PERMISSION, Method.CHANNEL_BIND])
    ]
    denied = denied[denied["error_code"] != 438]
    if failure and failure.phase == "ice" and len(denied):
        code = int(denied["error_code"][-1])
        failure = Failure(phase="permission", reason=f"error_{code}", error_code=code, requests=len(denied))
    requests = index.allocates.get(path.flow)
    first_ns = min(other.first_ns for other in beside)
    checks = [n for other in beside for n in index.inner_of(other.path).numbers.tolist()]
    return Call(
        call_id=hash_call(flow, first_ns, [], agent_is_a=agent_is_a),
        start_ns=requests[0].time_ns if requests else first_ns,
        end_ns=max(other.last_ns for other in beside),
        agent=agent,
        agent_port=flow.a_port if agent_is_a else flow.b_port,
        relay=relay_of(flow),
        flow=path.flow,
        paths=tuple(other.path for other in beside),
        setup=Setup(
            dns=dns_ms(index, flow, agent),
            allocate=allocate_ms(index, path.flow),
            ice=ice_ms(index, checks, agent_is_a=agent_is_a, known=True) if checks else None,
        ),
        relay_rows=tuple(numbers.tolist()),
        media_rows=tuple(n for n in checks if bool(index.rows["outbound_of_key"][n]) == agent_is_a),
        handshake=next(iter(index.handshakes.get(path, ())), None),
        failure=failure,
    )


def with_attempts(index: EvidenceIndex, calls: Sequence[Call], attempts: Sequence[Attempt]) -> list[Call]:
    """Tell each call which relays were tried in vain on the way to it.

    Parameters
    ----------
    index
        Transactions by flow.
    calls
        All calls.
    attempts
        Of :func:`find_attempts`.

    Returns
    -------
    calls
        The same; those with media know their attempts.
    """
    by_agent: dict[str, list[tuple[Attempt, list[int]]]] = defaultdict(list)
    for attempt in attempts:
        vain = [number for number in attempt.flows if _was_in_vain(index, number)]
        if vain:
            by_agent[attempt.agent].append((attempt, vain))
    tried = {
        agent: Intervals([a.first_ns for a, _ in own], [a.last_ns for a, _ in own]) for agent, own in by_agent.items()
    }
    result = []
    for call in calls:
        if call.failure is None and call.relay is not None and call.agent in tried:
            places = tried[call.agent].touching(call.start_ns - SETUP_NS, call.end_ns)
            vain = [n for place in places for n in by_agent[call.agent][place][1] if n != call.flow]
            result.append(replace(call, attempts=tuple(vain)) if vain else call)
        else:
            result.append(call)
    return result


def _was_in_vain(index: EvidenceIndex, flow: int) -> bool:
    return all(request.outcome == NO_ANSWER for request in index.allocates.get(flow, ()))


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
