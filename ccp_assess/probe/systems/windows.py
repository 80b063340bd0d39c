"""Windows: echo requests by the system's own ICMP functions, TCP connects that tell who reported; no rights needed.

``IcmpSendEcho`` and ``Icmp6SendEcho2`` (iphlpapi) block, so each call has a thread that only waits. A TCP connect with
``TCP_FAIL_CONNECT_ON_ICMP_ERROR`` ends with the report of the router, which ``TCP_ICMP_ERROR_INFO`` shows (Windows 10
2004 and later). UDP sockets show no reports here; media ports are traced by TCP 443 or by echo requests instead.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Protocol

from ccp_assess.probe.machine import Datagram, IcmpError, OpenIcmp, Send, Sent
from ccp_assess.probe.systems.sockets import Channel, SocketNetwork

# <ws2ipdef.h>, <mstcpip.h>, <ws2tcpip.h>
TCP_NOSYNRETRIES, TCP_FAIL_CONNECT_ON_ICMP_ERROR, TCP_ICMP_ERROR_INFO = 9, 18, 19
IP_DONTFRAGMENT = 14
ICMP_ERROR_INFO_BYTES = 36

HIGH_PRIORITY_CLASS = 0x80  # <winbase.h>

ECHO_WAIT_MS = 2_000
MOST_WAITING = 192
"""Echo calls that wait at the same time, a thread each."""

# <ipexport.h>: status of an echo call → type and code as on the wire, for IPv4 and for IPv6
STATUS = {
    11_002: ((3, 0), (1, 0)),
    11_003: ((3, 1), (1, 3)),
    11_004: ((3, 2), (1, 1)),
    11_005: ((3, 3), (1, 4)),
    11_009: ((3, 4), (2, 0)),
    11_013: ((11, 0), (3, 0)),
}
SUCCESS = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoResult:
    """What one echo call returned: its status, who answered, and the payload of an answer."""

    status: int
    source: str | None
    ttl: int | None
    data: bytes


class EchoCall(Protocol):
    """Sends one echo request and waits for what comes of it."""

    def __call__(self, address: str, payload: bytes, ttl: int, wait_ms: int) -> EchoResult | None:
        """Return ``None`` where nothing came."""


class WindowsNetwork(SocketNetwork):
    """The real network on Windows.

    Parameters
    ----------
    echo
        Sends one echo request; a test may give its own.
    """

    def __init__(self, echo: EchoCall | None = None) -> None:
        super().__init__()
        self.echo = echo or _SystemEcho()
        self.pool = ThreadPoolExecutor(MOST_WAITING, thread_name_prefix="echo")
        self.technique_reasons = {
            "udp": "Windows shows no ICMP errors of UDP sockets to programs without rights",
            "icmp": None,
            "tcp": self._why_no_tcp(),
        }

    def close(self) -> None:
        """Close everything; calls that still wait are not waited for."""
        self.pool.shutdown(wait=False, cancel_futures=True)
        super().close()

    @staticmethod
    def _why_no_tcp() -> str | None:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
            try:
                one.setsockopt(socket.IPPROTO_TCP, TCP_FAIL_CONNECT_ON_ICMP_ERROR, 1)
            except OSError:
                return "this Windows is older than 10 2004 and does not tell why a connect failed"
        return None

    def prepare(self, channel: Channel, *, dont_fragment: bool) -> None:
        """Set DF; let a connect fail by the report of a router, and try its SYN once."""
        if channel.kind == "udp" and channel.family == 4:
            channel.sock.setsockopt(socket.IPPROTO_IP, IP_DONTFRAGMENT, int(dont_fragment))
        elif channel.kind == "tcp":
            with contextlib.suppress(OSError):
                channel.sock.setsockopt(socket.IPPROTO_TCP, TCP_FAIL_CONNECT_ON_ICMP_ERROR, 1)

    def prepare_limited(self, channel: Channel) -> None:
        """Send the SYN of a connect with a limited TTL once only."""
        with contextlib.suppress(OSError):
            channel.sock.setsockopt(socket.IPPROTO_TCP, TCP_NOSYNRETRIES, 1)

    def open_icmp(self, owner: int, action: OpenIcmp) -> None:
        """Open an echo flow: no socket, the system's function does it."""
        sock = socket.socket(socket.AF_INET if action.family == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
        self.channels[owner, action.flow] = Channel(owner, action.flow, "icmp", action.family, sock)

    def transmit(self, channel: Channel, action: Send) -> None:
        """Send a datagram; an echo request by a thread that waits for its answer."""
        if channel.kind == "icmp" and action.to is not None:
            self.pool.submit(self._ask, channel, action, action.to[0])
        else:
            super().transmit(channel, action)

    def _ask(self, channel: Channel, action: Send, address: str) -> None:
        begins_ns = self.now_ns()
        self.from_thread(channel.owner, Sent(flow=action.flow, token=action.token, time_ns=begins_ns))
        found = self.echo(address, action.data, action.ttl or 64, ECHO_WAIT_MS)
        event = None if found is None else heard_from_echo(found, action, address, channel.family, self.now_ns())
        if event is not None:
            self.from_thread(channel.owner, event)

    def drain_errors(self, channel: Channel) -> None:
        """Read which router ended a connect."""
        if channel.kind != "tcp" or channel.connected:
            return
        try:
            info = channel.sock.getsockopt(socket.IPPROTO_TCP, TCP_ICMP_ERROR_INFO, ICMP_ERROR_INFO_BYTES)
        except OSError:  # none, or a system that does not know the option
            return
        found = parse_icmp_error_info(info)
        if found is not None:
            router, kind, code = found
            event = IcmpError(
                flow=channel.flow, router=router, type=kind, code=code, time_ns=self.now_ns(), to=channel.remote
            )
            self.tell(channel, event)


def parse_icmp_error_info(info: bytes) -> tuple[str, int, int] | None:
    """Read ``ICMP_ERROR_INFO`` (ws2ipdef.h): a ``SOCKADDR_INET`` of 28 bytes, a protocol, type and code.

    Parameters
    ----------
    info
        What ``getsockopt`` gave.

    Returns
    -------
    router, type, code
        ``None`` if there is no address in it.
    """
    if len(info) < 34:
        return None
    family = struct.unpack_from("=H", info)[0]
    if family == 2:
        return str(IPv4Address(info[4:8])), info[32], info[33]
    if family == 23:  # AF_INET6 of Windows
        return str(IPv6Address(info[8:24])), info[32], info[33]
    return None


def heard_from_echo(
    found: EchoResult, action: Send, address: str, family: int, now_ns: int
) -> Datagram | IcmpError | None:
    """Say what the result of an echo call means.

    Parameters
    ----------
    found
        The result.
    action
        What was sent.
    address
        Where to.
    family
        IP version.
    now_ns
        When the call returned.

    Returns
    -------
    event
        ``None`` where nothing was heard, or the system itself could not send.
    """
    token = action.token & 0xFFFF
    if found.status == SUCCESS:
        return Datagram(
            flow=action.flow,
            data=found.data,
            source=(found.source or address, 0),
            time_ns=now_ns,
            token=token,
            ttl=found.ttl,
        )
    if found.status not in STATUS or found.source is None:
        return None
    kind, code = STATUS[found.status][0 if family == 4 else 1]
    return IcmpError(
        flow=action.flow,
        router=found.source,
        type=kind,
        code=code,
        time_ns=now_ns,
        to=(address, 0),
        token=token,
        ttl=found.ttl,
    )


# ---------------------------------------------------------------- the system's functions


def ask_for_fine_timers() -> None:
    """Let timers tick every millisecond in place of 15.6, and let this process go first; no rights needed."""
    loader: Any = ctypes
    with contextlib.suppress(OSError, AttributeError):
        loader.WinDLL("winmm.dll").timeBeginPeriod(1)
        kernel = loader.WinDLL("kernel32.dll")
        kernel.GetCurrentProcess.restype = ctypes.c_void_p
        kernel.SetPriorityClass(ctypes.c_void_p(kernel.GetCurrentProcess()), HIGH_PRIORITY_CLASS)


def parse_echo_reply(reply: bytes, pointer_bytes: int) -> EchoResult | None:
    """Read the fixed part of ``ICMP_ECHO_REPLY`` (ipexport.h); the payload is read apart, by its pointer.

    Parameters
    ----------
    reply
        The reply buffer.
    pointer_bytes
        4 or 8.

    Returns
    -------
    result
        With an empty payload; ``None`` if the buffer is too short.
    """
    options = 16 + pointer_bytes
    if len(reply) < options + 1:
        return None
    address, status = IPv4Address(reply[0:4]), struct.unpack_from("=I", reply, 4)[0]
    source = None if not int(address) else str(address)
    return EchoResult(status=status, source=source, ttl=reply[options] or None, data=b"")


def parse_echo_reply_v6(reply: bytes) -> EchoResult | None:
    """Read ``ICMPV6_ECHO_REPLY`` (ipexport.h): a packed address of 26 bytes, padding, then the status.

    Parameters
    ----------
    reply
        The reply buffer.

    Returns
    -------
    result
        ``None`` if it is too short.
    """
    if len(reply) < 32:
        return None
    address = IPv6Address(reply[6:22])
    status = struct.unpack_from("=I", reply, 28)[0]
    return EchoResult(status=status, source=None if not int(address) else str(address), ttl=None, data=b"")


class _SystemEcho:
    """Calls iphlpapi; one handle for each call, as its documentation wants of calls side by side."""

    def __init__(self) -> None:
        loader: Any = ctypes
        self.library = loader.WinDLL("iphlpapi.dll", use_last_error=True)
        self.library.IcmpCreateFile.restype = ctypes.c_void_p
        self.library.Icmp6CreateFile.restype = ctypes.c_void_p
        self.library.IcmpCloseHandle.argtypes = [ctypes.c_void_p]

    def __call__(self, address: str, payload: bytes, ttl: int, wait_ms: int) -> EchoResult | None:
        pointer = ctypes.sizeof(ctypes.c_void_p)
        # struct ip_option_information: TTL, TOS, flags, size of options, pointer to them
        options = ctypes.create_string_buffer(bytes([ttl, 0, 0, 0]).ljust(pointer, b"\0") + bytes(pointer))
        reply = ctypes.create_string_buffer(len(payload) + 256)
        if ":" in address:
            handle = ctypes.c_void_p(self.library.Icmp6CreateFile())
            own = _sockaddr_in6("::")
            count = self.library.Icmp6SendEcho2(
                handle,
                None,
                None,
                None,
                own,
                _sockaddr_in6(address),
                payload,
                len(payload),
                options,
                reply,
                len(reply),
                wait_ms,
            )
            self.library.IcmpCloseHandle(handle)
            return parse_echo_reply_v6(reply.raw) if count else None
        handle = ctypes.c_void_p(self.library.IcmpCreateFile())
        to = ctypes.c_uint32(int.from_bytes(IPv4Address(address).packed, "little"))
        count = self.library.IcmpSendEcho(handle, to, payload, len(payload), options, reply, len(reply), wait_ms)
        self.library.IcmpCloseHandle(handle)
        return parse_echo_reply(reply.raw, pointer) if count else None


def _sockaddr_in6(address: str) -> ctypes.Array[ctypes.c_char]:
    packed = struct.pack("=HHI", 23, 0, 0) + IPv6Address(address).packed + struct.pack("=I", 0)
    return ctypes.create_string_buffer(packed, len(packed))
