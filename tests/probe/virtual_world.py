"""A workstation's surroundings in virtual time: resolver, ways, firewalls, proxies, TLS servers, relays, all as stated.

The machines that run on it are those that run on real networks; only OpenSSL is replaced (by :class:`PlainTls`), whose
mathematics are not what is tested here.
"""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from functools import cache, cached_property, partial
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ccp_assess.prefixes import address_text
from ccp_assess.probe.https import accept_key
from ccp_assess.probe.proxies import Proxy, ProxySettings
from ccp_assess.probe.reach import FULL, QUICK, Pace, Surroundings
from ccp_assess.probe.records import WorkstationFound
from ccp_assess.probe.targets import region_targets
from ccp_assess.probe.tls import Shown, TlsFailed
from ccp_assess.probe.virtual import VirtualNetwork
from ccp_assess.probe.virtual_ways import Answer, Nat, Router, Rule, Way, stun_server
from ccp_assess.ranges import read_ranges
from ccp_assess.wire import dns, stun
from ccp_assess.wire.http import looks_like_http, parse_head

CODES = ("eu-west-2", "us-east-1", "ap-southeast-2", "eu-central-1", "af-south-1")
RESOLVER, PROXY, PORTAL = "192.168.1.1", "192.168.1.8", "192.168.1.2"
EPOCH_S = 1_795_000_000.0
DAY_S = 86_400.0
GENUINE, CORPORATE = "Amazon", "Example Inspection Ltd"


@cache
def certificate(organisation: str) -> bytes:
    """Make a certificate that an organisation signed (names do not matter here)."""
    key = ec.generate_private_key(ec.SECP256R1())
    day = dt.datetime.fromtimestamp(EPOCH_S, dt.UTC)
    issuer = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{organisation} M01"),
        ]
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(day - dt.timedelta(days=30))
        .not_valid_after(day + dt.timedelta(days=60))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.DER)


