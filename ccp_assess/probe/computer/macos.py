"""Facts of a computer with macOS, from its own commands and the browsers' bundles."""

from __future__ import annotations

import plistlib
import re
from pathlib import Path
from typing import Any

from ccp_assess.probe.computer.commands import said
from ccp_assess.probe.computer.facts import Link

BROWSERS = {
    "Chrome": "Google Chrome.app",
    "Chromium": "Chromium.app",
    "Edge": "Microsoft Edge.app",
    "Firefox": "Firefox.app",
}
_TUNNELS = ("utun", "ppp", "ipsec", "tun", "tap", "gif", "stf")


def facts(source: str | None, *, with_browsers: bool = True) -> dict[str, Any]:
    """Return what macOS tells.

    Parameters
    ----------
    source
        The local address that packets to the service bear.
    with_browsers
        Whether to look for browsers.

    Returns
    -------
    facts
        Fields of :class:`~ccp_assess.probe.computer.facts.Computer`.
    """
    hardware = parse_sysctl(said(["sysctl", "machdep.cpu.brand_string", "hw.memsize", "hw.cpufrequency_max"]) or "")
    interfaces = said(["ifconfig"]) or ""
    own = interface_of(interfaces, source)
    wireless = wireless_interfaces(said(["networksetup", "-listallhardwareports"]) or "")
    link = None
    if own is not None:
        radio = own in wireless if wireless else None
        signal = parse_signal(said(["system_profiler", "SPAirPortDataType"]) or "") if radio else None
        link = Link(
            name=own,
            is_wireless=radio,
            is_tunnel=own.startswith(_TUNNELS),
            signal_dbm=signal,
            mtu_bytes=mtu_of(interfaces, own),
        )
    return {
        **hardware,
        "browsers": browsers(Path("/Applications")) if with_browsers else {},
        "link": link,
        "tunnels": tuple(name for name in interfaces_with_ipv4(interfaces) if name.startswith(_TUNNELS)),
    }


def parse_sysctl(text: str) -> dict[str, Any]:
    """Return processor and memory; Apple's own processors do not tell a clock."""
    values = dict(re.findall(r"^([\w.]+): (.+)$", text, re.MULTILINE))
    memory, clock = values.get("hw.memsize"), values.get("hw.cpufrequency_max")
    return {
        "cpu": values.get("machdep.cpu.brand_string"),
        "memory_gb": round(int(memory) / 1e9, 2) if memory else None,
        "cpu_ghz": int(clock) / 1e9 if clock else None,
    }


def _blocks(text: str) -> dict[str, str]:
    """Return the output of ``ifconfig`` by interface."""
    parts = re.split(r"^([\w.-]+): flags=", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def interface_of(text: str, address: str | None) -> str | None:
    """Return the interface of ``ifconfig`` that bears an address."""
    if address is None:
        return None
    pattern = re.compile(rf"\binet6? {re.escape(address)}(?:%\w+)?\s")
    return next((name for name, block in _blocks(text).items() if pattern.search(block)), None)


def interfaces_with_ipv4(text: str) -> list[str]:
    """Return the interfaces of ``ifconfig`` that are in use by IPv4; macOS keeps idle tunnels of its own."""
    return [name for name, block in _blocks(text).items() if re.search(r"\binet \d", block)]


def mtu_of(text: str, name: str) -> int | None:
    """Return the largest packet of an interface of ``ifconfig`` [bytes]."""
    match = re.search(r"\bmtu (\d+)", _blocks(text).get(name, ""))
    return int(match[1]) if match else None


def wireless_interfaces(text: str) -> set[str]:
    """Return the devices that ``networksetup -listallhardwareports`` calls Wi-Fi or AirPort."""
    return set(re.findall(r"Hardware Port: (?:Wi-Fi|AirPort)\s*\nDevice: (\w+)", text))


def parse_signal(text: str) -> float | None:
    """Return the signal of the joined network [dBm]: the first that ``system_profiler`` lists."""
    match = re.search(r"(-\d+) dBm / -\d+ dBm", text)
    return float(match[1]) if match else None


def browsers(applications: Path) -> dict[str, str]:
    """Return the browsers in a folder of applications, with their versions."""
    found = {}
    for name, bundle in BROWSERS.items():
        try:
            with (applications / bundle / "Contents" / "Info.plist").open("rb") as file:
                found[name] = str(plistlib.load(file)["CFBundleShortVersionString"])
        except (OSError, KeyError, ValueError):
            continue
    return found
