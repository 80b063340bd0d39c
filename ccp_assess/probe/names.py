"""DNS as the workstation sees it: through the system's own call, and by a question to the very same server.

The two differ where a hosts file, a cache or a security agent sits in between. A name that cannot exist is asked as a
control: whoever answers it answers everything.
"""

from __future__ import annotations

import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ccp_assess.errors import ParseError
from ccp_assess.prefixes import parse_address
from ccp_assess.probe.machine import Address, Close, Datagram, IcmpError, OpenUdp, Resolve, Resolved, Send, SendFailed
from ccp_assess.probe.records import NameAnswer
from ccp_assess.probe.talks import Talk, Talks, Turnstile
from ccp_assess.units import ms_from_ns
from ccp_assess.wire import dns

DNS_PORT = 53
EXISTING_NAME = "amazonaws.com"
"""Must resolve wherever AWS's names are not blocked as a whole: the control for a blocked name."""

SYSTEM_RCODES = {
    "EAI_NONAME": "NXDOMAIN",
    "EAI_NODATA": "NOERROR",
    "EAI_AGAIN": "SERVFAIL",
    "EAI_FAIL": "SERVFAIL",
}
"""What the system's errors most nearly are in DNS's own words (getaddrinfo does not tell more)."""


@dataclass(slots=True)
class Turn:
    """A question's place among others: resolvers at home drop bursts, so only some are under way at a time.

    Parameters
    ----------
    turnstile
        Shared by all questions.
    rank
        A lower one is asked first.
    """

    turnstile: Turnstile
    rank: int
    leaves_ns: int | None = None

    def leave(self) -> None:
        """Let the next question pass."""
        if self.leaves_ns is not None:
            self.leaves_ns = None
            self.turnstile.leave()


LOST_AFTER_MS = 300.0
"""A question without an answer for so long no longer keeps others waiting."""


def _turn(turn: Turn | None, talks: Talks[Any]) -> Talk[None]:
    if turn is not None:
        yield from turn.turnstile.enter(turn.rank)
        turn.leaves_ns = talks.after_ms(LOST_AFTER_MS)


def _leaves_ns(turn: Turn | None) -> list[int]:
    return [turn.leaves_ns] if turn is not None and turn.leaves_ns is not None else []


def _let_others_pass(turn: Turn | None, talks: Talks[Any]) -> None:
    if turn is not None and turn.leaves_ns is not None and talks.now_ns >= turn.leaves_ns:
        turn.leave()


def random_relay_name(region_code: str) -> str:
    """Make a relay name that cannot exist.

    Parameters
    ----------
    region_code
        The Region that it pretends to be of.

    Returns
    -------
    name
        In the form of the relays' names, with 64 random bits.
    """
    suffix = "amazonaws.com.cn" if region_code.startswith("cn-") else "amazonaws.com"
    return f"turnnlb-{secrets.token_hex(8)}.elb.{region_code}.{suffix}"


def ask_server(
    talks: Talks[Any],
    server: Address,
    name: str,
    record_type: Literal["A", "AAAA"] = "A",
    *,
    tries_ms: Sequence[float] = (0.0, 1000.0),
    give_up_ms: float = 3000.0,
    control: Literal["exists", "random"] | None = None,
    turn: Turn | None = None,
) -> Talk[NameAnswer]:
    """Ask one DNS server by UDP.

    Parameters
    ----------
    talks
        Runs this talk.
    server
        Address and port.
    name
        Host name in ASCII.
    record_type
        ``A`` or ``AAAA``.
    tries_ms
        When to ask, from now; each question has an identifier of its own [ms].
    give_up_ms
        When to stop waiting, from now [ms].
    control
        See :class:`~ccp_assess.probe.records.NameAnswer`.
    turn
        Its place among other questions; ``None`` to ask at once.

    Returns
    -------
    answer
        What it said.
    """
    flow, end_ns = talks.number(), talks.after_ms(give_up_ms)
    yield from _turn(turn, talks)
    due = [talks.after_ms(try_ms) for try_ms in tries_ms]
    asked_ns: dict[int, int] = {}
    rcode, response_ms = "TIMEOUT", None
    answers: tuple[str, ...] = ()
    actions: list[Any] = [OpenUdp(flow=flow, family=6 if ":" in server[0] else 4, remote=server)]
    while True:
        if due and due[0] <= talks.now_ns:
            due.pop(0)
            number = secrets.randbelow(65536)
            asked_ns[number] = talks.now_ns
            actions.append(Send(flow=flow, data=dns.build_query(name, record_type, number), token=number))
        event = yield tuple(actions), min([*due[:1], end_ns, *_leaves_ns(turn)])
        actions = []
        if isinstance(event, Datagram):
            answer = _answer(event.data, asked_ns, name, record_type)
            if answer is not None:
                rcode = answer.rcode
                wanted = answer.answers
                answers = tuple(record.text for record in wanted if record.type == record_type)
                response_ms = ms_from_ns(event.time_ns - asked_ns[answer.message_id])
                break
        elif isinstance(event, IcmpError | SendFailed):
            rcode = "UNREACHABLE"  # waits on: the second try may pass
        _let_others_pass(turn, talks)
        if talks.now_ns >= end_ns:
            break
    if turn is not None:
        turn.leave()
    yield from close(talks, flow)
    return NameAnswer(
        name=name.lower(),
        type=record_type,
        via="server",
        resolver=server[0],
        answers=answers,
        rcode=rcode,
        response_ms=response_ms,
        tries=len(asked_ns),
        control=control,
    )


