"""How long each phase of a call's setup took: first request to success."""

from __future__ import annotations

import numpy as np

from ccp_assess.traffic.evidence import SETUP_NS, Evidence, TransactionIndex, relay_of
from ccp_assess.traffic.flows import Flow
from ccp_assess.traffic.handshakes import DtlsHandshake
from ccp_assess.traffic.transactions import SUCCESS
from ccp_assess.units import ms_from_ns
from ccp_assess.wire.stun import Method


def dns_ms(evidence: Evidence, flow: Flow, agent: str | None) -> float | None:
    """Tell how long the name of the relay took to resolve.

    Parameters
    ----------
    evidence
        What was found in a capture.
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
    fitting = [
        lookup
        for lookup in evidence.lookups
        if relay.address in lookup.answers
        and 0 <= flow.first_ns - lookup.time_ns <= SETUP_NS
        and lookup.response_ms is not None
        and (lookup.client == agent or agent is None)
    ]
    return fitting[-1].response_ms if fitting else None


def allocate_ms(index: TransactionIndex, flow: int, *, since_ns: int = -1) -> float | None:
    """Tell how long the allocation took, from the first request to the success.

    Parameters
    ----------
    index
        Its transactions by flow and path.
    flow
        Index of the flow to the relay.
    since_ns
        Only allocations asked for after this instant [ns].

    Returns
    -------
    duration_ms
        The usual challenge (401) included; ``None`` if none was granted [ms].
    """
    rows = index.rows[index.outer_of(flow)]
    rows = rows[(rows["method"] == Method.ALLOCATE) & (rows["time_ns"] > since_ns)]
    granted = rows[rows["outcome"] == SUCCESS]
    if not len(granted):
        return None
    return ms_from_ns(int(granted["answer_ns"][0]) - int(rows["time_ns"][0]))


def allocated_ns(index: TransactionIndex, flow: int) -> int | None:
    """Tell when the first allocation of a flow was granted.

    Parameters
    ----------
    index
        Its transactions by flow and path.
    flow
        Index of the flow to the relay.

    Returns
    -------
    time_ns
        ``None`` if none was seen [ns].
    """
    rows = index.rows[index.outer_of(flow)]
    granted = rows[(rows["method"] == Method.ALLOCATE) & (rows["outcome"] == SUCCESS)]
    return int(granted["answer_ns"][0]) if len(granted) else None


def ice_ms(index: TransactionIndex, checks: list[int], *, agent_is_a: bool, known: bool) -> float | None:
    """Tell how long it took until a connectivity check was answered.

    Parameters
    ----------
    index
        Its transactions by flow and path.
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


def dns_of(evidence: Evidence, address: str, until_ns: int, client: str) -> float | None:
    """Tell how long the last question took that gave an address.

    Parameters
    ----------
    evidence
        What was found in a capture.
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
    fitting = [
        lookup.response_ms
        for lookup in evidence.lookups
        if address in lookup.answers and 0 <= until_ns - lookup.time_ns <= SETUP_NS and lookup.client == client
    ]
    return fitting[-1] if fitting else None
