"""The commands as a user types them: words, exit codes, one sentence for each mistake."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ccp_assess.assess.trial_calls import calls_from_captures


def ccp(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ccp_assess", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=folder,
    )


def test_build_prints_the_contracts_document_and_nothing_else() -> None:
    done = ccp("allowlist", "build", "--region", "us-east-1", "us-west-2", "--option", "hybrid", "--json")
    document = json.loads(done.stdout)
    assert done.stderr == ""
    assert document["regions"] == ["us-east-1", "us-west-2"]
    assert document["addresses_opened"]["v4"] == 8192 + 32 + 128 + 16


def test_regions_may_be_written_in_any_of_three_ways() -> None:
    ways = (["--region", "us-east-1", "--region", "us-west-2"], ["--region", "us-east-1,us-west-2"])
    texts = {ccp("allowlist", "build", *way, "--format", "list").stdout for way in ways}
    assert len(texts) == 1


def test_a_change_request_is_written_with_its_data_beside_it(tmp_path: Path) -> None:
    done = ccp(
        "allowlist", "build", "--region", "eu-west-2", "--format", "change-request-docx", "--out", "change.docx",
        folder=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "change.docx").read_bytes().startswith(b"PK")
    assert json.loads((tmp_path / "REQUEST.json").read_text())["rules"]


def test_audit_reads_a_list_and_answers_in_json(tmp_path: Path) -> None:
    (tmp_path / "rules.txt").write_text("15.193.0.0/19\n203.0.113.0/24\n")
    done = ccp(
        "allowlist", "audit", "rules.txt", "--region", "eu-west-2", "--option", "hybrid", "--json", folder=tmp_path
    )
    document = json.loads(done.stdout)
    assert [row["target"] for row in document["stale"]] == ["203.0.113.0/24"]
    assert "15.193.0.0/19" in {row["target"] for row in document["covered"]}
    assert {"missing", "too_wide", "stale", "covered"} <= set(document)


@pytest.mark.shared
def test_watch_writes_a_calendar_and_diff_answers_in_json(shared: Path, tmp_path: Path) -> None:
    ranges = shared / "ranges"
    files = [str(ranges / f"ip-ranges_{name}.json.gz") for name in ("2024-07-17_day-before", "2024-07-18_eleven-added")]
    done = ccp("allowlist", "diff", *files, "--region", "eu-west-2", "--json")
    assert [row["already_covered_by"] for row in json.loads(done.stdout)["added"]] == ["15.193.0.0/19"]
    done = ccp("allowlist", "watch", *files, "--region", "eu-west-2", "--ics", str(tmp_path / "a.ics"))
    assert "no work: 15.193.5.0/24" in done.stdout
    assert (tmp_path / "a.ics").read_text().startswith("BEGIN:VCALENDAR")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("allowlist", "build", "--region", "eu-west-9"), 1, "known Regions"),
        (("allowlist", "build", "--region", "eu-west-2", "--instance", "a;b"), 1, "alias"),
        (("allowlist", "build", "--region", "eu-west-2", "--format", "morse"), 1, "use one of"),
        (("allowlist", "build", "--region", "eu-west-2", "--format", "nftables"), 1, "addresses"),
        (("allowlist", "build", "--region", "eu-west-2", "--ip-ranges", "none.json"), 1, "cannot be read"),
        (("allowlist", "build"), 2, "--region"),
        (("allowlist", "audit", "none.txt", "--region", "eu-west-2"), 1, "cannot be read"),
        (("allowlist", "audit", "--region", "eu-west-2"), 2, "RULES"),
        (("allowlist", "verify", "none.json"), 1, "cannot be read"),
        (("allowlist", "watch", "--region", "eu-west-2"), 2, "SNAPSHOT"),
        (("allowlist", "watch", "none.json", "--region", "eu-west-2", "--today", "x"), 1, "cannot be read|date"),
        (("trial", "--calls", "0", "--failures", "0"), 1, "at least one call"),
        (("trial",), 2, "--calls"),
        (("trial", "--plan", "2"), 1, "too near"),
    ],
)
def test_a_mistake_ends_in_one_sentence(arguments: tuple[str, ...], code: int, words: str, tmp_path: Path) -> None:
    done = ccp(*arguments, folder=tmp_path)
    assert done.returncode == code
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert any(word in done.stderr for word in words.split("|"))
    if code == 1:
        assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_trial_is_judged_in_json() -> None:
    document = json.loads(ccp("trial", "--calls", "236", "--failures", "1", "--json").stdout)
    assert document["verdict"] == "pass"
    assert document["calls_needed"] is None


@pytest.mark.shared
def test_calls_of_captures_count_as_calls_of_the_trial(shared: Path) -> None:
    folder = shared / "captures" / "lab" / "pcap"
    calls = calls_from_captures(
        [folder / "fail_udp_drop.pcap", folder / "drop_midcall.pcap", folder / "clean-snap96.pcap"]
    )
    assert [call.outcome for call in calls] == ["softphone_error", "dropped", "ok"]


@pytest.mark.shared
def test_a_capture_is_held_against_the_rules(shared: Path) -> None:
    from ccp_assess.assess.allowlist_audit import audit_capture

    capture = shared / "captures" / "lab" / "pcap" / "clean-snap128.pcap"
    found = audit_capture([capture], ["us-west-2"], "domains")
    relay = [row for row in found["covered"] if row["role"] == "media_relay"]
    assert [row["rule"] for row in relay] == ["TurnNlb-*.elb.us-west-2.amazonaws.com"]
    elsewhere = audit_capture([capture], ["eu-west-2"], "addresses")
    assert [row["target"] for row in elsewhere["missing"] if row["role"] == "media_relay"]
    assert any("us-west-2" in note for note in elsewhere["notes"])
