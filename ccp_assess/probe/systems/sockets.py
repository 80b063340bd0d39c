"""The real network with plain sockets only: what every system can do; the back ends of the systems add to it.

One selector, no thread that runs Python code while something is measured (names are resolved by threads that only
wait inside the system's resolver).
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import selectors
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from ccp_assess.probe.machine import (
    Action,
    Address,
    Close,
    Closed,
    Connected,
    ConnectFailed,
    Datagram,
    Event,
    Family,
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
from ccp_assess.units import NS_PER_S

LARGEST_BYTES = 2048
"""More than any answer that we ask for."""

MOST_READS = 64
"""So many datagrams of one socket are read before others get their turn."""

FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


@dataclass(slots=True, eq=False)
class Channel:
    """One open flow."""

    owner: int
    flow: int
    kind: str  # udp, icmp, tcp
    family: Family
    sock: socket.socket
    remote: Address | None = None
    connected: bool = False
    unsent: bytearray = field(default_factory=bytearray)
    ttl: int | None = None
    traffic_class: int | None = None
    stamped: dict[int, int] = field(default_factory=dict)  # number of the packet on its socket → token
    packets: int = 0
    overflowed: int = 0
    identifier: int | None = None  # of its echo requests, where they are built here


class SocketNetwork:
    """The real network.

    Parameters
    ----------
    selector
        Waits for sockets; a test may give its own.

    Attributes
    ----------
    source
        Local address that flows are sent from where nothing else is asked: one path out of several. Flows to this
        computer itself, such as to its own resolver, are not bound by it.
    """

    source: str | None = None

    technique_reasons: dict[str, str | None] = {  # noqa: RUF012 -- a table that back ends replace
        "udp": "this system shows no ICMP errors of UDP sockets to programs without rights",
        "icmp": "this system gives no echo sockets to programs without rights",
        "tcp": "this system shows no ICMP errors of TCP sockets to programs without rights",
    }
    """Technique of tracing → why it cannot be had here; ``None`` where it can."""

    def __init__(self, selector: selectors.BaseSelector | None = None) -> None:
        self.selector = selector or selectors.DefaultSelector()
        self.channels: dict[tuple[int, int], Channel] = {}
        self.heard: list[tuple[int, Event]] = []
        self.owners: set[int] = set()
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.settimeout(0)
        self._wake_writer.settimeout(0)
        self._from_threads: list[tuple[int, Event]] = []
        self._lock = threading.Lock()
        self.selector.register(self._wake_reader, selectors.EVENT_READ, self._take_from_threads)

    # ------------------------------------------------------------ what the contract asks for

    def now_ns(self) -> int:
        """Read the finest monotonic clock of this system (Windows' plain one ticks every 15.6 ms) [ns]."""
        return time.perf_counter_ns()

    def close(self) -> None:
        """Close everything."""
        for channel in list(self.channels.values()):
            self._close(channel)
        self.selector.close()
        self._wake_reader.close()
        self._wake_writer.close()

    def perform(self, owner: int, action: Action) -> None:
        """Carry out one action; what goes wrong becomes an event."""
        self.owners.add(owner)
        match action:
            case Send():
                self._send(owner, action)
            case OpenUdp():
                self._open_udp(owner, action)
            case OpenIcmp():
                self.open_icmp(owner, action)
            case OpenTcp():
                self._open_tcp(owner, action)
            case Write():
                self._write(owner, action)
            case Close():
                channel = self.channels.get((owner, action.flow))
                if channel is not None:
                    self._close(channel)
                self.heard = [(whose, one) for whose, one in self.heard if not _is_of(whose, one, owner, action.flow)]
            case Resolve():
                threading.Thread(target=self._resolve, args=(owner, action), daemon=True).start()

    def wait(self, until_ns: int) -> Sequence[tuple[int, Event]]:
        """Sleep until something is heard or the time has come."""
        if not self.heard:
            for key, mask in self.poll(max(until_ns - self.now_ns(), 0) / NS_PER_S):
                if isinstance(key.data, Channel):
                    self._on_ready(key.data, mask)
                else:
                    key.data()
        heard, self.heard = self.heard, []
        # Sockets are read one after the other; what a late reader hears shall still come in the order of its stamps.
        heard.sort(key=lambda one: one[1].time_ns)
        return heard

    # ------------------------------------------------------------ what a system may do better

    def poll(self, timeout_s: float) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for sockets."""
        return self.selector.select(timeout_s)

    def prepare(self, channel: Channel, *, dont_fragment: bool) -> None:
        """Set options of a new socket."""

    def prepare_limited(self, channel: Channel) -> None:
        """Set options of a TCP socket whose SYN has a limited TTL."""

    def transmit(self, channel: Channel, action: Send) -> None:
        """Hand one datagram to the system."""
        self.set_options(channel, action)
        if channel.connected:
            channel.sock.send(action.data)
        elif action.to is not None:
            channel.sock.sendto(action.data, action.to)

    def set_options(self, channel: Channel, action: Send) -> None:
        """Set TTL and traffic class of a socket to those of the next packet, where they differ."""
        v4 = channel.family == 4
        if action.ttl != channel.ttl:
            _set_ttl(channel, action.ttl or 64)
            channel.ttl = action.ttl
        if action.traffic_class != channel.traffic_class:
            option = socket.IP_TOS if v4 else getattr(socket, "IPV6_TCLASS", 67)
            with contextlib.suppress(OSError):  # Windows takes it from a policy only
                level = socket.IPPROTO_IP if v4 else socket.IPPROTO_IPV6
                channel.sock.setsockopt(level, option, action.traffic_class or 0)
            channel.traffic_class = action.traffic_class

    def drain(self, channel: Channel) -> None:
        """Read what has arrived on a UDP or ICMP socket."""
        for _ in range(MOST_READS):
            try:
                data, source = channel.sock.recvfrom(LARGEST_BYTES)
            except BlockingIOError:
                return
            except (
                OSError
            ):  # an ICMP error that a system hands to the next call: those who can tell more do it elsewhere
                continue
            self.tell(
                channel,
                Datagram(flow=channel.flow, data=data, source=(source[0], source[1]), time_ns=self.now_ns()),
            )

    def drain_errors(self, channel: Channel) -> None:
        """Read the ICMP errors of a socket, where the system shows them."""

    def handshake_rtt_ns(self, channel: Channel) -> int | None:  # noqa: ARG002 -- for back ends
        """Return the kernel's own measure of a TCP handshake; ``None`` where it shows none."""
        return None

    # ------------------------------------------------------------ opening, sending

    def tell(self, channel: Channel, event: Event) -> None:
        """Queue an event for the machine of a flow."""
        self.heard.append((channel.owner, event))

    def _add(self, channel: Channel, mask: int) -> None:
        self.channels[channel.owner, channel.flow] = channel
        self.selector.register(channel.sock, mask, channel)

    def _open_udp(self, owner: int, action: OpenUdp) -> None:
        sock = socket.socket(FAMILIES[action.family], socket.SOCK_DGRAM)
        channel = Channel(owner, action.flow, "udp", action.family, sock, action.remote)
        try:
            sock.settimeout(0)
            if action.buffer_bytes is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, action.buffer_bytes)
            self.prepare(channel, dont_fragment=action.dont_fragment)
            source = action.source or self._source_towards(action.remote, action.family)
            sock.bind((source or ("0.0.0.0" if action.family == 4 else "::"), 0))  # noqa: S104 -- any interface
            if action.remote is not None:
                sock.connect(action.remote)
                channel.connected = True
        except OSError:  # no route: each send will say so
            channel.connected = False
        self._add(channel, selectors.EVENT_READ)
        local = sock.getsockname()
        self.tell(channel, Opened(flow=action.flow, local=(local[0], local[1]), time_ns=self.now_ns()))

    def _source_towards(self, remote: Address | None, family: Family) -> str | None:
        if self.source is None or (":" in self.source) != (family == 6):
            return None
        return (
            None
            if remote is not None and ipaddress.ip_address(remote[0].partition("%")[0]).is_loopback
            else self.source
        )

    def open_icmp(self, owner: int, action: OpenIcmp) -> None:
        """Open an echo flow; where that cannot be had each send says so."""

    def add_datagrams(self, channel: Channel, source: str | None) -> None:
        """Take up a socket of the system's that carries datagrams."""
        channel.sock.settimeout(0)
        self.prepare(channel, dont_fragment=False)
        if source is not None:
            with contextlib.suppress(OSError):
                channel.sock.bind((source, 0))
        self._add(channel, selectors.EVENT_READ)

    def _send(self, owner: int, action: Send) -> None:
        channel = self.channels.get((owner, action.flow))
        if channel is None:
            failed = SendFailed(flow=action.flow, token=action.token, time_ns=self.now_ns(), error="EPERM")
            self.heard.append((owner, failed))
            return
        begins_ns = self.now_ns()  # before: a reading afterwards may be of long after, if we are interrupted
        for last in (False, True):
            try:
                if channel.remote is not None and not channel.connected:
                    channel.sock.connect(channel.remote)
                    channel.connected = True
                self.transmit(channel, action)
            except OSError as error:
                # A pending report about an earlier packet fails the next call once; that is no failure of this one.
                if last or error.errno not in {errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EPROTO}:
                    event = SendFailed(
                        flow=action.flow, token=action.token, time_ns=self.now_ns(), error=error_name(error)
                    )
                    self.tell(channel, event)
                    return
                self.drain_errors(channel)
            else:
                break
        self.tell(channel, Sent(flow=action.flow, token=action.token, time_ns=begins_ns))

    def _close(self, channel: Channel) -> None:
        self.channels.pop((channel.owner, channel.flow), None)
        with contextlib.suppress(KeyError, ValueError):
            self.selector.unregister(channel.sock)
        channel.sock.close()

    # ------------------------------------------------------------ TCP

    def _open_tcp(self, owner: int, action: OpenTcp) -> None:
        family: Family = 6 if ":" in action.remote[0] else 4
        sock = socket.socket(FAMILIES[family], socket.SOCK_STREAM)
        channel = Channel(owner, action.flow, "tcp", family, sock, action.remote)
        try:
            sock.settimeout(0)
            self.prepare(channel, dont_fragment=False)
            if action.ttl is not None:
                _set_ttl(channel, action.ttl)
                self.prepare_limited(channel)
            source = action.source or self._source_towards(action.remote, family)
            if source is not None:
                sock.bind((source, 0))
            begins_ns = self.now_ns()
            sock.connect(action.remote)
        except BlockingIOError:
            self.tell(channel, Sent(flow=action.flow, token=0, time_ns=begins_ns))
        except OSError as error:
            sock.close()
            event = ConnectFailed(flow=action.flow, time_ns=self.now_ns(), error=error_name(error))
            self.heard.append((owner, event))
            return
        self._add(channel, selectors.EVENT_READ | selectors.EVENT_WRITE)

    def _on_ready(self, channel: Channel, mask: int) -> None:
        if self.channels.get((channel.owner, channel.flow)) is not channel:
            return
        self.drain_errors(channel)
        if channel.kind != "tcp":
            self.drain(channel)
        elif not channel.connected:
            self._finish_connecting(channel)
        else:
            if mask & selectors.EVENT_WRITE:
                self._flush(channel)
            if mask & selectors.EVENT_READ:
                self._read(channel)

    def _finish_connecting(self, channel: Channel) -> None:
        number = channel.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            self._failed(channel, error_name(OSError(number, "")))
            return
        try:
            channel.sock.getpeername()
        except OSError:
            return  # a report about the SYN woke us, but the system still tries
        channel.connected = True
        self.selector.modify(channel.sock, selectors.EVENT_READ, channel)
        event = Connected(flow=channel.flow, time_ns=self.now_ns(), rtt_ns=self.handshake_rtt_ns(channel))
        self.tell(channel, event)
        self._read(channel)

    def _failed(self, channel: Channel, error: str) -> None:
        self._close(channel)
        self.tell(channel, ConnectFailed(flow=channel.flow, time_ns=self.now_ns(), error=error))

    def _write(self, owner: int, action: Write) -> None:
        channel = self.channels.get((owner, action.flow))
        if channel is not None:
            channel.unsent += action.data
            self._flush(channel)

    def _flush(self, channel: Channel) -> None:
        try:
            while channel.unsent:
                del channel.unsent[: channel.sock.send(channel.unsent)]
        except BlockingIOError:
            pass
        except OSError as error:
            self._close(channel)
            self.tell(channel, Closed(flow=channel.flow, time_ns=self.now_ns(), error=error_name(error)))
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if channel.unsent else 0)
        if self.selector.get_key(channel.sock).events != wanted:
            self.selector.modify(channel.sock, wanted, channel)

    def _read(self, channel: Channel) -> None:
        try:
            data = channel.sock.recv(65_536)
        except BlockingIOError:
            return
        except OSError as error:
            self._close(channel)
            self.tell(channel, Closed(flow=channel.flow, time_ns=self.now_ns(), error=error_name(error)))
            return
        if data:
            self.tell(channel, Received(flow=channel.flow, data=data, time_ns=self.now_ns()))
        else:
            self._close(channel)
            self.tell(channel, Closed(flow=channel.flow, time_ns=self.now_ns()))

    # ------------------------------------------------------------ names, and other things that block

    def from_thread(self, owner: int, event: Event) -> None:
        """Queue an event from another thread and wake the loop."""
        with self._lock:
            self._from_threads.append((owner, event))
        with contextlib.suppress(OSError):  # full means that it wakes anyway; closed, that nobody waits
            self._wake_writer.send(b"x")

    def _take_from_threads(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._wake_reader.recv(4096):
                pass
        with self._lock:
            arrived, self._from_threads = self._from_threads, []
        # What a thread brings of a flow that was closed meanwhile is of no use to anyone.
        self.heard += [
            (owner, event)
            for owner, event in arrived
            if isinstance(event, Resolved) or (owner, getattr(event, "flow", None)) in self.channels
        ]

    def _resolve(self, owner: int, action: Resolve) -> None:
        error = None
        addresses: tuple[str, ...] = ()
        try:
            rows = socket.getaddrinfo(action.name, None, FAMILIES[action.family], socket.SOCK_STREAM)
            addresses = tuple(dict.fromkeys(str(row[4][0]) for row in rows))
        except socket.gaierror as failed:
            error = _GAI_NAMES.get(failed.errno or 0, f"EAI_{failed.errno}")
        except (OSError, UnicodeError) as failed:
            error = type(failed).__name__
        found = Resolved(token=action.token, addresses=addresses, time_ns=time.perf_counter_ns(), error=error)
        self.from_thread(owner, found)


def _is_of(whose: int, event: Event, owner: int, flow: int) -> bool:
    return whose == owner and getattr(event, "flow", None) == flow


def _set_ttl(channel: Channel, ttl: int) -> None:
    if channel.family == 4:
        channel.sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
    else:
        channel.sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)


_GAI_NAMES = {getattr(socket, name): name for name in dir(socket) if name.startswith("EAI_")}


def error_name(error: OSError) -> str:
    """Return the name of a system's error.

    Parameters
    ----------
    error
        Such as ``PermissionError(1, "Operation not permitted")``.

    Returns
    -------
    name
        Such as ``EPERM``, and the same for Windows' numbers of sockets (``WSAECONNREFUSED`` is ``ECONNREFUSED``).
    """
    return errno.errorcode.get(error.errno or 0, type(error).__name__).removeprefix("WSA")
