"""Everything that calls are made of, and who is who in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

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


class TransactionIndex:
    """Transactions by flow and by path, so that a call looks only at its own."""

    def __init__(self, evidence: Evidence) -> None:
        rows = evidence.transactions
        self.rows = rows
        self.outer: dict[int, npt.NDArray[np.int64]] = {}
        self.inner: dict[PathKey, npt.NDArray[np.int64]] = {}
        for numbers in _alike(rows, np.flatnonzero(~rows["inside"]), ("flow",)):
            self.outer[int(rows["flow"][numbers[0]])] = numbers
        parts: dict[PathKey, list[npt.NDArray[np.int64]]] = defaultdict(list)
        for numbers in _alike(rows, np.flatnonzero(rows["inside"]), ("flow", "channel", "peer")):
            flow, channel, peer = (int(rows[name][numbers[0]]) for name in ("flow", "channel", "peer"))
            if channel:
                for key, own in evidence.paths.split(flow, channel, rows["time_ns"][numbers]):
                    parts[key].append(numbers[own])
            else:
                parts[PathKey(flow, evidence.peers[peer])].append(numbers)
        for key, groups in parts.items():
            self.inner[key] = np.sort(np.concatenate(groups))
        for flow, flow_rows in self.outer.items():
            if relay_end(evidence.flows[flow]) is None:  # checks without a relay between are the path's own
                self.inner[PathKey(flow, "")] = flow_rows

    def outer_of(self, flow: int) -> npt.NDArray[np.int64]:
        """Give the transactions of a flow that are not inside relayed data.

        Parameters
        ----------
        flow
            Index of the flow.

        Returns
        -------
        rows
            Their indices, in order of time.
        """
        return self.outer.get(flow, np.zeros(0, np.int64))


def _alike(rows: Rows, numbers: npt.NDArray[np.int64], columns: tuple[str, ...]) -> list[npt.NDArray[np.int64]]:
    """Part rows by the values of some columns; within a part their order stays."""
    if not len(numbers):
        return []
    values = [rows[name][numbers] for name in columns]
    order = np.lexsort(values[::-1])
    ordered = [column[order] for column in values]
    changes = np.any([column[1:] != column[:-1] for column in ordered], axis=0)
    return np.split(numbers[order], np.flatnonzero(changes) + 1)
