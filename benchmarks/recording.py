"""Recording under load: 20,000 packets a second on the loopback; what was dropped and what our process costs.

Run as root: ``python -m benchmarks.recording [seconds]``. The sender is a process of its own; the processor time
counted is that of the process that holds the recording, with all of its threads, while packets come in.
"""

from __future__ import annotations

import json
import resource
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ccp_assess.capture.record import start_recording

RATE = 20_000
PAYLOAD_BYTES = 110
BURST = 20


def send(port: int, seconds: float) -> int:
    """Send ChannelData with RTP in small bursts at an even rate; return how many packets went out."""
    sending = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sending.connect(("127.0.0.1", port))
    body = bytes(PAYLOAD_BYTES)
    begin, sent = time.perf_counter(), 0
    total = int(RATE * seconds)
    while sent < total:
        for _ in range(BURST):
            head = struct.pack(
                "!HHBBHII", 0x4000, 12 + PAYLOAD_BYTES, 0x80, 111, sent & 0xFFFF, sent * 960 & 0xFFFFFFFF, 7
            )
            sending.send(head + body)
            sent += 1
        wait = begin + sent / RATE - time.perf_counter()
        if wait > 0:
            time.sleep(wait)
    return sent


def measure(program: str, seconds: float) -> dict[str, object]:
    """Record while another process sends; return counts and costs."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as relay, tempfile.TemporaryDirectory() as folder:
        relay.bind(("127.0.0.1", 0))
        port = relay.getsockname()[1]
        path = Path(folder) / "load.pcapng"
        recording = start_recording(path, interface="lo", expression=f"udp port {port}", only=program)
        with subprocess.Popen(
            [sys.executable, "-m", "benchmarks.recording", "--send", str(port), str(seconds)],
            stdout=subprocess.PIPE,
            text=True,
        ) as sender:
            while recording.live.packets == 0:
                time.sleep(0.05)
            memory, busy, begin = _memory_mib(), time.process_time(), time.perf_counter()
            out, _ = sender.communicate()
            wall = time.perf_counter() - begin
            busy = time.process_time() - busy
            grown = _memory_mib() - memory
        time.sleep(1.0)
        seen = recording.live.packets
        begin = time.perf_counter()
        result = recording.stop()
        sent, sender_s = json.loads(out)
        return {
            "program": program,
            "sent": sent,
            "per_second": round(sent / sender_s),
            "recorded": result.packets,
            "counted_live": seen,
            "dropped": result.dropped,
            "own_cpu_pct_of_a_core": round(100 * busy / wall, 1),
            "memory_growth_mib": round(grown, 1),
            "finishing_s": round(time.perf_counter() - begin, 2),
        }


def _memory_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    if sys.argv[1:2] == ["--send"]:
        begin = time.perf_counter()
        sent = send(int(sys.argv[2]), float(sys.argv[3]))
        print(json.dumps([sent, time.perf_counter() - begin]))
        return
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    for program in ("dumpcap", "tcpdump"):
        print(json.dumps(measure(program, seconds)))


if __name__ == "__main__":
    main()
