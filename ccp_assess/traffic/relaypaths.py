"""Which peer a packet belongs to: channels and indications of one relay allocation brought under one name.

The first packets of a call travel in Send and Data indications, which name the peer; after ChannelBind they travel in
ChannelData, which has only a channel number. Both are one path.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ccp_assess.errors import ParseError
from ccp_assess.wire import stun
from ccp_assess.wire.datagram import Datagram

_CHANNEL_BIND = b"\x00\x09"
_LEARNED = frozenset({_CHANNEL_BIND, b"\x01\x03", b"\x01\x04"})
"""ChannelBind requests; Allocate and Refresh that were granted."""


class PathKey(NamedTuple):
    """One path of media.

    Parameters
    ----------
    flow
        Index into the flows.
    peer
        ``address:port`` of the relayed peer; ``channel 0x4000`` where the capture does not show it; empty for
        packets that are not relayed.
    """

    flow: int
    peer: str


def address_text(address: str, port: int) -> str:
    """Write address and port as one text.

    Parameters
    ----------
    address, port
        The end.

    Returns
    -------
    text
        IPv6 in brackets.

    Examples
    --------
    >>> address_text("2001:db8::1", 4000)
    '[2001:db8::1]:4000'
    """
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class RelayPaths:
    """Bindings of channels to peers over time.

    Parameters
    ----------
    datagrams
        Rare packets in order of arrival: ChannelBind requests are looked for.
    """

    def __init__(self, datagrams: Iterable[Datagram]) -> None:
        self._bindings: dict[tuple[int, int], list[tuple[int, str]]] = {}
        self._leases: dict[int, list[tuple[int, int]]] = {}
        for datagram in datagrams:
            if datagram.channel == 0 and datagram.peer is None and datagram.payload[:2] in _LEARNED:
                self._learn(datagram)

    def leases(self, flow: int) -> list[tuple[int, int]]:
        """Tell when the relay granted or renewed an allocation, and for how long.

        Parameters
        ----------
        flow
            Index into the flows.

        Returns
        -------
        leases
            Time [ns] and lifetime [s], in order; a lifetime of 0 gives it back.
        """
        return self._leases.get(flow, [])

    def _learn(self, datagram: Datagram) -> None:
        try:
            message = stun.parse_message(datagram.payload, length=datagram.length)
        except ParseError:
            return
        if datagram.payload[:2] != _CHANNEL_BIND:
            lifetime_s = message.get("LIFETIME")
            if lifetime_s is not None:
                self._leases.setdefault(datagram.flow, []).append((datagram.time_ns, lifetime_s))
            return
        number, peer = message.get("CHANNEL-NUMBER"), message.get("XOR-PEER-ADDRESS")
        if number is None or peer is None:
            return
        bindings = self._bindings.setdefault((datagram.flow, number), [])
        text = address_text(*peer)
        if not bindings or bindings[-1][1] != text:
            bindings.append((datagram.time_ns, text))

    def key(self, flow: int, channel: int, peer: str | None, time_ns: int) -> PathKey:
        """Name the path of a packet.

        Parameters
        ----------
        flow
            Index into the flows.
        channel
            Channel number, 0 if none.
        peer
            ``address:port`` if known.
        time_ns
            When it was seen: a channel may be bound anew to another peer.

        Returns
        -------
        key
            Equal for all packets of one path.
        """
        if peer:
            return PathKey(flow, peer)
        if not channel:
            return PathKey(flow, "")
        bindings = self._bindings.get((flow, channel))
        if not bindings:
            return PathKey(flow, f"channel 0x{channel:04x}")
        index = bisect_right(bindings, time_ns, key=lambda binding: binding[0]) - 1
        return PathKey(flow, bindings[max(index, 0)][1])

    def split(
        self, flow: int, channel: int, times_ns: npt.NDArray[np.int64]
    ) -> list[tuple[PathKey, npt.NDArray[np.int64]]]:
        """Part the packets of one channel by what it was bound to when they were seen.

        Parameters
        ----------
        flow
            Index into the flows.
        channel
            Channel number.
        times_ns
            When each packet was seen [ns].

        Returns
        -------
        parts
            Path, and positions in ``times_ns`` of its packets, as :meth:`key` would name each.
        """
        bindings = self._bindings.get((flow, channel), ())
        everything = np.arange(len(times_ns))
        if len(bindings) < 2:
            return [(self.key(flow, channel, None, 0), everything)]
        since_ns = np.array([time_ns for time_ns, _ in bindings], np.int64)
        bound = np.maximum(np.searchsorted(since_ns, times_ns, side="right") - 1, 0)
        return [(PathKey(flow, bindings[k][1]), everything[bound == k]) for k in np.unique(bound).tolist()]
