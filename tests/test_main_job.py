"""The main job as a user meets it: the command, its JSON, its report, and what it says to bad input."""

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ccp_assess import cli
from ccp_assess.assess.client_assessment import assess_client

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "data" / "sample"


def run(*words, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "ccp_assess", *map(str, words)], capture_output=True, text=True, check=False, cwd=cwd
    )


def run_here(*words):
    """Run the command as `run` does, but in this process: it starts nothing and imports nothing again."""
    patch = pytest.MonkeyPatch()
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2)]
    with patch.context() as only_here:
        only_here.setattr(sys, "argv", ["ccp-assess", *map(str, words)])
        only_here.setattr(sys, "stdout", streams[0])
        only_here.setattr(sys, "stderr", streams[1])
        if cli.app.registered_commands:
            only_here.setattr(cli, "_register", lambda: None)
        with pytest.raises(SystemExit) as ended:
            cli.main()
    out, err = (stream.buffer.getvalue().decode("utf-8") for stream in streams)
    return subprocess.CompletedProcess(words, ended.value.code or 0, out, err)


def refused(result):
    """Return the one line that a refused command wrote, after checking that it is one."""
    assert result.returncode == 1, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("ccp-assess: ")
    assert "a fault of our own" not in lines[0]
    return lines[0]


@pytest.fixture(scope="module")
def sample_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    result = run_here("assess", SAMPLE, "--out", out, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout), out


@pytest.fixture(scope="module")
def sample_assessment():
    return assess_client(SAMPLE)


@pytest.fixture
def client_dir(tmp_path):
    folder = tmp_path / "a client with spaces and ümlauts"
    folder.mkdir()
    for name in ("client.toml", "sites.csv"):
        shutil.copy(SAMPLE / name, folder / name)
    return folder