@dataclass
class World:
    """What is true; a scenario changes it before it is measured.

    ``names``: name (or part of it) → rcode or address; ``answers_all``: an address for every name; ``rules``: filters
    on all ways; ``way``: fields of every way; ``first``: routers before the Internet; ``clock_s``: this computer ahead;
    ``tls``: ``ok``, ``silent``, ``broken``, ``closed``; ``websocket``: ``upgrade``, ``refuse``, ``strip``, ``close``,
    ``silent``; ``proxy``: ``open``, ``sign_in``, ``deny``, ``refuse``, ``silent``, ``silent_host``, ``garbage``,
    ``strip``, ``close``, ``mute``; ``turn``: ``challenge``, ``silent``, ``forbid``, ``answers_lost``.
    """

    seed: int
    count: int = 2
    relay_addresses: int = 3
    names: dict[str, str] = field(default_factory=dict)
    answers_all: str | None = None
    dns_silent: bool = False
    rules: list[Rule] = field(default_factory=list)
    rules_of_relay: list[Rule] = field(default_factory=list)
    closed_addresses: int = 0
    issuer: str = GENUINE
    trusted: bool = True
    tls: str = "ok"
    websocket: str = "upgrade"
    clock_s: float = 0.0
    proxy: str | None = None
    portal: bool = False
    no_route: bool = False
    turn: str = "challenge"
    split_egress: bool = False
    relay_by_tcp: bool = False
    way: dict[str, Any] = field(default_factory=dict)
    way_of_relay: dict[str, Any] = field(default_factory=dict)
    first: tuple[Router, ...] = (Router(address="192.168.1.1", rtt_ms=1.0),)
    change_router: Any = None
    nat: Nat | None = None
    pauses_s: tuple[tuple[float, float], ...] = ()
    workstation: WorkstationFound = field(default_factory=WorkstationFound)
    pace: Pace = QUICK
    measures: frozenset[str] = frozenset()
    seconds: float = 4.0
    draw: random.Random = field(default_factory=random.Random)
    rtt_ms: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Draw what does not matter: Regions, distances, numbers of hops."""
        self.draw.seed(self.seed)
        self.codes = tuple(self.draw.sample(CODES, self.count))
        self.rtt_ms = {code: self.draw.uniform(12.0, 280.0) for code in self.codes}
        self.hops = {code: self.draw.randint(7, 15) for code in self.codes}
        self.network: VirtualNetwork | None = None

    # ------------------------------------------------------------ what is there

    @cached_property
    def targets(self):
        """What is reached, by the service's real names."""
        return region_targets(self.codes)

    def addresses(self, code: str, host: str) -> tuple[str, ...]:
        """Give every name of a Region addresses in AWS's published ranges."""
        block = next(one for one in read_ranges().prefixes("AMAZON_CONNECT", code) if one.version == 4)
        hosts = [target.host for region in self.targets for target in region.targets]
        number = hosts.index(host) * 3
        many = self.relay_addresses if host.startswith("turnnlb") else 1
        return tuple(address_text(4, block.first + (number + extra) % 30 + 1) for extra in range(many))

    def truth_of_name(self, name: str) -> tuple[str, tuple[str, ...]]:
        """Return what the resolver says: rcode and addresses."""
        if self.answers_all is not None:
            return "NOERROR", (self.answers_all,)
        stated = next((said for part, said in self.names.items() if part in name), None)
        if stated is not None:
            return (stated, ()) if stated.isupper() else ("NOERROR", (stated,))
        if name == "amazonaws.com":
            return "NOERROR", ("205.251.242.103",)
        for region in self.targets:
            for target in region.targets:
                if target.host == name:
                    return "NOERROR", self.addresses(region.region_code, name)
        return "NXDOMAIN", ()

    # ------------------------------------------------------------ the network

    def build(self) -> VirtualNetwork:
        """Build the network as it now is."""
        ways: dict[str, Way] = {}
        tcp: dict[tuple[str, int], Any] = {}
        udp: dict[tuple[str, int], Any] = {}
        near = Way(branches=((),), rtt_ms=1.0)
        if not self.no_route:
            for address in {
                RESOLVER,
                PROXY,
                PORTAL,
                *filter(_is_address, [*self.names.values(), self.answers_all or ""]),
            }:
                ways[address] = near
                tcp[address, 443] = lambda: Web(self)
                udp[address, 3478] = lambda _data, _source: ()  # a DNS filter relays no media
            for code in self.codes:
                self._region(code, ways, tcp, udp)
        udp[RESOLVER, 53] = self._resolver
        if self.proxy not in {None, "refuse"}:
            tcp[PROXY, 3128] = lambda: ProxyServer(self)
        if self.proxy == "silent_host":
            ways[PROXY] = replace(near, dead=True)
        names = {}
        for region in self.targets:
            for target in region.targets:
                rcode, addresses = self.truth_of_name(target.host)
                error = {"NXDOMAIN": "EAI_NONAME", "SERVFAIL": "EAI_AGAIN", "REFUSED": "EAI_AGAIN"}.get(rcode)
                names[target.host] = Answer(addresses=addresses, error=error, delay_ms=None if self.dns_silent else 2.0)
        names["proxy.corp.example"] = Answer(addresses=(PROXY,))
        self.network = VirtualNetwork(
            ways=ways,
            udp=udp,
            tcp=tcp,
            names=names,
            nat=self.nat,
            seed=self.seed,
            pauses_s=self.pauses_s,
        )
        return self.network

    def _region(self, code, ways, tcp, udp) -> None:
        place = CODES.index(code) + 1
        start_ms = self.first[-1].rtt_ms
        between = max(self.hops[code] - 1 - len(self.first), 2)
        rtt_ms = start_ms + self.rtt_ms[code]
        later = tuple(
            Router(address=f"62.{place}.{index}.1", rtt_ms=start_ms + self.rtt_ms[code] * index / (between + 1))
            for index in range(1, between + 1)
        )
        routers = (*self.first, *later)
        if self.change_router is not None:
            routers = tuple(self.change_router(router) for router in routers)
        for region in self.targets:
            if region.region_code != code:
                continue
            for target in region.targets:
                media = target.transport == "udp"
                for number, address in enumerate(self.addresses(code, target.host)):
                    rules = (*self.rules, *(self.rules_of_relay if media else ()))
                    if media and number < self.closed_addresses:
                        rules = (*rules, Rule(transport="udp", port=3478))
                    ways[address] = Way(
                        branches=(routers,),
                        rtt_ms=rtt_ms,
                        rules=rules,
                        **self.way,
                        **(self.way_of_relay if media else {}),
                    )
                    tcp[address, 443] = lambda: Web(self)
                    if self.portal:
                        tcp[address, 80] = Portal
                    if media and self.relay_by_tcp:
                        tcp[address, 3478] = StreamRelay
                    if media:
                        udp[address, 3478] = partial(self._relay, place)

    def _resolver(self, data, _source):
        if self.dns_silent:
            return
        asked = dns.parse_message(data)
        question = asked.questions[0]
        rcode, addresses = self.truth_of_name(question.name)
        known = addresses if question.type == "A" else ()
        yield 0.0, dns_answer(asked, rcode, known)

    def _relay(self, place, data, source):
        if self.split_egress:
            source = (f"198.51.100.{place}", source[1])
        if self.turn == "answers_lost":
            return
        method = stun.parse_message(data).method
        if method == stun.Method.ALLOCATE and self.turn == "silent":
            return
        if method == stun.Method.ALLOCATE and self.turn == "forbid":
            message = stun.parse_message(data)
            denied = stun.Message(
                method=method,
                message_class=stun.MessageClass.ERROR,
                transaction_id=message.transaction_id,
                attributes=(("ERROR-CODE", (403, "Forbidden")),),
            )
            yield 0.0, stun.build_message(denied)
            return
        yield from stun_server(data, source)

    # ------------------------------------------------------------ this computer

    def surroundings(self) -> Surroundings:
        """What reaching depends on."""
        proxies = ProxySettings()
        if self.proxy is not None:
            proxies = ProxySettings(proxy=Proxy(host="proxy.corp.example", port=3128, source="system"))
        return Surroundings(
            resolvers=((RESOLVER, 53),),
            proxies=proxies,
            wall_clock_s=EPOCH_S + self.clock_s,
            make_tls=lambda name, check: PlainTls(self, name, check),
        )

    def server_time_s(self) -> float:
        """The true time, by the servers' clocks."""
        return EPOCH_S + self.network.now_ns() / 1e9

    def own_time_s(self) -> float:
        """The time by this computer's clock."""
        return self.server_time_s() + self.clock_s


