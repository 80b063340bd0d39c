"""Rows of transactions as lines of JSON, written in bulk: a long capture has a hundred thousand of them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ccp_assess.capture.records import Scan
from ccp_assess.traffic.transactions import OUTCOME_NAMES, method_name
from ccp_assess.units import NS_PER_S, rfc3339_from_ns

CHUNK_ROWS = 20_000
"""Rows that stand in memory as text at a time."""

_OFTEN = {"flow": 31, "channel": 16, "method": 12, "outcome": 2, "inside": 1, "outbound_of_key": 1}
_RARE = ("error_code", "retransmissions", "peer")
"""Columns that repeat from row to row, all but the time and the round trip: with their bits, and seldom filled ones."""

_FRAMED = ("flow", "method", "inside", "outbound_of_key", "outcome", "error_code", "retransmissions", "channel", "peer")


def instants(times_ns: npt.NDArray[np.int64]) -> list[str]:
    """Write many instants; those of one second share their beginning.

    Parameters
    ----------
    times_ns
        Instants since 1970-01-01T00:00:00Z [ns].

    Returns
    -------
    texts
        Each as ``rfc3339_from_ns`` writes it.
    """
    seconds, fractions = np.divmod(times_ns, NS_PER_S)
    distinct, places = np.unique(seconds, return_inverse=True)
    begun = [rfc3339_from_ns(second * NS_PER_S)[:-1] for second in distinct.tolist()]
    if any(text[0] == "@" for text in begun):  # a clock beyond year 9999
        return [rfc3339_from_ns(time_ns) for time_ns in times_ns.tolist()]
    return [
        f"{begun[place]}.{fraction:09d}".rstrip("0").rstrip(".") + "Z"
        for place, fraction in zip(places.ravel().tolist(), fractions.tolist(), strict=True)
    ]


def transaction_lines(transactions: npt.NDArray[np.void], scanned: Scan) -> Iterator[list[str]]:
    """Write transactions as JSON objects, piece by piece.

    Parameters
    ----------
    transactions
        Rows of ``TRANSACTION_ROW``.
    scanned
        Whose flows and peers they name.

    Yields
    ------
    lines
        One object each, as ``json.dumps`` writes the rows of the table; what can go wrong has been done before the
        first of them.
    """
    numbers, kinds = _kinds(transactions)
    return _lines(transactions, kinds, _frames(transactions[numbers], scanned))


def _lines(
    transactions: npt.NDArray[np.void], kinds: npt.NDArray[np.int64], frames: list[tuple[str, str]]
) -> Iterator[list[str]]:
    for start in range(0, len(transactions), CHUNK_ROWS):
        rows = transactions[start : start + CHUNK_ROWS]
        trips = np.round(rows["rtt_ms"], 6).tolist()
        yield [
            # NaN, the unknown here, is the number that differs from itself.
            f'{{"time": "{time}"{frames[kind][0]}{trip if trip == trip else "null"}{frames[kind][1]}'  # noqa: PLR0124
            for time, kind, trip in zip(
                instants(rows["time_ns"]), kinds[start : start + CHUNK_ROWS].tolist(), trips, strict=True
            )
        ]


def _kinds(transactions: npt.NDArray[np.void]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Give rows the same number that differ only in time and round trip.

    Returns
    -------
    firsts, kinds
        A row of each kind, and the kind of each row.
    """
    rare = np.zeros(len(transactions), np.int64)
    usual = (transactions["error_code"] == 0) & (transactions["retransmissions"] == 0) & (transactions["peer"] < 0)
    unusual = np.flatnonzero(~usual)
    if len(unusual):
        cells = np.stack([transactions[name][unusual].astype(np.int64) for name in _RARE], axis=1)
        rare[unusual] = 1 + np.unique(cells, axis=0, return_inverse=True)[1].ravel()
    often = np.zeros(len(transactions), np.int64)
    for name, bits in _OFTEN.items():
        often = often << bits | transactions[name].astype(np.int64)
    often = np.unique(often, return_inverse=True)[1].ravel()
    _, firsts, kinds = np.unique(often * (rare.max(initial=0) + 1) + rare, return_index=True, return_inverse=True)
    return firsts, kinds.ravel()


def _frames(rows: npt.NDArray[np.void], scanned: Scan) -> list[tuple[str, str]]:
    """Write what stands before and after the round trip of each row."""
    ways: dict[int, tuple[str, str, str]] = {}
    for number in np.unique(rows["flow"]).tolist():
        flow = scanned.flows[number]
        a, b = json.dumps(flow.a), json.dumps(flow.b)
        ahead = f'"src": {a}, "src_port": {flow.a_port}, "dst": {b}, "dst_port": {flow.b_port}'
        back = f'"src": {b}, "src_port": {flow.b_port}, "dst": {a}, "dst_port": {flow.a_port}'
        ways[number] = back, ahead, json.dumps(flow.transport)
    methods = {number: json.dumps(method_name(number)) for number in np.unique(rows["method"]).tolist()}
    frames = []
    for flow, method, inside, outbound, outcome, code, repeated, channel, peer in zip(
        *(rows[name].tolist() for name in _FRAMED), strict=True
    ):
        way = ways[flow]
        before = (
            f', "method": {methods[method]}, "inside_relay": {"true" if inside else "false"}, {way[outbound]}, '
            f'"outcome": "{OUTCOME_NAMES[outcome]}", "error_code": {code or "null"}, '
            f'"retransmissions": {repeated}, "rtt_ms": '
        )
        named = json.dumps(scanned.peers[peer]) if peer >= 0 else "null"
        frames.append((before, f', "channel_number": {channel or "null"}, "peer": {named}, "transport": {way[2]}}}'))
    return frames
