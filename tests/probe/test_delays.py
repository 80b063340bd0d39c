"""Where the delay lies, and who owns a hop."""

import gzip
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccp_assess.errors import TableError
from ccp_assess.paths import Hop, Path
from ccp_assess.probe.asn import AutonomousSystem, read_asn_table
from ccp_assess.probe.delays import isotonic, split_delay
from ccp_assess.probe.traced import ProbedPath, Target
from ccp_assess.ranges import read_ranges

RELAY = "15.193.5.77"  # in the published range of eu-west-2


def path_of(*hops, answered=True):
    rows = tuple(
        Hop(ttl=ttl, address=address, sent=3, received=0 if ms is None else 3, rtt_min_ms=ms)
        for ttl, (address, ms) in enumerate(hops, start=1)
    )
    return Path(technique="udp", hops=rows, destination_answered=answered, hop_count=len(rows) if answered else None)


def parts_of(path, **more):
    split = split_delay(path, read_ranges(), **more)
    return {part.name: (part.ms, part.low_ms, part.high_ms) for part in split.parts}, split.total_ms


def test_each_part_gets_its_share_of_the_round_trip():
    path = path_of(
        ("192.168.1.1", 2.0), ("10.0.0.1", 4.0), ("203.0.113.1", 12.0), ("198.51.100.9", 30.0),
        ("52.94.33.1", 31.0), (RELAY, 40.0),
    )  # fmt: skip
    parts, total = parts_of(path, asn_of=lambda address: 16509 if address.startswith("52.") else 64500)
    assert parts["first_hop"][0] == 2.0
    assert total == 40.0
    assert parts["aws"][0] == pytest.approx(9.0)
    exact = [ms for ms, _, _ in parts.values()]
    assert sum(exact) == pytest.approx(total)


def test_a_hop_that_answers_slowly_makes_no_negative_part():
    path = path_of(("192.168.1.1", 1.0), ("8.8.4.4", 90.0), ("8.8.8.8", 20.0), (RELAY, 30.0))
    parts, total = parts_of(path)
    assert total == 30.0
    assert all(low >= 0 and high >= low for _, low, high in parts.values())
    assert all(ms is None or ms >= 0 for ms, _, _ in parts.values())


def test_a_silent_border_gives_bounds_and_no_number():
    path = path_of(
        ("192.168.1.1", 1.0), ("8.8.8.8", 10.0), (None, None), ("52.94.33.1", 25.0), (RELAY, 30.0)
    )  # fmt: skip
    parts, _ = parts_of(path, asn_of=lambda address: 16509 if address.startswith("52.") else 15169)
    assert parts["provider"] == (None, pytest.approx(0.0), pytest.approx(15.0))
    assert parts["aws"] == (None, pytest.approx(5.0), pytest.approx(20.0))


def test_a_silent_gateway_leaves_the_first_hop_between_bounds():
    parts, _ = parts_of(path_of((None, None), ("8.8.8.8", 10.0), ("52.94.33.1", 25.0), (RELAY, 30.0)))
    assert parts["first_hop"] == (None, 0.0, 10.0)


def test_private_addresses_behind_the_provider_are_not_the_site():
    path = path_of(("192.168.1.1", 1.0), ("8.8.8.8", 10.0), ("10.9.9.9", 20.0), (RELAY, 30.0))
    parts, _ = parts_of(path)
    assert parts["edge"][0] == pytest.approx(9.0)


def test_addresses_of_documentation_and_of_benchmarks_stand_outside_as_on_a_bench():
    path = path_of(("192.168.1.1", 2.0), ("198.18.0.1", 6.0), ("203.0.113.9", 30.0), (RELAY, 40.0))
    parts, _ = parts_of(path)
    assert parts["edge"][0] == pytest.approx(4.0)
    assert (parts["provider"][0], parts["aws"][0]) == (None, None)
    assert parts["provider"][2] == pytest.approx(34.0)


