"""Amazon's Endpoint Test Utility: its saved JSON has no published schema, so latencies are found by their shape.

Every object that names one Region (a value or a key that is a Region's code) and holds a number under a name with
``latency``, ``rtt`` or ``ping`` gives one row. What was tested for reachability is kept as it stands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ccp_assess.paths import RegionProbe
from ccp_assess.probe.imports.records import nearest_rank
from ccp_assess.probe.imports.text import clean_name, milliseconds
from ccp_assess.regions import read_regions

TOOL = "endpoint-test-utility"
MAX_DEPTH = 12
MAX_NODES = 50_000

_TIME = re.compile(r"latenc|\brtt\b|rtt_?ms|ping|round_?trip", re.IGNORECASE)


def _walk(value: Any, region: str | None, depth: int, budget: list[int]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Go through a JSON value and give each object with the Region that it stands for."""
    budget[0] -= 1
    if depth > MAX_DEPTH or budget[0] < 0:
        return
    if isinstance(value, list):
        for item in value:
            yield from _walk(item, region, depth + 1, budget)
    elif isinstance(value, dict):
        named = next((v for v in value.values() if isinstance(v, str) and v in read_regions()), region)
        if named:
            yield named, value
        for key, item in value.items():
            inner = key if key in read_regions() else named
            if isinstance(item, int | float) and key in read_regions():
                yield key, {"latency": item}
            else:
                yield from _walk(item, inner, depth + 1, budget)


def parse(document: Any) -> list[RegionProbe]:
    """Read what can be recognised.

    Parameters
    ----------
    document
        Any JSON value.

    Returns
    -------
    probes
        One per Region with a latency; empty if there is none.
    """
    times: dict[str, list[float]] = {}
    for region, row in _walk(document, None, 0, [MAX_NODES]):
        for key, value in row.items():
            if _TIME.search(str(key)[:100]):
                values = value if isinstance(value, list) else [value]
                found = (milliseconds(v) for v in values[:1000])
                times.setdefault(region, []).extend(ms for ms in found if ms is not None and ms > 0)
    return [
        RegionProbe(
            region_code=region,
            destination=None,
            rtts_ms=tuple(values),
            rtt_min_ms=min(values),
            rtt_p50_ms=nearest_rank(values, 50),
            rtt_p95_ms=nearest_rank(values, 95),
            received=len(values),
            details={
                "tool": TOOL,
                "via": "https",
                "note": clean_name("latency as the browser saw it; kind not stated"),
            },
        )
        for region, values in times.items()
        if values
    ]


def is_it(document: Any) -> bool:
    """Say whether a JSON value may be such a file.

    Parameters
    ----------
    document
        Any JSON value.

    Returns
    -------
    is_it
        Whether it holds a Region's code and a latency somewhere.
    """
    text = json.dumps(document)[:2_000_000] if isinstance(document, dict | list) else ""
    return bool(_TIME.search(text)) and any(f'"{code}"' in text for code in read_regions())
