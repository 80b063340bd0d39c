"""JSON of files that were cut, joined or damaged."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccp_assess.errors import ParseError
from ccp_assess.witnesses.json_values import parse_values, read_text

DOCUMENT = {"a": [1, 2, {"b": 'x,}"]'}], "c": {"d": None, "e": [[], {}]}, "f": "z"}


def test_a_document_cut_anywhere_keeps_what_is_whole() -> None:
    text = json.dumps(DOCUMENT, indent=1)
    for end in range(2, len(text)):
        values, cut = parse_values(text[:end], "x")
        assert cut
        assert set(values[0]) <= set(DOCUMENT)


def test_values_come_one_after_the_other_or_one_a_line() -> None:
    for between in ("", "\n", " ,\n", "\x1e"):
        assert parse_values(between.join(['{"a": 1}', "[2]", '{"b": 3}']), "x") == ([{"a": 1}, [2], {"b": 3}], False)


@pytest.mark.parametrize(
    ("text", "place"), [("{'a': 1}", "line 1, column 2"), ('{"a": 1,\n "b": x, "c": 2}', "line 2, column 7")]
)
def test_what_is_broken_is_named_with_its_place(text: str, place: str) -> None:
    with pytest.raises(ParseError, match=f"x: no JSON at {place}"):
        parse_values(text, "x")


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(ParseError, match="nested deeper"):
        parse_values("[" * 100_000, "x")


@given(st.text(max_size=200))
def test_no_text_ends_in_anything_but_values_or_one_sentence(text: str) -> None:
    try:
        parse_values(text, "x")
    except ParseError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either way is right


def test_a_packed_file_that_was_cut_is_unpacked_as_far_as_it_goes(tmp_path: Path) -> None:
    packed = gzip.compress(json.dumps(list(range(100_000))).encode())
    (tmp_path / "x.gz").write_bytes(packed[: len(packed) // 2])
    values, cut = parse_values(read_text(tmp_path / "x.gz"), "x")
    assert cut
    assert values[0][:3] == [0, 1, 2]
    assert len(values[0]) > 1000
