"""Everything that calls are made of, and who is who in it."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ccp_assess.traffic.callrecords import Relay
from ccp_assess.traffic.dialogues import Dialogue
from ccp_assess.traffic.flows import Flow
from ccp_assess.traffic.handshakes import DtlsHandshake
from ccp_assess.traffic.icmperrors import IcmpError
from ccp_assess.traffic.names import Lookup
from ccp_assess.traffic.relaypaths import PathKey, RelayPaths
from ccp_assess.traffic.spans import SPAN
from ccp_assess.traffic.streams import RtpStream
from ccp_assess.traffic.transactions import Rows
from ccp_assess.units import NS_PER_S
from ccp_assess.wire.stun import Method

TURN_PORT = 3478
SETUP_NS = 15 * NS_PER_S
"""Longest time from one step of the setup to the next within one call: the softphone gives ICE 8 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that calls are made of.

    Parameters
    ----------
    flows, streams
        As the scan gives them.
    transactions
        Rows of ``TRANSACTION_ROW``.
    peers
        Texts of the ``peer`` column.
    paths
        Channels and peers.
    handshakes, lookups, dialogues, icmp_errors
        As read from the rare packets.
    cut_paths
        Paths on which the snaplen cut connectivity checks, with the instant of the first: when the setup began is
        known, but not which check was answered [ns].
    spans
        Rows of ``ccp_assess.traffic.spans.SPAN``.
    first_ns, last_ns
        First and last frame of the capture [ns].
    host
        Address of the workstation, if the user says so.
    is_relay
        Tells whether an address, port and transport are a TURN server of the service, by name or published range.
    """

    flows: Sequence[Flow]
    streams: Sequence[RtpStream]
    transactions: Rows
    peers: Sequence[str]
    paths: RelayPaths
    handshakes: Sequence[DtlsHandshake] = ()
    lookups: Sequence[Lookup] = ()
    dialogues: Sequence[Dialogue] = ()
    icmp_errors: Sequence[IcmpError] = ()
    cut_paths: Mapping[PathKey, int] = field(default_factory=dict)
    spans: Rows = field(default_factory=lambda: np.zeros(0, SPAN))
    first_ns: int | None = None
    last_ns: int | None = None
    host: str | None = None
    is_relay: Callable[[str, int, str], bool] = field(default=lambda _address, _port, _transport: False)


def relay_end(flow: Flow) -> Literal["a", "b"] | None:
    """Tell which end of a flow is a TURN server.

    Parameters
    ----------
    flow
        A flow.

    Returns
    -------
    end
        By its messages, else by the port if it carries TURN.
    """
    if flow.relay_side is not None:
        return flow.relay_side
    if flow.is_turn:
        return "a" if flow.a_port == TURN_PORT and flow.b_port != TURN_PORT else "b"
    return None


def agent_of(evidence: Evidence, index: int) -> tuple[str | None, int | None]:
    """Tell which end of a flow is the workstation.

    Parameters
    ----------
    evidence
        What was found in a capture.
    index
        Index of the flow.

    Returns
    -------
    address, port
        ``None`` where neither a relay nor the user says so.
    """
    flow = evidence.flows[index]
    end = relay_end(flow)
    if end is not None:
        return (flow.b, flow.b_port) if end == "a" else (flow.a, flow.a_port)
    if evidence.host == flow.a:
        return flow.a, flow.a_port
    if evidence.host == flow.b:
        return flow.b, flow.b_port
    return None, None


def relay_of(flow: Flow) -> Relay | None:
    """Give the relay at one end of a flow.

    Parameters
    ----------
    flow
        A flow.

    Returns
    -------
    relay
        ``None`` if neither end is one.
    """
    end = relay_end(flow)
    if end is None:
        return None
    address, port = (flow.a, flow.a_port) if end == "a" else (flow.b, flow.b_port)
    return Relay(address=address, port=port, transport="tcp" if flow.transport == "tcp" else "udp")


def direction_of(evidence: Evidence, stream: RtpStream) -> str:
    """Tell the direction of a stream, seen from the workstation.

    Parameters
    ----------
    evidence
        What was found in a capture.
    stream
        A stream.

    Returns
    -------
    direction
        ``in``, ``out`` or ``unknown``.
    """
    if stream.direction != "unknown":
        return stream.direction
    if evidence.host == stream.src:
        return "out"
    return "in" if evidence.host == stream.dst else "unknown"


class Allocate(NamedTuple):
    """One request for an allocation, with its answer.

    Parameters
    ----------
    time_ns, answer_ns
        First request, and its answer, -1 if none came [ns].
    outcome, error_code
        As in ``TRANSACTION_ROW``.
    retransmissions
        Requests beyond the first (count).
    outbound_of_key
        Whether it went from ``flow.a`` to ``flow.b``.
    """

    time_ns: int
    answer_ns: int
    outcome: int
    error_code: int
    retransmissions: int
    outbound_of_key: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """Transactions of one flow or path in order of time.

    Parameters
    ----------
    numbers
        Their indices.
    times_ns
        When each was asked [ns].
    outbound
        Whether each went from ``flow.a`` to ``flow.b``.
    """

    numbers: npt.NDArray[np.int64]
    times_ns: npt.NDArray[np.int64]
    outbound: npt.NDArray[np.bool_]

    def after(self, time_ns: int) -> int:
        """Count those up to an instant, itself included.

        Parameters
        ----------
        time_ns
            The instant [ns].

        Returns
        -------
        place
            Where the first one after it stands.
        """
        return int(self.times_ns.searchsorted(time_ns, side="right"))

    def since(self, time_ns: int) -> int:
        """Count those before an instant.

        Parameters
        ----------
        time_ns
            The instant [ns].

        Returns
        -------
        place
            Where the first one at or after it stands.
        """
        return int(self.times_ns.searchsorted(time_ns, side="left"))

    def asked_by(self, start: int, stop: int, *, outbound: bool) -> list[int]:
        """Give the transactions that one side asked, of a part of them.

        Parameters
        ----------
        start, stop
            Places in the order of time.
        outbound
            Whether ``flow.a`` asked.

        Returns
        -------
        numbers
            Their indices.
        """
        asked: list[int] = self.numbers[start:stop][self.outbound[start:stop] == outbound].tolist()
        return asked


_NOTHING = Asked(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.bool_))


class EvidenceIndex:
    """Transactions, handshakes and lookups by where they belong, so that a call looks only at its own.

    Parameters
    ----------
    evidence
        What was found in a capture.
    """

    def __init__(self, evidence: Evidence) -> None:
        rows = evidence.transactions
        self.rows = rows
        self._times_ns = np.ascontiguousarray(rows["time_ns"])
        self._outbound = np.ascontiguousarray(rows["outbound_of_key"])
        outer: dict[int, npt.NDArray[np.int64]] = {}
        for numbers in _alike(rows, np.flatnonzero(~rows["inside"]), ("flow",)):
            outer[int(rows["flow"][numbers[0]])] = numbers
        parts: dict[PathKey, list[npt.NDArray[np.int64]]] = defaultdict(list)
        for numbers in _alike(rows, np.flatnonzero(rows["inside"]), ("flow", "channel", "peer")):
            first = rows[numbers[0]]
            flow, channel, peer = int(first["flow"]), int(first["channel"]), int(first["peer"])
            if channel:
                for key, own in evidence.paths.split(flow, channel, self._times_ns[numbers]):
                    parts[key].append(numbers[own])
            else:
                parts[PathKey(flow, evidence.peers[peer])].append(numbers)
        inner = {
            key: groups[0] if len(groups) == 1 else np.sort(np.concatenate(groups)) for key, groups in parts.items()
        }
        for flow, numbers in outer.items():
            if relay_end(evidence.flows[flow]) is None:  # checks without a relay between are the path's own
                inner[PathKey(flow, "")] = numbers
        self._outer, self._inner = outer, inner
        self._asked: dict[int | PathKey, Asked] = {}
        self.allocates: dict[int, list[Allocate]] = defaultdict(list)
        asked = np.flatnonzero((rows["method"] == Method.ALLOCATE) & ~rows["inside"])
        columns = [rows[name][asked].tolist() for name in Allocate._fields]
        for flow, *request in zip(rows["flow"][asked].tolist(), *columns, strict=True):
            self.allocates[flow].append(Allocate(*request))
        self.handshakes: dict[PathKey, list[DtlsHandshake]] = defaultdict(list)
        for handshake in evidence.handshakes:
            self.handshakes[handshake.path].append(handshake)
        self.icmp_errors: dict[int, list[int]] = defaultdict(list)
        for number, error in enumerate(evidence.icmp_errors):
            if error.flow is not None:
                self.icmp_errors[error.flow].append(number)
        self._lookups: dict[tuple[str, str | None], list[Lookup]] = defaultdict(list)
        for lookup in evidence.lookups:
            for answer in lookup.answers:
                self._lookups[answer, lookup.client].append(lookup)
                self._lookups[answer, None].append(lookup)

    @property
    def paths(self) -> Iterable[PathKey]:
        """Paths on which something was asked."""
        return self._inner

    def outer_of(self, flow: int) -> Asked:
        """Give the transactions of a flow that are not inside relayed data.

        Parameters
        ----------
        flow
            Index of the flow.

        Returns
        -------
        asked
            In order of time.
        """
        return self._of(flow, self._outer.get(flow))

    def inner_of(self, path: PathKey) -> Asked:
        """Give the transactions between the ends of a path.

        Parameters
        ----------
        path
            The path.

        Returns
        -------
        asked
            In order of time.
        """
        return self._of(path, self._inner.get(path))

    def _of(self, key: int | PathKey, numbers: npt.NDArray[np.int64] | None) -> Asked:
        if numbers is None:
            return _NOTHING
        asked = self._asked.get(key)
        if asked is None:
            asked = self._asked[key] = Asked(numbers, self._times_ns[numbers], self._outbound[numbers])
        return asked

    def lookups_of(self, address: str, client: str | None, until_ns: int) -> Iterator[Lookup]:
        """Find the questions that gave an address, not longer ago than a setup takes.

        Parameters
        ----------
        address
            The address.
        client
            Who asked; ``None`` for anybody.
        until_ns
            Only questions up to this instant [ns].

        Yields
        ------
        lookup
            The last one first.
        """
        lookups = self._lookups.get((address, client), ())
        for place in range(bisect_right(lookups, until_ns, key=attrgetter("time_ns")) - 1, -1, -1):
            if until_ns - lookups[place].time_ns > SETUP_NS:
                return
            yield lookups[place]


def _alike(rows: Rows, numbers: npt.NDArray[np.int64], columns: tuple[str, ...]) -> list[npt.NDArray[np.int64]]:
    """Part rows by the values of some columns; within a part their order stays."""
    if not len(numbers):
        return []
    values = [rows[name][numbers] for name in columns]
    order = np.lexsort(values[::-1])
    ordered = [column[order] for column in values]
    changes = np.any([column[1:] != column[:-1] for column in ordered], axis=0)
    return np.split(numbers[order], np.flatnonzero(changes) + 1)
