"""The interface that leads to a Region: asked of the system's routes, without sending anything."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from pathlib import Path

from ccp_assess.capture.recording.programs import PLATFORM
from ccp_assess.errors import RecordingError

_DISCARD_PORT = 9
_SIOCGIFADDR = 0x8915
_ASK_SECONDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """Where to record.

    Parameters
    ----------
    name
        As the recording programs take it.
    addresses
        Of this workstation on it: they tell sent packets from received ones.
    """

    name: str
    addresses: tuple[str, ...]


def local_address(target: str) -> str | None:
    """Tell which own address the system would send from.

    Parameters
    ----------
    target
        Where to.

    Returns
    -------
    address
        ``None`` without a route. A UDP socket is connected, which sends nothing.
    """
    family = socket.AF_INET6 if ip_address(target).version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asked:
            asked.connect((target, _DISCARD_PORT))
            address = str(asked.getsockname()[0])
    except OSError:
        return None
    return address.split("%", maxsplit=1)[0]


def addresses_by_interface() -> dict[str, tuple[str, ...]]:
    """List the interfaces of this workstation with their addresses.

    Returns
    -------
    addresses
        By name, as far as the system or ``dumpcap`` tells.
    """
    if PLATFORM == "linux":
        return _linux_addresses()
    dumpcap = shutil.which("dumpcap")
    if dumpcap is None:
        return {}
    try:
        done = subprocess.run(  # noqa: S603  (a program of the system, no shell)
            [dumpcap, "-D", "-M"], capture_output=True, text=True, timeout=_ASK_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return parse_dumpcap_list(done.stdout)


def parse_dumpcap_list(text: str) -> dict[str, tuple[str, ...]]:
    r"""Read the machine-readable list of interfaces of ``dumpcap -D -M``.

    Parameters
    ----------
    text
        What it printed.

    Returns
    -------
    addresses
        By name.

    Examples
    --------
    >>> parse_dumpcap_list("1. eth0\t\t\t0\t192.0.2.2,fe80::1\tnetwork")
    {'eth0': ('192.0.2.2', 'fe80::1')}
    """
    found = {}
    for line in text.splitlines():
        number, _, rest = line.partition(". ")
        cells = rest.split("\t")
        if number.strip().isdecimal() and len(cells) >= 5:
            found[cells[0]] = tuple(address for address in cells[4].split(",") if address)
    return found


def _linux_addresses() -> dict[str, tuple[str, ...]]:
    import fcntl  # noqa: PLC0415  (not on Windows)

    found: dict[str, list[str]] = {name: [] for _, name in socket.if_nameindex()}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for name, addresses in found.items():
            request = struct.pack("256s", name.encode()[:15])
            try:
                answer = fcntl.ioctl(asked.fileno(), _SIOCGIFADDR, request)
            except OSError:  # it has no IPv4 address
                continue
            addresses.append(socket.inet_ntoa(answer[20:24]))
    table = Path("/proc/net/if_inet6")
    for line in table.read_text(encoding="ascii").splitlines() if table.exists() else ():
        cells = line.split()
        found.setdefault(cells[5], []).append(str(IPv6Address(bytes.fromhex(cells[0]))))
    return {name: tuple(addresses) for name, addresses in found.items()}


def find_interface(targets: Iterable[str], name: str | None = None) -> Interface:
    """Find the interface to record on.

    Parameters
    ----------
    targets
        Addresses towards which the route tells it, best first.
    name
        An interface asked for by name.

    Returns
    -------
    interface
        With all of its addresses.

    Raises
    ------
    RecordingError
        If there is no route, or the interface cannot be told.
    """
    known = addresses_by_interface()
    if name is not None:
        if known and name not in known and name != "any":
            raise RecordingError(f"there is no interface {name!r}; there are {', '.join(sorted(known))}")
        everything = tuple(address for addresses in known.values() for address in addresses)
        return Interface(name=name, addresses=everything if name == "any" else known.get(name, ()))
    own = next((address for target in targets if (address := local_address(target)) is not None), None)
    if own is None:
        raise RecordingError("there is no route to the Region; connect the network, or name an interface")
    for candidate, addresses in known.items():
        if own in addresses:
            return Interface(name=candidate, addresses=addresses)
    secondary = _linux_interface_by_route(own)
    if secondary is not None:
        return Interface(name=secondary, addresses=(*known.get(secondary, ()), own))
    raise RecordingError(f"the interface with the address {own} cannot be told; name it with --interface")


def _linux_interface_by_route(own: str) -> str | None:
    """Find the interface of a second address, of which the kernel's short list tells only the first."""
    ip = shutil.which("ip")
    if ip is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603  (a program of the system, no shell)
            [ip, "-o", "address", "show", "to", own], capture_output=True, text=True, timeout=_ASK_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    cells = done.stdout.split()
    return cells[1].split("@")[0] if len(cells) > 1 else None
