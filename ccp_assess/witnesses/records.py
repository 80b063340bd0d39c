"""What every witness of a call tells in the same words: calls, one-second series and events."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ccp_assess.units import rfc3339_from_ns

Kind = Literal["agent_log", "contact_record", "webrtc_internals", "getstats", "endpoint_test", "diary", "tap_test"]
Direction = Literal["in", "out"]

MOST_SECONDS = 1_000_000
"""Rows kept of one witness: 140 hours of talk in both directions; 60 MB."""

MOST_EVENTS = 10_000
"""Events kept of one witness, of each code."""

TEXT_CHARACTERS = 400
"""Of a text in an event."""

_UNKNOWN_COUNT = -1
_COLUMNS = ("_time", "_out", "_packets", "_lost", "_jitter", "_rtt", "_audio", "_call")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFigures:
    """What a witness tells of the audio of one call in one direction.

    Parameters
    ----------
    packets
        Received (``in``) or sent (``out``) (count).
    lost
        Lost on the way (count).
    jitter_ms, jitter_max_ms
        Mean and maximum of the interarrival jitter's samples [ms].
    jitter_buffer_ms
        Mean delay in the jitter buffer [ms].
    concealed_pct
        Share of the played samples that were made up [%].
    ssrc
        Of the stream with the most packets.
    """

    packets: int | None = None
    lost: int | None = None
    jitter_ms: float | None = None
    jitter_max_ms: float | None = None
    jitter_buffer_ms: float | None = None
    concealed_pct: float | None = None
    ssrc: int | None = None

    def loss_pct(self, direction: Direction) -> float | None:
        """Share of the packets of the way that were lost [%].

        Parameters
        ----------
        direction
            ``in`` counts received packets, so that the expected ones are received and lost; ``out`` counts sent ones.

        Returns
        -------
        loss_pct
            ``None`` where a count is unknown or nothing was sent [%].
        """
        if self.packets is None or self.lost is None:
            return None
        expected = self.packets + self.lost if direction == "in" else self.packets
        return min(100.0 * self.lost / expected, 100.0) if expected > 0 else None

    def to_document(self, direction: Direction) -> dict[str, Any]:
        """Return the figures of one direction as in the contract.

        Parameters
        ----------
        direction
            Which one.

        Returns
        -------
        document
            Unknown is ``None``.
        """
        return {
            "packets": self.packets,
            "lost": self.lost,
            "loss_pct": rounded(self.loss_pct(direction)),
            "jitter_ms": rounded(self.jitter_ms),
            "jitter_max_ms": rounded(self.jitter_max_ms),
            "jitter_buffer_ms": rounded(self.jitter_buffer_ms),
            "concealed_pct": rounded(self.concealed_pct),
            "ssrc": None if self.ssrc is None else f"0x{self.ssrc & 0xFFFFFFFF:08x}",
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessCall:
    """One call as a witness tells it.

    Parameters
    ----------
    contact_id
        In lower case; ``None`` if unknown.
    start_ns, end_ns
        By the witness's own clock, since 1970 [ns].
    inbound, outbound
        The audio towards the agent, and from the agent.
    rtt_ms
        Samples of the round-trip time, each counted once [ms].
    rtt_source
        ``rtcp`` (to the far end of the media) or ``stun`` (of the path in use); ``None`` without samples.
    more
        Further facts of this kind of witness.
    """

    contact_id: str | None = None
    start_ns: int | None = None
    end_ns: int | None = None
    inbound: StreamFigures = field(default_factory=StreamFigures)
    outbound: StreamFigures = field(default_factory=StreamFigures)
    rtt_ms: Sequence[float] = ()
    rtt_source: Literal["rtcp", "stun"] | None = None
    more: dict[str, Any] = field(default_factory=dict)

    def to_document(self) -> dict[str, Any]:
        """Return the call as in the contract.

        Returns
        -------
        document
            Instants in RFC 3339, unknown is ``None``.
        """
        return {
            "contact_id": self.contact_id,
            "start_time": instant(self.start_ns),
            "end_time": instant(self.end_ns),
            "in": self.inbound.to_document("in"),
            "out": self.outbound.to_document("out"),
            "rtt_ms": {**spread(self.rtt_ms), "source": self.rtt_source if self.rtt_ms else None},
            **self.more,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened at an instant.

    Parameters
    ----------
    time_ns
        Since 1970 [ns]; ``None`` if unknown.
    code
        Upper case with underscores, or the code that a diary holds.
    text
        One sentence, or what the witness wrote.
    """

    time_ns: int | None
    code: str
    text: str

    def to_document(self) -> dict[str, Any]:
        """Return the event as in the contract.

        Returns
        -------
        document
            ``time``, ``code`` and ``text``.
        """
        return {"time": instant(self.time_ns), "code": self.code, "text": self.text[:TEXT_CHARACTERS]}


