"""The result does not depend on the size of blocks or on the number of workers."""

import numpy as np
import pytest
from captures_by_hand import Speech, pcap, pcapng
from scans_compared import LAB, everything, many_sections, mixed_capture

from ccp_assess.capture import stages
from ccp_assess.capture.scan import scan
from ccp_assess.errors import CaptureError


@pytest.mark.parametrize("make", [pcap, pcapng, many_sections])
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
