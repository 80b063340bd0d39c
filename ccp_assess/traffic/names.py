"""Names of addresses: questions to resolvers with their answers, and names in QUIC."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ccp_assess.errors import ParseError
from ccp_assess.traffic.dialogues import Dialogue
from ccp_assess.traffic.flows import Flow
from ccp_assess.units import ms_from_ns
from ccp_assess.wire import dns, quic
from ccp_assess.wire.datagram import Datagram

DNS_PORT = 53
_SAME_QUESTION_NS = 30_000_000_000
MAX_QUIC_READ = 2_000
"""QUIC connections whose name is looked for: reading one costs some milliseconds of arithmetic."""
_READ_EACH = 200
"""So many are read each for itself; beyond, only the first to each server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """One question to a resolver.

    Parameters
    ----------
    time_ns
        When it was asked first; when the answer came if the question was not captured [ns].
    client, server
        Who asked whom.
    name, type
        What was asked, in lower case, without the final dot.
    answers
        Addresses and names of the answer, in order.
    rcode
        Such as ``NXDOMAIN``; ``None`` without an answer.
    response_ms
        From the first asking to the answer; ``None`` without either [ms].
    asked
        How often it was asked (count); 0 if only the answer was captured.
    transport
        ``udp`` or ``tcp``.
    """

    time_ns: int
    client: str
    server: str
    name: str
    type: str
    answers: tuple[str, ...]
    rcode: str | None
    response_ms: float | None
    asked: int
    transport: str


@dataclass(slots=True)
class _Open:
    time_ns: int
    last_ns: int
    client: str
    server: str
    question: dns.Question
    transport: str
    asked: int = 1
    answer: dns.Message | None = None
    answer_ns: int = 0


def read_lookups(flows: Sequence[Flow], datagrams: Iterable[Datagram], dialogues: Iterable[Dialogue]) -> list[Lookup]:
    """Join questions and answers over UDP and TCP.

    Parameters
    ----------
    flows
        All flows.
    datagrams
        Rare packets in order of arrival.
    dialogues
        Beginnings of TCP connections.

    Returns
    -------
    lookups
        In order of time.
    """
    messages: list[tuple[int, int, bool, bytes]] = [
        (datagram.time_ns, datagram.flow, datagram.outbound_of_key, datagram.payload)
        for datagram in datagrams
        if datagram.channel == 0 and datagram.peer is None and _is_dns(flows[datagram.flow])
    ]
    for dialogue in dialogues:
        messages.extend((t, dialogue.flow, from_a, data) for t, from_a, data in dialogue.dns_messages)
    open_by_key: dict[tuple[object, ...], _Open] = {}
    everything: list[_Open] = []
    for time_ns, index, from_a, data in sorted(messages, key=lambda message: message[0]):
        try:
            message = dns.parse_message(data)
        except ParseError:
            continue
        if message.questions and message.opcode == 0:
            _take(message, time_ns, flows[index], from_a, open_by_key=open_by_key, everything=everything)
    return [_lookup(entry) for entry in sorted(everything, key=lambda entry: entry.time_ns)]


def _is_dns(flow: Flow) -> bool:
    return flow.transport == "udp" and DNS_PORT in {flow.a_port, flow.b_port}


def _take(
    message: dns.Message,
    time_ns: int,
    flow: Flow,
    from_a: bool,  # noqa: FBT001 -- a column of the message, not a switch
    *,
    open_by_key: dict[tuple[object, ...], _Open],
    everything: list[_Open],
) -> None:
    sender, receiver = ((flow.a, flow.a_port), (flow.b, flow.b_port))[:: 1 if from_a else -1]
    client, server = (receiver, sender) if message.is_response else (sender, receiver)
    key = (client, server, flow.transport, message.message_id, message.questions[0])
    found = open_by_key.get(key)
    if message.is_response:
        if found is None:
            found = _Open(time_ns, time_ns, client[0], server[0], message.questions[0], flow.transport, asked=0)
            open_by_key[key] = found
            everything.append(found)
        if found.answer is None:
            found.answer, found.answer_ns = message, time_ns
    elif found is not None and found.answer is None and time_ns - found.last_ns < _SAME_QUESTION_NS:
        found.asked, found.last_ns = found.asked + 1, time_ns
    else:
        open_by_key[key] = _Open(time_ns, time_ns, client[0], server[0], message.questions[0], flow.transport)
        everything.append(open_by_key[key])


