"""Linux: ICMP errors by the error queue, kernel time stamps there and back, all without rights (ip(7), timestamping).

``IP_RECVERR`` gives for each UDP, TCP and echo socket the router that reported, type and code, and what was quoted;
``SO_TIMESTAMPING`` with ``OPT_ID`` gives the instant at which each datagram left for the device and arrived from it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import select
import selectors
import socket
import struct
import time
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from ccp_assess.probe.machine import ClockStepped, Datagram, IcmpError, OpenIcmp, Overflowed, Send, Sent
from ccp_assess.probe.systems.listening import ListeningNetwork
from ccp_assess.probe.systems.sockets import FAMILIES, LARGEST_BYTES, MOST_READS, Channel
from ccp_assess.units import NS_PER_S

# Numbers of <linux/in.h>, <linux/in6.h>, <asm-generic/socket.h>, <linux/net_tstamp.h>, <linux/errqueue.h>
IP_TOS, IP_TTL, IP_MTU_DISCOVER, IP_RECVERR, IP_RECVTTL, IP_RECVTOS = 1, 2, 10, 11, 12, 13
IPV6_UNICAST_HOPS, IPV6_MTU_DISCOVER, IPV6_RECVERR = 16, 23, 25
IPV6_RECVHOPLIMIT, IPV6_HOPLIMIT, IPV6_RECVTCLASS, IPV6_TCLASS = 51, 52, 66, 67
PMTUDISC_DONT, PMTUDISC_PROBE = 0, 3
SO_TIMESTAMPING, SO_MEMINFO = 37, 55
STAMPING = (1 << 1) | (1 << 3) | (1 << 4)  # TX_SOFTWARE, RX_SOFTWARE, SOFTWARE
STAMPING_IDS = (1 << 7) | (1 << 11)  # OPT_ID, OPT_TSONLY
TCP_INFO, TCP_SYNCNT = 11, 7
ORIGIN_LOCAL, ORIGIN_ICMP, ORIGIN_ICMP6, ORIGIN_TIMESTAMPING = 1, 2, 3, 4

_EXTENDED_ERROR = struct.Struct("=IBBBBII")  # struct sock_extended_err
_STAMPS = struct.Struct("=qqqqqq")  # struct scm_timestamping
_ECHO = struct.Struct("!BBHHH")
_MEMINFO = struct.Struct("=9I")  # SK_MEMINFO_VARS of <linux/sock_diag.h>; the last is the number of drops
_ANCILLARY_BYTES = 512
_STEP_NS = 50_000
_BRACKET_NS = 20_000

ECHO_REQUEST = {4: 8, 6: 128}
ECHO_REPLY = {4: 0, 6: 129}


class LinuxNetwork(ListeningNetwork):
    """The real network on Linux."""

    icmp_kind = socket.SOCK_RAW

    def __init__(self) -> None:
        self._epoll = selectors.EpollSelector()
        super().__init__(self._epoll)
        self._offset_ns = _clock_offset()[0]
        # The kernel begins to stamp when the first socket asks for it: one that stays open keeps it ready.
        self._keeper = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with contextlib.suppress(OSError):
            self._keeper.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, STAMPING)
        self.technique_reasons = {"udp": None, "tcp": None, "icmp": _why_no_echo()}

    def close(self) -> None:
        """Close everything."""
        self._keeper.close()
        super().close()

    def poll(self, timeout_s: float) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait with microseconds: epoll alone counts in whole milliseconds and would make each packet late."""
        if timeout_s > 0.0:
            select.select([self._epoll.fileno()], [], [], timeout_s)
        ready = self.selector.select(0.0)
        self._watch_clock()
        return ready

    def _watch_clock(self) -> None:
        offset_ns, bracket_ns = _clock_offset()
        step_ns = offset_ns - self._offset_ns
        if abs(step_ns) > _STEP_NS and bracket_ns < _BRACKET_NS:
            self._offset_ns = offset_ns
            now_ns = self.now_ns()
            self.heard.extend((owner, ClockStepped(step_ns=step_ns, time_ns=now_ns)) for owner in sorted(self.owners))

    # ------------------------------------------------------------ sockets

    def prepare(self, channel: Channel, *, dont_fragment: bool) -> None:
        """Ask for errors, TTL, traffic class and stamps."""
        sock = channel.sock
        discover = PMTUDISC_PROBE if dont_fragment else PMTUDISC_DONT
        if channel.family == 4:
            level, options = socket.IPPROTO_IP, ((IP_RECVERR, 1), (IP_RECVTTL, 1), (IP_RECVTOS, 1))
            dont = (IP_MTU_DISCOVER, discover)
        else:
            level = socket.IPPROTO_IPV6
            options = ((IPV6_RECVERR, 1), (IPV6_RECVHOPLIMIT, 1), (IPV6_RECVTCLASS, 1))
            dont = (IPV6_MTU_DISCOVER, discover)
        for option, value in options if channel.kind == "tcp" else (*options, dont):
            sock.setsockopt(level, option, value)
        with contextlib.suppress(OSError):
            self._number_stamps(channel)

    @staticmethod
    def _number_stamps(channel: Channel) -> None:
        """Begin to number the stamps of a socket's packets at zero."""
        channel.stamped.clear()
        channel.packets = 0
        channel.sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, STAMPING)
        if channel.kind != "tcp":  # on a stream the numbers count bytes, and nobody asks for them
            channel.sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, STAMPING | STAMPING_IDS)

    def open_icmp_socket(self, action: OpenIcmp) -> socket.socket:
        """Make an echo socket (allowed to the groups of ``net.ipv4.ping_group_range``)."""
        protocol = socket.IPPROTO_ICMP if action.family == 4 else socket.IPPROTO_ICMPV6
        return socket.socket(FAMILIES[action.family], socket.SOCK_DGRAM, protocol)

    def open_icmp(self, owner: int, action: OpenIcmp) -> None:
        """Open an echo flow: the kernel's own kind where it is allowed, else a raw one where that is."""
        try:
            sock = self.open_icmp_socket(action)
        except OSError:
            super().open_icmp(owner, action)
            return
        channel = Channel(owner, action.flow, "icmp", action.family, sock)
        self.add_datagrams(channel, action.source)

    def transmit(self, channel: Channel, action: Send) -> None:
        """Send one datagram with its own TTL and traffic class, without touching the socket's."""
        if channel.identifier is not None:
            super().transmit(channel, action)
            return
        if action.traffic_class is not None:
            self.listen(channel.family)
        v4 = channel.family == 4
        level = socket.IPPROTO_IP if v4 else socket.IPPROTO_IPV6
        options: list[tuple[int, int, bytes]] = []
        if action.ttl is not None:
            options.append((level, IP_TTL if v4 else IPV6_HOPLIMIT, struct.pack("=i", action.ttl)))
        if action.traffic_class is not None:
            options.append((level, IP_TOS if v4 else IPV6_TCLASS, struct.pack("=i", action.traffic_class)))
        data = action.data
        if channel.kind == "icmp":
            data = _ECHO.pack(ECHO_REQUEST[channel.family], 0, 0, 0, action.token & 0xFFFF) + data
        try:
            if channel.connected or action.to is None:
                channel.sock.sendmsg([data], options)
            else:
                channel.sock.sendmsg([data], options, 0, action.to)
        except OSError:
            # Kernels differ in whether a packet that failed was numbered: begin anew.
            with contextlib.suppress(OSError):
                self._number_stamps(channel)
            raise
        channel.stamped[channel.packets] = action.token
        channel.packets += 1

    # ------------------------------------------------------------ what arrives

    def drain(self, channel: Channel) -> None:
        """Read datagrams with their stamps."""
        for _ in range(MOST_READS):
            try:
                data, ancillary, _, source = channel.sock.recvmsg(LARGEST_BYTES, _ANCILLARY_BYTES)
            except BlockingIOError:
                break
            except OSError:  # the error of an earlier packet; the error queue tells which
                self.drain_errors(channel)
                continue
            facts = _read_ancillary(ancillary)
            time_ns, by_kernel = self._instant(facts)
            token = None
            if channel.kind == "icmp":
                if len(data) < 8 or data[0] != ECHO_REPLY[channel.family]:
                    continue
                token, data = int.from_bytes(data[6:8], "big"), data[8:]
            event = Datagram(
                flow=channel.flow,
                data=data,
                source=(source[0], source[1]),
                time_ns=time_ns,
                by_kernel=by_kernel,
                token=token,
                ttl=facts.get("ttl"),
                traffic_class=facts.get("traffic_class"),
            )
            self.tell(channel, event)
        self._watch_overflow(channel)

    def _watch_overflow(self, channel: Channel) -> None:
        """Compare the socket's count of thrown away datagrams: what was dropped, was so while it held what we read."""
        try:
            dropped = _MEMINFO.unpack(channel.sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, _MEMINFO.size))[8]
        except (OSError, struct.error):  # before Linux 4.12
            return
        if dropped > channel.overflowed:
            count, channel.overflowed = dropped - channel.overflowed, dropped
            self.tell(channel, Overflowed(flow=channel.flow, count=count, time_ns=self.now_ns()))

    def drain_errors(self, channel: Channel) -> None:
        """Read stamps of what was sent, and ICMP errors."""
        for _ in range(MOST_READS * 4):
            try:
                data, ancillary, _, to = channel.sock.recvmsg(1024, _ANCILLARY_BYTES, socket.MSG_ERRQUEUE)
            except OSError:  # nothing more
                return
            facts = _read_ancillary(ancillary)
            time_ns, by_kernel = self._instant(facts)
            origin, number = facts.get("origin"), facts.get("number", 0)
            if origin == ORIGIN_TIMESTAMPING:
                token = channel.stamped.pop(number, None)
                if token is not None and by_kernel:
                    self.tell(channel, Sent(flow=channel.flow, token=token, time_ns=time_ns, by_kernel=True))
                continue
            if origin is None or facts.get("errno") == errno.ENOMSG:
                continue
            sequence = None
            if channel.kind == "icmp" and len(data) >= 8:
                sequence, data = int.from_bytes(data[6:8], "big"), data[8:]
            local_too_big = origin == ORIGIN_LOCAL and facts.get("errno") == errno.EMSGSIZE
            too_big = local_too_big or (facts["type"], facts["code"], origin) in _TOO_BIG
            event = IcmpError(
                flow=channel.flow,
                router=facts.get("offender"),
                type=facts["type"],
                code=facts["code"],
                time_ns=time_ns,
                by_kernel=by_kernel,
                to=(to[0], to[1]) if to else channel.remote,
                data=b"" if channel.kind == "tcp" else data,
                token=sequence,
                mtu=facts.get("info") if too_big else None,
                ttl=facts.get("ttl"),
            )
            self.tell(channel, event)

    def receive_icmp(self, listener: socket.socket) -> tuple[bytes, str, int, bool, int | None]:
        """Read one message of a raw ICMP socket with its stamp."""
        data, ancillary, _, source = listener.recvmsg(LARGEST_BYTES, _ANCILLARY_BYTES)
        facts = _read_ancillary(ancillary)
        return (data, source[0], *self._instant(facts), facts.get("ttl"))

    def prepare_listener(self, listener: socket.socket, family: int) -> None:
        """Ask for stamps and, where there is no IP header, for the hop limit."""
        with contextlib.suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, STAMPING)
            if family == 6:
                listener.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1)

    def _instant(self, facts: dict[str, Any]) -> tuple[int, bool]:
        stamp_ns = facts.get("stamp_ns")
        return (self.now_ns(), False) if stamp_ns is None else (stamp_ns - self._offset_ns, True)

    def handshake_rtt_ns(self, channel: Channel) -> int | None:
        """Read the kernel's first round-trip sample of a connection (struct tcp_info); none after a repeated SYN."""
        try:
            info = channel.sock.getsockopt(socket.IPPROTO_TCP, TCP_INFO, 104)
        except OSError:
            return None
        if len(info) < 104:
            return None
        (rtt_us,), (repeated,) = struct.unpack_from("=I", info, 68), struct.unpack_from("=I", info, 100)
        return rtt_us * 1000 if rtt_us and not repeated else None


