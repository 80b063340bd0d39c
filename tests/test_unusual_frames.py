"""What a capture holds beside plain frames is told in a sentence that names it."""

from pathlib import Path

import pytest

from ccp_assess.assess.captures import assess_captures

SHARED = Path(__file__).resolve().parents[1] / ".." / "shared" / "captures"


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("d-links-encap/libpcap__http_PPI.pcap", "CAPTURE_UNREADABLE", "5 frames of link type PPI cannot be read"),
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
