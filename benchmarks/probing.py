"""Hold the prober against its bars and beside mtr and traceroute, on the bench (network namespaces, needs root).

    python -m benchmarks.probing            all of it, about four minutes
    python -m benchmarks.probing paths      one part: paths, counts, times, loaded, memory

Times are of the measuring itself, medians of five; starting a process is shown beside. All probing is done without
rights: the process has no capability. The bench is an emulator in Python on the same cores, so that its own lateness
is part of every time; "largest round trip" is what was measured, and the configured 100 ms stand beside.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from bench_wan import Bench, missing_for_bench  # noqa: E402 -- it stands among the tools

REGIONS = 12
REPEAT = 5
NO_RIGHTS = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
ADDRESSES = [f"15.193.{number}.20" for number in range(REGIONS)]


def plan(*, silent: Sequence[int] = (), loss_pct: float = 0.0, quote_bytes: int = 128, seed: int = 1) -> dict[str, Any]:
    """Twelve Regions of twelve hops at 100 ms, the first three hops shared; hops are counted from the workstation."""
    first = [
        {"address": f"10.77.{number}.1", "rtt_ms": rtt_ms, "quote_bytes": quote_bytes, "silent": number + 1 in silent}
        for number, rtt_ms in enumerate((1.0, 4.0, 8.0))
    ]
    way = {"hops": 12, "rtt_ms": 100, "loss_pct": loss_pct, "quote_bytes": quote_bytes}
    regions = {f"r{number:02}": {"addresses": [address], "names": [f"turnnlb-r{number:02}.example"]}
               for number, address in enumerate(ADDRESSES)}  # fmt: skip
    ways = {code: way | {"silent": [hop - 3 for hop in silent if hop > 3]} for code in regions}
    return {
        "seed": seed,
        "regions": regions,
        "sites": {"A": {"address": "198.18.0.2", "first_hops": first, "ways": ways}},
    }


class Asked:
    """A prober without rights at the bench's site: what it found, and what it took."""

    def __init__(self, bench: Bench, request: dict[str, Any], deadline_s: float = 30.0) -> None:
        rows = [{"address": address} for address in ADDRESSES]
        command = [
            "ip",
            "netns",
            "exec",
            bench.namespace(),
            *NO_RIGHTS,
            sys.executable,
            "-m",
            "ccp_assess.probe.prober",
        ]
        begin = time.perf_counter()
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as child:
            child.stdin.write(json.dumps({"targets": rows, "deadline_s": deadline_s} | request).encode() + b"\n")
            child.stdin.flush()
            self.result: dict[str, Any] = {}
            self.megabytes = 0.0
            for line in child.stdout:
                self.megabytes = max(self.megabytes, _megabytes(child.pid))
                record = json.loads(line)
                if "result" in record:
                    self.result = record["result"]
                    break
            self.seconds = time.perf_counter() - begin
            child.kill()
        if not self.result:
            sys.exit("the prober gave no result")


def _megabytes(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0.0)


def trace(bench: Bench, *, rounds: int = 1, one_flow: bool = True) -> Asked:
    return Asked(bench, {"do": "paths", "technique": "udp", "rounds": rounds, "one_flow": one_flow})


def verdict(name: str, value: float, bar: float, unit: str, *, at_most: bool = True) -> None:
    kept = value <= bar if at_most else value >= bar
    print(f"  {name:66}{value:10.3f} {unit:9}{'bar' if kept else 'BAR MISSED':>10} {'<=' if at_most else '>='} {bar:g}")


# ---------------------------------------------------------------- paths


