"""The prober: a process of its own, so that nothing else that runs in Python spoils what it measures.

``python -m ccp_assess.probe.prober`` reads one request, a line of JSON, does it and writes lines of JSON: records while
it measures, then one with ``result`` or ``error``. It ends when its deadline has come or its parent is gone (then its
standard input is closed).
"""

from __future__ import annotations

import gc
import json
import os
import socket
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any

from ccp_assess.errors import CcpAssessError
from ccp_assess.probe.machine import Network
from ccp_assess.probe.systems import be_punctual, open_network
from ccp_assess.probe.systems.sockets import FAMILIES
from ccp_assess.probe.traced import Target

JOBS = {
    "paths": "ccp_assess.probe.jobs:trace",
    "trains": "ccp_assess.probe.jobs:send_trains",
    "nat": "ccp_assess.probe.jobs:ask_nat",
    "mtu": "ccp_assess.probe.jobs:find_mtu",
}
"""Name of a job → where its function is; it gets the network, the request and where to put records."""

Emit = Callable[[dict[str, Any]], None]


def targets_of(rows: list[dict[str, Any]]) -> tuple[Target, ...]:
    """Read the targets of a request and find out by which way each leaves this computer.

    Parameters
    ----------
    rows
        ``address`` and optionally ``port``, ``name``, ``source``.

    Returns
    -------
    targets
        Each with its egress: the source address that the system chooses for it.
    """
    return tuple(
        Target(
            address=row["address"],
            port=row.get("port", 3478),
            name=row.get("name", ""),
            source=row.get("source"),
            egress=source_towards(row["address"], row.get("source")),
        )
        for row in rows
    )


def source_towards(address: str, source: str | None = None) -> str:
    """Return the local address that packets to an address leave from; empty where there is no route."""
    family = FAMILIES[6 if ":" in address else 4]
    with socket.socket(family, socket.SOCK_DGRAM) as asker:
        try:
            if source is not None:
                asker.bind((source, 0))
            asker.connect((address, 9))  # sends nothing
            return str(asker.getsockname()[0])
        except OSError:
            return ""


def do(request: dict[str, Any], network: Network, emit: Emit) -> Any:
    """Do what a request asks for.

    Parameters
    ----------
    request
        ``do`` names the job.
    network
        Where.
    emit
        Takes records.

    Returns
    -------
    result
        What JSON can hold.
    """
    module, _, name = JOBS[request["do"]].partition(":")
    return getattr(import_module(module), name)(network, request, emit)


def _end_with_parent() -> None:
    """End this process when standard input is closed: the parent is gone, or wants no more."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os._exit(3)

    threading.Thread(target=watch, daemon=True).start()


def _write(record: dict[str, Any]) -> None:
    data = (json.dumps(record, allow_nan=False, separators=(",", ":")) + "\n").encode()
    while data:
        data = data[os.write(1, data) :]


def main() -> int:
    """Serve one request."""
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(0, 65_536)
        if not piece:
            return 3
        line += piece
    _end_with_parent()
    request = json.loads(line)
    gc.freeze()
    gc.disable()  # a collection in the midst of a train would make packets late; what one request makes is small
    be_punctual()
    network = open_network()
    try:
        _write({"result": do(request, network, _write)})
    except CcpAssessError as error:
        _write({"error": str(error)})
    finally:
        network.close()
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # the thread that watches standard input cannot be asked to end
