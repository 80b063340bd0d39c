"""What a capture holds beside plain frames is told in a sentence that names it."""

from pathlib import Path

import pytest

from ccp_assess.assess.captures import assess_captures

SHARED = Path(__file__).resolve().parents[1] / ".." / "shared" / "captures"


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("d-links-encap/arkime__nflog.pcap", "CAPTURE_UNREADABLE", "10 frames of link type NFLOG cannot be read"),
        ("d-links-encap/arkime__gtp-u.pcap", "CAPTURE_TUNNELLED", "102 frames came in GTP"),
    ],
)
def test_frames_that_are_not_plain_are_named(name, code, words):
    if not SHARED.is_dir():
        pytest.skip("the shared captures are not here")
    found = {finding.code: finding.text for finding in assess_captures([SHARED / name]).findings}
    assert words in found[code]
    assert Path(name).name in found[code]


@pytest.mark.shared
def test_wifi_frames_behind_a_ppi_header_are_read():
    (question,) = assess_captures([SHARED / "d-links-encap" / "libpcap__http_PPI.pcap"]).to_document()["dns"]
    assert (question["name"], question["answers"]) == ("www.polito.it", ["web01.polito.it", "130.192.73.1"])
