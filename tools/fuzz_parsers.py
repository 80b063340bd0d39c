"""Fuzz the parsers, guided by coverage: whatever bytes come, they return or raise ParseError, and nothing else.

    python tools/fuzz_parsers.py [--seconds 60] [--seed 1] [--engine atheris|plain] [PARSER...]

Inputs that reach lines never reached before are kept in tests/vectors/fuzz/PARSER/, so that the next run (and the
tests) begin where this one ended. An input that breaks a parser is written beside them with the name `crash-…`. Where
atheris (libFuzzer) is installed it makes the inputs, some ten thousand a second; else this file's own mutations do.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from ccp_assess.errors import ParseError
from ccp_assess.traffic.dialogues import Side, read_dialogue
from ccp_assess.traffic.flows import Flow
from ccp_assess.traffic.handshakes import read_handshakes
from ccp_assess.traffic.icmperrors import read_icmp_errors
from ccp_assess.traffic.names import read_lookups, read_quic
from ccp_assess.traffic.relaypaths import RelayPaths
from ccp_assess.wire import certificates, dns, dtls, http, icmp, quic, stun, tls
from ccp_assess.wire.datagram import Datagram

CORPUS = Path(__file__).resolve().parents[1] / "tests" / "vectors" / "fuzz"
MOST_BYTES = 4096


def _dtls(data: bytes) -> None:
    dtls.read_hello([f for r in dtls.parse_records(data) for f in dtls.parse_fragments(r)])


def _quic(data: bytes) -> None:
    quic.InitialReader().feed(data)
    quic.parse_crypto_frames(data)


def _dialogue(data: bytes) -> None:
    middle = len(data) // 2
    read_dialogue(0, Side(data[:middle], (0,), (1,)), Side(data[middle:], (0,), (2,)))


def _stun(data: bytes) -> None:
    stun.check_fingerprint(data)
    stun.check_integrity(data, b"key")
    stun.parse_message(data, length=len(data) + 40, allow_classic=True)


def _datagrams(data: bytes) -> None:
    """Take the bytes as packets of two flows, each with a head that says where it was seen."""
    packets = []
    position = 0
    while position + 4 <= len(data) and len(packets) < 32:
        flags, size = data[position], data[position + 1] | (data[position + 2] & 3) << 8
        payload = data[position + 4 : position + 4 + size]
        packets.append(
            Datagram(
                len(packets) * 20_000_000,
                flags & 1,
                bool(flags & 2),
                payload,
                len(payload) + (flags >> 2 & 1),
                64,
                channel=0x4000 if flags & 8 else 0,
                peer="192.0.2.1:4000" if flags & 16 else None,
            )
        )
        position += 4 + size
    flows = [FLOW, replace(FLOW, b_port=443)]
    read_handshakes(packets, RelayPaths(packets))
    read_quic(flows, packets)
    read_lookups(flows, packets, [])
    read_icmp_errors(flows, packets)


FLOW = Flow(
    **dict.fromkeys(Flow.__dataclass_fields__, 0)
    | {"a": "192.0.2.9", "a_port": 50_000, "b": "192.0.2.53", "b_port": 53, "transport": "udp"}
)

PARSERS: dict[str, Callable[[bytes], Any]] = {
    "stun": _stun,
    "channel_data": stun.parse_channel_data,
    "dtls": _dtls,
    "tls": tls.parse_flight,
    "client_hello": tls.parse_client_hello,
    "server_hello": tls.parse_server_hello,
    "certificate": certificates.parse_certificate,
    "dns": dns.parse_message,
    "quic": _quic,
    "http": http.parse_head,
    "socks": http.parse_socks,
    "icmp4": lambda data: icmp.parse_message(data, version=4),
    "icmp6": lambda data: icmp.parse_message(data, version=6),
    "dialogue": _dialogue,
    "datagrams": _datagrams,
}
"""Name of a parser → what it does with any bytes."""

SEEDS = (
    b"",
    bytes.fromhex("000100002112a442") + bytes(12),
    bytes.fromhex("010100142112a442") + bytes(12) + bytes.fromhex("002000080001a147e112a6430008") + bytes(20),
    bytes.fromhex("16030100050100000103"),
    bytes.fromhex("16fefd0000000000000000001a0100000e000000000000000e") + bytes(14),
    bytes.fromhex("303b3039a003020102020101300d06092a864886f70d01010b0500300e310c300a06035504030c0362"),
    dns.build_query("example.com"),
    b"CONNECT a.example:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n",
    b"\x05\x01\x00\x05\x01\x00\x03\x01a\x01\xbb",
    bytes.fromhex("0303000000000000450000") + bytes(40),
    bytes.fromhex("c300000001080001020304050607000044") + bytes(80),
)
_INTERESTING = (
    b"\x00",
    b"\xff",
    b"\x00\x00",
    b"\xff\xff",
    b"\x7f\xff",
    b"\x00\x00\x00",
    b"\xc0\x0c",
    b"\x2e",
    b"\x30\x82",
)


def kept_inputs(own: Path) -> list[bytes]:
    """Give the inputs that earlier runs kept, without those that broke a parser."""
    return [path.read_bytes() for path in sorted(own.glob("*")) if not path.name.startswith("crash-")]


def mutated(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Change an input in one to four places."""
    result = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        position = rng.randint(0, len(result))
        choice = rng.randrange(7)
        if choice == 0 and result:
            result[position % len(result)] ^= 1 << rng.randrange(8)
        elif choice == 1 and result:
            result[position % len(result)] = rng.randrange(256)
        elif choice == 2:
            result[position:position] = rng.choice(_INTERESTING)
        elif choice == 3:
            del result[position : position + rng.randint(1, 16)]
        elif choice == 4:
            other = rng.choice(others)
            start = rng.randint(0, len(other))
            result[position:] = other[start : start + 256]
        elif choice == 5:
            piece = bytes(result[position : position + rng.randint(1, 32)])
            result[position:position] = piece * rng.randint(1, 8)
        elif result:
            value = rng.choice(_INTERESTING)
            result[position : position + len(value)] = value
    return bytes(result[:MOST_BYTES])


