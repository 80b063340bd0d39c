"""Measure from plain Python: each function starts a prober process, hands on its records and returns what it found."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ccp_assess.errors import ProbeError
from ccp_assess.paths import Technique
from ccp_assess.probe.traced import ProbedPath, Target, path_from_document

OnRecord = Callable[[dict[str, Any]], None]

GRACE_S = 5.0
"""What a prober gets to start and to end beyond the deadline of its measuring [s]."""


def trace_paths(
    targets: Sequence[Target],
    *,
    technique: Technique = "udp",
    rounds: int = 1,
    one_flow: bool = True,
    traffic_class: int | None = None,
    deadline_s: float = 10.0,
    on_record: OnRecord | None = None,
) -> dict[Target, ProbedPath]:
    """Trace the ways to all targets at once.

    Parameters
    ----------
    targets
        Where to.
    technique
        ``udp``, ``tcp`` or ``icmp``.
    rounds
        Sweeps that are merged, one second apart.
    one_flow
        Whether each way is then asked in one flow (UDP), so that it is a way that exists.
    traffic_class
        Whole TOS byte to send with (DSCP times 4), to see where it is changed; ``None`` for the system's own.
    deadline_s
        Longest time for all of it [s].
    on_record
        Hears each path as soon as it is known.

    Returns
    -------
    paths
        One for each target.

    Raises
    ------
    ProbeError
        If the prober could not work at all.
    """
    request = {
        "do": "paths",
        "technique": technique,
        "rounds": rounds,
        "one_flow": one_flow,
        "traffic_class": traffic_class,
    }
    found = ask_prober(request | _rows(targets), deadline_s=deadline_s, on_record=on_record)
    return {target: path_from_document(target, row) for target, row in zip(targets, found["paths"], strict=True)}


def run_trains(
    targets: Sequence[Target],
    *,
    seconds: float = 10.0,
    calls: int = 1,
    traffic_class: int | None = None,
    deadline_s: float | None = None,
    on_record: OnRecord | None = None,
) -> dict[Target, dict[str, Any] | None]:
    """Send voice-like trains to all targets at once.

    Parameters
    ----------
    targets
        Where to.
    seconds
        Length of the trains [s].
    calls
        Trains at once to each target (count).
    traffic_class
        Whole TOS byte to send with; ``None`` for the system's own.
    deadline_s
        Longest time for all of it; ``None`` for the trains and ten seconds [s].
    on_record
        Hears once a second how it goes.

    Returns
    -------
    trains
        The contract's ``train`` object for each target; ``None`` where nothing answered the first questions.

    Raises
    ------
    ProbeError
        If the prober could not work at all.
    """
    request = {"do": "trains", "seconds": seconds, "calls": calls, "traffic_class": traffic_class}
    limit_s = seconds + 10.0 if deadline_s is None else deadline_s
    found = ask_prober(request | _rows(targets), deadline_s=limit_s, on_record=on_record)
    return dict(zip(targets, found["trains"], strict=True))


def probe_nat(
    targets: Sequence[Target],
    *,
    idle_s: Sequence[float] = (),
    deadline_s: float | None = None,
    on_record: OnRecord | None = None,
) -> dict[str, dict[str, Any]]:
    """Find out what NAT is in the way, and how long it keeps a silent mapping.

    Parameters
    ----------
    targets
        Relays, at least two of each IP version.
    idle_s
        Silences to try, side by side; empty for none [s].
    deadline_s
        Longest time for all of it; ``None`` for the longest silence and five seconds [s].
    on_record
        Hears records.

    Returns
    -------
    facts
        ``ipv4``, ``ipv6`` → what :class:`ccp_assess.probe.nat.NatFacts` says.

    Raises
    ------
    ProbeError
        If the prober could not work at all.
    """
    limit_s = max(idle_s, default=0.0) + 5.0 if deadline_s is None else deadline_s
    request = {"do": "nat", "idle_s": list(idle_s)} | _rows(targets)
    facts: dict[str, dict[str, Any]] = ask_prober(request, deadline_s=limit_s, on_record=on_record)
    return facts


def probe_mtu(
    targets: Sequence[Target], *, deadline_s: float = 10.0, on_record: OnRecord | None = None
) -> dict[Target, dict[str, Any]]:
    """Find the largest packet that reaches each target.

    Parameters
    ----------
    targets
        Relays.
    deadline_s
        Longest time for all of it [s].
    on_record
        Hears records.

    Returns
    -------
    found
        What :class:`ccp_assess.probe.mtu.PathMtu` says, for each target.

    Raises
    ------
    ProbeError
        If the prober could not work at all.
    """
    found = ask_prober({"do": "mtu"} | _rows(targets), deadline_s=deadline_s, on_record=on_record)
    return dict(zip(targets, found["mtu"], strict=True))


def _rows(targets: Sequence[Target]) -> dict[str, Any]:
    return {
        "targets": [
            {"address": target.address, "port": target.port, "name": target.name, "source": target.source}
            for target in targets
        ]
    }


def ask_prober(request: dict[str, Any], *, deadline_s: float, on_record: OnRecord | None = None) -> Any:
    """Start a prober, hand it one request and wait for its result.

    Parameters
    ----------
    request
        ``do`` names one of ``prober.JOBS``; the rest is the job's.
    deadline_s
        Longest time for the measuring [s].
    on_record
        Hears the records.

    Returns
    -------
    result
        Of the job.

    Raises
    ------
    ProbeError
        If it did not come to a result.
    """
    with start_prober() as child:
        watchdog = threading.Timer(deadline_s + GRACE_S, child.kill)
        watchdog.start()
        try:
            return _talk(child, request | {"deadline_s": deadline_s}, on_record)
        finally:
            watchdog.cancel()
            child.kill()


def start_prober() -> subprocess.Popen[bytes]:
    """Start a prober that waits for its request on standard input.

    Returns
    -------
    child
        It ends when its standard input is closed.
    """
    # The package stands in a folder or in a zip file; either is what the child must import from.
    package = str(Path(__file__).resolve().parents[2])
    search = os.pathsep.join(part for part in (package, os.environ.get("PYTHONPATH", "")) if part)
    # -P: whatever stands in the folder where a user happens to be is not ours to import.
    command = [sys.executable, "-P", "-m", "ccp_assess.probe.prober"]
    return subprocess.Popen(  # noqa: S603 -- our own program
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": search},
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),  # Windows: no black window while it measures
    )


def _talk(child: subprocess.Popen[bytes], request: dict[str, Any], on_record: OnRecord | None) -> Any:
    if child.stdin is None or child.stdout is None:
        raise ProbeError("the prober has no pipes")
    with contextlib.suppress(BrokenPipeError):  # then it writes nothing either, and the end says so
        child.stdin.write(json.dumps(request).encode() + b"\n")
        child.stdin.flush()
    for line in child.stdout:
        record = json.loads(line)
        if "result" in record:
            return record["result"]
        if "error" in record:
            raise ProbeError(record["error"])
        if on_record is not None:
            on_record(record)
    raise ProbeError(f"the prober ended without a result (status {child.wait()}); run the command again")
