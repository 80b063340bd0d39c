"""Recordings on the loopback while packets are sent: by each program, to each kind of end."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time

import pytest
from captures_by_hand import channel, rtp

from ccp_assess.capture.record import start_recording
from ccp_assess.capture.recording.programs import Ring
from ccp_assess.capture.scan import scan
from ccp_assess.errors import RecordingError, RecordingPermissionError

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="recording needs the right to"),
]


@pytest.fixture
def relay():
    """A port of our own that takes packets and answers none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        yield listening.getsockname()[1]


def send(port, count, *, pause_s=0.002, first=0):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
        for number in range(first, first + count):
            payload = channel(0x4000, rtp(number, number * 960, 0xABCD, payload=b"VOICE" * 16))
            sending.sendto(payload, ("127.0.0.1", port))
            time.sleep(pause_s)


def until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("program", ["dumpcap", "tcpdump", "scapy"])
@pytest.mark.parametrize("suffix", [".pcapng", ".pcap"])
def test_every_packet_sent_is_in_the_recording_without_its_payload(tmp_path, tool, relay, program, suffix):
    if program != "scapy":
        tool(program)
    path = tmp_path / f"call{suffix}"
    recording = start_recording(path, interface="lo", expression=f"udp port {relay}", only=program)
    send(relay, 100)
    until(lambda: recording.live.packets >= 100 or program == "tcpdump")
    time.sleep(0.3)
    result = recording.stop()
    assert (result.packets, result.dropped) == (100, 0)
    assert result.program == program
    assert result.stopped_by == "user"
    assert result.bytes == 100 * (14 + 20 + 8 + 4 + 12 + 80)
    (stream,) = scan(path).streams
    assert (stream.packets, stream.lost) == (100, 0)
    assert b"VOICE" not in path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert recording.result == result
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def test_on_the_loopback_everything_is_taken_since_no_softphone_is_there(tmp_path, tool, relay):
    tool("dumpcap")
    recording = start_recording(tmp_path / "c.pcapng", interface="lo")
    send(relay, 30)
    until(lambda: recording.live.media_packets >= 30)
    result = recording.stop()
    assert result.filter == "everything"
    assert result.packets >= 30


def test_it_ends_by_itself_when_the_call_is_over(tmp_path, tool, relay):
    tool("dumpcap")
    recording = start_recording(tmp_path / "call.pcapng", interface="lo", expression=f"udp port {relay}", quiet_s=1.0)
    assert recording.wait(1.5) is None  # silence before a call ends nothing
    send(relay, 50)
    result = recording.wait(30)
    assert result is not None
    assert result.stopped_by == "quiet"
    assert result.packets == result.media_packets == 50


def test_it_ends_after_its_time_and_tells_how_it_stood_meanwhile(tmp_path, tool, relay):
    tool("dumpcap")
    recording = start_recording(tmp_path / "c.pcapng", interface="lo", expression=f"udp port {relay}", duration_s=3.0)
    sender = threading.Thread(target=send, args=(relay, 200))
    sender.start()
    until(lambda: recording.live.packets_out > 20)
    live = recording.live
    assert live.dropped is None
    assert live.media_quiet_s is not None
    assert live.media_quiet_s < 2
    sender.join()
    result = recording.wait(30)
    assert result is not None
    assert result.stopped_by == "duration"
    assert not recording.is_running


@pytest.mark.parametrize("program", ["dumpcap", "tcpdump"])
def test_a_ring_keeps_the_newest_packets_within_its_size(tmp_path, tool, relay, program):
    tool(program)
    size = 20_000 if program == "dumpcap" else 1_000_000
    recording = start_recording(
        tmp_path / "c.pcapng",
        interface="lo",
        expression=f"udp port {relay}",
        ring=Ring(files=3, file_bytes=size),
        only=program,
        keep_payload=True,
    )
    send(relay, 1500, pause_s=0)
    time.sleep(1.0)
    result = recording.stop()
    (stream,) = scan(tmp_path / "c.pcapng").streams
    assert result.packets == stream.packets
    if program == "dumpcap":
        assert 100 < result.packets < 600
        assert (tmp_path / "c.pcapng").stat().st_size < 90_000
    assert stream.lost == 0
    assert [item.name for item in tmp_path.iterdir()] == ["c.pcapng"]


