"""Several machines on this one: each with a network, processes, a name and a temporary folder of its own.

A machine is a set of Linux namespaces that one process holds; it ends with the test, whatever happens to that, and
takes along all that runs in it. Cables lead to a switch of their own: nothing is seen in the network of the tests.
"""

# ruff: noqa: S108  (each machine has a temporary folder of its own)

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from fleet_sources import s3_environment

PROGRAMS = Path(sys.executable).parent
PROJECT = Path(__file__).resolve().parents[2]
HOLD = """
set -e
hostname "$1"
exec 8<"$3" 9<"$4"  # what it runs is seen also where it lies in a folder that is hidden
shown() { [ -e "$2" ] || { mkdir -p "$2"; mount --no-canonicalize --bind "/proc/self/fd/$1" "$2"; }; }
for folder in "$2" /tmp /var/tmp /mnt /dev/shm; do mount -t tmpfs -o mode=1777 tmpfs "$folder"; done
shown 8 "$3"
shown 9 "$4"
exec 8<&- 9<&-
ip link set lo up
echo ready
exec cat
"""


class Machine:
    """One machine; a command in it sees its own ``/tmp`` and nothing of the folder of the test.

    Parameters
    ----------
    name
        Host name.
    hidden
        A folder of this machine that it must not see.
    """

    def __init__(self, name: str, hidden: Path) -> None:
        self.name, self.address = name, ""
        self._holder = subprocess.Popen(
            [
                *("unshare", "--fork", "--pid", "--kill-child", "--mount-proc", "--mount", "--net", "--uts", "--ipc"),
                *("sh", "-c", HOLD, "hold", name, str(hidden), str(PROJECT), str(PROGRAMS.parent)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"ready\n"
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children")
        self.pid = int(children.read_text().split()[0])
        self.environment: dict[str, str] = {}
        self._started: list[subprocess.Popen[str]] = []

    def command(self, words: Sequence[str | Path]) -> list[str]:
        """Return what runs a command in it."""
        kinds = ("--mount", "--net", "--uts", "--ipc", "--pid")
        return ["nsenter", "--target", str(self.pid), *kinds, "--wd=/tmp", *map(str, words)]

    def _env(self) -> dict[str, str]:
        return {**os.environ, "TMPDIR": "/tmp", **self.environment}

    def run(self, *words: str | Path, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self.command(words), check=False, capture_output=True, text=True, timeout=timeout, env=self._env()
        )

    def start(self, *words: str | Path) -> subprocess.Popen[str]:
        """Start a command; what it says is kept in ``/tmp/NAME.log`` of the machine."""
        name = Path(words[0]).name + "-" + str(words[1]).strip("-")
        process = subprocess.Popen(
            self.command(["sh", "-c", f'exec "$@" >>/tmp/{name}.log 2>&1', "start", *words]), text=True, env=self._env()
        )
        self._started.append(process)
        return process

    def read(self, path: str) -> str:
        """Read a file in it."""
        return self.run("cat", path).stdout

    def put(self, path: str, content: bytes, mode: str = "644") -> None:
        """Copy a file to it."""
        subprocess.run(
            self.command(["sh", "-c", f'mkdir -p "$(dirname {path})" && cat >{path} && chmod {mode} {path}']),
            input=content,
            check=True,
        )

    def put_folder(self, folder: Path, path: str) -> None:
        """Copy a folder to it."""
        packed = subprocess.run(["tar", "-C", folder, "-cf", "-", "."], check=True, capture_output=True).stdout
        subprocess.run(self.command(["sh", "-c", f"mkdir -p {path} && tar -C {path} -xf -"]), input=packed, check=True)

    def get_folder(self, path: str, folder: Path) -> None:
        """Copy a folder from it."""
        packed = subprocess.run(self.command(["tar", "-C", path, "-cf", "-", "."]), check=True, capture_output=True)
        folder.mkdir()
        subprocess.run(["tar", "-C", folder, "-xf", "-"], input=packed.stdout, check=True)

    def is_listening(self, port: int) -> bool:
        """Tell whether somebody listens there."""
        return f":{port} " in self.run("ss", "-Htln").stdout

    def end(self) -> None:
        """Pull the plug."""
        self._holder.kill()
        self._holder.communicate()
        for process in self._started:
            process.wait()


class Switch:
    """What the cables of all machines lead to."""

    def __init__(self, hidden: Path) -> None:
        self.machines: dict[str, Machine] = {}
        self._hidden = hidden
        self._hub = Machine("switch", hidden)
        self._ip("link", "add", "switch", "type", "bridge")
        self._ip("link", "set", "switch", "up")

    def _ip(self, *words: str) -> None:
        # seen from outside, where the processes of all machines have numbers
        subprocess.run(["nsenter", "--target", str(self._hub.pid), "--net", "ip", *words], check=True)

    def add(self, name: str) -> Machine:
        """Set up one more machine; its address is 10.77.0.N, by the order in which they come."""
        machine = Machine(name, self._hidden)
        self.machines[name] = machine
        machine.address = f"10.77.0.{len(self.machines)}"
        self._ip("link", "add", f"to-{name}", "type", "veth", "peer", "name", "eth0", "netns", str(machine.pid))
        self._ip("link", "set", f"to-{name}", "master", "switch", "up")
        for words in (("addr", "add", f"{machine.address}/24", "dev", "eth0"), ("link", "set", "eth0", "up")):
            done = machine.run("ip", *words)
            assert done.returncode == 0, done.stderr
        return machine

    def cut(self, machine: Machine) -> None:
        """Pull the cable of a machine."""
        self._ip("link", "set", f"to-{machine.name}", "down")

    def mend(self, machine: Machine) -> None:
        """Put the cable back."""
        self._ip("link", "set", f"to-{machine.name}", "up")

    def end(self) -> None:
        """End all machines."""
        for machine in (*self.machines.values(), self._hub):
            machine.end()


@contextmanager
def switch(hidden: Path) -> Iterator[Switch]:
    """Give a switch without machines yet; all end with it."""
    found = Switch(hidden)
    try:
        yield found
    finally:
        found.end()


def wait_for(what: str, ready: object, *, seconds: float = 240, every: float = 0.1) -> None:
    """Wait until something is so."""
    assert callable(ready)
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, f"{what}: not after {seconds:g} s"
        time.sleep(every)


def environment_of(store: Machine) -> Mapping[str, str]:
    """Give what reaches the store of S3 on a machine."""
    return s3_environment(f"http://{store.address}:5000")