def close(talks: Talks[Any], flow: int) -> Talk[None]:
    """Close a flow and go on at once."""
    yield (Close(flow=flow),), talks.now_ns


def _answer(data: bytes, asked: dict[int, int], name: str, record_type: str) -> dns.Message | None:
    try:
        message = dns.parse_message(data)
    except ParseError:
        return None
    if not message.is_response or message.message_id not in asked:
        return None
    # A refusal may come without the question; any other answer must be to what was asked.
    if message.questions and message.questions[0] != dns.Question(name.lower().rstrip("."), record_type):
        return None
    return message


def ask_system(
    talks: Talks[Any],
    name: str,
    family: Literal[4, 6] = 4,
    *,
    resolver: str | None,
    give_up_ms: float = 3000.0,
    turn: Turn | None = None,
) -> Talk[NameAnswer]:
    """Ask the system, as a browser does.

    Parameters
    ----------
    talks
        Runs this talk.
    name
        Host name.
    family
        IP version.
    resolver
        The server that the system asks, for the record.
    give_up_ms
        When to stop waiting, from now [ms].
    turn
        Its place among other questions; ``None`` to ask at once.

    Returns
    -------
    answer
        What it said.
    """
    end_ns = talks.after_ms(give_up_ms)
    yield from _turn(turn, talks)
    token, began_ns = talks.number(), talks.now_ns
    rcode, response_ms = "TIMEOUT", None
    answers: tuple[str, ...] = ()
    actions: tuple[Any, ...] = (Resolve(token=token, name=name, family=family),)
    while True:
        event = yield actions, min([end_ns, *_leaves_ns(turn)])
        actions = ()
        _let_others_pass(turn, talks)
        if isinstance(event, Resolved):
            answers, response_ms = event.addresses, ms_from_ns(event.time_ns - began_ns)
            rcode = "NOERROR" if event.error is None else SYSTEM_RCODES.get(event.error, event.error)
            break
        if talks.now_ns >= end_ns:
            break
    if turn is not None:
        turn.leave()
    return NameAnswer(
        name=name.lower(),
        type="A" if family == 4 else "AAAA",
        via="system",
        resolver=resolver,
        answers=answers,
        rcode=rcode,
        response_ms=response_ms,
    )


# ---------------------------------------------------------------- which servers the system asks


def system_resolvers(
    platform: str = sys.platform,
    read_text: Callable[[str], str] = lambda path: Path(path).read_text(encoding="utf-8", errors="replace"),
    run: Callable[[list[str]], str] | None = None,
) -> tuple[str, ...]:
    """Find the DNS servers that this system asks.

    Parameters
    ----------
    platform
        As ``sys.platform``.
    read_text
        Reads a file.
    run
        Runs a command and returns what it printed.

    Returns
    -------
    servers
        Addresses, in the order of the system; empty if that cannot be told.
    """
    command = run or _run
    if platform == "win32":
        return _windows_resolvers()
    if platform == "darwin":
        return _addresses(re.findall(r"nameserver\[\d+\]\s*:\s*(\S+)", command(["scutil", "--dns"])))
    with suppress(OSError):
        return _addresses(re.findall(r"^\s*nameserver\s+(\S+)", read_text("/etc/resolv.conf"), re.MULTILINE))
    return ()


def _run(command: list[str]) -> str:
    try:
        return subprocess.run(  # noqa: S603 -- fixed words
            command, capture_output=True, text=True, errors="replace", timeout=2, check=False
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def _windows_resolvers() -> tuple[str, ...]:
    try:
        import winreg  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 -- exists on Windows only
    except ImportError:
        return ()
    return _addresses(registry_servers(winreg))


def registry_servers(winreg: Any) -> list[str]:
    """Read the DNS servers of all interfaces from the Windows registry.

    Parameters
    ----------
    winreg
        The module of that name.

    Returns
    -------
    servers
        As they stand there, those set by hand first.
    """
    found: list[str] = []
    top = r"SYSTEM\CurrentControlSet\Services\Tcpip\Parameters\Interfaces"
    with suppress(OSError), winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, top) as interfaces:
        for number in range(winreg.QueryInfoKey(interfaces)[0]):
            with suppress(OSError), winreg.OpenKey(interfaces, winreg.EnumKey(interfaces, number)) as interface:
                for value in ("NameServer", "DhcpNameServer"):
                    with suppress(OSError):
                        servers = re.split(r"[\s,]+", str(winreg.QueryValueEx(interface, value)[0]).strip())
                        if any(servers):
                            found += servers
                            break
    return found


def _addresses(words: Sequence[str]) -> tuple[str, ...]:
    kept = []
    for word in words:
        with suppress(ParseError):
            parse_address(word.partition("%")[0])
            kept.append(word)
    return tuple(dict.fromkeys(kept))
