"""Many calls in one capture: processor time of each step per call, from a hundred calls to thousands.

python -m benchmarks.calls [SECONDS OF A CALL]

Reading packets is not what this is about: the calls are short, so that what is done for each of them is seen. The steps
run in a warm process on one thread. tshark's `-q -z rtp,streams` on the same file stands beside the whole.
"""

from __future__ import annotations

import gc
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

import make_captures  # noqa: E402

from ccp_assess.assess.captures import assess_scan  # noqa: E402
from ccp_assess.capture.scan import scan  # noqa: E402
from ccp_assess.cli.capture import document_pieces  # noqa: E402
from ccp_assess.fleet.rows import parts_by_day, tables_of_captures  # noqa: E402

CALLS = (100, 1_000, 5_000)
HEURISTICS = ("rtp_stun", "rtp_udp", "stun_udp", "dtls_stun")


def make(path: Path, calls: int, seconds: int) -> None:
    """Write a capture of so many calls of so many seconds."""
    make_captures.CALL_SECONDS = seconds
    packets = 100 * seconds + 6 * int(seconds / 2.66) + 14
    make_captures.make(path, packets=calls * packets, agents=max(calls // 20, 5), seed=3)


def timed(work: Callable[[], Any], repeat: int = 3) -> tuple[float, Any]:
    """Give the smallest processor time of some runs [s], and what the last one gave."""
    best, result = float("inf"), None
    for _ in range(repeat):
        result = None
        gc.collect()
        begin = time.process_time()
        result = work()
        best = min(best, time.process_time() - begin)
    return best, result


def measure(path: Path, calls: int) -> None:
    """Print one column of the table."""
    steps: dict[str, float] = {}
    steps["packets"], found = timed(lambda: scan([str(path)], workers=1))
    steps["calls"], assessment = timed(lambda: assess_scan(found))
    if len(assessment.calls) != calls:
        sys.exit(f"{path.name}: {len(assessment.calls)} calls were found, {calls} were made")

    def document() -> int:
        whole = assessment.to_document(with_transactions=False)
        return sum(map(len, document_pieces(whole, {"transactions": assessment.transaction_lines()})))

    steps["JSON"], _ = timed(document)
    steps["tables"], tables = timed(lambda: tables_of_captures(assessment, "acme", "S1"))
    steps["Parquet"], _ = timed(lambda: parts_by_day(tables))
    told = ", ".join(f"{name} {1e6 * value / calls:.0f}" for name, value in steps.items())
    size = path.stat().st_size / 1e6
    print(f"{calls:6} calls, {size:5.0f} MB: {1e6 * sum(steps.values()) / calls:5.0f} us a call ({told})")
    whole = steps["packets"] + steps["calls"] + steps["JSON"]
    if tshark := shutil.which("tshark"):
        enable = [word for name in HEURISTICS for word in ("--enable-heuristic", name)]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([tshark, "-r", str(path), "-q", "-z", "rtp,streams", *enable], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(f"{'':13}tshark {cpu:.1f} s, ours to JSON {whole:.2f} s of processor time: {cpu / whole:.0f} times")


def main() -> None:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} before the start; calls of {seconds} s")
    with tempfile.TemporaryDirectory() as folder:
        for calls in CALLS:
            path = Path(folder) / f"calls-{calls}.pcap"
            make(path, calls, seconds)
            measure(path, calls)
            path.unlink()


if __name__ == "__main__":
    main()
