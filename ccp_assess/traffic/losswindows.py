"""When the packets were lost: spread over the whole call, or most of them within some seconds.

A mean over a call hides that a line was fine for half an hour and unusable for ten seconds. The stretch of seconds that
is least likely under an even rate is looked for; it is told only if chance would hardly make one like it.

References
----------
.. [1] M. Kulldorff, "A spatial scan statistic", Communications in Statistics 26 (1997): the likelihood ratio of a
   window with a rate of its own against one rate everywhere.
.. [2] J. Bentley, "Programming pearls: algorithm design techniques", CACM 27 (1984): the heaviest stretch in one pass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ccp_assess.traffic.streams import RtpStream
from ccp_assess.units import NS_PER_S

_FACTORS = np.array([[1.5], [2.0], [3.0], [5.0], [10.0], [30.0], [100.0], [1000.0]])
_LOG_FACTORS = np.log(_FACTORS)
_FEWEST_LOST = 6
_FEWEST_BURSTS = 4
_LONGEST_SHARE = 0.6
_LEAST_FACTOR = 2.0
_CHANCE = 7.0
"""Natural logarithm of how much less likely than one in (number of seconds) an even loss must be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossWindow:
    """A stretch of seconds in which most packets were lost.

    Parameters
    ----------
    first_ns, last_ns
        Its start and its end, whole seconds of UTC [ns].
    lost, expected
        Packets within (count).
    loss_pct
        Within [%].
    rest_pct
        Before and after it [%].
    """

    first_ns: int
    last_ns: int
    lost: int
    expected: int
    loss_pct: float
    rest_pct: float


def find_loss_window(stream: RtpStream) -> LossWindow | None:
    """Find the seconds in which a stream lost much more than in the others.

    Parameters
    ----------
    stream
        A stream with its seconds.

    Returns
    -------
    window
        ``None`` where the loss is spread out, too little to tell, or one outage (which has its own time).
    """
    seconds = stream.seconds
    if len(seconds) < 3 or stream.lost < _FEWEST_LOST or stream.loss_bursts < _FEWEST_BURSTS:
        return None
    lost = np.maximum(seconds["lost"], 0).astype(np.float64)
    expected = seconds["packets"] + lost
    total_lost, total = float(lost.sum()), float(expected.sum())
    if total_lost < _FEWEST_LOST or total <= total_lost:
        return None
    # Packets lost in one run are one event, or every burst of a bursty line would be an episode: for runs of geometric
    # lengths with mean b, counts vary 2 b - 1 times as much as those of single losses.
    burst = max(2.0 * stream.lost / stream.loss_bursts - 1.0, 1.0)
    best, best_ratio = (0, 0), 0.0
    for start, stop in _heaviest(_LOG_FACTORS * lost - (total_lost / total) * (_FACTORS - 1.0) * expected):
        ratio = _log_ratio(float(lost[start:stop].sum()), float(expected[start:stop].sum()), total_lost, total)
        if ratio > best_ratio:
            best, best_ratio = (start, stop), ratio
    if best_ratio / burst < _CHANCE + math.log(len(seconds)):
        return None
    start, stop = best
    inside_lost, inside = float(lost[start:stop].sum()), float(expected[start:stop].sum())
    rest = max(total - inside, 1.0)
    inside_pct, rest_pct = 100.0 * inside_lost / inside, 100.0 * (total_lost - inside_lost) / rest
    if inside > _LONGEST_SHARE * total or inside_pct < _LEAST_FACTOR * rest_pct:
        return None
    return LossWindow(
        first_ns=int(seconds["time_ns"][start]),
        last_ns=int(seconds["time_ns"][stop - 1]) + NS_PER_S,
        lost=int(inside_lost),
        expected=int(inside),
        loss_pct=inside_pct,
        rest_pct=rest_pct,
    )


def _heaviest(scores: npt.NDArray[np.float64]) -> list[tuple[int, int]]:
    """Find the stretch with the largest sum in each row."""
    sums = np.zeros((len(scores), scores.shape[1] + 1))
    np.cumsum(scores, axis=1, out=sums[:, 1:])
    lowest = np.minimum.accumulate(sums[:, :-1], axis=1)
    stops = (np.argmax(sums[:, 1:] - lowest, axis=1) + 1).tolist()
    return [(int(np.argmin(row[:stop])), stop) for row, stop in zip(sums, stops, strict=True)]


def _log_ratio(lost: float, expected: float, total_lost: float, total: float) -> float:
    share = total_lost * expected / total
    if lost <= share:
        return 0.0
    other = total_lost - lost
    outside = other * math.log(other / (total_lost - share)) if other > 0.0 else 0.0
    return lost * math.log(lost / share) + outside
