"""The parts of a recording, each by itself: filter, interface, programs, counting, cutting."""

import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from captures_by_hand import channel, ethernet, ip, pcap, pcapng, rtp, stun, tcp, udp
from test_scrub_same_numbers import differences, document

from ccp_assess.capture.recording.filters import https_prefixes, route_targets, softphone_filter
from ccp_assess.capture.recording.interfaces import find_interface, local_address, parse_dumpcap_list
from ccp_assess.capture.recording.programs import (
    RECIPE,
    Order,
    Program,
    Ring,
    dumpcap_command,
    rights_sentence,
    tcpdump_command,
)
from ccp_assess.capture.recording.trimming import CaptureWriter, Trimmer, trimmed_frames
from ccp_assess.capture.recording.watching import Watcher
from ccp_assess.errors import RecordingError, RecordingPermissionError
from ccp_assess.prefixes import contains, spans_of
from ccp_assess.ranges import CONNECT, read_ranges

LAB = Path(__file__).resolve().parents[3] / "shared" / "captures" / "lab" / "pcap"
RANGES = read_ranges()
REGIONS = sorted({row.region_code for row in RANGES.rows(CONNECT)} - {"GLOBAL"})
START_NS = 1_790_000_000_000_000_000


@pytest.mark.parametrize("regions", [[], REGIONS[:1], ["us-east-1"], ["eu-west-2", "us-west-2"]], ids=str)
def test_the_filter_fits_into_the_kernel(tool, regions):
    expression = softphone_filter(regions, RANGES, hosts=["192.0.2.9"], ports=[4000])
    command = [tool("tcpdump"), "-d", "-y", "EN10MB", expression]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert 100 < len(lines) < 4096


@pytest.mark.parametrize(
    ("packet", "is_taken"),
    [
        (ip("10.0.0.1", "203.0.113.5", 17, udp(50000, 3478, b"x")), True),
        (ip("10.0.0.1", "10.0.0.53", 17, udp(50000, 53, b"x")), True),
        (ip("10.0.0.1", "15.193.5.9", 6, tcp(50000, 443, 1, 1, 24, b"x")), True),
        (ip("10.0.0.1", "203.0.113.5", 6, tcp(50000, 443, 1, 1, 24, b"x")), False),
        (ip("10.0.0.1", "15.193.5.9", 6, tcp(50000, 80, 1, 1, 24, b"x")), False),
        (ip("10.0.0.7", "10.0.0.1", 1, b"\x03\x03\0\0" + bytes(4)), True),
        (ip("10.0.0.7", "10.0.0.1", 1, b"\x08\0\0\0" + bytes(4)), False),
        (ip("10.0.0.1", "203.0.113.5", 17, b"later part", offset=1480), True),
        (ip("2001:db8::1", "2600:f0f2:7102::9", 6, tcp(50000, 443, 1, 1, 24, b"x")), True),
        (ip("10.0.0.1", "192.0.2.9", 6, tcp(50000, 8080, 1, 1, 24, b"x")), True),
    ],
)
def test_the_filter_takes_the_softphones_packets_and_leaves_the_rest(tool, tmp_path, packet, is_taken):
    (tmp_path / "in.pcap").write_bytes(pcap([(START_NS, ethernet(packet))]))
    expression = softphone_filter(["eu-west-2"], RANGES, hosts=["192.0.2.9"])
    command = [tool("tcpdump"), "-r", str(tmp_path / "in.pcap"), "-w", str(tmp_path / "out.pcap"), expression]
    subprocess.run(command, capture_output=True, check=True)
    assert ((tmp_path / "out.pcap").stat().st_size > 24) is is_taken


def test_the_filters_ranges_cover_the_regions_and_unknown_ones_are_named():
    spans = spans_of(https_prefixes(["eu-west-2"], RANGES), 4)
    for prefix in RANGES.prefixes(CONNECT, "eu-west-2"):
        assert prefix.version == 6 or contains(spans, prefix.first, prefix.last)
    with pytest.raises(RecordingError, match="mars-1"):
        softphone_filter(["mars-1"], RANGES)
    with pytest.raises(RecordingError, match="no address"):
        softphone_filter([], RANGES, hosts=["proxy.example"])


def test_the_route_to_loopback_tells_the_loopback_interface():
    assert local_address("127.0.0.1") == "127.0.0.1"
    found = find_interface(["127.0.0.1"])
    assert found.name in {"lo", "lo0"} or sys.platform == "win32"
    assert "127.0.0.1" in found.addresses


def test_targets_begin_with_what_was_asked_for():
    targets = route_targets(["eu-west-2"], RANGES, ["192.0.2.1"])
    assert targets[0] == "192.0.2.1"
    assert RANGES.region_of(targets[1]) == "eu-west-2"


def test_a_wrong_interface_is_named_with_those_that_there_are():
    with pytest.raises(RecordingError, match=r"no interface 'nope'; there are .*\blo"):
        find_interface([], "nope")


