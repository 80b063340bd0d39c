"""The smallest probes: does a name resolve, does TCP connect, does STUN answer; each with a deadline."""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
import time

from ccp_assess.allowlist.verify import Reach

MAGIC_COOKIE = 0x2112A442
BINDING_REQUEST, BINDING_SUCCESS, BINDING_ERROR = 0x0001, 0x0101, 0x0111
"""Message types of RFC 8489, section 5."""

_UNREACHABLE = {
    errno.ENETUNREACH,
    errno.EHOSTUNREACH,
    errno.EACCES,
    errno.EPERM,
    errno.EADDRNOTAVAIL,
    errno.EAFNOSUPPORT,
}


class SocketProber:
    """Reaches the real network.

    Parameters
    ----------
    timeout_s
        Longest time for one attempt [s].
    """

    def __init__(self, timeout_s: float = 3.0) -> None:
        self.timeout_s = timeout_s

    def resolve(self, host: str) -> tuple[str, ...]:
        """Return the addresses of a name; empty if it does not resolve in time."""
        found: list[str] = []

        def ask() -> None:
            try:
                rows = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError):
                return
            found.extend(dict.fromkeys(str(row[4][0]) for row in rows))

        # The resolver of the system knows no deadline of its own; a thread that outlives ours does no harm.
        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(self.timeout_s + 2)
        return tuple(found)

    def tcp(self, address: str, port: int) -> Reach:
        """Try to connect."""
        began = time.perf_counter()
        try:
            with socket.create_connection((address, port), timeout=self.timeout_s):
                return Reach(outcome="connected", rtt_ms=_since_ms(began))
        except TimeoutError:
            return Reach(outcome="timeout")
        except ConnectionRefusedError:
            return Reach(outcome="refused")
        except OSError as error:
            return Reach(outcome="unreachable" if error.errno in _UNREACHABLE else "timeout")

    def stun(self, address: str, port: int) -> Reach:
        """Send three Binding requests (RFC 8489) and wait for the answer to any of them."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        transaction = os.urandom(12)
        request = struct.pack("!HHI", BINDING_REQUEST, 0, MAGIC_COOKIE) + transaction
        deadline = time.monotonic() + self.timeout_s
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as one:
                one.connect((address, port))
                for left in (3, 2, 1):
                    began = time.perf_counter()
                    one.send(request)
                    until = time.monotonic() + max(deadline - time.monotonic(), 0.05) / left
                    if _answered(one, transaction, until):
                        return Reach(outcome="answered", rtt_ms=_since_ms(began))
        except ConnectionRefusedError:
            return Reach(outcome="refused")
        except OSError as error:
            return Reach(outcome="unreachable" if error.errno in _UNREACHABLE else "timeout")
        return Reach(outcome="timeout")


def _answered(one: socket.socket, transaction: bytes, until: float) -> bool:
    while (left := until - time.monotonic()) > 0:
        one.settimeout(left)
        try:
            data = one.recv(2048)
        except TimeoutError:
            return False
        if len(data) < 20:
            continue
        kind, _, cookie = struct.unpack("!HHI", data[:8])
        # An error is an answer, too: the way is open.
        if kind in {BINDING_SUCCESS, BINDING_ERROR} and cookie == MAGIC_COOKIE and data[8:20] == transaction:
            return True
    return False


def _since_ms(began: float) -> float:
    return (time.perf_counter() - began) * 1000
