"""Taps made with known delays, in rooms and over telephones, are measured to a few milliseconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from scipy import signal

from ccp_assess.errors import ParseError
from ccp_assess.witnesses.reading import read_witness
from ccp_assess.witnesses.taps import find_onsets, latency, read_tap_test, tap_latencies, tap_test

PAUSE_S = 3.4


def tap(rate_hz: int, rng: np.random.Generator) -> NDArray[Any]:
    """Make the knock of a hard thing on a table: a few damped tones and a click."""
    at = np.arange(int(0.06 * rate_hz)) / rate_hz
    tones = sum(
        np.sin(2 * np.pi * hz * at + rng.uniform(0, 6)) * np.exp(-at / rng.uniform(0.005, 0.02))
        for hz in rng.uniform(300, 2500, 6)
    )
    knock = tones + rng.normal(size=len(at)) * np.exp(-at / 0.004)
    return knock / np.abs(knock).max()


def room(
    delays_ms: NDArray[Any],
    rate_hz: int,
    rng: np.random.Generator,
    *,
    return_db: float = -12,
    noise_db: float = -55,
    stereo: bool = False,
) -> NDArray[np.float32]:
    """Make a recording: each tap at once, and again after its delay as a telephone lets it through."""
    count = int(rate_hz * (1.2 + PAUSE_S * len(delays_ms) + 1))
    direct, returned = np.zeros(count), np.zeros(count)
    for number, delay_ms in enumerate(delays_ms):
        knock = tap(rate_hz, rng) * rng.uniform(0.5, 1)
        begin_s = 1.2 + PAUSE_S * number
        begin = int(begin_s * rate_hz)
        direct[begin : begin + len(knock)] += knock
        narrow = knock
        if rate_hz > 8000:
            narrow = signal.resample_poly(signal.resample_poly(knock, 8000, rate_hz), rate_hz, 8000)[: len(knock)]
        again = round((begin_s + delay_ms / 1000) * rate_hz)
        returned[again : again + len(narrow)] += narrow * 10 ** (return_db / 20)
    ringing = np.zeros(int(0.3 * rate_hz))
    later = np.arange(1, len(ringing)) / rate_hz
    ringing[1:] = rng.normal(size=len(later)) * np.exp(-later / 0.05) * 0.02 * np.sqrt(8000 / rate_hz)
    ringing[0] = 1
    sounds = [signal.fftconvolve(sound, ringing)[:count] for sound in (direct, returned)]
    hum = 0.01 * np.sin(2 * np.pi * 50 * np.arange(count) / rate_hz)
    noise = rng.normal(size=(count, 2)) * 10 ** (noise_db / 20)
    both = np.stack(sounds, axis=1) + hum[:, None] + noise
    heard = both if stereo else both.sum(axis=1, keepdims=True)
    return (0.8 * heard / np.abs(heard).max()).astype(np.float32)


@pytest.mark.parametrize("rate_hz", [8000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("stereo", [False, True])
@pytest.mark.parametrize(("delay_ms", "return_db"), [(180, -8), (350, -15), (620, -20), (1100, -12)])
def test_delays_are_found_to_a_few_milliseconds(rate_hz: int, stereo: bool, delay_ms: float, return_db: float) -> None:
    rng = np.random.default_rng(int(rate_hz + delay_ms))
    delays = delay_ms + rng.normal(size=4) * 8
    found = tap_latencies(room(delays, rate_hz, rng, return_db=return_db, stereo=stereo), rate_hz, file="x.wav")
    assert [value for _, value in found] == pytest.approx(list(delays), abs=5)
    assert [at for at, _ in found] == pytest.approx([1.2 + PAUSE_S * number for number in range(4)], abs=0.005)


@pytest.mark.parametrize(("work_hz", "recording_hz", "kind"), [(48_000, 8000, "ULAW"), (44_100, 16_000, "PCM_16")])
def test_two_files_of_different_rates_split_the_latency(
    tmp_path: Path, work_hz: int, recording_hz: int, kind: str
) -> None:
    rng = np.random.default_rng(5)
    overall = 340 + rng.normal(size=5) * 10
    recorded = overall - 120 + rng.normal(size=5)
    soundfile.write(tmp_path / "work.wav", room(overall, work_hz, rng), work_hz)
    sound = room(recorded, recording_hz, rng, stereo=True)
    soundfile.write(tmp_path / "rec.wav", sound, recording_hz, subtype=kind)
    test = read_tap_test(tmp_path / "work.wav", tmp_path / "rec.wav")
    assert test.agent is not None
    assert test.pstn is not None
    assert test.overall.mean_ms == pytest.approx(overall.mean(), abs=3)
    assert test.pstn.mean_ms == pytest.approx(recorded.mean(), abs=3)
    assert test.agent.mean_ms == pytest.approx(120, abs=4)
    # the same taps are subtracted one by one, so that what changes from tap to tap cancels
    assert test.agent.sd_ms is not None
    assert test.overall.sd_ms is not None
    assert test.agent.sd_ms < test.overall.sd_ms
    assert test.findings[0].severity == "warning"
    assert test.notes == ()
    assert read_witness(tmp_path / "work.wav").to_document()["kind"] == "tap_test"


def test_awss_algebra_holds() -> None:
    test = tap_test([(1, 500.0), (5, 520.0), (9, 510.0)], [(2, 200.0), (6, 220.0), (10, 210.0)], "w", "r")
    told = {name: None if one is None else one.mean_ms for name, one in test.latencies.items()}
    assert told == {"overall": 510, "recording": 210, "agent": 300, "pstn": 210, "redirect": None}
    assert test.findings[0].severity == "critical"
    assert "the agent's side" in test.findings[0].text


def test_files_of_different_taps_are_subtracted_by_their_means() -> None:
    test = tap_test([(1, 500.0), (5, 520.0), (9, 510.0)], [(2, 200.0), (8, 220.0)], "w", "r")
    assert test.agent is not None
    assert test.agent.mean_ms == 300
    assert any("same taps" in note for note in test.notes)
    assert any("Only 2 taps in r" in note for note in test.notes)


def test_the_interval_is_students() -> None:
    one = latency([310.0, 300.0, 320.0])
    assert one.sd_ms == 10
    assert one.ci95_ms == pytest.approx((310 - 4.3027 * 10 / 3**0.5, 310 + 4.3027 * 10 / 3**0.5), abs=0.01)
    assert latency([300.0]).ci95_ms is None


def test_a_sound_after_one_tap_alone_is_not_the_return() -> None:
    rng = np.random.default_rng(9)
    sound = room(np.full(4, 400.0), 16_000, rng)
    extra = tap(16_000, rng) * 0.3
    at = int((1.2 + 0.9) * 16_000)
    sound[at : at + len(extra), 0] += extra.astype(np.float32)
    found = tap_latencies(sound, 16_000, file="x")
    assert [value for _, value in found] == pytest.approx([400] * 4, abs=5)


def test_silence_noise_and_taps_without_return_are_refused_in_one_sentence(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    assert find_onsets(np.zeros((16_000, 1), np.float32), 8000) == []
    with pytest.raises(ParseError, match="no sound like a tap"):
        tap_latencies(np.zeros((80_000, 1), np.float32), 8000, file="x")
    with pytest.raises(ParseError, match="none of them with a return"):
        tap_latencies(room(np.full(4, 300.0), 8000, rng, return_db=-90), 8000, file="x")
    (tmp_path / "x.wav").write_text("no sound")
    with pytest.raises(ParseError, match="no sound that can be read"):
        read_tap_test(tmp_path / "x.wav")
    with pytest.raises(ParseError, match=r"none\.wav"):
        read_tap_test(tmp_path / "none.wav")


def test_a_redirect_costs_the_difference(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    soundfile.write(tmp_path / "with.wav", room(np.full(3, 520.0), 8000, rng), 8000)
    soundfile.write(tmp_path / "without.wav", room(np.full(4, 340.0), 8000, rng), 8000)
    test = read_tap_test(tmp_path / "with.wav", without=tmp_path / "without.wav")
    assert test.redirect is not None
    assert test.redirect.mean_ms == pytest.approx(180, abs=5)


def test_a_damaged_sample_rate_is_told(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", np.zeros((8000, 1), np.float32), 64)
    with pytest.raises(ParseError, match="64 samples a second"):
        read_tap_test(tmp_path / "x.wav")
