"""What stands in clear before a tunnel: a proxy's CONNECT, the upgrade to WebSocket, SOCKS.

References: RFC 9110 and 9112 (HTTP/1.1), RFC 6455 (WebSocket), RFC 1928 and 1929 (SOCKS).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from ccp_assess.errors import ParseError

MAX_HEAD_BYTES = 16 * 1024
MAX_HEADERS = 200

METHODS = frozenset({"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"})


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpHead:
    """A request line or status line with its headers.

    Parameters
    ----------
    method, target
        Of a request, else ``None``.
    status, reason
        Of a response, else ``None``.
    headers
        Names in lower case with values, in order; hostile text.
    size
        Bytes up to and including the empty line; what follows is the body or the tunnel.
    """

    method: str | None = None
    target: str | None = None
    status: int | None = None
    reason: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    size: int = 0

    def get(self, name: str) -> str | None:
        """Give the first value of a header.

        Parameters
        ----------
        name
            In lower case.

        Returns
        -------
        value
            ``None`` if it is absent.
        """
        return next((value for key, value in self.headers if key == name), None)

    @property
    def is_websocket(self) -> bool:
        """Whether it asks for, or grants, the upgrade to WebSocket."""
        return "websocket" in (self.get("upgrade") or "").lower()

    @property
    def connect_target(self) -> tuple[str, int] | None:
        """Host and port that CONNECT asks the proxy for."""
        if self.method != "CONNECT" or self.target is None:
            return None
        host, separator, port = self.target.rpartition(":")
        if not separator or not port.isascii() or not port.isdigit() or int(port) > 65535:
            return None
        return host.strip("[]").lower(), int(port)


def looks_like_http(data: bytes) -> bool:
    """Tell whether a TCP stream begins with an HTTP/1.x head.

    Parameters
    ----------
    data
        First bytes of one side.

    Returns
    -------
    is_http
        Whether it is worth parsing.
    """
    word = bytes(data[:9]).split(b" ", 1)[0]
    return word.startswith(b"HTTP/1.") or word.decode("latin-1") in METHODS


def parse_head(data: bytes) -> HttpHead:
    """Read the head of a request or response.

    Parameters
    ----------
    data
        Bytes from its first one; what follows the head is not looked at.

    Returns
    -------
    head
        First line and headers.

    Raises
    ------
    ParseError
        If it is not HTTP/1.x, or its empty line has not come within 16 KiB.
    """
    if not looks_like_http(data):
        raise ParseError("bytes do not begin with an HTTP request or status line")
    window = bytes(data[:MAX_HEAD_BYTES])
    end, gap = window.find(b"\r\n\r\n"), 4
    bare = window.find(b"\n\n")
    if end < 0 or 0 <= bare < end:
        end, gap = bare, 2
    if end < 0:
        raise ParseError(f"HTTP head does not end within {len(window)} bytes")
    lines = window[:end].decode("latin-1").replace("\r\n", "\n").split("\n")
    headers = tuple(_header(line) for line in lines[1 : MAX_HEADERS + 1] if ":" in line)
    first = lines[0].split(" ", 2)
    if lines[0].startswith("HTTP/1."):
        if len(first) < 2 or not (first[1].isascii() and first[1].isdigit() and len(first[1]) == 3):
            raise ParseError("HTTP status line has no three-digit status")
        reason = first[2] if len(first) > 2 else ""
        return HttpHead(status=int(first[1]), reason=reason, headers=headers, size=end + gap)
    if len(first) != 3 or not first[2].startswith("HTTP/1."):
        raise ParseError("HTTP request line does not end in a version")
    return HttpHead(method=first[0], target=first[1], headers=headers, size=end + gap)


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip().lower(), value.strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class SocksConnect:
    """What a SOCKS client asks its proxy for.

    Parameters
    ----------
    version
        4 or 5.
    host, port
        Where it wants to go; a name in lower case or an address.
    size
        Bytes that the client sent up to the tunnel, if they follow each other directly.
    """

    version: int
    host: str
    port: int
    size: int


def parse_socks(data: bytes) -> SocksConnect:
    """Read what a SOCKS 4, 4a or 5 client sends before its tunnel.

    Parameters
    ----------
    data
        First bytes of the client's side.

    Returns
    -------
    connect
        The destination asked for.

    Raises
    ------
    ParseError
        If the bytes are no SOCKS CONNECT.
    """
    if len(data) >= 9 and data[0] == 4 and data[1] == 1:
        return _parse_socks4(data)
    if len(data) < 3 or data[0] != 5 or not 1 <= data[1] <= 8:
        raise ParseError("bytes are no SOCKS request")
    position = 2 + data[1]
    if data[position : position + 1] == b"\x01":  # user name and password in clear (RFC 1929)
        if len(data) < position + 2:
            raise ParseError("SOCKS request is cut")
        position += 2 + data[position + 1]
        position += 1 + (data[position] if position < len(data) else 0)
    if len(data) < position + 5 or data[position] != 5 or data[position + 1] != 1:
        raise ParseError("SOCKS client asks for no connection")
    kind = data[position + 3]
    size = {1: 4, 4: 16, 3: 1 + data[position + 4]}.get(kind)
    if size is None or len(data) < position + 4 + size + 2:
        raise ParseError("SOCKS address is cut or of unknown kind")
    raw = bytes(data[position + 4 : position + 4 + size])
    end = position + 4 + size + 2
    if kind == 3:
        host = raw[1:].decode("ascii", "backslashreplace").lower()
    else:
        host = str(IPv4Address(raw) if kind == 1 else IPv6Address(raw))
    return SocksConnect(version=5, host=host, port=int.from_bytes(data[end - 2 : end], "big"), size=end)


def _parse_socks4(data: bytes) -> SocksConnect:
    user_end = data.find(b"\x00", 8, 512)
    if user_end < 0:
        raise ParseError("SOCKS 4 user name does not end")
    host, end = str(IPv4Address(bytes(data[4:8]))), user_end + 1
    if data[4:7] == b"\x00\x00\x00" and data[7]:  # 4a: the name follows
        name_end = data.find(b"\x00", end, end + 256)
        if name_end < 0:
            raise ParseError("SOCKS 4a host name does not end")
        host, end = data[end:name_end].decode("ascii", "backslashreplace").lower(), name_end + 1
    return SocksConnect(version=4, host=host, port=int.from_bytes(data[2:4], "big"), size=end)
