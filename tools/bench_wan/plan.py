"""What a bench is made of: sites with their offices, Regions, and the ways between them, as one plan."""

from __future__ import annotations

import ipaddress
import tomllib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ACTIONS = ("drop", "reject", "prohibit")
NAT_KINDS = ("none", "port_preserving", "symmetric")
PROXY_SIGN_INS = ("none", "basic", "ntlm", "negotiate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Router:
    """One emulated hop: who answers, after how long, and how reliably."""

    addresses: tuple[str, ...]  # more than one: flows are spread over them (ECMP)
    rtt_ms: float
    silent: bool = False
    answer_loss_pct: float = 0.0
    answers_per_s: float | None = None  # ICMP rate limit, over all who ask, with a burst of six
    quote_bytes: int = 128  # RFC 1812, section 4.3.2.3 wants as much as fits; old ones quote 28


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """The way from a site to a Region and back."""

    site_id: str
    region_code: str
    routers: tuple[Router, ...]
    rtt_ms: float
    jitter_ms: float = 0.0  # half-normal in each direction
    loss_up_pct: float = 0.0
    loss_down_pct: float = 0.0
    loss_burst: float = 1.0  # mean length of a burst of losses, in packets
    duplicate_pct: float = 0.0
    reorder_pct: float = 0.0  # held back for `reorder_ms`
    reorder_ms: float = 25.0
    udp_per_s: float | None = None  # a policer of UDP towards the Region, with a burst of five
    mtu: int | None = None
    mtu_silent: bool = False  # too big packets vanish without ICMP
    refuse_allocate: bool = False  # STUN Binding passes, TURN Allocate does not
    blocked: Mapping[tuple[str, int], str] = field(default_factory=dict)  # transport and port → action
    blocked_at: int = 1  # the router that does it
    down: bool = False  # nothing passes at all

    @property
    def hop_count(self) -> int:
        """Lowest TTL that reaches the destination, counted from the first emulated router."""
        return len(self.routers) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What the resolver of a site does to names; patterns as in file names, in lower case."""

    delay_ms: float = 1.0
    nxdomain: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    servfail: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    rewritten: Mapping[str, str] = field(default_factory=dict)  # pattern → address


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """A box that opens TLS with an authority of its own."""

    organisation: str = "Example Inspection Ltd"
    trusted: bool = True  # the site's computers trust that authority
    strip_upgrade: bool = False  # WebSocket upgrades do not pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A proxy for HTTP CONNECT on the gateway."""

    port: int = 3128
    sign_in: str = "none"
    user: str = "agent"
    password: str = "bench"  # noqa: S105 - a bench's
    deny: tuple[str, ...] = ()
    inspection: Inspection | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """A real Linux gateway between the workstation and the WAN: firewall, NAT, resolver, proxy."""

    workstation: str = "10.20.1.11"
    gateway: str = "10.20.1.1"
    nat: str = "port_preserving"
    nat_idle_s: int | None = None  # forget a UDP mapping after that time of silence
    icmp_rate_limit: bool = False  # the kernel's own limit: one error a second to each host after a burst of six
    blocked: Mapping[tuple[str, int], str] = field(default_factory=dict)  # port 0: all of that transport
    only_tcp_443: bool = False
    only_proxy: bool = False
    inspection: Inspection | None = None
    proxy: Proxy | None = None
    captive_portal: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A workstation, its resolver and perhaps an office around it."""

    address: str  # as the WAN sees it
    names: Names = field(default_factory=Names)
    office: Office | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Sites, Regions and the ways between them."""

    sites: dict[str, Site]
    regions: dict[str, tuple[str, ...]]  # Region → addresses that its relays and servers share
    ways: dict[tuple[str, str], Way]
    zone: dict[str, tuple[str, ...]]  # name, perhaps with a leading `*.` → addresses
    commands: dict[str, dict[str, str]] = field(default_factory=dict)  # site → file suffix → command
    websocket: str = "accept"  # or "refuse": 403, as for a signalling server that wants a ticket
    keep_alive: bool = True  # whether web servers keep a connection after an answer
    clock_offset_s: float = 0.0  # of the servers' Date header
    seed: int = 0


def read_plan(source: Plan | Path | str | Mapping[str, Any]) -> Plan:
    """Read a plan from a TOML file, its text or the same as a dictionary."""
    if isinstance(source, Plan):
        return source
    if isinstance(source, Path):
        source = source.read_text(encoding="utf-8")
    stated = tomllib.loads(source) if isinstance(source, str) else source
    regions = {code: tuple(row["addresses"]) for code, row in stated["regions"].items()}
    ways = {}
    for number, (site, row) in enumerate(stated["sites"].items()):
        for code, way in (row.get("ways") or stated.get("ways", {})).items():
            ways[site, code] = _way(site, code, row.get("first_hops", []), dict(way), number)
    return Plan(
        sites={site: _site(row) for site, row in stated["sites"].items()},
        regions=regions,
        ways=ways,
        zone=_zone(stated, regions),
        commands={site: row.get("commands", {}) for site, row in stated["sites"].items()},
        websocket=stated.get("websocket", "accept"),
        keep_alive=stated.get("keep_alive", True),
        clock_offset_s=stated.get("clock_offset_s", 0.0),
        seed=stated.get("seed", 0),
    )


def _zone(stated: Mapping[str, Any], regions: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Give the names of each Region their addresses: those stated, else those of the table of endpoints."""
    zone: dict[str, tuple[str, ...]] = {}
    for code, addresses in regions.items():
        for name in stated["regions"][code].get("names") or region_names(code):
            zone[name.lower()] = addresses
    first = next(iter(regions.values()))
    for name in ("amazonaws.com", "aws.amazon.com", "example.com", "portal.bench"):
        zone.setdefault(name, first)
    for name in stated.get("names", {}):
        zone[name.lower()] = tuple(stated["names"][name])
    return zone


def region_names(code: str) -> list[str]:
    """Give every name of a Region that can be asked for, and a wildcard where the page gives one.

    A made-up TurnNlb name does not exist, as in the real zone; a Region without a published one gets one of ours.
    """
    from ccp_assess.endpoints import EVERY_REGION, read_patterns  # noqa: PLC0415 - plans of their own names need none

    names = []
    for pattern in read_patterns():
        if pattern.region_code in {code, EVERY_REGION} and (pattern.region_code == code or "{region}" in pattern.host):
            host = pattern.host.replace("{region}", code).lower()
            if "{" not in host and "*" not in host.removeprefix("*."):
                names.append(host)
    if not any(name.startswith("turnnlb-") for name in names):
        names.append(f"turnnlb-{zlib.crc32(code.encode()):016x}.elb.{code}.amazonaws.com")
    return list(dict.fromkeys(names))


def _site(row: Mapping[str, Any]) -> Site:
    names, office = row.get("names", {}), row.get("office")
    return Site(
        address=row["address"],
        names=Names(**{key: tuple(value) if isinstance(value, list) else value for key, value in names.items()}),
        office=None if office is None else _office(dict(office)),
    )


def _office(row: dict[str, Any]) -> Office:
    inspection, proxy = row.pop("inspection", None), row.pop("proxy", None)
    blocked = {_port(text): action for text, action in row.pop("blocked", {}).items()}
    office = Office(
        **row,
        blocked=blocked,
        inspection=None if inspection is None else Inspection(**inspection),
        proxy=None if proxy is None else _proxy(dict(proxy)),
    )
    if office.nat not in NAT_KINDS or not set(blocked.values()) <= set(ACTIONS):
        raise ValueError(f"an office's nat is one of {NAT_KINDS}, its actions are {ACTIONS}")
    return office


def _proxy(row: dict[str, Any]) -> Proxy:
    inspection = row.pop("inspection", None)
    row["deny"] = tuple(row.get("deny", ()))
    proxy = Proxy(**row, inspection=None if inspection is None else Inspection(**inspection))
    if proxy.sign_in not in PROXY_SIGN_INS:
        raise ValueError(f"a proxy's sign_in is one of {PROXY_SIGN_INS}")
    return proxy


def _port(text: str) -> tuple[str, int]:
    transport, _, port = text.partition("/")
    return transport, int(port or 0)


def _way(site_id: str, region_code: str, first: list[dict[str, Any]], stated: dict[str, Any], number: int) -> Way:
    """Fill in the routers of a way: the site's own first hops as stated, the others evenly spread up to its end."""
    routers = [_router(hop) for hop in first]
    hops, rtt_ms = stated.pop("hops"), stated.pop("rtt_ms")
    silent, parallel = stated.pop("silent", []), stated.pop("parallel", {})
    shared = {key: stated.pop(key) for key in ("answers_per_s", "quote_bytes") if key in stated}
    between = hops - 1 - len(routers)
    start = routers[-1].rtt_ms if routers else 0.0
    block = ipaddress.ip_address("203.0.113.0" if zlib.crc32(region_code.encode()) % 2 else "198.51.100.0")
    for index in range(1, between + 1):
        offset = (16 * number + 7 * index + zlib.crc32(f"{site_id}{region_code}".encode()) % 40) % 250 + 2
        more = [f"192.0.2.{16 * index % 256 + branch}" for branch in range(1, parallel.get(str(index), 1))]
        routers.append(
            Router(
                addresses=(str(block + offset), *more),
                rtt_ms=start + (rtt_ms - start) * index / (between + 1),
                silent=index in silent,
                **shared,
            )
        )
    loss = stated.pop("loss_pct", 0.0)
    blocked = {_port(text): "drop" for text in stated.pop("drop", [])}
    blocked |= {_port(text): action for text, action in stated.pop("blocked", {}).items()}
    stated["blocked_at"] = stated.pop("drop_at", stated.get("blocked_at", 1))
    losses = {key: stated.pop(key, loss) for key in ("loss_up_pct", "loss_down_pct")}
    return Way(
        site_id=site_id,
        region_code=region_code,
        routers=tuple(routers),
        rtt_ms=rtt_ms,
        blocked=blocked,
        **losses,
        **stated,
    )


def _router(hop: dict[str, Any]) -> Router:
    known = {key: value for key, value in hop.items() if key not in {"address", "addresses"}}
    return Router(addresses=tuple(hop.get("addresses", [hop.get("address")])), **known)


def truth_of(plan: Plan) -> dict[str, dict[str, dict[str, float]]]:
    """Write down what was configured."""
    truth: dict[str, dict[str, dict[str, float]]] = {}
    for (site, code), way in plan.ways.items():
        truth.setdefault(site, {})[code] = {
            "rtt_ms": way.rtt_ms,
            "jitter_ms": way.jitter_ms,
            "loss_pct_each_way": way.loss_up_pct,
            "hop_count": way.hop_count,
        }
    return truth
