"""Packets to flows, compiled: counts per 5-tuple, and what each payload is.

Rare packets are kept for the parsers. Everything here is of bounded size: conversations of a few packets in one
direction (scans, floods) make room for others when the table is full; bytes that are kept have a total.
"""

# ruff: noqa: FBT001, FBT003, PLR0917  (compiled loops take plain positional arguments)

# mypy: disable-error-code="attr-defined,return-value,assignment,arg-type,operator,no-any-return"
# (numpy gives the fields of rows no types; the compiler checks them)

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ccp_assess.traffic.flowtable import (
    FIRST_FLOWS,
    FLOW,
    MOST_FLOWS,
    fill_index,
    find_flow,
    hash_of_packet,
    start_flow,
)
from ccp_assess.traffic.payloads import (
    COUNTS,
    LOST_ROWS,
    MOST_RARE_BYTES,
    MOST_RARE_ROWS,
    MOST_STUN_ROWS,
    N_BYTES,
    N_MEDIA,
    N_RARE,
    N_STUN,
    RARE,
    ROOM_FOR_ONE_PACKET,
    Arrival,
    Found,
    Relays,
    has_room,
    inner,
    keep,
    never_media,
    on_udp,
    piece_of,
    plain_piece,
    put_media,
)
from ccp_assess.traffic.segments import Framing, on_tcp
from ccp_assess.traffic.spans import MOST_SPANS, SPAN, note_speech
from ccp_assess.wire.compiled import inlined, kernel
from ccp_assess.wire.datagram import STUN_ROW
from ccp_assess.wire.framing import FRAMER, FRAMER_BYTES, FRAMERS, OUT_OF_ORDER_RUNS
from ccp_assess.wire.hashing import EMPTY, entry_of
from ccp_assess.wire.ip import ICMP, ICMPV6, TCP, UDP
from ccp_assess.wire.link import be16
from ccp_assess.wire.rtp import RELAYED_BY_CHANNEL
from ccp_assess.wire.saved import Saved, require, within
from ccp_assess.wire.turn import PATH, PATHS, TURN, path_of_channel

Bytes = npt.NDArray[np.uint8]
Table = npt.NDArray[np.void]
Numbers = npt.NDArray[np.int64]

DONE, FLOWS_FULL, ROWS_FULL = 0, 1, 2


@inlined
def count_packet(packet: np.void, flow: np.void, side: int) -> None:
    """Count a packet at its flow."""
    flow.packets[side] += 1
    flow.bytes[side] += packet.bytes
    flow.last_ns[side] = packet.time_ns
    flow.ttl_min[side] = min(flow.ttl_min[side], packet.ttl)
    flow.ttl_max[side] = max(flow.ttl_max[side], packet.ttl)
    if packet.length > 0:
        flow.payload_bytes[side] += packet.length
        flow.payload_packets[side] += 1


