"""A WAN of our own on one Linux computer: namespaces for sites, one for the cloud, and emulated routers between them.

Every site and the cloud is a network namespace with a TUN device; this program holds the other end of each and moves
the packets: it answers expired TTLs in the routers' names, delays, loses and drops as the plan says, and hands the rest
to the cloud, whose kernel answers echo requests and closed ports, where a real TURN server listens on 3478 and a TCP
server on 443. So unmodified mtr, traceroute, ping and our own probes measure ways whose truth is known.

Needs root (namespaces, TUN). It makes all it uses and takes it away again. What the kernel of this computer has no
module for (netem) is not needed.

    python tools/wan_bench.py PLAN.toml --out FOLDER [--site ID]... [--region CODE]...
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import heapq
import ipaddress
import json
import os
import random
import select
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
import tomllib
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
ICMP, TCP, UDP, ICMP6 = 1, 6, 17, 58
QUOTE_BYTES = 128  # RFC 1812, section 4.3.2.3 wants as much as fits; routers differ, 128 is common with RFC 4884
TURN_PORT, HTTPS_PORT = 3478, 443


@dataclass(frozen=True, slots=True, kw_only=True)
class Router:
    """One hop: who answers, after how long, and how reliably."""

    addresses: tuple[str, ...]  # more than one: flows are spread over them (ECMP)
    rtt_ms: float
    silent: bool = False
    answer_loss_pct: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """The way from a site to a Region and back."""

    site_id: str
    region_code: str
    routers: tuple[Router, ...]
    rtt_ms: float
    jitter_ms: float = 0.0
    loss_pct: float = 0.0  # in each direction
    drop: frozenset[tuple[str, int]] = frozenset()
    drop_at: int = 1  # the router that drops them

    @property
    def hop_count(self) -> int:
        """Lowest TTL that reaches the destination."""
        return len(self.routers) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Sites, Regions and the ways between them."""

    sites: dict[str, str]  # site → address of its workstation
    regions: dict[str, tuple[str, ...]]  # Region → addresses of its relays
    ways: dict[tuple[str, str], Way]
    commands: dict[str, dict[str, str]] = field(default_factory=dict)  # site → file suffix → command
    seed: int = 0


def read_plan(path: Path) -> Plan:
    """Read a plan: per way the round trip and the number of hops, stated; routers in between evenly spread."""
    stated = tomllib.loads(path.read_text(encoding="utf-8"))
    regions = {code: tuple(row["addresses"]) for code, row in stated["regions"].items()}
    sites = {site: row["address"] for site, row in stated["sites"].items()}
    ways = {}
    for number, (site, row) in enumerate(stated["sites"].items()):
        for code, way in row.get("ways", {}).items():
            ways[site, code] = spread_way(site, code, row.get("first_hops", []), way, number)
    return Plan(
        sites=sites,
        regions=regions,
        ways=ways,
        commands={site: row.get("commands", {}) for site, row in stated["sites"].items()},
        seed=stated.get("seed", 0),
    )


def spread_way(site_id: str, region_code: str, first: list[dict], stated: dict, number: int) -> Way:
    """Fill in the routers of a way: the site's own first hops as stated, the others evenly spread up to its end."""
    routers = [
        Router(
            addresses=tuple(hop.get("addresses", [hop.get("address")])),
            rtt_ms=hop["rtt_ms"],
            silent=hop.get("silent", False),
            answer_loss_pct=hop.get("answer_loss_pct", 0.0),
        )
        for hop in first
    ]
    between = stated["hops"] - 1 - len(routers)
    start = routers[-1].rtt_ms if routers else 0.0
    block = ipaddress.ip_address("203.0.113.0" if zlib.crc32(region_code.encode()) % 2 else "198.51.100.0")
    for index in range(1, between + 1):
        offset = (16 * number + 7 * index + zlib.crc32(f"{site_id}{region_code}".encode()) % 40) % 250 + 2
        routers.append(
            Router(
                addresses=(str(block + offset),),
                rtt_ms=start + (stated["rtt_ms"] - start) * index / (between + 1),
                silent=index in stated.get("silent", []),
            )
        )
    return Way(
        site_id=site_id,
        region_code=region_code,
        routers=tuple(routers),
        rtt_ms=stated["rtt_ms"],
        jitter_ms=stated.get("jitter_ms", 0.0),
        loss_pct=stated.get("loss_pct", 0.0),
        drop=frozenset((kind, int(port)) for kind, _, port in (text.partition("/") for text in stated.get("drop", []))),
        drop_at=stated.get("drop_at", 1),
    )


