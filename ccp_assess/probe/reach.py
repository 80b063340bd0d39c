"""One round of reaching: names, connections, TLS, WebSockets and relays of all Regions, side by side.

The round takes as long as its longest way: one answer of the resolver, then connect, TLS and first answer, with the
relay's answers beside them. Every wait has an end and so has the whole, so a network that answers nothing ends it, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ccp_assess.probe.https import Route, Service, Tools, ask_portal, reach_service
from ccp_assess.probe.machine import Address, Report, run
from ccp_assess.probe.names import EXISTING_NAME, Turn, ask_server, ask_system, random_relay_name
from ccp_assess.probe.proxies import Proxy, ProxySettings
from ccp_assess.probe.records import (
    NameAnswer,
    PortalFound,
    ProxyFound,
    ReachFound,
    RegionReach,
    RelayFound,
    TcpFound,
)
from ccp_assess.probe.relay import FULL_TRIES_MS, QUICK_TRIES_MS, reach_relay, reach_relay_by_stream
from ccp_assess.probe.systems import open_network
from ccp_assess.probe.talks import Running, Talk, Talks, Turnstile
from ccp_assess.probe.targets import RegionTargets, Target
from ccp_assess.probe.tls import SystemTls, TlsMaker, prepare_tls
from ccp_assess.units import NS_PER_MS, NS_PER_S, ms_from_ns

TLS_PORTS = frozenset({443, 5349})
"""Ports on which a relay over TCP speaks TLS first (RFC 8656, section 3.1; RFC 7065)."""

SILENT_AFTER_MS = 700.0
"""A relay that has not answered by then is asked by TCP, too [ms]."""

AGAIN_TRIES_MS = (0.0, 250.0, 500.0, 750.0)
"""When a silent address is asked again where its neighbours answer [ms]."""

QUESTIONS_AT_ONCE = 48
"""Questions to the resolver under way at a time: those of home routers drop bursts."""


SYSTEM_LATER_MS = 300.0
"""So much later than its server the system's own call may answer before the server's answer is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long a round may take and how often it tries.

    Parameters
    ----------
    give_up_ms
        When what has not answered at all is given up, from the beginning [ms].
    whole_ms
        When the whole ends [ms].
    relay_tries_ms
        When a relay is asked, from the moment its address is known [ms].
    settle
        Whether one answer of a relay is enough.
    connects
        Connects in a row to each TCP service (count).
    addresses
        Addresses tried of each TCP service and IP version (count).
    with_extra
        Whether to connect to what only pictures and metrics come from.
    """

    give_up_ms: float
    whole_ms: float
    relay_tries_ms: tuple[float, ...]
    settle: bool
    connects: int
    addresses: int
    with_extra: bool


QUICK = Pace(
    give_up_ms=2200.0,
    whole_ms=4500.0,
    relay_tries_ms=QUICK_TRIES_MS,
    settle=True,
    connects=1,
    addresses=1,
    with_extra=False,
)
FULL = Pace(
    give_up_ms=5000.0,
    whole_ms=20_000.0,
    relay_tries_ms=FULL_TRIES_MS,
    settle=False,
    connects=3,
    addresses=2,
    with_extra=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What of this computer the round depends on.

    Parameters
    ----------
    resolvers
        DNS servers of the system.
    proxies
        Which proxy is in force.
    ipv6
        Whether this computer has a way to the Internet by IPv6.
    wall_clock_s
        What to add to the network's clock to get seconds since 1970 [s].
    make_tls
        Makes TLS connections.
    """

    resolvers: tuple[Address, ...] = ()
    proxies: ProxySettings = field(default_factory=ProxySettings)
    ipv6: bool = False
    wall_clock_s: float = 0.0
    make_tls: TlsMaker = SystemTls


def reach_machine(regions: Sequence[RegionTargets], pace: Pace, around: Surroundings) -> Talks[ReachFound]:
    """Make the machine of one round.

    Parameters
    ----------
    regions
        What to reach.
    pace
        How long and how often.
    around
        What of this computer it depends on.

    Returns
    -------
    machine
        Its result is a :class:`~ccp_assess.probe.records.ReachFound`.
    """
    return Talks(lambda talks: _Round(talks, regions, pace, around).talk())


