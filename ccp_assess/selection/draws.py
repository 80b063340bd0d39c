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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ccp_assess.selection.journeys import Curve
from ccp_assess.selection.legs import Z90, Extra, LegTable, read_leg_constants
from ccp_assess.selection.outcomes import MEAN, MOS, OVER_150, OVER_300, OVER_LIMIT, STATISTICS, deposit, mos_curve

Float32Array = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp] | slice
Spectra = dict[tuple[int, int], npt.NDArray[np.complex64]]

POOL = 1 << 20
DIRECT_CELLS = 8_000_000
"""Pairs by draws up to which a component is simulated pair by pair."""
GRID_MS = 1.5
"""Width of the grid for large clients [ms]; its 2048 nodes reach 3 s, and each far leg at most 0.8 s of them."""
_GRID_NODES = 2048
_FAR_NODES = 540
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


@lru_cache(maxsize=4)
def _pool(seed: int, count: int) -> Float32Array:
    """Make the pool of deviates; rankings of the same client share it."""
    pool = np.random.default_rng(seed).standard_normal(POOL + count, dtype=np.float32)
    pool.flags.writeable = False
    return pool


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
        self._pool = _pool(seed, count)
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
        """Deviates of many keys for draws ``first`` to ``last``, keys by draws."""
        windows = np.lib.stride_tricks.sliding_window_view(self._pool, last - first)
        return np.asarray(windows[offsets + first], dtype=np.float32)

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
        measured = legs.basis[:, column] == "measured"
        shared = read_leg_constants()["shared_variance_pct"].value / 100.0
        # Per unit of the leg's own deviate; what the pair of countries shares is scaled to the same unit.
        own = np.where(measured, 1.0, np.sqrt(1.0 - shared))
        self._down = (own * np.log(median / legs.network.low[:, column]) / Z90).astype(np.float32)
        self._up = (own * np.log(legs.network.high[:, column] / median) / Z90).astype(np.float32)
        self._offsets = draws.offsets(legs.keys, region_code)
        countries = sorted({country or "" for country in legs.countries})
        order = {country: index for index, country in enumerate(countries)}
        nobody = len(countries)  # a measured leg shares nothing: its row of the factors is 0
        self._pair = np.array([order[country or ""] for country in legs.countries], dtype=np.intp)
        self._pair[measured] = nobody
        factors = [
            np.float32(np.sqrt(shared / (1.0 - shared)))
            * draws.deviates(f"pair|{'|'.join(sorted((country, region_country)))}")
            for country in countries
        ]
        self._factors = np.array([*factors, np.zeros(draws.count)], dtype=np.float32)
        kinds = sorted(set(legs.extras), key=repr)
        position = {extras: index for index, extras in enumerate(kinds)}
        self._kind = np.array([position[extras] for extras in legs.extras], dtype=np.intp)
        self._kind[measured] = len(kinds)  # a measured leg has its access in it
        values = [np.sum([draws.planning_value(extra) for extra in extras], axis=0) for extras in kinds]
        self._values = np.array([*values, np.zeros(draws.count)], dtype=np.float32)
        self._measured = measured

    def network(self, first: int, last: int, rows: Rows = slice(None)) -> Float32Array:
        """Draw the legs without planning values.

        Parameters
        ----------
        first, last
            Which draws.
        rows
            Which legs.

        Returns
        -------
        delays
            Legs by draws [ms].
        """
        z = self._draws.block(self._offsets[rows], first, last)
        z += self._factors[self._pair[rows], first:last]
        upper = np.maximum(z, np.float32(0.0))
        upper *= (self._up - self._down)[rows, None]
        z *= self._down[rows, None]
        z += upper  # the band is wider above the median than below it
        np.exp(z, out=z)
        z *= self._median[rows, None]
        return z

    def block(self, first: int, last: int, rows: Rows = slice(None), plus: Float32Array | float = 0.0) -> Float32Array:
        """Draw the legs with their planning values.

        Parameters
        ----------
        first, last
            Which draws.
        rows
            Which legs.
        plus
            Added to every leg, one number or one per draw [ms].

        Returns
        -------
        delays
            Legs by draws [ms].
        """
        z = self.network(first, last, rows)
        z += (self._values[:, first:last] + plus)[self._kind[rows]]
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
        measured = self._measured[rows]
        split = np.array([weight * measured, weight * ~measured], dtype=np.float32)
        per_kind = np.bincount(self._kind[rows], weights=weight, minlength=len(self._values))
        sums["assumed"] += per_kind @ self._values
        for first in range(0, count, _BATCH):
            last = min(first + _BATCH, count)
            network = self.network(first, last, rows)
            sums["measured"][first:last], sums["modelled"][first:last] = np.einsum("bn,nd->bd", split, network)
        return sums


