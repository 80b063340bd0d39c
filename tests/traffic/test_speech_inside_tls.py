"""Calls inside TLS: a connection stands by, carries calls one after another, and other traffic is none."""

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "capture"))
from captures_by_hand import ethernet, ip, pcap, tcp

from ccp_assess.assess.captures import assess_captures

START_NS = 1_790_000_000_000_000_000
AGENT, RELAY = "10.0.0.5", "15.193.5.9"
HELLO = bytes.fromhex("16030100310100002d0303") + bytes(32) + bytes.fromhex("000002130101000002ffff")


class Connection:
    """One TCP connection to port 443, packet by packet."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, bytes]] = []
        self.sent = {True: 1, False: 1}
        self.add(0.0, 0, up=True, flags=2)
        self.add(0.04, 0, up=False, flags=0x12)
        self.add(0.08, HELLO, up=True)

    def add(self, second: float, content: int | bytes, *, up: bool, flags: int = 0x18) -> None:
        """Send a record of so many bytes (or these bytes) at a second."""
        record = (
            content if isinstance(content, bytes) else b"\x17\x03\x03" + content.to_bytes(2, "big") + bytes(content)
        )
        record = b"" if flags & 2 else record
        ends = (50_000, 443) if up else (443, 50_000)
        segment = tcp(*ends, self.sent[up], self.sent[not up], flags, record)
        addresses = (AGENT, RELAY) if up else (RELAY, AGENT)
        self.sent[up] += len(record) + (1 if flags & 2 else 0)
        self.frames.append((START_NS + round(second * 1e9), ethernet(ip(*addresses, 6, segment))))

    def speak(self, first: float, last: float, *, ways: tuple[bool, ...] = (True, False), step: float = 0.02) -> None:
        """Send speech: a record each 20 ms, with some jitter, and a connectivity check each 2.5 s."""
        rng = random.Random(1)
        for number in range(round((last - first) / step)):
            for up in ways:
                when = first + number * step + rng.uniform(0, 0.003)
                self.add(when, rng.randint(90, 160), up=up)
                if number % 125 == 60:
                    self.add(when + 0.004, 120, up=up)

    def read(self, folder: Path):
        """Write and read the capture."""
        path = folder / "tls.pcap"
        path.write_bytes(pcap(sorted(self.frames)))
        return assess_captures([path])


def second(time_ns: int) -> float:
    return (time_ns - START_NS) / 1e9


def test_calls_over_one_connection_have_their_own_start_and_end(tmp_path):
    connection = Connection()
    connection.add(5.0, 140, up=True)  # the allocation is renewed while the connection stands by
    connection.add(5.04, 100, up=False)
    connection.speak(12.0, 42.0)
    connection.add(50.0, 140, up=True)
    connection.speak(70.0, 95.0)
    first, after = connection.read(tmp_path).calls
    for entry, begin, end in ((first, 12.0, 42.0), (after, 70.0, 95.0)):
        assert second(entry.call.start_ns) == pytest.approx(begin, abs=0.03)
        assert second(entry.call.end_ns) == pytest.approx(end, abs=0.05)
        assert (entry.call.relay.transport, entry.call.relay.is_inferred) == ("tls", True)
        assert entry.findings[0].code == "RELAY_IN_TLS"


def test_checks_alone_do_not_keep_a_call_going(tmp_path):
    connection = Connection()
    connection.speak(3.0, 23.0)
    for number in range(20):  # a persistent connection keeps asking after the call
        connection.add(24.0 + number * 2.6, 120, up=True)
        connection.add(24.03 + number * 2.6, 90, up=True)
        connection.add(24.05 + number * 2.6, 120, up=False)
        connection.add(24.08 + number * 2.6, 90, up=False)
    connection.speak(80.0, 90.0)
    calls = connection.read(tmp_path).calls
    assert [round(second(entry.call.end_ns)) for entry in calls] == [23, 90]


def test_a_hold_in_one_direction_is_one_call(tmp_path):
    connection = Connection()
    connection.speak(3.0, 13.0)
    connection.speak(13.0, 25.0, ways=(False,))
    connection.speak(25.0, 35.0)
    (entry,) = connection.read(tmp_path).calls
    assert second(entry.call.end_ns) == pytest.approx(35.0, abs=0.05)


def test_an_upload_a_download_and_a_chat_are_no_calls(tmp_path):
    upload = Connection()
    upload.speak(3.0, 33.0, ways=(True,))
    assert upload.read(tmp_path).calls == ()
    chat = Connection()
    for number in range(300):
        chat.add(3.0 + number * 0.5, 120, up=number % 2 == 0)
    assert chat.read(tmp_path).calls == ()
    bulk = Connection()
    for number in range(3000):
        bulk.add(3.0 + number * 0.01, 1300, up=False)
        if number % 2:
            bulk.add(3.001 + number * 0.01, 100, up=True)
    assert bulk.read(tmp_path).calls == ()
