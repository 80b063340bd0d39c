"""A network in virtual time: the same measurements on ways whose truth is known, hours in milliseconds, from a seed.

Nothing here sleeps or opens a socket. A :class:`VirtualNetwork` holds a way to each address (see
:mod:`ccp_assess.probe.virtual_ways`); it computes for each packet where it ends (expired, filtered, lost, too big,
delivered) and puts the answer into a queue ordered by time.
"""

from __future__ import annotations

import heapq
import random
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ccp_assess.probe.machine import (
    Action,
    Address,
    Close,
    Closed,
    Connected,
    ConnectFailed,
    Datagram,
    Event,
    IcmpError,
    Opened,
    OpenIcmp,
    OpenTcp,
    OpenUdp,
    Received,
    Resolve,
    Resolved,
    Send,
    SendFailed,
    Sent,
    Write,
)
from ccp_assess.probe.virtual_ways import (
    Answer,
    Nat,
    Router,
    Rule,
    TcpServer,
    Transport,
    UdpServer,
    Verdict,
    Way,
    stun_server,
)
from ccp_assess.units import NS_PER_MS, NS_PER_S

SYN_AGAIN_S = (1, 3, 7, 15)
"""When a SYN without an answer is sent again (RFC 6298: 1 s, doubled)."""

_IP_BYTES = {4: 20, 6: 40}
_HEADER_BYTES: dict[Transport, int] = {"udp": 8, "tcp": 20, "icmp": 8}
_HELD_UP_NS = 200 * NS_PER_MS
"""What a lost segment costs a TCP connection: one retransmission."""

_REORDERED_MS = 30.0
_INSIDE = {4: "192.0.2.2", 6: "2001:db8::2"}
"""Address of the measuring computer."""

_Fate = Verdict | Literal["expired", "too_big", "lost", "delivered"]

_ICMP: dict[_Fate, tuple[tuple[int, int], tuple[int, int]]] = {
    "expired": ((11, 0), (3, 0)),
    "reject": ((3, 3), (1, 4)),
    "prohibit": ((3, 13), (1, 1)),
    "too_big": ((3, 4), (2, 0)),
}
"""Fate → type and code for IPv4 and for IPv6; a fate that is not here is silent."""


class _Bucket:
    """Token bucket."""

    def __init__(self, per_s: float, burst: int) -> None:
        self.per_s, self.burst, self.tokens, self.at_ns = per_s, float(burst), float(burst), 0

    def takes(self, now_ns: int) -> bool:
        self.tokens = min(self.burst, self.tokens + max(now_ns - self.at_ns, 0) / NS_PER_S * self.per_s)
        self.at_ns = max(now_ns, self.at_ns)
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True


class _Gilbert:
    """Loss in bursts: a chain of two states with the given mean loss and mean burst length (1: independent)."""

    def __init__(self, loss_pct: float, burst_packets: float, draw: random.Random) -> None:
        share = min(loss_pct / 100.0, 1.0)
        self.draw, self.losing = draw, False
        if burst_packets <= 1.0 or share >= 1.0:
            self.begins, self.stays = share, share
        else:
            self.stays = 1.0 - 1.0 / burst_packets
            self.begins = min((1.0 - self.stays) * share / (1.0 - share), 1.0)

    def loses(self) -> bool:
        self.losing = self.draw.random() < (self.stays if self.losing else self.begins)
        return self.losing


@dataclass(slots=True)
class _Flow:
    family: int
    transport: Transport
    remote: Address | None
    port: int
    server: TcpServer | None = None
    open: bool = True


