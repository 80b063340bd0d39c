"""Dated snapshots → what to allow by when."""

import itertools
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ccp_assess.allowlist.change import diff, read_instant, watch
from ccp_assess.errors import AllowlistError, UnknownRegionError
from ccp_assess.ranges import IpRanges, parse_ranges, read_ranges

START = datetime(2025, 6, 1, tzinfo=UTC)
GLOBAL_19 = ("15.193.0.0/19", "GLOBAL", "AMAZON_CONNECT")
EXTRA = ("44.0.0.0/24", "us-west-2", "AMAZON_CONNECT")


def snapshot(day: float, *rows: tuple[str, str, str]) -> IpRanges:
    lists: dict[str, list[dict[str, str]]] = {"prefixes": [], "ipv6_prefixes": []}
    for text, region, service in rows:
        key, column = ("ipv6_prefixes", "ipv6_prefix") if ":" in text else ("prefixes", "ip_prefix")
        lists[key].append({column: text, "region": region, "service": service})
    created = START + timedelta(days=day)
    document = {"createDate": f"{created:%Y-%m-%d-%H-%M-%S}", "syncToken": str(day)} | lists
    return parse_ranges(json.dumps(document).encode(), name=f"day {day}")


def rows(drift: Any, part: str = "added") -> list[dict[str, Any]]:
    return drift.to_document()[part]


@pytest.mark.shared
def test_the_eleven_of_2024_are_already_covered_by_the_global_block(shared: Path) -> None:
    old = read_ranges(shared / "ranges" / "ip-ranges_2024-07-17_day-before.json.gz")
    new = read_ranges(shared / "ranges" / "ip-ranges_2024-07-18_eleven-added.json.gz")
    regions = ["us-east-1", "us-west-2", "eu-west-2", "eu-central-1", "ap-south-1", "af-south-1", "ca-central-1"]
    regions += ["ap-northeast-1", "ap-northeast-2", "ap-southeast-1", "ap-southeast-2"]
    drift = diff(old, new, regions)
    assert len(drift.added) == 11
    assert drift.removed == ()
    assert drift.open == ()
    for row in rows(drift):
        assert row["already_covered_by"] == "15.193.0.0/19"
        assert row["first_seen"] == "2024-07-18T12:53:09Z"
        assert row["deadline"] == "2024-08-17T12:53:09Z"
        assert row["service"] == "AMAZON_CONNECT"


@pytest.mark.shared
def test_neither_of_the_later_snapshots_has_passed_the_deadline(shared: Path) -> None:
    names = ["2024-07-17_day-before", "2024-07-18_eleven-added", "2024-08-15_day-28", "2024-08-16_day-30"]
    snapshots = [read_ranges(shared / "ranges" / f"ip-ranges_{name}.json.gz") for name in names]
    for last in (3, 4):
        drift = watch(snapshots[:last], ["eu-west-2"])
        row = next(row for row in rows(drift) if row["prefix"] == "15.193.5.0/24")
        assert row["days_left"] >= 0
        assert row["first_seen"] == "2024-07-18T12:53:09Z"


@pytest.mark.shared
def test_a_diff_is_the_difference_of_sets_for_every_neighbouring_pair(shared: Path) -> None:
    files = sorted((shared / "ranges").glob("ip-ranges_*.json.gz"))
    documents = [read_ranges(file) for file in files]
    for old, new in itertools.pairwise(documents):
        drift = diff(old, new, ["us-west-2"])

        def needed(ranges: IpRanges) -> set[tuple[str, str, str]]:
            return {
                (row.prefix.text, row.service, row.region_code)
                for service in ("AMAZON_CONNECT", "EC2", "CLOUDFRONT")
                for row in ranges.rows(service)
                if row.region_code == "us-west-2"
                or service == "CLOUDFRONT"
                or (service == "AMAZON_CONNECT" and row.region_code == "GLOBAL")
            }

        key = ("prefix", "service", "region_code")
        assert {tuple(row[k] for k in key) for row in rows(drift)} == needed(new) - needed(old)
        assert {tuple(row[k] for k in key) for row in rows(drift, "removed")} == needed(old) - needed(new)


