"""What a media relay says: STUN Binding for the round trip, TURN Allocate to see whether a call could begin.

Every softphone's first Allocate goes without credentials and is answered by 401 with a nonce (RFC 8656, section 7.2):
that answer proves that the relay speaks TURN with us. Each request has a transaction identifier of its own, so a lost
one is seen as lost and an answer belongs to one request only.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ccp_assess.errors import ParseError
from ccp_assess.probe.https import Tools, connect_end_ns
from ccp_assess.probe.machine import Address, Datagram, IcmpError, OpenUdp, Send, SendFailed, Sent
from ccp_assess.probe.names import close
from ccp_assess.probe.records import AllocateOutcome, IcmpSaid, RelayFound
from ccp_assess.probe.talks import Talk
from ccp_assess.probe.tcp import Stream, StreamEnded, connect
from ccp_assess.probe.tls import TlsFailed
from ccp_assess.units import NS_PER_MS, ms_from_ns
from ccp_assess.wire import stun

UDP_TRANSPORT = 17
QUICK_TRIES_MS = (0.0, 100.0, 200.0, 600.0, 1400.0)
QUICK_SAMPLES = 3
"""So many answers to Binding are waited for in the quick form, one lost one excepted."""
FULL_TRIES_MS = (0.0, 200.0, 600.0, 1400.0, 2000.0, 2600.0)
LAST_WAIT_MS = 800.0
"""How long the last request may be under way: more than any round trip on Earth's surface."""

ENOUGH_REPORTS = 6
"""After three pairs of requests that a device turned away, asking on would only be rude."""


@dataclass(slots=True)
class _Asked:
    """The requests of one method and what became of them."""

    method: stun.Method
    sent_ns: dict[bytes, int] = field(default_factory=dict)
    rtt_ms: dict[bytes, float] = field(default_factory=dict)

    def request(self, now_ns: int) -> bytes:
        transaction_id = os.urandom(12)
        self.sent_ns[transaction_id] = now_ns
        attributes = (("REQUESTED-TRANSPORT", UDP_TRANSPORT),) if self.method is stun.Method.ALLOCATE else ()
        return stun.build_message(
            stun.Message(
                method=self.method,
                message_class=stun.MessageClass.REQUEST,
                transaction_id=transaction_id,
                attributes=attributes,
            )
        )

    def times(self) -> tuple[float | None, ...]:
        return tuple(self.rtt_ms.get(transaction_id) for transaction_id in self.sent_ns)


@dataclass(slots=True)
class _Heard:
    """What a relay has said so far."""

    binding: _Asked = field(default_factory=lambda: _Asked(stun.Method.BINDING))
    allocate: _Asked = field(default_factory=lambda: _Asked(stun.Method.ALLOCATE))
    outcome: AllocateOutcome = "no_answer"
    error_code: int | None = None
    mapped: stun.Endpoint | None = None
    icmp: IcmpSaid | None = None
    send_error: str | None = None

    def take(self, data: bytes, time_ns: int) -> None:
        """Take in one answer; whatever is none to our requests is left alone."""
        try:
            message = stun.parse_message(data)
        except ParseError:
            return
        if message.message_class not in {stun.MessageClass.SUCCESS, stun.MessageClass.ERROR}:
            return
        asked = self.binding if message.method == stun.Method.BINDING else self.allocate
        began_ns = asked.sent_ns.get(message.transaction_id)
        if began_ns is None or message.transaction_id in asked.rtt_ms:
            return
        asked.rtt_ms[message.transaction_id] = max(ms_from_ns(time_ns - began_ns), 0.0)
        if asked is self.binding:
            mapped = message.get("XOR-MAPPED-ADDRESS") or message.get("MAPPED-ADDRESS")
            self.mapped = self.mapped or mapped
        else:
            self._take_allocate(message)

    def _take_allocate(self, message: stun.Message) -> None:
        if message.message_class is stun.MessageClass.SUCCESS:
            self.outcome, self.error_code = "granted", None
        elif message.error_code in {401, 438} and message.get("NONCE") is not None:
            self.outcome, self.error_code = "challenged", None
        elif self.outcome == "no_answer":
            self.outcome, self.error_code = "error", message.error_code

    @property
    def is_settled(self) -> bool:
        """Whether both have been answered at least once."""
        return bool(self.binding.rtt_ms) and self.outcome in {"challenged", "granted"}

    def enough_at_ns(self, began_ns: int) -> int | None:
        """Return from when on it is enough: at once with so many round trips, later where one must be lost [ns]."""
        if not self.is_settled:
            return None
        if len(self.binding.rtt_ms) >= QUICK_SAMPLES:
            return began_ns
        wait_ms = QUICK_TRIES_MS[QUICK_SAMPLES - 1] + 2.0 * max(self.binding.rtt_ms.values())
        return began_ns + round(wait_ms * NS_PER_MS)


