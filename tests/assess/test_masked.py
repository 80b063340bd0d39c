"""A masked assessment: whatever names somebody or gives a place away is gone, and the numbers are the same."""

from __future__ import annotations

import io
import json
import re
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from ccp_assess.assess.client_assessment import assess_client
from ccp_assess.client import read_client
from ccp_assess.client.masking import FIELD_DEG, Mask, blur_places, mask_client
from ccp_assess.report.document import render_report
from ccp_assess.report.evidence import write_evidence
from ccp_assess.report.word import write_docx

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"
SECRETS = (
    *("zorblax", "zephyrtower", "zquorn", "zxorigin", "zcontact", "zasset", "zfile", "zbob", "zruleset", "zcomment"),
    *("zwho", "zowner", "zlaptop", "zgateway", "zprovider", "198.41.0.4", "10.77.8.0"),
    *("denver", "salt lake", "colorado", "manchester", "seattle", "atlanta", "dublin", "chicago", "southampton"),
)
MTR = """Start: 2026-11-20T10:00:00+0000
HOST: zlaptop.zorblax.example        Loss%   Snt   Last   Avg  Best  Wrst StDev
  1.|-- zgateway.zorblax.example      0.0%    10    0.5   0.5   0.4   0.7   0.1
  2.|-- 198.41.0.4                    0.0%    10    5.5   5.5   5.4   5.7   0.1
  3.|-- core.zprovider.example        0.0%    10    6.5   6.5   6.4   6.7   0.1
  4.|-- 15.193.5.7                    0.0%    10   35.5  35.5  35.4  35.7   0.1
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The sample client under a name that no text can hold by chance, with a secret in every corner."""
    place = tmp_path_factory.mktemp("of") / "zorblax-visit"
    shutil.copytree(SAMPLE, place)
    settings = (place / "client.toml").read_text(encoding="utf-8")
    (place / "client.toml").write_text(settings.replace("Cascade Parcel", "Zorblax Industries"), encoding="utf-8")
    rows = (place / "sites.csv").read_text(encoding="utf-8").replace("Denver office", "Zephyrtower").splitlines()
    more = [f"{rows[0]},contact", *(f"{row},zcontact@mail.example" for row in rows[1:])]
    (place / "sites.csv").write_text("\n".join(more).replace("10.20.1.0/24", "10.77.8.0/24"), encoding="utf-8")
    rows_of_callers = (place / "callers.csv").read_text(encoding="utf-8")
    (place / "callers.csv").write_text(
        rows_of_callers.replace("US-WEST", "Zquorn hotline").replace("GB,GB", "ZXorigin,GB"), encoding="utf-8"
    )
    (place / "probes" / "DEN" / "zfile-mtr.txt").write_text(MTR, encoding="utf-8")
    capture = place / "captures" / "DEN" / "bench__desk-call.pcap"
    capture.rename(capture.with_name("bench__laptop of Zbob, zfile.pcap"))
    (place / "rules" / "Zruleset of Zorblax.csv").write_text(
        "target,port,transport,direction,comment\n*.my.connect.aws,443,tcp,outbound,zcomment\n", encoding="utf-8"
    )
    (place / "decisions.csv").write_text(
        "time,who,decision,why\n2026-11-20T10:00:00Z,Zwho,Leave us-east-1 out,because Zorblax said so in Denver\n",
        encoding="utf-8",
    )
    (place / "actions.csv").write_text(
        "code,site_id,owner,due\nFIREWALL_RULE_MISSING,DEN,Zowner,2026-12-01\n", encoding="utf-8"
    )
    return place


@pytest.fixture(scope="module")
def masked(folder):
    return assess_client(folder, masked=True)


def test_no_secret_is_left_in_report_document_word_or_bundle(masked, tmp_path):
    write_docx(masked, tmp_path / "report.docx")
    write_evidence(masked, tmp_path / "evidence")
    words = [render_report(masked), json.dumps(masked.to_document(), ensure_ascii=False)]
    with zipfile.ZipFile(io.BytesIO((tmp_path / "report.docx").read_bytes())) as parts:
        words += [parts.read(name).decode("utf-8", "replace") for name in parts.namelist()]
    words += [path.read_bytes().decode("latin-1") for path in (tmp_path / "evidence").rglob("*") if path.is_file()]
    whole = "\n".join(words).lower()
    assert [secret for secret in SECRETS if secret in whole] == []
    assert "bench" in whole  # that a measurement comes from a bench is no secret


def test_the_map_knows_places_to_a_field_only_and_each_has_its_own_spot(folder, masked):
    client = read_client(folder)
    spots = [(one.latitude, one.longitude) for one in (*masked.client.sites, *masked.client.callers)]
    assert len(set(spots)) == len(spots)
    for one, two in zip(client.sites, masked.client.sites, strict=True):
        assert abs(one.latitude - two.latitude) <= FIELD_DEG
        assert abs(one.longitude - two.longitude) <= FIELD_DEG
    assert {one.country for one in masked.client.sites} == {None}


def test_two_towns_of_one_field_cannot_be_told_apart_by_their_spot(folder):
    client, _ = mask_client(read_client(folder))
    moved = replace(client, sites=tuple(replace(site, latitude=site.latitude - 0.01) for site in client.sites))
    assert blur_places(client).sites == blur_places(moved).sites


def test_distances_from_which_places_could_be_worked_out_are_unknown(masked):
    found = re.findall(r'"\w+_km": (\S+?)[,}\n]', json.dumps(masked.ranking))
    assert found
    assert set(found) == {"null"}


def test_what_is_computed_is_the_same(folder, masked):
    plain = assess_client(folder).ranking
    for one, two in zip(plain["options"], masked.ranking["options"], strict=True):
        assert one["mouth_to_ear_ms"] == two["mouth_to_ear_ms"]
        assert one["probability_best_pct"] == two["probability_best_pct"]


def test_names_of_aws_and_private_addresses_stay():
    mask = Mask(names={}, codes={}, wire={"gw.acme.example": "host-1", "198.41.0.4": "240.0.0.1"})
    text = "from gw.acme.example. by 198.41.0.4: turn.amazonaws.com, 10.0.0.1 and 198.41.0.40 stay"
    assert mask.text(text) == "from host-1. by 240.0.0.1: turn.amazonaws.com, 10.0.0.1 and 198.41.0.40 stay"


@pytest.mark.parametrize("name", ["Office", "Media", "Critical Systems", "The Group"])
def test_a_client_named_by_everyday_words_leaves_our_own_words_alone(folder, name):
    client, mask = mask_client(replace(read_client(folder), name=name))
    assert client.name == "The client"
    assert mask.text("critical") == "critical"
    if " " in name:
        assert name not in mask.text(f"Report for {name}")
    else:
        assert mask.text("the media, at the office") == "the media, at the office"


def test_the_place_of_a_region_stays_a_region():
    mask = Mask(names={"London": "a masked place"}, codes={})
    assert mask.text("Europe (London) is near London") == "Europe (London) is near a masked place"