@pytest.mark.parametrize(
    ("day", "status", "left"),
    [(0, "to_allow", 30), (29, "to_allow", 1), (30, "ramp", 0), (43.9, "ramp", -14), (44, "in_use", -14)],
)
def test_the_clock_has_thirty_days_and_then_two_weeks_of_ramp(day: float, status: str, left: int) -> None:
    start = START + timedelta(days=5)
    drift = watch(
        [snapshot(0, GLOBAL_19), snapshot(5, GLOBAL_19, EXTRA)], ["us-west-2"], today=start + timedelta(days=day)
    )
    (row,) = rows(drift)
    assert (row["status"], row["days_left"]) == (status, left)
    assert row["ramp_until"] == f"{start + timedelta(days=44):%Y-%m-%dT%H:%M:%SZ}"


def test_what_stood_in_the_first_snapshot_needs_no_work() -> None:
    assert rows(watch([snapshot(0, GLOBAL_19, EXTRA)], ["us-west-2"])) == []


def test_a_prefix_that_went_and_came_back_starts_its_clock_again() -> None:
    drift = watch(
        [
            snapshot(0, GLOBAL_19),
            snapshot(1, GLOBAL_19, EXTRA),
            snapshot(1.07, GLOBAL_19),
            snapshot(13, GLOBAL_19, EXTRA),
            snapshot(14, GLOBAL_19, EXTRA),
        ],
        ["us-west-2"],
    )
    (row,) = rows(drift)
    assert row["first_seen"] == f"{START + timedelta(days=13):%Y-%m-%dT%H:%M:%SZ}"
    assert row["flaps"] == 1
    assert rows(drift, "removed") == []


def test_a_prefix_that_was_withdrawn_for_good_asks_for_nothing_but_its_removal() -> None:
    drift = watch([snapshot(0, GLOBAL_19), snapshot(1, GLOBAL_19, EXTRA), snapshot(2, GLOBAL_19)], ["us-west-2"])
    assert rows(drift) == []
    (gone,) = rows(drift, "removed")
    assert (gone["prefix"], gone["still_covered_by"]) == ("44.0.0.0/24", None)
    assert gone["gone_since"] == f"{START + timedelta(days=2):%Y-%m-%dT%H:%M:%SZ}"


def test_snapshots_may_come_in_any_order() -> None:
    order = [snapshot(0, GLOBAL_19), snapshot(3, GLOBAL_19, EXTRA), snapshot(9, GLOBAL_19, EXTRA)]
    assert rows(watch(order, ["us-west-2"])) == rows(watch(order[::-1], ["us-west-2"]))


def test_a_prefix_that_moves_between_regions_says_from_where_and_to_where() -> None:
    before, after = ("50.0.0.0/24", "us-east-1", "EC2"), ("50.0.0.0/24", "us-west-2", "EC2")
    both = [
        snapshot(0, before, ("51.0.0.0/24", "us-west-2", "EC2")),
        snapshot(1, after, ("52.0.0.0/24", "us-east-1", "EC2")),
    ]
    (came,) = [row for row in rows(watch(both, ["us-west-2"])) if row["prefix"] == "50.0.0.0/24"]
    assert came["moved_from"] == "us-east-1"
    (went,) = [row for row in rows(watch(both, ["us-east-1"]), "removed") if row["prefix"] == "50.0.0.0/24"]
    assert went["moved_to"] == "us-west-2"


def test_a_prefix_that_changes_from_global_to_the_region_needs_no_new_rule() -> None:
    drift = diff(
        snapshot(0, ("15.193.5.0/24", "GLOBAL", "AMAZON_CONNECT")),
        snapshot(1, ("15.193.5.0/24", "eu-west-2", "AMAZON_CONNECT")),
        ["eu-west-2"],
    )
    assert rows(drift)[0]["already_covered_by"] == "15.193.5.0/24"
    assert rows(drift, "removed")[0]["still_covered_by"] == "15.193.5.0/24"


