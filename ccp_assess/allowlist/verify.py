"""Re-run the tests of a change request: every line green, red, or untested with the reason.

The network is reached through a small prober that is handed in, so that nothing here opens a socket.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from ccp_assess.allowlist.inputs.model import EVERY_PORT
from ccp_assess.allowlist.rules import Allowlist
from ccp_assess.endpoints import EVERY_REGION, read_patterns
from ccp_assess.errors import AllowlistError, ParseError
from ccp_assess.prefixes import parse_address, parse_prefix
from ccp_assess.shapes import parse_json

_FIELDS = ("target", "kind", "port", "transport", "direction", "region_code")

AT_ONCE = 16
"""Lines tested at the same time: where all is blocked, a whole request still ends in some ten attempts' time."""

Colour = Literal["green", "red", "untested"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What one attempt met.

    Parameters
    ----------
    outcome
        ``connected``, ``answered``, ``refused``, ``timeout``, ``unreachable`` or ``unresolved``.
    rtt_ms
        How long it took; ``None`` without an answer [ms].
    """

    outcome: str
    rtt_ms: float | None = None

    @property
    def good(self) -> bool:
        """Whether the way is open."""
        return self.outcome in {"connected", "answered"}


class Prober(Protocol):
    """Reaches the network; a deadline of its own ends every attempt."""

    def resolve(self, host: str) -> tuple[str, ...]:
        """Return the addresses of a name; empty if it does not resolve."""

    def tcp(self, address: str, port: int) -> Reach:
        """Try to connect."""

    def stun(self, address: str, port: int) -> Reach:
        """Send STUN Binding requests by UDP and wait for the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLine:
    """One line of a change request.

    Parameters
    ----------
    number
        From 1.
    target, kind, port, transport, direction, region_code
        As in the rule.
    """

    number: int
    target: str
    kind: str
    port: str
    transport: str
    direction: str
    region_code: str

    @property
    def host(self) -> str:
        """The name alone."""
        return re.sub(r"^https?://", "", self.target).split("/", 1)[0].lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What became of one line.

    Parameters
    ----------
    line
        The line.
    colour
        ``green``, ``red`` or ``untested``.
    text
        Why, in words.
    tested
        What was tried: target and outcome.
    """

    line: RequestLine
    colour: Colour
    text: str
    tested: tuple[dict[str, Any], ...] = ()

    def to_row(self) -> dict[str, Any]:
        """Return the line as JSON."""
        return {
            "line": self.line.number,
            "target": self.line.target,
            "port": self.line.port,
            "transport": self.line.transport,
            "direction": self.line.direction,
            "result": self.colour,
            "text": self.text,
            "tested": list(self.tested),
        }


def read_request(path: str | Path) -> tuple[tuple[RequestLine, ...], tuple[str, ...]]:
    """Read a change request as data.

    Parameters
    ----------
    path
        The JSON that ``allowlist build --format json`` writes.

    Returns
    -------
    lines
        In order.
    regions
        Codes of the Regions it is for.

    Raises
    ------
    AllowlistError
        If it is no such file; the text says what is wrong.
    """
    name = str(path)
    try:
        document = parse_json(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise AllowlistError(f"{name}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise AllowlistError(f"{name}: no whole JSON document; write it with allowlist build --format json") from error
    rules = document.get("rules") if isinstance(document, dict) else None
    if not isinstance(rules, list) or not rules:
        raise AllowlistError(f"{name}: no rules in it; write it with allowlist build --format json")
    lines = tuple(_line(number, row, name) for number, row in enumerate(rules, 1))
    listed = document.get("regions")
    stated = listed if isinstance(listed, list) else [word for line in lines for word in line.region_code.split()]
    return lines, tuple(dict.fromkeys(str(code) for code in stated if code != "GLOBAL"))


def _line(number: int, row: Any, name: str) -> RequestLine:
    told = {"direction": "outbound", "region_code": "", **row} if isinstance(row, dict) else {}
    port = told.get("port")
    told["port"] = str(port) if isinstance(port, int) else port
    for word in _FIELDS:
        if not isinstance(told.get(word), str):  # the text of what is no text would be tested as a name
            raise AllowlistError(
                f"{name}: rule {number} lacks {word!r} as text; target, kind, port and transport are needed"
            )
    line = RequestLine(number=number, **{word: told[word] for word in _FIELDS})
    ports = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", line.port)
    if not ports or not int(ports[1]) <= int(ports[2] or ports[1]) <= EVERY_PORT[1]:
        raise AllowlistError(f"{name}: rule {number} has port {line.port[:20]!r}; give one, or two as 1024-65535")
    if line.transport not in {"tcp", "udp"}:
        raise AllowlistError(f"{name}: rule {number} has transport {line.transport[:20]!r}; give tcp or udp")
    if line.kind == "cidr":
        try:
            parse_prefix(line.target)
        except ParseError as error:
            raise AllowlistError(f"{name}: rule {number}: {error}") from error
    return line


@dataclass(slots=True)
class _Round:
    """One round of tests by several threads; nothing is asked twice."""

    prober: Prober
    asked: dict[Hashable, Future[Any]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def resolve(self, host: str) -> tuple[str, ...]:
        found: tuple[str, ...] = self._once(host, lambda: self.prober.resolve(host))
        return found

    def reach(self, address: str, port: int, transport: str) -> Reach:
        attempt = self.prober.stun if transport == "udp" else self.prober.tcp
        met: Reach = self._once((address, port, transport), lambda: attempt(address, port))
        return met

    def _once(self, key: Hashable, ask: Callable[[], Any]) -> Any:
        with self.lock:
            mine = key not in self.asked
            future = self.asked.setdefault(key, Future())
        if mine:
            try:
                future.set_result(ask())
            except BaseException as error:  # noqa: BLE001  # whoever waits for the same answer must not wait for ever
                future.set_exception(error)
        return future.result()


def verify(
    lines: Sequence[RequestLine],
    regions: Sequence[str],
    prober: Prober,
    *,
    hosts: Sequence[str] = (),
) -> tuple[Verified, ...]:
    """Test the lines of a change request again.

    Parameters
    ----------
    lines
        The lines to test.
    regions
        Codes of the Regions they are for.
    prober
        Reaches the network.
    hosts
        Real names of the client's that stand for wildcards, for instance from a capture.

    Returns
    -------
    verified
        One entry per line, in order.
    """
    known = [host.lower().rstrip(".") for host in hosts]
    patterns = [p for p in read_patterns() if p.region_code in {*regions, EVERY_REGION} and "*" not in p.host]
    named = [
        p.host.format(region=region)
        for p in patterns
        for region in regions
        if "{" not in p.host.replace("{region}", "")
    ]
    candidates = list(dict.fromkeys([*known, *(name.lower() for name in named)]))
    tests = _Round(prober)
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        return tuple(pool.map(lambda line: _verified(line, candidates, tests), lines))


def request_lines(allowlist: Allowlist) -> tuple[RequestLine, ...]:
    """Return built rules as lines to test.

    Parameters
    ----------
    allowlist
        The built rules.

    Returns
    -------
    lines
        Numbered from 1.
    """
    return tuple(_line(number, rule.to_row(), "rules") for number, rule in enumerate(allowlist.rules, 1))


def verified_document(results: Sequence[Verified]) -> dict[str, Any]:
    """Return verified lines as JSON.

    Parameters
    ----------
    results
        One entry per line.

    Returns
    -------
    document
        ``lines``, and ``counts`` per colour.
    """
    counts = {colour: sum(row.colour == colour for row in results) for colour in ("green", "red", "untested")}
    return {"lines": [row.to_row() for row in results], "counts": counts}


def _verified(line: RequestLine, candidates: Sequence[str], tests: _Round) -> Verified:
    port = int(line.port.split("-", 1)[0]) if line.direction == "outbound" else 3478
    if line.kind == "cidr":
        return _block(line, candidates, tests, port)
    hosts = [line.host] if "*" not in line.host else [host for host in candidates if _meets(line.host, host)]
    if not hosts:
        return Verified(line=line, colour="untested", text="a wildcard without a known name: give one with --host NAME")
    tried = [
        _tried(host, address, tests.reach(address, port, line.transport))
        for host in hosts
        for address in tests.resolve(host)
    ]
    unresolved = [host for host in hosts if not tests.resolve(host)]
    tried += [{"target": host, "address": None, "outcome": "unresolved", "rtt_ms": None} for host in unresolved]
    return _judged(line, tried)


def _tried(host: str, address: str, reach: Reach) -> dict[str, Any]:
    return {"target": host, "address": address, "outcome": reach.outcome, "rtt_ms": reach.rtt_ms}


def _meets(pattern: str, host: str) -> bool:
    expression = re.escape(pattern)
    if expression.startswith(r"\*\."):
        expression = r"(?:[^.]+\.)*" + expression[4:]
    return re.fullmatch(expression.replace(r"\*", "[^.]*"), host) is not None


def _block(line: RequestLine, candidates: Sequence[str], tests: _Round, port: int) -> Verified:
    """Test a block through names that lie in it: nobody answers for every address of it."""
    block = parse_prefix(line.target)
    audio = [host for host in candidates if host.startswith("turnnlb-")]
    tried = []
    for host in audio if port == 3478 else [host for host in candidates if host not in audio]:
        for address in tests.resolve(host):
            version, value = parse_address(address)
            if version == block.version and block.first <= value <= block.last:
                tried.append(_tried(host, address, tests.reach(address, port, line.transport)))
    if not tried:
        return Verified(
            line=line, colour="untested", text="no known name lies in this block now: it is in use later or elsewhere"
        )
    return _judged(line, tried)


def _judged(line: RequestLine, tried: list[dict[str, Any]]) -> Verified:
    bad = [row for row in tried if row["outcome"] not in {"connected", "answered"}]
    good = [row for row in tried if row not in bad]
    # One address family may be absent at the site: a name is reached if every IPv4 address is, or some address at all.
    families = [row for row in bad if not (row["address"] and ":" in row["address"] and good)]
    if not families and good:
        fastest = min(row["rtt_ms"] for row in good if row["rtt_ms"] is not None)
        return Verified(
            line=line,
            colour="green",
            text=f"open: {len(good)} of {len(tried)} reached, {fastest:.0f} ms",
            tested=tuple(tried),
        )
    words = {
        "unresolved": "the name does not resolve: allow it in DNS",
        "timeout": "no answer: blocked on the way",
        "refused": "refused: a firewall rejects it, or nothing listens",
        "unreachable": "unreachable: no route",
    }
    first = families[0]
    why = words.get(first["outcome"], first["outcome"])
    return Verified(line=line, colour="red", text=f"{first['address'] or first['target']}: {why}", tested=tuple(tried))
