"""What a capture as a whole says: the file itself, names, endpoints, proxies and blocked transports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ccp_assess.findings import Finding, counted
from ccp_assess.traffic.callrecords import Call
from ccp_assess.traffic.callview import refusal_hint
from ccp_assess.traffic.dialogues import Dialogue
from ccp_assess.traffic.endpoints import EndpointRow
from ccp_assess.traffic.icmperrors import IcmpError
from ccp_assess.traffic.limits import read_limits
from ccp_assess.traffic.names import Lookup, QuicConnection
from ccp_assess.units import Severity

_OWN_ISSUERS = ("amazon", "starfield", "digicert", "symantec", "verisign", "baltimore")
"""Who signs, or once signed, AWS's certificates; another issuer on one of its names is a proxy's."""
_SERVICE_SUFFIXES = (".amazonaws.com", ".connect.aws", ".awsapps.com", ".cloudfront.net")
_ENOUGH_SEGMENTS = 200
_REJECTING = frozenset({"refused", "prohibited", "unreachable"})
_MOST_TOLD = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureView:
    """What is known of a capture as a whole.

    Parameters
    ----------
    packets
        Frames read (count).
    ended_early, limits_hit
        Sentences of the reader.
    dropped
        Frames that the capturing system lost (count).
    endpoints, lookups, dialogues, quic, icmp_errors, calls
        What was found.
    snaplen_cut
        Frames that the capture shortened (count).
    refusals
        Allocations that a relay refused beside the calls: address, port, error code, how often (count).
    unread, notes
        Sentences of the reader: what it could not read, and what else is unusual about the frames.
    """

    packets: int
    ended_early: tuple[str, ...] = ()
    dropped: int = 0
    limits_hit: tuple[str, ...] = ()
    endpoints: tuple[EndpointRow, ...] = ()
    lookups: tuple[Lookup, ...] = ()
    dialogues: tuple[Dialogue, ...] = ()
    quic: tuple[QuicConnection, ...] = ()
    icmp_errors: tuple[IcmpError, ...] = ()
    calls: tuple[Call, ...] = ()
    snaplen_cut: int = 0
    refusals: tuple[tuple[str, int, int, int], ...] = ()
    unread: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def capture_findings(view: CaptureView) -> list[Finding]:
    """Say what the capture as a whole shows.

    Parameters
    ----------
    view
        What is known of it.

    Returns
    -------
    findings
        Gravest first.
    """
    found = [*_file(view), *_names(view), *_endpoints(view), *_proxies(view), *_blocked(view), *_refusals(view)]
    if view.packets and not view.calls:
        text = (
            "No call was found: no media."
            if view.refusals
            else "No call and no attempt at one was found: no media, no relay allocation that failed."
        )
        if view.snaplen_cut > view.packets // 2:
            text += (
                f" But {view.snaplen_cut} of {view.packets} packets were cut short by the capture: a call may be there "
                "that cannot be seen (128 bytes a packet are enough)."
            )
        found.append(_finding("NO_MEDIA", "info", text))
    order = {"critical": 0, "warning": 1, "info": 2}
    return sorted(found, key=lambda finding: order[finding.severity])


def _finding(code: str, severity: Severity, text: str, **evidence: Any) -> Finding:
    return Finding(code=code, severity=severity, text=text, evidence=evidence)


def _file(view: CaptureView) -> list[Finding]:
    found = []
    if view.packets == 0:
        found.append(_finding("NO_PACKETS", "warning", "The capture holds no packets."))
    found.extend(_finding("CAPTURE_ENDED_EARLY", "warning", sentence) for sentence in view.ended_early)
    if view.dropped:
        text = (
            f"The capturing system itself lost {view.dropped} packets: some of what is counted as loss may be its own."
        )
        found.append(_finding("CAPTURE_DROPPED", "warning", text, dropped=view.dropped))
    found.extend(_finding("CAPTURE_UNREADABLE", "warning", sentence) for sentence in view.unread)
    found.extend(_finding("CAPTURE_TUNNELLED", "info", sentence) for sentence in view.notes)
    found.extend(_finding("CAPTURE_LIMIT", "warning", sentence) for sentence in view.limits_hit)
    return found


def is_service_name(name: str | None) -> bool:
    """Tell whether a name is one of AWS's own that the softphone uses.

    Parameters
    ----------
    name
        A host name.

    Returns
    -------
    is_service
        By its ending, without regard to case.
    """
    return name is not None and f".{name.lower().rstrip('.')}".endswith(_SERVICE_SUFFIXES)


def _names(view: CaptureView) -> list[Finding]:
    found = []
    failed: dict[tuple[str, str | None], list[Lookup]] = {}
    good = {lookup.name for lookup in view.lookups if lookup.rcode == "NOERROR" and lookup.answers}
    for lookup in view.lookups:
        bad = lookup.rcode != "NOERROR" if lookup.rcode else lookup.asked > 0
        if bad and is_service_name(lookup.name) and lookup.name not in good and lookup.type in {"A", "AAAA"}:
            failed.setdefault((lookup.name, lookup.rcode), []).append(lookup)
    for (name, rcode), lookups in failed.items():
        what = f"was answered with {rcode}" if rcode else "had no answer"
        text = f"The name {name} could not be resolved: {counted(len(lookups), 'question')}, each {what}."
        found.append(_finding("DNS_FAILED", "critical", text, name=name, rcode=rcode, questions=len(lookups)))
    limit = read_limits()["dns_ms"]
    slow = [lookup for lookup in view.lookups if limit.severity_of(lookup.response_ms) is not None]
    if slow:
        worst = max(slow, key=lambda lookup: lookup.response_ms or 0.0)
        text = (
            f"{counted(len(slow), 'answer')} of the resolver came late, the slowest ({worst.name}) after "
            f"{worst.response_ms or 0.0:.0f} ms (limit {limit.warning:g} ms: {limit.source})."
        )
        severity = limit.severity_of(worst.response_ms) or "warning"
        found.append(_finding("DNS_SLOW", severity, text, lookups=len(slow), slowest_ms=worst.response_ms))
    return found


def _where(row: EndpointRow) -> str:
    return f"{row.host or row.address} port {row.port} ({row.transport.upper()})"


def _endpoints(view: CaptureView) -> list[Finding]:
    found = []
    # Whoever was refused by ICMP is told so, and not that the packets vanished.
    rejected = {(e.destination, e.port, e.transport) for e in view.icmp_errors if e.reason in _REJECTING}
    limit = read_limits()["tcp_retransmission_pct"]
    for row in view.endpoints:
        ours = row.role not in {"other", "dns"}
        evidence = {"address": row.address, "port": row.port, "transport": row.transport, "role": row.role}
        if ours and not row.answered and row.packets_out:
            is_rejected = (row.address, row.port, row.transport) in rejected
            why = (
                "rejected on the way with an ICMP error."
                if is_rejected
                else "dropped on the way, or the capture sees one direction only."
            )
            text = f"{_where(row)}, role {row.role}, did not answer {counted(row.packets_out, 'packet')}: {why}"
            found.append(_finding("ENDPOINT_UNANSWERED", "warning", text, **evidence, packets_out=row.packets_out))
        if ours and row.connections_refused:
            text = f"{_where(row)}, role {row.role}, refused " + (
                "its only connection."
                if row.connections == 1
                else f"{row.connections_refused} of {row.connections} connections."
            )
            found.append(_finding("ENDPOINT_REFUSED", "critical", text, **evidence, refused=row.connections_refused))
        total = row.packets_in + row.packets_out
        share = 100.0 * row.retransmissions / total if row.transport == "tcp" and total >= _ENOUGH_SEGMENTS else None
        severity = limit.severity_of(share) if ours else None
        if severity and share is not None:
            text = f"{share:.1f} % of the TCP segments to and from {_where(row)} were sent again ({limit.source})."
            found.append(
                _finding("TCP_RETRANSMISSIONS", severity, text, **evidence, tcp_retransmission_pct=round(share, 3))
            )
    return found


def _proxies(view: CaptureView) -> list[Finding]:
    found = []
    proxied = [d for d in view.dialogues if d.proxy_target is not None]
    if proxied:
        targets = sorted({d.proxy_target[0] for d in proxied if d.proxy_target})
        denied = [d for d in proxied if d.proxy_status is not None and d.proxy_status >= 400]
        text = f"{counted(len(proxied), 'connection')} went through a proxy ({_some(targets)})" + (
            f", {len(denied)} of them denied (status {denied[0].proxy_status})." if denied else "."
        )
        found.append(
            _finding("PROXY", "warning" if denied else "info", text, connections=len(proxied), denied=len(denied))
        )
    told = set()
    for row in view.endpoints:
        if row.tls_issuer is None or not is_service_name(row.host):
            continue
        if any(word in row.tls_issuer.lower() for word in _OWN_ISSUERS) or row.tls_issuer in told:
            continue
        told.add(row.tls_issuer)
        text = (
            f"The certificate shown for {row.host} was signed by {row.tls_issuer}, not by AWS's issuers: something "
            "between workstation and AWS opens the TLS connections."
        )
        found.append(_finding("TLS_INTERCEPTED", "warning", text, host=row.host, issuer=row.tls_issuer))
    unknown = [q for q in view.quic if q.server_name is None]
    if unknown:
        text = (
            f"No name can be read in {counted(len(unknown), 'QUIC connection')}: begun before the capture, cut, or "
            "repeated."
        )
        found.append(_finding("QUIC_NAME_UNKNOWN", "info", text, connections=len(unknown)))
    return found


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_TOLD} more" if len(names) > _MOST_TOLD else ""
    return ", ".join(names[:_MOST_TOLD]) + more


def _blocked(view: CaptureView) -> list[Finding]:
    roles = {(row.address, row.port, row.transport): row for row in view.endpoints}
    grouped: dict[tuple[str, int | None, str, str], int] = {}
    for error in view.icmp_errors:
        if error.reason in _REJECTING:
            key = (error.destination, error.port, error.transport, error.kind)
            grouped[key] = grouped.get(key, 0) + 1
    found = []
    for (address, port, transport, kind), count in grouped.items():
        row = roles.get((address, port or 0, transport))
        if row is None or row.role in {"other", "dns"}:
            continue
        text = (
            f"ICMP {kind.replace('_', ' ')} came back for {counted(count, 'packet')} to {_where(row)}, role {row.role}."
        )
        found.append(
            _finding("TRANSPORT_BLOCKED", "critical", text, address=address, port=port, kind=kind, count=count)
        )
    return found


def _refusals(view: CaptureView) -> list[Finding]:
    found = []
    for address, port, code, count in view.refusals:
        text = (
            f"The relay {address} port {port} refused {counted(count, 'allocation')} with error {code}: "
            f"{refusal_hint(code)}. Another request of the same workstation was granted."
        )
        found.append(
            _finding("ALLOCATE_REFUSED", "warning", text, address=address, port=port, error_code=code, count=count)
        )
    return found
