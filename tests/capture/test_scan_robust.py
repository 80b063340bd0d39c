"""Damaged and hostile captures: a sentence or a partial result, never a traceback, a hang or memory by a lie."""

import random
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from captures_by_hand import (
    START_NS,
    Speech,
    block,
    channel,
    enhanced,
    ethernet,
    interface,
    ip,
    pcap,
    pcapng,
    section,
    stun,
    tcp,
    udp,
    xor_peer,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ccp_assess.capture.records import Scan
from ccp_assess.capture.scan import scan
from ccp_assess.errors import CaptureError

SHARED = Path(__file__).resolve().parents[3] / "shared" / "captures"
CORRUPT = sorted((SHARED / "e-format-corrupt").glob("*")) if SHARED.is_dir() else []
SMALL = (
    [path for path in sorted(SHARED.glob("*/*")) if path.is_file() and path.stat().st_size <= 1024]
    if SHARED.is_dir()
    else []
)


def read(path: Path, content: bytes) -> Scan | None:
    """Scan bytes; ``None`` where they are refused with one sentence."""
    path.write_bytes(content)
    try:
        result = scan(path, workers=1)
    except CaptureError as error:
        if "\n" in str(error):
            raise AssertionError("more than one line") from error
        return None
    for datagram in result.datagrams:
        assert len(datagram.payload) <= max(datagram.length, 64)
        assert 0 <= datagram.flow < len(result.flows)
    for stream in result.streams:
        assert stream.packets >= 10
        assert stream.lost <= stream.expected
    return result


def lengths_to_cut(size: int) -> list[int]:
    """Give few lengths, yet by an odd step each place in fields of two, four or eight bytes; of tiny files all."""
    if size < 120:
        return list(range(size))
    return [*range(0, 32, 3), *range(32 + size % 13, size - 9, 13), size - 5, size - 1]


@pytest.mark.shared
@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.name)
def test_truncations_of_a_small_capture_keep_what_was_there(path, tmp_path):
    check_truncations(path, tmp_path, lengths_to_cut(path.stat().st_size))


@pytest.mark.long
@pytest.mark.shared
@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.name)
def test_every_truncation_of_a_small_capture_keeps_what_was_there(path, tmp_path):
    check_truncations(path, tmp_path, list(range(path.stat().st_size)))


def check_truncations(path: Path, tmp_path: Path, lengths: list[int]) -> None:
    content = path.read_bytes()
    whole = read(tmp_path / "whole", content)
    frames = whole.captures[0].packets if whole else 0
    before = 0
    for length in lengths:
        result = read(tmp_path / "cut", content[:length])
        if result is None:
            assert before == 0
            continue
        assert before <= result.captures[0].packets <= frames
        before = result.captures[0].packets
        if whole and not whole.captures[0].ended_early and before < frames and result.captures[0].format == "pcap":
            at = result.captures[0].bytes
            assert result.captures[0].ended_early or at == length


def synthetic_captures() -> dict[str, bytes]:
    """Captures that visit every parser: each kind small."""
    speech = Speech(count=14, level=20)
    login = stun(0x0003, bytes(12), (0x0019, b"\x11\0\0\0"))
    stream = login + b"".join(channel(0x4000, packet, padded=True) for _, packet in speech.packets())
    over_tcp = [
        (START_NS + k, ethernet(ip("10.0.0.1", "10.0.0.2", 6, tcp(1000, 443, 5 + k, 1, 0x18, stream[k : k + 333]))))
        for k in range(0, len(stream), 333)
    ]
    peer = xor_peer("192.0.2.1", 5)
    relayed = [
        (at, ethernet(ip("10.0.0.1", "10.0.0.2", 17, udp(1000, 3478, stun(0x16, bytes(12), peer, (0x13, packet))))))
        for at, packet in speech.packets()
    ]
    pieces = [
        (at + offset, ip("10.0.0.1", "10.0.0.2", 17, frame[34:][offset : offset + 64], offset=offset, more=offset < 64))
        for at, frame in speech.frames()[:6]
        for offset in (0, 64)
    ]
    tagged = [(at, frame[:12] + b"\x81\0\0\1\x88\x47\0\1\1\x40" + frame[14:]) for at, frame in speech.frames()]
    vxlan = [
        (at, ip("192.0.2.1", "192.0.2.2", 17, udp(9, 4789, b"\x08" + bytes(7) + frame)))
        for at, frame in speech.frames()
    ]
    gre = [(at, ip("2001:db8::1", "2001:db8::2", 47, b"\0\0\x65\x58" + frame)) for at, frame in speech.frames()]
    wifi = [
        (at, b"\0\0\x09\0\x02\0\0\0\0\x88\x01" + bytes(24) + b"\xaa\xaa\x03\0\0\0\x08\0" + frame[14:])
        for at, frame in speech.frames()
    ]
    return {
        "pcap": pcap(speech.frames()),
        "pcapng": pcapng(speech.frames()) + section(">") + interface(order=">") + enhanced(9, b"x", order=">"),
        "tcp": pcap(over_tcp),
        "indications": pcap(relayed),
        "fragments": pcap(pieces, link=101),
        "tags": pcap(tagged),
        "vxlan": pcap(vxlan, link=101),
        "gre": pcap(gre, link=101),
        "wifi": pcap(wifi, link=127),
    }


