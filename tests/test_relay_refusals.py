"""Refusals by a real relay (coturn 4.6.1, asked by a client made of nothing but sockets): told as what they are."""

from pathlib import Path

import pytest

from ccp_assess.assess.captures import assess_captures

FOLDER = Path(__file__).parent / "vectors" / "turn"


@pytest.mark.parametrize(
    ("name", "phase", "reason", "requests"),
    [
        ("permission-403", "permission", "error_403", 1),
        ("ice-unanswered", "ice", "no_checks_answered", 20),
        ("dtls-unanswered", "dtls", "not_finished", 1),
    ],
)
def test_a_call_that_failed_after_the_allocation_names_the_phase(name, phase, reason, requests):
    (entry,) = assess_captures([FOLDER / f"{name}.pcap"]).calls
    failure = entry.call.failure
    assert (failure.phase, failure.reason, failure.requests) == (phase, reason, requests)
    assert entry.call.relay.port == 34780


@pytest.mark.parametrize("code", [437, 486])
def test_an_allocation_refused_beside_a_granted_one_is_told(code):
    assessment = assess_captures([FOLDER / f"allocate-{code}.pcap"])
    assert assessment.calls == ()
    told = {finding.code: finding for finding in assessment.findings}
    assert told["ALLOCATE_REFUSED"].evidence["error_code"] == code
    assert "no relay allocation that failed" not in told["NO_MEDIA"].text
