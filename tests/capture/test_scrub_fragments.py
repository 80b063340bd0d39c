"""Datagrams in fragments: the scrubbed copy is put together as the original is, by the reader and by scapy."""

from __future__ import annotations

import random
import struct
from ipaddress import ip_address

import pytest
from captures_by_hand import START_NS, ip, pcap, udp
from test_scrub_same_numbers import KEY, differences, document

from ccp_assess.capture.scan import scan
from ccp_assess.capture.scrub import scrub_capture
from ccp_assess.capture.scrubbing.fragments import Fragments, Piece
from ccp_assess.capture.scrubbing.held import Frame

UDP, FRAGMENT, RAW, COOKED_2 = 17, 44, 101, 276
ENDS = {4: ("10.77.13.201", "10.77.13.202"), 6: ("2a02:8108::1", "2a02:8108::2")}


def query(number: int) -> bytes:
    name = b"".join(bytes([len(label)]) + label for label in (b"rtc%d" % number, b"secretword", b"com"))
    return udp(40_000 + number, 53, struct.pack(">6H", number, 0x100, 1, 0, 0, 0) + name + b"\0\0\1\0\1")


def fragment(version: int, data: bytes, ident: int, at: int, size: int, *, more: bool) -> bytes:
    piece = data[at : at + size]
    if version == 4:
        return ip(*ENDS[4], UDP, piece, ident=ident, offset=at, more=more)
    return ip(*ENDS[6], UDP, piece, extensions=bytes([FRAGMENT]) + struct.pack(">BBHI", UDP, 0, at | more, ident))


def cut(data: bytes, size: int) -> list[tuple[int, int, bool]]:
    return [(at, min(size, len(data) - at), at + size < len(data)) for at in range(0, len(data), size)]


def scrubbed(tmp_path, content: bytes) -> bytes:
    (tmp_path / "in.pcap").write_bytes(content)
    (tmp_path / "key").write_text(KEY)
    scrub_capture(tmp_path / "in.pcap", tmp_path / "out.pcap", key=tmp_path / "key")
    return (tmp_path / "out.pcap").read_bytes()


