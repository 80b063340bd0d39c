"""Ways, filters, NATs and servers of a network in virtual time: the truth that measurements are held against."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

from ccp_assess.errors import ParseError
from ccp_assess.probe.machine import Address
from ccp_assess.wire import stun

Transport = Literal["udp", "tcp", "icmp"]
Verdict = Literal["drop", "reject", "prohibit", "reset", "refuse_locally"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Router:
    """One hop of a way.

    Parameters
    ----------
    address
        Who answers where a TTL runs out.
    rtt_ms
        Round trip to it [ms].
    silent
        Forwards but never answers.
    answer_loss_pct
        Share of its answers that get lost [percent].
    answers_per_s, answers_burst
        Token bucket of its ICMP answers over all that ask; ``None`` for no limit.
    slow_ms
        What making an ICMP answer takes longer than forwarding [ms].
    quote_bytes
        How much of the UDP payload its errors quote [bytes].
    """

    address: str
    rtt_ms: float
    silent: bool = False
    answer_loss_pct: float = 0.0
    answers_per_s: float | None = None
    answers_burst: int = 6
    slow_ms: float = 0.0
    quote_bytes: int = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A filter on the way.

    Parameters
    ----------
    transport
        What it looks at.
    verdict
        Drop in silence; ``reject`` by "port unreachable"; ``prohibit`` by "administratively prohibited"; ``reset``
        by RST; ``refuse_locally``: this computer's own firewall.
    port
        Destination port; ``None`` for all.
    at
        After the router of this number (it still answers a TTL that ends at it).
    matches
        Looks into the payload; ``None`` for all.
    """

    transport: Transport
    verdict: Verdict = "drop"
    port: int | None = None
    at: int = 1
    matches: Callable[[bytes], bool] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """The way to an address and back.

    Parameters
    ----------
    branches
        Routers in order; where there are several such lists, flows are spread over them (ECMP).
    rtt_ms
        Round trip to the end [ms].
    jitter_ms
        Scale of the extra delay of each packet, half-normal [ms].
    loss_out_pct, loss_in_pct
        Mean loss there and back [percent].
    burst_packets
        Mean length of a loss burst (Gilbert); 1 for independent loss.
    loss_at
        The loss lies behind the router of this number.
    rules
        Filters.
    mtu
        Largest packet that passes behind the router ``mtu_at``; ``None`` for no limit [bytes].
    mtu_at
        Where.
    mtu_told
        Whether that router says so by ICMP; if not it is a black hole.
    udp_per_s, udp_burst
        Token bucket for UDP per flow; ``None`` for no limit.
    duplicate_pct, reorder_pct
        Share of answers that come twice, or later by 1.5 packet times of a voice stream [percent].
    return_hops
        Routers on the way back; ``None`` for as many as there.
    initial_ttl
        Of what the far end sends.
    dead
        Nothing is there.
    """

    branches: tuple[tuple[Router, ...], ...]
    rtt_ms: float
    jitter_ms: float = 0.0
    loss_out_pct: float = 0.0
    loss_in_pct: float = 0.0
    burst_packets: float = 1.0
    loss_at: int = 0
    rules: tuple[Rule, ...] = ()
    mtu: int | None = None
    mtu_at: int = 1
    mtu_told: bool = True
    udp_per_s: float | None = None
    udp_burst: int = 10
    duplicate_pct: float = 0.0
    reorder_pct: float = 0.0
    return_hops: int | None = None
    initial_ttl: int = 64
    dead: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Nat:
    """A NAT in front of this computer (UDP only).

    Parameters
    ----------
    address
        What the world sees.
    idle_s
        A mapping unused for so long is forgotten; ``None`` for never [s].
    symmetric
        Another port for each destination (address- and port-dependent mapping, RFC 4787).
    rebinds_at_s
        Instants at which all mappings are lost [s].
    preserves_port
        Uses the inside port outside.
    """

    address: str = "198.51.100.7"
    idle_s: float | None = None
    symmetric: bool = False
    rebinds_at_s: tuple[float, ...] = ()
    preserves_port: bool = False


class TcpServer(Protocol):
    """The far end of one TCP connection."""

    def connected(self) -> Iterable[bytes]:
        """Return what it says first."""

    def received(self, data: bytes) -> Iterable[bytes | None]:
        """Return its answer; ``None`` closes the connection."""


_COOKIE = stun.MAGIC_COOKIE.to_bytes(4, "big")

UdpServer = Callable[[bytes, Address], Iterable[tuple[float, bytes]]]
"""Payload and who sent it → answers, each after so many ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the resolver of the system says to a name."""

    addresses: tuple[str, ...] = ()
    error: str | None = None
    delay_ms: float | None = 5.0  # None: never


def stun_server(data: bytes, source: Address) -> Iterable[tuple[float, bytes]]:
    """Answer like a TURN server: Binding with the mapped address, Allocate with 401, REALM and NONCE (RFC 8656)."""
    if data[:2] == b"\0\1" and data[4:8] == _COOKIE and "." in source[0]:  # the usual question, thousands of times
        a, b, c, d = map(int, source[0].split("."))
        seen = struct.pack("!HI", source[1] ^ 0x2112, (a << 24 | b << 16 | c << 8 | d) ^ stun.MAGIC_COOKIE)
        yield 0.0, b"\x01\x01\0\x0c" + data[4:20] + b"\0\x20\0\x08\0\x01" + seen
        return
    try:
        asked = stun.parse_message(data)
    except ParseError:
        return
    if asked.message_class is not stun.MessageClass.REQUEST:
        return
    if asked.method == stun.Method.BINDING:
        kind = stun.MessageClass.SUCCESS
        attributes: tuple[tuple[str, object], ...] = (("XOR-MAPPED-ADDRESS", stun.Endpoint(*source)),)
    else:
        kind = stun.MessageClass.ERROR
        attributes = (("ERROR-CODE", (401, "Unauthorized")), ("REALM", "virtual"), ("NONCE", b"0123456789abcdef"))
    yield (
        0.0,
        stun.build_message(
            stun.Message(
                method=asked.method,
                message_class=kind,
                transaction_id=asked.transaction_id,
                attributes=attributes,
            )
        ),
    )


def straight_way(
    *,
    hops: int,
    rtt_ms: float,
    silent: Iterable[int] = (),
    number: int = 0,
    shared: int = 0,
    version: int = 4,
    **more: object,
) -> Way:
    """Make a way of one branch with routers evenly spread.

    Parameters
    ----------
    hops
        Lowest TTL that reaches the end.
    rtt_ms
        Round trip to the end [ms].
    silent
        Numbers of the routers that never answer.
    number
        Tells this way's routers from those of other ways.
    shared
        So many first routers are the same on all ways.
    version
        IP version.
    **more
        Other fields of :class:`Way`.

    Returns
    -------
    way
        A way.
    """
    quiet = set(silent)
    base = "10.{0}.{1}.1" if version == 4 else "2001:db8:{0:x}:{1:x}::1"
    routers = tuple(
        Router(
            address=base.format(0 if ttl <= shared else 1 + number, ttl),
            rtt_ms=rtt_ms * ttl / hops,
            silent=ttl in quiet,
        )
        for ttl in range(1, hops)
    )
    return Way(branches=(routers,), rtt_ms=rtt_ms, **more)  # type: ignore[arg-type]