def _lookup(entry: _Open) -> Lookup:
    answer = entry.answer
    known = answer is not None and entry.asked > 0
    return Lookup(
        time_ns=entry.time_ns,
        client=entry.client,
        server=entry.server,
        name=entry.question.name,
        type=entry.question.type,
        answers=tuple(record.text for record in answer.answers) if answer else (),
        rcode=answer.rcode if answer else None,
        response_ms=ms_from_ns(entry.answer_ns - entry.time_ns) if known else None,
        asked=entry.asked,
        transport=entry.transport,
    )


def names_by_address(lookups: Iterable[Lookup]) -> dict[str, str]:
    """Tell which question gave an address; the last one before use is not distinguished, the first one wins.

    Parameters
    ----------
    lookups
        In order of time.

    Returns
    -------
    names
        Address → name that was asked for.
    """
    names: dict[str, str] = {}
    for lookup in lookups:
        if lookup.type in {"A", "AAAA", "ANY"}:
            for answer in lookup.answers:
                names.setdefault(answer, lookup.name)
    return names


@dataclass(frozen=True, slots=True, kw_only=True)
class QuicConnection:
    """A QUIC connection as far as it shows itself.

    Parameters
    ----------
    flow
        Index into the flows.
    client_is_a
        Whether the client is ``flow.a``.
    version
        Such as ``QUICv1``.
    server_name
        Name asked for, in lower case; ``None`` where it cannot be read.
    has_ech
        Whether that is only the outer name.
    """

    flow: int
    client_is_a: bool
    version: str | None
    server_name: str | None
    has_ech: bool = False


def read_quic(flows: Sequence[Flow], datagrams: Iterable[Datagram]) -> list[QuicConnection]:
    """Find QUIC connections and read their names.

    Parameters
    ----------
    flows
        All flows.
    datagrams
        Rare packets in order of arrival.

    Returns
    -------
    connections
        In order of flow; where there are very many, only the first to each server is read.
    """
    readers: dict[tuple[int, bool], quic.InitialReader] = {}
    known: set[tuple[str, int]] = set()
    for datagram in datagrams:
        flow = flows[datagram.flow]
        if flow.transport != "udp" or datagram.channel or datagram.peer is not None:
            continue
        if not quic.looks_like_quic(datagram.payload) or DNS_PORT in {flow.a_port, flow.b_port}:
            continue
        key = (datagram.flow, datagram.outbound_of_key)
        reader = readers.get(key)
        if reader is None:
            if (datagram.flow, not datagram.outbound_of_key) in readers or len(readers) >= MAX_QUIC_READ:
                continue  # the answering side
            reader = readers[key] = quic.InitialReader()
        server = (flow.b, flow.b_port) if datagram.outbound_of_key else (flow.a, flow.a_port)
        if server in known and len(readers) > _READ_EACH and reader.client_hello is None:
            reader.version = reader.version or quic.version_name(int.from_bytes(datagram.payload[1:5], "big"))
            continue
        reader.feed(datagram.payload)
        if reader.client_hello is not None and reader.client_hello.server_name:
            known.add(server)
    return [
        QuicConnection(
            flow=index,
            client_is_a=from_a,
            version=reader.version,
            server_name=reader.client_hello.server_name if reader.client_hello else None,
            has_ech=reader.client_hello.has_ech if reader.client_hello else False,
        )
        for (index, from_a), reader in sorted(readers.items())
    ]