_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}  # <asm/unistd.h>
_TURN_NS = 100_000

_TOO_BIG = {(3, 4, ORIGIN_ICMP), (2, 0, ORIGIN_ICMP6)}


def ask_for_short_turns() -> None:
    """Get the processor soon after waking: real time where this user may, else short turns, which everyone may ask for.

    On busy cores a process waits for its turn; since Linux 6.12 one that asks for short turns (``sched_setattr``,
    0.1 ms) gets them earlier. Older kernels take no notice.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(os.sched_get_priority_min(os.SCHED_RR)))
    except OSError:
        number = _SCHED_SETATTR.get(platform.machine())
        if number is not None:
            # struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period
            wanted = struct.pack("=IIQiIQQQ", 48, os.SCHED_OTHER, 0, os.nice(0), 0, _TURN_NS, 0, 0)
            with contextlib.suppress(OSError):
                ctypes.CDLL(None, use_errno=True).syscall(number, 0, wanted, 0)


def _clock_offset() -> tuple[int, int]:
    """Return wall clock minus monotonic clock, and how far apart the two readings around it were [ns]."""
    before_ns = time.perf_counter_ns()
    wall_ns = time.time_ns()
    after_ns = time.perf_counter_ns()
    return wall_ns - (before_ns + after_ns) // 2, after_ns - before_ns


def _read_ancillary(ancillary: list[tuple[int, int, bytes]]) -> dict[str, Any]:
    """Read the control messages of one packet into named facts."""
    facts: dict[str, Any] = {}
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET:
            if kind == SO_TIMESTAMPING and len(data) >= _STAMPS.size:
                seconds, nanoseconds = _STAMPS.unpack_from(data)[:2]
                if seconds:
                    facts["stamp_ns"] = seconds * NS_PER_S + nanoseconds
        elif (level, kind) in {(socket.IPPROTO_IP, IP_TTL), (socket.IPPROTO_IPV6, IPV6_HOPLIMIT)}:
            facts["ttl"] = struct.unpack_from("=i", data)[0]
        elif (level, kind) == (socket.IPPROTO_IP, IP_TOS):
            facts["traffic_class"] = data[0]
        elif (level, kind) == (socket.IPPROTO_IPV6, IPV6_TCLASS):
            facts["traffic_class"] = struct.unpack_from("=i", data)[0]
        elif (level, kind) in {(socket.IPPROTO_IP, IP_RECVERR), (socket.IPPROTO_IPV6, IPV6_RECVERR)}:
            facts.update(_read_extended_error(data))
    return facts


def _read_extended_error(data: bytes) -> dict[str, Any]:
    """Read ``struct sock_extended_err`` and the address of who reported, which follows it."""
    if len(data) < _EXTENDED_ERROR.size:
        return {}
    number, origin, kind, code, _, info, extra = _EXTENDED_ERROR.unpack_from(data)
    facts = {"errno": number, "origin": origin, "type": kind, "code": code, "info": info, "number": extra}
    rest = data[_EXTENDED_ERROR.size :]
    if len(rest) >= 8:
        family = struct.unpack_from("=H", rest)[0]
        if family == socket.AF_INET:
            facts["offender"] = str(IPv4Address(rest[4:8]))
        elif family == socket.AF_INET6 and len(rest) >= 24:
            facts["offender"] = str(IPv6Address(rest[8:24]))
    return facts


def _why_no_echo() -> str | None:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        with contextlib.suppress(OSError):
            socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP).close()
            return None
    return "echo sockets are not allowed to this user (net.ipv4.ping_group_range)"
