"""What callers and agents would hear: the distribution of mouth-to-ear delay over all calls, and its quality.

Delay is a sum of a near and a far side that are independent of each other (any agent may take any call), so
nothing has to be sampled: means are sums, shares over a limit come from the sorted far side, the mean opinion
score is a correlation. For up to ``CELLS`` pairs it is evaluated pair by pair; above that on a grid of a quarter
of a millisecond with linear deposit, which keeps the mean exactly and the MOS to 1e-4 (tested).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ccp_assess.selection.journeys import Curve, MosCurve

FloatArray = npt.NDArray[np.float64]

MEAN, MOS, OVER_150, OVER_300, OVER_LIMIT = range(5)
"""Columns of every array of statistics: mean delay [ms], mean MOS, and shares over the limits (0 to 1)."""
STATISTICS = 5
CELLS = 250_000


@cache
def mos_curve(kind: Curve = "narrowband") -> MosCurve:
    """Return the tabulated E-model (made once per scale).

    Parameters
    ----------
    kind
        Scale of the quality.

    Returns
    -------
    curve
        MOS over delay.
    """
    return MosCurve(kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One kind of journey in one Region: every near side meets every far side.

    Parameters
    ----------
    near_ms, near_weight, near_ie
        Delay of each near side with its handling, its share of this component (sum 1), and its codec and loss
        impairment.
    far_ms, far_weight
        Delay of each far side and its share (sum 1).
    weight
        Importance of the component against the others.
    curve
        Scale of the quality.
    """

    near_ms: FloatArray
    near_weight: FloatArray
    near_ie: FloatArray
    far_ms: FloatArray
    far_weight: FloatArray
    weight: float
    curve: Curve = "narrowband"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditional:
    """Statistics of a component given its near side, given its far side, and in all.

    Parameters
    ----------
    by_near
        Near sides by statistics.
    by_far
        Far sides by statistics.
    total
        Statistics of the component.
    """

    by_near: FloatArray
    by_far: FloatArray
    total: FloatArray

    def averaged(self, values: int) -> Conditional:
        """Average neighbours that are values of one and the same side.

        Parameters
        ----------
        values
            How many of them each side has (count).

        Returns
        -------
        statistics
            Given each side.
        """
        return Conditional(
            by_near=self.by_near.reshape(-1, values, STATISTICS).mean(axis=1),
            by_far=self.by_far.reshape(-1, values, STATISTICS).mean(axis=1),
            total=self.total,
        )


def evaluate(component: Component, limits_ms: tuple[float, float, float]) -> Conditional:
    """Compute the exact statistics of a component.

    Parameters
    ----------
    component
        Near and far sides.
    limits_ms
        The three limits that shares are counted over [ms].

    Returns
    -------
    statistics
        Given each near side, given each far side, and in all.
    """
    near, far = component.near_ms, component.far_ms
    if near.size * far.size <= CELLS:
        cells = _cells(component, limits_ms)
        by_near = np.einsum("nms,m->ns", cells, component.far_weight)
        by_far = np.einsum("nms,n->ms", cells, component.near_weight)
    else:
        by_near = _given(near, component.near_ie, far, component.far_weight, None, limits_ms, component.curve)
        by_far = _given(
            far, np.zeros(far.size), near, component.near_weight, component.near_ie, limits_ms, component.curve
        )
    return Conditional(by_near=by_near, by_far=by_far, total=component.near_weight @ by_near)


def _cells(component: Component, limits_ms: tuple[float, float, float]) -> FloatArray:
    """Statistics of every pair, near by far by statistics."""
    delay = component.near_ms[:, None] + component.far_ms[None, :]
    cells = np.empty((*delay.shape, STATISTICS))
    cells[..., MEAN] = delay
    cells[..., MOS] = mos_curve(component.curve).mos(delay, component.near_ie[:, None])
    for column, limit in zip((OVER_150, OVER_300, OVER_LIMIT), limits_ms, strict=True):
        cells[..., column] = delay > limit
    return cells


def _given(  # noqa: PLR0917 - two sides of one sum
    these: FloatArray,
    these_ie: FloatArray,
    others: FloatArray,
    weight: FloatArray,
    others_ie: FloatArray | None,
    limits_ms: tuple[float, float, float],
    kind: Curve,
) -> FloatArray:
    """Statistics given each of ``these``, averaged over the others."""
    result = np.empty((these.size, STATISTICS))
    result[:, MEAN] = these + weight @ others
    order = np.argsort(others, kind="stable")
    ordered, tail = others[order], np.append(np.cumsum(weight[order][::-1])[::-1], 0.0)
    for column, limit in zip((OVER_150, OVER_300, OVER_LIMIT), limits_ms, strict=True):
        result[:, column] = tail[np.searchsorted(ordered, limit - these, side="right")]
    ies, class_of = _impairment_classes(these_ie if others_ie is None else others_ie)
    result[:, MOS] = 0.0
    for position, ie in enumerate(ies):
        mask = class_of == position
        if others_ie is None:
            result[mask, MOS] = _correlated_mos(these[mask], others, weight, float(ie), kind)
        else:
            result[:, MOS] += _correlated_mos(these, others[mask], weight[mask], float(ie), kind)
    return result