def _is_address(text: str) -> bool:
    return text.replace(".", "").isdigit()


def dns_answer(asked: dns.Message, rcode: str, addresses: tuple[str, ...]) -> bytes:
    """Write an answer with A records."""
    number = {name: code for code, name in dns.RCODE_NAMES.items()}[rcode]
    question = asked.questions[0]
    head = asked.message_id.to_bytes(2, "big") + (0x8180 | number).to_bytes(2, "big")
    body = dns.build_query(question.name, question.type)[12:]
    records = b"".join(
        b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04" + bytes(map(int, address.split(".")))
        for address in addresses
    )
    return head + b"\x00\x01" + len(addresses).to_bytes(2, "big") + b"\x00\x00\x00\x00" + body + records


class PlainTls:
    """TLS without mathematics: a hello with the name, an answer with the certificate, then plain bytes."""

    def __init__(self, world: World, name: str, check: bool) -> None:
        self.world, self.name, self.check = world, name, check
        self.out, self.plain, self.shaken = b"HELLO " + name.encode() + b"\n", b"", False
        self.issuer = ""

    def take(self):
        out, self.out = self.out, b""
        return out

    def give(self, data):
        if not self.shaken:
            line, _, data = data.partition(b"\n")
            word, _, self.issuer = line.decode().partition(" ")
            if word != "CERTIFICATE":
                raise TlsFailed("wrong version number")
            self.shaken = True
        self.plain += data

    def shake(self):
        if not self.shaken:
            return False
        if self.check:
            if self.issuer == CORPORATE and not self.world.trusted:
                raise TlsFailed("self-signed certificate in certificate chain", untrusted=True)
            if abs(self.world.clock_s) > 61 * DAY_S:
                wrong = "certificate has expired" if self.world.clock_s > 0 else "certificate is not yet valid"
                raise TlsFailed(wrong, untrusted=True)
        return True

    def shown(self):
        return Shown(version="TLSv1.3", cipher="x", alpn="http/1.1", chain=(certificate(self.issuer),))

    def write(self, data):
        self.out += data

    def read(self):
        plain, self.plain = self.plain, b""
        return plain


