"""What the two sides of a TCP connection said first: TLS, a proxy's CONNECT, SOCKS, WebSocket or DNS.

The capture keeps the first bytes of each direction. They are put in order by sequence number, so that a hello split
over records and segments, or arriving out of order, is read all the same.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from ccp_assess.errors import ParseError
from ccp_assess.traffic.flows import Flow
from ccp_assess.units import ms_from_ns
from ccp_assess.wire import certificates, dns, http, tls
from ccp_assess.wire.datagram import TCP_BYTES_KEPT, Datagram

Protocol = Literal["tls", "http", "dns", "socks"]
_SYN = 0x02
_SOCKS_REPLY_WINDOW = 512


@dataclass(frozen=True, slots=True)
class Side:
    """The ordered first bytes of one direction.

    Parameters
    ----------
    data
        Without gaps, from the first byte seen.
    offsets, times_ns
        Where each segment begins in ``data`` and when it came.
    first_sequence
        TCP sequence number of the first byte; ``None`` without any.
    """

    data: bytes = b""
    offsets: tuple[int, ...] = ()
    times_ns: tuple[int, ...] = ()
    first_sequence: int | None = None

    def time_at(self, offset: int) -> int | None:
        """Tell when a byte came.

        Parameters
        ----------
        offset
            Position in ``data``.

        Returns
        -------
        time_ns
            ``None`` if that byte was not seen [ns].
        """
        if not self.offsets or not 0 <= offset < len(self.data):
            return None
        return self.times_ns[bisect_right(self.offsets, offset) - 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialogue:
    """The beginning of one TCP connection.

    Parameters
    ----------
    flow
        Index into the flows.
    client_is_a
        Whether the client is ``flow.a``.
    protocol
        What the client speaks first; ``None`` if it is none of ours.
    server_name
        SNI of the ClientHello, in lower case.
    proxy_target
        Host and port that the client asked a proxy for.
    proxy_status
        Status that an HTTP proxy answered with.
    client_hello, server_hello
        Of TLS, also inside a proxy's tunnel.
    certificate
        The server's own, where it is in clear.
    tls_handshake_ms
        ClientHello to the later side's first encrypted record; ``None`` if it did not come so far [ms].
    tls_alerts
        Alerts in clear, by name.
    hello_ns
        When the ClientHello came [ns].
    websocket_status
        Status of a clear upgrade to WebSocket; ``None`` if none was asked for.
    http_host, user_agent
        Headers of a clear request.
    dns_messages
        Whole DNS messages with their times and whether the client sent them.
    """

    flow: int
    client_is_a: bool = True
    protocol: Protocol | None = None
    server_name: str | None = None
    proxy_target: tuple[str, int] | None = None
    proxy_status: int | None = None
    client_hello: tls.ClientHello | None = None
    server_hello: tls.ServerHello | None = None
    certificate: certificates.Certificate | None = None
    tls_handshake_ms: float | None = None
    tls_alerts: tuple[str, ...] = ()
    hello_ns: int | None = None
    websocket_status: int | None = None
    http_host: str | None = None
    user_agent: str | None = None
    dns_messages: tuple[tuple[int, bool, bytes], ...] = field(default=(), repr=False)


def order_segments(segments: Iterable[Datagram]) -> Side:
    """Put the segments of one direction in order, as far as there is no gap.

    Parameters
    ----------
    segments
        In order of arrival; those with SYN tell where the bytes begin.

    Returns
    -------
    side
        Bytes with the time of each segment.
    """
    start: int | None = None
    parts: list[tuple[int, int, int, bytes]] = []
    for index, segment in enumerate(segments):
        if segment.tcp_seq is None:
            continue
        flags = segment.tcp_flags or 0
        if flags & _SYN:
            start = (segment.tcp_seq + 1) & 0xFFFFFFFF if start is None else start
            sequence = (segment.tcp_seq + 1) & 0xFFFFFFFF
        else:
            sequence = segment.tcp_seq
        if segment.payload:
            parts.append((sequence, segment.time_ns, index, segment.payload))
    if not parts:
        return Side()
    if start is None:  # the beginning was not captured: the lowest number near the first one seen
        first = parts[0][0]
        start = (first + min(_signed(sequence - first) for sequence, *_ in parts)) & 0xFFFFFFFF
    data = bytearray()
    offsets: list[int] = []
    times: list[int] = []
    base = start
    for offset, time_ns, _, payload in sorted((_signed(s - base), t, i, p) for s, t, i, p in parts):
        end = offset + len(payload)
        if offset > len(data) or len(data) >= TCP_BYTES_KEPT:
            break
        if end <= len(data) or offset < -TCP_BYTES_KEPT:
            continue
        offsets.append(len(data))
        times.append(time_ns)
        data += payload[len(data) - offset :]
    return Side(bytes(data), tuple(offsets), tuple(times), start)


def _signed(difference: int) -> int:
    return (difference + 0x80000000 & 0xFFFFFFFF) - 0x80000000


def read_dialogues(flows: Sequence[Flow], datagrams: Iterable[Datagram]) -> list[Dialogue]:
    """Read the beginning of every TCP connection.

    Parameters
    ----------
    flows
        All flows.
    datagrams
        Rare packets in order of arrival; those of other transports are passed over.

    Returns
    -------
    dialogues
        One for each connection that carried bytes, in order of flow.
    """
    segments: dict[int, tuple[list[Datagram], list[Datagram]]] = {}
    for datagram in datagrams:
        if flows[datagram.flow].transport == "tcp" and not datagram.framed and datagram.channel == 0:
            sides = segments.setdefault(datagram.flow, ([], []))
            sides[0 if datagram.outbound_of_key else 1].append(datagram)
    dialogues = []
    for flow, (from_a, from_b) in sorted(segments.items()):
        a, b = order_segments(from_a), order_segments(from_b)
        if a.data or b.data:
            dialogues.append(read_dialogue(flow, a, b, is_dns=53 in {flows[flow].a_port, flows[flow].b_port}))
    return dialogues


def read_dialogue(flow: int, a: Side, b: Side, *, is_dns: bool = False) -> Dialogue:
    """Read the beginning of one connection.

    Parameters
    ----------
    flow
        Index of the flow.
    a, b
        First bytes of each end.
    is_dns
        Whether one end has port 53.

    Returns
    -------
    dialogue
        What could be read; damage leaves fields ``None``.
    """
    if is_dns:
        return _read_dns(flow, a, b)
    client_is_a = not _is_server_side(a.data) and (bool(a.data) or not _is_client_side(b.data))
    client, server = (a, b) if client_is_a else (b, a)
    if tls.looks_like_tls(client.data) or (not client.data and tls.looks_like_tls(server.data)):
        return _read_tls(Dialogue(flow=flow, client_is_a=client_is_a, protocol="tls"), client, server, 0, 0)
    if http.looks_like_http(client.data):
        return _read_http(Dialogue(flow=flow, client_is_a=client_is_a, protocol="http"), client, server)
    if client.data[:1] in {b"\x04", b"\x05"}:
        return _read_socks(Dialogue(flow=flow, client_is_a=client_is_a), client, server)
    return Dialogue(flow=flow, client_is_a=client_is_a)


def _is_client_side(data: bytes) -> bool:
    is_hello = len(data) > 5 and data[0] == tls.HANDSHAKE and data[5] == tls.CLIENT_HELLO
    return is_hello or (http.looks_like_http(data) and not data.startswith(b"HTTP/"))


def _is_server_side(data: bytes) -> bool:
    is_hello = len(data) > 5 and data[0] == tls.HANDSHAKE and data[5] == tls.SERVER_HELLO
    return is_hello or data.startswith(b"HTTP/1.")


def _read_tls(base: Dialogue, client: Side, server: Side, client_start: int, server_start: int) -> Dialogue:
    ours, theirs = _flight(client.data[client_start:]), _flight(server.data[server_start:])
    hello_ns = client.time_at(client_start) if ours.client_hello else None
    finished_ns = None
    if ours.encrypted_at is not None and theirs.encrypted_at is not None:
        ends = (
            client.time_at(client_start + ours.encrypted_at),
            server.time_at(server_start + theirs.encrypted_at),
        )
        finished_ns = None if None in ends else max(end for end in ends if end is not None)
    handshake_ms = None
    if hello_ns is not None and finished_ns is not None and finished_ns >= hello_ns:
        handshake_ms = ms_from_ns(finished_ns - hello_ns)
    return replace(
        base,
        server_name=ours.client_hello.server_name if ours.client_hello else None,
        client_hello=ours.client_hello,
        server_hello=theirs.server_hello,
        certificate=_certificate(theirs.certificates),
        tls_handshake_ms=handshake_ms,
        tls_alerts=ours.alerts + theirs.alerts,
        hello_ns=hello_ns,
    )


def _flight(data: bytes) -> tls.Flight:
    try:
        return tls.parse_flight(data)
    except ParseError:
        return tls.Flight()


def _certificate(chain: tuple[bytes, ...]) -> certificates.Certificate | None:
    try:
        return certificates.parse_certificate(chain[0]) if chain else None
    except ParseError:
        return None


def _read_http(base: Dialogue, client: Side, server: Side) -> Dialogue:
    try:
        request = http.parse_head(client.data)
    except ParseError:
        return base
    try:
        response = http.parse_head(server.data)
    except ParseError:
        response = None
    status = response.status if response else None
    base = replace(base, http_host=_host_of(request), user_agent=request.get("user-agent"))
    if request.is_websocket:
        return replace(base, websocket_status=status if status is not None else 0)
    if request.method != "CONNECT":
        return base
    base = replace(base, proxy_target=request.connect_target, proxy_status=status)
    # A 407 is followed by a second CONNECT on the same connection: read on where the tunnel begins.
    position, answered = request.size, response.size if response else 0
    for _ in range(4):
        if not http.looks_like_http(client.data[position:]):
            break
        try:
            head = http.parse_head(client.data[position:])
        except ParseError:
            break
        position += head.size
    start = server.data.find(b"\x16\x03", answered)
    if tls.looks_like_tls(client.data[position:]):
        base = _read_tls(base, client, server, position, start if start >= 0 else len(server.data))
    if position > request.size and base.client_hello:
        base = replace(base, proxy_status=200)
    return base


def _host_of(request: http.HttpHead) -> str | None:
    host = request.get("host")
    return host.rsplit(":", 1)[0].lower() if host else None


def _read_socks(base: Dialogue, client: Side, server: Side) -> Dialogue:
    try:
        connect = http.parse_socks(client.data)
    except ParseError:
        return base
    base = replace(base, protocol="socks", proxy_target=(connect.host, connect.port))
    start = server.data.find(b"\x16\x03", 0, _SOCKS_REPLY_WINDOW)
    if tls.looks_like_tls(client.data[connect.size :]):
        base = _read_tls(base, client, server, connect.size, start if start >= 0 else len(server.data))
    return base


def _read_dns(flow: int, a: Side, b: Side) -> Dialogue:
    messages: list[tuple[int, bool, bytes]] = []
    for from_a, side in ((True, a), (False, b)):
        position = 0
        for message in dns.parse_tcp_messages(side.data):
            time_ns = side.time_at(position + 1 + len(message))
            if time_ns is not None:
                messages.append((time_ns, from_a, message))
            position += 2 + len(message)
    return Dialogue(flow=flow, protocol="dns" if messages else None, dns_messages=tuple(sorted(messages)))
