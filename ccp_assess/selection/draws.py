"""Simulated worlds: every leg drawn from its own distribution, what is common drawn once.

A draw is one possible truth about the network. Each leg takes its normal deviate from a window of one long
pool of deviates; where the window starts is a hash of what the leg *is* (its places, access and measurements,
and the Region). So the same leg gets the same draws in every run with the same seed: the order of rows,
further sites or further Regions change nothing for it, and two variants of a client differ only where they differ
(common random numbers). Half of the variance of a modelled leg is common to its pair of countries, and a planning value
is drawn once for all legs that use it.

Within a draw nothing is sampled: the statistics over all calls are computed from near by far, pair by pair for a
small client and by a correlation on a grid for a large one.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ccp_assess.selection.legs import Z90, Extra, LegTable, read_leg_constants
from ccp_assess.selection.outcomes import MEAN, MOS, OVER_150, OVER_300, OVER_LIMIT, STATISTICS, deposit, mos_curve

Float32Array = npt.NDArray[np.float32]

POOL = 1 << 20
DIRECT_CELLS = 8_000_000
"""Pairs by draws up to which a component is simulated pair by pair."""
_GRID_NODES = 512
_FINE = 4
_BATCH = 64


def identity(text: str) -> np.uint64:
    """Hash an identity to 64 bits, the same on every machine.

    Parameters
    ----------
    text
        What a leg or a shared factor is.

    Returns
    -------
    number
        From BLAKE2b.
    """
    return np.uint64(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little"))


class Draws:
    """A source of deviates for named things.

    Parameters
    ----------
    seed
        The same seed gives the same worlds.
    count
        How many worlds.
    """

    def __init__(self, *, seed: int, count: int) -> None:
        self.seed, self.count = seed, count
        self._pool = np.random.default_rng(seed).standard_normal(POOL + count, dtype=np.float32)
        self._identities: dict[str, np.uint64] = {}

    def offsets(self, keys: Sequence[str], region_code: str) -> npt.NDArray[np.int64]:
        """Where in the pool each key's deviates towards a Region begin."""
        for key in keys:
            if key not in self._identities:
                self._identities[key] = identity(key)
        mixed = np.array([self._identities[key] for key in keys], dtype=np.uint64)
        with np.errstate(over="ignore"):
            mixed = (mixed ^ identity(region_code)) * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(29)
            mixed *= np.uint64(0xBF58476D1CE4E5B9)
        return (mixed >> np.uint64(40)).astype(np.int64) % POOL

    def deviates(self, key: str) -> Float32Array:
        """Deviates of one shared factor, one per draw."""
        start = int(self.offsets([key], "")[0])
        return self._pool[start : start + self.count]

    def block(self, offsets: npt.NDArray[np.int64], first: int, last: int) -> Float32Array:
        """Deviates of many keys for draws ``first`` to ``last``, draws by keys."""
        windows = np.lib.stride_tricks.sliding_window_view(self._pool, last - first)
        return np.ascontiguousarray(windows[offsets + first].T)

    def planning_value(self, extra: Extra) -> Float32Array:
        """Draws of a planning value times its count, never below 0 [ms]."""
        constant = read_leg_constants()[extra.name]
        z = self.deviates(f"planning|{extra.name}")
        up, down = (constant.high - constant.value) / Z90, (constant.value - constant.low) / Z90
        drawn = constant.value + z * np.where(z > 0, np.float32(up), np.float32(down))
        return np.asarray(np.maximum(drawn, 0.0) * extra.times, dtype=np.float32)


