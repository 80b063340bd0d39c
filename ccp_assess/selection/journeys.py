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

import numpy as np
import numpy.typing as npt

from ccp_assess.quality.codecs import codec_by_name
from ccp_assess.quality.emodel import effective_equipment_impairment, mos_from_r, narrowband_r
from ccp_assess.selection.legs import AgentPoint, Extra, read_leg_constants
from ccp_assess.units import Basis

FloatArray = npt.NDArray[np.float64]

SOFTPHONE_CODEC = "opus+g711"
"""The agent's packets carry Opus, the telephone network G.711: a tandem on the narrowband scale."""
TELEPHONE_CODEC = "g711"

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


def handling_parts() -> tuple[HandlingPart, ...]:
    """Tell what a softphone call spends outside its legs.

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
        for extra in SOFTPHONE_HANDLING
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


def point_impairment(point: AgentPoint) -> float:
    """Codec and loss impairment of an agent point's calls.

    Parameters
    ----------
    point
        With its loss, if anybody measured it; unmeasured loss is taken as none here and said as unknown.

    Returns
    -------
    ie_eff
        On the narrowband scale [unitless].
    """
    codec = codec_by_name(SOFTPHONE_CODEC)
    return float(
        effective_equipment_impairment(
            point.loss_pct or 0.0, ie=codec.ie, bpl=codec.bpl, burst_ratio=point.burst_ratio or 1.0
        )
    )


class MosCurve:
    """The E-model over mouth-to-ear delay, tabulated once every quarter of a millisecond.

    Linear interpolation between the nodes is within 2e-5 of R of the formula, as a test shows.
    """

    STEP_MS = 0.25
    TOP_MS = 8000.0

    def __init__(self) -> None:
        self.nodes_ms = np.arange(0.0, self.TOP_MS + self.STEP_MS, self.STEP_MS)
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
        return np.asarray(mos_from_r(self.r_factor(delay_ms, ie_eff)), dtype=float)

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
        index = (delay_ms * np.float32(1.0 / self.STEP_MS) + np.float32(0.5)).astype(np.int32)
        np.clip(index, 0, len(self.r32) - 1, out=index)
        r = self.r32.take(index)
        r -= ie_eff
        np.clip(r, np.float32(0.0), np.float32(100.0), out=r)
        mos = (r - np.float32(60.0)) * (np.float32(100.0) - r)
        mos *= np.float32(7e-6)
        mos += np.float32(0.035)
        mos *= r
        mos += np.float32(1.0)
        return np.clip(mos, np.float32(1.0), np.float32(4.5), out=mos)
