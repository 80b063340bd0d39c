"""Signed results: what fits is read, what was changed, cut or signed by another is refused in one sentence."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from ccp_assess.cli.probe import app
from ccp_assess.errors import ParseError, ProbeError
from ccp_assess.files import read_key
from ccp_assess.probe.imports import parse_probe_bytes
from ccp_assess.probe.signed import payload_of, sign

KEY, OTHER = bytes(range(32)), bytes(32)
DOCUMENT = {"site_id": "DEN", "time": "2026-11-23T06:00:00Z", "host": {}, "regions": []}
DOCUMENT["regions"] = [{"region_code": "eu-west-2", "rtt_ms": [12.5]}]


def envelope(**changes):
    return json.dumps(sign(json.dumps(DOCUMENT), KEY) | changes).encode()


def test_the_signature_is_the_hmac_of_rfc_4231():
    assert sign("Hi There", b"\x0b" * 20)["hmac_sha256"] == (
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
    )


def test_what_is_signed_is_read_with_the_key_and_without_it_but_the_difference_is_told():
    for key, told in ((KEY, "fits"), (None, "not checked")):
        document = parse_probe_bytes(envelope(), key=key)
        assert (document.site_id, document.regions[0].rtts_ms) == ("DEN", (12.5,))
        assert document.host["signature"] == told


@pytest.mark.parametrize(
    ("data", "key", "told"),
    [
        (envelope(payload=json.dumps(DOCUMENT).replace("12.5", "2.5")), KEY, "changed after it was signed"),
        (envelope(), OTHER, "signed with another key"),
        (envelope(hmac_sha256="é" * 64), KEY, "does not fit"),
        (envelope(payload=7), KEY, "damaged"),
        (envelope(hmac_sha256=None), None, "damaged"),
        (json.dumps(DOCUMENT).encode(), KEY, "not signed"),
        (b"1  10.0.0.1  1 ms", KEY, "not signed"),
        (envelope(payload="[" * 100_000), None, "holds no JSON"),
        (envelope() + b"\n" + json.dumps(DOCUMENT).encode(), None, "some are not"),
    ],
)
def test_what_does_not_fit_is_refused(data, key, told):
    with pytest.raises(ParseError, match=told):
        parse_probe_bytes(data, key=key)


@given(st.text())
def test_any_text_is_the_same_after_signing(text):
    assert payload_of(sign(json.dumps(text), KEY), KEY) == text


def test_a_key_is_made_once_and_kept_for_its_owner(tmp_path):
    place = tmp_path / "engagement.key"
    key = read_key(place, ProbeError)
    assert read_key(place, ProbeError) == key
    assert place.stat().st_mode & 0o077 == 0
    place.write_text("secret")
    with pytest.raises(ProbeError, match="is no key"):
        read_key(place, ProbeError)


def test_the_command_makes_pages_that_sign_and_reads_only_what_they_signed(tmp_path):
    place, page, result = (tmp_path / name for name in ("engagement.key", "probe.html", "DEN__result.json"))
    words = ["page", "--out", str(page), "--region", "eu-west-2", "--key", str(place)]
    assert CliRunner().invoke(app, words).exit_code == 0
    key = read_key(place, ProbeError)
    assert key.hex() in page.read_text()
    result.write_text(json.dumps(sign(json.dumps(DOCUMENT), key)))
    done = CliRunner().invoke(app, ["import", str(result), "--key", str(place)])
    assert "12.5 ms" in done.output
    result.write_text(json.dumps(DOCUMENT))
    done = CliRunner().invoke(app, ["import", str(result), "--key", str(place)])
    assert isinstance(done.exception, ParseError)
    done = CliRunner().invoke(app, ["import", str(result), "--key", str(tmp_path / "none.key")])
    assert done.exit_code == 2
    assert not (tmp_path / "none.key").exists()
