"""The result does not depend on the size of blocks or on the number of workers."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from captures_by_hand import Speech, channel, ethernet, ip, pcap, pcapng, stun, tcp, udp, xor_peer

from ccp_assess.capture import stages
from ccp_assess.capture.records import Scan
from ccp_assess.capture.scan import scan
from ccp_assess.errors import CaptureError

LAB = Path(__file__).resolve().parents[3] / "shared" / "captures" / "lab" / "pcap"


def everything(result: Scan) -> tuple[object, ...]:
    """All that a scan holds, comparable."""
    return (
        result.captures,
        tuple(result.flows),
        tuple(result.datagrams),
        repr(result.stun.tolist()),
        result.peers,
        tuple(dataclasses.astuple(dataclasses.replace(stream, seconds=np.zeros(0)))[:-1] for stream in result.streams),
        tuple(repr(stream.seconds.tolist()) for stream in result.streams),
        result.interfaces,
        result.name_records,
        result.limits_hit,
    )


def mixed_capture() -> list[tuple[int, bytes]]:
    """Calls, TURN over TCP, fragments, DNS and noise in one capture."""
    frames = []
    for agent in range(6):
        speech = Speech(count=300, ssrc=77 + agent, seq=65_400 + agent, missing=(9, 10, 50), late_ns={70: 90_000_000})
        frames += speech.frames(src=f"10.0.0.{agent + 1}", ports=(40_000, 3478))
    peer = xor_peer("192.0.2.1", 5)
    stream = stun(0x0003, bytes(12)) + b"".join(channel(0x4001, p, padded=True) for _, p in Speech(ssrc=9).packets())
    for k in range(0, len(stream), 200):
        at = Speech().start_ns + k * 100_000
        frames.append((at, ethernet(ip("10.0.0.9", "18.0.0.1", 6, tcp(1, 443, 5 + k, 1, 0x18, stream[k : k + 200])))))
    for k, (at, packet) in enumerate(Speech(ssrc=10).packets()):
        relayed = udp(5, 3478, stun(0x16, k.to_bytes(12), peer, (0x13, packet)))
        frames.append((at + 5, ethernet(ip("10.0.0.8", "18.0.0.1", 17, relayed[:72], ident=k, more=True))))
        frames.append((at + 6, ethernet(ip("10.0.0.8", "18.0.0.1", 17, relayed[72:], ident=k, offset=72))))
        frames.append((at + 7, ethernet(ip("10.0.0.8", "9.9.9.9", 17, udp(6, 53, k.to_bytes(2) + bytes(20))))))
    return frames


@pytest.mark.parametrize("make", [pcap, pcapng])
def test_synthetic_captures_read_the_same_in_every_way(tmp_path, make):
    path = tmp_path / "capture"
    path.write_bytes(make(sorted(mixed_capture())))
    expected = everything(scan(path, workers=1))
    assert len(expected[5]) == 8
    for block_bytes in (1_024, 3_001, 65_536, 1 << 20):
        for workers in (1, 2, 4):
            assert everything(scan(path, workers=workers, block_bytes=block_bytes)) == expected


@pytest.mark.shared
@pytest.mark.parametrize("name", ["three_agents", "tcp3478_loss3", "reorder3", "fail_auth"])
def test_real_captures_read_the_same_in_every_way(name):
    expected = everything(scan(LAB / f"{name}.pcap", workers=1))
    for block_bytes, workers in ((2_000, 1), (50_000, 2), (1 << 21, 3)):
        assert everything(scan(LAB / f"{name}.pcap", workers=workers, block_bytes=block_bytes)) == expected


@pytest.mark.shared
def test_files_read_together_give_the_same_in_every_way():
    paths = [LAB / "clean.pcap", LAB / "dup3.pcap", LAB / "loss3_down.pcap"]
    expected = everything(scan(paths, workers=1))
    for block_bytes, workers in ((4_096, 1), (100_000, 2)):
        assert everything(scan(paths, workers=workers, block_bytes=block_bytes)) == expected
    assert everything(scan(paths[::-1], workers=2))[5] == expected[5]


def test_progress_goes_up_to_the_size_of_the_file(tmp_path):
    path = tmp_path / "capture"
    path.write_bytes(pcap(sorted(mixed_capture())))
    for workers in (1, 2):
        told: list[tuple[int, int | None]] = []
        scan(
            path, workers=workers, block_bytes=5_000, progress=lambda done, total, told=told: told.append((done, total))
        )
        assert [done for done, _ in told] == sorted(done for done, _ in told)
        assert told[-1] == (path.stat().st_size, path.stat().st_size)


def test_packets_are_handed_out_while_they_are_read(tmp_path):
    path = tmp_path / "capture"
    path.write_bytes(pcap(Speech().frames()))
    rows: list[np.ndarray] = []
    scan(path, workers=2, block_bytes=2_000, on_packets=rows.append)
    packets = np.concatenate(rows)
    assert packets["frame"].tolist() == list(range(60))
    assert set(packets["dst_port"].tolist()) == {3478}


def test_an_error_in_a_stage_reaches_the_caller_and_ends_the_threads(tmp_path, monkeypatch):
    path = tmp_path / "capture"
    path.write_bytes(pcap(Speech(count=500).frames()))

    def broken(*_arguments: object) -> None:
        raise CaptureError("broken on purpose")

    monkeypatch.setattr(stages, "_decode", broken)
    with pytest.raises(CaptureError, match="on purpose"):
        scan(path, workers=2)


@pytest.mark.parametrize("workers", [0, -1])
def test_there_must_be_a_worker(tmp_path, workers):
    with pytest.raises(CaptureError, match="worker"):
        scan(tmp_path, workers=workers)
