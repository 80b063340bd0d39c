"""What probes found at a site becomes findings, each once; round trips count only where they reached the Region."""

from ccp_assess.assess.measurements import measurements_from_documents
from ccp_assess.assess.probe_findings import probe_findings
from ccp_assess.probe.diagnoses import read_diagnoses
from ccp_assess.probe.imports import own
from ccp_assess.report.actions import action_for


def document(*regions):
    return own.parse({"site_id": "LIS", "time": "2026-11-23T08:00:00Z", "host": {}, "regions": list(regions)})


def row(code, **more):
    return {"region_code": code, "via": None, "rtt_ms": [], "diagnosis": [], **more}


def told(code, text, severity="critical", **more):
    return {"code": code, "severity": severity, "text": text, "change": "Open it.", "evidence": {"n": 1}, **more}


def test_what_is_wrong_in_several_regions_is_one_finding_that_names_them():
    said = document(
        row("eu-west-2", diagnosis=[told("UDP_BLOCKED", "No answer from eu-west-2.")]),
        row("us-east-1", diagnosis=[told("UDP_BLOCKED", "No answer from us-east-1.")]),
    )
    ((source, finding),) = probe_findings([said])
    assert source.site_id == "LIS"
    assert (finding["code"], finding["severity"], finding["action"]) == ("UDP_BLOCKED", "critical", "Open it.")
    assert finding["text"] == "No answer from eu-west-2. The like holds for 1 other Region (us-east-1)."
    assert finding["evidence"] == {"n": 1, "regions": ["eu-west-2", "us-east-1"]}


def test_the_gravest_severity_counts_and_a_sentence_of_the_site_is_said_once():
    same = [told("CLOCK_WRONG", "The clock is wrong.", severity=severity) for severity in ("info", "warning")]
    said = document(row("eu-west-2", diagnosis=same[:1]), row("us-east-1", diagnosis=same[1:]))
    ((_, finding),) = probe_findings([said])
    assert (finding["severity"], finding["text"]) == ("warning", "The clock is wrong.")


def test_rows_that_are_no_diagnosis_are_left_alone():
    broken = [
        {"code": "A", "severity": "fatal", "text": "x"},
        {"code": "B", "severity": "info", "text": 7},
        {"code": "C"},
    ]
    assert probe_findings([document(row("eu-west-2", diagnosis=broken))]) == []


def test_a_long_text_from_a_file_is_cut():
    ((_, finding),) = probe_findings([document(row("eu-west-2", diagnosis=[told("A" * 99, "x" * 9000)]))])
    assert len(finding["text"]) <= 600
    assert len(finding["code"]) <= 60


def test_where_udp_is_blocked_the_connect_time_stands_in_and_says_so():
    (one,) = measurements_from_documents([document(row("eu-west-2", via="tcp", rtt_ms=[21.0, 20.0, 22.0]))])
    assert (one.via, one.rtt_ms) == ("tcp", (21.0, 20.0, 22.0))


def test_the_hops_of_the_control_path_do_not_change_how_the_round_trip_was_taken():
    path = {"technique": "udp", "hop_count": 9, "destination_answered": True, "hops": []}
    (one,) = measurements_from_documents([document(row("eu-west-2", via="tcp", rtt_ms=[21.0], path=path))])
    assert (one.via, one.hop_count) == ("tcp", 9)


def test_a_connect_that_did_not_reach_the_region_is_no_measurement():
    portal = [{"host": "x", "connect_ms": 0.02, "outcome": "connected", "proxy": None}]
    (one,) = measurements_from_documents([document(row("eu-west-2", tcp=portal))])
    assert not one.rtt_ms


def test_every_diagnosis_has_somebody_who_can_mend_it():
    owners = {code: action_for({"code": code}, ["eu-west-2"]).owner for code in read_diagnoses()}
    assert [code for code, owner in owners.items() if owner == "To be agreed"] == []
