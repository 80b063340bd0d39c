"""QUIC Initials: key derivation by published vectors, names through the whole path."""

import pytest
from builders import client_hello, quic_initial
from hypothesis import given, settings
from hypothesis import strategies as st

from ccp_assess.errors import ParseError
from ccp_assess.wire import quic


@pytest.mark.parametrize(
    ("salt", "prefix", "key", "iv", "hp"),
    [  # RFC 9001 and RFC 9369, appendices A.1
        (quic._SALT_1, "quic", "1f369613dd76d5467730efcbe3b1a22d", "fa044b2f42a3fd3b46fb255c", "9f50449e04a0e810283a1e9933adedd2"),  # noqa: E501
        (quic._SALT_2, "quicv2", "8b1a0bc121284290a29e0971b5cd045d", "91f73e2351d8fa91660e909f", "45b95e15235d6f45a6b19cbcb0294ba9"),  # noqa: E501
    ],
)  # fmt: skip
def test_keys_are_those_of_the_appendices(salt, prefix, key, iv, hp):
    initial = quic.hmac.new(salt, bytes.fromhex("8394c8f03e515708"), "sha256").digest()
    secret = quic._expand_label(initial, "client in", 32)
    assert quic._expand_label(secret, f"{prefix} key", 16).hex() == key
    assert quic._expand_label(secret, f"{prefix} iv", 12).hex() == iv
    assert quic._expand_label(secret, f"{prefix} hp", 16).hex() == hp


@pytest.mark.parametrize(("version", "name"), [(1, "QUICv1"), (quic.VERSION_2, "QUICv2"), (0xFF00001D, "QUIC-draft29")])
def test_the_name_of_an_initial_is_read(version, name):
    reader = quic.InitialReader()
    reader.feed(quic_initial(client_hello("Agent.Example.com"), version=version))
    assert reader.version == name
    assert reader.client_hello is not None
    assert reader.client_hello.server_name == "agent.example.com"


def test_a_hello_over_two_datagrams_in_the_wrong_order_is_read():
    hello = client_hello("split.example.com")
    second = b"\x06" + (0x4000 | 40).to_bytes(2, "big")
    reader = quic.InitialReader()
    reader._key_id = bytes(range(8))
    reader._pieces.update(quic.parse_crypto_frames(second + (0x4000 | len(hello) - 40).to_bytes(2, "big") + hello[40:]))
    reader._try_hello()
    assert reader.client_hello is None
    reader._pieces.update(quic.parse_crypto_frames(b"\x01\x00\x06\x00\x28" + hello[:40]))
    reader._try_hello()
    assert reader.client_hello is not None
    assert reader.client_hello.server_name == "split.example.com"


def test_a_flipped_bit_in_the_key_id_gives_no_name():
    data = bytearray(quic_initial(client_hello("a.example.com")))
    data[6] ^= 1
    reader = quic.InitialReader()
    reader.feed(bytes(data))
    assert reader.client_hello is None


@pytest.mark.parametrize("data", [b"", b"\xc0\x00\x00\x00\x01", b"\x40" * 30, b"\xc0\x00\x00\x00\x01\x15" + bytes(40)])
def test_what_is_no_long_header_is_refused(data):
    with pytest.raises(ParseError):
        quic.parse_long_header(data)


@given(st.binary(max_size=300), st.sampled_from([1, quic.VERSION_2, 0xFF00001D, 0]))
@settings(deadline=None)
def test_any_bytes_after_a_version_give_a_header_or_our_error(tail, version):
    data = b"\xc3" + version.to_bytes(4, "big") + tail
    quic.looks_like_quic(data)
    quic.InitialReader().feed(data)
    try:
        header = quic.parse_long_header(data)
        quic.decrypt_initial(header, b"12345678")
    except ParseError:
        pass


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_any_frames_give_pieces_or_our_error(frames):
    try:
        pieces = quic.parse_crypto_frames(frames)
    except ParseError:
        return
    assert sum(map(len, pieces.values())) <= len(frames)
