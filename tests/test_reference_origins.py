"""Every shipped fact says where it comes from."""

import csv
from importlib import resources

import pytest

REFERENCE = resources.files("ccp_assess.reference")
FILES = sorted(item.name for item in REFERENCE.iterdir() if not item.name.startswith(("__", "README", ".")))


@pytest.mark.parametrize("name", FILES)
def test_the_readme_tells_the_origin_of_every_file(name):
    readme = REFERENCE.joinpath("README.md").read_text(encoding="utf-8")
    assert f"`{name}`" in readme


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".csv")])
def test_every_row_has_a_source_and_a_day(name):
    rows = list(csv.DictReader(REFERENCE.joinpath(name).read_text(encoding="utf-8").splitlines()))
    assert rows
    for row in rows:
        assert row["source"], row
        assert row["retrieved"] >= "2020-01-01", row
