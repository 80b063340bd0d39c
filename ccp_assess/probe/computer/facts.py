"""Facts of the computer in one record, whichever system they come from; what a system does not tell is ``None``."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A network interface as far as it matters to voice.

    Parameters
    ----------
    name
        The system's name of it.
    is_wireless, is_tunnel
        What it is; ``None`` where that cannot be told.
    signal_dbm
        Of a wireless link [dBm].
    speed_mbps
        Of a wire [Mbit/s].
    mtu_bytes
        Largest packet [bytes].
    """

    name: str
    is_wireless: bool | None = None
    is_tunnel: bool | None = None
    signal_dbm: float | None = None
    speed_mbps: float | None = None
    mtu_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Computer:
    """What is known of a computer.

    Parameters
    ----------
    os
        System and version.
    cpu
        Model of the processor.
    cpu_ghz
        Its highest clock [GHz].
    cores
        Logical processors (count).
    memory_gb
        Memory [10⁹ bytes].
    browsers
        Name to version.
    link
        The interface that packets to the service leave by.
    tunnels
        Names of all interfaces that are tunnels, used or not.
    virtual_desktop
        ``citrix``, ``omnissa``, ``workspaces``, ``remote_desktop``; ``None`` if there is no sign of one.
    """

    os: str | None = None
    cpu: str | None = None
    cpu_ghz: float | None = None
    cores: int | None = None
    memory_gb: float | None = None
    browsers: Mapping[str, str] = field(default_factory=dict)
    link: Link | None = None
    tunnels: tuple[str, ...] = ()
    virtual_desktop: str | None = None


def look_at_computer(source: str | None, *, with_browsers: bool = True) -> Computer:
    """Ask the system what this computer is.

    Parameters
    ----------
    source
        The local address that packets to the service bear, by which the interface is found.
    with_browsers
        Whether to look for browsers, which takes a moment where they must be started to tell their version.

    Returns
    -------
    computer
        ``None`` in each field that this system does not tell.
    """
    found: dict[str, Any] = {"os": f"{platform.system()} {platform.release()}".strip() or None}
    found |= {"cores": os.cpu_count(), "virtual_desktop": virtual_desktop(os.environ)}
    with suppress(OSError, ValueError, ImportError):  # a fact that cannot be had never costs the measurement
        found |= _of_system(source, with_browsers=with_browsers)
    return Computer(**found)


def _of_system(source: str | None, *, with_browsers: bool) -> dict[str, Any]:
    if sys.platform == "win32":
        from ccp_assess.probe.computer import windows as system  # noqa: PLC0415 - each system knows only itself
    elif sys.platform == "darwin":
        from ccp_assess.probe.computer import macos as system  # noqa: PLC0415 - the same
    else:
        from ccp_assess.probe.computer import linux as system  # noqa: PLC0415 - the same
    facts: dict[str, Any] = system.facts(source, with_browsers=with_browsers)
    return facts


def virtual_desktop(environment: Mapping[str, str]) -> str | None:
    """Tell a virtual desktop from the variables that its agent sets.

    Parameters
    ----------
    environment
        Variables of the session.

    Returns
    -------
    kind
        ``None`` if nothing speaks for one; a desktop without such variables is not noticed.

    References
    ----------
    Citrix and Microsoft set ``SESSIONNAME`` to ``ICA-…`` and ``RDP-…``; Omnissa Horizon sets ``ViewClient_…``; Amazon
    WorkSpaces leaves its name in the computer's domain or in ``AWS_WORKSPACE…``.

    Examples
    --------
    >>> virtual_desktop({"SESSIONNAME": "ICA-TCP#12"}), virtual_desktop({"SESSIONNAME": "Console"})
    ('citrix', None)
    """
    names = {name.casefold(): value for name, value in environment.items()}
    session = names.get("sessionname", "").casefold()
    if session.startswith("ica-") or "citrix_session_id" in names:
        return "citrix"
    if any(name.startswith("viewclient_") for name in names):
        return "omnissa"
    if any(name.startswith("aws_workspace") for name in names):
        return "workspaces"
    return "remote_desktop" if session.startswith("rdp-") else None


def where_to_record(kind: str | None) -> str | None:
    """Say on which device a test call is recorded, where that is not this one.

    Parameters
    ----------
    kind
        Of :func:`virtual_desktop`.

    Returns
    -------
    sentence
        ``None`` on a computer of one's own.

    Examples
    --------
    >>> where_to_record(None) is None, "thin client" in where_to_record("citrix")
    (True, True)
    """
    if kind is None:
        return None
    return (
        f"This is a virtual desktop ({kind.replace('_', ' ')}): with audio offload (optimised media) the voice leaves "
        "the thin client or local computer, so record there; without it, record here."
    )


def computer_document(computer: Computer) -> dict[str, Any]:
    """Return the facts as plain values for a probe document.

    Parameters
    ----------
    computer
        What was found.

    Returns
    -------
    facts
        JSON values; names of users and of the machine are not among them.
    """
    document = asdict(computer)
    return document | {"browsers": dict(computer.browsers), "tunnels": list(computer.tunnels)}
