"""A client made ready for ranking: every leg computed once, so that weights, shares and constraints move cheaply."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ccp_assess.errors import ModelInputError
from ccp_assess.regions import Region, read_regions
from ccp_assess.selection.distance import estimate_rtts
from ccp_assess.selection.draws import (
    DIRECT_CELLS,
    Crowd,
    Draws,
    FarSide,
    LegDraws,
    Spectra,
    simulate_direct,
    simulate_large,
)
from ccp_assess.selection.expected import equal_values, extras_cumulants, scaled, spread_cumulants
from ccp_assess.selection.journeys import (
    CIRCULAR_HANDLING,
    TELEPHONE_HANDLING,
    UseCase,
    handling_ms,
    point_impairment,
    use_case_by_name,
)
from ccp_assess.selection.legs import (
    AgentPoint,
    Distances,
    Extra,
    LegTable,
    SiteMeasurement,
    Spread,
    agent_legs,
    agent_points,
    internet_legs,
    line_mix,
    read_leg_constants,
    telephone_legs,
)
from ccp_assess.selection.options import Weights
from ccp_assess.selection.outcomes import STATISTICS, Component, Conditional, evaluate
from ccp_assess.sites import CallerOrigin, Reroute, Site, TransferTarget

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.intp]
Row = TypeVar("Row", CallerOrigin, TransferTarget, Reroute)
Kept = TypeVar("Kept")
_MOST_KEPT = 1500
NearBlock = Callable[[int, int], Float32Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Who speaks with whom: everything about a client that is a weight.

    Parameters
    ----------
    near
        Share of conversations per near side: agent points, then rerouted devices (sum 1).
    origins
        Share of calls per caller origin (sum 1).
    transfers
        Share of calls per transfer target, 0 to 1 (of all calls, not of each other).
    """

    near: FloatArray
    origins: FloatArray
    transfers: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Which instance each near side and each origin uses.

    Parameters
    ----------
    columns
        Regions of the instances, as columns of the tables.
    near
        Index into ``columns`` per near side.
    origins
        Index into ``columns`` per origin.
    """

    columns: tuple[int, ...]
    near: IntArray
    origins: IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Statistics of an option at the median of every leg.

    Parameters
    ----------
    total
        Over all calls.
    by_near, by_origin
        Given a near side, given an origin (conversations with agents only).
    components
        The kinds of journeys behind them.
    names
        What each component is: ``agents``, ``circular`` or ``external``, and in which Region.
    parts
        Statistics of each component.
    given_near, given_origin, given_target
        Statistics over all journeys given a near side, an origin or a target; with one Region the total is
        their mean by the shares, so a share can be moved without a new evaluation. NaN where nobody is.
    """

    total: FloatArray
    by_near: FloatArray
    by_origin: FloatArray
    components: tuple[Component, ...]
    names: tuple[tuple[str, int], ...]
    parts: tuple[FloatArray, ...]
    given_near: FloatArray
    given_origin: FloatArray
    given_target: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """One side of a kind of journey: shares (sum 1), delays [ms] and impairments of its members."""

    weight: FloatArray
    median_ms: FloatArray
    ie: FloatArray | None = None

    def spread(self, cumulants: FloatArray, count: int) -> _Side:
        """Put values of equal probability in place of every member."""
        return self.spread_values(equal_values(cumulants, count))

    def spread_values(self, values: FloatArray) -> _Side:
        """Put given values, members by values, in place of every member."""
        count = values.shape[1]
        return _Side(
            weight=np.repeat(self.weight / count, count),
            median_ms=values.ravel(),
            ie=None if self.ie is None else np.repeat(self.ie, count),
        )

    def against(self, far: _Side, weight: float) -> Component:
        """Let this side meet a far side."""
        return Component(
            near_ms=self.median_ms,
            near_weight=self.weight,
            near_ie=np.zeros(self.weight.size) if self.ie is None else self.ie,
            far_ms=far.median_ms,
            far_weight=far.weight,
            weight=weight,
        )


