"""Make captures of relayed calls, of any length, with their truth: for benchmarks and for tests of bounded state.

The packets have the shape of real ones: STUN over UDP 3478, ChannelData, DTLS, RTP with a one-byte header extension
every 20 ms, connectivity checks, RTCP. What is lost is drawn from a seed and written down beside the capture.

    python tools/make_captures.py --packets 3000000 --out bench-data/calls-3M.pcap
"""

from __future__ import annotations

import argparse
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np
import numpy.typing as npt

NS = 1_000_000_000
START_NS = 1_790_000_000 * NS
COOKIE = 0x2112A442
ETHERNET = bytes.fromhex("020000000001020000000002") + b"\x08\x00"
CALL_SECONDS = 180
MEDIA_HEADER = 14 + 20 + 8 + 4 + 12 + 8
CHUNK_SECONDS = 10


@dataclass
class Call:
    """One call: who speaks to which relay, and when."""

    number: int
    start_ns: int
    seconds: int
    agent: bytes
    agent_port: int
    relay: bytes
    peer: bytes
    ssrc_out: int
    ssrc_in: int
    sequence_out: int
    sequence_in: int
    lost_in: set[int]


def ipv4(  # noqa: PLR0917  (fields of the header)
    src: bytes, dst: bytes, protocol: int, payload: bytes, identification: int = 0, ttl: int = 64
) -> bytes:
    """Put an IPv4 header with its checksum before a payload."""
    head = (
        struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), identification & 0xFFFF, 0x4000, ttl, protocol, 0)
        + src
        + dst
    )
    total = sum(struct.unpack(">10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return head[:10] + struct.pack(">H", 0xFFFF - total) + head[12:] + payload


def udp(src: bytes, src_port: int, dst: bytes, dst_port: int, payload: bytes) -> bytes:
    """Make an Ethernet frame with a UDP datagram (checksum 0: not used)."""
    return ETHERNET + ipv4(src, dst, 17, struct.pack(">HHHH", src_port, dst_port, 8 + len(payload), 0) + payload)


def tcp(  # noqa: PLR0917  (fields of the header)
    src: bytes, src_port: int, dst: bytes, dst_port: int, seq: int, ack: int, flags: int, payload: bytes = b""
) -> bytes:
    """Make an Ethernet frame with a TCP segment."""
    head = struct.pack(">HHIIBBHHH", src_port, dst_port, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, 0x50, flags, 65_000, 0, 0)
    return ETHERNET + ipv4(src, dst, 6, head + payload)


def stun(kind: int, transaction: bytes, *attributes: tuple[int, bytes]) -> bytes:
    """Make a STUN message."""
    body = b"".join(struct.pack(">HH", code, len(value)) + value + bytes(-len(value) % 4) for code, value in attributes)
    return struct.pack(">HHI", kind, len(body), COOKIE) + transaction + body


def xor_address(address: bytes, port: int) -> bytes:
    """Make the value of XOR-PEER-ADDRESS and its kin."""
    return struct.pack(">BBHI", 0, 1, port ^ (COOKIE >> 16), int.from_bytes(address) ^ COOKIE)


def channel_data(number: int, payload: bytes) -> bytes:
    """Put a payload into ChannelData."""
    return struct.pack(">HH", number, len(payload)) + payload


def setup_frames(call: Call, rng: np.random.Generator) -> Iterator[tuple[int, bytes]]:
    """Yield the packets that begin and end a call, and its checks and RTCP in between."""

    def out(payload: bytes) -> bytes:
        return udp(call.agent, call.agent_port, call.relay, 3478, payload)

    def back(payload: bytes) -> bytes:
        return udp(call.relay, 3478, call.agent, call.agent_port, payload)

    def transaction() -> bytes:
        return rng.bytes(12)

    at = call.start_ns - 400_000_000
    mapped = (0x0020, xor_address(call.agent, call.agent_port))
    first, second, third, fourth = (transaction() for _ in range(4))
    yield at, out(stun(0x0003, first, (0x0019, b"\x11\0\0\0")))
    yield at + 38_000_000, back(stun(0x0113, first, (0x0009, b"\0\0\x04\x01Unauthorized"), (0x0014, b"connect")))
    yield at + 39_000_000, out(stun(0x0003, second, (0x0019, b"\x11\0\0\0"), (0x0006, b"user"), (0x0008, bytes(20))))
    relayed = (0x0016, xor_address(call.relay, 50_000 + call.number % 10_000))
    yield at + 78_000_000, back(stun(0x0103, second, relayed, mapped, (0x000D, struct.pack(">I", 600))))
    peer = (0x0012, xor_address(call.peer, 40_000))
    yield at + 80_000_000, out(stun(0x0008, third, peer, (0x0008, bytes(20))))
    yield at + 118_000_000, back(stun(0x0108, third))
    yield at + 120_000_000, out(stun(0x0009, fourth, (0x000C, b"\x40\0\0\0"), peer, (0x0008, bytes(20))))
    yield at + 158_000_000, back(stun(0x0109, fourth))
    hello = b"\x16\xfe\xfd" + bytes(8) + struct.pack(">H", 180) + bytes(180)
    for step, (direction, size) in enumerate(((out, 1), (back, 1), (out, 1), (back, 1))):
        yield at + 200_000_000 + 40_000_000 * step, direction(channel_data(0x4000, hello * size))
    end = call.start_ns + call.seconds * NS
    check = call.start_ns - 200_000_000
    while check < end:
        asked, answered = transaction(), transaction()
        yield check, out(channel_data(0x4000, stun(0x0001, asked, (0x0006, b"abcd:efgh"), (0x0008, bytes(20)))))
        yield check + 39_000_000, back(channel_data(0x4000, stun(0x0101, asked, mapped, (0x0008, bytes(20)))))
        yield check + 900_000_000, back(channel_data(0x4000, stun(0x0001, answered, (0x0006, b"efgh:abcd"))))
        yield check + 900_300_000, out(channel_data(0x4000, stun(0x0101, answered, mapped)))
        for direction, ssrc in ((out, call.ssrc_out), (back, call.ssrc_in)):
            rtcp = struct.pack(">BBHI", 0x80, 200, 16, ssrc) + rng.bytes(60)
            yield check + 1_300_000_000, direction(channel_data(0x4000, rtcp))
        check += 2_660_000_000
    yield end + 20_000_000, out(stun(0x0004, transaction(), (0x000D, bytes(4)), (0x0008, bytes(20))))


@numba.njit
def write_records(  # noqa: PLR0917  (a compiled loop takes arrays)
    times: npt.NDArray[np.int64],
    kinds: npt.NDArray[np.int64],
    heads: npt.NDArray[np.uint8],
    sequences: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int64],
    noise: npt.NDArray[np.uint8],
    extra: npt.NDArray[np.uint8],
    extra_at: npt.NDArray[np.int64],
    out: npt.NDArray[np.uint8],
) -> int:
    """Write pcap records: kind >= 0 is media with that head, else extra frame number -kind - 1."""
    to = 0
    for k in range(len(times)):
        kind = kinds[k]
        size = sizes[k]
        seconds = times[k] // 1_000_000_000
        micro = times[k] % 1_000_000_000 // 1000
        for shift in range(4):
            out[to + shift] = (seconds >> (8 * shift)) & 255
            out[to + 4 + shift] = (micro >> (8 * shift)) & 255
            out[to + 8 + shift] = (size >> (8 * shift)) & 255
            out[to + 12 + shift] = (size >> (8 * shift)) & 255
        to += 16
        if kind < 0:
            start = extra_at[-kind - 1]
            for j in range(size):
                out[to + j] = extra[start + j]
        else:
            for j in range(66):
                out[to + j] = heads[kind, j]
            begin = (sequences[k] * 131) % (len(noise) - 2048)
            for j in range(66, size):
                out[to + j] = noise[begin + j]
            total = size - 14
            out[to + 16] = total >> 8
            out[to + 17] = total & 255
            out[to + 18] = (sequences[k] >> 8) & 255
            out[to + 19] = sequences[k] & 255
            out[to + 38] = (total - 20) >> 8
            out[to + 39] = (total - 20) & 255
            out[to + 44] = (total - 32) >> 8
            out[to + 45] = (total - 32) & 255
            out[to + 48] = (sequences[k] >> 8) & 255
            out[to + 49] = sequences[k] & 255
            stamp = sequences[k] * 960
            for shift in range(4):
                out[to + 53 - shift] = (stamp >> (8 * shift)) & 255
            out[to + 63] = 0x80 | (begin & 63)
        to += size
    return to


def media_head(call: Call, *, outbound: bool) -> bytes:
    """Make the first bytes of all media packets of one direction; lengths and numbers are filled in."""
    ssrc = call.ssrc_out if outbound else call.ssrc_in
    rtp = struct.pack(">BBHII", 0x90, 111, 0, 0, ssrc) + bytes.fromhex("bede0001") + bytes([0x10, 0x80, 0, 0])
    relayed = channel_data(0x4000, rtp)
    if outbound:
        return udp(call.agent, call.agent_port, call.relay, 3478, relayed)
    return udp(call.relay, 3478, call.agent, call.agent_port, relayed)


def plan_calls(packets: int, agents: int, loss: float, rng: np.random.Generator) -> list[Call]:
    """Spread calls over agents so that about so many packets come together."""
    per_call = 100 * CALL_SECONDS + 6 * int(CALL_SECONDS / 2.66) + 14
    calls = []
    for number in range(max(round(packets / per_call), 1)):
        agent = number % agents
        seconds = CALL_SECONDS if packets >= per_call else max(packets // 103, 2)
        begin = START_NS + (number // agents) * (CALL_SECONDS + 5) * NS + agent * 37_000_000 + NS
        count = 50 * seconds
        lost = set(np.flatnonzero(rng.random(count) < loss).tolist()) - {0, count - 1}
        calls.append(
            Call(
                number,
                begin,
                seconds,
                bytes([10, 20, agent // 250, 1 + agent % 250]),
                40_000 + number // agents % 20_000,
                bytes([18, 236, 61, 10 + agent % 3]),
                bytes([10, 33, 7, 21]),
                int(rng.integers(1, 1 << 32)),
                int(rng.integers(1, 1 << 32)),
                int(rng.integers(0, 1 << 16)),
                int(rng.integers(0, 1 << 16)),
                lost,
            )
        )
    return calls


def bulk_frames(count: int, start_ns: int, seconds: int, rng: np.random.Generator) -> Iterator[tuple[int, bytes]]:
    """Yield TLS over TCP and QUIC as an office has them beside its calls."""
    connections = max(count // 600, 1)
    for connection in range(connections):
        client = bytes([10, 20, 9, 1 + connection % 250])
        server = bytes([52, 94, connection >> 8 & 255, connection & 255])
        port = 20_000 + connection % 40_000
        at = start_ns + int(rng.integers(0, max(seconds - 2, 1) * NS))
        share = count // connections
        if connection % 3 == 2:
            first = b"\xc3\0\0\0\x01\x08" + rng.bytes(8) + b"\0\0\x44\x9e" + rng.bytes(1180)
            yield at, udp(client, port, server, 443, first)
            for k in range(share - 1):
                payload = bytes([0x40 | int(rng.integers(0, 64))]) + rng.bytes(1 if k % 3 == 0 else 40)
                payload += bytes(24 if k % 3 == 0 else 1150)
                at += 300_000
                yield (
                    at,
                    udp(client, port, server, 443, payload) if k % 3 == 0 else udp(server, 443, client, port, payload),
                )
            continue
        seq, ack = int(rng.integers(1, 1 << 31)), int(rng.integers(1, 1 << 31))
        yield at, tcp(client, port, server, 443, seq - 1, 0, 2)
        yield at + 20_000_000, tcp(server, 443, client, port, ack - 1, seq, 18)
        hello = b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + rng.bytes(500)
        yield at + 21_000_000, tcp(client, port, server, 443, seq, ack, 24, hello)
        seq += len(hello)
        at += 40_000_000
        record = b"\x17\x03\x03\x05\xaf" + rng.bytes(64) + bytes(1391)
        for k in range(share - 3):
            at += 300_000
            if k % 3:
                yield at, tcp(server, 443, client, port, ack, seq, 16, record)
                ack += len(record)
            else:
                yield at, tcp(client, port, server, 443, seq, ack, 16)


def make(
    path: Path, *, packets: int, agents: int = 40, loss: float = 0.01, bulk_share: float = 0.0, seed: int = 1
) -> dict[str, object]:
    """Write a capture and return its truth."""
    rng = np.random.default_rng(seed)
    calls = plan_calls(int(packets * (1.0 - bulk_share)), agents, loss, rng)
    end_ns = max(call.start_ns + call.seconds * NS for call in calls) + 2 * NS
    heads = np.zeros((2 * len(calls), 66), np.uint8)
    for call in calls:
        heads[2 * call.number] = np.frombuffer(media_head(call, outbound=True), np.uint8)
        heads[2 * call.number + 1] = np.frombuffer(media_head(call, outbound=False), np.uint8)
    noise = np.frombuffer(rng.bytes(1 << 20), np.uint8)
    bulk: list[tuple[int, bytes]] = []
    if bulk_share:
        seconds = (end_ns - START_NS) // NS
        bulk = sorted(bulk_frames(int(packets * bulk_share), START_NS, seconds, rng), key=lambda pair: pair[0])
    written = 0
    pending: list[tuple[int, bytes]] = []
    bulk_at = 0
    unplanned = sorted(calls, key=lambda call: call.start_ns)
    with path.open("wb", buffering=1 << 22) as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1))
        for begin in range(START_NS, end_ns, CHUNK_SECONDS * NS):
            stop = begin + CHUNK_SECONDS * NS
            while unplanned and unplanned[0].start_ns - NS < stop:
                pending.extend(setup_frames(unplanned.pop(0), rng))
            extras = [pair for pair in pending if pair[0] < stop]
            pending = [pair for pair in pending if pair[0] >= stop]
            while bulk_at < len(bulk) and bulk[bulk_at][0] < stop:
                extras.append(bulk[bulk_at])
                bulk_at += 1
            parts = [
                media_part(call, begin, stop, rng)
                for call in calls
                if begin - call.seconds * NS <= call.start_ns < stop
            ]
            written += write_chunk(file, parts, extras, heads, noise)
    streams = [
        {
            "ssrc": ssrc,
            "direction": direction,
            "packets": 50 * call.seconds - len(lost),
            "expected": 50 * call.seconds,
            "lost": len(lost),
        }
        for call in calls
        for ssrc, direction, lost in ((call.ssrc_out, "out", set()), (call.ssrc_in, "in", call.lost_in))
    ]
    return {"packets": written, "calls": len(calls), "streams": streams, "seed": seed}


def media_part(
    call: Call, begin: int, stop: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Media packets of a call between two instants: time, kind, number, size."""
    first = max((begin - call.start_ns + 19_999_999) // 20_000_000, 0)
    last = min((stop - call.start_ns + 19_999_999) // 20_000_000, 50 * call.seconds)
    numbers = np.arange(first, max(last, first), dtype=np.int64)
    kept = np.array([number not in call.lost_in for number in numbers.tolist()], np.bool_)
    inbound = numbers[kept]
    times_out = call.start_ns + numbers * 20_000_000 + rng.integers(0, 400_000, len(numbers))
    times_in = call.start_ns + 21_000_000 + inbound * 20_000_000 + rng.integers(0, 3_000_000, len(inbound))
    times = np.concatenate([times_out, times_in])
    kinds = np.concatenate([np.full(len(numbers), 2 * call.number), np.full(len(inbound), 2 * call.number + 1)])
    sequences = np.concatenate([numbers + call.sequence_out, inbound + call.sequence_in])
    sizes = MEDIA_HEADER + rng.integers(40, 130, len(times))
    return times, kinds, sequences, sizes


def write_chunk(
    file: object,
    parts: list[tuple[npt.NDArray[np.int64], ...]],
    extras: list[tuple[int, bytes]],
    heads: npt.NDArray[np.uint8],
    noise: npt.NDArray[np.uint8],
) -> int:
    """Write everything of some seconds in order of time."""
    count = len(extras)
    lengths = np.array([len(frame) for _, frame in extras], np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)])[:-1].astype(np.int64) if count else np.zeros(0, np.int64)
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)] if parts else [np.zeros(0, np.int64)] * 4
    times = np.concatenate([columns[0], np.array([at for at, _ in extras], np.int64)])
    kinds = np.concatenate([columns[1], -1 - np.arange(count, dtype=np.int64)])
    sequences = np.concatenate([columns[2], np.zeros(count, np.int64)])
    sizes = np.concatenate([columns[3], lengths])
    order = np.argsort(times, kind="stable")
    out = np.empty(int(sizes.sum()) + 16 * len(times), np.uint8)
    extra = np.frombuffer(b"".join(frame for _, frame in extras) or b"\0", np.uint8)
    used = write_records(times[order], kinds[order], heads, sequences[order], sizes[order], noise, extra, starts, out)
    file.write(memoryview(out)[:used])  # type: ignore[attr-defined]
    return len(times)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make captures of relayed calls with their truth.")
    parser.add_argument("--packets", type=int, default=300_000)
    parser.add_argument("--agents", type=int, default=40)
    parser.add_argument("--loss", type=float, default=0.01)
    parser.add_argument("--bulk-share", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    truth = make(
        options.out,
        packets=options.packets,
        agents=options.agents,
        loss=options.loss,
        bulk_share=options.bulk_share,
        seed=options.seed,
    )
    options.out.with_suffix(".truth.json").write_text(json.dumps(truth))
    print(
        f"{options.out}: {truth['packets']} packets, {truth['calls']} calls, {options.out.stat().st_size / 1e6:.1f} MB"
    )


if __name__ == "__main__":
    main()
