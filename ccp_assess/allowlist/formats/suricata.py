"""Suricata: pass rules by TLS name and by address."""

from __future__ import annotations

import re

from ccp_assess.allowlist.formats.base import Entry, Fitted, Format, lines

_FIRST_SID = 9_310_000
_PER_RULE = 200


def _name(entry: Entry) -> str:
    host = entry.host.lower()
    if re.search(r"[^.]\*|\*[^.]", host):
        expression = re.escape(host).replace(r"\*", "[^.]*").replace(r"\-", "-")
        return f'tls.sni; pcre:"/^{expression}$/i"'
    if host.startswith("*."):
        return f'tls.sni; dotprefix; content:"{host[1:]}"; nocase; endswith'
    return f'tls.sni; content:"{host}"; startswith; endswith; nocase'


def _suricata(fitted: Fitted) -> str:
    near = f"[{','.join(subnet.text for subnet in fitted.subnets)}]" if fitted.subnets else "$HOME_NET"
    rules: list[str] = []

    def add(head: str, message: str, options: str = "") -> None:
        body = f'msg:"{message}"; {options + "; " if options else ""}sid:{_FIRST_SID + len(rules)}; rev:1;'
        rules.append(f"pass {head} ({body})")

    seen = set()
    for entry in fitted.names:
        if entry.host.lower() not in seen:
            seen.add(entry.host.lower())
            add(f"tls {near} any -> any {entry.port}", _message(entry), f"flow:to_server,established; {_name(entry)}")
    for direction in ("outbound", "inbound"):
        for (transport, port), entries in fitted.groups(fitted.blocks(direction)).items():
            for at in range(0, len(entries), _PER_RULE):
                part = entries[at : at + _PER_RULE]
                far = f"[{','.join(entry.text for entry in part)}]"
                ports = port.replace("-", ":")
                ends = f"{near} any -> {far} {ports}" if direction == "outbound" else f"{far} 3478 -> {near} {ports}"
                add(f"{transport} {ends}", _message(part[0]))
    return lines(fitted.heading("#"), rules)


def _message(entry: Entry) -> str:
    return re.sub(r"[;:]", ",", f"CCP {entry.comment}")[:120]


SURICATA = Format(name="suricata", title="Suricata", suffix=".rules", write=_suricata, partial_wildcards=True)
