"""Results of the Endpoint Test Utility of Amazon Connect, as its page offers them for download (JSON).

AWS documents what it tests, not its format; what is public of it is the block of latencies, one item a Region
(``latencyResult.latencyInstanceRegionItems`` with ``minLatency``, ``maxLatency``, ``averageLatency``). Items with such
latencies are taken wherever they stand, and every test that names an outcome is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ccp_assess.witnesses.agent_log_entries import instant_ns
from ccp_assess.witnesses.records import Event, Witness, bounded

_LATENCIES = {"minlatency": "min", "maxlatency": "max", "averagelatency": "avg", "avglatency": "avg", "latency": "avg"}
_OUTCOME_NAMES = ("status", "result", "outcome", "state", "phase", "success", "passed")
_REGION = re.compile(r"\b([a-z]{2}(?:-gov)?-[a-z]{4,10}-\d)\b")
_MARKS = ("latencyresult", "latencyinstanceregionitems", "connectinstanceurl")
_NEST = 10


def is_endpoint_test(document: Any) -> bool:
    """Tell results of the Endpoint Test Utility.

    Parameters
    ----------
    document
        As parsed.

    Returns
    -------
    is_test
        Whether its block of latencies is there, or Regions with latencies.
    """
    if not isinstance(document, dict):
        return False
    if any(str(name).lower() in _MARKS for name in document):
        return True
    return any(item["region_code"] for item in _latencies(document, "", 0))


def endpoint_test_witness(document: dict[str, Any], file: str) -> Witness:
    """Read results of the Endpoint Test Utility.

    Parameters
    ----------
    document
        As parsed.
    file
        Name of the file.

    Returns
    -------
    witness
        Of kind ``endpoint_test``; ``latencies`` has one row a Region, ``tests`` one a test.
    """
    at_ns = _when(document)
    latencies = list(_latencies(document, "", 0))
    tests = list(_tests(document, "", 0))
    events = [Event(time_ns=at_ns, code="REGION_LATENCY", text=f"{row['name']}: {_told(row)}") for row in latencies] + [
        Event(time_ns=at_ns, code="ENDPOINT_TEST", text=f"{row['test']}: {row['outcome']}") for row in tests
    ]
    kept, _ = bounded(events)
    notes = () if latencies else ("No latency of a Region was found in it.",)
    return Witness(
        kind="endpoint_test", file=file, events=kept, notes=notes, more={"latencies": latencies, "tests": tests}
    )


def _told(row: dict[str, Any]) -> str:
    known = [f"{word} {row[name]:g} ms" for name, word in _SHOWN if row[name] is not None]
    return ", ".join(known)


_SHOWN = (("latency_avg_ms", "mean"), ("latency_min_ms", "lowest"), ("latency_max_ms", "highest"))


def _when(document: dict[str, Any]) -> int | None:
    for name in ("timestamp", "time", "date", "testTime", "startTime", "createdAt"):
        time_ns = instant_ns(document.get(name))
        if time_ns is not None:
            return time_ns
    return None


def _latencies(value: Any, path: str, depth: int) -> Iterator[dict[str, Any]]:
    if depth > _NEST:
        return
    if isinstance(value, list):
        for item in value[:1000]:
            yield from _latencies(item, path, depth + 1)
    elif isinstance(value, dict):
        found = {
            told: number
            for name, item in value.items()
            if (told := _LATENCIES.get(str(name).lower())) is not None and (number := _number(item)) is not None
        }
        if found:
            name = str(next((value[key] for key in ("region", "name", "label", "url", "host") if value.get(key)), path))
            code = _REGION.search(
                " ".join(str(value.get(key) or "") for key in ("region", "name", "url", "host", "code"))
            )
            yield {
                "name": name[:120],
                "region_code": code[1] if code else _region_of(path),
                "latency_avg_ms": found.get("avg"),
                "latency_min_ms": found.get("min"),
                "latency_max_ms": found.get("max"),
            }
            return
        for key, item in value.items():
            yield from _latencies(item, str(key), depth + 1)


def _region_of(path: str) -> str | None:
    found = _REGION.search(path)
    return found[1] if found else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:ms)?\s*", value)
        value = float(found[1]) if found else None
    return float(value) if isinstance(value, (int, float)) and 0 <= value < 1e7 else None


def _tests(value: Any, path: str, depth: int) -> Iterator[dict[str, str]]:
    """Find what names an outcome: a word, or yes and no."""
    if depth > _NEST:
        return
    if isinstance(value, list):
        for item in value[:1000]:
            yield from _tests(item, path, depth + 1)
    elif isinstance(value, dict):
        named = next((str(value[key]) for key in ("name", "label", "test", "title", "port") if value.get(key)), "")
        where = "/".join(part for part in (path, named) if part)[:120]
        for key, item in value.items():
            if str(key).lower() in _OUTCOME_NAMES and isinstance(item, (str, bool)):
                yield {"test": where or str(key), "outcome": str(item)[:120]}
            elif isinstance(item, (dict, list)):
                yield from _tests(item, "/".join(part for part in (where, str(key)) if part)[-120:], depth + 1)
