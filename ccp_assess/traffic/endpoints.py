"""What the workstation talked to: one row per address, port and transport, with names, Region and TCP behaviour."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from statistics import median_low

from ccp_assess.endpoints import Role, identify
from ccp_assess.ranges import IpRanges
from ccp_assess.traffic.dialogues import Dialogue
from ccp_assess.traffic.evidence import relay_end
from ccp_assess.traffic.flows import Flow
from ccp_assess.traffic.names import QuicConnection
from ccp_assess.units import ms_from_ns

_INITIAL_TTLS = (64, 128, 255)
_DISCOVERY_PORTS = frozenset({67, 68, 137, 138, 546, 547, 1900, 3702, 5353, 5355})
"""DHCP, NetBIOS, SSDP, WS-Discovery, mDNS, LLMNR: neighbours greeting each other, no endpoints."""
_WELL_KNOWN = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointRow:
    """One server as seen by the workstation.

    Parameters
    ----------
    host
        SNI, else the question that gave the address, in lower case; ``None`` if unknown.
    host_basis
        ``sni``, ``connect`` (asked of a proxy), ``dns``, ``name_record`` or ``None``.
    address, port, transport
        The server's end.
    role, region_code
        What it is; the name decides before the address.
    packets_out, packets_in, bytes_out, bytes_in
        Towards and from it (count, IP bytes).
    connect_rtt_ms
        Median of SYN to SYN/ACK where the SYN was not sent again [ms].
    tls_handshake_ms
        Median of ClientHello to the end of the handshake [ms].
    tls_issuer
        Who signed its certificate, where that is in clear.
    tls_version
        Negotiated version.
    retransmissions
        TCP segments sent again, both directions (count).
    zero_windows, resets
        TCP segments with a closed window, with RST (count).
    hops_estimate
        Routers on the way back, from the TTL: initial value (64, 128 or 255) less the one received.
    answered
        Whether anything came back.
    connections, connections_refused, connections_unanswered
        TCP connections (count); refused is a RST to the SYN.
    proxy
        The proxy through which it was reached, as ``address:port``.
    first_ns, last_ns
        First and last packet [ns].
    flows
        Indices of its flows.
    """

    host: str | None
    host_basis: str | None
    address: str
    port: int
    transport: str
    role: Role
    region_code: str | None
    packets_out: int
    packets_in: int
    bytes_out: int
    bytes_in: int
    connect_rtt_ms: float | None
    tls_handshake_ms: float | None
    tls_issuer: str | None
    tls_version: str | None
    retransmissions: int
    zero_windows: int
    resets: int
    hops_estimate: int | None
    answered: bool
    connections: int
    connections_refused: int
    connections_unanswered: int
    proxy: str | None
    first_ns: int
    last_ns: int
    flows: tuple[int, ...]


def hops_from_ttl(ttl: int) -> int:
    """Estimate how many routers a packet passed.

    Parameters
    ----------
    ttl
        As received.

    Returns
    -------
    hops
        The nearest usual initial value less ``ttl``; a proxy on the way hides what lies behind it.

    Examples
    --------
    >>> hops_from_ttl(58), hops_from_ttl(116), hops_from_ttl(243)
    (6, 12, 12)
    """
    return next(initial for initial in _INITIAL_TTLS if ttl <= initial) - ttl


def server_end(flow: Flow, dialogue: Dialogue | None = None, host: str | None = None) -> str | None:
    """Tell which end of a flow is the server.

    Parameters
    ----------
    flow
        A flow.
    dialogue
        What its ends said first, if it is TCP.
    host
        Address of the workstation, if known.

    Returns
    -------
    end
        ``a``, ``b``, or ``None`` where the flow has no server (discovery, multicast).
    """
    if flow.transport not in {"udp", "tcp"} or {flow.a_port, flow.b_port} & _DISCOVERY_PORTS:
        return None
    if _is_group(flow.b) or _is_group(flow.a):
        return None
    if host in {flow.a, flow.b} and flow.a != flow.b:
        return "b" if host == flow.a else "a"
    turn = relay_end(flow)
    if turn is not None:
        return turn
    if flow.syn_ns is not None or flow.synack_ns is not None:
        return "b"
    if dialogue is not None and dialogue.protocol is not None:
        return "b" if dialogue.client_is_a else "a"
    if flow.a_port < _WELL_KNOWN <= flow.b_port:
        return "a"
    return "b"


@lru_cache(maxsize=16_384)
def _is_group(address: str) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return True
    return parsed.is_multicast or str(parsed) == "255.255.255.255" or parsed.is_unspecified


def find_endpoints(
    flows: Sequence[Flow],
    dialogues: Iterable[Dialogue],
    quic: Iterable[QuicConnection],
    *,
    names: dict[str, str],
    name_records: dict[str, str] | None = None,
    host: str | None = None,
    ranges: IpRanges | None = None,
) -> list[EndpointRow]:
    """Make the table of endpoints.

    Parameters
    ----------
    flows
        All flows.
    dialogues, quic
        Names asked for inside connections.
    names
        Address → name, from lookups.
    name_records
        Address → name, as the capture file itself says.
    host
        Address of the workstation, if known.
    ranges
        Published ranges; ``None`` for the shipped snapshot.

    Returns
    -------
    endpoints
        By first time, address, port.
    """
    said = {dialogue.flow: dialogue for dialogue in dialogues}
    quic_names = {connection.flow: connection.server_name for connection in quic}
    groups: dict[tuple[str, int, str], list[tuple[int, bool]]] = defaultdict(list)
    for number, flow in enumerate(flows):
        end = server_end(flow, said.get(number), host)
        if end is not None:
            address, port = (flow.b, flow.b_port) if end == "b" else (flow.a, flow.a_port)
            groups[address, port, flow.transport].append((number, end == "b"))
    rows = [
        _row(flows, said, quic_names, key, members, names=names, name_records=name_records or {}, ranges=ranges)
        for key, members in groups.items()
    ]
    return sorted(rows, key=lambda row: (row.first_ns, row.address, row.port, row.transport))


def _row(
    flows: Sequence[Flow],
    said: dict[int, Dialogue],
    quic_names: dict[int, str | None],
    key: tuple[str, int, str],
    members: list[tuple[int, bool]],
    *,
    names: dict[str, str],
    name_records: dict[str, str],
    ranges: IpRanges | None,
) -> EndpointRow:
    address, port, transport = key
    dialogues = [said[number] for number, _ in members if number in said]
    host, basis = _host(dialogues, [quic_names.get(number) for number, _ in members], address, names, name_records)
    identity = identify(host, address, port, transport, ranges)
    own = [flows[number] for number, _ in members]
    forward = [(flows[number], server_is_b) for number, server_is_b in members]
    ttls = [
        ttl for flow, is_b in forward if (ttl := flow.ttl_ba_max if is_b else flow.ttl_ab_max) is not None and ttl > 0
    ]
    connects = [
        ms_from_ns(flow.synack_ns - flow.syn_ns)
        for flow in own
        if flow.syn_ns is not None and flow.synack_ns is not None and flow.syns == 1 and flow.synack_ns >= flow.syn_ns
    ]
    handshakes = [d.tls_handshake_ms for d in dialogues if d.tls_handshake_ms is not None]
    tried = [flow for flow in own if flow.syns > 0]
    refused = [flow for flow in tried if flow.synack_ns is None and flow.resets and flow.last_ba_ns is not None]
    incoming = sum(flow.packets_ba if is_b else flow.packets_ab for flow, is_b in forward)
    proxied = next((d.proxy_target for d in dialogues if d.proxy_target), None)
    return EndpointRow(
        host=host,
        host_basis=basis,
        address=address,
        port=port,
        transport=transport,
        role=identity.role,
        region_code=identity.region_code,
        packets_out=sum(flow.packets_ab if is_b else flow.packets_ba for flow, is_b in forward),
        packets_in=incoming,
        bytes_out=sum(flow.bytes_ab if is_b else flow.bytes_ba for flow, is_b in forward),
        bytes_in=sum(flow.bytes_ba if is_b else flow.bytes_ab for flow, is_b in forward),
        connect_rtt_ms=median_low(connects) if connects else None,
        tls_handshake_ms=median_low(handshakes) if handshakes else None,
        tls_issuer=next((d.certificate.issuer.text for d in dialogues if d.certificate), None),
        tls_version=next((d.server_hello.version for d in dialogues if d.server_hello), None),
        retransmissions=sum(flow.retransmissions_ab + flow.retransmissions_ba for flow in own),
        zero_windows=sum(flow.zero_windows_ab + flow.zero_windows_ba for flow in own),
        resets=sum(flow.resets for flow in own),
        hops_estimate=hops_from_ttl(max(ttls)) if ttls else None,
        answered=incoming > 0,
        connections=len(tried),
        connections_refused=len(refused),
        connections_unanswered=sum(flow.synack_ns is None and flow.last_ba_ns is None for flow in tried),
        proxy=f"{address}:{port}" if proxied else None,
        first_ns=min(flow.first_ns for flow in own),
        last_ns=max(flow.last_ns for flow in own),
        flows=tuple(number for number, _ in members),
    )


def _host(
    dialogues: list[Dialogue],
    quic_names: list[str | None],
    address: str,
    names: dict[str, str],
    name_records: dict[str, str],
) -> tuple[str | None, str | None]:
    direct = [d for d in dialogues if d.proxy_target is None]
    sni = next((d.server_name for d in direct if d.server_name), None) or next((n for n in quic_names if n), None)
    if sni:
        return sni.rstrip("."), "sni"
    if address in names:
        return names[address], "dns"
    proxied = next((d.server_name or d.proxy_target[0] for d in dialogues if d.proxy_target), None)
    if proxied:
        return proxied.rstrip("."), "connect"
    clear = next((d.http_host for d in direct if d.http_host), None)
    if clear:
        return clear, "http"
    return (name_records[address].lower(), "name_record") if address in name_records else (None, None)