# ---------------------------------------------------------------- packets


def checksum(data: bytes) -> int:
    """Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


@dataclass(frozen=True, slots=True)
class Packet:
    """What the emulator must know of a packet."""

    version: int
    ttl: int
    protocol: int
    source: str
    target: str
    header: int
    raw: bytes

    @property
    def ports(self) -> tuple[int, int]:
        """Source and destination port; zeros where there are none."""
        if self.protocol in {TCP, UDP} and len(self.raw) >= self.header + 4:
            return struct.unpack_from("!HH", self.raw, self.header)
        return 0, 0

    @property
    def is_icmp_error(self) -> bool:
        """Whether an error message must not answer it (RFC 1122, section 3.2.2)."""
        if len(self.raw) <= self.header:
            return False
        kind = self.raw[self.header]
        return (self.protocol == ICMP and kind not in {0, 8}) or (self.protocol == ICMP6 and kind < 128)


def parse_packet(raw: bytes) -> Packet | None:
    """Read the IP header."""
    if len(raw) >= 20 and raw[0] >> 4 == 4:
        return Packet(
            4,
            raw[8],
            raw[9],
            socket.inet_ntop(socket.AF_INET, raw[12:16]),
            socket.inet_ntop(socket.AF_INET, raw[16:20]),
            (raw[0] & 15) * 4,
            raw,
        )
    if len(raw) >= 40 and raw[0] >> 4 == 6:
        return Packet(
            6,
            raw[7],
            raw[6],
            socket.inet_ntop(socket.AF_INET6, raw[8:24]),
            socket.inet_ntop(socket.AF_INET6, raw[24:40]),
            40,
            raw,
        )
    return None


def with_ttl(packet: Packet, ttl: int) -> bytes:
    """Give a packet another TTL and the checksum that goes with it."""
    raw = bytearray(packet.raw)
    if packet.version == 4:
        raw[8], raw[10:12] = ttl, b"\0\0"
        raw[10:12] = struct.pack("!H", checksum(bytes(raw[: packet.header])))
    else:
        raw[7] = ttl
    return bytes(raw)


def time_exceeded(packet: Packet, router: str, ttl: int) -> bytes | None:
    """Write the router's answer to a packet whose TTL ran out; ``None`` if it has no address of that family."""
    address = ipaddress.ip_address(router)
    if address.version != packet.version:
        return None
    quote = packet.raw[:QUOTE_BYTES]
    if packet.version == 4:
        body = struct.pack("!BBHI", 11, 0, 0, 0) + quote
        body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
        head = struct.pack("!BBHHHBBH", 0x45, 0xC0, 20 + len(body), 0, 0, ttl, ICMP, 0)
        head += address.packed + ipaddress.ip_address(packet.source).packed
        return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body
    target = ipaddress.ip_address(packet.source).packed
    body = struct.pack("!BBHI", 3, 0, 0, 0) + quote
    pseudo = address.packed + target + struct.pack("!II", len(body), ICMP6)
    body = body[:2] + struct.pack("!H", checksum(pseudo + body)) + body[4:]
    return struct.pack("!IHBB", 0x60000000, len(body), ICMP6, ttl) + address.packed + target + body


# ---------------------------------------------------------------- the emulated routers


