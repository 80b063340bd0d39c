"""What `tools/fuzz.py` needs of the parsers: each with the inputs that coverage-guided fuzzing kept."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_PATH = Path(__file__).with_name("fuzz_parsers.py")
_SPEC = importlib.util.spec_from_file_location("fuzz_parsers", _PATH)
if _SPEC is None or _SPEC.loader is None:
    sys.exit(f"{_PATH.name} cannot be loaded")
_parsers = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_parsers)

TARGETS = dict(_parsers.PARSERS)
SEEDS = {
    name: [seed for seed in _parsers.SEEDS if seed]
    + [path.read_bytes() for path in sorted((_parsers.CORPUS / name).glob("*")) if path.stat().st_size]
    for name in TARGETS
}
