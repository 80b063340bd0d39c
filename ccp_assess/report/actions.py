"""What to do about a finding, who can do it, and the exact command that tests it again."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What follows from a finding.

    Parameters
    ----------
    todo
        What to do, one sentence; empty where the finding's own text says it.
    owner
        Who can do it.
    retest
        The command that shows whether it is done.
    """

    todo: str
    owner: str
    retest: str


_NETWORK, _DESKTOP, _SECURITY, _CARRIER, _US = (
    "Network team",
    "Workstation team",
    "Firewall and security team",
    "Internet provider, through the network team",
    "Consultant",
)

# By the first part of the code that fits; the order matters.
_RULES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("LOCAL_FIREWALL",), "Allow UDP 3478 in the workstation's own firewall or security agent.", _DESKTOP),
    (("LOCAL_NO_NETWORK",), "Connect the workstation to a network and measure again.", _DESKTOP),
    (
        ("SELF_INFLICTED", "AGENT_STALL", "CPU", "SENDER_STALL", "STALL"),
        "Close what keeps the workstation busy, or give the softphone alone the documented 2 GB and 2 GHz.",
        _DESKTOP,
    ),
    (
        ("DNS_",),
        "Let the resolver answer the names of the allowlist, TurnNlb-* included, unfiltered.",
        _NETWORK,
    ),
    (("TLS_INTERCEPT",), "Exempt the names of the allowlist from TLS inspection.", _SECURITY),
    (("TLS_",), "Check the workstation's clock and trusted certificates, then the device that breaks TLS.", _DESKTOP),
    (("PROXY",), "Bypass the proxy for the names of the allowlist.", _SECURITY),
    (
        (
            "UDP_",
            "TURN_REFUSED",
            "TURN_ERROR",
            "ALLOCATE",
            "RELAY_TCP",
            "RELAY_TLS",
            "TURN_OVER_TCP",
            "MEDIA_OVER_TCP",
            "NO_ANSWER",
        ),
        "Allow UDP 3478 outbound to the relay names of the allowlist, without protocol inspection.",
        _SECURITY,
    ),
    (("TCP_", "PMTU"), "Have the device that the evidence names let the packets pass.", _NETWORK),
    (
        ("RATE_LIMITED", "LOSS", "LATE", "BURST", "JITTER", "REORDER", "OUTAGE", "DUPLICATE"),
        "Compare wired with wireless and with and without VPN, then ask the owner of the segment that differs.",
        _CARRIER,
    ),
    (
        ("RTT", "DELAY", "LATENCY", "BUFFERBLOAT"),
        "Let the media leave locally or beside the tunnel, and keep other traffic from filling its queue.",
        _NETWORK,
    ),
    (
        ("NAT", "SPLIT"),
        "Keep the mapping of UDP 3478 for longer than a call and let all media leave by one address.",
        _NETWORK,
    ),
    (("RULES", "ALLOWLIST", "FIREWALL", "AUDIT"), "Change the firewall rules as listed in the audit.", _SECURITY),
    (("MODELLED", "NO_MEASUREMENT", "UNMEASURED"), "Measure at the site.", _US),
)


def action_for(finding: dict[str, Any], regions: list[str]) -> Action:
    """Return what follows from a finding.

    Parameters
    ----------
    finding
        With ``code``; ``action``, ``owner`` and ``retest`` of its own take precedence; ``site_id`` and ``file`` name
        where it was seen.
    regions
        The recommended Regions, which a probe is sent to.

    Returns
    -------
    action
        To do, owner and test.

    Examples
    --------
    >>> action_for({"code": "UDP_BLOCKED", "site_id": "LIS"}, ["eu-west-2"]).retest
    'ccp-assess probe --site LIS --region eu-west-2 --full'
    """
    code = str(finding.get("code") or "").upper()
    todo, owner = next(((words, who) for starts, words, who in _RULES if code.startswith(starts)), ("", "To be agreed"))
    return Action(
        todo=str(finding.get("action") or todo),
        owner=str(finding.get("owner") or owner),
        retest=str(finding.get("retest") or _retest(finding, regions)),
    )


def _retest(finding: dict[str, Any], regions: list[str]) -> str:
    file, site = str(finding.get("file") or ""), finding.get("site_id")
    if "capture" in file or file.endswith((".pcap", ".pcapng", ".cap", ".gz")):
        return (
            "ccp-assess capture record --interface INTERFACE --duration 120s --out CALL.pcapng, "
            "then ccp-assess capture read CALL.pcapng"
        )
    if "rules" in file:
        return f"ccp-assess allowlist audit {shlex.quote(file)} " + " ".join(f"--region {region}" for region in regions)
    words = ["ccp-assess", "probe", *(["--site", shlex.quote(str(site)[:60])] if site else [])]
    return " ".join([*words, *(f"--region {region}" for region in regions), "--full"])