@pytest.mark.parametrize("kind", sorted(synthetic_captures()))
def test_flipped_bits_do_no_harm(kind, tmp_path):
    content = synthetic_captures()[kind]
    rng = random.Random(kind)
    for _ in range(250):
        broken = bytearray(content)
        for _ in range(rng.choice((1, 1, 2, 8))):
            broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
        read(tmp_path / "broken", bytes(broken))


@pytest.mark.parametrize("kind", sorted(synthetic_captures()))
def test_packets_with_any_bytes_do_no_harm(kind, tmp_path):
    content = synthetic_captures()[kind]
    rng = random.Random(kind)
    for _ in range(120):
        broken = bytearray(content)
        at = rng.randrange(24, len(broken))
        size = rng.randrange(1, 60)
        broken[at : at + size] = rng.choice((bytes(size), b"\xff" * size, rng.randbytes(size)))[: len(broken) - at]
        read(tmp_path / "broken", bytes(broken))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    link=st.sampled_from([0, 1, 9, 50, 51, 101, 104, 105, 108, 113, 127, 228, 229, 276, 10, 204, 192, 258]),
    frames=st.lists(st.binary(max_size=120), max_size=12),
)
def test_any_frames_of_any_link_type_are_counted(tmp_path, link, frames):
    result = read(tmp_path / "any", pcap([(START_NS + k, frame) for k, frame in enumerate(frames)], link=link))
    assert result is not None
    assert result.captures[0].packets == len(frames)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    payloads=st.lists(
        st.one_of(
            st.binary(max_size=80),
            st.binary(max_size=60).map(lambda body: channel(0x4000, body)),
            st.binary(max_size=60).map(lambda body: stun(0x16, bytes(12), xor_peer("192.0.2.1", 5), (0x13, body))),
            st.binary(max_size=60).map(lambda body: b"\x80\x6f" + body),
            st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=60)).map(
                lambda pair: stun(pair[0] & 0x3FFF, bytes(12), (pair[0], pair[1]))
            ),
        ),
        max_size=12,
    ),
    over_tcp=st.booleans(),
)
def test_any_payloads_over_udp_and_tcp_are_survived(tmp_path, payloads, over_tcp):
    frames, offset = [], 1
    for k, payload in enumerate(payloads):
        segment = tcp(999, 80, offset, 1, 0x18, payload) if over_tcp else udp(999, 3478, payload)
        frames.append(
            (START_NS + k * 1_000_000, ethernet(ip("192.0.2.7", "192.0.2.8", 6 if over_tcp else 17, segment)))
        )
        offset += len(payload)
    assert read(tmp_path / "any", pcap(frames)).captures[0].packets == len(frames)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    blocks=st.lists(st.tuples(st.sampled_from([1, 2, 3, 4, 5, 6, 10, 0x0BAD]), st.binary(max_size=64)), max_size=10),
    order=st.sampled_from("<>"),
)
def test_any_blocks_of_pcapng_are_survived(tmp_path, blocks, order):
    content = section(order) + interface(order=order) + b"".join(block(kind, body, order) for kind, body in blocks)
    assert read(tmp_path / "any", content) is not None


@pytest.mark.shared
@pytest.mark.parametrize("path", CORRUPT, ids=lambda path: path.name)
def test_corrupt_captures_give_a_sentence_or_a_result(path, tmp_path):
    content = path.read_bytes()
    read(tmp_path / "as it is", content)
    rng = random.Random(path.name)
    for _ in range(10):
        read(tmp_path / "cut", content[: rng.randrange(len(content) + 1)])


@pytest.mark.parametrize("length", [0x7FFFFFFF, 0xFFFFFFFF, 300_000, 0x40000000])
def test_a_length_that_lies_ends_the_reading_with_its_offset(tmp_path, length):
    frames = Speech(count=20).frames()
    content = pcap(frames) + struct.pack("<IIII", 1, 0, length, length) + bytes(5000)
    capture = read(tmp_path / "lies", content).captures[0]
    assert capture.packets == 20
    assert f"byte {len(pcap(frames))}" in capture.ended_early
    ng = pcapng(frames) + struct.pack("<II", 6, length & ~3) + bytes(5000)
    capture = read(tmp_path / "lies too", ng).captures[0]
    assert capture.packets == 20
    assert f"byte {len(pcapng(frames))}" in capture.ended_early