def reach_relay(
    tools: Tools,
    host: str,
    remote: Address,
    *,
    tries_ms: Sequence[float] = QUICK_TRIES_MS,
    settle: bool = True,
) -> Talk[RelayFound]:
    """Ask one address of a relay by UDP, Binding and Allocate side by side on one flow.

    Parameters
    ----------
    tools
        Shared by all conversations.
    host
        Its name.
    remote
        Address and port.
    tries_ms
        When to ask, from now [ms].
    settle
        Whether to stop as soon as there are a few answers to both; else every try is made.

    Returns
    -------
    found
        What it said.
    """
    talks, flow = tools.talks, tools.talks.number()
    heard, began_ns = _Heard(), tools.talks.now_ns
    due = [talks.after_ms(try_ms) for try_ms in tries_ms]
    end_ns = min(due[-1] + round(LAST_WAIT_MS * NS_PER_MS), tools.end_ns)
    tokens: dict[int, tuple[_Asked, bytes]] = {}
    reports = tries = 0
    enough_ns: int | None = None
    actions: list[Any] = [OpenUdp(flow=flow, family=6 if ":" in remote[0] else 4, remote=remote)]
    while True:
        if due and due[0] <= talks.now_ns < end_ns:
            due.pop(0)
            tries += 1
            # One Allocate tells what it can; it is repeated for as long as it has no answer, a round trip later.
            wanted = tries != 2 and heard.outcome not in {"challenged", "granted"}
            for asked in (heard.binding, heard.allocate) if wanted else (heard.binding,):
                data = asked.request(talks.now_ns)
                token = len(tokens)
                tokens[token] = (asked, data[8:20])
                actions.append(Send(flow=flow, data=data, token=token))
        event = yield tuple(actions), min([*due[:1], end_ns, *([] if enough_ns is None else [enough_ns])])
        actions = []
        if isinstance(event, Sent):
            asked, transaction_id = tokens[event.token]
            if transaction_id not in asked.rtt_ms:
                asked.sent_ns[transaction_id] = event.time_ns
        elif isinstance(event, Datagram):
            heard.take(event.data, event.time_ns)
        elif isinstance(event, IcmpError):
            reports += 1
            heard.icmp = heard.icmp or IcmpSaid(
                router=event.router, type=event.type, code=event.code, version=6 if ":" in remote[0] else 4
            )
        elif isinstance(event, SendFailed):
            heard.send_error = heard.send_error or event.error
        if reports >= ENOUGH_REPORTS or talks.now_ns >= end_ns:
            break
        if settle:
            enough_ns = heard.enough_at_ns(began_ns)
            if enough_ns is not None and talks.now_ns >= enough_ns:
                break
        elif not due and heard.is_settled and _all_answered(heard):
            break
    yield from close(talks, flow)
    return _found(heard, host, remote, "udp", ms_from_ns(talks.now_ns - began_ns))


def _all_answered(heard: _Heard) -> bool:
    return None not in heard.binding.times() and None not in heard.allocate.times()


def _found(
    heard: _Heard, host: str, remote: Address, transport: Literal["udp", "tcp", "tls"], span_ms: float
) -> RelayFound:
    return RelayFound(
        host=host,
        address=remote[0],
        port=remote[1],
        transport=transport,
        binding_rtt_ms=heard.binding.times(),
        allocate_rtt_ms=heard.allocate.times(),
        allocate=heard.outcome if heard.allocate.sent_ns else None,
        error_code=heard.error_code,
        mapped_address=heard.mapped.address if heard.mapped else None,
        mapped_port=heard.mapped.port if heard.mapped else None,
        icmp=heard.icmp,
        send_error=heard.send_error,
        span_ms=span_ms,
    )


def reach_relay_by_stream(
    tools: Tools, host: str, remote: Address, *, transport: Literal["tcp", "tls"]
) -> Talk[RelayFound]:
    """Ask one address of a relay over TCP, or over TLS (RFC 8656, section 3.1).

    Parameters
    ----------
    tools
        Shared by all conversations.
    host
        Its name.
    remote
        Address and port.
    transport
        Whether TLS comes first.

    Returns
    -------
    found
        What it said.
    """
    talks, began_ns, heard = tools.talks, tools.talks.now_ns, _Heard()
    end_ns = connect_end_ns(tools)
    opened = yield from connect(talks, remote, end_ns=end_ns)
    if opened.stream is not None:
        try:
            if transport == "tls":
                yield from opened.stream.shake(tools.make_tls(host, False), end_ns)  # noqa: FBT003
            yield from _ask_by_stream(tools, opened.stream, heard, end_ns)
        except (StreamEnded, TlsFailed):
            pass
        yield from opened.stream.close()
    found = _found(heard, host, remote, transport, ms_from_ns(talks.now_ns - began_ns))
    return replace(found, connect=opened.outcome)


def _ask_by_stream(tools: Tools, stream: Stream, heard: _Heard, end_ns: int) -> Talk[None]:
    now_ns = tools.talks.now_ns
    data = heard.binding.request(now_ns) + heard.allocate.request(now_ns)
    received = b""
    while not heard.is_settled:
        received += yield from stream.read(end_ns, data)
        data = b""
        while len(received) >= stun.HEADER_BYTES:
            size = stun.HEADER_BYTES + int.from_bytes(received[2:4], "big")
            if len(received) < size:
                break
            heard.take(received[:size], tools.talks.now_ns)
            received = received[size:]