class Emulator:
    """Move packets between the sites' TUN devices and the cloud's."""

    def __init__(self, plan: Plan, sites: dict[str, int], cloud: int) -> None:
        self.plan, self.sites, self.cloud = plan, sites, cloud
        self.region_of = {address: code for code, listed in plan.regions.items() for address in listed}
        self.site_of = {address: site for site, address in plan.sites.items()}
        self.random = random.Random(plan.seed)
        self.queue: list[tuple[float, int, int, bytes]] = []
        self.number = 0
        self.stopping = False
        self.stop_reader, self.stop_writer = os.pipe()
        self.counts = {"expired": 0, "forwarded": 0, "lost": 0, "dropped": 0, "no_way": 0}

    def run(self) -> None:
        """Work until stopped."""
        names = {fd: site for site, fd in self.sites.items()}
        waiting = [*names, self.cloud, self.stop_reader]
        while not self.stopping:
            now = time.monotonic()
            while self.queue and self.queue[0][0] <= now:
                _, _, fd, raw = heapq.heappop(self.queue)
                with suppress(OSError):  # the namespace's side may be going down
                    os.write(fd, raw)
            timeout = max(self.queue[0][0] - time.monotonic(), 0.0) if self.queue else 1.0
            ready, _, _ = select.select(waiting, [], [], timeout)
            for fd in ready:
                if fd == self.stop_reader:
                    return
                try:
                    packet = parse_packet(os.read(fd, 65535))
                except OSError:  # the device is going down
                    continue
                if packet is None:
                    continue
                if fd == self.cloud:
                    self.from_cloud(packet)
                else:
                    self.from_site(names[fd], packet)

    def stop(self) -> None:
        """Let ``run`` return."""
        self.stopping = True
        os.write(self.stop_writer, b"x")

    def later(self, delay_ms: float, fd: int, raw: bytes) -> None:
        """Write a packet after a delay."""
        self.number += 1
        heapq.heappush(self.queue, (time.monotonic() + delay_ms / 1000.0, self.number, fd, raw))

    def jitter(self, way: Way) -> float:
        """Draw the extra delay of one packet."""
        return abs(self.random.gauss(0.0, way.jitter_ms)) if way.jitter_ms else 0.0

    def lost(self, percent: float) -> bool:
        """Draw whether a packet is lost."""
        return percent > 0.0 and self.random.random() * 100.0 < percent

    def from_site(self, site: str, packet: Packet) -> None:
        """Carry a packet towards the cloud, or answer for the router where its TTL runs out."""
        code = self.region_of.get(packet.target)
        way = self.plan.ways.get((site, code)) if code else None
        if way is None:
            self.counts["no_way"] += 1
            return
        dropped = (self.protocol_name(packet), packet.ports[1]) in way.drop
        if dropped and packet.ttl > way.drop_at:
            self.counts["dropped"] += 1
            return
        if packet.ttl <= len(way.routers):
            self.expire(site, way, packet)
        elif self.lost(way.loss_pct):
            self.counts["lost"] += 1
        else:
            self.counts["forwarded"] += 1
            self.later(way.rtt_ms / 2.0 + self.jitter(way), self.cloud, with_ttl(packet, packet.ttl - len(way.routers)))

    def expire(self, site: str, way: Way, packet: Packet) -> None:
        """Answer in the name of the router where a TTL ran out."""
        self.counts["expired"] += 1
        router = way.routers[packet.ttl - 1]
        if router.silent or packet.is_icmp_error or self.lost(router.answer_loss_pct):
            return
        flow = f"{packet.source}{packet.target}{packet.protocol}{packet.ports}".encode()
        speaker = router.addresses[zlib.crc32(flow) % len(router.addresses)]
        answer = time_exceeded(packet, speaker, 65 - packet.ttl)
        if answer is not None:
            self.later(router.rtt_ms + self.jitter(way), self.sites[site], answer)

    def from_cloud(self, packet: Packet) -> None:
        """Carry an answer back to the site."""
        site, code = self.site_of.get(packet.target), self.region_of.get(packet.source)
        way = self.plan.ways.get((site, code)) if site and code else None
        if way is None or site is None:
            self.counts["no_way"] += 1
            return
        if self.lost(way.loss_pct):
            self.counts["lost"] += 1
            return
        ttl = max(packet.ttl - len(way.routers), 1)
        self.later(way.rtt_ms / 2.0 + self.jitter(way), self.sites[site], with_ttl(packet, ttl))

    @staticmethod
    def protocol_name(packet: Packet) -> str:
        """Name of the transport, as plans write it."""
        return {TCP: "tcp", UDP: "udp", ICMP: "icmp", ICMP6: "icmp"}.get(packet.protocol, "other")


