"""Windows Firewall: PowerShell, one rule per port, addresses only."""

from __future__ import annotations

from ccp_assess.allowlist.formats.base import Fitted, Format, blocks_only, lines

_PER_RULE = 900
"""Addresses per rule; Windows takes about a thousand before the rule is refused."""


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _windows(fitted: Fitted) -> str:
    blocks_only(fitted, "the Windows Firewall")
    out = [
        *fitted.heading("#"),
        "$ErrorActionPreference = 'Stop'",
        "Remove-NetFirewallRule -Group 'Amazon Connect CCP' -ErrorAction SilentlyContinue",
    ]
    for direction in ("outbound", "inbound"):
        for (transport, port), entries in fitted.groups(fitted.blocks(direction)).items():
            for at in range(0, len(entries), _PER_RULE):
                part = entries[at : at + _PER_RULE]
                name = f"CCP {direction} {transport.upper()} {port}" + (f" ({at // _PER_RULE + 1})" if at else "")
                ports = f"-RemotePort {port}" if direction == "outbound" else f"-LocalPort {port} -RemotePort 3478"
                out += [
                    "$addresses = @(",
                    *(f"  {_quoted(entry.text)}{',' if entry is not part[-1] else ''}" for entry in part),
                    ")",
                    (
                        f"New-NetFirewallRule -DisplayName {_quoted(name)} -Group 'Amazon Connect CCP' "
                        f"-Description {_quoted(part[0].comment)} -Direction {direction.capitalize()} -Action Allow "
                        f"-Protocol {transport.upper()} {ports} -RemoteAddress $addresses | Out-Null"
                    ),
                ]
    return lines(out)


WINDOWS = Format(
    name="windows-firewall", title="Windows Firewall", suffix=".ps1", write=_windows, names=False, sources=False
)
