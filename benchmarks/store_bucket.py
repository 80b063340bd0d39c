"""Time the ready views of a store in a bucket, each in a process of its own, and count the requests.

    python -m benchmarks.store_bucket [--million 0.2] [--sites 10] [--days 8] [--latency-ms 20]

The dataset is that of ``benchmarks.store``, smaller: 377 parts in 91 units, or 5,207 in 1,219 with 1 million, 42 sites
and 28 days. It is put into moto's store on this machine, and each request is held up for as long as one travels to a
store elsewhere and back. The answers are held against those of the folder. Processors and moto share the machine with
the views, so the requests and their waiting are what to look at.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import ClassVar

from benchmarks.store import QUESTIONS, ROOT, make_dataset, merge
from ccp_assess.fleet.dataset import FORMAT
from ccp_assess.fleet.sources import open_place

VIEWS = {**{name: ours for name, (ours, _) in QUESTIONS.items()}, "worst_calls": "select * from worst_calls limit 1000"}
VERBS = (b"GET ", b"HEAD ", b"PUT ", b"POST ", b"DELETE ")
BUCKET = "store-bench"


class Distance:
    """Stand between the views and the store, and hold each request up."""

    requests: ClassVar[int] = 0

    def __init__(self, port: int, latency_s: float) -> None:
        self.to, self.latency_s = port, latency_s
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            near, _ = self.socket.accept()
            far = socket.create_connection(("127.0.0.1", self.to))
            threading.Thread(target=self._forth, args=(near, far), daemon=True).start()
            threading.Thread(target=self._pass_on, args=(far, near), daemon=True).start()

    def _forth(self, near: socket.socket, far: socket.socket) -> None:
        while data := near.recv(1 << 16):
            if data.startswith(VERBS):
                Distance.requests += 1
                time.sleep(self.latency_s)
            far.sendall(data)
        far.close()

    def _pass_on(self, far: socket.socket, near: socket.socket) -> None:
        try:
            while data := far.recv(1 << 16):
                near.sendall(data)
        except OSError:
            return


def ask(url: str, view: str) -> None:
    """Answer one question in this process and print what it took."""
    from ccp_assess.fleet.store import Store  # noqa: PLC0415 - what loads it is timed with it

    begin, used = time.monotonic(), time.process_time()
    with Store(url, threads=2) as store:
        opened = time.monotonic()
        answer = store.ask(VIEWS[view])
        rows = sorted(json.dumps(dict(zip(answer.columns, row, strict=True)), default=str) for row in answer.rows)
    ended = time.monotonic()
    told = {"open_s": opened - begin, "wall_s": ended - begin, "cpu_s": time.process_time() - used, "rows": rows}
    print(json.dumps(told))


def in_its_own_process(url: str, view: str) -> dict[str, object]:
    command = [sys.executable, "-m", "benchmarks.store_bucket", "--ask", view, "--url", url]
    return dict(json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout))


def put(folder: Path, url: str) -> None:
    """Copy the dataset as a run leaves it: what was made of the units after them."""
    place = open_place(url)
    place.fs.put(f"{folder}/", f"{place.root}/", recursive=True)
    time.sleep(1.1)  # times of objects are whole seconds
    for name in ("units.jsonl", "index.json"):
        place.fs.put_file(str(folder / name), place.full(name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--million", type=float, default=0.2, help="call-seconds; each has a row in and a row out")
    parser.add_argument("--sites", type=int, default=10)
    parser.add_argument("--days", type=int, default=8)
    parser.add_argument("--latency-ms", type=float, default=20)
    parser.add_argument("--ask", choices=VIEWS, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.ask:
        ask(chosen.url, chosen.ask)
        return
    folder = ROOT / "bench-data" / f"store-{chosen.million:g}m-{chosen.sites}x{chosen.days}-format{FORMAT}"
    if not (folder / "made.json").exists():
        make_dataset(folder, million=chosen.million, sites=chosen.sites, days=chosen.days, client="acme")
    made = merge(folder)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = shutil.which("moto_server", path=str(Path(sys.executable).parent)) or "moto_server"
    server = subprocess.Popen([program, "-H", "127.0.0.1", "-p", str(port)], stderr=subprocess.DEVNULL)
    try:
        while server.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.1)
        distance = Distance(port, chosen.latency_ms / 1000)
        for name, value in {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}.items():
            os.environ[name] = value
        os.environ["AWS_ENDPOINT_URL"] = os.environ["FSSPEC_S3_ENDPOINT_URL"] = f"http://127.0.0.1:{port}"
        url = f"s3://{BUCKET}/dataset"
        open_place(url).fs.mkdir(BUCKET)
        put(folder, url)
        os.environ["AWS_ENDPOINT_URL"] = os.environ["FSSPEC_S3_ENDPOINT_URL"] = f"http://127.0.0.1:{distance.port}"
        print(f"{made['units']} units, {made['parts']} parts; {chosen.latency_ms:g} ms for a request there and back")
        print(f"{'view':20}{'open s':>8}{'whole s':>9}{'cpu s':>8}{'requests':>10}   same answer")
        differs = []
        for view in VIEWS:
            before = Distance.requests
            far = in_its_own_process(url, view)
            count = Distance.requests - before
            same = far["rows"] == in_its_own_process(str(folder), view)["rows"]
            print(
                f"{view:20}{far['open_s']:8.2f}{far['wall_s']:9.2f}{far['cpu_s']:8.2f}{count:10}   "
                f"{'yes' if same else 'NO'}",
                flush=True,
            )
            if not same:
                differs.append(view)
    finally:
        server.kill()
        server.wait()
    sys.exit(", ".join(differs) and f"another answer than the folder's: {', '.join(differs)}")


if __name__ == "__main__":
    main()