class Seconds:
    """One-second series in columns: a shift's worth of rows in a few megabytes.

    Parameters
    ----------
    limit
        Rows kept (count); further ones are counted only.
    """

    __slots__ = (*_COLUMNS, "beyond", "limit")

    def __init__(self, limit: int = MOST_SECONDS) -> None:
        self.limit = limit
        self.beyond = 0
        self._time = array("q")
        self._out = array("b")
        self._packets = array("q")
        self._lost = array("q")
        self._jitter = array("d")
        self._rtt = array("d")
        self._audio = array("d")
        self._call = array("l")

    def __len__(self) -> int:
        return len(self._time)

    def add(
        self,
        *,
        time_ns: int,
        direction: Direction,
        packets: float | None = None,
        lost: float | None = None,
        jitter_ms: float | None = None,
        rtt_ms: float | None = None,
        audio_level: float | None = None,
        call: int = -1,
    ) -> None:
        """Keep a row.

        Parameters
        ----------
        time_ns
            End of the second, since 1970 [ns].
        direction
            ``in`` is towards the agent.
        packets, lost
            Within this second (count).
        jitter_ms, rtt_ms
            As sampled [ms].
        audio_level
            On the witness's own scale.
        call
            Index of the call; -1 if not known yet.
        """
        if len(self._time) >= self.limit:
            self.beyond += 1
            return
        self._time.append(time_ns)
        self._out.append(direction == "out")
        self._packets.append(_count(packets))
        self._lost.append(_count(lost))
        self._jitter.append(_number(jitter_ms))
        self._rtt.append(_number(rtt_ms))
        self._audio.append(_number(audio_level))
        self._call.append(call)

    def in_time(self) -> Seconds:
        """Return the rows in the order of time, each instant and direction of a call once.

        Returns
        -------
        seconds
            A new series; of rows with the same instant, direction and call the first one kept.
        """
        result = Seconds(self.limit)
        result.beyond = self.beyond
        if not len(self):
            return result
        order = np.lexsort((self._call, self._out, self._time))  # keys from the least to the most significant
        keys = [np.asarray(column)[order] for column in (self._time, self._out, self._call)]
        first = np.ones(len(order), bool)
        first[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
        for name in _COLUMNS:
            column = getattr(self, name)
            kept = np.asarray(column)[order][first]
            setattr(result, name, array(column.typecode, kept.tobytes()))
        return result

    def rows(self) -> Iterator[Second]:
        """Yield the rows.

        Yields
        ------
        row
            Unknown is ``None``.
        """
        for at in range(len(self)):
            yield self[at]

    def __getitem__(self, at: int) -> Second:
        return Second(
            time_ns=self._time[at],
            direction="out" if self._out[at] else "in",
            packets=None if self._packets[at] < 0 else self._packets[at],
            lost=None if self._lost[at] < 0 else self._lost[at],
            jitter_ms=_optional(self._jitter[at]),
            rtt_ms=_optional(self._rtt[at]),
            audio_level=_optional(self._audio[at]),
            call=self._call[at],
        )

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return the columns for reckoning; a change in them is a change of the series.

        Returns
        -------
        columns
            ``time`` [ns], ``out`` (1 for ``out``), ``packets`` and ``lost`` (-1 if unknown), ``jitter``, ``rtt`` [ms]
            and ``audio`` (NaN if unknown), ``call`` (-1 if unknown). No row can be added while they are in use.
        """
        return {
            name[1:]: np.frombuffer(getattr(self, name), dtype=getattr(self, name).typecode)
            if len(self)
            else np.empty(0, dtype=getattr(self, name).typecode)
            for name in _COLUMNS
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """One row of a one-second series.

    Parameters
    ----------
    time_ns
        End of the second, since 1970 [ns].
    direction
        ``in`` is towards the agent.
    packets, lost
        Within this second (count).
    jitter_ms, rtt_ms
        As sampled [ms].
    audio_level
        On the witness's own scale.
    call
        Index of the call.
    """

    time_ns: int
    direction: Direction
    packets: int | None
    lost: int | None
    jitter_ms: float | None
    rtt_ms: float | None
    audio_level: float | None
    call: int

    def to_document(self) -> dict[str, Any]:
        """Return the row as in the contract.

        Returns
        -------
        document
            With ``call``, the index of its call, where that is known.
        """
        return {
            "time": rfc3339_from_ns(self.time_ns),
            "direction": self.direction,
            "packets": self.packets,
            "lost": self.lost,
            "jitter_ms": rounded(self.jitter_ms),
            "rtt_ms": rounded(self.rtt_ms),
            "audio_level": rounded(self.audio_level, 6),
            "call": self.call if self.call >= 0 else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """What one file told.

    Parameters
    ----------
    kind
        What the file is.
    file
        Its name.
    calls
        In the order of time.
    seconds
        One-second series of all calls.
    events
        In the order of time.
    notes
        What a reader must know, one sentence each: what was cut, skipped, or not believed.
    more
        Further facts of this kind of witness.
    """

    kind: Kind
    file: str
    calls: tuple[WitnessCall, ...] = ()
    seconds: Seconds = field(default_factory=Seconds)
    events: tuple[Event, ...] = ()
    notes: tuple[str, ...] = ()
    more: dict[str, Any] = field(default_factory=dict)

    def to_document(self, *, with_seconds: bool = True) -> dict[str, Any]:
        """Return one element of the list that ``witness read`` prints.

        Parameters
        ----------
        with_seconds
            Without them ``seconds`` is empty: a shift has a hundred thousand.

        Returns
        -------
        document
            As in the contract, with ``file`` and ``notes``.
        """
        return {
            "kind": self.kind,
            "file": self.file,
            "calls": [call.to_document() for call in self.calls],
            "seconds": [row.to_document() for row in self.seconds.rows()] if with_seconds else [],
            "events": [event.to_document() for event in self.events],
            "notes": list(self.notes),
            **self.more,
        }


def instant(time_ns: int | None) -> str | None:
    """Write an instant that may be unknown.

    Parameters
    ----------
    time_ns
        Since 1970 [ns].

    Returns
    -------
    text
        RFC 3339 in UTC.
    """
    return None if time_ns is None else rfc3339_from_ns(time_ns)


def nearest_rank(values: Sequence[float], percent: float) -> float | None:
    """Return a percentile by the nearest-rank method.

    Parameters
    ----------
    values
        In any order.
    percent
        Above 0, up to 100 [%].

    Returns
    -------
    value
        One of the values; ``None`` without values.

    Examples
    --------
    >>> nearest_rank([3, 1, 2, 4], 50), nearest_rank([3, 1, 2, 4], 95), nearest_rank([], 50)
    (2, 4, None)
    """
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(math.ceil(percent / 100 * len(ordered)), 1) - 1]


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Summarise samples as the contract does.

    Parameters
    ----------
    values
        Samples in one unit.

    Returns
    -------
    document
        ``p50``, ``p95``, ``max`` and ``n``.

    Examples
    --------
    >>> spread([10.0, 30.0, 20.0])
    {'p50': 20.0, 'p95': 30.0, 'max': 30.0, 'n': 3}
    """
    return {
        "p50": rounded(nearest_rank(values, 50)),
        "p95": rounded(nearest_rank(values, 95)),
        "max": rounded(max(values, default=None)),
        "n": len(values),
    }


def mean(values: Iterable[float]) -> float | None:
    """Return the mean.

    Parameters
    ----------
    values
        Samples in one unit.

    Returns
    -------
    mean
        ``None`` without values.
    """
    kept = list(values)
    return math.fsum(kept) / len(kept) if kept else None


def rounded(value: float | None, digits: int = 4) -> float | None:
    """Round what is only written, never what is computed with.

    Parameters
    ----------
    value
        A number or ``None``.
    digits
        Behind the point.

    Returns
    -------
    value
        Rounded; ``None`` for what is no finite number.
    """
    if value is None or not math.isfinite(value):
        return None
    return round(value, digits)


def bounded(events: Iterable[Event]) -> tuple[tuple[Event, ...], int]:
    """Put events in the order of time and keep so many of each code that no file can fill the memory.

    Parameters
    ----------
    events
        In any order.

    Returns
    -------
    events, beyond
        Those kept, and how many were not (count).
    """
    kept: list[Event] = []
    counts: dict[str, int] = {}
    beyond = 0
    for event in sorted(events, key=lambda event: event.time_ns or 0):
        counts[event.code] = counts.get(event.code, 0) + 1
        if counts[event.code] > MOST_EVENTS:
            beyond += 1
        else:
            kept.append(event)
    return tuple(kept), beyond


def _count(value: float | None) -> int:
    if value is None or not math.isfinite(value) or value < 0 or value > 1e15:
        return _UNKNOWN_COUNT
    return int(value)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _optional(value: float) -> float | None:
    return value if math.isfinite(value) else None
