"""Facts of a computer with Windows, from registry, ``ipconfig`` and ``netsh``: by shape, whatever the language."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ccp_assess.probe.computer.commands import said
from ccp_assess.probe.computer.facts import Link

BROWSERS = {
    "Chrome": (("HKCU", r"Software\Google\Chrome\BLBeacon", "version"),),
    "Edge": (("HKCU", r"Software\Microsoft\Edge\BLBeacon", "version"),),
    "Firefox": (
        ("HKLM", r"SOFTWARE\Mozilla\Mozilla Firefox", "CurrentVersion"),
        ("HKCU", r"SOFTWARE\Mozilla\Mozilla Firefox", "CurrentVersion"),
    ),
}
_TUNNEL = re.compile(
    r"\b(?:TAP|TUN|Wintun|WireGuard|OpenVPN|VPN|PPP|AnyConnect|PANGP|GlobalProtect|Fortinet|FortiSSL|Zscaler|Juniper"
    r"|Pulse|SonicWall|Check ?Point|Cisco Secure Client|WAN Miniport|Tailscale|NetSkope)\b",
    re.IGNORECASE,
)
_RADIO = re.compile(r"Wi-?Fi|WLAN|Wireless|802\.11", re.IGNORECASE)

Value = Callable[[str, str, str], Any]
"""Reads a value of the registry by root, key and name; ``None`` where there is none."""


def facts(source: str | None, *, with_browsers: bool = True, value: Value | None = None) -> dict[str, Any]:
    """Return what Windows tells.

    Parameters
    ----------
    source
        The local address that packets to the service bear.
    with_browsers
        Whether to look for browsers.
    value
        How the registry is read.

    Returns
    -------
    facts
        Fields of :class:`~ccp_assess.probe.computer.facts.Computer`.
    """
    value = value or registry_value
    processor = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
    name, clock = (value("HKLM", processor, key) for key in ("ProcessorNameString", "~MHz"))
    adapters = parse_ipconfig(said(["ipconfig", "/all"]) or "")
    own = next((adapter for adapter in adapters if source in adapter["addresses"]), None)
    return {
        "cpu": str(name).strip() if name else None,
        "cpu_ghz": clock / 1000 if isinstance(clock, int) else None,
        "memory_gb": memory_gb(),
        "browsers": browsers(value) if with_browsers else {},
        "link": _link(own) if own else None,
        "tunnels": tuple(str(one["title"]) for one in adapters if one["addresses"] and is_tunnel(one["text"])),
    }


def _link(adapter: dict[str, Any]) -> Link:
    radio = bool(_RADIO.search(adapter["text"]))
    signal = parse_netsh_signal(said(["netsh", "wlan", "show", "interfaces"]) or "") if radio else None
    return Link(
        name=adapter["title"], is_wireless=radio, is_tunnel=is_tunnel(adapter["text"]), signal_dbm=signal
    )  # fmt: skip


def is_tunnel(text: str) -> bool:
    """Tell whether an adapter's title and description are those of a VPN."""
    return bool(_TUNNEL.search(text))


def parse_ipconfig(text: str) -> list[dict[str, Any]]:
    """Return the adapters of ``ipconfig /all``: ``title``, ``text`` and local ``addresses``.

    A paragraph that begins at the margin and ends in a colon is an adapter, whatever the language; of its addresses
    the first in each line counts, and lines of masks, gateways and servers are told by what follows an own address:
    the mark in brackets, such as ``(Preferred)``, which gateways do not bear.
    """
    adapters: list[dict[str, Any]] = []
    for line in text.splitlines():
        if line.strip() and not line[:1].isspace() and line.rstrip().endswith(":"):
            adapters.append({"title": line.strip().rstrip(":").strip(), "text": line, "addresses": []})
        elif adapters and line.strip():
            adapters[-1]["text"] += "\n" + line
            own = re.search(r":\s+((?:\d{1,3}\.){3}\d{1,3}|[0-9a-f:]{4,}(?:%\d+)?)\(", line, re.IGNORECASE)
            if own:
                adapters[-1]["addresses"].append(own[1].partition("%")[0])
    return adapters


def parse_netsh_signal(text: str) -> float | None:
    """Return the wireless signal [dBm] from the percentage of ``netsh wlan show interfaces``.

    References
    ----------
    WLAN_ASSOCIATION_ATTRIBUTES: a quality of 0 is -100 dBm, one of 100 is -50 dBm, linear between.
    """
    match = re.search(r":\s*(\d{1,3})\s?%", text)
    return int(match[1]) / 2 - 100 if match and int(match[1]) <= 100 else None


def browsers(value: Value) -> dict[str, str]:
    """Return the browsers that left their version in the registry."""
    found = {}
    for name, places in BROWSERS.items():
        text = next((str(text) for place in places if (text := value(*place))), "")
        match = re.search(r"\d+(?:\.\d+)+", text)
        if match:
            found[name] = match[0]
    return found


def registry_value(root: str, key: str, name: str) -> Any:
    """Read a value of the registry; ``None`` where there is none."""
    import winreg  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - only on Windows

    roots = {"HKLM": winreg.HKEY_LOCAL_MACHINE, "HKCU": winreg.HKEY_CURRENT_USER}  # type: ignore[attr-defined,unused-ignore]
    try:
        with winreg.OpenKey(roots[root], key) as opened:  # type: ignore[attr-defined,unused-ignore]
            return winreg.QueryValueEx(opened, name)[0]  # type: ignore[attr-defined,unused-ignore]
    except OSError:
        return None


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX of the Windows API."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        *(
            (name, ctypes.c_uint64)
            for name in ("total", "free", "page", "page_free", "virtual", "virtual_free", "more")
        ),
    )


def memory_gb() -> float | None:
    """Return the memory [10⁹ bytes] by GlobalMemoryStatusEx."""
    status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
    with suppress(AttributeError, OSError):
        if ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):  # type: ignore[attr-defined,unused-ignore]
            return round(float(status.total) / 1e9, 2)
    return None
