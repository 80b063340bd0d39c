"""What this computer knows about its network without sending a packet."""

from __future__ import annotations

import ctypes
import os
import platform
import socket
import sys
from contextlib import suppress
from typing import Any

PUBLIC_ADDRESSES = {4: "15.193.0.1", 6: "2600:f0f2:7100::1"}
"""Addresses of the service: only the route towards them is looked up."""


def source_address(address: str, port: int = 3478) -> str | None:
    """Find the local address that packets to a destination would bear.

    Parameters
    ----------
    address, port
        Destination; nothing is sent to it.

    Returns
    -------
    source
        ``None`` without a route.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as one:
        one.connect((address, port))
        return str(one.getsockname()[0]).partition("%")[0]
    return None


def has_route(version: int) -> bool:
    """Tell whether this computer has a way to the Internet by an IP version (a link-local one is none)."""
    source = source_address(PUBLIC_ADDRESSES[version])
    return source is not None and not source.startswith("fe80")


def is_privileged() -> bool:
    """Tell whether this process has the rights of an administrator."""
    if sys.platform == "win32":
        with suppress(AttributeError, OSError):
            return bool(ctypes.windll.shell32.IsUserAnAdmin())  # type: ignore[attr-defined,unused-ignore]
        return False
    return os.geteuid() == 0


def host_facts() -> dict[str, Any]:
    """Return what the document says of this computer: no names of users or machines.

    Returns
    -------
    facts
        ``os``, ``privileged``, ``vantage``, ``python`` and whether there are routes.
    """
    return {
        "os": f"{platform.system()} {platform.release()}".strip() or None,
        "privileged": is_privileged(),
        "vantage": "workstation",
        "python": platform.python_version(),
        "route_ipv4": has_route(4),
        "route_ipv6": has_route(6),
    }
