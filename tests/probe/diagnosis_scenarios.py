"""Scenarios over the whole list of diagnoses: what is true, and what must be said, drawn from a seed."""

from __future__ import annotations

from dataclasses import replace

from virtual_world import CORPORATE, DAY_S, FULL, PORTAL, World

from ccp_assess.probe.diagnosis import diagnose
from ccp_assess.probe.machine import run
from ccp_assess.probe.mtu import MtuProbe
from ccp_assess.probe.nat import NatProbe
from ccp_assess.probe.one_flow import OneFlow
from ccp_assess.probe.reach import reach_machine
from ccp_assess.probe.records import ReachFound, WayFound, WorkstationFound
from ccp_assess.probe.sweep import Sweep
from ccp_assess.probe.traced import Target
from ccp_assess.probe.train import Trains
from ccp_assess.probe.verdicts_reach import ReachView, judge_tcp, judge_udp
from ccp_assess.probe.verdicts_way import WayView
from ccp_assess.probe.virtual_ways import Nat, Router, Rule
from ccp_assess.ranges import read_ranges

# ---------------------------------------------------------------- measuring a world


def reach(world: World, network) -> ReachFound:
    """Reach everything, by the machine that runs on real networks."""
    machine = reach_machine(world.targets, world.pace, world.surroundings())
    (found,) = run([machine], network, deadline_s=world.pace.whole_ms / 1000 + 0.5)
    network.close()
    return found


def trace(network, targets, technique, rounds):
    """Trace paths as the prober does: a sweep, then one flow."""
    sweep = Sweep(targets, technique=technique, rounds=rounds)
    (paths,) = run([sweep], network, deadline_s=2.5 * rounds)
    network.close()
    if technique == "udp":
        (again,) = run([OneFlow(paths, short_quotes=sweep.short_quotes)], network, deadline_s=2.5)
        network.close()
        paths = sweep.merge(again)
    return paths


def ways_of(world: World, network, found: ReachFound) -> dict:
    """Measure what the scenario asks for, as a full round does."""
    relays = {region.region_code: region.relays[0] for region in found.regions if region.relays}
    targets = {code: Target(address=one.address, name=code, egress="192.0.2.2") for code, one in relays.items()}
    parts = {code: {} for code in world.codes}
    rounds = 3 if world.pace is FULL else 1
    if "paths" in world.measures:
        for (code, _), path in zip(targets.items(), trace(network, list(targets.values()), "udp", rounds), strict=True):
            parts[code]["udp"] = path
        services = {
            region.region_code: Target(address=one.address, port=one.port, name="", egress="192.0.2.2")
            for region in found.regions
            for one in region.tcp[:1]
            if one.outcome == "connected" and one.address
        }
        for code, path in zip(services, trace(network, list(services.values()), "tcp", rounds), strict=True):
            parts[code]["tcp"] = path
    if "trains" in world.measures:
        machine = Trains(list(targets.values()), seconds=world.seconds)
        (trains,) = run([machine], network, deadline_s=world.seconds + 10)
        network.close()
        for code, train in zip(targets, trains, strict=True):
            parts[code]["train"] = None if train is None else train.to_document()
    if "mtu" in world.measures:
        (sizes,) = run([MtuProbe(list(targets.values()))], network, deadline_s=20)
        network.close()
        for code, size in zip(targets, sizes, strict=True):
            parts[code]["mtu"] = size.to_document()
    if "nat" in world.measures:
        (facts,) = run([NatProbe(list(targets.values()), idle_s=(5, 10, 15, 20, 30, 45, 60))], network, deadline_s=90)
        network.close()
        for code in targets:
            parts[code]["nat"] = facts.to_document()
    return {code: WayFound(**part) for code, part in parts.items()}


def diagnosed(world: World):
    """Measure a world and judge it."""
    network = world.build()
    found = reach(world, network)
    ways = ways_of(world, network, found) if world.measures else {}
    view = ReachView(reach=found, ranges=read_ranges(), ways=ways, now_s=world.own_time_s())
    said = diagnose(view, WayView(ways=ways, reach=found, workstation=world.workstation))
    return found, said


