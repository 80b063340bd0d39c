"""What this computer knows about its network without sending a packet."""

from __future__ import annotations

import ctypes
import os
import platform
import socket
import sys
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
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


def has_underlay(tunnels: Collection[str]) -> bool:
    """Tell whether there is an interface that could carry a tunnel: in use, neither loopback nor a tunnel itself.

    Parameters
    ----------
    tunnels
        Names of the interfaces that are tunnels.

    Returns
    -------
    has_underlay
        False in a container whose only interface is a tunnel device: then it is no VPN of this computer's.
    """
    try:
        names = {name for _, name in socket.if_nameindex()} - set(tunnels)
    except OSError:
        return False
    return any(not name.lower().startswith("lo") and _is_in_use(name) for name in names)


def _is_in_use(name: str) -> bool:
    if sys.platform != "linux":
        return True
    with suppress(OSError):
        return Path(f"/sys/class/net/{name}/operstate").read_text(encoding="ascii").strip() in {"up", "unknown"}
    return False


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
