"""Fuzz everything that reads hostile bytes, for a bounded time; what breaks is kept in fuzz-corpus.

    python tools/fuzz.py --seconds 120 [--only formats]

Inputs are mutations of seeds and of what broke before. A target is a function of bytes that raises nothing but
`CcpAssessError`. Targets of the parsers are found in `tools/fuzz_targets.py` if it is there:
`TARGETS: dict[str, Callable[[bytes], object]]`, `SEEDS: dict[str, list[bytes]]`.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from ccp_assess.capture.scan import scan
from ccp_assess.errors import CcpAssessError

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "fuzz-corpus"
SHARED = ROOT.parent / "shared" / "captures"
LARGEST_SEED = 60_000
SLOW_S = 5.0

Target = Callable[[bytes], object]


def formats_target(folder: Path) -> Target:
    """Read the bytes as a capture: every format, link layer and compiled loop is behind this."""
    path = folder / "capture"

    def target(data: bytes) -> object:
        path.write_bytes(data)
        result = scan(path, workers=1)
        for datagram in result.datagrams:
            result.flows[datagram.flow]
        return result

    return target


def format_seeds() -> list[bytes]:
    """Give captures made by hand in the tests, and small real ones where they stand beside the checkout."""
    sys.path.insert(0, str(ROOT / "tests" / "capture"))
    from test_scan_robust import synthetic_captures  # noqa: PLC0415

    seeds = list(synthetic_captures().values())
    if SHARED.is_dir():
        seeds += [
            path.read_bytes()
            for path in sorted(SHARED.glob("*/*"))
            if path.is_file() and path.stat().st_size <= LARGEST_SEED
        ]
    return seeds


def other_targets() -> tuple[dict[str, Target], dict[str, list[bytes]]]:
    """Load the parsers' own targets."""
    path = Path(__file__).with_name("fuzz_targets.py")
    if not path.exists():
        return {}, {}
    spec = importlib.util.spec_from_file_location("fuzz_targets", path)
    if spec is None or spec.loader is None:
        return {}, {}
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return dict(module.TARGETS), dict(module.SEEDS)


def mutated(seed: bytes, other: bytes, rng: random.Random) -> bytes:
    """Change some bytes: flips, numbers that matter, cuts, repeats, pieces of another seed."""
    data = bytearray(seed)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(7):
            case 0 if data:
                data[at % len(data)] ^= 1 << rng.randrange(8)
            case 1 if data:
                data[at % len(data)] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            case 2:
                value = rng.choice((0, 1, 0xFFFF, 0x7FFF, 0x8000, rng.randrange(65536)))
                data[at : at + 2] = value.to_bytes(2, rng.choice(("big", "little")))
            case 3:
                value = rng.choice((0, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, rng.randrange(1 << 32)))
                data[at : at + 4] = value.to_bytes(4, rng.choice(("big", "little")))
            case 4:
                del data[at : at + rng.randrange(1, 40)]
            case 5:
                data[at:at] = data[at : at + rng.randrange(1, 80)]
            case _ if other:
                begin = rng.randrange(len(other))
                data[at:at] = other[begin : begin + rng.randrange(1, 80)]
    return bytes(data[: 4 * LARGEST_SEED])


def attempt(name: str, target: Target, data: bytes) -> bool:
    """Run a target once; keep and show what breaks it."""
    begin = time.perf_counter()
    try:
        target(data)
    except CcpAssessError:
        pass
    except Exception:  # noqa: BLE001  (this is what is looked for)
        keep(name, data)
        traceback.print_exc()
        return False
    if time.perf_counter() - begin > SLOW_S:
        keep(name, data)
        print(f"{name}: took longer than {SLOW_S} s")
        return False
    return True


def keep(name: str, data: bytes) -> None:
    """Put an input into the corpus."""
    CORPUS.mkdir(exist_ok=True)
    path = CORPUS / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    print(f"kept {path}")


def fuzz(name: str, target: Target, seeds: list[bytes], seconds: float, rng: random.Random) -> int:
    """Try a target for some time; return how many inputs broke it."""
    seeds = seeds + [path.read_bytes() for path in sorted(CORPUS.glob(f"{name}-*"))] or [b""]
    broken = sum(not attempt(name, target, seed) for seed in seeds)
    tried = len(seeds)
    stop = time.monotonic() + seconds
    while time.monotonic() < stop:
        broken += not attempt(name, target, mutated(rng.choice(seeds), rng.choice(seeds), rng))
        tried += 1
    print(f"{name}: {tried} inputs, {broken} broke it")
    return broken


def main() -> None:
    parser = argparse.ArgumentParser(description="Fuzz the readers of hostile bytes.")
    parser.add_argument("--seconds", type=float, default=120.0, help="for all targets together")
    parser.add_argument("--only", action="append", help="name of a target; may be given several times")
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    print(f"seed {seed}")
    targets, seeds = other_targets()
    with tempfile.TemporaryDirectory() as folder:
        targets["formats"] = formats_target(Path(folder))
        seeds["formats"] = format_seeds()
        chosen = {name: target for name, target in targets.items() if not options.only or name in options.only}
        share = options.seconds / max(len(chosen), 1)
        broken = sum(
            fuzz(name, target, seeds.get(name, [b""]), share, random.Random(f"{seed}{name}"))
            for name, target in chosen.items()
        )
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
