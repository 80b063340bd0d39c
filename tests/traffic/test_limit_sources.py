"""Every threshold names a source that the client can look up."""

import csv
from importlib import resources

import pytest

from ccp_assess.traffic.limits import read_limits


@pytest.mark.parametrize("table", ["limits.csv", "legs.csv", "codecs.csv"])
def test_no_source_is_a_document_that_the_client_cannot_read(table):
    text = resources.files("ccp_assess.reference").joinpath(table).read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    assert rows
    assert not [row for row in rows if "sheet" in row["source"].lower()]
    assert all(row["source"].strip() for row in rows)


def test_every_limit_has_a_source_and_says_where_it_is_our_own():
    assert all(limit.source and limit.retrieved for limit in read_limits().values())
    assert "own judgement" in read_limits()["hold_ms"].source


def test_what_is_simulated_and_not_measured_never_is_critical():
    assert read_limits()["late_pct"].severity_of(50.0) == "warning"
    assert read_limits()["loss_pct"].severity_of(50.0) == "critical"
