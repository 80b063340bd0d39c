"""From the tables of the compiled loops to the records of a scan."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from ccp_assess.capture.reading import MOST_NAMES, FileReader, InterfaceTable
from ccp_assess.capture.records import Capture, Interface, Scan, Skipped
from ccp_assess.errors import CaptureError
from ccp_assess.findings import counted
from ccp_assess.traffic import clocks, measuring, payloads
from ccp_assess.traffic.flows import Flow, Transport
from ccp_assess.traffic.measuring import MeasuringState
from ccp_assess.traffic.streams import SECOND_ROW, Direction, RelayForm, RelayTransport, RtpStream
from ccp_assess.traffic.tracking import TrackerState
from ccp_assess.wire.columns import REASONS, SKIP_FRAGMENT, SKIP_LINK, DecoderState
from ccp_assess.wire.datagram import Datagram
from ccp_assess.wire.link import link_name
from ccp_assess.wire.rtp import RELAYED_BY_CHANNEL, RELAYED_BY_INDICATION

Table = npt.NDArray[np.void]

_TRANSPORTS: dict[int, Transport] = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6"}
_RELAY_FORMS: dict[int, RelayForm] = {RELAYED_BY_CHANNEL: "channel_data", RELAYED_BY_INDICATION: "indication"}
_BASES = {clocks.BY_RFC3551: "rfc3551", clocks.BY_OPUS: "opus", clocks.INFERRED: "inferred"}
_RELAY_PORTS = frozenset({3478, 3479, 443, 80, 5349, 5350, 19302})
_MAPPED = 0xFFFF

SOURCES_COMPARED = 64
PLAIN_FLOWS = 8_192
"""Up to so many flows are made at once; more are made when they are asked for."""

_BLOCK = 64
_BLOCKS_KEPT = 1_024
"""Up to 65,536 flows stay made, 64 MB: who goes through all of them does so several times."""


def address_text(high: int, low: int) -> str:
    """Write an address that is kept as two signed numbers.

    Parameters
    ----------
    high, low
        Halves of the IPv6 address; IPv4 as IPv4-mapped.

    Returns
    -------
    text
        In the usual notation.

    Examples
    --------
    >>> address_text(0, 0xFFFF_C633_6402)
    '198.51.100.2'
    """
    high &= 0xFFFFFFFFFFFFFFFF
    low &= 0xFFFFFFFFFFFFFFFF
    if high == 0 and low >> 32 == _MAPPED:
        return f"{low >> 24 & 255}.{low >> 16 & 255}.{low >> 8 & 255}.{low & 255}"
    return str(ipaddress.IPv6Address(high << 64 | low))


def plain_rows(rows: Table, names: Sequence[str]) -> list[dict[str, Any]]:
    """Turn rows of a table into plain values, column by column: one by one it takes ten times as long.

    Parameters
    ----------
    rows
        The table.
    names
        The fields that are wanted.

    Returns
    -------
    plain
        A dictionary for each row; fields with several values are lists.
    """
    columns = [rows[name].tolist() for name in names]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


class Flows(Sequence[Flow]):
    """Flows as a sequence; they are made when they are asked for, since a long capture has a hundred thousand.

    Neighbours are made together: one by one it takes several times as long, and who asks for one asks for the next.
    """

    def __init__(self, rows: Table) -> None:
        self._rows = rows
        self._block = lru_cache(_BLOCKS_KEPT)(lambda number: _flows(rows[number * _BLOCK : (number + 1) * _BLOCK]))

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Flow: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Flow, ...]: ...
    def __getitem__(self, index: int | slice) -> Flow | tuple[Flow, ...]:
        if isinstance(index, slice):
            return tuple(self[k] for k in range(*index.indices(len(self))))
        if index < 0:
            index += len(self)
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._block(index // _BLOCK)[index % _BLOCK]

    def __iter__(self) -> Iterator[Flow]:
        for number in range(-(-len(self) // _BLOCK)):
            yield from self._block(number)


_RELAY_FIELDS = ("is_turn", "relay_votes", "a_port", "b_port")
_END_FIELDS = ("a_high", "a_low", "b_high", "b_low", "protocol", *_RELAY_FIELDS)
_PAIRS = ("packets", "bytes", "payload_bytes", "retransmissions", "zero_windows", "payload_packets")
_FLOW_FIELDS = (
    *_END_FIELDS, *_PAIRS, "first_ns", "last_ns", "ttl_min", "ttl_max", "syn_ns", "synack_ns", "syns", "synacks",
    "resets", "fins", "reset_ns", "fin_ns", "reset_ttl", "media", "rtcp",
)  # fmt: skip


def _flows(rows: Table) -> list[Flow]:
    return [_flow(row) for row in plain_rows(rows, _FLOW_FIELDS)]


def _flow(row: dict[str, Any]) -> Flow:
    seen = [count > 0 for count in row["packets"]]
    last, ttl_min, ttl_max = row["last_ns"], row["ttl_min"], row["ttl_max"]
    reset_ns, fin_ns = row["reset_ns"], row["fin_ns"]
    return Flow(
        a=address_text(row["a_high"], row["a_low"]),
        a_port=row["a_port"],
        b=address_text(row["b_high"], row["b_low"]),
        b_port=row["b_port"],
        transport=_TRANSPORTS.get(row["protocol"], "other"),
        first_ns=row["first_ns"],
        last_ns=max(value for value, some in zip(last, seen, strict=True) if some),
        last_ab_ns=last[0] if seen[0] else None,
        last_ba_ns=last[1] if seen[1] else None,
        ttl_ab_min=ttl_min[0] if seen[0] else None,
        ttl_ab_max=ttl_max[0] if seen[0] else None,
        ttl_ba_min=ttl_min[1] if seen[1] else None,
        ttl_ba_max=ttl_max[1] if seen[1] else None,
        syn_ns=row["syn_ns"] if row["syns"] else None,
        synack_ns=row["synack_ns"] if row["synacks"] else None,
        syns=row["syns"],
        synacks=row["synacks"],
        resets=row["resets"],
        fins=row["fins"],
        reset_ab_ns=reset_ns[0] or None,
        reset_ba_ns=reset_ns[1] or None,
        fin_ab_ns=fin_ns[0] or None,
        fin_ba_ns=fin_ns[1] or None,
        reset_ab_ttl=row["reset_ttl"][0] if reset_ns[0] else None,
        reset_ba_ttl=row["reset_ttl"][1] if reset_ns[1] else None,
        relay_side=relay_side(row),
        is_turn=row["is_turn"],
        media_packets_ab=row["media"][0],
        media_packets_ba=row["media"][1],
        rtcp_packets_ab=row["rtcp"][0],
        rtcp_packets_ba=row["rtcp"][1],
        **{f"{name}_{side}": row[name][k] for name in _PAIRS for k, side in enumerate(("ab", "ba"))},
    )


def relay_side(row: dict[str, Any]) -> Literal["a", "b"] | None:
    """Tell which end of a flow is the relay: by its messages, else by its port.

    Parameters
    ----------
    row
        Row of ``ccp_assess.traffic.flowtable.FLOW`` as plain values.

    Returns
    -------
    side
        ``None`` if nothing was relayed.
    """
    if not row["is_turn"]:
        return None
    for_a, for_b = row["relay_votes"]
    if for_a != for_b:
        return "a" if for_a > for_b else "b"
    a, b = row["a_port"], row["b_port"]
    if (a in _RELAY_PORTS) != (b in _RELAY_PORTS):
        return "a" if a in _RELAY_PORTS else "b"
    return "a" if a < b else "b"


class Datagrams(Sequence[Datagram]):
    """Rare packets as a sequence; each is made when it is asked for."""

    def __init__(self, rows: Table, kept: bytes, peers: Sequence[str]) -> None:
        self._rows = rows[rows["flow"] >= 0]
        self._bytes = kept
        self._peers = peers

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Datagram: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Datagram, ...]: ...
    def __getitem__(self, index: int | slice) -> Datagram | tuple[Datagram, ...]:
        if isinstance(index, slice):
            return tuple(self._make(row) for row in self._rows[index].tolist())
        return self._make(self._rows[index].item())

    def __iter__(self) -> Iterator[Datagram]:
        for start in range(0, len(self._rows), 4_096):
            for row in self._rows[start : start + 4_096].tolist():
                yield self._make(row)

    def _make(self, row: tuple[Any, ...]) -> Datagram:
        time_ns, frame, at, captured, length, flow, path, seq, ack, window, channel, *rest = row
        flags, ttl, ab, segment, fragmented, framed, indication = rest
        return Datagram(
            time_ns,
            flow,
            ab,
            self._bytes[at : at + captured],
            length,
            ttl,
            seq if segment else None,
            flags if segment else None,
            ack if segment else None,
            window if segment else None,
            fragmented,
            frame,
            channel,
            self._peers[path] if indication else None,
            framed,
        )


def _peers(tracker: TrackerState) -> tuple[str, ...]:
    texts = []
    for row in tracker.paths[: tracker.path_counts[0]]:
        if not row["has_peer"]:
            texts.append("")
            continue
        address = address_text(int(row["peer_high"]), int(row["peer_low"]))
        texts.append(f"[{address}]:{row['peer_port']}" if ":" in address else f"{address}:{row['peer_port']}")
    return tuple(texts)


def _number(value: float) -> float | None:
    return None if value != value else value  # noqa: PLR0124  (NaN is the number that differs from itself)


def _retransmissions(rows: Table) -> set[int]:
    """Find streams that repeat packets of another one on the same path.

    A retransmission keeps the time stamp of the packet that it repeats (RFC 4588, section 4), while streams of their
    own start at a random one (RFC 3550, section 5.1): a small stream whose clock reads the same is one.
    """
    together: dict[tuple[int, int], list[int]] = {}
    for number in np.flatnonzero(rows["valid"]).tolist():
        together.setdefault((int(rows["flow"][number]), int(rows["path"][number])), []).append(number)
    found = set()
    for numbers in together.values():
        for small in numbers:
            for large in numbers if len(numbers) <= SOURCES_COMPARED else ():
                one, two = rows[small], rows[large]
                rate_hz = float(two["rate_hz"])
                if not rate_hz or int(one["packets"]) * 2 > int(two["packets"]):
                    continue
                passed = (int(two["last_ns"]) - int(one["last_ns"])) * rate_hz / 1e9
                apart = int(two["last_timestamp"]) - int(one["last_timestamp"]) - round(passed)
                if abs((apart + 0x80000000) % (1 << 32) - 0x80000000) < rate_hz:
                    found.add(small)
    return found


_STREAM_FIELDS = (
    "flow", "path", "ssrc", "relayed", "basis", "packets", "first_ns", "last_ns", "unique", "expected", "segments",
    "duplicates", "reordered", "rate_hz", "jitter_ms", "jitter_sum_ms", "jitter_max_ms", "jitter_updates",
    "ipdv_sum_ms", "steps", "step", "step_hits", "longest_gap_ns", "longest_gap_from_ns", "stalls", "events",
    "payload_bytes", "rtcp", "bursts", "burst_packets", "longest_run", "type_counts", "types", "element",
    "element_count", "element_sum", "element_silent", "element_low", "element_high", "skew_ppm", "play_sum_ms",
    "play_packets", "play_late",
)  # fmt: skip


def _streams(tracker: TrackerState, state: MeasuringState, peers: Sequence[str]) -> tuple[RtpStream, ...]:
    rows, seconds = state.finish()
    seconds = seconds.take(np.argsort(seconds["stream"], kind="stable"))  # ten times as fast as by an index
    starts = np.searchsorted(seconds["stream"], np.arange(len(rows) + 1)).tolist()
    repeats = _retransmissions(rows)
    valid = np.flatnonzero(rows["valid"])
    flows = np.unique(rows["flow"][valid] >> 1)
    ends = dict(zip(flows.tolist(), plain_rows(tracker.flows.take(flows), _END_FIELDS), strict=True))
    made: list[tuple[RtpStream, int]] = []
    for number, row in zip(valid.tolist(), plain_rows(rows.take(valid), _STREAM_FIELDS), strict=True):
        own = seconds[starts[number] : starts[number + 1]]
        again = number in repeats
        made.append((_stream(row, ends[row["flow"] >> 1], tracker, peers, own, is_retransmission=again), number))
    made.sort(key=lambda pair: (pair[0].first_ns, pair[0].src, pair[0].src_port, pair[0].dst, pair[0].ssrc, pair[1]))
    place = np.full(len(rows) + 1, -1, np.int32)  # where each stream stands now; the seconds of the streams say so too
    place[[number for _, number in made]] = np.arange(len(made))
    seconds["stream"] = place[seconds["stream"]]
    return tuple(stream for stream, _ in made)


def _stream(
    row: dict[str, Any],
    ends: dict[str, Any],
    tracker: TrackerState,
    peers: Sequence[str],
    seconds: Table,
    *,
    is_retransmission: bool,
) -> RtpStream:
    a, a_port = address_text(ends["a_high"], ends["a_low"]), ends["a_port"]
    b, b_port = address_text(ends["b_high"], ends["b_low"]), ends["b_port"]
    relay = relay_side(ends)
    outbound = not row["flow"] & 1
    form: RelayForm = _RELAY_FORMS.get(row["relayed"], "none")
    direction: Direction = "unknown"
    if form != "none" and relay is not None:
        direction = "out" if outbound == (relay == "b") else "in"
    transport = _TRANSPORTS.get(ends["protocol"], "other")
    relay_transport: RelayTransport | None = None
    if form != "none":
        relay_transport = "tcp" if transport == "tcp" else "udp"
    path = row["path"]
    channel = int(tracker.paths["channel"][path]) if path >= 0 else 0
    counted = [pair for pair in zip(row["types"], row["type_counts"], strict=True) if pair[1]]
    types = dict(sorted(counted, key=lambda pair: (-pair[1], pair[0])))
    payload_type = next(iter(types))
    rate = row["rate_hz"]
    known = rate > 0
    expected, unique = row["expected"], row["unique"]
    lost = expected - unique
    bursts, burst_packets = row["bursts"], row["burst_packets"]
    updates = row["jitter_updates"]
    level = _level(row)
    common_step = row["step"] if row["step"] > 0 and row["step_hits"] * 2 > row["steps"] else 0
    mean_burst = burst_packets / bursts if bursts else 0.0
    played, late = row["play_packets"], row["play_late"]
    return RtpStream(
        src=a if outbound else b,
        src_port=a_port if outbound else b_port,
        dst=b if outbound else a,
        dst_port=b_port if outbound else a_port,
        ssrc=row["ssrc"],
        payload_type=payload_type,
        payload_types=types,
        direction=direction,
        relay=form,
        channel_number=channel if channel and form == "channel_data" else None,
        peer=peers[path] or None if path >= 0 else None,
        relay_transport=relay_transport,
        transport=transport,
        clock_rate_hz=int(rate) if known else None,
        clock_rate_basis=_BASES.get(row["basis"]) if known else None,
        packets=row["packets"],
        expected=expected,
        lost=lost,
        loss_pct=100.0 * lost / expected,
        duplicates=row["duplicates"],
        reordered=row["reordered"],
        jitter_ms=row["jitter_ms"] if known else None,
        jitter_mean_ms=(row["jitter_sum_ms"] / updates if updates else 0.0) if known else None,
        jitter_max_ms=row["jitter_max_ms"] if known else None,
        ipdv_mean_ms=row["ipdv_sum_ms"] / updates if known and updates else None,
        longest_gap_ms=row["longest_gap_ns"] / 1e6,
        longest_gap_ns=row["longest_gap_from_ns"],
        burst_ratio=mean_burst * (1.0 - lost / expected) if lost > 0 and bursts else None,
        loss_bursts=bursts,
        longest_loss_burst=row["longest_run"],
        gilbert_p=bursts / unique if bursts and unique else None,
        gilbert_r=1.0 / mean_burst if bursts else None,
        stalls=row["stalls"],
        late_pct=100.0 * late / (played + late) if played else None,
        playout_ms=row["play_sum_ms"] / played if played else None,
        packetization_ms=common_step * 1000.0 / rate if known and common_step else None,
        clock_skew_ppm=_number(row["skew_ppm"]),
        audio_level_mean_dbov=None if level is None else -level[0],
        audio_level_silent_pct=None if level is None else level[1],
        payload_bytes=row["payload_bytes"],
        rtcp_packets=row["rtcp"],
        telephone_events=row["events"],
        segments=row["segments"],
        is_retransmission=is_retransmission,
        first_ns=row["first_ns"],
        last_ns=row["last_ns"],
        flow=row["flow"] >> 1,
        outbound_of_key=outbound,
        seconds=seconds,
    )


def _level(row: dict[str, Any]) -> tuple[float, float] | None:
    """Mean level and share of silence of the header element that behaves like an audio level."""
    best: tuple[float, float] | None = None
    most = 0
    for k in range(2):
        count = row["element_count"][k]
        if not row["element"][k] or count * 2 < row["packets"] or count <= most:
            continue
        if row["element_low"][k] == row["element_high"][k] != 127:
            continue
        most = count
        best = (row["element_sum"][k] / count, 100.0 * row["element_silent"][k] / count)
    return best


def _captures(
    names: Sequence[str],
    readers: Sequence[FileReader],
    refused: dict[int, CaptureError],
    interfaces: InterfaceTable,
    skips: npt.NDArray[np.int64],
) -> tuple[Capture, ...]:
    by_number = {reader.capture: reader for reader in readers}
    rows = interfaces.rows[: len(interfaces.names)]
    made = []
    for number, name in enumerate(names):
        reader = by_number.get(number)
        if reader is None:
            made.append(
                Capture(
                    path=name,
                    format="unknown",
                    compression=None,
                    link_types=(),
                    packets=0,
                    bytes=0,
                    first_ns=None,
                    last_ns=None,
                    snaplen_cut=0,
                    ended_early=str(refused[number]),
                    skipped={},
                    notes=(),
                )
            )
            continue
        own = rows[rows["capture"] == number]
        used = own[own["frames"] > 0]
        types = list(dict.fromkeys((used if len(used) else own)["link_type"].tolist()))
        unsupported = ", ".join(
            link_name(kind) for kind in types if skips[number, SKIP_LINK, 0] and not is_supported(kind)
        )
        skipped = {
            (f"{reason} {unsupported}" if code == SKIP_LINK else reason): Skipped(
                count=int(skips[number, code, 0]), first_offset=int(skips[number, code, 1])
            )
            for code, reason in enumerate(REASONS)
            if skips[number, code, 0]
        }
        made.append(
            Capture(
                path=name,
                format=reader.format,
                compression=reader.source.compression,
                link_types=tuple(link_name(kind) for kind in types),
                packets=int(own["frames"].sum()),
                bytes=reader.read_bytes if reader.damaged_at is None else reader.damaged_at,
                first_ns=int(used["first_ns"].min()) if len(used) else None,
                last_ns=int(used["last_ns"].max()) if len(used) else None,
                snaplen_cut=int(own["cut"].sum()),
                ended_early=reader.ended_early,
                skipped=skipped,
                notes=_notes(int(own["tunnels"].sum())),
                unread=_unread(unsupported, int(skips[number, SKIP_LINK, 0]), int(own["joined"].sum())),
            )
        )
    return tuple(made)


_SUPPORTED = frozenset({0, 1, 9, 10, 12, 14, 50, 51, 101, 104, 105, 108, 113, 127, 166, 204, 228, 229, 276})
"""PPI and PKTAP are not among them: whether their frames can be read depends on what they carry."""


def is_supported(link_type: int) -> bool:
    """Tell whether frames of a link type can be read.

    Parameters
    ----------
    link_type
        Number in a capture's header.

    Returns
    -------
    supported
        Whether IP can be found in them.
    """
    return link_type in _SUPPORTED


def _notes(tunnels: int) -> tuple[str, ...]:
    if not tunnels:
        return ()
    return (f"{counted(tunnels, 'frame')} came in GTP, the tunnel of mobile networks; what is inside was read",)


def _unread(unsupported: str, count: int, joined: int) -> tuple[str, ...]:
    made = []
    if unsupported:
        frames = counted(count, "frame")
        made.append(f"{frames} of link type {unsupported} cannot be read; capture on an Ethernet or cooked interface")
    if joined:
        made.append(
            f"{counted(joined, 'Wi-Fi frame')} held several packets each (A-MSDU), of which only the first was "
            "read: what seems lost may have come; capture on the workstation instead"
        )
    return tuple(made)


def _limits(tracker: TrackerState, state: MeasuringState, readers: Sequence[FileReader]) -> tuple[str, ...]:
    counts, found = tracker.counts, state.counts
    said = []
    if tracker.evicted_flows:
        targets = sorted(tracker.evicted_targets.items(), key=lambda pair: -pair[1])[:1]
        where = ""
        if targets:
            (high, low, port, protocol), count = targets[0]
            kind = _TRANSPORTS.get(protocol, "other")
            where = f", most of them ({count} counted) to {address_text(high, low)} port {port} {kind}"
        said.append(
            f"{tracker.evicted_flows} conversations of {tracker.evicted_packets} packets were not kept, as in a scan or"
            f" a flood{where}"
        )
    if found[measuring.EVICTED]:
        said.append(
            f"{found[measuring.EVICTED]} synchronisation sources were given up before their tenth packet: bytes that"
            " only look like RTP, or a flood of false sources"
        )
    if found[measuring.LOST_STREAMS]:
        said.append(f"{found[measuring.LOST_STREAMS]} short RTP streams beyond {state.most_streams} were not kept")
    if found[measuring.LOST_SECONDS]:
        said.append(f"{found[measuring.LOST_SECONDS]} one-second rows beyond {measuring.MOST_SECONDS} were not kept")
    if counts[payloads.LOST_ROWS]:
        said.append(f"{counts[payloads.LOST_ROWS]} signalling packets beyond the bounds were counted but not kept")
    if counts[payloads.LOST_STUN]:
        said.append(f"{counts[payloads.LOST_STUN]} STUN messages beyond {payloads.MOST_STUN_ROWS} were not kept")
    if tracker.path_counts[1]:
        said.append(f"{tracker.path_counts[1]} packets named more TURN channels or peers than are kept apart")
    if tracker.span_counts[1]:
        said.append(f"{tracker.span_counts[1]} spans of steady packets inside TCP were not kept apart")
    if any(len(reader.name_records) >= MOST_NAMES for reader in readers):
        said.append(f"more than {MOST_NAMES} name records are in the capture; the rest was left out")
    return tuple(said)


def collect(  # noqa: PLR0917  (one thing of each stage)
    names: Sequence[str],
    readers: Sequence[FileReader],
    refused: dict[int, CaptureError],
    interfaces: InterfaceTable,
    skips: npt.NDArray[np.int64],
    decoder: DecoderState,
    tracker: TrackerState,
    state: MeasuringState,
) -> Scan:
    """Make the records of a scan.

    Parameters
    ----------
    names
        Paths as given.
    readers, refused
        Files that were read, and why others were not.
    interfaces, skips, decoder, tracker, state
        What the stages remember.

    Returns
    -------
    scan
        The whole.
    """
    rare, kept, stun = tracker.rows()
    for capture, offset in decoder.unfinished():
        cell = skips[capture, SKIP_FRAGMENT]
        cell[1] = offset if cell[0] == 0 else min(int(cell[1]), offset)
        cell[0] += 1
    peers = _peers(tracker)
    limits = _limits(tracker, state, readers)
    streams = _streams(tracker, state, peers)
    flows = tracker.flows[: tracker.flow_counts[0]].copy()
    return Scan(
        captures=_captures(names, readers, refused, interfaces, skips),
        flows=Flows(flows) if len(flows) > PLAIN_FLOWS else tuple(_flows(flows)),
        datagrams=Datagrams(rare, kept, peers),
        stun=stun[stun["flow"] >= 0],
        peers=peers,
        streams=streams,
        interfaces=tuple(
            Interface(
                capture=int(row["capture"]),
                link_type=int(row["link_type"]),
                link_name=link_name(int(row["link_type"])),
                name=name,
                snaplen=int(row["snaplen"]) or None,
                packets=int(row["frames"]),
                dropped=dropped,
            )
            for row, name, dropped in zip(interfaces.rows, interfaces.names, interfaces.dropped, strict=False)
        ),
        spans=tracker.spans[: tracker.span_counts[0]].copy(),
        name_records=tuple(dict.fromkeys(record for reader in readers for record in reader.name_records)),
        limits_hit=limits,
    )


__all__ = ["SECOND_ROW", "Datagrams", "Flows", "collect"]
