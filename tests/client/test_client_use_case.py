"""`[client] use_case`: what the instance is for."""

from __future__ import annotations

import pytest

from ccp_assess.client.settings import settings_from_text
from ccp_assess.errors import TableError
from ccp_assess.selection.journeys import USE_CASES


def test_voice_is_what_it_is_for_if_nothing_is_said():
    assert settings_from_text("").use_case == "voice"
    assert settings_from_text('[client]\nuse_case = ""').use_case == "voice"


@pytest.mark.parametrize("name", USE_CASES)
def test_every_use_case_can_be_given(name):
    assert settings_from_text(f'[client]\nuse_case = "{name}"').use_case == name


def test_other_spellings_of_a_use_case_are_understood():
    assert settings_from_text('[client]\nuse_case = "Telephone-only"').use_case == "telephone_only"


def test_an_unknown_use_case_is_refused_with_its_line_and_the_known_ones():
    with pytest.raises(TableError, match=r"client\.toml.*2.*'voip'.*did you mean voice.*media_less"):
        settings_from_text('[client]\nuse_case = "voip"')


def test_the_sheet_of_the_questionnaire_counts_where_the_file_says_nothing():
    assert settings_from_text("", defaults={"client": {"use_case": "chat"}}).use_case == "chat"
