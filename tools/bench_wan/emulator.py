"""The emulated routers, in a process of their own so that nothing a test does can make them late.

Started by the bench with the TUN devices of the sites and of the cloud as inherited descriptors and a socket on which
ways come in; the process ends when the other end of that socket is gone.
"""

from __future__ import annotations

import heapq
import json
import os
import pickle
import random
import select
import socket
import sys
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from bench_wan.packets import (
    PORT_UNREACHABLE,
    PROHIBITED,
    TCP,
    TIME_EXCEEDED,
    TOO_BIG,
    UDP,
    Packet,
    icmp_error,
    parse_packet,
    tcp_reset,
    with_ttl,
)
from bench_wan.plan import Plan, Way

ALLOCATE_REQUEST = 0x0003  # RFC 8656, section 13
ICMP_BURST, POLICER_BURST = 6, 5


@dataclass
class Bucket:
    """A token bucket; full at first."""

    rate_per_s: float
    size: float
    tokens: float = field(init=False)
    last_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.tokens, self.last_s = self.size, time.monotonic()

    def take(self) -> bool:
        """Take a token if there is one."""
        now = time.monotonic()
        self.tokens = min(self.size, self.tokens + (now - self.last_s) * self.rate_per_s)
        self.last_s = now
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True


class Emulator:
    """Move packets between the sites' TUN devices and the cloud's."""

    def __init__(self, plan: Plan, sites: dict[str, int], cloud: int, control: socket.socket) -> None:
        self.sites, self.cloud, self.control = sites, cloud, control
        self.ways = dict(plan.ways)
        self.region_of = {address: code for code, listed in plan.regions.items() for address in listed}
        self.site_of = {site.address: site_id for site_id, site in plan.sites.items()}
        self.random = random.Random(plan.seed)
        self.queue: list[tuple[float, int, int, bytes]] = []
        self.number = 0
        self.buckets: dict[Any, Bucket] = {}
        self.in_burst: dict[tuple[str, str, bool], bool] = {}
        self.counts = dict.fromkeys(("expired", "forwarded", "lost", "blocked", "too_big", "no_way"), 0)

    def run(self) -> None:
        """Work until the other end of the control socket is gone."""
        names = {fd: site for site, fd in self.sites.items()}
        waiting = [*names, self.cloud, self.control.fileno()]
        while True:
            now = time.monotonic()
            while self.queue and self.queue[0][0] <= now:
                _, _, fd, raw = heapq.heappop(self.queue)
                with suppress(OSError):  # the namespace's side may be going down
                    os.write(fd, raw)
            timeout = max(self.queue[0][0] - time.monotonic(), 0.0) if self.queue else None
            ready, _, _ = select.select(waiting, [], [], timeout)
            for fd in ready:
                if fd == self.control.fileno():
                    if not self._told():
                        return
                    continue
                try:
                    packet = parse_packet(os.read(fd, 65535))
                except OSError:  # the device is going down
                    continue
                if packet is None:
                    continue
                if fd == self.cloud:
                    self._from_cloud(packet)
                else:
                    self._from_site(names[fd], packet)

    def _told(self) -> bool:
        """Take one message: a way to use from now on, or a question for the counts."""
        message = self.control.recv(1 << 20)
        if not message:
            return False
        way = pickle.loads(message)  # noqa: S301 - from our own parent
        if way is not None:
            self.ways[way.site_id, way.region_code] = way
        self.control.send(json.dumps(self.counts).encode())
        return True

    def _later(self, delay_ms: float, fd: int, raw: bytes) -> None:
        self.number += 1
        heapq.heappush(self.queue, (time.monotonic() + delay_ms / 1000.0, self.number, fd, raw))

    def _jitter(self, way: Way) -> float:
        return abs(self.random.gauss(0.0, way.jitter_ms)) if way.jitter_ms else 0.0

    def _chance(self, percent: float) -> bool:
        return percent > 0.0 and self.random.random() * 100.0 < percent

    def _allowed(self, key: object, rate_per_s: float, size: float) -> bool:
        if key not in self.buckets:
            self.buckets[key] = Bucket(rate_per_s, size)
        return self.buckets[key].take()

    def _lost(self, way: Way, *, up: bool) -> bool:
        """Draw whether a packet is lost: two states of Gilbert, whose bad one loses everything."""
        percent = way.loss_up_pct if up else way.loss_down_pct
        if way.loss_burst <= 1.0 or not 0.0 < percent < 100.0:
            return self._chance(percent)
        key = way.site_id, way.region_code, up
        leave = 1.0 / way.loss_burst
        enter = leave * percent / (100.0 - percent)
        bad = self.in_burst.get(key, False)
        bad = self.random.random() >= leave if bad else self.random.random() < enter
        self.in_burst[key] = bad
        return bad

    def _from_site(self, site: str, packet: Packet) -> None:
        """Carry a packet towards the cloud, or answer for the router where it stops."""
        code = self.region_of.get(packet.target)
        way = self.ways.get((site, code)) if code else None
        if way is None or way.down:
            self.counts["no_way"] += 1
            return
        port = packet.ports[1]
        action = way.blocked.get((packet.transport, port)) or way.blocked.get((packet.transport, 0))
        if action is None and way.refuse_allocate and packet.stun_type == ALLOCATE_REQUEST:
            action = "drop"
        if action and packet.ttl > way.blocked_at:
            self.counts["blocked"] += 1
            self._refuse(way, packet, action)
        elif packet.ttl <= len(way.routers):
            self._expire(way, packet)
        elif way.mtu is not None and len(packet.raw) > way.mtu:
            self.counts["too_big"] += 1
            if not way.mtu_silent:
                self._answer(way, 1, packet, TOO_BIG)
        elif self._lost(way, up=True) or self._policed(way, packet):
            self.counts["lost"] += 1
        else:
            self._forward(way, self.cloud, with_ttl(packet, packet.ttl - len(way.routers)))

    def _policed(self, way: Way, packet: Packet) -> bool:
        return (
            way.udp_per_s is not None
            and packet.protocol == UDP
            and not self._allowed((way.site_id, way.region_code), way.udp_per_s, POLICER_BURST)
        )

    def _forward(self, way: Way, fd: int, raw: bytes) -> None:
        self.counts["forwarded"] += 1
        held = way.reorder_ms if self._chance(way.reorder_pct) else 0.0
        delay_ms = way.rtt_ms / 2.0 + self._jitter(way) + held
        self._later(delay_ms, fd, raw)
        if self._chance(way.duplicate_pct):
            self._later(delay_ms, fd, raw)

    def _refuse(self, way: Way, packet: Packet, action: str) -> None:
        if action == "prohibit":
            self._answer(way, way.blocked_at, packet, PROHIBITED)
        elif action == "reject" and packet.protocol == TCP:
            reset = tcp_reset(packet, 65 - way.blocked_at)
            if reset is not None:
                delay_ms = way.routers[way.blocked_at - 1].rtt_ms + self._jitter(way)
                self._later(delay_ms, self.sites[way.site_id], reset)
        elif action == "reject":
            self._answer(way, way.blocked_at, packet, PORT_UNREACHABLE)

    def _expire(self, way: Way, packet: Packet) -> None:
        """Answer in the name of the router where a TTL ran out."""
        self.counts["expired"] += 1
        if not way.routers[packet.ttl - 1].silent:
            self._answer(way, packet.ttl, packet, TIME_EXCEEDED)

    def _answer(self, way: Way, number: int, packet: Packet, kind: str) -> None:
        router = way.routers[number - 1]
        if packet.is_icmp_error or self._chance(router.answer_loss_pct):
            return
        limit = router.answers_per_s
        if limit is not None and not self._allowed(router.addresses, limit, ICMP_BURST):
            return
        flow = f"{packet.source}{packet.target}{packet.protocol}{packet.ports}".encode()
        speaker = router.addresses[zlib.crc32(flow) % len(router.addresses)]
        answer = icmp_error(packet, speaker, kind, 65 - number, quote_bytes=router.quote_bytes, mtu=way.mtu or 0)
        if answer is not None:
            self._later(router.rtt_ms + self._jitter(way), self.sites[way.site_id], answer)

    def _from_cloud(self, packet: Packet) -> None:
        """Carry an answer back to the site."""
        site, code = self.site_of.get(packet.target), self.region_of.get(packet.source)
        way = self.ways.get((site, code)) if site and code else None
        if way is None or site is None or way.down:
            self.counts["no_way"] += 1
        elif self._lost(way, up=False):
            self.counts["lost"] += 1
        else:
            self._forward(way, self.sites[site], with_ttl(packet, max(packet.ttl - len(way.routers), 1)))


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    with suppress(OSError):  # on time even where every core is busy
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(5))
    plan, sites, cloud = pickle.loads(control.recv(1 << 20))  # noqa: S301 - from our own parent
    Emulator(plan, sites, cloud, control).run()
