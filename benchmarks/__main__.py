"""Time `ccp-assess capture read --json` beside tshark, scapy and dpkt on captures made for it.

    python -m benchmarks                     0.3 and 3 million packets, and a mixed office
    python -m benchmarks --packets 20000000  one size only
    python -m benchmarks --small --repeat 5  what a 1 MB capture takes

Every tool is a process of its own on the same warm file; times are the best of the repeats, memory is the kernel's
maximum resident set. Peers that are slow per packet are measured on the smallest capture only.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "bench-data"
COMMAND = [sys.executable, "-m", "ccp_assess", "capture", "read", "--json"]
SCAN = "import sys; from ccp_assess.capture.scan import scan; scan(sys.argv[1], workers=int(sys.argv[2]))"
DPKT = (
    "import sys, dpkt\n"
    "seen = {}\n"
    "for at, frame in dpkt.pcap.Reader(open(sys.argv[1], 'rb')):\n"
    "    ip = dpkt.ethernet.Ethernet(frame).data\n"
    "    if isinstance(ip, dpkt.ip.IP) and isinstance(ip.data, dpkt.udp.UDP) and len(ip.data.data) > 16:\n"
    "        rtp = dpkt.rtp.RTP(ip.data.data[4:])\n"
    "        seen.setdefault((ip.src, ip.data.sport, rtp.ssrc), []).append(rtp.seq)\n"
)
SCAPY = (
    "import sys\n"
    "from scapy.utils import PcapReader\n"
    "from scapy.layers.l2 import Ether\n"
    "from scapy.layers.inet import IP, UDP\n"
    "from scapy.layers.rtp import RTP\n"
    "seen = {}\n"
    "for packet in PcapReader(sys.argv[1]):\n"
    "    if UDP in packet and len(bytes(packet[UDP].payload)) > 16:\n"
    "        rtp = RTP(bytes(packet[UDP].payload)[4:])\n"
    "        seen.setdefault((packet[IP].src, packet[UDP].sport, rtp.sourcesync), []).append(rtp.sequence)\n"
)


@dataclass
class Result:
    """One process, measured."""

    seconds: float
    cpu_seconds: float
    megabytes: float


def run(command: Sequence[str], *, cores: int | None = None) -> Result:
    """Run a process to its end and measure it alone."""
    before = os.times()
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT) as process:
        if cores is not None and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(process.pid, set(sorted(os.sched_getaffinity(0))[:cores]))
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - begin
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Result(seconds, cpu, used.ru_maxrss / 1024)


def best(command: Sequence[str], repeat: int, *, cores: int | None = None) -> Result:
    """Measure several times; the least disturbed run counts."""
    results = [run(command, cores=cores) for _ in range(repeat)]
    quickest = min(results, key=lambda result: result.seconds)
    return Result(quickest.seconds, min(r.cpu_seconds for r in results), max(result.megabytes for result in results))


def capture(packets: int, *, bulk_share: float = 0.0) -> Path:
    """Make a capture unless it is there."""
    name = f"{'office' if bulk_share else 'calls'}-{packets}.pcap"
    path = DATA / name
    if not path.exists():
        DATA.mkdir(exist_ok=True)
        command = [
            sys.executable,
            str(ROOT / "tools" / "make_captures.py"),
            "--packets",
            str(packets),
            "--out",
            str(path),
        ]
        subprocess.run([*command, "--bulk-share", str(bulk_share)], check=True)
    with path.open("rb", buffering=0) as file:  # warm
        while file.read(1 << 24):
            pass
    return path


def measure(path: Path, packets: int, repeat: int, *, slow_peers: bool) -> None:
    """Print one table."""
    print(f"\n{path.name}: {path.stat().st_size / 1e6:.0f} MB, about {packets / 1e6:g} million packets")
    print(f"{'':38}{'wall s':>9}{'CPU s':>9}{'us/packet':>11}{'MB':>7}{'tshark =':>10}{'by CPU':>8}")
    rows = {
        "ccp-assess capture read --json": best([*COMMAND, str(path)], repeat),
        "the same, one worker, one core": best([*COMMAND, "--workers", "1", str(path)], repeat, cores=1),
        "its reader alone": best([sys.executable, "-c", SCAN, str(path), str(os.cpu_count() or 1)], repeat),
        "its reader alone, one core": best([sys.executable, "-c", SCAN, str(path), "1"], repeat, cores=1),
    }
    tshark = shutil.which("tshark")
    if tshark:
        command = [tshark, "-r", str(path), "-q", "-z", "rtp,streams"]
        for name in ("rtp_stun", "rtp_udp", "stun_udp", "dtls_stun"):
            command += ["--enable-heuristic", name]
        rows["tshark -q -z rtp,streams, heuristics"] = best(command, 1 if packets > 1_000_000 else repeat)
    if slow_peers:
        rows["dpkt, RTP per source"] = best([sys.executable, "-c", DPKT, str(path)], 1)
        rows["scapy, RTP per source"] = best([sys.executable, "-c", SCAPY, str(path)], 1)
    peer = rows.get("tshark -q -z rtp,streams, heuristics")
    for name, row in rows.items():
        ratio = f"{peer.seconds / row.seconds:9.1f}x{peer.cpu_seconds / row.cpu_seconds:7.1f}x" if peer else ""
        each = row.seconds / packets * 1e6
        print(f"{name:38}{row.seconds:9.2f}{row.cpu_seconds:9.2f}{each:11.3f}{row.megabytes:7.0f}{ratio:>18}")


def measure_small(repeat: int) -> None:
    """Print what a capture of one megabyte takes."""
    path = capture(6_000)
    row = best([*COMMAND, str(path)], max(repeat, 3))
    size = path.stat().st_size / 1e6
    print(f"\n{size:.1f} MB: {row.seconds:.2f} s, CPU {row.cpu_seconds:.2f} s, {row.megabytes:.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the reader beside its peers.")
    parser.add_argument("--packets", type=int, action="append", help="size of a capture; may be given several times")
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--small", action="store_true", help="only what a 1 MB capture takes")
    parser.add_argument("--keep", action="store_true", help="keep the captures in bench-data")
    options = parser.parse_args()
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} before the start")
    if resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss == 0:
        run([*COMMAND, str(capture(6_000))])  # compile once, as after an installation
    measure_small(options.repeat)
    if options.small:
        return
    for packets in options.packets or (300_000, 3_000_000):
        path = capture(packets)
        measure(path, packets, options.repeat, slow_peers=packets <= 300_000)
        if not options.keep:
            path.unlink()
            path.with_suffix(".truth.json").unlink(missing_ok=True)
    if not options.packets:
        measure(capture(300_000, bulk_share=0.7), 300_000, options.repeat, slow_peers=False)


if __name__ == "__main__":
    main()
