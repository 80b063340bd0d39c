"""The resolver of a site: answers from the plan's zone, and refuses or rewrites what the plan says (RFC 1035)."""

from __future__ import annotations

import asyncio
import fnmatch
import ipaddress
import random
import struct

from bench_wan.plan import Names

A, CNAME, AAAA = 1, 5, 28
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
TTL_S = 60


def _question(query: bytes) -> tuple[str, int, int]:
    """Read name and type of the question, and where it ends."""
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("ascii", "replace"))
        at += 1 + query[at]
    kind, _ = struct.unpack_from("!HH", query, at + 1)
    return ".".join(labels).lower(), kind, at + 5


class Resolver(asyncio.DatagramProtocol):
    """Answer questions over UDP, and over TCP as `serve` does."""

    def __init__(self, zone: dict[str, tuple[str, ...]], names: Names) -> None:
        self.zone, self.names = zone, names

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the socket."""
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer after the plan's delay."""
        answer = self.answer(data)
        if answer is not None:
            delay_s = self.names.delay_ms / 1000.0
            asyncio.get_running_loop().call_later(delay_s, self.transport.sendto, answer, addr)  # type: ignore[attr-defined]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one question over TCP."""
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        answer = self.answer(await reader.readexactly(length))
        if answer is not None:
            await asyncio.sleep(self.names.delay_ms / 1000.0)
            writer.write(struct.pack("!H", len(answer)) + answer)
        writer.close()

    def addresses(self, name: str) -> tuple[str, ...] | None:
        """Give a name's addresses; ``None`` if it does not exist. Only names below a wildcard match it."""
        if name in self.zone:
            return self.zone[name]
        parts = name.split(".")
        wildcards = (f"*.{'.'.join(parts[cut:])}" for cut in range(1, len(parts)))
        return next((self.zone[wild] for wild in wildcards if wild in self.zone), None)

    def answer(self, query: bytes) -> bytes | None:
        """Write the answer to a question; ``None`` to stay silent."""
        try:
            name, kind, end = _question(query)
        except (IndexError, struct.error):
            return None
        if _matches(name, self.names.silent):
            return None
        code, found = self._looked_up(name)
        wanted = {A: 4, AAAA: 6}.get(kind)
        packed = [ip.packed for ip in map(ipaddress.ip_address, found) if ip.version == wanted]
        random.shuffle(packed)
        body = b"".join(struct.pack("!HHHIH", 0xC00C, kind, 1, TTL_S, len(ip)) + ip for ip in packed)
        head = query[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(packed), 0, 0)
        return head + query[12:end] + body

    def _looked_up(self, name: str) -> tuple[int, tuple[str, ...]]:
        for code, patterns in (
            (NXDOMAIN, self.names.nxdomain),
            (REFUSED, self.names.refused),
            (SERVFAIL, self.names.servfail),
        ):
            if _matches(name, patterns):
                return code, ()
        for pattern, address in self.names.rewritten.items():
            if fnmatch.fnmatchcase(name, pattern):
                return NOERROR, (address,)
        found = self.addresses(name)
        return (NXDOMAIN, ()) if found is None else (NOERROR, found)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
