"""Two visits compared: closed only where somebody looked again in the same way."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccp_assess.assess.differences import Differences, compare_assessments
from ccp_assess.assess.saved import is_client_folder, read_assessment
from ccp_assess.errors import CcpAssessError

MORNING, LATE_MORNING, EVENING = "2026-11-02T09:10:00Z", "2026-11-09T10:50:00Z", "2026-11-09T20:00:00Z"


def visit(*findings: dict[str, Any], tested: list[dict[str, Any]] = (), regions: tuple[str, ...] = ("eu-west-2",)):
    return {
        "findings": list(findings),
        "measurements": [],
        "tested": list(tested),
        "recommendation": {"regions": list(regions)},
    }


def loss(site: str = "LIS", text: str = "2.7 % lost", **more: Any) -> dict[str, Any]:
    file = f"captures/{site}/call.pcap"
    return {
        "code": "LOSS_INBOUND",
        "severity": "critical",
        "text": text,
        "evidence": {},
        "site_id": site,
        "file": file,
    } | more


def call(site: str = "LIS", time: str = MORNING, vantage: str | None = "workstation") -> dict[str, Any]:
    return {"kind": "captures", "site_id": site, "time": time, "vantage": vantage, "region_code": None}


def codes(differences: Differences) -> dict[str, list[str]]:
    document = differences.to_document()
    return {name: [row["code"] for row in document[name]] for name in ("closed", "open", "new", "not_comparable")}


def test_a_finding_that_a_comparable_call_no_longer_shows_is_closed() -> None:
    old, new = visit(loss(), tested=[call()]), visit(tested=[call(time=LATE_MORNING)])
    assert codes(compare_assessments(old, new)) == {
        "closed": ["LOSS_INBOUND"], "open": [], "new": [], "not_comparable": [],
    }  # fmt: skip


def test_a_finding_of_both_visits_is_open_with_both_wordings() -> None:
    old, new = visit(loss(), tested=[call()]), visit(loss(text="1.4 % lost", severity="warning"), tested=[call()])
    (row,) = compare_assessments(old, new).open
    assert (row["text_was"], row["text"]) == ("2.7 % lost", "1.4 % lost")
    assert (row["severity_was"], row["severity"]) == ("critical", "warning")


def test_a_finding_that_only_the_new_visit_shows_is_new() -> None:
    old, new = visit(tested=[call()]), visit(loss(), tested=[call()])
    assert codes(compare_assessments(old, new))["new"] == ["LOSS_INBOUND"]


def test_what_shows_at_a_site_that_was_never_tested_before_is_new() -> None:
    assert codes(compare_assessments(visit(), visit(loss(), tested=[call()])))["new"] == ["LOSS_INBOUND"]


def test_a_finding_is_not_closed_by_nobody_looking_again() -> None:
    old = visit(loss(), tested=[call()])
    (row,) = compare_assessments(old, visit(tested=[call(site="DEN")])).not_comparable
    assert row["seen_in"] == "old"
    assert row["reason"] == "No call was captured at site LIS again."


@pytest.mark.parametrize(
    ("again", "told", "words"),
    [
        (call(time=EVENING), {"any_hour": True}, "at 09:10 UTC then and at 20:00 UTC now"),
        (call(vantage="bench"), {"any_vantage": True}, "from workstation then and from bench now"),
    ],
)
def test_another_hour_or_vantage_is_refused_unless_told(
    again: dict[str, Any], told: dict[str, bool], words: str
) -> None:
    old, new = visit(loss(), tested=[call()]), visit(tested=[again])
    (row,) = compare_assessments(old, new).not_comparable
    assert words in row["reason"]
    assert codes(compare_assessments(old, new, **told))["closed"] == ["LOSS_INBOUND"]


def test_hours_on_both_sides_of_midnight_are_near() -> None:
    old = visit(loss(), tested=[call(time="2026-11-02T23:30:00Z")])
    new = visit(tested=[call(time="2026-11-03T00:40:00Z")])
    assert codes(compare_assessments(old, new))["closed"] == ["LOSS_INBOUND"]


def test_an_unknown_hour_is_comparable_with_none() -> None:
    old, new = visit(loss(), tested=[call()]), visit(tested=[call(time=None)])
    (row,) = compare_assessments(old, new).not_comparable
    assert "at an unknown hour now" in row["reason"]


def test_findings_of_tables_need_no_test_to_be_closed() -> None:
    told = {
        "code": "VPN_DETOUR",
        "severity": "warning",
        "text": "a detour",
        "evidence": {},
        "site_id": None,
        "file": None,
    }
    assert codes(compare_assessments(visit(told), visit()))["closed"] == ["VPN_DETOUR"]


def test_rules_audited_again_close_what_they_lacked_at_any_hour() -> None:
    told = {
        "code": "FIREWALL_RULE_MISSING", "severity": "critical", "text": "lacks 9", "evidence": {},
        "site_id": None, "file": "rules/a.csv",
    }  # fmt: skip
    audited = {"kind": "rules", "site_id": None, "file": "rules/b.csv", "vantage": None, "time": None}
    assert codes(compare_assessments(visit(told), visit(tested=[audited])))["closed"] == ["FIREWALL_RULE_MISSING"]
    assert codes(compare_assessments(visit(told), visit()))["not_comparable"] == ["FIREWALL_RULE_MISSING"]


def probe(region: str, *diagnosis: str, time: str = MORNING) -> dict[str, Any]:
    rows = [{"code": code, "severity": "critical", "text": code} for code in diagnosis]
    regions = [{"region_code": region, "diagnosis": rows}]
    return {"site_id": "LIS", "time": time, "source": "probes/LIS/a.json", "regions": regions}


def probed(*regions: str) -> list[dict[str, Any]]:
    return [{"kind": "probes", "site_id": "LIS", "time": MORNING, "vantage": None, "region_code": r} for r in regions]


def test_a_diagnosis_is_closed_only_by_a_probe_of_the_same_region() -> None:
    old = visit(tested=probed("eu-west-2")) | {"measurements": [probe("eu-west-2", "UDP_BLOCKED")]}
    other = visit(tested=probed("us-east-1")) | {"measurements": [probe("us-east-1")]}
    same = visit(tested=probed("eu-west-2")) | {"measurements": [probe("eu-west-2")]}
    assert codes(compare_assessments(old, other))["not_comparable"] == ["UDP_BLOCKED"]
    assert codes(compare_assessments(old, same))["closed"] == ["UDP_BLOCKED"]


def test_a_diagnosis_that_the_findings_list_too_counts_once() -> None:
    told = {
        "code": "UDP_BLOCKED", "severity": "critical", "text": "blocked. The like holds for 1 other Region.",
        "evidence": {}, "site_id": "LIS", "file": "probes/LIS/a.json",
    }  # fmt: skip
    new = visit(told, tested=probed("eu-west-2")) | {"measurements": [probe("eu-west-2", "UDP_BLOCKED")]}
    (row,) = compare_assessments(visit(tested=probed("eu-west-2")), new).new
    assert row["region_code"] == "eu-west-2"


def test_the_recommended_regions_of_both_visits_are_told() -> None:
    differences = compare_assessments(visit(), visit(regions=("us-east-1",)))
    assert differences.recommendation == {"was": ["eu-west-2"], "is": ["us-east-1"]}


FINDINGS = st.lists(
    st.builds(loss, site=st.sampled_from(["A", "B"]), code=st.sampled_from(["LOSS_INBOUND", "LATE"])), max_size=4
)
TESTS = st.lists(
    st.builds(
        call,
        site=st.sampled_from(["A", "B"]),
        time=st.sampled_from([MORNING, EVENING, None]),
        vantage=st.sampled_from(["bench", None]),
    ),
    max_size=4,
)


@given(FINDINGS, TESTS, FINDINGS, TESTS)
def test_every_finding_is_in_exactly_one_list(old: Any, old_tests: Any, new: Any, new_tests: Any) -> None:
    result = compare_assessments(visit(*old, tested=old_tests), visit(*new, tested=new_tests)).to_document()
    placed = [
        (row["code"], row["site_id"]) for name in ("closed", "open", "new", "not_comparable") for row in result[name]
    ]
    assert len(placed) == len(set(placed))
    assert set(placed) == {(row["code"], row["site_id"]) for row in [*old, *new]}


def test_a_folder_without_an_assessment_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(CcpAssessError, match=r"holds no assessment\.json"):
        read_assessment(tmp_path)
    (tmp_path / "assessment.json").write_text("[1", encoding="utf-8")
    with pytest.raises(CcpAssessError, match="is no JSON"):
        read_assessment(tmp_path)
    (tmp_path / "assessment.json").write_text("[" * 5000, encoding="utf-8")
    with pytest.raises(CcpAssessError, match="nested too deep"):
        read_assessment(tmp_path)
    (tmp_path / "assessment.json").write_text("{}", encoding="utf-8")
    with pytest.raises(CcpAssessError, match="is not what"):
        read_assessment(tmp_path / "assessment.json")


@pytest.mark.parametrize(
    "damage",
    [
        {"findings": None},
        {"findings": [None]},
        {"findings": [{"code": "LOSS_INBOUND", "text": "lost"}]},
        {"findings": [{**loss(), "evidence": "x"}]},
        {"findings": [{**loss(), "site_id": {}}]},
        {"findings": [{**loss(), "site_id": float("nan")}]},
        {"measurements": [{"site_id": "LIS"}]},
        {"measurements": [{"regions": [{"diagnosis": [{"code": []}]}]}]},
        {"tested": [{"site_id": "LIS"}]},
        {"tested": [{**call(), "time": 7}]},
        {"tested": [{**call(), "vantage": 7}]},
        {"recommendation": "eu-west-2"},
        {"recommendation": {"regions": [["eu-west-2"]]}},
    ],
)
def test_a_damaged_assessment_is_refused_and_never_compared(tmp_path: Path, damage: dict[str, Any]) -> None:
    (tmp_path / "assessment.json").write_text(json.dumps({**visit(loss(), tested=[call()]), **damage}))
    with pytest.raises(CcpAssessError, match="is not what `ccp-assess assess` writes"):
        read_assessment(tmp_path)


def test_a_saved_assessment_is_read_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "assessment.json").write_text(json.dumps(visit()), encoding="utf-8")
    assert read_assessment(tmp_path) == visit()
    assert not is_client_folder(tmp_path)
