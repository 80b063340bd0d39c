"""What proxies and browsers read: PAC file, bypass list, Squid, and URL lists for Zscaler and Netskope."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

from ccp_assess.allowlist.formats.base import Fitted, Format, lines


def _hosts(fitted: Fitted) -> list[str]:
    return list(dict.fromkeys(entry.host.lower() for entry in fitted.names))


def _pac(fitted: Fitted) -> str:
    """Names go direct, everything else to the proxy; a wildcard stands for characters of its own labels only."""
    exact = [host for host in _hosts(fitted) if "*" not in host]
    patterns = [_expression(host) for host in _hosts(fitted) if "*" in host]
    return lines(
        fitted.heading("//"),
        [
            "// Names below go DIRECT, all else to the proxy. UDP is the firewall's, not a PAC file's.",
            f"var CCP_NAMES = {json.dumps(exact, indent=2)};",
            f"var CCP_PATTERNS = {json.dumps(patterns, indent=2)};",
            f"var OTHERWISE = {json.dumps('PROXY ' + fitted.proxy)};",
            "",
            "function FindProxyForURL(url, host) {",
            "  var i;",
            '  host = host.toLowerCase().replace(/\\.$/, "");',
            "  for (i = 0; i < CCP_NAMES.length; i++) {",
            '    if (host === CCP_NAMES[i]) { return "DIRECT"; }',
            "  }",
            "  for (i = 0; i < CCP_PATTERNS.length; i++) {",
            '    if (new RegExp(CCP_PATTERNS[i]).test(host)) { return "DIRECT"; }',
            "  }",
            "  return OTHERWISE;",
            "}",
        ],
    )


def _expression(host: str) -> str:
    head = "^([^.]+\\.)+" if host.startswith("*.") else "^"
    rest = host.removeprefix("*.") if host.startswith("*.") else host
    return head + re.escape(rest).replace("\\*", "[^.]*").replace("\\-", "-") + "$"


def _bypass(fitted: Fitted) -> str:
    return ";".join(_hosts(fitted)) + "\n"


def _squid(fitted: Fitted) -> str:
    out = fitted.heading("#")
    near = ""
    if fitted.subnets:
        out += [f"acl ccp_workstations src {subnet.text}" for subnet in fitted.subnets]
        near = " ccp_workstations"
    out.append("acl ccp_port port 443")
    plain = [host for host in _hosts(fitted) if not re.search(r"[^.]\*|\*[^.]", host)]
    # squid: a leading dot stands for the name itself and everything below it; it warns of a name below another one.
    whole = [host.removeprefix("*") for host in plain]
    above = tuple(name for name in whole if name.startswith("."))
    out += [
        f"acl ccp_names dstdomain {name}" for name in whole if name.startswith(".") or not f".{name}".endswith(above)
    ]
    odd = [_expression(host) for host in _hosts(fitted) if host not in plain]
    out += [f"acl ccp_patterns dstdom_regex -i {expression}" for expression in odd]
    tcp = [entry for entry in fitted.blocks() if entry.transport == "tcp"]
    out += [f"acl ccp_blocks dst {entry.text}" for entry in tcp]
    groups = [name for name, rows in (("ccp_names", plain), ("ccp_patterns", odd), ("ccp_blocks", tcp)) if rows]
    return lines(
        out,
        (f"http_access allow CONNECT ccp_port {name}{near}" for name in groups),
        ["# the CCP's WebSockets live as long as a shift: do not cut them", "client_lifetime 1 day"],
    )


def _url(entry_host: str, path: str) -> str:
    return f"{entry_host.lower()}{path}"


def _zscaler(fitted: Fitted) -> str:
    # A leading dot stands for everything below a name.
    urls = [_url(entry.host.removeprefix("*"), entry.path) for entry in fitted.names]
    return _rows(["Amazon Connect CCP"], urls)


def _netskope(fitted: Fitted) -> str:
    return _rows([], [_url(entry.host, entry.path) for entry in fitted.names])


def _rows(head: list[str], urls: list[str]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if head:
        writer.writerow(head)
    writer.writerows([[url] for url in dict.fromkeys(urls)])
    return out.getvalue()


_NAMES_ONLY: dict[str, Any] = {"blocks": False, "ports": False, "inbound": False, "sources": False}

PAC = Format(name="pac", title="PAC file", suffix=".pac", write=_pac, partial_wildcards=True, **_NAMES_ONLY)
BYPASS = Format(
    name="proxy-bypass",
    title="Proxy bypass list (Windows)",
    suffix=".txt",
    write=_bypass,
    partial_wildcards=True,
    comments=False,
    **_NAMES_ONLY,
)
SQUID = Format(name="squid", title="Squid", suffix=".conf", write=_squid, partial_wildcards=True, inbound=False)
ZSCALER = Format(
    name="zscaler",
    title="Zscaler URL category",
    suffix=".csv",
    write=_zscaler,
    urls=True,
    comments=False,
    **_NAMES_ONLY,
)
NETSKOPE = Format(
    name="netskope", title="Netskope URL list", suffix=".csv", write=_netskope, urls=True, comments=False, **_NAMES_ONLY
)
