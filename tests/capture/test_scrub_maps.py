"""What is mapped, and what stays: addresses, names, hardware addresses, keys."""

import ipaddress
import re
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccp_assess.capture.scrubbing.addresses import AddressMap
from ccp_assess.capture.scrubbing.keys import read_key
from ccp_assess.capture.scrubbing.mapping import Mapping
from ccp_assess.capture.scrubbing.names import NameMap
from ccp_assess.endpoints import identify, read_patterns
from ccp_assess.errors import CaptureError
from ccp_assess.ranges import EVERYTHING, read_ranges

KEY = bytes(range(32))
RANGES = read_ranges()
ADDRESSES = AddressMap(KEY, RANGES)
NAMES = NameMap(KEY)
PUBLISHED = {version: [p for p in RANGES.prefixes(EVERYTHING) if p.version == version] for version in (4, 6)}


def shared_bits(one: int, two: int, bits: int) -> int:
    return bits - (one ^ two).bit_length()


@st.composite
def neighbours(draw, version):
    """Two addresses, often close to each other, to a published prefix or to a private one."""
    bits = 32 if version == 4 else 128
    near = [p.first for p in PUBLISHED[version][:500]] + [int(ipaddress.ip_address(a)) for a in (
        ("10.0.0.1", "192.168.7.1", "172.16.0.1", "100.64.3.4", "224.0.0.251")
        if version == 4
        else ("fe80::1", "fd00:1::2", "2001:db8::1", "ff02::fb")
    )]  # fmt: skip
    one = draw(st.one_of(st.integers(0, (1 << bits) - 1), st.sampled_from(near)))
    one ^= draw(st.sampled_from([0, 1 << draw(st.integers(0, bits - 1))]))
    two = one ^ (1 << draw(st.integers(0, bits - 1)))
    return one, two


