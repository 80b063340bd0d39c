"""Named scenarios: saved, replaced, deleted, and read back as they were."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ccp_assess.client.scenarios import FILE, delete_scenario, read_scenarios, save_scenario
from ccp_assess.errors import TableError
from ccp_assess.selection.options import Constraints, Weights

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
EUROPE = Constraints(residency=("EU",), excluded_regions=("us-east-1",), resiliency_pair=True)


def test_a_scenario_is_kept_under_its_name_and_read_back(tmp_path: Path) -> None:
    assert read_scenarios(tmp_path) == ()
    saved = save_scenario(tmp_path, " Europe  only ", Weights(callers=2.5), EUROPE, now=NOON)
    assert saved == read_scenarios(tmp_path)
    (one,) = saved
    assert (one.name, one.saved, one.weights, one.constraints) == (
        "Europe only",
        "2026-11-23T12:00:00Z",
        Weights(callers=2.5),
        EUROPE,
    )


def test_the_same_name_is_replaced_and_a_deleted_one_is_gone(tmp_path: Path) -> None:
    save_scenario(tmp_path, "A", Weights(), Constraints())
    save_scenario(tmp_path, "B", Weights(), Constraints())
    assert [s.name for s in save_scenario(tmp_path, "a", Weights(hops=1.0), Constraints())] == ["a", "B"]
    assert [s.name for s in delete_scenario(tmp_path, "b")] == ["a"]


def test_names_of_half_a_character_and_of_several_lines_can_be_shown_and_written_again(tmp_path: Path) -> None:
    row = {"name": "a\nb \ud800", "saved": "\ud800", "weights": {}, "constraints": {}}
    (tmp_path / FILE).write_text(json.dumps({"scenarios": [row]}), encoding="utf-8")
    kept = save_scenario(tmp_path, "c", Weights(), Constraints(), now=NOON)
    assert [one.name for one in kept] == ["a b ?", "c"]
    assert read_scenarios(tmp_path) == kept


def test_a_name_is_needed(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="give the scenario a name"):
        save_scenario(tmp_path, " ", Weights(), Constraints())


@pytest.mark.parametrize(
    "content",
    [
        "nonsense",
        "[]",
        "{}",
        '{"scenarios": [1]}',
        json.dumps({"scenarios": [{"name": "x", "saved": "", "weights": {"agents": -1}, "constraints": {}}]}),
        json.dumps(
            {"scenarios": [{"name": "x", "saved": "", "weights": {}, "constraints": {"excluded_regions": ["mars-1"]}}]}
        ),
        json.dumps({"scenarios": [{"name": "x", "saved": "", "weights": {"agents": 10**400}, "constraints": {}}]}),
        # one text, not a list of it: EU would become the countries E and U
        json.dumps({"scenarios": [{"name": "x", "saved": "", "weights": {}, "constraints": {"residency": "EU"}}]}),
        "[" * 5000,
    ],
)
def test_another_file_of_that_name_is_one_sentence_and_stays(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content, encoding="utf-8")
    with pytest.raises(TableError, match=r"scenarios\.json: the scenarios cannot be read"):
        save_scenario(tmp_path, "x", Weights(), Constraints())
    assert (tmp_path / FILE).read_text(encoding="utf-8") == content
