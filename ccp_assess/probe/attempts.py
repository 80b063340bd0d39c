"""Single attempts for whoever tests firewall rules line by line: one name, one connect, one STUN exchange."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from ccp_assess.allowlist.verify import Reach
from ccp_assess.probe.https import Tools
from ccp_assess.probe.machine import run
from ccp_assess.probe.names import ask_system
from ccp_assess.probe.relay import reach_relay
from ccp_assess.probe.systems import open_network
from ccp_assess.probe.talks import Talk, Talks
from ccp_assess.probe.tcp import connect
from ccp_assess.probe.tls import SystemTls


class SocketProber:
    """Reaches single names and addresses, for whoever tests firewall rules line by line.

    Parameters
    ----------
    timeout_s
        Longest time for one attempt [s].
    """

    def __init__(self, timeout_s: float = 3.0) -> None:
        self.timeout_s = timeout_s

    def resolve(self, host: str) -> tuple[str, ...]:
        """Return the addresses of a name; empty if it does not resolve in time."""

        def talk(tools: Tools) -> Talk[tuple[str, ...]]:
            wait_ms = (self.timeout_s + 2.0) * 1000.0
            asking = [
                tools.talks.start_talk(ask_system(tools.talks, host, family, resolver=None, give_up_ms=wait_ms))
                for family in _FAMILIES
            ]
            answers = yield from tools.talks.join(asking)
            return tuple(dict.fromkeys(address for answer in answers if answer for address in answer.answers))

        return self._run(talk, extra_s=2.0) or ()

    def tcp(self, address: str, port: int) -> Reach:
        """Try to connect."""

        def talk(tools: Tools) -> Talk[Reach]:
            opened = yield from connect(tools.talks, (address, port), end_ns=tools.end_ns)
            if opened.stream is not None:
                yield from opened.stream.close()
            rtt_ms = opened.connect_ms if opened.outcome == "connected" else None
            return Reach(outcome=opened.outcome, rtt_ms=rtt_ms)

        return self._run(talk) or Reach(outcome="timeout")

    def stun(self, address: str, port: int) -> Reach:
        """Send Binding requests (RFC 8489) and wait for the answer to any of them; an error is an answer, too."""

        def talk(tools: Tools) -> Talk[Reach]:
            tries_ms = [self.timeout_s * 1000.0 * share for share in (0.0, 0.25, 0.5)]
            found = yield from reach_relay(tools, address, (address, port), tries_ms=tries_ms)
            if found.answered:
                return Reach(outcome="answered", rtt_ms=min(found.answered))
            if found.allocate not in {None, "no_answer"}:
                return Reach(outcome="answered", rtt_ms=next((ms for ms in found.allocate_rtt_ms if ms), None))
            if found.send_error is not None:
                return Reach(outcome="unreachable")
            return Reach(outcome="refused" if found.icmp is not None and found.icmp.is_rejected else "timeout")

        return self._run(talk) or Reach(outcome="timeout")

    def _run(self, make: Callable[[Tools], Talk[Any]], extra_s: float = 0.0) -> Any:
        network = open_network()
        wait_s = self.timeout_s + extra_s
        try:
            machine: Talks[Any] = Talks(
                lambda talks: make(
                    Tools(
                        talks=talks,
                        make_tls=SystemTls,
                        connect_end_ns=talks.after_ms(wait_s * 1000.0),
                        end_ns=talks.after_ms(wait_s * 1000.0),
                        wall_clock_s=0.0,
                    )
                )
            )
            run([machine], network, deadline_s=wait_s + 0.2)
        finally:
            network.close()
        return machine.result()


_FAMILIES: tuple[Literal[4, 6], ...] = (4, 6)
