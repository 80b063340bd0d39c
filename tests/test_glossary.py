"""The glossary says what tables.py says, and names keep the rules that it gives."""

import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ccp_assess.tables import COLUMNS, LAYOUTS, header

ROOT = Path(__file__).resolve().parents[1]
GLOSSARY = ROOT / "docs" / "glossary.md"
TOOL: dict[str, Any] = runpy.run_path(str(ROOT / "tools" / "write_glossary.py"))

UNITS = {
    "ms": "ms",
    "pct": "%",
    "km": "km",
    "hz": "Hz",
    "mbps": "Mbit/s",
    "ppm": "ppm",
}
COUNTS_AND_RATIOS = {"burst_ratio", "r_factor", "mos_cqe", "latitude", "longitude"}


def words_of_the_glossary() -> Iterator[tuple[str, str]]:
    for line in GLOSSARY.read_text(encoding="utf-8").partition("## Columns")[0].splitlines():
        match = re.match(r"\| ([^|]+) \| ([^|]+) \|", line)
        if match and match[1] not in ("term", "---"):
            yield match[1], match[2]


def test_the_glossary_is_what_the_tool_makes_of_tables_py() -> None:
    text = GLOSSARY.read_text(encoding="utf-8")
    assert text == TOOL["glossary_text"](text), "run: python tools/write_glossary.py"


@pytest.mark.parametrize("column", COLUMNS.values(), ids=lambda column: column.name)
def test_the_last_word_of_a_numeric_name_is_its_unit(column: Any) -> None:
    ending = column.name.rpartition("_")[2]
    if column.kind == "number" and column.name not in COUNTS_AND_RATIOS:
        assert column.unit == UNITS[ending]
    if column.kind in ("text", "flag"):
        assert ending not in UNITS
        assert not column.unit


@pytest.mark.parametrize("column", COLUMNS.values(), ids=lambda column: column.name)
def test_every_column_has_a_label_and_a_meaning_of_one_sentence(column: Any) -> None:
    assert column.label[0].isupper()
    assert column.meaning.endswith(".")


def test_labels_are_unique_so_that_no_header_means_two_things() -> None:
    labels = [column.header for column in COLUMNS.values()]
    assert len(set(labels)) == len(labels)


def test_clients_tables_use_columns_that_are_explained() -> None:
    for layout in LAYOUTS.values():
        assert set(layout.columns) <= set(COLUMNS)
        assert set(layout.required) <= set(layout.columns)
        assert all(set(way) <= set(layout.columns) for way in layout.location)
        assert all(len(example) == len(layout.columns) for example in layout.examples)


def test_headers_carry_the_unit_and_unknown_columns_keep_their_name() -> None:
    assert header("rtt_p95_ms") == "Round trip p95 [ms]"
    assert header("our own") == "our own"


def test_each_name_that_the_glossary_gives_is_in_the_code() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "ccp_assess").rglob("*.py"))
    known = set(re.findall(r"^(?:class )?([A-Z]\w+)", sources, flags=re.MULTILINE))
    named = [name for _, code in words_of_the_glossary() for name in re.findall(r"`([A-Z]\w+)", code)]
    assert len(named) > 20
    assert not set(named) - known
