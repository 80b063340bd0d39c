"""Servers for HTTP and TLS with WebSocket, and what stands before them in offices: proxies, inspection, portals."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ipaddress
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from email.utils import formatdate
from time import time

from bench_wan.certificates import Authority
from bench_wan.names import Resolver
from bench_wan.plan import Inspection, Plan, Proxy

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
WEBSOCKET_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
SO_ORIGINAL_DST = 80
UPGRADE_HEADERS = ("upgrade", "connection", "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions")
GONE = (OSError, EOFError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ssl.SSLError)


def quietly(handle: Handler) -> Handler:
    """Take it as normal that the other side goes away; always close."""

    async def handled(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handle(reader, writer)
        except GONE:
            pass
        finally:
            with suppress(*GONE):
                writer.close()

    return handled


async def _head(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], bytes]:
    """Read a request up to the empty line: its first line, its headers in lower case, the bytes."""
    raw = await reader.readuntil(b"\r\n\r\n")
    first, *lines = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return first, headers, raw


def _response(status: str, headers: tuple[str, ...] = (), body: bytes = b"", clock_offset_s: float = 0.0) -> bytes:
    date = formatdate(time() + clock_offset_s, usegmt=True)
    lines = (f"HTTP/1.1 {status}", f"Date: {date}", f"Content-Length: {len(body)}", *headers)
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class Web:
    """A web server that accepts WebSocket upgrades, or refuses them as one that wants a ticket does."""

    def __init__(self, plan: Plan) -> None:
        self.websocket, self.clock_offset_s, self.keep_alive = plan.websocket, plan.clock_offset_s, plan.keep_alive

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer requests until the client is done."""
        while True:
            first, headers, _ = await _head(reader)
            if headers.get("upgrade", "").lower() == "websocket":
                if self.websocket == "accept":
                    await self._upgrade(headers, reader, writer)
                    return
                writer.write(_response("403 Forbidden", clock_offset_s=self.clock_offset_s))
            else:
                body = b"" if first.startswith("HEAD ") else b"bench\n"
                kept = f"Connection: {'keep-alive' if self.keep_alive else 'close'}"
                typed = "Content-Type: text/plain"
                writer.write(_response("200 OK", (typed, kept), body, clock_offset_s=self.clock_offset_s))
            await writer.drain()
            if not self.keep_alive:
                return

    async def _upgrade(
        self, headers: dict[str, str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        key = headers.get("sec-websocket-key", "").encode()
        accept = base64.b64encode(hashlib.sha1(key + WEBSOCKET_MAGIC).digest()).decode()  # noqa: S324 - RFC 6455
        lines = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        writer.write(f"{lines}Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())
        while True:  # echo short frames back, unmasked (RFC 6455, section 5.2)
            kind, length = await reader.readexactly(2)
            mask = await reader.readexactly(4)
            body = await reader.readexactly(length & 0x7F)
            body = bytes(byte ^ mask[at % 4] for at, byte in enumerate(body))
            writer.write(bytes((kind, len(body))) + body)
            if kind & 0x0F == 0x8:
                return


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(*GONE):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with suppress(*GONE):
        writer.close()


async def _carry_requests(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry requests without their wish to upgrade; ends with the first that has a body, which ours have not."""
    with suppress(*GONE):
        while True:
            first, _, raw = await _head(reader)
            lines = raw.decode("latin-1").rstrip("\r\n").split("\r\n")[1:]
            kept = [line for line in lines if line.partition(":")[0].strip().lower() not in UPGRADE_HEADERS]
            writer.write("\r\n".join([first, *kept, "", ""]).encode("latin-1"))
            await writer.drain()
    with suppress(*GONE):
        writer.close()


async def _inspect(
    near: Streams, target: tuple[str, int], inspection: Inspection, authority: Authority, trusted: str
) -> None:
    """Open TLS towards the client with our own certificate, and anew towards the server."""
    asked: list[str] = []
    context = authority.server(target[0])
    chosen = context.sni_callback

    def remember(connection: ssl.SSLObject, name: str | None, own: ssl.SSLContext) -> None:
        asked.append(name or target[0])
        chosen(connection, name, own)

    context.sni_callback = remember  # type: ignore[assignment]
    await near[1].start_tls(context)
    upstream = ssl.create_default_context(cafile=trusted)
    far = await asyncio.open_connection(*target, ssl=upstream, server_hostname=asked[-1] if asked else target[0])
    towards = _carry_requests if inspection.strip_upgrade else _carry
    await asyncio.gather(towards(near[0], far[1]), _carry(far[0], near[1]))


class Interceptor:
    """Take connections that the firewall turned to us and open their TLS."""

    def __init__(self, inspection: Inspection, authority: Authority, trusted: str) -> None:
        self.inspection, self.authority, self.trusted = inspection, authority, trusted

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Go on to where the connection was meant for."""
        end: socket.socket = writer.get_extra_info("socket")
        raw = end.getsockopt(socket.SOL_IP, SO_ORIGINAL_DST, 16)
        port, packed = struct.unpack_from("!2xH4s", raw)
        target = str(ipaddress.ip_address(packed)), port
        await _inspect((reader, writer), target, self.inspection, self.authority, self.trusted)


class ConnectProxy:
    """A proxy for HTTP CONNECT that may want a sign-in, refuse targets or open TLS (RFC 9110, section 9.3.6)."""

    def __init__(self, proxy: Proxy, resolver: Resolver, authority: Authority | None, trusted: str) -> None:
        self.proxy, self.resolver, self.authority, self.trusted = proxy, resolver, authority, trusted

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one tunnel."""
        while True:
            first, headers, _ = await _head(reader)
            verb, target, *_ = [*first.split(" "), "", ""]
            if not self._signed_in(headers.get("proxy-authorization", "")):
                writer.write(_response("407 Proxy Authentication Required", self._challenges()))
                await writer.drain()
                continue
            break
        host, _, port = target.rpartition(":")
        found = self._find(host.strip("[]"))
        if verb != "CONNECT" or not port.isdigit():
            writer.write(_response("405 Method Not Allowed"))
        elif host.lower() in self.proxy.deny:
            writer.write(_response("403 Forbidden", body=b"<html>denied by the bench's proxy</html>"))
        elif found is None:
            writer.write(_response("502 Bad Gateway"))
        else:
            await self._tunnel((reader, writer), (found, int(port)))

    async def _tunnel(self, near: Streams, target: tuple[str, int]) -> None:
        if self.proxy.inspection is not None and self.authority is not None:
            near[1].write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await near[1].drain()
            await _inspect(near, target, self.proxy.inspection, self.authority, self.trusted)
            return
        try:
            far = await asyncio.wait_for(asyncio.open_connection(*target), 10)
        except (OSError, TimeoutError):
            near[1].write(_response("504 Gateway Timeout"))
            return
        near[1].write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_carry(near[0], far[1]), _carry(far[0], near[1]))

    def _find(self, host: str) -> str | None:
        try:
            return str(ipaddress.ip_address(host))
        except ValueError:
            return next(iter(self.resolver.addresses(host.lower()) or ()), None)

    def _challenges(self) -> tuple[str, ...]:
        schemes = {"basic": 'Basic realm="bench"', "ntlm": "NTLM", "negotiate": "Negotiate"}
        return (f"Proxy-Authenticate: {schemes[self.proxy.sign_in]}", "Proxy-Connection: keep-alive")

    def _signed_in(self, stated: str) -> bool:
        if self.proxy.sign_in == "none":
            return True
        wanted = base64.b64encode(f"{self.proxy.user}:{self.proxy.password}".encode()).decode()
        return self.proxy.sign_in == "basic" and stated == f"Basic {wanted}"


async def portal(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send everyone to the sign-in page of a captive portal."""
    while True:
        first, headers, _ = await _head(reader)
        if headers.get("host", "").startswith("portal.bench"):
            body = b"<html><title>Welcome, please sign in</title></html>"
            writer.write(_response("200 OK", ("Content-Type: text/html",), body))
        else:
            writer.write(_response("302 Found", ("Location: http://portal.bench/login",), b""))
        await writer.drain()
        if first.endswith("HTTP/1.0"):
            return
