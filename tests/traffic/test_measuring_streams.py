"""Streams are measured as a plain reading by the letter of RFC 3550 measures them."""

import random
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "capture"))
from captures_by_hand import read_plainly

from ccp_assess.traffic.measuring import MeasuringState
from ccp_assess.wire.rtp import MEDIA, RTCP

START_NS = 1_790_000_000_000_000_000


def rows_of(arrivals: list[tuple[int, int, int, int]], *, ssrc: int = 5, flow: int = 0) -> np.ndarray:
    """Make rows of (time, sequence number, time stamp, payload type)."""
    rows = np.zeros(len(arrivals), MEDIA)
    for row, (time_ns, sequence, timestamp, kind) in zip(rows, arrivals, strict=True):
        row["time_ns"], row["sequence"], row["timestamp"] = time_ns, sequence % 65_536, timestamp % (1 << 32)
        row["payload_type"], row["ssrc"], row["flow"], row["path"] = kind, ssrc, flow, -1
        row["bytes"], row["payload_bytes"] = 100, 80
    return rows


def measured(*parts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Measure rows in order of time; give valid streams and all seconds."""
    state = MeasuringState()
    rows = np.concatenate(parts)
    rows = rows[np.argsort(rows["time_ns"], kind="stable")]
    state.run(rows, len(rows))
    streams, seconds = state.finish()
    return streams[streams["valid"]], seconds


def speech(
    count: int,
    *,
    rate_hz: int = 48_000,
    kind: int = 111,
    step_ms: int = 20,
    jitter_ns: int = 0,
    seed: int = 1,
    first: int = 65_500,
    clock: int = 4_294_900_000,
    start_ns: int = START_NS,
) -> list[tuple[int, int, int, int]]:
    """Make (time, sequence number, time stamp, payload type) of steady speech; both counters wrap early."""
    rng = random.Random(seed)
    return [
        (
            start_ns + k * step_ms * 1_000_000 + (rng.randrange(jitter_ns) if jitter_ns else 0),
            (first + k) % 65_536,
            (clock + k * step_ms * rate_hz // 1000) % (1 << 32),
            kind,
        )
        for k in range(count)
    ]


network = st.lists(
    st.tuples(st.sampled_from(["ok"] * 12 + ["lost", "twice", "late"]), st.integers(0, 15_000_000)),
    min_size=40,
    max_size=200,
)


@settings(max_examples=120, deadline=None)
@given(fates=network, first=st.integers(0, 65_535), clock=st.integers(0, (1 << 32) - 1))
def test_any_loss_duplication_and_reordering_is_counted_as_by_hand(fates, first, clock):
    arrivals = []
    for k, (fate, delay) in enumerate(fates):
        at = START_NS + k * 20_000_000 + delay
        packet = ((first + k) % 65_536, (clock + 960 * k) % (1 << 32), 111)
        if fate != "lost":
            arrivals.append((at + (65_000_000 if fate == "late" else 0), *packet))
        if fate == "twice":
            arrivals.append((at + 1_000_000, *packet))
    arrivals.sort(key=lambda arrival: arrival[0])
    streams, seconds = measured(rows_of(arrivals))
    if not len(streams):  # too few of them in a row to be believed
        assert len(arrivals) < 20
        return
    plain = read_plainly(arrivals, 48_000)
    stream = streams[0]
    assert stream["packets"] == plain.packets
    assert stream["expected"] == plain.expected
    assert stream["expected"] - stream["unique"] == plain.lost
    assert stream["duplicates"] == plain.duplicates
    assert stream["reordered"] == plain.reordered
    assert stream["rate_hz"] == 48_000
    updates = stream["jitter_updates"]
    assert stream["jitter_ms"] == pytest.approx(plain.jitter_ms, abs=1e-6)
    assert stream["jitter_sum_ms"] / updates == pytest.approx(plain.jitter_mean_ms, abs=1e-6)
    assert stream["jitter_max_ms"] == pytest.approx(plain.jitter_max_ms, abs=1e-6)
    assert seconds["packets"].sum() == plain.packets
    assert seconds["lost"].sum() == plain.lost
    assert stream["burst_packets"] == plain.lost


@pytest.mark.parametrize(
    ("rate_hz", "kind", "step_ms"),
    [
        (8000, 0, 20),
        (8000, 8, 30),
        (8000, 9, 20),
        (48_000, 111, 20),
        (48_000, 96, 60),
        (16_000, 97, 20),
        (8000, 101, 20),
        (32_000, 100, 20),
        (24_000, 100, 20),
        (90_000, 34, 33),
    ],
)
def test_the_clock_rate_is_known_or_found(rate_hz, kind, step_ms):
    streams, _ = measured(rows_of(speech(300, rate_hz=rate_hz, kind=kind, step_ms=step_ms, jitter_ns=8_000_000)))
    assert streams["rate_hz"].tolist() == [rate_hz]


def test_the_clock_rate_of_video_is_found_although_frames_have_many_packets():
    arrivals = [
        (START_NS + frame * 33_333_333 + k * 200_000, frame * 5 + k, frame * 3000, 96)
        for frame in range(100)
        for k in range(5)
    ]
    streams, _ = measured(rows_of(arrivals))
    assert streams["rate_hz"].tolist() == [90_000]


def test_a_clock_that_fits_no_rate_leaves_the_jitter_unknown():
    arrivals = [(START_NS + k * 20_000_000, k, k * 17, 96) for k in range(200)]
    streams, seconds = measured(rows_of(arrivals))
    assert streams["rate_hz"].tolist() == [0]
    assert np.isnan(seconds["jitter_ms"]).all()


def test_a_restart_begins_a_segment_and_is_no_loss():
    before = speech(200, first=100, clock=1000)
    after = speech(200, first=40_000, clock=3_000_000_000, start_ns=START_NS + 5_000_000_000)
    (stream,), _ = measured(rows_of([*before, *after]))
    assert (stream["segments"], stream["expected"], stream["unique"]) == (2, 400, 400)
    assert stream["jitter_max_ms"] < 1


def test_numbers_that_go_back_while_the_clock_goes_on_begin_a_segment():
    """RFC 3550 A.1: further back than MAX_MISORDER is no packet that was overtaken, and its time stamp is new."""
    before = speech(200, first=3_000, clock=1000)
    after = speech(200, first=2_500, clock=1000 + 200 * 960, start_ns=START_NS + 4_000_000_000)
    (stream,), _ = measured(rows_of([*before, *after]))
    assert stream["valid"]
    assert (stream["segments"], stream["expected"], stream["unique"], stream["reordered"]) == (2, 400, 400, 0)


def test_packets_overtaken_by_two_hundred_others_begin_no_segment():
    arrivals = speech(1_000)
    late = [(arrivals[k + 200][0] + 1_000_000, *arrivals[k][1:]) for k in range(100, 110)]
    kept = [arrival for k, arrival in enumerate(arrivals) if not 100 <= k < 110]
    (stream,), _ = measured(rows_of(sorted([*kept, *late])))
    assert (stream["segments"], stream["expected"], stream["unique"], stream["reordered"]) == (1, 1_000, 1_000, 10)


def test_a_large_gap_with_the_same_clock_is_a_loss():
    arrivals = speech(200, first=100)
    later = [
        (at + 80_000_000_000, (seq + 4000) % 65_536, (clock + 4000 * 960) % (1 << 32), kind)
        for at, seq, clock, kind in arrivals
    ]
    (stream,), _ = measured(rows_of([*arrivals, *later]))
    assert (stream["segments"], stream["expected"], stream["unique"]) == (1, 4200, 400)
    assert (stream["bursts"], stream["longest_run"]) == (1, 3800)


def test_sequence_numbers_may_wrap_several_times():
    (stream,), _ = measured(rows_of(speech(200_000)))
    assert (stream["expected"], stream["unique"], stream["duplicates"]) == (200_000, 200_000, 0)


def test_bursts_of_loss_are_told_from_single_ones():
    arrivals = [arrival for k, arrival in enumerate(speech(1000)) if k not in {100, 300, 301, 302, 303, 700, 701}]
    (stream,), _ = measured(rows_of(arrivals))
    assert (stream["bursts"], stream["burst_packets"], stream["longest_run"]) == (3, 7, 4)


def test_packets_overtaken_by_far_come_too_late_for_the_buffer():
    arrivals = speech(2020)
    late = [
        (at + (250_000_000 if k % 50 == 49 else 0), seq, clock, kind)
        for k, (at, seq, clock, kind) in enumerate(arrivals)
    ]
    (stream,), seconds = measured(rows_of(sorted(late)))
    assert stream["play_late"] == pytest.approx(40, abs=3)
    assert seconds["late"].sum() == stream["play_late"]
    (calm,), _ = measured(rows_of(arrivals))
    assert calm["play_late"] == 0
    assert calm["play_sum_ms"] / calm["play_packets"] < 35


def test_packets_overtaken_by_one_are_soon_waited_for():
    arrivals = [
        (at + (50_000_000 if k % 30 == 29 else 0), seq, clock, kind)
        for k, (at, seq, clock, kind) in enumerate(speech(2000))
    ]
    (stream,), _ = measured(rows_of(sorted(arrivals)))
    assert stream["reordered"] == 66
    assert stream["play_late"] < 5


def test_a_way_that_becomes_longer_for_good_costs_one_gap():
    """Three lasting shifts of 100 ms: the buffer has 30 ms, fills in 70 ms, and goes on later from then."""
    arrivals = [
        (at + 100_000_000 * (k // 1000), seq, clock, kind) for k, (at, seq, clock, kind) in enumerate(speech(4000))
    ]
    (stream,), _ = measured(rows_of(arrivals))
    assert 3 <= stream["play_late"] <= 12


def test_a_stall_counts_the_speech_that_was_missing_once():
    arrivals = [
        (at + max(400_000_000 - (k - 1000) * 20_000_000, 0) if k >= 1000 else at, seq, clock, kind)
        for k, (at, seq, clock, kind) in enumerate(speech(2000))
    ]
    (stream,), _ = measured(rows_of(sorted(arrivals)))
    assert stream["play_late"] == pytest.approx(19, abs=1)  # 400 ms less what the buffer held, in packets of 20 ms


def test_copies_of_a_packet_are_not_late():
    arrivals = speech(1000)
    copies = [(at + 300_000_000, seq, clock, kind) for at, seq, clock, kind in arrivals[::10]]
    (stream,), _ = measured(rows_of(sorted([*arrivals, *copies])))
    assert (stream["duplicates"], stream["play_late"]) == (100, 0)


def test_a_buffer_grows_with_steady_jitter_until_little_is_late():
    (stream,), _ = measured(rows_of(speech(5000, jitter_ns=90_000_000)))
    assert stream["play_late"] / stream["packets"] < 0.05
    assert 60 < stream["play_sum_ms"] / stream["play_packets"] < 120


def test_a_hold_is_neither_loss_nor_lateness():
    arrivals = speech(400)
    held = [
        (at + (12_000_000_000 if k >= 200 else 0), seq, clock, kind)
        for k, (at, seq, clock, kind) in enumerate(arrivals)
    ]
    (stream,), _ = measured(rows_of(held))
    assert stream["expected"] == stream["unique"] == 400
    assert stream["play_late"] == 0
    assert stream["longest_gap_ns"] == 12_020_000_000


def test_telephone_events_belong_to_the_stream_and_leave_its_clock_alone():
    arrivals = speech(300)
    for k in range(150, 154):
        at, seq, _, _ = arrivals[k]
        arrivals[k] = (at, seq, arrivals[150][2], 126)
    (stream,), _ = measured(rows_of(arrivals))
    assert stream["rate_hz"] == 48_000
    assert stream["events"] == 3
    plain = read_plainly(arrivals, 48_000)
    assert stream["jitter_ms"] == pytest.approx(plain.jitter_ms, abs=1e-6)


def test_the_skew_of_the_senders_clock_is_found():
    arrivals = [(START_NS + round(k * 20_000_000 * (1 + 80e-6)), k, 960 * k, 111) for k in range(6000)]
    (stream,), _ = measured(rows_of(arrivals))
    assert stream["skew_ppm"] == pytest.approx(-80, abs=2)


def test_a_pause_of_the_sender_is_no_skew_of_its_clock():
    pause_ns = 12_000_000_000
    arrivals = [(START_NS + k * 20_000_000 + (pause_ns if k >= 500 else 0), k, 960 * k, 111) for k in range(1_100)]
    (stream,), _ = measured(rows_of(arrivals))
    assert np.isnan(stream["skew_ppm"])
    long = [(START_NS + k * 20_000_000 + (pause_ns if k >= 500 else 0), k, 960 * k, 111) for k in range(3_000)]
    (stream,), _ = measured(rows_of(long))
    assert stream["skew_ppm"] == pytest.approx(0, abs=2)


def test_a_sender_that_stalls_again_and_again_has_no_wrong_clock_but_a_fast_one_has():
    stall_ns = 420_000_000
    stalled = [(START_NS + k * 20_000_000 + (k // 300) * stall_ns, k, 960 * k, 111) for k in range(1_500)]
    (stream,), _ = measured(rows_of(stalled))
    assert np.isnan(stream["skew_ppm"])
    fast = [(START_NS + round(k * 20_000_000 * (1 - 2e-3)), k, 960 * k, 111) for k in range(1_500)]
    (stream,), _ = measured(rows_of(fast))
    assert stream["skew_ppm"] == pytest.approx(2_000, abs=10)


@pytest.mark.parametrize("seed", range(6))
def test_packets_out_of_order_leave_the_clock_rate_and_the_playout_alone(seed):
    rng = random.Random(seed)
    arrivals = [(START_NS + k * 20_000_000 + abs(round(rng.gauss(0, 30e6))), k, 960 * k, 111) for k in range(1_500)]
    arrivals.sort()
    (stream,), _ = measured(rows_of(arrivals))
    plain = read_plainly(arrivals, 48_000)
    assert (stream["rate_hz"], stream["reordered"]) == (48_000, plain.reordered)
    assert stream["jitter_ms"] == pytest.approx(plain.jitter_ms, abs=1e-6)
    assert stream["play_packets"] > 1_000


def test_rtcp_counts_for_the_stream_of_its_sender():
    reports = rows_of([(START_NS + k * 100_000_000, 0, 0, RTCP) for k in range(1, 30)])
    (stream,), _ = measured(rows_of(speech(200)), reports)
    assert stream["rtcp"] >= 28


def test_nine_packets_are_no_stream_and_ten_are():
    assert not len(measured(rows_of(speech(9)))[0])
    assert len(measured(rows_of(speech(10)))[0]) == 1


def test_many_streams_are_kept_apart():
    parts = [rows_of(speech(40, first=k * 7), ssrc=1000 + k, flow=k % 50) for k in range(700)]
    streams, seconds = measured(*parts)
    assert len(streams) == 700
    assert set((streams["packets"]).tolist()) == {40}
    assert np.bincount(seconds["stream"], weights=seconds["packets"]).tolist() == [40] * 700


def test_streams_that_take_turns_are_measured_as_each_on_its_own_however_the_rows_are_cut():
    rng = random.Random(3)
    parts = []
    for number in range(9):
        arrivals = speech(900, jitter_ns=30_000_000, seed=number, kind=(111, 0, 8)[number % 3], rate_hz=48_000)
        kept = [arrival for arrival in arrivals if rng.random() > 0.03]
        parts.append(rows_of(sorted(kept + kept[::50]), ssrc=40 + number % 4, flow=number))
    together = np.concatenate(parts)
    together = together[np.argsort(together["time_ns"], kind="stable")]
    for rows_at_a_time in (1, 7, 1_000, len(together)):
        state = MeasuringState()
        for start in range(0, len(together), rows_at_a_time):
            piece = np.ascontiguousarray(together[start : start + rows_at_a_time])
            state.run(piece, len(piece))
        streams, seconds = state.finish()
        assert len(streams) == len(parts)
        for number, stream in enumerate(streams):
            ((alone,), alone_seconds) = measured(parts[stream["flow"]])
            names = [name for name in stream.dtype.names if not name.startswith("queue") and name != "flow"]
            assert [repr(stream[name]) for name in names] == [repr(alone[name]) for name in names]
            own = seconds[seconds["stream"] == number]
            own["stream"] = 0
            assert repr(own.tolist()) == repr(alone_seconds.tolist())
