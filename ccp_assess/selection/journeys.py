"""The ways a call takes through the Region, and how their parts add up from mouth to ear.

Every journey has a near side (who speaks with the caller) and a far side (the caller, perhaps by way of a transfer
target and back). Mouth to ear is their sum, so the distribution over all calls is that of near by far:

- inbound and outbound: agent leg + softphone handling, and the caller leg;
- rerouted audio: the telephone leg to the agent's device, and the caller leg;
- external transfer: the leg to the target (anchored to the Region), and the caller leg;
- circular transfer: as inbound, with the target's leg out and back on the far side;
- conference and internal calls are told per leg, but no share of calls is known for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ccp_assess.errors import ReferenceFactError
from ccp_assess.quality.codecs import codec_by_name
from ccp_assess.quality.emodel import (
    RO_FULLBAND,
    effective_equipment_impairment,
    mos_from_r,
    narrowband_r,
    pure_delay_impairment,
)
from ccp_assess.selection.legs import AgentPoint, Extra, read_leg_constants
from ccp_assess.units import Basis

FloatArray = npt.NDArray[np.float64]

SOFTPHONE_CODEC = "opus+g711"
"""The agent's packets carry Opus, the telephone network G.711: a tandem on the narrowband scale."""

SOFTPHONE_HANDLING = (
    Extra(name="packetization_ms"),
    Extra(name="codec_lookahead_ms"),
    Extra(name="playout_ms"),
    Extra(name="media_server_ms"),
    Extra(name="gateway_ms"),
)
"""What a call between a softphone and a telephone spends outside its legs."""
TELEPHONE_HANDLING = (Extra(name="media_server_ms"), Extra(name="gateway_ms", times=2.0))
"""What a call between two telephones through the Region spends outside its legs."""
CIRCULAR_HANDLING = (Extra(name="gateway_ms", times=2.0),)
"""What a call spends in addition when it leaves the Region and comes back."""


