"""Nothing that was planted in a capture is found in the bytes of the scrubbed one, in any writing."""

import base64
import gzip
import ipaddress
import random
import struct
from datetime import UTC, datetime, timedelta

import lz4.frame
import pytest
import zstandard
from builders import client_hello, quic_initial, tls_record
from captures_by_hand import (
    block,
    channel,
    checksum,
    ethernet,
    interface,
    ip,
    option,
    pcap,
    rtp,
    stun,
    tcp,
    udp,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ccp_assess.capture.scan import scan
from ccp_assess.capture.scrub import scrub_capture
from ccp_assess.capture.scrubbing.mapping import Mapping
from ccp_assess.capture.scrubbing.packets import KnownFlows, PacketScrubber
from ccp_assess.ranges import read_ranges
from ccp_assess.wire import quic

AGENT, PUBLIC, AGENT_6 = "10.77.13.201", "81.2.69.142", "2a02:8108:96bf:e41c:21b:21ff:feaa:bbcc"
AWS = "15.193.5.9"
MACS = bytes.fromhex("001b21aabbcc"), bytes.fromhex("f4939f112233")
START_NS = 1_790_000_000_000_000_000


class Planted:
    """Secrets that were handed out."""

    def __init__(self, seed: int = 7) -> None:
        self._random = random.Random(seed)
        self.tokens: list[bytes] = []

    def word(self, size: int = 14) -> bytes:
        """Give a new word that could be part of a name."""
        token = bytes(self._random.choice(b"abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(size))
        token = b"q" + token[1:]
        self.tokens.append(token)
        return token

    def binary(self, size: int = 16) -> bytes:
        """Give new bytes."""
        token = self._random.randbytes(size)
        self.tokens.append(token)
        return token


def frame(packet: bytes, *, trailer: bytes = b"") -> bytes:
    return MACS[0] + MACS[1] + ethernet(packet)[12:] + trailer


def certificate(planted: Planted) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Visible Authority"),
        x509.NameAttribute(NameOID.COMMON_NAME, f"{planted.word().decode()}.proxy.example"),
    ])  # fmt: skip
    subject = x509.Name([
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, planted.word().decode()),
        x509.NameAttribute(NameOID.COMMON_NAME, planted.word().decode()),
        x509.NameAttribute(NameOID.EMAIL_ADDRESS, planted.word().decode() + "@acme.example"),
    ])  # fmt: skip
    names = x509.SubjectAlternativeName([
        x509.DNSName(planted.word().decode() + ".acme.example"),
        x509.IPAddress(ipaddress.ip_address(PUBLIC)),
        x509.RFC822Name(planted.word().decode() + "@acme.example"),
        x509.UniformResourceIdentifier("https://" + planted.word().decode() + ".example/"),
    ])  # fmt: skip
    now = datetime(2026, 1, 1, tzinfo=UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject).issuer_name(issuer).public_key(key.public_key())
        .serial_number(int.from_bytes(b"\x01" + planted.binary(12), "big"))
        .not_valid_before(now).not_valid_after(now + timedelta(days=9))
        .add_extension(names, critical=False)
        .add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), planted.binary()), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    return made.public_bytes(serialization.Encoding.DER)


def hello(planted: Planted) -> bytes:
    message = client_hello(planted.word().decode() + ".acme.example", alpn=(planted.word().decode(), "h2"))
    extra = b"".join(
        struct.pack("!HH", kind, len(data)) + data
        for kind, data in (
            (35, planted.binary()),
            (41, planted.binary()),
            (51, planted.binary()),
            (0x4A4A, planted.word()),
        )
    )
    body = message[4:38] + bytes([16]) + planted.binary() + message[39:]
    at = 34 + 17 + 6 + 2
    size = int.from_bytes(body[at : at + 2], "big") + len(extra)
    body = body[:at] + struct.pack("!H", size) + body[at + 2 :] + extra
    body = body[:2] + planted.binary(32) + body[34:]
    return b"\x01" + len(body).to_bytes(3, "big") + body


def dtls(kind: int, fragment: bytes, sequence: int = 0, epoch: int = 0) -> bytes:
    return struct.pack("!BHHHIH", kind, 0xFEFD, epoch, 0, sequence, len(fragment)) + fragment


def dtls_handshake(message: bytes) -> bytes:
    size = message[1:4]
    return dtls(22, message[:4] + b"\0\0" + b"\0\0\0" + size + message[4:])


