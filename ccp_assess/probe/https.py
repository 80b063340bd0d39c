"""Reaching a TCP service as a browser does: connect, proxy, TLS, and the wish for a WebSocket."""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any

from ccp_assess.probe.machine import Address
from ccp_assess.probe.proxies import Proxy, sign_in_schemes
from ccp_assess.probe.records import (
    HttpFound,
    PortalFound,
    ProxyFound,
    ProxyOutcome,
    TcpFound,
    TlsFound,
    WebSocketOutcome,
)
from ccp_assess.probe.talks import Talk, Talks
from ccp_assess.probe.tcp import Stream, StreamEnded, connect
from ccp_assess.probe.tls import TlsFailed, TlsMaker, judge_tls
from ccp_assess.units import NS_PER_S, ms_from_ns
from ccp_assess.wire.http import HttpHead

WEBSOCKET_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455, section 1.3."""

CONNECT_AGAIN_MS = (600.0, 1200.0)

_SERVICE_MARKS = ("x-amz", "x-amzn")
_SERVICE_SERVERS = ("server", "cloudfront", "amazons3", "awselb", "amazon")


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A TCP service to reach.

    Parameters
    ----------
    host, port, role
        What it is.
    websocket
        Whether to ask for the upgrade.
    """

    host: str
    port: int
    role: str
    websocket: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What all conversations share.

    Parameters
    ----------
    talks
        Runs them.
    make_tls
        Makes TLS connections.
    connect_end_ns
        When a connect that began early is given up [ns].
    end_ns
        When the whole ends [ns].
    wall_clock_s
        What to add to the network's clock to get seconds since 1970 [s].
    wait_ms
        Longest wait for a connect that began late, and for each later answer [ms].
    connects
        Connects in a row to one service (count).
    """

    talks: Talks[Any]
    make_tls: TlsMaker
    connect_end_ns: int
    end_ns: int
    wall_clock_s: float
    wait_ms: float = 4000.0
    connects: int = 1

    def until_ns(self) -> int:
        """Return the end of a wait that begins now, within the whole [ns]."""
        return min(self.talks.after_ms(self.wait_ms), self.end_ns)

    def now_s(self) -> float:
        """Return the wall clock [s since 1970]."""
        return self.wall_clock_s + self.talks.now_ns / NS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """How to get to a service: the address to connect to, and the proxy that sits there if there is one."""

    address: str
    proxy: Proxy | None = None


def reach_service(tools: Tools, service: Service, route: Route) -> Talk[TcpFound]:
    """Reach one service.

    Parameters
    ----------
    tools
        Shared by all.
    service
        What to reach.
    route
        Directly, or by which proxy.

    Returns
    -------
    found
        How far it came.
    """
    found = yield from _attempt(tools, service, route, check=True)
    if found.tls is not None and found.tls.trusted is False:
        # Nobody here vouches for what was shown; once more without checking, to see what it is.
        seen = yield from _attempt(tools, service, route, check=False, verify_error=found.tls.verify_error)
        if seen.tls is not None:
            found = replace(found, tls=seen.tls, http=seen.http)
    if route.proxy is None:
        found = yield from _again(tools, (route.address, service.port), found)
    return found


def _attempt(
    tools: Tools, service: Service, route: Route, *, check: bool, verify_error: str | None = None
) -> Talk[TcpFound]:
    proxy = route.proxy
    began_ns = tools.talks.now_ns
    port = proxy.port if proxy else service.port
    opened = yield from connect(
        tools.talks, (route.address, port), end_ns=connect_end_ns(tools), again_ms=CONNECT_AGAIN_MS
    )
    connect_ms = opened.connect_ms if opened.outcome == "connected" else None
    found = TcpFound(
        host=service.host,
        port=service.port,
        role=service.role,
        address=None if proxy else route.address,
        outcome=opened.outcome,
        connect_ms=connect_ms,
        connects_ms=(connect_ms,),
        error=opened.error,
        reporter=opened.reporter,
        tries=opened.tries,
        waited_ms=ms_from_ns(tools.talks.now_ns - began_ns),
    )
    stream = opened.stream
    if proxy is not None:
        met = ProxyFound(
            proxy=proxy.text, source=proxy.source, outcome=_PROXY[opened.outcome], connect_ms=opened.connect_ms
        )
        if stream is not None:
            met = yield from _tunnel(tools, service, proxy, stream, met)
        found = _by_proxy(found, met)
    if stream is None:
        return found
    if proxy is None or (found.proxy is not None and found.proxy.outcome == "open"):
        tls, http = yield from _converse(tools, service, stream, check=check, verify_error=verify_error)
        found = replace(found, tls=tls, http=http)
    yield from stream.close()
    return found


def connect_end_ns(tools: Tools) -> int:
    """Return when a connect is given up [ns]: an early one has all the time there is, a repeated one its own."""
    if tools.talks.now_ns < tools.connect_end_ns:
        return tools.connect_end_ns
    return tools.until_ns()


def _again(tools: Tools, remote: Address, found: TcpFound) -> Talk[TcpFound]:
    """Connect again, for a steadier round trip or to be sure of a refusal."""
    times = list(found.connects_ms)
    for _ in range(tools.connects - 1):
        if tools.talks.now_ns >= tools.end_ns or found.outcome == "timeout":  # the kernel itself sent several SYNs
            break
        once = yield from connect(tools.talks, remote, end_ns=tools.until_ns())
        if once.stream is not None:
            yield from once.stream.close()
        times.append(once.connect_ms if once.outcome == "connected" else None)
    return replace(found, connects_ms=tuple(times), tries=found.tries + len(times) - 1)


# ---------------------------------------------------------------- proxy

_PROXY: dict[str, ProxyOutcome] = {
    "connected": "open",
    "refused": "refused",
    "timeout": "timeout",
    "unreachable": "unreachable",
}


def _tunnel(tools: Tools, service: Service, proxy: Proxy, stream: Stream, met: ProxyFound) -> Talk[ProxyFound]:
    """Ask the proxy for a tunnel (RFC 9110, section 9.3.6)."""
    host = f"[{service.host}]" if ":" in service.host else service.host
    target = f"{host}:{service.port}"
    request = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{proxy.authorization}\r\n".encode("latin-1")
    asked_ns = tools.talks.now_ns
    try:
        if proxy.tls:
            yield from stream.shake(tools.make_tls(proxy.host, False), tools.until_ns())  # noqa: FBT003
        head, came_ns = yield from stream.ask(request, tools.until_ns())
    except StreamEnded as end:
        return replace(met, outcome="timeout" if end.how == "timeout" else "broken")
    except TlsFailed:
        return replace(met, outcome="broken")
    status = head.status or 0
    if 200 <= status < 300:
        return replace(met, status=status, tunnel_ms=ms_from_ns(came_ns - asked_ns))
    outcome: ProxyOutcome = "auth_required" if status == 407 else "denied"
    return replace(met, status=status, schemes=sign_in_schemes(head), outcome=outcome)


def _by_proxy(found: TcpFound, met: ProxyFound) -> TcpFound:
    if met.outcome == "open":
        whole_ms = (met.connect_ms or 0.0) + (met.tunnel_ms or 0.0)
        return replace(found, proxy=met, connect_ms=whole_ms, connects_ms=(whole_ms,))
    outcome = found.outcome
    if met.outcome in {"denied", "auth_required", "broken"}:
        outcome = "refused"
    elif met.outcome == "timeout":
        outcome = "timeout"
    return replace(found, proxy=met, outcome=outcome, connect_ms=None, connects_ms=(None,))


# ---------------------------------------------------------------- TLS and HTTP


def _converse(
    tools: Tools, service: Service, stream: Stream, *, check: bool, verify_error: str | None
) -> Talk[tuple[TlsFound, HttpFound | None]]:
    began_ns = tools.talks.now_ns
    tls = tools.make_tls(service.host, check)
    try:
        yield from stream.shake(tls, tools.until_ns())
    except StreamEnded as end:
        return TlsFound(outcome="timeout" if end.how == "timeout" else "closed", error=end.how), None
    except TlsFailed as failure:
        if not failure.untrusted:
            return TlsFound(outcome="failed", error=failure.reason), None
        return TlsFound(outcome="ok", trusted=False, verify_error=failure.reason), None
    shaken_ms = ms_from_ns(tools.talks.now_ns - began_ns)
    found = judge_tls(service.host, tls.shown(), shaken_ms, trusted=check, verify_error=verify_error)
    http = yield from _first_answer(tools, service, stream)
    return found, http


def _first_answer(tools: Tools, service: Service, stream: Stream) -> Talk[HttpFound]:
    key = base64.b64encode(os.urandom(16)).decode() if service.websocket else None
    asked_ns, asked_s = tools.talks.now_ns, tools.now_s()
    try:
        head, came_ns = yield from stream.ask(http_request(service.host, key), tools.until_ns())
    except StreamEnded as end:
        return HttpFound(
            asked="get" if key is None else "websocket", outcome="timeout" if end.how == "timeout" else "closed"
        )
    return judge_answer(head, key=key, asked_s=asked_s, took_ms=ms_from_ns(came_ns - asked_ns))


def http_request(host: str, key: str | None) -> bytes:
    """Write a request for the root of a host.

    Parameters
    ----------
    host
        The server.
    key
        ``Sec-WebSocket-Key`` of the wish for a WebSocket (RFC 6455); ``None`` for a plain request.

    Returns
    -------
    request
        Its bytes.
    """
    shown = f"[{host}]" if ":" in host else host
    lines = [
        f"{'HEAD' if key is None else 'GET'} / HTTP/1.1",
        f"Host: {shown}",
        "User-Agent: ccp-assess",
        "Accept: */*",
    ]
    if key is None:
        lines.append("Connection: close")
    else:
        lines += ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}"]
        lines.append(f"Origin: https://{shown}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def accept_key(key: str) -> str:
    """Compute what a server that grants the upgrade must answer (RFC 6455, section 4.2.2).

    Parameters
    ----------
    key
        ``Sec-WebSocket-Key``.

    Returns
    -------
    accept
        ``Sec-WebSocket-Accept``.

    Examples
    --------
    >>> accept_key("dGhlIHNhbXBsZSBub25jZQ==")
    's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
    """
    return base64.b64encode(hashlib.sha1(key.encode() + WEBSOCKET_GUID, usedforsecurity=False).digest()).decode()


def judge_answer(head: HttpHead, *, key: str | None, asked_s: float, took_ms: float) -> HttpFound:
    """Say what an answer means for the wish for a WebSocket.

    Parameters
    ----------
    head
        The answer's head.
    key
        As in :func:`http_request`.
    asked_s
        When it was asked, by this computer's clock [s since 1970].
    took_ms
        Until the answer came [ms].

    Returns
    -------
    found
        A refusal by the service itself (4xx with its marks) proves the way as well as the upgrade does.
    """
    by_service = any(name.startswith(_SERVICE_MARKS) for name, _ in head.headers) or any(
        word in (head.get("server") or "").lower() for word in _SERVICE_SERVERS
    )
    outcome: WebSocketOutcome = "answered"
    if key is not None:
        granted = head.status == 101 and head.is_websocket and head.get("sec-websocket-accept") == accept_key(key)
        refused = head.status is not None and 400 <= head.status < 500 and head.status != 426 and by_service
        outcome = "upgraded" if granted else "answered" if refused else "stripped"
    return HttpFound(
        asked="get" if key is None else "websocket",
        outcome=outcome,
        status=head.status,
        server=head.get("server"),
        location=head.get("location"),
        by_service=by_service,
        response_ms=took_ms,
        clock_offset_s=clock_offset_s(head.get("date"), asked_s, took_ms),
    )


def clock_offset_s(date: str | None, asked_s: float, took_ms: float) -> float | None:
    """Say how far this computer's clock is ahead of a server's.

    Parameters
    ----------
    date
        The server's Date header: whole seconds, cut off.
    asked_s, took_ms
        When it was asked, by this computer's clock, and how long the answer took [s since 1970], [ms].

    Returns
    -------
    offset_s
        The value nearest to 0 that fits; ``None`` without a readable date [s].

    Examples
    --------
    >>> clock_offset_s("Sun, 06 Nov 1994 08:49:37 GMT", 784111777.2, 100.0)
    0.0
    >>> clock_offset_s("Sun, 06 Nov 1994 08:49:37 GMT", 784111787.0, 0.0)
    9.0
    """
    try:
        stated_s = parsedate_to_datetime(date or "").timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    # The server's clock read at least the stated second when it answered, and less than one second more.
    least, most = asked_s - (stated_s + 1.0), asked_s + took_ms / 1000.0 - stated_s
    return round(min(max(least, 0.0), most) if most >= 0.0 else most, 3)


# ---------------------------------------------------------------- captive portal


def ask_portal(tools: Tools, host: str, address: str) -> Talk[PortalFound]:
    """Ask for the same host by plain HTTP, to see whether somebody sends everybody to a sign-in page.

    Parameters
    ----------
    tools
        Shared by all.
    host, address
        What HTTPS was not genuine for.

    Returns
    -------
    found
        What was said on port 80.
    """
    opened = yield from connect(tools.talks, (address, 80), end_ns=connect_end_ns(tools))
    status = location = None
    if opened.stream is not None:
        try:
            request = http_request(host, None).replace(b"HEAD", b"GET", 1)  # as browsers look for a sign-in page
            head, _ = yield from opened.stream.ask(request, tools.until_ns())
            status, location = head.status, head.get("location")
        except StreamEnded:
            pass
        yield from opened.stream.close()
    return PortalFound(address=address, host=host, status=status, location=location)
