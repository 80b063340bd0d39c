"""Calls in agent logs: whole, cut, hostile, and against another author's cases."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from ccp_assess.assess.trial_calls import calls_from_log
from ccp_assess.errors import CcpAssessError, ParseError
from ccp_assess.trial import count_calls
from ccp_assess.witnesses import agent_log, agent_log_entries
from ccp_assess.witnesses.agent_log import parse_agent_log, read_agent_log
from ccp_assess.witnesses.agent_log_entries import ReadState, read_entries

ONE, TWO = "b44757a2-b0f4-4ee7-8d4d-6dfc8694e06a", "e475efaf-23fd-4379-854a-7266049f933c"


def entry(second: int, text: str, **more: Any) -> dict[str, Any]:
    return {
        "component": "ccp",
        "level": "LOG",
        "text": text,
        "time": f"2026-01-01T00:{second // 60:02d}:{second % 60:02d}.000Z",
        **more,
    }


def report(start: int, end: int, **more: Any) -> str:
    row = {
        "callStartTime": entry(start, "")["time"],
        "callEndTime": entry(end, "")["time"],
        "talkingTimeMillis": (end - start) * 1000,
        "iceCollectionFailure": False,
        **more,
    }
    return json.dumps(row)


def write(tmp_path: Path, rows: list[Any], *, encoding: str = "utf-8") -> Path:
    path = tmp_path / "agent-log.txt"
    path.write_text(json.dumps(rows, indent=1), encoding=encoding)
    return path


def outcomes(path: Path) -> list[tuple[str, str]]:
    return [(call.call_class, call.outcome) for call in read_agent_log(path).calls]


def test_a_contact_its_report_and_its_error_are_one_call(tmp_path: Path) -> None:
    rows = [
        entry(0, f"Publishing event: contact::connecting::{ONE}"),
        entry(3, "Softphone error occurred :  ice_collection_timeout Ice collection timedout", level="ERROR"),
        entry(4, " sendSoftphoneReport success" + report(0, 4, iceCollectionFailure=True)),
        entry(60, f"Publishing event: contact::connected::{TWO}"),
        entry(120, " sendSoftphoneReport success" + report(60, 120)),
        entry(121, f"Publishing event: contact::ended::{TWO}"),
    ]
    calls = read_agent_log(write(tmp_path, rows)).calls
    assert [(call.contact_id, call.outcome, call.errors) for call in calls] == [
        (ONE, "softphone_error", ("ice_collection_timeout",)),
        (TWO, "ok", ()),
    ]


@pytest.mark.parametrize("name", sorted(agent_log.ERRORS_OF_A_CALL))
def test_an_error_that_only_a_call_can_meet_is_a_failed_call(tmp_path: Path, name: str) -> None:
    assert outcomes(write(tmp_path, [entry(0, f"Softphone error occurred : {name} why")])) == [
        ("answer", "softphone_error")
    ]


def test_an_error_while_the_page_loads_is_no_call(tmp_path: Path) -> None:
    log = read_agent_log(write(tmp_path, [entry(0, "Softphone error occurred :  microphone_not_shared Your mic")]))
    assert log.calls == ()
    assert [name for _, name in log.errors] == ["microphone_not_shared"]


@pytest.mark.parametrize(
    ("more", "outcome"),
    [
        ({"iceConnectionsFailed": True}, "dropped"),
        ({"iceConnectionsLost": 2}, "ok"),
        ({"softphoneStreamStatistics": [{"softphoneStreamType": "audio_input", "packetsCount": 0}]}, "no_audio"),
        ({"softphoneStreamStatistics": [{"softphoneStreamType": "audio_input", "packetsCount": 9}]}, "ok"),
        ({"handshakingFailure": True}, "softphone_error"),
    ],
)
@pytest.mark.parametrize("wrapped", ["{}", "[{}]", "as text", "attached"])
def test_a_report_tells_the_outcome_however_it_is_wrapped(
    tmp_path: Path, more: dict[str, Any], outcome: str, wrapped: str
) -> None:
    told = report(0, 60, **more)
    if wrapped == "attached":
        row = entry(60, "SoftphoneReport", objects=[{"report": json.loads(told)}])
    elif wrapped == "as text":
        row = entry(60, json.dumps(told))
    else:
        row = entry(60, "TelemetryCallReport " + wrapped.replace("{}", told))
    assert outcomes(write(tmp_path, [row])) == [("answer", outcome)]


def test_third_parties_make_transfers_and_conferences(tmp_path: Path) -> None:
    rows = []
    for at, contact, api in ((0, ONE, "createAdditionalConnection"), (200, TWO, "conferenceConnections")):
        rows += [
            entry(at, f"contact::connected::{contact}"),
            entry(at + 30, f"AWSClient: <-- '{api}' succeeded"),
            entry(at + 60, f"contact::ended::{contact}"),
        ]
    assert outcomes(write(tmp_path, rows)) == [("transfer", "ok"), ("conference", "ok")]


def test_missed_contacts_and_chats_are_no_calls(tmp_path: Path) -> None:
    rows = [
        entry(0, f"contact::incoming::{ONE}"),
        entry(20, f"contact::missed::{ONE}"),
        entry(30, f"contact::connected::{TWO}", objects=[{"contactId": TWO, "type": "chat"}]),
    ]
    assert outcomes(write(tmp_path, rows)) == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_of_the_systems_are_understood(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path, [entry(0, f"contact::connected::{ONE}")], encoding=encoding)
    assert [call.outcome for call in calls_from_log(path)] == ["ok"]


def test_a_log_cut_anywhere_keeps_its_whole_entries() -> None:
    rows = [entry(number, f'text {number} }}{{ \\ " ]', objects=[{"a": [number]}]) for number in range(12)]
    text = json.dumps(rows)
    for first in range(0, len(text), 7):
        for last in range(first + 1, len(text) + 1, 31):
            state = ReadState()
            piece = text[first:last]
            found = [int(read.text.split()[1]) for read in read_entries(io.StringIO(piece), state)]
            whole = [number for number, row in enumerate(rows) if json.dumps(row) in piece]
            assert found == whole
            assert state.cut == (piece != text)


def test_small_blocks_give_the_same_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [entry(number, "x" * number) for number in range(50)]
    monkeypatch.setattr(agent_log_entries, "BLOCK_CHARACTERS", 13)
    state = ReadState()
    assert [len(read.text) for read in read_entries(io.StringIO(json.dumps(rows)), state)] == list(range(50))
    assert (state.skipped, state.cut) == (0, False)


@pytest.mark.parametrize(
    "text", ['{"text":' * 50_000, "[" * 100_000, '[{"text": "' + "\\" * 99_999, '["a", 1, null, {}]']
)
def test_hostile_text_gives_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "agent-log.txt"
    path.write_text(text)
    with pytest.raises(ParseError, match=r"agent-log\.txt: no entry of an agent log"):
        read_agent_log(path)


def test_too_many_contacts_are_refused_and_not_cut_silently(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_log, "MOST_KEPT", 1)
    path = write(tmp_path, [entry(0, f"contact::connected::{ONE}"), entry(1, f"contact::connected::{TWO}")])
    with pytest.raises(CcpAssessError, match="split it"):
        calls_from_log(path)


def test_a_table_of_calls_is_told_from_an_agent_log(tmp_path: Path) -> None:
    table = tmp_path / "calls.csv"
    table.write_text("time,class,outcome\n2026-01-01,transfer,dropped\n")
    assert [(call.call_class, call.outcome) for call in calls_from_log(table)] == [("transfer", "dropped")]


def test_calls_of_unknown_class_do_not_pass_as_answered() -> None:
    from ccp_assess.trial import TrialCall

    result = count_calls([TrialCall(time="", call_class="unknown", outcome="ok")] * 300)
    assert result.verdict == "undecided"
    assert result.by_class["unknown"] == {"calls": 300, "failures": 0}
    assert result.by_class["answer"]["calls"] == 0
    assert any("Calls of unknown class: 300." in reason for reason in result.reasons)


@pytest.mark.shared
def test_another_authors_cases_give_the_same_entries_and_contacts(shared: Path) -> None:
    cases = json.loads((shared / "logs" / "ccp" / "ccp_log_parser_spec_cases.developers.json").read_text())
    compared = 0
    for case in cases:
        if "truth" not in case or not isinstance(case["input"], str):
            continue
        state = ReadState()
        entries = list(read_entries(io.StringIO(case["input"]), state))
        assert len(entries) == case["truth"]["entries"], case["test"]
        contacts = {agent_log._contact_of(one) for one in entries} - {None}  # the truth is about contacts, not calls
        assert contacts == {row["contactId"] for row in case["truth"]["contacts"]}, case["test"]
        compared += 1
    assert compared > 20


@pytest.mark.shared
def test_the_union_of_those_cases_holds_calls_that_went_well(shared: Path) -> None:
    log = read_agent_log(shared / "logs" / "ccp" / "agent-log_union_of_spec_fixtures.developers.txt")
    assert not log.cut
    assert log.calls
    assert {call.outcome for call in log.calls} == {"ok"}
    assert parse_agent_log([]).calls == ()
