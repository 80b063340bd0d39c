"""The real network, one small back end for each operating system; what cannot be had without rights is ``None``."""

from __future__ import annotations

import sys

from ccp_assess.probe.systems.sockets import SocketNetwork


def open_network(source: str | None = None) -> SocketNetwork:
    """Open the real network by the best means that this system gives to this user.

    Parameters
    ----------
    source
        Local address to send from; ``None`` leaves it to the system's routes.

    Returns
    -------
    network
        To be closed by its user.
    """
    network = _network_of(sys.platform)
    network.source = source
    return network


def _network_of(system: str) -> SocketNetwork:
    if system == "linux":
        from ccp_assess.probe.systems.linux import LinuxNetwork  # noqa: PLC0415 -- its constants exist here only

        return LinuxNetwork()
    if system == "darwin":
        from ccp_assess.probe.systems.macos import MacosNetwork  # noqa: PLC0415 -- the same

        return MacosNetwork()
    if system == "win32":
        from ccp_assess.probe.systems.windows import WindowsNetwork  # noqa: PLC0415 -- the same

        return WindowsNetwork()
    return SocketNetwork()


def be_punctual() -> None:
    """Ask the system to run this process as soon as something is due, by what this user may ask for."""
    system: str = sys.platform
    if system == "linux":
        from ccp_assess.probe.systems.linux import ask_for_short_turns  # noqa: PLC0415 -- as above

        ask_for_short_turns()
    elif system == "win32":
        from ccp_assess.probe.systems.windows import ask_for_fine_timers  # noqa: PLC0415 -- the same

        ask_for_fine_timers()