def dns(planted: Planted) -> bytes:
    name = bytes([14]) + planted.word() + b"\x04acme\x07example\0"
    question = name + struct.pack("!HH", 1, 1)

    def record(kind: int, data: bytes) -> bytes:
        return b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(data)) + data

    answers = [
        record(1, ipaddress.ip_address(PUBLIC).packed),
        record(28, ipaddress.ip_address(AGENT_6).packed),
        record(5, bytes([14]) + planted.word() + b"\xc0\x1b"),
        record(16, bytes([14]) + planted.word()),
        record(33, struct.pack("!HHH", 1, 2, 5060) + bytes([14]) + planted.word() + b"\0"),
        record(65, b"\0\1\0" + planted.word()),
        record(41, struct.pack("!HH", 8, 16) + planted.binary()),
    ]
    return struct.pack("!6H", 0x1234, 0x8180, 1, len(answers), 0, 0) + question + b"".join(answers) + planted.word()


def stun_messages(planted: Planted) -> list[bytes]:
    transaction = bytes(range(12))
    everything = stun(
        0x0003, transaction,
        (0x0006, planted.word()), (0x0014, planted.word()), (0x0015, planted.word(33)), (0x8022, planted.word()),
        (0x0008, planted.binary(20)), (0x001C, planted.binary(32)), (0x001E, planted.binary(32)),
        (0x7777, planted.binary()), (0x8030, planted.binary()), (0x802A, planted.binary(8)), (0xC05A, planted.binary()),
        (0x0024, planted.binary(16)), (0x000D, struct.pack("!I", 600)),
    )  # fmt: skip
    refusal = stun(0x0113, transaction, (0x0009, b"\0\0\4\1" + planted.word()), (0x0014, planted.word(13)))
    indication = stun(0x0016, transaction, (0x0013, planted.binary(30)), (0x0012, b"\0\1\x01\x02" + planted.binary(4)))
    inner = stun(0x0001, transaction, (0x0006, planted.word()))
    return [
        everything, refusal, indication, everything + planted.binary(),
        channel(0x4000, inner), channel(0x4000, planted.word()),
        channel(0x4001, planted.word(13), padded=True)[:-3] + b"zzz",
    ]  # fmt: skip


def media(planted: Planted) -> list[bytes]:
    named = struct.pack("!BBHII", 0x90, 111, 1, 960, 99) + bytes.fromhex("bede0005") + bytes([0x1E]) + planted.word(15)
    named += bytes([0x10, 0x55, 0, 0]) + planted.binary(40)
    other = (
        struct.pack("!BBHII", 0x90, 111, 2, 1920, 99) + bytes.fromhex("abcd0004") + planted.binary(16) + planted.word()
    )
    sources = struct.pack("!BBHII", 0x84, 111, 3, 2880, 99) + planted.binary(16) + planted.word()
    report = struct.pack("!BBHI", 0x81, 202, 6, 99) + b"\x01\x0e" + planted.word() + bytes(4)
    return [
        rtp(4, 3840, 99, payload=planted.binary(60)), named, other, sources, report,
        channel(0x4000, rtp(5, 4800, 99, payload=planted.binary(60))), channel(0x4000, named),
    ]  # fmt: skip


def datagrams(planted: Planted) -> list[tuple[int, int, bytes]]:
    """Source port, destination port, payload."""
    found = [(50000, 3478, payload) for payload in (*stun_messages(planted), *media(planted))]
    found += [(50001, port, planted.word(30)) for port in (67, 123, 137, 161, 514, 1900, 5353, 5355, 5060, 9999)]
    found += [(50001, 9999, bytes([first]) + planted.binary(30)) for first in range(0, 256, 5)]
    found += [(50002, 53, dns(planted)), (53, 50002, dns(planted)), (50002, 53, planted.word(30))]
    found += [
        (50003, 3478, dtls_handshake(hello(planted))),
        (50003, 3478, dtls(23, planted.binary(40), epoch=1)),
        (50003, 3478, b"\x2f\0\1\0\x20" + planted.binary(32)),
        (50003, 3478, dtls(22, planted.binary(40))),
        (50004, 443, quic_initial(hello(planted))),
        (50005, 443, b"\xc3\0\0\0\1\x04" + b"abcd" + b"\0\x10" + planted.binary(16) + b"\x40\x20" + planted.binary(32)),
        (50006, 443, b"\x43" + planted.binary(40)),
    ]
    return found


