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


_NETWORK = "Network team"
_DESKTOP = "Workstation team"
_SECURITY = "Firewall and security team"
_CARRIER = "Network team with the Internet provider"
_AWS = "Consultant, by a case with AWS"
_US = "Consultant"

_OWNER_BY_SIDE = {
    "workstation": _DESKTOP,
    "lan": _NETWORK,
    "lan_isp": _CARRIER,
    "beyond_relay": _AWS,
    "service": _AWS,
}

_OPEN_3478 = "Allow UDP 3478 outbound to the relay names of the allowlist, without protocol inspection."
_COMPARE = "Compare wired with wireless and with and without VPN, then ask the owner of the segment that differs."
_FREE = "Close what keeps the workstation busy, or give the softphone alone the documented 2 GB and 2 GHz."
_SHORTEN = "Let the media leave locally or beside the tunnel, and keep other traffic from filling its queue."
_CASE = "Send the time, the relay's address and the call's identifier to AWS."
_RECORD = "Record again at the workstation itself, headers only, from before the call until after it."

# The first row with a fitting beginning counts; longer beginnings therefore stand first.
_RULES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("LOCAL_NO_NETWORK",), "Connect the workstation to a network and measure again.", _DESKTOP),
    (("LOCAL_FIREWALL",), "Allow UDP 3478 in the workstation's own firewall or security agent.", _DESKTOP),
    (("SELF_INFLICTED", "SEND_STALLS", "CLOCK_SKEW"), _FREE, _DESKTOP),
    (
        ("CALL_FAILED_NO_ANSWER", "CALL_FAILED_REFUSED", "RELAY_UDP_NO_ANSWER", "TRANSPORT_BLOCKED"),
        _OPEN_3478,
        _SECURITY,
    ),
    (("CALL_FAILED_ALLOCATE", "ALLOCATE_REFUSED", "CALL_FAILED_PERMISSION", "CALL_FAILED_ICE"), _CASE, _AWS),
    (("CALL_FAILED_DTLS", "PMTU"), "Find the device that drops large packets and let ICMP “too big” pass.", _NETWORK),
    (("MEDIA_OVER_TCP", "RELAY_IN_TLS"), _OPEN_3478, _SECURITY),
    (("UDP_", "TURN_REFUSED", "NO_ANSWER_UNEXPLAINED"), _OPEN_3478, _SECURITY),
    (
        ("CALL_DROPPED", "ONE_WAY_AUDIO", "OUTAGE"),
        "Look up what changed at that minute on the side that the finding names.",
        _NETWORK,
    ),
    (
        ("LOSS_BEFORE_CAPTURE",),
        "Record at the workstation itself: the packets were missing before the place of the capture.",
        _NETWORK,
    ),
    (("LOSS", "LATE", "JITTER", "REORDERED", "RATE_LIMITED", "QUALITY_LOW"), _COMPARE, _CARRIER),
    (("RELAY_RTT", "MEDIA_RTT", "RTT_VARIES"), _SHORTEN, _NETWORK),
    (
        ("SETUP_SLOW", "DNS_SLOW"),
        "Look at the phase that took long: resolver, firewall inspection or distance.",
        _NETWORK,
    ),
    (("DNS_",), "Let the resolver answer the names of the allowlist, TurnNlb-* included, unfiltered.", _NETWORK),
    (("VPN_IN_THE_WAY", "WIFI_LOSSY", "DETOUR", "ASYMMETRIC", "HOP_ARTEFACT"), _SHORTEN, _NETWORK),
    (("CAPTIVE_PORTAL",), "Sign in to the network in a browser, then measure again.", _DESKTOP),
    (("NO_RELAY_NAME",), "Give a relay's name from a capture or log.", _US),
    (("TLS_INTERCEPT",), "Exempt the names of the allowlist from TLS inspection.", _SECURITY),
    (("TLS_",), "Check the workstation's clock and trusted certificates, then the device that breaks TLS.", _DESKTOP),
    (("PROXY",), "Let the names of the allowlist bypass the proxy.", _SECURITY),
    (("TCP_RETRANSMISSIONS",), _COMPARE, _CARRIER),
    (("TCP_", "ENDPOINT_"), "Allow the endpoint that the finding names.", _SECURITY),
    (
        ("NAT", "SPLIT"),
        "Keep the mapping of UDP 3478 for longer than a call and let all media leave by one address.",
        _NETWORK,
    ),
    (("RULES", "ALLOWLIST", "FIREWALL", "AUDIT"), "Change the firewall rules as listed in the audit.", _SECURITY),
    (
        ("CAPTURE_UNREADABLE", "CAPTURE_ENDED", "CAPTURE_DROPPED", "NO_PACKETS", "NO_MEDIA", "RUNNING_AT", "DIRECTION"),
        _RECORD,
        _US,
    ),
    (("PROBE_UNREADABLE", "MODELLED", "UNMEASURED"), "Measure at the site.", _US),
    (("JOINED_LOSS", "LOG_LOSS", "LOG_JITTER"), _COMPARE, _CARRIER),
    (("LOG_ROUND_TRIP", "OVERALL_LATENCY"), _SHORTEN, _NETWORK),
    (
        ("LOG_SETUP_SLOW", "LOG_API"),
        "Look at what took long: resolver, proxy, firewall inspection or distance.",
        _NETWORK,
    ),
    (("LOG_CLOCK_SKEW", "CLOCKS_DISAGREE", "CLOCK_WRONG"), "Set the workstation's clock by NTP.", _DESKTOP),
    (("LOG_CALLS_FAILED",), "Record a test call on that workstation: its capture shows at which step calls fail.", _US),
    (
        ("DIARY", "CONTACT_QUALITY"),
        "Hold the times against captures and logs of the same workstations, and against what runs at those hours.",
        _US,
    ),
    (("LOG_UNREADABLE",), "Download the log again and put it into logs/ as it is.", _US),
)