class Web:
    """A TLS server with HTTP and WebSocket, seen through whatever stands in between."""

    def __init__(self, world: World, websocket: str | None = None) -> None:
        self.world, self.websocket = world, websocket or world.websocket
        self.greeted = False

    def connected(self):
        return ()

    def received(self, data):
        if not self.greeted:
            yield from self._greet()
            return
        if not looks_like_http(data):
            yield None
            return
        request = parse_head(data)
        date = f"Date: {formatdate(self.world.server_time_s(), usegmt=True)}\r\n"
        key = request.get("sec-websocket-key")
        if key is None:
            yield f"HTTP/1.1 200 OK\r\n{date}Server: Server\r\n\r\n".encode()
        elif self.websocket == "upgrade":
            upgrade = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept_key(key)}\r\n"
            yield f"HTTP/1.1 101 Switching Protocols\r\n{date}{upgrade}\r\n".encode()
        elif self.websocket == "refuse":
            yield f"HTTP/1.1 403 Forbidden\r\n{date}x-amzn-RequestId: 1\r\n\r\n".encode()
        elif self.websocket == "strip":
            yield f"HTTP/1.1 200 OK\r\n{date}Server: corp\r\n\r\n".encode()
        elif self.websocket == "close":
            yield None

    def _greet(self):
        self.greeted = True
        if self.world.tls == "ok":
            yield f"CERTIFICATE {self.world.issuer}\n".encode()
        elif self.world.tls == "broken":
            yield b"\x15\x03\x01\x00\x02\x02\x46\n"
        elif self.world.tls == "closed":
            yield None


class ProxyServer:
    """A proxy for CONNECT."""

    def __init__(self, world: World) -> None:
        self.world, self.web = world, None

    def connected(self):
        return ()

    def received(self, data):
        if self.web is not None:
            yield from self.web.received(data)
            return
        answers = {
            "sign_in": b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Negotiate\r\n"
            b'Proxy-Authenticate: Basic realm="corp"\r\n\r\n',
            "deny": b"HTTP/1.1 403 Forbidden\r\n\r\n",
            "garbage": b"SSH-2.0-OpenSSH_9\r\n\r\n",
        }
        if self.world.proxy == "silent":
            return
        if self.world.proxy in answers:
            yield answers[self.world.proxy]
            return
        how = {"strip": "strip", "close": "close", "mute": "silent"}.get(self.world.proxy)
        self.web = Web(self.world, how)
        yield b"HTTP/1.1 200 Connection established\r\n\r\n"


class StreamRelay:
    """A TURN server over TCP."""

    def connected(self):
        return ()

    def received(self, data):
        while data:
            size = 20 + int.from_bytes(data[2:4], "big")
            for _, answer in stun_server(data[:size], ("192.0.2.2", 40000)):
                yield answer
            data = data[size:]


class Portal:
    """The sign-in page of a guest network on port 80."""

    def connected(self):
        return ()

    def received(self, _data):
        yield b"HTTP/1.1 302 Found\r\nLocation: http://login.hotel.example/?next=1\r\n\r\n"


__all__ = ["FULL", "QUICK", "World", "certificate", "dns_answer"]
