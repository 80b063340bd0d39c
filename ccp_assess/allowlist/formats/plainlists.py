"""Plain lists: everything, or what an external dynamic list takes (blocks, or URLs)."""

from __future__ import annotations

from typing import Any

from ccp_assess.allowlist.formats.base import Fitted, Format, lines


def _list(fitted: Fitted) -> str:
    return lines(fitted.heading("#"), dict.fromkeys(entry.text for entry in fitted.entries))


def _edl_ip(fitted: Fitted) -> str:
    return lines(fitted.heading("#"), dict.fromkeys(entry.text for entry in fitted.blocks()))


def _edl_url(fitted: Fitted) -> str:
    # With the final slash an entry ends there; without it longer names match, too.
    return lines(dict.fromkeys(f"{entry.host.lower()}/" for entry in fitted.names))


_BARE: dict[str, Any] = {"ports": False, "sources": False, "inbound": False}

LIST = Format(
    name="list",
    title="Plain list",
    suffix=".txt",
    write=_list,
    partial_wildcards=True,
    udp_names=True,
    udp_wildcards=True,
    urls=True,
    **_BARE,
)
EDL_IP = Format(
    name="edl-ip", title="External dynamic list of addresses", suffix=".txt", write=_edl_ip, names=False, **_BARE
)
EDL_URL = Format(
    name="edl-url",
    title="External dynamic list of URLs",
    suffix=".txt",
    write=_edl_url,
    blocks=False,
    comments=False,
    **_BARE,
)
