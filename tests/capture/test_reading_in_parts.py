"""Read in parts, by whichever process, a capture tells what it tells when it is read in one go."""

import gzip
import io
import itertools
import json
import random
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import lz4.frame
import pytest
import zstandard
from captures_by_hand import START_NS, Speech, ethernet, ip, pcap, pcapng, udp
from hypothesis import given, settings
from hypothesis import strategies as st
from scans_compared import LAB, SHARED, everything, in_parts, many_sections, mixed_capture, parts_of

from ccp_assess.assess.captures import assess_scan
from ccp_assess.capture import compression, files, reading, stages
from ccp_assess.capture.parts import scan_part
from ccp_assess.capture.scan import scan
from ccp_assess.errors import CaptureError, UnavailableError
from ccp_assess.traffic.measuring import MeasuringState
from ccp_assess.traffic.tracking import TrackerState


class Bucket:
    """An object of a bucket that notes what is read of it, and may fail."""

    def __init__(self, content: bytes, name: str = "s3://bucket/day.pcap") -> None:
        self.name = name
        self.content = content
        self.reads: list[tuple[int, int]] = []
        self.opened = 0
        self.fails_from = 1 << 60

    def open(self) -> io.BytesIO:
        self.opened += 1
        bucket = self

        class Stream(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                if self.tell() >= bucket.fails_from:
                    raise RuntimeError("503 slow down\nmore")
                place, data = self.tell(), super().read(size)
                bucket.reads.append((place, len(data)))
                return data

        return Stream(self.content)


@pytest.fixture(scope="module")
def mixed() -> bytes:
    """A capture that visits every stage."""
    return pcap(sorted(mixed_capture()))


@pytest.fixture(scope="module")
def rough(mixed) -> bytes:
    """The same with speech that cannot be compressed."""
    noise = random.Random(4)
    frames = [(at, frame[:-80] + noise.randbytes(80)) for at, frame in sorted(mixed_capture()) if len(frame) > 130]
    return pcap([(at + k * 10**10, frame[:-4] + bytes([k] * 4)) for k in range(3) for at, frame in frames])


@pytest.mark.parametrize(
    "make", [many_sections, pytest.param(pcap, marks=pytest.mark.long), pytest.param(pcapng, marks=pytest.mark.long)]
)
def test_hundreds_of_parts_give_what_one_gives(tmp_path, make):
    path = tmp_path / "capture"
    path.write_bytes(make(sorted(mixed_capture())))
    parts = parts_of([path], 1, block_bytes=1_900)
    assert len(parts) > 120
    assert parts[-1].done_bytes == path.stat().st_size
    assert everything(parts[-1].scan) == everything(scan(path, workers=1))


@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_wherever_it_is_cut_and_whoever_reads_it_is_the_same(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("cut") / "capture"
    make = data.draw(st.sampled_from([pcap, pcapng, many_sections]))
    path.write_bytes(make(sorted(mixed_capture())))
    expected = everything(scan(path, workers=1))
    state, part = None, None
    while part is None or part.state is not None:
        part = scan_part(
            [path],
            state,
            most_bytes=data.draw(st.integers(5_000, 200_000)),
            block_bytes=data.draw(st.integers(1, 60_000)),
            workers=data.draw(st.integers(1, 3)),
        )
        state = part.state
    assert everything(part.scan) == expected


@pytest.mark.shared
@pytest.mark.parametrize(
    "name",
    [
        "pcap/tcp3478_loss3.pcap", "pcap/three_agents.pcap", "pcap/fail_auth.pcap", "pcap/reorder3.pcap",
        "pcap/clean-snap96.pcap", "derived/ipv6+fail_udp_drop.pcapng", "derived/ext_none-cutoff.pcap",
        "derived/hold_stop.pcap.gz", "derived/dtmf-nsec.pcap",
    ],
)  # fmt: skip
def test_real_calls_are_told_the_same(name):
    path = LAB.parent / name
    whole = scan(path, workers=1)
    last = parts_of([path], path.stat().st_size // 6, block_bytes=16_384)[-1]
    assert everything(last.scan) == everything(whole)
    document, expected = (assess_scan(found).to_document() for found in (last.scan, whole))
    assert json.dumps(document) == json.dumps(expected)


@pytest.mark.shared
@pytest.mark.parametrize("room", ["c-turn-stun", "d-links-encap", "e-format-corrupt"])
def test_links_tunnels_and_damage_are_told_the_same(room):
    read = 0
    for path in sorted((SHARED / room).iterdir()):
        if path.stat().st_size > 400_000:
            continue
        try:
            expected = everything(scan(path, workers=1))
        except CaptureError as error:
            with pytest.raises(CaptureError, match=re.escape(str(error))):
                scan_part([path], None, most_bytes=1)
            continue
        assert in_parts([path], path.stat().st_size // 9, block_bytes=1_024) == expected, path.name
        read += 1
    assert read > 5


@pytest.mark.parametrize("compress", [gzip.compress, lz4.frame.compress, zstandard.compress])
@pytest.mark.parametrize("harm", ["whole", "cut", "bent"])
def test_compressed_captures_are_told_the_same(tmp_path, monkeypatch, rough, compress, harm):
    monkeypatch.setattr(compression, "READ_BYTES", 2_048)
    monkeypatch.setattr(reading, "HEAD_BYTES", 2_048)
    content = bytearray(compress(rough))
    if harm == "cut":
        del content[-len(content) // 3 :]
    elif harm == "bent":
        content[len(content) // 2] ^= 0xFF
    path = tmp_path / "capture"
    path.write_bytes(content)
    expected = everything(scan(path, workers=1))
    for block_bytes, most_bytes in ((1_024, 1), (40_000, 900)):
        parts = parts_of([path], most_bytes, block_bytes=block_bytes)
        assert len(parts) > 1 or harm != "whole"
        assert everything(parts[-1].scan) == expected


def test_what_is_compressed_is_not_decompressed_again_and_again(tmp_path, monkeypatch, rough):
    monkeypatch.setattr(compression, "READ_BYTES", 2_048)
    monkeypatch.setattr(reading, "HEAD_BYTES", 2_048)
    path = tmp_path / "capture"
    path.write_bytes(gzip.compress(rough))
    read = []
    original = files._Counting.readinto

    def counted(self, buffer):
        got = original(self, buffer)
        read.append(got)
        return got

    monkeypatch.setattr(files._Counting, "readinto", counted)
    parts = parts_of([path], 1, block_bytes=1_024)
    assert len(parts) > 4
    assert sum(read) < 3 * path.stat().st_size


@pytest.fixture
def several(tmp_path: Path) -> list[Path]:
    """Files that overlap, follow each other, have equal times, are compressed, broken or no captures."""
    frames = sorted(mixed_capture())
    third = len(frames) // 3
    contents = {
        "b.pcap": pcap(frames[third : 2 * third]),
        "late.pcapng": many_sections(frames[2 * third :]),
        "a.pcap.gz": gzip.compress(pcap(frames[:third])),
        "same.pcap": pcap(frames[third : third + 200]),
        "all.pcap": pcap([(at, frame) for at, frame in frames if at % 7 == 0]),
        "notes.txt": b"no capture",
        "cut.pcap": pcap(Speech(ssrc=5, count=900).frames(src="10.9.9.9"))[:-700],
        "empty.pcap": pcap([]),
        "bent.pcap": pcap(frames[:40]) + b"\xff" * 30_000,
        "back.pcap": pcap(frames[200:260] + frames[100:200]),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return [tmp_path / name for name in contents]


def test_several_files_are_told_the_same(several):
    expected = everything(scan(several, workers=1))
    assert len(expected[5]) > 8
    counts = []
    for block_bytes, most_bytes, workers in ((1_024, 1, 1), (5_000, 30_000, 2), (1 << 20, 100_000, 1)):
        parts = parts_of(several, most_bytes, block_bytes=block_bytes, workers=workers)
        assert everything(parts[-1].scan) == expected
        counts.append(len(parts))
    assert counts[0] > 50
    assert counts[-1] > 1


def test_the_sizes_of_blocks_may_change_from_part_to_part(several):
    expected = everything(scan(several, workers=1))
    sizes = itertools.cycle([300_000, 1_024, 1 << 20, 9_000])
    parts = parts_of(several, 20_000, read=lambda *a, **k: scan_part(*a, **{**k, "block_bytes": next(sizes)}))
    assert everything(parts[-1].scan) == expected


def test_a_recording_that_goes_on_is_read_on(tmp_path):
    frames = sorted(mixed_capture())
    paths = [tmp_path / f"{number}.pcap" for number in range(5)]
    step = len(frames) // 5
    for number, path in enumerate(paths):
        path.write_bytes(pcap(frames[number * step : (number + 1) * step]))
    full = paths[3].read_bytes()
    paths[3].write_bytes(full[: len(full) // 2])
    part = scan_part(paths[:4], None, most_bytes=1 << 40, stop_before_last=True, block_bytes=4_096)
    assert part.is_before_last
    assert part.scan is None
    paths[3].write_bytes(full)  # the file that was being written has become whole, and another one followed
    last = scan_part(paths, part.state, most_bytes=1 << 40)
    assert everything(last.scan) == everything(scan(paths, workers=1))


def test_floods_that_made_tables_give_way_are_told_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "TrackerState", partial(TrackerState, most_flows=2_048))
    monkeypatch.setattr(stages, "MeasuringState", partial(MeasuringState, most_streams=256))
    frames = [
        (START_NS + k * 50_000, ethernet(ip("10.0.0.1", f"18.0.{k >> 8}.{k & 255}", 17, udp(k % 60_000 + 1, 53, b"q"))))
        for k in range(7_000)
    ]
    for source in range(300):
        speech = Speech(ssrc=1_000 + source, count=12 + source % 5, start_ns=START_NS + source * 1_000_000)
        frames += speech.frames(src=f"10.1.{source >> 4}.{source & 15}", number=0)
    path = tmp_path / "flood.pcap"
    path.write_bytes(pcap(sorted(frames)))
    whole = scan(path, workers=1)
    assert "conversations" in whole.limits_hit[0]
    assert any("short RTP streams" in said for said in whole.limits_hit)
    for most_bytes, block_bytes in ((30_000, 2_048), (150_000, 65_536)):
        assert in_parts([path], most_bytes, block_bytes=block_bytes) == everything(whole)


def test_each_part_may_be_read_by_a_process_of_its_own(tmp_path, mixed):
    path = tmp_path / "capture.pcap"
    path.write_bytes(mixed)
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from ccp_assess.assess.captures import assess_scan\n"
        "from ccp_assess.capture.parts import scan_part\n"
        "import json\n"
        "capture, state = sys.argv[1], Path(sys.argv[2])\n"
        "part = scan_part([capture], state.read_bytes() if state.exists() else None, most_bytes=90_000,"
        " block_bytes=10_000)\n"
        "if part.state is not None:\n"
        "    state.write_bytes(part.state)\n"
        "else:\n"
        "    print(json.dumps(assess_scan(part.scan).to_document()))\n"
    )
    turns = itertools.count()
    while next(turns) < 9:
        command = [sys.executable, "-c", script, str(path), str(tmp_path / "state")]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        if told:
            break
    assert 3 <= next(turns) < 9
    assert json.loads(told) == json.loads(json.dumps(assess_scan(scan(path)).to_document()))


def test_the_state_is_the_same_whoever_makes_it(several, mixed):
    states = [
        [part.state for part in parts_of(several, 50_000, block_bytes=8_192, workers=workers)] for workers in (1, 3)
    ]
    assert states[0] == states[1]
    parts = parts_of([Bucket(mixed)], 50_000, block_bytes=8_192)
    assert max(len(part.state) for part in parts[:-1]) < len(mixed) // 3


def test_an_object_is_read_in_large_pieces_and_none_of_it_twice(mixed):
    speech = [frame for agent in range(20) for frame in Speech(count=900, ssrc=agent).frames(src=f"10.0.{agent}.1")]
    bucket = Bucket(pcap(sorted(speech)))
    expected = in_parts([bucket], 1 << 40)
    size = len(bucket.content)
    assert sum(length for _, length in bucket.reads) == size
    assert len(bucket.reads) < 9
    bucket.reads.clear()
    assert in_parts([bucket], size // 4, block_bytes=100_000) == expected
    begins = [place for place, _ in bucket.reads]
    assert begins == sorted(begins)
    piece = max(length for _, length in bucket.reads)
    assert sum(length for _, length in bucket.reads) < size + 5 * piece


def test_objects_give_what_files_give(several):
    objects = [Bucket(path.read_bytes(), str(path)) for path in several]
    expected = everything(scan(several, workers=1))
    assert in_parts(objects, 60_000, block_bytes=4_096) == expected
    assert max(bucket.opened for bucket in objects) < 40


def test_a_store_that_fails_is_no_damage_of_the_capture(mixed):
    for fails_from, content in ((0, mixed), (len(mixed) // 2, mixed), (200, gzip.compress(mixed))):
        bucket = Bucket(content)
        bucket.fails_from = fails_from
        with pytest.raises(UnavailableError, match=r"bucket/day.pcap cannot be read now \(503 slow down\); try again"):
            scan_part([bucket], None, most_bytes=1 << 40)


def test_an_object_that_is_not_there_is_named():
    class Gone(Bucket):
        def open(self) -> io.BytesIO:
            raise FileNotFoundError("key")

    with pytest.raises(CaptureError, match=r"day.pcap: there is no such file"):
        scan_part([Gone(b"")], None, most_bytes=1)


def test_progress_is_told_over_all_parts(tmp_path, mixed):
    path = tmp_path / "capture"
    path.write_bytes(mixed)
    told = []
    read = partial(scan_part, progress=lambda done, total: told.append((done, total)))
    parts_of([path], 100_000, block_bytes=10_000, read=read)
    assert told[-1] == (len(mixed), len(mixed))
    assert all(0 < done <= total == len(mixed) for done, total in told)
    assert len({done for done, _ in told}) > 9


def test_an_interrupted_part_can_be_read_again(tmp_path, mixed):
    path = tmp_path / "capture"
    path.write_bytes(mixed)
    first = scan_part([path], None, most_bytes=100_000, block_bytes=5_000)

    def interrupt(done: int, _total: int | None) -> None:
        if done > 200_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan_part([path], first.state, most_bytes=1 << 40, block_bytes=5_000, progress=interrupt)
    last = scan_part([path], first.state, most_bytes=1 << 40)
    assert everything(last.scan) == everything(scan(path))
