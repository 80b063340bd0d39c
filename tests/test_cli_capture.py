"""The command `capture read`: one document, one sentence, whole files."""

import json
import struct
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ccp_assess.assess.captures import TABLES, assess_captures
from ccp_assess.assess.capturetables import SCHEMAS, table_of
from ccp_assess.cli import main
from ccp_assess.cli.capture import app as capture_app
from ccp_assess.errors import CcpAssessError

LAB = Path(__file__).resolve().parents[2] / "shared" / "captures" / "lab"
EMPTY = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
CONTRACT = {
    "captures": "path format link_types packets bytes first_time last_time snaplen_cut ended_early skipped",
    "endpoints": "host address port transport role region_code packets_out packets_in bytes_out bytes_in "
    "connect_rtt_ms tls_handshake_ms tls_issuer retransmissions hops_estimate answered",
    "dns": "time name type answers rcode response_ms",
    "transactions": "time method inside_relay src src_port dst dst_port outcome error_code retransmissions rtt_ms",
    "streams": "src src_port dst dst_port ssrc payload_type direction relay channel_number relay_transport "
    "clock_rate_hz packets expected lost loss_pct duplicates reordered jitter_ms jitter_mean_ms jitter_max_ms"
    " longest_gap_ms "
    "burst_ratio first_time last_time call_id",
    "calls": "call_id start_time end_time region_code relay setup_ms rtt_relay_ms rtt_media_ms in out findings",
}


def run(*arguments):
    return CliRunner().invoke(capture_app, ["read", *map(str, arguments)])


