"""The tap test: latency heard, from the sound of taps on a table.

A caller's phone and the agent's workstation stand in one room. Each tap is heard twice in what the workstation records:
at once, and again from the agent's loudspeaker; the time between is the overall latency. The call recording of the
service, taken before the audio goes to the agent, holds each tap twice as well; the time between is the recording
latency. AWS's algebra splits the one by the other: agent = overall - recording, PSTN = overall - agent. Only times
within one file are compared, so that no clocks need to agree.

References
----------
.. [1] Amazon Connect Administrator Guide, Troubleshooting tools and information, "PSTN and agent connection latency"
   and "Testing inbound calls using a soft phone".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ccp_assess.errors import ParseError
from ccp_assess.findings import Finding, counted
from ccp_assess.traffic.limits import read_limits
from ccp_assess.units import Severity
from ccp_assess.witnesses.records import Event, Witness, rounded

FEWEST_TAPS = 3
"""That AWS's procedure asks for (count)."""

LONGEST_LATENCY_S = 1.5
"""Between a tap and its return; taps are 3 s apart or more [s]."""

_FRAME_S = 0.001
"""Resolution of the energy [s]."""

_BAND_HZ = (200.0, 3_400.0)
"""What a telephone lets through; hum and rumble lie below [Hz]."""

_BEFORE_S = 0.04
"""How long the sound before an onset is looked at [s]."""

_AFTER_S = 0.012
"""A tap rises within this [s]."""

_RISE_DB = 6.0
"""That an onset stands out by from the sound just before it [dB]."""

_ABOVE_NOISE_DB = 9.0
"""That an onset stands out by from the file's quiet parts [dB]."""

_BELOW_LOUDEST_DB = 45.0
"""An onset that is weaker than the loudest by more is none [dB]."""

_APART_S = 0.035
"""Onsets nearer to each other than this are one: the tap rings [s]."""

_SAME_S = 0.04
"""Latencies of two taps that differ by less may be the same path [s]."""

_LEAST_RATE_HZ = 8_000
_LONGEST_S = 2 * 3600.0
_MISSING = "the extra `audio` is not installed; run `pip install 'ccp-assess[audio]'`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """A latency measured with several taps.

    Parameters
    ----------
    taps_ms
        One value a tap, in the order of time [ms].
    mean_ms
        AWS takes the mean [ms].
    sd_ms
        Standard deviation of the taps; ``None`` with fewer than two [ms].
    ci95_ms
        95 % confidence interval of the mean, by Student's t; ``None`` with fewer than two taps [ms].
    """

    taps_ms: tuple[float, ...]
    mean_ms: float
    sd_ms: float | None
    ci95_ms: tuple[float, float] | None

    def to_document(self) -> dict[str, Any]:
        """Return the latency for JSON.

        Returns
        -------
        document
            With the extremes.
        """
        return {
            "mean": rounded(self.mean_ms, 1),
            "sd": rounded(self.sd_ms, 1),
            "min": rounded(min(self.taps_ms), 1),
            "max": rounded(max(self.taps_ms), 1),
            "ci95": None if self.ci95_ms is None else [rounded(limit_ms, 1) for limit_ms in self.ci95_ms],
            "taps": [rounded(tap_ms, 1) for tap_ms in self.taps_ms],
            "n": len(self.taps_ms),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TapTest:
    """What a tap test measured.

    Parameters
    ----------
    workstation, recording
        Names of the files; the second may be missing.
    overall
        Between caller and agent.
    recording_latency
        Between the two sounds of a tap in the call recording.
    agent
        Between the service and the agent: overall less recording.
    pstn
        Between the service and the caller: overall less agent.
    redirect
        What a redirect or forward adds: overall with it, less overall without.
    notes
        What a reader must know, one sentence each.
    """

    workstation: str
    recording: str | None
    overall: Latency
    recording_latency: Latency | None
    agent: Latency | None
    pstn: Latency | None
    redirect: Latency | None = None
    notes: tuple[str, ...] = ()

    @property
    def latencies(self) -> dict[str, Latency | None]:
        """The latencies by their names in AWS's algebra."""
        return {
            "overall": self.overall,
            "recording": self.recording_latency,
            "agent": self.agent,
            "pstn": self.pstn,
            "redirect": self.redirect,
        }

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The overall latency against AWS's limits."""
        known = read_limits()["overall_latency_ms"]
        severity: Severity = known.severity_of(self.overall.mean_ms) or "info"
        words = {
            "info": "below what people notice",
            "warning": "noticeable",
            "critical": "long enough for caller and agent to talk at the same time",
        }
        text = (
            f"The overall latency is {self.overall.mean_ms:.0f} ms, which is {words[severity]} ({known.source}, "
            f"{known.warning:.0f} and {known.critical:.0f} ms)."
        )
        if self.agent is not None and self.pstn is not None and severity != "info":
            agent = self.agent.mean_ms >= self.pstn.mean_ms
            side = "the agent's side" if agent else "the telephone network"
            text += f" The larger part, {max(self.agent.mean_ms, self.pstn.mean_ms):.0f} ms, is {side}."
        evidence = {"overall_ms": rounded(self.overall.mean_ms, 1), "taps": len(self.overall.taps_ms)}
        return (Finding(code="OVERALL_LATENCY", severity=severity, text=text, evidence=evidence),)

    def to_witness(self) -> Witness:
        """Tell the test as a witness.

        Returns
        -------
        witness
            Of kind ``tap_test``; ``latency_ms`` holds the latencies.
        """
        return Witness(
            kind="tap_test",
            file=self.workstation,
            events=tuple(Event(time_ns=None, code=one.code, text=one.text) for one in self.findings),
            notes=self.notes,
            more={
                "recording": self.recording,
                "latency_ms": {
                    name: None if one is None else one.to_document() for name, one in self.latencies.items()
                },
            },
        )


