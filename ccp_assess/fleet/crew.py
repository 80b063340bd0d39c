"""The workers of a scheduler elsewhere: each is asked once whether it can do what the others do.

Tables are the same bytes only where the same programs write them, and a machine without room fails all that it is
given, quickly. Such a machine is sent away with one sentence, and the others go on.
"""

from __future__ import annotations

import hashlib
import math
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import ccp_assess
from ccp_assess.errors import first_line
from ccp_assess.fleet.needs import FleetError
from ccp_assess.probe.beside import Beside

_LIBRARIES = ("distributed", "numpy", "pyarrow")
"""Who else decides about the bytes of a table, or about what machines say to each other."""

_ANSWER_S = 30
"""How long a worker, or the scheduler, may take for a short answer [s]."""
_CLOCK_S = 60.0
"""Clocks that differ by more are told: object stores refuse requests from a quarter of an hour on."""

_SOURCES = ("*.py", "reference/*.csv", "reference/*.json")


def tell(dask_worker: Any = None) -> dict[str, Any]:
    """Say what this machine is; Dask runs it on each worker.

    Parameters
    ----------
    dask_worker
        The worker that it runs on, given by Dask; ``None`` for who sends the work.

    Returns
    -------
    told
        ``host``; ``versions`` by name; ``time_s`` of its clock; ``folder`` for temporary files with ``free_bytes``, or
        why nothing can be written there as ``problem``.
    """
    folder = tempfile.gettempdir() if dask_worker is None else str(dask_worker.local_directory)
    problem, free_bytes = None, None
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(4096))
            file.flush()
        free_bytes = shutil.disk_usage(folder).free
    except OSError as error:
        problem = first_line(error)
    return {
        "host": platform.node(),
        "versions": _versions(),
        "time_s": time.time(),
        "folder": folder,
        "free_bytes": free_bytes,
        "problem": problem,
    }


