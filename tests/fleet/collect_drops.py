"""Results as agents' computers drop them, and a collector that takes them in."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ccp_assess.fleet.collect import Collector, CollectResult
from ccp_assess.fleet.collect_documents import Terms
from ccp_assess.probe.signed import key_id, sign, signed_file

KEY, OTHER = bytes(range(32)), bytes(range(32, 64))
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def document(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A probe document as the prober writes it, cut to what matters here; each number is another measurement."""
    return {
        "id": f"{number:032x}",
        "site_id": "LIS",
        "time": f"2026-11-{20 + number % 3}T09:{number % 60:02d}:00.000000Z",
        "tool": "ccp-assess",
        "host": {"os": "Windows 11", "privileged": False, "vantage": "workstation"},
        "regions": [
            {"region_code": "eu-west-2", "via": "stun", "rtt_ms": [30.0 + number, None], "diagnosis": []},
            {"region_code": "us-east-1", "via": "stun", "rtt_ms": [90.0 + number], "train": {"loss_pct": 0.5}},
        ],
    } | changes


def page_document(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A result of the browser page."""
    return {
        "format": "ccp-assess-probe-page/1",
        "id": f"{number + 2**64:032x}",
        "site_id": "OPO",
        "time": f"2026-11-23T08:{number % 60:02d}:00.000Z",
        "saved": "2026-11-23T08:59:00.000Z",
        "page": {"version": "1", "made": "2026-11-20"},
        "browser": {"user_agent": "Mozilla/5.0", "cores": 8},
        "microphone": None,
        "complete": True,
        "regions": [
            {
                "region_code": "eu-west-2",
                "relays": [
                    {
                        "host": "turn.example",
                        "port": 3478,
                        "udp": "challenged",
                        "tcp": "challenged",
                        "binding_ms": [25.5],
                    }
                ],
                "web": [],
                "verdicts": ["audio_open"],
                "complete": True,
            }
        ],
        "traces": [],
    } | changes


def drop(inbox: Path, name: str, *documents: dict[str, Any], key: bytes = KEY, indent: int | None = None) -> Path:
    """Put a signed file into the inbox."""
    inbox.mkdir(parents=True, exist_ok=True)
    value = documents[0] if len(documents) == 1 else list(documents)
    if indent is None:
        data = signed_file(value, key)
    else:
        data = json.dumps(sign(json.dumps(value, indent=indent), key), indent=indent, sort_keys=True).encode()
    path = inbox / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def terms(*keys: bytes, **changes: Any) -> Terms:
    """What is taken: by one key, for one client, unless something else is said."""
    return Terms(keys={key_id(key): key for key in keys or (KEY,)}, client="acme", **changes)


def collect(
    inbox: Path | str, out: Path | str, wanted: Terms | None = None, *, now: datetime = NOW, take: bool = False
) -> CollectResult:
    """One round of a collector of its own."""
    with Collector(str(inbox), str(out), wanted or terms(), take=take, now=lambda: now) as collector:
        result = collector.round()
        collector.sum_up()
        return result
