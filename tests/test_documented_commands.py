"""What README and docs say can be typed: every command and option exists, and the harmless ones run as written."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import typer.main
from ccp_logs import agent_log
from typer.testing import CliRunner

from ccp_assess import cli

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
SAMPLE = ROOT / "data" / "sample"
COMMAND = re.compile(r"(?:^ {4}|^|`)(?:\.venv/bin/)?ccp-assess ([a-z][^`\n]*)", re.MULTILINE)
NOT_RUN = {"probe", "monitor", "compare", "connect", "fleet", "query"}
"""Commands that measure, ask a service, or need many workers or their dataset; their options are checked too."""


@pytest.fixture(scope="module")
def root():
    cli._register()
    return typer.main.get_command(cli.app)


def written():
    """Every command that is written down, with where."""
    for page in PAGES:
        for found in COMMAND.finditer(page.read_text(encoding="utf-8")):
            line = found[1].split("  #")[0].replace("\\|", "|").replace("[--json]", "--json").strip()
            yield pytest.param(line, id=f"{page.name}: {line[:60]}")


def in_blocks():
    """Every command of a block to copy, in the order of the page; those of one page build on each other."""
    for page in PAGES:
        lines = re.findall(
            r"^(?: {4})?(?:\.venv/bin/)?ccp-assess ([a-z].*)$", page.read_text(encoding="utf-8"), re.MULTILINE
        )
        kept = [line.split("  #")[0].strip() for line in lines]
        kept = [line for line in kept if line.split()[0] not in NOT_RUN and "capture record" not in line]
        if kept:
            yield pytest.param(kept, id=page.name)


@pytest.mark.parametrize("line", [*written()])
def test_every_command_and_option_that_is_written_down_exists(line, root):
    words = shlex.split(line.split("`")[0].rstrip(".,;:"))
    for name in words[0].split(","):
        check(root, [name, *words[1:]])


def check(command, words):
    path = []
    while words and hasattr(command, "commands"):
        if words[0].startswith("-"):
            break
        names = words[0].split("|")
        if path == ["assess"] and names[0] not in command.commands:
            names = ["run"]  # `assess CLIENT_DIR` beside `assess diff`
            words = ["run", *words]
        known = {name: command.commands.get(name) for name in names}
        assert all(known.values()), f"{' '.join(path)} knows no {words[0]}"
        path.append(words[0])
        command, words = known[names[-1]], words[1:]
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    for word in words:
        if word.startswith("--"):
            assert word.partition("=")[0] in options, f"{' '.join(path)} knows no {word}"


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with a file of every name that the pages use."""
    captures = sorted((SAMPLE / "captures").rglob("*.pcap"))
    for name in ("call.pcap", "call.pcapng"):
        shutil.copy(captures[0], tmp_path / name)
    shutil.copytree(SAMPLE, tmp_path / "data" / "sample")
    shutil.copytree(SAMPLE, tmp_path / "CLIENT_DIR")
    shutil.copy(next((SAMPLE / "rules").iterdir()), tmp_path / "rules.txt")
    (tmp_path / "logs").mkdir()
    (tmp_path / "calls.csv").write_text(
        "time,class,outcome\n2026-11-23T09:00:00Z,answer,ok\n2026-11-23T09:05:00Z,transfer,dropped\n", encoding="utf-8"
    )
    samples = [{"t": 1_795_424_400_000 + 1000 * second} for second in range(60)]
    log = agent_log(samples, "12345678-1234-1234-1234-123456789012")
    (tmp_path / "agent-log.txt").write_text(json.dumps(log), encoding="utf-8")
    contact = {
        "ContactId": "12345678-1234-1234-1234-123456789012",
        "Channel": "VOICE",
        "InitiationMethod": "INBOUND",
        "InitiationTimestamp": "2026-11-23T09:00:00Z",
        "DisconnectTimestamp": "2026-11-23T09:05:00Z",
    }
    for name in ("contacts.json", "logs/contacts.json"):
        (tmp_path / name).write_text(json.dumps([contact]), encoding="utf-8")
    report = {"id": "a", "type": "inbound-rtp", "kind": "audio", "timestamp": 1763888400000, "packetsReceived": 5}
    (tmp_path / "dump.txt").write_text(json.dumps([[report]]), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("lines", [*in_blocks()])
def test_what_stands_in_a_block_to_copy_runs_as_written(lines, root, workplace):
    runner = CliRunner()
    for line in lines:
        words = shlex.split(line)
        if words[:2] == ["witness", "taps"]:
            continue  # needs two recordings; tests/witnesses has them
        if words[0] == "assess":  # "fill in sites.csv" stands between the two commands
            shutil.copy(SAMPLE / "sites.csv", Path(words[1]) / "sites.csv")
        done = runner.invoke(cli.app, words)
        told = f"{line}: {done.exception!r} {done.stderr}"
        assert done.exit_code == 0, told


def test_the_five_lines_of_python_run_as_written(workplace):
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    exec(block, names)  # noqa: S102 - it is our own README
    assert names["result"].sentences