# ---------------------------------------------------------------- the scenarios

CLEAN = frozenset()
MEDIA_PORT, HTTPS = 3478, 443


def perfect(world):
    world.measures = frozenset(world.draw.choice([(), ("paths",), ("paths", "mtu")]))
    world.pace = world.draw.choice([world.pace, FULL])
    return CLEAN, ("open", "open")


def perfect_with_everything(world):
    world.measures, world.pace = frozenset({"paths", "trains", "mtu", "nat"}), FULL
    world.nat = Nat(idle_s=300.0)
    return CLEAN, ("open", "open")


def perfect_though_refused_by_the_service(world):
    world.websocket = "refuse"
    return CLEAN, ("open", "open")


def perfect_by_proxy(world):
    world.proxy = "open"
    return CLEAN, ("open", "open")


def no_network(world):
    world.no_route = True
    return {"LOCAL_NO_NETWORK"}, ("blocked", "blocked")


def local_firewall(world):
    world.rules_of_relay = [Rule(transport="udp", verdict="refuse_locally", port=MEDIA_PORT)]
    return {"LOCAL_FIREWALL"}, ("blocked", "open")


def local_firewall_for_tcp(world):
    world.rules = [Rule(transport="tcp", verdict="refuse_locally", port=HTTPS)]
    return {"LOCAL_FIREWALL"}, ("open", "blocked")


def dns_blocked(world):
    world.names = {"turnnlb": world.draw.choice(["NXDOMAIN", "REFUSED", "SERVFAIL", "NOERROR"])}
    return {"DNS_BLOCKED"}, ("unknown", "open")


def dns_blocked_for_services(world):
    world.names = {"participant": world.draw.choice(["NXDOMAIN", "REFUSED", "SERVFAIL"])}
    return {"DNS_BLOCKED"}, ("open", "unknown")


def dns_silent(world):
    world.dns_silent = True
    return {"DNS_TIMEOUT"}, ("unknown", "unknown")


def dns_forged(world):
    world.names = {"turnnlb": world.draw.choice(["10.9.8.7", "0.0.0.0", "127.0.0.1", "198.51.100.9", "93.184.216.34"])}  # noqa: S104
    return {"DNS_FORGED"}, ("blocked", "open")


def dns_answers_everything(world):
    world.answers_all = "146.112.61.104"
    return {"DNS_FORGED"}, None


def tcp_refused(world):
    place = world.draw.randint(1, 3)
    world.rules = [Rule(transport="tcp", verdict="reset", port=HTTPS, at=place)]
    world.pace = world.draw.choice([world.pace, FULL])
    return {"TCP_REFUSED"}, ("open", "blocked")


def tcp_rejected(world):
    world.rules = [
        Rule(
            transport="tcp", verdict=world.draw.choice(["reject", "prohibit"]), port=HTTPS, at=world.draw.randint(1, 4)
        )
    ]
    return {"TCP_REFUSED"}, ("open", "blocked")


def tcp_filtered(world):
    world.rules = [Rule(transport="tcp", verdict="drop", port=HTTPS, at=world.draw.randint(1, 4))]
    world.pace = world.draw.choice([world.pace, FULL])
    return {"TCP_FILTERED"}, ("open", "blocked")


def tls_intercepted(world):
    world.issuer, world.trusted = CORPORATE, True
    world.websocket = world.draw.choice(["upgrade", "refuse"])
    return {"TLS_INTERCEPTED"}, ("open", "open")


def tls_intercepted_without_trust(world):
    world.issuer, world.trusted = CORPORATE, False
    return {"TLS_INTERCEPTED"}, ("open", "blocked")


def tls_inspection_strips_the_upgrade(world):
    world.issuer, world.trusted, world.websocket = CORPORATE, True, "strip"
    return {"TLS_INTERCEPTED", "PROXY_WS_BROKEN"}, ("open", "impaired")


def tls_failed(world):
    world.tls = world.draw.choice(["broken", "closed", "silent"])
    return {"TLS_FAILED"}, ("open", "blocked")


