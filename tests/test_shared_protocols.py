"""Names, questions and STUN messages of other people's captures against what tshark counted."""

import json
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from ccp_assess.assess.captures import assess_captures
from ccp_assess.cli.output import json_text
from ccp_assess.errors import CcpAssessError

pytestmark = pytest.mark.shared

SHARED = Path(__file__).resolve().parents[2] / "shared"


def truths():
    path = SHARED / "captures" / "truth.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def with_entries(key):
    return [truth for truth in truths() if truth[key]]


def short(truth):
    return Path(truth["file"]).name


@cache
def read(file):
    return assess_captures([SHARED / file])


@pytest.mark.parametrize("truth", with_entries("tls_sni"), ids=short)
def test_the_names_asked_for_in_tls_and_quic_are_those_of_tshark(truth):
    assessment = read(truth["file"])
    ours = {dialogue.server_name for dialogue in assessment.dialogues if dialogue.server_name}
    ours |= {connection.server_name for connection in assessment.quic if connection.server_name}
    assert ours == {name.lower() for name in truth["tls_sni"]}


NOT_READ = {
    "libpcap__http_PPI.pcap": "its link type is named, not read",
    "ndpi__fuzz-2006-06-26-2594.pcap": "damaged names",
}
NEIGHBOURS = {"wpad", "bichman", "setti-uc4snce82"}  # asked of the neighbours (NetBIOS, LLMNR), not of a resolver


@pytest.mark.parametrize("truth", with_entries("dns_queries"), ids=short)
def test_the_questions_to_resolvers_are_those_of_tshark(truth):
    if short(truth) in NOT_READ:
        pytest.skip(NOT_READ[short(truth)])
    asked = Counter()
    for lookup in read(truth["file"]).lookups:
        asked[lookup.name] += lookup.asked
    ours = {name for name, count in asked.items() if count}
    expected = {name.lower().replace("<root>", ".") for name in truth["dns_queries"]}
    theirs = {name for name in expected if not name.endswith("local")}
    assert ours - {name for name in ours if name.endswith("local")} == theirs - NEIGHBOURS


INDICATIONS = {0x0016, 0x0017}
OTHER_LEVELS = {
    "ndpi__stun_signal.pcapng": "tshark counts messages quoted in ICMP errors",
    "ndpi__stun.pcap": "we count messages inside indications",
    "ndpi__stun_dtls_rtp.pcapng": "we count messages inside indications",
    "ndpi__viber.pcap": "we count messages inside indications",
}


@pytest.mark.parametrize("truth", with_entries("stun_messages"), ids=short)
def test_stun_messages_are_counted_as_by_tshark(truth):
    rows = read(truth["file"]).scan.stun
    outer = rows[(rows["channel"] == 0) & (rows["peer"] < 0)]
    ours = Counter(int(kind) for kind in outer["message_type"])
    theirs = {int(key.split()[0], 16): count for key, count in truth["stun_messages"].items()}
    theirs = {key: count for key, count in theirs.items() if key not in INDICATIONS}
    if short(truth) in OTHER_LEVELS:
        assert set(ours) <= set(theirs)
        assert all(
            count <= theirs[key] for key, count in ours.items() if OTHER_LEVELS[short(truth)].startswith("tshark")
        )
    else:
        assert ours == theirs


@pytest.mark.parametrize("truth", truths(), ids=short)
def test_every_capture_gives_one_document_or_one_sentence(truth):
    try:
        document = read(truth["file"]).to_document()
    except CcpAssessError as error:
        sentence = str(error)
    else:
        sentence = ""
    assert "\n" not in sentence
    if sentence:
        return
    json_text(document)
    assert len(document["captures"]) == 1
    for call in document["calls"]:
        assert call["end_time"] >= call["start_time"]
        assert (call["failure"] is None) == (call["outcome"] == "media")
    assert len({call["call_id"] for call in document["calls"]}) == len(document["calls"])
    named = {call["call_id"] for call in document["calls"]}
    assert all(stream["call_id"] in named for stream in document["streams"])


@pytest.mark.parametrize("folder", ["d-links-encap", "e-format-corrupt", "f-tls-dns-tcp-icmp"])
def test_no_call_is_invented_where_there_is_no_media(folder):
    for truth in truths():
        # The greedy heuristic of the truth finds none either: then there must be no call.
        if folder in truth["file"] and not truth["rtp_streams_heuristic"] and not truth["stun_messages"]:
            try:
                assert read(truth["file"]).calls == (), truth["file"]
            except CcpAssessError:
                continue


def test_dtls_handshakes_of_all_versions_are_told_apart():
    expected = {
        "ndpi__dtls2.pcap": [("DTLSv1.0", True)],
        "zeek__dtls1_2.pcap": [("DTLSv1.2", True)],
        "arkime__wireshark-dtls12.pcap": [("DTLSv1.2", True)],
        "ndpi__stun_zoom.pcapng": [("DTLSv1.2", True), ("DTLSv1.2", True)],
        "mercury__dtls_fragmented_client_hello.pcap": [(None, False)],
    }
    for name, handshakes in expected.items():
        found = read(f"captures/b-webrtc-dtls-srtp/{name}").handshakes
        assert [(h.version, h.completed_ns is not None) for h in found] == handshakes


def test_a_certificate_in_clear_tells_its_issuer():
    rows = read("captures/f-tls-dns-tcp-icmp/ndpi__firefox.pcap").endpoints
    assert any(row.tls_issuer for row in rows) or rows[0].tls_version == "TLSv1.3"


def test_a_name_behind_a_proxy_is_read():
    assessment = read("captures/f-tls-dns-tcp-icmp/ndpi__http_connect.pcap")
    assert any(d.proxy_target and d.proxy_target[0] == "apache.org" for d in assessment.dialogues)
    assert "PROXY" in {finding.code for finding in assessment.findings}
