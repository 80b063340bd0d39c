"""Every file format, link layer and tunnel leads to the same stream."""

# ruff: noqa: E501  (the bytes of a frame read best on one line)

import gzip
import io
import random
import struct
import sys
from pathlib import Path

import lz4.frame
import pytest
import zstandard
from captures_by_hand import (
    AGENT,
    RELAY,
    START_NS,
    Speech,
    block,
    channel,
    enhanced,
    ethernet,
    interface,
    ip,
    option,
    pcap,
    pcapng,
    rtp,
    section,
    stun,
    tcp,
    udp,
    xor_peer,
)

from ccp_assess.capture.records import Scan
from ccp_assess.capture.scan import scan
from ccp_assess.errors import CaptureError

LOST = (17, 18, 33)


def read(folder: Path, content: bytes, **options) -> Scan:
    path = folder / "capture"
    path.write_bytes(content)
    return scan(path, workers=1, **options)


def only(result: Scan):
    assert len(result.streams) == 1, [stream.ssrc for stream in result.streams]
    return result.streams[0]


def assert_is_the_speech(result: Scan, *, lost: int = 3, count: int = 60) -> None:
    stream = only(result)
    assert (stream.packets, stream.expected, stream.lost) == (count - lost, count, lost)
    assert (stream.ssrc, stream.payload_type, stream.clock_rate_hz) == (0x1234ABCD, 111, 48_000)


def inner_packets() -> list[tuple[int, bytes]]:
    """IP packets of the speech, to be wrapped."""
    return [(at, frame[14:]) for at, frame in Speech(missing=LOST).frames()]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["micro", "nano", "modified", "pcapng"])
def test_every_byte_order_and_magic_gives_the_same_times(tmp_path, order, kind):
    frames = Speech(missing=LOST).frames()
    content = {
        "micro": lambda: pcap(frames, order=order),
        "nano": lambda: pcap(frames, order=order, nano=True),
        "modified": lambda: pcap(frames, order=order, modified=True),
        "pcapng": lambda: pcapng(frames, order=order),
    }[kind]()
    result = read(tmp_path, content)
    assert_is_the_speech(result)
    assert result.captures[0].first_ns == START_NS
    assert result.captures[0].packets == 57
    assert result.captures[0].bytes == len(content)
    assert only(result).last_ns == frames[-1][0]