def proxy_wants_sign_in(world):
    world.proxy = "sign_in"
    if world.draw.random() < 0.5:
        world.rules = [Rule(transport="tcp", verdict="drop", port=HTTPS)]
    return {"PROXY_AUTH_REQUIRED"}, ("open", "unknown")


def proxy_denies(world):
    world.proxy = "deny"
    return {"PROXY_DENIED"}, ("open", "blocked")


def proxy_unreachable(world):
    world.proxy = world.draw.choice(["refuse", "silent", "silent_host", "garbage"])
    return {"PROXY_UNREACHABLE"}, ("open", "blocked")


def proxy_breaks_websocket(world):
    world.proxy = world.draw.choice(["strip", "close", "mute"])
    return {"PROXY_WS_BROKEN"}, ("open", "impaired")


def udp_blocked(world):
    world.rules_of_relay = [Rule(transport="udp", verdict="drop", port=MEDIA_PORT, at=world.draw.randint(1, 4))]
    world.pace = world.draw.choice([world.pace, FULL])
    world.measures = frozenset(world.draw.choice([(), ("paths",)]))
    return {"UDP_BLOCKED"}, ("blocked", "open")


def udp_blocked_but_proxy(world):
    world.proxy = "open"
    world.rules = [
        Rule(transport="udp", verdict="drop", port=MEDIA_PORT),
        Rule(transport="tcp", verdict="drop", port=HTTPS),
    ]
    return {"UDP_BLOCKED"}, ("blocked", "open")


def udp_blocked_while_the_relay_answers_by_tcp(world):
    world.relay_by_tcp = True
    world.rules_of_relay = [Rule(transport="udp", verdict="drop", port=MEDIA_PORT)]
    world.rules = [Rule(transport="tcp", verdict="drop", port=HTTPS)]
    return {"UDP_BLOCKED", "TCP_FILTERED"}, ("blocked", "blocked")


def udp_prohibited(world):
    world.rules_of_relay = [Rule(transport="udp", verdict="prohibit", port=MEDIA_PORT, at=world.draw.randint(1, 5))]
    return {"UDP_PROHIBITED"}, ("blocked", "open")


def udp_rejected(world):
    world.rules_of_relay = [Rule(transport="udp", verdict="reject", port=MEDIA_PORT, at=world.draw.randint(1, 5))]
    return {"UDP_REJECTED"}, ("blocked", "open")


def udp_one_way(world):
    world.measures, world.pace = frozenset({"paths"}), world.draw.choice([world.pace, FULL])
    world.turn = "answers_lost"
    return {"UDP_ONE_WAY"}, ("blocked", "open")


def udp_partly_blocked(world):
    """Somebody allowed single addresses instead of names."""
    world.closed_addresses = world.draw.randint(1, 2)
    return {"UDP_PARTLY_BLOCKED"}, ("impaired", "open")


def turn_refused(world):
    world.turn = world.draw.choice(["silent", "forbid"])
    return {"TURN_REFUSED"}, ("blocked", "open")


def everything_dropped(world):
    world.rules = [Rule(transport="udp", verdict="drop"), Rule(transport="tcp", verdict="drop")]
    return {"NO_ANSWER_UNEXPLAINED"}, ("blocked", "blocked")


def tunnel_device_of_a_container(world):
    world.measures = frozenset({"paths"})
    world.workstation = WorkstationFound(interface="tun0", is_tunnel=True, has_underlay=False)
    return CLEAN, ("open", "open")


def everything_dropped_behind_the_gateway(world):
    world.rules = [Rule(transport="udp", verdict="drop"), Rule(transport="tcp", verdict="drop")]
    world.measures = frozenset({"paths"})
    return {"UDP_BLOCKED", "TCP_FILTERED"}, ("blocked", "blocked")


def captive_portal(world):
    world.portal, world.issuer, world.trusted = True, CORPORATE, False
    world.websocket = "strip"
    if world.draw.random() < 0.5:
        world.rules = [Rule(transport="udp", verdict="drop"), Rule(transport="tcp", verdict="reset", port=HTTPS)]
    return {"CAPTIVE_PORTAL"}, None


def clock_wrong(world):
    world.clock_s = world.draw.choice([-1, 1]) * world.draw.choice([12.0, 90.0, 4000.0, 3 * DAY_S])
    return {"CLOCK_WRONG"}, ("open", "open")