def measure_paths() -> None:
    for title, silent, quiet_ms in (("every hop answers", (), 0.0), ("hops 4, 7 and 8 are silent", (4, 7, 8), 100.0)):
        print(f"\nPaths to {REGIONS} Regions of 12 hops at 100 ms, one round, no loss, no rights; {title}")
        with Bench(plan(silent=silent)) as bench:
            asked = [trace(bench) for _ in range(REPEAT)]
            ratios, nominal, flows = [], [], []
            for one in asked:
                paths = one.result["paths"]
                if [path["hop_count"] for path in paths] != [12] * REGIONS:
                    print("  hop counts:", [path["hop_count"] for path in paths])
                largest_ms = max(hop["rtt_max_ms"] or 0.0 for path in paths for hop in path["hops"])
                sums_ms = [sum(hop["rtt_max_ms"] or 0.0 for hop in path["hops"]) for path in paths]
                ratios.append(one.result["times_ms"]["sweep"] / (largest_ms + quiet_ms))
                nominal.append(one.result["times_ms"]["sweep"] / (100.0 + quiet_ms))
                flows.append(one.result["times_ms"]["flow"] / max(sums_ms))
            sweep_ms = statistics.median(one.result["times_ms"]["sweep"] for one in asked)
            total_ms = statistics.median(sum(one.result["times_ms"][k] for k in ("sweep", "flow")) for one in asked)
            whole_s = statistics.median(one.seconds for one in asked)
            limit = "largest round trip" if not silent else "(largest round trip + quiet time)"
            verdict(f"sweep / {limit}", statistics.median(ratios), 1.10, "x")
            print(f"  {'the same against the configured 100 ms':66}{statistics.median(nominal):10.3f} x")
            verdict("pass in one flow / sum of round trips", statistics.median(flows), 1.05, "x")
            print(
                f"  sweep {sweep_ms:.0f} ms, with the pass in one flow {total_ms:.0f} ms, whole process {whole_s:.2f} s"
            )
            peers(bench, sweep_ms / 1000.0, total_ms / 1000.0)
    print("\nThe same where routers quote eight bytes only: one TTL at a time in one flow")
    with Bench(plan(quote_bytes=28)) as bench:
        asked = [trace(bench) for _ in range(REPEAT)]
        flows = []
        for one in asked:
            sums_ms = [sum(hop["rtt_max_ms"] or 0.0 for hop in path["hops"]) for path in one.result["paths"]]
            flows.append(one.result["times_ms"]["flow"] / max(sums_ms))
        verdict("pass in one flow / sum of round trips", statistics.median(flows), 1.05, "x")


def peers(bench: Bench, sweep_s: float, total_s: float) -> None:
    """Time mtr and traceroute on the same bench in the same run; whole processes."""
    tools: dict[str, tuple[list[str], bool]] = {
        "mtr -c 1, all at once": (["mtr", "--report", "-n", "-c", "1"], True),
        "traceroute -I -q 1, all at once": (["traceroute", "-n", "-I", "-q", "1"], True),
        "traceroute -I -q 3, all at once": (["traceroute", "-n", "-I", "-q", "3"], True),
        "traceroute -I -q 3, one after the other": (["traceroute", "-n", "-I", "-q", "3"], False),
    }
    for name, (words, at_once) in tools.items():
        if shutil.which(words[0]) is None:
            print(f"  {name}: not installed")
            continue
        begin = time.perf_counter()
        with ThreadPoolExecutor(REGIONS if at_once else 1) as pool:
            list(pool.map(lambda address, words=words: bench.run([*words, address]), ADDRESSES))
        took_s = time.perf_counter() - begin
        if name.startswith("mtr"):
            verdict(f"{name}: {took_s:.2f} s = times our sweep", took_s / sweep_s, 30.0, "x", at_most=False)
        else:
            ours = f"{took_s / sweep_s:6.1f} x our sweep, {took_s / total_s:6.1f} x with one flow"
            print(f"  {name:42}{took_s:8.2f} s = {ours}")


def count_hops() -> None:
    print("\nHop counts, hops 7 and 11 silent")
    for loss_pct, rounds, repeat, bar in ((0.0, 1, 5, 0), (1.0, 1, 9, 0), (5.0, 3, 17, 1 / 200)):
        wrong = total = 0
        with Bench(plan(silent=(7, 11), loss_pct=loss_pct, seed=round(loss_pct) + 7)) as bench:
            for _ in range(repeat):
                paths = trace(bench, rounds=rounds).result["paths"]
                wrong += sum(path["hop_count"] != 12 for path in paths)
                total += len(paths)
        verdict(f"wrong at {loss_pct:g} % loss each way, {rounds} round(s), {total} ways", wrong / total, bar, "share")


# ---------------------------------------------------------------- round trips against the wire


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    hogs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


@contextmanager
def busy_thread() -> Iterator[None]:
    over = threading.Event()

    def spin() -> None:
        while not over.is_set():
            sum(range(1000))

    thread = threading.Thread(target=spin)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def idle() -> Iterator[None]:
    yield


@contextmanager
def wire(bench: Bench, file: Path) -> Iterator[None]:
    """Record what passes the site's device, with nanoseconds."""
    words = ["ip", "netns", "exec", bench.namespace(), "tcpdump", "-i", "any", "-U", "-w", str(file), "-s", "160",
             "-B", "16384", "--time-stamp-precision=nano", "-Z", "root", "udp port 3478"]  # fmt: skip
    with subprocess.Popen(words, stderr=subprocess.PIPE) as tap:
        tap.stderr.readline()
        time.sleep(0.3)
        yield
        time.sleep(0.5)
        tap.terminate()
        tap.wait()


