import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccp_assess.report import words


@pytest.mark.parametrize("write", [words.ms, words.pct, words.number, words.plain, words.day, words.minute, words.big])
def test_unknown_is_a_word_and_never_zero(write):
    assert write(None) == "unknown"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_unknown(value):
    assert words.ms(value) == "unknown"
    assert words.pct(value) == "unknown"
    assert words.plain(value) == "unknown"


def test_zero_is_zero_and_known():
    assert words.ms(0) == "0\u202fms"
    assert words.pct(0.0, 1) == "0.0\u202f%"


def test_a_small_negative_number_does_not_become_minus_zero():
    assert words.number(-0.01, 1) == "0.0"


def test_a_band_with_one_unknown_end_is_unknown():
    assert words.band([None, 3.0]) == "unknown"
    assert words.band([1.0, 3.0]) == "1 to 3\u202fms"


@given(st.text(max_size=400))
def test_cleaned_text_holds_no_control_and_no_direction_character(text):
    cleaned = words.clean(text)
    assert not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in cleaned)
    assert not set(cleaned) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")
    cleaned.encode("utf-8")


@given(st.text(max_size=400), st.integers(min_value=1, max_value=50))
def test_cleaned_text_keeps_to_its_limit(text, limit):
    assert len(words.clean(text, limit)) <= limit


@pytest.mark.parametrize("text", ["=cmd()", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_formula_becomes_text_for_a_spreadsheet(text):
    assert words.cell_for_spreadsheet(text).startswith("'")