class LegDraws:
    """Draws of all legs of a table towards one Region, made when asked for.

    Parameters
    ----------
    draws
        Source of the deviates.
    legs
        The table.
    column
        Which Region.
    region_code, region_country
        Its code and country.
    """

    def __init__(self, draws: Draws, legs: LegTable, column: int, *, region_code: str, region_country: str) -> None:
        self._draws = draws
        self.rows = len(legs.keys)
        median = legs.network.median[:, column]
        self._median = median.astype(np.float32)
        self._down = (np.log(median / legs.network.low[:, column]) / Z90).astype(np.float32)
        self._up = (np.log(legs.network.high[:, column] / median) / Z90).astype(np.float32)
        measured = legs.basis[:, column] == "measured"
        self._offsets = draws.offsets(legs.keys, region_code)
        shared = read_leg_constants()["shared_variance_pct"].value / 100.0
        self._shared = np.where(measured, 0.0, np.sqrt(shared)).astype(np.float32)
        self._own = np.where(measured, 1.0, np.sqrt(1.0 - shared)).astype(np.float32)
        countries = sorted({country or "" for country in legs.countries})
        order = {country: index for index, country in enumerate(countries)}
        self._pair = np.array([order[country or ""] for country in legs.countries], dtype=np.intp)
        self._pair_deviates = np.array(
            [draws.deviates(f"pair|{'|'.join(sorted((country, region_country)))}") for country in countries],
            dtype=np.float32,
        ).reshape(len(countries), draws.count)
        kinds = sorted(set(legs.extras), key=repr)
        self._kind = np.array([kinds.index(extras) for extras in legs.extras], dtype=np.intp)
        self._kind_values = np.array(
            [np.sum([draws.planning_value(extra) for extra in extras], axis=0) for extras in kinds], dtype=np.float32
        ).reshape(len(kinds), draws.count)
        self._modelled = np.where(measured, 0.0, 1.0).astype(np.float32)

    def block(self, first: int, last: int, rows: npt.NDArray[np.intp] | slice = slice(None)) -> Float32Array:
        """One-way delays for draws ``first`` to ``last``, draws by rows [ms]."""
        z = self._draws.block(self._offsets[rows], first, last)
        z *= self._own[rows]
        z += self._pair_deviates[self._pair[rows], first:last].T * self._shared[rows]
        z *= np.where(z > 0, self._up[rows], self._down[rows])
        np.exp(z, out=z)
        z *= self._median[rows]
        z += self._kind_values[self._kind[rows], first:last].T * self._modelled[rows]
        return z

    def mean_by_basis(
        self, rows: npt.NDArray[np.intp], weight: npt.NDArray[np.float64]
    ) -> dict[str, npt.NDArray[np.float64]]:
        """Weighted sum of legs in every draw, split by what they rest on.

        Parameters
        ----------
        rows
            Which legs.
        weight
            Their weights.

        Returns
        -------
        sums
            By basis: measured, modelled, and the planning values of modelled legs as assumed [ms].
        """
        count = self._draws.count
        sums = {basis: np.zeros(count) for basis in ("measured", "modelled", "assumed")}
        modelled = self._modelled[rows].astype(float)
        for first in range(0, count, 256):
            last = min(first + 256, count)
            extra = self._kind_values[self._kind[rows], first:last].T * self._modelled[rows]
            network = self.block(first, last, rows) - extra
            sums["measured"][first:last] = network @ (weight * (1.0 - modelled))
            sums["modelled"][first:last] = network @ (weight * modelled)
            sums["assumed"][first:last] = extra @ weight
        return sums


