"""Programs that record: dumpcap, tcpdump, or scapy; how each is told what to do, and what it says when it ends."""

from __future__ import annotations

import ctypes
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from ccp_assess.errors import RecordingError, RecordingPermissionError

Format = Literal["pcap", "pcapng"]

PLATFORM: str = sys.platform
"""Asked at run time: a type checker must not leave out what other systems do."""

_GENTLE: int = getattr(signal, "CTRL_BREAK_EVENT", signal.SIGINT)
_NEW_PROCESS_GROUP: int = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
"""What Ctrl-C is to a program in a group of its own, on Windows and elsewhere."""

SNAPLEN = 65_535
BUFFER_MIB = 16
"""The kernel's buffer between network and program; at 20,000 packets of 200 bytes a second it holds 3 s [MiB]."""

_START_SECONDS = 15.0
_STOP_SECONDS = 10.0
_SETTLING_SECONDS = {"dumpcap": 0.3, "tcpdump": 1.2}
"""How long the kernel may hold back packets before it hands them over together [s]."""
_PR_SET_PDEATHSIG = 1
_LINES_KEPT = 200

_DENIED = re.compile(r"permission|not permitted|privilege|access is denied|cap_net_raw", re.IGNORECASE)
_DUMPCAP_DROPS = re.compile(r"received/dropped on interface .*: \d+/(\d+)")
_TCPDUMP_DROPS = re.compile(r"(\d+) packets? dropped by (?:kernel|interface)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """How much is kept: the oldest file goes when a new one begins.

    Parameters
    ----------
    files
        How many (count).
    file_bytes
        Size at which a new one begins [bytes].
    file_s
        Time after which a new one begins; ``None`` for by size only [s].
    """

    files: int = 10
    file_bytes: int = 50 << 20
    file_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be recorded.

    Parameters
    ----------
    interface
        Its name.
    expression
        Filter of libpcap; empty for everything.
    path
        Where the file, or the first of a ring, is written.
    longest_s
        When the program ends by itself, should nobody be left to end it [s].
    ring
        ``None`` for one file.
    format
        What the file shall be, where the program has the choice.
    """

    interface: str
    expression: str
    path: Path
    longest_s: int
    ring: Ring | None
    format: Format


class Recorder(Protocol):
    """A recording on its way."""

    name: str

    def is_running(self) -> bool:
        """Whether it still records."""

    def dropped(self) -> int | None:
        """Frames that the kernel had no room for, as far as it is known now (count)."""

    def stop(self) -> None:
        """End it; what was recorded is in its files afterwards."""

    def complaint(self) -> str:
        """Return what it said last."""


def programs() -> Iterator[tuple[str, Callable[[Order], Recorder]]]:
    """Give the ways to record on this workstation, best first.

    Yields
    ------
    name, start
        Of the program, and what starts it.
    """
    for name, made in (("dumpcap", dumpcap_command), ("tcpdump", tcpdump_command)):
        path = _find(name)
        if path is not None:
            yield name, lambda order, name=name, path=path, made=made: Program(name, made(path, order), order)  # type: ignore[misc]
    from ccp_assess.capture.recording.libpcap import has_scapy, start_scapy  # noqa: PLC0415  (half a second)

    if has_scapy():
        yield "scapy", start_scapy


def _find(name: str) -> str | None:
    """Find a program also where Wireshark puts it on Windows and macOS."""
    found = shutil.which(name)
    if found is not None or name != "dumpcap":
        return found
    places = [
        Path(os.environ.get("PROGRAMFILES", r"C:\Program Files")) / "Wireshark" / "dumpcap.exe",
        Path("/Applications/Wireshark.app/Contents/MacOS/dumpcap"),
    ]
    return next((str(place) for place in places if place.exists()), None)


def dumpcap_command(program: str, order: Order) -> list[str]:
    """Write the command line of dumpcap.

    Parameters
    ----------
    program
        Its path.
    order
        What is to be recorded.

    Returns
    -------
    command
        Not promiscuous: only what this workstation sends and receives.
    """
    command = [program, "-q", "-p", "-i", order.interface, "-s", str(SNAPLEN), "-B", str(BUFFER_MIB)]
    command += ["-a", f"duration:{order.longest_s}", "-w", str(order.path)]
    if order.format == "pcap":
        command.append("-P")
    if order.expression:
        command += ["-f", order.expression]
    if order.ring is not None:
        command += ["-b", f"filesize:{max(order.ring.file_bytes // 1000, 1)}", "-b", f"files:{order.ring.files}"]
        if order.ring.file_s is not None:
            command += ["-b", f"duration:{order.ring.file_s}"]
    return command


def tcpdump_command(program: str, order: Order) -> list[str]:
    """Write the command line of tcpdump.

    Parameters
    ----------
    program
        Its path.
    order
        What is to be recorded.

    Returns
    -------
    command
        It writes pcap, whatever the format asked for.
    """
    command = [program, "-n", "-p", "-i", order.interface, "-s", str(SNAPLEN), "-B", str(BUFFER_MIB * 1024)]
    command += ["-w", str(order.path)]
    if order.ring is not None:
        command += ["-C", str(max(order.ring.file_bytes // 1_000_000, 1)), "-W", str(order.ring.files)]
    if PLATFORM == "linux" and os.geteuid() == 0:
        command += ["-Z", "root"]  # else it becomes a user who may not write into a private folder
    return [*command, order.expression] if order.expression else command


class Program:
    """A program of the system that records into a file.

    Parameters
    ----------
    name
        Of the program.
    command
        Its command line.
    order
        What is to be recorded.
    """

    def __init__(self, name: str, command: Sequence[str], order: Order) -> None:
        self.name = name
        self._path = order.path
        self._said: list[str] = []
        self._started: queue.SimpleQueue[subprocess.Popen[str] | OSError] = queue.SimpleQueue()
        self._ready = threading.Event()
        # The thread that starts the program reads from it until it ends. Linux ends a program with the *thread* that
        # started it, and whoever asks for a recording may be a thread that is gone long before the call is over.
        self._reader = threading.Thread(target=self._run, args=(list(command),), daemon=True)
        self._reader.start()
        process = self._started.get()
        if isinstance(process, OSError):
            raise RecordingError(f"{name} cannot be started ({process.strerror or process})") from process
        self._process = process
        self._ready.wait(_START_SECONDS)
        if process.poll() is not None or self._fails_now():
            self._reader.join(_STOP_SECONDS)
            self._refuse()

    def _run(self, command: list[str]) -> None:
        """Start the program and keep what it says; its first words tell that it listens."""
        options: dict[str, Any] = {"start_new_session": True, "umask": 0o077, "preexec_fn": _die_with_parent()}
        if PLATFORM == "win32":
            options = {"creationflags": _NEW_PROCESS_GROUP}
        try:
            process = subprocess.Popen(  # noqa: S603  (no shell; the filter is one argument)
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                **options,
            )
        except OSError as error:
            self._started.put(error)
            return
        self._started.put(process)
        for line in process.stderr or ():
            self._said.append(line.rstrip())
            del self._said[:-_LINES_KEPT]
            if line.startswith(("File:", "Capturing on")) or "listening on" in line:
                self._ready.set()
        self._ready.set()
        process.wait()

    def _fails_now(self) -> bool:
        """Tell a program that ends right after its first words."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(0.2)
            return True
        return False

    def _refuse(self) -> None:
        said = self.complaint()
        if _DENIED.search(said):
            raise RecordingPermissionError(f"{self.name}: {said}")
        raise RecordingError(f"{self.name} cannot record: {said or 'it ended at once'}")

    def is_running(self) -> bool:
        """Whether it still records.

        Returns
        -------
        is_running
            False once it ended by itself.
        """
        return self._process.poll() is None

    def stop(self) -> None:
        """End it as Ctrl-C would, so that it writes its counters."""
        if self._process.poll() is None:
            time.sleep(_SETTLING_SECONDS.get(self.name, 0.0))
            with suppress(OSError):
                self._process.send_signal(_GENTLE)
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._reader.join(_STOP_SECONDS)

    def dropped(self) -> int | None:
        """Return what the kernel had no room for.

        Returns
        -------
        dropped
            Known when the program has ended (count).
        """
        if self._process.poll() is None:
            return None
        counts = [int(match.group(1)) for line in self._said if (match := _DUMPCAP_DROPS.search(line))]
        counts += [int(match.group(1)) for line in self._said if (match := _TCPDUMP_DROPS.search(line))]
        return sum(counts) if counts else None

    def complaint(self) -> str:
        """Return what it said last.

        Returns
        -------
        text
            In one line.
        """
        lines = [line.strip() for line in self._said if line.strip() and not line.startswith(("Capturing", "File:"))]
        return " ".join(lines)[-400:]


def _die_with_parent() -> Callable[[], None] | None:
    """On Linux, end the program when we are killed: a recording that nobody watches must not go on."""
    if PLATFORM != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGINT)

    return ask


def rights_sentence(platform: str = PLATFORM, program: str | None = None) -> str:
    """Say how to get exactly the right that recording needs, and nothing more.

    Parameters
    ----------
    platform
        As ``sys.platform`` names it.
    program
        Path of the recording program, where there is one.

    Returns
    -------
    text
        One or two sentences.
    """
    if platform == "linux":
        place = program or shutil.which("dumpcap") or shutil.which("tcpdump")
        if place is None:
            return "Install dumpcap (package wireshark-common) or tcpdump; an administrator does this once."
        return (
            f"An administrator grants it to this one program, for good, by: sudo setcap cap_net_raw=ep {place} "
            "(nothing else runs with more rights than before)."
        )
    if platform == "darwin":
        return (
            "Install Wireshark with its ChmodBPF package, which lets the group access_bpf read the network, and have "
            "an administrator add you: sudo dseditgroup -o edit -a $USER -t user access_bpf; then log in anew."
        )
    if platform == "win32":
        return (
            'Install Npcap (with Wireshark) without "Restrict Npcap driver\'s access to Administrators only"; or '
            "record with Windows' own pktmon as administrator: ccp-assess capture record --recipe shows how."
        )
    return "Recording needs the right to read the network interface; ask the administrator for it."


RECIPE = """\
Recording on Windows without further programs (as administrator, Windows 10 2004 or newer):

  pktmon filter remove
  pktmon filter add softphone-media -p 3478
  pktmon filter add names -p 53
  pktmon filter add signalling -t TCP -p 443
  pktmon start --capture --comp nics --pkt-size 0 --file-size 512 --file-name call.etl
  (make the test call)
  pktmon stop
  pktmon etl2pcap call.etl --out call.pcapng

On older Windows:

  netsh trace start capture=yes maxSize=512 fileMode=circular traceFile=call.etl
  (make the test call)
  netsh trace stop
  etl2pcapng.exe call.etl call.pcapng        (Microsoft's own converter, github.com/microsoft/etl2pcapng)

Then: ccp-assess capture read call.pcapng
Before it leaves you: ccp-assess capture scrub call.pcapng scrubbed.pcapng --key client.key
"""
"""How to record with what Windows has."""
