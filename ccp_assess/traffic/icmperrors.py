"""ICMP errors tied to the flow that they are about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ccp_assess.errors import ParseError
from ccp_assess.traffic.flows import Flow
from ccp_assess.wire import icmp
from ccp_assess.wire.datagram import Datagram

_REASONS = {
    "port_unreachable": "refused",
    "prohibited": "prohibited",
    "packet_too_big": "packet_too_big",
    "ttl_exceeded": "ttl_exceeded",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class IcmpError:
    """One ICMP error.

    Parameters
    ----------
    time_ns
        When it came [ns].
    reporter
        Who sent it.
    kind
        What it says, such as ``port_unreachable``.
    reason
        The same in the words of a failure: ``refused``, ``prohibited``, ``unreachable``, …
    flow
        Index of the flow whose packet it quotes; ``None`` if that flow was not captured.
    from_a
        Whether the quoted packet went from ``flow.a`` to ``flow.b``.
    destination, port, transport
        Where the quoted packet was going.
    mtu
        Of "packet too big" [bytes].
    """

    time_ns: int
    reporter: str
    kind: str
    reason: str
    flow: int | None
    from_a: bool
    destination: str
    port: int | None
    transport: str
    mtu: int | None = None


def read_icmp_errors(flows: Sequence[Flow], datagrams: Iterable[Datagram]) -> list[IcmpError]:
    """Read all ICMP errors and find the flows that they are about.

    Parameters
    ----------
    flows
        All flows.
    datagrams
        Rare packets in order of arrival.

    Returns
    -------
    errors
        In order of arrival.
    """
    datagrams = list(datagrams)
    by_ends: dict[tuple[str, str, int, str, int], tuple[int, bool]] = {}
    for number, flow in enumerate(flows if datagrams else ()):
        if flow.transport in {"udp", "tcp"}:
            by_ends[flow.transport, flow.a, flow.a_port, flow.b, flow.b_port] = (number, True)
            by_ends[flow.transport, flow.b, flow.b_port, flow.a, flow.a_port] = (number, False)
    errors = []
    for datagram in datagrams:
        carrier = flows[datagram.flow]
        if carrier.transport not in {"icmp", "icmpv6"}:
            continue
        try:
            message = icmp.parse_message(datagram.payload, version=6 if carrier.transport == "icmpv6" else 4)
        except ParseError:
            continue
        quoted = message.quoted
        if quoted is None or not message.is_error:
            continue
        flow_number, from_a = None, True
        if quoted.src_port is not None and quoted.dst_port is not None:
            ends = (quoted.transport, quoted.src, quoted.src_port, quoted.dst, quoted.dst_port)
            flow_number, from_a = by_ends.get(ends, (None, True))
        errors.append(
            IcmpError(
                time_ns=datagram.time_ns,
                reporter=carrier.a if datagram.outbound_of_key else carrier.b,
                kind=message.kind,
                reason=_REASONS.get(message.kind, "unreachable"),
                flow=flow_number,
                from_a=from_a,
                destination=quoted.dst,
                port=quoted.dst_port,
                transport=quoted.transport,
                mtu=message.mtu,
            )
        )
    return errors
