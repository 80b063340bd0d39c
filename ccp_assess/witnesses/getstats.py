"""Series of ``getStats`` reports as applications and test benches save them, and the traces of rtcstats.

There is no standard form. A statistic is known by its ``type``; around it may stand a report (``{id: statistic}`` or
``[[id, statistic]]``), a sample that groups statistics by type, a list of samples, or a trace of lines
(``["getstats", connection, report, time]``) in which only what changed is told.
"""

from __future__ import annotations

from typing import Any

from ccp_assess.errors import ParseError
from ccp_assess.units import NS_PER_MS
from ccp_assess.witnesses.agent_log_entries import instant_ns
from ccp_assess.witnesses.records import Witness
from ccp_assess.witnesses.rtc_stats import AUDIO_LEVEL_FULL_SCALE, RtcStats, instant_from_ms

RTP_TYPES = frozenset(
    {
        "inbound-rtp",
        "outbound-rtp",
        "remote-inbound-rtp",
        "inboundrtp",
        "outboundrtp",
        "candidate-pair",
        "candidatepair",
    }
)
"""Types that show a report of ``getStats``."""

_TYPES = RTP_TYPES | {"media-source", "local-candidate", "remote-candidate", "transport", "codec", "media-playout"}
_SAMPLE_TIMES = ("t", "time", "timestamp", "ts", "date")
_GETSTATS = frozenset({"getstats", "getstatsonsuccess", "stats", "s"})
_NEST = 12
_LATEST_MS = 1e15
"""No line of a trace is later, and no number beyond it an instant [ms]."""


def trace_of_2016(document: Any) -> list[Any]:
    """Bring the first form of rtcstats traces, an object of connections, into lines.

    Parameters
    ----------
    document
        As parsed.

    Returns
    -------
    lines
        ``[method, connection, value, time]``; empty if it is none.
    """
    connections = document.get("peerConnections") if isinstance(document, dict) else None
    return [
        [str(entry.get("type")), str(name), entry.get("value"), time_ns / NS_PER_MS]
        for name, entries in (connections.items() if isinstance(connections, dict) else ())
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, dict) and (time_ns := instant_ns(entry.get("time"))) is not None
    ]


def is_trace_line(value: Any) -> bool:
    """Tell a line of an rtcstats trace.

    Parameters
    ----------
    value
        As parsed.

    Returns
    -------
    is_line
        Whether it is ``[method, connection, ..., time]``.
    """
    return (
        isinstance(value, list)
        and len(value) >= 4
        and isinstance(value[0], str)
        and (value[1] is None or isinstance(value[1], (str, int)))
        and isinstance(value[-1], (int, float))
        and abs(value[-1]) < _LATEST_MS
    )


def holds_stats(value: Any, depth: int = 0) -> bool:
    """Tell whether statistics of ``getStats`` stand anywhere in a document, looking only as far as needed.

    Parameters
    ----------
    value
        As parsed.
    depth
        How deep this is.

    Returns
    -------
    holds
        Whether one is found.
    """
    if depth > _NEST:
        return False
    if isinstance(value, dict):
        if str(value.get("type")) in RTP_TYPES or any(
            name in RTP_TYPES and isinstance(rows, (list, dict)) for name, rows in value.items()
        ):
            return True
        return any(holds_stats(item, depth + 1) for item in value.values() if isinstance(item, (dict, list)))
    if isinstance(value, list):
        return any(holds_stats(item, depth + 1) for item in value[:2000] if isinstance(item, (dict, list)))
    return False


def getstats_witness(values: list[Any], file: str, *, cut: bool = False) -> Witness:
    """Read a series of reports.

    Parameters
    ----------
    values
        The documents of the file.
    file
        Its name.
    cut
        Whether its end is missing.

    Returns
    -------
    witness
        Of kind ``getstats``.

    Raises
    ------
    ParseError
        If there is no sample of audio in it.
    """
    stats = RtcStats()
    if any(is_trace_line(value) for value in values[:20]):
        _add_trace(stats, values)
    else:
        for value in values:
            _look_into(stats, value, _Place(), 0)
    if not stats.samples:
        raise ParseError(f"{file}: getStats reports, but none of audio with a time; save the reports of a call")
    calls, seconds = stats.finish()
    notes = []
    if cut:
        notes.append("The file was cut at its end; what is there was read.")
    if not calls:
        notes.append("No connection in it carried audio.")
    if stats.beyond:
        notes.append("There are more samples than are kept of one file; the last ones were left out.")
    return Witness(
        kind="getstats",
        file=file,
        calls=calls,
        seconds=seconds,
        notes=tuple(notes),
        more={"audio_level_full_scale": AUDIO_LEVEL_FULL_SCALE},
    )