def test_longer_records_under_the_usual_magic_number_are_noticed(tmp_path):
    content = bytearray(pcap(Speech(missing=LOST).frames(), modified=True))
    content[:4] = struct.pack("<I", 0xA1B2C3D4)
    assert_is_the_speech(read(tmp_path, bytes(content)))


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress, lz4.frame.compress])
@pytest.mark.parametrize("members", [1, 3])
def test_compression_is_told_by_content_and_members_follow_each_other(tmp_path, pack, members):
    content = pcap(Speech(missing=LOST).frames())
    third = len(content) // members + 1
    packed = b"".join(pack(content[k : k + third]) for k in range(0, len(content), third))
    result = read(tmp_path, packed)
    assert_is_the_speech(result)
    assert result.captures[0].ended_early is None
    assert result.captures[0].compression in {"gzip", "zstd", "lz4"}


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress, lz4.frame.compress])
def test_of_compressed_data_that_end_early_what_was_there_is_kept_and_said(tmp_path, pack):
    rng = random.Random(1)  # zstd works in blocks of 128 KiB: a whole one must be there
    noise = [(at, frame + rng.randbytes(600)) for at, frame in Speech(count=900).frames()]
    packed = pack(pcap(noise))
    result = read(tmp_path, packed[: len(packed) * 2 // 3])
    assert 10 <= result.captures[0].packets < 900
    assert "end in the middle" in result.captures[0].ended_early


def test_standard_input_is_a_capture_too(monkeypatch):
    content = gzip.compress(pcap(Speech(missing=LOST).frames()))
    fake = io.TextIOWrapper(io.BytesIO(content))
    monkeypatch.setattr(sys, "stdin", fake)
    result = scan("-", workers=1)
    assert_is_the_speech(result)
    assert result.captures[0].path == "-"


@pytest.mark.parametrize(
    ("resolution", "per_second"),
    [(0, 1), (3, 10**3), (6, 10**6), (9, 10**9), (12, 10**12), (0x80 | 20, 2**20), (0x80 | 40, 2**40)],
)
def test_every_time_resolution_of_pcapng_is_understood(tmp_path, resolution, per_second):
    frame = Speech(count=1).frames()[0][1]
    options = option(9, bytes([resolution])) + option(14, struct.pack("<q", 1_789_999_000)) + option(0, b"")
    ticks = 1_000 * per_second + per_second // 2
    content = section() + interface(options=options) + enhanced(ticks, frame)
    expected = 1_790_000_000 * 10**9 + (500_000_000 if per_second > 1 else 0)
    assert read(tmp_path, content).captures[0].first_ns == expected


def test_sections_of_both_byte_orders_old_packets_and_unknown_blocks_follow_each_other(tmp_path):
    frames = Speech(missing=LOST).frames()
    old = struct.pack("<HHIIII", 0, 0, *divmod(frames[0][0] // 1000, 1 << 32), len(frames[0][1]), len(frames[0][1]))
    parts = [
        section(),
        interface(),
        block(2, old + frames[0][1]),
        block(0x0BAD, b"1234abcd"),
        block(0x77777777, bytes(40)),
    ]
    parts += [enhanced(at // 1000, frame) for at, frame in frames[1:30]]
    parts += [section(">"), interface(order=">")]
    parts += [enhanced(at // 1000, frame, order=">") for at, frame in frames[30:]]
    result = read(tmp_path, b"".join(parts))
    assert_is_the_speech(result)
    assert result.captures[0].skipped["unknown pcapng block"].count == 2
    assert result.captures[0].skipped["unknown pcapng block"].first_offset == b"".join(parts).index(b"1234abcd") - 8


def test_simple_packets_have_no_time_but_are_read(tmp_path):
    frame = Speech(count=1).frames()[0][1]
    content = section() + interface(snaplen=96) + block(3, struct.pack("<I", len(frame)) + frame[:96])
    result = read(tmp_path, content)
    assert result.captures[0].packets == 1
    assert result.captures[0].snaplen_cut == 1


def test_names_and_drops_of_pcapng_are_kept(tmp_path):
    names = struct.pack("<HH", 1, 4 + 12) + bytes([18, 236, 61, 10]) + b"relay.test\0\0" + bytes(4)
    statistics = struct.pack("<III", 0, 0, 0) + option(5, struct.pack("<Q", 42)) + option(0, b"")
    content = (
        section() + interface(options=option(2, b"eth0") + option(0, b"")) + block(4, names) + block(5, statistics)
    )
    result = read(tmp_path, content)
    assert ("18.236.61.10", "relay.test") in result.name_records
    assert (result.interfaces[0].name, result.interfaces[0].dropped) == ("eth0", 42)


MAC = bytes.fromhex("020000000001020000000002")
LAYERS = {
    "raw": (101, lambda p: p),
    "ipv4": (228, lambda p: p),
    "null little": (0, lambda p: struct.pack("<I", 2) + p),
    "null big": (0, lambda p: struct.pack(">I", 2) + p),
    "loop": (108, lambda p: struct.pack(">I", 2) + p),
    "cooked": (113, lambda p: struct.pack(">HHH8sH", 0, 1, 6, bytes(8), 0x0800) + p),
    "cooked 2": (276, lambda p: struct.pack(">HHIHBB8s", 0x0800, 0, 3, 1, 0, 6, bytes(8)) + p),
    "ppp": (9, lambda p: b"\xff\x03\x00\x21" + p),
    "ppp compressed": (9, lambda p: b"\x21" + p),
    "ppp hdlc": (50, lambda p: b"\xff\x03\x00\x21" + p),
    "cisco hdlc": (104, lambda p: b"\x0f\x00\x08\x00" + p),
    "pppoe only": (51, lambda p: b"\x11\x00\x00\x01" + struct.pack(">H", len(p) + 2) + b"\x00\x21" + p),
    "vlan": (1, lambda p: MAC + b"\x81\x00\x00\x64\x08\x00" + p),
    "qinq": (1, lambda p: MAC + b"\x88\xa8\x00\x0a\x81\x00\x00\x64\x08\x00" + p),
    "cisco metadata": (1, lambda p: MAC + b"\x81\0\0\x64\x89\x09\x01\x01\0\x01\0\x05\x08\0" + p),
    "service tag": (1, lambda p: MAC + b"\x88\xa8\0\x0a\x88\xe7\0\0\0\x01" + ethernet(p)),
    "mpls": (1, lambda p: MAC + b"\x88\x47" + b"\x00\x01\x00\x40" + b"\x00\x02\x01\x40" + p),
    "mpls pseudo-wire": (1, lambda p: MAC + b"\x88\x47\x00\x02\x01\x40" + bytes(4) + MAC + b"\x08\x00" + p),
    "pppoe": (1, lambda p: MAC + b"\x88\x64\x11\x00\x00\x01" + struct.pack(">H", len(p) + 2) + b"\x00\x21" + p),
    "snap": (1, lambda p: MAC + struct.pack(">H", len(p) + 8) + b"\xaa\xaa\x03\0\0\0\x08\x00" + p),
    "wifi": (105, lambda p: b"\x08\x01" + bytes(22) + b"\xaa\xaa\x03\0\0\0\x08\x00" + p),
    "wifi qos": (105, lambda p: b"\x88\x01" + bytes(24) + b"\xaa\xaa\x03\0\0\0\x08\x00" + p),
    "radiotap": (
        127,
        lambda p: b"\x00\x00\x11\x00\x03\x00\x00\x00" + bytes(8) + b"\x00" + b"\x08\x01" + bytes(22)
        + b"\xaa\xaa\x03\0\0\0\x08\x00" + p,
    ),
    "radiotap padded": (
        127,
        lambda p: b"\x00\x00\x09\x00\x02\x00\x00\x00\x20" + b"\x88\x01" + bytes(24) + bytes(2)
        + b"\xaa\xaa\x03\0\0\0\x08\x00" + p,
    ),
    "gre": (101, lambda p: ip("192.0.2.1", "192.0.2.2", 47, b"\0\0\x08\0" + p)),
    "gre with key and number": (101, lambda p: ip("192.0.2.1", "192.0.2.2", 47, b"\x30\0\x08\0" + bytes(8) + p)),
    "gre with ethernet": (101, lambda p: ip("192.0.2.1", "192.0.2.2", 47, b"\0\0\x65\x58" + ethernet(p))),
    "erspan 2": (101, lambda p: ip("192.0.2.1", "192.0.2.2", 47, b"\x10\0\x88\xbe" + bytes(4) + bytes(8) + ethernet(p))),
    "erspan 3": (101, lambda p: ip("192.0.2.1", "192.0.2.2", 47, b"\x10\0\x22\xeb" + bytes(4) + bytes(12) + ethernet(p))),
    "ip in ip": (101, lambda p: ip("192.0.2.1", "192.0.2.2", 4, p)),
    "ip in ipv6": (101, lambda p: ip("2001:db8::1", "2001:db8::2", 4, p)),
    "vxlan": (101, lambda p: ip("192.0.2.1", "192.0.2.2", 17, udp(5555, 4789, b"\x08\0\0\0\0\0\x05\0" + ethernet(p)))),
    "vxlan with a group": (
        101, lambda p: ip("192.0.2.1", "192.0.2.2", 17, udp(5555, 4789, b"\x88\x08\x12\x34\0\0\x05\0" + ethernet(p))),
    ),
    "pktap with ethernet": (258, lambda p: struct.pack("<III", 108, 1, 1) + b"en0".ljust(96, b"\0") + ethernet(p)),
    "pktap with a tunnel": (
        258, lambda p: struct.pack("<III", 108, 1, 0) + b"utun3".ljust(96, b"\0") + struct.pack("<I", 2) + p,
    ),
    "ppi with wifi": (
        192,
        lambda p: struct.pack("<BBHI", 0, 0, 32, 105) + struct.pack("<HH", 2, 20) + bytes(20)
        + b"\x08\x01" + bytes(22) + b"\xaa\xaa\x03\0\0\0\x08\x00" + p,
    ),
    "geneve": (
        101,
        lambda p: ip("192.0.2.1", "192.0.2.2", 17, udp(5555, 6081, b"\x01\0\x65\x58\0\0\x05\0" + bytes(4) + ethernet(p))),
    ),
    "gtp": (101, lambda p: ip("192.0.2.1", "192.0.2.2", 17, udp(2152, 2152, b"\x30\xff" + struct.pack(">HI", len(p), 9) + p))),
    "options": (101, lambda p: ip(AGENT, RELAY, 17, p[20:], options=b"\x01\x01\x01\x00")),
}  # fmt: skip


@pytest.mark.parametrize("layer", LAYERS)
def test_every_link_layer_and_tunnel_leads_to_the_stream(tmp_path, layer):
    link, wrap = LAYERS[layer]
    result = read(tmp_path, pcap([(at, wrap(packet)) for at, packet in inner_packets()], link=link))
    assert_is_the_speech(result)
    stream = only(result)
    assert (stream.src, stream.src_port, stream.dst, stream.dst_port) == (AGENT, 40_000, RELAY, 3478)
    assert (stream.relay, stream.channel_number, stream.direction) == ("channel_data", 0x4000, "out")
    assert not result.captures[0].unread


def test_tunnels_are_followed_whatever_the_snaplen_keeps(tmp_path):
    frames = Speech(missing=LOST).frames()
    result = read(tmp_path, pcap(frames, snaplen=14 + 20 + 8 + 4 + 12))
    assert_is_the_speech(result)
    assert result.captures[0].snaplen_cut == 57


def test_encrypted_wifi_is_counted_and_named(tmp_path):
    frames = [(at, b"\x08\x41" + bytes(22) + packet) for at, packet in inner_packets()]
    result = read(tmp_path, pcap(frames, link=105))
    assert not result.streams
    assert result.captures[0].skipped["encrypted Wi-Fi frame"].count == 57


def test_of_packets_joined_in_one_wifi_frame_the_rest_is_told_of(tmp_path):
    frames = []
    packets = inner_packets()
    for (at, one), (_, two) in zip(packets[:-1:2], packets[1::2], strict=True):
        subframes = b""
        for packet in (one, two):
            body = b"\xaa\xaa\x03\0\0\0\x08\x00" + packet
            subframes += bytes(-len(subframes) % 4) + bytes(12) + struct.pack(">H", len(body)) + body
        frames.append((at, b"\x88\x01" + bytes(22) + b"\x80\0" + subframes))
    result = read(tmp_path, pcap(frames, link=105))
    assert only(result).packets == 28
    assert any("28 Wi-Fi frames held several packets each" in note for note in result.captures[0].unread)


def test_a_header_of_pktap_around_an_unknown_link_is_named(tmp_path):
    frames = [(at, struct.pack("<III", 108, 1, 226) + bytes(96) + packet) for at, packet in inner_packets()]
    result = read(tmp_path, pcap(frames, link=258))
    assert result.captures[0].skipped["unsupported link type PKTAP"].count == 57


@pytest.mark.parametrize(("link", "name"), [(226, "IPNET"), (239, "NFLOG"), (160, "USER13")])
def test_link_types_that_cannot_be_read_are_named(tmp_path, link, name):
    result = read(tmp_path, pcap(inner_packets(), link=link))
    assert result.captures[0].packets == 57
    assert result.captures[0].skipped[f"unsupported link type {name}"].count == 57
    assert any(name in note for note in result.captures[0].unread)


def test_gtp_is_named_and_looked_through(tmp_path):
    link, wrap = LAYERS["gtp"]
    result = read(tmp_path, pcap([(at, wrap(packet)) for at, packet in inner_packets()], link=link))
    assert any("GTP" in note for note in result.captures[0].notes)


def fragments_of(at: int, packet: bytes, size: int, ident: int) -> list[tuple[int, bytes]]:
    payload = packet[20:]
    return [
        (at + k, ip(AGENT, RELAY, 17, payload[k : k + size], ident=ident, offset=k, more=k + size < len(payload)))
        for k in range(0, len(payload), size)
    ]


@pytest.mark.parametrize("backwards", [False, True])
def test_ipv4_fragments_are_put_together_in_any_order(tmp_path, backwards):
    frames = []
    for number, (at, packet) in enumerate(inner_packets()):
        pieces = fragments_of(at, packet, 40, number)
        order = [piece for _, piece in (reversed(pieces) if backwards else pieces)]
        frames += [(at + k * 1000, piece) for k, piece in enumerate(order)]
    result = read(tmp_path, pcap(frames, link=101))
    assert_is_the_speech(result)
    assert not result.captures[0].skipped


def test_ipv6_fragments_and_extensions_are_followed(tmp_path):
    frames = []
    for number, (at, packet) in enumerate(inner_packets()):
        datagram = packet[20:]
        for offset in range(0, len(datagram), 48):
            piece = datagram[offset : offset + 48]
            more = offset + 48 < len(datagram)
            extensions = bytes([0]) + bytes([44, 0]) + bytes(6)  # hop-by-hop options, then a fragment header
            extensions += struct.pack(">BBHI", 17, 0, offset | more, number)
            frames.append((at + offset, ip("2001:db8::b", "2001:db8::c", 17, piece, extensions=extensions)))
    result = read(tmp_path, pcap(frames, link=229))
    assert_is_the_speech(result)
    assert only(result).src == "2001:db8::b"


def test_a_piece_behind_the_stated_end_makes_no_whole_datagram(tmp_path):
    payload = udp(4_000, 53, bytes(40))
    pieces = [(16, 8, True), (8, 8, False)]  # two of two pieces by their count, and the first is none of them
    frames = [
        (START_NS + k, ip("10.0.0.1", "10.0.0.2", 17, payload[at : at + size], offset=at, more=more))
        for k, (at, size, more) in enumerate(pieces)
    ]
    path = tmp_path / "fragments.pcap"
    path.write_bytes(pcap(frames, link=101))
    result = scan(path)
    assert not result.flows
    assert result.captures[0].skipped["fragments of a datagram that never was whole"].count == 1


def test_fragments_that_never_are_whole_are_counted(tmp_path):
    frames = [fragments_of(at, packet, 40, number)[0] for number, (at, packet) in enumerate(inner_packets())]
    result = read(tmp_path, pcap(frames, link=101))
    assert not result.streams
    assert result.captures[0].skipped["fragments of a datagram that never was whole"].count == 57


def test_several_files_are_one_capture_in_order_of_time(tmp_path):
    frames = Speech(count=400, missing=LOST).frames()
    whole = read(tmp_path, pcap(frames))
    paths = []
    for number, part in enumerate((frames[200:300], frames[:200], frames[300:])):
        path = tmp_path / f"ring-{number}.pcap"
        path.write_bytes(gzip.compress(pcap(part)) if number == 1 else pcap(part))
        paths.append(path)
    assert only(scan(paths, workers=1)) == only(whole)
    odd, even = tmp_path / "odd.pcap", tmp_path / "even.pcapng"
    odd.write_bytes(pcap(frames[1::2]))
    even.write_bytes(pcapng(frames[::2]))
    for size in (1_024, 100_000):
        result = scan([odd, even], workers=1, block_bytes=size)
        assert only(result) == only(whole)
        assert [capture.packets for capture in result.captures] == [198, 199]


def test_one_frame_on_two_interfaces_is_one_packet(tmp_path):
    frames = Speech(missing=LOST).frames()
    routed = [(at + 20_000, frame[:22] + bytes([frame[22] - 1]) + frame[23:]) for at, frame in frames]  # a hop further
    parts = [section(), interface(), interface()]
    for (at, frame), (again, copy) in zip(frames, routed, strict=True):
        parts += [enhanced(at // 1000, frame), enhanced(again // 1000, copy, which=1)]
    result = read(tmp_path, b"".join(parts))
    assert_is_the_speech(result)
    assert only(result).duplicates == 0
    assert result.captures[0].packets == 2 * 57
    assert result.captures[0].skipped["copy of a frame seen on another interface"].count == 57


def test_a_duplicate_on_the_same_interface_stays_a_duplicate(tmp_path):
    frames = Speech(missing=LOST).frames()
    doubled = sorted([*frames, *[(at + 30_000, frame) for at, frame in frames[::3]]])
    for content in (pcap(doubled), pcapng(doubled)):
        stream = only(read(tmp_path, content))
        assert (stream.packets, stream.duplicates, stream.expected, stream.lost) == (57 + 19, 19, 60, 3)


def test_rtp_quoted_in_icmp_errors_is_no_packet_of_a_stream(tmp_path):
    frames = Speech(missing=LOST).frames()
    quoted = [
        (at + 1_000, ethernet(ip(RELAY, AGENT, 1, b"\x03\x03\0\0" + bytes(4) + frame[14:])))
        for at, frame in frames[-10:]
    ]
    result = read(tmp_path, pcap(sorted([*frames, *quoted])))
    assert_is_the_speech(result)
    icmp = [datagram for datagram in result.datagrams if result.flows[datagram.flow].transport == "icmp"]
    assert len(icmp) == 10
    assert icmp[0].payload[8:] == frames[-10][1][14:]


def test_indications_then_channel_data_to_the_same_peer_are_one_stream(tmp_path):
    packets = Speech(missing=LOST).packets()
    peer = xor_peer("10.33.7.21", 40_001)
    frames = []
    for number, (at, packet) in enumerate(packets):
        if number == 20:
            request = stun(0x0009, bytes(12), (0x000C, b"\x40\x03\0\0"), peer)
            frames.append((at - 1_000_000, request))
        frames.append(
            (at, stun(0x0016, bytes([number] * 12), peer, (0x0013, packet)) if number < 20 else channel(0x4003, packet))
        )
    result = read(
        tmp_path, pcap([(at, ethernet(ip(AGENT, RELAY, 17, udp(40_000, 3478, payload)))) for at, payload in frames])
    )
    assert_is_the_speech(result)
    stream = only(result)
    assert (stream.relay, stream.channel_number, stream.peer) == ("channel_data", 0x4003, "10.33.7.21:40001")


def test_a_channel_whose_peer_becomes_known_in_the_middle_stays_one_stream(tmp_path):
    frames = Speech(missing=LOST).frames()
    refresh = stun(0x0009, bytes(12), (0x000C, b"\x40\0\0\0"), xor_peer("10.33.7.21", 40_001))
    frames.insert(30, (frames[29][0] + 1_000, ethernet(ip(AGENT, RELAY, 17, udp(40_000, 3478, refresh)))))
    assert_is_the_speech(read(tmp_path, pcap(frames)))


def relay_over_tcp(chunks: list[tuple[int, int, bytes]], start: int = 1000) -> list[tuple[int, bytes]]:
    return [
        (at, ethernet(ip(AGENT, RELAY, 6, tcp(40_000, 443, start + offset, 1, 0x18, data))))
        for at, offset, data in chunks
    ]


def tcp_chunks(size: int | None = None) -> list[tuple[int, int, bytes]]:
    """Frames of the speech in segments of one frame each, or cut at every `size` bytes."""
    login = stun(0x0003, bytes(12), (0x0019, b"\x11\0\0\0"))
    chunks = [(START_NS - 50_000_000, 0, login)]
    position = len(login)
    for at, packet in Speech(missing=LOST).packets():
        data = channel(0x4000, packet, padded=True)
        step = size or len(data)
        chunks += [(at + k * 10, position + k, data[k : k + step]) for k in range(0, len(data), step)]
        position += len(data)
    return chunks


@pytest.mark.parametrize("size", [None, 1, 37, 90])
def test_turn_over_tcp_is_cut_into_frames_on_any_port(tmp_path, size):
    result = read(tmp_path, pcap(relay_over_tcp(tcp_chunks(size))))
    assert_is_the_speech(result)
    assert (only(result).relay_transport, only(result).transport) == ("tcp", "tcp")
    assert sum(datagram.framed for datagram in result.datagrams) == 1


def test_segments_out_of_order_and_sent_again_lose_nothing(tmp_path):
    chunks = tcp_chunks()
    chunks[10], chunks[12] = (chunks[12][0], *chunks[10][1:]), (chunks[10][0], *chunks[12][1:])
    chunks[20:20] = [(chunks[20][0], *chunks[15][1:])]
    frames = relay_over_tcp(sorted(chunks, key=lambda chunk: chunk[0]))
    result = read(tmp_path, pcap(frames))
    assert_is_the_speech(result)
    assert result.flows[only(result).flow].retransmissions_ab >= 1


def test_sequence_numbers_of_tcp_may_wrap(tmp_path):
    assert_is_the_speech(read(tmp_path, pcap(relay_over_tcp(tcp_chunks(), start=0xFFFFFF00))))


def test_a_capture_that_begins_in_the_middle_of_turn_over_tcp_finds_its_step(tmp_path):
    result = read(tmp_path, pcap(relay_over_tcp(tcp_chunks()[8:])))
    stream = only(result)
    assert 48 <= stream.packets <= 50


def test_what_a_capture_missed_of_a_tcp_stream_is_jumped_over_once_it_was_acknowledged(tmp_path):
    chunks = tcp_chunks()
    del chunks[25]
    end = chunks[-1][1] + len(chunks[-1][2])
    frames = relay_over_tcp(chunks)
    answers = [
        (at + 500_000, ethernet(ip(RELAY, AGENT, 6, tcp(443, 40_000, 1, 1000 + offset + len(data), 0x10))))
        for at, offset, data in chunks
    ]
    assert end > 0
    stream = only(read(tmp_path, pcap(sorted([*frames, *answers]))))
    assert (stream.packets, stream.expected) == (56, 60)


def test_a_server_that_is_not_a_relay_gives_no_stream(tmp_path):
    page = b"GET / HTTP/1.1\r\nHost: example.test\r\n\r\n" + bytes(range(256)) * 20
    chunks = [(START_NS + k * 20_000_000, k * 200, page[k * 200 : k * 200 + 200]) for k in range(25)]
    result = read(tmp_path, pcap(relay_over_tcp(chunks)))
    assert not result.streams
    assert not result.flows[0].is_turn


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"snoop\0\0\0\0\0\0\2", "snoop"),
        (b"iptrace 2.0\0\0", "iptrace"),
        (b"19:59:32.59 IP a > b\n" * 20, "text"),
        ("Ärger überall\n".encode() * 9, "text"),
        (b"\xff\xfet\0e\0x\0t\0", "text"),
        (b"BZh91AY&SY", "bzip2"),
        (b"PK\x03\x04rest", "zip"),
        (b"\xd4\xc3\xb2\xa1\x02\x00", "ends inside its header"),
        (struct.pack("<IHHiIII", 0xA1B2C3D4, 7, 4, 0, 0, 65535, 1), "version 7.4"),
        (block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 3, 1, -1)), "version 3.1"),
        (block(0x0A0D0D0A, struct.pack(">IHHq", 0x1A2B3C4D, 256, 0, -1), ">"), "NTAR"),
        (bytes(range(200, 256)) * 5, "no capture that is known"),
        (gzip.compress(b"just words\n" * 30, mtime=0), "text file inside gzip"),
    ],
)
def test_other_files_are_refused_with_one_sentence_that_names_them(tmp_path, content, words):
    with pytest.raises(CaptureError) as caught:
        read(tmp_path, content)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_erf_capture_is_named(tmp_path):
    record = struct.pack("<Q", 1_700_000_000 << 32) + struct.pack(">BBHHH", 2, 4, 16 + 64, 0, 60) + bytes(64)
    with pytest.raises(CaptureError, match="ERF"):
        read(tmp_path, record * 5)


@pytest.mark.parametrize("name", ["missing.pcap", ""])
def test_what_is_not_there_is_said(tmp_path, name):
    with pytest.raises(CaptureError):
        scan(tmp_path / name if name else [])


def test_a_folder_is_not_a_capture(tmp_path):
    with pytest.raises(CaptureError, match="folder"):
        scan(tmp_path)


def test_one_bad_file_among_several_does_not_hide_the_good_ones(tmp_path):
    good, bad = tmp_path / "good.pcap", tmp_path / "bad.pcap"
    good.write_bytes(pcap(Speech(missing=LOST).frames()))
    bad.write_bytes(b"snoop\0\0\0")
    result = scan([bad, good], workers=1)
    assert_is_the_speech(result)
    assert "snoop" in result.captures[0].ended_early


def test_audio_level_rtcp_and_rtp_on_one_port_are_told_apart(tmp_path):
    frames = Speech(missing=LOST, level=0x80 | 37).frames(number=0)
    frames[40] = (
        frames[40][0],
        Speech(count=1, level=0x80 | 41, seq=100 + 42, timestamp=5000 + 960 * 42).frames(number=0)[0][1],
    )
    report = struct.pack(">BBHI", 0x80, 200, 6, 0x1234ABCD) + bytes(20)
    frames += [
        (START_NS + k * 300_000_000 + 1, ethernet(ip(AGENT, RELAY, 17, udp(40_000, 3478, report)))) for k in range(1, 4)
    ]
    result = read(tmp_path, pcap(sorted(frames)))
    stream = only(result)
    assert stream.rtcp_packets == 3
    assert stream.audio_level_mean_dbov == pytest.approx(-37, abs=0.2)
    assert stream.direction == "unknown"


def test_two_peers_with_one_source_number_are_two_streams(tmp_path):
    frames = sorted([*Speech().frames(number=0x4000), *Speech(start_ns=START_NS + 3).frames(number=0x4001)])
    assert [stream.channel_number for stream in read(tmp_path, pcap(frames)).streams] == [0x4000, 0x4001]


def test_random_bytes_that_begin_like_rtp_are_no_stream(tmp_path):
    rng = random.Random(5)
    frames = [
        (START_NS + k * 15_000_000, ethernet(ip(AGENT, RELAY, 17, udp(40_000, 9999, bytes([0x80 | rng.randrange(64)]) + rng.randbytes(90)))))
        for k in range(3000)
    ]  # fmt: skip
    counters = [
        (at, ethernet(ip(AGENT, RELAY, 17, udp(40_001, 9999, b"\x80\x01" + struct.pack(">H", k) + rng.randbytes(4) + b"same" + bytes(60)))))
        for k, (at, _) in enumerate(frames[:500])
    ]  # fmt: skip
    result = read(tmp_path, pcap(sorted([*frames, *counters])))
    assert not result.streams


def test_rtp_helper_makes_rtp():
    assert len(rtp(1, 2, 3)) == 92


def test_a_retransmission_stream_is_a_stream_of_its_own_and_told_by_its_clock(tmp_path):
    speech = Speech(count=200, missing=LOST)
    repeats = [
        (
            START_NS + k * 200_000_000 + 60_000_000,
            rtp(900 + k, 5000 + 960 * 10 * k, 0x77, kind=97, payload=b"\0\1" + bytes(80)),
        )
        for k in range(18)
    ]
    other = Speech(count=60, ssrc=0x88, timestamp=3_000_000_000).frames()
    frames = [
        (at, ethernet(ip(AGENT, RELAY, 17, udp(40_000, 3478, channel(0x4000, packet))))) for at, packet in repeats
    ]
    streams = read(tmp_path, pcap(sorted([*speech.frames(), *frames, *other]))).streams
    assert {stream.ssrc: stream.is_retransmission for stream in streams} == {0x1234ABCD: False, 0x77: True, 0x88: False}
