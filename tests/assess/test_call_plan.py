"""The list of test calls: made, ticked off, tied to captures, and counted in the trial."""

import json
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from ccp_assess.assess.call_plan import KINDS, join_captures, new_plan, read_plan, tick, write_plan
from ccp_assess.cli.capture import app
from ccp_assess.errors import TableError
from ccp_assess.trial import CLASSES, count_calls, read_log

TEN = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


def call(call_id, start, end):
    return {"call_id": call_id, "start_time": f"2026-11-23T{start}Z", "end_time": f"2026-11-23T{end}Z"}


def test_a_new_plan_tests_every_class_and_lasts_long_enough():
    plan = new_plan(rounds=2)
    assert len(plan) == 2 * len(KINDS)
    assert {planned.call_class for planned in plan} == set(CLASSES)
    assert max(planned.minutes for planned in plan) == 30
    assert not any(planned.is_done for planned in plan)


def test_what_is_written_is_read_again(tmp_path):
    plan = tick(new_plan(), 2, "dropped", TEN, note='heard "nothing"; then, silence')
    write_plan(plan, tmp_path / "plan.csv")
    assert read_plan(tmp_path / "plan.csv") == plan


def test_only_calls_that_were_made_count_in_the_trial(tmp_path):
    plan = tick(tick(new_plan(), 3, "ok", TEN), 1, "no_audio", TEN)
    write_plan(plan, tmp_path / "plan.csv")
    calls = read_log(tmp_path / "plan.csv")
    assert [(logged.call_class, logged.outcome) for logged in calls] == [("answer", "no_audio"), ("transfer", "ok")]
    assert count_calls(calls).failures == 1


def test_each_call_is_tied_to_the_one_that_was_on_the_wire_and_none_twice():
    plan = tick(tick(tick(new_plan(), 1, "ok", TEN), 2, "ok", TEN.replace(minute=4)), 3, "ok", TEN.replace(hour=12))
    document = {"calls": [call("b", "10:04:10", "10:06:00"), call("a", "09:59:50", "10:02:00")]}
    joined = join_captures(plan, [("monday.pcap", document)])
    assert [(planned.call_id, planned.capture) for planned in joined[:3]] == [
        ("a", "monday.pcap"),
        ("b", "monday.pcap"),
        (None, None),
    ]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("video,,", "'video' is none of inbound"),
        ("hold,perfect,", "'perfect' is none of ok"),
        ("hold,ok,tomorrow", "'tomorrow' is no time"),
        ("hold,ok,9999-12-31T23:59:59-23:00", "is no time"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, row, words):
    (tmp_path / "plan.csv").write_text(f"kind,outcome,time\ninbound,ok,2026-11-23T10:00\n{row}\n")
    with pytest.raises(TableError, match=words) as told:
        read_plan(tmp_path / "plan.csv")
    assert told.value.row == 3


@pytest.mark.parametrize(("number", "outcome"), [(0, "ok"), (99, "ok"), (1, "fine")])
def test_what_is_not_in_the_plan_cannot_be_ticked(number, outcome):
    with pytest.raises(TableError):
        tick(new_plan(), number, outcome, TEN)


def test_the_command_makes_ticks_and_shows_the_plan(tmp_path):
    file = str(tmp_path / "test-calls.csv")
    run = CliRunner().invoke
    assert "0 of 6 calls made." in run(app, ["plan", file, "--new"]).output
    assert run(app, ["plan", file, "--new"]).exit_code == 2
    ticked = run(app, ["plan", file, "--done", "1", "--began", "2026-11-23T10:00:00+00:00", "--json"])
    first = json.loads(ticked.output)[0]
    assert (first["outcome"], datetime.fromisoformat(first["time"])) == ("ok", TEN)
    assert "1 of 6 calls made." in run(app, ["plan", file]).output
    assert run(app, ["plan", file, "--done", "2", "--began", "soon"]).exit_code == 2