def test_the_main_job_answers_in_three_sentences_and_names_the_report(tmp_path):
    result = run("assess", SAMPLE, "--out", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.strip().splitlines()
    assert len(lines) == 4
    assert lines[-1] == f"Report: {tmp_path / 'out' / 'report.html'}"
    assert (tmp_path / "out" / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert result.stderr == ""  # a pipe stays quiet


def test_the_json_of_the_main_job_has_the_parts_of_the_contract(sample_run):
    document, out = sample_run
    assert {"recommendation", "calls", "measurements", "allowlist", "findings", "report"} <= set(document)
    assert document["recommendation"]["regions"]
    assert document["recommendation"]["runner_up"]
    assert Path(document["report"]["html"]).is_file()
    assert json.loads((out / "assessment.json").read_text(encoding="utf-8")) == document


def test_every_call_of_the_sample_is_found_in_its_region(sample_run):
    document, _ = sample_run
    media = [call for call in document["calls"] if call["relay"]]
    assert {call["region_code"] for call in media} == {"us-west-2"}
    assert {call["site_id"] for call in document["calls"]} == {"DEN", "SLC", "HOM", "CPT"}


def test_measured_legs_are_marked_measured_and_the_others_modelled(sample_run):
    document, _ = sample_run
    rows = {
        (option["regions"][0], row["site_id"]): row
        for option in document["ranking"]["options"]
        for row in option["by_site"]
        if len(option["regions"]) == 1
    }
    assert rows["us-west-2", "DEN"]["basis"] == "measured"
    assert rows["ap-northeast-2", "DEN"]["basis"] == "modelled"


def test_every_number_a_client_sees_has_a_basis_and_uncaptured_sites_are_said(sample_run):
    document, _ = sample_run
    for option in document["ranking"]["options"]:
        for part in ("by_site", "by_caller_origin", "by_transfer"):
            assert all(row["basis"] in {"measured", "modelled", "assumed"} for row in option[part])
    assert document["unknowns"]


def test_the_same_folder_gives_the_same_numbers_twice(sample_run, sample_assessment):
    document, _ = sample_run
    again = sample_assessment.to_document()
    assert again["ranking"]["options"] == document["ranking"]["options"]


def test_the_python_api_shows_tables_and_escaped_html(sample_assessment):
    assert len(sample_assessment.sentences) == 3
    assert not sample_assessment.to_frame().empty
    assert {"call_id", "site_id"} <= set(sample_assessment.to_frame("calls").columns)
    assert "<script" not in sample_assessment._repr_html_()
    with pytest.raises(KeyError, match="options"):
        sample_assessment.to_frame("nonsense")


def test_a_folder_with_nothing_but_sites_still_gets_a_recommendation_that_says_what_is_unknown(client_dir, tmp_path):
    result = run_here("assess", client_dir, "--out", tmp_path / "o", "--json")
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["recommendation"]["regions"]
    said = " ".join(document["unknowns"]).lower()
    assert "capture" in said
    assert "caller" in said


def test_tables_have_their_columns_even_where_nothing_was_captured(client_dir):
    assessment = assess_client(client_dir)
    assert {"site_id", "file", "in.loss_pct", "in.mos_cqe", "rtt_relay_ms.p50"} <= set(
        assessment.to_frame("calls").columns
    )
    assert {"severity", "site_id", "text"} <= set(assessment.to_frame("findings").columns)


def test_without_out_the_report_stands_in_the_client_folder(client_dir):
    assert run_here("assess", client_dir).returncode == 0
    assert (client_dir / "report" / "report.html").is_file()


def test_bad_captures_and_traces_cost_themselves_and_nothing_else(client_dir, tmp_path):
    captures = client_dir / "captures" / "DEN"
    captures.mkdir(parents=True)
    (captures / "empty.pcap").write_bytes(b"")
    (captures / "text.pcap").write_text("this is not a capture, but someone named it so\n" * 10)
    whole = (SAMPLE / "captures" / "DEN" / "bench__desk-call.pcap").read_bytes()
    (captures / "cut.pcap").write_bytes(whole[: len(whole) // 2])
    probes = client_dir / "probes" / "DEN"
    probes.mkdir(parents=True)
    (probes / "nonsense.txt").write_text("nothing a measuring tool would write\n")
    result = run_here("assess", client_dir, "--out", tmp_path / "o", "--json")
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert len(document["calls"]) == 1  # the first half of the cut capture is kept
    said = " ".join(finding["text"] for finding in document["findings"]) + " ".join(document["unknowns"])
    for name in ("empty.pcap", "text.pcap", "nonsense.txt"):
        assert name in said
    assert any("cut.pcap" in (finding.get("file") or "") for finding in document["findings"])


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("sites.csv", "160", "many", "agents"),
        ("sites.csv", "site_id", "identifier", "site_id"),
        ("sites.csv", ",office,", ",castle,", "access"),
        ("client.toml", "[constraints]", '[constraints]\nallowed_regions = ["eu-west-9"]', "eu-west-2"),
    ],
)
def test_a_broken_table_names_file_and_fix_in_one_line(client_dir, name, old, new, said):
    path = client_dir / name
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    line = refused(run_here("assess", client_dir))
    assert name in line
    assert said in line


def test_a_missing_table_or_folder_is_one_line(client_dir, tmp_path):
    (client_dir / "sites.csv").unlink()
    assert "sites.csv" in refused(run("assess", client_dir))
    assert "nowhere" in refused(run_here("assess", tmp_path / "nowhere"))


def test_a_place_that_cannot_be_written_to_is_one_line(client_dir, tmp_path):
    (tmp_path / "file").write_text("")
    assert "file" in refused(run_here("assess", client_dir, "--out", tmp_path / "file" / "below"))


def test_hostile_names_reach_the_page_only_as_text(client_dir, tmp_path):
    path = client_dir / "sites.csv"
    path.write_text(
        path.read_text(encoding="utf-8").replace("Denver office", "<script>alert(1)</script>"), encoding="utf-8"
    )
    result = run_here("assess", client_dir, "--out", tmp_path / "o")
    assert result.returncode == 0, result.stderr
    assert "<script>alert" not in (tmp_path / "o" / "report.html").read_text(encoding="utf-8")


def test_two_visits_are_compared_by_their_folders(tmp_path, sample_run):
    _, out = sample_run
    later = tmp_path / "later"
    shutil.copytree(SAMPLE, later)
    shutil.rmtree(later / "captures" / "CPT")
    (later / "captures" / "SLC" / "bench__first-call-fails.pcap").unlink()
    result = run_here("assess", "diff", out, later, "--json")
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    told = {
        name: {(row["code"], row["site_id"]) for row in document[name]} for name in document if name != "recommendation"
    }
    assert ("RELAY_RTT_HIGH", "CPT") in told["not_comparable"]  # nobody recorded a call there again
    assert ("CALL_FAILED_NO_ANSWER", "SLC") in told["closed"]  # another call from there, at the same hour, went well
    assert ("LOSS_INBOUND", "HOM") in told["open"]
    assert not told["new"]


def test_comparing_with_a_folder_that_holds_nothing_is_refused_in_a_sentence(tmp_path):
    assert "holds no assessment.json" in refused(run_here("assess", "diff", tmp_path, SAMPLE))
