"""Legs as distributions: cumulants that add up, and the few values that stand for a distribution.

The rule looks at what is *expected*: the share of calls over the limit and the mean MOS, averaged over the
distributions of the legs instead of taken at their medians. With few sites and origins a whole journey would
else jump over the limit by a millisecond, though nobody knows that millisecond. The first three cumulants of
independent delays add, so each side of a journey has a mean, a variance and a skewness of its own; a shifted
log-normal with these three is represented by values of equal probability.

References
----------
.. [1] Johnson, Kotz and Balakrishnan, Continuous Univariate Distributions 1, 2nd edition, chapter 14 (three-parameter
       log-normal distribution and its moments).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from math import erfc, sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from ccp_assess.selection.legs import Z90, Extra, Spread, read_leg_constants

FloatArray = npt.NDArray[np.float64]

_QUANTILES = 2000
_LEAST_SKEWNESS = 1e-3
_LEAST_VARIANCE = 1e-12


def spread_cumulants(spread: Spread) -> FloatArray:
    """First three cumulants of delays that are log-normal on either side of their median.

    Parameters
    ----------
    spread
        Medians and 90 % bands [ms].

    Returns
    -------
    cumulants
        Mean, variance and third cumulant [ms, ms², ms³], in front of the shape of the spread.
    """
    down = np.log(spread.median / spread.low) / Z90
    up = np.log(spread.high / spread.median) / Z90
    raw = [
        spread.median**power
        * (
            np.exp((power * down) ** 2 / 2.0) * _below(-power * down)
            + np.exp((power * up) ** 2 / 2.0) * _below(power * up)
        )
        for power in (1, 2, 3)
    ]
    return _from_raw(*raw)


@cache
def _normal_table() -> tuple[FloatArray, FloatArray]:
    z = np.linspace(-8.0, 8.0, 16001)
    return z, np.array([0.5 * erfc(-value / sqrt(2.0)) for value in z])


def _below(z: FloatArray) -> FloatArray:
    """Take the standard normal distribution, interpolated (within 4e-8)."""
    return np.asarray(np.interp(z, *_normal_table()))


def _from_raw(first: FloatArray, second: FloatArray, third: FloatArray) -> FloatArray:
    variance = np.maximum(second - first**2, 0.0)
    return np.array([first, variance, third - 3.0 * first * second + 2.0 * first**3])


@cache
def extra_cumulants(extra: Extra) -> FloatArray:
    """First three cumulants of a planning value times its count.

    Parameters
    ----------
    extra
        Which planning value.

    Returns
    -------
    cumulants
        Mean, variance and third cumulant; it is normal on either side of its median and never below 0.
    """
    constant = read_leg_constants()[extra.name]
    normal = NormalDist()
    z = np.array([normal.inv_cdf((index + 0.5) / _QUANTILES) for index in range(_QUANTILES)])
    widths = np.where(z > 0, constant.high - constant.value, constant.value - constant.low) / Z90
    drawn = extra.times * np.maximum(constant.value + z * widths, 0.0)
    mean = drawn.mean()
    found = np.array([mean, ((drawn - mean) ** 2).mean(), ((drawn - mean) ** 3).mean()])
    found.flags.writeable = False
    return found


def extras_cumulants(extras: Iterable[Extra]) -> FloatArray:
    """Add up planning values.

    Parameters
    ----------
    extras
        Which ones.

    Returns
    -------
    cumulants
        Of their sum.
    """
    return np.asarray(np.sum([np.zeros(3), *(extra_cumulants(extra) for extra in extras)], axis=0))


def scaled(cumulants: FloatArray, factor: float) -> FloatArray:
    """Multiply delays by a number.

    Parameters
    ----------
    cumulants
        Of the delays, in front.
    factor
        The number.

    Returns
    -------
    cumulants
        Of the products.
    """
    powers = factor ** np.arange(1.0, 4.0)
    return np.asarray(cumulants * powers.reshape(3, *[1] * (cumulants.ndim - 1)))


@cache
def _normal_values(count: int) -> FloatArray:
    normal = NormalDist()
    return np.array([normal.inv_cdf((index + 0.5) / count) for index in range(count)])


def equal_values(cumulants: FloatArray, count: int) -> FloatArray:
    """Represent distributions by a few values of equal probability, with their means and variances.

    Parameters
    ----------
    cumulants
        Three by delays.
    count
        How many values each.

    Returns
    -------
    values
        Delays by values, ascending [ms].

    Examples
    --------
    >>> equal_values(np.array([[100.0], [0.0], [0.0]]), 3)
    array([[100., 100., 100.]])
    """
    mean, variance, third = (row[:, None] for row in cumulants)
    z = _normal_values(count)[None, :]
    varies = variance > _LEAST_VARIANCE
    skewness = np.where(varies, third, 0.0) / np.where(varies, variance, 1.0) ** 1.5
    square = skewness**2
    root = np.cbrt((2.0 + square + np.sqrt(square * (4.0 + square))) / 2.0)
    width = np.sqrt(np.log(np.maximum(root + 1.0 / root - 1.0, 1.0)))
    straight = np.abs(skewness) < _LEAST_SKEWNESS
    sign = np.where(skewness < 0, -1.0, 1.0)
    shape = np.where(straight, z, sign * np.exp(np.where(straight, 0.0, width) * sign * z))
    shape = shape - shape.mean(axis=1, keepdims=True)
    deviation = shape.std(axis=1, keepdims=True)
    return np.asarray(mean + np.sqrt(variance) * shape / np.where(deviation > 0, deviation, 1.0))