def read_tap_test(
    workstation: str | Path, recording: str | Path | None = None, *, without: str | Path | None = None
) -> TapTest:
    """Measure the latencies of a tap test.

    Parameters
    ----------
    workstation
        What the workstation recorded: WAV, FLAC, Ogg or MP3, mono or stereo, any sample rate.
    recording
        The service's recording of the same call; without it only the overall latency is known.
    without
        What the workstation recorded of a call without the redirect or forward that this one has.

    Returns
    -------
    test
        The latencies with their spread.

    Raises
    ------
    ParseError
        If a file is no sound, or no tap with its return is found in it.
    """
    overall = _taps_of(workstation)
    recorded = None if recording is None else _taps_of(recording)
    test = tap_test(overall, recorded, Path(workstation).name, None if recording is None else Path(recording).name)
    if without is None:
        return test
    bare = latency([value for _, value in _taps_of(without)])
    return replace(test, redirect=_difference(test.overall, bare))


def _taps_of(path: str | Path) -> tuple[tuple[float, float], ...]:
    return tap_latencies(*read_sound(Path(path)), file=str(path))


def is_sound(head: str | bytes) -> bool:
    """Tell a sound file by its first bytes.

    Parameters
    ----------
    head
        The beginning of a file, as bytes or read as text.

    Returns
    -------
    is_sound
        Whether it is WAV, FLAC, Ogg or tagged MP3.

    Examples
    --------
    >>> is_sound(b"RIFF...."), is_sound("{}")
    (True, False)
    """
    start = head[:4].decode("latin-1") if isinstance(head, bytes) else head[:4]
    return start.startswith(("RIFF", "RF64", "fLaC", "OggS", "ID3"))


def read_sound(path: Path) -> tuple[NDArray[np.float32], int]:
    """Read a sound file.

    Parameters
    ----------
    path
        Any format that libsndfile reads.

    Returns
    -------
    samples, rate_hz
        Samples by channels, and the sample rate [Hz].

    Raises
    ------
    ParseError
        If it cannot be read as sound.
    """
    try:
        import soundfile  # type: ignore[import-untyped] # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ParseError(f"{path}: cannot be read: {_MISSING}") from error
    try:
        with soundfile.SoundFile(path) as sound:
            if sound.frames > _LONGEST_S * sound.samplerate:
                raise ParseError(f"{path}: longer than two hours; cut out the minute of the taps")
            if sound.samplerate < _LEAST_RATE_HZ:  # no recorder's: the header is damaged
                raise ParseError(
                    f"{path}: says it has {sound.samplerate} samples a second; record {_LEAST_RATE_HZ} or more"
                )
            return sound.read(dtype="float32", always_2d=True), int(sound.samplerate)
    except (soundfile.SoundFileError, OSError, TypeError) as error:
        what = str(error).split(": ")[-1].strip().rstrip(".")
        raise ParseError(f"{path}: no sound that can be read ({what}); give a WAV file") from error


