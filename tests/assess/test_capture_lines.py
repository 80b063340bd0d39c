"""Rows written in bulk: the same text as row by row, and never half a document."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from ccp_assess.assess import capturelines
from ccp_assess.assess.capturelines import instants, transaction_lines
from ccp_assess.assess.capturerows import transaction_rows
from ccp_assess.cli.capture import document_pieces
from ccp_assess.traffic.relaypaths import PathKey, RelayPaths
from ccp_assess.traffic.transactions import TRANSACTION_ROW
from ccp_assess.units import rfc3339_from_ns

FLOWS = tuple(
    SimpleNamespace(a="10.0.0.5", a_port=50_000 + k, b="2001:db8::1", b_port=3478, transport=transport)
    for k, transport in enumerate(("udp", "tcp"))
)


def transactions(count):
    rng = np.random.default_rng(7)
    rows = np.zeros(count, TRANSACTION_ROW)
    rows["time_ns"] = np.sort(rng.integers(0, 3_000_000_000, count)) + 1_600_000_000_000_000_000
    rows["time_ns"][::7] -= rows["time_ns"][::7] % 1_000_000_000
    rows["rtt_ms"] = np.where(rng.random(count) < 0.3, np.nan, rng.random(count) * 100)
    for name, top in (("flow", 2), ("method", 12), ("inside", 2), ("outbound_of_key", 2), ("outcome", 3)):
        rows[name] = rng.integers(0, top, count)
    rows["error_code"] = rng.choice([0, 401, 438], count)
    rows["channel"] = rng.choice([0, 0x4000], count)
    rows["peer"] = rng.integers(-1, 2, count)
    rows["retransmissions"] = rng.integers(0, 3, count)
    return rows


@pytest.mark.parametrize("count", [0, 1, 500])
def test_lines_in_bulk_are_what_row_by_row_gives(count, monkeypatch):
    monkeypatch.setattr(capturelines, "CHUNK_ROWS", 64)
    rows = transactions(count)
    scanned = SimpleNamespace(flows=FLOWS, peers=('192.0.2.1:4000"', "[2001:db8::2]:5000"))
    lines = [line for part in transaction_lines(rows, scanned) for line in part]
    assert lines == [json.dumps(row) for row in transaction_rows(rows, scanned.flows, scanned.peers)]


def test_instants_are_written_as_one_by_one():
    times = [0, 1, 1_500_000_000, 1_600_000_000_120_000_000, 253_402_300_800_000_000_001, -1, 9_223_372_036_854_775_807]
    times = [time for time in times if time < 1 << 63]
    assert instants(np.array(times, np.int64)) == [rfc3339_from_ns(time) for time in times]


def test_a_row_that_cannot_be_written_leaves_nothing_of_the_document():
    with pytest.raises(TypeError, match="not JSON serializable"):
        document_pieces({"captures": [{"path": "a"}], "calls": [{"x": object()}]}, {})


def test_a_document_is_the_same_json_whether_rows_come_as_rows_or_as_lines():
    rows = [{"a": float("nan"), "b": np.int64(3)}, {"a": 1.5, "b": None}]
    lines = [['{"a": null, "b": 3}'], [], ['{"a": 1.5, "b": null}']]
    plain = "".join(document_pieces({"rows": rows, "none": []}, {}))
    assert plain == "".join(document_pieces({"rows": None, "none": None}, {"rows": lines, "none": [[]]}))
    assert json.loads(plain) == {"rows": [{"a": None, "b": 3}, {"a": 1.5, "b": None}], "none": []}


@pytest.mark.parametrize("bindings", [[], [(50, "a:1")], [(50, "a:1"), (90, "b:2"), (120, "a:1")]])
def test_packets_of_a_channel_are_parted_as_each_would_be_named(bindings):
    paths = RelayPaths([])
    paths._bindings[3, 0x4001] = bindings
    times = np.array([0, 50, 60, 89, 90, 119, 120, 500])
    named = {}
    for key, positions in paths.split(3, 0x4001, times):
        for position in positions.tolist():
            named[position] = key
    assert named == {k: paths.key(3, 0x4001, None, int(time)) for k, time in enumerate(times)}
    assert all(isinstance(key, PathKey) for key in named.values())