@dataclass(slots=True)
class _Mapping:
    port: int
    used_ns: int
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Packet:
    """What of a packet decides its fate, and whom its answer goes to."""

    owner: int
    flow: int
    token: int | None
    transport: Transport
    family: int
    to: Address
    data: bytes
    ttl: int
    source_port: int

    @property
    def size(self) -> int:
        return _IP_BYTES[self.family] + _HEADER_BYTES[self.transport] + len(self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """Where a packet ends: how, at which router (``None``: at the far end or unknown), the TTL that takes it there."""

    fate: _Fate
    router: Router | None = None
    place: int = 0


@dataclass(slots=True, kw_only=True)
class VirtualNetwork:
    """A network in virtual time.

    Parameters
    ----------
    ways
        Address → the way to it. An address without a way is unreachable (no route).
    udp
        (address, port) → who answers there. Port 3478 of every address is a ``stun_server`` unless said otherwise.
    tcp
        (address, port) → makes the far end of a connection. Other ports refuse.
    names
        What the system's resolver knows, by name in lower case.
    nat
        In front of this computer.
    seed
        Of all that is random.
    kernel_stamps
        Whether stamps are the kernel's.
    pauses_s
        (from, for): this computer's program sleeps so long [s]; what arrives meanwhile is kept with true stamps.
    """

    ways: Mapping[str, Way]
    udp: Mapping[Address, UdpServer] = field(default_factory=dict)
    tcp: Mapping[Address, Callable[[], TcpServer]] = field(default_factory=dict)
    names: Mapping[str, Answer] = field(default_factory=dict)
    nat: Nat | None = None
    seed: int = 0
    kernel_stamps: bool = True
    pauses_s: Sequence[tuple[float, float]] = ()
    sent: int = 0
    _now_ns: int = NS_PER_S
    _draw: random.Random = field(default_factory=random.Random)
    _queue: list[tuple[int, int, int, Event | Callable[[], None]]] = field(default_factory=list)
    _count: int = 0
    _flows: dict[tuple[int, int], _Flow] = field(default_factory=dict)
    _buckets: dict[object, _Bucket] = field(default_factory=dict)
    _losses: dict[tuple[str, bool], _Gilbert] = field(default_factory=dict)
    _mappings: dict[object, _Mapping] = field(default_factory=dict)
    _next_port: int = 20_000

    def __post_init__(self) -> None:
        """Seed what is random."""
        self._draw.seed(self.seed)

    # ------------------------------------------------------------ what the contract asks for

    def now_ns(self) -> int:
        """Read the virtual clock; it starts at one second."""
        return self._now_ns

    def close(self) -> None:
        """Forget all flows."""
        self._flows.clear()
        self._queue.clear()

    def wait(self, until_ns: int) -> Sequence[tuple[int, Event]]:
        """Let time pass to the next events, or to ``until_ns``; what happens at one instant is heard together."""
        heard: list[tuple[int, Event]] = []
        while self._queue and self._queue[0][0] <= (self._now_ns if heard else max(until_ns, self._now_ns)):
            at_ns, _, owner, what = heapq.heappop(self._queue)
            if at_ns > self._now_ns:
                self._pass_time(at_ns)
            if callable(what):
                what()
            elif not hasattr(what, "flow") or (owner, what.flow) in self._flows:
                heard.append((owner, what))
        if not heard:
            self._pass_time(until_ns)
        return heard

    def perform(self, owner: int, action: Action) -> None:
        """Carry out one action."""
        match action:
            case Send():
                self._send(owner, action)
            case OpenUdp():
                made = self._open(owner, action.flow, action.family, "udp", action.remote)
                local = (_INSIDE[made.family], made.port)
                self._later(self._now_ns, owner, Opened(flow=action.flow, local=local, time_ns=self._now_ns))
            case OpenIcmp():
                self._open(owner, action.flow, action.family, "icmp", None)
            case OpenTcp():
                self._connect(owner, action)
            case Write():
                self._write(owner, action)
            case Close():
                self._flows.pop((owner, action.flow), None)
            case Resolve():
                self._resolve(owner, action)

    # ------------------------------------------------------------ time and chance

    def _pass_time(self, until_ns: int) -> None:
        until_ns = max(until_ns, self._now_ns)
        for begins_s, lasts_s in self.pauses_s:
            begins_ns = NS_PER_S + round(begins_s * NS_PER_S)
            ends_ns = begins_ns + round(lasts_s * NS_PER_S)
            if begins_ns <= until_ns < ends_ns:
                until_ns = ends_ns
        self._now_ns = until_ns

    def _later(self, at_ns: int, owner: int, what: Event | Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._queue, (at_ns, self._count, owner, what))

    def _after_ns(self, delay_ms: float, way: Way) -> int:
        jitter_ms = abs(self._draw.gauss(0.0, way.jitter_ms)) if way.jitter_ms else 0.0
        return self._now_ns + round((delay_ms + jitter_ms) * NS_PER_MS)

    def _chance(self, percent: float) -> bool:
        return percent > 0.0 and self._draw.random() * 100.0 < percent

    def _lost(self, address: str, way: Way, *, out: bool) -> bool:
        share = way.loss_out_pct if out else way.loss_in_pct
        if not share:
            return False
        return self._losses.setdefault((address, out), _Gilbert(share, way.burst_packets, self._draw)).loses()

    # ------------------------------------------------------------ a packet's fate

    def _end_of(self, way: Way, packet: _Packet) -> _End:
        routers = way.branches[0]
        if len(way.branches) > 1:
            identity = f"{packet.transport}{packet.source_port}{packet.to}".encode()
            routers = way.branches[zlib.crc32(identity) % len(way.branches)]
        reached = min(packet.ttl, len(routers) + 1)
        if reached > way.loss_at:
            if self._lost(packet.to[0], way, out=True):
                return _End(fate="lost")
            if packet.transport == "udp" and way.udp_per_s is not None:
                key = (packet.to, packet.source_port)
                if not self._buckets.setdefault(key, _Bucket(way.udp_per_s, way.udp_burst)).takes(self._now_ns):
                    return _End(fate="lost")
        stops: list[tuple[int, _Fate]] = [
            (rule.at, rule.verdict) for rule in way.rules if rule.at < reached and _matches(rule, packet)
        ]
        if way.mtu is not None and packet.size > way.mtu and way.mtu_at < reached:
            stops.append((way.mtu_at, "too_big" if way.mtu_told else "drop"))
        if stops:
            place, fate = min(stops, key=lambda stop: stop[0])
            return _End(fate=fate, router=routers[place - 1] if 0 < place <= len(routers) else None, place=place)
        if packet.ttl <= len(routers):
            return _End(fate="expired", router=routers[packet.ttl - 1], place=packet.ttl)
        return _End(fate="lost" if way.dead else "delivered", place=len(routers) + 1)

    def _report(self, way: Way, packet: _Packet, end: _End) -> int | None:
        """Let a router, or the far end, send an ICMP error; return when it arrives."""
        router = end.router
        if router is not None:
            if router.silent or self._chance(router.answer_loss_pct):
                return None
            if router.answers_per_s is not None:
                bucket = self._buckets.setdefault(router.address, _Bucket(router.answers_per_s, router.answers_burst))
                if not bucket.takes(self._now_ns + round(router.rtt_ms / 2 * NS_PER_MS)):
                    return None
        if end.place > way.loss_at and self._lost(packet.to[0], way, out=False):
            return None
        number, code = _ICMP[end.fate][0 if packet.family == 4 else 1]
        at_ns = self._after_ns(router.rtt_ms + router.slow_ms if router else way.rtt_ms, way)
        event = IcmpError(
            flow=packet.flow,
            router=router.address if router else packet.to[0],
            type=number,
            code=code,
            time_ns=at_ns,
            by_kernel=self.kernel_stamps,
            to=packet.to,
            data=packet.data[: router.quote_bytes if router else 548],
            token=packet.token,
            mtu=way.mtu if end.fate == "too_big" else None,
            ttl=max(256 - end.place, 1) if router else max(way.initial_ttl + 1 - end.place, 1),
        )
        self._later(at_ns, packet.owner, event)
        return at_ns

    # ------------------------------------------------------------ datagrams

    def _open(self, owner: int, flow: int, family: int, transport: Transport, remote: Address | None) -> _Flow:
        self._next_port += 1
        made = _Flow(family, transport, remote, self._next_port)
        self._flows[owner, flow] = made
        return made

    def _send(self, owner: int, action: Send) -> None:
        flow = self._flows.get((owner, action.flow))
        to = action.to or (flow.remote if flow else None)
        if flow is None or to is None:
            return
        packet = _Packet(
            owner=owner,
            flow=action.flow,
            # A quoted echo request always shows its sequence number: it is in the first eight bytes.
            token=action.token & 0xFFFF if flow.transport == "icmp" else None,
            transport=flow.transport,
            family=flow.family,
            to=to,
            data=action.data,
            ttl=action.ttl or 64,
            source_port=flow.port,
        )
        way, now_ns = self.ways.get(to[0]), self._now_ns
        if way is None or _refused_locally(way, packet):
            error = "ENETUNREACH" if way is None else "EPERM"
            failed = SendFailed(flow=action.flow, token=action.token, time_ns=now_ns, error=error)
            self._later(now_ns, owner, failed)
            return
        self.sent += 1
        for by_kernel in (False, True) if self.kernel_stamps else (False,):
            sent = Sent(flow=action.flow, token=action.token, time_ns=now_ns, by_kernel=by_kernel)
            self._later(now_ns, owner, sent)
        end = self._end_of(way, packet)
        if end.fate == "delivered":
            self._deliver(flow, way, packet, end)
        elif end.fate in _ICMP:
            self._report(way, packet, end)

    def _mapped(self, packet: _Packet) -> _Mapping | None:
        """Find or make the NAT's mapping of a flow."""
        nat, now_ns = self.nat, self._now_ns
        if nat is None or packet.transport != "udp":
            return None
        key = (packet.owner, packet.flow, packet.source_port, packet.to if nat.symmetric else None)
        epoch = sum(NS_PER_S + round(at_s * NS_PER_S) <= now_ns for at_s in nat.rebinds_at_s)
        kept = self._mappings.get(key)
        idle = kept is not None and nat.idle_s is not None and now_ns - kept.used_ns > nat.idle_s * NS_PER_S
        if kept is None or idle or kept.epoch != epoch:
            self._next_port += 1
            kept = _Mapping(packet.source_port if nat.preserves_port else self._next_port + 20_000, now_ns, epoch)
            self._mappings[key] = kept
        kept.used_ns = now_ns
        return kept

    def _deliver(self, flow: _Flow, way: Way, packet: _Packet, end: _End) -> None:
        back = end.place - 1 if way.return_hops is None else way.return_hops
        ttl = max(way.initial_ttl - back, 1)
        if flow.transport == "icmp":
            self._arrive(way, packet, packet.data, 0.0, ttl)
            return
        server = self.udp.get(packet.to) or (stun_server if packet.to[1] == 3478 else None)
        mapping = self._mapped(packet)
        if server is None:
            self._report(way, packet, _End(fate="reject", place=end.place))
            return
        source = (self.nat.address, mapping.port) if self.nat and mapping else (_INSIDE[flow.family], flow.port)
        for delay_ms, data in server(packet.data, source):
            if self.nat is not None and self.nat.idle_s is not None and mapping is not None:
                if delay_ms + way.rtt_ms > self.nat.idle_s * 1000.0:
                    continue
                mapping.used_ns = self._now_ns + round((delay_ms + way.rtt_ms) * NS_PER_MS)
            self._arrive(way, packet, data, delay_ms, ttl)

    def _arrive(self, way: Way, packet: _Packet, data: bytes, delay_ms: float, ttl: int) -> None:
        if self._lost(packet.to[0], way, out=False):
            return
        for _ in range(2 if self._chance(way.duplicate_pct) else 1):
            late_ms = _REORDERED_MS if self._chance(way.reorder_pct) else 0.0
            at_ns = self._after_ns(way.rtt_ms + delay_ms + late_ms, way)
            event = Datagram(
                flow=packet.flow,
                data=data,
                source=packet.to,
                time_ns=at_ns,
                by_kernel=self.kernel_stamps,
                token=packet.token,
                ttl=ttl,
                traffic_class=0,
            )
            self._later(at_ns, packet.owner, event)

    # ------------------------------------------------------------ TCP and names

    def _connect(self, owner: int, action: OpenTcp) -> None:
        family = 6 if ":" in action.remote[0] else 4
        flow = self._open(owner, action.flow, family, "tcp", action.remote)
        way, now_ns = self.ways.get(action.remote[0]), self._now_ns
        packet = _Packet(
            owner=owner,
            flow=action.flow,
            token=None,
            transport="tcp",
            family=family,
            to=action.remote,
            data=b"",
            ttl=action.ttl or 64,
            source_port=flow.port,
        )
        if way is None or _refused_locally(way, packet):
            error = "ENETUNREACH" if way is None else "EPERM"
            self._later(now_ns, owner, ConnectFailed(flow=action.flow, time_ns=now_ns, error=error))
        else:
            self._syn(flow, way, packet, 0)

    def _syn(self, flow: _Flow, way: Way, packet: _Packet, tries: int) -> None:
        if self._flows.get((packet.owner, packet.flow)) is not flow:
            return  # closed meanwhile
        self.sent += 1
        end, now_ns = self._end_of(way, packet), self._now_ns
        if tries == 0:
            self._later(now_ns, packet.owner, Sent(flow=packet.flow, token=0, time_ns=now_ns))
        error, at_ns = None, None
        if end.fate == "delivered" and not self._lost(packet.to[0], way, out=False):
            at_ns = self._after_ns(way.rtt_ms, way)
            make = self.tcp.get(packet.to)
            if make is not None:
                flow.server = make()
                self._later(at_ns, packet.owner, Connected(flow=packet.flow, time_ns=at_ns, rtt_ns=at_ns - now_ns))
                self._answer_tcp(packet.owner, packet.flow, flow, at_ns, flow.server.connected())
                return
            error = "ECONNREFUSED"
        elif end.fate == "reset":
            at_ns, error = self._after_ns(end.router.rtt_ms if end.router else way.rtt_ms, way), "ECONNREFUSED"
        elif end.fate in _ICMP:
            at_ns, error = self._report(way, packet, end), "ECONNREFUSED" if end.fate == "reject" else "EHOSTUNREACH"
        if at_ns is not None and error is not None:
            self._later(at_ns, packet.owner, ConnectFailed(flow=packet.flow, time_ns=at_ns, error=error))
        elif tries < len(SYN_AGAIN_S):
            wait_s = SYN_AGAIN_S[tries] - (SYN_AGAIN_S[tries - 1] if tries else 0)
            self._later(now_ns + wait_s * NS_PER_S, packet.owner, lambda: self._syn(flow, way, packet, tries + 1))

    def _write(self, owner: int, action: Write) -> None:
        flow = self._flows.get((owner, action.flow))
        if flow is None or flow.server is None or flow.remote is None or not flow.open:
            return
        way = self.ways[flow.remote[0]]
        packet = _Packet(
            owner=owner,
            flow=action.flow,
            token=None,
            transport="tcp",
            family=flow.family,
            to=flow.remote,
            data=action.data,
            ttl=64,
            source_port=flow.port,
        )
        # In a black hole for full segments a connection hangs; what its sender does about it takes longer than we wait.
        hangs = way.mtu is not None and not way.mtu_told and packet.size + 12 > way.mtu
        if hangs or any(rule.matches and _matches(rule, packet) for rule in way.rules):
            return
        at_ns = self._after_ns(way.rtt_ms, way) + (_HELD_UP_NS if self._lost(flow.remote[0], way, out=True) else 0)
        self._answer_tcp(owner, action.flow, flow, at_ns, flow.server.received(action.data))

    def _answer_tcp(self, owner: int, number: int, flow: _Flow, at_ns: int, answers: Iterable[bytes | None]) -> None:
        if flow.remote is None:
            return
        way = self.ways[flow.remote[0]]
        for data in answers:
            if data is None:
                flow.open = False
                self._later(at_ns, owner, Closed(flow=number, time_ns=at_ns))
                return
            if data:
                at_ns += _HELD_UP_NS if self._lost(flow.remote[0], way, out=False) else 0
                self._later(at_ns, owner, Received(flow=number, data=data, time_ns=at_ns))

    def _resolve(self, owner: int, action: Resolve) -> None:
        answer = self.names.get(action.name.lower(), Answer(error="EAI_NONAME"))
        if answer.delay_ms is None:
            return
        wanted = tuple(text for text in answer.addresses if (":" in text) == (action.family == 6))
        at_ns = self._now_ns + round(answer.delay_ms * NS_PER_MS)
        error = answer.error or (None if wanted else "EAI_NODATA")
        self._later(at_ns, owner, Resolved(token=action.token, addresses=wanted, time_ns=at_ns, error=error))


def _matches(rule: Rule, packet: _Packet) -> bool:
    return (
        rule.transport == packet.transport
        and (rule.port is None or rule.port == packet.to[1])
        and (rule.matches is None or rule.matches(packet.data))
    )


def _refused_locally(way: Way, packet: _Packet) -> bool:
    return any(rule.verdict == "refuse_locally" and _matches(rule, packet) for rule in way.rules)
