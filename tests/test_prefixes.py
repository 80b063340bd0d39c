"""Address arithmetic held against the standard library, which is slower but right."""

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccp_assess.errors import ParseError
from ccp_assess.prefixes import (
    Prefix,
    collapse,
    contains,
    count,
    intersect,
    parse_address,
    parse_prefix,
    prefixes_of,
    spans_of,
    subtract,
    union,
)

SPANS = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 40)), max_size=12).map(
    lambda pairs: union((first, first + more) for first, more in pairs)
)
PREFIXES = st.lists(
    st.one_of(
        st.tuples(st.just(4), st.integers(0, 2**32 - 1), st.integers(0, 32)),
        st.tuples(st.just(6), st.integers(0, 2**128 - 1), st.integers(0, 128)),
    ),
    max_size=25,
)


def members(spans: tuple[tuple[int, int], ...]) -> set[int]:
    return {value for first, last in spans for value in range(first, last + 1)}


@given(SPANS, SPANS)
def test_difference_and_intersection_are_those_of_sets(
    one: tuple[tuple[int, int], ...], other: tuple[tuple[int, int], ...]
) -> None:
    assert members(subtract(one, other)) == members(one) - members(other)
    assert members(intersect(one, other)) == members(one) & members(other)
    assert count(one) == len(members(one))


@given(SPANS, st.integers(0, 350), st.integers(0, 20))
def test_a_run_is_held_only_if_each_of_its_addresses_is(
    spans: tuple[tuple[int, int], ...], first: int, more: int
) -> None:
    assert contains(spans, first, first + more) == (set(range(first, first + more + 1)) <= members(spans))


@settings(deadline=None)
@given(PREFIXES)
def test_collapsing_agrees_with_the_standard_library(rows: list[tuple[int, int, int]]) -> None:
    networks = [
        ipaddress.ip_network((value, length), strict=False)
        if version == 4
        else ipaddress.IPv6Network((value, length), strict=False)
        for version, value, length in rows
    ]
    ours = collapse([parse_prefix(str(network)) for network in networks])
    theirs = [
        str(network)
        for version in (4, 6)
        for network in ipaddress.collapse_addresses([n for n in networks if n.version == version])
    ]
    assert [prefix.text for prefix in ours] == theirs


def test_two_halves_are_the_whole() -> None:
    halves = [parse_prefix("15.193.5.0/25"), parse_prefix("15.193.5.128/25")]
    assert [prefix.text for prefix in collapse(halves)] == ["15.193.5.0/24"]


def test_the_whole_of_both_address_families_is_one_block() -> None:
    for text in ("0.0.0.0/0", "::/0"):
        whole = parse_prefix(text)
        assert prefixes_of(spans_of([whole], whole.version), whole.version) == (whole,)


def test_bits_beyond_the_length_are_refused_or_cleared() -> None:
    with pytest.raises(ParseError, match=r"did you mean 10\.0\.0\.0/8"):
        parse_prefix("10.1.0.0/8")
    assert parse_prefix("10.1.0.0/8", strict=False) == Prefix(4, 10 << 24, 8)


@pytest.mark.parametrize(
    "text",
    ["", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.4/33", "1.2.3.4/", "::1/129", "::1/x", "fe80::1%eth0", "+1.2.3.4"],
)
def test_what_is_no_block_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        parse_prefix(text)


def test_a_block_is_no_address() -> None:
    with pytest.raises(ParseError, match="one address"):
        parse_address("10.0.0.0/8")
