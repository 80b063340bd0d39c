"""Units: what belongs together is read together, and nothing else is."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccp_assess.fleet.sources import SourceFile, place_of
from ccp_assess.fleet.units import COPIED_BYTES, SILENCE_NS, Span, Unit, plan_units


def file(path: str, site: str = "LIS") -> SourceFile:
    return SourceFile(client="acme", site_id=site, kind="captures", path=path, size=1, stamp="1")


def test_files_that_follow_each_other_are_one_unit_and_a_night_divides() -> None:
    files = [file("a"), file("b"), file("c")]
    spans = {
        "a": Span(first_ns=0, last_ns=10),
        "b": Span(first_ns=11, last_ns=20),
        "c": Span(first_ns=21 + SILENCE_NS, last_ns=30 + SILENCE_NS),
    }
    assert [[f.path for f in unit.files] for unit in plan_units(files, spans)] == [["a", "b"], ["c"]]


def test_a_long_file_reaches_over_shorter_ones() -> None:
    files = [file("long"), file("short"), file("late")]
    spans = {
        "long": Span(first_ns=0, last_ns=9 * SILENCE_NS),
        "short": Span(first_ns=1, last_ns=2),
        "late": Span(first_ns=9 * SILENCE_NS + 1, last_ns=None),
    }
    assert len(plan_units(files, spans)) == 1


def test_sites_never_share_a_unit() -> None:
    files = [file("a", "LIS"), file("b", "OPO")]
    spans = {"a": Span(first_ns=0, last_ns=5), "b": Span(first_ns=0, last_ns=5)}
    assert len(plan_units(files, spans)) == 2


def test_files_found_to_share_a_stream_are_read_together_over_any_silence() -> None:
    files = [file("a"), file("b"), file("c")]
    spans = {name: Span(first_ns=number * 9 * SILENCE_NS, last_ns=None) for number, name in enumerate("abc")}
    units = plan_units(files, spans, [frozenset({"a", "c"})])
    assert sorted([f.path for f in unit.files] for unit in units) == [["a", "c"], ["b"]]


times = st.integers(0, 40).map(lambda hours: hours * SILENCE_NS // 2)


@given(st.lists(st.tuples(times, times), max_size=12))
def test_every_file_is_in_one_unit_and_units_are_silent_between(pairs: list[tuple[int, int]]) -> None:
    files = [file(f"f{number}") for number in range(len(pairs))]
    spans = {f"f{number}": Span(first_ns=first, last_ns=first + length) for number, (first, length) in enumerate(pairs)}
    units = plan_units(files, spans)
    assert sorted(f.path for unit in units for f in unit.files) == sorted(f.path for f in files)
    reach = [
        (min(spans[f.path].first_ns or 0 for f in unit.files), max(spans[f.path].last_ns or 0 for f in unit.files))
        for unit in units
    ]
    reach.sort()
    for (_, end), (begin, _) in pairwise(reach):
        assert begin - end > SILENCE_NS


@given(st.lists(st.tuples(times, times), max_size=10))
def test_knowing_ends_only_ever_joins(pairs: list[tuple[int, int]]) -> None:
    files = [file(f"f{number}") for number in range(len(pairs))]
    known = {f"f{n}": Span(first_ns=first, last_ns=first + length) for n, (first, length) in enumerate(pairs)}
    guessed = {name: Span(first_ns=span.first_ns, last_ns=None) for name, span in known.items()}
    final = [{f.path for f in unit.files} for unit in plan_units(files, known)]
    for unit in plan_units(files, guessed):
        assert any({f.path for f in unit.files} <= group for group in final)


def test_the_key_changes_with_the_stamp_of_any_file() -> None:
    span = {"a": Span(first_ns=0, last_ns=0)}
    (one,) = plan_units([file("a")], span)
    changed = SourceFile(client="acme", site_id="LIS", kind="captures", path="a", size=1, stamp="2")
    (two,) = plan_units([changed], span)
    assert one.key != two.key


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("captures/LIS/a.pcap", ("root", "LIS", "captures")),
        ("captures/LIS__a.pcapng.gz", ("root", "LIS", "captures")),
        ("captures/a.pcap", ("root", "unknown", "captures")),
        ("acme/captures/LIS/deep/a.pcap", ("acme", "LIS", "captures")),
        ("acme/probes/LIS/a.json", ("acme", "LIS", "probes")),
        ("acme/sites.csv", ("acme", "unknown", "sites")),
        ("LIS/a.pcap", ("root", "LIS", "captures")),
        ("LIS__a.pcap", ("root", "LIS", "captures")),
        ("LIS/readme.md", None),
        ("captures/LIS/.DS_Store", None),
        ("acme/probes/LIS/a.png", None),
    ],
)
def test_layouts(path: str, told: object) -> None:
    assert place_of(path, "root") == told


def test_a_large_unit_is_read_in_parts_and_one_of_a_bucket_before_it_would_fill_the_disk_of_a_worker() -> None:
    def is_for_parts(size: int, part_bytes: int, kind: str = "captures", *, is_local: bool = True) -> bool:
        unit = Unit(files=(replace(file("a"), size=size, kind=kind),))
        return unit.is_for_parts(part_bytes, is_local=is_local)

    assert is_for_parts(1_001, 1_000)
    assert not is_for_parts(1_000, 1_000)
    assert not is_for_parts(1_001, 1_000, "probes")
    assert not is_for_parts(COPIED_BYTES + 1, 4 * COPIED_BYTES)
    assert is_for_parts(COPIED_BYTES + 1, 4 * COPIED_BYTES, is_local=False)
    assert is_for_parts(1_001, 1_000, is_local=False)
