"""Everything a scan holds, comparable; captures that visit every stage; reading in parts from the first to the last."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from captures_by_hand import (
    Speech,
    block,
    channel,
    enhanced,
    ethernet,
    interface,
    ip,
    option,
    pcapng,
    section,
    stun,
    tcp,
    udp,
    xor_peer,
)  # fmt: skip

from ccp_assess.capture.files import CaptureSource
from ccp_assess.capture.parts import Part, scan_part
from ccp_assess.capture.records import Scan

SHARED = Path(__file__).resolve().parents[3] / "shared" / "captures"
LAB = SHARED / "lab" / "pcap"


def everything(result: Scan) -> tuple[object, ...]:
    """All that a scan holds, comparable."""
    return (
        result.captures,
        tuple(result.flows),
        tuple(result.datagrams),
        repr(result.stun.tolist()),
        result.peers,
        tuple(dataclasses.astuple(dataclasses.replace(stream, seconds=np.zeros(0)))[:-1] for stream in result.streams),
        tuple(repr(stream.seconds.tolist()) for stream in result.streams),
        result.interfaces,
        repr(result.spans.tolist()),
        result.name_records,
        result.limits_hit,
    )


def mixed_capture() -> list[tuple[int, bytes]]:
    """Calls, TURN over TCP, fragments, DNS and noise in one capture."""
    frames = []
    for agent in range(6):
        speech = Speech(count=300, ssrc=77 + agent, seq=65_400 + agent, missing=(9, 10, 50), late_ns={70: 90_000_000})
        frames += speech.frames(src=f"10.0.0.{agent + 1}", ports=(40_000, 3478))
    peer = xor_peer("192.0.2.1", 5)
    stream = stun(0x0003, bytes(12)) + b"".join(channel(0x4001, p, padded=True) for _, p in Speech(ssrc=9).packets())
    for k in range(0, len(stream), 200):
        at = Speech().start_ns + k * 100_000
        frames.append((at, ethernet(ip("10.0.0.9", "18.0.0.1", 6, tcp(1, 443, 5 + k, 1, 0x18, stream[k : k + 200])))))
    for k, (at, packet) in enumerate(Speech(ssrc=10).packets()):
        relayed = udp(5, 3478, stun(0x16, k.to_bytes(12), peer, (0x13, packet)))
        frames.append((at + 5, ethernet(ip("10.0.0.8", "18.0.0.1", 17, relayed[:72], ident=k, more=True))))
        frames.append((at + 6, ethernet(ip("10.0.0.8", "18.0.0.1", 17, relayed[72:], ident=k, offset=72))))
        frames.append((at + 7, ethernet(ip("10.0.0.8", "9.9.9.9", 17, udp(6, 53, k.to_bytes(2) + bytes(20))))))
    return frames


def many_sections(frames: Sequence[tuple[int, bytes]]) -> bytes:
    """A pcapng file with all that one may hold: two byte orders, units of time, names, statistics, strange blocks."""
    half = len(frames) // 2
    nano = interface(options=option(9, b"\x09") + option(2, b"eth7") + option(0, b""))
    binary = interface(options=option(9, b"\x94", ">") + option(0, b"", ">"), order=">")
    names = block(4, b"\1\0\x0c\0" + bytes([192, 0, 2, 1]) + b"example\0" + bytes(4))
    parts = [section(), interface(), nano, names]
    for k, (at, frame) in enumerate(frames[:half]):
        parts.append(enhanced(at // 1000, frame) if k % 3 else enhanced(at, frame, which=1))
        if k % 3 == 0 and k % 2:  # the same frame, seen on the other interface
            parts.append(enhanced(at // 1000 + 2, frame))
        if k % 50 == 7:
            parts.append(block(0x0BAD, bytes(300_000 if k == 57 else 40)))
    parts.append(block(5, (1).to_bytes(4, "little") + bytes(8) + option(5, (77).to_bytes(8, "little")) + bytes(4)))
    parts += [section(">"), interface(order=">"), binary]
    for k, (at, frame) in enumerate(frames[half:]):
        ticks = at // 10**9 * 2**20 + at % 10**9 * 2**20 // 10**9
        parts.append(enhanced(ticks, frame, which=1, order=">") if k % 2 else enhanced(at // 1000, frame, order=">"))
    return b"".join(parts) + pcapng(frames[:9])


def parts_of(
    sources: Sequence[CaptureSource],
    most_bytes: int | Iterator[int],
    *,
    block_bytes: int | None = None,
    workers: int = 1,
    read: Callable[..., Part] = scan_part,
) -> list[Part]:
    """Read in parts to the end; every part must come further than the one before."""
    parts: list[Part] = []
    state = None
    while state is not None or not parts:
        limit = most_bytes if isinstance(most_bytes, int) else next(most_bytes)
        parts.append(read(sources, state, most_bytes=limit, block_bytes=block_bytes, workers=workers))
        assert len(parts) < 2 or parts[-1].done_bytes >= parts[-2].done_bytes
        state = parts[-1].state
    return parts


def in_parts(sources: Sequence[CaptureSource], most_bytes: int, **choices: object) -> tuple[object, ...]:
    """Read in parts and tell all that was found, comparable."""
    last = parts_of(sources, most_bytes, **choices)[-1]  # type: ignore[arg-type]
    assert last.scan is not None
    return everything(last.scan)
