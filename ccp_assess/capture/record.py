"""Record a test call on this workstation: start, watch, stop, and a result that says what was recorded and dropped.

The work is done by dumpcap or tcpdump where they may, else by scapy. Their file is readable at any moment, also after
a crash. When the recording ends it is written anew, with headers only, unless all of it is asked for.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal

from ccp_assess.capture.recording.filters import route_targets, softphone_filter
from ccp_assess.capture.recording.interfaces import Interface, find_interface
from ccp_assess.capture.recording.programs import Format, Order, Recorder, Ring, programs, rights_sentence
from ccp_assess.capture.recording.trimming import CaptureWriter, Trimmer, trimmed_frames
from ccp_assess.capture.recording.watching import LiveCounts, Watcher
from ccp_assess.errors import CaptureError, RecordingError, RecordingPermissionError
from ccp_assess.files import PRIVATE_MODE, whole_file
from ccp_assess.ranges import IpRanges, read_ranges
from ccp_assess.units import rfc3339_from_ns

LONGEST_S = 4 * 3600
"""A recording that nobody ends, ends by itself [s]."""

_LOOK_SECONDS = 0.25
_READ_BYTES = 4 << 20
_LINK_ETHERNET = 1

_FILTER_TROUBLE = re.compile(r"filter expression|capture filter", re.IGNORECASE)

StoppedBy = Literal["user", "duration", "quiet", "program"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordResult:
    """What was recorded.

    Parameters
    ----------
    path
        The capture.
    packets
        Frames in it (count).
    dropped
        Frames that the kernel had no room for; ``None`` if the program does not tell (count).
    bytes
        Of these frames on the wire [bytes].
    start_time, end_time
        Of the first and last frame; ``None`` without any.
    interface
        Where it was recorded.
    program
        By which program.
    filter
        In words where it is the softphone's, else as it was given.
    stopped_by
        What ended it.
    media_packets
        Packets that looked like media while it ran (count).
    is_whole
        Whether payloads were kept.
    """

    path: str
    packets: int
    dropped: int | None
    bytes: int
    start_time: str | None
    end_time: str | None
    interface: str
    program: str
    filter: str
    stopped_by: StoppedBy
    media_packets: int
    is_whole: bool

    def to_document(self) -> dict[str, Any]:
        """Return it as a JSON document.

        Returns
        -------
        document
            With the names of the fields.
        """
        return asdict(self)


class Recording:
    """A recording on its way; made by :func:`start_recording`.

    Parameters
    ----------
    path
        Where the capture will stand.
    interface
        Where it is recorded.
    filter_words
        What is recorded, in words.
    recorder
        The program at work.
    parts
        Folder of the files of a ring; ``None`` for one file.
    duration_s, quiet_s
        When it ends by itself: after so long, or once media was silent for so long [s].
    keep_payload
        Whether payloads are kept.
    """

    def __init__(
        self,
        *,
        path: Path,
        interface: Interface,
        filter_words: str,
        recorder: Recorder,
        parts: Path | None = None,
        duration_s: float | None = None,
        quiet_s: float | None = None,
        keep_payload: bool = False,
    ) -> None:
        self.path = path
        self.interface = interface
        self.filter = filter_words
        self._recorder = recorder
        self._parts = parts
        self._duration_s, self._quiet_s = duration_s, quiet_s
        self._keep_payload = keep_payload
        self._watcher = Watcher(interface.addresses)
        self._read: dict[Path, int] = {}
        self._history: list[tuple[float, int, int]] = []
        self._started = time.monotonic()
        self._last_media: float | None = None
        self._live = self._count(self._started)
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._result: RecordResult | None = None
        self._failure: BaseException | None = None
        threading.Thread(target=self._watch, name="recording", daemon=True).start()

    @property
    def live(self) -> LiveCounts:
        """How it stands at this moment."""
        return self._live

    @property
    def is_running(self) -> bool:
        """Whether it still records (or is being finished)."""
        return not self._ended.is_set()

    @property
    def result(self) -> RecordResult | None:
        """What was recorded, once it has ended."""
        return self._result

    def wait(self, timeout_s: float | None = None) -> RecordResult | None:
        """Wait for its end.

        Parameters
        ----------
        timeout_s
            At most so long; ``None`` for as long as it takes [s].

        Returns
        -------
        result
            ``None`` if it still runs.

        Raises
        ------
        RecordingError
            If it could not be finished.
        """
        if not self._ended.wait(timeout_s):  # not Thread.join, which forgets a thread when a signal interrupts it
            return None
        if self._failure is not None:
            raise self._failure
        return self._result

    def stop(self) -> RecordResult:
        """End it and write the capture.

        Returns
        -------
        result
            What was recorded; the same one if it had ended before.

        Raises
        ------
        RecordingError
            If it could not be finished.
        """
        self._stopping.set()
        result = self.wait()
        if result is None:
            raise RecordingError(f"{self.path}: the recording did not end")
        return result

    # --- in the background

    def _watch(self) -> None:
        try:
            stopped_by = self._look_until_end()
            self._recorder.stop()
            self._look()
            self._result = self._finish(stopped_by)
        except BaseException as error:  # told to whoever waits  # noqa: BLE001
            self._failure = error
            with contextlib.suppress(Exception):
                self._recorder.stop()
        finally:
            self._ended.set()

    def _look_until_end(self) -> StoppedBy:
        while True:
            if self._stopping.wait(_LOOK_SECONDS):
                return "user"
            self._look()
            live = self._live
            if self._duration_s is not None and live.seconds >= self._duration_s:
                return "duration"
            if self._quiet_s is not None and live.media_quiet_s is not None and live.media_quiet_s >= self._quiet_s:
                return "quiet"
            if not self._recorder.is_running():
                return "duration" if live.seconds >= LONGEST_S - 1 else "program"

    def _look(self) -> None:
        """Read what was appended to the file, and count."""
        before = self._watcher.media_packets
        self._feed()
        now = time.monotonic()
        if self._watcher.media_packets > before:
            self._last_media = now
        self._live = self._count(now)

    def _feed(self) -> None:
        """Give the watcher what was appended, file by file of a ring."""
        for path in self._files():
            at = self._read.get(path)
            if at is None:
                at = self._read[path] = 0
                self._watcher.begin_file()
            try:
                with path.open("rb") as file:
                    file.seek(at)
                    while piece := file.read(_READ_BYTES):
                        self._watcher.feed(piece)
                        at += len(piece)
            except OSError:  # it went out of the ring meanwhile
                continue
            self._read[path] = at

    def _files(self) -> list[Path]:
        """List the files of the recording, oldest first."""
        if self._parts is None:
            return [self.path]
        found = []
        for path in self._parts.iterdir():
            with contextlib.suppress(OSError):
                found.append((path.stat().st_mtime_ns, path))
        return [path for _, path in sorted(found)]

    def _count(self, now: float) -> LiveCounts:
        seen = self._watcher
        self._history.append((now, seen.packets, seen.packets_out))
        while len(self._history) > 1 and self._history[1][0] <= now - 1.0:
            self._history.pop(0)
        _, packets, packets_out = self._history[0]
        sent = seen.packets_out - packets_out
        return LiveCounts(
            seconds=now - self._started,
            packets=seen.packets,
            bytes=seen.bytes,
            dropped=self._recorder.dropped(),
            packets_in=seen.packets - packets - sent,
            packets_out=sent,
            media_packets=seen.media_packets,
            media_quiet_s=None if self._last_media is None else now - self._last_media,
        )

    def _finish(self, stopped_by: StoppedBy) -> RecordResult:
        dropped = self._recorder.dropped()
        form: Format = "pcap" if self.path.suffix.lower() in {".pcap", ".cap"} else "pcapng"
        packets = wire_bytes = 0
        first_ns: int | None = None
        last_ns: int | None = None
        trimmer = None if self._keep_payload else Trimmer()
        with whole_file(self.path, mode=PRIVATE_MODE) as file:
            writer = CaptureWriter(file, form)
            for part in self._files():
                try:
                    for data, length, time_ns, link_type, name in trimmed_frames(part, trimmer):
                        writer.frame(data, length, time_ns, link_type, name)
                        packets += 1
                        wire_bytes += length
                        first_ns = time_ns if first_ns is None else min(first_ns, time_ns)
                        last_ns = time_ns if last_ns is None else max(last_ns, time_ns)
                except CaptureError as error:
                    if part.stat().st_size:
                        raise RecordingError(f"{part}: {error}") from error
            writer.finish(_LINK_ETHERNET, dropped)
        if self._parts is not None:
            shutil.rmtree(self._parts, ignore_errors=True)
        return RecordResult(
            path=str(self.path),
            packets=packets,
            dropped=dropped,
            bytes=wire_bytes,
            start_time=None if first_ns is None else rfc3339_from_ns(first_ns),
            end_time=None if last_ns is None else rfc3339_from_ns(last_ns),
            interface=self.interface.name,
            program=self._recorder.name,
            filter=self.filter,
            stopped_by=stopped_by,
            media_packets=self._watcher.media_packets,
            is_whole=self._keep_payload,
        )


def start_recording(
    path: str | Path,
    *,
    interface: str | None = None,
    region_codes: Sequence[str] = (),
    hosts: Sequence[str] = (),
    ports: Sequence[int] = (),
    expression: str | None = None,
    duration_s: float | None = None,
    quiet_s: float | None = None,
    ring: Ring | None = None,
    keep_payload: bool = False,
    ranges: IpRanges | None = None,
    only: str | None = None,
) -> Recording:
    """Start to record.

    Parameters
    ----------
    path
        Where the capture shall stand: pcap if its name ends so, else pcapng. Only its owner can read it.
    interface
        By name; ``None`` for the one that leads to the Region.
    region_codes
        Regions of the instance; none takes all.
    hosts
        Further addresses whose traffic is taken: a proxy, a private deployment.
    ports
        Further ports of relays.
    expression
        Another filter of libpcap instead of the softphone's; empty for everything, as it is on the loopback.
    duration_s
        When it ends by itself; ``None`` for the longest there is [s].
    quiet_s
        Ends it once media has been there and was silent for so long; ``None`` for never [s].
    ring
        How much is kept at most; ``None`` for all.
    keep_payload
        Whether media and the bulk of HTTPS are kept too.
    ranges
        Published ranges; ``None`` for the shipped snapshot.
    only
        The one program to use: ``dumpcap``, ``tcpdump`` or ``scapy``; ``None`` for the best that may.

    Returns
    -------
    recording
        On its way.

    Raises
    ------
    RecordingPermissionError
        If no program may read the interface; the text says how to get that right.
    RecordingError
        If there is no route, no such interface, or no program at all.
    """
    place = Path(path)
    if place.exists() and place.stat().st_size == 0:
        place.unlink()  # a place that was kept free holds nothing to lose
    if place.exists():
        raise RecordingError(f"{path} is there already; a recording does not overwrite, name another file")
    published = ranges or read_ranges()
    chosen = find_interface(route_targets(region_codes, published, hosts), interface)
    if expression is None and all(ip_address(address).is_loopback for address in chosen.addresses or ("::",)):
        expression = ""  # no softphone talks to itself: who names the loopback wants what is there, as on a test bench
    words = "everything" if expression == "" else expression
    if expression is None:
        expression = softphone_filter(region_codes, published, hosts=hosts, ports=ports)
        where = ", ".join(region_codes) or "all Regions of Connect"
        words = f"the softphone's: relays, names, ICMP errors, HTTPS of {where}" + "".join(f", {h}" for h in hosts)
    longest_s = LONGEST_S if duration_s is None else int(duration_s) + 60
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        parts = None
        if ring is not None:
            parts = Path(tempfile.mkdtemp(dir=place.parent, prefix=f"{place.name}.parts."))
        os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_MODE))
    except OSError as error:
        raise RecordingError(f"{path} cannot be written ({error.strerror or error})") from error
    order = Order(
        interface=chosen.name,
        expression=expression,
        path=place if parts is None else parts / f"part{place.suffix or '.pcapng'}",
        longest_s=longest_s,
        ring=ring,
        format="pcap" if place.suffix.lower() in {".pcap", ".cap"} else "pcapng",
    )
    try:
        recorder = _start(order, only)
    except BaseException:
        place.unlink(missing_ok=True)
        if parts is not None:
            shutil.rmtree(parts, ignore_errors=True)
        raise
    return Recording(
        path=place,
        interface=chosen,
        filter_words=words or "",
        recorder=recorder,
        parts=parts,
        duration_s=duration_s,
        quiet_s=quiet_s,
        keep_payload=keep_payload,
    )


def _start(order: Order, only: str | None) -> Recorder:
    """Try the programs, best first, until one records."""
    refused: list[str] = []
    denied = False
    for name, start in programs():
        if only is not None and name != only:
            continue
        try:
            return start(order)
        except RecordingPermissionError as error:
            denied = True
            refused.append(str(error))
        except RecordingError as error:
            if _FILTER_TROUBLE.search(str(error)):
                raise RecordingError(
                    f"the filter {order.expression[:200]!r} is none that libpcap understands; see pcap-filter(7)"
                ) from None
            refused.append(str(error))
    if denied:
        raise RecordingPermissionError(f"this user may not record here. {rights_sentence()}")
    if refused:
        raise RecordingError("; ".join(refused))
    wanted = "dumpcap, tcpdump or scapy" if only is None else only
    raise RecordingError(f"{wanted} is not installed here. {rights_sentence()}")
