"""Work of known length for the real engine: units are waited for, not read; all else is as in every run.

Workers of Dask, the real `run_fleet`, its chains, states and records; only the reading is a wait that follows from the
bytes. So what is begun, in which order, and what is done again after a death shows as it is, whatever the processors
are busy with.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.fleet_simulation import Attempt, Rates
from ccp_assess.fleet import run as engine
from ccp_assess.fleet.chain import Chain, Kept
from ccp_assess.fleet.dataset import Dataset
from ccp_assess.fleet.sources import SourceFile, open_place
from ccp_assess.fleet.units import Unit
from ccp_assess.fleet.work import Manner

WORK = Rates(s_per_byte=1e-8, finish_s_per_byte=0.5e-8, carry_s_per_byte=0.05e-8, task_s=0.1)
"""What is waited for: 100 MB a second are read, and half of that time goes into the tables."""

LOG = "attempts.log"
speed = 1.0
"""Of this worker; a new process begins with 1."""


def set_speed(value: float) -> None:
    """Make this worker slow or fast."""
    global speed  # noqa: PLW0603 - a worker is a process of its own
    speed = value


def make_waiting(folder: Path, sizes: Sequence[int]) -> Path:
    """Make a client of sites with one capture each: one packet, and a hole up to the size."""
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1)
    packet = struct.pack("<4I", 1_790_000_000, 0, 60, 60) + bytes(60)
    for site, size in enumerate(sizes):
        path = folder / "captures" / f"S{site:03}" / "day.pcap"
        path.parent.mkdir(parents=True)
        path.write_bytes(head + packet)
        os.truncate(path, size)
    return folder


def note(dest_url: str, *words: object) -> None:
    """Add a line; short ones appear whole."""
    line = " ".join(str(word) for word in (os.getpid(), time.time(), *words)) + "\n"
    with Path(f"{dest_url}.{LOG}").open("a", encoding="ascii") as log:
        log.write(line)


def wait(unit: dict[str, Any], dest_url: str, part: int, work_s: float) -> None:
    """Pass the time that the work takes."""
    name = unit["files"][0]["site_id"]
    note(dest_url, "begin", name, part)
    time.sleep(work_s / speed)
    note(dest_url, "end", name, part)


def record(unit: dict[str, Any], dest_url: str) -> dict[str, Any]:
    """Say that it is done, with nothing in it."""
    found = {"rows": {}, "packets": 0, "spans": {}, "limits": [], "set_aside": [], "sha256": {}}
    return Dataset(open_place(dest_url)).write_unit(unit, {}, found)


def do_unit(unit: dict[str, Any], _: str, dest_url: str, __: Manner) -> dict[str, Any]:
    """Stand for `work.do_unit`."""
    size = sum(file["size"] for file in unit["files"])
    wait(unit, dest_url, 0, WORK.task(read=size, finished=size))
    return record(unit, dest_url)


def do_part(unit: dict[str, Any], _: str, dest_url: str, manner: Manner) -> dict[str, Any]:
    """Stand for `work.do_part`."""
    size = sum(file["size"] for file in unit["files"])
    chain = Chain(Dataset(open_place(dest_url)), Unit(files=tuple(SourceFile(**file) for file in unit["files"])))
    done = next(chain.kept()).done_bytes
    read = min(manner.part_bytes, size - done)
    is_last = done + read == size
    carried = done if is_last else 2 * done + read
    work_s = WORK.task(read=read, finished=size if is_last else 0, carried=carried)
    wait(unit, dest_url, done // manner.part_bytes, work_s)
    if is_last:
        told = record(unit, dest_url)
        chain.sweep()
        return told
    chain.put(Kept(state=b"waited", done_bytes=done + read))
    return {"done_bytes": done + read}


@contextmanager
def waiting() -> Iterator[None]:
    """Let runs wait where they would read."""
    with patch.object(engine, "do_unit", do_unit), patch.object(engine, "do_part", do_part):
        yield


def attempts(dest_url: str) -> list[Attempt]:
    """Read what was begun, in that order; the numbers of units are those of `make_waiting`, workers are processes."""
    begun: dict[tuple[int, int, int], float] = {}
    found = []
    for line in Path(f"{dest_url}.{LOG}").read_text(encoding="ascii").splitlines():
        pid, moment, word, site, part = line.split()
        key = (int(site[1:]), int(part), int(pid))
        if word == "begin":
            begun[key] = float(moment)
        else:
            found.append(Attempt(key[0], key[1], key[2], begun.pop(key), float(moment), is_done=True))
    lost = [Attempt(*key, since, since, is_done=False) for key, since in begun.items()]
    return sorted([*found, *lost], key=lambda attempt: attempt.begin_s)