def read_wire(file: Path) -> dict[bytes, list[int]]:
    """Read a pcap of cooked frames: transaction id → instants of the request and of the answer [ns]."""
    data = file.read_bytes()
    link = struct.unpack_from("<I", data, 20)[0]
    header = {113: 16, 276: 20}[link]
    times: dict[bytes, list[int]] = {}
    place = 24
    while place + 16 <= len(data):
        seconds, nanoseconds, kept, _ = struct.unpack_from("<IIII", data, place)
        frame = data[place + 16 : place + 16 + kept]
        place += 16 + kept
        packet = frame[header:]
        udp = (packet[0] & 15) * 4
        message = packet[udp + 8 :]
        if len(message) >= 20:
            times.setdefault(bytes(message[8:20]), []).append(seconds * 1_000_000_000 + nanoseconds)
    return times


def compare_with_wire(seconds: float = 6.0) -> None:
    print(f"\nRound trips against the wire: {REGIONS} trains x 50 packets/s x {seconds:g} s, kernel stamps")
    loads: dict[str, Callable[[], Any]] = {
        "idle": idle,
        "busy Python thread in the parent": busy_thread,
        "four busy processes": lambda: busy_processes(4),
    }
    with Bench(plan()) as bench, tempfile.TemporaryDirectory() as folder:
        for name, load in loads.items():
            file = Path(folder) / "wire.pcap"
            with wire(bench, file), load():
                asked = Asked(bench, {"do": "trains", "seconds": seconds, "calls": 1, "packets": True})
            truth, salt = read_wire(file), bytes.fromhex(asked.result["salt"])
            errors_us, unseen, unanswered = [], 0, 0
            for number, _, _, rtt_ms in asked.result["packets"]:
                stamps = truth.get(salt + struct.pack("!I", number), [])
                if rtt_ms is None or len(stamps) != 2:
                    unanswered += rtt_ms is None
                    unseen += rtt_ms is not None
                    continue
                errors_us.append(abs(rtt_ms * 1e3 - (stamps[1] - stamps[0]) / 1e3))
            errors_us.sort()
            trains = [train for train in asked.result["trains"] if train]
            stamped = min(train["kernel_stamped_pct"] for train in trains)
            late = trains[0]["self_inflicted"]
            print(f"  {name}: {len(errors_us)} packets compared, {unanswered} unanswered, {unseen} not seen by tcpdump")
            print(
                f"    stamped {stamped:.1f} %; error p50 {errors_us[len(errors_us) // 2]:.1f} us; late sends "
                f"{late['late_sends_pct']:.2f} %, worst {late['worst_send_ms']:.1f} ms, spoiled: {late['spoiled']}"
            )
            verdict("error at p99", errors_us[len(errors_us) * 99 // 100], 50.0, "us")
            verdict("largest error", errors_us[-1], 200.0, "us")


def load_and_lose() -> None:
    print("\n200 short trains on a way without loss, four busy processes")
    findings = spoiled = trains = lost = 0
    with Bench(plan()) as bench:
        before = bench.counts()["lost"]
        with busy_processes(4):
            while trains < 200:
                asked = Asked(bench, {"do": "trains", "seconds": 2.0, "calls": 1})
                for train in asked.result["trains"]:
                    if train is None:
                        continue
                    trains += 1
                    lost += train["lost"]
                    spoiled += train["self_inflicted"]["spoiled"]
                    findings += train["loss_ci95_pct"][0] > 0.0 and not train["self_inflicted"]["spoiled"]
        truly = bench.counts()["lost"] - before
    print(f"  {trains} trains, {spoiled} said to be spoiled by the computer itself")
    print(f"  {lost} packets missing, {truly} lost on the way")
    verdict("false findings of loss", findings, 0, "trains")


def weigh() -> None:
    print("\nMemory of the prober, its largest resident set")
    with Bench(plan()) as bench:
        verdict("paths, three rounds", trace(bench, rounds=3).megabytes, 120.0, "MB")
        asked = Asked(bench, {"do": "trains", "seconds": 10.0, "calls": 1, "packets": True})
        verdict("twelve trains of 10 s", asked.megabytes, 120.0, "MB")


PARTS = {
    "paths": measure_paths,
    "counts": count_hops,
    "times": compare_with_wire,
    "loaded": load_and_lose,
    "memory": weigh,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Hold the prober against its bars.")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="only these")
    chosen = parser.parse_args().parts or list(PARTS)
    lacking = missing_for_bench() or next(
        (f"missing tool: {tool}" for tool in ("setpriv", "tcpdump") if shutil.which(tool) is None), None
    )
    if lacking:
        print(f"Probing was not benchmarked: {lacking}")
        return
    print(f"Probing on the bench: {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} before the start")
    for part in chosen:
        PARTS[part]()


if __name__ == "__main__":
    main()