def tap_latencies(samples: NDArray[np.float32], rate_hz: int, *, file: str) -> tuple[tuple[float, float], ...]:
    """Find taps and their returns.

    Parameters
    ----------
    samples
        Samples by channels.
    rate_hz
        Sample rate [Hz].
    file
        What messages call the file.

    Returns
    -------
    taps
        When each tap was heard first [s], and how long after that its return [ms].

    Raises
    ------
    ParseError
        If there is none.
    """
    onsets = find_onsets(samples, rate_hz)
    groups: list[list[float]] = []
    for onset in onsets:
        if groups and onset - groups[-1][0] <= LONGEST_LATENCY_S:
            groups[-1].append(onset)
        else:
            groups.append([onset])
    candidates = [(group[0], [onset - group[0] for onset in group[1:]]) for group in groups]
    delays = [delay for _, told in candidates for delay in told]
    if not delays:
        heard = f"{counted(len(onsets), 'sound')} like a tap, " if onsets else "no sound like a tap, "
        raise ParseError(f"{file}: {heard}none of them with a return; tap loudly, in silence, three times or more")
    # where a tap has several sounds after it, the return is the one that the other taps have as well
    best = max(delays, key=lambda delay: (sum(_near(told, delay) is not None for _, told in candidates), -delay))
    found = [(at, near) for at, told in candidates if (near := _near(told, best)) is not None]
    return tuple((at, 1000.0 * delay) for at, delay in found)


def _near(delays: Sequence[float], delay: float) -> float | None:
    near = min(delays, key=lambda one: abs(one - delay), default=None)
    return near if near is not None and abs(near - delay) <= _SAME_S else None


def find_onsets(samples: NDArray[np.float32], rate_hz: int) -> list[float]:
    """Find where sounds like taps begin.

    Parameters
    ----------
    samples
        Samples by channels; each channel is looked at alone, so that one cannot drown the other.
    rate_hz
        Sample rate [Hz].

    Returns
    -------
    onsets
        From the beginning of the file, in order [s].

    Raises
    ------
    ParseError
        If the extra that it needs is not installed.
    """
    try:
        from scipy import signal  # type: ignore[import-untyped] # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ParseError(f"sound cannot be analysed: {_MISSING}") from error
    frame = max(round(rate_hz * _FRAME_S), 1)
    if len(samples) < 100 * frame:
        return []
    high_hz = min(_BAND_HZ[1], 0.45 * rate_hz)
    band = signal.butter(2, (_BAND_HZ[0], high_hz), btype="bandpass", fs=rate_hz, output="sos")
    found: list[tuple[float, float]] = []
    for channel in samples.T:
        energy = _energy_db(signal.sosfilt(band, channel), frame)
        found += [(at * frame / rate_hz, level) for at, level in _rises(signal, energy)]
    found.sort()
    loudest = max((level for _, level in found), default=0.0)
    onsets: list[float] = []
    for at, level in found:
        if level >= loudest - _BELOW_LOUDEST_DB and (not onsets or at - onsets[-1] >= _APART_S):
            onsets.append(at)
    return onsets


def _energy_db(samples: NDArray[Any], frame: int) -> NDArray[Any]:
    whole = len(samples) // frame * frame
    energy = np.square(samples[:whole].astype(np.float64)).reshape(-1, frame).mean(axis=1)
    level: NDArray[Any] = 10.0 * np.log10(energy + 1e-12)
    return level


def _rises(signal: Any, energy: NDArray[Any]) -> list[tuple[float, float]]:
    """Find the frames at which the energy rises steeply out of what was before, and how high it comes."""
    frames_before, frames_after = round(_BEFORE_S / _FRAME_S), round(_AFTER_S / _FRAME_S)
    loud = _running(energy, frames_after, ahead=True)
    before = np.concatenate([np.full(1, energy[0]), _running(energy, frames_before, ahead=False)[:-1]])
    noise = float(np.median(energy))
    rise = np.where(loud > noise + _ABOVE_NOISE_DB, loud - before, 0.0)
    peaks, _ = signal.find_peaks(rise, height=_RISE_DB, distance=max(round(_APART_S / _FRAME_S), 1))
    found = []
    for peak in peaks.tolist():
        top = float(loud[peak])
        half = (top + float(before[peak])) / 2
        window = energy[peak : peak + frames_after + 1]
        over = np.flatnonzero(window >= half)
        at = peak + (int(over[0]) if len(over) else 0)
        if at > 0 and energy[at] > energy[at - 1]:  # where between two frames the energy passes half of its way
            at = at - 1 + min(max((half - energy[at - 1]) / (energy[at] - energy[at - 1]), 0.0), 1.0)
        found.append((float(at), top))
    return found


def _running(energy: NDArray[Any], frames: int, *, ahead: bool) -> NDArray[Any]:
    """Return the highest energy ahead, or the highest before: what a tap must stand out from."""
    padded = np.pad(energy, (0, frames - 1) if ahead else (frames - 1, 0), mode="edge")
    highest: NDArray[Any] = np.lib.stride_tricks.sliding_window_view(padded, frames).max(axis=1)
    return highest