def test_a_large_block_that_holds_no_packet_is_passed_over(tmp_path):
    frames = Speech(count=20).frames()
    content = section() + interface() + block(10, bytes(900_000)) + block(0x55, bytes(2_000_000))
    content += b"".join(enhanced(at // 1000, frame) for at, frame in frames)
    capture = read(tmp_path / "large", content).captures[0]
    assert (capture.packets, capture.ended_early) == (20, None)


MEASURE = """
import resource, sys
from ccp_assess.capture.scan import scan
scan(sys.argv[1], workers=1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
result = scan(sys.argv[2], workers=1)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(before // 1024, after // 1024, len(result.flows), len(result.streams), len(result.datagrams))
for sentence in result.limits_hit:
    print(sentence)
"""


def measured(tmp_path: Path, content: bytes) -> tuple[list[int], list[str]]:
    """Read in a process of its own: MB before and after, flows, streams, datagrams; and the limits that were hit."""
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(pcap(Speech().frames()))
    large.write_bytes(content)
    out = subprocess.run(
        [sys.executable, "-c", MEASURE, str(small), str(large)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return [int(word) for word in out[0].split()], out[1:]


def test_a_hundred_thousand_false_sources_cost_bounded_memory_and_hide_no_call(tmp_path):
    rng = random.Random(3)
    speech = Speech(count=400).frames()
    step = 400 * 20_000_000 // 100_000
    flood = [
        (
            START_NS + k * step,
            ethernet(
                ip(
                    "10.20.1.11",
                    "18.236.61.10",
                    17,
                    udp(40_000, 3478, channel(0x4000, b"\x80\x6f" + rng.randbytes(40))),
                )
            ),
        )
        for k in range(100_000)
    ]
    (before, after, _, streams, _), said = measured(tmp_path, pcap(sorted([*speech, *flood])))
    assert streams == 1
    assert after - before < 60
    assert any("synchronisation sources" in sentence for sentence in said)


def test_a_flood_of_connections_costs_bounded_memory_and_hides_no_call(tmp_path):
    rng = random.Random(4)
    template = bytearray(ethernet(ip("1.2.3.4", "10.20.1.11", 6, tcp(1, 443, 1, 0, 2))))
    flood = []
    for k in range(200_000):
        template[26:30] = rng.randbytes(4)
        template[34:36] = rng.randbytes(2)
        flood.append((START_NS + k * 20_000, bytes(template)))
    speech = Speech(count=200, start_ns=START_NS + 5_000_000).frames()
    (before, after, flows, streams, _), said = measured(tmp_path, pcap(sorted([*speech, *flood])))
    assert streams == 1
    assert flows <= 131_072
    assert after - before < 180
    assert any("flood" in sentence and "10.20.1.11 port 443 tcp" in sentence for sentence in said)


def test_many_fragments_that_lead_nowhere_cost_bounded_memory(tmp_path):
    frames = [
        (
            START_NS + k * 1000,
            ip("10.0.0.1", "10.0.0.2", 17, bytes(64), ident=k & 0xFFFF, offset=64 * (k % 9), more=True),
        )
        for k in range(20_000)
    ]
    result = read(tmp_path / "fragments", pcap(frames, link=101))
    assert result.captures[0].skipped["fragments of a datagram that never was whole"].count > 10_000


@pytest.mark.long
def test_no_loop_reads_outside_its_arrays(tmp_path):
    """Compile with checked bounds, in a cache of its own, and read everything that is broken."""
    for name, content in synthetic_captures().items():
        (tmp_path / name).write_bytes(content)
    script = (
        "import random, sys\n"
        "from pathlib import Path\n"
        "from ccp_assess.capture.scan import scan\n"
        "from ccp_assess.errors import CaptureError\n"
        "rng = random.Random(8)\n"
        "for path in sorted(Path(sys.argv[1]).iterdir()):\n"
        "    content = path.read_bytes()\n"
        "    for turn in range(300):\n"
        "        broken = bytearray(content)\n"
        "        for _ in range(turn % 9):\n"
        "            broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)\n"
        "        other = Path(sys.argv[2])\n"
        "        other.write_bytes(bytes(broken[: rng.randrange(len(broken))] if turn % 3 == 0 else broken))\n"
        "        try:\n"
        "            scan(other, workers=1)\n"
        "        except CaptureError:\n"
        "            pass\n"
    )
    import os

    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), str(tmp_path.parent / "broken")],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
