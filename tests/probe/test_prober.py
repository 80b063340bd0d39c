"""The prober as a process: it measures, hands on records, keeps its deadline and does not outlive who asked."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ccp_assess.errors import ProbeError
from ccp_assess.probe import measure
from ccp_assess.probe.traced import Target
from ccp_assess.probe.virtual_ways import stun_server

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux' own calls")


@pytest.fixture
def relay():
    """A small STUN server on loopback."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    server.settimeout(0.2)
    over = threading.Event()

    def serve():
        while not over.is_set():
            try:
                data, source = server.recvfrom(2048)
            except OSError:
                continue
            for _, answer in stun_server(data, source):
                server.sendto(answer, source)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield Target(address="127.0.0.1", port=server.getsockname()[1], name="here")
    over.set()
    thread.join()
    server.close()


def test_paths_trains_nat_and_mtu_are_measured_by_a_process_of_its_own(relay):
    records = []
    path = measure.trace_paths([relay], on_record=records.append)[relay]
    assert (path.path.hop_count, path.path.hops[0].address) == (1, "127.0.0.1")
    assert records[0]["record"] == "path"
    assert records[0]["target"] == "here"
    train = measure.run_trains([relay], seconds=0.5, on_record=records.append)[relay]
    assert (train["sent"], train["received"], train["loss_pct"]) == (25, 25, 0.0)
    assert any(record["record"] == "train" for record in records)
    other = Target(address="127.0.0.2", port=relay.port)
    facts = measure.probe_nat([relay, other])["ipv4"]
    assert facts["mapped"]["127.0.0.1"].startswith("127.0.0.1:")
    assert measure.probe_mtu([relay])[relay]["verdict"] == "whole"


def test_a_target_that_does_not_answer_ends_by_the_deadline():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        target = Target(address="127.0.0.1", port=silent.getsockname()[1])
        path = measure.trace_paths([target], deadline_s=0.3)[target]
        assert (path.path.hop_count, path.path.hops) == (None, ())
        assert measure.run_trains([target], seconds=5.0, deadline_s=3.0)[target] is None


def test_a_prober_that_fails_is_one_sentence(capfd):
    with pytest.raises(ProbeError, match="ended without a result"):
        measure.ask_prober({"do": "nothing that is known"}, deadline_s=1.0)
    capfd.readouterr()


def test_an_interrupt_ends_the_prober_too(relay):
    def interrupt(_record):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure.run_trains([relay], seconds=20.0, on_record=interrupt)


PARENT = """
import sys
from ccp_assess.probe import measure
from ccp_assess.probe.traced import Target
start = measure.subprocess.Popen
def popen(*args, **kwargs):
    child = start(*args, **kwargs)
    print(child.pid, flush=True)
    return child
measure.subprocess.Popen = popen
measure.run_trains([Target(address="127.0.0.1", port=int(sys.argv[1]))], seconds=60.0)
"""


@on_linux
def test_a_prober_whose_parent_is_killed_ends(relay):
    root = Path(measure.__file__).resolve().parents[2]
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(relay.port)], stdout=subprocess.PIPE, cwd=root, text=True
    )
    child = int(parent.stdout.readline())
    deadline = time.monotonic() + 20
    while not _alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert _alive(child)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    while _alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _alive(child)


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@on_linux
def test_the_prober_needs_the_standard_library_only_and_little_memory(relay):
    code = (
        "import sys\n"
        "import ccp_assess.probe.prober, ccp_assess.probe.jobs, ccp_assess.probe.delays, ccp_assess.probe.asn\n"
        "import ccp_assess.probe.systems.linux, ccp_assess.probe.systems.macos, ccp_assess.probe.systems.windows\n"
        "known = set(sys.stdlib_module_names) | {'ccp_assess'}\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} - known))\n"
        "print(*[line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')])\n"
    )
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(_root())!r})\n{code}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ})
    modules, kilobytes = done.stdout.split("\n")[:2]
    assert modules == "['__main__']"
    assert int(kilobytes) < 60_000


def _root():
    return Path(measure.__file__).resolve().parents[2]