@cache
def _versions() -> dict[str, str]:
    """Say what runs here; it stays so for as long as the process does."""
    own = {"ccp-assess": f"{ccp_assess.__version__} ({_digest()})"}
    return own | {name: _version(name) for name in _LIBRARIES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def _digest() -> str:
    """Name the program by what its files hold, since a version may stand for many states of it."""
    folder = Path(ccp_assess.__file__).parent
    digest = hashlib.sha256()
    for pattern in _SOURCES:
        for path in sorted(folder.rglob(pattern)):
            digest.update(path.relative_to(folder).as_posix().encode("utf-8"))
            digest.update(path.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()[:8]


class NoAnswerError(Exception):
    """The scheduler stands still."""


def ask_scheduler(client: Any, question: Callable[..., Any]) -> Any:
    """Ask a scheduler about all workers.

    Parameters
    ----------
    client
        Of Dask.
    question
        One of those that its ``scheduler`` answers, such as ``client.scheduler.processing``.

    Returns
    -------
    answer
        By address of the worker.

    Raises
    ------
    NoAnswerError
        If it does not answer: its process may be stopped while its connections stay open.
    """
    try:
        return client.sync(question, workers=None, callback_timeout=_ANSWER_S)
    except TimeoutError as error:
        raise NoAnswerError from error


class Crew:
    """The workers of a scheduler.

    Parameters
    ----------
    client
        Of Dask.
    is_own
        Whether the run started them itself on its own machine: then there is nothing to ask.
    say
        Called with one sentence about each worker that is sent away, or whose clock is wrong.
    """

    def __init__(self, client: Any, *, is_own: bool, say: Callable[[str], None] | None = None) -> None:
        self._client, self._is_own, self._say = client, is_own, say
        self._known: set[str] = set()
        self._asking: list[Beside[dict[str, Any]]] = []
        self._gone: set[str] = set()
        self._left_s = -math.inf

    def count(self) -> int:
        """Return how many workers there are.

        Nothing is handed out before the first were asked; who comes later is asked beside the work, since it loads
        libraries then, or may be gone again.

        Raises
        ------
        FleetError
            If none of those that came can do the work.
        NoAnswerError
            If the scheduler stands still.
        """
        addresses = self._addresses()
        if self._is_own:
            return len(addresses)
        new, is_first = addresses - self._known, not self._known
        if new:
            self._known |= new
            self._asking.append(Beside(partial(self._ask, new)))
        answered = [asking for asking in self._asking if is_first or asking.is_done()]
        for asking in answered:
            self._asking.remove(asking)
            addresses -= self._without(asking.result(), 0)
        return len(addresses)

    def send_away_full(self, needed_bytes: int, since_s: float) -> bool:
        """Send away who has no room any more.

        Parameters
        ----------
        needed_bytes
            What could not be written [bytes].
        since_s
            When that work was handed out [s, monotonic].

        Returns
        -------
        so
            Whether somebody left now, or since then: another one may do the work.

        Raises
        ------
        FleetError
            If nobody is left.
        """
        if self._left_s > since_s:
            return True
        return not self._is_own and bool(self._without(self._ask(self._addresses()), needed_bytes))

    def _addresses(self) -> set[str]:
        """Name all workers; those that were sent away may take a while to leave."""
        return set(ask_scheduler(self._client, self._client.scheduler.ncores)) - self._gone

    def _ask(self, addresses: set[str]) -> dict[str, Any]:
        """Ask workers; those that end or are cut off meanwhile are left to who watches over the work."""
        begin_s = time.time()
        try:
            told = self._client.run(tell, workers=sorted(addresses), on_error="return", callback_timeout=_ANSWER_S)
        except TimeoutError:
            return {}
        end_s = time.time()
        found = {}
        for address, answer in told.items():
            if isinstance(answer, dict):
                half_s = (end_s - begin_s) / 2
                found[address] = {**answer, "ahead_s": answer["time_s"] - begin_s - half_s, "unsure_s": half_s}
            elif not isinstance(answer, OSError | TimeoutError):
                found[address] = answer
        return found

    def _without(self, told: dict[str, Any], needed_bytes: int) -> set[str]:
        """Send away who cannot do the work; return their addresses."""
        reasons = {}
        for address, answer in sorted(told.items()):
            where = f"{answer['host']} ({address})" if isinstance(answer, dict) else address
            reason = why_not(answer, _versions(), needed_bytes)
            if reason is not None:
                reasons[address] = f"{where} {reason}"
            elif abs(answer["ahead_s"]) - answer["unsure_s"] > _CLOCK_S and not needed_bytes:
                self._tell(f"the clock of {where} {_apart(answer['ahead_s'])} this machine's; set both")
        if not reasons:
            return set()
        if not self._addresses() - set(reasons):
            more = f" (and {len(reasons) - 1} more like it)" if len(reasons) > 1 else ""
            raise FleetError(f"no worker can do this: {next(iter(reasons.values()))}{more}")
        for address, reason in reasons.items():
            self._tell(f"goes on without a worker: {reason}")
            self._client.retire_workers([address], close_workers=True)
            self._gone.add(address)
            self._left_s = time.monotonic()
        return set(reasons)

    def _tell(self, text: str) -> None:
        if self._say is not None:
            self._say(text)


def why_not(answer: Any, versions: dict[str, str], needed_bytes: int) -> str | None:
    """Say why a worker cannot do what the others do.

    Parameters
    ----------
    answer
        What it told, or what it raised.
    versions
        Of who sends the work.
    needed_bytes
        Room that it must have [bytes].

    Returns
    -------
    reason
        What follows its name in a sentence; ``None`` where it can.
    """
    if not isinstance(answer, dict):
        lacks = isinstance(answer, ImportError | AttributeError)
        text = first_line(answer)
        same = f"install ccp-assess {ccp_assess.__version__} there, with the same libraries"
        return (
            f"has no ccp-assess, or another one; {same}" if lacks else f"does not answer as it should ({text}); {same}"
        )
    for name, here in versions.items():
        there = answer["versions"].get(name)
        if there != here:
            return f"has {name} {there}, and this machine {here}; install the same on both"
    if answer["problem"] is not None:
        return (
            f"can write nothing to its temporary folder {answer['folder']} ({answer['problem']}); make room there, or "
            "start it with another --local-directory"
        )
    if (answer["free_bytes"] or 0) < needed_bytes:
        return (
            f"has {(answer['free_bytes'] or 0) // 1_000_000} MB left in its temporary folder {answer['folder']}, and "
            f"{needed_bytes // 1_000_000} MB are needed; make room there, or start it with another --local-directory"
        )
    return None


def _apart(ahead_s: float) -> str:
    amount = abs(ahead_s)
    unit, size = next((unit for unit in (("days", 86_400), ("h", 3_600), ("min", 60)) if amount >= unit[1]), ("s", 1))
    return f"is {amount / size:.0f} {unit} {'ahead of' if ahead_s > 0 else 'behind'}"


def dashboard_of(client: Any) -> str:
    """Say where the dashboard of a scheduler elsewhere is to be seen.

    Parameters
    ----------
    client
        Of Dask.

    Returns
    -------
    text
        Its address; the secure form is reached through a tunnel.
    """
    link = urlsplit(client.dashboard_link)
    return (
        f"{client.dashboard_link} (kept to the scheduler's own machine: ssh -N -L {link.port}:127.0.0.1:{link.port} "
        f"{link.hostname}, then http://127.0.0.1:{link.port}/status)"
    )