def clock_wrong_by_years(world):
    world.clock_s = world.draw.choice([-1, 1]) * world.draw.uniform(100, 900) * DAY_S
    return {"CLOCK_WRONG"}, ("open", "blocked")


def lossy(world):
    world.measures, world.seconds = frozenset({"trains"}), 10.0
    world.way = {"loss_out_pct": world.draw.uniform(3.0, 8.0)}
    world.way_of_relay = {"burst_packets": world.draw.choice([1.0, 2.0])}  # bursts of packets 20 ms apart
    return {"LOSS"}, None


def rate_limited(world):
    world.measures, world.seconds = frozenset({"trains"}), 8.0
    world.way = {"udp_per_s": world.draw.uniform(20.0, 38.0), "udp_burst": 12}
    return {"RATE_LIMITED"}, ("open", "open")


def jittery(world):
    world.measures = frozenset({"trains"})
    world.way = {"jitter_ms": world.draw.uniform(70.0, 90.0)}
    return {"JITTER"}, ("open", "open")


def self_inflicted(world):
    world.measures = frozenset({"trains"})
    world.pauses_s = tuple((2.0 + 0.4 * number, 0.08) for number in range(30))
    return {"SELF_INFLICTED"}, None


def lossy_wireless(world):
    world.measures, world.seconds = frozenset({"trains", "paths"}), 10.0
    world.way = {"loss_out_pct": world.draw.uniform(4.0, 8.0)}
    world.workstation = WorkstationFound(interface="wlan0", is_wireless=True, signal_dbm=-81.0, is_tunnel=False)
    return {"LOSS", "WIFI_LOSSY"}, None


def strong_wireless(world):
    world.measures = frozenset({"trains", "paths"})
    world.workstation = WorkstationFound(interface="wlan0", is_wireless=True, signal_dbm=-52.0, is_tunnel=False)
    return CLEAN, ("open", "open")


def vpn(world):
    world.measures = frozenset({"paths"})
    world.workstation = WorkstationFound(interface="tun0", is_wireless=False, is_tunnel=True, has_underlay=True)
    return {"VPN_IN_THE_WAY"}, ("open", "open")


def detour(world):
    many, took = world.draw.randint(4, 7), world.draw.uniform(20.0, 120.0)
    world.first = tuple(Router(address=f"10.4.{ttl}.1", rtt_ms=took * ttl / many) for ttl in range(1, many + 1))
    world.measures = frozenset({"paths"})
    world.hops = {code: hops + many for code, hops in world.hops.items()}
    return {"DETOUR"}, ("open", "open")


def far_gateway(world):
    """All traffic in a tunnel to another site."""
    world.first = (Router(address="10.4.1.1", rtt_ms=world.draw.uniform(60.0, 300.0)),)
    world.measures = frozenset({"paths"})
    return {"DETOUR"}, ("open", "open")


def mobile_network(world):
    """A near gateway and a carrier's private addresses far behind it are no detour."""
    far = world.draw.uniform(35.0, 60.0)
    world.first = (
        Router(address="192.168.1.1", rtt_ms=2.0),
        Router(address="10.64.0.1", rtt_ms=far),
        Router(address="10.64.0.9", rtt_ms=far + 1.0),
    )
    world.measures = frozenset({"paths"})
    return CLEAN, ("open", "open")


def campus(world):
    """Many private hops that take no time are a large site, not a detour."""
    many = world.draw.randint(3, 6)
    world.first = tuple(Router(address=f"10.4.{ttl}.1", rtt_ms=0.3 * ttl) for ttl in range(1, many + 1))
    world.measures = frozenset({"paths"})
    world.hops = {code: hops + many for code, hops in world.hops.items()}
    return CLEAN, ("open", "open")


def seldom_answering_router(world):
    def limited(router):
        return replace(router, answers_per_s=0.2, answers_burst=1) if router.address.endswith(".3.1") else router

    world.change_router, world.measures, world.pace = limited, frozenset({"paths"}), FULL
    return {"HOP_ARTEFACT"}, ("open", "open")


