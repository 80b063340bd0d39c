"""Recording by scapy, where neither dumpcap nor tcpdump is there but this process may read the network.

It is slower than the programs: good for one workstation's calls, not for a busy server.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import select
import socket
import struct
import sys
import threading
import time
from typing import Any

from ccp_assess.capture.recording.programs import SNAPLEN, Order
from ccp_assess.errors import RecordingError, RecordingPermissionError

_SOL_PACKET, _PACKET_STATISTICS = 263, 6
_NANOSECOND_MAGIC = 0xA1B23C4D
_POLL_SECONDS = 0.25
_FLUSH_SECONDS = 0.5
_LINK_ETHERNET = 1


def has_scapy() -> bool:
    """Tell whether scapy is installed.

    Returns
    -------
    is_there
        Without importing it.
    """
    return importlib.util.find_spec("scapy") is not None


def start_scapy(order: Order) -> ScapyRecorder:
    """Start to record with scapy.

    Parameters
    ----------
    order
        What is to be recorded; it writes pcap, and no ring.

    Returns
    -------
    recorder
        On its way.

    Raises
    ------
    RecordingError
        If the interface cannot be opened, or a ring is asked for.
    """
    if order.ring is not None:
        raise RecordingError("a ring of files needs dumpcap or tcpdump; install one of them or record without a ring")
    return ScapyRecorder(order)


class ScapyRecorder:
    """A thread that writes what a socket of scapy gives.

    Parameters
    ----------
    order
        What is to be recorded.
    """

    name = "scapy"

    def __init__(self, order: Order) -> None:
        import scapy.arch  # noqa: F401, PLC0415  (half a second that only this way costs; it fills in `conf`)
        from scapy.config import conf  # noqa: PLC0415

        logging.getLogger("scapy").setLevel(logging.ERROR)
        self._said = ""
        self._dropped: int | None = None
        self._is_loopback = order.interface in {"lo", "lo0"}
        self._last = b""
        self._ends_at = time.monotonic() + order.longest_s
        try:
            self._socket: Any = conf.L2listen(iface=order.interface, filter=order.expression or None, promisc=False)
        except PermissionError as error:
            raise RecordingPermissionError(f"scapy: {error.strerror or error}") from error
        except (OSError, ImportError) as error:
            raise RecordingError(f"scapy cannot record: {error}") from error
        except Exception as error:  # its own kinds of errors have no common base
            raise RecordingError(f"scapy cannot record: {str(error)[:300]}") from error
        self._count_drops()  # and so forget those of before the filter stood: the kernel counts from the last look on
        self._stop = threading.Event()
        descriptor = os.open(order.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._file = os.fdopen(descriptor, "wb")
        link_type = self._link_type()
        self._file.write(struct.pack("<IHHiIII", _NANOSECOND_MAGIC, 2, 4, 0, 0, SNAPLEN, link_type))
        self._file.flush()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _link_type(self) -> int:
        """Ask for the link type as files name it; loopback of Linux looks like Ethernet."""
        from scapy.config import conf  # noqa: PLC0415

        layer = getattr(self._socket, "LL", None)
        known = conf.l2types.layer2num.get(layer) if layer is not None else None
        return int(known) if isinstance(known, int) else _LINK_ETHERNET

    def _run(self) -> None:
        flushed = 0.0
        try:
            while not self._stop.is_set() and time.monotonic() < self._ends_at:
                if not self._is_ready():
                    self._file.flush()
                    continue
                _, data, seconds = self._socket.recv_raw(SNAPLEN)
                if data is None:
                    continue
                if self._is_loopback and data == self._last:  # there each frame is seen leaving and arriving
                    self._last = b""
                    continue
                self._last = data
                time_ns = time.time_ns() if seconds is None else int(seconds * 1_000_000_000)
                head = struct.pack("<IIII", time_ns // 10**9, time_ns % 10**9, len(data), len(data))
                self._file.write(head + data)
                now = time.monotonic()
                if now - flushed > _FLUSH_SECONDS:
                    self._file.flush()
                    flushed = now
        except OSError as error:
            self._said = str(error)
        finally:
            self._dropped = self._count_drops()
            self._file.close()
            with contextlib.suppress(OSError):
                self._socket.close()

    def _is_ready(self) -> bool:
        raw = getattr(self._socket, "ins", None)
        if isinstance(raw, socket.socket):
            return bool(select.select([raw], [], [], _POLL_SECONDS)[0])
        return bool(self._socket.select([self._socket], _POLL_SECONDS))

    def _count_drops(self) -> int | None:
        if sys.platform != "linux":
            return None
        try:
            raw = self._socket.ins.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
        except (OSError, AttributeError):
            return None
        return int(struct.unpack("=II", raw)[1])

    def is_running(self) -> bool:
        """Whether it still records.

        Returns
        -------
        is_running
            False once its time was over.
        """
        return self._thread.is_alive()

    def dropped(self) -> int | None:
        """Return what the kernel had no room for.

        Returns
        -------
        dropped
            Known when it has ended (count).
        """
        return self._dropped

    def stop(self) -> None:
        """End it."""
        self._stop.set()
        self._thread.join(10 * _POLL_SECONDS + 5)

    def complaint(self) -> str:
        """Return what it said last.

        Returns
        -------
        text
            Empty if nothing went wrong.
        """
        return self._said
