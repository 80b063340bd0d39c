"""One run at a time on one destination, also in a bucket, also after a kill, without trust in any clock."""

from __future__ import annotations

import json
import threading
import time
import uuid
from types import TracebackType
from typing import Any, Self

from ccp_assess.errors import CcpAssessError
from ccp_assess.fleet.dataset import Dataset
from ccp_assess.fleet.needs import FleetError
from ccp_assess.shapes import parse_json

BEAT_S = 2.0
PATIENCE_S = 3.5 * BEAT_S

RUN = "run"
COLLECTOR = "collector"
"""Who holds a destination: one of each kind may be at work on it, since they write different units."""


class BusyError(FleetError):
    """Somebody else is at work on the destination."""


class LateError(CcpAssessError):
    """A worker does what no run at this destination waits for: that is over, or the destination is another one."""


class Lease:
    """Hold a destination; the holder counts up in a file, and who finds the count at rest may take it over.

    Workers look into that file before they put what they made: one that stood still while others did its work, and the
    run came to its end, writes nothing afterwards.

    Two runs that slip through at the same moment do no harm: both write the same bytes under the same names.

    Parameters
    ----------
    dataset
        The destination.
    kind
        Who holds it.
    brief
        Whether it is held for a moment only: others wait for its end then, and are not turned away.
    """

    def __init__(self, dataset: Dataset, kind: str = RUN, *, brief: bool = False) -> None:
        self._dataset, self._brief = dataset, brief
        self._kind, self._path = kind, f"{kind}.lease"
        self.permit = uuid.uuid4().hex
        self._count, self._is_open = 0, True
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True, name="ccp-assess-lease")
        self.lost: str | None = None

    def __enter__(self) -> Self:
        found = self._dataset.get(self._path)
        if found is not None:
            deadline = time.monotonic() + PATIENCE_S
            while time.monotonic() < deadline:
                time.sleep(BEAT_S / 4)
                now = self._dataset.get(self._path)
                if now is not None and now != found and _told(now).get("brief"):
                    found, deadline = now, time.monotonic() + PATIENCE_S
                elif now is not None and now != found:
                    raise BusyError(
                        f"{self._dataset.place.url}: another {self._kind} is at work on this destination; wait for its "
                        "end, or choose another --out"
                    )
                if now is None:
                    break
        self._put()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self.lost is None:
            try:
                self._dataset.remove(self._path)
            except Exception:  # noqa: BLE001 - a lease left behind is taken over by the next run
                return

    def check(self) -> None:
        """Raise where another run has taken the destination over."""
        if self.lost:
            raise FleetError(self.lost)

    def let_nobody_write(self) -> None:
        """Take the permit of the workers back: who was thought lost and comes to it now writes nothing."""
        with self._lock:
            self._is_open = False
        self._renew()
        self.check()

    def _put(self) -> None:
        told = {"run": self.permit, "count": self._count, "brief": self._brief, "open": self._is_open}
        self._dataset.put(self._path, json.dumps(told).encode("ascii"))

    def _renew(self) -> None:
        with self._lock:
            found = self._dataset.get(self._path)
            if found is not None and _told(found).get("run", self.permit) != self.permit:
                self.lost = (
                    f"{self._dataset.place.url}: another {self._kind} has taken this destination over while this "
                    "one stood still; what was finished is kept"
                )
                return
            self._count += 1
            self._put()

    def _beat(self) -> None:
        while self.lost is None and not self._stop.wait(BEAT_S):
            try:
                self._renew()
            except Exception:  # noqa: BLE001, S112 - a store that answers later is asked again at the next beat
                continue


def check_permit(dataset: Dataset, permit: str | None) -> None:
    """Raise where the run that gave a permit to write is over.

    Parameters
    ----------
    dataset
        The destination.
    permit
        Of a `Lease`; ``None`` where there is no run that others could take over.

    Raises
    ------
    LateError
        If nobody waits for what is to be written.
    """
    if permit is None:
        return
    told = _told(dataset.get(f"{RUN}.lease"))
    if told.get("run") != permit or not told.get("open"):
        raise LateError(
            f"{dataset.place.url}: a worker does not find this run there; is it one folder or bucket for all machines?"
        )


def _told(data: bytes | None) -> dict[str, Any]:
    """Return what a lease says; nothing where it is damaged, since whoever holds it writes it again soon."""
    try:
        told = parse_json(data or b"{}")
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