def tap_test(
    overall: Sequence[tuple[float, float]],
    recorded: Sequence[tuple[float, float]] | None,
    workstation: str,
    recording: str | None,
) -> TapTest:
    """Reckon the latencies by AWS's algebra.

    Parameters
    ----------
    overall, recorded
        Taps of the two files: instant [s] and latency [ms].
    workstation, recording
        Names of the files.

    Returns
    -------
    test
        The latencies with their spread. Where both files hold the same taps, each is subtracted from its own, and
        what changes from tap to tap cancels.
    """
    total = latency([value for _, value in overall])
    notes = []
    if len(overall) < FEWEST_TAPS:
        notes.append(f"Only {counted(len(overall), 'tap')} in {workstation}; AWS's procedure asks for three or more.")
    if recorded is None:
        notes.append("Without the call recording the agent's part and that of the telephone network are unknown.")
        return TapTest(
            workstation=workstation, recording=None, overall=total, recording_latency=None, agent=None, pstn=None,
            notes=tuple(notes),
        )  # fmt: skip
    if len(recorded) < FEWEST_TAPS:
        notes.append(f"Only {counted(len(recorded), 'tap')} in {recording}; AWS's procedure asks for three or more.")
    part = latency([value for _, value in recorded])
    if _same_taps(overall, recorded):
        agent = latency([a - b for (_, a), (_, b) in zip(overall, recorded, strict=True)])
    else:
        notes.append("The two files do not hold the same taps; their means were subtracted.")
        agent = _difference(total, part)
    if agent.mean_ms < 0:
        notes.append("The recording latency exceeds the overall one: the files are of different calls, or swapped.")
    # overall - agent is the recording latency again: AWS's algebra takes what the recording shows for the PSTN's part
    pstn = latency([value for _, value in recorded])
    return TapTest(
        workstation=workstation, recording=recording, overall=total, recording_latency=part, agent=agent, pstn=pstn,
        notes=tuple(notes),
    )  # fmt: skip


def _same_taps(first: Sequence[tuple[float, float]], second: Sequence[tuple[float, float]]) -> bool:
    """Tell whether two files hold the same taps, by the pauses between them."""
    if len(first) != len(second):
        return False
    pauses = [np.diff([at for at, _ in taps]) for taps in (first, second)]
    return bool(np.all(np.abs(pauses[0] - pauses[1]) < 0.5))


def latency(taps_ms: Sequence[float]) -> Latency:
    """Summarise the latencies of taps.

    Parameters
    ----------
    taps_ms
        One or more [ms].

    Returns
    -------
    latency
        Mean and spread.

    Examples
    --------
    >>> latency([310.0, 300.0, 320.0]).mean_ms
    310.0
    """
    count = len(taps_ms)
    mean_ms = math.fsum(taps_ms) / count
    if count < 2:
        return Latency(taps_ms=tuple(taps_ms), mean_ms=mean_ms, sd_ms=None, ci95_ms=None)
    sd_ms = math.sqrt(math.fsum((tap - mean_ms) ** 2 for tap in taps_ms) / (count - 1))
    half = _t975(count - 1) * sd_ms / math.sqrt(count)
    return Latency(taps_ms=tuple(taps_ms), mean_ms=mean_ms, sd_ms=sd_ms, ci95_ms=(mean_ms - half, mean_ms + half))


def _difference(first: Latency, second: Latency) -> Latency:
    """Subtract means; the spread by Welch's approximation of the degrees of freedom."""
    mean_ms = first.mean_ms - second.mean_ms
    if first.sd_ms is None or second.sd_ms is None:
        return Latency(taps_ms=(mean_ms,), mean_ms=mean_ms, sd_ms=None, ci95_ms=None)
    parts = [one.sd_ms**2 / len(one.taps_ms) for one in (first, second) if one.sd_ms is not None]
    error = math.sqrt(sum(parts))
    weights = sum(part**2 / (len(one.taps_ms) - 1) for part, one in zip(parts, (first, second), strict=True))
    half = _t975(max(int(sum(parts) ** 2 / weights), 1)) * error if weights > 0 else 0.0
    return Latency(
        taps_ms=(mean_ms,), mean_ms=mean_ms, sd_ms=math.hypot(first.sd_ms, second.sd_ms),
        ci95_ms=(mean_ms - half, mean_ms + half),
    )  # fmt: skip


def _t975(freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t."""
    from scipy.special import stdtrit  # type: ignore[import-untyped] # noqa: PLC0415 - an extra

    return float(stdtrit(freedom, 0.975))
