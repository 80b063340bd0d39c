"""Calls that were cut off midway, and on whose side: no answer any more, ICMP errors, a connection reset or closed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ccp_assess.findings import Finding, counted
from ccp_assess.traffic.callview import CallView, last_ns, make_finding
from ccp_assess.traffic.transactions import NO_ANSWER
from ccp_assess.units import NS_PER_S, ms_from_ns, rfc3339_from_ns
from ccp_assess.wire.stun import Method

UNHEARD_NS = 2 * NS_PER_S
"""Sending for so long without hearing anything is no delay of the network."""

_REFUSALS = frozenset({"refused", "prohibited", "unreachable"})
_FEWEST_REFUSALS = 10
_HANG_UP_NS = 2 * NS_PER_S
_MIDST_NS = 3 * NS_PER_S
_ALLOCATION_MISMATCH = 437
_EARLY_S, _LATE_S = 2.0, 60.0
"""How long before and after its lifetime a relay ends an allocation."""

_FOREIGN_HOPS = 4
"""A path may change by a hop or two; a firewall starts from another number and is nearer."""


def cutoffs(view: CallView) -> list[Finding]:
    """Say whether and by whom a call was cut off.

    Parameters
    ----------
    view
        The call with its records.

    Returns
    -------
    findings
        One or none.
    """
    return _disconnected(view) or _dropped(view) or _refused(view)


def _expired(view: CallView, time_ns: int) -> tuple[int, float] | None:
    """Tell the lifetime of the allocation [s] and its age [s] if it ran out just before an instant."""
    held = [lease for lease in view.leases if lease[0] <= time_ns]
    if not held or not held[-1][1]:
        return None
    granted_ns, lifetime_s = held[-1]
    age_s = (time_ns - granted_ns) / NS_PER_S
    return (lifetime_s, age_s) if lifetime_s - _EARLY_S <= age_s <= lifetime_s + _LATE_S else None


def _refused(view: CallView) -> list[Finding]:
    """Tell a call whose packets to the relay were answered with ICMP errors while it went on."""
    call = view.call
    errors = [e for e in view.icmp_errors if e.reason in _REFUSALS and call.start_ns <= e.time_ns <= call.end_ns]
    if len(errors) < _FEWEST_REFUSALS or call.relay is None or not call.out_streams:
        return []
    first = errors[0]
    by_relay = first.reporter == call.relay.address
    where = (
        f"They came from the relay {first.reporter} itself: it was reached, but no longer held this call."
        if by_relay
        else f"They came from {first.reporter}, a firewall or router on the way that lets them through no longer."
    )
    text = (
        f"The call was cut off midway: from second {round((first.time_ns - call.start_ns) / NS_PER_S)} of the call "
        f"({rfc3339_from_ns(first.time_ns)}) on, {counted(len(errors), 'packet')} of the workstation to the relay came "
        f"back with an ICMP error ({first.kind.replace('_', ' ')}). {where}"
    )
    return [
        make_finding(
            "CALL_DROPPED_REFUSED",
            "critical",
            text,
            side="service" if by_relay else "lan_isp",
            time=rfc3339_from_ns(first.time_ns),
            reporter=first.reporter,
            kind=first.kind,
            errors=len(errors),
        )
    ]


def _dropped(view: CallView) -> list[Finding]:
    call = view.call
    if not call.in_streams or not call.out_streams:
        return []
    in_ns, out_ns = last_ns(view, call.in_streams), last_ns(view, call.out_streams)
    unheard_ns = out_ns - in_ns
    if unheard_ns < UNHEARD_NS:
        return []
    media = view.transactions[np.array(call.media_rows, np.int64)]
    after = media[media["time_ns"] > in_ns]
    if not len(after) or not bool((after["outcome"] == NO_ANSWER).all()):
        return []
    relay = view.transactions[np.array(call.relay_rows, np.int64)]
    relay_after = relay[relay["time_ns"] > in_ns]
    dead = len(relay_after) > 0 and bool((relay_after["outcome"] == NO_ANSWER).all())
    alive = len(relay_after) > 0 and not dead
    mismatch = bool((relay_after["error_code"] == _ALLOCATION_MISMATCH).any())
    expired = _expired(view, in_ns)
    closed = dead and any(
        call.relay is not None and e.reporter == call.relay.address and e.reason == "refused" and e.time_ns <= out_ns
        for e in view.icmp_errors
    )
    if expired and not dead:
        side = "workstation"
        where = (
            f"The workstation had not renewed its allocation at the relay for {expired[1]:.0f} s, and it was granted "
            f"for {expired[0]} s: it expired (a computer or browser tab that slept is a usual cause)."
        )
    elif mismatch:
        side = "service"
        where = "The relay answered that it no longer holds this allocation (error 437): it lost or ended it."
    elif closed:
        side = "service"
        where = "The relay's host answered that nobody listens there any more: the relay itself ended."
    elif dead:
        side = "lan_isp"
        where = "The relay itself did not answer any more: the break lies between workstation and relay."
    elif alive:
        side = "beyond_relay"
        where = "The relay still answered: the break lies beyond it."
    else:
        side = "undetermined"
        where = "Nothing was asked of the relay meanwhile, so the place of the break is unknown."
    text = (
        f"The call was cut off: from {rfc3339_from_ns(in_ns)} on nothing arrived, while the workstation sent for "
        f"another {unheard_ns / NS_PER_S:.1f} s and {counted(len(after), 'check')} stayed unanswered. {where}"
    )
    return [
        make_finding(
            "CALL_DROPPED",
            "critical",
            text,
            side=side,
            time=rfc3339_from_ns(in_ns),
            sent_on_ms=round(ms_from_ns(unheard_ns), 1),
            unanswered_checks=len(after),
            unanswered_relay_requests=int((relay_after["outcome"] == NO_ANSWER).sum()),
        )
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """How one side ended a TCP connection."""

    time_ns: int
    by_agent: bool
    is_reset: bool
    ttl: int | None
    ttl_min: int | None
    ttl_max: int | None

    @property
    def is_foreign(self) -> bool:
        """Whether the reset has another time to live than the packets of the side in whose name it came."""
        if self.ttl is None or self.ttl_min is None or self.ttl_max is None:
            return False
        return self.ttl_max - self.ttl_min >= _FOREIGN_HOPS and self.ttl in {self.ttl_min, self.ttl_max}


def _first_end(view: CallView) -> _End | None:
    flow = view.flows[view.call.flow]
    agent_is_a = (view.call.agent, view.call.agent_port) == (flow.a, flow.a_port)
    sides = (
        (agent_is_a, flow.reset_ab_ns, flow.fin_ab_ns, flow.reset_ab_ttl, flow.ttl_ab_min, flow.ttl_ab_max),
        (not agent_is_a, flow.reset_ba_ns, flow.fin_ba_ns, flow.reset_ba_ttl, flow.ttl_ba_min, flow.ttl_ba_max),
    )
    ends = [
        _End(
            time_ns=time_ns,
            by_agent=by_agent,
            is_reset=is_reset,
            ttl=ttl if is_reset else None,
            ttl_min=low,
            ttl_max=high,
        )
        for by_agent, reset_ns, fin_ns, ttl, low, high in sides
        for time_ns, is_reset in ((reset_ns, True), (fin_ns, False))
        if time_ns is not None
    ]
    return min(ends, key=lambda end: end.time_ns, default=None)


def _disconnected(view: CallView) -> list[Finding]:
    """Tell a relay over TCP or TLS whose connection ended, or fell silent, while media was on its way."""
    call = view.call
    flow = view.flows[call.flow]
    if flow.transport != "tcp" or call.relay is None or call.agent is None:
        return []
    end = _first_end(view)
    if end is None:
        return _fell_silent(view)
    if not call.start_ns <= end.time_ns <= call.end_ns + _MIDST_NS:
        return []
    # Whoever hangs up closes the connection too: the workstation's own end is a break only if it is a reset and the
    # steps of hanging up, which TLS hides, are missing.
    if end.by_agent and (not end.is_reset or call.relay.is_inferred or _hung_up(view, end.time_ns)):
        return []
    if not end.by_agent and _hung_up(view, end.time_ns):
        return []
    who = "the workstation" if end.by_agent else f"the relay {call.relay.address}"
    how = "reset (RST)" if end.is_reset else "closed (FIN)"
    if end.is_foreign:
        side = "lan_isp"
        where = (
            f"It came in the name of {who}, but with a time to live of {end.ttl}, where its other packets have "
            f"{end.ttl_max if end.ttl == end.ttl_min else end.ttl_min}: a firewall, proxy or router on the way sent it."
        )
    elif end.by_agent:
        side = "workstation"
        where = "It came from the workstation: its browser, its security software or its VPN ended the connection."
    else:
        side = "undetermined"
        where = (
            f"It came from the relay's address {call.relay.address}: the relay itself, or a firewall or proxy that "
            "answers in its name (an idle or session limit of such a device is a usual cause)."
        )
    second = round((end.time_ns - call.start_ns) / NS_PER_S)
    text = (
        f"The call was cut off midway: at second {second} of the call ({rfc3339_from_ns(end.time_ns)}) its "
        f"{call.relay.transport.upper()} connection to the relay was {how} while media was on its way. {where}"
    )
    return [
        make_finding(
            "CALL_DROPPED_RESET",
            "critical",
            text,
            side=side,
            time=rfc3339_from_ns(end.time_ns),
            by="workstation" if end.by_agent else "relay",
            kind="reset" if end.is_reset else "close",
            ttl=end.ttl,
        )
    ]


def _hung_up(view: CallView, time_ns: int) -> bool:
    """Tell whether the steps of hanging up were seen before: a closing alert, or the allocation given back."""
    call = view.call
    if call.handshake is not None and call.handshake.close_ns is not None:
        return call.handshake.close_ns <= time_ns + _HANG_UP_NS
    relay = view.transactions[np.array(call.relay_rows, np.int64)]
    given_back = (relay["method"] == Method.REFRESH) & (np.abs(relay["time_ns"] - call.end_ns) <= _HANG_UP_NS)
    return bool(given_back.any())


def _fell_silent(view: CallView) -> list[Finding]:
    """Tell a connection on which the relay's side did not even acknowledge any more."""
    call = view.call
    flow = view.flows[call.flow]
    agent_is_a = (call.agent, call.agent_port) == (flow.a, flow.a_port)
    sent_ns, heard_ns = (flow.last_ab_ns, flow.last_ba_ns)[:: 1 if agent_is_a else -1]
    if sent_ns is None or heard_ns is None or sent_ns - heard_ns < UNHEARD_NS:
        return []
    if not call.start_ns <= heard_ns <= call.end_ns + _MIDST_NS:
        return []
    text = (
        f"The call was cut off: from {rfc3339_from_ns(heard_ns)} on nothing came back on the TCP connection to the "
        f"relay, not even an acknowledgement, while the workstation sent for another "
        f"{(sent_ns - heard_ns) / NS_PER_S:.1f} s. The break lies between workstation and relay."
    )
    return [
        make_finding(
            "CALL_DROPPED",
            "critical",
            text,
            side="lan_isp",
            time=rfc3339_from_ns(heard_ns),
            sent_on_ms=round(ms_from_ns(sent_ns - heard_ns), 1),
        )
    ]
