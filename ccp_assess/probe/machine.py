"""The contract between measuring and sockets: what a measurement asks of a network, and what it hears.

A measurement is a :class:`Machine`: it knows no socket and no clock. It answers each event with actions, says when it
wants to be woken, and :func:`run` carries this out on a :class:`Network`. There are two kinds of network: the real one
(:mod:`ccp_assess.probe.systems`) and one in virtual time (:mod:`ccp_assess.probe.virtual`), on which hours pass in
milliseconds. The same machine runs unchanged on both.

All instants are nanoseconds of the network's own monotonic clock. Flows are numbers that a machine chooses for itself;
two machines may use the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from ccp_assess.units import NS_PER_S

Family = Literal[4, 6]
"""IP version."""

Address = tuple[str, int]
"""An IP address with its port (0 where there is none)."""


# ---------------------------------------------------------------- what a machine asks


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenUdp:
    """Make a UDP socket: one source port, so one flow identity towards each destination.

    Parameters
    ----------
    flow
        How the machine calls it from now on.
    family
        IP version.
    remote
        Connect to this destination; ``None`` for a socket that sends to many (each :class:`Send` then says where to).
    source
        Local address to send from; ``None`` leaves it to the system.
    dont_fragment
        Set DF and let no router or kernel split what is sent, even above the known path MTU.
    buffer_bytes
        Receive buffer to ask for; ``None`` for the system's own [bytes].
    """

    flow: int
    family: Family = 4
    remote: Address | None = None
    source: str | None = None
    dont_fragment: bool = False
    buffer_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenIcmp:
    """Make a flow for echo requests; :attr:`Send.token` is the sequence number (16 bits)."""

    flow: int
    family: Family = 4
    source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTcp:
    """Connect by TCP; :class:`Connected` or :class:`ConnectFailed` follows.

    Parameters
    ----------
    flow
        How the machine calls the connection.
    remote
        Where to.
    ttl
        Time to live of the SYN; ``None`` for the system's own. An :class:`IcmpError` may follow.
    source
        Local address.
    """

    flow: int
    remote: Address
    ttl: int | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Send one datagram (UDP), or one echo request with this payload (ICMP).

    Parameters
    ----------
    flow
        An open UDP or ICMP flow.
    data
        Payload.
    token
        The machine's name for this packet; comes back in :class:`Sent`.
    to
        Destination; needed where the flow is not connected.
    ttl
        Time to live or hop limit; ``None`` for the system's own.
    traffic_class
        Whole TOS or traffic-class byte (DSCP << 2); ``None`` for the system's own.
    """

    flow: int
    data: bytes
    token: int
    to: Address | None = None
    ttl: int | None = None
    traffic_class: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """Send bytes on a TCP connection."""

    flow: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """Close a flow; nothing is heard of it any more."""

    flow: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolve:
    """Ask the system's own resolver for a name; :class:`Resolved` follows."""

    token: int
    name: str
    family: Family = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Hand a record to whoever watches, at once."""

    record: dict[str, Any]


Action = OpenUdp | OpenIcmp | OpenTcp | Send | Write | Close | Resolve | Report


# ---------------------------------------------------------------- what a machine hears


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """The instant of :meth:`Machine.next_time` has come."""

    time_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """The deadline of the whole has come: conclude from what is known. No action is carried out any more."""

    time_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A UDP socket stands; ``local`` is its address and port as far as the system has chosen them."""

    flow: int
    local: Address
    time_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A datagram has left, or the first packet of a TCP connection (then ``token`` is 0).

    It comes at once with the time of the program's clock; where the kernel stamps, a second one with
    ``by_kernel`` follows, and is the one to count from.
    """

    flow: int
    token: int
    time_ns: int
    by_kernel: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SendFailed:
    """A datagram did not leave this computer; ``error`` is the name of the system's error, such as ``EPERM``."""

    flow: int
    token: int
    time_ns: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Datagram:
    """A datagram has arrived: UDP payload, or the payload of an echo reply.

    Parameters
    ----------
    flow
        On which flow.
    data
        Payload: hostile.
    source
        Who sent it.
    time_ns
        When it arrived, by the kernel's stamp where ``by_kernel``.
    token
        Sequence number of an echo reply; ``None`` for UDP.
    ttl
        Remaining time to live, if the system shows it.
    traffic_class
        TOS or traffic-class byte, if the system shows it.
    """

    flow: int
    data: bytes
    source: Address
    time_ns: int
    by_kernel: bool = False
    token: int | None = None
    ttl: int | None = None
    traffic_class: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IcmpError:
    """A router or host reported that a packet of this flow was not delivered.

    Parameters
    ----------
    flow
        Which flow.
    router
        Who said so; ``None`` if the report came from this computer itself.
    type, code
        As on the wire (ICMP for IPv4, ICMPv6 for IPv6).
    time_ns
        When it arrived, by the kernel's stamp where ``by_kernel``.
    to
        Destination of the packet.
    data
        What was quoted of its payload; may be empty (RFC 792 asks for 8 bytes only).
    token
        Which packet, where the system can tell without the payload.
    mtu
        Of "fragmentation needed" or "packet too big" [bytes].
    ttl
        Remaining time to live of the report.
    quoted_traffic_class
        TOS byte as the router received it, if the system shows it.
    """

    flow: int
    router: str | None
    type: int
    code: int
    time_ns: int
    by_kernel: bool = False
    to: Address | None = None
    data: bytes = b""
    token: int | None = None
    mtu: int | None = None
    ttl: int | None = None
    quoted_traffic_class: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """A TCP connection stands; ``rtt_ns`` is the kernel's own measure of the handshake, if it shows it."""

    flow: int
    time_ns: int
    rtt_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectFailed:
    """A TCP connection did not come about; ``error`` such as ``ECONNREFUSED``, ``EHOSTUNREACH``, ``ETIMEDOUT``."""

    flow: int
    time_ns: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """Bytes have arrived on a TCP connection (never empty)."""

    flow: int
    data: bytes
    time_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """The other side has closed (``error`` is ``None``) or the connection broke (``ECONNRESET``, …)."""

    flow: int
    time_ns: int
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The system's resolver has answered; ``error`` is the name of its error (``EAI_NONAME``, …), ``None`` if none."""

    token: int
    addresses: tuple[str, ...]
    time_ns: int
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overflowed:
    """Arrived datagrams of a flow (``count``) that this computer itself threw away, since nobody read them in time."""

    flow: int
    count: int
    time_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockStepped:
    """The wall clock, from which kernel stamps are made, was set; stamps before and after do not compare."""

    step_ns: int
    time_ns: int