@dataclass(frozen=True)
class Prepared:
    """A client with all its legs.

    Parameters
    ----------
    sites, callers, transfers, reroutes
        As given.
    callers_assumed
        Whether the callers were put where the agents are, since none were given.
    regions
        All Regions of the table; the columns of everything.
    points, point_of_site
        Agents who share every leg, and which of them a site is.
    agent_table, caller_table, transfer_table, reroute_table
        Legs to all Regions.
    draw_count, seed
        How many worlds are simulated, and from which seed.
    row_order
        For ``callers``, ``transfers`` and ``reroutes``: our rows in the order of the client's table.
    distances
        The distance model of the modelled legs.
    use_case
        What the instance is for.
    """

    sites: tuple[Site, ...]
    callers: tuple[CallerOrigin, ...]
    transfers: tuple[TransferTarget, ...]
    reroutes: tuple[Reroute, ...]
    measurements: tuple[SiteMeasurement, ...]
    callers_assumed: bool
    regions: tuple[Region, ...]
    points: tuple[AgentPoint, ...]
    point_of_site: tuple[int, ...]
    agent_table: LegTable
    caller_table: LegTable
    transfer_table: LegTable
    reroute_table: LegTable
    draw_count: int
    seed: int
    row_order: Mapping[str, tuple[int, ...]]
    distances: Distances
    use_case: UseCase
    _memo: dict[object, object] = field(default_factory=dict, repr=False, compare=False)

    # --- sizes and names -------------------------------------------------------------------------------------

    @cached_property
    def columns(self) -> dict[str, int]:
        """Column of each Region."""
        return {region.region_code: column for column, region in enumerate(self.regions)}

    @cached_property
    def limits_ms(self) -> tuple[float, float, float]:
        """Limits that shares are counted over: preferred, noticeable, and the one of the rule [ms]."""
        constants = read_leg_constants()
        return constants["preferred_ms"].value, constants["noticeable_ms"].value, constants["limit_ms"].value

    @property
    def near_count(self) -> int:
        """Near sides: agent points and rerouted devices (count)."""
        return len(self.points) + len(self.reroutes)

    @property
    def is_large(self) -> bool:
        """Whether the simulation has so many pairs that it works on a grid."""
        return self.near_count * len(self.lines) * self.draw_count > DIRECT_CELLS

    def warm(self) -> None:
        """Make what all Regions share, before several threads ask for it."""
        self.draws.offsets((*self.agent_table.keys, *self.caller_table.keys, *self.transfer_table.keys), "")
        _ = (self._handling_draws, self._playout, self.near_ie, self._line_origin, self._line_share, self._circular)
        _ = self._line_share_draws

    # --- shares ----------------------------------------------------------------------------------------------

    def shares(
        self,
        agents: Mapping[str, float] | None = None,
        call_shares: Mapping[str, float] | None = None,
        transfer_shares: Mapping[str, float] | None = None,
    ) -> Shares:
        """Weigh near sides, origins and targets, with some of the client's numbers replaced.

        Parameters
        ----------
        agents
            Agents by site (count).
        call_shares
            Call shares by origin [%].
        transfer_shares
            Shares of all calls by target [%].

        Returns
        -------
        shares
            Ready for an evaluation.

        Raises
        ------
        ModelInputError
            If a number is negative, or all agents or all calls are 0.
        """
        counts = [_number(agents, site.site_id, site.agents, "agents of site") for site in self.sites]
        near = np.zeros(self.near_count)
        np.add.at(near, self._near_index, self._near_share * np.array(counts)[self._near_site])
        if near.sum() <= 0:
            raise ModelInputError(
                "all sites have 0 agents, so no Region is better than another; fill in `agents` in sites.csv"
            )
        origins = np.array(
            [_number(call_shares, o.origin_id, o.call_share_pct, "call share of origin") for o in self.callers],
            dtype=float,
        )
        if origins.sum() <= 0:
            raise ModelInputError("all call shares are 0; fill in `call_share_pct` in callers.csv (sum 100)")
        transfers = np.array(
            [_number(transfer_shares, t.target_id, t.share_of_calls_pct, "share of target") for t in self.transfers],
            dtype=float,
        )
        return Shares(near=near / near.sum(), origins=origins / origins.sum(), transfers=transfers / 100.0)

    def near_of_site(self, index: int) -> FloatArray:
        """Weigh the near sides of one site alone.

        Parameters
        ----------
        index
            Which site.

        Returns
        -------
        near
            Shares of its near sides (sum 1).
        """
        here = self._near_site == index
        near = np.zeros(self.near_count)
        np.add.at(near, self._near_index[here], self._near_share[here])
        return near

    @cached_property
    def _near_table(self) -> tuple[IntArray, IntArray, FloatArray]:
        """Which near sides each site has, and which share of its agents: softphones, then rerouted devices."""
        rerouted: dict[str, list[int]] = {}
        for index, reroute in enumerate(self.reroutes):
            rerouted.setdefault(reroute.site_id, []).append(index)
        rows: list[tuple[int, int, float]] = []
        for number, (site, point) in enumerate(zip(self.sites, self.point_of_site, strict=True)):
            devices = rerouted.get(site.site_id, [])
            taken = [self.reroutes[i].share_of_agents_pct / 100.0 for i in devices]
            scale = 1.0 / sum(taken) if sum(taken) > 1.0 else 1.0
            rows.append((number, point, max(0.0, 1.0 - sum(taken) * scale)))
            rows.extend((number, len(self.points) + i, share * scale) for i, share in zip(devices, taken, strict=True))
        return (
            np.array([row[0] for row in rows], dtype=np.intp),
            np.array([row[1] for row in rows], dtype=np.intp),
            np.array([row[2] for row in rows]),
        )

    @property
    def _near_site(self) -> IntArray:
        return self._near_table[0]

    @property
    def _near_index(self) -> IntArray:
        return self._near_table[1]

    @property
    def _near_share(self) -> FloatArray:
        return self._near_table[2]

    # --- medians ---------------------------------------------------------------------------------------------

    @cached_property
    def near_leg_ms(self) -> FloatArray:
        """Leg of each near side, near sides by Regions [ms]."""
        return np.concatenate([self.agent_table.one_way_ms, self._rerouted_ms])

    @cached_property
    def _rerouted_ms(self) -> FloatArray:
        return np.asarray(self.reroute_table.one_way_ms + read_leg_constants()["landline_ms"].value)

    @cached_property
    def near_fixed_ms(self) -> FloatArray:
        """Handling of each near side [ms]."""
        soft = [handling_ms(self.use_case.handling, point.playout_ms) for point in self.points]
        return np.array(soft + [handling_ms(TELEPHONE_HANDLING)] * len(self.reroutes))

    @cached_property
    def near_ie(self) -> FloatArray:
        """Codec and loss impairment of each near side [unitless]."""
        soft = [point_impairment(point, self.use_case.codec) for point in self.points]
        return np.array(soft + [0.0] * len(self.reroutes))

    @cached_property
    def lines(self) -> tuple[tuple[int, str, float], ...]:
        """Far sides: index of the origin, planning value of its line, and its share of the origin."""
        if not self.use_case.callers_by_telephone:
            return tuple((index, "internet", 1.0) for index in range(len(self.callers)))
        return tuple(
            (index, name, share) for index, origin in enumerate(self.callers) for name, share in line_mix(origin.line)
        )

    @cached_property
    def _line_origin(self) -> IntArray:
        return np.array([index for index, _, _ in self.lines], dtype=np.intp)

    @cached_property
    def _line_share(self) -> FloatArray:
        return np.array([share for _, _, share in self.lines])

    @cached_property
    def _line_share_draws(self) -> Float32Array | None:
        """The same in every draw, draws by lines: nobody counted the mobile lines of mixed callers; else ``None``."""
        mixed = np.array([self.callers[index].line == "mixed" for index, _, _ in self.lines])
        if not self.use_case.callers_by_telephone or not mixed.any():
            return None
        mobile = np.minimum(self.draws.planning_value(Extra(name="mixed_mobile_share_pct")) / 100.0, 1.0)
        shares = np.tile(self._line_share.astype(np.float32), (self.draw_count, 1))
        names = np.array([name for _, name, _ in self.lines])
        shares[:, mixed & (names == "plmn_ms")] = mobile[:, None]
        shares[:, mixed & (names == "landline_ms")] = 1.0 - mobile[:, None]
        return shares

    @cached_property
    def far_leg_ms(self) -> FloatArray:
        """Leg of each far side, far sides by Regions [ms]."""
        constants = read_leg_constants()
        line_ms = np.array([constants[name].value if name in constants else 0.0 for _, name, _ in self.lines])
        return np.asarray(self.caller_table.one_way_ms[self._line_origin] + line_ms[:, None])

    @cached_property
    def caller_leg_ms(self) -> FloatArray:
        """Mean leg of each origin over its lines, origins by Regions [ms]."""
        mean = np.zeros((len(self.callers), len(self.regions)))
        np.add.at(mean, self._line_origin, self.far_leg_ms * self._line_share[:, None])
        return mean

    @cached_property
    def transfer_leg_ms(self) -> FloatArray:
        """Leg of each transfer target, one way, targets by Regions [ms]."""
        return np.asarray(self.transfer_table.one_way_ms + read_leg_constants()["landline_ms"].value)

    @cached_property
    def _circular(self) -> npt.NDArray[np.bool_]:
        return np.array([target.circular for target in self.transfers], dtype=bool)

    # --- distributions -----------------------------------------------------------------------------------------

    @cached_property
    def expected_values(self) -> int:
        """How many values of equal probability stand for the distribution of each side of a journey (count)."""
        pairs = self.near_count * len(self.lines)
        return next((values for values, most in ((9, 3_000), (5, 30_000), (3, 1_000_000)) if pairs <= most), 2)

    def _cumulants(self, which: str, column: int) -> FloatArray:
        """Cumulants of the legs of one table towards one Region, three by rows, lines of telephones left out."""
        key = ("cumulants", which, column)
        if key not in self._memo:
            table: LegTable = getattr(self, f"{which}_table")
            network = spread_cumulants(
                Spread(
                    median=table.network.median[:, column],
                    low=table.network.low[:, column],
                    high=table.network.high[:, column],
                )
            )
            extra = np.where(table.basis[:, column] == "measured", 0.0, self._extra_cumulants(which, table))
            self._memo[key] = network + extra
        found = self._memo[key]
        assert isinstance(found, np.ndarray)  # noqa: S101 - for the type checker
        return found

    def _extra_cumulants(self, which: str, table: LegTable) -> FloatArray:
        """Cumulants of the planning values of modelled legs, three by rows, the same for all Regions."""
        key = ("cumulants of extras", which)
        if key not in self._memo:
            kinds = {extras: extras_cumulants(extras) for extras in set(table.extras)}
            self._memo[key] = np.array([kinds[extras] for extras in table.extras]).reshape(-1, 3).T
        found = self._memo[key]
        assert isinstance(found, np.ndarray)  # noqa: S101 - for the type checker
        return found

    def _near_values(self, column: int, rows: IntArray, scale: float, count: int) -> FloatArray:
        """Values that stand for near sides with their handling, near sides by values [ms]."""
        landline = extras_cumulants([Extra(name="landline_ms")])[:, None]
        legs = np.concatenate([self._cumulants("agent", column), self._cumulants("reroute", column) + landline], axis=1)
        return equal_values(scaled(legs[:, rows], scale) + self._near_fixed_cumulants[:, rows], count)

    @cached_property
    def _near_fixed_cumulants(self) -> FloatArray:
        handling = self.use_case.handling
        without = extras_cumulants([extra for extra in handling if extra.name != "playout_ms"])
        full, telephone = extras_cumulants(handling), extras_cumulants(TELEPHONE_HANDLING)
        soft = [
            full
            if point.playout_ms is None or not any(extra.name == "playout_ms" for extra in handling)
            else without + np.array([point.playout_ms, 0.0, 0.0])
            for point in self.points
        ]
        return np.array([*soft, *[telephone] * len(self.reroutes)]).T

    def _far_cumulants(self, column: int, rows: IntArray, scale: float) -> FloatArray:
        """Cumulants of far sides, three by far sides."""
        legs = self._cumulants("caller", column)[:, self._line_origin[rows]]
        return scaled(legs + self._line_cumulants[:, rows], scale)

    @cached_property
    def _line_cumulants(self) -> FloatArray:
        names = {name for _, name, _ in self.lines}
        known = {name: extras_cumulants([Extra(name=name)] if name != "internet" else []) for name in names}
        return np.array([known[name] for _, name, _ in self.lines]).T

    def _transfer_cumulants(self, column: int, rows: IntArray) -> FloatArray:
        landline = extras_cumulants([Extra(name="landline_ms")])[:, None]
        return np.asarray(self._cumulants("transfer", column)[:, rows] + landline)

    # --- evaluation at the medians, and over the distributions -----------------------------------------------

    def components(  # noqa: PLR0917 - shares of everybody, and how they are looked at
        self,
        column: int,
        near: FloatArray,
        origins: FloatArray,
        transfers: FloatArray,
        weights: Weights,
        values: int | None = None,
    ) -> list[tuple[str, Component]]:
        """Make the kinds of journeys of one Region.

        Parameters
        ----------
        column
            The Region.
        near, origins
            Shares of its near sides and origins; their sums need not be 1.
        transfers
            Shares of calls per target.
        weights
            Importance of the legs; even weights give physical delays.
        values
            How many values of equal probability stand for each near and far side; ``None`` takes medians (count).

        Returns
        -------
        components
            Each with its name; weighted by the calls of these origins.
        """
        on_near, on_far = weights.leg_scales
        on_agents, on_transfers = weights.transfer_scale
        calls = float(origins.sum())
        rows, far_rows = near > 0, origins[self._line_origin] > 0
        if calls <= 0 or not rows.any():
            return []
        far_weight = (origins[self._line_origin] * self._line_share)[far_rows] / calls
        far = _Side(weight=far_weight, median_ms=on_far * self.far_leg_ms[far_rows, column])
        agents = _Side(
            weight=near[rows] / near[rows].sum(),
            median_ms=on_near * self.near_leg_ms[rows, column] + self.near_fixed_ms[rows],
            ie=self.near_ie[rows],
        )
        if values is not None:
            far = far.spread(self._far_cumulants(column, np.flatnonzero(far_rows), on_far), values)
            agents = agents.spread_values(self._near_values(column, np.flatnonzero(rows), on_near, values))
        made = [("agents", agents.against(far, calls * on_agents))]
        circular = np.flatnonzero(self._circular & (transfers > 0))
        if circular.size:
            share = transfers[circular]
            detour = 2.0 * self.transfer_leg_ms[circular, column] + handling_ms(CIRCULAR_HANDLING)
            back = _Side(
                weight=(far_weight[:, None] * (share / share.sum())[None, :]).ravel(),
                median_ms=(on_far * self.far_leg_ms[far_rows, column][:, None] + detour[None, :]).ravel(),
            )
            if values is not None:
                round_trip = scaled(self._transfer_cumulants(column, circular), 2.0)
                round_trip = round_trip + extras_cumulants(CIRCULAR_HANDLING)[:, None]
                before = self._far_cumulants(column, np.flatnonzero(far_rows), on_far)
                back = back.spread((before[:, :, None] + round_trip[:, None, :]).reshape(3, -1), values)
            made.append(("circular", agents.against(back, calls * float(share.sum()) * on_transfers)))
        external = np.flatnonzero(~self._circular & (transfers > 0))
        if external.size:
            share = transfers[external]
            outside = _Side(
                weight=share / share.sum(),
                median_ms=self.transfer_leg_ms[external, column] + handling_ms(TELEPHONE_HANDLING),
            )
            if values is not None:
                handling = extras_cumulants(TELEPHONE_HANDLING)[:, None]
                outside = outside.spread(self._transfer_cumulants(column, external) + handling, values)
            made.append(("external", outside.against(far, calls * float(share.sum()) * on_transfers)))
        return [
            (name, replace(component, curve=self.use_case.curve)) for name, component in made if component.weight > 0
        ]

    def statistics(
        self, placement: Placement, shares: Shares, weights: Weights, *, expected: bool = False
    ) -> Statistics:
        """Evaluate an option at the median of every leg, or over the distributions of all legs.

        Parameters
        ----------
        placement
            Which instance everybody uses.
        shares
            Who speaks with whom.
        weights
            Importance of the legs.
        expected
            Whether every near and far side is averaged over its distribution, taken as independent of each other.

        Returns
        -------
        statistics
            Over all calls, and given each near side and origin.
        """
        key = ("statistics", expected, *self._asked(placement, shares, weights))
        if key in self._memo:
            found = self._memo[key]
            assert isinstance(found, Statistics)  # noqa: S101 - for the type checker
            return found
        return self._kept(key, self._statistics(placement, shares, weights, self.expected_values if expected else None))

    def _asked(self, placement: Placement, shares: Shares, weights: Weights) -> tuple[object, ...]:
        """Everything that an evaluation depends on."""
        arrays = (placement.near, placement.origins, shares.near, shares.origins, shares.transfers)
        return (placement.columns, weights.leg_scales, weights.transfer_scale, *(array.tobytes() for array in arrays))

    def _kept(self, key: object, value: Kept) -> Kept:
        """Keep what a small client's next ranking may ask for again: a slider moves one number only."""
        if not self.is_large:
            if len(self._memo) > _MOST_KEPT:
                self._memo.clear()
            self._memo[key] = value
        return value

    def variant(
        self,
        sites: tuple[Site, ...],
        transfers: tuple[TransferTarget, ...],
        measurements: tuple[SiteMeasurement, ...],
    ) -> Prepared:
        """Make the same client ready with other sites, transfers or measurements; the next ranking finds it again.

        Parameters
        ----------
        sites, transfers, measurements
            What takes the place of the client's own.

        Returns
        -------
        prepared
            With the same draws, seed, distance model and use case.
        """
        key = ("variant", sites, transfers, measurements)
        if key in self._memo:
            found = self._memo[key]
            assert isinstance(found, Prepared)  # noqa: S101 - for the type checker
            return found
        return self._kept(
            key,
            prepare(
                sites,
                self.callers if not self.callers_assumed else (),
                transfers,
                self.reroutes,
                measurements,
                draws=self.draw_count,
                seed=self.seed,
                distances=self.distances,
                use_case=self.use_case.name,
            ),
        )

    def _statistics(self, placement: Placement, shares: Shares, weights: Weights, values: int | None) -> Statistics:
        by_near = np.full((self.near_count, STATISTICS), np.nan)
        by_origin = np.full((len(self.callers), STATISTICS), np.nan)
        given_near = np.zeros((self.near_count, STATISTICS))
        given_origin = np.zeros((len(self.callers), STATISTICS))
        given_target = np.full((len(self.transfers), STATISTICS), np.nan)
        whole = weights.transfer_scale[0] + weights.transfer_scale[1] * float(shares.transfers.sum())
        components, names, parts = [], [], []
        for instance, column in enumerate(placement.columns):
            near = np.where(placement.near == instance, shares.near, 0.0)
            origins = np.where(placement.origins == instance, shares.origins, 0.0)
            calls = float(origins.sum())
            for name, component in self.components(column, near, origins, shares.transfers, weights, values):
                found = evaluate(component, self.limits_ms)
                if values is not None:
                    found = found.averaged(values)
                components.append(component)
                names.append((name, column))
                parts.append(found.total)
                importance = component.weight / calls / whole
                of_origin = self._per_origin(found, origins, shares.transfers)
                given_origin[origins > 0] += importance * of_origin[origins > 0]
                if name == "external":
                    given_near += component.weight / whole * found.total
                    given_target[~self._circular & (shares.transfers > 0)] = found.by_near
                else:
                    given_near[near > 0] += component.weight / whole * found.by_near
                if name == "circular":
                    circular = self._circular & (shares.transfers > 0)
                    by_target = found.by_far.reshape(-1, int(circular.sum()), STATISTICS)
                    of_far = (origins[self._line_origin] * self._line_share)[origins[self._line_origin] > 0] / calls
                    given_target[circular] = np.einsum("fts,f->ts", by_target, of_far)
                if name == "agents":
                    by_near[near > 0] = found.by_near
                    by_origin[origins > 0] = of_origin[origins > 0]
        weight = np.array([component.weight for component in components])
        total = weight @ np.array(parts) / weight.sum()
        return Statistics(
            total=total,
            by_near=by_near,
            by_origin=by_origin,
            components=tuple(components),
            names=tuple(names),
            parts=tuple(parts),
            given_near=given_near,
            given_origin=given_origin,
            given_target=given_target,
        )

    def _per_origin(self, found: Conditional, origins: FloatArray, transfers: FloatArray) -> FloatArray:
        """Average the far sides of a component (and the targets behind them) to origins."""
        rows = origins[self._line_origin] > 0
        by_far = found.by_far
        mean = np.zeros((len(self.callers), STATISTICS))
        if by_far.shape[0] != rows.sum():  # circular: far sides by targets, targets weighted by their shares
            share = transfers[self._circular & (transfers > 0)]
            by_far = np.einsum("fts,t->fs", by_far.reshape(int(rows.sum()), -1, STATISTICS), share / share.sum())
        np.add.at(mean, self._line_origin[rows], by_far * self._line_share[rows][:, None])
        return mean

    # --- placement of several instances ----------------------------------------------------------------------

    def place(
        self,
        region_codes: Sequence[str],
        shares: Shares,
        weights: Weights,
        capacities_pct: Mapping[str, float] | None = None,
    ) -> Placement:
        """Give every near side the instance with the shortest leg and every origin the one that serves it best.

        Parameters
        ----------
        region_codes
            Regions of the instances; the first one only for a pair.
        shares
            Who speaks with whom.
        weights
            Importance of the legs.
        capacities_pct
            Share of all calls that an instance in a Region can take at most, by Region code [%].

        Returns
        -------
        placement
            Origins go where their mean MOS with the agents of that instance is highest; where a capacity is
            given, those with most to lose choose first, and the last take what is left.
        """
        columns = tuple(self.columns[code] for code in region_codes)
        near = np.zeros(self.near_count, dtype=np.intp)
        origins = np.zeros(len(self.callers), dtype=np.intp)
        if len(columns) > 1:
            near = np.argmin(self.near_leg_ms[:, columns], axis=1).astype(np.intp)
            quality = np.full((len(columns), len(self.callers)), -np.inf)
            for instance, column in enumerate(columns):
                here = near == instance
                total = shares.near[here].sum()
                if total > 0:
                    quality[instance] = shares.near[here] / total @ self._mos_cells(column, weights)[here]
            origins = np.argmax(quality, axis=0).astype(np.intp)
            if capacities_pct:
                room = np.array([capacities_pct.get(code, 100.0) / 100.0 for code in region_codes])
                origins = _within_capacity(quality, shares.origins, room)
        return Placement(columns=columns, near=near, origins=origins)

    def _mos_cells(self, column: int, weights: Weights) -> FloatArray:
        """Mean MOS of every near side with every origin, near sides by origins."""
        key = ("mos", column, weights.leg_scales)
        if key not in self._memo:
            from ccp_assess.selection.outcomes import mos_curve  # noqa: PLC0415 - its table is made when needed

            on_near, on_far = weights.leg_scales
            near = on_near * self.near_leg_ms[:, column] + self.near_fixed_ms
            large = self.near_count * len(self.callers) > 1_000_000  # half the memory, the same choice
            cells = np.zeros((self.near_count, len(self.callers)), dtype=np.float32 if large else np.float64)
            for far, (index, _, share) in enumerate(self.lines):
                delay = near + on_far * self.far_leg_ms[far, column]
                cells[:, index] += share * mos_curve(self.use_case.curve).mos(delay, self.near_ie)
            self._memo[key] = cells
        found = self._memo[key]
        assert isinstance(found, np.ndarray)  # noqa: S101 - for the type checker
        return found

    # --- simulation ------------------------------------------------------------------------------------------

    @cached_property
    def draws(self) -> Draws:
        """Source of the simulated worlds."""
        return Draws(seed=self.seed, count=self.draw_count)

    def leg_draws(self, which: str, column: int) -> LegDraws:
        """Draws of the legs of one table towards one Region.

        Parameters
        ----------
        which
            ``agent``, ``caller``, ``transfer`` or ``reroute``.
        column
            The Region.

        Returns
        -------
        draws
            Made when asked for.
        """
        key = ("legs", which, column)
        if key not in self._memo:
            region = self.regions[column]
            table: LegTable = getattr(self, f"{which}_table")
            self._memo[key] = LegDraws(
                self.draws, table, column, region_code=region.region_code, region_country=region.country
            )
        found = self._memo[key]
        assert isinstance(found, LegDraws)  # noqa: S101 - for the type checker
        return found

    @cached_property
    def _handling_draws(self) -> dict[str, Float32Array]:
        """Draws by 1 of each sum of planning values [ms]."""

        def total(extras: Sequence[Extra]) -> Float32Array:
            if not extras:
                return np.zeros((self.draw_count, 1), dtype=np.float32)
            return np.asarray(
                np.vstack([self.draws.planning_value(e) for e in extras]).sum(axis=0)[:, None], np.float32
            )

        return {
            "softphone": total(self.use_case.handling),
            "softphone without playout": total([e for e in self.use_case.handling if e.name != "playout_ms"]),
            "telephone": total(TELEPHONE_HANDLING),
            "circular": total(CIRCULAR_HANDLING),
            "landline_ms": total([Extra(name="landline_ms")]),
            "plmn_ms": total([Extra(name="plmn_ms")]),
        }

    @cached_property
    def _playout(self) -> tuple[npt.NDArray[np.bool_], Float32Array]:
        """Which near points have a measured jitter buffer, and how long it is [ms]."""
        known = np.array([point.playout_ms is not None for point in self.points], dtype=bool)
        return known, np.array([point.playout_ms or 0.0 for point in self.points], dtype=np.float32)

    def near_block(self, column: int, rows: IntArray, first: int, last: int, scale: float) -> Float32Array:
        """Near sides by draws with handling, for some draws and some near sides.

        Parameters
        ----------
        column
            The Region.
        rows
            Near sides.
        first, last
            Which draws.
        scale
            Importance of the legs.

        Returns
        -------
        delays
            Leg times its importance, plus handling [ms].
        """
        points = rows[rows < len(self.points)]
        parts = []
        if points.size:
            known, playout = self._playout
            full = self._handling_draws["softphone"][first:last].T
            legs = self.leg_draws("agent", column)
            if scale == 1.0 and not known[points].any():
                block = legs.block(first, last, points, plus=full)
            else:
                block = legs.block(first, last, points)
                block *= np.float32(scale)
                without = self._handling_draws["softphone without playout"][first:last].T
                block += np.where(known[points, None], without + playout[points, None], full)
            parts.append(block)
        devices = rows[rows >= len(self.points)] - len(self.points)
        if devices.size:
            block = self.leg_draws("reroute", column).block(first, last, devices)
            block += self._handling_draws["landline_ms"][first:last].T
            block *= np.float32(scale)
            block += self._handling_draws["telephone"][first:last].T
            parts.append(block)
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def far_draws(self, column: int) -> Float32Array:
        """Draws by far sides: the callers' legs with their lines [ms].

        Parameters
        ----------
        column
            The Region.

        Returns
        -------
        delays
            In the order of :attr:`lines` [ms].
        """
        key = ("far", column)
        small = self.draw_count * len(self.lines) <= 2_000_000
        if key in self._memo:
            found = self._memo[key]
            assert isinstance(found, np.ndarray)  # noqa: S101 - for the type checker
            return found
        legs = self.leg_draws("caller", column).block(0, self.draw_count)
        drawn = np.ascontiguousarray(legs[self._line_origin].T)
        for name in ("plmn_ms", "landline_ms"):
            of_line = np.array([line == name for _, line, _ in self.lines])
            drawn[:, of_line] += self._handling_draws[name]
        if small:
            self._memo[key] = drawn
        return drawn

    def transfer_draws(self, column: int, rows: IntArray) -> Float32Array:
        """Draws by targets: the legs to transfer targets, one way [ms].

        Parameters
        ----------
        column
            The Region.
        rows
            Which targets.

        Returns
        -------
        delays
            With the target's line [ms].
        """
        block = np.ascontiguousarray(self.leg_draws("transfer", column).block(0, self.draw_count, rows).T)
        block += self._handling_draws["landline_ms"]
        return block

    def simulate(self, placement: Placement, shares: Shares, weights: Weights) -> FloatArray:
        """Evaluate an option in every simulated world.

        Parameters
        ----------
        placement
            Which instance everybody uses (decided at the medians).
        shares
            Who speaks with whom.
        weights
            Importance of the legs.

        Returns
        -------
        statistics
            Draws by statistics over all calls.
        """
        key = ("simulated", *self._asked(placement, shares, weights))
        if key in self._memo:
            found = self._memo[key]
            assert isinstance(found, np.ndarray)  # noqa: S101 - for the type checker
            return found
        total, weight = np.zeros((self.draw_count, STATISTICS)), 0.0
        for instance, column in enumerate(placement.columns):
            near = np.where(placement.near == instance, shares.near, 0.0)
            origins = np.where(placement.origins == instance, shares.origins, 0.0)
            for share, statistics in self._simulate_region(column, near, origins, shares.transfers, weights):
                total += share * statistics
                weight += share
        return self._kept(key, total / weight)

    def _simulate_region(
        self, column: int, near: FloatArray, origins: FloatArray, transfers: FloatArray, weights: Weights
    ) -> Iterable[tuple[float, FloatArray]]:
        on_near, on_far = weights.leg_scales
        on_agents, on_transfers = weights.transfer_scale
        calls = float(origins.sum())
        rows = np.flatnonzero(near > 0)
        far_rows = np.flatnonzero(origins[self._line_origin] > 0)
        if calls <= 0 or not rows.size:
            return
        far = self.far_draws(column)[:, far_rows]
        if on_far != 1.0:
            far = far * np.float32(on_far)
        line_share = self._line_share if self._line_share_draws is None else self._line_share_draws
        of_calls = (origins[self._line_origin] * line_share)[..., far_rows] / calls
        far_weight: Float32Array = np.ascontiguousarray(of_calls, dtype=np.float32)
        near_weight = (near[rows] / near[rows].sum()).astype(np.float32)
        fars = [FarSide(parts=((far, far_weight),), weight=calls * on_agents)]
        circular = np.flatnonzero(self._circular & (transfers > 0))
        if circular.size:
            detour = 2.0 * self.transfer_draws(column, circular) + self._handling_draws["circular"]
            share = transfers[circular]
            fars.append(
                FarSide(
                    parts=((far, far_weight), (detour, (share / share.sum()).astype(np.float32))),
                    weight=calls * float(share.sum()) * on_transfers,
                )
            )
        fars = [side for side in fars if side.weight > 0]
        spectra: Spectra = {}
        if fars:
            yield (
                sum(side.weight for side in fars),
                self._simulate(
                    lambda first, last: self.near_block(column, rows, first, last, on_near),
                    near_weight,
                    self.near_ie[rows].astype(np.float32),
                    fars,
                    spectra,
                ),
            )
        external = np.flatnonzero(~self._circular & (transfers > 0))
        if external.size and on_transfers > 0:
            share = transfers[external]
            targets = self.transfer_draws(column, external) + self._handling_draws["telephone"]
            yield (
                calls * float(share.sum()) * on_transfers,
                self._simulate(
                    lambda first, last: np.ascontiguousarray(targets[first:last].T),
                    (share / share.sum()).astype(np.float32),
                    np.zeros(share.size, dtype=np.float32),
                    [FarSide(parts=((far, far_weight),), weight=1.0)],
                    spectra,
                ),
            )

    def _simulate(
        self,
        near_block: NearBlock,
        near_weight: Float32Array,
        near_ie: Float32Array,
        fars: Sequence[FarSide],
        spectra: Spectra,
    ) -> FloatArray:
        """Pair by pair where that is few pairs, else on a grid."""
        cells = near_weight.size * sum(int(np.prod([weight.shape[-1] for _, weight in far.parts])) for far in fars)
        if cells * self.draw_count > DIRECT_CELLS:
            crowd = Crowd(block=near_block, weight=near_weight, ie=near_ie, fars=tuple(fars), curve=self.use_case.curve)
            return simulate_large(crowd, self.limits_ms, spectra)
        near = np.ascontiguousarray(near_block(0, self.draw_count).T)
        total = sum(far.weight for far in fars)
        result = np.zeros((self.draw_count, STATISTICS))
        for far in fars:
            values, weight = far.parts[0]
            for more, share in far.parts[1:]:
                values = (values[:, :, None] + more[:, None, :]).reshape(self.draw_count, -1)
                weight = (weight[..., :, None] * share).reshape(*weight.shape[:-1], -1)
            result += (
                far.weight
                / total
                * simulate_direct(near, near_weight, near_ie, values, weight, self.limits_ms, self.use_case.curve)
            )
        return result


