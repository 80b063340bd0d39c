"""A masked page of many sites: no original name is left in it, the numbers are the same, other words stay."""

import base64
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fleet_sources import local_scheduler
from typer.testing import CliRunner

from ccp_assess.cli.fleet import app
from ccp_assess.client import read_client
from ccp_assess.client.masking import mask_client
from ccp_assess.fleet.answers import Answers, dataset_title, read_answers
from ccp_assess.fleet.cluster import Engine
from ccp_assess.fleet.masked import AnswersMask, mask_answers
from ccp_assess.fleet.run import run_fleet
from ccp_assess.report.evidence import csv_text
from ccp_assess.report.many_sites import render_many_sites

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SECRETS = (
    *("zorblax", "quixel", "zephyrtower", "zsite", "zprovider", "zfile", "zcell", "zgate", "zvantage"),
    *("denver", "salt lake", "colorado", "cape town", "manchester", "198.41.0.4", "2001:500:2"),
)
SITES = """site_id,name,place,agents,provider
zsite-b,Zephyrtower,"Denver, US",160,Zprovider One
zsite-a,Upper Zephyrtower,"Salt Lake City, US",45,Zprovider Two
"""


@pytest.fixture(scope="module")
def dest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clients with a secret in every name, files that are none, and a table that quotes a cell when it fails."""
    root = tmp_path_factory.mktemp("of") / "engagements"
    first, second = root / "Zorblax Industries", root / "Quixel"
    for site, of in (("zsite-b", "HOM"), ("zsite-a", "SLC")):
        shutil.copytree(SAMPLE / "captures" / of, first / "captures" / site)
        shutil.copytree(SAMPLE / "probes" / of, first / "probes" / site)
    (first / "captures" / "zsite-a" / "zfile of Zorblax.pcap").write_text("no capture", encoding="utf-8")
    (first / "sites.csv").write_text(SITES, encoding="utf-8")
    shutil.copytree(SAMPLE / "captures" / "DEN", second / "captures" / "zsite-b")
    (second / "sites.csv").write_text("site_id,agents\nzsite-b,zcell of Quixel\n", encoding="utf-8")
    folder = tmp_path_factory.mktemp("dest") / "zorblax store"
    run_fleet(str(root), str(folder), Engine(scheduler=local_scheduler()))
    return folder


def secrets_in(text: str) -> list[str]:
    """Look through a text, and through whatever stands in it as base64."""
    inside = [base64.b64decode(found).decode("latin-1") for found in re.findall(r"base64,([A-Za-z0-9+/=]+)", text)]
    whole = "\n".join([text, *inside]).lower()
    return [secret for secret in SECRETS if secret in whole]


def test_no_original_name_is_left_in_the_page(dest: Path, tmp_path: Path) -> None:
    plain, masked = tmp_path / "plain.html", tmp_path / "masked.html"
    command = ["report", str(dest), "--since", "2026-11-23T01:43:30Z", "--title", "Zorblax and others"]
    for path, more in ((plain, []), (masked, ["--masked"])):
        result = CliRunner().invoke(app, [*command, "--out", str(path), *more])
        assert result.exit_code == 0, result.output
    seen = secrets_in(plain.read_text(encoding="utf-8"))
    assert {"zorblax", "quixel", "zephyrtower", "zsite", "zprovider", "zfile", "zcell"} <= set(seen)
    text = masked.read_text(encoding="utf-8")
    assert secrets_in(text) == []
    assert "names are masked" in text
    assert "Delays stay" in text
    assert "Client 2 and others" in text
    assert "captures/site-2/capture-2.pcap" in text
    assert "us-west-2" in text


def test_no_original_name_is_left_in_any_table_to_save_and_the_numbers_are_the_same(dest: Path) -> None:
    plain = read_answers(str(dest))
    masked, _ = mask_answers(plain)
    for name, rows in masked.rows.items():
        assert secrets_in(csv_text(rows)) == []
        assert len(rows) == len(plain.rows[name])
        for one, two in zip(plain.rows[name], rows, strict=True):
            assert one.keys() == two.keys()
            assert [value for value in one.values() if not isinstance(value, str)] == [
                value for column, value in two.items() if not isinstance(one[column], str)
            ]
    assert dataset_title(masked) == "Client 1, Client 2"
    assert secrets_in(masked.store) == []


def test_sites_bear_the_names_of_the_masked_report_of_their_client(tmp_path: Path) -> None:
    shutil.copytree(SAMPLE, tmp_path / "sample")
    _, mask = mask_client(read_client(tmp_path / "sample"))
    run_fleet(str(tmp_path / "sample"), str(tmp_path / "out"), Engine(scheduler=local_scheduler()))
    _, other = mask_answers(read_answers(str(tmp_path / "out")))
    sites = {site: alias for (_, site), alias in other.sites.items()}
    assert sites == {site: mask.codes[site] for site in sites}
    assert set(other.clients.values()) == {"The client"}


def test_sites_of_one_name_at_two_clients_are_two(dest: Path) -> None:
    _, mask = mask_answers(read_answers(str(dest)))
    assert mask.sites["Quixel", "zsite-b"] != mask.sites["Zorblax Industries", "zsite-b"]
    findings = mask_answers(read_answers(str(dest)))[0].rows["findings"]
    shared = next(row["site_ids"] for row in findings if row["code"] == "UPLINK_NOT_VISIBLE")
    assert shared == "site-1, site-2, site-3"


@pytest.fixture
def mask() -> AnswersMask:
    return AnswersMask(
        clients={"Acme": "The client"},
        sites={("Acme", "LIS"): "site-1"},
        providers={"Zprovider": "Provider 1"},
        names={"Acme": "The client", "Lisbon": "a masked place"},
    )


@pytest.mark.parametrize(
    ("words", "masked"),
    [
        ("zgate.acme.example:443 did not answer", "host-1:443 did not answer"),
        ("the proxy 198.41.0.4:3128, then 198.41.0.4.", "the proxy 240.0.0.1:3128, then 240.0.0.1."),
        ("[2001:500:2::c]:53 did not", "[2001:db8::1]:53 did not"),
        ("t-8d.elb.us-west-2.amazonaws.com, TLSv1.3, 2.5 %", "t-8d.elb.us-west-2.amazonaws.com, TLSv1.3, 2.5 %"),
        ("acme-prod.my.connect.aws in LISBON at 10.0.0.1", "instance.my.connect.aws in a masked place at 10.0.0.1"),
    ],
)
def test_hosts_addresses_and_names_in_texts_are_masked_and_those_of_aws_stay(
    mask: AnswersMask, words: str, masked: str
) -> None:
    assert mask.text(words) == masked


def test_a_host_has_one_number_in_all_texts(mask: AnswersMask) -> None:
    assert mask.text("a.example and b.example") == "host-1 and host-2"
    assert mask.text("c.example, b.example") == "host-3, host-2"


def test_a_reason_tells_neither_the_file_nor_what_it_quotes(mask: AnswersMask) -> None:
    path = "Acme/captures/LIS/zfile.pcap"
    told = mask.reason(path, f"{path}, row 3: 'zcell' is no number, zfile.pcap at Acme")
    assert told == (
        "captures/site-1/capture-1.pcap, row 3: (masked) is no number, captures/site-1/capture-1.pcap at The client"
    )
    assert mask.path("zfile.secret") == "file-2"
    assert "zx" not in mask.reason("p.json", "it failed (ValueError: b'zx' in \"zx\")")


def test_what_a_prober_says_of_itself_is_masked_where_it_is_no_word_of_ours(mask: AnswersMask) -> None:
    row: dict[str, Any] = {"client": "Acme", "site_id": "LIS", "vantages": "bench, Zvantage", "region_code": "acme-dc"}
    assert mask.row(row) == {
        "client": "The client", "site_id": "site-1", "vantages": "masked", "region_code": "The client-dc",
    }  # fmt: skip
    assert mask.row({"vantages": "bench", "region_code": "us-west-2", "n": 3}) == {
        "vantages": "bench", "region_code": "us-west-2", "n": 3,
    }  # fmt: skip


def test_a_dataset_of_many_clients_is_titled_by_their_number() -> None:
    rows: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("findings", "findings_by_site", "region_comparison", "worst_sites")
    }
    rows["coverage"] = [
        {"client": f"zorblax{n}", "site_id": "A", "is_listed": False, "name": None, "place": None, "provider": None}
        for n in range(5)
    ]
    masked, _ = mask_answers(Answers(store="/data/zorblax", manifest={}, rows=rows))
    assert dataset_title(masked) == "5 clients"
    assert masked.manifest == {}


def test_an_empty_dataset_is_masked_too() -> None:
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in ("findings", "findings_by_site", "coverage")}
    masked, _ = mask_answers(Answers(store="/data/zorblax", manifest={}, rows=rows))
    assert "zorblax" not in render_many_sites(
        masked.rows, manifest={}, made_at=NOW, title=dataset_title(masked), masked=True
    )
