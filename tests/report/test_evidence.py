"""The evidence bundle and the Word document: whole, checkable, harmless."""

import csv
import hashlib
import json
import os
import stat
import struct
from dataclasses import is_dataclass, replace
from io import BytesIO, StringIO
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_examples import assessment, hostile, sites_only

from ccp_assess.report.evidence import csv_text, parquet_bytes, tables, write_evidence


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    write_evidence(assessment(), folder)
    return folder


def test_every_file_of_the_bundle_has_its_checksum_in_the_manifest(bundle):
    manifest = json.loads((bundle / "manifest.json").read_text())
    listed = {entry["path"]: entry for entry in manifest["files"]}
    present = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()} - {"manifest.json"}
    assert set(listed) == present
    for name, entry in listed.items():
        data = (bundle / name).read_bytes()
        assert entry["bytes"] == len(data)
        assert entry["sha256"] == hashlib.sha256(data).hexdigest()
    assert manifest["versions"]["ccp-assess"]
    assert manifest["valid_until"] == "2027-02-21"


def test_the_documents_of_the_bundle_are_those_of_the_assessment(bundle):
    assert json.loads((bundle / "json" / "ranking.json").read_text()) == assessment().ranking
    assert json.loads((bundle / "json" / "allowlist.json").read_text()) == assessment().allowlist


def test_csv_and_parquet_hold_the_same_rows(bundle):
    from pyarrow import parquet

    names = {path.stem for path in (bundle / "tables").iterdir()}
    assert {"options", "legs", "calls", "findings", "rules", "measurements", "hops", "assumptions"} <= names
    for name in names:
        text = (bundle / "tables" / f"{name}.csv").read_text(encoding="utf-8-sig")
        rows = list(csv.DictReader(StringIO(text)))
        table = parquet.read_table(bundle / "tables" / f"{name}.parquet")
        assert table.num_rows == len(rows)
        assert table.column_names == list(rows[0])


def test_unknown_is_an_empty_cell_and_a_null_and_never_zero(bundle):
    from pyarrow import parquet

    rows = list(csv.DictReader(StringIO((bundle / "tables" / "calls.csv").read_text(encoding="utf-8-sig"))))
    assert [row["out.loss_pct"] for row in rows] == ["", ""]
    assert parquet.read_table(bundle / "tables" / "calls.parquet")["out.loss_pct"].null_count == 2


def test_packets_stay_with_the_client_unless_asked_for(bundle):
    assert not (bundle / "captures").exists()


def test_no_cell_of_a_hostile_client_starts_a_formula(tmp_path):
    write_evidence(hostile(), tmp_path, parquet=False)
    for path in (tmp_path / "tables").glob("*.csv"):
        for row in csv.reader(StringIO(path.read_text(encoding="utf-8-sig"))):
            assert not [cell for cell in row if cell[:1] in {"=", "+", "@", "\t"}], path.name


def test_a_bundle_of_sites_only_leaves_out_what_is_empty(tmp_path):
    write_evidence(sites_only(), tmp_path, parquet=False)
    names = {path.stem for path in (tmp_path / "tables").iterdir()}
    assert not names & {"calls", "streams", "hops"}
    assert {"options", "legs", "unknowns"} <= names


def test_the_legs_are_those_of_the_ranking():
    legs = tables(assessment())["legs"]
    first = assessment().ranking["options"][0]
    mine = [row for row in legs if row["option"] == first["regions"][0] and row["part"] == "agent"]
    assert [row["agent_leg_ms"] for row in mine] == [row["agent_leg_ms"] for row in first["by_site"]]


_CELL = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | st.text(max_size=20)


@given(st.lists(st.dictionaries(st.sampled_from("abc"), _CELL, min_size=1), min_size=1, max_size=8))
def test_any_mix_of_cells_can_be_written(rows):
    csv_text(rows)
    parquet_bytes(rows)


@pytest.mark.parametrize("example", [assessment, sites_only, hostile])
def test_the_word_document_holds_the_same_chapters_and_numbers(example, tmp_path):
    docx = pytest.importorskip("docx")
    from ccp_assess.report.word import write_docx

    result = example()
    document = docx.Document(BytesIO(write_docx(result, tmp_path / "report.docx").read_bytes()))
    headings = [p.text for p in document.paragraphs if p.style.name.startswith("Heading 1")]
    assert headings[0] == "The answer"
    assert {"Findings", "Which Region", "Latency budget per site", "Firewall rules", "What is unknown"} <= set(headings)
    cells = "\n".join(cell.text for table in document.tables for row in table.rows for cell in row.cells)
    assert f"{result.ranking['options'][0]['mouth_to_ear_ms']['mean']:.0f}\u202fms" in cells
    assert len(document.inline_shapes) >= 3
    assert all(shape._inline.docPr.get("descr") for shape in document.inline_shapes)


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_the_bundle_is_its_owners_alone(bundle):
    for path in (bundle, *bundle.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path.name


def with_captures(folder):
    """Make an assessment whose client folder holds one capture with a secret and one file that is none."""
    secret = b"spoken words of the agent"
    packet = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(secret), 7, 0, 64, 17, 0, b"\x0a\1\2\3", b"\x51\2\x45\x8e")
    packet += struct.pack("!HHHH", 1, 9, 8 + len(secret), 0) + secret
    header = struct.pack("<IHHiIIIIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101, 10**9, 0, len(packet), len(packet))
    (folder / "call.pcap").write_bytes(header + packet)
    (folder / "notes.pcap").write_bytes(b"these are notes")
    files = tuple(
        SimpleNamespace(path=folder / name, site_id=site) for name, site in (("call.pcap", "LON"), ("notes.pcap", None))
    )
    example = assessment()
    return SimpleNamespace(
        **{name: getattr(example, name) for name in dir(example) if not name.startswith("__") and name != "client"},
        client=replace(example.client, captures=files, folder=folder)
        if is_dataclass(example.client)
        else SimpleNamespace(**(vars(example.client) | {"captures": files, "folder": folder})),
    ), secret


@pytest.mark.parametrize(("packets", "is_secret_there"), [(True, False), ("scrubbed", False), ("original", True)])
def test_packets_come_scrubbed_unless_the_originals_are_asked_for(tmp_path, packets, is_secret_there):
    (tmp_path / "client").mkdir()
    example, secret = with_captures(tmp_path / "client")
    write_evidence(example, tmp_path / "bundle", parquet=False, packets=packets)
    copied = tmp_path / "bundle" / "captures" / "LON__call.pcap"
    assert (secret in copied.read_bytes()) is is_secret_there
    listed = [entry["path"] for entry in json.loads((tmp_path / "bundle" / "manifest.json").read_text())["files"]]
    assert "captures/LON__call.pcap" in listed
    assert not [path for path in (tmp_path / "bundle").rglob("*") if path.suffix == ".key"]
    assert (tmp_path / "client" / "scrub.key").exists() is not is_secret_there
