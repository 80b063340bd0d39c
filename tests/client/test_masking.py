"""Names masked in one step: none of them is left in anything that is shown."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccp_assess.assess.client_assessment import assess_client
from ccp_assess.client import read_client
from ccp_assess.client.decisions import add_decision
from ccp_assess.client.masking import Mask, mask_client
from ccp_assess.report.document import render_report

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("of") / "cascade-parcel"
    shutil.copytree(SAMPLE, place)
    add_decision(
        place, "Cascade Parcel leaves Denver headquarters out", why="asked by DEN", who="Ana of Cascade Parcel"
    )
    return place


@pytest.fixture(scope="module")
def shown(folder):
    assessment = assess_client(folder, masked=True)
    return assessment, render_report(assessment) + json.dumps(assessment.to_document(), ensure_ascii=False)


def test_no_name_of_the_client_or_its_sites_is_left_in_report_or_document(folder, shown):
    client, text = read_client(folder), shown[1]
    for name in ("Cascade Parcel", "cascade-parcel", "Cascade", *(site.name for site in client.sites)):
        assert name.lower() not in text.lower(), name
    for code in [site.site_id for site in client.sites] + [target.target_id for target in client.transfers]:
        assert f"{code}/" not in text
        assert f">{code}<" not in text
        assert f'"{code}"' not in text


def test_the_numbers_are_those_of_the_unmasked_assessment(folder, shown):
    open_names = assess_client(folder).to_document()
    masked = shown[0].to_document()
    assert masked["recommendation"]["regions"] == open_names["recommendation"]["regions"]
    for one, two in zip(masked["ranking"]["options"], open_names["ranking"]["options"], strict=True):
        assert one["mouth_to_ear_ms"] == two["mouth_to_ear_ms"]
    assert [row["code"] for row in masked["findings"]] == [row["code"] for row in open_names["findings"]]
    assert len(masked["calls"]) == len(open_names["calls"])


def test_sites_stay_joined_to_their_hub_and_their_files(folder):
    client = read_client(folder)
    masked, mask = mask_client(client)
    assert [site.via_site_id for site in masked.sites] == [mask.code(site.via_site_id) for site in client.sites]
    assert {file.site_id for file in masked.captures} <= {site.site_id for site in masked.sites}


MASK = Mask(names={"Acme Corp": "The client"}, codes={"DEN": "site-1", "A": "site-2"})


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("acme-corp said", "The client said"),
        ("ACME CORP, acmecorp", "The client, The client"),
        ("Macme corporation stays", "Macme corporation stays"),
        ("captures/DEN/a.pcap", "captures/site-1/a.pcap"),
        ("A firewall at DEN, GOLDEN not", "A firewall at site-1, GOLDEN not"),
        ("probes/A/x.txt and A__y.txt", "probes/site-2/x.txt and A__y.txt"),
        ("https://acme-emea.my.connect.aws/ccp-v2", "https://instance.my.connect.aws/ccp-v2"),
    ],
)
def test_names_are_found_in_any_writing_and_short_codes_only_in_paths(text, masked):
    assert MASK.text(text) == masked


@given(
    st.recursive(
        st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_a_document_keeps_its_shape(document):
    masked = MASK.tree(document)
    assert json.dumps(masked, default=str).count("[") >= 0
    assert type(masked) is type(document)
    assert MASK.tree(masked) == masked