def test_a_site_next_to_the_relay_leaves_the_border_open():
    parts, total = parts_of(path_of(("192.168.1.1", 2.0), ("10.0.0.1", 5.0), (RELAY, 40.0)))
    assert parts["first_hop"][0] == 2.0
    assert parts["edge"] == (None, pytest.approx(3.0), pytest.approx(38.0))
    assert total == 40.0


def test_a_way_without_an_end_has_no_parts():
    parts, total = parts_of(path_of(("192.168.1.1", 1.0), answered=False))
    assert total is None
    assert set(parts.values()) == {(None, None, None)}


@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=30))
def test_the_fit_rises_keeps_the_mean_and_leaves_rising_values_alone(values):
    fitted = isotonic(values, [1.0] * len(values))
    assert all(before <= after + 1e-9 for before, after in pairwise(fitted))
    assert sum(fitted) == pytest.approx(sum(values), abs=1e-6)
    assert isotonic(sorted(values), [1.0] * len(values)) == sorted(values)


# ---------------------------------------------------------------- owners


def written(tmp_path, content, name="table.csv"):
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def test_the_innermost_prefix_owns_an_address(tmp_path):
    table = read_asn_table(
        written(tmp_path, "prefix,asn,name\n8.0.0.0/8,3356,Lumen\n8.8.8.0/24,AS15169,Google\n2001:db8::/32,64500,Doc\n")
    )
    assert table.find("8.8.8.8") == AutonomousSystem(15169, "Google")
    assert table.find("8.8.9.1") == AutonomousSystem(3356, "Lumen")
    assert table.find("8.8.7.255").number == 3356
    assert table.find("9.0.0.0") is None
    assert table.find("2001:db8::1").number == 64500
    assert table.find("::1") is None
    assert table.find("no address") is None


def test_ranges_of_addresses_tabs_semicolons_and_gzip_are_read(tmp_path):
    ranges = "1.0.0.0\t1.0.0.255\t13335\tUS\tCLOUDFLARENET\n1.0.1.0\t1.0.3.255\t0\tNone\tNot routed\n"
    table = read_asn_table(written(tmp_path, gzip.compress(ranges.encode()), "ip2asn.tsv.gz"))
    assert table.find("1.0.0.77") == AutonomousSystem(13335, "CLOUDFLARENET")
    assert table.find("1.0.1.1") is None
    other = read_asn_table(written(tmp_path, "\ufeff# ours\nPrefix;ASN;Name\n10.0.0.0/8;64512;Head office\n"))
    assert other.find("10.1.2.3") == AutonomousSystem(64512, "Head office")


def test_hops_get_their_numbers(tmp_path):
    table = read_asn_table(written(tmp_path, "10.0.0.0/8,64512,Ours\n"))
    probed = ProbedPath(
        target=Target(address=RELAY), path=path_of(("10.0.0.1", 1.0), (None, None), (RELAY, 9.0)), one_flow=True
    )
    assert [hop.asn for hop in table.name_hops(probed).path.hops] == [64512, None, None]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "holds no row"),
        ("prefix,asn,name\n", "holds no row"),
        ("8.8.8.0/24,Google\n", "row 1: no AS number"),
        ("8.8.8.0/24,15169,Google\nnonsense 9,1,x\n", "row 2: 'nonsense 9' is no prefix"),
        ("1.0.0.9\t1.0.0.1\t1\tUS\tX\n", "is no block"),
        (b"\x1f\x8bdamaged", "damaged gzip"),
        (b"\xab\xcd\xefMaxMind.com", "MaxMind"),
    ],
)
def test_a_wrong_table_gives_one_sentence_with_its_place(tmp_path, content, said):
    with pytest.raises(TableError, match=said):
        read_asn_table(written(tmp_path, content))


def test_a_table_that_is_not_there_says_so(tmp_path):
    with pytest.raises(TableError, match="cannot be read"):
        read_asn_table(tmp_path / "missing.csv")