def test_the_list_of_dumpcap_is_read_also_as_windows_writes_it():
    line = "3. \\Device\\NPF_{6A1}\tIntel(R) Ethernet\tEthernet 2\t0\t192.0.2.7,fe80::1%3\tnetwork"
    assert parse_dumpcap_list(f"{line}\nrubbish\n") == {"\\Device\\NPF_{6A1}": ("192.0.2.7", "fe80::1%3")}


def order(path, **changes):
    values = {"interface": "lo", "expression": "udp", "path": path, "longest_s": 60, "ring": None, "format": "pcapng"}
    return Order(**(values | changes))


def test_commands_are_bounded_in_time_and_not_promiscuous(tmp_path):
    ring = Ring(files=5, file_bytes=2_000_000, file_s=60)
    dumpcap = dumpcap_command("dumpcap", order(tmp_path / "a.pcapng", ring=ring))
    assert {"-p", "duration:60", "filesize:2000", "files:5"} <= set(dumpcap)
    tcpdump = tcpdump_command("tcpdump", order(tmp_path / "a.pcap", ring=ring))
    assert "-p" in tcpdump
    assert tcpdump[-1] == "udp"
    assert tcpdump[tcpdump.index("-C") + 1] == "2"


def script(tmp_path, text):
    place = tmp_path / "program"
    place.write_text(f"#!{sys.executable}\n{text}")
    place.chmod(0o755)
    return [str(place)]


@pytest.mark.parametrize(
    ("said", "dropped"),
    [
        ("Packets received/dropped on interface 'Wi-Fi: en0': 120/7 (pcap:7/dumpcap:0/flushed:0/ps_ifdrop:0)", 7),
        ("3 packets dropped by kernel\\n1 packet dropped by interface", 4),
        ("nothing of the kind", None),
    ],
)
def test_drops_are_read_from_what_a_program_says_at_its_end(tmp_path, said, dropped):
    text = (
        "import signal, sys, time\n"
        "def end(*_):\n"
        f'    print("""{said}""", file=sys.stderr); sys.exit(0)\n'
        "signal.signal(signal.SIGINT, end)\n"
        "print(\"Capturing on 'x'\", file=sys.stderr, flush=True)\n"
        "time.sleep(60)\n"
    )
    program = Program("dumpcap", script(tmp_path, text), order(tmp_path / "out"))
    assert program.is_running()
    assert program.dropped() is None
    program.stop()
    assert not program.is_running()
    assert program.dropped() == dropped


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("You do not have permission to capture on device", RecordingPermissionError),
        ("socket: Operation not permitted", RecordingPermissionError),
        ("That device is not up", RecordingError),
    ],
)
def test_a_program_that_ends_at_once_says_why(tmp_path, said, error):
    text = f"import sys\nprint('{said}', file=sys.stderr)\nsys.exit(1)\n"
    with pytest.raises(error, match=said) as told:
        Program("dumpcap", script(tmp_path, text), order(tmp_path / "out"))
    assert isinstance(told.value, PermissionError) is (error is RecordingPermissionError)


@pytest.mark.parametrize(
    ("platform", "words"),
    [("linux", "setcap cap_net_raw=ep /usr/bin/dumpcap"), ("darwin", "access_bpf"), ("win32", "Npcap"), ("x", "right")],
)
def test_each_system_has_its_sentence_on_rights(platform, words):
    assert words in rights_sentence(platform, "/usr/bin/dumpcap")


def test_the_recipe_for_windows_records_converts_and_scrubs():
    for words in ("pktmon start", "pktmon etl2pcap", "netsh trace", "capture read", "capture scrub"):
        assert words in RECIPE


def frames():
    out, back = ("10.0.0.1", "15.193.5.9"), ("15.193.5.9", "10.0.0.1")
    return [
        ethernet(ip(*out, 17, udp(50000, 3478, stun(1, bytes(12))))),
        ethernet(ip(*out, 17, udp(50000, 3478, channel(0x4000, rtp(1, 0, 7))))),
        ethernet(ip(*back, 17, udp(3478, 50000, channel(0x4000, rtp(1, 0, 8))))),
        ethernet(ip(*back, 6, tcp(3478, 50000, 1, 1, 24, channel(0x4000, rtp(2, 0, 8), padded=True)))),
        ethernet(ip("2001:db8::5", "2600:f0f2:7102::9", 17, udp(50000, 3478, rtp(1, 0, 9)))),
    ]


@pytest.mark.parametrize("make", [pcap, pcapng, lambda f: pcapng(f, order=">")], ids=["pcap", "pcapng", "big"])
@pytest.mark.parametrize("step", [1, 7, 100, 10**6])
def test_a_growing_file_is_counted_however_it_grows(make, step):
    data = make([(START_NS + n, frame) for n, frame in enumerate(frames())])
    watcher = Watcher(["10.0.0.1", "2001:db8::5"])
    for at in range(0, len(data), step):
        watcher.feed(data[at : at + step])
    assert (watcher.packets, watcher.packets_out, watcher.media_packets) == (5, 3, 4)
    assert watcher.bytes == sum(map(len, frames()))


