"""QUIC Initials written anew: their keys are public, so the name inside must be mapped too (RFC 9000, 9001)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ccp_assess.capture.scrubbing.datagrams import is_quic_long, scrub_quic
from ccp_assess.capture.scrubbing.hellos import scrub_handshake
from ccp_assess.capture.scrubbing.mapping import Mapping
from ccp_assess.errors import ParseError
from ccp_assess.traffic.flows import Flow
from ccp_assess.traffic.names import DNS_PORT
from ccp_assess.wire import quic, tls
from ccp_assess.wire.datagram import Datagram

_MOST_DATAGRAMS = 16


@dataclass(slots=True)
class _Initial:
    """An Initial that could be opened."""

    datagram: Datagram
    at: int
    header: quic.LongHeader
    key_id: bytes
    frames: bytes


@dataclass(slots=True)
class _Conversation:
    """The client's side of one flow."""

    key_id: bytes | None = None
    initials: list[_Initial] = field(default_factory=list)
    datagrams: list[Datagram] = field(default_factory=list)


def make_payloads(flows: Sequence[Flow], datagrams: Iterable[Datagram], mapping: Mapping) -> dict[int, bytes]:
    """Map the datagrams with which clients begin QUIC connections.

    Parameters
    ----------
    flows
        All flows.
    datagrams
        Rare packets in order of arrival.
    mapping
        Of the client's key.

    Returns
    -------
    payloads
        By number of the frame: UDP payloads of the same length whose Initials still open.
    """
    conversations: dict[tuple[int, bool], _Conversation] = {}
    for datagram in datagrams:
        flow = flows[datagram.flow]
        if flow.transport != "udp" or datagram.channel or datagram.peer is not None or datagram.framed:
            continue
        if not is_quic_long(datagram.payload) or DNS_PORT in {flow.a_port, flow.b_port}:
            continue
        conversation = conversations.setdefault((datagram.flow, datagram.outbound_of_key), _Conversation())
        if len(conversation.datagrams) < _MOST_DATAGRAMS:
            conversation.datagrams.append(datagram)
            _open(datagram, conversation)
    payloads: dict[int, bytes] = {}
    for conversation in conversations.values():
        _seal(conversation, mapping, payloads)
    return payloads


def _open(datagram: Datagram, conversation: _Conversation) -> None:
    """Open the Initials of a datagram with the client's keys."""
    at, data = 0, datagram.payload
    while at < len(data) and data[at] & 0x80:
        try:
            header = quic.parse_long_header(data[at:])
        except ParseError:
            return
        if header.is_initial:
            candidates = [header.destination_id] if conversation.key_id is None else [conversation.key_id]
            for key_id in dict.fromkeys([*candidates, header.destination_id]):
                try:
                    frames = quic.decrypt_initial(header, key_id)
                    quic.parse_crypto_frames(frames)
                except ParseError:
                    continue
                conversation.key_id = key_id
                conversation.initials.append(_Initial(datagram, at, header, key_id, frames))
                break
        at += max(header.size, 1)


def _seal(conversation: _Conversation, mapping: Mapping, payloads: dict[int, bytes]) -> None:
    streams: dict[bytes, dict[int, bytes]] = {}
    for initial in conversation.initials:
        streams.setdefault(initial.key_id, {}).update(quic.parse_crypto_frames(initial.frames))
    mapped = {key_id: _scrub_stream(pieces, mapping) for key_id, pieces in streams.items()}
    for initial in conversation.initials:
        number = initial.datagram.frame
        data = bytearray(payloads.get(number) or scrub_quic(initial.datagram.payload))
        frames = _scrub_frames(initial.frames, mapped[initial.key_id])
        packet = seal_initial(initial.header, bytes(data[initial.at :]), initial.key_id, frames)
        data[initial.at : initial.at + len(packet)] = packet
        payloads[number] = bytes(data)


def _scrub_stream(pieces: dict[int, bytes], mapping: Mapping) -> bytes:
    """Map the handshake bytes of one client, as far as they are there without a gap."""
    data = bytearray()
    for offset in sorted(pieces):
        if offset > len(data):
            break
        data[offset : offset + len(pieces[offset])] = pieces[offset]
    out = bytearray(len(data))
    at = 0
    for kind, body in tls.split_handshake(bytes(data)):
        out[at : at + 4] = data[at : at + 4]
        out[at + 4 : at + 4 + len(body)] = scrub_handshake(kind, body, mapping)
        at += 4 + len(body)
    out[at : at + 4] = data[at : at + 4]
    return bytes(out)


def _scrub_frames(frames: bytes, stream: bytes) -> bytes:
    """Put mapped handshake bytes in place; what is no CRYPTO or ACK frame becomes padding."""
    out = bytearray(len(frames))
    at = 0
    try:
        while at < len(frames):
            kind, start = frames[at], at
            at += 1
            if kind == 0x06:
                offset, at = _integer(frames, at)
                size, at = _integer(frames, at)
                out[start:at] = frames[start:at]
                piece = stream[offset : offset + size]
                out[at : at + len(piece)] = piece
                at += size
            elif kind in {0x02, 0x03}:
                at = _skip_ack(frames, at, has_ecn=kind == 0x03)
            elif kind not in {0x00, 0x01}:
                break
    except IndexError:
        pass
    return bytes(out[: len(frames)])


def _skip_ack(frames: bytes, at: int, *, has_ecn: bool) -> int:
    for _ in range(2):
        _, at = _integer(frames, at)
    ranges, at = _integer(frames, at)
    for _ in range(1 + 2 * min(ranges, len(frames)) + 3 * has_ecn):
        _, at = _integer(frames, at)
    return at


def _integer(data: bytes, at: int) -> tuple[int, int]:
    width = 1 << (data[at] >> 6)
    return int.from_bytes(data[at : at + width], "big") & (1 << 8 * width - 2) - 1, at + width


def seal_initial(header: quic.LongHeader, clear: bytes, key_id: bytes, frames: bytes) -> bytes:
    """Protect an Initial with the keys of a client (RFC 9001, sections 5.3 and 5.4).

    Parameters
    ----------
    header
        Of the packet as it was captured.
    clear
        Its new clear header; what follows is not looked at.
    key_id
        Destination connection id of the client's first Initial.
    frames
        What it shall hold; as long as before.

    Returns
    -------
    packet
        As long as before.
    """
    key, iv, hp = quic.client_keys(header.version, key_id)
    offset, packet = header.number_offset, header.packet
    mask = quic.header_mask(hp, packet[offset + 4 : offset + 20])
    first = packet[0] ^ (mask[0] & 0x0F)
    width = (first & 3) + 1
    number = bytes(a ^ b for a, b in zip(packet[offset : offset + width], mask[1:], strict=False))
    nonce = (int.from_bytes(iv, "big") ^ int.from_bytes(number, "big")).to_bytes(12, "big")
    head = bytes([first]) + clear[1:offset] + number
    sealed = AESGCM(key).encrypt(nonce, frames, head)
    mask = quic.header_mask(hp, sealed[4 - width : 20 - width])
    protected = bytes(a ^ b for a, b in zip(number, mask[1:], strict=False))
    return bytes([first ^ (mask[0] & 0x0F)]) + clear[1:offset] + protected + sealed