@inlined
def take_datagram(arrival: Arrival, buffer: Bytes, relays: Relays, found: Found) -> None:
    """Sort a UDP payload: media and ChannelData at once, all else by its first byte."""
    packet, flow = arrival.packet, arrival.flow
    at, captured, length = packet.payload, np.int64(packet.captured), np.int64(packet.length)
    if captured < 1:
        return
    first = buffer[at]
    if 0x40 <= first <= 0x4F and captured >= 5:
        body = be16(buffer, at + 2)
        if 4 + body == length or (4 + body < length and 4 + (body + 3) // 4 * 4 == length):
            channel = be16(buffer, at)
            path = path_of_channel(flow, arrival.flow_index, channel, relays.paths, relays.path_counts)
            flow.is_turn = True
            carried = min(captured - 4, body)
            piece = piece_of(at + 4, carried, body, path, channel if path >= 0 else 0, RELAYED_BY_CHANNEL, False)
            if carried > 0 and 128 <= buffer[at + 4] <= 191:
                put_media(arrival, buffer, piece, found)
            else:
                inner(arrival, buffer, piece, relays, found)
            return
        if packet.src_port != 53 and packet.dst_port != 53:
            return  # a DNS message may begin like a channel: its number is random
    piece = plain_piece(at, captured, length)
    if 128 <= first <= 191 and not (never_media(np.int64(packet.src_port)) or never_media(np.int64(packet.dst_port))):
        put_media(arrival, buffer, piece, found)
    else:
        on_udp(arrival, buffer, piece, relays, found)


@kernel
def track(
    buffer: Bytes,
    side_buffer: Bytes,
    packets: Table,
    start: int,
    stop: int,
    flows: Table,
    index: Numbers,
    free: npt.NDArray[np.int32],
    flow_counts: Numbers,
    rebuild: bool,
    framers: Table,
    streams: Bytes,
    known: Bytes,
    turn: Table,
    paths: Table,
    path_counts: Numbers,
    media: Table,
    rare: Table,
    stun: Table,
    arena: Bytes,
    spans: Table,
    span_counts: Numbers,
    counts: Numbers,
) -> tuple[int, int]:
    """Attribute packets to flows and write what they carry to the tables.

    Parameters
    ----------
    buffer, side_buffer
        Bytes of the block, and of datagrams put together from fragments.
    packets, start, stop
        Rows of ``ccp_assess.wire.columns.PACKET``.
    flows, index, free, flow_counts, rebuild
        Flows, their hash index, rows that may be used again, (rows used, free rows); whether to make the index anew.
    framers, streams, known
        State of TURN over TCP.
    turn, paths, path_counts
        The message at hand; paths through relays.
    media, rare, stun, arena, spans, span_counts, counts
        What is found.

    Returns
    -------
    next_packet, status
        First packet that was not attributed, and why it stopped there.
    """
    found = Found(media, rare, stun, arena, counts)
    relays = Relays(turn, paths, path_counts)
    framing = Framing(framers, streams, known)
    if rebuild:
        fill_index(flows, flow_counts[0], index)
    for number in range(start, stop):
        if not has_room(found):
            return number, ROWS_FULL
        packet = packets[number]
        digest = hash_of_packet(packet)
        flow_index, side, slot = find_flow(packet, digest, flows, index)
        if flow_index < 0:
            if flow_counts[1] > 0:
                flow_counts[1] -= 1
                flow_index = np.int64(free[flow_counts[1]])
            elif flow_counts[0] < len(flows):
                flow_index = flow_counts[0]
                flow_counts[0] += 1
            else:
                return number, FLOWS_FULL
            side = start_flow(flows[flow_index], packet)
            index[slot] = entry_of(digest, flow_index)
        flow = flows[flow_index]
        count_packet(packet, flow, side)
        source = side_buffer if packet.aside else buffer
        arrival = Arrival(packet, flow, flow_index, side)
        protocol = packet.protocol
        if protocol == UDP:
            take_datagram(arrival, source, relays, found)
        elif protocol == TCP:
            if packet.length > 0 and flow.tcp_kind != 2:
                note_speech(flow, flow_index, side, packet.time_ns, np.int64(packet.length), spans, span_counts)
            on_tcp(arrival, source, framing, relays, found)
        elif protocol in (ICMP, ICMPV6):
            flow.others += 1
            if flow.others <= 4096:
                piece = plain_piece(packet.payload, min(np.int64(packet.captured), 2_048), packet.length)
                keep(arrival, source, piece, False, found)
            else:
                counts[LOST_ROWS] += 1
    return stop, DONE


class TrackerState:
    """What tracking remembers between blocks; of bounded size."""

    def __init__(self, *, most_flows: int = MOST_FLOWS) -> None:
        self.most_flows = most_flows
        self.flows: Table = np.zeros(min(FIRST_FLOWS, most_flows), FLOW)
        self.index: Numbers = np.full(4 * len(self.flows), EMPTY)
        self.free: npt.NDArray[np.int32] = np.empty(most_flows, np.int32)
        self.flow_counts: Numbers = np.zeros(2, np.int64)
        self.rebuild = False
        self.framers: Table = np.zeros(FRAMERS, FRAMER)
        self.framers["owner"] = -1
        self.streams: Bytes = np.zeros((FRAMERS, FRAMER_BYTES), np.uint8)
        self.known: Bytes = np.zeros((FRAMERS, FRAMER_BYTES), np.uint8)
        self.turn: Table = np.zeros(1, TURN)
        self.paths: Table = np.zeros(PATHS, PATH)
        self.path_counts: Numbers = np.zeros(2, np.int64)
        self.rare: Table = np.zeros(3 * ROOM_FOR_ONE_PACKET, RARE)
        self.stun: Table = np.zeros(3 * ROOM_FOR_ONE_PACKET, STUN_ROW)
        self.arena: Bytes = np.empty(1 << 20, np.uint8)
        self.spans: Table = np.zeros(MOST_SPANS, SPAN)
        self.span_counts: Numbers = np.zeros(2, np.int64)
        self.counts: Numbers = np.zeros(COUNTS, np.int64)
        self.rare_rows: list[Table] = []
        self.rare_bytes: list[bytes] = []
        self.stun_rows: list[Table] = []
        self.evicted_flows = 0
        self.evicted_packets = 0
        self.evicted_targets: dict[tuple[int, int, int, int], int] = {}

    def make_room_for_flows(self) -> None:
        """Double the table of flows, or evict what was least of a conversation."""
        if len(self.flows) < self.most_flows:
            grown = np.zeros(min(2 * len(self.flows), self.most_flows), FLOW)
            grown[: len(self.flows)] = self.flows
            self.flows = grown
            self.index = np.full(4 * len(grown), EMPTY)
        else:
            self._evict()
        self.rebuild = True

    def _evict(self) -> None:
        flows = self.flows
        packets = flows["packets"].sum(axis=1)
        last = flows["last_ns"].max(axis=1)
        bound = flows["is_turn"] | (flows["media"].sum(axis=1) > 0) | (flows["span"] >= 0) | ~flows["used"]
        lonely = ~bound & (packets <= 3) & (flows["packets"].min(axis=1) == 0)
        wanted = len(flows) // 4
        candidates = np.flatnonzero(lonely)
        if len(candidates) < wanted:  # all of them are conversations: the longest idle ones go
            candidates = np.flatnonzero(~bound)
        if len(candidates) < 16:  # only calls are left: nothing may go, so the largest number of them is raised
            self.most_flows *= 2
            self.free = np.zeros(self.most_flows, np.int32)
            grown = np.zeros(self.most_flows, FLOW)
            grown[: len(flows)] = flows
            self.flows = grown
            self.index = np.full(4 * len(grown), EMPTY)
            return
        order = np.argsort(last[candidates], kind="stable")
        gone = candidates[order[: max(len(order) * 3 // 4, 1)]]
        self.evicted_flows += len(gone)
        self.evicted_packets += int(packets[gone].sum())
        target, counted = np.unique(flows[["b_high", "b_low", "b_port", "protocol"]][gone], return_counts=True)
        for row, count in zip(
            target[counted.argsort()[::-1]][:8].tolist(), sorted(counted.tolist())[::-1], strict=False
        ):
            self.evicted_targets[row] = self.evicted_targets.get(row, 0) + count
        flows["used"][gone] = False
        self.free[: len(gone)] = gone
        self.flow_counts[1] = len(gone)
        is_gone = np.zeros(len(flows), np.bool_)
        is_gone[gone] = True
        self.collect()
        for rows in (*self.rare_rows, *self.stun_rows):
            known = rows["flow"] >= 0
            rows["flow"][known & is_gone[np.maximum(rows["flow"], 0)]] = -1

    def collect(self) -> None:
        """Move what was found from the working tables to the lists."""
        counts = self.counts
        if counts[N_RARE]:
            rows = self.rare[: counts[N_RARE]].copy()
            self.rare_rows.append(rows)
            self.rare_bytes.append(self.arena[: counts[N_BYTES]].tobytes())
        if counts[N_STUN]:
            self.stun_rows.append(self.stun[: counts[N_STUN]].copy())
        counts[N_RARE] = counts[N_STUN] = counts[N_BYTES] = 0

    def run(self, buffer: Bytes, side_buffer: Bytes, packets: Table, start: int, stop: int, media: Table) -> int:
        """Track packets until they end or the rows of media are full.

        Parameters
        ----------
        buffer, side_buffer, packets, start, stop
            As for `track`.
        media
            Rows to fill further; `take_media` begins with empty ones.

        Returns
        -------
        next_packet
            First packet not attributed yet; before ``stop`` the rows of media are full.
        """
        counts = self.counts
        while True:
            start, status = track(
                buffer, side_buffer, packets, start, stop, self.flows, self.index, self.free, self.flow_counts,
                self.rebuild, self.framers, self.streams, self.known, self.turn, self.paths, self.path_counts, media,
                self.rare, self.stun, self.arena, self.spans, self.span_counts, counts,
            )  # fmt: skip
            self.rebuild = False
            if status == FLOWS_FULL:
                self.make_room_for_flows()
            elif (
                counts[N_RARE] > len(self.rare) // 2
                or counts[N_STUN] > len(self.stun) // 2
                or counts[N_BYTES] > len(self.arena) // 2
            ):
                self.collect()
            if status == DONE or counts[N_MEDIA] + ROOM_FOR_ONE_PACKET > len(media):
                return int(start)
            if status == ROWS_FULL:
                self.collect()

    def take_media(self) -> int:
        """Return how many rows of media were filled, and begin with empty ones."""
        count = int(self.counts[N_MEDIA])
        self.counts[N_MEDIA] = 0
        return count

    def rows(self) -> tuple[Table, bytes, Table]:
        """Join all that was found.

        Returns
        -------
        rare, kept, stun
            Rows of ``ccp_assess.traffic.payloads.RARE``, the bytes they point to, and rows of ``STUN_ROW``.
        """
        self.collect()
        starts = np.cumsum([0, *(len(piece) for piece in self.rare_bytes)])
        counts = [len(part) for part in self.rare_rows]
        rare = _joined(self.rare_rows, RARE)
        rare["at"] += np.repeat(starts[:-1], counts)
        kept = b"".join(self.rare_bytes)
        stun = _joined(self.stun_rows, STUN_ROW)
        self.rare_rows, self.rare_bytes, self.stun_rows = [rare], [kept], [stun]
        return rare, kept, stun

    def saved(self) -> dict[str, Any]:
        """Return what must be handed on where another process goes on with the next packet."""
        rare, kept, stun = self.rows()
        lent = np.flatnonzero(self.framers["owner"] >= 0)
        return {
            "most_flows": self.most_flows,
            "capacity": len(self.flows),
            "flows": self.flows[: self.flow_counts[0]],
            "free": self.free[: self.flow_counts[1]],
            "framers": self.framers,
            "streams": self.streams[lent],
            "known": self.known[lent],
            "paths": self.paths[: self.path_counts[0]],
            "lost_paths": int(self.path_counts[1]),
            "spans": self.spans[: self.span_counts[0]],
            "lost_spans": int(self.span_counts[1]),
            "counts": self.counts,
            "rare": rare,
            "kept": np.frombuffer(kept, np.uint8),
            "stun": stun,
            "evicted_flows": self.evicted_flows,
            "evicted_packets": self.evicted_packets,
            "evicted_targets": [[*target, count] for target, count in self.evicted_targets.items()],
        }

    def take_up(self, saved: Saved) -> None:
        """Go on from what was handed on: every number that leads to a row is looked at first.

        Parameters
        ----------
        saved
            Of `saved`.
        """
        self._take_up_flows(saved)
        count = int(self.flow_counts[0])
        for name, most in (("paths", PATHS), ("spans", MOST_SPANS)):
            whole = getattr(self, name)
            rows = saved.table(name, whole.dtype, most)
            whole[: len(rows)] = rows
            counts = self.path_counts if name == "paths" else self.span_counts
            counts[:] = len(rows), saved.integer(f"lost_{name}", 0, 1 << 62)
        paths, spans = int(self.path_counts[0]), int(self.span_counts[0])
        flows = self.flows[:count]
        within(flows["first_path"], -1, paths, "flows")
        within(flows["span"], -1, spans, "flows")
        within(self.spans["flow"][:spans], 0, count, "spans")
        later = self.paths["next"][:paths]
        require(np.all((later >= -1) & (later < np.arange(paths))), "paths")
        self._take_up_framers(saved)
        self.counts = saved.numbers("counts", COUNTS)
        rare = saved.table("rare", RARE, MOST_RARE_ROWS)
        kept = saved.table("kept", np.uint8, MOST_RARE_BYTES).tobytes()
        stun = saved.table("stun", STUN_ROW, MOST_STUN_ROWS)
        for rows, path in ((rare, "path"), (stun, "peer")):
            within(rows["flow"], -1, count, "rows")
            within(rows[path], -1, paths, "rows")
        require(not rare["from_indication"][rare["path"] < 0].any(), "rows")
        within(rare["captured"], 0, len(kept) + 1, "rows")
        within(rare["at"], 0, len(kept) + 1, "rows")
        within(rare["at"] + rare["captured"], 0, len(kept) + 1, "rows")
        require(not self.counts[[N_RARE, N_STUN, N_BYTES]].any(), "counts")
        self.rare_rows, self.rare_bytes, self.stun_rows = [rare], [kept], [stun]
        self.evicted_flows = saved.integer("evicted_flows", 0, 1 << 62)
        self.evicted_packets = saved.integer("evicted_packets", 0, 1 << 62)
        for *target, number in saved.rows("evicted_targets", int, int, int, int, int, most=1 << 20):
            self.evicted_targets[tuple(target)] = number

    def _take_up_flows(self, saved: Saved) -> None:
        self.most_flows = saved.integer("most_flows", 1, 1 << 31)
        capacity = saved.integer("capacity", 1, self.most_flows + 1)
        rows = saved.table("flows", FLOW, capacity)
        # Tables are doubled when they are full, so that what is said to be there bounds the room that is made for it.
        require(capacity.bit_count() == 1 and capacity <= max(2 * len(rows), FIRST_FLOWS), "flows")
        require(self.most_flows <= max(MOST_FLOWS, capacity), "flows")
        free = saved.table("free", np.int32, len(rows))
        within(free, 0, len(rows), "flows")
        within(rows["framer"].ravel(), -1, FRAMERS, "flows")
        self.flows = np.zeros(capacity, FLOW)
        self.flows[: len(rows)] = rows
        self.index = np.full(4 * capacity, EMPTY)
        self.rebuild = True
        self.free = np.empty(self.most_flows, np.int32)
        self.free[: len(free)] = free
        self.flow_counts[:] = len(rows), len(free)

    def _take_up_framers(self, saved: Saved) -> None:
        framers = saved.table("framers", FRAMER, FRAMERS)
        require(len(framers) == FRAMERS, "framers")
        within(framers["filled"], 0, FRAMER_BYTES + 1, "framers")
        within(framers["runs"], 0, OUT_OF_ORDER_RUNS + 1, "framers")
        runs = np.arange(OUT_OF_ORDER_RUNS) < framers["runs"][:, None]
        within(framers["run_start"][runs], 0, FRAMER_BYTES + 1, "framers")
        within(framers["run_stop"][runs], 0, FRAMER_BYTES + 1, "framers")
        self.framers = framers
        lent = np.flatnonzero(framers["owner"] >= 0)
        for name in ("streams", "known"):
            content = saved.table(name, np.uint8, FRAMERS * FRAMER_BYTES)
            require(content.size == len(lent) * FRAMER_BYTES, "framers")
            getattr(self, name)[lent] = content.reshape(len(lent), FRAMER_BYTES)


def _joined(parts: list[Table], dtype: np.dtype[np.void]) -> Table:
    """Join tables; each is given back as soon as it was copied, so that they are not all there twice."""
    if len(parts) == 1:
        return parts[0]
    whole = np.empty(sum(len(part) for part in parts), dtype)
    stop = len(whole)
    while parts:
        part = parts.pop()
        whole[stop - len(part) : stop] = part
        stop -= len(part)
    return whole
