"""The state of a reading in parts comes from a place that others may write to: it is refused or it does no harm."""

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import zstandard
from captures_by_hand import Speech, pcap
from hypothesis import given, settings
from hypothesis import strategies as st
from scans_compared import many_sections, mixed_capture

from ccp_assess.capture import parts
from ccp_assess.capture.parts import scan_part
from ccp_assess.errors import CaptureError, CcpAssessError, StateError
from ccp_assess.wire.saved import MARK, Saved, pack, unpack


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """Two files of which a part is read, and the state of it."""
    folder = tmp_path_factory.mktemp("begun")
    frames = sorted(mixed_capture())
    paths = [folder / "a.pcapng", folder / "b.pcap"]
    paths[0].write_bytes(many_sections(frames))
    paths[1].write_bytes(pcap(frames[500:900]))
    state = scan_part(paths, None, most_bytes=200_000, block_bytes=8_192).state
    assert state is not None
    return paths, state


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damage_is_told(begun, data):
    paths, state = begun
    broken = bytearray(state)
    if data.draw(st.booleans()):
        broken[data.draw(st.integers(0, len(state) - 1))] ^= data.draw(st.integers(1, 255))
    else:
        del broken[data.draw(st.integers(0, len(state) - 1)) :]
    with pytest.raises(StateError, match="read the capture from its beginning"):
        scan_part(paths, bytes(broken), most_bytes=1)


def test_a_state_of_another_version_is_told(begun, monkeypatch):
    paths, state = begun
    monkeypatch.setattr(parts, "_engine", lambda: "another")
    with pytest.raises(StateError, match="another version of ccp-assess; read the capture from its beginning"):
        scan_part(paths, state, most_bytes=1)
    later = MARK.replace(b" 1\n", b" 2\n") + state[len(MARK) :]
    with pytest.raises(StateError, match="another version"):
        scan_part(paths, later, most_bytes=1)
    with pytest.raises(StateError, match="no such state"):
        scan_part(paths, b"", most_bytes=1)


def test_a_state_of_other_files_is_told(begun, tmp_path):
    paths, state = begun
    for others in (paths[::-1], paths[:1], [*paths, paths[0]], [paths[0], tmp_path / "c.pcap"]):
        with pytest.raises(StateError, match=r"of other files|has changed|does not follow"):
            scan_part(others, state, most_bytes=1)


@pytest.mark.parametrize("change", ["longer", "shorter", "gone"])
def test_a_file_that_changed_is_named(tmp_path, change):
    path = tmp_path / "growing.pcap"
    path.write_bytes(pcap(Speech(count=900).frames()))
    state = scan_part([path], None, most_bytes=50_000, block_bytes=4_096).state
    if change == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-9] + bytes(18 if change == "longer" else 0))
    with pytest.raises(StateError, match=r"growing.pcap has changed since its first part was read"):
        scan_part([path], state, most_bytes=1)


def test_standard_input_is_refused():
    with pytest.raises(CaptureError, match="standard input cannot be read in parts"):
        scan_part(["-"], None, most_bytes=1)


def test_what_says_it_is_large_is_given_no_room():
    packed = zstandard.ZstdCompressor().compress(bytes(1 << 26))
    tracemalloc.start()
    for rows in (1 << 26, 1 << 40, 7, -1):
        with pytest.raises(StateError):
            Saved({}, {"rows": ("|u1", rows, packed)}).table("rows", np.uint8, 1_000)
    state = pack({"rows": np.zeros(1 << 20, np.int64)})
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    with pytest.raises(StateError):
        unpack(state).table("rows", np.int64, 1_000)
    assert tracemalloc.get_traced_memory()[1] - before < 1 << 20
    tracemalloc.stop()