Event = (
    Timer
    | Stop
    | Opened
    | Sent
    | SendFailed
    | Datagram
    | IcmpError
    | Connected
    | ConnectFailed
    | Received
    | Closed
    | Resolved
    | Overflowed
    | ClockStepped
)


# ---------------------------------------------------------------- who asks, who hears


class Machine(Protocol):
    """A measurement without sockets and clocks."""

    @property
    def done(self) -> bool:
        """Whether the result stands; a machine that is done hears nothing more."""

    def start(self, now_ns: int) -> Iterable[Action]:
        """Say what to do first."""

    def on_event(self, event: Event, now_ns: int) -> Iterable[Action]:
        """Say what to do now."""

    def next_time(self) -> int | None:
        """Return when it wants a :class:`Timer` [ns]; ``None`` if it waits for answers only."""

    def result(self) -> Any:
        """Return what was found."""


class Network(Protocol):
    """Where actions are carried out."""

    def now_ns(self) -> int:
        """Read its clock [ns]."""

    def perform(self, owner: int, action: Action) -> None:
        """Carry out an action for machine number ``owner``; what goes wrong becomes an event."""

    def wait(self, until_ns: int) -> Sequence[tuple[int, Event]]:
        """Sleep until something is heard or the time has come, and return what was heard, each with its owner."""

    def close(self) -> None:
        """Close all flows."""


def run(
    machines: Sequence[Machine],
    network: Network,
    *,
    deadline_s: float,
    on_record: Callable[[dict[str, Any]], None] | None = None,
) -> list[Any]:
    """Run machines side by side until all are done or the deadline has come.

    Parameters
    ----------
    machines
        Measurements that share the network.
    network
        A real or a virtual one.
    deadline_s
        Longest time for all of it [s].
    on_record
        Hears each :class:`Report`.

    Returns
    -------
    results
        One for each machine, in order.
    """
    end_ns = network.now_ns() + round(deadline_s * NS_PER_S)

    def perform(owner: int, actions: Iterable[Action]) -> None:
        for action in actions:
            if isinstance(action, Report):
                if on_record is not None:
                    on_record(action.record)
            else:
                network.perform(owner, action)

    for owner, machine in enumerate(machines):
        perform(owner, machine.start(network.now_ns()))
    while working := [(owner, machine) for owner, machine in enumerate(machines) if not machine.done]:
        due_ns = min((due for _, machine in working if (due := machine.next_time()) is not None), default=end_ns)
        for owner, event in network.wait(min(due_ns, end_ns)):
            if not machines[owner].done:
                perform(owner, machines[owner].on_event(event, network.now_ns()))
        now_ns = network.now_ns()
        if now_ns >= end_ns:
            for owner, machine in working:
                if not machine.done:
                    stopping = machine.on_event(Stop(time_ns=now_ns), now_ns)
                    perform(owner, (action for action in stopping if isinstance(action, Report)))
            break
        for owner, machine in working:
            if not machine.done and (wanted := machine.next_time()) is not None and wanted <= now_ns:
                perform(owner, machine.on_event(Timer(time_ns=now_ns), now_ns))
    return [machine.result() for machine in machines]