@pytest.mark.parametrize("program", ["dumpcap", "tcpdump"])
def test_a_recording_that_is_killed_leaves_a_readable_file_and_no_program(tmp_path, tool, relay, program):
    tool(program)
    path = tmp_path / "c.pcapng"
    code = (
        "import sys, time\nfrom ccp_assess.capture.record import start_recording\n"
        f"r = start_recording({str(path)!r}, interface='lo', expression='udp port {relay}', only={program!r})\n"
        "print(r._recorder._process.pid, flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as ours:
        assert ours.stdout is not None
        child = int(ours.stdout.readline())
        send(relay, 300)
        time.sleep(0.5)
        ours.send_signal(signal.SIGKILL)
        ours.wait()
    until(lambda: not is_alive(child))
    assert scan(path).captures[0].packets >= 200
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def is_alive(number):
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{number}/stat", encoding="ascii") as file:  # noqa: PTH123
        return file.read().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_prints_json_when_it_is_interrupted(tmp_path, tool, relay, number):
    tool("dumpcap")
    path = tmp_path / "c.pcapng"
    command = [sys.executable, "-m", "ccp_assess", "capture", "record", "--interface", "lo", "--out", str(path)]
    command += ["--filter", f"udp port {relay}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as ours:
        assert ours.stderr is not None
        assert "Ctrl-C stops" in ours.stderr.readline()
        send(relay, 50)
        time.sleep(0.5)
        ours.send_signal(number)
        out, _ = ours.communicate(timeout=30)
    assert ours.returncode == 0
    document = json.loads(out)
    assert (document["packets"], document["dropped"], document["path"]) == (50, 0, str(path))
    assert document["bytes"] > 0


def test_a_recording_outlives_the_thread_that_asked_for_it(tmp_path, tool, relay):
    tool("dumpcap")
    started = []
    asking = threading.Thread(
        target=lambda: started.append(
            start_recording(tmp_path / "c.pcapng", interface="lo", expression=f"udp port {relay}", only="dumpcap")
        )
    )
    asking.start()
    asking.join()
    time.sleep(0.5)
    send(relay, 30)
    result = started[0].stop()
    assert (result.packets, result.stopped_by) == (30, "user")


def test_an_empty_file_is_a_place_kept_free(tmp_path, tool, relay):
    tool("dumpcap")
    (tmp_path / "c.pcap").touch()
    recording = start_recording(tmp_path / "c.pcap", interface="lo", expression=f"udp port {relay}")
    assert recording.stop().packets == 0


def test_a_file_that_is_there_is_not_overwritten(tmp_path):
    (tmp_path / "c.pcapng").write_bytes(b"old")
    with pytest.raises(RecordingError, match="does not overwrite"):
        start_recording(tmp_path / "c.pcapng", interface="lo")
    assert (tmp_path / "c.pcapng").read_bytes() == b"old"


def test_a_wrong_filter_is_named_and_leaves_no_file(tmp_path, tool):
    tool("dumpcap")
    with pytest.raises(RecordingError, match="'udp prot 1' is none that libpcap understands"):
        start_recording(tmp_path / "c.pcapng", interface="lo", expression="udp prot 1")
    assert list(tmp_path.iterdir()) == []


def test_without_the_right_the_sentence_says_how_to_get_it(tmp_path, tool):
    tool("dumpcap")
    without = [tool("setpriv"), "--bounding-set=-net_raw,-net_admin", "--inh-caps=-net_raw,-net_admin"]
    command = [sys.executable, "-m", "ccp_assess", "capture", "record", "-i", "lo", "--out", str(tmp_path / "c.pcapng")]
    done = subprocess.run([*without, *command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "setcap cap_net_raw=ep" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
    assert issubclass(RecordingPermissionError, PermissionError)