def probe_reach(
    regions: Sequence[RegionTargets],
    pace: Pace,
    around: Surroundings,
    on_record: Callable[[dict[str, Any]], None] | None = None,
    *,
    source: str | None = None,
) -> ReachFound:
    """Run one round on the real network.

    Parameters
    ----------
    regions, pace, around
        As of :func:`reach_machine`.
    on_record
        Hears ``{"relays": [...]}`` once their addresses are known, and ``{"reached": RegionReach}`` for each Region.
    source
        Local address to send from; ``None`` leaves it to the system's routes.

    Returns
    -------
    found
        What was found.
    """
    prepare_tls()
    network = open_network(source)
    try:
        clock = replace(around, wall_clock_s=time.time() - network.now_ns() / NS_PER_S)
        machine = reach_machine(regions, pace, clock)
        run([machine], network, deadline_s=pace.whole_ms / 1000.0 + 0.5, on_record=on_record)
    finally:
        network.close()
    return machine.result() or ReachFound(regions=(), complete=False)


@dataclass(slots=True)
class _Names:
    """What was asked for one name, and the addresses found."""

    asked: list[Running[NameAnswer]]
    addresses: tuple[str, ...]


class _Round:
    """One round under way."""

    def __init__(
        self, talks: Talks[ReachFound], regions: Sequence[RegionTargets], pace: Pace, around: Surroundings
    ) -> None:
        self.talks, self.regions, self.pace, self.around = talks, regions, pace, around
        self.began_ns = talks.now_ns
        self.give_up_ns = talks.now_ns + round(pace.give_up_ms * NS_PER_MS)
        self.tools = Tools(
            talks=talks,
            make_tls=around.make_tls,
            connect_end_ns=self.give_up_ns,
            end_ns=talks.now_ns + round(pace.whole_ms * NS_PER_MS),
            wall_clock_s=around.wall_clock_s,
            connects=pace.connects,
        )
        self.names: dict[str, Running[_Names]] = {}
        self.portal: Running[PortalFound] | None = None
        self.turnstile = Turnstile(talks, QUESTIONS_AT_ONCE)

    def talk(self) -> Talk[ReachFound]:
        """Reach everything."""
        for region in self.regions:  # relays and services first, so that their names are asked for first
            for target in sorted(region.targets, key=lambda one: (one.is_extra, one.transport == "tcp")):
                if target.address is None:
                    self._name(target.host, is_extra=target.is_extra)
        running = [
            self.talks.start_talk(
                self._region(region, [self.talks.start_talk(self._reach(target)) for target in region.targets])
            )
            for region in self.regions
        ]
        controls = [self.talks.start_talk(talk) for talk in self._controls()]
        self.talks.start_talk(self._tell_relays())
        reached = yield from self.talks.join(running)
        found = [region for region in reached if region is not None]
        said = yield from self.talks.join(controls)
        portal = None
        if self.portal is not None and any(map(_is_suspicious, (one for region in found for one in region.tcp))):
            (portal,) = yield from self.talks.join([self.portal])
        return ReachFound(
            regions=tuple(found),
            controls=tuple(one for one in said if one is not None),
            portal=portal,
            resolvers=tuple(address for address, _ in self.around.resolvers),
            duration_ms=ms_from_ns(self.talks.now_ns - self.began_ns),
            complete=self.talks.now_ns < self.tools.end_ns,
        )

    def _region(self, region: RegionTargets, running: list[Running[list[TcpFound | RelayFound]]]) -> Talk[RegionReach]:
        """Put together what was found of a Region, and report it at once."""
        results = yield from self.talks.join(running)
        answers = yield from self._answers(region)
        records = [record for rows in results for record in rows or ()]
        relays = yield from self._ask_again([one for one in records if isinstance(one, RelayFound)])
        reached = RegionReach(
            region_code=region.region_code,
            names=answers,
            tcp=tuple(one for one in records if isinstance(one, TcpFound)),
            relays=relays,
            untested=region.untested,
        )
        yield (Report(record={"reached": reached}),), self.talks.now_ns
        return reached

    def _tell_relays(self) -> Talk[None]:
        """Report one relay of each Region as soon as their names are known, so that paths can be traced meanwhile."""
        until_ns = self.talks.after_ms(SYSTEM_LATER_MS * 3)
        rows = []
        for region in self.regions:
            for target in region.targets:
                if target.transport != "udp":
                    continue
                addresses: tuple[str, ...] = (target.address,) if target.address else ()
                if not addresses:
                    named = self._name(target.host)
                    yield from self.talks.wait(named, until_ns)
                    addresses = named.result.addresses if named.result is not None else ()
                if addresses:
                    rows.append(
                        {
                            "region_code": region.region_code,
                            "name": target.host,
                            "address": addresses[0],
                            "port": target.port,
                        }
                    )
                    break
        yield (Report(record={"relays": rows}),), self.talks.now_ns

    def _answers(self, region: RegionTargets) -> Talk[tuple[NameAnswer, ...]]:
        hosts = dict.fromkeys(target.host for target in region.targets if target.address is None)
        named = yield from self.talks.join([self.names[host] for host in hosts if host in self.names])
        asked = [question for one in named if one is not None for question in one.asked]
        return tuple(question.result for question in asked if question.result is not None)

    # ------------------------------------------------------------ names

    def _name(self, host: str, *, is_extra: bool = False) -> Running[_Names]:
        if host not in self.names:
            self.names[host] = self.talks.start_talk(self._ask(host, is_extra=is_extra))
        return self.names[host]

    def _wait_ms(self) -> float:
        return max((self.give_up_ns - self.talks.now_ns) / NS_PER_MS, 1.0)

    def _tries_ms(self) -> tuple[float, float]:
        """Ask at once, and again at a third of the time that there is."""
        return 0.0, max(self._wait_ms() / 3.0, 200.0)

    def _ask(self, host: str, *, is_extra: bool) -> Talk[_Names]:
        if _is_address(host):
            return _Names([], (host,))
        resolver = self.around.resolvers[0] if self.around.resolvers else None
        shown, wait_ms = resolver[0] if resolver else None, self._wait_ms()
        rank = 4 if is_extra else 0
        asking = [
            self.talks.start_talk(
                ask_system(self.talks, host, 4, resolver=shown, give_up_ms=wait_ms, turn=Turn(self.turnstile, rank))
            )
        ]
        kinds: tuple[Literal["A", "AAAA"], ...] = ("A", "AAAA") if self.around.ipv6 or self.pace.with_extra else ("A",)
        if resolver is not None and (self.pace.with_extra or not is_extra):
            for number, kind in enumerate(kinds, 1):
                talk = ask_server(
                    self.talks,
                    resolver,
                    host,
                    kind,
                    tries_ms=self._tries_ms(),
                    give_up_ms=wait_ms,
                    turn=Turn(self.turnstile, rank + number),
                )
                asking.append(self.talks.start_talk(talk))
        system, *others = asking
        answers = yield from self.talks.join(others)
        said = {answer.type: answer for answer in answers if answer is not None}
        if "A" in said and said["A"].answers:
            # The system repeats a lost question after 5 s only: do not wait for it where its server has answered.
            yield from self.talks.wait(system, self.talks.after_ms(SYSTEM_LATER_MS))
        else:
            yield from self.talks.join([system])
        by_system = system.result.answers if system.result is not None else ()
        by_server = said["A"].answers if "A" in said else ()
        by_ipv6 = said["AAAA"].answers if "AAAA" in said and self.around.ipv6 else ()
        return _Names(asking, tuple(dict.fromkeys([*(by_system or by_server), *by_ipv6])))

    def _controls(self) -> list[Talk[NameAnswer]]:
        """Ask for a name that exists and for one of each Region that cannot."""
        if not self.around.resolvers or not any(target.address is None for r in self.regions for target in r.targets):
            return []
        resolver = self.around.resolvers[0]
        codes = [region.region_code for region in self.regions if region.region_code]
        asked: list[tuple[str, Any]] = [(EXISTING_NAME, "exists")]
        asked += [(random_relay_name(code), "random") for code in (codes if self.pace.with_extra else codes[:1])]
        wait_ms = self._wait_ms()
        return [
            ask_server(
                self.talks,
                resolver,
                name,
                tries_ms=self._tries_ms(),
                give_up_ms=wait_ms,
                control=control,
                turn=Turn(self.turnstile, 3),
            )
            for name, control in asked
        ]

    # ------------------------------------------------------------ services and relays

    def _reach(self, target: Target) -> Talk[list[TcpFound | RelayFound]]:
        if target.is_extra and not self.pace.with_extra:
            return []
        addresses: tuple[str, ...] = (target.address,) if target.address else ()
        proxy = self.around.proxies.for_host(target.host) if target.transport == "tcp" else None
        asked = self._by_proxy(target, proxy) if proxy is not None and target.role != "media_relay" else None
        by_proxy = self.talks.start_talk(asked) if asked is not None else None
        if not addresses:
            (named,) = yield from self.talks.join([self._name(target.host)])
            addresses = named.addresses if named is not None else ()
        talks: list[Talk[Any]]
        if target.transport == "udp":
            talks = [self._relay(target, address) for address in addresses]
        elif target.role == "media_relay":
            talks = [self._relay_by_stream(target, address) for address in addresses]
        else:
            talks = [self._service(target, Route(address=address)) for address in self._some(addresses)]
        running = [self.talks.start_talk(talk) for talk in talks]
        found = yield from self.talks.join([*running, *([by_proxy] if by_proxy else [])])
        return [one for several in found for one in (several if isinstance(several, list) else [several]) if one]

    def _ask_again(self, relays: Sequence[RelayFound]) -> Talk[tuple[RelayFound, ...]]:
        """Ask silent addresses once more where others of the Region answer: a burst of loss is no firewall."""
        asked = [one for one in relays if one.transport == "udp"]
        if not any(one.answered for one in asked):
            return tuple(relays)
        again = {
            one: self.talks.start_talk(
                reach_relay(self.tools, one.host, (one.address, one.port), tries_ms=AGAIN_TRIES_MS)
            )
            for one in asked
            if not one.answered and one.icmp is None and one.send_error is None
        }
        yield from self.talks.join(again.values())
        return tuple(_joined(one, again[one].result) if one in again else one for one in relays)

    def _some(self, addresses: Sequence[str]) -> list[str]:
        versions = ([one for one in addresses if ":" not in one], [one for one in addresses if ":" in one])
        return [address for kind in versions for address in kind[: self.pace.addresses]]

    def _relay(self, target: Target, address: str) -> Talk[list[RelayFound]]:
        """Ask a relay by UDP; where it is silent at first, by TCP meanwhile: the control that tells it from dead."""
        remote = (address, target.port)
        by_udp = self.talks.start_talk(
            reach_relay(
                self.tools,
                target.host,
                remote,
                tries_ms=self.pace.relay_tries_ms,
                settle=self.pace.settle,
            )
        )
        controls: list[Running[RelayFound]] = []
        ended = yield from self.talks.wait(by_udp, self.talks.after_ms(SILENT_AFTER_MS))
        if not ended and self.pace.settle:  # the quick form ends with the first answers, so there were none
            controls = [self._by_stream(target, remote, "tcp")]
        (found,) = yield from self.talks.join([by_udp])
        if not controls and found is not None and not found.answered and not (found.send_error or found.icmp):
            controls = [self._by_stream(target, remote, "tcp"), self._by_stream(target, (address, 443), "tls")]
        others = yield from self.talks.join(controls)
        return [one for one in (found, *others) if one is not None]

    def _by_stream(self, target: Target, remote: Address, transport: Literal["tcp", "tls"]) -> Running[RelayFound]:
        return self.talks.start_talk(reach_relay_by_stream(self.tools, target.host, remote, transport=transport))

    def _relay_by_stream(self, target: Target, address: str) -> Talk[RelayFound]:
        transport: Literal["tcp", "tls"] = "tls" if target.port in TLS_PORTS else "tcp"
        remote = (address, target.port)
        return (yield from reach_relay_by_stream(self.tools, target.host, remote, transport=transport))

    def _service(self, target: Target, route: Route) -> Talk[TcpFound]:
        if self.portal is None and route.proxy is None and target.port == 443:
            self.portal = self.talks.start_talk(ask_portal(self.tools, target.host, route.address))
        service = Service(
            host=target.host, port=target.port, role=target.role, websocket=target.role in {"signalling", "api"}
        )
        return (yield from reach_service(self.tools, service, route))

    def _by_proxy(self, target: Target, proxy: Proxy) -> Talk[TcpFound]:
        (named,) = yield from self.talks.join([self._name(proxy.host)])
        if named is None or not named.addresses:
            met = ProxyFound(proxy=proxy.text, source=proxy.source, outcome="unresolved")
            return TcpFound(
                host=target.host, port=target.port, role=target.role, address=None, outcome="unreachable", proxy=met
            )
        return (yield from self._service(target, Route(address=named.addresses[0], proxy=proxy)))


def _joined(first: RelayFound, second: RelayFound | None) -> RelayFound:
    if second is None:
        return first
    return replace(
        second if second.answered else first,
        binding_rtt_ms=first.binding_rtt_ms + second.binding_rtt_ms,
        allocate_rtt_ms=first.allocate_rtt_ms + second.allocate_rtt_ms,
        span_ms=(first.span_ms or 0.0) + (second.span_ms or 0.0),
    )


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


def _is_suspicious(found: TcpFound) -> bool:
    """Whether a direct connection was not genuine, so that a sign-in page may stand behind it."""
    if found.proxy is not None:
        return False
    return found.outcome != "connected" or found.tls is None or found.tls.outcome != "ok" or not found.tls.trusted