def connections(planted: Planted) -> list[tuple[int, int, list[tuple[bool, bytes]]]]:
    """Client port, server port, and what each side (client first) says."""
    der = certificate(planted)
    chain = (len(der) + 3).to_bytes(3, "big") + len(der).to_bytes(3, "big") + der
    shown = b"\x0b" + len(chain).to_bytes(3, "big") + chain
    ticket = b"\x04" + (20).to_bytes(3, "big") + planted.binary(20)
    secret = planted.word().decode()
    connect = (
        f"CONNECT {planted.word().decode()}.acme.example:443 HTTP/1.1\r\nHost: {secret}.acme.example:443\r\n"
        f"Proxy-Authorization: Basic {base64.b64encode(planted.word()).decode()}\r\n"
        f"User-Agent: {planted.word().decode()}\r\nX-{planted.word().decode()}: 1\r\n\r\n"
    ).encode()
    plain = (
        f"POST /{planted.word().decode()}?user={planted.word().decode()} HTTP/1.1\r\nHost: {PUBLIC}\r\n"
        f"Cookie: {planted.word().decode()}\r\n\r\n{planted.word().decode()}"
    ).encode()
    socks = b"\x05\x01\x02\x01\x0e" + planted.word() + b"\x0e" + planted.word()
    socks += b"\x05\x01\x00\x03\x0e" + planted.word() + b"\x01\xbb" + tls_record(hello(planted))
    message = dns(planted)
    turn = stun_messages(planted)[0] + channel(0x4000, rtp(1, 0, 7, payload=planted.binary(61)), padded=True)
    return [
        (40001, 443, [(True, tls_record(hello(planted))), (False, tls_record(shown + ticket)),
                      (True, tls_record(planted.binary(40), 23)), (False, tls_record(planted.binary(40), 23))]),
        (40002, 8080, [(True, connect), (False, f"HTTP/1.1 200 {secret}\r\nVia: {secret}\r\n\r\n".encode()),
                       (True, tls_record(hello(planted)))]),
        (40003, 80, [(True, plain),
                     (False, b"HTTP/1.1 200 OK\r\nServer: " + planted.word() + b"\r\n\r\n" + planted.word())]),
        (40004, 1080, [(True, socks), (False, b"\x05\x02\x01\x00\x05\x00\x00\x03\x0e" + planted.word() + b"\x01\xbb")]),
        (40005, 53, [(True, struct.pack("!H", len(message)) + message)]),
        (40006, 25, [(False, b"220 " + planted.word()), (True, b"HELO " + planted.word())]),
        (40007, 3478, [(True, turn), (False, turn), (True, turn[:50]), (True, turn[50:])]),
        (40008, 443, [(True, planted.binary(200))]),
    ]  # fmt: skip


def segments(planted: Planted) -> list[bytes]:
    found = []
    for client, server, talk in connections(planted):
        numbers = {True: 1000, False: 5000}
        ends = {True: (AGENT, AWS, client, server), False: (AWS, AGENT, server, client)}
        found.append(ip(AGENT, AWS, 6, tcp(client, server, 999, 0, 2)))
        found.append(ip(AWS, AGENT, 6, tcp(server, client, 4999, 1000, 18)))
        for from_client, data in talk:
            src, dst, source, target = ends[from_client]
            found.append(ip(src, dst, 6, tcp(source, target, numbers[from_client], numbers[not from_client], 24, data)))
            numbers[from_client] += len(data)
    options = bytes([253, 18]) + planted.word(16) + b"\x01\x01"
    head = tcp(40009, 443, 1, 1, 24, options)
    found.append(ip(AGENT, AWS, 6, head[:12] + b"\xa0" + head[13:]))
    return found


