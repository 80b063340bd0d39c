"""The last resort: the tracing program of the system itself, run for all targets at once and read by its parser."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from ccp_assess.errors import ParseError
from ccp_assess.probe.imports import parse_probe_bytes
from ccp_assess.probe.traced import ProbedPath, Target

Run = Callable[[Sequence[str], float], bytes]

_COMMANDS = {
    "win32": (("tracert", "-d", "-w", "1000", "-h", "30"),),
    "": (("traceroute", "-n", "-q", "1", "-w", "1", "-m", "30"), ("tracepath", "-n", "-m", "30")),
}
"""System → what to run, the first that is installed; numbers only, so that the language does not matter."""


def installed_command(system: str = sys.platform) -> tuple[str, ...] | None:
    """Return the tracing program of this computer with its switches; ``None`` if it has none."""
    candidates = _COMMANDS.get(system, _COMMANDS[""])
    return next((words for words in candidates if shutil.which(words[0])), None)


def run_command(words: Sequence[str], limit_s: float) -> bytes:
    """Run a program; what it has printed when its time is over counts."""
    try:
        done = subprocess.run(  # noqa: S603 -- a program of the system, an address checked by its type
            list(words), stdin=subprocess.DEVNULL, capture_output=True, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired as late:
        return late.stdout or b""
    except OSError:
        return b""
    return done.stdout


def trace_by_command(
    targets: Sequence[Target], words: Sequence[str], *, limit_s: float, run: Run = run_command
) -> list[ProbedPath | None]:
    """Trace with the system's program.

    Parameters
    ----------
    targets
        Where to.
    words
        Of :func:`installed_command`.
    limit_s
        Longest time for all of it [s].
    run
        Runs a program; a test may give its own.

    Returns
    -------
    paths
        In the order of the targets; ``None`` where the program printed nothing that can be read.
    """

    def one(target: Target) -> ProbedPath | None:
        version = ("-6",) if target.family == 6 else ()
        typed = (words[0], *version, *words[1:], target.address)
        # The parsers know a program's output by the line that was typed, as a consultant would paste it.
        printed = f"$ {' '.join(typed)}\n".encode() + run(typed, limit_s)
        try:
            rows = parse_probe_bytes(printed).regions
        except ParseError:
            return None
        path = rows[0].path if rows else None
        return None if path is None else ProbedPath(target=target, path=path, one_flow=False)

    if not targets:
        return []
    with ThreadPoolExecutor(len(targets)) as pool:
        return list(pool.map(one, targets))
