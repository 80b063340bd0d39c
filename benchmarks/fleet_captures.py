"""Make captures of a whole client out of one real call of five and a half minutes: as many bytes as wanted, quickly.

Twelve agents of a site speak at once, each with the packets of the real call, shifted in time by their own microseconds
and with addresses and ports of their own; the next twelve calls follow. Sequence numbers and timestamps of the media
are those of the real call from its first to its last packet. Every other site records whole packets, as they were on
the wire with random bytes for what the recorder had cut off; the others record headers only.

    python -m benchmarks.fleet_captures 10 bench-data/fleet
"""

from __future__ import annotations

import gzip
import os
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parent.parent
CALL = ROOT / ".." / "shared" / "captures" / "lab" / "pcap" / "long330.pcap.gz"
AGENTS, BLOCK_S, DAY_S = 12, 400, 86_400
SITES = 20
RECORDINGS = (
    (1, 1),
    (2, 1),
    (4, 2),
    (1, 1),
    (6, 1),
    (3, 3),
    (16, 1),
    *((1, 1), (2, 1), (4, 2), (8, 1), (3, 3)) * 3,
    (32, 1),
)
"""Blocks and files of a recording, again and again: many small ones, rotated files, and now and then a large one."""

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Block:
    """The packets of twelve calls in their order, and where in them stands what differs from block to block."""

    head: bytes
    data: npt.NDArray[np.uint8]
    seconds_at: Integers
    seconds: Integers
    sites_at: Integers
    ports_at: Integers
    ports: Integers


def put(data: npt.NDArray[np.uint8], at: Integers, values: Integers, order: tuple[int, ...]) -> None:
    """Write numbers of some bytes where they belong."""
    for place, shift in enumerate(order):
        data[at + place] = (values >> shift) & 255


@cache
def block(*, whole: bool) -> Block:
    """Merge twelve calls."""
    raw = gzip.decompress(CALL.read_bytes())
    chance = np.random.default_rng(9)
    records, at = [], 24
    while at + 16 <= len(raw):
        second, micro, captured, original = struct.unpack_from("<4I", raw, at)
        frame = raw[at + 16 : at + 16 + captured]
        if whole:
            frame += chance.bytes(original - captured)
        records.append((second * 1_000_000 + micro, struct.pack("<4I", 0, 0, len(frame), original) + frame))
        at += 16 + captured
    one = np.frombuffer(b"".join(record for _, record in records), np.uint8)
    length = np.array([len(record) for _, record in records])
    start = np.cumsum(length) - length
    time = np.array([time for time, _ in records])
    count = len(records)
    agents = np.repeat(np.arange(AGENTS), count)
    begins = chance.integers(0, 60_000_000, AGENTS)
    times = np.tile(time - time[0], AGENTS) + begins[agents]
    order = np.argsort(times, kind="stable")
    agents, times = agents[order], times[order]
    starts, lengths = np.tile(start, AGENTS)[order], np.tile(length, AGENTS)[order]
    places = np.cumsum(lengths) - lengths
    data = one[np.repeat(starts - places, lengths) + np.arange(lengths.sum())]
    put(data, places + 4, times % 1_000_000, (0, 8, 16, 24))
    ip = places + 16 + 14
    four = (data[places + 28] == 8) & (data[places + 29] == 0)
    sites_at, ports_at = [], []
    for address, port in ((12, 0), (16, 2)):
        ours = four & (data[ip + address] == 10)
        put(data, ip[ours] + address + 2, agents[ours] + 1, (0,))
        sites_at.append(ip[ours] + address + 1)
        agent = ours & (data[ip + address + 3] == 11) & np.isin(data[ip + 9], (6, 17)) & (data[ip] == 0x45)
        ports_at.append(ip[agent] + 20 + port)
    at_ports = np.concatenate(ports_at)
    ports = data[at_ports].astype(np.int64) << 8 | data[at_ports + 1]
    return Block(raw[:24], data, places, times // 1_000_000, np.concatenate(sites_at), at_ports, ports)


def one_block(template: Block, site: int, number: int, begin_s: int) -> bytes:
    """Return the packets of twelve calls of a site at a time."""
    data = template.data.copy()
    put(data, template.seconds_at, template.seconds + begin_s, (0, 8, 16, 24))
    data[template.sites_at] = 20 + site
    put(data, template.ports_at, 1_024 + (template.ports - 1_024 + 37 * number) % 64_000, (8, 0))
    return data.tobytes()


def recordings() -> Iterator[tuple[int, int, int]]:
    """Yield blocks, files and number of one recording after the other."""
    number = 0
    while True:
        for blocks, files in RECORDINGS:
            yield blocks, files, number
            number += 1


def make_client(folder: Path, size: int) -> Path:
    """Make a client folder of at least some bytes, unless it is there; what a smaller one has is the same."""
    client = folder / f"{size // 1_000_000}MB"
    if (client / "sites.csv").exists():
        return client
    total = 0
    for blocks, files, number in recordings():
        if total >= size:
            break
        site, day = number % SITES, number // SITES
        template = block(whole=site % 2 == 0)
        for part in range(files):
            name = Path("captures") / f"S{site:02}" / f"day{day}-{part}.pcap"
            kept, path = folder / "all" / name, client / name
            for place in (kept, path):
                place.parent.mkdir(parents=True, exist_ok=True)
            mine = range(blocks * part // files, blocks * (part + 1) // files)
            if not kept.exists():
                with kept.with_suffix(".part").open("wb") as file:
                    file.write(template.head)
                    for one in mine:
                        begin_s = 1_790_000_000 + day * DAY_S + BLOCK_S * one
                        file.write(one_block(template, site, 100 * day + one, begin_s))
                kept.with_suffix(".part").rename(kept)
            path.unlink(missing_ok=True)
            os.link(kept, path)
            total += path.stat().st_size
    (client / "sites.csv").write_text("site_id,agents\n" + "".join(f"S{site:02},{AGENTS}\n" for site in range(SITES)))
    return client


def main() -> None:
    client = make_client(Path(sys.argv[2]), int(float(sys.argv[1]) * 1e9))
    files = list(client.rglob("*.pcap"))
    print(f"{client}: {len(files)} files, {sum(path.stat().st_size for path in files) / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
