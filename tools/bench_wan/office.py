"""The gateway of an office as rules of the Linux firewall: NAT, blocked ports, connections turned to our boxes."""

from __future__ import annotations

from bench_wan.plan import Office
from bench_wan.services import HTTP_PORT, HTTPS_PORT, INTERCEPT_PORT, PORTAL_PORT, PORTAL_TLS_PORT

LAN_DEVICE, WAN_DEVICE = "lan0", "wan0"
VERDICTS = {"drop": "drop", "prohibit": "reject with icmp type admin-prohibited"}


def firewall(office: Office) -> str:
    """Write the rules for ``nft -f``."""
    rules = ["ct state established,related accept"]
    rules += [_block(transport, port, action) for (transport, port), action in office.blocked.items()]
    if office.only_tcp_443:
        rules += [f"iifname {LAN_DEVICE} tcp dport {HTTPS_PORT} accept", f"iifname {LAN_DEVICE} drop"]
    if office.only_proxy or office.captive_portal:
        rules += [f"iifname {LAN_DEVICE} drop"]
    turned = []
    if office.inspection is not None:
        turned += [f"iifname {LAN_DEVICE} tcp dport {HTTPS_PORT} redirect to :{INTERCEPT_PORT}"]
    if office.captive_portal:
        turned += [f"iifname {LAN_DEVICE} tcp dport {HTTP_PORT} redirect to :{PORTAL_PORT}"]
        turned += [f"iifname {LAN_DEVICE} tcp dport {HTTPS_PORT} redirect to :{PORTAL_TLS_PORT}"]
    hidden = {
        "none": [],
        "port_preserving": [f"oifname {WAN_DEVICE} masquerade"],
        "symmetric": [f"oifname {WAN_DEVICE} masquerade random,fully-random"],
    }[office.nat]
    text = _table("filter", "passing", "type filter hook forward priority 0", rules)
    text += _table("turning", "before", "type nat hook prerouting priority -100", turned)
    text += _table("hiding", "after", "type nat hook postrouting priority 100", hidden)
    if office.nat_idle_s is not None:
        idle = f"unreplied : {office.nat_idle_s}, replied : {office.nat_idle_s}"
        forgets = ["meta l4proto udp ct timeout set forgets"]
        made = f"ct timeout forgets {{\n protocol udp\n l3proto ip\n policy = {{ {idle} }}\n}}\n"
        text += _table("timing", "before", "type filter hook prerouting priority -150", forgets, made)
    return text


def _block(transport: str, port: int, action: str) -> str:
    what = f"{transport} dport {port}" if port else f"meta l4proto {transport}"
    refusal = "reject with tcp reset" if transport == "tcp" else "reject with icmp type port-unreachable"
    return f"iifname {LAN_DEVICE} {what} {VERDICTS.get(action, refusal)}"


def _table(name: str, chain: str, hook: str, rules: list[str], made: str = "") -> str:
    lines = "\n".join(rules)
    return f"table ip {name} {{\n{made}chain {chain} {{\n{hook}\n{lines}\n}}\n}}\n" if rules else ""