def silent_routers(world):
    def silent(router):
        return replace(router, silent=True) if router.address.endswith((".2.1", ".4.1")) else router

    world.change_router, world.measures = silent, frozenset({"paths"})
    return CLEAN, ("open", "open")


def asymmetric(world):
    world.way = {"return_hops": 22}
    world.measures = frozenset({"paths"})
    return {"ASYMMETRIC"}, ("open", "open")


def black_hole(world):
    world.way = {"mtu": world.draw.choice([1280, 1380, 1400, 1420]), "mtu_told": False, "mtu_at": 2}
    world.measures = frozenset({"mtu"})
    return {"PMTU_BLACKHOLE"}, ("open", "open")


def small_packets_told(world):
    world.way = {"mtu": 1400, "mtu_told": True, "mtu_at": 2}
    world.measures = frozenset({"mtu"})
    return CLEAN, ("open", "open")


def symmetric_nat(world):
    world.nat, world.measures = Nat(symmetric=True), frozenset({"nat"})
    return {"NAT_SYMMETRIC"}, ("open", "open")


def forgetful_nat(world):
    world.nat, world.measures = Nat(idle_s=world.draw.choice([8.0, 12.0, 18.0])), frozenset({"nat"})
    return {"NAT_TIMEOUT_SHORT"}, ("open", "open")


def rebinding_nat(world):
    world.nat, world.measures = Nat(rebinds_at_s=(3.0, 4.0, 5.0)), frozenset({"trains"})
    return {"NAT_REBOUND"}, ("open", "open")


def split_egress(world):
    world.split_egress = True
    return {"SPLIT_EGRESS"}, ("open", "open")


SCENARIOS = [
    perfect,
    perfect_with_everything,
    perfect_though_refused_by_the_service,
    perfect_by_proxy,
    no_network,
    local_firewall,
    local_firewall_for_tcp,
    dns_blocked,
    dns_blocked_for_services,
    dns_silent,
    dns_forged,
    dns_answers_everything,
    tcp_refused,
    tcp_rejected,
    tcp_filtered,
    tls_intercepted,
    tls_intercepted_without_trust,
    tls_inspection_strips_the_upgrade,
    tls_failed,
    proxy_wants_sign_in,
    proxy_denies,
    proxy_unreachable,
    proxy_breaks_websocket,
    udp_blocked,
    udp_blocked_but_proxy,
    udp_blocked_while_the_relay_answers_by_tcp,
    udp_prohibited,
    udp_rejected,
    udp_one_way,
    udp_partly_blocked,
    turn_refused,
    everything_dropped,
    everything_dropped_behind_the_gateway,
    tunnel_device_of_a_container,
    captive_portal,
    clock_wrong,
    clock_wrong_by_years,
    lossy,
    rate_limited,
    jittery,
    self_inflicted,
    lossy_wireless,
    strong_wireless,
    vpn,
    detour,
    far_gateway,
    mobile_network,
    campus,
    seldom_answering_router,
    silent_routers,
    asymmetric,
    black_hole,
    small_packets_told,
    symmetric_nat,
    forgetful_nat,
    rebinding_nat,
    split_egress,
]


WITH_TRAINS = {lossy, rate_limited, jittery, self_inflicted, lossy_wireless, strong_wireless, rebinding_nat}
"""One Region is enough where every packet of a call is played."""


def play(seed: int):
    """Play one scenario; return what was wrong with what was said, or nothing."""
    make = SCENARIOS[seed % len(SCENARIOS)]
    world = World(seed=seed, count=1 if make in WITH_TRAINS else 2)
    expected, judged = make(world)
    found, said = diagnosed(world)
    problems = []
    for region in found.regions:
        codes = {one.code for one in said[region.region_code]}
        if codes != set(expected):
            problems.append((make.__name__, seed, region.region_code, sorted(codes), sorted(expected)))
        words = (judge_udp(region), judge_tcp(region))
        if judged is not None and words != judged:
            problems.append((make.__name__, seed, region.region_code, words, judged))
    return problems


__all__ = ["PORTAL", "SCENARIOS", "diagnosed", "play"]