def simulate_direct(  # noqa: PLR0917 - two sides of one sum
    near: Float32Array,
    near_weight: Float32Array,
    near_ie: Float32Array,
    far: Float32Array,
    far_weight: Float32Array,
    limits_ms: tuple[float, float, float],
) -> npt.NDArray[np.float64]:
    """Statistics of a component in every draw, pair by pair.

    Parameters
    ----------
    near, far
        Draws by near sides and draws by far sides, handling included [ms].
    near_weight, far_weight
        Shares, sum 1 each.
    near_ie
        Codec and loss impairment of the near sides [unitless].
    limits_ms
        The three limits [ms].

    Returns
    -------
    statistics
        Draws by statistics.
    """
    draws, result = near.shape[0], np.empty((near.shape[0], STATISTICS))
    batch = max(1, 400_000 // max(near.shape[1] * far.shape[1], 1))
    for first in range(0, draws, batch):
        part = slice(first, first + batch)
        delay = near[part, :, None] + far[part, None, :]
        result[part, MEAN] = near[part] @ near_weight + far[part] @ far_weight
        result[part, MOS] = (mos_curve().mos32(delay, near_ie[None, :, None]) @ far_weight) @ near_weight
        for column, limit in zip((OVER_150, OVER_300, OVER_LIMIT), limits_ms, strict=True):
            result[part, column] = ((delay > limit).astype(np.float32) @ far_weight) @ near_weight
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class FarSide:
    """One way to the far side: independent parts that add up, and its importance.

    Parameters
    ----------
    parts
        Each part as draws by values [ms] and the shares of these values (sum 1).
    weight
        Importance against the other ways.
    """

    parts: tuple[tuple[Float32Array, Float32Array], ...]
    weight: float


def simulate_large(
    near_block: Callable[[int, int], Float32Array],
    near_weight: Float32Array,
    near_ie: Float32Array,
    fars: Sequence[FarSide],
    limits_ms: tuple[float, float, float],
) -> npt.NDArray[np.float64]:
    """Statistics of journeys with very many near sides in every draw, by a correlation on a grid.

    Parameters
    ----------
    near_block
        Gives draws ``first`` to ``last`` of the near sides, handling included, so that memory stays small [ms].
    near_weight, near_ie
        Share and impairment of each near side.
    fars
        Ways to the far side.
    limits_ms
        The three limits [ms].

    Returns
    -------
    statistics
        Draws by statistics, averaged over the ways by their weights.
    """
    count = fars[0].parts[0][0].shape[0]
    result = np.empty((count, STATISTICS))
    classes = ie_classes(near_ie, near_weight)
    total = sum(far.weight for far in fars)
    for first in range(0, count, _BATCH):
        last = min(first + _BATCH, count)
        sides = near_block(first, last)
        far_mean = sum(
            far.weight / total * sum(values[first:last] @ weight for values, weight in far.parts) for far in fars
        )
        result[first:last, MEAN] = sides @ near_weight + far_mean
        low, high = float(sides.min()), float(sides.max())
        step = max((high - low) / _GRID_NODES, 0.25)
        far_low, mass = _far_mass(fars, first, last, step)
        tables = _tables(mass, far_low + low, step, [ie for ie, _ in classes], limits_ms)
        sides -= np.float32(low)
        sides *= np.float32(_FINE / step)
        sides += np.float32(0.5)
        index = sides.astype(np.intp)
        np.minimum(index, tables.shape[1] - 1, out=index)
        for draw in range(last - first):
            looked_up = tables[draw].take(index[draw], axis=0)
            result[first + draw, [OVER_150, OVER_300, OVER_LIMIT]] = near_weight @ looked_up[:, :3]
            result[first + draw, MOS] = sum(float(share @ looked_up[:, 3 + c]) for c, (_, share) in enumerate(classes))
    return result


def ie_classes(near_ie: Float32Array, weight: Float32Array, most: int = 4) -> list[tuple[float, Float32Array]]:
    """Join impairments into few classes; a side between two classes counts to both in proportion.

    Parameters
    ----------
    near_ie
        Impairment of each near side [unitless].
    weight
        Its share.
    most
        How many classes at most.

    Returns
    -------
    classes
        Impairment and, for every near side, its share in that class; the mean impairment is kept exactly.
    """
    values = np.unique(near_ie)
    if values.size > most:
        values = np.quantile(near_ie, np.linspace(0.0, 1.0, most)).astype(np.float32)
        values = np.unique(values)
    if values.size == 1:
        return [(float(values[0]), weight)]
    upper = np.clip(np.searchsorted(values, near_ie, side="left"), 1, values.size - 1)
    part = (near_ie - values[upper - 1]) / (values[upper] - values[upper - 1])
    shares = np.zeros((values.size, near_ie.size), dtype=np.float32)
    rows = np.arange(near_ie.size)
    shares[upper - 1, rows] = weight * (1.0 - part)
    shares[upper, rows] += weight * part
    return [(float(value), share) for value, share in zip(values, shares, strict=True)]


def _far_mass(fars: Sequence[FarSide], first: int, last: int, step: float) -> tuple[float, Float32Array]:
    """Distribution of the far side on a grid, one row per draw, and where the grid begins [ms]."""
    lows, grids = [], []
    for far in fars:
        low, grid = 0.0, None
        for values, weight in far.parts:
            part_low, part = _deposit(values[first:last], weight, step)
            low += part_low
            grid = part if grid is None else _convolved(grid, part)
        assert grid is not None  # noqa: S101 - every way has a part
        lows.append(low)
        grids.append(grid)
    start = min(lows)
    shifts = [round((low - start) / step) for low in lows]
    width = max(shift + grid.shape[1] for shift, grid in zip(shifts, grids, strict=True))
    total = sum(far.weight for far in fars)
    mass = np.zeros((last - first, width), dtype=np.float32)
    for far, shift, grid in zip(fars, shifts, grids, strict=True):
        mass[:, shift : shift + grid.shape[1]] += grid * np.float32(far.weight / total)
    return start, mass


def _deposit(values: Float32Array, weight: Float32Array, step: float) -> tuple[float, Float32Array]:
    low = math.floor(float(values.min()) / step) * step  # all grids share their nodes
    bins = int((float(values.max()) - low) / step) + 2
    return low, deposit(values - np.float32(low), weight, step, bins).astype(np.float32)


def _convolved(a: Float32Array, b: Float32Array) -> Float32Array:
    width = a.shape[1] + b.shape[1] - 1
    size = 1 << int(np.ceil(np.log2(width)))
    product = np.fft.rfft(a, size, axis=1) * np.fft.rfft(b, size, axis=1)
    return np.asarray(np.fft.irfft(product, size, axis=1)[:, :width], dtype=np.float32)


def _tables(
    mass: Float32Array,
    low: float,
    step: float,
    impairments: Sequence[float],
    limits_ms: tuple[float, float, float],
) -> Float32Array:
    """Statistics given a near side, tabulated per draw: draws by fine nodes by (three shares, MOS per class)."""
    count, bins = mass.shape
    nodes = _GRID_NODES + 2
    coarse = np.empty((count, nodes, 3 + len(impairments)), dtype=np.float32)
    tail = np.zeros((count, bins + 3), dtype=np.float32)
    tail[:, :bins] = np.cumsum(mass[:, ::-1], axis=1)[:, ::-1]
    padded = np.pad(mass, ((0, 0), (1, 3)))  # node -1 and nodes beyond the end hold nothing
    for column, limit in enumerate(limits_ms):
        # Beyond the limit lie all nodes from whole + 2 on; the two around it count in proportion.
        reach = (limit - low) / step - np.arange(nodes)
        whole = np.floor(reach).astype(np.int64)
        part = (reach - whole).astype(np.float32)
        upper = np.clip(1.5 - part, 0.0, 1.0).astype(np.float32) * padded[:, np.clip(whole + 1, -1, bins) + 1]
        lower = np.clip(0.5 - part, 0.0, 1.0).astype(np.float32) * padded[:, np.clip(whole, -1, bins) + 1]
        coarse[..., column] = tail[:, np.clip(whole + 2, 0, bins)] + upper + lower
    delays = low + step * np.arange(nodes + bins - 1, dtype=np.float64)
    for column, ie in enumerate(impairments):
        curve = mos_curve().mos(delays, ie).astype(np.float32)
        coarse[..., 3 + column] = mass @ np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(curve, bins).T)
    fine_at = np.arange((nodes - 1) * _FINE, dtype=np.float32) / _FINE
    left = fine_at.astype(np.intp)
    part_of = (fine_at - left)[None, :, None]
    return np.ascontiguousarray(coarse[:, left] + part_of * (coarse[:, left + 1] - coarse[:, left]))