def mutated(state: bytes, rng: np.random.Generator) -> bytes:
    """Change numbers of a state as who knows its form may do, with a checksum that fits."""
    whole = unpack(state)
    content = dict(whole._values)
    for name, (_, rows, packed) in whole._tables.items():
        content[name] = raw_table(name, zstandard.ZstdDecompressor().decompress(packed) if rows else b"")
    extremes = [0, 1, -1, 2, 5, 16, 64, 127, 255, 256, 4096, 32_768, 65_536, 2**31 - 1, -(2**31), 2**62, -(2**63)]
    for _ in range(int(rng.integers(1, 4))):
        name = sorted(content)[rng.integers(len(content))]
        value = content[name]
        if isinstance(value, np.ndarray) and value.size:
            column = value[value.dtype.names[rng.integers(len(value.dtype.names))]] if value.dtype.names else value
            flat = column.reshape(-1).copy()
            where = rng.integers(flat.size)
            number = extremes[rng.integers(len(extremes))]
            if flat.dtype.kind == "f":
                flat[where] = [0.0, -1.0, 1e300, -1e300, np.inf, -np.inf, np.nan, 1e-300][rng.integers(8)]
            else:
                flat[where] = np.array(number, np.int64).astype(flat.dtype)
            column[...] = flat.reshape(column.shape)
        elif type(value) is int:
            content[name] = extremes[rng.integers(len(extremes))]
        elif isinstance(value, np.ndarray):
            content[name] = np.zeros(int(rng.integers(1, 9)), value.dtype)
    return pack(content)


def raw_table(name: str, content: bytes) -> np.ndarray:
    """Give a table of a state with its type."""
    from ccp_assess.traffic.flowtable import FLOW
    from ccp_assess.traffic.payloads import RARE
    from ccp_assess.traffic.spans import SPAN
    from ccp_assess.traffic.streams import SECOND_ROW
    from ccp_assess.traffic.streamtable import CANDIDATE, STREAM
    from ccp_assess.wire.columns import FRAME, INTERFACE
    from ccp_assess.wire.datagram import STUN_ROW
    from ccp_assess.wire.framing import FRAMER
    from ccp_assess.wire.ip import FRAGMENTED
    from ccp_assess.wire.rtp import MEDIA
    from ccp_assess.wire.turn import PATH

    types = {
        "work.media": MEDIA, "work.interfaces.rows": INTERFACE, "work.decoder.slots": FRAGMENTED,
        "work.decoder.bitmaps": np.uint64, "work.decoder.store": np.uint8, "work.tracker.flows": FLOW,
        "work.tracker.free": np.int32, "work.tracker.framers": FRAMER, "work.tracker.streams": np.uint8,
        "work.tracker.known": np.uint8, "work.tracker.paths": PATH, "work.tracker.spans": SPAN,
        "work.tracker.rare": RARE, "work.tracker.kept": np.uint8, "work.tracker.stun": STUN_ROW,
        "work.measuring.streams": STREAM, "work.measuring.places": np.int32, "work.measuring.candidates": CANDIDATE,
        "work.measuring.waiting": MEDIA, "work.measuring.seconds": SECOND_ROW,
    }  # fmt: skip
    kind = types.get(name)
    if kind is None and name.endswith(".rows"):
        kind = FRAME
    elif kind is None and name.endswith(".numbers"):
        kind = np.int32
    return np.frombuffer(bytearray(content), np.int64 if kind is None else kind)


def read_on(paths: list[str], state: bytes, seed: int, turns: int) -> dict[str, int]:
    """Take up changed states; whatever is not refused must be read to the end."""
    rng = np.random.default_rng(seed)
    found: dict[str, int] = {}
    for _ in range(turns):
        changed = mutated(state, rng)
        try:
            scan_part(paths, changed, most_bytes=1 << 40, workers=1)
            said = "read"
        except CcpAssessError as error:
            said = type(error).__name__
        found[said] = found.get(said, 0) + 1
    return found


def test_ill_will_is_refused_or_does_no_harm(begun):
    paths, state = begun
    found = read_on([str(path) for path in paths], state, 1, 150)
    assert found["StateError"] > 20
    assert found["read"] > 20
    assert set(found) <= {"StateError", "read"}


@pytest.mark.long
def test_no_changed_state_leads_a_loop_outside_its_arrays(begun, tmp_path):
    paths, state = begun
    (tmp_path / "state").write_bytes(state)
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from test_state_refused import read_on\n"
        "print(read_on(sys.argv[3:], Path(sys.argv[2]).read_bytes(), 2, 1500))\n"
    )
    command = [sys.executable, "-c", script, str(Path(__file__).parent), str(tmp_path / "state"), *map(str, paths)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "NUMBA_BOUNDSCHECK": "1"}
    )
    assert done.returncode == 0, done.stderr[-2000:]
