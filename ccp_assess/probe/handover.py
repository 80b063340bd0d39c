"""Rounds of a monitor, signed and handed over one by one: the file of rounds is what waits.

A mark beside it says how far, and moves after a round was handed over. Whoever is killed in between hands that round
over again under the same name, and the collector's ledger takes it once. A place that is away costs nothing but time.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ccp_assess.errors import CcpAssessError, ProbeError, first_line
from ccp_assess.files import write_whole
from ccp_assess.probe.drop import AlreadyThereError, check_folder, drop, drop_name, file_name
from ccp_assess.probe.round_files import LONGEST_LINE_BYTES, is_round
from ccp_assess.probe.signed import signed_file

PATIENCE_S, HASTE_S = 120.0, 5.0
"""So long the end of a shift waits for a place that answers slowly, and so long Ctrl-C does [s]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """A line of the file of rounds: the round on it, ``None`` where there is none, and where it ends."""

    document: dict[str, Any] | None
    data: bytes
    end: int


class HandOver:
    """What a file of rounds holds that was not handed over yet.

    Parameters
    ----------
    rounds
        The monitor's file.
    key
        Of the engagement.
    where
        A folder, or an ``https://`` address that ends in ``/``.
    proxy
        ``HOST:PORT``, or ``direct``; ``None`` for that of the system.

    Raises
    ------
    ProbeError
        If many results cannot be handed over there.
    """

    def __init__(self, rounds: Path, key: bytes, where: str, *, proxy: str | None = None) -> None:
        check_folder(where)
        self._rounds, self._key, self._where, self._proxy = rounds, key, where, proxy
        self._mark = rounds.with_name(f"{rounds.name}.handed-over")

    def waiting(self) -> int:
        """Count the rounds that were not handed over yet."""
        return sum(line.document is not None for line in self._lines())

    def hand_over(self) -> int:
        """Hand over what waits, the oldest first.

        Returns
        -------
        rounds
            That were handed over (count). One that is too long to be taken stays in the file alone.

        Raises
        ------
        ProbeError
            At the first that cannot be handed over; what was handed over before it is noted.
        """
        done = 0
        for line in self._lines():
            if line.document is not None:
                done += self._hand_over(line.document)
            told = {"bytes": line.end, "sha256_of_last_line": hashlib.sha256(line.data).hexdigest()}
            try:
                write_whole(self._mark, json.dumps(told) + "\n")
            except OSError as error:
                raise ProbeError(f"{self._mark}: cannot be written ({first_line(error)})") from error
        return done

    def _hand_over(self, document: dict[str, Any]) -> bool:
        try:
            data = signed_file(document, self._key)
        except CcpAssessError:
            return False
        try:
            drop(data, self._where, _steady_name(document), proxy=self._proxy)
        except AlreadyThereError:
            if Path(self._where).is_dir():  # a letter box may hold half of it: whoever wrote it was killed
                drop(data, self._where, drop_name(document))
        return True

    def _lines(self) -> Iterator[_Line]:
        try:
            data = self._rounds.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise ProbeError(f"{self._rounds}: cannot be read ({first_line(error)})") from error
        at = self._handed_over(data)
        while (end := data.find(b"\n", at)) >= 0:  # what has no end yet is being written
            line = data[at:end]
            at = end + 1
            try:
                value = json.loads(line[:LONGEST_LINE_BYTES])
            except (ValueError, RecursionError):
                value = None
            yield _Line(document=value if is_round(value) else None, data=line, end=at)

    def _handed_over(self, data: bytes) -> int:
        """Return where the rest begins: at the beginning where the mark is none of this file's."""
        try:
            mark = json.loads(self._mark.read_bytes())
            end, digest = int(mark["bytes"]), str(mark["sha256_of_last_line"])
        except (OSError, ValueError, OverflowError, KeyError, TypeError):
            return 0
        if not 0 < end <= len(data):
            return 0
        last = data[data.rfind(b"\n", 0, end - 1) + 1 : end - 1]
        return end if hashlib.sha256(last).hexdigest() == digest else 0


def _steady_name(document: dict[str, Any]) -> str:
    """Return a name that a round keeps: a second try replaces the first."""
    said = json.dumps(document, sort_keys=True).encode("ascii")
    return file_name(document).removesuffix(".json") + f"-{hashlib.sha256(said).hexdigest()[:16]}.json"


class Courier:
    """Hands over beside the measuring, so that a place that is away delays no round; use it as a context.

    Parameters
    ----------
    handover
        What it hands over.
    tell
        Hears a sentence when the place is away, and when it is back.
    every_s
        At most so often; zero for after every round [s].
    patience_s
        So long the end waits [s].
    now_s
        A clock that is never set [s].
    """

    def __init__(
        self,
        handover: HandOver,
        tell: Callable[[str], None],
        *,
        every_s: float = 0.0,
        patience_s: float = PATIENCE_S,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._handover, self._tell, self._every_s, self._now_s = handover, tell, every_s, now_s
        self._patience_s = patience_s
        self._is_due, self._ends, self._is_away = threading.Event(), False, False
        self._last_s = now_s()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends = True
        self._is_due.set()
        self._thread.join(self._patience_s if kind is None else min(HASTE_S, self._patience_s))

    def round_is_done(self) -> None:
        """Say that there is a new round."""
        if self._now_s() - self._last_s >= self._every_s:
            self._is_due.set()

    def _work(self) -> None:
        while True:
            self._is_due.wait()
            self._is_due.clear()
            is_last = self._ends  # set before it was due: nothing comes after this
            self._last_s = self._now_s()
            self._try()
            if is_last:
                return

    def _try(self) -> None:
        try:
            done = self._handover.hand_over()
        except (CcpAssessError, OSError) as error:
            if not self._is_away:
                self._tell(f"not handed over: {first_line(error)}; rounds are kept, and it is tried again")
            self._is_away = True
            return
        if self._is_away:
            self._tell(f"handed over: {done} rounds that had waited")
        self._is_away = False
