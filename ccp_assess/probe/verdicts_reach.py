"""What reaching says about names, connections, TLS, proxies and relays: rules from records to diagnoses."""

from __future__ import annotations

import ipaddress
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ccp_assess.endpoints import host_expression, read_patterns
from ccp_assess.probe.diagnoses import Confidence, Diagnosis, Judgement, diagnosis
from ccp_assess.probe.records import NameAnswer, PortalFound, ReachFound, RegionReach, RelayFound, TcpFound, WayFound
from ccp_assess.probe.tls import PUBLIC_ISSUERS, is_service_name
from ccp_assess.ranges import IpRanges

LARGEST_CLOCK_OFFSET_S = 5.0
"""A common parser of CCP logs calls a skew of 5 s an error."""
PROVEN_REQUESTS, PROVEN_ADDRESSES, PROVEN_SPAN_MS = 12, 2, 2000.0
"""What a proof of "UDP blocked" takes; less is likely only."""
TURN_REQUESTS = 4
"""So many silent Allocates on a flow whose Bindings are answered are no accident."""
SILENT_REQUESTS = 6
"""So many silent Bindings at one address, while its neighbours answer, are no accident either."""
NO_ROUTE = frozenset({"ENETUNREACH", "EHOSTUNREACH", "ENETDOWN", "EADDRNOTAVAIL"})
LOCAL_REFUSAL = frozenset({"EPERM", "EACCES"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachView:
    """What the rules look at.

    Parameters
    ----------
    reach
        The round.
    ranges
        Published ranges.
    ways
        Region → its paths, where they were traced.
    now_s
        The wall clock [s since 1970]; ``None`` to leave certificates' validity alone.
    """

    reach: ReachFound
    ranges: IpRanges
    ways: Mapping[str | None, WayFound] = field(default_factory=dict)
    now_s: float | None = None

    @property
    def relays(self) -> tuple[RelayFound, ...]:
        """Relays of all Regions asked by UDP."""
        return tuple(one for region in self.reach.regions for one in region.relays if one.transport == "udp")

    @property
    def tcp(self) -> tuple[TcpFound, ...]:
        """TCP services of all Regions."""
        return tuple(one for region in self.reach.regions for one in region.tcp)


def agent_sees(host: str, role: str) -> str:
    """Say how an unreachable endpoint shows to the agent."""
    name = host.lower()
    for pattern in read_patterns():
        if pattern.symptom and not pattern.path.startswith("s3-") and host_expression(pattern.host).fullmatch(name):
            return pattern.symptom
    return next((pattern.symptom for pattern in read_patterns() if pattern.role == role and pattern.symptom), "-")


def wildcard_of(host: str, region_code: str | None) -> str:
    """Return the name to allow: the published wildcard for a relay's name, else the name itself."""
    if host.startswith("turnnlb-") and region_code:
        return f"TurnNlb-*.elb.{region_code}.amazonaws.com"
    return host


# ---------------------------------------------------------------- the whole site


def site_diagnoses(view: ReachView) -> tuple[Diagnosis, ...]:
    """Find what concerns all Regions alike; where there is any of it that explains the rest, the rest is not asked."""
    if _has_no_network(view):
        return (diagnosis("LOCAL_NO_NETWORK", "certain", {"error": _first_error(view)}),)
    portal = _portal(view)
    if portal is not None:
        return (portal,)
    return tuple(_clock(view))


EXPLAINS_ALL = frozenset({"LOCAL_NO_NETWORK", "CAPTIVE_PORTAL"})


def _first_error(view: ReachView) -> str | None:
    errors = [one.send_error for one in view.relays] + [one.error for one in view.tcp]
    return next((error for error in errors if error), None)


def _has_no_network(view: ReachView) -> bool:
    tried = [one.send_error in NO_ROUTE for one in view.relays]
    tried += [one.error in NO_ROUTE and one.reporter is None for one in view.tcp if one.proxy is None]
    if tried:
        return all(tried) and not any(one.outcome == "connected" for one in view.tcp)
    asked = [answer for region in view.reach.regions for answer in region.names if answer.via == "server"]
    return bool(asked) and all(answer.rcode == "UNREACHABLE" and answer.tries == 0 for answer in asked)


def _portal(view: ReachView) -> Diagnosis | None:
    portal = view.reach.portal
    if portal is None or portal.status is None or not _is_foreign(portal):
        return None
    direct = [one for one in view.tcp if one.proxy is None and one.port == 443]
    if any(one.tls is not None and one.tls.trusted for one in direct):
        return None
    where = _hostname(portal.location) or f"a page of its own (status {portal.status})"
    values = {"host": portal.host, "location": where, "status": portal.status}
    return diagnosis("CAPTIVE_PORTAL", "certain", values)


def _hostname(location: str | None) -> str:
    """Return the host of a URL from the network; empty if there is none that can be read."""
    try:
        return (urlsplit(location or "").hostname or "").lower()
    except ValueError:
        return ""


def _is_foreign(portal: PortalFound) -> bool:
    if portal.status == 511:
        return True
    if portal.status is not None and 300 <= portal.status < 400:
        host = _hostname(portal.location)
        return bool(host) and host != portal.host.lower() and not is_service_name(host)
    return False


def _clock(view: ReachView) -> Iterable[Diagnosis]:
    offsets = [one.http.clock_offset_s for one in view.tcp if one.http and one.http.clock_offset_s is not None]
    offset_s = statistics.median(offsets) if offsets else _offset_by_certificate(view)
    if offset_s is None or abs(offset_s) <= LARGEST_CLOCK_OFFSET_S:
        return
    many = len({one.host for one in view.tcp if one.http and one.http.clock_offset_s is not None}) > 1
    values = {"offset_text": f"{_span_text(abs(offset_s))} {'ahead' if offset_s > 0 else 'behind'}"}
    yield diagnosis(
        "CLOCK_WRONG", "certain" if many else "likely", values, {"clock_offset_s": offset_s, "answers": len(offsets)}
    )


def _span_text(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _offset_by_certificate(view: ReachView) -> float | None:
    """Conclude from a certificate of a known issuer that is not valid now how wrong the clock at least is."""
    if view.now_s is None:
        return None
    for one in view.tcp:
        tls = one.tls
        if tls is None or tls.trusted is not False or not _is_known_issuer(tls.issuer):
            continue
        if tls.not_before is not None and view.now_s < tls.not_before.timestamp():
            return view.now_s - tls.not_before.timestamp()
        if tls.not_after is not None and view.now_s > tls.not_after.timestamp():
            return view.now_s - tls.not_after.timestamp()
    return None


def _is_known_issuer(issuer: str | None) -> bool:
    return any(word in (issuer or "").lower() for word in PUBLIC_ISSUERS)


# ---------------------------------------------------------------- names


def name_diagnoses(view: ReachView, region: RegionReach) -> tuple[Diagnosis, ...]:
    """Judge the names of one Region."""
    by_name = {
        host: [answer for answer in region.names if answer.name == host]
        for host in dict.fromkeys(answer.name for answer in region.names)
    }
    forged = [told for host, answers in by_name.items() if (told := _forged(view, region, host, answers)) is not None]
    missing = {host: answers for host, answers in by_name.items() if not _has_address(answers)}
    if not missing:
        return tuple(forged)
    if _everything_timed_out(view):
        return (_timeout([answer for answers in missing.values() for answer in answers]),)
    return (*forged, _blocked(view, region, missing))


def _has_address(answers: Sequence[NameAnswer]) -> bool:
    """Whether the system got an address; the server's answer counts only where the system gave none in time."""
    by_system = [answer for answer in answers if answer.via == "system" and answer.rcode != "TIMEOUT"]
    return any(answer.answers for answer in by_system or answers)


def _everything_timed_out(view: ReachView) -> bool:
    answers = [answer for region in view.reach.regions for answer in region.names] + list(view.reach.controls)
    return bool(answers) and all(answer.rcode == "TIMEOUT" for answer in answers)


def _timeout(answers: Sequence[NameAnswer]) -> Diagnosis:
    resolver = next((answer.resolver for answer in answers if answer.resolver), None)
    tries = sum(answer.tries for answer in answers)
    return diagnosis(
        "DNS_TIMEOUT",
        "certain" if tries > 1 else "likely",
        {"resolver": resolver or "of this system", "seconds": 2.0 if tries <= 1 else 3.0},
        {"tries": tries},
    )


def _blocked(view: ReachView, region: RegionReach, missing: Mapping[str, Sequence[NameAnswer]]) -> Diagnosis:
    """Say which names do not resolve; the relays' names come first, since no call works without them."""
    hosts = sorted(missing, key=lambda host: not host.startswith("turnnlb-"))
    answers = missing[hosts[0]]
    servers = [answer for answer in answers if answer.via == "server" and answer.type == "A"]
    systems = [answer for answer in answers if answer.via == "system" and answer.type == "A"]
    told = next((answer for answer in [*servers, *systems] if answer.rcode != "TIMEOUT"), answers[0])
    exists = [answer for answer in view.reach.controls if answer.control == "exists"]
    control = any(answer.answers for answer in exists) or any(
        answer.answers for one in view.reach.regions for answer in one.names if answer.name not in missing
    )
    rcode = {"TIMEOUT": "no answer", "NOERROR": "no address"}.get(told.rcode, told.rcode)
    if any(answer.answers for answer in servers):
        rcode = "only this computer's own resolver refuses it; the server knows it"
    shown = hosts[0] if len(hosts) == 1 else f"{hosts[0]} and {_counted(len(hosts) - 1, 'other name', 'other names')}"
    values = {
        "resolver": told.resolver or "of this system",
        "name": shown,
        "rcode": rcode,
        "control": " but resolves other AWS names" if control else "; it resolves no other AWS name either",
        "pattern": ", ".join(dict.fromkeys(wildcard_of(host, region.region_code) for host in hosts)),
        "agent": agent_sees(hosts[0], ""),
    }
    twice = len({answer.via for answer in answers}) > 1 or sum(answer.tries for answer in answers) > 1
    confidence: Confidence = "certain" if control and twice else "likely" if control else "cannot_tell"
    return diagnosis(
        "DNS_BLOCKED", confidence, values, {"names": hosts, "rcode": told.rcode, "resolver": told.resolver}
    )


def _forged(view: ReachView, region: RegionReach, host: str, answers: Sequence[NameAnswer]) -> Diagnosis | None:
    wild = next((answer for answer in view.reach.controls if answer.control == "random" and answer.answers), None)
    told = next(
        (
            (answer, address)
            for answer in answers
            for address in answer.answers
            if is_service_name(host) and is_foreign_address(view.ranges, address)
        ),
        None,
    )
    if told is None and wild is not None and any(set(wild.answers) & set(answer.answers) for answer in answers):
        told = (wild, wild.answers[0])
    if told is None:
        return None
    answer, address = told
    values = {
        "resolver": answer.resolver or "of this system",
        "name": host,
        "address": address,
        "ranges_date": view.ranges.retrieved,
        "pattern": wildcard_of(host, region.region_code),
    }
    return diagnosis("DNS_FORGED", "certain", values, {**values, "random_name_resolves": wild is not None})


def is_foreign_address(ranges: IpRanges, address: str) -> bool:
    """Tell whether an address cannot be AWS's: private, of this computer, or in none of the published ranges."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return True
    if parsed.is_private or parsed.is_loopback or parsed.is_unspecified or parsed.is_link_local:
        return True
    return ranges.service_of(address) is None


# ---------------------------------------------------------------- TCP, TLS, proxy, WebSocket


def in_force(region: RegionReach) -> tuple[TcpFound, ...]:
    """Return the ways that a browser would use: by the proxy where there is one, else directly."""
    by_proxy = {(one.host, one.port) for one in region.tcp if one.proxy is not None}
    return tuple(one for one in region.tcp if one.proxy is not None or (one.host, one.port) not in by_proxy)


def tcp_diagnoses(view: ReachView, region: RegionReach) -> tuple[Diagnosis, ...]:
    """Judge the TCP services of one Region."""
    found: list[Diagnosis] = []
    rows = in_force(region)
    for one in rows:
        if one.outcome != "connected" and any(
            other.outcome == "connected" and (other.host, other.port) == (one.host, one.port) for other in rows
        ):
            continue  # another address of the same name is reached; browsers go on to it
        if one.proxy is not None and one.proxy.outcome != "open":
            found.append(_proxy(one))
        elif one.outcome != "connected":
            found += _not_connected(view, region, one)
        else:
            found += _tls(view, region, one)
            found += _websocket(region, one)
    return tuple(found)


def _proxy(one: TcpFound) -> Diagnosis:
    met = one.proxy
    assert met is not None  # noqa: S101 -- only called with one
    values = {
        "proxy": met.proxy,
        "source": f"from the {met.source}",
        "schemes": ", ".join(met.schemes) or "no scheme named",
        "host": one.host,
        "port": one.port,
        "status": met.status,
        "agent": agent_sees(one.host, one.role),
        "reason": {
            "refused": "it refuses connections",
            "timeout": "it does not answer",
            "unreachable": "there is no way to it",
            "unresolved": "its name does not resolve",
            "broken": "it answers with something else than HTTP",
        }.get(met.outcome, met.outcome),
    }
    code = {"auth_required": "PROXY_AUTH_REQUIRED", "denied": "PROXY_DENIED"}.get(met.outcome, "PROXY_UNREACHABLE")
    evidence = {"proxy": met.proxy, "host": one.host, "status": met.status, "schemes": list(met.schemes)}
    return diagnosis(code, "certain", values, evidence)


def _not_connected(view: ReachView, region: RegionReach, one: TcpFound) -> Iterable[Diagnosis]:
    values = {
        "host": one.host,
        "port": one.port,
        "address": one.address,
        "agent": agent_sees(one.host, one.role),
        "what": f"TCP {one.port}",
        "error": one.error,
        "seconds": (one.waited_ms or 0.0) / 1000.0,
    }
    evidence = {
        "host": one.host,
        "address": one.address,
        "error": one.error,
        "tries": one.tries,
        "waited_ms": one.waited_ms,
        "reporter": one.reporter,
    }
    relay_rtt_ms = min((ms for relay in region.relays for ms in relay.answered), default=None)
    answers_by = next((relay.transport.upper() for relay in region.relays if relay.answered), "UDP")
    other = [row for row in view.tcp if row.outcome == "connected" and row.host != one.host]
    if one.outcome == "unreachable" and one.error in LOCAL_REFUSAL and one.reporter is None:
        yield diagnosis("LOCAL_FIREWALL", "certain" if other or relay_rtt_ms else "likely", values, evidence)
    elif one.outcome in {"refused", "unreachable"}:
        near = ""
        if one.reporter is not None:
            near = f" (by {one.reporter}, which says so by ICMP)"
        elif relay_rtt_ms is not None and one.waited_ms is not None and one.waited_ms < relay_rtt_ms / 2.0:
            near = f" after {one.waited_ms:.0f} ms, faster than the distance allows: a device near you refuses it"
        sure = one.tries >= 3 and (bool(other) or relay_rtt_ms is not None)
        yield diagnosis("TCP_REFUSED", "certain" if sure else "likely", {**values, "near": near}, evidence)
    elif relay_rtt_ms is not None or other or _near_device(view, region):
        control = (
            f"{answers_by} to a relay of the same Region is answered"
            if relay_rtt_ms is not None
            else f"{other[0].host} connects"
            if other
            else f"devices nearby answer (the last one is {_near_device(view, region)})"
        )
        sure = (one.waited_ms or 0.0) >= 3000.0 and (bool(other) or relay_rtt_ms is not None)
        yield diagnosis("TCP_FILTERED", "certain" if sure else "likely", {**values, "control": control}, evidence)


def _near_device(view: ReachView, region: RegionReach) -> str | None:
    """Return the last device that answered on any path to the Region."""
    way = view.ways.get(region.region_code) or WayFound()
    for traced in (way.tcp, way.udp):
        answered = [hop.address for hop in traced.path.hops if hop.address] if traced is not None else []
        if answered:
            return answered[-1]
    return None


def _tls(view: ReachView, region: RegionReach, one: TcpFound) -> Iterable[Diagnosis]:
    tls = one.tls
    if tls is None:
        return
    values = {
        "host": one.host,
        "region": region.region_code or "*",
        "agent": agent_sees(one.host, one.role),
        "issuer": tls.issuer or "nobody",
    }
    if tls.outcome != "ok" and not is_service_name(one.host):
        return  # a stand-in may speak something else than TLS
    if tls.outcome != "ok":
        silent = {"timeout": "no answer to the first message", "closed": "the other side closes the connection"}
        reason = silent.get(tls.outcome) or tls.error or "handshake error"
        yield diagnosis("TLS_FAILED", "certain", {**values, "reason": reason}, {"host": one.host, "reason": reason})
    elif tls.intercepted:
        trust = "" if tls.trusted else f", whom this computer does not trust ({tls.verify_error})"
        again = [row for row in view.tcp if row.tls and row.tls.issuer == tls.issuer and row.host != one.host]
        evidence = {"host": one.host, "issuer": tls.issuer, "root": tls.root_name, "trusted": tls.trusted}
        yield diagnosis("TLS_INTERCEPTED", "certain" if again else "likely", {**values, "trust": trust}, evidence)
    elif tls.trusted is False and not _is_explained_by_clock(view, one):
        reason = f"the certificate is not trusted ({tls.verify_error}; signed by {tls.issuer or 'nobody known'})"
        evidence = {"host": one.host, "reason": tls.verify_error, "issuer": tls.issuer}
        yield diagnosis("TLS_FAILED", "certain", {**values, "reason": reason}, evidence)


def _is_explained_by_clock(view: ReachView, one: TcpFound) -> bool:
    return any(row.code == "CLOCK_WRONG" for row in _clock(view)) and bool(
        one.tls and re.search(r"not yet valid|expired", one.tls.verify_error or "")
    )


def _websocket(region: RegionReach, one: TcpFound) -> Iterable[Diagnosis]:
    http, tls = one.http, one.tls
    if http is None or tls is None or http.asked != "websocket" or http.outcome in {"upgraded", "answered"}:
        return
    twin = next(
        (
            row.http.outcome in {"upgraded", "answered"}
            for row in region.tcp
            if one.proxy is not None and row.proxy is None and row.host == one.host and row.http is not None
        ),
        None,
    )
    opened = tls.intercepted is True or tls.trusted is False
    if twin is False or (one.proxy is None and not opened):
        return  # the service itself answers so; a genuine connection cannot be changed on the way
    if twin is None and not opened and http.outcome == "stripped":
        return
    through = f"through the proxy {one.proxy.proxy}" if one.proxy is not None else "through the device that opens TLS"
    reason = {
        "stripped": f"the answer is {http.status}, as if no upgrade had been asked for",
        "closed": "the connection is closed",
        "timeout": "no answer",
    }[http.outcome]
    values = {"host": one.host, "through": through, "reason": reason, "region": region.region_code or "*"}
    evidence = {"host": one.host, "status": http.status, "outcome": http.outcome}
    yield diagnosis("PROXY_WS_BROKEN", "certain" if twin else "likely", values, evidence)


# ---------------------------------------------------------------- UDP


def udp_diagnoses(view: ReachView, region: RegionReach) -> tuple[Diagnosis, ...]:
    """Judge the relays of one Region."""
    relays = [one for one in region.relays if one.transport == "udp"]
    spoken = [one for one in relays if not one.is_ipv6] or relays
    if not spoken:
        return ()
    open_, closed = [one for one in spoken if one.answered], [one for one in spoken if not one.answered]
    if not open_:
        return _nothing_answers(view, region, closed)
    found = list(_turn(region, open_))
    sure = [one for one in closed if len(one.binding_rtt_ms) >= SILENT_REQUESTS or one.icmp is not None]
    if sure:
        values = {
            "region": region.region_code,
            "port": sure[0].port,
            "open": len(open_),
            "closed": len(sure),
            "address": sure[0].address,
            "names": _names(region),
        }
        found.append(diagnosis("UDP_PARTLY_BLOCKED", "likely", values))
    return tuple(found)


def _names(region: RegionReach) -> str:
    hosts = dict.fromkeys(wildcard_of(one.host, region.region_code) for one in region.relays)
    return ", ".join(hosts)


def _turn(region: RegionReach, relays: Sequence[RelayFound]) -> Iterable[Diagnosis]:
    for one in relays:
        silent = one.allocate == "no_answer" and len(one.allocate_rtt_ms) >= TURN_REQUESTS
        if silent or one.allocate == "error":
            reason = "no answer" if silent else f"error {one.error_code}"
            values = {"region": region.region_code, "address": one.address, "reason": reason}
            evidence = {**values, "error_code": one.error_code, "bindings_answered": len(one.answered)}
            yield diagnosis("TURN_REFUSED", "certain", values, evidence)
            return


def _nothing_answers(view: ReachView, region: RegionReach, relays: Sequence[RelayFound]) -> tuple[Diagnosis, ...]:
    tcp_works = any(one.outcome == "connected" for one in region.tcp)
    values = {
        "region": region.region_code,
        "names": _names(region),
        "port": relays[0].port,
        "what": f"UDP {relays[0].port}",
        "sent": sum(len(one.binding_rtt_ms) for one in relays),
        "addresses": _counted(len({one.address for one in relays}), "address", "addresses"),
        "seconds": max((one.span_ms or 0.0 for one in relays), default=0.0) / 1000.0,
    }
    evidence = {"sent": values["sent"], "addresses": [one.address for one in relays], "tcp_works": tcp_works}
    refused = [one for one in relays if one.send_error in LOCAL_REFUSAL]
    if len(refused) == len(relays):
        shown = {**values, "error": refused[0].send_error}
        return (diagnosis("LOCAL_FIREWALL", "certain" if tcp_works else "likely", shown, evidence),)
    said = next((one.icmp for one in relays if one.icmp is not None and not one.icmp.is_too_big), None)
    if said is not None:
        shown = {**values, "router": said.router or "this computer", "type": said.type, "code": said.code}
        code = "UDP_PROHIBITED" if said.is_prohibited else "UDP_REJECTED"
        told = {**evidence, "router": said.router, "icmp_type": said.type, "icmp_code": said.code}
        return (diagnosis(code, "certain", shown, told),)
    return _silence(view, region, relays, values, evidence)


def _counted(number: int, noun: str, nouns: str) -> str:
    return f"{number} {noun if number == 1 else nouns}"


def _silence(
    view: ReachView,
    region: RegionReach,
    relays: Sequence[RelayFound],
    values: Mapping[str, object],
    evidence: Mapping[str, object],
) -> tuple[Diagnosis, ...]:
    tcp_works = any(one.outcome == "connected" for one in region.tcp)
    elsewhere = any(one.answered for one in view.relays)
    way = view.ways.get(region.region_code) or WayFound()
    path = way.udp.path if way.udp is not None else None
    last = max((hop.ttl for hop in path.hops if hop.address is not None), default=None) if path else None
    streamed = next((one for one in region.relays if one.transport != "udp" and one.allocate == "challenged"), None)
    if not tcp_works and not elsewhere and last is None and streamed is None:
        code = "NO_ANSWER_UNEXPLAINED"
        return (diagnosis(code, "cannot_tell", values, evidence),)
    length = way.tcp.path.hop_count if way.tcp is not None else None
    if tcp_works and last is not None and length is not None and last >= length - 1:
        return (diagnosis("UDP_ONE_WAY", "likely", {**values, "hop": last}, {**evidence, "hop": last}),)
    border, router = "", None
    if last is not None and path is not None:
        router = next(hop.address for hop in path.hops if hop.ttl == last)
        border = f"; UDP is answered up to hop {last} ({router}) and not after it: ask its owner and the next one's"
    control = ""
    if streamed is not None:
        control = f" while the same relay answers over {streamed.transport.upper()} {streamed.port}"
    elif tcp_works:
        control = " while TCP 443 works"
    elif elsewhere:
        control = " while UDP to other Regions works"
    sent = sum(len(one.binding_rtt_ms) for one in relays)
    enough = (
        sent >= PROVEN_REQUESTS
        and len({one.address for one in relays}) >= PROVEN_ADDRESSES
        and max(one.span_ms or 0.0 for one in relays) >= PROVEN_SPAN_MS
    )
    sure = enough and (tcp_works or streamed is not None) and (last is not None or elsewhere)
    return (
        diagnosis(
            "UDP_BLOCKED",
            "certain" if sure else "likely",
            {**values, "control": control, "border": border},
            {**evidence, "last_hop": last, "last_router": router},
        ),
    )


# ---------------------------------------------------------------- one Region as a whole


def judge_udp(region: RegionReach) -> Judgement:
    """Say in one word whether media can pass."""
    relays = [one for one in region.relays if one.transport == "udp"]
    if not relays:
        return "unknown"
    if not any(one.answered for one in relays):
        return "blocked"
    ready = [one.allocate in {"challenged", "granted"} for one in relays if not one.is_ipv6 or one.answered]
    return "open" if all(ready) else "impaired" if any(ready) else "blocked"


def judge_tcp(region: RegionReach) -> Judgement:
    """Say in one word whether pages and signalling can pass."""
    rows = in_force(region)
    if not rows:
        return "unknown"
    good = [one.outcome == "connected" and _is_usable(one) for one in rows]
    if not any(good):
        return "unknown" if all(one.proxy and one.proxy.outcome == "auth_required" for one in rows) else "blocked"
    broken = any(one.outcome == "connected" and any(_websocket(region, one)) for one in rows)
    return "open" if all(good) and not broken else "impaired"


def _is_usable(one: TcpFound) -> bool:
    """Whether a browser would go on: TLS stands, and this computer trusts it (a stand-in may speak something else)."""
    if one.tls is None or (one.tls.outcome != "ok" and not is_service_name(one.host)):
        return True
    return one.tls.outcome == "ok" and one.tls.trusted is not False