def simulate_direct(  # noqa: PLR0917 - two sides of one sum
    near: Float32Array,
    near_weight: Float32Array,
    near_ie: Float32Array,
    far: Float32Array,
    far_weight: Float32Array,
    limits_ms: tuple[float, float, float],
    curve: Curve = "narrowband",
) -> npt.NDArray[np.float64]:
    """Statistics of a component in every draw, pair by pair.

    Parameters
    ----------
    near, far
        Draws by near sides and draws by far sides, handling included [ms].
    near_weight, far_weight
        Shares, sum 1 each; those of the far sides may differ from draw to draw.
    near_ie
        Codec and loss impairment of the near sides [unitless].
    limits_ms
        The three limits [ms].
    curve
        Scale of the quality.

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
        weight = far_weight if far_weight.ndim == 1 else far_weight[part, :, None]
        result[part, MEAN] = near[part] @ near_weight + _weighted(far[part], far_weight, part)
        mos = mos_curve(curve).mos32(delay, near_ie[None, :, None])
        result[part, MOS] = _each_near(mos, weight) @ near_weight
        for column, limit in zip((OVER_150, OVER_300, OVER_LIMIT), limits_ms, strict=True):
            result[part, column] = _each_near((delay > limit).astype(np.float32), weight) @ near_weight
    return result


def _each_near(cells: Float32Array, weight: Float32Array) -> Float32Array:
    """Average draws by near by far over the far sides, with one row of weights or one column of them per draw."""
    averaged = cells @ weight
    return np.asarray(averaged if weight.ndim == 1 else averaged[:, :, 0], dtype=np.float32)


def _weighted(values: Float32Array, weight: Float32Array, part: slice) -> Float32Array:
    """Average draws by values, with one row of weights or one per draw."""
    if weight.ndim == 1:
        return np.asarray(np.einsum("df,f->d", values, weight), dtype=np.float32)
    return np.asarray(np.einsum("df,df->d", values, weight[part]), dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class FarSide:
    """One way to the far side: independent parts that add up, and its importance.

    Parameters
    ----------
    parts
        Each part as draws by values [ms] and the shares of these values (sum 1), one row or one for each draw.
    weight
        Importance against the other ways.
    """

    parts: tuple[tuple[Float32Array, Float32Array], ...]
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """Many near sides that meet the same far sides.

    Parameters
    ----------
    block
        Gives draws ``first`` to ``last`` of the near sides, handling included, near sides by draws [ms].
    weight, ie
        Share (sum 1) and impairment of each near side.
    fars
        Ways to the far side.
    curve
        Scale of the quality.
    """

    block: Callable[[int, int], Float32Array]
    weight: Float32Array
    ie: Float32Array
    fars: tuple[FarSide, ...]
    curve: Curve = "narrowband"


def simulate_large(crowd: Crowd, limits_ms: tuple[float, float, float], spectra: Spectra) -> npt.NDArray[np.float64]:
    """Statistics of journeys with very many near and far sides in every draw, by convolution.

    In each draw the near and the far sides become two distributions on one grid of ``GRID_MS``. The expectation
    of any function of their sum is a product of their spectra with that of the function (Parseval), so nothing
    is sampled. Means are computed from the legs themselves; the grid adds a fifth of a squared millisecond to the
    variance of a delay, and a share over a limit is that of delays rounded to the grid.

    Parameters
    ----------
    crowd
        Near sides and their far sides.
    limits_ms
        The three limits [ms].
    spectra
        Spectra of far sides that were made before for the same Region; new ones are added.

    Returns
    -------
    statistics
        Draws by statistics, averaged over the ways by their weights.
    """
    count = crowd.fars[0].parts[0][0].shape[0]
    result = np.empty((count, STATISTICS))
    classes = ie_classes(crowd.ie, crowd.weight)
    repeated = [np.repeat(share.astype(np.float64), _BATCH) for _, share in classes]
    functions = _function_spectra([ie for ie, _ in classes], limits_ms, crowd.curve)
    total = sum(far.weight for far in crowd.fars)
    nearest = _GRID_NODES - 1 - max(len(far.parts) for far in crowd.fars) * _FAR_NODES
    for first in range(0, count, _BATCH):
        last = min(first + _BATCH, count)
        sides = crowd.block(first, last)
        far_mean = sum(
            far.weight / total * _weighted(values[first:last], weight, slice(first, last))
            for far in crowd.fars
            for values, weight in far.parts
        )
        result[first:last, MEAN] = np.einsum("n,nd->d", crowd.weight, sides) + far_mean
        far_spectrum = _far_spectrum(crowd.fars, first, last, spectra)
        sides *= np.float32(1.0 / GRID_MS)
        np.minimum(sides, np.float32(nearest), out=sides)
        sides += (_GRID_NODES * np.arange(last - first) + 0.5).astype(np.float32)
        flat = sides.astype(np.int64).ravel()
        shares, mos = np.zeros((last - first, 3)), np.zeros(last - first)
        for position, weights in enumerate(repeated):
            if last - first < _BATCH:
                weights = np.repeat(classes[position][1].astype(np.float64), last - first)  # noqa: PLW2901
            mass = np.bincount(flat, weights=weights, minlength=(last - first) * _GRID_NODES)
            near_mass = mass.reshape(last - first, _GRID_NODES).astype(np.float32)
            spectrum = np.asarray(np.fft.rfft(near_mass, axis=1), dtype=np.complex64) * far_spectrum
            found = _expectation(spectrum, functions[[0, 1, 2, 3 + position]])
            shares += found[:, :3]
            mos += found[:, 3]
        result[first:last, OVER_150], result[first:last, OVER_300], result[first:last, OVER_LIMIT] = shares.T
        result[first:last, MOS] = mos
    return result


def _function_spectra(
    impairments: Sequence[float], limits_ms: tuple[float, float, float], curve: Curve
) -> Float32Array:
    """Spectra of the three indicators and of MOS per impairment over the grid of sums, weighted for Parseval's sum."""
    delay = GRID_MS * np.arange(_GRID_NODES, dtype=np.float64)
    rows = [np.clip((delay - limit) / GRID_MS + 0.5, 0.0, 1.0) for limit in limits_ms]
    rows += [mos_curve(curve).mos(delay, ie) for ie in impairments]
    spectra = np.fft.rfft(np.array(rows), axis=1) * (2.0 / _GRID_NODES)
    spectra[:, [0, -1]] /= 2.0
    return spectra.astype(np.complex64).view(np.float32)


