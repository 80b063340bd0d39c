"""A call with the records that it points to, and how a finding about it is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ccp_assess.findings import Finding
from ccp_assess.traffic.callrecords import Call, RoundTrips
from ccp_assess.traffic.flows import Flow
from ccp_assess.traffic.icmperrors import IcmpError
from ccp_assess.traffic.limits import Limit, read_limits
from ccp_assess.traffic.streams import RtpStream
from ccp_assess.traffic.transactions import Rows
from ccp_assess.units import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class CallView:
    """A call with the records that it points to.

    Parameters
    ----------
    call
        The call.
    streams, flows, transactions
        All of the capture.
    relay_rtt, media_rtt
        Its round trips.
    mos_cqe
        Of the inbound direction; ``None`` if unknown.
    tcp_retransmission_pct, tcp_packets
        Of the same workstation's TCP connections during the call [%], (count).
    leases
        When its allocation was granted or renewed [ns], and for how long [s], in order.
    icmp_errors
        About the workstation's packets to the relay of this call, in order of arrival.
    """

    call: Call
    streams: Sequence[RtpStream]
    flows: Sequence[Flow]
    transactions: Rows
    relay_rtt: RoundTrips
    media_rtt: RoundTrips
    mos_cqe: float | None = None
    tcp_retransmission_pct: float | None = None
    tcp_packets: int = 0
    icmp_errors: Sequence[IcmpError] = ()
    leases: Sequence[tuple[int, int]] = ()


def make_finding(code: str, severity: Severity, text: str, **evidence: Any) -> Finding:
    """Make a finding.

    Parameters
    ----------
    code, severity, text, evidence
        Of the finding.

    Returns
    -------
    finding
        The finding.
    """
    return Finding(code=code, severity=severity, text=text, evidence=evidence)


def by_limit(code: str, metric: str, value: float | None, text: str, **evidence: Any) -> list[Finding]:
    """Make a finding if a value passes its limit.

    Parameters
    ----------
    code, text, evidence
        Of the finding; the limit and its source are added to the text.
    metric
        Row of ``limits.csv``.
    value
        ``None`` if unknown.

    Returns
    -------
    findings
        One or none.
    """
    limit = read_limits()[metric]
    severity = limit.severity_of(value)
    if severity is None or value is None:
        return []
    told = f"{text} ({limit_text(limit, severity)})."
    return [make_finding(code, severity, told, **{metric: round(value, 3)}, **evidence)]


def limit_text(limit: Limit, severity: Severity) -> str:
    """Say which limit was passed and whose it is.

    Parameters
    ----------
    limit, severity
        The limit and the step of it.

    Returns
    -------
    text
        Value, unit and source.
    """
    value = limit.critical if severity == "critical" else limit.warning
    return f"{severity} from {value:g} {limit.unit}: {limit.source}"


def last_ns(view: CallView, numbers: tuple[int, ...]) -> int:
    """Tell when the last packet of some streams came.

    Parameters
    ----------
    view
        The call.
    numbers
        Indices of streams, at least one.

    Returns
    -------
    time_ns
        [ns].
    """
    return max(view.streams[n].last_ns for n in numbers)


def refusal_hint(error_code: int | None) -> str:
    """Say what an error of an allocation means.

    Parameters
    ----------
    error_code
        Of STUN or TURN (RFC 8489, 8656).

    Returns
    -------
    text
        The end of a sentence.
    """
    return {
        401: "the credentials were refused again after the usual challenge; the softphone's page may be stale",
        403: "the relay forbids it",
        437: "the same port is still in use by an older allocation; a NAT may reuse ports too soon",
        486: "too many allocations of this user",
        508: "the relay has no capacity left",
    }.get(error_code or 0, "the relay refused")
