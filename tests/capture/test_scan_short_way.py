"""The short way through the headers of plain datagrams gives what the general way gives."""

import random
import struct

import numpy as np
import pytest
from captures_by_hand import START_NS, ethernet, ip, udp

from ccp_assess.capture.scan import scan

COLUMNS = ("frame", "src_low", "dst_low", "captured", "length", "bytes", "src_port", "dst_port", "protocol", "ttl")
RAW, ETHERNET = 101, 1


def capture(link: int, packets: list[tuple[bytes, int, int]]) -> bytes:
    """Make a capture of (packet, bytes kept of it, bytes it has on the wire)."""
    parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, link)]
    for number, (packet, kept, length) in enumerate(packets):
        frame, more = (ethernet(packet), 14) if link == ETHERNET else (packet, 0)
        head = struct.pack("<IIII", START_NS // 10**9, number, min(kept + more, len(frame)), length + more)
        parts.append(head + frame[: kept + more])
    return b"".join(parts)


def odd_packets(seed: int) -> list[tuple[bytes, int, int]]:
    """Make datagrams of which every second one has something unusual in its headers, or is cut."""
    rng = random.Random(seed)
    made = []
    for _ in range(400):
        ports = (rng.choice([3478, 2152, 53, 40_000]), rng.choice([3478, 4789, 8472, 6081, 2152, 50_001]))
        payload = rng.randbytes(rng.randrange(60))
        packet = bytearray(ip("10.0.0.1", "10.0.0.2", 17, udp(*ports, payload), ttl=rng.randrange(256)))
        for at, values in ((0, [0x44, 0x46, 0x4F]), (9, [6, 1, 47, 4]), (6, [0x20, 0x40, 0x80]), (7, [1])):
            if rng.random() < 0.06:
                packet[at] = rng.choice(values)
        for at in (2, 24):  # the length of the IP packet, of the datagram
            if rng.random() < 0.15:
                struct.pack_into(">H", packet, at, rng.choice([0, 1, 7, 8, 20, 27, 28, 29, 60, 1_500, 65_535]))
        kept = rng.randrange(1, len(packet)) if rng.random() < 0.2 else len(packet)
        made.append((bytes(packet), kept, len(packet) + rng.choice([0, 0, 0, 5])))
    return made


@pytest.mark.parametrize("seed", range(8))
def test_both_ways_read_the_same_headers_and_leave_out_the_same(tmp_path, seed):
    packets = odd_packets(seed)
    results = []
    for link in (ETHERNET, RAW):
        path = tmp_path / f"{link}.pcap"
        path.write_bytes(capture(link, packets))
        rows: list[np.ndarray] = []
        result = scan(path, workers=1, on_packets=rows.append)
        skipped = {reason: skip.count for reason, skip in result.captures[0].skipped.items()}
        results.append((np.concatenate(rows)[list(COLUMNS)].tolist(), skipped))
    assert results[0] == results[1]
    assert len(results[0][0]) > 200
    assert results[0][1]