def _expectation(spectrum: npt.NDArray[np.complex64], functions: Float32Array) -> npt.NDArray[np.float64]:
    """Take expectations of functions under distributions, both as spectra of real rows (Parseval)."""
    real = spectrum.view(np.float32)  # the real part of a product with a conjugate is a dot product
    return np.asarray(np.einsum("dk,fk->df", real, functions), dtype=float)


def _far_spectrum(fars: Sequence[FarSide], first: int, last: int, made: Spectra) -> npt.NDArray[np.complex64]:
    """Spectrum of the far side's distribution, one row per draw."""
    total = sum(far.weight for far in fars)
    whole: npt.NDArray[np.complex64] | None = None
    for far in fars:
        spectrum: npt.NDArray[np.complex64] | None = None
        for values, weight in far.parts:
            key = (id(values), first)
            if key not in made:
                kept = np.minimum(values[first:last], np.float32(GRID_MS * (_FAR_NODES - 2)))
                shares = weight if weight.ndim == 1 else weight[first:last]
                mass = deposit(kept, shares, GRID_MS, _GRID_NODES).astype(np.float32)
                made[key] = np.asarray(np.fft.rfft(mass, axis=1), dtype=np.complex64)
            part = made[key]
            spectrum = part if spectrum is None else spectrum * part
        assert spectrum is not None  # noqa: S101 - every way has a part
        share = np.float32(far.weight / total)
        whole = spectrum * share if whole is None else whole + spectrum * share
    assert whole is not None  # noqa: S101 - there is a way
    return whole


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