ORDERS = {
    "in order": lambda pieces: pieces,
    "last first": lambda pieces: pieces[::-1],
    "shuffled": lambda pieces: random.Random(5).sample(pieces, len(pieces)),
    "doubled within": lambda pieces: [piece for piece in pieces[:-1] for _ in range(2)] + pieces[-1:],
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("size", [8, 16, 40])
def test_scapy_puts_the_copy_together_with_right_checksums(tmp_path, order, version, size):
    import scapy.layers.dns  # noqa: F401  (tells UDP what port 53 carries)
    from scapy.layers.inet import IP, defrag
    from scapy.layers.inet6 import IPv6, defragment6
    from scapy.utils import PcapReader

    frames = []
    for number in range(5):
        data = bytearray(query(number))
        data[6:8] = udp_sum(data, [ip_address(end).packed for end in ENDS[version]])
        for at, length, more in ORDERS[order](cut(data, size)):
            frames.append(
                (START_NS + len(frames) * 10**6, fragment(version, bytes(data), number, at, length, more=more))
            )
    out = scrubbed(tmp_path, pcap(frames, link=RAW))
    assert b"secretword" not in out
    kind = IP if version == 4 else IPv6
    with PcapReader(str(tmp_path / "out.pcap")) as reader:
        packets = [kind(bytes(packet)) for packet in reader]
    unique = list({bytes(packet): packet for packet in packets}.values())  # scapy takes no duplicates
    by_number = [unique[k * len(unique) // 5 : (k + 1) * len(unique) // 5] for k in range(5)]
    for pieces in by_number:
        whole = defrag(sorted(pieces, key=lambda piece: piece.frag))[1][0] if version == 4 else defragment6(pieces)
        addresses = [ip_address(end).packed for end in (whole.src, whole.dst)]
        payload = bytes(whole.payload)
        assert udp_sum(payload, addresses) == payload[6:8]
        assert whole["DNS"].qd[0].qname.endswith(b".com.")
    assert len(scan(tmp_path / "out.pcap").flows) == 5


def udp_sum(data: bytes, addresses: list[bytes]) -> bytes:
    """Sum by the letter of RFC 768, in no way as the product does it."""
    counted = b"".join(addresses) + struct.pack(">II", len(data), UDP) + data[:6] + b"\0\0" + data[8:]
    total = sum(word for (word,) in struct.iter_unpack(">H", counted + bytes(len(counted) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack(">H", 0xFFFF - total or 0xFFFF)


def disturbed(dice: random.Random, data: bytes) -> list[tuple[int, int, bool]]:
    pieces = cut(data, dice.choice((8, 16, 24)))
    for _ in range(dice.choice((0, 0, 1, 2))):
        kind = dice.choice(("again", "anywhere", "behind the end", "empty", "missing"))
        if kind == "again":
            pieces.append(dice.choice(pieces))
        elif kind == "anywhere":
            pieces.append((dice.randrange(10) * 8, 8 * dice.randrange(1, 4), dice.random() < 0.7))
        elif kind == "behind the end":
            pieces.append((len(data) // 8 * 8, 8, True))
        elif kind == "empty":
            pieces.append((0, 0, dice.random() < 0.5))
        elif len(pieces) > 1:
            pieces.remove(dice.choice(pieces))
    if dice.random() < 0.6:
        dice.shuffle(pieces)
    return pieces


def disturbed_capture(seed: int) -> bytes:
    dice = random.Random(seed)
    frames = []
    time_ns = START_NS
    for number in range(12):
        version, ident = dice.choice((4, 6)), dice.choice((number, number, 1))
        data = query(number) + bytes(dice.choice((0, 3, 8, 21, 40)))
        for at, size, more in disturbed(dice, data):
            content = bytearray(data + bytes(400))
            if dice.random() < 0.1:
                content[at : at + size] = dice.randbytes(size)
            time_ns += 40 * 10**9 if dice.random() < 0.02 else 10**6
            frames.append((time_ns, fragment(version, bytes(content), ident, at, size, more=more)))
    snaplen = dice.choice((1 << 18, 1 << 18, 60, 38))
    if dice.random() < 0.5:
        return pcap(frames, link=RAW, snaplen=snaplen)
    seen = []
    for at, packet in frames:
        kind = 0x0800 if packet[0] >> 4 == 4 else 0x86DD
        for number in (1, 2):
            head = struct.pack(">HHIHBB", kind, 0, number, 1, 0, 6) + bytes(8)
            seen.append((at + number * 20_000, head + packet))
    return pcap(seen, link=COOKED_2, snaplen=snaplen + 20)


@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=pytest.mark.long if seed >= 16 else ()) for seed in range(40)]
)
def test_fragments_of_any_kind_keep_their_numbers_and_no_secret(tmp_path, seed):
    out = scrubbed(tmp_path, disturbed_capture(seed))
    assert b"secretword" not in out
    assert list(differences(document(tmp_path / "in.pcap"), document(tmp_path / "out.pcap"))) == []


@pytest.mark.parametrize("is_last_first", [False, True])
def test_a_piece_that_reaches_behind_the_end_by_less_than_eight_bytes_is_none_of_it(tmp_path, is_last_first):
    data = query(1)[:45]
    pieces = [(0, 40, True), (40, 5, False), (40, 8, True)]
    order = pieces if is_last_first else [pieces[0], pieces[2], pieces[1]]
    frames = [
        (START_NS + k, fragment(4, data + bytes(8), 1, at, size, more=more)) for k, (at, size, more) in enumerate(order)
    ]
    out = scrubbed(tmp_path, pcap(frames, link=RAW))
    assert len(scan(tmp_path / "in.pcap").flows) == is_last_first  # then it was whole before the odd piece came
    assert len(scan(tmp_path / "out.pcap").flows) == is_last_first
    assert b"secretword" not in out


def test_an_atomic_fragment_is_a_whole_datagram(tmp_path):
    """RFC 6946: a fragment header that neither begins nor goes on with anything."""
    frames = [(START_NS + k, fragment(6, query(1), 1, 0, 100, more=False)) for k in range(2)]
    out = scrubbed(tmp_path, pcap(frames, link=RAW))
    assert scan(tmp_path / "out.pcap").flows[0].packets_ab == 2
    assert b"secretword" not in out


def test_copies_of_a_first_piece_are_kept_in_bounded_memory():
    fragments = Fragments()
    frames = [Frame(bytearray(1_428), START_NS + k) for k in range(5_000)]
    for frame in frames:
        piece = Piece(frame=frame, place=20, data=bytes(1_408), offset=0, length=1_408, more=True, origin=None)
        assert fragments.put((b"a", b"b", UDP, 1), None, piece) is None
    assert 0 < sum(len(frame.out) for frame in frames if frame.waits) < 2 << 20