def lines_reached(parser: Callable[[bytes], Any], data: bytes) -> set[tuple[str, int]]:
    """Run a parser and tell which lines of the package it went through."""
    reached: set[tuple[str, int]] = set()

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        if "ccp_assess" not in frame.f_code.co_filename:
            return None
        if event == "line":
            reached.add((frame.f_code.co_filename, frame.f_lineno))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        parser(data)
    except ParseError:
        pass
    finally:
        sys.settrace(before)
    return reached


def fuzz(name: str, seconds: float, seed: int, folder: Path = CORPUS) -> tuple[int, int, list[Path]]:
    """Fuzz one parser; return how many inputs were tried, how many lines were reached, and what broke it."""
    parser, rng = PARSERS[name], random.Random(seed)
    own = folder / name
    corpus = [*SEEDS, *kept_inputs(own)]
    covered: set[tuple[str, int]] = set()
    crashes: list[Path] = []
    tried = 0
    end = time.monotonic() + seconds
    waiting = list(corpus)
    while time.monotonic() < end:
        data = waiting.pop() if waiting else mutated(rng.choice(corpus), corpus, rng)
        tried += 1
        try:
            reached = lines_reached(parser, data)
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is what we look for
            own.mkdir(parents=True, exist_ok=True)
            path = own / f"crash-{type(error).__name__}-{hashlib.sha256(data).hexdigest()[:12]}"
            path.write_bytes(data)
            crashes.append(path)
            continue
        if reached - covered:
            covered |= reached
            if data not in corpus:
                corpus.append(data)
                own.mkdir(parents=True, exist_ok=True)
                (own / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    return tried, len(covered), crashes


def fuzz_with_atheris(name: str, seconds: float, folder: Path = CORPUS) -> tuple[int, int, list[Path]]:
    """Let libFuzzer fuzz one parser; keep what reaches new lines. As `fuzz` does."""
    own = folder / name
    with tempfile.TemporaryDirectory() as temporary:
        found = Path(temporary)
        command = [sys.executable, str(Path(__file__).with_name("fuzz_atheris.py")), name]
        run = subprocess.run(
            [*command, "--seconds", str(max(round(seconds), 1)), "--found", str(found)],
            capture_output=True,
            text=True,
            check=False,
        )
        crashes = []
        for path in sorted(found.glob("crash-*")):
            own.mkdir(parents=True, exist_ok=True)
            kept = own / f"crash-{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
            kept.write_bytes(path.read_bytes())
            crashes.append(kept)
        if run.returncode and not crashes:
            raise RuntimeError(f"atheris ended with {run.returncode}: {run.stderr[-2000:]}")
        covered: set[tuple[str, int]] = set()
        known = [*SEEDS, *kept_inputs(own)]
        for data in known:
            covered |= lines_reached(PARSERS[name], data)
        for path in sorted((p for p in found.iterdir() if p not in crashes), key=lambda p: (p.stat().st_size, p.name)):
            data = path.read_bytes()
            if path.name.startswith("crash-") or lines_reached(PARSERS[name], data) <= covered:
                continue
            covered |= lines_reached(PARSERS[name], data)
            own.mkdir(parents=True, exist_ok=True)
            (own / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    tried = next(
        (int(line.split()[-1]) for line in run.stderr.splitlines() if "number_of_executed_units" in line), len(known)
    )
    return tried, len(covered), crashes


def main() -> int:
    """Fuzz the parsers named on the command line, or all, one after another."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("parsers", nargs="*", metavar="PARSER", choices=[[], *PARSERS])
    options.add_argument("--seconds", type=float, default=60.0, help="for all parsers together")
    options.add_argument("--seed", type=int, default=1)
    has_atheris = importlib.util.find_spec("atheris") is not None
    options.add_argument("--engine", choices=["atheris", "plain"], default="atheris" if has_atheris else "plain")
    chosen = options.parse_args()
    names = chosen.parsers or list(PARSERS)
    failed = 0
    for name in names:
        share = chosen.seconds / len(names)
        if chosen.engine == "atheris":
            tried, lines, crashes = fuzz_with_atheris(name, share)
        else:
            tried, lines, crashes = fuzz(name, share, chosen.seed)
        failed += len(crashes)
        print(f"{name}: {tried} inputs, {lines} lines reached, {len(crashes)} faults", flush=True)
        for path in crashes:
            print(f"  {path}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