def odd_packets(planted: Planted) -> list[bytes]:
    quoted = ip(AGENT, AWS, 17, udp(50000, 3478, planted.binary(40)))
    inner = frame(ip(AGENT, AWS, 17, udp(50000, 9999, planted.word(30))))
    talk = udp(50000, 9999, planted.word(60))
    return [
        ip(AWS, AGENT, 1, b"\x03\x03\0\0\0\0\0\0" + quoted + planted.word()),
        ip(AGENT, AWS, 1, b"\x08\0\0\0\0\1\0\1" + planted.word(40)),
        ip(AWS, AGENT, 1, b"\x05\x01\0\0" + ipaddress.ip_address(PUBLIC).packed + quoted),
        ip(AGENT_6, AGENT_6, 58, b"\x87\0\0\0\0\0\0\0" + ipaddress.ip_address(AGENT_6).packed + b"\1\1" + MACS[0]),
        ip(AGENT, PUBLIC, 17, udp(1, 2, b""), options=b"\x07\x14\x04" + planted.binary(16) + b"\0"),
        ip(AGENT_6, AGENT_6, 17, talk, extensions=b"\x3c\x11\x02\x01\x0c" + planted.word(19) ),
        ip(AGENT_6, AGENT_6, 17, talk, extensions=b"\x3c\x11\x01" + b"\x01\x0c" + planted.word(12)),
        ip(AGENT, AWS, 50, planted.binary(40)), ip(AGENT, AWS, 132, planted.binary(40)),
        ip(AGENT, AWS, 2, planted.binary(16)),
        ip(AGENT, PUBLIC, 4, ip(AGENT, PUBLIC, 17, talk)),
        ip(AGENT, PUBLIC, 47, b"\0\0\x65\x58" + inner), ip(AGENT, PUBLIC, 47, b"\0\0\x12\x34" + planted.word(40)),
        ip(AGENT, PUBLIC, 17, udp(5, 4789, b"\x08\0\0\0\0\0\7\0" + inner)),
        ip(AGENT, PUBLIC, 17, udp(5, 6081, b"\x04\0\x65\x58\0\0\7\0" + planted.binary(16) + inner)),
        ip(AGENT, AWS, 17, talk[:40], ident=77, more=True), ip(AGENT, AWS, 17, talk[40:], ident=77, offset=40),
        ip(AGENT, AWS, 17, talk[:40], ident=78, more=True),
    ]  # fmt: skip


def frames(planted: Planted) -> list[bytes]:
    found = [frame(packet) for packet in (*odd_packets(planted), *segments(planted))]
    for number, (source, target, payload) in enumerate(datagrams(planted)):
        ends = (AGENT, AWS) if number % 2 else (AGENT_6, "2600:f0f2:7102::9")
        found.append(frame(ip(*ends, 17, udp(source, target, payload)), trailer=planted.word()))
    arp = b"\0\1\x08\0\6\4\0\1" + MACS[1] + ipaddress.ip_address(AGENT).packed + bytes(6) + b"\x0a\1\1\1"
    found += [
        MACS[0] + MACS[1] + b"\x08\x06" + arp + planted.word(),
        MACS[0] + MACS[1] + b"\x88\xcc" + planted.word(40),
        MACS[0] + MACS[1] + b"\x00\x20" + b"\xaa\xaa\x03\0\0\x0c\x20\0" + planted.word(30),
        MACS[0] + MACS[1] + b"\x88\x63" + planted.word(30),
        MACS[0] + MACS[1] + b"\x81\x00\0\7\x08\0" + ip(AGENT, AWS, 17, udp(1, 9999, planted.word(30))),
        planted.word(9),
    ]
    return found


