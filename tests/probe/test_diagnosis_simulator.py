"""The whole list of diagnoses in virtual time: the code that measures real networks, on networks whose truth is known.

Each seed draws a scenario's Regions, distances, hops and details. Every verdict must be right at the first try.
"""

import time

import pytest
from diagnosis_scenarios import SCENARIOS, play
from virtual_world import World

from ccp_assess.probe.diagnoses import read_diagnoses

THOUSAND = 20 * len(SCENARIOS)


def test_every_diagnosis_of_the_list_is_played_by_some_scenario():
    played = set()
    for seed in range(len(SCENARIOS)):
        expected, _ = SCENARIOS[seed](World(seed=seed))
        played |= set(expected)
    # A Region without a known relay is a fact of the tables, not of a network; it has a test of its own.
    assert set(read_diagnoses()) - played == {"NO_RELAY_NAME"}


@pytest.mark.parametrize("number", range(len(SCENARIOS)), ids=[one.__name__ for one in SCENARIOS])
def test_what_is_said_is_what_is_true(number):
    for turn in range(3):
        assert play(number + turn * len(SCENARIOS)) == []


@pytest.mark.long
def test_a_thousand_scenarios_are_all_judged_right_without_a_second_try():
    began = time.process_time()
    wrong = [problem for seed in range(THOUSAND) for problem in play(seed)]
    print(f"{THOUSAND} scenarios in {time.process_time() - began:.1f} s of processor time")
    assert wrong == []