# ---------------------------------------------------------------- namespaces


def sh(*words: str) -> None:
    """Run a command that must succeed."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")


def usable(address: str) -> bool:
    """Say whether this kernel can have an address of that family."""
    return ":" not in address or Path("/proc/net/if_inet6").exists()


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Let this thread be in a namespace for a while."""
    libc = ctypes.CDLL(None, use_errno=True)
    back = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        if libc.setns(there, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        yield
    finally:
        libc.setns(back, CLONE_NEWNET)
        os.close(there)
        os.close(back)


def open_tun(namespace: str, name: str = "wan0") -> int:
    """Make a TUN device in a namespace and give its other end."""
    with inside(namespace):
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    os.set_blocking(fd, True)
    return fd


class Bench:
    """The whole WAN, for use in a ``with`` statement."""

    def __init__(self, plan: Plan, *, turn: bool = True) -> None:
        self.plan, self.turn = plan, turn
        self.prefix = f"wb{os.getpid():x}"
        self.namespaces: list[str] = []
        self.fds: list[int] = []
        self.processes: list[subprocess.Popen] = []
        self.sockets: list[socket.socket] = []
        self.threads: list[threading.Thread] = []
        self.emulator: Emulator | None = None

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def namespace(self, site_id: str) -> str:
        """Name of a site's namespace."""
        return f"{self.prefix}-{zlib.crc32(site_id.encode()):08x}"

    def run(self, site_id: str, command: Sequence[str], timeout_s: float = 120.0) -> subprocess.CompletedProcess:
        """Run a program at a site."""
        words = ["ip", "netns", "exec", self.namespace(site_id), *command]
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=timeout_s)

    def _build(self) -> None:
        cloud = f"{self.prefix}-cloud"
        everyone = [address for listed in self.plan.regions.values() for address in listed if usable(address)]
        cloud_fd = self._namespace(cloud, everyone)
        sites = {
            site: self._namespace(self.namespace(site), [address])
            for site, address in self.plan.sites.items()
            if usable(address)
        }
        self.emulator = Emulator(self.plan, sites, cloud_fd)
        self._thread(self.emulator.run)
        self._https(cloud, everyone)
        if self.turn:
            self._turn(cloud, everyone)

    def _namespace(self, name: str, addresses: list[str]) -> int:
        sh("ip", "netns", "add", name)
        self.namespaces.append(name)
        fd = open_tun(name)
        self.fds.append(fd)
        sh("ip", "-n", name, "link", "set", "lo", "up")
        sh("ip", "-n", name, "link", "set", "wan0", "up")
        for key in ("net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0"):
            subprocess.run(["ip", "netns", "exec", name, "sysctl", "-qw", key], check=False, capture_output=True)
        for address in addresses:
            wide = "128" if ":" in address else "32"
            device = "lo" if len(addresses) > 1 else "wan0"
            sh(
                "ip",
                "-n",
                name,
                "addr",
                "add",
                f"{address}/{wide}",
                "dev",
                device,
                *(["nodad"] if ":" in address else []),
            )
        sh("ip", "-n", name, "route", "add", "default", "dev", "wan0")
        with suppress(RuntimeError):  # a kernel without IPv6
            sh("ip", "-n", name, "-6", "route", "add", "default", "dev", "wan0")
        return fd

    def _thread(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        self.threads.append(thread)

    def _https(self, cloud: str, addresses: list[str]) -> None:
        """Listen on TCP 443, so that connects and TCP traces have an end."""
        with inside(cloud):
            for family, anywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104 - a namespace
                if any((":" in address) == (family == socket.AF_INET6) for address in addresses):
                    listener = socket.socket(family, socket.SOCK_STREAM)
                    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    if family == socket.AF_INET6:
                        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                    listener.bind((anywhere, HTTPS_PORT))
                    listener.listen(64)
                    self.sockets.append(listener)
                    self._thread(lambda listener=listener: _accept(listener))

    def _turn(self, cloud: str, addresses: list[str]) -> None:
        """Run a real TURN server on all addresses."""
        program = shutil.which("turnserver")
        if program is None:
            raise RuntimeError("turnserver is not installed (Debian: coturn)")
        words = ["ip", "netns", "exec", cloud, program, "-n", f"--listening-port={TURN_PORT}", "--lt-cred-mech"]
        words += ["--realm=bench", "--user=bench:bench", "--no-tls", "--no-dtls", "--no-cli", "--log-file=stdout"]
        words += [f"--listening-ip={address}" for address in addresses] + [f"--relay-ip={addresses[0]}"]
        words += [f"--pidfile=/run/netns/../{self.prefix}-turn.pid", "--userdb=/dev/null"]
        self.processes.append(subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        with inside(cloud):
            _wait_for_turn(addresses[0])

    def close(self) -> None:
        """End what was started and take away what was made."""
        if self.emulator is not None:
            self.emulator.stop()
        for process in self.processes:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for listener in self.sockets:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for thread in self.threads:
            thread.join(5)
        for fd in self.fds:
            with suppress(OSError):
                os.close(fd)
        if self.emulator is not None:
            os.close(self.emulator.stop_reader)
            os.close(self.emulator.stop_writer)
            self.emulator = None
        for name in self.namespaces:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        Path(f"/run/{self.prefix}-turn.pid").unlink(missing_ok=True)
        self.processes, self.sockets, self.threads, self.fds, self.namespaces = [], [], [], [], []


def _accept(listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        connection.close()


def _wait_for_turn(address: str, patience_s: float = 10.0) -> None:
    """Ask by STUN Binding until the server answers (RFC 8489, section 6)."""
    request = struct.pack("!HHI", 0x0001, 0, 0x2112A442) + os.urandom(12)
    end = time.monotonic() + patience_s
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(0.2)
        while time.monotonic() < end:
            with suppress(OSError):
                asker.sendto(request, (address, TURN_PORT))
                if asker.recv(2000)[8:20] == request[8:20]:
                    return
    raise RuntimeError("the TURN server did not start")


# ---------------------------------------------------------------- taking the samples


def measure(bench: Bench, site_id: str, region_code: str, out: Path) -> list[Path]:
    """Run a site's commands towards a Region and keep what the tools print."""
    written = []
    target = bench.plan.regions[region_code][0]
    for suffix, command in bench.plan.commands[site_id].items():
        words = command.format(target=target).split()
        done = bench.run(site_id, words)
        if done.returncode or not done.stdout.strip():
            raise RuntimeError(f"{' '.join(words)} at {site_id}: {done.stderr.strip() or 'no output'}")
        shown = "" if suffix.endswith((".json", ".csv")) else f"$ {' '.join(words)}\n"
        path = out / site_id / f"bench__{region_code}__{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(shown + done.stdout, encoding="utf-8")
        written.append(path)
    return written


def truth_of(plan: Plan) -> dict[str, dict[str, dict[str, float]]]:
    """Write down what was configured."""
    truth: dict[str, dict[str, dict[str, float]]] = {}
    for (site, code), way in plan.ways.items():
        truth.setdefault(site, {})[code] = {
            "rtt_ms": way.rtt_ms,
            "jitter_ms": way.jitter_ms,
            "loss_pct_each_way": way.loss_pct,
            "hop_count": way.hop_count,
        }
    return truth


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all ways of a plan with the tools that it names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("plan", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--site", action="append", help="measure from these sites only")
    parser.add_argument("--region", action="append", help="measure towards these Regions only")
    parser.add_argument("--parallel", type=int, default=4)
    chosen = parser.parse_args(arguments)
    plan = read_plan(chosen.plan)
    wanted = [
        (site, code)
        for site, code in plan.ways
        if (not chosen.site or site in chosen.site) and (not chosen.region or code in chosen.region)
    ]
    with Bench(plan) as bench, ThreadPoolExecutor(chosen.parallel) as pool:
        for paths in pool.map(lambda pair: measure(bench, *pair, chosen.out), wanted):
            for path in paths:
                print(path)
        counts = bench.emulator.counts if bench.emulator else {}
    print(json.dumps({"packets": counts}), file=sys.stderr)
    (chosen.out.parent / "bench-truth.json").write_text(json.dumps(truth_of(plan), indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
