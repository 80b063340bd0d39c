"""The one file that a client's agent runs: whole, without any library, and read back by the assessment."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ccp_assess.files import make_key
from ccp_assess.probe.document_schema import parse_documents
from ccp_assess.probe.drop import file_name
from ccp_assess.probe.imports import read_probe_file
from ccp_assess.probe.signed import key_id, open_signed

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def pyz(tmp_path_factory):
    out = tmp_path_factory.mktemp("of one file") / "probe.pyz"
    subprocess.run(
        [sys.executable, ROOT / "tools" / "make_probe_pyz.py", "--out", out], check=True, capture_output=True
    )
    return out


def run(pyz, *words, cwd):
    """Run the file by a bare Python: without site packages, environment or the checkout on its path."""
    return subprocess.run(
        [sys.executable, "-I", "-S", pyz, *map(str, words)],
        capture_output=True, text=True, check=False, cwd=cwd, env={"PATH": os.environ.get("PATH", "")},
    )  # fmt: skip


def test_it_measures_and_writes_one_document_that_is_read_back(pyz, tmp_path):
    table = tmp_path / "endpoints.csv"
    table.write_text(
        "region_code,role,host,port,transport,address\n"
        "eu-west-2,media_relay,turn.test,9,udp,127.0.0.1\neu-west-2,api,api.test,9,tcp,127.0.0.1\n",
        encoding="utf-8",
    )
    done = run(pyz, "--endpoints", table, "--site", "LIS", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (file,) = tmp_path.glob("LIS__probe-*.json")
    assert f"send this file back: {file.name}" in done.stdout
    document = json.loads(file.read_text("utf-8"))
    assert document["site_id"] == "LIS"
    assert document["host"]["computer"]["cores"] == os.cpu_count()
    assert {one["code"] for one in document["regions"][0]["diagnosis"]} >= {"TCP_REFUSED"}
    assert read_probe_file(file).regions[0].region_code == "eu-west-2"


def test_with_the_key_it_signs_and_hands_over_by_itself(pyz, tmp_path):
    table, key, share = tmp_path / "endpoints.csv", tmp_path / "acme.key", tmp_path / "share"
    table.write_text("region_code,role,host,port,transport,address\neu-west-2,api,api.test,9,tcp,127.0.0.1\n")
    words = ("--endpoints", table, "--site", "LIS", "--key", key)
    done = run(pyz, *words, "--drop", share, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n"), "cannot be read" in done.stderr) == (1, 1, True)
    secret = make_key(key)
    share.mkdir()
    done = run(pyz, *words, "--drop", share, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (dropped,) = share.iterdir()
    (document,) = parse_documents(open_signed(dropped.read_bytes(), {key_id(secret): secret}))
    assert document["site_id"] == "LIS"
    dropped.unlink()
    share.rmdir()
    done = run(pyz, *words, "--drop", share, "--out", tmp_path / "kept.json", cwd=tmp_path)
    assert "The result stands in" in done.stderr
    assert parse_documents(open_signed((tmp_path / "kept.json").read_bytes(), {key_id(secret): secret}))
    done = run(pyz, "--drop", share, cwd=tmp_path)
    assert (done.returncode, "--drop needs --key" in done.stderr) == (2, True)


def test_it_holds_nothing_but_our_own_modules_and_their_tables(pyz):
    names = zipfile.ZipFile(pyz).namelist()
    assert all(name == "__main__.py" or name.startswith("ccp_assess/") for name in names)
    assert not any(part in name for name in names for part in ("/capture/", "/report/", "/widgets/", "/allowlist/"))
    assert pyz.stat().st_size < 1_000_000


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--region", "mars-1"], "'mars-1' is unknown"), (["--endpoints", "none.csv"], "does not exist")],
)
def test_a_wrong_word_is_answered_in_one_line(pyz, tmp_path, words, said):
    done = run(pyz, *words, cwd=tmp_path)
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_files_name_is_one_that_every_system_takes():
    name = file_name({"site_id": '<"../CON:\u202e', "time": "2026-11-23T09:05:00Z"})
    assert name == "CON__probe-2026-11-23T090500Z.json"
    assert file_name({"site_id": None, "time": "2026-11-23T09:05:00Z"}) == "probe-2026-11-23T090500Z.json"