class _Place:
    """Where in a document a statistic stands: whose it is and when it was sampled."""

    __slots__ = ("path", "time_ns")

    def __init__(self, path: str = "", time_ns: int | None = None) -> None:
        self.path = path
        self.time_ns = time_ns


def _look_into(stats: RtcStats, value: Any, place: _Place, depth: int) -> None:
    if depth > _NEST:
        return
    if isinstance(value, list):
        # samples of one series stand in a list, series of several connections in lists of lists
        for at, item in enumerate(value):
            if isinstance(item, list) and len(item) == 2 and isinstance(item[0], str) and isinstance(item[1], dict):
                _look_into(stats, item[1], place, depth + 1)  # an entry of a report as a map
            elif isinstance(item, (dict, list)):
                path = f"{place.path}/{at}" if _is_series(item) else place.path
                _look_into(stats, item, _Place(path, place.time_ns), depth + 1)
        return
    if not isinstance(value, dict):
        return
    if str(value.get("type")) in _TYPES and ("id" in value or "timestamp" in value or "ssrc" in value):
        own_ns = place.time_ns or _instant(value.get("timestamp"))
        if own_ns is not None:
            stats.add(place.path or "connection", own_ns, value)
        return
    told = (_instant(value.get(name)) for name in _SAMPLE_TIMES)
    time_ns = next((read_ns for read_ns in told if read_ns is not None), None)
    inner = _Place(place.path, time_ns or place.time_ns)
    for name, item in value.items():
        if name in _TYPES:
            for row in item if isinstance(item, list) else (item,):
                if isinstance(row, dict):
                    # rows that stand under their type need not repeat it
                    _look_into(stats, {"id": f"{name}/{row.get('ssrc', '')}", **row, "type": name}, inner, depth + 1)
        elif isinstance(item, (dict, list)):
            named = isinstance(item, list) and not _is_report(item)
            path = f"{place.path}/{name}" if named or _is_series(item) else place.path
            _look_into(stats, item, _Place(path, inner.time_ns), depth + 1)


def _instant(value: Any) -> int | None:
    """Read milliseconds since 1970, or the text that a logger made of them."""
    return instant_ns(value) if isinstance(value, str) else instant_from_ms(value)


def _is_report(item: list[Any]) -> bool:
    first = next((one for one in item if isinstance(one, (dict, list))), None)
    return (isinstance(first, dict) and str(first.get("type")) in _TYPES) or (
        isinstance(first, list) and len(first) == 2 and isinstance(first[0], str)
    )


def _is_series(item: Any) -> bool:
    """Tell what holds a series of samples of one connection from a sample."""
    if isinstance(item, dict):
        return isinstance(item.get("samples"), list) or isinstance(item.get("stats"), list)
    return isinstance(item, list) and not _is_report(item)


def _add_trace(stats: RtcStats, values: list[Any]) -> None:
    """Take the lines of an rtcstats trace.

    Each report tells only what changed since the one before; in it, an instant of 0 stands for the report's own, which
    is told apart. Since format 3 the lines' times are differences, the first to 1970.
    """
    before: dict[str, dict[str, dict[str, Any]]] = {}
    clock_ms = 0.0
    relative = any(isinstance(value, dict) and value.get("fileFormat") == 3 for value in values[:5])
    for value in values:
        if not is_trace_line(value):
            continue
        clock_ms = clock_ms + value[-1] if relative else float(value[-1])
        if value[0].lower() not in _GETSTATS or not isinstance(value[2], dict):
            continue
        connection = str(value[1])
        known = before.setdefault(connection, {})
        report = dict(value[2])
        told_ms = report.pop("timestamp", None)
        at_ns = instant_from_ms(told_ms) or instant_from_ms(clock_ms)
        if at_ns is None:
            continue
        now: dict[str, dict[str, Any]] = {}
        for name, changed in report.items():
            if isinstance(changed, dict):
                now[name] = {**known.get(name, {}), **changed}
        before[connection] = now
        for name, stat in now.items():
            own = stat.get("timestamp")
            stat_id = {**stat, "id": name}
            if own == 0:
                del stat_id["timestamp"]
            stats.add(connection, at_ns, stat_id)