Curve = Literal["narrowband", "fullband", "response"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UseCase:
    """What the instance is for: it decides which legs count and on which scale.

    Parameters
    ----------
    name
        As on the command line.
    handling
        Planning values between the legs.
    codec
        Row or tandem of ``codecs.csv`` on the agent's side; ``None`` without audio.
    curve
        Scale of the quality; ``response`` where there is none and only the delay counts.
    callers_by_telephone
        Whether customers come by the telephone network, else by the Internet.
    agents_by_telephone
        Whether agents speak by a telephone at their site instead of the softphone.
    transfers_count
        Whether transfers to telephone numbers belong to it.
    note
        What a reader must know.
    """

    name: str
    handling: tuple[Extra, ...]
    codec: str | None
    curve: Curve
    callers_by_telephone: bool = True
    agents_by_telephone: bool = False
    transfers_count: bool = True
    note: str = ""


_BY_INTERNET = tuple(extra for extra in SOFTPHONE_HANDLING if extra.name != "gateway_ms")

USE_CASES = {
    case.name: case
    for case in (
        UseCase(name="voice", handling=SOFTPHONE_HANDLING, codec=SOFTPHONE_CODEC, curve="narrowband"),
        UseCase(
            name="video",
            handling=_BY_INTERNET,
            codec="opus_swb_vbr_40k",
            curve="fullband",
            callers_by_telephone=False,
            transfers_count=False,
            note="In-app, web and video calls: customers come by the Internet, quality is on the fullband scale, "
            "and transfers to telephone numbers are left out.",
        ),
        UseCase(
            name="telephone_only",
            handling=SOFTPHONE_HANDLING,
            codec=SOFTPHONE_CODEC,
            curve="narrowband",
            agents_by_telephone=True,
            note="Agents speak by a telephone at their site: the softphone's legs do not count.",
        ),
        UseCase(
            name="media_less",
            handling=SOFTPHONE_HANDLING,
            codec=SOFTPHONE_CODEC,
            curve="narrowband",
            agents_by_telephone=True,
            note="A media-less CCP carries no audio: it is taken to go to a telephone at the agents' site.",
        ),
        UseCase(
            name="chat",
            handling=(),
            codec=None,
            curve="response",
            callers_by_telephone=False,
            transfers_count=False,
            note="Chat has no mouth-to-ear delay: the number is the one-way delay between customer and agent, "
            "there is no MOS, and options within 50 ms count as equal.",
        ),
    )
}
"""Voice, video, telephone-only, media-less and chat, by name."""


def use_case_by_name(name: str) -> UseCase:
    """Look a use case up.

    Parameters
    ----------
    name
        One of :data:`USE_CASES`.

    Returns
    -------
    use_case
        The use case.

    Raises
    ------
    ReferenceFactError
        If there is no such use case; the text lists them.

    Examples
    --------
    >>> use_case_by_name("video").curve
    'fullband'
    """
    if name not in USE_CASES:
        raise ReferenceFactError(f"use case {name!r} is unknown; known use cases are {', '.join(USE_CASES)}")
    return USE_CASES[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlingPart:
    """One part of the way that is the same for every site.

    Parameters
    ----------
    what
        In words.
    one_way_ms
        Median [ms].
    basis
        How it is known.
    source
        Where it was read.
    """

    what: str
    one_way_ms: float
    basis: Basis
    source: str


def handling_parts(handling: Sequence[Extra] = SOFTPHONE_HANDLING) -> tuple[HandlingPart, ...]:
    """Tell what a call spends outside its legs.

    Parameters
    ----------
    handling
        Planning values of the use case.

    Returns
    -------
    parts
        Packetisation, codec, jitter buffer, media server, gateway.

    Examples
    --------
    >>> sum(part.one_way_ms for part in handling_parts())
    116.5
    """
    constants = read_leg_constants()
    return tuple(
        HandlingPart(
            what=constants[extra.name].meaning,
            one_way_ms=extra.one_way_ms,
            basis=constants[extra.name].basis,
            source=constants[extra.name].source,
        )
        for extra in handling
    )


def handling_ms(extras: Sequence[Extra], playout_ms: float | None = None) -> float:
    """Sum planning values, with the jitter buffer of a capture in place of the assumed one.

    Parameters
    ----------
    extras
        Which planning values.
    playout_ms
        Measured jitter buffer; ``None`` where it is not known [ms].

    Returns
    -------
    one_way_ms
        Their sum [ms].
    """
    return sum(
        playout_ms if extra.name == "playout_ms" and playout_ms is not None else extra.one_way_ms for extra in extras
    )


def point_impairment(point: AgentPoint, codec_name: str | None = SOFTPHONE_CODEC) -> float:
    """Codec and loss impairment of an agent point's calls.

    Parameters
    ----------
    point
        With its loss, if anybody measured it; unmeasured loss is taken as none here and said as unknown.
    codec_name
        Codec of the use case; ``None`` without audio.

    Returns
    -------
    ie_eff
        On the scale of that codec [unitless].
    """
    if codec_name is None:
        return 0.0
    codec = codec_by_name(codec_name)
    return float(
        effective_equipment_impairment(
            point.loss_pct or 0.0,
            ie=codec.ie,
            bpl=codec.bpl,
            burst_ratio=point.burst_ratio or 1.0,
            scale=codec.scale,
        )
    )


class MosCurve:
    """The E-model over mouth-to-ear delay, tabulated once every quarter of a millisecond.

    Linear interpolation between the nodes is within 2e-5 of R of the formula, as a test shows.
    """

    STEP_MS = 0.25
    TOP_MS = 8000.0

    def __init__(self, kind: Curve = "narrowband") -> None:
        self.kind = kind
        self.nodes_ms = np.arange(0.0, self.TOP_MS + self.STEP_MS, self.STEP_MS)
        if kind == "fullband":
            self.r = RO_FULLBAND - np.asarray(pure_delay_impairment(self.nodes_ms), dtype=float)
        else:
            self.r = np.asarray(narrowband_r(self.nodes_ms, codec="none"), dtype=float)
        self.r32 = self.r.astype(np.float32)

    def r_factor(self, delay_ms: FloatArray, ie_eff: FloatArray | float = 0.0) -> FloatArray:
        """Rate delays, interpolated.

        Parameters
        ----------
        delay_ms
            Mouth-to-ear delays [ms].
        ie_eff
            Codec and loss impairment, broadcast against the delays [unitless].

        Returns
        -------
        r_factor
            Narrowband scale [unitless].
        """
        position = np.clip(delay_ms / self.STEP_MS, 0.0, len(self.r) - 1.000001)
        index = position.astype(np.intp)
        part = position - index
        return np.asarray(self.r[index] + part * (self.r[index + 1] - self.r[index]) - ie_eff, dtype=float)

    def mos(self, delay_ms: FloatArray, ie_eff: FloatArray | float = 0.0) -> FloatArray:
        """Estimate MOS for delays, interpolated.

        Parameters
        ----------
        delay_ms
            Mouth-to-ear delays [ms].
        ie_eff
            Codec and loss impairment, broadcast against the delays [unitless].

        Returns
        -------
        mos_cqe
            Conversational MOS [MOS-CQE].
        """
        if self.kind == "response":
            return np.clip(4.5 - np.asarray(delay_ms, dtype=float) / 1000.0, 1.0, 4.5)
        return np.asarray(mos_from_r(self.r_factor(delay_ms, ie_eff), self.kind), dtype=float)

    def mos32(self, delay_ms: npt.NDArray[np.float32], ie_eff: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Estimate MOS for many simulated delays: nearest node, single precision (within 0.002 of :meth:`mos`).

        Parameters
        ----------
        delay_ms
            Mouth-to-ear delays [ms].
        ie_eff
            Codec and loss impairment, broadcast against the delays [unitless].

        Returns
        -------
        mos_cqe
            Conversational MOS [MOS-CQE].
        """
        if self.kind == "response":
            falling = np.float32(4.5) - delay_ms / np.float32(1000.0)
            return np.asarray(np.clip(falling, 1.0, 4.5), dtype=np.float32)
        index = (delay_ms * np.float32(1.0 / self.STEP_MS) + np.float32(0.5)).astype(np.int32)
        np.clip(index, 0, len(self.r32) - 1, out=index)
        r = self.r32.take(index)
        r -= ie_eff
        if self.kind == "fullband":
            r *= np.float32(1.0 / 1.48)
        np.clip(r, np.float32(0.0), np.float32(100.0), out=r)
        mos = (r - np.float32(60.0)) * (np.float32(100.0) - r)
        mos *= np.float32(7e-6)
        mos += np.float32(0.035)
        mos *= r
        mos += np.float32(1.0)
        return np.clip(mos, np.float32(1.0), np.float32(4.5), out=mos)
