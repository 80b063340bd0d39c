"""How long each phase of a call's setup took: first request to success."""

from __future__ import annotations

from bisect import bisect_right
from itertools import islice
from operator import itemgetter

import numpy as np

from ccp_assess.traffic.evidence import EvidenceIndex, relay_of
from ccp_assess.traffic.flows import Flow
from ccp_assess.traffic.handshakes import DtlsHandshake
from ccp_assess.traffic.transactions import SUCCESS
from ccp_assess.units import ms_from_ns


def dns_ms(index: EvidenceIndex, flow: Flow, agent: str | None) -> float | None:
    """Tell how long the name of the relay took to resolve.

    Parameters
    ----------
    index
        Lookups by what they gave.
    flow
        The flow to the relay.
    agent
        The workstation.

    Returns
    -------
    duration_ms
        ``None`` if the question was not captured or asked long before: a name that the workstation still knew was no
        part of this setup [ms].
    """
    relay = relay_of(flow)
    if relay is None:
        return None
    answered = (lookup.response_ms for lookup in index.lookups_of(relay.address, agent, flow.first_ns))
    return next((response_ms for response_ms in answered if response_ms is not None), None)


def allocate_ms(index: EvidenceIndex, flow: int, *, since_ns: int = -1) -> float | None:
    """Tell how long the allocation took, from the first request to the success.

    Parameters
    ----------
    index
        Transactions by flow.
    flow
        Index of the flow to the relay.
    since_ns
        Only allocations asked for after this instant [ns].

    Returns
    -------
    duration_ms
        The usual challenge (401) included; ``None`` if none was granted [ms].
    """
    requests = index.allocates.get(flow, [])
    start = bisect_right(requests, since_ns, key=itemgetter(0))
    granted = next((request for request in islice(requests, start, None) if request.outcome == SUCCESS), None)
    return None if granted is None else ms_from_ns(granted.answer_ns - requests[start].time_ns)


def allocated_ns(index: EvidenceIndex, flow: int) -> int | None:
    """Tell when the first allocation of a flow was granted.

    Parameters
    ----------
    index
        Transactions by flow.
    flow
        Index of the flow to the relay.

    Returns
    -------
    time_ns
        ``None`` if none was seen [ns].
    """
    return next((request.answer_ns for request in index.allocates.get(flow, ()) if request.outcome == SUCCESS), None)


def ice_ms(index: EvidenceIndex, checks: list[int], *, agent_is_a: bool, known: bool) -> float | None:
    """Tell how long it took until a connectivity check was answered.

    Parameters
    ----------
    index
        Transactions by flow and path.
    checks
        Indices of the checks of this setup.
    agent_is_a
        Whether the workstation is ``flow.a``.
    known
        Whether that is known at all: else checks of both sides count.

    Returns
    -------
    duration_ms
        ``None`` if none was answered [ms].
    """
    rows = index.rows[np.array(checks, np.int64)]
    ours = rows[rows["outbound_of_key"] == agent_is_a] if known else rows
    answered = ours[ours["outcome"] == SUCCESS]
    if not len(answered):
        return None
    return ms_from_ns(int(answered["answer_ns"].min()) - int(ours["time_ns"].min()))


def dtls_ms(handshake: DtlsHandshake | None) -> float | None:
    """Tell how long the key exchange took.

    Parameters
    ----------
    handshake
        Of the call, if it was captured.

    Returns
    -------
    duration_ms
        ClientHello to the last message of the handshake; ``None`` if either is missing [ms].
    """
    if handshake is None or handshake.completed_ns is None or not handshake.has_client_hello:
        return None
    return ms_from_ns(handshake.completed_ns - handshake.started_ns)


def dns_of(index: EvidenceIndex, address: str, until_ns: int, client: str) -> float | None:
    """Tell how long the last question took that gave an address.

    Parameters
    ----------
    index
        Lookups by what they gave.
    address
        The address.
    until_ns
        Only questions before this instant [ns].
    client
        Who asked.

    Returns
    -------
    duration_ms
        ``None`` if it was not captured or asked long before [ms].
    """
    last = next(index.lookups_of(address, client, until_ns), None)
    return None if last is None else last.response_ms
