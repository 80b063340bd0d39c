"""A scrubbed capture is assessed as the original is: every field of the contract but mapped names and addresses."""

import json
import re
import stat
from pathlib import Path

import pytest
from captures_by_hand import ethernet, ip, pcap, pcapng, udp
from typer.testing import CliRunner

from ccp_assess.assess.captures import assess_captures
from ccp_assess.capture.scrub import scrub_capture
from ccp_assess.cli.capture import app
from ccp_assess.errors import CaptureError

CAPTURES = Path(__file__).resolve().parents[3] / "shared" / "captures"
EVERYTHING = sorted(p for p in CAPTURES.glob("*/*") if p.is_file() and p.suffix not in {".md", ".jsonl"})
LAB = sorted([*CAPTURES.glob("lab/pcap/*"), *CAPTURES.glob("lab/derived/*")])
QUICK_LAB = {
    "clean-snap96.pcap", "fail_auth.pcap", "fail_udp_drop.pcap", "ipv6.pcap", "opus_ptime60.pcap", "tcp3478_loss3.pcap",
    "ipv6+fail_udp_drop.pcapng", "loss_window-snap60.pcapng", "ext_none-cutoff.pcap", "hold_stop.pcap.gz",
}  # fmt: skip
BRIEF = [path for path in EVERYTHING if path.stat().st_size < 4_000]
SMALL = BRIEF[::2] + [path for path in LAB if path.name in QUICK_LAB]
REST = [path for path in [*EVERYTHING, *LAB] if path not in SMALL]

MAPPED = re.compile(
    r"\.(host|address|name|answers|src|dst|client|server|peer|call_id|path|tls_issuer|proxy|text|agent|reporter|issuer"
    r"|(client|server)_fingerprint)(\[\d+\])?$"
)
KEY = "00112233445566778899aabbccddeeff" * 2


def differences(one, two, place=""):
    if isinstance(one, dict) and isinstance(two, dict):
        for key in sorted({*one, *two}):
            yield from differences(one.get(key), two.get(key), f"{place}.{key}")
    elif isinstance(one, list) and isinstance(two, list):
        if len(one) != len(two):
            yield place, len(one), len(two)
        for number, pair in enumerate(zip(one, two, strict=False)):
            yield from differences(*pair, f"{place}[{number}]")
    elif one != two and not MAPPED.search(place):
        yield place, one, two


def document(path):
    """Read a capture; rows of one moment are ordered by address in the contract, so here by what is not mapped."""
    found = assess_captures([path], workers=1).to_document()
    for rows in ("endpoints", "streams", "transactions", "dns"):
        found[rows].sort(key=lambda row: json.dumps({k: v for k, v in row.items() if not MAPPED.search(f".{k}")}))
    return found


def check_same(path, tmp_path):
    try:
        before = document(path)
    except CaptureError:
        with pytest.raises(CaptureError):
            scrub_capture(path, tmp_path / "out", key=tmp_path / "key")
        return
    (tmp_path / "key").write_text(KEY)
    target = tmp_path / f"out{path.suffix if path.suffix in {'.gz', '.zst', '.lz4'} else ''}"
    scrub_capture(path, target, key=tmp_path / "key")
    assert list(differences(before, document(target))) == []


@pytest.mark.shared
@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.name)
def test_small_captures_keep_their_numbers(path, tmp_path):
    check_same(path, tmp_path)


@pytest.mark.long
@pytest.mark.shared
@pytest.mark.parametrize("path", REST, ids=lambda path: path.name)
def test_all_other_captures_keep_their_numbers(path, tmp_path):
    check_same(path, tmp_path)


@pytest.mark.shared
def test_the_region_of_a_relay_stays_and_the_agents_address_does_not(tmp_path):
    path = CAPTURES / "lab" / "pcap" / "opus_ptime60.pcap"
    scrub_capture(path, tmp_path / "out.pcap", key=tmp_path / "key")
    before, after = (assess_captures([p]).to_document()["calls"][0] for p in (path, tmp_path / "out.pcap"))
    assert after["region_code"] == before["region_code"] == "us-west-2"
    assert after["relay"] == before["relay"]
    assert b"10.20.1.11" not in json.dumps(after).encode()