def action_for(finding: dict[str, Any], regions: list[str]) -> Action:
    """Return what follows from a finding.

    Parameters
    ----------
    finding
        With ``code``; ``action``, ``owner`` and ``retest`` of its own take precedence; ``site_id`` and ``file`` name
        where it was seen.
    regions
        The recommended Regions, whose relays are traced.

    Returns
    -------
    action
        To do, owner and test.

    Examples
    --------
    >>> action_for({"code": "UDP_BLOCKED", "site_id": "LIS"}, ["eu-west-2"]).retest.split(" --out")[0]
    'From the site: ccp-assess probe --full --region eu-west-2 --site LIS'
    """
    code = str(finding.get("code") or "").upper()
    todo, owner = next(((words, who) for starts, words, who in _RULES if code.startswith(starts)), ("", "To be agreed"))
    if owner in {_NETWORK, _CARRIER}:  # these depend on the side of the trouble; the others on its kind
        owner = _OWNER_BY_SIDE.get(str((finding.get("evidence") or {}).get("side")), owner)
    return Action(
        todo=str(finding.get("action") or todo),
        owner=str(finding.get("owner") or owner),
        retest=str(finding.get("retest") or _retest(finding, regions)),
    )


def _retest(finding: dict[str, Any], regions: list[str]) -> str:
    file, site = str(finding.get("file") or ""), finding.get("site_id")
    towards = "".join(f" --region {region}" for region in regions)
    if "capture" in file or file.endswith((".pcap", ".pcapng", ".cap", ".gz")):
        return (
            f"On that computer: ccp-assess capture record{towards} --until-quiet 10s --out CALL.pcapng during a test "
            "call, then ccp-assess capture read CALL.pcapng"
        )
    if "rules" in file:
        return f"ccp-assess allowlist audit {shlex.quote(file)}{towards}"
    if file.startswith("logs/"):
        return "Download the agent log after a test call, then ccp-assess witness read agent-log.txt"
    place = shlex.quote(str(site)[:60]) if site else "SITE"
    return (
        f"From the site: ccp-assess probe --full{towards} --site {place} --out probes/{place}/again.json, "
        "then ccp-assess assess CLIENT_DIR"
    )
