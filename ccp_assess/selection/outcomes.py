"""What callers and agents would hear: the distribution of mouth-to-ear delay over all calls, and its quality.

Delay is a sum of a near and a far side that are independent of each other (any agent may take any call), so
nothing has to be sampled: means are sums, shares over a limit come from the sorted far side, the mean opinion
score is a correlation. For up to ``CELLS`` pairs it is evaluated pair by pair; above that on a grid of a quarter
of a millisecond with linear deposit, which keeps the mean exactly and the MOS to 1e-4 (tested).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ccp_assess.selection.journeys import MosCurve

FloatArray = npt.NDArray[np.float64]

MEAN, MOS, OVER_150, OVER_300, OVER_LIMIT = range(5)
"""Columns of every array of statistics: mean delay [ms], mean MOS, and shares over the limits (0 to 1)."""
STATISTICS = 5
CELLS = 250_000


@cache
def mos_curve() -> MosCurve:
    """Return the tabulated E-model (made once)."""
    return MosCurve()


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
    """

    near_ms: FloatArray
    near_weight: FloatArray
    near_ie: FloatArray
    far_ms: FloatArray
    far_weight: FloatArray
    weight: float


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
        by_near = _given(near, component.near_ie, far, component.far_weight, None, limits_ms)
        by_far = _given(far, np.zeros(far.size), near, component.near_weight, component.near_ie, limits_ms)
    return Conditional(by_near=by_near, by_far=by_far, total=component.near_weight @ by_near)


def _cells(component: Component, limits_ms: tuple[float, float, float]) -> FloatArray:
    """Statistics of every pair, near by far by statistics."""
    delay = component.near_ms[:, None] + component.far_ms[None, :]
    cells = np.empty((*delay.shape, STATISTICS))
    cells[..., MEAN] = delay
    cells[..., MOS] = mos_curve().mos(delay, component.near_ie[:, None])
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
) -> FloatArray:
    """Statistics given each of ``these``, averaged over the others."""
    result = np.empty((these.size, STATISTICS))
    result[:, MEAN] = these + weight @ others
    order = np.argsort(others, kind="stable")
    ordered, tail = others[order], np.append(np.cumsum(weight[order][::-1])[::-1], 0.0)
    for column, limit in zip((OVER_150, OVER_300, OVER_LIMIT), limits_ms, strict=True):
        result[:, column] = tail[np.searchsorted(ordered, limit - these, side="right")]
    if others_ie is None:
        groups = [(ie, these_ie == ie, weight) for ie in np.unique(these_ie)]
        for ie, mask, share in groups:
            result[mask, MOS] = _correlated_mos(these[mask], others, share, float(ie))
    else:
        result[:, MOS] = 0.0
        for ie in np.unique(others_ie):
            mask = others_ie == ie
            result[:, MOS] += _correlated_mos(these, others[mask], weight[mask], float(ie))
    return result


def _correlated_mos(these: FloatArray, others: FloatArray, weight: FloatArray, ie: float) -> FloatArray:
    """Mean MOS given each of ``these`` over the others, by a correlation on the grid of the curve."""
    curve, step = mos_curve(), MosCurve.STEP_MS
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


def percentiles(components: Sequence[Component], quantiles: Sequence[float]) -> tuple[float, ...]:
    """Weighted nearest-rank percentiles of mouth-to-ear delay over several components.

    Parameters
    ----------
    components
        Kinds of journeys with their weights.
    quantiles
        Between 0 and 1.

    Returns
    -------
    delays_ms
        The smallest delay that at least this share of calls does not exceed, to a microsecond [ms].
    """
    total = sum(component.weight for component in components)
    sorted_far = []
    for component in components:
        order = np.argsort(component.far_ms, kind="stable")
        sorted_far.append((component.far_ms[order], np.append(0.0, np.cumsum(component.far_weight[order]))))
    low = min(float(c.near_ms.min() + c.far_ms.min()) for c in components) - 1e-3
    high = max(float(c.near_ms.max() + c.far_ms.max()) for c in components) + 1e-3

    def reached(delay_ms: float) -> float:
        return sum(
            c.weight * float(c.near_weight @ cumulated[np.searchsorted(far, delay_ms - c.near_ms, side="right")])
            for c, (far, cumulated) in zip(components, sorted_far, strict=True)
        )

    result = []
    for quantile in quantiles:
        a, b = low, high
        while b - a > 1e-6:
            middle = (a + b) / 2.0
            if reached(middle) >= quantile * total * (1.0 - 1e-12):
                b = middle
            else:
                a = middle
        result.append(b)
    return tuple(result)


def mos_percentile(components: Sequence[Component], quantile: float) -> float:
    """Nearest-rank percentile of MOS over all calls of several components.

    Parameters
    ----------
    components
        Kinds of journeys with their weights.
    quantile
        Between 0 and 1.

    Returns
    -------
    mos_cqe
        The smallest MOS that at least this share of calls does not exceed [MOS-CQE].
    """
    total = sum(component.weight for component in components)
    nodes = np.linspace(1.0, 4.5, 7001)
    share = np.zeros(nodes.size)
    curve = mos_curve()
    for component in components:
        order = np.argsort(component.far_ms, kind="stable")
        far, tail = component.far_ms[order], np.append(np.cumsum(component.far_weight[order][::-1])[::-1], 0.0)
        for ie in np.unique(component.near_ie):
            mask = component.near_ie == ie
            mos = curve.mos(curve.nodes_ms, float(ie))  # falls with delay: a MOS at most m is a delay at least d(m)
            reach = curve.nodes_ms[np.minimum(np.searchsorted(-mos, -nodes, side="left"), mos.size - 1)]
            near, weight = _thinned(component.near_ms[mask], component.near_weight[mask])
            position = np.searchsorted(far, reach[:, None] - near[None, :], side="left")
            share += component.weight * (tail[position] @ weight)
    index = int(np.searchsorted(np.maximum.accumulate(share), quantile * total * (1.0 - 1e-9)))
    return float(nodes[min(index, nodes.size - 1)])


def _thinned(values: FloatArray, weight: FloatArray, most: int = 400) -> tuple[FloatArray, FloatArray]:
    """Join near sides that differ by less than a fraction of a millisecond, for a percentile of many."""
    if values.size <= most:
        return values, weight
    step = max((values.max() - values.min()) / most, 1e-9)
    index = ((values - values.min()) / step).astype(np.intp)
    mass = np.asarray(np.bincount(index, weights=weight), dtype=float)
    mean = np.bincount(index, weights=weight * values) / np.where(mass > 0, mass, 1.0)
    return mean[mass > 0], mass[mass > 0]
