"""The page that holds the ranking against plain enumeration is true today."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_random_clients_lie_within_the_bars_of_the_page():
    spec = importlib.util.spec_from_file_location("validate_selection", ROOT / "tools" / "validate_selection.py")
    tool = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = tool  # its dataclass looks itself up
    spec.loader.exec_module(tool)
    worst = tool.compare()
    for what, bar in tool.BARS.items():
        assert worst.compared[what] >= 18
        assert worst.found[what] <= bar, what
    written = tool.PAGE.read_text(encoding="utf-8")
    assert all(what in written for what in tool.BARS)
