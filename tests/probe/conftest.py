"""The bench (a WAN in network namespaces, tools/bench_wan) for tests of probing."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from bench_wan import missing_for_bench


@pytest.fixture(scope="session")
def bench_needs():
    """Skip where the bench cannot be made: without root, or without one of its programs (in CI a failure)."""
    lacking = missing_for_bench()
    if lacking:
        pytest.skip(lacking)
