"""DTLS handshakes: who began, how often something was sent again, whether and when it was finished.

Since DTLS 1.3 hides all but the hellos, completion is told by what travels: the client's last message of the handshake
epoch (2) after the server's first one. In DTLS 1.2 both sides have sent a handshake record of epoch 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ccp_assess.errors import ParseError
from ccp_assess.traffic.relaypaths import PathKey, RelayPaths
from ccp_assess.wire import certificates, dtls, tls
from ccp_assess.wire.datagram import Datagram

_RESTART_NS = 60_000_000_000
_CLOSE_AFTER_NS = 1_000_000_000
_CLOSE_BYTES = 64
_HANDSHAKE_EPOCH, _APPLICATION_EPOCH = 2, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class DtlsHandshake:
    """One DTLS handshake on one path.

    Parameters
    ----------
    path
        The path that it was made on.
    started_ns
        First ClientHello; first record where that is missing [ns].
    has_client_hello
        Whether the beginning was captured.
    client_outbound_of_key
        Whether the client is ``flow.a``.
    completed_ns
        ``None`` if it was not finished within the capture [ns].
    last_ns
        Last record of the handshake or its alert [ns].
    version
        Negotiated, such as ``DTLSv1.3``; ``None`` if the ServerHello was not seen.
    retransmissions
        Handshake fragments in clear that were sent again (count).
    client_fingerprint, server_fingerprint
        SHA-256 of the certificates where they are in clear (DTLS 1.2).
    server_answered
        Whether the server sent anything.
    alerts
        Alerts in clear, by name.
    close_ns
        First encrypted alert (or, under DTLS 1.3, short record) long after completion [ns].
    """

    path: PathKey
    started_ns: int
    has_client_hello: bool
    client_outbound_of_key: bool
    completed_ns: int | None
    last_ns: int
    version: str | None
    retransmissions: int
    client_fingerprint: str | None
    server_fingerprint: str | None
    server_answered: bool
    alerts: tuple[str, ...]
    close_ns: int | None


@dataclass(slots=True)
class _Session:
    path: PathKey
    started_ns: int
    last_ns: int
    client_outbound: bool | None = None
    fragments: dict[bool, list[dtls.Fragment]] = field(default_factory=lambda: {True: [], False: []})
    seen: set[tuple[bool, int, int, int]] = field(default_factory=set)
    retransmissions: int = 0
    # Times of records by direction and by kind: clear, handshake epoch, application epoch.
    clear: dict[bool, int] = field(default_factory=dict)
    finished: dict[bool, int] = field(default_factory=dict)
    epoch2: dict[bool, list[int]] = field(default_factory=lambda: {True: [], False: []})
    epoch3: dict[bool, int] = field(default_factory=dict)
    alerts: list[str] = field(default_factory=list)
    close_ns: int | None = None

    def completed_ns(self) -> int | None:
        if self.client_outbound is None:
            return None
        client, server = self.client_outbound, not self.client_outbound
        if len(self.finished) == 2:
            return max(self.finished.values())
        if not self.epoch2[server]:
            return None
        candidates = [time for time in self.epoch2[client] if time >= self.epoch2[server][0]]
        if not candidates:
            return self.epoch3.get(client)
        confirmed = min((t for t in (self.epoch3.get(server), self.epoch3.get(client)) if t is not None), default=None)
        if confirmed is None:
            return candidates[0]
        return max((time for time in candidates if time <= confirmed), default=candidates[0])


def read_handshakes(datagrams: Iterable[Datagram], paths: RelayPaths) -> list[DtlsHandshake]:
    """Find the DTLS handshakes of all paths.

    Parameters
    ----------
    datagrams
        Rare packets in order of arrival.
    paths
        Channels and peers.

    Returns
    -------
    handshakes
        In order of start.
    """
    open_sessions: dict[PathKey, _Session] = {}
    everything: list[_Session] = []
    for datagram in datagrams:
        if datagram.tcp_seq is not None and not datagram.framed:
            continue
        if not dtls.looks_like_dtls(datagram.payload, datagram.length):
            continue
        try:
            records = dtls.parse_records(datagram.payload, length=datagram.length)
        except ParseError:
            continue
        path = paths.key(datagram.flow, datagram.channel, datagram.peer, datagram.time_ns)
        session = open_sessions.get(path)
        if session is None and records[0].is_unified:
            continue  # without the beginning, a unified header is too weak a sign
        if session is None or _starts_anew(session, records, datagram.time_ns):
            session = _Session(path, datagram.time_ns, datagram.time_ns)
            open_sessions[path] = session
            everything.append(session)
        for record in records:
            _take(session, record, datagram.outbound_of_key, datagram.time_ns)
    handshakes = [_handshake(session) for session in everything if session.clear]
    return sorted(handshakes, key=lambda handshake: (handshake.started_ns, handshake.path))


def _starts_anew(session: _Session, records: list[dtls.Record], time_ns: int) -> bool:
    if session.completed_ns() is None and time_ns - session.last_ns <= _RESTART_NS:
        return False
    fragments = (fragment for record in records for fragment in dtls.parse_fragments(record))
    return any(f.kind == dtls.CLIENT_HELLO and f.message_sequence == 0 for f in fragments)


def _take(session: _Session, record: dtls.Record, outbound: bool, time_ns: int) -> None:  # noqa: FBT001 -- data
    completed = session.completed_ns()
    if record.is_unified:
        if record.epoch == _HANDSHAKE_EPOCH:
            session.epoch2[outbound].append(time_ns)
        elif record.epoch == _APPLICATION_EPOCH:
            session.epoch3.setdefault(outbound, time_ns)
            if completed is not None and time_ns - completed > _CLOSE_AFTER_NS and record.length <= _CLOSE_BYTES:
                session.close_ns = time_ns if session.close_ns is None else session.close_ns
    elif record.is_clear:
        session.clear.setdefault(outbound, time_ns)
        _take_clear(session, record, outbound=outbound)
    elif record.content_type in {dtls.HANDSHAKE, dtls.CID_RECORD}:
        session.finished.setdefault(outbound, time_ns)
    elif record.content_type == dtls.ALERT and session.close_ns is None:
        session.close_ns = time_ns
    if completed is None or session.close_ns is not None:
        session.last_ns = max(session.last_ns, time_ns)


def _take_clear(session: _Session, record: dtls.Record, *, outbound: bool) -> None:
    if record.content_type == dtls.ALERT and len(record.fragment) == 2:
        session.alerts.append(tls.ALERT_NAMES.get(record.fragment[1], f"alert_{record.fragment[1]}"))
    for fragment in dtls.parse_fragments(record):
        if fragment.kind == dtls.CLIENT_HELLO:
            session.client_outbound = outbound
        elif fragment.kind in {dtls.SERVER_HELLO, dtls.HELLO_VERIFY_REQUEST} and session.client_outbound is None:
            session.client_outbound = not outbound
        key = (outbound, fragment.kind, fragment.message_sequence, fragment.offset)
        if key in session.seen:
            session.retransmissions += 1
        elif len(session.seen) < 256:  # a handshake has a few dozen fragments; more are an attack
            session.seen.add(key)
            session.fragments[outbound].append(fragment)


def _handshake(session: _Session) -> DtlsHandshake:
    client = bool(session.client_outbound)
    ours, theirs = dtls.read_hello(session.fragments[client]), dtls.read_hello(session.fragments[not client])
    client_seen = any(fragment.kind == dtls.CLIENT_HELLO for fragment in session.fragments[client])
    answered = (not client) in session.clear or bool(session.epoch2[not client]) or (not client) in session.finished
    return DtlsHandshake(
        path=session.path,
        started_ns=session.started_ns,
        has_client_hello=client_seen,
        client_outbound_of_key=client,
        completed_ns=session.completed_ns(),
        last_ns=session.last_ns,
        version=theirs.server_hello.version if theirs.server_hello else None,
        retransmissions=session.retransmissions,
        client_fingerprint=certificates.fingerprint(ours.certificates[0]) if ours.certificates else None,
        server_fingerprint=certificates.fingerprint(theirs.certificates[0]) if theirs.certificates else None,
        server_answered=answered,
        alerts=tuple(session.alerts),
        close_ns=session.close_ns,
    )