@pytest.mark.parametrize("version", [4, 6])
@given(data=st.data())
def test_addresses_share_as_many_bits_afterwards_as_before(version, data):
    bits = 32 if version == 4 else 128
    pair = data.draw(neighbours(version))
    mapped = [int.from_bytes(ADDRESSES.packed(value.to_bytes(bits // 8, "big")), "big") for value in pair]
    embedded = (0xFFFF, 0x64FF9B << 64)
    if version == 6 and any(value >> 32 in embedded for value in pair):
        return  # an IPv4 address inside is mapped as such
    assert shared_bits(*mapped, bits) == shared_bits(*pair, bits)


@pytest.mark.parametrize("version", [4, 6])
@given(data=st.data())
def test_an_address_is_in_a_published_range_afterwards_only_if_it_was_before(version, data):
    bits = 32 if version == 4 else 128
    value = data.draw(neighbours(version))[0].to_bytes(bits // 8, "big")
    before, after = (str(ipaddress.ip_address(packed)) for packed in (value, ADDRESSES.packed(value)))
    assert (RANGES.service_of(before) is None) == (RANGES.service_of(after) is None)
    if RANGES.service_of(before) is not None:
        assert after == before


@pytest.mark.parametrize(
    ("address", "block"),
    [
        ("10.20.1.11", "10.0.0.0/8"),
        ("172.20.3.4", "172.16.0.0/12"),
        ("192.168.1.5", "192.168.0.0/16"),
        ("100.100.1.2", "100.64.0.0/10"),
        ("169.254.3.4", "169.254.0.0/16"),
        ("239.1.2.3", "224.0.0.0/4"),
        ("fe80::1234:56ff:fe78:9abc", "fe80::/64"),
        ("fd12:3456:789a::1", "fd00::/8"),
    ],
)
def test_private_addresses_change_but_stay_private(address, block):
    mapped = ADDRESSES.text(address)
    assert mapped != address
    assert ipaddress.ip_address(mapped) in ipaddress.ip_network(block)


@pytest.mark.parametrize("address", ["255.255.255.255", "127.0.0.1", "224.0.0.251", "::", "::1", "ff02::fb"])
def test_addresses_that_name_nobody_stay(address):
    assert ADDRESSES.text(address) == address


def test_addresses_inside_addresses_are_mapped_alike():
    inner = ADDRESSES.packed(ipaddress.ip_address("81.2.69.142").packed)
    assert ADDRESSES.packed(ipaddress.ip_address("::ffff:81.2.69.142").packed)[12:] == inner
    assert ADDRESSES.packed(ipaddress.ip_address("64:ff9b::81.2.69.142").packed)[12:] == inner


def test_another_key_maps_otherwise_and_the_same_key_alike():
    again, other = AddressMap(KEY, RANGES), AddressMap(KEY[::-1], RANGES)
    addresses = [f"81.2.{n}.142" for n in range(20)]
    assert [again.text(a) for a in addresses] == [ADDRESSES.text(a) for a in addresses]
    assert [other.text(a) for a in addresses] != [ADDRESSES.text(a) for a in addresses]


@pytest.mark.parametrize("pattern", read_patterns(), ids=lambda p: f"{p.endpoint_id}-{p.region_code}-{p.host[:12]}")
def test_role_and_region_of_every_known_endpoint_survive(pattern):
    host = pattern.host.replace("{region}", "eu-west-2").replace("{bucket}", "acme-files")
    host = host.replace("{alias}", "acme").replace("{instance_id}", "0123-4567")
    host = re.sub(r"(^|\.)\*\.", r"\1acme.", host).replace("*", "1a")
    mapped = NAMES.host(host.encode()).decode()
    assert "acme" not in mapped
    assert "0123" not in mapped
    assert len(mapped) == len(host)
    ends = (None, pattern.port, pattern.transport)
    assert identify(mapped, *ends) == identify(host, *ends)


@pytest.mark.parametrize(
    "name",
    [
        "connect.eu-west-2.amazonaws.com",
        "s3.amazonaws.com",
        "s3-eu-west-1.amazonaws.com",
        "dynamodb.us-east-1.amazonaws.com",
        "TurnNlb-d76454ac48d20c1e.elb.us-east-1.amazonaws.com",
        "participant.connect.ap-southeast-2.amazonaws.com",
        "console.aws.amazon.com",
    ],
)
def test_names_that_are_awss_own_stay(name):
    assert NAMES.host(name.encode()).decode() == name


@pytest.mark.parametrize(
    "name",
    [
        b"intranet.acme.example",
        b"connect.my.connect.aws",
        b"acme.awsapps.com",
        b"s3.acme.example",
        b"acme-lb-1.eu-west-2.elb.amazonaws.com",
        b"amazonaws.com.acme.example",
        b"laptop-of-jane",
    ],
)
def test_names_that_a_customer_chose_are_mapped(name):
    first = name.split(b".")[0]
    mapped = NAMES.host(name)
    assert mapped.split(b".")[0] != first
    assert len(mapped) == len(name)
    assert b"acme" not in mapped.replace(b"amazon", b"")


def test_the_same_label_is_mapped_alike_everywhere_whatever_its_case():
    assert NAMES.host(b"a.ACME.example").split(b".")[1] == NAMES.host(b"b.acme.test").split(b".")[1]


def test_a_hardware_address_hides_its_maker_and_stays_the_same_device():
    mapping = Mapping(KEY, RANGES)
    mapped = mapping.mac(bytes.fromhex("001b21aabbcc"))
    assert mapped == mapping.mac(bytes.fromhex("001b21aabbcc"))
    assert mapped[:3] != bytes.fromhex("001b21")
    assert mapped[0] & 3 == 2
    assert mapping.mac(b"\xff" * 6) == b"\xff" * 6
    assert mapping.mac(bytes.fromhex("3333ff123456")) == bytes.fromhex("333300000000")


def test_a_new_key_is_made_for_its_owner_alone_and_is_read_again(tmp_path):
    place = tmp_path / "client.key"
    key = read_key(place)
    assert len(key) == 32
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert read_key(place) == key


@pytest.mark.parametrize("content", [b"", b"secret", b"\xff\xfe", b"00" * 31])
def test_a_file_that_is_no_key_is_refused_and_left_alone(tmp_path, content):
    place = tmp_path / "client.key"
    place.write_bytes(content)
    with pytest.raises(CaptureError, match="64 hexadecimal digits"):
        read_key(place)
    assert place.read_bytes() == content