@pytest.mark.shared
@pytest.mark.parametrize("name", ["pcap/fail_auth.pcap", "derived/ipv6+fail_udp_drop.pcapng"])
def test_scrubbing_again_with_the_same_key_changes_nothing(tmp_path, name):
    once, twice = tmp_path / "once", tmp_path / "twice"
    assert not scrub_capture(CAPTURES / "lab" / name, once, key=tmp_path / "key").already_mapped
    assert scrub_capture(once, twice, key=tmp_path / "key").already_mapped
    assert twice.read_bytes() == once.read_bytes()
    assert not scrub_capture(once, tmp_path / "other", key=tmp_path / "another key").already_mapped


@pytest.mark.shared
def test_the_same_address_is_mapped_alike_in_every_file_of_one_key(tmp_path):
    agents = []
    for name in ("fail_auth", "opus_ptime60"):
        scrub_capture(CAPTURES / "lab" / "pcap" / f"{name}.pcap", tmp_path / name, key=tmp_path / "key")
        agents.append({row["client"] for row in assess_captures([tmp_path / name]).to_document()["dns"]})
    assert agents[0] == agents[1]


def small_capture(path, form=pcap):
    path.write_bytes(form([(10**18, ethernet(ip("10.1.2.3", "81.2.69.142", 17, udp(1, 9999, b"secret words"))))]))
    return path


@pytest.mark.parametrize("form", [pcap, pcapng])
def test_format_and_size_stay(tmp_path, form):
    source = small_capture(tmp_path / "in", form)
    result = scrub_capture(source, tmp_path / "out", key=tmp_path / "key")
    assert (tmp_path / "out").stat().st_size == source.stat().st_size == result.bytes
    assert result.packets == 1
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o600


@pytest.mark.parametrize("case", ["itself", "link", "hard link", "folder", "key is input", "key is output", "stdin"])
def test_nothing_is_overwritten(tmp_path, case):
    source = small_capture(tmp_path / "in")
    before = source.read_bytes()
    target, key = tmp_path / "out", tmp_path / "key"
    if case == "itself":
        target = source
    elif case == "link":
        target.symlink_to(source)
    elif case == "hard link":
        target.hardlink_to(source)
    elif case == "folder":
        target.mkdir()
    elif case == "key is input":
        key = source
    elif case == "key is output":
        key = target
    with pytest.raises(CaptureError):
        scrub_capture("-" if case == "stdin" else source, target, key=key)
    assert source.read_bytes() == before


def test_a_failure_leaves_no_file_and_the_old_one_as_it_was(tmp_path):
    (tmp_path / "out").write_bytes(b"old")
    (tmp_path / "in").write_bytes(b"this is no capture")
    with pytest.raises(CaptureError, match="text file"):
        scrub_capture(tmp_path / "in", tmp_path / "out", key=tmp_path / "key")

    def interrupt(what, done, total):
        if what == "scrubbing":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scrub_capture(small_capture(tmp_path / "in"), tmp_path / "out", key=tmp_path / "key", progress=interrupt)
    assert (tmp_path / "out").read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "key", "out"]


def test_the_command_says_what_stays_and_keeps_the_key_to_its_owner(tmp_path):
    source, key = small_capture(tmp_path / "in.pcap"), tmp_path / "client.key"
    done = CliRunner().invoke(app, ["scrub", str(source), str(tmp_path / "out.pcap"), "--key", str(key)])
    assert done.exit_code == 0
    assert "1 packets, scrubbed" in done.output
    assert "Keep it at the client" in done.output.replace("\n", " ")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    again = CliRunner().invoke(
        app, ["scrub", str(tmp_path / "out.pcap"), str(tmp_path / "2.pcap"), "--key", str(key), "--json"]
    )
    assert json.loads(again.output)["already_mapped"] is True