def test_an_empty_capture_is_a_whole_document_that_says_so(tmp_path):
    path = tmp_path / "empty.pcap"
    path.write_bytes(EMPTY)
    result = run(path, "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 0
    assert document["calls"] == document["streams"] == []
    assert document["captures"][0]["first_time"] is None
    assert [finding["code"] for finding in document["findings"]] == ["NO_PACKETS"]


@pytest.mark.parametrize("content", [b"", b"this is no capture\n" * 10, b"\x00" * 100])
def test_what_is_no_capture_is_one_sentence_and_no_traceback(tmp_path, monkeypatch, capsys, content):
    path = tmp_path / "text.pcap"
    path.write_bytes(content)
    monkeypatch.setattr("sys.argv", ["ccp-assess", "capture", "read", str(path), "--json"])
    with pytest.raises(SystemExit) as stop:
        main()
    output = capsys.readouterr()
    assert stop.value.code == 1
    assert output.out == ""
    assert output.err.count("\n") == 1
    assert "text.pcap" in output.err


def test_a_capture_cut_in_its_header_says_so(tmp_path):
    path = tmp_path / "cut.pcap"
    path.write_bytes(EMPTY + struct.pack("<IIII", 1, 2, 60, 60) + b"abc")
    document = json.loads(run(path, "--json").stdout)
    assert document["captures"][0]["ended_early"]
    assert "CAPTURE_ENDED_EARLY" in {finding["code"] for finding in document["findings"]}


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises((CcpAssessError, OSError)):
        assess_captures([tmp_path / "absent.pcap"])


@pytest.mark.parametrize("arguments", [["--host", "nobody"], ["--packets"], ["--workers", "0"]])
def test_wrong_usage_ends_with_2(tmp_path, arguments):
    path = tmp_path / "empty.pcap"
    path.write_bytes(EMPTY)
    assert run(path, *arguments).exit_code == 2


def test_the_tables_have_their_columns_even_without_rows(tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "empty.pcap"
    path.write_bytes(EMPTY)
    assert run(path, "--out", tmp_path / "out", "--packets").exit_code == 0
    for name, columns in SCHEMAS.items():
        assert pq.read_table(tmp_path / "out" / f"{name}.parquet").column_names == list(columns)
    assert pq.read_table(tmp_path / "out" / "packets.parquet").num_rows == 0
    assert not list((tmp_path / "out").glob(".*"))


def test_nothing_half_written_is_left_where_the_file_is_no_capture(tmp_path):
    path = tmp_path / "text.pcap"
    path.write_text("no capture")
    assert run(path, "--out", tmp_path / "out", "--packets").exit_code == 1
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.shared
def test_the_document_has_every_field_of_the_contract():
    document = json.loads(run(LAB / "pcap" / "clean.pcap", "--json").stdout)
    for part, names in CONTRACT.items():
        assert document[part], part
        for row in document[part]:
            assert set(names.split()) <= set(row), part
    call = document["calls"][0]
    assert {"address", "port", "transport"} <= set(call["relay"])
    assert set(call["setup_ms"]) == {"dns", "allocate", "ice", "dtls", "first_media"}
    assert {"p50", "p95", "n"} <= set(call["rtt_media_ms"])
    assert {"loss_pct", "jitter_ms", "late_pct", "mos_cqe", "r_factor"} <= set(call["in"])
    assert {"loss_pct", "jitter_ms", "mos_cqe", "r_factor"} <= set(call["out"])
    assert {"code", "severity", "text", "evidence"} <= set(call["findings"][0])
    assert document["streams"][0]["ssrc"].startswith("0x")


@pytest.mark.shared
def test_two_runs_and_other_workers_and_blocks_give_the_same_document():
    path = LAB / "pcap" / "three_agents.pcap"
    first = assess_captures([path]).to_document()
    assert assess_captures([path], workers=1).to_document() == first
    assert assess_captures([path], workers=2, block_bytes=70_001).to_document() == first


@pytest.mark.shared
def test_several_files_are_one_capture():
    files = [LAB / "pcap" / name for name in ("ipv6.pcap", "fail_udp_drop.pcap")]
    together = assess_captures(files)
    assert len(together.scan.captures) == 2
    assert [entry.call.failure is None for entry in together.calls] == [False, True]


@pytest.mark.shared
def test_the_tables_hold_the_rows_of_the_document(tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    path = LAB / "pcap" / "tcp3478.pcap"
    assert run(path, "--out", tmp_path, "--packets").exit_code == 0
    assessment = assess_captures([path])
    for name in SCHEMAS:
        rows = assessment.rows(name)
        assert pq.read_table(tmp_path / f"{name}.parquet").num_rows == len(rows) > 0
    packets = pq.read_table(tmp_path / "packets.parquet")
    assert 0 < packets.num_rows <= assessment.scan.captures[0].packets
    assert packets.column("time").to_pylist() == sorted(packets.column("time").to_pylist())


@pytest.mark.shared
def test_no_column_of_a_table_is_forgotten():
    assessment = assess_captures([LAB / "pcap" / "clean.pcap"])
    for name, columns in SCHEMAS.items():
        assert set().union(*assessment.rows(name)) <= set(columns), name
        assert table_of(assessment, name).num_columns == len(columns)


@pytest.mark.shared
def test_the_summary_for_people_names_region_loss_and_estimate():
    text = run(LAB / "pcap" / "loss3_down.pcap").stdout
    assert "us-west-2" in text
    assert "loss 2.50 %" in text
    assert "MOS" in text


@pytest.mark.shared
def test_frames_and_html_are_there_for_notebooks():
    assessment = assess_captures([LAB / "pcap" / "clean.pcap"])
    for table in TABLES:
        assert len(assessment.to_frame(table)) == len(assessment.rows(table))
    assert assessment._repr_html_().startswith("<table>")
    with pytest.raises(KeyError, match="unknown"):
        assessment.to_frame("nonsense")


def test_the_command_is_part_of_the_whole(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["ccp-assess", "capture", "read", "--help"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0
    assert "--workers" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--ring", "9" * 400, "a ring holds at least 10kB and at most"),
        ("--ring", "500²", "is no size"),
        ("--ring", "1kB", "a ring holds at least 10kB"),
        ("--duration", "9" * 400, "is no duration"),
        ("--until-quiet", "0s", "is no duration"),
        ("--until-quiet", "1h30", "is no duration"),
    ],
)
def test_a_time_or_a_size_that_is_none_is_refused_before_anything_is_recorded(tmp_path, option, value, words):
    out = tmp_path / "call.pcapng"
    result = CliRunner().invoke(capture_app, ["record", "--out", str(out), option, value], env={"COLUMNS": "500"})
    assert result.exit_code == 2
    assert words in result.output
    assert not out.exists()
