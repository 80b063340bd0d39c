"""The browser page: one HTML file that tests every Region's relay from an agent's own browser, by WebRTC itself.

No server, no installation, no rights. What the page measures and judges stands in ``probe.js``, what it shows in
``view.js``, what it says in ``verdicts.json``, which the import of its results reads, too.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from ccp_assess import __version__
from ccp_assess.endpoints import read_endpoints
from ccp_assess.errors import ProbeError
from ccp_assess.files import write_whole
from ccp_assess.probe import signed
from ccp_assess.probe.targets import RegionTargets, Target, region_targets, targets_from_endpoints
from ccp_assess.regions import read_regions

FORMAT = "ccp-assess-probe-page/1"
"""What a saved result says that it is."""

RELAY_PORT = 3478
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]")


@cache
def read_verdicts() -> dict[str, dict[str, str | None]]:
    """Read what the page can say.

    Returns
    -------
    verdicts
        Name of a verdict → ``level``, ``code`` of the list of diagnoses (``None`` if there is none), ``title``,
        ``text`` and ``change``.
    """
    verdicts: dict[str, dict[str, str | None]] = json.loads(_part("verdicts.json"))
    return verdicts


def _part(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")


def write_page(
    path: str | Path,
    *,
    regions: Sequence[str] = (),
    endpoints: str | Path | None = None,
    site_id: str | None = None,
    instance: str | None = None,
    names: Sequence[str] = (),
    key: bytes | None = None,
    made: datetime | None = None,
) -> Path:
    """Write the page.

    Parameters
    ----------
    path
        The HTML file; it appears whole or not at all.
    regions
        Their codes; empty for all that offer the service.
    endpoints
        Table that stands in for the Regions (CSV).
    site_id
        Site that the page is for; whoever opens it can change it.
    instance
        Alias of an instance, whose own pages are tested, too.
    names
        Real names that stand for wildcards, such as those of signalling.
    key
        Key of the engagement, with which the page signs what it saves; it is inside the page.
    made
        When it is made; now, if not given.

    Returns
    -------
    path
        The file.

    Raises
    ------
    ProbeError
        If there is nothing to test, or a name that no browser can open.
    """
    if endpoints is not None:
        targets = targets_from_endpoints(read_endpoints(endpoints), regions)
    else:
        targets = region_targets(regions, instance=instance, names=names)
    target = Path(path)
    plan = page_plan(targets, site_id=site_id, made=made or datetime.now(UTC))
    if key is not None:
        plan["signing"] = {"format": signed.FORMAT, "key_id": signed.key_id(key), "key": key.hex()}
    write_whole(target, page_html(plan))
    return target


def page_plan(targets: Sequence[RegionTargets], *, site_id: str | None, made: datetime) -> dict[str, Any]:
    """Say what the page shall test.

    Parameters
    ----------
    targets
        What to reach in each Region.
    site_id
        Site that the page is for.
    made
        When it is made.

    Returns
    -------
    plan
        Plain values; every host in lower case, as browsers need it.
    """
    rows = [row for region in targets if (row := _region_plan(region)) is not None]
    if not rows:
        raise ProbeError("there is no name to test from a browser; give another Region or a table of endpoints")
    return {
        "format": FORMAT,
        "version": __version__,
        "made": made.date().isoformat(),
        "site_id": site_id,
        "signing": None,
        "regions": rows,
        "verdicts": read_verdicts(),
    }


def _region_plan(region: RegionTargets) -> dict[str, Any] | None:
    relays = _unique(one for one in region.targets if one.role == "media_relay" and one.port == RELAY_PORT)
    web = _unique(one for one in region.targets if one.role in {"api", "signalling"} and one.transport == "tcp")
    if not relays and not web:
        return None
    known = read_regions().get(region.region_code or "")
    return {
        "region_code": region.region_code,
        "name": known.name if known else region.region_code or "Pages outside the Regions",
        "relays": [{"host": host, "port": port} for host, port in relays],
        "web": [{"host": host, "port": port, "websocket": is_socket} for (host, port), is_socket in web.items()],
    }


def _unique(targets: Any) -> dict[tuple[str, int], bool]:
    """Give each place once, and whether it takes WebSockets."""
    return {(_browser_host(one), one.port): one.role == "signalling" for one in targets}


def _browser_host(target: Target) -> str:
    """Write a host as browsers take it: lower case, an IPv6 address in brackets.

    An address stands in for a relay's name where one is given; for HTTPS the name is needed for the certificate.
    """
    host = (target.address or target.host if target.role == "media_relay" else target.host).lower()
    host = f"[{host}]" if ":" in host else host
    if not _HOST.fullmatch(host):
        raise ProbeError(f"{host[:80]!r} is no host that a browser can open; correct the table of endpoints")
    return host


def page_html(plan: Mapping[str, Any]) -> str:
    """Write the page as text.

    Parameters
    ----------
    plan
        What it shall test.

    Returns
    -------
    text
        One HTML document without a reference to anything outside it; its policy lets it talk to the plan's hosts only.
    """
    script = _part("probe.js") + "\n" + _part("view.js").removeprefix("'use strict';\n")
    style = _part("page.css")
    parts = {
        "policy": html.escape(content_policy(plan, script, style)),
        "style": style,
        "version": html.escape(__version__),
        "made": html.escape(str(plan["made"])),
        "plan": json.dumps(plan, ensure_ascii=True).replace("<", "\\u003c"),  # no "</script>" inside a script
        "script": script,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _part("page.html"))


def content_policy(plan: Mapping[str, Any], script: str, style: str) -> str:
    """Write the content security policy: our own script and style by their hash, connections to tested hosts only."""
    web = [one for region in plan["regions"] for one in region["web"]]
    places = [f"{scheme}://{one['host']}:{one['port']}" for one in web for scheme in ("https", "wss")]
    rules = {
        "default-src": "'none'",
        "script-src": _hash(script),
        "style-src": _hash(style),
        "connect-src": " ".join(dict.fromkeys(places)) or "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