def _within_capacity(quality: FloatArray, shares: FloatArray, room: FloatArray) -> IntArray:
    """Assign whole origins to instances with limited room, those with the most to lose first."""
    room = room.copy()
    chosen = np.zeros(shares.size, dtype=np.intp)
    ordered = np.sort(quality, axis=0)
    regret = ordered[-1] - ordered[-2]
    for origin in np.lexsort((np.arange(shares.size), -shares * np.where(np.isfinite(regret), regret, 1e9))):
        usable = np.isfinite(quality[:, origin])
        fits = usable & (room + 1e-9 >= shares[origin])
        best = np.where(fits, quality[:, origin], -np.inf) if fits.any() else np.where(usable, room, -np.inf)
        chosen[origin] = np.argmax(best)
        room[chosen[origin]] -= shares[origin]
    return chosen


def _number(given: Mapping[str, float] | None, key: str, default: float, what: str) -> float:
    value = default if given is None else given.get(key, default)
    if not 0.0 <= value < float("inf"):
        raise ModelInputError(f"the {what} {key!r} is {value}; give a number of 0 or more")
    return float(value)


def prepare(
    sites: Sequence[Site],
    callers: Sequence[CallerOrigin] = (),
    transfers: Sequence[TransferTarget] = (),
    reroutes: Sequence[Reroute] = (),
    measurements: Iterable[SiteMeasurement] = (),
    *,
    draws: int = 2000,
    seed: int = 1,
    distances: Distances = estimate_rtts,
    use_case: str = "voice",
) -> Prepared:
    """Compute every leg of a client once.

    Parameters
    ----------
    sites, callers, transfers, reroutes
        The client's tables. Without callers they are taken to be where the agents are, and that is said.
    measurements
        What was measured from the sites.
    draws
        How many worlds to simulate (count).
    seed
        Seed of the simulation.
    distances
        Distance model.
    use_case
        ``voice``, ``video``, ``telephone_only``, ``media_less`` or ``chat``.

    Returns
    -------
    prepared
        Ready to be ranked under any weights, shares and constraints.

    Raises
    ------
    ModelInputError
        If there is no site, no agent, or a row that refers to a site that does not exist.
    """
    if not sites:
        raise ModelInputError("there are no sites; fill in sites.csv with at least one place where agents work")
    if draws < 1:
        raise ModelInputError(f"{draws} draws are asked for; give 1 or more")
    known = {site.site_id for site in sites}
    for reroute in reroutes:
        if reroute.site_id not in known:
            raise ModelInputError(
                f"reroutes.csv names site {reroute.site_id!r}, which is not in sites.csv; "
                f"known sites are {', '.join(sorted(known))}"
            )
    regions = tuple(read_regions().values())
    measured = tuple(measurements)
    points, point_of_site = agent_points(sites, measured)
    case = use_case_by_name(use_case)
    if case.agents_by_telephone:
        reroutes = _telephones_at_sites(sites, reroutes)
    if not case.transfers_count:
        transfers, reroutes = (), ()
    given = tuple(callers) or _callers_where_agents_are(sites)
    ordered, caller_rows = _sorted_rows(given, _caller_order)
    targets, target_rows = _sorted_rows(
        tuple(transfers), lambda t: (t.latitude, t.longitude, t.circular, t.share_of_calls_pct, t.target_id)
    )
    devices, device_rows = _sorted_rows(
        tuple(reroutes), lambda r: (r.latitude, r.longitude, r.share_of_agents_pct, r.site_id)
    )
    prepared = Prepared(
        sites=tuple(sites),
        callers=ordered,
        transfers=targets,
        reroutes=devices,
        measurements=measured,
        callers_assumed=not callers,
        regions=regions,
        points=points,
        point_of_site=point_of_site,
        agent_table=agent_legs(points, regions, distances),
        caller_table=(telephone_legs if case.callers_by_telephone else internet_legs)(
            "caller", ordered, regions, distances
        ),
        transfer_table=telephone_legs("transfer", targets, regions, distances),
        reroute_table=telephone_legs("reroute", devices, regions, distances),
        draw_count=draws,
        seed=seed,
        row_order={"callers": caller_rows, "transfers": target_rows, "reroutes": device_rows},
        distances=distances,
        use_case=case,
    )
    prepared.shares()  # refuses a client without agents or calls before any work
    return prepared


