"""What reaching found, before anybody judges it: one small record for each thing that was tried."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from ccp_assess.probe.traced import ProbedPath

ConnectOutcome = Literal["connected", "refused", "timeout", "unreachable"]
AllocateOutcome = Literal["challenged", "granted", "error", "no_answer"]
ProxyOutcome = Literal["open", "auth_required", "denied", "refused", "timeout", "unreachable", "unresolved", "broken"]
WebSocketOutcome = Literal["upgraded", "answered", "stripped", "closed", "timeout"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NameAnswer:
    """What one resolver said to one question.

    Parameters
    ----------
    name
        Asked name, lower case.
    type
        ``A`` or ``AAAA``.
    via
        ``system``: the call that a browser uses, too; ``server``: a question of our own to the same server.
    resolver
        Address of that server, if known.
    answers
        Addresses.
    rcode
        ``NOERROR``, ``NXDOMAIN``, …; ``TIMEOUT`` without an answer.
    response_ms
        Time to the answer; ``None`` without one [ms].
    tries
        Questions sent (count).
    control
        Whether it is no name of the service but a control: ``exists`` must resolve, ``random`` must not.
    """

    name: str
    type: str
    via: Literal["system", "server"]
    resolver: str | None
    answers: tuple[str, ...]
    rcode: str
    response_ms: float | None
    tries: int = 1
    control: Literal["exists", "random"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFound:
    """What a TLS handshake showed.

    Parameters
    ----------
    outcome
        ``ok`` also where the chain was not trusted: then the handshake was repeated without checking it.
    handshake_ms
        From ClientHello to the end of the handshake [ms].
    version, cipher, alpn
        As agreed.
    issuer
        Who signed the server's certificate: organisation and common name. Hostile text.
    subject_names
        Names that the certificate is for.
    root_name
        The highest certificate of the chain.
    root_published
        Whether a key of the chain is one of AWS's published roots.
    trusted
        Whether this computer's store vouches for the chain and the name.
    verify_error
        Why not, in OpenSSL's words.
    intercepted
        Whether somebody on the way opens the connection; ``None`` if that cannot be told.
    not_before, not_after
        Validity of the server's certificate.
    error
        What failed, if the handshake did.
    """

    outcome: Literal["ok", "failed", "timeout", "closed"]
    handshake_ms: float | None = None
    version: str | None = None
    cipher: str | None = None
    alpn: str | None = None
    issuer: str | None = None
    subject_names: tuple[str, ...] = ()
    root_name: str | None = None
    root_published: bool | None = None
    trusted: bool | None = None
    verify_error: str | None = None
    intercepted: bool | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpFound:
    """What the server said to a request, or to the wish for a WebSocket.

    Parameters
    ----------
    asked
        ``websocket`` or ``get``.
    outcome
        ``upgraded``: 101; ``answered``: the service itself said something else; ``stripped``: somebody answered as if
        no upgrade had been asked for; ``closed`` or ``timeout``: nothing usable came.
    status, server, location
        Of the answer; hostile text.
    by_service
        Whether the answer bears the marks of AWS.
    response_ms
        Time to the answer's head [ms].
    clock_offset_s
        How far this computer's clock is ahead of the server's (its Date header, whole seconds), the nearest value that
        fits; ``None`` without a Date [s].
    """

    asked: Literal["websocket", "get"]
    outcome: WebSocketOutcome
    status: int | None = None
    server: str | None = None
    location: str | None = None
    by_service: bool | None = None
    response_ms: float | None = None
    clock_offset_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyFound:
    """How a proxy met CONNECT.

    Parameters
    ----------
    proxy
        Host and port.
    source
        Where the proxy comes from: ``environment``, ``system``, ``pac`` or ``option``.
    outcome
        ``open`` if the tunnel stands.
    status
        Of its answer.
    schemes
        What it wants for a sign-in: ``Basic``, ``NTLM``, ``Negotiate``, …
    connect_ms
        TCP connect to the proxy itself [ms].
    tunnel_ms
        From CONNECT to its answer [ms].
    """

    proxy: str
    source: str
    outcome: ProxyOutcome
    status: int | None = None
    schemes: tuple[str, ...] = ()
    connect_ms: float | None = None
    tunnel_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpFound:
    """One way to a TCP service: connect, TLS, first answer.

    Parameters
    ----------
    host, port, role
        What was to be reached, and what for.
    address
        Where it was sought; ``None`` through a proxy, which resolves by itself.
    outcome
        Of the connect (through a proxy: of its tunnel).
    connect_ms
        Time of the first connect; through a proxy that to the proxy and of CONNECT together [ms].
    connects_ms
        Of each attempt, ``None`` where none came about [ms].
    error
        The system's name of what went wrong.
    reporter
        Who sent the ICMP error, if one came.
    tries
        Attempts (count).
    waited_ms
        How long no answer was waited for [ms].
    """

    host: str
    port: int
    role: str
    address: str | None
    outcome: ConnectOutcome
    connect_ms: float | None = None
    connects_ms: tuple[float | None, ...] = ()
    error: str | None = None
    reporter: str | None = None
    tries: int = 1
    waited_ms: float | None = None
    proxy: ProxyFound | None = None
    tls: TlsFound | None = None
    http: HttpFound | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IcmpSaid:
    """An ICMP error that came instead of an answer: type and code for the IP version, and who sent it."""

    router: str | None
    type: int
    code: int
    version: int = 4

    @property
    def is_prohibited(self) -> bool:
        """Whether it says "administratively prohibited" (RFC 1812 5.2.7.1, RFC 4443 3.1)."""
        return (self.type, self.code) in ({(3, 9), (3, 10), (3, 13)} if self.version == 4 else {(1, 1), (1, 5), (1, 6)})

    @property
    def is_rejected(self) -> bool:
        """Whether it says "port unreachable" or "host or network unreachable"."""
        unreachable = 3 if self.version == 4 else 1
        return self.type == unreachable and not self.is_prohibited and not self.is_too_big

    @property
    def is_too_big(self) -> bool:
        """Whether it asks for smaller packets."""
        return self.version == 4 and (self.type, self.code) == (3, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayFound:
    """What one address of a media relay said to STUN Binding and to TURN Allocate without credentials.

    Parameters
    ----------
    host, address, port, transport
        What was asked; ``tls`` is TURN in TLS over TCP.
    binding_rtt_ms
        One entry for each Binding request in order, ``None`` without an answer [ms].
    allocate_rtt_ms
        The same for Allocate [ms].
    allocate
        ``challenged``: 401 with realm and nonce, as every agent's softphone meets it first. ``None`` if not asked.
    error_code
        Of another error.
    mapped_address, mapped_port
        How the relay sees this computer.
    local_address
        How this computer sees itself on that way.
    icmp
        First ICMP error that came instead.
    send_error
        The system's name of what kept the packets from leaving.
    connect
        Outcome of the connect where it is not UDP.
    span_ms
        From the first request to the end of the waiting [ms].
    """

    host: str
    address: str
    port: int
    transport: Literal["udp", "tcp", "tls"]
    binding_rtt_ms: tuple[float | None, ...]
    allocate_rtt_ms: tuple[float | None, ...] = ()
    allocate: AllocateOutcome | None = None
    error_code: int | None = None
    mapped_address: str | None = None
    mapped_port: int | None = None
    local_address: str | None = None
    icmp: IcmpSaid | None = None
    send_error: str | None = None
    connect: ConnectOutcome | None = None
    span_ms: float | None = None

    @property
    def answered(self) -> tuple[float, ...]:
        """Round trips of the Binding requests that were answered [ms]."""
        return tuple(rtt for rtt in self.binding_rtt_ms if rtt is not None)

    @property
    def is_ipv6(self) -> bool:
        """Whether its address is IPv6."""
        return ":" in self.address


@dataclass(frozen=True, slots=True, kw_only=True)
class Untested:
    """A name that could not be tested, and why."""

    name: str
    region_code: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionReach:
    """All that was tried towards one Region.

    Parameters
    ----------
    region_code
        The Region; ``None`` for names that belong to none.
    names, tcp, relays
        What was found, in the order of the endpoints.
    untested
        Names that only the client's own names could stand for.
    """

    region_code: str | None
    names: tuple[NameAnswer, ...] = ()
    tcp: tuple[TcpFound, ...] = ()
    relays: tuple[RelayFound, ...] = ()
    untested: tuple[Untested, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalFound:
    """What plain HTTP said on port 80 of a tested address, asked only where HTTPS was not genuine.

    Parameters
    ----------
    address, host
        What was asked.
    status, location
        Of the answer; hostile text.
    """

    address: str
    host: str
    status: int | None
    location: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachFound:
    """The whole round.

    Parameters
    ----------
    regions
        One entry per Region, in the order asked.
    controls
        Answers to the names that are no part of the service.
    portal
        What plain HTTP said, if it was asked.
    resolvers
        Servers that the system asks.
    duration_ms
        Of the whole round [ms].
    complete
        False where the deadline of the whole ended it.
    """

    regions: tuple[RegionReach, ...]
    controls: tuple[NameAnswer, ...] = ()
    portal: PortalFound | None = None
    resolvers: tuple[str, ...] = ()
    duration_ms: float = 0.0
    complete: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class WayFound:
    """What was measured on the way to one Region beside reaching it.

    Parameters
    ----------
    udp, tcp
        Its path on the media port, and the control path on TCP 443.
    train, nat, mtu
        The contract's ``train`` object, and what was found of NAT and packet sizes; ``None`` if not measured.
    """

    udp: ProbedPath | None = None
    tcp: ProbedPath | None = None
    train: dict[str, Any] | None = None
    nat: dict[str, Any] | None = None
    mtu: dict[str, Any] | None = None

    @property
    def path(self) -> ProbedPath | None:
        """The path to show: on the media port, unless only the control reached its end."""
        if self.udp is None:
            return self.tcp
        reached = self.tcp is not None and self.tcp.path.destination_answered
        return self.tcp if reached and not self.udp.path.destination_answered else self.udp


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkstationFound:
    """What of this computer speaks about its link.

    Parameters
    ----------
    interface
        Name of the interface that the route to the relays uses.
    is_tunnel, is_wireless
        What kind of interface it is; ``None`` if that cannot be told.
    signal_dbm
        Of the wireless link [dBm].
    has_underlay
        Whether there is another interface that could carry the tunnel.
    """

    interface: str | None = None
    is_tunnel: bool | None = None
    is_wireless: bool | None = None
    signal_dbm: float | None = None
    has_underlay: bool | None = None
