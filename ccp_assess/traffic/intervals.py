"""Which of many stretches of time touch a given one, without looking at all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


class Intervals:
    """Stretches of time, their ends included, ready to be asked.

    Parameters
    ----------
    firsts_ns, lasts_ns
        Where each begins and ends [ns].
    """

    def __init__(self, firsts_ns: Sequence[int], lasts_ns: Sequence[int]) -> None:
        firsts = np.array(firsts_ns, np.int64)
        self._order = np.argsort(firsts, kind="stable")
        self._firsts = firsts[self._order]
        self._lasts = np.array(lasts_ns, np.int64)[self._order]
        # The latest end so far never falls: whatever stands before the first that reaches an instant has ended by then.
        self._latest = np.maximum.accumulate(self._lasts)

    def touch(self, first_ns: int, last_ns: int) -> bool:
        """Tell whether any of them shares an instant with a stretch.

        Parameters
        ----------
        first_ns, last_ns
            The stretch [ns].

        Returns
        -------
        touch
            Whether one does.
        """
        stop = int(self._firsts.searchsorted(last_ns, side="right"))
        return stop > 0 and bool(self._latest[stop - 1] >= first_ns)

    def touching(self, first_ns: int, last_ns: int) -> list[int]:
        """Find all that share an instant with a stretch.

        Parameters
        ----------
        first_ns, last_ns
            The stretch [ns].

        Returns
        -------
        places
            Where they stood in what was given, in that order.
        """
        start = int(self._latest.searchsorted(first_ns, side="left"))
        stop = int(self._firsts.searchsorted(last_ns, side="right"))
        if start >= stop:
            return []
        found: npt.NDArray[np.int64] = self._order[start:stop][self._lasts[start:stop] >= first_ns]
        return sorted(found.tolist())
