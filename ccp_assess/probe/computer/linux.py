"""Facts of a computer with Linux, from ``/proc`` and ``/sys``."""

from __future__ import annotations

import re
import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ccp_assess.probe.computer.commands import said
from ccp_assess.probe.computer.facts import Link

BROWSERS = {
    "Chrome": ("google-chrome-stable", "google-chrome"),
    "Chromium": ("chromium", "chromium-browser"),
    "Edge": ("microsoft-edge-stable", "microsoft-edge"),
    "Firefox": ("firefox", "firefox-esr"),
}
_TUNNEL_TYPES = {512, 768, 769, 776, 778, 823, 65534}
"""ARPHRD_PPP, IPIP, IP6IP6, SIT, IPGRE, IP6GRE and NONE (tun, WireGuard), of the kernel's ``if_arp.h``."""
_SIOCGIFADDR = 0x8915


def facts(source: str | None, *, with_browsers: bool = True, root: Path = Path("/")) -> dict[str, Any]:
    """Return what Linux tells.

    Parameters
    ----------
    source
        The local address that packets to the service bear.
    with_browsers
        Whether to look for browsers.
    root
        Where ``proc`` and ``sys`` are.

    Returns
    -------
    facts
        Fields of :class:`~ccp_assess.probe.computer.facts.Computer`.
    """
    cpu, ghz = parse_cpuinfo(_text(root / "proc/cpuinfo"))
    highest_khz = _text(root / "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq").strip()
    net = root / "sys/class/net"
    names = sorted(path.name for path in net.iterdir()) if net.is_dir() else []
    signals = parse_wireless(_text(root / "proc/net/wireless"))
    links = {name: link_of(net / name, signals.get(name)) for name in names}
    own = interface_of(source) if source else None
    return {
        "cpu": cpu,
        "cpu_ghz": float(highest_khz) / 1e6 if highest_khz.isdecimal() else ghz,
        "memory_gb": parse_meminfo(_text(root / "proc/meminfo")),
        "browsers": browsers() if with_browsers else {},
        "link": links.get(own) if own else None,
        "tunnels": tuple(name for name, link in links.items() if link.is_tunnel),
    }


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def parse_cpuinfo(text: str) -> tuple[str | None, float | None]:
    """Return model and clock of the processor [GHz]."""
    model = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    named = re.search(r"@\s*([\d.]+)\s*GHz", model[1]) if model else None
    clocks = [float(value) / 1000 for value in re.findall(r"^cpu MHz\s*:\s*([\d.]+)", text, re.MULTILINE)]
    ghz = float(named[1]) if named else max(clocks, default=None)  # the clock of this moment may be a saving one
    return (model[1].strip() if model else None), ghz


def parse_meminfo(text: str) -> float | None:
    """Return the memory [10⁹ bytes]."""
    total = re.search(r"^MemTotal:\s*(\d+)\s*kB", text, re.MULTILINE)
    return round(int(total[1]) * 1024 / 1e9, 2) if total else None


def parse_wireless(text: str) -> dict[str, float]:
    """Return the signal of wireless interfaces [dBm]; drivers that tell only a quality are left out."""
    rows = re.findall(r"^\s*([\w.-]+):\s+\S+\s+\S+\s+(-\d+)\.?\s", text, re.MULTILINE)
    return {name: float(level) for name, level in rows}


def link_of(folder: Path, signal_dbm: float | None) -> Link:
    """Describe an interface by its folder below ``/sys/class/net``."""
    kind, speed, mtu = (_number(_text(folder / name)) for name in ("type", "speed", "mtu"))
    return Link(
        name=folder.name,
        is_wireless=(folder / "wireless").exists() or (folder / "phy80211").exists() or signal_dbm is not None,
        is_tunnel=kind in _TUNNEL_TYPES or (folder / "tun_flags").exists(),
        signal_dbm=signal_dbm,
        speed_mbps=float(speed) if speed is not None and speed > 0 else None,
        mtu_bytes=mtu,
    )


def _number(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def interface_of(address: str) -> str | None:
    """Return the name of the interface that bears a local address."""
    if ":" in address:
        wanted = socket.inet_pton(socket.AF_INET6, address).hex()
        rows = (line.split() for line in _text(Path("/proc/net/if_inet6")).splitlines())
        return next((row[5] for row in rows if len(row) >= 6 and row[0] == wanted), None)
    import fcntl  # noqa: PLC0415 - not on Windows, where the tests import this module too

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            try:
                answer = fcntl.ioctl(one.fileno(), _SIOCGIFADDR, request)
            except OSError:
                continue  # an interface without an IPv4 address
            if socket.inet_ntoa(answer[20:24]) == address:
                return name
    return None


def browsers() -> dict[str, str]:
    """Return the browsers that a command starts, with their versions."""

    def version(commands: tuple[str, ...]) -> str | None:
        text = next((text for command in commands if (text := said([command, "--version"]))), None)
        match = re.search(r"\d+(?:\.\d+)+", text or "")
        return match[0] if match else None

    with ThreadPoolExecutor(len(BROWSERS)) as pool:
        found = zip(BROWSERS, pool.map(version, BROWSERS.values()), strict=True)
    return {name: number for name, number in found if number}
