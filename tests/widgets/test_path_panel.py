"""The path panel without a browser: rounds as they come, hops, hours."""

import json
from pathlib import Path
from typing import Any

import pytest

from ccp_assess.errors import ProbeError
from ccp_assess.widgets import PathPanel, show_path_panel

HOSTILE = "<script>x</script>"


def region(code: str, rtt_ms: float | None, hops: int = 2) -> dict[str, Any]:
    rows = [
        {
            "ttl": ttl,
            "address": None if ttl == 1 else f"192.0.2.{ttl}",
            "sent": 1,
            "received": int(ttl > 1),
            "rtt_ms": [],
            "rtt_min_ms": None if ttl == 1 else 5.0 * ttl,
            "rtt_avg_ms": None if ttl == 1 else 6.0 * ttl,
            "rtt_max_ms": None,
            "asn": None,
        }
        for ttl in range(1, hops + 1)
    ]
    return {
        "region_code": code,
        "rtt_ms": [] if rtt_ms is None else [rtt_ms],
        "judgement": {"udp": "blocked" if rtt_ms is None else "open", "tcp": "open"},
        "relay": None,
        "train": None,
        "path": {
            "technique": "udp",
            "hop_count": None if rtt_ms is None else hops,
            "hops_seen": hops,
            "destination_answered": rtt_ms is not None,
            "hops": rows,
        },
        "diagnosis": [{"code": "UDP_BLOCKED", "severity": "critical", "text": f"No audio {HOSTILE}"}]
        if rtt_ms is None
        else [],
    }


def document(hour: int, rtt_ms: float) -> dict[str, Any]:
    return {
        "site_id": None,
        "time": f"2026-11-23T{hour:02d}:00:00Z",
        "host": {},
        "regions": [region("us-east-1", 3 * rtt_ms, 5), region("eu-west-2", rtt_ms), region("af-south-1", None)],
    }


@pytest.fixture
def panel(tmp_path: Path) -> PathPanel:
    rounds = iter(range(10, 20))
    return show_path_panel(tmp_path, lambda _options, _progress, _hear: document(10, float(next(rounds))))


def test_rounds_are_shown_nearest_first_and_kept_in_the_client_folder(panel: PathPanel, tmp_path: Path) -> None:
    panel.rounds.value = 3
    panel.start.click()
    assert len(panel.documents) == 3
    assert "After 3 rounds" in panel.table.value
    order = [panel.table.value.index(code) for code in ("eu-west-2", "us-east-1", "af-south-1")]
    assert order == sorted(order)
    (kept,) = (tmp_path / "probes").glob("rounds-*.jsonl")
    assert [json.loads(line)["time"] for line in kept.read_text("utf-8").splitlines()] == ["2026-11-23T10:00:00Z"] * 3
    assert kept.name in panel.said.value


def test_a_region_is_shown_as_soon_as_a_round_knows_of_it(tmp_path: Path) -> None:
    shown: list[str] = []

    def measure(_options: Any, _progress: Any, hear: Any) -> dict[str, Any]:
        whole = document(10, 12.0)
        for row in whole["regions"][:2]:
            hear(row | {"diagnosis": []})
            shown.append(panel.table.value)
        return whole

    panel = show_path_panel(tmp_path, measure)
    panel.rounds.value = 2
    panel.start.click()
    first, second = (row["region_code"] for row in document(10, 12.0)["regions"][:2])
    assert first in shown[0]
    assert second not in shown[0]
    assert second in shown[1]
    assert "After 0 rounds; one goes on and has reached 2 Regions" in shown[1]
    assert "After 1 rounds; one goes on and has reached 1 of 3 Regions" in shown[2]
    assert "goes on" not in panel.table.value
    assert panel.region.value == first


def test_what_was_chosen_reaches_the_measuring(tmp_path: Path) -> None:
    asked: list[Any] = []

    def measure(options: Any, progress: Any, _hear: Any) -> dict[str, Any]:
        asked.append(options)
        progress("reaching", 0, 3)
        return document(1, 5.0)

    panel = show_path_panel(tmp_path, measure)
    panel.regions.value = ("eu-west-2",)
    panel.endpoints.value = "own.csv"
    panel.full.value = True
    panel.rounds.value = 1
    panel.start.click()
    assert (asked[0].regions, asked[0].endpoints, asked[0].full) == (("eu-west-2",), Path("own.csv"), True)


def test_the_page_for_agents_is_written_into_the_client_folder(panel: PathPanel, tmp_path: Path) -> None:
    panel.regions.value = ("eu-west-2",)
    panel.page.click()
    assert "send it to the agents" in panel.said.value
    text = (tmp_path / "probe.html").read_text("utf-8")
    assert "eu-west-2" in text
    assert "af-south-1" not in text
    panel.endpoints.value = "<b>no-such-table.csv"
    panel.page.click()
    assert "does not exist" in panel.said.value
    assert "<b>no" not in panel.said.value


def test_hop_by_hop_a_silent_hop_says_so_and_the_choice_stays_over_rounds(panel: PathPanel) -> None:
    panel.show([document(1, 10.0)])
    panel.region.value = "us-east-1"
    assert panel.hops.value.count("<tr>") == 6
    assert "silent" in panel.hops.value
    panel.show([document(2, 11.0)])
    assert panel.region.value == "us-east-1"
    panel.region.value = "af-south-1"
    assert "did not answer" in panel.hops.value


def test_what_is_wrong_is_said_once_with_its_regions_and_harmless(panel: PathPanel) -> None:
    panel.show([document(1, 10.0)])
    assert panel.diagnoses.value.count("<li") == 1
    assert "af-south-1" in panel.diagnoses.value
    assert "<script" not in panel.static_html()


def test_the_hours_of_a_monitor_make_a_heat_map(panel: PathPanel, tmp_path: Path) -> None:
    rows = tmp_path / "rounds.jsonl"
    rows.write_text("\n".join(json.dumps(document(hour, 10.0 + hour)) for hour in range(24)), encoding="utf-8")
    assert panel._on_file("rounds.jsonl", rows) == "rounds.jsonl: 24 rounds."
    assert panel.by_hour.value.count("<th scope='col'") == 25
    assert ">33<" in panel.by_hour.value
    assert "Round trips by Region and hour" in panel.static_html()


def test_one_hour_is_no_heat_map_and_nothing_measured_is_said(panel: PathPanel) -> None:
    assert "Nothing was measured yet" in panel.static_html()
    panel.show([document(1, 10.0)])
    assert panel.by_hour.value == ""


def test_what_cannot_be_measured_is_one_sentence_and_what_came_before_stays(tmp_path: Path) -> None:
    rounds = iter([document(1, 5.0)])

    def measure(_options: Any, _progress: Any, _hear: Any) -> dict[str, Any]:
        for one in rounds:
            return one
        raise ProbeError("the network is gone")

    panel = show_path_panel(tmp_path, measure)
    panel.start.click()
    assert "the network is gone" in panel.job.shown.value
    assert len(panel.documents) == 1


def test_a_round_trip_of_zero_and_a_diagnosis_by_its_code_alone_are_shown(tmp_path: Path) -> None:
    panel = show_path_panel(tmp_path)
    near = region("eu-west-2", 0.0) | {"diagnosis": [{"code": "UDP_BLOCKED"}]}  # Windows says "<1 ms", read as 0
    panel.show([document(10, 0.0) | {"regions": [near]}])
    assert "<strong>eu-west-2</strong>" in panel.table.value
    assert "UDP_BLOCKED" in panel.diagnoses.value
