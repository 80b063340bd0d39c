"""Rows of probes: what other tools tell as sums is taken as everywhere else, and told apart from single trips."""

from pathlib import Path

from ccp_assess.fleet.probe_rows import probe_rows
from ccp_assess.probe.imports import probe_document_json, read_probe_file

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample" / "probes"


def test_the_mean_of_a_tool_that_gives_sums_only_stands_for_the_median() -> None:
    document = probe_document_json(read_probe_file(SAMPLE / "DEN" / "bench__eu-west-2__mtr.json"))
    (row,) = probe_rows(document, "x")
    assert row["rtt_p50_ms"] == document["regions"][0]["path"]["hops"][-1]["rtt_avg_ms"]
    assert (row["rtt_n"], row["rtt_p95_ms"]) == (0, None)


def test_single_trips_have_percentiles_of_their_own() -> None:
    region = {"region_code": "eu-west-2", "rtt_ms": [9.0, None, 7.0, 8.0], "rtt_p50_ms": 1.0, "path": None}
    (row,) = probe_rows({"regions": [region]}, "x")
    assert (row["rtt_p50_ms"], row["rtt_p95_ms"], row["rtt_n"]) == (8.0, 9.0, 3)


def test_where_nothing_answered_nothing_is_known() -> None:
    (row,) = probe_rows({"regions": [{"region_code": "eu-west-2", "rtt_ms": [], "rtt_p50_ms": "soon"}]}, "x")
    assert (row["rtt_p50_ms"], row["rtt_p95_ms"], row["rtt_n"]) == (None, None, 0)
