"""The first bytes of TCP connections, as images to write over the segments that carry them.

A first reading of the capture has put the beginning of every direction in order. Here each beginning is mapped at the
same length: TLS, a proxy's CONNECT, SOCKS, plain HTTP and DNS keep their shape; any other protocol becomes zero.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from ccp_assess.capture.scrubbing.dnsnames import scrub_dns
from ccp_assess.capture.scrubbing.hellos import scrub_tls
from ccp_assess.capture.scrubbing.mapping import Mapping
from ccp_assess.errors import ParseError
from ccp_assess.traffic.dialogues import Side, order_segments
from ccp_assess.traffic.flows import Flow
from ccp_assess.wire import dns, http, tls
from ccp_assess.wire.datagram import Datagram

_TLS_START = b"\x16\x03"
_SOCKS_REPLY_WINDOW = 512
_MOST_HEADS = 5
_STATUS_LINE = re.compile(rb"HTTP/1\.[0-9] [0-9]{3}")
_HOST_AND_PORT = re.compile(rb"(.*?)(:[0-9]{1,5})?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Image:
    """What the beginning of one direction shall read.

    Parameters
    ----------
    first_sequence
        TCP sequence number of its first byte.
    data
        The bytes.
    """

    first_sequence: int
    data: bytes

    def cut(self, sequence: int, count: int) -> bytes:
        """Return what a segment shall read.

        Parameters
        ----------
        sequence
            Of its first byte.
        count
            How many bytes of it are there.

        Returns
        -------
        data
            As many; zero outside the image.
        """
        offset = (sequence - self.first_sequence + 0x80000000 & 0xFFFFFFFF) - 0x80000000
        if offset >= len(self.data) or offset + count <= 0:
            return bytes(count)
        before = bytes(max(-offset, 0))
        piece = before + self.data[max(offset, 0) : offset + count]
        return piece + bytes(count - len(piece))


def make_images(
    flows: Sequence[Flow], datagrams: Iterable[Datagram], mapping: Mapping
) -> dict[tuple[int, bool], Image]:
    """Map the beginnings of all TCP connections.

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
    images
        By flow and whether the bytes went from ``flow.a`` to ``flow.b``; only those with anything but zeros.
    """
    segments: dict[int, tuple[list[Datagram], list[Datagram]]] = {}
    for datagram in datagrams:
        if flows[datagram.flow].transport == "tcp" and not datagram.framed and datagram.channel == 0:
            sides = segments.setdefault(datagram.flow, ([], []))
            sides[0 if datagram.outbound_of_key else 1].append(datagram)
    images: dict[tuple[int, bool], Image] = {}
    for number, (from_a, from_b) in segments.items():
        flow = flows[number]
        sides_of = (order_segments(from_a), order_segments(from_b))
        mapped = scrub_sides(sides_of[0].data, sides_of[1].data, mapping, is_dns=53 in {flow.a_port, flow.b_port})
        for is_from_a, side, data in zip((True, False), sides_of, mapped, strict=True):
            if side.first_sequence is not None and any(data):
                images[number, is_from_a] = Image(side.first_sequence, data)
    return images


def scrub_sides(a: bytes, b: bytes, mapping: Mapping, *, is_dns: bool = False) -> tuple[bytes, bytes]:
    """Map the beginnings of both directions of one connection.

    Parameters
    ----------
    a, b
        Ordered bytes of each end.
    mapping
        Of the client's key.
    is_dns
        Whether one end has port 53.

    Returns
    -------
    a, b
        Of the same lengths.
    """
    if is_dns:
        return _scrub_dns_stream(a, mapping), _scrub_dns_stream(b, mapping)
    return _scrub_side(a, b, mapping), _scrub_side(b, a, mapping)


def _scrub_side(data: bytes, other: bytes, mapping: Mapping) -> bytes:
    if tls.looks_like_tls(data):
        return scrub_tls(data, mapping)
    if http.looks_like_http(data):
        return _scrub_http(data, mapping)
    if _asks_socks(data):
        return _scrub_socks_request(data, mapping)
    if _asks_socks(other):
        start = data.find(_TLS_START, 0, _SOCKS_REPLY_WINDOW)
        if start >= 0:
            return bytes(start) + scrub_tls(data[start:], mapping)
    return bytes(len(data))


def _scrub_dns_stream(data: bytes, mapping: Mapping) -> bytes:
    out = bytearray(len(data))
    at = 0
    for message in dns.parse_tcp_messages(data):
        out[at : at + 2] = data[at : at + 2]
        out[at + 2 : at + 2 + len(message)] = scrub_dns(message, mapping)
        at += 2 + len(message)
    out[at : at + 2] = data[at : at + 2]
    return bytes(out)


# --- HTTP and proxies ------------------------------------------------------------------------------------------------


def _scrub_http(data: bytes, mapping: Mapping) -> bytes:
    """Map heads of requests or answers that follow each other, then the TLS of a tunnel."""
    is_answer = data.startswith(b"HTTP/")
    out = b""
    for _ in range(_MOST_HEADS):
        rest = data[len(out) :]
        try:
            head = http.parse_head(rest)
        except ParseError:
            break
        out += _scrub_head(rest[: head.size], mapping)
    rest = data[len(out) :]
    if is_answer:
        start = rest.find(_TLS_START)
        return out + (bytes(start) + scrub_tls(rest[start:], mapping) if start >= 0 else bytes(len(rest)))
    return out + (scrub_tls(rest, mapping) if tls.looks_like_tls(rest) else bytes(len(rest)))


def _scrub_head(head: bytes, mapping: Mapping) -> bytes:
    """Write a head anew at the same length: first line, Host and Upgrade; the rest is one header of filling."""
    ending = b"\r\n" if head.endswith(b"\r\n\r\n") else b"\n"
    lines = head[: -2 * len(ending)].replace(b"\r\n", b"\n").split(b"\n")
    for by_text in (True, False):
        made = [_first_line(lines[0], mapping, by_text=by_text)]
        for line in lines[1:]:
            name, colon, value = line.partition(b":")
            word, value = name.strip().lower(), value.strip()
            if colon and word == b"host":
                made.append(b"Host: " + _host_and_port(value, mapping, by_text=by_text))
            elif colon and word == b"upgrade" and b"websocket" in value.lower():
                made.append(b"Upgrade: websocket")
        room = len(head) - len(ending.join(made)) - 2 * len(ending)
        if room == 0:
            return ending.join(made) + 2 * ending
        if room >= len(ending) + 3:
            filling = ending + b"X:" + b"x" * (room - len(ending) - 2)
            return ending.join(made) + filling + 2 * ending
    return _fill_head(head, lines[0], ending, mapping)


def _fill_head(head: bytes, first: bytes, ending: bytes, mapping: Mapping) -> bytes:
    """Keep the length of the first line where a head leaves no room to write it anew."""
    made = _first_line(first, mapping, by_text=False)
    rest = len(head) - len(made) - 2 * len(ending)
    if rest < 0:
        return b"\0" * len(head)
    return made + (b"" if rest == 0 else b" " * rest) + 2 * ending


def _first_line(line: bytes, mapping: Mapping, *, by_text: bool) -> bytes:
    status = _STATUS_LINE.match(line)
    if status:
        return status.group()
    method, _, rest = line.partition(b" ")
    target, _, version = rest.rpartition(b" ")
    if not version.startswith(b"HTTP/1.") or not version[7:8].isdigit():
        version = b"HTTP/1.1"
    if method == b"CONNECT":
        return b" ".join((method, _host_and_port(target, mapping, by_text=by_text), version[:8]))
    return b" ".join((method, b"/", version[:8]))


def _host_and_port(text: bytes, mapping: Mapping, *, by_text: bool) -> bytes:
    """Map ``host:port``; an address is mapped as an address where its new text finds room."""
    match = _HOST_AND_PORT.fullmatch(text)
    host, port = (match.group(1), match.group(2) or b"") if match else (text, b"")
    if by_text:
        try:
            mapped = mapping.address_text(ip_address(host.strip(b"[]").decode("ascii")).compressed).encode()
        except ValueError:
            return mapping.host(host) + port
        return (b"[" + mapped + b"]" if host.startswith(b"[") else mapped) + port
    return mapping.letters(host) + port if _is_address(host) else mapping.host(host) + port


def _is_address(host: bytes) -> bool:
    try:
        ip_address(host.strip(b"[]").decode("ascii"))
    except ValueError:
        return False
    return True


def _asks_socks(data: bytes) -> bool:
    if data[:1] not in {b"\x04", b"\x05"}:
        return False
    try:
        http.parse_socks(data)
    except ParseError:
        return False
    return True


def _scrub_socks_request(data: bytes, mapping: Mapping) -> bytes:
    """Keep the shape of what a SOCKS client asks for; user name and password become filling."""
    connect = http.parse_socks(data)
    out = bytearray(len(data))
    if connect.version == 4:
        out[:4] = data[:4]
        out[4:8] = data[4:8] if data[4:7] == b"\0\0\0" else mapping.address(data[4:8])
        end = data.index(b"\0", 8)
        out[8:end] = b"x" * (end - 8)
        if connect.size > end + 1:
            out[end + 1 : connect.size - 1] = mapping.host(data[end + 1 : connect.size - 1])
    else:
        at = 2 + data[1]
        out[:at] = data[:at]
        if data[at : at + 1] == b"\x01":
            user_end = at + 2 + data[at + 1]
            out[at : at + 2] = data[at : at + 2]
            out[at + 2 : user_end] = b"x" * (user_end - at - 2)
            out[user_end] = data[user_end]
            at = user_end + 1 + data[user_end]
            out[user_end + 1 : at] = b"x" * (at - user_end - 1)
        kind = data[at + 3]
        start = at + (5 if kind == 3 else 4)
        out[at:start] = data[at:start]
        raw = data[start : connect.size - 2]
        out[start : connect.size - 2] = mapping.host(raw) if kind == 3 else mapping.address(raw)
        out[connect.size - 2 : connect.size] = data[connect.size - 2 : connect.size]
    rest = data[connect.size :]
    out[connect.size :] = scrub_tls(rest, mapping) if tls.looks_like_tls(rest) else bytes(len(rest))
    return bytes(out)


__all__ = ["Image", "Side", "make_images", "scrub_sides"]