def pcapng_file(planted: Planted, order: str = "<") -> bytes:
    host = b"".join(option(code, planted.word(), order) for code in (1, 2, 3, 4, 2988))
    own = b"".join(option(code, planted.word(), order) for code in (1, 2, 3, 12, 15, 18, 2989))
    own += option(4, ipaddress.ip_address(PUBLIC).packed + b"\xff\xff\xff\0", order) + option(6, MACS[0], order)
    own += option(5, ipaddress.ip_address(AGENT_6).packed + b"\x40", order) + option(
        11, b"\0host " + planted.word(), order
    )
    record = ipaddress.ip_address(PUBLIC).packed + planted.word() + b".acme.example\0" + planted.word() + b"\0"
    names = struct.pack(order + "HH", 1, len(record)) + record + bytes(-len(record) % 4) + bytes(4)
    names += option(2, planted.word(), order) + option(3, ipaddress.ip_address(PUBLIC).packed, order)
    parts = [
        block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1) + host + option(0, b"", order), order),
        interface(options=own + option(0, b"", order), order=order),
        block(4, names, order),
        block(10, struct.pack(order + "II", 0x544C534B, 14) + planted.word(), order),
        block(0x00000BAD, struct.pack(order + "I", 4711) + planted.word(40), order),
        block(9, b"MESSAGE=" + planted.word(), order),
        block(0x77, planted.word(30), order),
    ]
    for number, data in enumerate(frames(planted)):
        head = struct.pack(order + "IIIII", 0, (START_NS // 1000 + number * 1000) >> 32,
                           (START_NS // 1000 + number * 1000) & 0xFFFFFFFF, len(data), len(data))  # fmt: skip
        padding = b"\xee" * (-len(data) % 4)
        said = option(1, planted.word(), order) + option(2988, b"\0\0\0\7" + planted.word(), order)
        said += option(3, planted.binary(9), order) + option(0, b"", order) + planted.word(16)
        parts.append(block(6, head + data + padding + said, order))
    parts.append(
        block(3, struct.pack(order + "I", 60) + frame(ip(AGENT, AWS, 17, udp(1, 9999, planted.word(18)))), order)
    )
    counters = option(1, planted.word(), order) + option(7, struct.pack(order + "Q", 5), order)
    parts.append(block(5, struct.pack(order + "III", 0, 0, 0) + counters, order))
    return b"".join(parts) + planted.word(40)


def pcap_file(planted: Planted) -> bytes:
    timed = [(START_NS + number * 10**6, data) for number, data in enumerate(frames(planted))]
    return pcap(timed) + planted.word(40)


def writings(token: bytes) -> set[bytes]:
    """All the ways in which a token might still stand somewhere."""
    found = {token, token.upper(), token.lower(), token[::-1], token.hex().encode(), token.hex().upper().encode()}
    found |= {token.decode("latin-1").encode("utf-16-le"), token.decode("latin-1").encode("utf-16-be")}
    for shift in range(3):
        text = base64.b64encode(bytes(shift) + token)
        found.add(text[4 if shift else 0 : len(text) // 4 * 4 - 4])
    cookie = bytes.fromhex("2112a442") + bytes(range(12))
    found.add(bytes(a ^ b for a, b in zip(token, cookie * 4, strict=False)))
    return {writing for writing in found if len(writing) >= 8}


def leaks(planted: Planted, data: bytes) -> list[bytes]:
    found = [token for token in planted.tokens if any(writing in data for writing in writings(token))]
    personal = [ipaddress.ip_address(address).packed for address in (AGENT, PUBLIC, AGENT_6)] + list(MACS)
    personal += [address.encode() for address in (AGENT, PUBLIC, AGENT_6)] + [b"acme"]
    return found + [value for value in personal if value in data]


@pytest.mark.parametrize("make", [pcap_file, pcapng_file, lambda p: pcapng_file(p, ">")], ids=["pcap", "pcapng", "big"])
def test_no_secret_is_found_in_the_output(tmp_path, make):
    planted = Planted()
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(make(planted))
    assert len(planted.tokens) > 200
    assert len(leaks(planted, source.read_bytes())) > 0.9 * len(planted.tokens)  # all but what QUIC encrypts is there
    scrub_capture(source, target, key=tmp_path / "key")
    assert leaks(planted, target.read_bytes()) == []


@pytest.mark.parametrize(
    ("suffix", "pack", "unpack"),
    [
        (".gz", gzip.compress, gzip.decompress),
        (".zst", zstandard.compress, lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data)),
        (".lz4", lz4.frame.compress, lz4.frame.decompress),
    ],
)
def test_compressed_input_and_output_hold_no_secret_either(tmp_path, suffix, pack, unpack):
    planted = Planted(8)
    source, target = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    source.write_bytes(pack(pcap_file(planted)))
    scrub_capture(source, target, key=tmp_path / "key")
    assert leaks(planted, unpack(target.read_bytes())) == []


@pytest.mark.parametrize("link", [0, 9, 12, 101, 105, 108, 113, 127, 147, 228, 276, 195, 9999])
def test_no_link_type_lets_a_secret_through(tmp_path, link):
    planted = Planted(link)
    packets = [ip(AGENT, AWS, 17, udp(1, 9999, planted.word(30))), planted.word(60), b"\0\0\0\x02" + planted.word(60)]
    packets += [bytes([first]) + planted.binary(60) for first in range(0, 256, 8)]
    source = tmp_path / "in"
    source.write_bytes(pcap([(START_NS + n, data) for n, data in enumerate(packets)], link=link))
    scrub_capture(source, tmp_path / "out", key=tmp_path / "key")
    assert leaks(planted, (tmp_path / "out").read_bytes()) == []


def test_cut_frames_hold_no_secret_at_any_length(tmp_path):
    planted = Planted(3)
    everything = frames(planted)
    for snaplen in (20, 34, 42, 54, 60, 66, 74, 80, 96, 128):
        source = tmp_path / "in"
        source.write_bytes(pcap([(START_NS + n, data) for n, data in enumerate(everything)], snaplen=snaplen))
        scrub_capture(source, tmp_path / "out", key=tmp_path / "key")
        assert leaks(planted, (tmp_path / "out").read_bytes()) == [], snaplen


def test_the_name_inside_a_quic_initial_is_mapped_and_still_opens(tmp_path):
    planted = Planted(5)
    original = hello(planted)
    source = tmp_path / "in"
    source.write_bytes(pcap([(START_NS, frame(ip(AGENT, AWS, 17, udp(50004, 443, quic_initial(original)))))]))
    scrub_capture(source, tmp_path / "out", key=tmp_path / "key")
    (datagram,) = scan(tmp_path / "out").datagrams
    header = quic.parse_long_header(datagram.payload)
    pieces = quic.parse_crypto_frames(quic.decrypt_initial(header, header.destination_id))
    assert leaks(planted, b"".join(pieces.values())) == []
    assert len(pieces[0]) == len(original)
    reader = quic.InitialReader()
    reader.feed(datagram.payload)
    assert reader.client_hello is not None
    assert reader.client_hello.server_name.count(".") == 2


def test_checksums_and_fingerprints_are_right_afterwards(tmp_path):
    message = stun(0x0001, bytes(12), (0x0006, b"secret:user"), (0x0020, b"\0\1" + bytes(6)), (0x8028, bytes(4)))
    packets = [
        frame(ip(AGENT, PUBLIC, 17, udp(50000, 3478, message)[:6] + b"\x12\x34" + message)),
        frame(ip(AGENT_6, AGENT_6, 17, udp(50000, 3478, message)[:6] + b"\x12\x34" + message)),
        frame(ip(AGENT, PUBLIC, 6, tcp(40001, 443, 1, 1, 24, b"hello"))),
        frame(ip(AGENT, PUBLIC, 1, b"\x08\0\0\0\0\1\0\1" + b"ping")),
        frame(ip(AGENT_6, AGENT_6, 58, b"\x80\0\0\0\0\1\0\1" + b"ping")),
    ]
    source = tmp_path / "in.pcap"
    source.write_bytes(pcap([(START_NS + n, data) for n, data in enumerate(packets)]))
    scrub_capture(source, tmp_path / "out.pcap", key=tmp_path / "key")
    at, data, checked = 24, (tmp_path / "out.pcap").read_bytes(), 0
    while at < len(data):
        size = struct.unpack_from("<I", data, at + 8)[0]
        packet = data[at + 30 : at + 16 + size]
        at += 16 + size
        six = packet[0] >> 4 == 6
        head, body = (packet[:40], packet[40:]) if six else (packet[:20], packet[20:])
        protocol = head[6] if six else head[9]
        assert six or checksum(head) == 0
        pseudo = (head[8:40] if six else head[12:20]) + len(body).to_bytes(4, "big") + bytes([0, 0, 0, protocol])
        whole = (b"" if protocol == 1 else pseudo) + body
        assert checksum(whole + bytes(len(whole) % 2)) == 0
        checked += 1
        if protocol == 17:
            from ccp_assess.wire.stun import check_fingerprint

            assert check_fingerprint(body[8:]) is True
    assert checked == 5


def test_any_bytes_are_scrubbed_to_the_same_length_without_a_fault():
    dice = random.Random(11)
    scrubber = PacketScrubber(Mapping(bytes(range(32)), read_ranges()), KnownFlows())
    everything = frames(Planted(4))
    for number in range(4000):
        data = bytearray(dice.choice(everything))
        for _ in range(dice.choice([0, 1, 3, 9])):
            data[dice.randrange(len(data))] = dice.choice([0, 255, dice.randrange(256)])
        cut = bytes(data[: dice.randrange(len(data) + 1)] if number % 3 else data)
        link = dice.choice([1, 1, 1, 0, 9, 12, 51, 101, 104, 105, 108, 113, 127, 166, 204, 228, 229, 276, 192, 258])
        scrubbed = scrubber.scrub(cut, len(cut) + dice.choice([0, 0, 9, 2000]), link, number * 10**6)
        scrubbed.finish()
        assert len(scrubbed.out) == len(cut)
