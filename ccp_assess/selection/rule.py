"""The rule that ranks options, in one place and for one case or thousands of simulated ones.

First the share of calls over the limit: an option within one percentage point of the lowest stays in. Among these the
mean MOS decides; options within the too-close band of the highest count as equal, and among equals fewer
instances win, then fewer hops (where all hop counts are known), then the higher MOS. Nothing is scaled by
the other options, so an option's numbers never depend on which others there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ccp_assess.selection.legs import read_leg_constants
from ccp_assess.selection.options import Weights

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How close is too close.

    Parameters
    ----------
    close_share
        Difference in the share of calls over the limit that does not count, 0 to 1.
    close_mos
        Difference in mean MOS that does not count [MOS-CQE].
    """

    close_share: float
    close_mos: float

    @staticmethod
    def for_weights(weights: Weights) -> Rule:
        """Make the rule for a client's weights: the more hops matter, the wider the band within which they decide.

        Parameters
        ----------
        weights
            The client's weights.

        Returns
        -------
        rule
            With bands from ``reference/legs.csv``.
        """
        constants = read_leg_constants()
        return Rule(
            close_share=constants["close_share_pct"].value / 100.0 * weights.hops_scale,
            close_mos=constants["close_mos"].value * weights.hops_scale,
        )

    def winners(self, share: FloatArray, mos: FloatArray, hops: FloatArray, size: IntArray) -> IntArray:
        """Pick the best option of every case.

        Parameters
        ----------
        share
            Share of calls over the limit, options by cases, 0 to 1.
        mos
            Mean MOS, options by cases [MOS-CQE].
        hops
            Hop count per option; NaN where unknown (count).
        size
            Regions per option (count).

        Returns
        -------
        best
            Row of the best option of each case.
        """
        group = self.equals(share, mos, size)
        unknown = (group & np.isnan(hops)[:, None]).any(axis=0)
        counted = np.where(group & ~np.isnan(hops)[:, None], hops[:, None], np.inf)
        fewest = group & (counted <= counted.min(axis=0))
        fewest = np.where(unknown, group, fewest)
        return np.asarray(np.argmax(np.where(fewest, mos, -np.inf), axis=0), dtype=np.intp)

    def equals(self, share: FloatArray, mos: FloatArray, size: IntArray) -> npt.NDArray[np.bool_]:
        """Tell which options count as equally good as the best one, before hops are looked at.

        Parameters
        ----------
        share, mos, size
            As in :meth:`winners`.

        Returns
        -------
        group
            Options by cases.
        """
        tier = share <= share.min(axis=0) + self.close_share + 1e-12
        within = np.where(tier, mos, -np.inf)
        group = within >= within.max(axis=0) - self.close_mos - 1e-12
        smallest = np.where(group, size[:, None], np.iinfo(np.intp).max).min(axis=0)
        return np.asarray(group & (size[:, None] == smallest), dtype=np.bool_)

    def order(self, share: FloatArray, mos: FloatArray, hops: FloatArray, size: IntArray) -> list[int]:
        """Rank the options of one case: the best, then the best of the rest, and so on.

        Parameters
        ----------
        share, mos
            One number per option.
        hops, size
            As in :meth:`winners`.

        Returns
        -------
        order
            Rows, best first.
        """
        left, order = list(range(len(share))), []
        while left:
            rows = np.array(left)
            best = int(self.winners(share[rows, None], mos[rows, None], hops[rows], size[rows])[0])
            order.append(left.pop(best))
        return order