def trim(path, target, form="pcapng"):
    with target.open("wb") as file:
        writer = CaptureWriter(file, form)
        for frame in trimmed_frames(path, Trimmer()):
            writer.frame(*frame)
        writer.finish(1, 3)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["opus_ptime60", "tcp3478_loss3", "fail_auth", "ipv6"])
@pytest.mark.parametrize("form", ["pcap", "pcapng"])
def test_headers_alone_tell_the_same_numbers(tmp_path, name, form):
    trim(LAB / f"{name}.pcap", tmp_path / "out", form)
    before, after = document(LAB / f"{name}.pcap"), document(tmp_path / "out")
    places = {place for place, *_ in differences(before, after) if not place.endswith(".first_offset")}
    expected = {".captures[0].bytes", ".captures[0].format", ".captures[0].snaplen_cut"}
    dropped = {place for place in places if place.startswith(".findings")}  # pcapng says what the kernel dropped
    assert places - dropped <= expected
    assert bool(dropped) is (form == "pcapng")
    assert not dropped or "CAPTURE_DROPPED" in {finding["code"] for finding in after["findings"]}


def test_media_is_cut_and_what_else_matters_stays_whole(tmp_path):
    voice = b"VOICE" * 16
    quoted = ip("10.0.0.1", "15.193.5.9", 17, udp(1, 2, voice))
    hello = b"\x16\x03\x01\x00\x50" + bytes(80)
    packets = [
        ip("10.0.0.1", "15.193.5.9", 17, udp(50000, 3478, channel(0x4000, rtp(1, 0, 7, payload=voice)))),
        ip("10.0.0.1", "15.193.5.9", 17, udp(50000, 3478, rtp(1, 0, 7, payload=voice, level=40))),
        ip("10.0.0.1", "15.193.5.9", 6, tcp(1, 3478, 1, 1, 24, channel(0x4000, rtp(2, 0, 8, payload=voice)))),
        ip("15.193.5.9", "10.0.0.1", 1, b"\x03\x03\0\0" + bytes(4) + quoted),
        ip("10.0.0.1", "15.193.5.9", 17, udp(50000, 9999, b"\x45" + voice)),
        ip("10.0.0.1", "15.193.5.9", 17, udp(50000, 3478, stun(1, bytes(12), (6, b"user")))),
        ip("10.0.0.1", "15.193.5.9", 17, udp(50000, 53, bytes(60))),
        ip("10.0.0.1", "15.193.5.9", 6, tcp(1, 443, 1, 1, 24, hello)),
    ]  # fmt: skip
    source = tmp_path / "in"
    source.write_bytes(pcap([(START_NS + n, ethernet(packet)) for n, packet in enumerate(packets)]))
    kept = [(data, length) for data, length, *_ in trimmed_frames(source, Trimmer())]
    assert not any(b"VOICEVOICEVOICEVOICE" in data for data, _ in kept)
    assert [len(data) == length for data, length in kept] == [False, False, True, False, False, True, True, True]
    assert [length for _, length in kept] == [len(packet) + 14 for packet in packets]


def test_the_bulk_of_a_connection_is_cut_after_its_beginning():
    trimmer = Trimmer()
    sizes = []
    for number in range(20):
        packet = ip("10.0.0.1", "15.193.5.9", 6, tcp(1, 443, 1 + 1400 * number, 1, 24, b"\x17\x03\x03" + bytes(1397)))
        sizes.append(len(trimmer.trim(ethernet(packet), 1)))
    assert sizes[:11] == [1454] * 11
    assert set(sizes[13:]) == {70}


def test_a_frame_of_any_bytes_is_trimmed_without_a_fault():
    trimmer = Trimmer()
    for frame in frames():
        for stop in range(len(frame)):
            assert trimmer.trim(frame[:stop], 1) == frame[:stop][: len(trimmer.trim(frame[:stop], 1))] or stop > 60
    for link in (0, 1, 101, 113, 276, 105, 9999):
        for size in range(80):
            trimmer.trim(struct.pack("B", size) * size, link)


def test_ctrl_c_is_what_ends_a_program():
    from ccp_assess.capture.recording import programs

    assert sys.platform == "win32" or programs._GENTLE == signal.SIGINT


def test_a_trace_of_windows_is_refused_with_the_command_that_converts_it(tmp_path):
    from ccp_assess.capture.scan import scan
    from ccp_assess.errors import CaptureError

    (tmp_path / "call.ETL").write_bytes(b"\0\0\1\0" + bytes(200))
    with pytest.raises(CaptureError, match=r"pktmon etl2pcap FILE.etl --out FILE.pcapng"):
        scan(tmp_path / "call.ETL")
