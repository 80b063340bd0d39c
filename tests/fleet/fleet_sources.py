"""Sources of many sites made of the lab's real captures, with shifted times and addresses."""

import atexit
import os
import struct
from functools import cache
from ipaddress import IPv4Address
from itertools import pairwise
from pathlib import Path

import fsspec

LAB = Path(__file__).resolve().parents[2] / ".." / "shared" / "captures" / "lab" / "pcap"
DAY_S = 86_400


def shifted(name: str, *, seconds: int = 0, host: int = 0) -> bytes:
    """Return a capture of the lab with later times and another agent's address (IPv4 checksums are not read)."""
    data = bytearray((LAB / name).read_bytes())
    mark = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    at = 24
    while at + 16 <= len(data):
        second, _, captured, _ = struct.unpack_from(f"{mark}4I", data, at)
        struct.pack_into(f"{mark}I", data, at, second + seconds)
        frame = at + 16
        if host and data[frame + 12 : frame + 14] == b"\x08\x00":
            for place in (frame + 26, frame + 30):
                address = int.from_bytes(data[place : place + 4], "big")
                if IPv4Address(address).is_private and address >> 24 == 10:
                    data[place : place + 4] = (address + (host << 8)).to_bytes(4, "big")
        at = frame + captured
    return bytes(data)


def cut_in_files(data: bytes, count: int) -> list[bytes]:
    """Divide a capture into files after each other, as a recorder does that rotates its files."""
    mark = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    starts, at = [], 24
    while at + 16 <= len(data):
        starts.append(at)
        at += 16 + struct.unpack_from(f"{mark}I", data, at + 8)[0]
    bounds = [starts[len(starts) * number // count] for number in range(count)] + [len(data)]
    return [data[:24] + data[begin:end] for begin, end in pairwise(bounds)]


def make_source(root: Path, *, sites: int = 2, days: int = 2, capture: str = "ext_none.pcap") -> Path:
    """Make a client folder whose sites recorded one capture a day."""
    for site in range(sites):
        folder = root / "captures" / f"S{site}"
        folder.mkdir(parents=True)
        for day in range(days):
            data = shifted(capture, seconds=day * DAY_S, host=site * 8 + day)
            (folder / f"day{day}.pcap").write_bytes(data)
    (root / "sites.csv").write_text(
        "site_id,name,agents,provider\n" + "".join(f"S{n},Site {n},10,Net{n % 2}\n" for n in range(sites))
    )
    return root


def tree(folder: Path) -> dict[str, bytes]:
    """Every file of a dataset with its bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "run.lease"
    }


def s3_environment(url: str) -> dict[str, str]:
    """What lets a process use an S3 server of the tests, instead of those of other tests."""
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    return {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": url,
        "FSSPEC_S3_ENDPOINT_URL": url,
    }


def touch_apart(path: Path) -> None:
    """Let a file look changed, on file systems with coarse times too."""
    info = path.stat()
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns + 5_000_000_000))


@cache
def local_scheduler() -> str:
    """Start two workers once for all tests of a process; they end with it."""
    from distributed import LocalCluster

    cluster = LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=50
    )
    atexit.register(cluster.close)
    return str(cluster.scheduler_address)


def worker_processes() -> list[int]:
    """Processes of this machine that work for our own scheduler."""
    from distributed import Client

    with Client(local_scheduler(), set_as_default=False) as client:
        return list(client.run(os.getpid).values())
