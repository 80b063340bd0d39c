"""Files find their place in a client folder by what they hold, not by what they are called."""

import gzip
import shutil
from pathlib import Path

import pytest

from ccp_assess.assess.filing import file_away, kinds_for_people, place_of
from ccp_assess.client import read_client
from ccp_assess.errors import TableError

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"
CAPTURE = SAMPLE / "captures" / "DEN" / "bench__desk-call.pcap"
TRACE = SAMPLE / "probes" / "HOM" / "bench__us-east-1__traceroute.txt"
RULES = SAMPLE / "rules" / "denver-firewall.csv"
LOG = '[{"component":"ccp","level":"INFO","text":"hello","time":"2026-01-01T00:00:00.000Z"}]'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    client = tmp_path / "client"
    client.mkdir()
    (client / "client.toml").write_text("[client]\n", encoding="utf-8")
    (client / "sites.csv").write_text('site_id,place,agents\nDEN,"Denver, US",5\n', encoding="utf-8")
    return client


def copy_of(path: Path, tmp_path: Path, name: str) -> Path:
    return Path(shutil.copy(path, tmp_path / name))


@pytest.mark.parametrize(
    ("source", "kind"),
    [(CAPTURE, "captures"), (TRACE, "probes"), (RULES, "rules"), (SAMPLE / "callers.csv", "tables")],
)
def test_the_content_says_what_a_file_is(tmp_path: Path, source: Path, kind: str) -> None:
    assert place_of(copy_of(source, tmp_path, "upload"), f"thing{source.suffix}").kind == kind


def test_a_packed_capture_a_log_and_the_settings_are_told_too(tmp_path: Path) -> None:
    packed = tmp_path / "x"
    packed.write_bytes(gzip.compress(CAPTURE.read_bytes()))
    assert place_of(packed, "whatever.bin").kind == "captures"
    log = tmp_path / "log"
    log.write_text(LOG, encoding="utf-8")
    assert place_of(log, "agent-log.txt").kind == "logs"
    assert place_of(SAMPLE / "client.toml", "Client.TOML").path == Path("client.toml")


def test_what_nobody_can_tell_is_asked_for(tmp_path: Path) -> None:
    odd = tmp_path / "odd"
    odd.write_bytes(b"\x00\x01\x02")
    with pytest.raises(TableError, match=r"odd\.bin: the content does not say .* choose it"):
        place_of(odd, "odd.bin")
    assert place_of(odd, "odd.bin", kind="captures").kind == "captures"
    with pytest.raises(TableError, match="none of the client's tables"):
        place_of(odd, "odd.bin", kind="tables")


def test_a_capture_of_a_site_is_found_there_again_by_the_client(folder: Path, tmp_path: Path) -> None:
    place = file_away(folder, copy_of(CAPTURE, tmp_path, "up"), "call.pcap", site_id="DEN")
    assert place.path == Path("captures/DEN/call.pcap")
    (found,) = read_client(folder).captures
    assert (found.site_id, found.path.read_bytes()) == ("DEN", CAPTURE.read_bytes())


def test_evidence_is_never_replaced_and_tables_are(folder: Path, tmp_path: Path) -> None:
    for expected in ("call.pcap", "call-2.pcap", "call-3.pcap"):
        assert file_away(folder, copy_of(CAPTURE, tmp_path, "up"), "call.pcap").path.name == expected
    file_away(folder, copy_of(SAMPLE / "sites.csv", tmp_path, "up"), "Sites of ACME.csv")
    assert (folder / "sites.csv").read_bytes() == (SAMPLE / "sites.csv").read_bytes()
    assert not [path for path in folder.rglob("*") if path.name.endswith(".part")]


@pytest.mark.parametrize("site_id", ["../../etc", "a/b", "..", "a\\b", "x "])
def test_a_site_whose_name_leads_elsewhere_gets_no_folder(folder: Path, tmp_path: Path, site_id: str) -> None:
    with pytest.raises(TableError, match="cannot be the name of a folder"):
        file_away(folder, copy_of(CAPTURE, tmp_path, "up"), "call.pcap", site_id=site_id)


def test_every_kind_has_words_for_people() -> None:
    assert [kind for _, kind in kinds_for_people()] == ["captures", "probes", "logs", "rules", "tables"]