def _sorted_rows(rows: tuple[Row, ...], key: Callable[[Row], Any]) -> tuple[tuple[Row, ...], tuple[int, ...]]:
    """Sort rows by what they are, so that their order in the table changes nothing; and where each one went."""
    order = sorted(range(len(rows)), key=lambda index: key(rows[index]))
    position = {index: place for place, index in enumerate(order)}
    return tuple(rows[index] for index in order), tuple(position[index] for index in range(len(rows)))


def _telephones_at_sites(sites: Sequence[Site], reroutes: Sequence[Reroute]) -> tuple[Reroute, ...]:
    """Give every agent without a rerouted device a telephone at the site."""
    taken: dict[str, float] = {}
    for reroute in reroutes:
        taken[reroute.site_id] = taken.get(reroute.site_id, 0.0) + reroute.share_of_agents_pct
    return (
        *reroutes,
        *(
            Reroute(
                site_id=site.site_id,
                latitude=site.latitude,
                longitude=site.longitude,
                place=site.place or site.name,
                country=site.country,
                share_of_agents_pct=100.0 - taken.get(site.site_id, 0.0),
            )
            for site in sites
            if taken.get(site.site_id, 0.0) < 100.0
        ),
    )


def _caller_order(origin: CallerOrigin) -> tuple[float, float, str, str]:
    return origin.latitude, origin.longitude, origin.line, origin.origin_id


def _callers_where_agents_are(sites: Sequence[Site]) -> tuple[CallerOrigin, ...]:
    agents = sum(max(site.agents, 0) for site in sites) or 1
    origins = (
        CallerOrigin(
            origin_id=f"(assumed) {site.site_id}",
            latitude=site.latitude,
            longitude=site.longitude,
            place=site.place,
            country=site.country,
            call_share_pct=100.0 * site.agents / agents,
        )
        for site in sites
    )
    return tuple(origins)
