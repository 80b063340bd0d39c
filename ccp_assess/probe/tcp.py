"""TCP connections and what is said on them, written as talks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ccp_assess.errors import ParseError
from ccp_assess.probe.machine import (
    Address,
    Closed,
    Connected,
    ConnectFailed,
    IcmpError,
    OpenTcp,
    Received,
    Write,
)
from ccp_assess.probe.names import close
from ccp_assess.probe.records import ConnectOutcome
from ccp_assess.probe.talks import Talk, Talks
from ccp_assess.probe.tls import TlsClient
from ccp_assess.units import ms_from_ns
from ccp_assess.wire.http import HttpHead, parse_head

_UNREACHABLE = {
    "ENETUNREACH",
    "EHOSTUNREACH",
    "ENETDOWN",
    "EHOSTDOWN",
    "EACCES",
    "EPERM",
    "EADDRNOTAVAIL",
    "EAFNOSUPPORT",
    "EINVAL",
}
_REFUSED = {"ECONNREFUSED", "ECONNRESET", "ECONNABORTED"}
LARGEST_HEAD_BYTES = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """How a connect ended.

    Parameters
    ----------
    outcome
        ``connected``, ``refused``, ``timeout`` or ``unreachable``.
    stream
        The connection, if it stands.
    connect_ms
        By the kernel's own measure where it shows it [ms]; also of a refusal.
    error, reporter
        The system's name of the error, and who sent the ICMP error behind it.
    tries
        Connects begun (count).
    """

    outcome: ConnectOutcome
    stream: Stream | None = None
    connect_ms: float | None = None
    error: str | None = None
    reporter: str | None = None
    tries: int = 1


def outcome_of(error: str) -> ConnectOutcome:
    """Put the system's error into one of the contract's words."""
    if error in _REFUSED:
        return "refused"
    return "unreachable" if error in _UNREACHABLE else "timeout"


def connect(talks: Talks[Any], remote: Address, *, end_ns: int, again_ms: Sequence[float] = ()) -> Talk[Connect]:
    """Connect by TCP.

    Parameters
    ----------
    talks
        Runs this talk.
    remote
        Address and port.
    end_ns
        When to stop waiting [ns].
    again_ms
        When to try once more beside what has not answered yet, from now: a lost SYN is repeated by the system after
        1 s only, and one or two lost ones prove nothing [ms].

    Returns
    -------
    connect
        How it ended; the caller closes the stream.
    """
    began_ns: dict[int, int] = {}
    due = [talks.now_ns, *map(talks.after_ms, again_ms)]
    reporter = None
    found: Connect | None = None
    winner = None
    actions: list[Any] = []
    while found is None:
        while due and due[0] <= talks.now_ns:
            due.pop(0)
            flow = talks.number()
            began_ns[flow] = talks.now_ns
            actions.append(OpenTcp(flow=flow, remote=remote))
        event = yield tuple(actions), min([*due[:1], end_ns])
        actions = []
        if isinstance(event, Connected):
            winner = event.flow
            took_ns = event.rtt_ns if event.rtt_ns is not None else event.time_ns - began_ns[winner]
            found = Connect(
                outcome="connected",
                stream=Stream(talks, winner),
                connect_ms=ms_from_ns(took_ns),
                reporter=reporter,
                tries=len(began_ns),
            )
        elif isinstance(event, IcmpError):
            reporter = event.router
        elif isinstance(event, ConnectFailed):
            found = Connect(
                outcome=outcome_of(event.error),
                error=event.error,
                reporter=reporter,
                connect_ms=ms_from_ns(event.time_ns - began_ns[event.flow]),
                tries=len(began_ns),
            )
        elif talks.now_ns >= end_ns:
            found = Connect(outcome="timeout", reporter=reporter, tries=len(began_ns))
    for flow in began_ns:
        if flow != winner:
            yield from close(talks, flow)
    return found


class StreamEnded(Exception):  # noqa: N818 -- travels inside this room only
    """Nothing usable came: ``closed`` by the other side, or ``timeout``."""

    def __init__(self, how: str) -> None:
        self.how = how
        super().__init__(how)


class Stream:
    """A TCP connection, with or without TLS in it.

    Parameters
    ----------
    talks
        Runs the talk that owns it.
    flow
        Its number.
    """

    def __init__(self, talks: Talks[Any], flow: int) -> None:
        self._talks, self.flow = talks, flow
        self._layers: list[TlsClient] = []  # the outermost first; two where a proxy itself is reached by TLS
        self._kept = b""

    def close(self) -> Talk[None]:
        """Close the connection."""
        return close(self._talks, self.flow)

    def shake(self, tls: TlsClient, end_ns: int) -> Talk[None]:
        """Put TLS into the connection.

        Raises
        ------
        TlsFailed
            If the handshake failed.
        StreamEnded
            If the other side closed, or was silent until ``end_ns``.
        """
        while not tls.shake():
            tls.give((yield from self.read(end_ns, tls.take())))
        rest = tls.take()
        if rest:
            yield (self.write(rest),), self._talks.now_ns
        self._layers.append(tls)

    def write(self, data: bytes) -> Write:
        """Return the action that sends application data."""
        for layer in reversed(self._layers):
            layer.write(data)
            data = layer.take()
        return Write(flow=self.flow, data=data)

    def read(self, end_ns: int, first: bytes = b"") -> Talk[bytes]:
        """Send ``first`` if there is any and return the next application data.

        Raises
        ------
        StreamEnded
            If there is none.
        """
        actions: tuple[Any, ...] = (self.write(first),) if first else ()
        if self._kept:
            kept, self._kept = self._kept, b""
            if actions:
                yield actions, self._talks.now_ns
            return kept
        while True:
            event = yield actions, end_ns
            actions = ()
            if isinstance(event, Received):
                plain = self._unwrapped(event.data)
                if plain is None:
                    raise StreamEnded("closed")
                if plain:
                    return plain
            elif isinstance(event, Closed):
                raise StreamEnded("closed")
            elif self._talks.now_ns >= end_ns:
                raise StreamEnded("timeout")

    def _unwrapped(self, data: bytes) -> bytes | None:
        for layer in self._layers:
            layer.give(data)
            plain = layer.read()
            if not plain:
                return plain
            data = plain
        return data

    def keep(self, data: bytes) -> None:
        """Put back what was read too far."""
        self._kept = data

    def ask(self, request: bytes, end_ns: int) -> Talk[tuple[HttpHead, int]]:
        """Send an HTTP request and read the head of its answer.

        Raises
        ------
        StreamEnded
            If no head came; ``closed`` also stands for an answer that is no HTTP.
        """
        data = yield from self.read(end_ns, request)
        while True:
            arrived_ns = self._talks.now_ns
            try:
                head = parse_head(data)
            except ParseError:
                if b"\r\n\r\n" in data or len(data) >= LARGEST_HEAD_BYTES or not data.startswith(b"HTTP/"[: len(data)]):
                    raise StreamEnded("closed") from None
            else:
                self.keep(data[head.size :])
                return head, arrived_ns
            data += yield from self.read(end_ns)
