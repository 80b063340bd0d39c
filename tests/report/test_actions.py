"""What follows from a finding: to do, owner, test."""

import pytest

from ccp_assess.report.actions import action_for
from ccp_assess.traffic.findings import CODES

_NOTES_ONLY = {"HOLD", "MUTED", "UPLINK_NOT_VISIBLE", "QUIC_NAME_UNKNOWN", "CAPTURE_LIMIT", "CAPTURE_TUNNELLED"}


@pytest.mark.parametrize("code", [code for code in CODES if code not in _NOTES_ONLY])
def test_every_code_of_a_capture_says_what_to_do_and_who_does_it(code):
    action = action_for({"code": code, "evidence": {}}, ["eu-west-2"])
    assert action.todo.endswith(".")
    assert action.owner != "To be agreed"
    assert "ccp-assess" in action.retest


def test_the_side_that_a_finding_names_gives_the_owner():
    action = action_for({"code": "MEDIA_RTT_HIGH", "evidence": {"side": "beyond_relay"}}, [])
    assert "AWS" in action.owner


def test_what_the_finding_itself_says_takes_precedence():
    finding = {"code": "LOSS_INBOUND", "action": "Mend it.", "owner": "Ann", "retest": "look"}
    action = action_for(finding, [])
    assert (action.todo, action.owner, action.retest) == ("Mend it.", "Ann", "look")


def test_a_hostile_site_name_cannot_end_the_command():
    retest = action_for({"code": "UDP_BLOCKED", "site_id": "a; rm -rf ~"}, ["eu-west-2"]).retest
    assert "'a; rm -rf ~'" in retest
