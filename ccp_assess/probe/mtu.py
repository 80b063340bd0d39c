"""The largest packet that reaches a relay, by padded STUN requests with DF set, without rights.

A router that cannot pass a packet says so by ICMP ("fragmentation needed", "packet too big") with the size that fits.
Where tunnels or firewalls swallow that report, larger packets vanish: a black hole, in which handshakes hang while
small packets pass. Both show here. A relay that answers no padded request leaves the question open.

Sizes are those of the whole IP packet; STUN messages come in steps of 4 bytes (RFC 8489), so does the answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ccp_assess.probe.binding import NumberedBindings
from ccp_assess.probe.machine import (
    Action,
    Close,
    Datagram,
    Event,
    IcmpError,
    OpenUdp,
    Send,
    SendFailed,
    Stop,
    Timer,
)
from ccp_assess.probe.traced import Target
from ccp_assess.units import NS_PER_MS
from ccp_assess.wire.stun import HEADER_BYTES

HEADERS = {4: 28, 6: 48}
"""IP and UDP headers [bytes]."""

LADDER = (576, 1000, 1200, 1280, 1320, 1360, 1380, 1400, 1420, 1440, 1460, 1472, 1480, 1492, 1500)
"""Usual sizes: Ethernet 1500, PPPoE 1492, tunnels below; 1280 is the least of IPv6 (RFC 8200) [bytes]."""

STEP = 4
TRIES = 3
WAIT_NS = 300 * NS_PER_MS

Verdict = Literal["whole", "told", "black_hole", "interface", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PathMtu:
    """What was found out about one way.

    Parameters
    ----------
    mtu
        Largest packet that was answered; ``None`` if none was [bytes].
    verdict
        ``whole``: 1500 bytes pass; ``interface``: this computer's own interface sends no more; ``told``: a router said
        so; ``black_hole``: larger ones vanish without a word; ``unknown``: padded requests are not answered at all.
    told_mtu, told_by
        The size that a router named, and which router.
    vanished
        Smallest size that got no answer three times while smaller ones did [bytes].
    """

    mtu: int | None
    verdict: Verdict
    told_mtu: int | None = None
    told_by: str | None = None
    vanished: int | None = None

    def to_document(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {
            "mtu": self.mtu,
            "verdict": self.verdict,
            "told_mtu": self.told_mtu,
            "told_by": self.told_by,
            "vanished": self.vanished,
        }


@dataclass(slots=True)
class _Search:
    """The search for one target."""

    flow: int
    target: Target
    waiting: dict[int, int] = field(default_factory=dict)  # size → tries so far
    largest: int = 0
    smallest_silent: int | None = None
    refused: int | None = None  # smallest size that this computer itself refused
    told_mtu: int | None = None
    told_by: str | None = None
    rtt_ns: int = 0
    asked_ns: int = 0
    wake_ns: int | None = None
    ended: bool = False


class MtuProbe:
    """Find the largest packet that reaches each target.

    Parameters
    ----------
    targets
        Relays.
    salt
        Of the transaction ids; random if not given.
    """

    def __init__(self, targets: Sequence[Target], *, salt: bytes | None = None) -> None:
        self.bindings = NumberedBindings(salt)
        self._searches = [_Search(flow, target) for flow, target in enumerate(targets)]
        self._numbers: list[tuple[_Search, int]] = []

    @property
    def done(self) -> bool:
        """Whether all searches have ended."""
        return all(search.ended for search in self._searches)

    def start(self, now_ns: int) -> Iterable[Action]:
        """Ask with all usual sizes."""
        for search in self._searches:
            target = search.target
            yield OpenUdp(
                flow=search.flow,
                family=target.family,
                remote=(target.address, target.port),
                source=target.source,
                dont_fragment=True,
            )
            yield from self._ask(search, LADDER, now_ns)

    def next_time(self) -> int | None:
        """Return when something is due."""
        return min((one.wake_ns for one in self._searches if not one.ended and one.wake_ns is not None), default=None)

    def on_event(self, event: Event, now_ns: int) -> Iterable[Action]:
        """Take in what was heard."""
        match event:
            case Datagram():
                number = self.bindings.number_of(event.data) if self.bindings.is_answer(event.data) else None
                if number is not None and number < len(self._numbers):
                    yield from self._on_answer(*self._numbers[number], now_ns)
            case SendFailed(token=token, error=error):
                search, size = self._numbers[token]
                search.waiting.pop(size, None)
                if error == "EMSGSIZE":
                    search.refused = min(size, search.refused or size)
                else:
                    search.smallest_silent = min(size, search.smallest_silent or size)
                yield from self._next_step(search, now_ns)
            case IcmpError(mtu=mtu, router=router) if mtu is not None:
                yield from self._on_told(self._searches[event.flow], mtu, router, now_ns)
            case Timer():
                for search in self._searches:
                    if not search.ended and search.wake_ns is not None and now_ns >= search.wake_ns:
                        yield from self._on_silence(search, now_ns)
            case Stop():
                for search in self._searches:
                    search.ended = True

    def _ask(self, search: _Search, sizes: Iterable[int], now_ns: int) -> Iterator[Action]:
        # Until the round trip is known we wait for a usual one; afterwards a little more than its double.
        search.asked_ns = now_ns
        search.wake_ns = now_ns + (2 * search.rtt_ns + WAIT_NS // 3 if search.rtt_ns else WAIT_NS)
        for size in sizes:
            search.waiting[size] = search.waiting.get(size, 0) + 1
            number = len(self._numbers)
            self._numbers.append((search, size))
            data = self.bindings.request(number, total_bytes=size - HEADERS[search.target.family])
            yield Send(flow=search.flow, data=data, token=number)

    def _on_answer(self, search: _Search, size: int, now_ns: int) -> Iterator[Action]:
        search.waiting.pop(size, None)
        search.rtt_ns = search.rtt_ns or max(now_ns - search.asked_ns, 1)
        search.largest = max(search.largest, size)
        if search.smallest_silent is not None and size >= search.smallest_silent:
            search.smallest_silent = None  # it was loss
        yield from self._next_step(search, now_ns)

    def _on_told(self, search: _Search, mtu: int, router: str | None, now_ns: int) -> Iterator[Action]:
        if router is None:  # this computer itself: it knows its interface, or a report that came before
            search.refused = min(mtu + 1, search.refused or mtu + 1)
        else:
            search.told_mtu, search.told_by = min(mtu, search.told_mtu or mtu), router
        for size in [size for size in search.waiting if size > mtu]:
            del search.waiting[size]
        yield from self._next_step(search, now_ns)

    def _on_silence(self, search: _Search, now_ns: int) -> Iterator[Action]:
        again = [size for size, tries in search.waiting.items() if tries < TRIES]
        if again and len(again) == len(search.waiting):
            yield from self._ask(search, again, now_ns)
            return
        for size in list(search.waiting):
            del search.waiting[size]
            search.smallest_silent = min(size, search.smallest_silent or size)
        yield from self._next_step(search, now_ns)

    def _next_step(self, search: _Search, now_ns: int) -> Iterator[Action]:
        """Halve the space between what passes and what does not, once everything asked is decided."""
        if search.ended or search.waiting:
            return
        limits = [search.smallest_silent, search.refused, None if search.told_mtu is None else search.told_mtu + 1]
        fails = min((limit for limit in limits if limit is not None and limit > search.largest), default=None)
        if search.largest == 0 or fails is None or fails - search.largest <= STEP:
            yield from self._end(search)
            return
        header = HEADERS[search.target.family] + HEADER_BYTES
        candidate = fails - 1 if search.told_mtu == fails - 1 else (search.largest + fails) // 2
        size = (candidate - header) // STEP * STEP + header
        if size <= search.largest:
            size += STEP
        if size >= fails:
            yield from self._end(search)
            return
        yield from self._ask(search, (size,), now_ns)

    def _end(self, search: _Search) -> Iterator[Action]:
        search.ended, search.wake_ns = True, None
        yield Close(flow=search.flow)

    def result(self) -> list[PathMtu]:
        """Return what was found, for each target."""
        return [_found(search) for search in self._searches]


def _found(search: _Search) -> PathMtu:
    if search.largest == 0:
        return PathMtu(mtu=None, verdict="unknown", told_mtu=search.told_mtu, told_by=search.told_by)
    vanished = search.smallest_silent
    verdict: Verdict = "whole"
    if search.told_mtu is not None:
        verdict = "told"
    elif vanished is not None:
        verdict = "black_hole"
    elif search.refused is not None:
        verdict = "interface"
    return PathMtu(
        mtu=search.largest,
        verdict=verdict,
        told_mtu=search.told_mtu,
        told_by=search.told_by,
        vanished=vanished if verdict == "black_hole" else None,
    )
