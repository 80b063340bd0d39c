"""The corpus that fuzzing kept: every input that ever reached a new line, again and cut at every place."""

import importlib.util
import random
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("fuzz_parsers", ROOT / "tools" / "fuzz_parsers.py")
fuzzing = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(fuzzing)


@pytest.mark.parametrize("name", fuzzing.PARSERS)
def test_every_kept_input_and_every_cut_of_it_is_read_or_refused(name):
    kept = [path.read_bytes() for path in sorted((fuzzing.CORPUS / name).glob("*"))]
    for data in [*fuzzing.SEEDS, *kept]:
        for size in {*range(0, len(data), max(1, len(data) // 40)), len(data)}:
            try:
                fuzzing.PARSERS[name](data[:size])
            except fuzzing.ParseError as error:
                assert str(error)  # noqa: PT017 -- reading without an error is right too


def test_the_fuzzer_finds_a_planted_fault(tmp_path, monkeypatch):
    def broken(data):
        if data[:1] == b"\xff":
            raise IndexError("planted")

    monkeypatch.setitem(fuzzing.PARSERS, "planted", broken)
    rng = random.Random(0)
    assert len({fuzzing.mutated(b"abc", [b"xyz"], rng) for _ in range(50)}) > 25
    *_, crashes = fuzzing.fuzz("planted", 3.0, 1, tmp_path)
    assert crashes
    assert crashes[0].read_bytes()[:1] == b"\xff"