def test_two_halves_cover_a_whole_and_parts_do_not() -> None:
    halves = [("44.0.0.0/25", "us-west-2", "AMAZON_CONNECT"), ("44.0.0.128/25", "us-west-2", "AMAZON_CONNECT")]
    assert rows(diff(snapshot(0, *halves), snapshot(1, *halves, EXTRA), ["us-west-2"]))[0]["already_covered_by"] == (
        "44.0.0.0/25, 44.0.0.128/25"
    )
    half = diff(snapshot(0, halves[0]), snapshot(1, halves[0], EXTRA), ["us-west-2"])
    assert rows(half)[0]["already_covered_by"] is None


def test_an_audio_prefix_is_not_covered_by_a_rule_for_the_web() -> None:
    wide = ("44.0.0.0/8", "us-west-2", "EC2")
    drift = diff(snapshot(0, wide), snapshot(1, wide, EXTRA), ["us-west-2"])
    assert rows(drift)[0]["already_covered_by"] is None


def test_the_cover_counts_only_while_it_is_published() -> None:
    inside = ("15.193.5.0/24", "eu-west-2", "AMAZON_CONNECT")
    drift = watch([snapshot(0, GLOBAL_19), snapshot(1, GLOBAL_19, inside), snapshot(50, inside)], ["eu-west-2"])
    assert rows(drift)[0]["already_covered_by"] is None
    (gone,) = rows(drift, "removed")
    assert gone["keep"] == ["15.193.5.0/24"]


def test_the_first_publication_can_be_given_by_hand() -> None:
    drift = diff(
        snapshot(0, GLOBAL_19), snapshot(9, GLOBAL_19, EXTRA), ["us-west-2"], first_seen=read_instant("2025-06-03")
    )
    assert rows(drift)[0]["deadline"] == "2025-07-03T00:00:00Z"


def test_the_calendar_holds_each_deadline_in_short_lines() -> None:
    many = [(f"44.{n}.0.0/24", "us-west-2", "AMAZON_CONNECT") for n in range(12)]
    drift = watch([snapshot(0, GLOBAL_19), snapshot(2, GLOBAL_19, *many)], ["us-west-2"])
    text = drift.to_calendar()
    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))
    assert "\n" not in text.replace("\r\n", "")
    unfolded = text.replace("\r\n ", "")
    assert re.findall(r"DTSTART:(\S+)", unfolded) == ["20250703T000000Z", "20250717T000000Z"]
    assert all(f"44.{n}.0.0/24" in unfolded for n in range(12))
    assert unfolded.count("BEGIN:VEVENT") == unfolded.count("END:VEVENT") == 2
    assert len(set(re.findall(r"UID:(\S+)", unfolded))) == 2


@pytest.mark.parametrize("text", ["", "yesterday", "2025-13-01", "2025-06-01T25:00:00Z", "2025-06-01; rm"])
def test_a_date_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(AllowlistError, match="date"):
        read_instant(text)


def test_dates_are_read_with_and_without_zone() -> None:
    assert read_instant("2024-07-18T12:53:09Z") == datetime(2024, 7, 18, 12, 53, 9, tzinfo=UTC)
    assert read_instant("2024-07-18 14:53:09+02:00") == datetime(2024, 7, 18, 12, 53, 9, tzinfo=UTC)


def test_no_snapshot_and_no_region_are_refused() -> None:
    with pytest.raises(AllowlistError, match="snapshot"):
        watch([], ["eu-west-2"])
    with pytest.raises(AllowlistError, match="Region"):
        watch([snapshot(0, GLOBAL_19)], [])
    with pytest.raises(UnknownRegionError):
        watch([snapshot(0, GLOBAL_19)], ["nowhere-1"])
