"""What runs inside the namespaces of the bench: one process each, forked from one that has all modules loaded.

Started with descriptions on standard input; all of them end with its end, whatever became of the bench.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import shutil
import ssl
import struct
import subprocess
import sys
import traceback
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench_wan.certificates import Authority
from bench_wan.names import Resolver
from bench_wan.namespaces import enter
from bench_wan.plan import Names, Plan, Site
from bench_wan.web import ConnectProxy, Handler, Interceptor, Web, portal, quietly

TURN_PORT, HTTPS_PORT, HTTP_PORT, DNS_PORT = 3478, 443, 80, 53
INTERCEPT_PORT, PORTAL_PORT, PORTAL_TLS_PORT = 10443, 10080, 10444


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """The far end: web servers and a real TURN server on every address."""

    addresses: tuple[str, ...]
    plan: Plan
    folder: Path
    turn: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """The near end: a resolver, and what an office's gateway does with connections."""

    listen: str
    site: Site
    zone: dict[str, tuple[str, ...]] = field(default_factory=dict)
    folder: Path


async def _listen(handle: Handler, address: str, port: int, tls: ssl.SSLContext | None = None) -> None:
    await asyncio.start_server(quietly(handle), address, port, ssl=tls, backlog=512)


async def start_cloud(cloud: Cloud) -> list[subprocess.Popen[bytes]]:
    """Start the servers of the cloud, which answer for every name."""
    web = Web(cloud.plan)
    genuine = Authority(cloud.folder / "genuine", "Amazon", "Amazon Root CA 1")
    tls = genuine.server(cloud.addresses[0])
    for address in cloud.addresses:
        await _listen(web.serve, address, HTTPS_PORT, tls)
        await _listen(web.serve, address, HTTP_PORT)
    if not cloud.turn:
        return []
    program = shutil.which("turnserver")
    if program is None:
        raise RuntimeError("turnserver is not installed (Debian: coturn)")
    words = [program, "-n", f"--listening-port={TURN_PORT}", "--lt-cred-mech", "--realm=bench", "--user=bench:bench"]
    words += ["--no-tls", "--no-dtls", "--no-cli", "--log-file=stdout", "--userdb=/dev/null", "--relay-threads=2"]
    words += [f"--listening-ip={address}" for address in cloud.addresses] + [f"--relay-ip={cloud.addresses[0]}"]
    words += [f"--pidfile={cloud.folder / 'turn.pid'}"]
    process = subprocess.Popen(  # noqa: ASYNC220 - before anyone is served
        words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    for address in cloud.addresses:
        await _wait_for_turn(address)
    return [process]


class _Binding(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.answered = asyncio.Event()

    def datagram_received(self, _data: bytes, _addr: object) -> None:
        self.answered.set()


async def _wait_for_turn(address: str, patience_s: float = 15.0) -> None:
    """Ask by STUN Binding until the server answers (RFC 8489, section 6)."""
    loop = asyncio.get_running_loop()
    transport, binding = await loop.create_datagram_endpoint(_Binding, remote_addr=(address, TURN_PORT))
    end = loop.time() + patience_s
    try:
        while loop.time() < end:
            transport.sendto(struct.pack("!HHI", 0x0001, 0, 0x2112A442) + b"bench-waits!")
            with suppress(TimeoutError):
                await asyncio.wait_for(binding.answered.wait(), 0.05)
                return
    finally:
        transport.close()
    raise RuntimeError("the TURN server did not start")


async def start_gateway(gateway: Gateway) -> list[subprocess.Popen[bytes]]:
    """Start the resolver and the boxes of an office."""
    resolver = Resolver(gateway.zone, gateway.site.names)
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: resolver, local_addr=(gateway.listen, DNS_PORT))
    await _listen(resolver.serve, gateway.listen, DNS_PORT)
    office = gateway.site.office
    if office is None:
        return []
    trusted = str(gateway.folder / "genuine" / "authority.pem")
    if office.inspection is not None:
        box = Interceptor(office.inspection, inspector(gateway.folder, office.inspection.organisation), trusted)
        await _listen(box.serve, office.gateway, INTERCEPT_PORT)
    if office.proxy is not None:
        opens = office.proxy.inspection
        authority = None if opens is None else inspector(gateway.folder, opens.organisation)
        # The proxy asks a resolver of its own, not the one whose answers the office rewrites.
        proxy = ConnectProxy(office.proxy, Resolver(gateway.zone, Names()), authority, trusted)
        await _listen(proxy.serve, office.gateway, office.proxy.port)
    if office.captive_portal:
        await _listen(portal, office.gateway, PORTAL_PORT)
        own = Authority(gateway.folder / "portal", "Guest Wi-Fi", "portal.bench").context_for("portal.bench")
        await _listen(portal, office.gateway, PORTAL_TLS_PORT, own)
    return []


def inspector(folder: Path, organisation: str) -> Authority:
    """Give the authority of a box that opens TLS."""
    return Authority(folder / f"inspection-{zlib.crc32(organisation.encode()):08x}", organisation, f"{organisation} CA")


async def _run(what: Cloud | Gateway) -> None:
    processes = await (start_cloud(what) if isinstance(what, Cloud) else start_gateway(what))
    os.write(1, b"ready\n")
    try:
        await asyncio.get_running_loop().run_in_executor(None, os.read, 0, 1)  # until our parent is gone
    finally:
        for process in processes:
            process.kill()
            process.wait()
        os._exit(0)  # open connections need no farewell


def main() -> None:
    length = int.from_bytes(sys.stdin.buffer.read(4), "big")
    described = pickle.loads(sys.stdin.buffer.read(length))  # noqa: S301 - from our own parent
    for namespace, what in described:
        if os.fork():
            continue
        try:
            enter(namespace)
            asyncio.run(_run(what))
        except BaseException:  # noqa: BLE001 - whatever it is, the bench must hear of it
            traceback.print_exc()
            os.write(1, b"failed\n")
        os._exit(0)
    for _ in described:
        os.wait()
