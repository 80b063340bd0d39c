"""The page of many sites: sentences that are true of the rows, unknown never a zero, hostile names harmless."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ccp_assess.report.content.many_sites import (
    compared,
    finding_grid,
    nearest_table,
    region_grid,
    site_columns,
    tables,
)
from ccp_assess.report.content.many_sites_said import sentences, unknowns
from ccp_assess.report.figures import draw_heat_map, draw_hours, draw_worst_sites
from ccp_assess.report.many_sites import MOST_ROWS, render_many_sites, write_many_sites
from ccp_assess.report.style import svg_text

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script>"


def quality(**values: Any) -> dict[str, Any]:
    row = {
        "client": "acme", "site_id": "LIS", "provider": "unknown", "seconds": 600, "packets": 30_000, "lost": 0,
        "loss_pct": 0.0, "late_pct": 0.0, "jitter_p50_ms": 2.0, "jitter_p95_ms": 6.0, "rtt_p50_ms": 40.0,
        "rtt_p95_ms": 55.0, "rtt_n": 100,
    }  # fmt: skip
    return {**row, **values}


def coverage(site_id: str, **values: Any) -> dict[str, Any]:
    row = {
        "client": "acme", "site_id": site_id, "name": site_id, "place": None, "agents": 10, "access": None,
        "provider": "Net", "captures": 2, "packets": 1000, "first_time": NOW, "last_time": NOW, "calls": 2, "failed": 0,
        "probe_rounds": 3, "regions": 2, "regions_timed": 2, "vantage": None,
    }  # fmt: skip
    return {**row, **values}


def region(site_id: str, code: str, rtt: float | None, rank: int | None = None) -> dict[str, Any]:
    return {
        "client": "acme", "site_id": site_id, "region_code": code, "rounds": 1, "rtt_p50_ms": rtt, "rtt_p95_ms": None,
        "loss_mean_pct": None, "jitter_p50_ms": None, "hop_count_p50": 9, "rank": rank, "vantages": None,
        "trips": "single trips",
    }  # fmt: skip


def finding(code: str, severity: str, sites: int, findings: int = 1) -> dict[str, Any]:
    return {
        "code": code, "severity": severity, "sites": sites, "findings": findings, "site_ids": "LIS", "example": "text",
    }  # fmt: skip


@pytest.fixture
def rows() -> dict[str, list[dict[str, Any]]]:
    return {
        "worst_sites": [
            quality(site_id="OPO", loss_pct=2.5, late_pct=0.5, lost=769),
            quality(rtt_p50_ms=210.0, rtt_p95_ms=230.0),
            quality(site_id="FAO", rtt_p50_ms=None, rtt_p95_ms=None, rtt_n=0),
        ],
        "by_hour": [quality(hour_utc=8), quality(hour_utc=13, loss_pct=4.0)],
        "by_provider": [quality(provider="Net A", loss_pct=1.0), quality(provider="Net B")],
        "region_comparison": [
            region("LIS", "eu-west-2", 30.0, 1),
            region("LIS", "us-east-1", 99.0, 2),
            region("OPO", "eu-west-2", None),
        ],
        "findings": [finding("LOSS_INBOUND", "critical", 3), finding("UPLINK_NOT_VISIBLE", "info", 3)],
        "findings_by_site": [{"code": "LOSS_INBOUND", "client": "acme", "site_id": "LIS", "findings": 2}],
        "coverage": [coverage("LIS"), coverage("OPO"), coverage("FAO")],
    }


def page(rows: dict[str, list[dict[str, Any]]], **values: Any) -> str:
    manifest = values.pop(
        "manifest", {"units": 1, "files": 1, "bytes": 9, "packets": 9, "sha256": "ab", "set_aside": []}
    )
    return render_many_sites(rows, manifest=manifest, made_at=NOW, title=values.pop("title", "Acme"), **values)


def test_the_sentences_name_the_worst_and_count_what_is_there(rows: dict[str, Any]) -> None:
    told = " ".join(sentences(rows))
    assert "3 sites: 6 captures with 6 calls and 9 probe rounds, all of them measured." in told
    assert "At OPO most audio towards the agents was lost or came too late: 3.00\u202f% in 600 seconds" in told
    assert "The longest way to the media server is that of LIS: a round trip of 210\u202fms" in told
    assert "The worst hour of the day is 13 to 14 UTC with 4.00\u202f%" in told
    assert "Of 2 providers Net A loses most: 1.00\u202f%" in told
    assert "eu-west-2 is the nearest Region by round trip at 1 of 1 site" in told
    assert "LOSS_INBOUND was found at 3 of 3 sites: what many sites share often has one cause" in told


def test_without_loss_or_calls_nothing_is_made_up(rows: dict[str, Any]) -> None:
    rows["worst_sites"] = [quality(jitter_p95_ms=9.0)]
    rows["coverage"] = [coverage("LIS", calls=9, failed=1), coverage("OPO", calls=5, failed=4)]
    assert "5 of 14 calls failed, at OPO and LIS." in sentences(rows)
    rows["by_hour"] = [quality(hour_utc=8), quality(hour_utc=9)]
    rows["findings"] = [finding("UPLINK_NOT_VISIBLE", "info", 1)]
    told = " ".join(sentences(rows))
    assert "No site lost audio towards its agents; LIS has the highest jitter, at most 9.00\u202fms" in told
    assert "No hour of the day lost audio; calls lie in 2 of 24 hours" in told
    assert "Nothing grave was found at any site" in told
    nothing = sentences({})
    assert nothing == [
        "0 sites: 0 captures with 0 calls and 0 probe rounds, all of them measured.",
        "No received audio is in the dataset: nothing can be said about the quality of calls.",
    ]


def test_numbers_of_a_bench_say_so(rows: dict[str, Any]) -> None:
    rows["coverage"] = [coverage("LIS", vantage="bench"), coverage("OPO")]
    assert "at LIS on a test bench" in sentences(rows)[0]
    rows["coverage"][1]["vantage"] = "bench"
    assert "on a test bench, not at a client's desk" in sentences(rows)[0]


def test_every_gap_is_named(rows: dict[str, Any]) -> None:
    rows["coverage"] = [
        coverage("A", captures=0, calls=0),
        coverage("B", calls=0),
        coverage("C", regions=0, regions_timed=0),
        coverage("D", regions_timed=0),
        coverage("E", agents=None),
        coverage("F", provider=None),
    ]
    told = unknowns(rows, ended=False)
    for words, site in (
        ("No capture: the quality of calls is unknown at ", "A"),
        ("The captures hold no call at ", "B"),
        ("No probe: the way to the Regions is unknown at ", "C"),
        ("so none is ranked at ", "D"),
        ("The number of agents is unknown at ", "E"),
        ("No provider is named in sites.csv for ", "F"),
    ):
        assert any(sentence.endswith(f"{words}{site}.") for sentence in told)
    assert any("22 of the 24 hours" in sentence for sentence in told)
    assert any("did not come to its end" in sentence for sentence in told)


def test_many_gaps_are_counted_not_listed() -> None:
    told = unknowns({"coverage": [coverage(f"S{n}", provider=None) for n in range(9)]})
    assert told == ["No provider is named in sites.csv for S0, S1, S2, S3, S4, S5 and 3 more."]


def test_before_and_after_stand_side_by_side_and_an_unknown_side_is_no_zero() -> None:
    before = quality(period="before", loss_pct=1.0, late_pct=0.5, jitter_p95_ms=8.0, calls=12)
    after = quality(period="after", loss_pct=0.25, late_pct=0.0, jitter_p95_ms=9.0, rtt_p50_ms=None, calls=10)
    alone = quality(site_id="OPO", period="before", calls=1)
    both, lonely = compared([before, after, alone])
    assert (both["loss_difference_pct"], both["jitter_p95_difference_ms"]) == (-1.25, 1.0)
    assert both["rtt_p50_difference_ms"] is None
    assert both["sure"] == "600 s in 12 calls before, 600 s in 10 calls after"
    assert lonely["loss_difference_pct"] is None
    assert lonely["sure"] == "nothing was heard after: no comparison"
    shown = tables({"before_after": [before, after, alone], "coverage": []})["before_after"]
    assert shown.cells(shown.rows[0])[1:4] == [
        "1.50\u202f% → 0.25\u202f%",
        "\u22121.25\u202fpoints better",
        "8.00\u202fms → 9.00\u202fms",
    ]
    assert shown.cells(shown.rows[1])[2] == "unknown"


def test_the_nearest_regions_of_a_site_and_the_frame_leave_the_unknown_out(rows: dict[str, Any]) -> None:
    grid, best = region_grid(rows["region_comparison"])
    assert grid == {"LIS": {"eu-west-2": 30.0, "us-east-1": 99.0}, "OPO": {"eu-west-2": None, "us-east-1": None}}
    assert best == [("LIS", "eu-west-2")]
    table = nearest_table(rows["region_comparison"], site_columns(rows))
    assert table.cells(table.rows[0])[:3] == ["LIS", "eu-west-2 30.0\u202fms, 9 hops", "us-east-1 99.0\u202fms, 9 hops"]
    assert table.cells(table.rows[1])[1:4] == ["unknown"] * 3
    told = [region("LIS", code, 30.0) | {"vantages": words} for code, words in (("a", "x"), ("b", "x, y"), ("c", "y"))]
    (row,) = nearest_table(told, site_columns(rows)).rows
    assert (row["vantages"], row["trips"]) == ("x, y", "single trips")


def test_two_clients_with_a_site_of_one_name_are_told_apart(rows: dict[str, Any]) -> None:
    rows["coverage"] = [coverage("LIS"), {**coverage("LIS"), "client": "other"}]
    assert [column.name for column in site_columns(rows)] == ["client", "site_id"]
    counts = [{"code": "X", "client": client, "site_id": "LIS", "findings": 1} for client in ("acme", "other")]
    assert finding_grid(counts) == {"X": {"acme LIS": 1.0, "other LIS": 1.0}}


def test_the_page_stands_alone_and_says_what_was_set_aside(rows: dict[str, Any], tmp_path: Path) -> None:
    manifest = {
        "units": 1, "files": 1, "bytes": 9, "packets": 9, "sha256": "ab" * 32,
        "set_aside": [{"path": "captures/LIS/x.pcap", "reason": "it is a text file"}],
    }  # fmt: skip
    path = write_many_sites(tmp_path / "sub" / "p.html", rows, manifest=manifest, made_at=NOW, title="Acme", since=None)
    text = path.read_text(encoding="utf-8")
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', text)
    assert "captures/LIS/x.pcap" in text
    assert "1 file could not be read and was set aside" in text
    assert "<script" not in text
    assert text.count("<svg") == 4
    assert 'id="change"' not in text


def test_the_page_of_an_unended_run_and_of_nothing_says_so() -> None:
    text = page({"coverage": []}, manifest={})
    assert "The run did not end" in text
    assert "<svg" not in text
    assert text.count("Nothing is known.") >= 4


def test_hostile_names_are_text(rows: dict[str, Any]) -> None:
    for name in ("worst_sites", "coverage", "region_comparison", "findings_by_site"):
        rows[name][0] = {**rows[name][0], "site_id": HOSTILE, "client": HOSTILE, "code": HOSTILE, "name": HOSTILE}
    rows["findings"][0] = {**rows["findings"][0], "code": HOSTILE, "severity": HOSTILE, "example": HOSTILE}
    text = page(rows, title=HOSTILE, since=NOW)
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_long_tables_are_cut_and_say_so(rows: dict[str, Any]) -> None:
    rows["worst_sites"] = [quality(site_id=f"S{number}") for number in range(MOST_ROWS + 5)]
    text = page(rows)
    assert f"the first {MOST_ROWS} of {MOST_ROWS + 5}" in text
    assert f">S{MOST_ROWS}<" not in text


def test_pictures_draw_what_is_known_and_nothing_else(rows: dict[str, Any]) -> None:
    shown = svg_text(draw_worst_sites(rows["worst_sites"])[0])
    assert all(name in shown for name in ("OPO", "LIS", "FAO", "Round trip of media [ms]"))
    _, ax = draw_worst_sites(rows["worst_sites"])
    round_trips = ax.child_axes[2]
    assert len(round_trips.lines) == 3 * 2  # band, median and end of two sites; the third is unknown
    assert [bar.get_width() for bar in ax.child_axes[0].patches] == [2.5, 0.5]
    _, ax = draw_hours([*rows["by_hour"], quality(hour=20)], clock="Europe/Lisbon", title="LIS")
    assert "Europe/Lisbon" in ax.child_axes[2].get_xlabel()
    assert len(ax.child_axes[1].lines) == 3 * 3
    assert "nothing was heard" in svg_text(draw_hours([])[0])
    assert "nothing was heard" in svg_text(draw_worst_sites([])[0])


def test_counts_in_a_heat_map_are_whole_and_the_frame_is_drawn_once() -> None:
    _, ax = draw_heat_map({"a": {"x": 1.0, "y": 12.0}, "b": {"x": None, "y": 3.0}}, framed=[("a", "x")])
    assert sorted(text.get_text() for text in ax.texts) == ["-", "1", "12", "3"]
    assert len([patch for patch in ax.patches if not patch.get_fill()]) == 1
    _, ax = draw_heat_map({"a": {"x": 1.5, "y": 12.25}})
    assert sorted(text.get_text() for text in ax.texts) == ["1.5", "12"]
