"""Fuzz one parser with atheris (libFuzzer), guided by the coverage of its bytecode.

    python tools/fuzz_atheris.py PARSER --seconds 60

`tools/fuzz_parsers.py` starts it, once for each parser: libFuzzer ends its process. What it finds goes into a folder
of its own; inputs that reach lines never reached before are then kept in tests/vectors/fuzz/PARSER/.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["ccp_assess"]):
    import fuzz_parsers

MOST_BYTES_EACH = 1 << 30
SLOW_S = 5


def main() -> None:
    """Fuzz the parser named on the command line."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("parser", choices=list(fuzz_parsers.PARSERS))
    options.add_argument("--seconds", type=int, default=60)
    options.add_argument("--found", type=Path, help="folder for what is found; made if it is missing")
    chosen = options.parse_args()
    parser = fuzz_parsers.PARSERS[chosen.parser]

    def target(data: bytes) -> None:
        try:
            parser(data)
        except fuzz_parsers.ParseError as error:
            if not str(error):
                raise ValueError("an error without a sentence") from error

    found = chosen.found or Path(tempfile.mkdtemp(prefix="fuzz-"))
    found.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(fuzz_parsers.SEEDS):
        (found / f"seed-{number}").write_bytes(seed)
    kept = fuzz_parsers.CORPUS / chosen.parser
    if kept.is_dir():
        for path in kept.iterdir():
            shutil.copy(path, found)
    atheris.Setup(
        [
            sys.argv[0],
            str(found),
            f"-max_total_time={chosen.seconds}",
            f"-max_len={fuzz_parsers.MOST_BYTES}",
            f"-timeout={SLOW_S}",
            f"-rss_limit_mb={MOST_BYTES_EACH >> 20}",
            f"-artifact_prefix={found}/crash-",
            "-verbosity=0",
            "-print_final_stats=1",
        ],
        target,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