def _correlated_mos(these: FloatArray, others: FloatArray, weight: FloatArray, ie: float, kind: Curve) -> FloatArray:
    """Mean MOS given each of ``these`` over the others, by a correlation on the grid of the curve."""
    curve, step = mos_curve(kind), MosCurve.STEP_MS
    low = np.floor(others.min() / step) * step
    mass = deposit(others[None, :] - low, weight[None, :], step, int((others.max() - low) / step) + 2)[0]
    start = np.floor(these.min() / step) * step
    nodes = int((these.max() - start) / step) + 2
    delays = start + low + step * np.arange(nodes + mass.size - 1)
    values = curve.mos(delays, ie)
    size = 1 << int(np.ceil(np.log2(values.size + mass.size)))
    spectrum = np.fft.rfft(values, size) * np.conj(np.fft.rfft(mass, size))
    table = np.fft.irfft(spectrum, size)[:nodes]
    position = (these - start) / step
    index = np.minimum(position.astype(np.intp), nodes - 2)
    part = position - index
    return np.asarray(table[index] + part * (table[index + 1] - table[index]), dtype=float)


def deposit(
    values: npt.NDArray[np.floating[Any]], weight: npt.NDArray[np.floating[Any]], step: float, bins: int
) -> FloatArray:
    """Put weights on a grid so that the mean is kept: each on its two neighbours in proportion.

    Parameters
    ----------
    values
        Rows by items, from 0 up.
    weight
        The same shape, or one row for all.
    step
        Width of the grid.
    bins
        Nodes of the grid; values beyond its end go to the last node.

    Returns
    -------
    mass
        Rows by nodes.
    """
    rows = values.shape[0]
    position = np.clip(values / step, 0.0, bins - 1.000001)
    index = position.astype(np.intp)
    part = position - index
    weights = np.broadcast_to(weight, values.shape)
    flat = (index + bins * np.arange(rows)[:, None]).ravel()
    mass = np.bincount(flat, weights=(weights * (1.0 - part)).ravel(), minlength=rows * bins)
    mass += np.bincount(flat + 1, weights=(weights * part).ravel(), minlength=rows * bins)[: rows * bins]
    return np.asarray(mass.reshape(rows, bins), dtype=float)


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentiles:
    """Nearest-rank percentiles over all calls of an option.

    Parameters
    ----------
    p50_ms, p95_ms
        Mouth-to-ear delay that half, and 95 %, of calls do not exceed [ms].
    mos_p05
        MOS that 5 % of calls do not exceed [MOS-CQE].
    """

    p50_ms: float
    p95_ms: float
    mos_p05: float


def percentiles(components: Sequence[Component]) -> Percentiles:
    """Weighted nearest-rank percentiles of delay and MOS over several components.

    Parameters
    ----------
    components
        Kinds of journeys with their weights.

    Returns
    -------
    percentiles
        Exact for small clients; to a tenth of a millisecond for those beyond ``CELLS`` pairs.
    """
    total = sum(component.weight for component in components)
    groups = [group for component in components for group in _distributions(component)]
    delay = np.concatenate([values for values, _, _ in groups])
    weight = np.concatenate([share for _, share, _ in groups])
    mos = np.concatenate([mos_curve(components[0].curve).mos(values, ie) for values, _, ie in groups])
    order, by_quality = np.argsort(delay, kind="stable"), np.argsort(mos, kind="stable")
    reached, reached_mos = np.cumsum(weight[order]), np.cumsum(weight[by_quality])

    def at(sorted_values: FloatArray, cumulated: FloatArray, quantile: float) -> float:
        index = int(np.searchsorted(cumulated, quantile * total * (1.0 - 1e-9)))
        return float(sorted_values[min(index, sorted_values.size - 1)])

    return Percentiles(
        p50_ms=at(delay[order], reached, 0.5),
        p95_ms=at(delay[order], reached, 0.95),
        mos_p05=at(mos[by_quality], reached_mos, 0.05),
    )


_FINE_MS = 0.1


def _distributions(component: Component) -> Iterator[tuple[FloatArray, FloatArray, FloatArray | float]]:
    """Delays of a component with their weights and impairments: pair by pair, or on a fine grid."""
    near, far = component.near_ms, component.far_ms
    if near.size * far.size <= CELLS:
        delay = near[:, None] + far[None, :]
        weight = component.weight * component.near_weight[:, None] * component.far_weight[None, :]
        yield delay.ravel(), weight.ravel(), np.repeat(component.near_ie, far.size)
        return
    ies, class_of = _impairment_classes(component.near_ie)
    low_far = float(far.min())
    far_mass = deposit(
        far[None, :] - low_far, component.far_weight[None, :], _FINE_MS, int(np.ptp(far) / _FINE_MS) + 2
    )[0]
    for position, ie in enumerate(ies):
        mask = class_of == position
        low = float(near[mask].min())
        bins = int(np.ptp(near[mask]) / _FINE_MS) + 2
        near_mass = deposit(near[None, mask] - low, component.near_weight[None, mask], _FINE_MS, bins)[0]
        width = near_mass.size + far_mass.size - 1
        size = 1 << int(np.ceil(np.log2(width)))
        mass = np.fft.irfft(np.fft.rfft(near_mass, size) * np.fft.rfft(far_mass, size), size)[:width]
        yield low + low_far + _FINE_MS * np.arange(width), component.weight * np.maximum(mass, 0.0), float(ie)


def _impairment_classes(near_ie: FloatArray, most: int = 8) -> tuple[FloatArray, npt.NDArray[np.intp]]:
    """Join impairments that differ by little where there are very many: at most ``most`` classes."""
    values = np.unique(near_ie)
    if values.size > most:
        values = np.unique(np.quantile(near_ie, (np.arange(most) + 0.5) / most))
    edges = (values[1:] + values[:-1]) / 2.0
    return values, np.searchsorted(edges, near_ie).astype(np.intp)
